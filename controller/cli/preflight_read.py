"""Blue's past, read for `penstock preflight`: its counters pod by pod, from Prometheus in pieces or from files.

Blue's own pods report with `reporter="destination"`; the callers' reports cannot tell which pod answered. Where the pods report
nothing, the callers' proxies are split instead.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from analysis import latency
from analysis.counters import Cursor, Scrapes
from analysis.model import Arm, Counted, Sample, Series, Window
from analysis.splits import Part, active, edge_of, parted
from controller.api.plan_checks import Counters
from controller.cli.exits import CommandError, ExitCode
from controller.cli.judge_files import read_files
from controller.cli.judge_prometheus import asked_once, read_prometheus
from controller.cli.judge_selectors import BUCKETS, REQUESTS, Selector, selector
from controller.cli.judge_sources import evaluator
from controller.core.queries import Mesh, Place, answered_of, fill, is_failed, label_value, requests_of
from controller.ports import Prometheus

_PIECE = 3600.0
LEAST_PODS = 2
"""One plays green, one stays blue."""


class Samples(Protocol):
    """Where raw samples come from."""

    def read(self, wanted: Selector, since: float, until: float) -> tuple[Series, ...]:
        """The samples in this time, oldest first. Raises `CommandError`."""

    def once(self, wanted: Selector, since: float, until: float) -> tuple[Series, ...]:
        """The same where nothing else will be asked of this selector. Raises `CommandError`."""

    def ask(self, query: str) -> Callable[[str, float], tuple[Series, ...]]:
        """The answer at a moment of this query, or of one that selects less.

        It raises `CommandError`, or ValueError where nobody can evaluate the query.
        """

    @property
    def partial(self) -> bool:
        """Whether some answer was not complete."""


@dataclass(slots=True)
class ServerSamples:
    """Samples of a Prometheus, asked for piece by piece."""

    prometheus: Prometheus
    partial: bool = False

    def read(self, wanted: Selector, since: float, until: float) -> tuple[Series, ...]:
        """The samples in this time, oldest first. Raises `CommandError`."""
        (found,), partial = read_prometheus(self.prometheus, [wanted], since, until)
        self.partial = self.partial or partial
        return found

    once = read

    def ask(self, query: str) -> Callable[[str, float], tuple[Series, ...]]:  # noqa: ARG002 - a Prometheus evaluates any
        """A query's answer at a moment, which raises `CommandError`."""

        def asked(query: str, time: float) -> tuple[Series, ...]:
            answer = asked_once(self.prometheus, query, time)
            self.partial = self.partial or bool(answer.warnings)
            return answer.series

        return asked


@dataclass(slots=True)
class Sources:
    """Where the samples of each provider that checks name come from.

    Attributes:
        find: the samples of a provider, by its name in a plan; None where there is none of that name.
    """

    find: Callable[[str], Samples | None]
    _known: dict[str, Samples] = field(default_factory=dict)

    def of(self, provider: str) -> Samples:
        """The same ones for the same name. Raises `CommandError`."""
        if provider not in self._known:
            found = self.find(provider)
            if found is None:
                asked = f"ask the provider {provider}" if provider else "name no provider"
                raise CommandError(ExitCode.USAGE, f"The plan's checks {asked}, and the file of --providers has none for that.")
            self._known[provider] = found
        return self._known[provider]

    @property
    def partial(self) -> bool:
        """Whether some answer was not complete."""
        return any(one.partial for one in self._known.values())


@dataclass(slots=True)
class FileSamples:
    """Samples of files, which are read once for each selector."""

    paths: tuple[Path, ...]
    window: Window
    partial: bool = False
    _known: dict[str, tuple[Series, ...]] = field(default_factory=dict)

    def read(self, wanted: Selector, since: float, until: float) -> tuple[Series, ...]:
        """The samples in this time, oldest first. Raises `CommandError`."""
        if wanted.text not in self._known:
            self._known[wanted.text] = self.once(wanted, self.window.start, self.window.end)
        cut = (Series(one.labels, _between(one.samples, since, until)) for one in self._known[wanted.text])
        return tuple(one for one in cut if one.samples)

    def once(self, wanted: Selector, since: float, until: float) -> tuple[Series, ...]:
        """The same where nothing else will be asked of this selector. Raises `CommandError`."""
        (found,), partial = read_files(self.paths, [wanted], since, until)
        self.partial = self.partial or partial
        return found

    def ask(self, query: str) -> Callable[[str, float], tuple[Series, ...]]:
        """The answer at a moment of this query, or of one that selects less, over the samples of the files."""
        prometheus = evaluator(self.paths, [query], self.window)

        def asked(text: str, time: float) -> tuple[Series, ...]:
            answer = prometheus.query(text, time)
            if answer.fault is not None:
                raise ValueError(f"the query cannot be evaluated over a file: {answer.message}")
            return answer.series

        return asked


