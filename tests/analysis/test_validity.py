"""A short simulation of whole releases: the bound on false rollbacks, and that regressions are found.

Seeded, so each run is the same; bounds are exact binomial ones, whatever the number of runs. The long one is not part of the suite.
"""

import math

import numpy as np
import pytest

from analysis import slo
from analysis.combine import Weighted, promotes, release_evidence
from analysis.counters import Counter, Cursor, Scrapes, difference, ticks
from analysis.model import Arm, Sample, Series, Tick
from analysis.numbers import lower_bound
from analysis.rate import Dispersion, RateTest, promotion_test, run, start, step
from tests.sizes import most_telling, size

STAGES = (("5", 0.05, 120), ("25", 0.25, 120), ("50", 0.5, 120))
ALPHA = 0.01
FREE = {"dispersion": Dispersion(1, 1), "cap": math.inf}


def seconds_to_rollback(rng, test, rates, *, per_second=50, burst=1):
    """Seconds until the errors alone, with their weight of a half, roll the release back; None where they never do."""
    state, clock = start(test), 0.0
    p_g, p_b = rates
    for stage, share, count in STAGES:
        n_g = rng.poisson(10 * per_second * share, count)
        n_b = rng.poisson(10 * per_second * (1 - share), count)
        x_g = np.minimum(burst * rng.binomial(n_g, p_g / burst), n_g)
        x_b = np.minimum(burst * rng.binomial(n_b, p_b / burst), n_b)
        for numbers in zip(n_g.tolist(), x_g.tolist(), n_b.tolist(), x_b.tolist(), strict=True):
            state = step(test, state, Tick(clock, clock + 10, *map(float, numbers)), stage)
            clock += 10
            if release_evidence([Weighted("errors", 0.5, state.ln_e), Weighted("others", 0.5)], ALPHA).reached:
                return clock
    return None


def rolled_back(seed, test, rates, runs, **more):
    rng = np.random.default_rng(seed)
    return [seconds_to_rollback(rng, test, rates, **more) for _ in range(runs)]


class TestFalseRollbacks:
    @pytest.mark.parametrize(("seed", "p_hist"), most_telling((1, 0.01), of=[(1, 0.01), (2, 0.001)]))
    def test_at_the_boundary_of_the_null_they_are_within_alpha(self, seed, p_hist):
        """Watched every 10 s for an hour; history may be wrong by ten times, that costs power and never validity."""
        times = rolled_back(seed, RateTest(p_hist=p_hist, **FREE), (1.1 * 0.01 + 0.0005, 0.01), size(40, 300))
        false = sum(time is not None for time in times)

        assert lower_bound(false, len(times), 0.95) <= ALPHA

    @pytest.mark.long
    def test_bursts_of_three_are_kept_within_alpha_by_the_guard(self):
        guarded = RateTest(p_hist=0.01, dispersion=Dispersion(3, 3))
        times = rolled_back(3, guarded, (0.01, 0.01), size(30, 200), burst=3)

        assert lower_bound(sum(time is not None for time in times), len(times), 0.95) <= ALPHA

    def test_without_the_guard_bursts_break_the_bound(self):
        """So that the test above is known to be able to fail."""
        false = sum(time is not None for time in rolled_back(4, RateTest(p_hist=0.01, **FREE), (0.01, 0.01), 40, burst=6))

        assert lower_bound(false, 40, 0.95) > ALPHA


class TestDetection:
    @pytest.mark.parametrize(
        ("rates", "per_second", "median"), [((0.05, 0.01), 50, 90), ((0.01, 0.001), 500, 40), ((0.02, 0.01), 500, 120)]
    )
    def test_the_median_time_is_the_methods(self, rates, per_second, median):
        times = rolled_back(5, RateTest(p_hist=rates[1], **FREE), rates, 61, per_second=per_second)

        assert sorted(math.inf if time is None else time for time in times)[30] <= median + 20


def seconds_with_all_checks(rng, rates, per_second):
    """As above, with the limit of 1 % beside the errors and a latency that says nothing; first two stages."""
    p_g, p_b = rates
    errors, limit = RateTest(p_hist=p_b, **FREE), slo.plan_slo(0.01, p_b, **FREE)
    state, beside, clock = start(errors), slo.start(limit), 0.0
    for stage, share, count in STAGES[:2]:
        for _ in range(count):
            n, m = int(rng.poisson(10 * per_second * share)), int(rng.poisson(10 * per_second * (1 - share)))
            tick = Tick(clock, clock + 10, n, int(rng.binomial(n, p_g)), m, int(rng.binomial(m, p_b)))
            state, beside = step(errors, state, tick, stage), slo.step(limit, beside, tick, stage)
            clock += 10
            checks = [Weighted("errors", 0.5, state.ln_e), Weighted("latency", 0.3), Weighted("slo", 0.2, beside.ln_e(limit))]
            if release_evidence(checks, ALPHA).reached:
                return clock
    return math.inf


