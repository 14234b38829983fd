"""The checks of a past window: each walks its slices and says at the end what it has seen.

They stand between the counters and `analysis.retrospect`, which walks them together in order of time.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from analysis import confidence, latency, rate, reasons, slo
from analysis.combine import DEFAULT_ALPHA, DEFAULT_WEIGHTS, Seen
from analysis.confidence import RatioState
from analysis.counters import Counter, Cursor, Differenced, Scrapes, Slice, difference, ticks
from analysis.latency import LatencyTest
from analysis.model import Arm, Series, Tick, Window
from analysis.planning import default_effect, requests_to_detect
from analysis.rate import Dispersion, RateTest

_HEAD = 0.1
_BERNOULLI_FROM = 0.1
_MOST_EFFECT = 0.99
_ROUNDED = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class Counted:
    """One arm's raw samples.

    Attributes:
        total: counters of requests.
        bad: those of them that count failures: the same series or others.
        buckets: of the latency histogram, with `le`.
    """

    total: tuple[Series, ...] = ()
    bad: tuple[Series, ...] = ()
    buckets: tuple[Series, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """How it is judged; the defaults are those of a release.

    Attributes:
        alpha: most healthy releases that fail.
        rho, delta: tolerated ratio and difference of the error rates.
        latency_rho, latency_delta: those of tail shares.
        limit: a fixed limit on the error rate, tested beside the baseline; None without.
        effect: the candidate's rate of errors that must have been detectable for a pass; the default effect if None.
        latency_effect: likewise, added to the baseline's tail share.
        weights: shares of alpha before scaling; a check without one is not judged.
    """

    alpha: float = DEFAULT_ALPHA
    rho: float = 1.1
    delta: float = 0.0005
    latency_rho: float = 1.1
    latency_delta: float = 0.001
    limit: float | None = None
    effect: float | None = None
    latency_effect: float | None = None
    weights: Mapping[str, float] = field(default_factory=lambda: DEFAULT_WEIGHTS)


@dataclass(frozen=True, slots=True)
class Past:
    """What the baseline did before the window; the defaults where that is not known.

    Attributes:
        p_hist: its rate of errors.
        dispersion: of its errors.
        below: requests at or below each edge.
        total: requests that the histogram has.
        tails: dispersion of the requests beyond each edge, where that could be measured.
        tail: of those beyond the other edges.
        seconds: of data that this rests on; 0 for the defaults.
    """

    p_hist: float = 0.005
    dispersion: Dispersion = field(default_factory=Dispersion)
    below: Mapping[float, float] | None = None
    total: float = 0.0
    seconds: float = 0.0
    tails: Mapping[float, Dispersion] = field(default_factory=dict)
    tail: Dispersion = field(default_factory=Dispersion)


@dataclass(frozen=True, slots=True)
class Moment:
    """What a check had seen by the end of one of its ticks; rates are shares of requests, 0 to 1.

    Attributes:
        at: end of the tick, Unix seconds.
        candidate, baseline: both rates since the window's begin; None without requests.
        limit: the candidate's rate that the tolerance allows at the baseline's rate.
        n: the candidate's requests.
        ln_e: the log of the check's e-value.
        ratio: confidence sequence of candidate to baseline.
    """

    at: float
    candidate: float | None
    baseline: float | None
    limit: float | None
    n: float
    ln_e: float
    ratio: tuple[float, float]


def sums(slices: Sequence[Slice], arm: Arm) -> dict[float, float]:
    """An arm's counts by edge, over all slices."""
    found: dict[float, float] = {}
    for part in slices:
        for (whose, edge), count in part.counts.items():
            if whose is arm and isinstance(edge, float):
                found[edge] = found.get(edge, 0.0) + count
    return found


