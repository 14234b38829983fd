"""The one place where the vocabularies meet: blue and green become baseline and candidate, and answers verdicts.

Pure, between measuring and deciding. A *gate* judges a stage's window at its end; a *trigger* is judged at
each poll. Whatever is not one fresh finite number is inconclusive with its own reason: never a pass, and
never by itself a failure of green.

Where blue has no requests (100 %), relative limits compare with what blue had in its last judged window, and
the sentence says so; absolute limits go on as before.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

from analysis import threshold
from analysis.model import Arm, Outcome, Verdict, Window
from analysis.sequential import Rates
from analysis.threshold import Limits, Question, Reading
from controller.api.plan_checks import CHANCE_DEVIATIONS, BuiltIn, Check, Group, Limit, Repeat, Trigger
from controller.api.release import CheckStatus, WindowStatus
from controller.core import kayenta, reasons
from controller.core.asking import gate_key, trigger_key
from controller.core.polls import polled, reach, rule_of
from controller.core.readings import (
    DETAIL_LENGTH,
    Context,
    Counts,
    Failures,
    answer_of,
    lacking,
    needed_requests,
    oldest_sample,
    too_short,
)
from controller.core.sentences import explain, has_numbers, numbers, quantity
from controller.core.words import many
from controller.core.world import Measured, Measurement
from controller.ports import ProbeResult

__all__ = ["Fired", "StageVerdict", "baseline_of", "explain", "fired", "judge_gate", "judge_stage", "judge_trigger"]

_SUMMARY_LENGTH = 600

UNITS = {
    BuiltIn.ERROR_RATE: "%", BuiltIn.SUCCESS_RATE: "%", BuiltIn.LATENCY: "ms", BuiltIn.REQUEST_RATE: "req/s",
    BuiltIn.CPU: "%", BuiltIn.MEMORY: "%", BuiltIn.UP: "", BuiltIn.UNROUTED: "%",
}  # fmt: skip
"""Units of the built-in checks, where the plan names none."""


@dataclass(frozen=True, slots=True)
class Fired:
    """Why triggers demand a rollback.

    Attributes:
        reason: TriggerFired or TriggersFiredTogether.
        detail: the numbers of all that failed.
        cause: the first of them; `also` the others of its group.
    """

    reason: str
    detail: str
    cause: CheckStatus
    also: tuple[CheckStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class StageVerdict:
    """The verdict over all checks of a stage.

    Attributes:
        outcome: fail if one acting check fails, else inconclusive if one is, else pass.
        reason: a word of `core.reasons`.
        detail: words for its sentence.
        checks: the new status of every check, those that only observe included.
        cause: the check that decided; None for a pass.
        confirming: it is inconclusive only because a failure must be measured again.
        then: what the plan wants at the deadline of missing data.
        deadline: how long it wants to hold for data, seconds; None where nothing is missing.
    """

    outcome: Outcome
    reason: str
    detail: str
    checks: tuple[CheckStatus, ...]
    cause: CheckStatus | None = None
    confirming: bool = False
    then: str = "rollback"
    deadline: float | None = None


LIMITS_KEPT = 2048
"""Limits in the words of the library: those of a plan are the same at every look."""


@lru_cache(maxsize=LIMITS_KEPT)
def limits_of(limit: Limit) -> Limits:
    """The plan's limit in the words of the library."""
    return Limits(**{line.value: getattr(limit, line.value) for line in threshold.Line})


def unit_of(check: Check | Trigger) -> str:
    """The unit that the plan names, else the built-in's own."""
    return check.unit or (UNITS[check.builtin] if check.builtin is not None else "")


# Answers.


def reading_of(measurement: Measurement | None, asked_at: float, context: Context) -> Reading:
    """The number of one answer, or the reason why there is none."""
    answer = answer_of(measurement)
    if isinstance(answer, Reading):
        return answer
    if answer.result_type not in ("vector", "scalar", "matrix"):
        return Reading(reason=reasons.WRONG_TYPE, detail=f"found {answer.result_type or 'nothing'}, expected a number")
    return threshold.read(answer.series, asked_at=asked_at, max_age=oldest_sample(context.scrape_interval))


