"""Prometheus's clock and ours: what is asked for one moment must not be answered for another."""

from dataclasses import replace

import pytest

from analysis.model import Sample, Series
from controller.api.release import Phase
from controller.core import asking, reasons
from controller.core.decide import decide
from controller.core.readings import MAX_SKEW_SECONDS, of_one_clock
from controller.core.world import Measured, Measurement
from controller.ports import Answer, AnswerFault
from tests.core.releases import NOW, a_release

ONE = Series((), (Sample(NOW, 1.0),))


def answered(server_time, **more):
    return Measured({asking.TRAFFIC: Measurement(Answer((ONE,), "matrix", server_time=server_time, **more), query="up")})


@pytest.mark.parametrize(("skew", "words"), [(5.1, "5.1 s ahead"), (3600.0, "3,600.0 s ahead"), (-3600.0, "3,600.0 s behind")])
def test_an_answer_by_another_clock_is_none(skew, words):
    found = of_one_clock(answered(NOW + skew), NOW).answers[asking.TRAFFIC]

    assert (found.answer.fault, found.answer.series, found.query) == (AnswerFault.CLOCK_SKEW, (), "up")
    assert found.answer.message == f"{words}, limit {MAX_SKEW_SECONDS:g} s"


@pytest.mark.parametrize("server_time", [None, NOW, NOW - 4.9, float("nan")])
def test_an_answer_by_our_clock_or_by_none_is_left_alone(server_time):
    measured = answered(server_time)

    assert of_one_clock(measured, NOW) is measured


@pytest.mark.parametrize("phase", [Phase.SHIFTING, Phase.MEASURING])
@pytest.mark.parametrize("skew", [-3600.0, 3600.0])
def test_a_release_holds_at_once_and_names_the_clocks(phase, skew):
    w = a_release().at_stage(2, phase).world()

    decision = decide(w.subject, w.observed, answered(NOW + skew), NOW)

    assert (decision.status.phase, decision.status.reason) == (Phase.HOLDING, reasons.NO_DATA)
    assert "clock differs from the controller's: 3,600.0 s" in decision.status.message


@pytest.mark.parametrize("phase", [Phase.ROLLING_BACK, Phase.TEARING_DOWN])
def test_a_way_back_whose_clock_was_set_back_drains_for_as_long_as_the_plan_says_and_no_longer(phase):
    times = {"traffic_at": NOW + 600, "ready_at": NOW + 600, "healthy_at": NOW + 600}
    back = a_release().at_stage(2).rolling_back(phase, **times)

    rollback = back.decided().status.rollback
    again = replace(back, status=back.status.model_copy(update={"rollback": rollback})).decided()

    assert (rollback.traffic_at, rollback.ready_at, rollback.decided_at) == (NOW, NOW, NOW - 50)
    assert again.status.rollback.traffic_at == NOW


def test_clocks_of_two_controllers_that_differ_by_seconds_change_nothing():
    rollback = a_release().at_stage(2).rolling_back(Phase.TEARING_DOWN, traffic_at=NOW + 4).decided().status.rollback

    assert rollback.traffic_at == NOW + 4


def test_a_split_is_looked_for_since_now_where_the_clock_was_set_back():
    release = a_release().at_stage(2, Phase.SHIFTING)
    stages = [*release.status.stages[:-1], release.status.stages[-1].model_copy(update={"shifted_at": NOW + 600})]

    decision = replace(release, status=release.status.model_copy(update={"stages": stages})).decided()

    assert decision.status.stages[-1].shifted_at == NOW


@pytest.mark.parametrize("there", [a_release().in_phase(Phase.PREPARING), a_release().at_stage(1)], ids=["preparing", "measuring"])
def test_a_green_that_is_ready_by_a_clock_that_was_set_back_waits_for_the_proxies_anew_and_not_until_that_time(there):
    decision = replace(there, status=there.status.model_copy(update={"ready_at": NOW + 1_800})).decided()

    assert (decision.status.ready_at, decision.store) == (NOW, True)
