"""Runs one scenario to its end and says what happened: the transcript, the outcome, and whether it was the expected one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.api.release import ReleaseStatus
from controller.core.phases import FINAL
from controller.ports import RELEASE, KubeError, Obj
from controller.reconcile import Key, Outcome
from controller.simulator import faults, people
from controller.simulator.apiserver.errors import ApiError
from controller.simulator.apiserver.storage import Commit
from controller.simulator.definitions import all_definitions, load_objects
from controller.simulator.scenario import START, Scenario
from controller.simulator.simulation import Simulation, SimulationError

QUIET_SECONDS = 3600.0
"""Finished must stay finished for so long (L3)."""


REST_SECONDS = 60.0
"""A release that waits for a person still corrects what others do: so long it is watched after it came to rest."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a transcript: seconds since the start, and what happened."""

    at: float
    text: str

    def __str__(self) -> str:
        total = max(0, round(self.at))
        return f"{total // 3600:02d}:{total % 3600 // 60:02d}:{total % 60:02d}  {self.text}"


@dataclass(slots=True)
class Result:
    """What came out.

    Attributes:
        transcript: in order of time.
        problems: how it differs from what was expected, and breaches of invariants; empty is good.
        status: of the first release, at the end, or when it went.
        gone: whether the first release was deleted.
        looks, queries, revisions: how much work it was.
    """

    scenario: str
    seed: int
    transcript: list[Line] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    status: ReleaseStatus | None = None
    gone: bool = False
    ended_at: float = 0.0
    looks: int = 0
    queries: int = 0
    revisions: int = 0


class Teller:
    """Turns the controller's decisions into prose, a line whenever something changes."""

    def __init__(self, sim: Simulation, result: Result) -> None:
        self._sim, self._result = sim, result
        self._last: dict[Key, tuple[object, ...]] = {}
        self._said = 0
        sim.on_look.append(self.look)

    def look(self, key: Key, outcome: Outcome) -> None:
        """One reconcile of one release."""
        self.catch_up()
        if outcome.decision is None:
            return
        status = outcome.decision.status
        now = (status.phase, status.reason, status.weight, status.grant)
        if self._last.get(key) == now or not status.reason:
            return
        self._last[key] = now
        name = f"{key[1]}  " if len(self._last) > 1 else ""
        self._add(self._sim.clock.time, f"{name}{status.phase:<12} {status.weight:>3} %  {status.message}")

    def catch_up(self) -> None:
        """Faults and people since the last line."""
        for time, text in self._sim.sayings[self._said :]:
            self._add(time, f"-- {text}")
        self._said = len(self._sim.sayings)

    def _add(self, time: float, text: str) -> None:
        self._result.transcript.append(Line(time - START, text))


Prepare = Callable[[Simulation], None]


def run_scenario(scenario: Scenario, folder: Path, *, seed: int = 0, prepare: Prepare | None = None) -> Result:
    """Run it. `prepare` may add checkers or switch defects on before the release starts. Raises `SimulationError`."""
    objects = [*load_objects(folder / scenario.world), *load_objects(folder / scenario.plan)]
    return run_objects(scenario, objects, seed=seed, prepare=prepare)


def run_objects(scenario: Scenario, objects: list[dict[str, Any]], *, seed: int = 0, prepare: Prepare | None = None) -> Result:
    """As `run_scenario`, with the objects at hand."""
    plan = plan_of(objects)
    namespace, plan_name = plan["metadata"].get("namespace", "default"), plan["metadata"]["name"]
    name = scenario.release.name or f"{plan_name}-{scenario.release.revision}"
    try:
        sim = Simulation(scenario, objects, all_definitions(), seed=seed)
    except ApiError as error:
        raise SimulationError(f"the API server refuses an object of its files: {error}") from error
    result = Result(scenario.name, seed)
    teller = Teller(sim, result)
    if prepare is not None:
        prepare(sim)
    key = (namespace, name)
    last: list[Obj] = []
    sim.server.on_commit(lambda commit: last.append(commit.last) if commit.new is None and is_of(commit, key) else None)
    try:
        people.start(sim, namespace, plan_name, scenario.release, name=name)
    except KubeError as error:
        raise SimulationError(f"the API server refuses its release: {error}") from error
    for fault in scenario.faults:
        faults.arrange(sim, key, fault)
    for act in scenario.people:
        people.arrange(sim, namespace, plan_name, name, act)
    last_deed = START + max([*(act.at for act in scenario.people), *(fault.at for fault in scenario.faults)], default=0.0)
    sim.run_until(START + scenario.limit, ends_after(last_deed, sim, key))
    result.ended_at = sim.clock.time - START
    if over(sim, key):
        sim.run_until(sim.clock.time + REST_SECONDS, lambda: False)
        quiet(sim, key, result)
    teller.catch_up()
    finish(sim, key, scenario, result, last)
    return result


