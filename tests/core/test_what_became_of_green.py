"""The last sentence of a rollback says what is left of green: deleted, scaled to zero because others made it, or kept by the plan."""

from dataclasses import replace

import pytest

from controller.api.release import Phase
from tests.core.releases import GREEN, NOW, a_release

GONE = replace(GREEN, found=False, replicas=0, ready=0, available=0)
EMPTY = replace(GREEN, replicas=0, ready=0, available=0, made=False)


def ended(green, **plan):
    there = (
        a_release()
        .with_plan(**plan)
        .at_stage(2)
        .rolling_back(Phase.TEARING_DOWN, traffic_at=NOW - 49, drained_at=NOW - 10, gone_at=NOW - 1)
    )
    there = replace(
        there,
        green=green,
        route=replace(there.route, owner="", stamp=""),
        observed=replace(there.observed, lock="", green_gone=green is not GREEN),
    )
    return there.decided().status


@pytest.mark.parametrize(
    ("green", "plan", "words"),
    [
        (GONE, {}, "Everybody is on blue, green is gone: "),
        (EMPTY, {}, "Everybody is on blue, green is scaled to zero: "),
        (GREEN, {"rollback": {"keepGreen": True}}, "Everybody is on blue, green stays without traffic: "),
    ],
)
def test_the_end_of_a_rollback_says_what_is_left_of_green(green, plan, words):
    status = ended(green, **plan)

    assert status.phase is Phase.ROLLED_BACK
    assert status.message.startswith(words)
