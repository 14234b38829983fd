"""The kinds that are served: built-in ones from a table, custom ones from their CustomResourceDefinition."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controller import ports
from controller.ports import Kind, Obj
from controller.simulator.apiserver.cel import CelSyntaxError
from controller.simulator.apiserver.errors import ApiError, Cause, invalid
from controller.simulator.apiserver.schema import Schema

EVENTS_V1 = Kind("events.k8s.io", "v1", "Event", "events")
RIGHTS = "rbac.authorization.k8s.io"
KEPT = (
    Kind(RIGHTS, "v1", "Role", "roles"),
    Kind(RIGHTS, "v1", "RoleBinding", "rolebindings"),
    Kind(RIGHTS, "v1", "ClusterRole", "clusterroles", namespaced=False),
    Kind(RIGHTS, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
)
"""Kinds that an installation of Penstock consists of: stored like any other, while nobody here goes by them."""

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: a JSON path (`.status.weight`), its type, and 0 where it shows without `-o wide`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the scale subresource finds its numbers."""

    spec_path: tuple[str, ...] = ("spec", "replicas")
    status_path: tuple[str, ...] = ("status", "replicas")
    selector_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """One served version of one kind.

    Attributes:
        kind: where it is served.
        singular, short_names, categories: as `kubectl api-resources` shows them.
        custom: whether a CustomResourceDefinition made it.
        status: whether `/status` is a subresource of its own.
        scale: the scale subresource, None where there is none.
        generation: whether a changed spec raises `metadata.generation`.
        needs_resource_version: whether a PUT without one is refused (custom resources and Leases).
        schema: the compiled structural schema of a custom kind.
        columns: printer columns of a custom kind.
        served: False for a version that is stored but not served.
    """

    kind: Kind
    singular: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    custom: bool = False
    status: bool = False
    scale: Scale | None = None
    generation: bool = False
    needs_resource_version: bool = False
    schema: Schema | None = None
    columns: tuple[Column, ...] = ()
    served: bool = True

    @property
    def qualified(self) -> str:
        """`plural.group`, as messages name it."""
        return f"{self.kind.plural}.{self.kind.group}" if self.kind.group else self.kind.plural

    def target(self, name: str) -> dict[str, str]:
        """The `details` of a Status about one object."""
        parts = {"name": name, "group": self.kind.group, "kind": self.kind.plural}
        return {key: value for key, value in parts.items() if value}

    def not_found(self, name: str) -> ApiError:
        """The 404 for a missing object."""
        return ApiError(404, f'{self.qualified} "{name}" not found', target=self.target(name))


def _builtin(kind: Kind, *short: str, everything: bool = False, **more: Any) -> Resource:
    categories = ("all",) if everything else ()
    return Resource(kind, kind.kind.lower(), tuple(short), categories, **more)


_REPLICAS = Scale(selector_path=("spec", "selector"))
BUILTIN: tuple[Resource, ...] = (
    _builtin(ports.NAMESPACE, "ns", status=True),
    _builtin(ports.CONFIG_MAP, "cm"),
    _builtin(ports.SECRET),
    _builtin(ports.SERVICE, "svc", everything=True, status=True),
    _builtin(ports.SERVICE_ACCOUNT, "sa"),
    _builtin(ports.POD, "po", everything=True, status=True, generation=True),
    _builtin(ports.PVC, "pvc", status=True),
    _builtin(ports.EVENT, "ev"),
    _builtin(EVENTS_V1, "ev"),
    _builtin(ports.DEPLOYMENT, "deploy", everything=True, status=True, scale=_REPLICAS, generation=True),
    _builtin(ports.REPLICA_SET, "rs", everything=True, status=True, scale=_REPLICAS, generation=True),
    _builtin(ports.HPA, "hpa", everything=True, status=True),
    _builtin(ports.ENDPOINT_SLICE, generation=True),
    _builtin(ports.LEASE, needs_resource_version=True),
    _builtin(ports.CRD, "crd", "crds", status=True, generation=True, needs_resource_version=True),
    *(_builtin(kind) for kind in KEPT),
)


_ANYTHING: Mapping[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}
_KEPT_SCHEMAS = 64
_schemas: OrderedDict[int, tuple[Mapping[str, Any], Schema]] = OrderedDict()


def _compiled(raw: Mapping[str, Any]) -> Schema:
    """A compiled schema, re-used for the very same object: a swarm of simulations starts many servers with the same definitions.

    Compiling is a function of an immutable object, so sharing it between servers cannot be noticed.
    """
    found = _schemas.get(id(raw))
    if found is None or found[0] is not raw:
        _schemas[id(raw)] = found = (raw, Schema(raw))
        if len(_schemas) > _KEPT_SCHEMAS:
            _schemas.popitem(last=False)
    return found[1]


def from_crd(crd: Obj) -> list[Resource]:
    """The resources of a CustomResourceDefinition, one a version. 422 where its schema or a rule cannot be read."""
    spec = crd["spec"]
    names = spec["names"]
    found = []
    for at, version in enumerate(spec["versions"]):
        kind = Kind(spec["group"], version["name"], names["kind"], names["plural"], namespaced=spec.get("scope") != "Cluster")
        parts = version.get("subresources") or {}
        try:
            schema = _compiled((version.get("schema") or {}).get("openAPIV3Schema") or _ANYTHING)
        except CelSyntaxError as wrong:
            where = f"spec.versions[{at}].schema.openAPIV3Schema"
            cause = Cause("FieldValueInvalid", f"Invalid value: compilation failed: {wrong}", where)
            raise invalid("CustomResourceDefinition", ports.CRD.group, crd["metadata"]["name"], [cause]) from wrong
        found.append(
            Resource(
                kind,
                names.get("singular") or names["kind"].lower(),
                tuple(names.get("shortNames") or ()),
                tuple(names.get("categories") or ()),
                custom=True,
                status="status" in parts,
                scale=_scale(parts.get("scale")),
                generation=True,
                needs_resource_version=True,
                schema=schema,
                columns=tuple(_columns(version.get("additionalPrinterColumns") or ())),
                served=bool(version.get("served", True)),
            )
        )
    return found


def _scale(raw: Mapping[str, str] | None) -> Scale | None:
    if raw is None:
        return None
    selector = raw.get("labelSelectorPath", "")
    return Scale(_path(raw["specReplicasPath"]), _path(raw["statusReplicasPath"]), _path(selector) if selector else ())


def _path(dotted: str) -> tuple[str, ...]:
    return tuple(dotted.strip(".").split("."))


def _columns(raw: Iterable[Mapping[str, Any]]) -> Iterable[Column]:
    for entry in raw:
        yield Column(entry["name"], entry["jsonPath"], entry.get("type", "string"), entry.get("priority", 0), entry.get("description", ""))
