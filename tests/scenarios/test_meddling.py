"""What people do to the objects of a release while it runs: each deed in the phases where it hurts, with what must come of it."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from controller.api.release import Phase
from controller.ports import (
    CONFIG_MAP,
    DEPLOYMENT,
    DESTINATION_RULE,
    EVENT,
    HPA,
    RELEASE,
    RELEASE_PLAN,
    SERVICE,
    VIRTUAL_SERVICE,
    Kind,
    RefusedError,
)
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.definitions import load_objects
from controller.simulator.invariants import watch
from controller.simulator.run import Result, run_objects
from controller.simulator.scenario import Scenario, load
from controller.simulator.simulation import START, Simulation
from tests.sizes import most_telling

FOLDER = Path(__file__).parent / "peers"
HEALTHY = next(scenario for scenario in load(FOLDER / "scenarios.yaml") if scenario.name == "foreign-labels")
STORY = HEALTHY.model_copy(update={"faults": [], "plan": "three-stages.yaml"})
PREPARING, CLUSTER, SHIFTED, MEASURING, BAKING, DONE = 3.0, 12.0, 20.0, 80.0, 310.0, 380.0
"""Seconds in which that release brings green up, waits for its cluster, has shifted to 5 %, judges 5 %, bakes, and has succeeded."""

STAGES = most_telling(MEASURING, of=[SHIFTED, MEASURING, BAKING])
BEFORE = most_telling(CLUSTER, of=[PREPARING, CLUSTER])
"""Moments in which a deed is done again; only the middle of a window, and the last moment before the first weight, are not `long`."""

Deed = Callable[[InMemoryKube], Any]


@dataclass(slots=True)
class Told:
    """What came of it."""

    result: Result
    kube: InMemoryKube
    sim: Simulation
    breaches: list[str] = field(default_factory=list)

    @property
    def status(self) -> dict[str, Any]:
        return self.kube.get(RELEASE, "shop", "shop-v2")["status"]

    @property
    def weights(self) -> dict[str, int]:
        """Weights of the first rule by subset."""
        rule = self.kube.get(VIRTUAL_SERVICE, "shop", "shop")["spec"]["http"][0]
        return {entry["destination"]["subset"]: entry.get("weight", 100) for entry in rule["route"]}

    @property
    def sizes(self) -> dict[str, int]:
        return {d["metadata"]["name"]: d["spec"]["replicas"] for d in self.kube.list(DEPLOYMENT, "shop").items}


def told(
    *deeds: tuple[float, Deed],
    people: tuple[dict[str, Any], ...] = (),
    prepared: Callable[[Simulation], None] = lambda _sim: None,
    **changes: Any,
) -> Told:
    """The release with these deeds at their seconds; `prepared` is given the simulation before it begins."""
    kept: list[Any] = []

    def prepare(sim: Simulation) -> None:
        kept.extend((sim, watch(sim)))
        prepared(sim)
        bob = InMemoryKube(sim.server, user="bob", field_manager="kubectl-edit")
        for time, deed in deeds:
            sim.at(START + time, lambda deed=deed: deed(bob))

    story = Scenario.model_validate({**STORY.model_dump(by_alias=True, exclude_unset=True, mode="json"), "people": list(people), **changes})
    objects = [copy.deepcopy(o) for name in (story.world, story.plan) for o in load_objects(FOLDER / name)]
    result = run_objects(story, objects, prepare=prepare)
    sim, checks = kept
    return Told(result, InMemoryKube(sim.server), sim, list(map(str, checks.finish())))


def delete(kind: Kind, name: str) -> Deed:
    return lambda kube: kube.delete(kind, "shop", name, uid=kube.get(kind, "shop", name)["metadata"]["uid"])


def patch(kind: Kind, name: str, body: dict[str, Any], subresource: str = "") -> Deed:
    return lambda kube: kube.patch(kind, "shop", name, body, subresource=subresource)


def edit_status(**fields: Any) -> Deed:
    return patch(RELEASE, "shop-v2", {"status": fields}, "status")


MARKS = ("penstock.dev/owner", "penstock.dev/owner-name", "penstock.dev/added")


def unmarked(kind: Kind, name: str) -> Deed:
    """Every annotation and label of ours is taken off."""

    def deed(kube: InMemoryKube) -> None:
        meta = kube.get(kind, "shop", name)["metadata"]
        ours = {part: {key: None for key in meta.get(part, ()) if key.startswith("penstock.dev/")} for part in ("annotations", "labels")}
        kube.patch(kind, "shop", name, {"metadata": ours})

    return deed


def weigh(blue: int | None, green: int | None) -> Deed:
    """`kubectl edit` of both weights; None takes one off."""

    def deed(kube: InMemoryKube) -> None:
        http = copy.deepcopy(kube.get(VIRTUAL_SERVICE, "shop", "shop")["spec"]["http"])
        for entry, weight in zip(http[0]["route"], (blue, green), strict=True):
            entry.pop("weight", None)
            if weight is not None:
                entry["weight"] = weight
        kube.patch(VIRTUAL_SERVICE, "shop", "shop", {"spec": {"http": http}})

    return deed


def new_rule(kube: InMemoryKube) -> None:
    """A path of its own for a new feature, as the manifest in git sends everything: to the version that serves there."""
    http = copy.deepcopy(kube.get(VIRTUAL_SERVICE, "shop", "shop")["spec"]["http"])
    rule = {"match": [{"uri": {"prefix": "/new"}}], "route": [{"destination": {"host": "shop", "subset": "v1"}}]}
    kube.patch(VIRTUAL_SERVICE, "shop", "shop", {"spec": {"http": [rule, *http]}})


def put_back(kube: InMemoryKube) -> None:
    """The route once more, as the manifest stood in mid-release."""
    route = [{"destination": {"host": "shop", "subset": name}, "weight": weight} for name, weight in (("v1", 80), ("v2", 20))]
    named = {"apiVersion": VIRTUAL_SERVICE.api_version, "kind": "VirtualService", "metadata": {"name": "shop"}}
    kube.create(VIRTUAL_SERVICE, "shop", {**named, "spec": {"hosts": ["shop"], "http": [{"route": route}]}})


def with_config(sim: Simulation) -> None:
    """The workload reads a ConfigMap."""
    kube = InMemoryKube(sim.server, user="bob", field_manager="kubectl-edit")
    kube.create(CONFIG_MAP, "shop", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"feature": "off"}})
    template = copy.deepcopy(kube.get(DEPLOYMENT, "shop", "shop")["spec"]["template"])
    template["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "settings"}}]
    kube.patch(DEPLOYMENT, "shop", "shop", {"spec": {"template": template}})


def configured(feature: str) -> Deed:
    """`kubectl edit` of that ConfigMap."""
    return lambda kube: kube.patch(CONFIG_MAP, "shop", "settings", {"data": {"feature": feature}})


def start_next(kube: InMemoryKube) -> None:
    """The next release of the plan, while the old version of the last one is still kept."""
    spec = {"plan": "shop", "revision": "v3", "images": {"shop": "registry.example/shop:3.0"}}
    kube.create(RELEASE, "shop", {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": {"name": "shop-v3"}, "spec": spec})


def make_again(name: str) -> Deed:
    """`kubectl replace --force`: the same Deployment under another uid."""

    def deed(kube: InMemoryKube) -> None:
        old = kube.get(DEPLOYMENT, "shop", name)
        delete(DEPLOYMENT, name)(kube)
        meta = {key: value for key, value in old["metadata"].items() if key in ("name", "namespace", "labels", "annotations")}
        kube.create(DEPLOYMENT, "shop", {key: value for key, value in {**old, "metadata": meta}.items() if key != "status"})

    return deed


def other_image(kube: InMemoryKube, name: str = "shop-green", image: str = "registry.example/shop:by-hand") -> None:
    containers = copy.deepcopy(kube.get(DEPLOYMENT, "shop", name)["spec"]["template"]["spec"]["containers"])
    containers[0]["image"] = image
    kube.patch(DEPLOYMENT, "shop", name, {"spec": {"template": {"spec": {"containers": containers}}}})


def another_environment(kube: InMemoryKube, name: str = "shop-green") -> None:
    containers = copy.deepcopy(kube.get(DEPLOYMENT, "shop", name)["spec"]["template"]["spec"]["containers"])
    containers[0]["env"] = [{"name": "CACHE", "value": "off"}]
    kube.patch(DEPLOYMENT, "shop", name, {"spec": {"template": {"spec": {"containers": containers}}}})


def blue_runs(version: str) -> Deed:
    return lambda kube: other_image(kube, "shop", f"registry.example/shop:{version}")


def without_green_subset(kube: InMemoryKube) -> None:
    kube.patch(DESTINATION_RULE, "shop", "shop", {"spec": {"subsets": [{"name": "v1", "labels": {"version": "v1"}}]}})


class TestTheRoute:
    @pytest.mark.parametrize("when", STAGES)
    def test_less_for_green_by_hand_is_obeyed_in_every_stage(self, when):
        """While it shifts, too: `kubectl edit` at 3 am must stick."""
        story = told((when, weigh(97, 3)))

        assert (story.status["phase"], story.status["reason"]) == ("Holding", "DriftTowardBlue")
        assert story.weights == {"v1": 97, "v2": 3}
        assert story.breaches == []

    @pytest.mark.parametrize("weights", [(0, 0), pytest.param((None, None), marks=pytest.mark.long)])
    @pytest.mark.parametrize("when", STAGES)
    def test_weights_that_mean_nothing_are_put_right_at_once(self, when, weights):
        """All 0 and all absent send to all pods of the host, whatever was granted."""
        story = told((when, weigh(*weights)))

        assert (story.status["phase"], story.weights) == ("Succeeded", {"v1": 0, "v2": 100})
        assert story.breaches == []

    @pytest.mark.parametrize("when", STAGES)
    def test_a_route_without_rules_is_held_with_its_own_words(self, when):
        story = told((when, patch(VIRTUAL_SERVICE, "shop", {"spec": {"http": []}})))

        assert (story.status["phase"], story.status["reason"]) == ("Holding", "RouteChanged")
        assert "no http rule that sends to blue or green" in story.status["message"]

    @pytest.mark.long
    @pytest.mark.parametrize("when", STAGES)
    def test_a_new_rule_to_blue_is_held_until_a_person_gives_green_its_share_there(self, when):
        """Else its users stay on a version that goes after the success, and the route is never given back."""
        held, resumed = told((when, new_rule)), told((when, new_rule), people=({"at": f"{when + 60:.0f}s", "verb": "resume"},))

        assert (held.status["phase"], held.status["reason"]) == ("Holding", "RouteChanged")
        assert "a rule of VirtualService shop/shop sends to blue alone" in held.status["message"]
        assert (resumed.status["phase"], resumed.weights) == ("Succeeded", {"v1": 0, "v2": 100})
        assert held.breaches == resumed.breaches == []

    @pytest.mark.parametrize("when", STAGES)
    def test_another_releases_mark_on_the_route_is_held_and_nothing_is_written_there(self, when):
        """It cannot be written any more, and asking again and again would help nobody."""
        story = told((when, patch(VIRTUAL_SERVICE, "shop", {"metadata": {"annotations": {"penstock.dev/owner": "another"}}})))

        assert (story.status["phase"], story.status["reason"]) == ("Holding", "RouteOwned")
        assert "another" in story.status["message"]
        assert story.sim.looks < 500

    def test_a_rollback_does_not_say_that_everybody_is_on_blue_where_the_route_is_anothers(self):
        mark = patch(VIRTUAL_SERVICE, "shop", {"metadata": {"annotations": {"penstock.dev/owner": "another"}}})
        story = told((MEASURING, mark), people=({"at": "100s", "verb": "rollback"},))

        assert (story.status["phase"], story.status["reason"]) == ("Halted", "RouteOwned")
        assert story.sizes == {"shop": 3, "shop-green": 3}

    def test_that_rollback_is_finished_when_the_mark_is_gone(self):
        mark = patch(VIRTUAL_SERVICE, "shop", {"metadata": {"annotations": {"penstock.dev/owner": "another"}}})
        off = patch(VIRTUAL_SERVICE, "shop", {"metadata": {"annotations": {"penstock.dev/owner": None}}})
        story = told((MEASURING, mark), (200.0, off), people=({"at": "100s", "verb": "rollback"}, {"at": "210s", "verb": "pause"}))

        assert (story.status["phase"], story.sizes) == ("RolledBack", {"shop": 3})
        assert story.weights == {"v1": 100}

    @pytest.mark.parametrize("when", BEFORE)
    def test_a_route_that_is_deleted_before_the_first_weight_leaves_nothing_behind_unsaid(self, when):
        """Istio now sends to all pods of the host, so green is not taken away under users, and it is not called untouched either."""
        story = told((when, delete(VIRTUAL_SERVICE, "shop")), limit=f"{when + 60:.0f}s")

        assert (story.status["phase"], story.status["reason"]) == ("Halted", "RouteGone")
        assert "VirtualService shop/shop is gone" in story.status["message"]

    @pytest.mark.parametrize("when", BEFORE)
    def test_it_goes_back_by_itself_once_that_route_is_there_again(self, when):
        later = ({"at": f"{when + 200:.0f}s", "verb": "pause"},)
        story = told((when, delete(VIRTUAL_SERVICE, "shop")), (when + 90, put_back), people=later)

        assert (story.status["phase"], story.weights["v1"], story.sizes) == ("RolledBack", 100, {"shop": 3})
        assert "Green had requests without a weight, for 90 s" in story.status["message"]
        assert story.breaches == []

    @pytest.mark.parametrize("when", BEFORE)
    def test_without_requests_everything_is_given_back_then(self, when):
        story = told((when, delete(VIRTUAL_SERVICE, "shop")), users=[])

        assert (story.status["phase"], story.sizes) == ("RolledBack", {"shop": 3})
        assert [hpa["spec"]["minReplicas"] for hpa in story.kube.list(HPA, "shop").items] == [2]

    def test_one_that_is_deleted_and_put_back_with_a_share_for_green_goes_to_blue_and_is_known_by_its_new_uid(self):
        """Whoever puts the manifest back as it stood gives green its share again."""
        later = ({"at": "200s", "verb": "rollback", "reason": "once more"},)
        story = told((MEASURING, delete(VIRTUAL_SERVICE, "shop")), (MEASURING + 30, put_back), people=later)

        uid = story.kube.get(VIRTUAL_SERVICE, "shop", "shop")["metadata"]["uid"]
        assert (story.status["phase"], story.weights) == ("RolledBack", {"v1": 100})
        assert uid in {entry["uid"] for entry in story.status["objects"]}
        assert story.breaches == []

    @pytest.mark.parametrize("kind", [VIRTUAL_SERVICE, DESTINATION_RULE, HPA])
    def test_what_was_replaced_by_force_is_written_only_once_its_new_uid_is_written_down(self, kind):
        def replaced(kube: InMemoryKube) -> None:
            old = kube.get(kind, "shop", "shop")
            kube.delete(kind, "shop", "shop", uid=old["metadata"]["uid"])
            kube.create(
                kind, "shop", {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": "shop"}, "spec": old["spec"]}
            )

        story = told((MEASURING, replaced), people=({"at": "100s", "verb": "rollback", "reason": "enough"},))

        uid = story.kube.get(kind, "shop", "shop")["metadata"]["uid"]
        assert story.status["phase"] == "RolledBack"
        assert uid in {entry["uid"] for entry in story.status["objects"]}
        assert story.breaches == []

    def test_a_mirror_to_blue_keeps_its_subset_and_nothing_else(self):
        """Mirrored requests are nobody's answer: the routes, the plan and the autoscaler are given back all the same."""

        def mirror(kube):
            http = copy.deepcopy(kube.get(VIRTUAL_SERVICE, "shop", "shop")["spec"]["http"])
            http[0]["mirror"] = {"host": "shop", "subset": "v1"}
            kube.patch(VIRTUAL_SERVICE, "shop", "shop", {"spec": {"http": http}})

        story = told((CLUSTER, mirror))

        assert (story.status["phase"], story.sizes["shop-green"]) == ("Succeeded", 3)
        assert "finalizers" not in story.kube.get(RELEASE, "shop", "shop-v2")["metadata"]


