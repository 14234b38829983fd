"""Exact tails of the binomial distribution, for the settle test; in pure Python because scipy costs 630 ms.

`P(X >= k) = I_p(k, n - k + 1)`, the regularised incomplete beta function, by its continued fraction
(modified Lentz's method). Tested against scipy.
"""

import math

_TINY = 1e-300
_STEPS = 500
_PRECISION = 1e-12


def tails(successes: int, n: int, p: float) -> tuple[float, float]:
    """`(P(X <= successes), P(X >= successes))` for X binomial with `n` trials of probability `p`."""
    if not 0 <= successes <= n:
        raise ValueError(f"found {successes} of {n}, expected a count within the trials")
    less = 1.0 if successes == n else _beta(n - successes, successes + 1, 1 - p)
    more = 1.0 if successes == 0 else _beta(successes, n - successes + 1, p)
    return less, more


def _beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function `I_x(a, b)`."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):  # where the fraction converges quickly
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, _away_from_zero(1 - (a + b) * x / (a + 1))
    d = 1 / d
    value = d
    for m in range(1, _STEPS + round(math.sqrt(max(a, b)))):
        step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _away_from_zero(1 + step * d)
        c = _away_from_zero(1 + step / c)
        value *= d * c
        step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _away_from_zero(1 + step * d)
        c = _away_from_zero(1 + step / c)
        value *= d * c
        if abs(d * c - 1) < _PRECISION:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
