"""What a request gets from one proxy: which pods, or which error of the proxy itself.

The three things a proxy knows (clusters, routes, endpoints) arrive at different times; the answer follows
from what has arrived. A cluster whose endpoints have not arrived yet is still warming, and Envoy answers
as if it did not exist.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from controller.adapters.istio.routing import route_host
from controller.adapters.istio.routing_clusters import endpoints_of, find_cluster
from controller.adapters.istio.routing_model import PASSTHROUGH, ClusterId, Endpoint, Pod, Proxy, Route, RouteMatch, World
from controller.ports import Obj


@dataclass(frozen=True, slots=True)
class Request:
    """What a user asks: `host` is the authority, `port` the listener's port at the proxy that takes the request."""

    host: str
    port: int = 80
    path: str = "/"
    method: str = "GET"
    scheme: str = "http"
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Applied:
    """What a proxy has applied: the world as of the last update of each kind."""

    clusters: World
    routes: World
    endpoints: World


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a part of the requests ends.

    Attributes:
        fraction: part of all requests, 0 to 1.
        code: the proxy's own answer, or 0 where a pod answers.
        flag: Envoy's response flag (`NC`, `UH`, `NR`, `FI`), "-" where there is none.
        cluster: the cluster it was sent to, where it came so far.
        pod: who answers.
        retried: whether Istio's default retries apply.
    """

    fraction: float
    code: int = 0
    flag: str = "-"
    cluster: ClusterId | None = None
    pod: Pod | None = None
    retried: bool = False


@dataclass(frozen=True, slots=True)
class ClusterState:
    """A cluster of an applied route: Envoy's weight, whether the proxy knows it, its ready endpoints."""

    cluster: ClusterId
    weight: int
    known: bool
    ready: tuple[Endpoint, ...]


def _holds(condition: Obj, value: str | None) -> bool:
    if value is None:
        return False
    if "exact" in condition:
        return bool(value == condition["exact"])
    if "prefix" in condition:
        return value.startswith(condition["prefix"])
    if "regex" in condition:
        return re.fullmatch(condition["regex"], value) is not None
    return True


def _path_holds(match: RouteMatch, path: str) -> bool:
    kind, wanted = match.path
    if match.ignore_case:
        path, wanted = path.lower(), wanted.lower()
    match kind:
        case "exact":
            return path == wanted
        case "prefix":
            return path.startswith(wanted)
        case _:
            return re.fullmatch(wanted, path) is not None


def takes(match: RouteMatch, request: Request) -> bool:
    """Whether a route takes a request."""
    if match.catch_all:
        return True
    if not _path_holds(match, request.path):
        return False
    headers: dict[str, str] = {name.lower(): value for name, value in request.headers.items()}
    headers |= {":method": request.method, ":scheme": request.scheme, ":authority": request.host}
    return (
        all(_holds(condition, headers.get(name)) for name, condition in match.headers)
        and not any(_holds(condition, headers.get(name)) for name, condition in match.inverted)
        and all(_holds(condition, request.query.get(name)) for name, condition in match.query)
    )


def _pod_of(world: World, endpoint: Endpoint) -> Pod:
    if endpoint.pod is not None:
        pod = world.pods.get(*endpoint.pod)
        if pod is not None:
            return pod
        return Pod(endpoint.pod[0], endpoint.pod[1], "", {}, endpoint.pod[1], ())
    return Pod("", endpoint.address, "", {}, endpoint.address, ())


def _at_pods(world: World, endpoints: Sequence[Endpoint], fraction: float, cluster: ClusterId, *, retried: bool) -> list[Outcome]:
    part = fraction / len(endpoints)
    return [Outcome(part, cluster=cluster, pod=_pod_of(world, endpoint), retried=retried) for endpoint in endpoints]


def _through(applied: Applied, proxy: Proxy, cluster: ClusterId, fraction: float, route: Route) -> list[Outcome]:
    known = find_cluster(applied.clusters, proxy, cluster)
    warm = None if known is None else find_cluster(applied.endpoints, proxy, cluster)
    if warm is None:
        return [Outcome(fraction, 503, "NC", cluster)]
    ready = endpoints_of(applied.endpoints, warm)
    if not ready:
        return [Outcome(fraction, 503, "UH", cluster)]
    return _at_pods(applied.endpoints, ready, fraction, cluster, retried=route.retried)


def _passed_through(applied: Applied, request: Request) -> list[Outcome]:
    """Around the mesh: kube-proxy spreads over all pods of the Service, where there is one."""
    world = applied.endpoints
    service = world.hosts.get(request.host)
    ready = [endpoint for endpoint in world.endpoints_of(service) if endpoint.ready] if service else []
    if not ready:
        return [Outcome(1.0, 502, "UF", PASSTHROUGH)]
    return _at_pods(world, ready, 1.0, PASSTHROUGH, retried=False)


def _own_answer(route: Route) -> int:
    redirect, direct = route.options.get("redirect"), route.options.get("directResponse")
    if redirect:
        return int(redirect.get("redirectCode", 301))
    return int((direct or {}).get("status", 500))


def answer(applied: Applied, proxy: Proxy, request: Request) -> tuple[Outcome, ...]:
    """Where the requests of one sort end, as parts of 1."""
    host = route_host(applied.routes, proxy, request.host, request.port)
    route = next((route for route in host.routes if takes(route.match, request)), None)
    if route is None:
        return (Outcome(1.0, 404, "NR"),)
    if not route.to:
        return (Outcome(1.0, _own_answer(route)),)
    if route.to[0][0] == PASSTHROUGH:
        return tuple(_passed_through(applied, request))
    outcomes: list[Outcome] = []
    remaining = 1.0
    abort = (route.options.get("fault") or {}).get("abort")
    if abort:
        aborted = float((abort.get("percentage") or {}).get("value", 100.0)) / 100
        outcomes.append(Outcome(aborted, int(abort.get("httpStatus", 503)), "FI"))
        remaining -= aborted
    for cluster, share in route.shares:
        outcomes.extend(_through(applied, proxy, cluster, share * remaining, route))
    return tuple(outcomes)


def mirrored(applied: Applied, proxy: Proxy, request: Request) -> tuple[Outcome, ...]:
    """Which pods get copies of the requests besides, as parts of 1; the copies' answers reach nobody."""
    host = route_host(applied.routes, proxy, request.host, request.port)
    route = next((route for route in host.routes if takes(route.match, request)), None)
    copies = route.mirrors if route is not None else ()
    found = (outcome for cluster, percent in copies if route for outcome in _through(applied, proxy, cluster, percent / 100, route))
    return tuple(replace(outcome, retried=False) for outcome in found if outcome.pod is not None)


def cluster_states(applied: Applied, proxy: Proxy, host: str, port: int) -> tuple[tuple[Route, tuple[ClusterState, ...]], ...]:
    """The routes that a proxy has applied for a host, each with the state of its clusters (mirrors left out)."""
    found = []
    for route in route_host(applied.routes, proxy, host, port).routes:
        states = []
        for cluster, weight in route.to:
            known = find_cluster(applied.clusters, proxy, cluster)
            warm = None if known is None else find_cluster(applied.endpoints, proxy, cluster)
            states.append(ClusterState(cluster, weight, warm is not None, endpoints_of(applied.endpoints, warm) if warm else ()))
        found.append((route, tuple(states)))
    return tuple(found)
