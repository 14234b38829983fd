"""Whether both versions were seen all through the window of `penstock judge`: what begins late, breaks off or ends in it never passes.

    window      |-----------------------------------------|
    baseline    | . . . . . . . . .                         it ends: what the candidate did then is compared with nothing
    candidate   | . . . . . . . . .       . . . . . . . . . it is silent while the baseline goes on
    candidate   |         . . . . . . . . . . . . . . . . . it begins after the baseline: nobody saw what it did before

A counter that falls more often than it grows is none: each fall would count as a restart with all that it stands at. Nor is one that was
infinite or negative for a while, whatever it says before and after that.

A silence of both is one long tick, which counts for as much as one scrape may (`analysis.passing`). One that begins late is as one
that is silent: a pass is about the window that was asked for, and the sentence names the one in which both were seen.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from analysis import latency, retrospect
from analysis.model import Arm, Counted, Sample, Series, Window
from analysis.sequential import Kind
from analysis.usable import MOST_COUNT, clean, in_words, spoilt
from controller.api.base import format_duration
from controller.cli.judge_words import clock

_LATE_SHARE = 0.1
_LEAST_FALLS = 3
"""Fewer may be restarts of a pod that hardly anybody asks."""

Sides = Mapping[Arm, tuple[Series, ...]]
"""Series of one metric of both versions."""


def sides_of(arms: Mapping[Arm, Counted], kinds: Iterable[Kind] = Kind) -> list[Sides]:
    """The metrics that checks of these kinds count, where both versions have them."""
    found = [{arm: one.total if kind is Kind.ERRORS else one.buckets for arm, one in arms.items()} for kind in kinds]
    return [one for one in found if all(one.values())]


def unseen(every: Iterable[Sides], window: Window) -> str:
    """What of the window nobody saw, a sentence; "" where both versions' samples go all through it."""
    return next((said for sides in every if (said := _unseen(sides, window))), "")


def _unseen(sides: Sides, window: Window) -> str:
    patience = {arm: retrospect.scrapes_of(every).patience for arm, every in sides.items()}
    cleaned = {arm: [clean(one) for one in every] for arm, every in sides.items()}
    wrong = next((said for arm in sides if (said := _unreadable(arm, sides[arm], cleaned[arm], window, patience[arm]))), "")
    if wrong:
        return wrong
    times = {arm: _times(every, window) for arm, every in cleaned.items()}
    begins = min(times[Arm.BASELINE], default=window.end)
    if begins > window.start + max(_LATE_SHARE * window.seconds, patience[Arm.BASELINE]):
        late = format_duration(round(begins - window.start))
        return (
            f"The baseline's samples begin at {clock(begins)}, {late} after the window's begin: "
            "what was before is not kept, or was never scraped."
        )
    for arm in Arm:
        if not times[arm]:
            return f"The {arm} has no sample in the window."
        (other,) = set(Arm) - {arm}
        first = min(times[other], default=window.end)
        if times[arm][0] > first + patience[arm]:
            late = format_duration(round(times[arm][0] - first))
            return (
                f"The {arm}'s samples begin at {clock(times[arm][0])}, {late} after the {other}'s: nobody saw it before. "
                f"Both were seen from then on: --from {times[arm][0]:.0f}."
            )
        if times[arm][-1] < window.end - patience[arm]:
            early = format_duration(round(window.end - times[arm][-1]))
            return f"The {arm}'s samples end at {clock(times[arm][-1])}, {early} before the window's end: what was after them nobody saw."
        gap = _gap(times[arm], times[other], patience[arm])
        if gap is not None:
            return f"The {arm} has no samples from {clock(gap[0])} to {clock(gap[1])}, while the {other}'s go on: nobody saw it then."
    return ""


def _unreadable(arm: Arm, every: Sequence[Series], cleaned: Sequence[Series], window: Window, patience: float) -> str:
    """What of one version's counters cannot be counted, a sentence; "" where all can."""
    held = spoilt(zip(every, cleaned, strict=True)).holding(window.end, patience)
    if held:
        return f"A counter of the {arm} ends in samples that are no counts: {held[0].words}."
    odd = next(((one, sample) for one in every for sample in one.samples if _is_odd(sample, window)), None)
    if odd is not None:
        return f"A counter of the {arm} was no count at {clock(odd[1].time)}: {in_words(odd[0].labels)} was {odd[1].value:g}."
    read = latency.read_buckets({arm: every}) if any("le" in dict(one.labels) for one in every) else None
    if read is not None and read.fault:
        return f"A histogram of the {arm} cannot be read: {read.detail}."
    falling = next((said for one in cleaned if (said := _falls(one, window))), "")
    return f"A counter of the {arm} {falling}: that is no counter, or its times run backwards." if falling else ""


def _is_odd(sample: Sample, window: Window) -> bool:
    """Whether a sample of the window is no count. NaN says nothing here: a dump marks the ends of series so."""
    value = sample.value
    return window.start <= sample.time <= window.end and not math.isnan(value) and not 0 <= value <= MOST_COUNT


def _falls(series: Series, window: Window) -> str:
    """How often a counter falls where that is more often than it grows, a clause; "" of one that does not."""
    values = [sample.value for sample in series.samples if window.start <= sample.time <= window.end]
    falls, grows = sum(after < before for before, after in pairwise(values)), sum(after > before for before, after in pairwise(values))
    if falls < _LEAST_FALLS or falls <= grows:
        return ""
    return f"falls at {falls} of its {len(values) - 1} steps ({in_words(series.labels)})"


def _times(every: Iterable[Series], window: Window) -> list[float]:
    """Of usable samples in the window, sorted."""
    return sorted({sample.time for one in every for sample in one.samples if window.start <= sample.time <= window.end})


def _gap(times: Sequence[float], others: Sequence[float], patience: float) -> tuple[float, float] | None:
    """The first silence beyond the patience in which the other version has samples; those at its very edges are of the same outage."""
    edge = patience / 2
    for before, after in pairwise(times):
        if after - before > patience and any(before + edge < other < after - edge for other in others):
            return before, after
    return None
