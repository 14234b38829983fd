"""Sequential checks in a release: which samples they count, how far they are, and what the evidence amounts to.

A sequential check is gate and trigger in one. From the first weight on every look counts the samples that are new
(`analysis.sequential`), and all checks together have one bound: reached, the release goes back at once, in whatever
phase triggers are watched. At a window's end it passes only if green had the requests that would have shown what the
plan calls an effect.

    first weight     settled      window opens            window ends
      |== tick === tick === tick === tick === tick === ... === tick ==|-- passes, or waits for requests
      |<------------- e-value reaches 1/alpha: back to blue --------->|

The state stands in the release's status, with the time up to which everything is counted: it is written together with
the window's progress, and what is lost with a crash is asked again from there. The error rate counts the samples of the
traffic query where they are the same; latency, other members and other providers ask once more for both colours.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from analysis import combine
from analysis import sequential as library
from analysis.combine import Weighted
from analysis.counters import Scrapes
from analysis.model import Outcome, Series, Verdict, Window
from analysis.rate import Dispersion
from analysis.retrospect_checks import Counted
from analysis.sequential import Kind, Known, Mark, Setting, State
from analysis.slo import ALONE_SHARE
from controller.api.measured import MeasuredLine
from controller.api.plan import PlanSpec, TrafficMetrics
from controller.api.plan_checks import DIFFERENCES, WEIGHTS, BuiltIn, Check
from controller.api.release import CheckStatus, Phase, ReleaseStatus, SequentialStatus, WindowStatus
from controller.core import asking, judging, reasons, traffic
from controller.core.phases import WATCHED
from controller.core.queries import is_failed, member_of, pair_of
from controller.core.steps import World

PATIENCE_SCRAPES = 3
"""A target that is silent for longer is not waited for; as the gap of a window."""

STATES_KEPT = 1024
"""States that are remembered as they were parsed: the same one is read several times a look."""

FULL = 100
_LATE_SCRAPES = PATIENCE_SCRAPES + 2


@dataclass(frozen=True, slots=True)
class Counting:
    """What one check asks in this look: samples after `since` (Unix seconds); `shared` where the traffic query brings them."""

    check: Check
    since: float
    shared: bool


@dataclass(frozen=True, slots=True)
class Look:
    """One check after this look; `fault` and `detail` say why nothing could be counted, `steps` are its states tick by tick."""

    check: Check
    state: State | None
    fault: str = ""
    detail: str = ""
    steps: tuple[State, ...] = ()

    def at(self, time: float, before: State | None) -> "Look":
        """As it stood when everything up to this sample time was counted."""
        known = [state for state in self.steps if state.cursor.until <= time]
        return replace(self, state=known[-1] if known else before)


@dataclass(frozen=True, slots=True)
class Tally:
    """All sequential checks after this look.

    Attributes:
        checks: in the plan's order.
        statuses: their numbers so far, by name.
        cause: the check whose evidence rolls the release back; None while the bound is not reached.
    """

    checks: tuple[Look, ...]
    statuses: Mapping[str, CheckStatus]
    cause: CheckStatus | None = None


# What is tested.


def scrapes_of(plan: PlanSpec) -> Scrapes:
    """How samples are made; a tick is one scrape."""
    interval = plan.traffic.scrape_interval
    return Scrapes(interval=interval, every=interval, patience=PATIENCE_SCRAPES * interval)


def setting_of(plan: PlanSpec, check: Check) -> Setting:
    """The frozen plan in the words of the library: percents become shares."""
    builtin = check.builtin or BuiltIn.ERROR_RATE
    points = check.tolerance.difference if check.tolerance.difference is not None else DIFFERENCES[builtin]
    rate, spread = plan.analysis.error_rate, plan.analysis.dispersion
    known = tuple(_known(line, spread) for line in measured_of(plan, check))
    return Setting(
        kind=Kind.LATENCY if builtin is BuiltIn.LATENCY else Kind.ERRORS,
        rho=check.tolerance.ratio,
        delta=points / 100,
        alpha=plan.analysis.alpha,
        dispersion=Dispersion() if spread is None else Dispersion(spread, spread),
        alone_share=ALONE_SHARE if not check.stages or FULL in check.stages else 0.0,
        effect=check.effect / 100 if check.effect is not None else None,
        p_hist=rate / 100 if rate is not None else None,
        known=known,
        margin=(check.margin.ratio, check.margin.difference / 100) if early_stages(plan) else None,
    )


def early_stages(plan: PlanSpec) -> int:
    """How many stages may pass early; they share beta. At 100 % there is no blue to compare with."""
    return sum(stage.early_after is not None and stage.weight < FULL for stage in plan.stages)


def ln_early_bound(plan: PlanSpec) -> float:
    """The log of the e-value that every check of a stage needs for it to pass early."""
    return math.log(max(early_stages(plan), 1) / plan.analysis.beta)


def measured_of(plan: PlanSpec, check: Check) -> tuple[MeasuredLine, ...]:
    """What was measured on blue for this check: its rate, or its usable bucket edges; empty where nothing was."""
    measured = plan.analysis.measured
    if measured is None:
        return ()
    return measured.of(check.builtin or BuiltIn.ERROR_RATE, member_of(plan, check.member).workload)


def _known(line: MeasuredLine, spread: float | None) -> Known:
    """A measured line for the library; the author's own dispersion comes before the measured one."""
    phi = Dispersion(line.bursts, line.widest) if spread is None else Dispersion(spread, spread)
    return Known(line.share / 100, phi, math.inf if line.edge is None else line.edge)


