"""What `penstock replay` prints."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from controller.cli.words import clock, record, rows, span, text
from controller.core.words import many
from controller.times import rfc3339

if TYPE_CHECKING:
    from controller.cli.replay_policy import Stand, WhatIf
    from controller.evidence.replay import Difference, Step, Tally

LONGEST = 300
"""Letters of a value in a sentence."""


def same_sentence(name: str, found: "Tally", phase: str) -> str:
    """How much was decided again, and whether it came out the same; `phase` is the Release's."""
    notes = [missing] if (missing := found.end_missing(phase)) else []
    if found.gaps:
        notes.append(f"the record goes on {many(found.gaps, 'time')} from what was read anew (another leader, or a conflict)")
    if found.counts:
        notes.append(f"{found.counts:,} of them from counts, because raw samples were thinned")
    if found.thinned:
        notes.append(f"{many(found.thinned, 'look')} left out for want of room and not decided again")
    extra = f"; {'; '.join(notes)}" if notes else ""
    end = "DIFFERENT from the record" if found.difference else "all as recorded"
    return f"{name}: {many(found.looks, 'look')} decided again, {found.decisions} of them decisions: {end}{extra}."


def short(value: Any) -> str:
    """A value as JSON, cut."""
    whole = orjson.dumps(value, default=str).decode()
    return whole if len(whole) <= LONGEST else f"{whole[:LONGEST]}..."


def difference_sentence(found: "Difference") -> Iterator[str]:
    """The first thing that came out otherwise."""
    yield f"  look {found.number}, {rfc3339(found.at)}: {found.place.value} differs in {found.path or 'everything'}"
    yield f"  recorded: {short(found.recorded)}"
    yield f"  now:      {short(found.now)}"


def replayed_json(found: "Tally", phase: str) -> dict[str, Any]:
    """For machines; `phase` is the Release's."""
    other = found.difference
    return {
        "same": other is None, "looks": found.looks, "decisions": found.decisions, "gaps": found.gaps,
        "counts": found.counts, "thinned": found.thinned, "endMissing": bool(found.end_missing(phase)),
        "difference": None if other is None else {
            "look": other.number, "at": rfc3339(other.at), "what": other.place.name.lower(), "field": other.path,
            "recorded": other.recorded, "now": other.now,
        },
    }  # fmt: skip


def step_lines(number: int, step: "Step") -> Iterator[str]:
    """One decision for people: where it stood, what was decided, on what."""
    out = record(step.look.out)
    after = record(out.get("status"))
    before = step.subject.status
    phase = text(after.get("phase")) or before.phase.value
    weight = after.get("weight", before.weight)
    arrow = f"{before.phase.value} -> {phase}" if phase != before.phase.value else phase
    yield f"{number}. {rfc3339(step.look.at)}  {arrow}, {weight} % green, at most {after.get('grant', before.grant)} %"
    if after.get("message"):
        yield f"     {after['message']}"
    for one in rows(out.get("records")):
        yield f"     record   {one['kind']}: {one['message']}"
    for command in out.get("commands", ()):
        yield f"     command  {command[0]} {' '.join(short(value) for value in command[1:])}".rstrip()[:LONGEST]
    answers = step.look.measured.answers if step.look.measured else {}
    if answers:
        yield f"     asked    {', '.join(sorted(answers))}"
    if step.look.refused:
        yield f"     refused  {step.look.refused[1]}"
    if step.difference is not None:
        yield from (f"     DIFFERENT {line.strip()}" for line in difference_sentence(step.difference))


# Another policy.


def ending(stand: "Stand") -> str:
    """Where a release stands, in short."""
    return f"{stand.phase.value} at {stand.weight} %" if not stand.back else f"back to blue from {stand.weight} %"


def compared(name: str, what: str, found: "WhatIf") -> Iterator[str]:
    """The comparison for people."""
    yield f"{name}, with {what}"
    yield f"  recorded  {clock(found.end.at)}  {ending(found.end)}: {found.end.message}"
    if not found.parted and found.unknown:
        yield "  so        no other weight, as far as the record has answers"
    elif not found.parted:
        yield "  so        the same weights at the same times, to the end of the record"
    else:
        yield f"  so        {clock(found.other.at)}  {ending(found.other)}: {found.other.message}"
        yield f"            the record has there: {ending(found.recorded)}: {found.recorded.message}"
        yield f"  {verdict(found)}"
    for line in notes(found):
        yield f"  note      {line}"


