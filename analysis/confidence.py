"""A confidence sequence for the ratio of the two rates: shown beside a verdict, valid at every moment.

For a ratio t of candidate to baseline, each tick's likelihood of "how many of the bad events are the
candidate's" is `L(t)`. For any two ratios, `L(other) / L(true)` is the rate test's increment at `rho = true, delta
= 0`: an e-value whatever the baseline's rate does from tick to tick. So is its mixture over a grid, and the
ratios that the mixture does not refute at level alpha are the interval. It assumes one ratio for the time it
covers; begin afresh where that is in doubt (a new stage). Dispersion divides, as in the test.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from analysis.model import Tick
from analysis.numbers import logsumexp
from analysis.rate import Dispersion

VERSION = 1
_POINTS = 141
_LEAST, _MOST = 1 / 32, 64.0
GRID = tuple(_LEAST * (_MOST / _LEAST) ** (index / (_POINTS - 1)) for index in range(_POINTS))
"""Ratios, 5.6 % apart; the interval is rounded outward to them."""


@dataclass(frozen=True, slots=True)
class RatioState:
    """Log-likelihood by ratio of the grid, and the end of the last counted tick (Unix seconds)."""

    likelihood: tuple[float, ...] = (0.0,) * _POINTS
    last: float = -math.inf

    def to_json(self) -> dict[str, Any]:
        """A small versioned value, less than 4 KB."""
        return {"v": VERSION, "l": list(self.likelihood), "last": self.last if math.isfinite(self.last) else None}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "RatioState":
        """Read back what `to_json` gave; ValueError on anything else."""
        values = stored.get("l")
        if stored.get("v") != VERSION or not isinstance(values, list) or len(values) != _POINTS:
            raise ValueError("this is not the state of a confidence sequence in version 1")
        last = stored.get("last")
        return cls(tuple(float(value) for value in values), -math.inf if last is None else float(last))


def step(state: RatioState, tick: Tick, dispersion: Dispersion | None = None) -> RatioState:
    """The state after one more tick; the same state where the tick was counted already."""
    if tick.end <= state.last:
        return state
    bad = tick.candidate_bad + tick.baseline_bad
    if not tick.candidate_n or not tick.baseline_n or not bad:
        return replace(state, last=tick.end)
    phi = (dispersion or Dispersion()).at(tick.candidate_n / (tick.candidate_n + tick.baseline_n))
    ln_q = math.log(tick.candidate_n / tick.baseline_n)
    # x_g ln(t q / (1 + t q)) + x_b ln(1 / (1 + t q))
    found = tuple(
        value + (tick.candidate_bad * (ln_t + ln_q) - bad * math.log1p(math.exp(ln_t + ln_q))) / phi
        for value, ln_t in zip(state.likelihood, _LOGS, strict=True)
    )
    return RatioState(found, tick.end)


_LOGS = tuple(math.log(ratio) for ratio in GRID)


def interval(state: RatioState, alpha: float = 0.05) -> tuple[float, float]:
    """The ratios that are not refuted at level `alpha`, rounded outward; 0 and infinity are the ends of the unknown."""
    bound = logsumexp(state.likelihood) - math.log(_POINTS) + math.log(alpha)
    held = [index for index, value in enumerate(state.likelihood) if value > bound]
    low = GRID[held[0] - 1] if held[0] > 0 else 0.0
    high = GRID[held[-1] + 1] if held[-1] < _POINTS - 1 else math.inf
    return low, high
