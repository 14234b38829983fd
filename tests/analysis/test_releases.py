"""Whole simulated releases decide as the benchmark's twin does on the counters that they scraped."""

import pytest

from bench.analysis_releases import released
from bench.analysis_worlds import worlds
from tests.sizes import most_telling

CELLS = [("p95 x1.5 @50", "RolledBack"), ("0.1->1 % @500", "RolledBack"), ("0.5 % @50", "Succeeded")]


@pytest.mark.parametrize(("cell", "phase"), most_telling(CELLS[0], CELLS[1], of=CELLS))
def test_the_controller_decides_at_the_tick_at_which_the_twin_reaches_the_bound_with_the_same_evidence(cell, phase):
    world = next(world for world in worlds() if world.name == cell)

    found = released((world, 3))

    assert found["phase"] == phase
    assert found["same"]
    assert found["gap"] < 1e-9
    assert found["looks"] > 10
