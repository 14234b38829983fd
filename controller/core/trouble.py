"""What the cluster refuses: it stops this one release with a sentence, never the controller, and never silently.

A command that is refused (a missing right, an admission webhook, a foreign object in the way) will be
refused again; a person decides. Toward green the release holds with a deadline and tries again now and
then; on the way back nothing is given up, the sentence only says what is in the way.

A look that ended in a defect of ours is answered in the same way: nobody judges green meanwhile.
"""

from controller.api.release import Phase, ReleaseStatus, RollbackStatus, StageStatus
from controller.core import backward, deletion, finishing, gates, reasons
from controller.core.commands import Decision, RecordKind
from controller.core.phases import BACKWARD, FINAL, false_end
from controller.core.steps import DATA_DEADLINE_SECONDS, World, halt, hold, moved, record, saying, stored, wait

FORBIDDEN = 403
OUR_DEFECT = 0
"""In place of a server's code: it was our own look that broke."""
UNTAKEN = -1
"""Likewise: what the cluster did not take is the way back that this very look decided (`backward.untaken`)."""

RETRY_SECONDS = 5.0
JUDGED = {Phase.SHIFTING, Phase.MEASURING, Phase.BAKING}
IN_A_STAGE = JUDGED | {Phase.RETURNING}


def refused(w: World, code: int, sentence: str) -> Decision:
    """The decision after a command was refused, or after a look that ended in a defect of ours."""
    word = {FORBIDDEN: reasons.RIGHTS_MISSING, OUR_DEFECT: reasons.DEFECT}.get(code, reasons.ACTION_REFUSED)
    match w.status.phase:
        case Phase.SHIFTING | Phase.MEASURING | Phase.BAKING | Phase.RETURNING:
            # In the return nothing was said against either version: a person decides, and nobody is moved.
            then = "halt" if w.status.phase is Phase.RETURNING else "rollback"
            return hold(w, word, sentence, phase=w.status.phase, until=w.now + DATA_DEADLINE_SECONDS, then=then)
        case Phase.HALTED if code == OUR_DEFECT:
            return Decision(status=w.status, wake_at=w.now + RETRY_SECONDS)  # a person is asked already, and shall know what for
        case Phase.TEARING_DOWN if (late := _late_teardown(w)) is not None:
            return deletion.stops(w, late, word, sentence)
        case phase if phase in FINAL:
            return finishing.refused(w, sentence)
        case phase:
            status = saying(w.status, word, sentence)
            pause = backward.RETRY_SECONDS if phase is Phase.ROLLING_BACK else RETRY_SECONDS
            return Decision(status=status, store=w.status.reason != word, wake_at=w.now + pause)


def _late_teardown(w: World) -> RollbackStatus | None:
    """The rollback whose teardown was tried for long enough; None of another one, and where green is left standing anyway."""
    rollback = w.status.rollback
    if rollback is None or not rollback.drained_at or rollback.left:
        return None
    return rollback if w.now > rollback.drained_at + deletion.TEARDOWN_PATIENCE_SECONDS else None


def damaged(w: World) -> Decision | None:
    """A status that somebody edited to nonsense: what can be read stays, and a person decides. Never toward green by itself."""
    if w.subject.unread:
        return unread(w)
    if w.subject.damage:
        w = w.with_status(readable(w))
    lost = misplaced(w)
    if not (w.subject.damage or lost):
        return None
    if w.status.phase in FINAL and not false_end(w.status):
        return stored(w.status)  # it has ended all the same: what could be read is written anew, so that the server takes further writes
    detail = f"the status was edited and cannot be read: {w.subject.damage or lost}"
    status = (in_place(w) if lost else w.status).model_copy(
        update={
            "phase": Phase.HALTED,
            "phase_since": w.now,
            "phase_counter": w.status.phase_counter + 1,
            "hold": None,
            "reason": reasons.HALTED,
            "message": reasons.say(reasons.HALTED, detail),
        }
    )
    return stored(status, record(w, RecordKind.HOLD, reasons.HALTED, detail))


def unread(w: World) -> Decision | None:
    """A spec that this version cannot read: nothing is begun by it, and what has begun goes only back, or waits for a person.

    None where there is nothing more to stop. The spec is immutable, so it stays like this.
    """
    phase, detail = w.status.phase, w.subject.unread
    if phase in BACKWARD | FINAL | {Phase.HALTED}:
        return None
    if phase is Phase.QUEUED:
        return stored(
            moved(w, Phase.REFUSED, reasons.RELEASE_INVALID, detail), record(w, RecordKind.FINISHED, reasons.RELEASE_INVALID, detail)
        )
    return halt(w, reasons.RELEASE_UNREAD, detail)


