"""A limit on latency whose buckets Prometheus mends or misreads: its quantile is a number all the same, and the check has no answer."""

from dataclasses import replace

import pytest

from analysis.model import Arm, Outcome, Sample, Series
from controller.core import asking, needs, reasons, seen
from controller.core.queries import LATENCY
from controller.core.world import Measured, Measurement
from controller.ports import Answer, AnswerFault
from controller.simulator.promql.provider import holding
from tests.core.releases import NOW, a_release

SOUND = {"50": 40.0, "100": 70.0, "250": 95.0, "+Inf": 100.0}


def look(limit=None, **check):
    there = a_release().with_plan(
        checks=[{"name": "slow", "builtin": "latency", "limit": limit or {"max": 300}, "minRequests": 10} | check], triggers=[]
    )
    w = there.at_stage(1).world()
    ended = w.stage_status.window.model_copy(update={"last_sample": NOW - 5, "ran": 300.0})
    return w.with_status(w.status.model_copy(update={"stages": [w.stage_status.model_copy(update={"window": ended})]}))


def counters(workload="shop-green", pod="a", **counts):
    """A histogram's buckets: each grew up to this count."""
    for le, count in (SOUND | counts).items():
        if count is not None:
            known = {
                "__name__": f"{LATENCY}_bucket", "le": le, "pod": pod, "reporter": "source", "destination_workload": workload,
                "destination_workload_namespace": "shop",
            }  # fmt: skip
            samples = [(NOW - 5 - 15 * (20 - scrape), count * min(scrape / 15, 1.0)) for scrape in range(21)]
            yield tuple(sorted(known.items())), samples


def verdict(w, *series, **answers):
    """The check's status: every question of the look answered by a Prometheus that holds these buckets."""
    prometheus = holding(dict(series))
    asked = {ask.key: ask for ask in needs.asks(w) if ask.key.startswith(("gate/", "standing/"))}
    found = {key: Measurement(answers.get(key.split("/")[0]) or prometheus.query(ask.query, ask.time)) for key, ask in asked.items()}
    (status,) = seen.verdict(replace(w, measured=Measured(found))).checks
    return status


def test_buckets_that_can_be_counted_are_judged_by_the_quantile():
    found = verdict(look(), *counters())

    assert (found.outcome, found.unit) == (Outcome.PASS, "ms")


@pytest.mark.parametrize("value", [float("nan"), -1.0, 2.0**53 + 2])
def test_a_bucket_that_ends_in_what_is_no_count_leaves_a_limit_without_an_answer(value):
    found = verdict(look(), *ended(counters(), "100", value))

    assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, reasons.UNUSABLE_COUNTER)
    assert 'le="100"' in found.detail
    assert found.detail.endswith(f"is {value:g}")


def test_an_infinite_count_is_named_beside_the_nan_that_comes_of_it():
    found = verdict(look(), *ended(counters(), "100", float("inf")))

    assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, reasons.UNUSABLE_COUNTER)


def ended(every, le, value):
    """The buckets, of which one has another newest value."""
    for labels, samples in every:
        yield labels, [*samples[:-1], (samples[-1][0], value)] if dict(labels)["le"] == le else samples


@pytest.mark.parametrize(
    ("counts", "reason", "words"),
    [
        ({"250": 60.0}, reasons.FALLING_BUCKETS, "counts less below a larger edge"),
        ({"+Inf": None, "500": 100.0}, reasons.NO_INF_BUCKET, "has no +Inf bucket"),
        ({"fast": 80.0}, reasons.BAD_BUCKET_EDGE, '"fast"'),
    ],
)
def test_a_histogram_that_contradicts_itself_leaves_it_without_an_answer(counts, reason, words):
    found = verdict(look(), *counters(**counts), *counters(pod="b"))

    assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, reason)
    assert words in found.detail


def test_counts_that_differ_by_less_than_adding_up_rounds_are_no_contradiction():
    """A recording rule adds floats up, in another order for each bucket."""
    found = verdict(look(), *counters(**{"100": 95.00000000000001}))

    assert found.outcome is Outcome.PASS


def test_one_faulty_pod_is_seen_beside_many_good_ones():
    """Added up over all pods its buckets would rise."""
    found = verdict(look(), *counters(**{"250": 60.0}), *[one for pod in "bcdefgh" for one in counters(pod=pod)])

    assert found.reason == reasons.FALLING_BUCKETS


def test_blues_buckets_matter_where_the_limit_compares_with_them():
    sound, broken = counters(), list(counters("shop", **{"250": 60.0}))

    assert verdict(look(), *sound, *broken).outcome is Outcome.PASS
    assert verdict(look({"maxRatio": 2}), *counters(), *broken).reason == reasons.FALLING_BUCKETS


def test_where_nobody_can_say_how_the_buckets_stand_nothing_passes():
    silent = Answer(fault=AnswerFault.TIMEOUT, message="10 s")

    assert verdict(look(), *counters(), standing=silent).reason == reasons.FAULTS[AnswerFault.TIMEOUT]


def test_native_histograms_have_no_such_buckets():
    assert verdict(look(), *counters(), standing=Answer(result_type="vector")).outcome is Outcome.PASS


def test_a_record_of_before_this_was_asked_is_decided_as_it_was():
    w = look()
    number = Measurement(Answer((Series((), (Sample(NOW - 5, 90.0),)),), "vector"))
    (status,) = seen.verdict(replace(w, measured=Measured({asking.gate_key("slow", Arm.CANDIDATE): number}))).checks

    assert status.outcome is Outcome.PASS
