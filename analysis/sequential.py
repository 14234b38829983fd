"""One sequential check on its way through a release: raw samples of both arms in, evidence out, resumable at any sample.

It stands between the counters and the rate tests, and keeps for each *line* (the error rate, or one edge of a
latency histogram) up to three processes:

    relative    against the baseline, while that has traffic; it goes on from stage to stage
    early       in a stage that may pass early, and anew in each: that the candidate is within its margin
    alone       in a stage without the baseline's traffic: against the objective, else against what the
                baseline's last counts tolerate, fixed before the first tick of that stage
    objective   where there is one, in every stage: against that fixed limit, whatever the baseline does

    E = (1 - a) mean(min(relative, objective)) + a mean(alone),   a = 0 where every stage has a baseline

The objective's own process is enough to pause and ask (`ln_alert`): an incident of both arms breaks it, too.

The baseline's counters as they stand when the first request reaches the candidate are its history: they give the rate
that is bet on and the edges that are tested, before the first tick. Nothing of that kind is chosen later.

Ticks follow from the samples and the stages' beginnings alone, never from when somebody looked: a state that is
lost with a crash is reached again, to the bit, from the one before it and the samples since.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from analysis import bursts, latency, passing, rate, reasons
from analysis.combine import Seen
from analysis.counters import Counter, Cursor, Scrapes, Slice, difference
from analysis.model import Arm, Counted, Series, Tick, Window
from analysis.numbers import logaddexp, logsumexp
from analysis.passing import detectable
from analysis.sequential_state import Kind, Known, Line, Mark, Setting, State
from analysis.slo import default_limit

__all__ = [
    "Advanced", "Kind", "Known", "Line", "Mark", "Rates", "Setting", "State", "advance", "alerting_since", "begin", "both", "detectable",
    "follow", "limit_at", "ln_alert", "ln_e", "ln_early", "pretended", "rates", "seen", "slice_of", "worst",
]  # fmt: skip

LEAST_HISTORY = 200.0
"""Requests of the baseline below which a stage, or its history, says too little: to choose edges, or to set a limit by."""

USUAL_RATE = 0.005
"""The baseline's rate of errors where its history is too short to tell."""

_EVERY = "n"
_BAD = "bad"


@dataclass(frozen=True, slots=True)
class Advanced:
    """What one look gave.

    Attributes:
        state: after all samples; None where it could not begin.
        fault, detail: "" or a word of `analysis.reasons`, and what was found.
        steps: the states after each tick, in order: where the bound is reached on the way, that tick decides.
    """

    state: State | None
    fault: str = ""
    detail: str = ""
    steps: tuple[State, ...] = ()


def both(baseline: Counted, candidate: Counted) -> dict[Arm, Counted]:
    """Raw samples of two versions by arm."""
    return {Arm.BASELINE: baseline, Arm.CANDIDATE: candidate}


# Counting.


@dataclass(frozen=True, slots=True)
class _Read:
    counters: tuple[Counter, ...] = ()
    edges: tuple[float, ...] = ()
    fault: str = ""
    detail: str = ""


def _read(setting: Setting, arms: Mapping[Arm, Counted], edges: frozenset[float] = frozenset()) -> _Read:
    """The counters of both arms; of a histogram only those of the edges that are tested, once they are chosen."""
    if setting.kind is Kind.ERRORS:
        found = tuple(Counter(arm, name, every) for arm, one in arms.items() for name, every in ((_EVERY, one.total), (_BAD, one.bad)))
        return _Read(found) if any(one.total for one in arms.values()) else _Read(fault=reasons.NO_SERIES)
    buckets = latency.read_buckets({arm: one.buckets for arm, one in arms.items()}, edges)
    return _Read(buckets.counters, buckets.edges, buckets.fault, buckets.detail)


