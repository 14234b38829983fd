"""Release: one attempt to move one plan to one new version. Its spec is immutable; its status is the whole truth.

The controller holds nothing in memory that is not here: killed at any point, the next one goes on from
this status and from Prometheus's samples.
"""

from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field

from analysis.model import Outcome
from controller.api.base import Model, Name, Percent, ReleaseName, StatusModel


class Phase(StrEnum):
    """Where a release stands. The legal transitions are `core.phases.TRANSITIONS`."""

    QUEUED = "Queued"
    PREPARING = "Preparing"
    SHIFTING = "Shifting"
    MEASURING = "Measuring"
    HOLDING = "Holding"
    BAKING = "Baking"
    RETURNING = "Returning"
    ROLLING_BACK = "RollingBack"
    TEARING_DOWN = "TearingDown"
    SUCCEEDED = "Succeeded"
    ROLLED_BACK = "RolledBack"
    REFUSED = "Refused"
    HALTED = "Halted"


class Origin(Model):
    """Who started the release, and from where."""

    actor: Annotated[str, Field(max_length=256)] = Field(default="", description="Person or service that started it.")
    id: Annotated[str, Field(max_length=128)] = Field(
        default="", description="Idempotency key: a pipeline that runs again finds its release by it."
    )
    run: Annotated[str, Field(max_length=512)] = Field(default="", description="CI run that started it.")
    commit: Annotated[str, Field(max_length=128)] = Field(default="", description="Commit that is released.")


Revision = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""Name of a version: it becomes the name of a subset, and part of a release's."""


class ReleaseSpec(Model):
    """What is asked for; immutable."""

    plan: Name = Field(description="Name of the ReleasePlan in the same namespace.")
    revision: Revision = Field(description="Name of the new version, fixed for the release's life.")
    images: Annotated[dict[str, Annotated[str, Field(max_length=512)]], Field(max_length=32)] = Field(
        default={}, description="New image by member name; members that are not named keep theirs. Empty when green is adopted."
    )
    kind: Literal["forward", "reverse"] = Field(default="forward", description="`reverse`: back to the version before, in one step.")
    now: bool = Field(default=False, description="In reverse: switch at once, without waiting for capacity.")
    supersedes: Annotated[str, Field(max_length=63)] = Field(default="", description="Name of a release that ends first.")
    retry_of: Annotated[str, Field(max_length=63)] = Field(default="", description="Name of the release that this one tries again.")
    reverse_of: Annotated[str, Field(max_length=63)] = Field(
        default="", description="Name of the succeeded release that this one takes back."
    )
    origin: Origin = Field(default_factory=Origin, description="Who started it, and from where.")


class CheckStatus(StatusModel):
    """What is known of one check or trigger."""

    name: str = Field(description="Name of the check or trigger.")
    outcome: Outcome | None = Field(default=None, description="Its last answer.")
    reason: str = Field(default="", description="Reason of that answer.")
    value: float | None = Field(default=None, description="Green's number.")
    baseline: float | None = Field(default=None, description="Blue's number.")
    limit: float | None = Field(default=None, description="The line as it was applied.")
    n: float | None = Field(default=None, description="Requests of green that it rests on.")
    unit: str = Field(default="", description="Unit of the numbers.")
    recent: Annotated[str, Field(max_length=100)] = Field(default="", description="Last answers, newest last: p, f or i.")
    polled_at: float = Field(default=0.0, description="When it was last asked, Unix seconds.")
    failing_since: float = Field(
        default=0.0, description="First failing answer of the present streak, Unix seconds; 0 while it does not fail."
    )
    armed: bool = Field(default=False, description="A probe trigger acts only after green has passed it once.")
    line: str = Field(default="", description="Which limit was applied, such as max or max_ratio.")
    remembered: bool = Field(default=False, description="Blue's number is from its last judged window: blue has no requests now.")
    detail: Annotated[str, Field(max_length=300)] = Field(default="", description="Where there is no answer: what was found instead.")
    ln_e: float | None = Field(default=None, description="Sequential: log of the release's e-value, all its sequential checks together.")
    ln_bound: float | None = Field(default=None, description="Sequential: log of 1/alpha; at this e-value the release is rolled back.")
    ln_early: float | None = Field(
        default=None, description="In a stage that may pass early: log of the e-value that green is within the margin."
    )
    ln_alert: float | None = Field(
        default=None, description="Log of the e-value that its own limit is broken, whatever blue does; at lnBound a person is asked."
    )
    earlier_stages: bool = Field(
        default=False, description="Sequential: the e-value rests on earlier stages, too; the other numbers are of this stage alone."
    )
    mean_ratio: float | None = Field(
        default=None, description="Sequential gauge: green divided by blue on average, over the pairs that its evidence rests on."
    )
    ln_early_bound: float | None = Field(default=None, description="Log of the e-value that every check needs for that.")


