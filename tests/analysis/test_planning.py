"""Before a release, and the interval beside a verdict."""

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import confidence
from analysis.confidence import GRID, RatioState, interval
from analysis.model import Tick
from analysis.planning import Stage, default_effect, dispersion, expected_times, requests_to_detect, tolerance_warning
from analysis.rate import LEAST_RATE, Dispersion, RateTest

PLAIN = RateTest(p_hist=0.01, dispersion=Dispersion(1, 1))


class TestDetection:
    def test_the_requests_are_the_formulas(self):
        b = 1.1 * 0.01 + 0.0005
        by_hand = (math.log(100) + math.log(2) + 2.3) / (0.05 * math.log(0.05 / b) - (0.05 - b))

        assert requests_to_detect(PLAIN, 0.05, alpha=0.01, weight=0.5, share=0.05) == pytest.approx(by_hand)

    def test_dispersion_costs_in_proportion(self):
        guarded = RateTest(p_hist=0.01, dispersion=Dispersion(2, 2))
        one, two = (requests_to_detect(test, 0.05, alpha=0.01, weight=0.5, share=0.05) for test in (PLAIN, guarded))

        assert two == pytest.approx(2 * one)

    def test_what_is_tolerated_is_never_detected(self):
        assert requests_to_detect(PLAIN, 0.011, alpha=0.01, weight=0.5, share=0.05) == math.inf

    def test_a_baseline_without_any_error_is_planned_with_the_least_rate_that_the_test_bets_against(self):
        strict = RateTest(rho=1.0, delta=0.0, p_hist=0.0)
        least = RateTest(rho=1.0, delta=0.0, p_hist=LEAST_RATE)
        none, rare = (requests_to_detect(test, 0.05, alpha=0.01, weight=0.5, share=0.05) for test in (strict, least))

        assert 0 < none == rare < math.inf

    @pytest.mark.parametrize(("baseline", "effect"), [(0.0, 0.05), (0.001, 0.05), (0.02, 0.1), (0.5, 0.99)])
    def test_the_default_effect_is_5_percent_or_five_times_the_baseline(self, baseline, effect):
        assert default_effect(baseline) == pytest.approx(effect)

    def test_a_stage_that_is_too_short_is_named_with_its_numbers(self):
        quick, slow = expected_times(PLAIN, [Stage("5 %", 0.05, 1200), Stage("25 %", 0.25, 10)], per_second=50)

        assert quick.warning == ""
        assert slow.warning.startswith("stage 25 % is too short for a rate of 5 %: ")
        assert slow.seconds == pytest.approx(slow.requests / 12.5)

    def test_a_stage_without_requests_and_an_effect_that_is_tolerated_are_named_too(self):
        (silent,) = expected_times(PLAIN, [Stage("5 %", 0.05, 1200)], per_second=0)
        (tolerated,) = expected_times(PLAIN, [Stage("5 %", 0.05, 1200)], per_second=50, effect=0.01)

        assert "gets none" in silent.warning
        assert "the tolerance allows it" in tolerated.warning

    @pytest.mark.parametrize(("rho", "delta", "warned"), [(1.1, 0.0005, False), (60, 0.0, True), (1.0, 0.06, False), (1.0, 0.2, True)])
    def test_a_tolerance_that_accepts_any_regression_is_named(self, rho, delta, warned):
        assert bool(tolerance_warning(RateTest(rho=rho, delta=delta, p_hist=0.01))) is warned


def halves(ticks, *, seed, burst=1):
    rng, found = random.Random(seed), []
    for index in range(ticks):
        x = [burst * sum(rng.random() < 0.01 / burst for _ in range(300)) for _ in range(2)]
        found.append(Tick(10.0 * index, 10.0 * index + 10, 300, x[0], 300, x[1]))
    return found


class TestDispersion:
    def test_independent_requests_have_a_dispersion_of_one(self):
        found = dispersion(halves(720, seed=1))

        assert found.bursts == pytest.approx(1, abs=0.15)

    def test_bursts_show_as_their_size(self):
        assert dispersion(halves(720, seed=2, burst=3)).bursts == pytest.approx(3, rel=0.2)

    def test_a_drift_between_the_halves_shows_in_longer_blocks(self):
        """For half an hour one half is worse, then the other."""
        rng, drifting = random.Random(5), []
        for index in range(720):
            high = (index // 180) % 2
            x = [sum(rng.random() < (0.02 if half == high else 0.005) for _ in range(300)) for half in range(2)]
            drifting.append(Tick(10.0 * index, 10.0 * index + 10, 300, x[0], 300, x[1]))

        found = dispersion(drifting)

        assert found.widest > 3 * found.bursts

    def test_a_history_without_bad_events_is_refused(self):
        with pytest.raises(ValueError, match="too few bad events"):
            dispersion([Tick(0, 10, 300, 0, 300, 0)] * 100)


def binomial(x, n, p):
    return math.comb(n, x) * p**x * (1 - p) ** (n - x)


class TestRatioInterval:
    def test_before_any_bad_event_every_ratio_is_possible(self):
        assert interval(RatioState()) == (0.0, math.inf)

    def test_it_closes_in_on_the_ratio(self):
        state = RatioState()
        for index in range(200):
            state = confidence.step(state, Tick(10.0 * index, 10.0 * index + 10, 100, 4, 1000, 10), Dispersion(1, 1))
        low, high = interval(state)

        assert 3 < low < 4 < high < 5.2

    @given(st.integers(1, 6), st.integers(1, 6), st.floats(0.001, 0.3), st.sampled_from([0.5, 1.0, 2.0]))
    @settings(max_examples=40)
    def test_the_true_ratio_is_refuted_by_no_more_than_chance(self, n_g, n_b, p_b, ratio):
        """The mixture's likelihood ratio against the true ratio averages at most 1, exactly."""
        index = min(range(len(GRID)), key=lambda i: abs(GRID[i] - ratio))
        mean = 0.0
        for x_g in range(n_g + 1):
            for x_b in range(n_b + 1):
                weight = binomial(x_g, n_g, p_b * GRID[index]) * binomial(x_b, n_b, p_b)
                held = confidence.step(RatioState(), Tick(0, 1, n_g, x_g, n_b, x_b), Dispersion(1, 1)).likelihood
                mean += weight * sum(math.exp(value - held[index]) for value in held) / len(held)

        assert mean <= 1 + 1e-9

    def test_a_stored_state_goes_on_is_small_and_counts_no_tick_twice(self):
        tick = Tick(0, 10, 100, 4, 1000, 10)
        state = confidence.step(RatioState(), tick)
        stored = json.dumps(state.to_json())

        assert RatioState.from_json(json.loads(stored)) == state
        assert confidence.step(state, tick) is state
        assert len(stored) < 4096

    def test_a_tick_without_bad_events_or_without_an_arm_says_nothing(self):
        for tick in (Tick(0, 10, 100, 0, 1000, 0), Tick(0, 10, 100, 4, 0, 0)):
            assert confidence.step(RatioState(), tick).likelihood == RatioState().likelihood

    def test_a_foreign_state_is_refused(self):
        with pytest.raises(ValueError, match="confidence sequence"):
            RatioState.from_json({"v": 1, "l": [1.0]})
