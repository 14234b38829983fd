"""What a report tells, read off a bundle: the way of the traffic, the stages, every check over time, the decisions.

The record is decided again on the way, as `penstock replay` does, so that streaks, windows and e-values between two
decisions can be shown although they were not written down; the report says whether all came out as recorded.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from analysis import confidence
from analysis.model import Outcome, Tick
from analysis.rate import Dispersion
from controller.api.plan import PlanSpec
from controller.api.plan_checks import BuiltIn
from controller.api.release import CheckStatus, ReleaseStatus, StageStatus
from controller.api.validate_words import in_words
from controller.core import asking, reasons, sequential
from controller.core.sentences import explain
from controller.core.words import many
from controller.evidence.bundle import Bundle, BundleError
from controller.evidence.raw import Counted, RawSamples, Requests, counted_of
from controller.evidence.replay import Difference, Step, Tally, replay, tally
from controller.report import kayenta
from controller.times import rfc3339, unix

RATIO_ALPHA = 0.05
"""The confidence sequence of the ratio covers it with 95 %, at every moment at once."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement of a check.

    Attributes:
        at: Unix seconds; of a gate, the end of its window.
        since: beginning of the judged time; `at` where it is a poll.
        ln_e: log of the e-value, of a sequential check.
        edge: which requests are counted, of a sequential latency check: at each moment those beyond the edge with the most evidence.
    """

    at: float
    since: float
    green: float | None
    blue: float | None
    limit: float | None
    n: float | None
    outcome: str
    sentence: str
    ln_e: float | None = None
    edge: str = ""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Green's error rate in units of blue's: at most `high`, at least `low`."""

    at: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CheckFacts:
    """One check or trigger over the whole release.

    Attributes:
        kind: gate, trigger or sequential.
        outcome: of its last answer; "" while it has none.
        sentence: with the numbers.
        cause: it put everybody back on blue.
        queries: as they were last sent, by colour.
        ln_bound: at this log of the e-value it rolls back.
        ratios: the confidence sequence of the ratio, of an error rate.
        metrics: of Kayenta's judge.
    """

    name: str
    kind: str
    unit: str
    outcome: str
    sentence: str
    cause: bool
    points: tuple[Point, ...]
    queries: Mapping[str, str]
    ln_bound: float | None = None
    ratios: tuple[Ratio, ...] = ()
    metrics: tuple[kayenta.MetricFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class StageFacts:
    """One stage; times are Unix seconds, 0 where it did not come to it."""

    number: int
    weight: int
    entered: float
    shifted: float
    opened: float
    ended: float
    verdict: str
    skipped: str
    green: float
    blue: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the history."""

    at: float
    kind: str
    reason: str
    message: str
    stage: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a report tells, of a release or, without a phase, of any past window (`controller.report.past`).

    Attributes:
        outcome: succeeded, rolled-back, halted, refused or running; of a past window passed, failed or open.
        sentence: the verdict, in one sentence.
        ended: when it ended, Unix seconds; of one that runs on, the time of its last record.
        blast: how far it went, as terms and values.
        weights: green's percent as seen on the routes, by time; each holds until the next.
        notes: what a reader must know before trusting it.
        again: commands that decide it again.
    """

    namespace: str
    name: str
    plan: str
    revision: str
    version: str
    phase: str
    outcome: str
    sentence: str
    started: float
    ended: float
    blast: tuple[tuple[str, str], ...]
    weights: tuple[tuple[float, float], ...]
    stages: tuple[StageFacts, ...]
    checks: tuple[CheckFacts, ...]
    entries: tuple[Entry, ...]
    requests: tuple[Entry, ...]
    notes: tuple[str, ...]
    looks: int
    decisions: int
    difference: Difference | None = None
    totals: Requests | None = field(default=None)
    again: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        """Whether it is still under way."""
        return self.outcome == "running"

    @property
    def title(self) -> str:
        """`namespace/name`; of a past window what it is called."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


OUTCOMES = {"Succeeded": "succeeded", "RolledBack": "rolled-back", "Halted": "halted", "Refused": "refused"}


def facts_of(bundle: Bundle) -> Facts:
    """Read a bundle. Raises `BundleError`."""
    steps = list(replay(bundle.looks))
    found = tally(steps)
    try:
        status = ReleaseStatus.model_validate(bundle.status)
    except ValidationError as error:
        raise BundleError(f"the release's status cannot be read ({in_words(error, ReleaseStatus)})") from error
    raw = RawSamples.of(bundle.looks)
    counts = counted_of(bundle.looks, raw)
    meta, spec = bundle.release["metadata"], bundle.release["spec"]
    ended = status.finished_at or (steps[-1].look.at if steps else status.phase_since)
    totals = counts.between(status.exposed_since or status.started_at, ended + 60) if counts else None
    plan = bundle.specs.get(status.plan_hash)
    entries = tuple(entries_of(bundle.history))
    return Facts(
        namespace=str(meta.get("namespace", "")), name=str(meta["name"]), plan=str(spec.get("plan", "")),
        revision=str(spec.get("revision", "")), version=bundle.version, phase=status.phase.value,
        outcome=OUTCOMES.get(status.phase.value, "running"), sentence=sentence_of(status), started=status.started_at, ended=ended,
        blast=tuple(blast(status, totals)), weights=tuple(weights_of(steps)),
        stages=tuple(stages_of(status, bundle.history, counts, ended)),
        checks=tuple(in_order(checks_of(steps, status, plan, counts))), entries=entries,
        requests=tuple(entry for entry in entries if entry.kind == "request"),
        notes=tuple(notes_of(bundle, status, found, ended)),
        looks=found.looks, decisions=found.decisions, difference=found.difference, totals=totals,
        again=tuple(replays(str(meta.get("namespace", "")), str(meta["name"]))),
    )  # fmt: skip


def replays(namespace: str, name: str) -> Iterator[str]:
    """How to decide a release again."""
    yield f"penstock bundle {name} -n {namespace} > {name}.penstock"
    yield f"penstock replay {name}.penstock"
    yield f"penstock replay {name}.penstock --set alpha=0.001"


def sentence_of(status: ReleaseStatus) -> str:
    """The verdict: why it went back, else why it stands where it does."""
    if status.rollback is not None and status.rollback.message:
        return status.rollback.message
    return status.message or reasons.say(status.reason) if status.reason else status.phase.value


def blast(status: ReleaseStatus, totals: Requests | None) -> Iterator[tuple[str, str]]:
    """How far the release went, and whom it met."""
    yield "Most traffic that green had", f"{status.max_weight} %"
    rollback = status.rollback
    if rollback is not None:
        yield "For", seconds(rollback.exposed_seconds)
        if rollback.failed_at and rollback.decided_at >= rollback.failed_at:
            yield "First failing sample to decision", seconds(rollback.decided_at - rollback.failed_at)
        if rollback.traffic_at:
            yield "Decision to everybody on blue", seconds(max(0.0, rollback.traffic_at - rollback.decided_at))
    if totals is not None:
        yield "Requests of green", f"{totals.green:,.0f}"
        yield "Of green's failed", f"{totals.green_failed:,.0f}{share(totals.green_failed, totals.green)}"
        yield "Requests of blue meanwhile", f"{totals.blue:,.0f}"
        yield "Of blue's failed", f"{totals.blue_failed:,.0f}{share(totals.blue_failed, totals.blue)}"


def share(part: float, whole: float) -> str:
    """` (1.2 %)`; nothing where there is no whole."""
    return f" ({100 * part / whole:.2g} %)" if whole else ""


def seconds(value: float) -> str:
    """A duration for people."""
    if value < 60:  # noqa: PLR2004 - a minute
        return f"{value:.1f} s" if value < 10 and value != int(value) else f"{value:.0f} s"  # noqa: PLR2004 - tenths matter below
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if rest else f"{minutes} min"


def weights_of(steps: Sequence[Step]) -> Iterator[tuple[float, float]]:
    """Green's weight whenever it changed, and at the end."""
    last = None
    for step in steps:
        if not step.look.observed.routes:
            continue
        weight = float(step.look.observed.green_weight)
        if weight != last:
            yield step.look.at, weight
            last = weight
    if steps and last is not None:
        yield steps[-1].look.at, last


def stages_of(status: ReleaseStatus, history: Iterable[Mapping[str, Any]], counts: Counted | None, ended: float) -> Iterator[StageFacts]:
    """The stages so far, the return home among them. The status knows the request that skipped one, the history who asked.

    Requests are those of its window; of a stage that came to no verdict those since its shift, which is what evidence was found in.
    """
    asked = [data for record in history if isinstance(data := record.get("data"), Mapping)]
    actors = {str(data["uid"]): str(data["actor"]) for data in asked if data.get("uid") and data.get("actor")}
    for number, stage in enumerate([*status.stages, *([status.returning] if status.returning else ())], start=1):
        window = stage.window
        green, blue = (window.n_green, window.n_blue) if window else (0.0, 0.0)
        if counts is not None and stage.verdict is None and not stage.skipped and stage.shifted_at:
            found = counts.between(stage.shifted_at, status.rollback.decided_at if status.rollback is not None else ended)
            green, blue = found.green, found.blue
        yield StageFacts(
            number, stage.weight, stage.entered_at, stage.shifted_at, window.opened_at if window else 0.0,
            window.last_sample if window else 0.0, stage.verdict.value if stage.verdict else "",
            actors.get(stage.skipped, "a person") if stage.skipped else "", green, blue,
        )  # fmt: skip


def entries_of(history: Iterable[Mapping[str, Any]]) -> Iterator[Entry]:
    """The records as they were written."""
    for record in history:
        try:
            at = unix(str(record.get("at", "")))
        except ValueError:
            at = 0.0
        data = record.get("data")
        stage = data.get("stage") if isinstance(data, Mapping) and isinstance(data.get("stage"), int) else None
        yield Entry(at, str(record.get("kind", "")), str(record.get("reason", "")), str(record.get("message", "")), stage)


def notes_of(bundle: Bundle, status: ReleaseStatus, found: Tally, until: float) -> Iterator[str]:
    """What a reader must know; of a release that runs on, until when its record goes."""
    if OUTCOMES.get(status.phase.value) is None:
        yield (
            f"The release is still under way: requests and figures are those up to its last record, {rfc3339(until)}. "
            "What was seen since then comes with the next one; penstock get shows where it stands."
        )
    if not bundle.segments:
        yield "There is no evidence: nothing was decided yet, or it could not be kept."
    if missing := found.end_missing(status.phase.value):
        yield f"{missing[0].upper()}{missing[1:]}."
    if found.gaps:
        gaps = many(found.gaps, "time")
        yield f"The record goes on {gaps} from what was read anew: another controller took over, or somebody else had written."
    if found.counts:
        looks = many(found.counts, "look")
        yield f"Room was short: of {looks} raw samples were thinned to counts. Every verdict was decided again from these."
    if found.thinned:
        yield f"Room was short: {many(found.thinned, 'look')} between decisions left out. The decisions stand, each with what it found."


# Checks.


@dataclass(slots=True)
class _Gathered:
    kind: str
    points: dict[tuple[float, str], Point] = field(default_factory=dict)
    last: CheckStatus | None = None


def checks_of(steps: Sequence[Step], status: ReleaseStatus, plan: PlanSpec | None, counts: Counted | None) -> Iterator[CheckFacts]:
    """Every check and trigger, with everything that was ever measured of it."""
    gathered: dict[str, _Gathered] = {}
    queries: dict[str, dict[str, str]] = {}
    values: kayenta.Values = {}
    for step in steps:
        after = step.decision.status if step.decision is not None else step.subject.status
        for trigger in after.triggers:
            _take(gathered, trigger, "trigger", trigger.polled_at, trigger.polled_at)
        for stage in (*after.stages[max(0, after.stage) :], *([after.returning] if after.returning else ())):
            for check in stage.checks:
                kind = "sequential" if check.ln_bound is not None else "gate"
                opened = stage.window.opened_at if stage.window else stage.shifted_at
                at = step.look.at if kind == "sequential" else check.polled_at
                _take(gathered, check, kind, at, opened if kind == "gate" else at)
        _queries(queries, step)
        kayenta.take(values, step)
    cause = status.rollback.check if status.rollback else ""
    for name, found in gathered.items():
        last = found.last
        if last is None:
            continue
        points = tuple(found.points[key] for key in sorted(found.points))
        asked = {**_asked(name, found.kind, queries, plan), **kayenta.queries_of(name, queries)}
        yield CheckFacts(
            name.partition("/")[2], found.kind, last.unit, last.outcome.value if last.outcome else "", explain(last),
            cause == last.name, points, asked, last.ln_bound, tuple(_ratios(name, found.kind, status, plan, counts)),
            tuple(kayenta.metrics_of(name, values)),
        )  # fmt: skip


def _asked(place: str, kind: str, queries: Mapping[str, dict[str, str]], plan: PlanSpec | None) -> dict[str, str]:
    """What one check or trigger asked, by colour; its samples may be those of the traffic query, beside what blue did before a switch."""
    own, shared = queries.get(place, {}), queries.get("traffic", {})
    if kind == "sequential":
        return own or shared
    if kind != "trigger" or plan is None or "green" in own:
        return own
    counted = any(place == f"trigger/{one.name}" and asking.is_counted(plan, one) for one in plan.triggers)
    return {**shared, **own} if counted else own


def _take(gathered: dict[str, _Gathered], check: CheckStatus, kind: str, at: float, since: float) -> None:
    """One more answer; the same one is seen in many looks."""
    if not at or (check.outcome is None and check.ln_bound is None):
        return
    place = f"{'trigger' if kind == 'trigger' else 'check'}/{check.name}"
    mine = gathered.setdefault(place, _Gathered(kind))
    if mine.last is check or mine.last == check:
        return
    mine.last = check
    outcome = check.outcome.value if check.outcome else ""
    ln_e = check.ln_alert if check.ln_e is None else check.ln_e  # a gauge has a bet of its own alone
    mine.points[at, outcome if kind == "gate" else ""] = Point(
        at, since, check.value, check.baseline, check.limit, check.n, outcome, explain(check), ln_e,
        check.line if kind == "sequential" and check.ln_e is not None else "",
    )  # fmt: skip


def _queries(queries: dict[str, dict[str, str]], step: Step) -> None:
    """What was asked for each check, in its last words."""
    for key, measurement in (step.look.measured.answers if step.look.measured else {}).items():
        kind, _, rest = key.partition("/")
        if not measurement.query:
            continue
        if kind in ("gate", "trigger", "pairs"):
            name, _, arm = rest.rpartition("/")
            colour = "green" if arm == "candidate" else "blue"
            queries.setdefault(f"{'trigger' if kind == 'trigger' else 'check'}/{name}", {})[colour] = measurement.query
        elif kind == "ticks":
            name, *asked = rest.split("/")
            queries.setdefault(f"check/{name}", {})[asking.colours_of(asked)] = measurement.query
        elif kind == "traffic":
            queries.setdefault("traffic", {})["both"] = measurement.query


def _ratios(place: str, kind: str, status: ReleaseStatus, plan: PlanSpec | None, counts: Counted | None) -> Iterator[Ratio]:
    """The confidence sequence of an error rate's ratio, begun afresh in each stage."""
    check = next((one for one in plan.checks if place == f"check/{one.name}"), None) if plan else None
    if check is None or kind == "trigger" or counts is None or check.builtin is not BuiltIn.ERROR_RATE or check.member or plan is None:
        return
    setting = sequential.setting_of(plan, check)
    state = next((sequential.read(one, setting) for one in status.sequential if one.name == check.name), None)
    spread = (setting if state is None else state.setting(setting)).dispersion_of(float("inf"))
    for stage, until in zip(status.stages, [*(one.shifted_at for one in status.stages[1:]), float("inf")], strict=True):
        yield from _in_stage(stage, until or float("inf"), counts, spread)


def _in_stage(stage: StageStatus, until: float, counts: Counted, spread: Dispersion) -> Iterator[Ratio]:
    state = confidence.RatioState()
    times = [time for time in counts.every.green.times if stage.shifted_at < time <= until] if stage.shifted_at else []
    last = stage.shifted_at
    for time in times:
        found = counts.between(last, time)
        state = confidence.step(state, Tick(last, time, found.green, found.green_failed, found.blue, found.blue_failed), spread)
        low, high = confidence.interval(state, RATIO_ALPHA)
        yield Ratio(time, low, high)
        last = time


FIRST = {Outcome.FAIL.value: 0, Outcome.INCONCLUSIVE.value: 1, "": 2, Outcome.PASS.value: 3}


def in_order(checks: Iterable[CheckFacts]) -> list[CheckFacts]:
    """What caused a rollback first, then what fails, then what has no answer."""
    return sorted(checks, key=lambda check: (not check.cause, FIRST.get(check.outcome, 2), check.kind, check.name))
