"""Queued: a release waits for its turn, takes the plan's lock and freezes the plan. Who goes first, and who gives way."""

from dataclasses import replace

from controller.api.release import HoldStatus, Phase
from controller.core import reasons
from controller.core.beginning import refuse, refuse_prepared
from controller.core.commands import AddFinalizer, Decision, FreezePlan, LockPlan, RecordKind
from controller.core.phases import BACKWARD
from controller.core.steps import POLL_SECONDS, World, act, moved, record, stored, wait
from controller.core.words import is_used
from controller.core.world import Rival


def queued(w: World) -> Decision:
    """Wait for the plan's lock, freeze the plan, begin. What is refused already now is so before anybody gives way to it."""
    if w.observed.problems:
        return refuse_prepared(w)
    if not w.subject.finalizer:
        return act(w, AddFinalizer())
    if not w.observed.plan_found and w.subject.spec.kind != "reverse":
        return refuse(w, reasons.PLAN_MISSING, w.subject.spec.plan)
    newer = superseder(w)
    if newer:
        return stored(moved(w, Phase.ROLLED_BACK, reasons.SUPERSEDED, newer.name))
    ahead = [rival for rival in w.observed.rivals if is_ahead(w, rival)]
    if ahead:
        return behind(w, min(ahead, key=lambda rival: rival.born))
    w = w.with_status(w.status.model_copy(update={"hold": None})) if w.status.hold is not None else w  # nobody is waited for any more
    unlocked = lock(w)
    if unlocked:
        return unlocked
    if not w.status.plan_hash:
        # Decided once, here; the plan that has this hash is stored by the next write, unless it is edited in between (`decide.unusable`).
        return stored(w.status.model_copy(update={"plan_hash": w.observed.plan_hash, "started_at": w.now}))
    if w.observed.frozen != w.status.plan_hash:
        return act(w, FreezePlan(w.status.plan_hash))
    status = moved(w, Phase.PREPARING, reasons.PREPARING_GREEN, "looks at what is there")
    return stored(status, record(w, RecordKind.STARTED, reasons.STARTED, w.subject.spec.revision, images=dict(w.subject.spec.images)))


def lock(w: World) -> Decision | None:
    """Take the plan's lock, or wait for it; None once it is held.

    A success is taken back after its plan was deleted, too: without a plan nobody else can begin.
    """
    if not w.observed.plan_found:
        return None
    if w.observed.lock_gone:
        # Nobody is left to give it back. The routes are looked at like at every start: refused where no version has 100 %.
        return act(w, LockPlan())
    if w.observed.lock not in ("", w.subject.uid):
        return wait(w, reasons.WAITING_FOR_PLAN, w.observed.lock_name or w.observed.lock, until=w.now + POLL_SECONDS)
    return None if w.observed.lock else act(w, LockPlan())


def behind(w: World, first: Rival) -> Decision:
    """Wait for that release, and say what keeps it: requests to its old version may never end, and then a person is waited for."""
    word = waiting_for(w, first)
    detail = f"{first.name}: {first.kept}" if word == reasons.WAITING_FOR_OLD else first.name
    decision = wait(w, word, detail, until=w.now + POLL_SECONDS)
    status = decision.status.model_copy(update={"hold": for_person(w, word, detail) if is_used(first.kept) else None})
    return replace(decision, status=status, store=(status.message, status.hold) != (w.status.message, w.status.hold))


def waiting_for(w: World, first: Rival) -> str:
    """The word for what that release still has to do.

    By a plan that supersedes it gives way only where its own frozen plan says so, too: not before it goes back that is known.
    """
    if first.kept:
        return reasons.WAITING_FOR_OLD
    asked = w.subject.spec.kind == "reverse" or first.name == w.subject.spec.supersedes
    gives_way = asked or (supersedes(w, first) and first.phase in BACKWARD)
    return reasons.SUPERSEDING if gives_way else reasons.WAITING_FOR_PLAN


def for_person(w: World, reason: str, detail: str) -> HoldStatus:
    """What a queued release says of the person whom it waits for; it goes on by itself once the reason is gone."""
    since = w.status.hold.since if w.status.hold is not None else w.now
    return HoldStatus(
        reason=reason,
        since=since,
        then="wait",
        waits_for="operator",
        phase=Phase.QUEUED,
        detail=detail,
        message=reasons.say(reason, detail),
    )


def is_ahead(w: World, rival: Rival) -> bool:
    """Whether that release must end, or have its retention ended, before this one may begin.

    Whoever holds the plan's lock has had its turn: one that goes first may have been seen, or have taken another's place, after the
    other had taken it, and each would wait for the other for ever.
    """
    if rival.phase is not Phase.QUEUED:
        return True
    if supersedes(w, rival) or w.observed.lock == w.subject.uid:
        return False
    place = w.subject.created if w.observed.place is None else w.observed.place
    return rival.order < (place, w.subject.born)


def supersedes(w: World, rival: Rival) -> bool:
    """Whether this release takes the place of that one."""
    spec = w.subject.spec
    if rival.name in (spec.supersedes, spec.reverse_of):
        return True
    newer = w.subject.born > rival.born
    return newer and (spec.kind == "reverse" or (w.subject.plan is not None and w.plan.concurrency == "supersede"))


def superseder(w: World) -> Rival | None:
    """The release that takes the place of this one, if there is one.

    A reverse release takes a success back, and waits for nothing: a release that runs meanwhile ends first. One that is queued keeps
    its place behind it.
    """
    forward, running = w.subject.spec.kind != "reverse", w.status.phase is not Phase.QUEUED
    for rival in w.observed.rivals:
        newer = rival.born > w.subject.born
        taken_back = newer and rival.reverse and forward and running
        if rival.supersedes == w.subject.name or taken_back or (newer and w.subject.plan is not None and w.plan.concurrency == "supersede"):
            return rival
    return None
