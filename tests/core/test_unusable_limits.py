"""A limit on requests whose counters end in samples that are no counts: Prometheus computes on, and the check has no answer."""

import math
from dataclasses import replace

import pytest

from analysis.model import Arm, Outcome, Sample, Series
from controller.core import asking, reasons, seen
from controller.core.world import Measured, Measurement
from controller.ports import Answer
from tests.core.releases import NOW, a_release
from tests.core.test_counted_triggers import answered, rows

NO_COUNTS = [math.nan, math.inf, -1.0, 2.0**53 + 2]


def ending_in(series, value, count=3):
    """The series with other values at its last scrapes."""
    kept, last = series.samples[:-count], series.samples[-count:]
    return replace(series, samples=(*kept, *(Sample(one.time, value) for one in last)))


def verdict(limit, *series, builtin="error-rate", number=0.5):
    """The check's status at the window's end: Prometheus answered its query with this number for both versions."""
    there = a_release().with_plan(checks=[{"name": "rate", "builtin": builtin, "limit": limit}], triggers=[]).at_stage(1)
    w = there.world()
    ended = w.stage_status.window.model_copy(update={"last_sample": NOW - 5, "ran": 300.0})
    w = w.with_status(w.status.model_copy(update={"stages": [w.stage_status.model_copy(update={"window": ended})]}))
    one = Measurement(Answer((Series((), (Sample(NOW - 5, number),)),), "vector"))
    answers = {asking.gate_key("rate", arm): one for arm in Arm} | {asking.TRAFFIC: Measurement(answered(*series))}
    (status,) = seen.verdict(replace(w, measured=Measured(answers))).checks
    return status


GREEN, FAILED, BLUE = rows("shop-green", "200", [90]), rows("shop-green", "503", [1]), rows("shop", "200", [900])


def test_counters_that_can_be_counted_are_judged_by_the_number():
    assert verdict({"max": 1}, GREEN, FAILED, BLUE).outcome is Outcome.PASS


@pytest.mark.parametrize("builtin", ["error-rate", "success-rate", "request-rate"])
@pytest.mark.parametrize("value", NO_COUNTS)
def test_a_counter_that_ends_in_what_is_no_count_leaves_a_limit_without_an_answer(value, builtin):
    found = verdict({"max": 1}, GREEN, ending_in(FAILED, value), BLUE, builtin=builtin)

    assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, reasons.UNUSABLE_COUNTER)
    assert 'response_code="503"' in found.detail
    assert found.detail.endswith(f"is {value:g}")


def test_nor_does_it_fail_for_what_such_a_counter_makes_of_the_number():
    assert verdict({"max": 1}, ending_in(GREEN, -1.0), FAILED, BLUE, number=40.0).reason == reasons.UNUSABLE_COUNTER


def test_blues_counters_matter_where_the_limit_compares_with_them():
    assert verdict({"max": 1}, GREEN, FAILED, ending_in(BLUE, -1.0)).outcome is Outcome.PASS
    assert verdict({"maxRatio": 2}, GREEN, FAILED, ending_in(BLUE, -1.0)).reason == reasons.UNUSABLE_COUNTER


def test_one_that_is_sound_again_or_ended_long_ago_hinders_nothing():
    healed = replace(FAILED, samples=tuple(replace(one, value=math.nan) if i == 10 else one for i, one in enumerate(FAILED.samples)))
    gone = replace(ending_in(FAILED, math.nan), samples=ending_in(FAILED, math.nan).samples[:-1])
    gone = replace(gone, samples=tuple(replace(one, time=one.time - 120) for one in gone.samples))

    assert verdict({"max": 1}, GREEN, healed, BLUE).outcome is Outcome.PASS
    assert verdict({"max": 1}, GREEN, gone, BLUE).outcome is Outcome.PASS
