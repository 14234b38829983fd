"""The controller's own metrics, in a registry of its own. It only counts; nothing is decided by it."""

from collections import Counter as Tally
from collections.abc import Iterable
from time import time as wall_clock
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from controller.adapters.marks import mapping
from controller.api.release import Phase
from controller.ports import RELEASE, Answer, Kube, Obj, Prometheus, PrometheusProviders
from controller.runtime.contracts import Key

REACTION_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0)
LATE_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0)
LATE_SECONDS = 0.5
"""A wake-up that comes later than this is counted as late."""


class Metrics:
    """All metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry, reaction, late = self.registry, REACTION_BUCKETS, LATE_BUCKETS
        self.releases = Gauge("penstock_releases", "Releases by phase.", ["phase"], registry=registry)
        self.reaction = Histogram(
            "penstock_reaction_seconds", "From the decision to roll back until all routes were blue.", buckets=reaction, registry=registry
        )
        self.lateness = Histogram(
            "penstock_wakeup_late_seconds", "How long after its time a release was looked at.", buckets=late, registry=registry
        )
        self.late = Counter("penstock_late_wakeups", f"Wake-ups more than {LATE_SECONDS} s after their time.", registry=registry)
        self.queries = Counter("penstock_queries", "Queries to Prometheus by result.", ["provider", "result"], registry=registry)
        self.clock_offset = Gauge(
            "penstock_prometheus_clock_offset_seconds", "Prometheus's clock minus ours.", ["provider"], registry=registry
        )
        self.query_seconds = Histogram("penstock_query_seconds", "Duration of queries to Prometheus.", ["provider"], registry=registry)
        self.requests = Counter("penstock_api_requests", "Requests to the API server.", ["verb", "resource", "code"], registry=registry)
        self.request_seconds = Histogram(
            "penstock_api_request_seconds", "Duration of requests to the API server.", ["verb"], registry=registry
        )
        self.conflicts = Counter("penstock_conflicts", "Writes that somebody else's write came before.", ["resource"], registry=registry)
        self.unwatched = Counter(
            "penstock_unwatched_exposure_seconds", "Time with traffic on green and no leader, over all releases.", registry=registry
        )
        self.depth = Gauge("penstock_queue_depth", "Releases that are due and not yet looked at.", registry=registry)
        self.reconcile_seconds = Histogram("penstock_reconcile_seconds", "Duration of one look at one release.", registry=registry)
        self.defects = Counter("penstock_reconcile_defects", "Looks that ended in a defect of the controller.", registry=registry)
        self.faults = Counter("penstock_reconcile_faults", "Looks that a fault of the API server ended.", registry=registry)
        self.leading = Gauge("penstock_leading", "1 while this process leads.", registry=registry)
        self.epoch = Gauge("penstock_epoch", "Epoch of this process's last leadership.", registry=registry)
        self.lost = Gauge("penstock_namespace_lost", "1 for each namespace in which a watch is refused.", ["namespace"], registry=registry)
        self.unattended = Gauge(
            "penstock_releases_unattended",
            "Unfinished releases whose last look came to no decision: rights that were taken away, for example.",
            ["namespace"],
            registry=registry,
        )
        self.watch_trouble = Gauge("penstock_watch_trouble", "Watches that are failing now.", registry=registry)

    def request_done(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """One request to the API server; code 0 is no answer."""
        self.requests.labels(verb, resource, str(code)).inc()
        if verb != "watch":
            self.request_seconds.labels(verb).observe(seconds)
        if code == 409:  # noqa: PLR2004 - HTTP's Conflict
            self.conflicts.labels(resource).inc()

    def woken(self, late_seconds: float) -> None:
        """A release is looked at, this long after its time."""
        self.lateness.observe(late_seconds)
        if late_seconds > LATE_SECONDS:
            self.late.inc()

    def rolled_back(self, before: Obj | None, after: Obj) -> None:
        """A Release changed: where its traffic has just come back, how long that took."""
        then, now = _rollback(before), _rollback(after)
        decided, done = now.get("decidedAt"), now.get("trafficAt")
        if before is None or then.get("trafficAt") or not isinstance(decided, (int, float)) or not isinstance(done, (int, float)):
            return
        if done:
            self.reaction.observe(max(0.0, done - decided))

    def count_phases(self, phases: Iterable[str]) -> None:
        """Releases by phase, every known phase named."""
        tally = Tally(phases)
        for phase in Phase:
            self.releases.labels(phase.value).set(tally.get(phase.value, 0))

    def lost_namespaces(self, namespaces: Iterable[str]) -> None:
        """The namespaces that cannot be read now, and no others."""
        self.lost.clear()
        for namespace in namespaces:
            self.lost.labels(namespace).set(1)

    def left_alone(self, keys: Iterable[Key]) -> None:
        """The releases that nobody could decide anything for when they were looked at last, and no others."""
        self.unattended.clear()
        for namespace, count in Tally(namespace for namespace, _ in keys).items():
            self.unattended.labels(namespace).set(count)

    def text(self) -> str:
        """The exposition format."""
        return generate_latest(self.registry).decode()


def _rollback(release: Obj | None) -> Obj:
    return {} if release is None else mapping(mapping(release.get("status")).get("rollback"))


def phase_of(release: Obj) -> str:
    """The phase of a Release; one that nobody has looked at yet is queued."""
    return str(mapping(release.get("status")).get("phase") or Phase.QUEUED.value)


def metrics_once(kube: Kube, namespaces: Iterable[str]) -> str:
    """What the cluster itself says, for `penstock metrics --once`: releases by phase, reaction times of those that are kept.

    Raises `KubeError` where the Releases cannot be listed.
    """
    metrics = Metrics()
    releases = [release for namespace in namespaces for release in kube.list(RELEASE, namespace).items]
    metrics.count_phases(phase_of(release) for release in releases)
    for release in releases:
        metrics.rolled_back({}, release)
    return "".join(line + "\n" for line in metrics.text().splitlines() if "penstock_releases" in line or "penstock_reaction" in line)


class Timer(Protocol):
    """Steady seconds."""

    def __call__(self) -> float:
        """Now."""


class MeteredPrometheus:
    """A provider whose queries are counted and timed."""

    def __init__(self, inner: Prometheus, name: str, metrics: Metrics, steady: Timer) -> None:
        self._inner, self._name, self._metrics, self._steady = inner, name or "default", metrics, steady

    def query(self, promql: str, time: float) -> Answer:
        """As the provider answers."""
        started = self._steady()
        answer = self._inner.query(promql, time)
        self._metrics.query_seconds.labels(self._name).observe(self._steady() - started)
        result = answer.fault.value if answer.fault else "partial" if answer.warnings else "ok" if answer.series else "empty"
        self._metrics.queries.labels(self._name, result).inc()
        if answer.server_time is not None:
            self._metrics.clock_offset.labels(self._name).set(answer.server_time - wall_clock())
        return answer


class MeteredProviders:
    """The providers of the configuration, each counted and timed."""

    def __init__(self, inner: PrometheusProviders, metrics: Metrics, steady: Timer) -> None:
        self._inner, self._metrics, self._steady = inner, metrics, steady

    def provider(self, name: str) -> Prometheus | None:
        """The provider of that name."""
        found = self._inner.provider(name)
        return None if found is None else MeteredPrometheus(found, name, self._metrics, self._steady)
