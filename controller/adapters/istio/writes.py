"""The forward writes of the routes. Each is conditional on what this reconcile read, and none is sent twice.

A stale read, also a `test` that fails because somebody wrote in between, is a `ConflictError`: the caller drops
everything and looks again. The way back is in `rollback`, green's cluster in `subsets`.
"""

from collections.abc import Iterator

from controller.adapters import marks
from controller.adapters.istio.owners import live_owner
from controller.adapters.istio.patches import Draft, Patch, build_claim_patch, build_close_patch, build_open_patch, build_weight_patch
from controller.adapters.istio.sides import Side, target_namespace
from controller.adapters.istio.view import TrafficView
from controller.api.plan import VirtualServiceRef
from controller.core.commands import Subject
from controller.core.world import RouteView
from controller.ports import VIRTUAL_SERVICE, ConflictError, Kind, Kube, NotFoundError, Obj, RefusedError
from controller.ports import Patch as How

CONFLICT = 409


def claim_routes(kube: Kube, subject: Subject, view: TrafficView, epoch: int) -> None:
    """Write our marks wherever they are missing, in the order of names, so that two releases meet at the first one."""
    for ref, route in sorted(_targets(subject, view), key=lambda pair: (pair[1].namespace, pair[1].name)):
        draft = _fresh(kube, subject, view, ref, route, epoch)
        owner = live_owner(kube, subject, draft.obj)
        if owner:
            raise ConflictError(CONFLICT, "RouteOwned", f"{owner} owns {marks.where(draft.obj)}")
        send(kube, VIRTUAL_SERVICE, draft.obj, build_claim_patch(draft, subject))


def open_routes(kube: Kube, subject: Subject, view: TrafficView, epoch: int) -> None:
    """Name green at weight 0 beside blue's 100 on every managed rule."""
    for ref, route in _targets(subject, view):
        draft = _ours(kube, subject, view, ref, route, epoch)
        send(kube, VIRTUAL_SERVICE, draft.obj, build_open_patch(draft, subject))


def set_weight(kube: Kube, subject: Subject, view: TrafficView, epoch: int, *, weight: int, stamp: str = "") -> None:
    """Give green this share on every managed rule; on those objects only that have another.

    Those with bypass rules alone come first: where the weights stand, the whole step was taken.
    """
    for ref, route in sorted(_targets(subject, view), key=lambda pair: pair[1].weighted):
        draft = _ours(kube, subject, view, ref, route, epoch)
        send(kube, VIRTUAL_SERVICE, draft.obj, build_weight_patch(draft, subject, weight, stamp))


def close_routes(kube: Kube, subject: Subject, view: TrafficView, epoch: int, *, serving: str) -> None:
    """Give the routes back: our additions that no one needs go, the owner annotation last of all with them."""
    side = Side(serving)
    idle = Side.GREEN if side is Side.BLUE else Side.BLUE
    for ref, route in _targets(subject, view):
        if not route.found or route.owner not in ("", subject.uid):
            continue
        draft = _fresh(kube, subject, view, ref, route, epoch)
        for rule in draft.split.managed if view.sides.known else ():
            if rule.percent(lambda t, d=draft: d.side(t) is idle) != 0:  # type: ignore[misc]
                sentence = f"{rule.title} of {marks.where(draft.obj)} still sends to {idle.value}, so it is not closed"
                raise RefusedError(CONFLICT, "StillRouted", sentence)
        send(kube, VIRTUAL_SERVICE, draft.obj, build_close_patch(draft, side))


def send(kube: Kube, kind: Kind, obj: Obj, patch: Patch) -> Obj:
    """Send a patch of what was read; an empty one is not sent. `ConflictError` where the object is not as it was read any more.

    A failing `test` is a 422 like any refusal, so the object is read again to tell the two apart.
    """
    if not patch:
        return obj
    meta = marks.metadata(obj)
    namespace, name = str(meta.get("namespace", "")), str(meta.get("name", ""))
    try:
        return kube.patch(kind, namespace, name, patch, How.JSON)
    except RefusedError as error:
        now = kube.get(kind, namespace, name)
        if marks.metadata(now).get("resourceVersion") != meta.get("resourceVersion"):
            raise ConflictError(CONFLICT, "Conflict", f"{marks.where(obj)} was written since it was read") from error
        raise


def _targets(subject: Subject, view: TrafficView) -> Iterator[tuple[VirtualServiceRef, RouteView]]:
    routes = {(route.namespace, route.name): route for route in view.routes}
    for ref in subject.plan.traffic.targets if subject.plan else ():
        route = routes.get((target_namespace(ref, subject.namespace), ref.name))
        if route is not None and (route.found or route.weighted):  # a preview that somebody deleted has nothing to be written
            yield ref, route


def _fresh(  # noqa: PLR0917 - what was read, for whom, and where
    kube: Kube, subject: Subject, view: TrafficView, ref: VirtualServiceRef, route: RouteView, epoch: int
) -> Draft:
    """The object, which must still be the one that this reconcile decided on."""
    if not route.found:
        raise NotFoundError(404, "NotFound", f"VirtualService {route.namespace}/{route.name} was not found")
    obj = kube.get(VIRTUAL_SERVICE, route.namespace, route.name)
    marks.check_epoch(obj, epoch)
    if marks.metadata(obj).get("resourceVersion") != route.resource_version:
        raise ConflictError(CONFLICT, "Conflict", f"{marks.where(obj)} was written since it was read")
    return Draft(obj, ref, view.sides, epoch, view.cluster_domain, subject.status.added.get(f"{route.namespace}/{route.name}", ""))


def _ours(  # noqa: PLR0917 - as `_fresh`, and for whom
    kube: Kube, subject: Subject, view: TrafficView, ref: VirtualServiceRef, route: RouteView, epoch: int
) -> Draft:
    """As `_fresh`, and nobody else's. An owner annotation that somebody took off is written again with the next patch."""
    draft = _fresh(kube, subject, view, ref, route, epoch)
    owner = marks.annotation(draft.obj, marks.OWNER)
    if owner not in ("", subject.uid):
        raise ConflictError(CONFLICT, "RouteOwned", f"another release owns {marks.where(draft.obj)}")
    if not view.sides.known:
        raise ConflictError(CONFLICT, "BlueUnknown", f"it is not known who is blue on {marks.where(draft.obj)}")
    return draft
