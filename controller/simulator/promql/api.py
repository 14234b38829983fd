"""Prometheus's HTTP API as a pure function: a path and parameters in, a status and a JSON body out.

No sockets here: the sandbox puts HTTP around it. Values are strings as Prometheus writes them.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import promql_parser as pp

from analysis.model import Labels, Sample
from controller.simulator.promql.engine import Engine, MatrixResult, Result, ScalarResult, StringResult, VectorResult
from controller.simulator.promql.errors import BadQueryError, QueryError
from controller.simulator.promql.gomath import api_float, plain

MAX_POINTS = 11_000
"""The most steps of a range query, as in Prometheus."""

BUILD_INFO = {
    "version": "2.42.0",
    "revision": "penstock-simulator",
    "branch": "HEAD",
    "buildUser": "",
    "buildDate": "",
    "goVersion": "",
}

_MAX_SECONDS = 1e12
_MIN_STEP_SECONDS = 0.001

Response = tuple[int, dict[str, Any] | str]
"""HTTP status and JSON body; a plain text for `/-/ready` and `/-/healthy`."""

_FIXED: dict[str, Response] = {
    "/api/v1/status/buildinfo": (200, {"status": "success", "data": BUILD_INFO}),
    "/-/ready": (200, "Prometheus Server is Ready.\n"),
    "/-/healthy": (200, "Prometheus Server is Healthy.\n"),
}
_SECONDS = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


class HttpApi:
    """The endpoints that clients of a release use.

    Args:
        engine: answers the queries.
        now: the time of a query without `time`, Unix seconds.
    """

    def __init__(self, engine: Engine, now: Callable[[], float]) -> None:
        self._engine, self._now = engine, now

    def handle(self, path: str, params: Mapping[str, str]) -> Response:
        """The answer to a GET, or to a POST with the parameters as a form.

        Errors are answers too: 400 for a bad query or parameter, 422 for one that fails on the data, 404 for an
        unknown path.
        """
        answer = {"/api/v1/query": self._instant, "/api/v1/query_range": self._range}.get(path)
        if answer is None:
            return _FIXED.get(path, (404, "404 page not found\n"))
        try:
            return 200, {"status": "success", "data": answer(params)}
        except QueryError as error:
            return error.http_status, {"status": "error", "errorType": error.error_type, "error": str(error)}

    def _instant(self, params: Mapping[str, str]) -> dict[str, Any]:
        """`/api/v1/query`."""
        time = parse_time("time", params["time"]) if params.get("time") else self._now()
        try:
            result = self._engine.query(params.get("query", ""), time)
        except BadQueryError as error:
            raise BadQueryError(f'invalid parameter "query": {error}') from error
        return encode(result)

    def _range(self, params: Mapping[str, str]) -> dict[str, Any]:
        """`/api/v1/query_range`."""
        start, end = (parse_time(name, params.get(name, "")) for name in ("start", "end"))
        if end < start:
            raise BadQueryError('invalid parameter "end": end timestamp must not be before start time')
        step = parse_step(params.get("step", ""))
        if (end - start) / step > MAX_POINTS:
            raise BadQueryError(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
            )
        try:
            plan_type = self._engine.plan(params.get("query", "")).type_name
        except BadQueryError as error:
            raise BadQueryError(f'invalid parameter "query": {error}') from error
        if plan_type not in ("instant vector", "scalar"):
            raise BadQueryError(
                f'invalid parameter "query": invalid expression type "{plan_type}" for range query, must be Scalar or instant Vector'
            )
        series = self._engine.query_range(params["query"], start, end, step)
        return {"resultType": "matrix", "result": [_row(*row) for row in series]}


def _row(labels: Labels, samples: list[Sample] | tuple[Sample, ...]) -> dict[str, Any]:
    """One series of a matrix."""
    return {"metric": dict(labels), "values": [[sample.time, api_float(sample.value)] for sample in samples]}


def encode(result: Result) -> dict[str, Any]:
    """The `data` of an instant query's answer."""
    match result:
        case VectorResult(time, rows):
            vector = [{"metric": dict(labels), "value": [time, api_float(value)]} for labels, value in rows]
            return {"resultType": "vector", "result": vector}
        case MatrixResult(rows):
            matrix = [_row(labels, result.samples(track, start, stop)) for labels, track, start, stop in sorted(rows, key=_labels)]
            return {"resultType": "matrix", "result": matrix}
        case ScalarResult(time, value):
            return {"resultType": "scalar", "result": [time, plain(value)]}
        case StringResult(time, text):
            return {"resultType": "string", "result": [time, text]}


def _labels(row: tuple[Labels, Any, int, int]) -> Labels:
    """What a matrix is sorted by."""
    return row[0]


def parse_time(name: str, text: str) -> float:
    """Unix seconds, or RFC 3339.

    Raises:
        BadQueryError: it is neither.
    """
    if _SECONDS.fullmatch(text) and abs(float(text)) < _MAX_SECONDS:
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadQueryError(f'invalid parameter "{name}": cannot parse "{text}" to a valid timestamp')
    return moment.timestamp()


def parse_step(text: str) -> float:
    """Seconds from a float or a duration such as `15s`.

    Raises:
        BadQueryError: it is neither, or not positive.
    """
    try:
        seconds = float(text) if _SECONDS.fullmatch(text) else pp.parse_duration(text).total_seconds()
    except (ValueError, OverflowError):
        raise BadQueryError(f'invalid parameter "step": cannot parse "{text}" to a valid duration') from None
    if not _MIN_STEP_SECONDS <= seconds < _MAX_SECONDS:
        raise BadQueryError(
            'invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer'
        )
    return seconds
