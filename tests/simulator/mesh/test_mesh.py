"""The simulated control plane and proxies: what arrives when, and what requests get meanwhile."""

import subprocess
import sys
from pathlib import Path

import pytest
from istiod_cases import CASES, START, case_objects, fixed_objects, listener_port, slice_of
from mesh_bed import HOST, a_mesh, destination_rule, kind_of, kinds, mesh_slice, virtual_service

from controller.ports import DESTINATION_RULE, ENDPOINT_SLICE, POD, VIRTUAL_SERVICE
from controller.simulator.mesh.answers import Request
from controller.simulator.mesh.mesh import Delay, Part, UnsupportedKindError


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.get("requests")])
def test_requests_get_the_same_kinds_of_answers_as_recorded(name):
    case = CASES[name]
    mesh = a_mesh(*case_objects(case))

    for asked, recorded in zip(case["requests"], case["result"]["answers"], strict=True):
        ours = kinds(mesh, asked["proxy"], asked["host"], listener_port(asked.get("rds")), headers=asked.get("headers", {}))
        assert set(ours) == set(recorded)
        total = sum(recorded.values())
        assert all(abs(ours[kind] - n / total) < 0.17 for kind, n in recorded.items())


class TestDebounce:
    def test_a_weight_reaches_the_users_after_the_quiet_time_and_a_few_milliseconds(self):
        mesh = a_mesh(virtual_service(100, 0))
        mesh.apply(VIRTUAL_SERVICE, virtual_service(100, 0), virtual_service(90, 10), START + 1)

        mesh.advance(START + 1.0999)
        before = kinds(mesh)
        mesh.advance(START + 1.113)

        assert (before, kinds(mesh)) == ({"blue": 1.0}, {"blue": 0.9, "green": 0.1})

    @pytest.mark.parametrize(("every", "late"), [(0.05, 10.0), (0.2, 0.1)])
    def test_churn_faster_than_the_quiet_time_delays_a_push_up_to_ten_seconds(self, every, late):
        mesh = a_mesh(virtual_service(100, 0))
        seen = []
        mesh.on_proxy_update(lambda _, time: seen.append(time))
        mesh.apply(VIRTUAL_SERVICE, virtual_service(100, 0), virtual_service(90, 10), START)
        for step in range(1, 300):
            mesh.advance(START + step * every)
            mesh.disturb(START + step * every)

        assert late <= seen[0] - START <= late + 0.013

    def test_annotations_and_status_are_not_pushed(self):
        mesh = a_mesh(virtual_service(100, 0))
        mesh.apply(VIRTUAL_SERVICE, virtual_service(100, 0), {**virtual_service(100, 0, annotations={"a": "b"}), "status": {}}, START)

        assert mesh.next_event_time() is None

    def test_a_label_of_another_control_plane_makes_the_object_vanish(self):
        mesh = a_mesh(virtual_service(90, 10))
        mesh.apply(VIRTUAL_SERVICE, virtual_service(90, 10), virtual_service(90, 10, labels={"istio.io/rev": "canary"}), START)
        mesh.advance(START + 1)

        assert kinds(mesh) == {"blue": 0.5, "green": 0.25, "red": 0.25}

    def test_a_proxy_can_become_late_in_the_middle_of_a_scenario(self):
        mesh = a_mesh(virtual_service(100, 0))
        mesh.change_delays("app", Part.ROUTES, Delay(60, 60))
        mesh.apply(VIRTUAL_SERVICE, virtual_service(100, 0), virtual_service(0, 100), START)
        mesh.advance(START + 59)

        assert (kinds(mesh, "app"), kinds(mesh, "other")) == ({"blue": 1.0}, {"green": 1.0})

    def test_without_a_control_plane_the_old_split_goes_on_until_some_seconds_after_its_start(self):
        mesh = a_mesh(virtual_service(100, 0))
        mesh.stop_control_plane()
        mesh.apply(VIRTUAL_SERVICE, virtual_service(100, 0), virtual_service(0, 100), START)
        mesh.advance(START + 60)
        meanwhile = kinds(mesh)
        mesh.start_control_plane(START + 60)
        mesh.advance(START + 64)

        assert (meanwhile, kinds(mesh)) == ({"blue": 1.0}, {"green": 1.0})


