"""The bed itself: it comes up, pods become ready, counters follow the weights, users are kept apart, nothing stays behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.bed.api import JSON_PATCH, ApiError
from tests.bed.cluster import Bed
from tests.bed.exporter import Workload
from tests.bed.nodes import Behaviour
from tests.bed.prometheus import Scrape
from tests.bed.traffic import Flow, full_host
from tests.bed.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
# Starts everything, tells its process ids, and waits to be killed.
VICTIM = """
import sys, json, time
from tests.bed.cluster import Bed
from tests.bed.prometheus import Prometheus
with Bed() as bed, Prometheus() as prometheus:
    programs = [bed.etcd, bed.apiserver, bed.controller_manager, prometheus.program]
    print(json.dumps([program.pid for program in programs]), flush=True)
    sys.stdin.read()
"""


def deployment(name, version, replicas=2, image="shop:1"):
    labels = {"app": "shop", "version": version}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": image}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def service(name, selector):
    spec = {"selector": selector, "ports": [{"name": "http", "port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def virtual_service(name, destinations):
    spec = {"hosts": [name], "http": [{"route": destinations}]}
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": name}, "spec": spec}


def two_colours_by_host(bed, namespace):
    destinations = [{"destination": {"host": "blue"}, "weight": 90}, {"destination": {"host": "green"}, "weight": 10}]
    objects = [
        *(deployment(f"shop-{colour}", colour) for colour in ("blue", "green")),
        *(service(colour, {"version": colour}) for colour in ("blue", "green")),
        virtual_service("shop", destinations),
    ]
    bed.admin.apply(objects, namespace)


def ready_replicas(bed, namespace, name):
    status = bed.admin.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")["status"]
    return status.get("readyReplicas", 0)


def ready_endpoints(bed, namespace):
    slices = bed.admin.get(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")["items"]
    return sum(endpoint["conditions"]["ready"] for item in slices for endpoint in item["endpoints"] or [])


def patch_weights(bed, namespace, blue, green):
    changes = [{"op": "replace", "path": f"/spec/http/0/route/{index}/weight", "value": value} for index, value in enumerate((blue, green))]
    bed.admin.patch(f"/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices/shop", changes, JSON_PATCH)


def alive(pid):
    """Whether it still runs: where process 1 collects nobody, as in some containers, one that has ended stays in the table."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class TestControlPlane:
    def test_the_server_is_the_pinned_version_and_knows_istios_kinds(self, bed):
        assert bed.admin.get("/version")["gitVersion"] == "v1.36.3"
        kinds = {item["kind"] for item in bed.admin.get("/apis/networking.istio.io/v1")["resources"]}
        assert {"VirtualService", "DestinationRule", "Gateway"} <= kinds

    def test_kubectl_reads_through_a_written_kubeconfig(self, bed, namespace):
        command = [bed.binaries.kubectl, "--kubeconfig", bed.kubeconfig("admin", namespace), "get", "ns", namespace, "-o", "name"]

        done = subprocess.run(command, capture_output=True, text=True, check=True)

        assert done.stdout.strip() == f"namespace/{namespace}"

    def test_an_object_goes_with_its_owner_of_a_custom_kind(self, bed, namespace):
        """The garbage collector is the real one and knows the CRDs from its start: what a Release may own is checked against it."""
        owner = bed.admin.apply([virtual_service("owner", [{"destination": {"host": "blue"}}])], namespace)[0]
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": "owner", "uid": owner["metadata"]["uid"]}
        meta = {"name": "owned", "ownerReferences": [reference]}
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        bed.admin.create(path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})

        bed.admin.delete(bed.admin.path_of(owner["apiVersion"], owner["kind"], namespace, "owner"))

        eventually(lambda: bed.admin.find(f"{path}/owned") is None, what="the dependent's deletion")

    def test_a_killed_api_server_comes_back_with_its_objects(self, bed, namespace):
        bed.apiserver.kill()
        bed.start_apiserver()

        assert bed.admin.get(f"/api/v1/namespaces/{namespace}")["metadata"]["name"] == namespace


