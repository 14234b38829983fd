"""Whether a success can still be taken back: decided here for the controller, before anybody gives way, and for the commands.

It reads the Deployments of the version that served before, where the plan that the success went by says they lie.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from controller.adapters import marks
from controller.adapters.records import read_frozen, read_subject
from controller.adapters.workloads.places import image_of, other, place
from controller.api.plan import PlanSpec
from controller.api.release import Phase
from controller.ports import DEPLOYMENT, RELEASE, Kube, NotFoundError, Obj, RefusedError


def nothing_to_reverse(kube: Kube, spec: Mapping[str, Any], of_plan: Sequence[Obj]) -> str:
    """Why a reverse release takes nothing back, in words: it names no success of its plan, or what served before is gone.

    "" where it does, where nobody may look, and for all other releases. `spec` is the release's, as JSON.
    """
    if spec.get("kind") != "reverse":
        return ""
    named = spec.get("reverseOf")
    if not named:
        return "it does not name the release that it takes back (spec.reverseOf)."
    found = next((obj for obj in of_plan if obj["metadata"]["name"] == named), None)
    if found is None:
        return f"the plan has no release {named}."
    phase = marks.mapping(found.get("status")).get("phase", Phase.QUEUED)
    if phase != Phase.SUCCEEDED:
        return f"release {named} is {phase}, only a success is taken back."
    try:
        whole = kube.get(RELEASE, found["metadata"]["namespace"], named)  # of an ended one the list has only a summary
        plan = read_frozen(kube, whole["metadata"]["namespace"], read_subject(whole).status.plan_hash)
        return old_version_gone(kube, whole, plan)
    except (NotFoundError, RefusedError):
        return ""


def old_version_gone(kube: Kube, release: Obj, plan: PlanSpec | None) -> str:
    """Which Deployment of the version before a success is not there, or is another version by now; "" where all are, or nobody can tell.

    The next release is brought up in the old version's place, and what was there is nowhere then. After a return to the original it was
    the clone.
    """
    subject = replace(read_subject(release), plan=plan)
    slot, before = subject.status.blue_slot, subject.status.images_before
    if plan is None or slot < 0:
        return ""
    for member in plan.all_members:
        old = place(subject, member, other(slot) if subject.status.returned_at else slot)
        try:
            runs = image_of(kube.get(DEPLOYMENT, old.namespace, old.workload), member)
        except NotFoundError:
            return f"Deployment {old.namespace}/{old.workload} is gone."
        if before.get(member.name, runs) != runs:
            return f"Deployment {old.namespace}/{old.workload} runs {runs} by now, and had {before[member.name]}."
    return ""
