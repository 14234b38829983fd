"""The same report about any past window: what `penstock judge` found, in the places where a release has its checks.

Green is the candidate and blue the baseline there; there is no way of traffic, no stage and no decision.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.explain import explain
from analysis.model import Outcome, Verdict, Window
from analysis.retrospect import Moment, Retrospect
from controller.report.facts import CheckFacts, Facts, Point, Ratio, in_order, seconds

OUTCOMES = {Outcome.PASS: "passed", Outcome.FAIL: "failed", Outcome.INCONCLUSIVE: "open"}


@dataclass(frozen=True, slots=True)
class Judged:
    """A past window and what was found.

    Attributes:
        found: the sequential verdicts and their paths.
        beside: verdicts on the plan's other checks, over the whole window.
        window: that was asked for.
        outcome: of all together.
        sentence: of the outcome.
        baseline, candidate: their selectors.
        plan: the file of the plan; "" without one.
        notes: what a reader must know.
        command: that judges it again.
        version: of Penstock.
    """

    found: Retrospect
    beside: tuple[Verdict, ...]
    window: Window
    outcome: Outcome
    sentence: str
    baseline: str
    candidate: str
    plan: str
    notes: tuple[str, ...]
    command: str
    version: str


def facts_of(judged: Judged) -> Facts:
    """Everything that the report tells."""
    found, window = judged.found, judged.window
    checks = [_sequential(*one, judged) for one in zip(found.verdicts, found.paths, strict=True)]
    checks += [_limit(verdict) for verdict in judged.beside]
    return Facts(
        namespace="", name="A past window", plan=judged.plan or "none", revision="", version=judged.version, phase="",
        outcome=OUTCOMES[judged.outcome], sentence=judged.sentence, started=window.start, ended=window.end, blast=tuple(_blast(judged)),
        weights=(), stages=(), checks=tuple(in_order(checks)), entries=(), requests=(),
        notes=(f"Green is the candidate, {judged.candidate}; blue is the baseline, {judged.baseline}.", *judged.notes),
        looks=0, decisions=0, again=(judged.command,),
    )  # fmt: skip


def _blast(judged: Judged) -> Iterator[tuple[str, str]]:
    reached = judged.found.reached
    if reached is not None:
        yield "A release would have gone back after", seconds(reached - judged.window.start)
    most = max(judged.found.verdicts, key=lambda verdict: verdict.n or 0.0)
    yield "Requests of green until then" if reached is not None else "Requests of green", f"{most.n or 0:,.0f}"
    yield "Requests of blue meanwhile", f"{most.detail.get('baseline_n', 0.0):,.0f}"


def _sequential(verdict: Verdict, path: Sequence[Moment], judged: Judged) -> CheckFacts:
    sentence = explain(verdict)
    points = tuple(
        Point(
            one.at, one.at, _percent(one.candidate), _percent(one.baseline), _percent(one.limit), one.n,
            str(verdict.outcome) if one is path[-1] else "", sentence if one is path[-1] else "", one.ln_e,
        )
        for one in path
    )  # fmt: skip
    ratios = tuple(Ratio(one.at, *one.ratio) for one in path)
    cause = verdict.outcome is Outcome.FAIL and bool(verdict.detail.get("cause"))
    queries = {"green": judged.candidate, "blue": judged.baseline}
    bound = judged.found.evidence.ln_bound
    return CheckFacts(verdict.check, "sequential", verdict.unit, str(verdict.outcome), sentence, cause, points, queries, bound, ratios)


def _limit(verdict: Verdict) -> CheckFacts:
    sentence, window = explain(verdict), verdict.window
    point = Point(window.end, window.start, verdict.candidate, verdict.baseline, verdict.limit, verdict.n, str(verdict.outcome), sentence)
    return CheckFacts(verdict.check, "gate", verdict.unit, str(verdict.outcome), sentence, cause=False, points=(point,), queries={})


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
