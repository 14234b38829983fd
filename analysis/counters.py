"""Raw counter samples of both arms become ticks: differenced per series, cut on one grid, resumable.

It stands before every rate and latency test. It asks nobody and stores one number: the time up to which
everything was counted. What a series contributes follows from its own samples alone:

    series          scrape 1   scrape 2   scrape 3
    {code: 200}     100        150        20         +50, then +20: the counter was reset
    {code: 503}     -          7          7          +7: its target was already scraped, so it started at 0
    of a new pod    -          30         90         30 are only a base, then +60; but +30, +60 where the pod
                                                     is known to have started after the scrape before

An increment belongs to the tick in which it *ends*. Ticks are cut at `cursor + k * every`, wherever both
arms have a sample since the cut before; an arm without one lengthens the tick. So the ticks depend on
the samples and not on when somebody looked, and a restart counts nothing twice and loses nothing: asking
again from `Cursor.until - look_back` finds every base again.

A tick is only given out once every live target has a sample at or past its end, because Prometheus takes
a target's samples in order of time and nothing can then be added before it. A target that missed scrapes lengthens
the tick, so that both arms' increments cover the same seconds to one scrape. A target that is silent for longer than
`patience` is not waited for. If it comes back, its increment covers other seconds than the other arm's: it is set
aside, and the number of its events is reported. A counter whose samples cannot be counted is no fresh one: ticks end at
its last good sample (`analysis.usable`). Where two servers scrape the same target one is read; when that one goes
down, the other one's copy goes on from what was counted (`analysis.copies`).
"""

import math
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from analysis import copies, reasons
from analysis.cuts import Grid, missed
from analysis.model import Arm, Labels, Series, Tick
from analysis.usable import Spoilt, clean, spoilt

TARGET_LABELS = frozenset({"job", "instance", "pod", "namespace", "node", "cluster"})
"""Labels that Prometheus gives to a scraped target, as most set-ups name them."""

REPLICA_LABELS = frozenset({"prometheus", "prometheus_replica", "replica", "__replica__"})
"""Labels by which two servers that scrape the same targets mark their copies."""

VERSION = 1


@dataclass(frozen=True, slots=True)
class Scrapes:
    """How the samples are made and cut.

    Attributes:
        interval: seconds between two scrapes of a target.
        every: seconds between two cuts; at least `interval`.
        patience: seconds of silence after which a target is not waited for.
        candidate_ahead: seconds by which the candidate's timestamps run ahead of the baseline's (two servers' clocks).
        target_labels, replica_labels: names of labels.
    """

    interval: float = 15.0
    every: float = 15.0
    patience: float = 45.0
    candidate_ahead: float = 0.0
    target_labels: frozenset[str] = TARGET_LABELS
    replica_labels: frozenset[str] = REPLICA_LABELS

    def __post_init__(self) -> None:
        if not 0 < self.interval <= self.every:
            raise ValueError(f"ticks of {self.every:g} s cannot be cut from scrapes every {self.interval:g} s")
        if not self.patience >= self.interval:
            raise ValueError(f"a patience of {self.patience:g} s is shorter than one scrape of {self.interval:g} s")

    @property
    def look_back(self) -> float:
        """Seconds before the cursor that a query must reach back to, so that every base is found."""
        return self.patience + 2 * self.interval

    @property
    def slack(self) -> float:
        """One scrape and its jitter, seconds: what "the same interval" may differ by."""
        return 1.5 * self.interval


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything up to `until` (sample time, Unix seconds) was counted. The whole state of differencing."""

    until: float

    def to_json(self) -> dict[str, float]:
        """A small versioned value."""
        return {"v": VERSION, "until": self.until}

    @classmethod
    def from_json(cls, stored: Mapping[str, object]) -> "Cursor":
        """Read back what `to_json` gave; ValueError on anything else."""
        until = stored.get("until")
        if stored.get("v") != VERSION or not isinstance(until, int | float) or not math.isfinite(until):
            raise ValueError("this is not a cursor of version 1")
        return cls(float(until))


@dataclass(frozen=True, slots=True)
class Counter:
    """One arm's series that count the same thing; `name` tells its counters apart ("n", "bad", a bucket edge)."""

    arm: Arm
    name: Hashable
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Witness:
    """What is known of targets beside the counters.

    Attributes:
        scraped: series that exist in every scrape of a target, such as `up`; only their times are used.
        started: start times of targets' processes, Unix seconds, by the value of a target label (the pod's name or the instance).
    """

    scraped: tuple[Series, ...] = ()
    started: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slice:
    """Counts of all counters within `(start, end]`, by arm and name.

    Attributes:
        counts: what is judged.
        set_aside: events of targets that came back in it after a silence; not among the counts, and unknown where a look begins in it.
    """

    start: float
    end: float
    counts: Mapping[tuple[Arm, Hashable], float]
    set_aside: Mapping[tuple[Arm, Hashable], float] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Differenced:
    """What one look gave.

    Attributes:
        slices: complete ticks, oldest first.
        cursor: where the next look goes on.
        waiting_for: arms without a sample since the last cut: they lengthen the tick.
        fault: "" or a word of `analysis.reasons`: both arms count the same series, so there are no slices.
        unusable: what the newest samples of a counter are that hold the ticks at its last good one, in words; "" where none do.
    """

    slices: tuple[Slice, ...]
    cursor: Cursor
    waiting_for: tuple[Arm, ...] = ()
    fault: str = ""
    unusable: str = ""


