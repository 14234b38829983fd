"""HorizontalPodAutoscalers: the minimum that keeps a colour at full size, and the one that follows the traffic.

What the minimum was before stands on the autoscaler itself, in the same write that moves it, so that no crash can
lose it; the Release's `status.capacity` is the second witness. A minimum that somebody else moved meanwhile is theirs.
"""

from dataclasses import replace

from controller.adapters import marks
from controller.adapters.workloads.change import FLOOR, Writer
from controller.adapters.workloads.clone import clone_autoscaler
from controller.adapters.workloads.places import Place, find, number, text
from controller.adapters.workloads.view import autoscaler_for, hpa_minimum
from controller.api.plan import GreenSource, Member
from controller.ports import DEPLOYMENT, HPA, Obj


def autoscaler_at(writer: Writer, there: Place) -> Obj | None:
    """The autoscaler of the workload in a place, read now."""
    hpa = autoscaler_for(writer.kube.list(HPA, there.namespace).items, there.workload)
    if hpa is not None:
        marks.check_epoch(hpa, writer.epoch)
    return hpa


def raise_floor(writer: Writer, there: Place, replicas: int) -> None:
    """See that the autoscaler keeps at least so many replicas, as far as its maximum allows."""
    hpa = autoscaler_at(writer, there)
    if hpa is not None:
        wanted = min(replicas, number(hpa, "spec", "maxReplicas", default=replicas))
        if hpa_minimum(hpa) < wanted:
            _set_floor(writer, hpa, wanted)


def lower_floor(writer: Writer, there: Place, replicas: int) -> None:
    """See that the autoscaler lets the workload shrink to so many replicas."""
    hpa = autoscaler_at(writer, there)
    if hpa is not None and hpa_minimum(hpa) > replicas:
        _set_floor(writer, hpa, replicas)


def _set_floor(writer: Writer, hpa: Obj, replicas: int) -> None:
    before, moved = floor_of(hpa)
    now = hpa_minimum(hpa)
    writer.merge(HPA, hpa, {"minReplicas": replicas}, floor=f"{before if moved == now else now}/{replicas}")


def floor_of(hpa: Obj) -> tuple[int, int]:
    """The minimum before we moved it, and as we set it; (0, -1) where we did not, or where the note is garbage."""
    before, _, moved = marks.annotation(hpa, FLOOR).partition("/")
    if before.isascii() and before.isdigit() and moved.isascii() and moved.isdigit():
        return int(before), int(moved)
    return 0, -1


def own_minimum(hpa: Obj) -> int:
    """The minimum that its owner chose."""
    before, moved = floor_of(hpa)
    return before if moved == hpa_minimum(hpa) else hpa_minimum(hpa)


def restore_floor(writer: Writer, there: Place, member: Member) -> None:
    """Put the minimum back to what its owner chose, once; nothing where it was never moved or is back already."""
    hpa = autoscaler_at(writer, there)
    if hpa is None:
        return
    if marks.annotation(hpa, FLOOR):
        wanted = own_minimum(hpa)
        writer.merge(HPA, hpa, {} if wanted == hpa_minimum(hpa) else {"minReplicas": wanted}, floor=None)
        return
    name = text(hpa, "metadata", "name")
    for kept in writer.subject.status.capacity:
        if kept.member == member.name and kept.hpa == name and there == writer.blue_place(member):
            raised = min(kept.replicas, number(hpa, "spec", "maxReplicas", default=kept.replicas))
            # The note was lost with all annotations (`kubectl replace`); the minimum is still ours.
            if hpa_minimum(hpa) == raised > kept.hpa_min > 0:
                writer.merge(HPA, hpa, {"minReplicas": kept.hpa_min})


def follow_autoscaler(writer: Writer) -> None:
    """Give the new serving version the autoscaler that blue has, before blue's is touched.

    Only for clones: who made an adopted green decided about its autoscaler. Named as blue's, with the slot's suffix.
    """
    plan = writer.subject.plan
    if plan is None or plan.finish.mode == "home" or plan.preparation.green is GreenSource.ADOPT:
        return
    for member in writer.members():
        blue, green = writer.blue_place(member), writer.green_place(member)
        hpa = autoscaler_at(writer, blue)
        serving = find(writer.kube, DEPLOYMENT, green.namespace, green.workload)
        if hpa is None or serving is None or autoscaler_at(writer, green) is not None:
            continue
        name = text(hpa, "metadata", "name").removesuffix(blue.suffix) + green.suffix
        how = replace(writer.recipe(member), revision=marks.annotation(serving, marks.REVISION))
        writer.create(HPA, clone_autoscaler(hpa, how, name, own_minimum(hpa)))