def _baseline(limit: Limit, measured: Measurement | None, remembered: float | None, asked_at: float, context: Context) -> Reading | None:
    if not limit.relative:
        return None
    if context.blue_serves:
        return reading_of(measured, asked_at, context)
    if remembered is None and measured is not None:
        return reading_of(measured, context.switched_at or asked_at, context)
    if remembered is None:
        return Reading(reason=reasons.BASELINE_MISSING, detail="Blue has no requests now and none were judged before.")
    return Reading(value=remembered)


def from_verdict(before: CheckStatus, verdict: Verdict, detail: str, *, at: float, blue_serves: bool = True) -> CheckStatus:
    """The status of a check after one more answer."""
    line = next(iter(verdict.detail), "")
    return before.model_copy(
        update={
            "name": verdict.check,
            "polled_at": at,
            "outcome": verdict.outcome,
            "reason": verdict.reason,
            "value": verdict.candidate,
            "baseline": verdict.baseline,
            "limit": verdict.limit,
            "n": verdict.n,
            "unit": verdict.unit,
            "recent": threshold.remember(before.recent, verdict.outcome),
            "line": line,
            "remembered": verdict.baseline is not None and not blue_serves,
            "detail": detail[:DETAIL_LENGTH],
        }
    )


def shown(rates: Rates | None) -> dict[str, object]:
    """The fields of a sequential check's status that show both rates, percent, and which line they are of."""
    if rates is None:
        return {"n": 0.0, "unit": "%"}
    edge, shares = rates.line.edge, {"value": rates.candidate, "baseline": rates.baseline, "limit": rates.limit}
    return {name: 100 * share for name, share in shares.items() if share is not None} | {
        "n": rates.candidate_n,
        "unit": "%",
        "line": f"slower than {edge:g} ms" if math.isfinite(edge) else "",
        "remembered": bool(rates.line.limit),
    }


# Gates.


def judge_gate(check: Check, window: WindowStatus, measured: Measured, before: CheckStatus, context: Context) -> CheckStatus:
    """One check of a stage's window at its end.

    Args:
        check: of the frozen plan.
        window: its `last_sample` is the evaluation time of the asks.
        measured: answers by `gate_key`.
        before: its status so far (blank in a new stage). The same window end is never counted twice.
        context: see there.
    """
    if check.kayenta is not None:
        return kayenta.judge_window(check, window, measured, before, context)
    if check.name in context.sequential or check.sequential or check.limit is None:
        blank = CheckStatus(name=check.name, outcome=Outcome.INCONCLUSIVE, reason=reasons.NOT_MEASURED)
        judged = context.sequential.get(check.name, blank)
        short = too_short(window, context)
        return _undecided(judged, judged, reasons.TOO_FEW_SAMPLES, short) if short and judged.outcome is Outcome.PASS else judged
    if before.polled_at == window.last_sample and before.outcome is not None and before.reason in _COUNTED:
        return before
    end = window.last_sample
    candidate = reading_of(measured.answers.get(gate_key(check.name, Arm.CANDIDATE)), end, context)
    known = polled(context.baseline, check.name).baseline
    baseline = _baseline(check.limit, measured.answers.get(gate_key(check.name, Arm.BASELINE)), known, end, context)
    question = Question(
        check=check.name,
        limits=limits_of(check.limit),
        window=Window(window.opened_at, end),
        n=window.n_green if context.counted else None,
        min_n=needed_requests(check, context),
        unit=unit_of(check),
    )
    verdict = threshold.judge(question, candidate, baseline)
    status = from_verdict(
        before, verdict, _gate_detail(verdict, question.min_n, candidate, baseline), at=end, blue_serves=context.blue_serves
    )
    status = status.model_copy(update={"failing_since": failing_since(before, status, check.repeat, context.now)})
    short = too_short(window, context)
    if short and verdict.outcome is not Outcome.INCONCLUSIVE:
        return _undecided(status, before, reasons.TOO_FEW_SAMPLES, short)
    broken = context.unusable.get(check.name)
    if broken is not None and verdict.reason != reasons.TOO_FEW_REQUESTS:  # it says more than a NaN that comes of it
        return _undecided(status, before, broken.reason, broken.detail)
    if verdict.outcome is Outcome.FAIL and not threshold.rule_met(status.recent, rule_of(check.repeat)):
        # The failure stays in the history: what is undecided is only whether it is one too many.
        return status.model_copy(update={"outcome": Outcome.INCONCLUSIVE, "reason": reasons.NOT_CONFIRMED, "detail": numbers(status)})
    return _counted(status, check.repeat)


