"""START of every decision: an ordered chain, from what must act at once to what may wait.

`decide` is pure. It looks at one snapshot and answers with the next status, the commands, and when to
look again. The order below is the product's order of importance: a rollback that is asked for or owed
comes before everything, then triggers, then foreign changes, then people's other wishes, then the next
step of the phase.
"""

from dataclasses import replace
from typing import assert_never

from controller.api.release import HoldStatus, Phase
from controller.core import (
    backward,
    beginning,
    breach,
    conditions,
    deletion,
    drift,
    finishing,
    forward,
    gates,
    homeward,
    missing,
    noticed,
    outage,
    preparing,
    queueing,
    readings,
    reasons,
    requests,
    returning,
    seen,
    teardown,
    trouble,
)
from controller.core.commands import AddFinalizer, ClaimRoutes, Decision, RecordKind, Subject
from controller.core.phases import BACKWARD, CHECKPOINTED, FINAL, WATCHED
from controller.core.sentences import explain
from controller.core.steps import World, halt, hold, moved, record, stored
from controller.core.world import Measured, Observed
from controller.times import rfc3339

EDITED_MEANWHILE = "it was edited, or Penstock was upgraded, in the moment in which this release kept it; start the release again"
"""A plan is kept under the hash that the status names, which is decided once: nobody has that plan any more."""


def decide(subject: Subject, observed: Observed, measured: Measured, now: float) -> Decision:
    """The next step of one release. Pure; raises only on defects of ours."""
    w = World(subject, observed, now, readings.of_one_clock(measured, now))
    return breach.guarded(w, next_step(w))


def concluded(w: World, epoch: int) -> Decision:
    """What one look comes to: the decision, with the conditions and whatever else follows from it in its status."""
    return _derived(w, decide(w.subject, w.observed, w.measured, w.now), epoch)


def concluded_refusal(w: World, code: int, sentence: str, epoch: int) -> Decision:
    """Likewise the decision after a command was refused, or our own look broke; nothing more is commanded until it is written down."""
    if code == trouble.UNTAKEN:
        return _derived(w, backward.untaken(w, decide(w.subject, w.observed, w.measured, w.now), sentence), epoch)
    until = w.status.hold.until if w.status.hold is not None and w.status.phase is Phase.HOLDING else None
    if code == trouble.OUR_DEFECT and until is not None and w.now >= until:
        # Every look breaks before it comes to the deadline: it is kept here, or green would stay unjudged for ever.
        return _derived(w, replace(hold_deadline(w), commands=()), epoch)
    return _derived(w, replace(trouble.refused(w, code, sentence), commands=()), epoch)


def _derived(w: World, decision: Decision, epoch: int) -> Decision:
    kept = beginning.with_made_again(w, decision.status) if decision.store else decision.status
    status = conditions.derive(w.subject, kept, w.observed, w.now, epoch)
    return decision if status is decision.status else replace(decision, status=status)


def next_step(w: World) -> Decision:
    """The first link of the chain that has something to do."""
    broken = trouble.damaged(w)
    if broken:
        return broken
    parting = finishing.parting(w)
    if parting:
        return parting
    if w.status.phase in FINAL:
        return finishing.finished(w)
    back_first = unusable(w) or asked_back(w) or deleted(w) or superseded(w) or _backward(w)
    if back_first:
        return back_first
    watched = seen.watch(w)
    asked = triggered(w, watched) or trouble.schema_old(w) or trouble.unreadable(w) or missing.answer(w) or outage.answer(w)
    asked = asked or drift.answer(w) or _requests(w) or alerted(w, watched)
    asked = asked or beginning.made_again(w)
    return held_on_to(w, outage.awake(w, asked or missing.kept(w, missing.stopped(w, step(w, watched)))))


def unusable(w: World) -> Decision | None:
    """Without any plan, live or frozen, nothing can be resolved: say so and touch nothing."""
    if w.subject.plan is not None and not w.observed.plan_lost:
        return None
    if w.subject.plan is not None and going_back(w):
        return None  # the live plan still says which routes and workloads these are
    if w.status.phase is Phase.QUEUED:
        problem = w.observed.plan_problem or (EDITED_MEANWHILE if w.observed.plan_found else "")
        word, detail = (reasons.PLAN_INVALID, problem) if problem else (reasons.PLAN_MISSING, w.subject.spec.plan)
        return stored(moved(w, Phase.REFUSED, word, detail), record(w, RecordKind.FINISHED, word, detail))
    if w.status.phase is Phase.HALTED:
        return Decision(status=w.status)
    frozen = f"the frozen plan {w.status.plan_hash} is gone"
    if w.subject.plan is None:
        return halt(w, reasons.PLAN_LOST, f"{frozen}, and there is no ReleasePlan {w.subject.spec.plan} that can be used")
    return halt(w, reasons.HALTED, f"{frozen}, the live plan differs, so that it serves for the way back alone")


def going_back(w: World) -> bool:
    """Whether the release is on its way back, or is asked to go there."""
    return w.status.phase in BACKWARD or w.asked_back


