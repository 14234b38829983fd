"""`penstock history`: every decision of a release, with the evidence that was stored before it was acted on."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from controller.adapters.history import read_history
from controller.cli import host as hosts
from controller.cli.host import say, tell
from controller.cli.read import release_of
from controller.cli.view import explained
from controller.cli.words import record, rows, text

FORMATS = ("", "table", "wide", "json", "yaml")
FormatOption = Annotated[str, hosts.format_option("table, wide, json or yaml.", *FORMATS)]


def history(
    ctx: typer.Context,
    name: hosts.ReleaseArgument,
    *,
    namespace: hosts.NamespaceOption = "",
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
    output: FormatOption = "",
) -> None:
    """Every decision of a release, with its evidence; `-o wide` with the queries."""
    hosts.check_format(output, FORMATS)
    session = hosts.open_session(ctx, namespace, context, kubeconfig)
    entries = read_history(session.kube, release_of(session, name))
    if output in ("json", "yaml"):
        hosts.print_object(entries, output)
        return
    if not entries:
        say(f"Nothing has been decided about release {name} yet.")
    for entry in entries:
        for line in lines_of(entry, queries=output == "wide"):
            tell(line)


def lines_of(entry: Mapping[str, Any], *, queries: bool) -> Iterator[str]:
    """One record: when, what, the sentence; below it the checks it rests on."""
    data = record(entry.get("data"))
    stage = f"  stage {data['stage'] + 1}" if isinstance(data.get("stage"), int) and data["stage"] >= 0 else ""
    checks = rows(data.get("checks"))
    sentence = text(entry.get("message"))
    if checks and entry.get("reason") == "StagePassed":
        sentence = "The stage passed."
    yield f"{text(entry.get('at')) or '?':<20}  {text(entry.get('kind')):<9}{stage}  {sentence}"
    for check in checks:
        yield f"{'':<22}{text(check.get('outcome')) or 'no answer':<13} {text(check.get('name'))}: {explained(check)}"
    if queries and isinstance(data.get("queries"), list):
        for query in data["queries"]:
            yield f"{'':<22}query         {query}"
