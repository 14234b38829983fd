"""Our API server and a real one answer the same conversations in the same way."""

import json
from pathlib import Path

import pytest
import yaml

from tests.conformance.conversation import all_cases, difference, hold

HERE = Path(__file__).parent
CASES = all_cases()
GOLDEN = json.loads((HERE / "golden.json").read_text())
KNOWN = yaml.safe_load((HERE / "differences.yaml").read_text()) or {}


def unexplained(name, found):
    """The differences from the recorded answers that the data file does not explain."""
    explained = {entry["where"] for entry in KNOWN.get(name, [])}
    return [line for line in difference(GOLDEN[name], found) if line.split(": ")[0] not in explained]


@pytest.mark.parametrize("name", CASES)
def test_our_server_answers_as_the_real_one_did(ours, name):
    assert unexplained(name, hold(ours, CASES[name])) == []


@pytest.mark.bed
@pytest.mark.parametrize("name", CASES)
def test_the_real_server_still_answers_as_recorded(real, name):
    assert difference(GOLDEN[name], hold(real, CASES[name])) == []


def test_every_listed_difference_is_still_one(ours):
    gone = [
        f"{name}: {entry['where']}"
        for name, entries in KNOWN.items()
        for entry in entries
        if entry["where"] not in [line.split(": ")[0] for line in difference(GOLDEN[name], hold(ours, CASES[name]))]
    ]
    assert gone == []


def test_every_listed_difference_has_its_reason():
    assert all(entry["why"].endswith(".") for entries in KNOWN.values() for entry in entries)


def test_there_is_a_recorded_answer_for_every_case_and_for_nothing_else():
    assert set(GOLDEN) == set(CASES)
