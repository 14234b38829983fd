"""One number against its lines, and how often it must fail."""

import math

import pytest

from analysis import reasons
from analysis.model import Outcome, Sample, Series, Window
from analysis.threshold import Limits, Line, Question, Reading, Rule, applied_limit, failing_together, judge, read, remember, rule_met

WINDOW = Window(0, 300)
PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def one(value, time=300.0):
    return (Series((), (Sample(time, value),)),)


def ask(value, baseline=None, *, n=None, min_n=0, **limits):
    question = Question("check", Limits(**limits), WINDOW, n=n, min_n=min_n)
    return judge(question, Reading(value), None if baseline is None else Reading(baseline))


class TestReading:
    @pytest.mark.parametrize(
        ("series", "reason"),
        [
            ((), reasons.NO_SERIES),
            ((Series((), ()),), reasons.NO_SERIES),
            (one(math.nan), reasons.NOT_A_NUMBER),
            (one(math.inf), reasons.INFINITE),
            (one(-math.inf), reasons.INFINITE),
            (one(1.0) + one(2.0), reasons.SEVERAL_SERIES),
            (one(1.0, time=254.0), reasons.STALE_SAMPLE),
        ],
    )
    def test_what_is_not_one_fresh_finite_number_has_no_value_and_its_own_reason(self, series, reason):
        reading = read(series, asked_at=300, max_age=45)

        assert (reading.value, reading.reason) == (None, reason)

    def test_the_newest_sample_of_a_range_is_the_number(self):
        assert read((Series((), (Sample(280, 1), Sample(295, 2))),), asked_at=300, max_age=45).value == 2

    def test_a_sample_exactly_as_old_as_allowed_is_fresh(self):
        assert read(one(1.0, time=255.0), asked_at=300, max_age=45).value == 1


class TestLimits:
    @pytest.mark.parametrize(
        ("limits", "value", "baseline", "outcome"),
        [
            ({"max": 5}, 5, None, PASS),
            ({"max": 5}, 5.0001, None, FAIL),
            ({"below": 5}, 5, None, FAIL),
            ({"below": 5}, 4.999, None, PASS),
            ({"min": 95}, 95, None, PASS),
            ({"min": 95}, 94.9, None, FAIL),
            ({"max_ratio": 1.2}, 300, 250, PASS),
            ({"max_ratio": 1.2}, 301, 250, FAIL),
            ({"min_ratio": 0.9}, 89, 100, FAIL),
            ({"min_ratio": 0.9}, 90, 100, PASS),
            ({"max_difference": 1}, 1.5, 0.5, PASS),
            ({"max_difference": 1}, 1.6, 0.5, FAIL),
            ({"min_difference": -2}, 97, 99, PASS),
            ({"min_difference": -2}, 96, 99, FAIL),
            ({"min": 1, "max": 3}, 2, None, PASS),
            ({"min": 1, "max": 3}, 4, None, FAIL),
            ({"max_ratio": 6}, 0, 0, PASS),
            ({"max_ratio": 6}, 1, 0, FAIL),
        ],
    )
    def test_the_line_is_drawn_where_the_plan_says(self, limits, value, baseline, outcome):
        assert ask(value, baseline, **limits).outcome is outcome

    def test_the_crossed_line_is_the_reported_limit(self):
        verdict = ask(400, 250, max=500, max_ratio=1.2)

        assert (verdict.outcome, verdict.limit, verdict.detail) == (FAIL, 300, {"max_ratio": 300})

    def test_of_several_held_lines_the_tightest_is_reported(self):
        assert ask(290, 250, max=1000, max_ratio=1.2).limit == 300

    def test_a_relative_line_without_a_baseline_is_inconclusive_although_the_absolute_one_holds(self):
        verdict = ask(1, None, max=5, max_ratio=1.2)

        assert (verdict.outcome, verdict.reason) == (INCONCLUSIVE, reasons.BASELINE_MISSING)

    def test_a_crossed_absolute_line_fails_without_a_baseline(self):
        assert ask(6, None, max=5, max_ratio=1.2).outcome is FAIL

    def test_a_missing_baseline_keeps_its_own_reason(self):
        question = Question("check", Limits(max_ratio=2), WINDOW)

        verdict = judge(question, Reading(1.0), Reading(reason=reasons.NOT_A_NUMBER))

        assert (verdict.outcome, verdict.reason) == (INCONCLUSIVE, reasons.NOT_A_NUMBER)

    def test_a_ratio_to_a_negative_number_means_nothing(self):
        assert ask(1, -1, max_ratio=2).reason == reasons.BASELINE_UNUSABLE

    @pytest.mark.parametrize("limit", [{"max_ratio": 2}, {"min_ratio": 0.5}])
    def test_nor_is_a_negative_number_any_share_of_a_positive_one(self, limit):
        found = ask(-1, 10, **limit)

        assert (found.outcome, found.reason) == (INCONCLUSIVE, reasons.NEGATIVE_NUMBER)

    def test_a_negative_number_may_be_below_a_limit_and_beside_a_difference(self):
        assert ask(-1, max=2).outcome is PASS
        assert ask(-1, -2, max_difference=2).outcome is PASS

    def test_too_few_requests_are_inconclusive_even_where_the_line_is_crossed(self):
        verdict = ask(100, n=99, min_n=100, max=5)

        assert (verdict.outcome, verdict.reason, verdict.limit) == (INCONCLUSIVE, reasons.TOO_FEW_REQUESTS, None)

    def test_exactly_enough_requests_are_enough(self):
        assert ask(1, n=100, min_n=100, max=5).outcome is PASS

    def test_a_check_without_a_limit_is_an_error(self):
        with pytest.raises(ValueError, match="no limit"):
            ask(1)

    def test_an_applied_limit_of_a_ratio_is_the_baselines_multiple(self):
        assert applied_limit(Line.MAX_RATIO, 1.2, 250) == 300


