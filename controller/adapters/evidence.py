"""Evidence in the cluster: immutable ConfigMaps that belong to the Release and go with it.

One part is stored together with each decision's records, before them. Its name ends in a digest of its content, so that a
write whose answer was lost is found again and nothing is ever overwritten.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from controller.adapters import marks
from controller.adapters.history import read_history
from controller.adapters.records import read_frozen
from controller.api.release import EvidenceStatus
from controller.core.commands import Subject
from controller.evidence.bundle import Bundle, BundleError, trimmed
from controller.evidence.journal import FORMAT, Journal, Segment
from controller.evidence.reading import lines_of
from controller.evidence.thinning import LEVELS
from controller.ports import CONFIG_MAP, RELEASE, ConflictError, Kube, Obj

EVIDENCE_LABEL = "penstock.dev/evidence"

RELEASE_BYTES = 900_000
"""Compressed evidence of one release: with names and encoding still below a megabyte."""

PART_BYTES = 600_000
"""One ConfigMap carries at most a mebibyte, and what is compressed grows by a third on its way."""


def store(kube: Kube, subject: Subject, journal: Journal, before: EvidenceStatus | None, epoch: int) -> EvidenceStatus | None:
    """Store what the journal has as the next part; where that stands now. The journal is emptied once it is certainly stored."""
    found = journal.segments()
    if not found:
        return before
    known = before or EvidenceStatus()
    segments = fitting(found, min(PART_BYTES, (RELEASE_BYTES - known.bytes) // 2))
    size = sum(len(segment.body) for segment in segments)
    body = part(subject, segments, number=known.parts + 1, lost=journal.lost, epoch=epoch)
    try:
        kube.create(CONFIG_MAP, subject.namespace, body)
    except ConflictError as error:
        if error.reason != "AlreadyExists":
            raise
    less = known.thinned or bool(journal.lost) or any(segment.kept for segment in segments)
    journal.emptied()
    return EvidenceStatus(parts=known.parts + 1, bytes=known.bytes + size, thinned=less)


def fitting(segments: Sequence[Segment], room: int) -> list[Segment]:
    """The segments, the oldest made smaller until all fit; steps stay whatever they need."""
    fit, size = list(segments), sum(len(one.body) for one in segments)
    for level, smaller in LEVELS:
        for position, segment in enumerate(fit):
            if size <= room:
                return fit
            if segment.kept < level:
                fit[position] = smaller(segment)
                size += len(fit[position].body) - len(segment.body)
    return fit


def part(subject: Subject, segments: Sequence[Segment], *, number: int, lost: int, epoch: int) -> Obj:
    """The ConfigMap of one part."""
    about = {
        "format": FORMAT, "number": number, "epoch": epoch, "looks": sum(segment.looks for segment in segments), "lost": lost,
        "thinned": any(segment.kept for segment in segments),
    }  # fmt: skip
    digest = hashlib.sha256(b"".join(segment.body for segment in segments)).hexdigest()[:8]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"penstock-evidence-{subject.name[:40]}-{subject.uid[:8]}-{number:03d}-{digest}",
            "labels": {marks.PLAN_LABEL: subject.spec.plan, marks.RELEASE_LABEL: marks.label_value(subject.name), EVIDENCE_LABEL: "true"},
            "annotations": {marks.EPOCH: str(epoch)},
            "ownerReferences": [{"apiVersion": RELEASE.api_version, "kind": "Release", "name": subject.name, "uid": subject.uid}],
        },
        "immutable": True,
        "data": {"about.json": orjson.dumps(about).decode()},
        "binaryData": {f"{position:04d}": base64.b64encode(one.body).decode() for position, one in enumerate(segments)},
    }


def is_part(obj: Obj) -> bool:
    """Whether an object is a part of some release's evidence."""
    return bool(marks.label(obj, EVIDENCE_LABEL))


def parts_of(kube: Kube, namespace: str, name: str, uid: str) -> list[Obj]:
    """All parts of one release, in the order of their names."""
    selector = f"{EVIDENCE_LABEL}=true,{marks.RELEASE_LABEL}={marks.label_value(name)}"
    found = kube.list(CONFIG_MAP, namespace, labels=selector).items
    mine = [obj for obj in found if any(ref.get("uid") == uid for ref in marks.items(marks.metadata(obj).get("ownerReferences")))]
    return sorted(mine, key=lambda obj: str(obj["metadata"]["name"]))


def gather(kube: Kube, release: Obj, version: str) -> Bundle:
    """Everything that the cluster has about a release. Raises `KubeError`s, and `BundleError` where a part is damaged."""
    meta = release["metadata"]
    namespace, name, uid = str(meta.get("namespace", "")), str(meta["name"]), str(meta["uid"])
    abouts, segments = [], []
    for obj in parts_of(kube, namespace, name, uid):
        title = str(obj["metadata"]["name"])
        try:
            lines = [tuple(lines_of(body)) for body in bodies(obj)]
            about = orjson.loads(str(marks.mapping(obj.get("data")).get("about.json", "")))
        except ValueError as error:
            raise BundleError(f"ConfigMap {namespace}/{title}: {error}.") from error
        abouts.append({**marks.mapping(about), "name": title, "segments": len(lines)})
        segments += lines
    history = read_history(kube, release)
    hash_ = str(marks.mapping(release.get("status")).get("planHash") or "")
    spec = read_frozen(kube, namespace, hash_) if hash_ else None
    plans = {hash_: spec.model_dump(mode="json")} if spec is not None else {}
    return Bundle(version, trimmed(release), plans, tuple(history), tuple(abouts), tuple(segments))


def bodies(obj: Mapping[str, Any]) -> list[bytes]:
    """The compressed segments of a part, in order. Raises `ValueError` where one is not base64."""
    data = marks.mapping(obj.get("binaryData"))
    return [base64.b64decode(str(data[key]), validate=True) for key in sorted(data)]
