"""Crash points: a client that fails at one chosen write.

A scenario runs once undisturbed and its writes are numbered. Then it runs again for each write and each way in which a
write can fail, and must leave the same footprint.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from controller.ports import ConflictError, Kind, Kube, KubeError, Listing, Obj, Patch, UnavailableError
from controller.simulator.footprint import Footprint, Recorder, differences, fought_over
from controller.simulator.landmarks import Landmark, Mark, survey
from controller.simulator.run import Result, run_scenario
from controller.simulator.scenario import Scenario
from controller.simulator.simulation import ControllerKilled, Simulation


class Mode(StrEnum):
    """How a write fails."""

    CRASH_BEFORE = "crash-before"
    CRASH_AFTER = "crash-after"
    LOST = "lost"
    LATE_1 = "late-1"
    LATE_3 = "late-3"
    LATE_10 = "late-10"
    CONFLICT = "conflict"
    ERROR = "error-500"
    PAUSED = "paused"
    PAUSED_LONG = "paused-long"


LATE = {Mode.LATE_1: 1, Mode.LATE_3: 3, Mode.LATE_10: 10}
"""Further requests of the controller until the server applies the write that timed out."""

PAUSE_SECONDS = {Mode.PAUSED: 40.0, Mode.PAUSED_LONG: 4 * 3600.0}
"""How long the leader stands still before the write while another one acts; the long pause ends in the teardown or with the release."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write of the undisturbed run."""

    number: int
    verb: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.number} {self.verb} {self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Point:
    """Which write fails, and how."""

    number: int
    mode: Mode


class CrashingKube:
    """The controller's client: numbers its writes and lets one of them fail.

    Attributes:
        writes: all writes so far.
        pause: stands still for some seconds while another leader takes over; set by `play`.
    """

    def __init__(self, inner: Kube, point: Point | None = None) -> None:
        self.inner, self.point = inner, point
        self.writes: list[Write] = []
        self._late: list[tuple[int, Callable[[], Any]]] = []
        self._requests = 0
        self.pause: Callable[[float], None] = lambda _seconds: None

    def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        """One object."""
        self._step()
        return self.inner.get(kind, namespace, name)

    def list(self, kind: Kind, namespace: str = "", *, labels: str = "") -> Listing:
        """All objects of a kind."""
        self._step()
        return self.inner.list(kind, namespace, labels=labels)

    def create(self, kind: Kind, namespace: str, body: Obj) -> Obj:
        """Create."""
        meta = body["metadata"]
        stored: Obj = self._write("create", kind, namespace, meta.get("name", ""), lambda: self.inner.create(kind, namespace, body))
        return stored

    def patch(self, kind: Kind, namespace: str, name: str, body: Any, how: Patch = Patch.MERGE, *, subresource: str = "") -> Obj:
        """Patch."""
        verb = f"patch/{subresource}" if subresource else "patch"
        send = partial(self.inner.patch, kind, namespace, name, body, how, subresource=subresource)
        stored: Obj = self._write(verb, kind, namespace, name, send)
        return stored

    def delete(self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str = "") -> None:
        """Delete."""
        self._write(
            "delete", kind, namespace, name, lambda: self.inner.delete(kind, namespace, name, uid=uid, resource_version=resource_version)
        )

    @property
    def settled(self) -> bool:
        """Nothing is on its way to the server."""
        return not self._late

    def about_to_write(self, number: int) -> None:
        """Called before each write; a subclass may choose here how it fails."""

    def _step(self) -> None:
        """A request of the controller: time for what was on its way to arrive."""
        self._requests += 1
        due = [send for at, send in self._late if at <= self._requests]
        self._late = [(at, send) for at, send in self._late if at > self._requests]
        for send in due:
            try:
                send()
            except KubeError:
                continue  # nobody waits for this answer any more

    def _write(self, verb: str, kind: Kind, namespace: str, name: str, send: Callable[[], Any]) -> Any:
        self._step()
        number = len(self.writes)
        self.writes.append(Write(number, verb, kind.kind, namespace, name))
        self.about_to_write(number)
        if self.point is None or self.point.number != number:
            return send()
        mode = self.point.mode
        if mode in PAUSE_SECONDS:
            self.pause(PAUSE_SECONDS[mode])
            return send()
        match mode:
            case Mode.CRASH_BEFORE:
                raise ControllerKilled
            case Mode.CONFLICT:
                raise ConflictError(409, "Conflict", "the object has been modified; please apply your changes to the latest version")
            case Mode.ERROR:
                raise UnavailableError(500, "InternalError", "etcdserver: leader changed")
            case Mode.CRASH_AFTER:
                self._send_unheard(send)
                raise ControllerKilled
            case Mode.LOST:
                self._send_unheard(send)
            case Mode.LATE_1 | Mode.LATE_3 | Mode.LATE_10:
                self._late.append((self._requests + LATE[mode], send))
        raise UnavailableError(0, "Timeout", "The API server did not answer in time.")

    @staticmethod
    def _send_unheard(send: Callable[[], Any]) -> None:
        try:
            send()
        except KubeError:
            return


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The undisturbed run.

    Attributes:
        landmarks: what stood at the first look of each phase.
    """

    writes: tuple[Write, ...]
    footprint: Footprint
    result: Result
    landmarks: Mapping[Mark, Landmark] = field(default_factory=dict)


class Checks(Protocol):
    """A checker of a run."""

    @property
    def breaches(self) -> list[str]:
        """All so far, as sentences."""

    def finish(self) -> list[str]:
        """All breaches, as sentences."""


Watcher = Callable[[Simulation], Checks]
"""Attaches a checker to a simulation."""


Client = Callable[[Kube, Point | None], CrashingKube]
"""Makes the controller's client of a run."""


def play(
    scenario: Scenario,
    folder: Path,
    point: Point | None,
    watch: Watcher | None = None,
    *,
    client: Client = CrashingKube,
    sound: Callable[[Landmark], None] = lambda _landmark: None,
) -> Rehearsal:
    """Run a scenario with one write failing, or none. Breaches of the watcher are among the result's problems.

    `sound` is told of each landmark without a breach so far and with nothing under way.
    """
    kept: list[tuple[CrashingKube, Recorder, Checks | None]] = []
    landmarks: dict[Mark, Landmark] = {}

    def reached(landmark: Landmark) -> None:
        landmarks[landmark.mark] = landmark
        kube, _, checks = kept[0]
        if kube.settled and not (checks and checks.breaches):
            sound(landmark)

    def prepare(sim: Simulation) -> None:
        kube = client(sim.kube, point)
        sim.kube = sim.cache = kube
        kube.pause = lambda seconds: hand_over(sim, kube.inner, seconds)
        kept.append((kube, Recorder(sim), watch(sim) if watch else None))
        survey(sim, kept[0][1], reached)

    result = run_scenario(scenario, folder, prepare=prepare)
    kube, recorder, checks = kept[0]
    result.problems += checks.finish() if checks else []
    return Rehearsal(tuple(kube.writes), recorder.seen(), result, landmarks)


def hand_over(sim: Simulation, client: Kube, seconds: float) -> None:
    """Another leader acts, with a client of its own, while the caller stands still in the middle of a look."""
    keys = sorted(sim.owners.unfinished())
    sim.say("the leader stands still, another one takes over")
    sim.kube = sim.cache = client
    sim.restart_controller()
    sim.run_until(sim.clock.time + seconds, lambda: bool(keys) and all(past_danger(sim.release(key)) for key in keys))
    sim.say("the deposed leader goes on")


def past_danger(release: Obj | None) -> bool:
    """A rollback has put everybody on blue, or the release has ended: here a late write does the most harm."""
    return release is None or (release.get("status") or {}).get("phase") in ("TearingDown", "Succeeded", "RolledBack", "Refused", "Halted")


def disturb(scenario: Scenario, folder: Path, clean: Rehearsal, point: Point, watch: Watcher | None = None) -> list[str]:
    """Run it with one write failing: everything that came out otherwise; empty is good."""
    return compare(scenario, clean, play(scenario, folder, point, watch))


def compare(scenario: Scenario, clean: Rehearsal, other: Rehearsal) -> list[str]:
    """Everything that came out otherwise; empty is good."""
    return [*other.result.problems, *differences(clean.footprint, other.footprint, fought=fought_over(scenario))]
