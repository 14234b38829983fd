"""Answers of Prometheus as short lines of JSON: every sample is written once, although several looks see it.

A query that looks back sees most of the samples of the look before again. So a series is written as how many of its
known samples to leave out at the front, and the new ones. Most series of an answer agree in this and in the times of the
new samples, which then stand beside the answer once:

    "d": left out, "t": [time, time], "s": [[series, value, value], [[series, left out], time, value, ...], ...]

Times and values are the floats themselves, never rounded: a decision that is made again must see the very same numbers.
"""

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from analysis.model import Labels, Sample, Series
from controller.core.asking import PAST
from controller.core.world import Measurement
from controller.ports import Answer, AnswerFault, ProbeResult

Line = dict[str, Any]
"""One line of evidence: JSON without NaN and infinities."""


def number(value: float) -> float | str:
    """A float for JSON, which knows neither NaN nor infinities."""
    return value if math.isfinite(value) else repr(float(value))


class _Known(NamedTuple):
    """The samples of a series as they were written last, as bare numbers: a thousand releases remember them."""

    times: "array[float]"
    values: "array[float]"


_NOTHING = _Known(array("d"), array("d"))


@dataclass(frozen=True, slots=True)
class _Turn:
    """How a series' times go on from those before; most series of an answer have both in common.

    Attributes:
        before: the known times.
        listed, times: those of the answer.
        gone: how many known ones are left out at the front; all where the rest is not what the answer begins with.
        kept: how many of the answer's are known.
        fresh: the others.
    """

    before: "array[float]"
    listed: list[float]
    times: "array[float]"
    gone: int
    kept: int
    fresh: "array[float]"

    def of(self, before: "array[float]", listed: list[float]) -> "_Turn":
        """The turn of these times: this one where they are the same."""
        if listed != self.listed:
            return _turn(before, listed, array("d", listed))
        return self if before is self.before else _turn(before, listed, self.times)


def _turn(before: "array[float]", listed: list[float], times: "array[float]") -> _Turn:
    position = bisect_left(before, listed[0]) if listed else len(before)
    rest = len(before) - position
    if before[position:] != times[:rest]:
        position, rest = len(before), 0
    return _Turn(before, listed, times, position, rest, times[rest:])


Fresh = tuple[int, int, _Known]
"""A series, how many of its known samples are left out at the front, and its new ones."""


def short(series: int, gone: int, new: _Known, usual: int, times: "array[float]") -> list[Any]:
    """A series as it stands in its answer: in short where it agrees with the answer's first one."""
    values = list(map(number, new.values))
    if gone == usual and (new.times is times or new.times == times):
        return [series, *values]
    return [[series, gone], *(part for pair in zip(new.times, values, strict=True) for part in pair)]


