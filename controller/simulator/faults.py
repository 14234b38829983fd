"""What goes wrong in a scenario.

Each fault is a small function of the simulation. The controller never knows that it is simulated: it
sees refusals, lost answers, other writers and a wrong clock, as in production.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from controller.adapters.istio.sides import Side
from controller.adapters.istio.view import status_sides
from controller.adapters.records import read_plan, read_subject
from controller.ports import (
    DEPLOYMENT,
    DESTINATION_RULE,
    HPA,
    POD,
    RELEASE,
    RELEASE_PLAN,
    SERVICE,
    VIRTUAL_SERVICE,
    Kind,
    KubeError,
    Patch,
)
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.faults_api import FaultyKube, admission, broken, forbidden, throttled, unauthorized
from controller.simulator.lagging import LaggingCache
from controller.simulator.replicas import Replicas
from controller.simulator.scenario import Fault
from controller.simulator.simulation import Simulation, SimulationError
from controller.simulator.workloads.behaviour import PodBehaviour

KINDS = {kind.kind: kind for kind in (VIRTUAL_SERVICE, DESTINATION_RULE, DEPLOYMENT, SERVICE, HPA, RELEASE_PLAN, RELEASE)}


def arrange(sim: Simulation, key: tuple[str, str], fault: Fault) -> None:
    """Put a fault into the simulation's future."""
    if fault.kind == "pause":
        replicas(sim)
    if fault.kind in LATE_READS:
        late_cache(sim)
    struck = Struck()
    for time in times_of(fault):
        sim.at(time, lambda: strike(sim, key, fault, struck))
    if fault.lasts and not fault.every:
        sim.at(fault.span[1], lambda: relieve(sim, key, fault, struck))


@dataclass(slots=True)
class Struck:
    """What the end of a fault must know of its beginning: whom it struck."""

    name: str = ""


def times_of(fault: Fault) -> Iterator[float]:
    """When it strikes, Unix seconds."""
    time, end = fault.span
    yield time
    while fault.every and time + fault.every <= end:
        time += fault.every
        yield time


def strike(sim: Simulation, key: tuple[str, str], fault: Fault, struck: Struck) -> None:
    """The fault begins, or happens."""
    sim.say(f"fault: {fault.kind}{f' {fault.target}' if fault.target else ''}{f' {fault.weight} %' if fault.weight is not None else ''}")
    if _strike_client(sim, fault) or _strike_controller(sim, fault, struck):
        return
    match fault.kind:
        case "control-plane-down":
            sim.mesh.stop_control_plane()
        case "probe":
            sim.failing_probes |= probe_hosts(sim, key, fault.colour)
        case "drift":
            drift(sim, key, fault)
        case "delete" | "patch":
            meddle(sim, fault)
        case "evict" | "unready":
            struck.name = strike_pod(sim, fault)
        case "counter-reset":
            sim.traffic.reset_counters(sim.clock.time)
        case _:
            prometheus = sim.prometheus
            prometheus.fault, prometheus.since, prometheus.queries = fault.kind, sim.clock.time, fault.queries


def _strike_client(sim: Simulation, fault: Fault) -> bool:
    """Faults between the controller and the API server; whether it was one."""
    match fault.kind:
        case "api-down":
            faulty(sim).down = True
        case "api-conflict":
            faulty(sim).conflict += 1
        case "api-lost-answer":
            faulty(sim).lose += 1
        case "api-throttled":
            faulty(sim).refusal = throttled(fault.seconds)
        case "api-error":
            faulty(sim).refusal = broken
        case "token-expired":
            faulty(sim).refusal = unauthorized
        case "rights-removed":
            faulty(sim).refusal = forbidden
        case "events-refused":
            faulty(sim).no_events = True
        case "admission-down" | "admission-denies" | "admission-changes":
            sim.server.admission = admission(fault.kind)
        case _:
            return False
    return True


def _strike_controller(sim: Simulation, fault: Fault, struck: Struck) -> bool:
    """Faults of the controller's processes, its clock and what it hears; whether it was one."""
    match fault.kind:
        case "crash":
            sim.restart_controller()
        case "pause":
            struck.name = replicas(sim).pause()
        case "old-schema":
            sim.schema_problem = "the API server serves an older version of the definitions"
            sim.restart_controller()
        case "clock-jump":
            sim.clock.offset += fault.seconds
            sim.queue_everything()
        case "stale-reads":
            sim.cache_lag = fault.seconds
        case "silence":
            late_cache(sim).frozen_at = sim.clock.time
            sim.wake_delays = ()
        case "odd-order":
            late_cache(sim).uneven = fault.seconds
            sim.wake_delays = (0.0, 0.5, fault.seconds)
        case _:
            return False
    return True