class TestTheMethodsRow:
    """All checks together with one alpha; a median of few runs may be two scrapes off."""

    @pytest.mark.parametrize(
        ("rates", "per_second", "median"),
        [
            ((0.01, 0.001), 50, 270),
            ((0.05, 0.01), 50, 80),
            ((0.02, 0.01), 500, 90),
            ((0.01, 0.001), 500, 30),
            ((0.05, 0.01), 500, 10),
        ],
    )
    def test_the_median_time_is_reached(self, rates, per_second, median):
        rng = np.random.default_rng(9)
        times = sorted(seconds_with_all_checks(rng, rates, per_second) for _ in range(61))

        assert times[30] <= median + 20


class TestEarlyPromotion:
    @pytest.mark.parametrize(("share", "per_second", "median"), [(0.05, 500, 70), (0.25, 500, 20), (0.5, 50, 130)])
    def test_a_healthy_stage_is_promoted_in_the_methods_time(self, share, per_second, median):
        rng = np.random.default_rng(7)
        times = [seconds_to_promotion(rng, share, per_second, p=0.01) for _ in range(41)]

        assert sorted(times)[20] <= median + 20

    @pytest.mark.long
    def test_a_candidate_at_the_margin_is_promoted_in_no_more_than_its_share_of_beta(self):
        rng = np.random.default_rng(8)
        early = sum(seconds_to_promotion(rng, 0.25, 50, p=0.01, p_candidate=0.02) < math.inf for _ in range(100))

        assert lower_bound(early, 100, 0.95) <= 0.05 / 4


def seconds_to_promotion(rng, share, per_second, *, p, p_candidate=None):
    test = promotion_test(RateTest(p_hist=p, **FREE))
    state = start(test)
    for index in range(120):
        n, m = int(rng.poisson(10 * per_second * share)), int(rng.poisson(10 * per_second * (1 - share)))
        x = int(rng.binomial(n, p if p_candidate is None else p_candidate))
        state = step(test, state, Tick(10.0 * index, 10.0 * index + 10, n, x, m, int(rng.binomial(m, p))), "25")
        if promotes([state.ln_e], stages=4, dwelled=True):
            return 10 * index + 10
    return math.inf


class TestThroughCounters:
    def test_counters_scraped_from_pods_give_the_same_evidence_to_the_bit(self):
        """Two pods an arm, one restarted in between; looked at every 70 s, with everything stored in between."""
        rng = np.random.default_rng(6)
        direct, pods = scraped_release(rng)
        test = RateTest(p_hist=0.01)

        cursor, state = Cursor(0.0), start(test)
        scrapes = Scrapes(10, 10, 30)
        for now in range(70, 1300, 70):
            seen = [Counter(c.arm, c.name, tuple(cut(series, cursor.until - scrapes.look_back, now) for series in c.series)) for c in pods]
            found = difference(seen, cursor, scrapes)
            state = run(test, ticks(found), state, "5")
            cursor = Cursor.from_json(found.cursor.to_json())

        assert state == run(test, direct, stage="5")


def cut(series, after, until):
    return Series(series.labels, tuple(sample for sample in series.samples if after <= sample.time <= until))


def scraped_release(rng):
    """Ticks of 10 s for 20 minutes, and the counters of pods that produce exactly them."""
    direct, pods = [], {(arm, name, pod): [Sample(0.0, 0.0)] for arm in Arm for name in ("n", "bad") for pod in "ab"}
    for index in range(120):
        sums = dict.fromkeys(((arm, name) for arm in Arm for name in ("n", "bad")), 0.0)
        for arm, mean, p in ((Arm.CANDIDATE, 20, 0.02), (Arm.BASELINE, 250, 0.01)):
            for pod in "ab":
                n = int(rng.poisson(mean)) + 1
                for name, drawn in (("n", n), ("bad", int(rng.binomial(n, p)))):
                    samples = pods[arm, name, pod]
                    # Pod b begins anew in the middle: its counters restart at 0, and show it where they fall.
                    restarts = pod == "b" and index == 60 and samples[-1].value > 0
                    count = min(drawn, int(samples[-1].value) - 1) if restarts else drawn
                    samples.append(Sample(10.0 * index + 10, count + (0.0 if restarts else samples[-1].value)))
                    sums[arm, name] += count
        c, b = ((sums[arm, "n"], sums[arm, "bad"]) for arm in (Arm.CANDIDATE, Arm.BASELINE))
        direct.append(Tick(10.0 * index, 10.0 * index + 10, *c, *b))
    counters = [
        Counter(arm, name, tuple(Series((("pod", f"{arm}-{pod}"),), tuple(pods[arm, name, pod])) for pod in "ab"))
        for arm in Arm
        for name in ("n", "bad")
    ]
    return direct, counters