class TestOurMarks:
    """Somebody, or a tool that prunes annotations, takes them off what they stand on."""

    BACK = ({"at": "150s", "verb": "rollback"},)

    @pytest.mark.parametrize("when", [CLUSTER, SHIFTED, MEASURING])
    def test_on_the_route_they_are_put_back_at_the_next_look(self, when):
        seen: list[dict[str, str]] = []
        look = lambda kube: seen.append(kube.get(VIRTUAL_SERVICE, "shop", "shop")["metadata"]["annotations"])  # noqa: E731
        story = told((when - 0.1, look), (when, unmarked(VIRTUAL_SERVICE, "shop")), (when + 12, look))

        assert story.status["phase"] == "Succeeded"
        assert {key: seen[1].get(key) for key in MARKS} == {key: seen[0].get(key) for key in MARKS}
        assert story.breaches == []

    @pytest.mark.parametrize("when", most_telling(MEASURING, of=[SHIFTED, MEASURING]))
    def test_and_on_the_destination_rule_of_greens_subset(self, when):
        """By it the next release but one takes the subset away."""
        seen: list[str] = []
        look = lambda kube: seen.append(kube.get(DESTINATION_RULE, "shop", "shop")["metadata"]["annotations"].get(MARKS[2], ""))  # noqa: E731
        story = told((when - 0.1, look), (when, unmarked(DESTINATION_RULE, "shop")), (when + 12, look))

        assert story.status["phase"] == "Succeeded"
        assert (seen[1], bool(seen[0])) == (seen[0], True)
        assert story.breaches == []

    @pytest.mark.parametrize("when", most_telling(152.0, of=[MEASURING, 152.0]))
    def test_so_that_greens_subset_goes_with_green(self, when):
        story = told((when, unmarked(DESTINATION_RULE, "shop")), people=self.BACK)
        rule = story.kube.get(DESTINATION_RULE, "shop", "shop")

        assert (story.status["phase"], [subset["name"] for subset in rule["spec"]["subsets"]]) == ("RolledBack", ["v1"])

    def test_so_that_greens_destination_goes_with_green(self):
        story = told((MEASURING, unmarked(VIRTUAL_SERVICE, "shop")), people=self.BACK)

        assert (story.status["phase"], story.weights) == ("RolledBack", {"v1": 100})

    def test_and_also_where_they_are_taken_off_on_the_way_back(self):
        story = told((152.0, unmarked(VIRTUAL_SERVICE, "shop")), people=self.BACK)

        assert (story.status["phase"], story.weights) == ("RolledBack", {"v1": 100})

    @pytest.mark.parametrize("when", [CLUSTER, MEASURING, 152.0])
    def test_a_green_without_them_is_taken_down_by_the_uid_that_was_recorded(self, when):
        story = told((when, unmarked(DEPLOYMENT, "shop-green")), people=self.BACK)

        assert (story.status["phase"], story.sizes) == ("RolledBack", {"shop": 3})


