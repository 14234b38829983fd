"""Latency tails at bucket edges."""

import json
import math

import pytest

from analysis import latency, reasons, sequential
from analysis.counters import Cursor, Scrapes, Slice, difference
from analysis.latency import EdgeTest, LatencyState, edge_tick, plan_latency, read_buckets, usable_edges
from analysis.model import Arm, Counted, Sample, Series, Tick
from analysis.rate import LEAST_PRIOR, Dispersion, Form, RateTest
from analysis.sequential import Kind, Known, Mark, Setting
from tests.speed import cost_ms

BLUE, GREEN = Arm.BASELINE, Arm.CANDIDATE
HISTORY = {0.1: 500.0, 0.25: 900.0, 0.5: 990.0, 1.0: 999.5}


def bucket(le, *values, pod="p", le_label="le"):
    return Series(tuple(sorted({"pod": pod, le_label: le}.items())), tuple(Sample(10.0 * i, v) for i, v in enumerate(values)))


def histogram(pod, **buckets):
    """`le05=(0, 4)` is the bucket 0.5."""
    return [bucket(name, *values, pod=pod) for name, values in buckets.items()]


class TestReading:
    def test_layouts_that_differ_are_intersected(self):
        """One pod of the candidate was built with another library."""
        old = [bucket("0.5", 0, 4), bucket("1", 0, 6), bucket("+Inf", 0, 9)]
        new = [bucket("0.50", 0, 4, pod="q"), bucket("2.5", 0, 6, pod="q"), bucket("+Inf", 0, 9, pod="q")]

        found = read_buckets({BLUE: old, GREEN: [*old, *new]})

        assert (found.fault, found.edges) == ("", (0.5,))
        assert {counter.name for counter in found.counters} == {0.5, math.inf}

    @pytest.mark.parametrize(
        ("buckets", "fault"),
        [
            ([bucket("0.5", 4)], reasons.NO_INF_BUCKET),
            ([bucket("fast", 4), bucket("+Inf", 9)], reasons.BAD_BUCKET_EDGE),
            ([bucket("NaN", 4), bucket("+Inf", 9)], reasons.BAD_BUCKET_EDGE),
            ([bucket("x", 4, le_label="edge")], reasons.BAD_BUCKET_EDGE),
            ([bucket("0.5", 4), bucket("1", 3), bucket("+Inf", 9)], reasons.FALLING_BUCKETS),
            ([bucket("+Inf", 9)], reasons.NO_COMMON_EDGE),
            ([], reasons.NO_SERIES),
        ],
    )
    def test_a_histogram_that_cannot_be_judged_has_its_word(self, buckets, fault):
        found = read_buckets({BLUE: buckets, GREEN: buckets})

        assert (found.fault, found.counters) == (fault, ())

    def test_beside_the_wanted_edges_nothing_is_looked_at_but_what_is_no_edge(self):
        """A bucket that nobody tests may be as wrong as it likes."""
        buckets = [bucket("0.5", 0, 4), bucket("1", 0, 3), bucket("2", 0, 8), bucket("+Inf", 0, 9)]
        wanted = frozenset((0.5, 2.0, math.inf))

        assert read_buckets({BLUE: buckets}).fault == reasons.FALLING_BUCKETS
        assert read_buckets({BLUE: buckets}, wanted).edges == (0.5, 2.0)
        assert read_buckets({BLUE: [*buckets, bucket("fast", 1)]}, wanted).fault == reasons.BAD_BUCKET_EDGE

    def test_scrapes_that_contradicted_themselves_for_a_while_are_one_tick_and_count_for_nothing_that_was_not_there(self):
        """Half of a bucket is missing in three scrapes; what it grew by until it was whole again is what it grew by."""
        blue = [bucket("0.5", *range(0, 630, 90)), bucket("+Inf", *range(0, 700, 100))]
        green = [
            bucket("0.1", 0, 3, 6, 9, 12, 15, 18, pod="g"),
            bucket("0.5", 0, 9, 5, 6, 8, 45, 54, pod="g"),
            bucket("+Inf", *range(0, 70, 10), pod="g"),
        ]
        blue.append(bucket("0.1", *range(0, 210, 30)))
        read = read_buckets({BLUE: blue, GREEN: green})
        found = difference(read.counters, Cursor(0), Scrapes(10, 10, 30))

        assert (read.fault, read.fell) == ("", {20.0, 30.0, 40.0})
        assert [(one.start, one.end) for one in found.slices] == [(0, 10), (10, 50), (50, 60)]
        assert [one.counts[GREEN, 0.5] for one in found.slices] == [9, 36, 9]
        assert [one.counts[GREEN, math.inf] for one in found.slices] == [10, 40, 10]

    @pytest.mark.parametrize("look_every", [10, 70])
    def test_a_healthy_candidate_whose_buckets_contradicted_themselves_for_a_while_has_no_evidence_against_it(self, look_every):
        setting = Setting(kind=Kind.LATENCY, alone_share=0.0, known=(Known(0.1, Dispersion(1, 1), 0.5),))
        wrong = range(300, 500, 10)

        def samples(rate, le, until, *, pod):
            share = {"0.1": 0.4, "0.5": 0.9, "+Inf": 1.0}[le]
            values = (
                rate * share * time / (2.5 if pod == "g" and le == "0.5" and time in wrong else 1) for time in range(0, until + 10, 10)
            )
            return bucket(le, *values, pod=pod)

        state, marks = sequential.pretended(setting, 0.0), (Mark(0.0, "5"),)
        for until in range(look_every, 910, look_every):
            arms = {
                arm: Counted(buckets=tuple(samples(rate, le, until, pod=pod) for le in ("0.1", "0.5", "+Inf")))
                for arm, rate, pod in ((BLUE, 300.0, "b"), (GREEN, 100.0, "g"))
            }
            state = sequential.advance(setting, state, arms, marks, Scrapes(10, 10, 30)).state or state

        assert state.cursor.until >= 800
        assert state.lines[0].sums[0] == pytest.approx(100.0 * state.cursor.until)
        assert sequential.ln_e(setting, state) < 0

    def test_slow_requests_are_counted_from_the_same_scrape_as_all_of_them(self):
        blue = [bucket("0.5", 0, 90), bucket("+Inf", 0, 100)]
        green = [bucket("0.5", 0, 3, pod="g"), bucket("+Inf", 0, 5, pod="g")]
        found = difference(read_buckets({BLUE: blue, GREEN: green}).counters, Cursor(0), Scrapes(10, 10, 30))

        tick = edge_tick(EdgeTest(0.5, 0.5, RateTest(form=Form.BERNOULLI)), found.slices[0])

        assert tick == Tick(0, 10, 5, 2, 100, 10)


