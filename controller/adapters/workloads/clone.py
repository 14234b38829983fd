"""How green is built out of blue: pure functions from manifests to manifests. No I/O, no decision.

A clone is blue's manifest without what the cluster or another tool owns, with the new image, with the environment
that the plan asks for, and with labels that keep the colours apart. References by full host names are left
as they are: what blue calls, green calls.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.adapters import marks
from controller.adapters.workloads.foreign import is_foreign_annotation, is_foreign_label
from controller.adapters.workloads.places import (
    Place,
    container_index,
    dig,
    labels_at,
    other,
    place,
    plan_of,
    template_labels,
    text,
)
from controller.adapters.workloads.references import renamed
from controller.adapters.workloads.spreading import spread_alike
from controller.api.plan import Member
from controller.core.commands import Subject
from controller.ports import Obj

MEMBER_LABEL = "penstock.dev/member"
"""Only where nothing else tells two members' clones apart."""

FULL_SIZE = "penstock.dev/full-size"
"""Annotation on an old version that a retention shrank: its replicas before."""

VERSION_LABELS = ("version", "app.kubernetes.io/version", "service.istio.io/canonical-revision")
"""Labels that name the version, to people and to the mesh: green's say its own, where blue has them."""

OURS = frozenset({marks.REVISION_LABEL, marks.SLOT_LABEL, marks.PLAN_LABEL, marks.RELEASE_LABEL, MEMBER_LABEL})

