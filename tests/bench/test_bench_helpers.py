"""The arithmetic of the benches, where a mistake would be a wrong figure: quantiles, lateness, reactions, the stub's answers."""

import math
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from analysis.model import Sample
from bench.answers import BAD_PERCENT, GOOD_PERCENT, PER_SECOND, SCRAPE_SECONDS, counter, reply
from bench.fleet_objects import application, green_of, name_of, release
from bench.measures import lateness, quantile, reactions, requests_between, stamp, summary, weight_writes
from controller.adapters.prometheus import HttpPrometheus
from controller.adapters.prometheus_config import Provider
from controller.api.plan import PlanSpec
from controller.api.release import ReleaseSpec
from controller.core.buckets import bucket_labels
from controller.core.queries import Mesh, Naming, build_checks_queries, member_of, pair_of
from tests.bed.processes import PortLease

ROOT = Path(__file__).parents[2]


def event(at, verb="patch", resource="virtualservices", name="app-1", code=200):
    return {
        "verb": verb,
        "objectRef": {"resource": resource, "name": name},
        "responseStatus": {"code": code},
        "stageTimestamp": f"2026-11-21T06:00:{at:09.6f}Z",
    }


MINUTE = stamp(event(0.0))


def error_rate_query():
    """What the controller asks about green of the first application of the fleet."""
    plan = PlanSpec.model_validate(application(0, "10s", "30s")[-1]["spec"])
    pair = pair_of(plan, member_of(plan, None), Naming(namespace="fleet-0", mode="subset", revision="v2"))
    return build_checks_queries(plan.triggers[0].builtin, pair, "green", 60.0, mesh=Mesh(mode="subset"))


class TestQuantile:
    def test_of_a_hundred_values_the_p99_is_the_last_but_one(self):
        assert quantile(range(1, 101), 0.99) == 99

    def test_of_few_values_the_p99_is_the_largest(self):
        assert quantile([3.0, 1.0, 2.0], 0.99) == 3.0

    def test_the_median_is_a_value_that_was_measured(self):
        assert quantile([1.0, 2.0, 10.0, 11.0], 0.5) == 2.0

    def test_of_nothing_there_is_none(self):
        assert math.isnan(quantile([], 0.5))

    def test_a_summary_names_both_units(self):
        assert summary([0.010, 2.5]) == "median 10 ms, p99 2.50 s, max 2.50 s (n = 2)"


class TestLateness:
    def test_it_is_counted_from_the_poll_before(self):
        late = lateness({"a": [0.0, 10.0, 20.25], "b": [5.0, 15.5]}, 10.0, since=0.0, until=100.0)
        assert sorted(late) == [0.0, 0.25, 0.5]

    def test_polls_outside_of_the_watched_time_do_not_count(self):
        assert lateness({"a": [0.0, 30.0, 40.0]}, 10.0, since=35.0, until=39.0) == []

    def test_an_early_poll_is_not_less_than_punctual(self):
        assert lateness({"a": [0.0, 9.0]}, 10.0, since=0.0, until=100.0) == [0.0]


class TestReactions:
    def test_the_first_write_after_the_bad_answer_ends_it(self):
        writes = weight_writes([event(1.0), event(3.0), event(4.0)])
        assert reactions({"app-1": MINUTE + 2.5}, writes) == {"app-1": 0.5}

    def test_a_refused_write_and_one_of_another_object_do_not(self):
        writes = weight_writes([event(3.0, code=409), event(3.0, resource="deployments"), event(3.0, name="app-2")])
        assert reactions({"app-1": MINUTE}, writes) == {"app-1": math.inf}

    def test_leases_and_watches_are_nobodys_requests(self):
        events = [event(1.0, resource="leases"), event(1.0, verb="watch"), event(1.0), event(9.0)]
        assert requests_between(events, MINUTE, MINUTE + 5) == [events[2]]


class TestAnswers:
    def test_the_controllers_own_query_is_understood(self):
        green = green_of(name_of(0))
        assert reply(error_rate_query(), 1000.0, ()).subject == green
        assert reply(error_rate_query(), 1000.0, {green}).bad

    def test_only_the_bad_workload_is_bad(self):
        good, bad = (reply(error_rate_query(), 1000.0, names).data["result"][0]["value"][1] for names in ({"app-1-green"}, {"app-0-green"}))
        assert (float(good), float(bad)) == (GOOD_PERCENT, BAD_PERCENT)

    def test_a_counter_grows_with_time_and_has_a_scrape_in_each_interval(self):
        scrapes = counter(1000.0, 1060.0)
        assert [time for time, _ in scrapes] == [1005.0, 1020.0, 1035.0, 1050.0]
        assert {float(b[1]) - float(a[1]) for a, b in pairwise(scrapes)} == {PER_SECOND * SCRAPE_SECONDS}

    def test_raw_samples_are_given_for_each_workload_of_the_pattern(self):
        selector = 'reporter="source",destination_workload=~"a|b",destination_workload_namespace="fleet-3"'
        found = reply(f"istio_requests_total{{{selector}}}[45s]", 1000.0, ())
        assert {series["metric"]["destination_workload_namespace"] for series in found.data["result"]} == {"fleet-3"}
        assert [series["metric"]["destination_workload"] for series in found.data["result"]] == ["a", "b"]
        assert found.subject == "b"

    def test_of_a_histogram_the_buckets_are_given_whose_edges_are_asked_for(self):
        query = f'{{__name__=~"latency|latency_bucket",destination_workload="a"{bucket_labels((100.0, 1000.0))}}}[45s]'
        asked, every = (reply(one, 1000.0, ()).data["result"] for one in (query, query.replace(bucket_labels((100.0, 1000.0)), "")))

        assert [series["metric"]["le"] for series in asked] == ["100", "1000", "+Inf"]
        assert len(every) == 20
        assert [float(series["values"][-1][1]) for series in every] == sorted(float(series["values"][-1][1]) for series in every)


class TestFleetObjects:
    @pytest.mark.parametrize("sequential", [False, True])
    def test_plans_and_releases_are_valid(self, sequential):
        assert PlanSpec.model_validate(application(7, "1s", "0s", sequential=sequential)[-1]["spec"]).workload == name_of(7)
        assert ReleaseSpec.model_validate(release(7, "v2")["spec"]).revision == "v2"


def test_the_stub_answers_the_controllers_client_and_notes_when():
    ports = PortLease()
    port = ports.take()
    stub = subprocess.Popen([sys.executable, "-m", "bench.stub", str(port)], cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        answers = httpx.HTTPTransport(retries=10)
        with httpx.Client(base_url=url, transport=answers, timeout=10) as control:
            control.get("/bad", params={"names": green_of(name_of(0))})
            before = time.time()
            answer = HttpPrometheus(Provider(name="default", url=url)).query(error_rate_query(), 1000.0)
            records = control.get("/records").json()
        assert answer.fault is None
        assert answer.series[0].samples == (Sample(1000.0, BAD_PERCENT),)
        assert before <= records["polls"]["app-0-green"][0] <= records["bad"]["app-0-green"] <= time.time()
    finally:
        stub.kill()
        stub.wait()
        ports.release()
