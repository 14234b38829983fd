"""How many simulated releases a second and core, with the invariant checker on and off; CPU seconds of this process."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from controller.simulator.definitions import load_objects
from controller.simulator.invariants import watch
from controller.simulator.run import Result, plan_of, run_objects
from controller.simulator.scenario import load

ROOT = Path(__file__).parents[1]

LIMITS = [
    {"name": "error-rate", "builtin": "error-rate", "limit": {"maxDifference": 1}},
    {"name": "latency-p99", "builtin": "latency", "limit": {"maxRatio": 1.2}},
]
"""Threshold checks, asked at each window's end; a plan without checks is judged sequentially."""

EXAMPLES = (
    ("ten-line release, threshold checks", "first-release", LIMITS, 100),
    ("ten-line release, sequential checks", "first-release", None, 15),
    ("Hwayo release, 9 triggers", "hwayo", None, 5),
)

Run = Callable[[bool], Result]
"""One simulated release, with the checker or without it."""


def run_of(example: str, checks: Sequence[Mapping[str, object]] | None) -> Run:
    """Runs of an example's healthy release, judged by these checks or by its plan's own."""
    folder = ROOT / "examples" / example / "scenarios"
    scenario = next(s for path in sorted(folder.glob("*.yaml")) for s in load(path) if s.name == "healthy")

    def run(checked: bool) -> Result:  # noqa: FBT001 - the only thing that differs
        objects = [*load_objects(folder / scenario.world), *load_objects(folder / scenario.plan)]
        if checks is not None:
            plan_of(objects)["spec"]["checks"] = checks
        result = run_objects(scenario, objects, prepare=watch if checked else None)
        assert not result.problems, result.problems
        return result

    return run


def cpu_seconds(run: Run, *, checked: bool, runs: int) -> tuple[float, int, int]:
    """Median CPU seconds of a run, and its looks and queries."""
    times, looks, queries = [], 0, 0
    for _ in range(runs + 1):
        began = time.process_time()
        result = run(checked)
        times.append(time.process_time() - began)
        looks, queries = result.looks, result.queries
    return sorted(times[1:])[runs // 2], looks, queries


def rows(*, quick: bool) -> list[tuple[str, str, str]]:
    """(what, measured, aim)."""
    found = []
    for title, example, checks, aim in EXAMPLES:
        run, runs = run_of(example, checks), 1 if quick else 5
        plain, looks, queries = cpu_seconds(run, checked=False, runs=runs)
        checked, _, _ = cpu_seconds(run, checked=True, runs=runs)
        detail = f"{1 / checked:.1f} a second and core ({1 / plain:.1f} without the checker; {looks} looks, {queries} queries a release)"
        found.append((f"simulated {title}, checkers on", detail, f">= {aim}"))
    return found
