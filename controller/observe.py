"""One snapshot of everything one decision may look at: targets first, the Release last (rule 2).

The order is the point: a Release that is read after its targets is at least as new as they are, so a
decision never rests on an authority that is older than what it is about. How closely is looked depends
on the phase: a release that waits in a stage needs a handful of reads, all from caches.
"""

from dataclasses import dataclass, field, replace
from functools import partial

from controller.adapters import marks, records
from controller.adapters.istio.view import TrafficView, observe_traffic
from controller.adapters.pruning import read_finished
from controller.adapters.questions import doubtful, too_often, unaskable, unknown_names, unknown_providers
from controller.adapters.reversal import nothing_to_reverse
from controller.adapters.workloads.overlap import live_overlap
from controller.adapters.workloads.places import Split
from controller.adapters.workloads.preflight import preflight
from controller.adapters.workloads.references import contents
from controller.adapters.workloads.view import CLOSE, STEADY, Look, MembersView, observe_members
from controller.api.plan import PlanSpec
from controller.api.release import Phase, Verb
from controller.api.scale import divided
from controller.core import reasons
from controller.core.commands import Subject
from controller.core.gates import without_pods
from controller.core.phases import FINAL, WATCHED
from controller.core.retention import Finished
from controller.core.world import Observed, Problem, RequestView, Rival
from controller.ports import NAMESPACE, RELEASE, Kube, NotFoundError, Obj, Ports, RefusedError
from controller.recall import Recall, version_of

LOOKS: dict[Phase, Look] = {
    Phase.PREPARING: CLOSE,
    Phase.RETURNING: replace(CLOSE, remains=True),
    Phase.ROLLING_BACK: Look(endpoints=False, pods=False, autoscalers=True),
    Phase.TEARING_DOWN: Look(endpoints=False, pods=False, autoscalers=True, remains=True),
    Phase.SUCCEEDED: Look(endpoints=False, pods=False, autoscalers=True),
}

WITH_CONFIGS = WATCHED | {Phase.PREPARING}
"""Phases in which it matters what the versions' ConfigMaps say."""

UNTOUCHED = frozenset({Phase.QUEUED})
"""Phases in which the targets do not matter yet."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read, for the core and for the adapters that act on it.

    Attributes:
        subject, observed: for the core.
        release: the Release as it was read last.
        plan: the live plan.
        traffic, members: the adapters' own views.
    """

    subject: Subject
    observed: Observed
    release: Obj
    plan: records.PlanView
    traffic: TrafficView
    members: MembersView

    @property
    def split(self) -> Split:
        """How the routes tell the colours apart, for the workloads."""
        return split_of(self.traffic)


def routed_members(subject: Subject, traffic: TrafficView) -> tuple[str, ...]:
    """Members whose Services stand in the managed routes; requests between the others are nobody's split."""
    if subject.plan is None:
        return ()
    services = {
        member.name: {(slot.namespace or subject.namespace, member.service_name + slot.suffix) for slot in subject.plan.slots}
        for member in subject.plan.all_members
    }
    return tuple(name for name, places in services.items() if places & traffic.routed)


def split_of(traffic: TrafficView) -> Split:
    """The traffic view's mode and labels in the workloads' words."""
    return Split(traffic.mode or "host", traffic.blue_labels, traffic.green_labels, traffic.routed, traffic.others)


Targets = tuple[TrafficView, MembersView, tuple[Problem, ...], tuple[Problem, ...]]
"""Routes, workloads, what stands against the release, and what should be said."""


@dataclass(frozen=True, slots=True)
class Effective:
    """A plan that a release goes by; `hash` is this version's: one that knew fewer fields gave the same plan another."""

    plan: PlanSpec
    hash: str


