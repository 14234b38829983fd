"""A real API server takes the right on routes away in mid-release: the way back is said, answered, and gone as soon as it can be."""

import pytest

from controller.cli.install_objects import Options, access, home_objects, namespaces
from tests.bed.api import JSON_PATCH
from tests.bed.cluster import Bed
from tests.bed.nodes import NodeSimulator
from tests.bed.waiting import eventually
from tests.real.conftest import CRDS
from tests.real.rbac_releases import API, LONG, Running, app, ended, plan, release, request, status, with_weight

pytestmark = pytest.mark.bed
ROLE = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles/penstock"
ROUTE = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices/shop"


@pytest.fixture(scope="module")
def bed():
    with Bed(crds=sorted(CRDS.glob("*.yaml"))) as running, NodeSimulator(running.admin):
        options = Options(namespaces=("shop",))
        objects = [*namespaces(options), *home_objects(options), *access(options)]
        running.admin.apply([o for o in objects if o["kind"] != "Deployment"])
        running.admin.apply([*app("shop"), plan("shop", **LONG)])
        path = "/apis/apps/v1/namespaces/shop/deployments/shop"
        eventually(lambda: (running.admin.get(path).get("status") or {}).get("readyReplicas") == 2, what="blue")
        yield running


def without_routes(rules):
    """The Role with everything but the right to write VirtualServices."""
    return [{**rule, "verbs": [v for v in rule["verbs"] if rule["resources"] != ["virtualservices"] or v != "patch"]} for rule in rules]


def test_it_says_so_sees_what_a_person_does_meanwhile_and_ends_with_the_right(bed):
    rules = bed.admin.get(ROLE)["rules"]
    with Running(bed, ["shop"]):
        bed.admin.apply([release("shop", "two", "registry.example/shop:2.0")])
        with_weight(bed, "shop", "two")
        bed.admin.patch(ROLE, {"rules": without_routes(rules)})
        bed.admin.apply([request("shop", "two", "rollback")])
        answer = eventually(lambda: bed.admin.get(f"{API}/namespaces/shop/releaserequests/two-rollback").get("status"), 10, "an answer")
        said = status(bed, "shop", "two")
        weights = [{"op": "add", "path": f"/spec/http/0/route/{i}/weight", "value": value} for i, value in enumerate((100, 0))]
        assert bed.admin.request("PATCH", ROUTE, weights, JSON_PATCH).is_success
        eventually(lambda: status(bed, "shop", "two")["reason"] == "BackByHand", 10, "the weights that were put back by hand")
        green = bed.admin.get("/apis/apps/v1/namespaces/shop/deployments/shop-green")
        bed.admin.patch(ROLE, {"rules": rules})
        end = ended(bed, "shop", "two")

    assert (said["phase"], said["reason"], said["weight"]) == ("RollingBack", "RollbackRefused", 50)
    assert (answer["state"], "cannot patch resource" in answer["message"]) == ("accepted", True)
    assert green["spec"]["replicas"] == 2
    assert (end["phase"], end["rollback"]["reason"]) == ("RolledBack", "RollbackRequested")
