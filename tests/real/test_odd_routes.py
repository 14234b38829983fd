"""Routes that are unusual and legal, on a real API server: rules and VirtualServices beside the plan, in other namespaces, written often.

All stories run side by side under one controller, which is killed once; each test waits for its own.
"""

from __future__ import annotations

import copy
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.bed.api import JSON_PATCH, ApiError, documents
from tests.bed.traffic import Flow
from tests.bed.waiting import eventually
from tests.real.harness import FIRST_RELEASE, ISTIO, RELEASES, Scene, Shop, stages
from tests.real.test_lost_namespaces import again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bed.api import JsonObject
    from tests.bed.cluster import Bed

pytestmark = [pytest.mark.bed, pytest.mark.usefixtures("nodes"), pytest.mark.prometheus]
STORM_SECONDS = 0.4


def over(*targets: JsonObject) -> Callable[[JsonObject], None]:
    """Two stages over these VirtualServices."""

    def change(spec: JsonObject) -> None:
        spec["stages"] = stages(25, 100)
        spec["traffic"] = {"virtualServices": list(targets), "scrapeInterval": "1m"}

    return change


def made(scene: Scene, namespace: str, name: str, host: str, http: list[JsonObject]) -> None:
    """A VirtualService."""
    body = next(copy.deepcopy(item) for item in documents(FIRST_RELEASE / "world.yaml") if item["kind"] == "VirtualService")
    body["metadata"] |= {"name": name, "namespace": namespace}
    scene.api.apply([body | {"spec": {"hosts": [host], "http": http}}])


def path(namespace: str, name: str) -> str:
    """Of a VirtualService."""
    return f"{ISTIO.format(namespace=namespace)}/virtualservices/{name}"


def rules(scene: Scene, namespace: str, name: str, http: list[JsonObject]) -> None:
    """`kubectl edit` of all its rules."""
    answer = scene.api.request("PATCH", path(namespace, name), [{"op": "replace", "path": "/spec/http", "value": http}], JSON_PATCH)
    if answer.is_error:
        raise ApiError(answer)


def asked(shop: Shop, verb: str) -> None:
    """`penstock VERB` of its last release."""
    uid = shop.api.get(shop.path)["metadata"]["uid"]
    spec = {"release": shop.release, "releaseUid": uid, "verb": verb, "actor": "jane", "reason": "looked at it"}
    body = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "ReleaseRequest",
        "metadata": {"generateName": "ask-", "namespace": shop.namespace},
    }
    shop.api.create(RELEASES.format(namespace=shop.namespace).replace("releases", "releaserequests"), body | {"spec": spec})


def taken_back(shop: Shop) -> None:
    """`penstock rollback` of its last release, the first one, which succeeded."""
    spec = {
        "plan": shop.plan,
        "revision": "v1",
        "kind": "reverse",
        "reverseOf": shop.release,
        "images": {"shop": "registry.example/shop:1.0"},
    }
    shop.release = "back"
    body = {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Release",
        "metadata": {"name": "back", "namespace": shop.namespace},
        "spec": spec,
    }
    shop.api.create(RELEASES.format(namespace=shop.namespace), body)


def subsets(shop: Shop) -> list[str]:
    """Of its DestinationRule."""
    rule = shop.api.get(f"{ISTIO.format(namespace=shop.namespace)}/destinationrules/shop")
    return [one["name"] for one in rule["spec"]["subsets"]]


def shares(scene: Scene, namespace: str, name: str) -> list[list[int]]:
    """Weights of every rule of a VirtualService."""
    http = scene.api.get(path(namespace, name))["spec"]["http"]
    return [[one.get("weight", 100) for one in rule["route"]] for rule in http]


@pytest.fixture(scope="module")
def scene(bed: Bed) -> Iterator[Scene]:
    """One controller for all stories; at the end it must have broken no invariant and met no defect of its own."""
    with Scene(bed) as scene:
        yield scene
        assert scene.faults() == []


