"""install, install again, and uninstall on a real API server; the optional admission policies with them."""

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace

import pytest
import yaml

from controller.adapters.kube import Limits
from controller.adapters.kube_config import connect
from controller.adapters.workloads.view import FLOOR
from controller.cli.host import Host
from controller.cli.install_objects import OWNER
from controller.cli.install_policies import actors
from controller.cli.main import run
from tests.bed.cluster import Bed
from tests.bed.nodes import NodeSimulator
from tests.bed.waiting import eventually
from tests.real.rbac_releases import API, LONG, Running, app, obj, plan, release, status, with_weight

pytestmark = pytest.mark.bed
RBAC = "/apis/rbac.authorization.k8s.io/v1"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def bed():
    """Without our CRDs: install brings them."""
    with Bed() as running:
        yield running


@pytest.fixture(scope="module")
def nodes(bed):
    with NodeSimulator(bed.admin) as simulator:
        yield simulator


@pytest.fixture
def penstock(bed):
    kubeconfig = str(bed.kubeconfig("admin"))

    def command(*words, **host):
        out, err = io.StringIO(), io.StringIO()
        there = replace(Host(connect=lambda file, context: connect(file, context, limits=Limits(read=20.0)), asks=False), **host)
        with redirect_stdout(out), redirect_stderr(err):
            code = run([*words, "--kubeconfig", kubeconfig], there)
        return Said(code, out.getvalue(), err.getvalue())

    return command


def ours(bed):
    """What stands in the cluster with our label, by kind and name."""
    paths = [f"{RBAC}/{kind}" for kind in ("roles", "rolebindings", "clusterroles", "clusterrolebindings")]
    paths += [f"/api/v1/{kind}" for kind in ("configmaps", "services", "serviceaccounts")]
    paths += ["/apis/apps/v1/deployments", "/apis/policy/v1/poddisruptionbudgets", "/apis/networking.k8s.io/v1/networkpolicies"]
    found = {}
    for path in paths:
        for item in bed.admin.get(path, labelSelector=OWNER)["items"]:
            meta = item["metadata"]
            # The status of a Deployment or a budget is written by others meanwhile.
            version = meta.get("generation") or meta["resourceVersion"]
            found[path.rpartition("/")[2], meta.get("namespace", ""), meta["name"]] = version
    return found


def settings(bed):
    data = bed.admin.get("/api/v1/namespaces/penstock-system/configmaps/penstock")["data"]
    return yaml.safe_load(data["controller.yaml"]), yaml.safe_load(data["providers.yaml"])


class TestInstall:
    def test_brings_crds_rights_and_controller_and_the_same_again_changes_nothing(self, bed, nodes, penstock):
        del nodes
        first = penstock("install", "-n", "shop", "--prometheus", "http://prometheus.monitoring:9090")
        before = ours(bed)
        again = penstock("install")

        assert (first.code, again.code) == (0, 0), first.err + again.err
        assert ours(bed) == before
        assert ("roles", "shop", "penstock") in before
        assert not [key for key in before if key[0].startswith("cluster")]
        assert settings(bed)[0]["namespaces"] == ["shop"]

    def test_adds_a_namespace_and_keeps_what_was_chosen(self, bed, penstock):
        penstock("install", "-n", "shop", "--prometheus", "http://prometheus.monitoring:9090")
        bed.admin.patch("/api/v1/namespaces/shop", {"metadata": {"labels": {"istio-injection": "enabled", "team": "a"}}})
        done = penstock("install", "-n", "shop", "--green-namespace", "shop-green", "--image", "registry.example/penstock:9")
        again = penstock("install")

        assert (done.code, again.code) == (0, 0), done.err + again.err
        assert settings(bed)[0]["namespaces"] == ["shop", "shop-green"]
        assert settings(bed)[1]["providers"][0]["url"] == "http://prometheus.monitoring:9090"
        labels = bed.admin.get("/api/v1/namespaces/shop-green")["metadata"]["labels"]
        assert labels["istio-injection"] == "enabled"
        assert "team" not in labels
        green = bed.admin.get(f"{RBAC}/namespaces/shop-green/roles/penstock")["rules"]
        assert "releases/status" not in [resource for rule in green for resource in rule["resources"]]
        pod = bed.admin.get("/apis/apps/v1/namespaces/penstock-system/deployments/penstock")["spec"]["template"]["spec"]
        assert pod["containers"][0]["image"] == "registry.example/penstock:9"

    def test_its_pods_are_admitted_by_the_restricted_standard(self, bed, nodes, penstock):
        del nodes
        penstock("install", "-n", "shop")
        path = "/apis/apps/v1/namespaces/penstock-system/deployments/penstock"

        assert eventually(lambda: (bed.admin.get(path).get("status") or {}).get("readyReplicas") == 2, what="two admitted pods")

    def test_a_narrower_scope_takes_the_cluster_wide_rights_away(self, bed, penstock):
        penstock("install", "--cluster-wide")
        wide = ("clusterroles", "", "penstock") in ours(bed)
        everywhere = settings(bed)[0]["namespaces"]
        penstock("install", "-n", "shop")

        assert (wide, everywhere) == (True, [])
        assert ("clusterroles", "", "penstock") not in ours(bed)
        assert settings(bed)[0]["namespaces"] == ["shop"]

    def test_without_the_right_to_it_says_which_object_was_refused(self, bed):
        connection = connect(str(bed.kubeconfig("alice")))
        err = io.StringIO()
        with redirect_stderr(err):
            code = run(["install", "-n", "shop"], Host(connect=lambda *_: connection))

        assert code == 6
        assert "You (alice) may not get namespaces" in err.getvalue()
        assert "alice" in err.getvalue()


