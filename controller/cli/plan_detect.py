"""What the sequential checks of a plan can find, and in which time: for `penstock plan`, before a release starts. Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from analysis.sequential import USUAL_RATE, Kind, Known, Setting, detectable
from analysis.slo import default_limit
from controller.api.base import format_duration
from controller.api.plan import PlanSpec, Stage
from controller.api.plan_checks import DIFFERENCES, USUAL_GAUGE_EFFECT, BuiltIn, Check
from controller.core.gauges import needed_seconds
from controller.core.phases import FULL
from controller.core.tested import by_limit, setting_of, shares
from controller.core.words import many

TAIL = 0.05
"""The bucket edge that latency is shown for: blue has so much beyond it."""


@dataclass(frozen=True, slots=True)
class Detection:
    """What one check can find in one stage.

    Attributes:
        what: which requests are bad.
        effect: green's bad requests, percent, where blue has `usual` percent.
        requests: of green, after which it is found; 0 where the tolerance allows it.
        seconds: until then, at the given requests a second; 0 where none were given.
        at_least: requests a second of both versions from which the stage's window is long enough.
        too_short: the stage ends before.
        paired: it is a gauge, whose time does not depend on requests; 0 seconds where the limit allows the effect.
    """

    check: str
    weight: int
    what: str
    effect: float
    usual: float
    requests: int
    seconds: float
    at_least: float
    too_short: bool
    paired: bool = False


def detections(spec: PlanSpec, rps: float) -> list[Detection]:
    """Every stage of every sequential check, gauges included where their history is known."""
    judged = [(check, stage) for check in spec.checks for stage in spec.stages if not check.stages or stage.weight in check.stages]
    return [
        _detection(spec, check, stage, rps) if check.sequential else _paired(spec, check, stage)
        for check, stage in judged
        if check.sequential or not by_limit(spec, check, stage.weight)
    ]


def _detection(spec: PlanSpec, check: Check, stage: Stage, rps: float) -> Detection:
    """Of a check with several lines the one that needs most requests."""
    setting = setting_of(spec, check)
    usual = TAIL if setting.kind is Kind.LATENCY else USUAL_RATE
    lines = setting.known or (Known(usual, setting.dispersion),)
    if setting.p_hist is not None and setting.kind is Kind.ERRORS:
        lines = (replace(lines[0], p_hist=setting.p_hist),)
    found = [_line_detection(spec, check, stage, rps, line) for line in lines]
    return max(found, key=lambda one: (not one.requests, one.requests))


def finds(spec: PlanSpec, check: Check, line: Known, rps: float) -> bool:
    """Whether some stage in which blue has requests is long enough for this line of a check."""
    judged = [stage for stage in spec.stages if not check.stages or stage.weight in check.stages]
    with_blue = [stage for stage in judged if stage.weight < FULL] or judged
    return any(not _line_detection(spec, check, stage, rps, line).too_short for stage in with_blue)


def _line_detection(spec: PlanSpec, check: Check, stage: Stage, rps: float, line: Known) -> Detection:
    setting, share, usual = setting_of(spec, check), stage.weight / 100, line.p_hist
    alone = _alone_limit(spec, setting, usual, rps) if stage.weight >= FULL else 0.0
    weight = shares(spec).get(check.name, 1.0)
    effect, needed = detectable(setting, (usual, line.edge), share=share, weight=weight, limit=alone)
    edge = f"{line.edge:g} ms" if math.isfinite(line.edge) else "an edge"
    what = f"requests slower than {edge}" if setting.kind is Kind.LATENCY else "bad requests"
    if not math.isfinite(needed):
        return Detection(check.name, stage.weight, what, 100 * effect, 100 * usual, 0, 0.0, 0.0, too_short=True)
    seconds = needed / (rps * share) if rps else 0.0
    at_least = needed / (share * stage.window) if stage.window else 0.0
    late = seconds > stage.window
    return Detection(check.name, stage.weight, what, 100 * effect, 100 * usual, math.ceil(needed), seconds, at_least, too_short=late)


def _alone_limit(spec: PlanSpec, setting: Setting, usual: float, rps: float) -> float:
    """What stands for blue at 100 %, by as many requests as it has in the stage before: the fewer, the more is tolerated."""
    if setting.objective is not None:
        return setting.objective
    before = [stage for stage in spec.stages if stage.weight < FULL]
    n = rps * (1 - before[-1].weight / FULL) * before[-1].window if before else 0.0
    limit = default_limit(usual * n, n, rho=setting.rho, delta=setting.delta) if n else setting.rho * usual + setting.delta
    return min(limit, 1.0)


def _paired(spec: PlanSpec, check: Check, stage: Stage) -> Detection:
    """A gauge needs time, however many requests there are."""
    effect = 100 * USUAL_GAUGE_EFFECT if check.effect is None else check.effect
    seconds = needed_seconds(spec, check)
    short = seconds > stage.window
    seconds = seconds if math.isfinite(seconds) else 0.0
    return Detection(check.name, stage.weight, "worse than blue", effect, 0.0, 0, seconds, 0.0, too_short=short, paired=True)


def tolerance_words(check: Check) -> str:
    """The tolerance in words."""
    told = check.tolerance
    if check.objective is not None:
        return f"tolerates {check.objective:g} %, and whatever blue has where that is more"
    points = told.difference if told.difference is not None else DIFFERENCES[check.builtin or BuiltIn.ERROR_RATE]
    what = "share of requests slower than an edge" if check.builtin is BuiltIn.LATENCY else "error rate"
    return f"tolerates {told.ratio:g} times blue's {what} plus {points:g} points"


def lines_of(found: list[Detection], rps: float) -> list[str]:
    """One line a stage and check, with a warning where a stage is too short."""
    given = f"at {many(rps, 'request', 'g')} a second" if rps else "give --rps to see the times"
    return [f"What sequential checks find, on average ({given}):", *(_line(one, rps) for one in found), *_warnings(found)]


def _line(one: Detection, rps: float) -> str:
    if one.paired:
        takes = f"takes {format_duration(float(math.ceil(one.seconds)))} of pairs" if one.seconds else "never, the limit allows it"
        return f"  {one.weight:>4} %   {one.check}: {one.effect:.3g} % {one.what}: {takes}"
    told = f"  {one.weight:>4} %   {one.check}: {one.effect:.3g} % {one.what} where blue has {one.usual:.3g} %: "
    if not one.requests:
        return f"{told}never, the tolerance allows them"
    if rps:
        return f"{told}{many(one.requests, 'request')} of green take {format_duration(float(math.ceil(one.seconds)))}"
    return f"{told}{many(one.requests, 'request')} of green, from {many(one.at_least, 'request', ',.2g')} a second on within its window"


def _warnings(found: list[Detection]) -> Iterator[str]:
    for one in found:
        if one.too_short:
            stage, what = f"the stage of {one.weight} %", f"{one.effect:.3g} % {one.what}"
            then = f"it waits for more {'pairs' if one.paired else 'requests'}, then for a person"
            yield f"  warning: {stage} is too short for {one.check} to find {what}; {then}"
