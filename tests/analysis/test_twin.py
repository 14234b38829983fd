"""The benchmark's engine is the product's: the table of figures would speak of something else otherwise."""

import math

import numpy as np
import pytest

from analysis.model import Tick
from analysis.rate import LATENCY_GRID, PROMOTION_GRID, Dispersion, Form, RateTest, start, step
from bench.analysis_twin import Ticks, Twin

TESTS = {
    "errors": RateTest(),
    "errors-unguarded": RateTest(dispersion=Dispersion(1, 1), cap=math.inf, p_hist=0.001),
    "latency": RateTest(delta=0.001, grid=LATENCY_GRID, form=Form.BERNOULLI, p_hist=0.2, dispersion=Dispersion(1.5, 4)),
    "limit": RateTest(rho=0, delta=0.01, form=Form.BERNOULLI),
    "relative": RateTest(rho=1, delta=0),
    "promotion": RateTest(rho=1.5, delta=0.005, grid=PROMOTION_GRID),
}


@pytest.mark.parametrize("name", TESTS)
def test_random_ticks_agree_with_the_product(name):
    """2,000 ticks a test, 12,000 in all; arms without requests and without bad events among them."""
    rng, test, rows, looks = np.random.default_rng(11), TESTS[name], 20, 100
    twin, states, worst = Twin(test, rows), [start(test)] * rows, 0.0
    for look in range(looks):
        n_g, n_b = (rng.poisson(mean, rows) * rng.integers(0, 2, rows) ** rng.integers(0, 2) for mean in (20, 300))
        x_g, x_b = (rng.binomial(n, 0.9 * rng.random(rows) ** 4) for n in (n_g, n_b))
        twin.step(Ticks(*(part.astype(float) for part in (n_g, x_g, n_b, x_b)), 10.0, look // 25))
        for row, numbers in enumerate(zip(n_g, x_g, n_b, x_b, strict=True)):
            states[row] = step(test, states[row], Tick(10.0 * look, 10.0 * look + 10, *map(float, numbers)), str(look // 25))
        found = twin.ln_e
        worst = max(worst, *(abs(found[row] - states[row].ln_e) / max(1, abs(states[row].ln_e)) for row in range(rows)))

    assert worst < 1e-12
