"""OpenAPI documents: of custom kinds their own schema, of built-in kinds what the official client's models know.

`kubectl explain` reads the schemas, `kubectl apply` and `create` look whether PATCH knows `fieldValidation`.
"""

import re
from typing import Any

from controller.simulator.apiserver.registry import Registry
from controller.simulator.apiserver.resources import Resource

_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_SCALARS: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer", "format": "int32"},
    "bool": {"type": "boolean"},
    "float": {"type": "number"},
    "datetime": {"type": "string", "format": "date-time"},
    "bytes": {"type": "string", "format": "byte"},
    "object": {},
}
_WRITE_PARAMETERS = [
    {"name": name, "in": "query", "schema": {"type": "boolean" if name == "force" else "string", "uniqueItems": True}}
    for name in ("dryRun", "fieldManager", "fieldValidation", "force")
]


def group_versions(registry: Registry) -> list[tuple[str, str]]:
    """The (group, version) pairs with a document."""
    return sorted({(kind.group, kind.version) for kind, served in registry.by_kind.items() if served.resource.served})


def index(registry: Registry, revision: int) -> dict[str, Any]:
    """The list of documents at `/openapi/v3`."""
    found = {}
    for group, version in group_versions(registry):
        place = f"apis/{group}/{version}" if group else f"api/{version}"
        found[place] = {"serverRelativeURL": f"/openapi/v3/{place}?hash={revision}"}
    return {"paths": found}


def document(registry: Registry, group: str, version: str) -> dict[str, Any] | None:
    """The OpenAPI v3 document of one version of a group; None where it is not served."""
    chosen = [s.resource for k, s in registry.by_kind.items() if (k.group, k.version) == (group, version) and s.resource.served]
    if not chosen:
        return None
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for resource in chosen:
        name = _schema_name(resource)
        schemas[name] = {**_schema(resource, schemas), "x-kubernetes-group-version-kind": [_gvk(resource)]}
        paths |= _paths(resource, name)
    if _META not in schemas:
        schemas[_META] = _model("V1ObjectMeta", schemas)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Penstock sandbox", "version": "v1.36.3"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def swagger(registry: Registry) -> dict[str, Any]:
    """The OpenAPI v2 document of everything: definitions with their kinds, and paths."""
    definitions: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for group, version in group_versions(registry):
        whole = document(registry, group, version)
        if whole is not None:
            definitions |= whole["components"]["schemas"]
            paths |= {path: _swagger_item(item) for path, item in whole["paths"].items()}
    told = {"swagger": "2.0", "info": {"title": "Penstock sandbox", "version": "v1.36.3"}, "paths": paths, "definitions": definitions}
    return _renamed(told)  # type: ignore[no-any-return]


def _swagger_item(item: dict[str, Any]) -> dict[str, Any]:
    kept = ("x-kubernetes-group-version-kind", "x-kubernetes-action")
    return {verb: {"responses": {"200": {"description": "OK"}}, **{k: op[k] for k in kept if k in op}} for verb, op in item.items()}


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    return value.replace("#/components/schemas/", "#/definitions/") if isinstance(value, str) else value


def _gvk(resource: Resource) -> dict[str, str]:
    return {"group": resource.kind.group, "version": resource.kind.version, "kind": resource.kind.kind}


def _schema_name(resource: Resource) -> str:
    kind = resource.kind
    if resource.custom:
        return ".".join((*reversed(kind.group.split(".")), kind.version, kind.kind))
    return f"io.k8s.api.{kind.group.split('.')[0] or 'core'}.{kind.version}.{kind.kind}"


def _paths(resource: Resource, name: str) -> dict[str, Any]:
    kind = resource.kind
    base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    base += f"/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"/{kind.plural}"
    content = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}, "description": "OK"}

    def operation(action: str, *, writes: bool) -> dict[str, Any]:
        told: dict[str, Any] = {
            "responses": {"200": content},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": _gvk(resource),
        }
        return {**told, "parameters": _WRITE_PARAMETERS} if writes else told

    return {
        base: {"get": operation("list", writes=False), "post": operation("post", writes=True)},
        f"{base}/{{name}}": {
            "get": operation("get", writes=False),
            "put": operation("put", writes=True),
            "patch": operation("patch", writes=True),
            "delete": operation("delete", writes=False),
        },
    }


def _schema(resource: Resource, schemas: dict[str, Any]) -> dict[str, Any]:
    if resource.schema is None:
        prefix = {"CustomResourceDefinition": "V1CustomResourceDefinition", "Event": "CoreV1Event"}
        if resource.kind.group == "events.k8s.io":
            return _model("EventsV1Event", schemas)
        name = prefix.get(resource.kind.kind, f"{resource.kind.version.capitalize()}{resource.kind.kind}")
        return _model(name, schemas)
    raw = dict(resource.schema.raw)
    reference = {"allOf": [{"$ref": f"#/components/schemas/{_META}"}], "description": "Standard object's metadata."}
    words = {
        "apiVersion": {"type": "string", "description": "The version of this representation of the object."},
        "kind": {"type": "string", "description": "The REST resource that this object represents."},
        "metadata": reference,
    }
    return {"type": "object", **raw, "properties": {**(raw.get("properties") or {}), **words}}


def _model(name: str, schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema of a model of the official client, its parts added to `schemas`."""
    # The models take half a second to import: only who asks for a schema pays for it.
    from kubernetes.client import models  # noqa: PLC0415

    model = getattr(models, name, None)
    if model is None:
        return {"type": "object"}
    properties = {}
    for attribute, type_name in model.openapi_types.items():
        described = _typed(type_name, schemas)
        # Names that Python reserves are spelled otherwise as fields (`_exec`, `schema`): those go without a description.
        known = model.model_fields.get(attribute)
        words = None if known is None else known.description
        if "$ref" in described:
            described = {"allOf": [described], "default": {}}
        properties[model.attribute_map[attribute]] = {**described, **({"description": words} if words else {})}
    return {
        "type": "object",
        "description": f"{name.removeprefix('V1').removeprefix('V2')}, as the official client models it.",
        "properties": properties,
    }


def _typed(type_name: str, schemas: dict[str, Any]) -> dict[str, Any]:
    if type_name in _SCALARS:
        return _SCALARS[type_name]
    if match := re.fullmatch(r"[Ll]ist\[(.*)\]", type_name):
        return {"type": "array", "items": _typed(match[1], schemas)}
    if match := re.fullmatch(r"dict\(str, (.*)\)|[Dd]ict\[str, (.*)\]", type_name):
        return {"type": "object", "additionalProperties": _typed(match[1] or match[2], schemas)}
    name = _META if type_name == "V1ObjectMeta" else f"io.k8s.client.{type_name}"
    if name not in schemas:
        # Set first: models refer to themselves.
        schemas[name] = {}
        schemas[name] = _model(type_name, schemas)
    return {"$ref": f"#/components/schemas/{name}"}
