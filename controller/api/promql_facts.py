"""What a query asks for, read from its syntax tree: metrics, selectors, ranges, and how many series it can give."""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser as pp

from controller.api.promql_syntax import parse

_SETS = ("and", "or", "unless")
_COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
_OPS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}
_ONE_SERIES_CALLS = ("absent", "absent_over_time", "vector")
_COUNTERS = ("_total", "_count", "_sum", "_bucket")
"""How the names of counters end, by Prometheus's own custom."""
_RATES = ("rate", "irate", "increase")
"""Functions that take a counter which falls for one that began again: what they tell grows with the requests."""
_AMOUNTS = ("increase", "delta", "sum_over_time", "count_over_time", "changes", "resets")
"""Functions that tell how much there was within a range: more in a longer one."""
_OF_HISTOGRAMS = ("histogram_quantile", "histogram_fraction", "histogram_avg", "histogram_stddev", "histogram_stdvar")
"""Functions that tell how requests are spread, however many there are."""
_COUNTING = ("count", "count_values", "group")
"""Aggregations that tell how many series there are, and not what they are."""
_OF_GROWTH = frozenset(
    {
        "rate", "irate", "increase", "delta", "idelta", "deriv", "resets", "changes", "absent", "absent_over_time", "present_over_time",
        "count_over_time", "timestamp", "histogram_quantile",
    }
)  # fmt: skip
"""Functions whose result is not how far a counter stands."""


@dataclass(frozen=True, slots=True)
class LabelMatcher:
    """One condition of a selector; `op` is `=`, `!=`, `=~` or `!~`."""

    name: str
    op: str
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """One place where the query reads series.

    Attributes:
        metric: the metric's name; "" where it is not fixed by equality.
        matchers: the conditions on labels, as written, without the name.
        range_seconds: the range in brackets; None for an instant selector.
    """

    metric: str
    matchers: tuple[LabelMatcher, ...]
    range_seconds: float | None = None

    def mentions(self, values: Collection[str]) -> bool:
        """Whether any condition asks for one of the values: `=` for exactly it, `=~` for a text around it."""
        return any(
            (matcher.op == "=" and matcher.value in values) or (matcher.op == "=~" and any(value in matcher.value for value in values))
            for matcher in self.matchers
        )


@dataclass(frozen=True, slots=True)
class Pairing:
    """An operator between two vectors of which neither is aggregated: it works label by label.

    Attributes:
        operator: as written.
        left, right: the metrics read on each side.
        differing: labels on which the two sides have different conditions; series that meet only one side's
            conditions have no partner, and where the metric is the same the others are paired with themselves.
    """

    operator: str
    left: tuple[str, ...]
    right: tuple[str, ...]
    differing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a query asks for.

    Attributes:
        result_type: "vector", "matrix", "scalar" or "string".
        selectors: in the order of the text.
        functions: names of functions and aggregation operators, each once.
        ranges: lengths of the ranges and subqueries in seconds, each once, rising.
        one_series: whether the answer has at most one series, whatever the data.
        pairings: operators that work label by label.
        filtered: the comparison that decides whether there is a result at all; "" where there is none.
        reach: seconds before its moment within which every sample lies that it can look at, the lookback aside; infinite with `@`.
        standing: counters, by their names, of which the result tells how far they stand instead of how they grow.
        by_traffic: the result grows with the requests: a growth that no other one divides.
        by_range: the result grows with the length of its range: an amount that no other one divides.
    """

    result_type: str
    selectors: tuple[Selector, ...]
    functions: tuple[str, ...]
    ranges: tuple[float, ...]
    one_series: bool
    pairings: tuple[Pairing, ...]
    filtered: str = ""
    reach: float = 0.0
    standing: tuple[str, ...] = ()
    by_traffic: bool = False
    by_range: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are read, each once."""
        return tuple(dict.fromkeys(selector.metric for selector in self.selectors if selector.metric))


