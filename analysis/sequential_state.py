"""What one sequential check tests and what it remembers: the values that `analysis.sequential` moves.

A state is a text of less than 4 KB that is stored in the release's status; what is tested is frozen with the plan.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from analysis import counters, rate
from analysis.counters import Cursor
from analysis.rate import ERROR_GRID, LATENCY_GRID, Dispersion, Form, RateState, RateTest
from analysis.slo import ALONE_SHARE

VERSION = counters.VERSION

NO_MARGIN = (1.5, 0.005)
"""Ratio and difference of the margin where none is given (method, section 8)."""

_BERNOULLI_FROM = 0.1

_TESTS_KEPT = 4096
"""Tests that are remembered: those of a release are the same at every tick."""


class Kind(StrEnum):
    """What counts as a bad event."""

    ERRORS = "errors"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True)
class Known:
    """One line as the baseline's past shows it (`analysis.preflight`), fixed before the release.

    Attributes:
        p_hist: the baseline's rate of bad events.
        dispersion: of their counts.
        edge: requests slower than this are bad; infinite for errors.
    """

    p_hist: float
    dispersion: Dispersion
    edge: float = math.inf


@dataclass(frozen=True, slots=True)
class Setting:
    """What is tested; frozen with the plan.

    Attributes:
        kind: errors, or requests slower than an edge.
        rho, delta: tolerated ratio and difference of the rates (shares of requests).
        alpha: of the release; half of `ln(1/alpha)` is the most that one tick may add.
        dispersion: of the counts, from history; 2 without any.
        alone_share: part of the weight that is kept for stages without the baseline's traffic.
        effect: the candidate's rate that must have been detectable for a pass (with latency: its share beyond an edge above the
            baseline's); the default effect if None.
        p_hist: the baseline's rate of errors in history; read off its counters if None.
        known: what was measured before the release, line by line; its edges are the ones that are tested.
        margin: ratio and difference of the rates that would be refused; None where no stage may pass early.
        objective: a fixed limit on the candidate's rate, tested beside the baseline (`analysis.slo`): only what breaks both is evidence.
        counts_good: the counters beside those of all requests count the good ones instead of the bad ones.
        assumed: the dispersion is nobody's word: the baseline's time just before the release may raise it (`analysis.bursts`).
    """

    kind: Kind
    rho: float = 1.1
    delta: float = 0.0005
    alpha: float = 0.01
    dispersion: Dispersion = field(default_factory=Dispersion)
    alone_share: float = ALONE_SHARE
    effect: float | None = None
    p_hist: float | None = None
    known: tuple[Known, ...] = ()
    margin: tuple[float, float] | None = None
    objective: float | None = None
    counts_good: bool = False
    assumed: bool = False

    def dispersion_of(self, edge: float) -> Dispersion:
        """The dispersion that was measured at this edge (infinite: errors), else the setting's own."""
        for one in self.known:
            if one.edge == edge:
                return one.dispersion
        return self.dispersion

    def test(self, p_hist: float, edge: float = math.inf) -> RateTest:
        """The test of one line whose baseline had this rate."""
        form = Form.POISSON if self.kind is Kind.ERRORS and p_hist < _BERNOULLI_FROM else Form.BERNOULLI
        return self._tested((self.rho, self.delta), form, p_hist, edge)

    def early(self, p_hist: float, edge: float) -> RateTest:
        """The test of a line with its null turned round: the candidate is at least as bad as the margin allows."""
        return _promotion_test(self.test(p_hist, edge), *(self.margin or NO_MARGIN))

    def fixed(self, p_hist: float, edge: float, limit: float) -> RateTest:
        """The test of a line against a fixed limit: of its objective, or where the baseline has no traffic."""
        return self._tested((0.0, limit), Form.BERNOULLI, p_hist, edge)

    @property
    def cap(self) -> float:
        """The most that one tick may add to ln E."""
        return -math.log(self.alpha) / 2

    def _tested(self, tolerance: tuple[float, float], form: Form, p_hist: float, edge: float) -> RateTest:
        grid = ERROR_GRID if self.kind is Kind.ERRORS else LATENCY_GRID
        return _rate_test(*tolerance, grid, form, p_hist, dispersion=self.dispersion_of(edge), cap=self.cap)


_rate_test = lru_cache(maxsize=_TESTS_KEPT)(RateTest)
_promotion_test = lru_cache(maxsize=_TESTS_KEPT)(rate.promotion_test)


