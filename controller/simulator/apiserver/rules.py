"""What a client can notice of the API server, one small function a rule.

The store calls every one as `rules.name(...)`; what may stand in an object is in `contents`. The conformance tests
replace one after the other and demand that a case fails: a rule that no case misses is either untested or not a
rule. A check raises `ApiError` or returns nothing; the others say in their docstring what they give.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from controller.ports import Obj
from controller.simulator.apiserver.errors import NOT_CHECKED, ApiError, Cause, invalid, invalid_of
from controller.simulator.apiserver.resources import Resource

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SYSTEM = (
    "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion", "managedFields",
    "selfLink",
)  # fmt: skip


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
        raise invalid_of(resource.kind, name, cause, *([NOT_CHECKED] if resource.custom else []))
    if len(name) > 253 or _SUBDOMAIN.fullmatch(name) is None:  # noqa: PLR2004 - the length of a DNS name
        message = (
            f"Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"
        )
        raise invalid_of(resource.kind, name, Cause("FieldValueInvalid", message, "metadata.name"))


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
    """A write without a resourceVersion: refused for custom resources and Leases, unconditional for the other kinds."""
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
        raise invalid_of(resource.kind, name, Cause("FieldValueInvalid", f'Invalid value: "{asked}": field is immutable', "metadata.uid"))
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


def generation_of(resource: Resource, old: Obj, candidate: Obj, subresource: str) -> int | None:
    """The generation after an update: one more where anything besides metadata and status changed; None for kinds without.

    Annotations of a Deployment count as its spec: that is how its own strategy decides, but for writes of its status.
    """
    stored: int | None = old["metadata"].get("generation")
    if stored is None or subresource == "status":
        return stored
    if resource.kind.plural == "deployments" and candidate["metadata"].get("annotations") != old["metadata"].get("annotations"):
        return stored + 1
    for key in candidate.keys() | old.keys():
        if key in ("metadata", "apiVersion", "kind"):
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
                told = "Forbidden: field is immutable when `immutable` is set"
                raise invalid_of(resource.kind, name, Cause("FieldValueForbidden", told, key))
    if group == "apps" and (old.get("spec") or {}).get("selector") != (candidate.get("spec") or {}).get("selector"):
        shown = (candidate.get("spec") or {}).get("selector")
        raise invalid_of(resource.kind, name, Cause("FieldValueInvalid", f"Invalid value: {shown}: field is immutable", "spec.selector"))


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
        raise invalid_of(resource.kind, old["metadata"]["name"], Cause("FieldValueForbidden", told, "metadata.finalizers"))


def deletion_is_not_written(resource: Resource, old: Obj, metadata: Mapping[str, Any]) -> None:
    """Nobody marks an object for deletion, or changes its mark, but by deleting it."""
    told = "Invalid value: field is immutable"
    causes = [
        Cause("FieldValueInvalid", told, f"metadata.{key}")
        for key in ("deletionGracePeriodSeconds", "deletionTimestamp")
        if metadata.get(key) not in (None, old["metadata"].get(key))
    ]
    if causes:
        raise invalid_of(resource.kind, old["metadata"]["name"], *causes)


# Dry runs.


def stores_nothing(*, dry_run: bool) -> bool:
    """`dryRun=All` answers as if, and stores nothing."""
    return dry_run


# Reading and watching.


def revision_number(text: str, *, listing: bool = False) -> int:
    """The revision that a client names; "" is 0. Garbage is a bad request of a list, and an internal error of a get and a watch."""
    if not text:
        return 0
    if not text.isdigit():
        told = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise ApiError(400, told) if listing else ApiError(500, told, reason="")
    return int(text)


def revision_is_matched(match: str, revision: str) -> None:
    """How a list's revision is meant is one of two words, and only said of a revision."""
    if match and (match not in ("Exact", "NotOlderThan") or not revision):
        cause = Cause("FieldValueNotSupported", f'Unsupported value: "{match}"', "resourceVersionMatch")
        raise invalid("ListOptions", "meta.k8s.io", "", [cause])


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
