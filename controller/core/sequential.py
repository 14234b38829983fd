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
traffic query where they are the same; latency, other members and other providers ask once more for both colours, and
counters of the plan's own ask for each of the two and each colour.

A check with an objective has a second bet, on that alone: an incident of both versions wins it, too, so that it holds the release
for a person instead (`Tally.alert`). After the return of `finish: home` the original is judged by a bet of its own, against what the
clone had in its last stage: nobody is at the clone any more.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from analysis import bursts, combine, passing
from analysis import sequential as library
from analysis.combine import Weighted
from analysis.explain import scrapes_shown
from analysis.gauge import GaugeState
from analysis.model import Outcome, Verdict, Window
from analysis.sequential import Kind, Setting, State
from controller.api.plan import TrafficMetrics
from controller.api.plan_checks import BuiltIn, Check
from controller.api.release import CheckStatus, Phase, ReleaseStatus, SequentialStatus, StageStatus, WindowStatus
from controller.core import arms, asking, gauges, homeward, judging, polls, readings, reasons, samples, sentences
from controller.core.asking import Counting
from controller.core.gauges import GaugeLook
from controller.core.marks import is_home, marked, marks_in
from controller.core.phases import FULL, WATCHED
from controller.core.steps import World
from controller.core.tested import (
    PATIENCE_SCRAPES,
    early_stages,
    ln_early_bound,
    measured_of,
    scrapes_of,
    setting_of,
    shares,
    what_is_tested,
)
from controller.core.words import many

__all__ = [
    "FULL", "Look", "Tally", "at_window_end", "counted", "due", "early_stages", "edges_of", "further_back",
    "ln_early_bound", "measured_of", "proven", "scrapes_of", "setting_of", "shares", "stored", "written",
]  # fmt: skip

_LATE_SCRAPES = PATIENCE_SCRAPES + 2


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
        checks: those that count, in the plan's order.
        statuses: their numbers so far, and those of the gauges, by name.
        cause: the check whose evidence rolls the release back; None while the bound is not reached.
        alert: the check whose objective is broken, or the gauge that is worse than tolerated: a person is asked; None where none is.
        gauges: as far as they are paired.
    """

    checks: tuple[Look, ...]
    statuses: Mapping[str, CheckStatus]
    cause: CheckStatus | None = None
    alert: CheckStatus | None = None
    gauges: tuple[GaugeLook, ...] = ()

    @property
    def states(self) -> dict[str, State | GaugeState]:
        """All states by name."""
        found: dict[str, State | GaugeState] = {one.check.name: one.state for one in self.checks if one.state is not None}
        return found | {one.check.name: one.state for one in self.gauges}


# What is asked.


def tested(w: World, check: Check) -> Setting:
    """What the check tests here."""
    known = what_is_tested(w.plan)
    return known.home[check.name] if is_home(w) else known.settings[check.name]


def watched(w: World) -> tuple[Check, ...]:
    """The sequential checks that act now: from the first weight on, whenever green may have traffic; in a return seen from home alone.

    None in a reverse release: it has no stage in which both versions have traffic, and what hits both is often why somebody asked for it.
    """
    checks = what_is_tested(w.plan).checks if w.subject.plan is not None else ()
    return checks if checks and _watching(w) else ()


def watched_gauges(w: World) -> tuple[Check, ...]:
    """The gauges that are paired now: as `watched`, where their history is known, but not after a return: nobody is at the clone."""
    checks = what_is_tested(w.plan).gauges if w.subject.plan is not None else ()
    return checks if checks and _watching(w) and not is_home(w) else ()


def _watching(w: World) -> bool:
    status = w.status
    if w.subject.spec.kind == "reverse" or status.stage < 0 or not status.weight or not marked(status):
        return False
    if status.phase not in WATCHED or w.standing is Phase.RETURNING or status.rollback is not None:
        return False
    # After a failed return the states are still those of the return.
    return is_home(w) or not homeward.shifted_at(status)


def due(w: World) -> tuple[Counting, ...]:
    """What is counted in this look, from a few scrapes before the last counted sample on: a difference needs the one before."""
    checks = watched(w)
    return tuple([_counting(w, check, stored(w, check), what_is_tested(w.plan).scrapes.look_back) for check in checks])


def _counting(w: World, check: Check, state: State | None, back: float) -> Counting:
    """From the last counted sample on; without one from the first weight, and from before that where blue's bursts are to be seen."""
    if state is not None:
        return Counting(check, state.cursor.until - back, shared=_shared(w, check), edges=edges_of(state))
    setting, begins = tested(w, check), marks_in(w, check)[0].since
    # At home nobody is at the clone, whose pods would say nothing about the original's.
    past = begins if setting.assumed and not is_home(w) else None
    scrapes = bursts.SECONDS if setting.assumed and setting.kind is Kind.ERRORS else 0.0
    return Counting(check, begins - max(back, scrapes), shared=_shared(w, check), past=past)