def verdict(found: "WhatIf") -> str:
    """What it would have meant for the users."""
    if found.other.back and not found.recorded.back:
        sooner = f"{span(max(0.0, found.end.at - found.other.at))} {'sooner' if found.end.back else 'before the record ends'}"
        hurt = found.saved
        spared = f"; {many(hurt.requests, 'request')} of green less, {hurt.failed:,.0f} of which failed" if hurt else ""
        return f"users     back on blue {sooner}{spared}"
    if found.recorded.back and not found.other.back:
        much = found.rate
        more = f"; in the minute before, green had {many(much.requests, 'request')}, {much.failed:,.0f} of which failed" if much else ""
        return f"users     not back on blue then; the record ends there: for how long more were hurt nobody has seen{more}"
    return (
        f"users     at most {found.other.grant} % on green from there on, instead of {found.recorded.grant} %; for this policy the record "
        "ends there: what green would have done was never seen"
    )


def notes(found: "WhatIf") -> Iterator[str]:
    """What a reader must know before trusting the comparison."""
    if found.held is not None:
        yield f"it would have held at {clock(found.held.at)}: {found.held.message}"
    if found.unknown:
        yield f"not in the record, so without an answer from {clock(found.unknown_at)} on: {', '.join(found.unknown[:8])}"
    if found.anew:
        times = "once" if found.anew == 1 else f"{found.anew} times"
        yield f"the record goes on {times} from what was stored (a controller took over, or somebody else wrote): there both policies do"
    if found.counts:
        looks = many(found.counts, "look")
        yield f"of {looks} the record has counts of requests instead of raw samples: latency is judged as it was asked then"
    if found.thinned:
        yield f"{many(found.thinned, 'look')} without samples passed over"


def compared_json(found: "WhatIf") -> dict[str, Any]:
    """For machines."""

    def of(stand: "Stand | None") -> dict[str, Any] | None:
        if stand is None:
            return None
        return {"at": rfc3339(stand.at), "phase": stand.phase.value, "weight": stand.weight, "back": stand.back, "message": stand.message}

    return {
        "parted": found.parted, "recordEnd": of(found.end), "recordedThere": of(found.recorded), "with": of(found.other),
        "held": of(found.held),
        "spared": {"requests": found.saved.requests, "failed": found.saved.failed} if found.saved else None,
        "aMinuteMore": {"requests": found.rate.requests, "failed": found.rate.failed} if found.rate else None,
        "beyondTheRecord": found.unsure, "anew": found.anew, "notInTheRecord": list(found.unknown), "counts": found.counts,
        "thinned": found.thinned,
    }  # fmt: skip


Row = tuple[str, ...]


def row_of(file: str, name: str, other: "WhatIf | None", found: "Tally | None", error: str, *, phase: str) -> Row:
    """One bundle in the table; `phase` is its Release's."""
    if error:
        return (file, "", "cannot be read", "", "", error)
    if found is not None:
        whole = "as recorded" if not found.end_missing(phase) else "as recorded, but its end is missing"
        same = whole if found.difference is None else f"DIFFERENT at look {found.difference.number}: {found.difference.path}"
        return (file, name, many(found.looks, "look"), many(found.decisions, "decision"), "", same)
    if other is None:
        return (file, name, "", "", "", "no looks")
    later = round(other.other.at - other.end.at)
    when = f"{'-' if later < 0 else ''}{span(abs(later))}" if later else ""
    spared = f"{other.saved.failed:,.0f} of {other.saved.requests:,.0f} less" if other.saved and other.saved.requests else ""
    if other.rate is not None:
        spared = f"{other.rate.failed:,.0f} of {other.rate.requests:,.0f} more a minute"
    same = "the same" if not other.unknown else "the same, as far as known"
    result = ending(other.other) if other.parted else same
    return (file, name, ending(other.end), result, when if other.parted else "", spared)


def table(every: Sequence[Row], *, asked: bool) -> Iterator[str]:
    """All bundles, aligned."""
    head: Row = ("file", "release", "recorded", "with it", "when", "failed requests")
    lines = [head if asked else ("file", "release", "looks", "decisions", "", "result"), *every]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
