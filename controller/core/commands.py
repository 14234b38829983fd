"""What the core may ask the shell to do. A command says "make it so", never "add 5": done twice equals once.

Each command's precondition, lock, stamp and retry stand in `docs/decisions/0003-table-of-writes.md`, and
are carried out by `controller.act`.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from controller.api.plan import PlanSpec
from controller.api.release import ReleaseSpec, ReleaseStatus


@dataclass(frozen=True, slots=True)
class Subject:
    """The release that is reconciled, as it was read.

    Attributes:
        plan: the frozen plan once there is one, else the plan as it stands; None where both are missing.
        created: Unix seconds.
        deleted: deletion was asked for.
        finalizer: our finalizer is on it.
        damage: what of the stored status could not be read and was left out; "" if all could.
        unread: likewise of the spec, which cannot be mended: it is immutable.
        arrived: rises with each release that is made: of two of one second it says which came first. 0 where the server does not tell.
    """

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    created: float
    deleted: bool
    finalizer: bool
    spec: ReleaseSpec
    status: ReleaseStatus
    plan: PlanSpec | None
    damage: str = ""
    unread: str = ""
    arrived: int = 0

    @property
    def born(self) -> tuple[float, int, str]:
        """By what the releases of a plan are put in order; lower came first."""
        return (self.created, self.arrived, self.uid)

    @property
    def stamp(self) -> str:
        """The stamp of a rollback decided now (design, rule 3)."""
        return f"{self.uid}/{self.status.phase_counter}"


class Direction(StrEnum):
    """Toward green record first, then act; toward blue act first, then record."""

    FORWARD = "forward"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class LockPlan:
    """Take the plan: a conditional write on the plan's status, free or already ours."""


@dataclass(frozen=True, slots=True)
class UnlockPlan:
    """Give the plan back, with what it should remember of a success."""

    succeeded: bool


@dataclass(frozen=True, slots=True)
class FreezePlan:
    """Store the plan as an immutable ConfigMap named by its hash."""

    plan_hash: str


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Put our finalizer on the Release."""


@dataclass(frozen=True, slots=True)
class DropFinalizer:
    """Take our finalizer off the Release."""


@dataclass(frozen=True, slots=True)
class ClaimRoutes:
    """Write the owner annotation on every VirtualService, conditionally: the lock of the route."""


@dataclass(frozen=True, slots=True)
class OpenRoutes:
    """Name green as a destination of weight 0 on every managed route, and write blue's weight 100."""


@dataclass(frozen=True, slots=True)
class SetWeight:
    """Give green this share on every managed route that has another; listed bypasses point at green if it is above 0.

    Conditional on the resourceVersion read in this reconcile; never sent again after a conflict.
    `stamp` goes with every command of this kind that lowers the weight.
    """

    weight: int
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class RollBackRoutes:
    """Put every managed route and listed bypass on blue, always written, stamped; repeated until it holds.

    `because` is written beside the stamp: the decision as JSON. It is recorded after the traffic has moved, so a
    controller that dies between the two leaves its reason here.
    """

    stamp: str
    because: str = ""


@dataclass(frozen=True, slots=True)
class CloseRoutes:
    """Take the owner annotation off, and the destination, bypass rules and subset that this release added and that no one needs."""

    serving: str
    """`blue` or `green`: the side that has all traffic."""


@dataclass(frozen=True, slots=True)
class MakeGreen:
    """Bring green up: Services, ConfigMaps, subset, workloads cloned from blue or brought from idle, at blue's size."""


@dataclass(frozen=True, slots=True)
class SizeGreen:
    """Scale green's members to blue's size (before a stage), or the old version up before a reverse."""


@dataclass(frozen=True, slots=True)
class KeepCapacity:
    """Raise the minimum of blue's HPAs to its replicas, and its replicas to what it had at the start."""


@dataclass(frozen=True, slots=True)
class RestoreCapacity:
    """Put back the HPA minimums that `status.capacity` remembers, and blue's replicas where a retention shrank them."""


@dataclass(frozen=True, slots=True)
class RemoveGreen:
    """Take green down: delete what was made, scale the rest to zero; by recorded uid."""


@dataclass(frozen=True, slots=True)
class FollowAutoscaler:
    """After success: give the version that serves now the autoscaler that blue has."""


@dataclass(frozen=True, slots=True)
class ShrinkOld:
    """After success: scale the old version to its retention size."""

    replicas: int


@dataclass(frozen=True, slots=True)
class RetireOld:
    """After the retention: remove the old version as the plan's `finish.then` says."""


@dataclass(frozen=True, slots=True)
class UpdateHome:
    """`finish: home`: give the original workloads the new images at full size; in a rollback (`back`) the ones they had before."""

    back: bool = False


@dataclass(frozen=True, slots=True)
class RemoveClone:
    """`finish: home`: remove the clone after the return."""


@dataclass(frozen=True, slots=True)
class PruneHistory:
    """Remove finished releases that the plan no longer keeps, their records and orphaned frozen plans with them."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """Write the answer into a ReleaseRequest's status."""

    name: str
    uid: str
    accepted: bool
    reason: str
    message: str


Command = (
    LockPlan
    | UnlockPlan
    | FreezePlan
    | AddFinalizer
    | DropFinalizer
    | ClaimRoutes
    | OpenRoutes
    | SetWeight
    | RollBackRoutes
    | CloseRoutes
    | MakeGreen
    | SizeGreen
    | KeepCapacity
    | RestoreCapacity
    | RemoveGreen
    | FollowAutoscaler
    | ShrinkOld
    | RetireOld
    | UpdateHome
    | RemoveClone
    | PruneHistory
    | AnswerRequest
)


class RecordKind(StrEnum):
    """What a durable record is about (S15)."""

    STARTED = "started"
    GRANT = "grant"
    VERDICT = "verdict"
    REQUEST = "request"
    ROLLBACK = "rollback"
    HOLD = "hold"
    FINISHED = "finished"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of the release's history.

    Attributes:
        key: identity, so that a retry writes it once: `<kind>/<phase counter>/...`.
        reason, message: as printed everywhere.
        data: JSON-ready numbers, queries and samples that the decision rests on.
    """

    key: str
    kind: RecordKind
    at: float
    reason: str
    message: str
    data: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one look.

    Attributes:
        status: the status as it shall be stored; the old object itself where nothing changed.
        commands: what to do, in order.
        direction: which of recording and acting comes first.
        store: False where `status` only carries progress that a checkpoint will write later.
        records: durable records to write with the status; toward green before it.
        wake_at: look again at this time, Unix seconds; None where only a change of the world matters.
        again: look again at once (a step was taken).
        look_first: even a way back rests on something that only a live look may show.
        by_triggers: triggers send everybody back, to blue or in the return of `finish: home` to the clone.
    """

    status: ReleaseStatus
    commands: tuple[Command, ...] = ()
    direction: Direction = Direction.FORWARD
    store: bool = False
    records: tuple[Record, ...] = ()
    wake_at: float | None = None
    again: bool = False
    look_first: bool = False
    by_triggers: bool = False
