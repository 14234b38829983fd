"""How the members stand in both slots: the read side of the loop's first step. It writes nothing.

Cheap in the steady state: one Deployment a colour and member, and what the `Look` asks for besides. Through a
cache these reads cost nothing; live (before green is given more) they are the few that the decision rests on.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from controller.adapters import marks
from controller.adapters.workloads.in_place import updated_by
from controller.adapters.workloads.places import (
    Place,
    Split,
    dig,
    digest,
    find,
    image_of,
    number,
    other,
    place,
    plan_of,
    replicas_of,
    service_place,
    template_labels,
    text,
    uid_of,
)
from controller.adapters.workloads.references import brought_along, config_maps
from controller.adapters.workloads.selectors import covers, query, written
from controller.api.plan import GreenSource, Member
from controller.api.release import ManagedObject
from controller.core.commands import Subject
from controller.core.world import MemberView, WorkloadView
from controller.ports import DEPLOYMENT, ENDPOINT_SLICE, HPA, POD, SECRET, SERVICE, Kind, Kube, Obj, RefusedError

FLOOR = "penstock.dev/floor"
"""Annotation on an autoscaler whose minimum we moved: `<before>/<as we set it>`."""

STUCK_WAITING = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Waiting reasons of the kubelet that do not pass by themselves; `ContainerCreating` and `PodInitializing` do."""


@dataclass(frozen=True, slots=True)
class Look:
    """How closely to look.

    Attributes:
        endpoints: read EndpointSlices (host mode) or the subset's pods.
        pods: read the pods, for restarts and for why they do not come up; needed while preparing.
        autoscalers: read HorizontalPodAutoscalers.
        brought: see whether green stands as the release wants it: its workloads, Services, ConfigMaps.
        remains: see whether something that this release made for green is left beside the workloads.
    """

    endpoints: bool = True
    pods: bool = False
    autoscalers: bool = True
    brought: bool = False
    remains: bool = False


STEADY = Look(endpoints=False, pods=False, autoscalers=False)
"""While a release waits, gates go by available replicas; a subset's endpoints would cost two lists of pods a look."""
CLOSE = Look(endpoints=True, pods=True, autoscalers=True, brought=True)


@dataclass(frozen=True, slots=True)
class MembersView:
    """All members in both slots.

    Attributes:
        members: in the plan's order; empty while nobody knows which slot is blue.
        green_made: every member of green has its workload of this revision at its size, and what that needs; False where
            it was not looked at.
        green_gone: no member has a pod of green left, nor will get one; with `Look.remains`, nor a Service or a copy.
        objects: the workloads and autoscalers that were found, and what was made for green, for the resolved list.
        blue_slot: the slot that was taken for blue, -1 where unknown.
        split: how the routes tell the colours apart.
    """

    members: tuple[MemberView, ...] = ()
    green_made: bool = False
    green_gone: bool = False
    objects: tuple[ManagedObject, ...] = ()
    blue_slot: int = -1
    split: Split = field(default_factory=Split)

    def named(self, name: str) -> MemberView | None:
        """The member of that name."""
        return next((member for member in self.members if member.name == name), None)


@dataclass(slots=True)
class _Reader:
    """One look: remembers the lists that several members share."""

    kube: Kube
    subject: Subject
    split: Split
    look: Look
    autoscalers: dict[str, list[Obj]] = field(default_factory=dict)
    pods_left: bool = False
    remains: bool = False
    taken: bool = True

    def autoscaler(self, there: Place) -> Obj | None:
        if there.namespace not in self.autoscalers:
            self.autoscalers[there.namespace] = list(self.kube.list(HPA, there.namespace).items)
        return autoscaler_for(self.autoscalers[there.namespace], there.workload)


def observe_members(kube: Kube, subject: Subject, blue_slot: int, split: Split | None = None, look: Look | None = None) -> MembersView:
    """One look at all members. Raises `KubeError`s; a missing object is no error but `found=False`.

    Args:
        kube: cached or live, as the caller needs it.
        subject: the release; without a plan the view is empty.
        blue_slot: the slot that serves, -1 where unknown.
        split: how routes tell the colours apart; host mode by default.
        look: how closely.
    """
    if subject.plan is None or blue_slot < 0:
        return MembersView()
    reader = _Reader(kube, subject, split or Split(), look or Look())
    members, objects = [], []
    made = reader.look.brought
    for member in subject.plan.all_members:
        blue, of_blue = _workload(reader, member, blue_slot, blue=True)
        green, of_green = _workload(reader, member, other(blue_slot), blue=False)
        members.append(MemberView(member.name, blue, green))
        objects += of_blue + of_green
        if reader.look.brought or reader.look.remains:
            complete, brought = _brought(reader, member, blue_slot)
            objects += [managed(obj, kind.kind) for kind, obj in brought if marks.is_made(obj)]
            made = made and complete and _stands(reader, members[-1])
            reader.remains = reader.remains or any(held_by(subject, kind, obj) for kind, obj in brought)
    return MembersView(
        members=tuple(members),
        green_made=made,
        green_gone=not reader.pods_left and not (reader.look.remains and reader.remains),
        objects=tuple(dict.fromkeys(objects)),
        blue_slot=blue_slot,
        split=reader.split,
    )