class SequentialStatus(StatusModel):
    """The evidence of one sequential check: it goes on from stage to stage, and over restarts."""

    name: str = Field(description="Name of the check.")
    state: Annotated[str, Field(max_length=4096)] = Field(description="How far its counters are counted, and what they amount to; JSON.")

    @cached_property
    def read(self) -> dict[str, Any]:
        """What somebody has read off the state, by its text (a copy takes this along): it is asked for several times a look."""
        return {}


class WindowStatus(StatusModel):
    """How far a stage's window has come. Times are sample timestamps, Unix seconds."""

    opened_at: float = Field(default=0.0, description="Start of the judged time: settled, then warm-up.")
    last_sample: float = Field(default=0.0, description="Newest sample that both arms have, as of `ran`.")
    ran: float = Field(default=0.0, description="Seconds of the window that both arms have samples for.")
    apart: int | None = Field(default=None, description="Samples in a row, up to the newest one, that came too far apart to count.")
    n_green: float = Field(default=0.0, description="Requests of green in it.")
    n_blue: float = Field(default=0.0, description="Requests of blue in it.")


class StageStatus(StatusModel):
    """What happened in one stage."""

    weight: int = Field(description="Green's percent.")
    entered_at: float = Field(default=0.0, description="When its grant was given, Unix seconds.")
    shifted_at: float = Field(default=0.0, description="When the API server had accepted its weights.")
    settled_at: float = Field(default=0.0, description="When the observed split agreed.")
    window: WindowStatus | None = Field(default=None, description="Its window, once open.")
    verdict: Outcome | None = Field(default=None, description="Verdict over all checks.")
    verdict_at: float = Field(default=0.0, description="When it was recorded.")
    verdict_key: str = Field(default="", description="Revision, plan hash and stage that the verdict is about.")
    checks: list[CheckStatus] = Field(default=[], description="Its checks.")
    early: bool = Field(default=False, description="It passed before its window's end, because green was shown to be within the margin.")
    skipped: str = Field(default="", description="Request that skipped the rest of its window.")
    empty_seconds: float = Field(
        default=0.0, description="For how long in all the new version had traffic and no ready pod in this stage, without what still runs."
    )


class HoldStatus(StatusModel):
    """Why the release waits."""

    reason: str = Field(description="Reason of the hold.")
    since: float = Field(description="Unix seconds.")
    until: float | None = Field(default=None, description="Deadline; none where a person is waited for.")
    then: Literal["rollback", "halt", "wait"] = Field(
        default="rollback", description="What happens at the deadline: back to blue, a stop for a person, or on waiting for one."
    )
    waits_for: str = Field(default="", description="Who can end it, where a person is waited for.")
    phase: Phase = Field(default=Phase.MEASURING, description="Phase to go on with.")
    detail: str = Field(default="", description="The words that fill the reason's sentence.")
    message: str = Field(default="", description="The reason's sentence with its numbers.")
    check: str = Field(default="", description="Check that asks for a person, where one does.")

    @property
    def tries_again(self) -> bool:
        """Whether the interrupted phase is tried at each look, so that the hold ends by itself; False where only a person ends it."""
        return not self.waits_for or self.then == "wait"


class RollbackStatus(StatusModel):
    """How users were put back on blue."""

    reason: str = Field(description="Why.")
    message: str = Field(default="", description="The reason's sentence with its numbers.")
    check: str = Field(default="", description="Check, trigger or request that caused it.")
    value: float | None = Field(default=None, description="Green's number.")
    baseline: float | None = Field(default=None, description="Blue's number.")
    limit: float | None = Field(default=None, description="The line.")
    n: float | None = Field(default=None, description="Requests it rests on.")
    unit: str = Field(default="", description="Unit of the numbers.")
    failed_at: float = Field(
        default=0.0, description="When what it goes back for began to fail, Unix seconds; where several count together, the last of them."
    )
    decided_at: float = Field(default=0.0, description="Decision.")
    traffic_at: float = Field(default=0.0, description="Every route on blue.")
    ready_at: float = Field(default=0.0, description="Blue's pods ready.")
    healthy_at: float = Field(default=0.0, description="Blue's probes passed.")
    drained_at: float = Field(default=0.0, description="No traffic on green any more.")
    gone_at: float = Field(default=0.0, description="Green taken down.")
    left: str = Field(default="", description="What of green a deleted release left standing, and why.")
    max_weight: int = Field(default=0, description="Most traffic that green ever had, percent.")
    exposed_seconds: float = Field(default=0.0, description="For how long green had traffic.")
    overruns: list[str] = Field(default=[], description="Budgets that were overrun.")
    blue_unhealthy: bool = Field(default=False, description="Blue was not healthy when it had to take everything.")
    target: Literal["RolledBack", "Halted"] = Field(default="RolledBack", description="Where it ends.")


