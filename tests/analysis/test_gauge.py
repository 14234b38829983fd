"""Gauges by paired differences."""

import json
import math
import random

import pytest

from analysis.gauge import (
    GaugeState,
    GaugeTest,
    Pair,
    best_rho,
    long_run_variance,
    one_sided_bound,
    one_sided_mixture,
    pairs,
    ratio_interval,
    step,
    two_sided_bound,
)
from analysis.model import Sample
from tests.analysis.oracles import expected


class TestOracles:
    def test_the_best_rho(self):
        given, value, tol = expected("confseq-ut-01")

        assert best_rho(given["v"], given["alpha"]) == pytest.approx(value, abs=tol)

    def test_the_two_sided_bound(self):
        given, value, tol = expected("confseq-ut-03")
        rho = best_rho(given["v_opt"], given["alpha_opt"])

        assert two_sided_bound(given["v"], given["alpha"], rho) == pytest.approx(value, abs=tol)

    @pytest.mark.parametrize("name", ["confseq-ut-05", "confseq-run-01", "confseq-run-03", "confseq-run-05", "confseq-run-07"])
    def test_the_one_sided_bound(self, name):
        given, value, tol = expected(name)
        rho = best_rho(given["v_opt"], 2 * given["alpha_opt"])

        assert one_sided_bound(given["v"], given["alpha"], rho) == pytest.approx(value, abs=tol)

    @pytest.mark.parametrize(("s", "v"), [(0, 0), (5, 10), (-20, 3), (30, 100)])
    def test_the_one_sided_mixture_is_its_integral(self, s, v):
        from scipy.integrate import quad
        from scipy.stats import norm

        rho = 12.6
        mixed, _ = quad(lambda x: 2 * norm.pdf(x, scale=1 / math.sqrt(rho)) * math.exp(x * s - x * x * v / 2), 0, 10, epsabs=1e-13)

        assert one_sided_mixture(s, v, rho) == pytest.approx(math.log(mixed), abs=1e-7)

    def test_the_mixture_is_defined_far_below_0(self):
        far, farther = (one_sided_mixture(s, 1.0, 1.0) for s in (-42.42, -42.43))

        assert farther == pytest.approx(far, abs=1e-3)


def history(seconds, *, seed=1, spread=0.05, memory=0.0):
    """The baseline's halves against each other, every 10 s; `memory` makes the ratio drift."""
    rng, level, found = random.Random(seed), 0.0, []
    for time in range(0, seconds, 10):
        level = memory * level + rng.gauss(0, spread)
        found.append(Pair(float(time), math.exp(level), 1.0))
    return found


class TestVariance:
    def test_of_independent_samples_it_is_their_variance_times_their_spacing(self):
        assert long_run_variance(history(60_000)) == pytest.approx(10 * 0.05**2, rel=0.5)

    def test_memory_makes_it_larger(self):
        assert long_run_variance(history(60_000, memory=0.9)) > 20 * long_run_variance(history(60_000))

    def test_a_history_that_is_too_short_is_refused(self):
        with pytest.raises(ValueError, match="too short"):
            long_run_variance(history(200))

    def test_no_history_is_refused(self):
        with pytest.raises(ValueError, match="needs history"):
            long_run_variance([])


TEST = GaugeTest(tolerance=0.1, variance=0.025)


def drawn(ratio, count, *, seed=3):
    rng = random.Random(seed)
    return [Pair(10.0 * i, ratio * math.exp(rng.gauss(0, 0.05)), 1.0) for i in range(count)]


class TestEvidence:
    def test_it_grows_where_the_candidate_needs_more_than_tolerated(self):
        assert step(TEST, GaugeState(), drawn(1.4, 120), longest=30).ln_e(TEST) > math.log(100)

    def test_it_does_not_grow_within_the_tolerance(self):
        assert step(TEST, GaugeState(), drawn(1.05, 120), longest=30).ln_e(TEST) < 0

    def test_less_can_be_the_worse(self):
        less = GaugeTest(tolerance=0.1, variance=0.025, lower_is_worse=True)

        assert step(less, GaugeState(), drawn(0.7, 120), longest=30).ln_e(less) > math.log(100)

    def test_before_any_pair_nothing_is_known(self):
        assert GaugeState().ln_e(TEST) == pytest.approx(0, abs=1e-12)
        assert ratio_interval(TEST, GaugeState()) is None

    @pytest.mark.parametrize(("lower_is_worse", "ratio"), [(False, 1.4), (True, 0.7)])
    def test_the_ratio_shown_covers_the_true_one(self, lower_is_worse, ratio):
        test = GaugeTest(tolerance=0.1, variance=0.025, lower_is_worse=lower_is_worse)

        low, high = ratio_interval(test, step(test, GaugeState(), drawn(ratio, 120), longest=30))

        assert low < ratio < high < 2 * low

    def test_a_gap_counts_as_no_more_than_the_longest_spacing(self):
        every = [Pair(0.0, 2.0, 1.0), Pair(1000.0, 2.0, 1.0)]

        assert step(TEST, GaugeState(), every, longest=30).seconds == 30

    def test_pairs_seen_again_count_once_and_a_stored_state_goes_on(self):
        every = drawn(1.2, 40)
        half = step(TEST, GaugeState(), every[:20], longest=30)
        restored = GaugeState.from_json(json.loads(json.dumps(half.to_json())))

        assert step(TEST, restored, every, longest=30) == step(TEST, GaugeState(), every, longest=30)

    @pytest.mark.parametrize(
        "stored", [{}, {"v": 2, "total": 0, "seconds": 0, "last": None}, {"v": 1, "total": None, "seconds": 0, "last": None}]
    )
    def test_a_foreign_state_is_refused(self, stored):
        with pytest.raises(ValueError, match="gauge test"):
            GaugeState.from_json(stored)


class TestPairs:
    def test_samples_are_paired_once_within_reach(self):
        left = [Sample(1, 10), Sample(11, 20), Sample(40, 30)]
        right = [Sample(0, 1), Sample(10, 2), Sample(20, 3)]

        assert pairs(left, right, apart=5) == (Pair(0, 10, 1), Pair(10, 20, 2))

    def test_values_without_a_logarithm_make_no_pair(self):
        bad = [Sample(0, 0), Sample(10, -1), Sample(20, math.nan), Sample(30, math.inf), Sample(40, 2)]

        assert pairs(bad, [Sample(10.0 * i, 1) for i in range(5)], apart=5) == (Pair(40, 2, 1),)

    @pytest.mark.parametrize("fault", [{"variance": 0}, {"tolerance": -1}, {"alpha": 0}, {"tuned_for": 0}])
    def test_a_test_that_makes_no_sense_is_refused(self, fault):
        with pytest.raises(ValueError, match="gauge test"):
            GaugeTest(**{"tolerance": 0.1, "variance": 1, **fault})
