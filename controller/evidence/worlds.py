"""What one look knew and what it answered, as JSON and back: subject, observed world, status, plan, decision.

Fields at their defaults are left out, so that a bundle of an older version is read by a newer one with the same meaning.
A decision is only ever compared, so it is written and never read back.
"""

import math
import platform
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from enum import Enum
from operator import attrgetter
from typing import Any

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from controller.api.plan import PlanSpec
from controller.api.release import ReleaseSpec, ReleaseStatus
from controller.core.commands import Command, Decision, Record, Subject
from controller.core.world import Observed

_OBSERVED: TypeAdapter[Observed] = TypeAdapter(Observed)

SHELF = frozenset({"evidence"})
"""Fields of a status that say where the evidence lies: no decision rests on them."""

APART = frozenset({"spec", "status", "plan", "resource_version"})
"""What of a Subject changes often, or has a form of its own: it is written apart."""

PLACES = tuple(field.name for field in fields(Subject) if field.name not in APART)
"""What of a Subject stands in its part beside the spec: every other field, so that none is forgotten."""

_places = attrgetter(*PLACES)


class UnreadableError(ValueError):
    """A line of evidence is not what a journal writes; the sentence says what is wrong with it."""


def subject_json(subject: Subject) -> bytes:
    """The part of a subject that hardly ever changes."""
    plain = {name: getattr(subject, name) for name in PLACES}
    return orjson.dumps({**plain, "spec": orjson.Fragment(subject.spec.model_dump_json(exclude_defaults=True))})


def read_subject(line: Mapping[str, Any]) -> Subject:
    """A subject without status and plan. Raises `UnreadableError`."""
    try:
        spec = ReleaseSpec.model_validate(line["spec"])
        places = {name: line[name] for name in PLACES if name in line}
        return Subject(**places, resource_version="", spec=spec, status=ReleaseStatus(), plan=None)
    except (ValidationError, KeyError, TypeError) as error:
        raise UnreadableError(f"the release cannot be read ({type(error).__name__})") from error


def same_subject(one: Subject, other: Subject) -> bool:
    """Whether two subjects certainly have the same part; quick, as every look asks."""
    return one.spec is other.spec and bool(_places(one) == _places(other))


def observed_json(observed: Observed) -> bytes:
    """The observed world."""
    return _OBSERVED.dump_json(observed, exclude_defaults=True)


def read_observed(line: Any) -> Observed:
    """The observed world. Raises `UnreadableError`."""
    try:
        return _OBSERVED.validate_python(line)
    except ValidationError as error:
        raise UnreadableError(f"the observed world cannot be read: {error.errors()[0]['msg']}") from error


def status_json(status: ReleaseStatus) -> bytes:
    """A whole status."""
    return status.model_dump_json(exclude_defaults=True, exclude=set(SHELF)).encode()


def read_status(line: Any) -> ReleaseStatus:
    """A whole status. Raises `UnreadableError`."""
    try:
        return ReleaseStatus.model_validate(line)
    except ValidationError as error:
        raise UnreadableError(f"the status cannot be read: {error.errors()[0]['msg']}") from error


def changed(before: ReleaseStatus, after: ReleaseStatus) -> set[str]:
    """Names of the top-level fields that differ."""
    if before is after:
        return set()
    mine, theirs = before.__dict__, after.__dict__
    return {name for name, value in theirs.items() if name not in SHELF and value is not mine[name] and value != mine[name]}


def changes_json(before: ReleaseStatus, after: ReleaseStatus) -> bytes | None:
    """The top-level fields of `after` that differ, whole; None where none does."""
    names = changed(before, after)
    return after.model_dump_json(include=names).encode() if names else None


def with_changes(before: ReleaseStatus, line: Any) -> ReleaseStatus:
    """`before` with the fields of a line. Raises `UnreadableError`."""
    try:
        given = ReleaseStatus.model_validate(line)
    except ValidationError as error:
        raise UnreadableError(f"the status cannot be read: {error.errors()[0]['msg']}") from error
    return before.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})


