"""Where each member lives in each slot, and the small words for reading objects that all of this package share.

Pure but for `find`, which is a read that takes "no such object" for an answer.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from controller.adapters import marks
from controller.api.plan import Member, PlanSpec
from controller.core.commands import Subject
from controller.ports import Kind, Kube, NotFoundError, Obj

SLOTS = 2


@dataclass(frozen=True, slots=True)
class Place:
    """One member's place in one slot.

    Attributes:
        slot: name of the slot.
        suffix: what the slot appends to names.
        workload, service: names of its Deployment and its Service there.
    """

    namespace: str
    slot: str
    suffix: str
    workload: str
    service: str


@dataclass(frozen=True, slots=True)
class Split:
    """How the routes tell the versions apart, as far as the workloads are concerned.

    Attributes:
        mode: `host` or `subset`.
        blue_labels, green_labels: the labels of the subsets; empty in host mode.
        routed: namespace and name of the Services whose hosts the managed VirtualServices serve. Such a Service
            may select both colours, since the route decides for it.
        others: the Service (namespace and name), name and labels of each further subset that rules name.
    """

    mode: str = "host"
    blue_labels: Mapping[str, str] = field(default_factory=dict)
    green_labels: Mapping[str, str] = field(default_factory=dict)
    routed: frozenset[tuple[str, str]] = frozenset()
    others: tuple[tuple[tuple[str, str], str, Mapping[str, str]], ...] = ()

    @property
    def by_host(self) -> bool:
        """Whether each colour has Services of its own."""
        return self.mode != "subset"


def plan_of(subject: Subject) -> PlanSpec:
    """The plan; a defect of the caller where there is none, since without a plan nothing can be resolved."""
    if subject.plan is None:
        raise ValueError(f"release {subject.namespace}/{subject.name} has no plan, so its workloads cannot be resolved")
    return subject.plan


def place(subject: Subject, member: Member, slot: int) -> Place:
    """Where a member lives in a slot (0 or 1)."""
    there = plan_of(subject).slots[slot]
    return Place(
        namespace=there.namespace or subject.namespace,
        slot=there.name,
        suffix=there.suffix,
        workload=member.workload + there.suffix,
        service=member.service_name + there.suffix,
    )


def service_place(subject: Subject, member: Member, slot: int, split: Split) -> tuple[str, str]:
    """Namespace and name of the Service through which a colour is reached; subsets share the first slot's."""
    there = place(subject, member, slot)
    return there.namespace, there.service if split.by_host else member.service_name


def other(slot: int) -> int:
    """The other one of the two slots."""
    return SLOTS - 1 - slot


def is_kept(green: Obj, subject: Subject) -> bool:
    """Whether it is the green of a rollback, which the plan leaves running (`keepGreen`): the next release takes its place.

    A release of this plan brought it, and it has no weight: the routes are blue's when a release starts.
    """
    ours = marks.label(green, marks.PLAN_LABEL) == marks.label_value(subject.spec.plan) and marks.annotation(green, marks.REVISION)
    return plan_of(subject).rollback.keep_green and bool(ours)


def find(kube: Kube, kind: Kind, namespace: str, name: str) -> Obj | None:
    """The object, or None where there is none. Raises the other `KubeError`s."""
    try:
        return kube.get(kind, namespace, name)
    except NotFoundError:
        return None


def digest(said: Any) -> str:
    """What plain data say, in 12 letters."""
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


def dig(obj: Any, *path: str) -> Any:
    """The value at a path of keys, None where a step is missing or no object."""
    for key in path:
        obj = marks.mapping(obj).get(key)
    return obj


def number(obj: Any, *path: str, default: int = 0) -> int:
    """The integer at a path, the default where there is none."""
    value = dig(obj, *path)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def text(obj: Any, *path: str) -> str:
    """The text at a path, "" where there is none."""
    value = dig(obj, *path)
    return value if isinstance(value, str) else ""


def labels_at(obj: Any, *path: str) -> dict[str, str]:
    """The map of texts at a path, without entries that are none."""
    return {key: value for key, value in marks.mapping(dig(obj, *path)).items() if isinstance(value, str)}


def template_labels(deployment: Obj) -> dict[str, str]:
    """Labels of the pods that a Deployment makes."""
    return labels_at(deployment, "spec", "template", "metadata", "labels")


def replicas_of(deployment: Obj) -> int:
    """Wanted replicas; a Deployment that does not say has one."""
    return number(deployment, "spec", "replicas", default=1)


def uid_of(obj: Obj) -> str:
    """The server's uid."""
    return text(obj, "metadata", "uid")


def container_index(pod_spec: Any, member: Member) -> int:
    """Position of the container that the plan moves; -1 where it is missing."""
    names = [text(container, "name") for container in marks.items(dig(pod_spec, "containers"))]
    if member.container is None:
        return 0 if names else -1
    return names.index(member.container) if member.container in names else -1


def container_doubt(deployment: Obj, member: Member, image: str) -> str:
    """What speaks against the first of several containers, which gets the image where the plan names none; "" where nothing does.

    Another one's image in it would replace a sidecar.
    """
    first, *others = marks.items(dig(deployment, "spec", "template", "spec", "containers"))
    meant = max(others, key=lambda one: _likeness(text(one, "image"), image), default=first)
    if member.container or _likeness(text(first, "image"), image) >= _likeness(text(meant, "image"), image):
        return ""
    would, name = f"{image} would go to container {text(first, 'name')} of {marks.where(deployment)}", text(meant, "name")
    runs = f"which runs {text(first, 'image')}, while {name} runs {text(meant, 'image')}"
    return f"{would}, {runs}: name it in the plan (members, container: {name})."


def _likeness(one: str, other: str) -> int:
    """How much speaks for two images being versions of one: the repository, or at least its name, since registries are mirrored."""
    places = [_repository(one), _repository(other)]
    return (places[0] == places[1]) + (places[0].rpartition("/")[2] == places[1].rpartition("/")[2])


def _repository(image: str) -> str:
    """An image without its tag and its digest."""
    path, _, name = image.partition("@")[0].rpartition("/")
    return f"{path}/{name.partition(':')[0]}"


def image_of(deployment: Obj, member: Member) -> str:
    """Image of the container that the plan moves, "" where it is missing."""
    spec = dig(deployment, "spec", "template", "spec")
    at = container_index(spec, member)
    return text(marks.items(dig(spec, "containers"))[at], "image") if at >= 0 else ""
