"""Rules and VirtualServices that a plan does not name keep sending to blue: the release moves what it names, and comes to an end."""

import copy
from pathlib import Path

import pytest

from controller.api.release import Phase
from controller.ports import VIRTUAL_SERVICE
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.definitions import load_objects
from controller.simulator.invariants import watch
from controller.simulator.run import run_objects
from controller.simulator.scenario import Scenario
from tests.stories import scenario_of

FIRST = Path(__file__).parents[2] / "examples" / "first-release"
BLUE = {"destination": {"host": "shop", "subset": "v1"}}
API = {"name": "api", "match": [{"uri": {"prefix": "/api"}}], "route": [BLUE]}
HOST = "shop.shop.svc.cluster.local"
OTHER = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "public", "namespace": "shop"},
    "spec": {"hosts": ["shop.example.com"], "http": [{"route": [BLUE]}]},
}
RULES = {
    "a rule that is not named": (
        [API, {"name": "web", "route": [BLUE]}],
        ["api"],
        [],
        {"host": HOST, "path": "/"},
        "it still gets requests; lead the rules that the plan does not name to the new version",
    ),
    "a VirtualService that is not named": (
        [{"name": "api", "route": [BLUE]}],
        [],
        [OTHER],
        {"host": "shop.example.com", "path": "/"},
        "it still gets requests; lead the rules that the plan does not name to the new version",
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_what_is_not_named_stays_on_blue_and_does_not_hold_up_what_is(name):
    """The metrics do not say by which rule a request came, so that green's share can only be too high, not too low."""
    http, named, more, elsewhere, says = RULES[name]
    objects = [copy.deepcopy(one) for one in (*load_objects(FIRST / "world.yaml"), *load_objects(FIRST / "plan.yaml"), *more)]
    plan = next(one for one in objects if one["kind"] == "ReleasePlan")
    route = next(one for one in objects if one["kind"] == "VirtualService")
    plan["spec"]["traffic"] = {"virtualServices": [{"name": "shop", "routes": named}]}
    plan["spec"]["stages"] = [{"weight": 20, "window": "95s", "warmUp": "5s"}, {"weight": 100, "window": "95s", "warmUp": "5s"}]
    route["spec"]["http"] = http
    users = [{"name": "api", "host": HOST, "path": "/api/x", "rps": 80}, {"name": "web", "rps": 20, **elsewhere}]
    story = scenario_of(FIRST / "scenarios", "healthy").model_dump(by_alias=True, exclude_unset=True, mode="json")
    kept = []

    result = run_objects(
        Scenario.model_validate({**story, "users": users, "limit": "20m"}), objects, prepare=lambda sim: kept.extend((sim, watch(sim)))
    )

    sim, checks = kept
    kube = InMemoryKube(sim.server)
    stays = kube.get(VIRTUAL_SERVICE, "shop", more[0]["metadata"]["name"] if more else "shop")["spec"]["http"][-1]["route"]
    assert (result.status.phase, result.status.max_weight, result.status.blue_elsewhere) == (Phase.SUCCEEDED, 100, True)
    assert any("sends to blue too, and stays there" in warning for warning in result.status.warnings)
    assert says in result.status.retention.kept
    assert "kubectl scale" not in result.status.retention.kept
    assert stays == [BLUE]
    assert checks.finish() == []
