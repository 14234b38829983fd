"""Who judges in `bench.analysis`: this method (three guards), and the peers' rules as they are documented.

A judge is shown every look and keeps the second at which it rolled each release back; NaN where it did not.
"""

import math
from abc import ABC, abstractmethod
from contextlib import suppress

import numpy as np

from analysis import apart, bursts, kayenta
from analysis.combine import DEFAULT_ALPHA, DEFAULT_WEIGHTS
from analysis.kayenta_config import CanaryConfig, Direction, MetricConfig
from analysis.latency import plan_latency
from analysis.model import Tick
from analysis.planning import dispersion
from analysis.rate import Dispersion, RateTest
from analysis.slo import ALONE_SHARE, plan_slo
from bench.analysis_twin import Ticks, Twin, logsumexp
from bench.analysis_worlds import EDGES, LOOK, history, tails

ERROR_LIMIT, P95_LIMIT = 0.01, 300.0
"""The fixed limits of the peers' rules: 1 % errors as in their examples; the healthy p95 is 214 ms, the slow one's 321 ms."""


LEAST_BLOCKS = 12
"""Blocks with bad events below which a dispersion is not measured."""


class Judge(ABC):
    """When each release was rolled back, seconds from its start."""

    def __init__(self, rows: int) -> None:
        self.times = np.full(rows, np.nan)

    @property
    def done(self) -> bool:
        return bool(np.isfinite(self.times).all())

    def stop(self, which, look) -> None:
        self.times = np.where(which & np.isnan(self.times), look.seconds_from + LOOK, self.times)

    @abstractmethod
    def see(self, look) -> None:
        """Take one look in."""


class Sequential(Judge):
    """All checks with one alpha: errors, latency, and the limit beside the baseline."""

    def __init__(self, world, rows: int, guard: str, rng) -> None:
        super().__init__(rows)
        phi, p_hist, more = Dispersion(), np.full(rows, world.p_b), {}
        if guard == "off":
            phi, cap = Dispersion(1, 1), math.inf
        else:
            cap = math.log(1 / DEFAULT_ALPHA) / 2
        if guard == "measured":
            more["bursts"], more["widest"], p_hist = measured(world, rows, rng)
        elif guard == "defaults":
            # A stream of its own: the releases are the same whoever judges them.
            more["bursts"], more["widest"] = recent(world, rows, rng.spawn(1)[0])
        free = {"dispersion": phi, "cap": cap}
        slo = plan_slo(world.slo, world.p_b, dispersion=phi, cap=cap)
        self.errors = Twin(RateTest(p_hist=world.p_b, **free), rows, p_hist=p_hist, **more)
        self.limit, self.relative, self.alone = (Twin(t, rows, p_hist=p_hist, **more) for t in (slo.limit, slo.relative, slo.alone))
        self.began, self.ever = False, True
        self.latency, self.at = None, ()
        if world.latency:
            plan = plan_latency(dict(zip(EDGES, [1 - tail for tail in tails()], strict=True)), 1.0, **free)
            self.at = [EDGES.index(edge.baseline_edge) for edge in plan.edges]
            self.latency = Twin(plan.edges[0].test, rows * len(self.at), p_hist=np.tile([edge.test.p_hist for edge in plan.edges], rows))

    def see(self, look) -> None:
        if self.done:
            return
        tick = Ticks(look.green.n, look.green.x, look.blue.n, look.blue.x, LOOK, look.stage)
        self.errors.step(tick)
        self.limit.step(tick)
        if look.share < 1:
            self.relative.step(tick)
        else:
            self.began = True
            self.alone.step(tick)
        if self.latency is not None:
            each = len(self.at)
            slow = [np.column_stack([arm.slow[at] for at in self.at]).ravel() for arm in (look.green, look.blue)]
            n = [np.repeat(arm.n, each) for arm in (look.green, look.blue)]
            self.latency.step(Ticks(n[0], slow[0], n[1], slow[1], LOOK, look.stage))
        self.stop(self.ln_e() >= -math.log(DEFAULT_ALPHA), look)

    def ln_e(self):
        both = np.minimum(self.limit.ln_e, self.relative.ln_e) + math.log(1 - ALONE_SHARE)
        alone = self.alone.ln_e if self.began else np.zeros(len(both))
        parts = {"errors": self.errors.ln_e, "slo": np.logaddexp(both, alone + math.log(ALONE_SHARE)), "latency": np.zeros(len(both))}
        if self.latency is not None:
            parts["latency"] = logsumexp(self.latency.ln_e.reshape(len(both), -1)) - math.log(len(self.at))
        return logsumexp(np.column_stack([parts[name] + math.log(weight) for name, weight in DEFAULT_WEIGHTS.items()]))


