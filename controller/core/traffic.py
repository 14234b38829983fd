"""Requests of both colours from raw counter samples, a window's progress, and the drain.

Pure, on sample timestamps only: no clock can shorten a window, and a sample that is seen twice counts
once. It differences raw samples itself (no `rate()`, which extrapolates):

    series          scrape 1   scrape 2   scrape 3
    {code: 200}     100        150        20         +50, then +20: the counter was reset
    {code: 503}     -          7          7          +7: it appeared in a target that was already scraped,
                                                     so it started at 0; the first errors come exactly so
    of a new target -          30         90         its 30 are only a base, then +60

A release reads the same query for four things: has the shift arrived (`core.settling`), how far is the window
(`advance_window`), does green still get requests (`quiet`), how many failed of late (`core.samples`, for a trigger).
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

from analysis.model import Labels, Sample, Series
from controller.api.release import WindowStatus
from controller.core import reasons
from controller.core.queries import Mesh, Place, is_failed
from controller.core.words import many
from controller.ports import Answer

GAP_SCRAPES = 3
"""A longer silence than this many scrapes is a gap: its time is not judged."""

_TARGET_LABELS = frozenset({"job", "instance", "pod", "namespace", "node", "prometheus", "cluster", "replica"})
_NO_CLUSTER = frozenset({"", "unknown"})


class Increment(NamedTuple):
    """`requests` within `(start, end]`, both of them sample times of one series' target, Unix seconds.

    A named tuple, because each look makes a dozen. `fell`: the counter began again within it. `series`: labels of what counted it.
    """

    start: float
    end: float
    requests: float
    target: Labels = ()
    fell: bool = False
    series: Labels = ()


@dataclass(frozen=True, slots=True)
class ArmTraffic:
    """One colour's requests.

    Attributes:
        increments: by end time.
        times: the sample times of its series, sorted, distinct.
        failed: those of the increments that failed requests made.
    """

    increments: tuple[Increment, ...] = ()
    times: tuple[float, ...] = ()
    failed: tuple[Increment, ...] = ()

    @property
    def newest(self) -> float:
        """Time of its newest sample; minus infinity without any."""
        return self.times[-1] if self.times else -math.inf

    def between(self, after: float, until: float) -> float:
        """Requests whose increment ends within `(after, until]`."""
        return sum([increment.requests for increment in self.increments if after < increment.end <= until])

    def shared_out(self, after: float, until: float) -> float:
        """Requests within `(after, until]`, as if those of each increment came evenly spread."""
        parts = ((min(one.end, until) - max(one.start, after), one) for one in self.increments if after < one.end and one.start < until)
        return sum([one.requests * overlap / (one.end - one.start) for overlap, one in parts])

    def within(self, after: float, until: float) -> "ArmTraffic":
        """What ended within `(after, until]`."""
        times = self.times[bisect_right(self.times, after) : bisect_right(self.times, until)]
        return ArmTraffic(_ending(self.increments, after, until), times, _ending(self.failed, after, until))

    def since(self, after: float, begun: float) -> float:
        """Requests whose increment ends after the one moment, and began at the other or later."""
        return sum([increment.requests for increment in self.increments if increment.end > after and increment.start >= begun])

    def surely_since(self, after: float, begun: float, resets: Mapping[Labels, Collection[float]]) -> float:
        """As `since`, without what a target counted while it began again.

        One of its counters has fallen then, and another one may have begun again and have passed its old value unseen: which share of
        all requests failed nobody knows.
        """
        if not resets:
            return self.since(after, begun)
        counted = (one for one in self.increments if one.end > after and one.start >= begun)
        return sum([one.requests for one in counted if not any(one.start < time <= one.end for time in resets.get(one.target, ()))])

    def asked_by(self, time: float, scrape: float) -> bool:
        """Whether somebody had asked it by then, or may have: its samples begin in the last scrape before."""
        return any(one.end <= time for one in self.increments) or bool(self.times and time - scrape < self.times[0] <= time)

    @property
    def failing(self) -> "ArmTraffic":
        """Its failed requests alone."""
        return ArmTraffic(self.failed, self.times)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Both colours' requests, or why there are none.

    Attributes:
        fault: "" or a reason: nothing may be concluded from this answer.
        detail: words for the fault.
        scraped: newest sample time of any series of the answer.
    """

    blue: ArmTraffic = ArmTraffic()
    green: ArmTraffic = ArmTraffic()
    fault: str = ""
    detail: str = ""
    scraped: float = -math.inf

    def as_of(self, time: float, since: float) -> "Traffic":
        """What was known of it at a moment of the past, as far as it ended after `since`."""
        blue, green = (arm.within(since, time) for arm in (self.blue, self.green))
        return Traffic(blue, green, self.fault, self.detail, max(blue.newest, green.newest))

    @property
    def resets(self) -> dict[Labels, list[float]]:
        """When which target was seen to have begun again."""
        found: dict[Labels, list[float]] = {}
        for one in (*self.blue.increments, *self.green.increments):
            if one.fell:
                found.setdefault(one.target, []).append(one.end)
        return found


