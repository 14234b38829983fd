"""`python -m bench.analysis_tries`: what else was tried to find a regression earlier, on the cells of the row.

One thing is changed at a time, in the twin; 400 releases a cell with the guard off, or with a measured guard where it is
about the guard. The last column is the price: false rollbacks at the boundary of the null, of 1,000 releases.
"""

import math
import os
import sys
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import Pool

import numpy as np

from analysis import rate
from bench import analysis_judges
from bench.analysis_judges import Sequential
from bench.analysis_tables import AIMS, median
from bench.analysis_worlds import looks, worlds

CELLS = [name for name in AIMS if name != "p95 x1.5 @50"]
BOUNDARY = "boundary of 0.5 % @50"
FINE = tuple(1.15 * (60 / 1.15) ** (index / 15) for index in range(16))
TRIES = {
    "as it is": {},
    "grid of 16 from 1.15": {"grid": FINE},
    "grid of 5": {"grid": (1.4, 2.2, 4.0, 9.0, 30.0)},
    "0.5 of the capital at the start, not 0.8": {"AT_START": 0.5},
    "0.95 of the capital at the start": {"AT_START": 0.95},
    "0.2 freed at a stage, not 0.5": {"AT_STAGE": 0.2},
    "0.8 freed at a stage": {"AT_STAGE": 0.8},
    "0.003 freed in 10 s, not 0.001": {"PER_TEN_SECONDS": 0.003},
    "history worth 200,000 requests": {"kappa": 200_000.0},
    "history worth 2,000 requests": {"kappa": 2_000.0},
    "errors weigh 0.7 (latency 0.2, limit 0.1)": {"weights": {"errors": 0.7, "latency": 0.2, "slo": 0.1}},
    "errors weigh 0.4, the limit 0.4": {"weights": {"errors": 0.4, "latency": 0.2, "slo": 0.4}},
    "no share for stages without blue": {"alone": 1e-9},
    "tolerance 1.0 and 0.05 points": {"rho": 1.0},
    "guard: phi 1 with the cap (independent, and known to be)": {"cap": math.log(100) / 2},
    "guard: phi 2 without the cap": {"phi": 2.0},
    "guard: phi 1.5 with the cap": {"phi": 1.5, "cap": math.log(100) / 2},
    "guard: phi 2 with the cap (the default)": {"phi": 2.0, "cap": math.log(100) / 2},
}


@contextmanager
def changed(what: dict):
    """The engine with these constants."""
    held = {name: getattr(rate, name) for name in ("AT_START", "AT_STAGE", "PER_TEN_SECONDS")}
    weights, alone = analysis_judges.DEFAULT_WEIGHTS, analysis_judges.ALONE_SHARE
    try:
        for name, value in held.items():
            setattr(rate, name, what.get(name, value))
        analysis_judges.DEFAULT_WEIGHTS = what.get("weights", weights)
        analysis_judges.ALONE_SHARE = what.get("alone", alone)
        yield
    finally:
        for name, value in held.items():
            setattr(rate, name, value)
        analysis_judges.DEFAULT_WEIGHTS, analysis_judges.ALONE_SHARE = weights, alone


def tried(task: tuple[str, str]) -> tuple[str, str, list]:
    """Times to the rollback in one cell under one change."""
    name, cell = task
    world, what = next(one for one in worlds() if one.name == cell), TRIES[name]
    rows = 1000 if cell == BOUNDARY else 400
    rng = world.rng(1000)
    with changed(what):
        judge = Sequential(world, rows, "off", rng)
        for twin in (judge.errors, judge.limit, judge.relative, judge.alone, judge.latency):
            change(twin, what, errors=twin is judge.errors)
        for look in looks(world, rows, rng):
            judge.see(look)
            if judge.done:
                break
    return name, cell, [None if np.isnan(t) else float(t) for t in judge.times]


def change(twin, what: dict, *, errors: bool) -> None:
    """One test of the judge, changed; grid and tolerance only of the errors."""
    if "phi" in what:
        twin.bursts = twin.widest = what["phi"]
    fields = {key: what[key] for key in ("kappa", "cap") if key in what}
    fields |= {key: what[key] for key in ("rho", "grid") if key in what and errors}
    twin.test = replace(twin.test, **fields)
    if "grid" in fields:
        twin.grid = np.array(twin.test.grid)
        twin.capital = np.full((len(twin.capital), len(twin.grid)), math.log(rate.AT_START) - math.log(len(twin.grid)))


def main() -> None:
    tasks = [(name, cell) for name in TRIES for cell in (*CELLS, BOUNDARY)]
    found = {}
    with Pool(os.cpu_count()) as pool:
        for done, (name, cell, times) in enumerate(pool.imap_unordered(tried, tasks), start=1):
            found[name, cell] = times
            print(f"... {done} of {len(tasks)}", file=sys.stderr, flush=True)
    print("| changed | " + " | ".join(CELLS) + " | at the boundary |\n|---" + "|--:" * (len(CELLS) + 1) + "|")
    for name in TRIES:
        seconds = [median(found[name, cell]) for cell in CELLS]
        wrong = sum(t is not None for t in found[name, BOUNDARY])
        said = [f"{one:,.0f}" if math.isfinite(one) else "-" for one in seconds]
        print(f"| {name} | " + " | ".join(said) + f" | {wrong / 10:.1f} % |")


if __name__ == "__main__":
    main()
