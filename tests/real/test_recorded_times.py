"""How long things took, as a recorded history tells it: L1, L2, L4 and L7 are found in it, and what a test did itself is no breach."""

import copy
import threading

import pytest

from tests.invariants.test_every_check_can_fail import DAY, Story
from tests.real.beside import LATE_SECONDS, MOST_SECONDS, WRITES, Beside, Disturbance
from tests.real.history import KINDS, Commit, Recorder, checked, dated

LEASE = 2.0


class Recorded:
    """A story, as it was recorded beside the Lease."""

    def __init__(self):
        self.story, self.leases, self.disturbances, self.beats = Story(), [], [], []
        self.begun = self.story.now

    def renewed(self, *times, holder="penstock-0"):
        lease = {"metadata": {"name": "penstock"}, "spec": {"holderIdentity": holder}}
        self.leases += [(at, "Lease", None, lease, "penstock") for at in times]

    def found(self, after=1.0):
        told = sorted([*self.story.commits, *self.leases], key=lambda commit: commit[0])
        commits = [Commit(number, *copy.deepcopy(one)) for number, one in enumerate(told)]
        world = Beside(LEASE, self.begun, self.disturbances, beats=self.beats)
        return [breach.name for breach in checked(commits, world, 1.0, max(one.at for one in commits) + after)]


@pytest.fixture
def recorded():
    return Recorded()


def test_a_history_of_a_release_under_way_has_no_breach(recorded):
    recorded.renewed(*(recorded.story.now + second for second in range(5)))

    assert recorded.found() == []


@pytest.mark.parametrize(("silence", "breaches"), [(LEASE + 5, []), (LEASE + 6, ["L7"])])
def test_green_with_weight_while_nobody_renews_the_lease(recorded, silence, breaches):
    recorded.renewed(recorded.story.now)

    assert recorded.found(after=silence) == breaches


def test_a_lease_that_is_let_go_is_not_renewed(recorded):
    recorded.renewed(recorded.story.now)
    recorded.renewed(recorded.story.now + 4, holder="")

    assert recorded.found(after=4) == ["L7"]


def test_without_weight_nobody_need_lead(recorded):
    recorded.story.rolls_back()
    recorded.begun = recorded.story.now
    recorded.renewed(recorded.story.now)

    assert recorded.found(after=60.0) == []


@pytest.mark.parametrize(("alone", "breaches"), [(True, []), (False, ["L7"])])
def test_while_a_test_lets_nobody_lead_nobody_need(recorded, alone, breaches):
    now = recorded.story.now
    recorded.renewed(now, now + 31)
    recorded.disturbances.append(Disturbance(now + 1, now + 30, alone))

    assert recorded.found() == breaches


def test_a_lone_controller_that_is_killed_leaves_nobody_to_lead_until_the_next_one_does(recorded):
    now = recorded.story.now
    recorded.renewed(now)
    recorded.disturbances.append(Disturbance(now - 0.1, now, alone=True))  # the last renewal was dated late
    assert recorded.found(after=60.0) == []

    recorded.renewed(now + 30)
    assert recorded.found(after=9.0) == ["L7"]


def test_a_silence_before_the_next_disturbance_is_still_one(recorded):
    now = recorded.story.now
    recorded.renewed(now, now + 31)
    recorded.disturbances.append(Disturbance(now + 20, now + 30, alone=True))

    assert recorded.found() == ["L7"]


@pytest.mark.parametrize(("killed", "breaches"), [(0.0, ["L2"]), (1.0, [])])
def test_a_rollback_takes_a_second_and_after_a_kill_a_lease_more(recorded, killed, breaches):
    story = recorded.story
    decided = story.now
    if killed:
        recorded.disturbances.append(Disturbance(decided - 5, decided - 5))
    story.record("0001-rollback")
    story.now += 5
    story.route(100, 0, marks={"penstock.dev/stamp": "Release-a/1"})
    story.status(phase="RollingBack", rollback={"reason": "CheckFailed", "decidedAt": decided, "trafficAt": story.now})

    assert recorded.found() == breaches


