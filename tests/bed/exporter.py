"""Turns the current VirtualServices into the counters that Istio's proxies would serve, for a real Prometheus to scrape.

    with Exporter(bed.admin) as exporter:
        exporter.flow("users", Flow(full_host("web", ns), per_second=200))
        exporter.set(ns, "web-green", Workload(error_rate=0.2))

Nothing happens between scrapes: every change of the world, of a flow or of a workload first counts the requests up to that
moment under the old rules, so the counters follow the wall clock exactly and cost nothing while nobody looks. A shift of
weights takes effect `propagation_seconds` after the API server accepted it.
"""

from __future__ import annotations

import copy
import threading
import time
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from tests.bed import protobuf
from tests.bed.metrics import Apportion, Labels, Registry, labels_of
from tests.bed.traffic import Flow, Target, UnsupportedRouteError, World, copies, targets
from tests.bed.watching import Key, Mirror

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.bed.api import Api

JsonObject = dict[str, Any]
CLUSTER = "Kubernetes"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
ROUNDING = 1e-9
# Istio's default buckets of istio_request_duration_milliseconds, from its proxies' stats.
LATENCY_BOUNDS_MS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000)
SECONDS_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
WATCHED = {
    "virtual_services": "/apis/networking.istio.io/v1/virtualservices",
    "destination_rules": "/apis/networking.istio.io/v1/destinationrules",
    "gateways": "/apis/networking.istio.io/v1/gateways",
    "services": "/api/v1/services",
    "deployments": "/apis/apps/v1/deployments",
}

REPORTERS = ("source", "destination")
ISTIO_KINDS = ("virtual_services", "destination_rules", "gateways")


@dataclass(frozen=True, slots=True)
class Workload:
    """How a workload answers.

    Attributes:
        error_rate: share of failing requests, 0 to 1.
        error_code: their HTTP status.
        grpc_error: their grpc_response_status, on grpc flows (whose HTTP status is then 200).
        latency_ms: latencies and their relative shares.
        fails_from: it fails nothing while any flow to the same host sends it less than this share: a green that turns
            bad at a stage does so with the stage's first request, however late a test would have told it.
        extra: own counters that grow by this number for each request, by name, such as `user_login_success_total`.
        unseen_by: reporters (`source`, `destination`) that say nothing of this workload.
        histograms: the buckets of its latencies: `classic`, `native` or both; native ones are in the protobuf format alone.
    """

    error_rate: float = 0.0
    error_code: int = 500
    grpc_error: int = 13
    latency_ms: Mapping[float, float] = field(default_factory=lambda: {20.0: 0.90, 80.0: 0.09, 200.0: 0.01})
    fails_from: float = 0.0
    extra: Mapping[str, float] = field(default_factory=dict)
    unseen_by: tuple[str, ...] = ()
    histograms: tuple[str, ...] = ("classic",)


@dataclass(slots=True)
class _Stream:
    """A flow, the fraction of a request it is owed, and the sequences that spread its requests."""

    flow: Flow
    owed: float = 0.0
    by_target: Apportion = field(default_factory=Apportion)


