"""Any two sets of series over a past window, judged by the engine that judges releases (`analysis.sequential`).

It differences both arms of every check, walks their ticks in order of time, and stops where a release would have been
rolled back. A window is one stage in which both arms have traffic. What must be known before a release comes from the
plan, or from the time before the window:

    history   | the baseline alone: its rate, the usable bucket edges, and the dispersion of errors and of each edge's tail
              | (pods in two halves)
    window    | every tick of both arms, one stage

Where neither knows anything the rate and the dispersion are the defaults, and the first tenth of the window names the
edges; that tenth is not judged for latency, because nothing that is chosen from data may be tested on them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from analysis import confidence, latency, passing, reasons, sequential
from analysis.combine import ReleaseEvidence, Seen, Weighted, conclude, release_evidence, shared_weights
from analysis.confidence import RatioState
from analysis.counters import Counter, Cursor, Differenced, Scrapes, Slice, difference
from analysis.latency import Buckets
from analysis.model import Arm, Counted, Outcome, Series, Tick, Verdict, Window
from analysis.sequential import Kind, Known, Line, Mark, Setting, State
from analysis.splits import measured, parted

__all__ = ["Asked", "Counted", "Found", "Moment", "Past", "Retrospect", "judge", "past_of", "scrapes_of"]

_HEAD = 0.1
_WINDOW = "window"


@dataclass(frozen=True, slots=True)
class Past:
    """What the baseline did before the window: `known` line by line, as far as it can be known, over so many seconds."""

    seconds: float = 0.0
    known: tuple[Known, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """One check of a window.

    Attributes:
        name: of the check.
        setting: what is tested; its known lines are what was known of the baseline before.
        arms: both arms' raw samples, from `window.start - scrapes.look_back` on.
        weight: its share of alpha before scaling.
        least: requests of the candidate that a pass needs at least.
        observe: it is judged and shown, and decides nothing.
    """

    name: str
    setting: Setting
    arms: Mapping[Arm, Counted]
    weight: float = 1.0
    least: float = 0.0
    observe: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """What a check had seen by the end of one of its ticks; rates are shares of requests, 0 to 1.

    Attributes:
        at: end of the tick, Unix seconds.
        candidate, baseline: both rates since the window's begin; None without requests.
        limit: the candidate's rate beyond which evidence grows, at the baseline's rate.
        n: the candidate's requests.
        ln_e: the log of the check's e-value.
        ratio: confidence sequence of candidate to baseline.
    """

    at: float
    candidate: float | None
    baseline: float | None
    limit: float | None
    n: float
    ln_e: float
    ratio: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Found:
    """One check after the window.

    Attributes:
        asked: as it was asked.
        verdict: on it.
        path: what it had seen after each tick.
        alerted: end of the tick at which its objective was broken whatever the baseline did, Unix seconds; None where it never was.
        set_aside: requests that were not counted, because their pods came back after a silence.
    """

    asked: Asked
    verdict: Verdict
    path: tuple[Moment, ...]
    alerted: float | None = None
    set_aside: float = 0.0


@dataclass(frozen=True, slots=True)
class Retrospect:
    """The answer.

    Attributes:
        checks: the cause first.
        evidence: of all acting checks together, at the end or where it was reached; None where no check acts.
        reached: end of the tick at which a release would have been rolled back, Unix seconds; None where it never was.
        ticks: intervals judged.
    """

    checks: tuple[Found, ...] = ()
    evidence: ReleaseEvidence | None = None
    reached: float | None = None
    ticks: int = 0

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Of all checks."""
        return tuple(one.verdict for one in self.checks)

    @property
    def outcomes(self) -> frozenset[Outcome]:
        """Of the checks that act."""
        return frozenset(one.verdict.outcome for one in self.checks if not one.asked.observe)


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


# What was known before.


