"""`penstock plan` about objectives, counters of one's own, and gauges: what is asked, and how long each takes."""

import pytest

from tests.cli.cli_bed import a_terminal
from tests.scenarios.test_scenarios import HERE


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("objective", "tolerates 1 %, and whatever blue has where that is more"),
        ("objective", "objective: 5 % bad requests where blue has 0.5 %: 415 requests of green take 34s"),
        ("own", 'payments_total{namespace="shop",workload="shop-green"} and payments_paid_total{namespace="shop",workload="shop-green"}'),
        ("gauge", "heap: 50 % worse than blue: takes 1m59s of pairs"),
        ("gauge", "paired with blue at every scrape below 100 %, else at the end of the window of every stage"),
        ("home", "error-rate: 5 % bad requests"),
    ],
)
def test_the_plan_says_what_is_asked_and_what_can_be_found(name, words):
    assert words in a_terminal(started=False).penstock("plan", HERE / "sequential" / f"{name}.yaml", "--rps", "50").out
