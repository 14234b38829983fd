"""`python -m bench.analysis_ideas`: ideas that need more than another constant, tried on the twin; 400 releases a cell.

    strata      an e-value for each of ten routes beside, or instead of, one for all requests
    estimate    half of the capital bets on the candidate's rate as it is estimated so far
    history     what the history is worth where it is wrong
    guard       other caps, and other ways to put phi together, where requests depend on each other

The last lines of each table are the price: false rollbacks at the boundary of the null, or of healthy releases.
"""

import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import Pool
from typing import Any

import numpy as np

from analysis.combine import DEFAULT_ALPHA
from analysis.rate import Dispersion, RateTest
from bench import analysis_twin
from bench.analysis_judges import Sequential
from bench.analysis_tables import median
from bench.analysis_twin import Ticks, Twin, logsumexp
from bench.analysis_worlds import LOOK, STAGES, World, history, looks, worlds

ROWS = 400
HEALTHY_ROWS = 1000
ROUTES = 10
ERRORS_WEIGHT = 0.5
BOUND = math.log(1 / DEFAULT_ALPHA) - math.log(ERRORS_WEIGHT)
"""What ln E of the errors alone must reach, the other checks silent."""

CAP = math.log(1 / DEFAULT_ALPHA) / 2
FREE = {"dispersion": Dispersion(1, 1), "cap": math.inf}

Times = list[float | None]


# Strata: errors alone, guard off; ten routes with equal traffic.

STRATA = {
    "one of ten routes 0.1->10 % @50": (50, 0.001, [0.1] + [0.001] * 9),
    "all routes 0.1->1 % @50": (50, 0.001, [0.01] * 10),
    "one of ten routes 1->20 % @50": (50, 0.01, [0.2] + [0.01] * 9),
    "all routes 1->2 % @50": (50, 0.01, [0.02] * 10),
    "boundary of 0.5 % @50": (50, 0.005, [1.1 * 0.005 + 0.0005] * 10),
}


def strata(cell: str) -> dict[str, Times]:
    """Times by way of looking at the routes."""
    per_second, p_b, p_g = STRATA[cell]
    rows = HEALTHY_ROWS if cell.startswith("boundary") else ROWS
    rng, test = np.random.default_rng(17), RateTest(p_hist=p_b, **FREE)
    pooled, parts = Twin(test, rows), Twin(test, rows * ROUTES)
    times = {name: np.full(rows, np.nan) for name in ("all requests together", "mean over routes", "half of each")}
    index = 0
    for stage, (share, count) in enumerate(STAGES[:3]):
        for _ in range(count):
            n_g, n_b = (rng.poisson(per_second * LOOK * part / ROUTES, (rows, ROUTES)) for part in (share, 1 - share))
            x_g, x_b = rng.binomial(n_g, p_g), rng.binomial(n_b, p_b)
            every = [part.astype(float) for part in (n_g, x_g, n_b, x_b)]
            parts.step(Ticks(*(part.ravel() for part in every), LOOK, stage))
            pooled.step(Ticks(*(part.sum(axis=1) for part in every), LOOK, stage))
            mean = logsumexp(parts.ln_e.reshape(rows, ROUTES)) - math.log(ROUTES)
            index += 1
            for name, ln_e in zip(times, (pooled.ln_e, mean, np.logaddexp(pooled.ln_e, mean) - math.log(2)), strict=True):
                times[name] = np.where((ln_e >= BOUND) & np.isnan(times[name]), index * LOOK, times[name])
    return {name: plain(found) for name, found in times.items()}


# An estimate: a bet on the rate that was seen so far.


class Following:
    """Half of the capital on the grid, half on the candidate's rate so far, shrunk to twice the boundary; predictable, so valid."""

    WORTH = 5.0
    LEAST, MOST = 1.05, 60.0

    def __init__(self, grid: Twin) -> None:
        rows = len(grid.rest)
        self.grid, self.capital = grid, np.zeros(rows)
        self.n, self.x = np.zeros(rows), np.zeros(rows)

    @property
    def ln_e(self) -> np.ndarray:
        """The log of the mean of both."""
        return np.logaddexp(self.grid.ln_e, self.capital) - math.log(2)

    def step(self, tick: Ticks) -> None:
        """One look."""
        twin, test = self.grid, self.grid.test
        p_b = (twin.x_b + test.kappa * twin.p_hist) / (twin.n_b + test.kappa)
        boundary = test.rho * p_b + test.delta
        seen = (self.x + self.WORTH) / (self.n + self.WORTH / (2 * boundary))
        p_g = np.minimum(np.clip(seen / boundary, self.LEAST, self.MOST) * boundary, (1 + boundary) / 2)
        on = (tick.n_g > 0) & (tick.n_b > 0)
        with np.errstate(all="ignore"):
            gained = analysis_twin._poisson(test, tick, p_g[:, None], p_b)[:, 0]  # noqa: SLF001 - the twin's own increment
        share = tick.n_g / np.maximum(tick.n_g + tick.n_b, 1)
        phi = np.maximum(1.0, twin.bursts + (twin.widest - twin.bursts) * 4 * share * (1 - share))
        self.capital = np.where(on, self.capital + np.minimum(gained / phi, test.cap), self.capital)
        self.n, self.x = self.n + tick.n_g, self.x + tick.x_g
        twin.step(tick)


