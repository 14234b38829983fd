"""The plan's limits and Kayenta's judge over a past window: asked once, at its end, as a release asks them of one stage.

Built-in checks about requests are counted from the samples that the selectors brought; every other query is evaluated.
What a check's answer means is `core.judging`'s word alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from analysis.counters import Scrapes, Slice
from analysis.latency import read_buckets
from analysis.model import Arm, Outcome, Sample, Series, Window
from analysis.threshold import Reading
from analysis.totals import Totals, slices, summed
from controller.api.plan import PlanSpec, TrafficMetrics
from controller.api.plan_checks import BuiltIn, Check, Repeat, Trigger
from controller.api.release import CheckStatus, WindowStatus
from controller.cli.judge_places import Places
from controller.cli.judge_plan import Counters
from controller.cli.judge_queries import COUNTED, SOME_BLUE, Queries, arms_asked
from controller.cli.judge_sources import Samples
from controller.core import judging, reasons
from controller.core.arms import colour_of
from controller.core.asking import gate_key, gate_names, metric_name, standing_key
from controller.core.readings import Context
from controller.core.samples import standing
from controller.core.tested import by_limit
from controller.core.world import Measured, Measurement
from controller.ports import Answer
from controller.report.kayenta import MetricFacts
from controller.report.past import Beside


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that is known of the window.

    Attributes:
        plan: that is judged by.
        places: whose names its queries use.
        window: that is judged.
        samples: evaluates queries.
        queries: of the plan.
        counters: raw samples of requests.
        scrapes: how they are made.
    """

    plan: PlanSpec
    places: Places
    window: Window
    samples: Samples
    queries: Queries
    counters: Counters
    scrapes: Scrapes
    _ticks: dict[tuple[str, float], tuple[Slice, ...]] = field(default_factory=dict)

    def ticks(self, member: str, since: float) -> tuple[Slice, ...]:
        """A member's counters of both arms, tick by tick."""
        if (member, since) not in self._ticks:
            self._ticks[member, since] = slices(self.counters.members[member], since, self.scrapes)
        return self._ticks[member, since]

    def totals(self, member: str, window: Window) -> dict[Arm, Totals]:
        """A member's requests of both arms within a window."""
        return summed(self.ticks(member, window.start), window)

    def unreadable(self, check: Check) -> Reading | None:
        """Why a limit has no number: a counter behind it is none, or a histogram contradicts itself; None where all can be counted."""
        if check.limit is None:
            return None
        if check.builtin is not BuiltIn.LATENCY:
            keys = {arm: standing_key(check.name, arm) for arm in arms_asked(check)}
            asked = {arm: self.queries.texts[key] for arm, key in keys.items() if self.queries.texts.get(key)}
            found = (standing(arm, Measurement(self.samples.at(query, self.window.end), query=query)) for arm, query in asked.items())
            return next((one for one in found if one is not None), None)
        counted = self.counters.members[self.places.member(check.member)]
        read = (read_buckets({arm: counted[arm].buckets}) for arm in arms_asked(check) if arm in counted and counted[arm].buckets)
        return next((Reading(reason=one.fault, detail=one.detail) for one in read if one.fault), None)

    def beside(self, status: CheckStatus, asked: Check | Trigger, keys: Sequence[str]) -> Beside:
        """An answer with the queries that it rests on.

        One that was not measured says why not. Where both versions are asked the same, nothing was compared: that is no pass.
        """
        fault = next((self.queries.faults[key] for key in keys if key in self.queries.faults), "")
        if status.reason == reasons.NOT_MEASURED and fault:
            status = status.model_copy(update={"detail": fault})
        same = next((text for one, other in combinations(keys, 2) if (text := self.queries.same(one, other))), "")
        if same and status.outcome is Outcome.PASS:
            update = {"outcome": Outcome.INCONCLUSIVE, "reason": reasons.SAME_SERIES, "detail": f"Both are asked {same}."}
            status = status.model_copy(update=update)
        queries = {", ".join(_place(key)): self.queries.texts[key] for key in keys if key in self.queries.texts}
        return Beside(status, observe=asked.observe, queries=queries)

    def context(self, now: float) -> Context:
        """What a judgement at this moment knows beside the answers."""
        least = min(stage.min_requests for stage in self.plan.stages)
        counted = self.plan.traffic.metrics is not TrafficMetrics.NONE
        return Context(now=now, scrape_interval=self.plan.traffic.scrape_interval, min_requests=least, counted=counted)


