"""The samples that were scraped, series by series, in flat arrays.

Times are whole milliseconds inside, as in Prometheus, and Unix seconds at the methods that others
call. A staleness marker is kept beside the samples instead of among them, so that a range is one
slice; the answers are the same.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence

from analysis.model import Labels, Sample
from controller.simulator.promql import labels as lb
from controller.simulator.promql.gomath import INF, is_stale


class OutOfOrderError(ValueError):
    """A sample is not newer than the last one of its series; Prometheus drops such a sample too."""


def milliseconds(seconds: float) -> int:
    """Unix seconds as the whole milliseconds that Prometheus stores."""
    return round(seconds * 1000)


class Track:
    """Samples in order of time, and where their counter restarted.

    Attributes:
        times: milliseconds, rising.
        values: as scraped.
    """

    __slots__ = ("_resets", "_scanned", "times", "values")

    def __init__(self) -> None:
        self.times: array[int] = array("q")
        self.values: array[float] = array("d")
        self._resets: list[int] = []
        self._scanned = 1

    def resets(self) -> list[int]:
        """The indices whose value is below the one before: counter resets. Found once per sample."""
        values = self.values
        if self._scanned < len(values):
            last = values[self._scanned - 1]
            for index in range(self._scanned, len(values)):
                value = values[index]
                if value < last:
                    self._resets.append(index)
                last = value
            self._scanned = len(values)
        return self._resets


class StoredSeries(Track):
    """One label set with its samples; get it from `Store.series` and keep it as a handle.

    Attributes:
        labels: sorted, with the metric name.
        stale: times (ms) at which the series was marked as gone.
        fill: brings samples that are still to come; called before the samples are read. None where all are there.
    """

    __slots__ = ("_samples", "fill", "labels", "stale")

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        self.labels = labels
        self.stale: array[int] = array("q")
        self.fill: Callable[[], None] | None = None
        self._samples: list[Sample] = []

    def filled_by(self, fill: Callable[[], None]) -> None:
        """From now on samples come when they are asked for; those that another source still has come first."""
        if self.fill is not None:
            self.fill()
        self.fill = fill

    def brought(self) -> "StoredSeries":
        """Itself, with all samples that are still to come."""
        if self.fill is not None:
            self.fill()
        return self

    def append(self, time_ms: int, value: float) -> None:
        """Add a sample.

        Raises:
            OutOfOrderError: it is not newer than the last one.
        """
        times = self.times
        if times and times[-1] >= time_ms:
            raise OutOfOrderError(f"sample at {time_ms} ms is not newer than {times[-1]} ms of {lb.text(self.labels)}")
        times.append(time_ms)
        self.values.append(value)

    def mark_stale(self, time_ms: int) -> None:
        """From this time until its next sample the series is gone for instant selectors."""
        self.stale.append(time_ms)

    def is_stale(self, sample_ms: int, at_ms: int) -> bool:
        """Whether a marker lies after the sample and not after the asked time."""
        index = bisect_right(self.stale, at_ms)
        return index > 0 and self.stale[index - 1] > sample_ms

    def samples(self, start: int, stop: int) -> tuple[Sample, ...]:
        """Samples by index, each built once however often it is asked for."""
        known = self._samples
        for index in range(len(known), stop):
            known.append(Sample(self.times[index] / 1000, self.values[index]))
        return tuple(known[start:stop])

    def forget_before(self, time_ms: int) -> None:
        """Drop samples older than the time."""
        cut = bisect_left(self.times, time_ms)
        if cut:
            del self.times[:cut], self.values[:cut], self._samples[:cut]
            del self.stale[: bisect_left(self.stale, time_ms)]
            self._resets, self._scanned = [], 1


class Store:
    """All series of one simulated Prometheus.

    Args:
        retention_seconds: samples older than this, seen from the newest scrape, are dropped.
    A series itself stays for ever: its handle may be used again, and an empty one costs little.
    """

    def __init__(self, retention_seconds: float = INF) -> None:
        self.retention_seconds = retention_seconds
        self._by_labels: dict[Labels, StoredSeries] = {}
        self._pools: dict[str, list[StoredSeries]] = {"": []}
        self._joined: dict[str, dict[tuple[str, ...], list[StoredSeries]]] = {}
        self._trim_at = -INF

    def series(self, labels: Mapping[str, str] | Labels) -> StoredSeries:
        """The handle of a label set, made on first use; the metric name is the label `__name__`."""
        key = lb.make(dict(labels))
        found = self._by_labels.get(key)
        if found is None:
            found = self._by_labels[key] = StoredSeries(key)
            self._pools[""].append(found)
            name = lb.get(key, lb.NAME) or "\0"
            self.pool(name).append(found)
            for joined in self._joined.get(name, {}).values():
                joined.append(found)
        return found

    def pool(self, name: str) -> list[StoredSeries]:
        """The series of one metric, or all for "": a list that only ever grows. Read only."""
        return self._pools.setdefault(name, [])

    def joined_pool(self, names: Sequence[str]) -> list[StoredSeries]:
        """The series of several metrics, as `pool`."""
        key = tuple(sorted(set(names)))
        if len(key) == 1:
            return self.pool(key[0])
        known = self._joined.setdefault(key[0], {}).get(key)
        if known is None:
            known = [series for name in key for series in self.pool(name)]
            for name in key:
                self._joined.setdefault(name, {})[key] = known
        return known

    def append(self, series: StoredSeries, time: float, value: float) -> None:
        """Add one sample at Unix seconds; the value `gomath.STALE` marks the series as gone.

        Raises:
            OutOfOrderError: it is not newer than the last one.
        """
        if is_stale(value):
            series.mark_stale(milliseconds(time))
        else:
            series.append(milliseconds(time), value)

    def trim(self, now: float) -> None:
        """Apply the retention as of `now`, Unix seconds."""
        if self.retention_seconds == INF:
            return
        limit = milliseconds(now - self.retention_seconds)
        for series in self._by_labels.values():
            series.forget_before(limit)

    def trim_sometimes(self, now: float) -> None:
        """Apply the retention when a tenth of it has passed since the last time."""
        if now >= self._trim_at:
            self.trim(now)
            self._trim_at = now + self.retention_seconds / 10


class Target:
    """One scraped endpoint: what vanishes from it is stale at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._last: Sequence[StoredSeries] = ()

    def ingest(self, time: float, series: Sequence[StoredSeries], values: Sequence[float]) -> None:
        """One scrape at Unix seconds: handles and their values side by side.

        Pass the same sequence object while the exposed series do not change, and do not change it in
        place: then nothing is compared. A failed scrape is one without series.

        Raises:
            OutOfOrderError: a series has a sample that is not older.
        """
        time_ms = milliseconds(time)
        if series is not self._last:
            current = set(map(id, series))
            for gone in self._last:
                if id(gone) not in current:
                    gone.mark_stale(time_ms)
            self._last = series
        for one, value in zip(series, values, strict=True):
            one.append(time_ms, value)
        self._store.trim_sometimes(time)
