"""How a plan's routes tell the versions apart, and how `penstock plan` knows: told, from the plan, from the cluster, or assumed.

A release reads the mode off the route when it starts. Here the route is only there where a cluster is asked.
"""

from dataclasses import dataclass

from controller.api.plan import PlanSpec
from controller.ports import Kube


@dataclass(frozen=True, slots=True)
class Told:
    """The mode.

    Attributes:
        mode: "host" or "subset".
        why: how that is known, words that end a sentence.
        assumed: nobody said so.
        blue_slot: index of the slot that serves.
    """

    mode: str
    why: str
    assumed: bool = False
    blue_slot: int = 0


def mode_of(spec: PlanSpec, place: tuple[str, str], given: str, kube: Kube | None) -> Told:
    """The mode of a plan.

    Args:
        spec: the plan.
        place: its namespace and name.
        given: what the person says, "" for nothing.
        kube: the cluster to ask, None to ask none. Raises its `KubeError`s.

    Raises `CommandError` where the cluster's route would refuse the release, with the sentence of that refusal.
    """
    if given:
        return Told(given, "as --mode says")
    if kube is not None:
        return from_cluster(spec, place, kube)
    if spec.slots[0].namespace != spec.slots[1].namespace:
        return Told("host", "its slots are in two namespaces")
    if spec.traffic.destination_rule:
        return Told("subset", "it names a DestinationRule")
    return Told("host", "assumed: only the route tells; --mode says it, --cluster looks", assumed=True)


def from_cluster(spec: PlanSpec, place: tuple[str, str], kube: Kube) -> Told:
    """As a release would find it that started now."""
    from controller.cli.plan_start import serving

    mode, blue_slot, routes = serving(spec, place, kube)
    return Told(mode, f"as VirtualService {routes} stands in the cluster", blue_slot=blue_slot)
