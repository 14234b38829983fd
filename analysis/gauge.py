"""Gauges (CPU, memory, ratios that come ready-made): paired differences on common scrapes.

    D = ln(candidate / baseline) - ln(1 + tolerance)         summed over seconds

Samples of a gauge depend on each other in an unknown way, so no finite guarantee exists. What is done: the
long-run variance comes from baseline-against-baseline history (the largest of several block lengths), and the
sum is bet on by a one-sided Gaussian mixture (Howard, Ramdas 2021). Therefore the default action
of a gauge is to pause, and without history thresholds are used instead.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import variance
from typing import Any

from analysis.model import Sample

VERSION = 1
BLOCKS = (60.0, 300.0, 600.0)
"""Block lengths of the long-run variance, seconds."""

TESTS_KEPT = 1024
"""Tests whose time to detect is remembered: that of a frozen plan is asked at every look."""

_LEAST_BLOCKS = 6
_FAR = -30.0
_NEAR = 1e-3


@dataclass(frozen=True, slots=True)
class GaugeTest:
    """What is tested; frozen before the release.

    Attributes:
        tolerance: the candidate may be worse by this share.
        variance: long-run variance of the log ratio, per second (`long_run_variance`).
        alpha: for which the mixture is tuned.
        tuned_for: seconds of data for which the mixture is tuned.
        lower_is_worse: a smaller gauge is the worse one.
    """

    tolerance: float
    variance: float
    alpha: float = 0.01
    tuned_for: float = 300.0
    lower_is_worse: bool = False

    def __post_init__(self) -> None:
        if not self.variance > 0 or self.tolerance < 0 or not 0 < self.alpha < 1 or not self.tuned_for > 0:
            raise ValueError("a gauge test needs a positive variance and time, a tolerance of at least 0 and an alpha between 0 and 1")


@dataclass(frozen=True, slots=True)
class GaugeState:
    """The sum of differences times seconds, the seconds, and the time of the last pair that counted."""

    total: float = 0.0
    seconds: float = 0.0
    last: float = -math.inf

    def ln_e(self, test: GaugeTest) -> float:
        """The log of the e-value."""
        v = self.seconds * test.variance
        return one_sided_mixture(self.total, v, best_rho(test.tuned_for * test.variance, 2 * test.alpha))

    def won(self, test: GaugeTest) -> bool:
        """Whether the candidate is worse than tolerated beyond doubt."""
        return self.ln_e(test) >= -math.log(test.alpha)

    def mean_ratio(self, test: GaugeTest) -> float | None:
        """The geometric mean of the worse side's factor over all pairs: 1.3 is 30 % worse than the baseline; None without any."""
        return math.exp(self.total / self.seconds) * (1 + test.tolerance) if self.seconds else None

    def to_json(self) -> dict[str, Any]:
        """A small versioned value."""
        last = self.last if math.isfinite(self.last) else None
        return {"v": VERSION, "total": self.total, "seconds": self.seconds, "last": last}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "GaugeState":
        """Read back what `to_json` gave; ValueError on anything else."""
        try:
            if stored["v"] != VERSION:
                raise ValueError("this is not the state of a gauge test in version 1")
            last = stored["last"]
            return cls(float(stored["total"]), float(stored["seconds"]), -math.inf if last is None else float(last))
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is not the state of a gauge test: {error}") from error


@dataclass(frozen=True, slots=True)
class Pair:
    """Both arms' gauge at one time, Unix seconds; both positive and finite."""

    time: float
    candidate: float
    baseline: float


def pairs(candidate: Sequence[Sample], baseline: Sequence[Sample], *, apart: float) -> tuple[Pair, ...]:
    """Samples of both arms at most `apart` seconds from each other, each used once, by the baseline's time.

    Values that are not finite or not positive have no logarithm and make no pair.
    """
    left = sorted((s for s in candidate if math.isfinite(s.value) and s.value > 0), key=lambda s: s.time)
    right = sorted((s for s in baseline if math.isfinite(s.value) and s.value > 0), key=lambda s: s.time)
    found, index = [], 0
    for one in right:
        while index < len(left) and left[index].time < one.time - apart:
            index += 1
        if index < len(left) and left[index].time <= one.time + apart:
            found.append(Pair(one.time, left[index].value, one.value))
            index += 1
    return tuple(found)