def history(text):
    result = ""
    for letter in text:
        result = remember(result, {"p": PASS, "f": FAIL, "i": INCONCLUSIVE}[letter])
    return result


def firing(text, rule):
    """The moments (counted from 1) at which the rule is met."""
    return [end for end in range(1, len(text) + 1) if rule_met(history(text[:end]), rule)]


class TestRules:
    @pytest.mark.parametrize(
        ("text", "rule", "moments"),
        [
            ("pfifpff", Rule(consecutive=2), [4, 7]),
            ("pfifpff", Rule(failures=2, of=3), [4, 6, 7]),
            ("ffff", Rule(consecutive=4), [4]),
            ("ffffp", Rule(consecutive=4), [4]),
            ("fffpf", Rule(consecutive=4), []),
            ("fpfpf", Rule(failures=3, of=5), [5]),
            ("fpppfpppf", Rule(failures=3, of=5), []),
            ("iiiii", Rule(consecutive=1), []),
            ("fi", Rule(consecutive=1), [1]),
            ("fiiiif", Rule(consecutive=2), [6]),
            ("ppp", Rule(failures=1, of=3), []),
            ("", Rule(), []),
        ],
    )
    def test_a_rule_is_met_at_these_moments_of_the_time_line(self, text, rule, moments):
        assert firing(text, rule) == moments

    def test_a_run_without_data_is_one_letter(self):
        assert history("ppfiiiif") == "ppfif"

    def test_a_long_history_forgets_outages_before_measurements(self):
        text = history("i" + "f" * 99 + "if")

        assert (len(text), text.count("f")) == (100, 100)
        assert rule_met(text, Rule(consecutive=100))

    def test_a_very_long_history_forgets_the_oldest(self):
        assert history("f" + "p" * 100) == "p" * 100

    def test_together_counts_checks_that_fail_at_this_moment_only(self):
        assert failing_together([("pf", Rule()), ("fp", Rule()), ("fi", Rule()), ("ff", Rule(consecutive=2))]) == 2
