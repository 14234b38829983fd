"""Queries that are a number even where there is no data at all, as `... or vector(0)` makes them: a missing answer would pass.

Filling up the failures alone is right, since such a series exists only after the first failure:

    sum(rate(failures[5m])) / sum(rate(requests[5m])) or vector(0)        0 without any request
    (sum(rate(failures[5m])) or vector(0)) / sum(rate(requests[5m]))      no number without one
"""

import re
from typing import Any

import promql_parser as pp

from controller.api.promql_facts import facts_of, unlabelled
from controller.api.promql_syntax import parse, tokens

_ARITHMETIC = ("+", "-", "*", "/", "%", "^", "atan2")
_ALWAYS = ("vector", "time", "pi")
_TELLING = ("absent", "absent_over_time")
"""They say on purpose that something is missing."""

_NEVER = (*_TELLING, "scalar")
"""A scalar is NaN then, which is no answer."""

_WINDOW, _SPAN = "$window", "7h7m7s"
"""The parameter, and what stands for it where the parser reads a query."""

_NUMBERED = re.compile(r'"([0-9]+)"')


def filled_up(text: str) -> bool:
    """Whether a query that reads series has a number where none of them exists.

    Raises:
        PromqlSyntaxError: it is not PromQL.
    """
    expr = parse(text)
    return _reads(expr) and _always(expr)


def with_failures_filled(query: str) -> str:
    """A share with its numerator filled up by 0 in place of the whole; any other query as it is.

    Args:
        query: PromQL whose only parameters outside of texts are `$window`.

    Raises:
        PromqlSyntaxError: it is not PromQL.
    """
    # The parser gives texts back without their escapes: numbers stand for them.
    texts = [token for token in tokens(query) if token.kind == "string"]
    read = query
    for number, token in reversed(list(enumerate(texts))):
        read = f'{read[: token.offset]}"{number}"{read[token.end :]}'
    whole = _bare(parse(read.replace(_WINDOW, _SPAN)))
    if not isinstance(whole, pp.BinaryExpr) or str(whole.op) != "or" or _reads(whole.rhs) or not _always(whole.rhs):
        return query
    share = _bare(whole.lhs)
    counted = _numerator(share)
    if counted is None or not unlabelled(counted):
        return query
    # Nothing that stands before it reads series, so that the first such text is the numerator.
    found = str(share).replace(str(counted), f"({_bare(counted)} or vector(0))", 1).replace("{}", "").replace(_SPAN, _WINDOW)
    return _NUMBERED.sub(lambda match: texts[int(match[1])].text, found)


def _numerator(expr: Any) -> Any | None:
    """What is divided, behind numbers that it is multiplied by or taken from; None where it is no share."""
    while True:
        expr = _bare(expr)
        if not isinstance(expr, pp.BinaryExpr) or str(expr.op) not in _ARITHMETIC:
            return None
        left, right = _reads(expr.lhs), _reads(expr.rhs)
        if left and right:
            return expr.lhs if str(expr.op) == "/" and not _always(expr.lhs) and not _always(expr.rhs) else None
        expr = expr.lhs if left else expr.rhs


def _reads(expr: Any) -> bool:
    return bool(facts_of(expr).selectors)


def _bare(expr: Any) -> Any:
    """Without brackets around the whole."""
    while isinstance(expr, pp.ParenExpr):
        expr = expr.expr
    return expr


def _always(expr: Any) -> bool:
    """Whether there is a result without any data."""
    match expr:
        case pp.NumberLiteral() | pp.StringLiteral():
            return True
        case pp.ParenExpr() | pp.UnaryExpr() | pp.AggregateExpr() | pp.SubqueryExpr():
            return _always(expr.expr)
        case pp.BinaryExpr() if str(expr.op) == "or":
            return _always(expr.lhs) or (_always(expr.rhs) and not _tells(expr.lhs))
        case pp.BinaryExpr() if str(expr.op) == "unless":
            return _always(expr.lhs)
        case pp.BinaryExpr() if str(expr.op) in (*_ARITHMETIC, "and") or (expr.modifier and expr.modifier.return_bool):
            return _always(expr.lhs) and _always(expr.rhs)
        case pp.Call():
            name, given = expr.func.name, list(expr.args)
            return name in _ALWAYS or (name not in _NEVER and bool(given) and all(map(_always, given)))
    return False


def _tells(expr: Any) -> bool:
    """Whether a result says that something is missing, with or without arithmetic around it."""
    match expr:
        case pp.ParenExpr() | pp.UnaryExpr() | pp.AggregateExpr():
            return _tells(expr.expr)
        case pp.BinaryExpr():
            return _tells(expr.lhs) or _tells(expr.rhs)
    return isinstance(expr, pp.Call) and expr.func.name in _TELLING
