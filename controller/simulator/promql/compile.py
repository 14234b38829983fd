"""From PromQL text to nodes: the only place of the evaluator that knows the parser's syntax tree."""

from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any, assert_never

import promql_parser as pp

from controller.api.promql_syntax import PromqlSyntaxError, parse
from controller.simulator.promql import aggregate, functions, ranges
from controller.simulator.promql.binary import (
    SETS,
    Cardinality,
    Matched,
    Matching,
    Operator,
    ScalarOperation,
    SetOperation,
    WithScalar,
)
from controller.simulator.promql.errors import BadQueryError, UnsupportedError
from controller.simulator.promql.histogram import HistogramQuantile
from controller.simulator.promql.matchers import Matcher
from controller.simulator.promql.nodes import (
    Constant,
    Frame,
    InstantSelector,
    Moment,
    Node,
    RangeNode,
    RangeSelector,
    ScalarNode,
    Selection,
    StringNode,
    Subquery,
    VectorNode,
)
from controller.simulator.promql.storage import Store, milliseconds

_OPS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}


@lru_cache(maxsize=4096)
def parsed(text: str) -> pp.Expr:
    """The syntax tree of a query, shared by all stores of the process.

    Raises:
        BadQueryError: the text is not PromQL; the message begins with line and column.
    """
    try:
        return parse(text)
    except PromqlSyntaxError as error:
        raise BadQueryError(f"{error.line}:{error.column}: parse error: {error.message}") from error


def _ms(duration: timedelta | None) -> int:
    """A parsed duration in milliseconds; 0 for none."""
    return 0 if duration is None else milliseconds(duration.total_seconds())


