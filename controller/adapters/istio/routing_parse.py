"""From stored objects to the parsed words of `routing_model`, one object at a time.

Tolerant where istiod is: an absent list is an empty one. What this resolution does not know is named in
`UNSUPPORTED`; `unsupported` tells whether an object is of that sort, and the callers decide what it means to them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from controller.adapters.istio.routing_model import (
    MESH_GATEWAY,
    Destination,
    DestinationRule,
    Endpoint,
    Gateway,
    HttpRule,
    Pod,
    Port,
    Server,
    Service,
    Sidecar,
    VirtualService,
    World,
)
from controller.ports import Obj

UNSUPPORTED: Mapping[str, str] = {
    "EnvoyFilter": "it patches the proxies' configuration in ways that only Envoy can tell",
    "WorkloadEntry": "endpoints come from EndpointSlices and from the addresses in a ServiceEntry only",
    "WorkloadGroup": "endpoints come from EndpointSlices and from the addresses in a ServiceEntry only",
    "WasmPlugin": "a plugin may answer requests by itself",
    "ProxyConfig": "proxies are described by the scenario",
    "HTTPRoute": "routes of the Gateway API are not resolved",
    "GRPCRoute": "routes of the Gateway API are not resolved",
    "VirtualService with tls routes": "routing by server name is not resolved",
    "ServiceEntry with resolution DNS, DNS_ROUND_ROBIN or DYNAMIC_DNS": "its addresses are known to the proxies' resolver only",
    "ServiceEntry with a workloadSelector": "its endpoints are found by labels across workload entries",
    "Gateway with TLS passthrough": "routing by server name is not resolved",
    "Sidecar with egress listeners of their own": "a listener's port and binding are not resolved",
}
"""What is refused, each with its reason."""

CONFIGURATION = frozenset({"VirtualService", "DestinationRule", "Gateway", "Sidecar", "ServiceEntry"})
HTTP_PROTOCOLS = frozenset({"http", "http2", "grpc", "grpc-web", "kubernetes.io/h2c", "kubernetes.io/ws", ""})
OTHER_PROTOCOLS = frozenset({"tcp", "tls", "https", "mongo", "mysql", "redis", "udp"})
_NO_LABELS: Mapping[str, str] = {}


def resolve_host(host: str, namespace: str, cluster_domain: str) -> str:
    """A host as istiod reads it: a name without a dot belongs to the object's own namespace, a dotted one is complete."""
    if not host or "." in host or host.startswith("*"):
        return host.lower()
    return f"{host.lower()}.{namespace}.svc.{cluster_domain}"


def _gateway(name: str, namespace: str) -> str:
    if name == MESH_GATEWAY or "/" in name:
        return name.removeprefix("./") if not name.startswith("./") else f"{namespace}/{name[2:]}"
    return f"{namespace}/{name}"


def _destination(raw: Obj, weight: Any, namespace: str, domain: str) -> Destination:
    port = (raw.get("port") or {}).get("number")
    weight = None if weight is None else int(weight)
    return Destination(resolve_host(raw.get("host", ""), namespace, domain), raw.get("subset", ""), port, weight)


def _mirrors(raw: Obj, namespace: str, domain: str) -> tuple[tuple[Destination, float], ...]:
    found: list[tuple[Destination, float]] = []
    if raw.get("mirror"):
        percent = (raw.get("mirrorPercentage") or {}).get("value")
        if percent is None:
            percent = 0.0 if "mirrorPercentage" in raw else raw.get("mirrorPercent", 100.0)
        found.append((_destination(raw["mirror"], None, namespace, domain), float(percent)))
    for entry in raw.get("mirrors") or ():
        percent = (entry.get("percentage") or {}).get("value", 0.0) if "percentage" in entry else 100.0
        found.append((_destination(entry.get("destination") or {}, None, namespace, domain), float(percent)))
    return tuple((destination, percent) for destination, percent in found if percent > 0)


def _rule(index: int, raw: Obj, namespace: str, domain: str) -> HttpRule:
    delegate = raw.get("delegate")
    return HttpRule(
        index=index,
        name=raw.get("name", ""),
        matches=tuple(raw.get("match") or ()),
        route=tuple(
            _destination(entry.get("destination") or {}, entry.get("weight"), namespace, domain) for entry in raw.get("route") or ()
        ),
        mirrors=_mirrors(raw, namespace, domain),
        delegate=(delegate.get("namespace") or namespace, delegate.get("name", "")) if delegate else None,
        options=raw,
    )


def _meta(obj: Obj) -> tuple[str, str, str]:
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"], meta.get("creationTimestamp") or "9999"


def _export_to(values: Iterable[str] | None, namespace: str) -> frozenset[str]:
    named = frozenset(namespace if value == "." else value for value in values or ())
    return named or frozenset({"*"})


