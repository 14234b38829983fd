"""How the simulated applications behave: errors and latency by version, over time and under load.

Times in a behaviour are seconds since the start of the scenario, or since the first request to that
version. Latencies are milliseconds, rates are fractions of requests.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

from controller.adapters.istio.routing_model import Pod

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Steps(Generic[V]):
    """A value that changes in steps: pairs of (from second, value), rising; the first value holds before it too."""

    points: tuple[tuple[float, V], ...]

    def at(self, seconds: float) -> V:
        """The value in force."""
        index = bisect_right(self.points, seconds, key=lambda point: point[0])
        return self.points[max(index - 1, 0)][1]

    def next_change(self, seconds: float) -> float:
        """When it changes next, infinity where it does not."""
        return next((start for start, _ in self.points[1:] if start > seconds), math.inf)


def steady(value: V) -> Steps[V]:
    """A value that never changes."""
    return Steps(((0.0, value),))


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of request durations in milliseconds: lognormal, or straight lines between given quantiles.

    Attributes:
        median_ms, sigma: of the lognormal.
        quantiles: pairs of (probability, milliseconds), rising; where given, they count instead.
    """

    median_ms: float = 20.0
    sigma: float = 0.5
    quantiles: tuple[tuple[float, float], ...] = ()

    @classmethod
    def between(cls, p50_ms: float, p99_ms: float) -> "Latency":
        """The lognormal with this median and 99th percentile (2.3263 standard deviations above it)."""
        return cls(p50_ms, math.log(p99_ms / p50_ms) / 2.3263478740408408)

    def cumulative(self, milliseconds: float) -> float:
        """The part of requests that take at most this long."""
        if milliseconds <= 0:
            return 0.0
        if not self.quantiles:
            if self.sigma <= 0:
                return 1.0 if milliseconds >= self.median_ms else 0.0
            return 0.5 * (1 + math.erf(math.log(milliseconds / self.median_ms) / (self.sigma * math.sqrt(2))))
        below = (0.0, 0.0)
        for probability, edge in self.quantiles:
            if milliseconds < edge:
                return below[0] + (probability - below[0]) * (milliseconds - below[1]) / (edge - below[1])
            below = (probability, edge)
        return 1.0

    @property
    def mean_ms(self) -> float:
        """The mean duration."""
        if not self.quantiles:
            return self.median_ms * math.exp(self.sigma**2 / 2)
        total, below = 0.0, (0.0, 0.0)
        for probability, edge in self.quantiles:
            total += (probability - below[0]) * (edge + below[1]) / 2
            below = (probability, edge)
        return total + (1 - below[0]) * below[1]


FAST = Latency(20.0, 0.5)
OWN_ANSWER = Latency(1.0, 0.2)
"""What a proxy needs for an answer of its own."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Which pods something is about; shell patterns on each field."""

    namespace: str = "*"
    workload: str = "*"
    version: str = "*"
    image: str = "*"

    def covers(self, pod: Pod) -> bool:
        """Whether a pod is meant."""
        return (
            fnmatchcase(pod.namespace, self.namespace)
            and fnmatchcase(pod.workload, self.workload)
            and fnmatchcase(version_of(pod), self.version)
            and (self.image == "*" or any(fnmatchcase(image, self.image) for image in pod.images))
        )


def version_of(pod: Pod) -> str:
    """The version that Istio reports for a pod."""
    return pod.labels.get("version") or "unknown"


def revision_of(pod: Pod) -> str:
    """The canonical revision that Istio reports for a pod."""
    return pod.labels.get("service.istio.io/canonical-revision") or pod.labels.get("version") or "latest"


ANY_POD = Selector()
NEVER = steady(0.0)
ALWAYS_FAST = steady(FAST)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the pods of a selector do.

    Attributes:
        error_rate: part of the requests that fail, 0 to 1.
        error_code: HTTP status of a failure.
        grpc_status: gRPC status of a failure, where the traffic is gRPC.
        latency, error_latency: durations of good and failed requests; failed ones like good ones by default.
        since_first_request: count the steps from the version's first request instead of the start.
        min_share: in force only while the version gets at least this part (0 to 1) of the source's requests.
    """

    of: Selector = ANY_POD
    error_rate: Steps[float] = NEVER
    error_code: int = 500
    grpc_status: int = 13
    latency: Steps[Latency] = ALWAYS_FAST
    error_latency: Steps[Latency] | None = None
    since_first_request: bool = False
    min_share: float = 0.0


GOOD = Behaviour()


def behaviour_for(behaviours: Sequence[Behaviour], pod: Pod, share: float) -> Behaviour:
    """The first behaviour that covers a pod at this share of the traffic; good where there is none."""
    return next((b for b in behaviours if share >= b.min_share and b.of.covers(pod)), GOOD)
