"""The worlds of `bench.analysis`: traffic of a 75-minute release, drawn for many releases at once.

Stages of 5, 25, 50 and 100 % for 20, 20, 20 and 15 minutes, a look every 10 s. Durations are log-normal (median 80 ms,
sigma 0.6: p95 214 ms) in Istio's buckets. Errors may come in bursts (geometric sizes), rates may drift (an AR(1) of
their logarithm with a memory of 10 minutes), for both arms together or for each by itself.
"""

import math
from dataclasses import dataclass
from zlib import crc32

import numpy as np

LOOK = 10
STAGES = ((0.05, 120), (0.25, 120), (0.5, 120), (1.0, 90))
EDGES = (50.0, 100.0, 250.0, 500.0)
MEDIAN_MS, SIGMA = 80.0, 0.6
MEMORY = 600.0
DRIFT_SLO = 0.05
"""Where rates drift: a limit that drift alone does not break, since at 100 % breaking it is a reason to roll back."""

HISTORY_LOOKS = 6 * 3600 // LOOK


@dataclass(frozen=True)
class World:
    """One cell.

    Attributes:
        name: of the cell.
        kind: "power" (a regression), "false" (a healthy release) or "guard" (healthy, requests depend on each other).
        per_second: requests of both arms.
        p_b, p_g: error rates of both arms; p_g from `onset` on.
        slower: factor on the candidate's durations.
        incident: minutes from, minutes to, factor on both arms' error rates.
        burst: mean size of a burst of errors.
        together, apart: standard deviations of the drift of both arms' log rate, and of each arm's own.
        slo: the fixed limit on the error rate.
        runs: releases.
    """

    name: str
    kind: str
    per_second: float
    p_b: float
    p_g: float
    onset: float = 0.0
    slower: float = 1.0
    incident: tuple[float, float, float] = (0, 0, 1)
    burst: float = 1.0
    together: float = 0.0
    apart: float = 0.0
    slo: float = 0.01
    runs: int = 2000

    @property
    def latency(self) -> bool:
        """Whether durations are drawn; where errors depend on each other only they are looked at."""
        return self.burst == 1 and not self.together and not self.apart

    def rng(self, chunk: int):
        return np.random.default_rng([crc32(self.name.encode()), chunk])


def worlds() -> list[World]:
    """All cells, in the order of the tables."""

    def bad(name, per_second, p_b, p_g, **more):
        return World(name, "power", per_second, p_b, p_g, **more)

    def good(name, per_second, p, **more):
        return World(name, "false", per_second, p, more.pop("p_g", p), **more)

    found = [
        bad("1->2 % @50", 50, 0.01, 0.02),
        bad("0.1->1 % @50", 50, 0.001, 0.01),
        bad("1->5 % @50", 50, 0.01, 0.05),
        bad("p95 x1.5 @50", 50, 0.001, 0.001, slower=1.5, runs=400),
        bad("1->2 % @500", 500, 0.01, 0.02),
        bad("0.1->1 % @500", 500, 0.001, 0.01),
        bad("1->5 % @500", 500, 0.01, 0.05),
        bad("1->5 % @5", 5, 0.01, 0.05),
    ]
    found += [bad(f"0.1->1 % @{r} from minute {m}", r, 0.001, 0.01, onset=60.0 * m) for r in (50, 500) for m in (10, 30, 50)]
    found += [good(f"{100 * p:g} % @50", 50, p) for p in (0.001, 0.005, 0.01)]
    found += [
        good("0.1 % @500", 500, 0.001),
        good("1 % @500", 500, 0.01),
        good("1 % @5", 5, 0.01),
        good("boundary of 0.5 % @50", 50, 0.005, p_g=1.1 * 0.005 + 0.0005),
        good("boundary of 0.1 % @500", 500, 0.001, p_g=1.1 * 0.001 + 0.0005),
        good("incident in both arms @50", 50, 0.001, incident=(15, 30, 50)),
        good("incident in both arms @500", 500, 0.001, incident=(15, 30, 50)),
    ]
    for rate in (50, 500):
        for burst in (1, 3, 10):
            for drift, numbers in {"none": (0, 0), "together 0.5": (0.5, 0), "apart 0.1": (0, 0.1), "apart 0.2": (0, 0.2)}.items():
                name = f"bursts of {burst}, drift {drift} @{rate}"
                found.append(World(name, "guard", rate, 0.005, 0.005, burst=burst, together=numbers[0], apart=numbers[1], slo=DRIFT_SLO))
    found += [
        World(f"{100 * a:g}->{100 * b:g} % @{rate}, bursts of {burst}", "guard", rate, a, b, burst=burst)
        for burst in (1, 3)
        for rate, a, b in ((50, 0.01, 0.02), (50, 0.001, 0.01), (50, 0.01, 0.05), (500, 0.001, 0.01), (500, 0.01, 0.05))
    ]
    return found


