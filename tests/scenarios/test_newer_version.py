"""A Release of a newer version, whose CRD lets pass what this controller cannot read: it stops, and nobody else does."""

from pathlib import Path

import pytest

from controller.adapters import records
from controller.ports import CONFIG_MAP, EVENT, RELEASE, RELEASE_PLAN, RELEASE_REQUEST
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.people import start
from controller.simulator.run import run_scenario
from controller.simulator.scenario import START, ReleaseModel, load
from tests.scenarios.newer import newer_definition

HERE = Path(__file__).parent / "subset"


@pytest.mark.long
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


@pytest.mark.long
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


class TestAnUpgradeInMidRelease:
    """A version with more fields in a plan finds another hash for the same plan: the hash is over all of them."""

    @staticmethod
    def upgraded(monkeypatch, deed):
        """The status some looks after the deed and the upgrade in the first window."""
        base = next(s for s in load(HERE / "scenarios.yaml") if s.name == "subset-in-a-row")
        known, found = records.plan_hash, []

        def upgrade(sim):
            monkeypatch.setattr(records, "plan_hash", lambda spec: known(spec)[::-1])
            deed(InMemoryKube(sim.server, user="alice"))
            sim.restart_controller()

        def prepare(sim):
            sim.at(START + 120, lambda: upgrade(sim))
            sim.at(START + 180, lambda: found.append(InMemoryKube(sim.server).get(RELEASE, "shop", "shop-v2")["status"]))

        run_scenario(base.model_copy(update={"people": [], "limit": 240.0}), HERE, prepare=prepare)
        return found[0]

    def test_a_plan_that_nobody_edited_is_not_said_to_be_changed(self, monkeypatch):
        status = self.upgraded(monkeypatch, lambda _kube: None)

        assert status["phase"] in ("Measuring", "Shifting")
        assert not status.get("planChanged")

    def test_a_plan_that_somebody_edited_is(self, monkeypatch):
        edit = {"spec": {"finish": {"retention": "1h"}}}

        assert self.upgraded(monkeypatch, lambda kube: kube.patch(RELEASE_PLAN, "shop", "shop", edit))["planChanged"]


def test_a_plan_that_is_edited_in_the_moment_in_which_it_is_kept_is_refused_by_that_name():
    """Its hash is decided, and nobody has the plan of that hash any more."""
    base = next(s for s in load(HERE / "scenarios.yaml") if s.name == "subset-in-a-row")
    kept, edited = [], []

    def edit(kube):
        release = kube.get(RELEASE, "shop", "shop-v2")
        if release.get("status", {}).get("planHash") and not edited:
            edited.append(kube.patch(RELEASE_PLAN, "shop", "shop", {"spec": {"finish": {"retention": "1h"}}}))

    def prepare(sim):
        kept.append(InMemoryKube(sim.server, user="bob"))
        sim.on_look.append(lambda _key, _outcome: edit(kept[0]))

    run_scenario(base.model_copy(update={"people": []}), HERE, prepare=prepare)

    status = kept[0].get(RELEASE, "shop", "shop-v2")["status"]
    assert (status["phase"], status["reason"]) == ("Refused", "PlanInvalid")
    assert "edited" in status["message"]
    assert [o for o in kept[0].list(CONFIG_MAP, "shop").items if o["metadata"]["name"].startswith(records.frozen_name(""))] == []
