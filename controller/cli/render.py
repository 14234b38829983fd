"""The live view as lines of text: phase and traffic, stages, checks, what happens next, the one command. Pure.

Every state is said by a glyph, a word and a colour, so that none of the three is needed to understand it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from controller.cli.view import FINAL, CheckView, Mark, ReleaseView, StageView
from controller.cli.words import span
from controller.core.words import many, visible

GLYPHS = {Mark.GOOD: "✔", Mark.BAD: "✖", Mark.WAIT: "‖", Mark.RUN: "▶", Mark.REST: "·"}
COLOURS = {Mark.GOOD: "32", Mark.BAD: "31", Mark.WAIT: "33", Mark.RUN: "36", Mark.REST: "2"}
BOLD, DIM = "1", "2"
NARROWEST = 20
PHASE_AND_TRAFFIC = 3
"""Lines that the view begins with: which release, its phase, who has how much."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a line in one style (an SGR number; "" is plain)."""

    text: str
    style: str = ""


def marked(mark: Mark, word: str, width: int = 0) -> Part:
    """Glyph and word in the mark's colour."""
    return Part(f"{GLYPHS[mark]} {word:<{width}}", COLOURS[mark])


def painted(parts: Iterable[Part], width: int, *, colour: bool) -> str:
    """The parts as one line of at most `width` columns; what does not fit ends in an ellipsis."""
    out, room = [], width
    fitting = [Part(visible(part.text), part.style) for part in parts]
    total = sum(len(part.text) for part in fitting)
    for part in fitting:
        shown = part.text if total <= width or len(part.text) < room else part.text[: max(0, room - 1)] + "…"
        room -= len(shown)
        out.append(f"\x1b[{part.style}m{shown}\x1b[0m" if colour and part.style and shown else shown)
        if shown != part.text:
            break
    return "".join(out).rstrip() if not colour else "".join(out)


def wrapped(head: Part, words: str, width: int, style: str = "") -> list[list[Part]]:
    """Words behind a head, broken between words, further lines indented as deep as the head."""
    indent, lines, line = len(head.text), [], ""
    for word in visible(words).split():
        if line and indent + len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    lines.append(line)
    return [[head if i == 0 else Part(" " * indent), Part(line, style)] for i, line in enumerate(lines)]


def render(view: ReleaseView, width: int, now: float, *, colour: bool = False) -> list[str]:
    """The whole view.

    Args:
        view: the release.
        width: columns.
        now: Unix seconds, for "since".
        colour: with ANSI colours.
    """
    width = max(NARROWEST, width)
    above, foot = _sections(view, width, now)
    return [painted(parts, width, colour=colour) for parts in (*above, *foot)]


def fitted(view: ReleaseView, width: int, height: int, now: float, *, colour: bool = False) -> list[str]:
    """The view on a screen of so many lines: phase and traffic stay, and the command that stops it; how much is cut from between is said.

    What happens next goes only where it would take the place of these.
    """
    width = max(NARROWEST, width)
    above, foot = _sections(view, width, now)
    if len(above) + len(foot) > height:
        above, foot = [line for line in above if line[0].text], foot[1:]
        if len(foot) > height - PHASE_AND_TRAFFIC - 1:
            rest = _command(view, width)
            above, foot = [*above, *foot[: len(foot) - len(rest)]], rest
        room = height - len(foot)
        if len(above) > room:
            kept = max(0, room - 1)
            above = [*above[:kept], [Part(f"  … {many(len(above) - kept, 'more line')} on a taller screen", DIM)]]
    return [painted(parts, width, colour=colour) for parts in (*above, *foot)][-height:]


def _sections(view: ReleaseView, width: int, now: float) -> tuple[list[list[Part]], list[list[Part]]]:
    """What is so, and below it what happens next and what a person can do."""
    return [*_head(view, width, now), *_stages(view.stages), *_checks(view, width)], _foot(view, width)


