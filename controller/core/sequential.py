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
from functools import lru_cache

from analysis import bursts, combine
from analysis import sequential as library
from analysis.combine import Weighted
from analysis.model import Outcome, Verdict, Window
from analysis.sequential import Kind, Setting, State
from controller.api.plan import TrafficMetrics
from controller.api.plan_checks import BuiltIn, Check
from controller.api.release import CheckStatus, Phase, ReleaseStatus, SequentialStatus, StageStatus, WindowStatus
from controller.core import asking, gauges, homeward, judging, reasons, samples
from controller.core.asking import Counting
from controller.core.gauges import GaugeLook
from controller.core.marks import is_home, marked, marks_in
from controller.core.phases import WATCHED
from controller.core.queries import member_of
from controller.core.steps import World
from controller.core.tested import (
    FULL,
    PATIENCE_SCRAPES,
    early_stages,
    gauge_test,
    home_setting,
    ln_early_bound,
    measured_of,
    scrapes_of,
    setting_of,
    shares,
)

__all__ = [
    "FULL", "Look", "Tally", "at_window_end", "counted", "due", "early_stages", "edges_of", "further_back",
    "ln_early_bound", "measured_of", "proven", "scrapes_of", "setting_of", "shares", "stored", "written",
]  # fmt: skip

STATES_KEPT = 1024
"""States that are remembered as they were parsed: the same one is read several times a look."""

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
    def texts(self) -> dict[str, str]:
        """All states as they are stored, by name."""
        found = {one.check.name: one.state.to_json() for one in self.checks if one.state is not None}
        return found | {one.check.name: gauges.text_of(one.state) for one in self.gauges}


# What is asked.


def tested(w: World, check: Check) -> Setting:
    """What the check tests here; put into words once a look, which has a single plan."""
    home = is_home(w)

    def read() -> Setting:
        setting = setting_of(w.plan, check)
        return home_setting(setting) if home else setting

    return w.measured.once(("tested", check.name, home), read)


def watched(w: World) -> tuple[Check, ...]:
    """The sequential checks that act now: from the first weight on, whenever green may have traffic; in a return seen from home alone.

    None in a reverse release: it has no stage in which both versions have traffic, and what hits both is often why somebody asked for it.
    """
    checks = tuple([check for check in w.plan.checks if check.sequential]) if w.subject.plan is not None else ()
    return checks if checks and _watching(w) else ()


def watched_gauges(w: World) -> tuple[Check, ...]:
    """The gauges that are paired now: as `watched`, where their history is known, but not after a return: nobody is at the clone."""
    checks = tuple([check for check in w.plan.checks if gauge_test(w.plan, check) is not None]) if w.subject.plan is not None else ()
    return checks if checks and _watching(w) and not is_home(w) else ()


def _watching(w: World) -> bool:
    status = w.status
    if w.subject.spec.kind == "reverse" or status.stage < 0 or not status.weight or not marked(status):
        return False
    if status.phase not in WATCHED or w.standing is Phase.RETURNING or status.rollback is not None:
        return False
    # After a failed return the states are still those of the return.
    return is_home(w) or not homeward.begun(status).shifted_at


def due(w: World) -> tuple[Counting, ...]:
    """What is counted in this look, from a few scrapes before the last counted sample on: a difference needs the one before."""
    checks = watched(w)
    back = scrapes_of(w.plan).look_back if checks else 0.0
    return tuple(_counting(w, check, stored(w, check), back) for check in checks)


def _counting(w: World, check: Check, state: State | None, back: float) -> Counting:
    """From the last counted sample on; without one from the first weight, and from before that where blue's bursts are to be seen."""
    if state is not None:
        return Counting(check, state.cursor.until - back, shared=_shared(w, check), edges=edges_of(state))
    setting = tested(w, check)
    history = bursts.SECONDS if setting.assumed and setting.kind is Kind.ERRORS else 0.0
    return Counting(check, marks_in(w, check)[0].since - max(back, history), shared=_shared(w, check))


def edges_of(state: State | None) -> tuple[float, ...]:
    """The bucket edges that a latency check has chosen; none before it has a state, nor of another check."""
    return tuple(line.edge for line in state.lines if math.isfinite(line.edge)) if state is not None else ()


def paired(w: World) -> tuple[tuple[Check, float], ...]:
    """The gauges that are asked in this look, and since when; none where blue has no requests to compare with."""
    found = watched_gauges(w) if asking.blue_serves(w.status) else ()
    return tuple((check, gauges.since_of(stored_text(w, check), marks_in(w, check))) for check in found)


def further_back(w: World, since: float | None, counting: Collection[Counting]) -> float | None:
    """Since when the traffic query must have samples: `since`, or earlier where a check counts from there."""
    # The query itself reaches three scrapes further back than it is told.
    reach = 3 * w.plan.traffic.scrape_interval if counting else 0.0
    times = [one.since + reach for one in counting if one.shared]
    return min([*times, *([since] if since is not None else [])], default=None)


def _shared(w: World, check: Check) -> bool:
    if check.builtin is not BuiltIn.ERROR_RATE or check.provider or w.plan.traffic.metrics is TrafficMetrics.NONE:
        return False
    return not w.observed.routed or member_of(w.plan, check.member).name in w.observed.routed


def stored(w: World, check: Check) -> State | None:
    """The state in the status; None before there is one, and where somebody's edit made it unreadable: it begins again."""
    text = stored_text(w, check)
    return read(text, tested(w, check)) if text else None


