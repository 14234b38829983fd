"""What a release can see of how its baseline's pods drift apart, before the candidate gets its first request."""

import math
from dataclasses import replace

import numpy as np
import pytest

from analysis import sequential
from analysis.apart import SECONDS, STEP, widest
from analysis.bursts import beyond, raised
from analysis.counters import Scrapes
from analysis.model import Arm, Counted, Sample, Series
from analysis.rate import Dispersion
from analysis.sequential import Kind, Setting

START = 10_000.0
TENS = Scrapes(10, 10, 30)
ASSUMED = Dispersion(2, 2)
MEMORY_STEPS = 10.0


def past(*, drift=0.0, pods=4, steps=90, bad=20.0, seed=1, good=False):
    """Counters of some pods, minute by minute up to START; with `drift` each one's rate wanders by that much (memory ten minutes)."""
    rng = np.random.default_rng(seed)
    keep = math.exp(-1 / MEMORY_STEPS)
    total, other = [], []
    for pod in range(pods):
        log, n, x = 0.0, [1000.0], [10.0]
        for _ in range(steps):
            log = keep * log + drift * math.sqrt(1 - keep * keep) * rng.standard_normal()
            requests = rng.poisson(4000)
            failed = min(rng.poisson(bad * math.exp(log)), requests)
            n.append(n[-1] + requests)
            x.append(x[-1] + (requests - failed if good else failed))
        times = [START - STEP * (steps - index) for index in range(steps + 1)]
        for name, values, into in (("n", n, total), ("x", x, other)):
            into.append(Series((("pod", f"b-{pod}"), ("what", name)), tuple(map(Sample, times, values))))
    return Counted(tuple(total), tuple(other))


class TestWidest:
    def test_pods_that_fail_alike_have_a_dispersion_of_about_one(self):
        found = [widest(past(seed=seed), START, STEP) for seed in range(30)]

        assert np.mean(found) == pytest.approx(1.2, abs=0.25)  # the largest of two block lengths

    def test_pods_that_wander_by_a_fifth_are_seen(self):
        found = [widest(past(drift=0.4, bad=100.0, seed=seed), START, STEP) for seed in range(30)]

        assert min(found) > 5

    def test_one_pod_says_nothing(self):
        assert widest(past(pods=1, drift=0.4), START, STEP) is None

    def test_ten_minutes_say_nothing(self):
        assert widest(past(steps=10, drift=0.4), START, STEP) is None

    def test_pods_that_never_fail_say_nothing(self):
        assert widest(past(bad=0.0), START, STEP) is None

    def test_samples_since_the_first_request_are_passed_over(self):
        every = past(drift=0.4, bad=100.0)
        later = [replace(one, samples=(*one.samples, Sample(START + 60, 10.0**9))) for one in every.bad]

        assert widest(replace(every, bad=tuple(later)), START, STEP) == widest(every, START, STEP)

    def test_what_lies_further_back_is_passed_over(self):
        long = past(drift=0.4, bad=100.0, steps=400)
        cut = Counted(
            *(
                [replace(s, samples=tuple(x for x in s.samples if x.time >= START - SECONDS - STEP)) for s in e]
                for e in (long.total, long.bad)
            )
        )

        assert widest(long, START, STEP) == widest(Counted(tuple(cut.total), tuple(cut.bad)), START, STEP)

    def test_counters_of_good_requests_say_the_same(self):
        assert widest(past(drift=0.4, good=True), START, STEP, good=True) == widest(past(drift=0.4), START, STEP)


class TestRaised:
    """How it comes into a check: the widest dispersion, which matters where both arms have traffic; bursts stay what one scrape shows."""

    def test_only_the_widest_dispersion_is_raised(self):
        found = raised(ASSUMED, Counted(), START, TENS, past=past(drift=0.4, bad=100.0))

        assert found.bursts == ASSUMED.bursts
        assert found.widest > 5

    def test_steady_pods_keep_what_is_assumed(self):
        assert raised(ASSUMED, Counted(), START, TENS, past=past()) is None

    def test_a_check_begins_with_it(self):
        every = past(drift=0.4, bad=100.0)
        arms = {Arm.BASELINE: every, Arm.CANDIDATE: Counted()}
        begun = [sequential.begin(Setting(Kind.ERRORS, assumed=assumed), arms, START, TENS, every).state for assumed in (True, False)]

        assert begun[0].raised[0].widest > 5
        assert begun[1].raised == ()


class TestLatency:
    """Latency's dispersion at each edge, from how slow the pods were minute by minute."""

    EDGES = (100.0, 250.0)

    def buckets(self, *, drift=0.0, burst=1, pods=4, steps=90, seed=1):
        """Pods of 4,000 requests a minute, a tenth slower than the first edge, 1 % than the second; slow ones come `burst` together."""
        rng, keep = np.random.default_rng(seed), math.exp(-1 / MEMORY_STEPS)
        series = []
        for pod in range(pods):
            log, counts = 0.0, np.zeros((3, steps + 1))
            for step in range(steps):
                log = keep * log + drift * math.sqrt(1 - keep * keep) * rng.standard_normal()
                slow = burst * rng.binomial(4000 // burst, 0.1 * math.exp(log))
                slower = burst * rng.binomial(slow // burst, 0.1)
                counts[:, step + 1] = counts[:, step] + [4000 - slow, 4000 - slower, 4000]
            times = [START - STEP * (steps - index) for index in range(steps + 1)]
            for le, row in zip(("100", "250", "+Inf"), counts, strict=True):
                series.append(Series((("le", le), ("pod", f"b-{pod}")), tuple(map(Sample, times, map(float, 1000 + row)))))
        return Counted(buckets=tuple(series))

    def found(self, **how):
        return beyond(ASSUMED, self.buckets(**how), self.EDGES, START, TENS)

    def test_pods_that_are_slow_alike_keep_what_is_assumed(self):
        assert [self.found(seed=seed) for seed in range(10)] == [()] * 10

    def test_pods_that_wander_are_seen_where_it_shows_between_the_versions(self):
        wide, narrow = self.found(drift=0.2)

        assert wide.widest > 5
        assert wide.widest > narrow.widest > 2

    def test_slow_requests_that_come_together_are_seen_in_every_scrape(self):
        for spread in self.found(burst=8):
            assert 5 < spread.bursts < 12

    def test_so_they_are_with_a_single_pod(self):
        assert all(spread.bursts > 5 for spread in self.found(burst=8, pods=1))

    def test_ten_minutes_say_nothing(self):
        assert self.found(burst=8, pods=1, steps=10) == ()

    def test_a_check_begins_with_them_and_its_state_keeps_them(self):
        setting = Setting(Kind.LATENCY, assumed=True)
        arms = {Arm.BASELINE: self.buckets(), Arm.CANDIDATE: Counted()}
        begun = sequential.begin(setting, arms, START, TENS, self.buckets(drift=0.2)).state

        assert [spread.widest > 2 for spread in begun.raised] == [True, True]
        assert sequential.State.from_json(begun.to_json(), setting) == begun
        assert begun.setting(setting).dispersion_of(250.0) == begun.raised[1]

    def test_a_measured_or_written_dispersion_is_nobody_s_to_raise(self):
        arms = {Arm.BASELINE: self.buckets(), Arm.CANDIDATE: Counted()}

        assert sequential.begin(Setting(Kind.LATENCY), arms, START, TENS, self.buckets(drift=0.2)).state.raised == ()
