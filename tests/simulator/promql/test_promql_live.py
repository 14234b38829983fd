"""Our evaluator against the real Prometheus, 2 or 3, query by query; and the recorded answers against the real ones."""

import json
import random

import promql_third
import pytest
from promql_comparison import canonical, differences, simulated, tidy
from promql_random import RandomQueries
from promql_reference import ANSWERS, ask, is_third, prometheus, queries, requests_of

pytestmark = pytest.mark.prometheus


RANDOM_QUERIES = 600


@pytest.fixture(scope="module")
def client():
    with prometheus() as running:
        yield running


@pytest.fixture(scope="module")
def real(client):
    return {query: ask(client, query) for query in queries()}


def without_words(answer):
    """Of a failure only that it is one: which of several duplicates is named depends on the order of series."""
    return answer if answer[0] == 200 else answer[:1]


def test_ours_and_the_real_prometheus_do_not_differ_on_any_other_query(real):
    api = simulated(third=is_third())

    found = {query: differences(query, [tidy(*api.handle(*one)) for one in requests_of(query)], real[query]) for query in real}

    assert {query for query, pairs in found.items() if pairs} == (promql_third.not_followed() if is_third() else set())


def test_the_recorded_answers_are_what_prometheus_says_now(real):
    recorded = json.loads(ANSWERS.read_text()) | (promql_third.recorded() if is_third() else {})

    assert set(recorded) == set(real)
    assert [query for query in real if differences(query, real[query], recorded[query])] == []


def test_ours_and_the_real_prometheus_agree_on_random_queries(client):
    api, random_queries = (
        simulated(third=is_third()),
        RandomQueries(random.Random(2042), without=("stddev", "stdvar") if is_third() else ()),
    )

    for query in {random_queries.vector(depth % 3 + 1): None for depth in range(RANDOM_QUERIES)}:
        pairs = differences(query, [tidy(*api.handle(*one)) for one in requests_of(query)[:3]], ask(client, query, limit=3))

        assert [pair for pair in pairs if without_words(pair[0]) != without_words(pair[1])] == [], query


def test_the_order_of_sorted_answers_is_compared():
    first, second = ({"metric": {"a": name}, "value": [1, "2"]} for name in "bc")
    answer, other = ([200, {"resultType": "vector", "result": rows}] for rows in ([first, second], [second, first]))

    assert canonical(answer, ordered=False) == canonical(other, ordered=False)
    assert canonical(answer, ordered=True) != canonical(other, ordered=True)
