"""What other controllers get wrong in the same situations, where a scenario file alone cannot say it."""

from pathlib import Path

import pytest

from controller.ports import RELEASE, RELEASE_REQUEST, VIRTUAL_SERVICE
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.invariants import watch
from controller.simulator.run import run_scenario
from controller.simulator.scenario import START, Act, Fault, load
from tests.sizes import most_telling
from tests.stories import played_in

FOLDER = Path(__file__).parent / "peers"
SCENARIOS = {scenario.name: scenario for scenario in load(FOLDER / "scenarios.yaml")}


def told(name: str, prepare=lambda _sim: None, **changes):
    """The result, with breaches among its problems, and a client to look around with."""
    kept = []

    def first(sim):
        kept.extend((sim, watch(sim)))
        prepare(sim)

    result = run_scenario(SCENARIOS[name].model_copy(update=changes), FOLDER, prepare=first)
    sim, checks = kept
    result.problems += checks.finish()
    return result, InMemoryKube(sim.server), sim


def told_once(name: str):
    """The same of an undisturbed scenario, for all who only look."""
    result, sim = played_in(FOLDER, name)
    return result, InMemoryKube(sim.server), sim


def green_weight(kube: InMemoryKube) -> float:
    """Green's weight on the route; 0 where green is no destination."""
    rule = kube.get(VIRTUAL_SERVICE, "shop", "shop")["spec"]["http"][0]
    return sum(entry.get("weight", 0) for entry in rule["route"] if entry["destination"].get("subset") != "v1" and len(rule["route"]) > 1)


def test_a_rival_plan_gets_nothing_of_the_route_and_says_why():
    result, kube, _ = told_once("two-plans-on-one-route")

    status = kube.get(RELEASE, "shop", "rival-v9")["status"]
    assert result.problems == []
    assert (status["phase"], status.get("maxWeight", 0)) == ("Refused", 0)
    assert "shop-v2" in status["message"] or "VirtualService" in status["message"]


@pytest.mark.long
def test_another_writer_twenty_times_a_second_does_not_delay_a_rollback():
    """Each of its annotations makes whatever we read a moment ago too old to write by."""

    def busy(sim):
        others = InMemoryKube(sim.server, user="bob", field_manager="busy")
        for tick in range(20 * 60):
            body = {"metadata": {"annotations": {"busy.example/tick": f"{tick}"}}}
            sim.at(START + 220 + tick / 20, lambda body=body: others.patch(VIRTUAL_SERVICE, "shop", "shop", body))

    result, kube, _ = told("paused-while-green-fails", busy, faults=[])

    assert result.problems == []
    assert result.ended_at < 360
    assert kube.get(VIRTUAL_SERVICE, "shop", "shop")["metadata"]["annotations"]["busy.example/tick"] == "1199"


def test_a_route_that_is_deleted_and_put_back_gives_green_nothing():
    kept = {}

    def meddle(sim):
        people = InMemoryKube(sim.server, user="bob", field_manager="kubectl")

        def away():
            kept["route"] = people.get(VIRTUAL_SERVICE, "shop", "shop")
            people.delete(VIRTUAL_SERVICE, "shop", "shop", uid=kept["route"]["metadata"]["uid"])

        def back():
            meta = {k: v for k, v in kept["route"]["metadata"].items() if k in ("name", "namespace", "labels", "annotations")}
            people.create(VIRTUAL_SERVICE, "shop", {**kept["route"], "metadata": meta})

        sim.at(START + 100, away)
        sim.at(START + 130, back)
        sim.at(START + 145, lambda: kept.update(green=green_weight(people)))

    _, kube, _sim = told("paused-while-green-fails", meddle, faults=[])

    assert kept["green"] == 0
    assert green_weight(kube) == 0


WINDOWS = ["paused-for-half-a-minute", "paused-for-a-moment", "killed-every-12-seconds", "counters-reset"]


@pytest.mark.parametrize("name", most_telling("killed-every-12-seconds", of=WINDOWS))
def test_each_stage_lasts_at_least_its_window(name):
    _, kube, _ = told_once(name)

    stages = kube.get(RELEASE, "shop", "shop-v2")["status"]["stages"]
    assert [stage["window"]["ran"] >= 60 for stage in stages] == [True] * 4