@pytest.fixture(scope="module")
def stories(scene: Scene) -> Iterator[dict[str, Future[object]]]:
    """Every story begins at once, and the controller is killed while they run."""
    edge = scene.namespace("edge")
    named = over({"name": "shop", "routes": ["api"]})
    worlds: list[tuple[Callable[[Scene, Shop, str], object], Shop]] = [
        (in_step, scene.shop(over({"name": "shop"}, {"name": "public", "namespace": edge}), two_namespaces=True)),
        (one_goes, scene.shop(over({"name": "shop"}, {"name": "private", "namespace": edge}), two_namespaces=True)),
        (rules_change_places, scene.shop(over({"name": "shop"}))),
        (past_a_rule, scene.shop(named)),
        (others_were_led, scene.shop(over({"name": "shop"}))),
        (applied_again, scene.shop(over({"name": "shop"}))),
    ]
    for story, shop in worlds:
        prepare = PREPARED.get(story)
        if prepare is not None:
            prepare(scene, shop, edge)
    scene.start_controller()
    with ThreadPoolExecutor(len(worlds)) as pool:
        told = {story.__name__: pool.submit(story, scene, shop, edge) for story, shop in worlds}
        eventually(lambda: worlds[0][1].status.get("weight"), 120, "the first weight of one of them")
        again(scene)
        yield told


def hosts(shop: Shop) -> tuple[str, str]:
    """Of both slots."""
    return f"shop.{shop.namespace}.svc.cluster.local", f"shop.{shop.green_namespace}.svc.cluster.local"


def with_public(scene: Scene, shop: Shop, edge: str, name: str = "public") -> None:
    """A gateway's VirtualService in a namespace of others."""
    blue, _ = hosts(shop)
    made(scene, edge, name, f"{name}.example.com", [{"name": "all", "route": [{"destination": {"host": blue, "port": {"number": 80}}}]}])
    scene.exporter.flow(f"{shop.namespace}-{name}", Flow(f"{name}.example.com", per_second=100.0, source="edge"))


def with_private(scene: Scene, shop: Shop, edge: str) -> None:
    """Another one."""
    with_public(scene, shop, edge, "private")


def two_rules(scene: Scene, shop: Shop, _edge: str) -> None:
    """A path of its own beside the rest."""
    rules(scene, shop.namespace, "shop", TWO)
    scene.exporter.flow(f"{shop.namespace}-api", Flow(shop.host, per_second=200.0, path="/api/x"))


def with_other(scene: Scene, shop: Shop, _edge: str) -> None:
    """A VirtualService that the plan does not name."""
    made(scene, shop.namespace, "other", "other.example.com", [{"route": [{"destination": {"host": "shop", "subset": "v1"}}]}])
    scene.exporter.flow(f"{shop.namespace}-other", Flow("other.example.com", per_second=20.0, source="other"))


TWO: list[JsonObject] = [
    {"name": "api", "match": [{"uri": {"prefix": "/api"}}], "route": [{"destination": {"host": "shop", "subset": "v1"}}]},
    {"name": "web", "route": [{"destination": {"host": "shop", "subset": "v1"}}]},
]


def in_step(scene: Scene, shop: Shop, edge: str) -> object:
    """A success, then a failure at 25 %."""
    shop.start("v2")
    shop.measures_at(25)
    middle = shares(scene, edge, "public")
    shop.reaches("Succeeded")
    after = shares(scene, edge, "public"), shares(scene, shop.namespace, "shop")
    shop.fails(shop.idle(), from_weight=25)
    shop.start("v3")
    shop.reaches("RolledBack")
    return middle, after, shares(scene, edge, "public")


