"""The rate e-process: is the candidate's share of bad events beyond what the baseline's allows?

Null hypothesis, in every tick: `p_candidate <= rho * p_baseline + delta`; the baseline's rate may change
arbitrarily from tick to tick. A log-capital is kept for each alternative of a grid. Under the null the
expected capital never grows, so it reaches `1/alpha` at any time, however often one looks, with a probability
of at most alpha (Ville). What is bet on comes from past ticks and history only:

    before a tick   a share of what is kept back joins the capitals: effects may begin at any time
    in a tick       each capital grows by min(increment / phi, cap)
    ln E            the log of all capitals and of what is still kept back

Two forms of the increment: *Poisson* for rates up to about 10 %, in closed form, and *Bernoulli* for higher
ones, which projects the alternative on the boundary (reverse information projection; Turner, Ly, Gruenwald).
A grid below 1 reverses the null (`>=`): that is early promotion. `rho = 0` is a fixed limit `delta`.

The guard: `phi >= 1` divides every increment because requests are not independent, and the cap keeps one
scrape from deciding. A tick without requests of an arm it needs leaves E as it is. A state is a value of less than
2 KB; a tick that was counted already is recognised by its end and changes nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from analysis.model import Tick
from analysis.numbers import logaddexp, logsumexp

VERSION = 1
ERROR_GRID = (1.25, 1.6, 2.2, 3.2, 5.0, 9.0, 20.0, 60.0)
LATENCY_GRID = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
PROMOTION_GRID = (0.9, 0.75, 0.6, 0.45, 0.3, 0.15)

AT_START, AT_STAGE, PER_TEN_SECONDS = 0.8, 0.5, 0.001
"""How much of what is kept back is bet before the first tick, at a stage's first tick, and in ten seconds (method, section 1)."""

LEAST_RATE, MOST_RATE = 1e-7, 0.9
"""Between these the plug-in baseline is kept."""

LEAST_PRIOR = 1e-5
"""The rate that is expected of a baseline whose history has no bad event at all: rare, not impossible."""

ALMOST_ONE, TINY_RATE, LAST_STEP, MOST_STEPS = 1 - 1e-12, 1e-12, 1e-9, 200
"""Of the projection on the boundary: its ends, the step that ends it, and the most steps."""

_SAME_TIME = 1e-6


class Form(StrEnum):
    """How an increment is computed."""

    POISSON = "poisson"
    BERNOULLI = "bernoulli"


@dataclass(frozen=True, slots=True)
class Dispersion:
    """How much more than independent requests the counts vary, from history; 1 is independent.

    Attributes:
        bursts: phi_1, within one scrape.
        widest: the largest phi over all block lengths.
    """

    bursts: float = 2.0
    widest: float = 2.0

    def at(self, share: float) -> float:
        """Phi where the candidate has this share of the requests (0 to 1): drift weighs most at one half."""
        return max(1.0, self.bursts + (self.widest - self.bursts) * 4 * share * (1 - share))


@dataclass(frozen=True, slots=True)
class RateTest:
    """What is tested; frozen before the release.

    Attributes:
        rho, delta: the null, `p_candidate <= rho * p_baseline + delta` (`>=` with a grid below 1).
        grid: alternatives as multiples of the boundary; all above 1 or all below.
        form: Poisson up to about 10 %, Bernoulli above.
        p_hist: the baseline's rate in history.
        kappa: requests that the history is worth.
        dispersion: from history; 2 without any.
        cap: most that one tick may add to ln E; `ln(1/alpha) / 2`, infinite without a guard.
    """

    rho: float = 1.1
    delta: float = 0.0005
    grid: tuple[float, ...] = ERROR_GRID
    form: Form = Form.POISSON
    p_hist: float = 0.005
    kappa: float = 20_000.0
    dispersion: Dispersion = Dispersion()
    cap: float = math.log(100) / 2

    def __post_init__(self) -> None:
        if not self.grid or not (all(g > 1 for g in self.grid) or all(0 < g < 1 for g in self.grid)):
            raise ValueError("the alternatives of a rate test are all above 1 or all between 0 and 1")
        if self.rho < 0 or self.delta < 0 or self.rho + self.delta <= 0:
            raise ValueError(f"rho {self.rho:g} and delta {self.delta:g} are no tolerance: neither is negative, and one is positive")
        if not all(map(math.isfinite, (self.rho, self.delta, self.kappa))) or not 0 <= self.p_hist <= 1:
            raise ValueError(f"a rate test needs finite numbers and a history between 0 and 1, not {self.p_hist:g}")
        if not self.dispersion.bursts >= 0 or not self.cap > 0 or not self.kappa > 0:
            raise ValueError("dispersion, cap and kappa of a rate test are positive")

    @property
    def needs_baseline(self) -> bool:
        """Whether a tick without requests of the baseline says nothing."""
        return self.rho > 0


