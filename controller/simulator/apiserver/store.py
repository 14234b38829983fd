"""The server: reads, writes, watches and deletions over the shelves, with every rule of `rules` in its place.

START HERE. A write goes: find the kind, ask `authorize`, build a candidate (`bodies`), check and complete it (`writes`),
commit. One lock guards commits, so that the HTTP front may use threads; reads of single objects need none.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from controller import ports
from controller.ports import Kind, Obj, WatchEvent
from controller.simulator.apiserver import bodies, pages, rules, writes
from controller.simulator.apiserver.clockwork import Stamps
from controller.simulator.apiserver.errors import ApiError
from controller.simulator.apiserver.options import DEFAULT, Attempt, Deletion, Options, Page
from controller.simulator.apiserver.ownership import Ledger
from controller.simulator.apiserver.registry import Registry
from controller.simulator.apiserver.selectors import field_test, label_test
from controller.simulator.apiserver.storage import Commit, Filter, Served, Subscription

Listener = Callable[[Commit], None]
Authorize = Callable[[str, str, Kind, str, str, str], bool]
INITIAL_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")


class ApiServer:
    """An API server over the clock `now` (Unix seconds). Every method raises `ApiError`s only.

    Attributes:
        revision: the global revision; every commit raises it by one.
        authorize: None, or (user, verb, kind, namespace, name, subresource) -> allowed; False is answered 403.
        admission: None, or called with every `Attempt`; returns the object to store, or raises `ApiError`.
        history: all commits since the start where `record_history` was asked for, else None.
    """

    def __init__(
        self, now: Callable[[], float], *, keep_events: int = 4096, crd_delay_seconds: float = 0.0, record_history: bool = False
    ) -> None:
        self.now = now
        self.revision = 0
        self.stopping = False
        self.authorize: Authorize | None = None
        self.admission: Callable[[Attempt], Obj | None] | None = None
        self.history: list[Commit] | None = [] if record_history else None
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.stamps = Stamps(now)
        self.registry = Registry(keep_events, crd_delay_seconds)
        self.ledger = Ledger(now)
        self._snapshots = pages.Snapshots()
        self._listeners: list[Listener] = []
        self._untold: deque[Commit] = deque()
        self._telling = False
        for name in INITIAL_NAMESPACES:
            self.create(ports.NAMESPACE, "", {"metadata": {"name": name}})

    # Kinds.

    def served(self, kind: Kind) -> Served:
        """The kind as it is served; 404 where it is not, or not yet."""
        found = self.registry.by_kind.get(kind)
        ready = found is not None and (found.ready_at == 0 or found.ready_at <= self.now())
        rules.established(None if found is None else found.resource, ready=ready)
        assert found is not None  # noqa: S101 - `established` has just refused the other case
        return found

    def _allow(self, options: Options, verb: str, kind: Kind, namespace: str, name: str) -> None:
        if self.authorize is None or self.authorize(options.user, verb, kind, namespace, name, options.subresource):
            return
        where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
        what = f"{kind.plural}/{options.subresource}" if options.subresource else kind.plural
        resource = self.served(kind).resource
        told = f'User "{options.user}" cannot {verb} resource "{what}" in API group "{kind.group}"{where}'
        raise ApiError(403, f'{resource.qualified} "{name}" is forbidden: {told}', target=resource.target(name))

    # Reads.

    def get(self, kind: Kind, namespace: str, name: str, options: Options = DEFAULT, *, resource_version: str = "") -> Obj:
        """One object as stored (shared: do not change it)."""
        served = self.served(kind)
        if self.authorize is not None:
            self._allow(options, "get", kind, namespace, name)
        if resource_version:
            rules.revision_is_not_in_the_future(rules.revision_number(resource_version), self.revision)
        found = served.shelf.find(namespace if kind.namespaced else "", name)
        if found is None:
            raise served.resource.not_found(name)
        return found if served.view is None else served.view(found)

    def meant(self, served: Served, namespace: str, labels: str, fields: str) -> Filter:
        """The filter of a namespace and two selectors."""
        kind = served.resource.kind
        return Filter(namespace if kind.namespaced else "", label_test(labels), field_test(fields, kind.plural))

    def list(
        self,
        kind: Kind,
        namespace: str = "",
        options: Options = DEFAULT,
        *,
        labels: str = "",
        fields: str = "",
        query: pages.Query = pages.ALL,
    ) -> Page:
        """A snapshot of the objects of a kind, in the order of namespace and name, whole or by pages."""
        served = self.served(kind)
        if self.authorize is not None:
            self._allow(options, "list", kind, namespace, "")
        meant = self.meant(served, namespace, labels, fields)
        with self.lock:
            return self._snapshots.page(served, meant, query, self.revision)

    def subscribe(
        self, kind: Kind, namespace: str = "", resource_version: str = "", options: Options = DEFAULT, *, labels: str = "", fields: str = ""
    ) -> Subscription:
        """A watch that is pulled with `drain()`: from a revision its exact history; without one (or "0") first the state, as ADDED events.

        410 where the history no longer reaches back, 500 for a revision that is no number.
        """
        served = self.served(kind)
        if self.authorize is not None:
            self._allow(options, "watch", kind, namespace, "")
        after = rules.revision_number(resource_version)
        meant = self.meant(served, namespace, labels, fields)
        with self.lock:
            shelf = served.shelf
            first: list[WatchEvent] = []
            if rules.watch_starts_with_state(after):
                shown = (obj if served.view is None else served.view(obj) for obj in shelf.all(meant.namespace) if meant(obj))
                first = [WatchEvent("ADDED", obj) for obj in shown]
                after = self.revision
            rules.revision_is_kept(after, shelf.floor)
            position = shelf.dropped + shelf.index_after(after)
            return Subscription(served, meant, position, lambda: self.revision, self.lock, after, after, first=first)

    @staticmethod
    def real_clock() -> float:
        """The clock that threads wait by: waiting is real even where `now` is virtual."""
        return time.monotonic()

    def wait(self, subscription: Subscription, deadline: float) -> bool:
        """Block a thread until a subscription has something to see; False when `deadline` (of `real_clock`) came first, or it is closed."""
        with self.changed:
            while not subscription.pending():
                left = deadline - time.monotonic()
                if left <= 0 or subscription.closed or self.stopping:
                    return False
                self.changed.wait(left)
            return True

    def stop(self) -> None:
        """Wake every waiting watch and end it."""
        with self.changed:
            self.stopping = True
            self.changed.notify_all()

    # Writes.

    def create(self, kind: Kind, namespace: str, body: Obj, options: Options = DEFAULT) -> Obj:
        """Store a new object and return it as stored."""
        served = self.served(kind)
        with self.lock:
            if self.authorize is not None:
                self._allow(options, "create", kind, namespace, (body.get("metadata") or {}).get("name", ""))
            return writes.create(self, served, namespace, bodies.received(served, body), options)

    def update(self, kind: Kind, namespace: str, name: str, body: Obj, options: Options = DEFAULT) -> Obj:
        """PUT: replace the object, or the part that the subresource covers."""
        served = self.served(kind)
        with self.lock:
            if self.authorize is not None:
                self._allow(options, "update", kind, namespace, name)
            old = self._stored(served, namespace, name)
            if options.subresource == "scale":
                return bodies.scale_written(self, served, old, body, options, verb="update")
            body = bodies.received(served, body)
            rules.names_agree(name, old["metadata"].get("namespace", ""), body)
            rules.resource_version_is_given(served.resource, name, body["metadata"])
            return writes.update(self, served, old, body, options, verb="update")

    def patch(self, kind: Kind, namespace: str, name: str, body: Any, how: str, options: Options = DEFAULT) -> Obj:  # noqa: PLR0917 - as the other verbs
        """PATCH by content type: merge, JSON, strategic merge or apply."""
        served = self.served(kind)
        with self.lock:
            if self.authorize is not None:
                self._allow(options, "patch", kind, namespace, name)
            rules.patch_type_is_served(served.resource, how)
            if how.startswith(bodies.APPLY):
                return bodies.applied(self, served, (namespace, name), body, options)
            old = self._stored(served, namespace, name)
            if options.subresource == "scale":
                shown = bodies.scale_of(served, old)
                return bodies.scale_written(self, served, old, bodies.patched(served, shown, body, how), options, verb="patch")
            return writes.update(self, served, old, bodies.patched(served, old, body, how), options, verb="patch")

    def delete(self, kind: Kind, namespace: str, name: str, how: Deletion = Deletion(), options: Options = DEFAULT) -> Obj:  # noqa: B008 - immutable
        """Delete, or mark for deletion while finalizers stay. Returns the marked object, or a Status of success."""
        served = self.served(kind)
        with self.lock:
            if self.authorize is not None:
                self._allow(options, "delete", kind, namespace, name)
            return writes.delete(self, served, self._stored(served, namespace, name), how, options)

    def _stored(self, served: Served, namespace: str, name: str) -> Obj:
        found = served.shelf.find(namespace if served.resource.kind.namespaced else "", name)
        if found is None:
            raise served.resource.not_found(name)
        return found

    def load(self, manifests: Iterable[Obj]) -> None:
        """Create every object of a set of manifests in its own namespace (`default` where it names none)."""
        for body in manifests:
            kind = self.registry.kind_of(body["apiVersion"], body["kind"])
            namespace = body["metadata"].get("namespace", "default") if kind.namespaced else ""
            self.create(kind, namespace, body)

    # Commits.

    def on_commit(self, listener: Listener) -> None:
        """Call a listener with every commit, after it is stored, in the order of revisions, under the lock."""
        self._listeners.append(listener)

    def commit(self, served: Served, old: Obj | None, new: Obj | None, options: Options, verb: str, *, how: Deletion | None = None) -> Obj:
        """Store a change under the next revision; `how` of a deletion. Only `writes` calls this. Returns what watchers are shown."""
        self.revision += 1
        source: Any = old if new is None else new
        last = {**source, "metadata": {**source["metadata"], "resourceVersion": str(self.revision)}}
        commit = Commit(
            self.revision, self.now(), verb, served.shelf.kind, old, None if new is None else last, last, options.user,
            options.field_manager, options.subresource, None if how is None else (how.uid, how.resource_version),
        )  # fmt: skip
        served.shelf.put(commit)
        self.ledger.note(served, commit)
        if self.history is not None:
            self.history.append(commit)
        if served.shelf.kind == ports.CRD:
            self.registry.follow(commit, self.revision)
        self.changed.notify_all()
        self._tell(commit)
        return last

    def _tell(self, commit: Commit) -> None:
        """Call the listeners. One that writes makes a further commit: it waits here, so that everyone hears them in order."""
        self._untold.append(commit)
        if self._telling:
            return
        self._telling = True
        try:
            while self._untold:
                told = self._untold.popleft()
                for listener in self._listeners:
                    listener(told)
        finally:
            self._telling = False

    def compact(self, revision: int | None = None) -> None:
        """Forget history up to a revision (by default: all of it). Watches from before it are answered 410."""
        with self.lock:
            upto = self.revision if revision is None else revision
            for shelf in self.registry.shelves():
                shelf.forget(upto)
            self._snapshots.clear()
