"""Strategic merge patch for built-in kinds: a merge patch whose lists of named things merge by their keys.

Directives: `$patch: delete` and `$patch: replace` in an object, `$retainKeys`, `$setElementOrder/...` and
`$deleteFromPrimitiveList/...`.
"""

from typing import Any

from controller.simulator.apiserver.errors import ApiError
from controller.simulator.apiserver.shapes import ATOMIC, SET, item_key, list_keys

Key = tuple[Any, ...]


def merge(target: Any, patch: Any) -> Any:
    """The target with the patch applied; the same object where nothing changed."""
    merged = _merge_object(target, patch)
    return target if merged == target else merged


def _merge_object(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    if "$patch" in patch:
        return _directed(patch)
    result = dict(target)
    if "$retainKeys" in patch:
        result = {key: value for key, value in result.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        directive, _, field = key.partition("/")
        if directive == "$deleteFromPrimitiveList":
            result[field] = [item for item in result.get(field, ()) if item not in value]
        elif directive == "$setElementOrder" and field in result:
            result[field] = _merge_list(field, result[field], [], value)
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            had = result.get(key)
            result[key] = _merge_object(had if isinstance(had, dict) else {}, value)
        elif isinstance(value, list):
            result[key] = _merge_list(key, result.get(key, []), value, patch.get(f"$setElementOrder/{key}") or [])
        else:
            result[key] = value
    return result


def _directed(patch: dict[str, Any]) -> dict[str, Any]:
    """What a patch makes of an object where it says what is to become of it."""
    match patch["$patch"]:
        case "replace":
            return {key: value for key, value in patch.items() if key != "$patch"}
        case "delete":
            return {}
        case odd:
            raise ApiError(500, f"unknown patch type found: {odd}", reason="")


def _merge_list(field: str, stored: list[Any], patch: list[Any], order: list[Any]) -> list[Any]:
    keys = list_keys(field, stored or patch)
    if keys == ATOMIC:
        return patch
    if keys != SET and any(item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if "$patch" not in item]
    merged = {_identity(item, keys): item for item in stored}
    for item in patch:
        key = _identity(item, keys)
        if keys == SET:
            merged[key] = item
        elif item.get("$patch") == "delete":
            merged.pop(key, None)
        else:
            merged[key] = _merge_object(merged.get(key, {}), item)
    place = {_identity(item, keys): at for at, item in enumerate(stored)}
    named = [key for key in (_identity(item, keys) for item in order or patch) if key in merged]
    rest = [key for key in merged if key not in named]
    return [merged[key] for key in _ordered(rest, named, place)]


def _identity(item: Any, keys: tuple[str, ...]) -> Key:
    """What tells an item from the others: of a set the item itself, of named things the first of their keys."""
    return (item,) if keys == SET else item_key(item, keys[:1])


def _ordered(rest: list[Key], named: list[Key], place: dict[Key, int]) -> list[Key]:
    """What the patch names in its order, what only the server has before the first named item that it preceded."""
    found: list[Key] = []
    while rest and named:
        if named[0] in place and place[rest[0]] < place[named[0]]:
            found.append(rest.pop(0))
        else:
            found.append(named.pop(0))
    return found + rest + named
