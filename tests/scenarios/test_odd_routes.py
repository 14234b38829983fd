"""Routes that are unusual and legal: rules change places, one of two VirtualServices is deleted, roots and other rules stand elsewhere."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controller.api.release import Phase
from controller.ports import DESTINATION_RULE, RELEASE, VIRTUAL_SERVICE
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.definitions import load_objects
from controller.simulator.invariants import watch
from controller.simulator.run import Result, run_objects
from controller.simulator.scenario import Scenario
from controller.simulator.simulation import START

FIRST = Path(__file__).parents[2] / "examples" / "first-release"
HOST = "shop.shop.svc.cluster.local"
STAGES = [{"weight": 20, "window": "95s", "warmUp": "5s"}, {"weight": 100, "window": "95s", "warmUp": "5s"}]
MEASURING, DONE = 80.0, 290.0
"""Seconds in which the release judges 20 %, and has succeeded."""

Rules = list[dict[str, Any]]


def to(subset: str) -> Rules:
    return [{"destination": {"host": HOST, "subset": subset}}]


def rule(name: str, prefix: str = "", subset: str = "v1") -> dict[str, Any]:
    return {"name": name, **({"match": [{"uri": {"prefix": prefix}}]} if prefix else {}), "route": to(subset)}


def virtual_service(name: str, http: Rules, *hosts: str, namespace: str = "shop") -> dict[str, Any]:
    spec = {**({"hosts": list(hosts)} if hosts else {}), "http": http}
    return {
        "apiVersion": VIRTUAL_SERVICE.api_version,
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


class Story:
    """A release of the first example over these VirtualServices, and what is done while it runs."""

    def __init__(self, *routes: dict[str, Any], targets: Rules, users: Rules = (), **changes: Any) -> None:  # type: ignore[assignment]
        self.objects = [one for one in load_objects(FIRST / "world.yaml") if one["kind"] != "VirtualService"]
        self.objects += [*map(copy.deepcopy, routes), *load_objects(FIRST / "plan.yaml")]
        plan = next(one for one in self.objects if one["kind"] == "ReleasePlan")["spec"]
        plan |= {"stages": STAGES, "traffic": {"virtualServices": targets}, "finish": {"retention": "2m"}}
        self.said = {
            "name": "odd-routes",
            "release": {"revision": "v2", "images": {"shop": "registry.example/shop:2.0"}},
            "users": [{"host": HOST, "path": "/api/x", "rps": 100}, *users],
            "versions": [{"errors": 0.001}],
            "limit": "20m",
            "expect": {"phase": "Succeeded"},
            **changes,
        }
        self.deeds: list[tuple[float, Callable[[InMemoryKube], Any]]] = []

    def edited(self, at: float, change: Callable[[Rules], Rules], name: str = "shop") -> "Story":
        """`kubectl edit` of the rules."""

        def deed(kube: InMemoryKube) -> None:
            http = copy.deepcopy(kube.get(VIRTUAL_SERVICE, "shop", name)["spec"]["http"])
            kube.patch(VIRTUAL_SERVICE, "shop", name, {"spec": {"http": change(http)}})

        self.deeds.append((at, deed))
        return self

    def deleted(self, at: float, name: str) -> "Story":
        self.deeds.append(
            (at, lambda kube: kube.delete(VIRTUAL_SERVICE, "shop", name, uid=kube.get(VIRTUAL_SERVICE, "shop", name)["metadata"]["uid"]))
        )
        return self

    def played(self) -> "Played":
        kept: list[Any] = []

        def prepare(sim: Any) -> None:
            kept.extend((sim, watch(sim)))
            bob = InMemoryKube(sim.server, user="bob", field_manager="kubectl-edit")
            for at, deed in self.deeds:
                sim.at(START + at, lambda deed=deed: deed(bob))

        result = run_objects(Scenario.model_validate(self.said), self.objects, prepare=prepare)
        sim, checks = kept
        return Played(result, InMemoryKube(sim.server), list(map(str, checks.finish())))


class Played:
    """What came of it."""

    def __init__(self, result: Result, kube: InMemoryKube, breaches: list[str]) -> None:
        assert result.status is not None
        self.status, self.kube, self.breaches = result.status, kube, breaches

    def weights(self, name: str = "shop") -> list[dict[str, int]]:
        """Of each rule, by subset."""
        rules = self.kube.get(VIRTUAL_SERVICE, "shop", name)["spec"]["http"]
        return [{one["destination"]["subset"]: one.get("weight", 100) for one in entry["route"]} for entry in rules]

    def phase_of(self, release: str) -> tuple[str, str]:
        status = self.kube.get(RELEASE, "shop", release)["status"]
        return status["phase"], status["message"]


def swapped(http: Rules) -> Rules:
    """The catch-all in front, so that Istio drops the other."""
    return list(reversed(http))


BOTH = virtual_service("shop", [rule("api", "/api"), rule("web")], "shop")
NAMED = pytest.mark.parametrize("targets", [[{"name": "shop"}], [{"name": "shop", "routes": ["api", "web"]}]], ids=["all", "named"])


@NAMED
def test_a_rule_that_falls_behind_a_catch_all_is_held_and_has_its_share_in_step(targets):
    """In its place again its weights count again: it must not send to a green that is gone."""
    asks = ({"at": "200s", "verb": "rollback"},)
    held = Story(BOTH, targets=targets).edited(MEASURING, swapped).played()
    back = Story(BOTH, targets=targets, people=asks).edited(MEASURING, swapped).edited(400.0, swapped).played()

    assert (held.status.phase, held.status.reason) == (Phase.HOLDING, "RouteChanged")
    assert 'rule "api" of VirtualService shop/shop stands behind a catch-all' in held.status.message
    assert (back.status.phase, back.weights()) == (Phase.ROLLED_BACK, [{"v1": 100}, {"v1": 100}])
    assert held.breaches == back.breaches == []


def test_in_its_place_again_a_person_lets_it_go_on():
    story = Story(BOTH, targets=[{"name": "shop"}], people=({"at": "300s", "verb": "resume"},))
    result = story.edited(MEASURING, swapped).edited(200.0, swapped).played()

    assert (result.status.phase, result.weights(), result.breaches) == (Phase.SUCCEEDED, [{"v1": 0, "v2": 100}] * 2, [])


PUBLIC = virtual_service("public", [rule("all")], "shop.example.com")
TWO = [{"name": "shop"}, {"name": "public"}]


@pytest.mark.parametrize("when", [3.0, 12.0], ids=["preparing", "cluster"])
def test_one_of_two_that_is_deleted_before_the_first_weight_ends_the_release_at_once_and_is_named(when):
    """All pods of its host get its requests, green's too, and nobody judges them."""
    shop = virtual_service("shop", [rule("web")], "shop")
    result = Story(shop, PUBLIC, targets=TWO).deleted(when, "public").played()

    assert (result.status.phase, result.status.max_weight, result.breaches) == (Phase.ROLLED_BACK, 0, [])
    assert "VirtualService shop/public was not found" in result.status.message
    assert result.status.finished_at - START < 120


