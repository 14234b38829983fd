"""What the API server lets be stored, one small function a rule: sizes, fields, labels, the parts of built-in kinds.

Called as `contents.name(...)`, so that the conformance tests can take each one out, as those of `rules`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from controller.ports import Kind, Obj
from controller.simulator.apiserver.errors import NOT_CHECKED, ApiError, Cause, invalid_of
from controller.simulator.apiserver.resources import Resource
from controller.simulator.apiserver.schema import Report, run_rules
from controller.simulator.apiserver.types import wrong_fields, wrong_metadata

MAX_BODY_BYTES = 3 * 1024 * 1024
"""Requests above this are refused with 413; the real server's own limit."""
MAX_DATA_BYTES = 1024 * 1024
"""The most a ConfigMap or Secret may carry."""
MAX_ANNOTATION_BYTES = 256 * 1024
COUNTED = frozenset({"deployments", "replicasets", "statefulsets", "horizontalpodautoscalers"})
"""Built-in kinds that pods are made and counted by, by plural."""
_ENCODED = {"configmaps": "binaryData", "secrets": "data"}
"""Kinds that carry data, by plural, and where theirs is in base64."""
_SHAPE_FAULTS = frozenset(
    {"FieldValueTypeInvalid", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueNotSupported"}
)
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_QUALIFIED = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_FINALIZERS = frozenset({"foregroundDeletion", "orphan", "kubernetes", "customresourcecleanup.apiextensions.k8s.io"})
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")


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
        raise invalid_of(resource.kind, name, *report.causes, *([NOT_CHECKED] if unchecked else []))


def validation_rules_hold(resource: Resource, name: str, report: Report) -> None:
    """The CEL rules of the schema, evaluated on every endpoint, `/status` too."""
    if report.pending:
        run_rules(report)
        if report.causes:
            raise invalid_of(resource.kind, name, *report.causes)


def labels_are_valid(resource: Resource, name: str, metadata: Mapping[str, Any]) -> None:
    """Label values are short and plain; annotations are bounded in total."""
    for key, value in (metadata.get("labels") or {}).items():
        if len(value) > 63 or _LABEL_VALUE.fullmatch(value) is None:  # noqa: PLR2004 - a DNS label
            told = f'Invalid value: "{value}": a valid label must be an empty string or consist of alphanumeric characters (key {key})'
            raise invalid_of(resource.kind, name, Cause("FieldValueInvalid", told, "metadata.labels"))
    size = sum(len(key) + len(value) for key, value in (metadata.get("annotations") or {}).items())
    if size > MAX_ANNOTATION_BYTES:
        told = f"Too long: may not be more than {MAX_ANNOTATION_BYTES} bytes"
        raise invalid_of(resource.kind, name, Cause("FieldValueTooLong", told, "metadata.annotations"))


def names_are_qualified(resource: Resource, name: str, metadata: Mapping[str, Any]) -> list[str]:
    """Keys of labels and annotations are names, with a domain in front or without; finalizers have one. Gives the warnings.

    A custom resource may have a finalizer without a domain, at the cost of a warning.
    """
    wrong = [("metadata.labels", key) for key in metadata.get("labels") or () if _QUALIFIED.fullmatch(key) is None]
    wrong += [("metadata.annotations", key) for key in metadata.get("annotations") or () if _QUALIFIED.fullmatch(key.lower()) is None]
    plain = [(i, key) for i, key in enumerate(metadata.get("finalizers") or ()) if "/" not in key and key not in _FINALIZERS]
    if resource.custom:
        told = [f'metadata.finalizers: "{key}": prefer a domain-qualified finalizer name to avoid accidental conflicts' for _, key in plain]
    else:
        told = []
        wrong += [(f"metadata.finalizers[{i}]", key) for i, key in plain]
    if wrong:
        raise invalid_of(resource.kind, name, *(Cause("FieldValueInvalid", f'Invalid value: "{key}"', path) for path, key in wrong))
    return told


def data_is_small_enough(resource: Resource, name: str, body: Obj) -> None:
    """A ConfigMap or Secret carries at most a mebibyte, once what is in base64 is decoded."""
    if resource.kind.group or resource.kind.plural not in _ENCODED:
        return
    encoded = _ENCODED[resource.kind.plural]
    lengths = ((part == encoded, len(str(value))) for part in ("data", "binaryData") for value in (body.get(part) or {}).values())
    size = sum(length * 3 // 4 if in_base64 else length for in_base64, length in lengths)
    if size > MAX_DATA_BYTES:
        told = f"Too long: may not be more than {MAX_DATA_BYTES} bytes"
        raise invalid_of(resource.kind, name, Cause("FieldValueTooLong", told, "[]" if encoded == "binaryData" else "data"))


def metadata_has_its_types(metadata: Mapping[str, Any], *, patching: bool) -> None:
    """Names are texts, labels and annotations maps of texts, finalizers a list of them."""
    for path, wanted, value in wrong_metadata(metadata):
        raise _not_decoded(f"{path}: found {json.dumps(value)[:80]}, expected {wanted}", patching=patching)


def _not_decoded(told: str, *, patching: bool) -> ApiError:
    """What is no object of its kind is a bad request; what a patch would make into none is refused as the patch."""
    return ApiError(422, told, causes=[Cause("FieldValueInvalid", told, "patch")]) if patching else ApiError(400, told, reason="BadRequest")


def fields_have_their_types(kind: Kind, body: Obj, *, patching: bool) -> None:
    """A text is no number and an object no list; a number of replicas is not negative."""
    for path, wanted, value in wrong_fields(kind.plural, body):
        told = f"{path}: found {json.dumps(value)[:80]}, expected {wanted}"
        raise ApiError(422, told) if kind.group.endswith("istio.io") else _not_decoded(told, patching=patching)
    spec = body.get("spec") if kind.plural in COUNTED else None
    for key in ("replicas", "minReplicas", "maxReplicas"):
        if spec and (spec.get(key) or 0) < 0:
            told = f"Invalid value: {spec[key]}: must be greater than or equal to 0"
            raise invalid_of(kind, body["metadata"].get("name", ""), Cause("FieldValueInvalid", told, f"spec.{key}"))


def parts_are_there(kind: Kind, body: Obj) -> None:
    """A workload says which pods are its own and what they run; an autoscaler what it scales, and up to where."""
    spec = _part(body, "spec")
    told, place = _lacking_of_scaler(spec) if kind.plural == "horizontalpodautoscalers" else _lacking_of_workload(spec)
    if told:
        fault = "FieldValueRequired" if told.startswith("Required") else "FieldValueInvalid"
        raise invalid_of(kind, body["metadata"].get("name", ""), Cause(fault, told, place))


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
    if "/" not in str(target.get("apiVersion")):
        return "Invalid value: apiVersion must name an API group", "spec.scaleTargetRef.apiVersion"
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
            raise _not_decoded(told, patching=patching)
