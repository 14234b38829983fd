"""Leader election in virtual time: at most one leader at a time, epochs that only rise, and no death by outage."""

import random

import pytest
from fakes import FakeKube, Wall

from controller.adapters.marks import EPOCH, PROVIDERS
from controller.api.base import EPOCH_LEAP
from controller.ports import LEASE, UnavailableError
from controller.runtime.contracts import NotLeading
from controller.runtime.leader import Leader
from controller.runtime.lease import GRACE, Action, LeaseSettings, LeaseState, LeaseView, highest_epoch, lease_step, micro_time, view_of


class Candidate:
    """One controller's leader loop with its own clock, which may stand still (`paused`)."""

    def __init__(self, kube, name, *, skew=0.0, found=0, providers=()):
        self.wall = Wall(skew)
        self.found = found
        self.live_asked = []
        self.gained, self.lost = [], 0
        self.leader = Leader(
            kube,
            LeaseSettings("ns", "penstock", name, duration=10.0, renew=2.0, providers=providers),
            self.wall,
            self.wall.steady,
            epochs=self._epochs,
            on_gain=lambda epoch, vacant: self.gained.append((epoch, vacant)),
            on_loss=self._lost,
        )
        self.next_turn = 0.0

    def _epochs(self, live):
        self.live_asked.append(live)
        return self.found

    def _lost(self):
        self.lost += 1

    def run_to(self, time):
        while self.next_turn <= time:
            self.wall.time = max(self.wall.time, self.next_turn)
            self.next_turn = self.wall.time + max(self.leader.turn(), 0.001)
        self.wall.time = time


@pytest.fixture
def kube():
    return FakeKube()


def lease(kube):
    return kube.objects[LEASE, "ns", "penstock"]


def together(time, *candidates, step=0.5):
    now = max(c.wall.time for c in candidates)
    while now < time:
        now += step
        for candidate in candidates:
            candidate.run_to(now)


def test_the_first_candidate_makes_the_lease_and_leads_with_an_epoch_above_all(kube):
    one = Candidate(kube, "one", found=7)
    one.run_to(0.0)

    assert one.leader.epoch == 8
    assert one.live_asked == [True]
    assert lease(kube)["metadata"]["annotations"][EPOCH] == "8"
    assert lease(kube)["spec"]["holderIdentity"] == "one"


def test_the_lease_tells_which_providers_its_holder_knows(kube):
    """Whoever writes a plan may read the Lease, and not the configuration with its addresses; what the one before knew is gone."""
    for name, known in (("one", ("default", "tenant")), ("two", ("default",))):
        candidate = Candidate(kube, name, providers=known)
        candidate.run_to(0.0)
        assert lease(kube)["metadata"]["annotations"][PROVIDERS] == ",".join(known)
        candidate.leader.resign()


def test_times_have_six_digits():
    assert micro_time(1_700_000_000.0) == "2023-11-14T22:13:20.000000Z"


def test_a_second_candidate_waits_while_the_first_renews(kube):
    one, two = Candidate(kube, "one"), Candidate(kube, "two")
    together(60.0, one, two)

    assert (one.leader.epoch, two.leader.epoch) == (1, 0)
    assert one.lost == 0


def test_a_leader_that_dies_is_replaced_within_the_lease_and_one_look(kube):
    one, two = Candidate(kube, "one"), Candidate(kube, "two")
    together(20.0, one, two)
    dead_at = one.wall.time
    while not two.leader.epoch:
        two.run_to(two.wall.time + 0.5)

    assert two.wall.time - dead_at <= 10.0 + 2.0 + 0.5
    assert two.leader.epoch == 2
    assert two.gained[0][1] == pytest.approx(10.0, abs=3.0)


def test_a_leader_that_resigns_is_replaced_at_the_next_look(kube):
    one, two = Candidate(kube, "one"), Candidate(kube, "two")
    together(20.0, one, two)
    one.leader.resign()
    two.run_to(22.5)

    assert (one.leader.epoch, two.leader.epoch) == (0, 2)


