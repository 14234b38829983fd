"""A release's checks in the twin: the lines of each check, stage by stage, on counts that somebody else made.

    E_check   = (1 - a) mean over lines(relative) + a mean over lines(alone),   alone = 1 until blue has no traffic
    E_release = sum of weight * E_check

It is composed from the method's text (sections 2, 3 and 5), not by the product's code; only the rate process is the twin's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from analysis.combine import DEFAULT_WEIGHTS, shared_weights
from analysis.rate import Form, RateTest
from analysis.slo import ALONE_SHARE, default_limit
from bench.analysis_twin import Ticks, Twin, logsumexp

LEAST_HISTORY = 200.0
"""Requests of blue below which a stage is too short to set a limit by: those before it are added."""


class Line:
    """One rate: relative to blue, and alone where blue has no traffic. `history` is what blue had counted before the release."""

    def __init__(self, test: RateTest, history: tuple[float, float]) -> None:
        self.test, self.relative = test, Twin(test, 1)
        self.alone: Twin | None = None
        self._before, self._sums = history, (0.0, 0.0)

    def enter(self, *, alone: bool) -> None:
        """A stage begins; the limit of what stands alone is what blue's last numbers tolerate."""
        n, bad = self._sums
        self._before = (n, bad) if n >= LEAST_HISTORY else (self._before[0] + n, self._before[1] + bad)
        self._sums = (0.0, 0.0)
        if alone:
            limit = default_limit(self._before[1], self._before[0], rho=self.test.rho, delta=self.test.delta)
            self.alone = Twin(replace(self.test, rho=0.0, delta=min(limit, 1.0), form=Form.BERNOULLI), 1)

    def step(self, counts: Sequence[float], seconds: float, stage: int) -> None:
        """One tick: requests and bad ones of green, then of blue."""
        self._sums = (self._sums[0] + counts[2], self._sums[1] + counts[3])
        (self.alone or self.relative).step(Ticks(*(np.array([float(count)]) for count in counts), seconds, stage))


def check_ln_e(lines: Sequence[Line]) -> float:
    """The log of a check's e-value."""
    relative = _ln_mean([float(line.relative.ln_e[0]) for line in lines])
    alone = _ln_mean([0.0 if line.alone is None else float(line.alone.ln_e[0]) for line in lines])
    return float(np.logaddexp(math.log(1 - ALONE_SHARE) + relative, math.log(ALONE_SHARE) + alone))


def release_ln_e(checks: Mapping[str, Sequence[Line]]) -> float:
    """The log of the release's e-value."""
    weights = shared_weights([(name, DEFAULT_WEIGHTS[name]) for name in checks])
    return float(logsumexp(np.array([math.log(weights[name]) + check_ln_e(lines) for name, lines in checks.items()])))


def _ln_mean(values: Sequence[float]) -> float:
    return float(logsumexp(np.array(values))) - math.log(len(values))
