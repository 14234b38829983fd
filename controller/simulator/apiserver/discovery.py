"""What the server says it serves: the version, the groups and the resources, in the old and the aggregated form."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from controller.simulator.apiserver.registry import Registry
from controller.simulator.apiserver.resources import ALL_VERBS, Resource

VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.3-penstock",
    "platform": "sandbox/memory",
    "goVersion": "none",
    "compiler": "none",
}
_AGGREGATED = "apidiscovery.k8s.io/v2"


def _resources(registry: Registry, group: str | None = None, version: str | None = None) -> list[Resource]:
    found = (served.resource for served in registry.by_kind.values() if served.resource.served)
    chosen = [r for r in found if (group is None or r.kind.group == group) and (version is None or r.kind.version == version)]
    return sorted(chosen, key=lambda r: (r.kind.group, r.kind.version, r.kind.plural))


def versions_of(registry: Registry, group: str) -> list[str]:
    """The versions of a group: stable before beta before alpha, newer before older."""
    found = {resource.kind.version for resource in _resources(registry, group)}
    return sorted(found, key=lambda version: ("alpha" in version, "beta" in version, [-ord(c) for c in version]))


def groups(registry: Registry) -> list[str]:
    """The named groups."""
    return sorted({resource.kind.group for resource in _resources(registry)} - {""})


def group(registry: Registry, name: str) -> dict[str, Any]:
    """The APIGroup object of one group, as an entry of a list."""
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions_of(registry, name)]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def resource_list(registry: Registry, group_name: str, version: str) -> dict[str, Any] | None:
    """The APIResourceList of one version of a group; None where it is not served."""
    resources = _resources(registry, group_name, version)
    if not resources:
        return None
    group_version = f"{group_name}/{version}" if group_name else version
    entries: list[dict[str, Any]] = []
    for resource in resources:
        kind = resource.kind
        entry: dict[str, Any] = {
            "name": kind.plural, "singularName": resource.singular, "namespaced": kind.namespaced, "kind": kind.kind,
            "verbs": list(ALL_VERBS),
        }  # fmt: skip
        if resource.short_names:
            entry["shortNames"] = list(resource.short_names)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        entries.append(entry)
        for sub, sub_kind in _subresources(resource):
            scale = {"group": "autoscaling", "version": "v1"} if sub == "scale" else {}
            entries.append(
                {"name": f"{kind.plural}/{sub}", "singularName": "", "namespaced": kind.namespaced, **scale, "kind": sub_kind,
                 "verbs": ["get", "patch", "update"]}
            )  # fmt: skip
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}


def _subresources(resource: Resource) -> Iterable[tuple[str, str]]:
    if resource.status:
        yield "status", resource.kind.kind
    if resource.scale is not None:
        yield "scale", "Scale"


def aggregated(registry: Registry, *, core: bool) -> dict[str, Any]:
    """The APIGroupDiscoveryList of the core group, or of all named ones."""
    items = []
    for name in [""] if core else groups(registry):
        versions = [
            {"version": version, "freshness": "Current", "resources": [_entry(r) for r in _resources(registry, name, version)]}
            for version in versions_of(registry, name)
        ]
        items.append({"metadata": {"name": name or None, "creationTimestamp": None}, "versions": versions})
        if not name:
            items[-1]["metadata"] = {"creationTimestamp": None}
    return {"kind": "APIGroupDiscoveryList", "apiVersion": _AGGREGATED, "metadata": {}, "items": items}


def _entry(resource: Resource) -> dict[str, Any]:
    kind = resource.kind
    subresources = [
        {
            "subresource": sub,
            "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"} if sub == "scale" else _gvk(resource),
            "verbs": ["get", "patch", "update"],
        }
        for sub, _ in _subresources(resource)
    ]
    entry: dict[str, Any] = {
        "resource": kind.plural, "responseKind": _gvk(resource), "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": resource.singular, "verbs": list(ALL_VERBS),
    }  # fmt: skip
    for key, value in (("shortNames", resource.short_names), ("categories", resource.categories), ("subresources", subresources)):
        if value:
            entry[key] = list(value)
    return entry


def _gvk(resource: Resource) -> dict[str, str]:
    return {"group": resource.kind.group, "version": resource.kind.version, "kind": resource.kind.kind}


def group_list(registry: Registry) -> dict[str, Any]:
    """The APIGroupList of `/apis`."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(registry, name) for name in groups(registry)]}


def core_versions(address: str) -> dict[str, Any]:
    """The APIVersions of `/api`."""
    where = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": where}


def grouped(resources: Iterable[Resource]) -> dict[tuple[str, str], list[Resource]]:
    """Resources by (group, version)."""
    ordered = sorted(resources, key=lambda r: (r.kind.group, r.kind.version))
    return {key: list(found) for key, found in groupby(ordered, key=lambda r: (r.kind.group, r.kind.version))}
