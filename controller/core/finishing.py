"""The end: success, the swap of roles or the way home, the retention of the old version, and what finished releases still do."""

from controller.api.release import Phase, RetentionStatus
from controller.core import backward, gates, reasons, seen
from controller.core.commands import (
    AnswerRequest,
    Command,
    Decision,
    DropFinalizer,
    PruneHistory,
    RecordKind,
    RemoveClone,
    RetireOld,
    SetWeight,
    ShrinkOld,
    UpdateHome,
)
from controller.core.retention import no_longer_kept
from controller.core.steps import DATA_DEADLINE_SECONDS, World, act, hold, moved, record, stored, wait

FULL = 100
"""All requests, percent."""


def finish(w: World) -> Decision:
    """The last window has passed and the gates are open."""
    if w.plan.finish.mode == "home" and w.status.blue_slot == 0 and w.subject.spec.kind == "forward":
        return stored(moved(w, Phase.RETURNING, reasons.RETURNING, "the original gets the new image"))
    return succeed(w)


def succeed(w: World) -> Decision:
    """Success is written first; giving things back and the retention follow it."""
    since = w.status.started_at or w.status.phase_since
    detail = f"revision {w.subject.spec.revision}, {w.now - since:.0f} s after its start"
    retention = RetentionStatus(until=w.now + w.plan.finish.retention)
    status = moved(w, Phase.SUCCEEDED, reasons.SUCCEEDED, detail, retention=retention)
    return stored(status, record(w, RecordKind.FINISHED, reasons.SUCCEEDED, detail))


def returning(w: World) -> Decision:
    """`finish: home`: the original takes the new image, then the traffic, guarded like a stage."""
    wanted = {m.name: m.green.image for m in w.observed.members}
    if not w.status.returned_at:
        lacking = home_lacks(w, wanted)
        if lacking == "image":
            return act(w, UpdateHome())
        if lacking:
            if w.now > w.status.phase_since + w.plan.preparation.deadline:
                return hold(w, reasons.CAPACITY_MISSING, lacking, phase=Phase.RETURNING, waits_for="operator")
            return wait(w, reasons.RETURNING, lacking, until=w.now + 2.0)
        if any(r.found and r.green_weight for r in w.observed.routes):
            return act(w, SetWeight(0))
        return stored(w.status.model_copy(update={"returned_at": w.now, "weight": 0, "observed_weight": 0}))
    guard = w.status.returned_at + w.plan.stages[0].window
    if w.now < guard:
        return wait(w, reasons.RETURNING, "watches the original with the new image", until=min(guard, w.now + seen.look_again(w)))
    if not w.observed.green_gone:
        return act(w, RemoveClone())
    return succeed(w)


def home_lacks(w: World, wanted: dict[str, str]) -> str:
    """`image` where the original still has the old one, else what its pods lack; empty when it is ready."""
    lacking = []
    for member in w.observed.members:
        blue, needed = member.blue, gates.needed_replicas(w, member.name)
        if wanted[member.name] and blue.image != wanted[member.name]:
            return "image"
        if not blue.current or blue.available < needed or blue.endpoints < needed:
            lacking.append(f"{blue.namespace}/{blue.name} has {blue.available} of {needed} pods available")
    return "; ".join(lacking)


def return_failed(w: World, reason: str, detail: str) -> Decision:
    """The original does badly with the new image: back to the clone, which was judged, and wait for a person."""
    if w.status.returned_at and any(r.found and r.green_weight != FULL for r in w.observed.routes):
        return act(w, SetWeight(FULL))
    status = w.status.model_copy(update={"returned_at": 0.0, "weight": FULL, "observed_weight": FULL})
    return hold(
        w.with_status(status), reason, detail, phase=Phase.RETURNING, waits_for="operator", until=w.now + DATA_DEADLINE_SECONDS, then="halt"
    )


def finished(w: World) -> Decision:
    """A final phase: requests get their answer, what was borrowed goes back, the retention runs out. Then silence (S16)."""
    answers = tuple(
        AnswerRequest(
            r.name, r.uid, accepted=True, reason=reasons.ALREADY_FINISHED, message=reasons.say(reasons.ALREADY_FINISHED, w.status.phase)
        )
        for r in w.observed.requests
    )
    if answers:
        return act(w, *answers)
    commands = leftovers(w)
    if commands:
        return act(w, *commands)
    if w.status.phase is Phase.SUCCEEDED:
        decision = retention(w)
        if decision:
            return decision
    if w.subject.finalizer:
        gone = no_longer_kept(w.observed.finished, w.plan.history, w.now) if w.subject.plan is not None else ()
        if gone:
            return act(w, PruneHistory(tuple(release.name for release in gone)))
        return act(w, DropFinalizer())
    return Decision(status=w.status)


def leftovers(w: World) -> tuple[Command, ...]:
    """What a finished release still holds."""
    if w.subject.plan is None:
        return ()
    home = w.plan.finish.mode == "home" and w.status.returned_at > 0
    serving = "green" if w.status.phase is Phase.SUCCEEDED and not home else "blue"
    return backward.borrowed(w, serving=serving)


def retention(w: World) -> Decision | None:
    """Keep the old version as long as the plan says; the next start cuts it short. None when nothing is left."""
    kept = w.status.retention
    if kept is None or kept.done or w.subject.plan is None:
        return None
    if w.status.returned_at:
        return stored(w.status.model_copy(update={"retention": kept.model_copy(update={"done": True})}))
    reversed_by = any(r.supersedes == w.subject.name for r in w.observed.rivals)
    over = w.now >= kept.until or bool(w.observed.rivals) or w.subject.deleted
    if reversed_by or (over and (w.plan.finish.then == "keep" or _old_is_gone(w))):
        return stored(w.status.model_copy(update={"retention": kept.model_copy(update={"done": True})}))
    if any(r.found and r.green_weight < FULL for r in w.observed.routes):
        # S5: somebody gave the old version traffic again. It is not taken away under users.
        return wait(w, reasons.SUCCEEDED, "the old version has traffic again and is kept", until=w.now + 60.0)
    if over:
        if seen.quiet_old(w) is False:
            return wait(w, reasons.SUCCEEDED, "the old version still gets requests and is kept", until=w.now + 30.0)
        return act(w, RetireOld())
    if w.plan.finish.size is not None and not kept.shrunk:
        if w.now < w.status.phase_since + w.plan.rollback.drain:
            return wait(w, w.status.reason, until=w.status.phase_since + w.plan.rollback.drain, status=w.status)
        size = w.plan.finish.size
        if any(m.blue.found and m.blue.replicas > size for m in w.observed.members):
            return act(w, ShrinkOld(size))
        return stored(w.status.model_copy(update={"retention": kept.model_copy(update={"shrunk": True})}))
    return Decision(status=w.status, wake_at=kept.until)


def _old_is_gone(w: World) -> bool:
    """Deleted, or scaled to zero where it is to be kept."""
    for member in w.observed.members:
        old = member.blue
        if not old.found or old.image != w.status.images_before.get(member.name, old.image):
            continue  # gone, or a later release has put something of its own in its place
        delete = w.plan.finish.then == "delete" or (w.plan.finish.then == "auto" and old.made)
        if delete or old.replicas > 0:
            return False
    return True
