"""Checks with `method: kayenta`: which values are asked for, and Kayenta's answer in the words of a check.

The values of a window are asked with a subquery, one a step, for both colours at the same moments: one instant query a
metric and colour, through the port that there is, so that what is kept as evidence is what was judged.

    window      (opened ............................. last sample]
    values           x      x      x      x      x      x           multiples of the step; NaN where there is none

At 100 % nobody is on blue: its values are those of as long a time before it lost its last requests.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean

from analysis import kayenta as library
from analysis.kayenta import Classified, Label, Values
from analysis.kayenta_config import CanaryConfig, Direction, MetricConfig, no_effect
from analysis.model import Arm, Outcome, Series, Window
from analysis.threshold import Reading
from controller.api.plan_checks import Check
from controller.api.plan_kayenta import LEAST_VALUES, Kayenta, KayentaMetric
from controller.api.release import CheckStatus, WindowStatus
from controller.core import reasons
from controller.core.asking import gate_key, metric_name
from controller.core.readings import DETAIL_LENGTH, Context, answer_of, lacking, needed_requests
from controller.core.sentences import number
from controller.core.world import Measured, Measurement


@dataclass(frozen=True, slots=True)
class Scored:
    """The answer: a word of `core.reasons`, the words of its sentence, and the score; None where there is nothing to score."""

    outcome: Outcome
    reason: str
    detail: str
    score: float | None = None


Found = Reading | tuple[Series, ...]
"""One metric's answer for one arm: at most one series, or why there is none."""


def judge_window(check: Check, window: WindowStatus, measured: Measured, before: CheckStatus, context: Context) -> CheckStatus:
    """One such check of a stage's window at its end; the arguments are those of `judging.judge_gate`."""
    assert check.kayenta is not None  # noqa: S101 - only called with one
    green = Window(window.opened_at, window.last_sample)
    blue_end = window.last_sample if context.blue_serves else context.switched_at or window.last_sample
    windows = {Arm.CANDIDATE: green, Arm.BASELINE: Window(blue_end - green.seconds, blue_end)}
    answers = {
        (metric.name, arm): _values(measured.answers.get(gate_key(metric_name(check.name, metric.name), arm)))
        for metric in check.kayenta.metrics
        for arm in Arm
    }
    missing = lacking(window, replace(context, min_requests=needed_requests(check, context)))
    found = Scored(Outcome.INCONCLUSIVE, *missing) if missing else judged(check.name, check.kayenta, answers, windows)
    return before.model_copy(
        update={
            "name": check.name,
            "polled_at": window.last_sample,
            "outcome": found.outcome,
            "reason": found.reason,
            "value": found.score,
            "n": window.n_green if context.counted else None,
            "remembered": not context.blue_serves,
            "detail": found.detail[:DETAIL_LENGTH],
        }
    )


def _values(measurement: Measurement | None) -> Found:
    answer = answer_of(measurement)
    if isinstance(answer, Reading):
        return answer
    if answer.result_type not in ("matrix", ""):
        return Reading(reason=reasons.WRONG_TYPE, detail=f"found {answer.result_type}, expected values over the window")
    if len(answer.series) > 1:
        return Reading(reason=reasons.SEVERAL_SERIES, detail=f"{len(answer.series)} series, expected one")
    return answer.series


def config_of(name: str, asked: Kayenta) -> CanaryConfig:
    """The frozen plan in the words of the judge."""
    thresholds = (asked.score_thresholds.marginal, asked.score_thresholds.passing)
    return CanaryConfig(name, tuple(map(_metric, asked.metrics)), asked.group_weights, thresholds)


def _metric(asked: KayentaMetric) -> MetricConfig:
    effect = asked.effect_size
    cles = effect.measure == "cles"
    usual = no_effect(cles=cles)
    return MetricConfig(
        name=asked.name,
        groups=tuple(asked.groups),
        direction=Direction(asked.direction),
        replace_nan=asked.nan_strategy == "replace",
        remove_outliers=asked.outliers.strategy == "remove",
        outlier_factor=asked.outliers.outlier_factor,
        critical=asked.critical,
        must_have_data=asked.must_have_data,
        muted=asked.muted,
        cles=cles,
        allowed_increase=_or(effect.allowed_increase, usual),
        allowed_decrease=_or(effect.allowed_decrease, usual),
        critical_increase=_or(effect.critical_increase, usual),
        critical_decrease=_or(effect.critical_decrease, usual),
    )


