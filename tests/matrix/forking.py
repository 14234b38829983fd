"""Runs the cells of one story from a single run: at each write the process forks, and the child's write fails.

A run up to a write is the same for every way in which that write can fail, so it is run once. The child goes on
from exactly the state that a run of its own would have reached, which `test_matrix.py` checks. Where the controller
is killed after one write or before the next one of the same look, nothing tells these two apart: they are run once.
A child that has come back to the undisturbed run ends there (`controller.simulator.landmarks`), unless it is to be run whole.
"""

import gc
import json
import math
import os
import select
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NoReturn

from controller.ports import Kube
from controller.simulator.crashes import Checks, CrashingKube, Mode, Point, compare, play
from controller.simulator.invariants import watch
from controller.simulator.landmarks import Landmark, rejoined
from controller.simulator.simulation import Simulation
from tests.matrix.plans import ROOT, Cell, rehearsal, scenarios_of

Heard = Callable[[Cell, list[str]], None]
"""Told what a cell found; empty is good."""


@dataclass(slots=True)
class Children:
    """Forked runs that have not yet answered, each at the end of a pipe.

    Attributes:
        jobs: how many may run at once.
        until: none begins after this time (`time.monotonic`).
        heard: told what each one found, as soon as it has ended.
        found: the same, for `same_as`.
    """

    jobs: int
    until: float
    heard: Heard
    running: dict[int, tuple[int, Cell]] = field(default_factory=dict)
    found: dict[Cell, list[str]] = field(default_factory=dict)

    def fork(self, cell: Cell) -> int:
        """In the child the pipe to answer by; 0 in the parent. Waits until there is room for one more; forks none when time is up."""
        while len(self.running) >= self.jobs:
            self.wait()
        if time.monotonic() >= self.until:
            return 0
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            return writer
        os.close(writer)
        self.running[reader] = (pid, cell)
        return 0

    def wait(self) -> None:
        """Take the answers of those that have ended, at least of one."""
        ready, _, _ = select.select(list(self.running), [], [])
        for reader in ready:
            pid, cell = self.running.pop(reader)
            with os.fdopen(reader, "rb") as pipe:
                text = pipe.read()
            os.waitpid(pid, 0)
            self.found[cell] = json.loads(text) if text else ["the run ended without an answer"]
            self.heard(cell, self.found[cell])

    def rest(self) -> None:
        """Wait for all."""
        while self.running:
            self.wait()

    def same_as(self, cell: Cell, other: Cell) -> None:
        """A cell that need not be run, because another one that was is the same run."""
        if other in self.found:
            self.heard(cell, self.found[other])


class ForkingKube(CrashingKube):
    """A client that forks before each chosen write; in the child that write fails.

    Attributes:
        look: the number of the look that writes.
        twins: writes before which a crash is the same as a crash after the write before.
    """

    def __init__(self, inner: Kube, chosen: dict[int, list[Mode]], fork: Callable[[int, Mode], int]) -> None:
        super().__init__(inner)
        self.chosen, self.fork = chosen, fork
        self.pipe = 0
        self.look: Callable[[], int] = lambda: 0
        self.twins: list[int] = []
        self._wrote_in = 0

    def about_to_write(self, number: int) -> None:
        """The parent goes on undisturbed."""
        if self.pipe:
            return
        same_look, self._wrote_in = self._wrote_in == self.look(), self.look()
        for mode in self.chosen.get(number, ()):
            if mode is Mode.CRASH_BEFORE and same_look and Mode.CRASH_AFTER in self.chosen.get(number - 1, ()):
                self.twins.append(number)
                continue
            self.pipe = self.fork(number, mode)
            if self.pipe:
                self.point = Point(number, mode)
                return


def answer(pipe: int, found: list[str]) -> NoReturn:
    """The last deed of a child."""
    os.write(pipe, json.dumps([sentence[:1000] for sentence in found[:50]]).encode())
    os._exit(0)


def _by_write(chosen: Iterable[Cell]) -> dict[int, list[Mode]]:
    found: dict[int, list[Mode]] = defaultdict(list)
    for cell in chosen:
        found[cell.number].append(cell.mode)
    return found


def run_story(
    file: str, name: str, chosen: Iterable[Cell], jobs: int, heard: Heard, *, until: float = math.inf, whole: bool = False
) -> list[int]:
    """Run the chosen cells of one scenario of one file; none begins after `until` (`time.monotonic`); with `whole` each to its end.

    Returns the writes before which a crash was taken for one after the write before.
    """
    clean, scenario = rehearsal(file, name), scenarios_of(file)[name]
    by_write = _by_write(chosen)
    children = Children(jobs, until, heard)
    clients: list[ForkingKube] = []

    def client(inner: Kube, _point: Point | None) -> CrashingKube:
        clients.append(ForkingKube(inner, by_write, lambda number, mode: children.fork(Cell(file, name, number, mode))))
        return clients[0]

    def sound(landmark: Landmark) -> None:
        """A child that has come back to the undisturbed run would come out as that."""
        if clients[0].pipe and not whole and rejoined(scenario, clean.landmarks, landmark):
            answer(clients[0].pipe, [])

    def watching(sim: Simulation) -> Checks:
        clients[0].look = lambda: sim.looks
        return watch(sim)

    gc.collect()
    gc.freeze()  # what exists now is never collected by a child, so that its pages stay shared
    try:
        other = play(scenario, (ROOT / file).parent, None, watching, client=client, sound=sound)
        found = compare(scenario, clean, other)
    except BaseException as error:  # noqa: BLE001 - a child answers whatever happens to it
        found = [f"{type(error).__name__}: {error}"]
    finally:
        gc.unfreeze()
    if clients[0].pipe:
        answer(clients[0].pipe, found)
    children.rest()
    for number in clients[0].twins:
        children.same_as(Cell(file, name, number, Mode.CRASH_BEFORE), Cell(file, name, number - 1, Mode.CRASH_AFTER))
    if found:
        heard(Cell(file, name, -1, Mode.CRASH_BEFORE), [f"a second undisturbed run: {sentence}" for sentence in found])
    return clients[0].twins


def run_cells(chosen: Iterable[Cell], jobs: int, heard: Heard, *, until: float = math.inf, whole: bool = False) -> None:
    """Run all chosen cells, story by story, as far as time goes (`time.monotonic`); with `whole` each to its end."""
    stories: dict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in chosen:
        stories[cell.file, cell.scenario].append(cell)
    for (file, name), mine in stories.items():
        if time.monotonic() < until:
            run_story(file, name, mine, jobs, heard, until=until, whole=whole)
