"""The simulated cluster in real time, served over HTTP on loopback: what the sandbox and the demo stand on.

    kubectl, penstock --> API server        pods, endpoints, garbage
    controller (a process of its own) ---->      |  commits  ^
         |                                       v           |
         +--> Prometheus <-- scrapes -- users -> mesh -> versions that behave
         +--> probe proxy

The parts are the simulator's own; only the one who drives them differs: a thread that lets everything happen when it is
due by the wall clock. A scenario may be told faster (`divisor`); then the controller must divide its plans by the same
number. Nothing here knows the controller or decides anything about a release.
"""

import copy
import itertools
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from controller.adapters.istio.routing_parse import UNSUPPORTED, unsupported
from controller.ports import POD, RELEASE, Obj
from controller.simulator.apiserver.errors import ApiError
from controller.simulator.apiserver.http import HttpFront
from controller.simulator.apiserver.options import Attempt
from controller.simulator.apiserver.storage import Commit
from controller.simulator.apiserver.store import ApiServer
from controller.simulator.apiserver.wire import HttpServer
from controller.simulator.definitions import all_definitions, load_objects
from controller.simulator.embedded_http import ProbeProxy, PrometheusFront
from controller.simulator.embedded_story import arrange
from controller.simulator.embedded_time import hastened
from controller.simulator.forms import behaviour_of, metric_of, pod_behaviour, proxy_of, source_of, with_namespaces
from controller.simulator.mesh.mesh import Mesh, MeshSettings
from controller.simulator.mesh.traffic import Traffic, TrafficSettings
from controller.simulator.promql.api import HttpApi
from controller.simulator.promql.engine import Engine
from controller.simulator.promql.storage import Store
from controller.simulator.scenario import Scenario
from controller.simulator.workloads.behaviour import PodBehaviour, WorkloadSettings
from controller.simulator.workloads.client import ManagerKube
from controller.simulator.workloads.workloads import Workloads

WARM_SECONDS = 300.0
"""Scenario seconds for which users have been there before the cluster is served, so that windows look back on something."""

LONGEST_SLEEP_SECONDS = 0.5
LATE_SECONDS = 5.0
"""A machine that slept longer than this has missed its scrapes, as a Prometheus on it would have."""

RETENTION_SECONDS = 4 * 3600.0


