"""Where users' requests go: pure rules from the VirtualServices, DestinationRules, Services and Deployments of a world.

Only what releases use is understood (weights, header and URI matches, subsets, hosts of Services); everything else that would
change the answer raises `UnsupportedRouteError` by its name rather than being passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bed.watching import Key

JsonObject = dict[str, Any]
DOMAIN = "svc.cluster.local"
SUPPORTED_MATCHES = {"name", "headers", "uri"}
# Rules that answer or copy requests in a way that is not modelled here.
UNSUPPORTED_RULES = ("delegate", "redirect", "directResponse", "fault", "mirror", "mirrors")


class UnsupportedRouteError(Exception):
    """A rule that the exporter cannot follow stands on the way of a request; the message names it."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A steady stream of requests of one kind.

    Attributes:
        virtual_service: (namespace, name) of the VirtualService that routes them.
        per_second: requests a second; a flow can be replaced at run time.
        source: workload that sends them.
        source_namespace: where it lives.
        headers: request headers, as the match rules see them.
        path: request path.
        protocol: `http` or `grpc`, for the label request_protocol.
        host: the host that the users call; without a VirtualService (or with all weights 0) its Service's pods get everything.
            Where it is empty, nothing is sent then.
    """

    virtual_service: tuple[str, str]
    per_second: float
    source: str = "istio-ingressgateway"
    source_namespace: str = "istio-system"
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str = "/"
    protocol: str = "http"
    host: str = ""


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


@dataclass(slots=True)
class World:
    """What the proxies know: objects by (namespace, name)."""

    virtual_services: dict[Key, JsonObject] = field(default_factory=dict)
    destination_rules: dict[Key, JsonObject] = field(default_factory=dict)
    services: dict[Key, JsonObject] = field(default_factory=dict)
    deployments: dict[Key, JsonObject] = field(default_factory=dict)


def full_host(host: str, namespace: str) -> str:
    """Complete a short name in a namespace, as Istio does: a name with a dot is taken as complete."""
    return host if "." in host else f"{host}.{namespace}.{DOMAIN}"


def targets(flow: Flow, world: World) -> list[tuple[Target, float]]:
    """Say where a flow's requests end, with shares that sum to 1; empty while nobody can know.

    Raises:
        UnsupportedRouteError: the route uses what is not understood here.
    """
    virtual_service = world.virtual_services.get(flow.virtual_service)
    namespace = flow.virtual_service[0]
    if virtual_service is None:
        return _unrouted(flow, world)
    route = _route(flow, virtual_service)
    if route is None:
        return [(_lost(full_host(flow.host or "unknown.host", namespace), "", "NR"), 1.0)]
    destinations = route.get("route", [])
    # Istio: one destination has everything whatever its weight; one of several without a weight has nothing.
    weights = [1.0] if len(destinations) == 1 else [float(item.get("weight", 0)) for item in destinations]
    total = sum(weights)
    if not destinations or min(weights) < 0:
        raise UnsupportedRouteError(f"weights {weights} of {'/'.join(flow.virtual_service)}")
    if total == 0:
        return _unrouted(flow, world)
    shares: list[tuple[Target, float]] = []
    for item, weight in zip(destinations, weights, strict=True):
        if weight > 0:
            shares += [(target, share * weight / total) for target, share in _workloads(item["destination"], namespace, world)]
    return shares


def _unrouted(flow: Flow, world: World) -> list[tuple[Target, float]]:
    """Istio without a VirtualService: all pods behind the host's Service."""
    return _workloads({"host": flow.host}, flow.virtual_service[0], world) if flow.host else []


def _route(flow: Flow, virtual_service: JsonObject) -> JsonObject | None:
    """Find the first http rule that takes the flow's requests."""
    spec = virtual_service["spec"]
    for kind in ("tcp", "tls"):
        if spec.get(kind):
            raise UnsupportedRouteError(f"{kind} routes of {virtual_service['metadata']['name']}")
    for rule in spec.get("http", []):
        if "match" not in rule or any(_matches(flow, match) for match in rule["match"]):
            for name in UNSUPPORTED_RULES:
                if name in rule:
                    raise UnsupportedRouteError(f"{name} in {virtual_service['metadata']['name']}")
            found: JsonObject = rule
            return found
    return None


def _matches(flow: Flow, match: Mapping[str, Any]) -> bool:
    unknown = match.keys() - SUPPORTED_MATCHES
    if unknown:
        raise UnsupportedRouteError(f"match on {', '.join(sorted(unknown))}")
    if "uri" in match and not _string_matches(match["uri"], flow.path):
        return False
    return all(name in flow.headers and _string_matches(rule, flow.headers[name]) for name, rule in match.get("headers", {}).items())


def _string_matches(rule: Mapping[str, str], value: str) -> bool:
    if "exact" in rule:
        return value == rule["exact"]
    if "prefix" in rule:
        return value.startswith(rule["prefix"])
    if rule:
        raise UnsupportedRouteError(f"string match {', '.join(rule)}")
    return True


def _workloads(destination: Mapping[str, Any], namespace: str, world: World) -> list[tuple[Target, float]]:
    """Spread one destination over the ready Deployments behind it, in proportion to their ready replicas."""
    host, subset = full_host(destination["host"], namespace), destination.get("subset", "")
    name, _, rest = host.partition(".")
    service = world.services.get((rest.removesuffix(f".{DOMAIN}"), name))
    labels = _subset_labels(host, subset, world) if subset else {}
    if service is None or labels is None:
        return [(_lost(host, subset, "NC"), 1.0)]
    selector = service["spec"].get("selector", {})
    behind = _deployments(world, service["metadata"]["namespace"], {**selector, **labels}) if selector else []
    ready = [(item, count) for item, count in behind if count > 0]
    if not ready:
        return [(_lost(host, subset, "UH"), 1.0)]
    total = sum(count for _, count in ready)
    return [(_arrived(host, subset, item), count / total) for item, count in ready]


def _subset_labels(host: str, subset: str, world: World) -> Mapping[str, str] | None:
    for (namespace, _), rule in sorted(world.destination_rules.items()):
        if full_host(rule["spec"]["host"], namespace) == host:
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