@dataclass(frozen=True, slots=True)
class Sides:
    """Raw series of both colours, or why nothing may be concluded from them (`fault`, `detail`)."""

    blue: tuple[Series, ...] = ()
    green: tuple[Series, ...] = ()
    fault: str = ""
    detail: str = ""


def sides(answer: Answer, blue: Collection[Place], green: Collection[Place], mesh: Mesh) -> Sides:
    """The answer's series by colour; those of other places are left out."""
    fault, detail = fault_of(answer)
    if fault:
        return Sides(fault=fault, detail=detail)
    names = {key: 0 for place in blue for key in (_key(place, mesh),)} | {_key(place, mesh): 1 for place in green}
    arms: tuple[list[Series], list[Series]] = ([], [])
    clusters: set[str] = set()
    by_host = mesh.by_host
    for series in answer.series:
        labels = dict(series.labels)
        if by_host:
            colour = names.get((labels.get("destination_service", ""), ""))
        else:
            colour = names.get((labels.get("destination_workload", ""), labels.get("destination_workload_namespace", "")))
        if colour is not None and series.samples:
            arms[colour].append(series)
            clusters.add(labels.get("destination_cluster", ""))
    clusters -= _NO_CLUSTER
    if len(clusters) > 1:
        return Sides(fault=reasons.SEVERAL_CLUSTERS, detail=", ".join(sorted(clusters)))
    return Sides(tuple(arms[0]), tuple(arms[1]))


def read_traffic(answer: Answer, blue: Collection[Place], green: Collection[Place], mesh: Mesh) -> Traffic:
    """Both colours' increments from the raw answer of the traffic query. Never raises: a fault is a `Traffic`."""
    return requests_in(sides(answer, blue, green, mesh))


def counts_failed(series: Series) -> bool:
    """Whether a series of Istio's requests counts failed ones."""
    return is_failed(dict(series.labels))


def requests_in(found: Sides, fails: Callable[[Series], bool] = counts_failed) -> Traffic:
    """As `read_traffic`, of series that are told apart already; `fails` says which of them count failed requests."""
    if found.fault:
        return Traffic(fault=found.fault, detail=found.detail)
    targets = _scrapes([*found.blue, *found.green])
    read = [_arm(arm, targets, fails) for arm in (found.blue, found.green)]
    return Traffic(blue=read[0], green=read[1], scraped=max(read[0].newest, read[1].newest))


def fault_of(answer: Answer) -> tuple[str, str]:
    """Why nothing may be concluded from an answer of raw samples: a reason and its detail; both empty for a good one."""
    if answer.fault is not None:
        return reasons.FAULTS[answer.fault], answer.message
    if answer.warnings:
        return reasons.PARTIAL_ANSWER, answer.warnings[0]
    if answer.result_type not in ("matrix", ""):
        return reasons.WRONG_TYPE, f"found {answer.result_type}, expected raw samples"
    return "", ""


def _key(place: Place, mesh: Mesh) -> tuple[str, str]:
    return (place.host, "") if mesh.by_host else (place.workload, place.namespace)


def _target(labels: Labels) -> Labels:
    return tuple([pair for pair in labels if pair[0] in _TARGET_LABELS])


def _scrapes(every: Iterable[Series]) -> dict[Labels, list[float]]:
    """Sample times by scraped target, sorted."""
    times: dict[Labels, set[float]] = {}
    for series in every:
        times.setdefault(_target(series.labels), set()).update([sample.time for sample in series.samples])
    return {target: sorted(found) for target, found in times.items()}


def _arm(every: Iterable[Series], targets: dict[Labels, list[float]], fails: Callable[[Series], bool]) -> ArmTraffic:
    increments: list[Increment] = []
    failed: list[Increment] = []
    times: set[float] = set()
    for series in every:
        samples = [sample for sample in series.samples if 0 <= sample.value < math.inf]
        times.update([sample.time for sample in samples])
        target = _target(series.labels)
        grown = _differences(samples, target, targets[target], series.labels)
        increments += grown
        if grown and fails(series):
            failed += grown
    increments.sort(key=_BY_END)
    failed.sort(key=_BY_END)
    return ArmTraffic(tuple(increments), tuple(sorted(times)), tuple(failed))


_BY_END = attrgetter("end")


def _ending(increments: Sequence[Increment], after: float, until: float) -> tuple[Increment, ...]:
    first, last = (bisect_right(increments, time, key=_BY_END) for time in (after, until))
    return tuple(increments[first:last])


