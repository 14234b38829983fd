"""What `penstock preflight` measured on blue, and how it comes into the plan that a release goes by.

It is stored in the ReleasePlan's status, because the spec is its author's; whoever wants it in git writes it into `analysis.measured`.
A release freezes it with the plan, so that measuring again changes nothing that runs.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from controller.api.base import Model, Name, Number

LEAST_HOURS = 6.0
"""Of blue's samples; what rests on fewer is not stored."""

MOST_LINES = 5


class MeasuredLine(Model):
    """One rate of blue: of failed requests, or of those slower than a bucket edge."""

    edge: Number | None = Field(default=None, description="Bucket edge, milliseconds; none for failed requests.")
    share: Annotated[float, Field(ge=0, le=100)] = Field(description="Percent of blue's requests that failed, or were slower.")
    bursts: Annotated[float, Field(ge=0)] = Field(description="Dispersion of the counts within one scrape; 1 is independent requests.")
    widest: Annotated[float, Field(ge=0)] = Field(description="Largest dispersion over scrapes, minutes and five minutes.")


class MeasuredCheck(Model):
    """What was measured for the sequential checks of one kind on one workload."""

    builtin: Literal["error-rate", "latency"] = Field(description="Built-in check.")
    workload: Name = Field(description="The member's Deployment in the first slot, whose pods were compared.")
    counters: Annotated[str, Field(max_length=32)] = Field(
        default="", description="Digest of a check's own counters, where the lines are about those; of other counters they say nothing."
    )
    lines: Annotated[list[MeasuredLine], Field(min_length=1, max_length=MOST_LINES)] = Field(
        description="The error rate, or up to five bucket edges."
    )

    @property
    def key(self) -> tuple[str, str, str]:
        """Built-in check, workload and own counters: what it was measured for."""
        return self.builtin, self.workload, self.counters


class MeasuredGauge(Model):
    """How much a gauge of blue differs between its pods, for a sequential check of that gauge."""

    check: Name = Field(description="Name of the check.")
    asked: Annotated[str, Field(max_length=32)] = Field(description="Digest of its query and workload: of another query it says nothing.")
    variance: Annotated[float, Field(gt=0)] = Field(
        description="Long-run variance of the log of the ratio between two halves of blue's pods, times seconds."
    )


class Measured(Model):
    """Blue's past as sequential checks use it."""

    until: Number = Field(description="End of the measured time, Unix seconds.")
    hours: Annotated[float, Field(gt=0)] = Field(description="Hours of samples that it rests on.")
    releases: Annotated[int, Field(ge=0)] = Field(default=0, description="Pretended releases of blue against itself.")
    rolled_back: Annotated[int, Field(ge=0)] = Field(default=0, description="Those that would have been rolled back with these numbers.")
    checks: Annotated[list[MeasuredCheck], Field(min_length=1, max_length=64)] = Field(description="By built-in check and workload.")
    gauges: Annotated[list[MeasuredGauge], Field(max_length=64)] = Field(default=[], description="By sequential gauge check.")

    def variance_of(self, check: str, asked: str) -> float | None:
        """What was measured for a gauge; None where nothing was, or of another query."""
        return next((one.variance for one in self.gauges if (one.check, one.asked) == (check, asked)), None)

    def of(self, builtin: str, workload: str, counters: str = "") -> tuple[MeasuredLine, ...]:
        """What was measured for a check, or for counters of its own; empty where nothing was."""
        return tuple(line for one in self.checks if one.key == (builtin, workload, counters) for line in one.lines)


def filled_in(spec: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
    """The spec of a plan object with what its status has measured, where the author wrote nothing of that kind.

    Nonsense in the status counts as not measured: it must not stand in the way of a release.
    """
    analysis = spec.get("analysis") or {}
    found = status.get("measured")
    if not found or not isinstance(analysis, Mapping) or analysis.get("measured") is not None or not _readable(found):
        return dict(spec)
    return {**spec, "analysis": {**analysis, "measured": found}}


def _readable(found: Any) -> bool:
    try:
        Measured.model_validate(found)
    except ValueError:
        return False
    return True
