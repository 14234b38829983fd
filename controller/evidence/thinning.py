"""Making a segment smaller without losing a decision.

    whole -> counts   raw samples of looks that only waited become counts a scrape, by version and target: of the requests and of
                      those that failed, of the histogram the edges that are tested. Every verdict follows from them as before.
    counts -> steps   looks that only waited are left out. Every decision stands, and is decided again from what it found.

A step keeps everything. What a look that is left out made of its answers follows from the next status that is written down.
"""

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise

import orjson

from analysis import counters
from analysis.latency import contradicts
from analysis.model import Labels, Sample, Series
from analysis.usable import MOST_COUNT
from controller.core.asking import TRAFFIC, ticks_key
from controller.core.queries import is_failed
from controller.core.world import Measurement
from controller.evidence.journal import Kept, Segment
from controller.evidence.reading import lines_of
from controller.evidence.samples import Line, Reader, Writer

SMALL = 9
"""Level of the compression: this is done seldom, and because there is no room."""

MERGED = frozenset({"istio_requests_total", "istio_request_duration_milliseconds_bucket"})
"""Metrics of which is known what tells two series apart for a decision; others stay as they are."""

APART = (
    counters.TARGET_LABELS | counters.REPLICA_LABELS
    | {"__name__", "le", "reporter", "destination_service", "destination_workload", "destination_workload_namespace", "destination_cluster"}
)  # fmt: skip
"""Labels that tell versions and targets apart; what else a series of Istio says (who called, which code) is summed up."""

WAITED = frozenset({"k", "n", "at", "v", "left"})
"""What the line of a look that is left out has, where it found nothing new beside its answers."""


def counted(segment: Segment) -> Segment:
    """The segment with counts instead of raw samples where a look only waited."""
    reader, writer = Reader(), Writer()
    kept: list[Line] = []
    tested: dict[str, frozenset[float]] = {}
    for line in lines_of(segment.body):
        tested |= _tested(line)
        if line["k"] in ("series", "query"):
            reader.define(line)
            continue
        if "a" in line:
            found = {key: reader.answer(key, one) for key, one in line["a"].items()}
            if "out" not in line:
                found = {key: _merged(key, one, tested) for key, one in found.items()}
                line["thin"] = True
            line["a"] = {key: writer.answer(key, one) for key, one in found.items()}
            kept += writer.fresh
            writer.fresh.clear()
        kept.append(line)
    return _smaller(segment, kept, Kept.COUNTS)


def steps_only(segment: Segment) -> Segment:
    """The segment with one empty look for each run of looks that only waited."""
    reader, writer = Reader(), Writer()
    kept: list[Line] = []
    for line in lines_of(segment.body):
        if line["k"] in ("series", "query"):
            reader.define(line)
        elif line["k"] == "look" and "out" not in line:
            for key, one in line.pop("a", {}).items():
                reader.answer(key, one)
            _leave_out(kept, line)
        else:
            if "a" in line:
                line["a"] = {key: writer.answer(key, reader.answer(key, one)) for key, one in line["a"].items()}
                kept += writer.fresh
                writer.fresh.clear()
            kept.append(line)
    return _smaller(segment, kept, Kept.STEPS)


def _smaller(segment: Segment, lines: Iterable[Line], level: Kept) -> Segment:
    """The segment with these lines; with its own where they save nothing, which is not tried again."""
    body = _packed(lines)
    return replace(segment, body=min(body, segment.body, key=len), kept=level)


def _leave_out(kept: list[Line], line: Line) -> None:
    """Take a look without its answers: together with the one before, where neither says more than that it was."""
    bare = {name: value for name, value in line.items() if name != "thin"} | {"v": {}}
    if kept and all(one["k"] == "look" and one.keys() <= WAITED for one in (kept[-1], bare)):
        bare["left"] = int(bare.get("left", 0)) + 1 + int(kept.pop().get("left", 0))
    kept.append(bare)


LEVELS = ((Kept.COUNTS, counted), (Kept.STEPS, steps_only))
"""How segments become smaller, one after the other: all of them to counts before any of them loses a look."""


def after_lost(lost: Segment, segment: Segment) -> Segment:
    """The segment that follows one that is left out, with the number of looks that are missing before it."""
    before, after = lines_of(lost.body), lines_of(segment.body)
    missing = int(before[0].get("left", 0)) + lost.looks
    return replace(segment, body=_packed([{**after[0], "left": missing}, *after[1:]]), kept=max(segment.kept, Kept.COUNTS))