SERVICE_FIELDS = ("clusterIP", "sessionAffinity", "sessionAffinityConfig", "publishNotReadyAddresses", "internalTrafficPolicy")
PORT_FIELDS = ("name", "protocol", "appProtocol", "port", "targetPort")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What turns a blue into a green.

    Attributes:
        plan, release, owner, revision: whose green it is; `owner` is the release's uid.
        there: where green lives.
        image: of the container that the plan moves; "" keeps blue's.
        epoch: the leader's, stamped on everything.
    """

    plan: str
    release: str
    owner: str
    revision: str
    member: Member
    there: Place
    image: str
    epoch: int


def recipe(subject: Subject, member: Member, blue_slot: int, epoch: int) -> Recipe:
    """The recipe of one member of a release."""
    plan_of(subject)
    return Recipe(
        plan=subject.spec.plan,
        release=subject.name,
        owner=subject.uid,
        revision=subject.spec.revision,
        member=member,
        there=place(subject, member, other(blue_slot)),
        image=subject.spec.images.get(member.name, ""),
        epoch=epoch,
    )


def green_labels(blue: Obj, how: Recipe, *, service: Obj | None = None, idle: Obj | None = None) -> dict[str, str]:
    """Labels of green's pods.

    Blue's, overlaid with our own, then with the selector of the Service that green already has, then with the
    selector of the Deployment that is brought back from idle: a selector is immutable and must go on selecting.

    Args:
        blue: blue's Deployment.
        how: the recipe.
        service: green's existing Service; None in subset mode and where it is made.
        idle: the Deployment that stands in green's place.
    """
    labels = template_labels(blue)
    labels |= {marks.REVISION_LABEL: how.revision, marks.SLOT_LABEL: how.there.slot, marks.PLAN_LABEL: marks.label_value(how.plan)}
    labels.pop(MEMBER_LABEL, None)
    labels |= {key: how.revision for key in VERSION_LABELS if key in labels}
    labels |= labels_at(service, "spec", "selector")
    labels |= labels_at(idle, "spec", "selector", "matchLabels")
    if idle is None and not _kept(labels_at(blue, "spec", "selector", "matchLabels"), labels):
        labels[MEMBER_LABEL] = how.member.name
    return labels


def clone_deployment(blue: Obj, how: Recipe, *, replicas: int, service: Obj | None = None) -> dict[str, Any]:
    """The body that creates green's Deployment.

    Its selector is blue's without the labels that differ, plus the slot: never the revision, since a selector cannot
    be changed and this Deployment is brought up again for later revisions.
    """
    labels = green_labels(blue, how, service=service)
    spec = {key: value for key, value in marks.mapping(blue.get("spec")).items() if key != "paused"}
    spec |= {"replicas": replicas, "selector": _selector(blue, labels), "template": green_template(blue, how, labels)}
    head = _head(blue, how.there.namespace, how.there.workload)
    own = head["metadata"]["labels"]
    own |= {key: labels[key] for key in VERSION_LABELS if key in own and key in labels}
    return _made({**head, "spec": spec}, how)


def update_idle(blue: Obj, idle: Obj, how: Recipe, *, replicas: int, service: Obj | None = None) -> list[dict[str, Any]]:
    """The JSON Patch that turns the old version that idles in green's place into green. 409 where it was written since.

    Somebody's pause of the version before would keep the new one from ever running.
    """
    labels = green_labels(blue, how, service=service, idle=idle)
    return [
        *marks.guard_ops(idle),
        *([{"op": "remove", "path": "/spec/paused"}] if dig(idle, "spec", "paused") else []),
        {"op": "replace", "path": "/spec/template", "value": green_template(blue, how, labels)},
        {"op": "add", "path": "/spec/replicas", "value": replicas},
        *marks.label_ops(idle, {marks.PLAN_LABEL: marks.label_value(how.plan), marks.RELEASE_LABEL: marks.label_value(how.release)}),
        *marks.annotation_ops(idle, taken(how)),
    ]


def taken(how: Recipe) -> dict[str, str | None]:
    """Annotations of a workload that a release has taken; it has its full size again."""
    return {marks.EPOCH: str(how.epoch), marks.REVISION: how.revision, marks.OWNER: how.owner, FULL_SIZE: None}


def clone_service(blue: Obj, how: Recipe, blue_pods: Mapping[str, str], green_pods: Mapping[str, str]) -> dict[str, Any]:
    """The body that creates green's Service: blue's ports, names and protocols, without addresses that the cluster gave out.

    Args:
        blue: blue's Service.
        how: the recipe.
        blue_pods: labels of blue's pods.
        green_pods: labels of green's pods.
    """
    spec = marks.mapping(blue.get("spec"))
    kept = {key: spec[key] for key in SERVICE_FIELDS if key in spec}
    kept["ports"] = [{key: port[key] for key in PORT_FIELDS if key in port} for port in marks.items(spec.get("ports"))]
    # A node port or a cloud load balancer would be a second door to green that no weight guards.
    kept["type"] = "ClusterIP"
    if kept.get("clusterIP") != "None":
        kept.pop("clusterIP", None)
    # Where the clone changed all that blue's Service selects by, what the pods have in common keeps other workloads out.
    selector = _kept(labels_at(blue, "spec", "selector"), green_pods) or _kept(blue_pods, green_pods)
    own = {key: green_pods[key] for key in (marks.SLOT_LABEL, MEMBER_LABEL) if key in green_pods}
    return _made({**_head(blue, how.there.namespace, how.there.service), "spec": {**kept, "selector": {**selector, **own}}}, how)


def clone_config_map(blue: Obj, how: Recipe) -> dict[str, Any]:
    """The body that creates the copy of a ConfigMap or a Secret in green's namespace, under its own name."""
    body = _head(blue, how.there.namespace, text(blue, "metadata", "name"))
    body |= {key: blue[key] for key in ("data", "binaryData", "type", "immutable") if key in blue}
    return _made(body, how)


def clone_autoscaler(blue: Obj, how: Recipe, name: str, minimum: int) -> dict[str, Any]:
    """The body that creates the autoscaler of the version that serves now: blue's, aimed at green."""
    spec = marks.mapping(blue.get("spec"))
    target = {**marks.mapping(spec.get("scaleTargetRef")), "name": how.there.workload}
    return _made({**_head(blue, how.there.namespace, name), "spec": {**spec, "scaleTargetRef": target, "minReplicas": minimum}}, how)


