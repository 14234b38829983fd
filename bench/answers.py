"""What the stub Prometheus answers: pure arithmetic over the text of a query, so that a test can look at it.

    error rate of shop-7-green          one number: 0.2 %, or 42 % while shop-7-green is bad
    istio_requests_total{...}[60s]      raw samples of a counter that grows by 5 requests a second

Queries are told by their text alone; nothing is evaluated.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

_WORKLOADS = re.compile(r'destination_workload=~?"([^"]+)"')
_RANGE = re.compile(r"\[(\d+)(ms|s)\]\s*\Z")

GOOD_PERCENT, BAD_PERCENT = 0.2, 42.0
PER_SECOND = 5.0
SCRAPE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `subject` is the workload it is about, "" where there is none; `data` is the `data` of the query API."""

    subject: str
    data: dict[str, object]
    bad: bool = False


def workloads_of(query: str) -> tuple[str, ...]:
    """The workloads that a query names in its first selector; the test bed's names need no unescaping."""
    found = _WORKLOADS.search(query)
    return tuple(found[1].split("|")) if found else ()


def reply(query: str, at: float, bad: Collection[str]) -> Reply:
    """The answer to a query at a time (Unix seconds), while these workloads are bad."""
    workloads = workloads_of(query)
    subject = workloads[0] if len(workloads) == 1 else ""
    raw = _RANGE.search(query)
    if raw is not None:
        seconds = float(raw[1]) / (1000 if raw[2] == "ms" else 1)
        series = [{"metric": _labels(name), "values": counter(at - seconds, at)} for name in workloads]
        return Reply(subject, {"resultType": "matrix", "result": series})
    is_bad = subject in bad
    value = BAD_PERCENT if is_bad else GOOD_PERCENT
    return Reply(subject, {"resultType": "vector", "result": [{"metric": {}, "value": [at, str(value)]}]}, is_bad)


def counter(start: float, end: float) -> list[list[object]]:
    """The scrapes within `(start, end]`, as pairs of time and text: a counter that began with the Unix epoch."""
    first = int(start // SCRAPE_SECONDS) + 1
    times = [number * SCRAPE_SECONDS for number in range(first, int(end // SCRAPE_SECONDS) + 1)]
    return [[time, str(time * PER_SECOND)] for time in times]


def _labels(workload: str) -> dict[str, str]:
    return {
        "__name__": "istio_requests_total",
        "reporter": "source",
        "destination_workload": workload,
        "destination_workload_namespace": "fleet",
        "response_code": "200",
        "pod": f"{workload}-0",
    }
