"""A status that somebody edited: what it says about traffic is kept, and it never ends a release by itself."""

import pytest

from controller.adapters.records import read_status

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