def green_template(blue: Obj, how: Recipe, labels: Mapping[str, str]) -> dict[str, Any]:
    """Blue's pod template with green's labels, image and environment, spread as blue's pods are."""
    template = marks.mapping(dig(blue, "spec", "template"))
    meta, spec = marks.mapping(template.get("metadata")), marks.mapping(template.get("spec"))
    clean = {key: value for key, value in meta.items() if key not in {"creationTimestamp", "name", "namespace", "labels"}}
    return {
        **template,
        "metadata": {**clean, "labels": dict(labels)},
        "spec": spread_alike(green_spec(spec, how), template_labels(blue), labels),
    }


def green_spec(spec: Obj, how: Recipe) -> dict[str, Any]:
    """A pod's spec with the new image, and with the environment and the references that the plan asks for."""
    at, moved = container_index(spec, how.member), moved_containers(spec, how.member)
    changed = dict(spec)
    for section in ("initContainers", "containers"):
        if section in spec:
            changed[section] = [
                {**one, "image": how.image} if how.image and (section, text(one, "name")) in moved else one
                for one in marks.items(spec[section])
            ]
    if how.member.environment and at >= 0:
        changed["containers"][at] = _with_environment(changed["containers"][at], how.member.environment)
    return dict(renamed(changed, how.member.references))


def moved_containers(spec: Obj, member: Member) -> frozenset[tuple[str, str]]:
    """Section and name of the containers that a new image is for: the one that the plan moves, and those that run the very same image.

    What migrates a database before the program starts, or works beside it, is the same program.
    """
    at = container_index(spec, member)
    if at < 0:
        return frozenset()
    meant = marks.items(spec.get("containers"))[at]
    image = text(meant, "image")
    both = ((section, one) for section in ("initContainers", "containers") for one in marks.items(spec.get(section)))
    return frozenset((section, text(one, "name")) for section, one in both if one is meant or (image and text(one, "image") == image))


def _with_environment(container: Obj, wanted: Mapping[str, str]) -> dict[str, Any]:
    """In place, since a later variable may refer to an earlier one; new ones come last."""
    rest = dict(wanted)
    env = [
        {"name": text(entry, "name"), "value": rest.pop(text(entry, "name"))} if text(entry, "name") in rest else entry
        for entry in marks.items(container.get("env"))
    ]
    return {**container, "env": env + [{"name": name, "value": value} for name, value in sorted(rest.items())]}


def _kept(wanted: Mapping[str, str], labels: Mapping[str, str]) -> dict[str, str]:
    """The part of a selector that means the same in both colours: what the clone changed, and what we own, is left out."""
    return {key: value for key, value in wanted.items() if key not in OURS and labels.get(key) == value}


def _selector(blue: Obj, labels: Mapping[str, str]) -> dict[str, Any]:
    kept = _kept(labels_at(blue, "spec", "selector", "matchLabels"), labels)
    own = {key: labels[key] for key in (marks.SLOT_LABEL, marks.PLAN_LABEL, MEMBER_LABEL) if key in labels}
    return {"matchLabels": {**kept, **own}}


def _head(source: Obj, namespace: str, name: str) -> dict[str, Any]:
    """apiVersion, kind and metadata of a copy, without what the cluster or another tool put there."""
    labels = {key: value for key, value in labels_at(source, "metadata", "labels").items() if not is_foreign_label(source, key)}
    annotations = {key: value for key, value in labels_at(source, "metadata", "annotations").items() if not is_foreign_annotation(key)}
    meta = {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations}
    return {"apiVersion": source.get("apiVersion", ""), "kind": source.get("kind", ""), "metadata": meta}


def _made(body: Obj, how: Recipe) -> dict[str, Any]:
    marked = marks.made_marks(
        body, how.epoch, plan=marks.label_value(how.plan), release=marks.label_value(how.release), revision=how.revision
    )
    return marks.with_marks(marked, how.epoch, annotations={marks.OWNER: how.owner})
