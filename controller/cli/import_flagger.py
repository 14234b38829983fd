"""A Flagger `Canary` with its `MetricTemplate`s as a ReleasePlan.

Flagger asks each metric once an interval over its last minute, counts failed checks over the whole release, and raises
the weight at each good look. Here a metric becomes two questions: a check, judged over a stage's whole window, and
a trigger that is watched all the time and counts failures as Flagger does. The variables of a query are Flagger's
documented ones: name, namespace, target, service, ingress, route, interval, and `variables`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from controller.api.base import format_duration
from controller.cli.import_common import (
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
    plain,
    plan_of,
    refused,
    repeat_part,
    seconds,
    stages_part,
    title,
    unique,
)
from controller.cli.import_queries import QueryError, ranged, steady, with_parameters

GROUP = "flagger.app"
_DEFAULT_INTERVAL = 60.0
_FEW_FIRST = (5, 25, 50, 100)
_CANARY = {
    "provider": "Penstock drives Istio only",
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
    "confirm-traffic-increase": "`hold: true` on a stage waits for `penstock advance`",
    "post-rollout": "hooks are not called; `penstock wait --for succeeded` ends when it is over",
    "rollback": "`penstock rollback` goes back at once; nobody is asked",
    "event": "Events of the Release say the same",
}


_PROVIDER = {
    "address": "the controller's configuration names the Prometheus",
    "secretRef": "the controller's configuration names the credentials",
    "insecureSkipVerify": "certificates are always checked; the configuration names the authority",
    "headers": "the controller's configuration names the headers",
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
    if str(spec.get("provider", "istio")) not in ("istio", "kubernetes"):
        notes.missing(f"provider {spec['provider']}", _CANARY["provider"])
    analysis = part(spec, "analysis") or part(spec, "canaryAnalysis")
    plan: dict[str, Any] = member_part(workload, apex) | {"traffic": {"virtualService": apex}}
    if "progressDeadlineSeconds" in spec:
        deadline = seconds(spec["progressDeadlineSeconds"], f"{title(canary)}: progressDeadlineSeconds")
        plan["preparation"] = {"deadline": format_duration(deadline)}
        notes.translated(f"progressDeadlineSeconds {deadline:g}", f"preparation.deadline {format_duration(deadline)}")
    _service(service, notes)
    interval = seconds(analysis.get("interval", _DEFAULT_INTERVAL), f"{title(canary)}: analysis.interval")
    steps = _steps(analysis, interval, title(canary))
    _webhooks(analysis, steps, notes)
    plan["stages"] = stages_part(steps, notes)
    _how(analysis, interval, ", ".join(f"{step['weight']} %" for step in plan["stages"]), notes)
    metrics = _Metrics(analysis, interval, (namespace, name, workload, apex), templates, notes)
    plan |= metrics.parts(len(plan["stages"]))
    known = ("targetRef", "service", "analysis", "canaryAnalysis", "provider", "progressDeadlineSeconds")
    notes.rest(spec, known, "", _CANARY)
    read = ("interval", "threshold", "maxWeight", "stepWeight", "stepWeights", "iterations", "metrics", "webhooks")
    notes.rest(analysis, read, "analysis.", _ANALYSIS)
    return Imported(plan_of(name, namespace, plan), tuple(notes.found))


def _service(service: Data, notes: Notes) -> None:
    given = [field for field in service if field != "name"]
    if given:
        notes.better(
            f"service ({', '.join(given)})",
            "the VirtualService and the Services that are there stay yours, hosts, gateways and retries included; the weights are moved",
        )


def _steps(analysis: Data, interval: float, where: str) -> list[Step]:
    """The weights and their seconds, as Flagger walks them."""
    weights = [int(number(one, f"{where}: analysis.stepWeights")) for one in listed(analysis.get("stepWeights"))]
    if not weights and analysis.get("stepWeight") is not None:
        step = int(number(analysis["stepWeight"], f"{where}: analysis.stepWeight"))
        most = int(number(analysis.get("maxWeight", 100), f"{where}: analysis.maxWeight"))
        if step < 1:
            raise refused(f"{where}: analysis.stepWeight is {step}, expected at least 1.")
        weights = list(range(step, min(most, 100) + 1, step)) or [min(most, 100)]
    if weights:
        return [Step(weight, interval) for weight in weights]
    iterations = int(number(analysis.get("iterations", 0), f"{where}: analysis.iterations"))
    if iterations and listed(analysis.get("match")):
        # Only some users met green at first: a stage of 100 % would be a much harder beginning than theirs.
        return [Step(weight, interval * iterations) for weight in _FEW_FIRST]
    return [Step(100, interval * iterations)] if iterations else []


def _how(analysis: Data, interval: float, stages: str, notes: Notes) -> None:
    """What became of Flagger's way: weights, an A/B test by headers, or blue/green."""
    if analysis.get("stepWeight") is not None or listed(analysis.get("stepWeights")):
        notes.translated(f"its weights, a step each {format_duration(interval)}", f"the stages {stages}")
    elif listed(analysis.get("match")):
        notes.better(
            "an A/B test: the users whose requests match meet green",
            f"the stages {stages}, each as long as the iterations: a share of all users, so that the versions meet the same kind",
        )
    elif analysis.get("iterations"):
        notes.better("blue/green: everybody after the iterations", f"the stages {stages}; more stages hurt fewer users")
    else:
        notes.missing("stepWeight, stepWeights or iterations", f"the file has none of them: the stages {stages}")


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


