"""A Release whose name is too long for a label, as an earlier version let it in: it ends at once, and stands in nobody's way."""

from copy import deepcopy
from datetime import UTC, datetime

import pytest

from controller.api.crd import definitions
from controller.ports import CRD, LEASE, RELEASE, RELEASE_PLAN, Patch
from controller.simulator.apiserver.client import InMemoryKube
from tests.cli.cli_bed import a_terminal

LONG = "x" * 80
CRD_NAME = "releases.penstock.dev"


def made(terminal, *, finalizers=(), **status):
    """The Release, made while the CRD did not bound its name."""
    kube = InMemoryKube(terminal.sim.server, user="git")
    crd = deepcopy(definitions()["releases.yaml"])
    strict = deepcopy(crd["spec"])
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].pop("x-kubernetes-validations")
    kube.patch(CRD, "", CRD_NAME, {"spec": crd["spec"]})
    spec = {"plan": "shop", "revision": "v9", "images": {"shop": "registry.example/shop:9.0"}}
    meta = {"name": LONG, "finalizers": list(finalizers)}
    found = kube.create(RELEASE, "shop", {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": meta, "spec": spec})
    if status:
        kube.patch(RELEASE, "shop", LONG, {"status": status}, Patch.MERGE, subresource="status")
    kube.patch(CRD, "", CRD_NAME, {"spec": strict})
    terminal.sim.wake(("shop", LONG))
    return found


@pytest.fixture
def terminal():
    return a_terminal(started=False)


def test_it_is_refused_at_once_and_holds_nothing(terminal):
    made(terminal)
    terminal.until(20)

    found = terminal.release(LONG)
    assert (found["status"]["phase"], found["status"]["reason"]) == ("Refused", "ReleaseInvalid")
    assert "metadata.name: found 80 characters, expected at most 63" in found["status"]["message"]
    assert not found["metadata"].get("finalizers")
    assert "metadata.name: found 80 characters" in terminal.penstock("history", LONG).out


def test_one_that_holds_the_plan_since_before_gives_it_back_and_can_be_deleted(terminal):
    kube = InMemoryKube(terminal.sim.server, user="git")
    found = made(terminal, finalizers=["penstock.dev/rollback"], phase="Queued", reason="ActionRefused")
    lock = {"active": found["metadata"]["uid"], "activeName": LONG}
    kube.patch(RELEASE_PLAN, "shop", "shop", {"status": lock}, Patch.MERGE, subresource="status")
    terminal.until(20)

    assert terminal.release(LONG)["status"]["phase"] == "Refused"
    assert kube.get(RELEASE_PLAN, "shop", "shop")["status"]["active"] == ""
    kube.delete(RELEASE, "shop", LONG, uid=found["metadata"]["uid"])
    terminal.until(30)
    assert LONG not in terminal.releases()


def renewed(terminal):
    """A terminal beside a controller that leads: its Lease is renewed while time passes."""
    kube, asleep = InMemoryKube(terminal.sim.server, user="penstock"), terminal.sleep

    def stamp():
        return datetime.fromtimestamp(terminal.sim.clock.time, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    spec = {"holderIdentity": "a", "renewTime": stamp(), "leaseDurationSeconds": 10}
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "penstock"}, "spec": spec}
    kube.create(LEASE, "shop", body)

    def sleep(seconds):
        asleep(seconds)
        kube.patch(LEASE, "shop", "penstock", {"spec": {"renewTime": stamp()}})

    terminal.sleep = sleep
    return terminal


def test_uninstall_rolls_the_others_back_before_it_says_which_one_it_cannot_ask():
    terminal = renewed(a_terminal())
    terminal.until_phase("Measuring")
    made(terminal, phase="Measuring")

    result = terminal.penstock("uninstall", "--yes")

    assert result.code == 6
    assert f"shop/{LONG} could not be asked to roll back" in result.err
    assert terminal.phase() == "RolledBack"