def _place(key: str) -> tuple[str, ...]:
    """Where a query stands in the report: its colour, behind the metric of Kayenta's judge that it is about."""
    _, _, *metric, arm = key.split("/")
    colour = colour_of(Arm(arm))
    return ("/".join(metric), colour) if metric else (colour,)


def number(reading: Reading, time: float) -> Answer:
    """A number that was counted here, as a query's answer; without one the answer has no series."""
    return Answer((Series((), (Sample(time, reading.value),)),) if reading.value is not None else (), "vector")


def reading_of(asked: Check | Trigger, sums: Totals) -> Reading:
    """The number of a built-in check about requests."""
    return _READINGS[asked.builtin](sums, asked.quantile)


def _success(sums: Totals) -> Reading:
    found = sums.error_percent
    return Reading(100 - found.value) if found.value is not None else found


_READINGS: Mapping[BuiltIn | None, Callable[[Totals, float], Reading]] = {
    BuiltIn.ERROR_RATE: lambda sums, _quantile: sums.error_percent,
    BuiltIn.SUCCESS_RATE: lambda sums, _quantile: _success(sums),
    BuiltIn.LATENCY: lambda sums, quantile: sums.quantile(quantile),
    BuiltIn.REQUEST_RATE: lambda sums, _quantile: sums.per_second,
}


def gates(bench: Bench) -> Iterator[Beside]:
    """The plan's checks that are asked at a window's end."""
    for check in bench.plan.checks:
        if by_limit(bench.plan, check, SOME_BLUE):
            yield (_scored if check.kayenta is not None else _limited)(bench, check)


def _limited(bench: Bench, check: Check) -> Beside:
    end, answers = bench.window.end, {}
    counted = check.builtin in COUNTED
    sums = bench.totals(bench.places.member(check.member), bench.window) if counted else {}
    for arm in arms_asked(check):
        key = gate_key(check.name, arm)
        if counted:
            answers[key] = Measurement(number(reading_of(check, sums[arm]), end))
        elif key in bench.queries.texts:
            query = bench.queries.texts[key]
            answers[key] = Measurement(bench.samples.at(query, end), query=query)
    # It is asked once: what a release would find when it measures again lies behind the window.
    return _beside(bench, check.model_copy(update={"repeat": Repeat()}), answers)


def _scored(bench: Bench, check: Check) -> Beside:
    assert check.kayenta is not None  # noqa: S101 - only called with one
    answers, metrics = {}, []
    for metric in check.kayenta.metrics:
        values: dict[Arm, tuple[tuple[float, float], ...]] = {}
        for arm in Arm:
            key = gate_key(metric_name(check.name, metric.name), arm)
            if key in bench.queries.texts:
                query = bench.queries.texts[key]
                answers[key] = Measurement(bench.samples.over(query, bench.window, check.kayenta.step), query=query)
                values[arm] = tuple((sample.time, sample.value) for one in answers[key].series for sample in one.samples)
        metrics.append(MetricFacts(metric.name, values.get(Arm.CANDIDATE, ()), values.get(Arm.BASELINE, ())))
    return replace(_beside(bench, check, answers), metrics=tuple(metrics))


def _beside(bench: Bench, check: Check, answers: dict[str, Measurement]) -> Beside:
    window, sums = bench.window, bench.totals(bench.places.spoken, bench.window)
    judged = WindowStatus(
        opened_at=window.start, last_sample=window.end, ran=window.seconds,
        n_green=sums[Arm.CANDIDATE].requests, n_blue=sums[Arm.BASELINE].requests,
    )  # fmt: skip
    unreadable = bench.unreadable(check)
    around = replace(bench.context(window.end), unusable={check.name: unreadable} if unreadable is not None else {})
    status = judging.judge_gate(check, judged, Measured(answers), CheckStatus(name=check.name), around)
    keys = [gate_key(name, arm) for name in gate_names(check) for arm in Arm]
    return bench.beside(status, check, keys)