class Compiler:
    """Builds the nodes of one query over one store.

    Args:
        store: where selectors look.
        frame: shared by all nodes of the query.
        default_step: milliseconds between the evaluations of a subquery without a step.

    Attributes:
        selections: the selectors met so far; each is refreshed before an evaluation.
    """

    def __init__(self, store: Store, frame: Frame, default_step: int) -> None:
        self._store, self._frame, self._default_step = store, frame, default_step
        self.selections: list[Selection] = []

    def node(self, expr: Any) -> Node:
        """The node of any expression.

        Raises:
            UnsupportedError: it uses a function or feature that is not known here.
        """
        build = _KINDS.get(type(expr))
        if build is None:
            raise UnsupportedError(f"the simulator does not evaluate {type(expr).__name__}")
        return build(self, expr)

    def parentheses(self, expr: Any) -> Node:
        """`(expression)`."""
        return self.node(expr.expr)

    def number(self, expr: Any) -> Node:
        """A number literal."""
        return Constant(expr.val)

    def string(self, expr: Any) -> Node:
        """A string literal."""
        return StringNode(expr.val)

    def instant_selector(self, expr: Any) -> Node:
        """`name{...}`."""
        return InstantSelector(self._frame, self._selection(expr), self._moment(expr))

    def range_selector(self, expr: Any) -> Node:
        """`name{...}[5m]`."""
        inner = expr.vector_selector
        return RangeSelector(self._frame, self._selection(inner), self._moment(inner), _ms(expr.range))

    def _selection(self, selector: Any) -> Selection:
        """The matchers of a selector."""
        matchers = [Matcher(found.name, _OPS[str(found.op)], found.value) for found in selector.matchers.matchers]
        if selector.name is not None:
            matchers.insert(0, Matcher("__name__", "=", selector.name))
        selection = Selection(self._store, matchers)
        self.selections.append(selection)
        return selection

    def _moment(self, expr: Any) -> Moment:
        """Offset and `@` of a selector or subquery."""
        at: int | str | None = None
        if expr.at is not None:
            match str(expr.at.type):
                case "AtModifierType.Start":
                    at = "start"
                case "AtModifierType.End":
                    at = "end"
                case _:
                    at = milliseconds(expr.at.at.timestamp())
        return Moment(_ms(expr.offset), at)

    def _vector(self, expr: Any) -> VectorNode:
        """The node of an expression that the parser has checked to be a vector."""
        node = self.node(expr)
        if not isinstance(node, VectorNode):
            raise BadQueryError(f"expected type instant vector, got {type_name(node)}")
        return node

    def _scalar(self, expr: Any) -> ScalarNode:
        """The node of an expression that the parser has checked to be a scalar."""
        node = self.node(expr)
        if not isinstance(node, ScalarNode):
            raise BadQueryError(f"expected type scalar, got {type_name(node)}")
        return node

    def _range(self, expr: Any) -> RangeNode:
        """The node of an expression that the parser has checked to be a range."""
        node = self.node(expr)
        if not isinstance(node, RangeNode):
            raise BadQueryError(f"expected type range vector, got {type_name(node)}")
        return node

    def _text(self, expr: Any) -> str:
        """The text of an expression that the parser has checked to be a string."""
        node = self.node(expr)
        if not isinstance(node, StringNode):
            raise BadQueryError(f"expected type string, got {type_name(node)}")
        return node.text

    def subquery(self, expr: Any) -> Subquery:
        """`expression[range:step]`."""
        child = self.node(expr.expr)
        if not isinstance(child, VectorNode | ScalarNode):
            raise BadQueryError(f"subquery is only allowed on instant vector, got {type_name(child)} instead")
        step = _ms(expr.step) or self._default_step
        return Subquery(self._frame, child, self._moment(expr), _ms(expr.range), step_ms=step)

    def negative(self, expr: Any) -> Node:
        """Unary minus."""
        child = self.node(expr.expr)
        if isinstance(child, ScalarNode):
            return functions.Negative(child)
        return functions.Map(self._vector(expr.expr), lambda value: -value)

    def aggregate(self, expr: Any) -> VectorNode:
        """`sum by (a) (v)` and the like."""
        name, modifier = str(expr.op), expr.modifier
        without = modifier is not None and str(modifier.type) == "AggModifierType.Without"
        by = aggregate.grouping(tuple(modifier.labels) if modifier is not None else (), without=without)
        child = self._vector(expr.expr)
        match name:
            case "topk" | "bottomk":
                return aggregate.Top(child, by, self._scalar(expr.param), largest=name == "topk")
            case "quantile":
                return aggregate.Quantile(child, by, self._scalar(expr.param))
            case "count_values":
                return aggregate.CountValues(child, by, self._text(expr.param))
        if name not in aggregate.REDUCERS:
            raise UnsupportedError(f"the simulator does not know the aggregation operator {name!r}")
        return aggregate.Reduce(child, by, aggregate.REDUCERS[name])

    def binary(self, expr: Any) -> Node:
        """Operators between two expressions."""
        symbol, modifier = str(expr.op), expr.modifier
        left, right = self.node(expr.lhs), self.node(expr.rhs)
        op = Operator(symbol, modifier is not None and modifier.return_bool)
        match left, right:
            case ScalarNode(), ScalarNode():
                return ScalarOperation(op, left, right)
            case VectorNode(), ScalarNode():
                return WithScalar(op, left, right, scalar_left=False)
            case ScalarNode(), VectorNode():
                return WithScalar(op, right, left, scalar_left=True)
            case VectorNode(), VectorNode() if symbol in SETS:
                return SetOperation(symbol, _matching(modifier), left, right)
            case VectorNode(), VectorNode():
                return Matched(op, _matching(modifier), left, right)
        raise BadQueryError("binary expression must contain only scalar and instant vector types")

    def call(self, expr: Any) -> Node:
        """A function of any kind."""
        name, args = expr.func.name, list(expr.args)
        if name in ranges.EXTRAPOLATED:
            counter, per_second = ranges.EXTRAPOLATED[name]
            return ranges.Extrapolated(self._range(args[0]), counter=counter, per_second=per_second)
        if name in ranges.RANGE_FUNCTIONS:
            return self._range_call(name, args)
        if name in functions.MAPS:
            return functions.Map(self._vector(args[0]), functions.MAPS[name], [self._scalar(arg) for arg in args[1:]])
        if name in functions.DATES:
            child = self._vector(args[0]) if args else functions.VectorOf(functions.Time())
            return functions.Map(child, functions.DATES[name])
        if name not in _BUILDERS:
            raise UnsupportedError(f"the simulator does not know the function {name!r}")
        return _BUILDERS[name](self, args)

    def _range_call(self, name: str, args: list[Any]) -> VectorNode:
        """A function of a range, whose scalar parameter stands before or behind it."""
        function = ranges.RANGE_FUNCTIONS[name]
        source, parameter = (args[1], args[0]) if name == "quantile_over_time" else (args[0], args[1] if len(args) > 1 else None)
        scalar: ScalarNode = Constant(0.0) if parameter is None else self._scalar(parameter)
        return ranges.RangeCall(self._range(source), function, scalar, keeps_name=name == "last_over_time")

    def histogram_quantile(self, args: list[Any]) -> Node:
        """`histogram_quantile(q, v)`."""
        return HistogramQuantile(self._scalar(args[0]), self._vector(args[1]))

    def absent(self, args: list[Any]) -> Node:
        """`absent(v)`: remembers the labels that the selector fixes."""
        child = self._vector(args[0])
        return functions.Absent(child, child.selection.matchers if isinstance(child, InstantSelector) else ())

    def absent_over_time(self, args: list[Any]) -> Node:
        """`absent_over_time(v[d])`."""
        return ranges.AbsentOverTime(self._range(args[0]))

    def scalar_of(self, args: list[Any]) -> Node:
        """`scalar(v)`."""
        return functions.ScalarOf(self._vector(args[0]))

    def vector_of(self, args: list[Any]) -> Node:
        """`vector(s)`."""
        return functions.VectorOf(self._scalar(args[0]))

    def timestamp(self, args: list[Any]) -> Node:
        """`timestamp(v)`."""
        return functions.Timestamp(self._vector(args[0]))

    def sort(self, args: list[Any], *, reverse: bool = False) -> Node:
        """`sort(v)` and `sort_desc(v)`."""
        return functions.Sort(self._vector(args[0]), reverse=reverse)

    def label_replace(self, args: list[Any]) -> Node:
        """`label_replace(v, target, replacement, source, regex)`."""
        target, replacement, source, regex = (self._text(arg) for arg in args[1:])
        return functions.Relabel(self._vector(args[0]), functions.label_replace(target, replacement, source, regex))

    def label_join(self, args: list[Any]) -> Node:
        """`label_join(v, target, separator, sources...)`."""
        target, separator, *sources = (self._text(arg) for arg in args[1:])
        return functions.Relabel(self._vector(args[0]), functions.label_join(target, separator, sources))


