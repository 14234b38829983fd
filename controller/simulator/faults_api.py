"""The controller's client and the API server where they fail: cut off, throttled, unauthorised, refused by admission.

The client loses answers as a network does. What the server itself refuses is refused by the server, so that the controller
meets the same errors as in production.
"""

from collections.abc import Callable
from typing import Any

from controller.ports import (
    EVENT,
    ConflictError,
    Kind,
    Kube,
    KubeError,
    Listing,
    Obj,
    Patch,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
)
from controller.simulator.apiserver.errors import ApiError
from controller.simulator.apiserver.options import Attempt
from controller.simulator.invariants_model import INJECTED

OURS = "penstock"
"""User name of the controller."""

SEEN = f"{INJECTED}seen"
"""Annotation that a changing admission webhook leaves on what we write."""


class FaultyKube:
    """The controller's client, which may lose answers, conflict or be cut off.

    Attributes:
        down: every request fails.
        lose: how many further writes are applied with their answer lost.
        conflict: how many further writes are refused because somebody wrote in between.
        refusal: what every request is answered with, None where it is not.
        no_events: Events cannot be written; everything else can.
    """

    def __init__(self, inner: Kube) -> None:
        self.inner = inner
        self.down = False
        self.lose = 0
        self.conflict = 0
        self.refusal: Callable[[], KubeError] | None = None
        self.no_events = False

    def _cut(self) -> None:
        if self.down:
            raise UnavailableError(0, "Unreachable", "The API server cannot be reached: connection refused.")
        if self.refusal is not None:
            raise self.refusal()

    def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        """One object."""
        self._cut()
        return self.inner.get(kind, namespace, name)

    def list(self, kind: Kind, namespace: str = "", *, labels: str = "") -> Listing:
        """All objects of a kind."""
        self._cut()
        return self.inner.list(kind, namespace, labels=labels)

    def create(self, kind: Kind, namespace: str, body: Obj) -> Obj:
        """Create."""
        if kind == EVENT and self.no_events:
            raise UnavailableError(500, "InternalError", "events are not taken at the moment")
        created: Obj = self._write(lambda: self.inner.create(kind, namespace, body))
        return created

    def patch(self, kind: Kind, namespace: str, name: str, body: Any, how: Patch = Patch.MERGE, *, subresource: str = "") -> Obj:
        """Patch."""
        patched: Obj = self._write(lambda: self.inner.patch(kind, namespace, name, body, how, subresource=subresource))
        return patched

    def delete(self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str = "") -> None:
        """Delete."""
        self._write(lambda: self.inner.delete(kind, namespace, name, uid=uid, resource_version=resource_version))

    def _write(self, send: Callable[[], Any]) -> Any:
        self._cut()
        if self.conflict:
            self.conflict -= 1
            raise ConflictError(409, "Conflict", "the object has been modified; please apply your changes to the latest version")
        answer = send()
        if self.lose:
            self.lose -= 1
            raise UnavailableError(0, "Timeout", "The API server did not answer in time.")
        return answer


def throttled(seconds: float) -> Callable[[], KubeError]:
    """429: the server asks to wait."""
    return lambda: UnavailableError(429, "TooManyRequests", "too many requests, please try again later", retry_after=seconds)


def broken() -> KubeError:
    """500 to everything."""
    return UnavailableError(500, "InternalError", "etcdserver: request timed out")


def unauthorized() -> KubeError:
    """401: the token has expired and was not rotated."""
    return UnauthorizedError(401, "Unauthorized", "Unauthorized")


def forbidden() -> KubeError:
    """403: the rights were removed in the middle of a release."""
    return RefusedError(403, "Forbidden", 'is forbidden: User "penstock" cannot do this in this namespace')


def admission(kind: str) -> Callable[[Attempt], Obj | None]:
    """An admission webhook that looks at what we write to routes and workloads, and is down, denies or changes it."""

    def looked_at(attempt: Attempt) -> Obj | None:
        if attempt.user != OURS or attempt.kind.group.startswith("penstock") or attempt.kind.kind in ("Event", "ConfigMap", "Lease"):
            return attempt.new
        if kind == "admission-down":
            raise ApiError(500, "failed calling webhook: connection refused")
        if kind == "admission-denies":
            raise ApiError(403, "admission webhook denied the request: a freeze is on")
        if attempt.new is None:
            return None
        meta = attempt.new["metadata"]
        return {**attempt.new, "metadata": {**meta, "annotations": {**(meta.get("annotations") or {}), SEEN: "true"}}}

    return looked_at
