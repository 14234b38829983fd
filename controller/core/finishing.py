"""The end: success, the retention of the old version, and what finished releases still do. The way home is in `returning`."""

from controller.api.plan import GreenSource
from controller.api.release import Phase, ReleaseStatus, RetentionStatus, StageStatus, Verb
from controller.core import backward, deletion, gates, reasons, seen, teardown
from controller.core.beginning import made_again
from controller.core.commands import (
    AnswerRequest,
    CloseRoutes,
    Command,
    Decision,
    Direction,
    DropFinalizer,
    FollowAutoscaler,
    PruneHistory,
    RecordKind,
    RetireOld,
    SetWeight,
    ShrinkOld,
)
from controller.core.phases import BACKWARD, FINAL, FULL
from controller.core.retention import no_longer_kept
from controller.core.steps import World, act, back, moved, record, saying, stored
from controller.core.words import END_REFUSED, GETS_REQUESTS, HAS_TRAFFIC
from controller.core.world import RequestView, RouteView, WorkloadView

LOOK_SECONDS = 30.0
"""How often an old version that is kept beyond its end is looked at again while somebody waits for it; nothing is written by that."""

UNHURRIED_SECONDS = 300.0
"""The same while nobody waits. What can change meanwhile is told by the watches, but for requests that end."""


REFUSED_SECONDS = 60.0
"""How often a finished release tries again what the cluster refused."""

REFUSED_LENGTH = 300
"""Characters that are kept of a refusal."""


def finish(w: World) -> Decision:
    """The last window has passed and the gates are open."""
    if goes_home(w):
        begins = StageStatus(weight=FULL, entered_at=w.now)
        return stored(moved(w, Phase.RETURNING, reasons.RETURNING, "the original gets the new image", returning=begins, ready_at=0.0))
    return succeed(w)


def goes_home(w: World) -> bool:
    """Whether the original gets the new image and its traffic back before this release has succeeded."""
    return w.plan.finish.mode == "home" and w.status.blue_slot == 0 and w.subject.spec.kind == "forward"


def succeed(w: World) -> Decision:
    """Success is written first; giving things back and the retention follow it."""
    detail = in_words(w, w.now)
    retention = RetentionStatus(until=w.now + w.plan.finish.retention)
    status = moved(w, Phase.SUCCEEDED, reasons.SUCCEEDED, detail, retention=retention)
    return stored(status, record(w, RecordKind.FINISHED, reasons.SUCCEEDED, detail))


def in_words(w: World, at: float) -> str:
    """What has succeeded, and how long it took."""
    return f"revision {w.subject.spec.revision}, {at - (w.status.started_at or w.status.phase_since):.0f} s after its start"


def finished(w: World) -> Decision:
    """A final phase: requests get their answer, what was borrowed goes back, the retention runs out. Then silence (S16)."""
    untrue = untrue_end(w)
    if untrue:
        return untrue
    listed = made_again(w)
    if listed:
        return listed
    if w.observed.requests:
        return act(w, *(answer(w, request) for request in w.observed.requests))
    commands = leftovers(w)
    if commands:
        return act(w, *commands)
    if w.observed.unreadable and deletion.given_up(w):
        entry = record(w, RecordKind.WARNING, reasons.LEFT_UNSEEN, w.observed.unreadable)
        return stored(w.status, entry, commands=(DropFinalizer(),))
    if w.observed.unreadable:
        return Decision(status=w.status, wake_at=w.now + LOOK_SECONDS)  # what is left cannot be seen: it is neither removed nor forgotten
    if w.status.phase is Phase.SUCCEEDED:
        decision = retention(w)
        if decision:
            return decision
    gone = no_longer_kept(w.observed.finished, w.plan.history, w.now) if w.subject.plan is not None else ()
    if gone:
        return act(w, PruneHistory(tuple(release.name for release in gone)))
    return act(w, DropFinalizer()) if w.subject.finalizer else Decision(status=w.status)


