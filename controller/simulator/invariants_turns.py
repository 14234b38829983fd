"""Who gets a turn: no release waits for a broken one (L5), and nobody's users are without a leader for long (L7)."""

from collections import Counter

from controller.reconcile import Key, Outcome
from controller.runtime.lease import LeaseSettings
from controller.runtime.queue import TURNS
from controller.simulator.invariants_book import EPSILON, Book
from controller.simulator.invariants_model import FINAL
from controller.simulator.simulation import Simulation

LEASE_SECONDS = LeaseSettings("", "", "").duration
LEADERLESS_SECONDS = LEASE_SECONDS + 5.0
"""Green may have weight so long while nobody acts (L7)."""


class Turns:
    """Follows the work queue and the leaders of one simulation."""

    def __init__(self, sim: Simulation, book: Book) -> None:
        self._sim, self._book = sim, book
        self._passed: dict[Key, Counter[Key]] = {}
        self._urgent: set[Key] = set()
        self._epoch = sim.epoch
        self._safe_at = 0.0
        self._told = False
        sim.on_look.append(self.looked)

    def looked(self, key: Key, outcome: Outcome) -> None:
        """L5: of two looks at one release, every other one that was due before the first comes before the second.

        A rollback goes first, but lets the others have one turn in five. A new leader's queue begins anew.
        """
        if self._sim.epoch != self._epoch:
            self._epoch, self._passed = self._sim.epoch, {}
        self._passed.pop(key, None)
        first = outcome.urgent or key in self._urgent  # the last look of a rollback was still queued as one
        (self._urgent.add if outcome.urgent else self._urgent.discard)(key)
        due = self._sim.queue.due()
        if not due and not self._passed:
            return
        self._passed = {other: passed for other, passed in self._passed.items() if other in due}
        allowed = TURNS if first else 1
        for other in due:
            passed = self._passed.setdefault(other, Counter())
            passed[key] += 1
            if other != key and passed[key] == allowed + 1:
                self._book.now = self._sim.clock.time
                names = " has been looked at ".join(("/".join(key), f"{passed[key]} times while "))
                self._book.breach("L5", f"Release {names}{'/'.join(other)} was due")

    def time(self, now: float) -> None:
        """L7: to be called often. Counts from the later of two moments: nobody acts, and green has weight."""
        exposed = any(facts.share > EPSILON and facts.phase not in FINAL for facts in self._book.releases.values())
        since = self._sim.leaderless_since
        if since is None or not exposed:
            self._safe_at, self._told = now, False
            return
        waited = now - max(since, self._safe_at)
        if waited > LEADERLESS_SECONDS and not self._told:
            self._told = True
            self._book.now = now
            self._book.breach("L7", f"green has had weight for {waited:.0f} s without a leader, {LEADERLESS_SECONDS:.0f} s are allowed")
