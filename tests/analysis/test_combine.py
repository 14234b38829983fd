"""One alpha over all checks, verdicts at a window's end, and their sentences."""

import math
from dataclasses import replace

import pytest

from analysis import reasons
from analysis.combine import DEFAULT_WEIGHTS, Seen, Weighted, conclude, promotes, release_evidence, shared_weights
from analysis.explain import explain
from analysis.model import Outcome, Verdict, Window

WINDOW = Window(0, 300)


def evidence(errors=0.0, latency=0.0, slo=0.0):
    return release_evidence([Weighted("errors", 0.5, errors), Weighted("latency", 0.3, latency), Weighted("slo", 0.2, slo)])


def seen(**more):
    given = {
        "check": "errors",
        "ln_e": 0.0,
        "weight": 0.5,
        "window": WINDOW,
        "candidate": 0.021,
        "baseline": 0.005,
        "candidate_n": 1204,
        "baseline_n": 22_876,
        "needed": 800,
        "limit": 0.006,
    }
    return Seen(**{**given, **more})


class TestRelease:
    def test_checks_without_data_contribute_their_weight(self):
        assert evidence().ln_e == pytest.approx(0, abs=1e-12)

    def test_one_check_alone_can_reach_the_bound(self):
        assert not evidence(errors=math.log(198)).reached
        assert evidence(errors=math.log(199.1)).reached

    def test_checks_add_up(self):
        assert evidence(errors=math.log(100), latency=math.log(120), slo=math.log(90)).reached

    def test_the_check_that_adds_most_is_the_cause(self):
        assert evidence(errors=math.log(90), latency=math.log(200)).cause == "latency"

    @pytest.mark.parametrize("weights", [(0.5, 0.4), (0.5, 0.6), (1.5, -0.5)])
    def test_weights_that_do_not_share_one_alpha_are_refused(self, weights):
        with pytest.raises(ValueError, match="weights"):
            release_evidence([Weighted("a", weights[0]), Weighted("b", weights[1])])

    def test_an_alpha_that_is_no_probability_is_refused(self):
        with pytest.raises(ValueError, match="alpha"):
            release_evidence([Weighted("a", 1)], alpha=1)

    def test_default_weights_share_one_alpha_also_where_a_check_is_missing(self):
        assert sum(DEFAULT_WEIGHTS.values()) == pytest.approx(1)
        assert shared_weights([("errors", 0.5), ("latency", 0.3)]) == pytest.approx({"errors": 0.625, "latency": 0.375})

    def test_weights_without_a_sum_are_refused(self):
        with pytest.raises(ValueError, match="positive sum"):
            shared_weights([("errors", 0)])


class TestWindowEnd:
    def test_not_rejecting_passes_only_after_enough_requests(self):
        assert conclude(seen(candidate_n=800), evidence()).outcome is Outcome.PASS
        assert conclude(seen(candidate_n=799), evidence()).outcome is Outcome.INCONCLUSIVE

    def test_a_window_without_requests_never_passes(self):
        assert conclude(seen(candidate_n=0, needed=0, candidate=None), evidence()).outcome is Outcome.INCONCLUSIVE

    def test_requests_that_are_not_a_number_never_pass(self):
        assert conclude(seen(candidate_n=math.nan), evidence()).outcome is Outcome.INCONCLUSIVE

    def test_evidence_fails_however_few_the_requests_are(self):
        assert conclude(seen(candidate_n=3), evidence(errors=9.0)).outcome is Outcome.FAIL

    def test_a_check_without_requests_does_not_fail_with_the_others(self):
        """It would be a failure in a pipeline, of something that nobody has measured."""
        without = conclude(seen(check="latency", candidate_n=0, candidate=None, missing=reasons.NO_SERIES), evidence(errors=9.0))

        assert (without.outcome, without.reason) == (Outcome.INCONCLUSIVE, reasons.NO_SERIES)

    def test_a_check_that_shows_nothing_does_not_fail_with_the_one_that_does(self):
        """A latency that is better than blue's would be called a failure in a report, and in a pipeline."""
        found = conclude(seen(check="latency", ln_e=-1.0), evidence(errors=9.0))

        assert (found.outcome, found.reason) == (Outcome.INCONCLUSIVE, reasons.NOT_CONCLUDED)

    def test_what_would_have_been_enough_alone_fails_beside_the_cause(self):
        both = seen(check="latency", ln_e=math.log(100 / 0.3) + 0.1)

        assert conclude(replace(both, weight=0.3), evidence(errors=9.0)).outcome is Outcome.FAIL
        assert conclude(replace(both, weight=0.2), evidence(errors=9.0)).outcome is Outcome.INCONCLUSIVE

    def test_missing_data_is_inconclusive_by_its_own_word(self):
        verdict = conclude(seen(missing=reasons.NO_SERIES), evidence())

        assert (verdict.outcome, verdict.reason) == (Outcome.INCONCLUSIVE, reasons.NO_SERIES)

    def test_missing_data_does_not_hide_evidence_from_before(self):
        assert conclude(seen(missing=reasons.NO_SERIES), evidence(errors=9.0)).outcome is Outcome.FAIL


