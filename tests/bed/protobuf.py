"""Series in Prometheus's protobuf exposition, the only one by which a native histogram is scraped: written by hand, no library needed.

A native histogram of schema 3 has eight buckets to a doubling; bucket i holds what is in `(2^((i-1)/8), 2^(i/8)]`.
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Pairs = Iterable[tuple[str, str]]

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
SCHEMA = 3
ZERO_THRESHOLD = 1e-128
TYPES = {"counter": 0, "gauge": 1, "histogram": 4}
_GAUGE, _COUNTER, _HISTOGRAM = 2, 3, 7


def varint(number: int) -> bytes:
    """An integer of variable length."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def whole(field: int, number: int, *, signed: bool = False) -> bytes:
    """A field with an integer; `signed` ones are written in zigzag."""
    return varint(field << 3) + varint(((number << 1) ^ (number >> 63)) & (2**64 - 1) if signed else number)


def double(field: int, number: float) -> bytes:
    """A field with a float of eight bytes."""
    return varint(field << 3 | 1) + struct.pack("<d", number)


def part(field: int, body: bytes) -> bytes:
    """A field with a text or a message."""
    return varint(field << 3 | 2) + varint(len(body)) + body


def native(values: Mapping[float, int]) -> bytes:
    """The fields of a native histogram over these values and how often each was seen."""
    counts: Counter[int] = Counter()
    for value, times in values.items():
        if value > ZERO_THRESHOLD:
            counts[math.ceil(math.log2(value) * 2**SCHEMA - 1e-12)] += times
    total = sum(values.values())
    body = whole(5, SCHEMA, signed=True) + double(6, ZERO_THRESHOLD) + whole(7, total - sum(counts.values()))
    before: int | None = None
    for index in sorted(counts):
        body += part(12, whole(1, index if before is None else index - before - 1, signed=True) + whole(2, 1))
        before = index
    last = 0
    for index in sorted(counts):
        body += whole(13, counts[index] - last, signed=True)
        last = counts[index]
    return body


def classic(cumulative: Iterable[tuple[float, int]]) -> bytes:
    """The fields of classic buckets: upper bounds, +Inf the last one, and what is at or below each."""
    return b"".join(part(3, whole(1, count) + double(2, bound)) for bound, count in cumulative)


def number(kind: str, labels: Pairs, value: float) -> bytes:
    """A sample of a counter or gauge."""
    return _labels(labels) + part(_COUNTER if kind == "counter" else _GAUGE, double(1, value))


def histogram(labels: Pairs, count: int, total: float, buckets: bytes) -> bytes:
    """A sample of a histogram; `buckets` are the fields of `native`, of `classic`, or of both."""
    return _labels(labels) + part(_HISTOGRAM, whole(1, count) + double(2, total) + buckets)


def family(name: str, kind: str, metrics: Iterable[bytes]) -> bytes:
    """One metric family with its length before it, as a page is made of them."""
    body = part(1, name.encode()) + whole(3, TYPES[kind]) + b"".join(part(4, metric) for metric in metrics)
    return varint(len(body)) + body


def _labels(labels: Pairs) -> bytes:
    return b"".join(part(1, part(1, name.encode()) + part(2, value.encode())) for name, value in labels)
