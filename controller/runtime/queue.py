"""The work queue: which release is looked at next, and when. The simulator and production run this same class.

    add / add_at / retry           next_ready / get              done
  ------------------------> due ---------------------> working ------> (due again, if added meanwhile)

A key is worked on by one worker at a time; added meanwhile, it is due once more when that worker is done.
A key has at most one wake-up: the earliest one wins. Taking a key drops its wake-up, because whoever looks
at a release says anew when it wants to be woken. Keys that roll back are urgent and go first, but every
fifth turn belongs to the others: it is their polls that find the next failure.

Wake-ups are given in wall time and kept in steady time: a clock that is set back an hour delays nothing.
"""

import heapq
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass

from controller.runtime.contracts import Key, Steady

BASE_DELAY = 0.05
MAX_DELAY = 60.0
URGENT_MAX_DELAY = 1.0
"""A rollback is owed: it is tried again within a second, for ever."""
URGENT_TURNS = 4


@dataclass(frozen=True, slots=True)
class _Due:
    """When a waiting key is to be looked at, steady seconds."""

    at: float
    urgent: bool


class WorkQueue:
    """Due keys, wake-ups, retries. Every method may be called from any thread; none but `get` blocks.

    Args:
        clock: wall time, Unix seconds; the scale of `add_at`.
        steady: steady seconds; the scale of `next_ready` and `next_time`. One virtual clock serves as both.
        on_late: told, each time a key is taken, how many seconds after its time that is.
    """

    def __init__(self, clock: Callable[[], float], steady: Steady, *, on_late: Callable[[float], None] | None = None) -> None:
        self._clock, self._steady, self._on_late = clock, steady, on_late
        lock = threading.Lock()
        self._changed, self._urgent_changed = threading.Condition(lock), threading.Condition(lock)
        self._lanes: dict[bool, dict[Key, float]] = {True: {}, False: {}}
        self._waiting: dict[Key, _Due] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = itertools.count()
        self._working: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._urgent_turns = 0
        self._closed = False

    def add(self, key: Key, *, urgent: bool = False) -> None:
        """Due now."""
        with self._changed:
            self._wait_until(key, self._steady(), urgent=urgent)

    def add_at(self, key: Key, time: float, *, urgent: bool = False) -> None:
        """Due at a wall time; a wake-up that is already set for earlier stays."""
        with self._changed:
            self._wait_until(key, self._steady() + max(0.0, time - self._clock()), urgent=urgent)

    def add_after(self, key: Key, seconds: float) -> None:
        """Due after so many steady seconds."""
        with self._changed:
            self._wait_until(key, self._steady() + seconds, urgent=False)

    def clear(self) -> None:
        """Forget everything but what is being worked on."""
        with self._changed:
            self._waiting.clear()
            self._lanes[True].clear()
            self._lanes[False].clear()
            self._failures.clear()

    def retry(self, key: Key, *, urgent: bool = False, at_least: float = 0.0) -> float:
        """Due again after a failure, each time twice as late as before; returns the seconds.

        Args:
            key: the release.
            urgent: it rolls back: at most a second, whatever the server asks for.
            at_least: seconds that the server asked to wait.
        """
        with self._changed:
            failures = self._failures.get(key, 0)
            self._failures[key] = failures + 1
            delay = min(MAX_DELAY, max(at_least, BASE_DELAY * 2.0 ** min(failures, 20)))
            if urgent:
                delay = min(delay, URGENT_MAX_DELAY)
            self._wait_until(key, self._steady() + delay, urgent=urgent)
            return delay

    def forget_failures(self, key: Key) -> None:
        """The next failure of this key is its first again."""
        with self._changed:
            self._failures.pop(key, None)

    def failures(self, key: Key) -> int:
        """Failures in a row."""
        return self._failures.get(key, 0)

    def drop(self, key: Key) -> None:
        """Forget a key that is gone: its wake-up, its turn and its failures."""
        with self._changed:
            self._waiting.pop(key, None)
            self._lanes[True].pop(key, None)
            self._lanes[False].pop(key, None)
            self._failures.pop(key, None)

    def next_ready(self, now: float, *, urgent_only: bool = False) -> Key | None:
        """Take the next key that is due at steady time `now`; None where there is none. `done` must follow."""
        with self._changed:
            return self._take(now, urgent_only=urgent_only)

    def next_time(self) -> float | None:
        """Steady time at which the next key is due; in the past where one is due already; None where nothing waits.

        Keys that are being worked on do not count: they are due, at the earliest, when they are done.
        """
        with self._changed:
            self._prune()
            ready = [at for lane in self._lanes.values() for at in lane.values()]
            times = [*ready, *([self._heap[0][0]] if self._heap else [])]
            return min(times, default=None)

    def done(self, key: Key) -> None:
        """The worker has finished with the key."""
        with self._changed:
            self._working.discard(key)
            due = self._waiting.get(key)
            if due is not None:
                self._push(key, due)

    def get(self, timeout: float, *, urgent_only: bool = False) -> Key | None:
        """Wait for a due key (for an urgent one); None after `timeout` seconds, or where the queue is closed."""
        end = self._steady() + timeout
        changed = self._urgent_changed if urgent_only else self._changed
        with self._changed:
            while not self._closed:
                now = self._steady()
                key = self._take(now, urgent_only=urgent_only)
                if key is not None:
                    return key
                if now >= end:
                    return None
                changed.wait(min(end, self._heap[0][0] if self._heap else end) - now)
            return None

    def close(self) -> None:
        """Let every waiting worker go; nothing is handed out any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._urgent_changed.notify_all()

    def depth(self) -> int:
        """Keys that are due now and not yet taken."""
        with self._changed:
            self._promote(self._steady())
            return sum(len(lane) for lane in self._lanes.values())

    def _wait_until(self, key: Key, at: float, *, urgent: bool) -> None:
        """The key is due at `at`, unless it is due earlier already; urgency is never taken away."""
        for lane_urgent in (True, False):
            since = self._lanes[lane_urgent].get(key)
            if since is not None:
                if urgent and not lane_urgent and at <= self._steady():
                    self._lanes[True][key] = self._lanes[False].pop(key)
                    self._urgent_changed.notify()
                return
        before = self._waiting.get(key)
        due = _Due(at, urgent) if before is None else _Due(min(at, before.at), urgent or before.urgent)
        if due == before:
            return
        self._waiting[key] = due
        if key not in self._working:
            self._push(key, due)

    def _push(self, key: Key, due: _Due) -> None:
        """Let the key's time be found, and those who wait know of it."""
        heapq.heappush(self._heap, (due.at, next(self._order), key))
        self._changed.notify()
        if due.urgent:
            self._urgent_changed.notify()

    def _prune(self) -> None:
        """Take entries off the heap that no longer speak for their key."""
        while self._heap:
            at, _, key = self._heap[0]
            due = self._waiting.get(key)
            if due is not None and due.at == at and key not in self._working:
                return
            heapq.heappop(self._heap)

    def _promote(self, now: float) -> None:
        """Give every key whose time has come its place in its lane."""
        self._prune()
        while self._heap and self._heap[0][0] <= now:
            _, _, key = heapq.heappop(self._heap)
            due = self._waiting.pop(key)
            self._lanes[due.urgent][key] = due.at
            self._prune()

    def _take(self, now: float, *, urgent_only: bool) -> Key | None:
        self._promote(now)
        urgent, others = self._lanes[True], self._lanes[False]
        turn_of_others = not urgent_only and (not urgent or (bool(others) and self._urgent_turns >= URGENT_TURNS))
        lane = others if turn_of_others else urgent
        if not lane:
            return None
        self._urgent_turns = 0 if turn_of_others else self._urgent_turns + 1
        key = next(iter(lane))
        late = now - lane.pop(key)
        self._working.add(key)
        if self._on_late is not None:
            self._on_late(max(0.0, late))
        return key