def relieve(sim: Simulation, key: tuple[str, str], fault: Fault, struck: Struck) -> None:
    """A lasting fault ends."""
    sim.say(f"fault ends: {fault.kind}")
    if _relieve_client(sim, fault):
        return
    match fault.kind:
        case "pause":
            replicas(sim).resume(struck.name)
        case "old-schema":
            sim.schema_problem = ""
            sim.restart_controller()
        case "control-plane-down":
            sim.mesh.start_control_plane(sim.clock.time)
        case "probe":
            sim.failing_probes -= probe_hosts(sim, key, fault.colour)
        case "unready":
            restore_pod(sim, fault, struck.name)
        case kind if kind in LATE_READS:
            hear_again(sim)
        case kind if kind.startswith("prometheus"):
            sim.prometheus.fault = ""
        case _:
            pass


def _relieve_client(sim: Simulation, fault: Fault) -> bool:
    """Faults between the controller and the API server; whether it was one."""
    match fault.kind:
        case "api-down":
            faulty(sim).down = False
        case "api-throttled" | "api-error" | "token-expired" | "rights-removed":
            faulty(sim).refusal = None
        case "events-refused":
            faulty(sim).no_events = False
        case "admission-down" | "admission-denies" | "admission-changes":
            sim.server.admission = None
        case _:
            return False
    return True


LATE_READS = frozenset({"stale-reads", "silence", "odd-order"})
"""Faults of the watches that the controller's cache lives by."""


def late_cache(sim: Simulation) -> LaggingCache:
    """The controller's cache, which can be late."""
    if not isinstance(sim.cache, LaggingCache):
        sim.cache = LaggingCache(sim)
    return sim.cache


def hear_again(sim: Simulation) -> None:
    """The watches are begun anew: everything is listed, and every release looked at."""
    cache = late_cache(sim)
    cache.frozen_at, cache.uneven, sim.cache_lag, sim.wake_delays = None, 0.0, 0.0, (0.0,)
    sim.queue_everything()


def replicas(sim: Simulation) -> Replicas:
    """The two replicas of the controller."""
    if sim.replicas is None:
        sim.replicas = Replicas(sim)
    found = sim.replicas
    assert isinstance(found, Replicas)  # noqa: S101 - nobody else makes them
    return found


def strike_pod(sim: Simulation, fault: Fault) -> str:
    """A pod of a Deployment is sent away, or runs and is not ready; its name, "" where there is none."""
    _, namespace, name = parse_target(fault.target)
    pods: list[str] = sorted(p["metadata"]["name"] for p in InMemoryKube(sim.server).list(POD, namespace).items)
    mine = [pod for pod in pods if pod.rsplit("-", 2)[0] == name]
    if not mine:
        sim.say(f"that hit nothing: Deployment {namespace}/{name} has no pod now")
        return ""
    if fault.kind == "evict":
        sim.workloads.evict(namespace, mine[0])
    else:
        sim.workloads.change_pod(namespace, mine[0], PodBehaviour(unready_between=((0.0, math.inf),)), sim.clock.time)
    return mine[0]


def restore_pod(sim: Simulation, fault: Fault, pod: str) -> None:
    """It is ready again, where it still exists."""
    _, namespace, _ = parse_target(fault.target)
    sim.workloads.change_pod(namespace, pod, PodBehaviour(), sim.clock.time)


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
    except KubeError as error:
        sim.say(f"that was refused: {error}")
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
            people.patch(kind, namespace, name, fault.patch, subresource=fault.subresource)
    except KubeError as error:
        sim.say(f"that was refused: {error}")


def parse_target(target: str) -> tuple[Kind, str, str]:
    """`Kind namespace/name` of a scenario."""
    word, _, place = target.partition(" ")
    namespace, _, name = place.partition("/")
    if word not in KINDS or not name:
        raise SimulationError(f"faults: found target {target!r}, expected `Kind namespace/name` with one of {', '.join(KINDS)}")
    return KINDS[word], namespace, name
