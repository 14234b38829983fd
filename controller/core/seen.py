"""What the measurements of this look say about the release: the questions that the phases ask of them.

The phases speak of settled, advanced, fired, quiet; `traffic` and `judging` know how that is read off
the answers. Nothing here moves a phase.
"""

import math
from dataclasses import dataclass, replace

from analysis import threshold
from analysis.model import Arm, Outcome
from controller.api.plan import TrafficMetrics
from controller.api.plan_checks import Trigger
from controller.api.release import CheckStatus, Phase, ReleaseStatus, WindowStatus
from controller.core import arms, asking, judging, needs, polls, readings, reasons, rhythm, samples, sequential, settling, traffic
from controller.core.marks import is_home
from controller.core.phases import FULL
from controller.core.settling import SplitVerdict
from controller.core.steps import CHECKPOINT_EARLY_SECONDS, CHECKPOINT_SECONDS, POLL_SECONDS, World
from controller.core.traffic import Quiet


@dataclass(frozen=True, slots=True)
class WindowVerdict:
    """The answer over all checks of a complete window.

    Attributes:
        pending: the checks were not asked yet.
        confirming: a check failed, and its rule wants to see it fail again.
        then: what follows when the hold for data reaches its deadline.
        deadline: how long the plan wants to hold for data, seconds; None for the usual time.
        baseline: blue's numbers, to be remembered for the stage without blue.
    """

    outcome: Outcome
    reason: str = ""
    detail: str = ""
    pending: bool = False
    confirming: bool = False
    then: str = "rollback"
    deadline: float | None = None
    cause: CheckStatus | None = None
    checks: tuple[CheckStatus, ...] = ()
    baseline: tuple[CheckStatus, ...] = ()
    queries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Watch:
    """What the triggers say.

    Attributes:
        status: with the triggers' new statuses.
        fired: the one that caused it; None where nothing fired.
        next_at: when the next one is due, Unix seconds.
        alert: a check that may not go back but asks for a person; None where none does.
        also: those that fired together with it.
    """

    status: ReleaseStatus
    fired: CheckStatus | None = None
    reason: str = ""
    detail: str = ""
    next_at: float | None = None
    also: tuple[CheckStatus, ...] = ()
    alert: CheckStatus | None = None


def read_traffic(w: World) -> traffic.Traffic | None:
    """Both colours' requests; None where they were not asked."""
    if asking.TRAFFIC not in w.measured.answers:
        return None
    naming = asking.naming_of(w.subject, w.observed, domain=w.observed.domain)

    def read() -> traffic.Traffic:
        pairs = asking.traffic_places(w.plan, naming, w.observed.routed)
        mesh = asking.mesh_of(w.subject, w.observed.cluster)
        return samples.requests(w.measured, pairs, mesh)

    # Of one look only the naming differs: after the return of `finish: home` blue and green are asked about the other way round.
    return w.measured.once((asking.TRAFFIC, naming), read)


def why_unread(w: World) -> str:
    """Why nothing can be read off the traffic query, a sentence without its full stop; empty where something can, or it was not asked."""
    found = read_traffic(w)
    return reasons.say(found.fault, found.detail).rstrip(".") if found is not None and found.fault else ""


def why_blind(w: World) -> str:
    """What is wrong with the answer to the traffic query, a sentence without its full stop; empty where it has what is waited for."""
    found = read_traffic(w)
    if found is None or found.fault:
        return why_unread(w)
    empty = [name for name, arm in zip(awaited(w), (found.green, found.blue), strict=False) if arm.newest == -math.inf]
    return f"the answer has no sample of {' and '.join(empty[::-1])} that can be counted" if empty else ""


def clocks_differ(w: World) -> bool:
    """Whether Prometheus's clock is not ours: then it is not known either how long no sample came."""
    found = read_traffic(w)
    return found is not None and found.fault == reasons.CLOCK_SKEW


def awaited(w: World) -> tuple[str, ...]:
    """Whose samples a window runs on: green's, which after a return is the original, and below 100 % blue's, too."""
    judged = "the original" if is_home(w) else "green"
    return (judged,) if w.stage.weight >= FULL else (judged, "blue")


