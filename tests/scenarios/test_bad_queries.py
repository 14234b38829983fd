"""Queries of a plan that nobody can answer: said at the start of a release, and refused before green gets anything."""

from pathlib import Path

import pytest

from controller.simulator.crashes import Mode, Point, play
from controller.simulator.definitions import load_objects
from controller.simulator.invariants import watch
from controller.simulator.run import run_objects
from controller.simulator.scenario import Fault
from tests.stories import scenario_of

FIRST = Path(__file__).parents[2] / "examples" / "first-release"
GOOD = 'sum(rate(jobs_total{workload="$workload"}[$window]))'


NEWER = {"name": "mine", "query": 'sum(newer(jobs{a="$workload"}))', "limit": {"max": 1}}


def released(faults=(), seconds=60.0, *, story=None, away=False, **spec):
    """The ten-line plan with more in it, released in its world; what it says after so many seconds. `story` changes the scenario.

    `away`: no Prometheus answers when the release begins; from five seconds on it does.
    """
    objects = [*load_objects(FIRST / "world.yaml"), *load_objects(FIRST / "plan.yaml")]
    plan = next(one for one in objects if one["kind"] == "ReleasePlan")
    plan["spec"] |= spec
    scenario = scenario_of(FIRST / "scenarios", "healthy")
    faults = [*faults, *([Fault(kind="prometheus-down", at=0.0, lasts=5.0)] if away else [])]

    def prepare(sim):
        sim.prometheus.fault = "prometheus-down" if away else ""

    return run_objects(scenario.model_copy(update={"limit": seconds, "faults": faults, **(story or {})}), objects, prepare=prepare).status


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({"checks": [{"name": "mine", "query": 'sum(jobs{a="$nope"})', "limit": {"max": 1}}]}, "mine"),
        ({"checks": [{"name": "mine", "query": 'sum(jobs{a="b$"})', "limit": {"max": 1}}]}, "mine"),
        ({"checks": [{"name": "own", "counters": {"total": GOOD, "bad": 'bad{a="$nope"}'}}]}, "own"),
        ({"triggers": [{"name": "mine", "query": 'sum(jobs{a="$nope"})', "limit": {"max": 1}}]}, "mine"),
    ],
)
def test_a_parameter_that_nobody_can_fill_in_is_refused_before_anything_is_touched(spec, name):
    status = released(**spec)

    assert (status.phase, status.reason, status.max_weight) == ("Refused", "PlanInvalid", 0)
    assert f"{name}: " in status.message
    assert "$" in status.message


def test_what_is_no_promql_that_we_know_is_said_at_the_start_with_its_place():
    """Only the Prometheus that gets it knows: it may be newer than our parser, or speak more than PromQL."""
    status = released(away=True, checks=[NEWER], seconds=15.0)

    said = [warning for warning in status.warnings if "mine" in warning]
    assert status.phase != "Refused"
    assert said == ["Prometheus may refuse a query of the plan: mine: line 1, column 5: unknown function with name 'newer'"]


@pytest.mark.parametrize("spec", [{"checks": [NEWER]}, {"triggers": [NEWER]}])
def test_what_its_prometheus_refuses_as_no_query_is_refused_before_anything_is_touched(spec):
    status = released(**spec)

    assert (status.phase, status.reason, status.blue_slot, status.objects) == ("Refused", "QueryRefused", -1, [])
    assert "mine: 1:5: parse error: unknown function" in status.message


def test_where_its_prometheus_was_away_at_the_start_green_goes_back_before_it_has_had_a_request():
    status = released(away=True, seconds=900.0, checks=[NEWER])

    assert (status.phase, status.rollback.reason, status.max_weight, status.exposed_since) == ("RolledBack", "QueryRefused", 0, 0.0)
    assert "mine: 1:5: parse error: unknown function" in status.rollback.message


def test_all_that_its_prometheus_refuses_is_named_at_once():
    other = {"name": "other", "query": 'sum(older(jobs{a="$workload"}))', "limit": {"max": 1}}
    status = released(checks=[NEWER, other])

    assert "mine: 1:5: parse error" in status.message
    assert "; other: 1:5: parse error" in status.message


