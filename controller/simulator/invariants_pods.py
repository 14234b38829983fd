"""L2 where no query can see the failure: green has traffic and not one ready pod, while blue has its own."""

from controller.ports import Obj
from controller.simulator.invariants_book import EPSILON, Book
from controller.simulator.invariants_model import FINAL, Place, ReleaseFacts
from controller.simulator.simulation import Simulation

ALLOWED_SECONDS = 45.0
"""The grace of 15 s, a look that only a poll causes (10 s), and the time to write."""

HARMLESS = frozenset({"unready", "evict", "counter-reset", "drift", "patch", "control-plane-down", "events-refused"})
"""Faults that keep no controller from seeing pods and from writing routes; nor does any of Prometheus."""


class EmptyGreen:
    """Follows the ready pods of every Deployment."""

    def __init__(self, sim: Simulation, book: Book) -> None:
        self._sim, self._book = sim, book
        self._empty: dict[Place, float] = {}
        self._back: dict[Place, float] = {}
        self._told: set[str] = set()
        spans = [f.span for f in sim.scenario.faults if not harmless(f.kind)]
        self._cut_off = [(begin - ALLOWED_SECONDS, end + ALLOWED_SECONDS) for begin, end in spans]

    def deployment(self, now: float, new: Obj | None) -> None:
        """One change of a Deployment."""
        if new is None:
            return
        place = (new["metadata"]["namespace"], new["metadata"]["name"])
        if (new.get("status") or {}).get("readyReplicas", 0):
            if self._empty.pop(place, None) is not None:
                self._back[place] = now
        else:
            self._empty.setdefault(place, now)

    def time(self, now: float) -> None:
        """To be called often."""
        for facts in self._book.releases.values():
            since = self._unanswered(facts)
            if since is None or now - since <= ALLOWED_SECONDS or facts.uid in self._told:
                continue
            if any(begin <= now and end >= since for begin, end in self._cut_off) or self._sim.leaderless_since is not None:
                continue
            self._told.add(facts.uid)
            self._book.breach("L2", f"{facts.name}: green has had {facts.share:.0f} % and no ready pod for {now - since:.0f} s")

    def _unanswered(self, facts: ReleaseFacts) -> float | None:
        """Since when green has weight and no pod, where somebody could be put back; None where that is not so."""
        status = facts.status
        if facts.share <= EPSILON or facts.phase in FINAL or status.get("rollback") or status.get("returning") or facts.plan is None:
            return None
        if facts.obj["spec"].get("now") or status.get("blueSlot", -1) < 0:
            return None
        blue, green = (facts.workloads(slot) for slot in (status["blueSlot"], 1 - status["blueSlot"]))
        if any(place in self._empty or self._book.find("Deployment", place) is None for place in blue):
            return None
        times = [self._empty[place] for place in green if place in self._empty]
        return max(min(times), facts.shifted_at, *(self._back.get(place, 0.0) for place in blue)) if times else None


def harmless(kind: str) -> bool:
    """Whether a fault leaves the controller able to act on pods."""
    return kind in HARMLESS or kind.startswith("prometheus-")
