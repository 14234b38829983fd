"""What the phase functions share: the bundle they look at, and the few ways in which a decision can come out.

Nothing here decides anything about a release.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from controller.api.plan import PlanSpec, Stage
from controller.api.release import HoldStatus, Phase, ReleaseStatus, StageStatus, Verb
from controller.core import homeward, phases, reasons
from controller.core.commands import Command, Decision, Direction, Record, RecordKind, Subject
from controller.core.world import Measured, Observed

POLL_SECONDS = 10.0
"""How often a release looks again where nothing else wakes it; the default trigger interval."""

DATA_DEADLINE_SECONDS = 900.0
"""How long a release holds for data where no check says otherwise (design, Time)."""

REFUSALS = frozenset({reasons.RIGHTS_MISSING, reasons.ACTION_REFUSED})
"""Reasons of a command that the cluster refused."""

CHECKPOINT_SECONDS = 60.0
"""Progress that changes no streak, phase or verdict is written at most this often (design, Records)."""

CHECKPOINT_EARLY_SECONDS = 1.0
"""It is written in a look that comes anyhow, so that one a moment too early does: the next one is an interval of polls away."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything one decision may look at."""

    subject: Subject
    observed: Observed
    now: float
    measured: Measured = field(default_factory=Measured)

    @property
    def status(self) -> ReleaseStatus:
        """The status as read, with the progress that was not yet written."""
        return self.subject.status

    @property
    def plan(self) -> PlanSpec:
        """The frozen plan. Only called where there is one."""
        assert self.subject.plan is not None  # noqa: S101 - decide() refuses before any caller gets here
        return self.subject.plan

    @property
    def stages(self) -> list[Stage]:
        """The plan's stages; a reverse release has a single one of 100 %."""
        if self.subject.spec.kind == "reverse":
            last = self.plan.stages[-1]
            return [last.model_copy(update={"weight": 100, "hold": False, "min_requests": 0})]
        return self.plan.stages

    @property
    def stage(self) -> Stage:
        """The stage it stands in."""
        return self.stages[self.status.stage]

    @property
    def stage_status(self) -> StageStatus:
        """What happened in this stage."""
        return self.status.stages[self.status.stage]

    @property
    def last_stage(self) -> bool:
        """Whether the next one would be beyond the plan."""
        return self.status.stage >= len(self.stages) - 1

    @property
    def drain_seconds(self) -> float:
        """How long a version keeps its pods and its cluster after it lost its weight: until the last proxy that is in time has heard of it.

        That no request of it is seen says little where its pods went before: what reaches no pod carries no colour in subset mode.
        """
        return max(self.plan.rollback.drain, self.plan.preparation.route_delay)

    @property
    def standing(self) -> Phase:
        """The phase, or the one that a hold interrupted."""
        held = self.status.hold
        return held.phase if self.status.phase is Phase.HOLDING and held else self.status.phase

    @property
    def asked_back(self) -> bool:
        """Whether somebody asks for the way back: by a request, or by deleting the Release."""
        return self.subject.deleted or self.rollback_requested

    @property
    def rollback_requested(self) -> bool:
        """Whether a rollback is requested, answered or not."""
        return any(request.spec.verb is Verb.ROLLBACK for request in self.observed.requests)

    @property
    def asks_person(self) -> bool:
        """Whether only a person lets it go on."""
        held = self.status.hold
        return self.status.phase is Phase.HALTED or (self.status.phase is Phase.HOLDING and held is not None and not held.tries_again)

    @property
    def names_person(self) -> bool:
        """Whether a person is waited for, though it may go on by itself, too: what pods do meanwhile is written by a checkpoint (S16)."""
        held = self.status.hold
        return self.status.phase is Phase.HALTED or (self.status.phase is Phase.HOLDING and held is not None and bool(held.waits_for))

    @property
    def at_home(self) -> "World":
        """`finish: home` after the return: the world in which the original is what is judged (`homeward`); itself otherwise."""
        if not self.status.returned_at or self.status.phase in phases.FINAL | phases.BACKWARD or self.subject.plan is None:
            return self
        return replace(self, subject=homeward.turned(self.subject))

    def with_status(self, status: ReleaseStatus) -> "World":
        """The same world, seen with another status."""
        s = self.subject
        subject = Subject(
            s.namespace,
            s.name,
            s.uid,
            s.resource_version,
            s.generation,
            s.created,
            s.deleted,
            s.finalizer,
            s.spec,
            status,
            s.plan,
            s.damage,
            s.unread,
            s.arrived,
        )
        return World(subject, self.observed, self.now, self.measured)


