"""The one way in which this package writes: read live, compare the epoch, write conditionally, stamp.

Every write is "make it so" and is left out where it is so already. A create whose answer was lost is a success when it
is found again. Nothing is written to an object of another uid than the one that was decided upon.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.adapters import marks
from controller.adapters.workloads.clone import FULL_SIZE, Recipe, recipe
from controller.adapters.workloads.places import Place, Split, find, number, other, place, plan_of, replicas_of, text, uid_of
from controller.adapters.workloads.view import FLOOR, MembersView, managed
from controller.api.plan import Member
from controller.api.release import ManagedObject
from controller.core.commands import Subject
from controller.ports import ConflictError, Kind, Kube, NotFoundError, Obj, Patch, RefusedError

CONFLICT = 409


@dataclass(slots=True)
class Writer:
    """One command being carried out.

    Attributes:
        kube: live; a cached read here would only cost a conflict.
        view: what the decision rests on.
        epoch: the leader's.
        touched: what was made or taken so far, for the resolved list.
    """

    kube: Kube
    subject: Subject
    view: MembersView
    epoch: int
    touched: list[ManagedObject] = field(default_factory=list)

    @property
    def split(self) -> Split:
        """How the routes tell the colours apart."""
        return self.view.split

    def members(self) -> Iterator[Member]:
        """The plan's members; none while nobody knows which slot is blue."""
        if self.subject.plan is not None and self.view.blue_slot >= 0:
            yield from plan_of(self.subject).all_members

    def blue_place(self, member: Member) -> Place:
        """Where blue lives."""
        return place(self.subject, member, self.view.blue_slot)

    def green_place(self, member: Member) -> Place:
        """Where green lives."""
        return place(self.subject, member, other(self.view.blue_slot))

    def recipe(self, member: Member) -> Recipe:
        """What turns this member's blue into its green."""
        return recipe(self.subject, member, self.view.blue_slot, self.epoch)

    def ours(self, obj: Obj) -> bool:
        """Whether this very release made or took the object; a namesake's uid differs (S10)."""
        return marks.annotation(obj, marks.OWNER) == self.subject.uid

    def recorded(self, kind: Kind, obj: Obj) -> bool:
        """Whether the object is the one that this release recorded.

        Where the record was never written (a crash between making and recording), our own uid on the object
        proves as much: nobody else writes it.
        """
        key = kind.kind, text(obj, "metadata", "namespace"), text(obj, "metadata", "name")
        uids = {entry.uid for entry in self.subject.status.objects if (entry.kind, entry.namespace, entry.name) == key and entry.uid}
        return uid_of(obj) in uids if uids else self.ours(obj)

    def live(self, kind: Kind, namespace: str, name: str, *, seen: str = "") -> Obj | None:
        """The object now; `ConflictError` where it is another one than was seen, `Deposed` where a later leader wrote it."""
        obj = find(self.kube, kind, namespace, name)
        if obj is None:
            return None
        if seen and uid_of(obj) != seen:
            raise ConflictError(CONFLICT, "Conflict", f"{kind.kind} {namespace}/{name} was deleted and made again since it was looked at.")
        marks.check_epoch(obj, self.epoch)
        return obj

    def note(self, kind: Kind, obj: Obj) -> None:
        """Remember an object for the resolved list."""
        entry = managed(obj, kind.kind)
        if entry not in self.touched:
            self.touched.append(entry)

    def create(self, kind: Kind, body: Obj) -> Obj:
        """Create, or find what an earlier attempt made. `RefusedError` where somebody else took the name meanwhile."""
        namespace, name = text(body, "metadata", "namespace"), text(body, "metadata", "name")
        try:
            made = self.kube.create(kind, namespace, body)
        except ConflictError as taken:
            there = self.live(kind, namespace, name)
            if there is None:
                raise
            if not self.ours(there):
                raise RefusedError(CONFLICT, taken.reason, f"{kind.kind} {namespace}/{name} exists and is not of this release.") from taken
            made = there
        self.note(kind, made)
        return made

    def merge(self, kind: Kind, obj: Obj, spec: Mapping[str, Any], **annotations: str | None) -> Obj:
        """A merge patch of spec fields and annotations (by the names of `marks`), 409 where the object was written since it was read."""
        body = {"metadata": {"resourceVersion": text(obj, "metadata", "resourceVersion")}, **({"spec": spec} if spec else {})}
        keys = {"owner": marks.OWNER, "revision": marks.REVISION, "full_size": FULL_SIZE, "floor": FLOOR}
        named = {keys[name]: value for name, value in annotations.items()}
        written = self._patch(kind, obj, marks.with_marks(body, self.epoch, annotations=named), Patch.MERGE)
        self.note(kind, written)
        return written

    def operate(self, kind: Kind, obj: Obj, operations: list[dict[str, Any]]) -> Obj:
        """A JSON Patch; its first operation is the guard of `marks.guard_ops`."""
        written = self._patch(kind, obj, operations, Patch.JSON)
        self.note(kind, written)
        return written

    def _patch(self, kind: Kind, obj: Obj, body: Any, how: Patch) -> Obj:
        return self.kube.patch(kind, text(obj, "metadata", "namespace"), text(obj, "metadata", "name"), body, how)

    def take(self, kind: Kind, obj: Obj, *, revision: str = "") -> Obj:
        """Mark an object that others made as taken by this release; nothing where it is."""
        if self.ours(obj):
            self.note(kind, obj)
            return obj
        annotations: dict[str, str | None] = {marks.OWNER: self.subject.uid, marks.EPOCH: str(self.epoch)}
        annotations |= {marks.REVISION: revision} if revision else {}
        labels: dict[str, str | None] = {
            marks.PLAN_LABEL: marks.label_value(self.subject.spec.plan),
            marks.RELEASE_LABEL: marks.label_value(self.subject.name),
        }
        return self.operate(kind, obj, [*marks.guard_ops(obj), *marks.label_ops(obj, labels), *marks.annotation_ops(obj, annotations)])

    def scale(self, kind: Kind, obj: Obj, replicas: int, *, full_size: str | None = None) -> Obj:
        """Set `spec.replicas`; nothing where it is so. `full_size` is what a retention remembers, None forgets it."""
        remembered = marks.annotation(obj, FULL_SIZE)
        if replicas_of(obj) == replicas and remembered == (full_size or ""):
            return obj
        return self.merge(kind, obj, {"replicas": replicas}, **({"full_size": full_size} if full_size or remembered else {}))

    def delete(self, kind: Kind, obj: Obj) -> None:
        """Delete exactly this object as it was read; one that is gone or going is left."""
        marks.check_epoch(obj, self.epoch)
        if text(obj, "metadata", "deletionTimestamp"):
            return
        namespace, name = text(obj, "metadata", "namespace"), text(obj, "metadata", "name")
        try:
            self.kube.delete(kind, namespace, name, uid=uid_of(obj), resource_version=text(obj, "metadata", "resourceVersion"))
        except NotFoundError:
            return


def full_replicas(subject: Subject, member: Member, now: int) -> int:
    """Blue's full size: what it has now, never less than recorded at the start."""
    return max([now, *(one.replicas for one in subject.status.capacity if one.member == member.name)])


def full_size_of(deployment: Obj) -> int:
    """The size that a retention remembers, 0 where none shrank it."""
    remembered = marks.annotation(deployment, FULL_SIZE)
    return int(remembered) if remembered.isascii() and remembered.isdigit() else 0


def pods_left(deployment: Obj) -> int:
    """Pods that the Deployment still has or wants."""
    return max(replicas_of(deployment), number(deployment, "status", "replicas"))
