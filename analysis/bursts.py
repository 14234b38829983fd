"""Bursts of the baseline's bad events, as its own scrapes show them before the candidate gets its first request.

Where nobody has measured the dispersion (`analysis.preflight` needs pods and hours), this is what a release can know by itself:
how much more one scrape differs from the next than independent requests would. Slow drift falls out of the differences, and so does
what the candidate does, since all samples are older than its first request. It only ever raises what is assumed without it.

    d = x - n p,    phi = sum (d after - d before)^2 / (2 sum n p (1 - p)),    p = sum x / sum n

What it cannot see is how two groups of pods drift apart.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from analysis.counters import Counter, Cursor, Scrapes, difference, ticks
from analysis.model import Arm, Counted, Series, Tick
from analysis.rate import Dispersion

SECONDS = 900.0
"""How far back it looks."""

LEAST_BAD = 12.0
"""Bad events below which nothing can be said."""


def raised(assumed: Dispersion, baseline: Counted, since: float, scrapes: Scrapes, *, good: bool = False) -> Dispersion | None:
    """The dispersion of the baseline's last quarter of an hour; None where it is not above the assumed one, or is not known.

    Args:
        assumed: without history.
        baseline: its counters, from `SECONDS` before `since` on; younger samples are passed over.
        since: the candidate got its first request after this time, Unix seconds.
        scrapes: how samples are made.
        good: the counters beside those of all requests count the good ones.
    """
    counters = (Counter(Arm.BASELINE, "n", _until(baseline.total, since)), Counter(Arm.BASELINE, "bad", _until(baseline.bad, since)))
    found = ticks(difference(counters, Cursor(since - SECONDS), scrapes, needs=(Arm.BASELINE,)))
    if good:
        found = tuple(replace(tick, baseline_bad=tick.baseline_n - tick.baseline_bad) for tick in found)
    # The first samples are only a base, so that a tick may have counted nothing yet.
    phi = successive([tick for tick in found if tick.baseline_n])
    return Dispersion(phi, max(assumed.widest, phi)) if phi is not None and phi > assumed.bursts else None


def _until(every: Sequence[Series], since: float) -> tuple[Series, ...]:
    return tuple(replace(one, samples=tuple(sample for sample in one.samples if sample.time <= since)) for one in every)


def successive(every: Sequence[Tick]) -> float | None:
    """Phi of the baseline's counts from one tick to the next; None where too few bad events are known."""
    n = sum(tick.baseline_n for tick in every)
    bad = sum(tick.baseline_bad for tick in every)
    if not LEAST_BAD <= bad < n:
        return None
    p = bad / n
    apart = [tick.baseline_bad - tick.baseline_n * p for tick in every]
    expected = 2 * p * (1 - p) * sum(tick.baseline_n for tick in every[1:])
    return sum((after - before) ** 2 for before, after in pairwise(apart)) / expected if expected else None
