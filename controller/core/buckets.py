"""Which buckets of a histogram are asked for, whatever a client or Prometheus writes as their edges. Pure.

A histogram of Istio has twenty buckets for each pod and each way in which requests end, of which a latency check tests at
most five: asking for those alone is a third of the samples to move, to read and to keep as evidence.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache

from controller.core.queries import QUERIES_KEPT

LEAST_EXPONENT = 4
"""Powers of ten below this are not written with an exponent by any client."""

DIGITS = (17, 32)


@lru_cache(maxsize=QUERIES_KEPT)
def bucket_labels(edges: tuple[float, ...]) -> str:
    """A matcher that leaves of a histogram the buckets of these edges, the one of all requests, and what is no classic bucket; "" for none.

    A client writes an edge as it likes: `100`, `100.0`, `1e+06`, and where it has no exact binary form with 17 digits, or 32 (Envoy).
    """
    if not edges:
        return ""
    return f',le=~"|[+]Inf|{"|".join(text for edge in sorted(edges) for text in _written(edge))}"'


def _written(edge: float) -> Iterator[str]:
    """Patterns of a positive number, in decimals or with an exponent."""
    exact = Decimal(repr(edge)).normalize()
    whole, _, part = format(exact, "f").partition(".")
    yield f"{whole}[.]{part}0*" if part else f"{whole}([.]0*)?"
    first, *rest = exact.as_tuple().digits
    power = exact.adjusted()
    if abs(power) >= LEAST_EXPONENT:
        mantissa = f"{first}[.]{''.join(map(str, rest))}0*" if rest else f"{first}([.]0*)?"
        yield f"{mantissa}e{'-' if power < 0 else '[+]?'}0*{abs(power)}"
    for text in dict.fromkeys(f"{edge:.{digits}g}" for digits in DIGITS):
        if Decimal(text) != exact:
            yield re.sub("[.+]", "[\\g<0>]", text)
