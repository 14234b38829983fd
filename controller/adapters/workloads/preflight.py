"""May a release of these workloads begin? Every problem and every warning at once, before anything is touched. Reads only.

It is asked once, while the release is being prepared and nothing of it exists; asked again later it answers the same,
since what this release made itself is no obstacle to it.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from controller.adapters import marks
from controller.adapters.workloads.authorization import authorization_warnings, green_identity_warnings
from controller.adapters.workloads.clone import green_labels, green_template, recipe
from controller.adapters.workloads.foreign import controller_of, gitops_tool, helm_release, ignore_text, keda_owner
from controller.adapters.workloads.namespaces import injection_warnings
from controller.adapters.workloads.overlap import left_out, one_sided, others_behind, services_overlap, subsets_overlap
from controller.adapters.workloads.places import (
    Place,
    Split,
    container_doubt,
    container_index,
    dig,
    find,
    image_of,
    is_kept,
    labels_at,
    number,
    other,
    place,
    replicas_of,
    template_labels,
    text,
)
from controller.adapters.workloads.references import KINDS, Reference, brought_along, check, references
from controller.adapters.workloads.selectors import query, selects, written
from controller.adapters.workloads.view import autoscaler_for
from controller.api.plan import GreenSource, Member, PlanSpec
from controller.core import reasons
from controller.core.commands import Subject
from controller.core.words import many
from controller.core.world import Problem
from controller.ports import (
    DEPLOYMENT,
    HPA,
    NAMESPACE,
    SERVICE,
    Kind,
    Kube,
    NotFoundError,
    Obj,
    RefusedError,
)

SERVICE_NAME_LIMIT = 63


@dataclass(slots=True)
class _Pass:
    """One look for problems: what is asked about, and what was found so far."""

    kube: Kube
    subject: Subject
    plan: PlanSpec
    blue_slot: int
    split: Split
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def refuse(self, reason: str, detail: str) -> None:
        self.problems.append(Problem(reason, detail))

    def warn(self, reason: str, detail: str) -> None:
        self.warnings.append(Problem(reason, detail))


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found: `problems` refuse the release, `warnings` are said."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _Site:
    """One member with what was read of it."""

    member: Member
    blue_place: Place
    green_place: Place
    blue: Obj
    green: Obj | None
    service: Obj | None

    @property
    def blue_name(self) -> str:
        return f"{self.blue_place.namespace}/{self.blue_place.workload}"

    @property
    def green_name(self) -> str:
        return f"{self.green_place.namespace}/{self.green_place.workload}"

    @property
    def moves(self) -> bool:
        """Whether green lives in another namespace than blue."""
        return self.blue_place.namespace != self.green_place.namespace


def preflight(kube: Kube, subject: Subject, blue_slot: int, split: Split | None = None, *, may_make_namespaces: bool = False) -> Preflight:
    """All problems and warnings of the workloads of a release. Raises `KubeError`s that say nothing about them.

    Args:
        kube: live reads are wanted here, since a refusal is final.
        subject: the release; a missing plan is nothing to look at.
        blue_slot: the slot that serves.
        split: how the routes tell the colours apart.
        may_make_namespaces: the installation lets a release make green's namespace.
    """
    if subject.plan is None or blue_slot < 0:
        return Preflight()
    found = _Pass(kube, subject, subject.plan, blue_slot, split or Split())
    _images_named(found)
    missing = _namespaces(found, may_make=may_make_namespaces)
    for member in subject.plan.all_members:
        site = _site(found, member)
        if site is None:
            continue
        _blue_serves(found, site)
        _other_tools(found, site)
        _others(found, site)
        match subject.spec.kind, subject.plan.preparation.green:
            case "reverse", _:
                _old_version(found, site)
            case _, GreenSource.ADOPT:
                _adopted(found, site)
            case _:
                _cloned(found, site, namespace_missing=missing)
    return Preflight(_once(found.problems), _once(found.warnings))


def _once(found: Iterable[Problem]) -> tuple[Problem, ...]:
    """Members that share a Service or a policy would say the same twice."""
    return tuple(dict.fromkeys(found))


def _images_named(found: _Pass) -> None:
    names = [member.name for member in found.plan.all_members]
    for name in sorted(set(found.subject.spec.images) - set(names)):
        found.refuse(reasons.RELEASE_INVALID, f"it names an image for {name}, and the plan's members are {', '.join(names)}.")


def _namespaces(found: _Pass, *, may_make: bool) -> bool:
    """Checks green's namespace; True where it does not exist."""
    blue, name = (found.plan.slots[slot].namespace or found.subject.namespace for slot in (found.blue_slot, other(found.blue_slot)))
    if name == blue:
        return False
    try:
        namespace = found.kube.get(NAMESPACE, "", name)
    except NotFoundError:
        if not may_make:
            found.refuse(reasons.REFERENCE_MISSING, f"namespace {name} does not exist; penstock install --green-namespace {name} makes it.")
        return True
    except RefusedError:
        found.warn(reasons.RIGHTS_MISSING, f"read namespace {name}, so it could not be checked that green can live there.")
        return False
    if text(namespace, "metadata", "deletionTimestamp") or text(namespace, "status", "phase") == "Terminating":
        found.refuse(reasons.WORKLOAD_UNSUITABLE, f"Namespace {name} is being deleted, so nothing can be created in it.")
    with suppress(RefusedError):  # the other one could be read; that this one cannot is nobody's trouble
        found.warnings += injection_warnings(find(found.kube, NAMESPACE, "", blue) or {}, namespace)
    return False


