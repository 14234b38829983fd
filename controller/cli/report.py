"""`penstock report NAME|BUNDLE`: one page about a release, for people or for pipelines."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli import complete
from controller.cli import host as hosts
from controller.cli.bundles import SUFFIX, bundle_of, open_bundle
from controller.cli.exits import CommandError, ExitCode
from controller.cli.files import put
from controller.cli.host import say, tell
from controller.cli.naming import apart
from controller.cli.read import release_of

if TYPE_CHECKING:
    from controller.evidence.bundle import Bundle
    from controller.report.facts import Facts

FORMATS = ("html", "markdown", "json", "junit")

WhatArgument = Annotated[
    str, typer.Argument(metavar="NAME|BUNDLE", help="Name of a release, or a file of `penstock bundle`.", autocompletion=complete.releases)
]
FormatOption = Annotated[str, hosts.format_option("html, markdown, json or junit.", *FORMATS, show_default=True)]
FileOption = Annotated[Path | None, typer.Option("--file", "-f", help="Where to write it; stdout if absent.", show_default=False)]


def report(
    ctx: typer.Context,
    what: WhatArgument,
    output: FormatOption = "html",
    file: FileOption = None,
    *,
    namespace: hosts.NamespaceOption = "",
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
) -> None:
    """One page about a release: the verdict, the traffic, every check over time, every decision. It works while the release runs.

    The HTML is one file that needs no network and no script. Ends with 0, also where the release was rolled back.
    """
    from controller.evidence.bundle import BundleError
    from controller.report.facts import facts_of

    hosts.check_format(output, FORMATS)
    path = Path(what)
    if path.is_file() or what.endswith(SUFFIX) or "/" in apart(what)[-1]:
        bundle = open_bundle(path)
    else:
        session = hosts.open_session(ctx, namespace, context, kubeconfig)
        bundle = bundle_of(session.kube, release_of(session, hosts.check_name_of("NAME", what, "releases")))
    try:
        text = written(facts_of(bundle), output)
    except BundleError as error:
        raise CommandError(ExitCode.NO, f"{what}: {error}.") from error
    if file is None:
        tell(text.rstrip("\n"), exact=True)
        return
    put(file, text.encode())
    say(sentence(bundle, file))


def written(facts: "Facts", output: str) -> str:
    """The report in one of its formats."""
    from controller.report import html, texts

    match output:
        case "markdown":
            return texts.markdown(facts)
        case "json":
            import orjson

            return orjson.dumps(texts.as_json(facts), option=orjson.OPT_INDENT_2).decode()
        case "junit":
            return texts.junit(facts)
        case _:
            return html.html(facts)


def sentence(bundle: "Bundle", file: Path) -> str:
    """Where it lies."""
    return f"The report of {bundle.title} is in {file} ({file.stat().st_size / 1000:,.0f} KB)."