@dataclass(slots=True)
class Parsed:
    """What was parsed before, in memory only.

    Attributes:
        frozen, live: plans by namespace and hash, and by namespace and name.
        subjects: unfinished releases by namespace and name, without their plans.
        targets: the last view of routes and workloads, by release; a live look has the same one where it reads the same versions.
    """

    frozen: dict[tuple[str, str], Effective] = field(default_factory=dict)
    live: dict[tuple[str, str], records.PlanView] = field(default_factory=dict)
    subjects: dict[tuple[str, str], Subject] = field(default_factory=dict)
    targets: Recall = field(default_factory=Recall)

    def subject(self, obj: Obj) -> Subject:
        """A Release, parsed once at each resourceVersion."""
        meta = obj["metadata"]
        key = (meta["namespace"], meta["name"])
        known = self.subjects.get(key)
        if known is not None and (known.uid, known.resource_version) == version_of(obj):
            return known
        subject = records.read_subject(obj)
        if subject.status.phase in FINAL:
            self.forget(key)
        else:
            self.subjects[key] = subject
        return subject

    def forget(self, key: tuple[str, str]) -> None:
        """A release that is gone, or has ended, leaves nothing behind."""
        self.subjects.pop(key, None)
        self.targets.forget(key)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything that is read before the Release itself.

    Attributes:
        early: the Release as it was read first, with the plan that it follows.
        plan, plan_hash: the live plan, and its hash; the frozen one's while both say the same.
        plan_lost: whether the frozen one is not there any more.
        traffic, members, problems, warnings: the targets.
        rivals, requests: other releases of the plan, and what people ask of this one.
        place: since when this one stands in the plan's queue, where that is not its creation.
    """

    early: Subject
    plan: records.PlanView
    plan_hash: str
    plan_lost: bool
    traffic: TrafficView
    members: MembersView
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    rivals: tuple[Rival, ...]
    requests: tuple[RequestView, ...]
    place: float | None


def observe(key: tuple[str, str], kube: Kube, ports: Ports, memo: Parsed, *, live: bool, index: Kube | None = None) -> Snapshot | None:
    """Look once. None where the Release is gone. Raises `KubeError`s, and `Deposed` where a later leader wrote its status.

    `index` is where the other releases of the plan are found; `kube` itself if absent.
    """
    first = read_release(kube, key)
    if first is None:
        return None
    around = look_around(memo.subject(first), kube, index or kube, ports, memo)
    obj, early = read_release(kube, key), around.early
    if obj is None:
        return None
    unchanged = obj["metadata"]["resourceVersion"] == early.resource_version and obj["metadata"]["uid"] == early.uid
    subject = early if unchanged else replace(memo.subject(obj), plan=early.plan)
    if subject.uid != early.uid or subject.status.blue_slot != early.status.blue_slot or subject.status.plan_hash != early.status.plan_hash:
        # The Release was replaced, or moved on so far that the targets were looked at with the wrong eyes: look again.
        return observe(key, kube, ports, memo, live=live, index=index)
    marks.check_status_epoch(obj, subject.status.epoch, ports.epoch)
    return Snapshot(subject, for_the_core(subject, around, kube, ports, live=live), obj, around.plan, around.traffic, around.members)


def read_release(kube: Kube, key: tuple[str, str]) -> Obj | None:
    """The Release, None where it is gone; of everything else that is not found, those who read it say what it means."""
    try:
        return kube.get(RELEASE, *key)
    except NotFoundError:
        return None


def look_around(early: Subject, kube: Kube, index: Kube, ports: Ports, memo: Parsed) -> Surroundings:
    """The plan, the targets, the other releases and the requests, in this order."""
    plan = records.plan_to_start_by(kube, early, records.read_plan(kube, early.namespace, early.spec.plan, memo.live))
    known = effective_plan(kube, early, plan, ports, memo.frozen)
    effective = known.plan if known is not None else None
    plan_hash = early.status.plan_hash if known is not None and early.status.plan_hash and known.hash == plan.hash else plan.hash
    plan_lost = effective is None and bool(early.status.plan_hash) and early.status.phase not in UNTOUCHED
    if plan_lost and plan.spec is not None:
        effective = divided(plan.spec, ports.settings.time_divisor)
    early = replace(early, plan=effective)
    traffic, members, problems, warnings = recalled_targets(kube, early, ports, memo.targets)
    rivals = records.read_rivals(kube, index, early, partial(nothing_to_reverse, kube))
    requests = records.read_requests(kube, early.namespace, early.name)
    if early.status.phase in FINAL and early.status.blue_slot >= 0 and any(request.spec.verb is Verb.ROLLBACK for request in requests):
        # Whether everybody is on blue, only the routes say: somebody may have moved them since the end.
        traffic = observe_traffic(kube, early, first=False, cluster_domain=ports.settings.cluster_domain)
    place = records.own_place(index, early)
    if early.status.phase is Phase.QUEUED and early.spec.kind == "reverse":
        spec = {"kind": early.spec.kind, "reverseOf": early.spec.reverse_of}
        words = nothing_to_reverse(kube, spec, records.releases_of_plan(index, early.namespace, early.spec.plan))
        problems = (*problems, *([Problem(reasons.MIXED_REVERSE, words)] if words else []))
    return Surroundings(early, plan, plan_hash, plan_lost, traffic, members, problems, warnings, rivals, requests, place)


def for_the_core(subject: Subject, around: Surroundings, kube: Kube, ports: Ports, *, live: bool) -> Observed:
    """What was read, in the core's words, with the little that is read after the Release."""
    early, plan, traffic, members = around.early, around.plan, around.traffic, around.members
    return Observed(
        live=live,
        deleted=subject.deleted,
        generation=subject.generation,
        plan_found=plan.found,
        plan_hash=around.plan_hash,
        frozen=early.status.plan_hash if early.plan is not None and frozen_exists(kube, early) else "",
        plan_lost=around.plan_lost,
        place=around.place,
        lock=plan.status.active,
        lock_name=plan.status.active_name,
        blue_slot=traffic.blue_slot,
        mode=traffic.mode,
        blue_subset=traffic.blue_subset,
        green_subset=traffic.green_subset,
        routes=traffic.routes,
        members=members.members,
        objects=(*traffic.objects, *members.objects),
        configs=contents(kube, members.members) if live and subject.status.phase in WITH_CONFIGS else {},
        rules=traffic.rules,
        cluster_ready=traffic.cluster_ready,
        cluster_gone=traffic.cluster_gone,
        blue_lost=traffic.blue_lost,
        blue_elsewhere=traffic.beside,
        green_made=members.green_made,
        green_gone=members.green_gone,
        requests=around.requests,
        rivals=around.rivals,
        problems=around.problems,
        unreadable=unreadable(around.problems),
        namespace_going=namespace_going(kube, subject, members),
        warnings=around.warnings,
        finished=finished_ones(kube, subject, live=live),
        lock_gone=subject.status.phase in UNTOUCHED and records.holder_is_gone(kube, subject.namespace, plan.status.active),
        plan_problem=plan.problem,
        schema_problem=ports.schema_problem(),
        routed=routed_members(subject, traffic),
        domain=ports.settings.cluster_domain,
        cluster=ports.settings.cluster_name,
    )