def _newest(arms: Mapping[Arm, Counted]) -> float:
    times = [series.samples[-1].time for one in arms.values() for every in (one.total, one.buckets) for series in every if series.samples]
    return max(times, default=-math.inf)


def begin(
    setting: Setting, arms: Mapping[Arm, Counted], since: float, scrapes: Scrapes | None = None, past: Counted | None = None
) -> Advanced:
    """The state before the first tick.

    Args:
        setting: what is tested.
        arms: raw samples, from a few scrapes before `since` on, or further back where bursts are to be seen (`bursts.SECONDS`).
        since: the candidate got its first request after this time, Unix seconds.
        scrapes: how samples are made; without it an assumed dispersion stays.
        past: the baseline's counters by target in the time before (`analysis.apart`), where an assumed dispersion may be raised by them.
    """
    read = _read(setting, arms)
    if read.fault:
        return Advanced(None, read.fault, read.detail)
    baseline = [counter for counter in read.counters if counter.arm is Arm.BASELINE]
    if unmeasurable(setting, arms):
        return Advanced(None, reasons.NO_SERIES, "the baseline has requests, and no series counts those that went well")
    if setting.kind is Kind.ERRORS:
        n, bad = (_standing(baseline, name, since) for name in (_EVERY, _BAD))
        bad = max(n - bad, 0.0) if setting.counts_good else bad
        p_hist = setting.p_hist if setting.p_hist is not None else next((one.p_hist for one in setting.known), None)
        if p_hist is None:
            p_hist = max(bad / n, rate.LEAST_PRIOR) if n >= LEAST_HISTORY else USUAL_RATE
        line = _begun(setting, math.inf, p_hist, (n, bad))
        if not setting.assumed or scrapes is None:
            return Advanced(State(Cursor(since), (line,)))
        raised = bursts.raised(setting.dispersion, arms[Arm.BASELINE], since, scrapes, past=past, good=setting.counts_good)
        return Advanced(State(Cursor(since), (line,), raised=(raised,) if raised is not None else ()))
    measured = [one for one in setting.known if one.edge in read.edges]
    if measured:
        total = _standing(baseline, math.inf, since)
        tails = ((one, max(total - _standing(baseline, one.edge, since), 0.0)) for one in measured)
        return Advanced(State(Cursor(since), tuple(_begun(setting, one.edge, one.p_hist, (total, tail)) for one, tail in tails)))
    times = sorted({sample.time for counter in baseline for series in counter.series for sample in series.samples})
    for start in (since, *(time for time in times if time > since)):
        total = _standing(baseline, math.inf, start)
        if total >= LEAST_HISTORY:
            below = {edge: _standing(baseline, edge, start) for edge in read.edges}
            found = _with_edges(setting, below, total, start)
            return found if past is None or scrapes is None else _spread(setting, found, past, since, scrapes)
    return Advanced(None, reasons.TOO_FEW_REQUESTS, f"the baseline's histogram has fewer than {LEAST_HISTORY:,.0f} requests")


def _with_edges(setting: Setting, below: Mapping[float, float], total: float, since: float) -> Advanced:
    edges = latency.usable_edges(below, total)
    if not edges:
        return Advanced(None, reasons.NO_COMMON_EDGE, latency.NO_USABLE_EDGE)
    counted = ((edge, latency.share_beyond(below[edge], total), max(total - below[edge], 0.0)) for edge in edges)
    return Advanced(State(Cursor(since), tuple(_begun(setting, edge, share, (total, slow)) for edge, share, slow in counted)))


def _spread(setting: Setting, found: Advanced, past: Counted, since: float, scrapes: Scrapes) -> Advanced:
    """What has begun with the dispersion that the time before shows at its edges, where nobody has measured one."""
    if found.state is None or not setting.assumed:
        return found
    raised = bursts.beyond(setting.dispersion, past, [line.edge for line in found.state.lines], since, scrapes)
    return replace(found, state=replace(found.state, raised=raised))


