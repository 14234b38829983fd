"""What the terminal shows of a simulated release: pictures for the pages that nobody has typed by hand.

The commands run in this process, against the simulator's API server, and time passes while they wait.
"""

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from controller.api.release import Phase
from controller.cli.host import Host, Session
from controller.cli.main import run
from controller.cli.read import plan_in_force, release_of
from controller.cli.render import render
from controller.cli.simulate import Found, run_one, story
from controller.cli.view import view_of
from controller.ports import Kube
from controller.simulator import people
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.definitions import all_definitions, load_objects
from controller.simulator.run import plan_of
from controller.simulator.scenario import START, Scenario, load
from controller.simulator.simulation import Simulation

WIDTH = 110
LONGEST_SECONDS = 4 * 3600.0


@dataclass(frozen=True, slots=True)
class Connection:
    """A way to the simulated API server."""

    kube: Kube
    namespace: str
    user: str = "alice"


class Story:
    """A simulated cluster with one release that has just begun, and a terminal in front of it."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        objects = [*load_objects(folder / scenario.world), *load_objects(folder / scenario.plan)]
        plan = plan_of(objects)
        self.namespace, plan_name = str(plan["metadata"]["namespace"]), str(plan["metadata"]["name"])
        self.name = scenario.release.name or f"{plan_name}-{scenario.release.revision}"
        self.sim = Simulation(scenario, objects, all_definitions())
        self.kube = InMemoryKube(self.sim.server, user="alice", field_manager="penstock-cli")
        people.start(self.sim, self.namespace, plan_name, scenario.release, name=self.name)

    def host(self) -> Host:
        """The world around a command."""
        return Host(
            connect=lambda _kubeconfig, _context: Connection(self.kube, self.namespace), now=lambda: self.sim.clock.time, sleep=self._sleep,
            environ={}, out_is_terminal=False, asks=False, confirm=lambda _question: False, size=lambda: (WIDTH, 60),
        )  # fmt: skip

    def _sleep(self, seconds: float) -> None:
        self.sim.run_until(self.sim.clock.time + seconds, lambda: False)

    def until(self, phase: Phase) -> None:
        """Let time pass until the release is there."""
        self.sim.run_until(START + LONGEST_SECONDS, lambda: self._phase() == phase)

    def _phase(self) -> str:
        release = self.sim.release((self.namespace, self.name)) or {}
        return str((release.get("status") or {}).get("phase"))

    def watch(self) -> str:
        """What `penstock watch` draws now."""
        session = Session(self.host(), self.kube, self.namespace, "alice")
        release = release_of(session, self.name)
        view = view_of(release, plan_in_force(session, release), now=session.now)
        return "\n".join(render(view, WIDTH, session.now)) + "\n"

    def penstock(self, *words: str) -> str:
        """What a command prints on stdout."""
        out = io.StringIO()
        with redirect_stdout(out):
            run(list(words), self.host())
        return out.getvalue()


def story_of(file: Path, name: str) -> Story:
    """The scenario of that name, begun."""
    return Story(scenario_of(file, name), file.parent)


def scenario_of(file: Path, name: str) -> Scenario:
    """The scenario of that name in a file."""
    return next(one for one in load(file) if one.name == name)


def transcript_of(file: Path, name: str) -> str:
    """What `penstock simulate` tells of a scenario."""
    found = Found(file, scenario_of(file, name))
    result, writes = run_one(found, 0)
    return "\n".join(story(found, result, writes)) + "\n"


def cut(text: str, width: int = WIDTH) -> str:
    """The text with its long lines ended by an ellipsis."""
    return "".join(f"{line[: width - 1]}…\n" if len(line) > width else f"{line}\n" for line in text.splitlines())
