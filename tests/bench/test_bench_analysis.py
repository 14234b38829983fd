"""What the benchmark of the statistics promises, and when its numbers count as another engine's."""

import pytest

from bench.analysis import code_of, engine, holds_alpha, otherwise
from bench.analysis_latency import HEALTHY, chunk
from bench.analysis_worlds import worlds

WORLDS = {world.name: world for world in worlds()}
RELEASE = {"cell": "0.5 % @50", "kind": "false", "seed": 1, "seconds": None, "same": True, "gap": 1e-13}


def test_comments_and_docstrings_are_no_other_engine_and_a_number_is():
    plain = 'def f(x):\n    """One."""\n    return x + 1\n'

    assert code_of(plain) == code_of('def f(x):\n    """Another."""\n    # why\n    return x + 1\n')
    assert code_of(plain) != code_of(plain.replace("+ 1", "+ 2"))


@pytest.mark.long
def test_a_cell_has_the_same_fingerprint_again_and_another_cell_another_one():
    here, there = WORLDS["0.5 % @50"], WORLDS["1 % @50"]
    found = engine(here)
    engine.cache_clear()

    assert engine(here) == found
    assert engine(there) != found


@pytest.mark.parametrize(
    ("cell", "judge", "holds"),
    [
        ("0.5 % @50", "this method, guard off", True),
        ("0.5 % @50", "Argo, failureLimit 3", False),
        ("1->5 % @50", "this method, guard off", False),
        ("bursts of 10, drift apart 0.2 @500", "this method, guard measured", True),
        ("bursts of 10, drift apart 0.1 @500", "this method, guard defaults", True),
        ("bursts of 10, drift apart 0.2 @500", "this method, guard defaults", True),
        ("bursts of 3, drift none @50", "this method, guard off", False),
        ("1->5 % @50, bursts of 3", "this method, guard measured", False),
    ],
)
def test_alpha_is_promised_where_the_method_promises_it(cell, judge, holds):
    assert holds_alpha(WORLDS[cell], judge) is holds


@pytest.mark.parametrize("wrong", [{"gap": 1e-6}, {"same": False}])
def test_a_simulated_release_that_differs_from_the_twin_is_named(wrong):
    assert not otherwise([RELEASE])
    assert "seed 1" in otherwise([RELEASE | wrong])[0]


def test_healthy_simulated_releases_that_go_back_too_often_refute_the_bound():
    assert otherwise([RELEASE | {"seconds": 60.0}] * 3 + [RELEASE] * 3) == [
        "3 of 6 healthy simulated releases were rolled back, alpha is 0.01"
    ]


@pytest.mark.parametrize("cell", [pytest.param(HEALTHY[7], marks=pytest.mark.long), HEALTHY[15]], ids=lambda cell: cell.name)
def test_what_a_release_sees_of_its_latency_keeps_healthy_ones_that_a_dispersion_of_2_sends_back(cell):
    """Each chunk also asks the product what it sees, from counters."""
    _, (two, product) = chunk((cell, 0, 60))
    back = [sum(time is not None for time in times) for times in (two, product)]

    assert back[1] == 0 < back[0]
