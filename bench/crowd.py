"""Figures of 400 and 1,000 releases that measure at once, on the real API server with the production controller.

Every release asks one query every 10 s, six a minute. The crowd is made once and used for all rows, in this order:
quiet (CPU, requests, memory), restarted, five bad a few times, then 1,000 with many finished ones, and at last 400 of
them bad at once. Bringing them up takes longest: a release needs some hundred requests for it.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from bench.fleet import RELEASES, Fleet, say
from bench.fleet_objects import Object, copied, name_of, namespace_of
from bench.measures import (
    MEGABYTE,
    cpu_seconds,
    lateness,
    reactions,
    requests_between,
    resident_bytes,
    summary,
    weight_writes,
    words,
)

INTERVAL_SECONDS = 10.0
WATCHED_SECONDS = 60.0
"""Within this time each release that waits writes its progress once."""

MERGE = "application/merge-patch+json"
Row = tuple[str, str, str]

ROWS = {
    "cpu": "CPU seconds a minute with {many} measuring, at 6 queries a release and minute",
    "requests": "API requests of a release that waits in a stage, each minute",
    "memory": "memory with {many} active",
    "start": "start of the controller, to all of {many} releases watched",
    "five": "bad answer to weight 0; {many} releases measuring, five turn bad",
    "all": "bad answer to weight 0; all {many} turn bad at once",
    "late": "a poll is asked later than it was due; {more} releases, 10 s interval",
    "history": "memory with {more} active and {finished} finished",
}
FIVE = 5
CROWDED = frozenset({"late", "history"})


class Crowd:
    """The measurements over one fleet. `many`, `more` and `finished` are the sizes of its three states."""

    def __init__(self, fleet: Fleet, *, quick: bool) -> None:
        self._fleet = fleet
        self.many, self.more, self.finished = (40, 100, 200) if quick else (400, 1000, 10_000)
        self._rounds = 2 if quick else 6

    def title(self, row: str, count: int = 0) -> str:
        """The row's words with the sizes; `count` where there are a few more than 400."""
        return ROWS[row].format(many=count or self.many, more=f"{self.more:,}", finished=f"{self.finished:,}")

    def measure(self, wanted: Collection[str]) -> Iterator[Row]:
        """The wanted rows, one after another."""
        self._spare = self._rounds * FIVE if "five" in wanted else 1
        first = range(self.many + self._spare)
        self._fleet.build(first)
        self._fleet.start_controller()
        self._fleet.release(first, "v2")
        if {"cpu", "requests", "memory", "start"} & set(wanted):
            yield from (row for name, row in self._quiet(len(first)).items() if name in wanted)
        if "start" in wanted:
            yield self._restarted(len(first))
        if "five" in wanted:
            yield self._five_bad()
        if CROWDED & set(wanted):
            yield from (row for name, row in self._crowded(len(first)).items() if name in wanted)
        if "all" in wanted:
            yield self._all_bad(crowded=bool(CROWDED & set(wanted)))

    def _quiet(self, count: int) -> dict[str, Row]:
        """A minute in which nothing happens."""
        pid = self._pid()
        time.sleep(INTERVAL_SECONDS)
        since, cpu = time.time(), cpu_seconds(pid)
        time.sleep(WATCHED_SECONDS)
        until, cpu = time.time(), cpu_seconds(pid) - cpu
        minutes = (until - since) / 60
        asked = sum(since < at <= until for times in self._fleet.polls().values() for at in times)
        requests = requests_between(self._fleet.audited(since), since, until)
        kinds = Counter(f"{e['verb']} {e['objectRef']['resource']}" for e in requests)
        say(f"{len(requests)} requests: {dict(kinds)}")
        late = lateness(self._fleet.polls(), INTERVAL_SECONDS, since, until)
        cpu_words = f"{cpu / minutes:.1f} s ({asked / minutes / count:.1f} queries a release and minute; late {summary(late)})"
        return {
            "cpu": (self.title("cpu", count), cpu_words, "<= 8 s with 400"),
            "requests": (self.title("requests"), f"{len(requests) / minutes / count:.2f}", "<= 1"),
            "memory": (self.title("memory", count), f"{resident_bytes(pid) / MEGABYTE:.0f} MB", "<= 150 MB"),
        }

    def _pid(self) -> int:
        assert self._fleet.controller is not None
        return self._fleet.controller.pid

    def _restarted(self, count: int) -> Row:
        """Ended in order and started again: how long after the start each first poll came, or after it was due where that is later.

        A release that was asked about shortly before the end is due an interval later, and watched all the time.
        """
        self._fleet.stop_controller()
        lasts = {name: times[-1] for name, times in self._fleet.polls().items()}
        self._fleet.stub.get("/forget")
        started = self._fleet.start_controller()
        deadline = time.monotonic() + 120
        while len(polls := self._fleet.polls()) < count and time.monotonic() < deadline:
            time.sleep(0.1)
        firsts = {name: times[0] for name, times in polls.items()}
        late = [at - max(started, lasts[name] + INTERVAL_SECONDS) for name, at in firsts.items()]
        gap = max(at - lasts[name] for name, at in firsts.items())
        detail = (
            f"{words(max(late))} ({len(firsts)} of {count}; the last first poll {words(max(firsts.values()) - started)} after the start; "
            f"longest between two polls of a release, end and start included: {words(gap)}, at an interval of {INTERVAL_SECONDS:g} s)"
        )
        return self.title("start", count), detail, "<= 5 s"

    def _five_bad(self) -> Row:
        """Rounds of five, other ones each time: as many as asked for are measuring to the end."""
        found: list[float] = []
        for number in range(self._rounds):
            time.sleep(INTERVAL_SECONDS)
            found += self._turned(range(self.many + number * FIVE, self.many + number * FIVE + FIVE))[0]
        return self.title("five"), summary(found), "p99 <= 0.5 s"

    def _all_bad(self, *, crowded: bool) -> Row:
        time.sleep(INTERVAL_SECONDS)
        found, since = self._turned(range(self.many))
        beside = f"; {self.more - self.many} good ones beside them" if crowded else ""
        detail = f"{summary(found)}; since they turned bad: {summary(since)}, at an interval of {INTERVAL_SECONDS:g} s{beside}"
        return self.title("all"), detail, "p99 <= 10 s"

    def _turned(self, numbers: Sequence[int]) -> tuple[list[float], list[float]]:
        """Let these turn bad; seconds from each one's bad answer to its weight 0, and from the moment that they turned."""
        begun = time.time()
        spoiled = self._fleet.spoil(numbers)
        names = {name_of(n) for n in numbers}
        deadline = time.monotonic() + 180
        while any(weight for name, weight in self._fleet.weights().items() if name in names) and time.monotonic() < deadline:
            time.sleep(2.0)
        time.sleep(1.0)
        writes = weight_writes(self._fleet.audited(begun))
        bad = {name: at for name, at in self._fleet.bad_answers().items() if name in names}
        found = list(reactions(bad, writes).values())
        since = list(reactions(dict.fromkeys(bad, spoiled), writes).values())
        say(f"{len(found)} of {len(names)} turned bad: {summary(found)}; since then {summary(since)}")
        return found, since

    def _crowded(self, count: int) -> dict[str, Row]:
        """More of them, and the history of years."""
        fleet = self._fleet
        more = range(count, self.more + self._spare)
        fleet.build(more)
        fleet.release(more, "v2", seconds=1800)
        ended = self._ended()
        fleet.stop_controller()  # it would take the past for new releases before their status is there
        self._add_history(ended)
        fleet.stub.get("/forget")
        fleet.start_controller()
        time.sleep(3 * INTERVAL_SECONDS)
        since, cpu = time.time(), cpu_seconds(self._pid())
        time.sleep(WATCHED_SECONDS)
        until, cpu = time.time(), cpu_seconds(self._pid()) - cpu
        late = lateness(fleet.polls(), INTERVAL_SECONDS, since, until)
        detail = f"{summary(late)}; {cpu / (until - since) * 60:.1f} CPU seconds a minute"
        memory = f"{resident_bytes(self._pid()) / MEGABYTE:.0f} MB"
        return {"late": (self.title("late"), detail, "p99 <= 0.5 s"), "history": (self.title("history"), memory, "<= 500 MB")}

    def _ended(self) -> Object:
        """A release that the controller itself has ended; a spare one is sent back where none was."""
        self._fleet.spoil([self.many])
        deadline = time.monotonic() + 300
        while True:
            for item in self._fleet.releases():
                if item["status"].get("phase") == "RolledBack" and not item["metadata"].get("finalizers"):
                    return item
            if time.monotonic() > deadline:
                raise TimeoutError("No release has ended within 300 s.")
            time.sleep(1.0)

    def _add_history(self, ended: Object) -> None:
        """Finished releases over all plans: objects, and the status that a controller once wrote."""
        say(f"adding {self.finished} finished releases")

        def add(index: int) -> None:
            number = index % self.more
            body, status = copied(ended, number, index)
            path = f"{RELEASES}/namespaces/{namespace_of(number)}/releases"
            self._fleet.send("POST", path, body)
            self._fleet.send("PATCH", f"{path}/{body['metadata']['name']}/status", {"status": status}, MERGE)

        self._fleet.all(add, range(self.finished))


def rows(*, quick: bool, wanted: Collection[str], sequential: bool) -> Iterator[Row]:
    """(what, measured, aim) of the wanted ones."""
    with Fleet(sequential=sequential) as fleet:
        yield from Crowd(fleet, quick=quick).measure(wanted)
