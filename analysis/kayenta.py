"""Kayenta's judge: answers for a `canaryConfig` as NetflixACAJudge-v1.0 does.

For teams that move: the same files, the same answers, before they try the sequential test. It has a fixed
horizon (asked every 5 minutes it fails 2 to 4 % of healthy releases), ignores request counts, and lets
metrics pass that it could not judge (no data with `nanStrategy` replace, errors in a group of their own). Its
score is kept as it is; such metrics are listed, and `outcome` is inconclusive where they would have passed.

One thing is not as there: two samples that are both constant get random noise in the original. Here the
noise is the normal distribution's quantiles, so that the same data give the same answer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from statistics import NormalDist, median, stdev

from analysis.kayenta_config import CanaryConfig, Direction, KayentaError, MetricConfig
from analysis.mannwhitney import TiedError, common_language, mean, mean_ratio, outside_fences, shift_interval
from analysis.model import Outcome

_NOISE = 1e-5
_NO_DATA_PERCENT = 50


class Label(StrEnum):
    """What a metric is called."""

    PASS = "Pass"  # noqa: S105 - the answer, not a password
    HIGH = "High"
    LOW = "Low"
    NODATA = "Nodata"
    NODATA_FAIL = "NodataFailMetric"
    ERROR = "Error"


class Grade(StrEnum):
    """What a whole analysis is called."""

    PASS = "Pass"  # noqa: S105 - the answer, not a password
    MARGINAL = "Marginal"
    FAIL = "Fail"


@dataclass(frozen=True, slots=True)
class Classified:
    """The answer for one metric.

    Attributes:
        label: Pass, High, Low, ...
        critical: it fails the whole analysis.
        deviation: ratio of the means; NaN where one is 0.
        reason: words, or "".
    """

    label: Label
    critical: bool = False
    deviation: float = 1.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """The answer for a configuration.

    Attributes:
        grade: Pass, Marginal or Fail.
        score: 0 to 100.
        reason: why the score was overruled, or "".
        metrics: answers by name, the muted ones too.
        groups: scores by group.
        unjudged: metrics, not muted, that count as passed or not at all although nothing was compared.
        at_best: the grade if all of those had passed.
    """

    grade: Grade
    score: float
    reason: str
    metrics: Mapping[str, Classified]
    groups: Mapping[str, float]
    unjudged: tuple[str, ...] = ()
    at_best: Grade = Grade.PASS


@dataclass(frozen=True, slots=True)
class Values:
    """One metric's values of both arms, on the same steps; NaN where a step has none."""

    control: tuple[float, ...]
    experiment: tuple[float, ...]


# Data.


def backfill(control: Sequence[float], experiment: Sequence[float], steps: int) -> Values:
    """Both arms with at least NaN: an arm without any value gets as many as the other has, or one a step."""
    length = max(len(control), len(experiment)) or steps
    return Values(tuple(control) or (math.nan,) * length, tuple(experiment) or (math.nan,) * length)


def prepare(values: Sequence[float], config: MetricConfig) -> list[float]:
    """The values that are tested: NaN replaced or removed, then outliers removed."""
    filled = [0.0 if math.isnan(value) else value for value in values] if config.replace_nan else without_nan(values)
    if not config.remove_outliers:
        return filled
    outside = outside_fences(filled, config.outlier_factor, wide=True)
    return [value for value, out in zip(filled, outside, strict=True) if not out]


def without_nan(values: Sequence[float]) -> list[float]:
    """The values that are numbers."""
    return [value for value in values if not math.isnan(value)]


def summary(values: Sequence[float]) -> dict[str, float]:
    """Minimum, maximum, mean, median, standard deviation and count; zeros of nothing."""
    if not values:
        return dict.fromkeys(("min", "max", "mean", "median", "std", "count"), 0.0)
    return {
        "min": min(values),
        "max": max(values),
        "mean": mean(values),
        "median": median(values),
        "std": stdev(values) if len(values) > 1 else 0.0,
        "count": len(values),
    }


