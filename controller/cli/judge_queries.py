"""The queries of a plan for a past window, as a release would send them: they are written before anything is read.

So files can be read once for everything. A built-in check about requests has no query here: what it counts is selected.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from analysis.model import Arm, Window
from controller.api.plan import PlanSpec
from controller.api.plan_checks import BuiltIn, Check, Trigger
from controller.cli.judge_places import Places
from controller.core.arms import colour_of
from controller.core.asking import TARGETS, gate_key, gauge_key, gauge_range, metric_name, standing_key, trigger_key, watched_key
from controller.core.phases import FULL
from controller.core.queries import build_checks_queries, fill, newest_counters
from controller.core.tested import by_limit, gauge_test

COUNTED = (BuiltIn.ERROR_RATE, BuiltIn.SUCCESS_RATE, BuiltIn.LATENCY, BuiltIn.REQUEST_RATE)
"""Built-in checks and triggers that are about requests, so that the two selectors say what they count."""

SOME_BLUE = FULL - 1
"""Percent of the candidate: in a past window both versions have traffic."""


@dataclass(frozen=True, slots=True)
class Queries:
    """By key of `core.asking`: the queries, and for those that cannot be put why, a clause."""

    texts: Mapping[str, str]
    faults: Mapping[str, str]

    def same(self, one: str, other: str) -> str:
        """The query by which both arms are asked, where these two keys are of one question and it is the same for both; else ""."""
        text = self.texts.get(one, "")
        return text if one.rpartition("/")[0] == other.rpartition("/")[0] and self.texts.get(other) == text else ""


def queries_of(plan: PlanSpec, places: Places, window: Window) -> Queries:
    """Every query that the plan has for a window of this length."""
    texts: dict[str, str] = {}
    faults: dict[str, str] = {}
    for key, arm, asked, query, seconds in _every(plan, window):
        try:
            texts[key] = _filled(places, arm, asked, query, seconds)
        except ValueError as error:
            faults[key] = str(error)
            continue
        for number, counters in ((gate_key, standing_key), (trigger_key, watched_key)):
            if key == number(asked.name, arm) and (behind := newest_counters(texts[key], TARGETS)):
                texts[counters(asked.name, arm)] = behind
    return Queries(texts, faults)


def arms_asked(asked: Check | Trigger) -> tuple[Arm, ...]:
    """Whose numbers are needed."""
    return tuple(Arm) if asked.limit is not None and asked.limit.relative else (Arm.CANDIDATE,)


def _every(plan: PlanSpec, window: Window) -> Iterator[tuple[str, Arm, Check | Trigger, str, float]]:
    """Key, arm, who asks, its query ("" for a built-in one), and the seconds that its window has."""
    for check in plan.checks:
        if check.kayenta is not None:
            for metric in check.kayenta.metrics:
                yield from (
                    (gate_key(metric_name(check.name, metric.name), arm), arm, check, metric.query, check.kayenta.step) for arm in Arm
                )
        elif gauge_test(plan, check) is not None:
            seconds = gauge_range(plan.traffic.scrape_interval)
            yield from ((gauge_key(check.name, arm), arm, check, check.query or "", seconds) for arm in Arm)
        elif by_limit(plan, check, SOME_BLUE) and check.builtin not in COUNTED:
            yield from ((gate_key(check.name, arm), arm, check, check.query or "", window.seconds) for arm in arms_asked(check))
    for trigger in plan.triggers:
        if trigger.builtin not in COUNTED:
            yield from ((trigger_key(trigger.name, arm), arm, trigger, trigger.query or "", trigger.range) for arm in arms_asked(trigger))


def _filled(places: Places, arm: Arm, asked: Check | Trigger, query: str, seconds: float) -> str:
    pair, colour = places.pair(asked.member), colour_of(arm)
    if query or asked.builtin is None:
        return fill(query, pair.of(colour), seconds)
    return build_checks_queries(asked.builtin, pair, colour, seconds, mesh=places.mesh, quantile=asked.quantile)
