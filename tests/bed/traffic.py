"""Where users' requests and their copies end: pure rules from the routes, DestinationRules, Services and Deployments of a world.

Only what releases use is understood (see `routes`); everything else that would change the answer raises
`UnsupportedRouteError` by its name rather than being passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bed.routes import DOMAIN, Flow, JsonObject, Rule, UnsupportedRouteError, World, full_host, rule_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bed.watching import Key

__all__ = ["Flow", "Target", "UnsupportedRouteError", "World", "copies", "full_host", "targets"]
Shares = list[tuple["Target", float]]


@dataclass(frozen=True, slots=True)
class Target:
    """Where a share of a flow ends.

    Attributes:
        host: fully qualified host of the destination.
        subset: its subset or an empty string.
        workload: name of the Deployment, `unknown` where the request never left the proxy.
        namespace: the Deployment's namespace, or `unknown`.
        version: its template's label `version`, or `unknown`.
        flags: Envoy's response flags: empty, `UH` (no healthy upstream) or `NC` (no such cluster), which mean 503, or `NR`
            (no rule took the request), which means 404.
    """

    host: str
    subset: str
    workload: str
    namespace: str
    version: str
    flags: str = ""

    @property
    def workload_key(self) -> Key:
        """Namespace and name of the Deployment."""
        return self.namespace, self.workload

    @property
    def key(self) -> str:
        """A name for this target, unique in a flow."""
        return f"{self.host}|{self.subset}|{self.namespace}/{self.workload}|{self.version}|{self.flags}"


def targets(flow: Flow, world: World) -> Shares:
    """Say where a flow's requests end, with shares that sum to 1; empty where nobody knows their host.

    Raises:
        UnsupportedRouteError: the route uses what is not understood here.
    """
    try:
        rule = rule_for(flow, world)
    except LookupError:
        return _unrouted(flow, world)
    if rule is None:
        return [(_lost(flow.host, "", "NR"), 1.0)]
    destinations = rule.spec.get("route", [])
    # Istio: one destination has everything whatever its weight; one of several without a weight has nothing.
    weights = [1.0] if len(destinations) == 1 else [float(item.get("weight", 0)) for item in destinations]
    total = sum(weights)
    if not destinations or min(weights) < 0:
        raise UnsupportedRouteError(f"weights {weights} for {flow.host}")
    if total == 0:
        return _unrouted(flow, world)
    shares: Shares = []
    for item, weight in zip(destinations, weights, strict=True):
        if weight > 0:
            shares += [(target, share * weight / total) for target, share in _reached(flow, item["destination"], rule, world)]
    return shares


def copies(flow: Flow, world: World) -> Shares:
    """Say which pods get copies of a flow's requests, and of what part of them; a copy that reaches no pod is nobody's."""
    try:
        rule = rule_for(flow, world)
    except LookupError:
        return []
    mirrored = rule.mirrored if rule is not None else ()
    reached = [(found, part) for destination, part in mirrored for found in _reached(flow, destination, rule, world)] if rule else []
    return [(target, share * part) for (target, share), part in reached if not target.flags]


def _unrouted(flow: Flow, world: World) -> Shares:
    """Istio without a VirtualService: all pods behind the host's Service; what becomes of a host that is none of these nobody says."""
    return _workloads(flow, flow.host, "", world) if _service(flow.host, world) else []


def _reached(flow: Flow, destination: Mapping[str, str], rule: Rule, world: World) -> Shares:
    return _workloads(flow, full_host(destination["host"], rule.namespace), destination.get("subset", ""), world)


def _service(host: str, world: World) -> JsonObject | None:
    name, _, rest = host.partition(".")
    return world.services.get((rest.removesuffix(f".{DOMAIN}"), name)) if rest.endswith(f".{DOMAIN}") else None


def _workloads(flow: Flow, host: str, subset: str, world: World) -> Shares:
    """Spread one destination over the ready Deployments behind it, in proportion to their ready replicas."""
    service = _service(host, world)
    labels = _subset_labels(flow, host, subset, world) if subset else {}
    if service is None or labels is None:
        return [(_lost(host, subset, "NC"), 1.0)]
    selector = service["spec"].get("selector", {})
    behind = _deployments(world, service["metadata"]["namespace"], {**selector, **labels}) if selector else []
    ready = [(item, count) for item, count in behind if count > 0]
    if not ready:
        return [(_lost(host, subset, "UH"), 1.0)]
    total = sum(count for _, count in ready)
    return [(_arrived(host, subset, item), count / total) for item, count in ready]


def _subset_labels(flow: Flow, host: str, subset: str, world: World) -> Mapping[str, str] | None:
    """Of the DestinationRules for the host: those in the caller's namespace replace those in the Service's; elsewhere nobody looks."""
    named = [(place, rule) for place, rule in sorted(world.destination_rules.items()) if full_host(rule["spec"]["host"], place[0]) == host]
    beside = [[rule for place, rule in named if place[0] == namespace] for namespace in (flow.source_namespace, host.split(".")[1])]
    for rule in beside[0] or beside[1]:
        for entry in rule["spec"].get("subsets", []):
            if entry["name"] == subset:
                labels: Mapping[str, str] = entry.get("labels", {})
                return labels
    return None


def _deployments(world: World, namespace: str, wanted: Mapping[str, str]) -> Sequence[tuple[JsonObject, int]]:
    return [
        (item, item.get("status", {}).get("readyReplicas", 0))
        for (place, _), item in sorted(world.deployments.items())
        if place == namespace and wanted.items() <= _template_labels(item).items()
    ]


def _template_labels(deployment: JsonObject) -> dict[str, str]:
    labels: dict[str, str] = deployment["spec"]["template"]["metadata"].get("labels", {})
    return labels


def _arrived(host: str, subset: str, deployment: JsonObject) -> Target:
    meta = deployment["metadata"]
    return Target(host, subset, meta["name"], meta["namespace"], _template_labels(deployment).get("version", "unknown"))


def _lost(host: str, subset: str, flags: str) -> Target:
    return Target(host, subset, "unknown", "unknown", "unknown", flags)
