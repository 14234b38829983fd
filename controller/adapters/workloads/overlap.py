"""Does a selector mix the colours up? The rules of reason SelectorOverlap, for manifests and for live endpoints.

Host mode: no Service that reaches blue may reach green, nor green's Service reach blue. Subset mode: blue's subset
labels may not select green, nor green's blue. A Service whose host the managed routes serve may select
both, since the route decides for it.
"""

from collections.abc import Iterable, Mapping, Sequence

from controller.adapters.workloads.clone import VERSION_LABELS
from controller.adapters.workloads.places import (
    Split,
    find,
    labels_at,
    other,
    place,
    plan_of,
    replicas_of,
    service_place,
    template_labels,
    text,
)
from controller.adapters.workloads.selectors import covers, written
from controller.adapters.workloads.view import pods_of, ready_targets, slices_of
from controller.api.plan import Member
from controller.core import reasons
from controller.core.commands import Subject
from controller.core.words import many
from controller.core.world import Problem
from controller.ports import DEPLOYMENT, SERVICE, Kube, Obj


def services_overlap(
    services: Iterable[Obj], blue: Mapping[str, str], green: Mapping[str, str], excused: frozenset[tuple[str, str]]
) -> list[Problem]:
    """Services of one namespace that select the pods of both colours.

    Args:
        services: all of the namespace.
        blue: labels of blue's pods.
        green: labels of green's pods.
        excused: namespace and name of those for which a route decides.
    """
    found = []
    for service in services:
        key = text(service, "metadata", "namespace"), text(service, "metadata", "name")
        selector = labels_at(service, "spec", "selector")
        if key not in excused and covers(selector, blue) and covers(selector, green):
            name = "/".join(key)
            detail = f"Service {name} ({written(selector)}) would select both colours: its users would reach green past the weights."
            if label := next((f"{key}={blue[key]}" for key in VERSION_LABELS if key in blue and blue[key] != green.get(key)), ""):
                detail = f"{detail} Blue's pods have {label}, which it could select by."
            found.append(Problem(reasons.SELECTOR_OVERLAP, detail))
    return found


def one_sided(
    services: Iterable[Obj], blue: Mapping[str, str], green: Mapping[str, str], excused: frozenset[tuple[str, str]], *, ends: bool
) -> list[Problem]:
    """Services beside the routes that select the pods of one colour: no weight moves their users.

    Args:
        services: all of blue's namespace.
        blue: labels of blue's pods.
        green: labels of green's pods; empty where they are in another namespace.
        excused: namespace and name of those through which the routes reach a colour.
        ends: blue is taken down after a success.
    """
    found = []
    for service in services:
        key = text(service, "metadata", "namespace"), text(service, "metadata", "name")
        selector = labels_at(service, "spec", "selector")
        sides = covers(selector, blue), covers(selector, green)
        if key in excused or sides[0] == sides[1]:
            continue
        who = f"Service {'/'.join(key)} ({written(selector)}) selects {'blue' if sides[0] else 'green'} alone: who asks it past the routes"
        if sides[1]:
            found.append(Problem(reasons.WORKLOAD_UNSUITABLE, f"{who} reaches green whatever the weights say."))
        elif ends:
            way = "lead its users through the routes, or use finish: {mode: home}"
            found.append(Problem(reasons.WORKLOAD_UNSUITABLE, f"{who} reaches nobody once blue is taken down after a success; {way}."))
    return found


def left_out(services: Iterable[Obj], blue: Mapping[str, str], green: Mapping[str, str], shared: tuple[str, str]) -> list[Problem]:
    """Whether the Service of which subsets are taken selects blue's pods and would never select green's: no request could reach them."""
    service = next((one for one in services if (text(one, "metadata", "namespace"), text(one, "metadata", "name")) == shared), None)
    selector = labels_at(service, "spec", "selector")
    if not covers(selector, blue) or covers(selector, green):
        return []
    lacking = written({key: value for key, value in selector.items() if green.get(key) != value})
    who = f"Service {'/'.join(shared)} selects by {lacking}, which green's pods will not have, so that no request could reach them"
    return [Problem(reasons.WORKLOAD_UNSUITABLE, f"{who}; take that out of its selector: the subsets tell the versions apart.")]


