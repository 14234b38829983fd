"""What the controller may do: one table, from which the Roles, their page in the docs and their proof are made.

Every verb stands here because a request is made by it, and a test runs releases on a real API server under exactly these
Roles: nothing is refused, and for each verb there is a request that would be. No wildcard, no Secrets, nothing cluster-wide.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from controller.ports import (
    AUTHORIZATION_POLICY,
    CONFIG_MAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    ENDPOINT_SLICE,
    EVENT,
    HPA,
    LEASE,
    LOCAL_ACCESS_REVIEW,
    NAMESPACE,
    POD,
    PVC,
    RELEASE,
    RELEASE_PLAN,
    RELEASE_REQUEST,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    VIRTUAL_SERVICE,
    Kind,
)

LOOK = ("list", "watch")
READ = ("get", "list", "watch")


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one resource.

    Attributes:
        kind: where it is served.
        verbs: what may be done.
        why: what for, a clause for the docs.
        subresource: such as `status`; "" is the object itself.
        names: only objects of these names; all if empty.
    """

    kind: Kind
    verbs: tuple[str, ...]
    why: str
    subresource: str = ""
    names: tuple[str, ...] = ()

    @property
    def resource(self) -> str:
        """As RBAC writes it: `releases/status`."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural

    def rule(self) -> dict[str, Any]:
        """One rule of a Role."""
        named = {"resourceNames": list(self.names)} if self.names else {}
        return {"apiGroups": [self.kind.group], "resources": [self.resource], **named, "verbs": list(self.verbs)}


_VERSIONS = (
    Right(DEPLOYMENT, ("get", "list", "watch", "create", "patch", "delete"), "make, size and remove green; keep blue's size"),
    Right(
        HPA,
        ("get", "list", "watch", "create", "patch", "delete"),
        "keep blue's minimum until the end, and give a clone its autoscaler at success",
    ),
    Right(SERVICE, ("get", "list", "watch", "create", "delete"), "green's Service"),
    Right(
        CONFIG_MAP,
        ("get", "create", "patch", "delete"),
        "copies of the ConfigMaps that a member names; whether what the versions read was changed",
    ),
    Right(DESTINATION_RULE, ("get", "list", "watch", "create", "patch", "delete"), "green's subset or trafficPolicy"),
    Right(ENDPOINT_SLICE, LOOK, "count the ready endpoints of both colours"),
    Right(POD, ("list",), "restarts and readiness of green's pods"),
    Right(SERVICE_ACCOUNT, ("get",), "see that what a clone refers to exists"),
    Right(PVC, ("get",), "see that what a clone refers to exists"),
    Right(AUTHORIZATION_POLICY, ("list",), "warn where a policy denies green what it allows blue"),
    Right(NAMESPACE, ("get",), "see that green's namespace exists (this one; a Role shows no other)"),
)

WATCHED_NAMESPACE: tuple[Right, ...] = (
    Right(RELEASE, ("get", "list", "watch", "patch", "delete"), "releases, our finalizer on them, and the end of old ones"),
    Right(RELEASE, ("patch",), "the truth about a release", "status"),
    Right(RELEASE_PLAN, READ, "plans"),
    Right(RELEASE_PLAN, ("patch",), "the lock of a plan", "status"),
    Right(RELEASE_REQUEST, LOOK, "what people ask"),
    Right(RELEASE_REQUEST, ("patch",), "the answers", "status"),
    Right(VIRTUAL_SERVICE, ("get", "list", "watch", "patch"), "weights, the owner annotation, listed bypass routes"),
    *(right for right in _VERSIONS if right.kind is not CONFIG_MAP),
    Right(CONFIG_MAP, ("get", "list", "create", "patch", "delete"), "frozen plans, histories, copies of what a member names"),
    Right(EVENT, ("create",), "tell people what happened"),
)
"""In each namespace that has plans: `penstock install --namespace NS`."""

GREEN_NAMESPACE: tuple[Right, ...] = (
    Right(RELEASE, LOOK, "the controller watches the same kinds in every namespace it is given"),
    Right(RELEASE_PLAN, LOOK, "as above"),
    Right(RELEASE_REQUEST, LOOK, "as above"),
    Right(VIRTUAL_SERVICE, LOOK, "see whether another VirtualService would win the plan's hosts"),
    *_VERSIONS,
)
"""In a namespace that only holds one of the two slots: `penstock install --green-namespace NS`. No release and no route is written."""

HOME: tuple[Right, ...] = (
    Right(LEASE, ("create",), "leader election; a name cannot be demanded of a create"),
    Right(LEASE, ("get", "patch"), "leader election", names=("penstock",)),
)
"""In the controller's own namespace."""

_WHETHER_WATCHED = Right(LOCAL_ACCESS_REVIEW, ("create",), "see whether the controller still has its rights there")

OPERATOR: tuple[Right, ...] = (
    Right(RELEASE, ("get", "list", "create", "delete"), "look, start, retry, take a success back; end one for good"),
    Right(RELEASE_PLAN, ("get", "list"), "start, and see by which plan a release goes"),
    Right(RELEASE_REQUEST, ("get", "list", "create"), "pause, resume, advance, promote, rollback, and their answers"),
    Right(CONFIG_MAP, ("get", "list"), "history, why, bundle and report: frozen plans, records, evidence"),
    Right(DEPLOYMENT, ("get",), "see whether a success can still be taken back"),
    _WHETHER_WATCHED,
)
"""What a person needs who runs releases in a namespace; to copy."""

PIPELINE: tuple[Right, ...] = (
    Right(RELEASE, ("get", "list", "create"), "start and wait"),
    Right(RELEASE_PLAN, ("get",), "start"),
    Right(RELEASE_REQUEST, ("get", "create"), "roll back"),
    Right(CONFIG_MAP, ("get",), "the frozen plan: which stages a release has"),
    _WHETHER_WATCHED,
)
"""What a pipeline needs that starts releases, waits for them, and rolls back; to copy."""

LEADER_READER: tuple[Right, ...] = (
    Right(LEASE, ("get",), "see whether a controller leads, and which Prometheus providers it knows", names=("penstock",)),
)
"""For both, in the controller's own namespace. Without it nothing is said about leadership."""

NAMESPACE_MAKER: tuple[Right, ...] = (
    Right(NAMESPACE, ("get", "create", "delete"), "make green's namespace in a release, and remove it with what was made"),
    Right(PVC, ("list",), "see whether anything foreign lives there before the namespace goes"),
    Right(SERVICE_ACCOUNT, ("list",), "as above"),
)
"""Cluster-wide, besides the cluster-wide Role: a namespace that does not exist yet has no Role."""


def secret_rights(names: Iterable[str]) -> tuple[Right, ...]:
    """Verbs on the Secrets of these names, for members that bring them along into another namespace."""
    named = tuple(sorted(set(names)))
    return (
        Right(SECRET, ("get", "patch", "delete"), "copies of the Secrets that a member names", names=named),
        Right(SECRET, ("create",), "the same; a name cannot be demanded of a create"),
    )


def rules(rights: Iterable[Right]) -> list[dict[str, Any]]:
    """The rules of a Role, in the table's order."""
    return [right.rule() for right in rights]
