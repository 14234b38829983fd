"""What `docs/comparison.md` says of Penstock where no other test shows it: unready pods on either side delay no rollback."""

from pathlib import Path

import pytest

from controller.api.release import Phase
from controller.simulator.run import run_scenario
from controller.simulator.scenario import Pods, load

SCENARIOS = Path(__file__).parents[2] / "examples" / "first-release" / "scenarios"


@pytest.mark.long
@pytest.mark.parametrize(("image", "age"), [("*:1.0", 690.0), ("*:2.0", 390.0)], ids=["blue", "green"])
def test_pods_that_are_not_ready_any_more_delay_no_rollback(image, age):
    """They begin to crash while green has 25 %, just before its errors are seen; blue's are five minutes older."""
    crashing = [Pods(image=image, crash_after=age)]
    scenario = load(SCENARIOS / "fails-at-25.yaml")[0].model_copy(update={"pods": crashing})

    status = run_scenario(scenario, SCENARIOS).status

    assert status.rollback.traffic_at - status.rollback.decided_at < 30
    assert status.max_weight == 25
    assert status.phase is Phase.ROLLED_BACK
