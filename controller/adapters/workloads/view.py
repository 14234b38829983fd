"""How the members stand in both slots: the read side of the loop's first step. It writes nothing.

Cheap in the steady state: one Deployment a colour and member, and what the `Look` asks for besides. Through a
cache these reads cost nothing; live (before green is given more) they are the few that the decision rests on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from controller.adapters import marks
from controller.adapters.workloads.places import (
    Place,
    Split,
    dig,
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
from controller.adapters.workloads.selectors import covers, query, written
from controller.api.plan import GreenSource, Member
from controller.api.release import ManagedObject
from controller.core.commands import Subject
from controller.core.world import MemberView, WorkloadView
from controller.ports import CONFIG_MAP, DEPLOYMENT, ENDPOINT_SLICE, HPA, POD, SECRET, SERVICE, Kube, Obj, RefusedError

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
        brought: see whether the Services and ConfigMaps that green needs exist.
    """

    endpoints: bool = True
    pods: bool = False
    autoscalers: bool = True
    brought: bool = False


STEADY = Look(endpoints=True, pods=False, autoscalers=False)
CLOSE = Look(endpoints=True, pods=True, autoscalers=True, brought=True)


@dataclass(frozen=True, slots=True)
class MembersView:
    """All members in both slots.

    Attributes:
        members: in the plan's order; empty while nobody knows which slot is blue.
        green_made: everything that green needs beside its workload exists; False where it was not looked at.
        green_gone: no member has a pod of green left, nor will get one.
        objects: the workloads and autoscalers that were found, for the resolved list.
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
    for member in subject.plan.all_members:
        blue, of_blue = _workload(reader, member, blue_slot, blue=True)
        green, of_green = _workload(reader, member, other(blue_slot), blue=False)
        members.append(MemberView(member.name, blue, green))
        objects += of_blue + of_green
    return MembersView(
        members=tuple(members),
        green_made=reader.look.brought and everything_brought(kube, subject, blue_slot, reader.split),
        green_gone=not reader.pods_left,
        objects=tuple(objects),
        blue_slot=blue_slot,
        split=reader.split,
    )


def managed(obj: Obj, kind: str) -> ManagedObject:
    """The entry of the resolved list for an object."""
    namespace, name = text(obj, "metadata", "namespace"), text(obj, "metadata", "name")
    return ManagedObject(kind=kind, namespace=namespace, name=name, uid=uid_of(obj), made=marks.is_made(obj))


def autoscaler_for(autoscalers: Iterable[Obj], workload: str) -> Obj | None:
    """The autoscaler that targets a Deployment."""
    for hpa in autoscalers:
        target = dig(hpa, "spec", "scaleTargetRef")
        if text(target, "kind") == "Deployment" and text(target, "name") == workload:
            return hpa
    return None


def hpa_minimum(hpa: Obj) -> int:
    """`minReplicas`; the server's own default is 1."""
    return number(hpa, "spec", "minReplicas", default=1)


def _workload(reader: _Reader, member: Member, slot: int, *, blue: bool) -> tuple[WorkloadView, list[ManagedObject]]:
    there = place(reader.subject, member, slot)
    deployment = find(reader.kube, DEPLOYMENT, there.namespace, there.workload)
    if deployment is None:
        return WorkloadView(there.namespace, there.workload), []
    if not blue and (replicas_of(deployment) or number(deployment, "status", "replicas") or not _seen(deployment)):
        reader.pods_left = True
    view, objects = of_deployment(deployment, member), [managed(deployment, DEPLOYMENT.kind)]
    if reader.look.autoscalers and (hpa := reader.autoscaler(there)) is not None:
        view = _with_autoscaler(view, hpa)
        objects.append(managed(hpa, HPA.kind))
    if reader.look.pods:
        view = _with_pods(view, pods_of(reader.kube, deployment))
    if reader.look.endpoints:
        labels = reader.split.blue_labels if blue else reader.split.green_labels
        view = replace(view, endpoints=_endpoints(reader, member, slot, deployment, labels))
    return view, objects


def _seen(deployment: Obj) -> bool:
    return number(deployment, "status", "observedGeneration") >= number(deployment, "metadata", "generation", default=1)


def of_deployment(deployment: Obj, member: Member) -> WorkloadView:
    """What the Deployment alone tells. Numbers of an older generation count as nothing: they speak of other pods."""
    seen, wanted = _seen(deployment), replicas_of(deployment)
    updated, total = number(deployment, "status", "updatedReplicas"), number(deployment, "status", "replicas")
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
        image=image_of(deployment, member),
        revision=marks.annotation(deployment, marks.REVISION),
        made=marks.is_made(deployment),
        stuck=_stuck_by_condition(deployment),
    )


