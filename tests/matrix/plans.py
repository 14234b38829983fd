"""Which runs the matrix consists of: every write of every scenario, failing in every way; and how one cell is run."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from controller.simulator import simulation
from controller.simulator.crashes import Mode, Point, Rehearsal, disturb, play
from controller.simulator.invariants import watch
from controller.simulator.scenario import Scenario, load

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"

MODES = tuple(mode for mode in Mode if mode not in (Mode.PAUSED, Mode.PAUSED_LONG))
"""The eight ways to fail. A paused leader may rightly decide something else later; the swarm checks those by the invariants."""

MAX_LOOKS = 20_000
"""A disturbed run that looks so often has gone astray; the undisturbed ones look some hundred times."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One disturbed run."""

    file: str
    scenario: str
    number: int
    mode: Mode

    @property
    def title(self) -> str:
        return f"{self.file} {self.scenario} write {self.number} {self.mode}"


@lru_cache(maxsize=64)
def scenarios_of(file: str) -> dict[str, Scenario]:
    return {scenario.name: scenario for scenario in load(ROOT / file)}


@lru_cache(maxsize=64)
def rehearsal(file: str, name: str) -> Rehearsal:
    """The undisturbed run, once a process."""
    simulation.MAX_LOOKS = MAX_LOOKS
    return play(scenarios_of(file)[name], (ROOT / file).parent, None, watch)


def run_cell(cell: Cell) -> list[str]:
    """What came out otherwise; empty is good."""
    clean = rehearsal(cell.file, cell.scenario)
    point = Point(cell.number, cell.mode)
    try:
        return disturb(scenarios_of(cell.file)[cell.scenario], (ROOT / cell.file).parent, clean, point, watch)
    except Exception as error:  # noqa: BLE001 - any error at all is a finding of this cell
        return [f"{type(error).__name__}: {error}"]


def files(examples: list[str]) -> list[str]:
    """Scenario files of the named examples, or of all."""
    found = sorted(str(path.relative_to(ROOT)) for path in EXAMPLES.glob("*/scenarios/*.yaml"))
    return [file for file in found if not examples or file.split("/")[1] in examples]


def cells(examples: list[str]) -> Iterator[Cell]:
    """Every cell of the matrix."""
    for file in files(examples):
        for name in scenarios_of(file):
            yield from cells_of(file, name)


def cells_of(file: str, name: str) -> Iterator[Cell]:
    """Every cell of one scenario."""
    for write in rehearsal(file, name).writes:
        for mode in MODES:
            yield Cell(file, name, write.number, mode)


def sample(examples: list[str], count: int, seed: int, most_stories: int = 1000) -> Iterator[Cell]:
    """Cells drawn by a seed, a scenario drawn first, so that long scenarios do not crowd out short ones.

    One at a time: a story is rehearsed only when a cell of it is drawn. Few stories make a small sample quick.
    """
    draw = random.Random(seed)
    stories = [(file, name) for file in files(examples) for name in scenarios_of(file)]
    stories = draw.sample(stories, min(most_stories, len(stories)))
    drawn = set()
    for _ in range(count):
        file, name = draw.choice(stories)
        cell = Cell(file, name, draw.randrange(len(rehearsal(file, name).writes)), draw.choice(MODES))
        if cell not in drawn:
            drawn.add(cell)
            yield cell


def fingerprint() -> str:
    """Of all code and examples: results of another state of the project are not taken over."""
    digest = hashlib.sha256()
    for folder, pattern in (("controller", "**/*.py"), ("analysis", "**/*.py"), ("examples", "**/*.yaml"), ("tests/matrix", "*.py")):
        for path in sorted((ROOT / folder).glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