def test_a_leader_that_was_paused_may_not_write_any_more(kube):
    one, two = Candidate(kube, "one"), Candidate(kube, "two")
    together(20.0, one, two)
    fence = one.leader.fence(1)
    fence()
    two.run_to(40.0)
    one.wall.time = 40.0  # it wakes up, and the first thing it does is the write it was about to do

    with pytest.raises(NotLeading):
        fence()
    one.run_to(45.0)
    assert (one.leader.epoch, two.leader.epoch, one.lost) == (0, 2, 1)


def test_a_fence_of_an_earlier_epoch_stays_shut(kube):
    one = Candidate(kube, "one")
    one.run_to(0.0)
    fence = one.leader.fence(1)
    one.wall.time = 9.0
    one.next_turn = 9.0
    one.run_to(9.5)

    assert one.leader.epoch == 2
    with pytest.raises(NotLeading):
        fence()


def test_an_outage_costs_the_leadership_in_time_and_nothing_else(kube):
    one = Candidate(kube, "one")
    one.run_to(10.0)
    kube.down = True
    one.run_to(10.0 + 10.0 * GRACE + 0.1)
    during = one.leader.epoch
    one.run_to(100.0)
    kube.down = False
    one.run_to(103.0)

    assert during == 0
    assert one.leader.epoch == 2
    assert one.lost == 1


def test_a_short_outage_costs_nothing(kube):
    one = Candidate(kube, "one")
    one.run_to(10.0)
    kube.down = True
    one.run_to(15.0)
    kube.down = False
    one.run_to(30.0)

    assert (one.leader.epoch, one.lost) == (1, 0)


def test_a_deleted_lease_does_not_reset_the_epoch(kube):
    one = Candidate(kube, "one", found=41)
    one.run_to(10.0)
    kube.delete(LEASE, "ns", "penstock", uid="")
    one.run_to(14.0)

    assert one.leader.epoch == 43
    assert one.live_asked == [True, True]


def test_a_lost_answer_of_the_taking_write_leads_to_a_higher_epoch_not_to_two_leaders(kube):
    one, two = Candidate(kube, "one"), Candidate(kube, "two")
    kube.lose_answers = 1
    one.run_to(0.0)
    assert one.leader.epoch == 0
    together(8.0, one, two)

    assert one.leader.epoch == 2
    assert two.leader.epoch == 0


def test_a_foreign_annotation_on_the_lease_disturbs_nothing(kube):
    one = Candidate(kube, "one")
    one.run_to(5.0)
    kube.patch(LEASE, "ns", "penstock", {"metadata": {"annotations": {"note": "hello"}}})
    one.run_to(20.0)

    assert (one.leader.epoch, one.lost) == (1, 0)


def test_an_object_with_a_higher_epoch_makes_the_leader_come_back_above_it(kube):
    one = Candidate(kube, "one")
    one.run_to(5.0)
    one.leader.deposed(9)
    one.run_to(8.0)

    assert one.leader.epoch == 10


def test_an_epoch_that_somebody_wrote_on_the_lease_by_hand_is_not_gone_on_from(kube):
    """From there the next epochs would soon be numbers that nobody can exceed, and that hold nobody off."""
    one = Candidate(kube, "one", found=7)
    one.run_to(5.0)
    kube.patch(LEASE, "ns", "penstock", {"metadata": {"annotations": {EPOCH: "9" * 18}}})
    one.run_to(20.0)
    two = Candidate(kube, "two", found=7)
    two.run_to(60.0)

    assert (one.leader.epoch, two.leader.epoch) == (9, 10)
    assert one.live_asked == [True, False, True], "the API server itself is asked, as after the loss of the Lease"


