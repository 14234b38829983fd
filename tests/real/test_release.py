"""The ten-line example on real components, under the shipped Role.

All stories run side by side under one controller; each test waits for its own.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bed.waiting import eventually
from tests.real.harness import RELEASES, Scene, Shop, stages
from tests.real.history import KINDS, OTHERS, OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bed.api import JsonObject
    from tests.bed.cluster import Bed

pytestmark = [pytest.mark.bed, pytest.mark.usefixtures("nodes"), pytest.mark.prometheus]


def two_stages(spec: JsonObject) -> None:
    """Enough for stories that need several releases in a row."""
    spec["stages"] = stages(25, 100)


def home(spec: JsonObject) -> None:
    """The original gets the new image, and traffic returns to it."""
    two_stages(spec)
    spec["finish"] = {"mode": "home", "retention": "3m"}


def kubectl(scene: Scene, *words: str) -> str:
    """What a real kubectl prints."""
    argv = [str(scene.bed.binaries.kubectl), f"--kubeconfig={scene.bed.kubeconfig('admin')}", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300).stdout


def decided_again(scene: Scene, shop: Shop, name: str) -> dict[str, str]:
    """What a reviewer with the command line finds in the cluster about a finished release: its bundle, decided again, and its report."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-evidence-"))
    where = ("--kubeconfig", str(scene.bed.kubeconfig("admin")), "-n", shop.namespace)
    file = folder / "bundle"
    penstock("bundle", name, *where, "--file", str(file))
    told = {"replay": penstock("replay", str(file)), "report": penstock("report", str(file), "-o", "markdown")}
    selector = f"penstock.dev/evidence=true,penstock.dev/release={name}"
    parts = shop.api.get(f"/api/v1/namespaces/{shop.namespace}/configmaps", labelSelector=selector)
    return told | {"parts": str(len(parts["items"])), "immutable": str(all(part["immutable"] for part in parts["items"]))}


def penstock(*words: str) -> str:
    """What our command prints; it must end with 0."""
    argv = [sys.executable, "-m", "controller.cli.main", *words]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{words}: {done.returncode} {done.stdout} {done.stderr}"
    return done.stdout


def fails_at(shop: Shop, weight: int) -> JsonObject:
    """A release whose green begins to fail at this weight; its final status."""
    shop.fails(shop.idle(), from_weight=weight)
    shop.start("v2")
    return shop.reaches("RolledBack")


@dataclass(frozen=True, slots=True)
class Row:
    """What a row of releases leaves.

    Attributes:
        served: the revision that served after each release.
        before, after: uids of what served, before and after all Releases and all that they owned were collected.
        next_served: the revision that serves after one more release.
    """

    served: list[str]
    before: dict[str, str]
    after: dict[str, str]
    next_served: str


def row(shop: Shop) -> Row:
    """Success, rollback, success, success; then every finished Release is deleted, and one more release is started."""
    served = [served_after(shop, revision, bad=bad) for revision, bad in (("v2", False), ("v3", True), ("v4", False), ("v5", False))]
    before = serving(shop)
    delete_all_releases(shop)
    after = serving(shop)
    return Row(served, before, after, served_after(shop, "v6", bad=False))


def served_after(shop: Shop, revision: str, *, bad: bool) -> str:
    """The revision that serves once a release has ended as it should."""
    (shop.fails if bad else shop.heals)(shop.idle())
    shop.start(revision)
    shop.reaches("RolledBack" if bad else "Succeeded")
    return serving_image(shop)


def delete_all_releases(shop: Shop) -> None:
    """Delete them, the last one while it still keeps the old version, and wait until the garbage collector has followed every reference."""
    releases = RELEASES.format(namespace=shop.namespace)
    uids = {item["metadata"]["uid"] for item in shop.api.get(releases)["items"]}
    assert owned(shop, uids), "no object refers to a Release: the collector would have nothing to do"
    shop.api.delete(releases)
    eventually(lambda: not shop.api.get(releases)["items"], 60, "the end of all Releases")
    eventually(lambda: not owned(shop, uids), 60, "the end of all that the Releases owned")


def owned(shop: Shop, uids: set[str]) -> list[str]:
    """What refers to one of these owners, of all kinds that a release makes."""
    found = []
    for namespace in dict.fromkeys((shop.namespace, shop.green_namespace)):
        for kind, path in KINDS.items():
            group, _, plural = path.rpartition("/")
            items = shop.api.get(f"{group}/namespaces/{namespace}/{plural}")["items"]
            found += [f"{kind} {item['metadata']['name']}" for item in items if uids & owners(item)]
    return found


def owners(item: JsonObject) -> set[str]:
    """Uids that an object refers to."""
    return {reference["uid"] for reference in item["metadata"].get("ownerReferences", ())}