def past_of(setting: Setting, baseline: Counted, window: Window, scrapes: Scrapes) -> Past:
    """What the baseline's samples before the window say about a check; nothing where they are too few.

    Args:
        setting: of the check. Its own dispersion holds for lines whose dispersion cannot be measured.
        baseline: with samples that begin before the window.
        window: that will be judged; nothing within it is looked at.
        scrapes: how samples are made.
    """
    before = Counted(*(_until(every, window.start) for every in (baseline.total, baseline.bad, baseline.buckets)))
    every = before.total if setting.kind is Kind.ERRORS else before.buckets
    since = min((series.samples[0].time for series in every), default=math.inf)
    if window.start - since < 10 * scrapes.interval:
        return Past()
    known = (_rate if setting.kind is Kind.ERRORS else _tails)(setting, before, Cursor(since), scrapes)
    return Past(window.start - since, known) if known else Past()


def _until(every: Sequence[Series], end: float) -> tuple[Series, ...]:
    cut = (Series(series.labels, tuple(sample for sample in series.samples if sample.time <= end)) for series in every)
    return tuple(series for series in cut if series.samples)


def _rate(setting: Setting, before: Counted, since: Cursor, scrapes: Scrapes) -> tuple[Known, ...]:
    parts, _ = parted(Counted(before.total, before.bad), (), since, scrapes, counts_good=setting.counts_good)
    n, bad = (math.fsum(row[place] for part in parts for row in part.counts.values()) for place in (0, 1))
    return (Known(bad / n, measured(parts, 0) or setting.dispersion),) if n else ()


def _tails(setting: Setting, before: Counted, since: Cursor, scrapes: Scrapes) -> tuple[Known, ...]:
    """The share of requests beyond each edge that can be tested, and its dispersion."""
    read = latency.read_buckets({Arm.BASELINE: before.buckets})
    if read.fault:
        return ()
    below = _sums(difference(read.counters, since, scrapes, needs=(Arm.BASELINE,)).slices)
    edges = latency.usable_edges(below, below.get(math.inf, 0.0))
    parts, _ = parted(before, edges, since, scrapes) if edges else ((), since)
    return tuple(
        Known(latency.share_beyond(below[edge], below[math.inf]), measured(parts, line) or setting.dispersion, edge)
        for line, edge in enumerate(edges)
    )


def _sums(slices: Sequence[Slice]) -> dict[float, float]:
    """The baseline's counts by edge, over all slices."""
    found: dict[float, float] = {}
    for part in slices:
        for (whose, edge), count in part.counts.items():
            if whose is Arm.BASELINE and isinstance(edge, float):
                found[edge] = found.get(edge, 0.0) + count
    return found


# One check on its way.


@dataclass(slots=True)
class _Way:
    """A check between its slices and its verdict: `states` are those after each slice so far, `ln_es` the logs of its e-value there."""

    asked: Asked
    setting: Setting
    slices: tuple[Slice, ...]
    begun: State
    mark: Mark
    missing: str = ""
    states: list[State] = field(default_factory=list)
    ln_es: list[float] = field(default_factory=list)

    @property
    def state(self) -> State:
        """After the newest slice."""
        return self.states[-1] if self.states else self.begun

    @property
    def ln_e(self) -> float:
        """The log of its e-value so far."""
        return self.ln_es[-1] if self.ln_es else 0.0

    def step(self) -> None:
        """Count the next slice."""
        self.states += sequential.follow(self.setting, self.state, (self.slices[len(self.states)],), (self.mark,))
        self.ln_es.append(sequential.ln_e(self.setting, self.state))


