"""`penstock plan FILE`: the timetable of a plan, its queries filled in, and what will be written where. Nothing runs."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from controller.api.base import format_duration
from controller.api.plan import PlanSpec, Stage
from controller.api.plan_checks import Check, Limit, Trigger
from controller.api.plan_kayenta import Kayenta
from controller.api.validate import as_sent, validate_file
from controller.api.validate_yaml import documents
from controller.cli import plan_detect
from controller.cli.exits import CommandError, ExitCode
from controller.cli.host import ContextOption, KubeconfigOption, check_format, format_option, open_session, print_object, say, tell
from controller.cli.leading import providers_known
from controller.cli.naming import REVISION_LENGTH, NamingError, checked
from controller.cli.plan_mode import mode_of
from controller.cli.validate import line_of
from controller.core.asking import checks_of, counted_by, is_counted, metric_name, probe_url
from controller.core.judging import unit_of
from controller.core.queries import Mesh, Naming, Pair, build_checks_queries, fill, member_of, over_window, pair_of
from controller.core.tested import gauge_test

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="File with one ReleasePlan.")]
FormatOption = Annotated[str, format_option("json for machines.", "json")]
RevisionOption = Annotated[str, typer.Option("--revision", help="Revision to show in the queries.")]
MODE_HELP = "How the routes tell the versions apart: host or subset. If absent the plan tells, or it is said what was assumed."
ModeOption = Annotated[str, typer.Option("--mode", help=MODE_HELP, show_default=False)]


@dataclass(frozen=True, slots=True)
class Step:
    """One stage: seconds since green is ready, at the earliest; `may_pass_at` where evidence may end it before its window does."""

    weight: int
    shifts_at: float
    window_opens_at: float
    window_closes_at: float
    min_requests: int
    waits_for_person: bool
    may_pass_at: float | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One check or trigger as it will be asked."""

    name: str
    kind: str
    limit: str
    when: str
    green: str
    blue: str


RPS_HELP = "Requests per second of both versions together: then it is said how long each stage takes to find a regression."
RpsOption = Annotated[float, typer.Option("--rps", help=RPS_HELP, min=0, max=1_000_000_000, show_default=False)]
ClusterOption = Annotated[
    bool,
    typer.Option(
        "--cluster",
        help="Ask the cluster for the mode, which version serves, which Prometheus providers its controller knows, and whether a release "
        "that started now would be refused.",
    ),
]


def command(
    ctx: typer.Context,
    file: FileArgument,
    output: FormatOption = "",
    revision: RevisionOption = "v2",
    mode: ModeOption = "",
    *,
    rps: RpsOption = 0.0,
    cluster: ClusterOption = False,
    context: ContextOption = "",
    kubeconfig: KubeconfigOption = "",
) -> None:
    """Show when each stage can come at the earliest, what will be asked of Prometheus, and what will be written.

    Ends with 3 where the file has an error, or where a release would be refused as the cluster stands.
    """
    check_format(output, ("", "json"))
    if mode not in ("", "host", "subset"):
        raise typer.BadParameter(f"found {mode!r}, expected host or subset", param_hint="--mode")
    check_revision(revision)
    session = open_session(ctx, "", context, kubeconfig) if cluster else None
    name, namespace, spec = read(file, providers_known(session) if session else None)
    kube = session.kube if session else None
    told = mode_of(spec, (namespace, name), mode, kube)
    if kube:
        from controller.cli.plan_start import check_start

        for warning in check_start(spec, (namespace, name), kube, revision):
            say(f"warning: {warning}")
    if told.assumed and output != "json":
        say(f"{told.mode.capitalize()} mode is {told.why}.")
    naming = Naming(namespace=namespace, blue_slot=told.blue_slot, mode=told.mode, revision=revision, blue_revision="v1")
    steps, questions, found = timetable(spec), [*asked(spec, naming)], plan_detect.detections(spec, rps)
    if output == "json":
        data = {"plan": name, "namespace": namespace, "mode": told.mode, "modeFrom": told.why, "earliestEndSeconds": end_of(steps)}
        lists: dict[str, Any] = {"stages": [asdict(s) for s in steps], "questions": [asdict(q) for q in questions]}
        lists |= {"detects": [asdict(d) for d in found], "writes": writes(spec, naming)}
        print_object(data | lists, "json")
        return
    blocks = [stage_lines(spec, steps), question_lines(questions), write_lines(spec, naming, told.why)]
    if found:
        blocks.insert(2, plan_detect.lines_of(found, rps))
    tell(f"Plan {namespace}/{name}")
    for block in blocks:
        tell("")
        for line in block:
            tell(line)