def _stuck_by_condition(deployment: Obj) -> str:
    """A refused pod (quota, admission, terminating namespace) never shows in a pod, only in these conditions."""
    conditions = {text(one, "type"): one for one in marks.items(dig(deployment, "status", "conditions"))}
    failure, progress = conditions.get("ReplicaFailure"), conditions.get("Progressing")
    if text(failure, "status") == "True":
        return f"{text(failure, 'reason')}: {text(failure, 'message')}"[:300]
    return text(progress, "reason") if text(progress, "status") == "False" else ""


def _with_autoscaler(view: WorkloadView, hpa: Obj) -> WorkloadView:
    return replace(
        view, hpa=text(hpa, "metadata", "name"), hpa_uid=uid_of(hpa), hpa_min=hpa_minimum(hpa), hpa_max=number(hpa, "spec", "maxReplicas")
    )


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


def pod_ready(pod: Obj) -> bool:
    """Whether the kubelet says Ready and nobody is deleting it."""
    conditions = marks.items(dig(pod, "status", "conditions"))
    ready = any(text(one, "type") == "Ready" and text(one, "status") == "True" for one in conditions)
    return ready and not text(pod, "metadata", "deletionTimestamp")


def _endpoints(reader: _Reader, member: Member, slot: int, deployment: Obj, labels: Mapping[str, str]) -> int:
    if not reader.split.by_host:
        return _subset_endpoints(reader.kube, deployment, labels)
    namespace, service = service_place(reader.subject, member, slot, reader.split)
    slices = slices_of(reader.kube, namespace, service)
    if not slices and member.service is None and find(reader.kube, SERVICE, namespace, service) is None:
        # A worker that nobody calls has no Service; its ready pods are all that can be asked of it.
        return of_deployment(deployment, member).ready
    return len(ready_targets(slices))


def _subset_endpoints(kube: Kube, deployment: Obj, labels: Mapping[str, str]) -> int:
    """Ready pods that the subset selects; a subset is a filter over the host's endpoints, so its labels alone decide."""
    if not labels or not covers(labels, template_labels(deployment)):
        return 0
    pods = kube.list(POD, text(deployment, "metadata", "namespace"), labels=written(labels)).items
    return sum(pod_ready(pod) for pod in pods)


def slices_of(kube: Kube, namespace: str, service: str) -> list[Obj]:
    """The EndpointSlices of a Service."""
    return list(kube.list(ENDPOINT_SLICE, namespace, labels=f"kubernetes.io/service-name={service}").items)


def ready_targets(slices: Iterable[Obj]) -> frozenset[str]:
    """Names of the ready pods behind a Service (addresses where a slice names no pod). Dual-stack slices list a pod twice."""
    found = set()
    for endpoint in (one for piece in slices for one in marks.items(piece.get("endpoints"))):
        conditions = marks.mapping(dig(endpoint, "conditions"))
        # An absent `ready` means ready: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/
        if conditions.get("ready") is not False and conditions.get("terminating") is not True:
            found.add(text(endpoint, "targetRef", "name") or ",".join(marks.items(dig(endpoint, "addresses"))))
    return frozenset(found)


def everything_brought(kube: Kube, subject: Subject, blue_slot: int, split: Split) -> bool:
    """Whether the Services, ConfigMaps and Secrets that green needs beside its workloads exist."""
    plan = plan_of(subject)
    if plan.preparation.green is GreenSource.ADOPT or subject.spec.kind == "reverse":
        return True
    return all(_brought(kube, subject, member, blue_slot, split) for member in plan.all_members)


def _brought(kube: Kube, subject: Subject, member: Member, blue_slot: int, split: Split) -> bool:
    blue, green = place(subject, member, blue_slot), place(subject, member, other(blue_slot))
    # Nothing is brought for a member that has no Service in blue's place either.
    wanted = split.by_host and find(kube, SERVICE, blue.namespace, blue.service) is not None
    if wanted and find(kube, SERVICE, green.namespace, green.service) is None:
        return False
    if blue.namespace == green.namespace:
        return True
    config_maps = all(find(kube, CONFIG_MAP, green.namespace, name) is not None for name in member.config_maps)
    return config_maps and all(_secret_there(kube, green.namespace, name) for name in member.secrets)


def _secret_there(kube: Kube, namespace: str, name: str) -> bool:
    try:
        return find(kube, SECRET, namespace, name) is not None
    except RefusedError:
        return False  # without the optional Role nothing can be brought; making it says so in its own words
