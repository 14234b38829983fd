"""The review endpoints that clients ask about themselves: who am I, and may I."""

from typing import TYPE_CHECKING, Any

import orjson

from controller.ports import Kind
from controller.simulator.apiserver.errors import ApiError

if TYPE_CHECKING:
    from controller.simulator.apiserver.store import ApiServer

_ACCESS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_SELF = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


def answer(server: "ApiServer", user: str, method: str, path: str, body: bytes) -> dict[str, Any] | None:
    """The answered review; None where the request is about something else."""
    if method != "POST" or path not in (_ACCESS, _SELF):
        return None
    if path == _SELF:
        info = {"username": user, "groups": ["system:authenticated"]}
        return {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "status": {"userInfo": info}}
    if body[:4] == b"k8s\0" and server.authorize is None:
        # A typed client asks in protobuf; where everything is allowed the question need not be read.
        return {
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "metadata": {},
            "spec": {},
            "status": {"allowed": True},
        }
    if body[:4] == b"k8s\0":
        raise ApiError(415, "the body of the request was in an unknown format - a review as protobuf is not in the sandbox")
    try:
        review = orjson.loads(body)
        asked = review.get("spec", {}).get("resourceAttributes") or {}
    except (orjson.JSONDecodeError, AttributeError) as wrong:
        raise ApiError(400, "the review cannot be read") from wrong
    allowed = True
    if server.authorize is not None:
        kind = Kind(asked.get("group", ""), asked.get("version", "v1"), "", asked.get("resource", ""))
        for known in server.registry.by_kind:
            if (known.group, known.plural) == (kind.group, kind.plural):
                kind = known
        allowed = server.authorize(
            user, asked.get("verb", ""), kind, asked.get("namespace", ""), asked.get("name", ""), asked.get("subresource", "")
        )
    return {**review, "status": {"allowed": allowed}}
