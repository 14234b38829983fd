"""The raw samples of a whole record, merged: what the traffic query and the sequential checks were answered.

They reach from the first weight to the end without a hole wider than the record's own, so requests can be counted over any
time of the release, and not only over the windows that were judged.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from analysis.model import Labels, Sample, Series
from controller.api.plan import TrafficMetrics
from controller.core import asking, traffic
from controller.core.traffic import Traffic
from controller.evidence.reading import Look
from controller.evidence.thinning import merged
from controller.evidence.worlds import with_status
from controller.ports import Answer

RAW = "matrix"
REQUESTS = "istio_requests_total"


@dataclass(slots=True)
class RawSamples:
    """Everything that was answered with raw samples.

    Attributes:
        series: samples by label set: values by time.
        metrics: names of the metrics among them.
        queries: what they were the answers to, each once but for its range: what none of these asked for may have been there.
    """

    series: dict[Labels, dict[float, float]] = field(default_factory=dict)
    metrics: set[str] = field(default_factory=set)
    queries: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, looks: Iterable[Look]) -> "RawSamples":
        """The samples of a whole record; counts throughout where some of it was thinned to counts, and of histograms nothing then."""
        raw, every = cls(), list(looks)
        thinned = any(look.thinned for look in every)
        for look in every:
            for measurement in (look.measured.answers if look.measured else {}).values():
                if measurement.answer.result_type == RAW:
                    raw.queries.add(measurement.query.rpartition("[")[0])
                    raw.take(merged(measurement.answer.series) if thinned else measurement.answer.series)
        if thinned:
            raw.metrics &= {REQUESTS}
        return raw

    def take(self, every: Iterable[Series]) -> None:
        """More samples; those that are known already change nothing."""
        for one in every:
            known = self.series.setdefault(one.labels, {})
            for sample in one.samples:
                known[sample.time] = sample.value
            self.metrics.add(dict(one.labels).get("__name__", ""))

    def metric(self, name: str) -> tuple[Series, ...]:
        """All samples of one metric, in order of time."""
        return tuple(
            Series(labels, tuple(Sample(time, values[time]) for time in sorted(values)))
            for labels, values in self.series.items()
            if dict(labels).get("__name__") == name
        )


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests of some time: of both colours, and how many of them failed."""

    green: float = 0.0
    green_failed: float = 0.0
    blue: float = 0.0
    blue_failed: float = 0.0


@dataclass(frozen=True, slots=True)
class Counted:
    """All requests of the record, those that failed among them."""

    every: Traffic

    def between(self, after: float, until: float) -> Requests:
        """Requests whose counters grew within `(after, until]`, Unix seconds."""
        green, blue = self.every.green, self.every.blue
        return Requests(
            green.between(after, until), green.failing.between(after, until),
            blue.between(after, until), blue.failing.between(after, until),
        )  # fmt: skip

    def green_within(self, after: float, until: float) -> Requests:
        """Green's requests of a time that begins and ends between scrapes: those of a scrape are taken as evenly spread."""
        green = self.every.green
        return Requests(green.shared_out(after, until), green.failing.shared_out(after, until))


def counted(look: Look, raw: RawSamples) -> Counted | None:
    """The requests of the release that a look is of; None where they are not counted, or cannot be told apart.

    Args:
        look: one with a plan, in which the routes were seen.
        raw: of the whole record.
    """
    subject, observed = look.subject, look.observed
    if subject.plan is None or subject.plan.traffic.metrics is TrafficMetrics.NONE or look.found is None or look.found.blue_slot < 0:
        return None
    whole = with_status(subject, look.found)
    pairs = asking.traffic_places(subject.plan, asking.naming_of(whole, observed, domain=observed.domain), observed.routed)
    blue, green, mesh = [pair.blue for pair in pairs], [pair.green for pair in pairs], asking.mesh_of(whole, observed.cluster)
    read = traffic.read_traffic(Answer(raw.metric(REQUESTS), RAW), blue, green, mesh)
    return Counted(read) if not read.fault else None


def counted_of(looks: Iterable[Look], raw: RawSamples) -> Counted | None:
    """As `counted`, of the last look that can say."""
    last = None
    for look in looks:
        if look.found is not None and look.found.blue_slot >= 0 and look.observed.members:
            last = look
    return counted(last, raw) if last is not None else None