def misplaced(w: World) -> str:
    """How the stage of the status fits neither its own list nor the plan; "" where it fits, and on the way back, which asks for no stage.

    Every index into the stages stands behind this one question: a look that ends with a defect would stop triggers and rollbacks.
    """
    status = w.status
    if w.subject.plan is None or status.phase in BACKWARD | FINAL | {Phase.QUEUED}:
        return ""
    first = 0 if w.standing in IN_A_STAGE else -1
    if first <= status.stage < min(len(status.stages), len(w.stages)) or first == status.stage == -1:
        return contradiction(w)
    return f"stage: found {status.stage} with {len(status.stages)} begun, expected {first} to {min(len(status.stages), len(w.stages)) - 1}"


def contradiction(w: World) -> str:
    """What of the status contradicts the rest of it; "" where nothing does. Going on by it would be a defect, or hit the wrong version."""
    status = w.status
    if status.rollback is not None and status.phase is not Phase.HALTED:
        return f"phase: found {status.phase} beside a recorded rollback, expected the way back"
    if w.standing is Phase.RETURNING and not (w.last_stage and finishing.goes_home(w)):
        return "phase: found Returning, expected it only after the last stage of a plan with finish: home"
    if w.standing is Phase.MEASURING and w.last_stage:
        return "phase: found Measuring in the last stage, expected Baking"
    if w.standing in IN_A_STAGE and status.grant < w.stage.weight:
        return f"grant: found {status.grant}, expected at least the {w.stage.weight} % of the stage"
    if w.standing in IN_A_STAGE and not status.capacity:
        return "capacity: found none, expected the size that each member of blue had at the start"
    judged = w.stage_status if w.standing in JUDGED else None
    if judged is not None and judged.verdict is not None and judged.verdict_key != gates.verdict_key(w):
        return f"verdict: found one for {judged.verdict_key or 'nothing'}, expected {gates.verdict_key(w)}"
    return ""


def in_place(w: World) -> ReleaseStatus:
    """The status in the highest stage that is not above the weight which was written: never further toward green than it was."""
    weights = [stage.weight for stage in w.stages]
    reached = max((i for i, weight in enumerate(weights) if weight <= w.status.weight), default=-1)
    begun = [*w.status.stages, *(StageStatus(weight=weight) for weight in weights[len(w.status.stages) :])]
    return w.status.model_copy(update={"stage": reached, "stages": begun[: reached + 1]})


def unreadable(w: World) -> Decision | None:
    """Routes or workloads that nobody lets us read are not gone: nothing goes toward green by them, and this release alone waits.

    Triggers, rollbacks and deletions go before; what holds already goes on holding (`decide.holding`).
    """
    detail = w.observed.unreadable
    if not detail:
        return None
    if w.status.phase in IN_A_STAGE:
        return refused(w, FORBIDDEN, detail)
    if w.status.phase is not Phase.PREPARING or w.status.blue_slot < 0:
        return None  # a release that begins is refused by its problems
    if w.now > w.status.phase_since + w.plan.preparation.deadline:
        return backward.roll_back(w, reasons.PREPARATION_DEADLINE, detail)
    return wait(w, reasons.RIGHTS_MISSING, detail, until=w.now + RETRY_SECONDS)


def readable(w: World) -> ReleaseStatus:
    """What could be read of a damaged status, as the server takes it: nobody is moved by an edit.

    A lost weight is the one that stands on the routes, never above the grant; a lost grant had allowed the weight at least.
    """
    status = w.status
    ended = status.phase in FINAL and not false_end(status)
    weight = status.weight or (0 if ended else min(status.grant, w.observed.lowest_weight))
    return status.model_copy(update={"weight": weight, "grant": max(status.grant, weight)})


def schema_old(w: World) -> Decision | None:
    """With an older schema the server silently prunes what is written: only the way back is open."""
    if not w.observed.schema_problem or w.status.phase in BACKWARD | FINAL | {Phase.HALTED}:
        return None
    if w.status.phase in (Phase.QUEUED, Phase.PREPARING, Phase.HOLDING):
        if w.status.phase is Phase.PREPARING and w.now > w.status.phase_since + w.plan.preparation.deadline:
            return backward.roll_back(w, reasons.PREPARATION_DEADLINE, w.observed.schema_problem)
        if w.status.phase is Phase.HOLDING:
            return Decision(status=w.status, wake_at=w.now + RETRY_SECONDS)  # it says already what it waits for
        return wait(w, reasons.SCHEMA_OLD, w.observed.schema_problem, until=w.now + RETRY_SECONDS)
    return hold(w, reasons.SCHEMA_OLD, w.observed.schema_problem, phase=w.status.phase, until=w.now + DATA_DEADLINE_SECONDS)
