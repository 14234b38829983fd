"""What Prometheus 3 answers otherwise than 2.42 does, and where our evaluator does not follow it."""

import json
from pathlib import Path

ANSWERS = Path(__file__).parent / "answers-3.json"
"""The version, and its answers to those queries of the list that 2.42 answers otherwise."""

NOT_FOLLOWED = {
    "a dot in a pattern matches a line break, too": [r'awkward{path=~"a\\.b.*"}', 'awkward{path=~"line.break"}'],
    "atan2 drops the metric's name": ["queue_length atan2 2", "twin_a atan2 twin_b"],
    "an error names other duplicates": [
        "http_requests_total / on(namespace) http_requests_total",
        "memory_usage_bytes * on(pod) group_left up",
        "sum by (namespace) (http_requests_total) + on(namespace) http_requests_total",
    ],
    "a deviation of one infinity or NaN is NaN, not 0": ['stdvar(temperature{room="nan"})', "stddev by (room) (temperature)"],
    "other ones of equal elements come first": ["topk(2, up)", "sort(temperature)", "sort_desc(temperature)"],
    "other words about a NaN": ["topk(NaN, up)", 'topk(scalar(queue_length{queue="print"}), http_requests_total)'],
    "every text is a label's name": [
        'count_values("not-a-name", up)',
        'label_replace(up, "bad-name", "x", "job", ".*")',
        'label_join(up, "bad-name", "-", "job")',
    ],
}


def not_followed():
    """The queries that an engine which follows Prometheus 3 answers otherwise."""
    return {query for queries in NOT_FOLLOWED.values() for query in queries}


def recorded():
    """Its answers by query."""
    return json.loads(ANSWERS.read_text())["answers"]
