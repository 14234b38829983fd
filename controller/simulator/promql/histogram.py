"""`histogram_quantile` over classic buckets, with Prometheus 2.42's interpolation and repair."""

import math

from analysis.model import Labels
from controller.simulator.promql import labels as lb
from controller.simulator.promql.gomath import INF, NAN, divide
from controller.simulator.promql.nodes import ScalarNode, Values, VectorNode


def upper_bound(text: str) -> float | None:
    """The number in an `le` label; None where it is none."""
    if "_" in text or text != text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        return None


def bucket_quantile(q: float, bounds: list[float], counts: list[float]) -> float:
    """The q-quantile of cumulative bucket counts.

    Args:
        q: 0 to 1; beyond gives an infinity.
        bounds: upper bounds, rising; the last must be +Inf, else the answer is NaN.
        counts: observations up to each bound; changed in place where they are not monotonic.
    """
    if math.isnan(q):
        return NAN
    if not 0 <= q <= 1:
        return -INF if q < 0 else INF
    if bounds[-1] != INF or len(bounds) == 1:
        return NAN
    _make_monotonic(counts)
    observations = counts[-1]
    if observations == 0:
        return NAN
    return _interpolate(q * observations, bounds, counts)


def _make_monotonic(counts: list[float]) -> None:
    """Lift each count to the largest before it: scraped buckets are not read at one instant."""
    largest = counts[0]
    for index, count in enumerate(counts):
        if count > largest:
            largest = count
        elif count < largest:
            counts[index] = largest


def _first_with(rank: float, counts: list[float]) -> int:
    """The first bucket that holds the rank, at most the last; by halving, whose answer among NaN Prometheus's equals."""
    low, high = 0, len(counts) - 1
    while low < high:
        middle = (low + high) // 2
        if counts[middle] >= rank:
            high = middle
        else:
            low = middle + 1
    return low


def _interpolate(rank: float, bounds: list[float], counts: list[float]) -> float:
    """The value at a rank, straight between the bounds of its bucket; the lowest begins at 0."""
    low = _first_with(rank, counts)
    if low == len(bounds) - 1:
        return bounds[-2]
    if low == 0 and bounds[0] <= 0:
        return bounds[0]
    start, end, count = 0.0, bounds[low], counts[low]
    if low:
        start = bounds[low - 1]
        count -= counts[low - 1]
        rank -= counts[low - 1]
    return start + (end - start) * divide(rank, count)


class HistogramQuantile(VectorNode):
    """`histogram_quantile(q, v)`: the buckets of each histogram are found once."""

    def __init__(self, q: ScalarNode, child: VectorNode) -> None:
        super().__init__()
        self._q, self._child = q, child
        self._histograms: list[tuple[list[float], list[int]]] = []

    def resolve(self) -> None:
        """One slot a histogram: the labels but `le` and the metric name."""
        self._q.resolve()
        self._child.resolve()
        buckets: dict[Labels, list[tuple[float, int]]] = {}
        for slot, labels in enumerate(self._child.labels):
            bound = upper_bound(lb.get(labels, lb.BUCKET))
            if bound is not None:
                buckets.setdefault(lb.drop(labels, {lb.BUCKET}), []).append((bound, slot))
        self._histograms = []
        for pairs in buckets.values():
            pairs.sort()
            self._histograms.append(([bound for bound, _ in pairs], [slot for _, slot in pairs]))
        self.set_labels([lb.drop_name(labels) for labels in buckets])

    def values(self, now: int) -> Values:
        """The quantile of each histogram that has buckets."""
        q, child = self._q.value(now), self._child.values(now)
        return self.checked([self._quantile(q, bounds, [child[slot] for slot in slots]) for bounds, slots in self._histograms])

    @staticmethod
    def _quantile(q: float, bounds: list[float], found: Values) -> float | None:
        """One histogram, of which buckets may be missing or written twice (`le="1"` and `le="1.0"`)."""
        counts: list[float] = []
        present: list[float] = []
        for bound, count in zip(bounds, found, strict=True):
            if count is None:
                continue
            if present and present[-1] == bound:
                counts[-1] += count
            else:
                present.append(bound)
                counts.append(count)
        return bucket_quantile(q, present, counts) if counts else None
