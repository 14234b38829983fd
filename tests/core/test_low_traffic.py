"""A quantile needs enough slow requests: what a service with little traffic sees, with the ten-line plan's own checks."""

import re
from functools import cache
from pathlib import Path

import pytest

from controller.api.plan_checks import BuiltIn, Check, Limit
from controller.api.release import Phase
from controller.simulator.definitions import load_objects
from controller.simulator.run import run_objects
from controller.simulator.scenario import Act, Share, Step, load
from tests.sizes import size

P99 = {"name": "latency-p99", "builtin": "latency", "limit": {"maxRatio": 1.2}}
FIRST = Path(__file__).parents[2] / "examples" / "first-release"


@cache
def quiet_release(rps: float):
    """The ten-line plan's healthy release with so many requests a second, run once for all tests that look at it."""
    return with_traffic(rps)


def with_traffic(rps: float, *, seed: int = 1, errors: tuple[float, float] = (0.001, 0.001), people: tuple[Act, ...] = (), **check):
    """The ten-line plan's healthy release with so many requests a second, drawn by the seed; `check` is its only one, where there is any.

    `errors` are the shares of blue's and of green's requests that fail; `people` do something meanwhile.
    """
    scenario = load(FIRST / "scenarios" / "healthy.yaml")[0]
    users = [user.model_copy(update={"rps": [Step(value=rps)]}) for user in scenario.users]
    like = scenario.versions[0]
    blue, green = (like.model_copy(update={"errors": [Share(value=share)]}) for share in errors)
    versions = [green.model_copy(update={"image": "*:2.0"}), blue]
    update = {
        "users": users,
        "versions": versions,
        "random": True,
        "people": list(people),
        "expect": scenario.expect.model_copy(update={"within": None}),
    }
    story = scenario.model_copy(update=update)
    objects = [*load_objects(FIRST / "world.yaml"), *load_objects(FIRST / "plan.yaml")]
    if check:
        objects[-1]["spec"]["checks"] = [check]
    return run_objects(story, objects, seed=seed)


@pytest.mark.parametrize(("quantile", "needed"), [(0.5, 20), (0.95, 200), (0.99, 1_000), (0.999, 10_000)])
def test_a_latency_check_needs_ten_requests_beyond_its_quantile(quantile, needed):
    assert Check(name="c", builtin=BuiltIn.LATENCY, quantile=quantile, limit=Limit(max=1)).needed_requests == needed


def test_its_own_least_number_counts_instead():
    assert Check(name="c", builtin=BuiltIn.LATENCY, min_requests=50, limit=Limit(max=1)).needed_requests == 50


@pytest.mark.long
def test_a_window_with_too_few_grows_until_it_has_them():
    """20 requests a second are 300 of green in the first window of five minutes: it holds, and goes on by itself."""
    result = with_traffic(20, **P99)

    held = [line for line in map(str, result.transcript) if "Holding" in line]
    assert result.status.phase is Phase.SUCCEEDED
    assert result.status.stages[0].window.n_green >= 1_000
    assert any("of 1,000 requests of green" in line for line in held)


@pytest.mark.long
def test_the_plans_own_checks_need_what_shows_their_effect():
    """5 requests a second: the first window grows until a version with 5 % of bad requests would have been seen."""
    result = quiet_release(5)

    assert result.status.phase is Phase.SUCCEEDED
    assert result.status.stages[0].window.n_green < 200


def test_with_hardly_any_traffic_a_person_is_asked_and_nothing_is_rolled_back():
    result = quiet_release(1)

    assert (result.status.phase, result.status.reason, result.status.rollback) == (Phase.HALTED, "TooFewRequests", None)


@pytest.mark.long
def test_whoever_resumes_it_goes_on_from_what_was_counted():
    """61 requests in the 20 minutes before it halted: from zero there would never be more before the next deadline."""
    result = with_traffic(1, people=(Act(at="26m", verb="resume", reason="traffic is low at night"),))

    told = [str(line) for line in result.transcript]
    halts = [int(re.search(r"([\d,]+) of ", line)[1]) for line in told if "Halted" in line]
    assert [line for line in told if line.startswith("00:26") and "the window goes on with what was counted" in line]
    assert halts[1] > halts[0] + 40


def test_the_numbers_of_a_hold_at_its_deadline_are_the_newest():
    """Not those with which it began, a quarter of an hour before."""
    result = quiet_release(1)

    lines = [str(line) for line in result.transcript if "Too few requests to judge by" in str(line)]
    began, ended = (int(re.search(r"([\d,]+) of ", line)[1].replace(",", "")) for line in (lines[0], lines[-1]))
    assert ended > 2 * began


@pytest.mark.long
def test_too_few_requests_to_see_the_split_are_called_so_and_a_person_is_asked():
    """One request in five seconds says nothing against green, nor against a proxy."""
    result = with_traffic(0.2)

    assert (result.status.phase, result.status.reason, result.status.rollback) == (Phase.HALTED, "TooFewRequestsForSplit", None)
    assert result.status.message.startswith("Too few requests to see the split: ")


@pytest.mark.long
def test_a_quantile_with_very_little_traffic_asks_a_person():
    result = with_traffic(5, **P99)

    assert (result.status.phase, result.status.reason, result.status.rollback) == (Phase.HALTED, "TooFewRequests", None)


@pytest.mark.long
def test_a_lower_quantile_lets_it_go_on_by_itself():
    assert with_traffic(5, **P99 | {"quantile": 0.95}).status.phase is Phase.SUCCEEDED


@pytest.mark.long
def test_a_lower_number_in_the_check_lets_it_go_on_by_itself():
    assert with_traffic(20, **P99, minRequests=100).status.stages[0].window.ran < 400


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, size(2, 5)))
def test_one_failed_request_of_fifteen_sends_no_version_back(seed):
    """At 5 % of 5 requests a second one failure in a minute is 6.7 points more than blue's 1 %, and two polls see it."""
    assert with_traffic(5, seed=seed, errors=(0.01, 0.01), **P99 | {"quantile": 0.95}).status.rollback is None


def test_a_green_that_fails_everything_goes_back_with_little_traffic_too():
    result = with_traffic(5, errors=(0.01, 1.0), **P99 | {"quantile": 0.95})

    assert (result.status.phase, result.status.rollback.check) == (Phase.ROLLED_BACK, "errors")
    assert result.status.rollback.max_weight == 5
