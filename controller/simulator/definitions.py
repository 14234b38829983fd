"""The CustomResourceDefinitions that a simulated cluster starts with: ours, and Istio's by name.

Istio's schemas are not checked here (fields are kept as they are); the webhook's rules are `mesh`'s.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from controller.api.crd import definitions
from controller.api.validate_yaml import LOADER

ISTIO_KINDS = (
    ("networking.istio.io", "VirtualService", "virtualservices", "vs"),
    ("networking.istio.io", "DestinationRule", "destinationrules", "dr"),
    ("networking.istio.io", "Gateway", "gateways", "gw"),
    ("networking.istio.io", "ServiceEntry", "serviceentries", "se"),
    ("networking.istio.io", "Sidecar", "sidecars", ""),
    ("security.istio.io", "AuthorizationPolicy", "authorizationpolicies", "ap"),
    ("security.istio.io", "PeerAuthentication", "peerauthentications", "pa"),
)


def istio_definition(group: str, kind: str, plural: str, short: str) -> dict[str, Any]:
    """A CRD that keeps every field."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
    versions: list[dict[str, Any]] = [
        {"name": name, "served": True, "storage": name == "v1", "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}
        for name in ("v1", "v1beta1")
    ]
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower(), "categories": ["istio-io"]}
    if short:
        names["shortNames"] = [short]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions},
    }


@cache
def all_definitions() -> list[dict[str, Any]]:
    """Ours, then Istio's. The same objects each time, so that a server compiles their schemas once in a process."""
    return [*definitions().values(), *(istio_definition(*kind) for kind in ISTIO_KINDS)]


def load_objects(path: Path) -> list[dict[str, Any]]:
    """All objects of a YAML file."""
    with path.open(encoding="utf-8") as handle:
        return [document for document in yaml.load_all(handle, Loader=LOADER) if document]
