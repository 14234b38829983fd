"""The functions and methods that rules may call, by name; each takes already evaluated arguments."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from controller.simulator.apiserver.cel.parser import CelError

_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Optional:
    """A value that may be absent (`self.?field`)."""

    present: bool
    value: Any = None


def same(left: Any, right: Any) -> bool:
    """CEL equality: true is not 1, everything else as JSON compares."""
    if isinstance(left, bool) is not isinstance(right, bool):
        return False
    return bool(left == right)


@lru_cache(maxsize=512)
def _parse_duration(text: str) -> timedelta:
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    parts = _DURATION_PART.findall(rest)
    if (not parts or "".join(number + unit for number, unit in parts) != rest) and rest != "0":
        raise CelError(f"{text!r} is not a duration")
    return sign * timedelta(seconds=sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts))


def duration(value: Any) -> timedelta:
    """A Go duration such as `1h30m`."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise CelError(f"{value!r} is not a duration")
    return _parse_duration(value)


def timestamp(value: Any) -> datetime:
    """An RFC 3339 time; one without a zone is taken as UTC."""
    if isinstance(value, datetime):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as wrong:
        raise CelError(f"{value!r} is not a timestamp") from wrong
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def size(value: Any) -> int:
    """Length of a string (in code points), list or map."""
    if isinstance(value, (str, list, tuple, dict)):
        return len(value)
    raise CelError(f"no such overload: size({type(value).__name__})")


def to_int(value: Any) -> int:
    """`int()`: of a number (cut toward zero), a numeral or a timestamp."""
    if isinstance(value, datetime):
        return int(value.timestamp())
    try:
        return int(value)
    except (TypeError, ValueError) as wrong:
        raise CelError(f"{value!r} is not an integer") from wrong


def to_double(value: Any) -> float:
    """`double()`: of a number or a numeral."""
    try:
        return float(value)
    except (TypeError, ValueError) as wrong:
        raise CelError(f"{value!r} is not a number") from wrong


def to_string(value: Any) -> str:
    """`string()`: as JSON prints scalars."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    return value if isinstance(value, str) else str(value)


def _type_name(value: Any) -> str:
    names = {bool: "bool", int: "int", float: "double", str: "string", list: "list", dict: "map", type(None): "null_type"}
    return names.get(type(value), type(value).__name__)


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as wrong:
        raise CelError(f"{text!r} is not a regular expression") from wrong


def _matches(value: str, pattern: str) -> bool:
    return _pattern(pattern).search(value) is not None


def _find(value: str, pattern: str) -> str:
    found = _pattern(pattern).search(value)
    return found[0] if found else ""


def _is_sorted(items: list[Any]) -> bool:
    return all(items[i] <= items[i + 1] for i in range(len(items) - 1))


def _last_index_of(container: Any, wanted: Any) -> int:
    if isinstance(container, str):
        return container.rfind(wanted)
    return next((i for i in range(len(container) - 1, -1, -1) if same(container[i], wanted)), -1)


def _index_of(container: Any, wanted: Any) -> int:
    if isinstance(container, str):
        return container.find(wanted)
    return next((i for i, item in enumerate(container) if same(item, wanted)), -1)


def _nonempty(items: list[Any]) -> list[Any]:
    if not items:
        raise CelError("min and max of an empty list")
    return items


def _or_value(maybe: Optional, other: Any) -> Any:
    return maybe.value if maybe.present else other


def _value(maybe: Optional) -> Any:
    if not maybe.present:
        raise CelError("optional.none() has no value")
    return maybe.value


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "size": size,
    "int": to_int,
    "uint": to_int,
    "double": to_double,
    "string": to_string,
    "bool": lambda value: value if isinstance(value, bool) else value == "true",
    "duration": duration,
    "timestamp": timestamp,
    "type": _type_name,
    "dyn": lambda value: value,
    "matches": _matches,
}
"""Called as `f(x)`."""

METHODS: dict[str, Callable[..., Any]] = {
    "size": size,
    "matches": _matches,
    "find": _find,
    "findAll": lambda value, pattern: [m[0] for m in _pattern(pattern).finditer(value)],
    "startsWith": lambda value, part: value.startswith(part),
    "endsWith": lambda value, part: value.endswith(part),
    "contains": lambda value, part: part in value,
    "lowerAscii": lambda value: value.lower(),
    "upperAscii": lambda value: value.upper(),
    "trim": lambda value: value.strip(),
    "split": lambda value, separator, limit=-1: value.split(separator, limit - 1 if limit > 0 else -1),
    "join": lambda items, separator="": separator.join(items),
    "replace": lambda value, old, new, limit=-1: value.replace(old, new, limit),
    "substring": lambda value, start, end=None: value[start:end],
    "charAt": lambda value, at: value[at : at + 1],
    "indexOf": _index_of,
    "lastIndexOf": _last_index_of,
    "sum": sum,
    "min": lambda items: min(_nonempty(items)),
    "max": lambda items: max(_nonempty(items)),
    "isSorted": _is_sorted,
    "orValue": _or_value,
    "or": lambda maybe, other: maybe if maybe.present else other,
    "hasValue": lambda maybe: maybe.present,
    "value": _value,
    "getHours": lambda value: int(value.total_seconds() // 3600) if isinstance(value, timedelta) else value.hour,
    "getMinutes": lambda value: int(value.total_seconds() // 60) if isinstance(value, timedelta) else value.minute,
    "getSeconds": lambda value: int(value.total_seconds()) if isinstance(value, timedelta) else value.second,
    "getMilliseconds": lambda value: int(value.total_seconds() * 1000) if isinstance(value, timedelta) else value.microsecond // 1000,
    "getFullYear": lambda value: value.year,
}
"""Called as `x.f(...)`."""

OPTIONALS: dict[str, Callable[..., Any]] = {
    "of": lambda value: Optional(present=True, value=value),
    "none": lambda: Optional(present=False),
}
"""Called as `optional.f(...)`."""
