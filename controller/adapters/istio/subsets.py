"""The writes of green's cluster: a subset beside blue's, or a DestinationRule for green's host that says what blue's says.

Conditional on what this reconcile read, like every forward write. What we added is remembered on the object.
"""

from typing import Any

from controller.adapters import marks
from controller.adapters.istio.added import Added, read_added
from controller.adapters.istio.cluster import Cluster, find_subset, subsets_of
from controller.adapters.istio.patches import Patch
from controller.adapters.istio.rules import Rule, names, parse_rules, split_rules
from controller.adapters.istio.sides import HOST, SUBSET, Side, namespaces_of, target_namespace
from controller.adapters.istio.view import TrafficView
from controller.adapters.istio.writes import CONFLICT, send
from controller.core.commands import Subject
from controller.ports import DESTINATION_RULE, VIRTUAL_SERVICE, ConflictError, Kube, NotFoundError, Obj, RefusedError


def build_subset_patch(rule: Obj, wanted: Obj, epoch: int, recorded: str = "") -> Patch:
    """Put a subset into a DestinationRule, or bring the one that we added back to what it should be; others stay as they are."""
    standing = subsets_of(rule)
    added = read_added(rule, recorded)
    index = next((i for i, entry in enumerate(standing) if entry.get("name") == wanted["name"]), None)
    if index is not None and (standing[index] == wanted or wanted["name"] not in added.subsets):
        return []
    named = [(i, entry["name"]) for i, entry in enumerate(standing) if "name" in entry]
    tests: Patch = [{"op": "test", "path": marks.pointer("spec", "subsets", i, "name"), "value": name} for i, name in named]
    place: str | int = "-" if index is None else index
    if standing:
        path = marks.pointer("spec", "subsets", place)
        change: dict[str, Any] = {"op": "add" if index is None else "replace", "path": path, "value": dict(wanted)}
    else:
        change = {"op": "add", "path": "/spec/subsets", "value": [dict(wanted)]}
    annotations = {marks.ADDED: Added(subsets=added.subsets | {wanted["name"]}).text(), marks.EPOCH: str(epoch)}
    return [*tests, *marks.guard_ops(rule), change, *marks.annotation_ops(rule, annotations)]


def build_subset_removal(rule: Obj, name: str, epoch: int, recorded: str = "") -> Patch:
    """Take out a subset that we added; empty where it is not there or not ours."""
    added = read_added(rule, recorded)
    index = next((i for i, entry in enumerate(subsets_of(rule)) if entry.get("name") == name), None)
    if name not in added.subsets:
        return []
    change: Patch = []
    if index is not None:
        path = marks.pointer("spec", "subsets", index)
        change = [{"op": "test", "path": f"{path}/name", "value": name}, {"op": "remove", "path": path}]
    annotations = {marks.ADDED: Added(subsets=added.subsets - {name}).text(), marks.EPOCH: str(epoch)}
    return [*change, *marks.guard_ops(rule), *marks.annotation_ops(rule, annotations)]


def build_policy_patch(rule: Obj, policy: Obj, epoch: int) -> Patch:
    """Give a DestinationRule of ours another trafficPolicy."""
    return [
        *marks.guard_ops(rule),
        {"op": "add", "path": "/spec/trafficPolicy", "value": policy},
        *marks.annotation_ops(rule, {marks.EPOCH: str(epoch)}),
    ]


def claim_rules(kube: Kube, subject: Subject, view: TrafficView, epoch: int) -> None:
    """Write what was added to a DestinationRule back on it, where somebody took that off: a later release takes the subset away by it."""
    for part in view.clusters:
        recorded = subject.status.added.get(part.view.title, "")
        if recorded and not part.added:
            rule = _fresh(kube, part, epoch)
            notes = {marks.ADDED: recorded, marks.EPOCH: str(epoch)}
            send(kube, DESTINATION_RULE, rule, [*marks.guard_ops(rule), *marks.annotation_ops(rule, notes)])


def _fresh(kube: Kube, part: Cluster, epoch: int) -> Obj:
    """The DestinationRule, which must still be the one that this reconcile decided on."""
    rule = kube.get(DESTINATION_RULE, part.namespace, part.name)
    marks.check_epoch(rule, epoch)
    if marks.metadata(rule).get("resourceVersion") != part.resource_version:
        raise ConflictError(CONFLICT, "Conflict", f"{marks.where(rule)} was written since it was read")
    return rule


def ensure_subset(kube: Kube, subject: Subject, view: TrafficView, epoch: int) -> None:
    """Make green's clusters stand as blue's do; what is ready is left alone. The Service of host mode is the workloads' affair."""
    for part in view.clusters:
        if part.ready or part.wanted is None:
            continue
        if not part.uid:
            kube.create(DESTINATION_RULE, part.namespace, _new_rule(subject, part, epoch))
            continue
        rule, recorded = _fresh(kube, part, epoch), subject.status.added.get(part.view.title, "")
        patch = (
            build_subset_patch(rule, part.wanted, epoch, recorded) if view.mode == SUBSET else build_policy_patch(rule, part.wanted, epoch)
        )
        send(kube, DESTINATION_RULE, rule, patch)


