"""A backup brings a Release and its plan back without their status, as backups do, while the route still shares the traffic."""

import json
import shlex
from pathlib import Path

import pytest

from controller.api.release import Phase
from controller.ports import RELEASE, RELEASE_PLAN, VIRTUAL_SERVICE, Patch
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.run import run_scenario
from controller.simulator.scenario import START, Expect, load

HERE = Path(__file__).parent


def restore(sim):
    """Everything goes and comes back as an archive holds it: new uids, no status."""
    kube = InMemoryKube(sim.server, user="backup", field_manager="velero")
    for kind, name in ((RELEASE, "shop-v2"), (RELEASE_PLAN, "shop")):
        kube.patch(kind, "shop", name, {"metadata": {"finalizers": None}}, Patch.MERGE)
        found = kube.get(kind, "shop", name)
        kube.delete(kind, "shop", name, uid=found["metadata"]["uid"])
        kube.create(kind, "shop", {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": found["spec"]})


def restored_at(minute):
    """The run, whose release is restored at this minute; its simulation."""
    base = next(s for s in load(HERE / "subset" / "scenarios.yaml") if s.name == "subset-in-a-row")
    kept = []

    def prepare(sim):
        kept.append(sim)
        sim.at(START + 60 * minute, lambda: restore(sim))

    changes = {"people": [], "expect": Expect(phase=Phase.REFUSED), "limit": 60 * minute + 600}
    return run_scenario(base.model_copy(update=changes), HERE / "subset", prepare=prepare), kept[0]


def weights(sim):
    route = InMemoryKube(sim.server).get(VIRTUAL_SERVICE, "shop", "shop")["spec"]["http"][0]["route"]
    return {entry["destination"]["subset"]: entry.get("weight") for entry in route}


@pytest.mark.long
def test_the_refusal_says_which_weights_stand_and_the_command_that_puts_them_right():
    result, sim = restored_at(9)
    shared = weights(sim)
    assert (result.status.phase, result.status.reason, sorted(shared.values())) == ("Refused", "BlueUnknown", [25, 75])
    assert "75 % to subset v1" in result.status.message
    assert "25 % to subset" in result.status.message

    command = shlex.split(result.status.message.partition("kubectl ")[2])
    namespace, _, _, name, _, kind, _, patch = command[1:9]
    InMemoryKube(sim.server, user="alice").patch(VIRTUAL_SERVICE, namespace, name, json.loads(patch), Patch.JSON)

    assert kind == "json"
    assert weights(sim) == {subset: 100 if subset == "v1" else 0 for subset in shared}


def test_a_green_that_was_left_behind_is_named_with_what_to_do_about_it():
    """Everybody is on blue: nothing has to be put right on the route, and what nobody judged gets no traffic (S10)."""
    result, _ = restored_at(0.2)

    assert (result.status.phase, result.status.reason) == ("Refused", "WorkloadUnsuitable")
    assert "Deployment shop/shop-green stands in green's place with 3 replicas; scale it to zero or delete it" in result.status.message
