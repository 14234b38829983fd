"""What one look at the members tells."""

from workload_world import World, a_release

from controller.adapters.workloads.overlap import slot_of_subset
from controller.adapters.workloads.places import Split
from controller.adapters.workloads.view import STEADY, Look, MembersView, count_ready, observe_members
from controller.adapters.workloads.writes import make_green
from controller.core import reasons
from controller.ports import DEPLOYMENT, POD
from controller.simulator.workloads.behaviour import PodBehaviour


class CountingKube:
    """Counts the reads that go through it."""

    def __init__(self, kube):
        self.kube, self.reads = kube, []

    def get(self, kind, namespace, name):
        self.reads.append(("get", kind.kind))
        return self.kube.get(kind, namespace, name)

    def list(self, kind, namespace="", *, labels=""):
        self.reads.append(("list", kind.kind))
        return self.kube.list(kind, namespace, labels=labels)


class TestAWorkload:
    def test_a_running_blue_is_seen_with_its_size_image_and_endpoints(self):
        view = World().with_blue().look(a_release()).named("web").blue

        assert (view.found, view.replicas, view.ready, view.available, view.current) == (True, 2, 2, 2, True)
        assert (view.endpoints, view.image, view.made, view.revision, view.stuck) == (2, "web:1", False, "", "")

    def test_a_missing_green_is_not_found_and_gone(self):
        view = World().with_blue().look(a_release())

        assert not view.named("web").green.found
        assert view.green_gone
        assert not view.green_made

    def test_ready_pods_of_an_older_generation_do_not_count(self):
        world = World().with_blue()
        world.edit(DEPLOYMENT, "web", {"spec": {"template": {"metadata": {"annotations": {"touched": "yes"}}}}})

        blue = world.look(a_release()).named("web").blue

        assert (blue.current, blue.ready) == (False, 0)

    def test_nobody_knows_the_colours_where_no_slot_serves(self):
        assert World().with_blue().look(a_release(), blue_slot=-1) == MembersView()

    def test_a_steady_look_costs_one_deployment_a_colour(self):
        world = World().with_blue()
        world.do(make_green, a_release())
        counting = CountingKube(world.pass_time().kube)

        observe_members(counting, a_release(), 0, Split(), STEADY)

        assert counting.reads == [("get", "Deployment")] * 2

    def test_a_worker_without_a_service_counts_its_ready_pods(self):
        world = World()
        world.deploy()

        assert world.pass_time().look(a_release()).named("web").blue.endpoints == 2

    def test_an_autoscaler_is_seen_with_its_limits(self):
        world = World()
        world.autoscale(minimum=2, maximum=9)
        blue = world.with_blue().look(a_release()).named("web").blue

        assert (blue.hpa, blue.hpa_min, blue.hpa_max) == ("web", 2, 9)


class TestStuckPods:
    def test_a_missing_image_is_named_in_kubernetes_words(self):
        world = World(behaviours=(PodBehaviour(image="web:2", image_missing=True),)).with_blue()
        world.do(make_green, a_release())

        assert world.pass_time().look(a_release()).named("web").green.stuck == "ImagePullBackOff"

    def test_a_crash_loop_is_counted_and_named(self):
        world = World(behaviours=(PodBehaviour(image="web:2", crash_after_seconds=1.0),)).with_blue()
        world.do(make_green, a_release())

        green = world.pass_time(9.0).look(a_release()).named("web").green

        assert green.restarts >= 1
        assert green.stuck == "CrashLoopBackOff"

    def test_a_quota_is_named_though_no_pod_exists(self):
        world = World(quotas={"shop": 2}).with_blue()
        world.do(make_green, a_release())

        assert "quota" in world.pass_time().look(a_release()).named("web").green.stuck

    def test_pods_are_not_read_unless_asked(self):
        world = World(behaviours=(PodBehaviour(image="web:2", image_missing=True),)).with_blue()
        world.do(make_green, a_release())

        assert world.pass_time().look(a_release(), look=Look()).named("web").green.stuck == ""

    def test_blues_restarts_are_not_those_of_greens_pods_that_its_selector_also_selects(self):
        world = World(behaviours=(PodBehaviour(image="web:2", crash_after_seconds=1.0),))
        world.deploy(selector={"app": "web"})
        world.serve()
        world.pass_time().do(make_green, a_release())

        assert world.pass_time(9.0).look(a_release()).named("web").blue.restarts == 0


class TestEndpoints:
    def test_a_pod_of_two_address_families_counts_once(self):
        pod = {"targetRef": {"name": "a"}, "conditions": {"ready": True}}
        slices = [
            {"addressType": "IPv4", "endpoints": [{**pod, "addresses": ["10.0.0.1"]}]},
            {"addressType": "IPv6", "endpoints": [{**pod, "addresses": ["fd00::1"]}]},
        ]

        assert count_ready(slices) == 1

    def test_terminating_and_unready_endpoints_do_not_count_and_unknown_ones_do(self):
        endpoints = [
            {"addresses": ["1"], "conditions": {"ready": True, "terminating": True}},
            {"addresses": ["2"], "conditions": {"ready": False}},
            {"addresses": ["3"], "conditions": {}},
        ]

        assert count_ready([{"endpoints": endpoints}]) == 1

    def test_in_subset_mode_only_the_pods_of_the_subset_count(self):
        world = World()
        world.deploy()
        world.serve(selector={"app": "web"})
        split = Split("subset", {"version": "v1"}, {"penstock.dev/revision": "r2"})
        world.pass_time().do(make_green, a_release(), split=split)

        member = world.pass_time().look(a_release(), split=split).named("web")

        assert (member.blue.endpoints, member.green.endpoints) == (2, 2)
        assert len(world.user.list(POD, "shop").items) == 4

    def test_a_subset_that_does_not_select_the_workload_has_no_endpoints(self):
        world = World().with_blue()

        assert world.look(a_release(), split=Split("subset", {"version": "v9"})).named("web").blue.endpoints == 0


class TestSlotOfSubset:
    def test_the_slot_whose_pods_the_subset_selects_serves(self):
        world = World().with_blue()

        assert slot_of_subset(world.kube, a_release(), {"version": "v1"}) == (0, ())

    def test_an_idle_version_with_the_same_labels_does_not_serve(self):
        world = World().with_blue()
        world.deploy("web-green", replicas=0)

        assert slot_of_subset(world.kube, a_release(), {"version": "v1"})[0] == 0

    def test_two_running_versions_with_the_same_labels_cannot_be_told_apart(self):
        world = World().with_blue()
        world.deploy("web-green")

        slot, problems = slot_of_subset(world.kube, a_release(), {"version": "v1"})

        assert slot == -1
        assert [problem.reason for problem in problems] == [reasons.BLUE_UNKNOWN]
