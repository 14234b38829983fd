"""What an informer remembers of one kind: objects by namespace and name, found again by label.

Bulky kinds are kept packed (their JSON, a fifth of the size of dicts) and unpacked when asked for. Versions
are ordered by resourceVersion, so that the store never goes back behind a write of our own; where one is no
number, the newest news wins.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from controller.adapters.marks import mapping, metadata
from controller.ports import Obj

Ref = tuple[str, str]
"""Namespace and name of an object."""

Trim = Callable[[Obj], Obj]
"""What is worth remembering of an object: must keep apiVersion, kind and metadata."""


@dataclass(slots=True)
class _Held:
    """One remembered object.

    Attributes:
        body: the object, or its JSON where the store is packed.
        version: resourceVersion as a number; -1 where it is none.
        labels: its labels, for selectors.
        whole: it is not only a summary.
    """

    body: Obj | bytes
    version: int
    labels: Mapping[str, str]
    whole: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One difference that the store took in. `new` is None where the object is gone, `old` where it was not known."""

    ref: Ref
    old: Obj | None
    new: Obj | None


def without_managed_fields(obj: Obj) -> Obj:
    """The object without the bookkeeping that is often half of its size."""
    meta = metadata(obj)
    if "managedFields" not in meta:
        return obj
    return {**obj, "metadata": {key: value for key, value in meta.items() if key != "managedFields"}}


class Store:
    """Objects of one kind. Safe to share between threads.

    Args:
        trim: what is kept of each object; a summary is found by `select`, but `get` says that it is not whole.
        packed: keep JSON instead of dicts.
        indexed: label keys by whose exact value objects are found without a walk.
        more_labels: further values to find objects by, beside their labels.
    """

    def __init__(
        self,
        *,
        trim: Trim = without_managed_fields,
        packed: bool = False,
        indexed: Iterable[str] = (),
        more_labels: Callable[[Obj], Mapping[str, str]] = lambda _obj: {},
    ) -> None:
        self._trim, self._packed, self._more_labels = trim, packed, more_labels
        self._lock = threading.Lock()
        self._held: dict[Ref, _Held] = {}
        self._index: dict[str, dict[str, dict[Ref, None]]] = {key: {} for key in indexed}
        self._written: set[Ref] = set()

    def count(self) -> int:
        """How many objects are known."""
        return len(self._held)

    def get(self, ref: Ref) -> tuple[Obj | None, bool]:
        """The object, and whether it is whole; (None, True) where there is none."""
        held = self._held.get(ref)
        return (None, True) if held is None else (self._unpack(held.body), held.whole)

    def select(self, namespace: str, matches: Callable[[Mapping[str, str]], bool] | None, exact: Mapping[str, str]) -> list[Obj]:
        """Objects of a namespace ("" is all) whose labels match; `exact` is what the matcher demands by equality."""
        with self._lock:
            found = [
                held.body
                for ref, held in self._candidates(exact)
                if (not namespace or ref[0] == namespace) and (matches is None or matches(held.labels))
            ]
        return [self._unpack(body) for body in found]

    def all(self) -> list[Obj]:
        """Everything."""
        return self.select("", None, {})

    def relist_begins(self) -> None:
        """From now on remember what we write, until the list that is being read has been taken in."""
        with self._lock:
            self._written.clear()

    def relisted(self, ref: Ref, obj: Obj) -> Change | None:
        """Take in one object of a fresh list: it is the truth, but for what we wrote while it was read."""
        with self._lock:
            if ref in self._written and not self._is_newer(ref, obj):
                return None
            return self._put(ref, obj)

    def relist_ends(self, listed: set[Ref], version: str) -> list[Change]:
        """Drop what the fresh list does not have, but for what we made since its revision."""
        revision = _number(version)
        with self._lock:
            gone = [ref for ref, held in self._held.items() if ref not in listed and not (ref in self._written and held.version > revision)]
            return [change for ref in gone if (change := self._remove(ref)) is not None]

    def changed(self, obj: Obj, *, ours: bool = False) -> Change | None:
        """Take in a newer version; None where it is not newer than what is known. `ours`: the answer to our own write."""
        ref = ref_of(obj)
        with self._lock:
            if not self._is_newer(ref, obj):
                return None
            if ours:
                self._written.add(ref)
            return self._put(ref, obj)

    def deleted(self, obj: Obj) -> Change | None:
        """Take in a deletion; None where the object is unknown or was made again since."""
        ref = ref_of(obj)
        with self._lock:
            held, version = self._held.get(ref), _number(metadata(obj).get("resourceVersion"))
            if held is None or 0 <= version < held.version:
                return None
            return self._remove(ref)

    def _is_newer(self, ref: Ref, obj: Obj) -> bool:
        held, version = self._held.get(ref), _number(metadata(obj).get("resourceVersion"))
        return held is None or version < 0 or held.version < 0 or version > held.version

    def _put(self, ref: Ref, obj: Obj) -> Change | None:
        before = self._held.get(ref)
        version = _number(metadata(obj).get("resourceVersion"))
        if before is not None and before.version == version >= 0:
            return None
        kept = self._trim(obj)
        labels = {str(key): str(value) for key, value in mapping(metadata(obj).get("labels")).items()}
        labels.update(self._more_labels(obj))
        held = _Held(_pack(kept) if self._packed else kept, version, labels, not is_summary(kept))
        old = None if before is None else self._unpack(before.body)
        if before is not None:
            self._unindex(ref, before.labels)
        self._held[ref] = held
        for key, values in self._index.items():
            if key in labels:
                values.setdefault(labels[key], {})[ref] = None
        return Change(ref, old, kept)

    def _remove(self, ref: Ref) -> Change | None:
        held = self._held.pop(ref, None)
        if held is None:
            return None
        self._unindex(ref, held.labels)
        return Change(ref, self._unpack(held.body), None)

    def _unindex(self, ref: Ref, labels: Mapping[str, str]) -> None:
        for key, values in self._index.items():
            refs = values.get(labels.get(key, ""))
            if refs is not None:
                refs.pop(ref, None)
                if not refs:
                    del values[labels[key]]

    def _candidates(self, exact: Mapping[str, str]) -> Iterator[tuple[Ref, _Held]]:
        for key, value in exact.items():
            if key in self._index:
                return ((ref, self._held[ref]) for ref in self._index[key].get(value, ()))
        return iter(self._held.items())

    def _unpack(self, body: Obj | bytes) -> Obj:
        if isinstance(body, bytes):
            unpacked: dict[str, Any] = orjson.loads(body)
            return unpacked
        return body


SUMMARY = "penstock.dev/summary"
"""Top-level key of an object of which only a summary is remembered."""


def is_summary(obj: Obj) -> bool:
    """Whether this is a summary, and the whole object must be asked of the API server."""
    return SUMMARY in obj


def ref_of(obj: Obj) -> Ref:
    """Namespace and name."""
    meta = metadata(obj)
    return str(meta.get("namespace") or ""), str(meta.get("name") or "")


def _pack(obj: Obj) -> bytes:
    """Its JSON, in bytes of its size: orjson's own answer keeps the four kilobytes or more of room in which it was written."""
    return bytes(memoryview(orjson.dumps(obj)))


def _number(version: Any) -> int:
    text = str(version)
    return int(text) if text.isascii() and text.isdigit() else -1