@dataclass(frozen=True, slots=True)
class RateState:
    """All that a rate test remembers.

    Attributes:
        capital: log-capital by grid point.
        rest: what is kept back for effects that begin later, as a part of the first capital.
        baseline_n, baseline_bad: the baseline's requests and bad events so far.
        last: end of the last counted tick, Unix seconds; minus infinity before the first.
        stage: the last stage that a tick belonged to.
        low, low_at: least ln E so far, and the end of its tick: since then the evidence grows.
        ln_e: the log of the e-value; it follows from the capitals, and every look asks for it several times.
    """

    capital: tuple[float, ...]
    rest: float
    baseline_n: float = 0.0
    baseline_bad: float = 0.0
    last: float = -math.inf
    stage: str = ""
    low: float = 0.0
    low_at: float = -math.inf
    ln_e: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ln_e", _ln_e(self.capital, self.rest))

    def to_json(self) -> dict[str, Any]:
        """A small versioned value; floats come back to the bit."""
        return {
            "v": VERSION,
            "s": list(self.capital),
            "rest": self.rest,
            "n": self.baseline_n,
            "x": self.baseline_bad,
            "last": _or_none(self.last),
            "stage": self.stage,
            "low": self.low,
            "lowAt": _or_none(self.low_at),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], test: RateTest) -> "RateState":
        """Read back what `to_json` gave for this test; ValueError on anything else."""
        try:
            if stored["v"] != VERSION or len(stored["s"]) != len(test.grid) or not 0 <= stored["rest"] <= 1:
                raise ValueError("this is not the state of this rate test in version 1")
            state = cls(
                capital=tuple(float(value) for value in stored["s"]),
                rest=float(stored["rest"]),
                baseline_n=float(stored["n"]),
                baseline_bad=float(stored["x"]),
                last=_or_minus_infinity(stored["last"]),
                stage=str(stored["stage"]),
                low=float(stored["low"]),
                low_at=_or_minus_infinity(stored["lowAt"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is not the state of a rate test: {error}") from error
        if not all(map(math.isfinite, (*state.capital, state.baseline_n, state.baseline_bad, state.low))):
            raise ValueError("the state of a rate test holds numbers that are not finite")
        return state


def _ln_e(capital: Sequence[float], rest: float) -> float:
    return logsumexp((*capital, math.log(rest) if rest > 0 else -math.inf))


def _or_none(time: float) -> float | None:
    return time if math.isfinite(time) else None


def _or_minus_infinity(time: float | None) -> float:
    return -math.inf if time is None else float(time)


def promotion_test(test: RateTest, rho: float = 1.5, delta: float = 0.005) -> RateTest:
    """The test for early promotion: its null is that the candidate is at least as bad as this margin allows.

    Args:
        test: the check's own test; history and guard are kept.
        rho: ratio that would be refused.
        delta: difference that would be refused.
    """
    return replace(test, rho=rho, delta=delta, grid=PROMOTION_GRID)


def start(test: RateTest) -> RateState:
    """The state before the first tick: ln E is 0."""
    each = math.log(AT_START) - math.log(len(test.grid))
    return RateState(capital=(each,) * len(test.grid), rest=1 - AT_START)


def step(test: RateTest, state: RateState, tick: Tick, stage: str = "") -> RateState:
    """The state after one more tick; the same state where the tick was counted already.

    Args:
        test: what is tested.
        state: after all ticks before.
        tick: of both arms.
        stage: its stage's name; the first tick of a stage is a likely start of an effect.

    Raises:
        ValueError: the tick has been counted in part, or its numbers are no counts.
    """
    _check(tick)
    if tick.end <= state.last:
        return state
    if tick.start < state.last - _SAME_TIME:
        raise ValueError(f"a tick from {tick.start:g} to {tick.end:g} was counted in part: everything up to {state.last:g} was")
    baseline_n, baseline_bad = state.baseline_n + tick.baseline_n, state.baseline_bad + tick.baseline_bad
    bets = _bets(test, state)
    if not tick.candidate_n or (test.needs_baseline and not tick.baseline_n) or not bets:
        return replace(state, baseline_n=baseline_n, baseline_bad=baseline_bad, last=tick.end)
    freed = _freed(state, tick, stage) * state.rest
    each = math.log(freed) - math.log(len(test.grid)) if freed > 0 else -math.inf
    total = tick.candidate_n + tick.baseline_n
    phi = test.dispersion.at(tick.candidate_n / total)
    increment = poisson_increment if test.form is Form.POISSON else bernoulli_increment
    capital = [
        logaddexp(held, each) + min(increment(test, tick, candidate, baseline) / phi, test.cap)
        for held, (candidate, baseline) in zip(state.capital, bets, strict=True)
    ]
    rest = state.rest - freed
    ln_e = _ln_e(capital, rest)
    low, low_at = (ln_e, tick.end) if ln_e <= state.low or math.isinf(state.low_at) else (state.low, state.low_at)
    return RateState(tuple(capital), rest, baseline_n, baseline_bad, tick.end, stage, low, low_at)


def run(test: RateTest, ticks: Sequence[Tick], state: RateState | None = None, stage: str = "") -> RateState:
    """The state after several ticks of one stage."""
    after = state if state is not None else start(test)
    for tick in ticks:
        after = step(test, after, tick, stage)
    return after


def _check(tick: Tick) -> None:
    if not (math.isfinite(tick.start) and math.isfinite(tick.end) and tick.start < tick.end):
        raise ValueError(f"from {tick.start:g} to {tick.end:g} is no interval")
    for n, bad in ((tick.candidate_n, tick.candidate_bad), (tick.baseline_n, tick.baseline_bad)):
        if not (math.isfinite(n) and 0 <= bad <= n):
            raise ValueError(f"{bad:g} bad events of {n:g} requests are no counts")


def _freed(state: RateState, tick: Tick, stage: str) -> float:
    if math.isinf(state.low_at) or stage != state.stage:
        return AT_STAGE
    return float(1 - (1 - PER_TEN_SECONDS) ** ((tick.end - tick.start) / 10))


def _bets(test: RateTest, state: RateState) -> list[tuple[float, float]]:
    """Pairs of rates (candidate, baseline) that are bet on, from the past only; none where no rate is beyond the boundary."""
    seen = (state.baseline_bad + test.kappa * test.p_hist) / (state.baseline_n + test.kappa)
    baseline = min(max(seen, LEAST_RATE), MOST_RATE)
    boundary = test.rho * baseline + test.delta
    if boundary >= 1:
        return []
    return [(min(multiple * boundary, (1 + boundary) / 2), baseline) for multiple in test.grid]


def poisson_increment(test: RateTest, tick: Tick, candidate: float, baseline: float) -> float:
    """What one tick adds to a log-capital that bets on these two rates (unguarded)."""
    q = tick.baseline_n and tick.candidate_n / tick.baseline_n
    r = poisson_factors(test.rho, test.delta, q, candidate, baseline)
    s = 1 - test.rho * q * (r - 1)
    found = tick.candidate_bad * math.log(r) - tick.candidate_n * test.delta * (r - 1)
    return found + tick.baseline_bad * math.log(s) if tick.baseline_bad else found


def poisson_factors(rho: float, delta: float, q: float, candidate: float, baseline: float) -> float:
    """The factor `r` by which the alternative's candidate rate exceeds its projection on the boundary.

    Args:
        rho: slope of the boundary.
        delta: its offset.
        q: requests of the candidate for one of the baseline.
        candidate: the alternative's rate of the candidate.
        baseline: the alternative's rate of the baseline.
    """
    if delta == 0:
        return candidate * (1 + rho * q) / (rho * (q * candidate + baseline))
    a = delta * rho * q
    b = rho * q * candidate + rho * baseline + delta * (1 + rho * q)
    c = candidate * (1 + rho * q)
    return 2 * c / (b + math.sqrt(b * b - 4 * a * c))


def bernoulli_increment(test: RateTest, tick: Tick, candidate: float, baseline: float) -> float:
    """What one tick adds to a log-capital that bets on these two rates (unguarded), for any rates below 1."""
    g, y = bernoulli_null(test.rho, test.delta, (tick.candidate_n, tick.baseline_n), candidate, baseline)
    good = tick.candidate_n - tick.candidate_bad
    found = tick.candidate_bad * math.log(candidate / g) + good * math.log((1 - candidate) / (1 - g))
    if y != baseline:
        found += tick.baseline_bad * math.log(baseline / y)
        found += (tick.baseline_n - tick.baseline_bad) * math.log((1 - baseline) / (1 - y))
    return found


def bernoulli_null(rho: float, delta: float, n: tuple[float, float], candidate: float, baseline: float) -> tuple[float, float]:
    """The rates (candidate, baseline) on the boundary that are closest to the alternative (least divergence).

    Newton's method on the likelihood's derivative, kept within a bracket by bisection.

    Args:
        rho: slope of the boundary.
        delta: its offset.
        n: requests of the candidate and of the baseline.
        candidate: the alternative's rate of the candidate.
        baseline: the alternative's rate of the baseline.
    """
    if rho == 0:
        return delta, baseline
    n_g, n_b = n
    other = min(max((candidate - delta) / rho, TINY_RATE), ALMOST_ONE, (ALMOST_ONE - delta) / rho)
    low, high = min(baseline, other), max(baseline, other)
    weight = rho * n_g
    y = (weight * other + n_b * baseline) / (weight + n_b)
    for _ in range(MOST_STEPS):
        g = rho * y + delta
        u, v = g * (1 - g), y * (1 - y)
        slope_g, slope_b = weight * (candidate - g) / u, n_b * (baseline - y) / v
        value = slope_g + slope_b
        if value > 0:
            low = y
        else:
            high = y
        change = -rho * (weight + slope_g * (1 - 2 * g)) / u - (n_b + slope_b * (1 - 2 * y)) / v
        nearer = y - value / change if change < 0 else low
        moved = abs(nearer - y)
        y = nearer if low <= nearer <= high else (low + high) / 2
        # Newton's steps square the error, so after one of 1e-9 nothing is left to gain.
        if y == nearer and moved <= LAST_STEP * y:
            break
    return rho * y + delta, y
