"""The rate e-process: its reference numbers, its validity by exact enumeration, and its state."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from analysis.model import Tick
from analysis.rate import (
    ERROR_GRID,
    LATENCY_GRID,
    PROMOTION_GRID,
    Dispersion,
    Form,
    RateState,
    RateTest,
    bernoulli_increment,
    bernoulli_null,
    poisson_factors,
    poisson_increment,
    run,
    start,
    step,
)
from tests.analysis.oracles import expected
from tests.sizes import size
from tests.speed import cost_ms

UNGUARDED = {"dispersion": Dispersion(1, 1), "cap": math.inf}
REFERENCE = [Tick(0, 10, 25, 0, 475, 2), Tick(10, 20, 25, 3, 475, 4), Tick(20, 30, 25, 2, 475, 3)]


def course(test, ticks=REFERENCE):
    state, found = start(test), []
    for tick in ticks:
        state = step(test, state, tick, "5 %")
        found.append(state.ln_e)
    return found


class TestReference:
    def test_the_unguarded_course_is_the_reference(self):
        assert course(RateTest(**UNGUARDED)) == pytest.approx([-0.432580, 2.156534, 4.322742], abs=5e-7)

    def test_the_guarded_course_is_the_reference(self):
        guarded = RateTest(dispersion=Dispersion(2, 2), cap=math.log(100) / 2)

        assert course(guarded) == pytest.approx([-0.271143, 0.939329, 1.889849], abs=5e-7)

    def test_before_the_first_tick_nothing_is_known(self):
        assert start(RateTest()).ln_e == pytest.approx(0, abs=1e-15)


class TestOracles:
    def test_the_poisson_increment_of_a_twofold_rate(self):
        given_, value, tol = expected("engine-01")
        tick = Tick(0, 10, given_["ng"], given_["xg"], given_["nb"], given_["xb"])

        assert poisson_increment(RateTest(rho=1, delta=0), tick, 2 * 0.01, 0.01) == pytest.approx(value, abs=tol)

    def test_the_poisson_factors_of_an_affine_boundary(self):
        given_, value, tol = expected("engine-03")
        q = 50 / 950

        r = poisson_factors(given_["rho"], given_["delta"], q, given_["pg"], given_["pb"])

        assert r == pytest.approx(value["rg"], abs=tol)
        assert 1 - given_["rho"] * q * (r - 1) == pytest.approx(value["rb"], abs=tol)

    def test_the_bernoulli_projection(self):
        given_, value, tol = expected("engine-05")

        found = bernoulli_null(1, 0.05, (given_["ng"], given_["nb"]), given_["pg"], given_["pb"])

        assert found == pytest.approx(value, abs=tol)

    def test_the_simple_e_value_of_two_proportions(self):
        given_, value, tol = expected("safestats-09")
        tick = Tick(0, 1, given_["nb"], given_["nb1"], given_["na"], given_["na1"])

        found = math.exp(bernoulli_increment(RateTest(rho=1, delta=0), tick, given_["thetaB"], given_["thetaA"]))

        assert found == pytest.approx(value, abs=tol)

    @pytest.mark.parametrize(
        "name",
        ["safestats-01", "safestats-03", "safestats-05", "safestats-lin-01", "safestats-lin-03", "safestats-lin-05", "safestats-lin-07"],
    )
    def test_the_product_of_increments_with_plugged_in_rates(self, name):
        """Another implementation bets on each arm's own past rate; the increment is the same function."""
        given_, value, tol = expected(name)
        shared = given_.get("beta_prior")
        prior_a = given_.get("betaA") or (given_["prior"][:2] if "prior" in given_ else [shared, shared])
        prior_b = given_.get("betaB") or (given_["prior"][2:] if "prior" in given_ else [shared, shared])
        na, nb, total = given_["na"], given_["nb"], 0.0
        seen = [0, 0, 0]
        for ya, yb in zip(given_["ya"], given_["yb"], strict=True):
            rate_a = (seen[0] + prior_a[0]) / (seen[2] * na + sum(prior_a))
            rate_b = (seen[1] + prior_b[0]) / (seen[2] * nb + sum(prior_b))
            g, y = bernoulli_null(1, given_.get("delta", 0.0), (nb, na), rate_b, rate_a)
            total += yb * math.log(rate_b / g) + (nb - yb) * math.log((1 - rate_b) / (1 - g))
            total += ya * math.log(rate_a / y) + (na - ya) * math.log((1 - rate_a) / (1 - y))
            seen = [seen[0] + ya, seen[1] + yb, seen[2] + 1]

        assert math.exp(total) == pytest.approx(value, abs=max(tol, abs(value) * 1e-7 if name == "safestats-05" else 0))


