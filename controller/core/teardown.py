"""The end of the way back, with everybody on blue: green drains and goes, and what was borrowed is given back.

    ready, healthy        drained          green gone
      |-- no traffic seen -->|-- teardown, by uid -->| RolledBack

Green is never taken down under users (rule 6), and not where it is all that is left of the service.
"""

from controller.api.release import Phase, RollbackStatus
from controller.core import deletion, gates, reasons, seen
from controller.core.backward import (
    counted_anew,
    foreign,
    lost_routes,
    once_more,
    over_budget,
    rollback_of,
    still_fought,
    without_route,
)
from controller.core.beginning import lost_marks
from controller.core.commands import (
    ClaimRoutes,
    CloseRoutes,
    Command,
    Decision,
    KeepCapacity,
    RecordKind,
    RemoveGreen,
    RestoreCapacity,
    UnlockPlan,
)
from controller.core.steps import World, act, back, moved, record, stored, wait
from controller.core.world import RouteView, WorkloadView

UNREAD_SECONDS = 5.0
"""So often it is looked whether what was refused can be read again."""

BEGAN = {
    reasons.EVIDENCE_AGAINST: "the evidence began to grow",
    reasons.PODS_GONE: "the last of its pods had gone",
    reasons.TOGETHER_FIRED: "the last of them began to fail",
}
"""From where the time to detect is counted, where that is no answer of a check."""


def tearing_down(w: World) -> Decision:
    """Drain, take green down by uid, give back what was borrowed, end."""
    rollback = rollback_of(w)
    routes = [r for r in w.observed.routes if r.found and not foreign(w, r.owner)]
    if any(not r.blue_only for r in routes):
        return once_more(w, rollback)
    lent = None if rollback.gone_at else put_back(w)
    if waiting := counted_anew(w, rollback) or lent:
        return waiting
    if not (rollback.drained_at or rollback.gone_at):
        return drain(w, rollback)
    removing = None if rollback.left else remove(w, rollback)
    if removing:
        return removing
    if not rollback.gone_at:
        late = w.now > rollback.drained_at + w.plan.rollback.teardown
        overruns = over_budget(rollback, "teardown") if late else rollback.overruns
        gone = rollback.model_copy(update={"gone_at": w.now, "overruns": overruns})
        return stored(w.status.model_copy(update={"rollback": gone}))
    return give_back(w, rollback)


def remove(w: World, rollback: RollbackStatus) -> Decision | None:
    """Take green down, unless it is all that is left of the service; None when it is gone, or kept by the plan."""
    overdue = w.now > rollback.drained_at + deletion.TEARDOWN_PATIENCE_SECONDS
    if w.observed.unreadable:  # perhaps green is all that is left of the service
        if overdue:
            return deletion.stops(w, rollback, reasons.RIGHTS_MISSING, w.observed.unreadable)
        return wait(w, reasons.RIGHTS_MISSING, w.observed.unreadable, until=w.now + UNREAD_SECONDS)
    if w.plan.rollback.keep_green or w.observed.green_gone:
        return None
    absent = gates.deleted_blue(w)
    if absent:
        # All the traffic is on blue by now, as was asked. Green is all that is left of the service.
        return deletion.stops(w, rollback, reasons.GREEN_KEPT, f"{absent} (blue) is gone")
    if overdue:
        lingering = ", ".join(lingers(w, m.green) for m in w.observed.members if m.green.found) or "something that it brought"
        return deletion.stops(w, rollback, reasons.GREEN_STAYS, lingering)
    return back(w.status, RemoveGreen())


def put_back(w: World) -> Decision | None:
    """Before green goes, what somebody took: our marks, by which the routes are given back in the end, and blue's size."""
    if lost_marks(w):
        return act(w, ClaimRoutes())
    if w.status.returning is None and gates.blue_shrunk(w):
        return back(w.status, KeepCapacity())  # all users are on blue
    return None


def is_strangers(w: World, view: WorkloadView) -> bool:
    """Whether a namesake stands in the place of a Deployment that this release has written down."""
    return view.found and gates.replaced(w, view)


def lingers(w: World, view: WorkloadView) -> str:
    """A Deployment that does not go away, and why where that is known."""
    why = " (somebody else's: this release did not record it, so it must be removed by hand)" if is_strangers(w, view) else ""
    return f"{view.namespace}/{view.name}{why}"


def bare_blue(w: World) -> str:
    """Which of blue's Deployments have not one ready pod where green's has; "" where none.

    Nothing is gained by taking green down then: it is what a person can still go to. One that never had traffic is no way out.
    """
    if w.status.returning is not None or not w.status.max_weight or w.subject.spec.kind == "reverse":
        return ""
    bare = gates.named([m.blue for m in w.observed.members if gates.without_pods(m.blue) and not gates.without_pods(m.green)])
    return f"{bare} (blue) has no ready pod" if bare else ""


