"""`finish: home`: the original takes the new image, then the traffic, and is judged like a stage before the clone goes.

The clone is what was judged, so it is the safe side here: whatever the checks, a trigger or a deadline say
against the original puts everybody back on the clone, and a person is asked. The old version lives nowhere
any more once the original has the new image; a rollback brings it up there first (`backward`).

    new image     ready      weight 0     settled       opened            closed
      |-- pods -->|-- switch -->|-- observed -->|- warm-up ->|==== window ====>|-- clone goes --> Succeeded
                                |<---------------- back to the clone, ask ---------------|
"""

from dataclasses import replace

from analysis.model import Outcome
from controller.api.release import Phase, StageStatus, WindowStatus
from controller.core import bets, finishing, forward, gates, homeward, reasons, seen, teardown
from controller.core.commands import Decision, RecordKind, RemoveClone, SetWeight, UpdateHome
from controller.core.phases import FULL
from controller.core.sentences import explain
from controller.core.steps import DATA_DEADLINE_SECONDS, World, act, halt, hold, record, saying, stored, wait


def returning(w: World) -> Decision:
    """One step of the return."""
    if not w.status.returned_at:
        return bring_home(w)
    home = homeward.begun(w.status)
    if home.verdict is Outcome.FAIL:
        return return_failed(w, reasons.RETURN_FAILED, "; ".join(explain(c) for c in home.checks if c.outcome is Outcome.FAIL))
    if any(r.found and r.green_weight for r in w.observed.routes):
        return taken_back(w)
    if home.verdict is Outcome.PASS and home.verdict_key == verdict_key(w):
        return leave_clone(w)
    if home.window is None:
        return settle(w, home)
    return measure(w, home)


def bring_home(w: World) -> Decision:
    """The new image at full size, ready and answering its probes; then all requests in one write."""
    absent = gates.deleted_blue(w)
    if absent:
        return hold(w, reasons.HOME_GONE, absent, phase=Phase.RETURNING, waits_for="operator")
    lacking = gates.home_lacks(w, {m.name: m.green.image for m in w.observed.members}, updated=True)
    if lacking == gates.OTHER_VERSION:
        if w.now > w.status.phase_since + w.plan.preparation.deadline:
            other = "the original does not take the clone's image, or somebody gave the clone another one"
            return hold(w, reasons.HOME_UNREADY, other, phase=Phase.RETURNING, waits_for="operator")
        return act(w, UpdateHome())
    lacking = lacking or seen.failing_probes(w, "blue")
    if lacking:
        unready = w.status.model_copy(update={"ready_at": 0.0}) if w.status.ready_at else w.status
        if w.now > w.status.phase_since + w.plan.preparation.deadline:
            return hold(w.with_status(unready), reasons.HOME_UNREADY, lacking, phase=Phase.RETURNING, waits_for="operator")
        return wait(w, reasons.RETURNING, lacking, until=w.now + 2.0, status=unready)
    if not gates.ready_since(w):
        return stored(w.status.model_copy(update={"ready_at": w.now}))
    if not may_switch(w):
        delay = w.plan.preparation.route_delay
        return wait(w, reasons.RETURNING, f"it is ready, proxies get {delay:.0f} s to learn of it", until=w.status.ready_at + delay)
    if any(r.found and r.green_weight for r in w.observed.routes):
        return act(w, SetWeight(0))
    home = StageStatus(weight=FULL, entered_at=homeward.begun(w.status).entered_at, shifted_at=w.now)
    update = {"returned_at": w.now, "weight": 0, "observed_weight": 0, "returning": home, "triggers": homeward.watched_anew(w.status)}
    return stored(w.status.model_copy(update=update | {"sequential": bets.at_new_place(w)}))


def may_switch(w: World) -> bool:
    """Whether the original has been ready for so long that the proxies know its new pods."""
    return bool(w.status.ready_at) and w.now >= w.status.ready_at + w.plan.preparation.route_delay


def settle(w: World, home: StageStatus) -> Decision:
    """Open the window once nearly nobody reaches the clone any more."""
    split = seen.split(w.at_home)
    if split.settled:
        opens = split.at + w.at_home.stage.warm_up
        window = WindowStatus(opened_at=opens, last_sample=opens)
        return stored(with_home(w, home, settled_at=w.now, window=window).status)
    deadline = home.shifted_at + w.plan.settle.deadline
    if w.now >= deadline:
        return forward.unsettled(w, split, f"the original after its return: {split.why}", Phase.RETURNING)
    return wait(w, reasons.RETURNING, f"settles: {split.why}", until=min(deadline, w.now + seen.look_again(w)))


def measure(w: World, home: StageStatus) -> Decision:
    """Let the window run, then judge it."""
    at = w.at_home
    window = seen.advanced(at)
    w = with_home(w, home, window=window)
    remaining = at.stage.window - window.ran
    if remaining <= 0:
        return judge(w)
    stalled = forward.stalled(at, window)
    detail = f"{window.ran:.0f} of {at.stage.window:.0f} s judged"
    if stalled:
        return forward.hold_for_data(w, f"{stalled} ({detail})", phase=Phase.RETURNING)
    return wait(w, reasons.RETURNING, detail, until=w.now + min(remaining, seen.look_again(w)), status=w.status)