class TestUsers:
    def test_a_role_lets_one_user_in_and_not_the_other(self, bed, namespace):
        group = "rbac.authorization.k8s.io"
        role = {"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]}
        subject = {"kind": "User", "name": "alice", "apiGroup": group}
        reference = {"kind": "Role", "name": "reader", "apiGroup": group}
        bed.admin.apply(
            [
                {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": "reader"}, **role},
                {
                    "apiVersion": f"{group}/v1",
                    "kind": "RoleBinding",
                    "metadata": {"name": "reader"},
                    "subjects": [subject],
                    "roleRef": reference,
                },
            ],
            namespace,
        )
        path = f"/api/v1/namespaces/{namespace}/configmaps"

        eventually(lambda: bed.api("alice").request("GET", path).status_code == 200, what="alice's right")
        assert bed.api("bob").request("GET", path).status_code == 403
        assert bed.api_with_token("nonsense").request("GET", path).status_code == 401

    def test_the_token_user_and_the_service_account_are_one_name(self, bed, namespace):
        """A Role bound to the controller's service account must count for the token that its process gets."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        signed = bed.api_with_token(bed.service_account(namespace, "worker"))

        by_file = bed.api("penstock").create(path, review)["status"]["userInfo"]
        by_signature = signed.create(path, review)["status"]["userInfo"]

        assert by_file["username"] == "system:serviceaccount:penstock-system:penstock"
        assert "system:serviceaccounts:penstock-system" in by_file["groups"]
        assert by_signature["username"] == f"system:serviceaccount:{namespace}:worker"
        assert f"system:serviceaccounts:{namespace}" in by_signature["groups"]


@pytest.mark.usefixtures("nodes")
class TestReadiness:
    def test_a_deployments_pods_become_ready_endpoints(self, bed, namespace):
        bed.admin.apply([deployment("shop", "blue", replicas=3), service("shop", {"app": "shop"})], namespace)

        eventually(lambda: ready_replicas(bed, namespace, "shop") == 3, what="three ready replicas")
        eventually(lambda: ready_endpoints(bed, namespace) == 3, what="three ready endpoints")

    def test_a_rule_takes_ready_pods_out_and_puts_them_back(self, bed, nodes, namespace):
        bed.admin.apply([deployment("shop", "blue")], namespace)
        eventually(lambda: ready_replicas(bed, namespace, "shop") == 2)

        nodes.set(Behaviour(never_ready=True), namespace, {"version": "blue"})
        eventually(lambda: ready_replicas(bed, namespace, "shop") == 0, what="no ready replica")
        nodes.set(Behaviour(), namespace, {"version": "blue"})

        eventually(lambda: ready_replicas(bed, namespace, "shop") == 2, what="both replicas back")

    def test_an_autoscalers_minimum_is_kept_without_any_metrics(self, bed, namespace):
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
        spec = {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 5}
        scaler = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "shop"}, "spec": spec}
        bed.admin.apply([deployment("shop", "blue", 1), scaler], namespace)

        eventually(lambda: ready_replicas(bed, namespace, "shop") == 3, what="the autoscaler's minimum")

    def test_readiness_goes_on_after_a_restart_of_the_api_server(self, bed, namespace):
        bed.apiserver.kill()
        bed.start_apiserver()
        bed.admin.apply([deployment("shop", "blue")], namespace)

        eventually(lambda: ready_replicas(bed, namespace, "shop") == 2, what="both replicas")

    def test_a_missing_image_and_a_crash_loop_look_as_a_kubelet_shows_them(self, bed, nodes, namespace):
        nodes.set(Behaviour(image_missing=True), namespace, image="nowhere")
        nodes.set(Behaviour(crash_after_seconds=0.1, crash_pause_seconds=30), namespace, {"version": "crashing"})
        objects = [deployment("missing", "blue", 1, "nowhere:1"), deployment("crashing", "crashing", 1)]
        bed.admin.apply(objects, namespace)

        def waiting_reasons():
            pods = bed.admin.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
            containers = [container for pod in pods for container in pod["status"].get("containerStatuses", [])]
            return {(item["state"].get("waiting", {}).get("reason"), item["restartCount"]) for item in containers}

        wanted = {("ImagePullBackOff", 0), ("CrashLoopBackOff", 1)}
        eventually(lambda: waiting_reasons() == wanted, what="both reasons")

    def test_a_scaled_down_deployment_loses_its_pods(self, bed, namespace):
        bed.admin.apply([deployment("shop", "blue")], namespace)
        eventually(lambda: ready_replicas(bed, namespace, "shop") == 2)

        bed.admin.patch(f"/apis/apps/v1/namespaces/{namespace}/deployments/shop", {"spec": {"replicas": 0}})

        eventually(lambda: not bed.admin.get(f"/api/v1/namespaces/{namespace}/pods")["items"], what="no pods")


@pytest.mark.usefixtures("nodes")
class TestExporter:
    def test_counters_of_a_real_prometheus_follow_a_patch_of_weights(self, bed, namespace, exporter, prometheus_server):
        two_colours_by_host(bed, namespace)
        prometheus_server.scrape([Scrape("mesh", exporter.address)])
        exporter.set(namespace, "shop-green", Workload(error_rate=0.2))
        exporter.flow("users", Flow(full_host("shop", namespace), per_second=500))
        where = f'destination_workload_namespace="{namespace}",reporter="source"'
        rate = f"sum(rate(istio_requests_total{{{where}}}[4s]))"
        green = f'sum(rate(istio_requests_total{{{where},destination_workload="shop-green"}}[4s]))'
        errors = f'sum(rate(istio_requests_total{{{where},response_code="500"}}[4s]))'

        def ratio(part, whole):
            value = prometheus_server.value(f"{part} / {whole}")
            return -1.0 if value is None else value

        eventually(lambda: ratio(green, rate) == pytest.approx(0.10, abs=0.005), what="a tenth on green")
        eventually(lambda: ratio(errors, green) == pytest.approx(0.2, abs=0.05), what="a fifth of it failing")
        patch_weights(bed, namespace, 50, 50)
        eventually(lambda: ratio(green, rate) == pytest.approx(0.50, abs=0.005), what="half on green")
        patch_weights(bed, namespace, 100, 0)
        eventually(lambda: ratio(green, rate) == 0.0, what="nothing on green")
        assert exporter.problems == []

    def test_a_split_by_subsets_is_resolved_through_labels(self, bed, namespace, exporter):
        subsets = [{"name": colour, "labels": {"version": colour}} for colour in ("blue", "green")]
        rule = {"host": "shop", "subsets": subsets}
        meta = {"name": "shop"}
        route = [{"destination": {"host": "shop", "subset": colour}, "weight": share} for colour, share in (("blue", 75), ("green", 25))]
        objects = [
            *(deployment(f"shop-{colour}", colour) for colour in ("blue", "green")),
            service("shop", {"app": "shop"}),
            {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": meta, "spec": rule},
            virtual_service("shop", route),
        ]
        bed.admin.apply(objects, namespace)
        exporter.flow("users", Flow(full_host("shop", namespace), per_second=1000))

        eventually(lambda: exporter.shares("users") == {"shop-blue": 0.75, "shop-green": 0.25}, what="a quarter on green")

    def test_a_green_that_turns_bad_at_a_weight_fails_nothing_before_it_has_that(self, bed, namespace, exporter):
        two_colours_by_host(bed, namespace)
        exporter.set(namespace, "shop-green", Workload(error_rate=0.5, fails_from=0.25))
        exporter.flow("users", Flow(full_host("shop", namespace), per_second=1000))
        green = {"destination_workload": "shop-green", "destination_workload_namespace": namespace, "reporter": "source"}
        eventually(lambda: exporter.value("istio_requests_total", **green) > 100, what="a hundred requests of green")
        before = exporter.value("istio_requests_total", response_code="500", **green)

        patch_weights(bed, namespace, 75, 25)

        eventually(lambda: exporter.value("istio_requests_total", response_code="500", **green) > 10, what="failures of green")
        assert before == 0

    def test_a_colour_without_ready_pods_is_a_503_that_only_the_source_sees(self, bed, nodes, namespace, exporter):
        two_colours_by_host(bed, namespace)
        exporter.flow("users", Flow(full_host("shop", namespace), per_second=1000))
        eventually(lambda: exporter.shares("users") == {"shop-blue": 0.9, "shop-green": 0.1}, what="both colours")

        nodes.set(Behaviour(never_ready=True), namespace, {"version": "green"})

        lost = {"destination_service_namespace": namespace, "response_flags": "UH", "response_code": "503"}
        eventually(lambda: exporter.value("istio_requests_total", reporter="source", **lost) > 100, what="a hundred lost requests")
        assert exporter.value("istio_requests_total", reporter="destination", **lost) == 0


class TestPages:
    def test_gauges_own_counters_and_probes_are_served_as_they_were_set(self, namespace, exporter, prometheus_server):
        exporter.gauge("queue_depth", float("inf"), namespace=namespace)
        exporter.rate("user_login_attempts_total", 100, namespace=namespace)
        exporter.probe("green", 503)
        prometheus_server.scrape([Scrape("own", exporter.address)])

        logins = f'rate(user_login_attempts_total{{namespace="{namespace}"}}[4s])'
        eventually(lambda: prometheus_server.value(logins) == pytest.approx(100, rel=0.05), what="a hundred logins a second")
        assert prometheus_server.value(f'queue_depth{{namespace="{namespace}"}}') == float("inf")
        assert httpx.get(f"{exporter.url}/probe/green").status_code == 503

    def test_a_failing_scrape_is_a_target_that_is_down(self, exporter, prometheus_server):
        prometheus_server.scrape([Scrape("failing", exporter.address)])
        eventually(lambda: prometheus_server.value('up{job="failing"}') == 1, what="an up target")

        exporter.fail_scrapes(500)

        eventually(lambda: prometheus_server.value('up{job="failing"}') == 0, what="a down target")

    def test_a_workloads_own_counters_grow_with_its_requests(self, bed, namespace, exporter):
        bed.admin.apply([service("lone", {"app": "none"}), virtual_service("shop", [{"destination": {"host": "lone"}}])], namespace)
        exporter.set("unknown", "unknown", Workload(extra={"lost_total": 2.0}))
        exporter.flow("users", Flow(full_host("shop", namespace), per_second=1000))

        eventually(lambda: exporter.value("lost_total") >= 100, what="a hundred counts")
        with_lock = exporter.text().splitlines()
        lost = sum(float(line.rsplit(" ", 1)[1]) for line in with_lock if line.startswith("lost_total"))
        sent = sum(float(line.rsplit(" ", 1)[1]) for line in with_lock if line.startswith("istio_requests_total"))
        assert lost == 2 * sent


class TestNothingStaysBehind:
    @pytest.mark.usefixtures("bed")
    @pytest.mark.prometheus
    def test_processes_end_with_a_parent_that_was_killed(self):
        """`kill -9` of pytest runs no clean-up: the kernel ends the bed."""
        command = [sys.executable, "-c", VICTIM]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as victim:
            pids = json.loads(victim.stdout.readline())
            assert all(alive(pid) for pid in pids)

            victim.send_signal(signal.SIGKILL)
            victim.wait()

        eventually(lambda: not any(alive(pid) for pid in pids), 10, "the end of all four processes")

    def test_a_closed_bed_leaves_no_process_and_no_folder(self, bed):
        with Bed(audit=True) as second:
            second.api("alice").request("GET", "/version")
            assert [event["requestURI"] for event in second.audited("alice")] == ["/version"]
            pids = [program.pid for program in (second.etcd, second.apiserver, second.controller_manager)]
            assert second.url != bed.url

        assert not any(alive(pid) for pid in pids)
        assert not second.folder.exists()

    def test_an_api_error_says_who_asked_what_and_the_answer(self, bed):
        with pytest.raises(ApiError, match="GET /api/v1/namespaces/none: 404"):
            bed.admin.get("/api/v1/namespaces/none")
