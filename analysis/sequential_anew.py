"""Where a sequential check makes a new bet: what was bet before has been decided on, and the samples go on.

The evidence of a release is one bet, over all its stages and pauses: that is what its bound is about. A bet ends only where it
has been won and somebody has decided what follows from that. The next one is another test, with another alpha:

    overruled     the bound was reached, and a person goes on all the same; or the candidate is another one now
    acknowledged  the objective was broken, everything stopped for it, and a person goes on
    moved         the candidate has been judged; now it is the baseline, and the same version elsewhere is the candidate

A bet that was not won is never begun again: otherwise whoever pauses often enough would never see it won.
"""

from dataclasses import replace

from analysis import rate
from analysis.counters import Cursor
from analysis.rate import RateState, RateTest
from analysis.sequential import LEAST_HISTORY
from analysis.sequential_state import Line, Setting, State


def overruled(setting: Setting, state: State) -> State:
    """The state with all its capitals as they were before the first tick; what was counted stays counted."""
    return replace(state, lines=tuple(_overruled(setting, line) for line in state.lines))


def acknowledged(setting: Setting, state: State) -> State:
    """The state with a new bet against the objective alone."""
    return replace(state, lines=tuple(replace(line, objective=_objective(setting, line)) for line in state.lines))


def moved(setting: Setting, state: State, since: float, *, again: bool = False) -> State:
    """The state in which the same version is judged at another place, against what it did at the first.

    Args:
        setting: what is tested there.
        state: of the candidate so far; with `again` of an earlier attempt at the other place.
        since: the other place got its first request after this time, Unix seconds.
        again: what the version did at the first place is known already.
    """
    return State(Cursor(since), tuple(_moved(setting, line, again=again) for line in state.lines), raised=state.raised)


def _overruled(setting: Setting, line: Line) -> Line:
    alone = line.alone and _anew(setting.fixed(line.p_hist, line.edge, line.limit or 1.0), line.alone)
    early = line.early and _anew(setting.early(line.p_hist, line.edge), line.early)
    relative = _anew(setting.test(line.p_hist, line.edge), line.relative)
    return replace(line, relative=relative, alone=alone, early=early, objective=_objective(setting, line))


def _objective(setting: Setting, line: Line) -> RateState | None:
    if line.objective is None or setting.objective is None:
        return None
    return _anew(setting.fixed(line.p_hist, line.edge, setting.objective), line.objective)


def _anew(test: RateTest, state: RateState) -> RateState:
    """The capitals of the beginning, with the baseline's rate and the last tick as they are known."""
    return replace(rate.start(test), baseline_n=state.baseline_n, baseline_bad=state.baseline_bad, last=state.last)


def _moved(setting: Setting, line: Line, *, again: bool) -> Line:
    n, bad, _, _ = line.sums
    known = line.before if again else (n, bad) if n >= LEAST_HISTORY else (line.before[0] + n, line.before[1] + bad)
    objective = None if setting.objective is None else rate.start(setting.fixed(line.p_hist, line.edge, setting.objective))
    return Line(line.edge, line.p_hist, rate.start(setting.test(line.p_hist, line.edge)), before=known, objective=objective)
