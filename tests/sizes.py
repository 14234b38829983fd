"""How much a test repeats what it shows: once in a while for everybody, thoroughly on continuous integration.

What is shown is the same in both sizes, and no test is left out in either. Random examples, seeds and simulated runs are fewer
in the quick size; their bounds follow the number of runs.
"""

import os
from typing import Any

THOROUGH = os.environ.get("PENSTOCK_THOROUGH", "").lower() not in ("", "0", "false")
"""Whether the long sizes are asked for: `PENSTOCK_THOROUGH=1`, as `.ci/run` sets it."""


def size(quick: Any, thorough: Any) -> Any:
    """The one of the two that this run asks for."""
    return thorough if THOROUGH else quick


def closing_line() -> str:
    """What the suite says of it at its end."""
    return "Sizes: thorough." if THOROUGH else "Sizes: quick (PENSTOCK_THOROUGH=1 for the long ones)."