class ManagedObject(StatusModel):
    """One object of the resolved list: nothing else is written."""

    kind: str = Field(description="Kind.")
    namespace: str = Field(description="Namespace.")
    name: str = Field(description="Name.")
    uid: str = Field(default="", description="Uid at first sight.")
    made: bool = Field(default=False, description="This release, or one before it, made it.")


class CapacityStatus(StatusModel):
    """Blue's size as it was found, to be kept and restored."""

    member: str = Field(description="Member.")
    replicas: int = Field(description="Replicas at the start.")
    hpa: str = Field(default="", description="HorizontalPodAutoscaler whose minimum was raised.")
    hpa_min: int = Field(default=0, description="Its minimum before.")


class RetentionStatus(StatusModel):
    """What becomes of the old version after success."""

    until: float = Field(default=0.0, description="End, Unix seconds.")
    shrunk: bool = Field(default=False, description="Scaled to its retention size.")
    kept: str = Field(default="", description="Why it is kept beyond its end.")
    done: bool = Field(default=False, description="Nothing is left to do.")


class DriftStatus(StatusModel):
    """Foreign changes of our fields."""

    count: int = Field(default=0, description="Corrections within the minute that began at `since`.")
    since: float = Field(default=0.0, description="Unix seconds.")


class Condition(StatusModel):
    """A Kubernetes condition."""

    type: str = Field(description="Progressing, Succeeded, Held or Healthy.")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: str = Field(description="One word.")
    message: str = Field(default="", description="A sentence.")
    last_transition_time: str = Field(description="RFC 3339.")
    observed_generation: int = Field(default=0, description="Generation it speaks of.")


class EvidenceStatus(StatusModel):
    """What is kept of the decisions' evidence, in ConfigMaps beside the history."""

    parts: int = Field(default=0, description="ConfigMaps.")
    bytes: int = Field(default=0, description="Their compressed content.")
    thinned: bool = Field(default=False, description="Raw samples between decisions were left out where room was short.")