def _between(samples: Sequence[Sample], since: float, until: float) -> tuple[Sample, ...]:
    return tuple(sample for sample in samples if since < sample.time <= until)


@dataclass(frozen=True, slots=True)
class Past:
    """What one kind of counter of one version did.

    Attributes:
        parts: tick by tick and pod by pod.
        edges: bucket edges, one a line; none for failed requests.
        unusable: the other edges, and blue's share beyond them (0 to 1).
        uneven: those of them at which the pods differ too much.
        pods: how many targets had requests.
        reporter: whose counters they are; "" where the plan names them.
        fault: "" or why there is nothing, a clause.
        unseen: the selector of failures that found no series in all this time; "" where it found one.
    """

    parts: tuple[Part, ...] = ()
    edges: tuple[float, ...] = ()
    unusable: Mapping[float, float] = field(default_factory=dict)
    uneven: tuple[float, ...] = ()
    pods: int = 0
    reporter: str = ""
    fault: str = ""
    unseen: str = ""

    @property
    def seconds(self) -> float:
        """Time that was counted."""
        return math.fsum(part.end - part.start for part in self.parts)

    @property
    def until(self) -> float:
        """Up to when it was counted, Unix seconds; 0 where nothing was."""
        return self.parts[-1].end if self.parts else 0.0

    @property
    def n(self) -> float:
        """Requests."""
        return math.fsum(row[0] for part in self.parts for row in part.counts.values())

    def share(self, line: int) -> float:
        """Blue's share of bad requests, 0 to 1."""
        bad = math.fsum(row[1 + line] for part in self.parts for row in part.counts.values())
        return bad / self.n if self.n else 0.0

    def without(self, gone: Sequence[int]) -> "Past":
        """The same without the lines of these places, whose edges cannot be used because the pods differ there."""
        kept = [index for index in range(len(self.edges)) if index not in gone]
        parts = [
            replace(part, counts={pod: (row[0], *(row[1 + index] for index in kept)) for pod, row in part.counts.items()})
            for part in self.parts
        ]
        uneven = {self.edges[index]: self.share(index) for index in gone}
        edges = tuple(self.edges[index] for index in kept)
        return replace(self, parts=tuple(parts), edges=edges, unusable={**self.unusable, **uneven}, uneven=tuple(uneven))


@dataclass(frozen=True, slots=True)
class Reading:
    """How blue's past is read.

    Attributes:
        samples: from where.
        window: the time, Unix seconds.
        scrapes: how samples are made.
        mode, reporter: of the plan; `reporter` is asked where the pods themselves report nothing.
    """

    samples: Samples
    window: Window
    scrapes: Scrapes
    mode: str
    reporter: str


def past_of(reading: Reading, place: Place, *, slow: bool) -> Past:
    """Failed requests of a version, or with `slow` those beyond each usable bucket edge. The reporter with two pods or more is taken."""
    found: Past | None = None
    for reporter in dict.fromkeys(("destination", reading.reporter)):
        mesh = Mesh(mode=reading.mode, reporter=reporter)
        labels = (answered_of if slow else requests_of)(mesh, (place,))
        again = _past(reading, labels, reporter, slow=slow)
        if again.pods >= LEAST_PODS:
            return again
        found = again if found is None or again.pods > found.pods else found
    assert found is not None  # noqa: S101 - two reporters, or the one that is both, were asked
    return found


