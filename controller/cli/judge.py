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
from analysis.counters import Scrapes
from analysis.model import Arm, Outcome, Series, Verdict, Window
from analysis.retrospect import Counted, Retrospect
from controller.api.base import format_duration, parse_duration
from controller.api.plan import PlanSpec
from controller.cli import judge_plan
from controller.cli.exits import CommandError, ExitCode
from controller.cli.host import Host, check_format, host_of, tell
from controller.cli.info import own_version
from controller.cli.judge_files import read_files
from controller.cli.judge_selectors import Asked, Selector, arm_of, bad_of
from controller.cli.judge_words import Told, clock, notes_of, print_json, print_text, sentence_of

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
PLAN_HELP = "A plan: its sequential checks judge, its built-in limits beside them."
PlanOption = Annotated[Path | None, typer.Option("--plan", help=PLAN_HELP, show_default=False)]
ErrorsOption = Annotated[str, typer.Option("--errors", help="Conditions on labels of failed requests.", show_default=False)]
HistoryOption = Annotated[str, typer.Option("--history", help="Time of the baseline before the window that is measured.")]
ALPHA_HELP = f"Most healthy releases that may fail; the plan's if absent, else {DEFAULT_ALPHA}."
AlphaOption = Annotated[float | None, typer.Option("--alpha", help=ALPHA_HELP, show_default=False)]
LimitOption = Annotated[float | None, typer.Option("--limit", help="Fixed limit of the error rate, percent.", show_default=False)]
FORMATS = ("", "json", "html", "markdown", "junit")
FORMAT_HELP = "json for machines; html, markdown or junit: the report that releases have."
FormatOption = Annotated[str, typer.Option("--output", "-o", help=FORMAT_HELP, show_default=False)]

ENDINGS = {Outcome.PASS: 0, Outcome.FAIL: int(ExitCode.NO), Outcome.INCONCLUSIVE: int(ExitCode.HELD)}
_RELATIVE_TIME = re.compile(r"^-(.+)$")
_LATE_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Source:
    """Where the samples are read from, and how the requests are told apart.

    Attributes:
        prometheus: address; "" where files are read.
        files: with samples.
        errors: conditions of failed requests; "" for the labels' own.
        history: seconds before the window.
    """

    prometheus: str
    files: tuple[Path, ...]
    errors: str
    history: float


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
    errors: ErrorsOption = "",
    history: HistoryOption = "6h",
    alpha: AlphaOption = None,
    limit: LimitOption = None,
    output: FormatOption = "",
) -> None:
    """Judge any two sets of series of a past window, as a release would be judged.

    A selector without a metric's name, such as '{destination_workload="shop"}', asks for Istio's request counter and latency
    histogram; one with a name asks for that counter or histogram. Ends with 0 for pass, 3 for fail, 4 for inconclusive.
    """
    check_format(output, FORMATS)
    source = _source(prometheus, file, errors, history)
    window = _window(host_of(ctx), since, until)
    if alpha is not None and not 0 < alpha < 1:
        raise CommandError(ExitCode.USAGE, f"--alpha: found {alpha:g}, expected a number between 0 and 1, such as 0.01.")
    if limit is not None and not 0 < limit < 100:  # noqa: PLR2004 - percent
        raise CommandError(ExitCode.USAGE, f"--limit: found {limit:g}, expected percent between 0 and 100.")
    asked = {Arm.BASELINE: arm_of(baseline, "--baseline"), Arm.CANDIDATE: arm_of(candidate, "--candidate")}
    spec = _spec(plan)
    arms, scrapes, told = _read(source, asked, window)
    past = retrospect.past_of(arms[Arm.BASELINE], window, scrapes) if source.history else retrospect.Past()
    found = retrospect.judge(arms, window, scrapes, judge_plan.policy_of(spec, alpha, limit), judge_plan.known_of(spec, past))
    beside, skipped = judge_plan.beside(spec, arms, window, scrapes)
    outcome, why = _outcome(found, beside, arms[Arm.BASELINE], window, partial=told.partial)
    result = Told(found, beside, window, (*told.notes, *skipped), told.partial, told.words, outcome, why)
    if output in ("", "json"):
        (print_json if output else print_text)(result)
    else:
        options = {"--plan": plan, "--errors": errors, "--history": history, "--alpha": alpha, "--limit": limit}
        _print_report(result, (baseline, candidate), source, options, output)
    raise typer.Exit(ENDINGS[result.outcome])


