"""The CustomResourceDefinitions that a simulated cluster starts with: ours, and Istio's by name.

Istio's schemas are not checked here (fields are kept as they are); the webhook's rules are `mesh`'s.
"""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from controller.api.crd import definitions
from controller.api.validate_yaml import LOADER, is_list

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


class WorldError(ValueError):
    """A file of Kubernetes objects that cannot be loaded; the sentence says where and why."""


BOOKKEEPING = frozenset({"creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"})
"""What a cluster's own API server wrote into an object's metadata, and the simulated one writes anew."""


def load_objects(path: Path) -> list[dict[str, Any]]:
    """All objects of a YAML file, as manifests or as `kubectl get -o yaml` prints them.

    Raises `WorldError` where something in it is no object, and OSError.
    """
    try:
        with path.open(encoding="utf-8") as handle:
            found = [one for document in yaml.load_all(handle, Loader=LOADER) if document for one in _opened(document)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise WorldError(f"line {mark.line + 1 if mark else 1} is not YAML ({error.problem})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WorldError("it is not YAML in UTF-8") from error
    for number, document in enumerate(found, start=1):
        lacking = _lacking(document)
        if lacking:
            raise WorldError(f"object {number} {lacking}")
    return [one | {"metadata": {k: v for k, v in one["metadata"].items() if k not in BOOKKEEPING}} for one in found]


def _opened(document: Any) -> list[Any]:
    """The items of a `List`, else the document itself."""
    return document["items"] if is_list(document) else [document]


def _lacking(document: Any) -> str:
    """What keeps a document from being an object; "" for nothing."""
    if not isinstance(document, dict):
        return "is no mapping"
    for word in ("apiVersion", "kind"):
        if not isinstance(document.get(word), str):
            return f"has no {word}"
    metadata = document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        return f"({document['kind']}) has no metadata.name"
    if document["kind"] in WORKLOADS:
        spec = document.get("spec")
        template = spec.get("template") if isinstance(spec, dict) else None
        pod = template.get("spec") if isinstance(template, dict) else None
        if not isinstance(pod, dict) or not isinstance(pod.get("containers"), list):
            return f"({document['kind']} {metadata['name']}) has no spec.template.spec.containers"
    return ""


WORKLOADS = frozenset({"Deployment", "StatefulSet"})
"""Kinds whose pods are simulated, so that they need a template."""
