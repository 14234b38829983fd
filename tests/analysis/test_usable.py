"""Samples that are no counts: what was behind them is never taken for nothing."""

import math

import pytest

from analysis import reasons, sequential
from analysis.counters import Cursor, Scrapes
from analysis.model import Counted, Sample, Series
from analysis.sequential import Kind, Mark, Setting
from tests.analysis.test_counters import TENS, look, numbers, series, steady

NO_COUNTS = [math.nan, math.inf, -math.inf, -1.0, 2.0**53 + 2]


def failing(values, code="500"):
    return series(dict(zip(range(0, 10 * len(values), 10), values, strict=True)), "g", code=code)


@pytest.mark.parametrize("value", NO_COUNTS)
class TestEndsInThem:
    def test_ticks_end_at_the_last_good_sample_and_it_says_whose(self, value):
        bad = failing([0, 2, 4, value, value, value])
        found = look([steady("g", 5, 50), bad], [steady("b", 50, 50)], bad_green=[bad])

        assert found.cursor == Cursor(20)
        assert [row[3] for row in numbers(found)] == [2, 2]
        assert found.unusable.startswith('{code="500", pod="g"} is ')

    def test_from_the_beginning_on_there_are_no_ticks(self, value):
        bad = failing([value] * 6)
        found = look([steady("g", 5, 50), bad], [steady("b", 50, 50)], bad_green=[bad])

        assert (numbers(found), found.cursor) == ([], Cursor(0))
        assert found.unusable

    def test_it_is_so_for_either_arm(self, value):
        bad = series({0: 0, 10: 1, 20: value, 30: value}, "b", code="500")
        found = look([steady("g", 5, 30)], [steady("b", 50, 30)], bad_blue=[bad])

        assert found.cursor == Cursor(10)


@pytest.mark.parametrize("value", NO_COUNTS)
class TestRecovers:
    def test_a_stretch_loses_nothing_and_is_one_tick(self, value):
        bad = failing([0, 2, 4, value, value, value, value, value, 40, 42])
        found = look([steady("g", 50, 90)], [steady("b", 50, 90)], bad_green=[bad])

        assert not found.unusable
        assert not any(part.set_aside for part in found.slices)
        assert sum(row[3] for row in numbers(found)) == 42
        assert max(row[1] - row[0] for row in numbers(found)) >= 40

    def test_looking_in_between_changes_no_tick(self, value):
        bad = [0, 2, 4, value, value, value, value, value, 40, 42]
        seen, cursor = [], 0.0
        for until in range(0, 100, 10):
            counts = failing(bad[: until // 10 + 1])
            found = look([steady("g", 5, until)], [steady("b", 50, until)], bad_green=[counts], since=cursor)
            seen, cursor = [*seen, *numbers(found)], found.cursor.until

        assert seen == numbers(look([steady("g", 5, 90)], [steady("b", 50, 90)], bad_green=[failing(bad)]))

    def test_one_that_appears_so_in_a_scraped_target_started_at_0(self, value):
        bad = series({20: value, 30: 7, 40: 9}, "g", code="503")
        found = look([steady("g", 5, 40), bad], [steady("b", 50, 40)], bad_green=[bad])

        assert sum(row[3] for row in numbers(found)) == 9

    def test_one_that_was_always_so_has_a_base_first(self, value):
        """What it had counted before anybody looked is not this release's."""
        bad = series({0: value, 10: value, 20: 5000, 30: 5002}, "lonely", code="503")
        found = look([steady("g", 5, 40)], [steady("b", 50, 40)], bad_green=[bad])

        assert sum(row[3] for row in numbers(found)) == 2


class TestWhatHoldsNothing:
    def test_a_series_that_ended_so_is_not_waited_for_longer_than_a_silent_target(self):
        gone = series({0: 0, 10: 1, 20: math.nan}, "g", code="500")
        found = look([steady("g", 5, 90)], [steady("b", 50, 90)], bad_green=[gone])

        assert (found.cursor, found.unusable) == (Cursor(90), "")

    def test_a_good_value_at_the_same_time_is_the_sample(self):
        both = Series((("pod", "g"),), tuple(Sample(time, value) for time in (0, 10, 20) for value in (time / 10, math.nan)))
        found = look([steady("g", 5, 20)], [steady("b", 50, 20)], bad_green=[both])

        assert (found.cursor, found.unusable) == (Cursor(20), "")

    def test_seconds_of_a_clock_that_is_ahead_are_taken_off(self):
        ahead = Scrapes(10, 10, 30, candidate_ahead=100.0)
        green = series({time + 100: time for time in range(0, 60, 10)}, "g")
        bad = series({100: 0, 110: 1, 120: math.nan, 130: math.nan, 140: math.nan, 150: math.nan}, "g", code="500")
        found = look([green], [steady("b", 50, 50)], bad_green=[bad], scrapes=ahead)

        assert found.cursor == Cursor(10)


def test_a_check_goes_on_counting_what_is_sound_and_lacks_the_rest():
    bad = failing([0, 2, 4, math.nan, math.nan, math.nan])
    green, blue = steady("g", 500, 50), steady("b", 5000, 50)
    arms = sequential.both(Counted((blue,), ()), Counted((green, bad), (bad,)))
    setting = Setting(Kind.ERRORS)
    state = sequential.begin(setting, arms, 0.0).state
    found = sequential.advance(setting, state, arms, (Mark(0.0, "5"),), TENS)

    assert (found.state.cursor, found.fault) == (Cursor(20), reasons.UNUSABLE_COUNTER)
    assert found.state.lines[0].sums[1] == 4
    assert found.detail == '{code="500", pod="g"} is nan'
