"""The workers: take a due release, look at it, and put it back for when it wants to be looked at again.

This is the boundary of one release: whatever goes wrong in a look is caught here, said once, and tried
again with back-off; no other release notices. It must not decide anything about a release.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from controller.adapters.marks import Deposed
from controller.core.commands import RollBackRoutes
from controller.ports import Kube, KubeError, Ports
from controller.runtime.contracts import Key, NotLeading, Outcome, Reconcile, Steady
from controller.runtime.metrics import Metrics
from controller.runtime.queue import Lane, WorkQueue

log = logging.getLogger(__name__)

KINDS = 4
"""Fewer workers are not divided: each does everything."""

MOST_LOOKS_AT_ONCE = 200
"""Looks in a row that each asked for another at once; more is a defect, and is slowed down."""


@dataclass(frozen=True, slots=True)
class Term:
    """What one leadership works with: ports that refuse to write once it is over, and the cache over them."""

    epoch: int
    ports: Ports
    cache: Kube


class Workers:
    """A fixed number of threads over one queue.

    Args:
        term: the present leadership; None while this process must not act.
        set_aside: given a key that could not be looked at because of that.
        resync: every unfinished release is looked at at least this often, seconds.
        is_unfinished: whether a release still has something to do.
        on_deposed: told the higher epoch that a look came upon.
    """

    def __init__(
        self,
        queue: WorkQueue,
        reconcile: Reconcile,
        metrics: Metrics,
        steady: Steady,
        *,
        term: Callable[[], Term | None],
        set_aside: Callable[[Key], None],
        resync: float,
        is_unfinished: Callable[[Key], bool],
        on_deposed: Callable[[int], None],
    ) -> None:
        self._queue, self._reconcile, self._metrics, self._steady = queue, reconcile, metrics, steady
        self._term, self._set_aside, self._resync = term, set_aside, resync
        self._is_unfinished, self._on_deposed = is_unfinished, on_deposed
        self._urgent: set[Key] = set()
        self._in_a_row: dict[Key, int] = {}
        self._undecided: set[Key] = set()
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()

    def start(self, count: int) -> None:
        """Start the threads.

        A quarter looks at urgent keys only: a Prometheus that hangs cannot hold up a way back. A quarter looks at no
        quiet ones: the long looks of releases that are brought up cannot hold up polls.
        """
        for number in range(count):
            last = (Lane.URGENT, Lane.WATCHED, Lane.QUIET, Lane.QUIET)[number * 4 // count] if count >= KINDS else Lane.QUIET
            thread = threading.Thread(target=self._run, args=(last,), name=f"worker-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, timeout: float) -> bool:
        """Take nothing more, finish what is being looked at; whether all did in time."""
        self._stopping.set()
        self._queue.close()
        end = self._steady() + timeout
        for thread in self._threads:
            thread.join(max(0.0, end - self._steady()))
        return not any(thread.is_alive() for thread in self._threads)

    def alive(self) -> bool:
        """Whether no worker has died."""
        return all(thread.is_alive() for thread in self._threads)

    def undecided(self) -> set[Key]:
        """Unfinished releases whose last look came to no decision."""
        return {key for key in self._undecided.copy() if self._is_unfinished(key)}

    def _run(self, last: Lane) -> None:
        while not self._stopping.is_set():
            key = self._queue.get(timeout=60.0, last=last)
            if key is not None:
                self.turn(key)

    def turn(self, key: Key) -> None:
        """Look at a key that was taken from the queue, and hand it back."""
        try:
            term = self._term()
            if term is None:
                self._set_aside(key)
            else:
                self._look(key, term)
        finally:
            self._queue.done(key)

    def _look(self, key: Key, term: Term) -> None:
        about = {"release": "/".join(key), "epoch": term.epoch}
        started = self._steady()
        try:
            outcome = self._reconcile(key, term.ports, cache=term.cache)
        except NotLeading as stop:
            log.info("%s", stop, extra=about)
            self._set_aside(key)
        except Deposed as stop:
            log.warning("%s", stop, extra=about)
            self._on_deposed(stop.epoch)
        except KubeError as error:
            self._metrics.faults.inc()
            self._undecided.add(key)
            self._again_later(key, str(error), at_least=error.retry_after)
        except Exception:
            self._metrics.defects.inc()
            log.exception("A defect of the controller ended this look; other releases go on.", extra=about)
            self._again_later(key, "")
        else:
            self._settle(key, outcome, term.ports.clock.now())
            _say(outcome, about)
        finally:
            self._metrics.reconcile_seconds.observe(self._steady() - started)

    def _settle(self, key: Key, outcome: Outcome, now: float) -> None:
        """Put the key back as the outcome asks."""
        (self._urgent.add if outcome.urgent else self._urgent.discard)(key)
        (self._undecided.add if outcome.decision is None and outcome.error else self._undecided.discard)(key)
        patient = not is_exposed(outcome) or sent_back(outcome)
        urgent = outcome.urgent and not patient
        self._queue.hush(key, quiet=patient and self._is_unfinished(key))
        if outcome.again:
            row = self._in_a_row[key] = self._in_a_row.get(key, 0) + 1
            if outcome.error or row > MOST_LOOKS_AT_ONCE:
                self._again_later(key, outcome.error or f"This release was looked at {row} times in a row; it is slowed down.")
            else:
                self._queue.add(key, urgent=urgent)
            return
        self._in_a_row.pop(key, None)
        if not outcome.error:
            self._queue.forget_failures(key)
        if outcome.wake_at is not None:
            self._queue.add_at(key, outcome.wake_at, urgent=urgent)
        if self._is_unfinished(key):
            self._queue.add_at(key, now + self._resync)

    def _again_later(self, key: Key, sentence: str, *, at_least: float = 0.0) -> None:
        delay = self._queue.retry(key, urgent=key in self._urgent, at_least=at_least)
        if sentence:
            log.warning("%s", sentence, extra={"release": "/".join(key), "seconds": round(delay, 3)})


def is_exposed(outcome: Outcome) -> bool:
    """Whether requests may go to green, as far as this look could tell."""
    decision = outcome.decision
    return decision is None or bool(decision.status.weight or decision.status.observed_weight)


def sent_back(outcome: Outcome) -> bool:
    """Whether this look has put all routes on blue: what is left to do for the release can wait for others' ways back."""
    decision = outcome.decision
    return decision is not None and not outcome.error and any(isinstance(command, RollBackRoutes) for command in decision.commands)


def _say(outcome: Outcome, about: dict[str, object]) -> None:
    """One line for each look that did something or came to another answer: what was decided, and what is done for it."""
    decision = outcome.decision
    if decision is None:
        if outcome.error:
            log.warning("%s", outcome.error, extra=about)
        return
    status = decision.status
    about = {**about, "stage": status.stage, "phase": status.phase.value, "decision": status.reason or status.phase.value}
    if decision.commands:
        about["actions"] = [type(command).__name__ for command in decision.commands]
    before = outcome.subject.status if outcome.subject is not None else status
    another = (before.phase, before.reason, before.stage) != (status.phase, status.reason, status.stage)
    news = bool(decision.commands or decision.records) or another
    log.log(logging.INFO if news else logging.DEBUG, "%s", status.message or status.reason or status.phase.value, extra=about)