# Judging.


def classify(control: Sequence[float], experiment: Sequence[float], config: MetricConfig) -> Classified:
    """One metric by the Mann-Whitney test and the size of the effect; the values are prepared."""
    absent = _no_data(control, experiment, config)
    if absent is not None:
        return absent
    if sorted(experiment) == sorted(control):
        return Classified(Label.PASS, reason="the data of both arms are identical")
    x, y = list(experiment), list(control)
    if len(set(x)) == 1 and len(set(y)) == 1:
        if x[0] == y[0]:
            return Classified(Label.PASS)
        x, y = _with_noise(x), _with_noise(y)
    shift = shift_interval(x, y, config.confidence)
    bound = config.tolerance * abs(shift.estimate)
    deviation = mean_ratio(y, x)
    effect = common_language(y, x) if config.cles else deviation
    # An effect that cannot be computed (a mean of 0) does not excuse.
    if config.direction is not Direction.DECREASE and shift.low > bound and not effect < config.allowed_increase:
        critical = config.critical and not effect < config.critical_increase
        return Classified(Label.HIGH, critical, deviation, _called(config, Label.HIGH, critical=critical))
    if config.direction is not Direction.INCREASE and shift.high < -bound and not effect > config.allowed_decrease:
        critical = config.critical and not effect > config.critical_decrease
        return Classified(Label.LOW, critical, deviation, _called(config, Label.LOW, critical=critical))
    return Classified(Label.PASS, deviation=deviation)


def classify_by_means(control: Sequence[float], experiment: Sequence[float], config: MetricConfig) -> Classified:
    """One metric by its means alone: the reference classifier, for comparisons."""
    absent = _no_data(control, experiment, config)
    if absent is not None:
        return absent
    above, below = mean(experiment), mean(control)
    ratio = above / below if below else math.nan
    if config.direction is not Direction.DECREASE and above > below:
        return Classified(Label.HIGH, config.critical, ratio, "the experiment's mean is higher")
    if config.direction is not Direction.INCREASE and above < below:
        return Classified(Label.LOW, config.critical, ratio, "the experiment's mean is lower")
    return Classified(Label.PASS)


def _no_data(control: Sequence[float], experiment: Sequence[float], config: MetricConfig) -> Classified | None:
    if control and experiment:
        return None
    if config.replace_nan:
        return Classified(Label.PASS)
    reason = f"no data for {config.name}"
    if config.must_have_data and not config.critical:
        return Classified(Label.NODATA_FAIL, reason=reason)
    return Classified(Label.NODATA, config.critical, reason=reason)


def _with_noise(values: Sequence[float]) -> list[float]:
    spread = abs(values[0]) * _NOISE
    normal = NormalDist()
    return [value + spread * normal.inv_cdf((index + 0.5) / len(values)) for index, value in enumerate(values)]


def _called(config: MetricConfig, label: Label, *, critical: bool) -> str:
    return f"{config.name} was classified as {label}{' (Critical)' if critical else ''}"


def judge(config: CanaryConfig, data: Mapping[str, Values], thresholds: tuple[float, float] | None = None, *, least: int = 1) -> Result:
    """The answer for all metrics together.

    Args:
        config: as read.
        data: raw values by metric name, NaN and outliers included.
        thresholds: (marginal, pass); those of the configuration by default.
        least: values of each arm without which a metric is listed as unjudged.

    Raises:
        KayentaError: a metric has no data pair or no configuration, or there are no thresholds.
    """
    limits = thresholds or config.thresholds
    if limits is None:
        raise KayentaError("the canaryConfig has no scoreThresholds, and none were given")
    known = [metric.name for metric in config.metrics]
    unknown, missing = sorted(set(data) - set(known)), [name for name in known if name not in data]
    if unknown or missing:
        which = f"no configuration for {', '.join(unknown)}" if unknown else f"no values for {', '.join(missing)}"
        raise KayentaError(f"the canaryConfig {config.name} and the data do not fit: there is {which}")
    answers = {metric.name: _answer(metric, data[metric.name]) for metric in config.metrics}
    acting = [metric for metric in config.metrics if not metric.muted]
    unjudged = {metric.name for metric in acting if not _compared(answers[metric.name], data[metric.name], least)}
    points, groups, reason = score([(metric.groups, answers[metric.name]) for metric in acting], config.group_weights)
    passed = Classified(Label.PASS)
    best, _, _ = score([(m.groups, passed if m.name in unjudged else answers[m.name]) for m in acting], config.group_weights)
    named = tuple(metric.name for metric in acting if metric.name in unjudged)
    return Result(_grade(points, limits), points, reason, answers, groups, named, _grade(best, limits))


