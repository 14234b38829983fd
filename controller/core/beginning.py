"""What a release writes down, or refuses, before it touches anything: who is blue, how large it is, what it may write."""

from dataclasses import replace

from controller.api.release import CapacityStatus, ManagedObject, Phase, ReleaseStatus
from controller.core import reasons, trials
from controller.core.cautions import WARNINGS, cautions, in_words
from controller.core.commands import Decision, Record, RecordKind
from controller.core.steps import World, moved, record, stored
from controller.core.world import Problem
from controller.ports import DESTINATION_RULE, HPA, VIRTUAL_SERVICE


def refuse(w: World, reason: str, detail: str) -> Decision:
    """End before anything was touched."""
    status = moved(w, Phase.REFUSED, reason, detail)
    return stored(status, record(w, RecordKind.FINISHED, reason, detail))


def refuse_prepared(w: World) -> Decision:
    """Refuse with the first problem's reason and everybody's words."""
    first = w.observed.problems[0]
    detail = "; ".join(problem.detail for problem in w.observed.problems if problem.reason == first.reason)
    others = [reasons.say(problem.reason, problem.detail).rstrip(".") for problem in w.observed.problems if problem.reason != first.reason]
    return refuse(w, first.reason, "; ".join([detail, *others])[:1500])


def identify(w: World) -> Decision:
    """Write down once which slot is blue, how the routes tell the versions apart, and blue's size."""
    if w.observed.problems:
        return refuse_prepared(w)
    bad = trials.refused(w)
    if bad:
        return refuse(w, reasons.QUERY_REFUSED, bad)
    observed, warnings = w.observed, _warnings(w)
    status = w.status.model_copy(
        update={
            "blue_slot": observed.blue_slot,
            "mode": observed.mode,
            "blue_subset": observed.blue_subset,
            "green_subset": observed.green_subset,
            "blue_elsewhere": observed.blue_elsewhere,
            "bypass_only": [f"{route.namespace}/{route.name}" for route in observed.routes if not route.weighted],
            "capacity": [
                CapacityStatus(member=m.name, replicas=m.blue.replicas, hpa=m.blue.hpa, hpa_min=m.blue.hpa_min) for m in observed.members
            ],
            "images_before": {m.name: m.blue.image for m in observed.members},
            "templates_before": {m.name: m.blue.template for m in observed.members if m.blue.template},
            "objects": listed(w),
            "warnings": [in_words(warning) for warning in warnings],
        }
    )
    return stored(status, *warned(w))


def _warnings(w: World) -> tuple[Problem, ...]:
    return (*w.observed.warnings, *cautions(w))[:WARNINGS]


def warned(w: World) -> list[Record]:
    """One record for each thing that is legal but should be said: what the next helm upgrade does, who may not talk to green."""
    entries = [record(w, RecordKind.WARNING, warning.reason, warning.detail) for warning in _warnings(w)]
    return [replace(entry, key=f"{entry.key}/{number}") for number, entry in enumerate(entries)]


MOST_ADDED = 4_000
"""Letters of what was added to all routes: the status stays under 16 KB."""


def added(w: World) -> dict[str, str]:
    """What was added to each route and each DestinationRule, as the annotations say; as it was recorded where somebody took one off."""
    routes = {f"{r.namespace}/{r.name}": r.added for r in w.observed.routes if r.added and r.owner in ("", w.subject.uid)}
    rules = {rule.title: rule.added for rule in w.observed.rules if rule.added}
    known = {**w.status.added, **routes, **rules}
    return known if sum(map(len, known.values())) <= MOST_ADDED else w.status.added


def lost_marks(w: World) -> bool:
    """Whether somebody took our marks off what this release has opened: whose a route is, or what was added to it or to green's cluster."""
    if not w.status.added:
        return False
    if any(not rule.added and w.status.added.get(rule.title) for rule in w.observed.rules):
        return True
    mine = [r for r in w.observed.routes if r.found and r.owner in ("", w.subject.uid)]
    return any(not r.owner or (not r.added and w.status.added.get(f"{r.namespace}/{r.name}")) for r in mine)


MADE_AGAIN = frozenset({VIRTUAL_SERVICE.kind, DESTINATION_RULE.kind, HPA.kind})
"""Kinds that are the plan's by their name or their target. Another Deployment is another version, which somebody has to look at."""


def with_made_again(w: World, status: ReleaseStatus) -> ReleaseStatus:
    """The status that lists what was deleted and made again (`kubectl replace --force`) by its new uid; else the same object.

    The old uid goes: a tool may replace something every few minutes, and the status stays small. A cache may still show the old object.
    """
    if not w.observed.live:
        return status
    known = {(o.kind, o.namespace, o.name) for o in status.objects if o.kind in MADE_AGAIN}
    uids = {o.uid for o in status.objects}
    again = [o for o in w.observed.objects if (o.kind, o.namespace, o.name) in known and o.uid not in uids]
    if not again:
        return status
    places = {(o.kind, o.namespace, o.name) for o in again}
    return status.model_copy(update={"objects": [*(o for o in status.objects if (o.kind, o.namespace, o.name) not in places), *again]})


def made_again(w: World) -> Decision | None:
    """Written down before anything is written to it (S14), but for a way back, which acts first; None where nothing was made again."""
    status = with_made_again(w, w.status)
    return stored(status) if status is not w.status else None


def listed(w: World) -> list[ManagedObject]:
    """The resolved list with everything that is seen for the first time: nothing else is ever written (S14)."""
    known = {(o.kind, o.namespace, o.name, o.uid) for o in w.status.objects}
    fresh = [o for o in w.observed.objects if (o.kind, o.namespace, o.name, o.uid) not in known]
    return [*w.status.objects, *fresh]
