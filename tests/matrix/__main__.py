# ruff: noqa: T201 - a command prints
"""`python -m tests.matrix`: every crash point of every example's scenarios, as a table of write by way of failing.

    --examples NAME ...   only these examples
    --sample N --seed S   N cells drawn by a seed instead of all
    --jobs N              processes, as many as there are cores if absent
    --last NAME ...       these scenarios after the others
    --minutes N           begin no run later than that; what was not reached is said
    --whole               each run to its end, also where it has come back to the undisturbed one
    --brief               only what failed, and the counts
    --only "FILE SCENARIO NUMBER MODE"   one cell, with all that differs: how a failing cell is replayed

An interrupted run goes on where it stopped, as long as neither code nor examples have changed.
"""

import argparse
import json
import math
import os
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

from controller.simulator.crashes import Mode
from tests.matrix.forking import run_cells
from tests.matrix.plans import MODES, ROOT, Cell, cells, files, fingerprint, rehearsal, run_cell, sample, scenarios_of

STATE = ROOT / "build" / "matrix.jsonl"
PROGRESS_SECONDS = 20.0


def known(state: Path, mark: str) -> dict[str, list[str]]:
    """Results of this very state of the project."""
    if not state.exists():
        return {}
    lines = (json.loads(line) for line in state.read_text(encoding="utf-8").splitlines())
    return {line["cell"]: line["found"] for line in lines if line["mark"] == mark}


def run(chosen: list[Cell], jobs: int, until: float, *, whole: bool) -> dict[Cell, list[str]]:
    """Run what is not yet known, and remember it."""
    STATE.parent.mkdir(exist_ok=True)
    mark = fingerprint() + (" whole" if whole else "")
    done = known(STATE, mark)
    results = {cell: done[cell.title] for cell in chosen if cell.title in done}
    todo = [cell for cell in chosen if cell not in results]
    began, known_before = time.monotonic(), len(results)
    said = [began]
    with STATE.open("a", encoding="utf-8", buffering=1) as log:

        def heard(cell: Cell, found: list[str]) -> None:
            results[cell] = found
            log.write(json.dumps({"mark": mark, "cell": cell.title, "found": found}) + "\n")
            if time.monotonic() - said[0] > PROGRESS_SECONDS:
                said[0] = time.monotonic()
                count = len(results) - known_before
                print(f"{count} of {len(todo)} cells, {said[0] - began:.0f} s: {cell.file} {cell.scenario}", file=sys.stderr)

        run_cells(todo, jobs, heard, until=until, whole=whole)
    return results


def print_unreached(chosen: list[Cell], results: dict[Cell, list[str]], minutes: float) -> None:
    """Which cells time did not suffice for, a line a story."""
    left = Counter((cell.file, cell.scenario) for cell in chosen if cell not in results)
    all_of = Counter((cell.file, cell.scenario) for cell in chosen)
    for (file, name), count in left.items():
        print(f"not run within {minutes:g} minutes: {count} of {all_of[file, name]} cells of {file} {name}")


def print_matrix(results: dict[Cell, list[str]]) -> None:
    """One row a write, one column a way of failing: `.` as undisturbed, `X` otherwise, empty where it was not run."""
    print(f"Columns: {', '.join(MODES)}. '.' ended as undisturbed, 'X' otherwise.")
    stories: dict[tuple[str, str], dict[int, dict[Mode, list[str]]]] = defaultdict(lambda: defaultdict(dict))
    for cell, found in results.items():
        stories[cell.file, cell.scenario][cell.number][cell.mode] = found
    for (file, name), rows in stories.items():
        writes = rehearsal(file, name).writes
        print(f"\n{file}  {name}: {len(writes)} writes")
        for number in sorted(rows):
            marks = "".join(" " if mode not in rows[number] else "X" if rows[number][mode] else "." for mode in MODES)
            print(f"{marks} {writes[number]}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.matrix", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", nargs="*", default=[])
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--last", nargs="*", default=[])
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--brief", action="store_true")
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    if asked.only:
        file, name, number, mode = asked.only.split()
        found = run_cell(Cell(file, name, int(number), Mode(mode)))
        print("\n".join(found) or "as undisturbed")
        return 1 if found else 0
    began = time.monotonic()
    chosen = list(sample(asked.examples, asked.sample, asked.seed)) if asked.sample else list(cells(asked.examples))
    chosen.sort(key=lambda cell: asked.last.index(cell.scenario) + 1 if cell.scenario in asked.last else 0)
    until = began + 60 * asked.minutes
    told = ((file, name) for file in files(asked.examples) for name in scenarios_of(file) if time.monotonic() < until)
    clean = {story: rehearsal(*story).result.problems for story in told}
    results = run(chosen, asked.jobs, until, whole=asked.whole)
    if not asked.brief:
        print_matrix(results)
    failed = {cell: found for cell, found in results.items() if found}
    for cell, found in failed.items():
        print(f'\n{cell.title}\n  python -m tests.matrix --only "{cell.file} {cell.scenario} {cell.number} {cell.mode}"')
        print("\n".join(f"  {sentence}" for sentence in found[:8]))
    broken = {story: problems for story, problems in clean.items() if problems}
    for (file, name), problems in broken.items():
        print(f"\n{file} {name}, undisturbed: {'; '.join(problems)}")
    seed = f", drawn by seed {asked.seed}" if asked.sample else ""
    print()
    print_unreached(chosen, results, asked.minutes)
    run_count = sum(cell in results for cell in chosen)
    seconds = time.monotonic() - began
    print(f"{run_count} of {len(chosen)} cells{seed}, {len(failed)} otherwise than undisturbed; {len(clean)} scenarios, {seconds:.0f} s")
    return 1 if failed or broken else 0


if __name__ == "__main__":
    sys.exit(main())