@dataclass(slots=True)
class Writer:
    """Writes the answers of one segment, in order.

    What was named is known by its hash, as it would be ten times as large: two of a thousand names are taken for one
    another once in 10^13 segments, and the record would then differ from what is decided again.

    Attributes:
        fresh: lines that define names, to be written before the answer that uses them.
    """

    fresh: list[Line] = field(default_factory=list)
    _labels: dict[int, int] = field(default_factory=dict)
    _queries: dict[int, int] = field(default_factory=dict)
    _seen: dict[tuple[str, int], _Known] = field(default_factory=dict)
    _counts: dict[tuple[str, int], int] = field(default_factory=dict)
    _turn: _Turn = field(default_factory=lambda: _turn(_NOTHING.times, [], _NOTHING.times))

    def answer(self, key: str, measurement: Measurement) -> Line:
        """One measurement; unset fields are left out."""
        answer = measurement.answer
        line: Line = {}
        if measurement.query:
            line["q"] = self._query(measurement.query)
        if measurement.probe is not None:
            line["p"] = [measurement.probe.ok, measurement.probe.message, measurement.probe.seconds]
        for name, value in (("r", answer.result_type), ("f", answer.fault), ("m", answer.message), ("w", list(answer.warnings))):
            if value:
                line[name] = value
        if answer.server_time is not None:
            line["c"] = answer.server_time
        if answer.series:
            every = [self._series(key, series) for series in answer.series]
            _, gone, new = every[0]
            line |= {"d": gone, "t": new.times.tolist(), "s": [short(*one, gone, new.times) for one in every]}
        return line

    def _series(self, key: str, series: Series) -> "Fresh":
        name = hash(series.labels)
        number_ = self._labels.get(name)
        if number_ is None:
            number_ = self._labels[name] = len(self._labels)
            self.fresh.append({"k": "series", "id": number_, "labels": dict(series.labels)})
        if key.startswith(PAST):
            return self._once((key, number_), series)
        before = self._seen.get((key, number_), _NOTHING)
        turn = self._turn = self._turn.of(before.times, [sample.time for sample in series.samples])
        values = array("d", [sample.value for sample in series.samples])
        self._seen[key, number_] = _Known(turn.times, values)
        if before.values[turn.gone :] == values[: turn.kept]:
            return number_, turn.gone, _Known(turn.fresh, values[turn.kept :])
        return number_, len(before.times), _Known(turn.times, values)

    def _once(self, place: tuple[str, int], series: Series) -> "Fresh":
        """A series that hardly any other look sees again: of its samples, many thousand for each release, only the number is remembered."""
        known, times = self._counts.get(place, 0), array("d", [sample.time for sample in series.samples])
        self._counts[place] = len(times)
        return place[1], known, _Known(times, array("d", [sample.value for sample in series.samples]))

    def _query(self, query: str) -> int:
        name = hash(query)
        known = self._queries.get(name)
        if known is None:
            known = self._queries[name] = len(self._queries)
            self.fresh.append({"k": "query", "id": known, "text": query})
        return known


@dataclass(slots=True)
class Reader:
    """Reads back what a `Writer` wrote, in the same order. Raises `KeyError`, `TypeError` and `ValueError` for other lines."""

    _labels: dict[int, Labels] = field(default_factory=dict)
    _queries: dict[int, str] = field(default_factory=dict)
    _seen: dict[tuple[str, int], tuple[Sample, ...]] = field(default_factory=dict)

    def define(self, line: Mapping[str, Any]) -> None:
        """A line of the kind `series` or `query`."""
        if line["k"] == "series":
            self._labels[line["id"]] = tuple(sorted((str(name), str(value)) for name, value in line["labels"].items()))
        else:
            self._queries[line["id"]] = str(line["text"])

    def answer(self, key: str, line: Mapping[str, Any]) -> Measurement:
        """One measurement."""
        probe = ProbeResult(bool(line["p"][0]), str(line["p"][1]), float(line["p"][2])) if "p" in line else None
        answer = Answer(
            series=tuple(self._series(key, one, line["d"], line["t"]) for one in line.get("s", ())),
            result_type=str(line.get("r", "")),
            fault=AnswerFault(line["f"]) if "f" in line else None,
            message=str(line.get("m", "")),
            warnings=tuple(map(str, line.get("w", ()))),
            server_time=float(line["c"]) if "c" in line else None,
        )
        return Measurement(answer, probe, self._queries[line["q"]] if "q" in line else "")

    def _series(self, key: str, line: Sequence[Any], usual: int, times: Sequence[float]) -> Series:
        if isinstance(line[0], list):
            (number_, gone), new = line[0], pairs(line[1:])
        else:
            number_, gone, new = line[0], usual, zip(times, line[1:], strict=True)
        kept = self._seen.get((key, number_), ())[int(gone) :]
        samples = (*kept, *(Sample(float(time), float(value)) for time, value in new))
        self._seen[key, number_] = samples
        return Series(self._labels[number_], samples)


def pairs(flat: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    """Times with their values. Raises `ValueError` where one is left over."""
    return zip(flat[::2], flat[1::2], strict=True)
