"""A listed bypass rule that somebody takes off, or turns away from green, in mid-release: obeyed, and a person says what comes next."""

from dataclasses import replace

import pytest

from controller.api.release import Phase, Verb
from controller.core import reasons
from controller.core.commands import SetWeight
from tests.core.releases import NOW, a_release


def turned(release):
    return replace(release, route=replace(release.route, bypass_stale=True))


@pytest.mark.parametrize(("stage", "phase"), [(1, Phase.SHIFTING), (2, Phase.MEASURING), (4, Phase.BAKING)])
def test_the_release_holds_for_a_person_and_writes_nothing_there(stage, phase):
    decision = turned(a_release().at_stage(stage, phase)).decided()

    assert (decision.status.phase, decision.status.reason) == (Phase.HOLDING, reasons.ROUTE_CHANGED)
    assert (decision.commands, decision.status.hold.waits_for) == ((), "operator")
    assert "penstock resume sends it to green again" in decision.status.message


def test_also_where_it_held_for_data_and_would_have_gone_on_by_itself():
    held = turned(a_release().at_stage(1, Phase.SHIFTING).holding(reasons.NOT_SETTLED, until=NOW + 100))

    assert (held.decided().status.reason, held.decided().commands) == (reasons.ROUTE_CHANGED, ())


def test_resume_points_it_at_green_again():
    held = turned(a_release().at_stage(1).holding(reasons.ROUTE_CHANGED, waits_for="operator"))
    resumed = held.asked(Verb.RESUME).decided()
    after = replace(held, status=resumed.status).decided()

    assert resumed.status.phase is Phase.SHIFTING
    assert after.commands == (SetWeight(5),)


def test_rules_that_this_stage_has_yet_to_write_are_nobodys_deed():
    fresh = a_release().at_stage(1, Phase.SHIFTING)
    stages = [fresh.status.stages[0].model_copy(update={"shifted_at": 0.0})]
    begun = turned(replace(fresh, status=fresh.status.model_copy(update={"stages": stages})))

    assert begun.decided().commands == (SetWeight(5),)
