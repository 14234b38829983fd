"""The plan's triggers over a past window: polled as often as in a release, judged and repeated by the same rules.

Where one fires (or enough of a group), a release would have gone back: nothing is polled after that. Health probes are not among
them: nobody has kept what they answered.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from analysis.counters import Slice
from analysis.model import Arm, Outcome, Series, Window
from analysis.threshold import Reading
from analysis.totals import summed
from controller.api.plan_checks import FAILED_SHARES, Trigger
from controller.api.release import CheckStatus
from controller.cli.judge_gates import Bench, number, reading_of
from controller.cli.judge_queries import COUNTED, arms_asked
from controller.core import judging, reasons, traffic
from controller.core.asking import SPARE_SCRAPES, trigger_key, watched_key
from controller.core.judging import Fired
from controller.core.kayenta import steps_of
from controller.core.readings import Counts
from controller.core.samples import behind_triggers, counted
from controller.core.sentences import explain, numbers
from controller.core.traffic import ArmTraffic, Increment, Traffic
from controller.core.world import Measured, Measurement
from controller.ports import Answer
from controller.report.facts import Point
from controller.report.past import Beside

Poll = Mapping[Arm, Answer] | Counts
"""What one trigger is answered at one moment, or has counted."""


@dataclass(slots=True)
class _Polled:
    """One trigger on its way: its answers by time, and what they came to."""

    trigger: Trigger
    polls: Mapping[float, Poll]
    status: CheckStatus
    points: list[Point] = field(default_factory=list)
    passed: CheckStatus | None = None


def triggered(bench: Bench, until: float) -> Iterator[Beside]:
    """The plan's triggers, polled until one fires, or until the release would have gone back for something else."""
    if not bench.plan.triggers:
        return
    window = Window(bench.window.start, min(until, bench.window.end))
    every = [_Polled(one, _polls(bench, one, window), CheckStatus(name=one.name)) for one in bench.plan.triggers]
    requests, fired = _traffic(bench, _since(bench)), None
    for time in sorted({time for one in every for time in one.polls}):
        for one in every:
            if time in one.polls:
                _take(bench, one, time, requests)
        fired = judging.fired(bench.plan.triggers, [one.status for one in every], bench.plan.groups)
        if fired is not None:
            break
    for one in every:
        yield _beside(bench, one, fired)


def _polls(bench: Bench, trigger: Trigger, window: Window) -> dict[float, Poll]:
    """Every answer of the window; the same moments for both arms."""
    times = [step * trigger.interval for step in steps_of(window, trigger.interval)]
    if trigger.builtin in FAILED_SHARES:
        return dict(zip(times, _failing(bench, trigger, times), strict=True))
    if trigger.builtin in COUNTED:
        ticks = sorted(bench.ticks(bench.places.member(trigger.member), _since(bench)), key=lambda part: part.end)
        return dict(zip(times, _numbered(trigger, ticks, times), strict=True))
    over: dict[Arm, Answer] = {}
    for arm in arms_asked(trigger):
        query = bench.queries.texts.get(trigger_key(trigger.name, arm))
        if query is None:
            return {}
        over[arm] = bench.samples.over(query, bench.window, trigger.interval)
    return {time: {arm: _at(answer, time) for arm, answer in over.items()} for time in times}


def _since(bench: Bench) -> float:
    """From when on requests are counted: the first poll looks back by a trigger's range."""
    return bench.window.start - max(trigger.range for trigger in bench.plan.triggers)


def _failing(bench: Bench, trigger: Trigger, times: Sequence[float]) -> Iterator[Counts]:
    """What a release would have counted at each of these moments: as scrape by scrape it came."""
    arms = bench.counters.members[bench.places.member(trigger.member)]
    failed = {series.labels for one in arms.values() for series in one.bad}
    sides = traffic.Sides(arms[Arm.BASELINE].total, arms[Arm.CANDIDATE].total)
    found, scrape = traffic.requests_in(sides, lambda series: series.labels in failed), bench.scrapes.interval
    for time in times:
        known = found.as_of(time, time - 2 * trigger.range - SPARE_SCRAPES * scrape)
        yield counted(known, trigger.range, time, scrape)


def _numbered(trigger: Trigger, ticks: Sequence[Slice], times: Sequence[float]) -> Iterator[Poll]:
    ends = [part.end for part in ticks]
    for time in times:
        before = Window(time - trigger.range, time)
        sums = summed(ticks[bisect_right(ends, before.start) : bisect_right(ends, before.end)], before)
        yield {arm: number(reading_of(trigger, sums[arm]), time) for arm in arms_asked(trigger)}


