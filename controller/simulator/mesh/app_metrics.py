"""Series that applications expose by themselves: counters by request or by second, histograms, gauges."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from controller.adapters.istio.routing_model import Pod, Shelf
from controller.simulator.mesh.behaviour import ANY_POD, Selector, Steps, version_of
from controller.simulator.mesh.metrics import Handle, Shape, Sink, Stream

ShapeOf = Callable[[tuple[float, ...], float], Shape]
Adds = list[tuple[Stream, float, Shape | None]]


@dataclass(frozen=True, slots=True)
class AppMetric:
    """One metric of the pods of a selector.

    Attributes:
        name: metric name; of a histogram the name without `_bucket`.
        labels: further labels, beside namespace, pod, workload, version and job.
        per_request, per_success, per_error: what a counter rises by with each request, good or failed one.
        per_second: what a counter rises by every second, per pod that reports.
        gauge: the value over the scenario's time; makes it a gauge.
        edges: bucket edges; makes it a histogram of the requests' durations.
        edge_ms: milliseconds of one unit of the edges (1000 for seconds).
    """

    name: str
    of: Selector = ANY_POD
    labels: Mapping[str, str] = field(default_factory=dict)
    per_request: float = 0.0
    per_success: float = 0.0
    per_error: float = 0.0
    per_second: Steps[float] | None = None
    gauge: Steps[float] | None = None
    edges: tuple[float, ...] = ()
    edge_ms: float = 1000.0


class AppSeries:
    """The living series of all app metrics; one pod of each version reports for all of them."""

    def __init__(self, sink: Sink, metrics: Sequence[AppMetric], start: float) -> None:
        self._sink, self._metrics, self._start = sink, tuple(metrics), start
        self._streams: dict[tuple[int, str, str], Stream] = {}
        self._gauges: dict[tuple[int, str], Handle] = {}
        self._seen: object = None
        self._unasked: list[tuple[int, AppMetric, Pod]] = []
        self._time = start

    def per_request(self, pod: Pod, good: float, bad: float, shape_of: ShapeOf) -> Adds:
        """What one request of a branch adds: `good` and `bad` attempts reach the pod."""
        found: Adds = []
        for index, metric in enumerate(self._metrics):
            if not metric.of.covers(pod):
                continue
            if metric.edges:
                found.append((self._stream(index, metric, pod), good + bad, shape_of(metric.edges, metric.edge_ms)))
            else:
                rise = metric.per_request * (good + bad) + metric.per_success * good + metric.per_error * bad
                if rise > 0:
                    found.append((self._stream(index, metric, pod), rise, None))
        return found

    def expose(self, pods: Shelf[Pod], now: float, skip: Container[str]) -> None:
        """Append one sample to each series; pods that are gone end theirs."""
        if not self._metrics:
            return
        if pods is not self._seen:
            self._look(pods, now)
        for index, metric, pod in self._unasked:
            self._by_itself(index, metric, pod, now, skip)
        time_ms = round(now * 1000)
        for stream in self._streams.values():
            if stream.target not in skip:
                stream.expose(time_ms, 0.0)
        self._time = now

    def reset_counters(self) -> None:
        """Every counter begins at zero again; gauges have nothing to lose."""
        for stream in self._streams.values():
            stream.reset()

    def _by_itself(self, index: int, metric: AppMetric, pod: Pod, now: float, skip: Container[str]) -> None:
        """What a pod exposes without being asked anything."""
        seconds = now - self._start
        if metric.per_second is not None:
            self._stream(index, metric, pod).add(_integral(metric.per_second, self._time - self._start, seconds), None)
        elif metric.gauge is not None and f"{pod.namespace}/{pod.name}" not in skip:
            self._gauge(index, metric, pod).append(round(now * 1000), metric.gauge.at(seconds))

    def _stream(self, index: int, metric: AppMetric, pod: Pod) -> Stream:
        target = f"{pod.namespace}/{pod.name}"
        found = self._streams.get((index, target, pod.uid))
        if found is None:
            name, histogram = ("", metric.name) if metric.edges else (metric.name, "")
            found = Stream(
                self._sink, self._labels(metric, pod), target=target, uid=pod.uid, name=name, histogram=histogram, edges=metric.edges
            )
            self._streams[index, target, pod.uid] = found
        return found

    def _gauge(self, index: int, metric: AppMetric, pod: Pod) -> Handle:
        key = (index, f"{pod.namespace}/{pod.name}")
        found = self._gauges.get(key)
        if found is None:
            found = self._gauges[key] = self._sink.series({**self._labels(metric, pod), "__name__": metric.name})
        return found

    @staticmethod
    def _labels(metric: AppMetric, pod: Pod) -> dict[str, str]:
        base = {"job": "apps", "namespace": pod.namespace, "pod": pod.name, "workload": pod.workload, "version": version_of(pod)}
        return {**base, **metric.labels}

    def _look(self, pods: Shelf[Pod], now: float) -> None:
        """Find the reporting pods, and end the series of those that are gone."""
        self._seen = pods
        first: dict[tuple[str, str, str], Pod] = {}
        for pod in sorted(pods, key=lambda pod: (pod.namespace, pod.name)):
            first.setdefault((pod.namespace, pod.workload, version_of(pod)), pod)
        # Patterns are matched when pods come or go, not at every scrape.
        self._unasked = [
            (index, metric, pod)
            for index, metric in enumerate(self._metrics)
            if metric.gauge is not None or metric.per_second is not None
            for pod in first.values()
            if metric.of.covers(pod)
        ]
        living = {f"{pod.namespace}/{pod.name}" for pod in pods}
        uids = {pod.uid for pod in pods}
        for key in [key for key in self._streams if key[1] not in living or key[2] not in uids]:
            self._streams.pop(key).end(round(now * 1000))
        for gauge in [gauge for gauge in self._gauges if gauge[1] not in living]:
            self._gauges.pop(gauge).mark_stale(round(now * 1000))


def _pieces(steps: Steps[float], start: float, end: float) -> Iterator[float]:
    while start < end:
        until = min(end, steps.next_change(start))
        yield steps.at(start) * (until - start)
        start = until


def _integral(steps: Steps[float], start: float, end: float) -> float:
    """What a rate by steps adds up to between two times."""
    if len(steps.points) == 1:
        return steps.points[0][1] * (end - start)
    return sum(_pieces(steps, start, end))