def split(w: World) -> SplitVerdict:
    """Whether the observed split is the granted one."""
    stage = w.stage_status
    if w.plan.traffic.metrics is TrafficMetrics.NONE:
        due = stage.shifted_at + w.plan.settle.time
        return SplitVerdict(settled=w.now >= due, at=w.now, why=f"{max(0.0, due - w.now):.0f} s of the settle time are left")
    seen = read_traffic(w)
    if seen is None:
        return SplitVerdict(settled=False, why="asks for the split")
    wanted = settling.Split(
        since=stage.shifted_at,
        percent=w.stage.weight,
        min_requests=w.plan.settle.min_requests,
        bypass=w.plan.traffic.bypassed,
        beside=w.status.blue_elsewhere,
        scrape_interval=w.plan.traffic.scrape_interval,
        reporter=w.plan.traffic.reporter,
    )
    return settling.settled(seen, wanted)


def advanced(w: World) -> WindowStatus:
    """The window as far as the samples reach."""
    window = w.stage_status.window
    assert window is not None  # noqa: S101 - only called with a window
    if w.plan.traffic.metrics is TrafficMetrics.NONE:
        return by_clock(w, window)
    seen = read_traffic(w)
    if seen is None:
        return window
    return traffic.advance_window(window, seen, scrape_interval=w.plan.traffic.scrape_interval, needs_blue="blue" in awaited(w))


def by_clock(w: World, window: WindowStatus) -> WindowStatus:
    """Without traffic metrics the window runs by our clock, at most three scrapes a look: a jump cannot end it."""
    start = max(window.last_sample, window.opened_at)
    if w.now <= start:
        return window
    longest = traffic.GAP_SCRAPES * max(w.plan.traffic.scrape_interval, POLL_SECONDS)
    return window.model_copy(update={"last_sample": w.now, "ran": window.ran + min(w.now - start, longest)})


def verdict(w: World) -> WindowVerdict:
    """All checks of this stage, judged over its window."""
    window = w.stage_status.window
    assert window is not None  # noqa: S101 - only called with a window
    if w.subject.spec.kind == "reverse":
        return WindowVerdict(Outcome.PASS, detail="a reverse release is watched by the triggers alone")
    checks = asking.checks_of(w.plan, w.stage)
    gates = {asking.gate_key(name, Arm.CANDIDATE) for check in asking.gates_of(w.plan, w.stage) for name in asking.gate_names(check)}
    # A question that cannot be put (a parameter without a value) is none that an answer is waited for: its check is inconclusive.
    if any(ask.key in gates and ask.key not in w.measured.answers for ask in needs.asks(w)):
        return WindowVerdict(Outcome.INCONCLUSIVE, pending=True)
    found = {check.name: samples.unusable(w.subject, w.observed, w.measured, check) for check in checks}
    broken = {name: reading for name, reading in found.items() if reading is not None}
    around = replace(context(w), sequential=sequential.at_window_end(w, window), unusable=broken)
    answer = judging.judge_stage(checks, window, w.measured, w.stage_status.checks, around)
    return WindowVerdict(
        outcome=answer.outcome,
        reason=answer.reason,
        detail=answer.detail,
        confirming=answer.confirming,
        then=answer.then,
        deadline=answer.deadline,
        cause=answer.cause,
        checks=answer.checks,
        baseline=tuple(judging.baseline_of(answer.checks, w.status.baseline)),
        queries=_judged_by(w),
    )


def _judged_by(w: World) -> tuple[str, ...]:
    """What was asked for a window's verdict; the traffic query where a sequential check counts its samples."""
    shared = {asking.TRAFFIC} if any(one.shared for one in sequential.due(w)) else set()
    return tuple(ask.query for ask in needs.asks(w) if ask.key in shared or ask.key.startswith(("gate/", "ticks/", "pairs/")))


def context(w: World) -> readings.Context:
    """What a judgement knows beside the answers."""
    return readings.Context(
        now=w.now,
        scrape_interval=w.plan.traffic.scrape_interval,
        min_requests=w.stage.min_requests,
        counted=w.plan.traffic.metrics is TrafficMetrics.ISTIO,
        blue_serves=arms.blue_serves(w.status),
        switched_at=arms.switched_at(w.status),
        since=polls.watched_since(w.plan, w.status, w.now),
        baseline=w.status.baseline,
        traffic=read_traffic(w),
    )


