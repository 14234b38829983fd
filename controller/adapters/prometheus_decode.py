"""From an HTTP answer to an `Answer`: pure, so that every bad server is a recorded text in the tests.

Formats: the instant query API of Prometheus 2 and 3, and what stands before it at times (a login page, a
proxy's error, half a body).
"""

from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from analysis.model import Sample, Series
from controller.adapters.native_histograms import Native, as_buckets
from controller.adapters.native_histograms import read as read_histogram
from controller.ports import Answer, AnswerFault

MESSAGE_LENGTH = 300

_STATUS_FAULTS = {
    400: AnswerFault.NOT_EXECUTED,
    401: AnswerFault.UNAUTHORIZED,
    403: AnswerFault.UNAUTHORIZED,
    407: AnswerFault.UNAUTHORIZED,
    408: AnswerFault.TIMEOUT,
    422: AnswerFault.NOT_EXECUTED,
    504: AnswerFault.TIMEOUT,
}
_ERROR_TYPES = {
    "bad_data": AnswerFault.BAD_QUERY,
    "execution": AnswerFault.NOT_EXECUTED,
    "timeout": AnswerFault.TIMEOUT,
    "canceled": AnswerFault.TIMEOUT,
}
_OK = 200
_INFO = "PromQL info: "
"""Advice about how a query is written: the answer is whole. Prometheus 3 keeps it apart, 2.48 to 2.55 put it among the warnings."""


class _UnreadableError(ValueError):
    """The body is JSON, but not what the query API sends."""


def decode(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """The answer in an HTTP response. Never raises.

    Args:
        status: HTTP status.
        headers: of the response; only `Date` and `Content-Type` are read, in any case.
        body: decompressed.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    at = _date(lower.get("date", ""))
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        kind = f"{lower.get('content-type', 'no content type')} instead of JSON" if content is None else "JSON that is no object"
        fault = _STATUS_FAULTS.get(status, AnswerFault.UNREADABLE if status == _OK else AnswerFault.SERVER_ERROR)
        return refusal(fault, f"HTTP {status} with {kind}: {_beginning(body)}", at)
    if status != _OK or content.get("status") != "success":
        return refusal(_error_fault(status, content), _error_words(status, content), at)
    try:
        return _success(content, at)
    except _UnreadableError as error:
        return refusal(AnswerFault.UNREADABLE, f"not an answer of the query API: {error}", at)
    except KeyError as error:
        return refusal(AnswerFault.UNREADABLE, f"not an answer of the query API: it has no {error.args[0]}", at)
    except (TypeError, ValueError, IndexError, AttributeError):
        return refusal(AnswerFault.UNREADABLE, f"not an answer of the query API: {_beginning(body)}", at)


def refusal(fault: AnswerFault, message: str, server_time: float | None = None) -> Answer:
    """An answer without data."""
    return Answer(fault=fault, message=" ".join(message.split())[:MESSAGE_LENGTH], server_time=server_time)


def _error_fault(status: int, content: Mapping[str, Any]) -> AnswerFault:
    by_type = _ERROR_TYPES.get(str(content.get("errorType", "")))
    if by_type is not None and status not in (401, 403):
        return by_type
    if status == _OK and content.get("status") != "error":
        return AnswerFault.UNREADABLE
    return _STATUS_FAULTS.get(status, AnswerFault.SERVER_ERROR)


def _error_words(status: int, content: Mapping[str, Any]) -> str:
    words = str(content.get("error") or content.get("message") or "").strip()
    return f"HTTP {status}: {words}" if words else f"HTTP {status} without a message, status {content.get('status') or 'unknown'}"


def _success(content: Mapping[str, Any], at: float | None) -> Answer:
    data = content["data"]
    result_type, result = data["resultType"], data["result"]
    warnings = tuple(str(warning)[:MESSAGE_LENGTH] for warning in content.get("warnings") or () if not str(warning).startswith(_INFO))
    match result_type:
        case "vector":
            series = tuple(Series(_labels(item["metric"]), (_sample(_float_value(item)),)) for item in result)
        case "matrix":
            series = _matrix(result)
        case "scalar":
            series = (Series((), (_sample(result),)),)
        case "string":
            series = ()
        case _:
            raise _UnreadableError(f"the unknown result type {result_type}")
    return Answer(series=series, result_type=result_type, warnings=warnings, server_time=at)


def _matrix(result: Sequence[Mapping[str, Any]]) -> tuple[Series, ...]:
    """Raw samples; native histograms among them as classic buckets."""
    natives = [item for item in result if "histograms" in item]
    numbers = [item for item in result if "values" in item or "histograms" not in item]
    floats = (Series(_labels(item["metric"]), tuple(map(_sample, item["values"]))) for item in numbers)
    if not natives:
        return tuple(floats)
    read = (Native(_labels(item["metric"]), tuple(read_histogram(*pair) for pair in item["histograms"])) for item in natives)
    return as_buckets(floats, read)


def _float_value(item: Mapping[str, Any]) -> Any:
    if "value" not in item and "histogram" in item:
        raise _UnreadableError("a native histogram, expected a number; use histogram_quantile() or histogram_count()")
    return item["value"]


def _labels(metric: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(name), str(value)) for name, value in metric.items()))


def _sample(pair: Any) -> Sample:
    time, value = pair
    if not isinstance(value, str):
        raise _UnreadableError(f"found {value}, expected a number as text")
    return Sample(float(time), float(value))


def _date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError):
        return None


def _beginning(body: bytes) -> str:
    return body[:120].decode(errors="replace") or "an empty body"
