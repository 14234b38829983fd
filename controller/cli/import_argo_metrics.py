"""The metrics of Argo's `AnalysisTemplate`s as checks and triggers of one plan."""

import re
from collections.abc import Mapping
from typing import Any

from controller.api.base import format_duration
from controller.cli.import_common import Data, Notes, listed, mappings, number, part, repeat_part, seconds, unique
from controller.cli.import_conditions import Condition, ConditionError, failure, success
from controller.cli.import_queries import QueryError, ranged, steady, with_parameters

_MOST = 100
_READ = ("name", "interval", "count", "failureLimit", "provider", "successCondition", "failureCondition", "observe")
_METRIC = {
    "initialDelay": "a stage's warmUp (30s) is not judged; a trigger watches from the first weight on",
    "inconclusiveLimit": "missing data holds the release for `noData.deadline` (15m), then rolls back",
    "consecutiveErrorLimit": "missing data holds the release for `noData.deadline` (15m), then rolls back",
    "consecutiveSuccessLimit": "a stage passes at the end of its window, not earlier",
}
_ANALYSIS = {
    "measurementRetention": "every measurement is kept as evidence, as long as `history` keeps the release",
    "analysisRunMetadata": "a measurement is no object of its own",
}
_PROMETHEUS = {
    "address": "the controller's configuration names the Prometheus",
    "authentication": "the controller's configuration names the credentials",
    "headers": "the controller's configuration names the headers",
    "insecure": "certificates are always checked; the configuration names the authority",
    "timeout": "the controller's configuration has the time limit",
    "rangeQuery": "a query gives one number of the whole window",
}


