"""`method: kayenta` in a plan: a `canaryConfig` with the words of the original, and queries of ours.

What differs from the original's file: `analysisConfigurations.canary` has no level of its own, a query is PromQL with the
parameters of a check, and the step stands beside the metrics because there is no pipeline that could say it.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from controller.api.base import MINUTE, Duration, Model, Number

LEAST_VALUES = 5
"""Of each colour: two samples of four have a p of 2/70 at best, more than the judge's 2 %, so that nothing could fail."""

Text = Annotated[str, Field(min_length=1, max_length=128)]
"""A name as the original allows it: any text."""


class Outliers(Model):
    """Which values are left out before two samples are compared."""

    strategy: Literal["keep", "remove"] = Field(default="keep", description="`remove`: values far outside the quartiles are left out.")
    outlier_factor: Annotated[float, Field(gt=0, le=100)] = Field(default=3.0, description="How many interquartile ranges count as far.")


class EffectSize(Model):
    """How large a significant change must be to count."""

    measure: Literal["meanRatio", "cles"] = Field(
        default="meanRatio",
        description="`meanRatio`: green's mean divided by blue's. `cles`: the chance that a value of green is the larger one.",
    )
    allowed_increase: Number | None = Field(
        default=None, description="Effect that a rise must reach; any rise if absent (1, or 0.5 with cles)."
    )
    allowed_decrease: Number | None = Field(default=None, description="Effect that a fall must reach; any fall if absent.")
    critical_increase: Number | None = Field(default=None, description="Effect from which a rise of a critical metric fails everything.")
    critical_decrease: Number | None = Field(default=None, description="Effect from which a fall of a critical metric fails everything.")


class KayentaMetric(Model):
    """One metric: its values over the window, one a step, of both colours."""

    name: Text = Field(description="Name of the metric.")
    query: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        description="PromQL with one number a step; the parameters are those of a check, and [$window] is the step."
    )
    groups: Annotated[list[Text], Field(max_length=16)] = Field(
        default=[], description="Groups whose score it counts for; without one it counts for none."
    )
    direction: Literal["increase", "decrease", "either"] = Field(default="either", description="Which change is a failure.")
    nan_strategy: Literal["remove", "replace"] = Field(default="remove", description="Steps without a value are left out, or are 0.")
    outliers: Outliers = Field(default_factory=Outliers, description="Values that are left out.")
    critical: bool = Field(default=False, description="Its failure fails everything, whatever the score.")
    must_have_data: bool = Field(default=False, description="Without values it counts as failed; the check is inconclusive even so.")
    muted: bool = Field(default=False, description="Judge and show it, without counting.")
    effect_size: EffectSize = Field(default_factory=EffectSize, description="How large a change must be.")


class ScoreThresholds(Model):
    """What a score of 0 to 100 means."""

    passing: Annotated[float, Field(ge=0, le=100)] = Field(default=95.0, alias="pass", description="From here on it passes.")
    marginal: Annotated[float, Field(ge=0, le=100)] = Field(default=75.0, description="Below it fails; between the two it is inconclusive.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.marginal > self.passing:
            raise ValueError(f"found marginal {self.marginal:g} above pass {self.passing:g}, expected at most that")
        return self


class Kayenta(Model):
    """What Kayenta's judge is asked at a window's end."""

    step: Duration = Field(default=MINUTE, description="One value of each metric every so much of the window.")
    metrics: Annotated[list[KayentaMetric], Field(min_length=1, max_length=64)] = Field(description="What is compared.")
    group_weights: Annotated[dict[Text, Annotated[float, Field(ge=0, le=100)]], Field(max_length=64)] = Field(
        default={}, description="Percent of the score by group; groups without one share what is left."
    )
    score_thresholds: ScoreThresholds = Field(default_factory=ScoreThresholds, description="What the score means.")

    @model_validator(mode="after")
    def _can_be_scored(self) -> Self:
        names = [metric.name for metric in self.metrics]
        twice = next((name for name in names if names.count(name) > 1), "")
        if twice:
            raise ValueError(f"found the metric {twice} a second time, expected names of their own")
        if self.step <= 0:
            raise ValueError("found a step of 0 s, expected one such as 1m")
        counted = {group for metric in self.metrics if not metric.muted for group in metric.groups}
        if not counted:
            raise ValueError("found no metric with groups that is not muted, expected one: the score could not pass")
        unknown = sorted(set(self.group_weights) - counted)
        if unknown:
            raise ValueError(f"found a weight of {', '.join(unknown)}, expected groups of metrics that count: {', '.join(sorted(counted))}")
        if sum(self.group_weights.values()) > 100:  # noqa: PLR2004 - percent
            raise ValueError(f"found group weights of {sum(self.group_weights.values()):g} % together, expected at most 100")
        return self
