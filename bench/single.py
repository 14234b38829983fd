"""Figures of one release at a time on the real API server: from a bad answer to weight 0, and after `kill -9`.

    the stub turns bad -> the next poll (interval 1 s) gets a bad answer -> the API server accepts the patch with weight 0
    |<----------------------- a bad sample becomes readable ------------------------------------------------------>|
                                                          |<- bad answer received --------------------------------->|

The instants are the stub's own note of the answer that it has just written, and the audit log's of the accepted patch;
both processes have the same clock.
"""

import random
import time
from collections.abc import Collection, Iterator

from bench.fleet import Fleet, say
from bench.fleet_objects import name_of
from bench.measures import quantile, reactions, summary, weight_writes, words

BACK = ("RollingBack", "TearingDown", "RolledBack")
Row = tuple[str, str, str]

REACTION = "bad answer of Prometheus received, to weight 0 accepted; one release"
INTERVAL = "a bad sample becomes readable, to weight 0; trigger interval 1 s"
RESTART = "`kill -9`, then bad samples: restart to weight 0 (the old Lease freed)"
ROWS = {"reaction": REACTION, "interval": INTERVAL, "restart": RESTART}


def rows(*, quick: bool, wanted: Collection[str], sequential: bool) -> Iterator[Row]:
    """(what, measured, aim) of the wanted ones."""
    rounds, kills = (5, 2) if quick else (40, 10)
    with Fleet(interval="1s", drain="0s", sequential=sequential) as fleet:
        fleet.build([0])
        fleet.start_controller()
        if {"reaction", "interval"} & set(wanted):
            found = [one_round(fleet, f"r{number}") for number in range(rounds)]
            if "reaction" in wanted:
                yield REACTION, summary([answered for _, answered in found]), "median <= 30 ms, p99 <= 100 ms"
            if "interval" in wanted:
                yield INTERVAL, summary([readable for readable, _ in found]), "p99 <= 1.5 s"
        if "restart" in wanted:
            times = [one_kill(fleet, f"k{number}") for number in range(kills)]
            whole = summary([whole for whole, _ in times])
            yield RESTART, f"{whole}; of it start to the first look {words(quantile([first for _, first in times], 0.5))}", "<= 1.5 s"


def one_round(fleet: Fleet, revision: str) -> tuple[float, float]:
    """Seconds to weight 0 since the bad sample could be read, and since the bad answer was given."""
    fleet.release([0], revision)
    time.sleep(1.0 + random.random())
    spoiled = fleet.spoil([0])
    fleet.wait([0], revision, ("RolledBack",), 60)
    bad = fleet.bad_answers()[name_of(0)]
    answered = to_zero(fleet, bad)
    say(f"{revision}: {words(bad + answered - spoiled)} and {words(answered)}")
    return bad + answered - spoiled, answered


def one_kill(fleet: Fleet, revision: str) -> tuple[float, float]:
    """Seconds from the start of the next controller to weight 0, and to its first question."""
    fleet.release([0], revision)
    time.sleep(2.5)
    fleet.kill_controller()
    fleet.spoil([0])
    fleet.free_lease()
    started = fleet.start_controller()
    fleet.wait([0], revision, ("RolledBack",), 60)
    bad = fleet.bad_answers()[name_of(0)]
    whole = bad + to_zero(fleet, bad) - started
    say(f"{revision}: {words(whole)}")
    return whole, bad - started


def to_zero(fleet: Fleet, since: float) -> float:
    """Seconds from then to the accepted patch."""
    return reactions({name_of(0): since}, weight_writes(fleet.audited(since - 1)))[name_of(0)]
