"""A cluster whose custom resources are of a newer version than ours."""

from copy import deepcopy

from controller.ports import CRD, Patch


def newer_definition(kube, name, field, word):
    """The CRD knows another word. The definitions that every test shares stay as they are."""
    versions = deepcopy(kube.get(CRD, "", name)["spec"]["versions"])
    versions[0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"][field]["enum"].append(word)
    kube.patch(CRD, "", name, {"spec": {"versions": versions}}, Patch.MERGE)
