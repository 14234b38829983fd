"""Bringing green up, keeping blue's capacity, and the ends."""

import pytest
from workload_world import TWO_PLACES, World, a_release, started

from controller.adapters import marks
from controller.adapters.workloads.places import Split
from controller.adapters.workloads.writes import follow_autoscaler, keep_capacity, make_green, restore_capacity, size_green, update_home
from controller.ports import CONFIG_MAP, DEPLOYMENT, HPA, NAMESPACE, SECRET, SERVICE, ConflictError, RefusedError, UnavailableError


class LosesAnswers:
    """Applies the first write and says that it timed out."""

    def __init__(self, kube):
        self.kube, self.lost = kube, False

    def __getattr__(self, name):
        return getattr(self.kube, name)

    def create(self, kind, namespace, body):
        made = self.kube.create(kind, namespace, body)
        if not self.lost:
            self.lost = True
            raise UnavailableError(0, "Timeout", "no answer")
        return made


class WritesBetween:
    """Another writer touches the workload between our read and our write."""

    def __init__(self, world):
        self.world, self.kube = world, world.kube

    def __getattr__(self, name):
        return getattr(self.kube, name)

    def patch(self, kind, namespace, name, body, how, **more):
        self.world.edit(kind, name, {"metadata": {"annotations": {"other": "wrote"}}}, namespace)
        return self.kube.patch(kind, namespace, name, body, how, **more)


class TakesTheName:
    """Somebody else creates the Service in the moment before we do."""

    def __init__(self, world):
        self.world, self.kube = world, world.kube

    def __getattr__(self, name):
        return getattr(self.kube, name)

    def create(self, kind, namespace, body):
        if kind is SERVICE:
            self.world.serve("web-green", selector={"app": "mine"})
        return self.kube.create(kind, namespace, body)


