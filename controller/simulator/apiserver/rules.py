"""What a client can notice of the API server, one small function a rule.

The store calls every one as `rules.name(...)`. The conformance tests replace one after the other and demand that a
case fails: a rule that no case misses is either untested or not a rule. A check raises `ApiError` or returns
nothing; the others say in their docstring what they give.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from controller.ports import Kind, Obj
from controller.simulator.apiserver.errors import ApiError, Cause, invalid
from controller.simulator.apiserver.resources import Resource
from controller.simulator.apiserver.schema import Report, run_rules
from controller.simulator.apiserver.types import wrong_fields

MAX_BODY_BYTES = 3 * 1024 * 1024
"""Requests above this are refused with 413; the real server's own limit."""
MAX_DATA_BYTES = 1024 * 1024
"""The most a ConfigMap or Secret may carry."""
MAX_ANNOTATION_BYTES = 256 * 1024
NOT_CHECKED = Cause(
    "FieldValueInvalid",
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
    "<nil>",
)
COUNTED = frozenset({"deployments", "replicasets", "statefulsets", "horizontalpodautoscalers"})
"""Built-in kinds that pods are made and counted by, by plural."""
_SHAPE_FAULTS = frozenset(
    {"FieldValueTypeInvalid", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueNotSupported"}
)
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
_SYSTEM = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion", "managedFields")


def _named(resource: Resource, name: str, *causes: Cause) -> ApiError:
    return invalid(resource.kind.kind, resource.kind.group, name, causes)


# Creating.


def no_resource_version_on_create(body: Obj) -> None:
    """POST with a resourceVersion is an internal error of the real server, not a polite refusal."""
    if (body.get("metadata") or {}).get("resourceVersion"):
        raise ApiError(500, "resourceVersion should not be set on objects to be created", reason="")


def kind_is_named(resource: Resource, body: Obj) -> None:
    """A custom resource says its `kind` and `apiVersion`; for built-in kinds the URL is enough."""
    if resource.custom:
        for key, told in (
            ("kind", "Object 'Kind' is missing"),
            ("apiVersion", "the object provided is unrecognized: apiVersion is missing"),
        ):
            if not body.get(key):
                raise ApiError(400, told)


def uid_of_new_object(fresh: str, body: Obj) -> str:
    """The uid of a new object: always the server's own, whatever the body asks for."""
    del body
    return fresh


def name_is_free(resource: Resource, name: str, existing: Obj | None) -> None:
    """A taken name is 409 AlreadyExists, also while the old object only waits for its last finalizer."""
    if existing is None:
        return
    told = f'{resource.qualified} "{name}" already exists'
    if existing["metadata"].get("deletionTimestamp"):
        told = f"object is being deleted: {told}"
    raise ApiError(409, told, reason="AlreadyExists", target=resource.target(name))


def generated_name(metadata: Mapping[str, Any], suffix: str) -> str:
    """The name of a new object: its own, or `generateName` plus five characters. 422 where there is neither."""
    name = metadata.get("name") or ""
    prefix = metadata.get("generateName") or ""
    return f"{prefix[:58]}{suffix}" if prefix and not name else name


def name_is_valid(resource: Resource, name: str) -> None:
    """Names are DNS subdomains of at most 253 characters."""
    if not name:
        cause = Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")
        raise _named(resource, name, cause, *([NOT_CHECKED] if resource.custom else []))
    if len(name) > 253 or _SUBDOMAIN.fullmatch(name) is None:  # noqa: PLR2004 - the length of a DNS name
        message = (
            f"Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"
        )
        raise _named(resource, name, Cause("FieldValueInvalid", message, "metadata.name"))


def namespace_accepts(resource: Resource, namespace: str, name: str, found: Obj | None) -> None:
    """Nothing new in a missing namespace (404) or in one that is being deleted (403)."""
    if found is None:
        raise ApiError(404, f'namespaces "{namespace}" not found', target={"name": namespace, "kind": "namespaces"})
    if found["metadata"].get("deletionTimestamp"):
        told = f"unable to create new content in namespace {namespace} because it is being terminated"
        cause = Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
        where = f'{resource.qualified} "{name}" is forbidden: {told}'
        raise ApiError(403, where, causes=[cause], target=resource.target(name))


def established(resource: Resource | None, *, ready: bool, what: str = "") -> Resource:
    """The resource that is served; 404 for one that is unknown or whose definition is not established yet."""
    if resource is None or not ready or not resource.served:
        raise ApiError(404, f"the server could not find the requested resource{': ' if what else ''}{what}")
    return resource


# Changing.


def names_agree(name: str, namespace: str, body: Obj) -> None:
    """The name and namespace in the body are those of the URL."""
    metadata = body.get("metadata") or {}
    if metadata.get("name", name) != name:
        raise ApiError(400, f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})")
    if metadata.get("namespace", namespace) != namespace:
        raise ApiError(400, "the namespace of the provided object does not match the namespace sent on the request")