def namespace_going(kube: Kube, subject: Subject, members: MembersView) -> bool:
    """Whether the release's namespace is being deleted. Asked where the Release is, or where no version has a pod: those go first."""
    bare = bool(members.members) and all(without_pods(view) for m in members.members for view in (m.blue, m.green))
    if not (bare or (subject.deleted and subject.finalizer)):
        return False
    try:
        return bool(kube.get(NAMESPACE, "", subject.namespace)["metadata"].get("deletionTimestamp"))
    except (NotFoundError, RefusedError):
        return False


def unreadable(problems: tuple[Problem, ...]) -> str:
    """Which reads were refused, in words: what was not read must not count as not there."""
    return "; ".join(dict.fromkeys(problem.detail for problem in problems if problem.reason == reasons.RIGHTS_MISSING))


def effective_plan(
    kube: Kube, subject: Subject, plan: records.PlanView, ports: Ports, plans: dict[tuple[str, str], Effective]
) -> Effective | None:
    """The frozen plan once its hash is written, else the live one; durations divided as the installation says."""
    divisor = ports.settings.time_divisor
    hash_ = subject.status.plan_hash
    if not hash_:
        return Effective(divided(plan.spec, divisor), plan.hash) if plan.spec is not None else None
    key = (subject.namespace, hash_)
    if key not in plans:
        # The hash is the content: a live plan that still has it is the frozen one, read and kept once instead of twice.
        spec = plan.spec if plan.hash == hash_ else records.read_frozen(kube, subject.namespace, hash_)
        if spec is None:
            return None
        found = Effective(divided(spec, divisor), records.plan_hash(spec))
        if subject.status.phase is Phase.QUEUED:
            return found  # perhaps not frozen yet: an edit must still be seen
        plans[key] = found
    return plans[key]


