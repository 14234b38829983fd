"""Queries of other tools in our words: their variables become parameters, fixed ranges become the window.

A query that cannot be translated as a whole is refused with a sentence, never cut: half a query judges
something else.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from controller.api.promql import ProblemKind, check_query, facts
from controller.api.promql_filled import with_failures_filled
from controller.cli.import_common import Notes
from controller.core.queries import Place, fill

WINDOW = "$window"
"""The parameter that stands for the stage's window, or for a trigger's range."""

_PROBE = Place("namespace", "workload", "service", "service.namespace.svc.cluster.local", "v1", "green")
_RANGE = re.compile(r"\[\s*([0-9]+(?:ms|s|m|h|d|w|y)(?:[0-9]+(?:ms|s|m|h))*)\s*(:[^\]]*)?\]")
_BRACES = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
_MATCHER = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)\s*(?:\"([^\"]*)\"|'([^']*)'|`([^`]*)`)")
_SHARED = re.compile("namespace|container|cluster|job")
"""Labels that both versions have alike."""

_MIXING = re.compile(r"\$(?:workload|service)-?(?:\.[*+]|\(\.[*+]\))")
"""A parameter with anything behind it: `shop-.*` matches the pods of shop-green, too."""

_LABEL_BEFORE = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)\s*[\"'`][^\"'`]*$")
_DOLLARS = re.compile(r"\$\{\s*(.*?)\s*\}")


class QueryError(ValueError):
    """The query cannot be asked here; its text says why."""


def with_parameters(
    query: str, values: Mapping[str, str], *, dollars: bool = False, by_label: Callable[[str, str], str | None] | None = None
) -> str:
    """The query with `{{ name }}` (or `${name}`) replaced, other dollars doubled, and checked.

    Args:
        query: PromQL with the other tool's variables.
        values: by variable, what stands in its place: one of our parameters or a text.
        dollars: variables are written `${name}`.
        by_label: asked for variables that are not in `values`, with the label in whose value they stand ("" elsewhere).

    Raises:
        QueryError: a variable that is not known, or a parameter that cannot stand where it would.
    """
    marks: list[str] = []

    def found(match: re.Match[str]) -> str:
        name = match[1].strip()
        value = values.get(name)
        if value is None and by_label is not None:
            label = _LABEL_BEFORE.search(match.string, 0, match.start())
            value = by_label(name, label[1] if label else "")
        if value is None:
            raise QueryError(f"the variable {match[0]} has no counterpart")
        marks.append(value)
        return f"\0{len(marks) - 1}\0"

    text = (_DOLLARS if dollars else _BRACES).sub(found, query).replace("$", "$$")
    for index, value in enumerate(marks):
        text = text.replace(f"\0{index}\0", value)
    # A comment ends with its line, so that only texts without one become a single line.
    return checked(text.strip() if "#" in text else " ".join(text.split()))


def checked(query: str) -> str:
    """The query itself. Raises `QueryError` where our parameters cannot be filled in, or it is no PromQL."""
    try:
        filled = fill(query, _PROBE, 300.0)
    except ValueError as error:
        raise QueryError(str(error)) from error
    wrong = next((problem for problem in check_query(filled) if problem.kind is ProblemKind.SYNTAX), None)
    if wrong is not None:
        raise QueryError(f"it is no PromQL: {wrong}")
    return query


def by_traffic(query: str) -> bool:
    """Whether more requests make the number of a translated query larger."""
    return facts(fill(query, _PROBE, 300.0)).by_traffic


def over_window(notes: Notes, what: str, query: str, limit: Mapping[str, float], own: str = "") -> tuple[str, str]:
    """The query over `[$window]`, and the fixed range that stood there, as `ranged`.

    Where a longer range makes the number larger, the limit belongs to the range, which stays; none at all is none in any range.

    Args:
        notes: where is said what became of it.
        what: whose query it is.
        query: translated.
        limit: of its number.
        own: the range that `$window` stood for already.
    """
    filled = with_failures_filled(query)
    if filled != query:
        notes.filled(what)
        query = filled
    text, span = ranged(query)
    if facts(fill(query, _PROBE, 300.0)).by_range and any(limit.values()):
        notes.counted(what)
        return query.replace(WINDOW, own) if own else query, span
    text, changed = steady(text)
    if changed:
        notes.irate(what)
    return text, span


def literal(text: str) -> str:
    """A text of the other tool as it stands in a query: its dollars are no parameters."""
    return text.replace("$", "$$")


def told_apart(notes: Notes, what: str, query: str, names: Iterable[str]) -> None:
    """Say where a translated query would not ask for one version alone: it has a version's own name, or a pattern that matches both."""
    values = [(label, text) for label, text in dict.fromkeys(_matchers(query)) if not _SHARED.search(label)]
    for name in dict.fromkeys(names):
        if any(re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) for _, text in values):
            instead = "both versions are asked by the same query: write $workload or $service there"
            notes.missing(f"{what}: it names {name} itself", instead)
    for label, text in values:
        if _MIXING.search(text):
            instead = "that of one version matches the other's name with its -green too: write -[0-9a-z]+-[0-9a-z]+ for a pod's end"
            notes.missing(f"{what}: the pattern {label}=~{text}", instead)


def _matchers(query: str) -> list[tuple[str, str]]:
    """Labels of a query and the texts in their quotes."""
    return [(match[1], next(filter(None, match.groups()[1:]), "")) for match in _MATCHER.finditer(query)]


def ranged(query: str) -> tuple[str, str]:
    """The query over `[$window]`, and the fixed range that stood there; ("", as it was) without exactly one range.

    Subqueries keep theirs: their resolution belongs to them.
    """
    spans = {match[1] for match in _RANGE.finditer(query)}
    if len(spans) != 1 or any(match[2] for match in _RANGE.finditer(query)):
        return query, ""
    return _RANGE.sub(f"[{WINDOW}]", query), spans.pop()


def steady(query: str) -> tuple[str, bool]:
    """The query with `rate` for `irate`, which looks at the last two samples of a window only; and whether that changed it."""
    found = re.sub(r"\birate\s*\(", "rate(", query)
    return found, found != query
