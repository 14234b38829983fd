"""Which rule of which VirtualService takes a request: what a proxy looks up before it knows any pod.

    host and gateway -> VirtualServices of the most specific host -> their rules, delegates put in -> the first that takes it

Written from the recorded facts about istiod alone, not from the product's own routing: it is the second opinion. What would
change the answer and is not understood raises `UnsupportedRouteError` by its name rather than being passed over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.bed.watching import Key

JsonObject = dict[str, Any]
DOMAIN = "svc.cluster.local"
MESH = "mesh"
SUPPORTED_MATCHES = {"name", "headers", "uri", "gateways"}
# Rules that answer requests in a way that is not modelled here.
UNSUPPORTED_RULES = ("redirect", "directResponse", "fault")


class UnsupportedRouteError(Exception):
    """A rule that cannot be followed stands on the way of a request; the message names it."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A steady stream of requests of one kind.

    Attributes:
        host: what the users call, in full.
        per_second: requests a second; a flow can be replaced at run time.
        gateway: `namespace/name` of the Gateway they come through; empty within the mesh.
        source: workload that sends them.
        source_namespace: where it lives.
        headers: request headers, as the match rules see them.
        path: request path.
        protocol: `http` or `grpc`, for the label request_protocol.
    """

    host: str
    per_second: float
    gateway: str = ""
    source: str = "istio-ingressgateway"
    source_namespace: str = "istio-system"
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str = "/"
    protocol: str = "http"


@dataclass(slots=True)
class World:
    """What the proxies know: objects by (namespace, name)."""

    virtual_services: dict[Key, JsonObject] = field(default_factory=dict)
    destination_rules: dict[Key, JsonObject] = field(default_factory=dict)
    gateways: dict[Key, JsonObject] = field(default_factory=dict)
    services: dict[Key, JsonObject] = field(default_factory=dict)
    deployments: dict[Key, JsonObject] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """One http rule of a proxy.

    Attributes:
        namespace: in which its short hosts are looked up.
        spec: as it was written.
        matches: it takes a request that satisfies one of each of these lists: its own, and before it the one of its delegate's root.
        mirrored: destinations and parts of the requests that they get copies of.
    """

    namespace: str
    spec: JsonObject
    matches: tuple[list[JsonObject], ...]
    mirrored: tuple[tuple[JsonObject, float], ...]


def full_host(host: str, namespace: str) -> str:
    """Complete a short name in a namespace, as Istio does: a name with a dot, and a wildcard, is taken as complete."""
    return host if "." in host or host == "*" else f"{host}.{namespace}.{DOMAIN}"


def rule_for(flow: Flow, world: World) -> Rule | None:
    """Find the first rule that takes the flow's requests; None where no rule does.

    Raises:
        LookupError: no VirtualService has a say.
        UnsupportedRouteError: something that is not understood here.
    """
    through = _gateways(flow, world)
    if flow.gateway and not through:
        return None
    rules = [rule for one in _routing(flow, world, through) for rule in _rules(one, world)]
    if not rules and not flow.gateway:
        raise LookupError(flow.host)
    if flow.gateway:
        rules.sort(key=lambda rule: not any(rule.matches))
    for rule in rules:
        if all(not one or any(_matches(flow, match, through, rule.namespace) for match in one) for one in rule.matches):
            for name in UNSUPPORTED_RULES:
                if name in rule.spec:
                    raise UnsupportedRouteError(name)
            return rule
    return None


def _gateways(flow: Flow, world: World) -> dict[str, list[str]]:
    """The Gateways that the request's proxy stands for, by name with the hosts that they let in; in the mesh, `mesh`."""
    if not flow.gateway:
        return {MESH: ["*/*"]}
    namespace, _, name = flow.gateway.partition("/")
    own = world.gateways.get((namespace, name))
    if own is None:
        return {}
    found = {}
    for (place, title), gateway in world.gateways.items():
        if gateway["spec"].get("selector") == own["spec"].get("selector"):
            servers = gateway["spec"].get("servers", ())
            found[f"{place}/{title}"] = [_server_host(host, place) for server in servers for host in server.get("hosts", ())]
    return found


def _server_host(host: str, namespace: str) -> str:
    """A host of a Gateway with the namespace whose VirtualServices it lets in."""
    place, slash, name = host.rpartition("/")
    return f"{namespace if place == '.' else place}/{name}" if slash else f"*/{host}"


def _routing(flow: Flow, world: World, through: Mapping[str, list[str]]) -> list[JsonObject]:
    """The VirtualServices with the most specific host that fits: in the mesh the oldest alone, on a gateway all, oldest first."""
    found: list[tuple[str, JsonObject]] = []
    for one in world.virtual_services.values():
        namespace = one["metadata"]["namespace"]
        hosts = [full_host(host, namespace) for host in one["spec"].get("hosts", ())]
        if not _visible(one, flow.source_namespace):
            continue
        for name in _named_gateways(one["spec"].get("gateways") or [MESH], namespace):
            fitting = [host for host in hosts if _covers(host, flow.host) and _let_in(through.get(name, ()), namespace, host, flow.host)]
            if fitting:
                found.append((max(fitting, key=_specific), one))
                break
    if not found:
        return []
    best = max((host for host, _ in found), key=_specific)
    chosen = sorted((one for host, one in found if host == best), key=_age)
    for one in chosen:
        for kind in ("tcp", "tls"):
            if one["spec"].get(kind):
                raise UnsupportedRouteError(f"{kind} routes of {one['metadata']['name']}")
    return chosen if flow.gateway else chosen[:1]


