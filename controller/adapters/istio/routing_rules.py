"""From the rules of one VirtualService to the routes of one listener of one proxy.

Weights: one of several destinations without a weight counts as 0, a single destination has everything, a
weight of 0 leaves the route, and a rule of several destinations that sum to 0 (or hold a negative one)
makes the whole VirtualService count as absent. Delegates are merged one level deep, as istiod does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from controller.adapters.istio.routing_clusters import has_labels, visible
from controller.adapters.istio.routing_model import (
    ClusterId,
    Destination,
    HttpRule,
    Port,
    Proxy,
    Route,
    RouteMatch,
    Service,
    Shelf,
    VirtualService,
    World,
)
from controller.ports import Obj

INHERITED = ("rewrite", "timeout", "retries", "fault", "mirror", "mirrors", "mirrorPercentage", "corsPolicy", "headers")
"""What a delegate's rule takes from the rule that delegates, where it has none of its own."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where routes are compiled for.

    Attributes:
        port: the listener's port.
        gateways: the names under which rules may be bound to it (`mesh`, or `namespace/name`).
        registry: the ports by host that destinations without a port are looked up in.
    """

    proxy: Proxy
    port: int
    gateways: frozenset[str]
    registry: Mapping[str, tuple[Port, ...]]


def is_broken(rules: Iterable[HttpRule]) -> bool:
    """Whether any rule's weights make istiod act as if the VirtualService were not there."""
    for rule in rules:
        if len(rule.route) > 1:
            weights = [destination.weight or 0 for destination in rule.route]
            if sum(weights) <= 0 or min(weights) < 0:
                return True
    return False


def _path(match: Obj) -> tuple[str, str] | None:
    uri = match.get("uri") or {}
    return next(((kind, uri[kind]) for kind in ("exact", "prefix", "regex") if kind in uri), None)


def _condition(raw: Obj | None) -> Obj:
    return raw or {"present": True}


def route_match(match: Obj) -> RouteMatch:
    """One match block in Envoy's words, without what concerns the proxy itself."""
    headers = [(name.lower(), _condition(raw)) for name, raw in sorted((match.get("headers") or {}).items())]
    headers += [(f":{name}", match[name]) for name in ("method", "authority", "scheme") if match.get(name)]
    return RouteMatch(
        path=_path(match) or ("prefix", "/"),
        headers=tuple(headers),
        inverted=tuple((name.lower(), _condition(raw)) for name, raw in sorted((match.get("withoutHeaders") or {}).items())),
        query=tuple((name, _condition(raw)) for name, raw in sorted((match.get("queryParams") or {}).items())),
        ignore_case=bool(match.get("ignoreUriCase")),
    )


def concerns(match: Obj, listener: Listener, namespace: str) -> bool:
    """Whether a match block is for this proxy and listener at all; names of gateways resolve in `namespace`."""
    if match.get("port") and match["port"] != listener.port:
        return False
    if match.get("sourceLabels") and not has_labels(listener.proxy.labels, match["sourceLabels"]):
        return False
    if match.get("sourceNamespace") and match["sourceNamespace"] != listener.proxy.namespace:
        return False
    gateways = match.get("gateways")
    return not gateways or any((g if g == "mesh" or "/" in g else f"{namespace}/{g}") in listener.gateways for g in gateways)


def cluster_of(destination: Destination, listener: Listener) -> ClusterId:
    """The cluster a destination means: its port, else the only port that the listener knows of the host, else the listener's."""
    port = destination.port
    if port is None:
        ports = listener.registry.get(destination.host, ())
        port = ports[0].number if len(ports) == 1 else listener.port
    return ClusterId(destination.host, port, destination.subset)


def weighted_clusters(rule: HttpRule, listener: Listener) -> tuple[tuple[ClusterId, int], ...]:
    """The clusters of a rule with the weights that Envoy gets."""
    if len(rule.route) == 1:
        return ((cluster_of(rule.route[0], listener), 100),)
    return tuple((cluster_of(destination, listener), destination.weight) for destination in rule.route if destination.weight)


