"""JSON merge patch (RFC 7386) and JSON patch (RFC 6902) over immutable objects.

Neither changes its input: new dicts and lists are built along the changed path, the rest is shared.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from controller.simulator.apiserver.errors import ApiError


def merge(target: Any, patch: dict[str, Any]) -> Any:
    """The target with a merge patch applied; the very same object where nothing changed."""
    base = target if isinstance(target, dict) else {}
    merged: dict[str, Any] | None = None
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
    if not isinstance(operation, Mapping) or not all(isinstance(operation.get(word, ""), str) for word in ("op", "path", "from")):
        raise ApiError(400, f"error decoding patch: {operation!r} is not an operation")
    try:
        return _OPERATIONS[operation["op"]](document, _split(operation["path"]), operation)
    except LookupError as wrong:
        raise ApiError(422, f"the server rejected our request due to an error in our request: {operation!r} does not apply") from wrong


def _split(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")] if pointer else []


def _place(container: Any, part: str, *, beyond: int = 0) -> Any:
    """The key or index that a step names; LookupError for what is no container, and for an index that it has not."""
    if isinstance(container, dict):
        return part
    if not isinstance(container, (list, tuple)) or not part.isdigit() or int(part) >= len(container) + beyond:
        raise LookupError(part)
    return int(part)


def _read(document: Any, path: Sequence[str]) -> Any:
    for part in path:
        document = document[_place(document, part)]
    return document


def _changed(document: Any, path: Sequence[str], leaf: Callable[[Any, str], None]) -> Any:
    """The document with the container of the last step replaced by what `leaf` makes of its copy; LookupError for the document itself."""
    if not isinstance(document, (dict, list, tuple)):
        raise LookupError(path[0])  # noqa: TRY004 - told as any step that leads nowhere
    copy: Any = dict(document) if isinstance(document, dict) else list(document)
    if len(path) == 1:
        leaf(copy, path[0])
    else:
        at = _place(copy, path[0])
        copy[at] = _changed(copy[at], path[1:], leaf)
    return copy


def _added(document: Any, path: Sequence[str], value: Any) -> Any:
    def put(container: Any, part: str) -> None:
        if isinstance(container, dict):
            container[part] = value
        else:
            container.insert(len(container) if part == "-" else _place(container, part, beyond=1), value)

    return _changed(document, path, put)


def _removed(document: Any, path: Sequence[str]) -> Any:
    def drop(container: Any, part: str) -> None:
        del container[_place(container, part)]

    return _changed(document, path, drop)


def _replaced(document: Any, path: Sequence[str], value: Any) -> Any:
    def put(container: Any, part: str) -> None:
        # The server's own library sets a field that is absent, other than RFC 6902 says.
        container[_place(container, part)] = value

    return _changed(document, path, put) if path else value


def _tested(document: Any, path: Sequence[str], wanted: Any) -> Any:
    container = _read(document, path[:-1])
    # A field that is absent counts as null: that is how the server's own library reads it.
    found = container.get(path[-1]) if path and isinstance(container, dict) else _read(document, path)
    if found != wanted or isinstance(found, bool) is not isinstance(wanted, bool):
        raise LookupError(found)
    return document


def _moved(document: Any, path: Sequence[str], source: Sequence[str]) -> Any:
    return _added(_removed(document, source), path, _read(document, source))


_OPERATIONS: dict[str, Callable[[Any, Sequence[str], Any], Any]] = {
    "add": lambda document, path, operation: _added(document, path, operation.get("value")),
    "remove": lambda document, path, _operation: _removed(document, path),
    "replace": lambda document, path, operation: _replaced(document, path, operation.get("value")),
    "test": lambda document, path, operation: _tested(document, path, operation.get("value")),
    "move": lambda document, path, operation: _moved(document, path, _split(operation["from"])),
    "copy": lambda document, path, operation: _added(document, path, _read(document, _split(operation["from"]))),
}
