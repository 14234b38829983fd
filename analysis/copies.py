"""Copies of the same series, as two servers that scrape the same targets make them: one counts, and never a mixture of both.

Their clocks and their moments differ, so that a mixture would look like a reset at every scrape. All series of a target
are read from one server: errors belong to the requests beside them.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from analysis.model import Labels, Series
from analysis.usable import clean


def among(labels: Labels, names: Collection[str]) -> Labels:
    """The labels of these names."""
    return tuple([pair for pair in labels if pair[0] in names])


def chosen(every: Iterable[Series], targets: Collection[str], servers: Collection[str], patience: float) -> dict[Labels, Labels]:
    """Of each target that some server marked as its own copy, the server that is read: with the least silence, then the first.

    Args:
        every: series of all counters.
        targets: names of labels that tell targets apart.
        servers: names of labels that tell servers apart.
        patience: seconds without a sample that are no silence yet.
    """
    times: dict[Labels, dict[Labels, set[float]]] = {}
    for series in every:
        if server := among(series.labels, servers):
            seen = times.setdefault(among(series.labels, targets), {})
            seen.setdefault(server, set()).update([sample.time for sample in series.samples])
    return {target: _fullest(seen, patience) for target, seen in times.items()}


def _fullest(seen: Mapping[Labels, set[float]], patience: float) -> Labels:
    every = set[float]().union(*seen.values())
    begin, end = min(every, default=0.0), max(every, default=0.0)

    def silence(server: Labels) -> float:
        gaps = [after - before for before, after in pairwise([begin, *sorted(seen[server]), end])]
        return math.fsum(gap for gap in gaps if gap > patience)

    return min(sorted(seen), key=silence)


def one_each(every: Iterable[Series], targets: Collection[str], servers: Collection[str], read: Mapping[Labels, Labels]) -> list[Series]:
    """Each series once: the copy of the server that is `read` for its target, the first one where that has none."""
    copies: dict[Labels, dict[Labels, list[Series]]] = {}
    for series in every:
        if series.samples:
            identity = tuple([pair for pair in series.labels if pair[0] not in servers])
            copies.setdefault(identity, {}).setdefault(series.labels, []).append(series)
    found = []
    for several in copies.values():
        labels = min(several, key=lambda one: (among(one, servers) != read.get(among(one, targets)), one))
        found.append(_merged(labels, several[labels]))
    return found


def _merged(labels: Labels, parts: Sequence[Series]) -> Series:
    if len(parts) == 1:
        return parts[0]
    return clean(Series(labels, tuple(sample for part in parts for sample in part.samples)))
