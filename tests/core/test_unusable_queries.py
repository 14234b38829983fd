"""A limit on a query of the plan's own whose counters are none: `rate` computes on, and the check has no answer."""

import math
from dataclasses import replace

import pytest

from analysis.model import Outcome
from controller.core import needs, reasons, seen
from controller.core.world import Measured, Measurement
from controller.ports import Answer, AnswerFault
from controller.simulator.promql.provider import holding
from tests.core.releases import NOW, a_release

SHARE = 'sum(rate(paid_total{app="$workload",result="error"}[$window])) / sum(rate(paid_total{app="$workload"}[$window]))'
QUANTILE = 'histogram_quantile(0.9, sum by (le) (rate(paid_seconds_bucket{app="$workload"}[$window])))'
COUNTS = {"0.1": 90.0, "0.5": 98.0, "+Inf": 100.0}


def verdict(query, *series, limit=None, **answers):
    """The check's status: every question of the look answered by a Prometheus that holds these series."""
    check = {"name": "paid", "query": query, "limit": limit or {"max": 0.5}}
    w = a_release().with_plan(checks=[check], triggers=[]).at_stage(1).world()
    ended = w.stage_status.window.model_copy(update={"last_sample": NOW - 5, "ran": 300.0})
    w = w.with_status(w.status.model_copy(update={"stages": [w.stage_status.model_copy(update={"window": ended})]}))
    asked = {ask.key: ask for ask in needs.asks(w) if ask.key.startswith(("gate/", "standing/"))}
    prometheus = holding(dict(series))
    found = {key: Measurement(answers.get(key.split("/")[0]) or prometheus.query(ask.query, ask.time)) for key, ask in asked.items()}
    (status,) = seen.verdict(replace(w, measured=Measured(found))).checks
    return status


def counter(name, count, last=None, app="shop-green", **labels):
    """A counter that grew up to this count; `last` is what its newest sample says instead."""
    samples = [(NOW - 5 - 15 * (20 - scrape), count * scrape / 20) for scrape in range(21)]
    if last is not None:
        samples[-1] = (samples[-1][0], last)
    return tuple(sorted({"__name__": name, "app": app, "pod": f"{app}-a", **labels}.items())), samples


def paid(error=None, ok=None, app="shop-green"):
    return [counter("paid_total", 10, error, app, result="error"), counter("paid_total", 990, ok, app, result="ok")]


def buckets(app="shop-green", pod="a", **counts):
    return [counter("paid_seconds_bucket", count, app=app, le=le, pod=pod) for le, count in (COUNTS | counts).items() if count is not None]


def test_counters_that_can_be_counted_are_judged_by_the_number():
    found = verdict(SHARE, *paid())

    assert (found.outcome, found.value) == (Outcome.PASS, pytest.approx(0.01))


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_failures_that_end_in_what_is_no_count_leave_a_limit_without_an_answer(value):
    found = verdict(SHARE, *paid(error=value))

    assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, reasons.UNUSABLE_COUNTER)
    assert 'result="error"' in found.detail
    assert found.detail.endswith(f"is {value:g}")


def test_a_negative_count_of_all_requests_is_no_failure_of_green_either():
    assert verdict(SHARE, *paid(ok=-5.0), limit={"max": 0.001}).reason == reasons.UNUSABLE_COUNTER


def test_nanoseconds_may_be_counted_beyond_what_a_count_of_requests_can_be():
    used = 'sum(rate(cpu_nanoseconds_total{app="$workload"}[$window]))'

    assert verdict(used, counter("cpu_nanoseconds_total", 2.0**60), limit={"min": 1}).outcome is Outcome.PASS


def test_blues_counters_matter_where_the_limit_compares_with_them():
    broken = paid(error=-1.0, app="shop")

    assert verdict(SHARE, *paid(), *broken).outcome is Outcome.PASS
    assert verdict(SHARE, *paid(), *broken, limit={"maxRatio": 2}).reason == reasons.UNUSABLE_COUNTER


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ({"0.5": 60.0}, reasons.FALLING_BUCKETS),
        ({"+Inf": None}, reasons.NO_INF_BUCKET),
        ({"fast": 80.0}, reasons.BAD_BUCKET_EDGE),
    ],
)
def test_a_quantile_of_a_histogram_that_contradicts_itself_is_no_answer(counts, reason):
    sound = verdict(QUANTILE, *buckets())
    found = verdict(QUANTILE, *buckets(**counts), *buckets(pod="b"))

    assert sound.outcome is Outcome.PASS
    assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, reason)


def test_the_second_of_two_histograms_in_one_query_is_looked_at_too():
    both = f"{QUANTILE} - {QUANTILE.replace('paid', 'sent')}"
    sent = [counter("sent_seconds_bucket", count, le=le) for le, count in (COUNTS | {"0.5": 60.0}).items()]

    assert verdict(both, *buckets(), *sent).reason == reasons.FALLING_BUCKETS


def test_one_bucket_that_is_read_as_a_counter_is_no_whole_histogram():
    within = 'sum(rate(paid_seconds_bucket{app="$workload",le="0.1"}[$window]))'

    assert verdict(within, *buckets(), limit={"min": 0.01}).outcome is Outcome.PASS


def test_where_nobody_can_say_how_the_counters_stand_nothing_passes():
    silent = Answer(fault=AnswerFault.TIMEOUT, message="10 s")

    assert verdict(SHARE, *paid(), standing=silent).reason == reasons.FAULTS[AnswerFault.TIMEOUT]


def test_a_gauge_may_be_negative():
    cold = (tuple(sorted({"__name__": "celsius", "app": "shop-green"}.items())), [(NOW - 20, -5.0), (NOW - 5, -6.0)])

    assert verdict('max(celsius{app="$workload"})', cold).outcome is Outcome.PASS
