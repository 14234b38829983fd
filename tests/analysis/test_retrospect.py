"""Past windows: what was known before, when a release would have ended, and every way in which there is nothing to judge."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import reasons
from analysis.counters import Scrapes
from analysis.model import Arm, Counted, Outcome, Sample, Series, Window
from analysis.rate import Dispersion
from analysis.retrospect import Asked, Past, judge, past_of, scrapes_of
from analysis.sequential import Kind, Setting
from analysis.totals import totals
from tests.sizes import size

BLUE, GREEN = Arm.BASELINE, Arm.CANDIDATE
STEP, LOOKS, BEFORE = 10.0, 120, 200
WINDOW = Window(0.0, STEP * LOOKS)


def counted(rng, arm, p, *, per_look=250, pods=2, before=BEFORE, tail=0.03, slow_burst=1, offset=0.0):
    """Two counters and a histogram for each pod, from `before` looks ahead of the window."""
    total, bad, buckets = [], [], []
    for pod in range(pods):
        n = rng.poisson(per_look / pods, LOOKS + before + 1)
        slow, failed = np.minimum(slow_burst * rng.binomial(n, tail / slow_burst), n), rng.binomial(n, p)
        times = STEP * np.arange(-before, LOOKS + 1) + offset

        def series(counts, times=times, pod=pod, **labels):
            found = tuple(sorted({"pod": f"{arm}-{pod}", **labels}.items()))
            return Series(found, tuple(Sample(float(t), float(c)) for t, c in zip(times, np.cumsum(counts), strict=True)))

        bad.append(series(failed, code="500"))
        total += [series(n - failed, code="200"), bad[-1]]
        buckets += [series(n - slow, le="250"), series(n - rng.binomial(slow, 0.2), le="500"), series(n, le="+Inf")]
    return Counted(tuple(total), tuple(bad), tuple(buckets))


def both(seed, p_green=0.005, **more):
    rng = np.random.default_rng(seed)
    return {BLUE: counted(rng, BLUE, 0.005, per_look=750), GREEN: counted(rng, GREEN, p_green, before=0, **more)}


WEIGHTS = {"errors": 0.5, "latency": 0.3, "slo": 0.2}
ERRORS, LATENCY = Setting(Kind.ERRORS), Setting(Kind.LATENCY, delta=0.001)


def asked(arms, window=WINDOW, *, limit=None, known=True):
    """The checks that there are without a plan, with what the time before the window says."""
    scrapes = scrapes_of([*arms[BLUE].total, *arms[GREEN].total])
    settings = {"errors": ERRORS, "latency": LATENCY} | ({"slo": replace(ERRORS, rho=1.0, delta=0.0, objective=limit)} if limit else {})
    pasts = {name: past_of(one, arms[BLUE], window, scrapes) if known else Past() for name, one in settings.items()}
    return [Asked(name, replace(one, known=pasts[name].known), arms, WEIGHTS[name]) for name, one in settings.items()]


def judged(arms, window=WINDOW, *, limit=None, alpha=0.01):
    return judge(asked(arms, window, limit=limit), window, scrapes_of([*arms[BLUE].total, *arms[GREEN].total]), alpha)


def outcome(found):
    """Of all checks."""
    return next((one for one in (Outcome.FAIL, Outcome.INCONCLUSIVE) if one in found.outcomes), Outcome.PASS)


class TestVerdict:
    def test_a_healthy_candidate_passes_every_check(self):
        found = judged(both(1), limit=0.05)

        assert (outcome(found), found.reached, found.ticks) == (Outcome.PASS, None, LOOKS)
        assert {verdict.check.split()[0] for verdict in found.verdicts} == {"errors", "slo", "latency"}

    def test_a_worse_one_fails_at_the_tick_that_would_have_ended_the_release(self):
        found = judged(both(2, 0.05))

        assert (outcome(found), found.verdicts[0].check) == (Outcome.FAIL, "errors")
        assert 0 < found.reached <= 100
        assert found.verdicts[0].window == Window(0.0, found.reached)
        assert found.verdicts[0].detail["ratio_low"] > 1

    def test_a_slower_one_fails_for_latency(self):
        found = judged(both(3, tail=0.15))

        assert (outcome(found), found.verdicts[0].check) == (Outcome.FAIL, "latency beyond 250")

    def test_too_few_requests_are_inconclusive(self):
        found = judged(both(4, per_look=5), window=Window(0.0, 100.0))

        assert (outcome(found), found.verdicts[0].reason) == (Outcome.INCONCLUSIVE, reasons.TOO_FEW_REQUESTS)

    def test_the_path_of_each_check_ends_with_the_numbers_of_its_verdict(self):
        found = judged(both(2, 0.05), limit=0.02)

        assert [len(one.path) for one in found.checks] == [found.ticks] * 3
        for one in found.checks:
            verdict, last = one.verdict, one.path[-1]
            assert (last.at, last.n, last.ln_e) == (found.reached, verdict.n, verdict.detail["ln_e"])
            assert [100 * rate for rate in (last.candidate, last.baseline, last.limit)] == [
                verdict.candidate, verdict.baseline, verdict.limit,
            ]  # fmt: skip

    def test_nothing_after_the_window_is_looked_at(self):
        arms = both(5, 0.05)

        assert judged(arms, window=Window(0.0, 50.0)).ticks <= 5

    @pytest.mark.parametrize("offset", [3.0, 7.5])
    def test_arms_that_are_scraped_at_other_moments_are_judged_alike(self, offset):
        assert outcome(judged(both(1, offset=offset))) is Outcome.PASS

    @pytest.mark.long
    def test_healthy_candidates_rarely_fail(self):
        """At alpha 10 %: a bound that a broken engine would not keep."""
        count = size(10, 60)
        failed = sum(outcome(judged(both(100 + seed), alpha=0.1)) is Outcome.FAIL for seed in range(count))

        assert failed <= 0.1 * count


class TestPast:
    def test_the_rate_and_the_dispersion_are_measured_before_the_window(self):
        found = past(both(6)[BLUE], ERRORS)

        assert found.known[0].p_hist == pytest.approx(0.005, rel=0.2)
        assert 0.5 < found.known[0].dispersion.bursts < 1.6
        assert found.seconds == STEP * BEFORE

    def test_each_edges_tail_has_its_own_dispersion_and_not_that_of_the_errors(self):
        """Slow requests that come in sixes; failures that come alone."""
        arms = counted(np.random.default_rng(9), BLUE, 0.005, slow_burst=6)
        bursts = {one.edge: one.dispersion.bursts for one in past(arms, LATENCY).known}

        assert past(arms, ERRORS).known[0].dispersion.bursts == pytest.approx(1, abs=0.4)
        assert bursts[250.0] == pytest.approx(6, rel=0.25)
        assert 1 < bursts[500.0] < bursts[250.0]

    def test_good_events_can_be_counted_instead_of_the_bad_ones(self):
        arms = counted(np.random.default_rng(9), BLUE, 0.005)
        good = Counted(arms.total, tuple(one for one in arms.total if dict(one.labels)["code"] == "200"))

        assert past(good, replace(ERRORS, counts_good=True)).known[0].p_hist == pytest.approx(past(arms, ERRORS).known[0].p_hist)

    def test_an_edges_own_dispersion_divides_its_evidence(self):
        arms = both(3, tail=0.06)
        every = asked(arms)
        bursty = [
            replace(
                one, setting=replace(one.setting, known=tuple(replace(line, dispersion=Dispersion(6, 8)) for line in one.setting.known))
            )
            for one in every
        ]
        alone, in_bursts = (judge(found, WINDOW, scrapes_of(arms[BLUE].total), 0.01) for found in (every, bursty))

        assert alone.reached < in_bursts.reached

    def test_without_a_past_the_defaults_hold_and_the_window_begins_with_the_edges(self):
        arms = both(7)
        short = {arm: Counted(*(tuple(cut(one) for one in part) for part in (c.total, c.bad, c.buckets))) for arm, c in arms.items()}
        found = judged(short)
        errors, latency = (one.asked.setting.known for one in sorted(found.checks, key=lambda one: one.asked.name))

        assert past(short[BLUE], ERRORS) == Past()
        assert (errors[0].p_hist, errors[0].dispersion, latency[0].dispersion) == (0.005, Dispersion(), Dispersion())
        assert [len(one.path) for one in found.checks if one.asked.name == "latency"] == [LOOKS * 0.9]
        assert outcome(found) is Outcome.PASS

    def test_what_happens_in_the_window_does_not_change_the_past(self):
        rng = np.random.default_rng(8)
        arms = counted(rng, BLUE, 0.005)
        broken = Counted(*(tuple(raised(one) for one in part) for part in (arms.total, arms.bad, arms.buckets)))

        assert past(arms, ERRORS) == past(broken, ERRORS, arms)
        assert past(arms, LATENCY) == past(broken, LATENCY, arms)

    def test_one_pod_has_no_halves_and_the_default_dispersion(self):
        arms = counted(np.random.default_rng(9), BLUE, 0.005, pods=1)

        assert past(arms, ERRORS).known[0].dispersion == Dispersion()


def past(baseline, setting, scraped=None):
    return past_of(setting, baseline, WINDOW, scrapes_of((scraped or baseline).total))


def cut(series):
    return Series(series.labels, tuple(sample for sample in series.samples if sample.time >= 0))


def raised(series):
    return Series(series.labels, tuple(Sample(s.time, s.value * (3 if s.time > 0 else 1)) for s in series.samples))


class TestNothingToJudge:
    def test_the_same_series_in_both_arms(self):
        arms = both(10)
        found = judged({BLUE: arms[BLUE], GREEN: arms[BLUE]})

        assert (outcome(found), {verdict.reason for verdict in found.verdicts}) == (Outcome.INCONCLUSIVE, {reasons.SAME_SERIES})

    @pytest.mark.parametrize(("missing", "reason"), [(GREEN, reasons.NO_SERIES), (BLUE, reasons.BASELINE_MISSING)])
    def test_an_arm_without_series(self, missing, reason):
        found = judged({**both(11), missing: Counted()})

        assert (outcome(found), found.verdicts[0].reason) == (Outcome.INCONCLUSIVE, reason)

    def test_no_series_at_all(self):
        found = judged({BLUE: Counted(), GREEN: Counted()})

        assert (outcome(found), found.verdicts[0].reason, found.ticks) == (Outcome.INCONCLUSIVE, reasons.NO_SERIES, 0)

    def test_one_sample_a_series(self):
        arms = {
            arm: Counted(*(tuple(Series(s.labels, s.samples[-1:]) for s in part) for part in (c.total, c.bad)))
            for arm, c in both(12).items()
        }

        assert outcome(judged(arms)) is Outcome.INCONCLUSIVE

    @settings(max_examples=size(10, 25))
    @given(
        st.lists(st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 0.0, 5.0, 1e300, 1.7e308]), min_size=1, max_size=30),
        st.integers(0, 3),
    )
    def test_broken_samples_never_pass_and_never_raise(self, values, seed):
        rng = np.random.default_rng(seed)
        samples = tuple(Sample(float(10 * rng.integers(-5, 50)), value) for value in values)
        arms = {arm: Counted((Series((("pod", str(arm)),), samples),), (), ()) for arm in Arm}

        assert outcome(judged(arms)) is not Outcome.PASS


class TestOthers:
    def test_one_that_only_observes_is_judged_and_decides_nothing(self):
        arms = both(2, 0.05)
        every = [replace(one, observe=one.name == "errors") for one in asked(arms)]
        found = judge(every, WINDOW, scrapes_of(arms[BLUE].total), 0.01)

        assert {one.asked.name: one.verdict.outcome for one in found.checks} == {"errors": Outcome.FAIL, "latency": Outcome.PASS}
        assert (outcome(found), found.reached) == (Outcome.PASS, None)

    def test_where_every_check_observes_nothing_is_reached(self):
        arms = both(2, 0.05)
        found = judge([replace(one, observe=True) for one in asked(arms)], WINDOW, scrapes_of(arms[BLUE].total), 0.01)

        assert (found.evidence, found.reached, found.outcomes) == (None, None, frozenset())

    def test_an_objective_that_both_arms_break_alerts_and_does_not_fail(self):
        rng = np.random.default_rng(20)
        arms = {BLUE: counted(rng, BLUE, 0.05, per_look=750), GREEN: counted(rng, GREEN, 0.05, before=0)}
        found = judged(arms, limit=0.01)
        alerted = {one.asked.name: one.alerted for one in found.checks}

        assert (found.reached, alerted["errors"]) == (None, None)
        assert 0 < alerted["slo"] < 300

    def test_the_plans_least_requests_are_asked_for(self):
        arms = both(1)
        every = [replace(one, least=10**6) for one in asked(arms)]

        assert {one.reason for one in judge(every, WINDOW, scrapes_of(arms[BLUE].total), 0.01).verdicts} == {reasons.TOO_FEW_REQUESTS}


class TestProperties:
    @settings(max_examples=size(4, 10))
    @given(st.randoms(use_true_random=False))
    def test_the_order_of_series_and_samples_does_not_matter(self, random):
        arms = both(13, 0.01)
        shuffled = {arm: Counted(*(mixed(part, random) for part in (c.total, c.bad, c.buckets))) for arm, c in arms.items()}
        scrapes = scrapes_of(arms[BLUE].total)
        every = asked(arms)
        again = judge([replace(one, arms=shuffled) for one in every], WINDOW, scrapes, 0.01)

        assert [(one.verdict, one.path) for one in again.checks] == [
            (one.verdict, one.path) for one in judge(every, WINDOW, scrapes, 0.01).checks
        ]

    @pytest.mark.parametrize("shift", [1_700_000_000.0, -5_000.0])
    def test_the_calendar_does_not_matter(self, shift):
        arms = both(14, 0.01)
        moved = {
            arm: Counted(*(tuple(later(one, shift) for one in part) for part in (c.total, c.bad, c.buckets))) for arm, c in arms.items()
        }
        first, second = judged(arms), judged(moved, window=Window(shift, shift + WINDOW.end))

        assert second.evidence.ln_e == pytest.approx(first.evidence.ln_e, abs=1e-9)
        assert second.ticks == first.ticks


def mixed(part, random):
    found = [Series(one.labels, one.samples) for one in part]
    random.shuffle(found)
    return tuple(found)


def later(series, shift):
    return Series(series.labels, tuple(Sample(sample.time + shift, sample.value) for sample in series.samples))


class TestTotals:
    def test_counts_and_quantiles_are_those_of_the_window(self):
        arms = both(15)
        found = totals(arms, WINDOW, scrapes_of(arms[BLUE].total))

        assert found[GREEN].n == pytest.approx(250 * LOOKS, rel=0.03)
        assert found[GREEN].error_percent.value == pytest.approx(0.5, abs=0.2)
        assert 250 < found[BLUE].quantile(0.99).value < 500
        assert found[BLUE].quantile(0.5).value == pytest.approx(250 * 0.5 / 0.97, rel=0.01)

    def test_a_quantile_is_that_of_the_versions_own_edges(self):
        """They share the edge 1 alone: told by that, both had been as slow as 1, and a limit on their ratio had passed."""
        shares = {BLUE: {1: 0.0, 250: 0.98, 500: 1.0}, GREEN: {1: 0.0, 400: 0.98, 800: 1.0}}
        arms = {
            arm: Counted(
                buckets=tuple(
                    Series((("arm", arm), ("le", str(edge))), tuple(Sample(1000 + 15.0 * at, at * 100 * share) for at in range(10)))
                    for edge, share in (*below.items(), ("+Inf", 1.0))
                )
            )
            for arm, below in shares.items()
        }

        found = totals(arms, Window(1000, 1120), Scrapes(interval=15, every=15, patience=45))

        assert (found[BLUE].quantile(0.99).value, found[GREEN].quantile(0.99).value) == (pytest.approx(375), pytest.approx(600))

    def test_requests_a_second_are_those_of_the_time_that_was_counted(self):
        """The last scrape before a window's end is not the end: half a minute of requests is no rate of a whole one."""
        arms = both(15)
        whole, part = (totals(arms, window, scrapes_of(arms[BLUE].total)) for window in (WINDOW, Window(WINDOW.start, WINDOW.start + 39)))

        assert part[GREEN].seconds == 30
        assert part[GREEN].per_second.value == pytest.approx(whole[GREEN].per_second.value, rel=0.1)

    def test_nothing_is_no_number(self):
        found = totals({BLUE: Counted(), GREEN: Counted()}, WINDOW, scrapes_of([]))

        assert (found[BLUE].error_percent.reason, found[GREEN].quantile(0.5).reason) == (reasons.NO_SERIES, reasons.NO_SERIES)
        assert found[GREEN].per_second.reason == reasons.NO_SERIES