def watch(w: World) -> Watch:
    """Triggers and sequential checks as far as they were asked in this look, and whether one demands a rollback."""
    found = watch_triggers(w)
    counted = sequential.counted(w.at_home)
    if counted is None:
        return found
    status = sequential.written(found.status, counted)
    next_at = min(t for t in (found.next_at, w.now + look_again(w)) if t is not None)
    if found.fired is None and counted.cause is not None:
        return Watch(status, counted.cause, reasons.EVIDENCE_AGAINST, judging.explain(counted.cause), next_at)
    return replace(found, status=status, next_at=next_at, alert=counted.alert)


def watch_triggers(w: World) -> Watch:
    """The triggers alone."""
    if w.subject.plan is None or w.status.stage < 0 or not w.at_home.status.weight:
        return Watch(w.status)
    home = w.at_home
    around = replace(context(home), unusable=samples.behind_triggers(w.measured, w.plan.triggers))
    after = [judge_one(w, trigger, around, counts_of(home, trigger, around)) for trigger in w.plan.triggers]
    status = w.status.model_copy(update={"triggers": after}) if after != w.status.triggers else w.status
    next_at = polls.next_poll(w.plan, status, w.subject.uid, w.now)
    fired = judging.fired(w.plan.triggers, after, w.plan.groups)
    if fired is None:
        return Watch(status, next_at=next_at)
    return Watch(status, fired.cause, fired.reason, fired.detail, next_at, fired.also)


def counts_of(w: World, trigger: Trigger, around: readings.Context) -> readings.Counts | None:
    """What one trigger has counted in this look; None where it is not polled in it, or asks a query of its own."""
    if not asking.is_counted(w.plan, trigger, w.observed.routed) or not needs.watching(w):
        return None
    if not polls.is_due(trigger, polls.polled(w.status.triggers, trigger.name).polled_at, w.subject.uid, w.now):
        return None
    return samples.failures(w.subject, w.observed, w.measured, trigger, around)


def judge_one(w: World, trigger: Trigger, around: readings.Context, counts: readings.Counts | None) -> CheckStatus:
    """One trigger's new status, with the beginning of its streak: time to detect is counted from there."""
    before = polls.polled(w.status.triggers, trigger.name)
    after = judging.judge_trigger(trigger, w.measured, before, around, counts)
    since = judging.failing_since(before, after, trigger.repeat, w.now)
    return after if since == after.failing_since else after.model_copy(update={"failing_since": since})


def queries_of(w: World, cause: CheckStatus, *also: CheckStatus) -> tuple[str, ...]:
    """What was asked for a sequential check, or for triggers that fired (together): a rollback's record shows it."""
    if cause.ln_bound is not None:
        own = asking.ticks_key(cause.name)
        asks = needs.asks(w)
        return tuple(ask.query for ask in asks if ask.key == own or ask.key.startswith(f"{own}/")) or tuple(
            ask.query for ask in asks if ask.key == asking.TRAFFIC
        )
    asks = needs.asks(w)
    if also:  # not each of them was due in this very look
        all_due = replace(w.subject, status=w.status.model_copy(update={"triggers": []}))
        asks = needs.asks(World(all_due, w.observed, w.now))
    counted = {trigger.name for trigger in w.plan.triggers if asking.is_counted(w.plan, trigger, w.observed.routed)}
    keys = [(f"trigger/{one.name}/", asking.TRAFFIC if one.name in counted else None) for one in (cause, *also)]
    asked = (ask.query or ask.url for own, shared in keys for ask in asks if ask.key == shared or ask.key.startswith(own))
    return tuple(dict.fromkeys(asked))


def no_traffic(w: World) -> bool | None:
    """Whether green gets no requests any more; None where nobody can say. Without traffic metrics the drain time must do."""
    return _known(_quiet(w, _back_since(w), "green"))


def why_not_quiet(w: World) -> str:
    """What keeps anybody from saying that green gets no requests any more: the samples that are missing, or the requests."""
    found = _quiet(w, _back_since(w), "green")
    return found.why if found is not None else "nobody was asked yet"


def _back_since(w: World) -> float:
    return w.status.rollback.traffic_at if w.status.rollback else w.status.phase_since


