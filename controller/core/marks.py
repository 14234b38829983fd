"""The stages of a release as the ticks of its sequential checks see them: since when each is, and whether blue has requests in it. Pure."""

from itertools import pairwise

from analysis.model import Outcome
from analysis.sequential import Mark
from controller.api.plan import PlanSpec
from controller.api.plan_checks import Check
from controller.api.release import Phase, ReleaseStatus
from controller.core.phases import FULL
from controller.core.steps import World


def is_home(w: World) -> bool:
    """Whether this is the world in which the original is judged after its return (`homeward.turned`)."""
    return bool(w.status.returned_at) and w.status.phase in (Phase.SHIFTING, Phase.BAKING)


def marked(status: ReleaseStatus) -> bool:
    """Whether some stage had its weights accepted."""
    return any(stage.shifted_at for stage in status.stages)


def marks_in(w: World, check: Check) -> tuple[Mark, ...]:
    """The stages so far; after the return that one alone."""
    marks = marks_of(w.plan, check, w.status)
    return marks[-1:] if is_home(w) else marks


def marks_of(plan: PlanSpec, check: Check, status: ReleaseStatus) -> tuple[Mark, ...]:
    """The stages so far: a tick belongs to the one whose weights were the last to be accepted before it ended."""
    had_weight = [stage for stage in status.stages if stage.shifted_at]
    cut = {after.shifted_at for before, after in pairwise(had_weight) if before.verdict is not Outcome.PASS}
    return tuple(
        Mark(
            since=stage.shifted_at,
            name=f"{index + 1}@{stage.shifted_at:.0f}",
            alone=stage.weight >= FULL,
            judged=not check.stages or stage.weight in check.stages,
            early=index < len(plan.stages) and plan.stages[index].early_after is not None,
            after_cut=stage.shifted_at in cut,
        )
        for index, stage in enumerate(status.stages)
        if stage.shifted_at
    )
