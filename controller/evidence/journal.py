"""The journal of one release in the controller's memory: one line a look, until the next record takes it into the cluster.

    look -> line -+-> open segment -(full, or due)-> closed segment (compressed) -> part (ConfigMap), with the next record
                  +-- a look that found and changed nothing leaves no line

A *segment* can be read by itself: it names the release, its first look has the whole status. A *step* is a look that did more
than wait; its line has the status it found and the decision, whole. Looks between two steps have only what was measured:
what they made of it follows, and the next step's status shows whether it did.

Nothing here waits for a person: what is in memory is bounded, and the raw samples of the oldest looks between two steps are thinned
to counts before anything else is lost (`controller.evidence.thinning`). Decisions are never thinned.
"""

import zlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import orjson

from controller.api.plan import PlanSpec
from controller.api.release import Phase, ReleaseStatus
from controller.core.commands import Decision, Subject
from controller.core.world import Measured, Observed
from controller.evidence import worlds
from controller.evidence.samples import Line, Writer

FORMAT = 1
"""Version of the lines; a newer one is refused with a sentence, older ones are read for ever."""

SEGMENT_LOOKS = 400
"""A segment that is begun anew names its series and the samples that they look back on once more: rather few and long ones."""

BLOCK_BYTES = 8_000
"""Lines are compressed in blocks of this many letters: what is not is what a release costs in memory."""

MEMORY_BYTES = 400_000
"""Compressed bytes of one journal; a release that waits for days under its triggers stays below it."""

FAST, CLOSE = 1, 6
"""Levels of the compression: of a block, which every look pays for; of a segment, which is closed with a record and is stored."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One look, as it is written down.

    Attributes:
        now: Unix seconds, as the controller saw them.
        step: it did more than wait; `refused` is the HTTP code and the sentence where the decision answers a refused command.
    """

    subject: Subject
    observed: Observed
    measured: Measured
    now: float
    decision: Decision
    step: bool
    refused: tuple[int, str] | None = None


class Kept(IntEnum):
    """What is left of the looks between two steps: everything, what every verdict follows from, or their number."""

    WHOLE = 0
    COUNTS = 1
    STEPS = 2


@dataclass(frozen=True, slots=True)
class Segment:
    """A closed segment.

    Attributes:
        body: its lines, compressed; older versions wrote several blocks one behind the other.
        looks: how many.
        kept: how much of those that only waited.
        steps: whether there is a decision in it.
    """

    body: bytes
    looks: int
    kept: Kept = Kept.WHOLE
    steps: bool = True


@dataclass(slots=True)
class _Open:
    """The segment that is being written: its lines, and what they may refer to.

    A thousand of them may be kept for hours. So the lines are one text, as each by itself keeps the four kilobytes of room in which
    orjson wrote it, and `recorded`, the status that was written down last, is JSON: a quarter of what it takes as objects.
    """

    epoch: int
    text: bytearray = field(default_factory=bytearray)
    writer: Writer = field(default_factory=Writer)
    parts: dict[int, int] = field(default_factory=dict)
    observed: Observed | None = None
    subject: Subject | None = None
    subject_part: int = -1
    plan: PlanSpec | None = None
    place: tuple[str, int] = ("", 0)
    version: str = ""
    recorded: bytes = b""
    looks: int = 0
    steps: bool = False
    blocks: list[bytes] = field(default_factory=list)

    def add(self, line: bytes) -> None:
        self.text += line
        self.text += b"\n"
        if len(self.text) >= BLOCK_BYTES:
            self.pack()

    def pack(self) -> None:
        """Compress the lines so far."""
        self.blocks.append(zlib.compress(self.text, FAST))
        self.text.clear()

    def part(self, kind: str, body: bytes) -> int:
        """The number of a part, written once; known by its hash, as the names of a `Writer`."""
        name = hash(body)
        known = self.parts.get(name)
        if known is None:
            known = self.parts[name] = len(self.parts)
            self.add(b'{"k":"%s","id":%d,"is":%s}' % (kind.encode(), known, body))
        return known

    def closed(self) -> Segment:
        """All lines, compressed as one: blocks by themselves know nothing of each other."""
        text = b"".join([*map(zlib.decompress, self.blocks), self.text])
        return Segment(zlib.compress(text, CLOSE), self.looks, steps=self.steps)


