"""ReleasePlan: where traffic is split, what moves together, the stages, the checks and the way back.

A plan names two *slots*, the places where a version can live. Blue is the slot that is observed at 100 %.
"""

import math
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from controller.api.base import Duration, Model, Name, Number, Percent
from controller.api.measured import Measured

MINUTE = 60.0


class Probe(Model):
    """An HTTP health probe that every ready member must answer with 200-399, asked by the controller."""

    path: Annotated[str, Field(max_length=512, pattern="^/")] = Field(description="Path of the GET request, such as /health.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=80, description="Port of the member's Service.")
    attempts: Annotated[int, Field(ge=1, le=100)] = Field(default=3, description="Probes in a row that must succeed before the member counts as ready.")
    timeout: Duration = Field(default=3.0, description="Time limit of one probe.")


class Member(Model):
    """One workload that moves with the release, and the Service through which it is reached."""

    name: Name = Field(description="Name of the member in this plan; `--image NAME=REF` refers to it.")
    workload: Name = Field(description="Name of the Deployment in the first slot; in the second slot its suffix is appended.")
    service: Name | None = Field(default=None, description="Name of its Service; the workload's name if absent.")
    container: Name | None = Field(default=None, description="Container that gets the new image; the first one if absent.")
    config_maps: Annotated[list[Name], Field(max_length=32)] = Field(
        default=[], description="ConfigMaps to bring along when the clone lives in another namespace."
    )
    secrets: Annotated[list[Name], Field(max_length=32)] = Field(
        default=[], description="Secrets to bring along into another namespace; needs the optional Role on these names."
    )
    environment: Annotated[dict[str, str], Field(max_length=64)] = Field(default={}, description="Environment variables to set on the clone.")
    probe: Probe | None = Field(default=None, description="Health probe of this member.")

    @property
    def service_name(self) -> str:
        """The Service's name in the first slot."""
        return self.service or self.workload


class Slot(Model):
    """A place where a version can live."""

    name: Name = Field(description="Word for this place in reports.")
    namespace: Name | None = Field(default=None, description="Namespace of its workloads and Services; the plan's own if absent.")
    suffix: Annotated[str, Field(max_length=20, pattern="^(-[a-z0-9]+)*$")] = Field(
        default="", description="Appended to workload and Service names in this place, such as -green."
    )


class GreenSource(StrEnum):
    """Where green comes from."""

    CLONE = "clone"
    ADOPT = "adopt"


class Bypass(Model):
    """A rule that sends some requests to green whatever the weights say (a header or cookie route)."""

    route: Name = Field(description="Name of the http rule. It is pointed at green for the release and at blue on a rollback.")
    header: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="If the rule does not exist: make one in front, matching this header; removed at the end."
    )
    value: Annotated[str, Field(max_length=128)] = Field(default="true", description="Exact value of the header.")


class VirtualServiceRef(Model):
    """One VirtualService whose weights this plan moves."""

    name: Name = Field(description="Name of the VirtualService.")
    namespace: Name | None = Field(default=None, description="Its namespace; the plan's own if absent.")
    routes: Annotated[list[str], Field(max_length=64)] = Field(
        default=[], description="Names of the http rules to move. If empty: every rule whose destinations are blue and green, or blue alone."
    )
    bypass: Annotated[list[Bypass], Field(max_length=16)] = Field(default=[], description="Rules that bypass the weights, listed so that they are handled.")


class TrafficMetrics(StrEnum):
    """By what the observed split is measured."""

    ISTIO = "istio"
    NONE = "none"


class Traffic(Model):
    """Where traffic is split and how the split is seen."""

    virtual_service: Name | None = Field(default=None, description="Short form of `virtualServices` with one entry in the plan's namespace.")
    virtual_services: Annotated[list[VirtualServiceRef], Field(max_length=32)] = Field(default=[], description="VirtualServices moved in step.")
    destination_rule: Name | None = Field(default=None, description="DestinationRule with the subsets; found by its host if absent.")
    metrics: TrafficMetrics = Field(
        default=TrafficMetrics.ISTIO,
        description="`istio`: a window opens when istio_requests_total shows the granted split. `none`: after the settle time.",
    )
    reporter: Literal["source", "destination"] = Field(default="source", description="Whose istio_requests_total is counted; never both.")
    scrape_interval: Duration = Field(default=15.0, description="How often Prometheus scrapes these series.")
    gitops: Literal["refuse", "ignored"] = Field(
        default="refuse", description="`ignored`: the GitOps tool was told to ignore the weights; otherwise an object that it reconciles is refused."
    )

    @property
    def targets(self) -> tuple[VirtualServiceRef, ...]:
        """All VirtualServices, the short form included."""
        short = (VirtualServiceRef(name=self.virtual_service),) if self.virtual_service else ()
        return short + tuple(self.virtual_services)