def _head(view: ReleaseView, width: int, now: float) -> list[list[Part]]:
    where = f"{view.namespace}/{view.name}"
    since = f"  for {span(now - view.since)}" if view.since else ""
    if view.finished:
        since = f"  after {span(view.finished - view.created)}" if view.created else ""
    by = f"  by {view.actor}" if view.actor else ""
    bar = _bar(100 if view.home else view.weight, min(50, width - 34))
    traffic = f" {view.share}"
    aside = [f"{view.seen} % on the routes"] if view.seen != view.weight else []
    aside += [f"at most {view.most} %"] if view.most > view.weight and not view.home else []
    return [
        [Part(where, BOLD), Part(f"  plan {view.plan}  revision {view.revision}{by}", DIM)],
        [marked(view.mark, view.phase), Part(since, DIM), Part("  being deleted" if view.deleting else "", COLOURS[Mark.WAIT])],
        [*bar, Part(traffic, BOLD), Part(f"  ({', '.join(aside)})" if aside else "", DIM)],
        *wrapped(Part("  "), view.sentence, width),
        *(line for note in view.notes for line in wrapped(Part("! ", COLOURS[Mark.WAIT]), note, width)),
    ]


def _bar(weight: int, size: int) -> list[Part]:
    size = max(5, size)
    filled = max(1 if weight > 0 else 0, round(size * min(100, max(0, weight)) / 100))
    return [Part("  "), Part("█" * filled, "32"), Part("░" * (size - filled), "34")]


def _stages(stages: tuple[StageView, ...]) -> list[list[Part]]:
    if not stages:
        return []
    titles = ["home " if stage.home else f"{stage.weight:>3} %" for stage in stages]
    rows = [
        [Part(f"  {title}  "), marked(stage.mark, stage.word, 9), Part(f"  {stage.detail}", DIM)]
        for title, stage in zip(titles, stages, strict=True)
    ]
    return [[Part("")], [Part("Stages", BOLD)], *rows]


def _checks(view: ReleaseView, width: int) -> list[list[Part]]:
    if not view.checks:
        return []
    broad = max(len(check.name) for check in view.checks)
    lines = [[Part("")], [Part("Checks", BOLD), Part("  (> the tightest; * watched all the time)", DIM)]]
    for check in view.checks:
        lines += _check(check, broad, width, tightest=check.name == view.tightest)
    return lines


def _check(check: CheckView, broad: int, width: int, *, tightest: bool) -> list[list[Part]]:
    name = f"{'>' if tightest else ' '} {check.name}{'*' if check.trigger else ''}".ljust(broad + 3)
    head = [Part(name, BOLD if tightest else ""), Part(" "), marked(check.mark, check.word, 9), Part("  ")]
    indent = sum(len(part.text) for part in head)
    if indent + len(check.words) <= width:
        return [[*head, Part(check.words)]]
    return [head[:-1], *wrapped(Part("    "), check.words, width)]


def _foot(view: ReleaseView, width: int) -> list[list[Part]]:
    lines = [[Part("")], *wrapped(Part("Next  ", BOLD), view.next, width)]
    if view.can:
        lines += wrapped(Part("Can   ", BOLD), view.can, width)
    return [*lines, *_command(view, width)]


def _command(view: ReleaseView, width: int) -> list[list[Part]]:
    if not view.command:
        return []
    word = "Try   " if view.phase in FINAL else "Stop  "
    return wrapped(Part(word, BOLD), f"{view.command}   ({view.command_does})", width)


def line_of(view: ReleaseView, now: float) -> str:
    """One change as one plain line: time since the start, phase, green's percent, the sentence."""
    total = max(0, round((view.finished or view.updated or now) - view.created)) if view.created else 0
    at = f"{total // 3600:02d}:{total % 3600 // 60:02d}:{total % 60:02d}"
    return f"{at}  {GLYPHS[view.mark]} {view.phase:<12} {' home' if view.home else f'{view.weight:>3} %'}  {view.sentence}"
