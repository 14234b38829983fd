"""The conditions and other fields that are derived from the rest of the status, so that `kubectl` alone tells the story."""

from typing import Literal

from controller.api.release import Condition, Phase, ReleaseStatus
from controller.core.commands import Subject
from controller.core.phases import FINAL
from controller.core.world import Observed
from controller.times import rfc3339

Tristate = Literal["True", "False", "Unknown"]

SUCCEEDED, PROGRESSING, HELD, HEALTHY = "Succeeded", "Progressing", "Held", "Healthy"


def derive(subject: Subject, status: ReleaseStatus, observed: Observed, now: float, epoch: int) -> ReleaseStatus:
    """The status with everything that follows from it; the same object where nothing differs."""
    update: dict[str, object] = {}
    wanted = conditions(status, subject.generation, now)
    if wanted != status.conditions:
        update["conditions"] = wanted
    if status is not subject.status and status.epoch != epoch:
        update["epoch"] = epoch
    if observed.routes and status.observed_weight != observed.green_weight and status is not subject.status:
        update["observed_weight"] = observed.green_weight
    edited = bool(status.plan_hash and observed.plan_hash and observed.plan_hash != status.plan_hash)
    if edited != status.plan_changed and status.phase not in FINAL:
        update["plan_changed"] = edited
    return status.model_copy(update=update) if update else status


def conditions(status: ReleaseStatus, generation: int, now: float) -> list[Condition]:
    """All four conditions; a transition time changes only with its status."""
    if not status.started_at and status.phase is Phase.QUEUED and not status.reason:
        return status.conditions
    before = {c.type: c for c in status.conditions}
    states: dict[str, Tristate] = {
        PROGRESSING: "False" if status.phase in FINAL | {Phase.HALTED, Phase.HOLDING} else "True",
        HELD: "True" if status.phase in (Phase.HOLDING, Phase.HALTED) else "False",
        SUCCEEDED: succeeded(status.phase),
        HEALTHY: "False" if status.rollback else "True",
    }
    reason = status.reason or status.phase
    result = []
    for kind, state in states.items():
        old = before.get(kind)
        if old and (old.status, old.reason, old.message, old.observed_generation) == (state, reason, status.message, generation):
            result.append(old)
            continue
        since = old.last_transition_time if old and old.status == state else rfc3339(now)
        result.append(
            Condition(
                type=kind,
                status=state,
                reason=reason,
                message=status.message,
                last_transition_time=since,
                observed_generation=generation,
            )
        )
    return result


def succeeded(phase: Phase) -> Tristate:
    """True or False only when it is final."""
    if phase is Phase.SUCCEEDED:
        return "True"
    return "False" if phase in (Phase.ROLLED_BACK, Phase.REFUSED) else "Unknown"
