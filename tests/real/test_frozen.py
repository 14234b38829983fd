"""A controller is frozen for half a minute in mid-stage, fifteen leases, while green turns bad: with a second replica, and alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.bed.waiting import eventually
from tests.real.harness import Scene, Shop, stages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bed.api import JsonObject
    from tests.bed.cluster import Bed
    from tests.bed.processes import Program

pytestmark = [pytest.mark.bed, pytest.mark.usefixtures("nodes"), pytest.mark.prometheus]
FROZEN_SECONDS = 30.0
"""At least: with a second replica until that has put everybody on blue."""
WINDOW_SECONDS = 8


def two_stages(spec: JsonObject) -> None:
    """Enough: the freeze comes in the first one."""
    spec["stages"] = stages(25, 100)


@dataclass(frozen=True, slots=True)
class Told:
    """What a freeze left.

    Attributes:
        while_frozen: whether everybody was on blue before the frozen one went on.
        bad, healthy: final statuses.
    """

    while_frozen: bool
    bad: JsonObject
    healthy: JsonObject


@pytest.fixture(scope="module")
def scene(bed: Bed) -> Iterator[Scene]:
    """At the end it must have broken no invariant and met no defect of its own."""
    with Scene(bed) as scene:
        yield scene
        assert scene.faults() == []


@pytest.fixture(scope="module")
def told(scene: Scene) -> dict[str, Told]:
    """First with a second replica, then that one alone; all shops stand before, for rights are given once."""
    with_two, alone = [(scene.shop(two_stages), scene.shop(two_stages)) for _ in range(2)]
    first = scene.start_controller()
    second = scene.controllers.start()
    eventually(lambda: scene.controllers.ready(second), 30, "the second replica")
    both = freeze(scene, first, *with_two)
    first.stop(30)
    return {"two": both, "alone": freeze(scene, second, *alone, is_alone=True)}


def freeze(scene: Scene, leader: Program, healthy: Shop, bad: Shop, *, is_alone: bool = False) -> Told:
    """Both releases measure at 25 %; then the leader freezes, and one green turns bad."""
    green = bad.idle()
    for shop in (healthy, bad):
        shop.start("v2")
    for shop in (healthy, bad):
        shop.measures_at(25)
    with scene.recorder.disturbance(alone=is_alone):
        leader.pause()
        since = time.monotonic()
        bad.fails(green, 0.9)
        eventually(lambda: time.monotonic() - since >= FROZEN_SECONDS and (is_alone or on_blue(bad)), 60, "the end of the freeze")
        while_frozen = on_blue(bad)
        leader.resume()
    # A term of its own first: the lease of two seconds has run out long ago; then two failing samples in a row.
    eventually(lambda: on_blue(bad), 20, "all requests on blue")
    return Told(while_frozen, bad.reaches("RolledBack"), healthy.reaches("Succeeded"))


def on_blue(shop: Shop) -> bool:
    """Whether the first version has everybody."""
    return shop.weights()["v1"] == 100


def test_the_other_replica_takes_over_and_puts_everybody_on_blue(scene: Scene, told: dict[str, Told]) -> None:
    assert told["two"].while_frozen
    assert scene.controllers.leaders()[:2] == ["controller-0", "controller-1"]


def test_alone_it_puts_everybody_on_blue_as_soon_as_it_goes_on(told: dict[str, Told]) -> None:
    assert not told["alone"].while_frozen
    assert told["alone"].bad["phase"] == "RolledBack"


@pytest.mark.parametrize("name", ["two", "alone"])
class TestEither:
    def test_green_never_had_more_than_its_first_stage(self, name: str, told: dict[str, Told]) -> None:
        bad = told[name].bad

        assert bad["rollback"]["check"] in ("errors", "error-rate")
        assert bad["maxWeight"] == 25

    def test_no_window_of_a_healthy_green_was_shortened(self, name: str, told: dict[str, Told]) -> None:
        for stage in told[name].healthy["stages"]:
            assert stage["window"]["ran"] >= WINDOW_SECONDS
            assert stage["verdictAt"] - stage["window"]["openedAt"] >= WINDOW_SECONDS
