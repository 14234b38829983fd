"""A Flagger `Canary` with its `MetricTemplate`s as a ReleasePlan.

Flagger asks each metric once an interval over its last minute, counts failed checks over the whole release, and raises
the weight at each good look. Here a metric becomes two questions: a check, judged over a stage's whole window, and
a trigger that is watched all the time and counts failures as Flagger does. The variables of a query are Flagger's
documented ones: name, namespace, target, service, ingress, route, interval, and `variables`.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, assert_never

from controller.api.base import format_duration
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
from controller.cli.import_flagger_metrics import Metrics, names_of

GROUP = "flagger.app"
_DEFAULT_INTERVAL = 60.0
_LEAST_INTERVAL = 10.0
_KUBERNETES_ITERATIONS = 10
_FEW_FIRST = (5, 25, 50, 100)
_CANARY = {
    "provider": "Penstock drives Istio only: a VirtualService must stand in front of the Service",
    "autoscalerRef": "found by itself: blue's minimum is raised for the release, and green gets blue's size",
    "ingressRef": "no ingress is driven",
    "upstreamRef": "no upstream is driven",
    "routeRef": "no route of another mesh is driven",
    "skipAnalysis": "`penstock promote` goes to 100 % now, with a reason that is recorded",
    "suspend": "`penstock pause` freezes a release",
    "revertOnDeletion": "nothing to revert: deleting a plan changes no workload",
    "metricsServer": "the controller's configuration names the Prometheus",
}
_ANALYSIS = {
    "alerts": "no notifications are sent",
    "match": "a route by header is listed under traffic.virtualServices[].bypass; it is not the way to green",
    "mirror": "no traffic is mirrored",
    "mirrorWeight": "no traffic is mirrored",
    "sessionAffinity": "no cookie is set: each request falls by the weight",
    "primaryReadyThreshold": "blue is not replaced during the release",
    "canaryReadyThreshold": "green is ready when all of its pods are",
    "stepWeightPromotion": "green itself serves after the release; there is no second shift",
}
_WEBHOOKS = {
    "load-test": "without requests a window is inconclusive: run the load generator beside the release",
    "confirm-rollout": "a release begins with `penstock start`",
    "pre-rollout": "`preparation` and a member's `probe` ask green before its first weight; hooks are not called",
    "rollout": "hooks are not called; watch what the hook asked with a check's query or a probe",
    "confirm-promotion": "a stage of 100 % has nothing before it: put a smaller one with `hold: true` in front",
    "confirm-traffic-increase": "`hold: true` on a stage waits for `penstock advance`",
    "post-rollout": "hooks are not called; `penstock wait --for succeeded` ends when it is over",
    "rollback": "`penstock rollback` goes back at once; nobody is asked",
    "event": "Events of the Release say the same",
}


def imports(objects: Sequence[Data]) -> list[Imported]:
    """A plan for each Canary. Raises `CommandError` where there is none, or one cannot be translated."""
    canaries = all_of(objects, "Canary", GROUP)
    templates = {_place(one): one for one in objects if _kind(one) == "MetricTemplate"}
    others = [one for one in objects if _kind(one) not in ("Canary", "MetricTemplate")]
    found = [_canary(canary, templates) for canary in canaries]
    notes = Notes()
    for one in others:
        notes.missing(title(one), "only Canary and MetricTemplate are read")
    return [Imported(found[0].plan, (*notes.found, *found[0].notes)), *found[1:]]


def _kind(found: Data) -> str:
    return kind_of(found, GROUP)


def _place(found: Data) -> tuple[str, str]:
    meta = part(found, "metadata")
    return str(meta.get("namespace", "")), str(meta.get("name", ""))


def _canary(canary: Data, templates: Mapping[tuple[str, str], Data]) -> Imported:
    notes, spec, (namespace, name) = Notes(), part(canary, "spec"), _place(canary)
    target, service = part(spec, "targetRef"), part(spec, "service")
    workload = str(target.get("name") or "")
    if not name or not workload:
        raise refused(f"{title(canary)}: it has no {'targetRef.name' if name else 'metadata.name'}, expected a workload to move.")
    if target.get("kind", "Deployment") != "Deployment":
        raise refused(f"{title(canary)}: its target is a {target['kind']}, expected a Deployment: only those are moved.")
    apex = str(service.get("name") or workload)
    notes.translated(f"{title(canary)}: targetRef {workload}, service {apex}", f"workload {workload}, VirtualService {apex}")
    notes.better(
        f"the Deployment {workload}-primary, which Flagger keeps as the version that serves",
        f"{workload} itself is blue; delete the Canary with revertOnDeletion: true before the first release",
    )
    if str(spec.get("provider", "istio")) != "istio":
        notes.missing(f"provider {spec['provider']}", _CANARY["provider"])
    analysis = part(spec, "analysis") or part(spec, "canaryAnalysis")
    if str(spec.get("provider", "istio")) == "kubernetes":
        analysis = analysis | {"match": None, "iterations": analysis.get("iterations") or _KUBERNETES_ITERATIONS}
    plan: dict[str, Any] = member_part(workload, apex) | {"traffic": {"virtualService": apex}}
    if "progressDeadlineSeconds" in spec:
        deadline = seconds(spec["progressDeadlineSeconds"], f"{title(canary)}: progressDeadlineSeconds")
        plan["preparation"] = {"deadline": format_duration(deadline)}
        notes.deadline(deadline)
    _service(service, notes)
    notes.selector(apex)
    interval = max(seconds(analysis.get("interval", _DEFAULT_INTERVAL), f"{title(canary)}: analysis.interval"), _LEAST_INTERVAL)
    walk = _walk(analysis, title(canary))
    steps = _steps(walk, analysis, interval, title(canary))
    _webhooks(analysis, steps, notes)
    plan["stages"] = stages_part(steps, notes)
    _how(walk, analysis, interval, plan["stages"], notes)
    metrics = Metrics(analysis, interval, names_of(canary, workload, apex), templates, notes)
    plan |= metrics.parts()
    _unread(canary, notes)
    return Imported(plan_of(name, namespace, plan), tuple(notes.found))


def _unread(canary: Data, notes: Notes) -> None:
    """Name every field that nothing here reads."""
    spec = part(canary, "spec")
    analysis = part(spec, "analysis") or part(spec, "canaryAnalysis")
    notes.rest(canary, NO_ENVELOPE, "", {})
    notes.rest(part(spec, "targetRef"), ("apiVersion", "kind", "name"), "targetRef.", {})
    known = ("targetRef", "service", "analysis", "canaryAnalysis", "provider", "progressDeadlineSeconds")
    notes.rest(spec, known, "", _CANARY)
    if part(spec, "analysis"):
        notes.rest(spec, [field for field in spec if field != "canaryAnalysis"], "", {"canaryAnalysis": "`analysis` comes first"})
    read = ("interval", "threshold", "maxWeight", "stepWeight", "stepWeights", "iterations", "metrics", "webhooks")
    notes.rest(analysis, read, "analysis.", _ANALYSIS)


def _service(service: Data, notes: Notes) -> None:
    given = [field for field in service if field != "name"]
    if given:
        notes.better(
            f"service ({', '.join(given)})",
            "the VirtualService and the Services that are there stay yours, hosts, gateways and retries included; the weights are moved. "
            "Those that Flagger made go with the Canary: save them before",
        )


class Walk(StrEnum):
    """How Flagger brings green to the users."""

    BY_MATCH = "A/B"
    BY_ITERATIONS = "blue/green"
    BY_WEIGHT = "canary"
    UNSAID = ""


def _walk(analysis: Data, where: str) -> Walk:
    """Iterations come before weights, whatever else is there."""
    if number(analysis.get("iterations") or 0, f"{where}: analysis.iterations") > 0:
        return Walk.BY_MATCH if listed(analysis.get("match")) else Walk.BY_ITERATIONS
    return Walk.BY_WEIGHT if analysis.get("stepWeight") is not None or listed(analysis.get("stepWeights")) else Walk.UNSAID


def _steps(walk: Walk, analysis: Data, interval: float, where: str) -> list[Step]:
    """The weights and their seconds, as Flagger walks them."""
    iterations = int(number(analysis.get("iterations") or 0, f"{where}: analysis.iterations"))
    match walk:
        case Walk.BY_WEIGHT:
            return [Step(weight, interval) for weight in _weights(analysis, where)]
        case Walk.BY_MATCH:
            # Only some users met green at first: a stage of 100 % would be a much harder beginning than theirs.
            return [Step(weight, interval * iterations) for weight in _FEW_FIRST]
        case Walk.BY_ITERATIONS:
            return [Step(100, interval * iterations)]
        case Walk.UNSAID:
            return []
        case _:
            assert_never(walk)


def _weights(analysis: Data, where: str) -> list[int]:
    """`stepWeight` comes before `stepWeights`, and its last step is the first one that reaches `maxWeight`, even beyond it."""
    named = [int(number(one, f"{where}: analysis.stepWeights")) for one in listed(analysis.get("stepWeights"))]
    if analysis.get("stepWeight") is None:
        return named
    step = int(number(analysis["stepWeight"], f"{where}: analysis.stepWeight"))
    if step < 1:
        raise refused(f"{where}: analysis.stepWeight is {step}, expected at least 1.")
    most = named[-1] if named else int(number(analysis.get("maxWeight") or 100, f"{where}: analysis.maxWeight"))
    weights = [step]
    while weights[-1] < min(most, 100):
        weights.append(weights[-1] + step)
    return [min(weight, 100) for weight in weights]


def _how(walk: Walk, analysis: Data, interval: float, stages: Sequence[Data], notes: Notes) -> None:
    """What became of Flagger's way."""
    told = "the stages " + ", ".join(f"{stage['weight']} %" for stage in stages)
    match walk:
        case Walk.BY_WEIGHT:
            notes.translated(f"its weights, a step each {format_duration(interval)}", told)
        case Walk.BY_MATCH:
            became = f"{told}, each as long as the iterations: a share of all users, so that the versions meet the same kind"
            notes.better("an A/B test: the users whose requests match meet green", became)
        case Walk.BY_ITERATIONS:
            notes.better("blue/green: everybody after the iterations", f"{told}; more stages hurt fewer users")
        case Walk.UNSAID:
            notes.missing("stepWeight, stepWeights or iterations", f"the file has none of them: {told}")
        case _:
            assert_never(walk)
    read = ("stepWeight", "stepWeights" if analysis.get("stepWeights") else "maxWeight") if walk is Walk.BY_WEIGHT else ()
    for field in ("stepWeight", "stepWeights", "maxWeight"):
        if analysis.get(field) and field not in read:
            notes.missing(f"analysis.{field}", "Flagger itself does not look at it beside the rest")


def _webhooks(analysis: Data, steps: list[Step], notes: Notes) -> None:
    for hook in mappings(analysis, "webhooks"):
        kind, name = str(hook.get("type") or "rollout"), str(hook.get("name") or "without a name")
        before = [step for step in steps if step.weight < 100]  # noqa: PLR2004 - percent
        if kind == "confirm-promotion" and before:
            before[-1].hold = True
            notes.better(f"webhook {name} (confirm-promotion)", f"a person's `penstock advance` after {before[-1].weight} %: hold: true")
        else:
            instead = _WEBHOOKS["load-test"] if "load" in name and kind == "rollout" else _WEBHOOKS.get(kind, "hooks are not called")
            notes.missing(f"webhook {name} ({kind})", instead)
