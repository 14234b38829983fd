"""The engine over the baseline's own past: dispersion by pods, pretended releases, and what follows from them."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from analysis import preflight, splits
from analysis.counters import Cursor, Scrapes
from analysis.model import Counted, Sample, Series
from analysis.preflight import Asked, Step
from analysis.rate import Dispersion
from analysis.sequential import Kind, Known, Setting
from analysis.splits import Part

TICK = 30.0
STAGES = [Step(share, 300.0, frozenset({"errors"})) for share in (0.05, 0.25, 0.5, 1.0)]
QUARTER = math.fsum(stage.seconds for stage in STAGES)


def pod(number):
    return (("pod", f"web-{number}"),)


@cache
def past(hours, *, pods=6, burst=1, rate=0.01, seed=1, worse=None):
    """Counts of a version whose failures come in bursts on one pod each; `worse` is a pod that fails five times as often."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(int(hours * 3600 / TICK)):
        n = rng.poisson(200, pods)
        rates = np.full(pods, rate)
        if worse is not None:
            rates[worse] *= 5
        x = np.minimum(burst * rng.binomial(n, rates / burst), n)
        counts = {pod(number): (float(n[number]), float(x[number])) for number in range(pods)}
        found.append(Part(TICK * index, TICK * (index + 1), counts))
    return tuple(found)


def asked(parts, phi=None):
    known = Known(0.01, Dispersion(phi, phi) if phi else splits.measured(parts, 0))
    return Asked("errors", Setting(Kind.ERRORS, known=(known,)), 1.0, parts, given=phi is not None)


class TestMeasuring:
    def test_independent_requests_have_a_dispersion_of_one(self):
        found = splits.measured(past(12), 0)

        assert found.bursts == pytest.approx(1, abs=0.06)
        assert found.at(0.25) < 1.3

    def test_bursts_of_five_have_a_dispersion_of_five(self):
        assert splits.measured(past(12, burst=5), 0).bursts == pytest.approx(5, rel=0.1)

    def test_a_pod_that_is_always_worse_widens_the_dispersion_of_long_blocks(self):
        found = splits.measured(past(12, worse=2), 0)

        assert found.widest > 2 * found.bursts

    @pytest.mark.parametrize("parts", [(), past(1, pods=1), past(1, rate=0.0)])
    def test_without_two_pods_or_without_failures_there_is_no_number(self, parts):
        assert splits.measured(parts, 0) is None


class TestReplaying:
    def test_every_stretch_is_released_with_several_choices_of_pods(self):
        found = preflight.preflight([asked(past(1))], STAGES, 0.01)

        assert (found.stretches, found.releases) == (3, 24)

    @pytest.mark.long
    def test_independent_requests_leave_the_dispersion_as_it_was_measured(self):
        given = asked(past(4))
        found = preflight.preflight([given], STAGES, 0.01)

        assert (found.rollbacks, found.left, found.asked) == (0, 0, (given,))
        assert found.at_most == pytest.approx(1 - 0.05 ** (1 / 12))

    @pytest.mark.long
    def test_bursts_that_were_not_measured_raise_the_dispersion_until_the_past_is_quiet(self):
        found = preflight.preflight([asked(past(4, burst=12), phi=1.0)], STAGES, 0.01)

        assert found.rollbacks > 0.1 * found.releases
        assert found.causes == {"errors": found.rollbacks}
        assert found.left <= 0.02 * found.releases
        assert found.asked[0].setting.known[0].dispersion.bursts > 2

    @pytest.mark.long
    def test_bursts_that_were_measured_do_not(self):
        found = preflight.preflight([asked(past(4, burst=12))], STAGES, 0.01)

        assert found.rollbacks <= 0.02 * found.releases

    @pytest.mark.long
    def test_each_half_is_tried_with_what_the_other_half_says(self):
        """Of a day that was calm until noon, the noon's bursts are what tomorrow may bring; the whole day's average hides it."""
        calm, bursty = past(4), past(4, burst=12, seed=2)
        shift = calm[-1].end
        day = (*calm, *(Part(part.start + shift, part.end + shift, part.counts) for part in bursty))
        whole = splits.measured(day, 0)
        tried, chosen = (preflight.preflight([one], STAGES, 0.01) for one in (asked(day), asked(day, phi=whole.bursts)))

        assert tried.rollbacks > max(chosen.rollbacks, 0.02 * tried.releases)
        assert tried.asked[0].setting.known[0].dispersion.bursts > 1.2 * whole.bursts
        assert tried.left <= 0.02 * tried.releases

    @pytest.mark.long
    def test_a_dispersion_is_raised_only_so_far(self):
        """A pod that fails half of its requests is a sick pod, and no dispersion makes it a healthy candidate."""
        broken = past(1, worse=0, rate=0.18)
        found = preflight.preflight([asked(broken, phi=1.0)], STAGES, 0.01)

        assert found.left > 0.02 * found.releases
        assert found.asked[0].setting.known[0].dispersion.bursts < preflight.MOST_PHI * preflight.RAISE

    @pytest.mark.parametrize("parts", [(), past(0.3), past(1, pods=1)])
    def test_where_no_whole_release_fits_or_nothing_can_be_split_nothing_is_said(self, parts):
        found = preflight.preflight([asked(parts, phi=2.0)], STAGES, 0.01)

        assert (found.releases, found.rate, found.at_most) == (0, 0.0, 1.0)

    def test_a_check_that_a_stage_does_not_ask_adds_nothing_there(self):
        nowhere = [replace(step, judged=frozenset()) for step in STAGES]

        assert preflight.preflight([asked(past(1, burst=12), phi=1.0)], nowhere, 0.01).rollbacks == 0