BESIDE = {
    "rule": ([virtual_service("shop", [rule("api", "/api"), rule("web")], "shop")], [{"name": "shop", "routes": ["api"]}]),
    "VirtualService": ([virtual_service("shop", [rule("web")], "shop"), PUBLIC], [{"name": "shop"}]),
}
OTHERS = [{"name": "web", "host": HOST, "path": "/", "rps": 10}, {"name": "public", "host": "shop.example.com", "rps": 10}]


MIRROR = virtual_service("shop", [{**rule("web"), "mirror": {"host": HOST, "subset": "v1"}}], "shop")


@pytest.mark.parametrize("beside", [*BESIDE, "mirror"])
def test_a_success_is_taken_back_past_rules_that_were_never_led_away_from_the_old_version(beside):
    """It waited for ever until the very version that it goes back to could go, or was refused for the rule that still leads there."""
    routes, targets = BESIDE.get(beside, ([MIRROR], [{"name": "shop"}]))
    takes_back = {"verb": "start", "release": "back", "kind": "reverse", "reverseOf": "shop-v2", "revision": "v1"}
    images = {"shop": "registry.example/shop:1.0"}
    result = Story(*routes, targets=targets, users=OTHERS, people=({"at": "320s", **takes_back, "images": images},)).played()

    assert (result.phase_of("back")[0], result.weights()[0]) == ("Succeeded", {"v1": 100})
    assert result.breaches == []