def _packed(lines: Iterable[Line]) -> bytes:
    return zlib.compress(b"\n".join(map(orjson.dumps, lines)) + b"\n", SMALL)


# Counts.


def _tested(line: Line) -> dict[str, frozenset[float]]:
    """The edges that sequential checks had chosen, by the check's key, where a line has a status with them: each line's first number."""
    found: dict[str, frozenset[float]] = {}
    for status in (line.get("status"), line.get("in"), (line.get("out") or {}).get("status")):
        for one in (status or {}).get("sequential", ()):
            edges = _edges(one["state"])
            if edges:
                found[ticks_key(one["name"])] = frozenset([math.inf, *(float(edge) for edge in edges if edge is not None)])
    return found


def _edges(state: str) -> list[float | None]:
    """Of a state that counts; none of a gauge's, or of one that somebody edited: it begins again, and chooses its edges then."""
    try:
        return [packed[0] for packed in orjson.loads(state)["lines"]]
    except (ValueError, KeyError, TypeError, IndexError):
        return []


def _merged(key: str, measurement: Measurement, tested: Mapping[str, frozenset[float]]) -> Measurement:
    """The answer with its raw samples summed up; as it is while the edges of its check are not chosen."""
    answer = measurement.answer
    if answer.result_type != "matrix" or not (key == TRAFFIC or key in tested):
        return measurement
    return replace(measurement, answer=replace(answer, series=merged(answer.series, tested.get(key))))


def _plain(series: Series) -> bool:
    """Whether it is a counter that we know, as Prometheus sends it: samples in order of time, each of them a count."""
    samples = series.samples
    if not samples or dict(series.labels).get("__name__") not in MERGED:
        return False
    return all(0 <= one.value <= MOST_COUNT for one in samples) and all(one.time < after.time for one, after in pairwise(samples))


def merged(every: tuple[Series, ...], edges: frozenset[float] | None = None) -> tuple[Series, ...]:
    """One series for each version, target, and kind of request, that grows as all of its parts together did.

    Args:
        every: raw samples; returned as they are where anything in them is not as counters of Istio are.
        edges: of a histogram, those that are tested; None keeps them all.
    """
    if not all(map(_plain, every)) or contradicts(every):
        return every
    groups: dict[Labels, list[Series]] = {}
    resets: dict[Labels, set[float]] = {}
    for one in every:
        edge = next((float(value) for name, value in one.labels if name == "le"), None)
        if edge is not None and edges is not None and edge not in edges:
            continue
        groups.setdefault(_place(one.labels), []).append(one)
        fallen = {after.time for before, after in pairwise(one.samples) if after.value < before.value}
        resets.setdefault(_family(one.labels), set()).update(fallen)
    return tuple(Series(place, _summed(parts, resets)) for place, parts in groups.items())


def _place(labels: Labels) -> Labels:
    code = ("response_code", "500" if is_failed(dict(labels)) else "200")
    return tuple(sorted([*(pair for pair in labels if pair[0] in APART), code]))


def _family(labels: Labels) -> Labels:
    """Buckets of one histogram are reset together."""
    return tuple(pair for pair in labels if pair[0] != "le")


def _summed(parts: Iterable[Series], resets: Mapping[Labels, set[float]]) -> tuple[Sample, ...]:
    """A part that appears later counts from 0, because its target was scraped before; one that ends stays where it was.

    Where requests are counted and a part began again the sum does, too: a trigger counts nothing of a scrape in which its target began
    again. Buckets go on, because those of one histogram would be taken to begin again together.
    """
    grown: dict[float, float] = {}
    fallen: set[float] = set()
    for one in parts:
        reset = resets[_family(one.labels)]
        first = one.samples[0]
        grown[first.time] = grown.get(first.time, 0.0) + first.value
        for before, after in pairwise(one.samples):
            gained = after.value if after.time in reset else after.value - before.value
            grown[after.time] = grown.get(after.time, 0.0) + gained
            if after.value < before.value and not any(name == "le" for name, _ in one.labels):
                fallen.add(after.time)
    total = 0.0
    samples = []
    for time in sorted(grown):
        total = grown[time] if time in fallen and grown[time] < total else total + grown[time]
        samples.append(Sample(time, total))
    return tuple(samples)
