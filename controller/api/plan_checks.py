"""What a plan asks of the data: checks, triggers, their limits, and what all sequential checks share.

A check is a gate, judged on the window of a stage; a trigger is watched all the time. `PlanSpec` (plan.py) holds both.
"""

import hashlib
import math
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from controller.api.base import MINUTE, Duration, Model, Name, Number, Percent
from controller.api.measured import Measured
from controller.api.plan_kayenta import Kayenta


class BuiltIn(StrEnum):
    """Checks whose queries Penstock writes."""

    ERROR_RATE = "error-rate"
    SUCCESS_RATE = "success-rate"
    LATENCY = "latency"
    REQUEST_RATE = "request-rate"
    CPU = "cpu"
    MEMORY = "memory"
    UP = "up"
    UNROUTED = "unrouted"


class Method(StrEnum):
    """How a check is judged."""

    THRESHOLD = "threshold"
    SEQUENTIAL = "sequential"
    KAYENTA = "kayenta"


SEQUENTIAL_BUILTINS = (BuiltIn.ERROR_RATE, BuiltIn.LATENCY)
"""Built-in checks that count events of both versions, which is what a sequential test needs."""

GAUGE_BUILTINS = (BuiltIn.CPU, BuiltIn.MEMORY)
"""Built-in checks whose numbers can be paired scrape by scrape."""

DIFFERENCES = {BuiltIn.ERROR_RATE: 0.05, BuiltIn.LATENCY: 0.1}
"""Tolerated difference of a sequential check in points, where the plan names none (docs/analysis/choosing.md)."""

WEIGHTS = {BuiltIn.ERROR_RATE: 0.5, BuiltIn.LATENCY: 0.3}
"""Shares of alpha, where the plan names none; scaled to sum to 1 (docs/analysis/method.md). Counters of your own have that of errors."""

USUAL_GAUGE_EFFECT = 0.5
"""Half as much again as blue: what a pass of a sequential gauge must have been able to show, where the plan names no effect."""

OBJECTIVE_WEIGHT = 0.2
"""As `WEIGHTS`, of a sequential check with a limit beside the baseline."""


class Tolerance(Model):
    """By how much green may be worse than blue before a sequential check counts it: blue's share times `ratio` plus `difference`."""

    ratio: Annotated[float, Field(ge=1, le=100)] = Field(default=1.1, description="Times blue's share of bad requests.")
    difference: Annotated[float, Field(ge=0, le=100)] | None = Field(
        default=None,
        description="Points of percent on top of it. If absent, 0.05 for errors and 0.1 for the requests slower than a bucket edge.",
    )


class Counters(Model):
    """Two counters of your own, as plain selectors with the parameters of a query: their raw samples are counted, so without rate() or sum()."""

    total: Annotated[str, Field(max_length=2048)] = Field(
        description='Selector of all requests, such as payments_total{namespace="$namespace"}.'
    )
    bad: Annotated[str, Field(max_length=2048)] | None = Field(default=None, description="Selector of those among them that failed.")
    good: Annotated[str, Field(max_length=2048)] | None = Field(
        default=None, description="Selector of those among them that did not fail, instead of `bad`."
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.bad is None) == (self.good is None):
            raise ValueError(
                f"found {'neither bad nor good' if self.bad is None else 'bad and good'}, expected one of the two beside total"
            )
        return self

    @property
    def selectors(self) -> tuple[str, str]:
        """Of all requests, and of those that failed (or did not)."""
        return self.total, self.bad or self.good or ""


class Margin(Model):
    """What would be refused: a stage passes early where green is shown to be better than blue's share times `ratio` plus `difference`."""

    ratio: Annotated[float, Field(ge=1, le=100)] = Field(default=1.5, description="Times blue's share of bad requests.")
    difference: Annotated[float, Field(ge=0, le=100)] = Field(default=0.5, description="Points of percent on top of it.")


