"""Preparing: green is brought up beside blue, and everything that its first request needs is there before it gets one.

routes claimed   green made, ready   its cluster on the routes   probes pass   route delay   queries tried
|------------------->|----------------------->|------------------->|------------>|------------->| first stage
"""

from dataclasses import dataclass

from controller.api.plan import GreenSource
from controller.api.release import Phase, ReleaseStatus
from controller.core import backward, forward, gates, missing, reasons, seen, trials
from controller.core.beginning import added, identify, listed, refuse_prepared
from controller.core.commands import ClaimRoutes, Decision, KeepCapacity, MakeGreen, OpenRoutes
from controller.core.steps import World, act, saying, stored, wait
from controller.core.words import many


def preparing(w: World) -> Decision:
    """Bring green up beside blue, without giving it a single request."""
    if w.status.blue_slot < 0:
        return identify(w)
    lost = backward.lost_routes(w) and not w.observed.unreadable  # one of several is enough: its users may meet green unjudged
    if w.observed.problems and (lost or all(route.owner != w.subject.uid for route in w.observed.routes)):
        if touched(w):  # the routes were ours, and somebody took them away: what was made for green goes, and blue gets its own back
            return backward.roll_back(w, w.observed.problems[0].reason, w.observed.problems[0].detail)
        return refuse_prepared(w)
    claimed = all(route.owner == w.subject.uid for route in w.observed.routes)
    if w.now > w.status.phase_since + w.plan.preparation.deadline and (not claimed or not made(w) or unready(w)):
        # A green that got ready while no controller looked is not sent away for that.
        return backward.roll_back(w, reasons.PREPARATION_DEADLINE, unready(w) or "not all of it could be made")
    if not claimed:
        return act(w, ClaimRoutes())
    if any(m.blue.hpa and m.blue.hpa_min < m.blue.replicas for m in w.observed.members):
        return act(w, KeepCapacity())
    return still_ending(w) or bring_up(w)


def touched(w: World) -> bool:
    """Whether this release has made or changed something already, besides the routes."""
    before = {c.member: c for c in w.status.capacity}
    made_ours = any(m.green.found and m.green.made and m.green.revision == w.subject.spec.revision for m in w.observed.members)
    raised = any(m.blue.hpa and m.name in before and m.blue.hpa_min > before[m.name].hpa_min for m in w.observed.members)
    return made_ours or raised


def bring_up(w: World) -> Decision:
    """Make what is missing, wait until it is ready, and give its cluster time to reach the proxies."""
    if not made(w):
        return act(w, MakeGreen(), reason=reasons.PREPARING_GREEN, detail="makes what is missing, then waits for its pods")
    images = missing.images_seen(w)
    if len(listed(w)) > len(w.status.objects) or images != w.status.images_ready:
        return stored(w.status.model_copy(update={"objects": listed(w), "images_ready": images}))
    other = missing.other_images(w)
    if other:
        return backward.roll_back(w, reasons.TARGET_GONE, other)
    lacking = unready(w)
    if lacking and not w.subject.spec.now:
        proven = w.status.ready_at or w.status.probe_passes
        unready_now = w.status.model_copy(update={"ready_at": 0.0, "probe_passes": 0}) if proven else w.status
        word = reasons.GREEN_STUCK if stuck(w) else reasons.PREPARING_GREEN
        return wait(w, word, lacking, until=w.now + 2.0, status=unready_now)
    if not all(route.has_green for route in w.observed.routes if route.found):
        return act(w, OpenRoutes())
    unproven = probes_to_go(w)
    if unproven:
        return wait(w, reasons.PREPARING_GREEN, unproven.words, until=w.now + PROBE_PAUSE_SECONDS, status=unproven.status)
    if not gates.ready_since(w):
        return stored(missing.as_judged(w).model_copy(update={"ready_at": w.now, "added": added(w)}))
    opens = w.status.ready_at + w.plan.preparation.route_delay
    if w.now < opens and not w.subject.spec.now:
        return wait(w, reasons.WAITING_FOR_CLUSTER, until=opens)
    if w.observed.problems:
        # What was fine at the start is not any more, or only the live endpoints show it: nobody has got a request yet.
        return backward.roll_back(w, w.observed.problems[0].reason, w.observed.problems[0].detail)
    bad = trials.refused(w)
    return backward.roll_back(w, reasons.QUERY_REFUSED, bad) if bad else first_weight(w)


