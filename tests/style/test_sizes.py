"""What the quick size of the suite leaves out is counted, has its place beside the family, and runs elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import sizes

ROOT = Path(__file__).parents[2]


@pytest.mark.long
def test_the_closing_line_counts_the_long_tests_that_were_left_out_also_where_workers_collect_them():
    """In a pytest of its own over a file with two of them, of which nothing else runs."""
    command = [sys.executable, "-m", "pytest", "tests/docs/test_determinism.py", "-n", "1", "-m", "bed and not long"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PENSTOCK_", "PYTEST_"))}
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False, timeout=120)

    assert "Sizes: quick; 2 long tests were left out (`make test-all` runs everything, in the thorough sizes)." in done.stdout


def test_a_run_that_leaves_out_no_long_test_does_not_speak_of_them():
    assert sizes.closing_line(0).partition("(")[0] in ("Sizes: quick ", "Sizes: thorough.")


def test_those_that_are_not_the_most_telling_of_a_family_are_long():
    assert sizes.most_telling("a", of=["a"]) == ["a"]

    telling, further = sizes.most_telling((1, 2), of=[(1, 2), (3, 4)])
    assert telling == (1, 2)
    assert (further.values, [mark.name for mark in further.marks]) == ((3, 4), ["long"])


def test_a_telling_one_that_is_not_in_the_family_is_an_error():
    with pytest.raises(AssertionError, match="are not all among"):
        sizes.most_telling("gone", of=["a", "b"])


def test_make_test_alone_leaves_them_out_and_make_test_all_and_continuous_integration_run_them():
    makefile, script = (ROOT / "Makefile").read_text(encoding="utf-8"), (ROOT / "tests" / "run.sh").read_text(encoding="utf-8")

    assert "test-all: $(VENV)/.installed\n\tPENSTOCK_THOROUGH=1 sh tests/run.sh\n" in makefile
    assert 'not browser$SELECTION"' in script
    assert "export PENSTOCK_THOROUGH=1" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert sizes.selection() == ("" if sizes.THOROUGH else " and not long")
