"""The rate e-process of `analysis.rate` in numpy, many releases at once.

Each row is a release (or an edge of one). It exists because a cell of the table is 2,000 releases of 450 looks; that it
is the same engine is shown by `tests/analysis/test_twin.py`: 10,000 random ticks agree with the product to 1e-12. All constants
are the product's own.
"""

import math
from dataclasses import dataclass

import numpy as np

from analysis import rate
from analysis.rate import Form, RateTest


@dataclass
class Ticks:
    """One look of all releases: arrays of one length. `seconds` is its length, `stage` a number."""

    n_g: np.ndarray
    x_g: np.ndarray
    n_b: np.ndarray
    x_b: np.ndarray
    seconds: float
    stage: int


class Twin:
    """The states of many releases under one test. `p_hist`, `bursts` and `widest` may differ by row."""

    def __init__(self, test: RateTest, rows: int, *, p_hist=None, bursts=None, widest=None) -> None:
        self.test = test
        self.grid = np.array(test.grid)
        self.p_hist = np.full(rows, test.p_hist) if p_hist is None else np.asarray(p_hist, float)
        self.bursts = test.dispersion.bursts if bursts is None else bursts
        self.widest = test.dispersion.widest if widest is None else widest
        self.capital = np.full((rows, len(self.grid)), math.log(rate.AT_START) - math.log(len(self.grid)))
        self.rest = np.full(rows, 1 - rate.AT_START)
        self.n_b = np.zeros(rows)
        self.x_b = np.zeros(rows)
        self.stage = np.full(rows, -1)

    @property
    def ln_e(self):
        return logsumexp(np.column_stack([self.capital, np.log(np.maximum(self.rest, 1e-320))]))

    def step(self, tick: Ticks) -> None:
        test = self.test
        seen = (self.x_b + test.kappa * self.p_hist) / (self.n_b + test.kappa)
        self.n_b += tick.n_b
        self.x_b += tick.x_b
        on = tick.n_g > 0
        if test.needs_baseline:
            on = on & (tick.n_b > 0)
        p_b = np.clip(seen, rate.LEAST_RATE, rate.MOST_RATE)
        boundary = test.rho * p_b + test.delta
        on = on & (boundary < 1)
        if not on.any():
            return
        p_g = np.minimum(self.grid * boundary[:, None], ((1 + boundary) / 2)[:, None])
        later = 1 - (1 - rate.PER_TEN_SECONDS) ** (tick.seconds / 10)
        freed = np.where(self.stage != tick.stage, rate.AT_STAGE, later) * self.rest
        share = tick.n_g / np.maximum(tick.n_g + tick.n_b, 1)
        phi = np.maximum(1.0, self.bursts + (self.widest - self.bursts) * 4 * share * (1 - share))
        with np.errstate(all="ignore"):
            increment = (_poisson if test.form is Form.POISSON else _bernoulli)(test, tick, p_g, p_b)
        grown = np.logaddexp(self.capital, (np.log(np.maximum(freed, 1e-320)) - math.log(len(self.grid)))[:, None])
        grown += np.minimum(increment / phi[:, None], test.cap)
        self.capital = np.where(on[:, None], grown, self.capital)
        self.rest = np.where(on, self.rest - freed, self.rest)
        self.stage = np.where(on, tick.stage, self.stage)


def logsumexp(values):
    """Over the last axis."""
    top = values.max(axis=-1, keepdims=True)
    return (top + np.log(np.exp(values - top).sum(axis=-1, keepdims=True)))[..., 0]


def _poisson(test, tick, p_g, p_b):
    q = np.where(tick.n_b > 0, tick.n_g / np.maximum(tick.n_b, 1), 0.0)[:, None]
    b = p_b[:, None]
    if test.delta == 0:
        r = p_g * (1 + test.rho * q) / (test.rho * (q * p_g + b))
    else:
        second = test.rho * q * p_g + test.rho * b + test.delta * (1 + test.rho * q)
        third = p_g * (1 + test.rho * q)
        r = 2 * third / (second + np.sqrt(second * second - 4 * test.delta * test.rho * q * third))
    s = 1 - test.rho * q * (r - 1)
    found = tick.x_g[:, None] * np.log(r) - tick.n_g[:, None] * test.delta * (r - 1)
    return found + np.where(tick.x_b[:, None] > 0, tick.x_b[:, None] * np.log(s), 0.0)


def _bernoulli(test, tick, p_g, p_b):
    n_g, x_g, n_b, x_b = (part[:, None] for part in (tick.n_g, tick.x_g, tick.n_b, tick.x_b))
    if test.rho == 0:
        return x_g * np.log(p_g / test.delta) + (n_g - x_g) * np.log((1 - p_g) / (1 - test.delta))
    y = _null(test, n_g, n_b, p_g, p_b[:, None] + 0 * p_g)
    g = test.rho * y + test.delta
    b = p_b[:, None]
    found = x_g * np.log(p_g / g) + (n_g - x_g) * np.log((1 - p_g) / (1 - g))
    return found + x_b * np.log(b / y) + (n_b - x_b) * np.log((1 - b) / (1 - y))


def _null(test, n_g, n_b, p_g, p_b):
    """`rate.bernoulli_null`'s bracketed Newton, all at once; an element that has converged stands still."""
    rho, delta = test.rho, test.delta
    most = min(rate.ALMOST_ONE, (rate.ALMOST_ONE - delta) / rho)
    other = np.minimum(np.maximum((p_g - delta) / rho, rate.TINY_RATE), most)
    low, high = np.minimum(p_b, other), np.maximum(p_b, other)
    y = (rho * n_g * other + n_b * p_b) / np.maximum(rho * n_g + n_b, 1e-300)
    moving = (n_g > 0) & (n_b > 0) & np.ones_like(y, bool)
    for _ in range(rate.MOST_STEPS):
        g = rho * y + delta
        u, v = g * (1 - g), y * (1 - y)
        slope_g, slope_b = n_g * rho * (p_g - g) / u, n_b * (p_b - y) / v
        value = slope_g + slope_b
        low, high = np.where(value > 0, y, low), np.where(value > 0, high, y)
        change = -rho * (n_g * rho + slope_g * (1 - 2 * g)) / u - (n_b + slope_b * (1 - 2 * y)) / v
        nearer = np.where(change < 0, y - value / change, low)
        inside = (low <= nearer) & (nearer <= high)
        after = np.where(inside, nearer, (low + high) / 2)
        done = inside & (np.abs(nearer - y) <= rate.LAST_STEP * after)
        y = np.where(moving, after, y)
        moving &= ~done
        if not moving.any():
            break
    return y
