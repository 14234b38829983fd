"""Which versions a check asks about, and as of when: where blue has no requests any more its last numbers count. Pure."""

from analysis.model import Arm
from controller.api.plan_checks import Check, Trigger
from controller.api.release import ReleaseStatus
from controller.core.phases import FULL
from controller.core.polls import polled


def colour_of(arm: Arm) -> str:
    """The controller's word for an arm."""
    return "green" if arm is Arm.CANDIDATE else "blue"


def arms_asked(check: Check | Trigger, status: ReleaseStatus, at: float) -> tuple[tuple[Arm, float], ...]:
    """Whose numbers, as of when: green's now; blue's too where a limit is relative.

    Where blue has no requests any more its last judged numbers count; where none were judged (an instant
    switch, a promotion), what it did just before the switch.
    """
    green = (Arm.CANDIDATE, at)
    if check.limit is None or not check.limit.relative:
        return (green,)
    if blue_serves(status):
        return green, (Arm.BASELINE, at)
    known = polled(status.baseline, check.name).baseline if isinstance(check, Check) else remembered_by_trigger(check, status)
    return (green,) if known is not None else (green, (Arm.BASELINE, switched_at(status) or at))


def arms_compared(status: ReleaseStatus, at: float) -> tuple[tuple[Arm, float], ...]:
    """Both arms, as of when: where blue has no requests any more, its values are those until it lost them."""
    return (Arm.CANDIDATE, at), (Arm.BASELINE, at if blue_serves(status) else switched_at(status) or at)


def remembered_by_trigger(trigger: Trigger, status: ReleaseStatus) -> float | None:
    """Blue's number as a trigger last saw it, else as a gate of the same name judged it."""
    own = polled(status.triggers, trigger.name).baseline
    return own if own is not None else polled(status.baseline, trigger.name).baseline


def switched_at(status: ReleaseStatus) -> float:
    """When the weights of the present stage were accepted; 0.0 before any."""
    return status.stages[status.stage].shifted_at if 0 <= status.stage < len(status.stages) else 0.0


def blue_serves(status: ReleaseStatus) -> bool:
    """Whether blue still gets requests by the weights that we commanded."""
    return max(status.weight, status.observed_weight) < FULL
