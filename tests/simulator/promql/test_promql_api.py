"""The HTTP API's shapes, numbers and errors; and the port of the controller over the same engine."""

import math

import pytest

from analysis.model import Sample, Series
from controller.ports import AnswerFault
from controller.simulator.promql.api import HttpApi
from controller.simulator.promql.engine import Engine
from controller.simulator.promql.gomath import api_float, divide, modulo, plain, power
from controller.simulator.promql.provider import SimulatedPrometheus
from controller.simulator.promql.storage import Store


@pytest.fixture
def engine():
    store = Store()
    for job, value in (("api", 1.5), ("db", math.inf)):
        store.append(store.series({"__name__": "load", "job": job}), 1000.25, value)
    return Engine(store)


@pytest.fixture
def api(engine):
    return HttpApi(engine, lambda: 1001.0)


def test_a_vector_has_values_as_strings_at_the_asked_time(api):
    assert api.handle("/api/v1/query", {"query": "load", "time": "1001.5"}) == (
        200,
        {
            "status": "success",
            "data": {
                "resultType": "vector",
                "result": [
                    {"metric": {"__name__": "load", "job": "api"}, "value": [1001.5, "1.5"]},
                    {"metric": {"__name__": "load", "job": "db"}, "value": [1001.5, "+Inf"]},
                ],
            },
        },
    )


def test_a_query_without_time_is_asked_now(api):
    assert api.handle("/api/v1/query", {"query": "time()"})[1]["data"] == {"resultType": "scalar", "result": [1001.0, "1001"]}


def test_a_time_may_be_rfc_3339(api):
    _, body = api.handle("/api/v1/query", {"query": "time()", "time": "1970-01-01T00:16:40.5Z"})

    assert body["data"]["result"] == [1000.5, "1000.5"]


def test_range_queries_step_from_start_to_end(api):
    _, body = api.handle("/api/v1/query_range", {"query": "load{job='api'}", "start": "990", "end": "1030", "step": "20s"})

    assert body["data"]["result"] == [{"metric": {"__name__": "load", "job": "api"}, "values": [[1010.0, "1.5"], [1030.0, "1.5"]]}]


@pytest.mark.parametrize(
    ("path", "params", "kind", "words"),
    [
        ("query", {"query": "sum("}, "bad_data", 'invalid parameter "query": 1:4: parse error: unclosed left parenthesis'),
        ("query", {}, "bad_data", "no expression found in input"),
        ("query", {"query": "1", "time": "noon"}, "bad_data", 'invalid parameter "time": cannot parse "noon"'),
        ("query", {"query": "1", "time": "1e400"}, "bad_data", 'invalid parameter "time": cannot parse "1e400"'),
        ("query_range", {"query": "1", "start": "0", "end": "0", "step": "1e-9"}, "bad_data", "zero or negative"),
        ("query", {"query": "mad_over_time(load[5m])"}, "bad_data", "does not know the function 'mad_over_time'"),
        ("query", {"query": "load * on() load"}, "execution", "many-to-many matching not allowed"),
        ("query", {"query": "limitk(1, load)"}, "bad_data", "does not know the aggregation operator 'limitk'"),
        ("query", {"query": "load{job=~'(?U)a+'}"}, "bad_data", "which the simulator does not support"),
        ("query_range", {"query": "1", "start": "5", "end": "1", "step": "1"}, "bad_data", "must not be before start time"),
        ("query_range", {"query": "1", "start": "0", "end": "1", "step": "0"}, "bad_data", "zero or negative"),
        ("query_range", {"query": "1", "start": "0", "end": "1", "step": "x"}, "bad_data", 'cannot parse "x" to a valid duration'),
        ("query_range", {"query": "1", "start": "0", "end": "20000", "step": "1"}, "bad_data", "exceeded maximum resolution"),
        ("query_range", {"query": "load[5m]", "start": "0", "end": "1", "step": "1"}, "bad_data", "must be Scalar or instant Vector"),
    ],
)
def test_errors_have_prometheus_status_and_kind(api, path, params, kind, words):
    code, body = api.handle(f"/api/v1/{path}", params)

    assert (code, body["status"], body["errorType"]) == ({"bad_data": 400, "execution": 422}[kind], "error", kind)
    assert words in body["error"]


def test_readiness_and_version_are_answered_and_other_paths_are_not(api):
    assert api.handle("/-/ready", {})[0] == 200
    assert api.handle("/api/v1/status/buildinfo", {})[1]["data"]["version"] == "2.42.0"
    assert api.handle("/api/v1/targets", {})[0] == 404


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.1, "0.1"),
        (1e21, "1e+21"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e-7, "1e-07"),
        (-0.0, "-0"),
        (1.5e-9, "1.5e-09"),
        (math.nan, "NaN"),
        (-math.inf, "-Inf"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
    ],
)
def test_samples_are_written_as_prometheus_writes_them(value, text):
    assert api_float(value) == text


def test_scalars_are_written_without_exponent():
    assert plain(1e-7) == "0.0000001"
    assert plain(1e22) == "10000000000000000000000"


def test_division_by_zero_and_its_kin_give_infinities_and_nan():
    assert (divide(1, 0), divide(-1, 0), divide(1, -0.0)) == (math.inf, -math.inf, -math.inf)
    assert math.isnan(divide(0, 0))
    assert math.isnan(modulo(5, 0))
    assert (power(-10, 401), power(10, 400), power(0, -1), power(-0.0, -1)) == (-math.inf, math.inf, math.inf, -math.inf)
    assert math.isnan(power(-8, 0.5))


def test_the_port_answers_with_samples_and_the_servers_clock(engine):
    prometheus = SimulatedPrometheus(engine, lambda: 1002.0)

    vector = prometheus.query("load{job='api'}", 1001)
    assert vector.series == (Series((("__name__", "load"), ("job", "api")), (Sample(1001.0, 1.5),)),)
    assert (vector.result_type, vector.server_time, vector.fault) == ("vector", 1002.0, None)

    matrix = prometheus.query("load{job='api'}[1m]", 1001)
    assert (matrix.result_type, matrix.series[0].samples) == ("matrix", (Sample(1000.25, 1.5),))
    assert prometheus.query("2 * 3", 1001).series == (Series((), (Sample(1001.0, 6.0),)),)
    assert prometheus.query("'x'", 1001).result_type == "string"


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("sum(", AnswerFault.BAD_QUERY),
        ("holt_winters(load[5m], 0.1, 0.1)", AnswerFault.BAD_QUERY),
        ("load * on() load", AnswerFault.NOT_EXECUTED),
    ],
)
def test_a_query_that_cannot_be_answered_is_a_fault_and_no_exception(engine, query, fault):
    answer = SimulatedPrometheus(engine, lambda: 1002.0).query(query, 1001)

    assert (answer.fault, answer.series) == (fault, ())
    assert answer.message
