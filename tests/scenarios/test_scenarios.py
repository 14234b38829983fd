"""Whole stories in virtual time, with what they must leave behind."""

from pathlib import Path

import pytest

from controller.ports import CONFIG_MAP, DEPLOYMENT, DESTINATION_RULE, HPA, RELEASE, RELEASE_PLAN, SERVICE, VIRTUAL_SERVICE
from controller.reconcile import Memo, reconcile
from controller.runtime.watched import newest_finished
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.run import run_scenario
from controller.simulator.scenario import load
from tests.sizes import most_telling
from tests.stories import played_in, run

HERE = Path(__file__).parent
STORIES = [(path.parent, scenario) for path in sorted(HERE.glob("*/scenarios.yaml")) for scenario in load(path)]

TELLING = (
    "home-fails-by-gate",
    "probes-fail", "green-deleted", "blue-deleted",
    "kayenta-errors",
    "answers-nan-for-a-while", "answers-error-for-ever", "prometheus-hangs",
    "one-green-pod-unready", "green-comes-and-goes",
    "subset-gone", "split-at-rest", "weights-beyond-100", "two-plans-on-one-route",
    "rights-removed-for-a-while", "admission-denies-for-a-while", "slow-by-a-histogram",
    "sequential-errors", "sequential-latency", "sequential-restart", "sequential-early-not",
    "sequential-own-broken", "sequential-objective-held", "sequential-quick-slower",
    "requests", "reviews-fails", "sample-name-taken",
)  # fmt: skip
"""Stories that every run tells: each mode, each kind of check and each kind of trouble is among them."""


def story(name: str):
    return next(pair for pair in STORIES if pair[1].name == name)


def played(name: str):
    """How a story ended, and what it left."""
    result, sim = played_in(story(name)[0], name)
    return result, InMemoryKube(sim.server)


@pytest.mark.parametrize("name", most_telling(*TELLING, of=[scenario.name for _, scenario in STORIES]))
def test_the_story_ends_as_it_says(name):
    """The expectation stands in the scenario itself."""
    result, _ = played(name)

    assert result.problems == [], "\n".join(map(str, result.transcript))


@pytest.mark.long
def test_versions_beside_the_plan_keep_their_rule_their_subsets_and_their_users():
    """Two releases in a row in a place where the labels of three versions name subsets."""
    _, kube = played("sample-in-a-row")
    (route,), (rule,) = kube.list(VIRTUAL_SERVICE).items, kube.list(DESTINATION_RULE).items

    assert {one["metadata"]["name"]: one["status"]["phase"] for one in kube.list(RELEASE).items} == {
        "reviews-r2": "Succeeded",
        "reviews-r3": "Succeeded",
    }
    assert route["spec"]["http"][0]["route"] == [{"destination": {"host": "reviews", "subset": "v3"}}]
    assert [one["destination"]["subset"] for one in route["spec"]["http"][1]["route"] if one["weight"]] == ["r3"]
    assert {"name": "v2", "labels": {"version": "v2"}} in rule["spec"]["subsets"]
    assert {"name": "v3", "labels": {"version": "v3"}} in rule["spec"]["subsets"]


@pytest.mark.parametrize("name", most_telling("requests", of=["requests", "host-in-a-row", "home-in-a-row", "subset-in-a-row"]))
def test_nothing_borrowed_is_left_after_a_release_or_several(name):
    """Owner annotations, the plan's lock, raised autoscalers: all of it goes back."""
    _, kube = played(name)

    for route in kube.list(VIRTUAL_SERVICE).items:
        assert not {key for key in route["metadata"].get("annotations", {}) if "owner" in key or "stamp" in key}
    assert [plan["status"]["active"] for plan in kube.list(RELEASE_PLAN).items] == [""]
    assert {hpa["spec"]["minReplicas"] for hpa in kube.list(HPA).items} <= {2}


@pytest.mark.long
@pytest.mark.parametrize("name", ["subset-in-a-row"])
def test_the_roles_swap_with_each_success(name):
    """After four swaps the user's own Deployment serves again, with the newest image; the clone, which was ours, is gone."""
    _, kube = played(name)

    left = [
        (d["metadata"]["name"], d["spec"]["replicas"], d["spec"]["template"]["spec"]["containers"][0]["image"])
        for d in kube.list(DEPLOYMENT, "shop").items
    ]
    assert left == [("shop", 3, "registry.example/shop:4.0")]
    subsets = [s["name"] for s in kube.list(DESTINATION_RULE, "shop").items[0]["spec"]["subsets"]]
    assert "v1" in subsets, "the user's own subset stays"


@pytest.mark.long
@pytest.mark.parametrize("name", ["host-in-a-row"])
def test_the_next_release_raises_no_alarm_over_the_old_version_that_just_ends(name):
    """Its pods take a moment to go after it was scaled to nothing: that is waited for, and nothing is refused."""
    result, _ = played(name)

    assert [line for line in map(str, result.transcript) if "refused a step" in line] == []


@pytest.mark.parametrize("name", ["requests"])
def test_after_one_success_the_users_own_deployment_idles(name):
    """What the user made is scaled to zero after the retention, never deleted."""
    _, kube = played(name)

    replicas = {d["metadata"]["name"]: d["spec"]["replicas"] for d in kube.list(DEPLOYMENT, "shop").items}
    assert replicas == {"shop": 0, "shop-green": 3}


