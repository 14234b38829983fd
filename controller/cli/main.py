"""The command `penstock`, also as `kubectl penstock`: a table of commands, each imported only when it is used.

`run` turns every way in which a command can end into an exit code and one sentence; a traceback is shown
to nobody who has not asked for it (PENSTOCK_DEBUG=1).
"""

import contextlib
import errno
import os
import signal
import sys
import tempfile
import traceback
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS: dict[str, tuple[str, str]] = {
    "start": ("start:start", "Start a release of a plan."),
    "wait": ("wait:wait", "Wait until a release has reached a state; one line a change."),
    "get": ("get:get", "Show releases, plans or requests; or one release in detail."),
    "watch": ("watch:watch", "Watch one release live until it has ended."),
    "why": ("why:why", "Why a release stands where it does, with the numbers and the queries."),
    "history": ("history:history", "Every decision of a release, with its evidence."),
    "bundle": ("bundle:bundle", "One file with everything that a release's decisions rested on."),
    "replay": ("replay:replay", "Decide a recorded release again; or with another policy."),
    "report": ("report:report", "One page about a release, for people or for pipelines."),
    "pause": ("steer:pause", "Freeze a release where it is; triggers stay on."),
    "resume": ("steer:resume", "Let a paused, held or halted release go on."),
    "advance": ("steer:advance", "Skip the rest of this stage."),
    "promote": ("steer:promote", "Skip all stages up to 100 %."),
    "rollback": ("steer:rollback", "Put everybody back on the version before, now."),
    "retry": ("again:retry", "Try a rolled back version again, as a new release."),
    "validate": ("validate:validate", "Every error of plan and scenario files, with line numbers."),
    "import": ("import_plan:import_", "A plan made of a Kayenta, Flagger or Argo configuration."),
    "judge": ("judge:judge", "Judge any two sets of series of a past window, as a release is judged."),
    "preflight": ("preflight:preflight", "Blue against itself over its last day: what sequential checks need to know."),
    "plan": ("plan:plan", "The timetable and the queries of a plan, before anything runs."),
    "simulate": ("simulate:simulate", "Run scenarios offline, in virtual time."),
    "controller": ("operate:controller", "Run the controller."),
    "sandbox": ("sandbox:sandbox", "Serve a simulated cluster with a controller to play with."),
    "install": ("install:install", "Print or apply what the cluster needs."),
    "uninstall": ("install:uninstall", "Take everything of ours out of the cluster, safely."),
    "metrics": ("info:metrics", "The controller's own metrics."),
    "version": ("info:version", "The version."),
    "help": ("info:help_", "Help; also on exit-codes, reasons and words."),
}
"""Command to module:function of this package, and its line in the help."""

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What the operating system says where no more can be written."""


def module_of(name: str) -> str:
    """The module of a command."""
    return f"controller.cli.{COMMANDS[name][0].partition(':')[0]}"


class LazyGroup(TyperGroup):
    """Knows all commands by name and imports one when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the base class's signature
        """Names in the order of the table; commands that this installation does not have are left out."""
        return [name for name in COMMANDS if find_spec(module_of(name)) is not None]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - as above
        """The command, or None."""
        if cmd_name not in COMMANDS or find_spec(module_of(cmd_name)) is None:
            return None
        app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        function = getattr(import_module(module_of(cmd_name)), COMMANDS[cmd_name][0].partition(":")[2])
        app.command(cmd_name)(function)
        return typer.main.get_command(app)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The commands with their lines, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Names of commands, without importing any; options as usual."""
        found = super().shell_complete(ctx, incomplete) if incomplete.startswith("-") else []
        if incomplete.startswith("-"):
            return found
        item = import_module(f"{TyperGroup.__mro__[1].__module__.rpartition('.')[0]}.shell_completion").CompletionItem
        return [item(name, help=COMMANDS[name][1]) for name in self.list_commands(ctx) if name.startswith(incomplete)]


app = typer.Typer(
    name="penstock", cls=LazyGroup, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


def _show_version(value: bool) -> None:  # noqa: FBT001 - the signature of a callback
    if value:
        from controller.cli.info import own_version

        typer.echo(f"penstock {own_version()}")
        raise typer.Exit


@app.callback(epilog="`penstock COMMAND --help` explains a command, `penstock help exit-codes` what the shell gets.")
def root(
    *,
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="The version."),
) -> None:
    """Shift traffic to a new version in stages, judge it from Prometheus, put everybody back when it fails."""
    del version


def run(arguments: list[str], host: Any = None, *, program: str = "penstock") -> int:
    """Run one command line; the exit code. Everything that is not a result goes to stderr."""
    usage_error: Any = typer.BadParameter.__base__
    try:
        command = typer.main.get_command(app)
        result = command.main(arguments, prog_name=program, complete_var="_PENSTOCK_COMPLETE", standalone_mode=False, obj=host)
        sys.stdout.flush()  # a full disk shows here at the latest, and not when the interpreter has ended
    except usage_error.__base__ as error:
        error.message = _expected(error)
        error.show()
        return int(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # typer makes a 1 of it, which would be a defect of ours
            return _unread()
        return error.code if isinstance(error.code, int) else 1
    except BrokenPipeError:
        return _unread()
    except OSError as error:
        return _unwritten(error) if error.errno in DISK_FULL else _failed(error)
    except Exception as error:  # noqa: BLE001 - the boundary of one command
        return _failed(error)
    code = result if isinstance(result, int) else 0
    return _interrupted() if code == 130 else code  # noqa: PLR2004 - typer's word for Ctrl-C


def _expected(error: Any) -> str:
    """A usage error without the words of the library that checks options: what was found, and what was expected instead."""
    option, fault = getattr(error, "param", None), error.__cause__
    kind = getattr(getattr(option, "type_descriptor", None), "annotation", None)
    number = "a whole number" if kind is int else "a number" if kind is float else ""
    if option is None or not number or not hasattr(fault, "errors"):
        return str(error.message).removeprefix("Value error, ")
    return f"found {fault.errors()[0]['input']!r}, expected {number}{_range(option.min, option.max)}"


def _range(least: float | None, most: float | None) -> str:
    """What an option's number must lie in, in words."""
    if most is None:
        return "" if least is None else f" of at least {least:,g}"
    return f" of at most {most:,.10g}" if least is None else f" from {least:,g} to {most:,.10g}"


