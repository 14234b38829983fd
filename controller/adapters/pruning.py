"""Reading and removing finished releases and their records. Which ones go is `core.retention`'s decision."""

from collections import Counter
from collections.abc import Iterable

import orjson

from controller.adapters import marks
from controller.adapters.records import frozen_name, read_status, releases_of_plan
from controller.core.commands import Subject
from controller.core.phases import FINAL
from controller.core.retention import Finished
from controller.ports import CONFIG_MAP, RELEASE, ConflictError, Kind, Kube, NotFoundError, Obj


def read_finished(kube: Kube, subject: Subject, *, sizes: bool = True) -> tuple[Finished, ...]:
    """All finished releases of the plan, the subject among them, with the size of their records; 0 where nobody asks for it."""
    bytes_of: Counter[str] = Counter()
    for obj in _records(kube, subject) if sizes else ():
        bytes_of[_owner(obj)] += sum(len(orjson.dumps(obj.get(part) or {})) for part in ("data", "binaryData"))
    found = []
    for obj in releases_of_plan(kube, subject.namespace, subject.spec.plan):
        status, _ = read_status(obj.get("status") or {})
        meta = obj["metadata"]
        waiting = meta.get("finalizers") and meta["uid"] != subject.uid
        if status.phase in FINAL and not waiting:
            found.append(Finished(meta["name"], meta["uid"], status.finished_at, bytes_of[meta["uid"]], status.plan_hash))
    return tuple(found)


def _records(kube: Kube, subject: Subject) -> Iterable[Obj]:
    return kube.list(CONFIG_MAP, subject.namespace, labels=f"{marks.PLAN_LABEL}={subject.spec.plan}").items


def _owner(obj: Obj) -> str:
    return next((str(ref.get("uid")) for ref in marks.items(marks.metadata(obj).get("ownerReferences"))), "")


def prune(kube: Kube, subject: Subject, names: Iterable[str]) -> None:
    """Delete these finished releases (their records and evidence go with them), then frozen plans that nobody names any more.

    Deleting a finished Release never touches a version that serves: nothing that carries traffic is owned by it.
    """
    wanted = set(names)
    for obj in releases_of_plan(kube, subject.namespace, subject.spec.plan):
        if obj["metadata"]["name"] in wanted:
            _delete(kube, RELEASE, subject.namespace, obj)
    left = (o for o in releases_of_plan(kube, subject.namespace, subject.spec.plan) if o["metadata"]["name"] not in wanted)
    named = {str((o.get("status") or {}).get("planHash") or "") for o in left}
    kept = {frozen_name(hash_) for hash_ in named if hash_}
    for obj in _records(kube, subject):
        name = obj["metadata"]["name"]
        if name.startswith(frozen_name("")) and name not in kept:
            _delete(kube, CONFIG_MAP, subject.namespace, obj)


def _delete(kube: Kube, kind: Kind, namespace: str, obj: Obj) -> None:
    """Exactly this object as it was read."""
    meta = obj["metadata"]
    try:
        kube.delete(kind, namespace, meta["name"], uid=meta["uid"], resource_version=meta["resourceVersion"])
    except (NotFoundError, ConflictError):
        return  # gone, or written meanwhile: the next finished release looks again
