"""`python -m bench.analysis [--quick] [--write]`: false rollbacks and times to detect, by Monte Carlo.

Releases are drawn in chunks of 200, each from its own seed, on all cores; finished chunks are kept in
`bench/analysis_results.jsonl`, so that an interrupted run goes on. Results of another engine (`analysis/` or the twin
changed) are not used. `--write` puts the tables into docs/analysis/figures.md. `--quick` draws a few releases a cell
for this method only and keeps nothing. Both end with 1 where the bound on false rollbacks is refuted (exact binomial
95 % bound), a median is far off the method's row, or the product's own path differs from the twin.
"""

import argparse
import inspect
import json
import os
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from analysis.numbers import lower_bound
from bench import analysis_worlds
from bench.analysis_judges import judges
from bench.analysis_product import Product
from bench.analysis_tables import AIMS, document
from bench.analysis_worlds import World, looks, worlds

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench/analysis_results.jsonl"
DOCUMENT = ROOT / "docs/analysis/figures.md"
CHUNK = 200
PEER_CHUNKS = 3
"""The peers' rules are shown this many chunks of a cell: their rates are far from any bound, and Kayenta's judge is slow."""

QUICK_CHUNK = 100
QUICK = {"false": 200, "power": 100, "guard": 100}
ALPHA = 0.01
GAP = 1e-9
"""What ln E of the product's own path may differ from the twin's."""

SLACK_SECONDS, SLACK_SHARE = 30, 0.25
"""What the median of a hundred releases may be off the row by chance."""


def engine(world: World) -> str:
    """A fingerprint of everything that makes a cell's numbers: the engine, the judges, how traffic is drawn, and the cell itself."""
    files = [ROOT / "analysis" / f"{name}.py" for name in ("rate", "slo", "latency", "combine", "kayenta", "mannwhitney", "numbers")]
    files += [ROOT / "bench" / f"analysis_{name}.py" for name in ("twin", "judges", "product")]
    draws = "".join(inspect.getsource(one) for one in (analysis_worlds.moved, analysis_worlds.arm_of, analysis_worlds.bad_of))
    draws += "".join(inspect.getsource(one) for one in (looks, analysis_worlds.tails, analysis_worlds.history))
    return sha256(b"".join(path.read_bytes() for path in files) + f"{draws}{world}".encode()).hexdigest()[:12]


def chunk(task: tuple[World, int, int, bool]) -> dict:
    """Draw and judge one chunk: times by judge (None where never), and the product's own path on its first release."""
    world, index, rows, peers = task
    rng = world.rng(index)
    every = judges(world, rows, rng, peers=peers)
    twin = every.get("this method, product's defaults") or every["this method, guard defaults"]
    product = Product(world) if index == 0 else None
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
    prints = {cell.name: engine(cell) for cell in cells}
    return {(one["cell"], one["chunk"]): one for one in lines if any_engine or one["engine"] == prints.get(one["cell"])}


def measure(cells: list[World], *, quick: bool) -> dict[str, list[dict]]:
    """All chunks of all cells, drawn or kept."""
    kept = {} if quick else known(cells)
    rows = QUICK_CHUNK if quick else CHUNK
    tasks = [
        (cell, index, rows, not quick and index < PEER_CHUNKS)
        for cell in cells
        for index in range((QUICK[cell.kind] if quick else cell.runs) // rows)
    ]
    todo = [task for task in tasks if (task[0].name, task[1]) not in kept]
    found = {(cell.name, index): kept[cell.name, index] for cell, index, *_ in tasks if (cell.name, index) in kept}
    for done, one in enumerate(drawn(todo), start=1):
        found[one["cell"], one["chunk"]] = one
        if not quick:
            with RESULTS.open("a") as file:
                file.write(json.dumps(one, separators=(",", ":")) + "\n")
        if done % 20 == 0 or done == len(todo):
            print(f"... {done} of {len(todo)} chunks, {one['cell']}", file=sys.stderr, flush=True)
    return {cell.name: [found[cell.name, index] for index in range(sum(task[0] is cell for task in tasks))] for cell in cells}


def drawn(todo: list) -> Iterator[dict]:
    if todo:
        with Pool(os.cpu_count()) as pool:
            yield from pool.imap_unordered(chunk, todo)


def refuted(cells: list[World], results: dict[str, list[dict]]) -> list[str]:
    """Sentences of what the numbers refute; none is good."""
    said = []
    for cell in cells:
        for judge in results[cell.name][0]["times"]:
            times = [t for part in results[cell.name] for t in part["times"].get(judge, ())]
            rolled = sum(t is not None for t in times)
            guarded = judge != "this method, guard off" and judge.startswith("this method")
            promised = guarded or (judge == "this method, guard off" and cell.kind == "false")
            if promised and holds_alpha(cell, judge) and lower_bound(rolled, len(times), 0.95) > ALPHA + 0.001 * (cell.kind == "guard"):
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


def holds_alpha(cell: World, judge: str) -> bool:
    """Whether this judge promises alpha in this cell: not on regressions, not where the arms really differ or phi is not known."""
    if cell.kind == "power" or (cell.kind == "guard" and (cell.p_b != cell.p_g or cell.apart)):
        return False
    return cell.kind == "false" or judge == "this method, guard measured"


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
    text = document(cells, results)
    print(text)
    if given.write and not given.quick and not given.cell:
        DOCUMENT.write_text(text)
    said = refuted(cells, results)
    for sentence in said:
        print(sentence, file=sys.stderr)
    print(f"{time.monotonic() - began:.0f} s on {os.cpu_count()} cores", file=sys.stderr)
    sys.exit(1 if said else 0)


if __name__ == "__main__":
    main()
