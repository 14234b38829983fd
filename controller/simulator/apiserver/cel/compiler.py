"""Syntax tree to closures: each node becomes one Python function of the variables."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from controller.simulator.apiserver.cel.functions import FUNCTIONS, METHODS, OPTIONALS, Optional, same
from controller.simulator.apiserver.cel.parser import CelError, CelSyntaxError, Node, parse

Scope = Mapping[str, Any]
Program = Callable[[Scope], Any]
"""Takes the variables (`self`, `oldSelf`) and gives the value; raises `CelError`."""

_MACROS = {"all": 2, "exists": 2, "exists_one": 2, "filter": 2, "map": 2}
_NONE = Optional(present=False)


def compile_rule(text: str) -> Program:
    """The program of a rule. `CelSyntaxError` where it cannot be read or calls what does not exist."""
    run = _compile(parse(text))

    def program(scope: Scope) -> Any:
        try:
            return run(scope)
        except (TypeError, AttributeError, ValueError, IndexError, KeyError) as wrong:
            raise CelError(f"no such overload or field: {wrong}") from wrong

    return program


def _compile(node: Node) -> Program:
    return _COMPILERS[node.op](node)


def _literal(node: Node) -> Program:
    value = node.value
    return lambda _: value


def _name(node: Node) -> Program:
    name = node.value
    return lambda scope: scope[name]


def _select(node: Node) -> Program:
    inner, name = _compile(node.args[0]), node.value

    def select(scope: Scope) -> Any:
        holder = inner(scope)
        if isinstance(holder, Optional):
            return _optional_get(holder, name)
        try:
            return holder[name]
        except KeyError as missing:
            raise CelError(f"no such key: {name}") from missing

    return select


def _optional_get(holder: Any, key: Any) -> Optional:
    if isinstance(holder, Optional):
        if not holder.present:
            return _NONE
        holder = holder.value
    if isinstance(holder, dict):
        return Optional(present=True, value=holder[key]) if key in holder else _NONE
    return Optional(present=True, value=holder[key]) if 0 <= key < len(holder) else _NONE


def _optional_select(node: Node) -> Program:
    inner, name = _compile(node.args[0]), node.value
    return lambda scope: _optional_get(inner(scope), name)


def _optional_index(node: Node) -> Program:
    inner, key = _compile(node.args[0]), _compile(node.args[1])
    return lambda scope: _optional_get(inner(scope), key(scope))


def _index(node: Node) -> Program:
    inner, key = _compile(node.args[0]), _compile(node.args[1])

    def index(scope: Scope) -> Any:
        holder, at = inner(scope), key(scope)
        if isinstance(holder, dict):
            if at not in holder:
                raise CelError(f"no such key: {at}")
            return holder[at]
        if not isinstance(at, int) or not 0 <= at < len(holder):
            raise CelError(f"index out of bounds: {at}")
        return holder[at]

    return index


def _truth(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise CelError(f"no such overload: {value!r} is not true or false")


def _tried(run: Program, scope: Scope) -> bool | CelError:
    try:
        return _truth(run(scope))
    except CelError as wrong:
        return wrong
    except (TypeError, AttributeError, ValueError, IndexError, KeyError) as wrong:
        return CelError(str(wrong))


def _absorbing(node: Node, *, decisive: bool) -> Program:
    """`&&` and `||`: a decisive value on either side wins, also over an error on the other."""
    left, right = _compile(node.args[0]), _compile(node.args[1])

    def run(scope: Scope) -> bool:
        first = _tried(left, scope)
        if first is decisive:
            return decisive
        second = _tried(right, scope)
        if second is decisive:
            return decisive
        for value in (first, second):
            if isinstance(value, CelError):
                raise value
        return not decisive

    return run


def _not(node: Node) -> Program:
    inner = _compile(node.args[0])
    return lambda scope: not _truth(inner(scope))


def _negate(node: Node) -> Program:
    inner = _compile(node.args[0])
    return lambda scope: -inner(scope)


def _ternary(node: Node) -> Program:
    condition, yes, no = (_compile(arg) for arg in node.args)
    return lambda scope: yes(scope) if _truth(condition(scope)) else no(scope)


def _divide(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        if right == 0:
            raise CelError("division by zero")
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) is (right < 0) else -quotient
    return left / right if right else float("inf") * left


def _modulus(left: Any, right: Any) -> Any:
    if right == 0:
        raise CelError("modulus by zero")
    rest = abs(left) % abs(right)
    return rest if left >= 0 else -rest


def _contains(item: Any, container: Any) -> bool:
    if isinstance(container, dict):
        return item in container
    return any(same(item, other) for other in container)


def _ordered(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def run(left: Any, right: Any) -> Any:
        if type(left) is type(right) or (isinstance(left, (int, float)) and isinstance(right, (int, float))):
            return compare(left, right)
        raise CelError(f"no such overload: {type(left).__name__} against {type(right).__name__}")

    return run


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "==": same,
    "!=": lambda left, right: not same(left, right),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "%": _modulus,
    "in": _contains,
}


def _binary(node: Node) -> Program:
    left, right = _compile(node.args[0]), _compile(node.args[1])
    combine = _BINARY[node.value]
    return lambda scope: combine(left(scope), right(scope))


def _list(node: Node) -> Program:
    items = [_compile(arg) for arg in node.args]
    return lambda scope: [item(scope) for item in items]


def _map(node: Node) -> Program:
    keys = [_compile(arg) for arg in node.args[::2]]
    values = [_compile(arg) for arg in node.args[1::2]]
    return lambda scope: {key(scope): value(scope) for key, value in zip(keys, values, strict=True)}


def _call(node: Node) -> Program:
    if node.value == "has":
        return _has(node)
    function = FUNCTIONS.get(node.value)
    if function is None:
        raise CelSyntaxError(f"undeclared reference to '{node.value}'")
    arguments = [_compile(arg) for arg in node.args]
    return lambda scope: function(*(argument(scope) for argument in arguments))


def _has(node: Node) -> Program:
    if len(node.args) != 1 or node.args[0].op != "select":
        raise CelSyntaxError("has() takes one field selection, as in has(self.field)")
    field = node.args[0]
    holder, name = _compile(field.args[0]), field.value
    return lambda scope: name in holder(scope)


def _method(node: Node) -> Program:
    target = node.args[0]
    if target.op == "name" and target.value == "optional" and node.value in OPTIONALS:
        function = OPTIONALS[node.value]
        arguments = [_compile(arg) for arg in node.args[1:]]
        return lambda scope: function(*(argument(scope) for argument in arguments))
    if node.value in _MACROS and len(node.args) > 2 and node.args[1].op == "name":  # noqa: PLR2004 - receiver, variable and body
        return _macro(node)
    method = METHODS.get(node.value)
    if method is None:
        raise CelSyntaxError(f"undeclared reference to '{node.value}'")
    receiver = _compile(target)
    rest = [_compile(arg) for arg in node.args[1:]]
    return lambda scope: method(receiver(scope), *(argument(scope) for argument in rest))


def _macro(node: Node) -> Program:
    source, variable = _compile(node.args[0]), node.args[1].value
    body = _compile(node.args[-1])
    keep = _compile(node.args[2]) if node.value == "map" and len(node.args) == 4 else None  # noqa: PLR2004 - map(x, filter, value)
    return _MACRO_RUNNERS[node.value](source, variable, body, keep)


def _scopes(source: Program, variable: str, scope: Scope) -> Any:
    """One mutable scope, re-used: its variable moves through the items (a map gives its keys)."""
    inner = dict(scope)
    for item in source(scope):
        inner[variable] = item
        yield inner


def _quantifier(*, decisive: bool) -> Callable[..., Program]:
    def build(source: Program, variable: str, body: Program, _: Program | None) -> Program:
        def run(scope: Scope) -> bool:
            error: CelError | None = None
            for inner in _scopes(source, variable, scope):
                value = _tried(body, inner)
                if value is decisive:
                    return decisive
                if isinstance(value, CelError):
                    error = value
            if error is not None:
                raise error
            return not decisive

        return run

    return build


def _exists_one(source: Program, variable: str, body: Program, _: Program | None) -> Program:
    return lambda scope: sum(1 for inner in _scopes(source, variable, scope) if _truth(body(inner))) == 1


def _filter(source: Program, variable: str, body: Program, _: Program | None) -> Program:
    return lambda scope: [inner[variable] for inner in _scopes(source, variable, scope) if _truth(body(inner))]


def _mapping(source: Program, variable: str, body: Program, keep: Program | None) -> Program:
    if keep is None:
        return lambda scope: [body(inner) for inner in _scopes(source, variable, scope)]
    return lambda scope: [body(inner) for inner in _scopes(source, variable, scope) if _truth(keep(inner))]


_MACRO_RUNNERS: dict[str, Callable[..., Program]] = {
    "all": _quantifier(decisive=False),
    "exists": _quantifier(decisive=True),
    "exists_one": _exists_one,
    "filter": _filter,
    "map": _mapping,
}
_COMPILERS: dict[str, Callable[[Node], Program]] = {
    "literal": _literal,
    "name": _name,
    "select": _select,
    "optional select": _optional_select,
    "index": _index,
    "optional index": _optional_index,
    "&&": lambda node: _absorbing(node, decisive=False),
    "||": lambda node: _absorbing(node, decisive=True),
    "!": _not,
    "negate": _negate,
    "?:": _ternary,
    "binary": _binary,
    "list": _list,
    "map": _map,
    "call": _call,
    "method": _method,
}
