"""The way to green, stage by stage: Shifting, Measuring, Baking. One step a look.

Toward green everything explains itself: the verdict is written, then the grant, then the weight, then
`status.weight`, each in its own look at the world (design, rule 1). A step is never combined with the
next one, so that a crash between any two leaves something that the next controller understands.

    grant          weight         settled       opened            closed
      |-- write ---->|-- observed --->|- warm-up ->|==== window ====>|-- verdict, gates --> next grant
"""

from dataclasses import replace

from analysis.model import Outcome
from controller.api.release import Phase, StageStatus, WindowStatus
from controller.core import backward, cautions, finishing, gates, readings, reasons, seen, sequential
from controller.core.beginning import added
from controller.core.commands import (
    Decision,
    KeepCapacity,
    RecordKind,
    SetWeight,
    SizeGreen,
)
from controller.core.settling import SplitVerdict
from controller.core.steps import DATA_DEADLINE_SECONDS, POLL_SECONDS, World, act, hold, moved, record, set_stage, stored, wait
from controller.core.traffic import GAP_SCRAPES


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
    if any(route.found and (route.has_other(target) or route.bypass_stale or route.aside) for route in w.observed.routes):
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
    rising = any(route.found and (route.has_less(w.stage.weight) or route.bypass_stale) for route in w.observed.routes)
    gate = gates.green_capacity(w)
    return None if gate.open or not rising or w.subject.spec.now else short_of_pods(w, gate)


def settle(w: World) -> Decision:
    """Open the window once the observed split agrees with the granted one."""
    if readings.of_another_clock(w.stage_status.shifted_at, w.now):
        return stored(set_stage(w.status, shifted_at=w.now))
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
        return hold_for_data(w, f"{silent} ({detail} judged)", phase=w.status.phase)
    word = reasons.BAKING if w.status.phase is Phase.BAKING else reasons.MEASURING
    if w.now < window.opened_at:
        return wait(
            w, reasons.WARMING_UP, f"in {window.opened_at - w.now:.0f} s", until=window.opened_at + seen.look_again(w), status=w.status
        )
    return wait(w, word, detail, until=w.now + min(remaining, seen.look_again(w)), status=w.status)


RARE_SAMPLES = 3
"""So many samples in a row of which each came too late to count are no outage: Prometheus scrapes more rarely than the plan says."""


def stalled(w: World, window: WindowStatus) -> str:
    """For how long no sample came that counts, in words, and why where that is known; empty while that is normal."""
    silent = w.now - max(window.last_sample, w.stage_status.settled_at)
    limit = max(POLL_SECONDS * 3, w.plan.traffic.scrape_interval * 4) + w.stage.warm_up
    if seen.clocks_differ(w):
        return seen.why_blind(w)
    if silent <= limit:
        return rare(w) if (window.apart or 0) >= RARE_SAMPLES else ""
    blind = seen.why_blind(w)
    awaited = seen.awaited(w)
    return f"no sample of {awaited[0] if len(awaited) == 1 else 'both versions'} since {silent:.0f} s{f': {blind}' if blind else ''}"


def rare(w: World) -> str:
    """That the samples come too far apart to be judged."""
    scrape = w.plan.traffic.scrape_interval
    return (
        f"samples come more than {GAP_SCRAPES * scrape:g} s apart, and traffic.scrapeInterval says {scrape:g} s; "
        "such gaps are not judged, so write there how often Prometheus scrapes"
    )


THEN = {"rollback": "rollback", "hold": "wait"}
"""The plan's word for the end of a hold without data, in the hold's."""


def hold_for_data(w: World, detail: str, *, phase: Phase) -> Decision:
    """Wait for data, as long as the plan's least patient check does."""
    return hold(w, reasons.NO_DATA, detail, phase=phase, until=w.now + no_data_deadline(w), then=THEN[no_data_then(w)])


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
