"""Aggregation operators: which slots form a group is known beforehand, an evaluation only folds floats."""

import math
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable

from analysis.model import Labels
from controller.simulator.promql import labels as lb
from controller.simulator.promql.errors import ExecutionError
from controller.simulator.promql.gomath import plain, quantile_of, square_root
from controller.simulator.promql.nodes import NewLabelsError, ScalarNode, Values, VectorNode, descending, group

Reducer = Callable[[list[float]], float]
"""Folds the elements of one group, at least one."""

Grouping = Callable[[Labels], Labels]
"""The labels of the group that a label set belongs to."""


def grouping(names: Collection[str], *, without: bool) -> Grouping:
    """`by (names)`, or `without (names)`, which drops the metric name too."""
    if without:
        dropped = {*names, lb.NAME}
        return lambda labels: lb.drop(labels, dropped)
    return lambda labels: lb.keep(labels, names)


def total(values: list[float]) -> float:
    """Plain sum in the order of the series, as Prometheus 2 adds; the built-in one compensates in newer Pythons."""
    result = values[0]
    for value in values[1:]:
        result += value
    return result


def average(values: list[float]) -> float:
    """Running mean."""
    mean = values[0]
    for count, value in enumerate(values[1:], 2):
        if math.isinf(mean) and (mean == value or math.isfinite(value)):
            continue
        mean += value / count - mean / count
    return mean


def _numbers(values: list[float]) -> list[float]:
    """Without NaN, unless there is nothing else."""
    return values if values[0] == values[0] else [value for value in values if value == value] or values  # noqa: PLR0124 - not NaN


def variance(values: list[float]) -> float:
    """Population variance by Welford's method; that of one element is 0, be it infinite or NaN."""
    mean, squares = values[0], 0.0
    for count, value in enumerate(values[1:], 2):
        delta = value - mean
        mean += delta / count
        squares += delta * (value - mean)
    return squares / len(values)


REDUCERS: dict[str, Reducer] = {
    "sum": total,
    "avg": average,
    "min": lambda values: min(_numbers(values)),
    "max": lambda values: max(_numbers(values)),
    "count": lambda values: float(len(values)),
    "group": lambda _values: 1.0,
    "stdvar": variance,
    "stddev": lambda values: square_root(variance(values)),
}


class Aggregation(VectorNode):
    """Common part: the child's slots in groups."""

    def __init__(self, child: VectorNode, by: Grouping) -> None:
        super().__init__()
        self.child, self._by = child, by
        self.groups: list[list[int]] = []

    def resolve(self) -> None:
        """One slot a group, in order of first appearance."""
        self.child.resolve()
        keys = [self._by(labels) for labels in self.child.labels]
        self.groups = group(keys)
        self.labels = [keys[slots[0]] for slots in self.groups]

    @abstractmethod
    def values(self, now: int) -> Values:
        """One number a group."""


class Reduce(Aggregation):
    """`sum`, `avg`, `min`, `max`, `count`, `group`, `stddev`, `stdvar`."""

    def __init__(self, child: VectorNode, by: Grouping, reducer: Reducer) -> None:
        super().__init__(child, by)
        self._reducer = reducer

    def values(self, now: int) -> Values:
        """The fold of each group that has elements."""
        child, reducer = self.child.values(now), self._reducer
        if len(self.groups) == 1:
            present = [value for value in child if value is not None]
            return [reducer(present) if present else None]
        out: Values = []
        for slots in self.groups:
            present = [value for slot in slots if (value := child[slot]) is not None]
            out.append(reducer(present) if present else None)
        return out


class Quantile(Aggregation):
    """`quantile(q, v)`."""

    def __init__(self, child: VectorNode, by: Grouping, q: ScalarNode) -> None:
        super().__init__(child, by)
        self._q = q

    def resolve(self) -> None:
        """The parameter too may select series."""
        self._q.resolve()
        super().resolve()

    def values(self, now: int) -> Values:
        """The quantile of each group."""
        child, q = self.child.values(now), self._q.value(now)
        out: Values = []
        for slots in self.groups:
            present = [value for slot in slots if (value := child[slot]) is not None]
            out.append(quantile_of(q, present) if present else None)
        return out


