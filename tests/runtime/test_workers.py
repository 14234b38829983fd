"""The boundary of one release: whatever goes wrong in one look, the others go on and this one is tried again."""

import logging
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from fakes import Wall

from controller.adapters.marks import Deposed
from controller.api.release import Phase, ReleaseStatus
from controller.core.commands import Decision, RollBackRoutes, SetWeight
from controller.ports import Ports, UnavailableError
from controller.runtime.contracts import NotLeading
from controller.runtime.metrics import Metrics
from controller.runtime.queue import WorkQueue
from controller.runtime.workers import MOST_LOOKS_AT_ONCE, Term, Workers

A, B = ("n", "a"), ("n", "b")


@dataclass
class Outcome:
    wake_at: float | None = None
    again: bool = False
    urgent: bool = False
    subject: object = None
    decision: object = None
    error: str = ""


class Setting:
    def __init__(self):
        self.wall, self.metrics = Wall(), Metrics()
        self.queue = WorkQueue(self.wall.now, self.wall.steady)
        self.answers, self.looked, self.deposed, self.aside = {}, [], [], []
        self.term = Term(3, Ports(None, None, None, self.wall, 3), None)
        self.unfinished = {A, B}
        self.workers = Workers(
            self.queue,
            self.reconcile,
            self.metrics,
            self.wall.steady,
            term=lambda: self.term,
            set_aside=self.aside.append,
            resync=300.0,
            is_unfinished=self.unfinished.__contains__,
            on_deposed=self.deposed.append,
        )

    def reconcile(self, key, ports, *, cache):  # noqa: ARG002 - the signature of the contract
        self.looked.append(key)
        answer = self.answers.get(key, Outcome())
        if isinstance(answer, Exception):
            raise answer
        return answer

    def turn(self):
        key = self.queue.next_ready(self.wall.steady())
        if key is not None:
            self.workers.turn(key)
        return key

    def due_in(self):
        return self.queue.next_time() - self.wall.steady()


@pytest.fixture
def it():
    return Setting()


def test_a_release_is_looked_at_again_when_it_wants_to_be(it):
    it.answers[A] = Outcome(wake_at=it.wall.now() + 7.0)
    it.queue.add(A)
    it.turn()

    assert it.due_in() == 7.0


def test_an_unfinished_release_is_looked_at_now_and_then_even_if_it_does_not_ask(it):
    it.queue.add(A)
    it.turn()

    assert it.due_in() == 300.0


def test_a_finished_release_is_left_alone(it):
    it.unfinished.clear()
    it.queue.add(A)
    it.turn()

    assert it.queue.next_time() is None


@pytest.mark.parametrize("error", [ValueError("a defect"), UnavailableError(503, "X", "down")])
def test_a_failing_release_is_tried_again_and_delays_no_other(it, error):
    it.answers[A] = error
    it.queue.add(A)
    it.queue.add(B)
    it.turn()
    it.turn()

    assert it.looked == [A, B]
    assert it.due_in() == 0.05


@pytest.mark.parametrize("answer", [UnavailableError(503, "X", "down"), Outcome(wake_at=5.0, error="The API server refused (403)")])
def test_a_release_for_which_nothing_could_be_decided_is_counted_until_something_is(it, answer):
    """Its rights were taken away, for example: nobody watches its users, and that is an alarm."""
    it.answers[A] = answer
    it.queue.add(A)
    it.turn()
    assert it.workers.undecided() == {A}

    it.answers[A] = Outcome(decision=decided(0))
    it.queue.add(A)
    it.turn()
    assert it.workers.undecided() == set()


def test_a_defect_is_counted_and_logged_with_its_trace(it, caplog):
    it.answers[A] = ValueError("a defect")
    it.queue.add(A)
    it.turn()

    assert it.metrics.registry.get_sample_value("penstock_reconcile_defects_total") == 1.0
    assert "other releases go on" in caplog.text
    assert "ValueError" in caplog.text


