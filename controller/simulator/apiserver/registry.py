"""Which kinds are served, and how CustomResourceDefinitions add to them while the server runs."""

from collections.abc import Iterator

from controller import ports
from controller.ports import Kind, Obj
from controller.simulator.apiserver.errors import ApiError
from controller.simulator.apiserver.resources import BUILTIN, EVENTS_V1, Resource, from_crd
from controller.simulator.apiserver.storage import Commit, Served, Shelf
from controller.simulator.apiserver.views import as_version, event_to_core, event_to_new


class Registry:
    """Served kinds. `by_kind` and `by_path` (group, version, plural) are the look-up tables."""

    def __init__(self, keep_events: int, crd_delay_seconds: float) -> None:
        self.keep = keep_events
        self.delay = crd_delay_seconds
        self.by_kind: dict[Kind, Served] = {}
        self.by_path: dict[tuple[str, str, str], Kind] = {}
        for resource in BUILTIN:
            if resource.kind == EVENTS_V1:
                shelf = self.by_kind[ports.EVENT].shelf
                self._add(Served(resource, shelf, event_to_new, event_to_core))
            else:
                self._add(Served(resource, Shelf(resource.kind, keep_events, 0)))

    def _add(self, served: Served) -> None:
        kind = served.resource.kind
        self.by_kind[kind] = served
        self.by_path[kind.group, kind.version, kind.plural] = kind

    def shelves(self) -> Iterator[Shelf]:
        """Every shelf once."""
        yield from {id(served.shelf): served.shelf for served in self.by_kind.values()}.values()

    def kind_of(self, api_version: str, kind: str) -> Kind:
        """The served kind of an object's own words; 404 where there is none."""
        for known in self.by_kind:
            if known.kind == kind and known.api_version == api_version:
                return known
        raise ApiError(404, f'no matches for kind "{kind}" in version "{api_version}"')

    def versions(self, group: str, plural: str) -> list[Served]:
        """All served versions of one kind."""
        return [served for kind, served in self.by_kind.items() if (kind.group, kind.plural) == (group, plural)]

    def check(self, crd: Obj) -> list[Resource]:
        """The resources of a definition that is about to be stored; 422 where it cannot be read."""
        return from_crd(crd)

    def follow(self, commit: Commit, revision: int) -> None:
        """Serve what a stored definition says, or stop serving what it said."""
        spec = commit.last["spec"]
        group, plural = spec["group"], spec["names"]["plural"]
        known = self.versions(group, plural)
        if commit.new is not None and commit.old is not None and commit.old["spec"] == spec:
            return
        for served in known:
            del self.by_kind[served.resource.kind]
            self.by_path.pop((group, served.resource.kind.version, plural), None)
        if commit.new is None:
            return
        resources = from_crd(commit.new)
        stored = next(r.kind for r, v in zip(resources, spec["versions"], strict=True) if v.get("storage", True))
        shelf = known[0].shelf if known else Shelf(stored, self.keep, revision - 1)
        ready_at = known[0].ready_at if known else (commit.time + self.delay if self.delay else 0.0)
        for resource in resources:
            if resource.kind == shelf.kind:
                self._add(Served(resource, shelf, ready_at=ready_at))
            else:
                self._add(Served(resource, shelf, as_version(resource.kind), as_version(shelf.kind), ready_at))
