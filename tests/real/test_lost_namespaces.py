"""A namespace that took its rights back stops nobody else: the controller leads without it, says so, and goes on there with the rights."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bed.cluster import Bed
from tests.bed.nodes import NodeSimulator
from tests.bed.waiting import eventually
from tests.real.conftest import CRDS
from tests.real.harness import Scene, Shop, stages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bed.api import JsonObject
    from tests.bed.processes import Program

pytestmark = [pytest.mark.bed, pytest.mark.prometheus]
BINDING = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings/penstock"


def long_stage(spec: JsonObject) -> None:
    """One stage that outlasts the test, and the last one."""
    first, last = stages(25, 100)
    spec["stages"] = [first | {"window": "60m"}, last]


def take_rights(scene: Scene, namespace: str) -> JsonObject:
    """The binding as it was; without it the controller may not read there any more."""
    binding = scene.api.get(BINDING.format(namespace))
    scene.api.delete(BINDING.format(namespace))
    meta = {key: binding["metadata"][key] for key in ("name", "namespace", "labels")}
    return {key: binding[key] for key in ("apiVersion", "kind", "roleRef", "subjects")} | {"metadata": meta}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """A control plane of its own."""
    with Bed(crds=sorted(CRDS.glob("*.yaml"))) as bed, NodeSimulator(bed.admin), Scene(bed) as scene:
        yield scene


def again(scene: Scene) -> Program:
    """Kill every controller, and start one that knows nothing."""
    with scene.recorder.disturbance(alone=True):
        for program in scene.controllers.programs:
            program.kill()
        led = len(scene.controllers.leaders())
        program = scene.controllers.start()
    program.wait_until(lambda: len(scene.controllers.leaders()) > led, 60)
    return program


def test_a_new_controller_leads_without_what_it_may_not_read(scene: Scene) -> None:
    well, lost, split = scene.shop(long_stage), scene.shop(long_stage), scene.shop(long_stage, two_namespaces=True)
    own = scene.shop(long_stage)
    scene.start_controller()
    for shop in (well, split, own):
        shop.start("v2")
    for shop in (well, split, own):
        shop.measures_at(25)
    bindings = [take_rights(scene, lost.namespace), take_rights(scene, split.green_namespace)]
    program = again(scene)
    well.fails(well.idle(), 0.6)

    assert well.reaches("RolledBack")["rollback"]["check"] == "errors"
    assert scene.controllers.ready(program)
    assert f"everything in {lost.namespace}" in scene.controllers.page(program, "/readyz")
    assert f'penstock_namespace_lost{{namespace="{lost.namespace}"}} 1.0' in scene.controllers.page(program, "/metrics")

    held = eventually(
        lambda: (found := split.status).get("phase") == "Holding" and found, 30, "a hold of the release with half of its rights"
    )
    assert (held["reason"], held["weight"]) == ("RightsMissing", 25)
    assert split.green_namespace in held["message"]

    lost.start("v2")
    scene.api.apply(bindings)
    lost.measures_at(25)
    split.measures_at(25)
    assert "Cannot be read" not in eventually(
        lambda: (said := scene.controllers.page(program, "/readyz")) and "Cannot" not in said and said, 30, "a readiness without trouble"
    )
    assert scene.faults() == []


def test_green_is_gone_back_from_by_its_triggers_while_its_namespace_may_not_be_read(scene: Scene) -> None:
    shop = next(Shop(scene.api, scene.exporter, n, "shop", "shop", ("shop",), g) for n, g in pairs(scene))
    shop.release = "to-v2"
    shop.measures_at(25)
    binding = take_rights(scene, shop.green_namespace)
    shop.fails((shop.green_namespace, "shop"), 0.6)
    eventually(lambda: (shop.status.get("rollback") or {}).get("trafficAt"), 30, "everybody on blue")

    assert shop.deployments()["second/shop"] > 0, "what may not be read is not taken for gone, nor removed"
    scene.api.apply([binding])
    shop.reaches("RolledBack")
    assert scene.faults() == []


def test_a_release_whose_own_namespace_is_lost_is_told_to_who_asks_and_alarms(scene: Scene) -> None:
    """Nobody can write into its status that nobody looks after it: the controller's metrics say so, and the command line."""
    shop = Shop(scene.api, scene.exporter, scene.namespaces[-1], "shop", "shop", ("shop",))
    shop.release = "to-v2"
    shop.measures_at(25)
    binding = take_rights(scene, shop.namespace)
    shop.fails(shop.idle(), 0.6)  # a trigger demands the way back, which the controller may not write
    alarm = f'penstock_releases_unattended{{namespace="{shop.namespace}"}} 1.0'
    program = scene.controllers.programs[-1]
    eventually(lambda: alarm in scene.controllers.page(program, "/metrics"), 60, "an alarm")

    kubeconfig = str(scene.bed.kubeconfig("admin"))
    command = [str(Path(sys.executable).parent / "penstock"), "rollback", shop.release, "-n", shop.namespace, "--kubeconfig", kubeconfig]
    asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert asked.returncode == 5
    assert f"The controller has no rights in namespace {shop.namespace} any more" in asked.stderr

    scene.api.apply([binding])
    shop.reaches("RolledBack")
    assert alarm not in scene.controllers.page(program, "/metrics")
    assert scene.controllers.defects() == []


def test_a_namespace_that_is_deleted_in_mid_release_goes_away(scene: Scene) -> None:
    """Its pods go first: that is when the controller asks, for a moment later it has no rights there any more."""
    shop = Shop(scene.api, scene.exporter, scene.namespaces[1], "shop", "shop", ("shop",))
    shop.release = "to-v2"
    shop.measures_at(25)
    scene.exporter.flow(shop.namespace, None)
    path = f"/api/v1/namespaces/{shop.namespace}"
    scene.api.delete(path)

    eventually(lambda: scene.api.request("GET", path).status_code == 404, 60, "the end of the namespace")
    assert scene.controllers.defects() == []


def pairs(scene: Scene) -> Iterator[tuple[str, str]]:
    """The plan's namespace and green's, of plans in two."""
    greens = [name for name in scene.namespaces if name.startswith("green")]
    for name in greens:
        yield scene.namespaces[scene.namespaces.index(name) - 1], name
