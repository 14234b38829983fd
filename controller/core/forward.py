"""The way to green: Queued, Preparing, Shifting, Measuring, Baking. One step a look.

Toward green everything explains itself: the verdict is written, then the grant, then the weight, then
`status.weight`, each in its own look at the world (design, rule 1). A step is never combined with the
next one, so that a crash between any two leaves something that the next controller understands.

    grant          weight         settled       opened            closed
      |-- write ---->|-- observed --->|- warm-up ->|==== window ====>|-- verdict, gates --> next grant
"""

from dataclasses import dataclass, replace

from analysis.model import Outcome
from controller.api.plan import GreenSource
from controller.api.release import HoldStatus, Phase, ReleaseStatus, StageStatus, WindowStatus
from controller.core import backward, cautions, finishing, gates, missing, reasons, seen, sequential, trials
from controller.core.beginning import added, identify, listed, refuse, refuse_prepared
from controller.core.commands import (
    AddFinalizer,
    ClaimRoutes,
    Decision,
    FreezePlan,
    KeepCapacity,
    LockPlan,
    MakeGreen,
    OpenRoutes,
    RecordKind,
    SetWeight,
    SizeGreen,
)
from controller.core.steps import DATA_DEADLINE_SECONDS, POLL_SECONDS, World, act, hold, moved, record, set_stage, stored, wait
from controller.core.traffic import SplitVerdict
from controller.core.words import is_used, many
from controller.core.world import Rival


def queued(w: World) -> Decision:
    """Wait for the plan's lock, freeze the plan, begin. What is refused already now is so before anybody gives way to it."""
    if w.observed.problems:
        return refuse_prepared(w)
    if not w.subject.finalizer:
        return act(w, AddFinalizer())
    if not w.observed.plan_found and w.subject.spec.kind != "reverse":
        return refuse(w, reasons.PLAN_MISSING, w.subject.spec.plan)
    newer = superseder(w)
    if newer:
        return stored(moved(w, Phase.ROLLED_BACK, reasons.SUPERSEDED, newer.name))
    ahead = [rival for rival in w.observed.rivals if is_ahead(w, rival)]
    if ahead:
        return behind(w, min(ahead, key=lambda rival: rival.created))
    w = w.with_status(w.status.model_copy(update={"hold": None})) if w.status.hold is not None else w  # nobody is waited for any more
    unlocked = lock(w)
    if unlocked:
        return unlocked
    if not w.status.plan_hash:
        # Decided once, here; the plan that has this hash is stored by the next write, unless it is edited in between (`decide.unusable`).
        return stored(w.status.model_copy(update={"plan_hash": w.observed.plan_hash, "started_at": w.now}))
    if w.observed.frozen != w.status.plan_hash:
        return act(w, FreezePlan(w.status.plan_hash))
    status = moved(w, Phase.PREPARING, reasons.PREPARING_GREEN, "looks at what is there")
    return stored(
        status, record(w, RecordKind.STARTED, reasons.PREPARING_GREEN, w.subject.spec.revision, images=dict(w.subject.spec.images))
    )


def lock(w: World) -> Decision | None:
    """Take the plan's lock, or wait for it; None once it is held.

    A success is taken back after its plan was deleted, too: without a plan nobody else can begin.
    """
    if not w.observed.plan_found:
        return None
    if w.observed.lock_gone:
        # Nobody is left to give it back. The routes are looked at like at every start: refused where no version has 100 %.
        return act(w, LockPlan())
    if w.observed.lock not in ("", w.subject.uid):
        return wait(w, reasons.WAITING_FOR_PLAN, w.observed.lock_name or w.observed.lock, until=w.now + POLL_SECONDS)
    return None if w.observed.lock else act(w, LockPlan())


def behind(w: World, first: Rival) -> Decision:
    """Wait for that release, and say what keeps it: requests to its old version may never end, and then a person is waited for."""
    word = reasons.SUPERSEDING if supersedes(w, first) else reasons.WAITING_FOR_OLD if first.kept else reasons.WAITING_FOR_PLAN
    detail = f"{first.name}: {first.kept}" if word == reasons.WAITING_FOR_OLD else first.name
    decision = wait(w, word, detail, until=w.now + POLL_SECONDS)
    status = decision.status.model_copy(update={"hold": for_person(w, word, detail) if is_used(first.kept) else None})
    return replace(decision, status=status, store=(status.message, status.hold) != (w.status.message, w.status.hold))


def for_person(w: World, reason: str, detail: str) -> HoldStatus:
    """What a queued release says of the person whom it waits for; it goes on by itself once the reason is gone."""
    since = w.status.hold.since if w.status.hold is not None else w.now
    return HoldStatus(
        reason=reason,
        since=since,
        then="wait",
        waits_for="operator",
        phase=Phase.QUEUED,
        detail=detail,
        message=reasons.say(reason, detail),
    )


