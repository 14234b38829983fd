"""`finish: home`, and the original is deleted before the way back: nobody can be put back on it, and what serves stays.

Seed 60164 of the swarm: a Release that was deleted then looked every five seconds for ever, and wrote down nothing.
"""

import copy
from pathlib import Path

import pytest

from controller.ports import DEPLOYMENT, VIRTUAL_SERVICE, NotFoundError
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.definitions import load_objects
from controller.simulator.invariants import watch
from controller.simulator.run import run_objects
from controller.simulator.scenario import Scenario, load

FOLDER = Path(__file__).parent / "home"
STORY = next(
    one
    for path in sorted(FOLDER.glob("*.yaml"))
    if path.stem.startswith("scenarios")
    for one in load(path)
    if one.name == "home-original-deleted"
)
GONE, ASKED, AGAIN = 1637, 1752, 2400
"""Seconds at which the original is deleted (the return is under way), the way back is asked for, and the original is made again."""


def told(verb, *, again):
    """The release; what it was at the end; the original's image and the clone's; where the requests go."""
    kept = []

    def prepare(sim):
        kept.extend((sim, watch(sim)))
        bob = InMemoryKube(sim.server, user="bob", field_manager="kubectl")
        before = copy.deepcopy(bob.get(DEPLOYMENT, "prod", "api"))
        meta = {key: before["metadata"][key] for key in ("name", "namespace", "labels") if key in before["metadata"]}
        fresh = {**before, "metadata": meta}
        fresh.pop("status", None)
        if again:
            sim.at(sim.clock.time + AGAIN, lambda: bob.create(DEPLOYMENT, "prod", fresh))

    faults = [{"kind": "delete", "at": f"{GONE}s", "target": "Deployment prod/api"}]
    if again:
        faults.append({"kind": "crash", "at": f"{AGAIN + 1}s"})
    people = [{"at": f"{ASKED}s", "verb": verb, "reason": "not this one"}]
    changes = {"faults": faults, "people": people, "limit": "2h", "expect": {"phase": "RolledBack" if again else "Halted"}}
    story = Scenario.model_validate({**STORY.model_dump(by_alias=True, exclude_unset=True, mode="json"), **changes})
    objects = [copy.deepcopy(o) for name in (story.world, story.plan) for o in load_objects(FOLDER / name)]
    result = run_objects(story, objects, prepare=prepare)
    sim, checks = kept
    kube = InMemoryKube(sim.server)
    hosts = {
        one["destination"]["host"]: one.get("weight", 100) for one in kube.get(VIRTUAL_SERVICE, "prod", "api")["spec"]["http"][-1]["route"]
    }
    return result, kube, hosts, list(map(str, checks.finish()))


def image(kube, namespace):
    try:
        return kube.get(DEPLOYMENT, namespace, "api")["spec"]["template"]["spec"]["containers"][0]["image"]
    except NotFoundError:
        return ""


@pytest.mark.parametrize("verb", ["rollback", "delete"])
def test_the_clone_serves_on_and_a_person_is_named(verb):
    result, kube, hosts, breaches = told(verb, again=False)

    assert breaches == []
    assert (result.status.phase, result.status.reason) == ("Halted", "OriginalMissing")
    assert "Deployment prod/api; the clone has 100 %" in result.status.message
    assert image(kube, "prod-green").endswith("api:2.0")
    assert max(hosts.items(), key=lambda one: one[1])[0].startswith("api.prod-green")


@pytest.mark.parametrize("verb", ["rollback", "delete"])
def test_once_the_original_is_made_again_everybody_goes_back_to_it(verb):
    _, kube, hosts, breaches = told(verb, again=True)

    assert breaches == []
    assert image(kube, "prod").endswith("api:1.0")
    assert image(kube, "prod-green") == ""
    assert {host.split(".")[1]: weight for host, weight in hosts.items() if weight} == {"prod": 100}
