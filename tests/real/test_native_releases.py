"""Releases whose latencies Prometheus keeps as native histograms, judged by the default checks and by a limit on p99.

Native ones by themselves, classic ones that the scrape turned into native ones with custom boundaries, these beside the classic ones, and
a blue with classic ones beside a green with native ones.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.bed.exporter import Workload
from tests.bed.prometheus import Histograms
from tests.real.harness import Scene, Shop, stages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.bed.api import JsonObject
    from tests.bed.cluster import Bed

pytestmark = [pytest.mark.bed, pytest.mark.usefixtures("nodes"), pytest.mark.prometheus, pytest.mark.prometheus3]
# As services are: most answers within one bucket, some in the next ones; twice as slow is one bucket or one doubling further.
LATENCIES = {20.0: 0.4, 40.0: 0.3, 80.0: 0.2, 160.0: 0.1}
SLOWER = {2 * value: share for value, share in LATENCIES.items()}
# How the scrape stores them, and the buckets that blue's and green's proxies show.
KINDS = {
    "native": (Histograms.NATIVE, ("native",), ("native",)),
    "custom": (Histograms.CUSTOM, ("classic",), ("classic",)),
    "custom and classic": (Histograms.CUSTOM_AND_CLASSIC, ("classic",), ("classic",)),
    "native and classic": (Histograms.NATIVE_AND_CLASSIC, ("classic", "native"), ("classic", "native")),
    "classic, then native": (Histograms.NATIVE, ("classic",), ("native",)),
}


def default_checks(spec: JsonObject) -> None:
    """Errors and latency, sequentially."""
    del spec["checks"]
    spec["stages"] = stages(25, 50, 100)


def limit(spec: JsonObject) -> None:
    """A limit on p99 alone."""
    spec["checks"] = [check for check in spec["checks"] if check["builtin"] == "latency"]
    spec["stages"] = stages(25, 100)


def story(shop: Shop, kinds: tuple[tuple[str, ...], tuple[str, ...]], latencies: Mapping[float, float]) -> JsonObject:
    """A release to its end, whatever that is."""
    shop.exporter.set(shop.namespace, "shop", Workload(latency_ms=LATENCIES, histograms=kinds[0]))
    shop.exporter.set(shop.namespace, "shop-green", Workload(latency_ms=latencies, histograms=kinds[1]))
    shop.start("v2")
    return shop.reaches("Succeeded", "RolledBack", "Holding", "Halted")


@pytest.fixture(scope="module")
def stories(bed: Bed) -> Iterator[dict[str, Future[JsonObject]]]:
    """All at once under one controller, each with a shop of its own."""
    with Scene(bed) as scene:
        told = {}
        for name, (histograms, *kinds) in KINDS.items():
            for checks in (default_checks, limit):
                for green, latencies in (("as fast", LATENCIES), ("slower", SLOWER)):
                    shop = scene.shop(checks, histograms=histograms)
                    told[f"{name}, {checks.__name__}, {green}"] = partial(story, shop, tuple(kinds), latencies)
        scene.start_controller()
        with ThreadPoolExecutor(len(told)) as pool:
            yield {name: pool.submit(function) for name, function in told.items()}
        assert scene.faults() == []


def told(stories: dict[str, Future[JsonObject]], kind: str, checks: str, green: str) -> JsonObject:
    """The status at a release's end."""
    return stories[f"{kind}, {checks}, {green}"].result()


def answer(status: JsonObject, check: str) -> JsonObject:
    """Of a check in the first stage."""
    return next(found for found in status["stages"][0]["checks"] if found["name"] == check)


# At which of them the default check may find the slower one.
EDGES = {"native": {32, 64, 128}, "custom": {25, 50, 100}, "custom and classic": {25, 50, 100}, "native and classic": {25, 50, 100}}


@pytest.mark.parametrize("kind", EDGES)
class TestDefaultChecks:
    def test_a_green_that_is_as_fast_succeeds_with_its_latency_judged(self, kind, stories) -> None:
        status = told(stories, kind, "default_checks", "as fast")

        assert status["phase"] == "Succeeded"
        assert all(answer({"stages": [stage]}, "latency")["reason"] == "NoEvidenceAgainst" for stage in status["stages"])

    def test_a_green_that_is_twice_as_slow_goes_back_for_latency_by_the_edges_of_its_kind(self, kind, stories) -> None:
        status = told(stories, kind, "default_checks", "slower")

        assert (status["phase"], status["rollback"]["check"], status["rollback"]["reason"]) == ("RolledBack", "latency", "EvidenceAgainst")
        assert any(f"slower than {edge} ms" in status["rollback"]["message"] for edge in EDGES[kind])


@pytest.mark.parametrize("kind", KINDS)
class TestLimitOnP99:
    def test_a_green_that_is_as_fast_succeeds(self, kind, stories) -> None:
        status = told(stories, kind, "limit", "as fast")

        assert (status["phase"], answer(status, "latency-p99")["reason"]) == ("Succeeded", "WithinLimit")

    def test_a_green_that_is_twice_as_slow_goes_back(self, kind, stories) -> None:
        status = told(stories, kind, "limit", "slower")

        assert (status["phase"], status["rollback"]["check"]) == ("RolledBack", "latency-p99")


@pytest.mark.parametrize("green", ["as fast", "slower"])
def test_kinds_without_a_common_edge_hold_and_say_so(green, stories) -> None:
    status = told(stories, "classic, then native", "default_checks", green)

    assert (status["phase"], status["reason"]) == ("Holding", "NoCommonEdge")
    assert (answer(status, "error-rate")["outcome"], answer(status, "latency")["outcome"]) == ("pass", "inconclusive")
