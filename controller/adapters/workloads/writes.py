"""Bringing green up and keeping blue's capacity: the commands toward green, and the ones at every end.

Each takes what was observed and makes it so: done twice equals once. Each returns what it made or took, whose uids the
Release records. Errors: `ConflictError` (look again), `RefusedError` (a person decides), `Deposed` (stop), and the
transient `KubeError`s.
"""

from collections.abc import Mapping
from dataclasses import replace

from controller.adapters import marks
from controller.adapters.workloads.autoscalers import follow_autoscaler as follow
from controller.adapters.workloads.autoscalers import raise_floor, restore_floor
from controller.adapters.workloads.change import CONFLICT, Writer, full_replicas, full_size_of, pods_left
from controller.adapters.workloads.clone import (
    clone_config_map,
    clone_deployment,
    clone_service,
    green_labels,
    update_idle,
)
from controller.adapters.workloads.in_place import put_back_in_place, update_in_place, updated_by
from controller.adapters.workloads.namespaces import carried_labels
from controller.adapters.workloads.places import (
    container_index,
    dig,
    find,
    image_of,
    is_kept,
    other,
    replicas_of,
    template_labels,
    text,
)
from controller.adapters.workloads.references import brought_along
from controller.adapters.workloads.view import MembersView, wanted_replicas
from controller.api.plan import GreenSource, Member
from controller.api.release import ManagedObject, Phase
from controller.core.commands import Subject
from controller.ports import DEPLOYMENT, NAMESPACE, SERVICE, ConflictError, Kind, Kube, NotFoundError, Obj, RefusedError

Touched = tuple[ManagedObject, ...]


def make_green(kube: Kube, subject: Subject, view: MembersView, epoch: int, *, may_make_namespaces: bool = False) -> Touched:
    """Bring green up at blue's size: what it refers to, then its Services, then its workloads.

    A clone is created, or the old version that idles in its place is updated; an adopted green and the old version of a
    reverse release are only taken and sized.
    """
    writer = Writer(kube, subject, view, epoch)
    if subject.plan is not None and subject.plan.preparation.green is GreenSource.CLONE and subject.spec.kind != "reverse":
        if may_make_namespaces:
            _make_namespace(writer)
        for member in writer.members():
            _clone_member(writer, member)
    else:
        for member in writer.members():
            _take_member(writer, member)
    return tuple(writer.touched)


def _take_member(writer: Writer, member: Member) -> None:
    green = _green(writer, member)
    revision = "" if writer.subject.spec.kind == "reverse" else writer.subject.spec.revision
    writer.take(DEPLOYMENT, green, revision=revision)
    _size_member(writer, member)


def _green(writer: Writer, member: Member) -> Obj:
    there, seen = writer.green_place(member), writer.view.named(member.name)
    green = writer.live(DEPLOYMENT, there.namespace, there.workload, seen=seen.green.uid if seen else "")
    if green is None:
        raise NotFoundError(404, "NotFound", f"Deployment {there.namespace}/{there.workload} (green) does not exist.")
    return green


def _blue(writer: Writer, member: Member) -> Obj:
    there, seen = writer.blue_place(member), writer.view.named(member.name)
    blue = writer.live(DEPLOYMENT, there.namespace, there.workload, seen=seen.blue.uid if seen else "")
    if blue is None:
        raise NotFoundError(404, "NotFound", f"Deployment {there.namespace}/{there.workload} (blue) does not exist.")
    return blue


def _clone_member(writer: Writer, member: Member) -> None:
    blue = _blue(writer, member)
    _bring(writer, member, blue)
    there, how = writer.green_place(member), writer.recipe(member)
    service = find(writer.kube, SERVICE, there.namespace, there.service) if writer.split.by_host else None
    idle = writer.live(DEPLOYMENT, there.namespace, there.workload)
    labels = green_labels(blue, how, service=service, idle=idle)
    if writer.split.by_host:
        _make_service(writer, member, service, blue, labels)
    wanted = wanted_replicas(writer.subject, member.name, replicas_of(blue), 0)
    if idle is None:
        writer.create(DEPLOYMENT, clone_deployment(blue, how, replicas=wanted, service=service))
    elif writer.ours(idle) and marks.annotation(idle, marks.REVISION) == how.revision:
        writer.note(DEPLOYMENT, idle)
        _grow(writer, member, idle, blue)
    else:
        _wake(writer, member, blue, idle)


