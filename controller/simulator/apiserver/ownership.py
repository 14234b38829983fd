"""Who owns which field: the managed fields of server-side apply.

Almost no object is ever applied, so owners are worked out late: a write only leaves a note of what it replaced by
what, and the notes are turned into field sets when an apply or a reader asks (or when too many have gathered).
Paths are tuples in the notation of FieldsV1: `f:spec`, `k:{"name":"app"}`, `v:"finalizer"`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from controller.ports import Obj
from controller.simulator.apiserver.options import Options
from controller.simulator.apiserver.shapes import ATOMIC, SET, Shape, item_key
from controller.simulator.apiserver.storage import Commit, Served

Path = tuple[str, ...]
MAX_NOTES = 24
METADATA = ("f:metadata",)
_SKELETON: Obj = {
    "spec": {"strategy": {}, "template": {"metadata": {}, "spec": {"containers": []}}, "containers": [], "scaleTargetRef": {}},
    "status": {"phase": "Pending"},
}
"""What an object of a built-in kind has before anybody wrote anything: parts of its Go type that cannot be absent."""
_NOT_OWNED = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        *(
            ("f:metadata", f"f:{name}")
            for name in (
                "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
                "deletionGracePeriodSeconds",
            )
        ),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Manager:
    """One entry of managed fields is identified by name, operation (Apply or Update), version and subresource."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    def __str__(self) -> str:
        """As a conflict names it."""
        told = f'"{self.name}"'
        if self.subresource:
            told += f' with subresource "{self.subresource}"'
        return f"{told} using {self.api_version}" if self.operation == "Update" else told


@dataclass(slots=True)
class Owners:
    """The owners of one object: resolved field sets with the time of their last change, and notes still to be resolved."""

    fields: dict[Manager, frozenset[Path]] = field(default_factory=dict)
    times: dict[Manager, float] = field(default_factory=dict)
    notes: list[Commit] = field(default_factory=list)

    def give(self, manager: Manager, paths: frozenset[Path], now: float) -> None:
        """Set a manager's fields; one that owns nothing is forgotten."""
        if paths:
            self.fields[manager], self.times[manager] = paths, now
        else:
            self.fields.pop(manager, None)
            self.times.pop(manager, None)


def paths_of(value: Any, shape: Shape, prefix: Path = (), *, containers: bool = False) -> Iterator[Path]:
    """The paths of all leaves, and of the items of lists that merge by key; of what holds others, too, where `containers` says so."""
    if (containers or shape.open) and prefix != METADATA:
        yield prefix
    if isinstance(value, Mapping) and value and not shape.atomic:
        for key, item in value.items():
            path = (*prefix, f"f:{key}")
            if path not in _NOT_OWNED:
                yield from paths_of(item, shape.child(key), path, containers=containers)
        return
    keys = shape.keys(value) if isinstance(value, (list, tuple)) else ATOMIC
    if keys == ATOMIC:
        if prefix:
            yield prefix
        return
    for item in value:
        path = (*prefix, step_of(item, keys))
        yield path
        if keys != SET:
            yield from paths_of(item, shape.item(), path, containers=containers)


def step_of(item: Any, keys: tuple[str, ...]) -> str:
    """The step into one item of a list that merges by key or as a set."""
    if keys == SET:
        return f"v:{json.dumps(item, separators=(',', ':'))}"
    return "k:" + json.dumps(dict(zip(keys, item_key(item, keys), strict=True)), separators=(",", ":"))


def changes(old: Any, new: Any, shape: Shape) -> tuple[frozenset[Path], frozenset[Path]]:
    """The paths that are new or other in `new`, and those that are gone."""
    found: tuple[set[Path], set[Path]] = (set(), set())
    _compare(old, new, shape, (), found)
    return frozenset(found[0]), frozenset(found[1])


