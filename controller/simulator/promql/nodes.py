"""What a compiled query is made of: nodes whose label sets are known before any evaluation.

A vector node has one *slot* for each label set that it can ever give with the series known so far, and
evaluating it fills the slots: a list of floats, None where there is no element. Grouping and
matching are worked out per slot when new series appear (`resolve`), so that an evaluation touches
numbers only. Times are milliseconds.
"""

import re
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from analysis.model import Labels
from controller.simulator.promql.errors import ExecutionError
from controller.simulator.promql.matchers import Matcher, compile_matchers
from controller.simulator.promql.storage import Store, StoredSeries, Track

Values = list[float | None]
Window = tuple[Track, int, int]
"""A track and the indices `[start, stop)` of its samples within a range."""


class NewLabelsError(Exception):
    """A node met a value that needs a new slot: resolve the nodes above it and evaluate again."""


@dataclass(slots=True)
class Frame:
    """What all nodes of one query share.

    Attributes:
        start, end: the request's time range (ms), for `@ start()` and `@ end()`; equal for an instant query.
        lookback: how old (ms) the newest sample may be for an instant selector.
        third: Prometheus 3: a range and the lookback exclude their oldest millisecond; how far a counter is stretched back.
    """

    start: int
    end: int
    lookback: int
    third: bool


class ScalarNode(ABC):
    """Gives one float."""

    def resolve(self) -> None:  # noqa: B027 - most scalars have nothing to resolve
        """New series appeared."""

    @abstractmethod
    def value(self, now: int) -> float:
        """The number at a time."""


@dataclass(slots=True)
class Constant(ScalarNode):
    """A number literal."""

    number: float

    def value(self, now: int) -> float:  # noqa: ARG002 - the same at all times
        """The literal."""
        return self.number


@dataclass(slots=True)
class StringNode:
    """A string literal."""

    text: str

    def resolve(self) -> None:
        """Nothing depends on the series."""


class VectorNode(ABC):
    """Gives an instant vector over its slots.

    Attributes:
        labels: the label set of each slot; complete after `resolve`.
        clashes: groups of slots with equal label sets, of which at most one may be filled at a time.
    """

    def __init__(self) -> None:
        self.labels: list[Labels] = []
        self.clashes: list[list[int]] = []

    @abstractmethod
    def resolve(self) -> None:
        """New series appeared: work out the slots again, children first."""

    @abstractmethod
    def values(self, now: int) -> Values:
        """The elements at a time, one place a slot."""

    def order(self, values: Values) -> Iterable[int]:
        """The slots in the order in which the API lists them."""
        return range(len(values))

    def set_labels(self, labels: list[Labels]) -> None:
        """Take the slots' labels and note which are equal."""
        self.labels = labels
        self.clashes = []
        if len(set(labels)) != len(labels):
            self.clashes = [slots for slots in group(labels) if len(slots) > 1]

    def checked(self, values: Values) -> Values:
        """The same values.

        Raises:
            ExecutionError: two filled slots have equal labels.
        """
        for slots in self.clashes:
            if sum(values[slot] is not None for slot in slots) > 1:
                raise ExecutionError("vector cannot contain metrics with the same labelset")
        return values


def group(keys: Sequence[object]) -> list[list[int]]:
    """The positions of equal keys, groups in order of first appearance."""
    groups: dict[object, list[int]] = {}
    for position, key in enumerate(keys):
        groups.setdefault(key, []).append(position)
    return list(groups.values())


@dataclass(frozen=True, slots=True)
class Moment:
    """Which time a selector looks at: `offset` and `@`.

    Attributes:
        offset: milliseconds to go back.
        at: None, a fixed time in ms, or "start" or "end".
    """

    offset: int = 0
    at: int | str | None = None

    def reference(self, now: int, frame: Frame) -> int:
        """The time (ms) that the selector looks at when the query is evaluated at `now`."""
        match self.at:
            case None:
                return now - self.offset
            case "start":
                return frame.start - self.offset
            case "end":
                return frame.end - self.offset
        return int(self.at) - self.offset


_ALTERNATIVES = re.compile(r"[\w:]+(\|[\w:]+)*")


def metric_names(matchers: Sequence[Matcher]) -> list[str]:
    """The metrics that can match, where a name or plain alternatives are asked for; one empty name for any."""
    for matcher in matchers:
        if matcher.name == "__name__" and matcher.op == "=":
            return [matcher.value]
        if matcher.name == "__name__" and matcher.op == "=~" and _ALTERNATIVES.fullmatch(matcher.value):
            return matcher.value.split("|")
    return [""]


class Selection:
    """The stored series that meet a selector's matchers, found once each.

    Attributes:
        tracks: sorted by labels, the order in which Prometheus adds up and breaks ties.
    """

    def __init__(self, store: Store, matchers: Sequence[Matcher]) -> None:
        self.matchers = tuple(matchers)
        self.pool: list[StoredSeries] = store.joined_pool(metric_names(matchers))
        self.seen = 0
        self.tracks: list[StoredSeries] = []
        self._matches: Callable[[Labels], bool] = compile_matchers(matchers)

    def refresh(self) -> bool:
        """Look at the series that are new since the last time; whether any of them matches."""
        fresh = [series for series in self.pool[self.seen :] if self._matches(series.labels)]
        self.seen = len(self.pool)
        if fresh:
            self.tracks = sorted(self.tracks + fresh, key=lambda series: series.labels)
        return bool(fresh)


