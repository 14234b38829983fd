"""The marks on objects: labels, annotations and the epoch; the one place that knows their names.

Every create and patch of the controller carries its leader's epoch, and none is sent to an object that bears a
higher one (S9). The marks are also how a later leader, or a later release, tells what Penstock made.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from controller.api.base import EPOCH_LEAP, NAME_LENGTH
from controller.ports import Obj

FIELD_MANAGER = "penstock"
"""Name under which the API server books our fields."""

FINALIZER = "penstock.dev/rollback"

PLAN_LABEL = "penstock.dev/plan"
RELEASE_LABEL = "penstock.dev/release"
REVISION_LABEL = "penstock.dev/revision"
SLOT_LABEL = "penstock.dev/slot"

EPOCH = "penstock.dev/epoch"
MADE = "penstock.dev/made"
REVISION = "penstock.dev/revision"
OWNER = "penstock.dev/owner"
STAMP = "penstock.dev/stamp"
BECAUSE = "penstock.dev/because"
"""Beside a rollback's stamp: why, as JSON, until the record of it is written (and for whoever reads the object)."""
ADDED = "penstock.dev/added"
PROVIDERS = "penstock.dev/providers"
"""On the Lease: names of the Prometheus providers that the leader knows, the default one first, with commas between."""
ARRIVED = "penstock.dev/arrived"
"""On a Release: its resourceVersion when a controller first wrote to it, which nobody had changed before."""


class Deposed(Exception):  # noqa: N818 - a state that ends the reconcile, not a mistake of anybody
    """An object carries a higher epoch than ours: another leader acts, and this one must not write any more.

    Attributes:
        epoch: the higher epoch.
    """

    def __init__(self, epoch: int, ours: int, what: str) -> None:
        super().__init__(f"{what} carries epoch {epoch}, this controller has {ours}: another leader acts now")
        self.epoch = epoch


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is a JSON object, else an empty one: garbage in an object is no reason to fall."""
    return value if isinstance(value, (dict, Mapping)) else {}


def items(value: Any) -> list[Any]:
    """The value where it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def metadata(obj: Obj) -> Mapping[str, Any]:
    """The object's metadata, empty where there is none."""
    return mapping(obj.get("metadata"))


def label(obj: Obj, key: str) -> str:
    """A label, "" where it is missing or no text."""
    value = mapping(metadata(obj).get("labels")).get(key)
    return value if isinstance(value, str) else ""


def annotation(obj: Obj, key: str) -> str:
    """An annotation, "" where it is missing or no text."""
    value = mapping(metadata(obj).get("annotations")).get(key)
    return value if isinstance(value, str) else ""


def label_value(name: str) -> str:
    """A name as a label's value, which may be at most 63 characters long."""
    return name[:NAME_LENGTH].rstrip("-.")


def where(obj: Obj) -> str:
    """`Kind namespace/name`, for sentences."""
    meta = metadata(obj)
    namespace, name = meta.get("namespace"), meta.get("name", "")
    return f"{obj.get('kind') or 'object'} {namespace}/{name}" if namespace else f"{obj.get('kind') or 'object'} {name}"


def epoch_of(obj: Obj) -> int:
    """The epoch that the object carries; 0 where it has none or garbage."""
    text = annotation(obj, EPOCH)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0  # noqa: PLR2004 - more digits is garbage


def outranks(found: int, ours: int) -> bool:
    """Whether the epoch that was found is that of a later leader than ours; one that leaps is nobody's."""
    return 0 < found - ours <= EPOCH_LEAP


def check_epoch(obj: Obj, epoch: int) -> None:
    """Raise `Deposed` where the object carries a later leader's epoch. To be asked before every write."""
    check_status_epoch(obj, epoch_of(obj), epoch)


def check_status_epoch(obj: Obj, found: int, epoch: int) -> None:
    """Likewise of the epoch in a status of ours."""
    if outranks(found, epoch):
        raise Deposed(found, epoch, where(obj))


def is_made(obj: Obj, *, plan: str = "") -> bool:
    """Whether Penstock created the object (for this plan, where one is named)."""
    return annotation(obj, MADE) == "true" and (not plan or label(obj, PLAN_LABEL) == plan)


def with_marks(
    body: Obj, epoch: int, *, labels: Mapping[str, str] | None = None, annotations: Mapping[str, str | None] | None = None
) -> dict[str, Any]:
    """A new body (of a create or a merge patch) with the epoch and further labels and annotations laid over its own.

    In a merge patch an annotation of None is removed.
    """
    meta = metadata(body)
    merged: dict[str, Any] = {**meta, "annotations": {**mapping(meta.get("annotations")), **(annotations or {}), EPOCH: str(epoch)}}
    if labels:
        merged["labels"] = {**mapping(meta.get("labels")), **labels}
    return {**body, "metadata": merged}


def made_marks(body: Obj, epoch: int, *, plan: str, release: str, revision: str = "") -> dict[str, Any]:
    """A new body of something that we create: plan and release as labels, epoch, `made` and revision as annotations."""
    annotations: dict[str, str | None] = {MADE: "true", **({REVISION: revision} if revision else {})}
    return with_marks(body, epoch, labels={PLAN_LABEL: plan, RELEASE_LABEL: release}, annotations=annotations)


def pointer(*parts: str | int) -> str:
    """A JSON pointer, its parts escaped."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def guard_ops(obj: Obj) -> Iterator[dict[str, Any]]:
    """JSON Patch operations that make a write conditional: 409 where the object is not the one that was read."""
    yield {"op": "replace", "path": "/metadata/resourceVersion", "value": metadata(obj).get("resourceVersion", "")}


def annotation_ops(obj: Obj, values: Mapping[str, str | None]) -> Iterator[dict[str, Any]]:
    """JSON Patch operations that set annotations, or remove those whose value is None."""
    yield from _map_ops(obj, "annotations", values)


def label_ops(obj: Obj, values: Mapping[str, str | None]) -> Iterator[dict[str, Any]]:
    """JSON Patch operations that set labels, or remove those whose value is None."""
    yield from _map_ops(obj, "labels", values)


def _map_ops(obj: Obj, section: str, values: Mapping[str, str | None]) -> Iterator[dict[str, Any]]:
    present = metadata(obj).get(section)
    wanted = {key: value for key, value in values.items() if value is not None}
    if not isinstance(present, Mapping):
        if wanted:
            yield {"op": "add", "path": f"/metadata/{section}", "value": wanted}
        return
    for key, value in values.items():
        path = pointer("metadata", section, key)
        if value is not None:
            yield {"op": "add", "path": path, "value": value}
        elif key in present:
            yield {"op": "remove", "path": path}
