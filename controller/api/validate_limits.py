"""Limits that cannot mean what was meant: no number keeps them, or every number does.

They look at the raw data, as the other rules do; what is no number at all is said by the model.
"""

import math
from collections.abc import Iterator
from typing import Any

from controller.api.plan_checks import BuiltIn

Words = tuple[str, tuple[str, str, str]]
"""severity; found, expected, hint."""

PERCENT = (0.0, 100.0)
POSITIVE = (0.0, math.inf)
RANGES: dict[str, tuple[float, float]] = {
    BuiltIn.ERROR_RATE: PERCENT, BuiltIn.SUCCESS_RATE: PERCENT, BuiltIn.UNROUTED: PERCENT, BuiltIn.UP: (0.0, 1.0),
    BuiltIn.LATENCY: POSITIVE, BuiltIn.REQUEST_RATE: POSITIVE, BuiltIn.CPU: POSITIVE, BuiltIn.MEMORY: POSITIVE,
}  # fmt: skip
"""The least and the largest number that each built-in check can give; a query of one's own may give any."""

UPPER, LOWER = ("max", "below", "maxRatio", "maxDifference"), ("min", "minRatio", "minDifference")


def limit_notes(one: dict[str, Any]) -> Iterator[Words]:
    """What is wrong or unwise about the limit of a check or trigger."""
    limit = one.get("limit")
    if not isinstance(limit, dict):
        return
    given = {
        name: value
        for name, value in limit.items()
        if isinstance(name, str) and isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    yield from _empty_ranges(given)
    builtin = one.get("builtin")
    if isinstance(builtin, str) and builtin in RANGES:
        for name, value in given.items():
            yield from _out_of_range(builtin, name, value, observed=one.get("observe") is True)


def _empty_ranges(limit: dict[str, float]) -> Iterator[Words]:
    """Two limits that no number can keep: each release would go back, without a reason that anybody can see."""
    for low, high in (("min", "max"), ("min", "below"), ("minRatio", "maxRatio"), ("minDifference", "maxDifference")):
        least, most = limit.get(low), limit.get(high)
        if least is None or most is None:
            continue
        if least > most or (high == "below" and least == most):
            found, expected = f"{low} {least:g} with {high} {most:g}", f"{low} below {high}"
            yield "error", (found, expected, "no number is both: such a check can never pass")


def _out_of_range(builtin: str, name: str, value: float, *, observed: bool) -> Iterator[Words]:
    """A limit beyond all numbers that a built-in check can give; one that is never crossed is fine where nothing acts on it."""
    least, most = _range_of(name, *RANGES[builtin])
    from_least = f"above {least:g}" if name == "below" else f"of at least {least:g}"
    place = f"a number {from_least}{f' and at most {most:g}' if math.isfinite(most) else ''}"
    never_passes = (name in UPPER and (value < least or (name == "below" and value <= least))) or (name in LOWER and value > most)
    never_fails = (name in UPPER and (value >= most if name != "below" else value > most)) or (name in LOWER and value <= least)
    what = f"{name} {value:g} for {builtin}"
    if never_passes:
        yield "error", (what, place, f"no {_measured(name, builtin)} keeps it: such a check can never pass")
    elif never_fails and not observed:
        yield "warning", (what, "a limit that can be crossed", f"every {_measured(name, builtin)} keeps it: such a limit never fails")


def _range_of(name: str, least: float, most: float) -> tuple[float, float]:
    """Where the number lies that this limit is about."""
    if name.endswith("Ratio"):
        return 0.0, math.inf
    return (least - most, most - least) if name.endswith("Difference") else (least, most)


def _measured(name: str, builtin: str) -> str:
    """What is held against the limit."""
    kind = "ratio" if name.endswith("Ratio") else "difference" if name.endswith("Difference") else "number"
    return f"{kind} of {builtin}"