class Analysis(Model):
    """What all sequential checks of a plan share."""

    alpha: Annotated[float, Field(gt=0, le=0.5)] = Field(
        default=0.01,
        description="Most healthy releases that sequential checks may roll back: one bound for all of them, all stages and every look.",
    )
    beta: Annotated[float, Field(gt=0, le=0.5)] = Field(
        default=0.05, description="Most releases beyond the margin that may pass some stage early; the stages with `earlyAfter` share it."
    )
    dispersion: Annotated[float, Field(ge=1, le=100)] | None = Field(
        default=None,
        description="How much more the counts vary than those of independent requests; the evidence is divided by it. If absent, what `penstock preflight` "
        "measured, check by check; where nothing was measured 2, or what blue shows in the 90 minutes before the first weight, if that is more.",
    )
    measured: Measured | None = Field(
        default=None,
        description="What `penstock preflight` measured on blue. If absent, what it stored in the plan's status when a release starts.",
    )
    error_rate: Annotated[float, Field(ge=0, lt=100)] | None = Field(
        default=None,
        description="Blue's usual error rate, percent; read off its counters at the first weight if absent. Only power depends on it.",
    )


class NoData(Model):
    """What happens where the data gives no answer: never a pass, never by itself a failure of green."""

    deadline: Duration = Field(default=15 * MINUTE, description="How long the release holds for data.")
    then: Literal["rollback", "hold"] = Field(default="rollback", description="What happens at the deadline.")


class Limit(Model):
    """The line that green must not cross; at least one of the limits."""

    max: Number | None = Field(default=None, description="Green must be at or below.")
    min: Number | None = Field(default=None, description="Green must be at or above.")
    below: Number | None = Field(default=None, description="Green must be strictly below.")
    max_ratio: Number | None = Field(default=None, description="Green divided by blue must be at or below: 1.2 is 20 % more than blue.")
    min_ratio: Number | None = Field(default=None, description="Green divided by blue must be at or above.")
    max_difference: Number | None = Field(default=None, description="Green minus blue must be at or below, in the query's unit.")
    min_difference: Number | None = Field(default=None, description="Green minus blue must be at or above, in the query's unit.")

    @property
    def most_ratio(self) -> float:
        """How many times as bad as blue's number it lets green's be, whichever side is the worse one; 1 without a ratio."""
        return 1 / self.min_ratio if self.min_ratio else self.max_ratio or 1.0

    @property
    def relative(self) -> bool:
        """Whether blue is needed to answer."""
        return any(x is not None for x in (self.max_ratio, self.min_ratio, self.max_difference, self.min_difference))

    @property
    def given(self) -> frozenset[str]:
        """Names of the limits that have a number."""
        return frozenset(name for name in type(self).model_fields if getattr(self, name) is not None)

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if not self.given:
            raise ValueError("found no number, expected at least one of max, min, below, maxRatio, minRatio, maxDifference, minDifference")
        return self


class Repeat(Model):
    """How many failing measurements make a failure."""

    consecutive: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="Failing measurements in a row; a passing one resets."
    )
    failures: Annotated[int, Field(ge=1, le=100)] | None = Field(default=None, description="Failing measurements among the last `of`.")
    of: Annotated[int, Field(ge=1, le=100)] | None = Field(default=None, description="How many of the last measurements are looked at.")

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.failures is None) != (self.of is None):
            raise ValueError("found one of failures and of alone, expected both (3 failures of 5)")
        if self.failures is not None and self.of is not None and self.failures > self.of:
            raise ValueError(f"found {self.failures} failures of {self.of}, expected failures at most of")
        if self.failures is not None and self.consecutive is not None:
            raise ValueError("found consecutive together with failures/of, expected one of the two")
        return self


