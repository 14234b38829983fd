"""Two replicas of the controller and their Lease, by the production rules of leadership, in virtual time.

Only scenarios in which the leader stands still need them: everywhere else the one controller leads from the start.
"""

from dataclasses import dataclass
from functools import partial

from controller.ports import NAMESPACE
from controller.runtime.leader import Leader
from controller.runtime.lease import LeaseSettings
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.simulation import Simulation

HOME = "penstock-system"
LEASE_NAME = "penstock"


@dataclass(slots=True)
class Replica:
    """One process: it takes its turns at the Lease unless it stands still."""

    leader: Leader
    still: bool = False


class Replicas:
    """Who leads, by the Lease; `sim.leaderless_since` says since when nobody acts."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._acting: Replica | None = None
        self._known: dict[str, Replica] = {}
        kube = InMemoryKube(sim.server)
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}}
        InMemoryKube(sim.server, user="admin", field_manager="kubectl").create(NAMESPACE, "", namespace)
        for name in ("a", "b"):
            self._add(kube, name)

    def _add(self, kube: InMemoryKube, name: str) -> None:
        sim = self._sim
        gain, loss = partial(self._gained, name), partial(self._lost, name)
        settings = LeaseSettings(HOME, LEASE_NAME, name)
        leader = Leader(kube, settings, sim.clock, sim.true_time, epochs=lambda _live: sim.epoch, on_gain=gain, on_loss=loss)
        self._known[name] = Replica(leader)
        self._turn(name)

    def _turn(self, name: str) -> None:
        """One look at the Lease, and the next one in time."""
        replica = self._known[name]
        if replica.still:
            return
        pause = replica.leader.turn()
        self._sim.at(self._sim.clock.time + pause, lambda: self._turn(name))

    def _gained(self, name: str, epoch: int, _vacancy: float) -> None:
        if self._acting is not None:
            self._sim.say(f"another controller leads now: epoch {epoch}")
        self._acting = self._known[name]
        self._sim.epoch = epoch - 1
        self._sim.restart_controller()

    def _lost(self, name: str) -> None:
        if self._acting is self._known[name] and self._sim.leaderless_since is None:
            self._sim.leaderless_since = self._sim.clock.time

    def pause(self) -> str:
        """The one that acts stands still; its name."""
        name = next(name for name, replica in self._known.items() if replica is self._acting)
        self._known[name].still = True
        self._sim.leaderless_since = self._sim.clock.time
        return name

    def resume(self, name: str) -> None:
        """It goes on where it stood, and finds out whether it still leads."""
        replica = self._known[name]
        if self._sim.leaderless_since is not None and all(other.still for other in self._known.values()):
            self._sim.leaderless_since = self._sim.clock.time  # nobody was there who could have taken over
        replica.still = False
        if self._acting is replica and replica.leader.epoch:
            self._sim.leaderless_since = None
        self._turn(name)
