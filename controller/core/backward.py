"""The way back to blue: one path for trigger, gate, request, deadline and deletion.

Toward blue act first, then record. No step before the traffic is on blue waits for anything: not for
blue's health, not for a notification, not for the store.

    decided      traffic on blue     ready, healthy        drained          green gone
      |-- patch each route -->|-- verify, budgets -->|-- no traffic -->|-- teardown -->| RolledBack

The last two are `teardown`'s.
"""

from dataclasses import dataclass, replace

from controller.api.release import CheckStatus, Phase, ReleaseStatus, RollbackStatus
from controller.core import fights, gates, owed, phases, readings, reasons, seen
from controller.core.commands import (
    Command,
    Decision,
    Direction,
    KeepCapacity,
    Record,
    RecordKind,
    RollBackRoutes,
    UpdateHome,
)
from controller.core.owed import Because
from controller.core.steps import CHECKPOINT_SECONDS, World, back, halt, moved, record, saying, stored, wait
from controller.core.words import many
from controller.core.world import RouteView

RETRY_SECONDS = 1.0
"""So often a way back is tried that the cluster does not take (L2)."""


@dataclass(frozen=True, slots=True)
class Blue:
    """How blue does while it takes everything back."""

    ready: bool
    healthy: bool
    detail: str


def roll_back(
    w: World,
    reason: str,
    detail: str = "",
    *,
    cause: CheckStatus | None = None,
    beside: tuple[CheckStatus, ...] = (),
    also: tuple[Record, ...] = (),
    queries: tuple[str, ...] = (),
) -> Decision:
    """Decide that everybody goes back to blue, and do it at once.

    The patch carries the stamp of the phase that this decision begins, so that a controller which
    finds the routes stamped, but this record missing, knows that the rollback is owed. Of triggers that
    fired together the first is the cause, and the record has the numbers of those beside it, too.
    """
    status = w.status
    rollback = RollbackStatus(
        reason=reason,
        message=reasons.say(reason, detail),
        check=cause.name if cause else "",
        value=cause.value if cause else None,
        baseline=cause.baseline if cause else None,
        limit=cause.limit if cause else None,
        n=cause.n if cause else None,
        unit=cause.unit if cause else "",
        failed_at=max((one.failing_since or w.now for one in (cause, *beside) if one), default=w.now),
        decided_at=w.now,
        max_weight=status.max_weight,
    )
    after = moved(w, Phase.ROLLING_BACK, reason, detail, rollback=rollback)
    numbers = cause.model_dump(mode="json") if cause else {}
    together = {"checks": [numbers, *(one.model_dump(mode="json") for one in beside)]} if beside else {}
    data = {"check": rollback.check, "numbers": numbers, "queries": queries, "weight": status.weight, **together}
    entry = record(w, RecordKind.ROLLBACK, reason, detail, **data)
    records = (*also, entry)
    left = Because(rollback=rollback, stage=w.stage_status if status.stage >= 0 else None, records=list(records))
    return back(after, *first_writes(w, RollBackRoutes(f"{w.subject.uid}/{after.phase_counter}", left.text())), records=records)


def first_writes(w: World, routes: RollBackRoutes) -> tuple[Command, ...]:
    """What a rollback begins with: the routes; after `finish: home` the original, and the routes when that is up (`old_version_rises`)."""
    if gates.lost_original(w):
        return ()
    if w.status.returning is not None and gates.home_lacks(w, w.status.images_before, updated=False):
        return (UpdateHome(back=True),)
    return (routes,) if w.observed.routes else ()


def take_up(w: World, because: str) -> Decision:
    """Finish a rollback that another controller began and could not record: its reason stands on the route.

    Where it does not, the rollback is owed all the same.
    """
    left = owed.read(because)
    if left is None:
        return roll_back(w, reasons.ROLLBACK_FOUND)
    found = left.rollback
    stages = list(w.status.stages)
    if left.stage and w.status.stage >= 0:
        stages[w.status.stage] = left.stage
    after = moved(w, Phase.ROLLING_BACK, found.reason, rollback=found, stages=stages).model_copy(update={"message": found.message})
    again = RollBackRoutes(f"{w.subject.uid}/{after.phase_counter}", because)
    return back(after, again, records=tuple(left.records))