class TestAnEpochThatSomebodyWrote:
    """By hand, and higher than any leader's: it is not gone on from, and it stops nobody."""

    HUGE = 9 * 10**17

    @pytest.mark.parametrize("kind", [VIRTUAL_SERVICE, DEPLOYMENT, DESTINATION_RULE], ids=lambda kind: kind.kind)
    def test_on_an_object_it_is_overwritten(self, kind):
        name = "shop-green" if kind == DEPLOYMENT else "shop"
        deed = patch(kind, name, {"metadata": {"annotations": {"penstock.dev/epoch": str(self.HUGE)}}})
        story = told((MEASURING, deed), people=({"at": "100s", "verb": "rollback"},))

        assert (story.status["phase"], story.weights) == ("RolledBack", {"v1": 100})
        assert story.breaches == []

    def test_in_the_status_it_is_taken_back(self):
        story = told((MEASURING, edit_status(epoch=self.HUGE)))

        assert (story.status["phase"], story.status["epoch"]) == ("Succeeded", 1)
        assert story.breaches == []

    def test_a_later_leaders_in_the_status_stops_this_one(self):
        """What a deposed leader reads there is decided by another one: nothing is written over it."""
        story = told((MEASURING, edit_status(epoch=2)), limit="4m")

        assert (story.status["phase"], story.status["weight"]) == ("Measuring", 5)


