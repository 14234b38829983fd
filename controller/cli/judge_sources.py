"""Where the samples of a past window come from, and who evaluates a plan's queries over them.

A Prometheus is asked for both. Files hold samples alone: what the queries select is read from them, in the same pass as
everything else, and the simulator's PromQL is evaluated over it. Whoever answers, a query is asked as a release asks it.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from analysis.model import Labels, Sample, Series, Window
from controller.adapters.prometheus import HttpPrometheus
from controller.api.promql import facts
from controller.api.promql_syntax import PromqlSyntaxError
from controller.cli import judge_prometheus
from controller.cli.judge_files import read_files
from controller.cli.judge_selectors import Selector, selector_of
from controller.core.queries import over_window
from controller.ports import Answer, Prometheus
from controller.simulator.promql.engine import LOOKBACK_SECONDS
from controller.simulator.promql.errors import UnsupportedError
from controller.simulator.promql.gomath import STALE
from controller.simulator.promql.provider import holding

_PIECE = 3600.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where the samples are.

    Attributes:
        prometheus: address; "" where files are read.
        files: with samples.
    """

    prometheus: str = ""
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Samples:
    """What was read.

    Attributes:
        by: series by the text of the selector that asked for them.
        evaluator: of queries over the same time.
        partial: Prometheus warned that an answer is not complete.
    """

    by: Mapping[str, tuple[Series, ...]]
    evaluator: Prometheus
    partial: bool = False
    _known: dict[tuple[str, float, float, float], Answer] = field(default_factory=dict)

    def at(self, query: str, time: float) -> Answer:
        """A query's answer at a moment of the past; the clock of whoever answers it says nothing about that."""
        return replace(self.evaluator.query(query, time), server_time=None)

    def over(self, query: str, window: Window, step: float) -> Answer:
        """A query's values at every multiple of the step within the window, an hour at a time; one fault is the fault of all."""
        key = query, window.start, window.end, step
        if key not in self._known:
            self._known[key] = self._over(query, window, step)
        return self._known[key]

    def _over(self, query: str, window: Window, step: float) -> Answer:
        held: dict[Labels, dict[float, Sample]] = {}
        warnings: list[str] = []
        start = window.start
        while start < window.end:
            end = min(start + _PIECE, window.end)
            answer = self.at(over_window(query, end - start, step), end)
            if answer.fault is not None:
                return answer
            warnings += [warning for warning in answer.warnings if warning not in warnings]
            for series in answer.series:
                held.setdefault(series.labels, {}).update({sample.time: sample for sample in series.samples})
            start = end
        every = tuple(Series(labels, tuple(by[time] for time in sorted(by))) for labels, by in sorted(held.items()))
        return Answer(every, "matrix", warnings=tuple(warnings))


@contextmanager
def opened(source: Source, selectors: Sequence[Selector], queries: Collection[str], window: Window, since: float) -> Iterator[Samples]:
    """The samples of the selectors from `since` on, and an evaluator of the queries within the window. Raises `CommandError`."""
    if source.prometheus:
        prometheus = judge_prometheus.connected(source.prometheus)
        try:
            server = f"The Prometheus at {source.prometheus}"
            found, partial = judge_prometheus.read_prometheus(prometheus, selectors, since, window.end, server)
            yield Samples(_by(selectors, found), prometheus, partial)
        finally:
            if isinstance(prometheus, HttpPrometheus):
                prometheus.close()
        return
    wanted, early = _wanted(queries, window)
    found, partial = read_files(source.files, [*selectors, *wanted], min(since, early), window.end)
    raw, evaluated = found[: len(selectors)], found[len(selectors) :]
    yield Samples(_by(selectors, [_from(every, since) for every in raw] if early < since else raw), _engine(evaluated), partial)


def evaluator(files: Sequence[Path], queries: Collection[str], window: Window) -> Prometheus:
    """Who evaluates these queries, and any that select less, within the window, over the samples of files. Raises `CommandError`."""
    wanted, early = _wanted(queries, window)
    return _engine(read_files(files, wanted, early, window.end)[0])


def _wanted(queries: Collection[str], window: Window) -> tuple[list[Selector], float]:
    """What the queries select, each once, and since when they look at it.

    A query that nobody can evaluate needs no samples: its answer says why.
    """
    found: dict[str, Selector] = {}
    reach = 0.0
    for query in queries:
        try:
            told = facts(query)
            found |= {one.text: one for one in map(selector_of, told.selectors)}
            reach = max(reach, told.reach)
        except (PromqlSyntaxError, UnsupportedError):
            continue
    return list(found.values()), window.start - reach - LOOKBACK_SECONDS if found else math.inf


def _by(selectors: Sequence[Selector], found: Sequence[tuple[Series, ...]]) -> dict[str, tuple[Series, ...]]:
    return dict(zip([one.text for one in selectors], found, strict=True))


def _from(every: Sequence[Series], since: float) -> tuple[Series, ...]:
    cut = (Series(one.labels, tuple(sample for sample in one.samples if sample.time >= since)) for one in every)
    return tuple(one for one in cut if one.samples)


def _engine(found: Sequence[tuple[Series, ...]]) -> Prometheus:
    """Prometheus's evaluator over these series."""
    return holding({one.labels: _ended(one) for every in found for one in every})


def _ended(series: Series) -> Iterator[tuple[float, float]]:
    """Its samples. In a file the mark of a series' end looks like a value that is no number; the mark is what there usually is."""
    return ((sample.time, STALE if math.isnan(sample.value) else sample.value) for sample in series.samples)
