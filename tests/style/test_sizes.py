"""What the quick size of the suite leaves out is counted, has its place beside the family, and runs elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import budget, sizes, speed

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


@pytest.mark.parametrize(("slowness", "built", "minutes"), [(1.0, True, 13.5), (1.0, False, 9.5), (2.0, True, 9.0), (2.0, False, 1.0)])
def test_the_slower_a_machine_is_the_sooner_long_tests_end_on_continuous_integration(slowness, built, minutes):
    assert budget.long_tests_minutes(slowness, built=built) == minutes


def test_the_speed_of_this_machine_is_told_apart_from_how_busy_it_is(monkeypatch):
    monkeypatch.setattr(speed.os, "cpu_count", lambda: 64)
    many = speed.slowness()
    monkeypatch.setattr(speed.os, "cpu_count", lambda: 1)

    assert speed.slowness() == pytest.approx(2 * many, rel=0.5)


@pytest.mark.parametrize(
    ("until", "told"), [("1", ["1 skipped", "No time was left for 1 long test: tests/style/test_sizes.py (1)."]), ("inf", ["1 passed"])]
)
def test_a_long_test_for_which_no_time_is_left_is_left_out_and_named_there_too(until, told):
    """In a pytest of its own over one that is long: this file's own."""
    asked = "tests/style/test_sizes.py::test_something_long"
    command = [sys.executable, "-m", "pytest", asked, "-n", "1", "-v"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PENSTOCK_", "PYTEST_"))}
    env = clean | {"PENSTOCK_LONG_UNTIL": until, "CI": "true"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120)

    assert all(words in done.stdout for words in told), done.stdout


@pytest.mark.long
def test_something_long():
    """For the test before."""
    assert sizes.THOROUGH in (True, False)
