"""A detail that is a sentence itself does not double the punctuation of the one that it is put into."""

import pytest

from controller.core import reasons


@pytest.mark.parametrize(
    ("word", "detail", "said"),
    [
        (reasons.PAUSED, "alice: I am looking.", "Paused by alice: I am looking."),
        (reasons.PLAN_INVALID, "This is wrong.; that is wrong.", "The plan cannot be used: This is wrong; that is wrong."),
        (reasons.SUPERSEDING, "shop-v2.", "Waits until release shop-v2, whose place it takes, has given the plan back."),
        (reasons.PAUSED, "alice: v1.2 looks odd", "Paused by alice: v1.2 looks odd."),
        (reasons.CHECK_FAILED, "see ../log", "see ../log"),
        (reasons.NO_SERIES, "", "The query has no result."),
        (reasons.NO_SERIES, "logins", "The query has no result: logins"),
    ],
)
def test_every_sentence_has_one_full_stop(word, detail, said):
    assert reasons.say(word, detail) == said


def test_a_word_that_is_there_already_cannot_be_given_a_second_sentence():
    """The later sentence would be printed for both, and nobody would see it."""
    with pytest.raises(ValueError, match="WaitingForPlan is in the vocabulary"):
        reasons._reason(reasons.WAITING_FOR_PLAN, "Another sentence.", "Another step.")

    assert reasons.say(reasons.WAITING_FOR_PLAN, "shop-v1") == "Waits for release shop-v1 of the same plan."
