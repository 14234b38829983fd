"""Taking a version down: green after a rollback, the old version after success, the clone after a return.

Called only after weight 0, the drain and no traffic seen; that is the core's to know. Here it is made sure that only
the object goes whose uid this release recorded: a namesake that somebody made meanwhile is left alone.
"""

from controller.adapters import marks
from controller.adapters.workloads.autoscalers import autoscaler_at, follow_autoscaler, lower_floor, restore_floor
from controller.adapters.workloads.change import CONFLICT, Writer, full_size_of
from controller.adapters.workloads.places import Place, find, image_of, replicas_of, text
from controller.adapters.workloads.references import brought_along
from controller.adapters.workloads.view import MembersView, made_by_us
from controller.adapters.workloads.writes import Touched
from controller.api.plan import Member
from controller.core.commands import Subject
from controller.ports import (
    CONFIG_MAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    HPA,
    NAMESPACE,
    POD,
    PVC,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    VIRTUAL_SERVICE,
    ConflictError,
    Kind,
    Kube,
    NotFoundError,
    Obj,
    RefusedError,
)

FURNITURE = {
    CONFIG_MAP: frozenset({"kube-root-ca.crt", "istio-ca-root-cert", "istio-ca-crl"}),
    SERVICE_ACCOUNT: frozenset({"default"}),
}
"""What Kubernetes and Istio themselves put into every namespace."""

RESIDENTS = (DEPLOYMENT, POD, SERVICE, CONFIG_MAP, PVC, SERVICE_ACCOUNT, HPA, VIRTUAL_SERVICE, DESTINATION_RULE)
"""Kinds that are looked at before a namespace is deleted; one that cannot be read keeps the namespace."""


def remove_green(kube: Kube, subject: Subject, view: MembersView, epoch: int) -> Touched:
    """Take green down: delete what Penstock made, scale the rest to zero; delete its namespace only if this release made it."""
    writer = Writer(kube, subject, view, epoch)
    for member in writer.members():
        _remove(writer, member, writer.green_place(member), then="auto")
    for namespace in sorted({writer.green_place(member).namespace for member in writer.members()}):
        _remove_namespace(writer, namespace)
    return tuple(writer.touched)


def remove_clone(kube: Kube, subject: Subject, view: MembersView, epoch: int) -> Touched:
    """`finish: home`: take the clone down after the original serves again. The same rules as for a green that lost."""
    return remove_green(kube, subject, view, epoch)


def shrink_old(kube: Kube, subject: Subject, view: MembersView, epoch: int, *, replicas: int) -> Touched:
    """After success: scale the old version down to its retention size, never up; its full size is remembered on it."""
    writer = Writer(kube, subject, view, epoch)
    follow_autoscaler(writer)
    for member in writer.members():
        there = writer.blue_place(member)
        old = writer.live(DEPLOYMENT, there.namespace, there.workload)
        if old is None or _is_newer(writer, member, old) or replicas_of(old) <= replicas:
            continue
        _must_be_recorded(writer, old)
        # The autoscaler first: it would scale the workload up again.
        lower_floor(writer, there, replicas)
        writer.scale(DEPLOYMENT, old, replicas, full_size=str(full_size_of(old) or replicas_of(old)))
    return tuple(writer.touched)


def retire_old(kube: Kube, subject: Subject, view: MembersView, epoch: int) -> Touched:
    """After the retention: remove the old version as the plan's `finish.then` says, once the new one has its autoscaler."""
    writer = Writer(kube, subject, view, epoch)
    then = subject.plan.finish.then if subject.plan is not None else "keep"
    follow_autoscaler(writer)
    for member in writer.members():
        restore_floor(writer, writer.green_place(member), member)
    for member in writer.members() if then != "keep" else ():
        there = writer.blue_place(member)
        old = find(kube, DEPLOYMENT, there.namespace, there.workload)
        if old is None or not _is_newer(writer, member, old):
            _remove(writer, member, there, then=then)
    return tuple(writer.touched)


def _is_newer(writer: Writer, member: Member, old: Obj) -> bool:
    """Whether a later release has already brought its own version up in the old one's place: that is not ours to take down."""
    before = writer.subject.status.images_before.get(member.name, "")
    return bool(before) and image_of(old, member) != before and not writer.ours(old)


