"""A sample of the matrix in every run of the suite; `make matrix` runs all of it.

The sample is drawn by a seed and counted, never timed: the same cells on every machine.
"""

import os

import pytest

from tests.matrix.plans import Cell, cells, run_cell, sample

SEED = int(os.environ.get("PENSTOCK_MATRIX_SEED", "1"))
CELLS = int(os.environ.get("PENSTOCK_MATRIX_CELLS", "60"))
"""How many cells of all examples."""
WHOLE = os.environ.get("PENSTOCK_MATRIX_WHOLE", "").split()
"""Examples of which every cell runs."""


def changed(chosen: list[Cell]) -> dict[str, list[str]]:
    """The cells that came out otherwise, by the command that repeats each."""
    found = {f'python -m tests.matrix --only "{cell.file} {cell.scenario} {cell.number} {cell.mode}"': run_cell(cell) for cell in chosen}
    return {command: sentences[:4] for command, sentences in found.items() if sentences}


@pytest.mark.parametrize("part", range(4))
def test_a_write_that_fails_in_any_way_changes_neither_the_end_nor_the_number_of_effects(part):
    chosen = [*sample([], CELLS, SEED), *(cells(WHOLE) if WHOLE else ())]
    failed = changed(chosen[part * len(chosen) // 4 : (part + 1) * len(chosen) // 4])
    if failed:
        pytest.fail(f"{len(failed)} of {len(chosen)} cells: {failed}", pytrace=False)