class CheckBase(Model):
    """One question of the data."""

    name: Name = Field(description="Name of the check.")
    builtin: BuiltIn | None = Field(default=None, description="A check whose query Penstock writes.")
    query: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="PromQL with the parameters $namespace $workload $service $host $revision $colour and [$window]."
    )
    member: Name | None = Field(default=None, description="Member the parameters speak of; the first one if absent.")
    quantile: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.99, description="Quantile of the builtin latency check.")
    limit: Limit | None = Field(
        default=None,
        description="The line that green must not cross. With `method: sequential`: for error-rate and counters `max`, an objective that is tested beside blue's share "
        "(percent); for a gauge `maxRatio` or `minRatio`, what is tolerated.",
    )
    unit: Annotated[str, Field(max_length=16)] = Field(default="", description="Unit printed behind the numbers.")
    provider: Annotated[str, Field(max_length=63)] = Field(
        default="", description="Prometheus of the controller's configuration; the default one if empty."
    )
    observe: bool = Field(default=False, description="Judge and show, without acting.")
    no_data: NoData = Field(default_factory=NoData, description="What happens without data.")


FULL = 100
"""All of them, percent."""


def _tolerates(limit: Limit) -> bool:
    """Whether a limit says by which factor green may differ from blue, on one side."""
    if len(limit.given) > 1:
        return False
    return (limit.max_ratio or 0) >= 1 or 0 < (limit.min_ratio or 0) <= 1


TAIL_REQUESTS = 10
"""Slow requests that a quantile must rest on: the ten slowest of a thousand for p99. Of two equal versions (lognormal, median 40 ms, p99
180 ms) one is more than 20 % slower in 8 of 100 windows of 100 requests, in 4 of 100 windows of 300, and in fewer than 1 of 100 windows of 1,000."""

LEAST_FAILED = 10
"""Failed requests behind a failing measurement of a builtin error rate in a trigger, where the plan says nothing.

With 5 points above blue as its line, that many failed requests among those of a minute are less likely than once in 100,000 for a green that fails as often as blue with
1 % errors, however few requests there are; with one or two of fifteen it would go back for nothing."""

FAILED_SHARES = (BuiltIn.ERROR_RATE, BuiltIn.SUCCESS_RATE)
"""Built-in checks that ask which share of the requests failed, and which did not."""

REQUESTS_COUNTED = (*FAILED_SHARES, BuiltIn.REQUEST_RATE)
"""Built-in checks about the counter of requests alone."""

CHANCE_DEVIATIONS = 4
"""Standard deviations of the difference of both rates by which a builtin error rate must be beyond blue's, in a trigger that compares with blue.

The more often blue fails, the more chance moves green's rate: at 20 % of 60 requests, 5 points are one deviation. A release looks some hundred times. With three deviations
4 of 40 healthy releases beside a blue with 20 % errors at 20 requests a second went back, with four none did."""