class TestTheMomentOfAChange:
    def test_a_route_that_arrives_before_its_cluster_is_answered_with_503_no_cluster(self):
        before = destination_rule("v1")
        mesh = a_mesh(before, delays={"clusters": Delay(2, 2), "routes": Delay(1, 1), "endpoints": Delay(0, 0)})
        routed = virtual_service(90, 10)
        routed["spec"]["http"][0]["route"] = [
            {"destination": {"host": "shop", "subset": name}, "weight": w} for name, w in (("v1", 90), ("v2", 10))
        ]
        mesh.apply(DESTINATION_RULE, before, destination_rule("v1", "v2"), START)
        mesh.apply(VIRTUAL_SERVICE, None, routed, START)

        mesh.advance(START + 1.2)
        early = kinds(mesh)
        mesh.advance(START + 2.2)

        assert (early, kinds(mesh)) == ({"blue": 0.9, "503": 0.1}, {"blue": 0.9, "green": 0.1})

    def test_a_routed_colour_without_ready_endpoints_is_answered_with_503_unhealthy_for_its_share_only(self):
        mesh = a_mesh(virtual_service(90, 10))
        service = {"name": "shop-green", "namespace": "shop", "ports": [{"name": "http", "targetPort": 8080}]}
        mesh.apply(ENDPOINT_SLICE, mesh_slice(service), slice_of(service, []), START)
        mesh.advance(START + 1)

        assert kinds(mesh) == {"blue": 0.9, "503": 0.1}
        assert {outcome.flag for outcome in mesh.proxies["app"].answer(Request(HOST))} == {"-", "UH"}

    def test_a_deleted_virtual_service_leaves_all_pods_of_the_host_without_errors(self):
        mesh = a_mesh(virtual_service(90, 10))
        mesh.apply(VIRTUAL_SERVICE, virtual_service(90, 10), None, START)
        mesh.advance(START + 1)

        assert kinds(mesh) == {"blue": 0.5, "green": 0.25, "red": 0.25}

    def test_the_applied_routes_tell_weight_knowledge_and_ready_endpoints(self):
        mesh = a_mesh(virtual_service(90, 10))

        [(_, states)] = mesh.proxies["app"].routes(HOST)

        assert [(s.cluster.short(), s.weight, s.known, len(s.ready)) for s in states] == [
            ("shop-blue.shop:80", 90, True, 2),
            ("shop-green.shop:80", 10, True, 1),
        ]

    def test_a_pod_that_changes_its_labels_moves_between_subsets(self):
        mesh = a_mesh(destination_rule("v1", "v2"))
        pod = next(obj for obj in fixed_objects() if obj["kind"] == "Pod" and obj["metadata"]["name"] == "red-1")
        relabelled = {**pod, "metadata": {**pod["metadata"], "labels": {"app": "shop", "version": "v2"}}}
        routed = virtual_service(0, 100)
        routed["spec"]["http"][0]["route"] = [{"destination": {"host": "shop", "subset": "v2"}}]
        mesh.apply(VIRTUAL_SERVICE, None, routed, START)
        mesh.apply(POD, pod, relabelled, START)
        mesh.advance(START + 1)

        assert {outcome.pod.name for outcome in mesh.proxies["app"].answer(Request(HOST))} == {"green-1", "red-1"}


@pytest.mark.parametrize(
    ("obj", "sentence"),
    [
        ({"kind": "EnvoyFilter"}, "EnvoyFilter"),
        ({"kind": "VirtualService", "spec": {"tls": [{}]}}, "VirtualService with tls routes"),
        ({"kind": "ServiceEntry", "spec": {"resolution": "DNS"}}, "ServiceEntry with resolution DNS"),
        ({"kind": "Sidecar", "spec": {"egress": [{"port": {"number": 1}, "hosts": []}]}}, "Sidecar with egress listeners"),
    ],
)
def test_what_the_mesh_does_not_do_is_refused_by_name_and_reason(obj, sentence):
    mesh = a_mesh()

    with pytest.raises(UnsupportedKindError, match=f"does not support {sentence}.*: "):
        mesh.apply(kind_of(obj), None, {"metadata": {"name": "x", "namespace": "shop"}, **obj}, START)


TRACE = """
import sys
sys.path[:0] = sys.argv[1:]
import mesh_bed as bed
from controller.ports import DESTINATION_RULE, VIRTUAL_SERVICE
from controller.simulator.mesh.mesh import Delay
delays = dict.fromkeys(("clusters", "routes", "endpoints"), Delay(0, 120))
mesh = bed.a_mesh(bed.virtual_service(100, 0), delays=delays, seed=7)
mesh.on_proxy_update(lambda state, time: print(state.proxy.name, repr(time), bed.kinds(mesh, state.proxy.name)))
mesh.apply(VIRTUAL_SERVICE, bed.virtual_service(100, 0), bed.virtual_service(90, 10), bed.START)
mesh.apply(DESTINATION_RULE, None, bed.destination_rule("v1"), bed.START)
mesh.advance(bed.START + 500)
"""


def test_the_same_seed_gives_the_same_trace_in_every_process():
    here = Path(__file__).parent
    paths = [str(here), str(here.parents[1] / "adapters"), str(here.parents[2])]
    command = [sys.executable, "-c", TRACE, *paths]
    first, second = (
        subprocess.run(command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout for seed in ("1", "2")
    )

    assert first == second
    assert len(first.splitlines()) == 9
