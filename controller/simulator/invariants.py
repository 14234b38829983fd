"""Checks S1 to S17 on every commit and every update of a proxy, and L1 to L7 over the whole run.

    commits ------> History (invariants_store): pure, also for a real API server's watch history
    proxies ------> DataPlane (invariants_proxies): what users get of it
    looks --------> Turns (invariants_turns): who waits for whom
    end of a run -> Checker.finish: how long things took

START HERE with `watch(sim)`. Breaches are sentences; an empty list is good.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from controller.api.plan import PlanSpec
from controller.core.reasons import ROLLBACK_REFUSED
from controller.ports import Obj
from controller.simulator.apiserver.storage import Commit
from controller.simulator.faults import LATE_READS
from controller.simulator.invariants_book import Breach
from controller.simulator.invariants_model import FINAL, ReleaseFacts, splits
from controller.simulator.invariants_pods import EmptyGreen
from controller.simulator.invariants_proxies import DataPlane
from controller.simulator.invariants_store import History
from controller.simulator.invariants_turns import LEASE_SECONDS, Turns
from controller.simulator.scenario import START
from controller.simulator.simulation import Simulation

MARGIN_SECONDS = 60.0
DRIFT_SECONDS = 5.0
ROLLBACK_SECONDS = 1.0
ROLLBACK_AFTER_FAULT_SECONDS = 20.0
"""A lease and 10 s (L2)."""

REFUSED_SECONDS = 600.0
"""A teardown that the API server refuses is tried so long; then a person is asked."""


class Checker:
    """Watches one simulation.

    Attributes:
        history: the part that only needs the store.
    """

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        jumps = any(fault.kind == "clock-jump" for fault in sim.scenario.faults)
        self.history = History(clock_may_jump=jumps)
        self._drifted: dict[tuple[str, str], tuple[float, float]] = {}
        self._plane = DataPlane(sim, self.history.book)
        self._turns = Turns(sim, self.history.book)
        self._pods = EmptyGreen(sim, self.history.book)
        self._faults = [f.span for f in sim.scenario.faults]
        for shelf in sim.server.registry.shelves():
            for obj in shelf.all(""):
                self.history.commit(sim.clock.time, shelf.kind.kind, None, obj, "setup")
        sim.server.on_commit(self.commit)
        sim.mesh.on_proxy_update(self._plane.updated)

    @property
    def breaches(self) -> list[str]:
        """All breaches so far, with seconds since the start of the run."""
        return [str(Breach(b.at - START, b.name, b.sentence)) for b in self.history.breaches]

    def faulty(self, since: float) -> bool:
        """Whether a fault was at work since that time."""
        return any(begin <= self.sim.clock.time and end + MARGIN_SECONDS / 2 >= since for begin, end in self._faults)

    # Store.

    def commit(self, commit: Commit) -> None:
        """One change of the store."""
        kind = commit.kind.kind
        self._turns.time(commit.time)
        if kind in ("Pod", "ReplicaSet", "EndpointSlice", "Event", "Lease"):
            return
        now = commit.time
        if kind == "Deployment":
            self._pods.deployment(now, commit.new)
        if kind == "Deployment" and commit.field_manager in self.history.ours:
            self._plane.brought_down(commit.old, commit.new)
        before = self._rollbacks()
        self.history.commit(now, kind, commit.old, commit.new, commit.field_manager, named=commit.named)
        if kind == "Release":
            self._rolled_back_in_time(before)
            self._judged_by_numbers(commit)
        if kind == "VirtualService":
            self._drift(commit)
        self._drift_overdue(now)
        self._pods.time(now)

    def _rollbacks(self) -> dict[str, bool]:
        return {uid: bool(facts.status.get("rollback")) for uid, facts in self.history.releases.items()}

    def _rolled_back_in_time(self, before: Mapping[str, bool]) -> None:
        """L2: from the decision to weight 0 on every route that exists."""
        for uid, facts in self.history.releases.items():
            rollback = facts.status.get("rollback")
            if not rollback or before.get(uid) or facts.plan is None or not facts.status.get("exposedSince"):
                continue
            if facts.status.get("returning"):
                continue  # finish: home: the old version runs nowhere and comes up first; `rollback.blueReady` bounds that
            untaken = facts.status.get("reason") == ROLLBACK_REFUSED  # then the record says so, and it is tried again every second
            if not facts.zero_since and not untaken:
                self.history.breach("L2", f"{facts.name} recorded a rollback while green still has weight")
                continue
            decided = rollback.get("decidedAt", 0) - self.sim.clock.offset
            took = facts.zero_since - decided
            allowed = ROLLBACK_AFTER_FAULT_SECONDS if self.faulty(decided) else ROLLBACK_SECONDS
            if took > allowed:
                self.history.breach("L2", f"{facts.name}: {took:.1f} s from the verdict to weight 0, {allowed:.0f} s are allowed")

    def _judged_by_numbers(self, commit: Commit) -> None:
        """S13: no check that asks at its window's end passes at a moment at which the answers had no number, or more than one."""
        if commit.field_manager not in self.history.ours or self.sim.prometheus.spoilt_at != commit.time:
            return
        facts = self.history.releases.get(commit.last["metadata"]["uid"])
        if facts is None or facts.plan is None or all(check.sequential for check in facts.plan.checks):
            return
        stages = [((obj or {}).get("status") or {}).get("stages", ()) for obj in (commit.old, commit.new)]
        passed = [sum(stage.get("verdict") == "pass" for stage in these) for these in stages]
        if passed[1] > passed[0]:
            self.history.breach("S13", f"{facts.name}: stage {passed[1]} passed by an answer with the fault {self.sim.prometheus.fault}")

    def _drift(self, commit: Commit) -> None:
        """L4: somebody else raised green above what we commanded."""
        obj = commit.new
        if obj is None:
            return
        place = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        self._drifted.pop(place, None)
        for facts in self.history.releases.values():
            ref = facts.targets().get(place)
            if ref is None or facts.phase not in ("Shifting", "Measuring", "Baking", "Holding"):
                continue
            share = max((split.share for split in splits(facts, ref, obj)), default=0.0)
            if share > max(facts.status.get("weight", 0), facts.status.get("grant", 0)):
                self._drifted[place] = (commit.time, share)

    def _drift_overdue(self, now: float) -> None:
        for place, (since, share) in list(self._drifted.items()):
            if now - since > DRIFT_SECONDS and not self._cut_off(since):
                self.history.breach(
                    "L4", f"VirtualService {place[0]}/{place[1]}: green has {share:.0f} % by another hand for {now - since:.1f} s"
                )
                del self._drifted[place]

    def _cut_off(self, since: float) -> bool:
        kinds = {"api-down", "api-conflict", "api-lost-answer", "clock-jump", *LATE_READS}
        spans = [f.span for f in self.sim.scenario.faults if f.kind in kinds]
        return any(begin <= self.sim.clock.time and end + DRIFT_SECONDS >= since for begin, end in spans)

    # The end.

    def finish(self) -> list[str]:
        """L1, L4 and L6 at the end of a run; then all breaches."""
        now = self.history.book.now = self.sim.clock.time
        self._turns.time(now)
        self._drift_overdue(now)
        alive = [facts for facts in self.history.releases.values() if facts.phase not in FINAL]
        unfinished = [facts for facts in alive if not waits_for_person(facts.status)]
        last = max((end for _, end in self._faults), default=START)
        for facts in unfinished:
            budget = budget_seconds(facts)
            decided = (facts.status.get("rollback") or {}).get("decidedAt", 0.0) - self.sim.clock.offset
            since = max(last, facts.status.get("startedAt") or START, decided)
            if facts.phase != "Queued" and now - since > budget:
                self.history.breach(
                    "L1",
                    f"{facts.name} is {facts.phase} ({facts.status.get('reason')}) after {now - since:.0f} s, {budget:.0f} s are allowed",
                )
        asked = {plan_of(facts) for facts in alive if waits_for_person(facts.status)}
        stuck = [facts for facts in unfinished if plan_of(facts) not in asked]  # whoever queues behind another waits for the same person
        if stuck and all(facts.phase == "Queued" for facts in stuck) and now - last > MARGIN_SECONDS:
            names = ", ".join(facts.name for facts in stuck)
            self.history.breach("L6", f"{names}: everybody is Queued and nobody runs")
        return self.breaches


def plan_of(facts: ReleaseFacts) -> tuple[str, str]:
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


def watch(sim: Simulation) -> Checker:
    """Check everything that happens in this simulation from now on."""
    return Checker(sim)


def replay(commits: Iterable[tuple[float, str, Obj | None, Obj | None, str]], *, ours: Iterable[str] = ("penstock",)) -> list[Breach]:
    """The store's part over a recorded history: (time, kind, old, new, field manager), in the order of revisions."""
    history = History(ours=ours)
    for commit in commits:
        history.commit(*commit)
    return history.breaches