def asked_back(w: World) -> Decision | None:
    """A request for a rollback overtakes everything."""
    if w.rollback_requested:
        return requests.answer_first(w)
    return None


def deleted(w: World) -> Decision | None:
    """A deleted Release rolls back first; its finalizer goes when it has ended (S17)."""
    if not w.subject.deleted or w.status.phase in BACKWARD:
        return None
    if w.status.phase is Phase.HALTED and w.status.rollback:
        return deletion.let_go(w, w.status.rollback)
    return backward.abandon(w, reasons.RELEASE_DELETED)


def superseded(w: World) -> Decision | None:
    """A newer release takes this one's place: back first, in order."""
    if w.status.phase in BACKWARD or w.status.phase is Phase.QUEUED or w.status.rollback:
        return None
    rival = queueing.superseder(w)
    return backward.abandon(w, reasons.SUPERSEDED, rival.name) if rival else None


def _backward(w: World) -> Decision | None:
    if w.status.phase in BACKWARD:
        return requests.answer_first(w) or (backward.rolling_back(w) if w.status.phase is Phase.ROLLING_BACK else teardown.tearing_down(w))
    return None


def triggered(w: World, watch: seen.Watch) -> Decision | None:
    """Triggers act whenever green may have traffic, also while somebody is asked (rule 8)."""
    if w.status.phase not in WATCHED or w.status.stage < 0 or (w.status.rollback and w.status.phase is Phase.HALTED):
        return None
    if watch.fired is None or (backward.blue_gone(w) and (not w.status.without_blue or w.status.phase is Phase.HALTED)):
        return None  # with blue deleted there is nowhere to go: a share of failures is better than all (missing.answer halts)
    if gates.clone_empty(w) or (w.status.returned_at and (outage.waiting_for_pods(w) or outage.learning(w))):
        return None  # likewise; what becomes of an original without pods, outage.answer decides
    fired = w.with_status(watch.status)
    by_triggers = watch.reason in (reasons.TRIGGER_FIRED, reasons.TOGETHER_FIRED)
    if w.status.returned_at:
        return replace(returning.return_failed(fired, reasons.RETURN_FAILED, watch.detail), by_triggers=by_triggers)
    queries = seen.queries_of(w, watch.fired, *watch.also)
    back = backward.roll_back(fired, watch.reason, watch.detail, cause=watch.fired, beside=watch.also, queries=queries)
    return replace(missing.stopped(w, back), by_triggers=by_triggers)


def held_on_to(w: World, decision: Decision) -> Decision:
    """What somebody took off in mid-release is put back.

    Without the finalizer a deletion would leave users on green, and without our marks on the routes what was added there would stay.
    Beside a look that only waits; steps go first, so that somebody who takes it off again and again stops nothing.
    """
    if w.subject.deleted or w.status.phase is Phase.QUEUED or decision.store or decision.commands:
        return decision
    if not w.subject.finalizer:
        return replace(decision, commands=(AddFinalizer(),), again=True)
    return replace(decision, commands=(ClaimRoutes(),), again=True) if beginning.lost_marks(w) else decision


def _requests(w: World) -> Decision | None:
    return requests.answer_first(w)


def alerted(w: World, watch: seen.Watch) -> Decision | None:
    """Hold for a person where a check has its evidence and may not go back by itself; whoever asks goes first."""
    judged = requests.GATED | ({Phase.RETURNING} if w.status.returned_at else set())
    if watch.alert is None or w.standing not in judged or w.asks_person:
        return None
    since = watch.alert.failing_since
    detail = explain(watch.alert) + (f"; it grows since {rfc3339(since)}" if since else "")
    held = hold(w.with_status(watch.status), reasons.CHECK_ASKS, detail, phase=w.standing, waits_for="operator")
    named = held.status.hold.model_copy(update={"check": watch.alert.name}) if held.status.hold is not None else None
    return replace(held, status=held.status.model_copy(update={"hold": named}))


def step(w: World, watched: seen.Watch) -> Decision:
    """The phase's own next step, with what the triggers saw carried along."""
    looked_at, notes = noticed.watched(w, outage.arrived(w, watched.status))
    carried = w.with_status(looked_at)
    decision = phase_step(carried)
    checkpoint = seen.checkpoint_due(w, decision.status)
    arrived = carried.status.ready_at != w.status.ready_at and not w.names_person
    worth = decision.store or arrived or bool(notes) or (w.subject.plan is not None and seen.worth_writing(w, watched.status)) or checkpoint
    status = decision.status.model_copy(update={"checkpoint_at": w.now}) if worth and w.status.phase in CHECKPOINTED else decision.status
    wake = min((t for t in (decision.wake_at, watched.next_at) if t is not None), default=None)
    return Decision(
        status=status,
        commands=decision.commands,
        direction=decision.direction,
        store=worth,
        records=(*notes, *decision.records),
        wake_at=wake,
        again=decision.again,
    )


