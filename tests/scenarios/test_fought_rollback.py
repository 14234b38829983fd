"""Another writer gives green requests again and again on the way back: everybody is put on blue each time, and the writer is named."""

from functools import cache

from controller.ports import EVENT
from tests.scenarios.test_meddling import MEASURING, told, weigh

ASKED = {"at": f"{MEASURING:.0f}s", "verb": "rollback", "actor": "alice", "reason": "callers complain"}
EVERY = 5
UNTIL = int(MEASURING) + 180


@cache
def fought(limit="30m"):
    """A tool that heals itself every five seconds, for three minutes from the rollback on."""
    return told(*((float(at), weigh(95, 5)) for at in range(int(MEASURING) + 2, UNTIL, EVERY)), people=(ASKED,), limit=limit)


def test_while_it_lasts_the_release_says_what_stood_there_and_names_the_field_to_ignore():
    status = fought("3m").status

    assert (status["phase"] in ("RollingBack", "TearingDown"), status["reason"]) == (True, "RollbackFought")
    assert "shop/shop had 5 %" in status["message"]
    assert "/spec/http/*/route/*/weight" in status["message"]


def test_it_is_said_once():
    story = fought()

    assert len([event for event in story.kube.list(EVENT, "shop").items if event["reason"] == "RollbackFought"]) == 1


def test_green_goes_when_it_had_no_weight_for_as_long_as_it_drains_and_a_budget_is_overrun_once():
    story = fought()

    assert (story.status["phase"], story.weights, story.sizes) == ("RolledBack", {"v1": 100}, {"shop": 3})
    assert story.status["rollback"]["goneAt"] >= story.status["rollback"]["trafficAt"] + 30
    assert story.status["rollback"]["overruns"] == ["traffic"]
    assert story.breaches == []