def _new_rule(subject: Subject, part: Cluster, epoch: int) -> dict[str, Any]:
    body = {
        "apiVersion": DESTINATION_RULE.api_version,
        "kind": DESTINATION_RULE.kind,
        "metadata": {"name": part.name, "namespace": part.namespace},
        "spec": {"host": part.host, "trafficPolicy": part.wanted},
    }
    return marks.made_marks(body, epoch, plan=subject.spec.plan, release=subject.name, revision=subject.spec.revision)


def remove_subset(kube: Kube, subject: Subject, view: TrafficView, epoch: int, *, serving: str) -> None:
    """Take away the cluster of the side that does not serve, if Penstock made it. Never while a route still sends to it.

    To be called before `close_routes`: the owner annotation that it takes off is what brings a next leader back here.
    """
    if not view.sides.known:
        return
    idle = Side.GREEN if serving == Side.BLUE.value else Side.BLUE
    if not _unrouted(kube, subject, view, idle):
        return
    if view.mode == HOST:
        _remove_rules(kube, view, epoch, idle)
        return
    name = view.green_subset if idle is Side.GREEN else view.blue_subset
    for part in view.clusters:
        if not part.uid:
            continue
        try:
            rule = kube.get(DESTINATION_RULE, part.namespace, part.name)
        except NotFoundError:
            continue
        marks.check_epoch(rule, epoch)
        recorded = subject.status.added.get(part.view.title, "")
        if find_subset(rule, name) is not None or name in read_added(rule, recorded).subsets:
            send(kube, DESTINATION_RULE, rule, build_subset_removal(rule, name, epoch, recorded))


def _unrouted(kube: Kube, subject: Subject, view: TrafficView, idle: Side) -> bool:
    """No managed VirtualService gives the idle side anything: a subset that is removed while routed means 503 NC.

    A destination of weight 0 keeps no cluster in use; it may stay where its user wrote it. False where a rule mirrors to it,
    or one that the release does not move still sends to the old version: the cluster stays for that, and everything else is
    given back all the same.
    """
    needed = idle is Side.BLUE and _used_beside(kube, subject, view)
    for ref in subject.plan.traffic.targets if subject.plan else ():
        try:
            obj = kube.get(VIRTUAL_SERVICE, target_namespace(ref, subject.namespace), ref.name)
        except NotFoundError:
            continue
        rules = parse_rules(obj, view.cluster_domain).rules
        split = split_rules(rules, ref, view.sides)
        for rule in rules:
            beside = idle is Side.BLUE and rule not in (*split.managed, *split.bypass)
            if _sends(rule, view, idle) and not beside:
                sentence = f"{rule.title} of {marks.where(obj)} still sends to {idle.value}, so its cluster stays"
                raise RefusedError(CONFLICT, "StillRouted", sentence)
            needed = needed or _sends(rule, view, idle) or _mirrors(rule, view, idle)
    return not needed


def _used_beside(kube: Kube, subject: Subject, view: TrafficView) -> bool:
    """Whether a VirtualService that the plan does not name sends or mirrors to the old version, as far as they can be seen."""
    plan = subject.plan
    if plan is None:
        return False
    ours = {(target_namespace(ref, subject.namespace), ref.name) for ref in plan.traffic.targets}
    for namespace in namespaces_of(plan, subject.namespace):
        try:
            found = kube.list(VIRTUAL_SERVICE, namespace).items
        except RefusedError:
            continue  # said at the start
        rules = (rule for obj in found if _place(obj) not in ours for rule in parse_rules(obj, view.cluster_domain).rules)
        if any(_sends(rule, view, Side.BLUE) or _mirrors(rule, view, Side.BLUE) for rule in rules):
            return True
    return False


def _place(obj: Obj) -> tuple[str, str]:
    meta = marks.metadata(obj)
    return str(meta.get("namespace", "")), str(meta.get("name", ""))


def _sends(rule: Rule, view: TrafficView, side: Side) -> bool:
    """Whether a rule gives that side anything; where its weights mean nothing, everything is assumed."""
    return names(rule, view.sides, side) and rule.percent(lambda t: view.sides.side(t.host, t.subset) is side) != 0


def _mirrors(rule: Rule, view: TrafficView, side: Side) -> bool:
    return any(view.sides.side(host, subset) is side for host, subset in rule.mirrors)


def _remove_rules(kube: Kube, view: TrafficView, epoch: int, idle: Side) -> None:
    """Host mode: delete the DestinationRules that we made for the idle side's hosts, by uid and resourceVersion."""
    slot = view.sides.blue_slot if idle is Side.BLUE else 1 - view.sides.blue_slot
    for pair in view.sides.pairs:
        namespace, service = pair.services[slot]
        try:
            rule = kube.get(DESTINATION_RULE, namespace, f"penstock-{service}")
        except NotFoundError:
            continue
        if not marks.is_made(rule):
            continue
        marks.check_epoch(rule, epoch)
        meta = marks.metadata(rule)
        try:
            kube.delete(DESTINATION_RULE, namespace, str(meta["name"]), uid=str(meta["uid"]), resource_version=str(meta["resourceVersion"]))
        except NotFoundError:
            continue