def _compare(old: Any, new: Any, shape: Shape, prefix: Path, found: tuple[set[Path], set[Path]]) -> None:
    if old is new:
        return
    before, after = _parts(old, shape, prefix), _parts(new, shape, prefix)
    if before is None or after is None:
        if old != new:
            found[1].update(paths_of(old, shape, prefix, containers=True))
            found[0].update(paths_of(new, shape, prefix, containers=True))
        return
    for path in {**before, **after}:
        if path in _NOT_OWNED:
            continue
        part, child = (after if path in after else before)[path]
        if path not in after:
            found[1].update(paths_of(part, child, path, containers=True))
        elif path not in before:
            found[0].update(paths_of(part, child, path, containers=True))
        else:
            _compare(before[path][0], part, child, path, found)


def _parts(value: Any, shape: Shape, prefix: Path) -> dict[Path, tuple[Any, Shape]] | None:
    """What a value consists of, each by its path and with its shape; None where it is one value."""
    if isinstance(value, Mapping) and not shape.atomic:
        return {(*prefix, f"f:{key}"): (item, shape.child(key)) for key, item in value.items()}
    keys = shape.keys(value) if isinstance(value, (list, tuple)) else ATOMIC
    if keys == ATOMIC:
        return None
    return {(*prefix, step_of(item, keys)): (item, shape.item()) for item in value}


class Ledger:
    """The owners of all objects, by uid."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._owners: dict[str, Owners] = {}

    def note(self, served: Served, commit: Commit) -> None:
        """Remember a write until somebody asks; forget the owners of what is gone."""
        uid = commit.last["metadata"]["uid"]
        if commit.new is None:
            self._owners.pop(uid, None)
            return
        owners = self._owners.get(uid)
        if owners is None:
            owners = self._owners[uid] = Owners()
        if commit.verb != "apply":
            owners.notes.append(commit)
            if len(owners.notes) > MAX_NOTES:
                owners.notes = _joined(owners.notes)
                if len(owners.notes) > MAX_NOTES // 2:
                    _resolve(owners, served)

    def owners(self, served: Served, obj: Obj) -> Owners:
        """The owners of a stored object, worked out."""
        owners = self._owners.setdefault(obj["metadata"]["uid"], Owners())
        _resolve(owners, served)
        return owners

    def applied(self, served: Served, obj: Obj, body: Obj, options: Options) -> None:
        """Record the first apply of an object that it created."""
        manager = Manager(options.field_manager, "Apply", served.resource.kind.api_version, options.subresource)
        self.owners(served, obj).give(manager, frozenset(paths_of(body, Shape(served.resource.schema))), self.clock())

    def managed_fields(self, served: Served, obj: Obj) -> list[dict[str, Any]]:
        """`metadata.managedFields` of a stored object."""
        owners = self.owners(served, obj)
        return [_entry(manager, paths, owners.times[manager]) for manager, paths in owners.fields.items()]


def _resolve(owners: Owners, served: Served) -> None:
    shape = Shape(served.resource.schema)
    for commit in owners.notes:
        before = commit.old or ({} if served.resource.custom else _SKELETON)
        changed, gone = changes(before, commit.new, shape)
        writer = Manager(commit.field_manager or "unknown", "Update", commit.kind.api_version, commit.subresource)
        for manager in list(owners.fields):
            lost = gone if manager == writer else gone | changed
            if owners.fields[manager] & lost:
                owners.give(manager, owners.fields[manager] - lost, owners.times[manager])
        if changed:
            owners.give(writer, owners.fields.get(writer, frozenset()) | changed, commit.time)
    owners.notes.clear()


def _joined(notes: list[Commit]) -> list[Commit]:
    """Notes with the consecutive writes of one writer made one: what it changed and changed back is no longer seen as its own."""
    joined: list[Commit] = []
    for note in notes:
        last = joined[-1] if joined else None
        if last is not None and (last.field_manager, last.subresource) == (note.field_manager, note.subresource):
            joined[-1] = note._replace(old=last.old)
        else:
            joined.append(note)
    return joined


def _entry(manager: Manager, paths: frozenset[Path], time: float) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path in sorted(paths):
        branch = tree
        for depth, step in enumerate(path):
            if path[:depth] in paths:
                branch["."] = {}
            branch = branch.setdefault(step, {})
    entry: dict[str, Any] = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "fieldsType": "FieldsV1",
        "fieldsV1": tree,
    }
    return {**entry, "subresource": manager.subresource} if manager.subresource else entry