def _or(given: float | None, usual: float) -> float:
    return usual if given is None else given


def steps_of(window: Window, step: float) -> range:
    """The steps within `(start, end]`, counted from 1970 as subqueries do."""
    return range(math.floor(window.start / step) + 1, math.floor(window.end / step) + 1)


def values_of(series: tuple[Series, ...], window: Window, step: float) -> tuple[float, ...]:
    """One value a step; NaN where the only series has none, or there is no series."""
    found = {round(sample.time / step): sample.value for sample in series[0].samples} if series else {}
    return tuple(found.get(at, math.nan) for at in steps_of(window, step))


def judged(name: str, asked: Kayenta, answers: Mapping[tuple[str, Arm], Found], windows: Mapping[Arm, Window]) -> Scored:
    """The judge's answer over the window.

    Args:
        name: of the check.
        asked: its metrics.
        answers: by metric and arm; every metric is there for both arms.
        windows: whose time they are of, by arm.
    """
    data: dict[str, Values] = {}
    for metric in asked.metrics:
        arms: list[tuple[float, ...]] = []
        for arm in (Arm.BASELINE, Arm.CANDIDATE):
            answer = answers[metric.name, arm]
            if isinstance(answer, Reading):
                side = " of blue" if arm is Arm.BASELINE else ""
                return Scored(Outcome.INCONCLUSIVE, answer.reason, f"{metric.name}{side}: {answer.detail}".rstrip(": "))
            arms.append(values_of(answer, windows[arm], asked.step))
        data[metric.name] = Values(*arms)
    return _answered(config_of(name, asked), data)


def _answered(config: CanaryConfig, data: Mapping[str, Values]) -> Scored:
    result = library.judge(config, data, least=LEAST_VALUES)
    outcome = library.outcome(result)
    words = {
        one.name: _Words(result.metrics[one.name], *(library.prepare(arm, one) for arm in (values.experiment, values.control)))
        for one in config.metrics
        for values in (data[one.name],)
    }
    judged = {name: one for name, one in words.items() if one.answer.label in _DECIDED and name not in result.unjudged}
    failed = [f"{name} {one.called}: {one.means}" for name, one in judged.items() if one.answer.label is not Label.PASS]
    score = f"score {number(result.score)}, passes from {number((config.thresholds or (0, 0))[1])}"
    if outcome is Outcome.FAIL:
        return Scored(outcome, reasons.SCORE_FAILED, "; ".join([*failed, score]), result.score)
    if outcome is Outcome.PASS:
        changed = max(judged, key=lambda name: judged[name].change, default="")
        most = [f"most changed is {changed}: {judged[changed].means}"] if changed and not failed else failed
        return Scored(outcome, reasons.SCORE_PASSED, "; ".join([score, *most]), result.score)
    unjudged = [f"{name} {_uncompared(data[name])}" for name in result.unjudged]
    if unjudged:
        return Scored(outcome, reasons.NOT_COMPARED, "; ".join([*unjudged, *failed, score]))
    return Scored(outcome, reasons.SCORE_MARGINAL, "; ".join([*failed, score]), result.score)


_DECIDED = (Label.PASS, Label.HIGH, Label.LOW)


def _uncompared(values: Values) -> str:
    """Why a metric was not compared."""
    counts = {"green": len(library.without_nan(values.experiment)), "blue": len(library.without_nan(values.control))}
    short = [f"{count} of {LEAST_VALUES} values of {colour}" for colour, count in counts.items() if count < LEAST_VALUES]
    return f"has {' and '.join(short)}" if short else "could not be compared"


@dataclass(frozen=True, slots=True)
class _Words:
    """One metric's answer, and the values of green and blue that it rests on."""

    answer: Classified
    green: list[float]
    blue: list[float]

    @property
    def called(self) -> str:
        """High or low, and whether that decides alone."""
        return self.answer.label.lower() + (" (critical)" if self.answer.critical else "")

    @property
    def means(self) -> str:
        """Both means, and green's as a multiple of blue's."""
        if not self.green or not self.blue:
            return "nothing to compare"
        ratio = f" ({self.answer.deviation:.3g} times)" if math.isfinite(self.answer.deviation) else ""
        return f"a mean of {number(fmean(self.green))} vs {number(fmean(self.blue))}{ratio}"

    @property
    def change(self) -> float:
        """How far the means are apart, whatever the direction; 0 where that cannot be said."""
        return abs(math.log(self.answer.deviation)) if 0 < self.answer.deviation < math.inf else 0.0
