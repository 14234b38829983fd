"""No CEL rule of the CRDs is idle: each refuses a write that the API server takes without it."""

from copy import deepcopy

import pytest

from controller.ports import Patch, RefusedError
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.store import ApiServer
from controller.simulator.definitions import all_definitions
from tests.manifests.refusals import REFUSALS, rules


def served(*, without=None):
    """A server with our definitions, and all of their rules but the one."""
    server = ApiServer(lambda: 1_700_000_000.0)
    crds = deepcopy(list(all_definitions()))
    for crd in crds:
        if without is not None and crd["spec"]["names"]["kind"] == without.kind.kind:
            drop(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], without)
    server.load(crds)
    server.load([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}])
    return InMemoryKube(server, user="bob")


def drop(node, refusal):
    for part in refusal.place.replace("[]", ".[]").split(".")[1:]:
        node = node["items"] if part == "[]" else node["properties"][part]
    kept = [rule for rule in node["x-kubernetes-validations"] if not rule["message"].startswith(refusal.begins)]
    assert len(kept) == len(node["x-kubernetes-validations"]) - 1
    node["x-kubernetes-validations"] = kept


def prepare(kube, refusal):
    if not refusal.creates:
        kube.create(refusal.kind, "shop", refusal.new)
    if refusal.status:
        kube.patch(refusal.kind, "shop", refusal.name, {"status": refusal.status}, Patch.MERGE, subresource="status")
    return kube


def write(kube, refusal):
    if refusal.creates:
        return kube.create(refusal.kind, "shop", refusal.new)
    subresource = "status" if "status" in refusal.patch else ""
    return kube.patch(refusal.kind, "shop", refusal.name, refusal.patch, Patch.MERGE, subresource=subresource)


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_a_rule_refuses_what_is_accepted_without_it(refusal):
    with pytest.raises(RefusedError, match=refusal.begins):
        write(prepare(served(), refusal), refusal)

    assert write(prepare(served(without=refusal), refusal), refusal)["metadata"]["name"] == refusal.name


def test_every_rule_of_every_crd_has_its_refusal():
    told = list(rules())

    assert [rule for rule in told if not any(refusal.about(rule) for refusal in REFUSALS)] == []
    assert [str(refusal) for refusal in REFUSALS if sum(refusal.about(rule) for rule in told) != 1] == []
