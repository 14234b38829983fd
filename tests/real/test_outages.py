"""Prometheus or the API server goes away in mid-release, on a control plane of their own, and comes back."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.bed.cluster import Bed
from tests.bed.nodes import NodeSimulator
from tests.bed.waiting import eventually
from tests.real.conftest import CRDS
from tests.real.harness import Scene, Shop, stages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bed.api import JsonObject

pytestmark = [pytest.mark.bed, pytest.mark.prometheus]
WINDOWS_SECONDS = (15, 8)
# Informers and the lease come back by their own back-off; most of it is the lease of two seconds that must run out.
BACK_SECONDS = 20.0
# An hour of the plan is a minute here; ten minutes are what an outage may take by default.
TEN_MINUTES = 10.0


def two_stages(spec: JsonObject) -> None:
    """Enough: the outage comes in the first one, whose window is long enough that the second release's opens in it as well."""
    first, last = stages(25, 100)
    spec["stages"] = [first | {"window": "15m"}, last]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two releases that go through the same outage: green stays healthy, or turns bad."""

    healthy: Shop
    bad: Shop

    def measure(self) -> None:
        """Start both, and wait until both windows are open."""
        for shop in (self.healthy, self.bad):
            shop.start("v2")
        for shop in (self.healthy, self.bad):
            shop.measures_at(25)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """A control plane that may be killed, and one controller; at the end it must have broken no invariant."""
    with Bed(crds=sorted(CRDS.glob("*.yaml"))) as bed, NodeSimulator(bed.admin), Scene(bed) as scene:
        yield scene
        assert scene.faults() == []


@pytest.fixture(scope="module")
def pairs(scene: Scene) -> Iterator[Pair]:
    """One pair for each outage: their rights are given before the controller starts."""
    made = [Pair(scene.shop(two_stages), scene.shop(two_stages)) for _ in range(2)]
    scene.start_controller()
    return iter(made)


def windows_are_whole(status: JsonObject) -> bool:
    """No stage was judged by less than its window, nor sooner."""
    return all(
        stage["window"]["ran"] >= seconds and stage["verdictAt"] - stage["window"]["openedAt"] >= seconds
        for stage, seconds in zip(status["stages"], WINDOWS_SECONDS, strict=True)
    )


def is_rolled_back_by_a_trigger_or_its_gate(status: JsonObject) -> bool:
    """Whichever saw it first; green never had more than its first stage."""
    return status["rollback"]["check"] in ("errors", "error-rate") and status["maxWeight"] == 25


def test_while_prometheus_is_gone_green_keeps_its_weight_and_afterwards_it_is_judged(scene: Scene, pairs: Iterator[Pair]) -> None:
    pair = next(pairs)
    pair.measure()
    scene.prometheus.program.kill()
    since = time.monotonic()
    for shop in (pair.healthy, pair.bad):
        eventually(lambda shop=shop: shop.status.get("reason") == "NoData", 60, f"no data for {shop.namespace}")
    eventually(lambda: time.monotonic() - since > TEN_MINUTES, 60, "ten minutes of the plan")
    in_the_outage = [shop.weights() for shop in (pair.healthy, pair.bad)]
    pair.bad.fails(pair.bad.idle())
    scene.prometheus.start()

    assert in_the_outage == [{"v1": 75, "v2": 25}] * 2
    assert is_rolled_back_by_a_trigger_or_its_gate(pair.bad.reaches("RolledBack"))
    assert windows_are_whole(pair.healthy.reaches("Succeeded"))


def test_a_green_that_turns_bad_while_the_api_server_is_gone_is_rolled_back_as_soon_as_it_is_back(
    scene: Scene, pairs: Iterator[Pair]
) -> None:
    pair = next(pairs)
    pair.measure()
    green = pair.bad.idle()
    with scene.recorder.disturbance(alone=True):
        scene.bed.apiserver.kill()
        pair.bad.fails(green, 0.9)
        eventually(lambda: failures(scene, pair.bad) > 0, 60, "failures of green in Prometheus")
        eventually(lambda: scene.controllers.said("does not lead any more"), 60, "the loss of the lease")
        scene.bed.start_apiserver()
    eventually(lambda: max(pair.bad.weights().items(), key=lambda item: item[1]) == ("v1", 100), BACK_SECONDS, "all requests on blue")

    assert is_rolled_back_by_a_trigger_or_its_gate(pair.bad.reaches("RolledBack"))
    assert windows_are_whole(pair.healthy.reaches("Succeeded"))


def failures(scene: Scene, shop: Shop) -> float:
    """Requests that green failed lately, as Prometheus has them."""
    green = f'destination_workload="shop-green",destination_workload_namespace="{shop.namespace}",response_code="500"'
    return scene.prometheus.value(f"sum(increase(istio_requests_total{{{green}}}[5s]))") or 0.0