class Stage(Model):
    """One step of the way to green."""

    weight: Annotated[int, Field(ge=1, le=100)] = Field(description="Percent of the requests for green.")
    window: Duration = Field(default=5 * MINUTE, description="How long this stage is judged; at 100 % this is the bake.")
    warm_up: Duration = Field(default=30.0, description="Time after the settled split that is not judged.")
    min_requests: Annotated[int, Field(ge=0)] = Field(default=100, description="Requests that green must have had in the window; fewer is inconclusive.")
    early_after: Duration | None = Field(
        default=None,
        description="From this much of the window on the stage passes early, once it is shown that green is within the margin of all its checks, which must be "
        "sequential. If absent it never does.",
    )
    hold: bool = Field(default=False, description="Wait for `penstock advance` after this stage has passed.")


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


SEQUENTIAL_BUILTINS = (BuiltIn.ERROR_RATE, BuiltIn.LATENCY)
"""Built-in checks that count events of both versions, which is what a sequential test needs."""

DIFFERENCES = {BuiltIn.ERROR_RATE: 0.05, BuiltIn.LATENCY: 0.1}
"""Tolerated difference of a sequential check in points, where the plan names none (docs/analysis/choosing.md)."""

WEIGHTS = {BuiltIn.ERROR_RATE: 0.5, BuiltIn.LATENCY: 0.3}
"""Shares of alpha, where the plan names none; scaled to sum to 1 (docs/analysis/method.md)."""


class Tolerance(Model):
    """By how much green may be worse than blue before a sequential check counts it: blue's share times `ratio` plus `difference`."""

    ratio: Annotated[float, Field(ge=1, le=100)] = Field(default=1.1, description="Times blue's share of bad requests.")
    difference: Annotated[float, Field(ge=0, le=100)] | None = Field(
        default=None, description="Points of percent on top of it. If absent, 0.05 for errors and 0.1 for the requests slower than a bucket edge."
    )


class Margin(Model):
    """What would be refused: a stage passes early where green is shown to be better than blue's share times `ratio` plus `difference`."""

    ratio: Annotated[float, Field(ge=1, le=100)] = Field(default=1.5, description="Times blue's share of bad requests.")
    difference: Annotated[float, Field(ge=0, le=100)] = Field(default=0.5, description="Points of percent on top of it.")