def _route(rule: HttpRule, match: RouteMatch, virtual_service: VirtualService, listener: Listener) -> Route:
    retries = rule.options.get("retries")
    return Route(
        match=match,
        to=weighted_clusters(rule, listener) if rule.route else (),
        weighted=len(rule.route) > 1,
        name=rule.name,
        mirrors=tuple((cluster_of(destination, listener), percent) for destination, percent in rule.mirrors),
        options=rule.options,
        origin=(virtual_service.namespace, virtual_service.name, rule.index),
        retried=bool(rule.route) and (retries is None or retries.get("attempts", 1) != 0),
    )


def compile_rules(world: World, virtual_service: VirtualService, listener: Listener) -> tuple[Route, ...]:
    """The routes of a VirtualService on a listener, in order; nothing behind a catch-all. Empty where it has no say."""
    rules = merged_rules(world.virtual_services, virtual_service)
    if is_broken(rules):
        return ()
    routes: list[Route] = []
    for rule in rules:
        if not (rule.route or rule.options.get("redirect") or rule.options.get("directResponse")):
            continue
        for match in rule.matches or ({},):
            if not concerns(match, listener, virtual_service.namespace):
                continue
            routes.append(_route(rule, route_match(match), virtual_service, listener))
            if routes[-1].match.catch_all:
                return tuple(routes)
    return tuple(routes)


def merged_rules(shelf: Shelf[VirtualService], virtual_service: VirtualService) -> tuple[HttpRule, ...]:
    """The rules with every delegate put in its place; none where a delegate delegates again.

    A delegate that is missing, or not exported to the root's namespace, takes its rule away silently.
    """
    if all(rule.delegate is None for rule in virtual_service.http):
        return virtual_service.http
    merged: list[HttpRule] = []
    for rule in virtual_service.http:
        if rule.delegate is None:
            merged.append(rule)
            continue
        part = shelf.get(*rule.delegate)
        if part is None or part.hosts or not visible(part.export_to, virtual_service.namespace):
            continue
        if any(inner.delegate is not None for inner in part.http):
            return ()
        merged.extend(found for inner in part.http if (found := _merge_rule(rule, inner)) is not None)
    return tuple(merged)


def _merge_rule(root: HttpRule, part: HttpRule) -> HttpRule | None:
    if root.matches and part.matches:
        matches = tuple(both for one in root.matches for other in part.matches if (both := _merge_match(one, other)) is not None)
        if not matches:
            return None
    else:
        matches = root.matches or part.matches
    inherited = {key: root.options[key] for key in INHERITED if key in root.options and key not in part.options}
    name = "-".join(name for name in (root.name, part.name) if name)
    mirrors = part.mirrors or root.mirrors
    return replace(part, index=root.index, name=name, matches=matches, mirrors=mirrors, options={**inherited, **part.options})


def _merge_match(root: Obj, part: Obj) -> Obj | None:
    """Both conditions in one block, or None where they contradict each other."""
    outer, inner = _path(root), _path(part)
    if outer and inner and (outer[0] != "prefix" or inner[0] == "regex" or not inner[1].startswith(outer[1])):
        return None
    merged = {**root, **part}
    for key in ("headers", "withoutHeaders", "queryParams", "sourceLabels"):
        one, other = root.get(key) or {}, part.get(key) or {}
        if any(name in one and one[name] != condition for name, condition in other.items()):
            return None
        if one or other:
            merged[key] = {**one, **other}
    for key in ("method", "scheme", "authority", "port", "sourceNamespace", "gateways"):
        if root.get(key) and part.get(key) and root[key] != part[key]:
            return None
    return merged


def default_route(service: Service, port: int) -> Route:
    """What a service gets without any VirtualService: all its pods."""
    return Route(RouteMatch(), ((ClusterId(service.host, port), 100),))
