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
from controller.simulator.apiserver.schema import Schema
from controller.simulator.apiserver.shapes import ATOMIC, SET, Shape, item_key
from controller.simulator.apiserver.storage import Commit, Served

Path = tuple[str, ...]
MAX_NOTES = 24
_NOT_OWNED = frozenset(
    {
        ("f:apiVersion",),
        ("f:kind",),
        *(
            ("f:metadata", f"f:{name}")
            for name in (
                "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
                "deletionGracePeriodSeconds", "managedFields", "selfLink",
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


def paths_of(value: Any, shape: Shape, prefix: Path = ()) -> Iterator[Path]:
    """The paths of all leaves, and of the items of lists that merge by key."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            path = (*prefix, f"f:{key}")
            if path not in _NOT_OWNED:
                yield from paths_of(item, shape.child(key), path)
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
            yield from paths_of(item, shape.item(), path)


def step_of(item: Any, keys: tuple[str, ...]) -> str:
    """The step into one item of a list that merges by key or as a set."""
    if keys == SET:
        return f"v:{json.dumps(item, separators=(',', ':'))}"
    return "k:" + json.dumps(dict(zip(keys, item_key(item, keys), strict=True)), separators=(",", ":"))


def _changes(old: Any, new: Any, shape: Shape, prefix: Path, found: tuple[set[Path], set[Path]]) -> None:
    """Collect the paths that are new or other in `new`, and those that are gone."""
    if old is new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in {**old, **new}:
            path = (*prefix, f"f:{key}")
            if path in _NOT_OWNED:
                continue
            child = shape.child(key)
            if key not in new:
                found[1].update(paths_of(old[key], child, path))
            elif key not in old:
                found[0].update(paths_of(new[key], child, path))
            else:
                _changes(old[key], new[key], child, path, found)
        return
    if old == new:
        return
    before, after = set(paths_of(old, shape, prefix)), set(paths_of(new, shape, prefix))
    found[1].update(before - after)
    found[0].update(after if before == after else after - before)


class Ledger:
    """The owners of all objects, by uid."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._owners: dict[str, Owners] = {}
        self._schemas: dict[str, Schema | None] = {}

    def note(self, commit: Commit) -> None:
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
                    self._resolve(owners, None)

    def owners(self, served: Served, obj: Obj) -> Owners:
        """The owners of a stored object, worked out."""
        owners = self._owners.setdefault(obj["metadata"]["uid"], Owners())
        self._schemas[served.shelf.kind.plural + served.shelf.kind.group] = served.resource.schema
        self._resolve(owners, served.resource.schema)
        return owners

    def _resolve(self, owners: Owners, schema: Schema | None) -> None:
        for commit in owners.notes:
            known = schema or self._schemas.get(commit.kind.plural + commit.kind.group)
            found: tuple[set[Path], set[Path]] = (set(), set())
            _changes(commit.old or {}, commit.new, Shape(known), (), found)
            changed, gone = frozenset(found[0]), frozenset(found[1])
            name = commit.field_manager or "unknown"
            writer = Manager(name, "Update", commit.kind.api_version, commit.subresource)
            for manager in list(owners.fields):
                lost = gone if manager == writer else gone | changed
                if owners.fields[manager] & lost:
                    owners.give(manager, owners.fields[manager] - lost, owners.times[manager])
            if changed:
                owners.give(writer, owners.fields.get(writer, frozenset()) | changed, commit.time)
        owners.notes.clear()

    def applied(self, served: Served, obj: Obj, body: Obj, options: Options) -> None:
        """Record the first apply of an object that it created."""
        manager = Manager(options.field_manager, "Apply", served.resource.kind.api_version, options.subresource)
        owned = frozenset(paths_of(body, Shape(served.resource.schema)))
        if served.resource.status and options.subresource != "status":
            owned = frozenset(path for path in owned if path[0] != "f:status")
        self.owners(served, obj).give(manager, owned, self.clock())

    def managed_fields(self, served: Served, obj: Obj) -> list[dict[str, Any]]:
        """`metadata.managedFields` of a stored object."""
        owners = self.owners(served, obj)
        return [_entry(manager, paths, owners.times[manager]) for manager, paths in owners.fields.items()]


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
        for step in path:
            branch = branch.setdefault(step, {})
        if path[-1].startswith("k:"):
            branch["."] = {}
    entry: dict[str, Any] = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": datetime.fromtimestamp(int(time), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "fieldsType": "FieldsV1",
        "fieldsV1": tree,
    }
    return {**entry, "subresource": manager.subresource} if manager.subresource else entry
