"""Crash points: a client that fails at one chosen write, and what a run left behind, so that two runs can be compared.

A scenario runs once undisturbed and its writes are numbered. Then it runs again for each write and each way in which a
write can fail. Whatever happened, the end must be the same, made by the same number of creates, effective updates and
deletes: a crash may cost time, never a second effect (S11, S15).
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import orjson

from controller.adapters import marks
from controller.ports import ConflictError, Kind, Kube, KubeError, Listing, Obj, Patch, UnavailableError
from controller.simulator.apiserver.storage import Commit
from controller.simulator.run import Result, run_scenario
from controller.simulator.run import at_rest as came_to_rest
from controller.simulator.scenario import Scenario
from controller.simulator.simulation import START, ControllerKilled, Simulation

OURS = "penstock"
"""Field manager of the controller."""


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


@dataclass(slots=True)
class Footprint:
    """What a run left behind, without epochs, times and uids.

    Attributes:
        objects: end state by `Kind namespace/name`.
        creates, updates, deletes: how often the controller did so, by object; updates that only stamp are in `stamps`.
    """

    objects: dict[str, Any] = field(default_factory=dict)
    creates: Counter[str] = field(default_factory=Counter)
    updates: Counter[str] = field(default_factory=Counter)
    stamps: Counter[str] = field(default_factory=Counter)
    deletes: Counter[str] = field(default_factory=Counter)


EXEMPT = frozenset({"Event", "Lease"})
DERIVED = frozenset({"Pod", "ReplicaSet", "EndpointSlice", "CustomResourceDefinition"})
"""Written by others in answer to what we do; their names and times differ from run to run."""

RELEASE_FACTS = (
    "phase",
    "reason",
    "phaseCounter",
    "planHash",
    "blueSlot",
    "mode",
    "blueSubset",
    "greenSubset",
    "stage",
    "weight",
    "grant",
    "maxWeight",
    "imagesBefore",
    "requests",
)
"""Fields of a Release's status that no delay may change."""


class Recorder:
    """Listens to the commits of a run and keeps its footprint."""

    def __init__(self, sim: Simulation) -> None:
        self.print = Footprint()
        self._server = sim.server
        self._effects: dict[str, tuple[str, str]] = {}
        sim.server.on_commit(self.commit)

    def commit(self, commit: Commit) -> None:
        """One change of the store."""
        kind = commit.kind.kind
        if kind in EXEMPT or kind in DERIVED:
            return
        place = title(kind, commit.last)
        if commit.field_manager != OURS:
            return
        if commit.old is None:
            self.print.creates[place] += 1
        elif commit.new is None:
            self.print.deletes[place] += 1
        else:
            old, new = self._effect(place, kind, commit.old), self._effect(place, kind, commit.new)
            if old != new:
                self.print.updates[place] += 1
            elif stamp_of(commit.old) != stamp_of(commit.new):
                self.print.stamps[place] += 1

    def _effect(self, place: str, kind: str, obj: Obj) -> str:
        """The effect of an object, worked out once for what is new in one commit and old in the next."""
        version = obj["metadata"]["resourceVersion"]
        known = self._effects.get(place)
        if known is None or known[0] != version:
            known = self._effects[place] = (version, effect(kind, obj))
        return known[1]

    def seen(self) -> Footprint:
        """The footprint so far, with the present state."""
        mine = self.print
        found = Footprint({}, Counter(mine.creates), Counter(mine.updates), Counter(mine.stamps), Counter(mine.deletes))
        for shelf in self._server.registry.shelves():
            if shelf.kind.kind in EXEMPT or shelf.kind.kind in DERIVED:
                continue
            for obj in shelf.all(""):
                found.objects[title(shelf.kind.kind, obj)] = essence(shelf.kind.kind, obj)
        return found


UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
HISTORY = re.compile(r"(penstock-history-.*)-[0-9a-f]{8}$")
OF_REQUEST = re.compile(r"(.*-request-.*)-[0-9a-f]{8}$")
"""A record's key ends in the uid of the request: uids are numbered, so that one Event less makes another one."""
GENERATED = re.compile(r"-[a-z0-9]{5}$")


def title(kind: str, obj: Obj) -> str:
    """`Kind namespace/name`, without the uid that a history's name ends in, and without the letters that the server drew."""
    meta = obj["metadata"]
    name = HISTORY.sub(r"\1", meta["name"])
    if meta.get("generateName"):
        name = GENERATED.sub("-", name)
    return f"{kind} {meta.get('namespace', '')}/{name}"


