"""What goes wrong in a scenario and what people do in it, in the embedded cluster: from its first release on.

The simulator's own deeds are used where they act through the API server. Faults of the controller's own client and
clock are not to be had here, because the controller is a process of its own; they are said and left out.
"""

from collections.abc import Callable
from typing import Any, Protocol

from controller.ports import Obj
from controller.simulator import faults, people
from controller.simulator.apiserver.store import ApiServer
from controller.simulator.embedded_http import ProbeProxy, PrometheusFront
from controller.simulator.mesh.mesh import Mesh
from controller.simulator.scenario import Fault, Scenario

Key = tuple[str, str]


class Stage(Protocol):
    """What a story plays in; `EmbeddedCluster` is one.

    Attributes:
        kill_controller: ends the controller's process at once; None where there is none to be ended.
    """

    scenario: Scenario
    server: ApiServer
    mesh: Mesh
    prometheus: PrometheusFront
    probes: ProbeProxy
    kill_controller: Callable[[], None] | None

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Have something happen at a time."""

    def now(self) -> float:
        """Unix seconds."""

    def say(self, what: str) -> None:
        """A word to those who watch."""

    def release(self, key: Key) -> Obj | None:
        """A Release as it is stored."""


def arrange(stage: Stage, key: Key, plan: str) -> None:
    """Put the scenario's faults and deeds into the future of a release that begins now."""
    begun = stage.now()
    for fault in stage.scenario.faults:
        times = [begun + fault.at]
        while fault.every and times[-1] + fault.every <= begun + fault.at + fault.lasts:
            times.append(times[-1] + fault.every)
        for time in times:
            stage.at(time, lambda fault=fault: strike(stage, key, fault))  # type: ignore[misc]
        if fault.lasts and not fault.every:
            stage.at(begun + fault.at + fault.lasts, lambda fault=fault: relieve(stage, key, fault))  # type: ignore[misc]
    place: Any = stage  # the simulator's deeds use only its server, its releases and its words
    for act in stage.scenario.people:
        stage.at(begun + act.at, lambda act=act: people.do(place, key[0], plan, key[1], act))  # type: ignore[misc]


PROMETHEUS = frozenset(f"prometheus-{how}" for how in ("down", "empty", "nan", "error", "slow", "partial"))
"""Faults that the embedded cluster's Prometheus can have."""


def strike(stage: Stage, key: Key, fault: Fault) -> None:
    """The fault begins, or happens."""
    place: Any = stage  # as above
    stage.say(f"fault: {fault.kind}{f' {fault.target}' if fault.target else ''}{f' {fault.weight} %' if fault.weight is not None else ''}")
    match fault.kind:
        case "crash" if stage.kill_controller is not None:
            stage.kill_controller()
        case "control-plane-down":
            stage.mesh.stop_control_plane()
        case "probe":
            stage.probes.failing |= faults.probe_hosts(place, key, fault.colour)
        case "drift":
            faults.drift(place, key, fault)
        case "delete" | "patch":
            faults.meddle(place, fault)
        case kind if kind in PROMETHEUS:
            stage.prometheus.fault = kind
        case kind:
            stage.say(f"{kind} is not in the sandbox: penstock simulate has it")


def relieve(stage: Stage, key: Key, fault: Fault) -> None:
    """A lasting fault ends."""
    place: Any = stage  # as above
    match fault.kind:
        case "control-plane-down":
            stage.mesh.start_control_plane(stage.now())
        case "probe":
            stage.probes.failing -= faults.probe_hosts(place, key, fault.colour)
        case kind if kind in PROMETHEUS:
            stage.prometheus.fault = ""
        case _:
            return
    stage.say(f"fault ends: {fault.kind}")
