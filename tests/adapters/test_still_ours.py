"""Whether a rollback is still this release's own: asked of the API server before each of its writes."""

from types import SimpleNamespace

import pytest

from controller import act
from controller.adapters.records import read_subject
from controller.ports import RELEASE, Patch
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.store import ApiServer
from controller.simulator.definitions import all_definitions

BODY = {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": {"name": "x"}, "spec": {"plan": "shop", "revision": "v2"}}


@pytest.fixture
def kube():
    server = ApiServer(lambda: 1_700_000_000.0)
    server.load([*all_definitions(), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}])
    return InMemoryKube(server)


@pytest.fixture
def subject(kube):
    return read_subject(kube.create(RELEASE, "shop", BODY))


def ours(kube, subject):
    return act.still_ours(subject, SimpleNamespace(kube=kube))


@pytest.mark.parametrize("phase", ["Measuring", "RollingBack", "Halted"])
def test_one_that_has_not_finished_is(kube, subject, phase):
    kube.patch(RELEASE, "shop", "x", {"status": {"phase": phase}}, Patch.MERGE, subresource="status")

    assert ours(kube, subject)


@pytest.mark.parametrize("phase", ["Succeeded", "RolledBack", "Refused"])
def test_one_that_has_finished_is_not(kube, subject, phase):
    kube.patch(RELEASE, "shop", "x", {"status": {"phase": phase}}, Patch.MERGE, subresource="status")

    assert not ours(kube, subject)


def test_one_that_is_gone_is_not_nor_is_another_one_of_its_name(kube, subject):
    kube.delete(RELEASE, "shop", "x", uid=subject.uid)

    assert not ours(kube, subject)
    kube.create(RELEASE, "shop", BODY)
    assert not ours(kube, subject)
