"""The durable records: Release status, plan lock, frozen plan, requests, Events.

Every write here is conditional or idempotent by name, and carries the epoch. Nothing here decides.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from pydantic import ValidationError

from controller.adapters import marks
from controller.api.base import NAME_LENGTH
from controller.api.measured import filled_in
from controller.api.plan import PlanSpec, PlanStatus
from controller.api.release import Phase, ReleaseSpec, ReleaseStatus, RequestSpec, Verb
from controller.core import reasons
from controller.core.commands import AnswerRequest, Record, Subject
from controller.core.phases import FINAL, false_end
from controller.core.reasons import Severity
from controller.core.world import RequestView, Rival
from controller.ports import (
    CONFIG_MAP,
    EVENT,
    RELEASE,
    RELEASE_PLAN,
    RELEASE_REQUEST,
    ConflictError,
    Kube,
    KubeError,
    NotFoundError,
    Obj,
    Patch,
)
from controller.times import rfc3339, unix

FINALIZER = marks.FINALIZER


@dataclass(frozen=True, slots=True)
class PlanView:
    """A ReleasePlan as it was read."""

    found: bool
    spec: PlanSpec | None = None
    hash: str = ""
    status: PlanStatus = field(default_factory=PlanStatus)
    uid: str = ""
    resource_version: str = ""
    problem: str = ""


def first_error(error: ValidationError) -> str:
    """The first complaint of pydantic as `path: sentence`."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"]) or "object"
    return f"{path}: {first['msg']}"


