"""A fixed limit on the rate of bad events, beside the baseline as long as there is one.

An incident that hits both arms breaks an objective although the candidate is innocent. So while the
baseline has traffic, the evidence is the *lesser* of two: beyond the limit, and worse than the baseline
(`rho = 1, delta = 0`). In a stage without the baseline's traffic the relative part stands still and the lesser
of both could never grow; there a process starts afresh and alone decides. The check's weight is shared,

    E = (1 - a) min(E_limit, E_relative) + a E_alone,    E_alone = 1 until it starts,

so that the bound of the release stands. With a = 0.2 the time to find 1 to 2 % at 50 requests a second is 830 s
instead of 855 s with halves; a plan that always leaves the baseline some traffic needs no share at all. The bare
limit pauses and alerts; it never rolls back.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from analysis import rate
from analysis.model import Tick
from analysis.numbers import logaddexp, upper_bound
from analysis.rate import Dispersion, Form, RateState, RateTest

ALONE_SHARE = 0.2
"""Of the check's weight, for stages without the baseline's traffic."""

_BERNOULLI_FROM = 0.1


@dataclass(frozen=True, slots=True)
class SloTest:
    """What is tested; frozen before the release, `alone` before the first tick without a baseline.

    Attributes:
        limit, relative: both must be broken while the baseline has traffic.
        alone: the limit where it has none.
        alone_share: part of the weight that is kept for `alone`; 0 where the baseline always has traffic.
    """

    limit: RateTest
    relative: RateTest
    alone: RateTest
    alone_share: float = ALONE_SHARE

    def __post_init__(self) -> None:
        if not 0 <= self.alone_share < 1:
            raise ValueError(f"a share of {self.alone_share:g} for stages without a baseline is not between 0 and 1")


@dataclass(frozen=True, slots=True)
class SloState:
    """States of the three processes; `alone` is None until the baseline's traffic has ended."""

    limit: RateState
    relative: RateState
    alone: RateState | None = None

    def ln_e(self, test: SloTest) -> float:
        """The log of the e-value that may roll back."""
        both = min(self.limit.ln_e, self.relative.ln_e) + math.log(1 - test.alone_share)
        if not test.alone_share:
            return both
        alone = self.alone.ln_e if self.alone is not None else 0.0
        return logaddexp(both, alone + math.log(test.alone_share))

    @property
    def ln_e_alert(self) -> float:
        """The log of the bare limit's e-value: enough to pause and alert, not to roll back."""
        return self.limit.ln_e

    def to_json(self) -> dict[str, Any]:
        """A small versioned value."""
        alone = self.alone.to_json() if self.alone is not None else None
        return {"v": rate.VERSION, "limit": self.limit.to_json(), "relative": self.relative.to_json(), "alone": alone}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], test: SloTest) -> "SloState":
        """Read back what `to_json` gave for this test; ValueError on anything else."""
        if stored.get("v") != rate.VERSION or "limit" not in stored or "relative" not in stored:
            raise ValueError("this is not the state of an SLO test in version 1")
        alone = stored.get("alone")
        return cls(
            limit=RateState.from_json(stored["limit"], test.limit),
            relative=RateState.from_json(stored["relative"], test.relative),
            alone=RateState.from_json(alone, test.alone) if alone is not None else None,
        )


def plan_slo(
    p0: float,
    p_hist: float,
    *,
    dispersion: Dispersion | None = None,
    cap: float = math.log(100) / 2,
    alone: float | None = None,
    alone_share: float = ALONE_SHARE,
) -> SloTest:
    """The three tests of a limit.

    Args:
        p0: the limit, a share of requests.
        p_hist: the baseline's rate in history.
        dispersion: from history; 2 without any.
        cap: most that one tick may add to ln E.
        alone: the limit where there is no baseline; `p0` where the plan has an objective, else `default_limit`.
        alone_share: part of the weight for stages without the baseline's traffic; 0 where there is none.
    """
    phi = dispersion or Dispersion()

    def limit(share: float) -> RateTest:
        return RateTest(rho=0, delta=share, form=Form.BERNOULLI, p_hist=p_hist, dispersion=phi, cap=cap)

    form = Form.POISSON if p_hist < _BERNOULLI_FROM else Form.BERNOULLI
    relative = RateTest(rho=1, delta=0, form=form, p_hist=p_hist, dispersion=phi, cap=cap)
    return SloTest(limit(p0), relative, limit(p0 if alone is None else alone), alone_share)


def default_limit(bad: float, n: float, *, rho: float = 1.1, delta: float = 0.0005) -> float:
    """The limit where a plan has none: what the 99 % upper bound of the baseline's last judged window tolerates."""
    return rho * upper_bound(bad, n, 0.99) + delta


def start(test: SloTest) -> SloState:
    """The state before the first tick."""
    return SloState(rate.start(test.limit), rate.start(test.relative))


def step(test: SloTest, state: SloState, tick: Tick, stage: str = "", *, alone: bool = False) -> SloState:
    """The state after one more tick.

    Args:
        test: what is tested.
        state: after all ticks before.
        tick: of both arms.
        stage: its stage's name.
        alone: the baseline gets no traffic in this stage.
    """
    after = replace(state, limit=rate.step(test.limit, state.limit, tick, stage))
    if alone:
        return replace(after, alone=rate.step(test.alone, state.alone or rate.start(test.alone), tick, stage))
    return replace(after, relative=rate.step(test.relative, state.relative, tick, stage))
