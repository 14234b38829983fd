"""Prometheus scrapes once a minute: a version that fails from its first request on goes back after the first scrape that shows it."""

import copy
from pathlib import Path

import pytest

from controller.api.release import Phase
from controller.simulator.definitions import load_objects
from controller.simulator.run import run_objects
from controller.simulator.scenario import Scenario

SHOP = Path(__file__).parents[2] / "examples" / "first-release"
SCRAPE = 60.0
POLLS = 20.0
"""The default trigger asks every ten seconds, and wants to see it twice."""

STAGES = {"by stages": [{"weight": 25, "window": "6m"}, {"weight": 100, "window": "6m"}], "at once": [{"weight": 100, "window": "6m"}]}


@pytest.mark.parametrize("stages", STAGES)
@pytest.mark.parametrize("delay", ["0s", "12s"])
def test_the_default_trigger_sees_a_bad_version_in_the_first_scrape(stages, delay):
    """By stages it came a minute later; after an instant switch it had no number of blue, and never fired."""
    objects = [copy.deepcopy(one) for name in ("world.yaml", "plan.yaml") for one in load_objects(SHOP / name)]
    plan = next(one for one in objects if one["kind"] == "ReleasePlan")["spec"]
    plan["traffic"]["scrapeInterval"] = f"{SCRAPE:g}s"
    # The trigger alone: no check looks before the window has ended.
    plan |= {
        "stages": STAGES[stages],
        "preparation": {"routeDelay": delay},
        "checks": [{"name": "up", "builtin": "up", "limit": {"min": 1}}],
    }
    said = {
        "name": "rare",
        "release": {"revision": "v2", "images": {"shop": "registry.example/shop:2.0"}},
        "users": [{"host": "shop.shop.svc.cluster.local", "rps": 100}],
        "versions": [{"image": "*:2.0", "errors": 0.3}, {"errors": 0.001}],
        "scrape": f"{SCRAPE:g}s",
        "expect": {"phase": "RolledBack"},
        "limit": "20m",
    }

    status = run_objects(Scenario.model_validate(said), objects).status

    assert (status.phase, status.rollback.check) == (Phase.ROLLED_BACK, "errors")
    assert status.rollback.decided_at - status.exposed_since <= SCRAPE + POLLS
