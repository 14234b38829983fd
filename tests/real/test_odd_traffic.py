"""Traffic that is unusual and legal, on a real API server: mirrors, delegates, wildcards on several Gateways, gRPC, two that go home.

A shop of each kind succeeds and then fails with its roles swapped, side by side under one controller, which is killed twice right after
a write of its own to a route; some others succeed and are taken back. Nobody may be sent where there are no pods meanwhile.
"""

from __future__ import annotations

import copy
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.bed.api import documents
from tests.bed.exporter import REPORTERS, Workload
from tests.bed.traffic import Flow, copies
from tests.bed.waiting import eventually
from tests.real.harness import FIRST_RELEASE, Scene, Shop
from tests.real.test_lost_namespaces import again
from tests.real.test_odd_routes import asked, made, over, path, rules, taken_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bed.api import JsonObject
    from tests.bed.cluster import Bed

pytestmark = [pytest.mark.bed, pytest.mark.usefixtures("nodes"), pytest.mark.prometheus]
KILLS = 2
LOST = ("NC", "UH", "NR")
"""Envoy's flags of a request that met no pod."""


def to(host: str, subset: str = "") -> list[JsonObject]:
    """A route to one destination."""
    destination = {"host": host, "port": {"number": 80}}
    return [{"destination": destination | ({"subset": subset} if subset else {})}]


@dataclass(frozen=True, slots=True)
class World:
    """One shop, and where its users come from."""

    shop: Shop
    flows: tuple[str, ...]


def mirrored(scene: Scene, _edge: str) -> World:
    """A fifth of the requests is copied to a version that is only looked at."""
    shop = scene.shop(over({"name": "shop"}))
    world = documents(FIRST_RELEASE / "world.yaml")
    deployment, service = (copy.deepcopy(next(one for one in world if one["kind"] == kind)) for kind in ("Deployment", "Service"))
    labels = {"app": "shadow"}
    deployment["spec"] |= {"replicas": 1, "selector": {"matchLabels": labels}}
    deployment["spec"]["template"]["metadata"]["labels"] = service["spec"]["selector"] = labels
    scene.api.apply([one | {"metadata": {"name": "shadow", "namespace": shop.namespace}} for one in (deployment, service)])
    scene.exporter.set(shop.namespace, "shadow", Workload(error_rate=1.0))
    mirrors = [{"destination": {"host": "shadow", "port": {"number": 80}}, "percentage": {"value": 20}}]
    rules(scene, shop.namespace, "shop", [{"name": "web", "route": to("shop", "v1"), "mirrors": mirrors}])
    return World(shop, (shop.namespace,))


def delegated(scene: Scene, _edge: str) -> World:
    """Its root stands beside the application, and what is delegated to in a namespace of its own."""
    routes = scene.namespace("routes")
    shop = scene.shop(over({"name": "web", "namespace": routes}))
    body = next(copy.deepcopy(item) for item in documents(FIRST_RELEASE / "world.yaml") if item["kind"] == "VirtualService")
    body["metadata"] = {"name": "web", "namespace": routes}
    scene.api.apply([body | {"spec": {"http": [{"name": "web", "route": to(shop.host, "v1")}]}}])
    rules(scene, shop.namespace, "shop", [{"delegate": {"name": "web", "namespace": routes}}])
    shop.route, shop.routes_in = "web", routes
    return World(shop, (shop.namespace,))