class TestGreensCluster:
    @pytest.mark.parametrize("deed", [without_green_subset, pytest.param(delete(DESTINATION_RULE, "shop"), marks=pytest.mark.long)])
    @pytest.mark.parametrize("when", STAGES)
    def test_without_its_subset_everybody_goes_back_soon(self, when, deed):
        """Its whole share of the users gets 503 until then, and no metric has a colour for it."""
        story = told((when, deed))

        rollback = story.status["rollback"]
        assert (story.status["phase"], rollback["reason"]) == ("RolledBack", "ClusterGone")
        assert rollback["trafficAt"] - START - when <= 20

    def test_another_policy_of_blue_is_no_reason_to_go_back(self):
        """Green's subset is there and selects its pods; that it should look like blue's holds the next stage, as before."""
        policy = {"connectionPool": {"tcp": {"maxConnections": 5}}}
        subsets = [{"name": "v1", "labels": {"version": "v1"}, "trafficPolicy": policy}]

        def deed(kube):
            standing = kube.get(DESTINATION_RULE, "shop", "shop")["spec"]["subsets"]
            kube.patch(DESTINATION_RULE, "shop", "shop", {"spec": {"subsets": [*subsets, *(s for s in standing if s["name"] != "v1")]}})

        story = told((MEASURING, deed))

        assert story.status["rollback"]["reason"] == "HoldDeadline"

    @pytest.mark.long
    @pytest.mark.parametrize("when", most_telling(CLUSTER, of=[PREPARING, CLUSTER, MEASURING]))
    def test_green_gets_no_more_while_the_service_is_deleted(self, when):
        story = told((when, delete(SERVICE, "shop")))

        assert story.status.get("maxWeight", 0) == (5 if when == MEASURING else 0)
        assert story.breaches == []


