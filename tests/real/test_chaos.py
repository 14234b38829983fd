"""Twenty releases at the same time under kills and pauses. `make soak` does the same with a hundred kills."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.real.chaos import LEASE_SECONDS, Chaos
from tests.real.harness import Scene

if TYPE_CHECKING:
    from tests.bed.cluster import Bed

pytestmark = [pytest.mark.bed, pytest.mark.usefixtures("nodes"), pytest.mark.prometheus, pytest.mark.xdist_group("chaos")]


def test_fifteen_kills_and_five_long_pauses_breach_nothing(bed: Bed) -> None:
    with Scene(bed, lease_seconds=LEASE_SECONDS) as scene:
        chaos = Chaos(scene, seed=1, say=print)
        chaos.shops(20)
        chaos.kills(15)
        chaos.pauses(5)
        chaos.end()

        assert scene.faults() == []
        assert chaos.surprises == []
        assert min(chaos.outcomes.get(phase, 0) for phase in ("Succeeded", "RolledBack", "deleted")) >= 1, chaos.summary()
