"""Our routes against the recordings of a real istiod and Envoy."""

import pytest
from istiod_cases import CASES, RECORDED, fixed_objects, rendered_view, world_of_case

from controller.adapters.istio.routing_clusters import effective_traffic_policy
from controller.adapters.istio.routing_parse import world_of
from controller.adapters.istio.routing_webhook import refused_by_schema, validate_like_istiod


@pytest.mark.parametrize("name", CASES)
def test_every_recorded_view_of_a_proxy_is_ours_too(name):
    case = CASES[name]
    world = world_of_case(case)

    ours = [rendered_view(world, asked, list_clusters=case.get("list_clusters", False)) for asked in case["views"]]

    assert ours == case["result"]["views"]


@pytest.mark.parametrize("write", RECORDED["writes"], ids=lambda write: write["name"])
class TestRecordedWrites:
    def test_our_webhook_says_what_istiod_says(self, write):
        ours = validate_like_istiod(write["object"])
        recorded = write["webhook"]

        assert (ours.allowed, ours.message) == (recorded["allowed"], recorded.get("message", ""))
        assert list(ours.warnings) == recorded.get("warnings", [])

    def test_we_know_what_the_schema_refuses(self, write):
        refused = refused_by_schema(write["object"])

        assert (refused is None) == (write["apiserver"]["code"] == 201)
        assert refused is None or refused in write["apiserver"]["message"]


def test_a_negative_weight_is_refused_by_the_webhook_but_not_by_the_schema():
    route = [{"destination": {"host": "blue"}, "weight": 200}, {"destination": {"host": "green"}, "weight": -100}]
    obj = {"kind": "VirtualService", "spec": {"hosts": ["shop"], "http": [{"route": route}]}}

    assert validate_like_istiod(obj).message == "configuration is invalid: weight -100 < 0"
    assert refused_by_schema(obj) is None


def test_a_subset_overrides_the_traffic_policy_of_its_host_field_by_field():
    subsets = [{"name": "v1", "labels": {}, "trafficPolicy": {"tls": {"mode": "DISABLE"}}}]
    spec = {"host": "shop", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}, "subsets": subsets}
    world = world_of([*fixed_objects(), {"kind": "DestinationRule", "metadata": {"name": "shop", "namespace": "shop"}, "spec": spec}])

    assert effective_traffic_policy(world, "app", "shop.shop.svc.cluster.local", "v1") == {
        "loadBalancer": {"simple": "RANDOM"},
        "tls": {"mode": "DISABLE"},
    }