def unmeasurable(setting: Setting, arms: Mapping[Arm, Counted]) -> bool:
    """Whether everything of the baseline would count as failed, so that no candidate could be worse: nothing counts what went well."""
    baseline = arms[Arm.BASELINE]
    return setting.counts_good and bool(baseline.total) and not baseline.bad


def _begun(setting: Setting, edge: float, p_hist: float, before: tuple[float, float]) -> Line:
    share = min(p_hist, 1.0)
    objective = None if setting.objective is None else rate.start(setting.fixed(share, edge, setting.objective))
    return Line(edge, share, rate.start(setting.test(share, edge)), before=before, objective=objective)


def _standing(counters: Sequence[Counter], name: object, at: float) -> float:
    """What counters had counted by this time: the newest sample of each series that is not younger."""
    return math.fsum(_value(series, at) for counter in counters if counter.name == name for series in counter.series)


def _value(series: Series, at: float) -> float:
    values = [sample.value for sample in series.samples if sample.time <= at and math.isfinite(sample.value) and sample.value >= 0]
    return values[-1] if values else 0.0


def advance(setting: Setting, state: State, arms: Mapping[Arm, Counted], marks: Sequence[Mark], scrapes: Scrapes) -> Advanced:
    """The state after every tick that is complete; the same one where nothing is new, or where the samples cannot be read.

    Args:
        setting: what is tested.
        state: after all ticks before.
        arms: raw samples, from `state.cursor.until - scrapes.look_back` on.
        marks: the stages so far, in order of time; there is at least one.
        scrapes: how samples are made.
    """
    if state.cursor.until < _newest(arms) < state.cursor.until + scrapes.every:
        return Advanced(state)
    edges = frozenset((math.inf, *(line.edge for line in state.lines)))
    read = _read(setting, arms, edges)
    if read.fault:
        return Advanced(state, read.fault, read.detail)
    needs = (Arm.CANDIDATE,) if marks[-1].alone else (Arm.BASELINE, Arm.CANDIDATE)
    found = difference(read.counters, state.cursor, scrapes, needs=needs)
    if found.fault:
        return Advanced(state, found.fault)
    steps = follow(setting, state, found.slices, marks)
    fault = reasons.UNUSABLE_COUNTER if found.unusable else ""
    return Advanced(steps[-1] if steps else state, fault, found.unusable, steps)


def follow(setting: Setting, state: State, slices: Sequence[Slice], marks: Sequence[Mark]) -> tuple[State, ...]:
    """The states after each of these slices of both arms' counters, in order."""
    steps: list[State] = []
    guarded = state.setting(setting)
    for part in slices:
        steps.append(_counted(guarded, steps[-1] if steps else state, part, marks))
    return tuple(steps)


def pretended(setting: Setting, since: float) -> State:
    """The state before the first tick of a release that never was: of what is known alone, without counters."""
    return State(Cursor(since), tuple(_begun(setting, one.edge, one.p_hist, (0.0, 0.0)) for one in setting.known))


def slice_of(kind: Kind, tick: tuple[float, float], counts: Mapping[Arm, Sequence[float]], edges: Sequence[float]) -> Slice:
    """A slice as `follow` takes it.

    Args:
        kind: of the setting.
        tick: its start and its end.
        counts: requests of an arm, then its bad ones by line.
        edges: of the lines; not looked at for errors.
    """
    found: dict[tuple[Arm, Hashable], float] = {}
    for arm, (n, *bad) in counts.items():
        if kind is Kind.ERRORS:
            found |= {(arm, _EVERY): n, (arm, _BAD): bad[0]}
        else:
            found |= {(arm, math.inf): n, **{(arm, edge): n - slow for edge, slow in zip(edges, bad, strict=True)}}
    return Slice(*tick, found)


