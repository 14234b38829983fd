"""`penstock get`: a table of releases, plans or requests, or one release in detail."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from controller.cli import complete
from controller.cli import host as hosts
from controller.cli.exits import CommandError, ExitCode, explain_fault, is_missing_kind
from controller.cli.host import Session, say, tell
from controller.cli.naming import WORDS, apart
from controller.cli.words import at_home, created_at, number, record, span, text, whole
from controller.ports import RELEASE, RELEASE_PLAN, RELEASE_REQUEST, Kind, NotFoundError, Obj

Cell = Callable[[Obj, float], str]
Column = tuple[str, Cell, bool]
"""Title, value, and whether only `wide` shows it."""


def _sentence(release: Obj, now: float) -> str:
    """Why it stands where it does, as it holds now."""
    from controller.cli.view import view_of  # only wide tables ask for it

    return view_of(release, now=now).sentence


def _at(*path: str) -> Cell:
    def cell(obj: Obj, _now: float) -> str:
        value: Any = obj
        for part in path:
            value = record(value).get(part)
        return "" if value is None or isinstance(value, (Mapping, list)) else str(value)

    return cell


def _percent(*path: str) -> Cell:
    def cell(obj: Obj, _now: float) -> str:
        value: Any = obj
        for part in path:
            value = record(value).get(part)
        return f"{whole(value)} %"

    return cell


def _green(obj: Obj, _now: float) -> str:
    """Green's percent; of a success of `finish: home` the original has everybody, with the new image."""
    status = record(obj.get("status"))
    return "home" if at_home(status) else f"{whole(status.get('weight'))} %"


def _age(obj: Obj, now: float) -> str:
    born = created_at(obj)
    return span(now - born) if born else "?"


def _measured(obj: Obj, now: float) -> str:
    """How long ago `penstock preflight` stored something for the plan."""
    until = number(record(record(obj.get("status")).get("measured")).get("until"))
    return f"{span(max(now - until, 0.0))} ago" if until else ""


NAMESPACE: Column = ("NAMESPACE", _at("metadata", "namespace"), False)
NAME: Column = ("NAME", _at("metadata", "name"), False)
AGE: Column = ("AGE", _age, False)

TABLES: dict[str, tuple[Kind, tuple[Column, ...]]] = {
    "releases": (
        RELEASE,
        (
            NAME, ("PLAN", _at("spec", "plan"), False), ("REVISION", _at("spec", "revision"), False),
            ("PHASE", lambda o, _: text(record(o.get("status")).get("phase")) or "Queued", False),
            ("GREEN", _green, False),
            ("REASON", _at("status", "reason"), False), AGE,
            ("SEEN", _percent("status", "observedWeight"), True), ("MOST", _percent("status", "maxWeight"), True),
            ("BY", _at("spec", "origin", "actor"), True), ("MESSAGE", _sentence, True),
        ),
    ),
    "plans": (
        RELEASE_PLAN,
        (
            NAME, ("ACTIVE", _at("status", "activeName"), False), ("LAST SUCCEEDED", _at("status", "lastSucceeded"), False), AGE,
            ("IMAGES", lambda o, _: ", ".join(map(str, record(record(o.get("status")).get("lastImages")).values())), True),
            ("MEASURED", _measured, True),
        ),
    ),
    "requests": (
        RELEASE_REQUEST,
        (
            NAME, ("RELEASE", _at("spec", "release"), False), ("VERB", _at("spec", "verb"), False), ("BY", _at("spec", "actor"), False),
            ("ANSWER", lambda o, _: text(record(o.get("status")).get("state")) or "none yet", False), AGE,
            ("REASON", _at("spec", "reason"), True), ("MESSAGE", _at("status", "message"), True),
        ),
    ),
}  # fmt: skip


