"""So many of something: one is no plural."""

from dataclasses import replace

import pytest

from controller.api.release import CapacityStatus, WindowStatus
from controller.core.preparing import unready
from controller.core.readings import Context, lacking
from controller.core.words import many
from tests.core.releases import a_release


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 requests"), (1, "1 request"), (1.2, "1 request"), (2, "2 requests"), (1204, "1,204 requests")]
)
def test_one_is_no_plural(number, said):
    assert many(number, "request") == said


def test_a_rate_keeps_its_digits():
    assert [many(rate, "request", "g") for rate in (0.5, 1, 1.5)] == ["0.5 requests", "1 request", "1.5 requests"]


def test_a_green_of_one_pod_lacks_one_pod():
    alone = a_release().at_stage(1)
    alone = replace(alone, status=alone.status.model_copy(update={"capacity": [CapacityStatus(member="shop", replicas=1)]}))
    alone = replace(alone, blue=replace(alone.blue, replicas=1), green=replace(alone.green, available=0))

    assert unready(alone.world()) == "shop/shop-green has 0 of 1 pod available"


def test_a_stage_that_needs_one_request_lacks_one_request():
    window = WindowStatus(opened_at=0, last_sample=300, ran=300, n_green=0)

    assert lacking(window, Context(now=300, min_requests=1)) == ("TooFewRequests", "0 of 1 request of green")
