"""Users who send requests, and the counters that their requests leave behind.

Between two changes (of a proxy, a behaviour, the rate) every share is constant, so that a step is a
multiplication for each label set. Either fluid (expected counts, fractions included) or random (seeded
draws, whole requests). Traffic never decides anything: it reads the mesh and fills the sink.
"""

import math
import random
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from controller.adapters.istio.routing_model import Pod, ProxyType
from controller.simulator.mesh.answers import Outcome, Request
from controller.simulator.mesh.app_metrics import Adds, AppMetric, AppSeries
from controller.simulator.mesh.behaviour import OWN_ANSWER, Behaviour, Latency, Steps, behaviour_for
from controller.simulator.mesh.draws import binomial, poisson, split
from controller.simulator.mesh.mesh import Mesh, ProxyState
from controller.simulator.mesh.metrics import ISTIO_EDGES, UNKNOWN, Handle, Shape, Sink, Stream, destination_labels

GrpcStatus = str
TICK_SECONDS = 1e-6
"""Unix seconds have no room for the last digits of a scenario's second: a step must not be missed for them."""
RETRY_ATTEMPTS = 2
"""Istio's default: two more attempts, of the application's answers only for 503."""


@dataclass(frozen=True, slots=True)
class Source:
    """Users behind one proxy who send one sort of request.

    Attributes:
        proxy: name of the mesh's proxy that takes their requests.
        rate: requests per second over the scenario's time.
        workload: what Istio reports as source_workload; the proxy's name by default.
        grpc: whether the requests are gRPC (always HTTP 200, the status apart).
    """

    name: str
    proxy: str
    request: Request
    rate: Steps[float] | Callable[[float], float]
    workload: str = ""
    grpc: bool = False


@dataclass(frozen=True, slots=True)
class TrafficSettings:
    """How traffic is counted.

    Attributes:
        start: Unix seconds at which the scenario's time is 0.
        since: Unix seconds from which users are there; from `start` if absent.
        seed: of the random mode.
        fluid: expected counts instead of draws.
        retries: whether Istio's default retries happen.
        histogram_lag_seconds: how far histograms lag behind counters (Envoy flushes every 5 s).
        per_pod: every pod has series of its own; otherwise one pod of each version reports for all.
        reporters: whose series are written.
        cluster: the value of destination_cluster.
    """

    start: float = 0.0
    since: float | None = None
    seed: int = 0
    fluid: bool = True
    retries: bool = True
    histogram_lag_seconds: float = 0.0
    per_pod: bool = False
    reporters: tuple[str, ...] = ("source", "destination")
    cluster: str = "Kubernetes"


@dataclass(frozen=True, slots=True)
class _Branch:
    """One way in which a request can end: its probability, and what it adds to which streams."""

    probability: float
    adds: tuple[tuple[Stream, float, Shape | None], ...]


@dataclass(slots=True)
class _Flow:
    """A source's present state: constant until `valid_until` or until its proxy changes."""

    source: Source
    proxy: ProxyState
    time: float
    version: int = -1
    pods: object = None
    valid_until: float = -math.inf
    branches: tuple[_Branch, ...] = ()
    copies: tuple[_Branch, ...] = ()
    rng: random.Random = field(default_factory=random.Random)


@dataclass(frozen=True, slots=True)
class Group:
    """Pods of one version behind one service: what they get of a source's requests."""

    pod: Pod
    host: str
    share: float
    retried: bool


class Traffic:
    """All sources of a scenario.

    Args:
        mesh: where requests go.
        sources: who sends them.
        sink: where series go.
        behaviours: what applications do; the first that covers a pod counts.
        app_metrics: further series of the applications.
    """

    def __init__(
        self,
        mesh: Mesh,
        sources: Sequence[Source],
        sink: Sink,
        *,
        behaviours: Sequence[Behaviour] = (),
        app_metrics: Sequence[AppMetric] = (),
        settings: TrafficSettings | None = None,
    ) -> None:
        self.settings = settings or TrafficSettings()
        self._mesh, self._sink, self._behaviours = mesh, sink, tuple(behaviours)
        start = self.settings.start
        since = start if self.settings.since is None else self.settings.since
        self._flows = [_Flow(s, mesh.proxies[s.proxy], since, rng=random.Random(f"{self.settings.seed}/{s.name}")) for s in sources]  # noqa: S311 - a simulation
        self._streams: dict[tuple[object, ...], Stream] = {}
        self._shapes: dict[tuple[Latency, tuple[float, ...], float], Shape] = {}
        self._first: dict[tuple[str, str, str, str], float] = {}
        self._reporter: dict[tuple[str, str, str, str], Pod] = {}
        self._apps = AppSeries(sink, app_metrics, start)
        self._up: dict[str, Handle] = {}
        self._pods_seen: object = None
        self._last_scrape = start
        mesh.before_proxy_update(self._before_update)

    def advance(self, now: float) -> None:
        """Count everything until `now`. The mesh must have been advanced as far."""
        for flow in self._flows:
            self._run(flow, now)

    def scrape(self, now: float, *, skip: Container[str] = ()) -> None:
        """Count until `now` and append one sample to every series; `skip` names targets (`namespace/pod`) that do not answer."""
        self.advance(now)
        if self._mesh.world.pods is not self._pods_seen:
            self._forget_pods(now)
        time_ms = round(now * 1000)
        step = now - self._last_scrape
        lag = min(1.0, self.settings.histogram_lag_seconds / step) if step > 0 else 0.0
        self._last_scrape = now
        for stream in self._streams.values():
            if stream.target not in skip:
                stream.expose(time_ms, lag)
        self._apps.expose(self._mesh.world.pods, now, skip)
        for target, handle in self._up.items():
            handle.append(time_ms, 0.0 if target in skip else 1.0)

    def change_behaviours(self, behaviours: Sequence[Behaviour], now: float) -> None:
        """From now on the applications behave like this."""
        self.advance(now)
        self._behaviours = tuple(behaviours)
        for flow in self._flows:
            flow.version = -1

    def reset_counters(self, now: float) -> None:
        """Every process that exposes counters starts anew: they begin at zero."""
        self.advance(now)
        for stream in self._streams.values():
            stream.reset()
        self._apps.reset_counters()

    def shares(self, source: str) -> Mapping[tuple[str, str], float]:
        """What part of a source's requests each workload (namespace, name) answers now; ("", flag) for the proxy's errors."""
        flow = next(flow for flow in self._flows if flow.source.name == source)
        found: dict[tuple[str, str], float] = {}
        for outcome in flow.proxy.answer(flow.source.request):
            key = ("", outcome.flag) if outcome.pod is None else (outcome.pod.namespace, outcome.pod.workload)
            found[key] = found.get(key, 0.0) + outcome.fraction
        return found

    def _before_update(self, state: ProxyState, time: float) -> None:
        for flow in self._flows:
            if flow.proxy is state:
                self._run(flow, time)

    def _run(self, flow: _Flow, now: float) -> None:
        while flow.time < now:
            if flow.version != flow.proxy.version or flow.time >= flow.valid_until or flow.pods is not self._mesh.world.pods:
                self._compile(flow)
            end = min(now, flow.valid_until)
            rate = flow.source.rate
            seconds = flow.time - self.settings.start
            per_second = rate.at(seconds + TICK_SECONDS) if isinstance(rate, Steps) else rate(seconds + (end - flow.time) / 2)
            requests = per_second * (end - flow.time)
            if self.settings.fluid:
                for branch in (*flow.branches, *flow.copies):
                    part = requests * branch.probability
                    for stream, times, shape in branch.adds:
                        stream.add(part * times, shape)
            else:
                self._draw(flow, requests)
            flow.time = end

    def _draw(self, flow: _Flow, expected: float) -> None:
        drawn = poisson(flow.rng, expected)
        counts = split(flow.rng, drawn, [branch.probability for branch in flow.branches])
        counts += [binomial(flow.rng, drawn, min(1.0, copy.probability)) for copy in flow.copies]
        for branch, requests in zip((*flow.branches, *flow.copies), counts, strict=True):
            if requests:
                for stream, times, shape in branch.adds:
                    stream.add(requests * times, shape)

    def _compile(self, flow: _Flow) -> None:
        """Turn the proxy's present answers into branches, and find out how long they hold."""
        flow.version, flow.pods = flow.proxy.version, self._mesh.world.pods
        seconds = flow.time + TICK_SECONDS - self.settings.start
        rate = flow.source.rate
        until = [rate.next_change(seconds) + self.settings.start] if isinstance(rate, Steps) else []
        outcomes = self._reached(flow.proxy.answer(flow.source.request))
        branches = [self._own_answer(flow.source, outcome) for outcome in outcomes if outcome.pod is None]
        for group in self._groups(outcomes):
            branches.extend(self._of_group(flow, group, until, copied=False))
        copies: list[_Branch] = []
        for group in self._groups(self._reached(flow.proxy.mirrored(flow.source.request))):
            copies.extend(self._of_group(flow, group, until, copied=True))
        flow.copies = tuple(copies)
        flow.branches = tuple(branches)
        flow.valid_until = min((t for t in until if t > flow.time), default=math.inf)

    def _lives(self, pod: Pod) -> bool:
        """Whether a pod still exists; endpoints without a pod object always do."""
        if not pod.uid:
            return True
        found = self._mesh.world.pods.get(pod.namespace, pod.name)
        return found is not None and found.uid == pod.uid

    def _reached(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """What becomes of requests to pods that are gone while the proxy still has their addresses.

        Istio's default retries take them to another pod of the same cluster; where there is none, the connection fails.
        """
        dead = [outcome for outcome in outcomes if outcome.pod is not None and not self._lives(outcome.pod)]
        if not dead:
            return list(outcomes)
        found = [outcome for outcome in outcomes if outcome not in dead]
        for cluster in dict.fromkeys(outcome.cluster for outcome in dead):
            lost = sum(outcome.fraction for outcome in dead if outcome.cluster == cluster)
            others = [i for i, outcome in enumerate(found) if outcome.cluster == cluster and outcome.pod is not None and outcome.retried]
            for index in others:
                found[index] = replace(found[index], fraction=found[index].fraction + lost / len(others))
            if not others:
                found.append(Outcome(lost, 503, "UF", cluster))
        return found

    def _of_group(self, flow: _Flow, group: Group, until: list[float], *, copied: bool) -> Iterator[_Branch]:
        """The branches of one version; the times at which its behaviour changes go to `until`."""
        behaviour = behaviour_for(self._behaviours, group.pod, group.share)
        first = self._first.setdefault(_key(group.pod), flow.time)
        zero = first if behaviour.since_first_request else self.settings.start
        seconds = flow.time + TICK_SECONDS - zero
        steps = (behaviour.error_rate, behaviour.latency, behaviour.error_latency or behaviour.latency)
        until.extend(step.next_change(seconds) + zero for step in steps)
        return self._answers_of(flow.source, group, behaviour, seconds, copied=copied)

    def _groups(self, outcomes: Sequence[Outcome]) -> Iterator[Group]:
        found: dict[tuple[object, ...], list[Outcome]] = {}
        for outcome in outcomes:
            if outcome.pod is not None:
                host = outcome.cluster.host if outcome.cluster else UNKNOWN
                found.setdefault((*_key(outcome.pod), host, outcome.pod.name if self.settings.per_pod else ""), []).append(outcome)
        for members in found.values():
            pods = [outcome.pod for outcome in members if outcome.pod is not None]
            pod = pods[0] if self.settings.per_pod else self._representative(pods)
            host = members[0].cluster.host if members[0].cluster else UNKNOWN
            yield Group(pod, host, sum(outcome.fraction for outcome in members), members[0].retried)

    def _representative(self, pods: Sequence[Pod]) -> Pod:
        """The pod that reports for its version: the same one as long as it lives, so that its counters go on."""
        key = _key(pods[0])
        known = self._reporter.get(key)
        if known is None or not self._lives(known):
            known = self._reporter[key] = min(pods, key=lambda pod: pod.name)
        return known

    def _own_answer(self, source: Source, outcome: Outcome) -> _Branch:
        """What the proxy answers itself. The Service is named by the cluster; without one a sidecar names the host that was asked for."""
        asked = UNKNOWN if self._mesh.proxies[source.proxy].proxy.type is ProxyType.ROUTER else source.request.host
        host = outcome.cluster.host if outcome.cluster is not None and outcome.flag != "NC" else asked
        stream = self._stream("source", source, None, host, (outcome.code, outcome.flag, "14" if source.grpc else ""))
        adds = ((stream, 1.0, self._shape(OWN_ANSWER)),) if stream else ()
        return _Branch(outcome.fraction, adds)

    def _answers_of(self, source: Source, group: Group, behaviour: Behaviour, seconds: float, *, copied: bool) -> Iterator[_Branch]:
        """Good and failed requests of a version, as the source sees them after retries and as the pods see them.

        Of copied requests nobody sees the answers, so that only the pods count them.
        """
        failing = min(max(behaviour.error_rate.at(seconds), 0.0), 1.0)
        good_shape = behaviour.latency.at(seconds)
        bad_shape = (behaviour.error_latency or behaviour.latency).at(seconds)
        good_end = (200, "-", "0" if source.grpc else "")
        bad_end = (200, "-", str(behaviour.grpc_status)) if source.grpc else (behaviour.error_code, "-", "")
        again = RETRY_ATTEMPTS if self.settings.retries and group.retried and behaviour.error_code == 503 and not source.grpc else 0  # noqa: PLR2004
        failed = failing ** (again + 1)
        attempts_failed = sum(failing**i for i in range(1, again + 2))
        hidden = (attempts_failed - (again + 1) * failed) / (1 - failed) if failed < 1 else 0.0
        for probability, end, latency, good, bad in (
            (1 - failed, good_end, good_shape, 1.0, hidden),
            (failed, bad_end, bad_shape, 0.0, again + 1.0),
        ):
            if probability <= 0:
                continue
            shape = self._shape(latency)
            adds = [] if copied else [(self._stream("source", source, group.pod, group.host, end), 1.0, shape)]
            adds.append((self._stream("destination", source, group.pod, group.host, good_end), good, self._shape(good_shape)))
            adds.append((self._stream("destination", source, group.pod, group.host, bad_end), bad, self._shape(bad_shape)))
            kept: Adds = [(stream, times, cut) for stream, times, cut in adds if stream is not None and times > 0]
            kept += self._apps.per_request(group.pod, good, bad, partial(self._shape, latency))
            yield _Branch(probability * group.share, tuple(kept))

    def _shape(self, latency: Latency, edges: tuple[float, ...] = ISTIO_EDGES, unit_ms: float = 1.0) -> Shape:
        key = (latency, edges, unit_ms)
        found = self._shapes.get(key)
        if found is None:
            found = self._shapes[key] = Shape(latency, edges, unit_ms)
        return found

    def _stream(self, reporter: str, source: Source, pod: Pod | None, host: str, end: tuple[int, str, GrpcStatus]) -> Stream | None:
        if reporter not in self.settings.reporters:
            return None
        who = None if pod is None else (pod.namespace, pod.name, pod.uid) if reporter == "destination" else _told_by_source(pod)
        key = (reporter, source.proxy, source.workload, source.grpc, who, host, end)
        found = self._streams.get(key)
        if found is None:
            found = self._streams[key] = self._new_stream(reporter, source, pod, host, end)
        return found

    def _new_stream(self, reporter: str, source: Source, pod: Pod | None, host: str, end: tuple[int, str, GrpcStatus]) -> Stream:
        proxy = self._mesh.proxies[source.proxy].proxy
        at = pod if reporter == "destination" and pod is not None else None
        place = (at.namespace, at.name) if at is not None else (proxy.namespace, proxy.name)
        target = "/".join(place)
        if target not in self._up:
            self._up[target] = self._sink.series({"__name__": "up", "job": "envoy-stats", "namespace": place[0], "pod": place[1]})
        labels = {
            "reporter": reporter,
            "job": "envoy-stats",
            "namespace": place[0],
            "pod": place[1],
            "source_workload": source.workload or proxy.name,
            "source_workload_namespace": proxy.namespace,
            "source_app": proxy.labels.get("app", UNKNOWN),
            "response_code": str(end[0]),
            "response_flags": end[1],
            "request_protocol": "grpc" if source.grpc else "http",
            "connection_security_policy": "mutual_tls" if at is not None else UNKNOWN,
            **destination_labels(pod, host, self._mesh.settings.cluster_domain, self.settings.cluster),
        }
        if source.grpc:
            labels["grpc_response_status"] = end[2]
        uid = at.uid if at is not None else ""
        return Stream(
            self._sink, labels, target=target, uid=uid, name="istio_requests_total", histogram="istio_request_duration_milliseconds"
        )

    def _forget_pods(self, now: float) -> None:
        """End the series of pods that are gone."""
        self._pods_seen = pods = self._mesh.world.pods
        places = [state.proxy for state in self._mesh.proxies.values()]
        living = {f"{place.namespace}/{place.name}" for place in (*pods, *places)}
        # A pod that came back under its old name is another one: its counters begin at 0.
        uids = {pod.uid for pod in pods} | {""}
        gone = {key: stream for key, stream in self._streams.items() if stream.target not in living or stream.uid not in uids}
        for key, stream in gone.items():
            stream.end(round(now * 1000))
            del self._streams[key]
        for target in [target for target in self._up if target not in living]:
            self._up.pop(target).mark_stale(round(now * 1000))
        if gone:
            for flow in self._flows:
                flow.version = -1


def _told_by_source(pod: Pod) -> tuple[str | None, ...]:
    """What a source's series tell of a pod: pods of one version share one series there, which no pod's end interrupts."""
    named = ("app", "service.istio.io/canonical-name", "service.istio.io/canonical-revision", "version")
    return pod.namespace, pod.workload, *(pod.labels.get(label) for label in named)


def _key(pod: Pod) -> tuple[str, str, str, str]:
    return pod.namespace, pod.workload, pod.labels.get("version", ""), pod.labels.get("pod-template-hash", "")
