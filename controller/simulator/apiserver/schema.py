"""Structural schemas of custom resources: prune, default and validate in one walk along what changed.

A schema is compiled once. The walk gets the new and the stored value side by side and leaves every subtree alone
that is the very same object (or equal) in both: it was checked when it was stored. That is also how a real server
behaves since 1.30 (an old error that is not touched is tolerated), and what makes small patches cheap.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controller.simulator.apiserver.cel import CelError, Program, compile_rule
from controller.simulator.apiserver.cel.functions import Optional
from controller.simulator.apiserver.cel.parser import parse
from controller.simulator.apiserver.errors import Cause

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_JSON_NAMES: dict[type, str] = {
    dict: "object", list: "array", tuple: "array", str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"
}  # fmt: skip
_EMPTY: Mapping[str, Any] = {}
_LIMITS = ("maxLength", "minLength", "pattern", "format", "minimum", "maximum", "multipleOf")
_ROOT = ("apiVersion", "kind", "metadata")
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


@dataclass(slots=True)
class Report:
    """What one walk found: fields at fault, unknown fields, and the CEL rules that are still to be run."""

    causes: list[Cause] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    pending: list[tuple["Rule", Any, Any, str]] = field(default_factory=list)

    def add(self, reason: str, path: str, message: str) -> None:
        """Record one field at fault."""
        self.causes.append(Cause(reason, message, path or "<nil>"))


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `x-kubernetes-validations`."""

    program: Program
    message: str
    message_program: Program | None
    reason: str
    field_path: str
    uses_old: bool
    optional_old: bool


def _rule(raw: Mapping[str, Any]) -> Rule:
    text = raw["rule"].strip()
    expression = raw.get("messageExpression")
    return Rule(
        program=compile_rule(text),
        message=raw.get("message") or f"failed rule: {text}",
        message_program=compile_rule(expression) if expression else None,
        reason=raw.get("reason") or "FieldValueInvalid",
        field_path=raw.get("fieldPath", ""),
        uses_old="oldSelf" in text and _names_old(parse(text)),
        optional_old=bool(raw.get("optionalOldSelf")),
    )


def _names_old(node: Any) -> bool:
    return (node.op == "name" and node.value == "oldSelf") or any(_names_old(arg) for arg in node.args)


def run_rules(report: Report) -> None:
    """Evaluate the rules that the walk collected; a failed one becomes a cause. An error while evaluating is a failure too."""
    for rule, value, old, path in report.pending:
        if rule.uses_old and old is None and not rule.optional_old:
            continue
        previous = Optional(present=old is not None, value=old) if rule.optional_old else old
        scope = {"self": value, "oldSelf": previous}
        try:
            if rule.program(scope) is True:
                continue
            message = rule.message
            if rule.message_program is not None:
                message = str(rule.message_program(scope))
        except CelError as wrong:
            message = f"{rule.message}: {wrong}"
        report.add(rule.reason, f"{path}{rule.field_path}".lstrip("."), f"Invalid value: {_shown(value)}: {message}")


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (dict, list, tuple)):
        return f'"{_JSON_NAMES[type(value)]}"'
    return "true" if value is True else "false" if value is False else str(value)


