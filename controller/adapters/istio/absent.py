"""What must stand behind the routes before anything can be said about them: a member's Deployment, and blue's Service."""

from collections.abc import Iterator, Sequence

from controller.adapters.istio.cluster import get_or_none
from controller.adapters.istio.sides import SUBSET, Sides
from controller.core import reasons
from controller.core.world import Problem
from controller.ports import DEPLOYMENT, SERVICE, Kube, RefusedError


def absent(kube: Kube, sides: Sides, routed: Sequence[str]) -> tuple[Problem, ...]:
    """Problems for what is missing; nothing where it may not be looked at, which others say.

    Where no route sends to a member, its Deployment is asked for: a misspelled workload reads as if the routes were
    wrong. Where one does, its Service: without that it reads ten minutes later as if green did not come up.
    """
    try:
        return tuple(_services(kube, sides, routed) if sides.mode else _workloads(kube, sides))
    except RefusedError:
        return ()


def _workloads(kube: Kube, sides: Sides) -> Iterator[Problem]:
    """Members whose Deployment stands in neither slot."""
    for pair in sides.pairs:
        if all(get_or_none(kube, DEPLOYMENT, *place) is None for place in pair.workloads):
            first, second = ("/".join(place) for place in pair.workloads)
            sentence = f"Deployment {first} of member {pair.member} was not found, nor {second}"
            yield Problem(reasons.WORKLOAD_MISSING, sentence)


def _services(kube: Kube, sides: Sides, routed: Sequence[str]) -> Iterator[Problem]:
    """Hosts of blue without a Service: green's own is brought along."""
    for host in routed:
        pair = sides.pair(host)
        if pair is None or not (sides.mode == SUBSET or host == pair.hosts[sides.blue_slot]):
            continue
        if get_or_none(kube, SERVICE, *pair.service(host)) is None:
            place = "/".join(pair.service(host))
            yield Problem(reasons.WORKLOAD_MISSING, f"Service {place} was not found, so host {host} leads nowhere")
