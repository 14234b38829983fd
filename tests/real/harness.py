"""A release on real components: the production controller as a process, a real API server, a real Prometheus.

    with Scene(bed) as scene:
        shop = scene.shop()
        scene.start_controller()
        shop.start("v2")
        shop.reaches("Succeeded")

The controller divides all times of plans by `DIVISOR`: a minute of a plan is a second here, which is one scrape.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx

from controller.cli import install_objects
from tests.bed.api import JSON_PATCH, Api, ApiError, JsonObject, documents
from tests.bed.cluster import Bed
from tests.bed.exporter import Exporter, Workload
from tests.bed.processes import PortLease, Program, scratch_folder
from tests.bed.prometheus import Histograms, Prometheus, Scrape
from tests.bed.traffic import Flow, full_host
from tests.bed.waiting import PATIENCE
from tests.real.history import OURS, Recorder
from tests.real.probes import ProbeProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

ROOT = Path(__file__).resolve().parents[2]
FIRST_RELEASE = ROOT / "examples" / "first-release"
CRDS = sorted((ROOT / "manifests" / "crds").glob("*.yaml"))
DIVISOR = 60
RELEASES = "/apis/penstock.dev/v1alpha1/namespaces/{namespace}/releases"
ISTIO = "/apis/networking.istio.io/v1/namespaces/{namespace}"
NOT_FOUND = 404
# One latency for all: a quantile of a hundred requests would be noise, and chance is not what is tested here.
STEADY = {20.0: 1.0}


def stages(*weights: int) -> list[JsonObject]:
    """Stages with windows of eight scrapes."""
    return [{"weight": weight, "window": "8m", "warmUp": "1m"} for weight in weights]


def shortened() -> JsonObject:
    """Times that keep a release of four stages under a minute: windows of eight scrapes, of which six are needed.

    Deadlines are of ten minutes undivided: they bound what the machine takes, and who waits for a story says when that was too long.
    """
    return {
        "traffic": {"virtualService": "shop", "scrapeInterval": "1m"},
        "preparation": {"deadline": "10h"},
        "checks": [
            {"name": "error-rate", "builtin": "error-rate", "limit": {"maxDifference": 1}, "unit": "%", "noData": {"deadline": "10h"}},
            {"name": "latency-p99", "builtin": "latency", "limit": {"maxRatio": 1.2}, "minRequests": 100, "noData": {"deadline": "10h"}},
        ],
        "stages": stages(5, 25, 50, 100),
        "triggers": [
            {
                "name": "errors",
                "builtin": "error-rate",
                "limit": {"maxDifference": 30},
                "unit": "%",
                "interval": "1m",
                "range": "5m",
                "repeat": {"consecutive": 2},
            }
        ],
        "settle": {"deadline": "10h"},
        "rollback": {"drain": "2m", "drainDeadline": "10h", "traffic": "5m", "teardown": "20m"},
        "finish": {"retention": "3m"},
    }


class Controllers:
    """Replicas of the installed controller that share one Lease: `penstock`, with the Deployment's own arguments and mounted files."""

    def __init__(self) -> None:
        self.folder = scratch_folder("controllers")
        self._ports = PortLease()
        self._arguments: list[str] = []
        self._mounts: dict[str, Path] = {}
        self._kubeconfig = Path()
        self._addresses: dict[str, str] = {}
        self.programs: list[Program] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for program in self.programs:
            program.resume()
            program.stop(30)
        self._ports.release()
        if not os.environ.get("PENSTOCK_BED_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def install(self, objects: Sequence[JsonObject], kubeconfig: Path) -> None:
        """Take what a kubelet would take from the installed objects: the container's arguments and the files of its volumes.

        `kubeconfig` stands in for the mounted ServiceAccount, whose path is the same for every process of a machine.
        """
        pod = next(item for item in objects if item["kind"] == "Deployment")["spec"]["template"]["spec"]
        maps = {item["metadata"]["name"]: item["data"] for item in objects if item["kind"] == "ConfigMap"}
        volumes = {volume["name"]: volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume}
        (container,) = pod["containers"]
        self._arguments, self._kubeconfig = container["args"], kubeconfig
        for mount in container["volumeMounts"]:
            if mount["name"] in volumes:
                folder = self.folder / mount["name"]
                folder.mkdir(exist_ok=True)
                self._mounts[mount["mountPath"]] = folder
                for name, text in maps[volumes[mount["name"]]].items():
                    (folder / name).write_text(self._mounted(text))

    def _mounted(self, text: str) -> str:
        """The same with the paths at which the files of this machine lie."""
        for inside, outside in self._mounts.items():
            text = text.replace(inside, str(outside))
        return text

    def start(self) -> Program:
        """Start one more replica; it may take until `leads` before it acts."""
        number = len(self.programs)
        command = [Path(sys.executable).parent / "penstock", *map(self._mounted, self._arguments)]
        # The bytecode cache is what an installed controller has.
        env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        env |= {"KUBECONFIG": str(self._kubeconfig), "HOSTNAME": f"penstock-{number}"}
        # All pods of a machine listen at the same port, each at an address of its own; here they share one address.
        address = f"127.0.0.1:{self._ports.take()}"
        program = Program(f"controller-{number}", [*command, "--metrics-bind", address], self.folder / f"{number}.log", env)
        self._addresses[program.name] = address
        self.programs.append(program.start())
        return program

    def ready(self, program: Program) -> bool:
        """What the Deployment's readiness probe would find."""
        try:
            return httpx.get(f"http://{self._addresses[program.name]}/readyz", timeout=2.0, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def page(self, program: Program, path: str) -> str:
        """What `/readyz` or `/metrics` says, whatever its code."""
        return httpx.get(f"http://{self._addresses[program.name]}{path}", timeout=5.0, trust_env=False).text

    def leaders(self) -> list[str]:
        """Names of the replicas that took the lease, in the order in which they did."""
        return self.said("leads now")

    def said(self, words: str) -> list[str]:
        """Names of the replicas that logged these words, in the order of the lines."""
        found = [
            (json.loads(line)["time"], program.name)
            for program in self.programs
            for line in program.log.read_text(errors="replace").splitlines()
            if words in line
        ]
        return [name for _, name in sorted(found)]

    def defects(self) -> list[str]:
        """Lines that no run may have: tracebacks, and errors of our own."""
        found = []
        for program in self.programs:
            lines = program.log.read_text(errors="replace").splitlines()
            # Of a process that was killed the last line may be cut.
            found += [f"{program.name}: {line}" for line in lines if not line.startswith("{") or '"level":"error"' in line]
        return found


@dataclass(slots=True)
class Running:
    """One plan in its world, and the release that was started last.

    Attributes:
        namespace: of the plan and its VirtualService.
        plan, route: their names.
        members: of the plan.
        routes_in: namespace of the VirtualService, where it is another one.
    """

    api: Api
    exporter: Exporter
    namespace: str
    plan: str
    route: str
    members: tuple[str, ...]
    release: str = field(default="", init=False)
    routes_in: str = field(default="", init=False)

    def start(self, revision: str) -> None:
        """Start a release of this revision, which is also the tag of its images."""
        self.release = f"to-{revision}"
        images = {name: f"registry.example/{name}:{revision}" for name in self.members}
        body = {
            "apiVersion": "penstock.dev/v1alpha1",
            "kind": "Release",
            "metadata": {"name": self.release, "namespace": self.namespace},
            "spec": {"plan": self.plan, "revision": revision, "images": images},
        }
        self.api.create(RELEASES.format(namespace=self.namespace), body)

    @property
    def path(self) -> str:
        """Of the release that was started last."""
        return f"{RELEASES.format(namespace=self.namespace)}/{self.release}"

    @property
    def status(self) -> JsonObject:
        """Its status; empty before the first write, or where it is gone."""
        try:
            status: JsonObject = self.api.get(self.path).get("status", {})
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
            return {}
        return status

    def reaches(self, *phases: str, seconds: float = 240.0, weight: int | None = None) -> JsonObject:
        """Wait for one of these phases, at this weight if one is given; any other final one ends the wait with its sentence."""
        seconds *= PATIENCE
        deadline = time.monotonic() + seconds
        wanted = " or ".join(phases) + (f" at {weight} %" if weight is not None else "")
        while True:
            status = self.status
            if status.get("phase") in phases and weight in (None, status.get("weight")):
                return status
            story = f"{self.namespace}/{self.release} is {status.get('phase')} at {status.get('weight')} %: {status.get('message')}"
            if status.get("phase") in ("Succeeded", "RolledBack", "Refused", "Halted"):
                raise AssertionError(f"{story}; expected {wanted}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{story}; {wanted} was not reached within {seconds:g} s")
            time.sleep(0.05)

    def measures_at(self, weight: int, seconds: float = 180.0) -> JsonObject:
        """Wait until the window at this weight is open."""
        return self.reaches("Measuring", "Baking", weight=weight, seconds=seconds)

    def weights(self) -> dict[str, int]:
        """The weights that stand on the route, by subset or host."""
        service = self.api.get(f"{ISTIO.format(namespace=self.routes_in or self.namespace)}/virtualservices/{self.route}")
        routes = service["spec"]["http"][-1]["route"]
        alone = len(routes) == 1
        return {r["destination"].get("subset") or r["destination"]["host"]: 100 if alone else r.get("weight", 0) for r in routes}

    def edit_weights(self, *weights: int) -> None:
        """What `kubectl edit` does: both weights, unconditionally."""
        patch = [{"op": "add", "path": f"/spec/http/0/route/{index}/weight", "value": weight} for index, weight in enumerate(weights)]
        path = f"{ISTIO.format(namespace=self.namespace)}/virtualservices/{self.route}"
        answer = self.api.request("PATCH", path, patch, JSON_PATCH)
        if answer.is_error:
            raise ApiError(answer)

    def fails(self, place: tuple[str, str], error_rate: float = 0.1, *, from_weight: int = 0) -> None:
        """A share of this Deployment's requests fail: beyond the gate's limit of 1 %, below the trigger's.

        From now on, or with `from_weight` from the first request at that weight on: a stage of a few seconds does not wait until a
        test has seen it.
        """
        self.exporter.set(*place, Workload(error_rate=error_rate, latency_ms=STEADY, fails_from=from_weight / 100))

    def heals(self, place: tuple[str, str]) -> None:
        """From now on this Deployment answers well again."""
        self.exporter.set(*place, Workload(latency_ms=STEADY))


@dataclass(slots=True)
class Shop(Running):
    """The ten-line example in one namespace, or in host mode in two.

    Attributes:
        second: the second namespace; empty with subsets.
    """

    second: str = ""

    @property
    def green_namespace(self) -> str:
        """Where the second slot lies."""
        return self.second or self.namespace

    @property
    def host(self) -> str:
        """What its users call."""
        return full_host("shop", self.namespace)

    @property
    def green(self) -> str:
        """Name of the Deployment in the second slot."""
        return "shop" if self.second else "shop-green"

    def idle(self) -> tuple[str, str]:
        """Namespace and name of the Deployment of the slot that does not serve: the next green."""
        first = (self.namespace, "shop")
        second = (self.green_namespace, self.green)
        serving = max(self.weights().items(), key=lambda item: item[1])[0]
        if self.second:
            return first if f".{self.second}." in f"{serving}." else second
        rule = self.api.get(f"{ISTIO.format(namespace=self.namespace)}/destinationrules/shop")
        selected = next(subset["labels"] for subset in rule["spec"]["subsets"] if subset["name"] == serving)
        original = self.api.get(f"/apis/apps/v1/namespaces/{self.namespace}/deployments/shop")
        return second if selected.items() <= original["spec"]["template"]["metadata"]["labels"].items() else first

    def deployments(self) -> dict[str, int]:
        """Wanted replicas by name, of both namespaces."""
        places = dict.fromkeys((self.namespace, self.green_namespace))
        items = [item for place in places for item in self.api.get(f"/apis/apps/v1/namespaces/{place}/deployments")["items"]]
        prefix = {self.namespace: "", self.second: "second/"}
        return {prefix[item["metadata"]["namespace"]] + item["metadata"]["name"]: item["spec"]["replicas"] for item in items}


class Scene:
    """Everything that a release meets, from `__enter__` to `__exit__`; several shops may share it.

    Args:
        divisor: all times of plans are divided by it.
        cluster_wide: the controller has the overlay's ClusterRole and watches all namespaces, instead of the shipped Role in each.
        makes_namespaces: a release may make green's namespace: the setting, and with `cluster_wide` the overlay's rights.
        secrets: names that the overlay for Secrets allows.

    One scene at a time has its controller in the home namespace: there is one Lease.
    """

    def __init__(
        self,
        bed: Bed,
        *,
        lease_seconds: float = 2.0,
        divisor: float = DIVISOR,
        cluster_wide: bool = False,
        makes_namespaces: bool = False,
        secrets: tuple[str, ...] = (),
    ) -> None:
        self.bed, self.api = bed, bed.admin
        self._lease_seconds, self._divisor = lease_seconds, divisor
        self._cluster_wide, self._makes_namespaces, self._secrets = cluster_wide, makes_namespaces, secrets
        self._installed = False
        self._stack = ExitStack()
        self._exporters: dict[Histograms, Exporter] = {}
        self.namespaces: list[str] = []
        self._green_namespaces: list[str] = []

    def __enter__(self) -> Self:
        self.prometheus = self._stack.enter_context(Prometheus())
        self.exporter = self._reported(Histograms.CLASSIC)
        self._stack.callback(self._forget)
        self.recorder = self._stack.enter_context(Recorder(self.api))
        self.probes = self._stack.enter_context(ProbeProxy())
        self.controllers = self._stack.enter_context(Controllers())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _reported(self, histograms: Histograms) -> Exporter:
        """An exporter whose page Prometheus scrapes so, one for each way."""
        if histograms not in self._exporters:
            self._exporters[histograms] = self._stack.enter_context(Exporter(self.api))
            self.prometheus.scrape(
                [Scrape(f"istio-{kind.name.lower()}", one.address, histograms=kind) for kind, one in self._exporters.items()]
            )
        return self._exporters[histograms]

    def faults(self) -> list[str]:
        """What no run may show: breached invariants, defects that a controller logged, routes that could not be followed."""
        problems = [problem for exporter in self._exporters.values() for problem in exporter.problems]
        return [*self.breaches(), *self.controllers.defects(), *problems]

    def breaches(self, ours: Collection[str] = (OURS,)) -> list[str]:
        """Breached invariants; `ours` as the recorder takes it."""
        return self.recorder.breaches(self.namespaces, self._divisor, self._lease_seconds, ours)

    def _forget(self) -> None:
        """Remove the namespaces, finalizers first: no controller is left to take them off."""
        for namespace in self.namespaces:
            for release in self.api.get(RELEASES.format(namespace=namespace))["items"]:
                path = f"{RELEASES.format(namespace=namespace)}/{release['metadata']['name']}"
                self.api.request("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
            self.api.request("DELETE", f"/api/v1/namespaces/{namespace}")

    def namespace(self, prefix: str = "shop", *, green: bool = False) -> str:
        """Make a namespace that goes with the scene; a `green` one only holds a slot."""
        name = self.bed.namespace(prefix)
        self.adopt(name, green=green)
        return name

    def adopt(self, namespace: str, *, green: bool = False) -> None:
        """Take a namespace that somebody else made: it is checked, and goes with the scene."""
        self.namespaces.append(namespace)
        if green:
            self._green_namespaces.append(namespace)

    def shop(
        self,
        change: Callable[[JsonObject], None] | None = None,
        *,
        two_namespaces: bool = False,
        missing: bool = False,
        per_second: float = 300.0,
        histograms: Histograms = Histograms.CLASSIC,
    ) -> Shop:
        """A world of the ten-line example in a new namespace, with its plan shortened; `change` edits the plan's spec in place.

        With `missing` the second of `two_namespaces` is only named, and does not exist. `histograms` is how its requests are scraped.
        """
        namespace = self.namespace()
        second = self._second(namespace, missing=missing) if two_namespaces else ""
        for item in documents(FIRST_RELEASE / "world.yaml"):
            self._apply(_in_host_mode(item) if two_namespaces else item, namespace)
        plan = documents(FIRST_RELEASE / "plan.yaml")[0]
        plan["spec"] |= shortened()
        if two_namespaces:
            plan["spec"]["slots"] = [{"name": "first", "namespace": namespace}, {"name": "second", "namespace": second}]
        if change is not None:
            change(plan["spec"])
        self._apply(plan, namespace)
        exporter = self._reported(histograms)
        made = Shop(self.api, exporter, namespace, "shop", "shop", ("shop",), second)
        for place in ((namespace, "shop"), (made.green_namespace, made.green)):
            made.heals(place)
        exporter.flow(namespace, Flow(made.host, per_second=per_second))
        return made

    def _second(self, first: str, *, missing: bool) -> str:
        if not missing:
            return self.namespace("green", green=True)
        name = f"{first}-green"
        if self._cluster_wide:
            self.adopt(name, green=True)
        return name

    def _settings(self) -> JsonObject:
        """The installation's settings file, but for what `install` writes into it."""
        lease = {"duration": f"{self._lease_seconds:g}s", "renew": f"{self._lease_seconds / 5:g}s"}
        settings = {"timeDivisor": self._divisor, "probeProxy": self.probes.url, "lease": lease}
        return settings | ({"makeNamespaces": True} if self._makes_namespaces else {})

    def _install(self) -> None:
        """What `penstock install` applies, but for running the Deployment: exactly the shipped rights, settings and arguments."""
        self._installed = True
        plans = tuple(name for name in self.namespaces if name not in self._green_namespaces)
        greens = tuple(self._green_namespaces)
        chosen = {"cluster_wide": True} if self._cluster_wide else {"namespaces": plans, "green_namespaces": greens}
        providers = {"providers": [{"name": "default", "url": self.prometheus.url}]}
        options = install_objects.Options(secrets=self._secrets, settings=self._settings(), providers=providers, **chosen)
        installed = [*install_objects.namespaces(options), *install_objects.home_objects(options), *install_objects.access(options)]
        if self._makes_namespaces and self._cluster_wide:
            installed += install_objects.namespace_maker(options.home)
        objects = [item for item in installed if item["kind"] != "Namespace" or item["metadata"]["name"] == options.home]
        self.api.apply(item for item in objects if item["kind"] != "Deployment")
        token = self.bed.service_account(options.home, install_objects.NAME)
        self.controllers.install(installed, self.bed.kubeconfig_with_token("pod", token, options.home))
        for item in objects:
            if item["kind"].startswith("ClusterRole"):
                path = self.api.path_of(item["apiVersion"], item["kind"], name=item["metadata"]["name"])
                self._stack.callback(self.api.delete, path)

    def _apply(self, item: JsonObject | None, namespace: str) -> None:
        if item is not None:
            self.api.apply([item | {"metadata": item["metadata"] | {"namespace": namespace}}])

    def start_controller(self) -> Program:
        """Start a replica, and wait until one of them leads; the shops must stand by then, for their rights are given once."""
        if not self._installed:
            self._install()
        program = self.controllers.start()
        program.wait_until(lambda: bool(self.controllers.leaders()), 90)
        return program


def _in_host_mode(item: JsonObject) -> JsonObject | None:
    """The example's world without subsets: the route names the Service's host alone."""
    if item["kind"] == "DestinationRule":
        return None
    if item["kind"] == "VirtualService":
        item["spec"]["http"][0]["route"] = [{"destination": {"host": "shop"}}]
    return item