@dataclass(frozen=True, slots=True)
class Growing:
    """A selector of counters whose growth a query computes with.

    Attributes:
        selector: as text, with its offset and without its range.
        quantile: they are all buckets of histograms, of which a quantile is taken.
    """

    selector: str
    quantile: bool


def growing(text: str) -> tuple[Growing, ...]:
    """The counters that the query reads as such, each once; of one metric each, since only that can be compared with itself.

    Raises:
        PromqlSyntaxError: it is not PromQL.
    """
    calls = [node for node in _walk(parse(text)) if isinstance(node, pp.Call)]
    quantiles = {
        node.prettify() for call in calls if call.func.name == "histogram_quantile" for node in _instants(call) if _all_buckets(node)
    }
    read = dict.fromkeys(
        node.prettify() for call in calls if call.func.name in _RATES for node in _instants(call) if _selector(node, None).metric
    )
    return tuple(Growing(selector, selector in quantiles) for selector in read)


def _instants(expr: Any) -> Iterator[Any]:
    """The selectors within an expression, without their ranges."""
    for node in _walk(expr):
        match node:
            case pp.VectorSelector():
                yield node
            case pp.MatrixSelector():
                yield node.vector_selector


def _all_buckets(node: Any) -> bool:
    selector = _selector(node, None)
    return selector.metric.endswith("_bucket") and not any(matcher.name == "le" for matcher in selector.matchers)


def facts(text: str) -> Facts:
    """What the query asks for.

    Raises:
        PromqlSyntaxError: it is not PromQL.
    """
    return facts_of(parse(text))


def is_selector(text: str) -> bool:
    """Whether the query reads series as they are: one selector, without a range, and nothing computed.

    Raises:
        PromqlSyntaxError: it is not PromQL.
    """
    return isinstance(parse(text), pp.VectorSelector)


def facts_of(expr: Any) -> Facts:
    """Facts of a syntax tree."""
    nodes = list(_walk(expr))
    functions = [node.func.name for node in nodes if isinstance(node, pp.Call)]
    functions += [str(node.op) for node in nodes if isinstance(node, pp.AggregateExpr)]
    ranged = [node.range.total_seconds() for node in nodes if isinstance(node, pp.MatrixSelector | pp.SubqueryExpr) and node.range]
    pairings = [found for node in nodes if isinstance(node, pp.BinaryExpr) and (found := _pairing(node))]
    return Facts(
        result_type=_type(expr),
        selectors=tuple(_selectors(expr)),
        functions=tuple(dict.fromkeys(functions)),
        ranges=tuple(sorted(set(ranged))),
        one_series=_one_series(expr),
        pairings=tuple(pairings),
        filtered=_filter(expr),
        reach=sum(ranged) + sum(_moved(node) for node in nodes),
        standing=tuple(dict.fromkeys(_standing(expr))),
        by_traffic=_grows(expr, _RATES),
        by_range=_grows(expr, _AMOUNTS),
    )


def _grows(expr: Any, tellers: Collection[str]) -> bool:
    """Whether the result grows as what the functions tell does; one such growth divided by another does not."""
    match expr:
        case pp.Call() if expr.func.name in tellers:
            return True
        case pp.Call() if expr.func.name in _OF_HISTOGRAMS:
            return False
        case pp.AggregateExpr() if str(expr.op) in _COUNTING:
            return False
        case pp.BinaryExpr() if str(expr.op) == "/":
            return _grows(expr.lhs, tellers) and not _grows(expr.rhs, tellers)
        case pp.BinaryExpr() if str(expr.op) in _COMPARISONS:
            return _grows(expr.lhs, tellers)
    return any(_grows(child, tellers) for child in _children(expr))