def _past(reading: Reading, labels: str, reporter: str, *, slow: bool) -> Past:
    edges: tuple[float, ...] = ()
    unusable: dict[float, float] = {}
    wanted = selector(f"{BUCKETS if slow else REQUESTS}{{{labels}}}", "PLAN")
    if slow:
        newest = reading.samples.once(wanted, max(reading.window.start, reading.window.end - _PIECE), reading.window.end)
        if not newest:
            return Past(reporter=reporter, fault=f"there are no samples of {wanted.text} in the last hour")
        found = latency.read_buckets({Arm.BASELINE: newest})
        if found.fault:
            return Past(reporter=reporter, fault=found.detail or "there is no histogram")
        below = {edge: _standing(newest, edge) for edge in (*found.edges, math.inf)}
        if not below[math.inf]:
            return Past(reporter=reporter, fault=_without(newest, wanted))
        edges = latency.usable_edges(below, below[math.inf])
        unusable = {edge: 1 - below[edge] / (below[math.inf] or 1) for edge in found.edges if edge not in edges}
        if not edges:
            return Past(reporter=reporter, unusable=unusable, fault=latency.NO_USABLE_EDGE)
        wanted = _narrowed(wanted, labels, newest, (*edges, math.inf))
    parts = tuple(_walk(reading, lambda since, until: _counted(reading.samples.read(wanted, since, until), edges), edges))
    pods = len(active(parts))
    return Past(parts, edges, unusable, pods=pods, reporter=reporter, fault="" if pods else _nothing(reading, wanted))


def own_past_of(reading: Reading, place: Place, counters: Counters) -> Past:
    """Bad requests of a version by a check's own counters. Raises `CommandError`."""
    total, other = (selector(fill(text, place, _PIECE), "PLAN") for text in counters.selectors)
    unseen = other.text if counters.bad is not None else ""

    def count(since: float, until: float) -> Counted:
        nonlocal unseen
        found = Counted(reading.samples.read(total, since, until), reading.samples.read(other, since, until))
        unseen = "" if found.bad else unseen
        return found

    parts = tuple(_walk(reading, count, (), counts_good=counters.good is not None))
    pods = len(active(parts))
    return Past(parts, pods=pods, fault="" if pods else _nothing(reading, total), unseen=unseen if pods else "")


def _nothing(reading: Reading, wanted: Selector) -> str:
    """Why nothing was counted: no samples in all this time, or samples that count no request."""
    return _without(reading.samples.once(wanted, reading.window.start, reading.window.end), wanted)


def _without(found: Iterable[Series], wanted: Selector) -> str:
    """The same, where the samples are known."""
    values = [sample.value for one in found for sample in one.samples]
    if not values:
        return f"there are no samples of {wanted.text}"
    if not any(map(math.isfinite, values)):
        return f"the samples of {wanted.text} are no numbers"
    if all(value < 0 or not math.isfinite(value) for value in values):
        return f"the samples of {wanted.text} are negative"
    return f"the samples of {wanted.text} count no request"


def _counted(every: tuple[Series, ...], edges: Sequence[float]) -> Counted:
    return Counted(buckets=every) if edges else Counted(every, tuple(one for one in every if is_failed(dict(one.labels))))


def _standing(every: Iterable[Series], edge: float) -> float:
    return math.fsum(one.samples[-1].value for one in every if edge_of(one) == edge and math.isfinite(one.samples[-1].value))


def _narrowed(wanted: Selector, labels: str, newest: Iterable[Series], edges: Sequence[float]) -> Selector:
    """Only the buckets that are counted, as their labels are written here: a day of all of them may be a hundred million samples."""
    texts = sorted({dict(one.labels)["le"] for one in newest if edge_of(one) in edges})
    pattern = "|".join(label_value(text, regex=True) for text in texts)
    return selector(f'{wanted.metric}{{{labels},le=~"{pattern}"}}', "PLAN")


def _walk(
    reading: Reading, count: Callable[[float, float], Counted], edges: Sequence[float], *, counts_good: bool = False
) -> Iterable[Part]:
    cursor, scrapes = Cursor(reading.window.start), reading.scrapes
    until = reading.window.start
    while until < reading.window.end:
        until = min(until + _PIECE, reading.window.end)
        since = max(cursor.until, until - 2 * _PIECE) - scrapes.look_back
        parts, cursor = parted(count(since, until), edges, cursor, scrapes, counts_good=counts_good)
        # Before the first sample, and in an outage behind which all pods are new, nobody looked: that is no time of blue.
        yield from (part for part in parts if part.counts or part.end - part.start <= scrapes.patience)
