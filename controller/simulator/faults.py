"""What goes wrong in a scenario, and the client that the faults of the API server act through.

Each fault is a small function of the simulation. The controller never knows that it is simulated: it
sees refusals, lost answers, other writers and a wrong clock, as in production.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from controller.adapters.istio.sides import Side
from controller.adapters.istio.view import status_sides
from controller.adapters.records import read_plan, read_subject
from controller.ports import (
    DEPLOYMENT,
    DESTINATION_RULE,
    HPA,
    RELEASE,
    RELEASE_PLAN,
    SERVICE,
    VIRTUAL_SERVICE,
    ConflictError,
    Kind,
    Kube,
    KubeError,
    Listing,
    Obj,
    Patch,
    UnavailableError,
)
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.scenario import Fault
from controller.simulator.simulation import START, Simulation, SimulationError

KINDS = {kind.kind: kind for kind in (VIRTUAL_SERVICE, DESTINATION_RULE, DEPLOYMENT, SERVICE, HPA, RELEASE_PLAN, RELEASE)}


class FaultyKube:
    """The controller's client, which may lose answers, conflict or be cut off.

    Attributes:
        down: every request fails.
        lose: how many further writes are applied with their answer lost.
        conflict: how many further writes are refused because somebody wrote in between.
    """

    def __init__(self, inner: Kube) -> None:
        self.inner = inner
        self.down = False
        self.lose = 0
        self.conflict = 0

    def _cut(self) -> None:
        if self.down:
            raise UnavailableError(0, "Unreachable", "The API server cannot be reached: connection refused.")

    def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        """One object."""
        self._cut()
        return self.inner.get(kind, namespace, name)

    def list(self, kind: Kind, namespace: str = "", *, labels: str = "") -> Listing:
        """All objects of a kind."""
        self._cut()
        return self.inner.list(kind, namespace, labels=labels)

    def create(self, kind: Kind, namespace: str, body: Obj) -> Obj:
        """Create."""
        created: Obj = self._write(lambda: self.inner.create(kind, namespace, body))
        return created

    def patch(self, kind: Kind, namespace: str, name: str, body: Any, how: Patch = Patch.MERGE, *, subresource: str = "") -> Obj:
        """Patch."""
        patched: Obj = self._write(lambda: self.inner.patch(kind, namespace, name, body, how, subresource=subresource))
        return patched

    def delete(self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str = "") -> None:
        """Delete."""
        self._write(lambda: self.inner.delete(kind, namespace, name, uid=uid, resource_version=resource_version))

    def _write(self, send: Callable[[], Any]) -> Any:
        self._cut()
        if self.conflict:
            self.conflict -= 1
            raise ConflictError(409, "Conflict", "the object has been modified; please apply your changes to the latest version")
        answer = send()
        if self.lose:
            self.lose -= 1
            raise UnavailableError(0, "Timeout", "The API server did not answer in time.")
        return answer


def arrange(sim: Simulation, key: tuple[str, str], fault: Fault) -> None:
    """Put a fault into the simulation's future."""
    begin, end = START + fault.at, START + fault.at + fault.lasts
    times = list(_times(begin, end, fault.every))
    for time in times:
        sim.at(time, lambda: strike(sim, key, fault))
    if fault.lasts and not fault.every:
        sim.at(end, lambda: relieve(sim, key, fault))


def _times(begin: float, end: float, every: float | None) -> Iterator[float]:
    yield begin
    while every and begin + every <= end:
        begin += every
        yield begin


def strike(sim: Simulation, key: tuple[str, str], fault: Fault) -> None:  # noqa: C901 - one branch a fault
    """The fault begins, or happens."""
    sim.say(f"fault: {fault.kind}{f' {fault.target}' if fault.target else ''}{f' {fault.weight} %' if fault.weight is not None else ''}")
    match fault.kind:
        case "crash":
            sim.restart_controller()
        case "api-down":
            faulty(sim).down = True
        case "api-conflict":
            faulty(sim).conflict += 1
        case "api-lost-answer":
            faulty(sim).lose += 1
        case "control-plane-down":
            sim.mesh.stop_control_plane()
        case "clock-jump":
            sim.clock.offset += fault.seconds
            sim.queue_everything()
        case "probe":
            sim.failing_probes |= probe_hosts(sim, key, fault.colour)
        case "drift":
            drift(sim, key, fault)
        case "delete" | "patch":
            meddle(sim, fault)
        case "stale-reads":
            sim.cache_lag = fault.seconds
        case _:
            sim.prometheus.fault = fault.kind