def frozen_exists(kube: Kube, subject: Subject) -> bool:
    """Whether the frozen plan is stored. Only asked before it is known to be."""
    if subject.status.phase is not Phase.QUEUED:
        return True
    return bool(subject.status.plan_hash) and records.read_frozen(kube, subject.namespace, subject.status.plan_hash) is not None


def recalled_targets(kube: Kube, subject: Subject, ports: Ports, recall: Recall) -> Targets:
    """As `look_at_targets`, which reads the same again and only builds its views again where it finds something else.

    While a release prepares, and once it has ended, nothing is remembered: those looks are few and see more.
    """
    status = subject.status
    if status.phase is Phase.PREPARING or status.phase in UNTOUCHED or status.phase in FINAL:
        return look_at_targets(kube, subject, ports)
    asked = (
        subject.uid, subject.finalizer, status.phase, look_of(subject), status.blue_slot, status.mode, status.blue_subset,
        status.green_subset, tuple(status.capacity), len(status.objects), ports.settings.cluster_domain,
    )  # fmt: skip
    return recall.view((subject.namespace, subject.name), kube, asked, subject.plan, lambda reader: look_at_targets(reader, subject, ports))


def look_at_targets(kube: Kube, subject: Subject, ports: Ports) -> Targets:
    """Routes, then workloads, as closely as the phase needs; with everything that would refuse the release at its beginning."""
    phase = subject.status.phase
    if subject.plan is None or phase in UNTOUCHED or (phase in FINAL and not needs_look(subject)):
        return TrafficView(), MembersView(), (), ()
    first = phase is Phase.PREPARING and subject.status.blue_slot < 0
    traffic = observe_traffic(kube, subject, first=first, cluster_domain=ports.settings.cluster_domain)
    slot = subject.status.blue_slot if subject.status.blue_slot >= 0 else traffic.blue_slot
    problems, warnings = traffic.problems, traffic.warnings
    try:
        members = observe_members(kube, subject, slot, split_of(traffic), look_of(subject))
    except RefusedError as error:
        return traffic, MembersView(), (*problems, Problem(reasons.RIGHTS_MISSING, f"read the workloads: {error}")), warnings
    if first and slot >= 0 and not problems:
        found = preflight(kube, subject, slot, split_of(traffic), may_make_namespaces=ports.settings.make_namespaces)
        problems, warnings = (*problems, *found.problems), (*warnings, *found.warnings)
    if phase is Phase.PREPARING and subject.status.ready_at:
        # Selectors can be read wrongly; the endpoints are what proxies use, so they are asked before the first weight.
        problems = (*problems, *live_overlap(kube, subject, slot, split_of(traffic)))
    if first:
        problems = (*problems, *unknown_providers(subject.plan, ports.prometheus))
    if first and subject.spec.kind != "reverse":  # which judges nothing, and must not be kept from going back
        divisor = ports.settings.time_divisor
        problems = (*problems, *unknown_names(subject.plan), *unaskable(subject.plan), *too_often(subject.plan, divisor))
        warnings = (*warnings, *doubtful(subject.plan))
    return traffic, members, problems, warnings


def look_of(subject: Subject) -> Look:
    """How closely the workloads are looked at: a held release tries its interrupted phase again, so as closely as that one needs."""
    status = subject.status
    phase = status.hold.phase if status.phase is Phase.HOLDING and status.hold else status.phase
    return LOOKS.get(phase, STEADY)


def finished_ones(kube: Kube, subject: Subject, *, live: bool) -> tuple[Finished, ...]:
    """The plan's finished releases, where this one may remove some: at its end, and later for their age alone."""
    if subject.status.phase not in FINAL or subject.plan is None:
        return ()
    if subject.finalizer:
        return read_finished(kube, subject) if live else ()
    return read_finished(kube, subject, sizes=False) if subject.plan.history.age is not None else ()


def needs_look(subject: Subject) -> bool:
    """Whether a finished release may still hold something: it has its finalizer until nothing is left."""
    return subject.finalizer and subject.status.blue_slot >= 0
