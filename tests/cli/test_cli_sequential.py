"""What people see of sequential checks: both rates and the e-value against its bound, while it runs and afterwards."""

import re

import pytest

from controller.simulator import people
from controller.simulator.definitions import all_definitions, load_objects
from controller.simulator.simulation import Simulation
from tests.cli.cli_bed import Terminal
from tests.scenarios.test_scenarios import story
from tests.stories import played_in

SO_FAR = re.compile(r"[\d.]+ % vs [\d.]+ % \(limit [\d.]+ %, n = [\d,]+, e-value [\d.]+ of 100\)")


def terminal(name):
    folder, scenario = story(name)
    objects = [*load_objects(folder / scenario.world), *load_objects(folder / scenario.plan)]
    made = Terminal(Simulation(scenario, objects, all_definitions()))
    people.start(made.sim, "shop", "shop", scenario.release, name="shop-v2")
    return made


def after(name):
    """In front of what a story has left; nobody changes it."""
    _, sim = played_in(story(name)[0], name)
    return Terminal(sim)


@pytest.mark.long
def test_get_shows_the_evidence_while_the_window_runs():
    made = terminal("sequential-healthy")
    made.until(600)

    told = made.penstock("get", "shop-v2", "-n", "shop").out
    row = next(line for line in told.splitlines() if "> error-rate" in line)
    assert "so far" in row
    assert SO_FAR.search(row)


@pytest.mark.parametrize("name", ["sequential-latency"])
def test_get_and_why_say_that_the_dispersion_is_only_assumed(name):
    told = "Blue was not measured, so that a dispersion of at least 2 is assumed: error-rate, latency (penstock preflight shop measures it)"

    assert told in " ".join(after(name).penstock("get", "shop-v2", "-n", "shop").out.split())
    assert told in after(name).penstock("why", "shop-v2", "-n", "shop").out


@pytest.mark.parametrize("name", ["sequential-latency"])
def test_why_names_both_rates_the_edge_and_the_query_for_both_colours(name):
    told = after(name).penstock("why", "shop-v2", "-n", "shop").out

    assert re.search(r"latency: [\d.]+ % vs [\d.]+ % slower than 50 ms \(limit [\d.]+ %, n = \d+, e-value [\d,]+ of 100\)", told)
    assert "after the evidence began to grow" in told
    assert 'Query: both: {__name__=~"istio_request_duration_milliseconds|istio_request_duration_milliseconds_bucket",' in told


@pytest.mark.parametrize("name", ["sequential-latency"])
def test_history_has_the_decision_with_its_numbers(name):
    told = after(name).penstock("history", "shop-v2", "-n", "shop", "-o", "wide").out

    assert re.search(r"rollback .*latency: .* e-value [\d,]+ of 100", told)


@pytest.mark.long
@pytest.mark.parametrize("name", ["sequential-healthy"])
def test_history_has_the_evidence_of_every_stage_that_passed(name):
    told = after(name).penstock("history", "shop-v2", "-n", "shop").out
    found = re.findall(r"pass +(?:error-rate|latency): .* e-value [\d.]+ of 100( over all stages)?\)", told)

    assert found == ["", "", *[" over all stages"] * 6]


@pytest.mark.parametrize(
    ("name", "at", "words"),
    [
        ("sequential-objective-incident", 700, r"objective: .* \(limit 1 %, n = [\d,]+, e-value [\d.]+ of 100, beyond the limit whatever"),
        ("sequential-gauge-leaks", 1000, r"heap: .* \(now \+150 %, \+\d+ % on average, limit \+20 %, e-value [\d,]+ of 100\)"),
    ],
)
def test_why_says_which_check_asks_for_a_person_and_what_going_on_means(name, at, words):
    made = terminal(name)
    made.until(at)
    told = made.penstock("why", "shop-v2", "-n", "shop").out

    assert "Why:   A check asks for a person: " in told
    assert re.search(words, told)
    assert "penstock resume goes on with a new bet" in told
    assert "Query: " in told
    assert re.search(rf"> {words.partition(':')[0]} ", made.penstock("get", "shop-v2", "-n", "shop").out)


@pytest.mark.long
@pytest.mark.parametrize("name", ["sequential-own-healthy"])
def test_why_names_the_two_counters_of_each_colour(name):
    told = after(name).penstock("why", "shop-v2", "-n", "shop").out

    assert 'Query: green total: payments_total{namespace="shop",workload="shop-green"}[' in told
    assert 'Query: blue part: payments_paid_total{namespace="shop",workload="shop"}[' in told