def managed(obj: Obj, kind: str) -> ManagedObject:
    """The entry of the resolved list for an object."""
    namespace, name = text(obj, "metadata", "namespace"), text(obj, "metadata", "name")
    return ManagedObject(kind=kind, namespace=namespace, name=name, uid=uid_of(obj), made=marks.is_made(obj))


def made_by_us(subject: Subject, kind: Kind, obj: Obj) -> bool:
    """Whether Penstock made an object: by its marks; where somebody took them off, by the uid that this release has recorded."""
    made = {entry.uid for entry in subject.status.objects if entry.kind == kind.kind and entry.made}
    return marks.is_made(obj) or uid_of(obj) in made


def held_by(subject: Subject, kind: Kind, obj: Obj) -> bool:
    """Whether this very release made or took an object; one without an owner's mark that we made has lost it to somebody."""
    owner = marks.annotation(obj, marks.OWNER)
    return owner == subject.uid or (not owner and made_by_us(subject, kind, obj))


def autoscaler_for(autoscalers: Iterable[Obj], workload: str) -> Obj | None:
    """The autoscaler that targets a Deployment."""
    for hpa in autoscalers:
        target = dig(hpa, "spec", "scaleTargetRef")
        if text(target, "kind") == "Deployment" and text(target, "name") == workload:
            # The items of a real list do not say what they are.
            return {"apiVersion": HPA.api_version, "kind": HPA.kind, **hpa}
    return None


def hpa_minimum(hpa: Obj) -> int:
    """`minReplicas`; the server's own default is 1."""
    return number(hpa, "spec", "minReplicas", default=1)


def floor_of(hpa: Obj) -> tuple[int, int]:
    """The minimum before we moved it, and as we set it; (0, -1) where we did not, or where the note is garbage."""
    before, _, moved = marks.annotation(hpa, FLOOR).partition("/")
    if before.isascii() and before.isdigit() and moved.isascii() and moved.isdigit():
        return int(before), int(moved)
    return 0, -1


def shown_minimum(hpa: Obj) -> int:
    """The minimum as the core shall see it: one that a retention lowered is no borrowed one, so its owner's is shown."""
    before, moved = floor_of(hpa)
    return max(before, moved) if moved == hpa_minimum(hpa) else hpa_minimum(hpa)


def _workload(reader: _Reader, member: Member, slot: int, *, blue: bool) -> tuple[WorkloadView, list[ManagedObject]]:
    there = place(reader.subject, member, slot)
    deployment = find(reader.kube, DEPLOYMENT, there.namespace, there.workload)
    if deployment is None:
        return WorkloadView(there.namespace, there.workload), []
    if not blue and (replicas_of(deployment) or number(deployment, "status", "replicas") or not _seen(deployment)):
        reader.pods_left = True
    made = made_by_us(reader.subject, DEPLOYMENT, deployment)
    view, objects = replace(of_deployment(deployment, member), made=made), [managed(deployment, DEPLOYMENT.kind)]
    if not blue:
        reader.taken = reader.taken and marks.annotation(deployment, marks.OWNER) == reader.subject.uid
        # Scaled to nothing by somebody, it is there all the same: what this release made is deleted, not left behind.
        reader.remains = reader.remains or (made and held_by(reader.subject, DEPLOYMENT, deployment))
    if reader.look.autoscalers and (hpa := reader.autoscaler(there)) is not None:
        view = _with_autoscaler(view, hpa)
        objects.append(managed(hpa, HPA.kind))
    if reader.look.pods:
        view = _with_pods(view, pods_of(reader.kube, deployment))
    if reader.look.endpoints:
        view = replace(view, endpoints=_endpoints(reader, member, slot, deployment, blue=blue))
    return view, objects


def _seen(deployment: Obj) -> bool:
    return number(deployment, "status", "observedGeneration") >= number(deployment, "metadata", "generation", default=1)