def plan_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The plan that the scenario's release is about: the first among the objects."""
    plans = [o for o in objects if o.get("kind") == "ReleasePlan"]
    if not plans:
        raise SimulationError("found no ReleasePlan, expected one in the scenario's plan file")
    return plans[0]


def ends_after(last_deed: float, sim: Simulation, key: Key) -> Callable[[], bool]:
    """Whether all has come to rest since the last deed of a person and the begin of the last fault: none is left out without a word.

    What was seen at a revision of the store is not looked at again.
    """
    seen = -1

    def ended() -> bool:
        nonlocal seen
        if sim.clock.time <= last_deed or sim.server.revision == seen:
            return False
        seen = sim.server.revision
        return over(sim, key)

    return ended


def over(sim: Simulation, key: Key) -> bool:
    """Whether every release has come to rest: finished with nothing left to do, or waiting for a person."""
    return not any(not at_rest(sim.release(other)) for other in {key, *sim.owners.unfinished()})


def at_rest(release: Obj | None) -> bool:
    """Finished and given everything back, or waiting for a person; one that also waits for data is not at rest."""
    if release is None:
        return True
    status = release.get("status") or {}
    if status.get("phase") in FINAL:
        return not release["metadata"].get("finalizers")
    held = status.get("hold") or {}
    return status.get("phase") == "Halted" or (
        status.get("phase") == "Holding" and bool(held.get("waitsFor")) and held.get("until") is None and held.get("then") != "wait"
    )


def quiet(sim: Simulation, key: Key, result: Result) -> None:
    """L3, S16: a finished release causes no further write for an hour."""
    release = sim.release(key)
    if release is None or (release.get("status") or {}).get("phase") not in FINAL:
        return
    written: list[Commit] = []
    sim.server.on_commit(lambda commit: written.append(commit) if of_ours(commit, key) else None)
    sim.run_until(sim.clock.time + QUIET_SECONDS, lambda: False)
    if written:
        result.problems.append("L3: the finished release was written again within an hour")


def of_ours(commit: Commit, key: Key) -> bool:
    """Whether the controller wrote this Release."""
    return is_of(commit, key) and commit.field_manager == "penstock"


def is_of(commit: Commit, key: Key) -> bool:
    """Whether it is about this Release."""
    meta = commit.last["metadata"]
    return commit.kind == RELEASE and (meta["namespace"], meta["name"]) == key


def finish(sim: Simulation, key: Key, scenario: Scenario, result: Result, last: Sequence[Obj] = ()) -> None:
    """Compare with what was expected; of a release that was deleted (`last`: as it was when it went) as far as it came."""
    result.looks, result.queries, result.revisions = sim.looks, sim.prometheus.asked, sim.server.revision
    release, expect = sim.release(key), scenario.expect
    result.gone = release is None
    status = ReleaseStatus.model_validate((release or last[-1]).get("status") or {})
    if result.gone and status.phase not in FINAL:
        result.problems.append("the release is gone, and had not ended")
    result.status = status
    reasons = {status.reason, *([status.rollback.reason] if status.rollback else []), *([status.hold.reason] if status.hold else [])}
    differences = [
        ("phase", status.phase, expect.phase, status.phase is expect.phase),
        ("reason", ", ".join(sorted(reasons)), expect.reason, not expect.reason or expect.reason in reasons),
        (
            "most weight",
            status.max_weight,
            f"at most {expect.max_weight}",
            expect.max_weight is None or status.max_weight <= expect.max_weight,
        ),
        (
            "most weight",
            status.max_weight,
            f"at least {expect.min_weight}",
            expect.min_weight is None or status.max_weight >= expect.min_weight,
        ),
        (
            "check",
            status.rollback.check if status.rollback else "none",
            expect.check,
            not expect.check or (status.rollback is not None and status.rollback.check == expect.check),
        ),
        (
            "end",
            f"{(status.finished_at or START + result.ended_at) - START:.0f} s",
            f"within {expect.within} s",
            expect.within is None or (status.finished_at or START + result.ended_at) - START <= expect.within,
        ),
    ]
    result.problems += [f"{what}: found {found}, expected {wanted}" for what, found, wanted, ok in differences if not ok]
