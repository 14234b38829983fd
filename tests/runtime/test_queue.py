"""The work queue: one worker a key, one wake-up a key, urgent keys first, nobody starves."""

import threading
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from controller.runtime.queue import TURNS, URGENT_MAX_DELAY, Lane, WorkQueue
from tests.sizes import size

A, B, C = ("n", "a"), ("n", "b"), ("n", "c")


class Virtual:
    """A wall clock and a steady clock that can be told apart."""

    def __init__(self):
        self.steady, self.offset = 0.0, 1000.0
        self.late = []
        self.queue = WorkQueue(lambda: self.steady + self.offset, lambda: self.steady, on_late=self.late.append)

    def take(self):
        return self.queue.next_ready(self.steady)


@pytest.fixture
def world():
    return Virtual()


def test_a_key_that_is_added_twice_is_handed_out_once(world):
    world.queue.add(A)
    world.queue.add(A)

    assert [world.take(), world.take()] == [A, None]


def test_a_key_that_is_added_while_it_is_worked_on_comes_again_after_that(world):
    world.queue.add(A)
    world.take()
    world.queue.add(A)
    during = world.take()
    world.queue.done(A)

    assert (during, world.take()) == (None, A)


def test_the_earliest_wake_up_wins(world):
    world.queue.add_at(A, 1030.0)
    world.queue.add_at(A, 1010.0)
    world.queue.add_at(A, 1020.0)

    assert world.queue.next_time() == 10.0
    world.steady = 9.9
    assert world.take() is None
    world.steady = 10.0
    assert world.take() == A
    world.queue.done(A)
    assert world.queue.next_time() is None


def test_taking_a_key_drops_its_wake_up(world):
    world.queue.add_at(A, 1030.0)
    world.queue.add(A)
    world.take()
    world.queue.done(A)

    assert world.queue.next_time() is None


def test_a_clock_that_is_set_back_delays_nothing(world):
    world.queue.add_at(A, 1010.0)
    world.offset -= 3600.0
    world.steady = 10.0

    assert world.take() == A


def test_urgent_keys_go_first_but_not_for_ever(world):
    urgent = [("n", f"u{i}") for i in range(12)]
    world.queue.add(A)
    world.queue.add(B)
    for key in urgent:
        world.queue.add(key, urgent=True)

    order = [world.take() for _ in range(14)]

    assert order[:TURNS] == urgent[:TURNS]
    assert order[TURNS] == A
    assert order[2 * TURNS + 1] == B


def test_a_waiting_key_that_becomes_urgent_overtakes(world):
    for key in (A, B, C):
        world.queue.add(key)
    world.queue.depth()
    world.queue.add(C, urgent=True)

    assert world.take() == C


def test_workers_for_urgent_keys_leave_the_others_alone(world):
    world.queue.add(A)
    world.queue.add(B, urgent=True)

    assert [world.queue.next_ready(0.0, last=Lane.URGENT) for _ in range(2)] == [B, None]
    assert world.take() == A


def test_quiet_keys_come_last_but_not_never(world):
    quiet = [("n", f"q{i}") for i in range(3)]
    watched = [("n", f"w{i}") for i in range(12)]
    for key in quiet:
        world.queue.hush(key, quiet=True)
    for key in (*quiet, *watched):
        world.queue.add(key)

    order = [world.take() for _ in range(15)]

    assert order[: TURNS + 1] == [*watched[:TURNS], quiet[0]]
    assert order[-1] == quiet[2]


def test_a_key_is_quiet_until_it_is_not(world):
    world.queue.hush(A, quiet=True)
    world.queue.hush(A, quiet=False)
    world.queue.add(A)
    world.queue.add(B)

    assert world.take() == A


def test_a_quiet_key_that_becomes_urgent_overtakes_all(world):
    world.queue.hush(C, quiet=True)
    for key in (A, B, C):
        world.queue.add(key)
    world.queue.depth()
    world.queue.add(C, urgent=True)

    assert world.take() == C


def test_workers_for_watched_keys_leave_quiet_ones_alone(world):
    world.queue.hush(A, quiet=True)
    world.queue.add(A)
    world.queue.add(B)

    assert [world.queue.next_ready(0.0, last=Lane.WATCHED) for _ in range(2)] == [B, None]


@pytest.mark.parametrize("lasts", [(Lane.QUIET,) * 6, (Lane.URGENT, Lane.WATCHED, Lane.WATCHED, Lane.QUIET, Lane.QUIET, Lane.QUIET)])
def test_keys_that_fall_due_together_are_taken_by_many_workers_at_once(lasts):
    """Only one waiter of a kind minds the time, so each must wake the next."""
    queue = WorkQueue(time.time, time.monotonic)
    barrier = threading.Barrier(len([last for last in lasts if last is not Lane.URGENT]) + 1, timeout=10.0)

    def work(last):
        if queue.get(20.0, last=last) is not None:
            barrier.wait()

    workers = [threading.Thread(target=work, args=(last,), daemon=True) for last in lasts]
    for worker in workers:
        worker.start()
    at = time.time() + 0.3
    for number in range(len(lasts)):
        queue.add_at(("n", f"k{number}"), at)
    barrier.wait()
    queue.close()


