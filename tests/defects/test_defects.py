"""Every sown defect is found, and by the check that is meant to find it."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from controller.ports import DEPLOYMENT, RELEASE, UnavailableError
from controller.simulator import simulation
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.crashes import CrashingKube, Mode, Point, disturb, hand_over, play
from controller.simulator.invariants import watch
from controller.simulator.run import run_scenario
from controller.simulator.scenario import START, Scenario, load
from controller.simulator.simulation import SimulationError
from tests.defects import defects
from tests.sizes import most_telling

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "first-release" / "scenarios"


@pytest.fixture(autouse=True)
def _looks(monkeypatch):
    monkeypatch.setattr(simulation, "MAX_LOOKS", 6000)


SCENARIOS = {scenario.name: scenario for file in sorted(FOLDER.glob("*.yaml")) for scenario in load(file)}


def story(name: str, **changes) -> Scenario:
    return Scenario.model_validate(SCENARIOS[name].model_dump(exclude_unset=True) | changes)


@lru_cache
def clean(name: str):
    return play(story(name), FOLDER, None, watch)


class FoundError(SimulationError):
    """What was looked for has been said: the rest of the run need not be waited for."""


def alone(scenario: Scenario, prepare=lambda _sim: None, folder: Path = FOLDER, *, until: str | None = None) -> list[str]:
    """What the suite says of one run, also of one that never ends; `until` ends it with the look that makes a sentence begin so."""
    checks = []

    def stop(_key, _outcome):
        if any(sentence.startswith(until) for sentence in checks[0].breaches):
            raise FoundError(f"ended with {until}")

    def first(sim):
        checks.append(watch(sim))
        if until is not None:
            sim.on_look.append(stop)
        prepare(sim)

    try:
        problems = run_scenario(scenario, folder, prepare=first).problems
    except SimulationError as error:
        problems = [str(error)]
    return [*problems, *checks[0].finish()]


SOUND: dict[str, list[str]] = {}
"""What the suite said of runs without a defect: several defects share a scenario."""


def sound(scenario: Scenario) -> list[str]:
    key = scenario.model_dump_json()
    if key not in SOUND:
        SOUND[key] = alone(scenario)
    return SOUND[key]


def with_two_leaders(name: str, numbers: list[int], mode: Mode = Mode.PAUSED_LONG) -> Iterator[str]:
    """What the suite says where a leader stands still before one of these writes, one after the other as it is asked for."""
    return (sentence for number in numbers for sentence in disturb(story(name), FOLDER, clean(name), Point(number, mode), watch))


@lru_cache
def sound_with_two_leaders(name: str) -> list[str]:
    """The same without a defect."""
    return list(with_two_leaders(name, route_writes(name)))


def route_writes(name: str) -> list[int]:
    return [write.number for write in clean(name).writes if write.kind == "VirtualService"]


THRESHOLDS = {"plan": str(Path(__file__).with_name("thresholds.yaml")), "expect": {"phase": "RolledBack"}}
NAN = {"faults": [{"kind": "prometheus-nan", "at": "1m", "lasts": "60m", "queries": "100*"}], **THRESHOLDS}
LABEL = {"kind": "patch", "at": "5s", "target": "VirtualService shop/shop", "patch": {"metadata": {"labels": {"team": "a"}}}}
USERS = [{"name": f"users-{i}", "host": "shop.shop.svc.cluster.local", "rps": 20, "delay": "10s"} for i in range(8)]
LATE_PROXIES = {"users": USERS, "faults": [LABEL]}
UNREADY = {"pods": [{"image": "*:2.0", "unready": [{"after": "374s", "until": "386s"}]}, {}], "faults": [LABEL]}
EMPTY = {"pods": [{"image": "*:2.0", "unready": [{"after": "400s", "until": "600s"}]}, {}], "expect": {"phase": "RolledBack"}}
STILL = {"faults": [{"kind": "pause", "at": "100s", "lasts": "2m"}]}


def behind(name: str, at: str) -> dict[str, object]:
    """Somebody starts another release of the plan."""
    version = name.removeprefix("shop-")
    images = {"shop": f"registry.example/shop:{version}"}
    return {"at": at, "verb": "start", "release": name, "revision": version, "images": images}


FOUND_ALONE = [
    (defects.grant_before_verdict, story("healthy"), "S3"),
    (defects.weight_before_grant, story("healthy"), "S2"),
    (defects.no_drain, story("fails-at-25"), "S6"),
    (defects.unchanged_is_skipped, story("never-ready"), "L1"),
    (defects.bake_lost_on_restart, story("restart"), "L1"),
    (defects.whole_http, story("healthy"), "S12"),
    (defects.request_forgotten, story("drift-to-blue"), "S11"),
    (defects.no_route_delay, story("healthy", **LATE_PROXIES), "S4"),
    (defects.missing_pods_are_not_asked, story("healthy", **EMPTY), "L2"),
    (defects.pods_are_not_asked, story("healthy", **UNREADY), "S4"),
    (defects.delete_without_preconditions, story("fails-at-25"), "S9"),
    (defects.lease_for_ever, story("healthy", **STILL), "L7"),
    (defects.rollback_on_paper, story("fails-at-25"), "L2"),
    (defects.rollback_at_leisure, story("fails-at-25"), "L2"),
    (defects.drift_is_let_be, story("drift-to-green"), "L4"),
    (defects.after_you, story("healthy", people=[behind("shop-v3", "1m"), behind("shop-v4", "2m")], limit="3h"), "L6"),
]


TELLING = (defects.grant_before_verdict, defects.weight_before_grant, defects.whole_http, defects.delete_without_preconditions)
"""Defects that every run puts in."""


@pytest.mark.parametrize(
    ("defect", "scenario", "said"),
    most_telling(*(one for one in FOUND_ALONE if one[0] in TELLING), of=FOUND_ALONE),
    ids=[defect.__name__ for defect, _, _ in FOUND_ALONE],
)
def test_a_defect_is_found_in_one_run(defect, scenario, said):
    """By the invariant that it breaks, whatever else it breaks."""
    assert not sound(scenario)

    with defect():
        found = alone(scenario, until=said)

    assert any(sentence.startswith(said) for sentence in found), found


@pytest.mark.long
@pytest.mark.parametrize(("defect", "said"), [(defects.no_resource_version, "S8"), (defects.lower_epoch, "S9")])
def test_a_defect_is_found_where_two_leaders_act(defect, said):
    numbers = route_writes("fails-at-25")
    assert not sound_with_two_leaders("fails-at-25")

    with defect():
        found = next((sentence for sentence in with_two_leaders("fails-at-25", numbers) if sentence.startswith(said)), None)

    assert found is not None


def deposed_rollback() -> Iterator[str]:
    """A leader wants to roll back, stands still, and goes on when another one has brought the release to its success."""
    flicker = [{"after": "0s", "value": 0.001}, {"after": "378s", "value": 0.6}, {"after": "402s", "value": 0.001}]
    # Limits forget what was before their window; sequential checks would not let a green with such a moment pass.
    versions = [{"image": "*:2.0", "errors": flicker}, {"errors": 0.001}]
    scenario = story("healthy", plan=THRESHOLDS["plan"], versions=versions)
    wanted = play(scenario, FOLDER, None, watch)
    first = next(write.number for write in wanted.writes if write.kind == "VirtualService" and write.number > 20)
    rollbacks = [write.number for write in wanted.writes if write.kind == "VirtualService" and write.number > first]
    assert wanted.result.status.phase == "RolledBack"
    return (problem for number in rollbacks[:3] for problem in late(scenario, number))


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


@pytest.mark.long
def test_a_late_rollback_after_a_success_is_found():
    assert not [p for p in deposed_rollback() if p.startswith("S")]

    with defects.late_rollback():
        found = next((sentence for sentence in deposed_rollback() if sentence.startswith("S7")), None)

    assert found is not None


class Between:
    """A client that lets somebody act after a read of a Release that has a grant which the routes do not have yet."""

    def __init__(self, inner, act):
        self.inner, self.act = inner, act

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def get(self, kind, namespace, name):
        found = self.inner.get(kind, namespace, name)
        status = found.get("status") or {}
        if kind == RELEASE and self.act is not None and status.get("grant", 0) > status.get("weight", 0):
            act, self.act = self.act, None
            act()
        return found


def removed_by_hand() -> list[str]:
    """Between the first read of the Release and the reads of its routes somebody takes its finalizer off and deletes it."""

    def prepare(sim):
        people = InMemoryKube(sim.server, user="bob", field_manager="kubectl")

        def remove():
            release = people.get(RELEASE, "shop", "shop-v2")
            people.patch(RELEASE, "shop", "shop-v2", {"metadata": {"finalizers": None}})
            people.delete(RELEASE, "shop", "shop-v2", uid=release["metadata"]["uid"])

        sim.kube = sim.cache = Between(sim.kube, remove)

    return [sentence for sentence in alone(story("healthy", limit="1h"), prepare) if sentence.startswith(("S", "L"))]


def test_a_release_that_is_read_before_its_targets_is_found():
    assert not removed_by_hand()

    with defects.authority_first():
        found = removed_by_hand()

    assert any(sentence.startswith("S2") for sentence in found), found


def with_a_namesake() -> list[str]:
    """Somebody puts another Deployment in green's place in the middle of a stage."""

    def prepare(sim):
        people = InMemoryKube(sim.server, user="bob", field_manager="kubectl")

        def swap():
            green = people.get(DEPLOYMENT, "shop", "shop-green")
            people.delete(DEPLOYMENT, "shop", "shop-green", uid=green["metadata"]["uid"])
            meta = {"name": "shop-green", "namespace": "shop", "labels": green["metadata"]["labels"]}
            people.create(DEPLOYMENT, "shop", {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": green["spec"]})

        sim.at(START + 420, swap)

    return [sentence for sentence in alone(story("fails-at-25", limit="1h"), prepare) if sentence.startswith(("S", "L"))]


@pytest.mark.long
def test_a_namesake_that_is_taken_down_is_found():
    assert not with_a_namesake()

    with defects.namesake_is_taken():
        found = with_a_namesake()

    assert any(sentence.startswith("S14") for sentence in found), found


class Unreachable:
    """A client to whom one release cannot be read for a number of times."""

    def __init__(self, inner, name, times):
        self.inner, self.name, self.times = inner, name, times

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def get(self, kind, namespace, name):
        if kind == RELEASE and name == self.name and self.times:
            self.times -= 1
            raise UnavailableError(500, "InternalError", "etcdserver: request timed out")
        return self.inner.get(kind, namespace, name)


def beside_a_broken_one() -> list[str]:
    """A release is due at the same moment as another one, whose looks fail twelve times in a row."""
    folder = Path(__file__).resolve().parents[1] / "scenarios" / "peers"
    rivals = next(scenario for scenario in load(folder / "scenarios.yaml") if scenario.name == "two-plans-on-one-route")

    def prepare(sim):
        client = sim.kube = sim.cache = Unreachable(sim.kube, "z-rival", 0)

        def arrives():
            client.times = 12
            sim.at(sim.clock.time, lambda: sim.queue.drop(("shop", "z-rival")))

        sim.at(START + 90, arrives)
        sim.at(START + 95, sim.queue_everything)

    act = rivals.people[0].model_copy(update={"at": 90.0, "release": "z-rival"})
    return alone(rivals.model_copy(update={"people": [act]}), prepare, folder)


@pytest.mark.long
def test_a_broken_release_that_goes_first_is_found():
    assert not beside_a_broken_one()

    with defects.broken_one_first():
        found = beside_a_broken_one()

    assert any(sentence.startswith("L5") for sentence in found), found


def test_not_a_number_that_counts_as_good_is_found():
    assert not [p for p in alone(story("healthy", **NAN)) if p.startswith("S")]

    with defects.nan_passes():
        found = alone(story("healthy", **NAN), until="S13")

    assert any(sentence.startswith("S13") for sentence in found), found


@pytest.mark.long
def test_a_query_of_many_series_whose_last_one_counts_is_found():
    """Every answer has two series, of which the last is good: no number, so never a pass."""
    faults = [{"kind": "prometheus-many", "at": "1m", "lasts": "60m"}]
    twice = story("healthy", faults=faults, **THRESHOLDS)
    assert not alone(twice)

    with defects.last_series_wins():
        found = alone(twice, until="S13")

    assert any(sentence.startswith("S13") for sentence in found), found
