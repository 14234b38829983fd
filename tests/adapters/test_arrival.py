"""Which of two Releases came first, also where both were made in the same second, which is as fine as a server's times are."""

import pytest

from controller.adapters.records import read_subject, set_finalizer
from controller.ports import RELEASE, Patch
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.store import ApiServer
from controller.simulator.definitions import all_definitions


@pytest.fixture
def kube():
    server = ApiServer(lambda: 1_700_000_000.0)
    server.load([*all_definitions(), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}])
    return InMemoryKube(server, user="bob")


def release(name, **metadata):
    spec = {"plan": "shop", "revision": name}
    return {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": {"name": name, **metadata}, "spec": spec}


def arrived(kube, name):
    return read_subject(kube.get(RELEASE, "shop", name)).arrived


def look_at(kube, name):
    obj = kube.get(RELEASE, "shop", name)
    set_finalizer(kube, read_subject(obj), obj, 1, present=True)
    kube.patch(RELEASE, "shop", name, {"status": {"phase": "Queued", "epoch": 1}}, Patch.MERGE, subresource="status")


@pytest.mark.parametrize("looks", [("v2", "v3"), ("v3", "v2")], ids="-".join)
def test_the_order_of_two_releases_of_one_second_stays_whoever_is_looked_at_first(kube, looks):
    kube.create(RELEASE, "shop", release("v2"))
    kube.create(RELEASE, "shop", release("v3"))

    for name in looks:
        assert arrived(kube, "v2") < arrived(kube, "v3")
        look_at(kube, name)

    assert arrived(kube, "v2") < arrived(kube, "v3")


def test_a_finalizer_that_is_put_back_leaves_the_order_as_it_is(kube):
    kube.create(RELEASE, "shop", release("v2"))
    look_at(kube, "v2")
    before = arrived(kube, "v2")

    kube.patch(RELEASE, "shop", "v2", {"metadata": {"finalizers": None}}, Patch.MERGE)
    look_at(kube, "v2")

    assert arrived(kube, "v2") == before


@pytest.mark.parametrize("mark", ["", "soon", "-3", "9" * 40])
def test_a_mark_that_somebody_edited_stops_nobody(kube, mark):
    kube.create(RELEASE, "shop", release("v2", annotations={"penstock.dev/arrived": mark}))

    assert arrived(kube, "v2") >= 0
