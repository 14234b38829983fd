"""Many releases at the same time under controllers that are killed and paused at random, seeded times.

Each shop starts one release after the other, good ones and bad ones, some of which are deleted on their way. While that goes on,
the controllers are disturbed; then every release must end as it should, and the checker must find no breach in what the API
server committed.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.bed.waiting import PATIENCE
from tests.real.harness import Scene, Shop, stages

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bed.api import JsonObject
    from tests.bed.processes import Program

FINAL = ("Succeeded", "RolledBack", "Refused", "Halted")
TICK_SECONDS = 0.1
WEIGHTS = (25, 60, 100)
LEASE_SECONDS = 2.0
END_SECONDS = 180.0 * PATIENCE


def in_three_stages(spec: JsonObject) -> None:
    """Short enough that many releases of a shop fit in, and a preparation that may outlast many kills."""
    spec["preparation"] = {"deadline": "10h"}
    spec["stages"] = stages(*WEIGHTS)
    spec["finish"] = {"retention": "2m"}


@dataclass(slots=True)
class Life:
    """What one shop is going through.

    Attributes:
        fails_at: weight at which the present release's green begins to fail; 0 for a good one.
        deleted_at: weight at which the present Release is deleted; 0 for one that may stay.
    """

    shop: Shop
    count: int = 0
    fails_at: int = 0
    deleted_at: int = 0
    ended: bool = True


@dataclass(slots=True)
class Chaos:
    """One run.

    Attributes:
        outcomes: how many releases ended in which phase; `deleted` for those that were.
        surprises: releases that ended otherwise than they should, in sentences.
    """

    scene: Scene
    seed: int
    say: Callable[[str], object] = lambda _line: None
    outcomes: dict[str, int] = field(default_factory=dict)
    surprises: list[str] = field(default_factory=list)
    _lives: list[Life] = field(default_factory=list)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def shops(self, count: int) -> None:
        """Make the shops, every fourth in host mode with two namespaces."""
        self._lives += [Life(self.scene.shop(in_three_stages, two_namespaces=i % 4 == 3)) for i in range(count)]

    def kills(self, count: int) -> None:
        """Kill -9 the only controller, again and again; the next one starts at once, as a kubelet would have it."""
        program = self.scene.start_controller()
        for number in range(count):
            self._live(self._random.uniform(0.5, 7.0))
            where = self._at_a_write()
            with self.scene.recorder.disturbance(alone=True):
                program.kill()
                self.say(f"kill {number + 1} of {count} {where}; {self.summary()}")
                program = self.scene.controllers.start()

    def pauses(self, count: int) -> None:
        """Freeze one of two controllers for longer than the lease, and let it go on where it stood."""
        self.scene.controllers.start()
        for number in range(count):
            self._live(self._random.uniform(1.0, 4.0))
            program = self._leading()
            where = self._at_a_write()
            seconds = self._random.uniform(1.2, 2.5) * LEASE_SECONDS
            with self.scene.recorder.disturbance():
                program.pause()
                self._live(seconds)
                program.resume()
            self.say(f"pause {number + 1} of {count}, {seconds:.1f} s of {program.name} {where}; {self.summary()}")

    def end(self) -> None:
        """Start nothing more, and wait until every release has ended."""
        deadline = time.monotonic() + END_SECONDS
        while not all(life.ended for life in self._lives) and time.monotonic() < deadline:
            self._tick(start=False)
            time.sleep(TICK_SECONDS)
        for life in self._lives:
            if not life.ended:
                status = self._release(life).get("status", {})
                where = f"{life.shop.namespace}/{life.shop.release}"
                self.surprises.append(f"{where} is {status.get('phase')} after {END_SECONDS:g} s of peace: {status.get('message')}")

    def summary(self) -> str:
        """The outcomes in one line."""
        return ", ".join(f"{count} {phase}" for phase, count in sorted(self.outcomes.items())) or "none has ended"

    def _leading(self) -> Program:
        """The replica that took the lease last, of those that run."""
        programs = {program.name: program for program in self.scene.controllers.programs if program.running}
        last = [name for name in self.scene.controllers.leaders() if name in programs]
        return programs[last[-1]] if last else next(iter(programs.values()))

    def _at_a_write(self) -> str:
        """Half of the time, wait for the next write of a route and a few milliseconds more: where it matters most."""
        if self._random.random() < 0.5 or not self.scene.recorder.wait_for_a_route(3.0):
            return "at any time"
        milliseconds = self._random.choice((0, 0, 1, 3, 10, 30))
        time.sleep(milliseconds / 1000)
        return f"{milliseconds} ms after a route was written"

    def _live(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._tick(start=True)
            time.sleep(TICK_SECONDS)

    def _tick(self, *, start: bool) -> None:
        for life in self._lives:
            if life.ended:
                if start:
                    self._start(life)
            else:
                self._follow(life)

    def _start(self, life: Life) -> None:
        life.count += 1
        life.fails_at = self._random.choice((0, 0, *WEIGHTS))
        life.deleted_at = self._random.choice((0, 0, 0, 0, *WEIGHTS))
        green = life.shop.idle()
        if life.fails_at:
            life.shop.fails(green, from_weight=life.fails_at)
        else:
            life.shop.heals(green)
        life.shop.start(f"v{life.count + 1}")
        life.ended = False

    def _follow(self, life: Life) -> None:
        release = self._release(life)
        status = release.get("status", {})
        where = f"{life.shop.namespace}/{life.shop.release}"
        if life.deleted_at > 0 and status.get("weight", 0) >= life.deleted_at and status.get("phase") not in FINAL:
            life.shop.api.delete(life.shop.path)
            life.deleted_at = -life.deleted_at
        if life.deleted_at < 0:
            if release and status.get("phase") not in FINAL:
                return
            self._count(life, "deleted")
            return
        if status.get("phase") not in FINAL:
            return
        expected = "RolledBack" if life.fails_at else "Succeeded"
        if status["phase"] != expected:
            self.surprises.append(f"{where} is {status['phase']}, expected {expected}: {status.get('message')}")
        self._count(life, status["phase"])

    def _count(self, life: Life, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        life.ended = True

    def _release(self, life: Life) -> JsonObject:
        return self.scene.recorder.newest("Release", life.shop.namespace, life.shop.release)
