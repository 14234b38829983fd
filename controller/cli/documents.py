"""`python -m controller.cli.documents`: the generated parts of README.md and docs/, a part of `make docs`.

A page is written by hand; between two marks stands what the code says, and this module puts it there:

    <!-- generated: exit-codes -->
    ...
    <!-- end of exit-codes -->

`tests/docs` fails where a page differs from what is generated here.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from controller.adapters.prometheus_config import PrometheusConfig
from controller.api.base import Model, format_duration
from controller.api.plan import PlanSpec, Stage
from controller.api.plan_checks import BuiltIn
from controller.api.release import Phase, ReleaseSpec, RequestSpec
from controller.cli.documents_models import cell, sections
from controller.cli.documents_story import cut, story_of, transcript_of
from controller.cli.documents_words import BUILTINS, DEFAULTS, FAULTS, PHASES, PLAN_EXAMPLES
from controller.cli.exits import MEANINGS
from controller.cli.info import WORDS
from controller.cli.main import COMMANDS, module_of
from controller.cli.plan import limit_words
from controller.cli.plan_detect import tolerance_words
from controller.core import asking, deletion, fights, outage, readings, settling, steps, traffic
from controller.core.judging import UNITS, unit_of
from controller.core.phases import BACKWARD, FINAL, TRANSITIONS, WATCHED
from controller.core.queries import Mesh, Naming, build_checks_queries, member_of, pair_of
from controller.core.reasons import REASONS
from controller.runtime.config import ControllerConfig
from controller.runtime.metrics import Metrics
from controller.simulator.scenario import Scenario

ROOT = Path(__file__).parents[2]
STORY = ROOT / "examples" / "first-release" / "scenarios" / "fails-at-25.yaml"
MARKED = re.compile(r"<!-- generated: (?P<name>[a-z-]+) -->\n.*?<!-- end of (?P=name) -->", re.DOTALL)
BLOCK = "<!-- generated: {name} -->\n{text}\n<!-- end of {name} -->"


# Phases and reasons.


def phase_diagram() -> str:
    """Mermaid, drawn from the table of transitions."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {Phase.QUEUED}"]
    lines += [f"    {before} --> {after}" for before, after in transitions() if before is not after]
    lines += [f"    {phase} --> [*]" for phase in Phase if phase in FINAL]
    return "\n".join([*lines, "```"])


def transitions() -> Iterator[tuple[Phase, Phase]]:
    """All legal ones, in the order of the phases."""
    for before in Phase:
        yield from ((before, after) for after in Phase if after in TRANSITIONS[before])


def phase_table() -> str:
    """Each phase: what it is, what may follow, whether triggers act."""
    lines = ["| phase | what happens | what may follow | triggers |", "|---|---|---|---|"]
    for phase in Phase:
        after = ", ".join(following for before, following in transitions() if before is phase) or "nothing, it is final"
        watched = "on" if phase in WATCHED else "off, it is on its way to blue" if phase in BACKWARD else "off"
        lines.append(f"| {phase} | {PHASES[phase]} | {after} | {watched} |")
    return "\n".join(lines)


def reason_table() -> str:
    """Each reason: the sentence that is printed everywhere, and the next step."""
    lines = ["| reason | severity | sentence | what to do |", "|---|---|---|---|"]
    lines += [f"| `{r.word}` | {r.severity} | {cell(r.say('…'))} | {cell(r.next_step)} |" for r in REASONS.values()]
    return "\n".join(lines)


def words() -> str:
    """The words of the help."""
    return "\n".join(["| word | meaning |", "|---|---|", *(f"| {word} | {cell(meaning)} |" for word, meaning in WORDS.items())])


# The command line.


def exit_codes() -> str:
    """The table of the help."""
    return "\n".join(["| code | meaning |", "|---|---|", *(f"| {int(code)} | {cell(meaning)} |" for code, meaning in MEANINGS.items())])


def commands() -> str:
    """Each command with its help and its options."""
    return "\n\n".join(command(name) for name in COMMANDS)


def command(name: str) -> str:
    """One command, read off the function that runs it."""
    function = getattr(import_module(module_of(name)), COMMANDS[name][0].partition(":")[2])
    hints = get_type_hints(function, include_extras=True)
    arguments, options = [], []
    for parameter in inspect.signature(function).parameters.values():
        info = next((one for one in get_args(hints[parameter.name]) if isinstance(one, ArgumentInfo | OptionInfo)), None)
        kind = get_args(hints[parameter.name])[0] if get_origin(hints[parameter.name]) is Annotated else None
        if isinstance(info, ArgumentInfo):
            arguments.append(placeholder(info, parameter))
        elif isinstance(info, OptionInfo):
            options.append(option_row(info, kind, parameter.default))
    words_ = inspect.getdoc(function) or ""
    lines = [f"## {name}", "", f"`penstock {' '.join([name, *arguments])} [OPTIONS]`", "", words_]
    if options:
        lines += ["", "| option | default | meaning |", "|---|---|---|", *options]
    return "\n".join(lines)


