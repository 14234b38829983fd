"""Raw samples to ticks: every way in which scrapes go wrong has its picture here."""

import json
import math
import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import reasons
from analysis.counters import Counter, Cursor, Scrapes, Witness, difference, ticks
from analysis.model import Arm, Sample, Series
from tests.sizes import size
from tests.speed import cost_ms

BLUE, GREEN = Arm.BASELINE, Arm.CANDIDATE
TENS = Scrapes(interval=10, every=10, patience=30)


def series(values, pod="p", **labels):
    """`values`: {time: value}."""
    labels = {"pod": pod, **labels}
    return Series(tuple(sorted(labels.items())), tuple(Sample(time, value) for time, value in values.items()))


def steady(pod, step, until=60, start=0.0):
    return series({time: start + step * time / 10 for time in range(0, until + 1, 10)}, pod=pod)


def look(green, blue, *, bad_green=(), bad_blue=(), since=0.0, scrapes=TENS, **more):
    counters = [
        Counter(GREEN, "n", tuple(green)),
        Counter(GREEN, "bad", tuple(bad_green)),
        Counter(BLUE, "n", tuple(blue)),
        Counter(BLUE, "bad", tuple(bad_blue)),
    ]
    return difference(counters, Cursor(since), scrapes, **more)


def cut(one, until):
    return Series(one.labels, tuple(sample for sample in one.samples if sample.time <= until))


def numbers(found):
    return [(t.start, t.end, t.candidate_n, t.candidate_bad, t.baseline_n, t.baseline_bad) for t in ticks(found)]


