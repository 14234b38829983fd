"""Server-side apply: what a manager sends is merged by ownership, what it no longer sends is taken away."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from controller.ports import Obj
from controller.simulator.apiserver import rules
from controller.simulator.apiserver.options import Options
from controller.simulator.apiserver.ownership import METADATA, Ledger, Manager, Path, changes, paths_of, step_of
from controller.simulator.apiserver.shapes import ATOMIC, SET, Shape, item_key
from controller.simulator.apiserver.storage import Served


def apply_candidate(ledger: Ledger, served: Served, old: Obj, body: Obj, options: Options) -> tuple[Obj, Callable[[], None]]:
    """The candidate of an apply to an existing object, and what records the new owners once it is stored. 409 on conflicts."""
    shape = Shape(served.resource.schema)
    applied = frozenset(paths_of(body, shape))
    owners = ledger.owners(served, old)
    me = Manager(options.field_manager, "Apply", served.resource.kind.api_version, options.subresource)
    others = frozenset(path for manager, owned in owners.fields.items() if manager != me for path in owned)
    # A parent that is no longer applied at all goes as a whole, with what defaulting put there, unless others own a part of it.
    dropped = rules.fields_to_drop(_with_parents(owners.fields.get(me, frozenset())), _with_parents(applied), _with_parents(others))
    candidate = _merged(old, body, shape)
    for path in dropped:
        candidate = _without(candidate, path)
    changed, gone = changes(old, candidate, shape)
    conflicts = [
        (str(manager), shown(path)) for manager, owned in owners.fields.items() if manager != me for path in sorted(owned & changed)
    ]
    rules.no_foreign_owner(conflicts, force=options.force)

    def settle() -> None:
        for manager in list(owners.fields):
            if manager != me:
                owners.give(manager, owners.fields[manager] - changed - gone, owners.times[manager])
        if owners.fields.get(me) != applied:
            owners.give(me, applied, ledger.clock())

    return candidate, settle


def _with_parents(paths: frozenset[Path]) -> frozenset[Path]:
    """The paths with those above them, but for the metadata, which no object is without."""
    return frozenset(path[:length] for path in paths for length in range(1, len(path) + 1)) - {METADATA}


def shown(path: Path) -> str:
    """A path as messages show it: `.spec.containers[name="app"].image`."""
    return "".join(f".{step[2:]}" if step.startswith("f:") else _shown_keys(step) for step in path)


def _shown_keys(step: str) -> str:
    return f"[{','.join(f'{key}={json.dumps(value)}' for key, value in json.loads(step[2:]).items())}]"


def _find(items: Any, step: str) -> int | None:
    keys = _keys_of(step)
    return next((i for i, item in enumerate(items) if step_of(item, keys) == step), None)


def _keys_of(step: str) -> tuple[str, ...]:
    return SET if step.startswith("v:") else tuple(json.loads(step[2:]))


def _without(obj: Any, path: Path) -> Any:
    """The object without what stands at a path; unchanged where nothing does. An item goes only once its other fields are gone."""
    step, rest = path[0], path[1:]
    if step.startswith("f:"):
        return _without_field(obj, step[2:], rest)
    at = _find(obj, step) if isinstance(obj, (list, tuple)) else None
    is_key = bool(rest) and rest[0][2:] in _keys_of(step)
    if at is None or is_key:
        return obj
    if not rest:
        return [item for i, item in enumerate(obj) if i != at]
    return [*obj[:at], _without(obj[at], rest), *obj[at + 1 :]]


def _without_field(obj: Any, key: str, rest: Path) -> Any:
    if not isinstance(obj, Mapping) or key not in obj:
        return obj
    if not rest:
        return {name: value for name, value in obj.items() if name != key}
    return {**obj, key: _without(obj[key], rest)}


def _merged(old: Any, new: Any, shape: Shape) -> Any:
    if isinstance(old, Mapping) and isinstance(new, Mapping) and not shape.atomic:
        result = dict(old)
        for key, value in new.items():
            result[key] = _merged(old[key], value, shape.child(key)) if key in old else value
        return result
    if isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)):
        keys = shape.keys(new or old)
        if keys == SET:
            return [*old, *(item for item in new if item not in old)]
        if keys != ATOMIC:
            return _merged_items(old, new, shape, keys)
    return new


def _merged_items(old: Any, new: Any, shape: Shape, keys: tuple[str, ...]) -> list[Any]:
    result = list(old)
    at = {item_key(item, keys): i for i, item in enumerate(old)}
    for item in new:
        i = at.get(item_key(item, keys))
        if i is None:
            result.append(item)
        else:
            result[i] = _merged(result[i], item, shape.item())
    return result
