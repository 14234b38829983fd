"""A way back whose write the cluster does not take: the release says what is owed and what is in the way, and goes on trying."""

from functools import cache

import pytest

from controller.ports import EVENT, RELEASE_REQUEST, VIRTUAL_SERVICE
from controller.simulator.apiserver.errors import ApiError
from controller.simulator.faults_api import OURS
from controller.simulator.scenario import START
from tests.evidence.recorded import bundle_from, replayed
from tests.scenarios.test_meddling import MEASURING, SHIFTED, told, weigh
from tests.sizes import most_telling

LATER = MEASURING + 20
ASKED = {"at": f"{LATER:.0f}s", "verb": "rollback", "actor": "alice", "reason": "callers complain"}
DENIED = (403, "admission webhook denied the request: a freeze is on")
DOWN = (500, "failed calling webhook: connection refused")
CHANGED = (409, "admission webhook denied the request: somebody is at it")
ANSWERS = {"denied": DENIED, "webhook-down": DOWN, "conflict": CHANGED}


def frozen(*, answer=DENIED, since=MEASURING, until=None):
    """Nothing of ours is taken on the routes from then on, for ever or for a time."""

    def refuse(attempt):
        if attempt.user == OURS and attempt.kind == VIRTUAL_SERVICE:
            raise ApiError(*answer)
        return attempt.new

    def prepared(sim):
        sim.at(START + since, lambda: setattr(sim.server, "admission", refuse))
        if until is not None:
            sim.at(START + until, lambda: setattr(sim.server, "admission", None))

    return prepared


def asked(*deeds, answer=DENIED, until=None):
    """The story of that request, three minutes long where it has no end."""
    return told(*deeds, people=(ASKED,), prepared=frozen(answer=answer, until=until), limit="4m" if until is None else "30m")


@cache
def denied():
    return asked()


def answer_to(story):
    return next(o["status"] for o in story.kube.list(RELEASE_REQUEST, "shop").items)


@pytest.mark.parametrize("answer", most_telling("denied", of=ANSWERS))
def test_the_release_says_that_it_goes_back_and_cannot_and_who_asked(answer):
    answer = ANSWERS[answer]
    story = asked(answer=answer)
    status = story.status

    assert (status["phase"], status["reason"], status["weight"]) == ("RollingBack", "RollbackRefused", 5)
    assert "Rollback asked by alice: callers complain" in status["message"]
    assert answer[1].partition(": ")[2] in status["message"]
    assert status["rollback"]["reason"] == "RollbackRequested"
    assert story.weights == {"v1": 95, "v2": 5}
    assert story.breaches == []


def test_its_request_is_accepted_and_the_answer_says_what_to_do():
    answer = answer_to(denied())

    assert (answer["state"], answer["reason"]) == ("accepted", "Accepted")
    assert answer["answeredAt"] - START - LATER < 5
    assert "a freeze is on" in answer["message"]
    assert "put the weights to 100 and 0 by hand" in answer["message"]


def test_it_goes_on_trying_and_everybody_is_on_blue_a_second_after_the_write_is_taken():
    story = asked(until=LATER + 120)
    status = story.status

    assert (status["phase"], story.weights, story.sizes) == ("RolledBack", {"v1": 100}, {"shop": 3})
    assert 0 <= status["rollback"]["trafficAt"] - START - LATER - 120 <= 1.5
    assert status["message"].startswith("Everybody is on blue, green is gone: Rollback asked by alice: callers complain")
    assert story.breaches == []
    assert replayed(bundle_from(story.sim)).difference is None


@pytest.mark.long
def test_a_trigger_that_cannot_put_anybody_back_keeps_its_reason_and_its_numbers():
    bad = [{"errors": 0.4}]
    story = told(prepared=frozen(since=SHIFTED + 1), versions=bad, limit="6m")

    assert (story.status["phase"], story.status["reason"]) == ("RollingBack", "RollbackRefused")
    assert story.status["rollback"]["check"]
    assert story.breaches == []


@pytest.mark.long
def test_weights_that_somebody_puts_on_blue_by_hand_are_seen_and_green_stays_up_without_our_mark():
    story = asked((LATER + 60, weigh(100, 0)))

    assert (story.status["phase"], story.status["reason"]) == ("RollingBack", "BackByHand")
    assert (story.status["weight"], story.status["observedWeight"]) == (0, 0)
    assert story.sizes == {"shop": 3, "shop-green": 3}
    assert story.breaches == []


@pytest.mark.long
def test_and_green_goes_when_our_mark_is_taken_at_last():
    story = asked((LATER + 60, weigh(100, 0)), until=LATER + 120)

    assert (story.status["phase"], story.weights, story.sizes) == ("RolledBack", {"v1": 100}, {"shop": 3})


def test_it_is_said_once_and_not_written_again_at_each_try():
    story = denied()
    said = [event for event in story.kube.list(EVENT, "shop").items if event["reason"] == "RollbackRefused"]

    assert len(said) == 1
    assert story.status["checkpointAt"] - START - LATER < 5