def binomial(x, n, p):
    return math.comb(n, x) * p**x * (1 - p) ** (n - x)


def exact_mean(increment, test, counts, alternative, truth):
    """E exp(increment / phi) by summing over all outcomes of two small binomials."""
    (n_g, n_b), (p_g, p_b) = counts, truth
    total = 0.0
    for x_g in range(n_g + 1):
        for x_b in range(n_b + 1):
            weight = binomial(x_g, n_g, p_g) * binomial(x_b, n_b, p_b)
            total += weight * math.exp(increment(test, Tick(0, 10, n_g, x_g, n_b, x_b), *alternative) / test.dispersion.bursts)
    return total


RATES = st.floats(1e-4, 0.6)


class TestValidity:
    @given(
        st.tuples(st.integers(1, 7), st.integers(1, 7)),
        RATES,
        RATES,
        st.floats(0, 1),
        st.tuples(st.sampled_from([0.5, 1.0, 1.1, 2.0]), st.sampled_from([0.0, 0.001, 0.05])),
    )
    @settings(max_examples=size(30, 120))
    @example((1, 7), 0.2, 0.001, 1.0, (1.1, 0.001))
    def test_one_tick_averages_at_most_1_under_the_null_whatever_the_baseline_is(self, n, plugged, true_b, part, tolerance):
        """`plugged` is what history says, `true_b` what the baseline really does; they need not agree."""
        rho, delta = tolerance
        boundary = rho * plugged + delta
        assume(boundary < 0.95 and rho * true_b + delta <= 1)
        true_g = part * (rho * true_b + delta)
        for multiple in (1.25, 3.2):
            alternative = (min(multiple * boundary, (1 + boundary) / 2), plugged)
            for form, increment in ((Form.POISSON, poisson_increment), (Form.BERNOULLI, bernoulli_increment)):
                for phi in (1.0, 2.0):
                    test = RateTest(rho=rho, delta=delta, form=form, dispersion=Dispersion(phi, phi), cap=math.inf)
                    assert exact_mean(increment, test, n, alternative, (true_g, true_b)) <= 1 + 1e-9

    @given(
        st.tuples(st.integers(1, 7), st.integers(1, 7)),
        RATES,
        RATES,
        st.floats(0, 1),
        st.tuples(st.sampled_from([1.0, 1.5]), st.sampled_from([0.0, 0.005])),
    )
    @settings(max_examples=size(20, 80))
    def test_the_reversed_null_averages_at_most_1_too(self, n, plugged, true_b, part, tolerance):
        rho, delta = tolerance
        boundary, least = rho * plugged + delta, rho * true_b + delta
        assume(boundary < 0.95 and least < 1)
        true_g = least + part * (1 - least)
        for multiple in (0.9, 0.45, 0.15):
            alternative = (multiple * boundary, plugged)
            for form, increment in ((Form.POISSON, poisson_increment), (Form.BERNOULLI, bernoulli_increment)):
                test = RateTest(rho=rho, delta=delta, grid=(multiple,), form=form, **UNGUARDED)
                assert exact_mean(increment, test, n, alternative, (true_g, true_b)) <= 1 + 1e-9

    @given(st.integers(1, 40), st.floats(0.001, 0.4), st.floats(0, 1))
    @settings(max_examples=size(15, 60))
    def test_a_fixed_limit_averages_at_most_1_without_a_baseline(self, n, limit, part):
        test = RateTest(rho=0, delta=limit, form=Form.BERNOULLI, **UNGUARDED)
        p = limit * part
        mean = sum(
            binomial(x, n, p) * math.exp(bernoulli_increment(test, Tick(0, 1, n, x, 0, 0), min(2 * limit, 0.9), 0.01)) for x in range(n + 1)
        )

        assert mean <= 1 + 1e-9

    def test_moving_capital_from_what_is_kept_back_changes_nothing(self):
        """Where the tick itself says nothing, the restart alone must leave E as it is."""
        flat = RateTest(rho=1, delta=0, grid=(1 + 1e-12,), **UNGUARDED)

        assert step(flat, start(flat), Tick(0, 10, 10, 0, 10, 0)).ln_e == pytest.approx(0, abs=1e-9)