def untrue_end(w: World) -> Decision | None:
    """An end on blue that somebody wrote into the status in mid-release: the route is still ours, and sends requests to green.

    Our own end of a rollback is written when everybody is on blue and the route is given back. The API server keeps the forged one,
    so it is made true. Of a success the retention says that its old version has traffic.
    """
    exposed = [r for r in w.observed.routes if r.found and r.owner == w.subject.uid and not r.blue_only]
    if w.status.phase is Phase.SUCCEEDED or not exposed:
        return None
    where = ", ".join(f"VirtualService {r.namespace}/{r.name} sent {r.share} to green" for r in exposed)
    detail = f"{where}, and sends everybody to blue now"
    entry = record(w, RecordKind.WARNING, reasons.END_UNTRUE, detail)
    return back(saying(w.status, reasons.END_UNTRUE, detail), SetWeight(0), records=(entry,))


def parting(w: World) -> Decision | None:
    """The namespace of the release is being deleted, and everything in it: the finalizer goes at once where it protects nothing else.

    Our rights there go in the same breath, in any order, and nothing can be recorded any more: whoever waits keeps the namespace for
    ever. A route in another namespace is put back first. None where the namespace stays.
    """
    if not w.observed.namespace_going:
        return None
    if w.status.phase not in FINAL and any(
        r.found and r.namespace != w.subject.namespace and not r.blue_only and r.owner == w.subject.uid for r in w.observed.routes
    ):
        return backward.abandon(w, reasons.RELEASE_DELETED) if w.status.phase not in BACKWARD else None
    commands = (DropFinalizer(),) if w.subject.finalizer else ()
    return Decision(status=w.status, commands=commands, direction=Direction.BACK, wake_at=w.now + LOOK_SECONDS)


def answer(w: World, request: RequestView) -> AnswerRequest:
    """A request of something that has ended changes nothing (S11); accepted where what it asks for holds already.

    One that was acted on, and perhaps ended the release by that, only lacks its answer.
    """
    if request.problem:
        words = reasons.say(reasons.REQUEST_INVALID, request.problem)
        return AnswerRequest(request.name, request.uid, accepted=False, reason=reasons.REQUEST_INVALID, message=words)
    if request.uid in w.status.requests:
        words = reasons.say(reasons.ACCEPTED, request.spec.verb)
        return AnswerRequest(request.name, request.uid, accepted=True, reason=reasons.ACCEPTED, message=words)
    accepted, reason, detail = False, reasons.ALREADY_FINISHED, f"it is {w.status.phase}, there is nothing to {request.spec.verb}"
    if request.spec.verb is Verb.ROLLBACK:
        accepted, reason, detail = rolled_back_already(w)
    return AnswerRequest(request.name, request.uid, accepted=accepted, reason=reason, message=reasons.say(reason, detail))


def rolled_back_already(w: World) -> tuple[bool, str, str]:
    """Whether everybody is on blue, as the routes say now and not as the status remembers it; reason and words."""
    if w.status.phase is Phase.SUCCEEDED:
        return False, reasons.TAKE_BACK, f"penstock rollback {w.subject.name} -n {w.subject.namespace}"
    if w.status.blue_slot < 0:
        return True, reasons.ALREADY_BACK, f"the release is {w.status.phase} and never touched a route"
    changed = [f"VirtualService {r.namespace}/{r.name} {what}" for r in w.observed.routes if (what := moved_since(r))]
    if changed:
        return False, reasons.MOVED_SINCE, "; ".join(changed)
    return True, reasons.ALREADY_BACK, f"everybody is on blue, the release is {w.status.phase}"


def moved_since(route: RouteView) -> str:
    """What a route does instead of sending everybody to blue, in words; "" where it does send them there."""
    if not route.found:
        return "is gone"
    if route.astray:
        return "sends requests elsewhere than to the versions of the plan"
    return "" if route.blue_only else (f"has {route.green_weight} %" if route.weighted else "has bypass rules") + " where its green was"


