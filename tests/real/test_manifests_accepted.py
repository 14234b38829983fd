"""What lies in `manifests/` builds with kubectl's kustomize, alone and with every component, and a real API server accepts it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.bed.api import documents
from tests.real.harness import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bed.api import JsonObject
    from tests.bed.cluster import Bed

pytestmark = pytest.mark.bed
MANIFESTS = ROOT / "manifests"
COMPONENTS = sorted(path.parent.name for path in (MANIFESTS / "optional").glob("*/kustomization.yaml"))
# The last one contains `cluster-wide`, and kustomize takes nothing twice.
CHOICES = {"nothing": [], **{name: [name] for name in COMPONENTS}, "everything": [name for name in COMPONENTS if name != "cluster-wide"]}


def kubectl(bed: Bed, *words: str, given: str = "") -> str:
    """What a real kubectl prints; its own complaint is the failure."""
    argv = [str(bed.binaries.kubectl), f"--kubeconfig={bed.kubeconfig('admin')}", *words]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120, input=given)
    assert done.returncode == 0, done.stderr
    return done.stdout


def overlay(folder: Path, components: list[str]) -> Path:
    """What a user keeps in git: the manifests as a base, and the chosen components."""
    places = {"resources": [MANIFESTS], "components": [MANIFESTS / "optional" / name for name in components]}
    body = {key: [os.path.relpath(place, folder.resolve()) for place in found] for key, found in places.items() if found}
    text = yaml.safe_dump({"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", **body})
    (folder / "kustomization.yaml").write_text(text)
    return folder


@pytest.fixture
def built(bed: Bed, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    return kubectl(bed, "kustomize", str(overlay(tmp_path, CHOICES[request.param])))


def objects(text: str) -> list[JsonObject]:
    return [item for item in yaml.load_all(text, Loader=yaml.CSafeLoader) if item]


def named(found: list[JsonObject]) -> set[tuple[str, str, str]]:
    return {(item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in found}


@pytest.mark.parametrize("built", CHOICES, indirect=True)
def test_a_real_server_accepts_the_overlay(bed: Bed, built: str) -> None:
    namespaces = [item for item in objects(built) if item["kind"] == "Namespace"]
    # A dry run makes nothing, so that what lies in a new namespace would be refused for want of it.
    kubectl(bed, "apply", "--server-side", "--force-conflicts", "-f", "-", given=yaml.safe_dump_all(namespaces))
    told = kubectl(
        bed, "apply", "--server-side", "--force-conflicts", "--validate=strict", "--dry-run=server", "-f", "-", given=built
    ).splitlines()

    assert len(told) == len(objects(built))
    assert all("serverside-applied (server dry run)" in line for line in told)


@pytest.mark.parametrize("built", ["make-namespaces", "everything"], indirect=True)
def test_the_overlay_for_making_namespaces_leaves_no_narrow_role_and_says_so_in_the_settings(built: str) -> None:
    found = objects(built)
    settings = next(item for item in found if item["kind"] == "ConfigMap")["data"]["controller.yaml"]

    assert {("ClusterRole", "", "penstock"), ("ClusterRole", "", "penstock-namespaces")} <= named(found)
    assert ("Role", "default", "penstock") not in named(found)
    assert yaml.safe_load(settings)["namespaces"] == []
    assert yaml.safe_load(settings)["makeNamespaces"] is True


def test_the_policy_about_actors_is_accepted_as_it_lies_there(bed: Bed) -> None:
    """It stands in no kustomization: whoever wants it names it."""
    policy = MANIFESTS / "optional" / "admission" / "actors.yaml"
    told = kubectl(bed, "apply", "--server-side", "--dry-run=server", "-f", str(policy)).splitlines()

    assert len(told) == len(list(documents(policy)))
