"""Checks S1 to S17 on every commit and every update of a proxy, and L1 to L7 over the whole run.

    commits ------> History (invariants_store): pure, also for a real API server's watch history
    proxies ------> DataPlane (invariants_proxies): what users get of it
    looks --------> Turns (invariants_turns): who waits for whom
    time ---------> Liveness (invariants_liveness): how long things took, also for a watch history

START HERE with `watch(sim)`. Breaches are sentences; an empty list is good.
"""

from collections.abc import Iterable

from controller.ports import Obj
from controller.simulator.apiserver.storage import Commit
from controller.simulator.faults import LATE_READS
from controller.simulator.invariants_book import Breach
from controller.simulator.invariants_liveness import DRIFT_SECONDS, MARGIN_SECONDS, Liveness
from controller.simulator.invariants_pods import EmptyGreen
from controller.simulator.invariants_proxies import DataPlane
from controller.simulator.invariants_store import History
from controller.simulator.invariants_turns import Turns
from controller.simulator.scenario import START
from controller.simulator.simulation import Simulation


class SimulatedWorld:
    """What a simulation knows of itself."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._faults = [fault.span for fault in sim.scenario.faults]
        kinds = {"api-down", "api-conflict", "api-lost-answer", "clock-jump", *LATE_READS}
        self._blinding = [fault.span for fault in sim.scenario.faults if fault.kind in kinds]

    @property
    def clock_offset(self) -> float:
        """By how much the controller's clock is ahead."""
        return self._sim.clock.offset

    @property
    def quiet_since(self) -> float:
        """The end of the last fault."""
        return max((end for _, end in self._faults), default=START)

    @property
    def leaderless_since(self) -> float | None:
        """Since when nobody acts."""
        return self._sim.leaderless_since

    def disturbed(self, since: float, now: float) -> bool:
        """Whether a fault was at work, or had ended less than half a minute before."""
        return any(begin <= now and end + MARGIN_SECONDS / 2 >= since for begin, end in self._faults)

    def cut_off(self, since: float, now: float) -> bool:
        """Whether a fault hid what others wrote, or kept it from being undone."""
        return any(begin <= now and end + DRIFT_SECONDS >= since for begin, end in self._blinding)

    def late(self, _since: float, _now: float) -> float:
        """Nothing takes time here but what is simulated."""
        return 0.0


class Checker:
    """Watches one simulation.

    Attributes:
        history: the part that only needs the store.
    """

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        jumps = any(fault.kind == "clock-jump" for fault in sim.scenario.faults)
        self.history = History(clock_may_jump=jumps)
        self._plane = DataPlane(sim, self.history.book)
        self._liveness = Liveness(self.history.book, SimulatedWorld(sim))
        sim.on_look.append(Turns(sim, self.history.book).looked)
        self._pods = EmptyGreen(sim, self.history.book)
        for shelf in sim.server.registry.shelves():
            for obj in shelf.all(""):
                self.history.commit(sim.clock.time, shelf.kind.kind, None, obj, "setup")
        sim.server.on_commit(self.commit)
        sim.mesh.on_proxy_update(self._plane.updated)

    @property
    def breaches(self) -> list[str]:
        """All breaches so far, with seconds since the start of the run."""
        return [str(Breach(b.at - START, b.name, b.sentence)) for b in self.history.breaches]

    # Store.

    def commit(self, commit: Commit) -> None:
        """One change of the store."""
        kind = commit.kind.kind
        self._liveness.time(commit.time)
        if kind in ("Pod", "ReplicaSet", "EndpointSlice", "Event", "Lease"):
            return
        now = commit.time
        if kind == "Deployment":
            self._pods.deployment(now, commit.new)
        if kind == "Deployment" and commit.field_manager in self.history.ours:
            self._plane.brought_down(commit.old, commit.new)
        self.history.commit(now, kind, commit.old, commit.new, commit.field_manager, named=commit.named)
        self._liveness.commit(kind, commit.new)
        if kind == "Release":
            self._judged_by_numbers(commit)
        self._pods.time(now)

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

    # The end.

    def finish(self) -> list[str]:
        """What has not ended by the end of a run; then all breaches."""
        self._liveness.finish(self.sim.clock.time)
        return self.breaches


def watch(sim: Simulation) -> Checker:
    """Check everything that happens in this simulation from now on."""
    return Checker(sim)


def replay(commits: Iterable[tuple[float, str, Obj | None, Obj | None, str]], *, ours: Iterable[str] = ("penstock",)) -> list[Breach]:
    """The store's part over a recorded history: (time, kind, old, new, field manager), in the order of revisions."""
    history = History(ours=ours)
    for commit in commits:
        history.commit(*commit)
    return history.breaches