def _standing(expr: Any) -> Iterator[str]:
    """The counters that are read as they stand. One divided by another is a share over their whole lives, and no growing number."""
    waiting = [expr]
    while waiting:
        node = waiting.pop()
        match node:
            case pp.Call() if node.func.name in _OF_GROWTH:
                continue
            case pp.AggregateExpr() if str(node.op) in _COUNTING:
                continue
            case pp.BinaryExpr() if str(node.op) == "/" and any(_is_counter(one) for one in _selectors(node.rhs)):
                continue
            case pp.VectorSelector() | pp.MatrixSelector():
                yield from (one.metric for one in _selectors(node) if _is_counter(one))
        waiting += reversed(_children(node))


def _is_counter(selector: Selector) -> bool:
    return selector.metric.endswith(_COUNTERS)


def _moved(node: Any) -> float:
    """Seconds by which a selector or a subquery looks further back; infinite where it looks at a fixed time."""
    if not isinstance(node, pp.VectorSelector | pp.MatrixSelector | pp.SubqueryExpr):
        return 0.0
    part = node.vector_selector if isinstance(node, pp.MatrixSelector) else node
    if part.at is not None:
        return math.inf
    return max(part.offset.total_seconds(), 0.0) if part.offset is not None else 0.0


def _children(expr: Any) -> list[Any]:
    """The expressions directly within another."""
    match expr:
        case pp.ParenExpr() | pp.UnaryExpr() | pp.SubqueryExpr():
            return [expr.expr]
        case pp.AggregateExpr():
            return [child for child in (expr.param, expr.expr) if isinstance(child, pp.Expr)]
        case pp.BinaryExpr():
            return [expr.lhs, expr.rhs]
        case pp.Call():
            return list(expr.args)
    return []


def _walk(expr: Any, *, into_aggregations: bool = True) -> Iterator[Any]:
    """The expression and all within it, in the order of the text."""
    waiting = [expr]
    while waiting:
        node = waiting.pop()
        yield node
        if into_aggregations or not isinstance(node, pp.AggregateExpr):
            waiting += reversed(_children(node))


def _selectors(expr: Any, *, into_aggregations: bool = True) -> Iterator[Selector]:
    """The selectors within an expression."""
    for node in _walk(expr, into_aggregations=into_aggregations):
        match node:
            case pp.VectorSelector():
                yield _selector(node, None)
            case pp.MatrixSelector():
                yield _selector(node.vector_selector, node.range.total_seconds())


def _selector(node: Any, range_seconds: float | None) -> Selector:
    """One selector in our words."""
    groups = [node.matchers.matchers, *node.matchers.or_matchers]
    matchers = [LabelMatcher(one.name, _OPS[str(one.op)], one.value) for group in groups for one in group]
    named = [one.value for one in matchers if one.name == "__name__" and one.op == "="]
    rest = tuple(one for one in matchers if one.name != "__name__")
    return Selector(node.name or (named[0] if named else ""), rest, range_seconds)


def _type(expr: Any) -> str:
    """The type of the result."""
    while isinstance(expr, pp.ParenExpr | pp.UnaryExpr):
        expr = expr.expr
    match expr:
        case pp.StringLiteral():
            return "string"
        case pp.MatrixSelector() | pp.SubqueryExpr():
            return "matrix"
        case pp.Call():
            scalar = str(expr.func.return_type) == "ValueType.Scalar"
        case pp.BinaryExpr():
            # The right side first: a long chain of operators hangs on the left, so that most are told by one leaf.
            scalar = _type(expr.rhs) == "scalar" and _type(expr.lhs) == "scalar"
        case _:
            scalar = isinstance(expr, pp.NumberLiteral)
    return "scalar" if scalar else "vector"


def _filter(expr: Any) -> str:
    """The comparison without `bool` that the whole expression is; it keeps what it holds for and drops the rest."""
    while isinstance(expr, pp.ParenExpr | pp.UnaryExpr):
        expr = expr.expr
    if not isinstance(expr, pp.BinaryExpr) or str(expr.op) not in _COMPARISONS or _type(expr) == "scalar":
        return ""
    return "" if expr.modifier is not None and expr.modifier.return_bool else str(expr.op)


