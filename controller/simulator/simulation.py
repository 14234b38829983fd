"""One simulated cluster under virtual time, with the production reconcile, adapters and work queue in it.

    users -> mesh (proxies) -> pods        people, faults
               ^                 ^              |
               | commits         | commits      v
           +---+-----------------+------ API server <---- reconcile <- work queue
           |                                                  |
           +-> invariants                     Prometheus <----+  (really evaluated)

One thread over the earliest next time of all parts. Nothing here decides anything about a release; the
same seed gives the same trace in another process.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from analysis.model import Series
from controller.adapters.marks import Deposed
from controller.ports import (
    RELEASE,
    Answer,
    AnswerFault,
    Kube,
    KubeError,
    Obj,
    Ports,
    ProbeResult,
    Prometheus,
    Settings,
)
from controller.reconcile import Key, Memo, Outcome, reconcile
from controller.runtime.owners import Owners
from controller.runtime.queue import WorkQueue
from controller.runtime.store import Change
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.storage import Commit
from controller.simulator.apiserver.store import ApiServer
from controller.simulator.forms import behaviour_of, metric_of, pod_behaviour, proxy_of, source_of, with_namespaces
from controller.simulator.mesh.mesh import Mesh, MeshSettings
from controller.simulator.mesh.traffic import Traffic, TrafficSettings
from controller.simulator.promql.engine import Engine
from controller.simulator.promql.provider import SimulatedPrometheus
from controller.simulator.promql.storage import Store
from controller.simulator.scenario import START, Scenario
from controller.simulator.workloads.behaviour import WorkloadSettings
from controller.simulator.workloads.client import ManagerKube
from controller.simulator.workloads.workloads import Workloads

WARM_SECONDS = 300.0
"""Users are there before the release: so long, so that windows look back on something."""

SETTLE_SECONDS = 60.0
"""The proxies know the world when the first users come."""

RETENTION_SECONDS = 4 * 3600.0
"""How long the simulated Prometheus keeps samples."""

MAX_LOOKS = 2_000_000
MAX_LOOKS_IN_AN_INSTANT = 2_000
"""A loop that never waits is a defect; it ends here instead of never."""


class SimulationError(Exception):
    """The scenario cannot be run; the sentence says why."""


class ControllerKilled(BaseException):
    """The controller's process ends here, in the middle of a look. No handler of the product may catch it."""


@dataclass(slots=True)
class VirtualClock:
    """Virtual time. `offset` is what the controller's clock is wrong by."""

    time: float
    offset: float = 0.0

    def now(self) -> float:
        """Unix seconds, as the controller sees them."""
        return self.time + self.offset

    def sleep(self, seconds: float) -> None:
        """Let virtual time pass; what is due meanwhile happens afterwards."""
        self.time += seconds


@dataclass(slots=True)
class SwitchedPrometheus:
    """The simulated Prometheus behind the faults of a scenario; `scrape` is called before it is asked.

    Attributes:
        fault: "" or the fault of every answer to `queries`, a pattern; it began at `since`.
        spoilt_at: when an answer last had no usable number because of it, by `clock`.
    """

    inner: Prometheus
    scrape: Callable[[], None]
    fault: str = ""
    since: float = 0.0
    queries: str = "*"
    asked: int = 0
    spoilt_at: float = -1.0
    clock: Callable[[], float] = lambda: 0.0

    def query(self, promql: str, time: float) -> Answer:
        """The inner answer, or what the fault makes of it."""
        self.asked += 1
        self.scrape()
        fault = self.fault if self.queries == "*" or fnmatchcase(promql, self.queries) else ""
        if fault and fault != "prometheus-stale":
            self.spoilt_at = self.clock()
        match fault:
            case "":
                return self.inner.query(promql, time)
            case "prometheus-down":
                return Answer(fault=AnswerFault.UNREACHABLE, message="connection refused")
            case "prometheus-slow":
                return Answer(fault=AnswerFault.TIMEOUT, message="no answer in time")
            case "prometheus-error":
                return Answer(fault=AnswerFault.SERVER_ERROR, message="500 internal server error")
            case "prometheus-empty":
                return replace(self.inner.query(promql, time), series=())
            case "prometheus-partial":
                return replace(self.inner.query(promql, time), warnings=("partial response",))
            case "prometheus-stale":
                return self.inner.query(promql, min(time, self.since))
            case "prometheus-many":
                answer = self.inner.query(promql, time)
                return replace(answer, series=(*answer.series, *valued(answer.series, 0.0)))
            case _:
                answer = self.inner.query(promql, time)
                return replace(answer, series=valued(answer.series, math.inf if fault == "prometheus-inf" else math.nan))


def valued(series: Iterable[Series], value: float) -> tuple[Series, ...]:
    """The same series with another value everywhere."""
    return tuple(replace(one, samples=tuple(replace(sample, value=value) for sample in one.samples)) for one in series)