def table(columns: Sequence[Column], objects: Sequence[Obj], now: float, *, wide: bool, namespaces: bool) -> list[str]:
    """Aligned lines, the titles first."""
    shown = [*([NAMESPACE] if namespaces else []), *(column for column in columns if wide or not column[2])]
    cells = [[title for title, _, _ in shown], *([cell(obj, now) or "-" for _, cell, _ in shown] for obj in objects)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(shown))]
    return ["   ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def get(
    ctx: typer.Context,
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[releases|plans|requests] [NAME]", help="What to show; releases if absent.", autocompletion=complete.things
        ),
    ] = None,
    *,
    namespace: hosts.NamespaceOption = "",
    everywhere: hosts.EverywhereOption = False,
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
    output: hosts.OutputOption = "",
) -> None:
    """Show releases (or plans, or requests) as a table, or one release in detail."""
    hosts.check_format(output)
    words = [part for word in what or [] for part in apart(word)]
    noun = WORDS[words.pop(0)] if words and words[0] in WORDS else "releases"
    if len(words) > 1:
        raise typer.BadParameter(f"found {len(words)} names, expected one at most", param_hint="NAME")
    if words and everywhere:
        raise typer.BadParameter("a name is looked up in one namespace: give -n instead of -A", param_hint="-A")
    for name in words:
        hosts.check_name_of("NAME", name)
    session = hosts.open_session(ctx, namespace, context, kubeconfig, everywhere=everywhere)
    if words:
        _one(session, noun, words[0], output)
    else:
        _all(session, noun, output, everywhere=everywhere)


def _all(session: Session, noun: str, output: str, *, everywhere: bool) -> None:
    kind, columns = TABLES[noun]
    listed = session.kube.list(kind, session.namespace).items
    found = sorted(listed, key=lambda o: (-created_at(o), str(record(o.get("metadata")).get("name"))))
    objects = [hosts.plain(obj) for obj in found]
    if output in ("json", "yaml"):
        hosts.print_object({"apiVersion": "v1", "kind": "List", "items": objects}, output)
    elif output == "name":
        for obj in objects:
            hosts.print_object(obj, output)
    elif objects:
        for line in table(columns, objects, session.now, wide=output == "wide", namespaces=everywhere):
            tell(line)
    else:
        say(f"There are no {noun}{'' if everywhere else f' in namespace {session.namespace}'}.")


def _one(session: Session, noun: str, name: str, output: str) -> None:
    kind, columns = TABLES[noun]
    if noun == "releases":
        from controller.cli.read import release_of

        obj = release_of(session, name)
    else:
        try:
            obj = session.kube.get(kind, session.namespace, name)
        except NotFoundError as error:
            if is_missing_kind(error):
                raise explain_fault(error) from error
            raise CommandError(ExitCode.NO, f"There is no {noun.removesuffix('s')} {name} in namespace {session.namespace}.") from error
    if output in hosts.OBJECT_FORMATS[1:]:
        hosts.print_object(hosts.plain(obj), output)
    elif output in ("table", "wide") or noun != "releases":
        for line in table(columns, [obj], session.now, wide=output == "wide", namespaces=False):
            tell(line)
    else:
        _detail(session, obj)


def _detail(session: Session, release: Obj) -> None:
    from controller.cli.read import plan_edits, plan_in_force, seen_now
    from controller.cli.render import render

    plan = plan_in_force(session, release)
    view = seen_now(session, release, plan)
    width = session.host.size()[0]
    for line in render(view, width, session.now, colour=session.host.colour):
        tell(line, exact=True)
    for line in [*images(release), *(f"Edit {edit}" for edit in plan_edits(session, release, plan))]:
        tell(line)


def images(release: Obj) -> list[str]:
    """Which images move, and where the release comes from."""
    spec, status = record(release.get("spec")), record(release.get("status"))
    before, origin = record(status.get("imagesBefore")), record(spec.get("origin"))
    moved = {member: f"{before[member]} -> {image}" if member in before else image for member, image in record(spec.get("images")).items()}
    lines = [f"Image {member}: {change}" for member, change in moved.items()]
    for source, key, title in (
        (origin, "run", "Run  "), (origin, "commit", "From "), (origin, "id", "Id   "),
        (spec, "retryOf", "Again"), (spec, "reverseOf", "Back "), (spec, "supersedes", "After"),
    ):  # fmt: skip
        if source.get(key):
            lines.append(f"{title} {text(source.get(key))}")
    return lines