def edges_of(state: State | None) -> tuple[float, ...]:
    """The bucket edges that a latency check has chosen; none before it has a state, nor of another check."""
    return tuple(line.edge for line in state.lines if math.isfinite(line.edge)) if state is not None else ()


def paired(w: World) -> tuple[tuple[Check, float], ...]:
    """The gauges that are asked in this look, and since when; none where blue has no requests to compare with."""
    found = watched_gauges(w) if arms.blue_serves(w.status) else ()
    return tuple((check, gauges.since_of(stored_text(w, check), marks_in(w, check))) for check in found)


def further_back(w: World, since: float | None, counting: Collection[Counting]) -> float | None:
    """Since when the traffic query must have samples: `since`, or earlier where a check counts from there."""
    # The query itself reaches some scrapes further back than it is told.
    reach = asking.SPARE_SCRAPES * w.plan.traffic.scrape_interval if counting else 0.0
    times = [one.since + reach for one in counting if one.shared]
    return min([*times, *([since] if since is not None else [])], default=None)


def _shared(w: World, check: Check) -> bool:
    return check.builtin is BuiltIn.ERROR_RATE and asking.in_traffic(w.plan, check, w.observed.routed)


def stored(w: World, check: Check) -> State | None:
    """The state in the status; None before there is one, and where somebody's edit made it unreadable: it begins again."""
    one = next((one for one in w.status.sequential if one.name == check.name), None)
    return read(one, tested(w, check)) if one is not None and one.state else None


def stored_text(w: World, check: Check) -> str:
    """The state as it stands in the status; "" before there is one."""
    return next((one.state for one in w.status.sequential if one.name == check.name), "")


def read(one: SequentialStatus, setting: Setting) -> State | None:
    """A stored state; None where it is none of this setting. The text is read once, or never where it was written here."""
    if one.state not in one.read:
        try:
            one.read[one.state] = State.from_json(one.state, setting)
        except ValueError:
            one.read[one.state] = None
    found: State | None = one.read[one.state]
    return found


# What came out.


def counted(w: World) -> Tally | None:
    """All sequential checks with this look's samples; None where none acts. Read once a look: what follows carries it on."""
    checks, pairs = watched(w), watched_gauges(w)
    if not checks and not pairs:
        return None
    return w.measured.once(("sequential",), lambda: _tally(w, checks, pairs))


def _tally(w: World, checks: Collection[Check], pairs: Collection[Check]) -> Tally:
    found = first_reached(w, tuple([_count(w, check) for check in checks]))
    window = w.stage_status.window or WindowStatus(opened_at=w.stage_status.shifted_at, last_sample=w.now)
    together = _together(w, found)
    statuses = {one.check.name: _numbers(w, one, together, window) for one in found}
    cause = None
    if together is not None and together.reached:
        one = next(one for one in found if one.check.name == together.cause)
        cause = _judged(w, one, together, window)
        statuses[cause.name] = cause
    looked = tuple(gauges.look(w, check, marks_in(w, check), stored_text(w, check)) for check in pairs)
    before = w.stage_status.checks
    statuses |= {one.check.name: gauges.so_far(w.plan, one, window, polls.polled(before, one.check.name)) for one in looked}
    asks = [one.check.name for one in found if alerting(w, one)] + [one.check.name for one in looked if gauges.alerting(one)]
    return Tally(found, statuses, cause, statuses[asks[0]] if asks else None, looked)


