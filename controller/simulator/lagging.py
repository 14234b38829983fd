"""A cache that lags: reads as they were some seconds ago, also older than what was read before (F4, F5).

It remembers every version of every object from its making on. The controller's own writes are as late as all others.
"""

from bisect import bisect_right

from controller.ports import Kind, Listing, NotFoundError, Obj
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.selectors import label_test
from controller.simulator.apiserver.storage import Commit
from controller.simulator.simulation import Simulation


class LaggingCache(InMemoryKube):
    """Reads of `sim.cache_lag` seconds ago. Writes never go through a cache.

    Attributes:
        frozen_at: since then the watches say nothing; None where they do.
        uneven: each kind is late by another part of so many seconds, so that events of different kinds come out of order.
    """

    def __init__(self, sim: Simulation) -> None:
        super().__init__(sim.server)
        self._sim = sim
        self.frozen_at: float | None = None
        self.uneven = 0.0
        self._versions: dict[str, dict[tuple[str, str], list[tuple[float, Obj | None]]]] = {}
        for shelf in sim.server.registry.shelves():
            for obj in shelf.all(""):
                self._note(shelf.kind.kind, obj, obj, float("-inf"))
        sim.server.on_commit(self._commit)

    def _commit(self, commit: Commit) -> None:
        self._note(commit.kind.kind, commit.last, commit.new, commit.time)

    def _note(self, kind: str, last: Obj, obj: Obj | None, time: float) -> None:
        meta = last["metadata"]
        self._versions.setdefault(kind, {}).setdefault((meta.get("namespace", ""), meta["name"]), []).append((time, obj))

    def _moment(self, kind: Kind) -> float:
        """The time at which this cache stands for a kind."""
        now = self._sim.clock.time - self._sim.cache_lag
        if self.uneven:
            now -= self.uneven * (sum(map(ord, kind.kind)) % 7) / 6
        return now if self.frozen_at is None else min(now, self.frozen_at)

    @staticmethod
    def _at(versions: list[tuple[float, Obj | None]], moment: float) -> Obj | None:
        index = bisect_right(versions, moment, key=lambda version: version[0])
        return versions[index - 1][1] if index else None

    def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        """One object as it was."""
        place = (namespace if kind.namespaced else "", name)
        found = self._at(self._versions.get(kind.kind, {}).get(place, []), self._moment(kind))
        if found is None:
            raise NotFoundError(404, "NotFound", f"{kind.plural} {name!r} not found")
        return found

    def list(self, kind: Kind, namespace: str = "", *, labels: str = "") -> Listing:
        """All objects as they were."""
        test, moment = label_test(labels), self._moment(kind)
        places = sorted(place for place in self._versions.get(kind.kind, {}) if namespace in ("", place[0]))
        found = [obj for place in places if (obj := self._at(self._versions[kind.kind][place], moment)) is not None]
        return Listing([obj for obj in found if test is None or test(obj)], "0")
