"""No decision that breaks a rule is carried out: the release stops and says which one."""

from dataclasses import replace

import pytest

from analysis.model import Outcome
from controller.api.release import Phase
from controller.core import breach, reasons
from controller.core.commands import Decision, SetWeight
from tests.core.releases import a_release

AT_25 = a_release().at_stage(2)


def guarded(release, decision):
    return breach.guarded(release.world(), decision)


def entered(release, stage, grant, **last):
    """A decision that grants the given stage."""
    before = release.status
    stages = [*before.stages[:-1], before.stages[-1].model_copy(update=last)]
    while len(stages) <= stage:
        stages.append(stages[-1].model_copy(update={"verdict": None, "skipped": ""}))
    return Decision(status=before.model_copy(update={"stage": stage, "grant": grant, "stages": stages}))


def broken(release, decision):
    after = guarded(release, decision)
    return after.status.phase is Phase.HALTED and after.status.reason == reasons.BREACH and after.commands == ()


def test_more_than_the_grant_is_never_written():
    assert broken(AT_25, Decision(status=AT_25.status, commands=(SetWeight(50),)))


@pytest.mark.parametrize("weight", [101, 200])
def test_a_weight_beyond_everything_is_never_written(weight):
    generous = replace(AT_25, status=AT_25.status.model_copy(update={"grant": 500}))

    assert broken(generous, Decision(status=generous.status, commands=(SetWeight(weight),)))


def test_nothing_is_raised_after_a_rollback():
    back = AT_25.rolling_back(Phase.ROLLING_BACK)

    assert broken(back, Decision(status=back.status, commands=(SetWeight(25),)))


def test_a_grant_without_the_stored_verdict_of_the_stage_before_it_is_no_grant():
    assert broken(AT_25, entered(AT_25, 2, 50))
    assert broken(AT_25, entered(AT_25, 2, 50, verdict=Outcome.PASS)), "verdict and grant in one write"


def test_a_grant_never_jumps_a_stage_without_a_request():
    assert broken(AT_25.passed(), entered(AT_25.passed(), 3, 100))


def test_a_grant_that_was_earned_or_asked_for_goes_through():
    passed, asked = entered(AT_25.passed(), 2, 50), entered(AT_25, 2, 50, skipped="req-1")

    assert guarded(AT_25.passed(), passed) is passed
    assert guarded(AT_25, asked) is asked


def test_lowering_is_never_held_up():
    above = replace(AT_25, route=replace(AT_25.route, green_weight=80))
    down = Decision(status=above.status, commands=(SetWeight(25),))

    assert guarded(above, down) is down
