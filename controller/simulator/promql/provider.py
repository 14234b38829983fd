"""The port that the controller's measurements use, straight over the evaluator.

It enters above the HTTP client, because encoding and decoding JSON would cost more than evaluating.
"""

import math
from collections.abc import Callable, Iterable, Mapping

from analysis.model import Labels, Sample, Series
from controller.ports import Answer, AnswerFault
from controller.simulator.promql.engine import Engine, MatrixResult, Result, ScalarResult, StringResult, VectorResult
from controller.simulator.promql.errors import BadQueryError, QueryError
from controller.simulator.promql.storage import OutOfOrderError, Store

_MESSAGE_LENGTH = 300


class SimulatedPrometheus:
    """A `controller.ports.Prometheus` that evaluates.

    Args:
        engine: answers the queries.
        now: this Prometheus's own clock, Unix seconds; it becomes the answer's `server_time`.
    """

    def __init__(self, engine: Engine, now: Callable[[], float]) -> None:
        self._engine, self._now = engine, now

    def query(self, promql: str, time: float) -> Answer:
        """The instant query at `time`."""
        try:
            result = self._engine.query(promql, time)
        except QueryError as error:
            fault = AnswerFault.BAD_QUERY if isinstance(error, BadQueryError) else AnswerFault.NOT_EXECUTED
            return Answer(fault=fault, message=str(error)[:_MESSAGE_LENGTH], server_time=self._now())
        return answer(result, self._now())


def holding(series: Mapping[Labels, Iterable[tuple[float, float]]]) -> SimulatedPrometheus:
    """A Prometheus that has these samples and no clock: pairs of time (Unix seconds, oldest first) and value, by label set."""
    store = Store()
    for labels, values in series.items():
        handle = store.series(labels)
        for time, value in values:
            try:
                store.append(handle, time, value)
            except OutOfOrderError:
                continue  # two samples within a millisecond: Prometheus keeps the first, too
    return SimulatedPrometheus(Engine(store), lambda: math.nan)


def answer(result: Result, server_time: float) -> Answer:
    """A result in the port's words; a scalar is a series without labels, a string has none."""
    match result:
        case VectorResult(time, rows):
            series = tuple([Series(labels, (Sample(time, value),)) for labels, value in rows])
            return Answer(series, "vector", server_time=server_time)
        case MatrixResult(rows):
            series = tuple([Series(labels, result.samples(track, start, stop)) for labels, track, start, stop in rows])
            return Answer(series, "matrix", server_time=server_time)
        case ScalarResult(time, value):
            return Answer((Series((), (Sample(time, value),)),), "scalar", server_time=server_time)
        case StringResult():
            return Answer((), "string", server_time=server_time)
