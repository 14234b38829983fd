"""HorizontalPodAutoscalers: the minimum that keeps a colour at full size, and the one that follows the traffic.

What the minimum was before stands on the autoscaler itself, in the same write that moves it, so that no crash can lose
it. Of blue's autoscaler the Release's `status.capacity` knows it too, and that is what the core compares with.
"""

from dataclasses import replace

from controller.adapters import marks
from controller.adapters.workloads.change import Writer
from controller.adapters.workloads.clone import clone_autoscaler
from controller.adapters.workloads.places import Place, find, number, text
from controller.adapters.workloads.view import FLOOR, autoscaler_for, floor_of, hpa_minimum
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


def own_minimum(hpa: Obj) -> int:
    """The minimum that its owner chose."""
    before, moved = floor_of(hpa)
    return before if moved == hpa_minimum(hpa) else hpa_minimum(hpa)


def restore_floor(writer: Writer, there: Place, member: Member) -> None:
    """Put the minimum back: to what the Release recorded of blue's, else to what the note on the autoscaler says."""
    hpa = autoscaler_at(writer, there)
    if hpa is None:
        return
    name = text(hpa, "metadata", "name")
    recorded = [kept.hpa_min for kept in writer.subject.status.capacity if kept.member == member.name and kept.hpa == name]
    wanted = recorded[0] if recorded and there == writer.blue_place(member) else own_minimum(hpa)
    noted = bool(marks.annotation(hpa, FLOOR))
    if wanted != hpa_minimum(hpa) or noted:
        spec = {"minReplicas": wanted} if wanted != hpa_minimum(hpa) else {}
        writer.merge(HPA, hpa, spec, **({"floor": None} if noted else {}))


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
