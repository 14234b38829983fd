"""Label selectors of Kubernetes objects: does it select these labels, and how is it written in a query. Pure.

Semantics: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from collections.abc import Mapping
from typing import Any

from controller.adapters import marks
from controller.adapters.workloads.places import labels_at, text


def covers(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a map of labels (a Service's selector, a subset) selects these labels; an empty one selects nothing here."""
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def selects(selector: Any, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector (`matchLabels`, `matchExpressions`) selects these labels; an empty one selects everything."""
    wanted = labels_at(selector, "matchLabels")
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_holds(term, labels) for term in marks.items(marks.mapping(selector).get("matchExpressions")))


def _holds(term: Any, labels: Mapping[str, str]) -> bool:
    key, values = text(term, "key"), marks.items(marks.mapping(term).get("values"))
    match text(term, "operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False  # an operator of a newer version: what cannot be read is not taken for a match


def query(selector: Any) -> str:
    """A LabelSelector as the text of a list request."""
    terms = [f"{key}={value}" for key, value in sorted(labels_at(selector, "matchLabels").items())]
    terms += [_written(term) for term in marks.items(marks.mapping(selector).get("matchExpressions"))]
    return ",".join(terms)


def _written(term: Any) -> str:
    key, values = text(term, "key"), ",".join(str(value) for value in marks.items(marks.mapping(term).get("values")))
    match text(term, "operator"):
        case "In":
            return f"{key} in ({values})"
        case "NotIn":
            return f"{key} notin ({values})"
        case "DoesNotExist":
            return f"!{key}"
        case _:
            return key


def written(labels: Mapping[str, str]) -> str:
    """A map of labels as the text of a list request, and as people read it."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
