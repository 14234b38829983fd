"""The types of the fields that the simulated cluster reckons with, for kinds whose whole schema is not known here.

The real server decodes built-in kinds into Go types and holds Istio's kinds against their schemas: a text where a
list belongs is refused there, too. A field that is not in the table may be anything.
"""

from collections.abc import Iterator, Mapping
from typing import Any

TEXTS = "a map of texts"
OBJECT, OBJECTS, LIST, TEXT, NUMBER, DIGITS = "an object", "a list of objects", "a list of texts", "a text", "a whole number", "digits"

_CONTAINER = "template.spec.containers"
_WORKLOAD = {
    "": OBJECT, "replicas": NUMBER, "selector": OBJECT, "selector.matchLabels": TEXTS, "strategy": OBJECT, "template": OBJECT,
    "template.metadata": OBJECT, "template.metadata.labels": TEXTS, "template.metadata.annotations": TEXTS, "template.spec": OBJECT,
    _CONTAINER: OBJECTS, f"{_CONTAINER}.name": TEXT, f"{_CONTAINER}.image": TEXT, f"{_CONTAINER}.env": OBJECTS,
    f"{_CONTAINER}.envFrom": OBJECTS, f"{_CONTAINER}.ports": OBJECTS, f"{_CONTAINER}.resources": OBJECT,
    f"{_CONTAINER}.volumeMounts": OBJECTS,
    "template.spec.initContainers": OBJECTS, "template.spec.volumes": OBJECTS, "template.spec.imagePullSecrets": OBJECTS,
}  # fmt: skip
_MATCHED = ("uri", "scheme", "method", "authority", "headers", "withoutHeaders", "queryParams")
TYPES: dict[str, dict[str, str]] = {
    "deployments": _WORKLOAD,
    "replicasets": _WORKLOAD,
    "statefulsets": _WORKLOAD,
    "horizontalpodautoscalers": {
        "": OBJECT, "scaleTargetRef": OBJECT, "scaleTargetRef.kind": TEXT, "scaleTargetRef.name": TEXT, "minReplicas": NUMBER,
        "maxReplicas": NUMBER, "metrics": OBJECTS,
    },
    "services": {
        "": OBJECT, "selector": TEXTS, "ports": OBJECTS, "ports.name": TEXT, "ports.port": NUMBER, "ports.appProtocol": TEXT, "type": TEXT,
        "externalName": TEXT,
    },
    "virtualservices": {
        "hosts": LIST, "gateways": LIST, "exportTo": LIST, "tcp": OBJECTS, "tls": OBJECTS, "http": OBJECTS, "http.name": TEXT,
        "http.match": OBJECTS, **{f"http.match.{field}": OBJECT for field in _MATCHED}, "http.match.gateways": LIST,
        "http.match.sourceLabels": TEXTS, "http.match.port": NUMBER, "http.route": OBJECTS, "http.route.destination": OBJECT,
        "http.route.destination.host": TEXT, "http.route.destination.subset": TEXT, "http.route.destination.port": OBJECT,
        "http.route.weight": DIGITS, "http.redirect": OBJECT, "http.delegate": OBJECT, "http.fault": OBJECT, "http.mirror": OBJECT,
        "http.mirrors": OBJECTS, "http.retries": OBJECT, "http.rewrite": OBJECT, "http.headers": OBJECT, "http.timeout": TEXT,
        "http.directResponse": OBJECT,
    },
    "destinationrules": {
        "host": TEXT, "exportTo": LIST, "trafficPolicy": OBJECT, "subsets": OBJECTS, "subsets.name": TEXT, "subsets.labels": TEXTS,
        "subsets.trafficPolicy": OBJECT,
    },
    "gateways": {"selector": TEXTS, "servers": OBJECTS, "servers.hosts": LIST, "servers.port": OBJECT},
    "sidecars": {"egress": OBJECTS, "egress.hosts": LIST, "workloadSelector": OBJECT},
    "serviceentries": {"hosts": LIST, "ports": OBJECTS, "endpoints": OBJECTS, "exportTo": LIST},
    "authorizationpolicies": {"selector": OBJECT, "rules": OBJECTS, "action": TEXT},
    "peerauthentications": {"selector": OBJECT, "mtls": OBJECT},
}  # fmt: skip
"""By plural: the path of a field below `spec` ("" is spec itself), through lists, and what it is."""

METADATA = {
    "name": TEXT, "generateName": TEXT, "namespace": TEXT, "labels": TEXTS, "annotations": TEXTS, "finalizers": LIST,
    "ownerReferences": OBJECTS,
}  # fmt: skip

_PATHS = {plural: [(path, path.split(".") if path else [], kind) for path, kind in fields.items()] for plural, fields in TYPES.items()}


def wrong_metadata(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Path, what is expected, and the value, of every field of the metadata that is something else."""
    for name, kind in METADATA.items():
        if metadata.get(name) is not None and not _is(kind, metadata[name]):
            yield f"metadata.{name}", kind, metadata[name]


def wrong_fields(plural: str, body: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Path, what is expected, and the value, of every field that is something else."""
    spec = body.get("spec")
    if spec is None:
        return
    for path, names, kind in _PATHS.get(plural, ()):
        for value in _values(spec, names):
            if value is not None and not _is(kind, value):
                yield f"spec.{path}".rstrip("."), kind, value


def _values(node: Any, names: list[str]) -> list[Any]:
    """What stands at a path; of a list, at that path of each item. A node of another type has nothing below it."""
    found = [node]
    for name in names:
        items = (item for one in found for item in (one if isinstance(one, list) else (one,)))
        found = [item[name] for item in items if isinstance(item, Mapping) and name in item]
        if not found:
            break
    return found


def _is(kind: str, value: Any) -> bool:
    match kind:
        case "a text":
            return isinstance(value, str)
        case "an object":
            return isinstance(value, Mapping)
        case "a list of texts":
            return isinstance(value, list) and all(isinstance(one, str) for one in value)
        case "a list of objects":
            return isinstance(value, list) and all(isinstance(one, Mapping) for one in value)
        case "a map of texts":
            return isinstance(value, Mapping) and all(isinstance(one, str) for one in value.values())
        case "digits":  # an older definition takes them as a text, too
            return str(value).lstrip("-").isdigit()
        case _:
            return isinstance(value, int) and not isinstance(value, bool)