def _site(found: _Pass, member: Member) -> _Site | None:
    blue_place = place(found.subject, member, found.blue_slot)
    green_place = place(found.subject, member, other(found.blue_slot))
    blue = find(found.kube, DEPLOYMENT, blue_place.namespace, blue_place.workload)
    name = f"Deployment {blue_place.namespace}/{blue_place.workload}"
    if blue is None:
        found.refuse(reasons.WORKLOAD_MISSING, f"{name} of member {member.name} does not exist.")
        return None
    if container_index(dig(blue, "spec", "template", "spec"), member) < 0:
        found.refuse(reasons.WORKLOAD_UNSUITABLE, f"{name} has no container {member.container or 'at all'}.")
        return None
    green = find(found.kube, DEPLOYMENT, green_place.namespace, green_place.workload)
    service = find(found.kube, SERVICE, green_place.namespace, green_place.service) if found.split.by_host else None
    return _Site(member, blue_place, green_place, blue, green, service)


def _blue_serves(found: _Pass, site: _Site) -> None:
    wanted, ready = replicas_of(site.blue), number(site.blue, "status", "readyReplicas")
    if text(site.blue, "metadata", "deletionTimestamp"):
        found.refuse(reasons.WORKLOAD_UNSUITABLE, f"Deployment {site.blue_name} (blue) is being deleted.")
    elif wanted == 0 or ready == 0:
        detail = f"Deployment {site.blue_name} (blue) has {ready} of {many(wanted, 'pod')} ready, so nobody could be put back on it."
        found.refuse(reasons.WORKLOAD_UNSUITABLE, detail)
    elif number(site.blue, "status", "updatedReplicas") != number(site.blue, "status", "replicas"):
        words = "is replacing its pods, so that green is compared with two versions, and a rollback ends on whichever that leaves"
        found.warn(reasons.WORKLOAD_UNSUITABLE, f"Deployment {site.blue_name} (blue) {words}.")
    elif ready < wanted:
        found.warn(reasons.WORKLOAD_UNSUITABLE, f"Deployment {site.blue_name} (blue) has {ready} of {many(wanted, 'pod')} ready.")
    if found.plan.finish.mode == "home" and dig(site.blue, "spec", "paused") is True:
        detail = f"Deployment {site.blue_name} (blue) is paused, so that it would never take the new image; kubectl rollout resume."
        found.refuse(reasons.WORKLOAD_UNSUITABLE, detail)


def _other_tools(found: _Pass, site: _Site) -> None:
    """GitOps tools, Helm and KEDA, on what this release would write: both workloads and their autoscalers."""
    home = found.plan.finish.mode == "home"
    pointers = ("/spec/replicas", "/spec/template/spec/containers") if home else ("/spec/replicas",)
    for deployment in (site.blue, site.green):
        if deployment is not None:
            _gitops(found, deployment, pointers)
            if release := helm_release(deployment):
                detail = f"{marks.where(deployment)} was installed by Helm release {release}, whose next upgrade writes it again."
                found.warn(reasons.HELM_MARKED, detail)
            if owner := controller_of(deployment):
                detail = f"{marks.where(deployment)} belongs to {owner}, whose controller may write its size and image again."
                found.warn(reasons.WORKLOAD_UNSUITABLE, detail)
    for there in (site.blue_place, site.green_place):
        hpa = autoscaler_for(found.kube.list(HPA, there.namespace).items, there.workload)
        if hpa is not None:
            _gitops(found, hpa, ("/spec/minReplicas",))
            _keda(found, hpa)


def _others(found: _Pass, site: _Site) -> None:
    """Others' pods that get blue's requests: by subset nobody could see the split; by host green takes their requests over as well."""
    for name in others_behind(found.kube, found.subject, site.member, found.blue_slot, found.split):
        whose = f"Deployment {site.blue_place.namespace}/{name}, which is no member of the plan, gets requests of {site.member.name} too"
        if found.split.by_host or found.plan.traffic.metrics == "none":
            found.warn(reasons.WORKLOAD_UNSUITABLE, f"{whose}: green takes them over, and is sized to {site.blue_name} alone.")
        else:
            found.refuse(reasons.SELECTOR_OVERLAP, f"{whose}: its subset ({written(found.split.blue_labels)}) selects those pods.")