def _differences(samples: Sequence[Sample], target: Labels, scrapes: Sequence[float], series: Labels) -> list[Increment]:
    if not samples:
        return []
    found = []
    first = samples[0]
    if first.value > 0 and scrapes[0] < first.time:
        found.append(Increment(scrapes[bisect_left(scrapes, first.time) - 1], first.time, first.value, target, series=series))
    for before, after in pairwise(samples):
        fell = after.value < before.value
        gained = after.value if fell else after.value - before.value
        if gained > 0 or fell:
            found.append(Increment(before.time, after.time, gained, target, fell, series))
    return found


# The window.


def advance_window(window: WindowStatus, traffic: Traffic, *, scrape_interval: float, needs_blue: bool = True) -> WindowStatus:
    """The window as far as samples of both colours reach; the same object where nothing is new.

    Only samples after `last_sample` count, so that the same answer twice changes nothing. Time without
    samples of one colour for more than three scrapes is a gap: it is left out of `ran`, and the window
    lengthens by it; `apart` counts samples that follow a gap each, as where scrapes are rarer than the
    plan says. At 100 % blue has no requests and is not waited for.
    """
    if traffic.fault:
        return window
    arms = (traffic.blue, traffic.green) if needs_blue else (traffic.green,)
    until = min(arm.newest for arm in arms)
    after = max(window.last_sample, window.opened_at)
    if until <= after:
        return window
    gaps = _union([gap for arm in arms for gap in _gaps(arm.times, after, until, GAP_SCRAPES * scrape_interval)])
    covered = (until - after) - sum(end - start for start, end in gaps)
    return window.model_copy(
        update={
            "last_sample": until,
            "ran": window.ran + max(0.0, covered),
            "apart": None if covered > 0 else (window.apart or 0) + 1,
            "n_green": window.n_green + _counted(traffic.green, window, after, until),
            "n_blue": window.n_blue + _counted(traffic.blue, window, after, until),
        }
    )


def _counted(arm: ArmTraffic, window: WindowStatus, after: float, until: float) -> float:
    # An increment that began before the window opened also holds requests from before it.
    return sum([i.requests for i in arm.increments if after < i.end <= until and i.start >= window.opened_at])


def _gaps(times: Sequence[float], after: float, until: float, longest: float) -> list[tuple[float, float]]:
    """The stretches of `(after, until]` that lie between samples more than `longest` apart."""
    known = [time for time in times if time <= after]
    marks = [known[-1] if known else after, *(time for time in times if after < time <= until), until]
    return [(max(start, after), end) for start, end in pairwise(marks) if end - start > longest]


def _union(stretches: list[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in sorted(stretches):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


# The drain.


@dataclass(frozen=True, slots=True)
class Quiet:
    """Whether a colour gets no requests.

    Attributes:
        quiet: it gets none.
        known: False where nobody can say.
        why: what was seen, or what is missing.
        early: nobody can say yet: there are samples, and none from after the drain.
    """

    quiet: bool
    known: bool
    why: str
    early: bool = False


def quiet(traffic: Traffic, *, since: float, drain: float, scrape_interval: float, colour: str = "green") -> Quiet:
    """Whether a colour had no request over the newest `drain` seconds, all of them after `since`.

    Shown by samples only: some series of the answer must reach past `since + drain`, without a gap. An
    answer without any series shows nothing.
    """
    if traffic.fault:
        return Quiet(quiet=False, known=False, why=reasons.say(traffic.fault, traffic.detail))
    newest = traffic.scraped
    if newest == -math.inf:
        return Quiet(quiet=False, known=False, why="Prometheus's answer has no sample of either version")
    if newest < since + drain:
        return Quiet(quiet=False, known=False, why="no sample yet from after the drain", early=newest > since)
    arm = traffic.green if colour == "green" else traffic.blue
    after = newest - drain
    times = sorted({*traffic.blue.times, *traffic.green.times})
    if _gaps(times, after, newest, GAP_SCRAPES * scrape_interval):
        return Quiet(quiet=False, known=False, why="the samples have a gap within the drain")
    # The increment that spans the beginning of the drain may hold requests from before it.
    seen = arm.since(after, since)
    if seen:
        return Quiet(quiet=False, known=True, why=f"{colour} had {many(seen, 'request')} in the last {drain:.0f} s")
    return Quiet(quiet=True, known=True, why=f"{colour} had no request in the last {drain:.0f} s")


def reached(traffic: Traffic, *, seconds: float, colour: str = "green") -> bool:
    """Whether the samples of the newest seconds show requests of a colour, whatever came before them."""
    arm = traffic.green if colour == "green" else traffic.blue
    return any(increment.requests for increment in arm.increments if increment.end > traffic.scraped - seconds)
