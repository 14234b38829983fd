"""Is the candidate slower? Its tail at bucket edges against the baseline's, by the Bernoulli form.

A bad event at an edge is a request slower than it, taken from the same scrape as `+Inf`. The e-value of
the check is the mean over edges: an average of e-values is one, under any dependence. The edges are those of
the baseline's history and fixed before the release. A latency *ratio* compares different edges: the
baseline's tail beyond u with the candidate's beyond the first edge at or above ratio * u, so that the
rounding favours the candidate.

Layouts that differ (an upgrade, a new library) are intersected. A histogram that contradicts itself is a
word of `analysis.reasons`, never a number. One that did so for a while, and does not any more, has no counts in
those scrapes: they are bridged as those of a counter that was NaN (`analysis.usable`). `histogram_quantile` is for people: it
interpolates, and a quantile has no count to bet on.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import le
from typing import Any

from analysis import rate, reasons
from analysis.counters import Counter, Slice
from analysis.model import Arm, Labels, Sample, Series, Tick
from analysis.numbers import logsumexp
from analysis.rate import LATENCY_GRID, Dispersion, Form, RateState, RateTest

LEAST_TAIL, MOST_TAIL = 0.001, 0.5
MOST_EDGES = 5

_ROUNDING = 1e-9
"""Counts that were added up, as by a recording rule, may stand so far below those of a smaller edge: that is no fault."""

NO_USABLE_EDGE = "more than half of the baseline's requests are beyond the largest bucket edge"
"""What is said where `usable_edges` finds none in a history that has requests."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Both arms' histograms as counters, one an edge, or why there are none.

    Attributes:
        counters: named by their edge (the metric's unit; infinity is all requests), common edges only.
        edges: the common finite edges, rising.
        fault: "" or a word of `reasons.UNUSABLE_HISTOGRAM`.
        detail: what was found, for people.
        fell: times of scrapes, Unix seconds, in which some histogram counts less below a larger edge; the counters have no numbers there.
    """

    counters: tuple[Counter, ...] = ()
    edges: tuple[float, ...] = ()
    fault: str = ""
    detail: str = ""
    fell: frozenset[float] = frozenset()


def read_buckets(arms: Mapping[Arm, Sequence[Series]], wanted: frozenset[float] = frozenset()) -> Buckets:
    """The counters of classic buckets with an `le` label. Never raises: a fault is a `Buckets`.

    Args:
        arms: raw samples of the buckets.
        wanted: the edges to read, infinity among them; all if empty.
    """
    common: set[float] | None = None
    fell: set[float] = set()
    named: dict[tuple[Arm, float], list[Series]] = {}
    for arm, every in arms.items():
        for identity, buckets in _histograms(every, wanted).items():
            edges = {text: _edge(text) for text in buckets}
            rising = _rising(edges)
            fault, detail = _fault(identity, buckets, edges, rising)
            if fault:
                return Buckets(fault=fault, detail=detail)
            common = set(edges.values()) if common is None else common.intersection(edges.values())
            falling = _falling(buckets, rising)
            fell |= falling
            for text, series in buckets.items():
                named.setdefault((arm, edges[text]), []).extend([_without(one, falling) for one in series] if falling else series)
    if common is None:
        return Buckets(fault=reasons.NO_SERIES)
    finite = tuple(sorted(edge for edge in common if math.isfinite(edge)))
    if not finite:
        return Buckets(fault=reasons.NO_COMMON_EDGE, detail="the histograms share no edge but +Inf")
    kept = [(arm, edge) for arm, edge in sorted(named) if edge in common]
    return Buckets(tuple(Counter(arm, edge, tuple(named[arm, edge])) for arm, edge in kept), finite, fell=frozenset(fell))


def falls(below: float, above: float) -> bool:
    """Whether the count of a larger edge is less than that of a smaller one, by more than adding up rounds."""
    return below > above + abs(above) * _ROUNDING


def contradicts(every: Iterable[Series]) -> bool:
    """Whether some histogram of classic buckets has a scrape in which it counts less below a larger edge."""
    found = _histograms(every, frozenset()).values()
    return any(_falling(buckets, _rising({text: _edge(text) for text in buckets})) for buckets in found)


def _rising(edges: Mapping[str, float]) -> list[str]:
    """Edges as they are written, the smallest first."""
    return sorted(edges, key=lambda text: (edges[text], text))


def _falling(buckets: Mapping[str, Sequence[Series]], rising: Sequence[str]) -> frozenset[float]:
    """The scrapes of one histogram that count less below a larger edge, by their times."""
    found: set[float] = set()
    every = [buckets[text][0].samples for text in rising]
    counts = [[sample.value for sample in samples] for samples in every]
    for (low, high), (below, beyond) in zip(pairwise(every), pairwise(counts), strict=True):
        if len(low) == len(high) and all(map(le, below, beyond)):
            continue
        above = {sample.time: sample.value for sample in high}
        found.update([sample.time for sample in low if falls(sample.value, above.get(sample.time, math.inf))])
    return frozenset(found)


def _without(series: Series, times: frozenset[float]) -> Series:
    """The series without a number at these times: it was scraped then, and what it counted nobody knows."""
    return Series(series.labels, tuple(Sample(one.time, math.nan) if one.time in times else one for one in series.samples))


def _histograms(every: Iterable[Series], wanted: frozenset[float]) -> dict[Labels, dict[str, list[Series]]]:
    """The series of each bucket, by its histogram and by its edge as it is written."""
    found: dict[Labels, dict[str, list[Series]]] = {}
    for series in every:
        text = dict(series.labels).get("le", "")
        if not wanted or _edge(text) in wanted:
            identity = tuple([pair for pair in series.labels if pair[0] != "le"])
            found.setdefault(identity, {}).setdefault(text, []).append(series)
    return found


def _edge(text: str) -> float:
    """Of a bucket; one that is no number counts as infinite, so that it is looked at and named."""
    try:
        return float(text)
    except ValueError:
        return math.inf


def _fault(identity: Labels, buckets: Mapping[str, Sequence[Series]], edges: Mapping[str, float], rising: Sequence[str]) -> tuple[str, str]:
    """What is wrong with one histogram: a word and a sentence about it; both empty for a good one."""
    for text in buckets:
        if _is_no_number(text):
            return reasons.BAD_BUCKET_EDGE, f'the bucket edge "{text}" of the histogram {_named(identity)} is no number'
    if edges[rising[-1]] != math.inf:
        return reasons.NO_INF_BUCKET, f"the histogram {_named(identity)} has no +Inf bucket"
    scrapes: dict[float, list[float]] = {}
    for text in rising:
        for sample in buckets[text][0].samples[-1:]:
            scrapes.setdefault(sample.time, []).append(sample.value)
    if any(falls(below, above) for counts in scrapes.values() for below, above in pairwise(counts)):
        return reasons.FALLING_BUCKETS, f"the histogram {_named(identity)} counts less below a larger edge"
    return "", ""


def _named(identity: Labels) -> str:
    return ", ".join(f'{key}="{value}"' for key, value in identity) or "without labels"


def _is_no_number(edge: str) -> bool:
    try:
        return math.isnan(float(edge))
    except ValueError:
        return True


@dataclass(frozen=True, slots=True)
class EdgeTest:
    """One edge: requests of each arm slower than its edge are bad."""

    baseline_edge: float
    candidate_edge: float
    test: RateTest


@dataclass(frozen=True, slots=True)
class LatencyTest:
    """What is tested; frozen before the release."""

    edges: tuple[EdgeTest, ...]


@dataclass(frozen=True, slots=True)
class LatencyState:
    """A rate state for each edge."""

    edges: tuple[RateState, ...]

    @property
    def ln_e(self) -> float:
        """The log of the mean of the edges' e-values."""
        return logsumexp(state.ln_e for state in self.edges) - math.log(len(self.edges))

    @property
    def ln_e_promotion(self) -> float:
        """The log of the least e-value: for early promotion every edge must be shown to be within its margin."""
        return min(state.ln_e for state in self.edges)

    def to_json(self) -> dict[str, Any]:
        """A small versioned value: less than 4 KB for five edges."""
        return {"v": rate.VERSION, "edges": [state.to_json() for state in self.edges]}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], test: LatencyTest) -> "LatencyState":
        """Read back what `to_json` gave for this test; ValueError on anything else."""
        edges = stored.get("edges")
        if stored.get("v") != rate.VERSION or not isinstance(edges, list) or len(edges) != len(test.edges):
            raise ValueError("this is not the state of this latency test in version 1")
        return cls(tuple(RateState.from_json(one, edge.test) for one, edge in zip(edges, test.edges, strict=True)))