class Exporter:
    """The exporter; `url` is its base address, `/metrics` and `/probe/NAME` its pages.

    Args:
        api: reads the world; watches over all namespaces.
        propagation_seconds: from an accepted write to its effect on requests.
        application_metrics: serve http_requests_total and http_request_duration_seconds beside Istio's series.
    """

    def __init__(self, api: Api, propagation_seconds: float = 0.1, *, application_metrics: bool = True) -> None:
        self.propagation_seconds = propagation_seconds
        self.problems: list[str] = []
        self._application_metrics = application_metrics
        self._lock = threading.RLock()
        self._registry = Registry()
        self._world = World()
        self._pending: list[tuple[float, Callable[[], None]]] = []
        self._streams: dict[str, _Stream] = {}
        self._workloads: dict[Key, Workload] = {}
        self._spreads: dict[tuple[str, ...], Apportion] = {}
        self._rates: dict[tuple[str, Labels], float] = {}
        self._probes: dict[str, int] = {}
        self._fault: tuple[int, float] | None = None
        self._counted_to = time.monotonic()
        self._mirrors = [Mirror(api, path, self._noter(kind)) for kind, path in WATCHED.items()]
        self._server = _serve(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="exporter", daemon=True).start()
        for mirror in self._mirrors:
            mirror.start()
        return self

    def __exit__(self, *_: object) -> None:
        for mirror in self._mirrors:
            mirror.stop()
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """host:port, as Prometheus's targets are written."""
        return self.url.removeprefix("http://")

    def flow(self, name: str, flow: Flow | None) -> None:
        """Start or replace a stream of requests; None ends it."""
        with self._at_this_moment():
            if flow is None:
                self._streams.pop(name, None)
            elif name in self._streams:
                self._streams[name].flow = flow
            else:
                self._streams[name] = _Stream(flow)

    def set(self, namespace: str, workload: str, behaviour: Workload) -> None:
        """Say how a workload answers from now on; one that was never named answers as `Workload()`."""
        with self._at_this_moment():
            self._workloads[namespace, workload] = behaviour

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge; NaN and infinities are served as they are."""
        with self._at_this_moment():
            self._registry.set(name, labels_of(labels), value)

    def rate(self, name: str, per_second: float, **labels: str) -> None:
        """Let a counter grow steadily from now on; 0 stops it where it is."""
        with self._at_this_moment():
            self._rates[name, labels_of(labels)] = per_second
            self._registry.add(name, labels_of(labels), 0.0)

    def probe(self, name: str, status: int) -> None:
        """Let `/probe/NAME` answer with this HTTP status; 404 for names never set."""
        self._probes[name] = status

    def forget(self, **labels: str) -> int:
        """Drop all series with these labels, as a restarted pod does; return how many."""
        with self._at_this_moment():
            return self._registry.forget(**labels)

    def fail_scrapes(self, status: int | None, delay_seconds: float = 0.0) -> None:
        """Answer scrapes with this status after a delay; None heals it."""
        self._fault = None if status is None else (status, delay_seconds)

    def value(self, name: str, **labels: str) -> float:
        """Return the sum over the series of a counter or gauge that carry these labels, as of now."""
        with self._at_this_moment():
            return self._registry.value(name, **labels)

    def text(self) -> str:
        """Return the page `/metrics` as of now."""
        with self._at_this_moment():
            return self._registry.text()

    def delimited(self) -> bytes:
        """Return the page `/metrics` in protobuf as of now."""
        with self._at_this_moment():
            return self._registry.delimited(self._kinds)

    def _kinds(self, labels: Labels) -> tuple[str, ...]:
        named = dict(labels)
        place = named.get("destination_workload_namespace", ""), named.get("destination_workload", "")
        return self._workloads.get(place, Workload()).histograms

    def shares(self, name: str) -> dict[str, float]:
        """Return the share of each workload in a flow as of now, by workload name."""
        with self._at_this_moment():
            found: dict[str, float] = {}
            for target, share in self._targets(self._streams[name].flow):
                found[target.workload] = found.get(target.workload, 0.0) + share
            return found

    def ends(self, name: str, say: Callable[[Flow, World], list[tuple[Target, float]]] = targets) -> set[Key]:
        """Return namespace and name of the Deployments in which a flow's requests end as of now; with `copies` those of their copies."""
        with self._at_this_moment():
            return {target.workload_key for target, _ in self._targets(self._streams[name].flow, say)}

    def _fails(self, flow: Flow, target: Target, behaviour: Workload, found: list[tuple[Target, float]]) -> bool:
        """Whether the target has the share by now from which it fails, of this flow, whose targets were `found`, and of those beside it."""
        enough = behaviour.fails_from - ROUNDING
        if not behaviour.fails_from or _share(target, found) < enough:
            return not behaviour.fails_from
        beside = (one.flow for one in self._streams.values() if one.flow.host == flow.host and one.flow != flow)
        return all(_share(target, self._targets(one)) >= enough for one in beside)

    def _at_this_moment(self) -> _Moment:
        return _Moment(self._lock, self._count)

    def _noter(self, kind: str) -> Callable[[Key, JsonObject | None], None]:
        def note(key: Key, item: JsonObject | None) -> None:
            delay = self.propagation_seconds if kind in ISTIO_KINDS else 0.0
            with self._lock:
                self._pending.append((time.monotonic() + delay, lambda: self._learn(kind, key, item)))

        return note

    def _learn(self, kind: str, key: Key, item: JsonObject | None) -> None:
        known: dict[Key, JsonObject] = getattr(self._world, kind)
        if item is None:
            known.pop(key, None)
        else:
            known[key] = copy.deepcopy(item)

    def _count(self) -> None:
        """Count all requests up to now; changes of the world are applied at their own moments in between."""
        now = time.monotonic()
        self._pending.sort(key=lambda entry: entry[0])
        while self._pending and self._pending[0][0] <= now:
            when, apply = self._pending.pop(0)
            self._count_until(when)
            apply()
        self._count_until(now)

    def _count_until(self, when: float) -> None:
        seconds = when - self._counted_to
        if seconds <= 0:
            return
        self._counted_to = when
        for (name, labels), per_second in self._rates.items():
            self._registry.add(name, labels, per_second * seconds)
        for name, stream in self._streams.items():
            stream.owed += stream.flow.per_second * seconds
            whole = int(stream.owed)
            stream.owed -= whole
            if whole:
                self._send(name, stream, whole)

    def _send(self, name: str, stream: _Stream, count: int) -> None:
        found = self._targets(stream.flow)
        by_key = {target.key: target for target, _ in found}
        for key, number in stream.by_target.split(count, {target.key: share for target, share in found}).items():
            self._answer(name, stream.flow, by_key[key], number, self._behaviour(stream.flow, by_key[key], found), reporters=REPORTERS)
        for target, part in self._targets(stream.flow, copies):
            copied = self._spread("copied", name, target.key).split(count, {"": part, "not": 1.0 - part}).get("", 0)
            # The caller's proxy throws the answer to a copy away without a word: only the pod's own counts it.
            self._answer(
                f"{name} copied", stream.flow, target, copied, self._behaviour(stream.flow, target, found), reporters=("destination",)
            )

    def _behaviour(self, flow: Flow, target: Target, found: list[tuple[Target, float]]) -> Workload:
        behaviour = self._workloads.get(target.workload_key, Workload())
        return behaviour if self._fails(flow, target, behaviour, found) else replace(behaviour, error_rate=0.0)

    def _targets(self, flow: Flow, say: Callable[[Flow, World], list[tuple[Target, float]]] = targets) -> list[tuple[Target, float]]:
        try:
            return say(flow, self._world)
        except UnsupportedRouteError as error:
            problem = f"{flow.host}: {error}"
            if problem not in self.problems:
                self.problems.append(problem)
            return []

    def _answer(self, name: str, flow: Flow, target: Target, count: int, behaviour: Workload, *, reporters: tuple[str, ...]) -> None:
        """Count `count` requests of a flow at their target, by code and by latency; `reporters` hear of them."""
        errors = {"ok": 1.0 - behaviour.error_rate, "error": behaviour.error_rate}
        outcomes = {"lost": count} if target.flags else self._spread("outcome", name, target.key).split(count, errors)
        latencies = {str(value): share for value, share in behaviour.latency_ms.items()}
        for outcome, number in outcomes.items():
            code, grpc = _codes(flow, behaviour, outcome, target)
            spread = self._spread("latency", name, target.key, outcome).split(number, latencies)
            times = {0.0: number} if target.flags else {float(value): times for value, times in spread.items()}
            for reporter in reporters:
                if reporter not in behaviour.unseen_by and not (target.flags and reporter == "destination"):
                    self._count_istio(_istio_labels(flow, target, reporter, code, grpc), number, times)
            if self._application_metrics and not target.flags:
                self._count_application(target, code, number, times)
        for counter, per_request in behaviour.extra.items():
            self._registry.add(counter, _application_labels(target), per_request * count)

    def _spread(self, *key: str) -> Apportion:
        return self._spreads.setdefault(key, Apportion())

    def _count_istio(self, labels: Labels, number: int, times: Mapping[float, int]) -> None:
        self._registry.add("istio_requests_total", labels, number)
        for value, count in times.items():
            self._registry.observe("istio_request_duration_milliseconds", labels, LATENCY_BOUNDS_MS, value, count)

    def _count_application(self, target: Target, code: str, number: int, times: Mapping[float, int]) -> None:
        labels = _application_labels(target)
        self._registry.add("http_requests_total", labels_of({**dict(labels), "method": "GET", "status": code}), number)
        for value, count in times.items():
            self._registry.observe("http_request_duration_seconds", labels, SECONDS_BOUNDS, value / 1000.0, count)

    def page(self, path: str, accepts: str = "") -> tuple[int, str, bytes]:
        """Answer one GET: status, content type and body; protobuf where the header `Accept` names it."""
        if path.startswith("/probe/"):
            return self._probes.get(path.removeprefix("/probe/"), 404), TEXT, b"probe\n"
        if path != "/metrics":
            return 404, TEXT, b"only /metrics and /probe/NAME live here\n"
        fault = self._fault
        if fault is not None:
            time.sleep(fault[1])
            return fault[0], TEXT, b"this scrape fails on purpose\n"
        if protobuf.CONTENT_TYPE.partition(";")[0] in accepts:
            return 200, protobuf.CONTENT_TYPE, self.delimited()
        return 200, TEXT, self.text().encode()