def one_goes(scene: Scene, shop: Shop, edge: str) -> object:
    """Somebody deletes one of two at 25 %, and puts it back."""
    shop.start("v2")
    shop.measures_at(25)
    before = scene.api.get(path(edge, "private"))
    scene.api.delete(path(edge, "private"))
    halted = shop.reaches("Halted")
    again = {key: before[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": "private", "namespace": edge}}
    scene.api.apply([again])
    eventually(lambda: shop.status.get("phase") == "RolledBack", 90, "the rest of the way back")
    return halted["message"], shares(scene, edge, "private")


def rules_change_places(scene: Scene, shop: Shop, _edge: str) -> object:
    """The catch-all in front at 25 %; then everybody is sent back, and it is put behind again."""
    shop.start("v2")
    shop.measures_at(25)
    rules(scene, shop.namespace, "shop", list(reversed(scene.api.get(path(shop.namespace, "shop"))["spec"]["http"])))
    held = shop.reaches("Holding")
    asked(shop, "rollback")
    shop.reaches("RolledBack")
    rules(scene, shop.namespace, "shop", list(reversed(scene.api.get(path(shop.namespace, "shop"))["spec"]["http"])))
    return held["message"], shares(scene, shop.namespace, "shop")


def past_a_rule(scene: Scene, shop: Shop, _edge: str) -> object:
    """One of two rules is named; the success is taken back."""
    shop.start("v2")
    shop.reaches("Succeeded")
    taken_back(shop)
    shop.reaches("Succeeded")
    return eventually(
        lambda: shares(scene, shop.namespace, "shop") == [[100], [100]], 30, "everybody on the old version, and our place gone"
    )


def others_were_led(scene: Scene, shop: Shop, _edge: str) -> object:
    """A VirtualService beside the plan is led to the new version, as the status says; then the next one is released."""
    shop.start("v2")
    shop.reaches("Succeeded")
    rules(scene, shop.namespace, "other", [{"route": [{"destination": {"host": "shop", "subset": "v2"}}]}])
    shop.start("v3")
    shop.reaches("Succeeded")
    return subsets(shop)


def applied_again(scene: Scene, shop: Shop, _edge: str) -> object:
    """Another manager applies the object as it read it last, again and again: labels of its own, the weights as they are."""
    over = threading.Event()

    def applies() -> None:
        number = 0
        while not over.wait(STORM_SECONDS):
            number += 1
            patch = {"metadata": {"labels": {"applied": str(number)}}}
            scene.api.request("PATCH", path(shop.namespace, "shop"), patch, "application/merge-patch+json")

    thread = threading.Thread(target=applies, daemon=True)
    thread.start()
    try:
        shop.start("v2")
        status = shop.reaches("Succeeded")
    finally:
        over.set()
        thread.join()
    return status.get("drift", {}).get("count", 0), shares(scene, shop.namespace, "shop")


PREPARED: dict[object, Callable[[Scene, Shop, str], None]] = {
    in_step: with_public,
    one_goes: with_private,
    rules_change_places: two_rules,
    past_a_rule: two_rules,
    others_were_led: with_other,
}


def test_two_virtual_services_in_two_namespaces_go_in_step(stories: dict[str, Future[object]]) -> None:
    assert stories["in_step"].result() == ([[75, 25]], ([[0, 100]], [[0, 100]]), [[0, 100]])


def test_one_that_is_deleted_and_put_back_with_its_share_goes_to_blue(stories: dict[str, Future[object]]) -> None:
    message, weights = stories["one_goes"].result()  # type: ignore[misc]

    assert "/private is gone" in message
    assert weights == [[100]]


def test_a_rule_that_fell_behind_a_catch_all_goes_to_blue_with_the_others(stories: dict[str, Future[object]]) -> None:
    message, weights = stories["rules_change_places"].result()  # type: ignore[misc]

    assert "stands behind a catch-all" in message
    assert weights == [[100], [100]]


def test_a_success_is_taken_back_past_a_rule_that_is_not_named(stories: dict[str, Future[object]]) -> None:
    assert stories["past_a_rule"].result()


def test_a_subset_to_which_others_were_led_stays(stories: dict[str, Future[object]]) -> None:
    assert stories["others_were_led"].result() == ["v1", "v2", "v3"]


def test_a_writer_of_labels_delays_nothing(stories: dict[str, Future[object]]) -> None:
    assert stories["applied_again"].result() == (0, [[0, 100]])
