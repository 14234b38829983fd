"""What is found before a release touches anything."""

import pytest
from istiod_cases import CASES, case_objects, fixed_objects

from controller.adapters.istio.routing_checks import Problem, Split, findings
from controller.adapters.istio.routing_clusters import effective_traffic_policy
from controller.adapters.istio.routing_parse import world_of

BLUE = ("shop-blue.shop.svc.cluster.local", "")
GREEN = ("shop-green.shop.svc.cluster.local", "")


def virtual_service(*rules, name="shop", created="2026-01-01T00:00:00Z", **spec):
    meta = {"name": name, "namespace": "shop", "creationTimestamp": created}
    return {"kind": "VirtualService", "metadata": meta, "spec": {"hosts": ["shop"], "http": list(rules), **spec}}


def rule(*route, **more):
    return {"route": [{"destination": {"host": host}, **({} if weight is None else {"weight": weight})} for host, weight in route], **more}


SPLIT = rule(("shop-blue", 100), ("shop-green", 0))
CANARY = rule(("shop-green", None), match=[{"headers": {"canary": {"exact": "true"}}}])


def found(*objects, managed=(0,), listed=(), name="shop"):
    world = world_of([*fixed_objects(), *objects])
    return [f.problem for f in findings(world, Split("shop", name, frozenset(managed), BLUE, GREEN, frozenset(listed)))]


def test_a_plain_split_is_fine():
    assert found(virtual_service(SPLIT)) == []


@pytest.mark.parametrize(
    ("problem", "objects", "managed"),
    [
        (Problem.HOST_TAKEN, [virtual_service(SPLIT), virtual_service(SPLIT, name="older", created="2025-01-01T00:00:00Z")], [0]),
        (Problem.BYPASS, [virtual_service(CANARY, SPLIT)], [1]),
        (
            Problem.MIRROR,
            [virtual_service(rule(("shop-red", None), match=[{"uri": {"prefix": "/r"}}], mirror={"host": "shop-green"}), SPLIT)],
            [1],
        ),
        (Problem.TCP_OR_TLS, [virtual_service(SPLIT, tls=[{}])], [0]),
        (Problem.WEIGHT_SUM, [virtual_service(rule(("shop-blue", 60), ("shop-green", 30)))], [0]),
        (Problem.WEIGHT_SUM, [virtual_service(rule(("shop-blue", None), ("shop-green", None)))], [0]),
        (Problem.WEIGHT_SUM, [virtual_service(rule(("shop-blue", 200), ("shop-green", -100)))], [0]),
        (Problem.THIRD_DESTINATION, [virtual_service(rule(("shop-blue", 50), ("shop-red", 50)))], [0]),
        (Problem.UNREACHABLE, [virtual_service(rule(("shop-blue", None), match=[{"uri": {"prefix": "/"}}]), SPLIT)], [1]),
        (Problem.HIDDEN, [virtual_service(SPLIT, exportTo=["."])], [0]),
        (Problem.DELEGATE_ABSENT, [virtual_service({"delegate": {"name": "gone"}, "match": [{"uri": {"prefix": "/api"}}]}, SPLIT)], [1]),
    ],
)
def test_each_obstacle_is_found(problem, objects, managed):
    assert found(*objects, managed=managed) == [problem]


def test_a_listed_bypass_is_no_obstacle():
    assert found(virtual_service(CANARY, SPLIT), managed=[1], listed=[0]) == []


def test_a_chain_of_delegates_is_too_deep():
    assert found(*case_objects(CASES["delegate-nested"]), managed=[1], name="root") == [Problem.DELEGATE_TOO_DEEP]


def test_a_subset_overrides_the_traffic_policy_of_its_host_field_by_field():
    subsets = [{"name": "v1", "labels": {}, "trafficPolicy": {"tls": {"mode": "DISABLE"}}}]
    spec = {"host": "shop", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}, "subsets": subsets}
    world = world_of([*fixed_objects(), {"kind": "DestinationRule", "metadata": {"name": "shop", "namespace": "shop"}, "spec": spec}])

    assert effective_traffic_policy(world, "app", "shop.shop.svc.cluster.local", "v1") == {
        "loadBalancer": {"simple": "RANDOM"},
        "tls": {"mode": "DISABLE"},
    }
