"""Blue and green in the words of a VirtualService: hosts of two slots, or subsets of one host."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from controller.adapters.istio.routing_parse import resolve_host
from controller.api.plan import PlanSpec, VirtualServiceRef

__all__ = ["HOST", "SUBSET", "HostPair", "Side", "Sides", "host_pairs", "names_one", "namespaces_of", "resolve_host", "target_namespace"]

HOST = "host"
SUBSET = "subset"


class Side(StrEnum):
    """What a destination is to the release.

    `STALE` is another subset of a host that moves: its place on the route may be taken over while it has no weight.
    """

    BLUE = "blue"
    GREEN = "green"
    STALE = "stale"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class HostPair:
    """One member in the two slots.

    Attributes:
        hosts, services: of the Service of each slot: complete host; namespace and name.
        shared_host, shared_service: of the one that both versions stand behind where subsets tell them apart: its name has no suffix.
        workloads: namespace and name of the Deployment of each slot.
    """

    member: str
    hosts: tuple[str, str]
    services: tuple[tuple[str, str], tuple[str, str]]
    shared_host: str
    shared_service: tuple[str, str]
    workloads: tuple[tuple[str, str], tuple[str, str]]

    @property
    def all_hosts(self) -> tuple[str, ...]:
        """Every host by which a version of it may be asked."""
        return tuple(dict.fromkeys((*self.hosts, self.shared_host)))

    @property
    def all_services(self) -> tuple[tuple[str, str], ...]:
        """The Services behind them."""
        return tuple(dict.fromkeys((*self.services, self.shared_service)))

    def service(self, host: str) -> tuple[str, str]:
        """Namespace and name of the Service behind one of these hosts."""
        return self.all_services[self.all_hosts.index(host)]

    def names(self, host: str, subset: str) -> bool:
        """Whether a destination names a version of it: without a subset the shared Service names none, unless it is a slot's own."""
        return host in self.hosts or (host == self.shared_host and bool(subset))


def host_pairs(plan: PlanSpec, namespace: str, cluster_domain: str) -> tuple[HostPair, ...]:
    """Where each member lives in the two slots."""
    first, second = plan.slots
    pairs = []
    for member in plan.all_members:
        services = tuple((slot.namespace or namespace, member.service_name + slot.suffix) for slot in (first, second))
        workloads = tuple((slot.namespace or namespace, member.workload + slot.suffix) for slot in (first, second))
        shared = (services[0][0], member.service_name)
        hosts = [f"{name}.{place}.svc.{cluster_domain}" for place, name in (*services, shared)]
        pairs.append(
            HostPair(member.name, (hosts[0], hosts[1]), (services[0], services[1]), hosts[2], shared, (workloads[0], workloads[1]))
        )
    return tuple(pairs)


def names_one(host: str, subset: str, pairs: Iterable[HostPair]) -> bool:
    """Whether a destination names a version of some member; `host` is resolved."""
    return any(pair.names(host, subset) for pair in pairs)


def target_namespace(ref: VirtualServiceRef, namespace: str) -> str:
    """Where a VirtualService of the plan lies."""
    return ref.namespace or namespace


def namespaces_of(plan: PlanSpec, namespace: str) -> tuple[str, ...]:
    """Every namespace that the plan names, its own first."""
    slots = (slot.namespace or namespace for slot in plan.slots)
    return tuple(dict.fromkeys((namespace, *slots, *(target_namespace(ref, namespace) for ref in plan.traffic.targets))))


@dataclass(frozen=True, slots=True)
class Sides:
    """Who is blue and who is green.

    Attributes:
        mode: `host` or `subset`; "" where it is not known.
        blue_slot: index of the slot that serves, -1 where it is not known.
    """

    mode: str = ""
    blue_slot: int = -1
    pairs: Sequence[HostPair] = ()
    blue_subset: str = ""
    green_subset: str = ""

    @property
    def known(self) -> bool:
        """Whether a destination can be told to be blue or green."""
        return self.blue_slot >= 0 and self.mode in (HOST, SUBSET)

    def side(self, host: str, subset: str) -> Side:
        """What a destination is; `host` is resolved."""
        pair = self.pair(host)
        if pair is None:
            return Side.OTHER
        if self.mode == HOST:
            sides = {pair.hosts[self.blue_slot]: Side.BLUE, pair.hosts[1 - self.blue_slot]: Side.GREEN}
            return sides.get(host, Side.OTHER)
        if subset == self.blue_subset:
            return Side.BLUE
        return Side.GREEN if subset and subset == self.green_subset else Side.STALE

    def reaches_all(self, host: str, subset: str) -> bool:
        """Whether a destination names no version where subsets tell them apart: the pods of both get its requests."""
        return self.mode == SUBSET and not subset and self.pair(host) is not None

    def pair(self, host: str) -> HostPair | None:
        """The member behind a host."""
        return next((pair for pair in self.pairs if host in pair.all_hosts), None)

    def place(self, side: Side, host: str) -> tuple[str, str]:
        """Host and subset that stand for `side` where `host` stands now."""
        if self.mode == SUBSET:
            return host, self.blue_subset if side is Side.BLUE else self.green_subset
        pair = self.pair(host)
        if pair is None:
            return host, ""
        return pair.hosts[self.blue_slot if side is Side.BLUE else 1 - self.blue_slot], ""
