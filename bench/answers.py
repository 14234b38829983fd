"""What the stub Prometheus answers: pure arithmetic over the text of a query, so that a test can look at it.

    error rate of shop-7-green          one number: 0.2 %, or 42 % while shop-7-green is bad
    istio_requests_total{...}[60s]      raw samples of a counter that grows by 5 requests a second
    {__name__=~"..._bucket",...}[60s]   the same of a histogram's buckets, of the edges that the query names

Queries are told by their text alone; nothing is evaluated.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

_WORKLOADS = re.compile(r'destination_workload=~?"([^"]+)"')
_NAMESPACE = re.compile(r'destination_workload_namespace=~?"([^"]+)"')
_EDGES = re.compile(r',le=~"([^"]*)"')
_RANGE = re.compile(r"\[(\d+)(ms|s)\]\s*\Z")

GOOD_PERCENT, BAD_PERCENT = 0.2, 42.0
PER_SECOND = 5.0
SCRAPE_SECONDS = 15.0
BELOW = {
    "0.5": 0.0, "1": 0.0, "5": 0.01, "10": 0.05, "25": 0.2, "50": 0.5, "100": 0.8, "250": 0.95, "500": 0.99, "1000": 0.999, "2500": 1.0,
    "5000": 1.0, "10000": 1.0, "30000": 1.0, "60000": 1.0, "300000": 1.0, "600000": 1.0, "1800000": 1.0, "3600000": 1.0, "+Inf": 1.0,
}  # fmt: skip
"""The edges of Istio's histogram of latencies, and what share of the requests is as quick."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `subject` is the workload it is about (of two the last, green), "" where there is none; `data` is the query API's."""

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
    # Buckets are asked for beside the requests: one poll, not two.
    subject = "" if "_bucket" in query or not workloads else workloads[-1]
    raw = _RANGE.search(query)
    if raw is not None:
        seconds = float(raw[1]) / (1000 if raw[2] == "ms" else 1)
        series = [one for name in workloads for one in _raw(query, name, at - seconds, at)]
        return Reply(subject, {"resultType": "matrix", "result": series})
    is_bad = subject in bad
    value = BAD_PERCENT if is_bad else GOOD_PERCENT
    return Reply(subject, {"resultType": "vector", "result": [{"metric": {}, "value": [at, str(value)]}]}, is_bad)


def _raw(query: str, workload: str, start: float, end: float) -> Iterator[dict[str, object]]:
    """The series of a workload: one of requests, or one of each bucket that is asked for."""
    asked_in = _NAMESPACE.search(query)
    labels = _labels(workload, asked_in[1] if asked_in else "")
    if "_bucket" not in query:
        yield {"metric": labels, "values": counter(start, end)}
        return
    asked = _EDGES.search(query)
    for edge, share in BELOW.items():
        if asked is None or re.fullmatch(asked[1], edge):
            named = {"__name__": "istio_request_duration_milliseconds_bucket", "le": edge}
            yield {"metric": {**labels, **named}, "values": counter(start, end, share)}


def counter(start: float, end: float, share: float = 1.0) -> list[list[object]]:
    """The scrapes within `(start, end]`, as pairs of time and text: a counter that began with the Unix epoch."""
    first = int(start // SCRAPE_SECONDS) + 1
    times = [number * SCRAPE_SECONDS for number in range(first, int(end // SCRAPE_SECONDS) + 1)]
    return [[time, str(time * PER_SECOND * share)] for time in times]


def _labels(workload: str, namespace: str) -> dict[str, str]:
    return {
        "__name__": "istio_requests_total",
        "reporter": "source",
        "destination_workload": workload,
        "destination_workload_namespace": namespace,
        "response_code": "200",
        "pod": f"{workload}-0",
    }