def outcome(result: Result) -> Outcome:
    """The answer in the words of a check.

    Inconclusive is what is marginal, what passed without a comparison, and what failed only because values were missing:
    a failure is one whatever the missing values would have been.
    """
    if result.at_best is Grade.FAIL:
        return Outcome.FAIL
    return Outcome.PASS if result.grade is Grade.PASS and not result.unjudged else Outcome.INCONCLUSIVE


def _grade(points: float, limits: tuple[float, float]) -> Grade:
    marginal, passing = limits
    return Grade.PASS if points >= passing else Grade.MARGINAL if points >= marginal else Grade.FAIL


def _compared(answer: Classified, values: Values, least: int) -> bool:
    decided = answer.label in (Label.PASS, Label.HIGH, Label.LOW)
    return decided and all(len(without_nan(arm)) >= least for arm in (values.control, values.experiment))


def _answer(metric: MetricConfig, values: Values) -> Classified:
    control, experiment = prepare(values.control, metric), prepare(values.experiment, metric)
    if any(map(math.isinf, (*control, *experiment))):
        return Classified(Label.ERROR, reason=f"{metric.name} holds infinite values")
    try:
        return classify(control, experiment, metric)
    except TiedError as error:
        return Classified(Label.ERROR, reason=f"{metric.name} cannot be classified: {error}")


def score(metrics: Sequence[tuple[Sequence[str], Classified]], weights: Mapping[str, float]) -> tuple[float, dict[str, float], str]:
    """The summary score, the groups' scores, and why the score was overruled ("" where it was not).

    Args:
        metrics: groups and answer of each metric that is not muted.
        weights: percent by group; groups without one share what is left.
    """
    labels: dict[str, list[Label]] = {}
    for groups, answer in metrics:
        for group in groups:
            labels.setdefault(group, []).append(answer.label)
    scores = {group: _group_score(found) for group, found in labels.items()}
    shown = {group: 0.0 if points is None else points for group, points in scores.items()}
    failed = next((answer for _, answer in metrics if answer.critical and answer.label is not Label.PASS), None)
    if failed is not None:
        return 0.0, shown, f"a critical metric failed: {failed.reason}"
    # Without any metric there is nothing to pass on.
    silent = sum(answer.label is Label.NODATA for _, answer in metrics)
    if not metrics or 100 * silent / len(metrics) >= _NO_DATA_PERCENT:
        return 0.0, shown, f"{_NO_DATA_PERCENT} % or more of the metrics had no data"
    unweighted = [group for group in scores if group not in weights]
    each = (100 - math.fsum(weights.values())) / len(unweighted) if unweighted else 0.0
    total = sum((100.0 if points is None else points) * (weights.get(group, each) / 100) for group, points in scores.items())
    return float(Decimal(repr(total)).quantize(Decimal("0.01"), ROUND_HALF_UP)), shown, ""


def _group_score(labels: Sequence[Label]) -> float | None:
    """Percent of the group's decided metrics that passed; None without any."""
    decided = [label for label in labels if label in (Label.PASS, Label.HIGH, Label.LOW, Label.NODATA_FAIL)]
    return 100 * sum(label is Label.PASS for label in decided) / len(decided) if decided else None