@pytest.mark.parametrize(("after", "took", "breaches"), [(1.0, 1.2, []), (1.0, 0.1, ["L2"]), (-60.0, 1.2, ["L2"])])
def test_a_rollback_takes_longer_where_every_write_did_at_that_time(recorded, after, took, breaches):
    """A controller that shares its cores with many others is not slow: what a write of the test's own took tells it from one that is."""
    story = recorded.story
    decided = story.now
    recorded.beats.append((decided + after, decided + after + took))
    story.record("0001-rollback")
    story.now += 4
    story.route(100, 0, marks={"penstock.dev/stamp": "Release-a/1"})
    story.status(phase="RollingBack", rollback={"reason": "CheckFailed", "decidedAt": decided, "trafficAt": story.now})

    assert recorded.found() == breaches


def test_a_beat_across_what_the_test_took_away_tells_nothing_of_the_machine():
    taken = Disturbance(100.0, 110.0)

    assert Beside(LEASE, 0.0, [taken], beats=[(99.0, 111.0)]).late(90.0, 120.0) == LATE_SECONDS
    assert Beside(LEASE, 0.0, [taken], beats=[(111.0, 112.0)]).late(90.0, 120.0) == LATE_SECONDS + WRITES


def test_news_that_never_come_do_not_excuse_everything():
    assert Beside(LEASE, 0.0, beats=[(90.0, 400.0)]).late(90.0, 120.0) == LATE_SECONDS + MOST_SECONDS


@pytest.mark.parametrize(("heard", "at"), [(7.2, 7.2), (9.5, 8.0), (6.9, 7.0)])
def test_a_commit_that_is_heard_of_late_is_of_the_second_that_the_server_wrote(heard, at):
    def told(second, revision):
        entry = {"manager": "penstock", "time": f"1970-01-01T00:00:0{second}Z", "fieldsV1": {}}
        return {"metadata": {"resourceVersion": revision, "managedFields": [entry]}}

    assert dated(told(3, "1"), told(7, "2"), heard) == at
    assert dated(told(7, "1"), told(7, "2"), heard) == heard, "nobody says when it was written"


@pytest.mark.parametrize(("killed", "breaches"), [(False, ["L4"]), (True, [])])
def test_a_weight_by_another_hand_is_answered_by_whoever_leads(recorded, killed, breaches):
    story = recorded.story
    story.route(50, 50, by="others")
    if killed:
        recorded.disturbances.append(Disturbance(story.now + 1, story.now + 1))

    assert recorded.found(after=6.0) == breaches


def test_a_release_that_never_ends_is_found_at_the_end(recorded):
    assert recorded.found(after=DAY) == ["L1"]


class Forgetful:
    """An API server that was started again: to a watch it says that it has forgotten, and some objects are gone from its lists."""

    def __init__(self, before, after):
        self.lists, self.watched = {}, set()
        self.again = {path: threading.Event() for path in KINDS.values()}
        for kind, path in KINDS.items():
            self.lists[path] = [[named(name) for one, *name in stored if one == kind] for stored in (after, before)]

    def get(self, path):
        items = self.lists[path].pop() if len(self.lists[path]) > 1 else self.lists[path][0]
        return {"metadata": {"resourceVersion": "1"}, "items": items}

    def apply(self, _objects):
        raise RuntimeError("nothing is written")

    def watch(self, path, _version):
        if path in self.watched:
            self.again[path].set()
            raise RuntimeError("nothing new")
        self.watched.add(path)
        yield {"type": "ERROR", "object": {}}


def named(name):
    return {"metadata": {"namespace": name[0], "name": name[1], "resourceVersion": "1"}}


def test_what_went_unseen_is_a_gap_where_it_is_asked_for():
    kept = [("Lease", "penstock-system", "penstock")]
    lost = [("Lease", "kube-system", "apiserver-1"), ("ConfigMap", "elsewhere", "plan"), ("ConfigMap", "shop", "plan")]
    api = Forgetful([*kept, *lost], kept)
    with Recorder(api) as recorder:
        assert all(watched.wait(10) for watched in api.again.values())
    found = recorder.breaches(["shop"], 1.0, LEASE)

    assert found == ["The record has a gap: ConfigMap shop/plan went while nobody watched."]


def test_a_lost_lease_of_the_controller_is_a_gap():
    api = Forgetful([("Lease", "penstock-system", "penstock")], [])
    with Recorder(api) as recorder:
        assert all(watched.wait(10) for watched in api.again.values())

    assert recorder.breaches(["shop"], 1.0, LEASE) == ["The record has a gap: Lease penstock-system/penstock went while nobody watched."]
