"""When something that is done again and again is due next: each release has its own beat, told by its uid.

Releases that began together, or that one restart woke together, would ask all at the same moment, again and
again: a crowd of a thousand then has polls that are seconds late, and between them a controller with nothing
to do. So every release keeps to a grid of its own. What brought it off the grid (its first poll, a restart, a
late look) is made good by intervals that are shorter than asked for, never longer:

    release a      |.........|.........|.........|     its places, 10 s apart
    release b      ....|.........|.........|......
    a, late           x------|                         7 s before the next place: due there
    a, later              x------x-----|               3 s before it: half of the way to the place after it

Pure, and the same after a restart: it rests on the uid and on the time that the status holds. Nothing is
random, and a release that runs alone keeps its beat as well.
"""

from zlib import crc32

EARLY_SECONDS = 0.002
"""Done this much before its place is done in its place: wake-ups come a little early at times."""

LATE_SHARE = 1 / 6
"""A share of an interval: what is done at least one interval apart counts as in its place where it is no later than this.
For a minute that is the ten seconds in which a release looks again at the latest."""


def due_after(uid: str, last: float, interval: float) -> float:
    """When what was last done at `last` is due again, Unix seconds: on this release's grid, or on the way to it.

    At most `interval` after `last` (but for what it came early), so that no reaction is later than asked for; at least
    half of it, so that a rule that counts answers in a row does not count the same samples twice. Grids of intervals
    that divide each other share their places, so that one look serves several.
    """
    remaining = _to_next_place(uid, last, interval)
    if remaining <= min(EARLY_SECONDS, interval / 10):
        return last + interval + remaining
    if remaining >= interval / 2:
        return last + remaining
    return last + (interval + remaining) / 2


def free_after(uid: str, last: float, interval: float) -> float:
    """When what need not be done more often than each `interval` may be done again, Unix seconds: on the grid, or on the way to it.

    At least `interval` after `last`, at most half of it more.
    """
    remaining = _to_next_place(uid, last, interval)
    if remaining >= interval * (1 - LATE_SHARE):
        return last + interval
    return last + interval + (remaining if remaining <= interval / 2 else remaining / 2)


def since_place(uid: str, now: float, interval: float) -> float:
    """Seconds since the last place of this release's grid."""
    return interval - _to_next_place(uid, now, interval)


def _to_next_place(uid: str, time: float, interval: float) -> float:
    """Seconds until the next place of the grid; 0.0 on one."""
    return (crc32(uid.encode()) / 1000 - time) % interval
