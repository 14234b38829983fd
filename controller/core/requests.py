"""What people and pipelines ask: accepted or refused, applied once, answered always.

The effect is written into the Release together with the request's uid; the answer goes into the request
afterwards. A crash between the two finds the uid and only answers again (S11). Toward blue a request is
never refused for an unmet expectation.
"""

from dataclasses import replace

from controller.api.release import Phase, ReleaseStatus, Verb
from controller.core import backward, bets, forward, gates, missing, reasons, returning
from controller.core.commands import AnswerRequest, Decision, RecordKind
from controller.core.phases import BACKWARD
from controller.core.steps import World, act, moved, record, stored
from controller.core.world import RequestView

REMEMBERED = 20
"""Uids of requests that are kept in the status; older ones carry their answer themselves."""

WANTING = frozenset({reasons.TOO_FEW_REQUESTS, reasons.SPLIT_UNSEEN, reasons.NO_DATA})
"""Reasons of a stop that say nothing against what was counted: there was only not enough of it."""

GATED = frozenset({Phase.SHIFTING, Phase.MEASURING, Phase.BAKING})


def answer_first(w: World) -> Decision | None:
    """The decision that the oldest unanswered request causes; None where there is none."""
    if not w.observed.requests:
        return None
    backs = [r for r in w.observed.requests if r.spec.verb is Verb.ROLLBACK]
    request = (backs or list(w.observed.requests))[0]
    if request.uid in w.status.requests:
        return act(w, _answer(request, reasons.ACCEPTED, done(w, request)))
    refusal = refused(w, request)
    if refusal:
        return act(w, _answer(request, *refusal, accepted=False))
    return apply(w, request)


def for_nobody(request: RequestView) -> AnswerRequest:
    """The answer to a request whose release does not exist."""
    return _answer(request, reasons.RELEASE_MISSING, request.spec.release, accepted=False)


def refused(w: World, request: RequestView) -> tuple[str, str] | None:
    """Why a request is refused: (reason, detail); None where it is not."""
    spec = request.spec
    if request.problem:
        return reasons.REQUEST_INVALID, request.problem
    if spec.release_uid not in ("", w.subject.uid):
        return reasons.WRONG_RELEASE, ""
    if spec.verb is Verb.ROLLBACK:
        return None
    return forward_refused(w, request)


def forward_refused(w: World, request: RequestView) -> tuple[str, str] | None:
    """As `refused`, for every verb but the way back."""
    spec, status = request.spec, w.status
    if w.subject.unread:
        return reasons.RELEASE_UNREAD, w.subject.unread
    if spec.verb is not Verb.PAUSE:
        unmet = unmet_expectation(w, request)
        if unmet:
            return reasons.EXPECTATION, unmet
    if backward.is_backward(status) and not (spec.verb is Verb.RESUME and only_teardown_left(status)):
        return reasons.NOT_NOW, f"it is {status.phase}"
    match spec.verb:
        case Verb.PAUSE:
            ok = status.phase in GATED or (status.phase is Phase.HOLDING and status.weight > 0) or status.phase is Phase.PREPARING
            return None if ok else (reasons.NOT_NOW, f"it is {status.phase}")
        case Verb.RESUME:
            return None if status.phase in (Phase.HOLDING, Phase.HALTED) else (reasons.NOT_PAUSED, f"it is {status.phase}")
        case Verb.ADVANCE | Verb.PROMOTE:
            return skip_refused(w, spec.verb, spec.reason)
        case Verb.ROLLBACK:
            return None


def only_teardown_left(status: ReleaseStatus) -> bool:
    """Whether it was halted on the way back with everybody on blue: a person may say that green can go."""
    return status.phase is Phase.HALTED and status.rollback is not None and status.rollback.traffic_at > 0


def skip_refused(w: World, verb: Verb, why: str) -> tuple[str, str] | None:
    """Why a gate may not be skipped now."""
    if not why.strip():
        return reasons.REASON_NEEDED, ""
    if verb is Verb.PROMOTE and missing.can_go_without(w):
        gate = gates.green_capacity(w)
        return None if gate.open else (gate.reason, gate.detail)
    if (w.standing not in GATED or w.status.stage < 0) and not unjudgeable(w):
        first = f": penstock resume first, then penstock {verb}" if w.status.phase is Phase.HALTED and w.status.weight else ""
        return reasons.NOT_NOW, f"it is {w.status.phase}{first}"
    if verb is Verb.ADVANCE and w.last_stage and (w.status.phase is Phase.SHIFTING or w.status.weight < w.stage.weight):
        return reasons.NOT_NOW, "its last weight is still on the way"
    if verb is Verb.PROMOTE and w.last_stage:
        return reasons.NOT_NOW, "it has all the traffic already"
    gate = gates.green_capacity(w)
    return None if gate.open else (gate.reason, gate.detail)


