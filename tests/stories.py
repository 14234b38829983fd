"""Whole stories in virtual time, each run once in a process for all tests that only look at what it left.

`tests/conftest.py` sees to it that tests which share stories are run by the same worker.
"""

from functools import cache
from pathlib import Path

from controller.simulator.invariants import watch
from controller.simulator.run import Result, run_scenario
from controller.simulator.scenario import Scenario, load
from controller.simulator.simulation import Simulation


def scenario_of(folder: Path, name: str) -> Scenario:
    """The scenario of this name in one of the folder's files."""
    return next(one for path in sorted(folder.glob("*.yaml")) if "\nexpect:" in path.read_text() for one in load(path) if one.name == name)


def run(folder: Path, scenario: Scenario) -> tuple[Result, Simulation]:
    """How it ended, invariants included, and its simulation."""
    kept = []
    result = run_scenario(scenario, folder, prepare=lambda sim: kept.extend((sim, watch(sim))))
    sim, checks = kept
    sim.run_until(sim.clock.time + 60, lambda: False)  # the garbage collector takes its moment
    result.problems += [f"invariant {breach}" for breach in checks.finish()]
    return result, sim


@cache
def played_in(folder: Path, name: str) -> tuple[Result, Simulation]:
    """How a story ended, and its simulation, which nobody changes."""
    return run(folder, scenario_of(folder, name))
