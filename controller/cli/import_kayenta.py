"""A Kayenta `canaryConfig` as a ReleasePlan.

Kayenta compares two sets of values by a rank test and gives a score; here each metric is a check relative to blue,
and every check must pass. The file says nothing of workloads, routes or stages: those come from the command line and
the defaults. What the judge would say itself: `analysis.kayenta`.
"""

import json
from typing import Any

from pydantic.alias_generators import to_camel

from analysis.kayenta_config import CanaryConfig, Direction, MetricConfig, no_effect, read_config
from controller.cli.import_common import Data, Imported, Notes, listed, part, plain, plan_of, unique
from controller.cli.import_queries import QueryError, ranged, with_parameters

RATIO_UP, RATIO_DOWN = 1.2, 0.8
"""Where the file has no effect size: as the default check of p99, a fifth more or less than blue."""

_PROMQL = "PromQL:"


def imports(text: str, *, workload: str, service: str, namespace: str, keep_judge: bool = False) -> Imported:
    """The plan of a configuration. Raises `KayentaError` where it cannot be read.

    Args:
        text: of the file.
        workload: Deployment that the plan moves; the configuration's name where absent, and a note says so.
        service: name of the VirtualService; the workload's where absent.
        namespace: of the plan.
        keep_judge: one check with `method: kayenta` instead of a check for each metric.
    """
    config = read_config(text)
    raw, notes = json.loads(text), Notes()
    plan = _head(config, notes, workload, service)
    if keep_judge:
        plan |= {"stages": _AS_BEFORE}
        checks = _judged_as_before(config, raw, notes)
    else:
        checks = _checks(config, raw, notes)
        _scores(config, notes)
    if not checks:
        notes.better("no metric that could be translated", "the default checks judge: error rate and p99 against blue")
    notes.rest(raw, ("name", "metrics", "templates", "classifier", "judge"), "", _TOP)
    name = config.name or plan["workload"]
    return Imported(plan_of(name, namespace, plan | {"checks": checks}), tuple(notes.found))


def _checks(config: CanaryConfig, raw: Data, notes: Notes) -> list[dict[str, Any]]:
    """A check for each metric."""
    checks: list[dict[str, Any]] = []
    for metric, given in zip(config.metrics, raw["metrics"], strict=True):
        try:
            check = _check(metric, given, raw, [one["name"] for one in checks], notes)
        except QueryError as error:
            notes.missing(f"metric {metric.name}", str(error))
        else:
            checks.append(check)
    return checks


_TOP = {
    "description": "a plan has no text field; keep it as a comment",
    "configVersion": "the plan has its own apiVersion",
    "applications": "a plan names its workload",
    "id": "a plan has its name",
    "createdTimestamp": "the API server keeps it",
    "createdTimestampIso": "the API server keeps it",
    "updatedTimestamp": "the API server keeps it",
    "updatedTimestampIso": "the API server keeps it",
}


def _head(config: CanaryConfig, notes: Notes, workload: str, service: str) -> dict[str, Any]:
    moved = workload or unique(config.name or "workload", ())
    if not workload:
        notes.missing("the workload", f"a canaryConfig names none: {moved} is a guess; give --workload and --virtual-service")
    notes.better(
        "the stages and the interval", "they stood in the pipeline; the plan has the defaults: 5, 25, 50 and 100 %, five minutes each"
    )
    notes.better("baseline and canary of equal size beside production", "green is judged against blue, both with users' requests")
    return {"workload": moved, "traffic": {"virtualService": service or moved}}


def _check(metric: MetricConfig, given: Data, raw: Data, taken: list[str], notes: Notes) -> dict[str, Any]:
    query = _query(part(given, "query"), part(raw, "templates"))
    limit = _limit(metric, notes)
    called = unique(metric.name, taken)
    notes.translated(f"metric {metric.name}", f"check {called}: {', '.join(f'{key} {value:g}' for key, value in limit.items())}")
    if metric.replace_nan:
        notes.missing(
            f"metric {metric.name}: nanStrategy replace",
            "missing data is no 0: where a count has no series before its first event, write `or vector(0)`",
        )
    if metric.remove_outliers:
        notes.missing(f"metric {metric.name}: outliers", "one number of the whole window is compared, and no value is left out")
    if metric.critical:
        notes.better(f"metric {metric.name}: critical", "every check is: one that fails rolls the release back")
    if metric.must_have_data:
        notes.better(f"metric {metric.name}: mustHaveData", "missing data never passes: it holds the release, and rolls back after 15m")
    return {"name": called, "query": ranged(query)[0], "limit": limit} | ({"observe": True} if metric.muted else {})


def _limit(metric: MetricConfig, notes: Notes) -> dict[str, float]:
    """The ratios that Kayenta would let pass; its own threshold is significance, which a plan's limit has not."""
    named = not metric.cles and (metric.allowed_increase != 1 or metric.allowed_decrease != 1)
    if metric.cles:
        notes.missing(f"metric {metric.name}: effectSize cles", "a limit is a ratio; a fifth more or less than blue is taken")
    elif not named:
        notes.better(
            f"metric {metric.name}: any significant change",
            "a change of more than a fifth: with many requests every small change is significant",
        )
    limit: dict[str, float] = {}
    if metric.direction is not Direction.DECREASE:
        limit["maxRatio"] = plain(metric.allowed_increase) if named and metric.allowed_increase > 1 else RATIO_UP
    if metric.direction is not Direction.INCREASE:
        limit["minRatio"] = plain(metric.allowed_decrease) if named and 0 < metric.allowed_decrease < 1 else RATIO_DOWN
    if metric.critical_increase != 1 and metric.critical:
        notes.missing(
            f"metric {metric.name}: criticalIncrease {metric.critical_increase:g}", "one limit a check; add a second check with this ratio"
        )
    return limit


