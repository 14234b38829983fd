"""Scenario files: a world, users, versions that behave, faults, people, and what is expected to come out.

A scenario stands beside a plan and the Kubernetes objects it acts on. Times are offsets from the start
of the release. Validated as strictly as plans are.
"""

from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BeforeValidator, Field, model_validator

from controller.api.base import Duration, Model, Name, Percent, shown
from controller.api.release import Phase, Revision, Verb
from controller.api.validate import as_sent
from controller.api.validate_yaml import LOADER

START = 1_750_000_000.0
"""Unix seconds at which every simulated release begins; a scenario's times count from here."""


def _steps(value: Any) -> Any:
    """A plain value is one step that holds from the start."""
    return value if isinstance(value, list) else [{"value": value}]


class Step(Model):
    """A value from a time on."""

    after: Duration = Field(default=0.0, description="Offset from the start (or from the first request, `sinceFirstRequest`).")
    value: Annotated[float, Field(allow_inf_nan=False)] = Field(description="The value from then on.")


class Rate(Step):
    """A number of things a second from a time on."""

    value: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(description="The rate from then on, not negative.")


class Share(Step):
    """A part of the whole from a time on."""

    value: Annotated[float, Field(ge=0, le=1)] = Field(description="The part from then on, 0 to 1.")


_MANY = Field(min_length=1, max_length=64)
StepList = Annotated[list[Step], BeforeValidator(_steps), _MANY]
RateList = Annotated[list[Rate], BeforeValidator(_steps), _MANY]
ShareList = Annotated[list[Share], BeforeValidator(_steps), _MANY]


class Users(Model):
    """Users who send requests through one proxy."""

    name: Name = Field(default="users", description="Name of the source; those of one name come through one proxy.")
    host: Annotated[str, Field(max_length=253)] = Field(description="Host that they ask for.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(
        default=80, description="Port that they ask: one of the Service's, or of the Gateway."
    )
    path: str = Field(default="/", description="Path of their requests.")
    headers: dict[str, str] = Field(default={}, description="Headers of their requests.")
    rps: RateList = Field(description="Requests per second: a number, or steps.")
    gateway: str = Field(
        default="",
        description="Ingress proxy they come through, `namespace/name`, where a Gateway selects `istio: name`; a sidecar if empty.",
    )
    namespace: Name = Field(default="clients", description="Namespace of the sidecar they send from.")
    grpc: bool = Field(default=False, description="gRPC instead of HTTP.")
    delay: Duration = Field(
        default=0.0, description="How late their proxy learns of routes, clusters and endpoints, at most; each drawn for itself."
    )


class LatencyModel(Model):
    """A lognormal by two quantiles, milliseconds."""

    p50: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(description="Median, ms.")
    p99: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(description="99th percentile, ms; not below the median.")

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.p99 < self.p50:
            raise ValueError(f"found p99 {self.p99:g} below p50 {self.p50:g}, expected p99 at or above it")
        return self


class LatencyStep(Model):
    """A latency from a time on."""

    after: Duration = Field(default=0.0, description="Offset.")
    value: LatencyModel = Field(description="The latency from then on.")


class Version(Model):
    """How the pods behave that a selector covers; the first that covers counts."""

    image: str = Field(default="*", description="Pattern of the image.")
    workload: str = Field(default="*", description="Pattern of the workload's name.")
    namespace: str = Field(default="*", description="Pattern of the namespace.")
    errors: ShareList = Field(default_factory=lambda: [Share(value=0.0)], description="Part of its requests that fail, 0 to 1.")
    error_code: int = Field(default=500, description="HTTP status of a failure.")
    latency: Annotated[list[LatencyStep], BeforeValidator(_steps)] = Field(
        default_factory=lambda: [LatencyStep(value=LatencyModel(p50=20, p99=64))], description="Latency in ms: p50 and p99, or steps."
    )
    since_first_request: bool = Field(default=False, description="Count the steps from its first request.")
    min_share: Annotated[float, Field(ge=0, le=1)] = Field(default=0.0, description="In force only from this share of the requests on.")


class Span(Model):
    """A time between two offsets from the start of the release."""

    after: Duration = Field(description="When it begins.")
    until: Duration = Field(description="When it ends.")

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.until <= self.after:
            raise ValueError(f"found until {self.until:g} s, expected a time after {self.after:g} s")
        return self


class Pods(Model):
    """How pods come up."""

    image: str = Field(default="*", description="Pattern of the image.")
    workload: str = Field(default="*", description="Pattern of the workload's name.")
    ready_after: Duration | None = Field(default=5.0, description="Until they are ready; null: never.")
    crash_after: Duration | None = Field(default=None, description="They crash-loop this long after they started.")
    image_missing: bool = Field(default=False, description="Their image cannot be pulled.")
    unready: Annotated[list[Span], Field(max_length=64)] = Field(default=[], description="When they run and are not ready.")


