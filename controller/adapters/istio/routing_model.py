"""The words of Istio's routing: the world that istiod reads, and what a proxy gets out of it.

Everything here is data, parsed once per stored object, so that a change of one VirtualService costs
the parsing of that one object. Nothing here decides; `routing.py` does. Weights are Envoy's own
numbers (shares are weight / sum); times are the API server's strings, whole seconds, in UTC.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Generic, TypeVar

from controller.ports import Obj

T = TypeVar("T")

MESH_GATEWAY = "mesh"
PASSTHROUGH_HOST = "PassthroughCluster"


class ProxyType(StrEnum):
    """What a proxy is to istiod."""

    SIDECAR = "sidecar"
    ROUTER = "router"


@dataclass(frozen=True, slots=True)
class Proxy:
    """One Envoy: where it stands and which labels its pod carries."""

    name: str
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    type: ProxyType = ProxyType.SIDECAR


@dataclass(frozen=True, slots=True)
class ClusterId:
    """An outbound cluster: a host's port, or a subset of it."""

    host: str
    port: int
    subset: str = ""

    @property
    def envoy_name(self) -> str:
        """The name under which Envoy knows it."""
        if self.host == PASSTHROUGH_HOST:
            return self.host
        return f"outbound|{self.port}|{self.subset}|{self.host}"

    def short(self, cluster_domain: str = "cluster.local") -> str:
        """`SUBSET@NAME.NAMESPACE:PORT`, as people read it."""
        if self.host == PASSTHROUGH_HOST:
            return self.host
        host = self.host.removesuffix(f".svc.{cluster_domain}")
        return f"{self.subset}@{host}:{self.port}" if self.subset else f"{host}:{self.port}"


PASSTHROUGH = ClusterId(PASSTHROUGH_HOST, 0)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a rule sends: the resolved host; `port` None takes the listener's; `weight` None was not written."""

    host: str
    subset: str = ""
    port: int | None = None
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class HttpRule:
    """One entry of `spec.http` as written, with its hosts resolved.

    Attributes:
        index: position in `spec.http`.
        name: the rule's name, "" where it has none.
        matches: the raw match blocks; none matches everything.
        route: the destinations in order.
        mirrors: destination and percent.
        delegate: namespace and name of the VirtualService that goes on from here.
        options: the raw rule, for everything that does not choose a destination.
    """

    index: int
    name: str
    matches: tuple[Obj, ...]
    route: tuple[Destination, ...]
    mirrors: tuple[tuple[Destination, float], ...]
    delegate: tuple[str, str] | None
    options: Obj


@dataclass(frozen=True, slots=True)
class VirtualService:
    """A parsed VirtualService; `hosts` are resolved, `gateways` are `mesh` or `namespace/name`."""

    namespace: str
    name: str
    created: str
    hosts: tuple[str, ...]
    gateways: frozenset[str]
    export_to: frozenset[str]
    http: tuple[HttpRule, ...]
    tcp: tuple[HttpRule, ...]
    tls: bool

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name

    @property
    def age_order(self) -> tuple[str, str]:
        """Oldest first by whole second, then by `name.namespace`, as istiod sorts."""
        return self.created, f"{self.name}.{self.namespace}"


