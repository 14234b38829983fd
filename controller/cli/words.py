"""Times and durations as people read them, and values out of JSON that anybody may have edited."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from controller.times import unix

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def span(seconds: float) -> str:
    """A duration in its two largest units: `45s`, `3m20s`, `2h5m`, `3d4h`."""
    rest = max(0, math.floor(seconds + 0.5))
    parts = []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"


def full_stop(sentence: object) -> str:
    """The sentence with one mark at its end, whatever it had; a question stays one."""
    text = str(sentence).rstrip(". ")
    return text if text.endswith(("?", "!", "…")) else f"{text}."


def clock(seconds: float) -> str:
    """Time of day in UTC."""
    try:
        return datetime.fromtimestamp(seconds, tz=UTC).strftime("%H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return "--:--:--"


def record(value: Any) -> Mapping[str, Any]:
    """The value where it is a JSON object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def rows(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a JSON array."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """The text, "" where there is none."""
    return value if isinstance(value, str) else ""


def number(value: Any, default: float = 0.0) -> float:
    """The finite number, else the default."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else default


def whole(value: Any, default: int = 0) -> int:
    """The whole number, else the default."""
    return int(number(value, default))


def at_home(status: Mapping[str, Any]) -> bool:
    """Whether a release has succeeded by `finish: home`: green's weight is 0 then, because the original serves with the new image."""
    return status.get("phase") == "Succeeded" and number(status.get("returnedAt")) > 0


def created_at(obj: Mapping[str, Any]) -> float:
    """Unix seconds of an object's creation, 0 where it is not told."""
    try:
        return unix(text(record(obj.get("metadata")).get("creationTimestamp")))
    except ValueError:
        return 0.0