def is_ahead(w: World, rival: Rival) -> bool:
    """Whether that release must end, or have its retention ended, before this one may begin."""
    if rival.phase is not Phase.QUEUED:
        return True
    if supersedes(w, rival):
        return False
    place = w.subject.created if w.observed.place is None else w.observed.place
    return rival.order < (place, w.subject.created, w.subject.uid)


def supersedes(w: World, rival: Rival) -> bool:
    """Whether this release takes the place of that one."""
    spec = w.subject.spec
    if rival.name in (spec.supersedes, spec.reverse_of):
        return True
    newer = (w.subject.created, w.subject.uid) > (rival.created, rival.uid)
    return newer and (spec.kind == "reverse" or (w.subject.plan is not None and w.plan.concurrency == "supersede"))


def superseder(w: World) -> Rival | None:
    """The release that takes the place of this one, if there is one.

    A reverse release takes a success back, and waits for nothing: a release that runs meanwhile ends first. One that is queued keeps
    its place behind it.
    """
    forward, running = w.subject.spec.kind != "reverse", w.status.phase is not Phase.QUEUED
    for rival in w.observed.rivals:
        newer = (rival.created, rival.uid) > (w.subject.created, w.subject.uid)
        taken_back = newer and rival.reverse and forward and running
        if rival.supersedes == w.subject.name or taken_back or (newer and w.subject.plan is not None and w.plan.concurrency == "supersede"):
            return rival
    return None


def preparing(w: World) -> Decision:
    """Bring green up beside blue, without giving it a single request."""
    if w.status.blue_slot < 0:
        return identify(w)
    if w.observed.problems and all(route.owner != w.subject.uid for route in w.observed.routes):
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
        return act(w, MakeGreen(), reason=reasons.PREPARING_GREEN, detail="makes what is missing")
    images = missing.images_seen(w)
    if len(listed(w)) > len(w.status.objects) or images != w.status.images_ready:
        return stored(w.status.model_copy(update={"objects": listed(w), "images_ready": images}))
    other = missing.other_images(w)
    if other:
        return backward.roll_back(w, reasons.TARGET_GONE, other)
    lacking = unready(w)
    if lacking and not w.subject.spec.now:
        unready_now = w.status.model_copy(update={"ready_at": 0.0, "probe_passes": 0})
        return wait(w, reasons.PREPARING_GREEN, lacking, until=w.now + 2.0, status=unready_now)
    if not all(route.has_green for route in w.observed.routes if route.found):
        return act(w, OpenRoutes())
    unproven = probes_to_go(w)
    if unproven:
        return wait(w, reasons.PREPARING_GREEN, unproven.words, until=w.now + PROBE_PAUSE_SECONDS, status=unproven.status)
    if not w.status.ready_at:
        return stored(missing.as_judged(w).model_copy(update={"ready_at": w.now, "added": added(w)}))
    opens = w.status.ready_at + w.plan.preparation.route_delay
    if w.now < opens and not w.subject.spec.now:
        return wait(w, reasons.WAITING_FOR_CLUSTER, until=opens)
    if w.observed.problems:
        # What was fine at the start is not any more, or only the live endpoints show it: nobody has got a request yet.
        return backward.roll_back(w, w.observed.problems[0].reason, w.observed.problems[0].detail)
    bad = trials.refused(w)
    return backward.roll_back(w, reasons.QUERY_REFUSED, bad) if bad else enter_stage(w, 0)


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


def enter_stage(w: World, index: int, *, skipped: str = "") -> Decision:
    """Write the grant of a stage. The weight follows in a later look, when this is stored."""
    weight = w.stages[index].weight
    before = w.status
    if skipped and before.stage >= 0:
        before = set_stage(before, skipped=skipped)
    stages = [*before.stages[:index]]
    while len(stages) < index:  # a promotion jumps: the stages between say that they were skipped
        stages.append(StageStatus(weight=w.stages[len(stages)].weight, skipped=skipped))
    stages.append(StageStatus(weight=weight, entered_at=w.now))
    status = moved(
        w.with_status(before),
        Phase.SHIFTING,
        reasons.GRANTED,
        str(weight),
        stage=index,
        stages=stages,
        grant=max(before.grant, weight),
    )
    return stored(status, record(w, RecordKind.GRANT, reasons.GRANTED, str(weight), weight=weight, stage=index, request=skipped))