def _begun(asked: Asked, window: Window, scrapes: Scrapes) -> _Way:
    """A check before its first tick."""
    found, read = _counted(asked, window, scrapes)
    slices = tuple(part for part in found.slices if part.end <= window.end + 1e-6)
    setting, missing = replace(asked.setting, alone_share=0.0, margin=None, assumed=False), read.fault or found.fault
    missing = missing or (reasons.UNUSABLE_COUNTER if found.unusable else "")
    if setting.kind is Kind.LATENCY:
        fell = any(window.start < time <= window.end for time in read.fell)
        contradicts = fell or any(_falls(part, (*read.edges, math.inf)) for part in slices)
        missing = missing or (reasons.FALLING_BUCKETS if contradicts else "")
        setting, slices = _with_edges(setting, read.edges, slices)
    elif not setting.known:
        rate = sequential.USUAL_RATE if setting.p_hist is None else setting.p_hist
        setting = replace(setting, known=(Known(rate, setting.dispersion),))
    missing = missing or _absent(asked)
    if not setting.known:
        enough = _sums(found.slices).get(math.inf, 0.0) >= sequential.LEAST_HISTORY
        missing, slices = missing or (reasons.NO_COMMON_EDGE if enough else reasons.TOO_FEW_SAMPLES), ()
    begun = sequential.pretended(setting, window.start)
    return _Way(asked, setting, slices, begun, Mark(window.start, _WINDOW), missing)


def _counted(asked: Asked, window: Window, scrapes: Scrapes) -> tuple[Differenced, Buckets]:
    """Both arms' counters tick by tick, and how their histograms could be read."""
    since, arms = Cursor(window.start), asked.arms
    if asked.setting.kind is Kind.ERRORS:
        counters = [Counter(arm, name, every) for arm, one in arms.items() for name, every in (("n", one.total), ("bad", one.bad))]
        return difference(counters, since, scrapes), Buckets()
    read = latency.read_buckets({arm: one.buckets for arm, one in arms.items() if one.buckets})
    return (Differenced((), since) if read.fault else difference(read.counters, since, scrapes)), read


def _with_edges(setting: Setting, edges: Sequence[float], slices: tuple[Slice, ...]) -> tuple[Setting, tuple[Slice, ...]]:
    """The setting with the edges that are tested, and the slices that are judged: without those that named the edges."""
    known = tuple(one for one in setting.known if one.edge in edges)
    if known:
        return replace(setting, known=known), slices
    head = math.ceil(_HEAD * len(slices))
    below = _sums(slices[:head])
    total = below.get(math.inf, 0.0)
    usable = latency.usable_edges({edge: count for edge, count in below.items() if edge in edges}, total)
    chosen = tuple(Known(latency.share_beyond(below[edge], total), setting.dispersion, edge) for edge in usable)
    return replace(setting, known=chosen), slices[head:]


def _absent(asked: Asked) -> str:
    what = "total" if asked.setting.kind is Kind.ERRORS else "buckets"
    if sequential.unmeasurable(asked.setting, asked.arms):
        return reasons.NO_SERIES
    if not getattr(asked.arms[Arm.CANDIDATE], what):
        return reasons.NO_SERIES
    return "" if getattr(asked.arms[Arm.BASELINE], what) else reasons.BASELINE_MISSING


def _falls(part: Slice, edges: Sequence[float]) -> bool:
    """Whether some arm grew by less below a larger edge: a bucket fell by itself, and what it stands at contradicts no other one."""
    found = ((part.counts.get((arm, low), 0.0), part.counts.get((arm, high), 0.0)) for arm in Arm for low, high in pairwise(edges))
    return any(latency.falls(below, above) for below, above in found)


# All together.


def judge(every: Sequence[Asked], window: Window, scrapes: Scrapes, alpha: float) -> Retrospect:
    """The verdicts about the window.

    Args:
        every: what is asked.
        window: sample times that are judged.
        scrapes: how samples are made and cut.
        alpha: most healthy candidates that fail.
    """
    ways = [_begun(one, window, scrapes) for one in every]
    acting = [(one.name, one.weight) for one in every if not one.observe]
    weights = shared_weights(acting) if acting else {}
    evidence, reached, count = _walk(ways, weights, alpha)
    judged = window if reached is None else Window(window.start, reached)
    found = [_found(way, judged, evidence, weights, alpha) for way in ways]
    found.sort(key=lambda one: (one.asked.observe, not one.verdict.detail.get("cause")))
    return Retrospect(tuple(found), evidence, reached, count)


