"""ReleasePlan: where traffic is split, what moves together, the stages, the checks and the way back.

A plan names two *slots*, the places where a version can live. Blue is the slot that is observed at 100 %.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, model_validator

from controller.api.base import MINUTE, Duration, Model, Name, ObjectName
from controller.api.measured import Measured
from controller.api.plan_checks import HEALTHY_STATUSES, Analysis, Check, Group, Statuses, Trigger, default_checks, default_triggers

T = TypeVar("T")


class Probe(Model):
    """An HTTP health probe that every ready member must pass, asked by the controller."""

    path: Annotated[str, Field(max_length=512, pattern="^/")] = Field(description="Path of the GET request, such as /health.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default=80, description="Port of the member's Service.")
    attempts: Annotated[int, Field(ge=1, le=100)] = Field(
        default=3, description="Probes in a row that must succeed before the member counts as ready."
    )
    timeout: Duration = Field(default=3.0, description="Time limit of one probe.")
    statuses: Statuses = Field(default=[], description=HEALTHY_STATUSES)


class Member(Model):
    """One workload that moves with the release, and the Service through which it is reached."""

    name: Name = Field(description="Name of the member in this plan; `--image NAME=REF` refers to it.")
    workload: Name = Field(
        description="Name of the Deployment, to which each slot's suffix is appended: by default none in the first, -green in the second."
    )
    service: Name | None = Field(default=None, description="Name of its Service; the workload's name if absent.")
    container: Name | None = Field(
        default=None,
        description="Container that gets the new image, and with it every other of its pod that runs the same one; the first if absent.",
    )
    config_maps: Annotated[list[ObjectName], Field(max_length=32)] = Field(
        default=[],
        description="ConfigMaps to bring along when the clone lives in another namespace; without the hash where kustomize generates the name.",
    )
    secrets: Annotated[list[ObjectName], Field(max_length=32)] = Field(
        default=[], description="Secrets to bring along into another namespace; needs the optional Role on these names."
    )
    environment: Annotated[dict[str, str], Field(max_length=64)] = Field(
        default={}, description="Environment variables to set on the clone."
    )
    references: Annotated[dict[str, ObjectName], Field(max_length=32)] = Field(
        default={}, description="ConfigMaps and Secrets that the clone refers to instead of blue's: old name to new name."
    )
    probe: Probe | None = Field(default=None, description="Health probe of this member.")

    @property
    def service_name(self) -> str:
        """The Service's name, without a slot's suffix."""
        return self.service or self.workload


class Slot(Model):
    """A place where a version can live."""

    name: Name = Field(description="Word for this place in reports.")
    namespace: Name | None = Field(default=None, description="Namespace of its workloads and Services; the plan's own if absent.")
    suffix: Annotated[str, Field(max_length=20, pattern="^(-[a-z0-9]+)*$")] = Field(
        default="",
        description="Appended to workload and Service names in this place, such as -green. Not to the Service where subsets tell the versions apart: "
        "they share it.",
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
    cookie: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\s;=,]+$")] | None = Field(
        default=None, description="Instead of a header: requests with this cookie, among whatever others."
    )
    value: Annotated[str, Field(max_length=128)] = Field(default="true", description="Exact value of the header, or of the cookie.")

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        if self.header is not None and self.cookie is not None:
            raise ValueError("found header and cookie, expected one of the two")
        return self

    @property
    def can_be_made(self) -> bool:
        """Whether the plan says whose requests the rule is for."""
        return self.header is not None or self.cookie is not None


class VirtualServiceRef(Model):
    """One VirtualService whose weights this plan moves."""

    name: ObjectName = Field(description="Name of the VirtualService.")
    namespace: Name | None = Field(default=None, description="Its namespace; the plan's own if absent.")
    routes: Annotated[list[str], Field(max_length=64)] = Field(
        default=[],
        description="Names of the http rules to move. If empty: every rule whose destinations are blue and green, or blue alone.",
    )
    bypass: Annotated[list[Bypass], Field(max_length=16)] = Field(
        default=[],
        description="Rules that bypass the weights, listed so that they are handled. One VirtualService may have such rules alone, as for previews.",
    )


class TrafficMetrics(StrEnum):
    """By what the observed split is measured."""

    ISTIO = "istio"
    NONE = "none"


class Traffic(Model):
    """Where traffic is split and how the split is seen."""

    virtual_service: ObjectName | None = Field(
        default=None, description="Short form of `virtualServices` with one entry in the plan's namespace."
    )
    virtual_services: Annotated[list[VirtualServiceRef], Field(max_length=32)] = Field(
        default=[], description="VirtualServices moved in step."
    )
    destination_rule: ObjectName | None = Field(default=None, description="DestinationRule with the subsets; found by its host if absent.")
    metrics: TrafficMetrics = Field(
        default=TrafficMetrics.ISTIO,
        description="`istio`: a window opens when istio_requests_total shows the granted split. `none`: after the settle time.",
    )
    reporter: Literal["source", "destination"] = Field(default="source", description="Whose istio_requests_total is counted; never both.")
    scrape_interval: Duration = Field(default=15.0, description="How often Prometheus scrapes these series.")
    gitops: Literal["refuse", "ignored"] = Field(
        default="refuse",
        description="`ignored`: the GitOps tool was told to ignore the weights; otherwise an object that it reconciles is refused.",
    )

    @property
    def targets(self) -> tuple[VirtualServiceRef, ...]:
        """All VirtualServices, the short form included."""
        short = (VirtualServiceRef(name=self.virtual_service),) if self.virtual_service else ()
        return short + tuple(self.virtual_services)

    @property
    def bypassed(self) -> bool:
        """Whether the plan lists rules that bypass the weights."""
        return any(ref.bypass for ref in self.targets)


class Stage(Model):
    """One step of the way to green."""

    weight: Annotated[int, Field(ge=1, le=100)] = Field(description="Percent of the requests for green.")
    window: Duration = Field(default=5 * MINUTE, description="How long this stage is judged; at 100 % this is the bake.")
    warm_up: Duration = Field(default=30.0, description="Time after the settled split that is not judged.")
    min_requests: Annotated[int, Field(ge=0)] = Field(
        default=100, description="Requests that green must have had in the window; fewer is inconclusive."
    )
    early_after: Duration | None = Field(
        default=None,
        description="From this much of the window on the stage passes early, once it is shown that green is within the margin of all its checks, which must be "
        "sequential. If absent it never does.",
    )
    hold: bool = Field(default=False, description="Wait for `penstock advance` after this stage has passed.")


class Preparation(Model):
    """How green is brought up."""

    green: GreenSource = Field(
        default=GreenSource.CLONE, description="`clone`: copied from blue with the new images. `adopt`: made by others."
    )
    deadline: Duration = Field(default=10 * MINUTE, description="Time until every member is ready and healthy.")
    restarts: Annotated[int, Field(ge=0, le=1000)] = Field(default=3, description="Restarts of green's pods beyond which it is not ready.")
    route_delay: Duration = Field(
        default=12.0,
        description="Time for green's cluster to reach the proxies before its first weight, and for pods that came back before it gets more.",
    )
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
    drain_deadline: Duration = Field(
        default=15 * MINUTE, description="Time in which 'no traffic seen' must be shown; after it a person is asked."
    )
    keep_green: bool = Field(default=False, description="Leave green running at weight 0; the next release takes its place.")


class Finish(Model):
    """What happens after the last stage has passed."""

    mode: Literal["swap", "home"] = Field(
        default="swap", description="`swap`: green is the next blue. `home`: the original gets the new image and traffic returns to it."
    )
    retention: Duration = Field(default=10 * MINUTE, description="How long the old version is kept after success.")
    size: Annotated[int, Field(ge=1, le=10000)] | None = Field(
        default=None,
        description="Replicas of the old version meanwhile; if absent it is left as it is, so that its autoscaler may shrink it.",
    )
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
        description="Gates, judged at the end of each window. If absent, the error rate and latency, judged sequentially.",
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

    @cached_property
    def all_members(self) -> tuple[Member, ...]:
        """All members, the short form included."""
        short = (Member(name=self.workload, workload=self.workload),) if self.workload else ()
        return short + tuple(self.members)

    @cached_property
    def derived(self) -> dict[str, Any]:
        """What `once` keeps."""
        return {}

    def once(self, name: str, derive: Callable[[Self], T]) -> T:
        """What is worked out from this plan alone, only once: a plan that is frozen is looked at a thousand times."""
        if name not in self.derived:
            self.derived[name] = derive(self)
        found: T = self.derived[name]
        return found

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; what was derived from the old fields is derived anew."""
        copied = super().model_copy(update=update, deep=deep)
        for name in ("all_members", "derived"):
            copied.__dict__.pop(name, None)
        return copied


class PlanStatus(Model):
    """Who holds the plan. `active` is the lock: one release at a time, taken by a conditional write."""

    model_config = Model.model_config | {"extra": "ignore"}

    active: str = Field(default="", description="Uid of the release that holds the plan.")
    active_name: str = Field(default="", description="Name of that release.")
    last_succeeded: str = Field(default="", description="Name of the last release that succeeded.")
    last_images: dict[str, str] = Field(default={}, description="Images that serve since then, by member.")
    measured: Measured | None = Field(
        default=None, description="What `penstock preflight` measured on blue; the next release freezes it with the plan."
    )
    epoch: int = Field(default=0, description="Epoch of the controller that wrote last.")
