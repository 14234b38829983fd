"""What an objective, a return and a gauge do over many releases: what they must not do never happens, and what they are for always does."""

import math

import numpy as np
import pytest

from analysis import gauge, rate, sequential
from analysis.counters import Cursor
from analysis.gauge import GaugeState, GaugeTest, Pair
from analysis.model import Arm
from analysis.sequential import Kind, Line, Mark, Setting, State
from tests.sizes import most_telling

BOUND = math.log(100)
RELEASES = 20
OBJECTIVE = Setting(Kind.ERRORS, rho=1.0, delta=0.0, objective=0.01)
HOME = Setting(Kind.ERRORS, alone_share=1.0)


def counts(draw, rps, rate_of_bad):
    n = int(draw.poisson(10 * rps))
    return (float(n), float(draw.binomial(n, rate_of_bad)))


def objective(draw, baseline, candidate):
    """Whether 20 minutes at half of 50 requests a second go back, and whether they ask a person."""
    slow = rate.start(OBJECTIVE.fixed(0.005, math.inf, 0.01))
    line = Line(math.inf, 0.005, rate.start(OBJECTIVE.test(0.005)), before=(10_000.0, 50.0), objective=slow)
    state, marks = State(Cursor(0.0), (line,)), (Mark(0.0, "1"),)
    back = asks = False
    for tick in range(120):
        arms = {Arm.BASELINE: counts(draw, 25, baseline), Arm.CANDIDATE: counts(draw, 25, candidate)}
        part = sequential.slice_of(Kind.ERRORS, (10.0 * tick, 10.0 * tick + 10), arms, ())
        state = sequential.follow(OBJECTIVE, state, [part], marks)[-1]
        back, asks = back or sequential.ln_e(OBJECTIVE, state) >= BOUND, asks or sequential.ln_alert(state) >= BOUND
    return back, asks


BOTH = [(0.005, 0.005, (False, False)), (0.04, 0.04, (False, True)), (0.005, 0.04, (True, True)), (0.02, 0.008, (False, False))]


@pytest.mark.parametrize(
    ("baseline", "candidate", "expected"),
    most_telling(*BOTH[1:3], of=BOTH),
    ids=["healthy", "an incident of both", "a bad candidate", "only the baseline"],
)
def test_an_objective_goes_back_for_the_candidate_alone_and_asks_whenever_it_is_broken(baseline, candidate, expected):
    draw = np.random.default_rng(7)

    assert {objective(draw, baseline, candidate) for _ in range(RELEASES)} == {expected}


@pytest.mark.parametrize(("candidate", "found"), [(0.005, 0), (0.02, RELEASES)])
def test_a_return_is_stopped_where_the_original_does_worse_than_the_clone_did(candidate, found):
    draw = np.random.default_rng(7)
    stopped = 0
    for _ in range(RELEASES):
        known = (45_000.0, float(draw.binomial(45_000, 0.005)))
        state = State(Cursor(0.0), (Line(math.inf, 0.005, rate.start(HOME.test(0.005)), before=known),))
        largest = -math.inf
        for tick in range(60):
            arms = {Arm.BASELINE: (0.0, 0.0), Arm.CANDIDATE: counts(draw, 50, candidate)}
            part = sequential.slice_of(Kind.ERRORS, (10.0 * tick, 10.0 * tick + 10), arms, ())
            state = sequential.follow(HOME, state, [part], (Mark(0.0, "home", alone=True),))[-1]
            largest = max(largest, sequential.ln_e(HOME, state))
        stopped += largest >= BOUND

    assert stopped == found


def wandering(draw, points, mean=1.0):
    """Pairs of a gauge whose log ratio wanders by 5 %, with a memory of 100 s."""
    keep, value, found = math.exp(-0.1), draw.normal() * 0.05, []
    for index in range(points):
        value = keep * value + draw.normal() * 0.05 * math.sqrt(1 - keep * keep)
        found.append(Pair(10.0 * index, mean * math.exp(value), 1.0))
    return found


@pytest.mark.parametrize(("mean", "found"), [(1.0, 0), (1.2, 0), (1.5, RELEASES)])
def test_a_gauge_that_wanders_as_it_did_in_history_holds_nobody_and_one_that_is_worse_holds_everybody(mean, found):
    draw = np.random.default_rng(7)
    test = GaugeTest(0.2, gauge.long_run_variance(wandering(draw, 2160)))
    held = 0
    for _ in range(RELEASES):
        state, largest = GaugeState(), -math.inf
        for pair in wandering(draw, 180, mean):
            state = gauge.step(test, state, [pair], longest=30)
            largest = max(largest, state.ln_e(test))
        held += largest >= BOUND

    assert held == found
