"""Our evaluator against the real Prometheus, query by query; and the recorded answers against the real ones."""

import json
import os

import pytest
from promql_comparison import canonical, differences, simulated, tidy
from promql_reference import ANSWERS, BINARY, ask, prometheus, queries, requests_of

pytestmark = pytest.mark.prometheus


@pytest.fixture(scope="module")
def real():
    if BINARY is None:
        if os.environ.get("CI"):
            pytest.fail("prometheus is not installed: apt-get install prometheus")
        pytest.skip("prometheus is not installed")
    with prometheus() as client:
        yield {query: ask(client, query) for query in queries()}


def test_ours_and_the_real_prometheus_do_not_differ_on_any_query(real):
    api = simulated()

    found = {query: differences(query, [tidy(*api.handle(*one)) for one in requests_of(query)], real[query]) for query in real}

    assert {query: pairs for query, pairs in found.items() if pairs} == {}


def test_the_recorded_answers_are_what_prometheus_says_now(real):
    recorded = json.loads(ANSWERS.read_text())

    assert set(recorded) == set(real)
    assert [query for query in real if differences(query, real[query], recorded[query])] == []


def test_the_order_of_sorted_answers_is_compared():
    first, second = ({"metric": {"a": name}, "value": [1, "2"]} for name in "bc")
    answer, other = ([200, {"resultType": "vector", "result": rows}] for rows in ([first, second], [second, first]))

    assert canonical(answer, ordered=False) == canonical(other, ordered=False)
    assert canonical(answer, ordered=True) != canonical(other, ordered=True)