def plan_json(plan: PlanSpec) -> bytes:
    """A plan with its durations as numbers: those of a divided plan are no round texts."""
    return orjson.dumps(plain(plan))


def read_plan(line: Any) -> PlanSpec:
    """A plan. Raises `UnreadableError`."""
    try:
        return PlanSpec.model_validate(line)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "plan"
        raise UnreadableError(f"the plan cannot be read: {where}: {first['msg']}") from error


def plain(value: Any) -> Any:
    """Models and enums as JSON values, numbers untouched, every field of a model named."""
    match value:
        case BaseModel():
            return {name: plain(getattr(value, name)) for name in type(value).model_fields}
        case Enum():
            return value.value
        case Mapping():
            return {str(key): plain(one) for key, one in value.items()}
        case list() | tuple():
            return [plain(one) for one in value]
        case _:
            return value


def command_line(command: Command) -> list[Any]:
    """A command: its name, and its fields in order."""
    return [type(command).__name__, *(plain(getattr(command, field.name)) for field in fields(command))]


def record_line(record: Record) -> dict[str, Any]:
    """A record, whole."""
    entry = {"key": record.key, "kind": record.kind.value, "at": record.at, "reason": record.reason, "message": record.message}
    # A record's numbers are the JSON that the history has: models among them by their own rules.
    return {**entry, "data": orjson.loads(orjson.dumps(record.data, default=str))}


def decision_line(before: ReleaseStatus, decision: Decision) -> dict[str, Any]:
    """A decision for comparison: what it changes in the status, its commands and records, and its order of writes."""
    line: dict[str, Any] = {}
    update = changes_json(before, decision.status)
    if update is not None:
        line["status"] = orjson.loads(update)
    if decision.commands:
        line["commands"] = [command_line(command) for command in decision.commands]
    if decision.records:
        line["records"] = [record_line(record) for record in decision.records]
    line |= {"direction": decision.direction.value, "store": decision.store}
    return line


NEAR = 1e-9
"""Numbers that were added up in another order, or by another build, agree at least so far: of their size, or of one."""

BUILD = f"{sys.implementation.name} {sys.version_info.major}.{sys.version_info.minor} {platform.machine()}"
"""What adds numbers up here. `sum` rounds otherwise from Python 3.12 on, and so may another processor's logarithm."""


def first_difference(before: Any, after: Any, path: str = "", *, near: float = 0.0) -> tuple[str, Any, Any] | None:
    """Where two JSON values part: the path, and both values there; None where they are equal, or all numbers within `near`.

    A field that only one side names, and that says nothing there, is no difference: versions of Penstock add such fields.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        named = [key for key in sorted(before.keys() | after.keys()) if not _says_nothing(key, before, after)]
        steps = [(f"{path}.{key}" if path else str(key), before.get(key), after.get(key)) for key in named]
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        steps = [(f"{path}[{position}]", one, other) for position, (one, other) in enumerate(zip(before, after, strict=True))]
    elif before == after or (near and _close(before, after, near)):
        return None
    else:
        # A text of JSON (a command's evidence, the state of a sequential check) is compared as what it says.
        texts = _as_json(before), _as_json(after)
        return (path, before, after) if None in texts else first_difference(*texts, path, near=near)
    return next((found for place, one, other in steps if (found := first_difference(one, other, place, near=near))), None)


def _says_nothing(key: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether one side lacks the field, and it is blank in the other; 0 is a number like any other."""
    if key in before and key in after:
        return False
    value = before.get(key, after.get(key))
    return value is None or value is False or (isinstance(value, str | list | Mapping) and not value)


def _close(before: Any, after: Any, near: float) -> bool:
    """Two numbers that hardly differ."""
    numbers = isinstance(before, int | float) and isinstance(after, int | float)
    return numbers and math.isclose(before, after, rel_tol=near, abs_tol=near)


def _as_json(value: Any) -> Any:
    """What a text of a JSON object says; None for anything else, a query that begins with a brace among it."""
    if not isinstance(value, str) or not value.startswith("{"):
        return None
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def with_status(subject: Subject, status: ReleaseStatus) -> Subject:
    """The subject as it stood with this status."""
    return replace(subject, status=status)