plan = command


def read(file: Path, providers: frozenset[str] | None = None) -> tuple[str, str, PlanSpec]:
    """Name, namespace and spec of the one plan of a file; its warnings go to stderr. Raises `CommandError`."""
    found = read_object(file, providers)
    meta = found["metadata"]
    return str(meta["name"]), str(meta.get("namespace") or "default"), PlanSpec.model_validate_json(as_sent(found["spec"]))


def read_object(file: Path, providers: frozenset[str] | None = None) -> dict[str, Any]:
    """The one plan of a file, which is valid, as it stands there. As `read`."""
    if not file.is_file():
        found = "this is a folder, expected a file with a plan" if file.is_dir() else "there is no such file"
        raise CommandError(ExitCode.USAGE, f"{file}: {found}.")
    findings = validate_file(file, providers=providers)
    if any(one.severity == "error" for one in findings):
        raise CommandError(ExitCode.NO, "\n".join(line_of(file, one) for one in findings))
    for one in findings:
        say(line_of(file, one))
    written, _ = documents(file.read_text(encoding="utf-8"))
    objects = [one.data for one in written if isinstance(one.data, dict) and one.data.get("kind") == "ReleasePlan"]
    if len(objects) != 1:
        raise CommandError(ExitCode.NO, f"{file}: found {len(objects)} ReleasePlans, expected one.")
    plan: dict[str, Any] = objects[0]
    return plan


def timetable(spec: PlanSpec) -> list[Step]:
    """The earliest times of all stages: settling takes at least one scrape, or the fixed time without metrics."""
    settle = spec.settle.time if spec.traffic.metrics == "none" else spec.traffic.scrape_interval
    now, steps = spec.preparation.route_delay, []
    for stage in spec.stages:
        opens = now + settle + stage.warm_up
        early = opens + stage.early_after if stage.early_after is not None else None
        steps.append(Step(stage.weight, now, opens, opens + stage.window, least_requests(spec, stage), stage.hold, early))
        now = opens + stage.window
    return steps


def least_requests(spec: PlanSpec, stage: Stage) -> int:
    """Requests of green below which this stage cannot pass: its own least number, or that of the check that needs most."""
    if spec.traffic.metrics == "none":
        return 0
    checks = (check.needed_requests for check in checks_of(spec, stage) if not check.observe)
    return max(stage.min_requests, *checks, 0)


def end_of(steps: list[Step]) -> float:
    """Seconds from green's readiness to success, at the earliest."""
    return steps[-1].window_closes_at


def asked(spec: PlanSpec, naming: Naming) -> list[Question]:
    """Every check and trigger with its queries for both colours."""
    gates = [_question(spec, naming, check, longest(check, spec.stages)) for check in spec.checks if check.kayenta is None]
    gates += [one for check in spec.checks if check.kayenta is not None for one in _canary(spec, naming, check, check.kayenta)]
    return gates + [_question(spec, naming, trigger, trigger.range) for trigger in spec.triggers]


def longest(check: Check, stages: list[Stage]) -> float:
    """The longest window that a check judges, seconds."""
    return max((stage.window for stage in stages if not check.stages or stage.weight in check.stages), default=stages[0].window)


