"""`finish: home`, seen as a stage: the original is what is judged, the clone that has just served what it is compared with.

Pure renaming, so that settling, windows and checks need no second way of measuring. The return is judged like
the stage of 100 % (its checks, its warm-up, its least number of requests) over a window as long as the first
stage's: the version has been baked, what is new is the place, and at 100 % such a window holds far more
requests than it did in the first stage.

Nobody gets a request at the clone while the original is judged, so relative limits compare with what the
clone had in its bake; where a person skipped the bake, with what it had just before the return.
"""

from dataclasses import replace

from controller.api.plan import PlanSpec
from controller.api.release import CheckStatus, Phase, ReleaseStatus, StageStatus
from controller.core.commands import Subject
from controller.core.phases import FULL


def turned(subject: Subject) -> Subject:
    """The release with the colours changed: green is the original, blue the clone, the stage is the return."""
    status, plan = subject.status, subject.plan
    home = begun(status)
    clone = status.stages[status.stage] if 0 <= status.stage < len(status.stages) else StageStatus(weight=FULL)
    update = {
        "phase": Phase.SHIFTING if home.window is None else Phase.BAKING,
        "hold": None,
        "blue_slot": 1 - status.blue_slot,
        "blue_subset": status.green_subset,
        "green_subset": status.blue_subset,
        "blue_elsewhere": False,
        "weight": FULL,
        "observed_weight": FULL,
        "stages": [*status.stages[: status.stage], home],
        "baseline": [
            CheckStatus(name=c.name, baseline=c.value, unit=c.unit, polled_at=c.polled_at) for c in clone.checks if c.value is not None
        ],
    }
    return replace(subject, status=status.model_copy(update=update), plan=judged_by(plan) if plan is not None else None)


def begun(status: ReleaseStatus) -> StageStatus:
    """The return as the status has it; one that an older controller began is judged from its shift on."""
    return status.returning or StageStatus(weight=FULL, entered_at=status.phase_since, shifted_at=shifted_at(status))


def shifted_at(status: ReleaseStatus) -> float:
    """When the return's weights were accepted, Unix seconds; 0 before that."""
    return status.returning.shifted_at if status.returning else status.returned_at


def judged_by(plan: PlanSpec) -> PlanSpec:
    """The plan as the return is judged by it; kept with the plan."""
    return plan.once("at home", _judged_by)


def _judged_by(plan: PlanSpec) -> PlanSpec:
    last = plan.stages[-1].model_copy(update={"window": plan.stages[0].window, "hold": False})
    return plan.model_copy(update={"stages": [*plan.stages[:-1], last]})


def watched_anew(status: ReleaseStatus) -> list[CheckStatus]:
    """The triggers when other pods take everything: a streak of failures belongs to the pods that failed, what blue had stays."""
    return [CheckStatus(name=t.name, baseline=t.baseline, unit=t.unit) for t in status.triggers]