def leftovers(w: World) -> tuple[Command, ...]:
    """What a finished release still holds."""
    if w.subject.plan is None:
        return ()
    home = w.plan.finish.mode == "home" and w.status.returned_at > 0
    serving = "green" if w.status.phase is Phase.SUCCEEDED and not home else "blue"
    commands = teardown.borrowed(w, serving=serving)
    if serving == "green" and still_used(w):
        # A route that somebody leads to the old version again is not given back: `retention` says so, and waits for its end.
        return tuple(command for command in commands if not isinstance(command, CloseRoutes))
    return commands


def retention(w: World) -> Decision | None:
    """Keep the old version as long as the plan says; the next start cuts it short. None when nothing is left."""
    kept = w.status.retention
    if kept is None or kept.done or w.subject.plan is None:
        return None
    if w.status.returned_at:
        return stored(retaining(w, kept, done=True, kept=""))
    reversed_by = any(r.supersedes == w.subject.name for r in w.observed.rivals)
    if not reversed_by and unscaled(w):
        return act(w, FollowAutoscaler())
    over = w.now >= kept.until or bool(w.observed.rivals) or w.subject.deleted
    if reversed_by or (over and (w.plan.finish.then == "keep" or _old_is_gone(w))):
        return stored(retaining(w, kept, done=True, kept=""))
    why = still_used(w) or ((undrained(w) or other_writers(w)) if over else "")
    told = retaining(w, kept, kept=why)
    if told != w.status and (why or not kept.kept.startswith(END_REFUSED)):
        return stored(told)
    if why:
        return Decision(status=w.status, wake_at=w.now + look_seconds(w))
    if over:
        return act(w, RetireOld())
    if w.plan.finish.size is not None and not kept.shrunk:
        return shrunk(w, kept, w.plan.finish.size)
    if kept.kept:  # what was refused has been done since
        return stored(retaining(w, kept, kept=""))
    return Decision(status=w.status, wake_at=kept.until)


def retaining(w: World, before: RetentionStatus, **changed: object) -> ReleaseStatus:
    """The status with what changed about the old version that is kept; that it serves again is what the release says first."""
    kept = before.model_copy(update=changed)
    status = w.status.model_copy(update={"retention": kept})
    route = led_back(w) if kept.kept.startswith(HAS_TRAFFIC) else None
    if route is not None:
        old = FULL - route.green_weight
        words = f"sends it {old} %" if old else "has a rule that sends to it alone"
        return saying(status, reasons.OLD_VERSION_SERVES, f"VirtualService {route.namespace}/{route.name} {words}")
    return saying(status, reasons.SUCCEEDED, in_words(w, status.finished_at)) if status.reason == reasons.OLD_VERSION_SERVES else status


def refused(w: World, sentence: str) -> Decision:
    """What the cluster does not let a success do is tried again each minute, and said, since the next release waits for it."""
    kept, why = w.status.retention, f"{END_REFUSED}: {sentence}"[:REFUSED_LENGTH]
    if w.status.phase is not Phase.SUCCEEDED or kept is None or kept.done or why == kept.kept:
        return Decision(status=w.status, wake_at=w.now + REFUSED_SECONDS)
    status = retaining(w, kept, kept=why)
    return Decision(status=status, store=True, wake_at=w.now + REFUSED_SECONDS)


def shrunk(w: World, kept: RetentionStatus, size: int) -> Decision:
    """The old version at the size that the plan keeps of it, once it has drained."""
    if w.now < w.status.phase_since + w.plan.rollback.drain:
        return Decision(status=w.status, wake_at=w.status.phase_since + w.plan.rollback.drain)
    if any(m.blue.found and m.blue.replicas > size and not of_others(w, m.name, m.blue) for m in w.observed.members):
        return act(w, ShrinkOld(size))
    return stored(retaining(w, kept, shrunk=True))