@pytest.fixture
def running(bed, nodes, penstock, request):
    """A release with half of the traffic on green, and the controller that moved it."""
    del nodes
    namespace = request.param
    installed = penstock("install", "-n", namespace)
    assert installed.code == 0, installed.err
    bed.admin.apply([*app(namespace), plan(namespace, **LONG)])
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/shop"
    eventually(lambda: (bed.admin.get(path).get("status") or {}).get("readyReplicas") == 2, what="blue")
    controller = Running(bed, [namespace])
    controller.controller.start()
    bed.admin.apply([release(namespace, "r1", "registry.example/shop:2.0")])
    with_weight(bed, namespace, "r1")
    yield controller
    controller.controller.stop()


def weights(bed, namespace):
    spec = bed.admin.get(f"/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices/shop")["spec"]
    return [one.get("weight", 100) for one in spec["http"][0]["route"]]


def made_by_us(bed, namespace):
    """`Kind namespace/name` of everything in the namespace that carries our mark."""
    paths = ["/api/v1", "/apis/apps/v1", "/apis/autoscaling/v2", "/apis/networking.istio.io/v1", "/apis/discovery.k8s.io/v1"]
    found = set()
    for path in paths:
        for one in bed.admin.get(path)["resources"]:
            if one["namespaced"] and "list" in one["verbs"] and one["kind"] != "ReplicaSet":  # it copies its Deployment's marks
                for obj in bed.admin.get(f"{path}/namespaces/{namespace}/{one['name']}")["items"]:
                    if (obj["metadata"].get("annotations") or {}).get("penstock.dev/made"):
                        found.add(f"{one['kind']} {namespace}/{obj['metadata']['name']}")
    return found