def _counted(setting: Setting, state: State, part: Slice, marks: Sequence[Mark]) -> State:
    mark = next((mark for mark in reversed(marks) if mark.since < part.end), marks[0])
    lines = state.lines
    if mark.name != state.stage:
        lines = tuple(_in_stage(setting, line, mark) for line in lines)
    if mark.judged:
        lines = tuple(_stepped(setting, line, tick, mark) if (tick := _tick(setting, line, part)) else line for line in lines)
    return State(Cursor(part.end), lines, mark.name, state.raised)


def _in_stage(setting: Setting, line: Line, mark: Mark) -> Line:
    """A line at the beginning of a stage. What stands alone gets its limit here, before the stage's first tick."""
    _, _, n_b, x_b = (0.0, 0.0, 0.0, 0.0) if mark.after_cut else line.sums
    before = (n_b, x_b) if n_b >= LEAST_HISTORY else (line.before[0] + n_b, line.before[1] + x_b)
    limit = _alone_limit(setting, before) if mark.alone else 0.0
    fresh = rate.start(setting.early(line.p_hist, line.edge)) if mark.early and setting.margin is not None and not mark.alone else None
    begun = replace(line, sums=(0.0, 0.0, 0.0, 0.0), before=before, limit=limit, early=fresh, shown=0.0)
    return replace(begun, alone=rate.start(setting.fixed(line.p_hist, line.edge, limit))) if limit and line.alone is None else begun


def _alone_limit(setting: Setting, before: tuple[float, float]) -> float:
    """What stands for the baseline where it has no traffic; 0 where nothing is known of it."""
    if setting.objective is not None:
        return setting.objective
    return min(default_limit(before[1], before[0], rho=setting.rho, delta=setting.delta), 1.0) if before[0] else 0.0


def _tick(setting: Setting, line: Line, part: Slice) -> Tick | None:
    if math.isfinite(line.edge):
        return latency.tick_beyond(line.edge, line.edge, part)
    n = {arm: part.counts.get((arm, _EVERY), 0.0) for arm in Arm}
    bad = {arm: min(part.counts.get((arm, _BAD), 0.0), n[arm]) for arm in Arm}
    if setting.counts_good:
        bad = {arm: n[arm] - good for arm, good in bad.items()}
    return Tick(part.start, part.end, n[Arm.CANDIDATE], bad[Arm.CANDIDATE], n[Arm.BASELINE], bad[Arm.BASELINE])


def _stepped(setting: Setting, line: Line, tick: Tick, mark: Mark) -> Line:
    n_g, x_g, n_b, x_b = line.sums
    sums = (n_g + tick.candidate_n, x_g + tick.candidate_bad, n_b + tick.baseline_n, x_b + tick.baseline_bad)
    relative, alone, early, objective = line.relative, line.alone, line.early, line.objective
    if early is not None:
        early = rate.step(setting.early(line.p_hist, line.edge), early, tick, mark.name)
    if objective is not None and setting.objective is not None:
        objective = rate.step(setting.fixed(line.p_hist, line.edge, setting.objective), objective, tick, mark.name)
    if not mark.alone:
        relative = rate.step(setting.test(line.p_hist, line.edge), relative, tick, mark.name)
    elif alone is not None and line.limit:
        alone = rate.step(setting.fixed(line.p_hist, line.edge, line.limit), alone, tick, mark.name)
    shown = line.shown + passing.visible(setting, line, tick)
    return Line(line.edge, line.p_hist, relative, alone, line.limit, sums, line.before, early, objective, shown)


# What it amounts to.


def ln_e(setting: Setting, state: State | None) -> float:
    """The log of the check's e-value; 0 before there is any evidence."""
    if state is None or not state.lines:
        return 0.0
    many = math.log(len(state.lines))
    relative = logsumexp(line.ln_e for line in state.lines) - many
    if not setting.alone_share:
        return relative
    alone = logsumexp(line.alone.ln_e if line.alone is not None else 0.0 for line in state.lines) - many
    if setting.alone_share >= 1:
        return alone
    return logaddexp(math.log(1 - setting.alone_share) + relative, math.log(setting.alone_share) + alone)


