"""Success, rollback, success, success in a row: the next release always finds a world that it may begin in."""

from dataclasses import replace

import pytest
from workload_world import TWO_PLACES, World, a_release, started

from controller.adapters.workloads.overlap import live_overlap
from controller.adapters.workloads.places import Split
from controller.adapters.workloads.preflight import Preflight, preflight
from controller.adapters.workloads.teardown import remove_clone, remove_green, retire_old
from controller.adapters.workloads.writes import keep_capacity, make_green, restore_capacity, update_home
from controller.api.release import Phase

REVISION = "penstock.dev/revision"
SLOTS = {"one namespace": [{"name": "home"}, {"name": "away", "suffix": "-green"}], "two namespaces": TWO_PLACES}


def with_status(release, **changes):
    return replace(release, status=release.status.model_copy(update=changes))


class Cycle:
    """Runs whole releases, workload side only: the traffic is thought to follow."""

    def __init__(self, world, slots, *, subset=False, mode="swap"):
        self.world, self.slots, self.subset, self.mode = world, slots, subset, mode
        self.serves, self.number, self.labels = 0, 1, {"version": "v1"}

    def begin(self):
        self.number += 1
        n = self.number
        release = a_release(
            name=f"web-{n}", uid=f"uid-{n}", revision=f"r{n}", images={"web": f"web:{n}"}, slots=self.slots, finish={"mode": self.mode}
        )
        split = Split("subset", self.labels, {REVISION: f"r{n}"}) if self.subset else Split()
        assert preflight(self.world.kube, release, self.serves, split) == Preflight()
        release = started(self.world, release, blue_slot=self.serves, split=split)
        for write in (keep_capacity, make_green):
            self.world.do(write, release, blue_slot=self.serves, split=split)
        self.world.pass_time()
        view = self.world.look(release, self.serves, split)
        member = view.named("web")
        assert view.green_made
        assert (member.green.image, member.green.endpoints, member.blue.endpoints) == (f"web:{n}", 3, 3)
        assert live_overlap(self.world.kube, release, self.serves, split) == ()
        # What was made is recorded too; blue's size is what it was at the start.
        return with_status(release, objects=[*release.status.objects, *view.objects]), split

    def roll_back(self):
        release, split = self.begin()
        for write in (remove_green, restore_capacity):
            self.world.do(write, release, blue_slot=self.serves, split=split)
        assert self.world.pass_time().look(release, self.serves, split).green_gone
        return self.at_rest(release, split)

    def succeed(self):
        release, split = self.begin()
        if self.mode == "home":
            return self.go_home(release, split)
        release = with_status(release, phase=Phase.SUCCEEDED)
        for write in (restore_capacity, retire_old):
            self.world.do(write, release, blue_slot=self.serves, split=split)
        self.world.pass_time()
        self.serves, self.labels = 1 - self.serves, dict(split.green_labels)
        return self.at_rest(release, split)

    def go_home(self, release, split):
        for write in (update_home, remove_clone, restore_capacity):
            self.world.do(write, release, split=split)
            self.world.pass_time()
        assert self.world.look(release, 0, split).named("web").blue.image == f"web:{self.number}"
        return self.at_rest(release, split)

    def at_rest(self, release, split):
        """Who serves has everything; the other place has nothing that runs."""
        view = self.world.look(release, self.serves, Split("subset", self.labels) if self.subset else split)
        member = view.named("web")
        assert (member.blue.endpoints, member.blue.current, member.green.replicas) == (3, True, 0)
        return member


def a_world(*, selector=None, autoscaled=False):
    world = World()
    if autoscaled:
        world.autoscale(minimum=2)
    world.deploy(replicas=3)
    world.serve(selector=selector)
    return world.pass_time()


@pytest.mark.parametrize("slots", SLOTS.values(), ids=SLOTS)
class TestHostMode:
    def test_roles_swap_release_after_release(self, slots):
        cycle = Cycle(a_world(), slots)

        cycle.succeed()
        cycle.roll_back()
        cycle.succeed()
        cycle.succeed()
        assert cycle.roll_back().blue.image == "web:5"

    def test_the_autoscaler_follows_whoever_serves_with_its_owners_minimum(self, slots):
        cycle = Cycle(a_world(autoscaled=True), slots)

        for _ in range(3):
            member = cycle.succeed()
            assert (member.blue.hpa_min, member.blue.hpa != "") == (2, True)

    def test_the_way_home_ends_in_the_original_each_time(self, slots):
        cycle = Cycle(a_world(), slots, mode="home")

        cycle.succeed()
        cycle.roll_back()
        assert not cycle.succeed().green.found


class TestSubsetMode:
    def test_roles_swap_release_after_release(self):
        cycle = Cycle(a_world(selector={"app": "web"}), SLOTS["one namespace"], subset=True)

        cycle.succeed()
        cycle.roll_back()
        cycle.succeed()
        cycle.succeed()
        assert cycle.roll_back().blue.image == "web:5"
