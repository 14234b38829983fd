"""Who is led to green by a rule that the plan lists: a VirtualService with bypass rules alone, and testers who ask too early."""

import copy
from pathlib import Path
from typing import Any

import pytest

from controller.api.release import Phase
from controller.ports import VIRTUAL_SERVICE
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.definitions import load_objects
from controller.simulator.invariants import watch
from controller.simulator.run import Result, run_objects
from controller.simulator.scenario import Scenario
from controller.simulator.simulation import START

HOSTS = Path(__file__).parent / "host"
BLUE, GREEN = ({"destination": {"host": f"api.{place}.svc.cluster.local", "port": {"number": 80}}} for place in ("prod", "prod-green"))
STAGES = [{"weight": 20, "window": "95s", "warmUp": "5s"}, {"weight": 100, "window": "95s", "warmUp": "5s"}]
PREVIEW = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "preview", "namespace": "prod"},
    "spec": {"hosts": ["preview.example.com"], "http": [{"name": "preview", "route": [GREEN]}]},
}
LOOKERS = {"name": "lookers", "host": "preview.example.com", "rps": 20}
TESTERS = {"name": "testers", "host": "api.prod.svc.cluster.local", "headers": {"canary": "true"}, "rps": 20}
TRIGGER = {"name": "errors", "builtin": "error-rate", "limit": {"maxDifference": 5}, "repeat": {"consecutive": 2}}
RATE = 'rate(istio_requests_total{reporter="source",destination_service="$host"'
ASKED = {"query": f'100 * (sum({RATE},response_code="503"}}[$window])) or vector(0)) / sum({RATE}}}[$window]))', "limit": {"max": 5}}
OWN = {key: value for key, value in TRIGGER.items() if key != "builtin"} | ASKED


def released(
    preview: str, users: dict[str, object], *, faults: tuple[dict[str, object], ...] = (), deleted: float = 0.0, **changes: object
) -> tuple[Result, list, list]:
    """The release, the rules of the VirtualService `preview` at its end, and breaches; `preview` says who leads to green.

    `beside`: a VirtualService for the previews alone; `ahead`: a rule in front of the weights, as its user wrote it. The first may be
    `deleted` after so many seconds.
    """
    objects = [copy.deepcopy(one) for name in ("world.yaml", "plan.yaml") for one in load_objects(HOSTS / name)]
    plan = next(one for one in objects if one["kind"] == "ReleasePlan")["spec"]
    plan |= {"stages": STAGES, **{key: changes.pop(key) for key in ("finish", "triggers") if key in changes}}
    if changes.pop("unmeasured", False):
        plan |= {"checks": [], "triggers": []}
        plan["traffic"]["metrics"] = "none"
    if preview == "beside":
        objects.append(copy.deepcopy(PREVIEW))
        plan["traffic"]["virtualServices"].append({"name": "preview", "bypass": [{"route": "preview"}]})
    else:
        route = next(one for one in objects if one["kind"] == "VirtualService")
        rule = {"name": "canary", "match": [{"headers": {"canary": {"exact": "true"}}}], "route": [GREEN]}
        route["spec"]["http"].insert(0, rule)
    said = {
        "name": "previews",
        "release": {"revision": "v2", "images": {"api": "registry.example/api:2.0", "worker": "registry.example/worker:2.0"}},
        "users": [{"host": "api.prod.svc.cluster.local", "rps": 200}, users],
        "versions": [{"errors": 0.001}],
        "faults": list(faults),
        "expect": {"phase": "Succeeded"},
        "limit": "1h",
    }
    kept = []

    def prepare(sim: Any) -> None:
        kept.extend((sim, watch(sim)))
        if deleted:
            sim.at(START + deleted, lambda: gone(InMemoryKube(sim.server, user="bob", field_manager="kubectl-edit")))

    result = run_objects(Scenario.model_validate(said | changes), objects, prepare=prepare)
    sim, checks = kept
    kube = InMemoryKube(sim.server)
    rules = [] if deleted else kube.get(VIRTUAL_SERVICE, "prod", "preview" if preview == "beside" else "api")["spec"]["http"]
    return result, [rule["route"] for rule in rules], checks.finish()


def gone(kube: InMemoryKube) -> None:
    """`kubectl delete virtualservice preview`."""
    kube.delete(VIRTUAL_SERVICE, "prod", "preview", uid=kube.get(VIRTUAL_SERVICE, "prod", "preview")["metadata"]["uid"])


def test_a_virtual_service_with_listed_bypass_rules_alone_goes_with_the_release():
    """It has no weights: a release that waited for its share would wait for ever."""
    result, rules, breaches = released("beside", LOOKERS)

    assert (result.status.phase, result.status.max_weight, rules, breaches) == (Phase.SUCCEEDED, 100, [[GREEN]], [])


def test_it_is_put_on_blue_in_a_rollback():
    result, rules, breaches = released("beside", LOOKERS, versions=BAD, expect={"phase": "RolledBack"})

    assert (result.status.phase, rules, breaches) == (Phase.ROLLED_BACK, [[BLUE]], [])