def resource_version_is_given(resource: Resource, name: str, metadata: Mapping[str, Any]) -> None:
    """PUT without a resourceVersion: refused for custom resources and Leases, unconditional for the other kinds."""
    if resource.needs_resource_version and metadata.get("resourceVersion", "") in ("", "0"):
        cause = Cause("FieldValueInvalid", "Invalid value: 0: must be specified for an update", "metadata.resourceVersion")
        raise invalid(resource.kind.plural, resource.kind.group, name, [cause])


def resource_version_is_current(resource: Resource, old: Obj, metadata: Mapping[str, Any]) -> None:
    """Optimistic concurrency: a resourceVersion that is not the stored one is a conflict, even if nothing would change."""
    asked = metadata.get("resourceVersion")
    if asked and asked != old["metadata"]["resourceVersion"]:
        name = old["metadata"]["name"]
        told = "the object has been modified; please apply your changes to the latest version and try again"
        raise ApiError(409, f'Operation cannot be fulfilled on {resource.qualified} "{name}": {told}', target=resource.target(name))


def uid_is_the_same(resource: Resource, old: Obj, metadata: Mapping[str, Any], *, patching: bool) -> None:
    """Another uid than the stored one: a conflict in a PUT, an invalid field in a patch."""
    asked, stored = metadata.get("uid"), old["metadata"]["uid"]
    if not asked or asked == stored:
        return
    name = old["metadata"]["name"]
    if patching:
        raise _named(resource, name, Cause("FieldValueInvalid", f'Invalid value: "{asked}": field is immutable', "metadata.uid"))
    told = f"Precondition failed: UID in precondition: {asked}, UID in object meta: {stored}"
    raise ApiError(409, f'Operation cannot be fulfilled on {resource.qualified} "{name}": {told}', target=resource.target(name))


