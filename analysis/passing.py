"""What a pass of a sequential check claims, and whether its window bears it out.

A pass says: an effect of the stated size would have been seen here, and what was seen is none. The cap keeps one scrape from
deciding against the candidate; nor may one scrape decide for it. So a window passes where

    requests    the candidate had those that would have shown the effect,
    scrapes     they were spread over the scrapes that it takes: those beyond which a tick would reach the cap show nothing more, and a
                tick over a gap is one tick, and
    numbers     all counts of the stage, taken as one tick and without the cap, do not refute that the candidate is within its tolerance:
                at level alpha, by the same bets on the same history and with the same dispersion.

The last one is a test of one tick (method, section 1: only averages of an interval matter), so that a healthy candidate is held by it
in at most alpha of the stages, as far as the dispersion is right. It holds, and never rolls back.
"""

import math
from dataclasses import replace

from analysis import rate
from analysis.model import Tick
from analysis.numbers import logsumexp
from analysis.planning import default_effect, evidence_to_show, grows_by
from analysis.rate import RateTest
from analysis.sequential_state import Kind, Line, Setting, State

_MOST_EFFECT = 0.99
_SHOWN_ALONE = 2.0


def detectable(setting: Setting, line: tuple[float, float], *, share: float, weight: float, limit: float = 0.0) -> tuple[float, float]:
    """The effect that a pass must have been able to show, and the candidate's requests that show it (infinite where it is tolerated).

    Args:
        setting: what is tested.
        line: the baseline's rate in history, and the edge.
        share: of the requests that the candidate gets, 0 to 1.
        weight: of the check.
        limit: what the candidate is held against where the baseline has no traffic; 0 where it has some.
    """
    effect, grows = _grows(setting, line, share, limit)
    return effect, _evidence(setting, weight, limit) / grows if grows else math.inf


def visible(setting: Setting, line: Line, tick: Tick) -> float:
    """The candidate's requests of one tick that could show the effect: none beyond those with which it would reach the cap."""
    if not tick.candidate_n or not (line.limit or tick.baseline_n):
        return 0.0
    share = tick.candidate_n / (tick.candidate_n + tick.baseline_n)
    _, grows = _grows(setting, (line.p_hist, line.edge), share, line.limit)
    return min(tick.candidate_n, setting.cap / grows) if grows else tick.candidate_n


def needed(setting: Setting, line: Line, weight: float) -> float:
    """The candidate's requests that would show the plan's stated effect at this line in this stage."""
    n_g, _, n_b, _ = line.sums
    share = 1.0 if line.limit else n_g / (n_g + n_b) if n_g + n_b else 0.5
    return detectable(setting, (line.p_hist, line.edge), share=share, weight=weight, limit=line.limit)[1]


def scrapes(setting: Setting, state: State, weight: float) -> tuple[float, float]:
    """How many whole scrapes (as much as the cap lets one show) the stage is worth, and how many show the effect; of the poorest line."""
    found = []
    for line in state.lines:
        whole = _evidence(setting, weight, line.limit) / setting.cap
        enough = needed(setting, line, weight)
        found.append((whole * line.shown / enough if math.isfinite(enough) else whole, whole))
    return min(found, key=lambda one: one[0] - one[1])


def ln_worse(setting: Setting, state: State) -> float:
    """The log of the e-value of the stage's counts as one tick without the cap: the candidate is not within what is tolerated."""
    return logsumexp(_in_one(setting, line) for line in state.lines) - math.log(len(state.lines))


def worst(setting: Setting, state: State) -> Line:
    """The line whose counts of the stage are the worst; of evidence another one may have more, because a tick gives its cap at most."""
    return max(state.lines, key=lambda line: _in_one(setting, line))


def _in_one(setting: Setting, line: Line) -> float:
    fixed = line.limit or setting.objective or 0.0
    test = setting.fixed(line.p_hist, line.edge, fixed) if fixed else setting.test(line.p_hist, line.edge)
    return rate.step(replace(test, cap=math.inf), rate.start(test), Tick(0.0, 1.0, *line.sums)).ln_e


def _evidence(setting: Setting, weight: float, limit: float) -> float:
    return evidence_to_show(setting.alpha, weight * ((setting.alone_share if limit else 1 - setting.alone_share) or 1.0))


def _grows(setting: Setting, line: tuple[float, float], share: float, limit: float) -> tuple[float, float]:
    """The stated effect, and what a request adds to ln E where the candidate has it: of the tests that must show it the slowest."""
    p_hist, edge = line
    effect = default_effect(p_hist) if setting.effect is None else setting.effect
    if setting.effect is not None and setting.kind is Kind.LATENCY:
        effect = min(p_hist + setting.effect, _MOST_EFFECT)
    fixed = limit or setting.objective or 0.0
    # A limit may lie above the effect; twice the limit can be shown with any traffic.
    effect = max(effect, min(_SHOWN_ALONE * fixed, _MOST_EFFECT))
    tests: list[RateTest] = [setting.fixed(p_hist, edge, fixed)] if fixed else []
    if not limit:
        tests.append(setting.test(p_hist, edge))
    return effect, min(grows_by(test, effect, share=share) for test in tests)
