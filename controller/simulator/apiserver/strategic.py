"""Strategic merge patch for built-in kinds: a merge patch whose lists of named things merge by their keys.

Directives: `$patch: delete` and `$patch: replace` in an object, `$retainKeys`, `$setElementOrder/...` and
`$deleteFromPrimitiveList/...`.
"""

from typing import Any

from controller.simulator.apiserver.shapes import ATOMIC, SET, item_key, list_keys

Key = tuple[Any, ...]


def merge(target: Any, patch: Any) -> Any:
    """The target with the patch applied; the same object where nothing changed."""
    merged = _merge_object(target if isinstance(target, dict) else {}, patch)
    return target if merged == target else merged


def _merge_object(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    result = dict(target)
    if "$retainKeys" in patch:
        result = {key: value for key, value in result.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.partition("/")[2]
            result[field] = [item for item in result.get(field) or [] if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            had = result.get(key)
            result[key] = _merge_object(had if isinstance(had, dict) else {}, value)
        elif isinstance(value, list):
            result[key] = _merge_list(key, result.get(key) or [], value, patch.get(f"$setElementOrder/{key}") or [])
        else:
            result[key] = value
    return result


def _merge_list(field: str, stored: list[Any], patch: list[Any], order: list[Any]) -> list[Any]:
    keys = list_keys(field, stored or patch)
    if keys == ATOMIC:
        return patch
    if keys == SET:
        return [*stored, *(item for item in patch if item not in stored)]
    if any(item.get("$patch") == "replace" and len(item) == 1 for item in patch):
        return [item for item in patch if "$patch" not in item]
    merged = {item_key(item, keys[:1]): item for item in stored}
    for item in patch:
        key = item_key(item, keys[:1])
        if item.get("$patch") == "delete":
            merged.pop(key, None)
        else:
            merged[key] = _merge_object(merged.get(key, {}), item)
    place = {item_key(item, keys[:1]): at for at, item in enumerate(stored)}
    named = [key for key in (item_key(item, keys[:1]) for item in order or patch) if key in merged]
    rest = [key for key in merged if key not in named]
    return [merged[key] for key in _ordered(rest, named, place)]


def _ordered(rest: list[Key], named: list[Key], place: dict[Key, int]) -> list[Key]:
    """What the patch names in its order, what only the server has before the first named item that it preceded."""
    found: list[Key] = []
    while rest and named:
        if named[0] in place and rest[0] in place and place[rest[0]] < place[named[0]]:
            found.append(rest.pop(0))
        else:
            found.append(named.pop(0))
    return found + rest + named
