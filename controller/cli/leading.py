"""Whether a controller can act on a release: one leads, and it has its rights there. Without both nothing of a release moves.

Its status would say for ever that all goes on by itself. Where nobody may read the Lease, or ask for others' rights, or where the
controller lies elsewhere, nothing is said: not knowing is no news.
"""

from collections.abc import Mapping
from typing import Any

from controller.adapters.marks import PROVIDERS, annotation
from controller.cli.host import Session, say
from controller.cli.words import record, rows, span, text
from controller.ports import LEASE, LOCAL_ACCESS_REVIEW, RELEASE, KubeError, NotFoundError, Obj, RefusedError
from controller.runtime.lease import vacancy, view_of
from controller.times import unix

SLACK_SECONDS = 10.0
"""So much longer than its lease a holder may be silent: clocks differ, and another replica takes over meanwhile."""

SILENT_SECONDS = 90.0
"""A controller writes about a release that it watches about once a minute: whoever does has its rights."""


def nobody_acts(session: Session, namespace: str, silent: float = SILENT_SECONDS) -> str:
    """Why nothing goes on with a release there, a sentence; "" where a controller acts, and where it cannot be told.

    Args:
        session: to ask with.
        namespace: of the release.
        silent: for how long nothing was written about it, seconds; its rights are only asked for where that is long.
    """
    found = _lease(session)
    if found is None:
        return ""
    return _unled(session, found) or (_rightless(session, namespace) if silent >= SILENT_SECONDS else "")


def providers_known(session: Session) -> frozenset[str] | None:
    """Names of the Prometheus providers that the controller knows, by its Lease; None where it does not say, or nobody may read it.

    That they are not known is said: nothing is held against a plan then. Raises `KubeError` where the API server does not answer.
    """
    from controller.cli.install_objects import NAME, SYSTEM

    try:
        names = annotation(session.kube.get(LEASE, SYSTEM, NAME), PROVIDERS)
    except (NotFoundError, RefusedError):
        names = ""
    if not names:
        say("Which Prometheus providers the controller knows is not known here: no controller has led yet, or you may not read its Lease.")
        return None
    return frozenset(names.split(","))


def _lease(session: Session) -> Obj | None:
    from controller.cli.install_objects import NAME, SYSTEM

    try:
        return session.kube.get(LEASE, SYSTEM, NAME)
    except KubeError:
        return None


def _unled(session: Session, found: Obj) -> str:
    from controller.cli.install_objects import NAME, SYSTEM

    lease = view_of(found)
    written = written_at(found)
    silent = session.now - written if written else vacancy(lease, session.now)
    if not lease.renewed or silent <= lease.duration + SLACK_SECONDS:
        return ""
    held = f", which {lease.holder} held" if lease.holder else ", which nobody holds"
    return (
        f"No controller leads: the Lease {SYSTEM}/{NAME}{held}, was not renewed for {span(silent)}. Nothing moves until one does, and "
        f"traffic stays as it is. Look at its pods (Deployment {SYSTEM}/{NAME})."
    )


def written_at(found: Obj) -> float:
    """When the Lease was written last, by the API server's own clock: the holder's may go otherwise. 0 where that is not told."""
    times = [text(entry.get("time")) for entry in rows(record(found.get("metadata")).get("managedFields"))]
    try:
        return max(map(unix, times), default=0.0)
    except ValueError:
        return 0.0


def _rightless(session: Session, namespace: str) -> str:
    """That the installed controller may not write about releases there: somebody took its Role or RoleBinding away."""
    from controller.cli.install_objects import NAME, SYSTEM

    user = f"system:serviceaccount:{SYSTEM}:{NAME}"
    asked = {"namespace": namespace, "verb": "patch", "group": RELEASE.group, "resource": RELEASE.plural, "subresource": "status"}
    body: Mapping[str, Any] = {
        "apiVersion": LOCAL_ACCESS_REVIEW.api_version,
        "kind": LOCAL_ACCESS_REVIEW.kind,
        "spec": {"user": user, "groups": ["system:serviceaccounts", f"system:serviceaccounts:{SYSTEM}"], "resourceAttributes": asked},
    }
    try:
        status = record(session.kube.create(LOCAL_ACCESS_REVIEW, namespace, body).get("status"))
    except KubeError:
        return ""
    if status.get("allowed") is not False or status.get("evaluationError"):
        return ""
    return (
        f"The controller has no rights in namespace {namespace} any more: {user} may not patch releases/status there. Nothing moves until "
        f"`penstock install --namespace {namespace}` has given them back, and traffic stays as it is."
    )