class TestProjection:
    @given(
        RATES,
        st.floats(1.05, 30),
        st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
        st.tuples(st.sampled_from([0.5, 1.0, 1.1]), st.sampled_from([0.0, 0.001, 0.05])),
    )
    @settings(max_examples=size(25, 100))
    def test_it_is_the_closest_point_of_the_boundary(self, baseline, multiple, n, tolerance):
        rho, delta = tolerance
        n_g, n_b = n
        boundary = rho * baseline + delta
        candidate = min(multiple * boundary, (1 + boundary) / 2)
        _, y = bernoulli_null(rho, delta, n, candidate, baseline)

        def slope(x):

            g = rho * x + delta
            return n_g * rho * (candidate - g) / (g * (1 - g)) + n_b * (baseline - x) / (x * (1 - x))

        from scipy.optimize import brentq

        assert y == pytest.approx(brentq(slope, baseline, min((candidate - delta) / rho, 1 - 1e-12), xtol=1e-15), rel=1e-9)

    def test_a_reversed_alternative_is_projected_too(self):
        g, y = bernoulli_null(1.5, 0.005, (500, 500), 0.001, 0.01)

        def divergence(x):

            p = 1.5 * x + 0.005
            own = 0.001 * math.log(0.001 / p) + 0.999 * math.log(0.999 / (1 - p))
            return own + 0.01 * math.log(0.01 / x) + 0.99 * math.log(0.99 / (1 - x))

        from scipy.optimize import minimize_scalar

        best = minimize_scalar(divergence, bounds=(1e-9, 0.02), method="bounded", options={"xatol": 1e-12}).x
        assert (g, y) == pytest.approx((1.5 * best + 0.005, best), rel=1e-4)


COUNTS = st.tuples(st.integers(0, 400), st.integers(0, 400), st.integers(0, 4000), st.integers(0, 4000)).map(
    lambda c: (c[0], min(c[1], c[0]), c[2], min(c[3], c[2]))
)
TICKS = st.lists(COUNTS, min_size=1, max_size=12).map(lambda all_: [Tick(10 * i, 10 * i + 10, *c) for i, c in enumerate(all_)])


class TestState:
    @given(TICKS, st.sampled_from(list(Form)), st.integers(0, 11))
    @settings(max_examples=size(15, 60))
    def test_a_stored_state_goes_on_to_the_bit(self, ticks, form, cut):
        test = RateTest(form=form)
        half = run(test, ticks[:cut])
        restored = RateState.from_json(json.loads(json.dumps(half.to_json(), allow_nan=False)), test)

        assert run(test, ticks[cut:], restored) == run(test, ticks)

    @given(TICKS)
    @settings(max_examples=size(12, 30))
    def test_ticks_that_are_replayed_change_nothing(self, ticks):
        once = run(RateTest(), ticks)

        assert run(RateTest(), ticks, once) is once

    @given(TICKS, st.sampled_from(list(Form)))
    @settings(max_examples=size(12, 30))
    def test_a_state_is_less_than_4_kb(self, ticks, form):
        test = RateTest(form=form)

        assert len(json.dumps(run(test, ticks).to_json())) < 2048

    @given(TICKS, st.sampled_from(list(Form)), st.floats(0.01, 100), st.floats(0, 1e9))
    @settings(max_examples=size(12, 40))
    def test_slower_or_later_time_gives_the_same_evidence(self, ticks, form, pace, later):
        """But for the share that is freed in a tick, which follows its length: so each tick begins a stage here."""
        test = RateTest(form=form)
        there = here = start(test)
        for tick in ticks:
            here = step(test, here, tick, f"{tick.start}")
            there = step(test, there, replace(tick, start=later + pace * tick.start, end=later + pace * tick.end), f"{tick.start}")

        assert there.capital == here.capital
        assert there.rest == here.rest

    @given(TICKS)
    @settings(max_examples=size(12, 40))
    def test_a_long_healthy_past_does_not_make_it_forget(self, ticks):
        """What is kept back bounds E from below, so a regression after any past needs a bounded number of requests."""
        state = run(RateTest(), ticks)

        assert state.ln_e >= math.log(state.rest)
        assert state.rest >= 0.2 * 0.5 * (1 - 0.001) ** len(ticks)

    def test_more_bad_events_never_lower_the_evidence(self):
        found = [run(RateTest(), [Tick(0, 10, 100, x, 1000, 5)]).ln_e for x in range(101)]

        assert found == sorted(found)

    @pytest.mark.parametrize("tick", [Tick(30, 40, 0, 0, 475, 5), Tick(30, 40, 25, 5, 0, 0)])
    def test_a_tick_without_one_arm_leaves_e_as_it_is(self, tick):
        before = run(RateTest(), REFERENCE)

        after = step(RateTest(), before, tick)

        assert (after.capital, after.rest, after.ln_e, after.last) == (before.capital, before.rest, before.ln_e, 40)

    def test_a_stage_frees_half_of_what_is_kept_back_once(self):
        test = RateTest()
        one = step(test, start(test), REFERENCE[0], "5")
        two = step(test, one, REFERENCE[1], "5")
        three = step(test, two, REFERENCE[2], "25")

        assert [one.rest, two.rest, three.rest] == pytest.approx([0.1, 0.1 * 0.999, 0.1 * 0.999 * 0.5])

    def test_a_longer_tick_frees_as_much_as_its_parts(self):
        test = RateTest()
        first = step(test, start(test), REFERENCE[0], "5")

        assert step(test, first, Tick(10, 40, 5, 0, 95, 0), "5").rest == pytest.approx(0.1 * 0.999**3)

    def test_a_stage_whose_first_ticks_have_no_requests_starts_with_its_first_request(self):
        test = RateTest()
        silent = step(test, start(test), Tick(0, 10, 0, 0, 100, 1), "5")

        assert step(test, silent, Tick(10, 20, 5, 0, 100, 1), "5").rest == pytest.approx(0.1)

    def test_it_tells_since_when_the_evidence_grows(self):
        state = run(RateTest(), [*REFERENCE[:1], Tick(10, 20, 25, 0, 475, 3), Tick(20, 30, 25, 4, 475, 3)])

        assert state.low_at == 20

    def test_one_tick_adds_at_most_the_cap(self):
        test = RateTest()
        before = run(test, REFERENCE)

        after = step(test, before, Tick(30, 40, 10_000, 10_000, 10_000, 0))

        assert after.ln_e - before.ln_e <= test.cap + 1e-12


