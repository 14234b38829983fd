"""The engine over the baseline's own past."""

import numpy as np
import pytest

from analysis.model import Tick
from analysis.preflight import preflight
from analysis.rate import Dispersion, RateTest

HOUR = 3600.0


def past(hours, *, burst=1, seed=1):
    rng = np.random.default_rng(seed)
    count = int(hours * 360)
    n = rng.poisson(500, (count, 2))
    x = np.minimum(burst * rng.binomial(n, 0.01 / burst), n)
    return [Tick(10.0 * i, 10.0 * i + 10, *map(float, (n[i][0], x[i][0], n[i][1], x[i][1]))) for i in range(count)]


INDEPENDENT = RateTest(p_hist=0.01, dispersion=Dispersion(1, 1), cap=2.3)


class TestPreflight:
    def test_independent_requests_leave_the_test_as_it_is(self):
        found = preflight(INDEPENDENT, past(12), release_seconds=HOUR)

        assert (found.releases, found.rollbacks, found.test) == (12, 0, INDEPENDENT)

    def test_bursts_that_were_not_measured_raise_phi_until_the_past_is_quiet(self):
        found = preflight(INDEPENDENT, past(12, burst=12), release_seconds=HOUR)

        assert found.rate > 0.5
        assert found.left == 0
        assert found.test.dispersion.bursts > 2

    @pytest.mark.parametrize(("hours", "releases"), [(0.5, 0), (1, 1), (2.5, 2)])
    def test_only_whole_releases_count(self, hours, releases):
        assert preflight(INDEPENDENT, past(hours), release_seconds=HOUR).releases == releases

    def test_no_past_says_nothing(self):
        found = preflight(INDEPENDENT, [], release_seconds=HOUR)

        assert (found.releases, found.rate, found.test) == (0, 0.0, INDEPENDENT)