def _wake(writer: Writer, member: Member, blue: Obj, idle: Obj) -> None:
    """Turn what idles in green's place, or what the plan kept there, into green. Never another that runs, or one of another plan."""
    there, how = writer.green_place(member), writer.recipe(member)
    if text(idle, "metadata", "deletionTimestamp"):
        raise ConflictError(CONFLICT, "Terminating", f"Deployment {there.namespace}/{there.workload} is still being deleted.")
    kept = is_kept(idle, writer.subject)
    if (replicas_of(idle) and not kept) or marks.label(idle, marks.PLAN_LABEL) not in {"", marks.label_value(how.plan)}:
        message = f"Deployment {there.namespace}/{there.workload} stands in green's place and is not of this release."
        raise RefusedError(CONFLICT, "Foreign", message)
    if pods_left(idle) and not kept:  # the core waits for this; here it is seen where a pod was reported after that look
        raise ConflictError(CONFLICT, "Ending", f"Deployment {there.namespace}/{there.workload} in green's place is still ending.")
    service = find(writer.kube, SERVICE, there.namespace, there.service) if writer.split.by_host else None
    wanted = wanted_replicas(writer.subject, member.name, replicas_of(blue), 0)
    raise_floor(writer, there, wanted)
    writer.operate(DEPLOYMENT, idle, update_idle(blue, idle, how, replicas=wanted, service=service))


def _make_service(writer: Writer, member: Member, service: Obj | None, blue: Obj, labels: Mapping[str, str]) -> None:
    if service is not None:
        if marks.is_made(service, plan=marks.label_value(writer.subject.spec.plan)):
            writer.note(SERVICE, service)
        return
    there = writer.blue_place(member)
    source = find(writer.kube, SERVICE, there.namespace, there.service)
    if source is not None:
        writer.create(SERVICE, clone_service(source, writer.recipe(member), template_labels(blue), labels))


def _bring(writer: Writer, member: Member, blue: Obj) -> None:
    if writer.blue_place(member).namespace == writer.green_place(member).namespace:
        return
    for kind, name in brought_along(member, blue):
        _bring_one(writer, member, kind, name)


def _bring_one(writer: Writer, member: Member, kind: Kind, name: str) -> None:
    """Copy it; refresh a copy of an earlier release; leave alone what somebody else put there for green."""
    source = writer.kube.get(kind, writer.blue_place(member).namespace, name)
    copy = clone_config_map(source, writer.recipe(member))
    there = writer.live(kind, writer.green_place(member).namespace, name)
    if there is None:
        writer.create(kind, copy)
    elif marks.is_made(there, plan=marks.label_value(writer.subject.spec.plan)):
        stale = any(there.get(key) != source.get(key) for key in ("data", "binaryData"))
        if stale and not writer.ours(there) and there.get("immutable") is not True:
            data = [{"op": "add", "path": f"/{key}", "value": source[key]} for key in ("data", "binaryData") if key in source]
            owner: dict[str, str | None] = {marks.EPOCH: str(writer.epoch), marks.OWNER: writer.subject.uid}
            there = writer.operate(kind, there, [*marks.guard_ops(there), *data, *marks.annotation_ops(there, owner)])
        writer.note(kind, there)


def _make_namespace(writer: Writer) -> None:
    """Green's namespace, with what decides about injection and pod security in blue's. Needs the optional rights."""
    slots = writer.subject.plan.slots if writer.subject.plan else []
    if not slots or writer.view.blue_slot < 0:
        return
    blue, green = (slots[slot].namespace or writer.subject.namespace for slot in (writer.view.blue_slot, other(writer.view.blue_slot)))
    there = find(writer.kube, NAMESPACE, "", green)
    if there is not None:
        if writer.ours(there):
            writer.note(NAMESPACE, there)
        return
    labels = carried_labels(writer.kube.get(NAMESPACE, "", blue))
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": green, "labels": labels}}
    made = marks.made_marks(
        body, writer.epoch, plan=marks.label_value(writer.subject.spec.plan), release=marks.label_value(writer.subject.name)
    )
    writer.create(NAMESPACE, marks.with_marks(made, writer.epoch, annotations={marks.OWNER: writer.subject.uid}))


