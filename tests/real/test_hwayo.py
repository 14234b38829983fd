"""The Hwayo release on real components with its times divided, under the shipped Role and the overlay for its Secret.

All stories run side by side under one controller; each test waits for its own.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.bed.waiting import eventually
from tests.real.harness import Scene
from tests.real.hwayo import DIVISOR, MEMBERS, Hwayo, hwayo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bed.api import JsonObject
    from tests.bed.cluster import Bed

pytestmark = [pytest.mark.bed, pytest.mark.usefixtures("nodes"), pytest.mark.prometheus]
FULL = dict.fromkeys(MEMBERS, 3)


@pytest.fixture(scope="module")
def scene(bed: Bed) -> Iterator[Scene]:
    """One controller for all; at the end it must have broken no invariant and met no defect of its own."""
    with Scene(bed, divisor=DIVISOR, secrets=("hwayo-secrets",)) as scene:
        yield scene
        assert scene.faults() == []


@pytest.fixture(scope="module")
def stories(scene: Scene) -> Iterator[dict[object, Future[object]]]:
    """Three releases in a row, one that fails at each stage, and one whose health probe fails; each with namespaces of its own."""
    told: dict[object, Callable[[Hwayo], object]] = {
        "in a row": three_in_a_row,
        "probe": lambda place: probe_fails(scene, place),
        **{weight: (lambda place, weight=weight: fails_at(place, weight)) for weight in (5, 25, 50, 100)},
    }
    places = {name: hwayo(scene) for name in told}
    scene.start_controller()
    with ThreadPoolExecutor(len(told)) as pool:
        yield {name: pool.submit(told[name], places[name]) for name in told}


def three_in_a_row(place: Hwayo) -> list[tuple[JsonObject, str, str]]:
    """Status, gateway's namespace that serves, and where the header rule leads, after each."""
    told = []
    for revision in ("v2", "v3", "v4"):
        place.start(revision)
        status = place.reaches("Succeeded", seconds=400)
        told.append((status, max(place.weights().items(), key=lambda item: item[1])[0], place.bypass()))
    return told


def fails_at(place: Hwayo, weight: int) -> tuple[JsonObject, Hwayo]:
    """Green's requests begin to fail at this weight: 3 %, which only the stage's gate refuses."""
    place.fails(place.idle(), 0.03, from_weight=weight)
    place.start("v2")
    return place.reaches("RolledBack", seconds=400), place


def probe_fails(scene: Scene, place: Hwayo) -> tuple[JsonObject, Hwayo]:
    """Green's gateway stops answering its health probe."""
    namespace, _ = place.idle()
    place.start("v2")
    place.measures_at(5)
    scene.probes.answers[f"api-gateway.{namespace}.svc.cluster.local"] = 503
    return place.reaches("RolledBack"), place


class TestSuccess:
    def test_three_releases_in_a_row_change_places(self, stories: dict[object, Future]) -> None:
        told = stories["in a row"].result()

        assert ["-green." in host for _, host, _ in told] == [True, False, True]
        for status, _, _ in told:
            assert [stage["weight"] for stage in status["stages"]] == [5, 25, 50, 100]
            assert all(stage["verdict"] == "pass" for stage in status["stages"])

    def test_all_gates_and_triggers_were_asked(self, stories: dict[object, Future]) -> None:
        status = stories["in a row"].result()[0][0]

        gates = ["error-rate", "latency-p95", "cpu", "memory", "login-success"]
        triggers = ["errors", "response-time", "health", "cpu-high", "memory-high", "login", "submission", "report", "availability"]
        assert [(check["name"], check["outcome"]) for check in status["stages"][0]["checks"]] == [(name, "pass") for name in gates]
        assert [(trigger["name"], trigger["outcome"]) for trigger in status["triggers"]] == [(name, "pass") for name in triggers]


class TestRollback:
    @pytest.mark.parametrize("weight", [5, 25, 50, 100])
    def test_a_green_that_fails_at_this_stage_is_rolled_back(self, weight: int, stories: dict[object, Future]) -> None:
        status, place = stories[weight].result()

        assert status["rollback"]["check"] == "error-rate"
        assert (status["maxWeight"], status["rollback"]["overruns"]) == (weight, [])
        assert {host.split(".")[1]: share for host, share in place.weights().items()} == {place.namespace: 100, place.namespaces[1]: 0}
        assert ".hwayo-" in place.bypass()
        assert place.bypass().split(".")[1] == place.namespace
        eventually(lambda: place.workloads() == {place.namespace: FULL, place.namespaces[1]: {}}, 20, "green's end")

    def test_a_health_probe_that_fails_four_times_in_a_row_rolls_back(self, stories: dict[object, Future]) -> None:
        status, _ = stories["probe"].result()

        assert status["rollback"]["check"] == "health"
        assert status["maxWeight"] == 5
