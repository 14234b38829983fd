"""What can be said about a query without evaluating it: is it PromQL, and what does it ask for.

`penstock validate` uses it to name mistakes that are legal PromQL, such as two vectors divided label by
label where two sums were meant. Parameters of a plan are unknown here: texts come with their values filled in.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from controller.api.promql_facts import Facts, Pairing, facts, facts_of
from controller.api.promql_filled import filled_up
from controller.api.promql_syntax import PromqlSyntaxError, parse, tokens

__all__ = ["Advice", "AdviceKind", "Facts", "Pairing", "Problem", "ProblemKind", "advice", "check_query", "facts"]

FUNCTIONS = frozenset(
    {
        "abs",
        "absent",
        "absent_over_time",
        "acos",
        "acosh",
        "asin",
        "asinh",
        "atan",
        "atanh",
        "avg_over_time",
        "ceil",
        "changes",
        "clamp",
        "clamp_max",
        "clamp_min",
        "cos",
        "cosh",
        "count_over_time",
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "days_in_month",
        "deg",
        "delta",
        "deriv",
        "exp",
        "floor",
        "histogram_quantile",
        "hour",
        "idelta",
        "increase",
        "irate",
        "label_join",
        "label_replace",
        "last_over_time",
        "ln",
        "log10",
        "log2",
        "max_over_time",
        "min_over_time",
        "minute",
        "month",
        "pi",
        "predict_linear",
        "present_over_time",
        "quantile_over_time",
        "rad",
        "rate",
        "resets",
        "round",
        "scalar",
        "sgn",
        "sin",
        "sinh",
        "sort",
        "sort_desc",
        "sqrt",
        "stddev_over_time",
        "stdvar_over_time",
        "sum_over_time",
        "tan",
        "tanh",
        "time",
        "timestamp",
        "vector",
        "year",
    }
)
"""The functions that the simulator evaluates; a test keeps the two lists equal."""

AGGREGATORS = frozenset({"avg", "bottomk", "count", "count_values", "group", "max", "min", "quantile", "stddev", "stdvar", "sum", "topk"})
"""The aggregation operators that the simulator evaluates."""


class ProblemKind(StrEnum):
    """Who would refuse the query."""

    SYNTAX = "syntax"
    """Every Prometheus."""

    UNSUPPORTED = "unsupported"
    """Only the simulator: the query may run in production, but not in a simulation."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a query.

    Attributes:
        message: one sentence without the place.
        line, column: the place, counted from 1.
        hint: the line of the query and, below it, a caret.
    """

    kind: ProblemKind
    message: str
    line: int
    column: int
    hint: str

    def __str__(self) -> str:
        """The place and the sentence, on one line."""
        return f"line {self.line}, column {self.column}: {self.message}"


class AdviceKind(StrEnum):
    """What is legal but most likely not meant."""

    LABEL_BY_LABEL = "label-by-label"
    MANY_SERIES = "many-series"
    NO_SELECTOR = "no-selector"
    SHORT_RANGE = "short-range"
    LONG_RANGE = "long-range"
    COUNTED_RANGE = "counted-range"
    FILTERED = "filtered"
    STANDING = "standing"
    FILLED_UP = "filled-up"


@dataclass(frozen=True, slots=True)
class Advice:
    """A warning: what the query really does, and what to write instead."""

    kind: AdviceKind
    sentence: str


def check_query(text: str) -> list[Problem]:
    """Everything that would refuse the query, with its place; empty for a good one."""
    try:
        expr = parse(text)
    except PromqlSyntaxError as error:
        return [Problem(ProblemKind.SYNTAX, error.message, error.line, error.column, error.hint)]
    known = FUNCTIONS | AGGREGATORS
    unknown = [name for name in facts_of(expr).functions if name not in known]
    problems = []
    for token in tokens(text):
        if token.kind == "word" and token.text in unknown:
            unknown.remove(token.text)
            place = PromqlSyntaxError(f"the simulator does not know the function {token.text!r}", text, token.offset)
            problems.append(Problem(ProblemKind.UNSUPPORTED, place.message, place.line, place.column, place.hint))
    return problems


def advice(text: str, *, green: Collection[str] = (), window_seconds: float | None = None) -> list[Advice]:
    """Warnings about a query that judges one version over one window.

    Args:
        text: the query with its parameters filled in.
        green: label values that tell green from blue (its namespace, its pods' prefix); empty skips that warning.
        window_seconds: how long a stage is judged; None skips the warnings about ranges.

    Raises:
        PromqlSyntaxError: it is not PromQL.
    """
    found = facts(text)
    # Two different gauges of one pod, divided within an aggregation, are what label by label is good for.
    doubtful = [pairing for pairing in found.pairings if pairing.differing or not found.one_series]
    out = [Advice(AdviceKind.LABEL_BY_LABEL, _pairing_sentence(pairing)) for pairing in doubtful]
    if not found.one_series:
        sentence = "can give many series, of which none is the answer; aggregate it with sum(), avg() or max()"
        out.append(Advice(AdviceKind.MANY_SERIES, sentence))
    if found.filtered:
        sentence = f"compares at its top: while {found.filtered} does not hold it has no result at all, which is no answer and never a pass"
        out.append(Advice(AdviceKind.FILTERED, sentence))
    if green:
        values = " or ".join(sorted(green))
        out += [
            Advice(AdviceKind.NO_SELECTOR, f"has no selector for green: {name} is read for every version (nothing asks for {values})")
            for name in dict.fromkeys(one.metric or "a selector" for one in found.selectors if not one.mentions(green))
        ]
    out += [Advice(AdviceKind.STANDING, f"tells how far the counter {name} stands, and not how it grows") for name in found.standing]
    if filled_up(text):
        out.append(
            Advice(AdviceKind.FILLED_UP, "is a number also where none of its series exists: missing data would be judged as that number")
        )
    return out + (_range_advice(found, window_seconds) if window_seconds else [])


def _pairing_sentence(pairing: Pairing) -> str:
    """What an operator label by label really computes."""
    verb = {"/": "divides", "*": "multiplies", "-": "subtracts", "+": "adds", "%": "divides"}.get(pairing.operator, "compares")
    meant = f"sum(...) {pairing.operator} sum(...) was probably meant"
    if not pairing.differing:
        return f"{verb} two vectors label by label, one result for each label set that both sides have; {meant}"
    differing = ", ".join(pairing.differing)
    effect = "each series meets only itself" if pairing.left == pairing.right else "only equal label sets meet"
    return f"{verb} two vectors label by label ({differing} differs between the sides): {effect}, all others give no result; {meant}"


def _range_advice(found: Facts, window_seconds: float) -> list[Advice]:
    """Fixed ranges that are not the window."""
    out = []
    counted = AdviceKind.COUNTED_RANGE if found.by_range else None
    for seconds in found.ranges:
        if seconds < window_seconds:
            share = f"{100 * (1 - seconds / window_seconds):.0f} %"
            sentence = f"a fixed range of {seconds:g} s in a window of {window_seconds:g} s: {share} of the window is never judged"
            out.append(Advice(counted or AdviceKind.SHORT_RANGE, sentence))
        elif seconds > window_seconds:
            sentence = f"a fixed range of {seconds:g} s in a window of {window_seconds:g} s: it also judges what was before the window"
            out.append(Advice(counted or AdviceKind.LONG_RANGE, sentence))
    return out