def shifting(w: World) -> Decision:
    """Write the weight, write down that it is written, wait until it is seen."""
    target = w.stage.weight
    if any(route.found and (route.green_weight != target or route.bypass_stale or route.aside) for route in w.observed.routes):
        return lacking_pods(w) or act(w, SetWeight(target))
    if w.status.weight != target or not w.stage_status.shifted_at:
        status = set_stage(w.status, shifted_at=w.now)
        most = max(status.max_weight, target)
        update: dict[str, object] = {"weight": target, "observed_weight": target, "max_weight": most, "added": added(w)}
        if not status.exposed_since:
            update["exposed_since"] = w.now
        return stored(status.model_copy(update=update))
    return settle(w)


def lacking_pods(w: World) -> Decision | None:
    """The grant may be old when its weight is written: pods that green has lost since then come first (S4). None where all are there."""
    rising = any(route.found and (route.green_weight < w.stage.weight or route.bypass_stale) for route in w.observed.routes)
    gate = gates.green_capacity(w)
    return None if gate.open or not rising or w.subject.spec.now else short_of_pods(w, gate)


def settle(w: World) -> Decision:
    """Open the window once the observed split agrees with the granted one."""
    split = seen.split(w)
    if split.settled:
        window = WindowStatus(opened_at=split.at + w.stage.warm_up, last_sample=split.at + w.stage.warm_up)
        status = set_stage(w.status, settled_at=w.now, window=window)
        phase = Phase.BAKING if w.last_stage else Phase.MEASURING
        word = reasons.BAKING if w.last_stage else reasons.MEASURING
        return stored(moved(w.with_status(status), phase, word, split.why))
    deadline = w.stage_status.shifted_at + w.plan.settle.deadline
    if w.now >= deadline or seen.clocks_differ(w):
        return unsettled(w, split, split.why, Phase.SHIFTING)
    return wait(w, reasons.SETTLING, split.why, until=min(deadline, w.now + seen.look_again(w)))


def unsettled(w: World, split: SplitVerdict, detail: str, phase: Phase) -> Decision:
    """Hold for a split that is not seen in time. That few people ask says nothing against a version: then a person decides in the end."""
    until = w.now + DATA_DEADLINE_SECONDS
    if split.too_few:
        return hold(w, reasons.SPLIT_UNSEEN, detail, phase=phase, until=until, then="halt")
    return hold(w, reasons.NO_DATA if split.no_data else reasons.NOT_SETTLED, detail, phase=phase, until=until)


def measuring(w: World) -> Decision:
    """Judge the window at its end, then ask the gates."""
    if w.stage_status.window is None:
        # Only an edited status can lead here; a window that nobody opened is opened again, never assumed.
        return stored(moved(w, Phase.SHIFTING, reasons.SETTLING, "the window was lost"))
    gate = gates.verdict(w)
    if gate.open:
        return next_stage(w)
    window = seen.advanced(w)
    status = set_stage(w.status, window=window)
    remaining = w.stage.window - window.ran
    if remaining > 0 and not sequential.proven(w.with_status(status), window):
        return progress(w.with_status(status), remaining)
    return judge(w.with_status(status))


def progress(w: World, remaining: float) -> Decision:
    """The window runs on; say how far it is, and hold where the data stopped coming."""
    window = w.stage_status.window
    assert window is not None  # noqa: S101 - measuring() has looked
    silent = stalled(w, window)
    detail = f"{window.ran:.0f} of {w.stage.window:.0f} s"
    if silent:
        return hold(
            w,
            reasons.NO_DATA,
            f"{silent} ({detail} judged)",
            phase=w.status.phase,
            until=w.now + no_data_deadline(w),
            then=THEN[no_data_then(w)],
        )
    word = reasons.BAKING if w.status.phase is Phase.BAKING else reasons.MEASURING
    if w.now < window.opened_at:
        return wait(
            w, reasons.WARMING_UP, f"in {window.opened_at - w.now:.0f} s", until=window.opened_at + seen.look_again(w), status=w.status
        )
    return wait(w, word, detail, until=w.now + min(remaining, seen.look_again(w)), status=w.status)


def stalled(w: World, window: WindowStatus) -> str:
    """For how long no sample came, in words, and why where that is known; empty while that is normal."""
    silent = w.now - max(window.last_sample, w.stage_status.settled_at)
    limit = max(POLL_SECONDS * 3, w.plan.traffic.scrape_interval * 4) + w.stage.warm_up
    if seen.clocks_differ(w):
        return seen.why_blind(w)
    if silent <= limit:
        return ""
    blind = seen.why_blind(w)
    awaited = seen.awaited(w)
    return f"no sample of {awaited[0] if len(awaited) == 1 else 'both versions'} since {silent:.0f} s{f': {blind}' if blind else ''}"


