"""`python -m bench.analysis_latency [runs]`: latency where requests depend on each other, and nobody measured blue; 2,000 releases a cell.

Slow requests that come together, and arms whose durations wander:

    bursts      requests come in groups (geometric sizes of that mean) that share one duration
    together    the logarithm of all durations drifts by that much (memory 10 minutes)
    apart       each arm's, and before the release each half of blue's pods', by itself: no version is slower than the other

The errors are silent, so that latency decides with its weight. It is judged with a dispersion of 2, and with what a release sees by itself
in its blue's last hour and a half (`analysis.bursts.beyond`, in numpy; the product measures the first release of each cell, too).
Ends with 1 where the lower bound of the false rate is beyond what is promised.
"""

import math
import os
import sys
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path
from zlib import crc32

import numpy as np

from analysis import apart, bursts
from analysis.combine import DEFAULT_ALPHA, DEFAULT_WEIGHTS
from analysis.counters import Scrapes
from analysis.latency import plan_latency
from analysis.model import Counted, Sample, Series
from analysis.numbers import lower_bound
from analysis.rate import Dispersion
from bench.analysis_judges import apart_by
from bench.analysis_tables import GUARD_BOUND, median
from bench.analysis_twin import Ticks, Twin, logsumexp
from bench.analysis_worlds import EDGES, LOOK, MEDIAN_MS, SIGMA, STAGES, moved, tails

RESULTS = Path(__file__).parent / "analysis_latency.md"
RUNS, POWER_RUNS, CHUNK = 2000, 400, 200
BOUND = math.log(1 / DEFAULT_ALPHA)
FIVE = 5
"""Steps in a block of five minutes."""

WAYS = ("a dispersion of 2", "what blue shows (the product)")
ERRORS = np.vectorize(math.erfc)


@dataclass(frozen=True)
class Cell:
    """One setting; `slower` is the logarithm of the factor on green's durations."""

    per_second: float
    burst: int
    together: float = 0.0
    apart: float = 0.0
    slower: float = 0.0

    @property
    def name(self) -> str:
        drift = f"together {100 * self.together:g} %" if self.together else f"apart {100 * self.apart:g} %" if self.apart else "none"
        wrong = f"durations x{math.exp(self.slower):.3g}, " if self.slower else ""
        return f"{wrong}bursts of {self.burst}, drift {drift} @{self.per_second:g}"


DRIFTS: tuple[dict[str, float], ...] = ({}, {"together": 0.05}, {"apart": 0.01}, {"apart": 0.03})
HEALTHY = [Cell(rate, burst, **drift) for rate in (50, 500) for burst in (1, 3, 10) for drift in DRIFTS]
SLOWER = [Cell(rate, burst, slower=math.log(factor)) for factor in (1.1, 1.5) for burst in (1, 3) for rate in (50, 500)]


def counts(rng, n, drift, burst):
    """Requests, and those beyond each edge."""
    left = n.astype(int) if burst == 1 else rng.poisson(n / burst)
    groups, before = [left], 1.0
    for edge in EDGES:
        tail = 0.5 * ERRORS((math.log(edge / MEDIAN_MS) - drift) / SIGMA / math.sqrt(2))
        left = rng.binomial(left, np.minimum(tail / before, 1.0))
        groups.append(left)
        before = tail
    if burst == 1:
        return [one.astype(float) for one in groups]
    found, held, slower = [], np.zeros(len(n)), np.zeros(len(n), int)
    for every in reversed(groups):
        only = every - slower
        held = held + only + np.where(only > 0, rng.negative_binomial(np.maximum(only, 1), 1 / burst), 0)
        found.append(held)
        slower = every
    return found[::-1]


class Drifts:
    """What both arms share, and each one's own; they have wandered for as long as they remember."""

    def __init__(self, cell, rows, rng) -> None:
        self.sds, self.rng = (cell.together, cell.apart, cell.apart), rng
        self.now = [sd * rng.standard_normal(rows) for sd in self.sds]

    def step(self):
        self.now = [moved(drift, self.rng, sd) for drift, sd in zip(self.now, self.sds, strict=True)]
        return self.now[0] + self.now[1], self.now[0] + self.now[2]