def of_deployment(deployment: Obj, member: Member) -> WorkloadView:
    """What the Deployment alone tells. Numbers of an older generation count as nothing: they speak of other pods."""
    seen, wanted = _seen(deployment), replicas_of(deployment)
    updated, total = number(deployment, "status", "updatedReplicas"), number(deployment, "status", "replicas")
    template = marks.mapping(dig(deployment, "spec", "template"))
    return WorkloadView(
        namespace=text(deployment, "metadata", "namespace"),
        name=text(deployment, "metadata", "name"),
        uid=uid_of(deployment),
        resource_version=text(deployment, "metadata", "resourceVersion"),
        found=True,
        terminating=bool(text(deployment, "metadata", "deletionTimestamp")),
        replicas=wanted,
        ready=number(deployment, "status", "readyReplicas") if seen else 0,
        available=number(deployment, "status", "availableReplicas") if seen else 0,
        current=seen and updated >= wanted and total == updated,
        empty=not number(deployment, "status", "readyReplicas"),
        image=image_of(deployment, member),
        template=digest_of(template),
        config_maps=config_maps(template),
        revision=marks.annotation(deployment, marks.REVISION),
        made=marks.is_made(deployment),
        updated_by=updated_by(deployment),
        stuck=_stuck_by_condition(deployment),
    )


RESTARTS = ("kubectl.kubernetes.io/", "penstock.dev/")
"""Annotations of a pod template that say when its pods were begun anew, and by whom: the pods are the same ones."""


def digest_of(template: Obj) -> str:
    """A pod template in 12 letters: another one makes other pods. "" where there is none."""
    if not template:
        return ""
    notes = {key: value for key, value in marks.mapping(dig(template, "metadata", "annotations")).items() if not key.startswith(RESTARTS)}
    told = {**template, "metadata": {"labels": marks.mapping(dig(template, "metadata", "labels")), "annotations": notes}}
    return digest(told)


def _stuck_by_condition(deployment: Obj) -> str:
    """A refused pod (quota, admission, terminating namespace) never shows in a pod, only in these conditions."""
    conditions = {text(one, "type"): one for one in marks.items(dig(deployment, "status", "conditions"))}
    failure, progress = conditions.get("ReplicaFailure"), conditions.get("Progressing")
    if text(failure, "status") == "True":
        return f"{text(failure, 'reason')}: {text(failure, 'message')}"[:300]
    return text(progress, "reason") if text(progress, "status") == "False" else ""


def _with_autoscaler(view: WorkloadView, hpa: Obj) -> WorkloadView:
    name, highest = text(hpa, "metadata", "name"), number(hpa, "spec", "maxReplicas")
    return replace(view, hpa=name, hpa_uid=uid_of(hpa), hpa_min=shown_minimum(hpa), hpa_max=highest)


def pods_of(kube: Kube, deployment: Obj) -> list[Obj]:
    """The live pods of a Deployment. Its selector alone is not enough: in one namespace blue's may select green's pods too."""
    namespace, name = text(deployment, "metadata", "namespace"), text(deployment, "metadata", "name")
    found = kube.list(POD, namespace, labels=query(dig(deployment, "spec", "selector"))).items
    return [pod for pod in found if not text(pod, "metadata", "deletionTimestamp") and _belongs(pod, name)]


def _belongs(pod: Obj, deployment: str) -> bool:
    """A ReplicaSet is named after its Deployment and a hash; a pod that nobody controls is judged by its labels alone."""
    owners = [text(owner, "name") for owner in marks.items(dig(pod, "metadata", "ownerReferences")) if text(owner, "kind") == "ReplicaSet"]
    return not owners or any(owner.rpartition("-")[0] == deployment for owner in owners)


def _with_pods(view: WorkloadView, pods: Iterable[Obj]) -> WorkloadView:
    restarts, stuck = 0, view.stuck
    for pod in pods:
        containers = marks.items(dig(pod, "status", "containerStatuses")) + marks.items(dig(pod, "status", "initContainerStatuses"))
        restarts = max(restarts, sum(number(container, "restartCount") for container in containers))
        stuck = stuck_pod(pod) or stuck
    return replace(view, restarts=restarts, stuck=stuck)


def stuck_pod(pod: Obj) -> str:
    """Why a pod does not come up, "" where nothing speaks against it."""
    for container in marks.items(dig(pod, "status", "initContainerStatuses")) + marks.items(dig(pod, "status", "containerStatuses")):
        reason = text(container, "state", "waiting", "reason")
        if reason in STUCK_WAITING:
            return reason
    for condition in marks.items(dig(pod, "status", "conditions")):
        if text(condition, "type") == "PodScheduled" and text(condition, "status") == "False":
            return f"{text(condition, 'reason')}: {text(condition, 'message')}"[:300]
    return ""


