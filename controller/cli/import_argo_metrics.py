"""The metrics of Argo's `AnalysisTemplate`s as checks and triggers of one plan."""

import re
from collections.abc import Mapping
from typing import Any

from controller.api.base import format_duration
from controller.cli.import_argo_args import Words, in_query, resolved, values_of
from controller.cli.import_common import (
    DEFAULT_CHECKS,
    DEFAULT_TRIGGER,
    NO_ENVELOPE,
    Data,
    Notes,
    listed,
    mappings,
    number,
    part,
    repeat_part,
    said,
    seconds,
    unique,
)
from controller.cli.import_conditions import ConditionError, both, failure, success
from controller.cli.import_queries import WINDOW, QueryError, over_window, told_apart, with_parameters

_MOST = 100
_ASKED_ONCE = "the stage's whole window is asked once, at its end"
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
_SOURCES = ("fieldRef", "podTemplateHashValue", "secretKeyRef")
"""Where an argument's value may come from; a metric that needs one of the last two is named as a whole."""

_REFERENCE = ("templateName", "clusterScope")
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
        words: the Rollout's own names, which become parameters.
    """

    def __init__(self, templates: Mapping[tuple[str, str], Data], notes: Notes, words: Words) -> None:
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
        if self.checks and not self.triggers:
            self.notes.better("no analysis beside the steps", DEFAULT_TRIGGER)
        if self.checks or self.triggers:
            return {"checks": self.checks or None, "triggers": self.triggers or None}
        what = "no metric that could be translated" if self._seen else "no analysis"
        self.notes.better(what, DEFAULT_CHECKS)
        return {}

    def background(self, analysis: Data) -> None:
        """An analysis beside all steps: a trigger and a check for each metric."""
        for metric, values in self._metrics(analysis):
            self._add(metric, values, weight=None)

    def inline(self, analysis: Data, weight: int) -> float:
        """An analysis as a step: checks of the stage with this weight. How long it takes, seconds."""
        length = 0.0
        if not weight:
            self.notes.better("an analysis before the first weight", "judges every stage: before a weight green has no requests of users")
        for metric, values in self._metrics(analysis):
            length = max(length, self._add(metric, values, weight=weight))
        return length

    def _metrics(self, analysis: Data) -> list[tuple[Data, dict[str, str]]]:
        """Metrics with the values of their arguments."""
        self.notes.rest(analysis, ("templates", "templateName", "args", "dryRun", "name", "startingStep"), "analysis.", _ANALYSIS)
        given = {str(one.get("name")): one for one in mappings(analysis, "args")}
        self._unread(analysis, "analysis.")
        found: list[tuple[Data, dict[str, str]]] = []
        pending = mappings(analysis, "templates") or ([{"templateName": analysis["templateName"]}] if analysis.get("templateName") else [])
        asked: set[tuple[str, str]] = set()
        while pending:
            reference = pending.pop(0)
            self.notes.rest(reference, _REFERENCE, "analysis.templates: ", {})
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
            spec, called = part(template, "spec"), f"{kind} {key[1]}: "
            self.notes.rest(template, NO_ENVELOPE, called, {})
            self._unread(spec, called)
            pending += mappings(spec, "templates")
            self.notes.rest(spec, ("templates", "args", "metrics", "dryRun"), called, _ANALYSIS)
            dry = [str(one.get("metricName")) for one in (*mappings(analysis, "dryRun"), *mappings(spec, "dryRun"))]
            values = values_of(mappings(spec, "args"), given, self.words)
            for metric in mappings(spec, "metrics"):
                quiet = any(_named(pattern, str(metric.get("name"))) for pattern in dry)
                found.append(({**metric, "observe": True} if quiet else metric, values))
        return found

    def _unread(self, holder: Data, where: str) -> None:
        """Name the fields that nothing reads in arguments and dry runs."""
        for one in mappings(holder, "args"):
            self.notes.rest(one, ("name", "value", "valueFrom"), f"{where}args {one.get('name')}: ", {})
            self.notes.rest(part(one, "valueFrom"), _SOURCES, f"{where}args {one.get('name')}: valueFrom.", {})
        for one in mappings(holder, "dryRun"):
            self.notes.rest(one, ("metricName",), f"{where}dryRun {one.get('metricName')}: ", {})

    def _add(self, given: Data, values: Mapping[str, str], *, weight: int | None) -> float:
        """One metric. How long it takes, seconds."""
        name = str(given.get("name") or "metric")
        try:
            metric = resolved(given, values)
        except QueryError as error:
            self.notes.missing(f"metric {name}", str(error))
            return 0.0
        interval = seconds(metric["interval"], f"metric {name}: interval") if metric.get("interval") else 0.0
        count = max(_whole(metric.get("count"), f"metric {name}: count"), 0)
        before = len(self.notes.found)
        try:
            query = self._query(metric, values)
            lines = self._limits(metric, name)
            query, span = over_window(self.notes, f"metric {name}", query, lines[0])
        except (QueryError, ConditionError) as error:
            self.notes.forget(before)
            self.notes.missing(f"metric {name}", str(error))
            return interval * count
        allowed = _whole(metric.get("failureLimit"), f"metric {name}: failureLimit")
        if allowed < 0:
            self.notes.better(f"metric {name}: failureLimit {allowed}", "observe: true, for no number of failures ends it")
        quiet = {"observe": True} if metric.get("observe") or allowed < 0 else {}
        called = self._check({"query": query, "limit": lines[0]} | quiet, name, weight, span)
        repeat = repeat_part(max(allowed, 0) + 1, count or _MOST)
        if weight is None:
            watch = {"interval": format_duration(max(interval, 1.0)), "range": span or "5m"} if interval else {"range": span or "5m"}
            self.triggers.append({"name": called, "query": query, "limit": lines[1]} | watch | repeat | quiet)
        self._times(name, interval, count, beside=weight is None)
        if allowed > 0:
            least = repeat["repeat"]
            what = f"its trigger fails at {least['failures']} failures among its last {least['of']}" if weight is None else _ASKED_ONCE
            self.notes.better(f"metric {name}: failureLimit {allowed}", what)
        self.notes.rest(metric, _READ, f"metric {name}: ", _METRIC)
        return interval * count

    def _times(self, name: str, interval: float, count: int, *, beside: bool) -> None:
        """Say where it is asked more often or less often than there."""
        if beside and not interval:
            self.notes.better(f"metric {name}: one measurement, without an interval", "its trigger asks all the time")
        elif beside and count:
            self.notes.better(f"metric {name}: count {count}", "its trigger asks as long as the release lasts")
        elif not beside and count > 1:
            self.notes.better(f"metric {name}: count {count}", _ASKED_ONCE)

    def _check(self, asked: dict[str, Any], name: str, weight: int | None, span: str) -> str:
        """A check; the same question at another stage is the same check. Its name."""
        known = next((one for one in self.checks if {key: one.get(key) for key in asked} == asked and weight and one.get("stages")), None)
        whole = f", over the whole window in place of {span}" if span and WINDOW in asked["query"] else ""
        line = said(asked["limit"]) + whole
        if known is not None:
            known["stages"] = sorted({*known["stages"], weight})
            self.notes.translated(f"metric {name}", f"check {known['name']} at {weight} %, too: {line}")
            return str(known["name"])
        called = unique(name, [check["name"] for check in self.checks])
        self.checks.append({"name": called} | asked | ({"stages": [weight]} if weight else {}))
        where = "and trigger" if weight is None else f"at {weight} %" if weight else "of every stage"
        self.notes.translated(f"metric {name}", f"check {called} {where}: {line}")
        return called

    def _query(self, metric: Data, values: Mapping[str, str]) -> str:
        provider = part(metric, "provider")
        prometheus = part(provider, "prometheus")
        if not prometheus:
            raise QueryError(f"its provider is {', '.join(provider) or 'not named'}, and only Prometheus is asked")
        name = str(metric.get("name") or "metric")
        self.notes.rest(provider, ("prometheus",), f"metric {name}: provider.", {})

        def stands_for(variable: str, label: str) -> str | None:
            return in_query(variable, values[variable], label, self.words) if variable in values else None

        self.notes.rest(prometheus, ("query",), f"metric {name}: prometheus.", _PROMETHEUS)
        text = with_parameters(str(prometheus.get("query") or ""), {}, by_label=stands_for)
        told_apart(self.notes, f"metric {name}", text, (self.words.service, self.words.stable, self.words.workload))
        return text

    def _limits(self, metric: Data, name: str) -> tuple[dict[str, float], dict[str, float]]:
        """For the check and for the trigger: what must hold, and what must not happen."""
        good, bad = metric.get("successCondition"), metric.get("failureCondition")
        if not good and not bad:
            raise ConditionError("it has no successCondition and no failureCondition, so that nothing would fail")
        passing = success(str(good)) if good else failure(str(bad))
        failing = failure(str(bad)) if bad else passing
        holds = both(passing, failing)
        if (good and passing.absent_failed) or failing.absent_failed:
            self.notes.better(f"metric {name}: missing data failed", "it holds the release, and rolls back after 15m")
        if passing.several or failing.several:
            self.notes.better(f"metric {name}: a condition for each series", "a check has one number: let the query give one, as by max()")
        if passing.absent_passed:
            self.notes.better(f"metric {name}: missing data passed", "missing data is inconclusive and never a pass")
        if holds != failing.limit:
            self.notes.better(
                f"metric {name}: between success and failure",
                "what Argo found inconclusive fails the check; only a failure fires a trigger",
            )
        if holds != passing.limit:
            became = f"the check, too, fails what the failureCondition fails: {said(holds)}"
            self.notes.translated(f"metric {name}: a failure within what succeeds", became)
        if passing.rounded or failing.rounded:
            self.notes.translated(f"metric {name}: a strict condition", passing.rounded or failing.rounded)
        return holds, failing.limit


def _named(pattern: str, name: str) -> bool:
    """Whether a dry run is meant for the metric: by its name, or by a pattern."""
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error:
        return pattern == name


def _whole(found: Any, what: str) -> int:
    """A count, absent is 0; Argo allows it as text."""
    return 0 if found in (None, "") or listed(found) else int(number(found, what))