class TestOneSeries:
    def test_a_counter_that_grows_gives_its_differences(self):
        found = look([steady("g", 5, 20)], [steady("b", 50, 20)])

        assert numbers(found) == [(0, 10, 5, 0, 50, 0), (10, 20, 5, 0, 50, 0)]
        assert found.cursor == Cursor(20)

    def test_a_reset_counts_what_came_after_it(self):
        found = look([series({0: 100, 10: 150, 20: 20}, "g")], [steady("b", 1, 20)])

        assert [t[2] for t in numbers(found)] == [50, 20]

    def test_a_series_that_appears_in_a_scraped_target_started_at_0(self):
        """The first errors of a release come exactly so."""
        ok, failed = series({0: 100, 10: 150}, "g", code="200"), series({10: 7}, "g", code="503")

        found = look([ok, failed], [steady("b", 1, 10)], bad_green=[failed])

        assert numbers(found)[0][2:4] == (57, 7)

    def test_a_series_that_appears_in_a_target_known_by_another_counter_only_started_at_0_too(self):
        first = series({10: 7}, "g")

        found = look([first], [steady("b", 1, 10)], witness=Witness(scraped=(series({0: 1, 10: 1}, "g"),)))

        assert numbers(found)[0][2] == 7

    def test_the_first_sample_of_a_new_target_is_only_a_base(self):
        found = look([steady("g", 5, 20), series({10: 30, 20: 90}, "new")], [steady("b", 1, 20)])

        assert [t[2] for t in numbers(found)] == [5, 65]

    def test_what_was_counted_already_has_nothing_to_say_any_more(self):
        """A gap, a reset and a pod that went away before the cursor neither add to the next tick nor lengthen it."""
        green = [series({0: 10, 10: 90, 40: 5, 50: 10, 60: 12}, "g"), series({0: 1, 10: 2}, "gone")]

        found = look(green, [steady("b", 50)], since=50.0)

        assert numbers(found) == [(50, 60, 2, 0, 50, 0)]
        assert not any(part.set_aside for part in found.slices)

    def test_a_pod_that_started_after_the_scrape_before_counts_from_0(self):
        found = look([steady("g", 5, 20), series({10: 30, 20: 90}, "new")], [steady("b", 1, 20)], witness=Witness(started={"new": 4.0}))

        assert [t[2] for t in numbers(found)] == [35, 65]

    def test_a_pod_that_started_before_that_scrape_does_not(self):
        found = look([steady("g", 5, 20), series({10: 30, 20: 90}, "new")], [steady("b", 1, 20)], witness=Witness(started={"new": -1.0}))

        assert [t[2] for t in numbers(found)] == [5, 65]

    def test_values_that_are_no_counts_are_no_samples(self):
        broken = series({0: 0, 3: math.nan, 5: math.inf, 7: -4, 10: 5, math.inf: 7, math.nan: 9}, "g")

        assert numbers(look([broken], [steady("b", 1, 10)])) == [(0, 10, 5, 0, 1, 0)]

    def test_time_that_goes_backwards_is_put_in_order(self):
        turned = Series((("pod", "g"),), (Sample(20, 9), Sample(0, 0), Sample(10, 4)))

        assert [t[2] for t in numbers(look([turned], [steady("b", 1, 20)]))] == [4, 5]

    def test_a_doubled_sample_counts_once(self):
        doubled = Series((("pod", "g"),), (Sample(0, 0), Sample(10, 4), Sample(10, 4), Sample(20, 9)))

        assert [t[2] for t in numbers(look([doubled], [steady("b", 1, 20)]))] == [4, 5]

    def test_the_same_series_given_twice_counts_once(self):
        assert numbers(look([steady("g", 5, 10)] * 2, [steady("b", 1, 10)])) == [(0, 10, 5, 0, 1, 0)]

    def test_copies_of_two_prometheus_replicas_count_once(self):
        """Their clocks differ: mixed, they would look like a reset at every scrape."""
        one = series({0: 0, 10: 10, 20: 20}, "g", prometheus_replica="a")
        other = series({1: 0.9, 11: 10.8, 21: 20.9}, "g", prometheus_replica="b")

        assert [t[2] for t in numbers(look([other, one], [steady("b", 1, 20)]))] == [10, 10]

    @pytest.mark.parametrize(
        "seen",
        [range(21), [*range(3), *range(12, 21)], range(9, 21), range(9)],
        ids=["all of it", "not in between", "from the middle on", "no more"],
    )
    def test_of_two_replicas_the_one_that_saw_more_is_read(self, seen):
        """An outage of one server loses nothing while the other one scrapes."""
        one = series({10 * k: 5 * k for k in seen}, "g", prometheus_replica="a")
        other = series({10 * k + 3: 5 * k for k in range(21)}, "g", prometheus_replica="b")

        found = look([one, other], [steady("b", 1, 210)])

        assert sum(t[2] for t in numbers(found)) in (95, 100)
        assert not any(part.set_aside for part in found.slices)

    @pytest.mark.parametrize("skew", [0, 8], ids=["clocks agree", "the other server's clock is late"])
    @pytest.mark.parametrize("before", [100, 0], ids=["an old series", "a series that the burst made"])
    def test_a_burst_before_a_server_goes_down_counts_once(self, skew, before):
        """The other server saw it in a scrape that ends later, and the first one was counted already."""

        def scraped(name, times, late=0):
            """Failures begin between 17 and 18 s, 1,900 of them; requests go on."""
            bad = {t + late: 2000 if t > 17 else before for t in times if t > 17 or before}
            return series({t + late: 3000 + 5 * t for t in times}, "g", prometheus_replica=name, code="200"), series(
                bad, "g", prometheus_replica=name, code="503"
            )

        one, other = scraped("a", range(0, 21, 10)), scraped("b", range(3, 200, 10), skew)

        def seen(now, since):
            held = [[cut(part[kind], now) for part in (one, other)] for kind in (0, 1)]
            return look(held[0] + held[1], [cut(steady("b", 1, 200), now)], bad_green=held[1], since=since)

        first, then = seen(22, 0), seen(200, 20)

        assert (first.cursor.until, then.cursor.until > 100) == (20, True)
        assert (sum(t[3] for t in numbers(first)), sum(t[3] for t in numbers(then))) == (2000 - before, 0)

    @pytest.mark.parametrize("behind", [0, 30], ids=["as far as the first", "some seconds behind it"])
    def test_a_server_that_is_first_heard_of_after_the_other_went_down_adds_no_whole_counter(self, behind):
        one = series({t: 3000 + 5 * t for t in range(0, 21, 10)}, "g", prometheus_replica="a")
        other = series({t: 3000 + 5 * (t - behind) for t in range(23, 200, 10)}, "g", prometheus_replica="b")

        found = look([one, other], [steady("b", 1, 200)], since=20)

        assert 5 * 150 <= sum(t[2] for t in numbers(found)) <= 5 * 180

    def test_all_series_of_a_target_are_read_from_one_replica(self):
        """Errors that begin when both servers see them are those of the requests beside them."""
        good = [series({10 * k + late: 5 * k for k in seen}, "g", prometheus_replica=name) for name, late, seen in (
            ("a", 0, [*range(3), *range(12, 21)]), ("b", 3, range(21)),
        )]  # fmt: skip
        bad = [
            series({10 * k + late: k - 14 for k in range(15, 21)}, "g", code="503", prometheus_replica=name)
            for name, late in (("a", 0), ("b", 3))
        ]

        found = look(good + bad, [steady("b", 1, 210)], bad_green=bad)

        assert [t[3] for t in numbers(found)][-6:] == [0, 1, 1, 1, 1, 1]

    def test_failures_of_a_new_pod_do_not_count_while_its_requests_have_no_number(self):
        """Else a healthy version would show failures without the requests beside them."""
        ok = series({t: math.inf if t < 30 else 100 * t for t in range(0, 61, 10)}, "g", code="200")
        failed = series({t: t for t in range(0, 61, 10)}, "g", code="503")

        found = look([ok, failed], [steady("b", 1, 60)], bad_green=[failed], scrapes=replace(TENS, patience=50))

        assert [(t[2], t[3]) for t in numbers(found) if t[2]] == [(1010, 10)] * 3
        assert sum(part.set_aside.get((GREEN, "bad"), 0) for part in found.slices) == 30

    def test_buckets_of_a_histogram_are_reset_together(self):
        """The small bucket does not fall in the reset; alone it would be taken for +2."""
        small, total = series({0: 3, 10: 5}, "g", le="1"), series({0: 90, 10: 40}, "g", le="+Inf")
        counters = [Counter(GREEN, "h", (small, total)), Counter(BLUE, "h", (steady("b", 1, 10),))]

        found = difference(counters, Cursor(0), TENS)

        assert found.slices[0].counts[GREEN, "h"] == 45

    def test_more_bad_events_than_requests_are_cut_to_the_requests(self):
        found = look([steady("g", 5, 10)], [steady("b", 1, 10)], bad_green=[steady("g", 8, 10)])

        assert numbers(found)[0][2:4] == (5, 5)