def ln_alert(state: State | None) -> float:
    """The log of the e-value that the objective is broken, whatever the baseline does; minus infinity without an objective."""
    lines = state.lines if state is not None else ()
    return max((line.objective.ln_e for line in lines if line.objective is not None), default=-math.inf)


def alerting_since(state: State) -> float:
    """End of the tick since which the evidence against the objective grows, Unix seconds; 0 without one."""
    return max((line.objective.low_at for line in state.lines if line.objective is not None), default=0.0)


def ln_early(state: State | None) -> float:
    """The log of the e-value that the candidate is within the margin: the least of all lines; minus infinity where it is not asked."""
    if state is None or not state.lines:
        return -math.inf
    return min(line.early.ln_e if line.early is not None else -math.inf for line in state.lines)


def worst(state: State) -> Line:
    """The line with the most evidence, of its process that runs now."""
    return max(state.lines, key=lambda line: line.running.ln_e)


@dataclass(frozen=True, slots=True)
class Rates:
    """A line in the present stage; rates are shares of requests, 0 to 1.

    Attributes:
        line: which one.
        candidate, baseline: both rates; None without requests.
        candidate_n, baseline_n: requests that they rest on.
        limit: the candidate's rate beyond which evidence grows, at this rate of the baseline; None without one.
    """

    line: Line
    candidate: float | None
    baseline: float | None
    candidate_n: float
    baseline_n: float
    limit: float | None


def rates(setting: Setting, state: State, line: Line | None = None) -> Rates:
    """Both rates of a state that has lines: of this one, else of the one with the most evidence."""
    line = line or worst(state)
    n_g, x_g, n_b, x_b = line.sums
    other_n, other_bad = line.before if line.limit else (n_b, x_b)
    baseline = other_bad / other_n if other_n else None
    return Rates(line, x_g / n_g if n_g else None, baseline, n_g, other_n, limit_at(setting, line, baseline))


def seen(
    name: str, setting: Setting, state: State | None, *, weight: float, window: Window, missing: str = "", line: Line | None = None
) -> Seen:
    """What the check has seen in the present stage, for `combine.conclude`.

    Args:
        name: of the check.
        setting: what is tested.
        state: so far; None where it could not begin.
        weight: its share of alpha.
        window: the judged time.
        missing: a word of `analysis.reasons` where nothing can be judged.
        line: whose numbers are shown; by default those of the one with the most evidence.
    """
    if state is None or not state.lines:
        return Seen(name, 0.0, weight, window, None, None, 0.0, 0.0, math.inf, missing=missing or reasons.NO_SERIES)
    found = rates(setting, state, line)
    line, (_, _, n_b, _) = found.line, found.line.sums
    gone = "" if line.limit or n_b else reasons.BASELINE_MISSING
    guarded = state.setting(setting)
    shown, scrapes = passing.scrapes(guarded, state, weight)
    return Seen(
        check=name,
        ln_e=ln_e(setting, state),
        weight=weight,
        window=window,
        candidate=found.candidate,
        baseline=found.baseline,
        candidate_n=found.candidate_n,
        baseline_n=found.baseline_n,
        needed=max(passing.needed(guarded, one, weight) for one in state.lines),
        since=line.running.low_at if math.isfinite(line.running.low_at) else None,
        limit=found.limit,
        missing=missing or gone,
        shown=shown,
        scrapes=scrapes,
        ln_worse=passing.ln_worse(guarded, state),
    )


def limit_at(setting: Setting, line: Line, baseline: float | None) -> float | None:
    """The candidate's rate beyond which evidence grows, at this rate of the baseline."""
    if line.limit or setting.objective is not None:
        return line.limit or setting.objective
    return None if baseline is None else min(setting.rho * baseline + setting.delta, 1.0)