def _walk(ways: Sequence[_Way], weights: Mapping[str, float], alpha: float) -> tuple[ReleaseEvidence | None, float | None, int]:
    """Every tick of every check in order of time, until the evidence reaches its bound."""
    queue = sorted((part.end, index) for index, way in enumerate(ways) for part in way.slices)
    evidence, seen = _together(ways, weights, alpha), set[float]()
    for place, (end, index) in enumerate(queue):
        ways[index].step()
        seen.add(end)
        if place + 1 < len(queue) and queue[place + 1][0] == end:
            continue
        evidence = _together(ways, weights, alpha)
        if evidence is not None and evidence.reached:
            return evidence, end, len(seen)
    return evidence, None, len(seen)


def _together(ways: Sequence[_Way], weights: Mapping[str, float], alpha: float) -> ReleaseEvidence | None:
    parts = [Weighted(way.asked.name, weights[way.asked.name], way.ln_e) for way in ways if way.asked.name in weights]
    return release_evidence(parts, alpha) if parts else None


def _found(way: _Way, window: Window, together: ReleaseEvidence | None, weights: Mapping[str, float], alpha: float) -> Found:
    name = way.asked.name
    evidence = together if not way.asked.observe else None
    if evidence is None:
        evidence = release_evidence([Weighted(name, 1.0, way.ln_e)], alpha)
    line = _shown(way, evidence)
    path = tuple(_moments(way, line))
    verdict = conclude(_seen(way, window, weights.get(name, 1.0), path, line), evidence)
    if way.setting.kind is Kind.LATENCY and line is not None:
        verdict = replace(verdict, check=f"{name} beyond {line.edge:g}")
    bound = -math.log(alpha)
    alerted = next((state.cursor.until for state in way.states if sequential.ln_alert(state) >= bound), None)
    if alerted is not None and verdict.outcome is not Outcome.FAIL:  # a release would have stopped for a person: no pass, whatever follows
        verdict = replace(verdict, outcome=Outcome.INCONCLUSIVE, reason=reasons.BOTH_BEYOND_LIMIT)
    judged = way.slices[: len(way.states)]
    aside = math.fsum(count for part in judged for (_, counter), count in part.set_aside.items() if counter in ("n", math.inf))
    return Found(replace(way.asked, setting=way.setting), verdict, path, alerted, aside)


def _shown(way: _Way, evidence: ReleaseEvidence) -> Line | None:
    """The line that is shown: with the most evidence, or with the worst counts where it is these that keep the check from passing."""
    if not way.state.lines:
        return None
    held = not evidence.reached and passing.ln_worse(way.setting, way.state) >= evidence.ln_bound
    return passing.worst(way.setting, way.state) if held else sequential.worst(way.state)


def _seen(way: _Way, window: Window, weight: float, path: Sequence[Moment], line: Line | None) -> Seen:
    missing = way.missing or ("" if way.states else reasons.NO_SERIES)
    seen = sequential.seen(way.asked.name, way.setting, way.state, weight=weight, window=window, missing=missing, line=line)
    both = seen.candidate_n and seen.baseline_n
    return replace(seen, needed=max(seen.needed, way.asked.least), ratio=path[-1].ratio if path and both else None)


def _moments(way: _Way, shown: Line | None) -> Iterator[Moment]:
    """The way of the line that is shown."""
    if shown is None:
        return
    line = way.state.lines.index(shown)
    ratio, before = RatioState(), way.begun.lines[line].sums
    for part, state, ln_e in zip(way.slices, way.states, way.ln_es, strict=False):
        sums = state.lines[line].sums
        if sums == before:
            continue  # neither arm had a request in it
        tick = Tick(part.start, part.end, *(now - then for now, then in zip(sums, before, strict=True)))
        ratio, before = confidence.step(ratio, tick, way.setting.dispersion_of(state.lines[line].edge)), sums
        n, bad, m, other = sums
        baseline = other / m if m else None
        limit = sequential.limit_at(way.setting, state.lines[line], baseline)
        yield Moment(state.cursor.until, bad / n if n else None, baseline, limit, n, ln_e, confidence.interval(ratio))