def _at(answer: Answer, time: float) -> Answer:
    """One moment of an answer over the window."""
    if answer.fault is not None:
        return answer
    near = ((one, [sample for sample in one.samples if abs(sample.time - time) < _SAME_TIME]) for one in answer.series)
    return replace(answer, series=tuple(Series(one.labels, tuple(found)) for one, found in near if found), result_type="vector")


_SAME_TIME = 1e-3


def _traffic(bench: Bench, since: float) -> Traffic:
    """The requests of both arms by time, by which a trigger knows how many its number rests on."""
    found: dict[Arm, list[Increment]] = {arm: [] for arm in Arm}
    for part in bench.ticks(bench.places.spoken, since):
        for arm in Arm:
            if n := part.counts.get((arm, "n"), 0.0):
                found[arm].append(Increment(part.start, part.end, n))
    return Traffic(blue=ArmTraffic(tuple(found[Arm.BASELINE])), green=ArmTraffic(tuple(found[Arm.CANDIDATE])))


def _take(bench: Bench, one: _Polled, time: float, requests: Traffic) -> None:
    """One poll."""
    poll, context = one.polls[time], replace(bench.context(time), traffic=requests)
    counts = poll if isinstance(poll, Counts) else None
    asked = {} if isinstance(poll, Counts) else poll
    answers = {trigger_key(one.trigger.name, arm): Measurement(answer) for arm, answer in asked.items()}
    before = one.status
    status = one.status = judging.judge_trigger(one.trigger, Measured(answers), before, context, counts)
    if status.outcome is Outcome.FAIL and (broken := _behind(bench, one.trigger, time)):
        status = one.status = judging.judge_trigger(one.trigger, Measured(answers), before, replace(context, unusable=broken), counts)
    one.points.append(Point(time, time, status.value, status.baseline, status.limit, status.n, str(status.outcome or ""), explain(status)))
    if status.outcome is Outcome.PASS:
        one.passed = status


def _behind(bench: Bench, trigger: Trigger, time: float) -> dict[str, Reading]:
    """Why a trigger's own query has no number then, although it looks like one, by its name."""
    keys = [key for arm in arms_asked(trigger) if (key := watched_key(trigger.name, arm)) in bench.queries.texts]
    found = Measured({key: Measurement(bench.samples.at(bench.queries.texts[key], time)) for key in keys})
    return behind_triggers(found, (trigger,))


def _beside(bench: Bench, one: _Polled, fired: Fired | None) -> Beside:
    """What became of a trigger."""
    trigger = one.trigger
    status, said = _ended(one)
    acted = None
    if fired is not None and trigger.name in {cause.name for cause in (fired.cause, *fired.also)}:
        status, said, acted = one.status, reasons.say(fired.reason, fired.detail), one.status.polled_at
    told = bench.beside(status, trigger, [trigger_key(trigger.name, arm) for arm in Arm])
    said = said if told.outcome is status.outcome else ""
    return replace(told, kind="trigger", points=tuple(one.points), acted=acted, said=said)


def _ended(one: _Polled) -> tuple[CheckStatus, str]:
    """The answer of a trigger that did not fire, and its sentence where the status does not say it."""
    status, trigger = one.status, one.trigger
    if not one.points:
        update = {"outcome": Outcome.INCONCLUSIVE, "reason": reasons.NOT_MEASURED, "detail": "No poll came before the end."}
        return status.model_copy(update=update), ""
    if all(point.outcome == Outcome.INCONCLUSIVE for point in one.points):
        return status, ""
    if one.passed is not None:
        times = f"{len(one.points):,} times" if len(one.points) > 1 else "once"
        return one.passed, f"{trigger.name}: polled {times}, it never fired; {numbers(one.passed)} when it last passed"
    unconfirmed = status.model_copy(update={"outcome": Outcome.INCONCLUSIVE, "reason": reasons.NOT_CONFIRMED, "detail": numbers(status)})
    if trigger.together is None:
        return unconfirmed, ""
    # It failed whenever it had an answer, and alone in its group that is no reason to go back.
    said = f"{trigger.name}: its group {trigger.together} never failed with it; {numbers(status)}"
    return unconfirmed.model_copy(update={"outcome": Outcome.PASS}), said
