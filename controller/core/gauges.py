"""Sequential checks on gauges: both colours' numbers paired at every scrape, and what their ratio amounts to.

Where blue's history is known (`analysis.measured.gauges`) and blue has requests, a gauge is watched from the first weight on. Its
samples depend on each other in an unknown way, so that it may hold the release for a person, and never goes back by itself; it has
a bound of its own. Everywhere else (no history, 100 %) the check is asked for its limit at the window's end, like any other.

The pairs lie on a grid of scrapes: each query is asked as a subquery, whose steps do not depend on when somebody looks.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis import gauge as library
from analysis.gauge import GaugeState, GaugeTest, Pair
from analysis.model import Arm, Outcome
from analysis.sequential import Mark
from controller.api.plan import PlanSpec
from controller.api.plan_checks import USUAL_GAUGE_EFFECT, Check
from controller.api.release import CheckStatus, WindowStatus
from controller.core import arms, asking, judging, reasons, traffic
from controller.core.readings import DETAIL_LENGTH
from controller.core.steps import World
from controller.core.tested import PATIENCE_SCRAPES, gauge_test
from controller.ports import Answer

STALE_SCRAPES = PATIENCE_SCRAPES + 3
"""A window's end without pairs for longer than that has no answer."""


@dataclass(frozen=True, slots=True)
class GaugeLook:
    """One gauge after this look; `pair` is the newest one that it brought, `fault` and `detail` say why it brought none."""

    check: Check
    test: GaugeTest
    state: GaugeState
    pair: Pair | None = None
    fault: str = ""
    detail: str = ""


def look(w: World, check: Check, marks: Sequence[Mark], stored: str) -> GaugeLook:
    """A gauge with the pairs of this look.

    Args:
        w: in which it is watched.
        check: one whose history is known.
        marks: the stages so far.
        stored: its state so far; "" before there is one.
    """
    state = read(stored)
    test, scrape = test_of(w.plan, check), w.plan.traffic.scrape_interval
    answers = {arm: w.measured.answers.get(asking.gauge_key(check.name, arm)) for arm in Arm}
    found, fault, detail = paired({arm: one.answer for arm, one in answers.items() if one is not None}, scrape)
    # The newest point may still change: the scrape that it is made of can be a moment late.
    ripe = [pair for pair in found if pair.time <= w.now - scrape and _counts(pair.time, marks)]
    after = library.step(test, state, ripe, longest=PATIENCE_SCRAPES * scrape)
    return GaugeLook(check, test, after, ripe[-1] if ripe else None, fault, detail)


def read(stored: str) -> GaugeState:
    """A stored state; the first one where there is none, or where somebody's edit made it unreadable."""
    try:
        return GaugeState.from_json(json.loads(stored)) if stored else GaugeState()
    except (ValueError, AttributeError):
        return GaugeState()


def since_of(stored: str, marks: Sequence[Mark]) -> float:
    """From when on pairs are asked for: the newest counted one, or the first weight."""
    return max(read(stored).last, marks[0].since)


def text_of(state: GaugeState) -> str:
    """A state as it is stored."""
    return json.dumps(state.to_json(), separators=(",", ":"))


def alerting(one: GaugeLook) -> bool:
    """Whether green is worse than tolerated beyond doubt."""
    return not one.check.observe and one.state.won(one.test)


def acknowledged(state: GaugeState) -> GaugeState:
    """A new bet from the newest pair on."""
    return GaugeState(last=state.last)


def limit_at(test: GaugeTest, baseline: float) -> float:
    """What is tolerated of green where blue has this number."""
    return baseline * (1 / (1 + test.tolerance) if test.lower_is_worse else 1 + test.tolerance)


