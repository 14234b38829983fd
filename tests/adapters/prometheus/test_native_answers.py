"""Native histograms of Prometheus 3, exponential and with custom boundaries, beside the classic buckets of the same requests.

Recorded answers of 3.16.0, and those of the real one where it is there.
"""

import json
import math

import native_answers
import pytest
from native_answers import LATENCY, VALUES, raw, summed

from analysis import latency
from analysis.model import Arm
from controller.adapters.native_histograms import GRID
from controller.adapters.prometheus_decode import decode


@pytest.fixture(scope="module", params=["recorded", pytest.param("real", marks=[pytest.mark.prometheus, pytest.mark.prometheus3])])
def bodies(request):
    if request.param == "recorded":
        yield native_answers.recorded()
        return
    with native_answers.asked() as bodies:
        yield bodies


def read(body, *, classic):
    """The answer with, or as if there were no, classic buckets."""
    found = json.loads(body)
    items = found["data"]["result"]
    found["data"]["result"] = [item for item in items if classic or "histograms" in item]
    assert len(found["data"]["result"]) >= 1
    return decode(200, {}, json.dumps(found).encode())


def below(answer):
    """The newest count of every edge, as numbers."""
    return {float(dict(series.labels)["le"]): series.samples[-1].value for series in answer.series}


def truly(edge):
    return sum(times for value, times in VALUES.items() if value <= edge)


@pytest.mark.parametrize("kind", native_answers.KINDS)
def test_beside_classic_buckets_no_request_is_counted_twice(bodies, kind):
    found = read(bodies[raw(kind)], classic=True)
    edges = [dict(series.labels)["le"] for series in found.series]

    assert (found.fault, found.warnings, len(edges)) == (None, (), 20)
    assert "100.0" in edges  # Prometheus 3 writes every edge as a float
    assert below(found) == {edge: truly(edge) for edge in below(found)}


def test_custom_boundaries_have_the_counts_of_the_classic_buckets_around_all_filled_ones(bodies):
    found = below(read(bodies[raw("custom")], classic=False))

    assert {5.0, 10.0, 25.0, 50.0, 100.0, 250.0, math.inf} <= set(found)
    assert found == {edge: truly(edge) for edge in found}


def test_exponential_buckets_have_true_counts_at_the_powers_of_two(bodies):
    found = below(read(bodies[raw("native")], classic=False))

    assert set(found) == {*GRID, math.inf}
    assert found == {edge: truly(edge) for edge in found}


@pytest.mark.parametrize("kind", native_answers.KINDS)
def test_the_look_back_at_blue_has_them_too(bodies, kind):
    found = decode(200, {}, bodies[summed(kind)].encode())

    assert (found.fault, found.warnings) == (None, ())
    assert below(found) == {edge: truly(edge) for edge in below(found)}
    assert max(len(series.samples) for series in found.series) >= 3


@pytest.mark.parametrize("kind", native_answers.KINDS)
def test_what_is_read_can_be_judged(bodies, kind):
    found = latency.read_buckets({Arm.BASELINE: read(bodies[raw(kind)], classic=False).series})

    assert (found.fault, bool(latency.usable_edges({edge: truly(edge) for edge in found.edges}, truly(math.inf)))) == ("", True)
    assert all(dict(series.labels)["__name__"] == f"{LATENCY}_bucket" for counter in found.counters for series in counter.series)
