"""A sample of the matrix in every run of the suite; `make matrix` runs all of it.

The sample is drawn by a seed and counted, never timed: the same cells on every machine. It has a quick and a thorough size.
"""

import os

import pytest

from controller.simulator.crashes import Mode, Point, play
from controller.simulator.footprint import differences
from controller.simulator.invariants import watch
from tests.matrix.forking import run_cells, run_story
from tests.matrix.plans import ROOT, Cell, cells_of, rehearsal, run_cell, sample, scenarios_of
from tests.sizes import size

SEED = int(os.environ.get("PENSTOCK_MATRIX_SEED", "1"))
CELLS = int(os.environ.get("PENSTOCK_MATRIX_CELLS", size(4, 80)))
"""How many cells of some scenarios of all examples."""
STORIES = size(1, 6)


def command(cell: Cell) -> str:
    """What repeats a cell."""
    return f'python -m tests.matrix --only "{cell.file} {cell.scenario} {cell.number} {cell.mode}"'


def found(chosen: list[Cell], jobs: int, *, whole: bool = False) -> dict[Cell, list[str]]:
    """What each cell found."""
    answers: dict[Cell, list[str]] = {}
    run_cells(chosen, jobs, answers.__setitem__, whole=whole)
    return answers


def test_a_write_that_fails_in_any_way_changes_neither_the_end_nor_the_number_of_effects():
    chosen = list(sample([], CELLS, SEED, STORIES))
    failed = {command(cell): sentences[:4] for cell, sentences in found(chosen, jobs=1).items() if sentences}
    if failed:
        pytest.fail(f"{len(failed)} of {len(chosen)} cells: {failed}", pytrace=False)


@pytest.mark.long
def test_a_forked_run_finds_what_a_run_of_its_own_finds():
    file, name = "examples/first-release/scenarios/fails-elsewhere.yaml", "fails-at-5"
    chosen = [cell for cell in cells_of(file, name) if cell.number % 13 == 3][:: size(3, 1)]
    # With another footprint to compare with every cell has something to find.
    rehearsal(file, name).footprint.creates["Deployment nowhere/none"] = 1
    try:
        forked = found(chosen, jobs=2, whole=True)
        alone = {cell: run_cell(cell) for cell in chosen}
    finally:
        rehearsal.cache_clear()

    assert {cell: sentences for cell, sentences in forked.items() if cell.number >= 0} == alone
    assert all(alone.values())


@pytest.mark.long
def test_when_time_is_up_no_further_cell_begins():
    file, name = "examples/first-release/scenarios/fails-elsewhere.yaml", "fails-at-5"
    reached: list[Cell] = []

    run_story(file, name, cells_of(file, name), 1, lambda cell, _: reached.append(cell), until=0.0)

    assert reached == []


@pytest.mark.long
def test_a_crash_after_a_write_is_one_before_the_next_write_of_the_same_look():
    file, name = "examples/first-release/scenarios/fails-elsewhere.yaml", "fails-at-5"
    chosen = [cell for cell in cells_of(file, name) if cell.mode in (Mode.CRASH_BEFORE, Mode.CRASH_AFTER)]
    twins = run_story(file, name, chosen, 1, lambda _cell, _found: None)

    def ended(number, mode):
        return play(scenarios_of(file)[name], (ROOT / file).parent, Point(number, mode), watch)

    assert len(twins) > 5
    for number in twins[:: size(6, 1)]:
        after, before = ended(number - 1, Mode.CRASH_AFTER), ended(number, Mode.CRASH_BEFORE)
        assert differences(after.footprint, before.footprint) == []
        assert after.result.transcript == before.result.transcript