def plan_hash(spec: PlanSpec) -> str:
    """16 hex digits of the plan's canonical JSON."""
    return hashlib.sha256(orjson.dumps(spec.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def read_subject(obj: Obj) -> Subject:
    """A Release as the core sees it, without its plan. Nonsense in it is no error: what can be read is, and the rest is said."""
    meta = obj["metadata"]
    spec, unread = read_spec(marks.mapping(obj.get("spec")))
    status, damage = read_status(marks.mapping(obj.get("status")))
    return Subject(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        generation=meta.get("generation", 1),
        created=unix(meta.get("creationTimestamp", "")),
        deleted="deletionTimestamp" in meta,
        finalizer=FINALIZER in meta.get("finalizers", ()),
        spec=spec,
        status=status,
        plan=None,
        damage=damage,
        unread=overlong(meta["name"]) or unread,
        arrived=arrived(obj),
    )


def arrived(obj: Obj) -> int:
    """Which of two Releases of one second came first: the lower number; 0 where the server's versions are no numbers.

    Times of creation are whole seconds. A store that counts its changes has given the later one the higher resourceVersion, as long as
    nobody has changed either; what it was then is written down with our first write (`set_finalizer`).
    """
    number = marks.annotation(obj, marks.ARRIVED) or str(obj["metadata"].get("resourceVersion", ""))
    return int(number) if number.isdecimal() else 0


def overlong(name: str) -> str:
    """Why a release of this name cannot be used, in words: no label takes it, and no request can name it. "" where it can."""
    if len(name) <= NAME_LENGTH:
        return ""
    return f"metadata.name: found {len(name)} characters, expected at most {NAME_LENGTH}; give it a shorter name"


UNREADABLE = "unreadable"
"""In place of a plan's or a revision's name that is none."""


def read_spec(stored: Mapping[str, Any]) -> tuple[ReleaseSpec, str]:
    """The spec, and what of it this version cannot read, a field of a newer one for example: the rest still serves the way back."""
    try:
        return ReleaseSpec.model_validate(stored), ""
    except ValidationError as error:
        bad = {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
        kept = {"plan": UNREADABLE, "revision": UNREADABLE} | {key: value for key, value in stored.items() if key not in bad}
        named = {key: stored[key] for key in ("plan", "revision") if isinstance(stored.get(key), str)}
        return ReleaseSpec.model_validate(kept).model_copy(update=named), first_error(error)


def read_status(stored: Mapping[str, Any]) -> tuple[ReleaseStatus, str]:
    """The status, and what of it was nonsense: such fields are left out, the others still say where traffic is."""
    try:
        status = ReleaseStatus.model_validate(stored)
    except ValidationError as error:
        bad = {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
        kept = {key: value for key, value in stored.items() if key not in bad}
        try:
            return ReleaseStatus.model_validate(kept), first_error(error)
        except ValidationError:
            return ReleaseStatus(), first_error(error)
    return status, false_end(status)


def holder_is_gone(kube: Kube, namespace: str, uid: str) -> bool:
    """Whether the release that holds a plan's lock does not exist any more: its finalizer was taken off by hand."""
    return bool(uid) and all(obj["metadata"]["uid"] != uid for obj in kube.list(RELEASE, namespace).items)


def read_plan(kube: Kube, namespace: str, name: str, known: dict[tuple[str, str], PlanView] | None = None) -> PlanView:
    """The plan as it stands now; what was parsed before at the same uid and resourceVersion is not parsed again."""
    try:
        obj = kube.get(RELEASE_PLAN, namespace, name)
    except NotFoundError:
        return PlanView(found=False)
    meta = obj["metadata"]
    before = known.get((namespace, name)) if known is not None else None
    if before is not None and (before.uid, before.resource_version) == (meta["uid"], meta["resourceVersion"]):
        return before
    view = replace(plan_view(obj), uid=meta["uid"])
    if known is not None:
        known[namespace, name] = view
    return view


def plan_view(obj: Obj) -> PlanView:
    """A plan object, or why it cannot be used."""
    version = obj["metadata"]["resourceVersion"]
    stored = obj.get("status") or {}
    try:
        # What was measured comes into the spec below; nonsense there must not hide who holds the plan.
        status = PlanStatus.model_validate({key: value for key, value in stored.items() if key != "measured"})
    except ValidationError:
        status = PlanStatus()
    try:
        spec = PlanSpec.model_validate(filled_in(obj.get("spec") or {}, stored))
    except ValidationError as error:
        from controller.api.validate import plan_findings  # noqa: PLC0415 - only a plan that cannot be used needs the sentences

        sentences = [str(f) for f in plan_findings(dict(obj)) if f.severity == "error"] or [first_error(error)]
        return PlanView(found=True, status=status, resource_version=version, problem="; ".join(sentences)[:1500])
    return PlanView(found=True, spec=spec, hash=plan_hash(spec), status=status, resource_version=version)


def plan_to_start_by(kube: Kube, subject: Subject, live: PlanView) -> PlanView:
    """The plan as it stands; for a reverse release that has not begun, the one that the success went by which it takes back.

    That one may be deleted by now, or name other routes: then `found` is still the live one's, which has the lock.
    """
    if subject.spec.kind != "reverse" or not subject.spec.reverse_of or subject.status.plan_hash:
        return live
    try:
        status = marks.mapping(kube.get(RELEASE, subject.namespace, subject.spec.reverse_of).get("status"))
    except NotFoundError:
        return live
    hash_ = str(status.get("planHash") or "")
    spec = read_frozen(kube, subject.namespace, hash_) if hash_ else None
    return replace(live, spec=spec, hash=hash_, problem="") if spec is not None else live


def frozen_name(hash_: str) -> str:
    """Name of the ConfigMap that holds a frozen plan."""
    return f"penstock-plan-{hash_}"


def read_frozen(kube: Kube, namespace: str, hash_: str) -> PlanSpec | None:
    """The frozen plan of that hash, or None where it is missing or was replaced by something else."""
    try:
        obj = kube.get(CONFIG_MAP, namespace, frozen_name(hash_))
        return PlanSpec.model_validate(orjson.loads(obj.get("data", {}).get("plan.json", "")))
    except (NotFoundError, ValidationError, orjson.JSONDecodeError):
        return None


def freeze_plan(kube: Kube, subject: Subject, spec: PlanSpec, epoch: int) -> None:
    """Store the plan under its hash; done once, whoever does it."""
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": frozen_name(plan_hash(spec)),
            "labels": {marks.PLAN_LABEL: subject.spec.plan},
            "annotations": {marks.EPOCH: str(epoch)},
        },
        "immutable": True,
        "data": {"plan.json": orjson.dumps(spec.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS).decode()},
    }
    try:
        kube.create(CONFIG_MAP, subject.namespace, body)
    except ConflictError as error:
        if error.reason != "AlreadyExists":
            raise


def lock_plan(kube: Kube, subject: Subject, plan: PlanView, epoch: int) -> None:
    """Take the plan, conditional on the resourceVersion at which it was seen free."""
    body = {
        "metadata": {"resourceVersion": plan.resource_version},
        "status": {"active": subject.uid, "activeName": subject.name, "epoch": epoch},
    }
    kube.patch(RELEASE_PLAN, subject.namespace, subject.spec.plan, body, Patch.MERGE, subresource="status")


def unlock_plan(kube: Kube, subject: Subject, plan: PlanView, images: dict[str, str], epoch: int, *, succeeded: bool) -> None:
    """Give the plan back, where it is still ours."""
    if plan.status.active != subject.uid:
        return
    status: dict[str, Any] = {"active": "", "activeName": "", "epoch": epoch}
    if succeeded:
        status |= {"lastSucceeded": subject.name, "lastImages": images}
    body = {"metadata": {"resourceVersion": plan.resource_version}, "status": status}
    kube.patch(RELEASE_PLAN, subject.namespace, subject.spec.plan, body, Patch.MERGE, subresource="status")


def status_patch(subject: Subject, before: ReleaseStatus, after: ReleaseStatus) -> dict[str, Any]:
    """The merge patch from what is stored to what shall be: changed fields only, so that unknown ones survive.

    Phase and weight are always among them: `kubectl get` shows no default of ours, and a release that is queued has both, too.
    """
    fields = type(after).model_fields
    differ = set(fields) if subject.damage else {name for name in fields if getattr(before, name) != getattr(after, name)}
    changed = after.model_dump(mode="json", include=differ | {"phase", "weight"}) if differ else {}
    return {"metadata": {"resourceVersion": subject.resource_version, "uid": subject.uid}, "status": changed}


def write_status(kube: Kube, subject: Subject, before: ReleaseStatus, after: ReleaseStatus) -> Subject:
    """Store the status under the resourceVersion it was read at; the subject as it stands afterwards."""
    body = status_patch(subject, before, after)
    if not body["status"]:
        return replace(subject, status=after)
    stored = kube.patch(RELEASE, subject.namespace, subject.name, body, Patch.MERGE, subresource="status")
    return replace(subject, status=after, resource_version=stored["metadata"]["resourceVersion"])


def set_finalizer(kube: Kube, subject: Subject, current: Obj, epoch: int, *, present: bool) -> None:
    """Add or remove our finalizer, leaving the others."""
    others = [f for f in current["metadata"].get("finalizers", ()) if f != FINALIZER]
    finalizers = [*others, FINALIZER] if present else others
    annotations = {marks.EPOCH: str(epoch)}
    if present and (came := arrived(current)):
        annotations[marks.ARRIVED] = str(came)
    body = {
        "metadata": {
            "resourceVersion": current["metadata"]["resourceVersion"],
            "finalizers": finalizers,
            "annotations": annotations,
        }
    }
    kube.patch(RELEASE, subject.namespace, subject.name, body, Patch.MERGE)


def read_requests(kube: Kube, namespace: str, name: str) -> tuple[RequestView, ...]:
    """Unanswered requests for the release of this name, oldest first. One that cannot be read asks for nothing, and is told so."""
    views = []
    for obj in kube.list(RELEASE_REQUEST, namespace).items:
        spec = obj.get("spec") or {}
        if spec.get("release") != name or (obj.get("status") or {}).get("state"):
            continue
        problem = ""
        try:
            parsed = RequestSpec.model_validate(spec)
        except ValidationError as error:
            parsed, problem = RequestSpec(release=name, verb=Verb.PAUSE), first_error(error)
        meta = obj["metadata"]
        view = RequestView(meta["name"], meta["uid"], meta["resourceVersion"], parsed, problem)
        views.append((meta.get("creationTimestamp", ""), meta["name"], view))
    return tuple(view for _, _, view in sorted(views, key=lambda item: item[:2]))


def answer_request(kube: Kube, namespace: str, view: RequestView, answer: AnswerRequest, *, epoch: int, now: float) -> None:
    """Write the answer; answered twice with the same words equals once."""
    state = "accepted" if answer.accepted else "refused"
    body = {
        "metadata": {"resourceVersion": view.resource_version, "uid": view.uid},
        "status": {"state": state, "reason": answer.reason, "message": answer.message, "answeredAt": now, "epoch": epoch},
    }
    kube.patch(RELEASE_REQUEST, namespace, view.name, body, Patch.MERGE, subresource="status")


def releases_of_plan(kube: Kube, namespace: str, plan: str) -> Sequence[Obj]:
    """All Releases of a plan; by an index where the client has one, so that ten thousand finished ones cost nothing."""
    indexed = getattr(kube, "releases_of_plan", None)
    if indexed is not None:
        found: Sequence[Obj] = indexed(namespace, plan)
        return found
    return [obj for obj in kube.list(RELEASE, namespace).items if (obj.get("spec") or {}).get("plan") == plan]


Impossible = Callable[[Mapping[str, Any], Sequence[Obj]], str]
"""Why a release will be refused at once, by its spec and the plan's releases; "" where it will not."""


def read_rivals(kube: Kube, index: Kube, subject: Subject, impossible: Impossible) -> tuple[Rival, ...]:
    """Releases of the same plan that are not finished, or whose retention still runs; without those that are `impossible`.

    `index` finds them, `kube` reads them: a live look asks for the few that are unfinished instead of listing ten thousand
    that are not. One that the index does not know yet is seen in a later look: the plan's lock decides who runs, not this.
    """
    rivals = []
    of_plan = releases_of_plan(index, subject.namespace, subject.spec.plan)
    for known in of_plan:
        if _rival(known, subject) is None:
            continue
        try:
            rival = _rival(known if kube is index else kube.get(RELEASE, subject.namespace, known["metadata"]["name"]), subject)
        except NotFoundError:
            continue
        if rival is not None and rival.phase is Phase.QUEUED and impossible(marks.mapping(known.get("spec")), of_plan):
            continue  # it will be refused: nobody gives way to it
        if rival is not None:
            rivals.append(replace(rival, place=queue_place(known, of_plan)) if rival.phase is Phase.QUEUED else rival)
    return tuple(rivals)


def own_place(index: Kube, subject: Subject) -> float | None:
    """As `queue_place`, of this release while it is queued."""
    if subject.status.phase is not Phase.QUEUED:
        return None
    of_plan = releases_of_plan(index, subject.namespace, subject.spec.plan)
    mine = next((obj for obj in of_plan if obj["metadata"]["uid"] == subject.uid), None)
    return queue_place(mine, of_plan) if mine is not None else None


def queue_place(release: Obj, of_plan: Sequence[Obj]) -> float | None:
    """Since when a release stands in the queue of its plan, Unix seconds, where that is not its creation; None where it is.

    One that supersedes another takes its place, before those that were queued behind that one. One that takes a success back
    goes before all.
    """
    place, seen = None, {release["metadata"]["name"]}
    while True:
        spec = marks.mapping(release.get("spec"))
        if spec.get("kind") == "reverse":
            return 0.0
        named = spec.get("supersedes")
        before = next((obj for obj in of_plan if named and obj["metadata"]["name"] == named), None)
        if before is None or named in seen or _ended_before(before, release):
            return place
        seen.add(named)
        release, place = before, unix(before["metadata"].get("creationTimestamp", ""))


def _ended_before(release: Obj, other: Obj) -> bool:
    """Whether a release had ended before the other one was made, so that it had no place any more."""
    finished = float(marks.mapping(release.get("status")).get("finishedAt") or 0.0)
    return 0.0 < finished < unix(other["metadata"].get("creationTimestamp", ""))


def _rival(obj: Obj, subject: Subject) -> Rival | None:
    """A Release as a rival of another one; None where it is none."""
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    if meta["uid"] == subject.uid or spec.get("plan") != subject.spec.plan:
        return None
    try:
        phase = Phase(status.get("phase", "Queued"))
    except ValueError:
        phase = Phase.HALTED  # of a newer version: treated as one that must end first
    retention = status.get("retention") or {}
    if phase in FINAL and (phase is not Phase.SUCCEEDED or retention.get("done", False)):
        return None
    supersedes = spec.get("supersedes") or spec.get("reverseOf") or ""
    kept = str(retention.get("kept") or "")
    created, reverse = unix(meta.get("creationTimestamp", "")), spec.get("kind") == "reverse"
    return Rival(meta["name"], meta["uid"], phase, created, supersedes, kept, reverse, arrived=arrived(obj))


def emit_event(kube: Kube, subject: Subject, record: Record) -> None:
    """An Event for people. Its name is its identity; a refusal is nobody's problem."""
    digest = hashlib.sha256(f"{subject.uid}/{record.key}".encode()).hexdigest()[:12]
    stamp = rfc3339(record.at)
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{subject.name}.{digest}"},
        "involvedObject": {
            "apiVersion": RELEASE.api_version,
            "kind": "Release",
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
        },
        "reason": record.reason,
        "message": record.message[:1000],
        "type": "Normal" if reasons.severity(record.reason) is Severity.INFO else "Warning",
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
        "source": {"component": "penstock"},
        "reportingComponent": "penstock",
        "reportingInstance": "penstock",
    }
    try:
        kube.create(EVENT, subject.namespace, body)
    except KubeError:
        return