def reached(w: World) -> bool:
    """Whether requests of the newest drain time reached green. One that never had a weight can get some where a route is not there."""
    seen = read_traffic(w)
    return seen is not None and traffic.reached(seen, seconds=w.plan.rollback.drain)


def quiet_old(w: World) -> bool | None:
    """After success: whether the old version gets no requests any more."""
    return _known(_quiet(w, w.status.phase_since, "blue"))


def old_drains(w: World) -> bool:
    """After success: whether the samples that will tell whether the old version gets requests are still to come."""
    found = _quiet(w, w.status.phase_since, "blue")
    return found is not None and found.early


def quiet_clone(w: World) -> bool | None:
    """`finish: home`: whether the clone gets no requests any more since the return."""
    return _known(_quiet(w.at_home, w.status.returned_at, "blue"))


def _known(answer: Quiet | None) -> bool | None:
    return answer.quiet if answer is not None and answer.known else None


def _quiet(w: World, since: float, colour: str) -> Quiet | None:
    """What the samples say; None where they were not asked for. Without traffic metrics the drain time must do."""
    if w.plan.traffic.metrics is TrafficMetrics.NONE:
        return Quiet(quiet=True, known=True, why="")
    seen = read_traffic(w)
    if seen is None:
        return None
    return traffic.quiet(seen, since=since, drain=w.plan.rollback.drain, scrape_interval=w.plan.traffic.scrape_interval, colour=colour)


def failing_probes(w: World, colour: str = "green") -> str:
    """Which health probes of a colour do not pass, in words; empty where all do, or none was asked."""
    failing = []
    for member in w.plan.all_members:
        if member.probe is None:
            continue
        mine = w.measured.answers.get(asking.probe_key(member.name, colour))
        other = w.measured.answers.get(asking.probe_key(member.name, "blue"))
        if mine is None or mine.probe is None or mine.probe.ok:
            continue
        both = colour == "green" and other is not None and other.probe is not None and not other.probe.ok
        where = f"{member.name}{member.probe.path}: {mine.probe.message}"
        failing.append(reasons.say(reasons.PROBE_FAILED_BOTH, where) if both else f"probe of {colour} {where}")
    return "; ".join(failing)


def look_again(w: World) -> float:
    """Seconds until another look is worth it where nothing is due at a known time."""
    return max(0.2, min(POLL_SECONDS, w.plan.traffic.scrape_interval)) if w.subject.plan is not None else POLL_SECONDS


def checkpoint_due(w: World, status: ReleaseStatus) -> bool:
    """Whether progress that nobody needs at once is written now (design, Records).

    What is overdue, because nobody looked for a while, waits for this release's place in the minute: a controller that
    starts again finds it overdue for all its releases, and polls come first. A preparation may wait for the same thing for long: what
    it waits for is known from an earlier look, and still to be written.
    """
    if status is w.status and w.status.phase is not Phase.PREPARING:
        return False
    uid, last = w.subject.uid, w.status.checkpoint_at
    overdue = w.now - rhythm.free_after(uid, last, CHECKPOINT_SECONDS) + CHECKPOINT_EARLY_SECONDS
    on_time = 0 <= overdue <= POLL_SECONDS + CHECKPOINT_EARLY_SECONDS
    in_place = overdue >= 0 and rhythm.since_place(uid, w.now, CHECKPOINT_SECONDS) <= POLL_SECONDS
    return on_time or in_place or w.now < last


def worth_writing(w: World, after: ReleaseStatus) -> bool:
    """Whether a streak or an outcome changed: what a restart must not forget. Passing polls are not worth a write."""
    if after.triggers is w.status.triggers:
        return False
    was, now = ({status.name: status for status in one.triggers} for one in (w.status, after))
    blank = CheckStatus(name="")
    pairs = [(trigger, was.get(trigger.name, blank), now.get(trigger.name, blank)) for trigger in w.plan.triggers]
    return any(one is not other and streak(trigger, one) != streak(trigger, other) for trigger, one, other in pairs)


def streak(trigger: Trigger, status: CheckStatus) -> tuple[Outcome | None, str, bool]:
    """The outcome, and as much of the history as the trigger's rule looks at, where there is a failure in it."""
    rule = polls.rule_of(trigger.repeat)
    tail = threshold.decisive(status.recent)[-(rule.of or rule.consecutive) :]
    return status.outcome, tail if "f" in tail else "", status.armed
