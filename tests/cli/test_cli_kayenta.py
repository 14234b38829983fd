"""What people see of Kayenta's judge."""

from pathlib import Path

from controller.cli.main import run
from tests.cli.test_cli_sequential import after

PLAN = Path(__file__).parents[1] / "scenarios" / "kayenta" / "plan.yaml"


def test_why_names_the_metric_that_failed_with_both_means_and_the_queries_of_all():
    told = after("kayenta-errors").penstock("why", "shop-v2", "-n", "shop").out

    assert "Cause: canary: Error rate high (critical): a mean of 0.03" in told
    assert "times); score 0, passes from 95" in told
    assert told.count("[900s:30s]") == 4
    assert "Query: blue Mean latency: (sum(rate(istio_request_duration_milliseconds_sum{" in told


def test_plan_shows_every_metric_with_its_queries_for_both_colours(capsys):
    assert run(["plan", str(PLAN)]) == 0
    told = capsys.readouterr().out

    assert "canary/Error rate (Kayenta's judge): score at least 95, fails below 75; at the end of the window of 50 %, 100 %" in told
    assert told.count("[900s:30s]") == 4


def test_validate_says_what_asking_twice_costs(capsys):
    assert run(["validate", str(PLAN)]) == 0

    assert "Kayenta's judge at 2 stages: in up to 4 % of healthy releases some metric fails by chance" in "".join(capsys.readouterr())