def relieve(sim: Simulation, key: tuple[str, str], fault: Fault) -> None:
    """A lasting fault ends."""
    sim.say(f"fault ends: {fault.kind}")
    match fault.kind:
        case "api-down":
            faulty(sim).down = False
        case "control-plane-down":
            sim.mesh.start_control_plane(sim.clock.time)
        case "probe":
            sim.failing_probes -= probe_hosts(sim, key, fault.colour)
        case "stale-reads":
            sim.cache_lag = 0.0
        case kind if kind.startswith("prometheus"):
            sim.prometheus.fault = ""
        case _:
            pass


def faulty(sim: Simulation) -> FaultyKube:
    """The controller's client with its faults."""
    if not isinstance(sim.kube, FaultyKube):
        wrapped = FaultyKube(sim.kube)
        if sim.cache is sim.kube:
            sim.cache = wrapped
        sim.kube = wrapped
    return sim.kube


def probe_hosts(sim: Simulation, key: tuple[str, str], colour: str) -> set[str]:
    """Host parts of the probes of a colour's Services."""
    obj = sim.release(key)
    if obj is None:
        return set()
    subject = read_subject(obj)
    plan = read_plan(InMemoryKube(sim.server), key[0], subject.spec.plan).spec
    if plan is None:
        return set()
    blue = max(subject.status.blue_slot, 0)
    wanted = {"green": (1 - blue,), "blue": (blue,), "both": (0, 1)}[colour]
    return {f"//{m.service_name}{plan.slots[i].suffix}.{plan.slots[i].namespace or key[0]}." for m in plan.all_members for i in wanted}


def drift(sim: Simulation, key: tuple[str, str], fault: Fault) -> None:
    """Somebody writes other weights by hand."""
    obj = sim.release(key)
    kind, namespace, name = parse_target(fault.target)
    people = InMemoryKube(sim.server, user="bob", field_manager="kubectl-edit")
    try:
        route = people.get(kind, namespace, name)
    except KubeError:
        return
    if obj is None:
        return
    subject = read_subject(obj)
    plan = read_plan(people, key[0], subject.spec.plan).spec
    sides = status_sides(replace(subject, plan=plan))
    green = fault.weight or 0
    ops = []
    for i, rule in enumerate(route["spec"].get("http", ())):
        colours = {}
        for j, entry in enumerate(rule.get("route", ())):
            destination = entry["destination"]
            host = resolve(destination["host"], namespace)
            colours[j] = sides.side(host, destination.get("subset", ""))
        if set(colours.values()) >= {Side.BLUE, Side.GREEN}:
            ops += [
                {"op": "add", "path": f"/spec/http/{i}/route/{j}/weight", "value": green if side is Side.GREEN else 100 - green}
                for j, side in colours.items()
            ]
    if ops:
        people.patch(kind, namespace, name, ops, Patch.JSON)


def resolve(host: str, namespace: str) -> str:
    """The complete name of a host."""
    return host if "." in host else f"{host}.{namespace}.svc.cluster.local"


def meddle(sim: Simulation, fault: Fault) -> None:
    """Somebody deletes or patches an object."""
    kind, namespace, name = parse_target(fault.target)
    people = InMemoryKube(sim.server, user="bob", field_manager="kubectl-edit")
    try:
        obj = people.get(kind, namespace, name)
        if fault.kind == "delete":
            people.delete(kind, namespace, name, uid=obj["metadata"]["uid"])
        else:
            people.patch(kind, namespace, name, fault.patch)
    except KubeError as error:
        sim.say(f"that was refused: {error}")


def parse_target(target: str) -> tuple[Kind, str, str]:
    """`Kind namespace/name` of a scenario."""
    word, _, place = target.partition(" ")
    namespace, _, name = place.partition("/")
    if word not in KINDS or not name:
        raise SimulationError(f"faults: found target {target!r}, expected `Kind namespace/name` with one of {', '.join(KINDS)}")
    return KINDS[word], namespace, name
