"""An example brought to life: the embedded cluster, the files that name it, and the production controller as a child process.

What the sandbox and the demo share. The controller is the one of `penstock controller`, with the settings that an
installation would give it in a file: it cannot tell that its cluster is simulated.
"""

import contextlib
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import ValidationError

import controller
from controller.adapters.kube_errors import ConfigError
from controller.adapters.marks import mapping
from controller.cli.install_objects import NAME, SYSTEM, Options, all_objects
from controller.cli.simulate import files_of
from controller.cli.words import full_stop
from controller.ports import DEPLOYMENT, LEASE, Obj
from controller.simulator.apiserver.errors import ApiError
from controller.simulator.definitions import WorldError, load_objects
from controller.simulator.embedded import EmbeddedCluster
from controller.simulator.run import plan_of
from controller.simulator.scenario import Scenario, load
from controller.simulator.scenario_names import refusal
from controller.simulator.simulation import SimulationError


def examples_of(package: Path, data: Sequence[Path]) -> Path:
    """The folder of the examples: beside the sources, else where an installation has them, else in the clone that the command runs in.

    Args:
        package: the folder that the package lies in; `pip install --target` keeps everything there.
        data: where installations keep files that are no code.
    """
    known = (package / "examples", *(place / "share" / "penstock" / "examples" for place in (package, *data)))
    return next((place for place in known if place.is_dir()), Path("examples"))


