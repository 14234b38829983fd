"""Foreign changes of the weights: toward blue obeyed, toward green corrected, a fighter held off (rule 7)."""

from dataclasses import replace

from controller.api.release import Phase, ReleaseStatus
from controller.core import backward, fights, forward, reasons, returning
from controller.core.commands import Decision, RecordKind, SetWeight
from controller.core.steps import World, back, moved, record, set_stage, stored
from controller.core.world import RouteView

STEADY = frozenset({Phase.MEASURING, Phase.BAKING, Phase.HOLDING, Phase.HALTED})
"""No weight of ours is under way in these."""


def answer(w: World) -> Decision | None:
    """The decision that a foreign change causes; None where the weights are ours."""
    status = w.status
    if status.phase not in STEADY | {Phase.PREPARING, Phase.SHIFTING, Phase.RETURNING}:
        return None
    if status.phase is Phase.HALTED and status.rollback:
        return None  # a rollback that is owed waits for the route (backward.halted); rolling back again would never end
    if status.stage < 0:
        return begun(w) or too_early(w)
    gone = [f"{r.namespace}/{r.name}" for r in w.observed.routes if r.gone]
    if w.observed.unreadable and any(not r.found for r in w.observed.routes):
        return None  # perhaps it only may not be read
    if gone:
        return backward.roll_back(w, reasons.TARGET_GONE, f"VirtualService {', '.join(gone)} is gone")
    owed = begun(w)
    if owed or status.phase is Phase.RETURNING or (status.returned_at and w.standing is Phase.RETURNING):
        return owed or in_the_return(w)
    others = [r for r in w.observed.routes if r.found and backward.foreign(w, r.owner)]
    if others:
        return None if status.phase in (Phase.HOLDING, Phase.HALTED) else owned(w, others)
    return broken(w) or previews_gone(w) or turned(w) or moved_by_others(w)


def broken(w: World) -> Decision | None:
    """Routes that are not what was agreed on at the start any more: a person looks at them."""
    words = "; ".join(problem.detail for r in w.observed.routes if r.found for problem in r.problems)
    if words and w.status.phase not in (Phase.HOLDING, Phase.HALTED):
        return forward.hold_for_person(w, reasons.ROUTE_CHANGED, words, phase=w.status.phase)
    return None


def previews_gone(w: World) -> Decision | None:
    """Somebody deleted a VirtualService of listed bypass rules alone: nobody's weights depend on it, and a person looks.

    It is held for once, so that whatever that person does then goes on without it.
    """
    gone = [f"{r.namespace}/{r.name}" for r in w.observed.routes if not r.found and not r.weighted]
    if w.asks_person or set(gone) <= set(w.status.previews_gone):
        return None
    held = w.with_status(w.status.model_copy(update={"previews_gone": gone}))
    names = ", ".join(f"VirtualService {name}" for name in gone)
    detail = f"{names}, of bypass rules alone, was deleted: its users are not led to green any more; penstock resume goes on without it"
    return forward.hold_for_person(held, reasons.ROUTE_CHANGED, detail, phase=w.standing)


def turned(w: World) -> Decision | None:
    """Somebody took a listed bypass rule off, or turned it away from green, after the weights of this stage were written.

    Fewer requests for green are obeyed (rule 7): a person looks, and `resume` points the rule at green again, made anew where it is gone.
    """
    stale = [r for r in w.observed.routes if r.found and r.bypass_stale]
    if not stale or w.asks_person or not weights_stand(w):
        return None
    detail = f"a listed bypass rule of {_titles(stale)} was taken off or turned away from green; penstock resume sends it to green again"
    return forward.hold_for_person(w, reasons.ROUTE_CHANGED, detail, phase=w.standing)


def weights_stand(w: World) -> bool:
    """Whether all that this stage writes on the routes was written before this look began."""
    if w.standing in (Phase.MEASURING, Phase.BAKING):
        return True
    at = w.stage_status.shifted_at
    return w.standing is Phase.SHIFTING and w.status.weight == w.stage.weight and 0 < at < w.now


def moved_by_others(w: World) -> Decision | None:
    """Weights that are not ours: too much is put back, too little is obeyed."""
    status = w.status
    above = [r for r in w.observed.routes if r.green_weight > allowed(w) or r.void]
    if above:
        return correct(w, above)
    unrecorded = [r for r in w.observed.routes if r.stamp == w.subject.stamp]
    if unrecorded and status.phase in (Phase.MEASURING, Phase.BAKING):
        return take_up(w, unrecorded)
    below = [r for r in w.observed.routes if r.has_less(status.weight) and not r.problems]
    if below and (status.phase in STEADY or written(w)) and not _held_for_drift(w):
        return obey(w, below)
    aside = [r for r in w.observed.routes if r.aside and not r.problems]
    if aside and status.weight and status.phase is w.standing and weights_stand(w):
        words = f"a rule of {_titles(aside)} sends to blue alone{fights.writer(aside[0])}; penstock resume gives green its share there"
        return forward.hold_for_person(w, reasons.ROUTE_CHANGED, words, phase=status.phase)
    return None


def written(w: World) -> bool:
    """Whether the weight of this shift was written down before this look began: a route below it was changed since then."""
    return w.status.phase is Phase.SHIFTING and weights_stand(w)


