"""`penstock judge`: any two sets of series of a past window, judged as a release is."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from analysis import retrospect
from analysis.combine import DEFAULT_ALPHA
from analysis.model import Arm, Outcome, Window
from analysis.retrospect import Retrospect
from controller.api.base import parse_duration
from controller.api.plan import PlanSpec
from controller.cli.exits import CommandError, ExitCode
from controller.cli.host import Host, check_format, format_option, host_of, tell
from controller.cli.info import own_version
from controller.cli.judge_gates import Bench, gates
from controller.cli.judge_gauges import paired
from controller.cli.judge_places import Places, places_of
from controller.cli.judge_plan import counters_of, counting_of, left_of, missing_of, plan_of, questions, uncounted, without_probes
from controller.cli.judge_queries import COUNTED, queries_of
from controller.cli.judge_selectors import Asked, arm_of, comparable
from controller.cli.judge_sources import Source, opened
from controller.cli.judge_span import sides_of, unseen
from controller.cli.judge_triggers import triggered
from controller.cli.judge_words import Told, clock, moments_of, notes_of, print_json, print_text, sentence_of
from controller.report.past import Beside

BaselineOption = Annotated[str, typer.Option("--baseline", help="Selector of the version to compare with.", show_default=False)]
CandidateOption = Annotated[str, typer.Option("--candidate", help="Selector of the version to judge.", show_default=False)]
FromOption = Annotated[str, typer.Option("--from", help="Begin: 2026-11-21T10:00:00Z, Unix seconds, or -2h.", show_default=False)]
ToOption = Annotated[str, typer.Option("--to", help="End, likewise; now if absent.")]
PrometheusOption = Annotated[str, typer.Option("--prometheus", help="Address of the Prometheus to ask.", show_default=False)]
FileOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--file", help="Samples: OpenMetrics text, JSON of a range query, or `promtool tsdb dump`; repeatable.", show_default=False
    ),
]
PLAN_HELP = "A plan: its checks and triggers judge, with its queries asked of both versions as the two selectors name them."
PlanOption = Annotated[Path | None, typer.Option("--plan", help=PLAN_HELP, show_default=False)]
WITHOUT_HELP = "A check or trigger of the plan that is left out; repeatable. Health probes are left out by themselves."
WithoutOption = Annotated[list[str] | None, typer.Option("--without", help=WITHOUT_HELP, show_default=False)]
ErrorsOption = Annotated[str, typer.Option("--errors", help="Conditions on labels of failed requests.", show_default=False)]
HistoryOption = Annotated[str, typer.Option("--history", help="Time of the baseline before the window that is measured.")]
ALPHA_HELP = f"Most healthy releases that may fail; the plan's if absent, else {DEFAULT_ALPHA}."
AlphaOption = Annotated[float | None, typer.Option("--alpha", help=ALPHA_HELP, show_default=False)]
LimitOption = Annotated[float | None, typer.Option("--limit", help="Fixed limit of the error rate, percent.", show_default=False)]
FORMATS = ("", "json", "html", "markdown", "junit")
FORMAT_HELP = "json for machines; html, markdown or junit: the report that releases have."
FormatOption = Annotated[str, format_option(FORMAT_HELP, *FORMATS[1:])]

ENDINGS = {Outcome.PASS: 0, Outcome.FAIL: int(ExitCode.NO), Outcome.INCONCLUSIVE: int(ExitCode.HELD)}
_RELATIVE_TIME = re.compile(r"^-(.+)$")
_LEAST_BEFORE = 600.0
"""Seconds before the window that are always read: a first difference needs a sample before it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What is judged by.

    Attributes:
        spec: the plan; the built-in checks where none was given.
        places: whose names its queries use.
        given: a plan was given.
        errors: conditions of failed requests; "" for the labels' own.
        history: seconds before the window that say what the plan does not.
        probes: triggers of the plan that are left out, because nobody has kept what health endpoints answered.
    """

    spec: PlanSpec
    places: Places
    given: bool
    errors: str
    history: float
    probes: tuple[str, ...] = ()


def judge(
    ctx: typer.Context,
    *,
    baseline: BaselineOption = "",
    candidate: CandidateOption = "",
    since: FromOption = "",
    until: ToOption = "now",
    prometheus: PrometheusOption = "",
    file: FileOption = None,
    plan: PlanOption = None,
    without: WithoutOption = None,
    errors: ErrorsOption = "",
    history: HistoryOption = "6h",
    alpha: AlphaOption = None,
    limit: LimitOption = None,
    output: FormatOption = "",
) -> None:
    """Judge any two sets of series of a past window, as a release would be judged.

    A selector without a metric's name, such as '{destination_workload="shop"}', asks for Istio's request counter and latency
    histogram; one with a name asks for that counter or histogram. With --plan the plan's own checks and triggers judge: its
    parameters are what each selector says by an equality ($workload by destination_workload, workload or deployment, $namespace
    by destination_workload_namespace or namespace, $revision by destination_version, version or revision, ...), else what the plan
    says. What a source cannot answer is named, and never passes. Ends with 0 for pass, 3 for fail, 4 for inconclusive.
    """
    check_format(output, FORMATS)
    source = _source(prometheus, file)
    window = _window(host_of(ctx), since, until)
    if alpha is not None and not 0 < alpha < 1:
        raise CommandError(ExitCode.USAGE, f"--alpha: found {alpha:g}, expected a number between 0 and 1, such as 0.01.")
    if limit is not None and not 0 < limit < 100:  # noqa: PLR2004 - percent
        raise CommandError(ExitCode.USAGE, f"--limit: found {limit:g}, expected percent between 0 and 100.")
    asked = {Arm.BASELINE: arm_of(baseline, "--baseline"), Arm.CANDIDATE: arm_of(candidate, "--candidate")}
    comparable(asked[Arm.BASELINE], asked[Arm.CANDIDATE])
    name, namespace, spec = _plan(plan)
    judged_by, probes = without_probes(plan_of(left_of(spec, without or ()), asked, alpha, limit))
    places = places_of(judged_by, namespace, name, asked)
    policy = Policy(judged_by, places, spec is not None, errors, _seconds(history), probes)
    result = judged(source, asked, window, policy)
    if output in ("", "json"):
        (print_json if output else print_text)(result)
    else:
        options = {"--plan": plan, "--without": without, "--errors": errors, "--history": history, "--alpha": alpha, "--limit": limit}
        _print_report(result, (baseline, candidate), source, options, output)
    raise typer.Exit(ENDINGS[result.outcome])


def judged(source: Source, asked: Mapping[Arm, Asked], window: Window, policy: Policy) -> Told:
    """Everything that is found about the window. Raises `CommandError`."""
    plan, places = policy.spec, policy.places
    counting, queries = counting_of(plan, places, asked), queries_of(plan, places, window)
    before = max([policy.history, _LEAST_BEFORE, *(trigger.range for trigger in plan.triggers)])
    since = window.start - before
    with opened(source, counting.selectors, queries.texts.values(), window, since) as samples:
        counters = counters_of(counting, samples, policy.errors, plan.traffic.reporter)
        scrapes = retrospect.scrapes_of(list(counters.every))
        every, known = questions(plan, places, counters, window, scrapes, history=bool(policy.history))
        if not policy.given:
            every = tuple(one for one in every if any(arm.total or arm.buckets for arm in one.arms.values())) or every[:1]
        found = retrospect.judge(every, window, scrapes, plan.analysis.alpha)
        bench = Bench(plan, places, window, samples, queries, counters, scrapes)
        beside = (*uncounted(plan, counting), *gates(bench), *paired(bench), *triggered(bench, found.reached or window.end))
    about = {places.spoken, *(places.member(check.member) for check in plan.checks if check.builtin in COUNTED and not check.observe)}
    counted = [one for name in sorted(about) for one in sides_of(counters.members[name])]
    counted += [one for check in found.checks if not check.asked.observe for one in sides_of(check.asked.arms, (check.asked.setting.kind,))]
    lacks = unseen(counted, window)
    outcome, why = _outcome(found, beside, lacks, partial=samples.partial)
    span = f"between {clock(since)} and {clock(window.end)}"
    notes = [f"no series of {text} {span}" for text in missing_of(counting, samples)]
    notes += [lacks.rstrip(".")] if lacks and why != lacks and outcome is Outcome.INCONCLUSIVE else []
    return Told(
        found, beside, window, outcome, seconds={check: past.seconds for check, past in known.items()},
        failed=counters.failed, odd=counters.odd, reporter=counters.reporter,
        notes=tuple(notes), queries=counting.queries,
        parameters=places.words if queries.texts or counting.counters else "", partial=samples.partial, why=why, probes=policy.probes,
    )  # fmt: skip


def _print_report(told: Told, arms: tuple[str, str], source: Source, options: Mapping[str, object], output: str) -> None:
    """The report of a release, about this window. In it stands the command with its times as numbers, so that it judges the same again."""
    from controller.cli.report import written
    from controller.report.past import Judged, facts_of

    (baseline, candidate), plan = arms, options["--plan"]
    asked = {"--baseline": baseline, "--candidate": candidate, "--from": f"{told.window.start:.0f}", "--to": f"{told.window.end:.0f}"}
    given = {**asked, "--prometheus": source.prometheus, **options}
    every = {option: value if isinstance(value, list) else [value] for option, value in (given | {"--file": [*source.files]}).items()}
    words = [word for option, values in every.items() for value in values if value not in (None, "") for word in (option, str(value))]
    notes = (*moments_of(told), *notes_of(told))
    of = plan.name if isinstance(plan, Path) else ""
    judged = Judged(
        told.found, told.beside, told.window, told.reached, told.outcome, sentence_of(told), baseline, candidate, of, notes,
        shlex.join(["penstock", "judge", *words]), own_version(), told.queries,
    )  # fmt: skip
    tell(written(facts_of(judged), output).rstrip("\n"), exact=True)


def _source(prometheus: str, files: Sequence[Path] | None) -> Source:
    if bool(prometheus) == bool(files):
        raise CommandError(ExitCode.USAGE, "Name where the samples are: either --prometheus URL or --file PATH.")
    return Source(prometheus, tuple(files or ()))


def _seconds(history: str) -> float:
    try:
        return parse_duration(history) if history != "0" else 0.0
    except ValueError as error:
        raise CommandError(ExitCode.USAGE, f"--history: {error}.") from error


def _window(host: Host, since: str, until: str) -> Window:
    if not since:
        raise CommandError(ExitCode.USAGE, "--from: found nothing, expected when the window begins, such as -1h.")
    now = host.now()
    window = Window(moment_of(since, now, "--from"), moment_of(until, now, "--to"))
    if window.seconds <= 0:
        raise CommandError(ExitCode.USAGE, f"The window ends before it begins: --from {since} --to {until}.")
    return window


def moment_of(text: str, now: float, option: str) -> float:
    """Unix seconds of `now`, `-2h`, a number, or RFC 3339; without a zone it is UTC."""
    relative = _RELATIVE_TIME.match(text)
    try:
        if text == "now":
            return now
        if relative:
            return now - parse_duration(relative[1])
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
            return float(text)
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(ExitCode.USAGE, f"{option}: found {text!r}, expected 2026-11-21T10:00:00Z, Unix seconds, -2h or now.") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _plan(path: Path | None) -> tuple[str, str, PlanSpec | None]:
    """Name, namespace and spec of the plan; nothing without one."""
    if path is None:
        return "", "", None
    from controller.cli.plan import read

    return read(path)


def _outcome(found: Retrospect, beside: Sequence[Beside], lacks: str, *, partial: bool) -> tuple[Outcome, str]:
    """All together, and why a pass is none: nothing that acts, a partial answer, or a version that was not seen all the time."""
    outcomes = found.outcomes | {one.outcome for one in beside if not one.observe}
    for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        if outcome in outcomes:
            return outcome, ""
    if not outcomes:
        return Outcome.INCONCLUSIVE, "Nothing of the plan acts, so that nothing passes."
    if lacks:
        return Outcome.INCONCLUSIVE, lacks
    return (Outcome.INCONCLUSIVE, "An answer was partial, and what it lacks nobody knows.") if partial else (Outcome.PASS, "")