def untaken(w: World, tried: Decision, sentence: str) -> Decision:
    """The way back that was tried in this look, and that the cluster did not take: after that it is written down, and tried for ever.

    Nothing came before the write, and the record says only what is owed and why: `traffic_at` waits for the stamp on every route.
    So the routes that somebody puts on blue by hand are said to be there, and green stays up, because without the stamp a late
    write of a deposed leader could still give it requests.
    """
    routes = w.observed.routes
    by_hand = bool(routes) and all(r.found and r.blue_only and not foreign(w, r.owner) for r in routes)
    word = reasons.BACK_BY_HAND if by_hand else reasons.ROLLBACK_REFUSED
    detail = f"{rollback_of(w.with_status(tried.status)).message.rstrip('.')}. {sentence}"
    weights: dict[str, object] = {"weight": 0, "observed_weight": 0} if by_hand else {}
    status = saying(tried.status.model_copy(update={**weights, "checkpoint_at": w.now}), word, detail)
    begins = w.status.phase is not Phase.ROLLING_BACK
    wake_at = w.now if begins else w.now + RETRY_SECONDS
    if begins or (word, status.weight) != (w.status.reason, w.status.weight):
        entry = record(w, RecordKind.WARNING, word, detail)
        records = (*tried.records, replace(entry, key=f"{entry.key}/{word}"))
        return Decision(status=status, direction=Direction.BACK, store=True, records=records, wake_at=wake_at)
    # The words are the cluster's, and may differ each time: once a minute they are brought up to date.
    late = status.message != w.status.message and w.now - w.status.checkpoint_at >= CHECKPOINT_SECONDS
    return Decision(status=status if late else w.status, direction=Direction.BACK, store=late, wake_at=wake_at)


def rolling_back(w: World) -> Decision:
    """Repeat until every route that exists is on blue and stamped; then look how blue does."""
    rollback = rollback_of(w)
    stamp = w.subject.stamp if w.status.phase is Phase.ROLLING_BACK else ""
    if ahead := counted_anew(w, rollback):
        return ahead
    if not rollback.traffic_at:
        rising = old_version_rises(w, rollback)
        if rising:
            return rising
        mine = [r for r in w.observed.routes if r.found and not foreign(w, r.owner)]
        if any(not r.blue_only or r.stamp != stamp for r in mine):
            taken = [r for r in mine if not r.blue_only and r.stamp == stamp]  # our write stood there already
            status, records = fought(w, taken)
            return back(status, RollBackRoutes(stamp), records=records)
        if w.observed.unreadable and w.status.exposed_since and any(not r.found for r in w.observed.routes):
            return untaken(w, Decision(status=w.status), w.observed.unreadable)  # perhaps it only may not be read
        return traffic_on_blue(w, rollback)
    return verify_blue(w, rollback)


def counted_anew(w: World, rollback: RollbackStatus) -> Decision | None:
    """Begin anew what is counted from times that are still to come; None where there are none."""
    times = ("failed_at", "decided_at", "traffic_at", "ready_at", "healthy_at", "drained_at")
    ahead = {name: w.now for name in times if readings.of_another_clock(getattr(rollback, name), w.now)}
    return stored(w.status.model_copy(update={"rollback": rollback.model_copy(update=ahead)})) if ahead else None


def old_version_rises(w: World, rollback: RollbackStatus) -> Decision | None:
    """After `finish: home` gave the original the new image, the old version runs nowhere: it comes up before it gets the traffic.

    Moving the traffic first would only move it to the new version in another place, or to pods that are being
    replaced. It waits no longer than the plan allows blue to get ready, then the traffic goes whatever the pods say. Where the
    original is deleted nobody is sent there: a person makes it again, and it goes on (`halted`).
    None in every other rollback, and when it is up.
    """
    if w.status.returning is None:
        return None
    lost = gates.lost_original(w)
    if lost:
        return halt(w, reasons.HOME_MISSING, f"{lost}; the clone has {w.observed.green_weight} %")
    lacking = gates.home_lacks(w, w.status.images_before, updated=False)
    due = rollback.decided_at + w.plan.rollback.blue_ready
    if not lacking or w.now >= due:
        return None
    if lacking == gates.OTHER_VERSION:
        return back(w.status, UpdateHome(back=True))
    return wait(w, reasons.ROLLING_BACK, f"the old version comes up again: {lacking}", until=min(due, w.now + 1.0))


def foreign(w: World, owner: str) -> bool:
    """Another release owns the route: a late rollback of ours would hit the wrong one (rule 3)."""
    return owner not in ("", w.subject.uid)


