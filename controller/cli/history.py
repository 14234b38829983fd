"""`penstock history`: every decision of a release, with the evidence that was stored before it was acted on."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import typer

from controller.cli import host as hosts
from controller.cli.host import Session, say, tell
from controller.cli.read import release_of
from controller.cli.view import explained
from controller.cli.words import record, rows, text
from controller.ports import CONFIG_MAP, NotFoundError, Obj

KINDS = ("started", "warning", "request", "verdict", "hold", "rollback", "grant", "finished")
"""What a record may be, in the order within one moment."""


def history(
    ctx: typer.Context,
    name: hosts.ReleaseArgument,
    *,
    namespace: hosts.NamespaceOption = "",
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
    output: hosts.OutputOption = "",
) -> None:
    """Every decision of a release, with its evidence; `-o wide` with the queries."""
    hosts.check_format(output, ("", "table", "wide", "json", "yaml"))
    session = hosts.open_session(ctx, namespace, context, kubeconfig)
    entries = records_of(session, release_of(session, name))
    if output in ("json", "yaml"):
        hosts.print_object(entries, output)
        return
    if not entries:
        say(f"Nothing has been decided about release {name} yet.")
    for entry in entries:
        for line in lines_of(entry, queries=output == "wide"):
            tell(line)


def records_of(session: Session, release: Obj) -> list[Mapping[str, Any]]:
    """The records, oldest first; one that cannot be read says so instead of hiding the others."""
    meta = record(release.get("metadata"))
    name = f"penstock-history-{text(meta.get('name'))[:40]}-{text(meta.get('uid'))[:8]}"
    try:
        data = record(session.kube.get(CONFIG_MAP, session.namespace, name).get("data"))
    except NotFoundError:
        return []
    entries: list[Mapping[str, Any]] = []
    for key in sorted(data, key=order):
        try:
            entries.append(record(orjson.loads(text(data[key]))))
        except orjson.JSONDecodeError:
            entries.append({"at": "", "kind": "unreadable", "reason": "", "message": f"the record {key} cannot be read", "data": {}})
    return sorted(entries, key=lambda entry: text(entry.get("at")))


def order(key: str) -> tuple[str, int]:
    """By the phase counter that the key begins with; within it the evidence before what rests on it."""
    counter, _, rest = key.partition("-")
    kind = rest.partition("-")[0]
    return counter, KINDS.index(kind) if kind in KINDS else len(KINDS)


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
