"""A release's history: one ConfigMap with a record a decision, written before what rests on it, and read back for people.

A record is a key of its own, so that a retry writes the same one again. Nothing here decides.
"""

import re
from typing import Any

import orjson

from controller.adapters import marks
from controller.core.commands import Record, RecordKind, Subject
from controller.ports import CONFIG_MAP, RELEASE, Kube, NotFoundError, Obj, Patch
from controller.times import rfc3339

HISTORY_LABEL = "penstock.dev/history"
_KEY = re.compile(r"[^-._a-zA-Z0-9]+")

KINDS: tuple[str, ...] = (
    RecordKind.STARTED, RecordKind.WARNING, RecordKind.REQUEST, RecordKind.VERDICT, RecordKind.HOLD, RecordKind.ROLLBACK,
    RecordKind.GRANT, RecordKind.FINISHED,
)  # fmt: skip
"""In this order within one moment: the evidence before what rests on it."""


def history_name(name: str, uid: str) -> str:
    """ConfigMap with a release's records; the uid keeps namesakes apart."""
    return f"penstock-history-{name[:40]}-{uid[:8]}"


def write_record(kube: Kube, subject: Subject, record: Record, epoch: int) -> None:
    """One durable record: a key of the history ConfigMap, so that a retry writes the same one. Raises `Deposed` as every write does."""
    key = _KEY.sub("-", f"{subject.status.phase_counter:04d}-{record.key}")
    line = orjson.dumps(
        {"at": rfc3339(record.at), "kind": record.kind, "reason": record.reason, "message": record.message, "data": record.data},
        default=str,
    ).decode()
    try:
        stored = kube.get(CONFIG_MAP, subject.namespace, history_name(subject.name, subject.uid))
    except NotFoundError:
        owner = {"apiVersion": RELEASE.api_version, "kind": "Release", "name": subject.name, "uid": subject.uid}
        metadata = {
            "name": history_name(subject.name, subject.uid),
            "labels": {marks.PLAN_LABEL: subject.spec.plan, marks.RELEASE_LABEL: marks.label_value(subject.name), HISTORY_LABEL: "true"},
            "annotations": {marks.EPOCH: str(epoch)},
            "ownerReferences": [owner],
        }
        kube.create(CONFIG_MAP, subject.namespace, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {key: line}})
        return
    marks.check_epoch(stored, epoch)
    meta = {"resourceVersion": stored["metadata"]["resourceVersion"], "annotations": {marks.EPOCH: str(epoch)}}
    kube.patch(CONFIG_MAP, subject.namespace, history_name(subject.name, subject.uid), {"metadata": meta, "data": {key: line}}, Patch.MERGE)


def read_history(kube: Kube, release: Obj) -> list[dict[str, Any]]:
    """The records of a Release with their keys, oldest first; one that cannot be read says so instead of hiding the others."""
    meta = release["metadata"]
    try:
        stored = kube.get(CONFIG_MAP, str(meta.get("namespace", "")), history_name(str(meta["name"]), str(meta["uid"])))
    except NotFoundError:
        return []
    data = marks.mapping(stored.get("data"))
    found: list[dict[str, Any]] = []
    for key in sorted(data, key=order):
        try:
            found.append({"key": key, **marks.mapping(orjson.loads(str(data[key])))})
        except orjson.JSONDecodeError:
            found.append({"key": key, "at": "", "kind": "unreadable", "reason": "", "message": f"the record {key} cannot be read"})
    return sorted(found, key=lambda entry: str(entry.get("at", "")))


def order(key: str) -> tuple[str, int]:
    """By the phase counter that the key begins with; within it the evidence before what rests on it."""
    counter, _, rest = key.partition("-")
    kind = rest.partition("-")[0]
    return counter, KINDS.index(kind) if kind in KINDS else len(KINDS)
