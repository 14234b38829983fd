"""Faults and deeds of a scenario happen in the embedded cluster, counted from its first release on."""

import time

import pytest

from controller.cli.sandbox_world import EXAMPLES, find_story, story_of
from controller.ports import RELEASE, RELEASE_REQUEST, VIRTUAL_SERVICE, NotFoundError
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.embedded import EmbeddedCluster
from controller.simulator.scenario import Fault

SPEC = {"plan": "shop", "revision": "v2", "images": {"shop": "registry.example/shop:2.0"}, "origin": {"actor": "ci"}}


def begun(name, divisor, said, **more):
    """The cluster of a scenario of the ten-line plan, with a client; its release is not yet created."""
    story = find_story(EXAMPLES / "first-release", name)
    story = story_of(story.scenario.model_copy(update=more), story.folder)
    cluster = EmbeddedCluster(story.scenario, story.objects, divisor=divisor)
    cluster.on_say = said.append
    return cluster, InMemoryKube(cluster.server, user="ci")


def create(kube):
    kube.create(RELEASE, "shop", {"apiVersion": "penstock.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop-v2"}, "spec": SPEC})


def until(reached, seconds=10.0):
    """Wait for a state of the cluster, which lives in real time."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_an_outage_of_prometheus_begins_and_ends(monkeypatch):
    said, faults = [], [""]
    cluster, kube = begun("prometheus-outage", 1000, said)
    # It lasts half a second: whoever only looks now and then may miss it.
    monkeypatch.setattr(
        type(cluster.prometheus), "fault", property(lambda _: faults[-1], lambda _, fault: faults.append(fault)), raising=False
    )
    with cluster:
        create(kube)
        until(lambda: faults == ["", "prometheus-down", ""] and len(said) == 2)

    assert said == ["fault: prometheus-down", "fault ends: prometheus-down"]


def test_somebody_deletes_the_route():
    cluster, kube = begun("route-deleted", 1000, [])

    def deleted():
        try:
            kube.get(VIRTUAL_SERVICE, "shop", "shop")
        except NotFoundError:
            return True
        return False

    with cluster:
        create(kube)
        assert not deleted()
        until(deleted)


def test_a_person_of_the_scenario_asks():
    cluster, kube = begun("drift-to-blue", 1000, [], faults=[])
    with cluster:
        create(kube)
        until(lambda: kube.list(RELEASE_REQUEST, "shop").items)

    (asked,) = kube.list(RELEASE_REQUEST, "shop").items
    assert asked["spec"]["verb"] == "resume"


def test_a_crash_ends_the_controller_that_there_is():
    killed = []
    cluster, kube = begun("healthy", 1000, [], faults=[Fault(kind="crash", at="10s")])
    cluster.kill_controller = lambda: killed.append(True)
    with cluster:
        create(kube)
        until(lambda: killed)


@pytest.mark.parametrize("kind", ["api-lost-answer", "clock-jump", "stale-reads"])
def test_a_fault_of_the_controllers_own_client_is_not_in_the_sandbox(kind):
    said = []
    cluster, kube = begun("healthy", 1000, said, faults=[Fault(kind=kind, at="1s")])
    with cluster:
        create(kube)
        until(lambda: len(said) == 2)

    assert "not in the sandbox" in said[1]
