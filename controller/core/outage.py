"""A version that has traffic and not one pod that a proxy could find: what no query can see where its requests carry no colour.

    ready pods of green    3     0           0              3
                           |-----|--------- 15 s ---------->|   rolled back before they come back
                           |-----|---- 9 s ---->|  3            noted; the seconds of a stage add up
    and none of blue       |-----|--------------|----------->|  held: there is nowhere to go; then a window anew

The workloads say it at once, whatever Prometheus knows. It is asked in every mode and beside every plan: a rollback for
it needs no trigger. After the return of `finish: home` the original is the new version, and the clone is what is gone back to.

Here is also kept since when green is complete (`ready_at`): a raise waits until the proxies can know (`gates.travelling`).
"""

from collections.abc import Sequence
from dataclasses import replace

from controller.api.release import CheckStatus, Phase, ReleaseStatus, StageStatus
from controller.core import backward, gates, homeward, reasons, returning
from controller.core.commands import Decision, RecordKind
from controller.core.phases import WATCHED
from controller.core.steps import DATA_DEADLINE_SECONDS, World, hold, moved, record, set_stage, stored
from controller.core.world import WorkloadView

GRACE_SECONDS = 15.0
"""One missed readiness probe of the usual period (10 s), and the time that its news takes; in all, in one stage."""

CLUSTER = "cluster"
"""Its pods are ready, and its subset or Service is gone or selects others: no proxy finds them."""

CHECK = "ready-pods"
"""What stands in place of a check's name in a rollback that no check has asked for."""


def answer(w: World) -> Decision | None:
    """The decision that missing pods cause, or that they are back causes; None where there is nothing to write and nothing to do."""
    if w.status.phase not in WATCHED or w.status.stage < 0 or w.status.rollback or w.subject.spec.now or w.observed.schema_problem:
        return None  # an older schema would not keep what is written here
    lacking = empty(w)
    if not lacking:
        return refilled(w) if w.status.empty_since else None
    if not w.status.empty_since:
        return stored(w.status.model_copy(update={"empty_since": w.now}))
    if w.now < due_at(w):
        return None
    return nowhere_to_go(w, lacking) if shared(w) else go_back(w, lacking)


def empty(w: World) -> str:
    """Which Deployments of the version that is judged have traffic and no ready pod, in words, or `CLUSTER`; "" where none."""
    if not (w.at_home.status.weight or w.observed.green_weight):
        return ""
    pods = gates.named([view for view, _ in pairs(w) if gates.without_pods(view)])
    return pods or (CLUSTER if w.observed.cluster_gone and not w.status.returned_at else "")


def pairs(w: World) -> Sequence[tuple[WorkloadView, WorkloadView]]:
    """Each member's workload of the version that is judged, and of the one that is gone back to."""
    if w.status.returned_at:
        return [(m.blue, m.green) for m in w.observed.members]
    return [(m.green, m.blue) for m in w.observed.members]


def shared(w: World) -> bool:
    """Whether the version to go back to lacks its pods too, wherever the judged one does: then nothing is gained by going back."""
    lacking = [spare for view, spare in pairs(w) if gates.without_pods(view)]
    return bool(lacking) and all(gates.without_pods(spare) for spare in lacking)


def seconds(w: World) -> float:
    """For how long it had none in this stage, in all, the present time included."""
    return standing_stage(w).empty_seconds + (w.now - w.status.empty_since if w.status.empty_since else 0.0)


def due_at(w: World) -> float:
    """When the grace is used up, Unix seconds."""
    return w.status.empty_since + max(0.0, GRACE_SECONDS - standing_stage(w).empty_seconds)


def standing_stage(w: World) -> StageStatus:
    """The stage, or the return, in which the seconds are counted."""
    return homeward.begun(w.status) if w.status.returned_at else w.stage_status


def go_back(w: World, lacking: str) -> Decision:
    """Everybody to the version that has pods. Looked at live first: a cache that is late must not send a healthy version away."""
    if lacking == CLUSTER:
        return replace(backward.roll_back(w, reasons.CLUSTER_GONE), look_first=True)
    share = w.at_home.status.weight or w.observed.green_weight
    detail = f"{lacking} had no ready pod for {seconds(w):.0f} s (limit {GRACE_SECONDS:.0f} s) while {share} % of the traffic went there"
    if w.status.returned_at:
        decision = returning.return_failed(w, reasons.RETURN_FAILED, detail)
    else:
        cause = CheckStatus(name=CHECK, value=0.0, limit=1.0, unit="pods", failing_since=w.status.empty_since)
        decision = backward.roll_back(w, reasons.PODS_GONE, detail, cause=cause)
    return replace(decision, look_first=True)


