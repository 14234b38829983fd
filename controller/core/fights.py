"""Another writer of the weights, who gives green requests again and again: how often makes a fight, and what is said of it."""

from collections.abc import Iterable

from controller.api.release import DriftStatus
from controller.core.steps import World
from controller.core.world import RouteView

FIGHT_WRITES = 3
"""Corrections within `FIGHT_SECONDS` that make a persistent fighter (L4)."""

FIGHT_SECONDS = 60.0

IGNORE = "/spec/http/*/route/*/weight"


def counted(w: World) -> DriftStatus:
    """One more correction; the count begins anew after a while."""
    drift = w.status.drift
    fresh = w.now - drift.since <= FIGHT_SECONDS
    return DriftStatus(count=drift.count + 1, since=drift.since) if fresh else DriftStatus(count=1, since=w.now)


def goes_on(drift: DriftStatus) -> bool:
    """Whether so many corrections make a fight."""
    return drift.count >= FIGHT_WRITES


def had(routes: Iterable[RouteView]) -> str:
    """What stood on the routes, and whose it was."""
    return ", ".join(f"{r.namespace}/{r.name} had {r.green_weight} %{writer(r)}" for r in routes)


def words(routes: Iterable[RouteView]) -> str:
    """Likewise, with the field that the other one should ignore."""
    return f"{had(routes)}; the field to ignore is {IGNORE}"


def writer(route: RouteView) -> str:
    """By whom, where that can be told: a tool does it again after each resume, until it is told to ignore the field."""
    return f" (by {route.foreign})" if route.foreign else ""
