"""Bursts of the baseline's bad events, as its own scrapes show them before the candidate gets its first request.

Where nobody has measured the dispersion (`analysis.preflight` needs hours), this is what a release can know by itself:
how much more one scrape differs from the next than independent requests would. Slow drift falls out of the differences, and so does
what the candidate does, since all samples are older than its first request. It only ever raises what is assumed without it.

    d = x - n p,    phi = sum (d after - d before)^2 / (2 sum n p (1 - p)),    p = sum x / sum n

How two groups of pods drift apart it cannot see: `analysis.apart`. Of latency only what that has is looked at, minute by minute: a
histogram's samples of every scrape of a quarter of an hour are too many to ask for, and slow requests that come together do so within a
minute as well.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from analysis import apart
from analysis.counters import Counter, Cursor, Scrapes, difference, ticks
from analysis.model import Arm, Counted, Tick
from analysis.rate import Dispersion
from analysis.splits import measured

SECONDS = 900.0
"""How far back it looks."""

LEAST_BAD = 12.0
"""Bad events below which nothing can be said."""

LEAST_STEPS = 12
"""Steps of latency's past, each with many slow requests, below which one step and the next may differ by chance alone."""


def raised(
    assumed: Dispersion, baseline: Counted, since: float, scrapes: Scrapes, *, past: Counted | None = None, good: bool = False
) -> Dispersion | None:
    """The dispersion that the time before shows; None where it is not above the assumed one, or is not known.

    Args:
        assumed: without history.
        baseline: its counters, from `SECONDS` before `since` on; younger samples are passed over.
        since: the candidate got its first request after this time, Unix seconds.
        scrapes: how samples are made.
        past: the baseline's counters by target, every `apart.step_of(scrapes)` seconds, from `apart.SECONDS` before on; None: not known.
        good: the counters beside those of all requests count the good ones.
    """
    counters = (
        Counter(Arm.BASELINE, "n", apart.until(baseline.total, since)),
        Counter(Arm.BASELINE, "bad", apart.until(baseline.bad, since)),
    )
    found = ticks(difference(counters, Cursor(since - SECONDS), scrapes, needs=(Arm.BASELINE,)))
    if good:
        found = tuple(replace(tick, baseline_bad=tick.baseline_n - tick.baseline_bad) for tick in found)
    # The first samples are only a base, so that a tick may have counted nothing yet.
    bursts = max(assumed.bursts, successive([tick for tick in found if tick.baseline_n]) or 0.0)
    drifts = apart.widest(past, since, apart.step_of(scrapes), good=good) if past is not None else None
    shown = Dispersion(bursts, max(assumed.widest, bursts, drifts or 0.0))
    return shown if shown != assumed else None


def beyond(assumed: Dispersion, past: Counted, edges: Sequence[float], since: float, scrapes: Scrapes) -> tuple[Dispersion, ...]:
    """The dispersion of the requests slower than each edge, as the time before shows it; empty where none is above the assumed one.

    Args:
        assumed: without history.
        past: the baseline's buckets by target, every `apart.step_of(scrapes)` seconds, from `apart.SECONDS` before on.
        edges: that are tested.
        since: the candidate got its first request after this time, Unix seconds.
        scrapes: how samples are made.
    """
    parts = apart.parts_of(past, since, apart.step_of(scrapes), edges)
    found = []
    for place in range(len(edges)):
        every = [part.of(frozenset(), others=True) for part in parts]
        whole = [Tick(part.start, part.end, 0.0, 0.0, row[0], row[1 + place]) for part, row in zip(parts, every, strict=True) if row]
        bursts, halves = successive(whole) if len(whole) >= LEAST_STEPS else None, measured(parts, place)
        within = max(assumed.bursts, bursts or 0.0)
        found.append(Dispersion(within, max(assumed.widest, within, halves.widest if halves is not None else 0.0)))
    return tuple(found) if any(one != assumed for one in found) else ()


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
