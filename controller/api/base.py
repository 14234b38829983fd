"""What all resource models share: strict fields, durations with units, and camelCase on the wire.

The pydantic models of this package are the one source of the custom resources: the CRDs, the plan
reference and `penstock validate` are all made from them. They are frozen, so the core uses them as data.
"""

import json
import math
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationInfo, WithJsonSchema
from pydantic.alias_generators import to_camel

GROUP = "penstock.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

EPOCH_LEAP = 1_000_000_000
"""An epoch that is so much higher than all others was written by somebody's hand: each leadership takes only one more than the last.

Were it believed, the next epochs would find no room above it, and a fence of numbers that nobody can exceed holds nobody off.
"""

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
MINUTE = 60.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST_DURATION = 366 * 86400.0
"""A year and a day: nobody means more."""

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")


def shown(value: Any) -> str:
    """A value as it may stand in a sentence: a text in quotes as it was written, everything else as YAML has it; at most 80 characters."""
    if value is None:
        text = "nothing"
    elif isinstance(value, str):
        text = "'" + "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in value) + "'"
    elif isinstance(value, float):
        text = str(value)
    else:
        text = json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - a line of a terminal


def parse_duration(value: Any) -> float:
    """Seconds of a text like `90s`, `1h30m`. Raises ValueError with what was expected."""
    if not isinstance(value, str) or not re.match(DURATION_PATTERN, value):
        raise ValueError(f"found {shown(value)}, expected a duration with its unit, such as 30s, 5m, 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
    if seconds > LONGEST_DURATION:
        raise ValueError(f"found {shown(value)}, expected at most {LONGEST_DURATION / _UNITS['d']:.0f}d")
    return seconds


def duration_of(value: Any, info: ValidationInfo) -> float:
    """Seconds of what stands in a field: of a text, or what was parsed before in a model that is rebuilt. JSON has no such numbers."""
    return value if isinstance(value, float) and info.mode != "json" else parse_duration(value)


def format_duration(seconds: float) -> str:
    """The shortest text of a duration: 90.0 -> "1m30s"."""
    if seconds == 0:
        return "0s"
    if seconds != int(seconds):
        return f"{round(seconds * 1000)}ms" if seconds < 1 else f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    rest, parts = int(seconds), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


Duration = Annotated[
    float,
    BeforeValidator(duration_of),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "maxLength": 32}),
]
"""Seconds inside, a text with units on the wire."""


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("expected a finite number")
    return value


Number = Annotated[float, AfterValidator(_finite), WithJsonSchema({"type": "number"})]
"""A finite limit."""

NAME_LENGTH = 63
"""Characters of a DNS label, and of a label's value: a release's name becomes one."""

Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""A DNS label."""

DOTTED_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DOTTED_PATTERN)]
"""The name of an object that may have dots, as those of Istio and ConfigMaps may."""

ReleaseName = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH, pattern=DOTTED_PATTERN)]
"""The name of a Release: what the API server takes for one, dots among it, as far as a label's value goes."""

Percent = Annotated[int, Field(ge=0, le=100)]


class Model(BaseModel):
    """Frozen, strict about unknown fields, camelCase on the wire."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )


class StatusModel(BaseModel):
    """As `Model`, but a field of a newer version is let through: it survives in the store by merge patches."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )
