"""How Istio routes: which VirtualService has a host, and which routes a proxy gets out of it.

Pure: parsed objects in, routes out; no reads, no clock. The product's preflight checks and the simulated
mesh both stand on it, so that what is refused before a release and what the simulator shows cannot differ.
Every rule here agrees with the cases recorded from a real istiod (`tests/data/istiod-routes.json`).
"""

from collections.abc import Iterator, Mapping

from controller.adapters.istio.routing_clusters import has_labels, host_matches, imported, sees, visible
from controller.adapters.istio.routing_model import (
    MESH_GATEWAY,
    PASSTHROUGH,
    ClusterId,
    Gateway,
    Port,
    Proxy,
    ProxyType,
    Route,
    RouteMatch,
    Server,
    VirtualHost,
    VirtualService,
    World,
)
from controller.adapters.istio.routing_rules import Listener, compile_rules, default_route, is_broken, weighted_clusters

MESH = frozenset({MESH_GATEWAY})
DEFAULT_PORT = 80
"""The listener on which a VirtualService's host is served that no service has."""


def _export_rank(virtual_service: VirtualService, namespace: str) -> int:
    # istiod keeps three lists (private to the namespace, exported to it by name, public) and puts them in this order.
    if "*" in virtual_service.export_to:
        return 2
    return 0 if virtual_service.namespace == namespace else 1


def mesh_candidates(world: World, proxy: Proxy, host: str) -> list[VirtualService]:
    """The VirtualServices that claim a host for a proxy on the mesh gateway, the winner first.

    A specific host beats a wildcard and a longer wildcard a shorter one; then private before named before
    public export; then the oldest by whole second; then `name.namespace`.
    """
    found = []
    for virtual_service in world.virtual_services:
        if MESH_GATEWAY not in virtual_service.gateways or not imported(world, proxy, virtual_service):
            continue
        matching = [pattern for pattern in virtual_service.hosts if host_matches(pattern, host)]
        if matching:
            best = max((pattern == host, len(pattern)) for pattern in matching)
            order = (not best[0], -best[1], _export_rank(virtual_service, proxy.namespace), virtual_service.age_order)
            found.append((order, virtual_service))
    return [virtual_service for _, virtual_service in sorted(found, key=lambda entry: entry[0])]


def mesh_registry(world: World, proxy: Proxy, port: int) -> Mapping[str, tuple[Port, ...]]:
    """What a sidecar's listener knows of the services: only the listener's own port of each."""
    key = ("registry", proxy.namespace, port)
    memo = world.services.memo if not world.sidecars.items else {}
    registry: Mapping[str, tuple[Port, ...]] | None = memo.get(key)
    if registry is None:
        found = ((service.host, service.port(port), service) for service in world.hosts.values())
        registry = memo[key] = {host: (known,) for host, known, service in found if known is not None and sees(world, proxy, service)}
    return registry


def _domains(world: World, proxy: Proxy, host: str) -> tuple[str, ...]:
    """The names under which a request may ask for a host."""
    suffix = f".svc.{world.cluster_domain}"
    if not host.endswith(suffix) or host.startswith("*"):
        return (host,)
    base = host.removesuffix(suffix)
    name, _, namespace = base.partition(".")
    short = (name,) if namespace == proxy.namespace else ()
    return (host, *short, base, f"{base}.svc")


def _mesh_routes(world: World, proxy: Proxy, host: str, port: int) -> tuple[Route, ...]:
    listener = Listener(proxy, port, MESH, mesh_registry(world, proxy, port))
    for virtual_service in mesh_candidates(world, proxy, host):
        routes = compile_rules(world, virtual_service, listener)
        if routes:
            return routes
    service = world.hosts.get(host)
    if service is not None and host in listener.registry:
        return (default_route(service, port),)
    return ()


def allow_any(port: int) -> VirtualHost:
    """Where a sidecar sends what it knows nothing about."""
    return VirtualHost("allow_any", str(port), ("*",), (Route(RouteMatch(), ((PASSTHROUGH, 100),), name="allow_any", retried=False),))


def blackhole(port: int, listener: str) -> VirtualHost:
    """What a gateway answers with 404 without looking any further."""
    return VirtualHost(f"blackhole:{port}", listener, ("*",), ())


def mesh_host(world: World, proxy: Proxy, authority: str, port: int = DEFAULT_PORT) -> VirtualHost:
    """The virtual host that takes a request for `authority` on a sidecar's listener."""
    authority = authority.lower()
    for host in _full_names(world, proxy, authority):
        service = world.hosts.get(host)
        if service is not None and sees(world, proxy, service):
            known = service.port(port)
            if known is None or not known.http:
                continue
        elif port != DEFAULT_PORT:
            continue
        routes = _mesh_routes(world, proxy, host, port)
        if routes:
            return VirtualHost(f"{host}:{port}", str(port), _domains(world, proxy, host), routes)
    return allow_any(port)


