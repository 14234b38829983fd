"""When triggers are polled, and how often one must fail: functions of the plan, of the last polls and of the release's own beat. Pure."""

from collections.abc import Collection
from functools import lru_cache

from analysis import threshold
from analysis.model import Outcome
from analysis.threshold import Rule
from controller.api.plan import PlanSpec
from controller.api.plan_checks import Repeat, Trigger
from controller.api.release import CheckStatus, ReleaseStatus
from controller.core import rhythm

LEAST_REACH_SECONDS = 0.001
"""The shortest range that a query can have."""

DUE_EARLY_SECONDS = 0.001
"""A look that comes this much before a poll is due asks already."""

RULES_KEPT = 2048
"""Rules in the words of the library: those of a plan are the same at every look."""


@lru_cache(maxsize=RULES_KEPT)
def rule_of(repeat: Repeat) -> Rule:
    """The plan's repetition in the words of the library."""
    return Rule(consecutive=repeat.consecutive or 1, failures=repeat.failures or 0, of=repeat.of or 0)


def could_fire(trigger: Trigger, statuses: Collection[CheckStatus]) -> bool:
    """Whether one more failing measurement would be a failure."""
    recent = polled(statuses, trigger.name).recent
    return threshold.rule_met(threshold.remember(recent, Outcome.FAIL), rule_of(trigger.repeat))


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


def watched_since(plan: PlanSpec, status: ReleaseStatus, now: float) -> float:
    """Since when what triggers see is the version that they watch, Unix seconds: green, after the return of `finish: home` the original.

    Not only since the first weight: a rate needs scrapes before the first request. For `preparation.routeDelay` before it green was ready
    already; who asked it earlier, by a rule that always names green, met no pod of it, and that is not the version's fault. 0 where nobody
    knows: what was written down by a clock that was set back since is still to come, and a trigger that looked no further would see nothing
    until then.
    """
    ready = max(status.started_at, status.exposed_since - plan.preparation.route_delay)
    since = status.returned_at or ready
    return since if since <= now else 0.0


def reach(trigger: Trigger, since: float, now: float) -> float:
    """How far a trigger looks back, seconds: its range, and not to what another version did in the same place before (S10).

    A new release comes up where the last one was rolled back, or where the old version idles, under the same names.
    """
    return min(trigger.range, max(now - since, LEAST_REACH_SECONDS))


def _polls(plan: PlanSpec, status: ReleaseStatus) -> list[tuple[Trigger, float]]:
    """Every trigger, and when it was last asked; 0.0 before that."""
    last = {one.name: one.polled_at for one in status.triggers}
    return [(trigger, last.get(trigger.name, 0.0)) for trigger in plan.triggers]
