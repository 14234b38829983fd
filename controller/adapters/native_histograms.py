"""Native histograms of a range answer as classic buckets: cumulative counts at edges, one series an edge.

What comes after, differencing, common edges of layouts that differ, evidence, needs to know one kind of histogram only.
Exponential buckets of every resolution merge exactly into those of a lower one, so that all are read at the powers of two:
the same edges in every answer, whichever buckets happened to be filled.

    buckets    (0.35, 0.5] 3   (0.5, 0.71] 9   (1, 1.41] 4        of 16 requests
    series     le="0.5" 3      le="1" 12       le="2" 16   le="+Inf" 16

An edge inside a filled bucket has no count: a coarser resolution, a wider zero bucket. It is left out, never interpolated. Custom
boundaries (classic buckets that Prometheus 3 stored as a native histogram) are read at themselves.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile
from typing import Any

from analysis.model import Labels, Sample, Series

GRID = tuple(2.0**power for power in range(-11, 18))
"""Half a millisecond to two minutes, whether the metric is in seconds or in milliseconds."""

FINEST = 8
"""The highest schema: 2^8 buckets to a doubling."""

_NAME, _EDGE, _BUCKET = "__name__", "le", "_bucket"
_EXACT = 1e-9


@dataclass(frozen=True, slots=True)
class Scrape:
    """One native histogram as it was scraped.

    Attributes:
        time: Unix seconds.
        total: all observations.
        lefts, rights: bounds of the filled buckets, rising.
        below: observations at or below each right bound.
        custom: the finite bounds above 0 where they are none of an exponential schema; empty where they are.
    """

    time: float
    total: float
    lefts: tuple[float, ...]
    rights: tuple[float, ...]
    below: tuple[float, ...]
    custom: frozenset[float] = frozenset()

    def at(self, edge: float) -> float | None:
        """Observations at or below the edge; None where it lies inside a filled bucket."""
        if edge == math.inf:
            return self.total
        index = bisect_right(self.rights, edge)
        if index < len(self.lefts) and self.lefts[index] < edge:
            return None
        return self.below[index - 1] if index else 0.0


@dataclass(frozen=True, slots=True)
class Native:
    """The native histograms of one label set, oldest first."""

    labels: Labels
    scrapes: tuple[Scrape, ...]


def read(time: Any, histogram: Mapping[str, Any]) -> Scrape:
    """One histogram of the query API: its `count`, and `buckets` of [boundary rule, left, right, count].

    Raises KeyError, TypeError or ValueError where it is none.
    """
    every = sorted((float(left), float(right), float(count)) for _, left, right, count in histogram.get("buckets") or ())
    lefts, rights, counts = zip(*every, strict=True) if every else ((), (), ())
    return Scrape(float(time), float(histogram["count"]), lefts, rights, tuple(accumulate(counts)), _custom(lefts, rights))


def _custom(lefts: tuple[float, ...], rights: tuple[float, ...]) -> frozenset[float]:
    """See `Scrape.custom`. The zero bucket, which ends anywhere, is not looked at."""
    sides = (pair for pair in zip(lefts, rights, strict=True) if pair[0] >= 0 or pair[0] == -math.inf)
    bounds = frozenset(bound for pair in sides for bound in pair if 0 < bound < math.inf)
    powers = (math.log2(bound) * 2**FINEST for bound in bounds)
    return frozenset() if all(abs(power - round(power)) < _EXACT * 2**FINEST for power in powers) else bounds


def as_buckets(floats: Iterable[Series], natives: Iterable[Native]) -> tuple[Series, ...]:
    """All series of an answer, the native histograms among them as buckets.

    Where a label set has both kinds, the native ones count the same requests again: they only go on after the last classic sample, at the
    edges that both have.
    """
    floats, natives = list(floats), list(natives)
    classic: dict[Labels, dict[float, Series]] = {}
    for series in floats:
        edge = _edge_of(series)
        if edge is not None:
            classic.setdefault(_without_edge(series.labels), {})[edge] = series
    custom = frozenset().union(*(scrape.custom for native in natives for scrape in native.scrapes))
    replaced: set[Labels] = set()
    made: list[Series] = []
    for native in natives:
        name = _bucket_labels(native.labels)
        before = classic.get(name, {})
        last = max((series.samples[-1].time for series in before.values() if series.samples), default=-math.inf)
        scrapes = [scrape for scrape in native.scrapes if scrape.time > last]
        if not scrapes:
            continue
        edges = before or (*(sorted(custom) if any(scrape.custom for scrape in scrapes) else GRID), math.inf)
        made += _spliced(name, before, edges, scrapes)
        replaced |= {series.labels for series in before.values()}
    return (*(series for series in floats if series.labels not in replaced), *made)


def _spliced(name: Labels, before: Mapping[float, Series], edges: Iterable[float], scrapes: Sequence[Scrape]) -> Iterable[Series]:
    """A series for each edge at which every one of these histograms has a count, behind the classic samples of that edge."""
    for edge in edges:
        counts = list(takewhile(lambda count: count is not None, (scrape.at(edge) for scrape in scrapes)))
        if len(counts) < len(scrapes):
            continue
        samples = tuple(Sample(scrape.time, count) for scrape, count in zip(scrapes, counts, strict=True) if count is not None)
        known = before.get(edge)
        if known is not None:
            yield Series(known.labels, (*known.samples, *samples))
        else:
            yield Series(tuple(sorted((*name, (_EDGE, edge_text(edge))))), samples)


def edge_text(edge: float) -> str:
    """An edge as Prometheus writes it: `64`, `0.5`, `+Inf`."""
    if edge == math.inf:
        return "+Inf"
    return str(int(edge)) if edge == int(edge) else repr(edge)


def _edge_of(series: Series) -> float | None:
    try:
        return float(dict(series.labels)[_EDGE])
    except (KeyError, ValueError):
        return None


def _without_edge(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] != _EDGE)


def _bucket_labels(labels: Labels) -> Labels:
    return tuple((key, f"{value}{_BUCKET}" if key == _NAME else value) for key, value in labels)
