"""Raw samples of a past window from Prometheus: range selectors, an hour at a time, less where an answer is too large."""

from collections.abc import Sequence

from analysis.model import Labels, Sample, Series
from controller.adapters.prometheus import HttpPrometheus
from controller.adapters.prometheus_config import Provider
from controller.cli.exits import CommandError, ExitCode
from controller.cli.host import say
from controller.cli.judge_selectors import Selector
from controller.core.queries import duration
from controller.ports import Answer, AnswerFault, Prometheus

_PIECE = 3600.0
_LEAST_PIECE = 60.0
_TIMEOUT = 60.0
_UNREACHABLE = (AnswerFault.UNREACHABLE, AnswerFault.TIMEOUT, AnswerFault.UNAUTHORIZED, AnswerFault.SERVER_ERROR, AnswerFault.UNREADABLE)


def connected(url: str) -> Prometheus:
    """The server at an address. Raises a usage error."""
    try:
        return HttpPrometheus(Provider(name="judge", url=url, timeout=_TIMEOUT))
    except ValueError as error:
        raise CommandError(ExitCode.USAGE, f"--prometheus: found {url!r}, expected an address such as http://localhost:9090.") from error


Found = tuple[list[tuple[Series, ...]], bool]
"""Series by selector, and whether a warning came with any answer: then something may be missing."""


def read_prometheus(prometheus: Prometheus, selectors: Sequence[Selector], since: float, until: float) -> Found:
    """The samples that each selector asks for, and whether a warning came with any answer. Raises `CommandError`."""
    found, partial = [], False
    for selector in selectors:
        held: dict[Labels, list[Sample]] = {}
        for answer in _pieces(prometheus, selector, since, until):
            partial = partial or bool(answer.warnings)
            for warning in answer.warnings:
                say(f"Prometheus warns: {warning}")
            for series in answer.series:
                held.setdefault(series.labels, []).extend(series.samples)
        found.append(tuple(Series(labels, tuple(held[labels])) for labels in sorted(held)))
    return found, partial


def _pieces(prometheus: Prometheus, selector: Selector, since: float, until: float) -> list[Answer]:
    answers, start, piece = [], since, _PIECE
    while start < until:
        end = min(start + piece, until)
        answer = prometheus.query(f"{selector.text}[{duration(end - start)}]", end)
        if answer.fault is AnswerFault.TOO_LARGE and piece / 2 >= _LEAST_PIECE:
            piece /= 2
            continue
        if answer.fault is not None:
            code = ExitCode.UNREACHABLE if answer.fault in _UNREACHABLE else ExitCode.USAGE
            raise CommandError(code, f"Prometheus gave no samples of {selector.text} ({answer.fault}): {answer.message.rstrip('.')}.")
        answers.append(answer)
        start = end
    return answers


def from_server(url: str, selectors: Sequence[Selector], since: float, until: float) -> Found:
    """As `read_prometheus`, of the server at an address; the connection is closed."""
    prometheus = connected(url)
    try:
        return read_prometheus(prometheus, selectors, since, until)
    finally:
        if isinstance(prometheus, HttpPrometheus):
            prometheus.close()