def _keda(found: _Pass, hpa: Obj) -> None:
    if owner := keda_owner(hpa):
        detail = (
            f"{marks.where(hpa)} belongs to KEDA's ScaledObject {owner}, which would undo its minimum: "
            'annotate that ScaledObject with autoscaling.keda.sh/paused: "true" and give the workload a plain autoscaler for the release.'
        )
        found.refuse(reasons.HPA_FOREIGN, detail)


def _gitops(found: _Pass, obj: Obj, pointers: tuple[str, ...]) -> None:
    tool = gitops_tool(obj)
    if tool and found.plan.traffic.gitops != "ignored":
        detail = f"{marks.where(obj)} is reconciled by {tool}, which would write it back; {ignore_text(obj, pointers)}."
        found.refuse(reasons.GITOPS_OWNED, detail)


def _old_version(found: _Pass, site: _Site) -> None:
    if site.green is None:
        found.refuse(reasons.MIXED_REVERSE, f"Deployment {site.green_name} is gone.")
        return
    wanted, runs = found.subject.spec.images.get(site.member.name, ""), image_of(site.green, site.member)
    if wanted and wanted != runs:  # a later release was brought up in its place
        found.refuse(reasons.MIXED_REVERSE, f"Deployment {site.green_name} runs {runs} by now, and had {wanted}.")


def _adopted(found: _Pass, site: _Site) -> None:
    if site.green is None:
        found.refuse(reasons.WORKLOAD_MISSING, f"Deployment {site.green_name} does not exist, and the plan says that others make it.")
        return
    if text(site.green, "metadata", "deletionTimestamp"):
        found.refuse(reasons.WORKLOAD_UNSUITABLE, f"Deployment {site.green_name} (green) is being deleted.")
    wanted, runs = found.subject.spec.images.get(site.member.name, ""), image_of(site.green, site.member)
    if wanted and wanted != runs:
        found.refuse(reasons.WORKLOAD_UNSUITABLE, f"Deployment {site.green_name} runs {runs}, and the release names {wanted}.")
    _overlap(found, site, template_labels(site.green))
    _authorization(found, site, template_labels(site.green), site.green)


def _cloned(found: _Pass, site: _Site, *, namespace_missing: bool) -> None:
    how = recipe(found.subject, site.member, found.blue_slot, 0)
    labels = green_labels(site.blue, how, service=site.service, idle=site.green)
    _slot_free(found, site)
    if doubt := container_doubt(site.blue, site.member, found.subject.spec.images.get(site.member.name, "")):
        found.refuse(reasons.WORKLOAD_UNSUITABLE, doubt)
    if found.split.by_host and len(site.green_place.service) > SERVICE_NAME_LIMIT:
        detail = f"Service name {site.green_place.service} is longer than {SERVICE_NAME_LIMIT} characters; use a shorter suffix."
        found.refuse(reasons.WORKLOAD_UNSUITABLE, detail)
    _selects_itself(found, site, labels)
    _overlap(found, site, labels)
    _autoscalers(found, site, labels)
    if not namespace_missing:
        clone: Obj = {"spec": {"template": green_template(site.blue, how, labels)}}
        _references(found, site, clone)
        _authorization(found, site, labels, clone)


def _slot_free(found: _Pass, site: _Site) -> None:
    """A version that runs in green's place and is not ours is somebody's, even without traffic.

    One that was just scaled to zero, as the old version is at the next start, may go on its way: green is not ready before its
    Deployment has no pod of another revision.
    """
    if site.green is None or marks.annotation(site.green, marks.OWNER) == found.subject.uid:
        return
    plan, running = marks.label(site.green, marks.PLAN_LABEL), replicas_of(site.green)
    if plan not in {"", found.subject.spec.plan}:
        found.refuse(reasons.WORKLOAD_UNSUITABLE, f"Deployment {site.green_name} stands in green's place and belongs to plan {plan}.")
    elif running and not is_kept(site.green, found.subject):
        detail = f"Deployment {site.green_name} stands in green's place with {many(running, 'replica')}; scale it to zero or delete it."
        found.refuse(reasons.WORKLOAD_UNSUITABLE, detail)


