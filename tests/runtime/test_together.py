"""Questions of one look are asked at the same time."""

import threading

from controller.runtime.together import AskTogether


def test_questions_wait_for_each_other_no_more_than_for_the_slowest():
    together, all_there = AskTogether(), threading.Barrier(9, timeout=30)

    def question(number):
        all_there.wait()  # passed only if all nine are asked at once
        return number

    answers = together([lambda number=number: question(number) for number in range(9)])

    together.close()
    assert answers == list(range(9))


def test_a_look_without_questions_asks_nobody():
    assert AskTogether()([]) == []