def _must_be_recorded(writer: Writer, workload: Obj) -> None:
    if not writer.recorded(DEPLOYMENT, workload):
        message = f"{marks.where(workload)} is not the one that this release recorded, so it is left alone; remove it by hand."
        raise RefusedError(CONFLICT, "Foreign", message)


def _remove(writer: Writer, member: Member, there: Place, *, then: str) -> None:
    """One member's version in one place.

    Args:
        writer: the command.
        member: which member.
        there: its place.
        then: `auto` deletes what Penstock made and scales the rest to zero; `delete`, `scale` as they say.
    """
    workload = writer.live(DEPLOYMENT, there.namespace, there.workload)
    if workload is None:
        _remove_brought(writer, member, there, None)
        return
    if text(workload, "metadata", "deletionTimestamp"):
        return
    _must_be_recorded(writer, workload)
    if then == "delete" or (then == "auto" and made_by_us(writer.subject, DEPLOYMENT, workload)):
        # The workload last: as long as it stands, a leader that comes after a crash does all of this again.
        _remove_brought(writer, member, there, workload)
        _remove_autoscaler(writer, there)
        writer.delete(DEPLOYMENT, workload)
    else:
        _remove_brought(writer, member, there, workload, of_this_release=True)
        restore_floor(writer, there, member)
        writer.scale(DEPLOYMENT, workload, 0)


def _remove_autoscaler(writer: Writer, there: Place) -> None:
    hpa = autoscaler_at(writer, there)
    if hpa is not None and marks.is_made(hpa):
        writer.delete(HPA, hpa)


def _remove_brought(writer: Writer, member: Member, there: Place, workload: Obj | None, *, of_this_release: bool = False) -> None:
    """The Service and the copies that were made for a workload; what others made stays.

    With a workload that stays, only what this very release made goes: the rest was there before it.
    """
    places = (writer.blue_place(member), writer.green_place(member)) if member.config_maps and workload is None else ()
    others = [find(writer.kube, DEPLOYMENT, one.namespace, one.workload) for one in places]
    for kind, name in [(SERVICE, there.service), *brought_along(member, workload, *others)]:
        obj = _readable(writer.kube, kind, there.namespace, name)
        if obj is None or not made_by_us(writer.subject, kind, obj) or (of_this_release and not writer.ours(obj)):
            continue
        if writer.recorded(kind, obj) or _of_plan(writer, kind, obj):
            writer.delete(kind, obj)


def _of_plan(writer: Writer, kind: Kind, obj: Obj) -> bool:
    """Made by an earlier release of this plan, and not recorded under another uid by this one."""
    known = {(entry.kind, entry.namespace, entry.name) for entry in writer.subject.status.objects if entry.uid}
    key = kind.kind, text(obj, "metadata", "namespace"), text(obj, "metadata", "name")
    return key not in known and marks.is_made(obj, plan=writer.subject.spec.plan)


def _readable(kube: Kube, kind: Kind, namespace: str, name: str) -> Obj | None:
    """The object; None also where a Secret may not be read: then none was brought either."""
    try:
        return find(kube, kind, namespace, name)
    except RefusedError:
        if kind is SECRET:
            return None
        raise


def _remove_namespace(writer: Writer, name: str) -> None:
    """Delete a namespace that this release made, once nothing of others lives in it. Without the right to look it stays."""
    try:
        namespace = find(writer.kube, NAMESPACE, "", name)
        if namespace is None or not marks.is_made(namespace) or not writer.ours(namespace):
            return
        if not _strangers(writer.kube, name, writer.subject.spec.plan):
            writer.delete(NAMESPACE, namespace)
    except (RefusedError, ConflictError):
        return


def _strangers(kube: Kube, namespace: str, plan: str) -> bool:
    return any(_is_stranger(kind, obj, plan) for kind in RESIDENTS for obj in _listed(kube, kind, namespace))


def _listed(kube: Kube, kind: Kind, namespace: str) -> list[Obj]:
    try:
        return list(kube.list(kind, namespace).items)
    except NotFoundError:
        return []  # a kind that the cluster does not have


def _is_stranger(kind: Kind, obj: Obj, plan: str) -> bool:
    if text(obj, "metadata", "name") in FURNITURE.get(kind, frozenset()) or marks.is_made(obj, plan=plan):
        return False
    # Pods and what else our own Deployments made carry the plan's label by the template.
    return not (kind is POD and marks.label(obj, marks.PLAN_LABEL) == plan)