def drain(w: World, rollback: RollbackStatus) -> Decision:
    """Weight 0 for the drain time, no traffic seen, and no copies of any (rule 6)."""
    opens = rollback.traffic_at + w.drain_seconds
    if w.now < opens and still_fought(w):
        return Decision(status=w.status, wake_at=opens)
    if w.now < opens:
        return wait(w, reasons.DRAINING, f"until {opens - rollback.traffic_at:.0f} s after the shift", until=opens)
    quiet = seen.no_traffic(w) or deletion.nothing_left(w) or (not w.status.max_weight and not seen.reached(w))
    if quiet and not copied(w):
        bare = bare_blue(w)
        if bare:
            if w.now >= rollback.traffic_at + w.plan.rollback.drain_deadline:
                return deletion.stops(w, rollback, reasons.GREEN_KEPT, bare)
            return wait(w, reasons.BLUE_UNHEALTHY, bare, until=w.now + seen.look_again(w))
        return stored(w.status.model_copy(update={"rollback": rollback.model_copy(update={"drained_at": w.now})}))
    lost, led = lost_routes(w), led_to_green(w)
    if any(r.gone for r in w.observed.routes) and seen.reached(w) and not (w.subject.deleted or w.observed.unreadable):
        return without_route(w, rollback)
    if w.now >= rollback.traffic_at + w.plan.rollback.drain_deadline:
        gone = [f"{lost} is gone, so that Istio sends to all pods of its hosts"] if lost else []
        unknown = [] if quiet else [seen.why_not_quiet(w)]
        return deletion.stops(w, rollback, reasons.DRAIN_UNKNOWN, "; ".join([*unknown, *gone, *led]))
    return wait(w, reasons.DRAINING, "; ".join(["waits until no traffic is seen", *led]), until=w.now + seen.look_again(w))


def led_to_green(w: World) -> list[str]:
    """Who else leads requests to green, or copies of them, which no weight ends."""
    routes = [route for route in w.observed.routes if route.found]
    told = [words for route in routes for words in (*(problem.detail for problem in route.problems), *route.mirrored)]
    return list(dict.fromkeys(told))


def copied(w: World) -> bool:
    """Whether a green that is to go still gets copies of requests: nothing but the routes says so."""
    return any(route.mirrored for route in w.observed.routes) and not (w.plan.rollback.keep_green or w.observed.green_gone)


def give_back(w: World, rollback: RollbackStatus) -> Decision:
    """Routes, autoscalers and the plan's lock; then the end."""
    commands = borrowed(w, serving="blue")
    if commands:
        return back(w.status, *commands)
    other = gates.other_blue(w)
    judged_by_nobody = f" Nobody has judged what blue runs: {other}." if other else ""
    left = f" {reasons.say(reasons.GREEN_LEFT, rollback.left)}" if rollback.left else ""
    detail = f"{became_of_green(w, rollback)}: {rollback.message.rstrip('.')}. {summary(rollback)}{left}{judged_by_nobody}"
    status = moved(w, Phase.ROLLED_BACK, reasons.ROLLED_BACK, detail, grant=0)
    return stored(status, record(w, RecordKind.FINISHED, reasons.ROLLED_BACK, detail))


def became_of_green(w: World, rollback: RollbackStatus) -> str:
    """What is left of green at the end, in words: what others made, or the plan keeps, is not deleted."""
    there = [m.green for m in w.observed.members if m.green.found and not m.green.terminating]
    if rollback.left or w.observed.unreadable:
        return "green has no traffic any more"
    if not there:
        return "green is gone"
    return "green stays without traffic" if any(view.replicas for view in there) else "green is scaled to zero"


def summary(rollback: RollbackStatus) -> str:
    """What the failure cost: most traffic and for how long, time to detect and to recover, budgets that were overrun."""
    exposed = bool(rollback.max_weight or rollback.exposed_seconds)
    words = [f"Green had {_most(rollback)}, for {rollback.exposed_seconds:.0f} s" if exposed else "Green never had traffic"]
    if rollback.check:
        began = BEGAN.get(rollback.reason, "the first bad answer")
        words.append(f"decided {max(0.0, rollback.decided_at - rollback.failed_at):.0f} s after {began}")
    if exposed:
        words.append(f"everybody on blue {max(0.0, rollback.traffic_at - rollback.decided_at):.1f} s after the decision")
    if rollback.overruns:
        words.append(f"over budget: {', '.join(rollback.overruns)}")
    return ", ".join(words) + "."


def _most(rollback: RollbackStatus) -> str:
    """What green had: a share, or, where a route was gone before its first weight, what Istio sent it all the same."""
    return f"at most {rollback.max_weight} %" if rollback.max_weight else "requests without a weight"


def borrowed(w: World, *, serving: str) -> tuple[Command, ...]:
    """The commands that give back what this release still holds; empty when it holds nothing."""
    commands: list[Command] = []
    if any(r.found and carries_ours(w, r) for r in w.observed.routes):
        commands.append(CloseRoutes(serving))
    if any(
        c.hpa and m.name == c.member and m.blue.hpa == c.hpa and m.blue.hpa_min != c.hpa_min
        for c in w.status.capacity
        for m in w.observed.members
    ):
        commands.append(RestoreCapacity())
    if w.observed.lock == w.subject.uid:
        commands.append(UnlockPlan(succeeded=w.status.phase is Phase.SUCCEEDED))
    return tuple(commands)


def carries_ours(w: World, route: RouteView) -> bool:
    """Whether a route still has marks of this release: its name, or, where somebody took that off, its stamp."""
    return route.owner == w.subject.uid or (not route.owner and route.stamp.startswith(f"{w.subject.uid}/"))
