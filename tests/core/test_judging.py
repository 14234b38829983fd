"""Answers become verdicts: gates, triggers, probes, groups, and their sentences."""

import math
from dataclasses import replace

import pytest

from analysis.model import Arm, Outcome, Sample, Series
from controller.api.plan_checks import Check, Group, Limit, Trigger
from controller.api.release import CheckStatus, WindowStatus
from controller.core import reasons
from controller.core.asking import gate_key, trigger_key
from controller.core.judging import baseline_of, explain, fired, judge_gate, judge_stage, judge_trigger, limits_of
from controller.core.readings import Context
from controller.core.traffic import ArmTraffic, Increment, Traffic
from controller.core.world import Measured, Measurement
from controller.ports import Answer, AnswerFault, ProbeResult

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
NOW = 1000.0
WINDOW = WindowStatus(opened_at=700, last_sample=NOW, ran=300, n_green=1204, n_blue=22_876)
CONTEXT = Context(now=NOW)


def number(value, time=NOW, **changes):
    return Answer(series=(Series((), (Sample(time, value),)),), result_type="vector", server_time=NOW, **changes)


def measured(key, name, green, blue=None):
    answers = {key(name, Arm.CANDIDATE): Measurement(green)}
    if blue is not None:
        answers[key(name, Arm.BASELINE)] = Measurement(blue)
    return Measured(answers)


def check(name="latency-p99", *, unit="ms", repeat=None, observe=False, no_data=None, **limit):
    fields = {"name": name, "query": "x", "limit": limit, "unit": unit, "repeat": repeat or {}, "observe": observe}
    return Check.model_validate(fields | ({"no_data": no_data} if no_data else {}))


def trigger(name="errors", *, unit="%", repeat=None, observe=False, together=None, **limit):
    fields = {"name": name, "query": "x", "limit": limit, "unit": unit, "repeat": repeat or {}, "observe": observe, "together": together}
    return Trigger.model_validate(fields)


def gate(asked, green, blue=None, *, window=WINDOW, before=None, context=CONTEXT):
    return judge_gate(asked, window, measured(gate_key, asked.name, green, blue), before or CheckStatus(name=asked.name), context)


def poll(asked, green, blue=None, *, before=None, context=CONTEXT):
    return judge_trigger(asked, measured(trigger_key, asked.name, green, blue), before or CheckStatus(name=asked.name), context)


def counted(n, blue=0):
    """A moment at which green, and blue, have had so many requests within the trigger's range."""
    arms = {arm: ArmTraffic((Increment(NOW - 15, NOW, requests),), (NOW - 15, NOW)) for arm, requests in (("green", n), ("blue", blue))}
    return Context(now=NOW, traffic=Traffic(**arms))


NO_DATA = {
    "no series": (Answer(result_type="vector"), reasons.NO_SERIES),
    "NaN": (number(math.nan), reasons.NOT_A_NUMBER),
    "+Inf": (number(math.inf), reasons.INFINITE),
    "-Inf": (number(-math.inf), reasons.INFINITE),
    "two series, one bad": (Answer(series=number(1).series + number(9e9).series, result_type="vector"), reasons.SEVERAL_SERIES),
    "a partial answer": (number(1, warnings=("store down",)), reasons.PARTIAL_ANSWER),
    "a stale sample": (number(1, time=NOW - 60), reasons.STALE_SAMPLE),
    "a string": (Answer(result_type="string"), reasons.WRONG_TYPE),
    **{fault.value: (Answer(fault=fault, message="words"), reasons.FAULTS[fault]) for fault in AnswerFault},
}