def traffic_on_blue(w: World, rollback: RollbackStatus) -> Decision:
    """Every route that can be written is on blue. A route that is missing needs a person."""
    others = [r for r in w.observed.routes if r.found and not r.blue_only and foreign(w, r.owner)]
    exposed = w.now - w.status.exposed_since if w.status.exposed_since else 0.0
    done = rollback.model_copy(update={"traffic_at": w.now, "exposed_seconds": exposed, "overruns": _overruns(w, rollback, traffic=w.now)})
    status = w.status.model_copy(update={"weight": 0, "observed_weight": 0, "rollback": done})
    if any(r.gone for r in w.observed.routes) and w.status.exposed_since and not w.subject.deleted:
        return without_route(w, rollback.model_copy(update={"overruns": done.overruns}))
    if others and w.status.exposed_since:
        owed = rollback.model_copy(update={"overruns": done.overruns})
        detail = ", ".join(
            f"VirtualService {r.namespace}/{r.name} still sends {r.share} to green and carries the mark of release {r.owner}"
            for r in others
        )
        return halt(w, reasons.ROUTE_OWNED, detail, rollback=owed)
    if status.reason in reasons.UNTAKEN:  # it was taken at last: the rollback's own words again
        status = status.model_copy(update={"reason": rollback.reason, "message": rollback.message})
    return stored(status)


def lost_routes(w: World) -> str:
    """Which of the VirtualServices are gone; "" where all are there."""
    return ", ".join(f"VirtualService {r.namespace}/{r.name}" for r in w.observed.routes if not r.found)


def without_route(w: World, rollback: RollbackStatus) -> Decision:
    """Stop for a person: pods of green get requests that no weight keeps from them. It goes on by itself once the route is back."""
    detail = f"{lost_routes(w)} is gone: Istio now sends to all pods of its hosts"
    since = w.status.exposed_since or rollback.traffic_at
    return halt(w, reasons.ROUTE_GONE, detail, rollback=rollback.model_copy(update={"traffic_at": 0.0}), weight=0, exposed_since=since)


def verify_blue(w: World, rollback: RollbackStatus) -> Decision:
    """Blue's pods, then its probes, each with its budget; an overrun is said, never waited out.

    Where green never had a request blue takes nothing back, so that nothing is waited for, and nothing said of it.
    """
    blue, takes = blue_state(w), bool(w.status.exposed_since or w.status.max_weight)
    update: dict[str, object] = {}
    if blue.ready and not rollback.ready_at:
        update["ready_at"] = w.now
    if blue.healthy and (blue.ready or rollback.ready_at) and not rollback.healthy_at:
        update["healthy_at"] = w.now
    over = w.now >= rollback.traffic_at + w.plan.rollback.blue_ready + w.plan.rollback.blue_healthy
    if "healthy_at" in update or over or not takes:
        if "healthy_at" not in update and takes:
            update |= {"blue_unhealthy": True, "overruns": over_budget(rollback, "blue")}
        done = rollback.model_copy(update=update)
        word = reasons.BLUE_UNHEALTHY if done.blue_unhealthy else reasons.DRAINING
        detail = blue.detail if done.blue_unhealthy else f"for {w.drain_seconds:.0f} s"
        entries = (record(w, RecordKind.WARNING, word, detail),) if done.blue_unhealthy else ()
        kept = {} if done.blue_unhealthy else still_fought(w)
        return stored(moved(w, Phase.TEARING_DOWN, word, detail, rollback=done).model_copy(update=kept), *entries)
    status = w.status.model_copy(update={"rollback": rollback.model_copy(update=update)}) if update else w.status
    if update:
        return stored(status)
    commands = (KeepCapacity(),) if gates.blue_shrunk(w) else ()
    return replace(wait(w, reasons.ROLLING_BACK, blue.detail, until=w.now + 1.0), commands=commands)


def blue_state(w: World) -> Blue:
    """Whether blue has the pods it had, its requests find them, and it answers its probes."""
    lacking = [w.observed.unreadable] if w.observed.unreadable else []
    for member in w.observed.members:
        needed = next((c.replicas for c in w.status.capacity if c.member == member.name), 1)
        if member.blue.available < needed:
            lacking.append(f"{member.blue.namespace}/{member.blue.name} has {member.blue.available} of {many(needed, 'pod')} available")
    probes = seen.failing_probes(w, colour="blue")
    lost = w.observed.blue_lost
    detail = "; ".join([*lost, *lacking, probes]).strip("; ") or "blue is ready"
    return Blue(ready=not lacking, healthy=not probes and not lost, detail=detail)