class ReleaseStatus(StatusModel):
    """The whole truth about a release; under 16 KB."""

    observed_generation: int = Field(default=0, description="Generation of the spec that was acted on.")
    epoch: int = Field(default=0, description="Epoch of the leader that wrote last; never falls.")
    phase: Phase = Field(default=Phase.QUEUED, description="Where it stands.")
    phase_since: float = Field(default=0.0, description="Unix seconds.")
    phase_counter: int = Field(default=0, description="Rises with each phase; part of the rollback stamp.")
    reason: str = Field(default="", description="Why it stands there.")
    message: str = Field(default="", description="The reason's sentence.")
    plan_hash: str = Field(default="", description="Hash of the frozen plan, and name of its ConfigMap.")
    plan_changed: bool = Field(
        default=False, description="The plan was edited after it was frozen; the release goes on with the frozen one."
    )
    blue_slot: int = Field(default=-1, ge=-1, le=1, description="Index of the slot that served at the start; -1 before it is known.")
    mode: Literal["", "host", "subset"] = Field(default="", description="How the routes tell the versions apart.")
    blue_subset: str = Field(default="", description="Subset of blue.")
    green_subset: str = Field(default="", description="Subset of green.")
    stage: int = Field(default=-1, description="Index of the stage; -1 before the first.")
    weight: Percent = Field(default=0, description="Green's percent as we last commanded it.")
    observed_weight: Percent = Field(default=0, description="Green's percent as it was last seen on the routes.")
    grant: Percent = Field(default=0, description="Highest weight that evidence has allowed so far.")
    max_weight: Percent = Field(default=0, description="Most traffic that green ever had, percent.")
    exposed_since: float = Field(default=0.0, description="First weight, or since when green got requests without one, Unix seconds.")
    probe_passes: int = Field(default=0, description="Looks in a row in which every health probe of green passed.")
    probed_at: float = Field(default=0.0, description="The last of them, Unix seconds.")
    ready_at: float = Field(
        default=0.0, description="Since when green is ready at full size, and its cluster there, Unix seconds; 0 while it is not."
    )
    empty_since: float = Field(
        default=0.0, description="Since when the new version has no ready pod although it has traffic, Unix seconds; 0 while it has one."
    )
    blue_empty_since: float = Field(
        default=0.0, description="Since when nobody could be put back on blue, as it has no ready pod, Unix seconds; 0 while it has one."
    )
    blue_elsewhere: bool = Field(
        default=False,
        description="Rules that this release does not move send to blue, too, so that blue may have more requests than its weight.",
    )
    bypass_only: list[str] = Field(
        default=[], description="VirtualServices that had listed bypass rules alone when the release began, and so have no weights."
    )
    previews_gone: list[str] = Field(
        default=[], description="VirtualServices of bypass rules alone that somebody deleted in mid-release; a person was asked about them."
    )
    blue_changed: str = Field(default="", description="What blue runs instead of what served at the start, in words; empty while nothing.")
    green_shrunk: str = Field(default="", description="Which of green's Deployments somebody made smaller, in words; empty while none.")
    configs_changed: str = Field(default="", description="Which of the versions' ConfigMaps say something else since; empty while none.")
    without_blue: str = Field(default="", description="Request by which a person went on although blue was deleted.")
    stages: list[StageStatus] = Field(default=[], description="What happened in each stage.")
    triggers: list[CheckStatus] = Field(default=[], description="The triggers.")
    baseline: list[CheckStatus] = Field(default=[], description="Blue's last judged numbers, for the stage without blue.")
    sequential: list[SequentialStatus] = Field(default=[], description="Evidence of the sequential checks so far.")
    hold: HoldStatus | None = Field(default=None, description="Why it waits.")
    rollback: RollbackStatus | None = Field(default=None, description="How users were put back.")
    returned_at: float = Field(default=0.0, description="`home`: when the weights went back to the original; 0 while the clone serves.")
    returning: StageStatus | None = Field(
        default=None, description="`home`: the return, judged like a stage; there since the original may have the new image."
    )
    retention: RetentionStatus | None = Field(default=None, description="After success.")
    objects: list[ManagedObject] = Field(default=[], description="The resolved list.")
    added: dict[str, str] = Field(
        default={},
        description="What was added to each VirtualService and DestinationRule, as its annotation says, or said.",
    )
    capacity: list[CapacityStatus] = Field(default=[], description="Blue's size as it was found.")
    images_before: dict[str, str] = Field(default={}, description="Images that served at the start, by member.")
    templates_before: dict[str, str] = Field(default={}, description="Digests of the pod templates that served at the start, by member.")
    images_ready: dict[str, str] = Field(
        default={}, description="Images of green as it was made, or of an adopted one when it was ready, by member: what is judged."
    )
    templates_ready: dict[str, str] = Field(
        default={}, description="Digests of green's pod templates when it was ready, by member: another one was never judged."
    )
    configs_ready: dict[str, str] = Field(
        default={}, description="Digests of the ConfigMaps that the versions read when green was ready, by namespace and name."
    )
    warnings: list[str] = Field(default=[], description="What is legal but should be said, as it was found at the start.")
    drift: DriftStatus = Field(default_factory=DriftStatus, description="Foreign changes.")
    requests: list[str] = Field(default=[], description="Uids of the last requests that were acted on.")
    started_at: float = Field(default=0.0, description="Unix seconds.")
    finished_at: float = Field(default=0.0, description="Unix seconds.")
    checkpoint_at: float = Field(default=0.0, description="Last checkpoint, Unix seconds.")
    evidence: EvidenceStatus | None = Field(default=None, description="Where the evidence stands; none before the first decision.")
    conditions: list[Condition] = Field(default=[], description="Conditions for kubectl wait.")


class Verb(StrEnum):
    """What may be asked of a running release."""

    PAUSE = "pause"
    RESUME = "resume"
    ADVANCE = "advance"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


class Expectation(Model):
    """What the asker saw; a request toward green is refused where it no longer holds."""

    phase: Phase | None = Field(default=None, description="Phase in which the release must be; any if absent.")
    stage: int | None = Field(default=None, description="Index of the stage, from 0, as in its status; -1 before the first; any if absent.")
    revision: str | None = Field(default=None, description="Revision that must be the green one; any if absent.")


class RequestSpec(Model):
    """What a person or a pipeline asks; immutable."""

    release: ReleaseName = Field(description="Name of the Release in the same namespace.")
    release_uid: Annotated[str, Field(max_length=64)] = Field(default="", description="Its uid, so that a namesake is never meant.")
    verb: Verb = Field(
        description="What is asked: pause, resume, advance, promote, or rollback, which is never refused for what it expects."
    )
    actor: Annotated[str, Field(max_length=256)] = Field(
        default="", description="Who asks, as the kubeconfig or the pipeline names them; it is recorded."
    )
    reason: Annotated[str, Field(max_length=1024)] = Field(default="", description="Why; needed for advance and promote.")
    expect: Expectation = Field(
        default_factory=Expectation, description="What the asker saw. Toward green the request is refused where it no longer holds."
    )


class RequestStatus(StatusModel):
    """The controller's answer."""

    state: Literal["", "accepted", "refused"] = Field(default="", description="Accepted or refused.")
    reason: str = Field(default="", description="One word.")
    message: str = Field(default="", description="The sentence.")
    answered_at: float = Field(default=0.0, description="Unix seconds.")
    epoch: int = Field(default=0, description="Epoch of the controller that answered.")