class TestSplitting:
    def rows(self, name, labels, per_scrape, scrapes=40):
        every = (("__name__", name), *labels)
        return Series(tuple(sorted(every)), tuple(Sample(TICK * k, per_scrape * k) for k in range(scrapes)))

    def counted(self):
        total, bad, buckets = [], [], []
        for number in range(3):
            good = self.rows("requests", (*pod(number), ("response_code", "200")), 90)
            fails = self.rows("requests", (*pod(number), ("response_code", "503")), number)
            total += [good, fails]
            bad.append(fails)
            for edge, share in (("100", 60), ("500", 85), ("+Inf", 90)):
                buckets.append(self.rows("buckets", (*pod(number), ("le", edge)), share))
        return Counted(tuple(total), tuple(bad), tuple(buckets))

    def test_requests_and_failures_are_counted_pod_by_pod(self):
        parts, _ = splits.parted(self.counted(), (), Cursor(60.0), Scrapes())

        assert parts[0].counts == {pod(0): (90.0, 0.0), pod(1): (91.0, 1.0), pod(2): (92.0, 2.0)}

    def test_slow_requests_are_those_beyond_an_edge(self):
        parts, _ = splits.parted(self.counted(), (100.0, 500.0), Cursor(60.0), Scrapes())

        assert parts[3].counts[pod(2)] == (90.0, 30.0, 5.0)

    def test_reading_in_pieces_counts_every_sample_once(self):
        counted, scrapes = self.counted(), Scrapes()
        whole, _ = splits.parted(counted, (), Cursor(60.0), scrapes)
        pieces, cursor = [], Cursor(60.0)
        for until in (400.0, 780.0, 1200.0):
            cut = Counted(*(tuple(self.until(one, until) for one in every) for every in (counted.total, counted.bad, counted.buckets)))
            found, cursor = splits.parted(cut, (), cursor, scrapes)
            pieces += found

        assert tuple(pieces) == whole

    def until(self, series, time):
        return Series(series.labels, tuple(sample for sample in series.samples if sample.time <= time))

    def test_ways_to_halve_the_pods_differ(self):
        assert [len(splits.halvings([pod(n) for n in range(count)], 8)) for count in (1, 2, 3, 8)] == [0, 1, 3, 8]

    def test_pods_that_come_and_go_are_compared_while_both_halves_serve(self):
        early, late = past(0.1, pods=2), past(0.1, pods=3)
        half = frozenset({pod(2)})

        assert splits.halved(early, half, 0) == ()
        assert len(splits.halved(late, half, 0)) == len(late)