def stamp_of(obj: Obj) -> str:
    """The rollback stamp."""
    return marks.annotation(obj, marks.STAMP)


OF_ONE_WRITE = frozenset({marks.EPOCH, marks.STAMP, marks.BECAUSE})
"""Annotations that tell which write it was, not what it wrote."""


def essence(kind: str, obj: Obj) -> Any:
    """What of an object two runs must agree on."""
    return orjson.loads(canonical(kept_of(kind, obj)))


def kept_of(kind: str, obj: Obj) -> dict[str, Any]:
    """The parts of an object that two runs must agree on, uids included."""
    meta = obj["metadata"]
    annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if key not in OF_ONE_WRITE}
    kept: dict[str, Any] = {
        "labels": meta.get("labels") or {},
        "annotations": annotations,
        "finalizers": meta.get("finalizers") or [],
        "spec": obj.get("spec"),
        "deleted": "deletionTimestamp" in meta,
    }
    match kind:
        case "Release":
            kept["status"] = release_facts(obj.get("status") or {})
        case "ReleasePlan" | "ReleaseRequest":
            kept["status"] = {k: v for k, v in (obj.get("status") or {}).items() if k not in ("epoch", "answeredAt")}
        case "ConfigMap":
            kept["data"] = {OF_REQUEST.sub(r"\1", key): history_words(value) for key, value in (obj.get("data") or {}).items()}
        case _:
            pass
    return kept


def effect(kind: str, obj: Obj) -> str:
    """What of an object makes an update one that counts, as text: the word of a release that waits a moment longer does not."""
    kept = kept_of(kind, obj)
    if kind == "Release":
        del kept["status"]["reason"]
    return canonical(kept)


def canonical(value: Any) -> str:
    """JSON with sorted keys and without uids."""
    return UID.sub("uid", orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS).decode())


