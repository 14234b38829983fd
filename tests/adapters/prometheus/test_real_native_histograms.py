"""Native histograms of a real Prometheus, scraped from a target that exposes them in the protobuf format."""

import math
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

import pytest

from controller.adapters.prometheus import HttpPrometheus
from controller.adapters.prometheus_config import Provider
from controller.api.plan import PlanSpec
from controller.api.plan_checks import BuiltIn
from controller.cli.judge_prometheus import read_prometheus
from controller.cli.judge_selectors import BUCKETS, selector
from controller.core.asking import TARGETS
from controller.core.buckets import bucket_labels
from controller.core.queries import (
    LATENCY,
    Mesh,
    Naming,
    build_checks_queries,
    latency_selector,
    newest_buckets,
    newest_counters,
    over_window,
    pair_of,
)
from tests.bed import protobuf
from tests.bed.prometheus import Histograms, Prometheus, Scrape
from tests.bed.waiting import eventually

pytestmark = pytest.mark.prometheus

DICE = Random(7)
VALUES = [DICE.lognormvariate(math.log(40), 0.65) for _ in range(2000)]
LABELS = {"reporter": "source", "destination_workload": "shop", "destination_workload_namespace": "prod"}


def exposition(values):
    """One native histogram of these values."""
    metric = protobuf.histogram(LABELS.items(), len(values), math.fsum(values), protobuf.native(Counter(values)))
    return protobuf.family(LATENCY, "histogram", [metric])


def first(count):
    """So many values: all of them, again and again."""
    return [VALUES[number % len(VALUES)] for number in range(count)]


class Target(BaseHTTPRequestHandler):
    """Answers every scrape with the values so far; a few more each time, for as long as anybody asks for a rate."""

    seen = 0

    def do_GET(self):
        type(self).seen += 200
        body = exposition(first(self.seen))
        self.send_response(200)
        self.send_header("Content-Type", protobuf.CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ASKED = 'reporter="source"'


@pytest.fixture(scope="module")
def prometheus():
    target = ThreadingHTTPServer(("127.0.0.1", 0), Target)
    threading.Thread(target=target.serve_forever, daemon=True).start()
    with Prometheus([Scrape("shop", f"127.0.0.1:{target.server_port}", histograms=Histograms.NATIVE)]) as server:
        client = HttpPrometheus(Provider(name="real", url=server.url))
        eventually(lambda: any(len(one.samples) >= 4 for one in client.query(f"{LATENCY}[30s]", time.time()).series), 40, "four scrapes")
        yield client
        client.close()
    target.shutdown()
    target.server_close()


def test_raw_samples_are_buckets_with_the_counts_of_the_target(prometheus):
    found = prometheus.query(f"{latency_selector(ASKED)}[30s]", time.time())
    by = {dict(series.labels)["le"]: [sample.value for sample in series.samples] for series in found.series}

    assert (found.fault, len(by)) == (None, 30)
    for total, below in zip(by["+Inf"], by["64"], strict=True):
        assert below == sum(value <= 64 for value in first(int(total)))


def test_a_question_for_some_edges_finds_a_native_histogram_whole(prometheus):
    """It has no label for them."""
    every, some = (prometheus.query(f"{latency_selector(labels)}[30s]", time.time()) for labels in (ASKED, ASKED + bucket_labels((64.0,))))

    assert some.fault is None
    assert len(some.series) == len(every.series) == 30


def test_the_pods_of_before_are_seen_in_its_sums_too(prometheus):
    """A sum over a native histogram is one: what a release looks back on step by step are its buckets."""
    found = prometheus.query(over_window(f"sum by ({TARGETS},le) ({latency_selector(ASKED)})", 30, 1), time.time())
    by = {dict(series.labels)["le"]: series.samples[-1].value for series in found.series}

    assert (found.fault, found.warnings, len(by)) == (None, (), 30)
    assert by["64"] == sum(value <= 64 for value in first(int(by["+Inf"])))


def test_it_has_no_buckets_that_could_contradict_each_other(prometheus):
    own = newest_counters(f"histogram_quantile(0.9, sum(rate({LATENCY}{{{ASKED}}}[30s])))", TARGETS)

    for query in (newest_buckets(ASKED, TARGETS), own):
        found = prometheus.query(query, time.time())
        assert (found.fault, found.series, found.warnings) == (None, (), ())


def test_the_built_in_latency_check_has_its_one_number(prometheus):
    plan = PlanSpec.model_validate({"workload": "shop", "traffic": {"virtualService": "shop"}})
    pair = pair_of(plan, plan.all_members[0], Naming("prod", 0, "subset"))

    found = prometheus.query(build_checks_queries(BuiltIn.LATENCY, pair, "blue", 30, mesh=Mesh(mode="subset"), quantile=0.9), time.time())

    assert found.fault is None
    ((sample,),) = (series.samples for series in found.series)
    assert sample.value == pytest.approx(sorted(VALUES)[1800], rel=0.15)


def test_a_look_back_for_classic_buckets_finds_the_native_ones(prometheus):
    now = time.time()

    every, some = f'{BUCKETS}{{reporter="source"}}', f'{BUCKETS}{{reporter="source",le=~"64|[+]Inf"}}'

    found, partial = read_prometheus(prometheus, [selector(text, "--baseline") for text in (every, some)], now - 60, now)

    assert not partial
    assert {dict(series.labels)["__name__"] for series in found[0]} == {BUCKETS}
    assert [len(found[0]), *(dict(series.labels)["le"] for series in found[1])] == [30, "+Inf", "64"]
