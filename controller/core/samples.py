"""The raw samples that sequential checks and triggers count, by colour: read off the answers of a look. Pure.

The built-in checks read both colours off one answer; counters of the plan's own have one answer each and colour. A trigger on a
built-in share of failed requests counts what the traffic query brings:

    scrapes of the callers     |    |    |    |    |    |    |
    increments                 .....a    b    c    d    e    f newest
                                    |<---- range, 1m ------->|        c to f: those that end within it

Its range ends at the newest sample of either colour, so that both are counted over the same time and a scrape that is late changes
nothing. A target that was silent is left out where it would bring requests from before the range and what the query reaches
further back, and so is what a target counted in the scrape in which it began again.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from analysis import sequential as library
from analysis.latency import Buckets, read_buckets
from analysis.model import Arm, Counted, Labels, Series
from analysis.threshold import Reading
from analysis.usable import clean, in_words, spoilt
from controller.api.plan_checks import BuiltIn, Check, Trigger
from controller.core import asking, reasons, traffic
from controller.core.commands import Subject
from controller.core.queries import Mesh, Pair, is_failed, member_of, pair_of
from controller.core.readings import Context, Counts, Failures, answer_of, oldest_sample
from controller.core.world import Measured, Measurement, Observed


@dataclass(frozen=True, slots=True)
class Samples:
    """Both colours' samples, or why nothing may be concluded from them."""

    arms: Mapping[Arm, Counted] = field(default_factory=dict)
    fault: str = ""
    detail: str = ""


def of(subject: Subject, observed: Observed, measured: Measured, check: Check, *, shared: bool) -> Samples | None:
    """What this look was answered for a check; None where it was not asked.

    Args:
        subject: with a plan.
        observed: what the places and the mesh are called.
        measured: the answers.
        check: a sequential one.
        shared: the traffic query brings its samples.
    """
    if check.counters is not None:
        return _counters(measured, check)
    key = asking.TRAFFIC if shared else asking.ticks_key(check.name)
    if key not in measured.answers or subject.plan is None:
        return None
    found = sides(measured, key, (_pair(subject, observed, check),), asking.mesh_of(subject, observed.cluster))
    if found.fault:
        return Samples(fault=found.fault, detail=found.detail)
    return Samples(library.both(_built_in(check, found.blue), _built_in(check, found.green)))


def past(measured: Measured, check: Check) -> Counted | None:
    """Blue's counters by pod before green had requests; None where they were not asked, or the answer cannot be used."""
    keys = [asking.past_key(check.name, part) for part in (asking.COUNTER_PARTS if check.counters is not None else ("",))]
    found = [measured.answers[key].answer for key in keys if key in measured.answers]
    if len(found) < len(keys) or any(traffic.fault_of(answer)[0] for answer in found):
        return None
    return _built_in(check, found[0].series) if check.counters is None else Counted(*(answer.series for answer in found))


def failures(subject: Subject, observed: Observed, measured: Measured, trigger: Trigger, context: Context) -> Counts | None:
    """What a trigger that is counted found in this look; None where the traffic query was not asked."""
    if asking.TRAFFIC not in measured.answers:
        return None
    answer = answer_of(measured.answers[asking.TRAFFIC])
    if isinstance(answer, Reading):
        return Counts(fault=answer)
    found = requests(measured, (_pair(subject, observed, trigger),), asking.mesh_of(subject, observed.cluster))
    if found.fault:
        return Counts(fault=Reading(reason=found.fault, detail=found.detail))
    ahead = subject.plan is not None and subject.plan.traffic.bypassed
    return counted(found, trigger.range, context.now, context.scrape_interval, since=context.since, ahead=ahead)


def counted(found: traffic.Traffic, seconds: float, now: float, scrape: float, *, since: float = 0.0, ahead: bool = False) -> Counts:
    """How many requests of each colour failed in so many seconds before the newest sample, of all that is known now.

    Args:
        found: requests of both colours, none of them younger than `now`.
        seconds: a trigger's range.
        now: Unix seconds.
        scrape: seconds between two samples.
        since: nothing from before this is green's, Unix seconds; 0 where nobody knows.
        ahead: a listed rule may lead to green before that. Then, or where somebody was seen there, what spans that moment is not counted.
    """
    age = now - found.scraped
    if oldest_sample(scrape) < age < math.inf:
        return Counts(fault=Reading(reason=reasons.STALE_SAMPLE, detail=f"the sample is {age:.0f} s old"))
    after, begun = max(found.scraped - seconds, since), now - seconds - asking.SPARE_SCRAPES * scrape
    if ahead or found.green.asked_by(since, scrape):
        begun = max(begun, since)
    resets = found.resets
    green, blue = (_failures(arm, after, begun, resets) for arm in (found.green, found.blue))
    return Counts(green, blue)


def _failures(arm: traffic.ArmTraffic, after: float, begun: float, resets: Mapping[Labels, Collection[float]]) -> Failures:
    n = arm.surely_since(after, begun, resets)
    return Failures(n, arm.failing.surely_since(after, begun, resets), behind=n)