@pytest.mark.parametrize("good", [1.0, 9e9], ids=["would pass", "would fail"])
@pytest.mark.parametrize("judge", [gate, poll])
@pytest.mark.parametrize("kind", NO_DATA)
class TestNoData:
    def test_without_data_of_green_it_neither_passes_nor_fails(self, kind, judge, good):
        answer, reason = NO_DATA[kind]
        asked = (check if judge is gate else trigger)(max=100, max_ratio=2)

        status = judge(asked, answer, number(good))

        assert (status.outcome, status.reason, status.recent) == (INCONCLUSIVE, reason, "i")
        assert reason in reasons.REASONS

    def test_without_data_of_blue_a_relative_check_neither_passes_nor_fails(self, kind, judge, good):
        answer, reason = NO_DATA[kind]
        asked = (check if judge is gate else trigger)(max_ratio=2)

        status = judge(asked, number(good), answer)

        assert (status.outcome, status.reason) == (INCONCLUSIVE, reason)

    def test_an_outage_between_failures_neither_completes_nor_resets_a_streak(self, kind, judge, good):
        assert judge  # the streak is a trigger's; a gate's is in TestGates
        asked = trigger(max=100, repeat={"consecutive": 2})
        before = CheckStatus(name="errors", recent="pf")

        outage = poll(asked, NO_DATA[kind][0], before=before)

        assert fired([asked], [outage]) is None
        assert (fired([asked], [poll(asked, number(good), before=outage)]) is not None) is (good > 100)


@pytest.mark.parametrize(
    ("green", "blue", "reason"), [(1.0, -0.5, reasons.BASELINE_UNUSABLE), (-0.2, 0.5, reasons.NEGATIVE_NUMBER)], ids=["blue", "green"]
)
def test_a_negative_number_in_a_ratio_is_no_answer_and_both_numbers_are_told(green, blue, reason):
    status = gate(check(max_ratio=2), number(green), number(blue))

    assert (status.outcome, status.reason, status.detail) == (INCONCLUSIVE, reason, f"({green:g} vs {blue:g})")


