"""Faults of a query with their places in the text that its author wrote: parameters are filled in before anything is parsed.

`penstock validate` and the start of a release name a line and a column, and people look there in their own file.
"""

from dataclasses import replace

from controller.api.promql import Problem, check_query
from controller.core.queries import Place, fill, written_at


def check_written(text: str, place: Place, window_seconds: float) -> list[Problem]:
    """As `check_query`, of a query with parameters. Raises ValueError where these cannot be filled in."""
    filled = fill(text, place, window_seconds)
    return [
        _as_written(problem, text, written_at(text, place, window_seconds, _offset(filled, problem))) for problem in check_query(filled)
    ]


def _offset(text: str, problem: Problem) -> int:
    """The place of a problem, counted from the begin of the text."""
    return sum(len(line) for line in text.splitlines(keepends=True)[: problem.line - 1]) + problem.column - 1


def _as_written(problem: Problem, text: str, offset: int) -> Problem:
    before = text[:offset]
    line, column = before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1
    written = (text.split("\n") or [""])[line - 1]
    return replace(problem, line=line, column=column, hint=f"{written}\n{' ' * (column - 1)}^")