def _question(spec: PlanSpec, naming: Naming, check: Check | Trigger, window: float) -> Question:
    pair = pair_of(spec, member_of(spec, check.member), naming)
    compares = check.limit is not None and check.limit.relative
    if isinstance(check, Check) and check.sequential:
        return _counted(spec, naming, check, pair)
    if isinstance(check, Trigger):
        times = f"{_repeat(check)} every {format_duration(check.interval)}"
        kind = "trigger" if check.together is None else f"trigger of group {check.together}"
        if check.probe is not None:
            green, blue = (f"GET {probe_url(check.probe, pair, colour)}" for colour in ("green", "blue"))
            healthy = " or ".join(map(str, check.probe.statuses)) or "200-399"
            return Question(check.name, kind, f"status {healthy}", times, green, blue)
        if is_counted(spec, check):
            selector = counted_by(check, Mesh(mode=naming.mode, reporter=spec.traffic.reporter), pair)
            times = f"{times}, counted over {format_duration(check.range)}, for both colours in one query"
            return Question(check.name, kind, limit_words(check.limit, unit_of(check)), times, selector, "")
    else:
        kind, times = "check", _when(check)
        if check.gauge:
            known = gauge_test(spec, check) is not None
            kind, compares = "gauge", True
            times = "paired with blue at every scrape below 100 %, else " + times if known else f"{times} (no history: penstock preflight)"
    green = _query(spec, naming.mode, check, pair, colour="green", window=window)
    blue = _query(spec, naming.mode, check, pair, colour="blue", window=window) if compares else ""
    return Question(check.name, kind, limit_words(check.limit, unit_of(check)), times, green, blue)


def _counted(spec: PlanSpec, naming: Naming, check: Check, pair: Pair) -> Question:
    words, when = plan_detect.tolerance_words(check), "counted at every scrape from the first weight on"
    if check.counters is None:
        selector = counted_by(check, Mesh(mode=naming.mode, reporter=spec.traffic.reporter), pair)
        return Question(check.name, "sequential check", words, f"{when}, for both colours in one query", selector, "")
    blue, green = (" and ".join(fill(text, place, 0.0) for text in check.counters.selectors) for place in (pair.blue, pair.green))
    return Question(check.name, "sequential check", words, when, green, blue)


def _canary(spec: PlanSpec, naming: Naming, check: Check, asked: Kayenta) -> Iterator[Question]:
    """Every metric of Kayenta's judge."""
    pair, window = pair_of(spec, member_of(spec, check.member), naming), longest(check, spec.stages)
    limit = f"score at least {asked.score_thresholds.passing:g}, fails below {asked.score_thresholds.marginal:g}"
    for metric in asked.metrics:
        blue, green = (over_window(fill(metric.query, place, asked.step), window, asked.step) for place in (pair.blue, pair.green))
        yield Question(metric_name(check.name, metric.name), "Kayenta's judge", limit, _when(check), green, blue)


def _when(check: Check) -> str:
    judged = ", ".join(f"{weight} %" for weight in check.stages) or "every stage"
    return f"at the end of the window of {judged}"


def _query(spec: PlanSpec, mode: str, check: Check | Trigger, pair: Pair, *, colour: str, window: float) -> str:
    if check.builtin is not None:
        mesh = Mesh(mode=mode, reporter=spec.traffic.reporter)
        return build_checks_queries(check.builtin, pair, colour, window, mesh=mesh, quantile=check.quantile)
    return fill(check.query or "", pair.of(colour), window)


def _repeat(trigger: Trigger) -> str:
    repeat = trigger.repeat
    if repeat.failures is not None:
        return f"{repeat.failures} failures of the last {repeat.of}, asked"
    return f"{repeat.consecutive} failures in a row, asked" if (repeat.consecutive or 1) > 1 else "one failure, asked"


def check_revision(revision: str) -> None:
    """Refuse to show queries that no release could send."""
    try:
        checked("revision", revision, REVISION_LENGTH)
    except NamingError as error:
        raise CommandError(ExitCode.USAGE, str(error)) from error


def limit_words(limit: Limit | None, unit: str = "") -> str:
    """The limits in words, with their unit where they have one."""
    if limit is None:
        return "none"
    words = {
        "max": "at most {}{}", "min": "at least {}{}", "below": "below {}{}", "max_ratio": "at most {} times blue",
        "min_ratio": "at least {} times blue", "max_difference": "at most {}{} above blue", "min_difference": "at least {}{} against blue",
    }  # fmt: skip
    given = [(name, text, value) for name, text in words.items() if (value := getattr(limit, name)) is not None]
    return " and ".join(text.format(f"{value:g}", _behind(unit, name)) for name, text, value in given)


def _behind(unit: str, line: str) -> str:
    """A limit's unit: two percentages differ by points."""
    told = "points" if unit == "%" and line.endswith("_difference") else unit
    return f" {told}" if told else ""


