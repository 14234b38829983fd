"""Users' requests become Istio's counters and histograms."""

import math

import pytest
from istiod_cases import START, fixed_objects, slice_of
from mesh_bed import HOST, a_mesh, mesh_slice, virtual_service

from controller.ports import ENDPOINT_SLICE, POD, VIRTUAL_SERVICE
from controller.simulator.mesh.answers import Request
from controller.simulator.mesh.app_metrics import AppMetric
from controller.simulator.mesh.behaviour import Behaviour, Latency, Selector, Steps, steady
from controller.simulator.mesh.mesh import Delay
from controller.simulator.mesh.metrics import ISTIO_EDGES
from controller.simulator.mesh.traffic import Source, Traffic, TrafficSettings
from controller.simulator.promql.storage import Store
from tests.speed import cost_ms

GREEN = Selector(version="v2")


class Scene:
    """A mesh with users, scraped into the simulated Prometheus's own store."""

    def __init__(
        self,
        weights=(90, 10),
        *,
        rate=None,
        names=("app",),
        delays=None,
        proxy="app",
        grpc=False,
        app_metrics=(),
        behaviours=(),
        **settings,
    ):
        self.mesh = a_mesh(virtual_service(*weights), names=names, delays=delays)
        self.weights, self.store = weights, Store()
        sources = [Source("users", proxy, Request(HOST), rate or steady(100.0), grpc=grpc)]
        settings = TrafficSettings(start=START, **settings)
        self.traffic = Traffic(self.mesh, sources, self.store, behaviours=behaviours, app_metrics=app_metrics, settings=settings)

    def shift(self, weights, at):
        self.until(at)
        self.mesh.apply(VIRTUAL_SERVICE, virtual_service(*self.weights), virtual_service(*weights), START + at)
        self.weights = weights

    def until(self, seconds):
        self.mesh.advance(START + seconds)
        self.traffic.advance(START + seconds)
        return self

    def scrape(self, seconds, **more):
        self.until(seconds).traffic.scrape(START + seconds, **more)
        return self

    def series(self, name="istio_requests_total", **labels):
        return [s.brought() for s in self.store.pool(name) if labels.items() <= dict(s.labels).items()]

    def total(self, name="istio_requests_total", **labels):
        return sum(series.values[-1] for series in self.series(name, **labels) if series.times and not series.stale)


def owned(pod):
    """The pod as one of a Deployment `blue`."""
    meta = pod["metadata"]
    owner = {"kind": "ReplicaSet", "name": "blue-abc", "controller": True}
    return {**pod, "metadata": {**meta, "labels": {**meta["labels"], "pod-template-hash": "abc"}, "ownerReferences": [owner]}}


