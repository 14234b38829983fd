"""Series that applications expose by themselves: counters by request or by second, histograms, gauges."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from controller.adapters.istio.routing_model import Pod, Shelf
from controller.simulator.mesh.behaviour import ANY_POD, Selector, Steps, version_of
from controller.simulator.mesh.metrics import ROWS_KEPT, Handle, Shape, Sink, Stream

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


class Gauge:
    """A gauge of one pod: a function of time, worked out for the scrapes that somebody asks for."""

    __slots__ = ("_handle", "_start", "_times", "_values")

    def __init__(self, handle: Handle, values: Steps[float], start: float) -> None:
        self._handle, self._values, self._start = handle, values, start
        self._times: list[float] = []
        handle.filled_by(self._fill)

    def expose(self, now: float) -> None:
        """It is scraped now."""
        self._times.append(now)
        if len(self._times) >= ROWS_KEPT:
            self._fill()

    def end(self, time_ms: int) -> None:
        """The pod is gone."""
        self._fill()
        self._handle.mark_stale(time_ms)

    def _fill(self) -> None:
        times, self._times = self._times, []
        for now in times:
            self._handle.append(round(now * 1000), self._values.at(now - self._start))


class AppSeries:
    """The living series of all app metrics; one pod of each version reports for all of them."""

    def __init__(self, sink: Sink, metrics: Sequence[AppMetric], start: float) -> None:
        self._sink, self._metrics, self._start = sink, tuple(metrics), start
        self._streams: dict[tuple[int, str, str], Stream] = {}
        self._gauges: dict[tuple[int, str], Gauge] = {}
        self._scraped: list[tuple[str, Gauge]] = []
        self._counting: list[tuple[Stream, Steps[float]]] = []
        self._seen: object = None
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
        for target, gauge in self._scraped:
            if target not in skip:
                gauge.expose(now)
        for counter, per_second in self._counting:
            counter.add(_integral(per_second, self._time - self._start, now - self._start), None)
        time_ms = round(now * 1000)
        for stream in self._streams.values():
            if stream.target not in skip:
                stream.expose(time_ms, 0.0)
        self._time = now

    def reset_counters(self) -> None:
        """Every counter begins at zero again; gauges have nothing to lose."""
        for stream in self._streams.values():
            stream.reset()

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

    def _gauge(self, index: int, metric: AppMetric, pod: Pod, values: Steps[float]) -> Gauge:
        key = (index, f"{pod.namespace}/{pod.name}")
        found = self._gauges.get(key)
        if found is None:
            handle = self._sink.series({**self._labels(metric, pod), "__name__": metric.name})
            found = self._gauges[key] = Gauge(handle, values, self._start)
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
        living = {f"{pod.namespace}/{pod.name}" for pod in pods}
        uids = {pod.uid for pod in pods}
        for key in [key for key in self._streams if key[1] not in living or key[2] not in uids]:
            self._streams.pop(key).end(round(now * 1000))
        for gone in [gauge for gauge in self._gauges if gauge[1] not in living]:
            self._gauges.pop(gone).end(round(now * 1000))
        self._find(first.values())

    def _find(self, reporting: Iterable[Pod]) -> None:
        """What the reporting pods expose without being asked anything: patterns are matched when pods come or go, not at every scrape."""
        self._scraped, self._counting = [], []
        pods = tuple(reporting)
        for index, metric in enumerate(self._metrics):
            for pod in pods if metric.gauge is not None or metric.per_second is not None else ():
                if not metric.of.covers(pod):
                    continue
                if metric.per_second is not None:
                    self._counting.append((self._stream(index, metric, pod), metric.per_second))
                elif metric.gauge is not None:
                    self._scraped.append((f"{pod.namespace}/{pod.name}", self._gauge(index, metric, pod, metric.gauge)))


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