def failing_since(before: CheckStatus, after: CheckStatus, repeat: Repeat, now: float) -> float:
    """Since when it fails, Unix seconds, 0 where it does not: the time to detect is counted from there.

    One pass ends that, unless the rule still counts a failure before it.
    """
    match after.outcome:
        case Outcome.FAIL:
            return before.failing_since or now
        case Outcome.PASS:
            counted = threshold.decisive(after.recent)[-repeat.of :] if repeat.of else ""
            return before.failing_since if "f" in counted else 0.0
        case _:
            return before.failing_since


def _counted(status: CheckStatus, repeat: Repeat) -> CheckStatus:
    """A failure with how many of its last answers failed, where its rule is about those."""
    if status.outcome is not Outcome.FAIL or not repeat.of:
        return status
    last = threshold.decisive(status.recent)[-repeat.of :]
    return status.model_copy(update={"detail": f"{last.count('f')} of the last {len(last)}"})


_COUNTED = frozenset({reasons.WITHIN_LIMIT, reasons.BEYOND_LIMIT, reasons.NOT_CONFIRMED})
"""Reasons of measurements that stand in the history as a pass or a failure."""


def _undecided(status: CheckStatus, before: CheckStatus, reason: str, detail: str) -> CheckStatus:
    recent = threshold.remember(before.recent, Outcome.INCONCLUSIVE)
    update: dict[str, object] = {
        "outcome": Outcome.INCONCLUSIVE,
        "reason": reason,
        "detail": detail,
        "recent": recent,
        "limit": None,
        "line": "",
        "failing_since": before.failing_since,
    }
    return status.model_copy(update=update)


def _gate_detail(verdict: Verdict, needed: float, candidate: Reading, baseline: Reading | None) -> str:
    if verdict.outcome is not Outcome.INCONCLUSIVE:
        return ""
    if verdict.reason == reasons.TOO_FEW_REQUESTS:
        return f"{verdict.n or 0:,.0f} of {many(needed, 'request')} of green"
    return _fault_detail(candidate, baseline)


def _fault_detail(candidate: Reading, baseline: Reading | None) -> str:
    if candidate.value is None or baseline is None:
        return candidate.detail
    if baseline.value is None:
        return f"(blue) {baseline.detail}".strip()
    return f"({candidate.value:g} vs {baseline.value:g})"


def judge_stage(
    checks: Sequence[Check], window: WindowStatus, measured: Measured, before: Collection[CheckStatus], context: Context
) -> StageVerdict:
    """All checks of a stage's window (`asking.checks_of`). Checks that only observe are judged and do not decide.

    A stage without acting checks is still held to its minimum of requests and scrapes.
    """
    judged = tuple(judge_gate(check, window, measured, polled(before, check.name), context) for check in checks)
    acting = [(check, status) for check, status in zip(checks, judged, strict=True) if not check.observe]
    for _, status in acting:
        if status.outcome is Outcome.FAIL:
            return StageVerdict(Outcome.FAIL, reasons.CHECK_FAILED, explain(status), judged, cause=status)
    # What is merely unconfirmed is answered by waiting a moment; missing data comes first.
    undecided = [pair for pair in acting if pair[1].outcome is not Outcome.PASS]
    undecided.sort(key=lambda pair: pair[1].reason == reasons.NOT_CONFIRMED)
    if undecided:
        check, status = undecided[0]
        confirming = status.reason == reasons.NOT_CONFIRMED
        return StageVerdict(
            Outcome.INCONCLUSIVE, status.reason, ": ".join(filter(None, (status.name, status.detail))), judged,
            cause=status, confirming=confirming,
            then=check.no_data.then, deadline=None if confirming else min(pair[0].no_data.deadline for pair in undecided),
        )  # fmt: skip
    missing = lacking(window, context)
    if missing is not None:
        return StageVerdict(Outcome.INCONCLUSIVE, *missing, judged)
    said = "; ".join(map(explain, judged)) or "no check is asked in it"
    return StageVerdict(Outcome.PASS, reasons.STAGE_PASSED, said[:_SUMMARY_LENGTH], judged)