def stage_lines(spec: PlanSpec, steps: list[Step]) -> list[str]:
    """The timetable."""
    lines = [f"Timetable, from the moment at which green is ready (within {format_duration(spec.preparation.deadline)}), at the earliest:"]
    lines.append("  green   shifts at   judged from       until      at least")
    for step in steps:
        tail = f"   or from {span(step.may_pass_at)} on, early" if step.may_pass_at is not None else ""
        tail += "   then waits for penstock advance" if step.waits_for_person else ""
        lines.append(
            f"  {step.weight:>4} %   {span(step.shifts_at):>9}   {span(step.window_opens_at):>11}   {span(step.window_closes_at):>9}   "
            f"{step.min_requests:>5} {'request' if step.min_requests == 1 else 'requests'}{tail}"
        )
    lines.append(f"  success at {span(end_of(steps))}; the old version is kept for {format_duration(spec.finish.retention)} after it.")
    return lines


def span(seconds: float) -> str:
    """Whole seconds as a duration."""
    return format_duration(float(round(seconds)))


def question_lines(questions: list[Question]) -> list[str]:
    """Checks and triggers with their queries."""
    lines = ["What is asked:"]
    for one in questions:
        lines.append(f"  {one.name} ({one.kind}): {one.limit}; {one.when}")
        lines.append(f"    green  {one.green}")
        if one.blue:
            lines.append(f"    blue   {one.blue}")
    return lines


def writes(spec: PlanSpec, naming: Naming) -> list[str]:
    """What a release of this plan writes, and where; slots as in the first release."""
    out = []
    for target in spec.traffic.targets:
        where = f"{target.namespace or naming.namespace}/{target.name}"
        routes = ", ".join(target.routes) or "every rule whose destinations are blue and green, or blue alone"
        out.append(f"VirtualService {where}: the weights of {routes}; annotations penstock.dev/*")
        out += [f"VirtualService {where}: the destination of bypass rule {bypass.route}" for bypass in target.bypass]
    if naming.mode == "subset":
        out.append("DestinationRule of the host: one subset for green")
    for member in spec.all_members:
        pair = pair_of(spec, member, naming)
        green, blue = pair.green, pair.blue
        if spec.preparation.green == "clone":
            out.append(f"Deployment {green.namespace}/{green.workload}: a clone of {blue.namespace}/{blue.workload} with the new image")
            if naming.mode == "host":
                out.append(f"Service {green.namespace}/{green.service}")
            if green.namespace != blue.namespace:
                out += [f"ConfigMap {green.namespace}/{name}" for name in member.config_maps]
                out += [f"Secret {green.namespace}/{name} (needs the optional Role)" for name in member.secrets]
        else:
            out.append(f"Deployment {green.namespace}/{green.workload}: its size only; it was made by others")
        out.append(f"HorizontalPodAutoscaler of {blue.namespace}/{blue.workload}, if there is one: its minimum, restored at the end")
    return list(dict.fromkeys(out))


def write_lines(spec: PlanSpec, naming: Naming, why: str) -> list[str]:
    """What is written, with what happens on the way back and after success."""
    back, finish = spec.rollback, spec.finish
    size = f"at {finish.size} replica{'' if finish.size == 1 else 's'}" if finish.size is not None else "at full size"
    ends = {"auto": "deleted if Penstock made it, else scaled to zero", "delete": "deleted", "scale": "scaled to zero", "keep": "left"}
    head = f"What is written ({naming.mode} mode, {why}; blue in slot {spec.slots[naming.blue_slot].name!r}):"
    way_back = [
        f"every route on blue within {format_duration(back.traffic)}", f"blue ready within {format_duration(back.blue_ready)}",
        f"healthy within {format_duration(back.blue_healthy)}",
        f"green gone {format_duration(back.teardown)} after a drain of {format_duration(back.drain)}",
    ]  # fmt: skip
    after = f"After success: the old version is kept {size} for {format_duration(finish.retention)}, then {ends[finish.then]}."
    return [head, *(f"  {line}" for line in writes(spec, naming)), f"On a rollback: {', '.join(way_back)}.", after]