def first_weight(w: World) -> Decision:
    """The first grant, once somebody could see green fail; after a hold this phase itself looks once more, more closely than that does."""
    blind = seen.why_unread(w) or trials.unanswered(w)  # asked for where `trials.due`
    if blind:
        return forward.hold_for_data(w, blind, phase=Phase.PREPARING)
    if w.status.hold is not None:
        return stored(saying(w.status, reasons.PREPARING_GREEN, "Prometheus answers again"))
    return forward.enter_stage(w, 0)


def still_ending(w: World) -> Decision | None:
    """Wait for the last pods of what was just scaled to nothing in green's place, as the old version is at the next start; None without."""
    if w.subject.spec.kind == "reverse" or w.plan.preparation.green is not GreenSource.CLONE:
        return None  # that one is only sized again, whatever pods it still has
    others = [m.green for m in w.observed.members if m.green.found and m.green.revision != w.subject.spec.revision]
    ending = [view for view in others if not view.replicas and not (view.empty and view.current)]
    words = f"{gates.named(ending)} in green's place, the version before, is still ending"
    return wait(w, reasons.PREPARING_GREEN, words, until=w.now + 1.0) if ending else None


def made(w: World) -> bool:
    """Whether everything of green stands, ready or not, its cluster included."""
    return w.observed.green_made and w.observed.cluster_ready


PROBE_PAUSE_SECONDS = 1.0
"""Between two probes of the same readiness; more often would count one moment twice."""


@dataclass(frozen=True, slots=True)
class Unproven:
    """Probes that must still pass in a row."""

    status: ReleaseStatus
    words: str


def probes_to_go(w: World) -> Unproven | None:
    """Whether green's probes must pass more often before it counts as ready; None where they have, or there are none."""
    attempts = max((member.probe.attempts for member in w.plan.all_members if member.probe is not None), default=0)
    status = w.status
    if status.ready_at or status.probe_passes >= attempts or w.subject.spec.now:
        return None
    if w.now - status.probed_at >= PROBE_PAUSE_SECONDS * 0.9:
        status = status.model_copy(update={"probe_passes": status.probe_passes + 1, "probed_at": w.now})
    if status.probe_passes >= attempts:
        return None
    return Unproven(status, f"health probes passed {status.probe_passes} of {many(attempts, 'time')}")


def stuck(w: World) -> bool:
    """Whether a member of green does not come up by itself (its image, a quota, a crash): a person is told at once, not at the deadline."""
    return any(member.green.stuck or member.green.restarts > w.plan.preparation.restarts for member in w.observed.members)


def unready(w: World) -> str:
    """What green still lacks, in words; empty when it is ready."""
    lacking = []
    for member in w.observed.members:
        green, needed = member.green, gates.needed_replicas(w, member.name)
        where = f"{green.namespace}/{green.name}"
        if green.stuck:
            lacking.append(f"{where}: {green.stuck}")
        elif not green.current and green.available >= needed:
            lacking.append(f"{where} is replacing its pods")
        elif green.available < needed:
            lacking.append(f"{where} has {green.available} of {many(needed, 'pod')} available")
        elif green.restarts > w.plan.preparation.restarts:
            lacking.append(f"{where} restarted {many(green.restarts, 'time')} (limit {w.plan.preparation.restarts})")
        elif green.endpoints < needed:
            lacking.append(f"{where} has {green.endpoints} of {many(needed, 'ready endpoint')}")
    return "; ".join(lacking) or seen.failing_probes(w)
