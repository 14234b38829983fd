"""How many simulated releases a second and core, with the invariant checker on and off; CPU seconds of this process."""

import time
from pathlib import Path

from controller.simulator.invariants import watch
from controller.simulator.run import run_scenario
from controller.simulator.scenario import Scenario, load

ROOT = Path(__file__).parents[1]
EXAMPLES = (("ten-line release, threshold checks", "first-release", "healthy", 100), ("Hwayo release, 9 triggers", "hwayo", "healthy", 5))


def cpu_seconds(scenario: Scenario, folder: Path, *, checked: bool, runs: int) -> tuple[float, int, int]:
    """Median CPU seconds of a run, and its looks and queries."""
    times, looks, queries = [], 0, 0
    for _ in range(runs + 1):
        began = time.process_time()
        result = run_scenario(scenario, folder, prepare=watch if checked else None)
        times.append(time.process_time() - began)
        looks, queries = result.looks, result.queries
    return sorted(times[1:])[runs // 2], looks, queries


def rows(*, quick: bool) -> list[tuple[str, str, str]]:
    """(what, measured, aim)."""
    found = []
    for title, example, name, aim in EXAMPLES:
        folder = ROOT / "examples" / example / "scenarios"
        scenario = next(s for path in sorted(folder.glob("*.yaml")) for s in load(path) if s.name == name)
        runs = 1 if quick else 5
        plain, looks, queries = cpu_seconds(scenario, folder, checked=False, runs=runs)
        checked, _, _ = cpu_seconds(scenario, folder, checked=True, runs=runs)
        detail = f"{1 / checked:.1f} a second and core ({1 / plain:.1f} without the checker; {looks} looks, {queries} queries a release)"
        found.append((f"simulated {title}, checkers on", detail, f">= {aim}"))
    return found