class Metrics:
    """All analyses of one Rollout.

    Args:
        templates: by kind and name.
        notes: of the translation.
        words: name, namespace, workload and the canary's service: values of arguments that become parameters.
    """

    def __init__(self, templates: Mapping[tuple[str, str], Data], notes: Notes, words: Mapping[str, str]) -> None:
        self.templates, self.notes, self.words = templates, notes, words
        self.checks: list[dict[str, Any]] = []
        self.triggers: list[dict[str, Any]] = []
        self._seen = False

    def parts(self, weights: set[int]) -> dict[str, Any]:
        """Checks and triggers; none where no metric could be translated, so that the plan has the defaults."""
        for check in self.checks:
            kept = [weight for weight in check.pop("stages", []) if weight in weights]
            if kept:
                check["stages"] = kept
        if self.checks or self.triggers:
            return {"checks": self.checks or None, "triggers": self.triggers or None}
        what = "no metric that could be translated" if self._seen else "no analysis"
        self.notes.better(what, "the default checks judge: error rate and p99 against blue, and a trigger on errors")
        return {}

    def background(self, analysis: Data) -> None:
        """An analysis beside all steps: a trigger and a check for each metric."""
        for metric, values in self._metrics(analysis):
            self._add(metric, values, weight=None)

    def inline(self, analysis: Data, weight: int) -> float:
        """An analysis as a step: checks of the stage with this weight. How long it takes, seconds."""
        length = 0.0
        for metric, values in self._metrics(analysis):
            length = max(length, self._add(metric, values, weight=weight))
        return length

    def _metrics(self, analysis: Data) -> list[tuple[Data, dict[str, str]]]:
        """Metrics with the values of their arguments."""
        self.notes.rest(analysis, ("templates", "templateName", "args", "dryRun", "name", "startingStep"), "analysis.", _ANALYSIS)
        given = {str(one.get("name")): one for one in mappings(analysis, "args")}
        found: list[tuple[Data, dict[str, str]]] = []
        pending = mappings(analysis, "templates") or ([dict(analysis)] if analysis.get("templateName") else [])
        asked: set[tuple[str, str]] = set()
        while pending:
            reference = pending.pop(0)
            kind = "ClusterAnalysisTemplate" if reference.get("clusterScope") else "AnalysisTemplate"
            key = kind, str(reference.get("templateName") or "")
            if key in asked:
                continue
            asked.add(key)
            template = self.templates.get(key)
            self._seen = True
            if template is None:
                self.notes.missing(f"{kind} {key[1]}", "it is not in the files: name its file too")
                continue
            spec = part(template, "spec")
            pending += mappings(spec, "templates")
            self.notes.rest(spec, ("templates", "args", "metrics", "dryRun"), f"{kind} {key[1]}: ", _ANALYSIS)
            dry = [str(one.get("metricName")) for one in (*mappings(analysis, "dryRun"), *mappings(spec, "dryRun"))]
            values = self._values(mappings(spec, "args"), given)
            for metric in mappings(spec, "metrics"):
                quiet = any(_named(pattern, str(metric.get("name"))) for pattern in dry)
                found.append(({**metric, "observe": True} if quiet else metric, values))
        return found

    def _values(self, declared: list[dict[str, Any]], given: Mapping[str, Data]) -> dict[str, str]:
        values = {}
        for one in declared:
            name = str(one.get("name"))
            source = given.get(name, one)
            value = self._value(source if source.get("value") is not None or source.get("valueFrom") else one)
            if value is not None:
                values[f"args.{name}"] = value
        return values

    def _value(self, source: Data) -> str | None:
        """A text or one of our parameters; None for what only Argo knows (pod hashes, secrets)."""
        path = str(part(source, "valueFrom", "fieldRef").get("fieldPath") or "")
        if path:
            known = {"metadata.namespace": "$namespace", "metadata.name": "$workload"}
            return known.get(path)
        if source.get("value") is None:
            return None
        value, service, namespace = str(source["value"]), self.words["service"], self.words["namespace"]
        # Without a namespace the file goes wherever it is applied, so that any namespace may be its own.
        if re.fullmatch(rf"{re.escape(service)}\.{re.escape(namespace) or '[a-z0-9-]+'}(\.svc(\.cluster\.local)?)?", value):
            return "$host"
        if value == service:
            return "$service"
        if value == self.words["workload"]:
            return "$workload"
        return "$namespace" if value == namespace and value else value

    def _add(self, metric: Data, values: Mapping[str, str], *, weight: int | None) -> float:
        """One metric. How long it takes, seconds."""
        name = str(metric.get("name") or "metric")
        interval = seconds(metric["interval"], f"metric {name}: interval") if metric.get("interval") else 0.0
        count = _whole(metric.get("count"), f"metric {name}: count")
        try:
            query, span = self._query(metric, values)
            lines = self._limits(metric, name)
        except (QueryError, ConditionError) as error:
            self.notes.missing(f"metric {name}", str(error))
            return interval * count
        failures = _whole(metric.get("failureLimit"), f"metric {name}: failureLimit") + 1
        quiet = {"observe": True} if metric.get("observe") else {}
        self._check({"query": query, "limit": lines[0].limit} | quiet, name, weight)
        if weight is None:
            watch = {"interval": format_duration(max(interval, 1.0)), "range": span or "5m"} if interval else {"range": span or "5m"}
            called = unique(name, [trigger["name"] for trigger in self.triggers])
            self.triggers.append(
                {"name": called, "query": query, "limit": lines[1].limit} | watch | repeat_part(failures, count or _MOST) | quiet
            )
        if failures > 1:
            what = "its trigger fails so" if weight is None else "the stage's whole window is asked once, at its end"
            self.notes.better(f"metric {name}: failureLimit {failures - 1}", what)
        self.notes.rest(metric, _READ, f"metric {name}: ", _METRIC)
        return interval * count

    def _check(self, asked: dict[str, Any], name: str, weight: int | None) -> None:
        """A check; the same question at another stage is the same check."""
        known = next((one for one in self.checks if {key: one.get(key) for key in asked} == asked and weight and one.get("stages")), None)
        if known is not None:
            known["stages"] = sorted({*known["stages"], weight})
            return
        called = unique(name, [check["name"] for check in self.checks])
        self.checks.append({"name": called} | asked | ({"stages": [weight]} if weight else {}))
        where = f"at {weight} %" if weight else "and trigger"
        self.notes.translated(f"metric {name}", f"check {called} {where}: {', '.join(f'{k} {v:g}' for k, v in asked['limit'].items())}")

    def _query(self, metric: Data, values: Mapping[str, str]) -> tuple[str, str]:
        provider = part(metric, "provider")
        prometheus = part(provider, "prometheus")
        if not prometheus:
            raise QueryError(f"its provider is {', '.join(provider) or 'not named'}, and only Prometheus is asked")
        name = str(metric.get("name") or "metric")
        self.notes.rest(prometheus, ("query",), f"metric {name}: prometheus.", _PROMETHEUS)
        text, span = ranged(with_parameters(str(prometheus.get("query") or ""), values))
        text, changed = steady(text)
        if changed:
            self.notes.irate(f"metric {name}")
        return text, span

    def _limits(self, metric: Data, name: str) -> tuple[Condition, Condition]:
        """For the check and for the trigger: what must hold, and what must not happen."""
        good, bad = metric.get("successCondition"), metric.get("failureCondition")
        if not good and not bad:
            raise ConditionError("it has no successCondition and no failureCondition, so that nothing would fail")
        passing = success(str(good)) if good else failure(str(bad))
        failing = failure(str(bad)) if bad else passing
        if passing.absent_passed:
            self.notes.better(f"metric {name}: missing data passed", "missing data is inconclusive and never a pass")
        if good and bad:
            self.notes.better(
                f"metric {name}: between success and failure",
                "the check asks for success and the trigger for no failure; nothing lies between",
            )
        if passing.rounded or failing.rounded:
            self.notes.better(f"metric {name}: a strict condition", passing.rounded or failing.rounded)
        return passing, failing


def _named(pattern: str, name: str) -> bool:
    """Whether a dry run is meant for the metric: by its name, or by a pattern."""
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error:
        return pattern == name


def _whole(found: Any, what: str) -> int:
    """A count, absent is 0; Argo allows it as text."""
    if found in (None, "") or listed(found):
        return 0
    return max(int(number(found, what)), 0)
