"""A real API server with a fleet of applications on it, the stub Prometheus, and the production controller as a process.

    with Fleet() as fleet:
        fleet.build(range(400))
        fleet.start_controller()
        fleet.release(range(400), "v2")

Everything is made through the API and brought to its state by the controller itself. Talks to stderr.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

from bench.fleet_objects import Object, application, green_of, name_of, namespace_of, release
from bench.measures import stamp
from controller.cli import install_objects
from tests.bed.cluster import Bed
from tests.bed.nodes import NodeSimulator
from tests.bed.processes import PortLease, Program, scratch_folder

ROOT = Path(__file__).parents[1]
CONTROLLER = "system:serviceaccount:penstock-system:penstock"
RELEASES = "/apis/penstock.dev/v1alpha1"
ISTIO = "/apis/networking.istio.io/v1"
SENDERS = 6
"""Connections that make objects side by side."""

FOUND, CONFLICT = 200, 409


class Fleet:
    """Up from `__enter__` to `__exit__`. Numbers name applications; `sequential` says how their releases are judged."""

    def __init__(self, *, interval: str = "10s", drain: str = "30s", sequential: bool = False) -> None:
        self._interval, self._drain, self._sequential = interval, drain, sequential
        self._stack = ExitStack()
        self.controller: Program | None = None
        self._starts = 0

    def __enter__(self) -> Self:
        with self._stack as stack:
            self.folder = scratch_folder("bench")
            self._ports = PortLease()
            stack.callback(self._ports.release)
            self.bed = stack.enter_context(Bed(crds=sorted((ROOT / "manifests" / "crds").glob("*.yaml")), audit=True))
            stack.enter_context(NodeSimulator(self.bed.admin))
            self._install()
            self._start_stub()
            self._pool = stack.enter_context(ThreadPoolExecutor(SENDERS))
            stack.callback(self.stop_controller)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _install(self) -> None:
        """The shipped ClusterRole and its Lease's Role; the Deployment is left out, for the controller is a process here."""
        options = install_objects.Options(cluster_wide=True)
        objects = [*install_objects.namespaces(options), *install_objects.home_objects(options), *install_objects.access(options)]
        self.bed.admin.apply([item for item in objects if item["kind"] != "Deployment"])

    def _start_stub(self) -> None:
        port = self._ports.take()
        self.stub = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        self._stack.callback(self.stub.close)
        program = Program(
            "stub", [sys.executable, "-m", "bench.stub", str(port)], self.folder / "stub.log", {**os.environ, "PYTHONPATH": str(ROOT)}
        )
        self._stack.callback(program.kill)
        program.start().wait_until(self._stub_answers, 20)
        self._prometheus = f"http://127.0.0.1:{port}"

    def _stub_answers(self) -> bool:
        try:
            return self.stub.get("/records").is_success
        except httpx.TransportError:
            return False

    # The controller.

    def start_controller(self) -> float:
        """Start it; returns the Unix time of that. The replica before must have ended."""
        settings = {
            "kubeconfig": str(self.bed.kubeconfig("penstock", namespace=install_objects.SYSTEM)),
            "providers": str(self._written("providers.yaml", {"providers": [{"name": "default", "url": self._prometheus}]})),
            "listen": f"127.0.0.1:{self._ports.take()}",
            "logLevel": os.environ.get("PENSTOCK_BENCH_LOG", "WARNING"),
        }
        self._starts += 1
        config = self._written(f"controller-{self._starts}.yaml", settings)
        command: list[str | Path] = [Path(sys.executable).parent / "penstock", "controller", "--config", config]
        if os.environ.get("PENSTOCK_BENCH_PROFILE"):
            command = [sys.executable, "-m", "bench.profiled", config]
        env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPATH": str(ROOT)}
        self.controller = Program("controller", command, self.folder / "controller.log", env)
        started = time.time()
        self.controller.start()
        self.metrics_url = f"http://{settings['listen']}/metrics"
        return started

    def stop_controller(self) -> None:
        """End it in order; its Lease is given back."""
        if self.controller is not None:
            self.controller.stop(40)

    def kill_controller(self) -> None:
        """As a node that dies does."""
        assert self.controller is not None
        self.controller.kill()

    def free_lease(self) -> None:
        """Take the dead holder off the Lease: waiting for it to run out is not what is measured."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{install_objects.SYSTEM}/leases/penstock"
        self.bed.admin.patch(path, {"spec": {"holderIdentity": ""}})

    def _written(self, name: str, content: Object) -> Path:
        path = self.folder / name
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    # The applications.

    def build(self, numbers: Collection[int]) -> None:
        """Make applications, a few at a time."""
        say(f"making {len(numbers)} applications")
        for namespace in dict.fromkeys(map(namespace_of, numbers)):
            self._send(("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}))
        self._all(self._build_one, numbers)

    def _build_one(self, number: int) -> None:
        for item in application(number, self._interval, self._drain, sequential=self._sequential):
            path = self.bed.admin.path_of(item["apiVersion"], item["kind"], namespace_of(number))
            self._send(("POST", path, item))

    def release(self, numbers: Collection[int], revision: str, *, seconds: float = 900.0) -> None:
        """Start a release of each, and wait until all are measuring."""
        say(f"starting {len(numbers)} releases {revision}")
        self.heal(numbers)
        self._all(lambda n: self._send(("POST", f"{RELEASES}/namespaces/{namespace_of(n)}/releases", release(n, revision))), numbers)
        self.wait(numbers, revision, ("Measuring",), seconds)

    def wait(self, numbers: Collection[int], revision: str, phases: Collection[str], seconds: float) -> None:
        """Until these releases are in one of these phases; a progress line now and then."""
        deadline = time.monotonic() + seconds
        names, before = {f"{name_of(n)}-{revision}" for n in numbers}, -1
        while True:
            found = {item["metadata"]["name"]: item.get("status", {}) for item in self.releases()}
            left = [name for name in names if found.get(name, {}).get("phase") not in phases]
            if not left:
                return
            if time.monotonic() > deadline:
                words = [f"{name}: {found.get(name, {}).get('phase')} {found.get(name, {}).get('message')}" for name in left[:3]]
                raise TimeoutError(f"{len(left)} releases are not {' or '.join(phases)} after {seconds:g} s: {'; '.join(words)}")
            if len(left) != before:
                say(f"{len(names) - len(left)} of {len(names)} are {' or '.join(phases)}")
                before = len(left)
            time.sleep(0.1 if len(names) < 10 else 2.0)

    def releases(self) -> list[Object]:
        """All releases, as they stand."""
        items: list[Object] = self.bed.admin.get(f"{RELEASES}/releases")["items"]
        return items

    def weights(self) -> dict[str, int]:
        """Of each application the weight that stands for green."""
        found = {}
        for item in self.bed.admin.get(f"{ISTIO}/virtualservices")["items"]:
            routes = item["spec"]["http"][0]["route"]
            found[item["metadata"]["name"]] = sum(r.get("weight", 0) for r in routes if r["destination"].get("subset") != "v1")
        return found

    def all(self, function: Callable[[Any], object], things: Iterable[Any]) -> None:
        """Do it for each, a few at a time; the first error is raised."""
        self._all(function, things)

    def _all(self, function: Callable[[Any], object], things: Iterable[Any]) -> None:
        for _ in self._pool.map(function, things):
            pass

    def _send(self, request: tuple[str, str, Object]) -> Object:
        """One request; what is there already stays. Raises where it is refused."""
        answer = self.bed.admin.request(*request)
        if answer.is_error and answer.status_code != CONFLICT:
            raise RuntimeError(f"{request[0]} {request[1]}: {answer.status_code} {answer.text[:300]}")
        made: Object = answer.json()
        return made

    def send(self, method: str, path: str, body: Object, content_type: str = "application/json") -> Object:
        """One request with any type of body. Raises where it is refused."""
        answer = self.bed.admin.request(method, path, body, content_type)
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        made: Object = answer.json()
        return made

    # The stub and what was seen.

    def spoil(self, numbers: Iterable[int]) -> float:
        """From now on their green is bad; the Unix time of that."""
        self.stub.get("/bad", params={"names": ",".join(green_of(name_of(n)) for n in numbers)})
        return time.time()

    def heal(self, numbers: Iterable[int]) -> None:
        """From now on their green is good."""
        self.stub.get("/good", params={"names": ",".join(green_of(name_of(n)) for n in numbers)})

    def polls(self) -> dict[str, list[float]]:
        """When each application's green was asked about, Unix seconds."""
        found: dict[str, list[float]] = self.stub.get("/records").json()["polls"]
        return {name.removesuffix("-green"): times for name, times in found.items()}

    def bad_answers(self) -> dict[str, float]:
        """When the first bad answer about each application's green was given, since it was last healed."""
        found: dict[str, float] = self.stub.get("/records").json()["bad"]
        return {name.removesuffix("-green"): at for name, at in found.items()}

    def audited(self, since: float) -> list[Object]:
        """The controller's finished requests since a Unix time."""
        assert self.bed.audit_log is not None
        found = []
        with self.bed.audit_log.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n") and CONTROLLER in line:
                    event = json.loads(line)
                    if event["user"]["username"] == CONTROLLER and event["stage"] == "ResponseComplete" and stamp(event) >= since:
                        found.append(event)
        return found


def say(sentence: str) -> None:
    """Progress, on stderr, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)