def _selects_itself(found: _Pass, site: _Site, labels: Mapping[str, str]) -> None:
    """The Deployment and the Service that already stand in green's place must both be satisfiable by one set of labels."""
    if site.green is not None and not selects(dig(site.green, "spec", "selector"), labels):
        found.refuse(reasons.WORKLOAD_UNSUITABLE, f"The selector of Deployment {site.green_name} cannot be met by a copy of blue.")
    wanted = labels_at(site.service, "spec", "selector")
    unmet = sorted(key for key, value in wanted.items() if labels.get(key) != value)
    if unmet:
        service = f"{site.green_place.namespace}/{site.green_place.service}"
        detail = f"Service {service} selects by {', '.join(unmet)}, which contradicts the selector of Deployment {site.green_name}."
        found.refuse(reasons.WORKLOAD_UNSUITABLE, detail)


def _overlap(found: _Pass, site: _Site, labels: Mapping[str, str]) -> None:
    blue = template_labels(site.blue)
    services = found.kube.list(SERVICE, site.blue_place.namespace).items
    own = frozenset((there.namespace, there.service) for there in (site.blue_place, site.green_place))
    shared = site.blue_place.namespace, site.member.service_name
    ends = found.plan.finish.mode != "home" and found.plan.finish.then != "keep"
    found.warnings += one_sided(services, blue, {} if site.moves else labels, found.split.routed | own | {shared}, ends=ends)
    if site.moves:
        return
    if found.split.by_host:
        found.problems += services_overlap(services, blue, labels, found.split.routed - own)
        return
    found.problems += subsets_overlap(found.split, blue, labels, site.member.name, shared)
    if shared in found.split.routed:
        found.problems += left_out(services, blue, labels, shared)
    found.warnings += services_overlap(services, blue, labels, found.split.routed | {shared})


def _autoscalers(found: _Pass, site: _Site, labels: Mapping[str, str]) -> None:
    """At success the clone gets an autoscaler like blue's. Two of them that find one pod scale nothing any more, even where one idles."""
    if site.moves or found.plan.finish.mode == "home":
        return
    if autoscaler_for(found.kube.list(HPA, site.blue_place.namespace).items, site.blue_place.workload) is None:
        return
    both = ((site.blue, labels, site.green_name), (site.green, template_labels(site.blue), site.blue_name))
    for deployment, pods, other_name in both:
        selector = dig(deployment, "spec", "selector")
        if deployment is not None and selects(selector, pods):
            detail = (
                f"The selector of {marks.where(deployment)} ({query(selector)}) finds the pods of {other_name} too: "
                "Kubernetes scales by no autoscaler that shares a pod with another one (AmbiguousSelector). "
                "Use finish: {mode: home}, or a slot in another namespace."
            )
            found.refuse(reasons.SELECTOR_OVERLAP, detail)


def _references(found: _Pass, site: _Site, clone: Obj) -> None:
    """What the clone needs and is neither there nor brought along."""
    brought = brought_along(site.member, site.blue)
    known = {Reference(kind.kind, name) for kind, name in brought} if site.moves else set()
    who = f"Deployment {site.green_name}"
    for reference in references(marks.mapping(dig(clone, "spec", "template"))):
        if reference in known:
            continue
        obj = _looked_for(found, KINDS[reference.kind], (site.green_place.namespace, reference.name), who)
        if obj is not None and reference.kind == "PersistentVolumeClaim" and not site.moves:
            _shared_volume(found, site, obj)
    for kind, name in brought if site.moves else ():
        _looked_for(found, kind, (site.blue_place.namespace, name), f"{who}, which shall bring it along,")


def _looked_for(found: _Pass, kind: Kind, where: tuple[str, str], who: str) -> Obj | None:
    obj, problem, warning = check(found.kube, kind, *where, who=who)
    found.problems += [problem] if problem else []
    found.warnings += [warning] if warning else []
    return obj


def _shared_volume(found: _Pass, site: _Site, claim: Obj) -> None:
    modes = [str(mode) for mode in marks.items(dig(claim, "spec", "accessModes"))]
    if not {"ReadWriteMany", "ReadOnlyMany"} & set(modes):
        name, mode = text(claim, "metadata", "name"), ", ".join(modes) or "ReadWriteOnce"
        detail = f"Deployment {site.green_name} would share PersistentVolumeClaim {name} ({mode}) with blue, and would hang or harm it."
        found.refuse(reasons.WORKLOAD_UNSUITABLE, detail)


def _authorization(found: _Pass, site: _Site, labels: Mapping[str, str], green: Obj) -> None:
    here, there = site.blue_place.namespace, site.green_place.namespace
    found.warnings += authorization_warnings(found.kube, (here, template_labels(site.blue)), (there, labels))
    found.warnings += green_identity_warnings(found.kube, (here, _account(site.blue)), (there, _account(green)))


def _account(deployment: Obj) -> str:
    return text(deployment, "spec", "template", "spec", "serviceAccountName") or "default"
