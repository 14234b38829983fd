"""Replay: every look of a record is decided again by the core, from what the record says it knew.

    look -> decide(subject, observed, measured, now) -> compare with the decision that was recorded
                 ^                                            |
                 +------- status as *we* came to it <---------+

Between two steps the record has only what was measured. The status goes on from look to look as the core makes it, and the
next step's recorded status shows whether it became the same: windows, streaks and sequential evidence are judged again so.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import orjson

from controller.api.release import Phase, ReleaseStatus
from controller.core.commands import Decision, Subject
from controller.core.decide import concluded, concluded_refusal
from controller.core.phases import FINAL
from controller.core.steps import World
from controller.core.world import Measured
from controller.evidence import worlds
from controller.evidence.reading import Look


class Place(StrEnum):
    """Where a replay and its record may part."""

    RECORD = "the record"
    STATUS = "the status that it found"
    DECISION = "the decision"


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that came out otherwise.

    Attributes:
        number: of the look, from 1.
        path: the field.
        recorded, now: its value in the record, and as it came out.
    """

    number: int
    at: float
    place: Place
    path: str
    recorded: Any
    now: Any


@dataclass(frozen=True, slots=True)
class Step:
    """One look, decided again.

    Attributes:
        subject: with the status that the look found.
        decision: as it came out now; None where the samples of the look were left out.
        difference: from the record; None where there is none, or nothing to compare.
    """

    number: int
    look: Look
    subject: Subject
    decision: Decision | None
    difference: Difference | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How much was decided again.

    Attributes:
        looks: all; `decisions` are those that did more than wait.
        counts: looks that were decided again from counts instead of raw samples.
        thinned: looks without any samples, so that they were not decided again.
        gaps: places where the record does not go on from the look before: another leader, or a conflict.
        last: the phase after the last look; None without any.
    """

    looks: int = 0
    decisions: int = 0
    counts: int = 0
    thinned: int = 0
    gaps: int = 0
    difference: Difference | None = None
    last: Phase | None = None

    def end_missing(self, phase: str) -> str:
        """A clause where a Release came to an end that is not in its record; "" where it is, and before the end: that may be on its way."""
        if self.last is None or phase == self.last.value or phase not in _ENDS:
            return ""
        return f"the record ends in {self.last.value}, the Release in {phase}: how it came to that is not in the record"


_ENDS = {phase.value for phase in FINAL}


def replay(looks: Iterable[Look]) -> Iterator[Step]:
    """Every look decided again, in order; it goes on after a difference, from the record."""
    status: ReleaseStatus | None = None
    shown: ReleaseStatus | None = None
    before: Look | None = None
    near = 0.0
    for number, look in enumerate(looks, start=1):
        found = look.found or status
        near = near if look.build == worlds.BUILD else worlds.NEAR
        difference = _missing(number, look, before) or _found_otherwise(number, look, status, near)
        near = worlds.NEAR if look.thinned else near  # counts were added up in another order than raw samples are
        before, shown = look, found or shown
        if shown is None:
            continue  # the record begins with a look that was thinned: the next status that is written down goes on
        subject = worlds.with_status(look.subject, shown)
        if look.measured is None or found is None:
            status = None
            yield Step(number, look, subject, None, difference)
            continue
        decision = decided(look, subject)
        if look.out is not None and difference is None:
            difference = _decided_otherwise(number, look, found, decision, near)
        status = shown = decision.status
        yield Step(number, look, subject, decision, difference)


def tally(steps: Iterable[Step]) -> Tally:
    """All steps counted, with the first difference."""
    count = Tally()
    for step in steps:
        count = replace(
            count,
            looks=count.looks + 1,
            decisions=count.decisions + (step.look.out is not None),
            counts=count.counts + step.look.thinned,
            thinned=count.thinned + (step.decision is None) + step.look.left,
            gaps=count.gaps + (step.look.read and step.number > 1),
            difference=count.difference or step.difference,
            last=(step.decision.status if step.decision is not None else step.subject.status).phase,
        )
    return count


def decided(look: Look, subject: Subject) -> Decision:
    """What the core decides in this look about a release that stands and is planned like this."""
    world = World(subject, look.observed, look.at, look.measured or Measured())
    return concluded(world, look.epoch) if look.refused is None else concluded_refusal(world, *look.refused, look.epoch)


def _missing(number: int, look: Look, before: Look | None) -> Difference | None:
    """Looks that are not in the record, although nothing says that they were left out."""
    goes_on = before is not None and (before.epoch, before.since) == (look.epoch, look.since)
    expected = before.number + 1 if before is not None and goes_on else 0
    if look.number - look.left == expected:
        return None
    return Difference(number, look.at, Place.RECORD, "number of the look", look.number, expected + look.left)


def _found_otherwise(number: int, look: Look, status: ReleaseStatus | None, near: float) -> Difference | None:
    """The status that the look found, against what we came to; nothing to compare where it was read anew."""
    if look.found is None or status is None or look.read:
        return None
    recorded, mine = orjson.loads(worlds.status_json(look.found)), orjson.loads(worlds.status_json(status))
    found = worlds.first_difference(recorded, mine, near=near)
    return Difference(number, look.at, Place.STATUS, *found) if found else None


def _decided_otherwise(number: int, look: Look, found: ReleaseStatus, decision: Decision, near: float) -> Difference | None:
    mine = orjson.loads(orjson.dumps(worlds.decision_line(found, decision), default=str))
    other = worlds.first_difference(look.out, mine, near=near)
    return Difference(number, look.at, Place.DECISION, *other) if other else None
