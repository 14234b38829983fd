"""Whole windows in one number an arm: for limits, beside the sequential tests.

Counts come from the same differencing as the ticks. A quantile is interpolated within its bucket, as Prometheus's
`histogram_quantile` does it, so that a limit means here what it means in a query.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from analysis import latency, reasons
from analysis.counters import Counter, Cursor, Scrapes, Slice, difference
from analysis.model import Arm, Counted, Window
from analysis.threshold import Reading


@dataclass(frozen=True, slots=True)
class Totals:
    """What one arm did in a window.

    Attributes:
        n, bad: requests and failed ones.
        below: requests at or below each edge, infinity included; empty without a histogram.
        seconds: that the counted ticks of the requests cover.
    """

    n: float
    bad: float
    below: Mapping[float, float]
    seconds: float = 0.0

    @property
    def requests(self) -> float:
        """Requests, by whichever of the two metrics there is."""
        return self.n or self.below.get(math.inf, 0.0)

    @property
    def error_percent(self) -> Reading:
        """Percent of the requests that failed."""
        return Reading(100 * self.bad / self.n) if self.n else Reading(reason=reasons.NO_SERIES)

    @property
    def per_second(self) -> Reading:
        """Requests a second: of the time that the samples cover, as Prometheus's `rate` has it, and not of all that was asked for."""
        return Reading(self.requests / self.seconds) if self.seconds else Reading(reason=reasons.NO_SERIES)

    def quantile(self, share: float) -> Reading:
        """The latency below which this share of the requests stayed, in the unit of the edges."""
        edges = sorted(self.below)
        total = self.below.get(math.inf, 0.0)
        if not total or len(edges) < 2:  # noqa: PLR2004 - a finite edge and infinity
            return Reading(reason=reasons.NO_SERIES)
        rank, low, under = share * total, 0.0, 0.0
        for edge in edges:
            if self.below[edge] >= rank:
                # Beyond the last finite edge nothing is known but that edge.
                held = self.below[edge] - under
                return Reading(low if math.isinf(edge) else low + (edge - low) * ((rank - under) / held if held else 1.0))
            low, under = edge, self.below[edge]
        return Reading(low)


def totals(arms: Mapping[Arm, Counted], window: Window, scrapes: Scrapes) -> dict[Arm, Totals]:
    """Both arms' counts over the ticks of the window. An arm that is not fresh is zeros."""
    return summed(slices(arms, window.start, scrapes), window)


def slices(arms: Mapping[Arm, Counted], since: float, scrapes: Scrapes) -> tuple[Slice, ...]:
    """The ticks after `since` (Unix seconds) of requests and failures, then those of the histograms; any time between can be summed.

    Each arm's histogram has all of its own edges, as a query about one version has.
    """
    counters = [Counter(arm, name, every) for arm, one in arms.items() for name, every in (("n", one.total), ("bad", one.bad))]
    buckets = [found for arm, one in arms.items() if one.buckets for found in latency.read_buckets({arm: one.buckets}).counters]
    return tuple(part for found in (counters, buckets) for part in difference(found, Cursor(since), scrapes).slices)


def summed(every: Sequence[Slice], window: Window) -> dict[Arm, Totals]:
    """Both arms' counts over those of the ticks that end within the window."""
    sums: dict[tuple[Arm, Hashable], float] = {}
    seconds: dict[Hashable, float] = {}
    for part in every:
        if window.start < part.end <= window.end + 1e-6:
            for name in {name for _, name in part.counts} & {"n", math.inf}:
                seconds[name] = seconds.get(name, 0.0) + part.end - part.start
            for key, count in part.counts.items():
                sums[key] = sums.get(key, 0.0) + count
    return {
        arm: Totals(
            sums.get((arm, "n"), 0.0),
            min(sums.get((arm, "bad"), 0.0), sums.get((arm, "n"), 0.0)),
            {name: count for (whose, name), count in sums.items() if whose is arm and isinstance(name, float)},
            seconds.get("n" if sums.get((arm, "n")) else math.inf, 0.0) or seconds.get("n", 0.0),
        )
        for arm in Arm
    }