class TestMakeGreen:
    def test_a_clone_runs_at_blues_size_with_the_new_image(self):
        world = World().with_blue(replicas=3)
        world.do(make_green, a_release())

        green = world.pass_time().look(a_release()).named("web").green

        assert (green.image, green.available, green.endpoints, green.made, green.revision) == ("web:2", 3, 3, True, "r2")
        assert world.look(a_release()).green_made

    def test_every_object_made_is_returned_with_its_uid(self):
        touched = (world := World().with_blue()).do(make_green, a_release())

        assert [(entry.kind, entry.name, entry.made) for entry in touched] == [
            ("Service", "web-green", True),
            ("Deployment", "web-green", True),
        ]
        assert touched[1].uid == world.deployment()["metadata"]["uid"]

    def test_twice_equals_once(self):
        world = World().with_blue()
        world.do(make_green, a_release())
        writes = list(world.writes)
        again = world.pass_time().do(make_green, a_release())

        assert world.writes == writes
        assert len(again) == 2

    def test_a_lost_answer_is_found_again(self):
        world = World().with_blue()
        kube = LosesAnswers(world.kube)
        view = world.look(a_release())
        with pytest.raises(UnavailableError):
            make_green(kube, a_release(), view, 7)

        make_green(kube, a_release(), view, 7)

        assert world.replicas() == 2

    def test_services_and_config_maps_come_along_into_another_namespace(self):
        world = World().with_blue()
        world.user.create(CONFIG_MAP, "shop", {"metadata": {"name": "settings"}, "data": {"a": "1"}})
        plan = {
            "members": [{"name": "web", "workload": "web", "configMaps": ["settings"]}],
            "traffic": {"virtualService": "web"},
            "slots": TWO_PLACES,
        }
        world.do(make_green, a_release(plan=plan))

        assert world.find(CONFIG_MAP, "settings", "shop-green")["data"] == {"a": "1"}
        assert world.find(SERVICE, "web", "shop-green")["spec"]["ports"][0]["appProtocol"] == "http"
        assert world.pass_time().look(a_release(plan=plan)).named("web").green.endpoints == 2

    def test_named_secrets_come_along_where_the_optional_rights_are_given(self):
        world = World().with_blue()
        world.user.create(SECRET, "shop", {"metadata": {"name": "key"}, "type": "Opaque", "data": {"k": "dg=="}})
        plan = {
            "members": [{"name": "web", "workload": "web", "secrets": ["key"]}],
            "traffic": {"virtualService": "web"},
            "slots": TWO_PLACES,
        }
        world.do(make_green, a_release(plan=plan))

        assert world.find(SECRET, "key", "shop-green")["data"] == {"k": "dg=="}

    def test_what_others_put_into_greens_namespace_is_left_alone(self):
        world = World().with_blue()
        world.user.create(CONFIG_MAP, "shop", {"metadata": {"name": "settings"}, "data": {"a": "1"}})
        world.user.create(CONFIG_MAP, "shop-green", {"metadata": {"name": "settings"}, "data": {"a": "green"}})
        plan = {
            "members": [{"name": "web", "workload": "web", "configMaps": ["settings"]}],
            "traffic": {"virtualService": "web"},
            "slots": TWO_PLACES,
        }
        world.do(make_green, a_release(plan=plan))

        assert world.find(CONFIG_MAP, "settings", "shop-green")["data"] == {"a": "green"}

    def test_a_copy_of_an_earlier_release_is_brought_up_to_date(self):
        world = World().with_blue()
        world.user.create(CONFIG_MAP, "shop", {"metadata": {"name": "settings"}, "data": {"a": "1"}})
        plan = {
            "members": [{"name": "web", "workload": "web", "configMaps": ["settings"]}],
            "traffic": {"virtualService": "web"},
            "slots": TWO_PLACES,
        }
        world.do(make_green, a_release(plan=plan))
        world.edit(CONFIG_MAP, "settings", {"data": {"a": "2"}})
        world.edit(DEPLOYMENT, "web", {"spec": {"replicas": 0}}, "shop-green")
        world.pass_time().do(make_green, a_release(plan=plan, uid="uid-3", name="web-3", revision="r3"))

        assert world.find(CONFIG_MAP, "settings", "shop-green")["data"] == {"a": "2"}

    def test_in_subset_mode_no_service_is_made(self):
        world = World().with_blue()
        world.do(make_green, a_release(), split=Split("subset", {"version": "v1"}))

        assert world.find(SERVICE, "web-green") is None

    def test_a_foreign_workload_in_greens_place_is_refused_and_untouched(self):
        world = World().with_blue()
        before = world.deploy("web-green", labels={"app": "other"})

        with pytest.raises(RefusedError, match="is not of this release"):
            world.do(make_green, a_release())
        assert world.deployment()["spec"] == before["spec"]

    def test_a_namesake_of_a_deleted_release_is_not_taken_for_ours(self):
        world = World().with_blue()
        world.do(make_green, a_release(uid="uid-of-the-deleted-one"))

        with pytest.raises(RefusedError):
            world.pass_time().do(make_green, a_release())

    def test_a_name_that_somebody_takes_in_the_last_moment_is_refused(self):
        world = World().with_blue()

        with pytest.raises(RefusedError, match="exists and is not of this release"):
            make_green(TakesTheName(world), a_release(), world.look(a_release()), 7)
        assert world.find(SERVICE, "web-green")["spec"]["selector"] == {"app": "mine"}

    def test_an_object_of_a_higher_epoch_stops_the_deposed_leader(self):
        world = World().with_blue()
        world.do(make_green, a_release(), epoch=9)
        world.edit(DEPLOYMENT, "web-green", {"spec": {"replicas": 1}})

        with pytest.raises(marks.Deposed):
            world.do(make_green, a_release(), epoch=8)
        assert world.replicas() == 1

    def test_every_object_made_carries_the_epoch(self):
        world = World().with_blue()
        world.do(make_green, a_release(), epoch=9)

        assert [marks.epoch_of(obj) for obj in (world.deployment(), world.find(SERVICE, "web-green"))] == [9, 9]