def parse_virtual_service(obj: Obj, cluster_domain: str = "cluster.local") -> VirtualService:
    """Parse a VirtualService; nothing is refused here, `tls` only says that it has tls routes."""
    namespace, name, created = _meta(obj)
    spec = obj.get("spec") or {}
    return VirtualService(
        namespace=namespace,
        name=name,
        created=created,
        hosts=tuple(resolve_host(host, namespace, cluster_domain) for host in spec.get("hosts") or ()),
        gateways=frozenset(_gateway(gateway, namespace) for gateway in spec.get("gateways") or (MESH_GATEWAY,)),
        export_to=_export_to(spec.get("exportTo"), namespace),
        http=tuple(_rule(i, raw, namespace, cluster_domain) for i, raw in enumerate(spec.get("http") or ())),
        tcp=tuple(_rule(i, raw, namespace, cluster_domain) for i, raw in enumerate(spec.get("tcp") or ())),
        tls=bool(spec.get("tls")),
    )


def parse_destination_rule(obj: Obj, cluster_domain: str = "cluster.local") -> DestinationRule:
    """Parse a DestinationRule."""
    namespace, name, created = _meta(obj)
    spec = obj.get("spec") or {}
    return DestinationRule(
        namespace=namespace,
        name=name,
        created=created,
        host=resolve_host(spec.get("host", ""), namespace, cluster_domain),
        export_to=_export_to(spec.get("exportTo"), namespace),
        subsets=tuple((s.get("name", ""), s.get("labels") or {}, s.get("trafficPolicy")) for s in spec.get("subsets") or ()),
        traffic_policy=spec.get("trafficPolicy"),
        workload_labels=(spec.get("workloadSelector") or {}).get("matchLabels") or {},
    )


def _is_http(port: Obj) -> bool:
    protocol = str(port.get("appProtocol") or port.get("name") or "").lower()
    if protocol in HTTP_PROTOCOLS:
        return True
    return protocol.split("-")[0] not in OTHER_PROTOCOLS


def _services_of_service(obj: Obj, cluster_domain: str) -> tuple[Service, ...]:
    namespace, name, _ = _meta(obj)
    ports = tuple(Port(p.get("name", ""), p["port"], _is_http(p)) for p in (obj.get("spec") or {}).get("ports") or ())
    annotation = (obj["metadata"].get("annotations") or {}).get("networking.istio.io/exportTo", "")
    export_to = _export_to([part.strip() for part in annotation.split(",") if part.strip()], namespace)
    return (Service(namespace, name, f"{name}.{namespace}.svc.{cluster_domain}", ports, export_to),)


def _service_entry(obj: Obj) -> tuple[tuple[Service, ...], tuple[Endpoint, ...]]:
    namespace, name, _ = _meta(obj)
    spec = obj.get("spec") or {}
    ports = tuple(
        Port(p.get("name", ""), p["number"], str(p.get("protocol", "")).lower() in HTTP_PROTOCOLS) for p in spec.get("ports") or ()
    )
    named = {port.name: port.number for port in ports}
    services = tuple(
        Service(namespace, f"serviceentry/{name}", host.lower(), ports, _export_to(spec.get("exportTo"), namespace))
        for host in spec.get("hosts") or ()
    )
    endpoints = tuple(Endpoint(e["address"], ready=True, ports={**named, **(e.get("ports") or {})}) for e in spec.get("endpoints") or ())
    return services, endpoints


def _slice(obj: Obj) -> tuple[tuple[str, str], tuple[Endpoint, ...]]:
    namespace = obj["metadata"].get("namespace", "")
    service = (obj["metadata"].get("labels") or _NO_LABELS).get("kubernetes.io/service-name", "")
    ports = {p.get("name") or "": p.get("port") or 0 for p in obj.get("ports") or ()}
    found: list[Endpoint] = []
    for entry in obj.get("endpoints") or ():
        conditions = entry.get("conditions") or {}
        ready = conditions.get("ready") is not False and not conditions.get("terminating")
        target = entry.get("targetRef") or {}
        pod = (target.get("namespace") or namespace, target["name"]) if target.get("kind") == "Pod" else None
        found.extend(Endpoint(address, ready, ports, pod) for address in entry.get("addresses") or ())
    return (namespace, service), tuple(found)


def _pod(obj: Obj) -> Pod:
    meta = obj["metadata"]
    labels: Mapping[str, str] = meta.get("labels") or _NO_LABELS
    owner = next((ref for ref in meta.get("ownerReferences") or () if ref.get("controller")), None)
    workload = meta["name"]
    if owner is not None:
        workload = owner["name"]
        if owner.get("kind") == "ReplicaSet":
            workload = workload.removesuffix(f"-{labels.get('pod-template-hash', '')}")
    images = tuple(c.get("image", "") for c in (obj.get("spec") or {}).get("containers") or ())
    return Pod(meta.get("namespace", ""), meta["name"], meta.get("uid", ""), labels, workload, images)


