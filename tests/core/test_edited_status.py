"""A status that somebody edited: what it says about traffic is kept, and it never ends a release by itself."""

from dataclasses import replace

import pytest

from controller.adapters.records import read_status
from controller.api.release import Phase, Verb
from tests.core.releases import a_release

SOUND = {"phase": "Measuring", "weight": 5, "grant": 5, "stage": 0, "blueSlot": 0}


def test_a_sound_status_is_read_as_it_is():
    assert read_status(SOUND)[1] == ""


@pytest.mark.parametrize(
    "edit",
    [
        {"phase": "Foo"},
        {"phase": "RolledBack"},
        {"phase": "Succeeded"},
        {"phase": "Succeeded", "finishedAt": 1.0},
        {"phase": "RolledBack", "finishedAt": 1.0},
        {"hold": "soon"},
        {"stages": {"no": "list"}},
    ],
)
def test_an_edited_status_is_damage_and_keeps_what_can_be_read(edit):
    status, damage = read_status({**SOUND, **edit})

    assert damage
    assert status.weight == 5


def test_a_release_that_ended_rightly_is_no_damage():
    assert read_status({**SOUND, "phase": "RolledBack", "weight": 0, "finishedAt": 1.0})[1] == ""
    assert read_status({**SOUND, "phase": "Succeeded", "weight": 100, "grant": 100, "finishedAt": 1.0})[1] == ""
    assert read_status({**SOUND, "phase": "Succeeded", "weight": 0, "returnedAt": 1.0, "finishedAt": 1.0})[1] == ""


LOST_STAGES = [{"stage": 99}, {"stage": 99, "grant": 100}, {"stage": -1}, {"stage": -7}, {"stages": []}]


def edited(phase, **changes):
    return a_release().at_stage(2, phase).in_phase(phase, **changes)


@pytest.mark.parametrize("edit", LOST_STAGES, ids=str)
@pytest.mark.parametrize("phase", [Phase.SHIFTING, Phase.MEASURING])
def test_a_stage_that_does_not_exist_halts_the_release_in_the_stage_of_the_written_weight(phase, edit):
    """Every look would end with a defect otherwise: no trigger would act, and no rollback would be answered."""
    decision = edited(phase, **edit).decided()

    assert decision.status.phase is Phase.HALTED
    assert "stage: found" in decision.status.message
    assert (decision.status.stage, [s.weight for s in decision.status.stages]) == (1, [5, 25])
    assert not decision.commands


@pytest.mark.parametrize("edit", LOST_STAGES, ids=str)
@pytest.mark.parametrize(("verb", "then"), [(Verb.ROLLBACK, Phase.ROLLING_BACK), (Verb.RESUME, Phase.SHIFTING)])
def test_after_it_a_person_can_go_both_ways(edit, verb, then):
    halted = edited(Phase.MEASURING, **edit).decided().status

    decision = replace(a_release().at_stage(2), status=halted).asked(verb).decided()

    assert decision.status.phase is then
    assert max(decision.status.weight, decision.status.stages[decision.status.stage].weight) <= 25


@pytest.mark.parametrize("phase", [Phase.ROLLING_BACK, Phase.TEARING_DOWN])
def test_the_way_back_asks_for_no_stage(phase):
    assert "stage: found" not in a_release().at_stage(2).rolling_back(phase).in_phase(phase, stage=99).decided().status.message