def judged(plan: PlanSpec, one: GaugeLook, window: WindowStatus, before: CheckStatus) -> CheckStatus:
    """The check's answer as if the window ended now; without a new pair the numbers before are shown again."""
    test = one.test
    value, baseline = (one.pair.candidate, one.pair.baseline) if one.pair is not None else (before.value, before.baseline)
    outcome, reason, detail = _answer(plan, one, window)
    worse = one.state.mean_ratio(test)
    return CheckStatus(
        name=one.check.name,
        outcome=outcome,
        reason=reason,
        detail=detail[:DETAIL_LENGTH],
        value=value,
        baseline=baseline,
        limit=None if baseline is None else limit_at(test, baseline),
        unit=judging.unit_of(one.check),
        line="min_ratio" if test.lower_is_worse else "max_ratio",
        polled_at=window.last_sample,
        ln_alert=one.state.ln_e(test),
        mean_ratio=None if worse is None else 1 / worse if test.lower_is_worse else worse,
        ln_bound=-math.log(test.alpha),
    )


def so_far(plan: PlanSpec, one: GaugeLook, window: WindowStatus, before: CheckStatus) -> CheckStatus:
    """The numbers so far, without an answer."""
    return judged(plan, one, window, before).model_copy(update={"outcome": None, "reason": "", "detail": ""})


def _answer(plan: PlanSpec, one: GaugeLook, window: WindowStatus) -> tuple[Outcome, str, str]:
    scrape = plan.traffic.scrape_interval
    if one.fault:
        return Outcome.INCONCLUSIVE, one.fault, one.detail
    if one.state.last < window.last_sample - STALE_SCRAPES * scrape:
        return Outcome.INCONCLUSIVE, reasons.STALE_SAMPLE, "no pair of both colours"
    needed = _needed_seconds(one.check, one.test)
    if one.state.seconds < needed:
        seconds = f"{needed:,.0f} s" if math.isfinite(needed) else "for ever: the limit allows the effect"
        return Outcome.INCONCLUSIVE, reasons.TOO_FEW_SAMPLES, f"{one.state.seconds:,.0f} s of pairs, the effect takes {seconds}"
    if alerting(one):
        return Outcome.INCONCLUSIVE, reasons.CHECK_ASKS, "green is worse than tolerated"
    return Outcome.PASS, reasons.NO_EVIDENCE_AGAINST, ""


def needed_seconds(plan: PlanSpec, check: Check) -> float:
    """Seconds of pairs that show the effect which a pass must have been able to show."""
    return _needed_seconds(check, test_of(plan, check))


def _needed_seconds(check: Check, test: GaugeTest) -> float:
    return library.seconds_to_detect(test, check.effect / 100 if check.effect is not None else USUAL_GAUGE_EFFECT)


def test_of(plan: PlanSpec, check: Check) -> GaugeTest:
    """What a gauge is tested against whose history is known."""
    test = gauge_test(plan, check)
    assert test is not None  # noqa: S101 - only called where the history is known
    return test


def _counts(time: float, marks: Sequence[Mark]) -> bool:
    """Whether both colours had requests at that time, in a stage that the check judges."""
    mark = next((mark for mark in reversed(marks) if mark.since < time), None)
    return mark is not None and mark.judged and not mark.alone


def paired(answers: Mapping[Arm, Answer], scrape: float) -> tuple[tuple[Pair, ...], str, str]:
    """The numbers of both colours paired, or why there is none: a reason and its detail; all empty where it was not asked.

    Args:
        answers: by arm, one number a scrape.
        scrape: seconds between two of them.
    """
    for arm in Arm:
        answer = answers.get(arm)
        if answer is None:
            return (), "", ""
        fault, detail = _fault(answer)
        if fault:
            return (), fault, f"({arms.colour_of(arm)}) {detail}".strip()
    candidate, baseline = (answers[arm].series[0].samples for arm in (Arm.CANDIDATE, Arm.BASELINE))
    return library.pairs(candidate, baseline, apart=scrape / 2), "", ""


def _fault(answer: Answer) -> tuple[str, str]:
    fault, detail = traffic.fault_of(answer)
    if fault or len(answer.series) == 1:
        return fault, detail
    return (reasons.SEVERAL_SERIES, f"{len(answer.series)} series") if answer.series else (reasons.NO_SERIES, "")