@dataclass(slots=True)
class Journal:
    """What was seen and decided since the last part was stored.

    Attributes:
        closed: segments, oldest first.
        lost: looks between two steps that were left out because there was no room.
    """

    closed: list[Segment] = field(default_factory=list)
    lost: int = 0
    _open: _Open | None = None
    _out: ReleaseStatus | None = None
    _count: int = 0
    _since: float = 0.0

    def note(self, seen: Seen, *, epoch: int, divisor: float) -> None:
        """Write down one look, unless it found and changed nothing."""
        before, after = seen.subject.status, seen.decision.status
        chained = before is self._out or before == self._out
        self._out = after
        if not (seen.step or seen.measured.answers or not chained or after is not before):
            return
        segment = self._segment(epoch, divisor, seen)
        line: dict[str, Any] = {"k": "look", "n": self._count, "at": seen.now}
        self._count += 1
        self._places(segment, seen, line)
        if not segment.recorded or not chained or seen.step:
            self._status(segment, before, line, chained=chained)
            segment.recorded = worlds.status_json(after if seen.step else before)
        if seen.measured.answers:
            line["a"] = {key: segment.writer.answer(key, one) for key, one in seen.measured.answers.items()}
            for name in segment.writer.fresh:
                segment.add(orjson.dumps(name))
            segment.writer.fresh.clear()
        if seen.step:
            line["out"] = worlds.decision_line(before, seen.decision)
            segment.steps = True
        if seen.refused:
            line["refused"] = list(seen.refused)
        segment.add(orjson.dumps(line, default=str))
        segment.looks += 1
        if segment.looks >= SEGMENT_LOOKS:
            self.close()

    def stored(self, status: ReleaseStatus) -> None:
        """The status as it was written: the next look finds this one."""
        self._out = status

    def close(self) -> None:
        """Close the open segment, and make room where there is too much."""
        if self._open is not None and self._open.looks:
            self.closed.append(self._open.closed())
        self._open = None
        while sum(len(segment.body) for segment in self.closed) > MEMORY_BYTES and self._make_room():
            pass

    def segments(self) -> list[Segment]:
        """All that is to be stored, what the open segment has so far included.

        That one goes on until it is stored for certain. Closed at every try, where writes fail for minutes, each would have the whole
        status and all series anew, and all together be soon more than a ConfigMap carries.
        """
        opened = [self._open.closed()] if self._open is not None and self._open.looks else []
        return [*self.closed, *opened]

    def emptied(self) -> None:
        """After everything was stored."""
        self.closed, self._open, self.lost = [], None, 0

    def _make_room(self) -> bool:
        """One step: the oldest whole segment to counts, else to its steps, else one without steps is left out, else the oldest of all.

        The last is for a cluster that has taken no record for hours: the same decision was made again and again, and is in what stays.
        """
        from controller.evidence import thinning  # noqa: PLC0415 - rare, and it needs the reader

        older = list(enumerate(self.closed[:-1]))
        for level, smaller in thinning.LEVELS:
            for position, segment in older:
                if segment.kept < level:
                    self.closed[position] = smaller(segment)
                    return True
        if not older:
            return False
        position, segment = min(older, key=lambda one: one[1].steps)
        self.lost += segment.looks
        self.closed[position : position + 2] = [thinning.after_lost(segment, self.closed[position + 1])]
        return True

    def _segment(self, epoch: int, divisor: float, seen: Seen) -> _Open:
        if self._open is not None and self._open.epoch != epoch:
            self.close()
        if self._open is None:
            self._open = _Open(epoch)
            if not self._count:
                self._since = seen.now
            subject = seen.subject
            head = {
                "k": "segment", "format": FORMAT, "epoch": epoch, "since": self._since, "divisor": divisor, "uid": subject.uid,
                "name": subject.name, "build": worlds.BUILD,
            }  # fmt: skip
            self._open.add(orjson.dumps(head))
        return self._open

    def _places(self, segment: _Open, seen: Seen, line: Line) -> None:
        """What the look refers to, where it is not what the look before referred to."""
        if segment.subject is None or not worlds.same_subject(segment.subject, seen.subject):
            segment.subject = seen.subject
            number = segment.part("subject", worlds.subject_json(seen.subject))
            if number != segment.subject_part:
                segment.subject_part = line["subject"] = number
        if seen.subject.resource_version != segment.version:
            segment.version = line["rv"] = seen.subject.resource_version
        if segment.observed is None or (seen.observed is not segment.observed and seen.observed != segment.observed):
            segment.observed = seen.observed
            line["world"] = segment.part("world", worlds.observed_json(seen.observed))
        place = plan_place(seen.subject)
        if place != segment.place or (not place[0] and seen.subject.plan is not segment.plan):
            segment.place, segment.plan = place, seen.subject.plan
            line["plan"] = self._plan(segment, seen.subject, place[0])

    @staticmethod
    def _plan(segment: _Open, subject: Subject, frozen: str) -> int | str | None:
        if subject.plan is None:
            return None
        return frozen or segment.part("plan", worlds.plan_json(subject.plan))

    @staticmethod
    def _status(segment: _Open, before: ReleaseStatus, line: Line, *, chained: bool) -> None:
        """The status that was found: whole at the beginning of a segment, else what differs from the last one written down."""
        if not segment.recorded:
            line["status"] = orjson.Fragment(worlds.status_json(before))
        else:
            update = worlds.changes_json(worlds.read_status(orjson.loads(segment.recorded)), before)
            if update is not None:
                line["in"] = orjson.Fragment(update)
            else:
                line["same"] = True
        if not chained:
            line["read"] = True


def plan_place(subject: Subject) -> tuple[str, int]:
    """Where the plan of a look lies: the hash of the frozen one, or "" while it may still be edited; and whether there is one."""
    frozen = subject.status.plan_hash if subject.status.phase is not Phase.QUEUED else ""
    return (frozen, 1) if subject.plan is not None else ("", 0)
