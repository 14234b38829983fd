"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902) over immutable objects.

Neither changes its input: new dicts and lists are built along the changed path, the rest is shared.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from controller.simulator.apiserver.errors import ApiError


def merge(target: Any, patch: Any) -> Any:
    """The target with a merge patch applied; the very same object where nothing changed."""
    if not isinstance(patch, dict):
        return patch
    base = target if isinstance(target, dict) else {}
    merged: dict[str, Any] | None = None if base is target else {}
    for key, value in patch.items():
        if value is None:
            if key in base:
                merged = dict(base) if merged is None else merged
                merged.pop(key, None)
            continue
        had = base.get(key)
        new = merge(had, value) if isinstance(value, dict) else value
        if isinstance(value, list) and b"null" in orjson.dumps(value):  # hardly ever, and this is the quickest way to know
            new = _without_nulls(value)
        if key in base and (new is had or (type(new) is type(had) and new == had)):
            continue
        merged = dict(base) if merged is None else merged
        merged[key] = new
    return base if merged is None else merged


def _without_nulls(items: list[Any]) -> list[Any]:
    """Objects in a list have no nulls either; those that stand in the list itself stay."""
    return [merge({}, one) if isinstance(one, dict) else _without_nulls(one) if isinstance(one, list) else one for one in items]


def json_patch(document: Any, operations: Any) -> Any:
    """The document after all operations; 422 for a failing test or a missing path, 400 for what is no JSON patch."""
    if not isinstance(operations, (list, tuple)):
        raise ApiError(400, "error decoding patch: a JSON patch is a list of operations")
    for operation in operations:
        document = _apply(document, operation)
    return document


def _apply(document: Any, operation: Any) -> Any:
    if not isinstance(operation, Mapping):
        raise ApiError(400, f"error decoding patch: {operation!r} is not an operation")
    try:
        step, path = _OPERATIONS[operation["op"]], _split(operation["path"])
        return step(document, path, operation)
    except (KeyError, TypeError, AttributeError) as unreadable:
        raise ApiError(422, f"the server rejected our request due to an error in our request: {operation!r}") from unreadable


def _split(pointer: str) -> list[str]:
    if not pointer:
        return []
    parts = pointer[1:].split("/")
    if "~" in pointer:
        return [part.replace("~1", "/").replace("~0", "~") for part in parts]
    return parts


def _missing(path: Sequence[str], operation: Any) -> ApiError:
    return ApiError(
        422,
        f"the server rejected our request due to an error in our request: {operation.get('op')} operation does not apply: "
        f"doc is missing path: /{'/'.join(path)}",
    )


def _index(part: str, length: int, path: Sequence[str], operation: Any) -> int:
    if not part.isdigit() or int(part) >= length:
        raise _missing(path, operation)
    return int(part)


def _read(document: Any, path: Sequence[str], operation: Any) -> Any:
    for part in path:
        if isinstance(document, dict):
            if part not in document:
                raise _missing(path, operation)
            document = document[part]
        elif isinstance(document, (list, tuple)):
            document = document[_index(part, len(document), path, operation)]
        else:
            raise _missing(path, operation)
    return document


def _changed(document: Any, path: Sequence[str], operation: Any, leaf: Callable[[Any, str], Any], depth: int = 0) -> Any:
    """The document with the container of the last step replaced by what `leaf` makes of its copy."""
    if not isinstance(document, (dict, list, tuple)):
        raise _missing(path, operation)
    part = path[depth]
    copy: Any = dict(document) if isinstance(document, dict) else list(document)
    if depth == len(path) - 1:
        leaf(copy, part)
        return copy
    if isinstance(copy, dict):
        if part not in copy:
            raise _missing(path, operation)
        copy[part] = _changed(copy[part], path, operation, leaf, depth + 1)
    else:
        at = _index(part, len(copy), path, operation)
        copy[at] = _changed(copy[at], path, operation, leaf, depth + 1)
    return copy


def _add(document: Any, path: Sequence[str], operation: Any) -> Any:
    value = operation.get("value")
    if not path:
        return value

    def put(container: Any, part: str) -> None:
        if isinstance(container, dict):
            container[part] = value
        elif part == "-":
            container.append(value)
        else:
            container.insert(_index(part, len(container) + 1, path, operation), value)

    return _changed(document, path, operation, put)


def _remove(document: Any, path: Sequence[str], operation: Any) -> Any:
    def drop(container: Any, part: str) -> None:
        if isinstance(container, dict):
            if part not in container:
                raise _missing(path, operation)
            del container[part]
        else:
            del container[_index(part, len(container), path, operation)]

    if not path:
        raise _missing(path, operation)
    return _changed(document, path, operation, drop)


def _replace(document: Any, path: Sequence[str], operation: Any) -> Any:
    value = operation.get("value")
    if not path:
        return value

    def put(container: Any, part: str) -> None:
        if isinstance(container, dict):
            # The server's own library sets a field that is absent, other than RFC 6902 says.
            container[part] = value
        else:
            container[_index(part, len(container), path, operation)] = value

    return _changed(document, path, operation, put)


def _test(document: Any, path: Sequence[str], operation: Any) -> Any:
    wanted, container = operation.get("value"), _read(document, path[:-1], operation)
    if wanted is None and isinstance(container, dict) and path and path[-1] not in container:
        return document  # that is how the server's own library reads a test of null
    found = _read(document, path, operation)
    if found != wanted or isinstance(found, bool) is not isinstance(wanted, bool):
        raise ApiError(
            422,
            f"the server rejected our request due to an error in our request: testing value /{'/'.join(path)} failed",
        )
    return document


def _move(document: Any, path: Sequence[str], operation: Any) -> Any:
    source = _split(operation["from"])
    value = _read(document, source, operation)
    return _add(_remove(document, source, operation), path, {**operation, "value": value})


def _copy(document: Any, path: Sequence[str], operation: Any) -> Any:
    return _add(document, path, {**operation, "value": _read(document, _split(operation["from"]), operation)})


_OPERATIONS: dict[str, Callable[[Any, Sequence[str], Any], Any]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "test": _test,
    "move": _move,
    "copy": _copy,
}