class TestCounters:
    def test_each_reporter_counts_every_request_once_by_weight(self):
        scene = Scene().scrape(10)

        for reporter in ("source", "destination"):
            assert scene.total(reporter=reporter, destination_version="v1") == pytest.approx(900)
            assert scene.total(reporter=reporter, destination_version="v2") == pytest.approx(100)

    def test_labels_are_those_of_istio(self):
        [green] = Scene().scrape(10).series(reporter="destination", destination_version="v2")

        assert {
            "source_workload": "app",
            "source_workload_namespace": "app",
            "destination_workload": "green-1",
            "destination_workload_namespace": "shop",
            "destination_service": "shop-green.shop.svc.cluster.local",
            "destination_service_name": "shop-green",
            "destination_service_namespace": "shop",
            "destination_canonical_service": "shop",
            "destination_canonical_revision": "v2",
            "destination_cluster": "Kubernetes",
            "response_code": "200",
            "response_flags": "-",
            "request_protocol": "http",
            "connection_security_policy": "mutual_tls",
        }.items() <= dict(green.labels).items()

    def test_a_new_split_counts_from_the_moment_at_which_the_proxy_applied_it(self):
        scene = Scene((100, 0), delays={"routes": Delay(30, 30)})
        scene.shift((0, 100), at=10)
        scene.scrape(60)

        assert scene.total(reporter="source", destination_version="v2") == pytest.approx(100 * (60 - 40.1))

    def test_a_series_begins_with_its_first_request(self):
        scene = Scene((100, 0)).scrape(10)
        scene.shift((90, 10), at=12)
        before = scene.series(reporter="source", destination_version="v2")
        scene.scrape(20)

        assert before == []
        assert len(scene.series(reporter="source", destination_version="v2")) == 1

    def test_errors_of_the_proxy_are_seen_by_the_source_only(self):
        scene = Scene()
        service = {"name": "shop-green", "namespace": "shop", "ports": [{"name": "http", "targetPort": 8080}]}
        scene.mesh.apply(ENDPOINT_SLICE, mesh_slice(service), slice_of(service, []), START)
        scene.scrape(10)

        assert scene.total(reporter="source", response_code="503", response_flags="UH", destination_workload="unknown") == pytest.approx(
            100, rel=0.02
        )
        assert scene.total(reporter="destination", response_code="503") == 0

    @pytest.mark.parametrize(("proxy", "flag", "told"), [("app", "NC", HOST), ("gw", "NR", "unknown")])
    def test_a_request_without_a_cluster_carries_the_host_that_was_asked_for_and_at_a_gateway_none(self, proxy, flag, told):
        """The Service's name is told by the cluster. Where there is none a sidecar falls back to the Host header."""
        scene = Scene((100, 0), proxy=proxy, names=("app", "gw"))
        lost = virtual_service(100, 0)
        lost["spec"]["http"][0]["route"][0]["destination"]["host"] = "nowhere"
        scene.mesh.apply(VIRTUAL_SERVICE, virtual_service(100, 0), lost, START)
        scene.scrape(10)

        assert scene.total(response_flags=flag, destination_service=told, destination_workload="unknown") > 0
        assert scene.total(response_flags=flag) == scene.total(response_flags=flag, destination_service=told)

    def test_grpc_failures_are_200_with_a_status(self):
        scene = Scene(grpc=True, behaviours=[Behaviour(of=GREEN, error_rate=steady(0.25))]).scrape(10)

        assert scene.total(reporter="source", response_code="200", grpc_response_status="13") == pytest.approx(25)

    def test_the_rate_may_change_in_steps(self):
        scene = Scene(rate=Steps(((0.0, 10.0), (100.0, 50.0)))).scrape(200)

        assert scene.total(reporter="source") == pytest.approx(10 * 100 + 50 * 100)

    def test_random_counts_are_whole_and_the_same_for_the_same_seed(self):
        first, again, other = (Scene(fluid=False, seed=seed).scrape(60).total(reporter="source") for seed in (1, 1, 2))

        assert first == again != other
        assert first == int(first)
        assert abs(first - 6000) < 5 * math.sqrt(6000)

    @pytest.mark.parametrize("fluid", [True, False])
    def test_mirrored_requests_are_counted_by_the_pods_only(self, fluid):
        scene = Scene((100, 0), fluid=fluid)
        new = virtual_service(100, 0)
        new["spec"]["http"][0] |= {"mirror": {"host": "shop-green"}, "mirrorPercentage": {"value": 25}}
        scene.mesh.apply(VIRTUAL_SERVICE, virtual_service(100, 0), new, START)
        scene.scrape(100)

        assert scene.total(reporter="destination", destination_version="v2") == pytest.approx(2500, rel=0.1)
        assert scene.total(reporter="source", destination_version="v2") == 0
        assert scene.total(reporter="source", destination_version="v1") == pytest.approx(10_000, rel=0.05)

    def test_a_pod_that_is_gone_ends_its_series(self):
        scene = Scene().scrape(10)
        pod = next(o for o in fixed_objects() if o["kind"] == "Pod" and o["metadata"]["name"] == "green-1")
        scene.mesh.apply(POD, pod, None, START + 11)
        scene.scrape(15)
        [green] = scene.series(reporter="destination", destination_version="v2")

        assert list(green.stale) == [round((START + 15) * 1000)]

    def test_the_source_goes_on_counting_when_the_reporting_pod_of_a_version_ends(self):
        scene = Scene((100, 0))
        pods = [owned(obj) for obj in fixed_objects() if obj["kind"] == "Pod" and obj["metadata"]["name"].startswith("blue")]
        for pod in pods:
            scene.mesh.apply(POD, None, pod, START)
        scene.mesh.settle(START)
        scene.scrape(10)
        scene.mesh.apply(POD, pods[0], None, START + 10)
        scene.scrape(20)
        [source] = scene.series(reporter="source")
        pods_named = {dict(series.labels)["pod"] for series in scene.series(reporter="destination")}

        assert list(source.values) == pytest.approx([1000, 2000])
        assert pods_named == {"blue-1", "blue-2"}

    def test_requests_to_a_pod_that_is_gone_go_to_another_one_or_fail(self):
        scene = Scene((50, 50), delays={"endpoints": Delay(60, 60)})
        for name in ("blue-1", "green-1"):
            pod = next(o for o in fixed_objects() if o["kind"] == "Pod" and o["metadata"]["name"] == name)
            scene.until(10)
            scene.mesh.apply(POD, pod, None, START + 10)
        scene.scrape(30)

        assert scene.total(reporter="source", response_code="200", destination_version="v1") == pytest.approx(1500)
        assert scene.total(reporter="source", response_code="503", response_flags="UF") == pytest.approx(1000)

    def test_a_pod_that_comes_back_under_its_name_counts_from_zero(self):
        scene = Scene(app_metrics=[AppMetric("http_requests_total", of=GREEN, per_request=1.0)]).scrape(10)
        pod = next(o for o in fixed_objects() if o["kind"] == "Pod" and o["metadata"]["name"] == "green-1")
        again = {**pod, "metadata": {**pod["metadata"], "uid": "another"}}
        scene.mesh.apply(POD, pod, None, START + 10)
        scene.mesh.apply(POD, None, again, START + 10)
        scene.mesh.apply(
            ENDPOINT_SLICE, mesh_slice({"name": "shop-green"}), mesh_slice({"name": "shop-green"}) | {"endpoints": []}, START + 10
        )
        scene.mesh.apply(
            ENDPOINT_SLICE, mesh_slice({"name": "shop-green"}) | {"endpoints": []}, mesh_slice({"name": "shop-green"}), START + 10
        )
        scene.mesh.advance(START + 11)
        scene.scrape(20)
        [istio] = scene.series(reporter="destination", destination_version="v2")
        [app] = scene.series("http_requests_total")

        for series in (istio, app):
            assert list(series.values) == pytest.approx([100, 99], rel=0.002)

    def test_a_target_that_does_not_answer_has_no_sample_and_up_is_0(self):
        scene = Scene().scrape(10).scrape(20, skip={"shop/green-1"})
        [green] = scene.series(reporter="destination", destination_version="v2")

        assert len(green.times) == 1
        assert scene.total("up", pod="green-1") == 0
        assert scene.total("up", pod="blue-1") == 1