class TestEdges:
    def test_usable_edges_have_a_tail_between_a_thousandth_and_half(self):
        assert usable_edges(HISTORY, 1000.0) == (0.1, 0.25, 0.5)

    def test_of_many_edges_five_are_kept_with_both_ends(self):
        below = {float(edge): 500.0 + 40 * edge for edge in range(12)}

        found = usable_edges(below, 1000.0)

        assert (len(found), found[0], found[-1]) == (5, 0.0, 11.0)

    @pytest.mark.parametrize(
        ("below", "edges"),
        [
            pytest.param({0.5: 0, 1: 0, 5: 1000, 10: 1000}, (5,), id="all in one bucket"),
            pytest.param({0.5: 0, 1: 400, 5: 999.5, 10: 1000}, (5,), id="nearly all at or below it"),
            pytest.param({0.5: 1000, 1: 1000}, (0.5,), id="all in the first bucket"),
            pytest.param({0.5: 0, 1: 0, 5: 400}, (), id="most beyond the largest"),
            pytest.param({0.5: 0, 1: 990, 5: 1000}, (1,), id="one edge has a tail"),
        ],
    )
    def test_where_no_edge_has_a_tail_the_lowest_one_that_nothing_was_slower_than_is_tested(self, below, edges):
        assert usable_edges(below, 1000.0) == edges

    def test_beyond_that_edge_a_slow_request_is_rare_and_not_impossible(self):
        [edge] = plan_latency({1.0: 0.0, 5.0: 1000.0}, 1000.0).edges

        assert (edge.baseline_edge, edge.test.p_hist) == (5.0, LEAST_PRIOR)

    def test_each_edge_expects_the_tail_of_its_own_history(self):
        test = plan_latency(HISTORY, 1000.0)

        assert [edge.test.p_hist for edge in test.edges] == pytest.approx([0.5, 0.1, 0.01])
        assert {edge.test.form for edge in test.edges} == {Form.BERNOULLI}

    def test_a_ratio_compares_with_the_next_edge_at_or_above_it(self):
        """The rounding favours the candidate: its tail beyond a larger edge is smaller."""
        test = plan_latency(HISTORY, 1000.0, ratio=2)

        assert [(edge.baseline_edge, edge.candidate_edge) for edge in test.edges] == [(0.1, 0.25), (0.25, 0.5), (0.5, 1.0)]

    def test_an_edge_without_a_partner_is_left_out(self):
        test = plan_latency(HISTORY, 1000.0, ratio=4)

        assert [(edge.baseline_edge, edge.candidate_edge) for edge in test.edges] == [(0.1, 0.5), (0.25, 1.0)]

    def test_without_any_usable_edge_there_is_no_test(self):
        with pytest.raises(ValueError, match="no bucket edge"):
            plan_latency({0.5: 400.0}, 1000.0)