def _interrupted() -> int:
    typer.echo("Interrupted; nothing was aborted, releases go on.", err=True)
    return 130


def _unread() -> int:
    """Nobody reads the output any more (`| head`): no word about it, and not 0, which would say that a wait has reached its goal."""
    _drop_the_rest()
    return 130


def _unwritten(error: OSError) -> int:
    """The disk is full that the output goes to: no defect of ours, and never 0, as somebody believes that they have all of it."""
    _drop_the_rest()
    where = error.filename or "the output"
    with contextlib.suppress(OSError):  # talk goes to the same full disk where both are sent to one file
        typer.echo(f"Penstock could not write {where}: {(error.strerror or 'the disk is full').lower()}.", err=True)
    return 1


def _drop_the_rest() -> None:
    """What is still buffered must not fail once more at the end of the process."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(error: Exception) -> int:
    """A fault that has a sentence, or a defect of ours."""
    from controller.adapters.kube_errors import ConfigError
    from controller.cli.exits import CommandError, explain_fault
    from controller.ports import KubeError

    if os.environ.get("PENSTOCK_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, (KubeError, ConfigError)):
        error = explain_fault(error)
    if isinstance(error, CommandError):
        if error.sentence:
            from controller.core.words import visible

            typer.echo(visible(error.sentence), err=True)
        return int(error.code)
    typer.echo(f"Penstock broke, this is our defect ({type(error).__name__}); the details were written to {_kept(error)}.", err=True)
    return 1


def _kept(error: Exception) -> str:
    """Where the traceback lies now."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="penstock-defect-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return "nowhere (no temporary folder); PENSTOCK_DEBUG=1 shows them"
    return file.name


def main() -> None:
    """Run the command line of this process and end it.

    SIGTERM, as from `timeout` or a pipeline, ends a command as Ctrl-C does: no helper goes on without us, and no file is left half.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    program = "kubectl penstock" if Path(sys.argv[0]).name.startswith("kubectl-") else "penstock"
    sys.exit(run(sys.argv[1:], program=program))


if __name__ == "__main__":
    main()
