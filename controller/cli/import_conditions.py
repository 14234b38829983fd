"""Argo's `successCondition` and `failureCondition` as limits.

What can be translated: comparisons of the result with a number, joined by `&&` in a success and by `||` in a failure, and
what asks for missing data (`len(result) == 0`, `isNaN(result[0])`, `result == nil`, `default(result[0], 0)`), which never is a
pass here. Anything else is refused with the part that is in the way; a condition is never translated by half.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

_RESULT = r"(?:asFloat\(|asInt\()?result(?:\[0\])?\)?"
_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_PLAIN = re.compile(rf"^{_RESULT}\s*(<=|>=|<|>|==)\s*({_NUMBER})$")
_TURNED = re.compile(rf"^({_NUMBER})\s*(<=|>=|<|>|==)\s*{_RESULT}$")
_EACH = re.compile(rf"^(all|any)\(result,\s*\{{?\s*#\s*(<=|>=|<|>|==)\s*({_NUMBER})\s*\}}?\)$")
_ABSENT = re.compile(
    r"^(?:len\(result\)\s*(?:==|<=)\s*0|len\(result\)\s*<\s*1|isNaN\(result(?:\[0\])?\)|isInf\(result(?:\[0\])?\)|result\s*==\s*nil)$"
)
_PRESENT = re.compile(
    r"^(?:len\(result\)\s*(?:>|!=)\s*0|len\(result\)\s*>=\s*1|!\s*isNaN\(result(?:\[0\])?\)|!\s*isInf\(result(?:\[0\])?\)|result\s*!=\s*nil)$"
)
_DEFAULT = re.compile(rf"\bdefault\(\s*result(?:\[0\])?\s*,\s*({_NUMBER})\s*\)")
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "=="}
_NEGATED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


class ConditionError(ValueError):
    """The condition has no counterpart; its text says which part."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a condition became.

    Attributes:
        limit: fields of a check's limit.
        absent_passed: missing data made it succeed.
        rounded: "" or what a limit says differently at the very number.
    """

    limit: dict[str, float]
    absent_passed: bool = False
    rounded: str = ""


def success(text: str) -> Condition:
    """The limits under which a `successCondition` holds. Raises `ConditionError`."""
    stands_for = [float(value) for value in _DEFAULT.findall(text)]
    found = _success(_DEFAULT.sub("result[0]", text))
    absent = found.absent_passed or (bool(stands_for) and all(_holds(found.limit, value) for value in stands_for))
    return replace(found, absent_passed=absent)


def _holds(limit: Mapping[str, float], value: float) -> bool:
    least, most, below = limit.get("min", -math.inf), limit.get("max", math.inf), limit.get("below", math.inf)
    return least <= value <= most and value < below


def _success(text: str) -> Condition:
    alternatives = [part for part in _split(_bare(text), "||") if not _ABSENT.match(part)]
    absent = len(alternatives) < len(_split(_bare(text), "||"))
    if len(alternatives) != 1:
        raise ConditionError(f"{text!r} has {len(alternatives)} alternatives, and a limit has one")
    terms = [_bare(part) for part in _split(_bare(alternatives[0]), "&&")]
    # `(len(result) == 0 || result[0] < 5) && ...` hides the same alternative one level deeper.
    inner = [[one for one in _split(term, "||") if not _ABSENT.match(one)] for term in terms]
    absent = absent or any(len(found) < len(_split(term, "||")) for found, term in zip(inner, terms, strict=True))
    if any(len(found) != 1 for found in inner):
        raise ConditionError(f"{text!r} has alternatives, and a limit has one")
    return _limits([_compared(one) for (one,) in inner if not _PRESENT.match(one)], text, absent=absent)


def failure(text: str) -> Condition:
    """The limits beyond which a `failureCondition` holds. Raises `ConditionError`."""
    found, text = [], _DEFAULT.sub("result[0]", text)
    for part in _split(_bare(text), "||"):
        terms = [one for one in _split(_bare(part), "&&") if not _PRESENT.match(_bare(one))]
        if len(terms) == 1 and _ABSENT.match(_bare(terms[0])):
            continue
        if len(terms) != 1:
            raise ConditionError(f"{text!r} needs several things at once, and crossing one limit fails")
        sign, value = _compared(_bare(terms[0]))
        if sign not in _NEGATED:
            raise ConditionError(f"{text!r} asks for one exact number, and a limit is a line")
        found.append((_NEGATED[sign], value))
    return _limits(found, text, absent=False)


def _bare(text: str) -> str:
    """Without blanks and brackets around it."""
    text = text.strip()
    while text.startswith("(") and text.endswith(")") and _closes(text) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def _closes(text: str) -> int:
    depth = 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if not depth:
            return index
    return -1


def _split(text: str, sign: str) -> list[str]:
    """The parts between signs that stand in no bracket; `and` and `or` are words for the signs."""
    text = re.sub(r"\band\b", "&&", re.sub(r"\bor\b", "||", text))
    parts, depth, begun = [], 0, 0
    for index, char in enumerate(text):
        depth += (char in "([") - (char in ")]")
        if not depth and text.startswith(sign, index):
            parts.append(text[begun:index].strip())
            begun = index + len(sign)
    return [*parts, text[begun:].strip()]


def _compared(term: str) -> tuple[str, float]:
    plain, turned, each = _PLAIN.match(term), _TURNED.match(term), _EACH.match(term)
    if plain:
        return plain[1], float(plain[2])
    if turned:
        return _MIRRORED[turned[2]], float(turned[1])
    if each and each[1] == "all":
        return each[2], float(each[3])
    raise ConditionError(f"the part {term!r} compares something else than the result with a number")


def _limits(compared: list[tuple[str, float]], text: str, *, absent: bool) -> Condition:
    limit: dict[str, float] = {}
    rounded = ""
    for sign, value in compared:
        for key in ("min", "max") if sign == "==" else ({"<": "below", "<=": "max", ">": "min", ">=": "min"}[sign],):
            if key in limit:
                raise ConditionError(f"{text!r} has two lines on the same side")
            limit[key] = int(value) if value == int(value) else value
        if sign == ">":
            rounded = f"exactly {value:g} passes here"
    if not limit:
        raise ConditionError(f"{text!r} compares nothing with a number")
    return Condition(limit, absent, rounded)
