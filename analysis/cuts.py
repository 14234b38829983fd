"""Where counters are cut into ticks: on one grid, wherever every arm has a new sample and no live target missed one.

It knows sample times alone (`analysis.counters` says of what).
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

Stretches = tuple[list[float], list[float]]
"""Starts and ends of open stretches of time that do not overlap, in order."""


def missed(targets: Iterable[Sequence[float]], slack: float, patience: float, unusable: Iterable[tuple[float, float]] = ()) -> Stretches:
    """Where no cut may fall, because a live target missed scrapes there, or a counter had no usable sample.

    Args:
        targets: sorted sample times of each.
        slack: one scrape and its jitter, seconds.
        patience: seconds of silence after which a target is not waited for.
        unusable: stretches between two usable samples of a counter whose target was scraped all the while.
    """
    silent = [(before, after) for times in targets for before, after in pairwise(times) if after - before <= patience]
    found = sorted((before + slack, after) for before, after in (*silent, *unusable) if slack < after - before)
    starts: list[float] = []
    ends: list[float] = []
    for start, end in found:
        if ends and start < ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    return starts, ends


@dataclass(frozen=True, slots=True)
class Grid:
    """The points `since + k * every` up to `until`, Unix seconds; none within what was `missed`."""

    since: float
    until: float
    every: float
    missed: Stretches

    def may_cut(self, time: float) -> bool:
        """Whether no target missed a scrape there."""
        starts, ends = self.missed
        index = bisect_left(starts, time) - 1
        return index < 0 or time >= ends[index]

    def cuts(self, fresh: Sequence[Sequence[float]]) -> list[float]:
        """`since`, then every point before which each arm has a new sample (`fresh`: their times, sorted) and no target missed one."""
        cuts = [self.since]
        points = int(max(0.0, (self.until - self.since) / self.every)) if math.isfinite(self.until) else 0
        step = 0
        while step < points:
            step += 1
            nexts = [bisect_right(times, cuts[-1]) for times in fresh]
            if any(index == len(times) for index, times in zip(nexts, fresh, strict=True)):
                break
            # The first point that every arm's next sample reaches; a long outage is one step, not thousands.
            latest = max(times[index] for index, times in zip(nexts, fresh, strict=True))
            step = max(step, math.ceil((latest - self.since) / self.every))
            cut = self.since + step * self.every
            if step <= points and self.may_cut(cut):
                cuts.append(cut)
        return cuts