class EmbeddedCluster:
    """API server, workloads, mesh, users and Prometheus; a context manager that serves them.

    Args:
        scenario: users, versions, pods, metrics, scrape interval.
        objects: what stands in the cluster at the beginning.
        divisor: how much faster than real time the scenario is told.
        seed: of everything random.

    Attributes:
        server: the store behind the API.
        prometheus: the front of Prometheus, with the switch for its faults.
        probes: the proxy for health probes, with the switch for its faults.
        on_say: told of the scenario's faults and deeds.
        kill_controller: what ends the controller's process, for a scenario that wants it.
        outside: namespaces whose pods have no part in the scenario: no metrics, nobody asks them anything.
        defect: what ended the driving thread, None while all is well.
    """

    def __init__(self, scenario: Scenario, objects: Iterable[Obj], *, divisor: float = 1.0, seed: int = 0) -> None:
        self.divisor = divisor
        self.scenario = hastened(scenario, divisor)
        self.defect: Exception | None = None
        self.outside: frozenset[str] = frozenset()
        self._past: float | None = time.time() - WARM_SECONDS / divisor
        self._lock = threading.RLock()
        self._stop = False
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.server = ApiServer(self.now)
        self.mesh = Mesh([proxy_of(users) for users in self.scenario.users], mesh_settings(divisor, seed))
        self.workloads = Workloads(ManagerKube(self.server), self._workload_settings())
        self.store = Store(retention_seconds=RETENTION_SECONDS)
        self.traffic = Traffic(
            self.mesh,
            [source_of(users) for users in self.scenario.users],
            self.store,
            behaviours=[behaviour_of(version) for version in self.scenario.versions],
            app_metrics=[metric_of(metric) for metric in self.scenario.metrics],
            settings=TrafficSettings(start=self.now(), seed=seed, fluid=not scenario.random),
        )
        self._next_scrape = self.now()
        self.prometheus = PrometheusFront(HttpApi(Engine(self.store), time.time), self._lock)
        self.probes = ProbeProxy(self.server)
        self.on_say: Callable[[str], None] | None = None
        self.kill_controller: Callable[[], None] | None = None
        self._story_begun = False
        self._begin(objects)
        self._front = HttpFront(self.server)
        self._prometheus_http = HttpServer(self.prometheus.handle)
        self._proxy_http = HttpServer(self.probes.handle)
        self._driver = threading.Thread(target=self._drive, name="embedded-cluster", daemon=True)

    @classmethod
    def of(cls, scenario: Scenario, folder: Path, *, divisor: float = 1.0, seed: int = 0) -> Self:
        """The cluster of a scenario whose files are named relative to `folder`."""
        objects = [*load_objects(folder / scenario.world), *load_objects(folder / scenario.plan)]
        return cls(scenario, objects, divisor=divisor, seed=seed)

    def now(self) -> float:
        """Unix seconds: the wall clock, but for the past that is made up before the cluster is served."""
        return time.time() if self._past is None else self._past

    def __enter__(self) -> Self:
        """Serve, and let time pass."""
        self._front.start()
        self._prometheus_http.start()
        self._proxy_http.start()
        self._driver.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._front.stop()
        self._prometheus_http.stop()
        self._proxy_http.stop()
        self._driver.join(5.0)

    @property
    def api_url(self) -> str:
        """Address of the API server."""
        return self._front.url

    @property
    def prometheus_url(self) -> str:
        """Address of Prometheus."""
        return f"http://{self._prometheus_http.host}:{self._prometheus_http.port}"

    @property
    def probe_proxy_url(self) -> str:
        """Address of the proxy for health probes."""
        return f"http://{self._proxy_http.host}:{self._proxy_http.port}"

    def kubeconfig(self, namespace: str = "default") -> dict[str, Any]:
        """A kubeconfig; everyone is admin."""
        config = copy.deepcopy(self._front.kubeconfig())
        config["contexts"][0]["context"]["namespace"] = namespace
        return config

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Have something happen at a time (Unix seconds), on the driving thread and under the server's lock."""
        with self.server.changed:
            self._events.append((when, next(self._order), action))
            self._events.sort(key=lambda event: event[:2])
            self.server.changed.notify_all()

    # The past, made up before the first client comes.

    def _begin(self, objects: Iterable[Obj]) -> None:
        """Load the world, settle it, and let its users send requests until now."""
        self.server.on_commit(self._committed)
        self.server.load(all_definitions())
        self.server.load(with_namespaces(objects))
        self.server.admission = self._admit
        begun = self.now()
        self.workloads.settle(begun)
        self.mesh.settle(begun)
        present = time.time()
        while (due := self._next_time()) < present:
            self._past = max(self.now(), due)
            self._happen(self.now())
        self._past = None

    def _workload_settings(self) -> WorkloadSettings:
        """The scenario's pods; others need five scenario seconds to become ready. Every pod is an object of its own."""
        usual = PodBehaviour(ready_seconds=5.0 / self.divisor)
        named = [pod_behaviour(pods) for pods in self.scenario.pods]
        restarts = tuple(seconds / self.divisor for seconds in WorkloadSettings().restart_seconds)
        return WorkloadSettings(behaviours=[*named, usual], reaction_seconds=min(0.05, 1.0 / self.divisor), restart_seconds=restarts)

    # Time.

    def _drive(self) -> None:
        """Let everything happen when it is due, until the end."""
        try:
            while not self._stop:
                with self.server.changed:
                    self._catch_up(time.time())
                    left = self._next_time() - time.time()
                    if left > 0:
                        self.server.changed.wait(min(left, LONGEST_SLEEP_SECONDS))
        except Exception as defect:  # noqa: BLE001 - the boundary of the thread; whoever serves the cluster looks at it
            self.defect = defect

    def _catch_up(self, now: float) -> None:
        """Everything that is due by now, in order of time."""
        if now - self._next_scrape > LATE_SECONDS:
            self._next_scrape = now
        while (due := self._next_time()) <= now:
            self._happen(due)

    def _next_time(self) -> float:
        times = [self._next_scrape, self.mesh.next_event_time(), self.workloads.next_event_time()]
        if self._events:
            times.append(self._events[0][0])
        return min(found for found in times if found is not None)

    def _happen(self, now: float) -> None:
        """Pods, mesh, scrape, deeds that are due at one moment, in this order."""
        with self._lock:
            self.workloads.advance(now)
            self.mesh.advance(now)
            if self._next_scrape <= now:
                self.traffic.scrape(self._next_scrape)
                self.store.trim_sometimes(now)
                self._next_scrape += self.scenario.scrape
        while self._events and self._events[0][0] <= now:
            self._events.pop(0)[2]()

    # Commits.

    def _committed(self, commit: Commit) -> None:
        """News for the mesh and for the controller manager."""
        now = self.now()
        with self._lock:
            if commit.kind != POD or commit.last["metadata"]["namespace"] not in self.outside:
                self.mesh.apply(commit.kind, commit.old, commit.new, now)
            self.workloads.apply(commit.kind, commit.old, commit.new, now)
            if not self._story_begun and commit.kind == RELEASE and commit.old is None:
                self._begin_story(commit.last, now)

    def _begin_story(self, release: Obj, now: float) -> None:
        """The first release: times of the scenario are counted from here on."""
        self._story_begun = True
        self.traffic.advance(now)
        self.traffic.settings = replace(self.traffic.settings, start=now)
        self.traffic.change_behaviours([behaviour_of(version) for version in self.scenario.versions], now)
        meta = release["metadata"]
        arrange(self, (meta["namespace"], meta["name"]), str(release["spec"].get("plan", "")))

    def release(self, key: tuple[str, str]) -> Obj | None:
        """A Release as it is stored."""
        try:
            return self.server.get(RELEASE, *key)
        except ApiError:
            return None

    def say(self, what: str) -> None:
        """A word to those who watch."""
        if self.on_say is not None:
            self.on_say(what)

    @staticmethod
    def _admit(attempt: Attempt) -> Obj | None:
        """Refuse what the simulated mesh would have to ignore."""
        refused = unsupported(attempt.kind.kind, attempt.new) if attempt.new is not None else None
        if refused is not None:
            raise ApiError(422, f"{refused} is not in the sandbox: {UNSUPPORTED[refused]}")
        return attempt.new


def mesh_settings(divisor: float, seed: int) -> MeshSettings:
    """The control plane, as much faster as the scenario."""
    usual = MeshSettings()
    return MeshSettings(
        seed=seed,
        quiet_seconds=usual.quiet_seconds / divisor,
        longest_seconds=usual.longest_seconds / divisor,
        restart_seconds=usual.restart_seconds / divisor,
    )