class TestAnswerOfAHealthyPrometheus:
    def test_a_clock_within_five_seconds_is_no_skew(self):
        answer = Answer(series=number(1).series, result_type="vector", server_time=NOW - 5)

        assert gate(check(max=5), answer).outcome is PASS

    def test_a_question_that_was_not_put_is_inconclusive(self):
        status = judge_gate(check(max=5), WINDOW, Measured(), CheckStatus(name="latency-p99"), CONTEXT)

        assert (status.outcome, status.reason) == (INCONCLUSIVE, reasons.NOT_MEASURED)

    def test_a_trigger_that_was_not_due_keeps_its_status(self):
        before = CheckStatus(name="errors", recent="pp", polled_at=995)

        assert judge_trigger(trigger(max=5), Measured(), before, CONTEXT) == before

    @pytest.mark.parametrize(
        ("builtin", "value", "n", "outcome"),
        [
            ("error-rate", 6.7, 15, INCONCLUSIVE),
            ("error-rate", 6.7, 150, FAIL),
            ("success-rate", 90.0, 90, INCONCLUSIVE),
            ("success-rate", 90.0, 100, FAIL),
        ],
    )
    def test_a_rate_of_errors_fails_by_ten_failed_requests_and_not_by_fewer(self, builtin, value, n, outcome):
        limit = {"max": 5} if builtin == "error-rate" else {"min": 95}
        asked = Trigger.model_validate({"name": "errors", "builtin": builtin, "limit": limit})

        status = poll(asked, number(value), context=counted(n))

        assert status.outcome is outcome
        if outcome is INCONCLUSIVE:
            assert (status.reason, status.detail) == (reasons.TOO_FEW_FAILED, f"{n * min(value, 100 - value) / 100:.0f} of 10")

    def test_the_plan_says_how_few_are_enough(self):
        asked = Trigger.model_validate({"name": "errors", "builtin": "error-rate", "limit": {"max": 5}, "min_failed": 1})

        assert poll(asked, number(6.7), context=counted(15)).outcome is FAIL

    @pytest.mark.parametrize(("green", "n", "outcome"), [(29, 60, INCONCLUSIVE), (100, 12, FAIL), (45, 300, FAIL), (29, 600, FAIL)])
    @pytest.mark.parametrize("builtin", ["error-rate", "success-rate"])
    def test_where_both_versions_fail_green_goes_back_only_beyond_chance(self, builtin, green, n, outcome):
        limit, other = ({"max_difference": 5}, float) if builtin == "error-rate" else ({"min_difference": -5}, lambda rate: 100.0 - rate)
        asked = Trigger.model_validate({"name": "errors", "builtin": builtin, "limit": limit})

        status = poll(asked, number(other(green)), number(other(20)), context=counted(n, blue=19 * n))

        assert status.outcome is outcome
        if outcome is INCONCLUSIVE:
            rates = f"{other(green):.0f} % vs {other(20):.0f} %"
            assert status.reason == reasons.TOO_FEW_FAILED
            assert status.detail == f"17.4 of 60, and chance alone makes up to 26.7 of two equal versions ({rates})"

    def test_the_fewer_requests_blue_has_the_more_is_chance(self):
        asked = Trigger.model_validate({"name": "errors", "builtin": "error-rate", "limit": {"max_difference": 5}})

        many, few = (poll(asked, number(28), number(20), context=counted(600, blue=blue)).outcome for blue in (11_400, 600))

        assert (many, few) == (FAIL, INCONCLUSIVE)

    def test_without_blue_its_remembered_rate_counts_as_measured_by_as_many_requests(self):
        asked = Trigger.model_validate({"name": "errors", "builtin": "error-rate", "limit": {"max_difference": 5}})
        alone = replace(counted(1200), blue_serves=False, baseline=(CheckStatus(name="errors", baseline=16.0),))

        assert [poll(asked, number(green), context=alone).outcome for green in (21.5, 24)] == [INCONCLUSIVE, FAIL]

    @pytest.mark.parametrize("limit", [{"max": 25}, {"max": 25, "max_difference": 5}])
    def test_an_absolute_line_asks_nothing_of_chance(self, limit):
        asked = Trigger.model_validate({"name": "errors", "builtin": "error-rate", "limit": limit})

        assert poll(asked, number(29), number(20), context=counted(60, blue=1140)).outcome is FAIL

    def test_a_query_of_ones_own_is_judged_by_its_line_alone(self):
        assert poll(trigger(max_difference=5), number(29), number(20), context=counted(60, blue=1140)).outcome is FAIL

    def test_where_nobody_counts_requests_the_line_alone_decides(self):
        asked = Trigger.model_validate({"name": "errors", "builtin": "error-rate", "limit": {"max": 5}})

        assert poll(asked, number(6.7)).outcome is FAIL

    def test_a_poll_remembers_when_it_was(self):
        assert poll(trigger(max=5), number(1)).polled_at == NOW