def autoscaler(bed, namespace):
    return bed.admin.get(f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/shop")


def gone(bed):
    def nothing_left():
        crds = [crd for crd in bed.admin.get(CRDS)["items"] if crd["spec"]["group"] == "penstock.dev"]
        return not crds and not ours(bed)

    return eventually(nothing_left, 60, "everything of ours gone")


class TestUninstall:
    @pytest.mark.parametrize("running", ["left"], indirect=True)
    def test_leave_freezes_the_traffic_and_gives_everything_back(self, bed, penstock, running):
        raised = autoscaler(bed, "left")["spec"]["minReplicas"]
        running.controller.stop()
        refused = penstock("uninstall", "--yes")
        stands = status(bed, "left", "r1")["phase"]
        done = penstock("uninstall", "--leave", "--yes")

        assert (refused.code, raised) == (6, 2)
        assert "left/r1 must be rolled back first, and no controller runs" in refused.err
        assert "--leave" in refused.err
        assert stands not in ("RolledBack", "Succeeded")
        assert done.code == 0, done.err
        assert gone(bed)
        told = [line.removeprefix("Left: ") for line in done.err.splitlines() if line.startswith("Left: ")]
        assert "Deployment left/shop-green, made by Penstock, 2 replicas." in told
        assert [line for line in told if line.startswith("VirtualService left/shop: 50 % to ")] != []
        assert made_by_us(bed, "left") <= {line.partition(",")[0] for line in told}
        assert weights(bed, "left") == [50, 50]
        assert autoscaler(bed, "left")["spec"]["minReplicas"] == 1
        assert FLOOR not in (autoscaler(bed, "left")["metadata"].get("annotations") or {})
        assert bed.admin.get("/apis/apps/v1/namespaces/left/deployments/shop-green")["spec"]["replicas"] == 2

    @pytest.mark.parametrize("running", ["back"], indirect=True)
    def test_rolls_back_first_and_removes_then(self, bed, penstock, running):
        deployment = "/apis/apps/v1/namespaces/penstock-system/deployments/penstock"

        def sleep(_seconds):
            if bed.admin.find(deployment) is None:  # what a kubelet would do to the process of this test
                running.controller.stop()
            eventually(lambda: True)

        done = penstock("uninstall", "--yes", sleep=sleep)

        assert done.code == 0, done.err
        assert "back/r1" in done.err
        assert "Deployment back/" not in done.err
        assert gone(bed)
        assert made_by_us(bed, "back") == set()
        assert weights(bed, "back") == [100]
        assert bed.admin.find("/apis/apps/v1/namespaces/back/deployments/shop-green") is None
        assert autoscaler(bed, "back")["spec"]["minReplicas"] == 1

    def test_asks_and_does_nothing_without_a_yes(self, bed, penstock):
        penstock("install", "-n", "shop")
        nobody = penstock("uninstall")
        no = penstock("uninstall", asks=True, confirm=lambda _question: False)

        assert (nobody.code, no.code) == (2, 6)
        assert "--yes" in nobody.err
        assert bed.admin.get(f"{CRDS}/releases.penstock.dev")["status"]

    def test_where_nothing_is_installed_nothing_happens(self, bed, penstock):
        once = penstock("uninstall", "--yes")
        assert once.code == 0, once.err
        gone(bed)
        again = penstock("uninstall", "--yes")

        assert again.code == 0, again.err


class TestAdmissionPolicies:
    """Installed last: they bite half a second after they were made."""

    @pytest.fixture
    def shop(self, bed):
        name = bed.namespace()
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            code = run(["install", "-n", name, "--admission-policies", "--kubeconfig", str(bed.kubeconfig("admin"))])
        assert code == 0
        bed.admin.apply(actors())
        route = self.route(name, 100, {"penstock.dev/owner": "u", "penstock.dev/epoch": "7"})
        bed.admin.apply([route])
        path = f"/apis/networking.istio.io/v1/namespaces/{name}/virtualservices/shop"
        eventually(lambda: self.asked(bed, path, {"spec": self.route(name, 60)["spec"]}).status_code == 422, what="a policy that bites")
        return name

    def route(self, namespace, weight, notes=None):
        split = [{"destination": {"host": "a"}, "weight": weight}, {"destination": {"host": "b"}, "weight": 0}]
        made = obj("networking.istio.io/v1", "VirtualService", "shop", namespace, spec={"hosts": ["shop"], "http": [{"route": split}]})
        return {**made, "metadata": {**made["metadata"], "annotations": notes or {}}}

    def asked(self, bed, path, body):
        return bed.admin.request("PATCH", path, body, "application/merge-patch+json", dryRun="All")

    def split(self, *weights):
        return {"spec": {"http": [{"route": [{"destination": {"host": f"h{n}"}, "weight": one} for n, one in enumerate(weights)]}]}}

    @pytest.mark.parametrize(("weights", "code"), [((60, 30), 422), ((200, -100), 422), ((50, 50), 200), ((0, 100), 200)])
    def test_weights_of_a_route_under_a_release_sum_to_100(self, bed, shop, weights, code):
        path = f"/apis/networking.istio.io/v1/namespaces/{shop}/virtualservices/shop"
        answer = self.asked(bed, path, self.split(*weights))

        assert answer.status_code == code, answer.text

    def test_routes_without_a_release_are_left_alone(self, bed, shop):
        path = f"/apis/networking.istio.io/v1/namespaces/{shop}/virtualservices/shop"
        body = {**self.split(60, 30), "metadata": {"annotations": {"penstock.dev/owner": None}}}

        assert self.asked(bed, path, body).status_code == 200

    @pytest.mark.parametrize(("epoch", "code"), [("6", 422), ("7", 200), ("8", 200), (None, 200)])
    def test_the_epoch_of_an_object_never_falls(self, bed, shop, epoch, code):
        path = f"/apis/networking.istio.io/v1/namespaces/{shop}/virtualservices/shop"
        answer = self.asked(bed, path, {"metadata": {"annotations": {"penstock.dev/epoch": epoch}}})

        assert answer.status_code == code, answer.text

    @pytest.mark.parametrize(("actor", "code"), [("admin", 201), ("", 201), ("mallory", 422)])
    def test_the_actor_of_a_request_is_who_makes_it(self, bed, shop, actor, code):
        body = obj("penstock.dev/v1alpha1", "ReleaseRequest", "x", shop, spec={"release": "r", "verb": "pause", "actor": actor})
        answer = bed.admin.request("POST", f"{API}/namespaces/{shop}/releaserequests", body, dryRun="All")

        assert answer.status_code == code, answer.text