@pytest.mark.long
@pytest.mark.parametrize("name", ["home-in-a-row"])
def test_home_keeps_the_original_and_removes_the_clone(name):
    """`finish: home`: the original serves the newest image; green's namespace is empty again."""
    _, kube = played(name)

    images = {d["metadata"]["name"]: d["spec"]["template"]["spec"]["containers"][0]["image"] for d in kube.list(DEPLOYMENT, "prod").items}
    assert images == {"api": "registry.example/api:4.0", "worker": "registry.example/worker:4.0"}
    assert not kube.list(DEPLOYMENT, "prod-green").items
    assert not kube.list(SERVICE, "prod-green").items


@pytest.mark.parametrize("name", most_telling("home-fails-by-gate", of=["home-fails-by-gate", "home-fails-by-trigger"]))
def test_a_rollback_after_a_failed_return_gives_the_original_its_old_image(name):
    """The original had the new image already: "everybody is on blue" must mean the old version."""
    _, kube = played(name)

    images = {d["metadata"]["name"]: d["spec"]["template"]["spec"]["containers"][0]["image"] for d in kube.list(DEPLOYMENT, "prod").items}
    assert images == {"api": "registry.example/api:1.0", "worker": "registry.example/worker:1.0"}
    assert not kube.list(DEPLOYMENT, "prod-green").items


@pytest.mark.long
def test_a_restart_in_the_return_neither_shortens_nor_repeats_its_window():
    """Killed every 20 s, the original is judged once, over the first stage's five minutes."""
    folder, scenario = story("home-restarts")
    kept = []
    run_scenario(scenario, folder, prepare=kept.append)

    home = kept[0].release(("prod", "api-v2"))["status"]["returning"]
    assert home["verdict"] == "pass"
    assert 300 <= home["window"]["ran"] < 330


@pytest.mark.parametrize("name", ["probes-fail"])
def test_a_rollback_leaves_blue_as_it_was(name):
    """A green that was never healthy leaves no object, and the route without a trace."""
    _, kube = played(name)

    assert not kube.list(DEPLOYMENT, "prod-green").items
    route = kube.get(VIRTUAL_SERVICE, "prod", "api")
    assert [r.get("name") for r in route["spec"]["http"]] == ["main"]
    assert [len(r["route"]) for r in route["spec"]["http"]] == [1]


@pytest.mark.long
def test_finished_releases_are_kept_by_the_plans_history():
    """A plan that keeps two: of four finished releases the two newest are there, with their records, evidence and one frozen plan."""
    folder, scenario = story("subset-in-a-row")
    _, sim = run(folder, scenario.model_copy(update={"plan": "short-history.yaml"}))

    kube = InMemoryKube(sim.server)
    releases = {r["metadata"]["name"] for r in kube.list(RELEASE, "shop").items}
    maps = [c["metadata"]["name"] for c in kube.list(CONFIG_MAP, "shop").items]
    assert releases == {"shop-v3", "shop-v4"}
    evidence = [name for name in maps if name.startswith("penstock-evidence-")]
    assert {name.removeprefix("penstock-evidence-")[:7] for name in evidence} == releases
    assert [name.split("-")[1] for name in sorted(set(maps) - set(evidence))] == ["history", "history", "plan"]


@pytest.mark.long
def test_finished_releases_age_though_no_other_one_comes():
    """The runtime lets the newest look once an hour: days later only it is left, its records with it."""
    folder, scenario = story("subset-in-a-row")
    kept = []

    def prepare(sim):
        kept.append(sim)
        InMemoryKube(sim.server).patch(RELEASE_PLAN, "shop", "shop", {"spec": {"history": {"age": "2d"}}})

    run_scenario(scenario, folder, prepare=prepare)
    kube, ports = InMemoryKube(kept[0].server), kept[0].ports
    before = kube.list(RELEASE, "shop").items
    assert len(before) == 4

    kept[0].clock.time += 3 * 86_400
    (newest,) = newest_finished(before)
    reconcile(newest, ports, Memo())

    assert [r["metadata"]["name"] for r in kube.list(RELEASE, "shop").items] == [newest[1]] == ["shop-v4"]
    assert reconcile(newest, ports, Memo()).wake_at is None


@pytest.mark.long
def test_a_plan_whose_holder_was_removed_by_hand_is_taken_over():
    """Somebody took the finalizer off and deleted the Release that held the plan: the next one does not wait for a ghost."""
    folder, scenario = story("requests")
    alone = scenario.model_copy(update={"people": []})

    def ghost(sim):
        kube = InMemoryKube(sim.server, user="bob", field_manager="kubectl-edit")
        kube.patch(RELEASE_PLAN, "shop", "shop", {"status": {"active": "uid-of-a-ghost", "activeName": "ghost"}}, subresource="status")

    result = run_scenario(alone.model_copy(update={"expect": alone.expect.model_copy(update={"within": None})}), folder, prepare=ghost)

    assert result.problems == [], "\n".join(map(str, result.transcript))


@pytest.mark.long
@pytest.mark.parametrize("name", ["not-taken-back-once-the-next-runs"])
def test_a_success_is_not_taken_back_once_the_next_release_runs_in_the_old_version_s_place(name):
    """What served before is nowhere then: everybody would get the image that runs there now."""
    result, kube = played(name)

    ends = {one["metadata"]["name"]: one["status"] for one in kube.list(RELEASE).items}
    assert {name: status["phase"] for name, status in ends.items()} == {
        "shop-v2": "Succeeded", "shop-v3": "Succeeded", "shop-back": "Refused", "shop-v4": "Succeeded",
    }  # fmt: skip
    assert "Deployment shop/shop runs registry.example/shop:3.0 by now" in ends["shop-back"]["message"]
    assert result.problems == []
