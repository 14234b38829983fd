"""The metrics of a Flagger `Canary` as checks and triggers of one plan.

The variables of a query are Flagger's documented ones: name, namespace, target, service, ingress, route, interval, and `variables`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.api.base import format_duration
from controller.cli.import_common import (
    DEFAULT_CHECKS,
    NO_ENVELOPE,
    Data,
    Notes,
    mappings,
    number,
    part,
    plain,
    repeat_part,
    said,
    seconds,
    title,
    unique,
)
from controller.cli.import_queries import WINDOW, QueryError, literal, over_window, told_apart, with_parameters

_SPAN = 60.0
"""A metric's own interval where it names none, whatever the interval of the looks is."""

_OTHERS = re.compile(r"(\{\{-?\s*(?:name|target|service)\s*-?\}\})-(canary|primary)(?!\w)")
"""The names that Flagger makes: of green's Service, and of whatever is blue's; pods have more behind it."""

_AVERAGING = ("nginx", "skipper")
"""Providers of Flagger whose request-duration is the average of all requests; the others' is p99."""

_LOOKS = 100
"""As many as a trigger remembers: Flagger counts failures from the first look of a release to its last."""

_READ = ("name", "interval", "threshold", "thresholdRange", "templateRef", "query", "templateVariables")
_PROVIDER = {
    "address": "the controller's configuration names the Prometheus",
    "secretRef": "the controller's configuration names the credentials",
    "insecureSkipVerify": "certificates are always checked; the configuration names the authority",
    "headers": "the controller's configuration names the headers",
}


@dataclass(frozen=True, slots=True)
class Names:
    """What a Canary calls its things.

    Attributes:
        namespace: its own; "" where the file names none.
        own: its workload, and the Service in front of it.
        provider: who moves its traffic.
        values: what stands for a query's variables.
    """

    namespace: str
    own: tuple[str, str]
    provider: str
    values: Mapping[str, str]


def names_of(canary: Data, workload: str, apex: str) -> Names:
    """The names of a Canary. Its own mostly is that of its target, which then is meant in queries."""
    spec, name = part(canary, "spec"), str(part(canary, "metadata").get("name", ""))
    known = {
        "name": "$workload" if name == workload else literal(name),
        "namespace": "$namespace",
        "target": "$workload",
        "service": "$service",
        "interval": WINDOW,
    }
    references = {"ingress": part(spec, "ingressRef"), "route": part(spec, "routeRef")}
    named = {variable: literal(str(found["name"])) for variable, found in references.items() if found.get("name")}
    return Names(str(part(canary, "metadata").get("namespace", "")), (workload, apex), str(spec.get("provider", "istio")), known | named)


