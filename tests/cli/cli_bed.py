"""A terminal in front of a simulated cluster: commands act on a live release, and time passes while they wait."""

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path

from controller.cli.host import Host
from controller.cli.main import run
from controller.ports import RELEASE, RELEASE_PLAN, UnavailableError
from controller.simulator import people
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.definitions import all_definitions, load_objects
from controller.simulator.faults import FaultyKube
from controller.simulator.scenario import START, load
from controller.simulator.simulation import Simulation

FOLDER = Path(__file__).parents[2] / "examples" / "first-release" / "scenarios"


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class FakeConnection:
    kube: object
    namespace: str = "shop"
    user: str = "alice"


@dataclass
class Terminal:
    sim: Simulation
    environ: dict = field(default_factory=dict)
    is_terminal: bool = False
    asks: bool = False
    says_yes: bool = True
    questions: list = field(default_factory=list)
    controller_runs: bool = True
    size: tuple = (100, 60)

    def __post_init__(self):
        self.kube = FaultyKube(InMemoryKube(self.sim.server, user="alice", field_manager="penstock-cli"))

    def sleep(self, seconds):
        if self.controller_runs:
            self.sim.run_until(self.sim.clock.time + seconds, lambda: False)
        else:
            self.sim.clock.time += seconds

    def confirm(self, question):
        self.questions.append(question)
        return self.says_yes

    def host(self):
        return Host(
            connect=lambda _kubeconfig, _context: FakeConnection(self.kube),
            now=lambda: self.sim.clock.time,
            sleep=self.sleep,
            environ=self.environ,
            out_is_terminal=self.is_terminal,
            asks=self.asks,
            confirm=self.confirm,
            size=lambda: self.size,
        )

    def penstock(self, *words):
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run([str(word) for word in words], self.host())
        return Result(code, out.getvalue(), err.getvalue())

    def until(self, seconds, done=lambda: False):
        """Let the simulated release run to this offset from its start."""
        self.sim.run_until(START + seconds, done)

    def phase(self, name="shop-v2"):
        return (self.sim.release(("shop", name)) or {}).get("status", {}).get("phase")

    def until_phase(self, *phases, name="shop-v2"):
        self.sim.run_until(START + 7200, lambda: self.phase(name) in phases)

    def releases(self):
        return {o["metadata"]["name"]: o for o in InMemoryKube(self.sim.server).list(RELEASE, "shop").items}

    def release(self, name="shop-v2"):
        return self.releases()[name]

    def plan_patch(self, **spec):
        InMemoryKube(self.sim.server, user="git").patch(RELEASE_PLAN, "shop", "shop", {"spec": spec})


def a_terminal(scenario="healthy", *, started=True, **changes):
    """A terminal in front of `examples/first-release`, with release shop-v2 begun at once."""
    chosen = load(FOLDER / f"{scenario}.yaml")[0]
    objects = [*load_objects(FOLDER / chosen.world), *load_objects(FOLDER / chosen.plan)]
    terminal = Terminal(Simulation(chosen, objects, all_definitions()), **changes)
    if started:
        people.start(terminal.sim, "shop", "shop", chosen.release, name="shop-v2")
    return terminal


class Broken:
    """An API server that only gives this error."""

    def __init__(self, error):
        self.error = error

    def __getattr__(self, _name):
        def fail(*_args, **_options):
            raise self.error

        return fail


def refusing(terminal, error):
    """The terminal with an API server that only gives this error."""
    return replace(terminal.host(), connect=lambda *_: FakeConnection(Broken(error)))


LOST = UnavailableError(0, "Unreachable", "The API server at https://x cannot be reached: connection refused.")