def placeholder(info: ArgumentInfo, parameter: inspect.Parameter) -> str:
    """An argument as the usage line shows it."""
    name = str(info.metavar or parameter.name.rstrip("_").upper())
    return name if parameter.default is inspect.Parameter.empty or name.startswith("[") else f"[{name}]"


def option_row(info: OptionInfo, kind: Any, default: Any) -> str:
    """An option with what it takes, its default and its help."""
    # Inside of Annotated the first name of an option stands where a default would.
    declared = [name for name in (info.default, *(info.param_decls or ())) if isinstance(name, str) and name.startswith("-")]
    names = ", ".join(f"`{name}`" for name in sorted(declared, key=len, reverse=True))
    takes = "" if kind is bool else f" `{info.metavar or 'VALUE'}`"
    silent = default in ("", None, False) or info.show_default is False
    shown = "" if silent else f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
    return f"| {names}{cell(takes)} | {shown} | {cell(str(info.help or ''))} |"


# Plans.


def default_table() -> str:
    """Every default of a plan that is a choice, with its reason."""
    lines = ["| field | default | why |", "|---|---|---|"]
    for owner, field, value in chosen_defaults():
        why = cell(DEFAULTS[f"{owner.__name__}.{field}"])
        lines.append(f"| `{owner.__name__}.{alias(owner, field)}` | `{in_words(owner, field, value)}` | {why} |")
    return "\n".join(lines)


def chosen_defaults() -> Iterator[tuple[type[Model], str, Any]]:
    """Model, field and value of each default that says more than nothing; a field of a base is listed once."""
    from controller.api import plan, plan_checks, plan_kayenta

    for where, model in ((module.__name__, model) for module in (plan, plan_checks, plan_kayenta) for model in vars(module).values()):
        if not (isinstance(model, type) and issubclass(model, Model) and model.__module__ == where):
            continue
        for name in model.__annotations__:
            info = model.model_fields[name]
            if not info.is_required() and info.default_factory is None and info.default not in (None, "", [], {}, False):
                yield model, name, info.default


def alias(owner: type[Model], field: str) -> str:
    """The field's name on the wire."""
    return owner.model_fields[field].alias or field


def in_words(owner: type[Model], field: str, value: Any) -> str:
    """The value as it is written in YAML."""
    node = owner.model_json_schema(by_alias=True)["properties"][alias(owner, field)]
    is_duration = isinstance(value, float) and node.get("type") == "string"
    return format_duration(value) if is_duration else str(value)


def default_lists() -> str:
    """Stages, checks, triggers and slots of a plan that names none."""
    spec = PlanSpec.model_validate({"workload": "shop", "traffic": {"virtualService": "shop"}})
    stages = ", ".join(f"{stage.weight} %" for stage in spec.stages)
    slots = " and ".join(f"`{slot.name}`{f' (names end in `{slot.suffix}`)' if slot.suffix else ''}" for slot in spec.slots)
    first: Stage = spec.stages[0]
    lines = [
        "| list | default |", "|---|---|",
        f"| `stages` | {stages}; each with a window of {format_duration(first.window)} |",
        f"| `slots` | {slots} |",
    ]  # fmt: skip
    lines += [f"| `checks` | `{check.name}`: {tolerance_words(check)} |" for check in spec.checks]
    for one in spec.triggers:
        often = f"every {format_duration(one.interval)}, {one.repeat.consecutive or 1} failures in a row"
        lines.append(f"| `triggers` | `{one.name}`: {limit_words(one.limit, unit_of(one))}, {often} |")
    return "\n".join(lines)


def constant_table() -> str:
    """Numbers that no plan changes."""
    span = format_duration
    rows = (
        ("scrapes that a window must have", f"{readings.MIN_SCRAPES}", "Fewer show a moment, not a behaviour."),
        ("a gap in the data", f"{traffic.GAP_SCRAPES} scrapes", "A longer silence is not judged; the window lengthens by it."),
        ("difference between Prometheus's clock and ours", span(readings.MAX_SKEW_SECONDS), "Beyond it every answer is inconclusive."),
        ("interval in which the observed split must lie", f"{100 * settling.CONFIDENCE:g} %", "Counts of requests vary by chance."),
        ("how far back the traffic query looks", span(asking.MAX_TRAFFIC_RANGE_SECONDS), "Raw samples of an hour may be too large."),
        ("deadline of one query", span(asking.QUERY_TIMEOUT_SECONDS), "An answer that comes later is of no use."),
        ("hold for data where no check says otherwise", span(steps.DATA_DEADLINE_SECONDS), "As `NoData.deadline`."),
        ("another look where nothing is due", span(steps.POLL_SECONDS), "As the interval of a trigger."),
        ("progress that is not urgent is written at most every", span(steps.CHECKPOINT_SECONDS), "A restart finds the rest in Prometheus."),
        ("corrections that make a fight", f"{fights.FIGHT_WRITES} in {span(fights.FIGHT_SECONDS)}", "A tool is at work, not a person."),
        (
            "no ready pod of green while it has traffic, in all in one stage",
            span(outage.GRACE_SECONDS),
            "One missed readiness probe of the usual period (10 s), and the time that its news takes.",
        ),
        ("a teardown that is refused is tried for", span(deletion.TEARDOWN_PATIENCE_SECONDS), "Then a person is asked."),
    )
    return "\n".join(["| what | value | why |", "|---|---|---|", *(f"| {what} | {value} | {why} |" for what, value, why in rows)])


