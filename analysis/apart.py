"""How the baseline's pods drift apart by themselves, before the candidate gets its first request.

What `analysis.bursts` cannot see: two groups of healthy pods that differ for minutes, as the two versions of a release will. It takes
counters by target, a sum over everything else, at every step of the time before:

    pod a  |----|----|----|----|          halved in several ways; blocks of one step and of five minutes
    pod b  |----|----|----|----|          phi = squares of what one half has too much of the bad ones, over what chance makes of them
    -SECONDS                   first request of the candidate

Twelve blocks that hold bad events are needed, so that five minutes are looked at from an hour on. It is less than the hours that
`analysis.preflight` takes, and needs nobody to have asked for it.
"""

from collections.abc import Sequence
from dataclasses import replace

from analysis.counters import Cursor, Scrapes
from analysis.model import Counted, Series
from analysis.splits import Part, measured, parted

SECONDS = 5400.0
"""How far back it looks."""

STEP = 60.0
"""Seconds between two counts; the scrape interval where that is longer."""

_PATIENCE_STEPS = 3


def step_of(scrapes: Scrapes) -> float:
    """Seconds between two counts of the past."""
    return max(STEP, scrapes.interval)


def widest(past: Counted, since: float, step: float, *, good: bool = False) -> float | None:
    """The largest dispersion between two halves of the baseline's pods; None where too little is known, or with one pod.

    Args:
        past: counters by target, every `step` seconds.
        since: the candidate got its first request after this time, Unix seconds; younger samples are passed over.
        step: seconds.
        good: the counters beside those of all requests count the good ones.
    """
    found = measured(parts_of(past, since, step, good=good), 0)
    return found.widest if found is not None else None


def parts_of(past: Counted, since: float, step: float, edges: Sequence[float] = (), *, good: bool = False) -> tuple[Part, ...]:
    """The time before by target, step by step: failed requests, or with `edges` those that were slower than each; the rest as `widest`."""
    scrapes = Scrapes(interval=step, every=step, patience=_PATIENCE_STEPS * step)
    counted = Counted(until(past.total, since), until(past.bad, since), until(past.buckets, since))
    return parted(counted, edges, Cursor(since - SECONDS), scrapes, counts_good=good)[0]


def until(every: tuple[Series, ...], since: float) -> tuple[Series, ...]:
    """The series without samples that are younger."""
    return tuple(replace(one, samples=tuple(sample for sample in one.samples if sample.time <= since)) for one in every)
