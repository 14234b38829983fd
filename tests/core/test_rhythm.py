"""Each release has a beat of its own, and no interval is longer than asked for."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.api.plan import PlanSpec
from controller.api.release import CheckStatus, ReleaseStatus
from controller.core.polls import due_triggers, next_poll
from controller.core.rhythm import due_after, free_after
from controller.core.seen import checkpoint_due
from tests.core.releases import NOW, a_release

UIDS = st.uuids(version=4).map(str)
TIMES = st.floats(NOW, NOW + 1e6)
INTERVALS = st.sampled_from((1.0, 7.5, 10.0, 15.0, 60.0, 3600.0))


def times_from(uid, begun, interval, many=6):
    """When something is done that begins at `begun` and is always on time."""
    found = [begun]
    while len(found) < many:
        found.append(due_after(uid, found[-1], interval))
    return found


class TestDueAfter:
    @given(uid=UIDS, last=TIMES, interval=INTERVALS)
    def test_it_is_at_most_an_interval_later_and_at_least_half_of_one(self, uid, last, interval):
        assert interval / 2 - 1e-6 <= due_after(uid, last, interval) - last <= interval + 0.002

    @given(uid=UIDS, begun=TIMES, interval=INTERVALS)
    def test_from_the_second_time_on_it_keeps_to_its_places(self, uid, begun, interval):
        _, _, second, *later = times_from(uid, begun, interval)

        assert later == pytest.approx([second + interval * number for number in (1, 2, 3)], abs=1e-5, rel=0)

    @given(uid=UIDS, begun=TIMES, again=TIMES)
    def test_a_restart_finds_the_same_places(self, uid, begun, again):
        before, after = times_from(uid, begun, 10.0)[-1], times_from(uid, again, 10.0)[-1]

        assert (after - before + 1) % 10.0 == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize("late", [0.0, 0.3, 4.9])
    def test_what_came_late_is_made_good_by_the_next_interval(self, late):
        place = times_from("u", NOW, 10.0)[-1]

        assert due_after("u", place + late, 10.0) == pytest.approx(place + 10, abs=1e-5, rel=0)

    @pytest.mark.parametrize("early", [0.0005, 0.001])
    def test_what_came_a_moment_early_is_not_done_twice(self, early):
        place = times_from("u", NOW, 10.0)[-1]

        assert due_after("u", place - early, 10.0) == pytest.approx(place + 10, abs=1e-5, rel=0)

    def test_a_thousand_that_begin_together_are_spread_evenly(self):
        seconds = [int(times_from(f"release-{number}", NOW, 10.0)[-1]) % 10 for number in range(1000)]

        assert all(70 <= seconds.count(second) <= 130 for second in range(10))

    @given(uid=UIDS, begun=TIMES)
    def test_a_longer_interval_shares_its_places_with_a_shorter_one(self, uid, begun):
        """So that one look serves both."""
        short, long = times_from(uid, begun, 10.0)[-1], times_from(uid, begun, 60.0)[-1]

        assert (long - short + 1) % 10.0 == pytest.approx(1, abs=1e-5)


class TestFreeAfter:
    @given(uid=UIDS, last=TIMES)
    def test_it_is_at_least_an_interval_later_and_at_most_half_of_one_more(self, uid, last):
        assert 60 <= free_after(uid, last, 60.0) - last <= 90

    @given(uid=UIDS, begun=TIMES)
    def test_from_the_second_time_on_it_is_near_its_place_once_an_interval(self, uid, begun):
        times = [begun]
        while len(times) < 6:
            times.append(free_after(uid, times[-1], 60.0))

        assert [after - before for before, after in pairwise(times[2:])] == pytest.approx([60] * 3, abs=1e-5)

    def test_of_a_thousand_that_begin_together_few_go_on_together(self):
        times = [free_after(f"release-{number}", free_after(f"release-{number}", NOW, 60.0), 60.0) for number in range(1000)]

        assert max(sum(int(time % 60) // 6 == part for time in times) for part in range(10)) < 300


class TestPolls:
    PLAN = PlanSpec.model_validate(
        {
            "workload": "web",
            "traffic": {"virtualService": "shop"},
            "stages": [{"weight": 5}, {"weight": 100}],
            "triggers": [{"name": "errors", "builtin": "error-rate", "limit": {"max": 5}, "interval": "10s"}],
        }
    )

    def polls(self, uid, begun, *, looked_at):
        """When the trigger is asked, where somebody looks at these times and whenever it says so."""
        status, now, found = ReleaseStatus(), begun, []
        looks = sorted(looked_at)
        while now < begun + 300:
            if due_triggers(self.PLAN, status, uid, now):
                found.append(now)
                status = ReleaseStatus(triggers=[CheckStatus(name="errors", polled_at=now)])
            due = next_poll(self.PLAN, status, uid, now)
            now = min([time for time in looks if time > now] + [max(due, now + 1e-3)])
        return found

    @given(uid=UIDS, looked_at=st.lists(st.floats(NOW, NOW + 300), max_size=30))
    def test_every_window_has_as_many_polls_as_before_and_hardly_more(self, uid, looked_at):
        """Whatever else the release is looked at for."""
        found = self.polls(uid, NOW, looked_at=looked_at)

        assert 30 <= len(found) <= 32
        assert max(after - before for before, after in pairwise(found)) <= 10.003

    @given(uid=UIDS)
    def test_the_first_poll_is_asked_at_once(self, uid):
        assert due_triggers(self.PLAN, ReleaseStatus(), uid, NOW)


class TestCheckpoints:
    @pytest.mark.parametrize(("seconds", "due"), [(58, False), (-3600, True)])
    def test_progress_is_not_due_within_a_minute_but_where_the_clock_was_set_back(self, seconds, due):
        w = a_release().at_stage(1).world()
        before = w.status.model_copy(update={"checkpoint_at": NOW - seconds})

        assert checkpoint_due(w.with_status(before), before.model_copy(update={"message": "half done"})) is due

    def test_whoever_looks_every_ten_seconds_writes_within_a_minute_and_a_half_then_once_a_minute(self):
        w = a_release().at_stage(1).world()
        status, written = w.status.model_copy(update={"checkpoint_at": NOW}), [NOW]
        for look in range(1, 60):
            later = replace(w.with_status(status), now=NOW + 10 * look)
            if checkpoint_due(later, status.model_copy(update={"message": "half done"})):
                written.append(later.now)
                status = status.model_copy(update={"checkpoint_at": later.now})

        gaps = [after - before for before, after in pairwise(written)]
        assert 60 <= gaps[0] <= 100
        assert set(gaps[2:]) == {60}

    def test_after_an_outage_a_thousand_do_not_write_in_their_first_look(self):
        w = a_release().at_stage(1).world()
        status = w.status.model_copy(update={"checkpoint_at": NOW - 600})
        subjects = [replace(w.subject, uid=f"release-{number}", status=status) for number in range(1000)]
        after = status.model_copy(update={"message": "half done"})

        assert sum(checkpoint_due(replace(w, subject=subject), after) for subject in subjects) < 250
