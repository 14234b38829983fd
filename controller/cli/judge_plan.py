"""What a plan says about a past window: how its sequential checks judge, what it knows of blue, and its limits beside them.

A window has one pair of selectors and no stages, so that of each kind the plan's first check is asked; every other is named.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from analysis import threshold
from analysis.counters import Scrapes
from analysis.model import Arm, Verdict, Window
from analysis.rate import Dispersion
from analysis.retrospect import Counted, Past, Policy
from analysis.threshold import Limits, Question, Reading
from analysis.totals import Totals, totals
from controller.api.plan import PlanSpec
from controller.api.plan_checks import BuiltIn, Check
from controller.core.judging import limits_of, unit_of
from controller.core.tested import setting_of, weight_of

_HOUR = 3600.0
_OBJECTIVE = "slo"
_NAMES = {BuiltIn.ERROR_RATE: "errors", BuiltIn.LATENCY: "latency"}
"""What the checks of a plan are called in a past window."""


def _judged(spec: PlanSpec) -> dict[str, Check]:
    """The plan's sequential checks that can be asked here, the first of each kind."""
    found: dict[str, Check] = {}
    for check in spec.checks:
        name = _NAMES.get(check.builtin) if check.builtin is not None else None
        if name is not None and check.sequential and not check.observe:
            found.setdefault(_OBJECTIVE if check.objective is not None else name, check)
    return found


def policy_of(spec: PlanSpec | None, alpha: float | None, limit: float | None) -> Policy:
    """How it is judged: as a release of the plan, else as by default.

    Args:
        spec: the plan, if any.
        alpha: comes before the plan's own.
        limit: percent; likewise.
    """
    policy = Policy() if spec is None else _policy(spec)
    if limit is not None:
        policy = replace(policy, limit=limit / 100, weights={_OBJECTIVE: Policy().weights[_OBJECTIVE], **policy.weights})
    return policy if alpha is None else replace(policy, alpha=alpha)


def _policy(spec: PlanSpec) -> Policy:
    policy, judged = Policy(alpha=spec.analysis.alpha), _judged(spec)
    for name, check in judged.items():
        setting = setting_of(spec, check)
        if name == _OBJECTIVE:
            policy = replace(policy, limit=setting.objective)
        elif name == "errors":
            policy = replace(policy, rho=setting.rho, delta=setting.delta, effect=setting.effect)
        else:
            policy = replace(policy, latency_rho=setting.rho, latency_delta=setting.delta, latency_effect=setting.effect)
    return replace(policy, weights={name: weight_of(check) for name, check in judged.items()}) if judged else policy


def known_of(spec: PlanSpec | None, past: Past) -> Past:
    """What is known of the baseline: what the author wrote, else what the pre-flight measured, else what was before the window."""
    if spec is None:
        return past
    for name, check in _judged(spec).items():
        lines, measured = setting_of(spec, check).known, spec.analysis.measured
        if not lines or measured is None:
            continue
        past = replace(past, seconds=_HOUR * measured.hours)
        if name == "latency":
            below = {line.edge: 1 - line.p_hist for line in lines}
            past = replace(past, below=below, total=1.0, tails={line.edge: line.dispersion for line in lines})
        else:
            past = replace(past, p_hist=lines[0].p_hist, dispersion=lines[0].dispersion)
    if spec.analysis.error_rate is not None:
        past = replace(past, p_hist=spec.analysis.error_rate / 100)
    if spec.analysis.dispersion is not None:
        given = Dispersion(spec.analysis.dispersion, spec.analysis.dispersion)
        past = replace(past, dispersion=given, tail=given, tails=dict.fromkeys(past.tails, given))
    return past


def beside(
    spec: PlanSpec | None, arms: Mapping[Arm, Counted], window: Window, scrapes: Scrapes
) -> tuple[tuple[Verdict, ...], tuple[str, ...]]:
    """The plan's limits on error rate and latency over the whole window, and a clause about each check that is not judged."""
    if spec is None:
        return (), ()
    judged = [check.name for check in _judged(spec).values()]
    rest = [check for check in spec.checks if check.name not in judged]
    limited = [
        check for check in rest if check.builtin in _READINGS and check.limit is not None and not check.observe and not check.sequential
    ]
    return tuple(_limits(spec, limited, arms, window, scrapes)), tuple(_missing(check) for check in rest if check not in limited)


def _missing(check: Check) -> str:
    if check.sequential and check.builtin in _NAMES and not check.observe:
        return f"the plan's check {check.name} is not judged here: another of its kind is"
    return f"the plan's check {check.name} is not judged here: only error rate and latency are"


def _limits(spec: PlanSpec, checks: Sequence[Check], arms: Mapping[Arm, Counted], window: Window, scrapes: Scrapes) -> Iterator[Verdict]:
    sums = totals(arms, window, scrapes)
    least = min(stage.min_requests for stage in spec.stages)
    for check in checks:
        candidate, baseline = (_READINGS[check.builtin](sums[arm], check) for arm in (Arm.CANDIDATE, Arm.BASELINE))
        n = sums[Arm.CANDIDATE].n or sums[Arm.CANDIDATE].below.get(math.inf, 0.0)
        limits = limits_of(check.limit) if check.limit is not None else Limits()
        asked = Question(check.name, limits, window, n, max(least, check.needed_requests), unit_of(check))
        yield threshold.judge(asked, candidate, baseline)


def _success(sums: Totals, _check: Check) -> Reading:
    found = sums.error_percent
    return Reading(100 - found.value) if found.value is not None else found


_READINGS: dict[BuiltIn | None, Callable[[Totals, Check], Reading]] = {
    BuiltIn.ERROR_RATE: lambda sums, _check: sums.error_percent,
    BuiltIn.SUCCESS_RATE: _success,
    BuiltIn.LATENCY: lambda sums, check: sums.quantile(check.quantile),
}