def release_facts(status: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a status that are not times or measurements."""
    facts = {key: status.get(key) for key in RELEASE_FACTS}
    facts["stages"] = [(stage.get("weight"), stage.get("verdict"), bool(stage.get("skipped"))) for stage in status.get("stages", ())]
    facts["rollback"] = {k: (status.get("rollback") or {}).get(k) for k in ("reason", "check", "target", "maxWeight")}
    facts["reached"] = sorted(k for k, v in (status.get("rollback") or {}).items() if k.endswith("At") and v)
    facts["hold"] = {k: (status.get("hold") or {}).get(k) for k in ("reason", "then", "waitsFor", "phase")}
    facts["retention"] = {k: (status.get("retention") or {}).get(k) for k in ("shrunk", "done")}
    facts["objects"] = sorted(f"{o.get('kind')} {o.get('namespace')}/{o.get('name')} {o.get('made')}" for o in status.get("objects", ()))
    facts["capacity"] = status.get("capacity")
    return facts


def history_words(value: str) -> Any:
    """A record without its times and numbers; other data as they are."""
    try:
        entry = json.loads(value)
    except ValueError:
        return value
    return (entry["kind"], entry["reason"]) if isinstance(entry, dict) and "reason" in entry and "at" in entry else value


def differences(clean: Footprint, other: Footprint, *, fought: frozenset[str] = frozenset()) -> list[str]:
    """How a disturbed run differs from the undisturbed one, as sentences.

    Objects in `fought` have another writer who comes again and again: how often he is answered depends on the delay.
    """
    found: list[str] = []
    elsewhere = gone_back_elsewhere(clean, other)
    fought |= elsewhere.keys()
    for place in sorted(clean.objects.keys() | other.objects.keys()):
        before, after = clean.objects.get(place), other.objects.get(place)
        if place in elsewhere:
            before, after = elsewhere[place](before), elsewhere[place](after)
        if before != after:
            found.append(f"{place} ended otherwise: {first_difference(before, after)}")
    for what in ("creates", "updates", "deletes"):
        mine, theirs = getattr(clean, what), getattr(other, what)
        found += [
            f"{place}: {theirs[place]} {what}, undisturbed {mine[place]}"
            for place in sorted(mine.keys() | theirs.keys())
            if mine[place] != theirs[place] and place not in fought
        ]
    for place in sorted(other.stamps):
        if other.stamps[place] > clean.stamps[place] + 1 and place not in fought:
            found.append(f"{place}: {other.stamps[place]} writes that only stamp, undisturbed {clean.stamps[place]}, one more is allowed")
    return found


def gone_back_elsewhere(clean: Footprint, other: Footprint) -> dict[str, Callable[[Any], Any]]:
    """Objects of releases that a trigger put back in another phase than undisturbed, and what of these is compared.

    Triggers have their own clock: a delay of a second, or a successor that asks again at once, moves their polls against
    the scrapes. Which phase a failure falls into is chance then; why the release goes back, and everything else, is not.
    """
    found: dict[str, Callable[[Any], Any]] = {}
    for place in (place for place in clean.objects if place.startswith("Release ")):
        both = [print_.objects.get(place, {}).get("status", {}) for print_ in (clean, other)]
        causes = [((status.get("rollback") or {}).get("reason"), (status.get("rollback") or {}).get("check")) for status in both]
        counters = [status.get("phaseCounter") for status in both]
        if causes[0] == causes[1] and "Trigger" in str(causes[0][0]) and counters[0] != counters[1]:
            found[place] = _how_it_ended
            namespace, _, name = place.removeprefix("Release ").partition("/")
            found[f"ConfigMap {namespace}/penstock-history-{name}"] = _last_words
    return found


def _how_it_ended(release: Any) -> Any:
    kept = ("phase", "reason", "stage", "weight", "grant", "maxWeight", "rollback", "reached", "objects", "capacity")
    return {**release, "status": {key: release["status"].get(key) for key in kept}}


def _last_words(history: Any) -> Any:
    return sorted(str(words) for words in history["data"].values() if words[0] in ("rollback", "finished"))


def first_difference(before: Any, after: Any, path: str = "") -> str:
    """Where two JSON values part, in words."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                return first_difference(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    return f"{path or 'object'} is {json.dumps(after)[:200]}, undisturbed {json.dumps(before)[:200]}"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The undisturbed run.

    Attributes:
        rests: what stood just before each later release was started, by virtual time: everything was at rest there.
    """

    writes: tuple[Write, ...]
    footprint: Footprint
    result: Result
    rests: Mapping[float, Footprint] = field(default_factory=dict)


class Checks(Protocol):
    """A checker at the end of a run."""

    def finish(self) -> list[str]:
        """All breaches, as sentences."""


Watcher = Callable[[Simulation], Checks]
"""Attaches a checker to a simulation."""


Client = Callable[[Kube, Point | None], CrashingKube]
"""Makes the controller's client of a run."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A moment of a run in which every release has come to rest, just before the next one is started."""

    time: float
    footprint: Footprint
    breaches: tuple[str, ...]
    settled: bool
    """No write of the controller is still on its way."""


BEFORE_START_SECONDS = 1.0


def play(
    scenario: Scenario,
    folder: Path,
    point: Point | None,
    watch: Watcher | None = None,
    *,
    client: Client = CrashingKube,
    at_rest: Callable[[Rest], None] = lambda _rest: None,
) -> Rehearsal:
    """Run a scenario with one write failing, or none. Breaches of the watcher are among the result's problems."""
    kept: list[tuple[CrashingKube, Recorder, Checks | None]] = []
    rests: dict[float, Footprint] = {}

    def look(sim: Simulation, time: float) -> None:
        if all(came_to_rest(sim.release(key)) for key in sim.owners.unfinished()):
            kube, recorder, checks = kept[0]
            rests[time] = recorder.seen()
            at_rest(Rest(time, rests[time], tuple(checks.finish() if checks else ()), kube.settled))

    def prepare(sim: Simulation) -> None:
        kube = client(sim.kube, point)
        sim.kube = sim.cache = kube
        kube.pause = lambda seconds: hand_over(sim, kube.inner, seconds)
        kept.append((kube, Recorder(sim), watch(sim) if watch else None))
        for act in scenario.people:
            if act.verb == "start":
                time = START + act.at - BEFORE_START_SECONDS
                sim.at(time, partial(look, sim, time))

    result = run_scenario(scenario, folder, prepare=prepare)
    kube, recorder, checks = kept[0]
    result.problems += checks.finish() if checks else []
    return Rehearsal(tuple(kube.writes), recorder.seen(), result, rests)


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


def fought_over(scenario: Scenario) -> frozenset[str]:
    """Objects that another writer writes again and again."""
    return frozenset(fault.target for fault in scenario.faults if fault.kind == "drift" and fault.every)