def plan_fields() -> str:
    """The whole plan."""
    return sections(PlanSpec, "ReleasePlan.spec", PLAN_EXAMPLES)


def release_fields() -> str:
    """What a Release asks for."""
    return sections(ReleaseSpec, "Release.spec")


def request_fields() -> str:
    """What a ReleaseRequest asks for."""
    return sections(RequestSpec, "ReleaseRequest.spec")


def builtin_queries() -> str:
    """The built-in checks as they are sent for green, in host mode and, where it differs, in subset mode."""
    spec = PlanSpec.model_validate({"workload": "shop", "traffic": {"virtualService": "shop"}})
    parts = []
    for builtin in BuiltIn:
        unit = f" Unit: {UNITS[builtin]}." if UNITS[builtin] else ""
        shown = {mode: query_of(spec, builtin, mode) for mode in ("host", "subset")}
        parts.append(f"**{builtin}**. {BUILTINS[builtin]}{unit}")
        if shown["host"] == shown["subset"]:
            shown = {"both": shown["host"]}
        parts += [f"```promql\n# {mode} mode{'s' * (mode == 'both')}\n{query}\n```" for mode, query in shown.items()]
    return "\n\n".join(parts)


def query_of(spec: PlanSpec, builtin: BuiltIn, mode: str) -> str:
    """The query for green of the ten-line plan's workload, over a window of five minutes."""
    pair = pair_of(spec, member_of(spec, None), Naming(namespace="shop", mode=mode, revision="v2", blue_revision="v1"))
    return build_checks_queries(builtin, pair, "green", 300, mesh=Mesh(mode=mode))


# Settings and scenarios.


def scenario_fields() -> str:
    """The scenario file."""
    return sections(Scenario)


def fault_table() -> str:
    """What can go wrong in a scenario."""
    return "\n".join(["| kind | what happens |", "|---|---|", *(f"| `{kind}` | {cell(text)} |" for kind, text in FAULTS.items())])


def setting_fields() -> str:
    """The controller's configuration file."""
    return sections(ControllerConfig)


def provider_fields() -> str:
    """The file that names the Prometheus providers."""
    return sections(PrometheusConfig)


def metric_table() -> str:
    """The controller's own metrics, under the names that they are scraped by."""
    found = [(f"{one.name}_total" if one.type == "counter" else one.name, one) for one in Metrics().registry.collect()]
    return "\n".join(
        ["| metric | type | what |", "|---|---|---|", *(f"| `{name}` | {one.type} | {one.documentation} |" for name, one in found)]
    )


# Pictures.


def rollback_watch() -> str:
    """The live view while green is taken down."""
    story = story_of(STORY, "fails-at-25")
    story.until(Phase.TEARING_DOWN)
    return f"```text\n{story.watch()}```"


def rollback_why() -> str:
    """`penstock why` after it; long lines are cut."""
    story = story_of(STORY, "fails-at-25")
    story.until(Phase.ROLLED_BACK)
    return f"```text\n{cut(story.penstock('why', story.name))}```"


def rollback_transcript() -> str:
    """The same release as the simulator tells it."""
    return f"```text\n{cut(transcript_of(STORY, 'fails-at-25'), 150)}```"


BLOCKS: dict[str, Callable[[], str]] = {
    "phase-diagram": phase_diagram, "phase-table": phase_table, "reasons": reason_table, "words": words, "exit-codes": exit_codes,
    "commands": commands, "defaults": default_table, "default-lists": default_lists, "constants": constant_table,
    "plan-fields": plan_fields,
    "release-fields": release_fields, "request-fields": request_fields, "builtin-queries": builtin_queries,
    "scenario-fields": scenario_fields, "faults": fault_table, "settings": setting_fields, "providers": provider_fields,
    "metrics": metric_table,
    "rollback-watch": rollback_watch, "rollback-why": rollback_why, "rollback-transcript": rollback_transcript,
}  # fmt: skip
"""Name of a mark to what stands there."""


def pages() -> list[Path]:
    """The pages that may have generated parts."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def filled(text: str) -> str:
    """A page with its generated parts as the code has them now. Raises KeyError for a mark that nothing generates."""
    return MARKED.sub(lambda found: BLOCK.format(name=found["name"], text=BLOCKS[found["name"]]().rstrip()), text)


def main() -> None:
    """Write the pages that differ."""
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = filled(before)
        if after != before:
            page.write_text(after, encoding="utf-8")
            typer.echo(f"{page.relative_to(ROOT)} is written again", err=True)


if __name__ == "__main__":
    main()