class TestSentences:
    @pytest.mark.parametrize(
        ("limit", "unit", "green", "blue", "sentence"),
        [
            ({"max_ratio": 1.2}, "ms", 418, 251, "418 ms vs 251 ms (+66 %, limit +20 %, n = 1,204)"),
            ({"max_ratio": 1.2}, "ms", 230, 251, "230 ms vs 251 ms (-8 %, limit +20 %, n = 1,204)"),
            ({"max_ratio": 1.2}, "ms", 301, 250, "301 ms vs 250 ms (+20.40 %, limit +20 %, n = 1,204)"),
            ({"max_ratio": 6}, "s", 3.5, 0.5, "3.5 s vs 0.5 s (+600 %, limit +500 %, n = 1,204)"),
            ({"min_ratio": 0.9}, "req/s", 75, 100, "75 req/s vs 100 req/s (-25 %, limit -10 %, n = 1,204)"),
            ({"max_ratio": 1.2}, "ms", 3, 0, "3 ms vs 0 ms (limit 0 ms, n = 1,204)"),
            ({"max_difference": 1}, "%", 6.1, 0.4, "6.1 % vs 0.4 % (+5.7 points, limit +1 points, n = 1,204)"),
            ({"max_difference": 50}, "ms", 240, 251, "240 ms vs 251 ms (-11 ms, limit +50 ms, n = 1,204)"),
            ({"min_difference": -2}, "", 96, 99, "96 vs 99 (-3, limit -2, n = 1,204)"),
            ({"max": 1}, "%", 2.4, None, "2.4 % (limit 1 %, n = 1,204)"),
            ({"min": 95}, "%", 93.04, None, "93.04 % (limit at least 95 %, n = 1,204)"),
            ({"below": 2}, "s", 2, None, "2 s (limit below 2 s, n = 1,204)"),
            ({"max": 2}, "s", 2.0001, None, "2.0001 s (limit 2 s, n = 1,204)"),
            ({"max": 5000}, "", 12345.6, None, "12,346 (limit 5,000, n = 1,204)"),
        ],
    )
    def test_a_sentence_has_both_numbers_the_limit_and_n(self, limit, unit, green, blue, sentence):
        status = gate(check(unit=unit, **limit), number(green), None if blue is None else number(blue))

        assert explain(status) == f"latency-p99: {sentence}"

    def test_a_streak_is_said(self):
        status = poll(trigger(max=5), number(9), before=CheckStatus(name="errors", recent="pff"))

        assert explain(status) == "errors: 9 % (limit 5 %), 3 in a row"

    def test_missing_data_is_said_in_the_servers_own_words(self):
        status = gate(check(max=5), Answer(fault=AnswerFault.BAD_QUERY, message="1:3: unexpected }"))

        assert explain(status) == "latency-p99: Prometheus refused the query: 1:3: unexpected }"

    def test_a_check_that_was_never_asked_says_so(self):
        assert explain(CheckStatus(name="x")) == "x: not measured yet"

    def test_the_built_ins_bring_their_units(self):
        asked = Check.model_validate({"name": "e", "builtin": "error-rate", "limit": {"max": 1}})

        assert gate(asked, number(0.5)).unit == "%"

    def test_a_status_survives_its_way_through_the_store(self):
        status = gate(check(max_ratio=1.2), number(418), number(251))

        assert explain(CheckStatus.model_validate(status.model_dump(mode="json"))) == explain(status)


class TestGates:
    def test_it_passes_within_its_limit(self):
        assert gate(check(max=500), number(418)).outcome is PASS

    def test_fewer_requests_than_the_minimum_are_inconclusive_with_both_numbers(self):
        status = gate(check(max=500), number(9e9), window=WINDOW.model_copy(update={"n_green": 99}))

        assert (status.outcome, status.reason, status.detail) == (INCONCLUSIVE, reasons.TOO_FEW_REQUESTS, "99 of 100 requests of green")

    def test_where_requests_are_not_counted_there_is_no_minimum_and_no_n(self):
        status = gate(check(max=500), number(418), window=WINDOW.model_copy(update={"n_green": 0}), context=Context(now=NOW, counted=False))

        assert (status.outcome, status.n) == (PASS, None)

    @pytest.mark.parametrize("value", [1, 9e9])
    def test_a_window_of_fewer_than_six_scrapes_neither_passes_nor_fails(self, value):
        status = gate(check(max=500), number(value), window=WINDOW.model_copy(update={"ran": 75}))

        assert (status.outcome, status.reason, status.recent) == (INCONCLUSIVE, reasons.TOO_FEW_SAMPLES, "i")

    def test_one_failure_of_two_wanted_is_not_confirmed_and_the_second_fails(self):
        asked = check(max=500, repeat={"consecutive": 2})

        first = gate(asked, number(600))
        later = WINDOW.model_copy(update={"last_sample": NOW + 15})
        second = gate(asked, number(600, time=NOW + 15), window=later, before=first)

        assert (first.outcome, first.reason) == (INCONCLUSIVE, reasons.NOT_CONFIRMED)
        assert second.outcome is FAIL

    def test_the_time_to_detect_a_failure_counts_from_the_first_of_them(self):
        asked, later = check(max=500, repeat={"consecutive": 2}), WINDOW.model_copy(update={"last_sample": NOW + 15})
        first = gate(asked, number(600))
        second = gate(asked, number(600, time=NOW + 15), window=later, before=first)
        passed = gate(asked, number(400, time=NOW + 15), window=later, before=first)

        assert (first.failing_since, second.failing_since, passed.failing_since) == (NOW, NOW, 0.0)

    def test_two_of_the_last_three_are_said_so_and_detected_from_the_first_of_them(self):
        asked, status = check(max=500, repeat={"failures": 2, "of": 3}), None
        for second, value in ((0, 600), (15, 400), (30, 600)):
            later = WINDOW.model_copy(update={"last_sample": NOW + second})
            status = gate(asked, number(value, time=NOW + second), window=later, before=status)

        assert (status.outcome, status.failing_since) == (FAIL, NOW)
        assert explain(status).endswith(", 2 of the last 3")

    def test_a_pass_after_an_unconfirmed_failure_passes(self):
        asked = check(max=500, repeat={"consecutive": 2})
        later = WINDOW.model_copy(update={"last_sample": NOW + 15})

        assert gate(asked, number(400, time=NOW + 15), window=later, before=gate(asked, number(600))).outcome is PASS

    def test_the_same_window_end_is_never_counted_twice(self):
        asked = check(max=500, repeat={"consecutive": 2})
        first = gate(asked, number(600))

        assert gate(asked, number(600), before=first) is first

    def test_the_same_window_end_is_asked_again_after_an_outage(self):
        asked = check(max=500)
        outage = gate(asked, Answer(fault=AnswerFault.TIMEOUT))

        assert gate(asked, number(400), before=outage).outcome is PASS


