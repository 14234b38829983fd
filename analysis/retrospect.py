"""Any two sets of series over a past window, judged with the engine that judges releases.

It differences both arms, walks the ticks in order of time, and stops where a release would have been rolled back. What must
be known before a release comes from the time before the window:

    history   | the baseline alone: its rate, the usable bucket edges, and the dispersion of errors and of each edge's tail
              | (pods in two halves)
    window    | every tick of both arms, one stage

Without history the rate and the dispersion are the defaults, and the first tenth of the window names the edges; that
tenth is not judged for latency, because nothing that is chosen from data may be tested on them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from analysis import latency
from analysis.combine import (
    ReleaseEvidence,
    Weighted,
    conclude,
    release_evidence,
    shared_weights,
)
from analysis.counters import Cursor, Scrapes, difference
from analysis.model import Arm, Outcome, Series, Verdict, Window
from analysis.rate import Dispersion
from analysis.retrospect_checks import Check, Counted, Errors, Latency, Limit, Moment, Past, Policy, sums
from analysis.splits import measured, parted

__all__ = ["Counted", "Moment", "Past", "Policy", "Retrospect", "judge", "past_of", "scrapes_of"]


@dataclass(frozen=True, slots=True)
class Retrospect:
    """The answer.

    Attributes:
        outcome: fail where the evidence reached its bound, pass where every check passes, else inconclusive.
        verdicts: one a check, the cause first.
        paths: what each of them had seen after each tick, in the same order.
        evidence: of all checks together, at the end or where it was reached.
        reached: end of the tick at which a release would have been rolled back, Unix seconds; None where it never was.
        ticks: intervals judged.
        past: what was known before.
        set_aside: requests that were not counted, because their pods came back after a silence.
    """

    outcome: Outcome
    verdicts: tuple[Verdict, ...]
    paths: tuple[tuple[Moment, ...], ...]
    evidence: ReleaseEvidence
    reached: float | None
    ticks: int
    past: Past
    set_aside: float = 0.0


def scrapes_of(every: Sequence[Series], least: float = 1.0) -> Scrapes:
    """How the samples are made: the median distance between two of a series."""
    gaps = sorted(
        after.time - before.time
        for series in every
        for before, after in zip(series.samples, series.samples[1:], strict=False)
        if after.time > before.time
    )
    interval = max(gaps[len(gaps) // 2] if gaps else 15.0, least)
    return Scrapes(interval, interval, 3 * interval)


def past_of(baseline: Counted, window: Window, scrapes: Scrapes) -> Past:
    """What the baseline's samples before the window say; fields that they cannot say keep their defaults.

    Args:
        baseline: with samples that begin before the window.
        window: that will be judged; nothing within it is looked at.
        scrapes: how samples are made.
    """
    before = Counted(*(_until(every, window.start) for every in (baseline.total, baseline.bad, baseline.buckets)))
    times = [series.samples[0].time for series in (*before.total, *before.buckets) if series.samples]
    if not times or window.start - min(times) < 10 * scrapes.interval:
        return Past()
    since = Cursor(min(times))
    parts, _ = parted(before, (), since, scrapes)
    found = replace(Past(), seconds=window.start - since.until, dispersion=measured(parts, 0) or Dispersion())
    n = math.fsum(row[0] for part in parts for row in part.counts.values())
    if n:
        found = replace(found, p_hist=math.fsum(row[1] for part in parts for row in part.counts.values()) / n)
    read = latency.read_buckets({Arm.BASELINE: before.buckets})
    if before.buckets and not read.fault:
        below = sums(difference(read.counters, since, scrapes, needs=(Arm.BASELINE,)).slices, Arm.BASELINE)
        tails = _tails(before, latency.usable_edges(below, below.get(math.inf, 0.0)), since, scrapes)
        found = replace(found, below=below, total=below.get(math.inf, 0.0), tails=tails)
    return found


def _until(every: Sequence[Series], end: float) -> tuple[Series, ...]:
    cut = (Series(series.labels, tuple(sample for sample in series.samples if sample.time <= end)) for series in every)
    return tuple(series for series in cut if series.samples)


def _tails(before: Counted, edges: Sequence[float], since: Cursor, scrapes: Scrapes) -> dict[float, Dispersion]:
    """The dispersion of requests beyond each edge that can be tested; edges at which it cannot be measured are left out."""
    parts, _ = parted(before, edges, since, scrapes) if edges else ((), since)
    found = {edge: measured(parts, line) for line, edge in enumerate(edges)}
    return {edge: phi for edge, phi in found.items() if phi is not None}


def judge(
    arms: Mapping[Arm, Counted], window: Window, scrapes: Scrapes, policy: Policy | None = None, past: Past | None = None
) -> Retrospect:
    """The verdict about the window.

    Args:
        arms: both arms' raw samples, from `window.start - scrapes.look_back` on.
        window: sample times that are judged.
        scrapes: how samples are made and cut.
        policy: how it is judged.
        past: what was known before the window.
    """
    rules, known = policy or Policy(), past or Past()
    checks: list[Check] = []
    counted = any(arm.total for arm in arms.values())
    if counted and Errors.name in rules.weights:
        checks.append(Errors(arms, window, scrapes, rules, known))
    if counted and Limit.name in rules.weights and rules.limit is not None:
        checks.append(Limit(arms, window, scrapes, rules, known))
    if Latency.name in rules.weights and any(arm.buckets for arm in arms.values()):
        checks.append(Latency(arms, window, scrapes, rules, known))
    if not checks:
        checks.append(Errors(arms, window, scrapes, rules, known))
    weights = shared_weights([(check.name, rules.weights.get(check.name, 1.0)) for check in checks])
    evidence, reached, count = _walk(checks, weights, rules.alpha)
    judged = window if reached is None else Window(window.start, reached)
    found = [(replace(conclude(check.seen(weights[check.name], judged), evidence), check=check.title), check.moments) for check in checks]
    found.sort(key=lambda one: not one[0].detail.get("cause"))
    verdicts, paths = tuple(verdict for verdict, _ in found), tuple(path for _, path in found)
    aside = max(math.fsum(check.set_aside for check in checks), 0.0)
    return Retrospect(_together(verdicts), verdicts, paths, evidence, reached, count, known, aside)


def _together(verdicts: Sequence[Verdict]) -> Outcome:
    outcomes = {verdict.outcome for verdict in verdicts}
    for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        if outcome in outcomes:
            return outcome
    return Outcome.PASS


def _walk(checks: Sequence[Check], weights: Mapping[str, float], alpha: float) -> tuple[ReleaseEvidence, float | None, int]:
    """Every tick of every check in order of time, until the evidence reaches its bound."""
    queue = sorted(((end, index) for index, check in enumerate(checks) for end in check.ends), key=lambda one: one)
    evidence = release_evidence([Weighted(check.name, weights[check.name]) for check in checks], alpha)
    seen: set[float] = set()
    for place, (end, index) in enumerate(queue):
        checks[index].step()
        seen.add(end)
        if place + 1 < len(queue) and queue[place + 1][0] == end:
            continue
        evidence = release_evidence([Weighted(check.name, weights[check.name], check.ln_e) for check in checks], alpha)
        if evidence.reached:
            return evidence, end, len(seen)
    return evidence, None, len(seen)
