"""Label and field selectors: a text is compiled once into a test of an object.

Grammar of label selectors: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, joined by commas.
Field selectors know only `=`, `==` and `!=`, and only fields that the server indexes.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from controller.ports import Obj
from controller.simulator.apiserver.errors import ApiError

Test = Callable[[Obj], bool]
_TERM = re.compile(
    r"""\s*(?:
        (?P<absent>!)\s*(?P<absent_key>[\w./-]+)
      | (?P<set_key>[\w./-]+)\s+(?P<set_op>in|notin)\s*\((?P<values>[^)]*)\)
      | (?P<key>[\w./-]+)\s*(?:(?P<op>==|=|!=)\s*(?P<value>[\w./-]*))?
    )\s*(?:,|$)""",
    re.VERBOSE,
)
FIELDS: frozenset[str] = frozenset({"metadata.name", "metadata.namespace"})
EVENT_FIELDS: frozenset[str] = frozenset(
    f"involvedObject.{name}" for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
) | {"reason", "reportingComponent", "source", "type"}
POD_FIELDS: frozenset[str] = frozenset({"spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "status.phase", "status.podIP"})


@lru_cache(maxsize=1024)
def label_test(selector: str) -> Test | None:
    """The test of a label selector; None where it selects everything. 400 where it cannot be read."""
    if not selector.strip():
        return None
    terms: list[Callable[[Obj], bool]] = []
    at = 0
    while at < len(selector):
        match = _TERM.match(selector, at)
        if match is None:
            raise ApiError(400, f"unable to parse requirement: {selector[at:]!r} of the label selector {selector!r}")
        terms.append(_label_term(match))
        at = match.end()
        if at == len(selector) and match[0].endswith(","):
            raise ApiError(400, f"unable to parse requirement: the label selector {selector!r} ends in a comma")
    if len(terms) == 1:
        only = terms[0]
        return lambda obj: only(obj["metadata"].get("labels") or {})
    return lambda obj: _all(terms, obj["metadata"].get("labels") or {})


def _all(terms: Iterable[Callable[[Obj], bool]], labels: Obj) -> bool:
    return all(term(labels) for term in terms)


def _label_term(match: re.Match[str]) -> Callable[[Obj], bool]:
    if match["absent"]:
        missing = match["absent_key"]
        return lambda labels: missing not in labels
    if match["set_op"]:
        key, values = match["set_key"], frozenset(part.strip() for part in match["values"].split(","))
        if match["set_op"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    key, value = match["key"], match["value"]
    if match["op"] is None:
        return lambda labels: key in labels
    if match["op"] == "!=":
        return lambda labels: labels.get(key) != value
    return lambda labels: labels.get(key) == value


@lru_cache(maxsize=1024)
def field_test(selector: str, plural: str) -> Test | None:
    """The test of a field selector for one resource; None where it selects everything. 400 for a field without an index."""
    if not selector:
        return None
    known = FIELDS | (EVENT_FIELDS if plural == "events" else frozenset()) | (POD_FIELDS if plural == "pods" else frozenset())
    terms: list[tuple[tuple[str, ...], bool, str]] = []
    for part in selector.split(","):
        match = re.fullmatch(r"\s*([\w.]+)\s*(==|=|!=)\s*(.*?)\s*", part)
        if match is None:
            raise ApiError(400, f"invalid selector: {part!r}; can't understand {selector!r}")
        if match[1] not in known:
            raise ApiError(400, f"field label not supported: {match[1]}")
        terms.append((tuple(match[1].split(".")), match[2] != "!=", match[3]))
    return lambda obj: all((_field(obj, path) == value) is wanted for path, wanted, value in terms)


def _field(obj: Obj, path: tuple[str, ...]) -> str:
    value: object = obj
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    if path == ("source",):
        value = (obj.get("source") or {}).get("component") or obj.get("reportingComponent")
    return value if isinstance(value, str) else ""
