"""Workloads that somebody deleted in mid-release: toward blue where blue is there, and a person where it is not.

Without green's Deployment its share of the users gets errors until a check has seen enough of them, so nobody waits
for one. Without blue's there is nothing to go back to: what green has stays, and `penstock rollback` is still obeyed. A
person may go on without blue (`promote`): green gets everything and bakes, and whatever speaks against it stops it
where it stands, because that is all that is left.
"""

from dataclasses import replace

from controller.api.plan import GreenSource
from controller.api.release import Phase, ReleaseStatus
from controller.core import backward, gates, reasons
from controller.core.commands import Decision, KeepCapacity, RecordKind
from controller.core.phases import BACKWARD
from controller.core.steps import World, halt, hold, record, stored
from controller.core.world import MemberView
from controller.ports import DEPLOYMENT

EXPOSED = frozenset({Phase.SHIFTING, Phase.MEASURING, Phase.BAKING, Phase.HOLDING})
"""Green has traffic, or may get some at any time, and blue must be able to take it back."""


def answer(w: World) -> Decision | None:
    """The decision that a deleted workload causes; None where all are there."""
    if w.status.phase is Phase.HALTED and w.status.rollback and gates.lost_original(w):
        return made_again(w)
    if w.status.stage < 0 or w.standing is Phase.RETURNING or w.status.rollback:
        return None
    if w.status.phase not in EXPOSED | {Phase.HALTED}:
        return None
    blue = gates.deleted_blue(w)
    green = [m.green for m in w.observed.members if gates.gone(m.green) or gates.replaced(w, m.green)]
    other = other_images(w)
    if blue and (green or other or not w.status.without_blue):
        detail = f"{blue} (blue) is gone, so that nobody can be put back on it; green keeps {w.observed.green_weight} %"
        return None if w.status.phase is Phase.HALTED else stop(w, detail)
    if green:
        return backward.roll_back(w, reasons.TARGET_GONE, f"{gates.named(green)} (green) is gone, or another one stands in its place")
    if other:
        return backward.roll_back(w, reasons.TARGET_GONE, other)
    return changed(w) or (None if w.status.phase is Phase.HALTED else made_again(w))


def made_again(w: World) -> Decision | None:
    """A blue that somebody made again with the image that it had is blue: its new uid is written down, so that it can be looked after."""
    fresh = [m.blue for m in w.observed.members if is_blue_again(w, m)]
    if not fresh:
        return None
    places = {(view.namespace, view.name, view.uid) for view in fresh}
    found = [o for o in w.observed.objects if o.kind == DEPLOYMENT.kind and (o.namespace, o.name, o.uid) in places]
    if not found:
        return None
    status = w.status.model_copy(update={"objects": [*w.status.objects, *found]})
    return stored(status, record(w, RecordKind.WARNING, reasons.BLUE_AGAIN, gates.named(fresh), uids=[view.uid for view in fresh]))


def is_blue_again(w: World, member: MemberView) -> bool:
    """Whether this member's blue is another object than the one that was written down, with the same image."""
    before = w.status.images_before.get(member.name, "")
    return gates.replaced(w, member.blue) and not gates.gone(member.blue) and member.blue.image == before


def images_now(w: World) -> dict[str, str]:
    """The image of each member of green, as it is."""
    return {m.name: m.green.image for m in w.observed.members}


def images_seen(w: World) -> dict[str, str]:
    """The images that green is held to: a clone's as it was first seen, so that what is judged is what was asked for.

    Not compared with what the Release asks for, as an admission webhook may name the same image by another registry. What others
    make (Helm, a pipeline) may change until it is ready.
    """
    if w.status.ready_at or w.plan.preparation.green is GreenSource.ADOPT or w.subject.spec.kind == "reverse":
        return w.status.images_ready
    return images_now(w) | w.status.images_ready


def other_images(w: World) -> str:
    """Which Deployment of green runs another image than the one that it is held to, in words: nobody has judged that one."""
    ready, doing = w.status.images_ready, "prepared" if w.status.phase is Phase.PREPARING else "judged"
    return "; ".join(
        f"{gates.named([m.green])} (green) was given {m.green.image} in mid-release, and {ready[m.name]} was being {doing}"
        for m in w.observed.members
        if ready.get(m.name) and m.green.image != ready[m.name]
    )


def as_judged(w: World) -> ReleaseStatus:
    """The status that holds green to what it is now: whatever else runs later was not judged."""
    templates = {m.name: m.green.template for m in w.observed.members if m.green.template}
    return w.status.model_copy(update={"images_ready": images_now(w), "templates_ready": templates, "configs_ready": w.observed.configs})


def changed(w: World) -> Decision | None:
    """Somebody gave green another pod template, of the same image: what was counted speaks of pods that are not there any more.

    Its pods may serve well, so that nobody is moved: a person says whether they are judged from this stage on (`resume`), or go.
    """
    known = w.status.templates_ready
    other = [m.green for m in w.observed.members if m.green.found and known.get(m.name, m.green.template) != m.green.template]
    if not other or w.asks_person:
        return None
    shows = "; ".join(f"kubectl rollout history deployment/{view.name} -n {view.namespace}" for view in other)
    detail = f"{gates.named(other)} (green) was given another pod template than the one that was being judged ({shows} lists them)"
    return hold(w, reasons.GREEN_CHANGED, detail, phase=w.standing, waits_for="operator")


def stop(w: World, detail: str) -> Decision:
    """Stop where it stands: a person puts the workload back and resumes, or decides otherwise."""
    return halt(w, reasons.BLUE_GONE, detail, without_blue="")


def can_go_without(w: World) -> bool:
    """Whether a promotion may leave the deleted blue behind: it stopped for that, and nobody has asked for the way back."""
    return w.status.phase is Phase.HALTED and w.status.reason == reasons.BLUE_GONE and w.status.stage >= 0 and bool(gates.deleted_blue(w))


def stopped(w: World, decision: Decision) -> Decision:
    """The decision; where it would go back to a blue that a person has gone on without, a stop with its reason and its evidence instead."""
    if decision.status.phase is not Phase.ROLLING_BACK or not w.status.without_blue or not gates.deleted_blue(w):
        return decision
    found = decision.status
    judged = w.with_status(w.status.model_copy(update={"stages": found.stages, "triggers": found.triggers, "sequential": found.sequential}))
    halted = stop(judged, f"{found.message.rstrip('.')}; {gates.deleted_blue(w)} (blue) is gone, so that nobody can be put back on it")
    verdicts = tuple(entry for entry in decision.records if entry.kind is RecordKind.VERDICT)
    return replace(halted, records=(*verdicts, *halted.records))


def kept(w: World, decision: Decision) -> Decision:
    """The decision, with blue put back to the size that it had, where somebody made it smaller: it must be able to take all back.

    Only beside decisions that do not go back themselves: those wait for nothing. Blue's pods are looked after there too.
    """
    if w.status.phase not in EXPOSED or w.standing is Phase.RETURNING or decision.status.phase in BACKWARD:
        return decision
    return replace(decision, commands=(KeepCapacity(), *decision.commands)) if gates.blue_shrunk(w) else decision