def shares(plan: PlanSpec) -> dict[str, float]:
    """Each acting check's share of alpha; they sum to 1."""
    acting = [check for check in plan.checks if check.sequential and not check.observe]
    return combine.shared_weights([(check.name, weight_of(check)) for check in acting]) if acting else {}


def weight_of(check: Check) -> float:
    """The check's share before scaling."""
    return check.weight if check.weight is not None else WEIGHTS[check.builtin or BuiltIn.ERROR_RATE]


# What is asked.


def watched(w: World) -> tuple[Check, ...]:
    """The sequential checks that act now: from the first weight on, whenever green may have traffic, but not in a return."""
    status = w.status
    if w.subject.plan is None or w.subject.spec.kind == "reverse" or status.stage < 0 or not status.weight or not marked(status):
        return ()
    if status.phase not in WATCHED or w.standing is Phase.RETURNING or status.returned_at or status.rollback is not None:
        return ()
    return tuple(check for check in w.plan.checks if check.sequential)


def marked(status: ReleaseStatus) -> bool:
    """Whether some stage had its weights accepted."""
    return any(stage.shifted_at for stage in status.stages)


def marks_of(plan: PlanSpec, check: Check, status: ReleaseStatus) -> tuple[Mark, ...]:
    """The stages so far: a tick belongs to the one whose weights were the last to be accepted before it ended."""
    return tuple(
        Mark(
            since=stage.shifted_at,
            name=f"{index + 1}@{stage.shifted_at:.0f}",
            alone=stage.weight >= FULL,
            judged=not check.stages or stage.weight in check.stages,
            early=index < len(plan.stages) and plan.stages[index].early_after is not None,
        )
        for index, stage in enumerate(status.stages)
        if stage.shifted_at
    )


def due(w: World) -> tuple[Counting, ...]:
    """What is counted in this look, from a few scrapes before the last counted sample on: a difference needs the one before."""
    back = scrapes_of(w.plan).look_back if w.subject.plan is not None else 0.0
    return tuple(Counting(check, _from(w, check) - back, _shared(w, check)) for check in watched(w))


def further_back(w: World, since: float | None, counting: Collection[Counting]) -> float | None:
    """Since when the traffic query must have samples: `since`, or earlier where a check counts from there."""
    # The query itself reaches three scrapes further back than it is told.
    reach = 3 * w.plan.traffic.scrape_interval if counting else 0.0
    times = [one.since + reach for one in counting if one.shared]
    return min([*times, *([since] if since is not None else [])], default=None)


def _from(w: World, check: Check) -> float:
    state = stored(w, check)
    return state.cursor.until if state is not None else marks_of(w.plan, check, w.status)[0].since


def _shared(w: World, check: Check) -> bool:
    if check.builtin is not BuiltIn.ERROR_RATE or check.provider or w.plan.traffic.metrics is TrafficMetrics.NONE:
        return False
    return not w.observed.routed or member_of(w.plan, check.member).name in w.observed.routed


