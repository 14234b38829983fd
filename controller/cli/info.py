"""`penstock metrics`, `version` and `help`."""

from http.client import HTTPException
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Annotated
from urllib.error import URLError
from urllib.request import urlopen

import typer

from controller.cli import complete
from controller.cli import host as hosts
from controller.cli.exits import MEANINGS, CommandError, ExitCode
from controller.cli.host import tell

DEFAULT_URL = "http://127.0.0.1:8080/metrics"
FETCH_SECONDS = 5.0

TOPICS = ("exit-codes", "reasons", "words")

WORDS: dict[str, str] = {
    "blue": "the version that serves when a release begins, observed at 100 % on the routes",
    "green": "the new version",
    "slot": "a place where a version lives; a plan names two, and blue and green change places after a success",
    "plan": "ReleasePlan: where traffic is split, what moves together, stages, checks, triggers, the way back",
    "release": "one attempt to bring one plan to one new version; immutable, its status is the whole truth",
    "request": "ReleaseRequest: what a person or a pipeline asks of a running release, and the controller's answer",
    "stage": "a weight and a window",
    "window": "the time that is judged, counted on samples that both versions have",
    "grant": "the highest weight that evidence has allowed so far; written before any weight",
    "check": "a gate: judged over a stage's window at its end",
    "trigger": "watched all the time from the first weight; rolls back at once",
    "settle": "the wait until the observed split is the granted one; before that no window opens",
    "bake": "the window of the last stage, at 100 % on green, while blue is kept ready",
    "hold": "nothing moves: until a deadline, or until a person asks",
    "halted": "stopped for a person; never toward green by itself, while rollback always works",
    "inconclusive": "no data, NaN, an outage: never a pass, and by itself never a failure of green",
    "drain": "the wait after weight 0 before green is taken down",
    "retention": "how long the old version is kept after a success",
    "epoch": "number of the leader that wrote; a lower one is never accepted",
}


def own_version() -> str:
    """The version of this installation."""
    try:
        return installed_version("penstock")
    except PackageNotFoundError:
        return "unknown"


def version(output: hosts.RecordOption = "") -> None:
    """The version."""
    hosts.check_format(output, hosts.RECORD_FORMATS)
    if output:
        hosts.print_object({"version": own_version(), "api": "penstock.dev/v1alpha1"}, output)
    else:
        tell(f"penstock {own_version()} (API penstock.dev/v1alpha1)")


def metrics(
    ctx: typer.Context,
    *,
    once: Annotated[bool, typer.Option("--once", help="Count from the cluster itself, without a running controller.")] = False,
    url: Annotated[str, typer.Option("--url", help="Where a running controller serves them.")] = DEFAULT_URL,
    namespace: hosts.NamespaceOption = "",
    everywhere: hosts.EverywhereOption = False,
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
) -> None:
    """The metrics of a running controller, or (--once) what the cluster itself says."""
    if once:
        from controller.runtime.metrics import metrics_once

        session = hosts.open_session(ctx, namespace, context, kubeconfig, everywhere=everywhere)
        tell(metrics_once(session.kube, [session.namespace]).rstrip())
        return
    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter(f"found {url!r}, expected an address such as {DEFAULT_URL}", param_hint="--url")
    try:
        with urlopen(url, timeout=FETCH_SECONDS) as answer:  # noqa: S310 - the scheme was looked at
            text = answer.read().decode("utf-8", "replace").rstrip()
    except (URLError, OSError, ValueError, HTTPException) as error:
        cause = getattr(error, "reason", None) or error
        why = (getattr(cause, "strerror", None) or str(cause)).lower().rstrip(".")
        sentence = f"No controller's metrics at {url}: {why}. `penstock metrics --once` asks the cluster."
        raise CommandError(ExitCode.UNREACHABLE, sentence) from error
    if "# TYPE " not in text:
        raise CommandError(ExitCode.UNREACHABLE, f"What answers at {url} are no metrics: is another program there, or a login page?")
    tell(text)


def topics(incomplete: str) -> list[str]:
    """What can be explained."""
    from controller.cli.main import COMMANDS

    return complete.words_of(*TOPICS, *COMMANDS)(incomplete)


def help_(
    ctx: typer.Context,
    topic: Annotated[
        str,
        typer.Argument(metavar="[COMMAND|exit-codes|reasons|words]", help="What to explain.", autocompletion=topics),
    ] = "",
) -> None:
    """Help on a command, or on exit-codes, reasons or words."""
    match topic:
        case "exit-codes":
            for code, meaning in MEANINGS.items():
                tell(f"{int(code):>4}  {meaning}")
        case "words":
            _definitions(WORDS)
        case "reasons":
            _reasons()
        case _:
            _command_help(ctx, topic)


def _definitions(words: dict[str, str]) -> None:
    broad = max(map(len, words))
    for word, meaning in words.items():
        tell(f"{word:<{broad}}  {meaning}")


def _reasons() -> None:
    from controller.core.reasons import REASONS

    for word, reason in REASONS.items():
        tell(f"{word} ({reason.severity})\n    {reason.say('…')}\n    What to do: {reason.next_step}")


def _command_help(ctx: typer.Context, topic: str) -> None:
    parent = ctx.parent
    if parent is None or not topic:
        tell(parent.get_help() if parent is not None else ctx.get_help())
        return
    command = parent.command.get_command(parent, topic)  # type: ignore[attr-defined]
    if command is None:
        sentence = f"there is no command or topic {topic!r}; topics are exit-codes, reasons and words"
        raise typer.BadParameter(sentence, param_hint="TOPIC")
    with type(ctx)(command, info_name=topic, parent=parent) as inner:
        tell(command.get_help(inner))
