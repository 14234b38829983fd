"""What the API server itself refuses of a plan's checks, by the rules of the CRD."""

import pytest

from controller.ports import RELEASE_PLAN, RefusedError
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.store import ApiServer
from controller.simulator.definitions import all_definitions

ERRORS = {"name": "errors", "builtin": "error-rate"}


def create(check):
    server = ApiServer(lambda: 1_700_000_000.0)
    server.load(all_definitions())
    server.load([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}])
    spec = {"workload": "shop", "traffic": {"virtualService": "shop"}, "checks": [check]}
    body = {"apiVersion": RELEASE_PLAN.api_version, "kind": "ReleasePlan", "metadata": {"name": "shop"}, "spec": spec}
    return InMemoryKube(server, user="bob").create(RELEASE_PLAN, "shop", body)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"limit": {"max": 1}},
        {"method": "threshold", "limit": {"max": 1}},
        {"method": "sequential"},
        {"method": "sequential", "weight": 1},
        {"method": "sequential", "limit": {"max": 1}},
    ],
)
def test_a_check_has_a_limit_or_is_sequential(more):
    assert create(ERRORS | more)["spec"]["checks"] == [ERRORS | more]


def test_counters_and_gauges_are_checks_too():
    for check in (
        {"name": "own", "counters": {"total": "a", "bad": "b"}},
        {"name": "own", "counters": {"total": "a", "good": "b"}, "limit": {"max": 1}},
        {"name": "cpu", "builtin": "cpu", "method": "sequential", "limit": {"maxRatio": 1.2}},
        {"name": "own", "query": "up", "method": "sequential", "limit": {"minRatio": 0.8}},
    ):
        assert create(check)["spec"]["checks"] == [check]


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({"name": "cpu", "builtin": "cpu"}, "give a limit"),
        ({"name": "own", "query": "up"}, "give a limit"),
        (ERRORS | {"method": "threshold"}, "give a limit"),
        (ERRORS | {"method": "sequential", "limit": {"maxRatio": 1}}, "tolerance instead"),
        ({"name": "slow", "builtin": "latency", "method": "sequential", "limit": {"max": 1}}, "tolerance instead"),
        ({"name": "cpu", "builtin": "cpu", "method": "sequential"}, "give a limit"),
        ({"name": "own", "query": "up", "method": "sequential"}, "give a limit"),
        ({"name": "up", "builtin": "up", "method": "sequential", "limit": {"min": 1}}, "is for error-rate, latency, counters"),
        ({"name": "own", "query": "up", "counters": {"total": "a", "bad": "b"}}, "give one of builtin, query, counters"),
        (ERRORS | {"method": "other"}, "method"),
    ],
)
def test_other_checks_are_refused_with_what_to_say_instead(check, words):
    with pytest.raises(RefusedError, match=words):
        create(check)
