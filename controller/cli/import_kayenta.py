"""A Kayenta `canaryConfig` as a ReleasePlan.

Kayenta compares two sets of values by a rank test and gives a score; here each metric is a check relative to blue,
and every check must pass. The file says nothing of workloads, routes or stages: those come from the command line and
the defaults. What the judge would say itself: `analysis.kayenta`.
"""

import json
from typing import Any

from pydantic.alias_generators import to_camel

from analysis.kayenta_config import CanaryConfig, Direction, MetricConfig, no_effect, read_config
from controller.api.validate_queries import EQUAL
from controller.cli.import_common import (
    DEFAULT_CHECKS,
    DEFAULT_TRIGGER,
    Data,
    Imported,
    Notes,
    listed,
    part,
    plain,
    plan_of,
    refused,
    said,
    unique,
)
from controller.cli.import_queries import QueryError, by_traffic, ranged, told_apart, with_parameters

RATIO_UP, RATIO_DOWN = 1.2, 0.8
"""Where the file has no effect size: as the default check of p99, a fifth more or less than blue."""

_PROMQL = "PromQL:"


def imports(text: str, *, workload: str, service: str, namespace: str, keep_judge: bool = False) -> Imported:
    """The plan of a configuration. Raises `KayentaError` where it cannot be read, `CommandError` where the judge would have no metric.

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
    if checks:
        notes.better("no watch between the judge's looks", DEFAULT_TRIGGER)
    else:
        notes.better("no metric that could be translated", DEFAULT_CHECKS)
    _unread(raw, notes)
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


def _unread(raw: Data, notes: Notes) -> None:
    """Name every field that nothing here reads, above the metrics and in each of them."""
    notes.rest(raw, ("name", "metrics", "templates", "classifier", "judge"), "", _TOP)
    notes.rest(part(raw, "judge"), ("name", "judgeConfigurations"), "judge.", {})
    notes.rest(part(raw, "judge", "judgeConfigurations"), (), "judge.judgeConfigurations.", {})
    notes.rest(part(raw, "classifier"), ("groupWeights", "scoreThresholds"), "classifier.", {})
    notes.rest(part(raw, "classifier", "scoreThresholds"), ("pass", "marginal"), "classifier.scoreThresholds.", {})
    used = [str(part(given, "query").get("customFilterTemplate")) for given in raw["metrics"]]
    notes.rest(part(raw, "templates"), used, "templates.", dict.fromkeys(part(raw, "templates"), "no metric uses it"))
    for given in raw["metrics"]:
        where = f"metric {given['name']}: "
        notes.rest(given, ("name", "query", "groups", "analysisConfigurations", "scopeName"), where, _METRIC)
        if str(part(given, "query").get("type") or part(given, "query").get("serviceType")) == "prometheus":
            notes.rest(part(given, "query"), _QUERY, f"{where}query.", {})
        notes.rest(part(given, "analysisConfigurations"), ("canary",), f"{where}analysisConfigurations.", {})
        canary = part(given, "analysisConfigurations", "canary")
        notes.rest(canary, _ANALYSIS, f"{where}canary.", {})
        notes.rest(part(canary, "effectSize"), _EFFECT, f"{where}effectSize.", {})
        notes.rest(part(canary, "outliers"), ("strategy", "outlierFactor"), f"{where}outliers.", {})


_METRIC = {"id": "a check has its name", "analysisConfiguration": "Kayenta reads analysisConfigurations"}
_QUERY = (
    "type", "serviceType", "metricName", "labelBindings", "groupByFields", "resourceType",
    "customFilter", "customFilterTemplate", "customInlineTemplate",
)  # fmt: skip
_ANALYSIS = ("direction", "nanStrategy", "critical", "mustHaveData", "muted", "effectSize", "outliers")
_EFFECT = ("measure", "allowedIncrease", "allowedDecrease", "criticalIncrease", "criticalDecrease")


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
    _doubts(given, metric, query, notes)
    called = unique(metric.name, taken)
    notes.translated(f"metric {metric.name}", f"check {called}: {said(limit)}")
    if metric.replace_nan:
        notes.missing(
            f"metric {metric.name}: nanStrategy replace",
            "missing data is no 0: fill up the failures alone, as in `(sum(failures) or vector(0)) / sum(requests)`",
        )
    if metric.remove_outliers:
        notes.missing(f"metric {metric.name}: outliers", "one number of the whole window is compared, and no value is left out")
    if metric.muted:
        notes.translated(f"metric {metric.name}: muted", "observe: true, it is shown and never decides")
    if metric.critical:
        notes.better(f"metric {metric.name}: critical", "every check is: one that fails rolls the release back")
    if metric.must_have_data:
        notes.better(f"metric {metric.name}: mustHaveData", "missing data never passes: it holds the release, and rolls back after 15m")
    at: dict[str, Any] = {}
    if by_traffic(query):
        at = {"stages": [EQUAL]}
        became = (
            f"compared at {EQUAL} % alone, as Kayenta's versions had as many requests: at other weights a sum of more of them is larger"
        )
        notes.better(f"metric {metric.name}: more requests make it larger", became)
    return {"name": called, "query": _averaged(query), "limit": limit} | at | ({"observe": True} if metric.muted else {})


def _averaged(query: str) -> str:
    """Over the whole window, as Kayenta takes the mean of the values minute by minute."""
    text, span = ranged(query)
    # A comment ends with its line, and must not take the bracket with it.
    end = "\n" if "#" in query else ""
    return text if span else f"avg_over_time(({query}{end})[$window:1m])"


def _limit(metric: MetricConfig, notes: Notes) -> dict[str, float]:
    """The ratios that Kayenta would let pass; its own threshold is significance, which a plan's limit has not."""
    limit: dict[str, float] = {}
    if metric.direction is not Direction.DECREASE:
        limit["maxRatio"] = RATIO_UP if metric.cles or metric.allowed_increase <= 1 else plain(metric.allowed_increase)
    if metric.direction is not Direction.INCREASE:
        limit["minRatio"] = plain(metric.allowed_decrease) if not metric.cles and 0 < metric.allowed_decrease < 1 else RATIO_DOWN
    sides = {"maxRatio": ("allowedIncrease", metric.allowed_increase), "minRatio": ("allowedDecrease", metric.allowed_decrease)}
    if metric.cles:
        notes.missing(f"metric {metric.name}: effectSize cles", "a limit is a ratio; a fifth more or less than blue is taken")
    else:
        for side in (side for side in limit if limit[side] != sides[side][1]):
            word, size = sides[side]
            change = word.removeprefix("allowed").lower()
            given = f"any significant {change}" if size == 1 else f"{word} {size:g}, which is no {change}"
            became = f"{side} {limit[side]:g}, a fifth: with many requests every small change is significant"
            notes.better(f"metric {metric.name}: {given}", became)
    for word, size in (("criticalIncrease", metric.critical_increase), ("criticalDecrease", metric.critical_decrease)):
        if metric.critical and size != no_effect(cles=metric.cles):
            notes.missing(f"metric {metric.name}: {word} {size:g}", "one limit a check; add a second check with this ratio")
    return limit


