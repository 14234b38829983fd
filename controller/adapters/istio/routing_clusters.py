"""Which clusters a proxy has: what it may see, which DestinationRule counts, which endpoints a subset holds.

A client's own namespace comes first: a DestinationRule there *replaces* the service's, it does not add to
it. Measured against istiod (`tests/data/istiod-routes.json`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from controller.adapters.istio.routing_model import (
    ClusterId,
    DestinationRule,
    Endpoint,
    Port,
    Proxy,
    Service,
    Sidecar,
    VirtualService,
    World,
)
from controller.ports import Obj


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that a proxy has; `labels` None is the whole service, a subset's labels may be empty too."""

    id: ClusterId
    service: Service
    port: Port
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class EffectiveRule:
    """The DestinationRules that count for one client namespace and host, merged.

    Attributes:
        sources: namespace and name of each, oldest first.
        subsets: labels by subset name; of a name used twice the older counts.
        traffic_policy: the oldest one that is set.
        subset_policies: by subset name, where the subset has one.
    """

    sources: tuple[tuple[str, str], ...] = ()
    subsets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    traffic_policy: Obj | None = None
    subset_policies: Mapping[str, Obj] = field(default_factory=dict)


NO_RULE = EffectiveRule()


def host_matches(pattern: str, host: str) -> bool:
    """Whether a host, `*` or a `*.suffix` covers a concrete host."""
    return pattern in ("*", host) or (pattern.startswith("*") and host.endswith(pattern[1:]))


def hosts_overlap(one: str, other: str) -> bool:
    """Whether two hosts, either of them possibly a wildcard, have a name in common."""
    return host_matches(one, other) or host_matches(other, one)


def visible(export_to: frozenset[str], namespace: str) -> bool:
    """Whether something exported like this is seen in a namespace."""
    return "*" in export_to or namespace in export_to