class Schema:
    """One node of a compiled structural schema. `check` is the walk; it returns the value pruned and defaulted."""

    __slots__ = (
        "additional", "choices", "chosen", "default", "defaults", "exact", "has_default", "int_or_string", "items", "keys",
        "limited", "list_type", "nullable",
        "preserve", "properties", "raw", "required", "rules", "type",
    )  # fmt: skip

    def __init__(self, raw: Mapping[str, Any], *, lenient: bool = False) -> None:
        self.raw = raw
        self.int_or_string = bool(raw.get("x-kubernetes-int-or-string"))
        self.type: str = raw.get("type", "")
        self.exact = frozenset({int, str} if self.int_or_string else _TYPES.get(self.type, ()))
        self.limited = any(word in raw for word in _LIMITS)
        self.nullable = bool(raw.get("nullable"))
        self.preserve = lenient or bool(raw.get("x-kubernetes-preserve-unknown-fields")) or bool(raw.get("x-kubernetes-embedded-resource"))
        self.properties = {name: Schema(child, lenient=lenient) for name, child in (raw.get("properties") or {}).items()}
        more = raw.get("additionalProperties")
        self.additional = Schema(more, lenient=lenient) if isinstance(more, dict) else None
        self.preserve = self.preserve or more is True or (not self.type and not self.properties and self.additional is None)
        self.items = Schema(raw["items"], lenient=lenient) if isinstance(raw.get("items"), dict) else None
        self.required: tuple[str, ...] = tuple(raw.get("required") or ())
        self.has_default, self.default = "default" in raw, raw.get("default")
        self.defaults = tuple(name for name, child in self.properties.items() if child.has_default)
        self.list_type: str = raw.get("x-kubernetes-list-type", "atomic")
        self.keys: tuple[str, ...] = tuple(raw.get("x-kubernetes-list-map-keys") or ())
        self.rules = tuple(_rule(rule) for rule in raw.get("x-kubernetes-validations") or ())
        self.choices = tuple(
            (word, tuple(Schema(branch, lenient=True) for branch in branches))
            for word, branches in ((w, raw[w] if w != "not" else [raw[w]]) for w in ("allOf", "anyOf", "oneOf", "not") if w in raw)
        )
        self.chosen = bool(self.choices) or "enum" in raw

    def check_root(self, candidate: dict[str, Any], old: Mapping[str, Any] | None, report: Report) -> dict[str, Any]:
        """A whole object: `apiVersion`, `kind` and `metadata` are the server's own business and stay as they are."""
        checked = self._check_object(candidate, old or _EMPTY, "", report)
        self._check_choices(checked, "", report)
        for rule in self.rules:
            report.pending.append((rule, checked, old, ""))
        return checked

    def check(self, value: Any, old: Any, path: str, report: Report) -> Any:
        """The value, pruned and defaulted, and the very same object where nothing had to change. Faults go to the report."""
        kind = type(value)
        nested = kind is dict or kind is list
        # Comparing whole subtrees at every level would cost more than it saves, except where rules would have to run.
        if old is not None and (value is old or ((not nested or self.rules) and value == old)):
            return old
        if self.exact and kind not in self.exact and not self._fits(value):
            self._wrong_type(value, self.type or "integer or string", path, report)
            return value
        if kind is dict:
            value = self._check_object(value, old if isinstance(old, dict) else _EMPTY, path, report)
        elif kind is list or kind is tuple:
            value = self._check_list(value, old if isinstance(old, (list, tuple)) else (), path, report)
        elif self.limited and isinstance(value, str):
            self._check_string(value, path, report)
        elif self.limited and isinstance(value, (int, float)) and kind is not bool:
            self._check_number(value, path, report)
        if self.chosen:
            self._check_choices(value, path, report)
        for rule in self.rules:
            report.pending.append((rule, value, old, path))
        return value

    def _fits(self, value: Any) -> bool:
        """Whether a value of a subclass (a StrEnum, say) has the type of this node."""
        return not isinstance(value, bool) and isinstance(value, tuple(self.exact))

    @staticmethod
    def _wrong_type(value: Any, wanted: str, path: str, report: Report) -> None:
        found = _JSON_NAMES.get(type(value), type(value).__name__)
        report.add("FieldValueTypeInvalid", path, f'Invalid value: "{found}": {path} in body must be of type {wanted}: "{found}"')
        if isinstance(value, dict):
            report.unknown += [f"{path}.{key}" for key in value]

    def _check_object(self, value: dict[str, Any], old: Mapping[str, Any], path: str, report: Report) -> dict[str, Any]:
        result: dict[str, Any] | None = None
        properties, prefix = self.properties, f"{path}." if path else ""
        for key, item in value.items():
            child = properties.get(key) or self.additional
            if child is None or (not path and key in _ROOT):
                if not self.preserve and (path or key not in _ROOT):
                    report.unknown.append(prefix + key)
                    result = dict(value) if result is None else result
                    del result[key]
                continue
            was = old.get(key)
            if item is was and item is not None:
                continue
            if item is None and not child.nullable and not child.preserve:
                # A null where none is allowed counts as absent; a default then fills it below.
                result = dict(value) if result is None else result
                del result[key]
                continue
            if item is None:
                continue
            new = child.check(item, was, prefix + key, report)
            if new is not item:
                result = dict(value) if result is None else result
                result[key] = new
        for key in self.defaults:
            if key not in (value if result is None else result):
                result = dict(value) if result is None else result
                result[key] = properties[key].check(properties[key].default, old.get(key), prefix + key, report)
        final = value if result is None else result
        self._check_keys(final, path, report)
        return final

    def _check_keys(self, value: dict[str, Any], path: str, report: Report) -> None:
        for key in self.required:
            if key not in value:
                report.add("FieldValueRequired", f"{path}.{key}" if path else key, "Required value")
        if "maxProperties" in self.raw and len(value) > self.raw["maxProperties"]:
            limit = self.raw["maxProperties"]
            report.add("FieldValueTooMany", path, f"Too many: {len(value)}: must have at most {limit} items")
        if "minProperties" in self.raw and len(value) < self.raw["minProperties"]:
            limit = self.raw["minProperties"]
            report.add("FieldValueInvalid", path, f'Invalid value: "object": {path} in body should have at least {limit} properties')

    def _check_list(self, value: Any, old: Any, path: str, report: Report) -> Any:
        result: list[Any] | None = None
        raw = self.raw
        if "maxItems" in raw and len(value) > raw["maxItems"]:
            report.add("FieldValueTooMany", path, f"Too many: {len(value)}: must have at most {raw['maxItems']} items")
        if "minItems" in raw and len(value) < raw["minItems"]:
            report.add(
                "FieldValueInvalid", path, f"Invalid value: {len(value)}: {path} in body should have at least {raw['minItems']} items"
            )
        if self.items is None:
            return value
        by_key = {self._key(item): item for item in old} if self.list_type == "map" else _EMPTY
        for at, item in enumerate(value):
            if at < len(old) and item is old[at]:
                continue
            was = by_key.get(self._key(item)) if by_key else None
            new = self.items.check(item, was, f"{path}[{at}]", report)
            if new is not item:
                result = list(value) if result is None else result
                result[at] = new
        final = value if result is None else result
        if self.list_type != "atomic":
            self._check_unique(final, path, report)
        return final

    def _key(self, item: Any) -> Any:
        if self.list_type == "map" and isinstance(item, dict):
            return tuple(str(item.get(key)) for key in self.keys)
        return str(item)

    def _check_unique(self, value: Any, path: str, report: Report) -> None:
        seen: set[Any] = set()
        for at, item in enumerate(value):
            key = self._key(item)
            if key in seen:
                report.add("FieldValueDuplicate", f"{path}[{at}]", f"Duplicate value: {_shown(item)}")
            seen.add(key)

    def _check_string(self, value: str, path: str, report: Report) -> None:
        raw = self.raw
        if "maxLength" in raw and len(value) > raw["maxLength"]:
            report.add("FieldValueTooLong", path, f"Too long: may not be more than {raw['maxLength']} bytes")
        elif "minLength" in raw and len(value) < raw["minLength"]:
            report.add(
                "FieldValueInvalid", path, f'Invalid value: "{value}": {path} in body should be at least {raw["minLength"]} chars long'
            )
        elif "pattern" in raw and re.search(raw["pattern"], value) is None:
            report.add("FieldValueInvalid", path, f"Invalid value: \"{value}\": {path} in body should match '{raw['pattern']}'")
        elif raw.get("format") == "date-time" and _DATE_TIME.fullmatch(value) is None:
            report.add("FieldValueInvalid", path, f'Invalid value: "{value}": {path} in body must be of type date-time: "{value}"')

    def _check_number(self, value: float, path: str, report: Report) -> None:
        raw = self.raw
        low, high, step = raw.get("minimum"), raw.get("maximum"), raw.get("multipleOf")
        if low is not None and (value < low or (raw.get("exclusiveMinimum") and value == low)):
            report.add("FieldValueInvalid", path, f"Invalid value: {value}: {path} in body should be greater than or equal to {low}")
        if high is not None and (value > high or (raw.get("exclusiveMaximum") and value == high)):
            report.add("FieldValueInvalid", path, f"Invalid value: {value}: {path} in body should be less than or equal to {high}")
        if step and value % step:
            report.add("FieldValueInvalid", path, f"Invalid value: {value}: {path} in body should be a multiple of {step}")

    def _check_choices(self, value: Any, path: str, report: Report) -> None:
        if "enum" in self.raw and value not in self.raw["enum"]:
            supported = ", ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in self.raw["enum"])
            report.add("FieldValueNotSupported", path, f"Unsupported value: {_shown(value)}: supported values: {supported}")
        for word, branches in self.choices:
            fitting = 0
            for branch in branches:
                scratch = Report()
                branch.check(value, None, path, scratch)
                fitting += not scratch.causes
            wanted = {"allOf": fitting == len(branches), "anyOf": fitting > 0, "oneOf": fitting == 1, "not": fitting == 0}
            if not wanted[word]:
                told = {"allOf": "all of", "anyOf": "at least one of", "oneOf": "one and only one of", "not": "none of"}[word]
                report.add("FieldValueInvalid", path, f'Invalid value: "": "{path}" must validate {told} the schemas ({word})')
