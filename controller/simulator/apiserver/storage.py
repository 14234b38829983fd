"""Where objects lie: one shelf a kind, with the log of its commits, and subscriptions that read that log."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from controller.ports import Kind, Obj, WatchEvent
from controller.simulator.apiserver import rules
from controller.simulator.apiserver.errors import ApiError
from controller.simulator.apiserver.resources import Resource

if TYPE_CHECKING:
    from threading import RLock

Test = Callable[[Obj], bool]
View = Callable[[Obj], Obj]


class Commit(NamedTuple):
    """One change of the store. A named tuple, because one is made for every write of a simulation.

    Attributes:
        revision: the global revision that this commit made.
        time: the server's clock.
        verb: create, update, patch, apply or delete, as it was asked.
        kind: the stored kind.
        old: the object before; None for a creation.
        new: the object after; None when it is gone.
        last: what watchers are shown: `new`, or of a deletion the last state at the deletion's revision.
        user, field_manager, subresource: who wrote, and where.
        named: of a deletion the uid and resourceVersion that it was conditional on, "" where it named none; None of other writes.
    """

    revision: int
    time: float
    verb: str
    kind: Kind
    old: Obj | None
    new: Obj | None
    last: Obj
    user: str
    field_manager: str
    subresource: str
    named: tuple[str, str] | None = None


class Shelf:
    """All objects of one kind, whatever the version, and the commits that are still kept.

    Attributes:
        objects: namespace ("" for cluster-scoped kinds) to name to object.
        log: commits, oldest first.
        floor: the oldest revision from which a watch can still be served.
    """

    __slots__ = ("dropped", "floor", "keep", "kind", "log", "objects")

    def __init__(self, kind: Kind, keep: int, floor: int) -> None:
        self.kind, self.keep, self.floor = kind, keep, floor
        self.objects: dict[str, dict[str, Obj]] = {}
        self.log: list[Commit] = []
        self.dropped = 0

    def find(self, namespace: str, name: str) -> Obj | None:
        """The stored object, or None."""
        held = self.objects.get(namespace)
        return None if held is None else held.get(name)

    def put(self, commit: Commit) -> None:
        """Store or remove the object of a commit, and remember the commit."""
        metadata = commit.last["metadata"]
        namespace = metadata.get("namespace", "")
        if commit.new is None:
            del self.objects[namespace][metadata["name"]]
        else:
            self.objects.setdefault(namespace, {})[metadata["name"]] = commit.new
        self.log.append(commit)
        if len(self.log) > 2 * self.keep:
            self.forget(self.log[self.keep - 1].revision)

    def forget(self, revision: int) -> None:
        """Drop the commits up to a revision; watches from before it are answered 410 from now on."""
        cut = self.index_after(revision)
        del self.log[:cut]
        self.dropped += cut
        self.floor = max(self.floor, revision)

    def index_after(self, revision: int) -> int:
        """Position in `log` of the first commit after a revision."""
        return bisect_right(self.log, revision, key=lambda commit: commit.revision)

    def all(self, namespace: str) -> Iterator[Obj]:
        """Objects in the server's order: by namespace, then by name."""
        for place in [namespace] if namespace else sorted(self.objects):
            held = self.objects.get(place)
            if held:
                yield from (held[name] for name in sorted(held))


@dataclass(frozen=True, slots=True)
class Served:
    """One version of a kind as it is served: its resource, its shelf, and how stored objects are shown in it.

    Attributes:
        view: from stored to shown; None where they are the same.
        unview: from shown to stored; None where they are the same.
        ready_at: when a custom kind is established.
    """

    resource: Resource
    shelf: Shelf
    view: View | None = None
    unview: View | None = None
    ready_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Filter:
    """Which objects of a shelf a list or watch is about; an empty namespace and None mean all."""

    namespace: str = ""
    labels: Test | None = None
    fields: Test | None = None

    def __call__(self, obj: Obj) -> bool:
        """Whether an object is meant."""
        return (
            (not self.namespace or obj["metadata"].get("namespace") == self.namespace)
            and (self.labels is None or self.labels(obj))
            and (self.fields is None or self.fields(obj))
        )


@dataclass(slots=True)
class Subscription:
    """A watch that is pulled: `drain()` gives what happened since the last call, without blocking.

    Attributes:
        after: commits up to this revision are not shown; a watch from the future is silent until the store gets there.
        resource_version: the revision up to which everything was handed out.
    """

    served: Served
    meant: Filter
    position: int
    current: Callable[[], int]
    lock: "RLock"
    after: int
    resource_version: int
    closed: bool = False
    first: list[WatchEvent] = field(default_factory=list)

    def pending(self) -> bool:
        """Whether the next `drain` has commits to look at."""
        shelf = self.served.shelf
        return bool(self.first) or self.position < shelf.dropped + len(shelf.log)

    def drain(self) -> list[WatchEvent]:
        """The new events in order. `ApiError` 410 where the log no longer reaches back to where this watch stands."""
        with self.lock:
            return self._drain()

    def _drain(self) -> list[WatchEvent]:
        events, self.first = self.first, []
        shelf = self.served.shelf
        if self.position < shelf.dropped:
            self.closed = True
            raise ApiError(410, f"too old resource version: {self.resource_version} ({shelf.floor})")
        start = self.position - shelf.dropped
        if start < len(shelf.log):
            for commit in shelf.log[start:]:
                if (event := self._event(commit)) is not None:
                    events.append(event)
            self.position = shelf.dropped + len(shelf.log)
        self.resource_version = max(self.resource_version, self.current())
        return events

    def _event(self, commit: Commit) -> WatchEvent | None:
        old, new, meant = commit.old, commit.new, self.meant
        was = old is not None and meant(old)
        if commit.revision <= self.after:
            return None
        if new is None:
            return WatchEvent("DELETED", self._shown(commit.last)) if was else None
        if meant(new):
            return WatchEvent("MODIFIED" if was else "ADDED", self._shown(new))
        if was and old is not None:
            left = {**old, "metadata": {**old["metadata"], "resourceVersion": new["metadata"]["resourceVersion"]}}
            return WatchEvent("DELETED", self._shown(left))
        return None

    def _shown(self, obj: Obj) -> Obj:
        return obj if self.served.view is None else self.served.view(obj)

    def bookmark(self, *, initial_end: bool = False) -> WatchEvent:
        """A BOOKMARK event at the revision that was handed out last."""
        kind = self.served.resource.kind
        metadata: dict[str, Any] = {"resourceVersion": str(self.resource_version)}
        if initial_end:
            metadata = rules.initial_events_end(self.resource_version)
        return WatchEvent("BOOKMARK", {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata})
