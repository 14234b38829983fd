"""What a plan keeps of its finished releases."""

from controller.api.plan import History
from controller.core.retention import Finished, no_longer_kept

DAY = 86_400.0


def finished(count, size=1000):
    return [Finished(f"r{i}", f"u{i}", i * DAY, size, "h") for i in range(count)]


def names(removed):
    return sorted(release.name for release in removed)


def test_the_newest_are_kept_by_count():
    assert names(no_longer_kept(finished(5), History(releases=3), 5 * DAY)) == ["r0", "r1"]


def test_old_ones_go_by_age():
    assert names(no_longer_kept(finished(5), History(age="2d"), 5 * DAY)) == ["r0", "r1", "r2"]


def test_the_oldest_go_where_the_records_are_too_large_together():
    assert names(no_longer_kept(finished(5, size=8_000_000), History(megabytes=20), 5 * DAY)) == ["r0", "r1", "r2"]


def test_the_newest_release_is_kept_whatever_its_size():
    assert names(no_longer_kept(finished(1, size=90_000_000), History(megabytes=1, age="1s"), 90 * DAY)) == []


def test_a_large_old_one_does_not_take_smaller_older_ones_with_it():
    mixed = [Finished("new", "a", 3.0, 100, "h"), Finished("big", "b", 2.0, 50_000_000, "h"), Finished("old", "c", 1.0, 100, "h")]

    assert names(no_longer_kept(mixed, History(megabytes=1), 4.0)) == ["big"]
