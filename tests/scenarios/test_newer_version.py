"""A Release of a newer version, whose CRD lets pass what this controller cannot read: it stops, and nobody else does."""

from pathlib import Path

from controller.ports import CRD, EVENT, RELEASE, RELEASE_REQUEST, Patch
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.people import start
from controller.simulator.run import run_scenario
from controller.simulator.scenario import START, ReleaseModel, load

HERE = Path(__file__).parent / "subset"


def newer_definition(kube, name, field, word):
    """The CRD knows another word."""
    versions = kube.get(CRD, "", name)["spec"]["versions"]
    versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"][field]["enum"].append(word)
    kube.patch(CRD, "", name, {"spec": {"versions": versions}}, Patch.MERGE)


def test_a_release_that_cannot_be_read_is_refused_and_the_next_one_of_its_plan_runs():
    base = next(s for s in load(HERE / "scenarios.yaml") if s.name == "subset-in-a-row")
    kept = []

    def prepare(sim):
        kept.append(sim)
        newer_definition(InMemoryKube(sim.server, user="admin"), "releases.penstock.dev", "kind", "canary")
        start(sim, "shop", "shop", ReleaseModel(revision="v9"), name="shop-v9", more={"kind": "canary"})

    result = run_scenario(base.model_copy(update={"people": []}), HERE, prepare=prepare)

    kube = InMemoryKube(kept[0].server)
    status = kube.get(RELEASE, "shop", "shop-v9")["status"]
    assert (status["phase"], status["reason"]) == ("Refused", "ReleaseInvalid")
    assert "kind:" in status["message"]
    assert {c["type"]: c["status"] for c in status["conditions"]}["Succeeded"] == "False"
    told = [e for e in kube.list(EVENT, "shop").items if e["involvedObject"]["name"] == "shop-v9"]
    assert [event["reason"] for event in told] == ["ReleaseInvalid"]
    assert result.problems == []


def test_a_request_that_cannot_be_read_is_answered():
    base = next(s for s in load(HERE / "scenarios.yaml") if s.name == "subset-in-a-row")
    kept = []

    def ask(sim):
        kube = InMemoryKube(sim.server, user="alice")
        newer_definition(kube, "releaserequests.penstock.dev", "verb", "approve")
        body = {"apiVersion": RELEASE_REQUEST.api_version, "kind": "ReleaseRequest", "metadata": {"name": "r"}}
        kube.create(RELEASE_REQUEST, "shop", {**body, "spec": {"release": "shop-v2", "verb": "approve"}})

    def prepare(sim):
        kept.append(sim)
        sim.at(START + 120, lambda: ask(sim))

    result = run_scenario(base.model_copy(update={"people": []}), HERE, prepare=prepare)

    status = InMemoryKube(kept[0].server).get(RELEASE_REQUEST, "shop", "r")["status"]
    assert (status["state"], status["reason"]) == ("refused", "RequestInvalid")
    assert result.problems == []