def serving(shop: Shop) -> dict[str, str]:
    """Uids of what a request meets: route, rule, Services, the serving Deployment, its ReplicaSet of now and its pods."""
    namespace, name = next(place for place in _places(shop) if place != shop.idle())
    found = [("apis/networking.istio.io/v1", shop.namespace, f"virtualservices/{shop.route}")]
    found += [("api/v1", namespace, "services/shop"), ("apis/apps/v1", namespace, f"deployments/{name}")]
    if not shop.second:
        found.append(("apis/networking.istio.io/v1", shop.namespace, "destinationrules/shop"))
    uids = {what: shop.api.get(f"/{group}/namespaces/{place}/{what}")["metadata"]["uid"] for group, place, what in found}
    deployment = shop.api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
    labels = deployment["spec"]["selector"]["matchLabels"]
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    pods = shop.api.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector)["items"]
    return uids | {f"pods/{pod['metadata']['name']}": pod["metadata"]["uid"] for pod in pods}


def serving_image(shop: Shop) -> str:
    """The version of the one Deployment that the route leads to."""
    namespace, name = next(place for place in _places(shop) if place != shop.idle())
    deployment = shop.api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
    assert deployment["status"]["readyReplicas"] == 3
    assert max(shop.weights().values()) == 100
    return deployment["spec"]["template"]["spec"]["containers"][0]["image"].rpartition(":")[2]


def _places(shop: Shop) -> tuple[tuple[str, str], tuple[str, str]]:
    return (shop.namespace, "shop"), (shop.green_namespace, shop.green)


@pytest.fixture(scope="module")
def scene(bed: Bed) -> Iterator[Scene]:
    """One controller for all stories; at the end it must have broken no invariant and met no defect of its own."""
    with Scene(bed) as scene:
        yield scene
        assert scene.faults() == []


@pytest.fixture(scope="module")
def stories(scene: Scene) -> Iterator[dict[str, Future[object]]]:
    """Every story begins at once, each with a shop of its own."""
    told: dict[str, Callable[[], object]] = {}

    def story(function: Callable[[Scene, Shop], object], shop: Shop) -> None:
        told[function.__name__] = lambda: function(scene, shop)

    story(it_succeeds, scene.shop())
    story(it_fails_at_25, scene.shop())
    story(two_namespaces_fail_at_25, scene.shop(two_namespaces=True))
    story(in_a_row_with_subsets, scene.shop(two_stages))
    story(in_a_row_with_two_namespaces, scene.shop(two_stages, two_namespaces=True))
    story(in_a_row_with_home, scene.shop(home))
    story(deleted_at_25, scene.shop())
    story(edited_toward_blue, scene.shop())
    story(edited_toward_green, scene.shop())
    scene.start_controller()
    with ThreadPoolExecutor(len(told)) as pool:
        yield {name: pool.submit(told[name]) for name in told}


def it_succeeds(scene: Scene, shop: Shop) -> dict[str, object]:
    shop.start("v2")
    shop.measures_at(5)
    running = eventually(lambda: while_it_stands_still(scene, shop), 60, "a table of a release that does not move meanwhile")
    kubectl(scene, "-n", shop.namespace, "wait", "--for=condition=Succeeded", "release/to-v2", "--timeout=240s")
    ended = kubectl(scene, "-n", shop.namespace, "get", "releases")
    status = shop.status
    eventually(lambda: shop.deployments() == {"shop": 0, "shop-green": 3}, 20, "the end of the retention")
    again = decided_again(scene, shop, "to-v2")
    return {"running": running, "ended": ended, "status": status, "weights": shop.weights(), "again": again}


def while_it_stands_still(scene: Scene, shop: Shop) -> tuple[str, str, int] | None:
    """The table of kubectl, and the phase and weight that the release had before and after it was asked; None where they differ."""
    before = shop.status
    printed = kubectl(scene, "-n", shop.namespace, "get", "releases")
    stood = (before["phase"], before["weight"])
    return (printed, *stood) if stood == (shop.status["phase"], shop.status["weight"]) else None


def it_fails_at_25(scene: Scene, shop: Shop) -> tuple[JsonObject, dict[str, int], dict[str, int], dict[str, str]]:
    return fails_at(shop, 25), shop.weights(), shop.deployments(), decided_again(scene, shop, "to-v2")


def two_namespaces_fail_at_25(_: Scene, shop: Shop) -> tuple[JsonObject, dict[str, int], dict[str, int]]:
    return fails_at(shop, 25), shop.weights(), shop.deployments()


def in_a_row_with_subsets(_: Scene, shop: Shop) -> Row:
    return row(shop)


def in_a_row_with_two_namespaces(_: Scene, shop: Shop) -> Row:
    return row(shop)


def in_a_row_with_home(_: Scene, shop: Shop) -> Row:
    return row(shop)


def deleted_at_25(_: Scene, shop: Shop) -> tuple[dict[str, int], dict[str, int]]:
    shop.start("v2")
    shop.measures_at(25)
    shop.api.delete(shop.path)
    eventually(lambda: shop.status == {}, 30, "the Release's end")
    return shop.weights(), shop.deployments()


