"""A fixed limit beside the baseline."""

import json
import math

import pytest

from analysis import slo
from analysis.model import Tick
from analysis.numbers import incomplete_beta, lower_bound, upper_bound
from analysis.slo import SloState, default_limit, plan_slo

TEST = plan_slo(0.01, 0.002)


def ticks(*counts):
    return [Tick(10.0 * i, 10.0 * i + 10, *one) for i, one in enumerate(counts)]


def course(every, *, alone=False, state=None, stage="25"):
    state = state or slo.start(TEST)
    for tick in every:
        state = slo.step(TEST, state, tick, stage, alone=alone)
    return state


class TestEvidence:
    def test_an_incident_in_both_arms_breaks_the_limit_and_alerts_but_does_not_roll_back(self):
        state = course(ticks(*[(100, 5, 300, 15)] * 40))

        assert state.ln_e_alert > math.log(100)
        assert state.ln_e(TEST) < math.log(10)

    def test_a_candidate_that_breaks_the_limit_alone_is_found(self):
        assert course(ticks(*[(100, 5, 300, 0)] * 30)).ln_e(TEST) > math.log(500)

    def test_a_candidate_worse_than_the_baseline_within_the_limit_is_not(self):
        assert course(ticks(*[(1000, 5, 3000, 1)] * 40)).ln_e(TEST) < 0

    def test_without_the_baseline_the_limit_starts_afresh_and_decides_alone(self):
        """What was gathered against the limit in an incident of both arms before is not held against the candidate."""
        before = course(ticks(*[(100, 5, 300, 15)] * 40))
        healthy = course([Tick(400 + 10.0 * i, 410 + 10.0 * i, 400, 2, 0, 0) for i in range(20)], alone=True, state=before, stage="100")
        broken = course([Tick(400 + 10.0 * i, 410 + 10.0 * i, 400, 20, 0, 0) for i in range(20)], alone=True, state=before, stage="100")

        assert healthy.ln_e(TEST) < math.log(10)
        assert broken.ln_e(TEST) > math.log(500)

    def test_at_the_start_nothing_is_known(self):
        assert slo.start(TEST).ln_e(TEST) == pytest.approx(0, abs=1e-12)

    def test_a_plan_that_always_has_a_baseline_keeps_no_share_for_its_absence(self):
        state = course(ticks(*[(100, 5, 300, 0)] * 30))

        assert state.ln_e(plan_slo(0.01, 0.002, alone_share=0)) == min(state.limit.ln_e, state.relative.ln_e)

    def test_a_share_that_is_none_is_refused(self):
        with pytest.raises(ValueError, match="share of 1"):
            plan_slo(0.01, 0.002, alone_share=1)

    @pytest.mark.parametrize("alone", [False, True])
    def test_its_state_goes_on_to_the_bit_and_is_small(self, alone):
        state = course(ticks((100, 5, 300, 1), (100, 2, 300, 1)), alone=alone)
        stored = json.dumps(state.to_json(), allow_nan=False)

        assert SloState.from_json(json.loads(stored), TEST) == state
        assert len(stored) < 4096

    def test_a_foreign_state_is_refused(self):
        with pytest.raises(ValueError, match="SLO test"):
            SloState.from_json({"v": 1}, TEST)


class TestDefaultLimit:
    @pytest.mark.long
    def test_it_is_what_the_upper_bound_of_the_last_window_tolerates(self):
        from scipy.stats import beta

        assert default_limit(3, 4000) == pytest.approx(1.1 * beta.ppf(0.99, 4, 3997) + 0.0005)

    def test_without_requests_everything_is_tolerated(self):
        assert default_limit(0, 0) >= 1


class TestNumbers:
    @pytest.mark.parametrize(("bad", "n"), [(0, 10), (1, 10), (10, 10), (3, 5000), (200, 2000), (1, 1_000_000)])
    def test_exact_limits_are_scipys(self, bad, n):
        from scipy.stats import beta

        low = beta.ppf(0.01, bad, n - bad + 1) if bad else 0.0
        high = beta.ppf(0.99, bad + 1, n - bad) if bad < n else 1.0

        assert (lower_bound(bad, n, 0.99), upper_bound(bad, n, 0.99)) == pytest.approx((low, high), rel=1e-8)

    @pytest.mark.parametrize(
        ("x", "a", "b"), [(0.01, 0.5, 0.5), (0.3, 5, 2000), (0.0026, 5, 2000), (0.5, 40_000, 41_000), (0, 1, 1), (1, 1, 1)]
    )
    def test_the_incomplete_beta_function_is_scipys(self, x, a, b):
        from scipy.special import betainc

        assert incomplete_beta(x, a, b) == pytest.approx(betainc(a, b, x), rel=1e-9, abs=1e-300)
