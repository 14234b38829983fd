"""Making a segment smaller without losing a decision: the raw samples of looks that only waited become one value a question.

A step keeps everything. What a thinned look made of its answers follows from the next status that is written down.
"""

import math
import zlib
from collections.abc import Iterable

import orjson

from controller.core.world import Measurement
from controller.evidence.journal import Segment
from controller.evidence.reading import lines_of
from controller.evidence.samples import Line, Reader, Writer

SMALL = 9
"""Level of the compression: this is done seldom, and because there is no room."""


def thinned(segment: Segment) -> Segment:
    """The segment with values instead of samples where a look only waited."""
    lines = _rewritten(lines_of(segment.body))
    return Segment(_packed(lines), segment.looks, thinned=True)


def steps_only(segment: Segment) -> Segment:
    """The segment with one empty look for each run of looks that only waited."""
    kept: list[Line] = []
    for line in lines_of(segment.body):
        if line["k"] == "look" and line.keys() <= WAITED:
            left = int(line.get("left", 0))
            if kept and kept[-1]["k"] == "look" and kept[-1].keys() <= WAITED:
                left += 1 + int(kept.pop().get("left", 0))
            kept.append({"k": "look", "n": line["n"], "at": line["at"], "v": {}, **({"left": left} if left else {})})
        else:
            kept.append(line)
    return Segment(_packed(kept), segment.looks, thinned=True)


WAITED = frozenset({"k", "n", "at", "v", "left"})
"""What the line of a thinned look has that only waited, and found nothing new."""


def has_steps(segment: Segment) -> bool:
    """Whether there is a decision in it."""
    return any("out" in line for line in lines_of(segment.body))


def after_lost(lost: Segment, segment: Segment) -> Segment:
    """The segment that follows one that is left out, with the number of looks that are missing before it."""
    before, after = lines_of(lost.body), lines_of(segment.body)
    missing = int(before[0].get("left", 0)) + lost.looks
    return Segment(_packed([{**after[0], "left": missing}, *after[1:]]), segment.looks, thinned=True)


def _packed(lines: Iterable[Line]) -> bytes:
    return zlib.compress(b"\n".join(map(orjson.dumps, lines)) + b"\n", SMALL)


def _rewritten(lines: Iterable[Line]) -> list[Line]:
    reader, writer = Reader(), Writer()
    kept: list[Line] = []
    for line in lines:
        if line["k"] in ("series", "query"):
            reader.define(line)
            continue
        if line["k"] != "look" or "a" not in line:
            kept.append(line)
            continue
        found = {key: reader.answer(key, one) for key, one in line["a"].items()}
        rest = {name: value for name, value in line.items() if name != "a"}
        if "out" not in line:
            kept.append({**rest, "v": {key: value_of(one) for key, one in found.items()}})
            continue
        answers = {key: writer.answer(key, one) for key, one in found.items()}
        kept += writer.fresh
        writer.fresh.clear()
        kept.append({**rest, "a": answers})
    return kept


def value_of(measurement: Measurement) -> float | str | None:
    """One value: the newest sample of the only series, or the sum of the newest of several counters; else what came instead."""
    answer = measurement.answer
    if measurement.probe is not None:
        return "passed" if measurement.probe.ok else "failed"
    if answer.fault is not None:
        return answer.fault.value
    newest = [series.samples[-1].value for series in answer.series if series.samples]
    total = math.fsum(value for value in newest if math.isfinite(value))
    return total if newest and all(map(math.isfinite, newest)) else None