def baseline_of(checks: Collection[CheckStatus], before: Sequence[CheckStatus]) -> list[CheckStatus]:
    """Blue's numbers to remember after a stage: the new ones where blue was measured, else those from before."""
    fresh = {status.name: status for status in checks if status.baseline is not None and not status.remembered}
    kept = [status for status in before if status.name not in fresh]
    return [*kept, *(CheckStatus(name=s.name, baseline=s.baseline, unit=s.unit, polled_at=s.polled_at) for s in fresh.values())]


# Triggers.


def judge_trigger(trigger: Trigger, measured: Measured, before: CheckStatus, context: Context, counts: Counts | None = None) -> CheckStatus:
    """One poll of a trigger; `before` itself where it was not polled in this look.

    Args:
        trigger: of the frozen plan.
        measured: answers by `trigger_key`.
        before: its status so far.
        context: see there.
        counts: of one that is counted (`asking.is_counted`). An answer to its query comes first: an earlier version's record has it.
    """
    green = measured.answers.get(trigger_key(trigger.name, Arm.CANDIDATE))
    blue = measured.answers.get(trigger_key(trigger.name, Arm.BASELINE))
    if green is None and counts is None:
        return before
    if trigger.probe is not None or trigger.limit is None:
        return _judge_probe(before, green.probe if green else None, blue.probe if blue else None, context.now)
    counted, back = counts if green is None else None, reach(trigger, context.since, context.now)
    remembered = before.baseline if before.baseline is not None else polled(context.baseline, trigger.name).baseline
    candidate = reading_of(green, context.now, context) if counted is None else _share(trigger, counted, Arm.CANDIDATE, back)
    if counted is not None and trigger.limit.relative and context.blue_serves:
        baseline: Reading | None = _share(trigger, counted, Arm.BASELINE, back)
    else:
        baseline = _baseline(trigger.limit, blue, remembered, context.now, context)
    window = Window(context.now - back, context.now)
    n = _requests(window, context) if counted is None else counted.n
    question = Question(check=trigger.name, limits=limits_of(trigger.limit), window=window, n=n, unit=unit_of(trigger))
    verdict = threshold.judge(question, candidate, baseline)
    detail = _fault_detail(candidate, baseline) if verdict.outcome is Outcome.INCONCLUSIVE else ""
    status = from_verdict(before, verdict, detail, at=context.now, blue_serves=context.blue_serves)
    if (few := _too_few_failed(trigger, verdict, counted, context)) is not None:
        status = _undecided(status, before, reasons.TOO_FEW_FAILED, few)
    if (broken := context.unusable.get(trigger.name)) is not None:
        status = _undecided(status, before, broken.reason, broken.detail)
    if status.baseline is None:
        # An outage does not make blue's last number forgotten: at 100 % it is all there is.
        status = status.model_copy(update={"baseline": before.baseline})
    return _counted(status, trigger.repeat)


def _share(trigger: Trigger, counts: Counts, arm: Arm, seconds: float) -> Reading:
    """The percentage that the built-in query would tell, of what was counted."""
    if counts.fault is not None:
        return counts.fault
    found = counts.green if arm is Arm.CANDIDATE else counts.blue
    if not found.n:
        return Reading(reason=reasons.NO_SERIES, detail="no request was counted" + (f" in {seconds:.0f} s" if seconds >= 1 else " yet"))
    return Reading(value=_failing_percent(trigger, 100 * found.failed / found.n))


def _requests(window: Window, context: Context) -> float | None:
    """Green's requests within these seconds as the traffic query shows them; None where nobody counts them."""
    if context.traffic is None or context.traffic.fault:
        return None
    return context.traffic.green.between(window.start, window.end)


def _estimated(trigger: Trigger, verdict: Verdict, context: Context) -> Counts | None:
    """The failed requests behind a rate that Prometheus has worked out; None where nobody counts requests."""
    if verdict.n is None or verdict.candidate is None or context.traffic is None:
        return None
    # A rate reaches from the first scrape within the range to the last: up to one interval of the counted requests is not in it.
    within = max(1 - context.scrape_interval / verdict.window.seconds, 0.5)
    blue = context.traffic.blue.between(verdict.window.start, verdict.window.end)
    share = _failing_percent(trigger, verdict.candidate) / 100
    return Counts(Failures(verdict.n, verdict.n * share, within * verdict.n), Failures(blue, 0.0, within * blue))