_Increment = tuple[float, float, float]
"""End, start, and what was gained, in this order, so that increments are sorted as they are."""

_Scraped = tuple[Labels, Series]
"""A series with the labels of its target."""


def ticks(differenced: Differenced, total: Hashable = "n", bad: Hashable = "bad") -> tuple[Tick, ...]:
    """The slices as ticks. Bad events beyond the requests (two counters that disagree) are cut to them."""
    return tuple(_tick(part, total, bad) for part in differenced.slices)


def _tick(part: Slice, total: Hashable, bad: Hashable) -> Tick:
    n = {arm: part.counts.get((arm, total), 0.0) for arm in Arm}
    x = {arm: min(part.counts.get((arm, bad), 0.0), n[arm]) for arm in Arm}
    return Tick(part.start, part.end, n[Arm.CANDIDATE], x[Arm.CANDIDATE], n[Arm.BASELINE], x[Arm.BASELINE])


def difference(
    counters: Sequence[Counter],
    cursor: Cursor,
    scrapes: Scrapes,
    *,
    witness: Witness | None = None,
    needs: Iterable[Arm] = (Arm.BASELINE, Arm.CANDIDATE),
) -> Differenced:
    """All complete ticks after the cursor.

    Values that are not finite, below 0 or beyond 2^53 are no counts: no tick ends where a live series has nothing but them. Times
    that are not finite are no samples; a doubled time counts once; order of series and of samples does not matter.

    Args:
        counters: both arms' counters, with samples from `cursor.until - scrapes.look_back` on.
        cursor: what was counted already.
        scrapes: how samples are made and cut.
        witness: what else is known of the targets.
        needs: arms that must be fresh for a tick; the candidate alone where the baseline has no traffic.
    """
    if _same_series(counters):
        return Differenced((), cursor, fault=reasons.SAME_SERIES)
    known = witness or Witness()
    cleaned, open_ones = _cleaned(counters, cursor.until, scrapes)
    targets = _targets(cleaned, known, scrapes)
    fresh = {arm: _times(every for counter, every in cleaned if counter.arm is arm) for arm in Arm}
    needed = tuple(needs)
    bases = _Bases(cursor.until, targets, known.started, scrapes, open_ones.appeared)
    blind = bases.blind(one for _, every in cleaned for one in every)
    increments = {(counter.arm, counter.name): _increments(every, bases, blind) for counter, every in cleaned}
    holding = open_ones.holding(max((times[-1] for times in fresh.values() if times), default=-math.inf), scrapes.patience)
    until = min([_settled_until(fresh, needed, targets, scrapes), *(one.good for one in holding)])
    grid = Grid(cursor.until, until, scrapes.every, missed(targets.values(), scrapes.slack, scrapes.patience, open_ones.stretches))
    cuts = grid.cuts([fresh[arm] for arm in needed])
    slices = _fill(cuts, increments, scrapes.slack)
    end = Cursor(cuts[-1])
    waiting = tuple(arm for arm in needed if not fresh[arm] or fresh[arm][-1] <= end.until)
    return Differenced(slices, end, waiting, unusable=holding[0].words if holding else "")


def _same_series(counters: Sequence[Counter]) -> bool:
    """Whether some series counts for both arms: a selector matched too much, and the arms could never differ."""
    seen = {arm: {series.labels for counter in counters if counter.arm is arm for series in counter.series} for arm in Arm}
    return bool(seen[Arm.BASELINE] & seen[Arm.CANDIDATE])


def _cleaned(counters: Sequence[Counter], since: float, scrapes: Scrapes) -> tuple[list[tuple[Counter, list[_Scraped]]], Spoilt]:
    """All series without what is no count, and what that leaves open."""
    found: list[tuple[Counter, list[Series]]] = []
    left = Spoilt()
    for counter in counters:
        ahead = scrapes.candidate_ahead if counter.arm is Arm.CANDIDATE else 0.0
        every = [clean(one, ahead) for one in counter.series]
        left = left.and_more(spoilt(zip(counter.series, every, strict=True), ahead))
        found.append((counter, every))
    all_of_them = [one for _, every in found for one in every]
    reading = copies.Reading.of(all_of_them, scrapes.target_labels, scrapes.replica_labels, scrapes.patience, since)
    return [(counter, _scraped(every, reading)) for counter, every in found], left


def _scraped(cleaned: Iterable[Series], reading: copies.Reading) -> list[_Scraped]:
    """A counter's series, each once, from the last counted sample on: older ones have nothing to say any more."""
    return [(copies.among(one.labels, reading.targets), _from(one, reading.since)) for one in copies.one_each(cleaned, reading)]


def _from(series: Series, since: float) -> Series:
    """The samples after this time and the one before them, which is their base."""
    samples = series.samples
    first = len(samples)
    while first and samples[first - 1].time > since:
        first -= 1
    return Series(series.labels, samples[first - 1 :]) if first > 1 else series