ROW = ("1->2 % @50", "0.1->1 % @50", "1->5 % @50", "1->2 % @500", "0.1->1 % @500", "1->5 % @5", "0.1->1 % @50 from minute 30")
TILTED = (1.25, 1.25, 1.25, 1.6, 1.6, 2.2, 3.2, 5.0, 9.0, 20.0, 60.0)


def as_it_is(_judge: Sequential) -> None:
    """Nothing changed."""


def half_follows(judge: Sequential) -> None:
    """The errors' capital follows the estimate by half."""
    judge.errors = Following(judge.errors)


def tilted(judge: Sequential) -> None:
    """More of the capital near the boundary: points of the grid that count several times."""
    with_grid(judge.errors, TILTED)


def with_grid(twin: Twin, grid: tuple[float, ...]) -> None:
    """Another grid for a twin that has not begun."""
    fresh = Twin(replace(twin.test, grid=grid), len(twin.rest), p_hist=twin.p_hist, bursts=twin.bursts, widest=twin.widest)
    twin.__dict__.update(fresh.__dict__)


def past(factor: float, kappa: float) -> Callable[[Sequential], None]:
    """The history says `factor` times the true rate, and is worth so many requests."""

    def change(judge: Sequential) -> None:
        for twin in (judge.errors, judge.relative):
            twin.p_hist = twin.p_hist * factor
            twin.test = replace(twin.test, kappa=kappa)

    return change


BETS = {
    "as it is": as_it_is,
    "half follows the estimate": half_follows,
    "grid with five of eleven parts below 2": tilted,
    "history three times too high": past(3.0, 20_000),
    "history three times too high, worth 2,000 requests": past(3.0, 2_000),
    "history three times too low": past(1 / 3, 20_000),
    "history three times too low, worth 2,000 requests": past(1 / 3, 2_000),
}


# The guard.


def caps(share: float) -> Callable[[Sequential], None]:
    """At most this share of ln(1/alpha) a scrape."""

    def change(judge: Sequential) -> None:
        for twin in (judge.errors, judge.limit, judge.relative, judge.alone):
            twin.test = replace(twin.test, cap=share * 2 * CAP)

    return change


def phi_of(which: str) -> Callable[[Sequential], None]:
    """phi from the bursts alone, or the widest everywhere, instead of by the share."""

    def change(judge: Sequential) -> None:
        for twin in (judge.errors, judge.limit, judge.relative, judge.alone):
            twin.bursts = twin.widest = getattr(twin, which)

    return change


QUARTER = 90
"""Looks of a quarter of an hour."""

LEAST_BAD = 12


def last_quarter(world: World, judge: Sequential) -> None:
    """phi from the baseline's own scrapes in the last quarter of an hour, without its pods: what one differs from the next; at least 2."""
    rng = np.random.default_rng(5)
    x1, x2, n1, n2 = history(world, len(judge.times), rng, QUARTER)
    x, n = x1 + x2, n1 + n2
    p = x.sum(axis=0) / n.sum(axis=0)
    squares = (np.diff(x - n * p, axis=0) ** 2).sum(axis=0)
    phi = np.where(x.sum(axis=0) >= LEAST_BAD, squares / np.maximum(2 * (n[1:] * p * (1 - p)).sum(axis=0), 1e-9), 2.0)
    for twin in (judge.errors, judge.limit, judge.relative, judge.alone):
        twin.bursts = twin.widest = np.maximum(phi, 2.0)


class Minutes:
    """A twin that is shown whole minutes: the cap is on a minute, and so is the look."""

    def __init__(self, twin: Twin) -> None:
        self.twin, self.held = twin, []

    @property
    def ln_e(self) -> np.ndarray:
        """After the last whole minute."""
        return self.twin.ln_e

    def step(self, tick: Ticks) -> None:
        """One look."""
        self.held.append(tick)
        if len(self.held) * LOOK == 60:
            sums = [sum(getattr(one, name) for one in self.held) for name in ("n_g", "x_g", "n_b", "x_b")]
            self.twin.step(Ticks(*sums, 60.0, self.held[0].stage))
            self.held = []