@pytest.mark.parametrize("make_urgent", ["added", "overtakes"])
def test_a_waiting_worker_for_urgent_keys_is_woken_by_one(make_urgent):
    queue = WorkQueue(time.time, time.monotonic)
    got = []
    worker = threading.Thread(target=lambda: got.append(queue.get(20.0, last=Lane.URGENT)))
    if make_urgent == "overtakes":
        queue.add(A)
        queue.depth()
    worker.start()
    queue.add(B)
    queue.add(A, urgent=True)
    worker.join(5.0)

    assert got == [A]


def test_failures_are_retried_ever_later_and_urgent_ones_within_a_second(world):
    calm = [world.queue.retry(A) for _ in range(15)]
    urgent = [world.queue.retry(B, urgent=True, at_least=30.0) for _ in range(15)]

    assert calm[:4] == [0.05, 0.1, 0.2, 0.4]
    assert calm[-1] == 60.0
    assert max(urgent) == URGENT_MAX_DELAY


def test_a_success_makes_the_next_failure_the_first(world):
    world.queue.retry(A)
    world.queue.retry(A)
    world.queue.forget_failures(A)

    assert world.queue.retry(A) == 0.05


def test_a_server_that_asks_for_time_gets_it(world):
    assert world.queue.retry(A, at_least=7.0) == 7.0


def test_lateness_is_measured_from_the_time_that_was_asked_for(world):
    world.queue.add_at(A, 1010.0)
    world.steady = 10.25
    world.take()

    assert world.late == [0.25]


def test_a_worker_that_waits_is_woken_by_an_earlier_time_than_it_waits_for():
    queue = WorkQueue(time.time, time.monotonic)
    queue.add_after(A, 30.0)
    got = []
    worker = threading.Thread(target=lambda: got.append(queue.get(20.0)))
    worker.start()
    queue.add(B)
    worker.join(5.0)

    assert got == [B]


def test_closing_lets_every_worker_go():
    queue = WorkQueue(time.time, time.monotonic)
    workers = [threading.Thread(target=queue.get, args=(60.0,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    queue.close()
    for worker in workers:
        worker.join(5.0)

    assert not any(worker.is_alive() for worker in workers)


def test_many_workers_never_share_a_key_and_lose_none():
    queue = WorkQueue(time.time, time.monotonic)
    lock, working, seen, clashes = threading.Lock(), set(), [], []
    keys = [("n", str(i)) for i in range(20)]

    def work():
        while (key := queue.get(0.3)) is not None:
            with lock:
                if key in working:
                    clashes.append(key)
                working.add(key)
                seen.append(key)
            with lock:
                working.discard(key)
            queue.done(key)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for round_ in range(50):
        for key in keys:
            queue.add(key, urgent=round_ % 3 == 0)
    for worker in workers:
        worker.join(10.0)

    assert not clashes
    assert set(seen) == set(keys)


class QueueMachine(RuleBasedStateMachine):
    """The queue against the plainest model: for each key the earliest time it is due, and who is working."""

    def __init__(self):
        super().__init__()
        self.world = Virtual()
        self.due = {}
        self.working = {}

    keys = st.sampled_from([A, B, C])

    def _expect(self, key, at):
        target = self.working if key in self.working else self.due
        known = target.get(key)
        target[key] = at if known is None else min(known, at)

    @rule(key=keys, urgent=st.booleans())
    def add(self, key, urgent):
        self.world.queue.add(key, urgent=urgent)
        self._expect(key, self.world.steady)

    @rule(key=keys, seconds=st.integers(-5, 50), urgent=st.booleans())
    def add_at(self, key, seconds, urgent):
        now = self.world.steady
        self.world.queue.add_at(key, now + self.world.offset + seconds, urgent=urgent)
        self._expect(key, now + max(0, seconds))

    @rule(seconds=st.integers(0, 20))
    def time_passes(self, seconds):
        self.world.steady += seconds

    @rule(seconds=st.integers(-5000, 5000))
    def the_wall_clock_jumps(self, seconds):
        self.world.offset += seconds

    @rule(key=keys)
    def drop(self, key):
        self.world.queue.drop(key)
        self.due.pop(key, None)
        if key in self.working:
            self.working[key] = None

    @rule()
    def take(self):
        ready = {key for key, at in self.due.items() if at <= self.world.steady}
        key = self.world.take()
        assert (key in ready) if ready else key is None
        if key is not None:
            del self.due[key]
            self.working[key] = None

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def done(self, data):
        key = data.draw(st.sampled_from(sorted(self.working)))
        again = self.working.pop(key)
        self.world.queue.done(key)
        if again is not None:
            self.due[key] = again

    @invariant()
    def the_next_time_is_the_earliest(self):
        assert self.world.queue.next_time() == min(self.due.values(), default=None)


TestQueueModel = QueueMachine.TestCase
TestQueueModel.settings = settings(max_examples=size(25, 60), stateful_step_count=40)
