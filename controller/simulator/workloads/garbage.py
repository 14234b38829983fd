"""Owners and dependents: what the garbage collector and the namespace controller take away, and when.

Measured on a real cluster: a dependent whose owner is not in its own namespace is deleted within 4 s, although
that owner lives elsewhere; a namespace goes only when everything in it is gone.
"""

from collections.abc import Iterator
from typing import Any

from controller.ports import NAMESPACE, Kind, Kube, NotFoundError, Obj, Patch

Place = tuple[str, str, str]
"""Kind, namespace and name."""


class Garbage:
    """The index of who owns whom. Fed with every commit; acts when it is told to."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._kinds: dict[str, Kind] = {}
        self._objects: dict[Place, Obj] = {}
        self._living: dict[str, str] = {}
        self._dependents: dict[str, dict[Place, None]] = {}

    def note(self, kind: Kind, old: Obj | None, new: Obj | None) -> tuple[list[str], list[Place]]:
        """Take a commit; returns uids whose dependents are due, and places whose owners are to be looked at."""
        some: Obj = new if new is not None else old if old is not None else {}
        meta = some["metadata"]
        key = f"{kind.group}/{kind.kind}"
        place = (key, meta.get("namespace", ""), meta["name"])
        self._kinds[key] = kind
        owners = [ref["uid"] for ref in meta.get("ownerReferences") or ()]
        if new is None:
            self._objects.pop(place, None)
            self._living.pop(meta.get("uid", ""), None)
            for uid in owners:
                self._dependents.get(uid, {}).pop(place, None)
            return [meta.get("uid", "")], []
        before = self._objects.get(place, {}).get("metadata", {}).get("ownerReferences") or ()
        for ref in before:
            self._dependents.get(ref["uid"], {}).pop(place, None)
        self._objects[place] = new
        self._living[meta.get("uid", "")] = place[1] if kind.namespaced else ""
        for uid in owners:
            self._dependents.setdefault(uid, {})[place] = None
        waits = "foregroundDeletion" in (meta.get("finalizers") or ()) or "orphan" in (meta.get("finalizers") or ())
        due = [meta["uid"]] if waits and meta.get("deletionTimestamp") else []
        foreign = owners and not all(self._is_owner(uid, place[1]) for uid in owners)
        return due, [place] if foreign else []

    def _is_owner(self, uid: str, namespace: str) -> bool:
        where = self._living.get(uid)
        return where is not None and where in ("", namespace)

    def collect(self, uid: str) -> None:
        """Delete (or, for an orphaning deletion, set free) what an owner that is gone or going has left."""
        owner = next((obj for obj in self._objects.values() if obj["metadata"].get("uid") == uid), None) if uid in self._living else None
        finalizers = list((owner or {}).get("metadata", {}).get("finalizers") or ())
        for place in list(self._dependents.get(uid, ())):
            if "orphan" in finalizers:
                self._set_free(place, uid)
            else:
                self._delete_where_unowned(place, without=uid)
        if owner is not None:
            left = [name for name in finalizers if name not in ("orphan", "foregroundDeletion")]
            self._patch(self._place_of(owner), {"metadata": {"finalizers": left or None}})

    def _place_of(self, obj: Obj) -> Place:
        return next(place for place, found in self._objects.items() if found is obj)

    def check(self, place: Place) -> None:
        """Delete an object none of whose owners is in its namespace."""
        self._delete_where_unowned(place, without="")

    def _delete_where_unowned(self, place: Place, *, without: str) -> None:
        obj = self._objects.get(place)
        if obj is None:
            return
        owners = [ref["uid"] for ref in obj["metadata"].get("ownerReferences") or ()]
        if owners and not any(self._is_owner(uid, place[1]) for uid in owners if uid != without):
            self.delete(place)

    def delete(self, place: Place) -> None:
        """Delete an object under its uid; one that is gone already is no trouble."""
        obj = self._objects.get(place)
        if obj is None:
            return
        try:
            self._kube.delete(self._kinds[place[0]], place[1], place[2], uid=obj["metadata"]["uid"])
        except NotFoundError:
            return

    def _set_free(self, place: Place, uid: str) -> None:
        obj = self._objects.get(place)
        if obj is not None:
            left = [ref for ref in obj["metadata"].get("ownerReferences") or () if ref["uid"] != uid]
            self._patch(place, {"metadata": {"ownerReferences": left or None}})

    def _patch(self, place: Place, body: Any) -> None:
        try:
            self._kube.patch(self._kinds[place[0]], place[1], place[2], body)
        except NotFoundError:
            return

    def in_namespace(self, namespace: str) -> Iterator[Place]:
        """Everything that lives in a namespace."""
        return (place for place in self._objects if place[1] == namespace)

    def empty_namespace(self, name: str) -> bool:
        """Delete what is in a terminating namespace, then the namespace; False while finalizers keep something in it."""
        for place in list(self.in_namespace(name)):
            if "deletionTimestamp" not in self._objects.get(place, {}).get("metadata", {}) or place[0] == "/Pod":
                self.delete(place)
        if next(self.in_namespace(name), None) is not None:
            return False
        try:
            self._kube.patch(NAMESPACE, "", name, {"spec": {"finalizers": []}}, Patch.MERGE, subresource="finalize")
        except NotFoundError:
            return True
        return True