def _print_report(told: Told, arms: tuple[str, str], source: Source, options: Mapping[str, object], output: str) -> None:
    """The report of a release, about this window. In it stands the command with its times as numbers, so that it judges the same again."""
    from controller.cli.report import written
    from controller.report.past import Judged, facts_of

    (baseline, candidate), plan = arms, options["--plan"]
    asked = {"--baseline": baseline, "--candidate": candidate, "--from": f"{told.window.start:.0f}", "--to": f"{told.window.end:.0f}"}
    given = {**asked, "--prometheus": source.prometheus, **options}
    words = ["penstock", "judge", *(word for option, value in given.items() if value not in (None, "") for word in (option, str(value)))]
    words += [word for path in source.files for word in ("--file", str(path))]
    told_by = plan.name if isinstance(plan, Path) else "", tuple(notes_of(told)), shlex.join(words), own_version()
    judged = Judged(told.found, told.beside, told.window, told.outcome, sentence_of(told), baseline, candidate, *told_by)
    tell(written(facts_of(judged), output).rstrip("\n"))


def _source(prometheus: str, files: Sequence[Path] | None, errors: str, history: str) -> Source:
    if bool(prometheus) == bool(files):
        raise CommandError(ExitCode.USAGE, "Name where the samples are: either --prometheus URL or --file PATH.")
    try:
        seconds = parse_duration(history) if history != "0" else 0.0
    except ValueError as error:
        raise CommandError(ExitCode.USAGE, f"--history: {error}.") from error
    return Source(prometheus, tuple(files or ()), errors, seconds)


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


def _spec(path: Path | None) -> PlanSpec | None:
    if path is None:
        return None
    from controller.cli.plan import read

    return read(path)[2]


def _read(source: Source, asked: dict[Arm, Asked], window: Window) -> tuple[dict[Arm, Counted], Scrapes, "_Samples"]:
    """Both arms' samples, how they are scraped, and what is to be said about them."""
    selectors = [one for arm in Arm for one in (asked[arm].requests, asked[arm].buckets) if one is not None]
    since = window.start - max(source.history, 600.0)
    partial = False
    if source.prometheus:
        from controller.cli.judge_prometheus import from_server

        every, partial = from_server(source.prometheus, selectors, since, window.end)
    else:
        every = read_files(source.files, selectors, since, window.end)
    by = dict(zip([one.text for one in selectors], every, strict=True))
    requests = {arm: _of(asked[arm].requests, by) for arm in Arm}
    bad, words = bad_of([one for arm in Arm for one in requests[arm]], source.errors)
    failed = {one.labels for one in bad}
    arms = {
        arm: Counted(requests[arm], tuple(one for one in requests[arm] if one.labels in failed), _of(asked[arm].buckets, by)) for arm in Arm
    }
    scrapes = retrospect.scrapes_of([one for held in arms.values() for one in (*held.total, *held.buckets)])
    span = f"between {clock(since)} and {clock(window.end)}"
    notes = tuple(f"no series of {selector.text} {span}" for selector in selectors if not by[selector.text])
    return arms, scrapes, _Samples(partial, words, notes)


@dataclass(frozen=True, slots=True)
class _Samples:
    """What was found beside the samples: an answer was partial, what counts as failed, and what is missing."""

    partial: bool
    words: str
    notes: tuple[str, ...]


def _of(selector: Selector | None, by: dict[str, tuple[Series, ...]]) -> tuple[Series, ...]:
    return by[selector.text] if selector is not None else ()


def _outcome(found: Retrospect, beside: Sequence[Verdict], baseline: Counted, window: Window, *, partial: bool) -> tuple[Outcome, str]:
    """All together, and why a pass is none: a partial answer, or a baseline that begins late."""
    outcomes = {found.outcome, *(verdict.outcome for verdict in beside)}
    for outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE):
        if outcome in outcomes:
            return outcome, ""
    begins = min(series.samples[0].time for series in (*baseline.total, *baseline.buckets) if series.samples)
    if begins > window.start + _LATE_SHARE * window.seconds:
        return Outcome.INCONCLUSIVE, (
            f"The baseline's samples begin at {clock(begins)}, {format_duration(round(begins - window.start))} after the window: "
            "what was before is not kept, or was never scraped."
        )
    return (Outcome.INCONCLUSIVE, "An answer was partial, and what it lacks nobody knows.") if partial else (Outcome.PASS, "")