class Check(ABC):
    """One check on its way through the window."""

    name = ""

    def __init__(self, found: Differenced, policy: Policy, missing: str) -> None:
        self.slices, self.policy, self.missing = found.slices, policy, found.fault or missing
        self.set_aside = math.fsum(count for (_, name), count in found.set_aside.items() if name in ("n", math.inf))
        self.index = 0
        self.ticks: list[Tick] = []
        self.moments: tuple[Moment, ...] = ()
        self._grown: dict[float, float] = {}

    @property
    def title(self) -> str:
        """Its name for people."""
        return self.name

    @property
    def ends(self) -> list[float]:
        """Ends of its slices, sample times."""
        return [part.end for part in self.slices]

    @property
    @abstractmethod
    def ln_e(self) -> float:
        """The log of its e-value so far."""

    def step(self) -> None:
        """Count the next slice."""
        part = self.slices[self.index]
        self.take(part)
        self.index += 1
        self._grown[part.end] = self.ln_e

    @abstractmethod
    def take(self, part: Slice) -> None:
        """Judge one slice."""

    @abstractmethod
    def seen(self, weight: float, window: Window) -> Seen:
        """What it has seen, for its verdict."""

    def told(self, state: rate.RateState, test: RateTest, weight: float, window: Window) -> Seen:
        """What the check has seen, from the ticks of one rate test."""
        self.moments = tuple(self._moments(test))
        last = self.moments[-1] if self.moments else None
        n, m = (math.fsum(getattr(tick, field) for tick in self.ticks) for field in ("candidate_n", "baseline_n"))
        share = n / (n + m) if n + m else 0.5
        effect = self.effect(test.p_hist)
        return Seen(
            check=self.name,
            ln_e=self.ln_e,
            weight=weight,
            window=window,
            candidate=last.candidate if last else None,
            baseline=last.baseline if last else None,
            candidate_n=n,
            baseline_n=m,
            needed=requests_to_detect(test, effect, alpha=self.policy.alpha, weight=weight, share=share),
            since=state.low_at if math.isfinite(state.low_at) else None,
            ratio=last.ratio if last and n and m else None,
            limit=last.limit if last else None,
            missing=self.missing or ("" if self.ticks else reasons.NO_SERIES) or ("" if m else reasons.BASELINE_MISSING),
        )

    def effect(self, usual: float) -> float:
        """The candidate's rate that must have been detectable for a pass, where the baseline has this one."""
        return self.policy.effect if self.policy.effect is not None else default_effect(usual)

    def _moments(self, test: RateTest) -> Iterator[Moment]:
        n = bad = m = other = 0.0
        state = RatioState()
        for tick in self.ticks:
            n, bad, m, other = n + tick.candidate_n, bad + tick.candidate_bad, m + tick.baseline_n, other + tick.baseline_bad
            state = confidence.step(state, tick, test.dispersion)
            baseline = other / m if m else None
            limit = None if baseline is None else min(test.rho * baseline + test.delta, 1.0)
            candidate, ln_e = bad / n if n else None, self._grown[tick.end]
            yield Moment(tick.end, candidate, baseline, limit, n, ln_e, confidence.interval(state))


def _rates(arms: Mapping[Arm, Counted], window: Window, scrapes: Scrapes) -> Differenced:
    counters = [Counter(arm, name, every) for arm, one in arms.items() for name, every in (("n", one.total), ("bad", one.bad))]
    return _within(difference(counters, Cursor(window.start), scrapes), window)


def _within(found: Differenced, window: Window) -> Differenced:
    return replace(found, slices=tuple(part for part in found.slices if part.end <= window.end + 1e-6))


def _missing(arms: Mapping[Arm, Counted], what: str) -> str:
    if not getattr(arms[Arm.CANDIDATE], what):
        return reasons.NO_SERIES
    return "" if getattr(arms[Arm.BASELINE], what) else reasons.BASELINE_MISSING


class Errors(Check):
    """The error rate against the baseline's."""

    name = "errors"

    def __init__(self, arms: Mapping[Arm, Counted], window: Window, scrapes: Scrapes, policy: Policy, past: Past) -> None:
        super().__init__(_rates(arms, window, scrapes), policy, _missing(arms, "total"))
        form = rate.Form.POISSON if past.p_hist < _BERNOULLI_FROM else rate.Form.BERNOULLI
        cap = -math.log(policy.alpha) / 2
        self.test = RateTest(policy.rho, policy.delta, form=form, p_hist=past.p_hist, dispersion=past.dispersion, cap=cap)
        self.state = rate.start(self.test)

    @property
    def ln_e(self) -> float:
        """The log of its e-value so far."""
        return self.state.ln_e

    def take(self, part: Slice) -> None:
        """Judge one slice."""
        (tick,) = ticks(Differenced((part,), Cursor(part.end)))
        self.ticks.append(tick)
        self.state = rate.step(self.test, self.state, tick, "window")

    def seen(self, weight: float, window: Window) -> Seen:
        """What it has seen, for its verdict."""
        return self.told(self.state, self.test, weight, window)


