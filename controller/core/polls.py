"""When triggers are polled: a function of the plan, of the last polls and of the release's own beat. Pure."""

from collections.abc import Collection

from controller.api.plan import PlanSpec
from controller.api.plan_checks import Trigger
from controller.api.release import CheckStatus, ReleaseStatus
from controller.core import rhythm

LEAST_REACH_SECONDS = 0.001
"""The shortest range that a query can have."""

DUE_EARLY_SECONDS = 0.001
"""A look that comes this much before a poll is due asks already."""


def polled(statuses: Collection[CheckStatus], name: str) -> CheckStatus:
    """The status of that name, or a blank one."""
    for status in statuses:
        if status.name == name:
            return status
    return CheckStatus(name=name)


def due_triggers(plan: PlanSpec, status: ReleaseStatus, uid: str, now: float) -> tuple[Trigger, ...]:
    """The triggers whose next poll has come."""
    return tuple([trigger for trigger, last in _polls(plan, status) if is_due(trigger, last, uid, now)])


def is_due(trigger: Trigger, last: float, uid: str, now: float) -> bool:
    """Whether the next poll has come of a trigger whose last one was then. One in the future (a clock set back) counts as passed."""
    return not last <= now < rhythm.due_after(uid, last, trigger.interval) - DUE_EARLY_SECONDS


def next_poll(plan: PlanSpec, status: ReleaseStatus, uid: str, now: float) -> float | None:
    """When the next trigger is due, Unix seconds; None without triggers."""
    times = [max(now, rhythm.due_after(uid, last, trigger.interval)) for trigger, last in _polls(plan, status)]
    return min(times, default=None)


def watched_since(status: ReleaseStatus) -> float:
    """Since when the version that triggers watch has its requests, Unix seconds: green, after the return of `finish: home` the original."""
    return status.returned_at or status.exposed_since


def spare(plan: PlanSpec) -> float:
    """How much further back a query may look: a rate needs a sample from before. A drain ago nobody had requests in green's place."""
    return min(plan.traffic.scrape_interval, plan.rollback.drain)


def reach(trigger: Trigger, since: float, now: float, spare_seconds: float) -> float:
    """How far a trigger looks back, seconds: its range, and not to what another version did in the same place before (S10).

    A new release comes up where the last one was rolled back, or where the old version idles, under the same names.
    """
    return min(trigger.range, max(now - since + spare_seconds, LEAST_REACH_SECONDS)) if 0 < since <= now else trigger.range


def _polls(plan: PlanSpec, status: ReleaseStatus) -> list[tuple[Trigger, float]]:
    """Every trigger, and when it was last asked; 0.0 before that."""
    last = {one.name: one.polled_at for one in status.triggers}
    return [(trigger, last.get(trigger.name, 0.0)) for trigger in plan.triggers]