def _full_names(world: World, proxy: Proxy, authority: str) -> Iterator[str]:
    domain = world.cluster_domain
    dots = authority.count(".")
    if dots == 0:
        yield f"{authority}.{proxy.namespace}.svc.{domain}"
    elif dots == 1 and f"{authority}.svc.{domain}" in world.hosts:
        yield f"{authority}.svc.{domain}"
    elif authority.endswith(".svc") and f"{authority}.{domain}" in world.hosts:
        yield f"{authority}.{domain}"
    yield authority


def gateways_of(world: World, proxy: Proxy) -> list[Gateway]:
    """The Gateways that a router serves, oldest first."""
    found = (gateway for gateway in world.gateways if has_labels(proxy.labels, gateway.selector))
    return sorted(found, key=lambda gateway: (gateway.created, f"{gateway.name}.{gateway.namespace}"))


def _server_hosts(server: Server, virtual_service: VirtualService) -> Iterator[str]:
    """The hosts that a VirtualService may serve on a server: the narrower one of each overlapping pair."""
    for host in virtual_service.hosts:
        for entry in server.hosts:
            namespace, _, pattern = entry.partition("/")
            if namespace not in ("*", virtual_service.namespace):
                continue
            if host_matches(pattern, host):
                yield host
            elif host_matches(host, pattern):
                yield pattern


def gateway_hosts(world: World, proxy: Proxy, port: int) -> tuple[VirtualHost, ...]:
    """The virtual hosts of a router's listener: rules of all VirtualServices merged, oldest first, catch-alls last."""
    listener_name = f"http.{port}"
    servers = [(gateway, server) for gateway in gateways_of(world, proxy) for server in gateway.servers if server.port == port]
    registry = {host: service.ports for host, service in world.hosts.items()}
    routes: dict[str, list[Route]] = {}
    for gateway, server in servers:
        name = f"{gateway.namespace}/{gateway.name}"
        bound = (vs for vs in world.virtual_services if name in vs.gateways and visible(vs.export_to, proxy.namespace))
        order = sorted(bound, key=lambda vs: (_export_rank(vs, proxy.namespace), vs.age_order))
        for virtual_service in order:
            compiled = compile_rules(world, virtual_service, Listener(proxy, port, frozenset({name}), registry))
            for host in dict.fromkeys(_server_hosts(server, virtual_service)):
                routes.setdefault(host, []).extend(compiled)
    ordered = {host: tuple(sorted(found, key=lambda route: route.match.catch_all)) for host, found in routes.items() if found}
    hosts = _collapsed(ordered, port, listener_name)
    return hosts or ((blackhole(port, listener_name),) if servers else ())


def _collapsed(routes: Mapping[str, tuple[Route, ...]], port: int, listener: str) -> tuple[VirtualHost, ...]:
    """One virtual host for all hosts with the same routes, named after the most specific one, as istiod does."""
    groups: list[tuple[list[str], tuple[Route, ...]]] = []
    for host in sorted(routes, key=lambda name: (name.startswith("*"), -len(name), name)):
        for names, known in groups:
            if known == routes[host]:
                names.append(host)
                break
        else:
            groups.append(([host], routes[host]))
    return tuple(VirtualHost(f"{names[0]}:{port}", listener, tuple(names), known) for names, known in groups)


def matched_domain(host: VirtualHost, authority: str) -> str | None:
    """The domain of a virtual host under which a request finds it, or None."""
    matching = [domain for domain in host.domains if host_matches(domain, authority)]
    return max(matching, key=lambda domain: (domain == authority, len(domain)), default=None)


def route_host(world: World, proxy: Proxy, authority: str, port: int = DEFAULT_PORT) -> VirtualHost:
    """The virtual host that takes requests for `authority` on one listener of a proxy."""
    if proxy.type is ProxyType.SIDECAR:
        return mesh_host(world, proxy, authority, port)
    matching = [
        (domain, host) for host in gateway_hosts(world, proxy, port) if (domain := matched_domain(host, authority.lower())) is not None
    ]
    if not matching:
        return blackhole(port, f"http.{port}")
    return max(matching, key=lambda entry: (entry[0] == authority.lower(), len(entry[0])))[1]


def tcp_clusters(world: World, proxy: Proxy, host: str, port: int) -> tuple[tuple[ClusterId, int], ...]:
    """Where a sidecar's TCP listener for a service's port sends connections, with Envoy's weights."""
    listener = Listener(proxy, port, MESH, mesh_registry(world, proxy, port))
    for virtual_service in mesh_candidates(world, proxy, host):
        if is_broken(virtual_service.tcp):
            continue
        for rule in virtual_service.tcp:
            if not rule.matches or any(match.get("port") in (None, port) for match in rule.matches):
                return weighted_clusters(rule, listener)
    return ((ClusterId(host, port), 100),)
