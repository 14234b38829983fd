"""`penstock uninstall` looks for a controller wherever its Lease lies: nothing is removed under one that still acts."""

from datetime import UTC, datetime

import pytest

from controller.adapters.marks import FINALIZER
from controller.ports import CRD, DEPLOYMENT, LEASE, NAMESPACE, RELEASE
from controller.simulator.apiserver.client import InMemoryKube
from tests.cli.cli_bed import a_terminal


def stamp(seconds):
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@pytest.fixture
def terminal():
    """No release; a controller that somebody started by hand leads from the namespace `by-hand`."""
    found = a_terminal(started=False)
    kube = InMemoryKube(found.sim.server, user="admin")
    kube.create(NAMESPACE, "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "by-hand"}})
    spec = {"holderIdentity": "laptop", "renewTime": stamp(found.sim.clock.time), "leaseDurationSeconds": 10}
    kube.create(LEASE, "by-hand", {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "penstock"}, "spec": spec})
    return found


def test_while_a_controller_elsewhere_renews_its_lease_only_the_deployment_is_removed_and_it_says_so(terminal):
    assert terminal.penstock("install", "-n", "shop").code == 0
    kube, asleep = InMemoryKube(terminal.sim.server, user="laptop"), terminal.sleep

    def renewing(seconds):
        asleep(seconds)
        kube.patch(LEASE, "by-hand", "penstock", {"spec": {"renewTime": stamp(terminal.sim.clock.time)}})

    terminal.sleep = renewing
    result = terminal.penstock("uninstall", "--yes")

    assert result.code == 4, "6 would say that nothing was changed"
    assert "The Deployment penstock-system/penstock is gone, but a controller outside of it still leads: laptop." in result.err
    assert kube.list(DEPLOYMENT, "penstock-system").items == []
    assert kube.get(CRD, "", "releases.penstock.dev")


def test_a_lease_that_stands_still_is_nobodys(terminal):
    result = terminal.penstock("uninstall", "--yes")

    assert result.code == 0, result.err
    assert InMemoryKube(terminal.sim.server).list(LEASE, "by-hand").items == []


def test_a_lease_that_was_given_back_is_not_waited_for(terminal):
    InMemoryKube(terminal.sim.server, user="laptop").patch(LEASE, "by-hand", "penstock", {"spec": {"holderIdentity": ""}})
    begun = terminal.sim.clock.time

    assert terminal.penstock("uninstall", "--yes").code == 0
    assert terminal.sim.clock.time - begun < 1


def test_a_release_in_a_namespace_that_is_being_deleted_is_let_go_without_being_asked(terminal):
    kube = InMemoryKube(terminal.sim.server, user="admin")
    kube.create(NAMESPACE, "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "going"}})
    body = {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": {"name": "r", "finalizers": [FINALIZER]}}
    kube.create(RELEASE, "going", body | {"spec": {"plan": "p", "revision": "v2", "images": {"shop": "shop:2"}}})
    kube.delete(NAMESPACE, "", "going", uid=kube.get(NAMESPACE, "", "going")["metadata"]["uid"])
    kube.patch(LEASE, "by-hand", "penstock", {"spec": {"holderIdentity": ""}})
    result = terminal.penstock("uninstall", "--yes")

    assert result.code == 0, result.err


def test_a_release_that_was_started_while_the_controller_stopped_is_for_a_person(terminal):
    kube, asleep = InMemoryKube(terminal.sim.server, user="admin"), terminal.sleep

    def starting(seconds):
        asleep(seconds)
        if not kube.list(RELEASE, "shop").items:
            body = {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": {"name": "r"}}
            kube.create(RELEASE, "shop", body | {"spec": {"plan": "shop", "revision": "v2", "images": {"shop": "shop:2"}}})

    terminal.sleep = starting
    result = terminal.penstock("uninstall", "--yes")

    assert result.code == 4, "6 would say that nothing was changed"
    assert "shop/r was started meanwhile, and the controller is stopped: run `penstock uninstall --leave`." in result.err