def _too_few_failed(trigger: Trigger, verdict: Verdict, counted: Counts | None, context: Context) -> str | None:
    """How few failed requests a failing measurement rests on; None where they are enough, or where nobody counts requests."""
    least = trigger.needed_failed
    if verdict.outcome is not Outcome.FAIL or verdict.candidate is None or least is None:
        return None
    counts = counted or _estimated(trigger, verdict, context)
    if counts is None:
        return None
    # How many requests stood behind blue's remembered rate is not known; as many as green's are taken for it.
    green, blue = counts.green, counts.blue if context.blue_serves else counts.green
    if green.failed < least:
        return f"{green.failed:,.0f} of {least}"
    if verdict.baseline is None or threshold.RELATIVE.isdisjoint(verdict.detail):
        # An absolute line says what green must not do, whatever blue does.
        return None
    share = _failing_percent(trigger, verdict.baseline) / 100
    # What the variance of one request becomes in the difference of both rates.
    spread = sum(1 / one.behind for one in (green, blue) if one.behind)
    chance = green.n * (share + CHANCE_DEVIATIONS * math.sqrt(share * (1 - share) * spread))
    if green.failed >= chance:
        return None
    rates = f"{quantity(verdict.candidate, verdict.unit)} vs {quantity(verdict.baseline, verdict.unit)}"
    return f"{green.failed:,.1f} of {green.n:,.0f}, and chance alone makes up to {chance:,.1f} of two equal versions ({rates})"


def _failing_percent(trigger: Trigger, value: float) -> float:
    """Percent of failed requests behind a built-in rate of errors or of successes, and the other way round."""
    return min(max(100 - value if trigger.builtin is BuiltIn.SUCCESS_RATE else value, 0.0), 100.0)


def _judge_probe(before: CheckStatus, green: ProbeResult | None, blue: ProbeResult | None, now: float) -> CheckStatus:
    """A health probe: it acts only after green has passed it once, and only where blue passes it."""
    if green is not None and green.ok:
        outcome, reason, detail = Outcome.PASS, reasons.PROBE_PASSED, green.message
    elif green is None:
        outcome, reason, detail = Outcome.INCONCLUSIVE, reasons.NOT_MEASURED, ""
    elif not before.armed:
        outcome, reason, detail = Outcome.INCONCLUSIVE, reasons.PROBE_NOT_ARMED, green.message
    elif blue is None:
        outcome, reason, detail = Outcome.INCONCLUSIVE, reasons.NOT_MEASURED, "blue was not asked"
    elif not blue.ok:
        outcome, reason, detail = Outcome.INCONCLUSIVE, reasons.PROBE_FAILED_BOTH, f"green {green.message}, blue {blue.message}"
    else:
        outcome, reason, detail = Outcome.FAIL, reasons.PROBE_FAILED, green.message
    return before.model_copy(
        update={
            "outcome": outcome,
            "reason": reason,
            "detail": detail[:DETAIL_LENGTH],
            "recent": threshold.remember(before.recent, outcome),
            "polled_at": now,
            "armed": before.armed or outcome is Outcome.PASS,
        }
    )


def fired(triggers: Sequence[Trigger], statuses: Collection[CheckStatus], groups: Sequence[Group] = ()) -> Fired | None:
    """The first trigger, in the plan's order, that demands a rollback alone; else the first group that does.

    A trigger is failing while its newest measurement fails and its repeat rule is met; one that only
    observes never acts. Triggers of a group act only together.
    """
    known = {status.name: status for status in statuses if status.outcome is Outcome.FAIL}
    acting = [(trigger, known[trigger.name]) for trigger in triggers if trigger.name in known and not trigger.observe]
    failing = [(trigger, status) for trigger, status in acting if _failing(trigger, status)]
    for trigger, status in failing:
        if trigger.together is None:
            return Fired(reasons.TRIGGER_FIRED, explain(status), status)
    for group in groups:
        members = [status for trigger, status in failing if trigger.together == group.name]
        if len(members) >= group.failing:
            words = f"{group.name}, {len(members)} failing (limit {group.failing}): " + "; ".join(map(explain, members))
            return Fired(reasons.TOGETHER_FIRED, words, members[0], tuple(members[1:]))
    return None


def _failing(trigger: Trigger, status: CheckStatus) -> bool:
    if not (has_numbers(status) or trigger.probe is not None):
        return False
    return threshold.rule_met(status.recent, rule_of(trigger.repeat))