@pytest.mark.parametrize(
    ("epochs", "top"),
    [((3, 9 * 10**17), 3), ((2**61,), 0), ((3, 4, 5), 5), ((3, EPOCH_LEAP), EPOCH_LEAP), ((), 0)],
    ids=["one leaps", "only one, and it leaps", "a row", "just no leap", "none"],
)
def test_the_highest_epoch_is_one_that_leaders_can_have_come_to(epochs, top):
    objects = [{"metadata": {"annotations": {EPOCH: str(number)}}} for number in epochs]
    statuses = [{"status": {"epoch": number}} for number in epochs]

    assert (highest_epoch(objects), highest_epoch(statuses)) == (top, top)


def test_epochs_that_cannot_be_read_stop_the_taking(kube):
    one = Candidate(kube, "one")

    def refuse(_live):
        raise UnavailableError(503, "X", "down")

    one.leader._epochs = refuse
    one.run_to(5.0)

    assert one.leader.epoch == 0
    assert (LEASE, "ns", "penstock") not in kube.objects


def test_skewed_clocks_change_nothing(kube):
    one, two = Candidate(kube, "one", skew=-7200.0), Candidate(kube, "two", skew=7200.0)
    together(60.0, one, two)

    assert (one.leader.epoch, two.leader.epoch) == (1, 0)


@pytest.mark.parametrize("seed", range(40))
def test_with_pauses_outages_and_lost_answers_two_never_lead_with_one_epoch_or_at_one_time(kube, seed):
    """Two contenders under random pauses: their times never overlap on true time, their epochs only rise."""
    rng = random.Random(seed)
    contenders = [Candidate(kube, "one", skew=rng.uniform(-99, 99)), Candidate(kube, "two", skew=rng.uniform(-99, 99))]
    paused_until = [0.0, 0.0]
    epochs, now = [], 0.0
    while now < 300.0:
        now += 0.25
        kube.down = rng.random() < 0.02 or (kube.down and rng.random() < 0.9)
        kube.lose_answers = 1 if rng.random() < 0.02 else 0
        for i, candidate in enumerate(contenders):
            if rng.random() < 0.005:
                paused_until[i] = now + rng.uniform(1, 30)
            if now >= paused_until[i]:
                candidate.next_turn = max(candidate.next_turn, now - 0.25)
                candidate.run_to(now)
            candidate.wall.time = now
        leading = [c.leader.epoch for c in contenders if c.leader.epoch]
        assert len(leading) <= 1
        epochs += [e for e in leading if not epochs or e != epochs[-1]]

    assert epochs == sorted(set(epochs))


class TestStep:
    settings = LeaseSettings("ns", "n", "me", duration=10.0, renew=2.0)

    def test_an_unreachable_server_makes_a_candidate_wait(self):
        assert lease_step(LeaseState(), None, 0.0, self.settings)[1] is Action.WAIT

    def test_a_fresh_look_at_an_old_lease_waits_a_whole_lease(self):
        """Its times may be of another clock; only what we have seen counts."""
        view = LeaseView(True, "other", 3, "5", 1, "2001-01-01T00:00:00.000000Z", 10.0)
        state, first = lease_step(LeaseState(), view, 100.0, self.settings)
        state, second = lease_step(state, view, 109.9, self.settings)
        _, third = lease_step(state, view, 110.0, self.settings)

        assert (first, second, third) == (Action.WAIT, Action.WAIT, Action.TAKE)

    def test_an_epoch_that_is_not_ours_means_that_we_do_not_lead(self):
        state = LeaseState(epoch=3, valid_until=50.0)
        after, action = lease_step(state, LeaseView(True, "me", 4, "5"), 10.0, self.settings)

        assert (action, after.epoch) == (Action.STEP_DOWN, 0)

    def test_garbage_in_the_lease_reads_as_nobody(self):
        view = view_of({"metadata": {"annotations": {EPOCH: "x"}}, "spec": {"leaseTransitions": "many", "leaseDurationSeconds": None}})

        assert (view.holder, view.epoch, view.transitions, view.duration) == ("", 0, 0, 0.0)