class TestPromotion:
    def test_every_gating_check_must_reach_the_bound(self):
        enough, less = math.log(4 / 0.05) + 1e-9, math.log(4 / 0.05) - 1e-9

        assert promotes([enough, enough], stages=4, dwelled=True)
        assert not promotes([enough, less], stages=4, dwelled=True)

    def test_the_minimum_dwell_is_kept(self):
        assert not promotes([99.0], stages=4, dwelled=False)

    def test_nothing_promotes_on_no_check(self):
        assert not promotes([], stages=4, dwelled=True)

    def test_a_plan_without_stages_is_refused(self):
        with pytest.raises(ValueError, match="at least one stage"):
            promotes([1.0], stages=0, dwelled=True)


class TestSentences:
    def test_a_failure_names_both_rates_the_ratio_the_limit_n_and_the_evidence(self):
        verdict = conclude(seen(ln_e=6.0, since=43_200.0, ratio=(2.1, 6.4)), evidence(errors=6.0))

        assert explain(verdict) == (
            "errors: the candidate is worse than tolerated: 2.1 % vs 0.5 % (2.1 to 6.4 times the baseline, limit 0.6 %, n = 1,204); "
            "the release's e-value is 202 of 100. It grew since 12:00:00 UTC."
        )

    def test_a_check_that_is_not_the_cause_says_so(self):
        verdict = conclude(seen(check="latency"), evidence(errors=6.0))

        assert explain(verdict).startswith("latency: another check gave the evidence")

    def test_a_pass_says_what_was_enough(self):
        assert explain(conclude(seen(candidate=0.0051), evidence())) == (
            "errors: no sign that the candidate is worse: 0.51 % vs 0.5 % (+2 %, limit 0.6 %, n = 1,204); "
            "the release's e-value is 1 of 100, and 800 requests were enough to show the effect that matters."
        )

    def test_a_pass_beside_an_interval_above_one_does_not_say_that_there_is_no_sign(self):
        sentence = explain(conclude(seen(candidate=0.0058, ratio=(1.05, 1.3)), evidence()))

        assert sentence.startswith(
            "errors: worse than the baseline, but not shown to be worse than tolerated: 0.58 % vs 0.5 % (1.05 to 1.3 times"
        )

    def test_too_few_requests_says_what_would_be_needed(self):
        assert explain(conclude(seen(candidate_n=12), evidence())) == (
            "errors: too few requests to tell; 800 requests of the candidate are needed: 2.1 % vs 0.5 % (+320 %, n = 12)."
        )

    @pytest.mark.parametrize("word", sorted(reasons.MISSING_DATA | reasons.UNUSABLE_HISTOGRAM | {reasons.SAME_SERIES}))
    def test_every_kind_of_missing_data_has_words(self, word):
        sentence = explain(Verdict("errors", Outcome.INCONCLUSIVE, word, WINDOW))

        assert sentence.startswith("errors: cannot be judged: ")
        assert word not in sentence

    def test_a_threshold_verdict_is_said_in_its_unit(self):
        verdict = Verdict("p99", Outcome.FAIL, reasons.BEYOND_LIMIT, WINDOW, 418.0, 251.0, 301.2, 1204, "ms")

        assert explain(verdict) == "p99: the candidate is beyond its limit: 418 ms vs 251 ms (+67 %, limit 301.2 ms, n = 1,204)."

    @pytest.mark.parametrize(
        ("ratio", "words"),
        [((0.0, 3.0), "at most 3 times"), ((2.0, math.inf), "at least 2 times"), ((0.0, math.inf), "ratio still open")],
    )
    def test_an_open_interval_is_said_as_such(self, ratio, words):
        assert words in explain(conclude(seen(ratio=ratio), evidence()))

    def test_an_overwhelming_e_value_is_a_power_of_ten(self):
        assert "10^868 of 100" in explain(conclude(seen(), evidence(errors=2000.0)))
