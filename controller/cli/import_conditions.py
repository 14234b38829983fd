"""Argo's `successCondition` and `failureCondition` as limits.

What can be translated: comparisons of the result with a number, joined by `&&` in a success and by `||` in a failure, and
what asks for missing data (`len(result) == 0`, `isNaN(result[0])`, `result == nil`, `default(result[0], 0)`), which never is a
pass here. Of alternatives the one that holds wherever the others do is the limit. Anything else is refused with the part that is
in the way; a condition is never translated by half.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

_RESULT = r"(asFloat\(|asInt\(|)result(?:\[0\])?\)?"
_AS_INT = "asInt("
_NUMBER = r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_CAST = re.compile(rf"\bas(?:Float|Int)\(\s*([\"']?)({_NUMBER})\1\s*\)")
_PLAIN = re.compile(rf"^{_RESULT}\s*(<=|>=|<|>|==|!=)\s*({_NUMBER})$")
_TURNED = re.compile(rf"^({_NUMBER})\s*(<=|>=|<|>|==|!=)\s*{_RESULT}$")
_EACH = re.compile(rf"^(all|any)\(result,\s*\{{?\s*#\s*(<=|>=|<|>|==|!=)\s*({_NUMBER})\s*\}}?\)$")
_ABSENT = re.compile(
    r"^(?:len\(result\)\s*(?:==|<=)\s*0|len\(result\)\s*<\s*1|len\(result\)\s*!=\s*1"
    r"|isNaN\(result(?:\[0\])?\)|isInf\(result(?:\[0\])?\)|result(?:\[0\])?\s*==\s*nil)$"
)
_PRESENT = re.compile(
    r"^(?:len\(result\)\s*(?:>|!=)\s*0|len\(result\)\s*(?:>=|==)\s*1"
    r"|!\s*isNaN\(result(?:\[0\])?\)|!\s*isInf\(result(?:\[0\])?\)|result(?:\[0\])?\s*!=\s*nil)$"
)
_DEFAULT = re.compile(rf"\bdefault\(\s*result(?:\[0\])?\s*,\s*({_NUMBER})\s*\)")
_ABOVE_NOTHING = 1e-9
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_NEGATED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


class ConditionError(ValueError):
    """The condition has no counterpart; its text says which part."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a condition became.

    Attributes:
        limit: fields of a check's limit.
        absent_passed: missing data made it succeed.
        absent_failed: missing data made it fail.
        several: it is asked of every series of the result.
        rounded: "" or how a limit says "more than", which it has no word for.
    """

    limit: dict[str, float]
    absent_passed: bool = False
    absent_failed: bool = False
    several: bool = False
    rounded: str = ""


def success(text: str) -> Condition:
    """The limits under which a `successCondition` holds. Raises `ConditionError`."""
    return _with_defaults(_success(_plainly(text)), text)


def failure(text: str) -> Condition:
    """The limits beyond which a `failureCondition` holds. Raises `ConditionError`."""
    return _with_defaults(_failure(_plainly(text)), text)


def both(passing: Condition, failing: Condition) -> dict[str, float]:
    """The limit under which a success holds and a failure does not: Argo asks for the failure first. Raises `ConditionError`."""
    found = _meet(passing.limit, failing.limit)
    least, most = found.get("min", -math.inf), found.get("max", found.get("below", math.inf))
    if least > most or ("below" in found and least == most):
        raise ConditionError("nothing that its successCondition lets pass is not a failure, too")
    return found


def _meet(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """The limit that holds where both do; at most one line on each side."""
    least = max(one.get("min", -math.inf), other.get("min", -math.inf))
    most = min((value, key == "max", key) for key, value in (*_tops(one), *_tops(other), ("max", math.inf)))
    return ({"min": least} if least > -math.inf else {}) | ({most[2]: most[0]} if most[0] < math.inf else {})


def _tops(limit: Mapping[str, float]) -> list[tuple[str, float]]:
    return [(key, limit[key]) for key in ("max", "below") if key in limit]


def _plainly(text: str) -> str:
    """With the result for a default and a number for a cast one."""
    return _CAST.sub(r"\2", _DEFAULT.sub("result[0]", text))


def _with_defaults(found: Condition, text: str) -> Condition:
    """What `default(result[0], 0)` makes of missing data."""
    holds = [_holds(found.limit, float(value)) for value in _DEFAULT.findall(text)]
    passed, failed = bool(holds) and all(holds), bool(holds) and not all(holds)
    return replace(found, absent_passed=found.absent_passed or passed, absent_failed=found.absent_failed or failed)


def _holds(limit: Mapping[str, float], value: float) -> bool:
    least, most, below = limit.get("min", -math.inf), limit.get("max", math.inf), limit.get("below", math.inf)
    return least <= value <= most and value < below


def _success(text: str) -> Condition:
    alternatives = [part for part in _split(_bare(text), "||") if not _ABSENT.match(part)]
    absent = len(alternatives) < len(_split(_bare(text), "||"))
    found = [_together(part, text) for part in alternatives]
    widest = next((one for one in found if all(_meet(one.limit, other.limit) == other.limit for other in found)), None)
    if widest is None:
        raise ConditionError(f"{text!r} has {len(alternatives)} alternatives, and a limit has one")
    absent = absent or any(one.absent_passed for one in found)
    return replace(widest, absent_passed=absent, absent_failed=widest.absent_failed and not absent)


def _together(alternative: str, text: str) -> Condition:
    """What one alternative asks for at once."""
    terms = [_bare(part) for part in _split(_bare(alternative), "&&")]
    # `(len(result) == 0 || result[0] < 5) && ...` hides the same alternative one level deeper.
    inner = [[one for one in _split(term, "||") if not _ABSENT.match(one)] for term in terms]
    absent = any(len(found) < len(_split(term, "||")) for found, term in zip(inner, terms, strict=True))
    if any(len(found) != 1 for found in inner):
        raise ConditionError(f"{text!r} has alternatives, and a limit has one")
    asked = [one for (one,) in inner]
    present = any(_PRESENT.match(one) for one in asked)
    compared = [found for one in asked if not _PRESENT.match(one) for found in _compared(one, "all")]
    if any(sign == "!=" for sign, _ in compared):
        raise ConditionError(f"{text!r} leaves out one exact number, and a limit is a line")
    several = any(_EACH.match(one) for one in asked)
    return replace(_limits(compared, text), absent_passed=absent, absent_failed=present and not absent, several=several)


def _failure(text: str) -> Condition:
    found, absent, several = [], False, False
    for part in _split(_bare(text), "||"):
        terms = [_bare(one) for one in _split(_bare(part), "&&") if not _PRESENT.match(_bare(one))]
        if len(terms) == 1 and _ABSENT.match(terms[0]):
            absent = True
            continue
        if len(terms) != 1:
            raise ConditionError(f"{text!r} needs several things at once, and crossing one limit fails")
        compared = _compared(terms[0], "any")
        if len(compared) > 1:
            raise ConditionError(f"{text!r} asks for one exact number, and a limit is a line")
        found += [
            line for sign, value in compared for line in ([("<=", value), (">=", value)] if sign == "!=" else [(_NEGATED[sign], value)])
        ]
        several = several or _EACH.match(terms[0]) is not None
    return replace(_limits(found, text), absent_failed=absent, several=several)


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


def _compared(term: str, quantifier: str) -> list[tuple[str, float]]:
    """Signs and numbers that the result is compared with; two for an exact number, one for any but that."""
    plain, turned, each = _PLAIN.match(term), _TURNED.match(term), _EACH.match(term)
    if plain:
        cast, sign, value = plain[1], plain[2], float(plain[3])
    elif turned:
        cast, sign, value = turned[3], _MIRRORED[turned[2]], float(turned[1])
    elif each and each[1] == quantifier:
        cast, sign, value = "", each[2], float(each[3])
    else:
        raise ConditionError(f"the part {term!r} compares something else than the result with a number")
    if cast == _AS_INT:
        return _cut(term, sign, value)
    return [("<=", value), (">=", value)] if sign == "==" else [(sign, value)]


def _cut(term: str, sign: str, value: float) -> list[tuple[str, float]]:
    """`asInt` cuts the decimals off before it compares: 5.9 is at most 5. Raises `ConditionError`."""
    least = 0 if sign in ("<=", ">") else 1
    if value != int(value) or value < least or sign == "!=":
        raise ConditionError(f"the part {term!r} cuts decimals off, and around {value:g} no limit says the same")
    signs = {"<": [("<", 0)], "<=": [("<", 1)], ">": [(">=", 1)], ">=": [(">=", 0)], "==": [(">=", 0), ("<", 1)]}
    return [(sign, value + more) for sign, more in signs[sign]]


def _limits(compared: list[tuple[str, float]], text: str) -> Condition:
    limit: dict[str, float] = {}
    rounded = ""
    for sign, value in compared:
        key = {"<": "below", "<=": "max", ">": "min", ">=": "min"}[sign]
        if key in limit:
            raise ConditionError(f"{text!r} has two lines on the same side")
        # No limit is strict on this side; the next number is. Above 0 that would have 324 digits.
        least = (math.nextafter(value, math.inf) if value else _ABOVE_NOTHING) if sign == ">" else value
        limit[key] = int(least) if least == int(least) else least
        if sign == ">":
            rounded = f"more than {value:g} is at least {least}"
    if not limit:
        raise ConditionError(f"{text!r} compares nothing with a number")
    return Condition(limit, rounded=rounded)