def _doubts(given: Data, metric: MetricConfig, query: str, notes: Notes) -> None:
    """Words that Kayenta does not know, which mean its default there, too; and a query that does not tell the versions apart."""
    if "$workload" not in query:
        notes.missing(f"metric {metric.name}: no ${{scope}} in its query", "both versions are asked for the same: select by $workload")
    told_apart(notes, f"metric {metric.name}", query, ())
    canary = part(given, "analysisConfigurations", "canary")
    known = {"direction": list(map(str, Direction)), "nanStrategy": ["remove", "replace"]}
    for field, words in known.items():
        if canary.get(field) not in (None, "", *words):
            meant = str(metric.direction) if field == "direction" else "remove"
            notes.better(
                f"metric {metric.name}: {field} {canary[field]}", f"Kayenta does not know this word and takes {meant}; so does the plan"
            )


def _query(query: Data, templates: Data) -> str:
    """PromQL as Kayenta would ask it: its own text, or the average of a metric with its labels."""
    kind = str(query.get("type") or query.get("serviceType") or "")
    if kind != "prometheus":
        raise QueryError(f"its query is of {kind or 'no known type'}, and only Prometheus is asked")
    filtered, name = _filter(query, templates), str(query.get("metricName") or "")
    if filtered.startswith(_PROMQL):
        return _translated(filtered.removeprefix(_PROMQL).strip())
    if not name:
        if not query.get("customInlineTemplate"):
            raise QueryError("it has neither a metricName nor a template")
        return _translated(filtered)  # A whole query whose author forgot the prefix: without a metric it can be nothing else.
    if query.get("resourceType") and not filtered:
        raise QueryError(f"its resourceType {query['resourceType']} selects machines by their names, and a plan moves workloads")
    labels = [str(one) for one in listed(query.get("labelBindings")) if isinstance(one, str)]
    text = f"avg({name}{{{','.join(filter(None, [filtered.strip('{}'), *labels]))}}})"
    if query.get("groupByFields"):
        raise QueryError("it is grouped by labels, and a check compares one number with one")
    return _translated(text)


