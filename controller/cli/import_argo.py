"""An Argo `Rollout` with its `AnalysisTemplate`s as a ReleasePlan.

A `setWeight` begins a stage, the pauses behind it are its window, a pause without end is `hold`. An analysis step judges its
stage: a check. A background analysis runs all the time: a trigger, and a check of each stage besides. Arguments of queries are
resolved as Argo does; those that name the canary's Service, workload or namespace become parameters.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from controller.api.base import format_duration
from controller.cli.import_argo_args import Words
from controller.cli.import_argo_metrics import Metrics
from controller.cli.import_common import (
    NO_ENVELOPE,
    Data,
    Imported,
    Notes,
    Step,
    all_of,
    kind_of,
    listed,
    mappings,
    member_part,
    number,
    part,
    plan_of,
    refused,
    seconds,
    stages_part,
    title,
)

GROUP = "argoproj.io"
_CANARY = {
    "maxSurge": "green gets blue's size before its first weight, so that capacity is never missing",
    "previewReplicaCount": "green gets blue's size before its first weight, so that capacity is never missing",
    "activeMetadata": "blue is left as it is",
    "previewMetadata": "the clone has blue's labels and one of its own",
    "maxUnavailable": "green gets blue's size before its first weight, so that capacity is never missing",
    "antiAffinity": "the clone has blue's own affinity",
    "canaryMetadata": "the clone has blue's labels and one of its own",
    "stableMetadata": "blue is left as it is",
    "dynamicStableScale": "blue keeps its size, so that the way back is always there",
    "scaleDownDelaySeconds": "`finish.retention` (10m) keeps the old version after success",
    "scaleDownDelayRevisionLimit": "one old version is kept, for `finish.retention`",
    "abortScaleDownDelaySeconds": "`rollback.drain` (30s) and no traffic seen, then green is taken down",
    "minPodsPerReplicaSet": "green gets blue's size",
    "pingPong": "the two slots of a plan swap after each success",
    "replicaProgressThreshold": "green is ready when all of its pods are",
}
_ROLLOUT = {
    "restartAt": "of the Deployment",
    "progressDeadlineAbort": "an overrun of the preparation is rolled back, always",
    "rollbackWindow": "`penstock rollback` of a release that succeeded goes back in one step",
    "paused": "`penstock pause` freezes a release",
    "analysis": "`history` says how many finished releases are kept",
}
_MOST_WEIGHT = "maxTrafficWeight"
_STEPS = {
    "setCanaryScale": "green gets blue's size before each stage",
    "setHeaderRoute": "a route by header is listed under traffic.virtualServices[].bypass",
    "setMirrorRoute": "no traffic is mirrored",
    "experiment": "experiments are not run",
    "plugin": "plugins are not called",
}


_SUBSET = "Argo keeps a hash of its own there: give it one that names the version instead, such as version: v1, as blue's pods have it"
_ISTIO = {
    "canarySubsetName": "the subsets are found by their labels in the DestinationRule",
    "stableSubsetName": "the subsets are found by their labels in the DestinationRule",
    "tlsRoutes": "weights of TLS routes are not moved: only HTTP routes are",
    "tcpRoutes": "weights of TCP routes are not moved: only HTTP routes are",
}
_ROUTING = {
    "managedRoutes": "routes by header are yours: list them under traffic.virtualServices[].bypass, and they follow green and blue",
}


def imports(objects: Sequence[Data]) -> list[Imported]:
    """A plan for each Rollout. Raises `CommandError` where there is none, or one cannot be translated."""
    rollouts = all_of(objects, "Rollout", GROUP)
    templates = {
        (_kind(one), str(part(one, "metadata").get("name", ""))): one
        for one in objects
        if _kind(one) in ("AnalysisTemplate", "ClusterAnalysisTemplate")
    }
    found = [_rollout(rollout, templates) for rollout in rollouts]
    notes = Notes()
    for one in objects:
        if _kind(one) not in ("Rollout", "AnalysisTemplate", "ClusterAnalysisTemplate") and not _is_workload(one):
            notes.missing(title(one), "only Rollout, AnalysisTemplate and ClusterAnalysisTemplate are read")
    return [Imported(found[0].plan, (*notes.found, *found[0].notes)), *found[1:]]


def _kind(found: Data) -> str:
    return kind_of(found, GROUP)


def _is_workload(found: Data) -> bool:
    """Services, Deployments and VirtualServices beside a Rollout are what the plan speaks of; nothing of them is read."""
    return str(found.get("kind")) in ("Service", "Deployment", "VirtualService", "DestinationRule", "Namespace")


def _rollout(rollout: Data, templates: Mapping[tuple[str, str], Data]) -> Imported:
    notes, spec, meta = Notes(), part(rollout, "spec"), part(rollout, "metadata")
    name, namespace = str(meta.get("name") or ""), str(meta.get("namespace") or "")
    strategy = part(spec, "strategy", "canary") or part(spec, "strategy", "blueGreen")
    if not name:
        raise refused(f"{title(rollout)}: it has no metadata.name, expected one.")
    if not strategy:
        raise refused(f"{title(rollout)}: it has neither strategy.canary nor strategy.blueGreen, expected one with its settings.")
    reference = part(spec, "workloadRef")
    if reference.get("kind", "Deployment") != "Deployment":
        raise refused(f"{title(rollout)}: its workloadRef is a {reference['kind']}, expected a Deployment: only those are moved.")
    workload = str(reference.get("name") or name)
    notes.rest(reference, ("apiVersion", "kind", "name"), "workloadRef.", {"scaleDown": "the Deployment is blue and keeps its size"})
    if not reference:
        notes.missing("spec.template, the pods", f"make a Deployment {workload} of it: Penstock moves Deployments that are there")
    service = str(strategy.get("stableService") or strategy.get("activeService") or workload)
    canary_service = str(strategy.get("canaryService") or strategy.get("previewService") or "")
    if canary_service:
        notes.better(f"the Service {canary_service}", f"green's Service is made for the release, named {service}-green, and goes with it")
    if part(strategy, "trafficRouting", "istio", "destinationRule"):
        notes.missing("the labels of the stable subset", _SUBSET)
    else:
        notes.selector(service)
    # Of blue/green only what is asked behind the switch is left: the active Service is green's then.
    asked, other = (canary_service or service, service) if "canary" in spec["strategy"] else (service, canary_service or service)
    metrics = Metrics(templates, notes, Words(meta, workload, asked, other))
    plan: dict[str, Any] = member_part(workload, service) | {"traffic": _traffic(strategy, service, notes)}
    if "progressDeadlineSeconds" in spec:
        deadline = seconds(spec["progressDeadlineSeconds"], f"{title(rollout)}: progressDeadlineSeconds")
        plan["preparation"] = {"deadline": format_duration(deadline)}
        notes.deadline(deadline)
    steps = _steps(strategy, metrics, notes, title(rollout)) if "canary" in spec["strategy"] else _switch(strategy, metrics, notes)
    plan["stages"] = stages_part(steps, notes)
    for stage in (stage for stage in plan["stages"] if stage.get("hold")):
        notes.translated(f"a pause without end at {stage['weight']} %", "hold: true, until `penstock advance`")
    notes.translated(f"{title(rollout)}: its steps", "the stages " + ", ".join(f"{step['weight']} %" for step in plan["stages"]))
    plan |= metrics.parts({step["weight"] for step in plan["stages"]})
    notes.rest(rollout, NO_ENVELOPE, "", {})
    notes.rest(part(spec, "strategy"), ("canary", "blueGreen"), "spec.strategy.", {})
    notes.rest(strategy, _READ, "strategy.", _CANARY)
    notes.rest(spec, _READ_OF_SPEC, "spec.", _ROLLOUT)
    return Imported(plan_of(name, namespace, plan), tuple(notes.found))


_READ = (
    "steps", "analysis", "trafficRouting", "stableService", "canaryService", "activeService", "previewService",
    "prePromotionAnalysis", "postPromotionAnalysis", "autoPromotionEnabled", "autoPromotionSeconds",
)  # fmt: skip

_READ_OF_SPEC = (
    "strategy", "template", "workloadRef", "progressDeadlineSeconds",
    # A Deployment has these itself.
    "replicas", "selector", "revisionHistoryLimit", "minReadySeconds",
)  # fmt: skip


def _traffic(strategy: Data, service: str, notes: Notes) -> dict[str, Any]:
    routing = part(strategy, "trafficRouting")
    istio = part(routing, "istio")
    for other in routing:
        if other not in ("istio", _MOST_WEIGHT, *_ROUTING):
            notes.missing(f"trafficRouting.{other}", "Penstock drives Istio only")
    others = [one for one in routing if one not in _ROUTING]
    notes.rest(routing, ("istio", *others), "trafficRouting.", _ROUTING)
    notes.rest(istio, ("virtualService", "virtualServices", "destinationRule"), "trafficRouting.istio.", {})
    notes.rest(part(istio, "destinationRule"), ("name",), "trafficRouting.istio.destinationRule.", _ISTIO)
    named = [part(istio, "virtualService")] if istio.get("virtualService") else mappings(istio, "virtualServices")
    rule = part(istio, "destinationRule")
    more = {"destinationRule": str(rule["name"])} if rule.get("name") else {}
    if not named or not named[0].get("name"):
        notes.missing("a VirtualService", f"none is named: the plan moves {service}; correct traffic.virtualService if it has another name")
        return {"virtualService": service} | more
    for one in named:
        notes.rest(one, ("name", "routes"), f"VirtualService {one.get('name')}: ", _ISTIO)
    notes.translated("trafficRouting.istio", "traffic: " + ", ".join(f"VirtualService {one.get('name')}" for one in named))
    found = [_virtual_service(one) for one in named]
    if len(found) == 1 and list(found[0]) == ["name"]:
        return {"virtualService": found[0]["name"]} | more
    return {"virtualServices": found} | more


def _virtual_service(found: Data) -> dict[str, Any]:
    """Argo names those of other namespaces `name.namespace` or `namespace/name`."""
    name, routes = str(found.get("name", "")), [str(route) for route in listed(found.get("routes"))]
    namespace, _, last = name.rpartition("/")
    if not namespace and "." in name:
        last, _, namespace = name.partition(".")
    return {"name": last} | ({"namespace": namespace} if namespace else {}) | ({"routes": routes} if routes else {})


def _steps(strategy: Data, metrics: Metrics, notes: Notes, where: str) -> list[Step]:
    """The stages, and each analysis handed to the metrics with the weight that it judges."""
    steps: list[Step] = []
    background = part(strategy, "analysis")
    if background:
        metrics.background(background)
        if background.get("startingStep"):
            notes.better("analysis.startingStep", "triggers watch from the first weight on")
    whole = number(part(strategy, "trafficRouting").get(_MOST_WEIGHT) or 100, f"{where}: {_MOST_WEIGHT}")
    if whole != 100:  # noqa: PLR2004 - percent
        notes.translated(f"trafficRouting.{_MOST_WEIGHT} {whole:g}", f"weights are percent: each was divided by {whole / 100:g}")
    for step in mappings(strategy, "steps"):
        what = next((known for known in ("setWeight", "pause", "analysis") if known in step), "")
        notes.rest(step, (what,) if what else (), "step ", _STEPS)
        if what == "setWeight":
            _weight(_percent(number(step[what], f"{where}: {what}"), whole, notes), steps, notes)
        elif what == "pause":
            _pause(part(step, what), steps, notes, where)
        elif what == "analysis":
            length = metrics.inline(part(step, what), steps[-1].weight if steps else 0)
            if steps:
                steps[-1].window += length
    return steps


def _weight(weight: int, steps: list[Step], notes: Notes) -> None:
    """The same weight again, as behind a route by header, is the same stage; 0 before the first one is where a release begins."""
    if weight and not (steps and steps[-1].weight == weight):
        steps.append(Step(weight))
    elif steps and not weight:
        notes.missing("setWeight 0 between the steps", "green's requests are taken back by a rollback only")


def _percent(weight: float, whole: float, notes: Notes) -> int:
    share = 100 * weight / whole
    if share != round(share):
        notes.better(f"setWeight {weight:g} of {whole:g}", f"{math.ceil(share)} %: weights are whole percent")
    return math.ceil(share)


def _pause(pause: Data, steps: list[Step], notes: Notes, where: str) -> None:
    notes.rest(pause, ("duration",), "pause.", {})
    if not steps:
        notes.missing(
            "a pause before the first weight", "a release begins with `penstock start`; `preparation` waits for green to be ready"
        )
    elif pause.get("duration") is None:
        steps[-1].hold = True
    else:
        steps[-1].window += seconds(pause["duration"], f"{where}: pause.duration")


def _switch(strategy: Data, metrics: Metrics, notes: Notes) -> list[Step]:
    """blueGreen: everything at once, judged at 100 % while blue is kept."""
    if part(strategy, "prePromotionAnalysis"):
        notes.missing("prePromotionAnalysis", "green is judged with users' requests only; put a small stage in front, such as {weight: 5}")
    length = metrics.inline(part(strategy, "postPromotionAnalysis"), 100) if part(strategy, "postPromotionAnalysis") else 0.0
    if strategy.get("autoPromotionEnabled") is False:
        notes.missing("autoPromotionEnabled: false", "start the release when it shall be switched; it is judged from there on")
    if strategy.get("autoPromotionSeconds"):
        notes.missing("autoPromotionSeconds", "the switch comes as soon as green is ready")
    notes.better("blueGreen", "one stage of 100 %, judged while blue is kept ready; more stages hurt fewer users")
    return [Step(100, max(length, 300.0))]
