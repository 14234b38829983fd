"""The checker's own reading of routes: which side of a release a destination is."""

import pytest

from controller.api.plan import PlanSpec
from controller.simulator.invariants_model import ReleaseFacts

PLAN = PlanSpec.model_validate({"workload": "web", "traffic": {"virtualService": "web"}})


@pytest.mark.parametrize(
    ("host", "side"),
    [
        ("web", "blue"),
        ("web.shop.svc.cluster.local", "blue"),
        ("WEB.shop.svc.example.org", "blue"),
        ("web-green", "green"),
        ("web-green.shop.svc.cluster.local", "green"),
        ("web.shop", ""),
        ("web.shop.svc", ""),
        ("web.other.svc.cluster.local", ""),
        ("web.shop.example.org", ""),
    ],
)
def test_a_host_is_read_as_istio_reads_it(host, side):
    """A dotted name that is not the whole one gets 503 NC: a checker that took `web.shop` for blue would see a lost share as served."""
    facts = ReleaseFacts({"metadata": {"namespace": "shop"}, "status": {"blueSlot": 0, "mode": "host"}}, PLAN)

    assert facts.side("shop", {"host": host}) == side
