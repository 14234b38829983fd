"""Looks at the same objects are not taken twice: what was read off them is remembered with their resourceVersions.

A view that is built from reads alone is a function of what those reads found. `Recall` reads everything again, in
the same order and as live as before, and builds the view again only where a read finds another uid or
resourceVersion. It never saves a read, so the order of observation (targets first, the Release last) and the
freshness of a live look are what they were.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from controller.ports import Kind, Kube, KubeError, Listing, NotFoundError, Obj, Patch, RefusedError

T = TypeVar("T")

Version = tuple[str, str]
"""Uid and resourceVersion; the same pair is the same content."""

Found = Version | tuple[Version, ...] | None
"""What a read found: an object, a list, or nothing."""

Read = tuple[Kind, str, str, bool]
"""Kind, namespace, then a name, or (True) a label selector of a list."""


def version_of(obj: Obj) -> Version:
    """Uid and resourceVersion of an object."""
    meta = obj["metadata"]
    return meta.get("uid", ""), meta.get("resourceVersion", "")


REFUSED: Version = ("refused", "")
"""Like nothing that was remembered: the view says itself what it makes of a refusal."""


def read(kube: Kube, what: Read) -> Found:
    """Read once more. Raises the `KubeError`s that will pass.

    A cache that keeps its objects packed says by its own `found` what it has: most would be unpacked for their version alone.
    """
    tell = getattr(kube, "found", None)
    if tell is not None:
        found: Found = tell(what)
        return found
    kind, namespace, name, many = what
    try:
        if many:
            return tuple(map(version_of, kube.list(kind, namespace, labels=name).items))
        return version_of(kube.get(kind, namespace, name))
    except NotFoundError:
        return None
    except RefusedError:
        return REFUSED


@dataclass(slots=True)
class Recorder:
    """A `Kube` that notes its reads. After any other fault than "no such object" its notes are `broken`: not to be used again."""

    kube: Kube
    reads: list[tuple[Read, Found]] = field(default_factory=list)
    broken: bool = False

    def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        """One object."""
        what = (kind, namespace, name, False)
        try:
            obj = self.kube.get(kind, namespace, name)
        except NotFoundError:
            self.reads.append((what, None))
            raise
        except KubeError:
            self.broken = True
            raise
        self.reads.append((what, version_of(obj)))
        return obj

    def list(self, kind: Kind, namespace: str = "", *, labels: str = "") -> Listing:
        """All objects of a kind."""
        try:
            listing = self.kube.list(kind, namespace, labels=labels)
        except KubeError:
            self.broken = True
            raise
        self.reads.append(((kind, namespace, labels, True), tuple(map(version_of, listing.items))))
        return listing

    def create(self, kind: Kind, namespace: str, body: Obj) -> Obj:
        """No view writes, so that nothing is remembered of one that does."""
        self.broken = True
        return self.kube.create(kind, namespace, body)

    def patch(self, kind: Kind, namespace: str, name: str, body: Any, how: Patch = Patch.MERGE, *, subresource: str = "") -> Obj:
        """As `create`."""
        self.broken = True
        return self.kube.patch(kind, namespace, name, body, how, subresource=subresource)

    def delete(self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str = "") -> None:
        """As `create`."""
        self.broken = True
        self.kube.delete(kind, namespace, name, uid=uid, resource_version=resource_version)


@dataclass(frozen=True, slots=True)
class Remembered:
    """A view, what it was asked with, and the reads it rests on."""

    asked: Hashable
    plan: object
    reads: tuple[tuple[Read, Found], ...]
    view: object


@dataclass(slots=True)
class Recall:
    """The last view of each key, in memory only. Losing it costs one look."""

    known: dict[Hashable, Remembered] = field(default_factory=dict)

    def view(self, key: Hashable, kube: Kube, asked: Hashable, plan: object, build: Callable[[Kube], T]) -> T:
        """The view that `build` makes of what it reads.

        Args:
            key: whose view; the one before is forgotten.
            kube: where everything is read, remembered or not.
            asked: everything else that the view depends on, compared by value.
            plan: likewise, compared by identity: parsed plans are kept as long as they are valid.
            build: reads only through the `Kube` that it is given.
        """
        before = self.known.get(key)
        same = before is not None and before.plan is plan and before.asked == asked
        if before is not None and same and all(read(kube, what) == found for what, found in before.reads):
            return cast("T", before.view)
        recorder = Recorder(kube)
        built = build(recorder)
        if recorder.broken:
            self.known.pop(key, None)
        else:
            self.known[key] = Remembered(asked, plan, tuple(recorder.reads), built)
        return built

    def forget(self, key: Hashable) -> None:
        """Nothing is asked about it any more."""
        self.known.pop(key, None)
