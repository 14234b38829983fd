"""What the API server or the network said, as one of the port's errors with one clear sentence.

It must not retry, log or know about kinds. An answer that is no Kubernetes Status (a proxy's HTML page,
say) is never taken for a statement about an object: a proxy's 404 does not mean that the object is gone.
"""

import re
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

from controller.ports import (
    ConflictError,
    GoneError,
    KubeError,
    NotFoundError,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
)

NOT_KUBERNETES = "NotKubernetes"
"""Reason of an answer that no API server gives."""

_CLIENT_FAULT, _SERVER_FAULT = 400, 500
_SHOWN = 300
_TAGS = re.compile(r"<[^>]*>|\s+")
_REASONS = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Gone", 422: "Invalid", 429: "TooManyRequests"}


class ConfigError(Exception):
    """How to reach the API server cannot be told; the message is one clear sentence."""


def error_of(status: int, headers: Mapping[str, str], body: bytes, server: str) -> KubeError:
    """The error of an answer that is not 2xx.

    Args:
        status: HTTP status.
        headers: the answer's headers, case-insensitive.
        body: as received.
        server: address of the API server, for the sentence.
    """
    said = _status_object(body)
    if said is None:
        return _error_without_status(status, headers, body, server)
    details = said.get("details") or {}
    retry_after = _seconds(headers.get("Retry-After")) or _seconds(details.get("retryAfterSeconds"))
    reason = str(said.get("reason") or _REASONS.get(status, "Error"))
    message = _short(str(said.get("message") or ""))
    return _classify(status, reason, message, retry_after, server)


def error_of_event(status: Mapping[str, Any], server: str) -> KubeError:
    """The error that an ERROR event of a watch carries: HTTP 200, the code stands inside."""
    code = int(status.get("code") or 500)
    return _classify(code, str(status.get("reason") or "Error"), _short(str(status.get("message") or "")), 0.0, server)


def error_of_transport(error: BaseException, server: str) -> KubeError:
    """The error where no whole answer came: unreachable, TLS, reset, half an answer or a time-out."""
    import urllib3.exceptions as transport  # noqa: PLC0415 - whoever asks has it loaded; importing this module stays cheap

    if isinstance(error, (transport.SSLError, ssl.SSLError)):
        return tls_error(str(error), server)
    reason, sentence = "Transport", f"could not be asked: {_cause(error)}"
    match error:
        case transport.ReadTimeoutError():
            reason, sentence = "Timeout", "did not answer in time"
        case transport.NameResolutionError():
            reason, sentence = "Unreachable", "cannot be reached: its name does not resolve"
        case transport.NewConnectionError():
            reason, sentence = "Unreachable", f"cannot be reached: {_cause(error)}"
        case transport.ConnectTimeoutError():
            reason, sentence = "Unreachable", "cannot be reached: no connection in time"
        case transport.ProxyError():
            reason, sentence = "Unreachable", f"cannot be reached through its proxy: {_cause(error)}"
        case transport.ProtocolError() if _is_half(error):
            reason, sentence = "HalfAnswer", "broke off in the middle of its answer"
        case transport.ProtocolError() | OSError():
            reason, sentence = "Reset", f"closed the connection: {_cause(error)}"
        case _:
            pass
    return UnavailableError(0, reason, f"The API server at {server} {sentence}.")


def tls_error(said: str, server: str) -> KubeError:
    """The error of a TLS handshake that failed."""
    known = re.search(r"(certificate verify failed: [^(\]]*|hostname [^(\]]*mismatch[^(\]]*|WRONG_VERSION_NUMBER|alert [a-z ]+)", said)
    why = known.group(1).strip(" .") if known else _short(said)
    if why == "WRONG_VERSION_NUMBER":
        why = "it does not speak TLS on this port"
    return UnavailableError(0, "TLS", f"No trusted connection to the API server at {server}: {why}.")


def not_kubernetes(status: int, headers: Mapping[str, str], body: bytes, server: str) -> KubeError:
    """The error of an answer that no API server gives."""
    kind = (headers.get("Content-Type") or "no content type").split(";")[0]
    excerpt = _short(_TAGS.sub(" ", body[:2000].decode("utf-8", "replace")).strip(), 80)
    said = f'The answer from {server} is not from Kubernetes ({status}, {kind}: "{excerpt}")'
    return UnavailableError(status, NOT_KUBERNETES, f"{said}; is a proxy or a login page in between?")


def _classify(status: int, reason: str, message: str, retry_after: float, server: str) -> KubeError:
    """The class by status, as the port documents it."""
    said = f": {message}" if message else "."
    match status:
        case HTTPStatus.UNAUTHORIZED:
            error: KubeError = UnauthorizedError(status, reason, f"The API server at {server} does not accept our credentials (401){said}")
        case HTTPStatus.NOT_FOUND:
            error = NotFoundError(status, reason, message or "There is no such object.")
        case HTTPStatus.CONFLICT:
            error = ConflictError(status, reason, message or "Somebody else wrote in between.")
        case HTTPStatus.GONE:
            error = GoneError(status, reason, message or "The asked revision is too old.")
        case HTTPStatus.TOO_MANY_REQUESTS:
            sentence = f"The API server at {server} asks us to slow down (429){said}"
            error = UnavailableError(status, reason, sentence, retry_after=retry_after)
        case _ if _CLIENT_FAULT <= status < _SERVER_FAULT and status != HTTPStatus.REQUEST_TIMEOUT:
            error = RefusedError(status, reason, f"The API server refused ({status}){said}")
        case _:
            error = UnavailableError(status, reason, f"The API server at {server} failed ({status}){said}", retry_after=retry_after)
    return error


def _error_without_status(status: int, headers: Mapping[str, str], body: bytes, server: str) -> KubeError:
    """A real API server answers plain text for unknown groups and 429; everything else comes from in between."""
    text = body[:_SHOWN].decode("utf-8", "replace").strip()
    if status == HTTPStatus.NOT_FOUND and text == "404 page not found":
        return NotFoundError(status, "NoSuchKind", "The API server does not serve this kind; is its CustomResourceDefinition installed?")
    is_html = "html" in (headers.get("Content-Type") or "").lower() or text.startswith("<")
    always_meant = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
    if always_meant or (not is_html and (status >= _SERVER_FAULT or status == HTTPStatus.FORBIDDEN)):
        said = "" if is_html else _short(text)
        return _classify(status, _REASONS.get(status, "Error"), said, _seconds(headers.get("Retry-After")), server)
    return not_kubernetes(status, headers, body, server)


def _status_object(body: bytes) -> dict[str, Any] | None:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return said if isinstance(said, dict) and said.get("kind") == "Status" else None


def _seconds(value: Any) -> float:
    try:
        return max(0.0, float(value))
    except (TypeError, ValueError):
        return 0.0


def _is_half(error: BaseException) -> bool:
    text = str(error)
    return "IncompleteRead" in text or "InvalidChunkLength" in text or "ended prematurely" in text


def _cause(error: BaseException) -> str:
    """The innermost words, without the client's object addresses."""
    inner: BaseException = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror.lower()
    if inner.args and isinstance(inner.args[-1], Exception):  # urllib3 keeps the fault itself beside its own words
        return _cause(inner.args[-1])
    text = re.sub(r"<[^>]*>:?\s*|\S*(HTTPConnection|HTTPSConnection)\([^)]*\):?\s*", "", str(inner))
    return _short(text).rstrip(".") or type(inner).__name__


def _short(text: str, length: int = _SHOWN) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"
