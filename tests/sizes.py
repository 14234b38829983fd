"""How much the suite shows in one run: what tells most for everybody, everything on continuous integration.

Two things differ. What is repeated for its statistics (random examples, seeds, simulated runs) is repeated less often in the quick
size; bounds follow the number of runs. And tests marked `long` are left out of it: further cases of a family, most of them whole
releases, whose most telling cases stay. `make test` says how many were left out; `make test-all` and `.ci/run` run them.
"""

import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

THOROUGH = os.environ.get("PENSTOCK_THOROUGH", "").lower() not in ("", "0", "false")
"""Whether everything is asked for: `PENSTOCK_THOROUGH=1`, as `make test-all` and `.ci/run` set it."""


def size(quick: Any, thorough: Any) -> Any:
    """The one of the two that this run asks for."""
    return thorough if THOROUGH else quick


def most_telling(*chosen: Any, of: Iterable[Any]) -> list[Any]:
    """The parameters of a family: those that are not among the chosen are marked `long`. A tuple is several parameters."""
    every = list(of)
    assert all(one in every for one in chosen), f"{chosen} are not all among {every}"
    return [one if one in chosen else pytest.param(*(one if isinstance(one, tuple) else (one,)), marks=pytest.mark.long) for one in every]


def selection() -> str:
    """What `make test` adds to the marks that it selects tests by."""
    return size(" and not long", "")


UNTIL = float(os.environ.get("PENSTOCK_LONG_UNTIL", "inf"))
"""A long test that would begin after this moment (Unix time) is left out, and named at the end: `.ci/run` has so much time and no more."""
NO_TIME = "no time was left for this long test"


def named_for_want_of_time(files: Iterable[str]) -> list[str]:
    """The closing line that names what was left out, a file for each test; none where there was time."""
    counts = Counter(files)
    if not counts:
        return []
    total = counts.total()
    places = ", ".join(f"{file} ({count})" for file, count in sorted(counts.items()))
    return [f"No time was left for {total} long {'test' if total == 1 else 'tests'}: {places}."]


def closing_line(left: int = 0) -> str:
    """What the suite says of it at its end; so many long tests were left out."""
    if THOROUGH:
        return "Sizes: thorough."
    named = f"; {left} long {'test was' if left == 1 else 'tests were'} left out" if left else ""
    return f"Sizes: quick{named} (`make test-all` runs everything, in the thorough sizes)."
