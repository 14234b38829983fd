"""Where a disturbed run may end early: it stands where the undisturbed one stood, and nothing still to come is passed by the delay."""

import pytest

from controller.simulator.crashes import Mode, Point, compare, play
from controller.simulator.footprint import Footprint
from controller.simulator.invariants import watch
from controller.simulator.landmarks import Landmark, changes, in_order, rejoined
from controller.simulator.scenario import START
from tests.matrix.plans import ROOT, cells_of, rehearsal, scenarios_of
from tests.sizes import size

ELSEWHERE = "examples/first-release/scenarios/fails-elsewhere.yaml"
TROUBLES = "examples/first-release/scenarios/troubles.yaml"


def at(time, *deeds):
    """A landmark of an undisturbed run."""
    return Landmark(("shop", "shop-v2", 3), time, Footprint(), list(deeds))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (50.0, True),  # it has been
        (104.0, False),  # it falls between the landmark here and the landmark there
        (400.0, True),  # before and after it the controller does nothing for long
        (503.0, False),  # the deed at 500 comes at 505
        (520.0, False),  # or with the next poll after that
        (540.0, True),
        (500.0, True),  # the controller's answer to it
    ],
)
def test_a_delay_matters_where_a_deed_comes_to_the_other_side_of_a_change(change, same):
    assert in_order([change], at(100.0, 20.0, 100.0, 500.0), 5.0) is same


def test_everything_that_a_scenario_does_at_a_time_of_its_own_is_a_change():
    scenarios = scenarios_of(TROUBLES)

    assert {time - START for time in changes(scenarios["prometheus-outage"])} == {0.0, 300.0, 900.0}
    assert {600.0, 605.0, 660.0} <= {time - START for time in changes(scenarios["fighter"])}
    assert {time - START for time in changes(scenarios["drift-to-blue"])} == {0.0, 600.0, 1200.0}


def test_what_has_come_back_to_the_undisturbed_run_ends_as_that():
    scenario, clean, folder = scenarios_of(ELSEWHERE)["fails-at-5"], rehearsal(ELSEWHERE, "fails-at-5"), (ROOT / ELSEWHERE).parent
    back = 0
    for cell in [cell for cell in cells_of(ELSEWHERE, "fails-at-5") if cell.mode is not Mode.CRASH_BEFORE][7 :: size(140, 9)]:
        met: list[bool] = []
        run = play(
            scenario,
            folder,
            Point(cell.number, cell.mode),
            watch,
            sound=lambda mark, met=met: met.append(rejoined(scenario, clean.landmarks, mark)),
        )
        back += any(met)
        assert compare(scenario, clean, run) == [], cell.title

    assert back


def test_a_run_that_left_something_else_behind_has_not_come_back():
    clean = rehearsal(ELSEWHERE, "fails-at-5")
    scenario = scenarios_of(ELSEWHERE)["fails-at-5"]
    for mark, there in clean.landmarks.items():
        twice = Footprint(there.footprint.objects, there.footprint.creates + there.footprint.creates)
        assert rejoined(scenario, clean.landmarks, there), mark
        assert not rejoined(scenario, clean.landmarks, Landmark(mark, there.time + 1, twice)), mark
        assert not rejoined(scenario, clean.landmarks, Landmark(mark, there.time + 3600, there.footprint)), mark
