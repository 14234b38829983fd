"""Two plans that write the same route: the second one is refused and names the first one's release."""

from controller.ports import RELEASE, RELEASE_PLAN
from controller.simulator.apiserver.client import InMemoryKube
from tests.scenarios.test_meddling import told


def test_a_release_of_another_plan_on_the_same_route_is_told_whose_it_is_and_not_how_to_move_its_users():
    """The weights in between are the running release's: to give one version everything would end that one."""

    def prepared(sim):
        bob = InMemoryKube(sim.server, user="bob", field_manager="kubectl-create")
        plan = {"apiVersion": RELEASE_PLAN.api_version, "kind": "ReleasePlan", "metadata": {"name": "other"}}
        bob.create(RELEASE_PLAN, "shop", plan | {"spec": bob.get(RELEASE_PLAN, "shop", "shop")["spec"]})

    def start(kube):
        release = {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": {"name": "other-v9"}}
        kube.create(
            RELEASE, "shop", release | {"spec": {"plan": "other", "revision": "v9", "images": {"shop": "registry.example/shop:9.0"}}}
        )

    story = told((120.0, start), prepared=prepared, limit="5m")

    status = story.kube.get(RELEASE, "shop", "other-v9")["status"]
    assert (status["phase"], status["reason"]) == ("Refused", "RouteOwned")
    assert "release shop/shop-v2 moves the traffic of VirtualService shop/shop" in status["message"]
    assert "kubectl" not in status["message"]
    assert (story.status["phase"], story.breaches) == ("Baking", [])