def blue_gone(w: World) -> str:
    """Which of blue's Deployments are deleted; "" where all are there, and in the return, where blue is the original."""
    return "" if w.status.returning is not None else gates.deleted_blue(w)


def once_more(w: World, rollback: RollbackStatus) -> Decision:
    """Green got traffic again, or a lost route is back. Green is never taken down under users (rule 6): blue, drain and teardown anew."""
    anew = rollback.model_copy(
        update={"traffic_at": 0.0, "ready_at": 0.0, "healthy_at": 0.0, "drained_at": 0.0, "gone_at": 0.0, "left": ""}
    )
    told = {"message": rollback.message, **still_fought(w)}
    status = moved(w, Phase.ROLLING_BACK, rollback.reason, rollback=anew).model_copy(update=told)
    taken = [r for r in w.observed.routes if rollback.traffic_at and r.found and not r.blue_only and not foreign(w, r.owner)]
    status, records = fought(w.with_status(status), taken)
    return back(status, *first_writes(w, RollBackRoutes(f"{w.subject.uid}/{status.phase_counter}")), records=records)


def fought(w: World, routes: list[RouteView]) -> tuple[ReleaseStatus, tuple[Record, ...]]:
    """The status that counts what somebody took from blue again, and names who keeps at it; with the record of a fight that begins."""
    if not routes or not w.status.max_weight:
        return w.status, ()
    drift = fights.counted(w)
    status = w.status.model_copy(update={"drift": drift})
    if not fights.goes_on(drift):
        return status, ()
    begins = w.status.reason != reasons.ROLLBACK_FOUGHT
    entry = record(w, RecordKind.WARNING, reasons.ROLLBACK_FOUGHT, fights.words(routes))
    return saying(status, reasons.ROLLBACK_FOUGHT, fights.words(routes)), (entry,) if begins else ()


def still_fought(w: World) -> dict[str, str]:
    """The words of a fight, which stand until green has had no weight for as long as it drains; empty where there is none."""
    return {"reason": w.status.reason, "message": w.status.message} if w.status.reason == reasons.ROLLBACK_FOUGHT else {}


def halted(w: World) -> Decision:
    """Waits for a person; a rollback that is owed still acts."""
    rollback = w.status.rollback
    writable = all(r.found and not foreign(w, r.owner) for r in w.observed.routes)
    if rollback and gates.lost_original(w):
        return Decision(status=w.status, wake_at=w.now + seen.look_again(w))  # it goes on once the original is there again
    if rollback and not rollback.traffic_at and writable:
        return once_more(w, rollback)  # the route is back; the reason, and the time since when users wait for blue, stay
    if rollback and rollback.traffic_at and any(r.found and not r.blue_only and not foreign(w, r.owner) for r in w.observed.routes):
        return once_more(w, rollback)
    # The sentence of the halt stays, with its detail: it is all that the person has to go by.
    return Decision(status=w.status, wake_at=w.now + seen.look_again(w) if w.status.weight else None)


def rollback_of(w: World) -> RollbackStatus:
    """The recorded rollback; an edited status without one gets a sentence instead of a crash."""
    return w.status.rollback or RollbackStatus(reason=reasons.ROLLBACK_FOUND, message=reasons.say(reasons.ROLLBACK_FOUND), decided_at=w.now)


def _overruns(w: World, rollback: RollbackStatus, *, traffic: float) -> list[str]:
    late = traffic > rollback.decided_at + w.plan.rollback.traffic
    return over_budget(rollback, "traffic") if late else rollback.overruns


def over_budget(rollback: RollbackStatus, budget: str) -> list[str]:
    """The budgets that were overrun, with this one: each once, however often the way back begins anew."""
    return [*rollback.overruns, *([budget] if budget not in rollback.overruns else [])]


def is_backward(status: ReleaseStatus) -> bool:
    """Whether nothing may raise green's weight any more (S8)."""
    return status.phase in phases.BACKWARD or status.rollback is not None


def abandon(w: World, reason: str, detail: str = "", *, also: tuple[Record, ...] = ()) -> Decision:
    """End a release from wherever it stands: one that has not even looked which version serves touched nothing and simply ends.

    There is no blue to go back to then, and where no version has all the traffic nobody could name one.
    """
    if w.status.phase is Phase.QUEUED or (w.status.phase is Phase.PREPARING and w.status.blue_slot < 0):
        entry = record(w, RecordKind.ROLLBACK, reason, detail)
        return stored(moved(w, Phase.ROLLED_BACK, reason, detail), *also, entry)
    return roll_back(w, reason, detail, also=also)
