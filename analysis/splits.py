"""One version's counters pod by pod, so that some of its pods can play the candidate.

The counters are differenced once, by target; every way to split the pods is then only another sum. Memory is one
number a tick, target and line, whatever the labels of the series: a day can be read in pieces.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import sha256

from analysis.counters import TARGET_LABELS, Counter, Cursor, Scrapes, difference
from analysis.model import Arm, Counted, Labels, Series, Tick
from analysis.planning import pooled_dispersion
from analysis.rate import Dispersion

Target = Labels
"""Labels of a scraped target; with metrics of the destination that is a pod of the version."""

MOST_WAYS = 8
"""Ways to choose the pods, for the dispersion and for each stretch of time: more of them say little that is new about the same day."""

_ALL = -1


@dataclass(frozen=True, slots=True)
class Part:
    """An interval `(start, end]`, Unix seconds: by target its requests, then its bad ones line by line."""

    start: float
    end: float
    counts: Mapping[Target, tuple[float, ...]]

    def of(self, chosen: AbstractSet[Target], *, others: bool = False) -> tuple[float, ...]:
        """The sum over the chosen targets, or over all others; empty without any."""
        rows = [row for target, row in self.counts.items() if (target in chosen) is not others]
        return tuple(map(math.fsum, zip(*rows, strict=True)))


def target_of(series: Series) -> Target:
    """Where a series was scraped."""
    return tuple(pair for pair in series.labels if pair[0] in TARGET_LABELS)


def parted(
    counted: Counted, edges: Sequence[float], cursor: Cursor, scrapes: Scrapes, *, counts_good: bool = False
) -> tuple[tuple[Part, ...], Cursor]:
    """All complete ticks after the cursor, and where the next look goes on.

    Args:
        counted: raw samples, from `cursor.until - scrapes.look_back` on.
        edges: bucket edges beyond which a request is bad, one line each; none: failed requests are.
        cursor: what was counted already.
        scrapes: how samples are made.
        counts_good: `counted.bad` are counters of the good requests.
    """
    lines = _lines(counted, edges)
    by: dict[tuple[Target, int], list[Series]] = {}
    for place, every in lines.items():
        for series in every:
            by.setdefault((target_of(series), place), []).append(series)
    counters = [Counter(Arm.BASELINE, key, tuple(every)) for key, every in sorted(by.items(), key=lambda one: one[0])]
    found = difference(counters, cursor, scrapes, needs=(Arm.BASELINE,))
    targets = sorted({target for target, _ in by})
    good, absent = bool(edges) or counts_good, bool(edges)
    parts = []
    for piece in found.slices:
        counts = {}
        for target in targets:
            n = piece.counts.get((Arm.BASELINE, (target, _ALL)), 0.0)
            if n:
                held = (piece.counts.get((Arm.BASELINE, (target, place)), n if absent else 0.0) for place in range(len(lines) - 1))
                counts[target] = (n, *(min(max(n - one if good else one, 0.0), n) for one in held))
        parts.append(Part(piece.start, piece.end, counts))
    return tuple(parts), found.cursor


def _lines(counted: Counted, edges: Sequence[float]) -> dict[int, list[Series]]:
    """Series of all requests, and of each line: failed ones, or those at or below an edge."""
    if not edges:
        return {_ALL: list(counted.total), 0: list(counted.bad)}
    found: dict[int, list[Series]] = {_ALL: [], **{place: [] for place in range(len(edges))}}
    places = {math.inf: _ALL, **{edge: place for place, edge in enumerate(edges)}}
    for series in counted.buckets:
        place = places.get(edge_of(series))
        if place is not None:
            found[place].append(series)
    return found


def edge_of(series: Series) -> float:
    """The edge of a bucket; NaN where its label is no number."""
    try:
        return float(dict(series.labels).get("le", "nan"))
    except ValueError:
        return math.nan


def active(parts: Iterable[Part]) -> tuple[Target, ...]:
    """Targets that had requests, sorted."""
    return tuple(sorted({target for part in parts for target in part.counts}))


def shuffled(targets: Sequence[Target], way: int) -> tuple[Target, ...]:
    """The same targets in another order for each way, always the same one; the first way is their own order."""
    return tuple(sorted(targets, key=lambda target: (sha256(f"{way} {target}".encode()).digest() if way else b"", target)))


def halvings(targets: Sequence[Target], most: int) -> tuple[frozenset[Target], ...]:
    """Different ways to put every second target in one half; fewer than `most` where there are not so many, none of one target."""
    if len(targets) < 2:  # noqa: PLR2004 - two halves
        return ()
    found: dict[frozenset[frozenset[Target]], frozenset[Target]] = {}
    for way in range(2 * most):
        half = frozenset(shuffled(targets, way)[::2])
        found.setdefault(frozenset((half, frozenset(targets) - half)), half)
    return tuple(found.values())[:most]


def halved(parts: Sequence[Part], half: frozenset[Target], line: int) -> tuple[Tick, ...]:
    """Every tick in which both halves had requests, with the halves as the two arms and the bad requests of one line."""
    found = []
    for part in parts:
        one, other = part.of(half), part.of(half, others=True)
        if one and other:
            found.append(Tick(part.start, part.end, one[0], one[1 + line], other[0], other[1 + line]))
    return tuple(found)


def measured(parts: Sequence[Part], line: int) -> Dispersion | None:
    """The dispersion of one line's bad requests over several ways to halve the pods; None where the past is too poor."""
    ways = [halved(parts, half, line) for half in halvings(active(parts), MOST_WAYS)]
    try:
        return pooled_dispersion(ways) if ways else None
    except ValueError:
        return None
