"""Which kinds the controller watches, and what it remembers of each.

Whole Releases of 10 KB take 45 KB each as dicts, and a long-lived installation has ten thousand finished
ones: of those only a summary is kept. Of kinds that others make in numbers, what is kept is packed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from controller.adapters.marks import FINALIZER, PLAN_LABEL, RELEASE_LABEL, items, mapping, metadata
from controller.api.release import Phase
from controller.ports import (
    DEPLOYMENT,
    DESTINATION_RULE,
    ENDPOINT_SLICE,
    HPA,
    RELEASE,
    RELEASE_PLAN,
    RELEASE_REQUEST,
    SERVICE,
    VIRTUAL_SERVICE,
    Kind,
    Obj,
)
from controller.runtime.contracts import Key
from controller.runtime.store import SUMMARY, Ref, Store, Trim, ref_of, without_managed_fields

SERVICE_NAME = "kubernetes.io/service-name"

FINAL = frozenset({Phase.SUCCEEDED.value, Phase.ROLLED_BACK.value, Phase.REFUSED.value})

_META_KEPT = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "finalizers", "labels")
_STATUS_KEPT = (
    "phase", "reason", "planHash", "blueSlot", "mode", "blueSubset", "greenSubset", "weight", "grant", "observedWeight",
    "epoch", "startedAt", "finishedAt", "retention", "observedGeneration", "phaseSince",
)  # fmt: skip


def is_finished(release: Obj) -> bool:
    """Whether nothing is left to do for a Release: a final phase, its retention over, everything given back, no deletion asked for."""
    status = mapping(release.get("status"))
    if str(status.get("phase")) not in FINAL or metadata(release).get("deletionTimestamp"):
        return False
    if FINALIZER in items(metadata(release).get("finalizers")):
        return False  # a leader that died between the last phase and the finalizer leaves this to the next one
    return status.get("phase") != Phase.SUCCEEDED.value or mapping(status.get("retention")).get("done") is True


def newest_finished(releases: Iterable[Obj]) -> set[Key]:
    """Of each plan that has several finished releases, the last that ended: by its plan the others are kept or removed."""
    ended: dict[Ref, list[tuple[float, Key]]] = {}
    for release in filter(is_finished, releases):
        ref, at = ref_of(release), mapping(release.get("status")).get("finishedAt")
        if isinstance(at, int | float):
            ended.setdefault(plan_of(release), []).append((at, ref))
    return {max(found)[1] for found in ended.values() if len(found) > 1}


def trim_release(release: Obj) -> Obj:
    """The Release without managed fields; of a finished one only a summary, marked as such."""
    if not is_finished(release):
        return without_managed_fields(release)
    status, meta = mapping(release.get("status")), metadata(release)
    rollback = mapping(status.get("rollback"))
    return {
        "apiVersion": release.get("apiVersion"),
        "kind": release.get("kind"),
        SUMMARY: True,
        "metadata": {key: meta[key] for key in _META_KEPT if key in meta},
        "spec": release.get("spec"),
        "status": {key: status[key] for key in _STATUS_KEPT if key in status}
        | ({"rollback": {key: rollback[key] for key in ("decidedAt", "trafficAt", "reason") if key in rollback}} if rollback else {}),
    }


def trim_slice(endpoint_slice: Obj) -> Obj:
    """An EndpointSlice with what tells how many ready endpoints there are, and whose pods they are."""
    kept = [
        {key: endpoint[key] for key in ("addresses", "conditions", "targetRef") if key in endpoint}
        for endpoint in items(endpoint_slice.get("endpoints"))
        if isinstance(endpoint, Mapping)
    ]
    return {**without_managed_fields(endpoint_slice), "endpoints": kept}


@dataclass(frozen=True, slots=True)
class Watched:
    """One watched kind and how it is remembered."""

    kind: Kind
    trim: Trim = without_managed_fields
    packed: bool = True
    indexed: tuple[str, ...] = ()
    more_labels: Callable[[Obj], Mapping[str, str]] = lambda _obj: {}

    def new_store(self) -> Store:
        """An empty store for it."""
        return Store(trim=self.trim, packed=self.packed, indexed=self.indexed, more_labels=self.more_labels)


PLAN_OF_RELEASE = "spec.plan"
"""By this Releases are found in memory; no label can have it, for a Release that people write has none."""


def plan_of(release: Obj) -> Ref:
    """The plan that a Release follows."""
    return ref_of(release)[0], str(mapping(release.get("spec")).get("plan"))


def _label_of_plan(release: Obj) -> Mapping[str, str]:
    return {PLAN_OF_RELEASE: plan_of(release)[1]}


def _whole(obj: Obj) -> Obj:
    return obj


WATCHED = (
    Watched(RELEASE, trim=trim_release, packed=False, indexed=(PLAN_OF_RELEASE,), more_labels=_label_of_plan),
    Watched(RELEASE_PLAN, packed=False),
    Watched(RELEASE_REQUEST, packed=False),
    Watched(VIRTUAL_SERVICE, trim=_whole),  # who wrote which field of a route is a question that is asked
    Watched(DESTINATION_RULE),
    Watched(DEPLOYMENT, indexed=(PLAN_LABEL, RELEASE_LABEL)),
    Watched(HPA),
    Watched(SERVICE, indexed=(PLAN_LABEL,)),
    Watched(ENDPOINT_SLICE, trim=trim_slice, indexed=(SERVICE_NAME,)),
)
