"""Tables of fields out of the pydantic models: the plan, scenario and settings references are made of them.

Pure. Types, bounds and defaults are read off the JSON schema, so that a page cannot say what the model does not.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from controller.api.base import DOTTED_PATTERN, DURATION_PATTERN, format_duration

Schema = dict[str, Any]
NAME_PATTERN = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
PLAIN = {"string": "text", "boolean": "true or false", "integer": "whole number", "number": "number", "object": "mapping"}


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field as a page shows it."""

    model: str
    name: str
    kind: str
    default: str
    description: str


def sections(model: type[BaseModel], title: str = "", examples: Mapping[str, str] | None = None) -> str:
    """The model and every model below it, a heading and a table each; examples stand below the table of their model."""
    schema = model.model_json_schema(by_alias=True)
    defs: dict[str, Schema] = schema.get("$defs", {})
    parts = [_section(title or str(schema["title"]), schema, defs, (examples or {}).get(model.__name__, ""))]
    parts += [_section(name, defs[name], defs, (examples or {}).get(name, "")) for name in below(schema, defs)]
    return "\n".join(parts)


def below(schema: Schema, defs: dict[str, Schema]) -> list[str]:
    """Names of the models that a schema refers to, directly or not, in the order in which a reader meets them."""
    met: list[str] = []
    for node in schema.get("properties", {}).values():
        for name in referred(node):
            if "properties" not in defs[name]:
                continue  # an enumeration stands in the table itself
            for one in (name, *below(defs[name], defs)):
                if one not in met:
                    met.append(one)
    return met


def referred(node: Schema) -> Iterator[str]:
    """Names behind the `$ref`s of a node."""
    if "$ref" in node:
        yield str(node["$ref"]).rpartition("/")[2]
    for inner in (*node.get("anyOf", ()), *node.get("allOf", ()), *(node[key] for key in ("items", "additionalProperties") if key in node)):
        if isinstance(inner, dict):
            yield from referred(inner)


def rows(title: str, schema: Schema, defs: dict[str, Schema]) -> list[FieldRow]:
    """All fields of one model."""
    needed = schema.get("required", [])
    return [
        FieldRow(title, name, kind_of(node, defs), "required" if name in needed else default_of(node, defs), meaning_of(node, defs))
        for name, node in schema.get("properties", {}).items()
    ]


def meaning_of(node: Schema, defs: dict[str, Schema]) -> str:
    """The description; pydantic leaves it out where it is that of the model that the field refers to."""
    own = str(node.get("description", ""))
    return own or next((str(defs[name].get("description", "")) for name in referred(node)), "")


def kind_of(node: Schema, defs: dict[str, Schema]) -> str:
    """The type in words; a model is a link to its section."""
    options = [kind_of(option, defs) for option in node.get("anyOf", ()) if option.get("type") != "null"]
    if options:
        return " or ".join(dict.fromkeys(options))
    if "$ref" in node:
        name = str(node["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if "properties" in defs[name] else kind_of(defs[name], defs)
    if "enum" in node:
        return " or ".join(f"`{word}`" for word in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    if node.get("type") == "array":
        return f"list of {kind_of(node['items'], defs)}{_length(node)}"
    if isinstance(node.get("additionalProperties"), dict):
        return f"mapping of text to {kind_of(node['additionalProperties'], defs)}"
    if node.get("pattern") == DURATION_PATTERN:
        return "duration"
    if node.get("pattern") in {NAME_PATTERN, DOTTED_PATTERN}:
        return "name"
    return PLAIN.get(str(node.get("type")), "anything") + _bounds(node)


def _length(node: Schema) -> str:
    least, most = node.get("minItems"), node.get("maxItems")
    if least is None and most is None:
        return ""
    return f", exactly {most}" if least == most else f", {least or 0} to {most}"


def _bounds(node: Schema) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    if low is not None:
        return f", at least {low}"
    if "exclusiveMinimum" in node and "exclusiveMaximum" in node:
        return f", between {node['exclusiveMinimum']:g} and {node['exclusiveMaximum']:g}"
    if "exclusiveMinimum" in node:
        return f", above {node['exclusiveMinimum']:g}"
    return f", at most {node['maxLength']} characters" if "maxLength" in node else ""


def default_of(node: Schema, defs: dict[str, Schema]) -> str:
    """The default as it is written in YAML; "" where there is nothing to say."""
    value = node.get("default")
    if value in (None, "", [], {}):
        return ""
    if kind_of(node, defs) == "duration" and isinstance(value, int | float):
        return f"`{format_duration(float(value))}`"
    if isinstance(value, list | dict):
        return "see [defaults](defaults.md)"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _section(title: str, schema: Schema, defs: dict[str, Schema], example: str) -> str:
    words = str(schema.get("description", "")).strip().replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n\n")
    table = ["| field | type | default | meaning |", "|---|---|---|---|"]
    table += [f"| `{r.name}` | {cell(r.kind)} | {cell(r.default)} | {cell(r.description)} |" for r in rows(title, schema, defs)]
    shown = f"\n```yaml\n{example.strip()}\n```\n" if example else ""
    return f"### {title}\n\n{words}\n\n" + "\n".join(table) + "\n" + shown


def cell(text: str) -> str:
    """A text that stays within one cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")
