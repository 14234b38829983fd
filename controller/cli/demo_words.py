"""What the demo says: before, between and after its acts. Pure, but for how the command is typed on this machine."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from controller.cli.sandbox_world import penstock
from controller.cli.words import number, record, rows, span, text

OPENING = "A release of several services through the production controller, twice, in a simulated cluster on this machine."
WIDTH = 100


def folded(sentence: str, width: int) -> str:
    """A sentence in lines of the terminal."""
    return "\n".join(wrap(sentence, min(width, WIDTH)))


def heading(act: int, acts: int, about: str, speed: float) -> str:
    """The title of an act, and how fast it is told."""
    pace = f"Times are divided by {speed:g}: 15 minutes last {span(900 / speed)}, with as many requests in them."
    return f"[{act}/{acts}] {about} {pace}"


def outcome_of(release: Mapping[str, Any], speed: float) -> str:
    """How a release ended: the verdict, the most traffic, and how long it took to notice and to put everybody back."""
    status, name = record(release.get("status")), text(record(release.get("metadata")).get("name"))
    ended = f"{name} {text(status.get('phase'))}: {text(status.get('message'))}"
    back = record(status.get("rollback"))
    if not back:
        return ended
    most, decided, moved = (number(back.get(key)) for key in ("maxWeight", "decidedAt", "trafficAt"))
    given = max((number(stage.get("shiftedAt")) for stage in rows(status.get("stages"))), default=decided)
    detect, recover = max(0.0, decided - given), max(0.0, moved - decided)
    return (
        f"{ended} From the moment at which green got {most:g} %: decided after {detect:.2f} s ({span(detect * speed)} of the plan's time), "
        f"everybody back on blue {recover * 1000:.0f} ms later (not divided: a write takes what it takes)."
    )


def shown(path: Path) -> str:
    """The path as it is typed from here."""
    with contextlib.suppress(ValueError):
        path = path.resolve().relative_to(Path.cwd())
    return str(path)


def next_commands(example: Path) -> list[str]:
    """Three commands to try, as they are typed from here."""
    command = penstock()
    return [
        f"{command} plan {shown(example / 'plan.yaml')}",
        f"{command} simulate {shown(example)} --scenario fails-at-25",
        f"{command} sandbox --example {example.name} --speed 60",
    ]


def closing(outcomes: Sequence[str], folders: Sequence[Path], example: Path, took: float, width: int = WIDTH) -> str:
    """What happened, where the records lie, and what to try next; commands are never folded, so that they can be copied."""
    explained = ("the timetable and every query of the plan", "the same failure offline, in virtual time", "the same cluster, to play with")
    tries = [line for command, why in zip(next_commands(example), explained, strict=True) for line in (f"  {command}", f"      {why}")]
    told = [
        line
        for index, outcome in enumerate(outcomes, 1)
        for line in wrap(f"{index}. {outcome}", min(width, WIDTH), initial_indent="  ", subsequent_indent="     ")
    ]
    return "\n".join([
        "",
        f"What happened, in {took:.0f} s:",
        *told,
        "",
        folded("The records (release, every decision with its numbers, plan, routes, workloads, the controller's log):", width),
        *(f"  {shown(folder)}/" for folder in folders),
        "",
        "Try next:",
        *tries,
    ])  # fmt: skip
