"""The built-in queries, evaluated over counters: the numbers they give, and when they give none."""

import pytest

from controller.api.plan import PlanSpec
from controller.api.plan_checks import BuiltIn
from controller.core.queries import Mesh, Naming, build_checks_queries, pair_of
from controller.simulator.promql.engine import Engine
from controller.simulator.promql.provider import SimulatedPrometheus
from controller.simulator.promql.storage import Store

PLAN = PlanSpec.model_validate(
    {"workload": "shop", "slots": [{"name": "a"}, {"name": "b", "suffix": "-green"}], "traffic": {"virtualService": "shop"}}
)
HOSTS = {"blue": "shop.prod.svc.cluster.local", "green": "shop-green.prod.svc.cluster.local"}


def world(*series, seconds=120, step=15):
    """A Prometheus over series of (metric, labels, rise a second, first value); a gauge rises by None."""
    store = Store()
    for metric, labels, rate, start in series:
        stored = store.series({"__name__": metric, **labels})
        for time in range(0, seconds + 1, step):
            store.append(stored, float(time), start + (rate or 0) * time)
    return SimulatedPrometheus(Engine(store), lambda: float(seconds))


def requests(colour, rate, *, code="200", workload=None, mode="host", protocol="http", grpc=None, reporter="source", cluster="here"):
    labels = {
        "reporter": reporter,
        "destination_service": HOSTS["blue" if mode == "subset" else colour],
        "destination_workload": workload or ("shop" if colour == "blue" else "shop-green"),
        "destination_workload_namespace": "prod" if workload is None else "unknown",
        "destination_cluster": cluster,
        "response_code": code,
        "request_protocol": protocol,
    }
    return "istio_requests_total", labels | ({"grpc_response_status": grpc} if grpc else {}), rate, 0.0


def ask(prometheus, builtin, colour="green", mode="host", **mesh):
    pair = pair_of(PLAN, PLAN.all_members[0], Naming("prod", 0, mode))
    answer = prometheus.query(build_checks_queries(builtin, pair, colour, 60, mesh=Mesh(mode=mode, **mesh), quantile=0.5), 120.0)
    assert answer.fault is None, answer.message
    assert len(answer.series) <= 1
    return answer.series[0].samples[0].value if answer.series else None


class TestErrorRate:
    def test_it_is_percent_of_all_requests(self):
        prometheus = world(requests("green", 9), requests("green", 1, code="503"))

        assert ask(prometheus, BuiltIn.ERROR_RATE) == pytest.approx(10)
        assert ask(prometheus, BuiltIn.SUCCESS_RATE) == pytest.approx(90)

    def test_without_an_error_series_it_is_zero(self):
        assert ask(world(requests("green", 9)), BuiltIn.ERROR_RATE) == 0

    @pytest.mark.parametrize("builtin", [BuiltIn.ERROR_RATE, BuiltIn.SUCCESS_RATE, BuiltIn.UNROUTED])
    def test_without_traffic_there_is_no_number(self, builtin):
        assert ask(world(requests("green", 0)), builtin) is None
        assert ask(world(), builtin) is None

    def test_only_errors_are_a_hundred_percent(self):
        assert ask(world(requests("green", 3, code="500")), BuiltIn.ERROR_RATE) == pytest.approx(100)

    def test_a_request_without_an_answer_is_an_error_and_a_404_is_none(self):
        assert ask(world(requests("green", 1, code="0"), requests("green", 3, code="404")), BuiltIn.ERROR_RATE) == pytest.approx(25)

    @pytest.mark.parametrize(("status", "percent"), [("14", 50), ("2", 50), ("13", 50), ("5", 0), ("16", 0)])
    def test_grpc_failures_hide_behind_200(self, status, percent):
        prometheus = world(requests("green", 1, protocol="grpc", grpc="0"), requests("green", 1, protocol="grpc", grpc=status))

        assert ask(prometheus, BuiltIn.ERROR_RATE) == pytest.approx(percent)

    def test_a_failed_grpc_request_counts_once(self):
        prometheus = world(requests("green", 1, protocol="grpc", grpc="14", code="503"), requests("green", 1, protocol="grpc", grpc="0"))

        assert ask(prometheus, BuiltIn.ERROR_RATE) == pytest.approx(50)

    def test_the_other_reporter_and_the_other_colour_are_not_added(self):
        prometheus = world(
            requests("green", 9), requests("green", 1, code="503"), requests("green", 9, reporter="destination"), requests("blue", 100)
        )

        assert ask(prometheus, BuiltIn.ERROR_RATE) == pytest.approx(10)

    def test_requests_that_reached_no_pod_count_for_their_host(self):
        prometheus = world(requests("green", 3), requests("green", 1, code="503", workload="unknown"))

        assert ask(prometheus, BuiltIn.ERROR_RATE) == pytest.approx(25)

    def test_in_subset_mode_they_carry_no_colour_and_are_unrouted(self):
        lost = requests("green", 2, code="503", workload="unknown", mode="subset")
        prometheus = world(requests("green", 3, mode="subset"), requests("blue", 5, mode="subset"), lost)

        assert ask(prometheus, BuiltIn.ERROR_RATE, mode="subset") == 0
        assert ask(prometheus, BuiltIn.UNROUTED, mode="subset") == pytest.approx(20)

    def test_samples_of_another_cluster_are_left_out_where_ours_is_known(self):
        prometheus = world(requests("green", 9), requests("green", 9, code="500", cluster="there"))

        assert ask(prometheus, BuiltIn.ERROR_RATE, cluster="here") == 0