def has_labels(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether all wanted labels are there."""
    return all(labels.get(key) == value for key, value in wanted.items())


def sidecar_of(world: World, proxy: Proxy) -> Sidecar | None:
    """The Sidecar object that counts for a proxy: by its labels, else its namespace's, else the mesh's."""
    if not world.sidecars.items:
        return None
    own = sorted((s for s in world.sidecars if s.namespace == proxy.namespace), key=lambda s: (s.created, s.name))
    for sidecar in own:
        if sidecar.workload_labels and has_labels(proxy.labels, sidecar.workload_labels):
            return sidecar
    mesh_wide = [s for s in world.sidecars if s.namespace == world.root_namespace]
    return next((s for s in (*own, *mesh_wide) if not s.workload_labels), None)


def _imports(sidecar: Sidecar, namespace: str, hosts: Iterable[str]) -> bool:
    names = tuple(hosts)
    for entry in sidecar.egress or ():
        where, _, pattern = entry.partition("/")
        where = sidecar.namespace if where == "." else where
        if where in ("*", namespace) and any(hosts_overlap(pattern, host) for host in names):
            return True
    return False


def imported(world: World, proxy: Proxy, virtual_service: VirtualService) -> bool:
    """Whether a VirtualService is exported to the proxy's namespace and imported by its Sidecar."""
    if not visible(virtual_service.export_to, proxy.namespace):
        return False
    sidecar = sidecar_of(world, proxy)
    return sidecar is None or sidecar.egress is None or _imports(sidecar, virtual_service.namespace, virtual_service.hosts)


def sees(world: World, proxy: Proxy, service: Service) -> bool:
    """Whether a proxy has clusters for a service: exported, and imported by its Sidecar or by an imported VirtualService."""
    if not visible(service.export_to, proxy.namespace):
        return False
    sidecar = sidecar_of(world, proxy)
    if sidecar is None or sidecar.egress is None or _imports(sidecar, service.namespace, (service.host,)):
        return True
    return any(
        destination.host == service.host
        for virtual_service in world.virtual_services
        if imported(world, proxy, virtual_service)
        for rule in (*virtual_service.http, *virtual_service.tcp)
        for destination in rule.route
    )


def visible_services(world: World, proxy: Proxy) -> Iterator[Service]:
    """All services that a proxy sees."""
    return (service for service in world.hosts.values() if sees(world, proxy, service))


def _most_specific(rules: Iterable[DestinationRule], host: str) -> list[DestinationRule]:
    matching = [rule for rule in rules if host_matches(rule.host, host)]
    if not matching:
        return []
    best = max((not rule.host.startswith("*"), len(rule.host)) for rule in matching)
    return [rule for rule in matching if (not rule.host.startswith("*"), len(rule.host)) == best]


def destination_rules_for(world: World, namespace: str, service: Service) -> list[DestinationRule]:
    """The rules that count for clients of a namespace: their own ones, else the service's, else the mesh's; oldest first."""
    seen = [rule for rule in world.destination_rules if visible(rule.export_to, namespace) and not rule.workload_labels]
    for home in dict.fromkeys((namespace, service.namespace, world.root_namespace)):
        found = _most_specific((rule for rule in seen if rule.namespace == home), service.host)
        if found:
            return sorted(found, key=lambda rule: rule.age_order)
    return []


def effective_rule(world: World, namespace: str, service: Service) -> EffectiveRule:
    """What clients of a namespace have of the DestinationRules for a service, merged."""
    if not world.destination_rules.items:
        return NO_RULE
    # The services are part of the key because a Service may move to another namespace's host only as another object.
    memo = world.destination_rules.memo
    key = (namespace, service.namespace, service.host)
    found: EffectiveRule | None = memo.get(key)
    if found is None:
        found = memo[key] = _merged(destination_rules_for(world, namespace, service))
    return found


def _merged(rules: list[DestinationRule]) -> EffectiveRule:
    subsets: dict[str, Mapping[str, str]] = {}
    policies: dict[str, Obj] = {}
    policy: Obj | None = None
    for rule in rules:
        policy = policy if policy is not None else rule.traffic_policy
        for name, labels, subset_policy in rule.subsets:
            if name in subsets:
                continue
            subsets[name] = labels
            if subset_policy is not None:
                policies[name] = subset_policy
    return EffectiveRule(tuple((rule.namespace, rule.name) for rule in rules), subsets, policy, policies)


def effective_traffic_policy(world: World, namespace: str, host: str, subset: str = "") -> Obj | None:
    """The traffic policy that clients of a namespace apply to a host or one of its subsets; None where there is none.

    A subset's own policy overrides the host's field by field.
    """
    service = world.hosts.get(host)
    if service is None:
        return None
    rule = effective_rule(world, namespace, service)
    own = rule.subset_policies.get(subset)
    if own is None:
        return rule.traffic_policy
    return {**(rule.traffic_policy or {}), **own}


def find_cluster(world: World, proxy: Proxy, cluster: ClusterId) -> Cluster | None:
    """The cluster as the proxy has it, or None where it does not know it (503 NC)."""
    service = world.hosts.get(cluster.host)
    if service is None or not sees(world, proxy, service):
        return None
    port = service.port(cluster.port)
    if port is None:
        return None
    if not cluster.subset:
        return Cluster(cluster, service, port)
    labels = effective_rule(world, proxy.namespace, service).subsets.get(cluster.subset)
    return None if labels is None else Cluster(cluster, service, port, labels)


def clusters_of(world: World, proxy: Proxy) -> tuple[Cluster, ...]:
    """All outbound clusters of a proxy, sorted as Envoy names them."""
    found = []
    for service in visible_services(world, proxy):
        subsets = effective_rule(world, proxy.namespace, service).subsets
        for port in service.ports:
            found.append(Cluster(ClusterId(service.host, port.number), service, port))
            found.extend(Cluster(ClusterId(service.host, port.number, name), service, port, labels) for name, labels in subsets.items())
    return tuple(sorted(found, key=lambda cluster: cluster.id.envoy_name))


def endpoints_of(world: World, cluster: Cluster, *, ready_only: bool = True) -> tuple[Endpoint, ...]:
    """The endpoints of a cluster, by address. A subset holds those whose pod carries its labels."""
    found = []
    for endpoint in world.endpoints_of(cluster.service):
        if (ready_only and not endpoint.ready) or cluster.port.name not in endpoint.ports:
            continue
        if cluster.labels:
            pod = world.pods.get(*endpoint.pod) if endpoint.pod else None
            if pod is None or not has_labels(pod.labels, cluster.labels):
                continue
        found.append(endpoint)
    return tuple(sorted(found, key=lambda endpoint: endpoint.address))
