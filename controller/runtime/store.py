"""What an informer remembers of one kind: objects by namespace and name, found again by label.

Bulky kinds are kept packed (their JSON, a fifth of the size of dicts) and unpacked when asked for; whether something
has another version by now, which is all that most looks ask, is told without. Versions are ordered by
resourceVersion, so that the store never goes back behind a write of our own; where one is no number, the newest news
wins.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from controller.adapters.marks import mapping, metadata
from controller.ports import Obj
from controller.recall import Version, version_of

Ref = tuple[str, str]
"""Namespace and name of an object."""

Matcher = Callable[[Mapping[str, str]], bool]
"""Whether an object with these labels is wanted."""

Trim = Callable[[Obj], Obj]
"""What is worth remembering of an object: must keep apiVersion, kind and metadata."""


@dataclass(slots=True)
class _Held:
    """One remembered object.

    Attributes:
        body: the object, or its JSON where the store is packed.
        version: its uid and resourceVersion.
        number: the resourceVersion as a number; -1 where it is none.
        labels: its labels, for selectors.
        whole: it is not only a summary.
    """

    body: Obj | bytes
    version: Version
    number: int
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
        self._namespaces: dict[str, dict[Ref, None]] = {}
        self._written: set[Ref] = set()

    def count(self) -> int:
        """How many objects are known."""
        return len(self._held)

    def get(self, ref: Ref) -> tuple[Obj | None, bool]:
        """The object, and whether it is whole; (None, True) where there is none."""
        held = self._held.get(ref)
        return (None, True) if held is None else (self._unpack(held.body), held.whole)

    def version(self, ref: Ref) -> tuple[Version | None, bool]:
        """As `get`, with the object's version in its place."""
        held = self._held.get(ref)
        return (None, True) if held is None else (held.version, held.whole)

    def select(self, namespace: str, matches: Matcher | None, exact: Mapping[str, str]) -> list[Obj]:
        """Objects of a namespace ("" is all) whose labels match; `exact` is what the matcher demands by equality."""
        with self._lock:
            found = [held.body for held in self._matching(namespace, matches, exact)]
        return [self._unpack(body) for body in found]

    def versions(self, namespace: str, matches: Matcher | None, exact: Mapping[str, str]) -> tuple[Version, ...]:
        """The versions of what `select` finds."""
        with self._lock:
            return tuple(held.version for held in self._matching(namespace, matches, exact))

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
            gone = [ref for ref, held in self._held.items() if ref not in listed and not (ref in self._written and held.number > revision)]
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
            if held is None or 0 <= version < held.number:
                return None
            return self._remove(ref)

    def _is_newer(self, ref: Ref, obj: Obj) -> bool:
        held, version = self._held.get(ref), _number(metadata(obj).get("resourceVersion"))
        return held is None or version < 0 or held.number < 0 or version > held.number

    def _put(self, ref: Ref, obj: Obj) -> Change | None:
        before = self._held.get(ref)
        version = _number(metadata(obj).get("resourceVersion"))
        if before is not None and before.number == version >= 0:
            return None
        kept = self._trim(obj)
        labels = {str(key): str(value) for key, value in mapping(metadata(obj).get("labels")).items()}
        labels.update(self._more_labels(obj))
        held = _Held(_pack(kept) if self._packed else kept, version_of(obj), version, labels, not is_summary(kept))
        old = None if before is None else self._unpack(before.body)
        if before is not None:
            self._unindex(ref, before.labels)
        self._held[ref] = held
        self._namespaces.setdefault(ref[0], {})[ref] = None
        for key, values in self._index.items():
            if key in labels:
                values.setdefault(labels[key], {})[ref] = None
        return Change(ref, old, kept)

    def _remove(self, ref: Ref) -> Change | None:
        held = self._held.pop(ref, None)
        if held is None:
            return None
        self._unindex(ref, held.labels)
        beside = self._namespaces[ref[0]]
        del beside[ref]
        if not beside:
            del self._namespaces[ref[0]]
        return Change(ref, self._unpack(held.body), None)

    def _unindex(self, ref: Ref, labels: Mapping[str, str]) -> None:
        for key, values in self._index.items():
            refs = values.get(labels.get(key, ""))
            if refs is not None:
                refs.pop(ref, None)
                if not refs:
                    del values[labels[key]]

    def _matching(self, namespace: str, matches: Matcher | None, exact: Mapping[str, str]) -> Iterator[_Held]:
        for ref in self._candidates(namespace, exact):
            held = self._held[ref]
            if (not namespace or ref[0] == namespace) and (matches is None or matches(held.labels)):
                yield held

    def _candidates(self, namespace: str, exact: Mapping[str, str]) -> Iterable[Ref]:
        """Those among which a selector's objects are: of an indexed label's value, else of the namespace, else all."""
        for key, value in exact.items():
            if key in self._index:
                return self._index[key].get(value, ())
        return self._namespaces.get(namespace, ()) if namespace else self._held

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