class TestOthers:
    def test_the_request_rate_is_per_second(self):
        assert ask(world(requests("green", 4), requests("green", 1, code="500")), BuiltIn.REQUEST_RATE) == pytest.approx(5)

    def test_latency_is_a_quantile_in_milliseconds(self):
        labels = requests("green", 0)[1]
        rates = {"100": 5, "200": 10, "+Inf": 10}
        buckets = [("istio_request_duration_milliseconds_bucket", labels | {"le": le}, rate, 0.0) for le, rate in rates.items()]

        assert ask(world(*buckets), BuiltIn.LATENCY) == pytest.approx(100)

    def test_cpu_is_percent_of_the_limits_without_the_meshs_own_container(self):
        def pod(name, container="app"):
            return {"namespace": "prod", "pod": name, "container": container}

        prometheus = world(
            ("container_cpu_usage_seconds_total", pod("shop-green-7d9f-abcde"), 0.4, 0.0),
            ("container_spec_cpu_quota", pod("shop-green-7d9f-abcde"), None, 50_000.0),
            ("container_spec_cpu_period", pod("shop-green-7d9f-abcde"), None, 100_000.0),
            ("container_cpu_usage_seconds_total", pod("shop-green-7d9f-abcde", "istio-proxy"), 0.1, 0.0),
            ("container_cpu_usage_seconds_total", pod("shop-7d9f-abcde"), 9.0, 0.0),
        )

        assert ask(prometheus, BuiltIn.CPU) == pytest.approx(80)

    def test_cpu_without_a_limit_is_percent_of_the_request(self):
        pod = {"namespace": "prod", "pod": "shop-green-7d9f-abcde", "container": "app"}

        prometheus = world(("container_cpu_usage_seconds_total", pod, 0.25, 0.0), ("container_spec_cpu_shares", pod, None, 512.0))

        assert ask(prometheus, BuiltIn.CPU) == pytest.approx(50)

    def test_memory_is_percent_of_the_limit_and_none_without_one(self):
        pod = {"namespace": "prod", "pod": "shop-green-7d9f-abcde", "container": "app"}
        used = ("container_memory_working_set_bytes", pod, None, 75.0)

        assert ask(world(used, ("container_spec_memory_limit_bytes", pod, None, 100.0)), BuiltIn.MEMORY) == pytest.approx(75)
        assert ask(world(used, ("container_spec_memory_limit_bytes", pod, None, 0.0)), BuiltIn.MEMORY) is None

    def test_up_is_zero_as_soon_as_one_pod_is_down(self):
        states = {"aaaaa": 1.0, "bbbbb": 0.0}
        pods = [("up", {"namespace": "prod", "pod": f"shop-green-7d9f-{name}"}, None, value) for name, value in states.items()]

        assert ask(world(*pods), BuiltIn.UP) == 0
