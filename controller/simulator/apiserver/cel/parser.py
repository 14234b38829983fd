"""Text of a CEL expression to a syntax tree of `Node`s."""

import re
from dataclasses import dataclass
from typing import Any

RESERVED = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      | (?P<number>(?:0x[0-9a-fA-F]+|\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+|\d+)u?)
      | (?P<string>[rR]?(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
      | (?P<name>[A-Za-z_]\w*)
      | (?P<symbol>&&|\|\||==|!=|<=|>=|\.\?|\[\?|[-+*/%!<>?:.,()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_BINARY = (("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))
_CONSTANTS = {"true": True, "false": False, "null": None}
_PROPERTY_ESCAPES = {"__underscores__": "__", "__dot__": ".", "__dash__": "-", "__slash__": "/"}


class CelError(Exception):
    """An expression that cannot be evaluated for these values: a missing key, a wrong type, a division by zero."""


class CelSyntaxError(Exception):
    """A text that is no expression, or that uses a function that does not exist."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node: `op` says which, `args` are its children, `value` its name or literal."""

    op: str
    value: Any = None
    args: tuple["Node", ...] = ()


def property_name(identifier: str) -> str:
    """The JSON property behind an escaped identifier: `__namespace__` is `namespace`, `a__dash__b` is `a-b`."""
    if "__" not in identifier:
        return identifier
    if identifier.startswith("__") and identifier.endswith("__") and identifier[2:-2] in RESERVED:
        return identifier[2:-2]
    for escape, plain in _PROPERTY_ESCAPES.items():
        identifier = identifier.replace(escape, plain)
    return identifier


def parse(text: str) -> Node:
    """The syntax tree of a whole expression. `CelSyntaxError` names the place."""
    parser = _Parser(text)
    tree = parser.expression()
    parser.end()
    return tree


def _number(token: str) -> int | float:
    if token.startswith("0x"):
        return int(token.removesuffix("u"), 16)
    digits = token.removesuffix("u")
    return float(digits) if any(mark in digits for mark in ".eE") else int(digits)


def _unquote(token: str) -> str:
    raw = token[0] in "rR"
    body = token[1:] if raw else token
    width = 3 if body[:3] in ('"""', "'''") else 1
    body = body[width:-width]
    if raw or "\\" not in body:
        return body
    return re.sub(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|[0-7]{3}|.)", _escape, body, flags=re.DOTALL)


def _escape(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "uUx" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code.isdigit():
        return chr(int(code, 8))
    return _ESCAPES.get(code, code)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise CelSyntaxError(f"unexpected {text[at]!r} at position {at} of {text!r}")
            if match.lastgroup != "space":
                self.tokens.append((match.lastgroup or "", match[0], at))
            at = match.end()
        self.tokens.append(("end", "", len(text)))
        self.at = 0

    def fail(self, wanted: str) -> CelSyntaxError:
        _, found, position = self.tokens[self.at]
        return CelSyntaxError(f"expected {wanted} at position {position} of {self.text!r}, found {found!r}")

    def take(self, *symbols: str) -> str | None:
        kind, found, _ = self.tokens[self.at]
        if found in symbols and kind in ("symbol", "name"):
            self.at += 1
            return found
        return None

    def need(self, symbol: str) -> None:
        if self.take(symbol) is None:
            raise self.fail(repr(symbol))

    def end(self) -> None:
        if self.tokens[self.at][0] != "end":
            raise self.fail("the end")

    def expression(self) -> Node:
        condition = self.disjunction()
        if not self.take("?"):
            return condition
        yes = self.disjunction()
        self.need(":")
        return Node("?:", args=(condition, yes, self.expression()))

    def disjunction(self) -> Node:
        left = self.conjunction()
        while self.take("||"):
            left = Node("||", args=(left, self.conjunction()))
        return left

    def conjunction(self) -> Node:
        left = self.binary(0)
        while self.take("&&"):
            left = Node("&&", args=(left, self.binary(0)))
        return left

    def binary(self, level: int) -> Node:
        if level == len(_BINARY):
            return self.unary()
        left = self.binary(level + 1)
        while operator := self.take(*_BINARY[level]):
            left = Node("binary", operator, (left, self.binary(level + 1)))
        return left

    def unary(self) -> Node:
        if self.take("!"):
            return Node("!", args=(self.unary(),))
        if self.take("-"):
            return Node("negate", args=(self.unary(),))
        return self.member()

    def member(self) -> Node:
        node = self.primary()
        while symbol := self.take(".", ".?", "[", "[?"):
            if symbol in (".", ".?"):
                name = self.name()
                if symbol == "." and self.take("("):
                    node = Node("method", name, (node, *self.arguments(")")))
                else:
                    node = Node("select" if symbol == "." else "optional select", property_name(name), (node,))
            else:
                node = Node("index" if symbol == "[" else "optional index", args=(node, self.expression()))
                self.need("]")
        return node

    def name(self) -> str:
        kind, found, _ = self.tokens[self.at]
        if kind != "name":
            raise self.fail("a name")
        self.at += 1
        return found

    def arguments(self, closing: str) -> list[Node]:
        found: list[Node] = []
        while not self.take(closing):
            found.append(self.expression())
            if not self.take(","):
                self.need(closing)
                break
        return found

    def primary(self) -> Node:
        kind, found, _ = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            return Node("literal", _number(found))
        if kind == "string":
            return Node("literal", _unquote(found))
        if kind == "name":
            return self.named(found)
        if found == "(":
            inner = self.expression()
            self.need(")")
            return inner
        if found == "[":
            return Node("list", args=tuple(self.arguments("]")))
        if found == "{":
            return self.map_literal()
        self.at -= 1
        raise self.fail("a value")

    def named(self, found: str) -> Node:
        if found in _CONSTANTS:
            return Node("literal", _CONSTANTS[found])
        return Node("call", found, tuple(self.arguments(")"))) if self.take("(") else Node("name", found)

    def map_literal(self) -> Node:
        entries: list[Node] = []
        while not self.take("}"):
            key = self.expression()
            self.need(":")
            entries += [key, self.expression()]
            if not self.take(","):
                self.need("}")
                break
        return Node("map", args=tuple(entries))