def _one_series(expr: Any) -> bool:
    """Whether the result has at most one series, whatever the data."""
    while isinstance(expr, pp.ParenExpr | pp.UnaryExpr | pp.SubqueryExpr):
        expr = expr.expr
    match expr:
        case pp.AggregateExpr():
            return _aggregates_to_one(expr)
        case pp.BinaryExpr():
            return _pairs_to_one(expr)
        case pp.Call() if _type(expr) == "vector" and expr.func.name not in _ONE_SERIES_CALLS:
            if expr.func.name == "histogram_quantile" and _groups_only_by(expr.args[1], {"le"}):
                return True
            return all(_one_series(child) for child in expr.args if _type(child) in ("vector", "matrix"))
    return not isinstance(expr, pp.VectorSelector | pp.MatrixSelector)


def _aggregates_to_one(expr: Any) -> bool:
    """Whether an aggregation has one group and one element of it."""
    if str(expr.op) == "count_values":
        return False
    if str(expr.op) in ("topk", "bottomk") and not (isinstance(expr.param, pp.NumberLiteral) and expr.param.val < 2):  # noqa: PLR2004 - one
        return False
    return _groups_only_by(expr, set())


def _pairs_to_one(expr: Any) -> bool:
    """Whether an operator between two expressions gives at most one series."""
    operator, modifier = str(expr.op), expr.modifier
    card, matching = (str(modifier.card), str(modifier.matching)) if modifier is not None else ("", "")
    left, right = _one_series(expr.lhs), _one_series(expr.rhs)
    if _type(expr.lhs) == "scalar" or _type(expr.rhs) == "scalar":
        return left and right
    if operator == "or":
        # `on ()` takes all series for equal, so that only one side is ever left.
        return left and right if matching == "on ()" else unlabelled(expr.lhs) and unlabelled(expr.rhs)
    if operator in _SETS or card.endswith("ManyToOne"):
        return left
    return right if card.endswith("OneToMany") else left or right


def unlabelled(expr: Any) -> bool:
    """Whether the result is one element without labels, as in `sum(x) or vector(0)`."""
    match expr:
        case pp.ParenExpr() | pp.UnaryExpr():
            return unlabelled(expr.expr)
        case pp.AggregateExpr():
            return str(expr.op) not in ("topk", "bottomk", "count_values") and _groups_only_by(expr, set())
        case pp.BinaryExpr():
            return all(_type(side) == "scalar" or unlabelled(side) for side in (expr.lhs, expr.rhs))
        case pp.Call() if expr.func.name == "histogram_quantile":
            return _groups_only_by(expr.args[1], {"le"})
    return isinstance(expr, pp.Call) and expr.func.name == "vector"


def _groups_only_by(expr: Any, names: Collection[str]) -> bool:
    """Whether an expression is an aggregation by nothing but (some of) the names."""
    if isinstance(expr, pp.ParenExpr):
        return _groups_only_by(expr.expr, names)
    if not isinstance(expr, pp.AggregateExpr):
        return False
    modifier = expr.modifier
    return modifier is None or (str(modifier.type) == "AggModifierType.By" and set(modifier.labels) <= set(names))


def _pairing(expr: Any) -> Pairing | None:
    """What an operator pairs label by label; None where a side is aggregated, a scalar or matched on purpose."""
    modifier = expr.modifier
    if str(expr.op) in _SETS or (modifier is not None and modifier.matching is not None):
        return None
    left, right = (list(_selectors(side, into_aggregations=False)) for side in (expr.lhs, expr.rhs))
    if not left or not right or "scalar" in (_type(expr.lhs), _type(expr.rhs)) or _one_series(expr.lhs) or _one_series(expr.rhs):
        return None
    sides = [{matcher for selector in side for matcher in selector.matchers} for side in (left, right)]
    differing = sorted({matcher.name for matcher in sides[0] ^ sides[1]})
    metrics = [tuple(dict.fromkeys(selector.metric for selector in side)) for side in (left, right)]
    return Pairing(str(expr.op), metrics[0], metrics[1], tuple(differing))
