"""The ports of the shell: what the controller needs of the world, and how the world refuses.

Production, the simulator and the sandbox each bring their own implementation of `Kube`, `Prometheus`,
`Prober` and `Clock`; the adapters above these ports are the same objects everywhere. JSON objects cross
this seam as plain mappings *that nobody may change in place*: the simulator hands out its stored
objects without a copy.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from analysis.model import Series

Obj = Mapping[str, Any]
"""A Kubernetes object as decoded JSON. Never mutated: build a new one."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Where a kind of object is served."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or only the version for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


RELEASE_PLAN = Kind("penstock.dev", "v1alpha1", "ReleasePlan", "releaseplans")
RELEASE = Kind("penstock.dev", "v1alpha1", "Release", "releases")
RELEASE_REQUEST = Kind("penstock.dev", "v1alpha1", "ReleaseRequest", "releaserequests")
VIRTUAL_SERVICE = Kind("networking.istio.io", "v1", "VirtualService", "virtualservices")
DESTINATION_RULE = Kind("networking.istio.io", "v1", "DestinationRule", "destinationrules")
AUTHORIZATION_POLICY = Kind("security.istio.io", "v1", "AuthorizationPolicy", "authorizationpolicies")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets")
HPA = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
POD = Kind("", "v1", "Pod", "pods")
SERVICE = Kind("", "v1", "Service", "services")
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
SECRET = Kind("", "v1", "Secret", "secrets")
PVC = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
NAMESPACE = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
EVENT = Kind("", "v1", "Event", "events")
ENDPOINT_SLICE = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
LOCAL_ACCESS_REVIEW = Kind("authorization.k8s.io", "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews")
CRD = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False)


class Patch(StrEnum):
    """How a patch body is to be read."""

    MERGE = "application/merge-patch+json"
    JSON = "application/json-patch+json"
    APPLY = "application/apply-patch+yaml"