class TestTwoArms:
    def test_an_arm_without_a_sample_lengthens_the_tick_and_never_yields_zero_requests(self):
        green = series({0: 0, 30: 15, 40: 20}, "g")

        found = look([green], [steady("b", 50, 40)])

        assert numbers(found) == [(0, 30, 15, 0, 150, 0), (30, 40, 5, 0, 50, 0)]

    def test_an_arm_that_never_had_a_sample_is_waited_for(self):
        found = look([], [steady("b", 50)])

        assert (found.slices, found.cursor, found.waiting_for) == ((), Cursor(0), (GREEN,))

    def test_without_a_baseline_the_candidate_alone_makes_ticks(self):
        assert numbers(look([steady("g", 5, 10)], [], needs=[GREEN])) == [(0, 10, 5, 0, 0, 0)]

    def test_an_arm_that_is_scraped_and_has_no_requests_is_fresh(self):
        found = look([series({0: 7, 10: 7, 20: 7}, "g")], [steady("b", 50, 20)])

        assert [t[2] for t in numbers(found)] == [0, 0]

    def test_arms_scraped_at_other_moments_cover_the_same_time_to_one_scrape(self):
        late = series({4: 0, 14: 10, 24: 20, 34: 30}, "g")

        assert [t[:3] for t in numbers(look([late], [steady("b", 1, 30)]))] == [(0, 10, 0), (10, 20, 10), (20, 30, 10)]

    def test_a_candidate_whose_clock_runs_ahead_by_a_known_time_is_set_back(self):
        ahead = series({7: 0, 17: 5, 27: 10}, "g")

        found = look([ahead], [steady("b", 1, 20)], scrapes=Scrapes(10, 10, 30, candidate_ahead=7))

        assert numbers(found) == [(0, 10, 5, 0, 1, 0), (10, 20, 5, 0, 1, 0)]

    def test_an_arm_whose_clock_lags_only_delays_the_ticks(self):
        lagging = steady("g", 5, 30)

        found = look([lagging], [steady("b", 1, 60)])

        assert found.cursor == Cursor(30)

    def test_a_series_of_both_arms_is_a_fault_and_never_a_tick(self):
        """A selector that matched too much: the arms could never differ, and everything would pass."""
        found = look([steady("same", 5)], [steady("same", 5), steady("b", 5)])

        assert (found.fault, found.slices, found.cursor) == (reasons.SAME_SERIES, (), Cursor(0))


