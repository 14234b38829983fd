"""Figures of 400 and 1,000 releases that measure at once, on the real API server with the production controller.

Every release asks one query every 10 s, six a minute. The crowd is made once and used for all rows, in this order:
quiet (CPU, requests, memory), restarted, five bad, all bad, then 1,000 with many finished ones.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from bench.fleet import RELEASES, Fleet, say
from bench.fleet_objects import copied, name_of, namespace_of
from bench.measures import (
    MEGABYTE,
    cpu_seconds,
    lateness,
    quantile,
    reactions,
    requests_between,
    resident_bytes,
    summary,
    weight_writes,
    words,
)

INTERVAL_SECONDS = 10.0
ZERO = ("TearingDown", "RolledBack")
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
CROWDED = frozenset({"late", "history"})


class Crowd:
    """The measurements over one fleet. `many`, `more` and `finished` are the sizes of its three states."""

    def __init__(self, fleet: Fleet, *, quick: bool) -> None:
        self._fleet, self._revision = fleet, "v2"
        self.many, self.more, self.finished = (40, 100, 200) if quick else (400, 1000, 10_000)
        self._watched_seconds, self._rounds = (20.0, 2) if quick else (60.0, 6)

    def title(self, row: str) -> str:
        """The row's words with the sizes."""
        return ROWS[row].format(many=self.many, more=f"{self.more:,}", finished=f"{self.finished:,}")

    def measure(self, wanted: Collection[str]) -> Iterator[Row]:
        """The wanted rows, one after another."""
        self._fleet.build(range(self.many))
        self._fleet.start_controller()
        self._fleet.release(range(self.many), "v2")
        if {"cpu", "requests", "memory"} & set(wanted):
            yield from (row for name, row in self._quiet().items() if name in wanted)
        if "start" in wanted:
            yield self._restarted()
        if "five" in wanted:
            yield self._five_bad()
        if "all" in wanted:
            yield self._all_bad()
        if CROWDED & set(wanted):
            yield from (row for name, row in self._crowded().items() if name in wanted)

    def _quiet(self) -> dict[str, Row]:
        """A minute in which nothing happens."""
        pid = self._pid()
        time.sleep(INTERVAL_SECONDS)
        since, cpu = time.time(), cpu_seconds(pid)
        time.sleep(self._watched_seconds)
        until, cpu = time.time(), cpu_seconds(pid) - cpu
        minutes = (until - since) / 60
        asked = sum(since < at <= until for times in self._fleet.polls().values() for at in times)
        requests = requests_between(self._fleet.audited(since), since, until)
        kinds = Counter(f"{e['verb']} {e['objectRef']['resource']}" for e in requests)
        say(f"{len(requests)} requests: {dict(kinds)}")
        late = lateness(self._fleet.polls(), INTERVAL_SECONDS, since, until)
        cpu_words = f"{cpu / minutes:.1f} s ({asked / minutes / self.many:.1f} queries a release and minute; late {summary(late)})"
        return {
            "cpu": (self.title("cpu"), cpu_words, "<= 8 s with 400"),
            "requests": (self.title("requests"), f"{len(requests) / minutes / self.many:.2f}", "<= 1"),
            "memory": (self.title("memory"), f"{resident_bytes(pid) / MEGABYTE:.0f} MB", "<= 150 MB"),
        }

    def _pid(self) -> int:
        assert self._fleet.controller is not None
        return self._fleet.controller.pid

    def _restarted(self) -> Row:
        """Ended in order and started again."""
        self._fleet.stop_controller()
        self._fleet.stub.get("/forget")
        started = self._fleet.start_controller()
        deadline = time.monotonic() + 120
        while len(polls := self._fleet.polls()) < self.many and time.monotonic() < deadline:
            time.sleep(0.1)
        firsts = [times[0] - started for times in polls.values()]
        detail = f"{words(max(firsts))} (the first after {words(min(firsts))}; {len(firsts)} of {self.many})"
        return self.title("start"), detail, "<= 5 s"

    def _five_bad(self) -> Row:
        """Rounds of five; those that went back are started again, so that as many are measuring each time."""
        found: list[float] = []
        for number in range(self._rounds):
            time.sleep(INTERVAL_SECONDS)
            chosen = range(number * 5, number * 5 + 5)
            found += self._turned(chosen, "v2")
            self._fleet.wait(chosen, "v2", ("RolledBack",), 180)
            self._fleet.release(chosen, "v3")
        return self.title("five"), summary(found), "p99 <= 0.5 s"

    def _all_bad(self) -> Row:
        time.sleep(INTERVAL_SECONDS)
        numbers = range(self.many)
        spoiled = time.time()
        found = self._turned(numbers, "")
        ends = [at for times in weight_writes(self._fleet.audited(spoiled)).values() for at in times[:1]]
        turned = [at - spoiled for at in ends]
        detail = f"{summary(found)}; since they turned bad p99 {words(quantile(turned, 0.99))}"
        return self.title("all"), detail, "p99 <= 10 s"

    def _turned(self, numbers: Sequence[int], revision: str) -> list[float]:
        """Let these turn bad; seconds from each one's bad answer to its weight 0."""
        spoiled = self._fleet.spoil(numbers)
        names = {name_of(n) for n in numbers}
        deadline = time.monotonic() + 180
        while any(weight for name, weight in self._fleet.weights().items() if name in names) and time.monotonic() < deadline:
            time.sleep(2.0)
        time.sleep(2.0)
        bad = {name: at for name, at in self._fleet.bad_answers().items() if name in names and at >= spoiled - 1}
        found = list(reactions(bad, weight_writes(self._fleet.audited(spoiled - 1))).values())
        say(f"{len(found)} of {len(names)} {revision}: {summary(found)}")
        return found

    def _crowded(self) -> dict[str, Row]:
        """More of them, and the history of years."""
        fleet = self._fleet
        ended = self._ended()
        fleet.build(range(self.many, self.more))
        self._add_history(ended)
        fleet.release(range(self.more), "v5", seconds=1800)
        fleet.stop_controller()
        fleet.stub.get("/forget")
        fleet.start_controller()  # what it took to get here is not what it needs for it
        time.sleep(3 * INTERVAL_SECONDS)
        since, cpu = time.time(), cpu_seconds(self._pid())
        time.sleep(self._watched_seconds)
        until, cpu = time.time(), cpu_seconds(self._pid()) - cpu
        late = lateness(fleet.polls(), INTERVAL_SECONDS, since, until)
        detail = f"{summary(late)}; {cpu / (until - since) * 60:.1f} CPU seconds a minute"
        memory = f"{resident_bytes(self._pid()) / MEGABYTE:.0f} MB"
        return {"late": (self.title("late"), detail, "p99 <= 0.5 s"), "history": (self.title("history"), memory, "<= 500 MB")}

    def _ended(self) -> dict[str, object]:
        """Let every release end, and give one that the controller has ended itself."""
        for item in self._fleet.releases():
            meta = item["metadata"]
            if item["status"].get("phase") != "RolledBack":
                body = {
                    "apiVersion": item["apiVersion"],
                    "kind": "ReleaseRequest",
                    "metadata": {"name": f"back-{meta['name']}", "namespace": meta["namespace"]},
                    "spec": {"release": meta["name"], "verb": "rollback", "actor": "bench", "reason": "the next measurement"},
                }
                self._fleet.send("POST", f"{RELEASES}/namespaces/{meta['namespace']}/releaserequests", body)
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            items = self._fleet.releases()
            if all(item["status"].get("phase") == "RolledBack" and not item["metadata"].get("finalizers") for item in items):
                break
            time.sleep(2.0)
        found: dict[str, object] = items[0]
        return found

    def _add_history(self, ended: dict[str, object]) -> None:
        """Finished releases over all plans: objects, and the status that a controller once wrote."""
        say(f"adding {self.finished} finished releases")

        def add(index: int) -> None:
            number = index % self.more
            body, status = copied(ended, number, index)
            path = f"{RELEASES}/namespaces/{namespace_of(number)}/releases"
            self._fleet.send("POST", path, body)
            self._fleet.send("PATCH", f"{path}/{body['metadata']['name']}/status", {"status": status}, MERGE)

        self._fleet.all(add, range(self.finished))


def rows(*, quick: bool, wanted: Collection[str]) -> Iterator[Row]:
    """(what, measured, aim) of the wanted ones."""
    with Fleet() as fleet:
        yield from Crowd(fleet, quick=quick).measure(wanted)
