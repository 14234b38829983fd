"""`penstock plan` says what sequential checks find, and in which time."""

import json

import yaml

from tests.cli.cli_bed import a_terminal
from tests.scenarios.test_scenarios import HERE

PLAN = HERE / "sequential" / "plan.yaml"


def detects(*words):
    return json.loads(a_terminal(started=False).penstock("plan", PLAN, *words, "-o", "json").out)["detects"]


def test_every_stage_of_every_sequential_check_is_listed():
    assert [(one["check"], one["weight"]) for one in detects()] == [(c, w) for c in ("error-rate", "latency") for w in (5, 25, 50, 100)]


def test_with_the_requests_a_second_it_says_how_long_it_takes():
    at_5, at_25 = detects("--rps", "50")[:2]

    assert at_5["seconds"] == 5 * at_25["seconds"]
    assert 246 / 2.5 - 1 < at_5["seconds"] < 246 / 2.5 + 1
    assert not at_5["too_short"]


def test_a_stage_that_is_too_short_is_a_warning():
    told = a_terminal(started=False).penstock("plan", PLAN, "--rps", "3").out

    assert "5 % bad requests where blue has 0.5 %: 246 requests of green take 27m14s" in told
    assert "warning: the stage of 5 % is too short for error-rate to find 5 % bad requests" in told


def test_without_them_it_says_from_which_traffic_on_the_window_is_long_enough():
    assert "246 requests of green, from 4.1 requests a second on within its window" in a_terminal(started=False).penstock("plan", PLAN).out


def test_what_blue_never_did_is_named_by_its_edge_and_still_takes_requests_to_find(tmp_path):
    """Measured on a blue that never failed and was never slower than 5 ms, with no points on top of its share."""
    plan = yaml.safe_load((HERE / "sequential" / "ten.yaml").read_text())
    lines = {"error-rate": {"share": 0}, "latency": {"edge": 5, "share": 0}}
    checks = [{"builtin": name, "workload": "shop", "lines": [{**line, "bursts": 1, "widest": 1}]} for name, line in lines.items()]
    plan["spec"]["analysis"] = {"measured": {"until": 1_700_000_000, "hours": 24, "checks": checks}}
    plan["spec"]["checks"] = [{"name": name, "builtin": name, "tolerance": {"difference": 0}} for name in lines]
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))

    told = a_terminal(started=False).penstock("plan", str(tmp_path / "plan.yaml"), "--rps", "50").out

    assert "latency: 5 % requests slower than 5 ms where blue has 0.001 %: 5" in told


def test_a_plan_of_thresholds_says_nothing_of_it():
    plan = HERE.parent / "defects" / "thresholds.yaml"

    assert "sequential" not in a_terminal(started=False).penstock("plan", plan).out


def test_with_few_requests_the_stage_without_blue_needs_more_than_one_with_it():
    """What blue shows in five minutes at one request a second leaves much to be tolerated: a release there asked for some 1,000."""
    of_errors = [one for one in detects("--rps", "1") if one["check"] == "error-rate"]

    assert of_errors[-1]["too_short"]
    assert of_errors[-1]["requests"] > 3 * of_errors[-2]["requests"]
    assert detects("--rps", "1000")[3]["requests"] < 400