class TestTargets:
    def test_a_live_target_that_missed_scrapes_lengthens_the_tick(self):
        missed = series({0: 0, 10: 5, 40: 20, 50: 25}, "g2")

        found = look([steady("g1", 1, 50), missed], [steady("b", 50, 50)])

        assert numbers(found) == [(0, 10, 6, 0, 50, 0), (10, 20, 1, 0, 50, 0), (20, 40, 17, 0, 100, 0), (40, 50, 6, 0, 50, 0)]

    def test_nothing_is_given_out_while_a_live_target_may_still_add_to_it(self):
        found = look([steady("g1", 1, 40), steady("g2", 1, 20)], [steady("b", 50, 40)])

        assert found.cursor == Cursor(20)

    def test_a_silent_target_is_not_waited_for_longer_than_patience(self):
        found = look([steady("g1", 1, 60), steady("gone", 1, 20)], [steady("b", 50, 60)])

        assert found.cursor == Cursor(60)

    def test_what_a_target_counted_in_a_long_silence_is_set_aside(self):
        """It covers other seconds than the baseline's; one incident in both arms would look like the candidate's."""
        back = series({0: 0, 10: 1, 70: 500, 80: 501}, "back")

        found = look([steady("g", 1, 80), back], [steady("b", 50, 80)])

        assert [part.set_aside for part in found.slices if part.set_aside] == [{(GREEN, "n"): 499}]
        assert sum(t[2] for t in numbers(found)) == 8 + 2

    def test_an_outage_of_everything_is_one_long_tick(self):
        both = {0: 0, 10: 1, 600: 60, 610: 61}

        found = look([series(both, "g")], [series(both, "b")])

        assert numbers(found) == [(0, 10, 1, 0, 1, 0), (10, 600, 59, 0, 59, 0), (600, 610, 1, 0, 1, 0)]
        assert not any(part.set_aside for part in found.slices)


@st.composite
def arms(draw, silences=(1,)):
    """Pods of both arms with phases, steps, resets and silences of so many scrapes."""
    rng = random.Random(draw(st.integers(0, 10_000)))
    found = {GREEN: [], BLUE: []}
    for arm, pods in found.items():
        for pod in range(draw(st.integers(1, 3))):
            value, samples, quiet_until = 0, {}, 0
            phase = rng.randrange(10)
            for scrape in range(40):
                value = 0 if rng.random() < 0.05 else value + rng.randrange(20)
                if scrape > quiet_until and rng.random() < 0.1:
                    quiet_until = scrape + rng.choice(silences)
                if not 0 < scrape < quiet_until:
                    samples[phase + 10 * scrape] = value
            pods.append(series(samples, f"{arm}{pod}"))
    return found


def visible(every, until):
    return [Series(one.labels, tuple(s for s in one.samples if s.time <= until)) for one in every]