def judge(w: World) -> Decision:
    """The verdict over the return, written before anything rests on it."""
    home = homeward.begun(w.status)
    answer = seen.verdict(w.at_home)
    if answer.pending:
        return wait(w, reasons.RETURNING, "asks the checks", until=w.now, status=w.status)
    w = with_home(w, home, checks=list(answer.checks))
    if answer.outcome is Outcome.INCONCLUSIVE:
        return forward.undecided(w, answer, Phase.RETURNING)
    data = {"stage": "home", "checks": [check.model_dump(mode="json") for check in answer.checks], "queries": answer.queries}
    word = reasons.RETURN_PASSED if answer.outcome is Outcome.PASS else reasons.RETURN_FAILED
    judged = with_home(w, homeward.begun(w.status), verdict=answer.outcome, verdict_at=w.now, verdict_key=verdict_key(w))
    return stored(judged.status, record(w, RecordKind.VERDICT, word, answer.detail, **data))


def leave_clone(w: World) -> Decision:
    """The original has passed: the clone drains and goes, then the release has succeeded."""
    drained = w.status.returned_at + w.drain_seconds
    if w.now < drained:
        return wait(w, reasons.RETURNING, "the clone drains", until=drained)
    if not w.observed.green_gone:
        foreign = ", ".join(teardown.lingers(w, m.green) for m in w.observed.members if teardown.is_strangers(w, m.green))
        if foreign:  # the original has passed and serves; what stands in the clone's place is nobody's that we know
            return hold(w, reasons.GREEN_STAYS, foreign, phase=Phase.RETURNING, waits_for="operator", then="wait")
        return still_asked(w) or act(w, RemoveClone())
    return finishing.succeed(w)


def still_asked(w: World) -> Decision | None:
    """The clone stays while requests reach it, or while nobody can say (rule 6); None once none is seen."""
    quiet = seen.quiet_clone(w)
    if quiet:
        return None
    if w.now < homeward.begun(w.status).verdict_at + w.plan.rollback.drain_deadline:
        words = "the clone still gets requests" if quiet is False else "waits until no traffic of the clone is seen"
        return wait(w, reasons.RETURNING, words, until=w.now + seen.look_again(w))
    word = "requests still arrive at the clone" if quiet is False else "nobody can say whether requests still arrive at the clone"
    return hold(w, reasons.NO_DATA, word, phase=Phase.RETURNING, waits_for="operator", then="wait")


def taken_back(w: World) -> Decision:
    """Somebody moved requests to the clone by hand. It was judged, so that is obeyed, and a person says what comes next.

    What the hand wrote is kept in the status beside our own write, after which no route shows it any more.
    """
    by_hand = min(w.status.observed_weight or FULL, w.observed.green_weight)
    detail = f"it was given {by_hand} % by hand" if by_hand < FULL else "all requests go there"
    noted = w.with_status(w.status.model_copy(update={"observed_weight": by_hand}))
    return replace(return_failed(noted, reasons.RETURN_DRIFT, detail), store=True)


def return_failed(w: World, reason: str, detail: str) -> Decision:
    """Everybody back to the clone, which was judged, and wait for a person. One that is gone does not do badly, it is gone."""
    gone = gates.deleted_blue(w)
    if gone and reason != reasons.RETURN_DRIFT:
        reason, detail = reasons.HOME_GONE, gone
    if any(r.has_other(FULL) for r in w.observed.routes):
        if gates.clone_empty(w) and w.status.phase is not Phase.HALTED:
            words = f"{detail}; the clone has no ready pod either"
            return halt(w, reason, words)
        return act(w, SetWeight(FULL))
    anew = homeward.watched_anew(w.status)
    clone = {"returned_at": 0.0, "weight": FULL, "observed_weight": FULL, "triggers": anew, "ready_at": 0.0, "empty_since": 0.0}
    status = w.status.model_copy(update=clone)
    if w.status.phase is Phase.HALTED:
        return stored(saying(status, reason, detail), record(w, RecordKind.VERDICT, reason, detail))
    until = w.now + DATA_DEADLINE_SECONDS
    return hold(w.with_status(status), reason, detail, phase=Phase.RETURNING, waits_for="operator", until=until, then="halt")


def again(w: World) -> World:
    """A person let it go on: what was judged so far counts no more, and the original is judged by a new window."""
    if not w.status.returned_at:
        return w
    return with_home(w, homeward.begun(w.status), settled_at=0.0, window=None, verdict=None, verdict_key="", checks=[])


def with_home(w: World, home: StageStatus, **changes: object) -> World:
    """The world with another state of the return."""
    return w.with_status(w.status.model_copy(update={"returning": home.model_copy(update=changes)}))


def verdict_key(w: World) -> str:
    """What a verdict about the return counts for; it is never that of a stage."""
    return f"{gates.verdict_key(w)}/home"
