"""What a namespace decides for the pods in it: whether they get a proxy, and what they may do. Pure."""

from collections.abc import Iterator

from controller.adapters import marks
from controller.adapters.workloads.places import labels_at, text
from controller.core import reasons
from controller.core.world import Problem
from controller.ports import Obj

INJECTION_LABELS = ("istio-injection", "istio.io/rev", "istio.io/dataplane-mode")
SECURITY_PREFIX = "pod-security.kubernetes.io/"


def carried_labels(blue: Obj) -> dict[str, str]:
    """The labels that a namespace gets which is made for green."""
    labels = labels_at(blue, "metadata", "labels")
    return {key: value for key, value in labels.items() if key in INJECTION_LABELS or key.startswith(SECURITY_PREFIX)}


def injection_warnings(blue: Obj, green: Obj) -> Iterator[Problem]:
    """Pods without a proxy of their own fail where the mesh asks for one, and look like a bad version."""
    here, there = (labels_at(one, "metadata", "labels") for one in (blue, green))
    for key in INJECTION_LABELS:
        if here.get(key) != there.get(key):
            has, other = (f"{key}={labels[key]}" if key in labels else f"no {key}" for labels in (here, there))
            words = f"{marks.where(blue)} has {has}, and {text(green, 'metadata', 'name')} has {other}"
            yield Problem(reasons.WORKLOAD_UNSUITABLE, f"{words}: green's pods may get another proxy than blue's, or none.")