def unscaled(w: World) -> bool:
    """Whether the clone that serves now lacks the autoscaler that blue has. Who makes an adopted green decides about its own.

    Not before success: until then green is as large as blue, whatever its load. Now it has had everybody's requests for a bake, so
    that an autoscaler which begins here sees the load of all of them, and does not shrink it first.
    """
    if w.plan.finish.mode == "home" or w.plan.preparation.green is GreenSource.ADOPT:
        return False
    return any(m.blue.hpa and not m.green.hpa and not gates.gone(m.green) for m in w.observed.members)


def led_back(w: World) -> RouteView | None:
    """A route that somebody leads to the old version again; None where none is."""
    return next((r for r in w.observed.routes if r.has_less(FULL) or (r.found and r.aside)), None)


def still_used(w: World) -> str:
    """Whether somebody gave the old version traffic again, in words with the command that ends it: nothing goes under users (S5)."""
    route = led_back(w)
    if route is None:
        return ""
    return f"{HAS_TRAFFIC}; give it all to the new one by `kubectl edit virtualservice {route.name} -n {route.namespace}`"


def look_seconds(w: World) -> float:
    """How long nobody need look at an old version that is kept beyond its end."""
    waited_for = bool(w.observed.rivals) or w.subject.deleted
    return LOOK_SECONDS if waited_for or patient(w) else UNHURRIED_SECONDS


def undrained(w: World) -> str:
    """What speaks against taking the old version down now, in words: the drain, requests that were seen, or nobody who could say."""
    if w.now < w.status.phase_since + w.plan.rollback.drain or (seen.old_drains(w) and patient(w)):
        return "it drains"
    quiet = seen.quiet_old(w)
    if quiet is False:
        if w.status.blue_elsewhere:  # scaled to nothing, it would be missed by those whom these rules lead there
            return f"{GETS_REQUESTS}; lead the rules that the plan does not name to the new version, or stop who asks it"
        old = next((m.blue for m in w.observed.members if m.blue.found and m.blue.replicas), None)
        down = f", or `kubectl scale deployment {old.name} -n {old.namespace} --replicas=0`" if old is not None else ""
        return f"{GETS_REQUESTS}; stop who asks it{down}"
    return "nobody can say whether it still gets requests" if quiet is None and not w.subject.deleted and patient(w) else ""


def patient(w: World) -> bool:
    """Whether an old version that nobody can speak for is still waited with."""
    return w.now < asked_since(w) + w.plan.rollback.drain_deadline


def asked_since(w: World) -> float:
    """Since when the old version may go, Unix seconds: its time is over, or the next release waits."""
    over = w.status.retention.until if w.status.retention else w.now
    return max(w.status.phase_since, min([over, *(rival.created for rival in w.observed.rivals)]))


def other_writers(w: World) -> str:
    """Whether another manager than ours wrote the weights, in words: it may write them back, and then somebody must be there.

    Who starts the next release or deletes this one has seen that, so that it counts no more.
    """
    if w.observed.rivals or w.subject.deleted:
        return ""
    names = sorted({r.foreign for r in w.observed.routes if r.found and r.foreign})
    if names:
        return f"{', '.join(names)} has written the route since"
    return "another writer changed the weights during the release" if w.status.drift.count else ""


def of_others(w: World, member: str, old: WorkloadView) -> bool:
    """Whether a later release, or somebody by hand, has put something else in the old version's place: that is not ours to take down."""
    return old.image != w.status.images_before.get(member, old.image) or gates.replaced(w, old)


def _old_is_gone(w: World) -> bool:
    """Deleted, or scaled to zero where it is to be kept."""
    for member in w.observed.members:
        old = member.blue
        if not old.found or of_others(w, member.name, old):
            continue
        delete = w.plan.finish.then == "delete" or (w.plan.finish.then == "auto" and old.made)
        if delete or old.replicas > 0:
            return False
    return True