def subsets_overlap(split: Split, blue: Mapping[str, str], green: Mapping[str, str], name: str, service: tuple[str, str]) -> list[Problem]:
    """Subset labels that select the pods of the other colour, or that blue's pods do not have; other rules' subsets that select green."""
    if split.green_labels and split.green_labels == split.blue_labels:
        detail = f"Both subsets of {name} would be {written(split.green_labels)}: that revision serves already, name the new one otherwise."
        return [Problem(reasons.SELECTOR_OVERLAP, detail)]
    found = []
    if not covers(split.blue_labels, blue):
        detail = f"Blue's subset ({written(split.blue_labels) or 'no labels'}) does not select the pods of {name} ({written(blue)})."
        found.append(Problem(reasons.SELECTOR_OVERLAP, detail))
    elif covers(split.blue_labels, green):
        detail = f"Blue's subset ({written(split.blue_labels)}) would select green's pods of {name} too ({written(green)})."
        found.append(Problem(reasons.SELECTOR_OVERLAP, detail))
    if split.green_labels and covers(split.green_labels, blue):
        detail = f"Green's subset ({written(split.green_labels)}) would select blue's pods of {name} too ({written(blue)})."
        found.append(Problem(reasons.SELECTOR_OVERLAP, detail))
    for where, subset, labels in split.others:
        if where == service and covers(labels, green):
            whose = f"Subset {subset} ({written(labels)}), to which a rule sends, would select green's pods of {name}"
            way = "Give the new version another name (--revision), or let that rule name another subset."
            detail = f"{whose}: its users would reach green past the weights. {way}"
            found.append(Problem(reasons.SELECTOR_OVERLAP, detail))
    return found


def others_behind(kube: Kube, subject: Subject, member: Member, slot: int, split: Split) -> list[str]:
    """Deployments with pods that are no members of the plan, and whose pods get the requests of a member's slot too."""
    namespace, name = service_place(subject, member, slot, split)
    service = find(kube, SERVICE, namespace, name)
    wanted = labels_at(service, "spec", "selector")
    if not wanted:
        return []
    wanted |= {} if split.by_host else dict(split.blue_labels)
    places = [place(subject, one, either) for one in plan_of(subject).all_members for either in (0, 1)]
    ours = {there.workload for there in places if there.namespace == namespace}
    found = [one for one in kube.list(DEPLOYMENT, namespace).items if covers(wanted, template_labels(one)) and replicas_of(one)]
    return sorted(name for one in found if (name := text(one, "metadata", "name")) not in ours)


def live_overlap(kube: Kube, subject: Subject, blue_slot: int, split: Split) -> tuple[Problem, ...]:
    """What the EndpointSlices say before the first weight: is a pod of green behind blue's Service, or the other way round?

    Selectors can be read wrongly, be changed, or be missing (hand-made EndpointSlices); the endpoints are what
    proxies use. Reads two Services' slices and the pods of each member.
    """
    if not split.by_host:
        return ()
    found: list[Problem] = []
    for member in plan_of(subject).all_members:
        for slot, mine, theirs in ((blue_slot, "blue", "green"), (other(blue_slot), "green", "blue")):
            strangers = _strangers(kube, subject, member, slot, split)
            if strangers:
                service = "/".join(service_place(subject, member, slot, split))
                detail = (
                    f"Service {service} of {mine} has {many(len(strangers), 'ready endpoint')} of {theirs} ({', '.join(strangers[:3])})."
                )
                found.append(Problem(reasons.SELECTOR_OVERLAP, detail))
    return tuple(found)


def _strangers(kube: Kube, subject: Subject, member: Member, slot: int, split: Split) -> Sequence[str]:
    """Ready endpoints of a slot's Service that are pods of the other slot."""
    elsewhere = place(subject, member, other(slot))
    namespace, service = service_place(subject, member, slot, split)
    if elsewhere.namespace != namespace:
        return ()
    deployment = find(kube, DEPLOYMENT, elsewhere.namespace, elsewhere.workload)
    if deployment is None:
        return ()
    behind = ready_targets(slices_of(kube, namespace, service))
    return sorted(behind & {text(pod, "metadata", "name") for pod in pods_of(kube, deployment)})


def slot_of_subset(kube: Kube, subject: Subject, labels: Mapping[str, str]) -> tuple[int, tuple[Problem, ...]]:
    """Which slot a subset's labels select; -1 with the reason where that is none or both.

    Of two that it selects, one without replicas serves nobody, so the other one is meant.
    """
    matching = []
    for slot in (0, 1):
        for member in plan_of(subject).all_members:
            there = place(subject, member, slot)
            deployment = find(kube, DEPLOYMENT, there.namespace, there.workload)
            if deployment is not None and covers(labels, template_labels(deployment)):
                matching.append((slot, deployment))
    slots = {slot for slot, _ in matching}
    if len(slots) > 1:
        slots = {slot for slot, deployment in matching if deployment.get("spec", {}).get("replicas", 1) != 0}
    if len(slots) == 1:
        return slots.pop(), ()
    many = "the workloads of both slots" if slots else "no workload of the plan"
    return -1, (Problem(reasons.BLUE_UNKNOWN, f"the subset that serves ({written(labels)}) selects {many}."),)