def phase_step(w: World) -> Decision:
    """One branch a phase."""
    match w.status.phase:
        case Phase.QUEUED:
            return queueing.queued(w)
        case Phase.PREPARING:
            return preparing.preparing(w)
        case Phase.SHIFTING:
            return forward.shifting(w)
        case Phase.MEASURING | Phase.BAKING:
            return forward.measuring(w)
        case Phase.HOLDING:
            return holding(w)
        case Phase.RETURNING:
            return returning.returning(w)
        case Phase.HALTED:
            return backward.halted(w)
        case Phase.ROLLING_BACK | Phase.TEARING_DOWN | Phase.SUCCEEDED | Phase.ROLLED_BACK | Phase.REFUSED:
            return Decision(status=w.status)  # decide() has taken these before
        case _:
            assert_never(w.status.phase)


def holding(w: World) -> Decision:
    """Wait for a person, or try the interrupted phase again: a hold for data ends by itself when there are data."""
    held = w.status.hold
    if held is None:
        return stored(moved(w, Phase.SHIFTING, reasons.SETTLING, "the reason of the hold was lost"))
    over, waits = held.until is not None and w.now >= held.until, outage.waiting_for_pods(w) or bool(w.observed.unreadable)
    if over and (waits or held.reason != reasons.NO_DATA or not held.tries_again):
        return hold_deadline(w)
    if not held.tries_again:
        return Decision(status=w.status, wake_at=held.until)
    if waits:
        return Decision(status=w.status, wake_at=min(t for t in (held.until, w.now + seen.look_again(w)) if t is not None))
    tried = phase_step(w.with_status(w.status.model_copy(update={"phase": held.phase})))
    if over and not data_are_back(w, held, tried):
        return hold_deadline(w)
    still = tried.status.phase is Phase.HOLDING and tried.status.reason == held.reason
    if still or (not tried.store and tried.status.phase is held.phase and not _moving_again(w, tried)):
        if still and tried.status.hold is not None:  # the same hold, with the numbers of now
            held = held.model_copy(update={"detail": tried.status.hold.detail, "message": tried.status.hold.message})
        status = tried.status.model_copy(
            update={
                "phase": Phase.HOLDING,
                "hold": held,
                "phase_since": w.status.phase_since,
                "phase_counter": w.status.phase_counter,
                "reason": held.reason,
                "message": held.message,
            }
        )
        until = min(t for t in (held.until, w.now + seen.look_again(w)) if t is not None)
        return Decision(status=status, commands=tried.commands, wake_at=until, again=False)
    if tried.status.phase is held.phase:
        back_to = moved(w, held.phase, tried.status.reason or reasons.MEASURING).model_copy(
            update={"stages": tried.status.stages, "returning": tried.status.returning, "message": tried.status.message}
        )
        return stored(back_to, *tried.records)  # a verdict that the first data after the hold complete has its record too
    return tried


def data_are_back(w: World, held: HoldStatus, tried: Decision) -> bool:
    """Whether the very look that finds the deadline of a hold without data over finds data, too.

    Nobody may have looked for a while, or the clock was set: green is not sent away for a time in which nobody asked.
    """
    settled = held.phase is Phase.SHIFTING and tried.status.phase in (Phase.MEASURING, Phase.BAKING)
    answered = held.phase is Phase.PREPARING and tried.status.phase is Phase.PREPARING and tried.store
    return settled or answered or (tried.status.phase is held.phase and _moving_again(w, tried))


def _moving_again(w: World, tried: Decision) -> bool:
    """The window has grown since the hold began: there are data again."""
    if w.status.stage < 0:
        return False
    if w.standing is Phase.RETURNING:
        before, after = homeward.begun(w.status).window, homeward.begun(tried.status).window
    else:
        before, after = w.stage_status.window, tried.status.stages[tried.status.stage].window
    return bool(before and after and after.last_sample > before.last_sample)


def hold_deadline(w: World) -> Decision:
    """What the plan says for a hold that lasted too long."""
    held = w.status.hold
    assert held is not None  # noqa: S101 - holding() has looked
    if held.phase is Phase.RETURNING and w.status.returned_at and held.then == "rollback":
        # Nobody could judge the original in time: the clone, which was judged, is the safe side.
        return returning.return_failed(w, reasons.RETURN_UNJUDGED, held.detail)
    if held.then == "halt":
        return halt(w, held.reason, held.detail)
    bare = "" if gates.deleted_blue(w) else teardown.bare_blue(w)  # what becomes of a deleted one, `missing` decides
    if held.then == "wait" or bare:
        again = held.model_copy(update={"until": None, "waits_for": "operator", "then": "wait"})
        entry = record(w, RecordKind.HOLD, reasons.HOLD_KEPT, bare) if bare else None
        return stored(w.status.model_copy(update={"hold": again}), *([entry] if entry else []))
    word = reasons.NO_DATA_DEADLINE if held.reason == reasons.NO_DATA else reasons.HOLD_DEADLINE
    return backward.roll_back(w, word, held.detail if word == reasons.NO_DATA_DEADLINE else held.message)