def size_green(kube: Kube, subject: Subject, view: MembersView, epoch: int) -> Touched:
    """Scale green up to blue's size, as the plan says; the old version of a reverse release always."""
    writer = Writer(kube, subject, view, epoch)
    for member in writer.members():
        _size_member(writer, member)
    return tuple(writer.touched)


def _size_member(writer: Writer, member: Member) -> None:
    _grow(writer, member, _green(writer, member), _blue(writer, member))


def _grow(writer: Writer, member: Member, green: Obj, blue: Obj) -> None:
    """Up only: a green that is larger than blue harms nobody, and shrinking it under traffic would."""
    wanted = wanted_replicas(writer.subject, member.name, replicas_of(blue), replicas_of(green))
    raise_floor(writer, writer.green_place(member), wanted)
    if replicas_of(green) < wanted:
        writer.scale(DEPLOYMENT, green, wanted)


def keep_capacity(kube: Kube, subject: Subject, view: MembersView, epoch: int) -> Touched:
    """Keep blue able to take everything back: its autoscaler's minimum at its full size, its replicas not below."""
    writer = Writer(kube, subject, view, epoch)
    for member in writer.members():
        blue = _blue(writer, member)
        wanted = full_replicas(subject, member, replicas_of(blue))
        raise_floor(writer, writer.blue_place(member), wanted)
        if replicas_of(blue) < wanted:
            writer.scale(DEPLOYMENT, blue, wanted)
    return tuple(writer.touched)


def restore_capacity(kube: Kube, subject: Subject, view: MembersView, epoch: int) -> Touched:
    """Put the minimums of both colours' autoscalers back, and blue's replicas where a retention shrank them.

    After a success blue is the old version, which its retention keeps small.
    """
    writer = Writer(kube, subject, view, epoch)
    for member in writer.members():
        for there in (writer.blue_place(member), writer.green_place(member)):
            restore_floor(writer, there, member)
        there = writer.blue_place(member)
        blue = writer.live(DEPLOYMENT, there.namespace, there.workload)
        serves = subject.status.phase is not Phase.SUCCEEDED
        if blue is not None and serves and full_size_of(blue) > replicas_of(blue) > 0:
            writer.scale(DEPLOYMENT, blue, full_size_of(blue))
    return tuple(writer.touched)


def follow_autoscaler(kube: Kube, subject: Subject, view: MembersView, epoch: int) -> Touched:
    """After success: the version that serves now gets the autoscaler that blue has, before blue's goes with blue."""
    writer = Writer(kube, subject, view, epoch)
    follow(writer)
    return tuple(writer.touched)


def update_home(kube: Kube, subject: Subject, view: MembersView, epoch: int, *, images: Mapping[str, str] | None = None) -> Touched:
    """`finish: home`: the original workloads get the new version in place, or back what they had, at full size.

    Args:
        kube: live.
        subject: the release.
        view: what was observed; blue is the original.
        epoch: the leader's.
        images: by member, what served before: the return is taken back.
    """
    writer = Writer(kube, subject, view, epoch)
    for member in writer.members():
        blue, how = _blue(writer, member), writer.recipe(member)
        if images is not None:
            how = replace(how, image=images.get(member.name, ""))
        if container_index(dig(blue, "spec", "template", "spec"), member) < 0:
            raise RefusedError(CONFLICT, "Invalid", f"{marks.where(blue)} lost the container that the plan moves.")
        wanted = max(full_replicas(subject, member, replicas_of(blue)), replicas_of(blue))
        is_so = replicas_of(blue) == wanted and how.image in ("", image_of(blue, member))
        if is_so and (updated_by(blue) == subject.uid) == (images is None):
            writer.note(DEPLOYMENT, blue)
            continue
        raise_floor(writer, writer.blue_place(member), wanted)
        change = update_in_place if images is None else put_back_in_place
        writer.operate(DEPLOYMENT, blue, change(blue, how, replicas=wanted))
    return tuple(writer.touched)