def stored_text(w: World, check: Check) -> str:
    """The state as it stands in the status; "" before there is one."""
    return next((one.state for one in w.status.sequential if one.name == check.name), "")


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
    checks, pairs = watched(w), watched_gauges(w)
    if not checks and not pairs:
        return None
    return w.measured.once(("sequential",), lambda: _tally(w, checks, pairs))


def _tally(w: World, checks: Collection[Check], pairs: Collection[Check]) -> Tally:
    found = first_reached(w, tuple(_count(w, check) for check in checks))
    window = w.stage_status.window or WindowStatus(opened_at=w.stage_status.shifted_at, last_sample=w.now)
    together = _together(w, found)
    statuses = {one.check.name: _running(_judged(w, one, together, window)) for one in found}
    cause = None
    if together is not None and together.reached:
        one = next(one for one in found if one.check.name == together.cause)
        cause = _judged(w, one, together, window)
        statuses[cause.name] = cause
    looked = tuple(gauges.look(w, check, marks_in(w, check), stored_text(w, check)) for check in pairs)
    before = w.stage_status.checks
    statuses |= {one.check.name: _running(gauges.judged(w.plan, one, window, asking.polled(before, one.check.name))) for one in looked}
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
    setting, before, marks = tested(w, check), stored(w, check), marks_in(w, check)
    found = samples.of(w.subject, w.observed, w.measured, check, shared=_shared(w, check))
    if found is None or found.fault:
        return Look(check, before) if found is None else Look(check, before, found.fault, found.detail)
    state, fault, detail = before, "", ""
    if state is None:
        begun = library.begin(setting, found.arms, marks[0].since, scrapes_of(w.plan))
        state, fault, detail = begun.state, begun.fault, begun.detail
    if state is None:
        return Look(check, None, fault, detail)
    after = library.advance(setting, state, found.arms, marks, scrapes_of(w.plan))
    return Look(check, after.state, after.fault, after.detail, after.steps)


def _together(w: World, found: Collection[Look]) -> combine.ReleaseEvidence | None:
    """All acting checks against the one bound; None where every check only observes."""
    weights = shares(w.plan)
    parts = [
        Weighted(one.check.name, weights[one.check.name], library.ln_e(tested(w, one.check), one.state))
        for one in found
        if one.check.name in weights
    ]
    return combine.release_evidence(parts, w.plan.analysis.alpha) if parts else None


def _judged(
    w: World, one: Look, together: combine.ReleaseEvidence | None, window: WindowStatus, missing: str = "", *, proven: bool = False
) -> CheckStatus:
    """The check's answer as if the window ended now, beside the evidence of all that act (`_together`).

    With `proven` the margin says what the number of requests says otherwise.
    """
    check, setting = one.check, tested(w, one.check)
    weight = shares(w.plan).get(check.name, 1.0)
    saw = library.seen(
        check.name, setting, one.state, weight=weight, window=Window(window.opened_at, window.last_sample), missing=missing or one.fault
    )
    saw = replace(saw, needed=max(0 if proven else saw.needed, w.stage.min_requests, check.needed_requests))
    evidence = together if not check.observe else None
    if evidence is None:
        evidence = combine.release_evidence([Weighted(check.name, 1.0, saw.ln_e)], w.plan.analysis.alpha)
    status = _status(check, combine.conclude(saw, evidence), one, window, limit=saw.limit)
    shown = {"ln_alert": library.ln_alert(one.state), "ln_early": library.ln_early(one.state)}
    update = {name: value for name, value in shown.items() if math.isfinite(value)}
    if "ln_early" in update:
        update["ln_early_bound"] = ln_early_bound(w.plan)
    if one.state is not None and status.outcome is not Outcome.FAIL and alerting(w, one):
        update["failing_since"] = library.alerting_since(one.state)
    return status.model_copy(update=update) if update else status


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
    since = 0.0 if status.outcome is Outcome.FAIL else status.failing_since
    return status.model_copy(update={"outcome": None, "reason": "", "detail": "", "failing_since": since})


def written(status: ReleaseStatus, tally: Tally) -> ReleaseStatus:
    """The status with the states, and with the numbers so far where the stage (or the return) has no verdict yet."""
    states = stated(status, tally.texts)
    update: dict[str, object] = {"sequential": states} if states != status.sequential else {}
    stage = homeward.begun(status) if status.returned_at else status.stages[status.stage]
    if stage.verdict is None and not stage.skipped:
        others = [check for check in stage.checks if check.name not in tally.statuses]
        checks = [*others, *tally.statuses.values()]
        if checks != stage.checks:
            update |= _in_place(status, stage.model_copy(update={"checks": checks}))
    return status.model_copy(update=update) if update else status


def stated(status: ReleaseStatus, texts: dict[str, str]) -> list[SequentialStatus]:
    """The states with these in the place of those before; those of checks that were not looked at stay."""
    known = {one.name: one.state for one in status.sequential} | texts
    return [SequentialStatus(name=name, state=text) for name, text in known.items()]


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
    found, together = {}, _together(w, tally.checks)
    for one in tally.checks:
        stale = reasons.STALE_SAMPLE if one.state is not None and one.state.cursor.until < late else ""
        found[one.check.name] = _judged(w, one, together, window, one.fault or stale, proven=window.ran < w.stage.window)
    for gauge in tally.gauges if w.stage.weight < FULL else ():
        found[gauge.check.name] = gauges.judged(w.plan, gauge, window, asking.polled(w.stage_status.checks, gauge.check.name))
    return found
