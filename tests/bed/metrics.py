"""Counters, gauges and histograms in Prometheus's two formats, exact and repeatable: fractions are carried, never drawn."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from tests.bed import protobuf

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

Labels = tuple[tuple[str, str], ...]
INFINITE = float("inf")
GOLDEN = (5**0.5 - 1) / 2


def labels_of(labels: Mapping[str, str]) -> Labels:
    """Sort labels into the form that names a series."""
    return tuple(sorted(labels.items()))


class Apportion:
    """Gives whole requests to parts by their shares without chance.

    Request n falls at n times the golden ratio, modulo 1: the most even of all such sequences, so that every part is within
    two or three of its due after any number of requests, and an equal sequence of calls gives equal answers.
    """

    def __init__(self) -> None:
        self._number = 0

    def split(self, count: int, shares: Mapping[str, float]) -> dict[str, int]:
        """Give `count` requests out; shares are relative and may change from call to call; parts without any are left out."""
        parts = [part for part, share in shares.items() if share > 0]
        if len(parts) <= 1:
            return dict.fromkeys(parts, count) if count else {}
        edges = list(accumulate(shares[part] for part in parts))
        given = [0] * len(parts)
        for number in range(self._number, self._number + count):
            given[min(bisect_right(edges, number * GOLDEN % 1.0 * edges[-1]), len(parts) - 1)] += 1
        self._number += count
        return {part: number for part, number in zip(parts, given, strict=True) if number}


@dataclass(slots=True)
class Histogram:
    """One histogram series; `bounds` are ascending upper bounds without +Inf, `values` how often each value was observed."""

    bounds: Sequence[float]
    values: Counter[float] = field(default_factory=Counter)

    def observe(self, value: float, times: int = 1) -> None:
        """Count `value` so many times."""
        self.values[value] += times

    @property
    def total(self) -> float:
        """The sum of all values."""
        return sum(value * times for value, times in self.values.items())

    @property
    def cumulative(self) -> list[tuple[float, int]]:
        """Every bound, +Inf the last one, with the number of values at or below it."""
        counts = [0] * (len(self.bounds) + 1)
        for value, times in self.values.items():
            counts[bisect_left(self.bounds, value)] += times
        return list(zip((*self.bounds, INFINITE), accumulate(counts), strict=True))


class Registry:
    """All series of one exporter. A series is there from its first value on, as in Envoy. Not thread-safe."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Labels, float]] = {}
        self._types: dict[str, str] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = {}

    def add(self, name: str, labels: Labels, amount: float) -> None:
        """Raise a counter."""
        series = self._values.setdefault(name, {})
        self._types.setdefault(name, "counter")
        series[labels] = series.get(labels, 0.0) + amount

    def set(self, name: str, labels: Labels, value: float) -> None:
        """Set a gauge; NaN and infinities are served as they are."""
        self._values.setdefault(name, {})[labels] = value
        self._types.setdefault(name, "gauge")

    def observe(self, name: str, labels: Labels, bounds: Sequence[float], value: float, times: int) -> None:
        """Count `value` so many times in a histogram."""
        series = self._histograms.setdefault(name, {})
        if labels not in series:
            series[labels] = Histogram(bounds)
        series[labels].observe(value, times)

    def forget(self, **labels: str) -> int:
        """Drop every series that carries these labels (counters then restart from zero); return how many."""
        wanted = set(labels.items())
        families: list[dict[Labels, Any]] = [*self._values.values(), *self._histograms.values()]
        dropped = 0
        for family in families:
            for key in [key for key in family if wanted <= set(key)]:
                del family[key]
                dropped += 1
        return dropped

    def value(self, name: str, **labels: str) -> float:
        """Sum the values of all series of a counter or gauge that carry these labels."""
        wanted = set(labels.items())
        return sum(value for key, value in self._values.get(name, {}).items() if wanted <= set(key))

    def text(self) -> str:
        """Write everything in the text exposition format 0.0.4."""
        lines: list[str] = []
        for name, series in self._values.items():
            lines.append(f"# TYPE {name} {self._types[name]}")
            lines += [f"{name}{_braces(labels)} {_number(value)}" for labels, value in series.items()]
        for name, histograms in self._histograms.items():
            lines.append(f"# TYPE {name} histogram")
            for labels, histogram in histograms.items():
                lines += _histogram_lines(name, labels, histogram)
        return "\n".join(lines) + "\n"

    def delimited(self, kinds: Callable[[Labels], Collection[str]]) -> bytes:
        """Write everything in protobuf; `kinds` says of a histogram whether its buckets are `classic`, `native` or both."""
        page = [
            protobuf.family(name, self._types[name], (protobuf.number(self._types[name], *one) for one in series.items()))
            for name, series in self._values.items()
        ]
        page += [
            protobuf.family(name, "histogram", (_message(*one, kinds(one[0])) for one in histograms.items()))
            for name, histograms in self._histograms.items()
        ]
        return b"".join(page)


def _histogram_lines(name: str, labels: Labels, histogram: Histogram) -> Iterable[str]:
    cumulative = histogram.cumulative
    for bound, count in cumulative:
        yield f"{name}_bucket{_braces((*labels, ('le', _number(bound))))} {count}"
    yield f"{name}_sum{_braces(labels)} {_number(histogram.total)}"
    yield f"{name}_count{_braces(labels)} {cumulative[-1][1]}"


def _message(labels: Labels, histogram: Histogram, kinds: Collection[str]) -> bytes:
    buckets = (protobuf.classic(histogram.cumulative) if "classic" in kinds else b"") + (
        protobuf.native(histogram.values) if "native" in kinds else b""
    )
    return protobuf.histogram(labels, sum(histogram.values.values()), histogram.total, buckets)


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