class TestWithoutBlue:
    ALONE = Context(now=NOW, blue_serves=False, baseline=(CheckStatus(name="latency-p99", baseline=251.0),))

    def test_a_relative_gate_compares_with_blues_last_judged_window_and_says_so(self):
        status = gate(check(max_ratio=1.2), number(418), context=self.ALONE)

        assert status.outcome is FAIL
        assert explain(status) == "latency-p99: 418 ms vs 251 ms when last judged (+66 %, limit +20 %, n = 1,204)"

    def test_what_blue_answers_now_is_not_looked_at(self):
        assert gate(check(max_ratio=1.2), number(418), number(9e9), context=self.ALONE).outcome is FAIL

    def test_without_a_remembered_window_a_relative_gate_is_inconclusive(self):
        status = gate(check(max_ratio=1.2), number(1), context=Context(now=NOW, blue_serves=False))

        assert (status.outcome, status.reason) == (INCONCLUSIVE, reasons.BASELINE_MISSING)

    def test_absolute_limits_go_on(self):
        assert gate(check(max=500), number(418), context=self.ALONE).outcome is PASS

    def test_a_trigger_compares_with_blues_last_number_over_several_polls(self):
        asked = trigger(max_difference=5)
        status = poll(asked, number(1), number(0.5))
        for value in (1, math.nan, 2):
            status = poll(asked, number(value), before=status, context=Context(now=NOW, blue_serves=False))

        assert (status.outcome, status.baseline, status.remembered) == (PASS, 0.5, True)

    def test_blues_numbers_are_remembered_after_a_stage_and_kept_where_none_are_new(self):
        first = baseline_of([gate(check(max_ratio=1.2), number(1), number(251)), gate(check("cpu", max=80), number(5))], [])
        second = baseline_of([gate(check(max_ratio=1.2), number(1), context=self.ALONE)], first)

        assert [(status.name, status.baseline) for status in first] == [("latency-p99", 251)]
        assert second == first


