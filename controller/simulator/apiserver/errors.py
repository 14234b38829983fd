"""How the server says no: one exception that knows its `Status` object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.ports import Kind

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    504: "Timeout",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One field at fault: `reason` is the server's word (`FieldValueInvalid`), `field` its path."""

    reason: str
    message: str
    field: str = ""

    def as_json(self) -> dict[str, str]:
        """The entry of `details.causes`."""
        entry = {"reason": self.reason, "message": self.message}
        return {**entry, "field": self.field} if self.field else entry


class ApiError(Exception):
    """A refusal.

    Attributes:
        code: HTTP status.
        reason: the one-word reason of the Status; by default the usual one of the code.
        retry_after: seconds to wait, 0 where the server does not say.
        causes: the fields at fault, of a 422 or an apply conflict.
        target: name, group and kind of the object, as `details` shows them.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        causes: Sequence[Cause] = (),
        retry_after: int = 0,
        target: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = REASONS.get(code, "") if reason is None else reason
        self.causes = tuple(causes)
        self.retry_after = retry_after
        self.target = dict(target or {})

    def status(self) -> dict[str, Any]:
        """The `Status` object that goes over the wire."""
        details: dict[str, Any] = dict(self.target)
        if self.causes:
            details["causes"] = [cause.as_json() for cause in self.causes]
        if self.retry_after:
            details["retryAfterSeconds"] = self.retry_after
        body: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message}
        if self.reason:
            body["reason"] = self.reason
        if details:
            body["details"] = details
        body["code"] = self.code
        return body


def invalid(kind: str, group: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """A 422 as the server words it: kind, name, and every field at fault."""
    told = [f"{cause.field}: {cause.message}" if cause.field else cause.message for cause in causes]
    listed = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    dotted = f"{kind}.{group}" if group else kind
    target = {"name": name, "group": group, "kind": kind}
    return ApiError(422, f'{dotted} "{name}" is invalid: {listed}', causes=causes, target={k: v for k, v in target.items() if v})


def invalid_of(kind: Kind, name: str, *causes: Cause) -> ApiError:
    """As `invalid`, of an object of this kind."""
    return invalid(kind.kind, kind.group, name, causes)


NOT_CHECKED = Cause(
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
    "<nil>",
)
