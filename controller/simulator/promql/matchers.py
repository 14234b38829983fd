"""Label matchers: `=`, `!=`, `=~`, `!~`, anchored on both ends, in RE2's syntax.

Python's `re` is close to RE2 but not equal: what differs is translated, or refused by name, never
silently matched otherwise.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from analysis.model import Labels
from controller.simulator.promql.errors import UnsupportedError

_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "lower": "a-z",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_CLASS = re.compile(r"\[:(\w+):\]")
_UNKNOWN = re.compile(r"(?<!\\)(?:\\\\)*(\\[pPQECR]|\[:\^\w+:\]|\(\?[a-zA-Z]*U[a-zA-Z]*[):])")


@lru_cache(maxsize=4096)
def compile_regex(source: str) -> re.Pattern[str]:
    """An RE2 expression as Python's, to be used with `fullmatch`.

    Raises:
        UnsupportedError: the expression uses what Python's engine does not have.
    """
    if found := _UNKNOWN.search(source):
        raise UnsupportedError(f"regular expression {source!r} uses {found[1]!r}, which the simulator does not support")
    translated = _CLASS.sub(lambda found: _POSIX.get(found[1], found[0]), source).replace(r"\z", r"\Z").replace("(?<", "(?P<")
    try:
        return re.compile(translated.replace("(?P<=", "(?<=").replace("(?P<!", "(?<!"), re.ASCII)
    except re.error as error:
        raise UnsupportedError(f"regular expression {source!r} is not understood by the simulator: {error}") from error


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label; a label that a series does not have counts as ""."""

    name: str
    op: str
    value: str

    def predicate(self) -> Callable[[str], bool]:
        """The condition as a function of the label's value."""
        value = self.value
        match self.op:
            case "=":
                return lambda found: found == value
            case "!=":
                return lambda found: found != value
        full = compile_regex(value).fullmatch
        if self.op == "=~":
            return lambda found: full(found) is not None
        return lambda found: full(found) is None


def compile_matchers(matchers: Sequence[Matcher]) -> Callable[[Labels], bool]:
    """One function that says whether a label set meets all matchers."""
    tests = [(matcher.name, matcher.predicate()) for matcher in matchers]

    def matches(labels: Labels) -> bool:
        found = dict(labels)
        return all(test(found.get(name, "")) for name, test in tests)

    return matches
