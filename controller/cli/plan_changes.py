"""What an edit of a plan changed: path, old and new value, bounded. Pure.

Both sides are filled up with their defaults first, so that a default that is written out is no change. Lists whose
entries have a name are compared by name, stages by weight: one stage more in front moves nothing behind it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOST_LINES = 8
LONGEST_VALUE = 60
NOTHING = object()


def changes(old: Any, new: Any, *, path: str = "spec") -> Iterator[str]:
    """One line a difference: `spec.stages[25].window: 5m -> 10m`."""
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from changes(old.get(key, NOTHING), new.get(key, NOTHING), path=f"{path}.{key}")
    elif _keyed(old) and _keyed(new):
        before, after = _by_key(old), _by_key(new)
        for key in dict.fromkeys((*before, *after)):
            yield from changes(before.get(key, NOTHING), after.get(key, NOTHING), path=f"{path}[{key}]")
        if set(before) == set(after) and list(before) != list(after):
            yield f"{path}: {_value(list(before))} -> {_value(list(after))}"
    else:
        yield f"{path}: {_value(old)} -> {_value(new)}"


def bounded(old: Any, new: Any) -> list[str]:
    """At most `MOST_LINES` of them, then how many more there are."""
    every = list(changes(old, new))
    rest = len(every) - MOST_LINES
    return [*every[:MOST_LINES], *([f"and {rest} more"] if rest > 0 else [])]


def _key(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        return ""
    return str(entry.get("name") or entry.get("weight") or "")


def _keyed(value: Any) -> bool:
    """A list whose entries can be told apart by a name or a weight."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    keys = [_key(entry) for entry in value]
    return all(keys) and len(set(keys)) == len(keys)


def _by_key(value: Sequence[Any]) -> dict[str, Any]:
    return {_key(entry): entry for entry in value}


def _value(value: Any) -> str:
    """A value in few letters; what is absent and what is empty read alike."""
    if value is NOTHING or value is None or value in ("", [], {}):
        return "nothing"
    if isinstance(value, Mapping):
        told = ", ".join(f"{key}: {_value(one)}" for key, one in value.items() if one not in (None, "", [], {}))
        text = f"{{{told}}}"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    else:
        text = f"[{', '.join(map(_value, value))}]" if isinstance(value, list) else str(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