class Check(CheckBase):
    """A gate: asked of each stage's window at its end. With `method: sequential` also a trigger, from the first weight on."""

    method: Method | None = Field(
        default=None,
        description="`threshold`: one number against `limit`. `sequential`: green against blue at every scrape; for the builtins error-rate and latency, for counters, "
        "and for gauges (a query, cpu, memory). If absent, `threshold` where there is a limit, else `sequential`; counters are always judged sequentially. "
        "`kayenta`: Kayenta's judge over the values of `kayenta`, at the window's end.",
    )
    counters: Counters | None = Field(
        default=None, description="Counters of your own instead of a builtin or a query; judged sequentially."
    )
    kayenta: Kayenta | None = Field(
        default=None, description="With `method: kayenta`, instead of a builtin, a query or counters: what its judge is asked."
    )
    tolerance: Tolerance = Field(default_factory=Tolerance, description="By how much green may be worse, where it is judged sequentially.")
    margin: Margin = Field(
        default_factory=Margin, description="Sequential: how bad a green would be refused, where a stage may pass early."
    )
    effect: Annotated[float, Field(gt=0, lt=100)] | None = Field(
        default=None,
        description="Sequential: percent of green's bad requests that must have been detectable for a pass (with latency: points above blue's share). If absent, "
        "5, or five times blue's rate where that is more.",
    )
    weight: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="Sequential: its share of alpha, scaled so that all shares sum to 1. If absent, 0.5 for errors and counters, 0.3 for latency, 0.2 with a limit.",
    )
    min_requests: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Requests of green that this check needs in the window, where the stage does not ask for more; fewer is inconclusive. If absent, "
        "the builtin latency check needs ten beyond its quantile: 1000 at 0.99, 200 at 0.95; the others what the stage asks for.",
    )
    repeat: Repeat = Field(
        default_factory=Repeat,
        description="A failure is measured again after the window's end, every 10 s, and counts by this rule; once if absent.",
    )
    stages: Annotated[list[Percent], Field(max_length=32)] = Field(default=[], description="Weights of the stages it judges; all if empty.")

    @model_validator(mode="after")
    def _kayenta_by_name(self) -> Self:
        if (self.kayenta is not None) != (self.method is Method.KAYENTA):
            raise ValueError("found one of method: kayenta and kayenta alone, expected both")
        if self.kayenta is not None and (self.limit is not None or self.repeat != Repeat()):
            raise ValueError("found a limit or repeat with method: kayenta, expected its scoreThresholds alone")
        return self

    @model_validator(mode="after")
    def _by_its_method(self) -> Self:
        if self.kayenta is not None:
            return self
        if self.method is Method.THRESHOLD and self.counters is not None:
            raise ValueError("found counters with method: threshold, expected a query with a limit; counters are judged sequentially")
        if self.gauge:
            return self._as_gauge()
        if not self.sequential:
            if self.limit is None:
                raise ValueError("found no limit, expected one such as {maxRatio: 1.2}; only builtin: error-rate and latency need none")
            return self
        if self.builtin not in SEQUENTIAL_BUILTINS and self.counters is None:
            raise ValueError(
                f"found builtin: {self.builtin} with method: sequential, expected error-rate, latency, cpu, memory, counters or a query"
            )
        if self.limit is not None:
            self._as_objective(self.limit)
        if self.repeat != Repeat():
            raise ValueError("found repeat with method: sequential, expected none: its bound holds for every look together")
        return self

    def _as_objective(self, limit: Limit) -> None:
        if self.builtin is BuiltIn.LATENCY:
            raise ValueError("found a limit with method: sequential, expected tolerance instead; a second check may have the limit")
        if limit.max is None or not 0 < limit.max < FULL or len(limit.given) > 1:
            raise ValueError(
                "found another limit with method: sequential, expected max alone, a percent between 0 and 100 such as {max: 1}"
            )
        if self.tolerance != Tolerance():
            raise ValueError(
                "found a tolerance beside a limit with method: sequential, expected one of the two: beside a limit blue's share is not added to"
            )

    def _as_gauge(self) -> Self:
        limit = self.limit
        if limit is None or not _tolerates(limit):
            found = "no limit" if limit is None else "another limit"
            raise ValueError(
                f"found {found} of a sequential gauge, expected one of {{maxRatio: 1.2}}, at least 1, and {{minRatio: 0.8}}, at most 1"
            )
        return self

    @property
    def sequential(self) -> bool:
        """Whether its counts are judged at every scrape."""
        if self.method is None:
            return self.counters is not None or (self.limit is None and self.builtin in SEQUENTIAL_BUILTINS)
        return self.method is Method.SEQUENTIAL and not self.gauge

    @property
    def gauge(self) -> bool:
        """Whether its number is to be paired with blue's at every scrape; where blue's history is not known it is judged by its limit."""
        return self.method is Method.SEQUENTIAL and (self.query is not None or self.builtin in GAUGE_BUILTINS)

    def asked_of(self, workload: str) -> str:
        """Digest of what a gauge or counters ask of a workload: what was measured for another question says nothing about this one."""
        what = self.query or self.builtin or " ".join(self.counters.selectors if self.counters is not None else ())
        return hashlib.sha256(f"{what} {workload} {self.provider}".encode()).hexdigest()[:12]

    @property
    def objective(self) -> float | None:
        """Percent of bad requests that green must not exceed, beside blue's share; None where a sequential check has none."""
        return self.limit.max if self.sequential and self.limit is not None else None

    @property
    def needed_requests(self) -> int:
        """Requests of green without which this check has no answer, whatever the stage asks for."""
        if self.min_requests is not None or self.sequential:
            return self.min_requests or 0
        return math.ceil(round(TAIL_REQUESTS / (1 - self.quantile), 6)) if self.builtin is BuiltIn.LATENCY else 0


