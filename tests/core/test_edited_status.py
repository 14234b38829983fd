"""A status that somebody edited, a spec of another version: what it says about traffic is kept, and it never ends a release by itself."""

from dataclasses import replace

import pytest

from controller.adapters.records import read_spec, read_status, read_subject
from controller.api.release import Phase, Verb
from controller.core import reasons
from controller.core.decide import decide
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


@pytest.mark.parametrize("field", ["weight", "observedWeight", "grant", "maxWeight"])
@pytest.mark.parametrize("number", [-5, 101])
def test_a_number_that_is_no_percentage_is_damage(field, number):
    status, damage = read_status({**SOUND, field: number})

    assert damage.startswith(f"{field}:")
    assert all(0 <= weight <= 100 for weight in (status.weight, status.observed_weight, status.grant, status.max_weight))


def damaged(release, **edit):
    """The decision about this release when its stored status has these fields instead."""
    w = release.world()
    status, damage = read_status({**w.status.model_dump(mode="json"), **edit})
    return decide(replace(w.subject, status=status, damage=damage), w.observed, w.measured, w.now)


@pytest.mark.parametrize("edit", [{"weight": -5}, {"weight": 105}, {"weight": -5, "grant": -5}, {"grant": 1000}], ids=str)
def test_a_weight_that_is_no_percentage_halts_the_release_and_moves_nobody_by_itself(edit):
    decision = damaged(a_release().at_stage(2), **edit)

    assert (decision.status.phase, decision.commands) == (Phase.HALTED, ())
    assert next(iter(edit)) in decision.status.message
    assert 0 <= decision.status.weight <= 25


def test_the_weight_of_such_a_release_is_the_one_of_its_routes():
    assert damaged(a_release().at_stage(2), weight=-5).status.weight == 25
    assert damaged(a_release().at_stage(2), weight=-5, grant=5).status.weight == 5


@pytest.mark.parametrize("edit", [{"weight": -5}, {"weight": -5, "grant": -5}], ids=str)
def test_such_a_release_is_rolled_back_when_somebody_asks(edit):
    halted = damaged(a_release().at_stage(2), **edit).status

    decision = replace(a_release().at_stage(2), status=halted).asked(Verb.ROLLBACK).decided()

    assert decision.status.phase is Phase.ROLLING_BACK
    assert [type(c).__name__ for c in decision.commands] == ["RollBackRoutes"]


def test_a_release_that_has_ended_is_mended_and_stays_ended():
    """Otherwise the server would take no further write of it, and its finalizer would stay."""
    decision = damaged(a_release().in_phase(Phase.ROLLED_BACK, weight=0, finished_at=1.0), grant=-5)

    assert (decision.status.phase, decision.status.grant, decision.store) == (Phase.ROLLED_BACK, 0, True)


SPEC = {"plan": "shop", "revision": "v2", "images": {"shop": "shop:2"}}


@pytest.mark.parametrize(
    ("edit", "plan", "revision"),
    [
        ({"kind": "canary"}, "shop", "v2"),
        ({"wave": 3}, "shop", "v2"),
        ({"images": "all"}, "shop", "v2"),
        ({"revision": "V_2"}, "shop", "V_2"),
        ({"revision": 2}, "shop", "unreadable"),
        ({"plan": None}, "unreadable", "v2"),
    ],
)
def test_of_a_spec_of_a_newer_version_is_read_what_can_be(edit, plan, revision):
    spec, unread = read_spec({**SPEC, **edit})

    assert unread.startswith(next(iter(edit)))
    assert (spec.plan, spec.revision) == (plan, revision)


@pytest.mark.parametrize("nonsense", [None, "?", [1], 5])
def test_a_release_whose_spec_and_status_are_no_objects_is_still_a_release(nonsense):
    meta = {"namespace": "shop", "name": "r", "uid": "u", "resourceVersion": "1"}

    subject = read_subject({"metadata": meta, "spec": nonsense, "status": nonsense})

    assert subject.unread
    assert subject.status.phase is Phase.QUEUED


def unread(release):
    """The decision about this release when its spec cannot be read."""
    w = release.world()
    return decide(replace(w.subject, unread="kind: found canary"), w.observed, w.measured, w.now)


class TestASpecThatCannotBeRead:
    def test_a_release_that_has_touched_nothing_is_refused(self):
        """Refused is final, so that nobody waits behind it."""
        decision = unread(a_release())

        assert (decision.status.phase, decision.status.reason, decision.commands) == (Phase.REFUSED, reasons.RELEASE_INVALID, ())
        assert "kind: found canary" in decision.status.message

    @pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.SHIFTING, Phase.MEASURING, Phase.HOLDING])
    def test_one_that_runs_stops_where_it_stands(self, phase):
        decision = unread(a_release().at_stage(2, phase))

        assert (decision.status.phase, decision.status.reason, decision.commands) == (Phase.HALTED, reasons.RELEASE_UNREAD, ())

    def test_it_stays_there_in_silence(self):
        assert not unread(a_release().at_stage(2, Phase.HALTED)).records

    def test_its_rollback_works(self):
        decision = unread(a_release().at_stage(2, Phase.HALTED).asked(Verb.ROLLBACK))

        assert [type(c).__name__ for c in decision.commands] == ["RollBackRoutes"]

    def test_so_does_its_deletion(self):
        decision = unread(replace(a_release().at_stage(2, Phase.HALTED), deleted=True))

        assert [type(c).__name__ for c in decision.commands] == ["RollBackRoutes"]

    def test_a_rollback_that_had_begun_goes_on(self):
        assert unread(a_release().at_stage(2).rolling_back()).status.phase is Phase.ROLLING_BACK

    def test_nothing_else_that_is_asked_is_done(self):
        (answer,) = unread(a_release().at_stage(2, Phase.HALTED).asked(Verb.RESUME)).commands

        assert (answer.accepted, answer.reason) == (False, reasons.RELEASE_UNREAD)
