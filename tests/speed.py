"""What something costs, in milliseconds of the machine that this was written on: a slower, busier or faster one has other seconds.

Nothing here looks at a clock on the wall. A yardstick of plain Python, which took a millisecond there, is run beside the work in the
CPU time of this process, and the best of several rounds counts on both sides.
"""

import os
from collections.abc import Callable
from time import process_time

ROUNDS = 5


def cost_ms(work: Callable[[], object], times: int = 1) -> float:
    """CPU milliseconds of one call of `work`, which is called so many times a round, as they would be where this was written."""
    spent, yards = [], []
    for _ in range(ROUNDS):
        yards.append(_seconds(_yardstick, 1))
        spent.append(_seconds(work, times))
        yards.append(_seconds(_yardstick, 1))
    return min(spent) / times / min(yards)


def slowness() -> float:
    """How many times as long this machine takes as one with two cores such as those that this was written on."""
    return max(0.5, 1000 * min(_seconds(_yardstick, 1) for _ in range(50))) * max(1.0, 2 / (os.cpu_count() or 1))


def _seconds(work: Callable[[], object], times: int) -> float:
    begun = process_time()
    for _ in range(times):
        work()
    return process_time() - begun


def _yardstick() -> float:
    """A millisecond: arithmetic, a call and a dictionary, as most of our code is."""
    total, seen = 0.0, {}
    for number in range(7000):
        seen[number % 97] = total
        total += (number * 0.5) ** 0.5
    return total