def alerting(w: World, one: Look) -> bool:
    """Whether its objective is broken beyond doubt, whoever's fault that is."""
    return not one.check.observe and library.ln_alert(one.state) >= -math.log(w.plan.analysis.alpha)


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
    setting, before, marks, scrapes = tested(w, check), stored(w, check), marks_in(w, check), what_is_tested(w.plan).scrapes
    found = samples.of(w.subject, w.observed, w.measured, check, shared=_shared(w, check))
    if found is None or found.fault:
        return Look(check, before) if found is None else Look(check, before, found.fault, found.detail)
    state, fault, detail = before, "", ""
    if state is None:
        begun = library.begin(setting, found.arms, marks[0].since, scrapes, samples.past(w.measured, check))
        state, fault, detail = begun.state, begun.fault, begun.detail
    if state is None:
        return Look(check, None, fault, detail)
    after = library.advance(setting, state, found.arms, marks, scrapes)
    return Look(check, after.state, after.fault, after.detail, after.steps)


def _together(w: World, found: Collection[Look]) -> combine.ReleaseEvidence | None:
    """All acting checks against the one bound; None where every check only observes."""
    weights = what_is_tested(w.plan).weights
    parts = [
        Weighted(one.check.name, weights[one.check.name], library.ln_e(tested(w, one.check), one.state))
        for one in found
        if one.check.name in weights
    ]
    return combine.release_evidence(parts, w.plan.analysis.alpha) if parts else None


def _evidence(w: World, one: Look, together: combine.ReleaseEvidence | None) -> combine.ReleaseEvidence:
    """What decides about a check: the evidence of all that act (`_together`); its own where it only observes."""
    if together is not None and not one.check.observe:
        return together
    alone = Weighted(one.check.name, 1.0, library.ln_e(tested(w, one.check), one.state))
    return combine.release_evidence([alone], w.plan.analysis.alpha)


def _numbers(w: World, one: Look, together: combine.ReleaseEvidence | None, window: WindowStatus) -> CheckStatus:
    """The check's numbers so far, without an answer."""
    evidence = _evidence(w, one, together)
    numbers: dict[str, object] = {"ln_e": evidence.ln_e, "ln_bound": evidence.ln_bound, "polled_at": window.last_sample}
    numbers["earlier_stages"] = w.status.stage > 0 and not is_home(w)
    rates = library.rates(tested(w, one.check), one.state) if one.state is not None and one.state.lines else None
    numbers |= judging.shown(rates)
    alert, early = library.ln_alert(one.state), library.ln_early(one.state)
    if math.isfinite(alert):
        numbers["ln_alert"] = alert
    if math.isfinite(early):
        numbers |= {"ln_early": early, "ln_early_bound": what_is_tested(w.plan).ln_early_bound}
    if one.state is not None and not evidence.reached and alerting(w, one):
        numbers["failing_since"] = library.alerting_since(one.state)
    return CheckStatus(name=one.check.name).model_copy(update=numbers)