def owned(w: World, routes: list[RouteView]) -> Decision:
    """Somebody wrote another release's name on a route of ours: nothing is written there until a person has looked."""
    names = ", ".join(f"VirtualService {r.namespace}/{r.name} carries the mark of release {r.owner}" for r in routes)
    return forward.hold_for_person(w, reasons.ROUTE_OWNED, names, phase=w.status.phase)


def begun(w: World) -> Decision | None:
    """A rollback that a controller before us has begun and could not write down is finished, from whatever phase it began in."""
    stamped = next((route for route in w.observed.routes if is_rollback_stamp(w, route)), None)
    return backward.take_up(w, stamped.because) if stamped is not None else None


def too_early(w: World) -> Decision | None:
    """Before the first grant green may have nothing: it is not even known to be ready. Routes that are not claimed yet are not ours."""
    above = [r for r in w.observed.routes if r.owner == w.subject.uid and r.green_weight > 0]
    return correct(w, above) if above else None


def in_the_return(w: World) -> Decision | None:
    """Somebody moves requests between the original and the clone of `finish: home`: obeyed, and a person says what comes next.

    Before the switch blue is the original, which is being brought up; after it the clone, which was judged, is the safe side
    (what happens then in the phase itself, `returning` knows). A switch of ours, in either direction, is nobody's drift.
    """
    if not w.status.returned_at:
        early = [r for r in w.observed.routes if r.has_less(w.status.weight)]
        return obey(w, early) if early and not returning.may_switch(w) else None
    held = w.status.hold
    if held is not None and (held.until is None or w.now < held.until) and any(r.found and r.green_weight for r in w.observed.routes):
        return returning.taken_back(w)
    return None


def allowed(w: World) -> int:
    """The highest weight that may stand on a route now."""
    if w.standing is Phase.RETURNING:
        return w.status.grant  # the clone may have its requests back until the original has passed
    if w.standing is Phase.SHIFTING and (w.status.hold is None or w.status.hold.tries_again):
        return max(w.status.weight, w.stage.weight)
    return w.status.weight


def is_rollback_stamp(w: World, route: RouteView) -> bool:
    """A controller before us rolled this route back and died before it could write that down."""
    uid, _, counter = route.stamp.partition("/")
    return uid == w.subject.uid and counter.isdigit() and int(counter) > w.status.phase_counter and route.blue_only


def correct(w: World, routes: list[RouteView]) -> Decision:
    """Put green back to what it may have, at once; hold where somebody keeps at it."""
    drift = fights.counted(w)
    status = w.status.model_copy(update={"drift": drift})
    command = SetWeight(w.status.weight, stamp=f"{w.subject.uid}/{w.status.phase_counter}")
    if fights.goes_on(drift) and w.status.phase is not Phase.HOLDING and w.status.phase is not Phase.HALTED:
        held = forward.hold_for_person(w.with_status(status), reasons.FIGHTER, fights.words(routes), phase=w.status.phase)
        return back(held.status, command, records=held.records)
    names = fights.had(routes)
    entry = record(w, RecordKind.HOLD, reasons.DRIFT_CORRECTED, names)
    return back(reopened(w.with_status(status), names), command, records=(entry,))


def take_up(w: World, routes: list[RouteView]) -> Decision:
    """A correction stands on the route with this very phase's stamp, but nobody could write it down: its window is owed anew."""
    names = ", ".join(f"{r.namespace}/{r.name}" for r in routes)
    status = w.status.model_copy(update={"drift": fights.counted(w)})
    return stored(reopened(w.with_status(status), names), record(w, RecordKind.HOLD, reasons.DRIFT_CORRECTED, names))


def reopened(w: World, names: str) -> ReleaseStatus:
    """A window that has seen another split is worth nothing: settle again, and judge a new one."""
    if w.status.phase not in (Phase.MEASURING, Phase.BAKING):
        return w.status
    fresh = set_stage(w.status, window=None, shifted_at=w.now, settled_at=0.0, checks=[], verdict=None)
    return moved(w.with_status(fresh), Phase.SHIFTING, reasons.DRIFT_CORRECTED, names)


def obey(w: World, routes: list[RouteView]) -> Decision:
    """A kubectl edit toward blue must stick: hold at what is there."""
    lowest = w.observed.lowest_weight
    names = ", ".join(f"{r.namespace}/{r.name} has {r.green_weight} %, {w.status.weight} % was set{fights.writer(r)}" for r in routes)
    status = w.status.model_copy(update={"weight": lowest, "observed_weight": lowest})
    if w.status.phase is Phase.HALTED:  # it waits for a person already, and goes on doing so for its own reason
        entry = record(w, RecordKind.HOLD, reasons.DRIFT_TO_BLUE, names)
        return stored(status, replace(entry, key=f"{entry.key}/{lowest}"))
    return forward.hold_for_person(w.with_status(status), reasons.DRIFT_TO_BLUE, names, phase=_phase_to_resume(w))


def _titles(routes: list[RouteView]) -> str:
    return ", ".join(f"VirtualService {r.namespace}/{r.name}" for r in routes)


def _phase_to_resume(w: World) -> Phase:
    if w.status.phase is Phase.RETURNING:
        return Phase.RETURNING
    return w.status.hold.phase if w.status.hold else Phase.SHIFTING


def _held_for_drift(w: World) -> bool:
    return w.status.hold is not None and w.status.hold.reason == reasons.DRIFT_TO_BLUE and w.observed.lowest_weight == w.status.weight