def _passthrough(server: Obj) -> bool:
    protocol = str((server.get("port") or {}).get("protocol", "")).upper()
    return protocol == "TLS" or (server.get("tls") or {}).get("mode") in ("PASSTHROUGH", "AUTO_PASSTHROUGH")


def _gateway_object(obj: Obj) -> Gateway:
    namespace, name, created = _meta(obj)
    servers = []
    for raw in (obj.get("spec") or {}).get("servers") or ():
        protocol = str(raw.get("port", {}).get("protocol", "")).upper()
        if _passthrough(raw):
            continue
        hosts = tuple(host if "/" in host else f"*/{host}" for host in raw.get("hosts") or ())
        servers.append(
            Server(raw["port"]["number"], protocol, tuple(h.replace("./", f"{namespace}/", 1) if h.startswith("./") else h for h in hosts))
        )
    return Gateway(namespace, name, created, (obj.get("spec") or {}).get("selector") or {}, tuple(servers))


def _sidecar(obj: Obj) -> Sidecar:
    namespace, name, created = _meta(obj)
    spec = obj.get("spec") or {}
    egress = spec.get("egress")
    hosts = None if egress is None else tuple(host for listener in egress for host in listener.get("hosts") or ())
    return Sidecar(namespace, name, created, (spec.get("workloadSelector") or {}).get("labels") or {}, hosts)


def _changed_service_entry(world: World, namespace: str, name: str, obj: Obj | None) -> World:
    key = f"serviceentry/{name}"
    if obj is None:
        return replace(world, services=world.services.put(namespace, key, None), endpoints=world.endpoints.put(namespace, key, None))
    services, endpoints = _service_entry(obj)
    return replace(
        world,
        services=world.services.put(namespace, key, services),
        endpoints=world.endpoints.put(namespace, key, ((namespace, key), endpoints)),
    )


def _is_foreign(world: World, kind: str, obj: Obj) -> bool:
    """Whether a configuration object is labelled for another control plane; for ours it does not exist."""
    labels = obj["metadata"].get("labels") or _NO_LABELS
    return kind in CONFIGURATION and labels.get("istio.io/rev", world.revision) != world.revision


_PARSERS: Mapping[str, tuple[str, Callable[[Obj, str], Any]]] = {
    "VirtualService": ("virtual_services", parse_virtual_service),
    "DestinationRule": ("destination_rules", parse_destination_rule),
    "Service": ("services", _services_of_service),
    "EndpointSlice": ("endpoints", lambda obj, _: _slice(obj)),
    "Pod": ("pods", lambda obj, _: _pod(obj)),
    "Gateway": ("gateways", lambda obj, _: _gateway_object(obj)),
    "Sidecar": ("sidecars", lambda obj, _: _sidecar(obj)),
}


def changed(world: World, kind: str, old: Obj | None, new: Obj | None) -> World:
    """The world after one object was written (`new`) or deleted (`new` is None).

    Kinds that say nothing about routing give the same world. An object labelled for another control plane does
    not exist.
    """
    some = new if new is not None else old
    if some is None:
        return world
    namespace, name = some["metadata"].get("namespace", ""), some["metadata"]["name"]
    if new is not None and _is_foreign(world, kind, new):
        new = None
    if kind == "ServiceEntry":
        return _changed_service_entry(world, namespace, name, new)
    if kind not in _PARSERS:
        return world
    shelf_name, parse = _PARSERS[kind]
    item = None if new is None else parse(new, world.cluster_domain)
    shelves: dict[str, Any] = {shelf_name: getattr(world, shelf_name).put(namespace, name, item)}
    return replace(world, **shelves)


def unsupported(kind: str, obj: Obj) -> str | None:
    """The entry of `UNSUPPORTED` that this object is, or None."""
    spec = obj.get("spec") or {}
    match kind:
        case "VirtualService" if spec.get("tls"):
            return "VirtualService with tls routes"
        case "ServiceEntry" if spec.get("resolution", "NONE") not in ("NONE", "STATIC"):
            return "ServiceEntry with resolution DNS, DNS_ROUND_ROBIN or DYNAMIC_DNS"
        case "ServiceEntry" if spec.get("workloadSelector"):
            return "ServiceEntry with a workloadSelector"
        case "Gateway" if any(_passthrough(server) for server in spec.get("servers") or ()):
            return "Gateway with TLS passthrough"
        case "Sidecar" if any(key in listener for listener in spec.get("egress") or () for key in ("port", "bind", "captureMode")):
            return "Sidecar with egress listeners of their own"
        case _:
            return kind if kind in UNSUPPORTED else None


def world_of(objects: Iterable[Obj], *, root_namespace: str = "istio-system", cluster_domain: str = "cluster.local") -> World:
    """The world that holds these objects."""
    world = World(root_namespace=root_namespace, cluster_domain=cluster_domain)
    for obj in objects:
        world = changed(world, obj["kind"], None, obj)
    return world
