"""What a sequential check says of itself in one line."""

import math

import pytest

from analysis.model import Outcome
from controller.api.release import CheckStatus
from controller.core.sentences import explain

EVIDENCE = {"lnE": math.log(0.68), "lnBound": math.log(100), "earlierStages": True}
JUDGED = EVIDENCE | {"baseline": 0.195, "limit": 0.265, "unit": "%", "n": 11_208.0}


def said(**changes: object) -> str:
    return explain(CheckStatus(name="error-rate", **(JUDGED | changes)))


def test_a_pass_with_a_rate_beyond_the_limit_says_that_nothing_was_proven():
    told = said(outcome=Outcome.PASS, value=0.553)

    assert told == "error-rate: 0.553 % vs 0.195 % (above the limit 0.265 %, not proven, n = 11,208, e-value 0.68 of 100 over all stages)"


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": Outcome.PASS, "value": 0.2},
        {"outcome": Outcome.FAIL, "value": 0.553},
        {"value": 0.553},
        {"outcome": Outcome.PASS, "value": 0.553, "lnAlert": 0.0},
    ],
    ids=["within the limit", "proven", "still counting", "what is beyond whatever blue does is said by its own number"],
)
def test_other_ends_name_the_limit_alone(changes: dict[str, object]):
    assert "not proven" not in said(**changes)