_KINDS: dict[type, Callable[[Compiler, Any], Node]] = {
    pp.ParenExpr: Compiler.parentheses,
    pp.NumberLiteral: Compiler.number,
    pp.StringLiteral: Compiler.string,
    pp.VectorSelector: Compiler.instant_selector,
    pp.MatrixSelector: Compiler.range_selector,
    pp.SubqueryExpr: Compiler.subquery,
    pp.UnaryExpr: Compiler.negative,
    pp.AggregateExpr: Compiler.aggregate,
    pp.BinaryExpr: Compiler.binary,
    pp.Call: Compiler.call,
}

_BUILDERS: dict[str, Callable[[Compiler, list[Any]], Node]] = {
    "histogram_quantile": Compiler.histogram_quantile,
    "absent": Compiler.absent,
    "absent_over_time": Compiler.absent_over_time,
    "scalar": Compiler.scalar_of,
    "vector": Compiler.vector_of,
    "timestamp": Compiler.timestamp,
    "sort": Compiler.sort,
    "sort_desc": lambda compiler, args: compiler.sort(args, reverse=True),
    "label_replace": Compiler.label_replace,
    "label_join": Compiler.label_join,
    "time": lambda _compiler, _args: functions.Time(),
    "pi": lambda _compiler, _args: Constant(3.141592653589793),
}


def supported_functions() -> frozenset[str]:
    """The names of all functions that can be evaluated."""
    return frozenset({*ranges.EXTRAPOLATED, *ranges.RANGE_FUNCTIONS, *functions.MAPS, *functions.DATES, *_BUILDERS})


def supported_operators() -> frozenset[str]:
    """The names of all aggregation operators that can be evaluated."""
    return frozenset({*aggregate.REDUCERS, "topk", "bottomk", "quantile", "count_values"})


def _matching(modifier: Any) -> Matching:
    """`on`, `ignoring`, `group_left`, `group_right`."""
    if modifier is None:
        return Matching()
    fill = modifier.fill_values
    if fill is not None and (fill.lhs is not None or fill.rhs is not None):
        raise UnsupportedError('the simulator does not evaluate the modifier "fill"')
    labels = modifier.matching
    cardinality = {
        "VectorMatchCardinality.ManyToOne": Cardinality.MANY_TO_ONE,
        "VectorMatchCardinality.OneToMany": Cardinality.ONE_TO_MANY,
    }.get(str(modifier.card), Cardinality.ONE_TO_ONE)
    return Matching(
        on=labels is not None and str(labels.type) == "LabelModifierType.Include",
        names=tuple(labels.labels) if labels is not None else (),
        cardinality=cardinality,
        include=tuple(modifier.group_labels or ()),
    )


def type_name(node: Node) -> str:
    """What Prometheus calls the type of an expression."""
    match node:
        case VectorNode():
            return "instant vector"
        case ScalarNode():
            return "scalar"
        case RangeNode():
            return "range vector"
        case StringNode():
            return "string"
    assert_never(node)
