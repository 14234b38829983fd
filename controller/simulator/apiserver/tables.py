"""Objects as the tables that `kubectl get` prints: printer columns of custom kinds, hand-picked ones of built-in kinds."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from controller.ports import Obj
from controller.simulator.apiserver.resources import Column, Resource

Cells = Callable[[Obj], list[Any]]
_NAME = Column("Name", ".metadata.name", description="Name must be unique within a namespace.")
_STEP = re.compile(r"""\.?([\w-]+|\\\.)|\[\?\(@\.([\w.]+)\s*==\s*["']([^"']*)["']\)\]|\[(\d+|\*)\]|\['([^']+)'\]""")


def render(resource: Resource, objects: Sequence[Obj], metadata: Mapping[str, Any], include: str, now: float) -> dict[str, Any]:
    """A Table of objects; `include` is None, Metadata or Object and says what each row carries besides its cells."""
    columns, cells = _layout(resource, now)
    rows = [{"cells": cells(obj), "object": _carried(obj, include)} for obj in objects]
    definitions = [
        {"name": c.name, "type": c.type if c.type != "date" else "string", "format": "name" if c is _NAME else "",
         "description": c.description,
         "priority": c.priority}
        for c in columns
    ]  # fmt: skip
    return {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": dict(metadata), "columnDefinitions": definitions, "rows": rows}


def _carried(obj: Obj, include: str) -> Any:
    if include == "None":
        return None
    if include == "Object":
        return obj
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _layout(resource: Resource, now: float) -> tuple[Sequence[Column], Cells]:
    known = _BUILTIN.get((resource.kind.group, resource.kind.plural))
    if known is not None:
        columns, cells = known
        if resource.kind.kind == "Event":
            return columns, lambda obj: [since(cells(obj)[0], now), *cells(obj)[1:]]
        # The age stands before what only `-o wide` shows.
        plain = sum(1 for column in columns if not column.priority)
        ordered = (_NAME, *columns[:plain], _age_column(), *columns[plain:])
        return ordered, lambda obj: [obj["metadata"]["name"], *(found := cells(obj))[:plain], _age(obj, now), *found[plain:]]
    custom = resource.columns or (_age_column(),)
    return (_NAME, *custom), lambda obj: [obj["metadata"]["name"], *(_cell(obj, column, now) for column in custom)]


def _age_column() -> Column:
    return Column("Age", ".metadata.creationTimestamp", "date", description="Time since the creation of this object.")


def _age(obj: Obj, now: float) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def since(stamp: str | None, now: float) -> str:
    """A time stamp as an age: 45s, 3m20s, 5h, 2d."""
    if not stamp:
        return "<unknown>"
    return _duration(max(0, int(now - datetime.fromisoformat(stamp).timestamp())))


def _duration(seconds: int) -> str:
    """As kubectl prints ages: two units while the larger one is small."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    for limit, text in (
        (120, f"{seconds}s"),
        (600, f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"),
        (3 * 3600, f"{minutes}m"),
        (8 * 3600, f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"),
        (48 * 3600, f"{hours}h"),
        (8 * 86400, f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"),
    ):
        if seconds < limit:
            return text
    return f"{days}d"


def _cell(obj: Obj, column: Column, now: float) -> Any:
    found = path_value(obj, column.path)
    if found is None:
        return None if column.type in ("integer", "number", "boolean") else ""
    if column.type == "date":
        return since(str(found), now)
    if column.type in ("integer", "number"):
        return found if isinstance(found, (int, float)) else None
    return found if isinstance(found, (str, bool)) else str(found)


def path_value(obj: Any, path: str) -> Any:
    """The first value at a JSON path with fields, indices and `[?(@.type=="Ready")]` filters; None where there is none."""
    found: list[Any] = [obj]
    for match in _STEP.finditer(path.replace("\\.", "\0")):
        name, key, wanted, index, quoted = (part.replace("\0", ".") if part else part for part in match.groups())
        step = name or quoted
        if step:
            found = [value[step] for value in found if isinstance(value, Mapping) and step in value]
        elif key:
            items = [item for value in found if isinstance(value, (list, tuple)) for item in value]
            found = [item for item in items if isinstance(item, Mapping) and str(item.get(key)) == wanted]
        elif index == "*":
            found = [item for value in found if isinstance(value, (list, tuple)) for item in value]
        else:
            found = [value[int(index)] for value in found if isinstance(value, (list, tuple)) and int(index) < len(value)]
    return found[0] if found else None


def _status(obj: Obj) -> Mapping[str, Any]:
    return obj.get("status") or {}


def _spec(obj: Obj) -> Mapping[str, Any]:
    return obj.get("spec") or {}


def _labels(labels: Any) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or "<none>"


def _images(obj: Obj) -> list[str]:
    containers = ((_spec(obj).get("template") or {}).get("spec") or {}).get("containers") or []
    return [",".join(c.get("name", "") for c in containers), ",".join(c.get("image", "") for c in containers)]


def _deployment(obj: Obj) -> list[Any]:
    status, wanted = _status(obj), _spec(obj).get("replicas", 1)
    ready = f"{status.get('readyReplicas', 0)}/{wanted}"
    selector = _labels((_spec(obj).get("selector") or {}).get("matchLabels"))
    return [ready, status.get("updatedReplicas", 0), status.get("availableReplicas", 0), *_images(obj), selector]


def _replica_set(obj: Obj) -> list[Any]:
    status = _status(obj)
    selector = _labels((_spec(obj).get("selector") or {}).get("matchLabels"))
    return [_spec(obj).get("replicas", 1), status.get("replicas", 0), status.get("readyReplicas", 0), *_images(obj), selector]


def _pod(obj: Obj) -> list[Any]:
    containers, states = _spec(obj).get("containers") or [], _status(obj).get("containerStatuses") or []
    ready = sum(1 for state in states if state.get("ready"))
    phase = "Terminating" if obj["metadata"].get("deletionTimestamp") else _status(obj).get("phase", "Pending")
    waiting = [((state.get("state") or {}).get("waiting") or {}).get("reason") for state in states]
    phase = next((reason for reason in waiting if reason), phase)
    restarts = sum(state.get("restartCount", 0) for state in states)
    return [
        f"{ready}/{len(containers)}", phase, str(restarts), _status(obj).get("podIP", "<none>"), _spec(obj).get("nodeName", "<none>")
    ]  # fmt: skip


def _service(obj: Obj) -> list[Any]:
    spec = _spec(obj)
    ports = ",".join(f"{port['port']}/{port.get('protocol', 'TCP')}" for port in spec.get("ports") or []) or "<none>"
    return [spec.get("type", "ClusterIP"), spec.get("clusterIP", "<none>"), "<none>", ports, _labels(spec.get("selector"))]


def _hpa(obj: Obj) -> list[Any]:
    spec, reference = _spec(obj), _spec(obj).get("scaleTargetRef") or {}
    target = f"{reference.get('kind', '')}/{reference.get('name', '')}"
    return [target, spec.get("minReplicas"), spec.get("maxReplicas"), _status(obj).get("currentReplicas", 0)]


def _event(obj: Obj) -> list[Any]:
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    last = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp") or obj.get("eventTime") or obj["metadata"]["creationTimestamp"]
    return [str(last), obj.get("type", ""), obj.get("reason", ""), f"{about.get('kind', '').lower()}/{about.get('name', '')}",
            obj.get("message") or obj.get("note") or ""]  # fmt: skip


def _slice(obj: Obj) -> list[Any]:
    ports = ",".join(str(port.get("port")) for port in obj.get("ports") or []) or "<unset>"
    addresses = [address for endpoint in obj.get("endpoints") or [] for address in endpoint.get("addresses") or []]
    shown = ",".join(addresses[:3]) + (f" + {len(addresses) - 3} more..." if len(addresses) > 3 else "")  # noqa: PLR2004 - as kubectl
    return [obj.get("addressType", ""), ports, shown or "<unset>"]


def _text(*names: str, wide: Sequence[str] = ()) -> tuple[Column, ...]:
    return (*(Column(name, "") for name in names), *(Column(name, "", priority=1) for name in wide))


_WORKLOAD_WIDE = ("Containers", "Images", "Selector")
_BUILTIN: dict[tuple[str, str], tuple[tuple[Column, ...], Cells]] = {
    ("apps", "deployments"): (_text("Ready", "Up-to-date", "Available", wide=_WORKLOAD_WIDE), _deployment),
    ("apps", "replicasets"): (_text("Desired", "Current", "Ready", wide=_WORKLOAD_WIDE), _replica_set),
    ("", "pods"): (_text("Ready", "Status", "Restarts", wide=("IP", "Node")), _pod),
    ("", "services"): (_text("Type", "Cluster-IP", "External-IP", "Port(s)", wide=("Selector",)), _service),
    ("", "configmaps"): (_text("Data"), lambda obj: [len(obj.get("data") or {}) + len(obj.get("binaryData") or {})]),
    ("", "secrets"): (_text("Type", "Data"), lambda obj: [obj.get("type", ""), len(obj.get("data") or {})]),
    ("", "namespaces"): (_text("Status"), lambda obj: [_status(obj).get("phase", "Active")]),
    ("", "serviceaccounts"): (_text("Secrets"), lambda obj: [len(obj.get("secrets") or [])]),
    ("", "events"): (_text("Last Seen", "Type", "Reason", "Object", "Message"), _event),
    ("events.k8s.io", "events"): (_text("Last Seen", "Type", "Reason", "Object", "Message"), _event),
    ("autoscaling", "horizontalpodautoscalers"): (_text("Reference", "MinPods", "MaxPods", "Replicas"), _hpa),
    ("discovery.k8s.io", "endpointslices"): (_text("AddressType", "Ports", "Endpoints"), _slice),
    ("coordination.k8s.io", "leases"): (_text("Holder"), lambda obj: [_spec(obj).get("holderIdentity", "")]),
    ("apiextensions.k8s.io", "customresourcedefinitions"): (_text("Created At"), lambda obj: [obj["metadata"]["creationTimestamp"]]),
}
