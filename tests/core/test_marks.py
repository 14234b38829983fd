"""The stages as the ticks of sequential checks see them."""

from analysis.model import Outcome
from controller.api.release import StageStatus
from controller.core.marks import marks_of
from tests.core.releases import a_release

SHIFTED = (100.0, 700.0, 1300.0)


def cut(*verdicts):
    """Of each stage whether the one before it was cut short, where the stages ended with these verdicts."""
    release = a_release()
    stages = [StageStatus(weight=w, shifted_at=at, verdict=v) for w, at, v in zip((5, 25, 100), SHIFTED, verdicts, strict=True)]
    status = release.status.model_copy(update={"stages": stages})
    return [mark.after_cut for mark in marks_of(release.plan, release.plan.checks[0], status)]


def test_a_stage_after_one_that_passed_may_go_by_what_blue_did_in_it():
    assert cut(Outcome.PASS, Outcome.PASS, None) == [False, False, False]


def test_one_that_a_person_cut_short_stands_for_nothing():
    assert cut(Outcome.PASS, None, None) == [False, False, True]