class TestStage:
    def judge(self, checks, answers, **changes):
        found = {}
        for asked, answer in zip(checks, answers, strict=True):
            found |= measured(gate_key, asked.name, answer).answers
        return judge_stage(checks, WINDOW.model_copy(update=changes), Measured(found), [], CONTEXT)

    def test_one_failure_fails_and_names_its_cause(self):
        verdict = self.judge([check("a", max=5), check("b", max=5)], [number(1), number(9)])

        assert (verdict.outcome, verdict.cause.name) == (FAIL, "b")
        assert verdict.detail == "b: 9 ms (limit 5 ms, n = 1,204)"

    def test_a_stage_in_which_nothing_is_asked_says_so(self):
        verdict = self.judge([], [])

        assert (verdict.outcome, verdict.detail) == (PASS, "no check is asked in it")

    def test_a_failure_weighs_more_than_missing_data(self):
        assert self.judge([check("a", max=5), check("b", max=5)], [Answer(fault=AnswerFault.TIMEOUT), number(9)]).outcome is FAIL

    def test_missing_data_weighs_more_than_a_pass_and_brings_its_policy(self):
        patient = check("b", max=5, no_data={"deadline": "30m", "then": "hold"})

        verdict = self.judge([check("a", max=5), patient], [number(1), Answer(fault=AnswerFault.TIMEOUT, message="late")])

        assert (verdict.outcome, verdict.reason, verdict.then, verdict.deadline) == (INCONCLUSIVE, reasons.PROMETHEUS_TIMEOUT, "hold", 1800)
        assert verdict.detail == "b: late"

    def test_a_check_that_observes_is_judged_and_does_not_decide(self):
        verdict = self.judge([check("a", max=5), check("b", max=5, observe=True)], [number(1), number(9)])

        assert (verdict.outcome, verdict.checks[1].outcome) == (PASS, FAIL)

    def test_an_unconfirmed_failure_is_confirming(self):
        verdict = self.judge([check("a", max=5, repeat={"consecutive": 2})], [number(9)])

        assert (verdict.outcome, verdict.confirming) == (INCONCLUSIVE, True)

    def test_missing_data_beside_an_unconfirmed_failure_is_not_merely_confirming(self):
        checks = [check("a", max=5, repeat={"consecutive": 2}), check("b", max=5)]

        verdict = self.judge(checks, [number(9), Answer(result_type="vector")])

        assert (verdict.reason, verdict.confirming) == (reasons.NO_SERIES, False)

    def test_without_any_check_the_window_must_still_have_its_requests(self):
        assert self.judge([], []).outcome is PASS
        assert self.judge([], [], n_green=99).reason == reasons.TOO_FEW_REQUESTS
        assert self.judge([], [], ran=30).reason == reasons.TOO_FEW_SAMPLES


class TestProbes:
    ASKED = Trigger.model_validate({"name": "health", "probe": {"path": "/health"}, "repeat": {"consecutive": 3}})
    OK, BAD = ProbeResult(ok=True, message="HTTP 200"), ProbeResult(ok=False, message="HTTP 503")

    def watch(self, *rounds, asked=ASKED):
        status = CheckStatus(name="health")
        for green, blue in rounds:
            answers = {
                trigger_key("health", Arm.CANDIDATE): Measurement(Answer(), green),
                trigger_key("health", Arm.BASELINE): Measurement(Answer(), blue),
            }
            status = judge_trigger(asked, Measured(answers), status, CONTEXT)
        return status

    def test_three_failures_in_a_row_fire_after_green_has_passed_once(self):
        status = self.watch((self.OK, self.OK), *[(self.BAD, self.OK)] * 3)

        assert fired([self.ASKED], [status]).detail == "health: The health probe fails on green and passes on blue: HTTP 503, 3 in a row"

    def test_a_success_resets_the_count(self):
        rounds = [(self.OK, self.OK), *[(self.BAD, self.OK)] * 2, (self.OK, self.OK), *[(self.BAD, self.OK)] * 2]

        assert fired([self.ASKED], [self.watch(*rounds)]) is None

    def test_more_than_three_is_the_fourth_in_a_row(self):
        asked = Trigger.model_validate({"name": "health", "probe": {"path": "/"}, "repeat": {"consecutive": 4}})

        assert fired([asked], [self.watch((self.OK, self.OK), *[(self.BAD, self.OK)] * 3, asked=asked)]) is None
        assert fired([asked], [self.watch((self.OK, self.OK), *[(self.BAD, self.OK)] * 4, asked=asked)])

    def test_a_probe_that_never_passed_does_not_act(self):
        status = self.watch(*[(self.BAD, self.OK)] * 5)

        assert (status.reason, fired([self.ASKED], [status])) == (reasons.PROBE_NOT_ARMED, None)

    def test_a_probe_that_fails_on_both_does_not_act(self):
        status = self.watch((self.OK, self.OK), *[(self.BAD, self.BAD)] * 5)

        assert (status.reason, fired([self.ASKED], [status])) == (reasons.PROBE_FAILED_BOTH, None)