def unjudgeable(w: World) -> bool:
    """Whether green is ready and waits for its first request because nobody could judge it: a person may take that on themselves."""
    hold = w.status.hold
    return w.status.phase is Phase.HOLDING and hold is not None and (hold.phase, hold.reason) == (Phase.PREPARING, reasons.NO_DATA)


def unmet_expectation(w: World, request: RequestView) -> str:
    """What differs from what the asker saw; empty where nothing does."""
    expect, status = request.spec.expect, w.status
    differences = []
    if expect.phase is not None and expect.phase is not status.phase:
        differences.append(f"phase is {status.phase}, expected {expect.phase}")
    if expect.stage is not None and expect.stage != status.stage:
        wanted, stands = expect.stage, status.stage
        differences.append(f"expect.stage is {wanted} (stage {wanted + 1}), and it stands at {stands} (stage {stands + 1})")
    if expect.revision is not None and expect.revision != w.subject.spec.revision:
        differences.append(f"revision is {w.subject.spec.revision}, expected {expect.revision}")
    return "; ".join(differences)


def apply(w: World, request: RequestView) -> Decision:
    """The request's effect, with its uid remembered in the same write."""
    spec = request.spec
    noted = w.with_status(remember(w.status, request.uid))
    why = " ".join(spec.reason.split())  # one line: a decision, an Event and a change of `wait` are a line each
    actor = spec.actor or "somebody"
    who = f"{actor}{': ' + why if why else ''}"
    entry = record(w, RecordKind.REQUEST, reasons.ACCEPTED, f"{spec.verb} by {who}", uid=request.uid, verb=spec.verb, actor=actor)
    entry = replace(entry, key=f"{entry.key}/{request.uid[:8]}")  # two people may ask in the same phase
    if spec.verb is Verb.ROLLBACK:
        if w.status.phase in BACKWARD or (w.status.rollback and w.status.phase is not Phase.HALTED):
            return stored(noted.status, entry)
        return backward.abandon(noted, reasons.ROLLBACK_REQUESTED, who, also=(entry,))
    effect = forward_effect(noted, request, who)
    return replace(effect, records=(entry, *effect.records))


def forward_effect(w: World, request: RequestView, who: str) -> Decision:
    """What every other verb does."""
    if request.spec.verb is not Verb.PAUSE:
        w = w.with_status(bets.gone_on(w))
        w = w.with_status(missing.as_judged(w)) if w.status.hold and w.status.hold.reason == reasons.GREEN_CHANGED else w
    match request.spec.verb:
        case Verb.PAUSE:
            return pause(w, who)
        case Verb.RESUME:
            return resume(w, who)
        case Verb.ADVANCE:
            return advance(w, request.uid)
        case Verb.PROMOTE:
            return promote(w, request.uid)
        case Verb.ROLLBACK:
            raise AssertionError("apply() has taken the way back")


def advance(w: World, uid: str) -> Decision:
    """Enter the next stage; after the last one there is only the end."""
    if w.last_stage:
        return forward.next_stage(w.with_status(_skip(w.status, uid)))
    return forward.enter_stage(w, w.status.stage + 1, skipped=uid)


def promote(w: World, uid: str) -> Decision:
    """Everything to green, which bakes then; with blue deleted the stage begins anew even where green has everything."""
    if missing.can_go_without(w):
        w = w.with_status(w.status.model_copy(update={"without_blue": uid}))
    return forward.enter_stage(w, len(w.stages) - 1, skipped=uid)


def _skip(status: ReleaseStatus, uid: str) -> ReleaseStatus:
    stages = list(status.stages)
    stages[status.stage] = stages[status.stage].model_copy(update={"skipped": uid})
    return status.model_copy(update={"stages": stages})