THEN = {"rollback": "rollback", "hold": "wait"}
"""The plan's word for the end of a hold without data, in the hold's."""


def no_data_deadline(w: World) -> float:
    """The shortest patience of the plan's checks, seconds."""
    return min((check.no_data.deadline for check in w.plan.checks), default=DATA_DEADLINE_SECONDS)


def no_data_then(w: World) -> str:
    """What the least patient check wants at its deadline."""
    impatient = min(w.plan.checks, key=lambda check: check.no_data.deadline, default=None)
    return impatient.no_data.then if impatient else "rollback"


def judge(w: World) -> Decision:
    """The verdict over all checks of this stage, written before anything rests on it."""
    answer = seen.verdict(w)
    if answer.pending:
        return wait(w, reasons.MEASURING, "asks the checks", until=w.now, status=w.status)
    status = set_stage(w.status, checks=list(answer.checks))
    w = w.with_status(status)
    data = {"stage": status.stage, "checks": [check.model_dump(mode="json") for check in answer.checks], "queries": answer.queries}
    if answer.outcome is Outcome.FAIL:
        failed = set_stage(status, verdict=Outcome.FAIL, verdict_at=w.now, verdict_key=gates.verdict_key(w))
        verdict = record(w, RecordKind.VERDICT, reasons.CHECK_FAILED, answer.detail, **data)
        return backward.roll_back(w.with_status(failed), reasons.CHECK_FAILED, answer.detail, cause=answer.cause, also=(verdict,))
    if answer.outcome is Outcome.INCONCLUSIVE:
        return undecided(w, answer, w.status.phase)
    window = w.stage_status.window
    early = window is not None and window.ran < w.stage.window
    passed = set_stage(status, verdict=Outcome.PASS, verdict_at=w.now, verdict_key=gates.verdict_key(w), early=early)
    if answer.baseline:
        passed = passed.model_copy(update={"baseline": list(answer.baseline)})
    detail = f"early, after {window.ran:.0f} of {w.stage.window:.0f} s: {answer.detail}" if window is not None and early else answer.detail
    passed, notes = cautions.with_unseen(w, passed)
    return stored(passed, record(w, RecordKind.VERDICT, reasons.STAGE_PASSED, detail, **data), *notes)


def undecided(w: World, answer: seen.WindowVerdict, phase: Phase) -> Decision:
    """Neither pass nor failure: measure again where a failure wants to be confirmed, else hold for the data."""
    if answer.confirming:
        word = reasons.RETURNING if phase is Phase.RETURNING else reasons.MEASURING
        return wait(w, word, answer.detail, until=w.now + POLL_SECONDS, status=w.status)
    # Data are there in both cases: what is missing is certainty, which is a person's to have.
    then = "halt" if answer.reason in (reasons.TOO_FEW_REQUESTS, reasons.WORSE_UNPROVEN) else THEN[answer.then]
    return hold(w, answer.reason, answer.detail, phase=phase, until=w.now + (answer.deadline or no_data_deadline(w)), then=then)


def next_stage(w: World) -> Decision:
    """Through the gates to the next grant, or to the end."""
    gate = gates.first_closed(w)
    if gate.open:
        return finishing.finish(w) if w.last_stage else keep_growth(w) or enter_stage(w, w.status.stage + 1)
    if gate.reason == reasons.CAPACITY_MISSING:
        return short_of_pods(w, gate)
    return hold(w, gate.reason, gate.detail, phase=w.status.phase, until=gate.until, waits_for=gate.waits_for)


def keep_growth(w: World) -> Decision | None:
    """Where blue has grown with its load it is held at that size too, before green takes more of the load off it; None where it has not."""
    now = {m.name: m.blue.replicas for m in w.observed.members if not gates.gone(m.blue)}
    capacity = [c.model_copy(update={"replicas": max(c.replicas, now.get(c.member, 0))}) for c in w.status.capacity]
    if capacity == w.status.capacity:
        return None
    return replace(act(w.with_status(w.status.model_copy(update={"capacity": capacity})), KeepCapacity()), store=True)


def short_of_pods(w: World, gate: gates.Gate) -> Decision:
    """Size green where it was made too small, else hold until its pods are ready."""
    if any(m.green.found and m.green.replicas < gates.needed_replicas(w, m.name) for m in w.observed.members):
        return act(w, SizeGreen(), reason=gate.reason, detail=gate.detail)
    return hold(w, gate.reason, gate.detail, phase=w.status.phase, until=gate.until)


def hold_for_person(w: World, reason: str, detail: str, *, phase: Phase) -> Decision:
    """Wait until a person asks; triggers stay on."""
    return hold(w, reason, detail, phase=phase, waits_for="operator")