def _named_gateways(names: Sequence[str], namespace: str) -> list[str]:
    return [name if name == MESH or "/" in name else f"{namespace}/{name}" for name in names]


def _visible(one: JsonObject, namespace: str) -> bool:
    """Whether a namespace sees an object, as its `exportTo` says."""
    to = one["spec"].get("exportTo") or ["*"]
    return "*" in to or namespace in to or ("." in to and namespace == one["metadata"]["namespace"])


def _covers(host: str, asked: str) -> bool:
    return host in ("*", asked) or (host.startswith("*.") and asked.endswith(host[1:]))


def _let_in(hosts: Sequence[str], namespace: str, host: str, asked: str) -> bool:
    """Whether a server of the Gateway takes this host of a VirtualService in this namespace."""
    pairs = [one.split("/", 1) for one in hosts]
    return any(place in ("*", namespace) and _covers(name, asked) and (_covers(name, host) or _covers(host, name)) for place, name in pairs)


def _specific(host: str) -> tuple[bool, int]:
    return not host.startswith("*"), len(host)


def _age(one: JsonObject) -> tuple[str, str, str]:
    """Whole seconds, then the name."""
    meta = one["metadata"]
    return meta.get("creationTimestamp", ""), meta["name"], meta["namespace"]


def _rules(one: JsonObject, world: World) -> Iterator[Rule]:
    """Its rules with the delegates' in their places; none of a VirtualService one of whose delegates delegates again."""
    namespace = one["metadata"]["namespace"]
    found: list[Rule] = []
    for spec in one["spec"].get("http", ()):
        if "delegate" not in spec:
            found.append(Rule(namespace, spec, (spec.get("match", []),), _mirrored(spec)))
            continue
        place = (spec["delegate"].get("namespace") or namespace, spec["delegate"]["name"])
        part = world.virtual_services.get(place)
        if part is None or part["spec"].get("hosts") or not _visible(part, namespace):
            continue
        for inner in part["spec"].get("http", ()):
            if "delegate" in inner:
                return
            if options := {"fault"} & spec.keys():
                raise UnsupportedRouteError(f"{', '.join(options)} of a root")
            _within(spec.get("match", []), inner.get("match", []))
            found.append(Rule(place[0], inner, (spec.get("match", []), inner.get("match", [])), _mirrored(inner) or _mirrored(spec)))
    yield from found


def _within(root: list[JsonObject], part: list[JsonObject]) -> None:
    """Istio drops a delegate's match that is no part of its root's; whoever writes such a one means something else."""
    for one in root:
        for other in part:
            outer, inner = one.get("uri", {}), other.get("uri", {})
            path = inner.get("prefix", inner.get("exact"))
            if outer and inner and ("prefix" not in outer or path is None or not path.startswith(outer["prefix"])):
                raise UnsupportedRouteError("a delegate's uri that is no part of its root's")
            if {"headers", "gateways"} & one.keys() & other.keys():
                raise UnsupportedRouteError("headers or gateways both in a root and in its delegate")


def _mirrored(spec: JsonObject) -> tuple[tuple[JsonObject, float], ...]:
    """Destinations and parts: all requests where no percentage is given, and none where it is empty."""
    found: list[tuple[JsonObject, float]] = []
    if "mirrorPercent" in spec:
        raise UnsupportedRouteError("mirrorPercent")
    if spec.get("mirror"):
        found.append((spec["mirror"], _percent(spec, "mirrorPercentage")))
    found += [(one["destination"], _percent(one, "percentage")) for one in spec.get("mirrors", ())]
    return tuple((destination, part) for destination, part in found if part > 0)


def _percent(spec: JsonObject, name: str) -> float:
    return float(spec[name].get("value", 0)) / 100.0 if name in spec else 1.0


def _matches(flow: Flow, match: Mapping[str, Any], through: Mapping[str, Any], namespace: str) -> bool:
    unknown = match.keys() - SUPPORTED_MATCHES
    if unknown:
        raise UnsupportedRouteError(f"match on {', '.join(sorted(unknown))}")
    if match.get("gateways") and not set(_named_gateways(match["gateways"], namespace)) & through.keys():
        return False
    if "uri" in match and not _string_matches(match["uri"], flow.path):
        return False
    return all(name in flow.headers and _string_matches(rule, flow.headers[name]) for name, rule in match.get("headers", {}).items())


def _string_matches(rule: Mapping[str, str], value: str) -> bool:
    if "exact" in rule:
        return value == rule["exact"]
    if "prefix" in rule:
        return value.startswith(rule["prefix"])
    if "regex" in rule:
        return re.fullmatch(rule["regex"], value) is not None
    if rule:
        raise UnsupportedRouteError(f"string match {', '.join(rule)}")
    return True
