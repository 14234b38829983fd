"""The path of a write from candidate to commit: every rule in the order of the real server."""

from typing import TYPE_CHECKING, Any

from controller import ports
from controller.ports import Obj
from controller.simulator.apiserver import contents, rules
from controller.simulator.apiserver.defaults import with_defaults
from controller.simulator.apiserver.errors import ApiError
from controller.simulator.apiserver.options import Attempt, Deletion, Options
from controller.simulator.apiserver.resources import Resource
from controller.simulator.apiserver.schema import Report
from controller.simulator.apiserver.storage import Served

if TYPE_CHECKING:
    from controller.simulator.apiserver.store import ApiServer

CRD_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_PROPAGATION_FINALIZERS = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}
_OMITTED_WHEN_EMPTY = ("labels", "annotations", "finalizers", "ownerReferences")


def create(server: "ApiServer", served: Served, namespace: str, body: Obj, options: Options, *, verb: str = "create") -> Obj:
    """Check, complete and store a new object."""
    resource, kind = served.resource, served.resource.kind
    rules.no_resource_version_on_create(body)
    metadata: dict[str, Any] = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    name = rules.generated_name(metadata, server.stamps.suffix() if metadata.get("generateName") else "")
    metadata["name"] = name
    if kind.namespaced:
        if metadata.get("namespace", namespace) != namespace:
            raise ApiError(400, "the namespace of the provided object does not match the namespace sent on the request")
        metadata["namespace"] = namespace
        rules.namespace_accepts(resource, namespace, name, server.registry.by_kind[ports.NAMESPACE].shelf.find("", namespace))
    else:
        metadata.pop("namespace", None)
    rules.name_is_valid(resource, name)
    rules.name_is_free(resource, name, served.shelf.find(metadata.get("namespace", ""), name))
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"):
        metadata.pop(key, None)
    metadata["uid"] = rules.uid_of_new_object(server.stamps.uid(), body)
    metadata["creationTimestamp"] = server.stamps.time()
    if resource.generation:
        metadata["generation"] = 1
    candidate = {**body, "apiVersion": served.shelf.kind.api_version, "metadata": _tidy(metadata)}
    rules.main_endpoint_keeps_status(resource, None, candidate)
    candidate = dict(with_defaults(resource, candidate))
    if kind == ports.CRD:
        candidate = _prepared_crd(server, candidate)
    candidate = validated(resource, None, candidate, options)
    candidate = _admitted(server, served, None, candidate, options, verb="create")
    if rules.stores_nothing(dry_run=options.dry_run):
        return _shown(served, candidate)
    return _shown(served, server.commit(served, None, candidate, options, verb))


def update(server: "ApiServer", served: Served, old: Obj, candidate: Obj, options: Options, *, verb: str) -> Obj:
    """Check and complete the candidate of a change, and store it where it changes something."""
    resource = served.resource
    if candidate is old and rules.nothing_changed(old, candidate):
        return _shown(served, old)
    metadata = candidate["metadata"]
    if metadata is not old["metadata"]:
        rules.resource_version_is_current(resource, old, metadata)
        rules.uid_is_the_same(resource, old, metadata, patching=verb != "update")
        rules.no_new_finalizers(resource, old, metadata)
        rules.deletion_is_not_written(resource, old, metadata)
        metadata = _tidy(rules.system_metadata(old, metadata))
        candidate = {**candidate, "metadata": metadata}
    candidate = _written_part(resource, old, candidate, options.subresource)
    if resource.kind == ports.CRD:
        server.registry.check(candidate)
    candidate = validated(resource, old, candidate, options)
    candidate = _admitted(server, served, old, candidate, options, verb="update")
    generation = rules.generation_of(resource, old, candidate, options.subresource)
    if generation != old["metadata"].get("generation"):
        candidate = {**candidate, "metadata": {**candidate["metadata"], "generation": generation}}
    if rules.nothing_changed(old, candidate):
        return _shown(served, old)
    if rules.stores_nothing(dry_run=options.dry_run):
        return _shown(served, candidate)
    if _is_finished(candidate):
        server.commit(served, old, None, options, verb)
        if resource.custom:
            _retire_empty(server, served, options)
        return _shown(served, candidate)
    return _shown(served, server.commit(served, old, candidate, options, verb))


def _written_part(resource: Resource, old: Obj, candidate: Obj, subresource: str) -> dict[str, Any]:
    """What of a candidate this endpoint may write; the rest is as it was stored."""
    if subresource == "status":
        if not resource.status:
            raise ApiError(404, "the server could not find the requested resource")
        return rules.status_endpoint_writes_status_only(resource, old, candidate)
    if subresource == "finalize":
        return {**old, "spec": candidate.get("spec") or {}}
    whole = dict(candidate)
    rules.main_endpoint_keeps_status(resource, old, whole)
    whole = dict(with_defaults(resource, whole))
    rules.immutable_parts(resource, old, whole)
    return whole


