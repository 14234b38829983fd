"""Parses PromQL and says where a text goes wrong.

The parser names what is wrong but not where. The place is found by asking it again: about ever longer
beginnings of the text, completed in all ways that the grammar has, until none is accepted; and for errors of type about
the calls within the text, the shortest first.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import promql_parser as pp

MAX_LENGTH = 10_000
"""Longer queries are refused: no release check needs one, and the parser works by recursion."""

MAX_NESTING = 100
"""Deeper brackets are refused, for the same reason."""

MAX_OPERATORS = 200
"""More operators between expressions are refused, for the same reason."""

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`)
      | (?P<open_string>["'`])
      | (?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<number>\d[\w.]*(?:(?<=[eE])[+-]\d+)?|\.\d+)
      | (?P<operator>==|!=|=~|!~|>=|<=|[-+*/%^<>=@])
      | (?P<bracket>[][(){}])
      | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_DURATION = re.compile(r"(\d{1,10}(ms|s)|\d{1,7}[mhdw]|\d{1,5}y)+|\d{1,11}(\.\d*)?")
_CLOSER = {"(": ")", "[": "]", "{": "}"}
_WORD_OPERATORS = ("and", "or", "unless", "atan2")
_SYNTAX = (
    "invalid promql query",
    "unexpected ",
    "unclosed ",
    "unterminated ",
    "missing unit",
    "bad number",
    "not a valid duration",
    "no expression",
    "unknown escape",
)
_FILLS = ("", " x", ' "s"', '="s"', " 5m", " (a)", " (a) x", " (a) (x)", "(x)")
_TAILS = ("", " x", " (x)", "[5m]")

# Prometheus 2 knows the function by this name, the parser only by the one of Prometheus 3.
pp.register_extra_functions(
    [pp.Function("holt_winters", [pp.ValueType.Matrix, pp.ValueType.Scalar, pp.ValueType.Scalar], pp.ValueType.Vector)]
)


class PromqlSyntaxError(ValueError):
    """A text that is not PromQL, as any Prometheus would say.

    Attributes:
        message: what is wrong, without the place.
        offset: characters before the place.
        line, column: the place, counted from 1.
        hint: the line of the text and a caret under the place.
    """

    def __init__(self, message: str, text: str, offset: int) -> None:
        before = text[:offset]
        self.message, self.offset = message, offset
        self.line = before.count("\n") + 1
        self.column = offset - (before.rfind("\n") + 1) + 1
        lines = text.split("\n")
        self.hint = f"{lines[self.line - 1]}\n{' ' * (self.column - 1)}^"
        super().__init__(f"line {self.line}, column {self.column}: {message}")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text: `kind` is the name of its group in the token pattern."""

    kind: str
    text: str
    offset: int

    @property
    def end(self) -> int:
        """Where the next one may begin."""
        return self.offset + len(self.text)


def tokens(text: str) -> Iterator[Token]:
    """All pieces but blanks and comments."""
    for found in _TOKEN.finditer(text):
        if found.lastgroup != "space":
            yield Token(str(found.lastgroup), found[0], found.start())


def parse(text: str) -> pp.Expr:
    """The syntax tree.

    Raises:
        PromqlSyntaxError: the text is not PromQL, or too large to be looked at.
    """
    if len(text) > MAX_LENGTH:
        raise PromqlSyntaxError(f"the query has {len(text)} characters, more than {MAX_LENGTH}", text, MAX_LENGTH)
    text = _TOKEN.sub(_quoted, text) if "`" in text else text
    _refuse_unparsable(text)
    try:
        return pp.parse(text)
    except ValueError as error:
        message, offset = _explain(text, str(error))
        raise PromqlSyntaxError(message, text, offset) from error


def _quoted(found: re.Match[str]) -> str:
    """A text between backticks as one between quotes: nothing is escaped within backticks, which the parser does not know."""
    if found["string"] is None or not found["string"].startswith("`") or "\\" not in found["string"]:
        return found[0]
    return '"' + found["string"][1:-1].replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") + '"'


def _refuse_unparsable(text: str) -> None:
    """Raise for what the parser would not survive, and for what it takes but Prometheus does not."""
    closers: list[str] = []
    operators = 0
    before = previous = Token("", "", 0)
    for token in tokens(text):
        within = closers[-1] if closers else ""
        if token.text in _CLOSER and token.kind == "bracket":
            closers.append(_CLOSER[token.text])
        elif closers and token.kind == "bracket":
            closers.pop()
        operators += within != "}" and (token.kind == "operator" or token.text in _WORD_OPERATORS)
        if complaint := _complaint(token, previous, before, within):
            raise PromqlSyntaxError(complaint, text, token.offset)
        if len(closers) > MAX_NESTING:
            raise PromqlSyntaxError(f"more than {MAX_NESTING} brackets within each other", text, token.offset)
        if operators > MAX_OPERATORS:
            raise PromqlSyntaxError(f"more than {MAX_OPERATORS} operators", text, token.offset)
        before, previous = previous, token