class _Metrics:
    """The metrics of one Canary, on their way to checks and triggers."""

    def __init__(
        self,
        analysis: Data,
        interval: float,
        names: tuple[str, str, str, str],
        templates: Mapping[tuple[str, str], Data],
        notes: Notes,
    ) -> None:
        self.analysis, self.interval, self.templates, self.notes = analysis, interval, templates, notes
        self.namespace, self.name, self.workload, self.apex = names
        self.checks: list[dict[str, Any]] = []
        self.triggers: list[dict[str, Any]] = []

    def parts(self, stages: int) -> dict[str, Any]:
        """Checks and triggers; none where no metric could be translated, so that the plan has the defaults."""
        failures = int(number(self.analysis.get("threshold", 1), "analysis.threshold"))
        metrics = mappings(self.analysis, "metrics")
        for metric in metrics:
            self._metric(metric)
        if not self.checks:
            what = "no metric that could be translated" if metrics else "no metrics"
            self.notes.better(what, "the default checks judge: error rate and p99 against blue, and a trigger on errors")
            return {}
        repeat = repeat_part(failures, max(10, stages))
        self.triggers = [trigger | repeat for trigger in self.triggers]
        told = f"each metric is a trigger that fails at {failures} failures among the last {max(10, stages, failures)}"
        self.notes.better(
            f"threshold {failures}", f"{told}, and a check of each stage's whole window; Flagger looked at its last interval only"
        )
        return {"checks": self.checks, "triggers": self.triggers}

    def _metric(self, metric: Data) -> None:
        name = str(metric.get("name") or "metric")
        try:
            asked, limit = self._asked(metric, name), _limit(metric, name)
        except QueryError as error:
            self.notes.missing(f"metric {name}", str(error))
            return
        span = seconds(metric.get("interval", self.interval), f"metric {name}: interval")
        called = unique(name, [check["name"] for check in self.checks])
        self.checks.append({"name": called} | asked[0] | {"limit": limit})
        watch = {"interval": format_duration(max(self.interval, 1.0)), "range": asked[1] or format_duration(span)}
        self.triggers.append({"name": called} | asked[0] | {"limit": limit} | watch)
        said = ", ".join(f"{key} {value:g}" for key, value in limit.items())
        self.notes.translated(f"metric {name}", f"check and trigger {called}: {said}")

    def _asked(self, metric: Data, name: str) -> tuple[dict[str, Any], str]:
        """Builtin or query with its unit, and the fixed range that it had. Raises `QueryError`."""
        if metric.get("templateRef") is None and metric.get("query") is None:
            if name == "request-success-rate":
                self.notes.better(
                    f"metric {name}", "counted by the caller's proxy: requests that reached no pod count too, and gRPC's own codes"
                )
                return {"builtin": "success-rate", "unit": "%"}, ""
            if name == "request-duration":
                return {"builtin": "latency", "quantile": 0.99, "unit": "ms"}, ""
            raise QueryError("it has neither a templateRef nor a query, and is no builtin of Istio")
        query, values = str(metric.get("query") or ""), self._values(metric)
        if metric.get("templateRef") is not None:
            query = self._template(part(metric, "templateRef"))
        text, span = ranged(with_parameters(query, values))
        text, changed = steady(text)
        if changed:
            self.notes.irate(f"metric {name}")
        return {"query": text}, span

    def _template(self, reference: Data) -> str:
        place = str(reference.get("namespace") or self.namespace), str(reference.get("name") or "")
        found = self.templates.get(place) or next((one for (_, name), one in self.templates.items() if name == place[1]), None)
        if found is None:
            raise QueryError(f"the MetricTemplate {'/'.join(filter(None, place))} is not in the files: name its file too")
        provider = part(found, "spec", "provider")
        if provider.get("type", "prometheus") != "prometheus":
            raise QueryError(f"its provider is {provider.get('type')}, and only Prometheus is asked")
        self.notes.rest(provider, ("type",), f"{title(found)}: provider.", _PROVIDER)
        return str(part(found, "spec").get("query") or "")

    def _values(self, metric: Data) -> dict[str, str]:
        values = {
            "name": self.name,
            "namespace": "$namespace",
            "target": "$workload",
            "service": "$service",
            "ingress": self.apex,
            "route": self.apex,
            "interval": "$window",
        }
        return values | {f"variables.{key}": str(value) for key, value in part(metric, "templateVariables").items()}


def _limit(metric: Data, name: str) -> dict[str, float]:
    found = part(metric, "thresholdRange")
    limit = {key: plain(number(found[key], f"metric {name}: thresholdRange.{key}")) for key in ("min", "max") if found.get(key) is not None}
    if not limit and metric.get("threshold") is not None:
        # The older form: a floor for the success rate, a ceiling for everything else.
        key = "min" if name == "request-success-rate" else "max"
        limit = {key: plain(number(metric["threshold"], f"metric {name}: threshold"))}
    if not limit:
        raise QueryError("it has no thresholdRange, so that nothing would fail")
    return limit
