"""The client and every built-in query against a real Prometheus."""

import time

import pytest

from analysis.model import Series
from controller.adapters.prometheus import HttpPrometheus
from controller.adapters.prometheus_config import Provider
from controller.api.plan import PlanSpec
from controller.api.plan_checks import BuiltIn
from controller.core.queries import Mesh, Naming, build_checks_queries, pair_of
from controller.ports import AnswerFault
from tests.bed.prometheus import Prometheus, Scrape
from tests.bed.waiting import eventually

pytestmark = pytest.mark.prometheus

PLAN = PlanSpec.model_validate({"workload": "shop", "traffic": {"virtualService": "shop"}})


@pytest.fixture(scope="module")
def prometheus():
    with Prometheus() as server:
        server.scrape([Scrape("self", server.url.removeprefix("http://"))])
        client = HttpPrometheus(Provider(name="real", url=server.url))
        eventually(lambda: client.query("up == 1", time.time()).series, 30, "its own first scrape")
        yield client
        client.close()


@pytest.mark.parametrize("builtin", list(BuiltIn))
@pytest.mark.parametrize("mesh", [Mesh(), Mesh(mode="subset", cluster="here"), Mesh(reporter="destination")])
def test_every_built_in_query_is_accepted_and_has_no_result_without_data(prometheus, builtin, mesh):
    pair = pair_of(PLAN, PLAN.all_members[0], Naming("prod", 0, mesh.mode))

    answer = prometheus.query(build_checks_queries(builtin, pair, "green", 60, mesh=mesh), time.time())

    assert (answer.fault, answer.series, answer.warnings) == (None, (), ())


def test_a_rate_of_a_metric_that_is_not_called_a_counter_is_a_whole_answer(prometheus):
    """Prometheus 2.48 and later has advice about it, up to 2.55 among its warnings."""
    answer = prometheus.query("sum(rate(process_cpu_seconds[10s])) or rate(process_resident_memory_bytes[10s])", time.time())

    assert (answer.fault, answer.warnings) == (None, ())


def test_a_range_gives_raw_samples_and_the_servers_clock(prometheus):
    before = time.time()
    answer = prometheus.query("up[60s]", before)
    after = time.time()

    assert (answer.result_type, type(answer.series[0])) == ("matrix", Series)
    # A Date names the whole second that has begun, somewhere between question and answer.
    assert before - 0.5 - (after - before) <= answer.server_time <= after + 0.5


@pytest.mark.parametrize(
    ("query", "words", "fault"),
    [
        ("sum(", "parse error", AnswerFault.BAD_QUERY),
        ("nosuch(up)", "unknown function", AnswerFault.BAD_QUERY),
        ("up * on() group_left() (up or vector(1))", "many-to-many", AnswerFault.NOT_EXECUTED),
    ],
)
def test_a_bad_query_is_refused_in_prometheuss_own_words(prometheus, query, words, fault):
    answer = prometheus.query(query, time.time())

    assert answer.fault is fault
    assert words in answer.message


def test_a_scalar_is_a_number(prometheus):
    assert prometheus.query("scalar(vector(7))", time.time()).series[0].samples[0].value == 7
