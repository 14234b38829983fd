"""Simulated releases with their evidence, run once for all tests that look at the same one."""

import io
from functools import cache
from pathlib import Path

from controller.cli.bundles import bundle_of
from controller.evidence.bundle import Bundle, read, write
from controller.evidence.replay import replay, tally
from controller.ports import CONFIG_MAP, RELEASE
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.run import run_scenario
from controller.simulator.simulation import Simulation
from tests.stories import played_in, scenario_of

ROOT = Path(__file__).parents[2]
FIRST = ROOT / "examples" / "first-release" / "scenarios"
HWAYO = ROOT / "examples" / "hwayo" / "scenarios"
SEQUENTIAL = ROOT / "tests" / "scenarios" / "sequential"
KAYENTA = ROOT / "tests" / "scenarios" / "kayenta"
BY_LIMITS = str(ROOT / "tests" / "defects" / "thresholds.yaml")
"""The plan of `FIRST` with limits, for a release whose judging is not looked at: sequential checks take twice as long."""


def simulated(folder: Path, name: str, prepare=lambda _sim: None, **changes) -> Simulation:
    """The simulation of a scenario, some of whose fields may be changed, run to its end."""
    sims = []

    def keep(sim):
        sims.append(sim)
        prepare(sim)

    result = run_scenario(scenario_of(folder, name).model_copy(update=changes), folder, prepare=keep)
    assert result.problems == []
    return sims[0]


def kube_of(sim: Simulation) -> InMemoryKube:
    return InMemoryKube(sim.server, user="observer")


def releases(sim: Simulation) -> list:
    return list(kube_of(sim).list(RELEASE).items)


def parts(sim: Simulation) -> list:
    return [o for o in kube_of(sim).list(CONFIG_MAP).items if "penstock.dev/evidence" in (o["metadata"].get("labels") or {})]


def bundle_from(sim: Simulation, number: int = 0) -> Bundle:
    return bundle_of(kube_of(sim), releases(sim)[number])


def packed(bundle: Bundle) -> bytes:
    file = io.BytesIO()
    write(bundle, file)
    return file.getvalue()


def unpacked(body: bytes) -> Bundle:
    return read(io.BytesIO(body), "a-file")


def replayed(bundle: Bundle):
    return tally(replay(unpacked(packed(bundle)).looks))


def played(folder: Path, name: str) -> Simulation:
    """The undisturbed simulation of a scenario, for those who only look at it."""
    result, sim = played_in(folder, name)
    assert result.problems == []
    return sim


@cache
def recorded(folder: Path, name: str) -> Bundle:
    """The bundle of a scenario's first release."""
    return bundle_from(played(folder, name))