def _complaint(token: Token, previous: Token, before: Token, within: str) -> str:
    """What is wrong with a piece after two others, within brackets that `within` closes; "" for nothing."""
    if previous.text == "@" and token.text == "-":
        return "a time before 1970 after @ is not supported"
    if within == "}" and token.text == "or" and previous.kind == "string":
        return "unexpected 'or' between label matchers"
    after_offset = previous.text == "offset" or (previous.text in ("-", "+") and before.text == "offset")
    number = token.text.lstrip(":") if within == "]" else token.text
    numeric = number[:1].isdigit() or number.lower() in ("inf", "nan")
    if numeric and (within == "]" or after_offset or previous.text == "@") and not _DURATION.fullmatch(number):
        return f"{number!r} is not a duration or time that can be handled"
    return ""


def _explain(text: str, message: str) -> tuple[str, int]:
    """The parser's message, in clearer words where it has none, and the place it is about."""
    pieces = list(tokens(text))
    for token in pieces:
        if token.kind == "open_string":
            return f"unterminated string, it began with {token.text}", token.offset
    if message.startswith(_SYNTAX) and pieces and not message.startswith("unclosed left parenthesis"):
        return _first_misfit(text, pieces, message)
    return message, _place(text, pieces, message)


def _place(text: str, pieces: list[Token], message: str) -> int:
    """Where a message belongs that names what it is about."""
    if not pieces:
        return 0
    if message.startswith("unknown function with name"):
        return _unknown_function(pieces, message.split("'")[1])
    if message.startswith("illegal regex for "):
        source = message.removeprefix("illegal regex for ")
        return next((token.offset for token in pieces if token.kind == "string" and source in token.text), 0)
    if message.startswith("unclosed left parenthesis"):
        return _unclosed(pieces)
    return _shortest_failing_call(text, pieces, message)


def _unknown_function(pieces: list[Token], name: str) -> int:
    """Where the function is called."""
    for token, after in pairwise(pieces):
        if token.text == name and after.text == "(":
            return token.offset
    return 0


def _unclosed(pieces: list[Token]) -> int:
    """The innermost parenthesis that nothing closes."""
    stack: list[int] = []
    for token in pieces:
        if token.text == "(":
            stack.append(token.offset)
        elif token.text == ")" and stack:
            stack.pop()
    return stack[-1] if stack else 0


def _accepts(text: str) -> bool:
    """Whether the text is well-formed, whatever its types."""
    try:
        pp.parse(text)
    except ValueError as error:
        return not str(error).startswith(_SYNTAX)
    return True


def _can_continue(beginning: str, stack: list[str]) -> bool:
    """Whether the beginning of a query can be completed; `stack` has the closers that it still needs."""
    closers = list(reversed(stack))
    if not closers:
        return any(_accepts(beginning + fill) for fill in _FILLS)
    inner, rest = closers[0], "".join(closers[1:])
    return any(_accepts(beginning + fill + inner + tail + rest) for fill, tail in product(_FILLS, _TAILS))


def _first_misfit(text: str, pieces: list[Token], message: str) -> tuple[str, int]:
    """The first piece after which no completion is a query; else the text ends too early."""
    stack: list[str] = []
    for token in pieces:
        if token.kind == "bracket":
            if token.text in _CLOSER:
                stack.append(_CLOSER[token.text])
            elif stack and stack[-1] == token.text:
                stack.pop()
            else:
                return f"unexpected {token.text!r}", token.offset
        if not _can_continue(text[: token.end], stack):
            vague = message.startswith(("invalid promql query", "unexpected ", "missing unit"))
            return (f"unexpected {token.text!r}" if vague else message), token.offset
    return "unexpected end of the query", len(text.rstrip())


def _shortest_failing_call(text: str, pieces: list[Token], message: str) -> int:
    """Where the shortest part in parentheses begins that is refused for the same reason by itself."""
    stack: list[int] = []
    parts: list[tuple[int, int, int]] = []
    for position, token in enumerate(pieces):
        if token.text == "(":
            called = position and pieces[position - 1].kind == "word"
            stack.append(pieces[position - 1].offset if called else token.offset)
        elif token.text == ")" and stack:
            start = stack.pop()
            parts.append((token.end - start, start, token.end))
    for _, start, end in sorted(parts):
        try:
            pp.parse(text[start:end])
        except ValueError as error:
            if str(error) == message:
                return start
    return pieces[0].offset
