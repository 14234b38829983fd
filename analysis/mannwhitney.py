"""The statistics of Kayenta's judge: ranks, the location shift of two samples, effect sizes and outliers.

The test is Mann and Whitney's in its normal approximation, with mid-ranks, tie and continuity correction, as
R's `wilcox.test` has it. The interval and the estimate (Hodges, Lehmann) are where a step function of
the shift crosses a quantile, so the answer depends on the root finder: Brent's, with R's tolerance of 1e-4.
Here x is the experiment, y the control, and the shift is that of x against y.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

TOLERANCE = 1e-4
"""Of the root finder, as R's `wilcox.test` passes it."""

_EPSILON = 2.220446049250313e-16
_ITERATIONS = 1001


class TiedError(ValueError):
    """All observations are equal after the shift: there is no interval."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Confidence interval and Hodges-Lehmann estimate of the shift of x against y."""

    low: float
    high: float
    estimate: float


def mid_ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    first = 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and values[order[last + 1]] == values[order[first]]:
            last += 1
        for place in range(first, last + 1):
            ranks[order[place]] = (first + last) / 2 + 1
        first = last + 1
    return ranks


def shift_statistic(shift: float, quantile: float, x: Sequence[float], y: Sequence[float]) -> float:
    """The standardised rank sum of `x - shift` against y, minus a quantile; it falls as the shift grows.

    Raises:
        TiedError: everything is tied.
    """
    m, n = len(x), len(y)
    ranks = mid_ranks([value - shift for value in x] + list(y))
    ties = sum(count**3 - count for count in Counter(ranks).values())
    centred = math.fsum(ranks[:m]) - m * (m + 1) / 2 - m * n / 2
    correction = math.copysign(0.5, centred) if centred else 0.0
    sigma = math.sqrt(max(0.0, (m * n / 12) * ((m + n + 1) - ties / ((m + n) * (m + n - 1)))))
    if sigma == 0:
        raise TiedError("there is no confidence interval where all observations are tied")
    return (centred - correction) / sigma - quantile


def shift_interval(x: Sequence[float], y: Sequence[float], confidence: float) -> Shift:
    """The shift of x against y with its interval, at least one value each.

    Raises:
        TiedError: everything is tied.
    """
    least, most = min(x) - max(y), max(x) - min(y)
    z = NormalDist().inv_cdf((1 - confidence) / 2)

    def crossing(quantile: float) -> float:
        at_least = shift_statistic(least, quantile, x, y)
        at_most = shift_statistic(most, quantile, x, y)
        if at_least <= 0:
            return least
        return most if at_most >= 0 else root(lambda shift: shift_statistic(shift, quantile, x, y), least, most)

    estimate = root(lambda shift: shift_statistic(shift, 0.0, x, y), least, most)
    return Shift(crossing(-z), crossing(z), estimate)


@dataclass(slots=True)
class _Bracket:
    """Brent's three points: `b` the best, `c` on the other side of the root, `a` the one before b."""

    a: float
    b: float
    c: float
    fa: float
    fb: float
    fc: float


def root(function: Callable[[float], float], low: float, high: float, tolerance: float = TOLERANCE) -> float:
    """Where a function that changes its sign between low and high does so (Brent 1973, chapter 4)."""
    f_low, f_high = function(low), function(high)
    if f_low == 0:
        return low
    if f_high == 0:
        return high
    at = _Bracket(low, high, low, f_low, f_high, f_low)
    for _ in range(_ITERATIONS):
        before = at.b - at.a
        if abs(at.fc) < abs(at.fb):
            at = _Bracket(at.b, at.c, at.b, at.fb, at.fc, at.fb)
        least_step = 2 * _EPSILON * abs(at.b) + tolerance / 2
        half = (at.c - at.b) / 2
        if abs(half) <= least_step or at.fb == 0:
            return at.b
        step = half
        if abs(before) >= least_step and abs(at.fa) > abs(at.fb):
            step = _interpolated(at, before, least_step, half)
        if abs(step) < least_step:
            step = math.copysign(least_step, step)
        nearer = at.b + step
        f_nearer = function(nearer)
        # The new point and c must enclose the root; where they do not, the old b takes c's place.
        same_side = (f_nearer > 0) == (at.fc > 0) and f_nearer != 0
        c, fc = (at.b, at.fb) if same_side else (at.c, at.fc)
        at = _Bracket(at.b, nearer, c, at.fb, f_nearer, fc)
    return at.b


def _interpolated(at: _Bracket, before: float, least_step: float, half: float) -> float:
    """A linear or inverse quadratic step, where it stays well inside and shrinks faster than halving."""
    span = at.c - at.b
    if at.a == at.c:
        ratio = at.fb / at.fa
        p, q = span * ratio, 1.0 - ratio
    else:
        u, v, w = at.fa / at.fc, at.fb / at.fc, at.fb / at.fa
        p = w * (span * u * (u - v) - (at.b - at.a) * (v - 1.0))
        q = (u - 1.0) * (v - 1.0) * (w - 1.0)
    q, p = (-q, p) if p > 0 else (q, -p)
    inside = p < 0.75 * span * q - abs(least_step * q) / 2 and p < abs(before * q / 2)
    return p / q if inside else half


def mean(values: Sequence[float]) -> float:
    """The mean; NaN of nothing."""
    return math.fsum(values) / len(values) if values else math.nan


def mean_ratio(control: Sequence[float], experiment: Sequence[float]) -> float:
    """The ratio of the means, experiment to control; NaN where either is 0."""
    above, below = mean(experiment), mean(control)
    return math.nan if above == 0 or below == 0 else above / below


def common_language(control: Sequence[float], experiment: Sequence[float]) -> float:
    """The share of pairs in which the experiment is higher, ties by half (Vargha, Delaney 2000)."""
    m, n = len(experiment), len(control)
    ranks = mid_ranks([*experiment, *control])
    return (2 * math.fsum(ranks[:m]) - m * (m + 1)) / (2 * n * m)


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile by definition 7 of Hyndman and Fan (R's default); NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def outside_fences(values: Sequence[float], factor: float, *, wide: bool) -> list[bool]:
    """Which values lie outside Tukey's fences; `wide` fences reach at least to the 1st and 99th percentile."""
    q1, q3 = percentile(values, 25), percentile(values, 75)
    low, high = q1 - factor * (q3 - q1), q3 + factor * (q3 - q1)
    if wide:
        low, high = min(percentile(values, 1), low), max(percentile(values, 99), high)
    return [value > high or value < low for value in values]


def outside_sigma(values: Sequence[float], k: float) -> list[bool]:
    """Which values lie more than k (population) standard deviations from the mean."""
    middle = mean(values)
    spread = math.sqrt(mean([(value - middle) ** 2 for value in values])) if values else 0.0
    return [abs(value - middle) > k * spread for value in values]