def _endpoints(reader: _Reader, member: Member, slot: int, deployment: Obj, *, blue: bool) -> int:
    namespace, service = service_place(reader.subject, member, slot, reader.split)
    slices = slices_of(reader.kube, namespace, service)
    if not slices and member.service is None and find(reader.kube, SERVICE, namespace, service) is None:
        # A worker that nobody calls has no Service; its ready pods are all that can be asked of it.
        return of_deployment(deployment, member).ready
    if reader.split.by_host:
        return count_ready(slices)
    labels = reader.split.blue_labels if blue else reader.split.green_labels
    if not covers(labels, template_labels(deployment)):
        return 0
    # A subset is a filter over the host's endpoints.
    pods = reader.kube.list(POD, namespace, labels=written(labels)).items
    return count_ready(slices, frozenset(text(pod, "metadata", "name") for pod in pods))


def slices_of(kube: Kube, namespace: str, service: str) -> list[Obj]:
    """The EndpointSlices of a Service."""
    return list(kube.list(ENDPOINT_SLICE, namespace, labels=f"kubernetes.io/service-name={service}").items)


def _ready(piece: Obj) -> Iterator[Obj]:
    """The endpoints of one slice that may get requests.

    An absent `ready` means ready: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/
    """
    for endpoint in marks.items(piece.get("endpoints")):
        conditions = marks.mapping(dig(endpoint, "conditions"))
        if conditions.get("ready") is not False and conditions.get("terminating") is not True:
            yield endpoint


def ready_targets(slices: Iterable[Obj]) -> frozenset[str]:
    """Names of the ready pods behind a Service."""
    return frozenset(text(endpoint, "targetRef", "name") for piece in slices for endpoint in _ready(piece)) - {""}


def count_ready(slices: Iterable[Obj], pods: frozenset[str] | None = None) -> int:
    """Ready endpoints of a Service, of these pods where they are named. A dual-stack Service lists each once a family."""
    found: dict[str, set[str]] = {}
    for piece in slices:
        for endpoint in _ready(piece):
            if pods is None or text(endpoint, "targetRef", "name") in pods:
                found.setdefault(text(piece, "addressType"), set()).add(str(marks.items(dig(endpoint, "addresses"))[:1]))
    return max((len(addresses) for addresses in found.values()), default=0)


def _stands(reader: _Reader, member: MemberView) -> bool:
    """Whether green's workload is this release's, of its revision, at the size that `make_green` gives it."""
    green, plan = member.green, plan_of(reader.subject)
    if not green.found or green.terminating or not reader.taken:
        return False
    cloned = plan.preparation.green is GreenSource.CLONE and reader.subject.spec.kind != "reverse"
    if cloned and green.revision != reader.subject.spec.revision:
        return False
    return green.replicas >= wanted_replicas(reader.subject, member.name, member.blue.replicas, green.replicas)


def wanted_replicas(subject: Subject, member: str, blue: int, green: int) -> int:
    """Green's size: blue's now, never less than blue had at the start; its own where the plan says so and it has one."""
    if plan_of(subject).preparation.size == "own" and subject.spec.kind != "reverse" and green:
        return green
    recorded = next((one.replicas for one in subject.status.capacity if one.member == member), 0)
    # Green never shrinks to nothing because blue did: zero replicas of blue are somebody's mistake.
    return max(1, recorded, blue)


def _brought(reader: _Reader, member: Member, blue_slot: int) -> tuple[bool, list[tuple[Kind, Obj]]]:
    """Whether the Service and the copies that a clone needs exist, and which of them stand there."""
    if plan_of(reader.subject).preparation.green is GreenSource.ADOPT or reader.subject.spec.kind == "reverse":
        return True, []
    blue, green = place(reader.subject, member, blue_slot), place(reader.subject, member, other(blue_slot))
    wanted: list[tuple[Kind, str]] = []
    # Nothing is brought for a member that has no Service in blue's place either.
    if reader.split.by_host and find(reader.kube, SERVICE, blue.namespace, blue.service) is not None:
        wanted.append((SERVICE, green.service))
    if blue.namespace != green.namespace:
        there = find(reader.kube, DEPLOYMENT, blue.namespace, blue.workload) if member.config_maps else None
        wanted += brought_along(member, there)
    found = [(kind, _there(reader.kube, kind, green.namespace, name)) for kind, name in wanted]
    return all(obj is not None for _, obj in found), [(kind, obj) for kind, obj in found if obj is not None]


def _there(kube: Kube, kind: Kind, namespace: str, name: str) -> Obj | None:
    try:
        return find(kube, kind, namespace, name)
    except RefusedError:
        if kind is SECRET:
            return None  # without the optional Role nothing can be brought; making it says so in its own words
        raise