def unusable(subject: Subject, observed: Observed, measured: Measured, check: Check) -> Reading | None:
    """Why the number of a limit is none; None where the counters behind it can be counted, or are not asked for.

    Prometheus computes on: it takes a counter that falls below 0 for a restart, so that what failed behind it would be missing.
    """
    if subject.plan is None or check.limit is None:
        return None
    if asking.counts_behind(subject.plan, check, observed.routed):
        return _ending(subject, observed, measured, check)
    found = (standing(arm, measured.answers.get(asking.standing_key(check.name, arm))) for arm in Arm)
    return next((reading for reading in found if reading is not None), None)


def _ending(subject: Subject, observed: Observed, measured: Measured, check: Check) -> Reading | None:
    """What the traffic query's samples end in behind a limit on requests."""
    plan = subject.plan
    if plan is None or check.limit is None or asking.TRAFFIC not in measured.answers:
        return None
    found = sides(measured, asking.TRAFFIC, (_pair(subject, observed, check),), asking.mesh_of(subject, observed.cluster))
    every = (*found.green, *found.blue) if check.limit.relative else found.green
    newest = max((one.samples[-1].time for one in every), default=-math.inf)
    patience = traffic.GAP_SCRAPES * plan.traffic.scrape_interval
    held = spoilt((one, clean(one)) for one in every).holding(newest, patience)
    return Reading(reason=reasons.UNUSABLE_COUNTER, detail=held[0].words) if held else None


def behind_triggers(measured: Measured, triggers: Collection[Trigger]) -> dict[str, Reading]:
    """Why the numbers of triggers are none, by name, where that was asked.

    What nobody answered says nothing here: the way back never waits for a second answer.
    """
    found: dict[str, Reading] = {}
    for trigger in triggers:
        asked = [(arm, measured.answers.get(asking.watched_key(trigger.name, arm))) for arm in Arm]
        answered = ((arm, one) for arm, one in asked if one is not None and not isinstance(answer_of(one), Reading))
        broken = next((reading for arm, one in answered if (reading := standing(arm, one)) is not None), None)
        if broken is not None:
            found[trigger.name] = broken
    return found


def standing(arm: Arm, measurement: Measurement | None) -> Reading | None:
    """What is wrong with the counters behind one version's number (`queries.newest_counters`, `newest_buckets`); None where nothing is."""
    if measurement is None:
        return None
    answer = answer_of(measurement)
    if isinstance(answer, Reading):
        return answer
    ending = [one for one in answer.series if any(key == "__name__" for key, _ in one.labels)]
    if ending:
        words = f"{in_words(ending[0].labels)} is {ending[0].samples[-1].value:g}"
        return Reading(reason=reasons.UNUSABLE_COUNTER, detail=words)
    buckets = [one for one in answer.series if any(key == "le" for key, _ in one.labels)]
    found = read_buckets({arm: buckets}) if buckets else Buckets()
    return Reading(reason=found.fault, detail=found.detail) if found.fault else None


def requests(measured: Measured, pairs: tuple[Pair, ...], mesh: Mesh) -> traffic.Traffic:
    """The requests that the traffic query's samples show between these places, read once a look."""
    return measured.once(("requests", pairs, mesh), lambda: traffic.requests_in(sides(measured, asking.TRAFFIC, pairs, mesh)))


def _pair(subject: Subject, observed: Observed, asked: Check | Trigger) -> Pair:
    assert subject.plan is not None  # noqa: S101 - whose check or trigger it is
    naming = asking.naming_of(subject, observed, asked.member or "", observed.domain)
    return pair_of(subject.plan, member_of(subject.plan, asked.member), naming)


def sides(measured: Measured, key: str, pairs: tuple[Pair, ...], mesh: Mesh) -> traffic.Sides:
    """The series of an answer by colour, told apart once a look: those of the traffic query give the split and the error rate."""

    def read() -> traffic.Sides:
        return traffic.sides(measured.answers[key].answer, [pair.blue for pair in pairs], [pair.green for pair in pairs], mesh)

    return measured.once(("sides", key, pairs, mesh), read)


def _built_in(check: Check, every: tuple[Series, ...]) -> Counted:
    if check.builtin is BuiltIn.LATENCY:
        return Counted(buckets=every)
    return Counted(total=every, bad=tuple(series for series in every if is_failed(dict(series.labels))))


def _counters(measured: Measured, check: Check) -> Samples | None:
    arms = {}
    for arm in Arm:
        answers = [measured.answers.get(asking.counter_key(check.name, arm, part)) for part in asking.COUNTER_PARTS]
        read = [one.answer for one in answers if one is not None]
        if len(read) < len(answers):
            return None
        for answer in read:
            fault, detail = traffic.fault_of(answer)
            if fault:
                return Samples(fault=fault, detail=detail)
        total, part = (answer.series for answer in read)
        arms[arm] = Counted(total=total, bad=part)
    return Samples(arms)
