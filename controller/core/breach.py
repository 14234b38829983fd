"""The rules that a decision can be held against before anything of it is written (S1, S2, S3, S8).

They hold by construction; this looks all the same, in production too. A breach is a defect of ours or a status that
somebody edited: that one release stops and says so, and the others go on.
"""

from analysis.model import Outcome
from controller.api.release import Phase, ReleaseStatus
from controller.core import reasons
from controller.core.commands import Decision, SetWeight
from controller.core.phases import BACKWARD, FINAL, FULL, TRANSITIONS
from controller.core.steps import World, halt


def guarded(w: World, decision: Decision) -> Decision:
    """The decision, or a stop in its place where it would break a rule."""
    broken = broken_rule(w, decision)
    if not broken or Phase.HALTED not in TRANSITIONS[w.status.phase]:
        return decision
    return halt(w, reasons.BREACH, broken)


def broken_rule(w: World, decision: Decision) -> str:
    """The first rule that this decision would break, in words; empty where it breaks none."""
    before, after = w.status, decision.status
    weights = [c.weight for c in decision.commands if isinstance(c, SetWeight)]
    impossible = [weight for weight in weights if not 0 <= weight <= FULL]
    if impossible:
        return f"a weight of {impossible[0]} % (S1)"
    raised = [weight for weight in weights if weight > w.observed.lowest_weight]
    if any(weight > before.grant for weight in raised):
        return f"green would get {max(raised)} %, granted are {before.grant} % (S2)"
    if raised and (before.phase in BACKWARD | FINAL or before.rollback is not None):
        return f"green would get {max(raised)} % after a rollback (S8)"
    if after.grant > before.grant and not earned(before, after):
        return f"a grant of {after.grant} % without a verdict of the stage before it (S3)"
    return ""


def earned(before: ReleaseStatus, after: ReleaseStatus) -> bool:
    """Whether every stage below the new grant has passed in what is stored, or was skipped by a request."""
    return all(
        after.stages[index].skipped or (index < len(before.stages) and before.stages[index].verdict is Outcome.PASS)
        for index in range(after.stage)
    )
