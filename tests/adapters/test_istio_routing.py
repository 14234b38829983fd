"""Our routes against the recordings of a real istiod and Envoy."""

import pytest
from istiod_cases import CASES, rendered_view, world_of_case


@pytest.mark.parametrize("name", CASES)
def test_every_recorded_view_of_a_proxy_is_ours_too(name):
    case = CASES[name]
    world = world_of_case(case)

    ours = [rendered_view(world, asked, list_clusters=case.get("list_clusters", False)) for asked in case["views"]]

    assert ours == case["result"]["views"]