Bound = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class AppMetricModel(Model):
    """A metric of the applications."""

    name: str = Field(description="Metric name.")
    kind: Literal["good", "bad", "all", "gauge", "rate", "histogram"] = Field(
        description="A counter of good, bad or all requests; a gauge; a counter that grows by `value` each second; "
        "or a histogram of the seconds that requests take."
    )
    image: str = Field(default="*", description="Pattern of the image whose pods expose it.")
    workload: str = Field(default="*", description="Pattern of the workload whose pods expose it.")
    namespace: str = Field(default="*", description="Pattern of the namespace whose pods expose it.")
    labels: dict[str, str] = Field(default={}, description="Further labels; namespace, pod and workload are there.")
    value: StepList = Field(default_factory=lambda: [Step(value=1.0)], description="Value of the gauge, growth of the counter, or factor.")
    buckets: Annotated[list[Bound], Field(max_length=64)] = Field(
        default=[], description="histogram: upper bounds of its buckets in seconds, rising; +Inf comes by itself."
    )

    @model_validator(mode="after")
    def _bounds_rise(self) -> Self:
        if (self.kind == "histogram") != bool(self.buckets):
            raise ValueError(f"buckets: found {len(self.buckets)} for kind {self.kind}, expected some for a histogram and none otherwise")
        if any(low >= high for low, high in pairwise(self.buckets)):
            raise ValueError(f"buckets: found {self.buckets}, expected rising bounds")
        return self

    @model_validator(mode="after")
    def _counters_rise(self) -> Self:
        falling = next((step.value for step in self.value if step.value < 0), None)
        if self.kind != "gauge" and falling is not None:
            raise ValueError(f"value: found {falling:g} for a counter, expected a number of at least 0; a gauge may be negative")
        return self


ANY_TARGET = ("VirtualService", "DestinationRule", "Deployment", "Service", "HorizontalPodAutoscaler", "ReleasePlan", "Release")
TARGETS = {
    "drift": ("VirtualService",), "evict": ("Deployment",), "unready": ("Deployment",), "delete": ANY_TARGET, "patch": ANY_TARGET,
}  # fmt: skip
"""Kinds of fault that have a target, and which kinds of objects it can be."""


class Fault(Model):
    """Something that goes wrong."""

    kind: Literal[
        "crash",
        "pause",
        "old-schema",
        "prometheus-down",
        "prometheus-empty",
        "prometheus-nan",
        "prometheus-inf",
        "prometheus-many",
        "prometheus-stale",
        "prometheus-error",
        "prometheus-slow",
        "prometheus-partial",
        "counter-reset",
        "api-down",
        "api-conflict",
        "api-lost-answer",
        "api-throttled",
        "api-error",
        "token-expired",
        "rights-removed",
        "admission-down",
        "admission-denies",
        "admission-changes",
        "events-refused",
        "stale-reads",
        "silence",
        "odd-order",
        "control-plane-down",
        "clock-jump",
        "drift",
        "delete",
        "patch",
        "evict",
        "unready",
        "probe",
    ] = Field(description="What.")
    at: Duration = Field(description="When it begins.")
    lasts: Duration = Field(default=0.0, description="For how long, where it lasts.")
    every: Duration | None = Field(default=None, description="Repeat it while it lasts.")
    target: str = Field(default="", description="`Kind namespace/name` of the object it concerns.")
    queries: str = Field(default="*", description="prometheus-*: pattern of the queries that it concerns.")
    weight: Percent | None = Field(default=None, description="drift: green's weight that somebody writes.")
    patch: dict[str, Any] = Field(default={}, description="patch: a merge patch that somebody sends.")
    subresource: Literal["", "status"] = Field(default="", description="patch: what of the target it is sent to.")
    seconds: float = Field(
        default=0.0,
        description="clock-jump: by how much. stale-reads, odd-order: how late, at most. api-throttled: what the server asks to wait.",
    )
    colour: Literal["green", "blue", "both"] = Field(default="green", description="probe: whose health probe fails.")

    @property
    def span(self) -> tuple[float, float]:
        """From when to when it lasts, Unix seconds."""
        return START + self.at, START + self.at + self.lasts


class Deed(StrEnum):
    """What people do: every request, and what is done without one."""

    PAUSE = Verb.PAUSE
    RESUME = Verb.RESUME
    ADVANCE = Verb.ADVANCE
    PROMOTE = Verb.PROMOTE
    ROLLBACK = Verb.ROLLBACK
    DELETE = "delete"
    START = "start"