def part(index, green, blue):
    counts = {(GREEN, edge): value for edge, value in green.items()} | {(BLUE, edge): value for edge, value in blue.items()}
    return Slice(10.0 * index, 10.0 * index + 10, counts)


SLOW = {0.1: 5.0, 0.25: 10.0, 0.5: 20.0, 1.0: 24.0, math.inf: 25.0}
USUAL = {0.1: 237.0, 0.25: 427.0, 0.5: 470.0, 1.0: 475.0, math.inf: 475.0}
LIKE_IT = {0.1: 13.0, 0.25: 22.0, 0.5: 25.0, 1.0: 25.0, math.inf: 25.0}


def after(*greens):
    test = plan_latency(HISTORY, 1000.0)
    state = latency.start(test)
    for index, green in enumerate(greens):
        state = latency.step(test, state, part(index, green, USUAL), "5")
    return test, state


class TestEvidence:
    def test_it_grows_where_green_is_slower(self):
        assert after(*[SLOW] * 20)[1].ln_e > math.log(100)

    def test_it_does_not_grow_where_green_is_like_blue(self):
        assert after(*[LIKE_IT] * 20)[1].ln_e < 0

    def test_it_is_the_mean_over_edges(self):
        _, state = after(SLOW, LIKE_IT)

        assert math.exp(state.ln_e) == pytest.approx(sum(math.exp(one.ln_e) for one in state.edges) / 3)

    def test_an_edge_that_is_missing_stays_as_it_is(self):
        test, state = after(SLOW)
        lacking = {edge: value for edge, value in SLOW.items() if edge != 0.25}

        later = latency.step(test, state, part(1, lacking, USUAL), "5")

        assert later.edges[1] == state.edges[1]
        assert later.edges[0] != state.edges[0]

    def test_an_arm_without_any_histogram_leaves_all_as_it_is(self):
        test, state = after(SLOW)

        assert latency.step(test, state, part(1, {}, USUAL), "5").ln_e == state.ln_e

    def test_its_state_goes_on_to_the_bit_and_is_small(self):
        test, state = after(SLOW, LIKE_IT)
        stored = json.dumps(state.to_json(), allow_nan=False)

        assert LatencyState.from_json(json.loads(stored), test) == state
        assert len(stored) < 4096

    def test_early_promotion_waits_for_every_edge(self):
        """An average would promote on one edge while another is beyond its margin."""
        test = latency.promotion_test(plan_latency(HISTORY, 1000.0))
        state = latency.start(test)
        slow_at_the_end = {0.1: 13.0, 0.25: 22.0, 0.5: 23.0, 1.0: 25.0, math.inf: 25.0}
        for index in range(60):
            state = latency.step(test, state, part(index, slow_at_the_end, USUAL), "5")

        assert state.edges[0].ln_e > math.log(80)
        assert state.edges[2].ln_e < 0
        assert state.ln_e_promotion == min(one.ln_e for one in state.edges)

    def test_a_foreign_state_is_refused(self):
        test, state = after(SLOW)

        with pytest.raises(ValueError, match="latency test"):
            LatencyState.from_json({**state.to_json(), "edges": []}, test)

    def test_a_tick_of_five_edges_costs_less_than_a_millisecond(self):
        """Some 0.4 ms where it was written."""
        edges = {float(edge): 500.0 + 40 * edge for edge in range(12)}
        test = plan_latency(edges, 1000.0)
        counts = {**{edge: below / 10 for edge, below in edges.items()}, math.inf: 100.0}
        state = latency.step(test, latency.start(test), part(0, counts, counts), "5")
        tick = part(1, counts, counts)

        assert len(test.edges) == 5
        assert cost_ms(lambda: latency.step(test, state, tick, "5"), times=10) < 1
