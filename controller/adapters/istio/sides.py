"""Blue and green in the words of a VirtualService: hosts of two slots, or subsets of one host."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from controller.adapters.istio.routing_parse import resolve_host
from controller.api.plan import PlanSpec, VirtualServiceRef

__all__ = ["HOST", "SUBSET", "HostPair", "Side", "Sides", "host_pairs", "namespaces_of", "resolve_host", "target_namespace"]

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
    """One member's Service in the two slots: complete host, namespace and name of each."""

    member: str
    hosts: tuple[str, str]
    services: tuple[tuple[str, str], tuple[str, str]]
    workloads: tuple[tuple[str, str], tuple[str, str]]


def host_pairs(plan: PlanSpec, namespace: str, cluster_domain: str) -> tuple[HostPair, ...]:
    """Where each member lives in the two slots."""
    first, second = plan.slots
    pairs = []
    for member in plan.all_members:
        services = tuple((slot.namespace or namespace, member.service_name + slot.suffix) for slot in (first, second))
        workloads = tuple((slot.namespace or namespace, member.workload + slot.suffix) for slot in (first, second))
        hosts = tuple(f"{name}.{place}.svc.{cluster_domain}" for place, name in services)
        pairs.append(HostPair(member.name, (hosts[0], hosts[1]), (services[0], services[1]), (workloads[0], workloads[1])))
    return tuple(pairs)


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
            return Side.BLUE if host == pair.hosts[self.blue_slot] else Side.GREEN
        if subset == self.blue_subset:
            return Side.BLUE
        return Side.GREEN if subset and subset == self.green_subset else Side.STALE

    def reaches_all(self, host: str, subset: str) -> bool:
        """Whether a destination names no version where subsets tell them apart: the pods of both get its requests."""
        return self.mode == SUBSET and not subset and self.pair(host) is not None

    def pair(self, host: str) -> HostPair | None:
        """The member behind a host."""
        return next((pair for pair in self.pairs if host in pair.hosts), None)

    def place(self, side: Side, host: str) -> tuple[str, str]:
        """Host and subset that stand for `side` where `host` stands now."""
        if self.mode == SUBSET:
            return host, self.blue_subset if side is Side.BLUE else self.green_subset
        pair = self.pair(host)
        if pair is None:
            return host, ""
        return pair.hosts[self.blue_slot if side is Side.BLUE else 1 - self.blue_slot], ""
