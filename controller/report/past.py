"""The same report about any past window: what `penstock judge` found, in the places where a release has its checks.

Green is the candidate and blue the baseline there; there is no way of traffic, no stage and no decision.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from analysis.explain import explain as in_words
from analysis.model import Outcome, Window
from analysis.retrospect import Found, Retrospect
from controller.api.release import CheckStatus
from controller.core.sentences import explain
from controller.report.facts import CheckFacts, Facts, Point, Ratio, in_order, seconds
from controller.report.kayenta import MetricFacts

OUTCOMES = {Outcome.PASS: "passed", Outcome.FAIL: "failed", Outcome.INCONCLUSIVE: "open"}


@dataclass(frozen=True, slots=True)
class Beside:
    """One of the plan's other checks or triggers over the window, in the words of a release.

    Attributes:
        status: its answer.
        kind: gate, sequential (a gauge) or trigger.
        observe: it decides nothing.
        queries: that were asked, by colour, and by metric of Kayenta's judge.
        points: what was measured on the way; without any the answer over the whole window stands for them.
        metrics: of Kayenta's judge.
        acted: when a release would have acted on it, Unix seconds: a trigger by going back, a gauge by stopping for a person.
        said: its sentence, where the status does not say it.
    """

    status: CheckStatus
    kind: str = "gate"
    observe: bool = False
    queries: Mapping[str, str] = field(default_factory=dict)
    points: tuple[Point, ...] = ()
    metrics: tuple[MetricFacts, ...] = ()
    acted: float | None = None
    said: str = ""

    @property
    def outcome(self) -> Outcome:
        """Its answer; without one it is inconclusive."""
        return self.status.outcome or Outcome.INCONCLUSIVE

    @property
    def sentence(self) -> str:
        """Its name and its numbers, or why there are none."""
        return self.said or explain(self.status)


@dataclass(frozen=True, slots=True)
class Judged:
    """A past window and what was found.

    Attributes:
        found: the sequential verdicts and their paths.
        beside: the plan's other checks and its triggers.
        window: that was asked for.
        reached: when a release would have gone back, Unix seconds; None where it would not.
        outcome: of all together.
        sentence: of the outcome.
        baseline, candidate: their selectors.
        plan: the file of the plan; "" without one.
        notes: what a reader must know.
        command: that judges it again.
        version: of Penstock.
        queries: of the sequential checks that do not count what the two selectors select, by check and colour.
    """

    found: Retrospect
    beside: tuple[Beside, ...]
    window: Window
    reached: float | None
    outcome: Outcome
    sentence: str
    baseline: str
    candidate: str
    plan: str
    notes: tuple[str, ...]
    command: str
    version: str
    queries: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def facts_of(judged: Judged) -> Facts:
    """Everything that the report tells."""
    found, window = judged.found, judged.window
    checks = [_sequential(one, judged) for one in found.checks] + [_other(one, window, judged.reached) for one in judged.beside]
    return Facts(
        namespace="", name="A past window", plan=judged.plan or "none", revision="", version=judged.version, phase="",
        outcome=OUTCOMES[judged.outcome], sentence=judged.sentence, started=window.start, ended=window.end, blast=tuple(_blast(judged)),
        weights=(), stages=(), checks=tuple(in_order(checks)), entries=(), requests=(),
        notes=(f"Green is the candidate, {judged.candidate}; blue is the baseline, {judged.baseline}.", *judged.notes),
        looks=0, decisions=0, again=(judged.command,),
    )  # fmt: skip


def _blast(judged: Judged) -> Iterator[tuple[str, str]]:
    reached = judged.reached
    if reached is not None:
        yield "A release would have gone back after", seconds(reached - judged.window.start)
    ended = reached is not None and reached == judged.found.reached
    most = max(judged.found.verdicts, key=lambda verdict: verdict.n or 0.0, default=None)
    if most is not None:
        yield "Requests of green until then" if ended else "Requests of green", f"{most.n or 0:,.0f}"
        yield "Requests of blue meanwhile", f"{most.detail.get('baseline_n', 0.0):,.0f}"


def _sequential(one: Found, judged: Judged) -> CheckFacts:
    verdict, path = one.verdict, one.path
    sentence = in_words(verdict)
    points = tuple(
        Point(
            one.at, one.at, _percent(one.candidate), _percent(one.baseline), _percent(one.limit), one.n,
            str(verdict.outcome) if one is path[-1] else "", sentence if one is path[-1] else "", one.ln_e,
        )
        for one in path
    )  # fmt: skip
    ratios = tuple(Ratio(one.at, *one.ratio) for one in path)
    ended = judged.found.reached is not None and judged.found.reached == judged.reached
    cause = ended and not one.asked.observe and bool(verdict.detail.get("cause"))
    queries = judged.queries.get(one.asked.name, {"green": judged.candidate, "blue": judged.baseline})
    bound = verdict.detail["ln_bound"]
    return CheckFacts(verdict.check, "sequential", verdict.unit, str(verdict.outcome), sentence, cause, points, queries, bound, ratios)


def _other(one: Beside, window: Window, reached: float | None) -> CheckFacts:
    status, sentence, outcome = one.status, one.sentence, str(one.outcome)
    whole = Point(window.end, window.start, status.value, status.baseline, status.limit, status.n, outcome, sentence)
    cause = one.kind == "trigger" and one.acted is not None and one.acted == reached
    return CheckFacts(
        status.name, one.kind, status.unit, outcome, sentence, cause, one.points or (whole,), one.queries, status.ln_bound,
        metrics=one.metrics,
    )  # fmt: skip


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
