"""Strategic merge patch for built-in kinds: a merge patch whose lists of named things merge by their keys.

Directives: `$patch: delete` and `$patch: replace` in an object, `$retainKeys`, `$setElementOrder/...` (order is kept as
stored, new items are appended) and `$deleteFromPrimitiveList/...`.
"""

from typing import Any

from controller.simulator.apiserver.shapes import ATOMIC, SET, item_key, list_keys


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
            result[key] = _merge_list(key, result.get(key) or [], value)
        else:
            result[key] = value
    return result


def _merge_list(field: str, stored: list[Any], patch: list[Any]) -> list[Any]:
    keys = list_keys(field, stored or patch)
    if keys == ATOMIC:
        return patch
    if keys == SET:
        return [*stored, *(item for item in patch if item not in stored)]
    if any(item.get("$patch") == "replace" and len(item) == 1 for item in patch):
        return [item for item in patch if "$patch" not in item]
    result = list(stored)
    for item in patch:
        key = item_key(item, keys[:1])
        at = next((i for i, had in enumerate(result) if item_key(had, keys[:1]) == key), None)
        if item.get("$patch") == "delete":
            result = result if at is None else [*result[:at], *result[at + 1 :]]
        elif at is None:
            result.append(_merge_object({}, item))
        else:
            result[at] = _merge_object(result[at], item)
    return result
