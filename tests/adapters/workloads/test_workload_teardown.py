"""Taking versions down: only what was recorded, and what others made is scaled and not deleted."""

import pytest
from workload_world import TWO_PLACES, World, a_release, started

from controller.adapters import marks
from controller.adapters.workloads.teardown import remove_clone, remove_green, retire_old, shrink_old
from controller.adapters.workloads.writes import follow_autoscaler, keep_capacity, make_green, restore_capacity, size_green
from controller.api.release import ManagedObject, Phase
from controller.ports import CONFIG_MAP, DEPLOYMENT, HPA, NAMESPACE, SERVICE, RefusedError


def rolled_back(release=None, world=None, **more):
    """A world with a green that was made and recorded."""
    world = world or World().with_blue()
    release = release or a_release()
    world.do(make_green, release, **more)
    return world.pass_time(), started(world, release)


class TestRemoveGreen:
    def test_what_was_made_is_deleted_and_blue_stays(self):
        world, release = rolled_back()
        world.do(remove_green, release)

        view = world.pass_time().look(release)
        assert (world.deployment(), world.find(SERVICE, "web-green"), view.green_gone) == (None, None, True)
        assert view.named("web").blue.endpoints == 2

    def test_copies_go_and_the_originals_stay(self):
        world = World().with_blue()
        world.user.create(CONFIG_MAP, "shop", {"metadata": {"name": "settings"}, "data": {"a": "1"}})
        plan = {
            "members": [{"name": "web", "workload": "web", "configMaps": ["settings"]}],
            "traffic": {"virtualService": "web"},
            "slots": TWO_PLACES,
        }
        world, release = rolled_back(a_release(plan=plan), world)
        world.do(remove_green, release)

        assert world.find(CONFIG_MAP, "settings", "shop-green") is None
        assert world.find(CONFIG_MAP, "settings") is not None
        assert world.find(NAMESPACE, "shop-green", "") is not None

    def test_what_was_brought_back_from_idle_is_scaled_to_zero_again(self):
        world = World().with_blue()
        world.deploy("web-green", replicas=0, labels={"app": "web", "slot": "b"})
        world, release = rolled_back(world=world.pass_time())
        world.do(remove_green, release)

        assert (world.replicas(), world.find(SERVICE, "web-green")) == (0, None)
        assert world.pass_time().look(release).green_gone

    def test_a_service_that_was_there_before_outlives_the_rollback_of_an_idle_version(self):
        world = World().with_blue()
        world.deploy("web-green", replicas=0, labels={"app": "web", "slot": "b"})
        world.serve("web-green", selector={"app": "web", "slot": "b"})
        world, release = rolled_back(world=world.pass_time())
        world.do(remove_green, release)

        assert world.find(SERVICE, "web-green") is not None
        assert world.pass_time().look(release).green_gone

    def test_a_service_of_others_stays_even_where_it_was_recorded(self):
        world = World().with_blue()
        theirs = world.serve("web-green", selector={"app": "web", "slot": "b"})
        world, release = rolled_back(world=world)
        entry = ManagedObject(kind="Service", namespace="shop", name="web-green", uid=theirs["metadata"]["uid"])
        release.status.objects.append(entry)
        world.do(remove_green, release)

        assert world.deployment() is None
        assert world.find(SERVICE, "web-green") is not None

    def test_the_minimum_of_greens_autoscaler_returns_though_it_was_raised_twice(self):
        world = World().with_blue()
        world.autoscale("web-green", target="web-green", minimum=1)
        world.deploy("web-green", replicas=0, labels={"app": "web", "slot": "b"})
        world, release = rolled_back(world=world.pass_time())
        world.edit(DEPLOYMENT, "web", {"spec": {"replicas": 5}})
        world.pass_time().do(size_green, release)
        assert world.minimum("web-green") == 5

        world.do(remove_green, release)

        assert world.minimum("web-green") == 1

    def test_an_adopted_green_is_scaled_to_zero(self):
        world = World().with_blue()
        world.deploy("web-green", labels={"app": "web", "version": "v2"})
        world, release = rolled_back(a_release(images={}, preparation={"green": "adopt"}), world)
        world.do(remove_green, release)

        assert world.replicas() == 0

    def test_twice_equals_once(self):
        world, release = rolled_back()
        world.do(remove_green, release)
        writes = list(world.pass_time().writes)
        world.do(remove_green, release)

        assert world.writes == writes

    def test_a_namesake_that_somebody_made_meanwhile_is_left_alone(self):
        world, release = rolled_back()
        world.user.delete(DEPLOYMENT, "shop", "web-green", uid=world.deployment()["metadata"]["uid"])
        world.pass_time().deploy("web-green", labels={"app": "mine"})

        with pytest.raises(RefusedError, match="left alone"):
            world.do(remove_green, release)
        assert world.replicas() == 2

    def test_what_was_made_but_not_recorded_before_a_crash_goes_too(self):
        world = World().with_blue()
        release = started(world, a_release())
        world.do(make_green, release)
        world.do(remove_green, release)

        assert world.deployment() is None

    def test_a_deposed_leader_takes_nothing_down(self):
        world, release = rolled_back(epoch=9)

        with pytest.raises(marks.Deposed):
            world.do(remove_green, release, epoch=8)
        assert world.replicas() == 2

    def test_the_clone_goes_after_the_return_home(self):
        world, release = rolled_back(a_release(finish={"mode": "home"}))
        world.do(remove_clone, release)

        assert world.deployment() is None

    def test_a_release_that_made_only_a_service_is_not_gone_before_it_is_removed(self):
        world = World().with_blue()
        release = started(world, a_release())
        world.do(make_green, release)
        world.user.delete(DEPLOYMENT, "shop", "web-green", uid=world.deployment()["metadata"]["uid"])
        assert not world.pass_time().look(release).green_gone

        world.do(remove_green, release)

        assert world.look(release).green_gone