class TestIdleVersion:
    def idle(self, replicas=0):
        world = World().with_blue()
        world.deploy(
            "web-green",
            replicas=replicas,
            image="web:0",
            selector={"app": "web", "slot": "b"},
            labels={"app": "web", "slot": "b", "old": "x"},
        )
        return world.pass_time()

    def test_the_old_version_that_idles_there_is_updated_and_scaled_up(self):
        world = self.idle()
        uid = world.deployment()["metadata"]["uid"]
        world.do(make_green, a_release())

        green = world.deployment()
        assert (green["metadata"]["uid"], green["spec"]["replicas"]) == (uid, 2)
        assert green["spec"]["template"]["spec"]["containers"][0]["image"] == "web:2"
        assert not marks.is_made(green)
        assert world.pass_time().look(a_release()).named("web").green.available == 2

    def test_one_that_somebody_paused_runs_the_new_version_all_the_same(self):
        world = self.idle()
        world.edit(DEPLOYMENT, "web-green", {"spec": {"paused": True}})
        world.do(make_green, a_release())

        assert "paused" not in world.deployment()["spec"]
        assert world.pass_time().look(a_release()).named("web").green.available == 2

    def test_one_whose_pods_are_still_ending_is_waited_for(self):
        world = self.idle(replicas=2)
        world.edit(DEPLOYMENT, "web-green", {"spec": {"replicas": 0}})

        with pytest.raises(ConflictError, match="still ending"):
            world.do(make_green, a_release())
        assert world.replicas() == 0

    def test_its_selector_goes_on_selecting_and_blues_labels_come_in(self):
        world = self.idle()
        world.do(make_green, a_release())

        labels = world.deployment()["spec"]["template"]["metadata"]["labels"]
        assert labels == {
            "app": "web",
            "slot": "b",
            "version": "r2",
            marks.REVISION_LABEL: "r2",
            marks.SLOT_LABEL: "away",
            marks.PLAN_LABEL: "web",
        }

    def test_another_writer_in_between_is_a_conflict_and_nothing_is_overwritten(self):
        world = self.idle()
        view = world.look(a_release())

        with pytest.raises(ConflictError):
            make_green(WritesBetween(world), a_release(), view, 7)
        assert world.replicas() == 0

    def test_roles_may_swap_twice(self):
        world = World().with_blue()
        world.do(make_green, a_release())
        world.edit(DEPLOYMENT, "web", {"spec": {"replicas": 0}})
        second = a_release(name="web-3", uid="uid-3", revision="r3", images={"web": "web:3"})
        world.pass_time().do(make_green, second, blue_slot=1)

        member = world.pass_time().look(second, blue_slot=1).named("web")

        assert (member.blue.image, member.blue.endpoints, member.green.image, member.green.endpoints) == ("web:2", 2, "web:3", 2)

    def test_its_autoscaler_cannot_shrink_it_below_blue(self):
        world = self.idle()
        world.autoscale("web-green", target="web-green", minimum=1)
        world.do(make_green, a_release())

        assert world.minimum("web-green") == 2


class TestAdoptAndReverse:
    def test_an_adopted_green_is_taken_and_sized_and_its_template_stays(self):
        world = World().with_blue(replicas=3)
        before = world.deploy("web-green", replicas=1, image="web:2", labels={"app": "web", "version": "v2"})
        release = a_release(images={}, preparation={"green": "adopt"})
        world.do(make_green, release)

        assert world.replicas() == 3
        assert world.deployment()["spec"]["template"] == before["spec"]["template"]
        assert world.look(release).green_made

    def test_an_adopted_green_keeps_its_own_size_where_the_plan_says_so(self):
        world = World().with_blue(replicas=3)
        world.deploy("web-green", replicas=1, labels={"app": "web", "version": "v2"})
        world.do(make_green, a_release(images={}, preparation={"green": "adopt", "size": "own"}))

        assert world.replicas() == 1

    def test_the_old_version_of_a_reverse_release_comes_back_as_it_was(self):
        world = World().with_blue(replicas=3)
        world.deploy("web-green", replicas=1, image="web:0", labels={"app": "web", "version": "v0"})
        release = a_release(images={}, kind="reverse")
        world.do(make_green, release)

        assert world.replicas() == 3
        assert world.deployment()["spec"]["template"]["spec"]["containers"][0]["image"] == "web:0"