class Top(Aggregation):
    """`topk` and `bottomk`: elements keep their own labels."""

    def __init__(self, child: VectorNode, by: Grouping, k: ScalarNode, *, largest: bool) -> None:
        super().__init__(child, by)
        self._k, self._sign = k, 1.0 if largest else -1.0

    def resolve(self) -> None:
        """The child's slots."""
        self._k.resolve()
        super().resolve()
        self.set_labels(self.child.labels)

    def values(self, now: int) -> Values:
        """The best k of each group.

        Raises:
            ExecutionError: k is no integer that fits 64 bits.
        """
        child, k = self.child.values(now), self._k.value(now)
        if not -(2.0**63) <= k <= 2.0**63:
            raise ExecutionError(f"Scalar value {plain(k)} overflows int64")
        out: Values = [None] * len(child)
        for slots in self.groups:
            present = [(self._sign * value, slot) for slot in slots if (value := child[slot]) is not None]
            for _, slot in best(present, int(k)) if k >= 1 else ():
                out[slot] = child[slot]
        return out

    def order(self, values: Values) -> Iterable[int]:
        """Best first within each group."""
        for slots in self.groups:
            signed: Values = [None if (value := values[slot]) is None else self._sign * value for slot in slots]
            yield from (slots[position] for position in descending(signed))


Ranked = tuple[float, int]
"""A value and the slot that it came from."""


def best(items: list[Ranked], k: int) -> list[Ranked]:
    """The k largest, in no order; NaN counts as the smallest.

    A binary heap that moves its items exactly as Go's `container/heap` does: which of several equal elements
    stays depends on these moves.
    """
    heap: list[Ranked] = []
    for item in items:
        if len(heap) >= k:
            worst = heap[0][0]
            if not (worst < item[0] or math.isnan(worst)):
                continue
            heap[0], heap[-1] = heap[-1], heap[0]
            heap.pop()
            _sift_down(heap)
        heap.append(item)
        _sift_up(heap)
    return heap


def _less(a: Ranked, b: Ranked) -> bool:
    """Whether `a` stands above `b` in the heap."""
    return math.isnan(a[0]) or a[0] < b[0]


def _sift_up(heap: list[Ranked]) -> None:
    """Move the last item to its place."""
    child = len(heap) - 1
    while child > 0:
        parent = (child - 1) // 2
        if not _less(heap[child], heap[parent]):
            return
        heap[child], heap[parent] = heap[parent], heap[child]
        child = parent


def _sift_down(heap: list[Ranked]) -> None:
    """Move the first item to its place."""
    parent = 0
    while (child := 2 * parent + 1) < len(heap):
        if child + 1 < len(heap) and _less(heap[child + 1], heap[child]):
            child += 1
        if not _less(heap[child], heap[parent]):
            return
        heap[child], heap[parent] = heap[parent], heap[child]
        parent = child


class CountValues(Aggregation):
    """`count_values("label", v)`: the only operator whose labels depend on the values."""

    def __init__(self, child: VectorNode, by: Grouping, label: str) -> None:
        super().__init__(child, by)
        self._label = label
        self._slots: dict[Labels, int] = {}
        self._keys: list[Labels] = []

    def resolve(self) -> None:
        """The slots that were met so far."""
        if not lb.is_name(self._label):
            raise ExecutionError(f'invalid label name "{self._label}"')
        super().resolve()
        self._keys = [self.labels[position] for position in self._group_of()]
        self.labels = list(self._slots)

    def _group_of(self) -> list[int]:
        """The group of each of the child's slots."""
        found = [0] * len(self.child.labels)
        for position, slots in enumerate(self.groups):
            for slot in slots:
                found[slot] = position
        return found

    def values(self, now: int) -> Values:
        """How many elements have each value.

        Raises:
            NewLabelsError: a value was never met before; its slot is there at the next try.
        """
        counts: dict[Labels, float] = {}
        for key, value in zip(self._keys, self.child.values(now), strict=True):
            if value is not None:
                labels = lb.put(key, self._label, plain(value))
                counts[labels] = counts.get(labels, 0.0) + 1
        known = self._slots
        fresh = [labels for labels in counts if labels not in known]
        if fresh:
            for labels in fresh:
                known[labels] = len(known)
            raise NewLabelsError
        return [counts.get(labels) for labels in known]
