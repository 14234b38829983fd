"""The series that proxies and applications expose: Istio's label names, its bucket edges, its manners.

A series begins with its first request; counters of a new pod begin at 0 because the pod is another series;
a pod that is gone leaves a staleness marker. Handles are resolved once, since a scrape is the inner loop of
every simulation.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from controller.adapters.istio.routing_model import Pod
from controller.simulator.mesh.behaviour import Latency, revision_of, version_of

ISTIO_EDGES = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000)
"""Bucket edges of istio_request_duration_milliseconds, as Envoy exposes them by default."""

UNKNOWN = "unknown"


class Handle(Protocol):
    """One stored series."""

    def append(self, time_ms: int, value: float) -> None:
        """Add a sample."""

    def mark_stale(self, time_ms: int) -> None:
        """The series is gone."""

    def filled_by(self, fill: Callable[[], None]) -> None:
        """Call this before the samples are read: it brings those that are still to come."""


Row = tuple[int, list[float], float, tuple[float, ...], float, float, float]
"""A scrape of a histogram that nobody has asked for yet: time, then what its values follow from."""

ROWS_KEPT = 2000
"""Scrapes that wait at most."""


class Sink(Protocol):
    """Where samples go; the simulated Prometheus's store is one."""

    def series(self, labels: Mapping[str, str]) -> Handle:
        """The handle of a label set, the metric's name among the labels as `__name__`."""


class Shape:
    """A latency distribution cut at bucket edges: what part of the requests lies at or below each."""

    __slots__ = ("cumulative", "mean")

    def __init__(self, latency: Latency, edges: tuple[float, ...], unit_ms: float) -> None:
        self.cumulative = tuple(latency.cumulative(edge * unit_ms) for edge in edges)
        self.mean = latency.mean_ms / unit_ms


class Stream:
    """A counter, and where it has a histogram its buckets, sum and count.

    Args:
        labels: of the counter, without the name.
        name, histogram: metric names; "" leaves that part out.
        edges: bucket edges in the histogram's own unit.
    """

    __slots__ = (
        "_base",
        "_counter",
        "_edges",
        "_exposed",
        "_handles",
        "_histogram",
        "_labels",
        "_name",
        "_rows",
        "_shape",
        "_since",
        "_sink",
        "_sum",
        "count",
        "target",
        "uid",
    )

    def __init__(
        self,
        sink: Sink,
        labels: Mapping[str, str],
        *,
        target: str,
        uid: str = "",
        name: str = "",
        histogram: str = "",
        edges: tuple[float, ...] = ISTIO_EDGES,
    ) -> None:
        self.target, self.uid, self.count = target, uid, 0.0
        self._sink, self._labels, self._name, self._histogram = sink, labels, name, histogram
        self._edges = edges
        self._counter: Handle | None = None
        self._handles: list[Handle] = []
        self._shape: Shape | None = None
        self._base = [0.0] * len(edges)
        self._since = self._sum = 0.0
        self._exposed: list[float] | None = None
        self._rows: list[Row] = []

    def add(self, requests: float, shape: Shape | None) -> None:
        """Count requests of one latency distribution."""
        self.count += requests
        if shape is not None:
            if shape is not self._shape:
                self._fold(shape)
            self._since += requests
            self._sum += requests * shape.mean

    def reset(self) -> None:
        """The process that exposes it has started anew: the same series goes on from zero."""
        self._fill()
        self.count, self._since, self._sum = 0.0, 0.0, 0.0
        self._base = [0.0] * len(self._edges)
        self._exposed = None

    def _fold(self, shape: Shape) -> None:
        """Fix what was counted under the old distribution, so that a scrape is one multiplication a bucket."""
        if self._shape is not None:
            since = self._since
            self._base = [base + since * part for base, part in zip(self._base, self._shape.cumulative, strict=True)]
        self._shape, self._since = shape, 0.0

    def expose(self, time_ms: int, lag: float) -> None:
        """Append one sample to each series; `lag` is the part of the last step that histograms do not show yet.

        A histogram's samples are worked out when somebody asks for them: most are never asked for.
        """
        if self.count <= 0:
            return
        if self._counter is None and not self._handles:
            self._begin()
        if self._counter is not None:
            self._counter.append(time_ms, self.count)
        if self._handles and self._shape is not None:
            self._rows.append((time_ms, self._base, self._since, self._shape.cumulative, self.count, self._sum, lag))
            if len(self._rows) >= ROWS_KEPT:
                self._fill()

    def _fill(self) -> None:
        """Append the samples that wait."""
        rows, self._rows = self._rows, []
        for time_ms, bases, since, cumulative, count, total, lag in rows:
            values = [base + since * part for base, part in zip(bases, cumulative, strict=True)]
            values += (count, total, count)
            if lag > 0:
                before = self._exposed or [0.0] * len(values)
                self._exposed = values
                values = [new - (new - old) * lag for new, old in zip(values, before, strict=True)]
            for handle, value in zip(self._handles, values, strict=True):
                handle.append(time_ms, value)

    def _begin(self) -> None:
        if self._name:
            self._counter = self._sink.series({**self._labels, "__name__": self._name})
        if self._histogram:
            edges = [str(edge) for edge in self._edges]
            named = {**self._labels, "__name__": f"{self._histogram}_bucket"}
            self._handles = [self._sink.series({**named, "le": edge}) for edge in (*edges, "+Inf")]
            self._handles += [self._sink.series({**self._labels, "__name__": f"{self._histogram}_{end}"}) for end in ("sum", "count")]
            for handle in self._handles:
                handle.filled_by(self._fill)

    def end(self, time_ms: int) -> None:
        """The target is gone."""
        for handle in (self._counter, *self._handles):
            if handle is not None:
                handle.mark_stale(time_ms)


def destination_labels(pod: Pod | None, host: str, cluster_domain: str, cluster: str) -> dict[str, str]:
    """Istio's destination labels of a pod that answers, or of nobody."""
    base = host.removesuffix(f".svc.{cluster_domain}")
    name, _, namespace = base.partition(".") if base != host else (host, "", UNKNOWN)
    labels = {
        "destination_service": host or UNKNOWN,
        "destination_service_name": name or UNKNOWN,
        "destination_service_namespace": namespace or UNKNOWN,
    }
    if pod is None:
        unknown = dict.fromkeys(_OF_POD, UNKNOWN)
        return {**labels, **unknown}
    app = pod.labels.get("app") or UNKNOWN
    values = (
        pod.workload,
        pod.namespace,
        version_of(pod),
        app,
        pod.labels.get("service.istio.io/canonical-name") or pod.labels.get("app") or pod.workload,
        revision_of(pod),
        cluster,
    )
    return {**labels, **dict(zip(_OF_POD, values, strict=True))}


_OF_POD = (
    "destination_workload",
    "destination_workload_namespace",
    "destination_version",
    "destination_app",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_cluster",
)