def past(cell, rows, rng):
    """Minutes of blue before the release, its pods in two halves: arrays of (half, requests and those beyond each edge, releases)."""
    drifts, found = Drifts(cell, rows, rng), []
    for _ in range(int(apart.SECONDS / apart.STEP)):
        minute = np.zeros((2, 1 + len(EDGES), rows))
        for _ in range(int(apart.STEP) // LOOK):
            for half, drift in enumerate(drifts.step()):
                n = rng.poisson(cell.per_second * LOOK / 2, rows).astype(float)
                minute[half] += counts(rng, n, drift, cell.burst)
        found.append(minute)
    return np.array(found)


def shown(minutes, at):
    """The dispersion of each tested edge by release: within a scrape, and the widest."""
    within, widest = [], []
    for edge in at:
        x, n = minutes[:, :, 1 + edge], minutes[:, :, 0]
        bad, every = x.sum(axis=1), n.sum(axis=1)
        p = bad.sum(axis=0) / every.sum(axis=0)
        off = bad - every * p
        phi = (np.diff(off, axis=0) ** 2).sum(axis=0) / np.maximum(2 * p * (1 - p) * every[1:].sum(axis=0), 1e-9)
        phi = np.where((bad.sum(axis=0) >= bursts.LEAST_BAD) & (p < 1), phi, 0.0)
        halves = (x[:, 0], x[:, 1], n[:, 0], n[:, 1])
        by_step, by_block = (np.nan_to_num(apart_by(halves, block), nan=0.0) for block in (1, FIVE))
        within.append(np.maximum(phi, Dispersion().bursts))
        widest.append(np.maximum(within[-1], np.where(by_step > 0, np.maximum(by_step, by_block), 0.0)))
    return np.array(within), np.array(widest)


def of_product(minutes, edges):
    """What the product says of the first release, from the counters of two pods."""
    since, series = apart.SECONDS, []
    for half in range(2):
        for place, edge in enumerate((*EDGES, math.inf)):
            beyond = minutes[:, half, 1 + place, 0] if math.isfinite(edge) else 0.0
            sums = 1.0 + np.concatenate([[0.0], np.cumsum(minutes[:, half, 0, 0] - beyond)])
            samples = tuple(Sample(apart.STEP * index, float(value)) for index, value in enumerate(sums))
            series.append(Series((("le", f"{edge:g}" if math.isfinite(edge) else "+Inf"), ("pod", f"b-{half}")), samples))
    return bursts.beyond(Dispersion(), Counted(buckets=tuple(series)), edges, since, Scrapes(LOOK, LOOK, 3 * LOOK))


def chunk(task):
    """Seconds to the rollback of each release, by way; None where there was none."""
    cell, index, rows = task
    rng = np.random.default_rng([crc32(cell.name.encode()), index])
    usual = dict(zip(EDGES, [1 - tail for tail in tails()], strict=True))
    plan = plan_latency(usual, 1.0, dispersion=Dispersion())
    at = [EDGES.index(edge.baseline_edge) for edge in plan.edges]
    minutes = past(cell, rows, rng)
    within, widest = shown(minutes, at)
    said = of_product(minutes, [EDGES[edge] for edge in at]) or (Dispersion(),) * len(at)
    pairs = [(one.bursts, one.widest) for one in said]
    assert np.allclose(pairs, np.column_stack([within[:, 0], widest[:, 0]])), "the product sees another dispersion"
    p_hist = np.tile([edge.test.p_hist for edge in plan.edges], rows)
    phis = ({}, {"bursts": within.T.ravel(), "widest": widest.T.ravel()})
    twins = [Twin(plan.edges[0].test, rows * len(at), p_hist=p_hist, **phi) for phi in phis]
    times = np.full((len(twins), rows), np.nan)
    for seconds, tick in looks(cell, rows, rng, at):
        for twin, found in zip(twins, times, strict=True):
            twin.step(tick)
            mean = logsumexp(twin.ln_e.reshape(rows, -1)) - math.log(len(at))
            weight = DEFAULT_WEIGHTS["latency"]
            reached = np.logaddexp(mean + math.log(weight), math.log(1 - weight)) >= BOUND
            found[reached & np.isnan(found)] = seconds
    return cell, [[None if np.isnan(one) else float(one) for one in every] for every in times]


def looks(cell, rows, rng, at):
    """The stages with both versions, look by look: the seconds until its end, and the tick of all edges."""
    drifts, seconds = Drifts(cell, rows, rng), 0
    for stage, (share, count) in enumerate(STAGES[:-1]):
        for _ in range(count):
            seconds += LOOK
            parts = []
            for part, drift, more in zip((share, 1 - share), drifts.step(), (cell.slower, 0.0), strict=True):
                found = counts(rng, rng.poisson(cell.per_second * part * LOOK, rows).astype(float), drift + more, cell.burst)
                parts += [np.repeat(found[0], len(at)), np.column_stack([found[1 + edge] for edge in at]).ravel()]
            yield seconds, Ticks(*parts, LOOK, stage)


def table(head, cells, held, say) -> str:
    rows = [f"| {head} | {' | '.join(WAYS)} |", f"| --- |{' --: |' * len(WAYS)}"]
    return "\n".join([*rows, *(f"| {cell.name} | {' | '.join(say(times) for times in held[cell])} |" for cell in cells)])


def false_rate(times) -> str:
    rolled = sum(t is not None for t in times)
    return f"{100 * rolled / len(times):.2f} (at least {100 * lower_bound(rolled, len(times), 0.95):.2f})"


def power(times) -> str:
    seconds, share = median(times), f"{100 * sum(t is not None for t in times) / len(times):.0f} %"
    return f"{seconds:,.0f} ({share})" if math.isfinite(seconds) else f"- ({share})"


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    sizes = {**dict.fromkeys(HEALTHY, runs), **dict.fromkeys(SLOWER, min(runs, POWER_RUNS))}
    tasks = [(cell, index, min(CHUNK, size)) for cell, size in sizes.items() for index in range(max(size // CHUNK, 1))]
    held = {cell: [[] for _ in WAYS] for cell in sizes}
    with Pool(int(os.environ.get("PENSTOCK_BENCH_PROCESSES", os.cpu_count() or 1))) as pool:
        for cell, times in pool.imap_unordered(chunk, tasks):
            for into, more in zip(held[cell], times, strict=True):
                into.extend(more)
    text = f"{table('', HEALTHY, held, false_rate)}\n\n{table('', SLOWER, held, power)}\n"
    print(text)
    if runs == RUNS:
        RESULTS.write_text(text)
    product = [[t is not None for t in held[cell][1]] for cell in HEALTHY]
    return int(any(lower_bound(sum(one), len(one), 0.95) > GUARD_BOUND for one in product))


if __name__ == "__main__":
    sys.exit(main())