UNREADY = ["one-green-pod-unready", "one-blue-pod-unready", "paused-while-green-fails"]


@pytest.mark.parametrize("name", most_telling(UNREADY[0], of=UNREADY))
def test_everybody_is_back_within_half_a_minute_of_the_first_failure(name):
    """Green fails from the 240th second on."""
    _, kube, _ = told_once(name)

    rollback = kube.get(RELEASE, "shop", "shop-v2")["status"]["rollback"]
    assert 0 < rollback["trafficAt"] - START - 240 <= 30


def test_after_a_rollback_it_is_quiet():
    """An hour after it nobody has asked the API server for anything on its behalf: no look is taken."""
    _, _, sim = told("one-green-pod-unready")
    before = sim.looks

    sim.run_until(sim.clock.time + 3600, lambda: False)

    assert sim.looks == before


def test_a_request_to_go_back_after_a_success_moves_nothing():
    """Elsewhere an abort with nothing in progress scaled the stable version to zero."""

    def late(sim):
        people = InMemoryKube(sim.server, user="bob", field_manager="penstock-cli")

        def ask():
            uid = people.get(RELEASE, "shop", "shop-v2")["metadata"]["uid"]
            spec = {"release": "shop-v2", "releaseUid": uid, "verb": "rollback", "actor": "bob", "reason": "late"}
            body = {"apiVersion": "penstock.dev/v1alpha1", "kind": "ReleaseRequest", "metadata": {"name": "late"}, "spec": spec}
            people.create(RELEASE_REQUEST, "shop", body)

        sim.at(START + 1500, ask)

    result, kube, _ = told("foreign-labels", late)

    assert result.problems == []
    assert green_weight(kube) in (0, 100)
    assert kube.get(RELEASE, "shop", "shop-v2")["status"]["phase"] == "Succeeded"


def test_what_others_wrote_on_the_route_stays():
    _, kube, _ = told_once("foreign-labels")

    route = kube.get(VIRTUAL_SERVICE, "shop", "shop")
    assert route["metadata"]["labels"] == {"team": "checkout", "cost-centre": "17"}
    assert (route["spec"]["http"][0]["retries"], route["spec"]["http"][0]["timeout"]) == ({"attempts": 2}, "5s")


OUTAGES = [
    ("down", "Prometheus cannot be reached: connection refused"),
    ("error", "Prometheus answered with an error: 500"),
    ("slow", "Prometheus did not answer in time"),
    ("partial", "Prometheus answered with a warning: partial response"),
    ("empty", "the answer has no sample of blue and green that can be counted"),
    ("nan", "the answer has no sample of blue and green that can be counted"),
    ("stale", "no sample of both versions since"),
]


@pytest.mark.parametrize(("fault", "why"), most_telling(OUTAGES[0], of=OUTAGES))
def test_a_window_that_stands_still_says_why_there_is_no_data(fault, why):
    outage = Fault(kind=f"prometheus-{fault}", at=90.0, lasts=300.0)
    result, _, _ = told("answers-nan-for-a-while", faults=[outage])

    held = [line.text for line in result.transcript if "Holding" in line.text]
    assert result.status.phase == "Succeeded"
    assert "No data to judge by: no sample of both versions since" in held[0]
    assert why in held[0]


NOT_QUIET = [
    ("answers-error-for-ever", "Prometheus answered with an error: 500 internal server error"),
    ("answers-empty-for-ever", "Prometheus's answer has no sample of either version"),
    ("no-requests", "Prometheus's answer has no sample of either version"),
]


@pytest.mark.parametrize(("name", "why"), most_telling(NOT_QUIET[0], of=NOT_QUIET))
def test_a_green_that_nobody_can_call_quiet_says_what_is_missing(name, why):
    """An answer without a series is not no answer: a service that nobody calls has a Prometheus that is up."""
    result, _, _ = told_once(name)

    assert result.status.message == f"Green is at weight 0, but nobody can say that it gets no traffic: {why}"


