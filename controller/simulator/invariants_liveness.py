"""L1, L2, L4, L6 and L7: how long things took, in a simulation and in what a real API server committed.

    commits ----> Liveness.commit    rollbacks (L2), weights by another hand (L4)
    time -------> Liveness.time      what is overdue (L4, L7)
    the end ----> Liveness.finish    who has not ended (L1, L6)

What no commit tells (faults, who leads, whose clock is off) is asked of a `World`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from controller.api.plan import PlanSpec
from controller.core.reasons import ROLLBACK_REFUSED
from controller.ports import Obj
from controller.runtime.lease import LeaseSettings
from controller.simulator.invariants_book import EPSILON, Book
from controller.simulator.invariants_model import FINAL, Place, ReleaseFacts, splits

LEASE_SECONDS = LeaseSettings("", "", "").duration
MARGIN_SECONDS = 60.0
DRIFT_SECONDS = 5.0
ROLLBACK_SECONDS = 1.0
TAKEOVER_SECONDS = 5.0
"""Green may have weight so long, and a lease, while nobody acts (L7)."""
REFUSED_SECONDS = 600.0
"""A teardown that the API server refuses is tried so long; then a person is asked."""


class World(Protocol):
    """What goes on beside the commits."""

    @property
    def clock_offset(self) -> float:
        """By how much the controller's clock is ahead."""

    @property
    def quiet_since(self) -> float:
        """When the last fault ended, or the history began."""

    @property
    def leaderless_since(self) -> float | None:
        """Since when nobody acts; None while somebody does."""

    def disturbed(self, since: float, now: float) -> bool:
        """Whether a fault was at work in between, or had only just ended: a rollback may then take a lease and 10 s."""

    def cut_off(self, since: float, now: float) -> bool:
        """Whether the controller could not see in between what others wrote, or could not undo it."""

    def late(self, since: float, now: float) -> float:
        """Seconds that what was done in between may have taken for want of a quicker machine, or may be dated too late."""