class TestNamespaces:
    def made(self):
        world = World().with_blue()
        release = a_release(slots=[{"name": "home"}, {"name": "away", "namespace": "shop-new"}])
        return rolled_back(release, world, may_make_namespaces=True)

    def test_one_that_this_release_made_goes_when_nothing_foreign_lives_in_it(self):
        world, release = self.made()
        world.do(remove_green, release)

        assert world.pass_time().find(NAMESPACE, "shop-new", "") is None

    def test_one_with_a_foreign_object_is_only_emptied(self):
        world, release = self.made()
        world.user.create(CONFIG_MAP, "shop-new", {"metadata": {"name": "mine"}})
        world.do(remove_green, release)

        assert world.pass_time().find(NAMESPACE, "shop-new", "") is not None
        assert world.deployment("web", "shop-new") is None

    def test_one_that_an_earlier_release_made_is_only_emptied(self):
        world, release = self.made()
        world.edit(NAMESPACE, "shop-new", {"metadata": {"annotations": {marks.OWNER: "earlier"}}}, "")
        world.do(remove_green, release)

        assert world.pass_time().find(NAMESPACE, "shop-new", "") is not None


class TestRetention:
    def succeeded(self, *, minimum=None, replicas=4, **sections):
        world = World()
        if minimum is not None:
            world.autoscale(minimum=minimum)
        world.with_blue(replicas=replicas)
        release = started(world, a_release(**sections))
        world.do(keep_capacity, release)
        world.do(make_green, release)
        world.pass_time().do(restore_capacity, release)
        return world, started(world.pass_time(), a_release(**sections), phase=Phase.SUCCEEDED)

    def test_the_old_version_is_kept_small(self):
        world, release = self.succeeded()
        world.do(shrink_old, release, replicas=1)

        assert (world.replicas("web"), world.replicas()) == (1, 4)

    def test_it_never_grows_by_that(self):
        world, release = self.succeeded(replicas=2)
        world.do(shrink_old, release, replicas=3)

        assert world.replicas("web") == 2

    def test_its_autoscaler_does_not_fight_and_gives_nothing_back_in_the_cores_eyes(self):
        world, release = self.succeeded(minimum=2)
        world.do(shrink_old, release, replicas=1)

        assert (world.pass_time().replicas("web"), world.minimum()) == (1, 1)
        assert world.look(release).named("web").blue.hpa_min == 2

    def test_the_serving_version_has_an_autoscaler_before_the_old_one_shrinks(self):
        world, release = self.succeeded(minimum=2)
        world.do(shrink_old, release, replicas=1)

        assert world.user.get(HPA, "shop", "web-green")["spec"]["minReplicas"] == 2

    def test_giving_capacity_back_does_not_undo_the_retention(self):
        world, release = self.succeeded()
        world.do(shrink_old, release, replicas=1)
        world.do(restore_capacity, release)

        assert world.replicas("web") == 1

    def test_a_full_size_comes_back_when_the_old_version_serves_again(self):
        world, release = self.succeeded()
        world.do(shrink_old, release, replicas=1)
        world.do(restore_capacity, started(world, a_release()))

        assert world.replicas("web") == 4

    def test_an_old_version_that_others_made_is_scaled_to_zero_and_its_minimum_restored(self):
        world, release = self.succeeded(minimum=2)
        world.do(shrink_old, release, replicas=1)
        world.do(retire_old, release)

        assert (world.pass_time().replicas("web"), world.minimum()) == (0, 2)
        assert world.find(SERVICE, "web") is not None

    def test_an_old_version_that_penstock_made_is_deleted_with_all_that_was_made_for_it(self):
        world, _ = self.succeeded(minimum=2)
        world.do(follow_autoscaler, a_release())
        world.edit(DEPLOYMENT, "web", {"spec": {"replicas": 0}})
        second = a_release(name="web-3", uid="uid-3", revision="r3", images={"web": "web:3"})
        world.pass_time().do(make_green, second, blue_slot=1)
        world.pass_time().do(retire_old, started(world, second, blue_slot=1, phase=Phase.SUCCEEDED), blue_slot=1)

        assert (world.deployment(), world.find(SERVICE, "web-green"), world.find(HPA, "web-green")) == (None, None, None)
        assert world.pass_time().look(second, blue_slot=1).named("web").green.endpoints == 4

    @pytest.mark.parametrize(("then", "left"), [("delete", None), ("scale", 0), ("keep", 4), ("auto", 0)])
    def test_the_plan_says_what_becomes_of_it(self, then, left):
        world, release = self.succeeded(finish={"then": then})
        world.do(retire_old, release)

        assert world.replicas("web") == left

    def test_a_service_that_others_made_outlives_a_deleted_workload(self):
        world, release = self.succeeded(finish={"then": "delete"})
        world.do(retire_old, release)

        assert world.find(SERVICE, "web") is not None

    def test_a_newer_release_that_took_the_place_is_not_taken_down(self):
        world, release = self.succeeded()
        world.do(retire_old, release)
        newer = a_release(name="web-3", uid="uid-3", revision="r3", images={"web": "web:3"})
        world.pass_time().do(make_green, newer, blue_slot=1)

        world.pass_time().do(retire_old, release)

        assert world.replicas("web") == 4

    def test_an_old_version_that_was_made_again_by_hand_is_left_alone(self):
        world, release = self.succeeded()
        world.user.delete(DEPLOYMENT, "shop", "web", uid=world.deployment("web")["metadata"]["uid"])
        world.pass_time().deploy(replicas=3)

        with pytest.raises(RefusedError, match="left alone"):
            world.do(retire_old, release)
        assert world.replicas("web") == 3
