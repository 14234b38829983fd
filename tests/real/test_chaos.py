"""Twenty releases at the same time under kills and pauses. `make soak` does the same with a hundred kills."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.bed.waiting import eventually
from tests.real.chaos import LEASE_SECONDS, Chaos, in_three_stages
from tests.real.harness import Scene

if TYPE_CHECKING:
    from tests.bed.cluster import Bed

WINDOW_SECONDS = 8
pytestmark = [pytest.mark.bed, pytest.mark.usefixtures("nodes"), pytest.mark.prometheus]


def test_fifteen_kills_and_five_long_pauses_breach_nothing(bed: Bed) -> None:
    with Scene(bed, lease_seconds=LEASE_SECONDS, cluster_wide=True) as scene:
        chaos = Chaos(scene, seed=1, say=print)
        chaos.shops(20)
        chaos.kills(15)
        chaos.pauses(5)
        chaos.end()

        assert scene.faults() == []
        assert chaos.surprises == []
        assert min(chaos.outcomes.get(phase, 0) for phase in ("Succeeded", "RolledBack", "deleted")) >= 1, chaos.summary()


def test_a_killed_controller_loses_no_second_of_a_window_and_shortens_none(bed: Bed) -> None:
    with Scene(bed) as scene:
        shop = scene.shop(in_three_stages)
        first = scene.start_controller()
        shop.start("v2")
        before = eventually(lambda: (found := shop.status) and found.get("stages") and found["stages"][0].get("window") and found, 40)
        opened_at = before["stages"][0]["window"]["openedAt"]
        with scene.recorder.disturbance(alone=True):
            first.kill()
            eventually(lambda: time.time() > opened_at + WINDOW_SECONDS + 2, 20, "the end of the window, in which nobody looks")
            second = scene.controllers.start()
            second.wait_until(lambda: len(scene.controllers.leaders()) > 1, 90)
        led_at = time.time()
        after = eventually(lambda: (found := shop.status).get("stage") == 1 and found, 40, "the next stage")["stages"][0]

        assert after["window"]["openedAt"] == opened_at
        assert after["window"]["ran"] >= WINDOW_SECONDS
        assert after["verdictAt"] - led_at < WINDOW_SECONDS, "what had run while nobody looked is not waited for again"
        assert scene.faults() == []
