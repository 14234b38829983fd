"""`penstock bundle NAME > FILE`: one file with everything that a release's decisions rested on."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from controller.cli import host as hosts
from controller.cli.bundles import bundle_of, packed, save
from controller.cli.exits import CommandError, ExitCode
from controller.cli.host import say
from controller.cli.read import release_of
from controller.core.words import many
from controller.evidence.bundle import Bundle

FileOption = Annotated[Path | None, typer.Option("--file", "-f", help="Where to write it; stdout if absent.", show_default=False)]


def bundle(
    ctx: typer.Context,
    name: hosts.ReleaseArgument,
    file: FileOption = None,
    *,
    namespace: hosts.NamespaceOption = "",
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
) -> None:
    """Write one file with all evidence of a release: for `penstock replay` and `penstock report`, where there is no cluster.

    It has no credentials; where a Prometheus could not be reached, the sentence names its host. Of a running release it has what was
    decided so far.
    """
    session = hosts.open_session(ctx, namespace, context, kubeconfig)
    if file is None and session.host.out_is_terminal:
        raise CommandError(ExitCode.USAGE, f"A bundle is no text: write it into a file, as in `penstock bundle {name} > {name}.penstock`.")
    found = bundle_of(session.kube, release_of(session, name))
    if file is not None:
        save(found, file)
    else:
        sys.stdout.buffer.write(packed(found))
        sys.stdout.flush()
    say(sentence(found))


def sentence(found: Bundle) -> str:
    """What is in it."""
    if not found.segments:
        return f"{found.title}: nothing has been decided yet, so it has no evidence."
    decisions = sum(look.out is not None for look in found.looks)
    less = "; the oldest raw samples between decisions were thinned to counts" if any(about.get("thinned") for about in found.parts) else ""
    return f"{found.title}: {many(len(found.looks), 'look')}, {many(decisions, 'decision')}{less}."
