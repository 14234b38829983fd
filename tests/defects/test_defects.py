"""Every sown defect is found, and by the check that is meant to find it."""

from functools import lru_cache
from pathlib import Path

import pytest
import yaml

from controller import observe
from controller.ports import RELEASE
from controller.simulator import simulation
from controller.simulator.crashes import CrashingKube, Mode, Point, disturb, hand_over, play
from controller.simulator.definitions import load_objects
from controller.simulator.invariants import watch
from controller.simulator.run import run_objects, run_scenario
from controller.simulator.scenario import Scenario, load
from controller.simulator.simulation import SimulationError
from tests.defects import defects

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "first-release" / "scenarios"


@pytest.fixture(autouse=True)
def _looks(monkeypatch):
    monkeypatch.setattr(simulation, "MAX_LOOKS", 6000)


def story(name: str, **changes) -> Scenario:
    scenarios = {scenario.name: scenario for file in sorted(FOLDER.glob("*.yaml")) for scenario in load(file)}
    return Scenario.model_validate(scenarios[name].model_dump(exclude_unset=True) | changes)


@lru_cache
def clean(name: str):
    return play(story(name), FOLDER, None, watch)


def alone(scenario: Scenario) -> list[str]:
    """What the suite says of one run."""
    try:
        return play(scenario, FOLDER, None, watch).result.problems
    except SimulationError as error:
        return [str(error)]


def with_two_leaders(name: str, numbers: list[int], mode: Mode = Mode.PAUSED_LONG) -> list[str]:
    """What the suite says where a leader stands still before one of these writes."""
    return [sentence for number in numbers for sentence in disturb(story(name), FOLDER, clean(name), Point(number, mode), watch)]


def route_writes(name: str) -> list[int]:
    return [write.number for write in clean(name).writes if write.kind == "VirtualService"]


NAN = {"faults": [{"kind": "prometheus-nan", "at": "1m", "lasts": "60m"}], "expect": {"phase": "RolledBack"}}

FOUND_ALONE = [
    (defects.grant_before_verdict, story("healthy"), "S3"),
    (defects.weight_before_grant, story("healthy"), "S2"),
    (defects.no_drain, story("fails-at-25"), "S6"),
    (defects.unchanged_is_skipped, story("never-ready"), "phase: found RollingBack"),
    (defects.bake_lost_on_restart, story("restart"), "end: found"),
    (defects.whole_http, story("healthy"), "S12"),
    (defects.request_forgotten, story("drift-to-blue"), "S11"),
]


@pytest.mark.parametrize(("defect", "scenario", "said"), FOUND_ALONE, ids=[defect.__name__ for defect, _, _ in FOUND_ALONE])
def test_a_defect_is_found_in_one_run(defect, scenario, said):
    assert not alone(scenario)

    with defect():
        found = alone(scenario)

    assert any(said in sentence or "never waits" in sentence for sentence in found), found


@pytest.mark.parametrize(("defect", "said"), [(defects.no_resource_version, "S"), (defects.lower_epoch, "S9")])
def test_a_defect_is_found_where_two_leaders_act(defect, said):
    numbers = route_writes("fails-at-25")
    assert not with_two_leaders("fails-at-25", numbers)

    with defect():
        found = with_two_leaders("fails-at-25", numbers)

    assert any(sentence.startswith(said) for sentence in found), found


def deposed_rollback() -> list[str]:
    """A leader wants to roll back, stands still, and goes on when another one has brought the release to its success."""
    flicker = [{"after": "0s", "value": 0.001}, {"after": "378s", "value": 0.6}, {"after": "402s", "value": 0.001}]
    scenario = story("healthy", versions=[{"image": "*:2.0", "errors": flicker}, {"errors": 0.001}])
    wanted = play(scenario, FOLDER, None, watch)
    first = next(write.number for write in wanted.writes if write.kind == "VirtualService" and write.number > 20)
    rollbacks = [write.number for write in wanted.writes if write.kind == "VirtualService" and write.number > first]
    assert wanted.result.status.phase == "RolledBack"
    return [problem for number in rollbacks[:3] for problem in late(scenario, number)]


def late(scenario: Scenario, number: int) -> list[str]:
    checks = []

    def prepare(sim):
        kube = CrashingKube(sim.kube, Point(number, Mode.PAUSED_LONG))
        sim.kube = sim.cache = kube
        checks.append(watch(sim))

        def stand_still(seconds: float) -> None:
            sim.kube = sim.cache = kube.inner
            sim.queue = type(sim.queue)(sim.clock.now, sim.true_time)  # nobody leads for a while
            sim.run_until(sim.clock.time + 400, lambda: False)
            hand_over(sim, kube.inner, seconds)

        kube.pause = stand_still

    try:
        run_scenario(scenario, FOLDER, prepare=prepare)
    except SimulationError as error:
        return [*checks[0].breaches, str(error)]
    return checks[0].finish()


def test_a_late_rollback_after_a_success_is_found():
    assert not [p for p in deposed_rollback() if p.startswith("S")]

    with defects.late_rollback():
        found = deposed_rollback()

    assert any(sentence.startswith("S7") for sentence in found), found


def reads() -> list[str]:
    """Kinds that one live look reads, in order."""
    looks: list[list[str]] = []

    class Noting:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def get(self, kind, namespace, name):
            looks[-1].append(kind.kind)
            return self.inner.get(kind, namespace, name)

    def prepare(sim):
        looks.append([])
        kube = Noting(sim.kube)

        def look(key, outcome):
            if outcome.subject is not None and outcome.subject.status.phase == "Measuring":
                looks.append([])
                observe.observe(key, kube, sim.ports, sim.memo.parsed, live=True)

        sim.on_look.append(look)

    run_scenario(story("healthy"), FOLDER, prepare=prepare)
    return [look[-1] for look in looks[1:]]


def test_a_release_that_is_read_before_its_targets_is_found():
    assert set(reads()) == {RELEASE.kind}

    with defects.authority_first():
        assert RELEASE.kind not in set(reads())


def test_not_a_number_that_counts_as_good_is_found():
    assert not [p for p in alone(story("healthy", **NAN)) if p.startswith("S")]

    with defects.nan_passes():
        found = alone(story("healthy", **NAN))

    assert any("phase: found" in sentence or "S13" in sentence for sentence in found), found


def test_a_query_of_many_series_whose_last_one_counts_is_found():
    """Two series, of which the last is good: no number, so never a pass."""
    plan = (FOLDER.parent / "plan.yaml").read_text(encoding="utf-8")
    extra = {
        "checks": [{"name": "many", "query": "sum by (response_code) (rate(istio_requests_total[$window]))", "limit": {"max": 1e9}}],
        "triggers": [],
    }
    body = yaml.safe_load(plan)
    body["spec"] |= extra

    def run():
        scenario = story("healthy", versions=[{"errors": 0.2}], limit="2h", expect={"phase": "RolledBack"})
        return run_objects(scenario, [*load_objects(FOLDER / scenario.world), body], prepare=watch).problems

    assert not run()
    with defects.last_series_wins():
        assert any("phase: found Succeeded" in problem for problem in run())
