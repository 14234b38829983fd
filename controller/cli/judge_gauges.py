"""The plan's sequential gauges over a past window: the same pairs, the same bet and the same answer as in a release.

A gauge never goes back by itself: where its bet is won, a release would have stopped for a person, and its numbers here are
those of that moment.
"""

from collections.abc import Iterator

from analysis import gauge as library
from analysis.gauge import GaugeState, GaugeTest, Pair
from analysis.model import Arm, Outcome
from controller.api.plan_checks import Check
from controller.api.release import CheckStatus, WindowStatus
from controller.cli.judge_gates import Bench
from controller.core import gauges, reasons
from controller.core.asking import gauge_key
from controller.core.gauges import GaugeLook
from controller.core.sentences import explain
from controller.core.tested import PATIENCE_SCRAPES, gauge_test
from controller.report.facts import Point
from controller.report.past import Beside


def paired(bench: Bench) -> Iterator[Beside]:
    """The plan's gauges whose history is known; the others are asked for their limit."""
    for check in bench.plan.checks:
        test = gauge_test(bench.plan, check)
        if test is not None:
            yield _gauge(bench, check, test)


def _gauge(bench: Bench, check: Check, test: GaugeTest) -> Beside:
    scrape, window = bench.plan.traffic.scrape_interval, bench.window
    keys = [gauge_key(check.name, arm) for arm in Arm]
    asked = {arm: bench.queries.texts.get(gauge_key(check.name, arm)) for arm in Arm}
    answers = {arm: bench.samples.over(query, window, scrape) for arm, query in asked.items() if query is not None}
    found, fault, detail = gauges.paired(answers, scrape)
    if len(answers) < len(Arm):
        fault = reasons.NOT_MEASURED
    state, points = GaugeState(), []
    for pair in found:
        state = library.step(test, state, [pair], longest=PATIENCE_SCRAPES * scrape)
        points.append(_point(test, state, pair))
        if state.won(test):
            break
    won = bool(points) and state.won(test)
    end = state.last if won else window.end
    look = GaugeLook(check, test, state, found[len(points) - 1] if points else None, fault, detail)
    judged = WindowStatus(opened_at=window.start, last_sample=end, ran=end - window.start)
    status = gauges.judged(bench.plan, look, judged, CheckStatus(name=check.name))
    said = ""
    if won and not check.observe:
        # It asks at any moment, however few pairs a pass would take.
        said = reasons.say(reasons.CHECK_ASKS, explain(status.model_copy(update={"outcome": None})))
        status = status.model_copy(update={"outcome": Outcome.INCONCLUSIVE, "reason": reasons.CHECK_ASKS})
    beside = bench.beside(status, check, keys)
    return Beside(beside.status, "sequential", check.observe, beside.queries, tuple(points), acted=state.last if said else None, said=said)


def _point(test: GaugeTest, state: GaugeState, pair: Pair) -> Point:
    limit = gauges.limit_at(test, pair.baseline)
    return Point(pair.time, pair.time, pair.candidate, pair.baseline, limit, None, "", "", state.ln_e(test))