def measured(world, rows, rng):
    """phi within a scrape, the widest phi and the baseline's rate, by release, from six hours of its own history."""
    halves = history(world, rows, rng)
    x1, x2, n1, n2 = halves
    phis = [apart_by(halves, block) for block in (1, 6, 30)]
    first = np.nan_to_num(phis[0], nan=2.0)
    widest = np.nanmax(np.array([first, *phis[1:]]), axis=0)
    product = dispersion(ticks_of(halves, 1))
    assert max(abs(product.bursts - first[0]), abs(product.widest - widest[0])) < 1e-9, "the product measures another dispersion"
    return first, widest, (x1.sum(axis=0) + x2.sum(axis=0)) / (n1.sum(axis=0) + n2.sum(axis=0))


def apart_by(halves, block: int):
    """phi between two halves of the pods over blocks of so many looks, by release; NaN where fewer than twelve hold bad events."""
    a, b, m, n = (part.reshape(-1, block, part.shape[1]).sum(axis=1) for part in halves)
    bad, every = a + b, m + n
    q = m / np.maximum(every, 1)
    on = (bad > 0) & (every > 1) & (q > 0) & (q < 1)
    squares = np.where(on, (a - bad * q) ** 2, 0).sum(axis=0)
    expected = np.where(on, bad * q * (1 - q) * (every - bad) / np.maximum(every - 1, 1), 0).sum(axis=0)
    return np.where(on.sum(axis=0) >= LEAST_BLOCKS, squares / np.maximum(expected, 1e-9), np.nan)


def ticks_of(halves, looks: int) -> list[Tick]:
    """The first release's history as the product counts it, in ticks of so many looks."""
    x1, x2, n1, n2 = (part[:, 0].reshape(-1, looks).sum(axis=1) for part in halves)
    seconds = float(looks * LOOK)
    return [
        Tick(seconds * i, seconds * (i + 1), *map(float, (m, a, n, b))) for i, (a, b, m, n) in enumerate(zip(x1, x2, n1, n2, strict=True))
    ]