def step(test: GaugeTest, state: GaugeState, every: Sequence[Pair], *, longest: float) -> GaugeState:
    """The state after more pairs; those up to `state.last` were counted already.

    A pair stands for the seconds since the one before, at most `longest` (a gap is not evidence); the first
    one of all is only a start.
    """
    total, seconds, last = state.total, state.seconds, state.last
    for pair in every:
        if pair.time <= last:
            continue
        if math.isfinite(last):
            lasted = min(pair.time - last, longest)
            ratio = math.log(pair.candidate / pair.baseline) * (-1 if test.lower_is_worse else 1)
            total += (ratio - math.log1p(test.tolerance)) * lasted
            seconds += lasted
        last = pair.time
    return GaugeState(total, seconds, last)


def long_run_variance(every: Sequence[Pair], blocks: Sequence[float] = BLOCKS) -> float:
    """The largest `L * var(block means)` of the log ratio over block lengths L, per second.

    Args:
        every: the baseline's halves against each other, from history.
        blocks: lengths in seconds; one with fewer than six whole blocks is left out.

    Raises:
        ValueError: the history is too short for any block length.
    """
    if not every:
        raise ValueError("a long-run variance needs history of the baseline against itself")
    begin = every[0].time
    found = []
    for length in blocks:
        held: dict[int, list[float]] = {}
        for pair in every:
            held.setdefault(int((pair.time - begin) // length), []).append(math.log(pair.candidate / pair.baseline))
        # The last block is cut off by the end of the history.
        means = [math.fsum(held[index]) / len(held[index]) for index in sorted(held)[:-1]]
        if len(means) >= _LEAST_BLOCKS:
            found.append(length * variance(means))
    if not found:
        raise ValueError(f"{every[-1].time - begin:.0f} s of history are too short for blocks of {min(blocks):.0f} s")
    return max(found)


def best_rho(v: float, alpha: float) -> float:
    """The mixture's precision that is tightest near the variance `v` (two-sided; 2 alpha for one side)."""
    root = 2 * math.log(1 / alpha)
    return v / (root + math.log1p(root))


def one_sided_mixture(s: float, v: float, rho: float) -> float:
    """The log of the half-normal mixture of `exp(x s - x^2 v / 2)` over x >= 0; at s = v = 0 it is 0."""
    root = math.sqrt(v + rho)
    return 0.5 * math.log(4 * rho / (v + rho)) + s * s / (2 * (v + rho)) + _ln_normal(s / root)


def one_sided_bound(v: float, alpha: float, rho: float) -> float:
    """The sum at which the one-sided mixture reaches `1/alpha`, by bisection."""
    low, high = 0.0, 1.0
    while one_sided_mixture(high, v, rho) < -math.log(alpha):
        high *= 2
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if one_sided_mixture(middle, v, rho) < -math.log(alpha) else (low, middle)
    return high


def two_sided_bound(v: float, alpha: float, rho: float) -> float:
    """The sum at which the two-sided mixture reaches `1/alpha`: half the width of a confidence sequence for it."""
    return math.sqrt((v + rho) * (math.log((v + rho) / rho) - 2 * math.log(alpha)))


@lru_cache(maxsize=TESTS_KEPT)
def seconds_to_detect(test: GaugeTest, effect: float) -> float:
    """Seconds of pairs after which a candidate that is worse by this share reaches the bound on average; infinity where it is tolerated."""
    drift = math.log1p(effect) - math.log1p(test.tolerance)
    if drift <= 0:
        return math.inf
    rho = best_rho(test.tuned_for * test.variance, 2 * test.alpha)

    def reached(seconds: float) -> bool:
        return one_sided_mixture(drift * seconds, seconds * test.variance, rho) >= -math.log(test.alpha)

    high = 1.0
    while not reached(high):
        high *= 2
    low = high / 2
    while high - low > _NEAR * high:
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def ratio_interval(test: GaugeTest, state: GaugeState) -> tuple[float, float] | None:
    """A confidence sequence for the mean ratio of candidate to baseline, at level 1 - alpha; None without data."""
    if state.seconds <= 0:
        return None
    v = state.seconds * test.variance
    half = two_sided_bound(v, test.alpha, best_rho(test.tuned_for * test.variance, test.alpha)) / state.seconds
    mean = state.total / state.seconds + math.log1p(test.tolerance)
    low, high = math.exp(mean - half), math.exp(mean + half)
    return (1 / high, 1 / low) if test.lower_is_worse else (low, high)


def _ln_normal(x: float) -> float:
    """The log of the normal distribution function, far into its lower tail."""
    if x > _FAR:
        return math.log(math.erfc(-x / math.sqrt(2)) / 2)
    return -x * x / 2 - math.log(-x) - math.log(2 * math.pi) / 2 - 1 / (x * x)