def _judged(
    w: World, one: Look, together: combine.ReleaseEvidence | None, window: WindowStatus, missing: str = "", *, proven: bool = False
) -> CheckStatus:
    """The check's answer as if the window ended now. With `proven` the margin says what requests and scrapes say otherwise."""
    check, weight = one.check, what_is_tested(w.plan).weights.get(one.check.name, 1.0)
    judged = Window(window.opened_at, window.last_sample)
    saw = library.seen(check.name, tested(w, check), one.state, weight=weight, window=judged, missing=missing or one.fault)
    needed, scrapes = (0.0, 0.0) if proven else (saw.needed, saw.scrapes)
    saw = replace(saw, needed=max(needed, w.stage.min_requests, check.needed_requests), scrapes=scrapes)
    verdict = combine.conclude(saw, _evidence(w, one, together))
    so_far = _numbers(w, one, together, window)
    if verdict.reason == reasons.WORSE_UNPROVEN and one.state is not None:
        guarded = one.state.setting(tested(w, check))
        so_far = so_far.model_copy(update=judging.shown(library.rates(guarded, one.state, passing.worst(guarded, one.state))))
    detail = _detail(verdict, one, so_far)[: readings.DETAIL_LENGTH]
    update: dict[str, object] = {"outcome": verdict.outcome, "reason": verdict.reason, "detail": detail}
    if verdict.outcome is Outcome.FAIL:
        update["failing_since"] = saw.since or 0.0
    return so_far.model_copy(update=update)


def _detail(verdict: Verdict, one: Look, so_far: CheckStatus) -> str:
    """What an answer lacks, in words; empty for one that lacks nothing."""
    if verdict.reason == reasons.TOO_FEW_REQUESTS:
        n, needed = verdict.n or 0, verdict.detail["needed"]
        return f"{n:,.0f} of {many(needed, 'request')} of green" if math.isfinite(needed) else "the tolerance allows the effect"
    if verdict.reason == reasons.WORSE_UNPROVEN:
        return sentences.numbers(so_far)
    if verdict.reason == reasons.TOO_FEW_SAMPLES:
        return scrapes_shown(verdict)
    return one.detail if verdict.outcome is Outcome.INCONCLUSIVE else ""


def written(status: ReleaseStatus, tally: Tally) -> ReleaseStatus:
    """The status with the states, and with the numbers so far where the stage (or the return) has no verdict yet."""
    states = stated(status, tally.states)
    update: dict[str, object] = {"sequential": states} if states != status.sequential else {}
    stage = homeward.begun(status) if status.returned_at else status.stages[status.stage]
    if stage.verdict is None and not stage.skipped:
        others = [check for check in stage.checks if check.name not in tally.statuses]
        checks = [*others, *tally.statuses.values()]
        if checks != stage.checks:
            update |= _in_place(status, stage.model_copy(update={"checks": checks}))
    return status.model_copy(update=update) if update else status


def stated(status: ReleaseStatus, states: Mapping[str, State | GaugeState]) -> list[SequentialStatus]:
    """The states with these in the place of those before, which stay where they are the same, or were not looked at."""
    known = {one.name: one for one in status.sequential}
    for name, state in states.items():
        before = known.get(name)
        if before is None or before.read.get(before.state) is not state:
            known[name] = _in_words(name, state)
    return list(known.values())


def _in_words(name: str, state: State | GaugeState) -> SequentialStatus:
    text = state.to_json() if isinstance(state, State) else gauges.text_of(state)
    one = SequentialStatus(name=name, state=text)
    one.read[text] = state
    return one


def _in_place(status: ReleaseStatus, stage: StageStatus) -> dict[str, object]:
    if status.returned_at:
        return {"returning": stage}
    return {"stages": [*status.stages[: status.stage], stage, *status.stages[status.stage + 1 :]]}


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
    answers, bound = at_window_end(w, window), what_is_tested(w.plan).ln_early_bound
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
    found, together = {}, _together(w, tally.checks)
    for one in tally.checks:
        stale = reasons.STALE_SAMPLE if one.state is not None and one.state.cursor.until < late else ""
        found[one.check.name] = _judged(w, one, together, window, one.fault or stale, proven=window.ran < w.stage.window)
    for gauge in tally.gauges if w.stage.weight < FULL else ():
        found[gauge.check.name] = gauges.judged(w.plan, gauge, window, polls.polled(w.stage_status.checks, gauge.check.name))
    return found
