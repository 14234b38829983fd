"""`python -m bench.analysis [--quick] [--write]`: false rollbacks and times to detect, by Monte Carlo.

Releases are drawn in chunks of 200, each from its own seed, on all cores; finished chunks are kept in
`bench/analysis_results.jsonl`, so that an interrupted run goes on. Results of another engine (see `engine`) are not used.
A sample of the cells runs as whole releases in the simulator, too, anew each time. `--write` puts the tables into
docs/analysis/figures.md and the README. `--quick` draws a few releases a cell for this method only and keeps nothing.
Both end with 1 where the bound on false rollbacks is refuted (exact binomial 95 % bound), a median is far off the
method's row, or the product's own path or a simulated release differs from the twin.
"""

import argparse
import ast
import inspect
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from hashlib import sha256
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from analysis import kayenta, rate
from analysis.combine import DEFAULT_ALPHA, DEFAULT_WEIGHTS
from analysis.numbers import lower_bound
from analysis.rate import Dispersion
from analysis.slo import ALONE_SHARE
from bench import analysis_worlds
from bench.analysis_judges import Kayenta, Sequential, judges
from bench.analysis_product import Product
from bench.analysis_releases import released
from bench.analysis_tables import AIMS, document, with_summary
from bench.analysis_worlds import World, looks, worlds

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench/analysis_results.jsonl"
RELEASES = ROOT / "bench/analysis_releases.jsonl"
DOCUMENT = ROOT / "docs/analysis/figures.md"
README = ROOT / "README.md"
CHUNK = 200
QUICK_CHUNK = 100
QUICK = {"false": 200, "power": 100, "guard": 100}
SIMULATED = {"power": 10, "false": 3}
"""Whole releases by kind of cell; where errors depend on each other the simulator has no words for it."""

QUICK_SIMULATED = ("0.1->1 % @500", "0.5 % @50")
"""One whole release of each in the short form: one that goes back, one that succeeds."""

ALPHA = 0.01
GAP = 1e-9
"""What ln E of the product's own path, or of a simulated release, may differ from the twin's."""

SLACK_SECONDS, SLACK_SHARE = 30, 0.25
"""What the median of a hundred releases may be off the row by chance."""


@cache
def engine(world: World) -> str:
    """A fingerprint of everything that makes a cell's numbers, so that what did not change need not be drawn again.

    Of the benchmark it is the code without its comments; of the product it is what the judges take from it: tests, constants and weights
    as values, and what Kayenta's judge answers. That the product's own path gives the same numbers is shown anew in each first chunk.
    """
    code = [code_of((ROOT / "bench" / f"analysis_{name}.py").read_text()) for name in ("twin", "judges")]
    code += [code_of(inspect.getsource(one)) for one in (*DRAWS, looks, analysis_worlds.tails, analysis_worlds.history)]
    constants = {name: value for name, value in sorted(vars(rate).items()) if name.isupper() and not name.startswith("_")}
    # How many chunks a cell has changes none of them.
    values = [constants, DEFAULT_ALPHA, DEFAULT_WEIGHTS, ALONE_SHARE, replace(world, runs=0)]
    for guard in ("off", "defaults"):
        judge = Sequential(world, 1, guard, world.rng(0))
        twins = (judge.errors, judge.limit, judge.relative, judge.alone, judge.latency)
        values += [(twin.test, twin.p_hist.tolist()) for twin in twins if twin is not None] + [judge.at]
    return sha256("\n".join([*code, repr(values), kayentas()]).encode()).hexdigest()[:12]


DRAWS = (analysis_worlds.moved, analysis_worlds.arm_of, analysis_worlds.bad_of)


def code_of(source: str) -> str:
    """The code without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    return ast.dump(tree)


@cache
def kayentas() -> str:
    """What Kayenta's judge says to 300 pairs of series such as it is shown here."""
    rng, said = np.random.default_rng(3), []
    for index in range(300):
        blue, green = (rng.poisson(mean, 5 + index % 16).astype(float) for mean in (20, 20 + index % 7))
        slow = [tuple(map(float, part * 10)) for part in (blue, green)]
        data = {"errors": kayenta.Values(tuple(map(float, blue)), tuple(map(float, green))), "p95": kayenta.Values(slow[1], slow[0])}
        said.append(str(kayenta.judge(Kayenta.CONFIG, data).grade))
    return " ".join(said)


def chunk(task: tuple[World, int, int, bool]) -> dict:
    """Draw and judge one chunk: times by judge (None where never), and the product's own path on its first release."""
    world, index, rows, peers = task
    rng = world.rng(index)
    every = judges(world, rows, rng, peers=peers)
    twin = every.get("this method, product's defaults") or every["this method, guard defaults"]
    product = Product(world, Dispersion(float(twin.errors.bursts[0]), float(twin.errors.widest[0]))) if index == 0 else None
    for look in looks(world, rows, rng):
        for judge in every.values():
            judge.see(look)
        if product is not None and product.time is None and not twin.done:
            product.see(look, float(twin.ln_e()[0]))
    found = {"cell": world.name, "chunk": index, "rows": rows, "engine": engine(world)}
    found["times"] = {name: [None if np.isnan(t) else int(t) for t in judge.times] for name, judge in every.items()}
    if product is not None:
        found["gap"], found["same"] = product.gap, bool(twin.done) or product.time == found["times"][name_of(every, twin)][0]
    return found


def name_of(every: dict, judge) -> str:
    return next(name for name, one in every.items() if one is judge)


