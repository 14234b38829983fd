"""Every example, as a user has it: valid without a warning, and each of its scenarios tells the story that stands beside it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from transcripts import ROOT, all_scenarios, golden, transcript

from controller.api.validate import validate_file
from controller.cli.validate import scenario_rules
from tests.sizes import most_telling
from tests.stories import played_in

SCENARIOS = list(all_scenarios())
PLANS = sorted(ROOT.glob("examples/*/plan.yaml"))
TELLING = {
    "conea": ("healthy", "probes-fail", "probes-flap", "prometheus-outage"),
    "first-release": ("healthy", "fails-at-25", "never-ready", "deleted", "three-in-a-row"),
    "hwayo": ("healthy", "slow-at-25", "health-probe-fails"),
    "symbol-mapper": ("healthy", "fails-at-10", "two-signals", "no-cache-series-and-two-failing"),
}
"""Stories that every run tells; what `first-release` tells already is not told of all."""
STORIES = {"healthy", "prometheus-outage", "never-ready", "drift-to-blue", "restart"}


@pytest.mark.parametrize(
    ("example", "found"),
    most_telling(*(one for one in SCENARIOS if one[1].scenario.name in TELLING[one[0]]), of=SCENARIOS),
    ids=[f"{name}/{found.scenario.name}" for name, found in SCENARIOS],
)
def test_a_scenario_ends_as_expected_and_tells_its_golden_story(example, found):
    """Written again by `.venv/bin/python tests/examples/transcripts.py`."""
    result, _ = played_in(found.path.parent, found.scenario.name)

    assert result.problems == []
    assert transcript(found, result) == golden(example, found).read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PLANS, ids=[p.parent.name for p in PLANS])
def test_a_plan_of_the_examples_is_valid_without_a_warning(path):
    assert validate_file(path) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*/scenarios/*.yaml")), ids=lambda p: f"{p.parent.parent.name}/{p.stem}")
def test_a_scenario_file_is_valid(path):
    assert validate_file(path, scenarios=scenario_rules()) == []


@pytest.mark.parametrize("path", PLANS, ids=[p.parent.name for p in PLANS])
def test_every_example_has_stories_that_every_run_tells(path):
    names = {found.scenario.name for example, found in SCENARIOS if example == path.parent.name}

    assert {"healthy"} < set(TELLING[path.parent.name]) <= names


@pytest.mark.parametrize("path", PLANS, ids=[p.parent.name for p in PLANS])
def test_every_example_has_the_stories_that_all_of_them_tell(path):
    names = {found.scenario.name for example, found in SCENARIOS if example == path.parent.name}

    assert names >= STORIES
    assert any(name.startswith(("fails", "probes-fail")) for name in names)


def test_no_transcript_is_left_of_a_scenario_that_is_gone():
    assert set(ROOT.glob("examples/*/transcripts/*.txt")) == {golden(example, found) for example, found in SCENARIOS}


def test_the_plan_of_hwayo_fits_in_about_seventy_lines():
    lines = (ROOT / "examples/hwayo/plan.yaml").read_text(encoding="utf-8").splitlines()

    assert len(lines) <= 75


def test_the_simplest_plan_fits_in_ten_lines():
    assert len((ROOT / "examples/first-release/plan.yaml").read_text(encoding="utf-8").splitlines()) <= 10