class Analysis(Model):
    """What all sequential checks of a plan share."""

    alpha: Annotated[float, Field(gt=0, le=0.5)] = Field(
        default=0.01, description="Most healthy releases that sequential checks may roll back: one bound for all of them, all stages and every look."
    )
    beta: Annotated[float, Field(gt=0, le=0.5)] = Field(
        default=0.05, description="Most releases beyond the margin that may pass some stage early; the stages with `earlyAfter` share it."
    )
    dispersion: Annotated[float, Field(ge=1, le=100)] | None = Field(
        default=None,
        description="How much more the counts vary than those of independent requests; the evidence is divided by it. If absent, what `penstock preflight` "
        "measured, check by check, and 2 where nothing was measured.",
    )
    measured: Measured | None = Field(
        default=None, description="What `penstock preflight` measured on blue. If absent, what it stored in the plan's status when a release starts."
    )
    error_rate: Annotated[float, Field(ge=0, lt=100)] | None = Field(
        default=None, description="Blue's usual error rate, percent; read off its counters at the first weight if absent. Only power depends on it."
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
    def relative(self) -> bool:
        """Whether blue is needed to answer."""
        return any(x is not None for x in (self.max_ratio, self.min_ratio, self.max_difference, self.min_difference))

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if not any(getattr(self, name) is not None for name in type(self).model_fields):
            raise ValueError("found no number, expected at least one of max, min, below, maxRatio, minRatio, maxDifference, minDifference")
        return self


class Repeat(Model):
    """How many failing measurements make a failure."""

    consecutive: Annotated[int, Field(ge=1, le=100)] | None = Field(default=None, description="Failing measurements in a row; a passing one resets.")
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
    limit: Limit | None = Field(default=None, description="The line that green must not cross; none with `method: sequential`.")
    unit: Annotated[str, Field(max_length=16)] = Field(default="", description="Unit printed behind the numbers.")
    provider: Annotated[str, Field(max_length=63)] = Field(default="", description="Prometheus of the controller's configuration; the default one if empty.")
    observe: bool = Field(default=False, description="Judge and show, without acting.")
    no_data: NoData = Field(default_factory=NoData, description="What happens without data.")


TAIL_REQUESTS = 10
"""Slow requests that a quantile must rest on: the ten slowest of a thousand for p99. Of two equal versions (lognormal, median 40 ms, p99
180 ms) one is more than 20 % slower in 8 of 100 windows of 100 requests, in 4 of 100 windows of 300, and in fewer than 1 of 100 windows of 1,000."""


class Check(CheckBase):
    """A gate: asked of each stage's window at its end. With `method: sequential` also a trigger, from the first weight on."""

    method: Method | None = Field(
        default=None,
        description="`threshold`: one number against `limit`. `sequential`: green's counts against blue's at every scrape; for the builtins error-rate and latency. "
        "If absent, `threshold` where there is a limit, else `sequential`.",
    )
    tolerance: Tolerance = Field(default_factory=Tolerance, description="By how much green may be worse, where it is judged sequentially.")
    margin: Margin = Field(default_factory=Margin, description="Sequential: how bad a green would be refused, where a stage may pass early.")
    effect: Annotated[float, Field(gt=0, lt=100)] | None = Field(
        default=None,
        description="Sequential: percent of green's bad requests that must have been detectable for a pass (with latency: points above blue's share). If absent, "
        "5, or five times blue's rate where that is more.",
    )
    weight: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="Sequential: its share of alpha, scaled so that all shares sum to 1. If absent, 0.5 for errors and 0.3 for latency."
    )
    min_requests: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Requests of green that this check needs in the window, where the stage does not ask for more; fewer is inconclusive. If absent, "
        "the builtin latency check needs ten beyond its quantile: 1000 at 0.99, 200 at 0.95; the others what the stage asks for.",
    )
    repeat: Repeat = Field(default_factory=Repeat, description="A failure is measured again after the window's end, every 10 s, and counts by this rule; once if absent.")
    stages: Annotated[list[Percent], Field(max_length=32)] = Field(default=[], description="Weights of the stages it judges; all if empty.")

    @model_validator(mode="after")
    def _by_its_method(self) -> Self:
        if not self.sequential:
            if self.limit is None:
                raise ValueError("found no limit, expected one such as {maxRatio: 1.2}; only builtin: error-rate and latency need none")
            return self
        if self.limit is not None:
            raise ValueError("found a limit with method: sequential, expected tolerance instead; a second check may have the limit")
        if self.builtin not in SEQUENTIAL_BUILTINS:
            found = f"builtin: {self.builtin}" if self.builtin is not None else "a query"
            raise ValueError(f"found {found} with method: sequential, expected builtin: error-rate or latency")
        if self.repeat != Repeat():
            raise ValueError("found repeat with method: sequential, expected none: its bound holds for every look together")
        return self

    @property
    def sequential(self) -> bool:
        """Whether it is judged at every scrape."""
        if self.method is None:
            return self.limit is None and self.builtin in SEQUENTIAL_BUILTINS
        return self.method is Method.SEQUENTIAL

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


class Trigger(Model):
    """A check that is watched all the time from the first weight, and rolls back at once."""

    name: Name = Field(description="Name of the trigger.")
    builtin: BuiltIn | None = Field(default=None, description="A check whose query Penstock writes.")
    query: Annotated[str, Field(max_length=4096)] | None = Field(default=None, description="PromQL, as in a check; [$window] is `range` here.")
    probe: HttpProbe | None = Field(default=None, description="Ask green's Service by HTTP instead of Prometheus; acts after green has passed it once.")
    member: Name | None = Field(default=None, description="Member the parameters speak of; the first one if absent.")
    quantile: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.99, description="Quantile of the builtin latency check.")
    limit: Limit | None = Field(default=None, description="The line that green must not cross; none for a probe.")
    unit: Annotated[str, Field(max_length=16)] = Field(default="", description="Unit printed behind the numbers.")
    provider: Annotated[str, Field(max_length=63)] = Field(default="", description="Prometheus of the controller's configuration.")
    interval: Duration = Field(default=10.0, description="How often it is asked, from 1s up.")
    range: Duration = Field(default=60.0, description="Value of [$window] in its query.")
    repeat: Repeat = Field(default_factory=Repeat, description="Failing measurements that make a failure; one if absent.")
    together: Name | None = Field(default=None, description="Group: it rolls back only when `groups` says that enough of the group fail at once.")
    observe: bool = Field(default=False, description="Judge and show, without acting.")