MEASURING = 80.0
BAD = [{"image": "*:2.0", "minShare": 0.1, "errors": 0.3}, {"errors": 0.001}]


def test_one_that_is_deleted_in_mid_release_is_asked_about_and_sends_nobody_back():
    """No weight was divided there: the whole release went back for it, and stood `Halted` until somebody made it again."""
    result, _, breaches = released("beside", LOOKERS, deleted=MEASURING)

    assert (result.status.phase, result.status.reason, result.status.weight, breaches) == (Phase.HOLDING, "RouteChanged", 20, [])
    assert "VirtualService prod/preview, of bypass rules alone, was deleted" in result.status.message


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({"people": [{"at": "150s", "verb": "resume"}]}, Phase.SUCCEEDED),
        ({"people": [{"at": "150s", "verb": "resume"}], "finish": {"mode": "home"}}, Phase.SUCCEEDED),
        ({"people": [{"at": "150s", "verb": "promote", "reason": "seen"}]}, Phase.SUCCEEDED),
        ({"people": [{"at": "150s", "verb": "rollback"}]}, Phase.ROLLED_BACK),
        ({"versions": BAD}, Phase.ROLLED_BACK),
    ],
    ids=["resume", "home", "promote", "rollback", "errors"],
)
def test_whatever_a_person_or_the_evidence_says_then_the_release_ends_without_it(changes, ends):
    result, _, breaches = released("beside", LOOKERS, deleted=MEASURING, **changes)

    assert (result.status.phase, breaches) == (ends, [])


@pytest.mark.parametrize("when", [3.0, 12.0])
def test_one_that_is_deleted_in_the_preparation_ends_the_release_by_name(when):
    result, _, breaches = released("beside", LOOKERS, deleted=when)

    assert (result.status.phase, result.status.max_weight, breaches) == (Phase.ROLLED_BACK, 0, [])
    assert "VirtualService prod/preview was not found" in result.status.message


@pytest.mark.long
def test_it_goes_home_with_the_others():
    result, rules, breaches = released(
        "beside", LOOKERS, finish={"mode": "home"}, faults=({"kind": "crash", "at": "4m", "lasts": "5m", "every": "7s"},)
    )

    assert (result.status.phase, rules, breaches) == (Phase.SUCCEEDED, [[BLUE]], [])


ADDED = [{"name": "preview", "match": [{"uri": {"prefix": "/new"}}], "route": [GREEN]}, {"name": "rest", "route": [BLUE]}]


@pytest.mark.parametrize("deed", [[{"name": "preview", "route": [BLUE]}], ADDED, []], ids=["turned", "joined", "taken-off"])
def test_somebody_turns_it_away_from_green_or_takes_it_off(deed):
    """Turned, or joined by a rule to blue: obeyed, a person is asked. Taken off: nobody can make it again, the release goes on."""
    fault = {"kind": "patch", "at": "60s", "target": "VirtualService prod/preview", "patch": {"spec": {"http": deed}}}
    result, _, breaches = released("beside", LOOKERS | {"rps": 0.1}, faults=(fault,))

    ends = (Phase.HOLDING, "RouteChanged") if deed else (Phase.SUCCEEDED, "Succeeded")
    assert ((result.status.phase, result.status.reason), breaches) == (ends, [])


SORRY = {"name": "main", "route": [{"destination": {"host": "sorry.prod.svc.cluster.local"}}]}
CANARY = {"name": "canary", "match": [{"headers": {"canary": {"exact": "true"}}}], "route": [GREEN]}


@pytest.mark.parametrize("rest", [[CANARY], pytest.param([], marks=pytest.mark.long)], ids=["its-bypass-stays", "nothing-stays"])
def test_somebody_takes_everybody_to_another_service(rest):
    """The weights are gone with their rule, and what is left is listed: a release that went on would succeed without users."""
    fault = {"kind": "patch", "at": "60s", "target": "VirtualService prod/api", "patch": {"spec": {"http": [*rest, SORRY]}}}
    result, _, breaches = released("ahead", LOOKERS | {"host": "api.prod.svc.cluster.local"}, faults=(fault,), unmeasured=True)

    assert ((result.status.phase, result.status.reason), breaches) == ((Phase.HOLDING, "DriftTowardBlue"), [])


@pytest.mark.parametrize("trigger", [TRIGGER, pytest.param(OWN, marks=pytest.mark.long)], ids=["counted", "asked"])
@pytest.mark.parametrize("ready", ["5s", pytest.param("40s", marks=pytest.mark.long)])
def test_who_asks_green_before_it_is_ready_speaks_not_against_it(trigger, ready):
    """A rule of the user's own names green from the beginning: until its pods are ready its testers get 503."""
    result, _, breaches = released("ahead", TESTERS, triggers=[trigger], pods=[{"image": "*:2.0", "readyAfter": ready}])

    assert (result.status.phase, result.status.rollback, breaches) == (Phase.SUCCEEDED, None, [])