class TestSize:
    def test_green_grows_with_blue(self):
        world = World().with_blue()
        world.do(make_green, a_release())
        world.edit(DEPLOYMENT, "web", {"spec": {"replicas": 5}})
        world.pass_time().do(size_green, a_release())

        assert world.replicas() == 5

    def test_a_scale_that_somebody_crosses_is_a_conflict(self):
        world = World().with_blue()
        world.do(make_green, a_release())
        world.edit(DEPLOYMENT, "web", {"spec": {"replicas": 5}})
        view = world.pass_time().look(a_release())

        with pytest.raises(ConflictError):
            size_green(WritesBetween(world), a_release(), view, 7)
        assert world.replicas() == 2

    def test_green_does_not_shrink_with_blue(self):
        world = World().with_blue(replicas=3)
        world.do(make_green, a_release())
        world.edit(DEPLOYMENT, "web", {"spec": {"replicas": 0}})
        world.pass_time().do(size_green, a_release())

        assert world.replicas() == 3

    def test_a_workload_that_was_made_again_since_it_was_seen_is_not_written(self):
        world = World().with_blue()
        world.do(make_green, a_release())
        view = world.pass_time().look(a_release())
        uid = world.deployment()["metadata"]["uid"]
        world.user.delete(DEPLOYMENT, "shop", "web-green", uid=uid)
        world.pass_time().deploy("web-green", replicas=1)

        with pytest.raises(ConflictError, match="made again"):
            size_green(world.kube, a_release(), view, 7)
        assert world.replicas() == 1


class TestCapacity:
    def kept(self, **limits):
        world = World()
        world.autoscale(**{"minimum": 1, **limits})
        world.with_blue(replicas=4)
        release = started(world, a_release())
        world.do(keep_capacity, release)
        return world, release

    def test_the_minimum_is_raised_to_blues_replicas(self):
        world, release = self.kept()

        assert world.minimum() == 4
        assert world.look(release).named("web").blue.hpa_min == 4

    def test_never_above_the_maximum(self):
        world, _ = self.kept(maximum=4)

        assert world.minimum() == 4

    def test_raising_again_changes_nothing(self):
        world, release = self.kept()
        writes = list(world.writes)
        world.do(keep_capacity, release)

        assert world.writes == writes

    def test_the_old_minimum_comes_back(self):
        world, release = self.kept(minimum=2)
        world.do(restore_capacity, release)

        assert world.minimum() == 2
        assert "penstock.dev/floor" not in world.user.get(HPA, "shop", "web")["metadata"]["annotations"]

    def test_it_comes_back_though_its_note_was_lost(self):
        world, release = self.kept(minimum=2)
        world.edit(HPA, "web", {"metadata": {"annotations": None}})
        world.do(restore_capacity, release)

        assert world.minimum() == 2

    def test_blue_that_somebody_shrank_gets_its_size_back(self):
        world = World().with_blue(replicas=4)
        release = started(world, a_release())
        world.edit(DEPLOYMENT, "web", {"spec": {"replicas": 1}})
        world.do(keep_capacity, release)

        assert world.replicas("web") == 4


class TestFollowAutoscaler:
    def test_the_new_serving_version_gets_blues_autoscaler_with_its_old_minimum(self):
        world = World()
        world.autoscale(minimum=1, maximum=8)
        world.with_blue(replicas=4)
        release = started(world, a_release())
        world.do(keep_capacity, release)
        world.do(make_green, release)
        world.do(follow_autoscaler, release)

        hpa = world.user.get(HPA, "shop", "web-green")
        assert hpa["spec"] == {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-green"}, "minReplicas": 1, "maxReplicas": 8,
        }  # fmt: skip
        assert marks.is_made(hpa, plan="web")

    def test_twice_equals_once_and_an_existing_one_is_kept(self):
        world = World()
        world.autoscale()
        world.with_blue().do(make_green, a_release())
        world.autoscale("own", target="web-green")
        world.do(follow_autoscaler, a_release())

        assert len(world.user.list(HPA, "shop").items) == 2

    def test_the_autoscaler_of_an_adopted_green_is_its_makers_affair(self):
        world = World()
        world.autoscale()
        world.with_blue().deploy("web-green", labels={"app": "web", "version": "v2"})
        world.do(follow_autoscaler, a_release(preparation={"green": "adopt"}))

        assert len(world.user.list(HPA, "shop").items) == 1


