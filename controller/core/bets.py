"""Where a release begins a new bet: after a person has overruled a won one or has another green judged, and at the return home.

The evidence of a release is one bet; what was not won goes on (`analysis.sequential_anew`). Whoever pauses and resumes often
enough must not be able to put the bound off, and whoever has seen that it was reached, and goes on, must not be stopped by it again.
"""

from analysis import sequential_anew
from analysis.gauge import GaugeState
from analysis.sequential_state import State
from controller.api.release import ReleaseStatus, SequentialStatus
from controller.core import gauges, homeward, reasons, sequential
from controller.core.gauges import GaugeLook
from controller.core.steps import World
from controller.core.tested import what_is_tested


def gone_on(w: World) -> ReleaseStatus:
    """The status when a person goes on: with a new bet in the place of each that was won, from the newest counted sample on.

    Likewise in the place of all where green's pods are others than those that were bet about: nothing that these did is theirs.
    """
    tally = sequential.counted(w.at_home)
    if tally is None:
        return w.status
    asked, other = (w.status.hold.check, w.status.hold.reason == reasons.GREEN_CHANGED) if w.status.hold is not None else ("", False)
    states: dict[str, State | GaugeState] = {one.check.name: _went_on(one, asked, other=other) for one in tally.gauges}
    for one in tally.checks:
        state, setting = one.steps[-1] if one.steps else one.state, sequential.tested(w.at_home, one.check)
        if state is None:
            continue
        if other or (tally.cause is not None and not one.check.observe):
            state = sequential_anew.overruled(setting, state)
        elif one.check.name == asked or sequential.alerting(w, one):
            state = sequential_anew.acknowledged(setting, state)
        states[one.check.name] = state
    status = sequential.written(w.status, tally)
    return status.model_copy(update={"sequential": sequential.stated(status, states)})


def _went_on(one: GaugeLook, asked: str, *, other: bool) -> GaugeState:
    return gauges.acknowledged(one.state) if other or one.check.name == asked or gauges.alerting(one) else one.state


def at_new_place(w: World) -> list[SequentialStatus]:
    """The states at the return of `finish: home`: the clone's counts in its last stage are what the original is held against."""
    again = bool(homeward.begun(w.status).shifted_at)
    states = {}
    for check in w.plan.checks if w.subject.spec.kind != "reverse" else ():
        state = sequential.stored(w, check) if check.sequential else None
        if state is not None:
            states[check.name] = sequential_anew.moved(what_is_tested(w.plan).home[check.name], state, w.now, again=again)
    return sequential.stated(w.status, states)
