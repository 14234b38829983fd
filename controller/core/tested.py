"""What a sequential check tests: the frozen plan in the words of the library. Pure; it knows no status and no samples."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from analysis import combine
from analysis.counters import Scrapes
from analysis.gauge import GaugeTest
from analysis.rate import LEAST_PRIOR, Dispersion
from analysis.sequential import Kind, Known, Setting
from analysis.slo import ALONE_SHARE
from controller.api.measured import MeasuredLine
from controller.api.plan import PlanSpec
from controller.api.plan_checks import DIFFERENCES, OBJECTIVE_WEIGHT, WEIGHTS, BuiltIn, Check
from controller.core.phases import FULL
from controller.core.queries import member_of

PATIENCE_SCRAPES = 3
"""A target that is silent for longer is not waited for; as the gap of a window."""


@dataclass(frozen=True, slots=True)
class Tested:
    """All that sequential checks ask of a plan, worked out once: it is the same at every look of a release.

    Attributes:
        checks: the sequential ones, in the plan's order.
        gauges: those that are paired with blue's at every scrape.
        settings: what each of the checks tests, by name; `home` after the return of `finish: home`.
        weights: each acting check's share of alpha.
        scrapes: how samples are made.
        ln_early_bound: see there.
    """

    checks: tuple[Check, ...]
    gauges: tuple[Check, ...]
    settings: Mapping[str, Setting]
    home: Mapping[str, Setting]
    weights: Mapping[str, float]
    scrapes: Scrapes
    ln_early_bound: float


def what_is_tested(plan: PlanSpec) -> Tested:
    """What the plan's sequential checks test; it is kept with the plan."""
    return plan.once("tested", _tested)


def _tested(plan: PlanSpec) -> Tested:
    checks = tuple(check for check in plan.checks if check.sequential)
    settings = {check.name: setting_of(plan, check) for check in checks}
    return Tested(
        checks=checks,
        gauges=tuple(check for check in plan.checks if gauge_test(plan, check) is not None),
        settings=settings,
        home={name: home_setting(setting) for name, setting in settings.items()},
        weights=shares(plan),
        scrapes=scrapes_of(plan),
        ln_early_bound=ln_early_bound(plan),
    )


def scrapes_of(plan: PlanSpec) -> Scrapes:
    """How samples are made; a tick is one scrape."""
    interval = plan.traffic.scrape_interval
    return Scrapes(interval=interval, every=interval, patience=PATIENCE_SCRAPES * interval)


def setting_of(plan: PlanSpec, check: Check) -> Setting:
    """The frozen plan in the words of the library: percents become shares."""
    builtin, limited = check.builtin or BuiltIn.ERROR_RATE, check.objective is not None
    points = check.tolerance.difference if check.tolerance.difference is not None else DIFFERENCES[builtin]
    # The author's word is about the built-in rate of errors; counters of another kind have another one.
    rate, spread = plan.analysis.error_rate if check.counters is None else None, plan.analysis.dispersion
    known = tuple(_known(line, spread) for line in measured_of(plan, check))
    return Setting(
        kind=Kind.LATENCY if builtin is BuiltIn.LATENCY else Kind.ERRORS,
        rho=1.0 if limited else check.tolerance.ratio,
        delta=0.0 if limited else points / 100,
        alpha=plan.analysis.alpha,
        dispersion=Dispersion() if spread is None else Dispersion(spread, spread),
        alone_share=alone_share(check),
        effect=check.effect / 100 if check.effect is not None else None,
        p_hist=rate / 100 if rate is not None else None,
        known=known,
        margin=(check.margin.ratio, check.margin.difference / 100) if early_stages(plan) else None,
        objective=check.objective / 100 if check.objective is not None else None,
        assumed=spread is None and not known,
        counts_good=check.counters is not None and check.counters.good is not None,
    )


def home_setting(setting: Setting) -> Setting:
    """As it is tested after the return of `finish: home`: nobody is at the clone, so all the weight is on what it had before."""
    return replace(setting, alone_share=1.0, margin=None)


def alone_share(check: Check) -> float:
    """The part of a check's weight that is kept for the stage without blue; none where it is not asked in that stage."""
    return ALONE_SHARE if not check.stages or FULL in check.stages else 0.0


def early_stages(plan: PlanSpec) -> int:
    """How many stages may pass early; they share beta. At 100 % there is no blue to compare with."""
    return sum(stage.early_after is not None and stage.weight < FULL for stage in plan.stages)


def ln_early_bound(plan: PlanSpec) -> float:
    """The log of the e-value that every check of a stage needs for it to pass early."""
    return math.log(max(early_stages(plan), 1) / plan.analysis.beta)


def measured_of(plan: PlanSpec, check: Check) -> tuple[MeasuredLine, ...]:
    """What was measured on blue for this check: its rate, or its usable bucket edges; empty where nothing was."""
    measured = plan.analysis.measured
    return measured.of(*measured_key(plan, check)) if measured is not None else ()


def measured_key(plan: PlanSpec, check: Check) -> tuple[str, str, str]:
    """What is measured once for all checks that ask it: the built-in check, the workload, and the digest of counters of one's own."""
    workload = member_of(plan, check.member).workload
    return str(check.builtin or BuiltIn.ERROR_RATE), workload, check.asked_of(workload) if check.counters is not None else ""


def gauge_test(plan: PlanSpec, check: Check) -> GaugeTest | None:
    """What a gauge is tested against, scrape by scrape; None where blue's history is not known for it."""
    if not check.gauge or check.limit is None or plan.analysis.measured is None:
        return None
    variance = plan.analysis.measured.variance_of(check.name, check.asked_of(member_of(plan, check.member).workload))
    if variance is None:
        return None
    return GaugeTest(check.limit.most_ratio - 1, variance, plan.analysis.alpha, lower_is_worse=check.limit.min_ratio is not None)


def by_limit(plan: PlanSpec, check: Check, weight: int) -> bool:
    """Whether a check is asked for its limit at the window's end of a stage: at 100 % a gauge has no blue to be paired with."""
    return not check.sequential and (weight >= FULL or gauge_test(plan, check) is None)


def _known(line: MeasuredLine, spread: float | None) -> Known:
    """A measured line for the library: none is impossible, and the author's own dispersion comes before the measured one."""
    phi = Dispersion(line.bursts, line.widest) if spread is None else Dispersion(spread, spread)
    return Known(max(line.share / 100, LEAST_PRIOR), phi, math.inf if line.edge is None else line.edge)


def shares(plan: PlanSpec) -> dict[str, float]:
    """Each acting check's share of alpha; they sum to 1."""
    acting = [check for check in plan.checks if check.sequential and not check.observe]
    return combine.shared_weights([(check.name, weight_of(check)) for check in acting]) if acting else {}


def weight_of(check: Check) -> float:
    """The check's share before scaling."""
    if check.weight is not None:
        return check.weight
    return OBJECTIVE_WEIGHT if check.objective is not None else WEIGHTS[check.builtin or BuiltIn.ERROR_RATE]