class Group(Model):
    """Triggers that roll back only together."""

    name: Name = Field(description="Name of the group.")
    failing: Annotated[int, Field(ge=1, le=64)] = Field(description="Triggers of the group that must be failing at the same moment.")


class Preparation(Model):
    """How green is brought up."""

    green: GreenSource = Field(default=GreenSource.CLONE, description="`clone`: copied from blue with the new images. `adopt`: made by others.")
    deadline: Duration = Field(default=10 * MINUTE, description="Time until every member is ready and healthy.")
    restarts: Annotated[int, Field(ge=0, le=1000)] = Field(default=3, description="Restarts of green's pods beyond which it is not ready.")
    route_delay: Duration = Field(default=12.0, description="Time for green's cluster to reach the proxies before its first weight, and for pods that came back before it gets more.")
    size: Literal["blue", "own"] = Field(default="blue", description="`blue`: as many replicas as blue has, looked at before each stage.")


class Settle(Model):
    """When the observed split counts as the granted one."""

    deadline: Duration = Field(default=2 * MINUTE, description="After this the release holds and says which split was seen.")
    min_requests: Annotated[int, Field(ge=0)] = Field(default=200, description="Requests since the change that must have been seen.")
    time: Duration = Field(default=30.0, description="Fixed wait where `traffic.metrics` is none.")


class Rollback(Model):
    """Time budgets of a rollback; an overrun is reported, never a reason to stop."""

    traffic: Duration = Field(default=30.0, description="From the decision until every route is on blue.")
    blue_ready: Duration = Field(default=2 * MINUTE, description="Until blue's pods are ready.")
    blue_healthy: Duration = Field(default=MINUTE, description="Until blue's probes pass.")
    teardown: Duration = Field(default=MINUTE, description="From the end of the drain until green is gone.")
    drain: Duration = Field(default=30.0, description="Wait after weight 0 before green is taken down; at least preparation.routeDelay.")
    drain_deadline: Duration = Field(default=15 * MINUTE, description="Time in which 'no traffic seen' must be shown; after it a person is asked.")
    keep_green: bool = Field(default=False, description="Leave green running at weight 0.")


class Finish(Model):
    """What happens after the last stage has passed."""

    mode: Literal["swap", "home"] = Field(
        default="swap", description="`swap`: green is the next blue. `home`: the original gets the new image and traffic returns to it."
    )
    retention: Duration = Field(default=10 * MINUTE, description="How long the old version is kept after success.")
    size: Annotated[int, Field(ge=1, le=10000)] | None = Field(default=None, description="Replicas of the old version meanwhile; full size if absent.")
    then: Literal["auto", "delete", "scale", "keep"] = Field(
        default="auto", description="`auto`: delete what Penstock made, scale the rest to zero. `delete`, `scale` to zero, or `keep`."
    )


class History(Model):
    """How many finished releases are kept, their records with them."""

    releases: Annotated[int, Field(ge=1, le=1000)] = Field(default=10, description="Finished releases kept.")
    age: Duration | None = Field(default=None, description="Finished releases older than this are removed.")
    megabytes: Annotated[int, Field(ge=1, le=1000)] = Field(default=20, description="Size of all kept evidence.")


def default_stages() -> list[Stage]:
    """5, 25, 50 and 100 percent."""
    return [Stage(weight=weight) for weight in (5, 25, 50, 100)]


def default_checks() -> list[Check]:
    """Error rate and p99 latency relative to blue."""
    return [
        Check(name="error-rate", builtin=BuiltIn.ERROR_RATE, limit=Limit(max_difference=1.0), unit="%"),
        Check(name="latency-p99", builtin=BuiltIn.LATENCY, limit=Limit(max_ratio=1.2), unit="ms"),
    ]