def set_stage(status: ReleaseStatus, **changes: Any) -> ReleaseStatus:
    """The status with its current stage changed."""
    stages = list(status.stages)
    stages[status.stage] = stages[status.stage].model_copy(update=changes)
    return status.model_copy(update={"stages": stages})


def moved(w: World, phase: Phase, reason: str, detail: str = "", **changes: Any) -> ReleaseStatus:
    """The status in its next phase. The counter rises with each move; a hold ends unless a new one is given."""
    status = w.status
    phases.check(status.phase, phase)
    update = {
        "phase": phase,
        "phase_since": w.now,
        "phase_counter": status.phase_counter + 1,
        "reason": reason,
        "message": reasons.say(reason, detail),
        "hold": None,
        "observed_generation": w.subject.generation,
        **changes,
    }
    if phase in phases.FINAL:
        update.setdefault("finished_at", w.now)
    return status.model_copy(update=update)


def record(w: World, kind: RecordKind, reason: str, detail: str = "", **data: Any) -> Record:
    """A durable record; its key makes a retry write the same one again (S15)."""
    key = f"{kind}/{w.status.phase_counter}/{w.status.stage}"
    return Record(key=key, kind=kind, at=w.now, reason=reason, message=reasons.say(reason, detail), data=dict(data))


def stored(status: ReleaseStatus, *records: Record, commands: tuple[Command, ...] = ()) -> Decision:
    """Write this status, then look again at once."""
    return Decision(status=status, store=True, records=records, commands=commands, again=True)


def act(w: World, *commands: Command, reason: str = "", detail: str = "", wake_in: float = 1.0) -> Decision:
    """Do this and look again; the status only says what is going on.

    What was refused is tried again under the words of the refusal: other ones would alternate with them, write by write, and a hold
    that is left and entered again at each try would never reach its deadline.
    """
    status = w.status if w.status.reason in REFUSALS else saying(w.status, reason, detail)
    return Decision(status=status, commands=commands, again=True, wake_at=w.now + wake_in, store=_words_changed(w.status, status))


def back(status: ReleaseStatus, *commands: Command, records: tuple[Record, ...] = ()) -> Decision:
    """Toward blue: act, then record."""
    return Decision(status=status, commands=commands, direction=Direction.BACK, store=True, records=records, again=True)


def wait(w: World, reason: str, detail: str = "", *, until: float | None = None, status: ReleaseStatus | None = None) -> Decision:
    """Nothing to do yet. The words are stored where the reason changed; numbers wait for the checkpoint."""
    status = saying(status or w.status, reason, detail)
    return Decision(status=status, store=w.status.reason != reason, wake_at=until)


def saying(status: ReleaseStatus, reason: str, detail: str = "") -> ReleaseStatus:
    """The status with another reason and sentence."""
    if not reason:
        return status
    message = reasons.say(reason, detail)
    if status.reason == reason and status.message == message:
        return status
    return status.model_copy(update={"reason": reason, "message": message})


def _words_changed(before: ReleaseStatus, after: ReleaseStatus) -> bool:
    return before.reason != after.reason


def halt(w: World, reason: str, detail: str, **changes: Any) -> Decision:
    """Stop where it stands, until a person asks."""
    return stored(moved(w, Phase.HALTED, reason, detail, **changes), record(w, RecordKind.HOLD, reason, detail))


def hold(
    w: World, reason: str, detail: str = "", *, phase: Phase, until: float | None = None, then: str = "rollback", waits_for: str = ""
) -> Decision:
    """Wait with a deadline, or for the named person (rule 8)."""
    held = HoldStatus.model_validate(
        {
            "reason": reason,
            "since": w.now,
            "until": until,
            "then": then,
            "waits_for": waits_for,
            "phase": phase,
            "detail": detail[:1000],
            "message": reasons.say(reason, detail),
        }
    )
    status = moved(w, Phase.HOLDING, reason, detail).model_copy(update={"hold": held})
    return stored(status, record(w, RecordKind.HOLD, reason, detail))
