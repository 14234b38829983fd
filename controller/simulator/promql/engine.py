"""Evaluates queries at an instant: each text is compiled once and keeps its nodes.

One engine belongs to one store. It is not thread-safe: the simulator has one thread, the sandbox puts
a lock around it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.model import Labels, Sample
from controller.simulator.promql.compile import Compiler, parsed, type_name
from controller.simulator.promql.nodes import (
    Frame,
    NewLabelsError,
    Node,
    RangeNode,
    ScalarNode,
    Selection,
    StringNode,
    Values,
    VectorNode,
)
from controller.simulator.promql.storage import Store, StoredSeries, Track, milliseconds

LOOKBACK_SECONDS = 300.0
"""How long a sample answers for, Prometheus's `--query.lookback-delta`."""

SUBQUERY_STEP_SECONDS = 60.0
"""The step of `x[5m:]`: Prometheus's global evaluation interval."""

_KEPT_PLANS = 2000


@dataclass(frozen=True, slots=True)
class VectorResult:
    """One element a series, all at the evaluation time."""

    time: float
    rows: Sequence[tuple[Labels, float]]


@dataclass(frozen=True, slots=True)
class MatrixResult:
    """Raw samples of each series, as indices `[start, stop)` into its track."""

    rows: Sequence[tuple[Labels, Track, int, int]]

    @staticmethod
    def samples(track: Track, start: int, stop: int) -> tuple[Sample, ...]:
        """The samples of one row, times in Unix seconds."""
        if isinstance(track, StoredSeries):
            return track.samples(start, stop)
        times = track.times
        return tuple(Sample(times[index] / 1000, track.values[index]) for index in range(start, stop))


@dataclass(frozen=True, slots=True)
class ScalarResult:
    """One number without labels."""

    time: float
    value: float


@dataclass(frozen=True, slots=True)
class StringResult:
    """A string literal."""

    time: float
    text: str


Result = VectorResult | MatrixResult | ScalarResult | StringResult


class Plan:
    """One compiled query over one store."""

    def __init__(self, frame: Frame, root: Node, selections: Sequence[Selection]) -> None:
        self._frame, self._root, self._selections = frame, root, tuple(selections)
        self._resolved = False

    @property
    def type_name(self) -> str:
        """What Prometheus calls the type of the result."""
        return type_name(self._root)

    def at(self, now: int, start: int, end: int) -> Result:
        """Evaluate at `now`, as part of a request from `start` to `end` (all ms).

        Raises:
            ExecutionError: the data does not allow it.
        """
        self._frame.start, self._frame.end = start, end
        fresh = not self._resolved
        for selection in self._selections:
            if len(selection.pool) != selection.seen and selection.refresh():
                fresh = True
        while True:
            if fresh:
                self._root.resolve()
                self._resolved = True
            try:
                return self._result(now)
            except NewLabelsError:
                fresh = True

    def _result(self, now: int) -> Result:
        """The root's result in the shape of its type."""
        root = self._root
        match root:
            case VectorNode():
                values: Values = root.values(now)
                labels = root.labels
                rows = [(labels[slot], value) for slot in root.order(values) if (value := values[slot]) is not None]
                return VectorResult(now / 1000, rows)
            case ScalarNode():
                return ScalarResult(now / 1000, root.value(now))
            case StringNode():
                return StringResult(now / 1000, root.text)
            case RangeNode():
                windows = zip(root.labels, root.windows(now), strict=True)
                return MatrixResult([(found, *window) for found, window in windows if window[2] > window[1]])


class Engine:
    """Answers queries over one store.

    Args:
        store: the samples.
        third: ranges and lookback exclude their oldest edge, and a counter is stretched back as in Prometheus 3; else as in 2.
        lookback_seconds: how old the newest sample may be.
        subquery_step_seconds: the step of a subquery without one.
    """

    def __init__(
        self,
        store: Store,
        *,
        third: bool = False,
        lookback_seconds: float = LOOKBACK_SECONDS,
        subquery_step_seconds: float = SUBQUERY_STEP_SECONDS,
    ) -> None:
        self.store = store
        self._third = third
        self._lookback = milliseconds(lookback_seconds)
        self._step = milliseconds(subquery_step_seconds)
        self._plans: dict[str, Plan] = {}

    def plan(self, text: str) -> Plan:
        """The compiled query.

        Raises:
            BadQueryError: the text is not PromQL, or uses what is not supported.
        """
        found = self._plans.get(text)
        if found is None:
            frame = Frame(0, 0, self._lookback, self._third)
            compiler = Compiler(self.store, frame, self._step)
            root = compiler.node(parsed(text))
            if len(self._plans) >= _KEPT_PLANS:
                self._plans.clear()
            found = self._plans[text] = Plan(frame, root, compiler.selections)
        return found

    def query(self, text: str, time: float) -> Result:
        """The answer of an instant query at Unix seconds.

        Raises:
            QueryError: there is none; the sentence says why.
        """
        now = milliseconds(time)
        return self.plan(text).at(now, now, now)

    def query_range(self, text: str, start: float, end: float, step: float) -> list[tuple[Labels, list[Sample]]]:
        """The instant query at `start`, `start + step` ... not after `end`; series sorted by labels.

        Raises:
            QueryError: there is no answer.
        """
        plan = self.plan(text)
        first, last, series = milliseconds(start), milliseconds(end), dict[Labels, list[Sample]]()
        for now in range(first, last + 1, milliseconds(step)):
            match plan.at(now, first, last):
                case VectorResult(time, rows):
                    for labels, value in rows:
                        series.setdefault(labels, []).append(Sample(time, value))
                case ScalarResult(time, value):
                    series.setdefault((), []).append(Sample(time, value))
        return sorted(series.items())