class TestBehaviour:
    def test_errors_begin_when_the_scenario_says(self):
        broken = Behaviour(of=GREEN, error_rate=Steps(((0.0, 0.0), (60.0, 0.5))))
        scene = Scene(behaviours=[broken]).scrape(60)
        before = scene.total(reporter="destination", response_code="500")
        scene.scrape(120)

        assert (before, scene.total(reporter="destination", response_code="500")) == (0, pytest.approx(100 * 0.1 * 60 * 0.5))

    def test_behaviour_can_change_at_a_moment_that_nobody_knew_before(self):
        scene = Scene().until(50)
        scene.traffic.change_behaviours([Behaviour(of=GREEN, error_rate=steady(1.0))], START + 50)
        scene.scrape(100)

        assert scene.total(reporter="destination", response_code="500") == pytest.approx(500)

    def test_no_step_is_missed_for_the_last_digits_of_a_time(self):
        broken = Behaviour(error_rate=Steps(((0.0, 0.0), (60.1, 1.0), (60.3, 0.0))))
        scene = Scene(behaviours=[broken]).scrape(120)

        assert scene.total(reporter="destination", response_code="500") == pytest.approx(20, rel=1e-3)

    def test_errors_may_count_from_the_first_request(self):
        broken = Behaviour(of=GREEN, error_rate=Steps(((0.0, 0.0), (30.0, 1.0))), since_first_request=True)
        scene = Scene((100, 0), behaviours=[broken])
        scene.shift((90, 10), at=100)
        scene.scrape(200)
        first = 100.1

        assert scene.total(reporter="destination", response_code="500") == pytest.approx(10 * (200 - first - 30), rel=0.01)

    def test_errors_may_begin_at_a_share_of_the_traffic(self):
        overloaded = Behaviour(of=GREEN, error_rate=steady(1.0), min_share=0.25)
        scene = Scene(behaviours=[overloaded]).scrape(60)
        before = scene.total(reporter="destination", response_code="500")
        scene.shift((75, 25), at=60)
        scene.scrape(120)

        assert before == 0
        assert scene.total(reporter="destination", response_code="500") > 0

    def test_retries_hide_503_from_callers_and_multiply_them_at_the_pods(self):
        scene = Scene((0, 100), behaviours=[Behaviour(of=GREEN, error_rate=steady(0.5), error_code=503)]).scrape(100)

        assert scene.total(reporter="source", response_code="503") == pytest.approx(10_000 / 8)
        assert scene.total(reporter="destination", response_code="503") == pytest.approx(10_000 * (0.5 + 0.25 + 0.125))
        assert scene.total(reporter="destination", response_code="200") == pytest.approx(10_000 * (1 - 1 / 8))

    def test_histograms_have_the_edges_of_envoy_and_the_shape_of_the_latency(self):
        scene = Scene((0, 100), behaviours=[Behaviour(latency=steady(Latency.between(100.0, 1000.0)))]).scrape(10)
        name = "istio_request_duration_milliseconds_bucket"
        buckets = {dict(s.labels)["le"]: s.values[-1] for s in scene.series(name, reporter="source")}

        assert set(buckets) == {*map(str, ISTIO_EDGES), "+Inf"}
        assert (buckets["100"], buckets["1000"], buckets["+Inf"]) == (pytest.approx(500), pytest.approx(990), pytest.approx(1000))

    def test_a_change_of_latency_leaves_earlier_requests_where_they_were(self):
        slower = Behaviour(latency=Steps(((0.0, Latency(10.0, 0.0)), (10.0, Latency(400.0, 0.0)))))
        scene = Scene((0, 100), behaviours=[slower]).scrape(20)
        name = "istio_request_duration_milliseconds_bucket"

        assert [scene.total(name, reporter="source", le=edge) for edge in ("5", "10", "250", "500")] == [0, 1000, 1000, 2000]

    def test_histograms_may_lag_behind_the_counters(self):
        scene = Scene((0, 100), histogram_lag_seconds=5.0).scrape(15).scrape(30)

        assert scene.total(reporter="source") == pytest.approx(3000)
        assert scene.total("istio_request_duration_milliseconds_count", reporter="source") == pytest.approx(2500)

    def test_quantiles_can_be_given(self):
        latency = Latency(quantiles=((0.5, 100.0), (0.9, 200.0), (1.0, 1000.0)))

        assert [latency.cumulative(edge) for edge in (50, 100, 150, 1000)] == pytest.approx([0.25, 0.5, 0.7, 1.0])
        assert latency.mean_ms == pytest.approx(0.5 * 50 + 0.4 * 150 + 0.1 * 600)


