"""A route in another namespace than its Release, which the controller may not read any more, while a way back is owed to it."""

import time
from typing import TYPE_CHECKING

import pytest

from tests.bed.api import JsonObject, documents
from tests.bed.cluster import Bed
from tests.bed.nodes import NodeSimulator
from tests.bed.traffic import Flow
from tests.bed.waiting import eventually
from tests.real.conftest import CRDS
from tests.real.harness import FIRST_RELEASE, ISTIO, Scene, Shop
from tests.real.test_lost_namespaces import again, long_stage, take_rights

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.bed, pytest.mark.prometheus]


@pytest.fixture(scope="module")
def scene() -> "Iterator[Scene]":
    """A control plane of its own."""
    with Bed(crds=sorted(CRDS.glob("*.yaml"))) as bed, NodeSimulator(bed.admin), Scene(bed) as scene:
        yield scene


def shop_with_its_route_in(scene: Scene, routes: str) -> Shop:
    """The example, its VirtualService in another namespace alone: of two that claim a host the older one, by the second, wins."""

    def change(spec: JsonObject) -> None:
        long_stage(spec)
        spec["traffic"] = {"virtualServices": [{"name": "shop", "namespace": routes}], "scrapeInterval": "1m"}

    shop = scene.shop(change)
    scene.api.delete(f"{ISTIO.format(namespace=shop.namespace)}/virtualservices/shop")
    route = next(item for item in documents(FIRST_RELEASE / "world.yaml") if item["kind"] == "VirtualService")
    host = f"shop.{shop.namespace}.svc.cluster.local"
    route["metadata"]["namespace"], route["spec"]["hosts"] = routes, [host]
    route["spec"]["http"][0]["route"][0]["destination"]["host"] = host
    scene.api.apply([route])
    scene.exporter.flow(shop.namespace, Flow(host, per_second=300.0))
    return shop


def looks(shop: Shop, seconds: float) -> list[JsonObject]:
    """Its status again and again for so long: several tries of the way back."""
    end, seen = time.monotonic() + seconds, [shop.status]
    eventually(lambda: seen.append(shop.status) or time.monotonic() > end, seconds)
    return seen


def test_it_is_not_taken_for_gone_and_everybody_is_on_blue_as_soon_as_it_may_be_written(scene: Scene) -> None:
    routes = scene.namespace("routes")
    shop = shop_with_its_route_in(scene, routes)
    scene.start_controller()
    shop.start("v2")
    shop.measures_at(25)
    binding = take_rights(scene, routes)
    again(scene)
    shop.fails((shop.namespace, "shop-green"), 0.6)
    owed = eventually(lambda: (found := shop.status).get("rollback") and found, 30, "a decision to go back")
    tried = looks(shop, 4.0)

    assert {(status["phase"], status["reason"], status["weight"]) for status in (owed, *tried)} == {("RollingBack", "RollbackRefused", 25)}
    assert f"read VirtualService {routes}/shop" in tried[-1]["message"] or "cannot get resource" in tried[-1]["message"]

    scene.api.apply([binding])
    rule = f"{ISTIO.format(namespace=routes)}/virtualservices/shop"
    eventually(lambda: [r.get("weight") for r in scene.api.get(rule)["spec"]["http"][0]["route"]] in ([100, 0], [100], [None]), 10, "blue")
    shop.reaches("RolledBack")
    assert scene.controllers.defects() == []