@dataclass(frozen=True, slots=True)
class DestinationRule:
    """A parsed DestinationRule; `subsets` gives name, labels and traffic policy in order."""

    namespace: str
    name: str
    created: str
    host: str
    export_to: frozenset[str]
    subsets: tuple[tuple[str, Mapping[str, str], Obj | None], ...]
    traffic_policy: Obj | None
    workload_labels: Mapping[str, str]

    @property
    def age_order(self) -> tuple[str, str]:
        """Oldest first by whole second, then by `name.namespace`."""
        return self.created, f"{self.name}.{self.namespace}"


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a service; `http` is False for TCP and TLS protocols."""

    name: str
    number: int
    http: bool


@dataclass(frozen=True, slots=True)
class Service:
    """A host that istiod knows: a Kubernetes Service, or one host of a ServiceEntry."""

    namespace: str
    name: str
    host: str
    ports: tuple[Port, ...]
    export_to: frozenset[str]

    def port(self, number: int) -> Port | None:
        """The port of that number, or None."""
        return next((port for port in self.ports if port.number == number), None)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address behind a service; `ports` maps the service port's name to the target port."""

    address: str
    ready: bool
    ports: Mapping[str, int]
    pod: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Pod:
    """What a subset and the metrics need of a pod."""

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    workload: str
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Server:
    """One server of a Gateway: hosts as `namespace/host`, where the namespace may be `*`."""

    port: int
    protocol: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gateway:
    """A parsed Gateway."""

    namespace: str
    name: str
    created: str
    selector: Mapping[str, str]
    servers: tuple[Server, ...]


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A parsed Sidecar; `egress` None means that everything is imported."""

    namespace: str
    name: str
    created: str
    workload_labels: Mapping[str, str]
    egress: tuple[str, ...] | None


class Shelf(Generic[T]):
    """An immutable collection by namespace and name, with a place for indexes that depend on nothing else."""

    def __init__(self, items: Mapping[tuple[str, str], T] | None = None) -> None:
        self.items: Mapping[tuple[str, str], T] = items or {}
        self.memo: dict[Any, Any] = {}

    def __iter__(self) -> Iterator[T]:
        return iter(self.items.values())

    def get(self, namespace: str, name: str) -> T | None:
        """The item of that key, or None."""
        return self.items.get((namespace, name))

    def put(self, namespace: str, name: str, item: T | None) -> "Shelf[T]":
        """A new collection with the item set, or removed where it is None."""
        items = dict(self.items)
        if item is None:
            items.pop((namespace, name), None)
        else:
            items[namespace, name] = item
        return Shelf(items)


@dataclass(frozen=True)
class World:
    """All that istiod looks at, at one moment. Immutable: `routing_parse.changed` gives the next one.

    Attributes:
        services: by namespace and name, one entry for each host.
        endpoints: endpoints by namespace and name of the EndpointSlice, with the service they belong to.
        root_namespace: where mesh-wide configuration lies.
        revision: the control plane's own; objects labelled with another one do not exist for it.
        cluster_domain: suffix of in-cluster hosts.
    """

    virtual_services: Shelf[VirtualService] = field(default_factory=Shelf)
    destination_rules: Shelf[DestinationRule] = field(default_factory=Shelf)
    services: Shelf[tuple[Service, ...]] = field(default_factory=Shelf)
    endpoints: Shelf[tuple[tuple[str, str], tuple[Endpoint, ...]]] = field(default_factory=Shelf)
    pods: Shelf[Pod] = field(default_factory=Shelf)
    gateways: Shelf[Gateway] = field(default_factory=Shelf)
    sidecars: Shelf[Sidecar] = field(default_factory=Shelf)
    root_namespace: str = "istio-system"
    revision: str = "default"
    cluster_domain: str = "cluster.local"

    @cached_property
    def hosts(self) -> Mapping[str, Service]:
        """Every known host; of a host named twice the first counts."""
        memo: Mapping[str, Service] | None = self.services.memo.get("hosts")
        if memo is None:
            found: dict[str, Service] = {}
            for group in self.services:
                for service in group:
                    found.setdefault(service.host, service)
            memo = self.services.memo["hosts"] = found
        return memo

    def endpoints_of(self, service: Service) -> Iterable[Endpoint]:
        """All endpoints of a service, ready or not, in the order of its slices."""
        index: dict[tuple[str, str], list[Endpoint]] | None = self.endpoints.memo.get("index")
        if index is None:
            index = {}
            for owner, endpoints in self.endpoints:
                index.setdefault(owner, []).extend(endpoints)
            self.endpoints.memo["index"] = index
        return index.get((service.namespace, service.name), ())


@dataclass(frozen=True, slots=True)
class RouteMatch:
    """What a request must look like, in Envoy's words: path, then headers, then query parameters.

    Attributes:
        path: kind (`prefix`, `exact`, `regex`) and value.
        headers: name and condition (`{"exact": ...}`, `{"present": True}`); `inverted` ones must not hold.
    """

    path: tuple[str, str] = ("prefix", "/")
    headers: tuple[tuple[str, Obj], ...] = ()
    inverted: tuple[tuple[str, Obj], ...] = ()
    query: tuple[tuple[str, Obj], ...] = ()
    ignore_case: bool = False

    @property
    def catch_all(self) -> bool:
        """Whether it matches every request."""
        return self.path == ("prefix", "/") and not (self.headers or self.inverted or self.query)


@dataclass(frozen=True, slots=True)
class Route:
    """One route of a virtual host, as the proxy holds it.

    Attributes:
        match: which requests it takes.
        to: clusters with Envoy's weights, never 0; empty for a redirect or a direct response.
        weighted: True where Envoy has weighted clusters, False for a single cluster.
        mirrors: clusters and percent.
        options: the raw Istio rule, merged with its delegating one.
        origin: the VirtualService and rule it came from; None for a default route.
    """

    match: RouteMatch
    to: tuple[tuple[ClusterId, int], ...]
    weighted: bool = False
    name: str = ""
    mirrors: tuple[tuple[ClusterId, float], ...] = ()
    options: Obj = field(default_factory=dict)
    origin: tuple[str, str, int] | None = None
    retried: bool = True

    @property
    def shares(self) -> tuple[tuple[ClusterId, float], ...]:
        """Clusters with their part of the traffic, summing to 1."""
        total = sum(weight for _, weight in self.to)
        return tuple((cluster, weight / total) for cluster, weight in self.to)


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """The routes of some domains on one listener (`80` for sidecars, `http.8080` for gateways)."""

    name: str
    listener: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]