class Limit(Errors):
    """A fixed limit, beside the baseline: both must be broken."""

    name = "slo"

    def __init__(self, arms: Mapping[Arm, Counted], window: Window, scrapes: Scrapes, policy: Policy, past: Past) -> None:
        super().__init__(arms, window, scrapes, policy, past)
        p0 = policy.limit if policy.limit is not None else 1.0
        self.both = slo.plan_slo(p0, past.p_hist, dispersion=past.dispersion, cap=self.test.cap, alone_share=0)
        self.set_aside = 0.0
        self.pair = slo.start(self.both)

    @property
    def ln_e(self) -> float:
        """The log of its e-value so far."""
        return self.pair.ln_e(self.both)

    def take(self, part: Slice) -> None:
        """Judge one slice."""
        super().take(part)
        self.pair = slo.step(self.both, self.pair, self.ticks[-1], "window")

    def seen(self, weight: float, window: Window) -> Seen:
        """What it has seen, for its verdict."""
        found = replace(self.told(self.pair.limit, self.both.relative, weight, window), limit=self.policy.limit)
        self.moments = tuple(replace(moment, limit=self.policy.limit) for moment in self.moments)
        return found


class Latency(Check):
    """Tails at bucket edges against the baseline's."""

    name = "latency"

    def __init__(self, arms: Mapping[Arm, Counted], window: Window, scrapes: Scrapes, policy: Policy, past: Past) -> None:
        read = latency.read_buckets({arm: one.buckets for arm, one in arms.items() if one.buckets})
        found = _within(difference(read.counters, Cursor(window.start), scrapes), window) if not read.fault else _nothing(window)
        fallen = reasons.FALLING_BUCKETS if any(_falls(part, (*read.edges, math.inf)) for part in found.slices) else ""
        super().__init__(found, policy, read.fault or fallen or _missing(arms, "buckets"))
        below, total, rest = past.below, past.total, self.slices
        if not below or not total:
            head = math.ceil(_HEAD * len(self.slices))
            below = sums(self.slices[:head], Arm.BASELINE)
            total, rest = below.get(math.inf, 0.0), self.slices[head:]
        self.plan = _planned(below, total, set(read.edges), policy, past)
        if self.plan is None:
            self.missing = self.missing or reasons.TOO_FEW_SAMPLES
            rest = ()
        self.slices = rest
        self.state = latency.start(self.plan) if self.plan is not None else None

    @property
    def ln_e(self) -> float:
        """The log of its e-value so far."""
        return self.state.ln_e if self.state is not None else 0.0

    def take(self, part: Slice) -> None:
        """Judge one slice."""
        if self.plan is not None and self.state is not None:
            self.state = latency.step(self.plan, self.state, part, "window")

    @property
    def title(self) -> str:
        """Its name with the edge that is shown: the one with the most evidence."""
        if self.plan is None or self.state is None:
            return self.name
        return f"{self.name} beyond {self.plan.edges[self._worst()].candidate_edge:g}"

    def effect(self, usual: float) -> float:
        """The share beyond an edge that must have been detectable for a pass."""
        more = self.policy.latency_effect
        return default_effect(usual) if more is None else min(usual + more, _MOST_EFFECT)

    def _worst(self) -> int:
        states = self.state.edges if self.state is not None else ()
        return max(range(len(states)), key=lambda index: states[index].ln_e)

    def seen(self, weight: float, window: Window) -> Seen:
        """What it has seen, for its verdict."""
        if self.plan is None or self.state is None:
            return Seen(self.name, 0.0, weight, window, None, None, 0.0, 0.0, math.inf, missing=self.missing or reasons.NO_SERIES)
        worst = self._worst()
        edge = self.plan.edges[worst]
        self.ticks = [tick for part in self.slices[: self.index] if (tick := latency.edge_tick(edge, part)) is not None]
        return self.told(self.state.edges[worst], edge.test, weight, window)


def _nothing(window: Window) -> Differenced:
    return Differenced((), Cursor(window.start))


def _falls(part: Slice, edges: Sequence[float]) -> bool:
    """Whether some arm counts less below a larger edge: `read_buckets` looks at the newest scrape alone, and a fault may heal."""
    found = ((part.counts.get((arm, low), 0.0), part.counts.get((arm, high), 0.0)) for arm in Arm for low, high in pairwise(edges))
    return any(below > above * _ROUNDED for below, above in found)


def _planned(below: Mapping[float, float], total: float, edges: set[float], policy: Policy, past: Past) -> LatencyTest | None:
    common = {edge: count for edge, count in below.items() if edge in edges}
    try:
        return latency.plan_latency(
            common, total, rho=policy.latency_rho, delta=policy.latency_delta, dispersion=past.tail, tails=past.tails,
            cap=-math.log(policy.alpha) / 2,
        )  # fmt: skip
    except ValueError:
        return None