class Act(Model):
    """Something a person or a pipeline does."""

    at: Duration = Field(description="When.")
    verb: Deed = Field(description="What is asked.")
    reason: str = Field(default="because", description="Their reason.")
    actor: str = Field(default="alice", description="Who.")
    release: str = Field(default="", description="start: name of the further release; else the one that is meant (the first one if empty).")
    images: dict[str, str] = Field(default={}, description="start: its images.")
    revision: Revision = Field(default="", description="start: its revision.")
    plan: str = Field(default="", description="start: its plan, where the plan file holds several; the first one if empty.")
    kind: Literal["forward", "reverse"] = Field(default="forward", description="start: forward or reverse.")
    reverse_of: str = Field(default="", description="start: the release it takes back.")

    @model_validator(mode="after")
    def _starts_something(self) -> Self:
        missing = [word for word in ("release", "revision") if self.verb == "start" and not getattr(self, word)]
        if missing:
            raise ValueError(f"found start without {' and '.join(missing)}, expected the name and the revision of a further release")
        return self


class ReleaseModel(Model):
    """The release that is started."""

    name: Name = Field(default="", validate_default=False, description="Its name; plan and revision if absent.")
    revision: Revision = Field(default="v2", description="Its revision.")
    images: dict[str, str] = Field(default={}, description="Its images by member.")


class Expect(Model):
    """What must come out."""

    phase: Phase = Field(description="Phase of the first release at the end.")
    reason: str = Field(default="", description="Reason word of its rollback, refusal or hold.")
    max_weight: Percent | None = Field(default=None, description="Most traffic that green may ever have had.")
    min_weight: Percent | None = Field(default=None, description="Traffic that green must have had at some time.")
    within: Duration | None = Field(default=None, description="It must have ended by then.")
    check: str = Field(default="", description="Name of the check or trigger that caused a rollback.")


class Scenario(Model):
    """One story."""

    name: Name = Field(description="Its name.")
    about: str = Field(default="", description="What it shows, a sentence.")
    base: str = Field(
        default="", description="File with words that this scenario shares with others, relative to it; its lists come after."
    )
    plan: str = Field(default="plan.yaml", description="File of the ReleasePlan, relative to the scenario; the first of several.")
    world: str = Field(default="world.yaml", description="File of the Kubernetes objects, relative to the scenario.")
    release: ReleaseModel = Field(default_factory=ReleaseModel, description="The release that is started.")
    users: Annotated[list[Users], Field(max_length=32)] = Field(default=[], description="Users.")
    versions: Annotated[list[Version], Field(max_length=64)] = Field(default=[], description="How versions behave.")
    pods: Annotated[list[Pods], Field(max_length=64)] = Field(default=[], description="How pods come up.")
    metrics: Annotated[list[AppMetricModel], Field(max_length=64)] = Field(default=[], description="Metrics of the applications.")
    faults: Annotated[list[Fault], Field(max_length=64)] = Field(default=[], description="What goes wrong.")
    people: Annotated[list[Act], Field(max_length=64)] = Field(default=[], description="What people do.")
    scrape: Duration = Field(default=15.0, description="Scrape interval of Prometheus.")
    each_pod: bool = Field(
        default=False, description="Every pod is an object, instead of one that stands for all of its ReplicaSet's; slower."
    )
    random: bool = Field(default=False, description="Draw whole requests by the seed instead of counting expected ones.")
    limit: Duration = Field(default=6 * 3600.0, description="The simulation stops here.")
    expect: Expect = Field(description="What must come out.")

    @model_validator(mode="after")
    def _named_targets(self) -> Self:
        for fault in self.faults:
            kinds = TARGETS.get(fault.kind)
            word, _, place = fault.target.partition(" ")
            if kinds and (word not in kinds or not all(place.partition("/")[::2])):
                expected = f"`Kind namespace/name` with {' or '.join(kinds)}"
                raise ValueError(f"faults: {fault.kind} found target {shown(fault.target)}, expected {expected}")
        return self


def load(path: Path) -> list[Scenario]:
    """All scenarios of a YAML file (one a document). Raises pydantic's ValidationError or yaml's."""
    with path.open(encoding="utf-8") as handle:
        documents = [document for document in yaml.load_all(handle, Loader=LOADER) if document is not None]
    return [Scenario.model_validate_json(as_sent(with_base(document, path.parent))) for document in documents]


def with_base(document: Any, folder: Path) -> Any:
    """The document on top of the file that its `base` names: its own words count, its lists come before the base's.

    A metric that the document names is taken from the document alone. Raises OSError or yaml's errors, and
    ValueError where the base has no fields.
    """
    if not isinstance(document, dict) or not isinstance(document.get("base"), str):
        return document
    base = yaml.load((folder / document["base"]).read_text(encoding="utf-8"), Loader=LOADER) or {}  # noqa: S506 - a safe loader
    if not isinstance(base, dict):
        raise ValueError("it has no fields")  # noqa: TRY004 - the file is wrong, not a type of ours
    merged = {**base, **document}
    for word, below in base.items():
        own = document.get(word, [])
        if isinstance(below, list) and isinstance(own, list):
            known = {one.get("name") for one in own if isinstance(one, dict)} if word == "metrics" else set()
            merged[word] = own + [one for one in below if not (known and isinstance(one, dict) and one.get("name") in known)]
    return merged
