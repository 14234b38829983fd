# ruff: noqa: T201 - a command prints
"""How continuous integration divides its minutes: `python -m tests.budget SECONDS`, with the seconds that have gone by.

It prints until when long tests may begin (Unix time). What must run whatever it takes comes after them: building the API server where it
is not built yet, the tests on real components, which mostly wait, and the figures in short. The slower the machine, the earlier they end.
"""

import sys
import time

from tests import speed
from tests.bed import binaries

TOTAL_MINUTES = 23.0
BUILD_MINUTES = 4.0
"""On two cores such as those that the yardstick was cut on."""
REAL_WAITING_MINUTES, REAL_WORKING_MINUTES = 5.0, 4.0
FIGURES_MINUTES = 0.5


def long_tests_minutes(slowness: float, *, built: bool) -> float:
    """Minutes after the beginning of all until which long tests may begin."""
    working = (0.0 if built else BUILD_MINUTES) + REAL_WORKING_MINUTES + FIGURES_MINUTES
    return TOTAL_MINUTES - REAL_WAITING_MINUTES - slowness * working


def main(gone_seconds: float) -> None:
    minutes = long_tests_minutes(speed.slowness(), built=binaries.find() is not None)
    print(round(time.time() - gone_seconds + 60 * minutes))


if __name__ == "__main__":
    main(float(sys.argv[1]))