def usable_edges(below: Mapping[float, float], total: float) -> tuple[float, ...]:
    """At most five edges whose tail held between 0.1 % and 50 % of the baseline's requests, spread evenly.

    Where all requests lie in one bucket no edge has such a tail: the lowest one that (nearly) none was slower than is taken then, and
    a slower request is a rare event as an error is. A larger edge would add nothing: whatever is beyond it is beyond this one.

    Args:
        below: the baseline's requests at or below each edge, in history.
        total: all of them.
    """
    tails = {edge: 1 - below[edge] / total for edge in sorted(below) if math.isfinite(edge)} if total > 0 else {}
    fit = [edge for edge, tail in tails.items() if LEAST_TAIL <= tail <= MOST_TAIL]
    if not fit:
        return tuple([edge for edge, tail in tails.items() if tail < LEAST_TAIL][:1])
    if len(fit) <= MOST_EDGES:
        return tuple(fit)
    return tuple(fit[round(index * (len(fit) - 1) / (MOST_EDGES - 1))] for index in range(MOST_EDGES))


def share_beyond(below: float, total: float) -> float:
    """The baseline's share of requests slower than an edge, as a test expects it: never none at all."""
    return max(1 - below / total, rate.LEAST_PRIOR)


def plan_latency(
    below: Mapping[float, float],
    total: float,
    *,
    ratio: float = 1.0,
    rho: float = 1.1,
    delta: float = 0.001,
    dispersion: Dispersion | None = None,
    tails: Mapping[float, Dispersion] | None = None,
    cap: float = math.log(100) / 2,
) -> LatencyTest:
    """The test that follows from the baseline's history.

    Args:
        below: the baseline's requests at or below each common edge.
        total: all of them.
        ratio: how many times slower the candidate may be; 1 compares the same edges.
        rho: tolerated ratio of tail shares.
        delta: tolerated difference of tail shares.
        dispersion: of the edges that are not in `tails`; 2 by default.
        tails: from history, by the baseline's edge.
        cap: most that one tick may add to an edge's ln E.

    Raises:
        ValueError: no edge is usable.
    """
    known = sorted(edge for edge in below if math.isfinite(edge))
    found = []
    for edge in usable_edges(below, total):
        slower = next((other for other in known if other >= ratio * edge * (1 - 1e-9)), None)
        if slower is not None:
            test = RateTest(
                rho=rho,
                delta=delta,
                grid=LATENCY_GRID,
                form=Form.BERNOULLI,
                p_hist=share_beyond(below[edge], total),
                dispersion=(tails or {}).get(edge, dispersion or Dispersion()),
                cap=cap,
            )
            found.append(EdgeTest(edge, slower, test))
    if not found:
        raise ValueError(f"no bucket edge can be tested: {NO_USABLE_EDGE}, or no edge is as many times slower")
    return LatencyTest(tuple(found))


