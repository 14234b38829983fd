"""What one look at the world found, as the core sees it. Built by `controller.observe` from the adapters.

Weights are green's percent as Istio would share the requests, whatever integers stand in the object.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from analysis.model import Series
from controller.api.release import ManagedObject, Phase, RequestSpec
from controller.core.retention import Finished
from controller.ports import Answer, ProbeResult

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something is refused: a reason of `core.reasons` and the words that fill its sentence."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class RouteView:
    """One managed VirtualService.

    Attributes:
        namespace, name, uid, resource_version: which object, as it was read.
        found: False where it is missing.
        weighted: some route of it is managed, or was when the release began; one with listed bypass routes alone has no weights to compare.
        green_weight: the highest share of green over its managed routes, percent, rounded up.
        blue_only: every managed route and every listed bypass sends everything to blue.
        has_green: every managed route names green as a destination.
        bypass_green: some listed bypass route points at green.
        bypass_stale: some listed bypass route does not point where the weights say (green above 0, else blue).
        astray: no rule of it sends to blue or green any more, or one that the plan names is gone: what it sends goes elsewhere.
        void: the weights of some managed route mean nothing to Istio (all 0 or all absent), so that all pods get its requests.
        aside: some managed route names blue and not green, beside others: one that was added since they were opened.
        owner: uid of the release that owns the route (annotation); "" if none.
        stamp: the rollback stamp (annotation); `because` is the decision that was written beside it.
        added: what Penstock added to it (annotation); "" if nothing, or where somebody took the annotation off.
        epoch: the epoch annotation; 0 if none.
        foreign: the last writer of our fields was not us.
        mirrored: which of its rules send copies of requests to green, in words; nobody sees those in the traffic.
        problems: why it must not be touched.
    """

    namespace: str
    name: str
    uid: str = ""
    resource_version: str = ""
    found: bool = False
    weighted: bool = True
    green_weight: int = 0
    blue_only: bool = True
    has_green: bool = False
    bypass_green: bool = False
    bypass_stale: bool = False
    astray: bool = False
    void: bool = False
    aside: bool = False
    owner: str = ""
    stamp: str = ""
    because: str = ""
    added: str = ""
    epoch: int = 0
    foreign: str = ""
    mirrored: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def gone(self) -> bool:
        """Whether it is missing although weights divided its users: Istio sends them to all pods of its hosts then."""
        return not self.found and self.weighted

    def has_other(self, weight: int) -> bool:
        """Whether it gives green another share than this one."""
        return self.found and self.weighted and self.green_weight != weight

    def has_less(self, weight: int) -> bool:
        """Whether it gives green less than this share."""
        return self.found and self.weighted and self.green_weight < weight

    @property
    def share(self) -> str:
        """What it sends to green, in words."""
        return f"{self.green_weight} %" if self.weighted else "its bypass rules"


@dataclass(frozen=True, slots=True)
class RuleView:
    """One DestinationRule that green's cluster stands in.

    Attributes:
        added: what Penstock added to it (annotation); "" if nothing, or where somebody took the annotation off.
    """

    namespace: str
    name: str
    added: str = ""

    @property
    def title(self) -> str:
        """How the release remembers it, beside its VirtualServices."""
        return f"DestinationRule {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """One member in one slot.

    Attributes:
        replicas: wanted; `ready` and `available` as reported for the current generation.
        current: the controller manager has seen the newest generation and rolled it out.
        empty: it is there, and no pod of it is ready by the last report, of whatever generation that speaks.
        restarts: most restarts of one of its pods.
        endpoints: ready endpoints of its Service (host mode) or of its subset's pods (subset mode).
        image: of the container that the plan moves.
        template: digest of its pod template, but for what a mere restart writes there.
        config_maps: names of the ConfigMaps that its pods need.
        revision: the `penstock.dev/revision` annotation; "" on workloads that we never wrote.
        made: it carries our mark of having made it.
        updated_by: uid of the release that gave it another version in place and has not put it back; "" where none did.
        stuck: why its pods do not come up, in Kubernetes's own words ("ImagePullBackOff"); "" if fine.
    """

    namespace: str
    name: str
    uid: str = ""
    resource_version: str = ""
    found: bool = False
    terminating: bool = False
    replicas: int = 0
    ready: int = 0
    available: int = 0
    current: bool = False
    empty: bool = False
    restarts: int = 0
    endpoints: int = 0
    image: str = ""
    template: str = ""
    config_maps: tuple[str, ...] = ()
    revision: str = ""
    made: bool = False
    updated_by: str = ""
    stuck: str = ""
    hpa: str = ""
    hpa_uid: str = ""
    hpa_min: int = 0
    hpa_max: int = 0


@dataclass(frozen=True, slots=True)
class MemberView:
    """One member in both slots."""

    name: str
    blue: WorkloadView
    green: WorkloadView


@dataclass(frozen=True, slots=True)
class RequestView:
    """One unanswered ReleaseRequest. `problem`: why this version cannot read it, so that nothing is done but to say so; "" where it can."""

    name: str
    uid: str
    resource_version: str
    spec: RequestSpec
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Rival:
    """Another release of the same plan that is not finished.

    Attributes:
        supersedes: name of the release whose place it takes, or that it takes back.
        kept: why it still keeps its old version, in words; "" where it does not.
        reverse: it takes a success back.
        place: since when it stands in the queue, Unix seconds, where that is not its creation (`queue_place`).
        arrived: as that of a `Subject`.
    """

    name: str
    uid: str
    phase: Phase
    created: float
    supersedes: str = ""
    kept: str = ""
    reverse: bool = False
    place: float | None = None
    arrived: int = 0

    @property
    def born(self) -> tuple[float, int, str]:
        """As that of a `Subject`."""
        return (self.created, self.arrived, self.uid)

    @property
    def order(self) -> tuple[float, tuple[float, int, str]]:
        """Where it stands in the queue; lower goes first."""
        return (self.created if self.place is None else self.place, self.born)


@dataclass(frozen=True, slots=True)
class Observed:
    """One snapshot: targets first, the Release last.

    Attributes:
        live: read from the API server itself, not from a cache; only then may green be given more.
        plan_found: the ReleasePlan exists.
        plan_hash: hash of its spec now; `frozen` is the hash of the frozen one that exists.
        plan_lost: the frozen plan is not there any more; what is seen was found by the live one, which is good enough to go back by.
        place: since when this release stands in the queue, where that is not its creation.
        lock, lock_name: uid and name of the release that holds the plan.
        blue_slot: slot that serves, -1 where it cannot be told (then `problems` says why).
        objects: what was seen of the resolved list, with uids.
        rules: the DestinationRules of others in which green's cluster stands.
        cluster_ready: green's Service or subset, and what blue needs of the same, exist as they should.
        blue_lost: what of blue's own Services and subsets is not there, in words: its requests get errors.
        configs: digests of the ConfigMaps that the versions need, by namespace and name, "" for one that is not there; those that may be
            read, and only of a live look.
        blue_elsewhere: rules that the release does not move send to blue, too; only looked at before the first write.
        cluster_gone: green's Service or subset is not there at all, or selects other pods: its requests get errors.
        green_made: everything that the release has to bring along exists (Services, ConfigMaps).
        problems: why the release must not start or go on; empty is good.
        unreadable: which reads of routes or workloads were refused: what is missing from them may be there all the same; "" where none.
        namespace_going: the release's own namespace is being deleted; only asked where something speaks for it.
        warnings: what is legal but should be said.
        finished: finished releases of the plan; only looked at when this one is about to be left alone.
        lock_gone: the release that holds the plan does not exist any more.
        plan_problem: why the plan as it stands cannot be used; "" if it can.
        schema_problem: why the server would not keep what we write; "" if it would.
        routed: members whose Services stand in the managed routes: only their requests are split.
        domain, cluster: the cluster's domain, and its name in `destination_cluster` ("" if unknown).
    """

    live: bool = False
    deleted: bool = False
    generation: int = 1
    plan_found: bool = True
    plan_hash: str = ""
    frozen: str = ""
    plan_lost: bool = False
    place: float | None = None
    lock: str = ""
    lock_name: str = ""
    blue_slot: int = -1
    mode: str = ""
    blue_subset: str = ""
    green_subset: str = ""
    routes: tuple[RouteView, ...] = ()
    members: tuple[MemberView, ...] = ()
    objects: tuple[ManagedObject, ...] = ()
    configs: dict[str, str] = field(default_factory=dict)
    rules: tuple[RuleView, ...] = ()
    cluster_ready: bool = False
    cluster_gone: bool = False
    blue_lost: tuple[str, ...] = ()
    blue_elsewhere: bool = False
    green_made: bool = False
    green_gone: bool = False
    requests: tuple[RequestView, ...] = ()
    rivals: tuple[Rival, ...] = ()
    problems: tuple[Problem, ...] = ()
    unreadable: str = ""
    namespace_going: bool = False
    warnings: tuple[Problem, ...] = ()
    lock_gone: bool = False
    plan_problem: str = ""
    schema_problem: str = ""
    finished: tuple[Finished, ...] = ()
    routed: tuple[str, ...] = ()
    domain: str = "cluster.local"
    cluster: str = ""

    @property
    def green_weight(self) -> int:
        """The highest share of green over all routes."""
        return max((route.green_weight for route in self.routes), default=0)

    @property
    def lowest_weight(self) -> int:
        """The lowest share of green over all routes that have weights."""
        return min((route.green_weight for route in self.routes if route.weighted), default=0)


@dataclass(frozen=True, slots=True)
class Measurement:
    """The answer to one `Ask`; `query` is what was asked, so that another look knows whether it still asks the same."""

    answer: Answer
    probe: ProbeResult | None = None
    query: str = ""

    @property
    def series(self) -> tuple[Series, ...]:
        """The answer's series."""
        return self.answer.series


Measurements = dict[str, Measurement]
"""By `Ask.key`."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to Prometheus or to a health endpoint.

    Attributes:
        key: `<check>/<arm>`, `traffic`, or `probe/<member>/<colour>`.
        query: PromQL, parameters filled in; "" for a probe.
        time: evaluation time, Unix seconds.
        provider: name of the Prometheus.
        url: of a probe; `statuses`: those that are healthy, none for what usually is.
        timeout: seconds.
    """

    key: str
    query: str = ""
    time: float = 0.0
    provider: str = ""
    url: str = ""
    timeout: float = 10.0
    statuses: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """All answers of one reconcile."""

    answers: Measurements = field(default_factory=dict)
    _read: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, key: Hashable, read: Callable[[], T]) -> T:
        """What is read off the answers, read only once: three questions of a look need the same traffic."""
        if key not in self._read:
            self._read[key] = read()
        found: T = self._read[key]
        return found