def stored(w: World, check: Check) -> State | None:
    """The state in the status; None before there is one, and where somebody's edit made it unreadable: it begins again."""
    text = next((one.state for one in w.status.sequential if one.name == check.name), "")
    return read(text, setting_of(w.plan, check)) if text else None


@lru_cache(maxsize=STATES_KEPT)
def read(text: str, setting: Setting) -> State | None:
    """A stored state; None where it is none of this setting."""
    try:
        return State.from_json(text, setting)
    except ValueError:
        return None


# What came out.


def counted(w: World) -> Tally | None:
    """All sequential checks with this look's samples; None where none acts. Read once a look: what follows carries it on."""
    checks = watched(w)
    if not checks:
        return None
    return w.measured.once(("sequential",), lambda: _tally(w, checks))


def _tally(w: World, checks: Collection[Check]) -> Tally:
    found = first_reached(w, tuple(_count(w, check) for check in checks))
    window = w.stage_status.window or WindowStatus(opened_at=w.stage_status.shifted_at, last_sample=w.now)
    statuses = {one.check.name: _running(_judged(w, one, found, window)) for one in found}
    together = _together(w, found)
    cause = None
    if together is not None and together.reached:
        one = next(one for one in found if one.check.name == together.cause)
        cause = _judged(w, one, found, window)
        statuses[cause.name] = cause
    return Tally(found, statuses, cause)


def first_reached(w: World, found: tuple[Look, ...]) -> tuple[Look, ...]:
    """All checks at the tick at which the bound is reached, so that it decides whenever somebody looks; else after all ticks."""
    for time in sorted({state.cursor.until for one in found for state in one.steps})[:-1]:
        there = tuple(one.at(time, stored(w, one.check)) for one in found)
        together = _together(w, there)
        if together is not None and together.reached:
            return there
    return found


def _count(w: World, check: Check) -> Look:
    """One check's state after the samples of this look; the one before where they were not asked or cannot be read."""
    setting, before, marks = setting_of(w.plan, check), stored(w, check), marks_of(w.plan, check, w.status)
    measurement = w.measured.answers.get(asking.TRAFFIC if _shared(w, check) else asking.ticks_key(check.name))
    if measurement is None:
        return Look(check, before)
    naming = asking.naming_of(w.subject, w.observed, check.member or "", w.observed.domain)
    pair = pair_of(w.plan, member_of(w.plan, check.member), naming)
    found = traffic.sides(measurement.answer, [pair.blue], [pair.green], asking.mesh_of(w.subject, w.observed.cluster))
    if found.fault:
        return Look(check, before, found.fault, found.detail)
    arms = library.both(_samples(check, found.blue), _samples(check, found.green))
    state, fault, detail = before, "", ""
    if state is None:
        begun = library.begin(setting, arms, marks[0].since)
        state, fault, detail = begun.state, begun.fault, begun.detail
    if state is None:
        return Look(check, None, fault, detail)
    after = library.advance(setting, state, arms, marks, scrapes_of(w.plan))
    return Look(check, after.state, after.fault, after.detail, after.steps)


def _samples(check: Check, every: tuple[Series, ...]) -> Counted:
    if check.builtin is BuiltIn.LATENCY:
        return Counted(buckets=every)
    return Counted(total=every, bad=tuple(series for series in every if is_failed(dict(series.labels))))


def _together(w: World, found: Collection[Look]) -> combine.ReleaseEvidence | None:
    """All acting checks against the one bound; None where every check only observes."""
    weights = shares(w.plan)
    parts = [
        Weighted(one.check.name, weights[one.check.name], library.ln_e(setting_of(w.plan, one.check), one.state))
        for one in found
        if one.check.name in weights
    ]
    return combine.release_evidence(parts, w.plan.analysis.alpha) if parts else None


