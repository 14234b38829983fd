"""A ConfigMap that kustomize generated has a hash of its content in its name; a plan names it without."""

from pathlib import Path

import pytest

from controller.ports import CONFIG_MAP, DEPLOYMENT
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.definitions import load_objects
from controller.simulator.invariants import watch
from controller.simulator.run import run_objects
from controller.simulator.scenario import Scenario

HOME = Path(__file__).parent / "home"
GENERATED = "api-config-6ft88t2gmm"
STORY = {
    "name": "generated", "release": {"revision": "v2", "images": {"api": "registry.example/api:2.0"}},
    "users": [{"host": "api.prod.svc.cluster.local", "rps": 200}], "limit": "40m",
}  # fmt: skip


def told(name, finish, errors, phase):
    """A release of the host-mode world of `home`, whose ConfigMap has this name: the cluster, and what broke an invariant."""
    objects, kept = [], []
    for path in ("world.yaml", "plan.yaml"):
        objects += load_objects(HOME / path)
    for one in objects:
        if one["kind"] == "ConfigMap":
            one["metadata"]["name"] = name
        if one["kind"] == "Deployment" and one["metadata"]["name"] == "api":
            one["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": name}}]
        if one["kind"] == "ReleasePlan":
            one["spec"] |= {"finish": {"mode": finish}, "stages": [{"weight": 25, "window": "2m"}, {"weight": 100, "window": "2m"}]}
    versions = [{"image": "*:2.0", "errors": errors}, {"errors": 0.001}]
    story = Scenario.model_validate(STORY | {"versions": versions, "expect": {"phase": phase}})
    result = run_objects(story, objects, prepare=lambda sim: kept.extend((sim, watch(sim))))
    assert result.problems == []
    return InMemoryKube(kept[0].server), [*map(str, kept[1].finish())]


def config_maps(kube):
    return [one["metadata"]["name"] for one in kube.list(CONFIG_MAP, "prod-green").items]


@pytest.mark.parametrize("name", [GENERATED, "api-config"])
def test_it_is_brought_along_with_the_hash_that_the_pods_name(name):
    kube, breaches = told(name, "swap", 0.001, "Succeeded")

    assert (config_maps(kube), breaches) == ([name], [])
    assert kube.get(DEPLOYMENT, "prod-green", "api")["status"]["readyReplicas"] == 3


@pytest.mark.parametrize(("finish", "errors", "phase"), [("swap", 0.3, "RolledBack"), ("home", 0.001, "Succeeded")])
def test_it_goes_with_the_clone(finish, errors, phase):
    kube, breaches = told(GENERATED, finish, errors, phase)

    assert (config_maps(kube), breaches) == ([], [])


@pytest.mark.parametrize("other", ["api-config-of-others", "api-config-6ft88t2gmma", "api-config6ft88t2gmm"])
def test_a_name_that_only_begins_alike_is_another_one(other):
    kube, _ = told(other, "swap", 0.001, "Refused")

    assert config_maps(kube) == []
