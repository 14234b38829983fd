"""What of a counter's samples can be counted, and what a counter that cannot be counted any more does to the ticks.

A value that is not finite, below 0 or beyond 2^53 is no count. Such samples say that the target was scraped and not what it counted:

    scrape      1      2      3      4      5
    {code: 500} 10     NaN    NaN    50     60     no cut between 1 and 4, so that the +40 is counted in the tick that ends at 4
    {code: 500} 10     20     NaN    NaN    NaN    no tick beyond 2 until it is sound again: what it counts now nobody knows

Without this the failures behind such samples would be missing, and the requests beside them would make the version look sound.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from analysis.model import Labels, Sample, Series

MOST_COUNT = 2.0**53
"""A float that is larger cannot count by ones any more."""


def in_words(labels: Labels) -> str:
    """A series as it is written in a query."""
    named = ", ".join(f'{key}="{value}"' for key, value in labels if key != "__name__")
    return f"{dict(labels).get('__name__', '')}{{{named}}}"


@dataclass(frozen=True, slots=True)
class Held:
    """A series whose newest samples are no counts.

    Attributes:
        labels: its own.
        good: time of its last good sample, Unix seconds; minus infinity without one.
        newest, value: time and value of its newest sample.
    """

    labels: Labels
    good: float
    newest: float
    value: float

    @property
    def words(self) -> str:
        """What is wrong, for people."""
        return f"{in_words(self.labels)} is {self.value:g}"


@dataclass(frozen=True, slots=True)
class Spoilt:
    """What unusable samples leave open.

    Attributes:
        held: series that end in them.
        stretches: from the last good sample before such samples, or the first of them, to the next good one, Unix seconds.
        appeared: when a series that begins with them had its first sample of any value.
    """

    held: tuple[Held, ...] = ()
    stretches: tuple[tuple[float, float], ...] = ()
    appeared: Mapping[Labels, float] = field(default_factory=dict)

    def and_more(self, other: "Spoilt") -> "Spoilt":
        """Of both."""
        if not other.held and not other.stretches:
            return self
        return Spoilt((*self.held, *other.held), (*self.stretches, *other.stretches), {**self.appeared, **other.appeared})

    def holding(self, newest: float, patience: float) -> tuple[Held, ...]:
        """The series that hold the ticks: those that are scraped still; one that ended so is not waited for."""
        return tuple(one for one in self.held if one.newest > newest - patience)


def clean(series: Series, ahead: float = 0.0) -> Series:
    """Usable samples by time (less the seconds that its clock runs ahead), one a time; of two values at one time the larger."""
    if not ahead and _is_clean(series.samples):
        return series
    found: dict[float, float] = {}
    for sample in series.samples:
        if _is_count(sample) and math.isfinite(sample.time):
            time = sample.time - ahead
            found[time] = max(sample.value, found.get(time, 0.0))
    return Series(series.labels, tuple(Sample(time, found[time]) for time in sorted(found)))


def spoilt(pairs: Iterable[tuple[Series, Series]], ahead: float = 0.0) -> Spoilt:
    """What the samples leave open that cleaning has taken out.

    Args:
        pairs: each series as it came and as it was cleaned.
        ahead: seconds that its clock runs ahead.
    """
    held: list[Held] = []
    stretches: list[tuple[float, float]] = []
    appeared: dict[Labels, float] = {}
    for raw, good in pairs:
        times = [sample.time for sample in good.samples]
        if raw is good or len(times) == len(raw.samples):
            continue
        known = set(times)
        open_at = sorted(
            (sample.time - ahead, sample.value)
            for sample in raw.samples
            if math.isfinite(sample.time) and not _is_count(sample) and sample.time - ahead not in known
        )
        if open_at:
            held += _held(raw.labels, times, open_at[-1])
            stretches += _stretches(times, [time for time, _ in open_at])
            if times and open_at[0][0] < times[0]:
                appeared[raw.labels] = open_at[0][0]
    return Spoilt(tuple(held), tuple(stretches), appeared)


def _held(labels: Labels, times: Sequence[float], newest: tuple[float, float]) -> list[Held]:
    last = times[-1] if times else -math.inf
    return [Held(labels, last, *newest)] if newest[0] > last else []


def _stretches(times: Sequence[float], unusable: Sequence[float]) -> list[tuple[float, float]]:
    """Every stretch of unusable samples that a good one ends."""
    found: dict[float, float] = {}
    for time in unusable:
        after = next((good for good in times if good > time), None)
        if after is not None:
            before = max((good for good in times if good < time), default=time)
            found[after] = min(before, found.get(after, math.inf))
    return [(before, after) for after, before in sorted(found.items())]


def _is_count(sample: Sample) -> bool:
    return 0 <= sample.value <= MOST_COUNT


def _is_clean(samples: Iterable[Sample]) -> bool:
    """Whether the samples are as Prometheus sends a counter's: nothing to leave out, and in order of time."""
    before = -math.inf
    for sample in samples:
        if not (before < sample.time < math.inf and 0 <= sample.value <= MOST_COUNT):
            return False
        before = sample.time
    return True
