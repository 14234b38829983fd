"""A release that comes up where another one has just failed is not sent back for what that one did (S10)."""

import pytest

from controller.ports import RELEASE, RELEASE_PLAN, Patch
from controller.simulator.apiserver.client import InMemoryKube
from tests.scenarios.test_meddling import told

COUNTED = {"name": "errors", "builtin": "error-rate", "limit": {"max": 3}, "range": "5m", "interval": "15s"}
FAILED = 'istio_requests_total{reporter="source",destination_workload="$workload"'
ASKED = {"query": f'100 * sum(rate({FAILED},response_code=~"5.."}}[$window])) / sum(rate({FAILED}}}[$window]))'}
OWN = {key: value for key, value in COUNTED.items() if key != "builtin"} | ASKED
RETRY = {"at": "3m", "verb": "start", "release": "again", "revision": "v3", "images": {"shop": "registry.example/shop:3.0"}}


def ours(sim):
    return InMemoryKube(sim.server, user="bob", field_manager="kubectl-edit")


def tried_twice(spec):
    """A bad version, and a good one soon after it, by a plan with these fields."""

    def prepared(sim):
        asked = {"stages": [{"weight": 25, "window": "2m"}, {"weight": 100, "window": "2m"}], **spec}
        ours(sim).patch(RELEASE_PLAN, "shop", "shop", {"spec": asked}, Patch.MERGE)

    story = told(prepared=prepared, people=(RETRY,), versions=[{"image": "*:2.0", "errors": 0.3}, {"errors": 0.001}], limit="20m")
    return story, *(story.kube.get(RELEASE, "shop", name)["status"] for name in ("shop-v2", "again"))


@pytest.mark.parametrize("trigger", [COUNTED, pytest.param(OWN, marks=pytest.mark.long)], ids=["counted", "asked"])
def test_a_good_version_that_follows_a_bad_one_at_once_is_judged_by_its_own_requests(trigger):
    """The trigger looks back five minutes, over the failures of the version that was rolled back two minutes ago in the same place."""

    story, first, second = tried_twice({"triggers": [trigger]})

    assert (first["phase"], first["rollback"]["check"]) == ("RolledBack", "errors")
    assert (second["phase"], second.get("rollback")) == ("Succeeded", None)
    assert story.breaches == []


def test_a_green_that_the_plan_keeps_is_in_nobodys_way():
    """People may look at it as long as they like; the next release needs no hand to take its place."""
    story, first, second = tried_twice({"rollback": {"keepGreen": True}})

    assert "green stays without traffic" in first["message"]
    assert (second["phase"], story.sizes["shop-green"], story.breaches) == ("Succeeded", 3, [])


def test_the_next_release_asks_nobody_while_the_old_version_only_drains():
    """No scrape is from after its drain yet, so that nobody can say; that it still got requests was said, with a command to stop it."""
    longer = {"spec": {"rollback": {"drain": "35s"}}}
    soon = {**RETRY, "at": "6m26s"}  # succeeded at 5:49, the drain has ended at 6:24, and the newest scrape is of 6:20

    story = told(prepared=lambda sim: ours(sim).patch(RELEASE_PLAN, "shop", "shop", longer, Patch.MERGE), people=(soon,), limit="8m")

    waits = [line.text for line in story.result.transcript if "again" in line.text and "Waits until the old version" in line.text]
    assert (story.status["phase"], len(waits)) == ("Succeeded", 1)
    assert waits[0].endswith("it drains.")