class TestFired:
    def status(self, name, recent, outcome=FAIL):
        numbers = {"value": 9.0, "limit": 5.0, "line": "max", "unit": "%", "reason": reasons.BEYOND_LIMIT}
        return CheckStatus(name=name, recent=recent, outcome=outcome, **numbers)

    def test_nothing_measured_fires_nothing(self):
        assert fired([trigger(max=5)], []) is None

    def test_a_single_failure_fires_by_default(self):
        answer = fired([trigger(max=5)], [self.status("errors", "ppf")])

        assert (answer.reason, answer.cause.name, answer.detail) == (reasons.TRIGGER_FIRED, "errors", "errors: 9 % (limit 5 %)")

    def test_two_of_three_fire(self):
        asked = trigger(max=5, repeat={"failures": 2, "of": 3})

        assert fired([asked], [self.status("errors", "fpf")])
        assert fired([asked], [self.status("errors", "fppf")]) is None

    def test_a_trigger_that_observes_never_fires(self):
        assert fired([trigger(max=5, observe=True)], [self.status("errors", "ffff")]) is None

    def test_a_failing_history_with_a_newest_answer_without_data_does_not_fire(self):
        assert fired([trigger(max=5)], [self.status("errors", "fffi", INCONCLUSIVE)]) is None

    @pytest.mark.parametrize(("failing", "fires"), [(("a", "b"), False), (("a", "b", "c"), True)])
    def test_a_group_acts_only_together(self, failing, fires):
        triggers = [trigger(name, max=5, together="cache") for name in "abcd"]
        statuses = [self.status(name, "f" if name in failing else "p", FAIL if name in failing else PASS) for name in "abcd"]

        answer = fired(triggers, statuses, [Group(name="cache", failing=3)])

        assert (answer is not None) is fires
        if answer:
            assert (answer.reason, [status.name for status in answer.also]) == (reasons.TOGETHER_FIRED, ["b", "c"])
            assert answer.detail.startswith("cache, 3 failing (limit 3): a: 9 % (limit 5 %); b:")

    def test_missing_series_do_not_count_as_failing_together(self):
        """Symbol Mapper's trap: a missing series was read as 0 and counted."""
        triggers = [trigger(name, min=0.3, together="cache") for name in "abc"]
        statuses = [poll(triggers[0], number(0.1)), poll(triggers[1], number(0.1)), poll(triggers[2], Answer(result_type="vector"))]

        assert fired(triggers, statuses, [Group(name="cache", failing=3)]) is None

    def test_a_status_edited_to_nonsense_does_not_fire_and_does_not_crash(self):
        assert fired([trigger(max=5)], [CheckStatus(name="errors", recent="??f", outcome=FAIL)]) is None
        assert explain(CheckStatus(name="errors", outcome=FAIL, value=1, limit=2, line="nonsense")) == "errors: 1 (limit 2)"

    def test_n_is_printed_where_traffic_was_read(self):
        status = poll(trigger(max=5), number(9), context=Context(now=NOW, traffic=Traffic()))

        assert explain(status) == "errors: 9 % (limit 5 %, n = 0)"


def test_every_limit_of_a_plan_reaches_the_judge():
    every = {"max": 1, "min": 2, "below": 3, "max_ratio": 4, "min_ratio": 5, "max_difference": 6, "min_difference": 7}

    assert {line.value: value for line, value in limits_of(Limit.model_validate(every)).given()} == every
    assert set(every) == set(Limit.model_fields)
