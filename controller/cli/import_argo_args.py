"""The arguments of Argo's analyses: their values, and which of our parameters a value stands for where it stands in a query.

One name may be that of a namespace, a workload and a Service at once; the label in whose value it stands says which is meant.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.cli.import_common import Data, part
from controller.cli.import_queries import QueryError, literal

_OWN_NAMESPACE = "$namespace"
_VARIABLE = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_METADATA = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
_TEMPLATED = ("interval", "initialDelay", "count", "failureLimit", "successCondition", "failureCondition")
"""Fields of a metric, beside its query, in which arguments are written."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a Rollout calls its things.

    Attributes:
        metadata: its own.
        workload: the Deployment that moves.
        service: of the canary; of the stable version where there is none.
        stable: the stable version's Service.
    """

    metadata: Data
    workload: str
    service: str
    stable: str

    @property
    def namespace(self) -> str:
        """Its namespace; "" where the file names none."""
        return str(self.metadata.get("namespace") or "")


def values_of(declared: list[dict[str, Any]], given: Mapping[str, Data], words: Words) -> dict[str, str]:
    """By `args.name`, its text; nothing for what only Argo knows (pod hashes, secrets)."""
    values = {}
    for one in declared:
        name = str(one.get("name"))
        source = given.get(name, one)
        value = _value(source if source.get("value") is not None or source.get("valueFrom") else one, words)
        if value is not None:
            values[f"args.{name}"] = value
    return values


def _value(source: Data, words: Words) -> str | None:
    path = str(part(source, "valueFrom", "fieldRef").get("fieldPath") or "")
    if path == "metadata.namespace":
        return words.namespace or _OWN_NAMESPACE
    if path == "metadata.name":
        return str(words.metadata.get("name") or "")
    if found := _METADATA.fullmatch(path):
        value = part(words.metadata, found[1]).get(found[2])
        return None if value is None else str(value)
    return None if source.get("value") is None else str(source["value"])


def in_query(name: str, value: str, label: str, words: Words) -> str:
    """What stands in a query for an argument in the value of a label ("" elsewhere). Raises `QueryError` where it is not to be told."""
    own_namespace = re.escape(words.namespace) or "[a-z0-9-]+"
    # Without a namespace the file goes wherever it is applied, so that any namespace may be its own.
    if re.fullmatch(rf"{re.escape(words.service)}\.{own_namespace}(\.svc(\.cluster\.local)?)?", value):
        return "$host"
    otherwise = _OWN_NAMESPACE if value in (_OWN_NAMESPACE, words.namespace or _OWN_NAMESPACE) else literal(value)
    if "namespace" in label or label == "ns":
        return otherwise
    meant = {"$service": value == words.service, "$workload": value == words.workload}
    found = [parameter for parameter, is_it in meant.items() if is_it]
    if not found:
        return otherwise
    if not label and (len(found) > 1 or value == words.namespace):
        raise QueryError(f"{name} is {value!r}, the name of several things, and where it stands says not which")
    return found[0] if "service" in label else found[-1]


def resolved(metric: Data, values: Mapping[str, str]) -> Data:
    """The metric with the arguments in its own fields filled in, its query left alone. Raises `QueryError`."""

    def found(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise QueryError(f"the variable {match[0]} has no counterpart")
        return values[match[1]]

    texts = {field: metric[field] for field in _TEMPLATED if isinstance(metric.get(field), str)}
    return {**metric, **{field: _VARIABLE.sub(found, text) for field, text in texts.items()}}
