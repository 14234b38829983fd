"""How much a gauge differs between two halves of blue's pods: what a sequential check of that gauge needs to know before a release.

The check's own query is asked of each half alone, at every scrape of the past, by a condition on the pod in each of its selectors.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from analysis import gauge as library
from analysis.model import Sample, Window
from analysis.splits import halvings
from controller.api.measured import MeasuredGauge
from controller.api.plan import PlanSpec
from controller.api.plan_checks import Check
from controller.api.promql import facts
from controller.api.promql_syntax import PromqlSyntaxError
from controller.cli.preflight_read import Samples, Sources
from controller.core.asking import gauge_range
from controller.core.queries import Mesh, Naming, build_checks_queries, fill, label_value, member_of, over_window, pair_of

MOST_WAYS = 4
"""Ways to halve the pods; the largest variance counts, because it is unknown which pods a release will be compared with."""

LEAST_PODS = 2
_PIECE = 3600.0
_LEAST_VARIANCE = 1e-9
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`[^`]*`|\{")


@dataclass(frozen=True, slots=True)
class Gauges:
    """What was measured, and why some gauges were not: clauses by the check's name."""

    measured: tuple[MeasuredGauge, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)


def gauges_of(spec: PlanSpec, sources: Sources, window: Window, naming: Naming, pods: Collection[str]) -> Gauges:
    """The plan's sequential gauges over blue's past. Raises `CommandError` where a Prometheus does not answer."""
    measured, faults = [], {}
    for check in (check for check in spec.checks if check.gauge):
        try:
            query = _query(spec, check, naming)
            variance = _variance(spec, query, sorted(pods), _reader(spec, sources.of(check.provider), window, query))
        except ValueError as error:
            faults[check.name] = str(error)
        else:
            asked = check.asked_of(member_of(spec, check.member).workload)
            measured.append(MeasuredGauge(check=check.name, asked=asked, variance=max(variance, _LEAST_VARIANCE)))
    return Gauges(tuple(measured), faults)


def _query(spec: PlanSpec, check: Check, naming: Naming) -> str:
    """As a release asks it of blue."""
    pair, seconds = pair_of(spec, member_of(spec, check.member), naming), gauge_range(spec.traffic.scrape_interval)
    if check.builtin is None:
        return fill(check.query or "", pair.blue, seconds)
    mesh = Mesh(mode=naming.mode, reporter=spec.traffic.reporter)
    return build_checks_queries(check.builtin, pair, "blue", seconds, mesh=mesh, quantile=check.quantile)


Read = Callable[[str], list[Sample]]
"""The values of a query at every scrape of the past."""


def _variance(spec: PlanSpec, query: str, pods: list[str], read: Read) -> float:
    """The largest of several halvings. Raises `ValueError` where none can be measured."""
    if len(pods) < LEAST_PODS:
        raise ValueError("there is only 1 pod, which has no halves" if pods else "blue's pods are not known by their label `pod`")
    found = []
    for way in halvings([(("pod", pod),) for pod in pods], MOST_WAYS):
        half = [pod for target in way for _, pod in target]
        one, other = (read(of_pods(query, chosen)) for chosen in (half, [pod for pod in pods if pod not in half]))
        every = library.pairs(one, other, apart=spec.traffic.scrape_interval / 2)
        if not every:
            raise ValueError("its query has no numbers above 0 of both halves")
        found.append(library.long_run_variance(every))
    return max(found)


def of_pods(query: str, pods: Collection[str]) -> str:
    """The query about these pods alone.

    Raises:
        ValueError: it cannot be read, or a selector has no braces to say so in.
    """
    pattern = "|".join(label_value(pod, regex=True) for pod in pods)
    added = 0

    def braced(match: re.Match[str]) -> str:
        nonlocal added
        if match[0] != "{":
            return match[0]
        added += 1
        return f'{{pod=~"{pattern}",'

    text = _QUOTED.sub(braced, query)
    try:
        selectors = facts(text).selectors
    except PromqlSyntaxError as error:
        raise ValueError(f"the query cannot be asked of some pods alone: {error}") from error
    if len(selectors) != added:
        raise ValueError("a selector of the query has no braces, so that it cannot be asked of some pods alone")
    return text


def _reader(spec: PlanSpec, samples: Samples, window: Window, whole: str) -> Read:
    """Reads queries that select a part of what the whole query does."""
    ask, step = samples.ask(whole), spec.traffic.scrape_interval

    def read(query: str) -> list[Sample]:
        found: list[Sample] = []
        start = window.start
        while start < window.end:
            end = min(start + _PIECE, window.end)
            series = ask(over_window(query, end - start, step), end)
            if len(series) > 1:
                raise ValueError(f"the query gives {len(series)} series where one is expected")
            found += [sample for one in series for sample in one.samples]
            start = end
        return found

    return read