class TestWorkloads:
    @pytest.mark.parametrize("when", STAGES)
    def test_another_image_of_green_was_never_judged(self, when):
        story = told((when, other_image))

        assert (story.status["phase"], story.status["rollback"]["reason"]) == ("RolledBack", "TargetGone")
        assert "shop:by-hand" in story.status["rollback"]["message"]
        assert story.sizes == {"shop": 3}

    @pytest.mark.parametrize("when", STAGES)
    def test_another_environment_of_green_waits_for_a_person(self, when):
        """`kubectl set env`: the image is the same, and what was counted speaks of other pods all the same."""
        story = told((when, another_environment))

        assert (story.status["phase"], story.status["reason"], story.status["hold"]["waitsFor"]) == ("Holding", "GreenChanged", "operator")
        assert "Deployment shop/shop-green (green) was given another pod template" in story.status["message"]
        assert story.breaches == []

    def test_who_resumes_has_the_stage_judged_anew(self):
        story = told((MEASURING, another_environment), people=({"at": "200s", "verb": "resume"},))
        stage = story.status["stages"][0]

        assert (story.status["phase"], story.weights["v2"]) == ("Succeeded", 100)
        assert stage["window"]["openedAt"] > START + 200
        assert story.breaches == []

    def test_a_restart_of_greens_pods_is_no_change(self):
        """`kubectl rollout restart`: the same pods again."""
        template = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}}}
        story = told((MEASURING, patch(DEPLOYMENT, "shop-green", {"spec": {"template": template}})))

        assert story.status["phase"] == "Succeeded"
        assert story.breaches == []

    @pytest.mark.parametrize("when", [pytest.param(PREPARING, marks=pytest.mark.long), *STAGES])
    def test_another_image_of_blue_is_said_once_and_stops_nothing(self, when):
        """Everybody would be put back on it, and nobody has judged it."""
        story = told((when, blue_runs("by-hand")))
        said = [event["message"] for event in story.kube.list(EVENT, "shop").items if event["reason"] == "BlueWasChanged"]

        assert (story.status["phase"], story.weights["v2"], len(said)) == ("Succeeded", 100, 1)
        assert "Deployment shop/shop runs registry.example/shop:by-hand, and had registry.example/shop:1.0" in said[0]
        assert story.breaches == []

    def test_another_environment_of_blue_is_said_too(self):
        story = told((MEASURING, lambda kube: another_environment(kube, "shop")))
        said = [event["message"] for event in story.kube.list(EVENT, "shop").items if event["reason"] == "BlueWasChanged"]

        assert (story.status["phase"], len(said)) == ("Succeeded", 1)
        assert "Deployment shop/shop runs registry.example/shop:1.0 with another pod template" in said[0]

    def test_a_rollback_to_it_names_what_nobody_has_judged(self):
        story = told((MEASURING, blue_runs("by-hand")), people=({"at": "100s", "verb": "rollback"},))

        assert story.status["phase"] == "RolledBack"
        assert story.status["message"].endswith(
            "Nobody has judged what blue runs: Deployment shop/shop runs registry.example/shop:by-hand, and had registry.example/shop:1.0."
        )

    def test_a_blue_that_got_its_image_back_is_blue(self):
        deeds = ((MEASURING, blue_runs("by-hand")), (MEASURING + 20, blue_runs("1.0")))
        story = told(*deeds, people=({"at": "150s", "verb": "rollback"},))
        said = {event["reason"] for event in story.kube.list(EVENT, "shop").items}

        assert (story.status["phase"], story.status.get("blueChanged", "")) == ("RolledBack", "")
        assert said >= {"BlueWasChanged", "BlueIsAsBefore"}
        assert "Nobody has judged" not in story.status["message"]

    def test_another_content_of_a_config_map_that_they_read_is_said_before_green_gets_more_and_stops_nothing(self):
        """Pods that start later would run with what nobody has judged."""
        story = told((MEASURING, configured("on")), prepared=with_config)
        said = [event["message"] for event in story.kube.list(EVENT, "shop").items if event["reason"] == "ConfigWasChanged"]

        assert (story.status["phase"], story.status["configsChanged"], len(said)) == ("Succeeded", "ConfigMap shop/settings", 1)
        assert "ConfigMap shop/settings" in said[0]
        assert story.breaches == []

    def test_one_that_says_again_what_it_said_is_told_too(self):
        story = told((MEASURING, configured("on")), (BAKING, configured("off")), prepared=with_config)
        said = {event["reason"] for event in story.kube.list(EVENT, "shop").items}

        assert (story.status["phase"], story.status.get("configsChanged", "")) == ("Succeeded", "")
        assert said >= {"ConfigWasChanged", "ConfigIsAsBefore"}

    def test_one_that_is_written_anew_with_what_it_says_is_no_change(self):
        story = told((MEASURING, patch(CONFIG_MAP, "settings", {"metadata": {"labels": {"by": "helm"}}})), prepared=with_config)

        assert "ConfigWasChanged" not in {event["reason"] for event in story.kube.list(EVENT, "shop").items}

    @pytest.mark.parametrize("when", BEFORE)
    def test_another_image_while_green_is_prepared_gets_no_request(self, when):
        """What is judged is what was asked for, not what somebody put there before it was ready."""
        story = told((when, other_image))

        assert (story.status["phase"], story.status.get("maxWeight", 0)) == ("RolledBack", 0)
        said = story.status["rollback"]["message"]
        assert "registry.example/shop:by-hand in mid-release, and registry.example/shop:2.0 was being prepared" in said
        assert story.breaches == []

    @pytest.mark.long
    def test_after_the_success_both_versions_have_an_autoscaler_with_its_owners_minimum(self):
        """In the retention green grows with its load, and blue is its owner's to scale again."""
        seen: list[dict[str, int]] = []

        def look(kube: InMemoryKube) -> None:
            hpas = kube.list(HPA, "shop").items
            seen.append({hpa["spec"]["scaleTargetRef"]["name"]: hpa["spec"]["minReplicas"] for hpa in hpas})

        story = told((BAKING, look), (DONE + 30, look))

        assert story.status["phase"] == "Succeeded"
        assert seen == [{"shop": 3}, {"shop": 2, "shop-green": 2}]
        assert story.breaches == []

    @pytest.mark.long
    def test_a_name_that_somebody_took_keeps_the_old_version_and_is_said_to_who_waits(self):
        """Else the next release would wait for ever, and nobody could see for what."""
        spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"}, "maxReplicas": 3}
        taken = told(
            (BAKING, lambda kube: kube.create(HPA, "shop", {"metadata": {"name": "shop-green"}, "spec": spec})),
            (DONE + 20, start_next),
        )
        waiting = taken.kube.get(RELEASE, "shop", "shop-v3")["status"]

        assert taken.status["phase"] == "Succeeded"
        assert "HorizontalPodAutoscaler shop/shop-green exists and is not of this release" in taken.status["retention"]["kept"]
        assert (waiting["phase"], waiting["reason"], waiting["hold"]["waitsFor"]) == ("Queued", "WaitingForOldVersion", "operator")

    @pytest.mark.long
    def test_it_goes_on_when_the_name_is_free(self):
        spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"}, "maxReplicas": 3}
        freed = told(
            (BAKING, lambda kube: kube.create(HPA, "shop", {"metadata": {"name": "shop-green"}, "spec": spec})),
            (DONE + 20, start_next),
            (DONE + 100, delete(HPA, "shop-green")),
        )

        assert (freed.status["retention"]["done"], freed.status["retention"].get("kept", "")) == (True, "")
        assert freed.kube.get(RELEASE, "shop", "shop-v3")["status"]["phase"] != "Queued"

    @pytest.mark.long
    def test_taking_a_success_back_leaves_the_first_versions_autoscaler_alone(self):
        """Green's, which the success made, goes with green."""
        images = {"shop": "registry.example/shop:1.0"}
        back = {
            "at": "410s",
            "verb": "start",
            "release": "shop-back",
            "kind": "reverse",
            "reverseOf": "shop-v2",
            "revision": "v1",
            "images": images,
        }
        story = told(people=(back,))
        hpas = {hpa["spec"]["scaleTargetRef"]["name"]: hpa["spec"]["minReplicas"] for hpa in story.kube.list(HPA, "shop").items}

        assert (story.kube.get(RELEASE, "shop", "shop-back")["status"]["phase"], story.weights["v1"]) == ("Succeeded", 100)
        assert (story.sizes, hpas) == ({"shop": 3}, {"shop": 2})
        assert story.breaches == []

    def test_a_blue_that_requests_do_not_reach_is_not_called_healthy(self):
        """Its pods are ready, and everybody gets 503 NC: a rollback that said that all is well would send nobody to look."""
        story = told((MEASURING, delete(DESTINATION_RULE, "shop")), people=({"at": "100s", "verb": "rollback"},))

        assert (story.status["phase"], story.weights["v1"], story.status["rollback"]["blueUnhealthy"]) == ("RolledBack", 100, True)
        said = [event["message"] for event in story.kube.list(EVENT, "shop").items if event["reason"] == "BlueUnhealthy"]
        assert [text.partition(": ")[2] for text in said] == ["subset v1 of shop.shop.svc.cluster.local is not defined"]

    def test_blue_gets_its_size_back_before_green_goes(self):
        story = told((212.0, patch(DEPLOYMENT, "shop", {"spec": {"replicas": 0}})), people=({"at": "200s", "verb": "rollback"},))

        assert (story.status["phase"], story.sizes) == ("RolledBack", {"shop": 3})
        assert story.breaches == []

    def test_a_green_that_was_scaled_to_nothing_is_deleted_all_the_same(self):
        story = told((205.0, patch(DEPLOYMENT, "shop-green", {"spec": {"replicas": 0}})), people=({"at": "200s", "verb": "rollback"},))

        assert (story.status["phase"], story.sizes) == ("RolledBack", {"shop": 3})

    @pytest.mark.long
    def test_somebody_elses_green_is_named_as_such(self):
        story = told((MEASURING, make_again("shop-green")))

        assert (story.status["phase"], story.status["reason"]) == ("Halted", "GreenStays")
        assert "somebody else's" in story.status["message"]

    @pytest.mark.parametrize("when", STAGES)
    def test_a_blue_that_was_made_again_is_blue(self, when):
        """`kubectl replace --force`: its new uid is written down, so that it is kept at its size and retired like the one before."""
        story = told((when, make_again("shop")))

        assert (story.status["phase"], story.sizes) == ("Succeeded", {"shop": 0, "shop-green": 3})
        assert story.breaches == []

    def test_an_old_version_that_was_made_again_does_not_hold_up_the_next_release(self):
        """Nobody looks after it any more: it is left alone, and the plan is given back all the same."""
        later = {"at": "30m", "verb": "start", "release": "shop-v3", "revision": "v3", "images": {"shop": "registry.example/shop:3.0"}}
        story = told((DONE, make_again("shop")), people=(later,))

        assert (story.status["phase"], story.status["retention"]["done"]) == ("Succeeded", True)
        assert story.kube.get(RELEASE, "shop", "shop-v3")["status"]["phase"] != "Queued"