def system_metadata(old: Obj, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The candidate's metadata with what only the server writes taken from the stored object."""
    kept = old["metadata"]
    result = {key: value for key, value in metadata.items() if key not in _SYSTEM}
    for key in ("name", "namespace", *_SYSTEM):
        if key in kept:
            result[key] = kept[key]
    return result


def main_endpoint_keeps_status(resource: Resource, old: Obj | None, candidate: dict[str, Any]) -> None:
    """Where status is a subresource, other writes leave it as it was stored (a new object starts without one). Changes `candidate`."""
    if not resource.status:
        return
    if old is not None and "status" in old:
        candidate["status"] = old["status"]
    else:
        candidate.pop("status", None)


def status_endpoint_writes_status_only(resource: Resource, old: Obj, candidate: Obj) -> dict[str, Any]:
    """What a write to `/status` stores: the old object with the new status. Labels and annotations of the body are dropped."""
    result = dict(old)
    if "status" in candidate:
        result["status"] = candidate["status"]
    else:
        result.pop("status", None)
    if not resource.custom:
        annotations = candidate["metadata"].get("annotations")
        if annotations != old["metadata"].get("annotations"):
            result["metadata"] = {**old["metadata"], "annotations": annotations or {}}
    return result


def generation_of(resource: Resource, old: Obj, candidate: Obj) -> int | None:
    """The generation after an update: one more where anything besides metadata and status changed; None for kinds without.

    Annotations of a Deployment count as its spec: that is how its own strategy decides.
    """
    stored: int | None = old["metadata"].get("generation")
    if not resource.generation or stored is None:
        return stored
    if resource.kind.plural == "deployments" and candidate["metadata"].get("annotations") != old["metadata"].get("annotations"):
        return stored + 1
    for key in candidate.keys() | old.keys():
        if key in ("metadata", "apiVersion", "kind") or (key == "status" and (resource.status or not resource.custom)):
            continue
        if candidate.get(key) is not old.get(key) and candidate.get(key) != old.get(key):
            return stored + 1
    return stored


def nothing_changed(old: Obj, candidate: Obj) -> bool:
    """A write that changes nothing is answered 200 with the old revision, and no watcher hears of it."""
    return old == candidate


def patch_type_is_served(resource: Resource, content_type: str) -> None:
    """Strategic merge patches need Go types, which custom resources have not."""
    if resource.custom and "strategic" in content_type:
        known = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
        raise ApiError(415, f"the body of the request was in an unknown format - accepted media types include: {known}")


def immutable_parts(resource: Resource, old: Obj, candidate: Obj) -> None:
    """Data of an immutable ConfigMap or Secret, and the selector of a Deployment, never change."""
    name, plural, group = old["metadata"]["name"], resource.kind.plural, resource.kind.group
    if group == "" and plural in ("configmaps", "secrets") and old.get("immutable"):
        for key in ("immutable", "data", "binaryData"):
            if old.get(key) != candidate.get(key):
                raise _named(resource, name, Cause("FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set", key))
    if group == "apps" and (old.get("spec") or {}).get("selector") != (candidate.get("spec") or {}).get("selector"):
        shown = (candidate.get("spec") or {}).get("selector")
        raise _named(resource, name, Cause("FieldValueInvalid", f"Invalid value: {shown}: field is immutable", "spec.selector"))


# Deleting.


def delete_preconditions(resource: Resource, stored: Obj, uid: str, resource_version: str) -> None:
    """DELETE with another uid or resourceVersion than the stored one is a conflict."""
    metadata = stored["metadata"]
    for word, asked, found in (
        ("UID", uid, metadata["uid"]),
        ("ResourceVersion", resource_version, metadata["resourceVersion"]),
    ):
        if asked and asked != found:
            told = f"Precondition failed: {word} in precondition: {asked}, {word} in object meta: {found}"
            name = metadata["name"]
            raise ApiError(
                409,
                f'Operation cannot be fulfilled on {resource.qualified} "{name}": {told}',
                target={**resource.target(name), "kind": resource.kind.kind},
            )


def waits_for_finalizers(stored: Obj) -> bool:
    """Whether a deleted object stays, marked, until its finalizers are gone."""
    return bool(stored["metadata"].get("finalizers"))


def generation_when_deleted(stored: Obj) -> int | None:
    """The generation of an object that is marked for deletion: the mark counts as a change of the spec."""
    generation: int | None = stored["metadata"].get("generation")
    return None if generation is None else generation + 1


def no_new_finalizers(resource: Resource, old: Obj, metadata: Mapping[str, Any]) -> None:
    """An object that is being deleted takes no further finalizer."""
    if not old["metadata"].get("deletionTimestamp"):
        return
    added = [name for name in metadata.get("finalizers") or () if name not in (old["metadata"].get("finalizers") or ())]
    if added:
        told = "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"
        told += ", ".join(f'"{name}"' for name in added) + "}"
        raise _named(resource, old["metadata"]["name"], Cause("FieldValueForbidden", told, "metadata.finalizers"))


# What may be stored.


def body_is_small_enough(length: int) -> None:
    """A request body has a limit."""
    if length > MAX_BODY_BYTES:
        raise ApiError(413, f"limit is {MAX_BODY_BYTES}")


def unknown_fields(report: Report, pruned: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """What is stored of an object with unknown fields: the pruned one."""
    del report, given
    return pruned


def strict_fields(report: Report, validation: str) -> list[str]:
    """The warnings for unknown fields; 400 where the client asked for `fieldValidation=Strict`."""
    if not report.unknown or validation == "Ignore":
        return []
    told = [f'unknown field "{path}"' for path in sorted(report.unknown)]
    if validation == "Strict":
        raise ApiError(400, f"strict decoding error: {', '.join(told)}")
    return told


def schema_holds(resource: Resource, name: str, report: Report) -> None:
    """Types, limits and required fields of the schema; 422 with every field at fault."""
    if report.causes:
        # Rules are not evaluated over what may have the wrong shape.
        unchecked = any(cause.reason in _SHAPE_FAULTS for cause in report.causes)
        raise _named(resource, name, *report.causes, *([NOT_CHECKED] if unchecked else []))


def validation_rules_hold(resource: Resource, name: str, report: Report) -> None:
    """The CEL rules of the schema, evaluated on every endpoint, `/status` too."""
    if report.pending:
        run_rules(report)
        if report.causes:
            raise _named(resource, name, *report.causes)


def labels_are_valid(resource: Resource, name: str, metadata: Mapping[str, Any]) -> None:
    """Label values are short and plain; annotations are bounded in total."""
    for key, value in (metadata.get("labels") or {}).items():
        if not isinstance(value, str) or len(value) > 63 or _LABEL_VALUE.fullmatch(value) is None:  # noqa: PLR2004 - a DNS label
            told = f'Invalid value: "{value}": a valid label must be an empty string or consist of alphanumeric characters (key {key})'
            raise _named(resource, name, Cause("FieldValueInvalid", told, "metadata.labels"))
    size = sum(len(key) + len(str(value)) for key, value in (metadata.get("annotations") or {}).items())
    if size > MAX_ANNOTATION_BYTES:
        told = f"Too long: may not be more than {MAX_ANNOTATION_BYTES} bytes"
        raise _named(resource, name, Cause("FieldValueTooLong", told, "metadata.annotations"))


def data_is_small_enough(resource: Resource, name: str, body: Obj) -> None:
    """A ConfigMap or Secret carries at most a mebibyte."""
    if resource.kind.group or resource.kind.plural not in ("configmaps", "secrets"):
        return
    size = sum(len(str(value)) for part in ("data", "binaryData") for value in (body.get(part) or {}).values())
    if size > MAX_DATA_BYTES:
        told = f"Too long: may not be more than {MAX_DATA_BYTES} bytes"
        raise _named(resource, name, Cause("FieldValueTooLong", told, "[]"))


def fields_have_their_types(kind: Kind, body: Obj, *, patching: bool) -> None:
    """A text is no number and an object no list; a number of replicas is not negative."""
    for path, wanted, value in wrong_fields(kind.plural, body):
        told = f"{path}: found {json.dumps(value)[:80]}, expected {wanted}"
        held_against_a_schema = patching or kind.group.endswith("istio.io")
        raise ApiError(422 if held_against_a_schema else 400, told, reason=None if held_against_a_schema else "BadRequest")
    spec = body.get("spec") if kind.plural in COUNTED else None
    for key in ("replicas", "minReplicas", "maxReplicas"):
        if spec and (spec.get(key) or 0) < 0:
            told = f"Invalid value: {spec[key]}: must be greater than or equal to 0"
            raise invalid(kind.kind, kind.group, body["metadata"].get("name", ""), [Cause("FieldValueInvalid", told, f"spec.{key}")])


def parts_are_there(kind: Kind, body: Obj) -> None:
    """A workload says which pods are its own and what they run; an autoscaler what it scales, and up to where."""
    spec = _part(body, "spec")
    told, place = _lacking_of_scaler(spec) if kind.plural == "horizontalpodautoscalers" else _lacking_of_workload(spec)
    if told:
        fault = "FieldValueRequired" if told.startswith("Required") else "FieldValueInvalid"
        raise invalid(kind.kind, kind.group, body["metadata"].get("name", ""), [Cause(fault, told, place)])


def _lacking_of_workload(spec: Mapping[str, Any]) -> tuple[str, str]:
    template = _part(spec, "template")
    wanted, own = _part(_part(spec, "selector"), "matchLabels"), _part(_part(template, "metadata"), "labels")
    containers = _part(template, "spec").get("containers")
    if not _part(spec, "selector"):
        return "Required value", "spec.selector"
    if any(own.get(label) != value for label, value in wanted.items()):
        return f"Invalid value: {json.dumps(own)}: `selector` does not match template `labels`", "spec.template.metadata.labels"
    if not isinstance(containers, list) or not containers:
        return "Required value", "spec.template.spec.containers"
    if not all(isinstance(one, Mapping) and one.get("name") and one.get("image") for one in containers):
        return "Required value: each container has a name and an image", "spec.template.spec.containers"
    return "", ""


def _lacking_of_scaler(spec: Mapping[str, Any]) -> tuple[str, str]:
    target, most = _part(spec, "scaleTargetRef"), spec.get("maxReplicas") or 0
    if not target.get("kind") or not target.get("name"):
        return "Required value", "spec.scaleTargetRef"
    if most < 1 or most < (spec.get("minReplicas") or 1):
        return f"Invalid value: {most}: must be greater than or equal to `minReplicas`", "spec.maxReplicas"
    return "", ""


def _part(body: Any, name: str) -> Mapping[str, Any]:
    """A mapping below, empty where it is none."""
    found = body.get(name) if isinstance(body, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def lease_times_have_microseconds(kind: Kind, body: Obj, *, patching: bool) -> None:
    """Times of a Lease are written with exactly six digits after the second."""
    if kind.plural != "leases":
        return
    for key in ("acquireTime", "renewTime"):
        value = (body.get("spec") or {}).get(key)
        if value is not None and (not isinstance(value, str) or _MICRO_TIME.fullmatch(value) is None):
            told = f'parsing time "{value}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse'
            raise ApiError(422 if patching else 400, told, reason=None if patching else "BadRequest")


def stores_nothing(*, dry_run: bool) -> bool:
    """`dryRun=All` answers as if, and stores nothing."""
    return dry_run


# Reading and watching.


def revision_number(text: str, *, watching: bool) -> int:
    """The revision that a client names; "" is 0. Garbage is an internal error of a watch, and a bad request of a read."""
    if not text:
        return 0
    if not text.isdigit():
        told = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise ApiError(500, told, reason="") if watching else ApiError(400, told)
    return int(text)


def revision_is_not_in_the_future(asked: int, current: int) -> None:
    """A read at a revision that does not exist yet is answered with 504 and a time to wait."""
    if asked > current:
        told = f"Too large resource version: {asked}, current: {current}"
        cause = Cause("ResourceVersionTooLarge", "Too large resource version")
        raise ApiError(504, f"Timeout: {told}", causes=[cause], retry_after=1)


def revision_is_kept(asked: int, oldest: int) -> None:
    """A watch from a revision whose successors are forgotten ends in an ERROR event 410."""
    if asked < oldest:
        raise ApiError(410, f"too old resource version: {asked} ({oldest})")


def watch_starts_with_state(revision: int) -> bool:
    """Whether a watch begins with synthetic ADDED events: without a revision, or at 0."""
    return revision == 0


def page_of(snapshot: Sequence[Obj], live: Sequence[Obj], start: int, limit: int) -> Sequence[Obj]:
    """The next page of a list: cut from the snapshot that the first page was cut from, whatever happened since."""
    del live
    return snapshot[start : start + limit] if limit else snapshot[start:]


def initial_events_end(revision: int) -> dict[str, Any]:
    """The metadata of the bookmark that ends the initial events."""
    return {"resourceVersion": str(revision), "annotations": {"k8s.io/initial-events-end": "true"}}


# Server-side apply.


def field_manager_is_given(manager: str) -> None:
    """An apply names who applies."""
    if not manager:
        cause = Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager")
        raise invalid("PatchOptions", "meta.k8s.io", "", [cause])


def no_foreign_owner(conflicts: Sequence[tuple[str, str]], *, force: bool) -> None:
    """A field that another manager owns with another value is a conflict, unless forced. Pairs are (manager, field path)."""
    if not conflicts or force:
        return
    causes = [Cause("FieldManagerConflict", f"conflict with {manager}", path) for manager, path in conflicts]
    told = ", ".join(f"{cause.message}: {cause.field}" for cause in causes)
    count = len(causes)
    raise ApiError(409, f"Apply failed with {count} conflict{'s' if count > 1 else ''}: {told}", causes=causes)


def fields_to_drop(before: frozenset[Any], now: frozenset[Any], others: frozenset[Any]) -> frozenset[Any]:
    """The fields that an apply deletes: owned before, not applied now, and nobody else's."""
    return before - now - others
