"""Threshold checks: one number of the candidate against fixed lines or against the baseline's number.

It stands between decoded answers and the release's verdict: it reads no clock, asks nobody and knows
nothing of stages. Anything that is not exactly one fresh finite number is inconclusive.

How often a measurement must fail before it counts is decided on a *history*, one letter a measurement,
newest last: `p` pass, `f` fail, `i` inconclusive. An inconclusive measurement neither fails nor resets;
the rules look at the decisive letters only, and only a measurement that fails can complete a rule:

    time            1  2  3  4  5  6  7
    measured        p  f  i  f  p  f  f        history "pfifpff"
    consecutive 2            *        *        at 4: f, f with an outage between; at 7 again
    2 failures of 3          *     *  *        at 6: the last three decisive ones are f p f
    at 3                     nothing fires: no data is no failure
    at 5                     the pass resets `consecutive`; `2 of 3` waits for the next failure

*Together* is another question: m checks whose rules are met and whose newest measurement fails, at one moment.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from analysis import reasons
from analysis.model import Outcome, Series, Verdict, Window

HISTORY_LENGTH = 100
"""Letters kept: as many as the largest rule (100 of 100) looks at."""

_LETTERS = {Outcome.PASS: "p", Outcome.FAIL: "f", Outcome.INCONCLUSIVE: "i"}


class Line(StrEnum):
    """The kinds of limit."""

    MAX = "max"
    MIN = "min"
    BELOW = "below"
    MAX_RATIO = "max_ratio"
    MIN_RATIO = "min_ratio"
    MAX_DIFFERENCE = "max_difference"
    MIN_DIFFERENCE = "min_difference"


RELATIVE = frozenset({Line.MAX_RATIO, Line.MIN_RATIO, Line.MAX_DIFFERENCE, Line.MIN_DIFFERENCE})
_NAMED = tuple((line, line.value) for line in Line)
_RATIOS = frozenset({Line.MAX_RATIO, Line.MIN_RATIO})
_FLOORS = frozenset({Line.MIN, Line.MIN_RATIO, Line.MIN_DIFFERENCE})


@dataclass(frozen=True, slots=True)
class Limits:
    """The lines that the candidate must respect, all of those that are given.

    Attributes:
        max, min: at or below, at or above; in the metric's unit.
        below: strictly below.
        max_ratio, min_ratio: candidate divided by baseline; with a baseline of 0 the line is 0.
        max_difference, min_difference: candidate minus baseline, in the metric's unit.
    """

    max: float | None = None
    min: float | None = None
    below: float | None = None
    max_ratio: float | None = None
    min_ratio: float | None = None
    max_difference: float | None = None
    min_difference: float | None = None

    def given(self) -> tuple[tuple[Line, float], ...]:
        """The lines that are set, in the order of their declaration."""
        return tuple([(line, value) for line, name in _NAMED if (value := getattr(self, name)) is not None])

    @property
    def relative(self) -> bool:
        """Whether the baseline is needed to answer."""
        return any(line in RELATIVE for line, _ in self.given())


@dataclass(frozen=True, slots=True)
class Reading:
    """One number, or the word for why there is none.

    Attributes:
        value: finite; None where `reason` says why not.
        reason: "" or a word that explains the missing number.
        detail: what was found instead, for people.
    """

    value: float | None = None
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """How many failing measurements make a failure: `consecutive` in a row, or `failures` of the last `of`."""

    consecutive: int = 1
    failures: int = 0
    of: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """What a verdict is asked about.

    Attributes:
        check: its name.
        limits: its lines.
        window: the judged time.
        n: requests of the candidate in the window; None where they are not counted.
        min_n: fewer are inconclusive.
        unit: printed behind the numbers.
    """

    check: str
    limits: Limits
    window: Window
    n: float | None = None
    min_n: float = 0
    unit: str = ""


def read(series: Sequence[Series], *, asked_at: float, max_age: float) -> Reading:
    """The one number of an answer: the newest sample of its only series.

    An instant answer carries the evaluation time itself; only a range of raw samples shows how old they are.

    Args:
        series: the answer; one series is expected.
        asked_at: evaluation time of the query, Unix seconds.
        max_age: a sample older than this many seconds before `asked_at` is stale.
    """
    shape = _shape_fault(series)
    if shape is not None:
        return shape
    sample = series[0].samples[-1]
    age = asked_at - sample.time
    if age > max_age:
        return Reading(reason=reasons.STALE_SAMPLE, detail=f"the sample is {age:.0f} s old")
    if math.isnan(sample.value):
        return Reading(reason=reasons.NOT_A_NUMBER)
    if math.isinf(sample.value):
        return Reading(reason=reasons.INFINITE, detail="+Inf" if sample.value > 0 else "-Inf")
    return Reading(value=sample.value)


def _shape_fault(series: Sequence[Series]) -> Reading | None:
    if not series:
        return Reading(reason=reasons.NO_SERIES)
    if len(series) > 1:
        return Reading(reason=reasons.SEVERAL_SERIES, detail=f"{len(series)} series, expected one")
    if not series[0].samples:
        return Reading(reason=reasons.NO_SERIES, detail="a series without samples")
    return None


def judge(question: Question, candidate: Reading, baseline: Reading | None = None) -> Verdict:
    """One measurement against all its lines.

    The reported line is the first one that is crossed, else the one with the least room. A crossed
    absolute line fails whatever the baseline says; otherwise a relative line without a usable baseline is
    inconclusive, although the absolute lines hold.
    """
    lines = question.limits.given()
    if not lines:
        raise ValueError(f"the check {question.check} has no limit")
    if question.n is not None and question.n < question.min_n:
        return _inconclusive(question, reasons.TOO_FEW_REQUESTS, candidate, baseline)
    if candidate.value is None:
        return _inconclusive(question, candidate.reason or reasons.NO_SERIES, candidate, baseline)
    fault = _relative_fault(lines, candidate.value, baseline)
    base = baseline.value if baseline is not None and baseline.value is not None else 0.0
    usable = [(line, limit) for line, limit in lines if not (fault and line in RELATIVE)]
    applied = [(line, applied_limit(line, limit, base)) for line, limit in usable]
    for line, limit in applied:
        if crossed(line, candidate.value, limit):
            return _decided(question, (Outcome.FAIL, line, limit), candidate.value, baseline)
    if fault:
        return _inconclusive(question, fault, candidate, baseline)
    value = candidate.value
    line, limit = min(applied, key=lambda pair: abs(pair[1] - value))
    return _decided(question, (Outcome.PASS, line, limit), candidate.value, baseline)


def applied_limit(line: Line, limit: float, baseline: float) -> float:
    """The number that the candidate must respect once the baseline is known."""
    if line in _RATIOS:
        return limit * baseline
    return baseline + limit if line in RELATIVE else limit


def crossed(line: Line, value: float, limit: float) -> bool:
    """Whether the value is on the wrong side of an applied limit."""
    if line is Line.BELOW:
        return not value < limit
    return value < limit if line in _FLOORS else value > limit


def _relative_fault(lines: Iterable[tuple[Line, float]], value: float, baseline: Reading | None) -> str:
    relative = [line for line, _ in lines if line in RELATIVE]
    if not relative:
        return ""
    if baseline is None:
        return reasons.BASELINE_MISSING
    if baseline.value is None:
        return baseline.reason or reasons.BASELINE_MISSING
    # "20 % more than -3" means nothing, nor is -3 a fifth of anything.
    if not any(line in _RATIOS for line in relative) or min(value, baseline.value) >= 0:
        return ""
    return reasons.BASELINE_UNUSABLE if baseline.value < 0 else reasons.NEGATIVE_NUMBER


def _decided(question: Question, decision: tuple[Outcome, Line, float], value: float, baseline: Reading | None) -> Verdict:
    outcome, line, limit = decision
    return Verdict(
        check=question.check,
        outcome=outcome,
        reason=reasons.BEYOND_LIMIT if outcome is Outcome.FAIL else reasons.WITHIN_LIMIT,
        window=question.window,
        candidate=value,
        baseline=baseline.value if baseline is not None else None,
        limit=limit,
        n=question.n,
        unit=question.unit,
        detail={line.value: limit},
    )


def _inconclusive(question: Question, reason: str, candidate: Reading, baseline: Reading | None) -> Verdict:
    return Verdict(
        check=question.check,
        outcome=Outcome.INCONCLUSIVE,
        reason=reason,
        window=question.window,
        candidate=candidate.value,
        baseline=baseline.value if baseline is not None else None,
        n=question.n,
        unit=question.unit,
    )


def remember(history: str, outcome: Outcome) -> str:
    """The history with one more measurement.

    A run of inconclusive ones is one `i`, and where the text gets too long the oldest `i` goes first: they decide nothing.
    """
    if outcome is Outcome.INCONCLUSIVE and history.endswith("i"):
        return history
    longer = history + _LETTERS[outcome]
    while len(longer) > HISTORY_LENGTH:
        oldest = longer.find("i", 0, -1)
        drop = max(oldest, 0)
        longer = longer[:drop] + longer[drop + 1 :]
    return longer


def decisive(history: str) -> str:
    """The measurements of a history that passed or failed: a rule is about those."""
    return history.replace("i", "")


def rule_met(history: str, rule: Rule) -> bool:
    """Whether the newest measurement fails and completes the rule (time line in the module's docstring)."""
    if not history.endswith("f"):
        return False
    counted = decisive(history)
    if rule.of:
        return counted[-rule.of :].count("f") >= rule.failures
    return counted.endswith("f" * rule.consecutive)


def failing_together(histories: Iterable[tuple[str, Rule]]) -> int:
    """How many of these checks are failing at this moment, each by its own rule."""
    return sum(rule_met(history, rule) for history, rule in histories)
