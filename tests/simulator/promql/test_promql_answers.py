"""Every query of the list against the recorded answers of Prometheus 2.42 and 3.16, and that the list misses nothing."""

import json

import promql_third
import pytest
from promql_comparison import differences, same, simulated, tidy
from promql_reference import ANSWERS, queries, requests_of

from controller.api.promql import AGGREGATORS, FUNCTIONS
from controller.api.promql_facts import facts
from controller.api.promql_syntax import PromqlSyntaxError, tokens
from controller.simulator.promql.compile import supported_functions, supported_operators

RECORDED = json.loads(ANSWERS.read_text())


@pytest.fixture(scope="module")
def api():
    return simulated()


@pytest.mark.parametrize("query", queries())
def test_the_answer_is_the_recorded_one(api, query):
    ours = [tidy(*api.handle(path, params)) for path, params in requests_of(query)]

    assert differences(query, ours, RECORDED[query]) == []


@pytest.fixture(scope="module")
def third():
    return simulated(third=True)


@pytest.mark.parametrize("query", promql_third.recorded())
def test_the_answer_of_prometheus_3_is_the_recorded_one_unless_it_is_not_followed(third, query):
    ours = [tidy(*third.handle(path, params)) for path, params in requests_of(query)]

    assert bool(differences(query, ours, promql_third.recorded()[query])) is (query in promql_third.not_followed())


def test_what_is_not_followed_was_recorded():
    assert promql_third.not_followed() <= set(promql_third.recorded())


def test_the_list_has_more_than_four_hundred_queries_that_each_were_recorded():
    assert len(queries()) > 400
    assert set(queries()) == set(RECORDED)


def accepted():
    for query in queries():
        try:
            yield query, facts(query)
        except PromqlSyntaxError:
            continue


def test_the_list_has_every_function_and_aggregator():
    used = {name for _, found in accepted() for name in found.functions}

    assert used == supported_functions() | supported_operators()


def test_validation_knows_the_functions_that_are_evaluated():
    assert supported_functions() == FUNCTIONS
    assert supported_operators() == AGGREGATORS


def test_the_list_has_every_operator_modifier_and_matcher():
    used = {token.text for query, _ in accepted() for token in tokens(query)}
    words = "and or unless atan2 bool on ignoring group_left group_right by without offset start end"

    assert used >= {*words.split()} | {"=", "!=", "=~", "!~", "==", ">", "<", ">=", "<=", "+", "-", "*", "/", "%", "^", "@"}


def test_a_comparison_sees_a_difference_in_the_last_but_three_digits():
    assert same(["1.00000000000001"], ["1.00000000000001"])
    assert not same(["1.0000000001"], ["1"])
    assert not same(["NaN"], ["1"])
    assert not same({"a": "x"}, {"a": "y"})
