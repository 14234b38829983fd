"""A sample of the matrix in every run of the suite; `make matrix` runs all of it."""

import os
import time

import pytest

from tests.matrix.plans import run_cell, sample

SECONDS = float(os.environ.get("PENSTOCK_MATRIX_SECONDS", "20"))
SEED = int(os.environ.get("PENSTOCK_MATRIX_SEED", "1"))


def test_a_write_that_fails_in_any_way_changes_neither_the_end_nor_the_number_of_effects():
    """As many cells of a seeded sample as fit into the time, at least ten."""
    began, failed, ran = time.monotonic(), {}, 0
    for cell in sample([], 2000, SEED):
        if ran >= 10 and time.monotonic() - began > SECONDS:
            break
        ran += 1
        found = run_cell(cell)
        if found:
            failed[f'python -m tests.matrix --only "{cell.file} {cell.scenario} {cell.number} {cell.mode}"'] = found[:4]
    if failed:
        pytest.fail(f"{len(failed)} of {ran} cells: {failed}", pytrace=False)