class Metrics:
    """The metrics of one Canary, on their way to checks and triggers."""

    def __init__(self, analysis: Data, interval: float, names: Names, templates: Mapping[tuple[str, str], Data], notes: Notes) -> None:
        self.analysis, self.interval, self.names, self.templates, self.notes = analysis, interval, names, templates, notes
        self.checks: list[dict[str, Any]] = []
        self.triggers: list[dict[str, Any]] = []

    def parts(self) -> dict[str, Any]:
        """Checks and triggers; none where no metric could be translated, so that the plan has the defaults."""
        given = int(number(self.analysis.get("threshold", 1), "analysis.threshold"))
        metrics = mappings(self.analysis, "metrics")
        for metric in metrics:
            self._metric(metric)
        if not self.checks:
            self.notes.better("no metric that could be translated" if metrics else "no metrics", DEFAULT_CHECKS)
            if "threshold" in self.analysis:
                self.notes.missing(f"threshold {given}", "no metric is left whose failures it could count")
            return {}
        # One failed look is enough for Flagger wherever the threshold is not positive.
        repeat = repeat_part(max(given, 1), _LOOKS)
        self.triggers = [trigger | repeat for trigger in self.triggers]
        counted = repeat.get("repeat")
        fails = f"{counted['failures']} failures among its last {counted['of']}" if counted else "its first failure"
        told = f"each metric is a trigger that fails at {fails}, and a check of each stage's whole window"
        self.notes.better(f"threshold {given}", f"{told}; Flagger looked at the last interval only, and counted all metrics over all looks")
        self.notes.better("a look without data, which failed", "it holds the release, and rolls back after 15m")
        return {"checks": self.checks, "triggers": self.triggers}

    def _metric(self, metric: Data) -> None:
        name, before = str(metric.get("name") or "metric"), len(self.notes.found)
        span = format_duration(seconds(metric.get("interval", _SPAN), f"metric {name}: interval"))
        try:
            asked, limit = self._asked(metric, name), _limit(metric, name)
        except QueryError as error:
            self.notes.forget(before)
            self.notes.missing(f"metric {name}", str(error))
            return
        if "query" in asked:
            asked["query"], span = self._over_window(asked["query"], limit, name, span)
        called = unique(name, [check["name"] for check in self.checks])
        self.checks.append({"name": called} | asked | {"limit": limit})
        watch = {"interval": format_duration(self.interval), "range": span}
        self.triggers.append({"name": called} | asked | {"limit": limit} | watch)
        self.notes.translated(f"metric {name}", f"check and trigger {called}: {said(limit)}")
        unread = _READ if "thresholdRange" not in metric else [field for field in _READ if field != "threshold"]
        self.notes.rest(metric, unread, f"metric {name}: ", {"threshold": "thresholdRange comes first"})
        self.notes.rest(part(metric, "thresholdRange"), ("min", "max"), f"metric {name}: thresholdRange.", {})

    def _over_window(self, query: str, limit: Mapping[str, float], name: str, own: str) -> tuple[str, str]:
        """The query of a stage's window, and the range of its trigger: the fixed one that stood there, or the metric's own."""
        text, span = over_window(self.notes, f"metric {name}", query, limit, own)
        return text, span or own

    def _asked(self, metric: Data, name: str) -> dict[str, Any]:
        """Builtin or query with its unit. Raises `QueryError`."""
        if metric.get("templateRef") is None and metric.get("query") is None:
            if name == "request-success-rate":
                self.notes.better(
                    f"metric {name}", "counted by the caller's proxy: requests that reached no pod count too, and gRPC's own codes"
                )
                return {"builtin": "success-rate", "unit": "%"}
            if name == "request-duration":
                if self.names.provider in _AVERAGING:
                    instead = "p99 is asked here, which is larger: choose its limit anew"
                    self.notes.missing(f"metric {name} of {self.names.provider}, an average", instead)
                return {"builtin": "latency", "quantile": 0.99, "unit": "ms"}
            raise QueryError("it has neither a templateRef nor a query, and is no builtin of Istio")
        query = str(metric.get("query") or "")
        if metric.get("templateRef") is not None:
            query = self._template(part(metric, "templateRef"), name)
        extra = {f"variables.{key}": literal(str(value)) for key, value in part(metric, "templateVariables").items()}
        text = with_parameters(_of_green(query), {**self.names.values, **extra})
        made = [f"{known}{end}" for known in self.names.own for end in ("", "-canary", "-primary")]
        told_apart(self.notes, f"metric {name}", text, made)
        return {"query": text}

    def _template(self, reference: Data, name: str) -> str:
        place = str(reference.get("namespace") or self.names.namespace), str(reference.get("name") or "")
        found = self.templates.get(place) or next((one for (_, name), one in self.templates.items() if name == place[1]), None)
        if found is None:
            raise QueryError(f"the MetricTemplate {'/'.join(filter(None, place))} is not in the files: name its file too")
        if place not in self.templates and all((place[0], part(found, "metadata").get("namespace"))):
            self.notes.better(f"metric {name}: MetricTemplate {'/'.join(place)}", f"{title(found)} was taken, which is in the files")
        self.notes.rest(reference, ("name", "namespace"), f"metric {name}: templateRef.", {})
        provider = part(found, "spec", "provider")
        if provider.get("type", "prometheus") != "prometheus":
            raise QueryError(f"its provider is {provider.get('type')}, and only Prometheus is asked")
        self.notes.rest(provider, ("type",), f"{title(found)}: provider.", _PROVIDER)
        self.notes.rest(found, NO_ENVELOPE, f"{title(found)}: ", {})
        self.notes.rest(part(found, "spec"), ("provider", "query"), f"{title(found)}: ", {})
        return str(part(found, "spec").get("query") or "")


def _of_green(query: str) -> str:
    """With the name of green's Service as Flagger makes it turned into the one that it has here. Raises `QueryError`."""
    for found in _OTHERS.finditer(query):
        if found[2] == "primary":
            raise QueryError(f"it asks {found[0]}, the serving version: ask for green alone, which is compared with blue by a maxRatio")
    return _OTHERS.sub("{{ service }}", query)


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
