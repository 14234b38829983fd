"""Who gets a turn: no release waits for a broken one (L5)."""

from collections import Counter

from controller.reconcile import Key, Outcome
from controller.runtime.queue import TURNS
from controller.simulator.invariants_book import Book
from controller.simulator.simulation import Simulation


class Turns:
    """Follows the work queue of one simulation."""

    def __init__(self, sim: Simulation, book: Book) -> None:
        self._sim, self._book = sim, book
        self._passed: dict[Key, Counter[Key]] = {}
        self._urgent: set[Key] = set()
        self._epoch = sim.epoch

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