def _judged(w: World, one: Look, found: Collection[Look], window: WindowStatus, missing: str = "", *, proven: bool = False) -> CheckStatus:
    """The check's answer as if the window ended now; with `proven` the margin says what the number of requests says otherwise."""
    check, setting = one.check, setting_of(w.plan, one.check)
    weight = shares(w.plan).get(check.name, 1.0)
    saw = library.seen(
        check.name, setting, one.state, weight=weight, window=Window(window.opened_at, window.last_sample), missing=missing or one.fault
    )
    saw = replace(saw, needed=max(0 if proven else saw.needed, w.stage.min_requests, check.needed_requests))
    evidence = _together(w, found) if not check.observe else None
    if evidence is None:
        evidence = combine.release_evidence([Weighted(check.name, 1.0, saw.ln_e)], w.plan.analysis.alpha)
    status = _status(check, combine.conclude(saw, evidence), one, window, limit=saw.limit)
    shown = library.ln_early(one.state)
    return status.model_copy(update={"ln_early": shown, "ln_early_bound": ln_early_bound(w.plan)}) if math.isfinite(shown) else status


def _status(check: Check, verdict: Verdict, one: Look, window: WindowStatus, *, limit: float | None) -> CheckStatus:
    line = library.worst(one.state) if one.state is not None and one.state.lines else None
    detail = ""
    if verdict.reason == reasons.TOO_FEW_REQUESTS:
        needed = verdict.detail["needed"]
        detail = f"{verdict.n or 0:,.0f} of {needed:,.0f} requests of green" if math.isfinite(needed) else "the tolerance allows the effect"
    elif verdict.outcome is Outcome.INCONCLUSIVE:
        detail = one.detail
    plain = judging.from_verdict(CheckStatus(name=check.name), verdict, detail, at=window.last_sample)
    return plain.model_copy(
        update={
            "limit": None if limit is None else 100 * limit,
            "line": f"slower than {line.edge:g} ms" if line is not None and math.isfinite(line.edge) else "",
            "remembered": bool(line is not None and line.limit),
            "failing_since": verdict.detail.get("since", 0.0) if verdict.outcome is Outcome.FAIL else 0.0,
            "ln_e": verdict.detail["ln_e_release"],
            "ln_bound": verdict.detail["ln_bound"],
            "recent": "",
        }
    )


def _running(status: CheckStatus) -> CheckStatus:
    """The numbers so far, without an answer."""
    return status.model_copy(update={"outcome": None, "reason": "", "detail": "", "failing_since": 0.0})


def written(status: ReleaseStatus, tally: Tally) -> ReleaseStatus:
    """The status with the states, and with the numbers so far where the stage has no verdict yet."""
    states = [SequentialStatus(name=one.check.name, state=one.state.to_json()) for one in tally.checks if one.state is not None]
    update: dict[str, object] = {"sequential": states} if states != status.sequential else {}
    stage = status.stages[status.stage]
    if stage.verdict is None and not stage.skipped:
        others = [check for check in stage.checks if check.name not in tally.statuses]
        checks = [*others, *tally.statuses.values()]
        if checks != stage.checks:
            stages = list(status.stages)
            stages[status.stage] = stage.model_copy(update={"checks": checks})
            update["stages"] = stages
    return status.model_copy(update=update) if update else status


def proven(w: World, window: WindowStatus) -> bool:
    """Whether the stage may pass before its window's end: every check shows that green is within the margin, and none lacks anything."""
    stage, checks = w.stage, asking.checks_of(w.plan, w.stage)
    if stage.early_after is None or window.ran < stage.early_after or stage.weight >= FULL:
        return False
    if w.plan.traffic.metrics is not TrafficMetrics.NONE and window.n_green < stage.min_requests:
        return False
    tally = counted(w) if checks and all(check.sequential for check in checks) else None
    if tally is None:
        return False
    answers, bound = at_window_end(w, window), ln_early_bound(w.plan)
    acting = [answers[check.name] for check in checks if not check.observe]
    return bool(acting) and all(one.outcome is Outcome.PASS and (one.ln_early or -math.inf) >= bound for one in acting)


def at_window_end(w: World, window: WindowStatus) -> dict[str, CheckStatus]:
    """The answers of the sequential checks at the end of this window; without samples up to there they are inconclusive.

    Before the end of the stage's window it is the margin that is asked (`proven`), not the number of requests.
    """
    tally = counted(w)
    if tally is None:
        return {}
    late = window.last_sample - _LATE_SCRAPES * w.plan.traffic.scrape_interval
    found = {}
    for one in tally.checks:
        stale = reasons.STALE_SAMPLE if one.state is not None and one.state.cursor.until < late else ""
        found[one.check.name] = _judged(w, one, tally.checks, window, one.fault or stale, proven=window.ran < w.stage.window)
    return found
