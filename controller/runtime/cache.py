"""Reads from memory, writes to the API server: the `Kube` that a reconcile looks at first.

What a write returned is remembered at once, so that the next look sees our own write even where its watch
event is still on the way. It answers only for kinds and namespaces that are watched and read in; for the
rest, for a summary, and for a selector it does not understand, it asks the API server.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from controller.adapters.marks import mapping
from controller.ports import RELEASE, Kind, Kube, Listing, NotFoundError, Obj, Patch
from controller.recall import Found, Read, read
from controller.runtime.informer import Informer
from controller.runtime.store import Change, Matcher, Store
from controller.runtime.watched import PLAN_OF_RELEASE


class Memory:
    """The stores of all informers, found by kind and namespace.

    Args:
        on_own_change: told of changes that we made ourselves, before their watch event comes.
    """

    def __init__(self, *, on_own_change: Callable[[Kind, Change], None] | None = None) -> None:
        self._informers: dict[tuple[Kind, str], Informer] = {}
        self._on_own_change = on_own_change

    def add(self, informer: Informer) -> None:
        """Answer from this informer's store, once it has been read in."""
        self._informers[informer.kind, informer.namespace] = informer

    def store(self, kind: Kind, namespace: str) -> Store | None:
        """The store that knows everything of this kind in this namespace ("" is all); None where none does, or none does any more."""
        informer = self._informers.get((kind, namespace)) or self._informers.get((kind, ""))
        return informer.store if informer is not None and informer.synced and not informer.refused else None

    def remember(self, kind: Kind, namespace: str, obj: Obj) -> Obj:
        """Take in what the API server has just answered."""
        store = self.store(kind, namespace)
        change = store.changed(obj, ours=True) if store is not None else None
        if change is not None and self._on_own_change is not None:
            self._on_own_change(kind, change)
        return obj


class LiveKube:
    """The API server itself; what it answers to gets and writes is remembered.

    Args:
        client: the client behind it.
        memory: where answers are remembered.
        fence: called before each write; raises `NotLeading` where another controller may be acting.
    """

    def __init__(self, client: Kube, memory: Memory, fence: Callable[[], None]) -> None:
        self._client, self._memory, self._fence = client, memory, fence

    def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        """One object."""
        return self._memory.remember(kind, namespace, self._client.get(kind, namespace, name))

    def list(self, kind: Kind, namespace: str = "", *, labels: str = "") -> Listing:
        """All objects of a kind."""
        return self._client.list(kind, namespace, labels=labels)

    def create(self, kind: Kind, namespace: str, body: Obj) -> Obj:
        """Create."""
        self._fence()
        return self._memory.remember(kind, namespace, self._client.create(kind, namespace, body))

    def patch(self, kind: Kind, namespace: str, name: str, body: Any, how: Patch = Patch.MERGE, *, subresource: str = "") -> Obj:
        """Patch; what comes back from a `scale` is no object of this kind and is not remembered."""
        self._fence()
        stored = self._client.patch(kind, namespace, name, body, how, subresource=subresource)
        return stored if subresource == "scale" else self._memory.remember(kind, namespace, stored)

    def delete(self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str = "") -> None:
        """Delete; a finalizer may keep the object, so it is the watch that tells when it is gone."""
        self._fence()
        self._client.delete(kind, namespace, name, uid=uid, resource_version=resource_version)


class CachedKube(LiveKube):
    """The same, but `get` and `list` answer from memory where they can."""

    def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        """From memory, or from the API server where it is not watched or only a summary is known."""
        store = self._memory.store(kind, namespace)
        if store is None:
            return self._client.get(kind, namespace, name)
        found, whole = store.get((namespace, name))
        if found is None:
            raise NotFoundError(HTTPStatus.NOT_FOUND, "NotFound", f'{kind.plural} "{name}" not found')
        return found if whole else self._client.get(kind, namespace, name)

    def list(self, kind: Kind, namespace: str = "", *, labels: str = "") -> Listing:
        """From memory; finished Releases are summaries there. Has no revision: nothing can be watched from it."""
        store = self._memory.store(kind, namespace)
        parsed = selector(labels)
        if store is None or parsed is None:
            return self._client.list(kind, namespace, labels=labels)
        matches, exact = parsed
        return Listing(store.select(namespace, matches if labels else None, exact), "")

    def found(self, what: Read) -> Found:
        """What `recall.read` finds here, without unpacking it."""
        kind, namespace, name, many = what
        store = self._memory.store(kind, namespace)
        if store is None:
            return read(self._client, what)
        if many:
            parsed = selector(name)
            return read(self._client, what) if parsed is None else store.versions(namespace, parsed[0] if name else None, parsed[1])
        version, whole = store.version((namespace, name))
        return version if whole else read(self._client, what)

    def releases_of_plan(self, namespace: str, plan: str) -> Sequence[Obj]:
        """The Releases of one plan, without a walk over ten thousand finished ones; those that are finished as summaries."""
        store = self._memory.store(RELEASE, namespace)
        if store is not None:
            return store.select(namespace, lambda labels: labels.get(PLAN_OF_RELEASE) == plan, {PLAN_OF_RELEASE: plan})
        return [release for release in self._client.list(RELEASE, namespace).items if mapping(release.get("spec")).get("plan") == plan]


def selector(text: str) -> tuple[Matcher, dict[str, str]] | None:
    """A label selector as a matcher, and what it demands by equality; None where it is of another form than `k=v`, `k!=v`, `k`, `!k`."""
    equal: dict[str, str] = {}
    unequal: list[tuple[str, str]] = []
    present: list[str] = []
    absent: list[str] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, sign, value = _parts(part)
        if not key or any(mark in key + value for mark in " ()=!"):
            return None
        match sign:
            case "=":
                if equal.setdefault(key, value) != value:
                    return (lambda _labels: False), equal
            case "!=":
                unequal.append((key, value))
            case "!":
                absent.append(key)
            case _:
                present.append(key)

    def matches(labels: Mapping[str, str]) -> bool:
        return (
            all(labels.get(key) == value for key, value in equal.items())
            and all(labels.get(key) != value for key, value in unequal)
            and all(key in labels for key in present)
            and not any(key in labels for key in absent)
        )

    return matches, equal


def _parts(part: str) -> tuple[str, str, str]:
    """Key, sign and value of one requirement."""
    for sign in ("!=", "==", "="):
        key, found, value = part.partition(sign)
        if found:
            return key.strip(), "=" if sign == "==" else sign, value.strip()
    return (part[1:].strip(), "!", "") if part.startswith("!") else (part, "", "")
