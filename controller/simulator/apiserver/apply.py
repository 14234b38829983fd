"""Server-side apply: what a manager sends is merged by ownership, what it no longer sends is taken away."""

from collections.abc import Callable, Mapping
from typing import Any

from controller.ports import Obj
from controller.simulator.apiserver import rules
from controller.simulator.apiserver.options import Options
from controller.simulator.apiserver.ownership import Ledger, Manager, Path, paths_of, step_of
from controller.simulator.apiserver.shapes import ATOMIC, SET, Shape, item_key
from controller.simulator.apiserver.storage import Served

_ABSENT = object()


def apply_candidate(ledger: Ledger, served: Served, old: Obj, body: Obj, options: Options) -> tuple[Obj, Callable[[Obj], None]]:
    """The candidate of an apply to an existing object, and what records the new owners once it is stored. 409 on conflicts."""
    resource = served.resource
    if options.subresource == "status":
        body = {key: value for key, value in body.items() if key in ("apiVersion", "kind", "metadata", "status")}
    elif resource.status:
        body = {key: value for key, value in body.items() if key != "status"}
    shape = Shape(resource.schema)
    applied = frozenset(paths_of(body, shape))
    owners = ledger.owners(served, old)
    me = Manager(options.field_manager, "Apply", resource.kind.api_version, options.subresource)
    conflicts = [
        (manager, path)
        for manager, owned in owners.fields.items()
        if manager != me
        for path in sorted(owned & applied)
        if _value(old, path) is not _ABSENT and _value(old, path) != _value(body, path)
    ]
    rules.no_foreign_owner([(str(manager), shown(path)) for manager, path in conflicts], force=options.force)
    taken = frozenset(path for _, path in conflicts)
    others = frozenset(path for manager, owned in owners.fields.items() if manager != me for path in owned - taken)
    # A parent that is no longer applied at all goes as a whole, with what defaulting put there, unless others own a part of it.
    dropped = rules.fields_to_drop(_with_parents(owners.fields.get(me, frozenset())), _with_parents(applied), _with_parents(others))
    candidate = _merged(old, body, shape)
    for path in sorted(dropped, key=len, reverse=True):
        candidate = _without(candidate, path)

    def settle(stored: Obj) -> None:
        if ledger.owners(served, stored).fields.get(me) == applied and not taken:
            return
        for manager in list(owners.fields):
            if manager != me and owners.fields[manager] & (taken | dropped):
                owners.give(manager, owners.fields[manager] - taken - dropped, owners.times[manager])
        owners.give(me, applied, ledger.clock())

    return (old if candidate == old else candidate), settle


def _with_parents(paths: frozenset[Path]) -> frozenset[Path]:
    return frozenset(path[:length] for path in paths for length in range(1, len(path) + 1))


def shown(path: Path) -> str:
    """A path as messages show it: `.spec.containers[name="app"].image`."""
    text = ""
    for step in path:
        if step.startswith("f:"):
            text += f".{step[2:]}"
        elif step.startswith("k:"):
            inner = ",".join(part.replace('":', "=", 1).lstrip('"') for part in step[3:-1].split(","))
            text += f"[{inner}]"
        else:
            text += f"[={step[2:]}]"
    return text


def _find(items: Any, step: str) -> int | None:
    if step.startswith("v:"):
        return next((i for i, item in enumerate(items) if step_of(item, SET) == step), None)
    keys = _keys_of(step)
    return next((i for i, item in enumerate(items) if isinstance(item, Mapping) and step_of(item, keys) == step), None)


def _keys_of(step: str) -> tuple[str, ...]:
    return tuple(part.split('":')[0].strip('"') for part in step[3:-1].split(","))


def _value(obj: Any, path: Path) -> Any:
    """The value at a path; of an item that is identified by its keys only that it is there."""
    for step in path:
        if step.startswith("f:"):
            if not isinstance(obj, Mapping) or step[2:] not in obj:
                return _ABSENT
            obj = obj[step[2:]]
        else:
            at = _find(obj, step) if isinstance(obj, (list, tuple)) else None
            if at is None:
                return _ABSENT
            obj = obj[at]
    return True if path and path[-1].startswith("k:") else obj


def _without(obj: Any, path: Path) -> Any:
    """The object without what stands at a path; unchanged where nothing does. An item goes only once its other fields are gone."""
    step, rest = path[0], path[1:]
    if step.startswith("f:"):
        return _without_field(obj, step[2:], rest)
    at = _find(obj, step) if isinstance(obj, (list, tuple)) else None
    is_key = step.startswith("k:") and bool(rest) and rest[0].startswith("f:") and rest[0][2:] in _keys_of(step)
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
    if isinstance(old, Mapping) and isinstance(new, Mapping):
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
