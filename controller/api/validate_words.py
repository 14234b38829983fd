"""pydantic's errors in the words of the house: what was found, what was expected, what to do."""

import re
import types
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from controller.api.base import DOTTED_PATTERN, shown
from controller.api.validate_yaml import Document, Finding, Path, dotted

_KINDS = {
    "string_type": "a text", "string_sub_type": "a text", "int_type": "a whole number", "int_from_float": "a whole number",
    "int_parsing": "a whole number", "float_type": "a number", "float_parsing": "a number", "bool_type": "true or false",
    "bool_parsing": "true or false", "list_type": "a list", "dict_type": "fields with values", "model_type": "fields with values",
    "model_attributes_type": "fields with values", "finite_number": "a finite number",
}  # fmt: skip
_BOUNDS = {
    "greater_than_equal": ("ge", "a number of at least {}"), "less_than_equal": ("le", "a number of at most {}"),
    "greater_than": ("gt", "a number above {}"), "less_than": ("lt", "a number below {}"),
    "too_short": ("min_length", "at least {} of them"), "too_long": ("max_length", "at most {} of them"),
    "string_too_short": ("min_length", "at least {} characters"), "string_too_long": ("max_length", "at most {} characters"),
    "enum": ("expected", "{}"), "literal_error": ("expected", "{}"),
}  # fmt: skip
_OURS = re.compile(r"^(?:Value error, )?(?P<place>\w+: )?(?:\S+ )?found (?P<found>.*?), expected (?P<expected>.*)$", re.DOTALL)
_NAME_PATTERN = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


def translate(error: ErrorDetails, root: type[BaseModel], document: Document, top: Path = ()) -> Finding:
    """One error of pydantic as a finding. `top` is where the model stands in the document."""
    loc = _place(error)
    path = (*top, *loc)
    found, expected, hint = _words(error, root, loc)
    return Finding("error", document.place(path), document.line(path), found, expected, hint, document.number)


def in_words(error: ValidationError, root: type[BaseModel]) -> str:
    """All errors in one line, for files that have no document to point into: `workers: found 0, expected a number of at least 1; ...`."""
    faults = []
    for one in error.errors():
        loc = _place(one)
        found, expected, _ = _words(one, root, loc)
        faults.append(f"{dotted(loc)}{': ' if loc else ''}found {found}, expected {expected}")
    return "; ".join(faults)


def _words(error: ErrorDetails, root: type[BaseModel], loc: Path) -> tuple[str, str, str]:
    kind, value, context = error["type"], error.get("input"), error.get("ctx") or {}
    if kind == "extra_forbidden":
        return _unknown(root, loc)
    if kind == "missing":
        what = description(root, loc)
        return "nothing", f"the field {loc[-1]!r}", what
    if kind in _KINDS:
        return shown(value), _KINDS[kind], description(root, loc)
    if kind in _BOUNDS:
        word, sentence = _BOUNDS[kind]
        bound = context.get(word, "?")
        choices = re.findall(r"'([^']*)'", bound) if isinstance(bound, str) else []
        close = get_close_matches(value, choices, n=1, cutoff=0.6) if isinstance(value, str) else []
        hint = f"did you mean {close[0]!r}?" if close else description(root, loc)
        size = f"{len(value)} of them" if kind in ("too_short", "too_long") and isinstance(value, (list, dict)) else shown(value)
        return size, sentence.format(f"{bound:g}" if isinstance(bound, float) else bound), hint
    if kind == "string_pattern_mismatch":
        return shown(value), _pattern(str(context.get("pattern", ""))), description(root, loc)
    ours = _OURS.match(error["msg"])
    if ours:
        return ours["found"], ours["expected"], ""
    return shown(value), error["msg"].removeprefix("Value error, ").removeprefix("Input should be "), description(root, loc)


def _unknown(root: type[BaseModel], loc: Path) -> tuple[str, str, str]:
    """An unknown field, with the nearest known name."""
    parent = model_at(root, loc[:-1])
    names = [field.alias or name for name, field in parent.model_fields.items()] if parent else []
    name = str(loc[-1])
    bare = name.replace("_", "").replace("-", "").lower()
    close = get_close_matches(name, names, n=1, cutoff=0.6) or [one for one in names if one.lower() == bare]
    hint = f"did you mean {close[0]!r}?" if close else "remove it, or look it up in the plan reference"
    return f"the unknown field {shown(name)}", f"one of {', '.join(names)}", hint


def _pattern(pattern: str) -> str:
    if pattern == _NAME_PATTERN:
        return "a name of lower-case letters, digits and hyphens"
    if pattern == DOTTED_PATTERN:
        return "a name of lower-case letters, digits, hyphens and dots"
    return "a text that begins with /" if pattern == "^/" else f"a text like {pattern}"


def _place(error: ErrorDetails) -> Path:
    """Where the error is, in the document's own names. An unknown field is always a name of the document, whatever it looks like."""
    *above, last = error["loc"] or ("",)
    own = [part for part in above if not _is_internal(part)]
    keeps_last = error["type"] == "extra_forbidden" or (error["loc"] and not _is_internal(last))
    return (*own, last) if keeps_last else tuple(own)


def _is_internal(part: str | int) -> bool:
    """Parts of pydantic's path that are no fields: validators and union branches."""
    return isinstance(part, str) and ("[" in part or part in ("float", "int", "str"))


def model_at(root: type[BaseModel], loc: Path) -> type[BaseModel] | None:
    """The model that stands at a path."""
    kind: Any = root
    for part in loc:
        model = _model(kind)
        if isinstance(part, int) or model is None:
            kind = _item(kind)
            continue
        field = _field(model, part)
        if field is None:
            return None
        kind = field.annotation
    return _model(kind)


def description(root: type[BaseModel], loc: Path) -> str:
    """What a field is for, as a hint; empty where it is not known."""
    if not loc or isinstance(loc[-1], int):
        return ""
    parent = model_at(root, loc[:-1])
    field = _field(parent, loc[-1]) if parent else None
    text = (field.description or "") if field else ""
    is_word = not any(letter.isupper() for letter in text.partition(" ")[0][1:])  # HTTP and PromQL stay as they are
    return (text[:1].lower() if is_word else text[:1]) + text[1:].rstrip(".")


def _field(model: type[BaseModel], name: str) -> Any:
    return next((field for key, field in model.model_fields.items() if name in (key, field.alias)), None)


def _bare(kind: Any) -> Any:
    """Without Annotated and without `| None`."""
    while True:
        if get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        elif get_origin(kind) in (Union, types.UnionType):
            kind = next((arg for arg in get_args(kind) if arg is not type(None)), kind)
        else:
            return kind


def _item(kind: Any) -> Any:
    arguments = get_args(_bare(kind))
    return arguments[-1] if arguments else kind


def _model(kind: Any) -> type[BaseModel] | None:
    bare = _bare(kind)
    return bare if isinstance(bare, type) and issubclass(bare, BaseModel) else None