class TestDispersion:
    def test_drift_weighs_most_at_one_half(self):
        assert [Dispersion(1.5, 3).at(share) for share in (0, 0.5, 1)] == [1.5, 3, 1.5]

    def test_phi_is_never_below_1(self):
        assert Dispersion(0.4, 0.5).at(0.5) == 1


class TestBadInput:
    @pytest.mark.parametrize("fault", [{"v": 2}, {"s": [0.0]}, {"rest": 2.0}, {"x": None}, {"s": [math.nan] * 8}, {"n": math.inf}])
    def test_a_state_that_is_not_ours_is_refused(self, fault):
        with pytest.raises(ValueError, match="state of"):
            RateState.from_json({**start(RateTest()).to_json(), **fault}, RateTest())

    def test_a_state_of_nothing_is_refused(self):
        with pytest.raises(ValueError, match="not the state"):
            RateState.from_json({}, RateTest())

    @pytest.mark.parametrize("counts", [(5, 6, 10, 0), (5, 0, 10, 11), (math.nan, 0, 1, 0), (5, -1, 10, 0), (5, math.nan, 10, 0)])
    def test_numbers_that_are_no_counts_are_refused(self, counts):
        with pytest.raises(ValueError, match="no counts"):
            step(RateTest(), start(RateTest()), Tick(0, 10, *counts))

    @pytest.mark.parametrize("times", [(10, 10), (20, 10), (0, math.nan), (math.nan, 10), (0, math.inf)])
    def test_times_that_are_no_interval_are_refused(self, times):
        with pytest.raises(ValueError, match="no interval"):
            step(RateTest(), start(RateTest()), Tick(*times, 10, 0, 100, 0))

    def test_a_tick_that_was_counted_in_part_is_refused(self):
        with pytest.raises(ValueError, match="in part"):
            step(RateTest(), run(RateTest(), REFERENCE), Tick(25, 35, 1, 0, 1, 0))

    @pytest.mark.parametrize(
        "fault",
        [
            {"grid": ()},
            {"grid": (0.5, 2)},
            {"rho": -1},
            {"rho": 0, "delta": 0},
            {"cap": 0},
            {"kappa": 0},
            {"rho": math.nan},
            {"p_hist": 1.5},
            {"p_hist": math.nan},
        ],
    )
    def test_a_test_that_makes_no_sense_is_refused(self, fault):
        with pytest.raises(ValueError, match=r"rate test|tolerance"):
            RateTest(**fault)


@pytest.mark.parametrize(("form", "grid"), [(Form.POISSON, ERROR_GRID), (Form.BERNOULLI, LATENCY_GRID), (Form.BERNOULLI, PROMOTION_GRID)])
def test_a_tick_costs_less_than_a_millisecond(form, grid):
    """Some 0.06 and 0.08 ms where it was written."""
    test = RateTest(form=form, grid=grid)
    state = run(test, REFERENCE)

    assert cost_ms(lambda: step(test, state, Tick(30, 40, 25, 3, 475, 4)), times=20) < 1
