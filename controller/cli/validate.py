"""`penstock validate FILE...`: every error of plans, releases, requests and scenarios at once, with line numbers."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from controller.api.validate import Finding, Scenarios, has_ours, validate_file, validate_stream
from controller.cli.exits import CommandError, ExitCode, file_fault
from controller.cli.host import ContextOption, KubeconfigOption, check_format, format_option, open_session, print_object, say, tell
from controller.cli.leading import providers_known
from controller.core.words import many

STDIN = Path("-")

FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...", help="Files, or folders: the .yaml and .yml files below with something of ours; - is standard input."
    ),
]
ClusterOption = Annotated[
    bool,
    typer.Option("--cluster", help="Ask the cluster which Prometheus providers its controller knows: a plan that names another is wrong."),
]
FormatOption = Annotated[str, format_option("json for machines.", "json")]


def command(
    ctx: typer.Context,
    files: FilesArgument,
    output: FormatOption = "",
    *,
    cluster: ClusterOption = False,
    context: ContextOption = "",
    kubeconfig: KubeconfigOption = "",
) -> None:
    """Say everything that is wrong with plan and scenario files, and what is legal but unwise.

    Ends with 0 where there is no error, with 3 where there is one; warnings alone end with 0.
    """
    check_format(output, ("", "json"))
    providers = providers_known(open_session(ctx, "", context, kubeconfig)) if cluster else None
    found = [(path, findings_of(path, providers)) for path in listed(files)]
    if output == "json":
        print_object([{"file": str(path), **as_json(finding)} for path, findings in found for finding in findings], "json")
    else:
        for path, findings in found:
            for finding in findings:
                tell(line_of(path, finding))
    report([finding for _, findings in found for finding in findings], len(found), quiet=output == "json")


validate = command


def findings_of(path: Path, providers: frozenset[str] | None = None) -> list[Finding]:
    """All findings of a file, of what a pipe brings, or of standard input."""
    if path == STDIN:
        return validate_stream(sys.stdin.buffer, scenarios=scenario_rules(), providers=providers)
    if path.is_fifo():
        with path.open("rb") as pipe:
            return validate_stream(pipe, scenarios=scenario_rules(), providers=providers)
    return validate_file(path, scenarios=scenario_rules(), providers=providers)


def scenario_rules() -> Scenarios:
    """What the simulator knows of scenario files."""
    from controller.simulator.scenario import Scenario, with_base
    from controller.simulator.scenario_names import notes

    return Scenarios(Scenario, with_base, notes)


def listed(files: list[Path]) -> list[Path]:
    """The files and pipes, folders replaced by the files in them that are ours. Raises a usage error for what is not there."""
    out: list[Path] = []
    for path in files:
        if path.is_dir():
            inside = [one for one in yaml_files(path) if _is_ours(one)]
            if not inside:
                raise CommandError(ExitCode.USAGE, f"{path}: found no plan and no scenario, expected .yaml files with one.")
            out += inside
        elif path == STDIN or path.is_file() or path.is_fifo():
            out.append(path)
        else:
            raise CommandError(ExitCode.USAGE, f"{path}: there is no such file or folder.")
    return out


def yaml_files(folder: Path) -> list[Path]:
    """All files below a folder that end as YAML does, in order."""
    return sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".yml") and path.is_file())


def text_of(path: Path) -> str:
    """What stands in a file of a folder. Raises a usage error where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise file_fault(path, error) from error


def _is_ours(path: Path) -> bool:
    """Whether a file of a folder has a plan, a release, a request or a scenario in it; the words are looked for first, which is fast."""
    text = text_of(path)
    hinted = "penstock.dev/" in text or text.startswith("name: ") or "\nname: " in text
    return hinted and has_ours(path, scenario_rules())


def line_of(path: Path, finding: Finding) -> str:
    """`file:line: error: path: found X, expected Y; do Z`."""
    return f"{'standard input' if path == STDIN else path}:{finding.line}: {finding.severity}: {finding}"


def as_json(finding: Finding) -> dict[str, Any]:
    """A finding for machines."""
    return {name: getattr(finding, name) for name in ("severity", "path", "line", "document", "found", "expected", "hint")}


def report(findings: list[Finding], files: int, *, quiet: bool = False) -> None:
    """The closing line on stderr. Raises `CommandError` (3) where there is an error."""
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    sentence = f"{many(files, 'file')}: {many(errors, 'error')}, {many(warnings, 'warning')}."
    if errors:
        raise CommandError(ExitCode.NO, "" if quiet else sentence)
    if not quiet:
        say(sentence)