CONTRADICTIONS = [
    (SHIFTED, {"phase": "Returning"}, "Returning"),
    (MEASURING, {"phase": "Returning"}, "Returning"),
    (BAKING, {"phase": "Returning"}, "Returning"),
    (BAKING, {"phase": "Measuring"}, "Measuring in the last stage"),
    (SHIFTED, {"grant": 0, "weight": 0}, "grant"),
    (SHIFTED, {"stages": [{"weight": 5, "enteredAt": 0, "verdict": "pass"}]}, "verdict"),
]
FIXED = [{"blueSlot": 1}, {"objects": []}, {"capacity": []}, {"mode": "host", "greenSubset": ""}]


class TestTheRecords:
    @pytest.mark.parametrize("restarted", most_telling(True, of=[True, False]))
    def test_without_its_frozen_plan_a_release_stops_and_rollback_works(self, restarted):
        """The live plan was edited, so it is good for the way back alone."""

        def deed(kube):
            for item in kube.list(CONFIG_MAP, "shop").items:
                if item["metadata"]["name"].startswith("penstock-plan"):
                    kube.delete(CONFIG_MAP, "shop", item["metadata"]["name"], uid=item["metadata"]["uid"])
            kube.patch(RELEASE_PLAN, "shop", "shop", {"spec": {"finish": {"retention": "1h"}}})

        crash = [{"kind": "crash", "at": "90s"}] if restarted else []
        story = told((MEASURING, deed), people=({"at": "150s", "verb": "rollback"},), faults=crash)

        assert (story.status["phase"], story.sizes) == ("RolledBack", {"shop": 3})
        assert story.weights == {"v1": 100}
        assert story.breaches == []

    def test_without_any_plan_it_says_so_and_goes_back_as_soon_as_there_is_one(self):
        """Neither a rollback nor a deletion can be done until then: both wait, and the words say for what."""
        kept: list[Any] = []

        def lose(kube):
            for item in kube.list(CONFIG_MAP, "shop").items:
                if item["metadata"]["name"].startswith("penstock-plan"):
                    kube.delete(CONFIG_MAP, "shop", item["metadata"]["name"], uid=item["metadata"]["uid"])
            kept.append(kube.get(RELEASE_PLAN, "shop", "shop"))
            delete(RELEASE_PLAN, "shop")(kube)

        def apply(kube):
            kept.append(kube.get(RELEASE, "shop", "shop-v2")["status"])
            meta = {"name": "shop", "namespace": "shop"}
            kube.create(RELEASE_PLAN, "shop", {key: kept[0][key] for key in ("apiVersion", "kind", "spec")} | {"metadata": meta})

        asks = {"at": "100s", "verb": "rollback"}
        story = told((MEASURING, lose), (140.0, apply), people=(asks,), faults=[{"kind": "crash", "at": "90s"}])

        assert (kept[1]["phase"], kept[1]["reason"], kept[1]["weight"]) == ("Halted", "PlanLost", 5)
        assert (story.status["phase"], story.weights) == ("RolledBack", {"v1": 100})
        assert story.breaches == []

    @pytest.mark.parametrize(("when", "edit", "word"), most_telling(*CONTRADICTIONS[-2:], of=CONTRADICTIONS))
    def test_a_status_that_contradicts_itself_halts_and_moves_nothing_toward_green(self, when, edit, word):
        story = told((when, edit_status(**edit)))

        assert (story.status["phase"], story.status["reason"]) == (Phase.HALTED, "Halted")
        assert word in story.status["message"]
        blue = story.kube.get(DEPLOYMENT, "shop", "shop")["spec"]["template"]["spec"]["containers"][0]
        assert blue["image"] == "registry.example/shop:1.0"
        assert story.status["maxWeight"] <= (100 if when == BAKING else 5)

    @pytest.mark.parametrize("phase", most_telling("RolledBack", of=["RolledBack", "Refused"]))
    def test_an_end_that_somebody_wrote_is_made_true_and_said(self, phase):
        """The API server keeps it, and nobody would look at green's share any more."""
        story = told((MEASURING, edit_status(phase=phase, weight=0, finishedAt=START + MEASURING)), limit="4m")

        assert (story.status["phase"], story.status["reason"], story.weights) == (phase, "EndUntrue", {"v1": 100})
        assert "VirtualService shop/shop sent 5 % to green, and sends everybody to blue now" in story.status["message"]
        assert "finalizers" not in story.kube.get(RELEASE, "shop", "shop-v2")["metadata"]
        assert story.sizes == {"shop": 3, "shop-green": 3}

    @pytest.mark.parametrize("phase", most_telling("Measuring", of=["Measuring", "Baking", "Shifting", "Holding", "Preparing"]))
    def test_a_release_on_its_way_back_is_not_turned_round_by_an_edit(self, phase):
        story = told((212.0, edit_status(phase=phase)), people=({"at": "200s", "verb": "rollback"},))

        assert (story.status["phase"], story.weights["v1"]) == (Phase.HALTED, 100)
        assert "beside a recorded rollback" in story.status["message"]

    @pytest.mark.parametrize("edit", most_telling(FIXED[0], of=FIXED), ids=str)
    @pytest.mark.parametrize("back", most_telling(False, of=[False, True]))
    def test_who_is_blue_and_what_was_borrowed_cannot_be_edited(self, edit, back):
        """A flipped blueSlot would send everybody to green, by the drift as by the rollback; an emptied list leaves a minimum raised."""
        refusals = []

        def deed(kube):
            with pytest.raises(RefusedError, match="status") as refused:
                edit_status(**edit)(kube)
            refusals.append(str(refused.value))

        story = told((212.0 if back else MEASURING, deed), people=({"at": "200s", "verb": "rollback"},) if back else ())

        assert len(refusals) == 1
        assert story.status["phase"] == ("RolledBack" if back else "Succeeded")
        assert story.weights.get("v1", 0) == (100 if back else 0)
        assert story.breaches == []

    def test_a_slot_that_does_not_exist_is_refused_by_the_server(self):
        story = told()

        with pytest.raises(Exception, match="blueSlot"):
            edit_status(blueSlot=7)(story.kube)