@dataclass(frozen=True, slots=True)
class Mark:
    """A stage as the ticks see it.

    Attributes:
        since: ticks that end after this time (Unix seconds) belong to it, until the next mark.
        name: of the stage, different for each.
        alone: the baseline gets no traffic in it.
        judged: the check is asked in it; other ticks are passed over.
        early: it may pass before its end, so that evidence for the candidate is gathered in it.
        after_cut: nobody judged the window of the stage before, so that what the baseline did in it stands for nothing:
            it may have been cut short because the baseline was gone.
    """

    since: float
    name: str
    alone: bool = False
    judged: bool = True
    early: bool = False
    after_cut: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One rate on its way.

    Attributes:
        edge: requests slower than this are bad; infinite for errors.
        p_hist: the baseline's rate in history.
        relative, alone: see the module; `alone` is None before it begins.
        limit: what `alone` tests against; 0 before it begins.
        sums: counts of the present stage: the candidate's requests and bad ones, then the baseline's.
        before: the baseline's counts of its last stage with `LEAST_HISTORY` requests, and of what came after; at first its history.
        early: evidence that the candidate is within the margin, anew in each stage that may pass early; None in others.
        objective: evidence that the setting's objective is broken, whatever the baseline does; None without an objective.
        shown: the candidate's requests of the present stage that could show the stated effect (`analysis.passing`).
    """

    edge: float
    p_hist: float
    relative: RateState
    alone: RateState | None = None
    limit: float = 0.0
    sums: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    before: tuple[float, float] = (0.0, 0.0)
    early: RateState | None = None
    objective: RateState | None = None
    shown: float = 0.0

    @property
    def ln_e(self) -> float:
        """The log of the e-value against the baseline: with an objective the lesser of two, so that an incident of both arms is none."""
        return self.relative.ln_e if self.objective is None else min(self.relative.ln_e, self.objective.ln_e)

    @property
    def running(self) -> RateState:
        """The process that decides now."""
        if self.limit and self.alone is not None:
            return self.alone
        return self.relative if self.objective is None or self.relative.ln_e <= self.objective.ln_e else self.objective


@dataclass(frozen=True, slots=True)
class State:
    """All that a check remembers: how far it has counted, in which stage, and its lines.

    Attributes:
        raised: by line the dispersion that the baseline's time before the release made of the assumed one; empty where it stays.
    """

    cursor: Cursor
    lines: tuple[Line, ...]
    stage: str = ""
    raised: tuple[Dispersion, ...] = ()

    def setting(self, setting: Setting) -> Setting:
        """The setting with the dispersions that were found when the check began, as if somebody had measured them."""
        if not self.raised:
            return setting
        lines = zip(self.lines, self.raised, strict=True)
        return replace(setting, known=tuple(Known(line.p_hist, spread, line.edge) for line, spread in lines))

    def to_json(self) -> str:
        """A text of less than 4 KB; floats come back to the bit."""
        lines = [_unlined(line) for line in self.lines]
        kept = {"v": VERSION, "until": self.cursor.until, "stage": self.stage, "lines": lines, "shown": [line.shown for line in self.lines]}
        if self.raised:
            kept["raised"] = [phi for one in self.raised for phi in (one.bursts, one.widest)]
        return _JSON.encode(kept)

    @classmethod
    def from_json(cls, text: str, setting: Setting) -> "State":
        """Read back what `to_json` gave for this setting; ValueError on anything else."""
        try:
            found = json.loads(text)
            cursor = Cursor.from_json({"v": found["v"], "until": found["until"]})
            # A state of before these numbers were kept has shown nothing: a stage that runs over an upgrade needs its requests again.
            shown = found.get("shown", [0.0] * len(found["lines"]))
            lines = tuple(_line(one, setting, float(part)) for one, part in zip(found["lines"], shown, strict=True))
            return cls(cursor, lines, str(found["stage"]), _raised(found.get("raised") or (), len(lines)))
        except (KeyError, TypeError, IndexError, AttributeError, OverflowError, ValueError) as error:
            raise ValueError(f"this is not the state of a sequential check in version 1: {error}") from error


_JSON = json.JSONEncoder(separators=(",", ":"))


def _raised(stored: Sequence[float], lines: int) -> tuple[Dispersion, ...]:
    phis = tuple(map(float, stored))
    if not all(1 <= phi < math.inf for phi in phis):
        raise ValueError(f"a dispersion of {min(phis):g} to {max(phis):g} is none")
    found = tuple(Dispersion(*pair) for pair in zip(phis[::2], phis[1::2], strict=True))
    if found and len(found) != lines:
        raise ValueError(f"{len(found)} dispersions are none of {lines} lines")
    return found


def _unlined(line: Line) -> list[Any]:
    edge = line.edge if math.isfinite(line.edge) else None
    states = [_packed(one) for one in (line.relative, line.alone, line.early, line.objective)]
    while states[_ALWAYS:] and states[-1] is None:
        states.pop()
    return [edge, line.p_hist, line.limit, *line.sums, *line.before, *states]


def _packed(state: RateState | None) -> list[Any] | None:
    if state is None:
        return None
    kept = state.to_json()
    return [kept[key] for key in _KEYS]


_COUNTS = 6
"""Numbers of a packed line between its limit and its states."""

_STATES = 4
"""States of a packed line: relative, alone, early, and the objective's."""

_ALWAYS = 2
"""How many of them are packed even where they are none; the others end the line, as a state of an earlier version does."""

_KEYS = ("s", "rest", "n", "x", "last", "stage", "low", "lowAt")


def _line(packed: Sequence[Any], setting: Setting, shown: float) -> Line:
    edge, p_hist, limit, *numbers = packed
    counts, states = numbers[:_COUNTS], numbers[_COUNTS:]
    relative, alone, early, objective = states + [None] * (_STATES - len(states))
    n_g, x_g, n_b, x_b, n_before, x_before = map(float, counts)
    values = (float(p_hist), float(limit), n_g, x_g, n_b, x_b, n_before, x_before, shown)
    if not all(math.isfinite(value) and value >= 0 for value in values) or not values[0] <= 1:
        raise ValueError("the state of a sequential check holds counts that are none")
    at = math.inf if edge is None else float(edge)
    test = setting.test(values[0], at)
    return Line(
        edge=at,
        p_hist=values[0],
        relative=_state(relative, test),
        alone=None if alone is None else _state(alone, test),
        limit=values[1],
        sums=(n_g, x_g, n_b, x_b),
        before=(n_before, x_before),
        early=None if early is None else _state(early, setting.early(values[0], at)),
        objective=None if objective is None else _state(objective, test),
        shown=shown,
    )


def _state(packed: Sequence[Any], test: RateTest) -> RateState:
    return RateState.from_json({"v": rate.VERSION, **dict(zip(_KEYS, packed, strict=True))}, test)