def remember(status: ReleaseStatus, uid: str) -> ReleaseStatus:
    """The status that knows this request."""
    return status.model_copy(update={"requests": [*status.requests, uid][-REMEMBERED:]})


def pause(w: World, who: str) -> Decision:
    """Freeze weight and window; triggers stay on."""
    phase = w.status.hold.phase if w.status.hold else w.status.phase
    return forward.hold_for_person(w, reasons.PAUSED, who, phase=phase)


def resume(w: World, who: str) -> Decision:
    """Go on from the highest stage that is not above the observed weight, or from the first, with a new window.

    Where only requests or samples were wanting, and the weights are still those of the stage, what was counted goes on to count.
    """
    status = w.status
    if only_teardown_left(status) and status.rollback is not None:
        # Only the teardown is left: a person says that green gets no traffic.
        done = status.rollback.model_copy(update={"drained_at": w.now})
        return stored(moved(w, Phase.TEARING_DOWN, reasons.TEARING_DOWN, rollback=done))
    if status.hold and status.hold.phase is Phase.PREPARING:
        return stored(moved(w, Phase.PREPARING, reasons.ACCEPTED, f"resume by {who}"))
    if status.returning and (status.phase is Phase.HALTED or w.standing is Phase.RETURNING):
        return stored(moved(w if wanting(w) else returning.again(w), Phase.RETURNING, reasons.ACCEPTED, f"resume by {who}"))
    if status.hold and status.hold.reason == reasons.MANUAL_HOLD:
        return advance(w, status.requests[-1])
    if wanting(w):
        word, phase = counting_phase(w)
        return stored(moved(w, phase, word, goes_on(w)))
    weights = [stage.weight for stage in w.stages]
    seen = w.observed.lowest_weight
    index = max((i for i, weight in enumerate(weights) if weight <= seen and i <= status.stage), default=0)
    return forward.enter_stage(w, index)


def wanting(w: World) -> bool:
    """Whether it stands only because requests or samples are wanting: what was counted so far stays true, and so it goes on counting."""
    status = w.status
    reason = status.hold.reason if status.phase is Phase.HOLDING and status.hold is not None else status.reason
    if reason not in WANTING or status.stage < 0:
        return False
    if status.returning is not None:
        return bool(status.returned_at) and status.returning.window is not None and status.returning.verdict is None
    here = w.stage_status
    same_weights = {status.weight, w.observed.lowest_weight, w.observed.green_weight} == {w.stage.weight}
    return same_weights and bool(here.shifted_at) and here.verdict is None


def counting_phase(w: World) -> tuple[str, Phase]:
    """Where a stop that was `wanting` goes on, and the word for it."""
    if w.stage_status.window is None:
        return reasons.SETTLING, Phase.SHIFTING
    return (reasons.BAKING, Phase.BAKING) if w.last_stage else (reasons.MEASURING, Phase.MEASURING)


def goes_on(w: World) -> str:
    """What counts on, in words."""
    return "the window goes on with what was counted" if w.stage_status.window is not None else "what was seen of the split counts on"


def done(w: World, request: RequestView) -> str:
    """What was done. The answer comes before the next step, so that a stage that has no weights yet was begun anew by this request."""
    verb = request.spec.verb
    if verb is Verb.ROLLBACK and w.status.phase is Phase.ROLLING_BACK and w.status.reason in reasons.UNTAKEN:
        return f"{verb}. {w.status.message} {reasons.next_step(w.status.reason)}"
    if verb is not Verb.RESUME or w.status.stage < 0 or w.status.returning is not None:
        return verb
    if w.status.phase is Phase.SHIFTING and w.status.stage and w.status.stages[w.status.stage - 1].skipped == request.uid:
        return f"{verb}; the stage of {w.stage.weight} % begins"  # a manual hold was all that it waited for
    if w.status.phase is Phase.SHIFTING and not w.stage_status.shifted_at:
        anew = f"the stage of {w.stage.weight} % begins anew and counts from zero"
        return f"{verb}; {anew}, because the stop may have changed what was counted"
    return f"{verb}; {goes_on(w)}" if w.status.phase in GATED else verb


def _answer(request: RequestView, reason: str, detail: str, *, accepted: bool = True) -> AnswerRequest:
    return AnswerRequest(request.name, request.uid, accepted=accepted, reason=reason, message=reasons.say(reason, detail))