def nowhere_to_go(w: World, lacking: str) -> Decision | None:
    """Neither version has pods: wait for either. None where that is written down, a person is waited for, or the original is on its way."""
    held, on_the_way = w.status.hold, w.standing is Phase.RETURNING and not w.status.returned_at
    if w.status.phase is Phase.HALTED or on_the_way:
        return None
    if held is not None and (not held.tries_again or held.reason == reasons.NO_PODS_ANYWHERE):
        return None
    phase = Phase.RETURNING if w.status.returned_at else Phase.SHIFTING
    spare = gates.named([there for view, there in pairs(w) if gates.without_pods(view)])
    detail = f"{lacking}, and to go back to {spare}"
    return hold(w, reasons.NO_PODS_ANYWHERE, detail, phase=phase, until=w.now + DATA_DEADLINE_SECONDS, then="halt")


def waiting_for_pods(w: World) -> bool:
    """Whether the hold of `nowhere_to_go` goes on; as soon as either version has pods, it has something else to do."""
    return w.status.hold is not None and w.status.hold.reason == reasons.NO_PODS_ANYWHERE and bool(w.status.empty_since)


def learning(w: World) -> bool:
    """After an outage of both versions during the return: proxies only learn which pods there are, so that the clone is no better."""
    home = w.status.returning
    return home is not None and w.status.returned_at < home.shifted_at and w.now < home.shifted_at + w.plan.preparation.route_delay


def refilled(w: World) -> Decision:
    """There are ready pods again: noted, and a window in which nobody could have answered for too long is judged anew."""
    lasted = w.now - w.status.empty_since
    note = record(w, RecordKind.HOLD, reasons.PODS_BACK, f"there was none for {lasted:.0f} s")
    note = replace(note, key=f"{note.key}/{w.status.empty_since:.0f}")  # there may be several in one phase
    total = seconds(w)
    if total < GRACE_SECONDS:
        return stored(counted(w, total), note)
    return stored(reopened(w.with_status(counted(w, 0.0))), note)


def counted(w: World, total: float) -> ReleaseStatus:
    """The status with the seconds of this stage written down."""
    ended = w.status.model_copy(update={"empty_since": 0.0})
    if w.status.returned_at:
        return ended.model_copy(update={"returning": homeward.begun(ended).model_copy(update={"empty_seconds": total})})
    return set_stage(ended, empty_seconds=total)


def reopened(w: World) -> ReleaseStatus:
    """The stage, or the return, from its settling on; a hold is kept, and goes on with that."""
    if w.status.returned_at:
        home = homeward.begun(w.status).model_copy(update={"shifted_at": w.now})  # its settle deadline counts from here
        anew = w.status.model_copy(update={"returning": home, "triggers": homeward.watched_anew(w.status)})
        return returning.again(w.with_status(anew)).status
    if w.standing not in (Phase.SHIFTING, Phase.MEASURING, Phase.BAKING):
        return w.status
    fresh = set_stage(w.status, window=None, shifted_at=w.now, settled_at=0.0, checks=[], verdict=None, verdict_key="")
    if w.status.phase in (Phase.MEASURING, Phase.BAKING):
        return moved(w.with_status(fresh), Phase.SHIFTING, reasons.PODS_BACK, "the window begins anew")
    held = fresh.hold
    return fresh.model_copy(update={"hold": held.model_copy(update={"phase": Phase.SHIFTING})}) if held else fresh


def arrived(w: World, status: ReleaseStatus) -> ReleaseStatus:
    """The status that says since when green is complete, or that it is not; the same object where it does. The return counts by itself."""
    if w.status.phase not in WATCHED or w.status.stage < 0 or w.status.returning is not None:
        return status
    complete = w.observed.cluster_ready and not gates.pods_missing(w)
    return status if complete == bool(gates.ready_since(w)) else status.model_copy(update={"ready_at": w.now if complete else 0.0})


def awake(w: World, decision: Decision) -> Decision:
    """The decision, with a look at the moment at which the grace is used up."""
    if not w.status.empty_since or w.subject.plan is None or w.status.stage < 0 or w.now >= (due := due_at(w)):
        return decision
    return replace(decision, wake_at=min(t for t in (decision.wake_at, due) if t is not None))