@pytest.mark.parametrize("beside", BESIDE)
def test_a_subset_of_ours_to_which_others_were_led_stays_when_the_next_version_serves(beside):
    """As they were told to: when the next release had succeeded, all their requests got 503."""
    routes, targets = BESIDE[beside]
    follow = {"verb": "start", "release": "next", "revision": "v3", "images": {"shop": "registry.example/shop:3.0"}}

    def led(http: Rules) -> Rules:
        return [*http[:-1], {**http[-1], "route": to("v2")}]

    story = Story(*routes, targets=targets, users=OTHERS, people=({"at": "450s", **follow},), limit="30m")
    result = story.edited(DONE + 20, led, "public" if beside == "VirtualService" else "shop").played()
    subsets = [one["name"] for one in result.kube.get(DESTINATION_RULE, "shop", "shop")["spec"]["subsets"]]

    assert (result.phase_of("next")[0], subsets, result.breaches) == ("Succeeded", ["v1", "v2", "v3"], [])


def test_who_still_leads_requests_to_green_is_named_when_it_does_not_drain():
    def leads(http: Rules) -> Rules:
        return [rule("fresh", "/new", "v2"), *http]

    routes, targets = BESIDE["rule"]
    asks = ({"at": "200s", "verb": "rollback"},)
    story = Story(*routes, targets=targets, users=[{"name": "new", "host": HOST, "path": "/new", "rps": 10}], people=asks, limit="30m")
    result = story.edited(MEASURING, leads).played()

    assert (result.status.phase, result.status.reason) == (Phase.HALTED, "DrainUnknown")
    assert 'rule "fresh" of VirtualService shop/shop sends to green whatever the weights say' in result.status.message


def mirroring(http: Rules) -> Rules:
    return [{**http[0], "mirror": {"host": HOST, "subset": "v2"}, "mirrorPercentage": {"value": 50}}]


def plain(http: Rules) -> Rules:
    return [{key: value for key, value in http[0].items() if not key.startswith("mirror")}]


ALONE = virtual_service("shop", [rule("web")], "shop")


def test_a_mirror_to_green_that_somebody_adds_in_mid_release_is_held_and_named():
    """Nobody sees its copies in the traffic: the release went on as if there were none."""
    result = Story(ALONE, targets=[{"name": "shop"}]).edited(MEASURING, mirroring).played()

    assert (result.status.phase, result.status.reason, result.breaches) == (Phase.HOLDING, "RouteChanged", [])
    assert 'rule "web" of VirtualService shop/shop mirrors requests to green' in result.status.message


@pytest.mark.parametrize(("taken_off", "ends"), [(400.0, Phase.ROLLED_BACK), (0.0, Phase.HALTED)], ids=["taken-off", "left"])
@pytest.mark.parametrize("added", [3.0, MEASURING], ids=["preparing", "measuring"])
def test_a_green_to_which_somebody_mirrors_is_not_taken_down_before_the_mirror_is_off(added, taken_off, ends):
    """It was, and the mirror stayed without a word."""
    story = Story(ALONE, targets=[{"name": "shop"}], people=({"at": "200s", "verb": "rollback"},), limit="40m").edited(added, mirroring)
    if taken_off:
        story.edited(taken_off, plain)
    result = story.played()

    assert (result.status.phase, result.weights()[0]["v1"], result.breaches) == (ends, 100, [])
    assert ("mirrors requests to green" in result.status.message) == (ends is Phase.HALTED)


def test_a_delegate_whose_root_stands_in_a_namespace_of_others_is_released():
    """Where gateways are run by others, that is what delegates are for: it was refused, and no change of the plan helped."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "edge"}}
    root = virtual_service("root", [{"delegate": {"name": "shop", "namespace": "shop"}}], HOST, namespace="edge")
    delegate = virtual_service("shop", [rule("web")])
    result = Story(namespace, root, delegate, targets=[{"name": "shop"}]).played()

    assert (result.status.phase, result.weights(), result.breaches) == (Phase.SUCCEEDED, [{"v1": 0, "v2": 100}], [])
    assert any("only one elsewhere gives it requests" in warning for warning in result.status.warnings)
