"""Floating point as Go does it: nothing raises, and NaN and infinity follow IEEE 754.

Python raises on division by zero, on `log(0)` and on overflow; Prometheus gives an infinity or NaN.
"""

import math
import struct
from collections.abc import Callable
from decimal import Decimal

NAN = math.nan
INF = math.inf

STALE: float = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_0042))[0]
"""The value that marks a series as gone. Its payload is quiet: some machines rewrite signalling NaNs."""

_HALF, _LN2, _LN10 = 0.5, math.log(2), math.log(10)
_PLAIN_FROM, _PLAIN_BELOW = 1e-6, 1e21

_STALE_BITS = struct.pack("<d", STALE)


def is_stale(value: float) -> bool:
    """Whether a value is the staleness marker and not an ordinary NaN."""
    return value != value and struct.pack("<d", value) == _STALE_BITS  # noqa: PLR0124 - the fastest test for NaN


def divide(a: float, b: float) -> float:
    """`a / b`; a zero divisor gives a signed infinity, or NaN for 0/0."""
    if b:
        return a / b
    if not a or math.isnan(a):
        return NAN
    return math.copysign(INF, a) * math.copysign(1.0, b)


def modulo(a: float, b: float) -> float:
    """The remainder with the sign of `a`; NaN where it is undefined."""
    if not b or math.isinf(a):
        return NAN
    return math.fmod(a, b)


def power(a: float, b: float) -> float:
    """`a ** b`; NaN where the result is not real, a signed infinity on overflow."""
    try:
        return math.pow(a, b)
    except OverflowError:
        odd = math.fmod(b, 2.0) in (1.0, -1.0)
        return -INF if a < 0 and odd else INF
    except ValueError:
        if a == 0:  # a pole: zero to a negative power
            odd = math.fmod(b, 2.0) in (1.0, -1.0)
            return math.copysign(INF, a) if odd else INF
        return NAN


def larger(a: float, b: float) -> float:
    """The maximum; +Inf wins over NaN, NaN over all else."""
    if INF in (a, b):
        return INF
    if math.isnan(a) or math.isnan(b):
        return NAN
    return max(b, a)


def smaller(a: float, b: float) -> float:
    """The minimum; -Inf wins over NaN, NaN over all else."""
    if -INF in (a, b):
        return -INF
    if math.isnan(a) or math.isnan(b):
        return NAN
    return min(b, a)


def safe(function: Callable[[float], float]) -> Callable[[float], float]:
    """The function with NaN outside its domain and +Inf on overflow."""

    def wrapped(value: float) -> float:
        try:
            return float(function(value))
        except ValueError:
            return NAN
        except OverflowError:
            return INF

    return wrapped


def logarithm(function: Callable[[float], float]) -> Callable[[float], float]:
    """A logarithm with -Inf at zero and NaN below."""

    def wrapped(value: float) -> float:
        if value == 0:
            return -INF
        return NAN if value < 0 else function(value)

    return wrapped


def log2(value: float) -> float:
    """The binary logarithm, from the natural one of the fraction: exact for powers of two."""
    if not math.isfinite(value):
        return value
    fraction, exponent = math.frexp(value)
    return exponent - 1.0 if fraction == _HALF else math.log(fraction) * (1 / _LN2) + exponent


def log10(value: float) -> float:
    """The decimal logarithm, computed from the binary one as Go does, to agree in the last digit."""
    return log2(value) * (_LN2 / _LN10)


def rounder(function: Callable[[float], float]) -> Callable[[float], float]:
    """`floor` or `ceil` that hands NaN and infinities through and keeps a float."""

    def wrapped(value: float) -> float:
        return float(function(value)) if math.isfinite(value) else value

    return wrapped


floor = rounder(math.floor)
ceil = rounder(math.ceil)


square_root = safe(math.sqrt)


def quantile_of(q: float, values: list[float]) -> float:
    """The q-quantile with linear interpolation; NaN counts as the smallest value. Sorts in place."""
    if not values or math.isnan(q):
        return NAN
    if not 0 <= q <= 1:
        return -INF if q < 0 else INF
    if any(map(math.isnan, values)):
        values.sort(key=lambda value: (not math.isnan(value), value))
    else:
        values.sort()
    rank = q * (len(values) - 1)
    lower = math.floor(rank)
    weight = rank - lower
    return values[lower] * (1 - weight) + values[min(len(values) - 1, lower + 1)] * weight


def kahan_add(increment: float, total: float, carry: float) -> tuple[float, float]:
    """One step of Neumaier's compensated sum: the new total and carry."""
    new = total + increment
    if abs(total) >= abs(increment):
        return new, carry + ((total - new) + increment)
    return new, carry + ((increment - new) + total)


def plain(value: float) -> str:
    """The shortest digits that read back as the same float, never with an exponent: Go's `'f', -1`."""
    if math.isfinite(value):
        text = repr(value)
        text = format(Decimal(text), "f") if "e" in text else text
        return text.removesuffix(".0")
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def api_float(value: float) -> str:
    """A sample value as the HTTP API writes it: an exponent below 1e-6 and from 1e21 on."""
    if not math.isfinite(value) or value == 0 or _PLAIN_FROM <= abs(value) < _PLAIN_BELOW:
        return plain(value)
    mantissa, _, exponent = format(Decimal(repr(value)).normalize(), "e").partition("e")
    return f"{mantissa}e{exponent[0]}{exponent[1:].zfill(2)}"