def by_minute(judge: Sequential) -> None:
    """All four processes by the minute."""
    for name in ("errors", "limit", "relative", "alone"):
        setattr(judge, name, Minutes(getattr(judge, name)))


def two(judge: Sequential) -> None:
    """The default where nothing was measured."""
    for twin in (judge.errors, judge.limit, judge.relative, judge.alone):
        twin.bursts = twin.widest = 2.0


QUARTERLY = "phi from blue's last quarter of an hour, at least 2"
GUARDS = {
    "as it is: phi by share, cap of a half a scrape": as_it_is,
    "cap of three quarters": caps(0.75),
    "cap of nine tenths": caps(0.9),
    "no cap": caps(math.inf),
    "cap on a minute": by_minute,
    "phi of the bursts alone": phi_of("bursts"),
    "the widest phi everywhere": phi_of("widest"),
    "2 for everything (the default)": two,
    QUARTERLY: as_it_is,
}
GUARD_CELLS = (
    "0.1->1 % @50, bursts of 1", "1->5 % @500, bursts of 1",
    "1->2 % @50, bursts of 3", "0.1->1 % @50, bursts of 3", "1->5 % @500, bursts of 3",
    "bursts of 3, drift apart 0.2 @50", "bursts of 10, drift none @500", "bursts of 10, drift apart 0.2 @500",
)  # fmt: skip


def tried(task: tuple[str, str, str]) -> tuple[str, str, str, Any]:
    """Times in one cell under one idea."""
    kind, name, cell = task
    if kind == "strata":
        return kind, name, cell, strata(cell)
    world: World = next(one for one in worlds() if one.name == cell)
    rows = ROWS if world.p_g != world.p_b and not cell.startswith("boundary") else HEALTHY_ROWS
    rng = world.rng(2000)
    judge = Sequential(world, rows, "off" if kind == "bets" else "measured", rng)
    (BETS if kind == "bets" else GUARDS)[name](judge)
    if name == QUARTERLY:
        last_quarter(world, judge)
    for look in looks(world, rows, rng):
        judge.see(look)
        if judge.done:
            break
    return kind, name, cell, plain(judge.times - world.onset)


def plain(times: np.ndarray) -> Times:
    """As JSON has it."""
    return [None if np.isnan(time) else float(time) for time in times]


def shown(times: Times, *, healthy: bool) -> str:
    """A median, or the percent of healthy releases that were rolled back."""
    if healthy:
        return f"{100 * sum(time is not None for time in times) / len(times):.1f} %"
    seconds = median(times)
    return f"{seconds:,.0f}" if math.isfinite(seconds) else "-"


def tables(found: dict[tuple[str, str, str], Any]) -> Iterator[str]:
    """Three tables."""
    ways = found["strata", "", next(iter(STRATA))]
    yield table(list(STRATA), {way: [shown(found["strata", "", cell][way], healthy="boundary" in cell) for cell in STRATA] for way in ways})
    cells = (*ROW, "boundary of 0.5 % @50")
    yield table(cells, {name: [shown(found["bets", name, cell], healthy="boundary" in cell) for cell in cells] for name in BETS})
    healthy = {cell: "drift" in cell for cell in GUARD_CELLS}
    yield table(GUARD_CELLS, {name: [shown(found["guards", name, cell], healthy=healthy[cell]) for cell in GUARD_CELLS] for name in GUARDS})


def table(cells: Any, rows: dict[str, list[str]]) -> str:
    """In Markdown."""
    lines = ["| changed | " + " | ".join(cells) + " |", "|---" + "|--:" * len(cells) + "|"]
    return "\n".join([*lines, *(f"| {name} | " + " | ".join(said) + " |" for name, said in rows.items())])


def main() -> None:
    tasks = [("strata", "", cell) for cell in STRATA]
    tasks += [("bets", name, cell) for name in BETS for cell in (*ROW, "boundary of 0.5 % @50")]
    tasks += [("guards", name, cell) for name in GUARDS for cell in GUARD_CELLS]
    found = {}
    with Pool(os.cpu_count()) as pool:
        for done, (kind, name, cell, times) in enumerate(pool.imap_unordered(tried, tasks), start=1):
            found[kind, name, cell] = times
            print(f"... {done} of {len(tasks)}", file=sys.stderr, flush=True)
    print("\n\n".join(tables(found)))


if __name__ == "__main__":
    main()