def _filter(query: Data, templates: Data) -> str:
    """The filter, or the whole query behind `PromQL:`: an inline template comes first, then a named one. Raises `QueryError`."""
    inline, named = str(query.get("customInlineTemplate") or ""), str(query.get("customFilterTemplate") or "")
    if not inline and named and named not in templates:
        raise QueryError(f"the template {named} is not in the file")
    return (inline or str(templates[named] if named else query.get("customFilter") or "")).strip()


_VARIABLES = {"scope": "$workload", "location": "$namespace", "namespace": "$namespace"}
"""The scope's own, and the parameter that pipelines add for clusters."""


def _translated(text: str) -> str:
    return with_parameters(text, _VARIABLES, dollars=True)


_AS_BEFORE = [{"weight": 5}, {"weight": 25}, {"weight": 50, "window": "50m"}, {"weight": 100}]
"""Both versions get as many requests while the judge is asked, for 50 values of a minute each."""


def _judged_as_before(config: CanaryConfig, raw: Data, notes: Notes) -> list[dict[str, Any]]:
    """One check with the judge itself. Its metrics have the file's own words, where they are not what the judge takes for granted."""
    metrics, faults = [], []
    for metric, given in zip(config.metrics, raw["metrics"], strict=True):
        try:
            query = _query(part(given, "query"), part(raw, "templates"))
        except QueryError as error:
            faults.append(f"{metric.name}: {error}")
            notes.missing(f"metric {metric.name}", str(error))
        else:
            metrics.append({"name": metric.name, "query": query} | _canary(metric))
            notes.translated(f"metric {metric.name}", f"metric {metric.name} of the check canary")
            _doubts(given, metric, query, notes)
    if not metrics:
        raise refused(f"The judge would have no metric ({'; '.join(faults)}): import without --keep-judge, and the default checks judge.")
    counted = {group for metric in metrics if not metric.get("muted") for group in metric.get("groups", ())}
    marginal, passing = config.thresholds or (75.0, 95.0)
    asked = {
        "metrics": metrics,
        "groupWeights": _weights(config, counted, notes),
        "scoreThresholds": {"pass": plain(passing), "marginal": plain(marginal)},
    }
    notes.better("when the judge is asked", "once, after 50 minutes at 50 %: it was made for one look; the triggers watch all the time")
    notes.better("a marginal score", "it is judged again as values come, and rolls back after 15m; it never passes")
    notes.better("missing data", "it never passes, and by itself never fails: the release holds, and rolls back after 15m")
    return [{"name": "canary", "method": "kayenta", "stages": [50], "kayenta": {key: value for key, value in asked.items() if value}}]


def _weights(config: CanaryConfig, counted: set[str], notes: Notes) -> dict[str, float]:
    """The weights of the groups that are left; what those had whose metrics could not be asked is the others' in proportion.

    Without that no score could reach the threshold. Groups without a weight share what is missing by themselves.
    """
    before = {group for metric in config.metrics if not metric.muted for group in metric.groups}
    left = {group: weight for group, weight in config.group_weights.items() if group in counted}
    lost = sum(weight for group, weight in config.group_weights.items() if group in before - counted)
    shared = bool(counted - set(left))
    for group in sorted(set(config.group_weights) - counted):
        scaled = group in before and not shared
        instead = "the others have its weight in proportion" if scaled else "groups without a weight share it"
        notes.missing(f"groupWeights {group}", f"no metric of this group is left; {instead}")
    if shared or not lost or not left:
        return {group: plain(weight) for group, weight in left.items()}
    whole = sum(left.values())
    found = {group: round(weight * (whole + lost) / whole, 4) for group, weight in left.items()}
    last = next(reversed(found))
    found[last] = round(whole + lost - sum(weight for group, weight in found.items() if group != last), 4)
    return {group: plain(weight) for group, weight in found.items()}


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
