"""Copies of the same series, as two servers that scrape the same targets make them: one counts, and never a mixture of both.

Their clocks and their moments differ, so that a mixture would look like a reset at every scrape. All series of a target
are read from one server: errors belong to the requests beside them.
"""

import math
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from analysis.model import Labels, Sample, Series
from analysis.usable import clean


def among(labels: Labels, names: Collection[str]) -> Labels:
    """The labels of these names."""
    return tuple([pair for pair in labels if pair[0] in names])


def chosen(
    every: Iterable[Series], targets: Collection[str], servers: Collection[str], patience: float, until: float = math.inf
) -> dict[Labels, Labels]:
    """Of each target that some server marked as its own copy, the server that is read: with the least silence, then the first.

    Args:
        every: series of all counters.
        targets: names of labels that tell targets apart.
        servers: names of labels that tell servers apart.
        patience: seconds without a sample that are no silence yet.
        until: time of the newest sample that is looked at.
    """
    times: dict[Labels, dict[Labels, set[float]]] = {}
    for series in every:
        if server := among(series.labels, servers):
            seen = times.setdefault(among(series.labels, targets), {})
            seen.setdefault(server, set()).update([sample.time for sample in series.samples if sample.time <= until])
    return {target: _fullest(seen, patience) for target, seen in times.items()}


def _fullest(seen: Mapping[Labels, set[float]], patience: float) -> Labels:
    every = set[float]().union(*seen.values())
    begin, end = min(every, default=0.0), max(every, default=0.0)

    def silence(server: Labels) -> float:
        gaps = [after - before for before, after in pairwise([begin, *sorted(seen[server]), end])]
        return math.fsum(gap for gap in gaps if gap > patience)

    return min(sorted(seen), key=silence)


@dataclass(frozen=True, slots=True)
class Reading:
    """Which servers' copies count.

    Attributes:
        targets, servers: names of labels that tell targets and servers apart.
        since: time up to which everything was counted already.
        before, now: by target, the server that was read up to then, and the one that is read from then on.
    """

    targets: Collection[str]
    servers: Collection[str]
    since: float
    before: Mapping[Labels, Labels]
    now: Mapping[Labels, Labels]

    @classmethod
    def of(cls, every: Sequence[Series], targets: Collection[str], servers: Collection[str], patience: float, since: float) -> "Reading":
        """As the samples of all counters say."""
        now = chosen(every, targets, servers, patience)
        return cls(targets, servers, since, chosen(every, targets, servers, patience, since) if now else {}, now)


def one_each(every: Iterable[Series], reading: Reading) -> list[Series]:
    """Each series once: the copy of the server that is read for its target, the first one where that has none."""
    copies: dict[Labels, dict[Labels, list[Series]]] = {}
    for series in every:
        if series.samples:
            identity = tuple([pair for pair in series.labels if pair[0] not in reading.servers])
            copies.setdefault(identity, {}).setdefault(series.labels, []).append(series)
    found = []
    for several in copies.values():
        if len(several) == 1:
            found += [_merged(labels, parts) for labels, parts in several.items()]
            continue
        labels, earlier = (_read(several, reading, which) for which in (reading.now, reading.before))
        one = _merged(labels, several[labels])
        found.append(one if labels == earlier else _continued(one, _merged(earlier, several[earlier]), reading.since))
    return found


def _read(several: Iterable[Labels], reading: Reading, which: Mapping[Labels, Labels]) -> Labels:
    return min(several, key=lambda one: (among(one, reading.servers) != which.get(among(one, reading.targets)), one))


def _continued(series: Series, earlier: Series, since: float) -> Series:
    """The copy from where the other one was counted to: what that had seen in a later scrape than this one's base counts no second time.

    The servers' clocks differ a little, so that some samples after `since` may have seen less than was counted.
    """
    counted = [sample for sample in earlier.samples if sample.time <= since]
    at = bisect_right([sample.time for sample in series.samples], since)
    if not counted or at == len(series.samples):
        return series
    if at:
        base, known = series.samples[at - 1], counted[-1].value
    else:  # it may begin lower because its server is late: it goes on from there, so that no whole counter is added
        known = min(counted[-1].value, series.samples[0].value)
        base = Sample(counted[-1].time, known)
    if counted[-1].time < base.time:
        return series
    found, before = list(series.samples[: max(at - 1, 0)]), base
    for sample in (base, *series.samples[at:]):
        if sample.value < before.value:
            known = 0.0  # the counter began again
        found.append(Sample(sample.time, max(sample.value, known)))
        before = sample
    return Series(series.labels, tuple(found))


def _merged(labels: Labels, parts: Sequence[Series]) -> Series:
    if len(parts) == 1:
        return parts[0]
    return clean(Series(labels, tuple(sample for part in parts for sample in part.samples)))