def measured_checks() -> list[Check]:
    """Error rate and latency against blue's at every scrape: the default where blue was measured."""
    return [
        Check(name="error-rate", builtin=BuiltIn.ERROR_RATE, method=Method.SEQUENTIAL),
        Check(name="latency", builtin=BuiltIn.LATENCY, method=Method.SEQUENTIAL),
    ]


def default_triggers() -> list[Trigger]:
    """An error rate that no release should live through."""
    return [
        Trigger(name="errors", builtin=BuiltIn.ERROR_RATE, limit=Limit(max_difference=5.0), unit="%", repeat=Repeat(consecutive=2)),
    ]


def default_slots() -> list[Slot]:
    """The workload itself, and beside it the same name with -green."""
    return [Slot(name="home"), Slot(name="away", suffix="-green")]


class PlanSpec(Model):
    """The whole plan. The shortest one names a workload and a VirtualService."""

    workload: Name | None = Field(default=None, description="Short form of `members` with one Deployment.")
    members: Annotated[list[Member], Field(max_length=32)] = Field(default=[], description="Workloads that move together.")
    slots: Annotated[list[Slot], Field(min_length=2, max_length=2)] = Field(
        default_factory=default_slots, description="The two places where a version lives; blue is the one that serves."
    )
    traffic: Traffic = Field(description="Where traffic is split.")
    preparation: Preparation = Field(default_factory=Preparation, description="How green is brought up.")
    stages: Annotated[list[Stage], Field(min_length=1, max_length=32)] = Field(
        default_factory=default_stages, description="Steps to 100 %, strictly rising."
    )
    settle: Settle = Field(default_factory=Settle, description="When a change has arrived.")
    checks: Annotated[list[Check], Field(max_length=64)] = Field(
        default_factory=default_checks,
        description="Gates, judged at the end of each window. If absent, the error rate and latency: against limits, or sequentially where `analysis.measured` "
        "is known and `finish.mode` is not home.",
    )
    analysis: Analysis = Field(default_factory=Analysis, description="What all sequential checks share.")
    triggers: Annotated[list[Trigger], Field(max_length=64)] = Field(
        default_factory=default_triggers, description="Watched all the time; roll back at once."
    )
    groups: Annotated[list[Group], Field(max_length=16)] = Field(default=[], description="Triggers that act only together.")
    rollback: Rollback = Field(default_factory=Rollback, description="Time budgets of the way back.")
    finish: Finish = Field(default_factory=Finish, description="After the last stage.")
    concurrency: Literal["queue", "supersede"] = Field(
        default="queue", description="What a second release does: wait, or have the running one rolled back first."
    )
    history: History = Field(default_factory=History, description="What is kept of finished releases.")

    @model_validator(mode="before")
    @classmethod
    def _judged_as_measured(cls, data: Any) -> Any:
        """Where blue was measured, a plan without checks of its own is judged sequentially; a return home cannot be."""
        if not isinstance(data, Mapping) or "checks" in data:
            return data
        analysis, finish = data.get("analysis"), data.get("finish")
        known = analysis.get("measured") if isinstance(analysis, Mapping) else getattr(analysis, "measured", None)
        mode = finish.get("mode") if isinstance(finish, Mapping) else getattr(finish, "mode", None)
        return {**data, "checks": measured_checks()} if known and mode != "home" else data

    @model_validator(mode="after")
    def _home_without_sequential(self) -> Self:
        if self.finish.mode == "home" and any(check.sequential for check in self.checks):
            raise ValueError("found method: sequential with finish.mode: home, expected threshold checks: nobody is on blue while the return is judged")
        return self

    @cached_property
    def all_members(self) -> tuple[Member, ...]:
        """All members, the short form included."""
        short = (Member(name=self.workload, workload=self.workload),) if self.workload else ()
        return short + tuple(self.members)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; what was derived from the old fields is derived anew."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("all_members", None)
        return copied


class PlanStatus(Model):
    """Who holds the plan. `active` is the lock: one release at a time, taken by a conditional write."""

    model_config = Model.model_config | {"extra": "ignore"}

    active: str = Field(default="", description="Uid of the release that holds the plan.")
    active_name: str = Field(default="", description="Name of that release.")
    last_succeeded: str = Field(default="", description="Name of the last release that succeeded.")
    last_images: dict[str, str] = Field(default={}, description="Images that serve since then, by member.")
    measured: Measured | None = Field(default=None, description="What `penstock preflight` measured on blue; the next release freezes it with the plan.")
    epoch: int = Field(default=0, description="Epoch of the controller that wrote last.")