class TestApplications:
    def test_counters_follow_requests_and_their_results(self):
        metrics = [
            AppMetric("http_requests_total", labels={"status": "200"}, per_success=1.0),
            AppMetric("http_requests_total", labels={"status": "500"}, per_error=1.0),
            AppMetric("user_login_attempts_total", per_request=0.1),
        ]
        scene = Scene(app_metrics=metrics, behaviours=[Behaviour(of=GREEN, error_rate=steady(0.2))]).scrape(10)

        assert scene.total("http_requests_total", status="200", version="v2") == pytest.approx(80)
        assert scene.total("http_requests_total", status="500", version="v2") == pytest.approx(20)
        assert scene.total("user_login_attempts_total", version="v1") == pytest.approx(90)

    def test_gauges_and_counters_by_the_second_need_no_requests(self):
        metrics = [
            AppMetric("container_memory_usage_bytes", of=GREEN, gauge=Steps(((0.0, 5e8), (60.0, 9e8)))),
            AppMetric("container_cpu_usage_seconds_total", of=GREEN, per_second=steady(0.5)),
        ]
        scene = Scene((100, 0), app_metrics=metrics).scrape(30).scrape(90)

        assert scene.total("container_memory_usage_bytes", namespace="shop") == 9e8
        assert scene.total("container_cpu_usage_seconds_total", namespace="shop") == pytest.approx(45)

    def test_durations_may_be_a_histogram_in_seconds(self):
        metric = AppMetric("http_request_duration_seconds", edges=(0.1, 1.0))
        scene = Scene((0, 100), app_metrics=[metric], behaviours=[Behaviour(latency=steady(Latency.between(100.0, 1000.0)))]).scrape(10)

        assert scene.total("http_request_duration_seconds_bucket", le="1.0") == pytest.approx(990)
        assert scene.total("http_request_duration_seconds_count") == pytest.approx(1000)


def test_eighty_five_minutes_of_traffic_cost_a_few_hundredths_of_a_second():
    """25 ms where it was written, for 280 series."""
    sizes = []

    def flows():
        scene = Scene((100, 0), behaviours=[Behaviour(error_rate=steady(0.01))])
        weights = {20: (95, 5), 80: (75, 25), 200: (50, 50), 320: (0, 100)}
        for step in range(1, 341):
            if step in weights:
                scene.shift(weights[step], at=15 * step - 10)
            scene.scrape(15 * step)
        sizes.append(len(scene.store.pool("")))

    assert cost_ms(flows) < 100
    assert min(sizes) > 200
