"""Which buckets of a histogram are asked for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from promql_parser import parse

from controller.api.plan import PlanSpec
from controller.api.plan_checks import Check
from controller.core.asking import counted_by
from controller.core.buckets import bucket_labels
from controller.core.queries import Mesh, Naming, pair_of
from tests.core.test_sequential_checks import LATENCY

EDGES = (0.25, 50.0, 1_800_000.0)


def matches(edges, label):
    pattern = bucket_labels(edges).removeprefix(',le=~"').removesuffix('"')
    return re.fullmatch(pattern, label) is not None


@pytest.mark.parametrize("label", ["0.25", "0.250", "50", "50.0", "1800000", "1800000.0", "1.8e+06", "1.8e6", "+Inf", ""])
def test_an_edge_is_found_however_it_is_written(label):
    """By Envoy, by Go, by Prometheus 3; a native histogram has no such label."""
    assert matches(EDGES, label)


@pytest.mark.parametrize("label", ["5", "500", "25", "0.2", "0.255", "150", "180000", "1.8e+05", "1.8e+16", "-50", "NaN"])
def test_other_buckets_are_left_out(label):
    assert not matches(EDGES, label)


@given(st.floats(min_value=1e-9, max_value=1e15), st.floats(min_value=1e-9, max_value=1e15))
def test_every_way_to_write_a_number_is_that_number_and_no_other(edge, other):
    assert all(matches((edge,), text) for text in (repr(edge), f"{edge:.17g}", f"{edge:.32g}"))
    assert matches((edge,), repr(other)) == (other == edge)


def test_without_edges_all_buckets_are_asked_for():
    assert bucket_labels(()) == ""


def test_the_selector_is_promql():
    plan = PlanSpec.model_validate({"workload": "shop", "traffic": {"virtualService": "shop"}})
    pair = pair_of(plan, plan.all_members[0], Naming("shop", 0))

    assert parse(counted_by(Check.model_validate(LATENCY), Mesh(), pair, EDGES) + "[60s]")