def recent(world, rows, rng):
    """The dispersion by release where nobody measured: 2, or what is seen before it where that is more.

    Within a scrape it is what the baseline's scrapes of the last quarter of an hour differ (`analysis.bursts`), between the arms how its
    pods drifted apart in an hour and a half (`analysis.apart`).
    """
    halves = history(world, rows, rng, int(apart.SECONDS) // LOOK)
    last = int(bursts.SECONDS) // LOOK
    x, n = (halves[0] + halves[1])[-last:], (halves[2] + halves[3])[-last:]
    p = x.sum(axis=0) / n.sum(axis=0)
    expected = 2 * p * (1 - p) * n[1:].sum(axis=0)
    phi = (np.diff(x - n * p, axis=0) ** 2).sum(axis=0) / np.maximum(expected, 1e-9)
    phi = np.where((x.sum(axis=0) >= bursts.LEAST_BAD) & (p < 1), phi, 0.0)
    ticks = [Tick(10.0 * i, 10.0 * i + 10, 0.0, 0.0, float(m[0]), float(bad[0])) for i, (m, bad) in enumerate(zip(n, x, strict=True))]
    assert abs((bursts.successive(ticks) or 0.0) - phi[0]) < 1e-9, "the product sees other bursts"
    step = int(apart.STEP) // LOOK
    by_step, by_block = (np.nan_to_num(apart_by(halves, block), nan=0.0) for block in (step, 30))
    # Without twelve steps that hold bad events nothing is said.
    drifts = np.where(by_step > 0, np.maximum(by_step, by_block), 0.0)
    with suppress(ValueError):
        assert abs(dispersion(ticks_of(halves, step)).widest - drifts[0]) < 1e-9, "the product sees other drifts"
    within = np.maximum(phi, Dispersion().bursts)
    return within, np.maximum(within, drifts)


class Minutes(Judge):
    """What is known by the minute: counts of the last 60 s."""

    def __init__(self, rows: int) -> None:
        super().__init__(rows)
        self.held = None

    def see(self, look) -> None:
        if self.done:
            return
        arms = [np.array([arm.n, arm.x, *arm.slow]) for arm in (look.green, look.blue)]
        self.held = arms if self.held is None else [held + arm for held, arm in zip(self.held, arms, strict=True)]
        if (look.seconds_from + LOOK) % 60 == 0:
            self.minute(look, *self.held)
            self.held = None

    @abstractmethod
    def minute(self, look, green, blue) -> None:
        """Take one minute in."""


class Failures(Minutes):
    """Flagger and Argo Rollouts: each minute a fixed limit on errors and on p95; so many failed checks in all.

    Flagger rolls back at the look after the count was reached, Argo at the failure that exceeds its limit.
    """

    def __init__(self, rows: int, failures: int, *, after: bool) -> None:
        super().__init__(rows)
        self.count, self.failures, self.after = np.zeros(rows), failures, after

    def minute(self, look, green, blue) -> None:  # noqa: ARG002 - fixed rules do not look at blue
        if self.after:
            self.stop(self.count >= self.failures, look)
        self.count += (green[1] > ERROR_LIMIT * green[0]) | (p95(green) > P95_LIMIT)
        if not self.after:
            self.stop(self.count >= self.failures, look)


class Kayenta(Minutes):
    """NetflixACAJudge-v1.0 (the product's) on values by the minute, at each stage's end or every five minutes."""

    METRICS = tuple(MetricConfig(name, (name,), Direction.INCREASE) for name in ("errors", "p95"))
    CONFIG = CanaryConfig("bench", METRICS, {"errors": 50.0, "p95": 50.0}, (75.0, 95.0))

    def __init__(self, rows: int, *, often: bool) -> None:
        super().__init__(rows)
        self.often, self.stage, self.values = often, -1, []

    def minute(self, look, green, blue) -> None:
        if look.share == 1:
            return
        if look.stage != self.stage:
            self.stage, self.values = look.stage, []
        rates = [np.where(arm[0] > 0, 100 * arm[1] / np.maximum(arm[0], 1), np.nan) for arm in (blue, green)]
        self.values.append(np.array([rates[0], rates[1], p95(blue), p95(green)]))
        if len(self.values) == 20 or (self.often and len(self.values) % 5 == 0):
            seen = np.array(self.values)
            failed = np.zeros(len(self.times), bool)
            for row in np.flatnonzero(np.isnan(self.times)):
                columns = [tuple(map(float, seen[:, part, row])) for part in range(4)]
                data = {"errors": kayenta.Values(*columns[:2]), "p95": kayenta.Values(*columns[2:])}
                failed[row] = kayenta.judge(self.CONFIG, data).grade is kayenta.Grade.FAIL
            self.stop(failed, look)


class Naive(Judge):
    """A one-sided z-test of all requests so far, on errors and on the share beyond 250 ms, at every look, p < 0.05."""

    def __init__(self, rows: int) -> None:
        super().__init__(rows)
        self.sums = np.zeros((2, 3, rows))

    def see(self, look) -> None:
        if self.done or look.share == 1:
            return
        slow = EDGES.index(250.0)
        self.sums += np.array([[arm.n, arm.x, arm.slow[slow]] for arm in (look.green, look.blue)])
        (n, *bad), (m, *other) = self.sums
        for x, y in zip(bad, other, strict=True):
            pooled = (x + y) / np.maximum(n + m, 1)
            with np.errstate(all="ignore"):
                z = (x / n - y / m) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
            self.stop(np.nan_to_num(z, posinf=0) > 1.6449, look)


def p95(arm):
    """By linear interpolation within a bucket, as `histogram_quantile`; the last edge beyond it."""
    n, slow = arm[0], arm[2:]
    rank = 0.05 * n
    found = np.full(len(n), EDGES[-1])
    for index in range(len(EDGES) - 1, -1, -1):
        above = slow[index]
        below, low = (slow[index - 1], EDGES[index - 1]) if index else (n, 0.0)
        here = (above <= rank) & (rank <= below)
        found = np.where(here, low + (EDGES[index] - low) * (below - rank) / np.maximum(below - above, 1e-9), found)
    return np.where(n > 0, found, np.nan)


def judges(world, rows: int, rng, *, peers: bool = True) -> dict[str, Judge]:
    """Those that look at this kind of world."""
    if world.kind == "guard":
        found = {f"this method, guard {guard}": Sequential(world, rows, guard, rng) for guard in ("measured", "defaults")}
        if world.p_b == world.p_g:
            found["this method, guard off"] = Sequential(world, rows, "off", rng)
        return found
    found = {
        "this method, guard off": Sequential(world, rows, "off", rng),
        "this method, product's defaults": Sequential(world, rows, "defaults", rng),
    }
    return (
        found
        if not peers
        else found
        | {
            "Flagger, threshold 5": Failures(rows, 5, after=True),
            "Argo, failureLimit 3": Failures(rows, 4, after=False),
            "Argo, failureLimit 0": Failures(rows, 1, after=False),
            "Kayenta, end of stage": Kayenta(rows, often=False),
            "Kayenta, every 5 min": Kayenta(rows, often=True),
            "naive z, p < .05": Naive(rows),
        }
    )
