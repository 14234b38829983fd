"""Label sets as sorted tuples of pairs: the few operations that PromQL needs.

These run when a query meets new series, never per evaluation.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping

from analysis.model import Labels
from controller.simulator.promql.matchers import Matcher

NAME = "__name__"
BUCKET = "le"

_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def make(pairs: Mapping[str, str]) -> Labels:
    """Sorted labels; empty values are the same as no label and are left out."""
    return tuple(sorted((name, value) for name, value in pairs.items() if value))


def get(labels: Labels, name: str) -> str:
    """A label's value, "" where there is none."""
    for key, value in labels:
        if key == name:
            return value
    return ""


def drop_name(labels: Labels) -> Labels:
    """Without the metric name."""
    return tuple(pair for pair in labels if pair[0] != NAME)


def keep(labels: Labels, names: Collection[str]) -> Labels:
    """Only the named labels."""
    return tuple(pair for pair in labels if pair[0] in names)


def drop(labels: Labels, names: Collection[str]) -> Labels:
    """All but the named labels."""
    return tuple(pair for pair in labels if pair[0] not in names)


def put(labels: Labels, name: str, value: str) -> Labels:
    """With one label set, or removed where the value is empty."""
    return make({**dict(labels), name: value})


def is_name(text: str) -> bool:
    """Whether the text can be a label name."""
    return _LABEL_NAME.fullmatch(text) is not None


def text(labels: Labels) -> str:
    """As Prometheus prints a label set: `{__name__="up", job="a"}`."""
    return "{" + ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels) + "}"


def absent_labels(matchers: Iterable[Matcher]) -> Labels:
    """The labels that `absent` gives: those that the selector fixes by `=`, once each."""
    fixed: dict[str, str] = {}
    for matcher in matchers:
        if matcher.name == NAME:
            continue
        fixed[matcher.name] = matcher.value if matcher.op == "=" and matcher.name not in fixed else ""
    return make(fixed)
