"""Which releases a change of the world concerns.

A release is woken by: itself; a request that names it; its plan; an object that names it (owner annotation
or label) or that stands in its resolved list; an EndpointSlice of a Service in that list; and, while it is
queued, by what another release of its plan comes to: a phase, or that nothing is left to do for it.

The index is rebuilt from what the watches tell and may lag; it only ever decides *when* to look.
"""

import threading
from collections.abc import Iterator
from typing import TypeVar

from controller.adapters.marks import OWNER, RELEASE_LABEL, annotation, items, label, mapping, metadata
from controller.ports import ENDPOINT_SLICE, RELEASE, RELEASE_PLAN, RELEASE_REQUEST, Kind, Obj
from controller.runtime.contracts import Key
from controller.runtime.store import Change, Ref, ref_of
from controller.runtime.watched import SERVICE_NAME, is_finished, plan_of

_K = TypeVar("_K")

Target = tuple[str, str, str]
"""Kind, namespace and name of an object that a release manages."""


class Owners:
    """The index from objects to unfinished releases. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plans: dict[Ref, set[Key]] = {}
        self._uids: dict[str, Key] = {}
        self._names: dict[str, set[Key]] = {}
        self._targets: dict[Target, set[Key]] = {}
        self._known: dict[Key, tuple[Ref, str, frozenset[Target]]] = {}

    def concerned(self, kind: Kind, change: Change, *, ours: bool = False) -> set[Key]:
        """Take the change in and say who must look.

        `ours`: it answers a write of ours. Whoever made it says itself when to look again, so that only others
        are named: a plan's releases, for its lock may have moved, and those that wait for this release to end.
        """
        with self._lock:
            if kind == RELEASE:
                return self._release(change, ours=ours)
            if kind == RELEASE_PLAN:
                return set(self._plans.get(change.ref, ()))
            if ours:
                return set()
            if kind == RELEASE_REQUEST:
                return set(self._asked(change))
            return {key for obj in (change.old, change.new) if obj is not None for key in self._named(kind, obj)}

    def unfinished(self) -> set[Key]:
        """All releases that still have something to do."""
        with self._lock:
            return set(self._known)

    def is_unfinished(self, key: Key) -> bool:
        """Whether this release still has something to do."""
        return key in self._known

    def _release(self, change: Change, *, ours: bool) -> set[Key]:
        key = change.ref
        self._forget(key)
        release = change.new
        if release is None:
            return {key} | self._rivals(change.old, key)
        ended, was_ended = is_finished(release), change.old is not None and is_finished(change.old)
        if not ended:
            self._learn(key, release)
        moved = ended != was_ended or _phase(change.old) != _phase(release)
        woken = self._rivals(release, key) if moved else set()
        nothing_new = ended and (change.old is None or was_ended)
        return woken if ours or nothing_new else woken | {key}

    def _learn(self, key: Key, release: Obj) -> None:
        uid, plan = str(metadata(release).get("uid") or ""), plan_of(release)
        objects = items(mapping(release.get("status")).get("objects"))
        targets = frozenset((str(o.get("kind")), str(o.get("namespace")), str(o.get("name"))) for o in map(mapping, objects))
        self._known[key] = plan, uid, targets
        self._plans.setdefault(plan, set()).add(key)
        self._uids[uid] = key
        self._names.setdefault(key[1], set()).add(key)
        for target in targets:
            self._targets.setdefault(target, set()).add(key)

    def _forget(self, key: Key) -> None:
        known = self._known.pop(key, None)
        if known is None:
            return
        plan, uid, targets = known
        self._uids.pop(uid, None)
        _discard(self._plans, plan, key)
        _discard(self._names, key[1], key)
        for target in targets:
            _discard(self._targets, target, key)

    def _rivals(self, release: Obj | None, key: Key) -> set[Key]:
        return self._plans.get(plan_of(release), set()) - {key} if release is not None else set()

    def _asked(self, change: Change) -> Iterator[Key]:
        """Of a request: the release that it names, until it has been answered. A deleted one asks nothing."""
        if change.new is not None and not mapping(change.new.get("status")).get("state"):
            yield change.ref[0], str(mapping(change.new.get("spec")).get("release"))

    def _named(self, kind: Kind, obj: Obj) -> Iterator[Key]:
        namespace, name = ref_of(obj)
        owner = self._uids.get(annotation(obj, OWNER))
        if owner is not None:
            yield owner
        marked = label(obj, RELEASE_LABEL)
        if marked:
            yield from self._names.get(marked, ())
        yield from self._targets.get((kind.kind, namespace, name), ())
        if kind == ENDPOINT_SLICE:
            yield from self._targets.get(("Service", namespace, label(obj, SERVICE_NAME)), ())


def _discard(index: dict[_K, set[Key]], at: _K, key: Key) -> None:
    keys = index.get(at)
    if keys is not None:
        keys.discard(key)
        if not keys:
            del index[at]


def _phase(release: Obj | None) -> str:
    return "" if release is None else str(mapping(release.get("status")).get("phase"))
