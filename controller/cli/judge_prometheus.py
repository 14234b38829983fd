"""Raw samples of a past window from Prometheus: range selectors, an hour at a time, less where an answer is too large."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from analysis.model import Labels, Sample, Series
from controller.adapters.prometheus import HttpPrometheus
from controller.adapters.prometheus_config import Provider
from controller.cli.exits import CommandError, ExitCode
from controller.cli.host import say
from controller.cli.judge_files import MOST_SAMPLES
from controller.cli.judge_selectors import Selector
from controller.core.queries import duration
from controller.ports import Answer, AnswerFault, Prometheus

_PIECE = 3600.0
_LEAST_PIECE = 60.0
_SAY_EVERY = 1_000_000
_TIMEOUT = 60.0

_FAULTS = {
    AnswerFault.UNREACHABLE: ("cannot be reached", "Is it up, and reachable from here (kubectl port-forward)?"),
    AnswerFault.TIMEOUT: ("did not answer in time", "Is it overloaded? A shorter window asks for less."),
    AnswerFault.UNAUTHORIZED: ("does not let us in", "Ask by a forwarded port that needs no credentials, or give the samples by --file."),
    AnswerFault.SERVER_ERROR: ("failed", "Its own logs say why."),
    AnswerFault.UNREADABLE: ("gave no answer of a Prometheus", "Does a proxy or a login page stand at this address?"),
}
"""What a person reads about each fault of the server, and what to do."""


def connected(url: str) -> Prometheus:
    """The server at an address. Raises a usage error."""
    try:
        return HttpPrometheus(Provider(name="judge", url=url, timeout=_TIMEOUT))
    except ValueError as error:
        raise CommandError(ExitCode.USAGE, f"--prometheus: found {url!r}, expected an address such as http://localhost:9090.") from error


Found = tuple[list[tuple[Series, ...]], bool]
"""Series by selector, and whether a warning came with any answer: then something may be missing."""


def read_prometheus(
    prometheus: Prometheus, selectors: Sequence[Selector], since: float, until: float, server: str = "The Prometheus"
) -> Found:
    """The samples that each selector asks for, and whether a warning came with any answer. Raises `CommandError`, naming the `server`."""
    found, partial, count, said = [], False, 0, 0
    for selector in selectors:
        held: dict[Labels, list[Sample]] = {}
        for answer in _either(prometheus, selector, (since, until), server):
            partial = partial or bool(answer.warnings)
            for warning in answer.warnings:
                say(f"Prometheus warns: {warning}")
            for series in answer.series:
                held.setdefault(series.labels, []).extend(series.samples)
                count += len(series.samples)
            if count > MOST_SAMPLES:
                raise CommandError(
                    ExitCode.USAGE, f"{server}: more than {MOST_SAMPLES:,} samples are asked for; narrow the selectors or the time."
                )
            if count >= said + _SAY_EVERY:
                said = count
                say(f"{count:,} samples are read.")
        found.append(tuple(Series(labels, tuple(held[labels])) for labels in sorted(held)))
    return found, partial


def _either(prometheus: Prometheus, selector: Selector, times: tuple[float, float], server: str) -> Iterator[Answer]:
    """The answers of the selector; where it asks for classic buckets and there are none, the same buckets of the native histogram."""
    empty = True
    for answer in _pieces(prometheus, selector, times, server):
        empty = empty and not answer.series
        yield answer
    if empty and selector.native is not None:
        for answer in _pieces(prometheus, selector.native, times, server):
            yield replace(answer, series=tuple(one for one in answer.series if selector.matches(one.labels)))


def _pieces(prometheus: Prometheus, selector: Selector, times: tuple[float, float], server: str) -> Iterator[Answer]:
    (start, until), piece = times, _PIECE
    while start < until:
        end = min(start + piece, until)
        answer = prometheus.query(f"{selector.text}[{duration(end - start)}]", end)
        if answer.fault is AnswerFault.TOO_LARGE and piece / 2 >= _LEAST_PIECE:
            piece /= 2
            continue
        if answer.fault is not None:
            raise _no_samples(answer, answer.fault, selector.text, server)
        yield answer
        start = end


def asked_once(prometheus: Prometheus, query: str, time: float, server: str = "The Prometheus") -> Answer:
    """One answer that can be used. Raises `CommandError`, naming the `server`."""
    answer = prometheus.query(query, time)
    if answer.fault is not None:
        raise _no_samples(answer, answer.fault, query, server)
    return answer


def _no_samples(answer: Answer, fault: AnswerFault, query: str, server: str) -> CommandError:
    """Who was asked, for what, what came of it, and what to do."""
    said = answer.message.rstrip(".") or "without a word"
    if fault is AnswerFault.TOO_LARGE:
        return CommandError(ExitCode.USAGE, f"A minute of {query} is more than is read at once: select fewer series.")
    if fault not in _FAULTS:
        return CommandError(ExitCode.USAGE, f"{server} refuses to select {query}: {said}.")
    what, advice = _FAULTS[fault]
    return CommandError(ExitCode.UNREACHABLE, f"{server} {what} ({said}); it was asked for {query}. {advice}")


def from_server(url: str, selectors: Sequence[Selector], since: float, until: float) -> Found:
    """As `read_prometheus`, of the server at an address; the connection is closed."""
    prometheus = connected(url)
    try:
        return read_prometheus(prometheus, selectors, since, until, f"The Prometheus at {url}")
    finally:
        if isinstance(prometheus, HttpPrometheus):
            prometheus.close()