def home_plan(**member):
    return {"members": [{"name": "web", "workload": "web", **member}], "traffic": {"virtualService": "web"}, "finish": {"mode": "home"}}


class TestUpdateHome:
    def test_the_original_gets_the_image_in_place_and_keeps_all_else(self):
        world = World().with_blue(replicas=3)
        before = world.deployment("web")
        release = started(world, a_release(finish={"mode": "home"}))
        world.do(update_home, release)

        after = world.deployment("web")
        assert after["spec"]["template"]["spec"]["containers"] == [
            {**before["spec"]["template"]["spec"]["containers"][0], "image": "web:2"}
        ]
        assert after["spec"]["template"]["metadata"] == before["spec"]["template"]["metadata"]
        assert after["spec"]["replicas"] == 3
        assert world.look(release).named("web").blue.revision == "r2"

    def test_twice_equals_once(self):
        world = World().with_blue()
        release = started(world, a_release(finish={"mode": "home"}))
        world.do(update_home, release)
        writes = list(world.writes)
        world.pass_time().do(update_home, release)

        assert world.writes == writes

    def test_what_it_had_before_can_be_put_back(self):
        """An old image in the environment of the new one is a version that nobody has ever run."""
        world = World().with_blue(pod={"volumes": [{"name": "config", "configMap": {"name": "web-config"}}]})
        changes = {"environment": {"MODE": "new", "X": "1"}, "references": {"web-config": "web-config-2"}}
        release = started(world, a_release(plan=home_plan(**changes)))
        before = world.deployment("web")
        world.do(update_home, release)
        between = world.deployment("web")
        world.pass_time().do(update_home, release, images=release.status.images_before)
        after = world.deployment("web")

        assert between["spec"]["template"] != before["spec"]["template"]
        assert after["spec"]["template"] == before["spec"]["template"]
        assert "penstock.dev/before" not in after["metadata"]["annotations"]

    @pytest.mark.parametrize("later", [False, True])
    def test_so_can_what_moved_with_it(self, later):
        """By the release that did it, and by a later one that takes its success back."""
        world = World().with_blue(pod={"initContainers": [{"name": "migrate", "image": "web:1"}, {"name": "wait", "image": "wait:1"}]})
        release = started(world, a_release(plan=home_plan()))
        before = world.deployment("web")
        world.do(update_home, release)
        between = world.deployment("web")
        back = started(world, a_release(plan=home_plan(), uid="uid-3", name="web-3")) if later else release
        world.pass_time().do(update_home, back, images={"web": "web:1"})

        assert [one["image"] for one in between["spec"]["template"]["spec"]["initContainers"]] == ["web:2", "wait:1"]
        assert world.deployment("web")["spec"]["template"] == before["spec"]["template"]

    def test_another_environment_of_the_same_image_is_another_version(self):
        world = World().with_blue()
        release = started(world, a_release(plan=home_plan(environment={"MODE": "new"}), images={"web": "web:1"}))
        world.do(update_home, release)

        assert world.deployment("web")["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "MODE", "value": "new"}]
        assert world.look(release).named("web").blue.updated_by == release.uid


class TestNamespace:
    def test_it_is_made_only_where_that_is_allowed_with_blues_injection_and_security(self):
        world = World()
        world.edit(
            NAMESPACE,
            "shop",
            {"metadata": {"labels": {"istio-injection": "enabled", "pod-security.kubernetes.io/enforce": "restricted", "team": "x"}}},
            "",
        )
        world.with_blue()
        release = a_release(slots=[{"name": "home"}, {"name": "away", "namespace": "shop-new"}])
        world.do(make_green, release, may_make_namespaces=True)

        made = world.find(NAMESPACE, "shop-new", "")
        assert marks.is_made(made, plan="web")
        assert made["metadata"]["labels"]["istio-injection"] == "enabled"
        assert made["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        assert "team" not in made["metadata"]["labels"]