def test_each_step_of_a_release_is_a_line_with_its_decision_and_what_is_done_for_it(it, caplog):
    """What a Release that nobody has looked at yet has no reason for is still said; what is as it was is not."""
    queued = ReleaseStatus(phase=Phase.QUEUED)
    settling = ReleaseStatus(phase=Phase.SHIFTING, reason="Settling", stage=0, message="Waits.")
    steps = [
        (queued, Decision(queued, commands=(SetWeight(5),))),
        (settling, Decision(settling.model_copy(update={"phase": Phase.MEASURING, "reason": "WarmingUp"}), store=True)),
        (settling, Decision(settling, store=True)),
    ]
    with caplog.at_level(logging.INFO):
        for before, decision in steps:
            it.answers[A] = Outcome(subject=SimpleNamespace(status=before), decision=decision)
            it.queue.add(A)
            it.turn()

    said = [(line.stage, line.phase, line.decision, getattr(line, "actions", None)) for line in caplog.records]
    assert said == [(-1, "Queued", "Queued", ["SetWeight"]), (0, "Measuring", "WarmingUp", None)]


def test_a_rollback_that_fails_is_tried_again_within_a_second_for_ever(it):
    it.answers[A] = Outcome(urgent=True, wake_at=it.wall.now())
    it.queue.add(A)
    it.turn()
    it.answers[A] = UnavailableError(503, "X", "down", retry_after=60.0)
    waits = []
    for _ in range(20):
        it.wall.time += max(0.0, it.due_in())
        it.turn()
        waits.append(it.due_in())

    assert max(waits) == pytest.approx(1.0)


def test_a_conflict_is_looked_at_again_soon_but_not_in_a_hot_loop(it):
    it.answers[A] = Outcome(again=True, error="somebody wrote in between")
    it.queue.add(A)
    looks = 0
    while it.wall.time < 60.0:
        it.turn()
        looks += 1
        it.wall.time += max(0.001, it.due_in())

    assert 5 < looks < 20


def test_a_release_that_always_wants_another_look_at_once_is_slowed_down(it):
    it.answers[A] = Outcome(again=True)
    it.queue.add(A)
    looks = 0
    while it.turn() and looks < 2 * MOST_LOOKS_AT_ONCE:
        looks += 1

    assert looks == MOST_LOOKS_AT_ONCE + 1
    assert it.due_in() > 0


def test_nothing_is_looked_at_without_leadership_and_nothing_is_forgotten(it):
    it.term = None
    it.queue.add(A)
    it.turn()

    assert it.looked == []
    assert it.aside == [A]


def test_a_look_that_lost_the_lease_is_set_aside(it):
    it.answers[A] = NotLeading("over")
    it.queue.add(A)
    it.turn()

    assert it.aside == [A]


def test_a_higher_epoch_on_an_object_is_told_to_the_leader(it):
    it.answers[A] = Deposed(9, 3, "VirtualService n/v")
    it.queue.add(A)
    it.turn()

    assert it.deposed == [9]


def status(weight):
    return SimpleNamespace(weight=weight, observed_weight=weight, stage=0, phase=Phase.ROLLING_BACK, reason="", message="")


def decided(weight, *commands):
    return SimpleNamespace(status=status(weight), commands=commands, records=())


def test_a_release_that_is_on_blue_again_lets_the_polls_of_others_go_first(it):
    """Four hundred at once: what is left to do for the first must not delay the polls that find the last."""
    it.answers[A] = Outcome(urgent=True, wake_at=it.wall.now(), decision=decided(50, RollBackRoutes("stamp")))
    it.queue.add(A)
    it.turn()
    it.queue.add(B)

    assert it.turn() == B


def test_a_way_back_that_was_refused_stays_urgent(it):
    it.answers[A] = Outcome(urgent=True, wake_at=it.wall.now(), decision=decided(50, RollBackRoutes("stamp")), error="refused")
    it.queue.add(A)
    it.turn()
    it.queue.add(B)

    assert it.turn() == A


def test_a_release_with_nobody_on_green_goes_behind_those_that_are_watched(it):
    it.answers[A] = Outcome(wake_at=it.wall.now(), decision=decided(0))
    it.queue.add(A)
    it.turn()
    it.queue.add(B)

    assert it.turn() == B
