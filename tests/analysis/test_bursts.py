"""What a release can measure by itself: the bursts of its baseline before the first request of the candidate."""

import numpy as np
import pytest

from analysis.bursts import SECONDS, raised, successive
from analysis.counters import Scrapes
from analysis.model import Counted, Sample, Series, Tick
from analysis.rate import Dispersion

TENS = Scrapes(10, 10, 30)
ASSUMED = Dispersion(2, 2)
START = 10_000.0


def counts(burst=1.0, drift=0.0, looks=90, mean=5.0, seed=1):
    """Requests and bad ones, scrape by scrape."""
    rng = np.random.default_rng(seed)
    rates = mean * np.exp(drift * np.sin(np.arange(looks) / looks * 3))
    n = rng.poisson(500, looks)
    if burst == 1:
        return n, rng.poisson(rates)
    bursts = rng.poisson(rates / burst)
    return n, bursts + np.where(bursts > 0, rng.negative_binomial(np.maximum(bursts, 1), 1 / burst), 0)


def ticks(**how):
    n, bad = counts(**how)
    return [Tick(10.0 * i, 10.0 * i + 10, 0, 0, float(a), float(min(b, a))) for i, (a, b) in enumerate(zip(n, bad, strict=True))]


def scraped(n, bad, until=START, *, good=False):
    """The counters of these increments, the last one at `until`."""

    def series(name, increments):
        first = until - 10 * len(increments)
        values = np.concatenate([[0], np.cumsum(increments)]) + 1000
        return (Series((("pod", "b"), ("what", name)), tuple(Sample(first + 10 * i, float(v)) for i, v in enumerate(values))),)

    return Counted(total=series("n", n), bad=series("x", n - bad if good else bad))


class TestSuccessive:
    def test_independent_requests_have_a_dispersion_of_about_one(self):
        found = [successive(ticks(seed=seed)) for seed in range(40)]

        assert np.mean(found) == pytest.approx(1, abs=0.08)

    @pytest.mark.parametrize(("burst", "phi"), [(3, 5), (10, 19)])
    def test_geometric_bursts_have_twice_their_mean_less_one(self, burst, phi):
        found = [successive(ticks(burst=burst, mean=20.0, seed=seed)) for seed in range(60)]

        assert np.mean(found) == pytest.approx(phi, rel=0.15)

    def test_slow_drift_is_not_taken_for_bursts(self):
        found = [successive(ticks(drift=1.0, mean=20.0, seed=seed)) for seed in range(40)]

        assert np.mean(found) < 1.3

    @pytest.mark.parametrize("bad", [0, 11])
    def test_of_few_bad_events_nothing_is_said(self, bad):
        every = [Tick(10.0 * i, 10.0 * i + 10, 0, 0, 500, float(i < bad)) for i in range(90)]

        assert successive(every) is None

    def test_where_every_request_is_bad_nothing_is_said(self):
        assert successive([Tick(10.0 * i, 10.0 * i + 10, 0, 0, 5, 5) for i in range(90)]) is None


class TestRaised:
    def test_bursts_in_the_counters_raise_what_is_assumed(self):
        n, bad = counts(burst=10, mean=20.0)

        assert raised(ASSUMED, scraped(n, bad), START, TENS).bursts > 10

    def test_independent_requests_keep_what_is_assumed(self):
        assert raised(ASSUMED, scraped(*counts()), START, TENS) is None

    def test_a_young_blue_is_measured_from_its_first_scrape_on(self):
        n, bad = counts(burst=10, mean=20.0, looks=30)
        every = [Tick(10.0 * i, 10.0 * i + 10, 0, 0, float(a), float(b)) for i, (a, b) in enumerate(zip(n, bad, strict=True))]

        assert raised(ASSUMED, scraped(n, bad), START, TENS).bursts == pytest.approx(successive(every))

    def test_counters_of_good_events_say_the_same(self):
        n, bad = counts(burst=10, mean=20.0)

        assert raised(ASSUMED, scraped(n, bad, good=True), START, TENS, good=True) == raised(ASSUMED, scraped(n, bad), START, TENS)

    def test_what_came_after_the_first_weight_does_not_count(self):
        """Nothing that is judged may choose how it is judged."""
        n, bad = counts(looks=100)
        wild = np.where(np.arange(100) >= 90, 400 * (np.arange(100) % 2), bad)

        assert raised(ASSUMED, scraped(n, wild, until=START + 100), START, TENS) is None

    def test_what_is_older_than_a_quarter_of_an_hour_does_not_count(self):
        n, bad = counts(looks=200)
        wild = np.where(np.arange(200) < 200 - SECONDS / 10 - 5, 400 * (np.arange(200) % 2), bad)

        assert raised(ASSUMED, scraped(n, wild), START, TENS) is None

    def test_without_samples_what_is_assumed_stands(self):
        assert raised(ASSUMED, Counted(), START, TENS) is None
