"""Small arithmetic of the benches: quantiles, CPU and memory of a process, and what an audit log says. Pure but for /proc."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

MEGABYTE = 1_000_000


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all is at or below (nearest rank); NaN of nothing."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def summary(values: Sequence[float]) -> str:
    """Median, p99 and maximum of seconds, in words."""
    middle, high, top = (quantile(values, share) for share in (0.5, 0.99, 1.0))
    return f"median {words(middle)}, p99 {words(high)}, max {words(top)} (n = {len(values):,})"


def words(seconds: float) -> str:
    """Seconds as people read them."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def lateness(polls: Mapping[str, Sequence[float]], interval: float, since: float, until: float) -> list[float]:
    """How much later than `interval` after the one before each poll within `(since, until]` came, seconds; an early one counts as 0."""
    late = []
    for times in polls.values():
        late += [max(0.0, after - before - interval) for before, after in pairwise(times) if since < after <= until]
    return late


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def stamp(event: Mapping[str, Any]) -> float:
    """When an audited request was answered, Unix seconds."""
    return datetime.fromisoformat(event["stageTimestamp"]).timestamp()


def weight_writes(events: Iterable[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Of each VirtualService when a patch of it was accepted, Unix seconds, in order."""
    found: dict[str, list[float]] = {}
    for event in events:
        target = event.get("objectRef") or {}
        if event["verb"] == "patch" and target.get("resource") == "virtualservices" and event["responseStatus"]["code"] == 200:
            found.setdefault(target["name"], []).append(stamp(event))
    return found


def reactions(bad: Mapping[str, float], writes: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """From each beginning to the first accepted write after it, seconds; infinite where none came. Both are keyed by route."""
    return {name: min((at for at in writes.get(name, ()) if at >= since), default=math.inf) - since for name, since in bad.items()}


def requests_between(events: Iterable[Mapping[str, Any]], since: float, until: float) -> list[Mapping[str, Any]]:
    """The requests that were answered meanwhile, but for the Lease and watches, which belong to no release."""
    kept = []
    for event in events:
        target = event.get("objectRef") or {}
        if since < stamp(event) <= until and event["verb"] != "watch" and target.get("resource") not in (None, "leases"):
            kept.append(event)
    return kept