class _Moment:
    """Holds the lock, with everything counted up to its beginning."""

    def __init__(self, lock: threading.RLock, count: Callable[[], None]) -> None:
        self._lock = lock
        self._count = count

    def __enter__(self) -> None:
        self._lock.acquire()
        self._count()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _share(target: Target, found: list[tuple[Target, float]]) -> float:
    """Of the target's workload."""
    return sum(share for one, share in found if one.workload_key == target.workload_key)


def _codes(flow: Flow, behaviour: Workload, outcome: str, target: Target) -> tuple[str, str]:
    """HTTP status and grpc_response_status of an outcome; the latter is empty on http flows."""
    if outcome == "lost":
        # Envoy translates its own 503 to UNAVAILABLE and its 404 to UNIMPLEMENTED for a gRPC caller.
        http, grpc = ("404", "12") if target.flags == "NR" else ("503", "14")
        return ("200", grpc) if flow.protocol == "grpc" else (http, "")
    if flow.protocol == "grpc":
        return "200", "0" if outcome == "ok" else str(behaviour.grpc_error)
    return ("200" if outcome == "ok" else str(behaviour.error_code)), ""


def _istio_labels(flow: Flow, target: Target, reporter: str, code: str, grpc: str) -> Labels:
    name, _, rest = target.host.partition(".")
    return labels_of(
        {
            "reporter": reporter,
            "source_workload": flow.source,
            "source_workload_namespace": flow.source_namespace,
            "destination_service": target.host,
            "destination_service_name": name,
            "destination_service_namespace": rest.partition(".")[0],
            "destination_workload": target.workload,
            "destination_workload_namespace": target.namespace,
            "destination_version": target.version,
            "destination_cluster": "unknown" if target.flags else CLUSTER,
            "request_protocol": flow.protocol,
            "response_code": code,
            "grpc_response_status": grpc,
            "response_flags": target.flags or "-",
        }
    )


def _application_labels(target: Target) -> Labels:
    service = target.host.partition(".")[0]
    return labels_of({"namespace": target.namespace, "service": service, "workload": target.workload, "version": target.version})


def _serve(exporter: Exporter) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, content = exporter.page(self.path, self.headers.get("Accept", ""))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """Say nothing: a scrape a second would drown the test's own output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    return server