@pytest.mark.long
def test_at_100_percent_only_greens_samples_are_missed():
    """Nobody is at blue then, so that its samples are not waited for."""
    result, _, _ = told("answers-nan-for-a-while", faults=[Fault(kind="prometheus-empty", at=520.0, lasts=300.0)])

    held = [line.text for line in result.transcript if "Holding      100 %" in line.text]
    assert "No data to judge by: no sample of green since" in held[0]
    assert "the answer has no sample of green that can be counted" in held[0]


def queued_behind_a_drift(*more: Fault):
    """After the success somebody gives the old version a part of the traffic by hand, and the next release is started."""
    drift = Fault(kind="drift", at=900.0, target="VirtualService shop/shop", weight=60)
    start = Act(at="17m", verb="start", release="shop-v3", revision="v3", images={"shop": "registry.example/shop:3.0"})
    after = Act(at="18m", verb="start", release="shop-v4", revision="v4", images={"shop": "registry.example/shop:4.0"})
    result, kube, _ = told("answers-nan-for-a-while", faults=[drift, *more], people=[start, after], limit=7200.0)
    return result, [kube.get(RELEASE, "shop", name)["status"] for name in ("shop-v3", "shop-v4")]


@pytest.mark.long
def test_a_release_that_waits_for_an_old_version_in_use_names_its_person_and_the_command():
    """The old version is never taken away under users, so that the wait has no end of its own."""
    result, (waiting, behind) = queued_behind_a_drift()

    assert result.problems == []
    assert (waiting["phase"], waiting["hold"]["waitsFor"], waiting["hold"].get("until")) == ("Queued", "operator", None)
    assert "`kubectl edit virtualservice shop -n shop`" in waiting["message"]
    assert behind["message"] == waiting["message"]


@pytest.mark.long
def test_a_release_behind_one_that_is_halted_waits_for_the_same_person():
    """The one that is halted names it; nobody else is stuck."""
    start = Act(at="30m", verb="start", release="shop-v3", revision="v3", images={"shop": "registry.example/shop:3.0"})
    result, kube, _ = told("no-requests", people=[start])

    assert result.problems == []
    assert [kube.get(RELEASE, "shop", name)["status"]["phase"] for name in ("shop-v2", "shop-v3")] == ["Halted", "Queued"]


@pytest.mark.long
def test_it_begins_by_itself_when_the_weights_are_put_right():
    result, (waiting, behind) = queued_behind_a_drift(Fault(kind="drift", at=1_200.0, target="VirtualService shop/shop", weight=100))

    assert result.problems == []
    assert [(one["phase"], one.get("hold")) for one in (waiting, behind)] == [("Succeeded", None)] * 2


@pytest.mark.long
def test_a_way_back_over_split_weights_is_refused_and_leaves_nothing_stuck_behind_it():
    """No version has all the traffic then, so that nobody could put everybody back on one: both releases end, and say so."""
    drift = Fault(kind="drift", at=900.0, target="VirtualService shop/shop", weight=60)
    start = Act(at="17m", verb="start", release="shop-v3", revision="v3", images={"shop": "registry.example/shop:3.0"})
    back = Act(at="20m", verb="start", release="shop-v2-back", revision="v1", kind="reverse", reverse_of="shop-v2")
    result, kube, _ = told("answers-nan-for-a-while", faults=[drift], people=[start, back])

    assert result.problems == []
    for name in ("shop-v3", "shop-v2-back"):
        ended = kube.get(RELEASE, "shop", name)["status"]
        assert (ended["phase"], ended["reason"], ended.get("rollback")) == ("Refused", "BlueUnknown", None)


@pytest.mark.long
def test_a_fault_after_the_end_of_a_release_happens_too():
    """Left out without a word it would be taken for one that does no harm."""
    result, _, _ = told("foreign-labels", faults=[Fault(kind="drift", at=1_800.0, target="VirtualService shop/shop", weight=50)])

    assert result.problems == []
    assert any("fault: drift" in line.text for line in result.transcript)