class TestTheFinalizer:
    TAKEN_OFF = staticmethod(patch(RELEASE, "shop-v2", {"metadata": {"finalizers": None}}))

    @pytest.mark.parametrize("when", STAGES)
    def test_it_is_put_back_in_mid_release_and_a_deletion_goes_back_first(self, when):
        """Without it the Release would be gone at once, and its users stay on green for ever."""
        story = told((when, self.TAKEN_OFF), (when + 30, delete(RELEASE, "shop-v2")))

        assert story.breaches == []
        assert story.weights["v1"] == 100
        assert "shop-green" not in story.sizes
        assert story.kube.list(RELEASE, "shop").items == []

    def test_a_release_that_waits_for_a_person_ends_when_it_is_deleted_and_leaves_green_standing(self):
        """Nobody could say that green gets no traffic, and nobody is left to be asked."""
        story = told(
            (1030.0, delete(RELEASE, "shop-v2")),
            people=({"at": "100s", "verb": "rollback"},),
            faults=[{"kind": "prometheus-down", "at": "90s", "lasts": "5h"}],
            limit="30m",
        )
        said = [event["message"] for event in story.kube.list(EVENT, "shop").items if event["reason"] == "GreenLeft"]

        assert story.kube.list(RELEASE, "shop").items == []
        assert (story.weights, story.sizes) == ({"v1": 100}, {"shop": 3, "shop-green": 3})
        assert len(said) == 1
        assert "Deployment shop/shop-green: Green is at weight 0, but nobody can say that it gets no traffic" in said[0]
        assert story.breaches == []

    def test_one_that_is_deleted_in_mid_release_does_not_wait_for_a_person_either(self):
        story = told((100.0, delete(RELEASE, "shop-v2")), faults=[{"kind": "prometheus-down", "at": "90s", "lasts": "5h"}], limit="30m")

        assert story.kube.list(RELEASE, "shop").items == []
        assert story.weights == {"v1": 100}
        assert story.breaches == []

    def test_an_application_that_is_deleted_with_its_release_goes_as_a_whole(self):
        """`helm uninstall` in mid-release: a route that is gone for good sends nobody to green."""
        parts = [(VIRTUAL_SERVICE, "shop"), (DEPLOYMENT, "shop"), (DEPLOYMENT, "shop-green"), (SERVICE, "shop"), (DESTINATION_RULE, "shop")]
        gone = [(MEASURING, delete(kind, name)) for kind, name in parts]
        story = told(*gone, (MEASURING + 1, delete(RELEASE, "shop-v2")), users=[], limit="10m")

        assert story.kube.list(RELEASE, "shop").items == []

    def test_while_users_are_on_green_a_deletion_waits_for_the_route(self):
        """Its mark says that it is another release's: nothing is written there, and the finalizer stays."""
        mark = patch(VIRTUAL_SERVICE, "shop", {"metadata": {"annotations": {"penstock.dev/owner": "somebody-else"}}})
        story = told((MEASURING, mark), (MEASURING + 20, delete(RELEASE, "shop-v2")), limit="40m")

        assert story.status["phase"] == "Halted"
        assert story.weights == {"v1": 95, "v2": 5}

    @pytest.mark.long
    def test_somebody_who_takes_it_off_again_and_again_stops_nothing(self):
        story = told(*((when, self.TAKEN_OFF) for when in range(20, 400, 7)))

        assert (story.status["phase"], story.breaches) == ("Succeeded", [])
