"""A sample of the matrix in every run of the suite; `make matrix` runs all of it.

The sample is drawn by a seed and counted, never timed: the same cells on every machine. It has a quick and a thorough size.
"""

import os

import pytest

from tests.matrix.forking import run_cells
from tests.matrix.plans import Cell, cells_of, rehearsal, run_cell, sample
from tests.sizes import size

SEED = int(os.environ.get("PENSTOCK_MATRIX_SEED", "1"))
CELLS = int(os.environ.get("PENSTOCK_MATRIX_CELLS", size(24, 80)))
"""How many cells of some scenarios of all examples."""
STORIES = size(4, 6)


def command(cell: Cell) -> str:
    """What repeats a cell."""
    return f'python -m tests.matrix --only "{cell.file} {cell.scenario} {cell.number} {cell.mode}"'


def found(chosen: list[Cell], jobs: int) -> dict[Cell, list[str]]:
    """What each cell found."""
    answers: dict[Cell, list[str]] = {}
    run_cells(chosen, jobs, answers.__setitem__)
    return answers


def test_a_write_that_fails_in_any_way_changes_neither_the_end_nor_the_number_of_effects():
    chosen = list(sample([], CELLS, SEED, STORIES))
    failed = {command(cell): sentences[:4] for cell, sentences in found(chosen, jobs=1).items() if sentences}
    if failed:
        pytest.fail(f"{len(failed)} of {len(chosen)} cells: {failed}", pytrace=False)


def test_a_forked_run_finds_what_a_run_of_its_own_finds():
    file, name = "examples/first-release/scenarios/fails-elsewhere.yaml", "fails-at-5"
    chosen = [cell for cell in cells_of(file, name) if cell.number % 13 == 3][:: size(3, 1)]
    # With another footprint to compare with every cell has something to find.
    rehearsal(file, name).footprint.creates["Deployment nowhere/none"] = 1
    try:
        forked = found(chosen, jobs=2)
        alone = {cell: run_cell(cell) for cell in chosen}
    finally:
        rehearsal.cache_clear()

    assert {cell: sentences for cell, sentences in forked.items() if cell.number >= 0} == alone
    assert all(alone.values())