def known(cells: list[World], *, any_engine: bool = False) -> dict[tuple[str, int], dict]:
    """Chunks of earlier runs: of this very engine, or of whichever came last."""
    if not RESULTS.exists():
        return {}
    lines = (json.loads(line) for line in RESULTS.read_text().splitlines() if line.strip())
    prints = {} if any_engine else {cell.name: engine(cell) for cell in cells}
    return {(one["cell"], one["chunk"]): one for one in lines if any_engine or one["engine"] == prints.get(one["cell"])}


def measure(cells: list[World], *, quick: bool) -> dict[str, list[dict]]:
    """All chunks of all cells, drawn or kept."""
    kept = {} if quick else known(cells)
    rows = QUICK_CHUNK if quick else CHUNK
    tasks = [(cell, index, rows, not quick) for cell in cells for index in range((QUICK[cell.kind] if quick else cell.runs) // rows)]
    todo = [task for task in tasks if (task[0].name, task[1]) not in kept]
    found = {(cell.name, index): kept[cell.name, index] for cell, index, *_ in tasks if (cell.name, index) in kept}
    for done, one in enumerate(drawn(chunk, todo), start=1):
        found[one["cell"], one["chunk"]] = one
        if not quick:
            with RESULTS.open("a") as file:
                file.write(json.dumps(one, separators=(",", ":")) + "\n")
        if done % 20 == 0 or done == len(todo):
            print(f"... {done} of {len(todo)} chunks, {one['cell']}", file=sys.stderr, flush=True)
    return {cell.name: [found[cell.name, index] for index in range(sum(task[0] is cell for task in tasks))] for cell in cells}


def drawn(work: Callable, todo: list) -> Iterator[dict]:
    if todo:
        with Pool(os.cpu_count()) as pool:
            yield from pool.imap_unordered(work, todo)


def simulate(cells: list[World], *, quick: bool) -> list[dict]:
    """Whole releases of the cells, in the cells' order."""
    if quick:
        tasks = [(cell, 0) for cell in cells if cell.name in QUICK_SIMULATED]
    else:
        tasks = [(cell, seed) for cell in cells for seed in range(SIMULATED.get(cell.kind, 0))]
    order = {(cell.name, seed): index for index, (cell, seed) in enumerate(tasks)}
    return sorted(drawn(released, tasks), key=lambda one: order[one["cell"], one["seed"]])


def refuted(cells: list[World], results: dict[str, list[dict]]) -> list[str]:
    """Sentences of what the numbers refute; none is good."""
    said = []
    for cell in cells:
        for judge in results[cell.name][0]["times"]:
            times = [t for part in results[cell.name] for t in part["times"].get(judge, ())]
            rolled = sum(t is not None for t in times)
            if holds_alpha(cell, judge) and lower_bound(rolled, len(times), 0.95) > ALPHA + 0.001 * (cell.kind == "guard"):
                said.append(f"{cell.name}: {judge} rolled back {rolled} of {len(times)} healthy releases, alpha is {ALPHA:g}")
            aim = AIMS.get(cell.name)
            if aim is not None and judge == "this method, guard off":
                median = sorted(np.inf if t is None else t for t in times)[len(times) // 2] - cell.onset
                if median > aim * (1 + SLACK_SHARE) + SLACK_SECONDS:
                    said.append(f"{cell.name}: the median is {median:g} s, the method's row has {aim} s")
        said += [
            f"{cell.name}: the product's own path differs from the twin by {part['gap']:.2g}"
            for part in results[cell.name]
            if part.get("gap", 0) > GAP or not part.get("same", True)
        ]
    return said


def otherwise(releases: list[dict]) -> list[str]:
    """Sentences of simulated releases that differ from the twin, or go back too often although they are healthy."""
    said = []
    for one in releases:
        if one["gap"] > GAP or not one["same"]:
            what = "differs from" if one["same"] else "decides otherwise than"
            said.append(f"{one['cell']}, simulated with seed {one['seed']}: the controller {what} the twin, ln E by {one['gap']:.2g}")
    healthy = [one for one in releases if one["kind"] == "false"]
    rolled = sum(one["seconds"] is not None for one in healthy)
    if healthy and lower_bound(rolled, len(healthy), 0.95) > ALPHA:
        said.append(f"{rolled} of {len(healthy)} healthy simulated releases were rolled back, alpha is {ALPHA:g}")
    return said


def holds_alpha(cell: World, judge: str) -> bool:
    """Whether this judge promises alpha in this cell: not on regressions, nor without the guard where requests depend on each other."""
    if not judge.startswith("this method") or cell.kind == "power" or (cell.kind == "guard" and cell.p_b != cell.p_g):
        return False
    return cell.kind == "false" or judge != "this method, guard off"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.analysis", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few releases a cell, nothing is kept")
    parser.add_argument("--write", action="store_true", help="write docs/analysis/figures.md")
    parser.add_argument("--cell", default="", help="only cells whose name contains this")
    given = parser.parse_args()
    cells, began = [cell for cell in worlds() if given.cell in cell.name], time.monotonic()
    if given.quick and not given.cell:
        # A third of the settings of bursts and drift: each needs six hours of history.
        cells = [cell for index, cell in enumerate(cells) if cell.kind != "guard" or index % 3 == 0]
    results = measure(cells, quick=given.quick)
    releases = simulate(cells, quick=given.quick)
    text = document(cells, results, releases)
    print(text)
    if given.write and not given.quick and not given.cell:
        DOCUMENT.write_text(text)
        README.write_text(with_summary(README.read_text(), cells, results))
        RELEASES.write_text("".join(json.dumps(one, separators=(",", ":")) + "\n" for one in releases))
    said = refuted(cells, results) + otherwise(releases)
    for sentence in said:
        print(sentence, file=sys.stderr)
    print(f"{time.monotonic() - began:.0f} s on {os.cpu_count()} cores", file=sys.stderr)
    sys.exit(1 if said else 0)


if __name__ == "__main__":
    main()