class InstantSelector(VectorNode):
    """The newest sample of each series, unless it is stale or older than the lookback."""

    def __init__(self, frame: Frame, selection: Selection, moment: Moment) -> None:
        super().__init__()
        self.selection, self._frame, self._moment = selection, frame, moment

    def resolve(self) -> None:
        """One slot a series."""
        self.set_labels([series.labels for series in self.selection.tracks])

    def _indices(self, now: int) -> Iterable[tuple[StoredSeries, int]]:
        """Each series with the index of its sample, -1 where it has none."""
        reference = self._moment.reference(now, self._frame)
        oldest = reference - self._frame.lookback + self._frame.third
        for series in self.selection.tracks:
            if series.fill is not None:
                series.fill()
            times = series.times
            if not times:
                yield series, -1
                continue
            index = len(times) - 1 if times[-1] <= reference else bisect_right(times, reference) - 1
            if index >= 0 and (times[index] < oldest or (series.stale and series.is_stale(times[index], reference))):
                index = -1
            yield series, index

    def values(self, now: int) -> Values:
        """The newest sample of each series."""
        return [series.values[index] if index >= 0 else None for series, index in self._indices(now)]

    def sample_times(self, now: int) -> Values:
        """When each newest sample was scraped, Unix seconds; None where there is none."""
        return [series.times[index] / 1000 if index >= 0 else None for series, index in self._indices(now)]


class RangeNode(ABC):
    """Gives, for each slot, the samples within a range.

    Attributes:
        labels: the label set of each slot.
        seconds: the length of the range.
        matchers: the selector's matchers, for `absent_over_time`; empty for a subquery.
    """

    def __init__(self, frame: Frame, moment: Moment, range_ms: int) -> None:
        self.labels: list[Labels] = []
        self.seconds = range_ms / 1000
        self.matchers: tuple[Matcher, ...] = ()
        self._frame, self._moment, self._range = frame, moment, range_ms

    @abstractmethod
    def resolve(self) -> None:
        """New series appeared."""

    @abstractmethod
    def windows(self, now: int) -> list[Window]:
        """The samples of each slot, one place a slot; an empty window where there are none."""

    @property
    def third(self) -> bool:
        """Whether Prometheus 3 is followed."""
        return self._frame.third

    def bounds(self, now: int) -> tuple[int, int]:
        """The edges of the range, ms."""
        end = self._moment.reference(now, self._frame)
        return end - self._range, end


class RangeSelector(RangeNode):
    """`name{...}[5m]`: scraped samples."""

    def __init__(self, frame: Frame, selection: Selection, moment: Moment, range_ms: int) -> None:
        super().__init__(frame, moment, range_ms)
        self.selection = selection
        self.matchers = selection.matchers

    def resolve(self) -> None:
        """One slot a series."""
        self.labels = [series.labels for series in self.selection.tracks]

    def windows(self, now: int) -> list[Window]:
        """Two binary searches a series, one where the range ends at its newest sample."""
        start, end = self.bounds(now)
        start += self._frame.third
        found: list[Window] = []
        for series in self.selection.tracks:
            if series.fill is not None:
                series.fill()
            times = series.times
            stop = len(times)
            if stop and times[-1] > end:
                stop = bisect_right(times, end)
            found.append((series, bisect_left(times, start, 0, stop), stop))
        return found


class Subquery(RangeNode):
    """`expression[5m:30s]`: the expression evaluated at every multiple of the step within the range."""

    def __init__(self, frame: Frame, child: VectorNode | ScalarNode, moment: Moment, range_ms: int, *, step_ms: int) -> None:
        super().__init__(frame, moment, range_ms)
        self._child, self._step = child, step_ms

    def resolve(self) -> None:
        """The child's slots; a scalar has one without labels."""
        self._child.resolve()
        self.labels = self._child.labels if isinstance(self._child, VectorNode) else [()]

    def windows(self, now: int) -> list[Window]:
        """A track a slot, filled step by step."""
        start, end = self.bounds(now)
        tracks = [Track() for _ in self.labels]
        step, child = self._step, self._child
        for moment in range(-(-(start + self._frame.third) // step) * step, end + 1, step):
            values: Values = child.values(moment) if isinstance(child, VectorNode) else [child.value(moment)]
            for track, value in zip(tracks, values, strict=True):
                if value is not None:
                    track.times.append(moment)
                    track.values.append(value)
        return [(track, 0, len(track.times)) for track in tracks]


def descending(values: Values) -> list[int]:
    """Filled slots, largest first, NaN at the end."""
    filled = [(value, slot) for slot, value in enumerate(values) if value is not None]
    numbers = sorted((pair for pair in filled if pair[0] == pair[0]), key=itemgetter(0), reverse=True)
    # Go's insertion sort reverses elements of which each counts as less than the other.
    return [slot for _, slot in numbers] + [slot for value, slot in reversed(filled) if value != value]  # noqa: PLR0124 - NaN


def ascending(values: Values) -> list[int]:
    """Filled slots, smallest first, NaN at the end."""
    negated: Values = [None if value is None else -value for value in values]
    return descending(negated)


Node = VectorNode | ScalarNode | RangeNode | StringNode