class HttpProbe(Model):
    """A health probe that is watched all the time."""

    path: Annotated[str, Field(max_length=512, pattern="^/")] = Field(description="Path of the GET request.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=80, description="Port of the member's Service.")
    timeout: Duration = Field(default=3.0, description="Time limit of one probe.")
    status: Annotated[int, Field(ge=100, le=599)] | None = Field(
        default=None, description="The only HTTP status that passes, such as 200; any of 200 to 399 if absent."
    )


class Trigger(Model):
    """A check that is watched all the time from the first weight, and rolls back at once."""

    name: Name = Field(description="Name of the trigger.")
    builtin: BuiltIn | None = Field(default=None, description="A check whose query Penstock writes.")
    query: Annotated[str, Field(max_length=4096)] | None = Field(
        default=None, description="PromQL, as in a check; [$window] is `range` here."
    )
    probe: HttpProbe | None = Field(
        default=None, description="Ask green's Service by HTTP instead of Prometheus; acts after green has passed it once."
    )
    member: Name | None = Field(default=None, description="Member the parameters speak of; the first one if absent.")
    quantile: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.99, description="Quantile of the builtin latency check.")
    limit: Limit | None = Field(default=None, description="The line that green must not cross; none for a probe.")
    unit: Annotated[str, Field(max_length=16)] = Field(default="", description="Unit printed behind the numbers.")
    provider: Annotated[str, Field(max_length=63)] = Field(default="", description="Prometheus of the controller's configuration.")
    interval: Duration = Field(default=10.0, description="How often it is asked, from 1s up.")
    range: Duration = Field(
        default=60.0, description="Value of [$window] in its query; of a builtin error-rate or success-rate the time whose requests count."
    )
    min_failed: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Failed requests of green in `range` that a failing measurement of a builtin error-rate or success-rate needs; with fewer it is inconclusive. "
        "10 if absent. Where it compares with blue it needs more than chance makes at blue's rate, too.",
    )
    repeat: Repeat = Field(default_factory=Repeat, description="Failing measurements that make a failure; one if absent.")
    together: Name | None = Field(
        default=None, description="Group: it rolls back only when `groups` says that enough of the group fail at once."
    )
    observe: bool = Field(default=False, description="Judge and show, without acting.")

    @property
    def needed_failed(self) -> int | None:
        """Failed requests below which a failing measurement is chance, whatever blue's rate is; None for everything but the built-in rates of errors."""
        if self.builtin not in FAILED_SHARES:
            return None
        return LEAST_FAILED if self.min_failed is None else self.min_failed


class Group(Model):
    """Triggers that roll back only together."""

    name: Name = Field(description="Name of the group.")
    failing: Annotated[int, Field(ge=1, le=64)] = Field(description="Triggers of the group that must be failing at the same moment.")


def default_checks() -> list[Check]:
    """Error rate and latency against blue's at every scrape."""
    return [
        Check(name="error-rate", builtin=BuiltIn.ERROR_RATE, method=Method.SEQUENTIAL),
        Check(name="latency", builtin=BuiltIn.LATENCY, method=Method.SEQUENTIAL),
    ]


def default_triggers() -> list[Trigger]:
    """An error rate that no release should live through."""
    return [
        Trigger(name="errors", builtin=BuiltIn.ERROR_RATE, limit=Limit(max_difference=5.0), unit="%", repeat=Repeat(consecutive=2)),
    ]
