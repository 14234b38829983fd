"""What a tick costs and what a state weighs, of the sequential checks that a release asks."""

import pytest

from analysis import sequential
from analysis.model import Arm
from analysis.rate import Dispersion
from analysis.sequential import Kind, Known, Mark, Setting
from tests.sizes import most_telling
from tests.speed import cost_ms

TICKS = 300
MOST_MS = 1.0
"""Measured where it was written: 0.08 ms for errors, 0.4 ms for five edges with a margin and an objective beside them."""

EDGES = (25.0, 50.0, 100.0, 250.0, 500.0)
ERRORS = Setting(Kind.ERRORS, known=(Known(0.005, Dispersion(1, 2)),), margin=(1.5, 0.005), objective=0.02)
LATENCY = Setting(
    Kind.LATENCY,
    delta=0.001,
    known=tuple(Known(0.4 / 2**place, Dispersion(1, 2), edge) for place, edge in enumerate(EDGES)),
    margin=(1.5, 0.005),
)


def ticks(setting, lines):
    counts = {Arm.CANDIDATE: (125.0, *(2.0 + line for line in range(lines))), Arm.BASELINE: (375.0, *(3.0 + line for line in range(lines)))}
    return [sequential.slice_of(setting.kind, (10.0 * index, 10.0 * index + 10), counts, EDGES[:lines]) for index in range(TICKS)]


def follow(setting, lines, *, alone):
    """The state after many ticks, and the cost of each of them."""
    marks = [Mark(0.0, "1", early=True), *([Mark(5.0 * TICKS, "2", alone=True)] if alone else [])]
    slices, states = ticks(setting, lines), []

    def followed():
        states.append(sequential.follow(setting, sequential.pretended(setting, 0.0), slices, marks)[-1])

    milliseconds = cost_ms(followed) / TICKS
    return states[-1], milliseconds


@pytest.mark.parametrize("alone", most_telling(True, of=[False, True]))
@pytest.mark.parametrize(("setting", "lines"), [(ERRORS, 1), (LATENCY, 5)], ids=["errors", "latency"])
def test_a_tick_costs_less_than_a_millisecond_and_a_state_weighs_less_than_four_kilobytes(setting, lines, alone):
    state, milliseconds = follow(setting, lines, alone=alone)

    assert milliseconds < MOST_MS
    assert len(state.to_json()) < 4096