def edited_toward_blue(_: Scene, shop: Shop) -> tuple[JsonObject, dict[str, int]]:
    shop.start("v2")
    shop.measures_at(25)
    shop.edit_weights(90, 10)
    held = shop.reaches("Holding", seconds=60)
    return held, shop.weights()


def edited_toward_green(scene: Scene, shop: Shop) -> tuple[list[list[int]], JsonObject]:
    """All weights that stood on the route in a row, and how it ended."""
    shop.start("v2")
    shop.measures_at(25)
    shop.edit_weights(10, 90)
    ended = shop.reaches("Succeeded")
    routes = [commit.new for commit in scene.recorder.commits([shop.namespace]) if commit.kind == "VirtualService"]
    written = [[one.get("weight", 100) for one in route["spec"]["http"][-1]["route"]] for route in routes if route]
    return [weights for weights, _ in itertools.groupby(written)], ended


class TestSuccess:
    def test_it_goes_to_the_end(self, stories: dict[str, Future]) -> None:
        told = stories["it_succeeds"].result()

        assert [stage["weight"] for stage in told["status"]["stages"]] == [5, 25, 50, 100]
        assert all(stage["verdict"] == "pass" for stage in told["status"]["stages"])
        assert told["weights"] == {"v1": 0, "v2": 100}

    def test_no_window_was_shorter_than_the_plan_says(self, stories: dict[str, Future]) -> None:
        for stage in stories["it_succeeds"].result()["status"]["stages"]:
            assert stage["window"]["ran"] >= 8
            assert stage["verdictAt"] - stage["window"]["openedAt"] >= 8

    def test_kubectl_get_releases_tells_the_story(self, stories: dict[str, Future]) -> None:
        told = stories["it_succeeds"].result()

        printed, phase, weight = told["running"]
        assert all(word in printed for word in ("NAME", "to-v2", phase, f" {weight} "))
        assert all(word in told["ended"] for word in ("to-v2", "Succeeded", "100"))


class TestRollback:
    @pytest.mark.parametrize("name", ["it_fails_at_25", "two_namespaces_fail_at_25"])
    def test_a_green_that_fails_at_25_percent_is_rolled_back(self, name: str, stories: dict[str, Future]) -> None:
        status, weights, deployments = stories[name].result()[:3]

        assert status["rollback"]["check"] == "error-rate"
        assert (status["maxWeight"], status["weight"], status["grant"]) == (25, 0, 0)
        assert list(weights.values()) == [100]
        assert deployments == {"shop": 3}

    def test_a_deleted_release_is_rolled_back_before_it_goes(self, stories: dict[str, Future]) -> None:
        weights, deployments = stories["deleted_at_25"].result()

        assert weights == {"v1": 100}
        assert deployments == {"shop": 3}


class TestEvidence:
    def test_a_success_is_decided_again_as_it_was(self, stories: dict[str, Future]) -> None:
        told = stories["it_succeeds"].result()

        assert "all as recorded" in told["again"]["replay"]
        assert int(told["again"]["parts"]) == told["status"]["evidence"]["parts"]
        assert told["again"]["immutable"] == "True"

    def test_a_rollback_is_decided_again_as_it_was_and_reported(self, stories: dict[str, Future]) -> None:
        again = stories["it_fails_at_25"].result()[3]

        assert "all as recorded" in again["replay"]
        assert "error-rate" in again["report"]


IN_A_ROW = ("in_a_row_with_subsets", "in_a_row_with_two_namespaces", "in_a_row_with_home")


@pytest.mark.parametrize("name", IN_A_ROW)
class TestInARow:
    def test_success_rollback_success_success(self, name: str, stories: dict[str, Future]) -> None:
        assert stories[name].result().served == ["v2", "v2", "v4", "v5"]

    def test_all_finished_releases_are_deleted_and_what_serves_is_the_same(self, name: str, stories: dict[str, Future]) -> None:
        told = stories[name].result()

        assert told.after == told.before
        assert sum(what.startswith("pods/") for what in told.after) == 3

    def test_the_next_release_needs_no_hand_edit(self, name: str, stories: dict[str, Future]) -> None:
        assert stories[name].result().next_served == "v6"


class TestForeignEdits:
    def test_an_edit_toward_blue_is_obeyed(self, stories: dict[str, Future]) -> None:
        status, weights = stories["edited_toward_blue"].result()

        assert status["reason"] == "DriftTowardBlue"
        assert sorted(weights.values()) == [10, 90]

    def test_an_edit_toward_green_is_corrected_and_the_release_goes_on(self, stories: dict[str, Future]) -> None:
        written, status = stories["edited_toward_green"].result()
        edited = written.index([10, 90])

        assert written[edited + 1] == written[edited - 1]
        assert status["phase"] == "Succeeded"

    def test_the_checker_would_have_found_the_edit_had_it_been_the_controllers(self, scene: Scene, stories: dict[str, Future]) -> None:
        stories["edited_toward_green"].result()
        found = scene.breaches(ours=(OURS, OTHERS))

        assert any(sentence.startswith("S2") and "green has 90 %" in sentence for sentence in found)
