"""`penstock wait`: one line a change, ends when a state is reached. It never aborts a release.

It reads the one release every second. A loss of the API server is said once and ridden out.
"""

import re
from dataclasses import dataclass
from typing import Annotated

import typer

from controller.cli import complete
from controller.cli import host as hosts
from controller.cli.exits import CommandError, ExitCode
from controller.cli.host import Session, say, tell
from controller.cli.read import INSIST_SECONDS, Follower, insist, plan_in_force, release_of
from controller.cli.render import line_of
from controller.cli.view import FINAL, planned_stages, waits_for_person
from controller.cli.words import record, text, whole
from controller.ports import Obj

POLL_SECONDS = 1.0

GOALS = ("succeeded", "rolledback", "held", "ended")

FORS = "succeeded, rolledback, held, stage=N or ended"


@dataclass(frozen=True, slots=True)
class Goal:
    """A state to wait for; `stage` counts from 1."""

    word: str
    stage: int = 0


def parse_goal(text_: str) -> Goal:
    """The goal, or a usage error."""
    if text_ in GOALS:
        return Goal(text_)
    found = re.fullmatch(r"stage=([1-9][0-9]{0,2})", text_)
    if found is None:
        raise typer.BadParameter(f"found {text_!r}, expected {FORS}", param_hint="--for")
    return Goal("stage", int(found.group(1)))


def parse_timeout(text_: str, option: str = "--timeout") -> float:
    """Seconds of `45m`, or a usage error."""
    from controller.api.base import parse_duration

    try:
        return parse_duration(text_)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def answer(goal: Goal, release: Obj) -> ExitCode | None:
    """The exit code where the wait is over; None where it goes on."""
    status = record(release.get("status"))
    phase = text(status.get("phase"))
    person = waits_for_person(status)
    reached = {
        "succeeded": phase == "Succeeded",
        "rolledback": phase == "RolledBack",
        "held": phase in ("Holding", "Halted"),
        "ended": phase in FINAL or phase == "Halted",
        "stage": phase == "Succeeded" or (whole(status.get("stage"), -1) + 1 >= goal.stage and not status.get("rollback")),
    }[goal.word]
    if reached:
        return ExitCode.REACHED
    if phase in FINAL:
        return ExitCode.REFUSED if phase == "Refused" else ExitCode.NO
    return ExitCode.HELD if person else None


def verdict_sentence(goal: Goal, code: ExitCode, release: Obj) -> str:
    """Why the wait ended with this code."""
    status = record(release.get("status"))
    name = text(record(release.get("metadata")).get("name"))
    phase, message = text(status.get("phase")), text(status.get("message"))
    match code:
        case ExitCode.REACHED:
            where = f"has reached stage {goal.stage}" if goal.word == "stage" else f"is {phase}"
            return f"Release {name} {where}."
        case ExitCode.HELD:
            return f"Release {name} is held for a person: {message}"
        case ExitCode.REFUSED:
            return f"Release {name} was refused before anything was touched: {message}"
        case _:
            wanted = f"stage {goal.stage}" if goal.word == "stage" else goal.word
            return f"Release {name} ended as {phase}, which is not {wanted}: {message}"


def check_reachable(session: Session, release: Obj, goal: Goal) -> None:
    """A stage that the release's plan does not have is a typo: waiting for it would only tell so at the end."""
    if goal.word != "stage":
        return
    name = text(record(release.get("metadata")).get("name"))
    stages = planned_stages(record(release.get("spec")), plan_in_force(session, release), 1.0)
    if stages and goal.stage > len(stages):
        weights = ", ".join(str(weight) for weight, _ in stages)
        count = f"{len(stages)} stage{'s' if len(stages) > 1 else ''} ({weights} %)"
        raise CommandError(ExitCode.USAGE, f"Release {name} has {count}, so it never reaches stage {goal.stage}.")


def follow(session: Session, name: str, goal: Goal, timeout: float, *, beside_data: bool = False) -> tuple[ExitCode, Obj]:
    """Print a line a change until the goal is reached, or cannot be any more, or the time is over; how it ended, and the release then.

    The lines are the data of stdout; with `beside_data`, where stdout has an object for a program, they are talk.
    """
    follower = Follower(session, name)
    end, last, led = session.now + timeout if timeout else float("inf"), None, True
    while True:
        seen = follower.look()
        if seen is not None:
            release, view = seen
            if view.change != last:
                (say if beside_data else tell)(line_of(view, session.now))
                last = view.change
            led = tell_leadership(view.leaderless, led)
            code = answer(goal, release)
            if code is not None:
                say(verdict_sentence(goal, code, release))
                return code, release
        if session.now >= end:
            if follower.lost:
                raise CommandError(ExitCode.UNREACHABLE, f"The API server was out of reach when the time was over; release {name} goes on.")
            raise CommandError(ExitCode.TIMED_OUT, f"Release {name} did not get there in time; it goes on. Nothing was aborted.")
        session.host.sleep(min(POLL_SECONDS, max(0.01, end - session.now)))


def tell_leadership(leaderless: str, led: bool) -> bool:  # noqa: FBT001 - what was told last
    """Say once that nobody can act on it, and once that somebody can again; whether a controller acts."""
    if leaderless and led:
        say(leaderless)
    elif not leaderless and not led:
        say("A controller acts on it again.")
    return not leaderless


def finish(code: ExitCode) -> None:
    """End the command with this code."""
    if code is not ExitCode.REACHED:
        raise typer.Exit(int(code))


def wait(
    ctx: typer.Context,
    name: hosts.ReleaseArgument,
    *,
    until: Annotated[
        str, typer.Option("--for", metavar="STATE", help=f"{FORS}.", autocompletion=complete.words_of(*GOALS, "stage="))
    ] = "succeeded",
    timeout: Annotated[str, typer.Option("--timeout", help="Stop waiting after this time; the release goes on. 0s: never.")] = "45m",
    namespace: hosts.NamespaceOption = "",
    context: hosts.ContextOption = "",
    kubeconfig: hosts.KubeconfigOption = "",
    output: hosts.ObjectOption = "",
) -> None:
    """Wait until a release has reached a state; one line a change. Never aborts it.

    `ended` is any final phase, or Halted, and ends with 0 whichever it is: the last line names it. Where the state asked for cannot be
    reached any more, the exit code says why: 3 it ended otherwise, 4 it is held for a person, 6 it was refused.
    """
    goal, seconds = parse_goal(until), parse_timeout(timeout)
    hosts.check_format(output, hosts.OBJECT_FORMATS)
    session = hosts.open_session(ctx, namespace, context, kubeconfig)
    release = insist(session, min(seconds or INSIST_SECONDS, INSIST_SECONDS), lambda: release_of(session, name))
    check_reachable(session, release, goal)
    code, release = follow(session, name, goal, seconds, beside_data=bool(output))
    if output:
        hosts.print_object(hosts.plain(release), output)
    finish(code)
