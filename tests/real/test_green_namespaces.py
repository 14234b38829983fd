"""A release makes green's namespace on a real API server: made, used, emptied, and deleted only where nothing foreign lives in it."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.bed.waiting import eventually
from tests.real.harness import Scene, Shop, stages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bed.api import JsonObject
    from tests.bed.cluster import Bed

pytestmark = [pytest.mark.bed, pytest.mark.usefixtures("nodes"), pytest.mark.prometheus]
MESH = {"istio-injection": "enabled", "pod-security.kubernetes.io/enforce": "baseline"}
# What Kubernetes itself puts into every namespace.
FURNITURE = {"configmaps/kube-root-ca.crt", "serviceaccounts/default"}


def one_stage(spec: JsonObject) -> None:
    """Green gets a quarter, then everything."""
    spec["stages"] = stages(25, 100)


def namespace(shop: Shop) -> JsonObject | None:
    """Green's, or None where there is none."""
    return shop.api.find(f"/api/v1/namespaces/{shop.second}")


def labels(found: JsonObject | None) -> dict[str, str]:
    return ((found or {}).get("metadata") or {}).get("labels") or {}


def residents(shop: Shop) -> set[str]:
    """What lives in green's namespace, but for the furniture."""
    kinds = {"/api/v1": ("configmaps", "services", "serviceaccounts", "pods"), "/apis/apps/v1": ("deployments", "replicasets")}
    found = {
        f"{plural}/{item['metadata']['name']}"
        for group, plurals in kinds.items()
        for plural in plurals
        for item in shop.api.get(f"{group}/namespaces/{shop.second}/{plural}")["items"]
    }
    return found - FURNITURE


def in_the_mesh(shop: Shop) -> None:
    """Blue's namespace says how its pods are injected and admitted, and to whom it belongs."""
    shop.api.patch(f"/api/v1/namespaces/{shop.namespace}", {"metadata": {"labels": {**MESH, "team": "a"}}})


def rolled_back(shop: Shop) -> dict[str, Any]:
    """Green fails: its namespace as it was while it had traffic, and after the end."""
    in_the_mesh(shop)
    shop.fails(shop.idle(), from_weight=100)
    shop.start("v2")
    shop.measures_at(25)
    made = namespace(shop)
    shop.reaches("RolledBack")
    eventually(lambda: namespace(shop) is None, 60, f"the end of {shop.second}")
    return {"made": made, "weights": shop.weights()}


def with_a_stranger(shop: Shop) -> dict[str, Any]:
    """Somebody puts something of theirs there in the meantime."""
    shop.fails(shop.idle(), from_weight=100)
    shop.start("v2")
    shop.measures_at(25)
    stranger = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "somebodys", "namespace": shop.second}}
    shop.api.apply([stranger])
    shop.reaches("RolledBack")
    eventually(lambda: residents(shop) == {"configmaps/somebodys"}, 60, "the end of all that was made")
    eventually(lambda: not shop.api.get(shop.path)["metadata"].get("finalizers"), 60, "the end of the release")
    return {"phase": (namespace(shop) or {})["status"]["phase"]}


def there_and_back(shop: Shop) -> dict[str, Any]:
    """It succeeds, so that green's namespace serves; the next release goes home again."""
    shop.start("v2")
    shop.reaches("Succeeded")
    served = shop.weights()
    shop.start("v3")
    shop.reaches("Succeeded")
    return {"served": served, "back": shop.weights(), "namespace": namespace(shop)}


@pytest.fixture(scope="class")
def stories(bed: Bed) -> Iterator[dict[str, Future[dict[str, Any]]]]:
    """All at once under one controller with the optional rights; it must have broken no invariant."""
    told: dict[str, Callable[[Shop], dict[str, Any]]] = {"rolled back": rolled_back, "stranger": with_a_stranger, "there": there_and_back}
    with Scene(bed, cluster_wide=True, makes_namespaces=True) as scene:
        shops = {name: scene.shop(one_stage, two_namespaces=True, missing=True) for name in told}
        scene.start_controller()
        with ThreadPoolExecutor(len(told)) as pool:
            yield {name: pool.submit(told[name], shops[name]) for name in told}
        assert scene.faults() == []


class TestWithTheOptionalRights:
    def test_the_namespace_is_made_with_what_decides_about_injection_and_admission(self, stories: dict[str, Future]) -> None:
        found = labels(stories["rolled back"].result()["made"])

        assert found.items() >= MESH.items()
        assert "team" not in found

    def test_after_a_rollback_it_is_gone_and_blue_has_everything(self, stories: dict[str, Future]) -> None:
        assert list(stories["rolled back"].result()["weights"].values()) == [100]

    def test_where_something_foreign_lives_it_stays_and_is_emptied(self, stories: dict[str, Future]) -> None:
        assert stories["stranger"].result()["phase"] == "Active"

    def test_after_a_success_it_serves_and_the_next_release_comes_back_from_it(self, stories: dict[str, Future]) -> None:
        told = stories["there"].result()

        assert [max(told[when], key=told[when].get).count("-green.") for when in ("served", "back")] == [1, 0]


class TestWithoutThem:
    """Refused before anything is touched: no namespace, no clone, not even the route's annotation."""

    @pytest.mark.parametrize("asked", [False, True], ids=["not asked for", "asked for"])
    def test_a_missing_namespace_is_refused_with_the_command_that_makes_it(self, bed: Bed, asked: bool) -> None:  # noqa: FBT001 - a parameter
        with Scene(bed, makes_namespaces=asked) as scene:
            shop = scene.shop(one_stage, two_namespaces=True, missing=True)
            path = f"/apis/networking.istio.io/v1/namespaces/{shop.namespace}/virtualservices/shop"
            before = shop.api.get(path)["metadata"]["resourceVersion"]
            scene.start_controller()
            shop.start("v2")
            status = shop.reaches("Refused")

            assert f"penstock install --green-namespace {shop.second}" in status["message"]
            assert namespace(shop) is None
            assert shop.deployments() == {"shop": 3}
            assert shop.api.get(path)["metadata"]["resourceVersion"] == before
            assert scene.faults() == []