def delete(server: "ApiServer", served: Served, old: Obj, how: Deletion, options: Options) -> Obj:
    """Remove an object, or mark it where something must happen first."""
    resource, metadata = served.resource, old["metadata"]
    rules.delete_preconditions(resource, old, how.uid, how.resource_version)
    _admitted(server, served, old, None, options, verb="delete")
    finalizers = list(metadata.get("finalizers") or ())
    added = (_PROPAGATION_FINALIZERS.get(how.propagation), CRD_FINALIZER if resource.kind == ports.CRD else None)
    finalizers += [name for name in added if name and name not in finalizers]
    marked = {**old, "metadata": {**metadata, **({"finalizers": finalizers} if finalizers else {})}}
    is_namespace = resource.kind == ports.NAMESPACE and bool((old.get("spec") or {}).get("finalizers"))
    lingers = resource.kind == ports.POD and bool((old.get("spec") or {}).get("nodeName")) and bool(how.grace_seconds)
    if not (rules.waits_for_finalizers(marked) or is_namespace or lingers):
        if not rules.stores_nothing(dry_run=options.dry_run):
            server.commit(served, old, None, options, "delete", how=how)
        return _deleted(resource, old)
    if metadata.get("deletionTimestamp"):
        return _shown(served, old)
    generation = rules.generation_when_deleted(old)
    marked["metadata"] |= {
        "deletionTimestamp": server.stamps.time(),
        "deletionGracePeriodSeconds": how.grace_seconds or 0,
        **({} if generation is None else {"generation": generation}),
    }
    if is_namespace:
        marked["status"] = {**(old.get("status") or {}), "phase": "Terminating"}
    if rules.stores_nothing(dry_run=options.dry_run):
        return _shown(served, marked)
    stored = server.commit(served, old, marked, options, "delete", how=how)
    if resource.kind == ports.CRD:
        return _retired_crd(server, served, stored, options)
    return _shown(served, stored)


def validated(resource: Resource, old: Obj | None, candidate: dict[str, Any], options: Options) -> dict[str, Any]:
    """The candidate, pruned and defaulted by its schema; 422 or 400 where it breaks it."""
    metadata, name = candidate["metadata"], candidate["metadata"]["name"]
    if old is None or metadata is not old["metadata"]:
        contents.labels_are_valid(resource, name, metadata)
        for warning in contents.names_are_qualified(resource, name, metadata):
            options.warn(warning)
    contents.data_is_small_enough(resource, name, candidate)
    if resource.kind.plural in contents.COUNTED and (old is None or candidate.get("spec") is not old.get("spec")):
        contents.parts_are_there(resource.kind, candidate)
    if resource.schema is None:
        return candidate
    report = Report()
    result = contents.unknown_fields(report, resource.schema.check_root(candidate, old, report), candidate)
    for warning in contents.strict_fields(report, options.field_validation):
        options.warn(warning)
    contents.schema_holds(resource, name, report)
    contents.validation_rules_hold(resource, name, report)
    return result


def _tidy(metadata: dict[str, Any]) -> dict[str, Any]:
    for key in _OMITTED_WHEN_EMPTY:
        if key in metadata and not metadata[key]:
            del metadata[key]
    return metadata


def _shown(served: Served, obj: Obj) -> Obj:
    return obj if served.view is None else served.view(obj)


def _is_finished(candidate: Obj) -> bool:
    """Whether an object that is marked for deletion has nothing left to wait for."""
    metadata = candidate["metadata"]
    if not metadata.get("deletionTimestamp") or rules.waits_for_finalizers(candidate):
        return False
    if candidate["kind"] == ports.NAMESPACE.kind and (candidate.get("spec") or {}).get("finalizers"):
        return False
    return not metadata.get("deletionGracePeriodSeconds")


def _admitted(
    server: "ApiServer", served: Served, old: Obj | None, candidate: dict[str, Any] | None, options: Options, *, verb: str
) -> dict[str, Any]:
    if server.admission is None:
        return candidate or {}
    source: Any = candidate or old
    metadata = source["metadata"]
    attempt = Attempt(
        verb, served.shelf.kind, metadata.get("namespace", ""), metadata["name"], options.subresource, options.user, old, candidate
    )
    changed = server.admission(attempt)
    return dict(changed) if changed is not None else candidate or {}


def _deleted(resource: Resource, old: Obj) -> Obj:
    details = {**resource.target(old["metadata"]["name"]), "uid": old["metadata"]["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _prepared_crd(server: "ApiServer", crd: dict[str, Any]) -> dict[str, Any]:
    """A definition as the server completes it: its names accepted, itself established."""
    server.registry.check(crd)
    spec, at = crd["spec"], server.stamps.time()
    names = {"singular": spec["names"]["kind"].lower(), "listKind": f"{spec['names']['kind']}List", **spec["names"]}
    conditions = [
        {"type": word, "status": "True", "lastTransitionTime": at, "reason": reason, "message": message}
        for word, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    stored = [version["name"] for version in spec["versions"] if version.get("storage")]
    return {
        **crd,
        "spec": {"conversion": {"strategy": "None"}, **spec, "names": names},
        "status": {"conditions": conditions, "acceptedNames": names, "storedVersions": stored},
    }


def _retired_crd(server: "ApiServer", served: Served, crd: Obj, options: Options) -> Obj:
    """Delete every instance of a definition, then the definition; instances with finalizers keep it."""
    spec = crd["spec"]
    for custom in server.registry.versions(spec["group"], spec["names"]["plural"])[:1]:
        for obj in list(custom.shelf.all("")):
            delete(server, custom, obj, Deletion(), options)
        if any(custom.shelf.all("")):
            return crd
    left = [name for name in crd["metadata"]["finalizers"] if name != CRD_FINALIZER]
    return update(server, served, crd, {**crd, "metadata": {**crd["metadata"], "finalizers": left}}, options, verb="update")


def _retire_empty(server: "ApiServer", served: Served, options: Options) -> None:
    """Finish the deletion of a definition whose last instance has just gone."""
    kind = served.resource.kind
    crds = server.registry.by_kind[ports.CRD]
    crd = crds.shelf.find("", f"{kind.plural}.{kind.group}")
    if crd is not None and crd["metadata"].get("deletionTimestamp"):
        _retired_crd(server, crds, crd, options)
