"""Reading Kayenta's `canaryConfig` JSON as it is, into what its judge needs.

What the judge knows and this does not (other judges, other scopes) is named, and so is a file that is cut, YAML,
or holds another type than it must. Words that the original does not know mean its default here too.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

JUDGE = "NetflixACAJudge-v1.0"
TOLERANCE, CONFIDENCE = 0.25, 0.98
_SCOPE = "default"
_EXCERPT = 40


class KayentaError(ValueError):
    """A configuration or data that this judge cannot answer for; its text is one sentence."""


class Direction(StrEnum):
    """Which change is a failure."""

    INCREASE = "increase"
    DECREASE = "decrease"
    EITHER = "either"


def no_effect(*, cles: bool) -> float:
    """The effect size of a metric that did not change, the original's default of all sizes: a half of all pairs, or the ratio 1."""
    return 0.5 if cles else 1.0


@dataclass(frozen=True, slots=True)
class MetricConfig:
    """How one metric is judged; the names are Kayenta's.

    Attributes:
        name, groups: as in the file.
        direction: which change fails.
        replace_nan: NaN become 0 instead of being removed.
        remove_outliers, outlier_factor: fences of the interquartile range.
        critical, must_have_data, muted: flags.
        cles: the effect is the common language effect size, not the ratio of means.
        allowed_decrease, allowed_increase: effect that a failure needs.
        critical_decrease, critical_increase: effect that a critical failure needs.
        tolerance, confidence: of the test; the judge's own numbers.
    """

    name: str = ""
    groups: tuple[str, ...] = ()
    direction: Direction = Direction.EITHER
    replace_nan: bool = False
    remove_outliers: bool = False
    outlier_factor: float = 3.0
    critical: bool = False
    must_have_data: bool = False
    muted: bool = False
    cles: bool = False
    allowed_decrease: float = 1.0
    allowed_increase: float = 1.0
    critical_decrease: float = 1.0
    critical_increase: float = 1.0
    tolerance: float = TOLERANCE
    confidence: float = CONFIDENCE


@dataclass(frozen=True, slots=True)
class CanaryConfig:
    """A `canaryConfig`.

    Attributes:
        name: as in the file.
        metrics: in its order.
        group_weights: percent by group.
        thresholds: (marginal, pass) where the file has them.
    """

    name: str
    metrics: tuple[MetricConfig, ...]
    group_weights: Mapping[str, float]
    thresholds: tuple[float, float] | None = None


def read_config(text: str) -> CanaryConfig:
    """The configuration in a file's text.

    Raises:
        KayentaError: it is no JSON, names another judge or scope, or a field is not what it must be.
    """
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        if not text.strip():
            raise KayentaError("the file is empty, expected a canaryConfig in JSON") from error
        if text.lstrip()[:1] not in ("{", "["):
            raise KayentaError(
                f'a canaryConfig is JSON; this begins with "{" ".join(text.split())[:_EXCERPT]}" (YAML must be converted first)'
            ) from error
        raise KayentaError(f"the canaryConfig is cut or no JSON: line {error.lineno}, column {error.colno}: {error.msg}") from error
    if not isinstance(found, dict):
        raise KayentaError("a canaryConfig is a JSON object")
    judge_name = _dig(found, "judge", "name")
    if judge_name is not None and judge_name != JUDGE:
        raise KayentaError(f'the judge "{judge_name}" is not known here; {JUDGE} is')
    metrics = found.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        raise KayentaError(_without_metrics(found))
    read = tuple(_metric(one, index) for index, one in enumerate(metrics))
    names = [metric.name for metric in read]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise KayentaError(f"the canaryConfig has several metrics of the name {', '.join(twice)}")
    weights = _dig(found, "classifier", "groupWeights") or {}
    if not isinstance(weights, dict):
        raise KayentaError("classifier.groupWeights is not an object of numbers")
    return CanaryConfig(
        name=str(found.get("name", "")),
        metrics=read,
        group_weights={group: _number(weight, f"groupWeights.{group}") for group, weight in weights.items()},
        thresholds=_thresholds(_dig(found, "classifier", "scoreThresholds")),
    )


def _without_metrics(found: object) -> str:
    """What a file without metrics is, in words: Kayenta's own requests and Spinnaker's stages hold or name the configuration."""
    inner = _dig(found, "canaryConfig")
    if _dig(inner, "metrics"):
        return "it holds a canaryConfig beside other things, expected it alone: take out what stands under canaryConfig"
    if named := _dig(inner, "canaryConfigId") or _dig(found, "canaryConfigId"):
        return f"it names the canaryConfig {named} and does not hold it, expected that itself: Kayenta's GET /canaryConfig/{named} has it"
    return "the canaryConfig has no metrics, expected a list with at least one"


def _thresholds(given: object) -> tuple[float, float] | None:
    if not isinstance(given, dict) or given.get("pass") is None or given.get("marginal") is None:
        return None
    return _number(given["marginal"], "scoreThresholds.marginal"), _number(given["pass"], "scoreThresholds.pass")


def _metric(given: object, index: int) -> MetricConfig:
    if not isinstance(given, dict) or not isinstance(given.get("name"), str) or not given["name"]:
        raise KayentaError(f"metric {index + 1} of the canaryConfig has no name")
    name = given["name"]
    scope = given.get("scopeName") or _SCOPE
    if scope != _SCOPE:
        raise KayentaError(f'the metric {name} has the scope "{scope}"; only "{_SCOPE}" is supported')
    groups = given.get("groups") or []
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise KayentaError(f"the groups of the metric {name} are not a list of names")
    canary = _dig(given, "analysisConfigurations", "canary") or {}
    effect = _dig(canary, "effectSize") or {}
    cles = _dig(effect, "measure") == "cles"
    usual = no_effect(cles=cles)

    def number(holder: object, key: str, otherwise: float) -> float:
        found = _dig(holder, key)
        return otherwise if found is None else _number(found, f"{key} of the metric {name}")

    word = _dig(canary, "direction")
    return MetricConfig(
        name=name,
        groups=tuple(groups),
        direction=Direction(word) if word in list(Direction) else Direction.EITHER,
        replace_nan=_dig(canary, "nanStrategy") == "replace",
        remove_outliers=_dig(canary, "outliers", "strategy") == "remove",
        outlier_factor=number(_dig(canary, "outliers"), "outlierFactor", 3.0),
        critical=_flag(canary, "critical", name),
        must_have_data=_flag(canary, "mustHaveData", name),
        muted=_flag(canary, "muted", name),
        cles=cles,
        allowed_decrease=number(effect, "allowedDecrease", usual),
        allowed_increase=number(effect, "allowedIncrease", usual),
        critical_decrease=number(effect, "criticalDecrease", usual),
        critical_increase=number(effect, "criticalIncrease", usual),
    )


def _dig(holder: object, *keys: str) -> Any:
    found = holder
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _number(given: object, what: str) -> float:
    try:
        found = float(given) if isinstance(given, int | float | str) and not isinstance(given, bool) else math.nan
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise KayentaError(f"{what} is no number: {given!r}")
    return found


def _flag(holder: object, key: str, name: str) -> bool:
    found = _dig(holder, key)
    if found in (None, False, True):
        return bool(found)
    if str(found).lower() in ("true", "false"):
        return str(found).lower() == "true"
    raise KayentaError(f"{key} of the metric {name} is neither true nor false: {found!r}")