@dataclass(slots=True)
class Providers:
    """Only the default provider."""

    default: Prometheus

    def provider(self, name: str) -> Prometheus | None:
        """The default one, under any of its names."""
        return self.default if name in ("", "default") else None


@dataclass(slots=True)
class SimulatedProber:
    """Health probes: as the pods do, unless a fault says otherwise."""

    healthy: Callable[[str], bool]

    def probe(self, url: str, *, timeout_seconds: float, status: int | None = None) -> ProbeResult:  # noqa: ARG002 - healthy ones answer 200
        """One GET."""
        ok = self.healthy(url)
        return ProbeResult(ok=ok, message="" if ok else "503 Service Unavailable", seconds=min(0.01, timeout_seconds))


@dataclass(order=True, slots=True)
class Event:
    """Something that happens at a time."""

    time: float
    order: int
    action: Callable[[], None] = field(compare=False)


class Simulation:
    """A cluster, its users and its controller.

    Args:
        scenario: users, versions, pods, metrics, scrape interval; faults and people are added by `run`.
        objects: the Kubernetes objects of the world and the plan, CRDs aside.
        crds: definitions that the server loads first.
        seed: of everything random.
    """

    def __init__(self, scenario: Scenario, objects: Iterable[Obj], crds: Iterable[Obj], *, seed: int = 0) -> None:
        self.scenario, self.seed = scenario, seed
        self.clock = VirtualClock(START - WARM_SECONDS)
        self.server = ApiServer(self.true_time)
        self.mesh = Mesh([proxy_of(users) for users in scenario.users], MeshSettings(seed=seed))
        self.workloads = Workloads(
            ManagerKube(self.server),
            WorkloadSettings(behaviours=[pod_behaviour(p) for p in scenario.pods], pods_per_replica_set=None if scenario.each_pod else 1),
        )
        self.store = Store(retention_seconds=RETENTION_SECONDS)
        self.engine = Engine(self.store)
        self.sources = [source_of(users) for users in scenario.users]
        self.traffic = Traffic(
            self.mesh,
            self.sources,
            self.store,
            behaviours=[behaviour_of(version) for version in scenario.versions],
            app_metrics=[metric_of(metric) for metric in scenario.metrics],
            settings=TrafficSettings(start=START, since=self.clock.time + SETTLE_SECONDS, seed=seed, fluid=not scenario.random),
        )
        self.prometheus = SwitchedPrometheus(
            SimulatedPrometheus(self.engine, self.true_time), lambda: self._scrape(self.clock.time), clock=self.true_time
        )
        self.failing_probes: set[str] = set()
        self.queue = WorkQueue(self.clock.now, self.true_time)
        self.owners = Owners()
        self.memo = Memo()
        self.kube: Kube = InMemoryKube(self.server)
        self.cache: Kube = self.kube
        self.epoch = 1
        self.leaderless_since: float | None = None
        self.wake_delays: tuple[float, ...] = (0.0,)
        self.schema_problem = ""
        self.replicas: object = None
        self.looks = 0
        self._instant, self._in_this_instant = 0.0, 0
        self.cache_lag = 0.0
        self.sayings: list[tuple[float, str]] = []
        self.on_look: list[Callable[[Key, Outcome], None]] = []
        self._events: list[Event] = []
        self._order = itertools.count()
        self._next_scrape = self.clock.time
        self._pods_first = False
        self.server.on_commit(self._committed)
        self.server.load(crds)
        self.server.load(with_namespaces(objects))
        self.workloads.settle(self.clock.time)
        self.mesh.advance(self.clock.time + SETTLE_SECONDS)
        self.mesh.settle(self.clock.time)
        self._run_until(START)

    def true_time(self) -> float:
        """Virtual time itself, which only the controller's clock may be wrong about."""
        return self.clock.time

    @property
    def ports(self) -> Ports:
        """What the controller gets of this world."""
        return Ports(
            kube=self.kube,
            prometheus=Providers(self.prometheus),
            prober=SimulatedProber(self._healthy),
            clock=self.clock,
            epoch=self.epoch,
            schema_problem=lambda: self.schema_problem,
            settings=Settings(),
        )

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Have something happen at a time (Unix seconds)."""
        heapq.heappush(self._events, Event(time, next(self._order), action))

    def restart_controller(self) -> None:
        """A new leader: nothing remembered, a higher epoch, every release looked at."""
        self.leaderless_since = None
        self.memo = Memo()
        self.epoch += 1
        self.queue = WorkQueue(self.clock.now, self.true_time)
        self.queue_everything()

    def queue_everything(self) -> None:
        """Have every unfinished release looked at: a restart, or a clock that jumped."""
        for key in sorted(self.owners.unfinished()):
            self.queue.add(key)

    def wake(self, key: Key) -> None:
        """A watch tells of a change that concerns a release; `wake_delays` are those with which it does, none where it is silent."""
        for delay in self.wake_delays:
            if delay:
                self.queue.add_after(key, delay)
            else:
                self.queue.add(key)

    def say(self, what: str) -> None:
        """A line of the transcript that is not the controller's."""
        self.sayings.append((self.clock.time, what))

    def release(self, key: Key) -> Obj | None:
        """A Release as it is stored."""
        try:
            return InMemoryKube(self.server, user="observer").get(RELEASE, *key)
        except KubeError:
            return None

    def run_until(self, time: float, done: Callable[[], bool]) -> None:
        """Let time pass until `done` or until `time`."""
        self._run_until(time, done)

    def _run_until(self, time: float, done: Callable[[], bool] | None = None) -> None:
        while self.clock.time < time:
            if self._work(done):
                return
            upcoming = self._next_time()
            self.clock.time = max(self.clock.time, min(upcoming, time))
            self._happen()

    def _next_time(self) -> float:
        acting = None if self.leaderless_since is not None else self.queue.next_time()
        times = [acting, self.mesh.next_event_time(), self.workloads.next_event_time()]
        if self._events:
            times.append(self._events[0].time)
        return min((t for t in times if t is not None), default=math.inf)

    def _happen(self) -> None:
        """Everything that is due now, in a fixed order: pods, mesh, scrape, people and faults."""
        now = self.clock.time
        if any(time is not None and time <= now for time in (self.mesh.next_event_time(), self.workloads.next_event_time())):
            self._scrape(now, now_too=False)
            self._pods_first = True
            self.workloads.advance(now)
            self.mesh.advance(now)
            self._pods_first = False
        while self._events and self._events[0].time <= now:
            self._scrape(now)
            heapq.heappop(self._events).action()

    def _scrape(self, now: float, *, now_too: bool = True) -> None:
        """Take the scrapes that are due, before anything changes that they would show, or anybody asks for them.

        Between two changes every one is a multiplication, whenever it is made; samples that the store would have
        dropped by now are never made.
        """
        if self._next_scrape + RETENTION_SECONDS < now:
            missed = int((now - RETENTION_SECONDS - self._next_scrape) // self.scenario.scrape)
            self._next_scrape += missed * self.scenario.scrape
        while self._next_scrape < now or (now_too and self._next_scrape == now):
            self.traffic.scrape(self._next_scrape)
            self.store.trim_sometimes(self._next_scrape)
            self._next_scrape += self.scenario.scrape

    def _work(self, done: Callable[[], bool] | None) -> bool:
        """Every release that is due; True where the caller's end is reached."""
        while self.leaderless_since is None and (key := self.queue.next_ready(self.clock.time)) is not None:
            self.look(key)
            if done is not None and done():
                return True
            if self._next_time() < self.clock.time:
                self._happen()
        return False

    def look(self, key: Key) -> Outcome:
        """One reconcile, and what the queue does with its outcome."""
        self.looks += 1
        self._in_this_instant = self._in_this_instant + 1 if self.clock.time == self._instant else 1
        self._instant = self.clock.time
        if self.looks > MAX_LOOKS or self._in_this_instant > MAX_LOOKS_IN_AN_INSTANT:
            raise SimulationError(f"the controller looked {self.looks} times, {self._in_this_instant} in this instant: it never waits")
        queue = self.queue  # of this leader: another one, that took over in the middle of this look, has its own
        try:
            outcome = reconcile(key, self.ports, self.memo, cache=self.cache)
        except Deposed as stop:
            outcome = Outcome(error=str(stop))
        except ControllerKilled:
            self.say("the controller is killed and starts again")
            self.restart_controller()
            return Outcome(error="killed")
        queue.done(key)
        if outcome.error:
            queue.retry(key, urgent=outcome.urgent)
        else:
            queue.forget_failures(key)
        if outcome.again:
            queue.add(key, urgent=outcome.urgent)
        if outcome.wake_at is not None:
            queue.add_at(key, outcome.wake_at, urgent=outcome.urgent)
        for listener in self.on_look:
            listener(key, outcome)
        return outcome

    def _committed(self, commit: Commit) -> None:
        now = self.clock.time
        if not self._pods_first:
            self._scrape(now)
        self.mesh.apply(commit.kind, commit.old, commit.new, now)
        self.workloads.apply(commit.kind, commit.old, commit.new, now)
        meta = commit.last["metadata"]
        change = Change((meta.get("namespace", ""), meta["name"]), commit.old, commit.new)
        for key in sorted(self.owners.concerned(commit.kind, change, ours=commit.field_manager == "penstock")):
            self.wake(key)

    def _healthy(self, url: str) -> bool:
        return not any(host in url for host in self.failing_probes)
