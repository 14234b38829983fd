"""Special functions of one argument more than `math` has; everything else here is built on them.

Sources: the continued fraction of the incomplete beta function (DLMF 8.17.22) by Lentz's method; the
exact binomial limits of Clopper and Pearson (Biometrika 1934).
"""

import math
from collections.abc import Iterable
from functools import lru_cache

_TINY = 1e-300
_ENOUGH = 1e-16


def logsumexp(values: Iterable[float]) -> float:
    """`ln(sum(exp(v)))` without overflow; minus infinity of nothing."""
    found = list(values)
    top = max(found, default=-math.inf)
    if math.isinf(top):
        return top
    return top + math.log(math.fsum([math.exp(value - top) for value in found]))


def logaddexp(one: float, other: float) -> float:
    """`ln(exp(one) + exp(other))` without overflow."""
    if one < other:
        one, other = other, one
    return one if math.isinf(one) or math.isinf(other) else one + math.log1p(math.exp(other - one))


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b): a Beta(a, b) variable is at most x."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _apart(1 - (a + b) * x / (a + 1))
    found = d
    # It converges in some sqrt(max(a, b)) steps.
    for m in range(1, 200 + int(5 * math.sqrt(max(a, b)))):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d, c = 1 / _apart(1 + even * d), _apart(1 + even / c)
        found *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / _apart(1 + odd * d), _apart(1 + odd / c)
        found *= d * c
        if abs(d * c - 1) < _ENOUGH:
            break
    return found


def _apart(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


@lru_cache(maxsize=4096)
def beta_quantile(share: float, a: float, b: float) -> float:
    """The x with I_x(a, b) = share, by bisection to 1e-15. Kept: a past that is tried with several dispersions asks the same again."""
    low, high = 0.0, 1.0
    while high - low > 1e-15 * max(high, 1e-9):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if incomplete_beta(middle, a, b) < share else (low, middle)
    return (low + high) / 2


def upper_bound(bad: float, n: float, confidence: float) -> float:
    """The exact upper limit of a rate after `bad` of `n`; 1 without requests."""
    return 1.0 if bad >= n else beta_quantile(confidence, bad + 1, n - bad)


def lower_bound(bad: float, n: float, confidence: float) -> float:
    """The exact lower limit of a rate after `bad` of `n`; 0 without bad events."""
    return 0.0 if bad <= 0 or n <= 0 else beta_quantile(1 - confidence, bad, n - bad + 1)