class TestResuming:
    @given(arms(silences=(2, 3, 4, 5, 9)), st.lists(st.integers(0, 400), max_size=10))
    @settings(max_examples=size(37, 150))
    def test_looking_often_or_once_and_restarting_between_gives_the_same_ticks(self, found, moments):
        """The cursor is all that is stored; each look sees only the samples of its look-back."""
        once = look(found[GREEN], found[BLUE])

        cursor, slices = Cursor(0.0), []
        for now in [*sorted(moments), 500]:
            recent = {
                arm: [
                    Series(one.labels, tuple(s for s in one.samples if s.time >= cursor.until - TENS.look_back))
                    for one in visible(every, now)
                ]
                for arm, every in found.items()
            }
            part = look(recent[GREEN], recent[BLUE], since=cursor.until)
            slices += part.slices
            cursor = Cursor.from_json(json.loads(json.dumps(part.cursor.to_json())))

        assert tuple(slices) == once.slices
        assert cursor == once.cursor

    @given(arms(silences=(2, 3, 9)), st.randoms())
    @settings(max_examples=size(12, 30))
    def test_the_order_of_series_and_samples_does_not_matter(self, found, rng):
        mixed = {arm: [Series(o.labels, tuple(rng.sample(o.samples, len(o.samples)))) for o in every] for arm, every in found.items()}
        for every in mixed.values():
            rng.shuffle(every)

        assert look(mixed[GREEN], mixed[BLUE]) == look(found[GREEN], found[BLUE])

    @given(arms(), st.sampled_from([0.5, 2, 4]))
    @settings(max_examples=size(12, 30))
    def test_slower_time_gives_the_same_counts(self, found, pace):
        slow = {a: [Series(o.labels, tuple(Sample(s.time * pace, s.value) for s in o.samples)) for o in e] for a, e in found.items()}

        scaled = look(slow[GREEN], slow[BLUE], scrapes=Scrapes(10 * pace, 10 * pace, 30 * pace))

        assert [t[2:] for t in numbers(scaled)] == [t[2:] for t in numbers(look(found[GREEN], found[BLUE]))]

    @given(arms(silences=(2, 3, 9)))
    @settings(max_examples=size(15, 60))
    def test_all_increments_up_to_the_cursor_are_counted_once(self, found):
        result = look(found[GREEN], found[BLUE])

        for arm, every in found.items():
            total = 0
            for one in every:
                inside = [s for s in one.samples if s.time <= result.cursor.until]
                for before, after in pairwise(inside):
                    total += after.value - before.value if after.value >= before.value else after.value
            assert sum(part.counts[arm, "n"] + part.set_aside.get((arm, "n"), 0) for part in result.slices) == total


class TestBadInput:
    @pytest.mark.parametrize("stored", [{}, {"v": 2, "until": 1}, {"v": 1, "until": "x"}, {"v": 1, "until": math.nan}])
    def test_a_foreign_cursor_is_refused(self, stored):
        with pytest.raises(ValueError, match="not a cursor"):
            Cursor.from_json(stored)

    def test_ticks_shorter_than_a_scrape_are_refused(self):
        with pytest.raises(ValueError, match="cannot be cut"):
            Scrapes(interval=15, every=10)

    def test_no_series_at_all_give_no_tick(self):
        assert look([], []).slices == ()

    def test_one_sample_in_each_arm_gives_no_increment(self):
        assert numbers(look([series({10: 5}, "g")], [series({10: 7}, "b")])) == [(0, 10, 0, 0, 0, 0)]

    def test_a_hundred_thousand_samples_are_differenced_in_seconds(self):
        """Of its size, not of its square."""
        found, costs = {}, {}
        for until in (10_000, 50_000):
            pods = [steady(f"g{pod}", 5, until=until) for pod in range(20)], [steady("b", 50, until=until)]
            costs[until] = cost_ms(lambda pods=pods, until=until: found.update({until: look(*pods)}))

        assert [len(one.slices) for one in found.values()] == [1000, 5000]
        assert costs[50_000] < 3 * 5 * costs[10_000]
