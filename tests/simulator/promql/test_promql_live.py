"""Our evaluator against the real Prometheus, query by query; and the recorded answers against the real ones."""

import json
import os

import pytest
from promql_reference import ANSWERS, BINARY, ask, prometheus, queries

pytestmark = pytest.mark.prometheus


@pytest.fixture(scope="module")
def client():
    if BINARY is None:
        if os.environ.get("CI"):
            pytest.fail("prometheus is not installed: apt-get install prometheus")
        pytest.skip("prometheus is not installed")
    with prometheus() as running:
        yield running


def test_the_recorded_answers_are_what_prometheus_says_now(client):
    recorded = json.loads(ANSWERS.read_text())

    live = {query: ask(client, query) for query in queries()}

    assert [query for query in live if canonical(live[query]) != canonical(recorded.get(query, []))] == []
    assert set(recorded) == set(live)
