"""`noData.then`: what happens when the data stay away until the deadline."""

from pathlib import Path

import pytest

from controller.simulator.definitions import load_objects
from controller.simulator.run import run_objects
from controller.simulator.scenario import Fault, load

SUBSET = Path(__file__).parents[1] / "scenarios" / "subset"


def outage(then: str, lasts: str):
    """A release of the ten-line plan, with this policy, whose Prometheus goes away for a time in the first window."""
    scenario = next(s for s in load(SUBSET / "scenarios.yaml") if s.name == "requests")
    fault = Fault.model_validate({"kind": "prometheus-empty", "at": "2m", "lasts": lasts})
    expect = scenario.expect.model_copy(update={"within": None})
    story = scenario.model_copy(update={"people": [], "faults": [fault], "expect": expect})
    objects = [*load_objects(SUBSET / "world.yaml"), *load_objects(SUBSET / "plan.yaml")]
    objects[-1]["spec"]["checks"] = [
        {"name": "errors", "builtin": "error-rate", "limit": {"maxDifference": 1}, "noData": {"deadline": "5m", "then": then}}
    ]
    return run_objects(story, objects)


def test_rollback_is_what_happens_by_default_at_the_deadline():
    assert outage("rollback", "20m").status.rollback.reason == "NoDataDeadline"


@pytest.mark.long
def test_hold_goes_on_waiting_and_goes_on_by_itself_when_the_data_are_back():
    result = outage("hold", "20m")

    assert result.problems == [], "\n".join(map(str, result.transcript))


def test_an_outage_shorter_than_the_deadline_rolls_nothing_back():
    assert outage("rollback", "4m").problems == []