def _query(query: Data, templates: Data) -> str:
    """PromQL as Kayenta would ask it: its own text, or the average of a metric with its labels."""
    kind = str(query.get("type") or query.get("serviceType") or "")
    if kind != "prometheus":
        raise QueryError(f"its query is of {kind or 'no known type'}, and only Prometheus is asked")
    inline = str(query.get("customInlineTemplate") or "")
    filtered = str(query.get("customFilter") or "")
    named = str(query.get("customFilterTemplate") or "")
    if named:
        if named not in templates:
            raise QueryError(f"the template {named} is not in the file")
        filtered = str(templates[named])
    if inline:
        inline = inline.strip().removeprefix(_PROMQL).strip()
        return _translated(inline)
    if filtered.strip().startswith(_PROMQL):
        return _translated(filtered.strip().removeprefix(_PROMQL).strip())
    name = str(query.get("metricName") or "")
    if not name:
        raise QueryError("it has neither a metricName nor a template")
    labels = [str(one) for one in listed(query.get("labelBindings")) if isinstance(one, str)]
    text = f"avg({name}{{{','.join(filter(None, [filtered.strip().strip('{}'), *labels]))}}})"
    if query.get("groupByFields"):
        raise QueryError("it is grouped by labels, and a check compares one number with one")
    return _translated(text)


_VARIABLES = {"scope": "$workload", "location": "$namespace", "namespace": "$namespace"}
"""The scope's own, and the parameter that pipelines add for clusters."""


def _translated(text: str) -> str:
    return with_parameters(text, _VARIABLES, dollars=True)


_AS_BEFORE = [{"weight": 5}, {"weight": 25}, {"weight": 50, "window": "50m"}, {"weight": 100}]
"""Both versions get as many requests while the judge is asked, for 50 values of a minute each."""


def _judged_as_before(config: CanaryConfig, raw: Data, notes: Notes) -> list[dict[str, Any]]:
    """One check with the judge itself. Its metrics have the file's own words, where they are not what the judge takes for granted."""
    metrics = []
    for metric, given in zip(config.metrics, raw["metrics"], strict=True):
        try:
            metrics.append({"name": metric.name, "query": _query(part(given, "query"), part(raw, "templates"))} | _canary(metric))
        except QueryError as error:
            notes.missing(f"metric {metric.name}", str(error))
        else:
            notes.translated(f"metric {metric.name}", f"metric {metric.name} of the check canary")
    counted = {group for metric in metrics if not metric.get("muted") for group in metric.get("groups", ())}
    for group in sorted(set(config.group_weights) - counted):
        notes.missing(f"groupWeights {group}", "no metric of this group is left; groups without a weight share it")
    marginal, passing = config.thresholds or (75.0, 95.0)
    asked = {
        "metrics": metrics,
        "groupWeights": {group: plain(weight) for group, weight in config.group_weights.items() if group in counted},
        "scoreThresholds": {"pass": plain(passing), "marginal": plain(marginal)},
    }
    notes.better("when the judge is asked", "once, after 50 minutes at 50 %: it was made for one look; the triggers watch all the time")
    notes.better("a marginal score", "it is judged again as values come, and rolls back after 15m; it never passes")
    notes.better("missing data", "it never passes, and by itself never fails: the release holds, and rolls back after 15m")
    if not metrics:
        return []
    return [{"name": "canary", "method": "kayenta", "stages": [50], "kayenta": {key: value for key, value in asked.items() if value}}]


def _canary(metric: MetricConfig) -> dict[str, Any]:
    """What the file says of one metric beside its query."""
    usual = no_effect(cles=metric.cles)
    sizes = ("allowed_increase", "allowed_decrease", "critical_increase", "critical_decrease")
    effect = {to_camel(name): plain(getattr(metric, name)) for name in sizes if getattr(metric, name) != usual}
    outliers = {"strategy": "remove"} | ({"outlierFactor": plain(metric.outlier_factor)} if metric.outlier_factor != _FACTOR else {})
    found = {
        "groups": list(metric.groups),
        "direction": str(metric.direction) if metric.direction is not Direction.EITHER else "",
        "nanStrategy": "replace" if metric.replace_nan else "",
        "outliers": outliers if metric.remove_outliers else {},
        "critical": metric.critical,
        "mustHaveData": metric.must_have_data,
        "muted": metric.muted,
        "effectSize": ({"measure": "cles"} if metric.cles else {}) | effect,
    }
    return {key: value for key, value in found.items() if value}


_FACTOR = MetricConfig().outlier_factor


def _scores(config: CanaryConfig, notes: Notes) -> None:
    if config.group_weights:
        said = ", ".join(f"{group} {weight:g}" for group, weight in config.group_weights.items())
        instead = "there is no score: every check must pass. `observe: true` on those that must not decide; --keep-judge keeps the score"
        notes.missing(f"groupWeights {said}", instead)
    if config.thresholds:
        marginal, passing = config.thresholds
        notes.missing(f"scoreThresholds {passing:g} and {marginal:g}", "there is no score: a check passes, fails, or cannot be judged")
    notes.better(
        "the rank test of values by the minute",
        "the numbers of a whole window are compared, and a window without enough requests never passes",
    )
