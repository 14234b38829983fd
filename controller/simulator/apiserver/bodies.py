"""From what a client sent to the candidate that it wants stored."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from controller.ports import LEASE, Kind, Obj
from controller.simulator.apiserver import contents, rules, strategic, writes
from controller.simulator.apiserver.apply import apply_candidate
from controller.simulator.apiserver.errors import ApiError, Cause, invalid
from controller.simulator.apiserver.options import Options
from controller.simulator.apiserver.patches import json_patch, merge
from controller.simulator.apiserver.resources import Resource, Scale
from controller.simulator.apiserver.storage import Served
from controller.simulator.apiserver.types import TYPES

if TYPE_CHECKING:
    from controller.simulator.apiserver.store import ApiServer

APPLY = "application/apply-patch"
_SCALE_KIND = Kind("autoscaling", "v1", "Scale", "scale")


def received(served: Served, body: Any) -> Obj:
    """A whole object from a client, in its stored form. 400 where it is none or is of another kind."""
    kind = served.resource.kind
    if not isinstance(body, Mapping) or not isinstance(body.get("metadata", {}), Mapping):
        raise ApiError(400, f"the object provided is no {kind.kind}")
    if body.get("apiVersion", kind.api_version) != kind.api_version:
        told = f"the API version in the data ({body['apiVersion']}) does not match the expected API version ({kind.api_version})"
        raise ApiError(400, told)
    if body.get("kind", kind.kind) != kind.kind:
        if served.resource.custom:
            cause = Cause("FieldValueInvalid", f'Invalid value: "{body["kind"]}": must be {kind.kind}', "kind")
            raise invalid(kind.kind, kind.group, body.get("metadata", {}).get("name", ""), [cause])
        told = f'{body["kind"]} in version "{kind.version}" cannot be handled as a {kind.kind}: no kind "{body["kind"]}" is registered'
        raise ApiError(400, told)
    rules.kind_is_named(served.resource, body)
    contents.metadata_has_its_types(body.get("metadata", {}), patching=False)
    whole = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": body.get("metadata", {}), **body}
    if kind.plural == LEASE.plural:
        contents.lease_times_have_microseconds(kind, whole, patching=False)
    elif kind.plural in TYPES:
        contents.fields_have_their_types(kind, whole, patching=False)
    return whole if served.unview is None else served.unview(whole)


def patched(served: Served, old: Obj, body: Any, how: str) -> Obj:
    """The candidate of a merge, JSON or strategic merge patch, in its stored form."""
    shown = old if served.view is None else served.view(old)
    if "merge-patch" in how and not isinstance(body, Mapping):
        raise ApiError(400, "error decoding patch: a merge patch is an object")
    if how.startswith("application/merge-patch+json"):
        candidate = merge(shown, body)
    elif how.startswith("application/json-patch+json"):
        candidate = json_patch(shown, _without_owners(body))
    elif how.startswith("application/strategic-merge-patch+json"):
        candidate = strategic.merge(shown, body)
    else:
        raise ApiError(415, f"the body of the request was in an unknown format - {how}")
    if candidate is shown:
        return old
    _still_an_object(served.resource, shown, candidate)
    return candidate if served.unview is None else served.unview(candidate)


def _without_owners(operations: Any) -> Any:
    """The operations without those on managed fields: owners are kept beside the object, and nobody edits them here."""
    if not isinstance(operations, (list, tuple)):
        return operations
    return [op for op in operations if not (isinstance(op, Mapping) and str(op.get("path", "")).startswith("/metadata/managedFields"))]


def _still_an_object(resource: Resource, shown: Obj, candidate: Any) -> None:
    if not isinstance(candidate, Mapping):
        raise ApiError(422, "the patched document is no object")
    if not isinstance(candidate.get("metadata"), Mapping):
        raise ApiError(400, "the patched object has no metadata")
    kind = resource.kind
    if kind.plural == LEASE.plural:
        contents.lease_times_have_microseconds(kind, candidate, patching=True)
    elif kind.plural in TYPES:
        contents.fields_have_their_types(kind, candidate, patching=True)
    if candidate["metadata"] is not shown["metadata"]:
        contents.metadata_has_its_types(candidate["metadata"], patching=True)
        named = {
            "metadata": {"name": "", **candidate["metadata"]}
        }  # an object may be put without its name, and not be patched to have none
        rules.resource_version_is_given(resource, shown["metadata"]["name"], candidate["metadata"])
        rules.names_agree(shown["metadata"]["name"], shown["metadata"].get("namespace", ""), named)
    for key in ("kind", "apiVersion"):
        if candidate.get(key) != shown.get(key):
            raise _another_kind(resource, candidate, key, f"Invalid value: {candidate.get(key)}: must be {shown.get(key)}")


def _another_kind(resource: Resource, candidate: Obj, key: str, told: str) -> ApiError:
    """A patch that makes another kind of an object: of a custom resource the field is named, of a built-in kind the patch."""
    if resource.custom:
        name = candidate["metadata"].get("name", "")
        return invalid(str(candidate.get("kind")), resource.kind.group, name, [Cause("FieldValueInvalid", told, key)])
    return ApiError(422, told, causes=[Cause("FieldValueInvalid", told, "patch")])


def applied(server: "ApiServer", served: Served, place: tuple[str, str], body: Any, options: Options) -> Obj:
    """Server-side apply at a place (namespace, name): create the object where it is missing, else merge by ownership."""
    namespace, name = place
    rules.field_manager_is_given(options.field_manager)
    body = _applied_part(served.resource, received(served, body), options.subresource)
    metadata = {**body["metadata"], "name": name}
    old = served.shelf.find(namespace if served.resource.kind.namespaced else "", name)
    if old is None:
        if options.subresource:
            raise served.resource.not_found(name)
        if metadata.get("uid"):
            told = f"uid mismatch: the provided object specified uid {metadata['uid']}, and no existing object was found"
            raise ApiError(409, told, target=served.resource.target(name))
        fresh = {key: value for key, value in metadata.items() if key != "resourceVersion"}
        created = writes.create(server, served, namespace, {**body, "metadata": fresh}, options, verb="apply")
        if not options.dry_run:
            server.ledger.applied(served, created, body, options)
        return created
    candidate, settle = apply_candidate(server.ledger, served, old, {**body, "metadata": metadata}, options)
    stored = writes.update(server, served, old, candidate, options, verb="apply")
    if not options.dry_run:
        settle()
    return stored


def _applied_part(resource: Resource, body: Obj, subresource: str) -> Obj:
    """What an apply speaks of at its endpoint: the status alone, or all but the status."""
    if subresource == "status":
        written = ("resourceVersion",) if resource.custom else ("resourceVersion", "uid", "annotations")
        metadata = {key: value for key, value in body["metadata"].items() if key in written}
        return {"metadata": metadata, "status": body.get("status")} if "status" in body else {"metadata": metadata}
    return {key: value for key, value in body.items() if key != "status" or not resource.status}


# The scale subresource.


def _at(obj: Obj, path: tuple[str, ...]) -> Any:
    value: Any = obj
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _scale_paths(served: Served) -> Scale:
    if served.resource.scale is None:
        raise ApiError(404, "the server could not find the requested resource")
    return served.resource.scale


def scale_of(served: Served, obj: Obj) -> Obj:
    """The Scale of an object: its wanted and its present number of replicas."""
    paths = _scale_paths(served)
    metadata = obj["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: dict[str, Any] = {"replicas": _at(obj, paths.status_path) or 0}
    selector = _at(obj, paths.selector_path) if paths.selector_path else None
    if isinstance(selector, Mapping):
        selector = ",".join(f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items()))
    if selector:
        status["selector"] = selector
    wanted = _at(obj, paths.spec_path)
    return {
        "kind": _SCALE_KIND.kind,
        "apiVersion": _SCALE_KIND.api_version,
        "metadata": {key: metadata[key] for key in kept if key in metadata},
        "spec": {"replicas": wanted} if wanted else {},
        "status": status,
    }


def scale_written(server: "ApiServer", served: Served, old: Obj, scale: Obj, options: Options, *, verb: str) -> Obj:
    """Store the replicas of a Scale in the object that it scales, and return the new Scale."""
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        raise ApiError(422, f"spec.replicas: Invalid value: {replicas}: must be greater than or equal to 0")
    path = _scale_paths(served).spec_path
    change: Any = replicas
    for step in reversed(path):
        change = {step: change}
    asked = (scale.get("metadata") or {}).get("resourceVersion")
    candidate = merge(old, {**change, "metadata": {"resourceVersion": asked}} if asked else change)
    plain = Options(options.user, options.field_manager, options.dry_run, options.field_validation, warn=options.warn)
    return scale_of(served, writes.update(server, served, old, candidate, plain, verb=verb))
