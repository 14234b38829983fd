"""The work queue: which release is looked at next, and when. The simulator and production run this same class.

    add / add_at / retry           next_ready / get              done
  ------------------------> due ---------------------> working ------> (due again, if added meanwhile)

A key is worked on by one worker at a time; added meanwhile, it is due once more when that worker is done.
A key has at most one wake-up: the earliest one wins. Taking a key drops its wake-up, because whoever looks
at a release says anew when it wants to be woken.

Three lanes: keys whose traffic must go back are urgent; then those whose polls find the next failure; quiet ones,
with nobody on green, come last, because their looks are long and cost no user anything. Nobody starves: after four
turns in a row a lane lets those behind it have one.

Wake-ups are given in wall time and kept in steady time: a clock that is set back an hour delays nothing.
"""

import heapq
import itertools
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from controller.runtime.contracts import Key, Steady

BASE_DELAY = 0.05
MAX_DELAY = 60.0
URGENT_MAX_DELAY = 1.0
"""A rollback is owed: it is tried again within a second, for ever."""
TURNS = 4
"""Turns in a row of one lane while others wait behind it."""


class Lane(IntEnum):
    """Who goes first among keys that are due."""

    URGENT = 0
    WATCHED = 1
    QUIET = 2


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
        self._lock = threading.Lock()
        self._changed = {lane: threading.Condition(self._lock) for lane in Lane}
        self._wakes = dict.fromkeys(Lane, math.inf)
        self._lanes: dict[Lane, dict[Key, float]] = {lane: {} for lane in Lane}
        self._turns = dict.fromkeys(Lane, 0)
        self._quiet: set[Key] = set()
        self._waiting: dict[Key, _Due] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = itertools.count()
        self._working: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._closed = False

    def add(self, key: Key, *, urgent: bool = False) -> None:
        """Due now."""
        with self._lock:
            self._wait_until(key, self._steady(), urgent=urgent)

    def add_at(self, key: Key, time: float, *, urgent: bool = False) -> None:
        """Due at a wall time; a wake-up that is already set for earlier stays."""
        with self._lock:
            self._wait_until(key, self._steady() + max(0.0, time - self._clock()), urgent=urgent)

    def add_after(self, key: Key, seconds: float) -> None:
        """Due after so many steady seconds."""
        with self._lock:
            self._wait_until(key, self._steady() + seconds, urgent=False)

    def clear(self) -> None:
        """Forget everything but what is being worked on."""
        with self._lock:
            self._waiting.clear()
            for lane in self._lanes.values():
                lane.clear()
            self._failures.clear()
            self._quiet.clear()

    def hush(self, key: Key, *, quiet: bool) -> None:
        """From its next wake-up on, the key goes behind those that are watched (or not any more)."""
        with self._lock:
            (self._quiet.add if quiet else self._quiet.discard)(key)

    def retry(self, key: Key, *, urgent: bool = False, at_least: float = 0.0) -> float:
        """Due again after a failure, each time twice as late as before; returns the seconds.

        Args:
            key: the release.
            urgent: it rolls back: at most a second, whatever the server asks for.
            at_least: seconds that the server asked to wait.
        """
        with self._lock:
            failures = self._failures.get(key, 0)
            self._failures[key] = failures + 1
            delay = min(MAX_DELAY, max(at_least, BASE_DELAY * 2.0 ** min(failures, 20)))
            if urgent:
                delay = min(delay, URGENT_MAX_DELAY)
            self._wait_until(key, self._steady() + delay, urgent=urgent)
            return delay

    def forget_failures(self, key: Key) -> None:
        """The next failure of this key is its first again."""
        with self._lock:
            self._failures.pop(key, None)

    def failures(self, key: Key) -> int:
        """Failures in a row."""
        return self._failures.get(key, 0)

    def drop(self, key: Key) -> None:
        """Forget a key that is gone: its wake-up, its turn and its failures."""
        with self._lock:
            self._waiting.pop(key, None)
            for lane in self._lanes.values():
                lane.pop(key, None)
            self._failures.pop(key, None)
            self._quiet.discard(key)

    def next_ready(self, now: float, *, last: Lane = Lane.QUIET) -> Key | None:
        """Take the next key that is due at steady time `now`, of no lane behind `last`; None where there is none. `done` must follow."""
        with self._lock:
            return self._take(now, last)

    def next_time(self) -> float | None:
        """Steady time at which the next key is due; in the past where one is due already; None where nothing waits.

        Keys that are being worked on do not count: they are due, at the earliest, when they are done.
        """
        with self._lock:
            self._prune()
            ready = [at for lane in self._lanes.values() for at in lane.values()]
            times = [*ready, *([self._heap[0][0]] if self._heap else [])]
            return min(times, default=None)

    def done(self, key: Key) -> None:
        """The worker has finished with the key."""
        with self._lock:
            self._working.discard(key)
            due = self._waiting.get(key)
            if due is not None:
                self._push(key, due)

    def get(self, timeout: float, *, last: Lane = Lane.QUIET) -> Key | None:
        """Wait for a due key of no lane behind `last`; None after `timeout` seconds, or where the queue is closed.

        Of those who wait for the same lanes one wakes when the next key falls due; it wakes another when it leaves.
        """
        end = self._steady() + timeout
        changed = self._changed[last]
        with self._lock:
            while not self._closed:
                now = self._steady()
                key = self._take(now, last)
                if key is not None:
                    changed.notify()
                    return key
                if now >= end:
                    return None
                due = self._heap[0][0] if self._heap else math.inf
                if due < self._wakes[last]:
                    self._wakes[last] = due
                    changed.wait(min(end, due) - now)
                    self._wakes[last] = math.inf
                else:
                    changed.wait(end - now)
            return None

    def close(self) -> None:
        """Let every waiting worker go; nothing is handed out any more."""
        with self._lock:
            self._closed = True
            for changed in self._changed.values():
                changed.notify_all()

    def depth(self) -> int:
        """Keys that are due now and not yet taken."""
        with self._lock:
            self._promote(self._steady())
            return sum(len(lane) for lane in self._lanes.values())

    def due(self) -> list[Key]:
        """Keys that are due now and not yet taken."""
        with self._lock:
            self._promote(self._steady())
            return [key for lane in self._lanes.values() for key in lane]

    def _wait_until(self, key: Key, at: float, *, urgent: bool) -> None:
        """The key is due at `at`, unless it is due earlier already; urgency is never taken away."""
        for lane in Lane:
            since = self._lanes[lane].get(key)
            if since is not None:
                if urgent and lane is not Lane.URGENT and at <= self._steady():
                    self._lanes[Lane.URGENT][key] = self._lanes[lane].pop(key)
                    self._tell(Lane.URGENT)
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
        self._tell(self._lane(key, due))

    def _lane(self, key: Key, due: _Due) -> Lane:
        if due.urgent:
            return Lane.URGENT
        return Lane.QUIET if key in self._quiet else Lane.WATCHED

    def _tell(self, lane: Lane) -> None:
        """Wake one of each kind of those who may take a key of this lane."""
        for last, changed in self._changed.items():
            if last >= lane:
                changed.notify()

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
            self._lanes[self._lane(key, due)][key] = due.at
            self._prune()

    def _take(self, now: float, last: Lane) -> Key | None:
        self._promote(now)
        chosen = self._next_lane(last)
        if chosen is None:
            return None
        lane = self._lanes[chosen]
        key = next(iter(lane))
        late = now - lane.pop(key)
        self._working.add(key)
        if self._on_late is not None:
            self._on_late(max(0.0, late))
        return key

    def _next_lane(self, last: Lane) -> Lane | None:
        """The first lane with a due key whose turn it is."""
        filled = [lane for lane in Lane if lane <= last and self._lanes[lane]]
        for lane in filled:
            if lane is filled[-1] or self._turns[lane] < TURNS:
                self._turns.update(dict.fromkeys((before for before in Lane if before < lane), 0))
                self._turns[lane] += 1
                return lane
        return None