def _targets(cleaned: Sequence[tuple[Counter, list[_Scraped]]], witness: Witness, scrapes: Scrapes) -> dict[Labels, list[float]]:
    """Sample times by target, sorted, of everything that was scraped from it."""
    times: dict[Labels, set[float]] = {}
    beside = [(copies.among(series.labels, scrapes.target_labels), series) for series in witness.scraped]
    for every in (*(every for _, every in cleaned), beside):
        for target, series in every:
            times.setdefault(target, set()).update([sample.time for sample in series.samples])
    return {target: sorted(found) for target, found in times.items()}


def _times(every: Iterable[list[_Scraped]]) -> list[float]:
    return sorted({sample.time for several in every for _, series in several for sample in series.samples})


@dataclass(frozen=True, slots=True)
class _Bases:
    """What tells whether a series' first sample counts: those up to `since` were counted, others where their target was already there.

    A series `appeared` with its first sample of any value, even where that was no count.
    """

    since: float
    targets: Mapping[Labels, list[float]]
    started: Mapping[str, float]
    scrapes: Scrapes
    appeared: Mapping[Labels, float]

    def began(self, target: Labels, series: Series) -> float | None:
        """Since when a series counts with its first sample, or None where that is only a base."""
        first = series.samples[0].time
        if first <= self.since:
            return None
        first = self.appeared.get(series.labels, first)
        scraped = self.targets[target]
        earlier = bisect_left(scraped, first) - 1
        if earlier >= 0:
            return scraped[earlier]
        start = max((self.started[value] for _, value in target if value in self.started), default=None)
        return start if start is not None and first - self.scrapes.interval < start <= first else None

    def blind(self, every: Iterable[_Scraped]) -> dict[Labels, float]:
        """By target, the time up to which a counter of a new one had no count: what it counted till then, nobody knows."""
        found: dict[Labels, float] = {}
        for target, series in every if self.appeared else ():
            if series.labels in self.appeared and series.samples[0].time > self.since and self.began(target, series) is None:
                found[target] = max(series.samples[0].time, found.get(target, -math.inf))
        return found


def _increments(every: Sequence[_Scraped], bases: _Bases, blind: Mapping[Labels, float]) -> list[_Increment]:
    """Increments of all series, by end; those of a target that was blind to some of its requests are set aside with them."""
    resets = _resets(every)
    found: list[_Increment] = []
    for target, series in every:
        before = series.samples[0]
        begun, known = bases.began(target, series), blind.get(target, -math.inf)
        if begun is not None and before.value > 0:
            found.append((before.time, -math.inf if before.time <= known else begun, before.value))
        reset = resets.get(_family(series.labels), _NO_TIMES) if resets else _NO_TIMES
        for after in series.samples[1:]:
            gained = after.value if after.time in reset else after.value - before.value
            if gained > 0:
                found.append((after.time, -math.inf if after.time <= known else before.time, gained))
            before = after
    # The sum of floats depends on their order, and the same samples must give the same state to the bit.
    return sorted(found)


_NO_TIMES: frozenset[float] = frozenset()


def _resets(every: Sequence[_Scraped]) -> dict[Labels, set[float]]:
    """When counters fell, by histogram: its buckets are reset together."""
    found: dict[Labels, set[float]] = {}
    for _, series in every:
        for before, after in pairwise(series.samples):
            if after.value < before.value:
                found.setdefault(_family(series.labels), set()).add(after.time)
    return found


def _family(labels: Labels) -> Labels:
    """What the buckets of one histogram have in common."""
    return tuple([pair for pair in labels if pair[0] != "le"])


def _settled_until(
    fresh: Mapping[Arm, list[float]], needed: Sequence[Arm], targets: Mapping[Labels, list[float]], scrapes: Scrapes
) -> float:
    """The time before which no sample can be added: the least newest sample of the targets that still live."""
    if any(not fresh[arm] for arm in needed):
        return -math.inf
    newest = min(fresh[arm][-1] for arm in needed)
    lasts = [times[-1] for times in targets.values() if times]
    reach = max(lasts)
    return min([newest, *(last for last in lasts if last > reach - scrapes.patience)])


def _fill(cuts: Sequence[float], increments: Mapping[tuple[Arm, Hashable], list[_Increment]], slack: float) -> tuple[Slice, ...]:
    counts: list[dict[tuple[Arm, Hashable], float]] = [dict.fromkeys(increments, 0.0) for _ in cuts[1:]]
    aside: list[dict[tuple[Arm, Hashable], float]] = [{} for _ in cuts[1:]]
    for key, found in increments.items():
        index = 0
        for end, start, gained in found:
            while index < len(counts) and end > cuts[index + 1]:
                index += 1
            if index == len(counts):
                break
            if end <= cuts[0]:
                continue
            if start < cuts[index] - slack:
                aside[index][key] = aside[index].get(key, 0.0) + gained
            else:
                counts[index][key] += gained
    return tuple(Slice(*cut, *parts) for cut, *parts in zip(pairwise(cuts), counts, aside, strict=True))