class Liveness:
    """Follows one history; breaches go to its book."""

    def __init__(self, book: Book, world: World, *, lease: float = LEASE_SECONDS) -> None:
        self._book, self._world, self._lease = book, world, lease
        self._going_back: set[str] = set()
        self._drifted: dict[Place, tuple[float, float]] = {}
        self._safe_at = 0.0
        self._told = False

    def commit(self, kind: str, new: Obj | None) -> None:
        """One change, after the book has it."""
        if kind == "Release":
            self._rolled_back_in_time()
        if kind == "VirtualService" and new is not None:
            self._drift(new)

    def _rolled_back_in_time(self) -> None:
        """L2: from the decision to weight 0 on every route that exists."""
        for uid, facts in self._book.releases.items():
            rollback = facts.status.get("rollback")
            if not rollback or uid in self._going_back:
                continue
            self._going_back.add(uid)
            # finish: home: the old version runs nowhere and comes up first; `rollback.blueReady` bounds that.
            if facts.plan is None or not facts.status.get("exposedSince") or facts.status.get("returning"):
                continue
            untaken = facts.status.get("reason") == ROLLBACK_REFUSED  # then the record says so, and it is tried again every second
            if not facts.zero_since and not untaken:
                self._book.breach("L2", f"{facts.name} recorded a rollback while green still has weight")
                continue
            decided = rollback.get("decidedAt", 0) - self._world.clock_offset
            took = facts.zero_since - decided
            allowed = self._lease + 10 if self._world.disturbed(decided, self._book.now) else ROLLBACK_SECONDS
            if took > allowed + self._world.late(decided, self._book.now):
                self._book.breach("L2", f"{facts.name}: {took:.1f} s from the verdict to weight 0, {allowed:.0f} s are allowed")

    def _drift(self, obj: Obj) -> None:
        """L4: somebody else raised green above what we commanded."""
        place = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        self._drifted.pop(place, None)
        for facts in self._book.releases.values():
            ref = facts.targets().get(place)
            if ref is None or facts.phase not in ("Shifting", "Measuring", "Baking", "Holding"):
                continue
            share = max((split.share for split in splits(facts, ref, obj)), default=0.0)
            if share > max(facts.status.get("weight", 0), facts.status.get("grant", 0)):
                self._drifted[place] = (self._book.now, share)

    def time(self, now: float) -> None:
        """To be called often, and before what is committed then."""
        self._book.now = now
        self._exposed(now)
        for place, (since, share) in list(self._drifted.items()):
            if now - since > DRIFT_SECONDS + self._world.late(since, now) and not self._world.cut_off(since, now):
                told = f"VirtualService {'/'.join(place)}: green has {share:.0f} % by another hand for {now - since:.1f} s"
                self._book.breach("L4", told)
                del self._drifted[place]

    def _exposed(self, now: float) -> None:
        """L7: counts from the later of two moments: nobody acts, and green has weight."""
        exposed = any(facts.share > EPSILON and facts.phase not in FINAL for facts in self._book.releases.values())
        since = self._world.leaderless_since
        if since is None or not exposed:
            self._safe_at, self._told = now, False
            return
        since = max(since, self._safe_at)
        waited, allowed = now - since, self._lease + TAKEOVER_SECONDS
        if waited <= allowed + self._world.late(since, now):
            self._told = False
        elif not self._told:
            self._told = True
            self._book.breach("L7", f"green has had weight for {waited:.0f} s without a leader, {allowed:.0f} s are allowed")

    def finish(self, now: float) -> None:
        """L1, L4, L6 and L7 at the end."""
        self.time(now)
        alive = [facts for facts in self._book.releases.values() if facts.phase not in FINAL]
        unfinished = [facts for facts in alive if not waits_for_person(facts.status)]
        quiet = self._world.quiet_since
        for facts in unfinished:
            budget = budget_seconds(facts)
            decided = (facts.status.get("rollback") or {}).get("decidedAt", 0.0) - self._world.clock_offset
            waited = now - max(quiet, facts.status.get("startedAt") or quiet, decided)
            if facts.phase != "Queued" and waited > budget:
                told = f"{facts.name} is {facts.phase} ({facts.status.get('reason')}) after {waited:.0f} s, {budget:.0f} s are allowed"
                self._book.breach("L1", told)
        asked = {_plan_of(facts) for facts in alive if waits_for_person(facts.status)}
        stuck = [facts for facts in unfinished if _plan_of(facts) not in asked]  # whoever queues behind another waits for the same person
        if stuck and all(facts.phase == "Queued" for facts in stuck) and now - quiet > MARGIN_SECONDS:
            names = ", ".join(facts.name for facts in stuck)
            self._book.breach("L6", f"{names}: everybody is Queued and nobody runs")


def _plan_of(facts: ReleaseFacts) -> tuple[str, str]:
    """Namespace and name of the plan in whose queue it stands."""
    return facts.namespace, str(facts.obj["spec"]["plan"])


def waits_for_person(status: Mapping[str, Any]) -> bool:
    """Halted, or held, or kept in the queue, for a named person without a deadline."""
    hold = status.get("hold") or {}
    named = bool(hold.get("waitsFor")) and hold.get("until") is None
    return status.get("phase") == "Halted" or (status.get("phase") in ("Holding", "Queued") and named)


def budget_seconds(facts: ReleaseFacts) -> float:
    """The sum of all times and deadlines that are still to come, generously: every stage may hold once for data."""
    plan = facts.plan
    if plan is None:
        return MARGIN_SECONDS
    patience = max((check.no_data.deadline for check in plan.checks), default=900.0)
    stages = sum(stage.window + stage.warm_up + plan.settle.deadline + patience for stage in plan.stages)
    back = way_back_seconds(plan)
    if facts.status.get("rollback"):
        return back + MARGIN_SECONDS + LEASE_SECONDS
    return plan.preparation.deadline + stages + back + 900.0 + MARGIN_SECONDS


def way_back_seconds(plan: PlanSpec) -> float:
    """The sum of all deadlines of a rollback."""
    back = plan.rollback
    return back.traffic + back.blue_ready + back.blue_healthy + back.drain_deadline + back.teardown + REFUSED_SECONDS