def on_gateways(scene: Scene, edge: str) -> World:
    """A wildcard on two Gateways with different proxies, and the mesh."""
    shop = scene.shop(over({"name": "shop"}), two_namespaces=True)
    domain = f"{shop.namespace}.example.com"
    names = [f"{shop.namespace}-{name}" for name in ("wide", "inner")]
    for name, hosts in zip(names, (["*"], [f"{shop.namespace}/*.{domain}"]), strict=True):
        server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": hosts}
        spec = {"selector": {"istio": name}, "servers": [server]}
        meta = {"name": name, "namespace": edge}
        scene.api.apply([{"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": meta, "spec": spec}])
        scene.exporter.flow(name, Flow(f"{name}.{domain}", per_second=100.0, gateway=f"{edge}/{name}"))
    spec = {
        "hosts": [f"*.{domain}", shop.host],
        "gateways": [*(f"{edge}/{name}" for name in names), "mesh"],
        "http": [{"name": "web", "route": to(shop.host)}],
    }
    meta = {"name": "shop", "namespace": shop.namespace}
    scene.api.apply([{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": meta, "spec": spec}])
    return World(shop, (shop.namespace, *names))


def by_grpc(scene: Scene, _edge: str) -> World:
    """Every answer is 200, whatever came of it."""
    shop = scene.shop(over({"name": "shop"}))
    one = {"name": "cart", "match": [{"uri": {"prefix": "/shop.Cart/"}}], "route": to("shop", "v1")}
    rules(scene, shop.namespace, "shop", [one, {"name": "rest", "route": to("shop", "v1")}])
    for name in ("Cart", "Stock"):
        flow = Flow(shop.host, per_second=150.0, path=f"/shop.{name}/Get", protocol="grpc")
        scene.exporter.flow(shop.namespace if name == "Cart" else f"{shop.namespace}-stock", flow)
    return World(shop, (shop.namespace, f"{shop.namespace}-stock"))


def goes_home(scene: Scene, edge: str) -> World:
    """The original gets the new image, and the traffic of both VirtualServices returns to it."""
    name = f"public-{len(scene.namespaces)}"

    def change(spec: JsonObject) -> None:
        over({"name": "shop"}, {"name": name, "namespace": edge})(spec)
        spec["finish"] = {"mode": "home", "retention": "3m"}

    shop = scene.shop(change)
    made(scene, edge, name, f"{name}.example.com", [{"name": "all", "route": to(shop.host, "v1")}])
    scene.exporter.flow(name, Flow(f"{name}.example.com", per_second=100.0, source="edge"))
    return World(shop, (shop.namespace, name))


KINDS: tuple[Callable[[Scene, str], World], ...] = (mirrored, delegated, on_gateways, by_grpc, goes_home)
TAKEN_BACK: tuple[Callable[[Scene, str], World], ...] = (delegated, on_gateways)


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a story: the versions that answered every flow after its first and its last release, and that one's status."""

    first: set[str]
    last: set[str]
    status: JsonObject


def answering(scene: Scene, world: World) -> set[str]:
    """Tags of the Deployments that answer its users now."""
    found = set()
    for namespace, name in set().union(*(scene.exporter.ends(flow) for flow in world.flows)):
        deployment = scene.api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
        found.add(deployment["spec"]["template"]["spec"]["containers"][0]["image"].rpartition(":")[2])
    return found


def swapped(scene: Scene, world: World) -> Told:
    """A success, and then a failure at 25 % with the roles swapped."""
    shop = world.shop
    shop.start("v2")
    shop.reaches("Succeeded")
    first = answering(scene, world)
    shop.fails(shop.idle(), from_weight=25)
    shop.start("v3")
    status = shop.reaches("RolledBack")
    return Told(first, answering(scene, world), status)


def reversed_(scene: Scene, world: World) -> Told:
    """A success that is taken back."""
    shop = world.shop
    shop.start("v2")
    shop.reaches("Succeeded")
    first = answering(scene, world)
    taken_back(shop)
    status = shop.reaches("Succeeded")
    return Told(first, answering(scene, world), status)


def copied_to_green(scene: Scene, world: World) -> tuple[JsonObject, JsonObject, set[tuple[str, str]]]:
    """Somebody mirrors to green at 25 %; then everybody is sent back, and the mirror is taken off."""
    shop = world.shop
    shop.start("v2")
    shop.measures_at(25)
    plain = scene.api.get(path(shop.namespace, "shop"))["spec"]["http"]
    mirror = {"mirror": to("shop", "v2")[0]["destination"], "mirrorPercentage": {"value": 50}}
    rules(scene, shop.namespace, "shop", [plain[0] | mirror])
    held = shop.reaches("Holding")
    asked(shop, "rollback")
    kept = shop.reaches("Halted", "TearingDown")
    eventually(lambda: shop.status.get("rollback", {}).get("healthyAt"), 30, "a healthy blue")
    copied = scene.exporter.ends(shop.namespace, copies)
    rules(scene, shop.namespace, "shop", [{"name": "web", "route": to("shop", "v1")}])
    shop.reaches("RolledBack")
    return held, kept, copied


@pytest.fixture(scope="module")
def scene(bed: Bed) -> Iterator[Scene]:
    """One controller for all stories; at the end it must have broken no invariant and met no defect of its own."""
    with Scene(bed) as scene:
        yield scene
        assert scene.faults() == []


@pytest.fixture(scope="module")
def stories(scene: Scene) -> Iterator[dict[str, Future[object]]]:
    """Every story begins at once, and the controller is killed while they run: after one of its writes, and before the next."""
    edge = scene.namespace("edge")
    wanted = [*((kind, swapped) for kind in KINDS), *((kind, reversed_) for kind in TAKEN_BACK)]
    worlds: dict[str, tuple[Callable[[Scene, World], object], World]]
    worlds = {f"{kind.__name__} {story.__name__}": (story, kind(scene, edge)) for kind, story in wanted}
    plain = scene.shop(over({"name": "shop"}))
    worlds["copied"] = (copied_to_green, World(plain, (plain.namespace,)))
    flows = [flow for _, world in worlds.values() for flow in world.flows]
    eventually(lambda: not any(name == "unknown" for flow in flows for _, name in scene.exporter.ends(flow)), 60, "the first pods")
    for flags in LOST:
        scene.exporter.forget(response_flags=flags)
    scene.start_controller()
    with ThreadPoolExecutor(len(worlds)) as pool:
        told: dict[str, Future[object]] = {name: pool.submit(story, scene, world) for name, (story, world) in worlds.items()}
        for _ in range(KILLS):
            assert scene.recorder.wait_for_a_route(60)
            again(scene)
        yield told


def the(stories: dict[str, Future[object]], kind: Callable[..., object], story: Callable[..., object]) -> Told:
    """One of them."""
    found = stories[f"{kind.__name__} {story.__name__}"].result()
    assert isinstance(found, Told)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_success_and_a_failure_with_the_roles_swapped(stories: dict[str, Future[object]], kind: Callable[..., object]) -> None:
    told = the(stories, kind, swapped)

    assert (told.first, told.last) == ({"v2"}, {"v2"})
    assert (told.status["rollback"]["check"], told.status["rollback"]["maxWeight"]) == ("error-rate", 25)
    assert ("green is gone" if kind is goes_home else "green is scaled to zero") in told.status["message"]


@pytest.mark.parametrize("kind", TAKEN_BACK)
def test_a_success_that_is_taken_back(stories: dict[str, Future[object]], kind: Callable[..., object]) -> None:
    told = the(stories, kind, reversed_)

    assert (told.first, told.last) == ({"v2"}, {"1.0"})


def test_a_mirror_to_green_is_held_and_named_and_green_stays_until_it_is_off(stories: dict[str, Future[object]]) -> None:
    held, kept, copied = stories["copied"].result()  # type: ignore[misc]

    assert held["reason"] == "RouteChanged"
    assert "mirrors requests to green" in held["message"]
    assert kept["weight"] == 0
    assert {name for _, name in copied} == {"shop-green"}


def test_nobody_was_sent_where_there_are_no_pods(scene: Scene, stories: dict[str, Future[object]]) -> None:
    for told in stories.values():
        told.result()

    assert [scene.exporter.value("istio_requests_total", reporter="source", response_flags=flags) for flags in LOST] == [0, 0, 0]


def test_copies_are_counted_by_those_who_get_them_alone(scene: Scene, stories: dict[str, Future[object]]) -> None:
    """What the caller throws away no caller's proxy counts, so that a mirror's errors speak against nobody."""
    the(stories, mirrored, swapped)
    counted = [scene.exporter.value("istio_requests_total", reporter=one, destination_workload="shadow") for one in REPORTERS]

    assert counted[0] == 0
    assert counted[1] > 1000
