"""What the swarm has found, each as the smallest run that shows it."""

from functools import cache
from pathlib import Path

import pytest

from controller.simulator.crashes import Mode, Point, play
from controller.simulator.invariants import watch
from controller.simulator.scenario import Scenario, load
from tests.sizes import most_telling

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "first-release" / "scenarios"


def healthy(**changes) -> Scenario:
    (scenario,) = load(FOLDER / "healthy.yaml")
    return Scenario.model_validate(scenario.model_dump(exclude_unset=True, by_alias=True) | changes)


@cache
def advanced_in_the_bake():
    """A request that ends the release, and that release undisturbed."""
    scenario = healthy(people=[{"at": "27m", "verb": "advance"}], expect={"phase": "Succeeded"})
    return scenario, play(scenario, FOLDER, None, watch)


@pytest.mark.long
@pytest.mark.parametrize("mode", most_telling(Mode.ERROR, of=[Mode.ERROR, Mode.CRASH_BEFORE, Mode.CONFLICT, Mode.LATE_3]))
def test_a_request_that_ends_the_release_is_accepted_although_its_first_answer_is_lost(mode):
    """Seed 40: the answer met a 500, the next look saw a release that had ended, and refused what had been done."""
    scenario, clean = advanced_in_the_bake()
    answers = [write.number for write in clean.writes if write.kind == "ReleaseRequest"]
    assert (len(answers), clean.result.problems) == (1, [])

    assert play(scenario, FOLDER, Point(answers[0], mode), watch).result.problems == []


@pytest.mark.long
def test_an_advance_while_the_last_weight_is_still_on_the_way_is_refused():
    """Seed 1385: it ended the release from Shifting, which no table allows, so that every look failed."""
    scenario = healthy(people=[{"at": "1105s", "verb": "advance"}], expect={"phase": "Succeeded", "minWeight": 100})

    story = play(scenario, FOLDER, None, watch).result

    assert story.problems == []
    assert any("advance" in line.text for line in story.transcript)
    assert story.status.requests == []


def test_green_has_nothing_any_more_once_its_subset_is_deleted():
    """Seed 1147: its pods were ready, and no proxy could have found them. Its share of the users got errors, so everybody goes back."""
    delete = {"kind": "delete", "at": "6m", "target": "DestinationRule shop/shop"}
    scenario = healthy(faults=[delete], expect={"phase": "RolledBack", "maxWeight": 5})

    story = play(scenario, FOLDER, None, watch).result

    assert story.problems == []
    assert story.status.rollback.reason == "ClusterGone"


@pytest.mark.long
def test_green_gets_no_more_before_the_proxies_know_its_pods_again():
    """Seed 900: the gate opened the moment the pods were back, and the weight was there before the endpoints."""
    away = {"kind": "unready", "at": "370s", "lasts": "10s", "target": "Deployment shop/shop-green"}

    story = play(healthy(faults=[away]), FOLDER, None, watch).result

    assert story.problems == []
    raised = next(line.at for line in story.transcript if "Green may have 25 %" in line.text)
    assert raised >= 380 + 12