def tails(slower: float = 1.0) -> list[float]:
    """Share of requests beyond each edge."""
    return [0.5 * math.erfc(math.log(edge / (MEDIAN_MS * slower)) / SIGMA / math.sqrt(2)) for edge in EDGES]


@dataclass
class Arm:
    """What one arm did in one look: requests, bad ones, and those beyond each edge."""

    n: np.ndarray
    x: np.ndarray
    slow: list


@dataclass
class Look:
    """One look at all releases."""

    index: int
    stage: int
    share: float
    seconds_from: float
    green: Arm
    blue: Arm


def looks(world: World, rows: int, rng):
    """The release, look by look."""
    drifts, index = [np.zeros(rows) for _ in range(3)], 0
    slow = tails(), tails(world.slower)
    for stage, (share, count) in enumerate(STAGES):
        for _ in range(count):
            minute, late = index * LOOK / 60, index * LOOK >= world.onset
            drifts = [moved(drift, rng, sd) for drift, sd in zip(drifts, (world.together, world.apart, world.apart), strict=True)]
            factor = world.incident[2] if world.incident[0] <= minute < world.incident[1] else 1.0
            p_g = (world.p_g if late else world.p_b) * factor * np.exp(drifts[0] + drifts[1])
            p_b = world.p_b * factor * np.exp(drifts[0] + drifts[2])
            green = arm_of(world, rng, share, p_g, slow[1])
            yield Look(index, stage, share, index * LOOK, green, arm_of(world, rng, 1 - share, p_b, slow[0]))
            index += 1


def moved(drift, rng, sd):
    if not sd:
        return drift
    keep = math.exp(-LOOK / MEMORY)
    return keep * drift + sd * math.sqrt(1 - keep * keep) * rng.standard_normal(len(drift))


def arm_of(world, rng, share, p, tail):
    n = rng.poisson(world.per_second * share * LOOK, len(p)).astype(float)
    x = bad_of(rng, n, np.minimum(p, 0.9), world.burst)
    slow, left, before = [], n, 1.0
    for one in tail if world.latency else ():
        left = rng.binomial(left.astype(int), one / before).astype(float)
        slow.append(left)
        before = one
    return Arm(n, x, slow)


def bad_of(rng, n, p, burst):
    if burst == 1:
        return rng.binomial(n.astype(int), p).astype(float)
    bursts = rng.poisson(n * p / burst)
    more = np.where(bursts > 0, rng.negative_binomial(np.maximum(bursts, 1), 1 / burst), 0)
    return np.minimum(bursts + more, n).astype(float)


def history(world: World, rows: int, rng, count: int = HISTORY_LOOKS):
    """Six hours of the baseline (or so many looks) with its pods in two halves: arrays (x1, x2, n1, n2) of looks by releases."""
    drifts, found = [np.zeros(rows) for _ in range(3)], []
    for _ in range(count):
        drifts = [moved(drift, rng, sd) for drift, sd in zip(drifts, (world.together, world.apart, world.apart), strict=True)]
        halves = []
        for drift in drifts[1:]:
            n = rng.poisson(world.per_second * LOOK / 2, rows).astype(float)
            halves.append((n, bad_of(rng, n, np.minimum(world.p_b * np.exp(drifts[0] + drift), 0.9), world.burst)))
        found.append((halves[0][1], halves[1][1], halves[0][0], halves[1][0]))
    return [np.array(part) for part in zip(*found, strict=True)]