@pytest.mark.parametrize("spec", [{"checks": [{**NEWER, "observe": True}]}, {"triggers": [{**NEWER, "observe": True}]}])
def test_what_is_only_observed_never_sends_green_back_also_where_it_is_no_query(spec):
    status = released(**spec)

    assert (status.weight, status.rollback) == (5, None)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"checks": [{"name": "mine", "query": GOOD, "limit": {"max": 1}, "member": "nope"}]}, "mine: found the member nope"),
        ({"checks": [{"name": "errors", "builtin": "error-rate", "member": "nope"}]}, "errors: found the member nope"),
        ({"triggers": [{"name": "mine", "builtin": "error-rate", "limit": {"max": 1}, "member": "nope"}]}, "mine: found the member nope"),
        (
            {"checks": [{"name": "errors", "builtin": "error-rate", "stages": [33]}]},
            "errors: found a stage of 33 %, expected one of 5, 25,",
        ),
        ({"triggers": [{"name": "mine", "query": GOOD, "limit": {"max": 1}, "together": "nope"}]}, "mine: found the group nope"),
    ],
)
def test_a_name_that_the_plan_does_not_have_is_refused_before_anything_is_touched(spec, words):
    """Nobody could put such a question: the release would wait for its answer for ever, with green at its first weight."""
    status = released(**spec)

    assert (status.phase, status.reason, status.max_weight) == ("Refused", "PlanInvalid", 0)
    assert words in status.message


@pytest.mark.parametrize(("interval", "phase"), [("999ms", "Refused"), ("1s", "Measuring")])
def test_a_trigger_that_is_asked_more_often_than_once_a_second_is_refused_before_anything_is_touched(interval, phase):
    status = released(triggers=[{"name": "mine", "builtin": "error-rate", "limit": {"max": 5}, "interval": interval}])

    assert status.phase == phase
    assert status.phase != "Refused" or "mine: found an interval of 0.999 s, expected 1 s or more" in status.message


MINE = [{"name": "mine", "query": GOOD, "limit": {"max": 1}}]


@pytest.mark.parametrize(
    "spec", [{}, {"checks": MINE}, {"checks": MINE, "triggers": [], "traffic": {"virtualService": "shop", "metrics": "none"}}]
)
@pytest.mark.parametrize("kind", ["prometheus-down", "prometheus-error", "prometheus-slow"])
def test_green_gets_no_request_while_nobody_could_judge_it(kind, spec):
    """Its share of the users would have nobody who sees it fail, for as long as the plan waits for data."""
    away = [Fault(kind=kind, at=0.0, lasts=50.0)]
    during, after = released(away, seconds=45.0, **spec), released(away, seconds=100.0, **spec)

    assert (during.phase, during.reason, during.max_weight, during.hold.phase) == ("Holding", "NoData", 0, "Preparing")
    assert (after.weight, after.rollback, after.hold) == (5, None, None)


def test_where_nobody_could_judge_it_for_too_long_green_goes_without_a_request():
    status = released([Fault(kind="prometheus-down", at=0.0, lasts=3_600.0)], seconds=1_200.0)

    assert (status.phase, status.rollback.reason, status.max_weight) == ("RolledBack", "NoDataDeadline", 0)
    assert status.message.endswith("connection refused. Green never had traffic.")


def test_a_service_without_a_request_has_no_samples_and_may_begin():
    """No samples are no fault: what is not called yet cannot be counted."""
    assert released(story={"users": []}).weight == 5


def test_a_query_that_fails_for_what_it_finds_may_be_answered_later():
    many = 'istio_requests_total{destination_workload=~"$workload.*"} / on (reporter) istio_requests_total'
    status = released(checks=[{"name": "mine", "query": many, "limit": {"max": 1}}])

    assert (status.weight, status.rollback) == (5, None)


def test_a_good_query_has_nothing_said_about_it():
    status = released(checks=[{"name": "mine", "query": GOOD, "limit": {"max": 1}}])

    assert not [warning for warning in status.warnings if "query" in warning]


@pytest.mark.long
@pytest.mark.parametrize("mode", [Mode.CRASH_BEFORE, Mode.CRASH_AFTER, Mode.CONFLICT])
def test_a_controller_that_is_killed_while_it_waits_for_prometheus_goes_on_waiting(mode):
    scenario = scenario_of(FIRST / "scenarios", "healthy")
    away = scenario.model_copy(update={"faults": [Fault(kind="prometheus-down", at=0.0, lasts=50.0)]})

    for number in range(1, 30, 3):
        assert play(away, FIRST / "scenarios", Point(number, mode), watch).result.problems == []


def test_a_trigger_that_nobody_ever_answered_is_named_when_a_stage_passes():
    """A release that was watched by nothing is no release that was found good."""
    silent = {"name": "mine", "query": 'sum(nothing{workload="$workload"})', "limit": {"max": 1}}
    watched = {"name": "errors", "builtin": "error-rate", "limit": {"max": 5}}
    stages = [{"weight": 20, "window": "95s", "warmUp": "5s"}, {"weight": 100, "window": "95s"}]
    status = released(seconds=200.0, checks=[], triggers=[silent, watched], stages=stages)

    assert status.stage == 1
    assert [warning for warning in status.warnings if "mine" in warning] == [
        "A stage has passed without one answer to a trigger, so that nobody watches by it: mine"
    ]
