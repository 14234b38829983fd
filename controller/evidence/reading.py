"""Segments read back: lines into looks, in the order in which they were taken.

The bytes may be damaged or somebody else's: everything that is not as a journal writes it is an `UnreadableError` that
names the line.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from controller.api.plan import PlanSpec
from controller.api.release import ReleaseStatus
from controller.api.scale import divided
from controller.core.commands import Subject
from controller.core.world import Measured, Observed
from controller.evidence import worlds
from controller.evidence.journal import FORMAT
from controller.evidence.samples import Line, Reader
from controller.evidence.worlds import UnreadableError

MOST_BYTES = 64_000_000
"""A segment is closed at a hundred kilobytes: more is not ours, or a bomb."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look of the record.

    Attributes:
        epoch, number: who took it (a leader), and its place among that leader's looks.
        since: when that leader began to keep the release's record; a number counts from there.
        left: looks just before this one that were left out for want of room.
        divisor: what that leader divided the plan's durations by.
        build: what added its numbers up (`worlds.BUILD`); "" where an older version kept it.
        subject: without the status that it found.
        found: the whole status where the line has it; None where it follows from the look before.
        read: the status was read anew: it need not follow from the look before.
        measured: None where the answers were left out; older versions kept one value a question then, in `values`.
        out: the decision, for comparison; None where the look only waited.
        thinned: its raw samples are counts by now.
    """

    epoch: int
    number: int
    at: float
    subject: Subject
    observed: Observed
    found: ReleaseStatus | None
    read: bool
    measured: Measured | None
    values: Mapping[str, Any] = field(default_factory=dict)
    out: Mapping[str, Any] | None = None
    refused: tuple[int, str] | None = None
    divisor: float = 1.0
    build: str = ""
    since: float = 0.0
    left: int = 0
    thinned: bool = False


@dataclass(slots=True)
class _Reading:
    """What the lines so far have said."""

    plans: Mapping[str, PlanSpec]
    epoch: int = 0
    since: float = 0.0
    left: int = 0
    divisor: float = 1.0
    build: str = ""
    answers: Reader = field(default_factory=Reader)
    parts: dict[int, Any] = field(default_factory=dict)
    subject: Subject | None = None
    observed: Observed | None = None
    plan: PlanSpec | None = None
    version: str = ""
    recorded: ReleaseStatus | None = None

    def look(self, line: Mapping[str, Any]) -> Look:
        if "subject" in line:
            self.subject = worlds.read_subject(self.parts[line["subject"]])
        if "world" in line:
            self.observed = worlds.read_observed(self.parts[line["world"]])
        if "plan" in line:
            self.plan = self._plan(line["plan"])
        self.version = str(line.get("rv", self.version))
        if self.subject is None or self.observed is None:
            raise UnreadableError("a look without its release or its world")
        found = self._found(line)
        measured = None
        if "v" not in line:
            measured = Measured({str(key): self.answers.answer(str(key), one) for key, one in line.get("a", {}).items()})
        refused = line.get("refused")
        left, self.left = self.left + int(line.get("left", 0)), 0
        out = line.get("out")
        if out is not None and found is not None:
            self.recorded = worlds.with_changes(found, out.get("status") or {})
        return Look(
            epoch=self.epoch, number=int(line["n"]), at=float(line["at"]),
            subject=replace(self.subject, plan=self.plan, resource_version=self.version),
            observed=self.observed, found=found, read=bool(line.get("read")), measured=measured, values=line.get("v", {}), out=out,
            refused=(int(refused[0]), str(refused[1])) if refused else None, divisor=self.divisor, since=self.since, left=left,
            thinned=bool(line.get("thin")), build=self.build,
        )  # fmt: skip

    def _found(self, line: Mapping[str, Any]) -> ReleaseStatus | None:
        if "status" in line:
            self.recorded = worlds.read_status(line["status"])
        elif "in" in line or "same" in line:
            if self.recorded is None:
                raise UnreadableError("a status that differs from one that is not there")
            self.recorded = worlds.with_changes(self.recorded, line.get("in", {}))
        else:
            return None
        return self.recorded

    def _plan(self, place: int | str | None) -> PlanSpec | None:
        if place is None:
            return None
        if isinstance(place, int):
            return worlds.read_plan(self.parts[place])
        if place not in self.plans:
            raise UnreadableError(f"the frozen plan {place} is missing")
        return divided(self.plans[place], self.divisor)


def lines_of(body: bytes) -> list[Line]:
    """The lines of a compressed segment. Raises `UnreadableError`."""
    text, rest = b"", body
    while rest:
        unpack = zlib.decompressobj()
        try:
            text += unpack.decompress(rest, MOST_BYTES - len(text) + 1)
        except zlib.error as error:
            raise UnreadableError(f"the segment is damaged ({error})") from error
        if len(text) > MOST_BYTES:
            raise UnreadableError(f"the segment has more than {MOST_BYTES // 1_000_000} MB")
        if not unpack.eof:
            raise UnreadableError("the segment is cut off")
        rest = unpack.unused_data
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            found.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise UnreadableError(f"line {number} of the segment is no JSON") from error
    return found


def looks_of(lines: Iterable[Line], plans: Mapping[str, PlanSpec]) -> Iterator[Look]:
    """The looks of one segment. Raises `UnreadableError`.

    Args:
        lines: of one segment.
        plans: frozen plans by hash, undivided.
    """
    reading = _Reading(plans)
    for number, line in enumerate(lines, start=1):
        try:
            match line["k"]:
                case "segment":
                    check_format(line["format"])
                    reading.epoch, reading.divisor = int(line["epoch"]), float(line["divisor"])
                    reading.since, reading.left = float(line["since"]), int(line.get("left", 0))
                    reading.build = str(line.get("build", ""))
                case "series" | "query":
                    reading.answers.define(line)
                case "look":
                    yield reading.look(line)
                case _:
                    reading.parts[int(line["id"])] = line["is"]
        except UnreadableError as error:
            raise UnreadableError(f"line {number} of the segment: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnreadableError(f"line {number} of the segment is not one of ours ({type(error).__name__}: {error})") from error


def check_format(found: Any) -> None:
    """Raises `UnreadableError` where the lines are of a newer version."""
    if not isinstance(found, int) or found < 1:
        raise UnreadableError(f"found format {found!r}, expected a number from 1 to {FORMAT}")
    if found > FORMAT:
        raise UnreadableError(f"found format {found}, this version reads up to {FORMAT}: use a newer Penstock")


def in_order(looks: Iterable[Look]) -> list[Look]:
    """Looks of several segments as they were taken, each once: what was perhaps not stored was stored again with the next part."""
    unique = {(look.epoch, look.since, look.number): look for look in looks}
    return [unique[key] for key in sorted(unique)]
