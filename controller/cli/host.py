"""Where a command runs: terminal, environment, time and the way to the API server.

Commands take all of these from here, so that a test runs them against a simulated release in virtual time.
"""

import getpass
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

import typer

from controller.cli import complete
from controller.cli.naming import NamingError, existing, existing_of
from controller.core.words import visible
from controller.ports import Kube


class Connected(Protocol):
    """A way to the API server; `controller.adapters.kube_config.Connection` is one."""

    @property
    def kube(self) -> Kube:
        """The client."""

    @property
    def namespace(self) -> str:
        """Namespace of the context."""

    @property
    def user(self) -> str:
        """Name of the user in the kubeconfig."""


def _connect(kubeconfig: str, context: str) -> Connected:
    from controller.adapters.kube_config import connect

    return connect(kubeconfig, context)


def _out_is_terminal() -> bool:
    return sys.stdout.isatty()


def _asks() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _confirm(question: str) -> bool:
    return typer.confirm(question, err=True)


def terminal_size() -> tuple[int, int]:
    """Columns and lines."""
    size = shutil.get_terminal_size((100, 40))
    return size.columns, size.lines


@dataclass(frozen=True, slots=True)
class Host:
    """The world around one command.

    Attributes:
        connect: kubeconfig and context to a connection; raises `ConfigError`.
        now: Unix seconds.
        sleep: wait, seconds.
        environ: environment variables.
        out_is_terminal: stdout is one; `asks`: a person can be asked.
        confirm: ask; True is yes.
        size: columns and lines of the terminal.
    """

    connect: Callable[[str, str], Connected] = _connect
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    out_is_terminal: bool = field(default_factory=_out_is_terminal)
    asks: bool = field(default_factory=_asks)
    confirm: Callable[[str], bool] = _confirm
    size: Callable[[], tuple[int, int]] = terminal_size

    @property
    def drawable(self) -> bool:
        """Whether stdout is a terminal on which a view can be drawn again in its place."""
        return self.out_is_terminal and self.environ.get("TERM") != "dumb"

    @property
    def colour(self) -> bool:
        """Whether stdout may have colours (https://no-color.org)."""
        return self.drawable and not self.environ.get("NO_COLOR")


@dataclass(frozen=True, slots=True)
class Session:
    """A command that is connected.

    Attributes:
        namespace: the one that is meant; "" for all.
        actor: who acts, for records.
    """

    host: Host
    kube: Kube
    namespace: str
    actor: str

    @property
    def now(self) -> float:
        """Unix seconds."""
        return self.host.now()

    @property
    def divisor(self) -> float:
        """What the controller divides the plans' times by: the sandbox says so in $PENSTOCK_TIME_DIVISOR; 1 in production."""
        try:
            return max(1.0, float(self.host.environ.get("PENSTOCK_TIME_DIVISOR", "1")))
        except ValueError:
            return 1.0


def host_of(ctx: typer.Context) -> Host:
    """The host that `main` was given."""
    return ctx.obj if isinstance(ctx.obj, Host) else Host()


def open_session(ctx: typer.Context, namespace: str, context: str, kubeconfig: str, *, everywhere: bool = False) -> Session:
    """Connect. Raises `ConfigError`."""
    host = host_of(ctx)
    connection = host.connect(kubeconfig, context)
    return Session(host, connection.kube, "" if everywhere else namespace or connection.namespace, actor_of(connection, host.environ))


ACTORS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID", "USER", "LOGNAME")


def actor_of(connection: Connected, environ: Mapping[str, str]) -> str:
    """Who acts: the kubeconfig's user, else the person that CI names, else the login name."""
    if connection.user:
        return connection.user[:256]
    named = next((environ[name] for name in ACTORS if environ.get(name)), "")
    if named:
        return named[:256]
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def say(sentence: str) -> None:
    """Talk goes to stderr."""
    typer.echo(visible(sentence), err=True)


def tell(line: str, *, exact: bool = False) -> None:
    """Data goes to stdout, at once; `exact` where control characters are our own colours, or belong to an object."""
    typer.echo(line if exact else visible(line))
    sys.stdout.flush()


def check_name(text: str) -> str:
    """A name that can exist, or a usage error before anything is asked."""
    return check_name_of(None, text)


def check_release(text: str) -> str:
    """A release's name, alone or as `-o name` prints it, or a usage error."""
    return check_name_of(None, text, "releases")


def check_plan(text: str) -> str:
    """Likewise a plan's."""
    return check_name_of(None, text, "plans")


def check_name_of(option: str | None, text: str, noun: str = "") -> str:
    """As `check_name`, where the option must be said: None where the library that reads them knows it.

    Args:
        option: what is said to be wrong.
        text: what was given.
        noun: "releases" or "plans" where the kind may stand in front of the name.
    """
    try:
        return existing_of(noun, text) if noun else existing(text)
    except NamingError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _name_or_none(text: str) -> str:
    return check_name(text) if text else text


FORMATS = ("", "table", "wide", "json", "yaml", "name")
OBJECT_FORMATS = ("", "json", "yaml", "name")
RECORD_FORMATS = ("", "json", "yaml")

NamespaceOption = Annotated[
    str, typer.Option("--namespace", "-n", help="Namespace; the context's own if absent.", show_default=False, callback=_name_or_none)
]
EverywhereOption = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")]
ContextOption = Annotated[str, typer.Option("--context", help="Context of the kubeconfig.", show_default=False)]
KubeconfigOption = Annotated[
    str, typer.Option("--kubeconfig", help="Path of the kubeconfig; else $KUBECONFIG, else ~/.kube/config.", show_default=False)
]


def format_option(told: str, *formats: str, show_default: bool = False) -> Any:
    """The option `-o`, which says its formats and completes them."""
    return typer.Option("--output", "-o", help=told, show_default=show_default, autocompletion=complete.words_of(*formats))


OutputOption = Annotated[str, format_option("table, wide, json, yaml or name.", *FORMATS)]
ObjectOption = Annotated[str, format_option("json, yaml or name.", *OBJECT_FORMATS)]
RecordOption = Annotated[str, format_option("json or yaml.", *RECORD_FORMATS)]
ReleaseArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the release.", autocompletion=complete.releases, callback=check_release)
]
PlanArgument = Annotated[
    str, typer.Argument(metavar="PLAN", help="Name of the ReleasePlan.", autocompletion=complete.plans, callback=check_plan)
]


def check_format(output: str, allowed: tuple[str, ...] = FORMATS) -> str:
    """The format, or a usage error that names those there are."""
    if output not in allowed:
        raise typer.BadParameter(f"found {output!r}, expected one of {', '.join(o for o in allowed if o)}", param_hint="-o")
    return output


def plain(obj: Any) -> Any:
    """The object without the server's bookkeeping, for people to read."""
    meta = obj.get("metadata") or {}
    return {**obj, "metadata": {key: value for key, value in meta.items() if key != "managedFields"}}


def print_object(obj: Any, output: str) -> None:
    """One object as json, yaml or name."""
    if output == "json":
        import orjson

        tell(orjson.dumps(obj, option=orjson.OPT_INDENT_2).decode())
    elif output == "yaml":
        import yaml

        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        tell(yaml.dump(obj, Dumper=dumper, sort_keys=False, allow_unicode=True, width=120).rstrip(), exact=True)
    else:
        group = str(obj.get("apiVersion", "")).partition("/")[0]
        tell(f"{str(obj.get('kind', '')).lower()}.{group}/{obj['metadata']['name']}")
