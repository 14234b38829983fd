"""`penstock import kayenta|flagger|argo FILE...`: another tool's configuration as a ReleasePlan, and what became of it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from controller.api.crd import KubectlDumper
from controller.api.validate import Finding, validate_text
from controller.cli.exits import CommandError, ExitCode
from controller.cli.host import check_format, format_option, print_object, say, tell
from controller.cli.import_common import Fate, Imported, Note, read_documents, read_text, refused


class Tool(StrEnum):
    """Whose files are read."""

    KAYENTA = "kayenta"
    FLAGGER = "flagger"
    ARGO = "argo"


ToolArgument = Annotated[Tool, typer.Argument(metavar="kayenta|flagger|argo", help="Whose configuration it is.", show_default=False)]
FilesArgument = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Its files; templates may stand in files of their own.")]
WorkloadOption = Annotated[str, typer.Option("--workload", help="Deployment that the plan moves (kayenta only).", show_default=False)]
ServiceOption = Annotated[str, typer.Option("--virtual-service", help="Its VirtualService (kayenta only).", show_default=False)]
NamespaceOption = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the plan (kayenta only).", show_default=False)]
JudgeOption = Annotated[bool, typer.Option("--keep-judge", help="Judge by Kayenta's own judge, as one check (kayenta only).")]
FormatOption = Annotated[str, format_option("yaml (default), or json with the list.", "yaml", "json")]


def import_(
    tool: ToolArgument,
    files: FilesArgument,
    *,
    workload: WorkloadOption = "",
    virtual_service: ServiceOption = "",
    namespace: NamespaceOption = "",
    keep_judge: JudgeOption = False,
    output: FormatOption = "",
) -> None:
    """Print a ReleasePlan made of another tool's configuration.

    The plan is YAML on stdout. On stderr stands what was translated, what was changed for the better, and what has no
    counterpart. Ends with 0 where there is a plan, with 3 where the files cannot be translated.
    """
    check_format(output, ("", "yaml", "json"))
    if tool is Tool.KAYENTA:
        about = {"workload": workload, "service": virtual_service, "namespace": namespace}
        found = _of_kayenta(files, about, keep_judge=keep_judge)
    elif workload or virtual_service or namespace or keep_judge:
        raise CommandError(
            ExitCode.USAGE, f"--workload, --virtual-service, --namespace and --keep-judge are for kayenta: a file of {tool} says it itself."
        )
    else:
        found = _imported(tool, files)
    texts = [_yaml(one, tool, files) for one in found]
    warnings = [finding for text in texts for finding in _checked(text)]
    if output == "json":
        plans = [{"plan": one.plan, "notes": [_as_json(note) for note in one.notes]} for one in found]
        print_object({"plans": plans, "warnings": [str(finding) for finding in warnings]}, "json")
        return
    tell("---\n".join(texts).rstrip())
    for one in found:
        _tell_notes(one)
    for finding in warnings:
        say(f"warning: {finding}")


def _of_kayenta(files: list[Path], about: dict[str, str], *, keep_judge: bool) -> list[Imported]:
    """A plan of each file. Raises `CommandError`."""
    from analysis.kayenta_config import KayentaError
    from controller.cli.import_kayenta import imports

    found = []
    for path in files:
        try:
            found.append(imports(read_text(path), **about, keep_judge=keep_judge))
        except KayentaError as error:
            raise refused(f"{path}: {error}.") from error
    return found


def _imported(tool: Tool, files: list[Path]) -> list[Imported]:
    """The plans of the files together. Raises `CommandError`."""
    objects = [one for path in files for one in read_documents(path)]
    if tool is Tool.FLAGGER:
        from controller.cli import import_flagger

        return import_flagger.imports(objects)
    from controller.cli import import_argo

    return import_argo.imports(objects)


def _yaml(one: Imported, tool: Tool, files: list[Path]) -> str:
    import yaml

    counts = ", ".join(f"{sum(note.fate is fate for note in one.notes)} {fate}" for fate in Fate)
    # Written out twice what stands twice: people edit one place and do not mean the other.
    dumper = type("Dumper", (KubectlDumper,), {"ignore_aliases": lambda *_: True})
    text = yaml.dump(one.plan, Dumper=dumper, sort_keys=False, allow_unicode=True, width=1000)
    return f"# Made by `penstock import {tool} {' '.join(path.name for path in files)}`: {counts}.\n{text}"


def _checked(text: str) -> list[Finding]:
    """The plan's warnings. Raises `CommandError` where it has errors: a name, number or query of the file that no plan can have."""
    findings = validate_text(text)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise CommandError(ExitCode.NO, f"The plan would be invalid: {errors[0]}.")
    return findings


def _as_json(note: Note) -> dict[str, str]:
    return {"fate": str(note.fate), "what": note.what, "became": note.became}


def _tell_notes(one: Imported) -> None:
    """The list, by fate."""
    say(f"\nPlan {one.plan['metadata']['name']}:")
    for fate in Fate:
        notes = [note for note in one.notes if note.fate is fate]
        if notes:
            say(f"  {fate}")
        for note in notes:
            say(f"    {note.what}: {note.became}")