class KubeError(Exception):
    """The API server refused, or its answer was lost.

    Attributes:
        code: HTTP status; 0 where no answer came.
        reason: the server's one-word reason (`Conflict`, `AlreadyExists`), or ours.
        retry_after: seconds the server asked to wait; 0 where it did not.
    """

    def __init__(self, code: int, reason: str, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.code, self.reason, self.retry_after = code, reason, retry_after


class NotFoundError(KubeError):
    """404: no such object, or no such kind."""


class ConflictError(KubeError):
    """409: somebody wrote in between, the uid is another, or the name is taken."""


class RefusedError(KubeError):
    """400, 403, 413, 415, 422: the same request will be refused again; a person decides."""


class UnauthorizedError(KubeError):
    """401: our token is not accepted (any more)."""


class GoneError(KubeError):
    """410: the asked revision is too old; list again."""


class UnavailableError(KubeError):
    """429, 5xx, a reset, half an answer or a time-out. The write may have been applied."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A consistent list: all pages, and the revision they were read at."""

    items: Sequence[Obj]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch: `type` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Obj


class Kube(Protocol):
    """The Kubernetes API, as far as the controller needs it. Every method raises `KubeError`s only."""

    def get(self, kind: Kind, namespace: str, name: str) -> Obj:
        """One object."""

    def list(self, kind: Kind, namespace: str = "", *, labels: str = "") -> Listing:
        """All objects of a kind in one namespace (or everywhere), by label selector, all pages."""

    def create(self, kind: Kind, namespace: str, body: Obj) -> Obj:
        """Create; `ConflictError` (AlreadyExists) where the name is taken."""

    def patch(self, kind: Kind, namespace: str, name: str, body: Any, how: Patch = Patch.MERGE, *, subresource: str = "") -> Obj:
        """Patch the object or its subresource (`status`, `scale`) and return it as stored."""

    def delete(self, kind: Kind, namespace: str, name: str, *, uid: str, resource_version: str = "") -> None:
        """Delete under preconditions, background propagation; `ConflictError` where they do not hold."""


class WatchKube(Kube, Protocol):
    """What the runtime's informers need besides."""

    def watch(self, kind: Kind, namespace: str, resource_version: str, *, timeout_seconds: int) -> Iterator[WatchEvent]:
        """The changes since a revision until the server ends the stream; `GoneError` where it is too old."""


class AnswerFault(StrEnum):
    """Why Prometheus gave no usable answer. Each has its reason in `core.reasons`."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    SERVER_ERROR = "server-error"
    BAD_QUERY = "bad-query"
    """It is no query to this Prometheus, and never will be one."""
    NOT_EXECUTED = "not-executed"
    """It was refused for what it found, or by something in between: another time it may be answered."""
    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    UNAUTHORIZED = "unauthorized"
    CLOCK_SKEW = "clock-skew"


@dataclass(frozen=True, slots=True)
class Answer:
    """What Prometheus said to one query.

    Attributes:
        series: instant vectors have one sample a series; range vectors (`x[5m]`) have all raw samples.
        result_type: "vector", "matrix", "scalar" or "string"; "" where there is no answer.
        fault: None, or why there is no answer; then `series` is empty.
        message: the server's own words, cut to 300 characters.
        warnings: what the server said beside the answer; a partial answer is one with warnings.
        server_time: Prometheus's clock, Unix seconds, from the Date header; None where unknown.
    """

    series: tuple[Series, ...] = ()
    result_type: str = ""
    fault: AnswerFault | None = None
    message: str = ""
    warnings: tuple[str, ...] = ()
    server_time: float | None = None


class Prometheus(Protocol):
    """One provider. Never raises: a fault is an answer."""

    def query(self, promql: str, time: float) -> Answer:
        """The instant query API at `time` (Unix seconds); a range selector gives raw samples."""


class PrometheusProviders(Protocol):
    """The providers that the controller's configuration names."""

    def provider(self, name: str) -> Prometheus | None:
        """The provider of that name, or None where there is none; "" is the default one."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One HTTP probe: `ok` is the status that was asked for, or any of 200-399, within the time limit; `message` says what came instead."""

    ok: bool
    message: str = ""
    seconds: float = 0.0


class Prober(Protocol):
    """HTTP health probes from where the controller stands. Never raises."""

    def probe(self, url: str, *, timeout_seconds: float, status: int | None = None) -> ProbeResult:
        """One GET. `status`: the only one that passes; any of 200-399 if absent."""


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> float:
        """Unix seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait; virtual in the simulator. Only a rollback that was refused waits so, at most a second."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the installation decides, not the plan.

    Attributes:
        identity: the controller's user name, to tell our writes from others'.
        cluster_domain: suffix of in-cluster host names.
        cluster_name: our name in Istio's `destination_cluster`; "" accepts one cluster, whichever it is.
        make_namespaces: a release may make green's namespace (needs the optional ClusterRole).
        time_divisor: the demo and the test bed divide every duration of a plan by this; 1 in production.
    """

    identity: str = "penstock"
    cluster_domain: str = "cluster.local"
    time_divisor: float = 1.0
    make_namespaces: bool = False
    cluster_name: str = ""


T = TypeVar("T")


class Together(Protocol):
    """Asks several questions at once."""

    def __call__(self, questions: Sequence[Callable[[], T]]) -> list[T]:
        """All answers, in the order of the questions. No question raises."""


def one_by_one(questions: Sequence[Callable[[], T]]) -> list[T]:
    """The simplest `Together`: in virtual time an answer takes no time."""
    return [question() for question in questions]


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything that one reconcile may touch."""

    kube: Kube
    prometheus: PrometheusProviders
    prober: Prober
    clock: Clock
    epoch: int
    schema_problem: Callable[[], str] = lambda: ""
    settings: Settings = field(default_factory=Settings)
    together: Together = one_by_one