SCHEMES = (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user"))
"""How this Python installs: for everybody (or into its environment), and by `pip install --user`."""

EXAMPLES = examples_of(Path(controller.__file__).parents[1], [Path(sysconfig.get_path("data", scheme)) for scheme in SCHEMES])
USUAL = "healthy"
LEASE_SECONDS, RENEW_SECONDS = 4.0, 1.0
START_SECONDS = 30.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.05
AGAIN_SECONDS = 1.0
"""Between the end of a controller that died and the start of the next one, as a Deployment would."""


@dataclass(frozen=True, slots=True)
class Story:
    """A scenario with its folder, and the plan that it is about.

    Attributes:
        folder: its files are named relative to this one.
        objects: what stands in the cluster at the beginning, the plan included.
    """

    scenario: Scenario
    folder: Path
    objects: tuple[dict[str, Any], ...]

    @property
    def plan(self) -> str:
        """Name of the plan."""
        return str(plan_of(list(self.objects))["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the plan."""
        return str(plan_of(list(self.objects))["metadata"].get("namespace", "default"))


def examples() -> list[str]:
    """Names of the examples that are at hand."""
    return sorted(path.parent.name for path in EXAMPLES.glob("*/scenarios") if any(path.glob("*.yaml")))


def find_story(folder: Path, name: str = "") -> Story:
    """The scenario of that name below a folder such as `examples/hwayo`; else `healthy`, or the only one. Raises `ConfigError`."""
    found: dict[str, tuple[Scenario, Path]] = {}
    for file in files_of(folder) if folder.is_dir() else ():
        try:
            found |= {scenario.name: (scenario, file.parent) for scenario in load(file)}
        except (ValidationError, yaml.YAMLError, OSError, TypeError) as error:
            raise ConfigError(f"The scenario file {file} cannot be used: penstock validate {file} says why.") from error
    if not found:
        raise ConfigError(f"{_no_scenarios(folder)}.")
    wanted = name or (next(iter(found)) if len(found) == 1 else USUAL)
    if wanted not in found:
        raise ConfigError(f"There is no scenario {wanted!r} in {folder}; --scenario takes one of {', '.join(sorted(found))}.")
    return story_of(*found[wanted])


def _no_scenarios(folder: Path) -> str:
    if folder.parent != EXAMPLES:
        return f"There are no scenarios in {folder}" if folder.is_dir() else f"{folder}: there is no such folder"
    known = f"the examples are: {', '.join(examples())}" if examples() else "run it in a clone of the sources, or give --dir"
    return f"There is no example {folder.name!r}; {known}"


def story_of(scenario: Scenario, folder: Path) -> Story:
    """The scenario with its objects. Raises `ConfigError` where a file is missing or has no plan."""
    try:
        story = Story(scenario, folder, (*load_objects(folder / scenario.world), *load_objects(folder / scenario.plan)))
        plan_of(list(story.objects))
        refused = refusal(story.objects)
    except (OSError, WorldError, SimulationError) as error:
        raise ConfigError(f"The files of scenario {scenario.name!r} cannot be used: {full_stop(error)}") from error
    if refused:
        raise ConfigError(f"The API server refuses an object of scenario {scenario.name!r}: {full_stop(refused)}")
    return story


class SandboxWorld:
    """Cluster and controller of one story; a context manager.

    Penstock is installed in the cluster, so that `install` and `uninstall` find what they look for. Its Deployment stands for
    the process: that runs while there is one.

    Args:
        story: what it is about.
        folder: kubeconfig, settings and logs go there.
        speed: by what the scenario's and the plan's times are divided.

    Attributes:
        cluster: the embedded cluster.
        kubeconfig: path of the kubeconfig; its namespace is the plan's.
        metrics: address of the controller's own metrics, `host:port`.
        restarts: how often the controller had to be started again.
    """

    def __init__(self, story: Story, folder: Path, *, speed: float) -> None:
        self.story, self.folder, self.speed = story, folder, speed
        self.cluster = EmbeddedCluster(story.scenario, story.objects, divisor=speed)
        self.cluster.kill_controller = self.kill_controller
        self.cluster.outside = frozenset({SYSTEM})
        self.kubeconfig = folder / "kubeconfig"
        self.log = folder / "controller.log"
        self.metrics = f"127.0.0.1:{free_port()}"
        self.restarts = 0
        self._died_at = 0.0
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Serve the cluster, write the files, start the controller and wait until it leads."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cluster.__enter__()
        try:
            self._write_files()
            self._install()
            self.start_controller()
            self.wait_for_leader()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_controller()
        self.cluster.__exit__()

    @property
    def controller_pid(self) -> int:
        """Process id of the controller; 0 while there is none."""
        return self._child.pid if self._child is not None and self._child.poll() is None else 0

    def start_controller(self) -> None:
        """Start it as a child that ends with this process (see `sandbox_child`)."""
        module = ["-P", "-m", "controller.cli.sandbox_child"]  # -P: what lies in the folder that the person is in is not ours
        command = [sys.executable, *module, "controller", "--config", str(self.folder / "controller.yaml")]
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, process_group=0
            )

    def stop_controller(self) -> None:
        """End it in good order; at once where it takes too long."""
        child, self._child = self._child, None
        if child is None:
            return
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdin is not None:
            child.stdin.close()

    def kill_controller(self) -> None:
        """End it without a word, as `kill -9` does; `watch_over` starts the next one."""
        if self._child is not None:
            self._child.kill()

    @property
    def installed(self) -> bool:
        """Whether the cluster has a Deployment of the controller that wants pods."""
        try:
            found: Obj = self.cluster.server.get(DEPLOYMENT, SYSTEM, NAME)
        except ApiError:
            return False
        return bool(mapping(found.get("spec")).get("replicas", 1))

    def watch_over(self) -> None:
        """Start the controller again where it has ended, and have it run only while it is installed. Raises what ended the cluster."""
        if self.cluster.defect is not None:
            raise self.cluster.defect
        if self._child is None or not self.installed:
            if self.installed:
                self.start_controller()
            else:
                self.stop_controller()
            return
        if self._child.poll() is None:
            return
        now = time.monotonic()
        self._died_at = self._died_at or now
        if now - self._died_at >= AGAIN_SECONDS:
            self._died_at = 0.0
            self.restarts += 1
            self.stop_controller()
            self.start_controller()

    def wait_for_leader(self) -> None:
        """Wait until a controller holds the lease. Raises `ConfigError` with the end of its log where none does in time."""
        end = time.monotonic() + START_SECONDS
        while not self._led():
            if self._child is None or self._child.poll() is not None or time.monotonic() > end:
                last = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
                raise ConfigError(f"The controller did not start; its log {self.log} ends: {' '.join(last)}")
            time.sleep(POLL_SECONDS)

    def _led(self) -> bool:
        leases = self.cluster.server.list(LEASE).items
        return any((lease.get("spec") or {}).get("holderIdentity") for lease in leases)

    @property
    def providers(self) -> dict[str, Any]:
        """The providers' file."""
        return {"providers": [{"name": "default", "url": self.cluster.prometheus_url, "timeout": "5s"}]}

    @property
    def settings(self) -> dict[str, Any]:
        """What both the process's settings and the installed ones say."""
        return {
            "probeProxy": self.cluster.probe_proxy_url,
            "timeDivisor": self.speed,
            "lease": {"duration": f"{LEASE_SECONDS:g}s", "renew": f"{RENEW_SECONDS:g}s", "namespace": SYSTEM},
        }

    def _install(self) -> None:
        """What `penstock install --cluster-wide` would have made."""
        options = Options(cluster_wide=True, settings=self.settings, providers=self.providers)
        with self.cluster.server.changed:
            self.cluster.server.load(all_objects(options))

    def _write_files(self) -> None:
        own = {"kubeconfig": str(self.kubeconfig), "providers": str(self.folder / "providers.yaml"), "listen": self.metrics}
        files = {"kubeconfig": self.cluster.kubeconfig(self.story.namespace), "providers.yaml": self.providers}
        for name, content in {**files, "controller.yaml": own | self.settings}.items():
            (self.folder / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def start_command(self) -> str:
        """What a person types to start the scenario's release."""
        release = self.story.scenario.release
        only = len(release.images) == 1
        images = "".join(f" --image {image if only else f'{member}={image}'}" for member, image in release.images.items())
        return f"penstock start {self.story.plan}{images} --revision {release.revision}"

    @property
    def release_name(self) -> str:
        """Name that the release gets which `start_command` starts."""
        return f"{self.story.plan}-{self.story.scenario.release.revision}"


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def penstock() -> str:
    """How the command is typed here: by name where it is on the path, else with the path of this environment."""
    if shutil.which("penstock"):
        return "penstock"
    beside = Path(sys.executable).parent / "penstock"
    with contextlib.suppress(ValueError):
        beside = beside.relative_to(Path.cwd())
    return str(beside) if beside.exists() else f"{sys.executable} -m controller.cli.main"