def promotion_test(test: LatencyTest, rho: float = 1.5, delta: float = 0.005) -> LatencyTest:
    """The same edges with the null turned round (`rate.promotion_test`); `LatencyState.ln_e_promotion` is its evidence."""
    return LatencyTest(tuple(replace(edge, test=rate.promotion_test(edge.test, rho, delta)) for edge in test.edges))


def start(test: LatencyTest) -> LatencyState:
    """The state before the first tick."""
    return LatencyState(tuple(rate.start(edge.test) for edge in test.edges))


def step(test: LatencyTest, state: LatencyState, part: Slice, stage: str = "") -> LatencyState:
    """The state after one more slice of bucket counters; an edge that the slice lacks stays as it is."""
    return LatencyState(
        tuple(
            rate.step(edge.test, one, tick, stage) if (tick := edge_tick(edge, part)) is not None else one
            for edge, one in zip(test.edges, state.edges, strict=True)
        )
    )


def edge_tick(edge: EdgeTest, part: Slice) -> Tick | None:
    """Requests and slow requests of both arms at this edge; None where a bucket is missing.

    An arm without any histogram had no request; a bucket that is missing beside others cannot be counted.
    """
    return tick_beyond(edge.baseline_edge, edge.candidate_edge, part)


def tick_beyond(baseline_edge: float, candidate_edge: float, part: Slice) -> Tick | None:
    """As `edge_tick`, of two edges without their test."""
    numbers = {}
    for arm, at in ((Arm.BASELINE, baseline_edge), (Arm.CANDIDATE, candidate_edge)):
        n = part.counts.get((arm, math.inf), 0.0)
        if n and (arm, at) not in part.counts:
            return None
        numbers[arm] = n, min(max(n - part.counts.get((arm, at), 0.0), 0.0), n)
    return Tick(part.start, part.end, *numbers[Arm.CANDIDATE], *numbers[Arm.BASELINE])
