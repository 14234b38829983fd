"""Requests from raw samples: counting, settling, the window's progress, the drain."""

import math

import pytest

from analysis.model import Sample, Series
from controller.api.release import WindowStatus
from controller.core import reasons
from controller.core.binomial import tails
from controller.core.queries import Mesh, Place
from controller.core.settling import Split, settled
from controller.core.traffic import Traffic, advance_window, quiet, read_traffic
from controller.ports import Answer, AnswerFault

BLUE = Place("prod", "shop", "shop", "shop.prod", "v1", "blue")
GREEN = Place("green", "shop-green", "shop", "shop.green", "v2", "green")
MESH = Mesh()


def series(colour, values, *, code="200", pod="gateway", start=0, step=15, **labels):
    """A counter; None is a missed scrape."""
    host = BLUE.host if colour == "blue" else GREEN.host
    found = {"destination_service": host, "response_code": code, "pod": pod, "instance": f"{pod}:15020"} | labels
    samples = tuple(Sample(start + step * i, value) for i, value in enumerate(values) if value is not None)
    return Series(tuple(sorted(found.items())), samples)


def read(*every, mesh=MESH, **answer):
    return read_traffic(Answer(series=tuple(every), result_type="matrix", **answer), [BLUE], [GREEN], mesh)


def steady(blue, green, scrapes=20, **labels):
    """Both colours at a constant number of requests a scrape."""
    return read(
        series("blue", [blue * i for i in range(scrapes)], **labels), series("green", [green * i for i in range(scrapes)], **labels)
    )


class TestCounting:
    def test_the_first_errors_of_a_scraped_target_count_from_zero(self):
        """The example of the module: t0 {200: 100}, t1 {200: 150, 503: 7} is 57 requests."""
        traffic = read(series("green", [100, 150]), series("green", [None, 7], code="503"))

        assert traffic.green.between(0, 15) == 57

    def test_the_first_sample_of_a_new_target_is_only_a_base(self):
        traffic = read(series("green", [100, 150, 200]), series("green", [None, 30, 90], pod="other"))

        assert traffic.green.between(0, 30) == 100 + 60

    def test_a_counter_that_falls_was_reset(self):
        assert read(series("green", [100, 150, 20])).green.between(0, 30) == 50 + 20

    def test_green_appearing_in_a_target_that_served_blue_counts_from_zero(self):
        assert read(series("blue", [100, 150]), series("green", [None, 5])).green.between(0, 15) == 5

    def test_a_missed_scrape_is_one_longer_difference(self):
        assert read(series("green", [0, None, 40])).green.increments[0].start == 0

    @pytest.mark.parametrize("odd", [math.nan, math.inf, -1.0])
    def test_an_impossible_sample_is_left_out(self, odd):
        assert read(series("green", [0, odd, 40])).green.between(0, 30) == 40

    def test_the_other_services_requests_are_not_counted(self):
        assert read(series("green", [0, 40], destination_service="other")).scraped == -math.inf

    def test_subset_mode_tells_colours_by_workload(self):
        labels = {"destination_workload": "shop-green", "destination_workload_namespace": "green", "destination_service": "shop.prod"}

        traffic = read(series("blue", [0, 9], **labels), mesh=Mesh(mode="subset"))

        assert (traffic.green.between(0, 15), traffic.blue.times) == (9, ())

    def test_samples_of_two_clusters_are_refused_and_named(self):
        traffic = read(series("green", [0, 9], destination_cluster="east"), series("green", [0, 9], destination_cluster="west", pod="b"))

        assert (traffic.fault, traffic.detail) == (reasons.SEVERAL_CLUSTERS, "east, west")

    def test_an_unknown_cluster_is_no_other_cluster(self):
        lost = series("green", [0, 9], destination_cluster="unknown", code="503")
        traffic = read(series("green", [0, 9], destination_cluster="east"), lost)

        assert traffic.fault == ""

    @pytest.mark.parametrize("fault", list(AnswerFault))
    def test_every_fault_of_an_answer_has_its_reason(self, fault):
        traffic = read_traffic(Answer(fault=fault, message="words"), [BLUE], [GREEN], MESH)

        assert traffic.fault in reasons.REASONS
        assert settled(traffic, Split(0, 5)).no_data

    def test_a_partial_answer_is_a_fault(self):
        assert read(series("green", [0, 9]), warnings=("store down",)).fault == reasons.PARTIAL_ANSWER

    def test_an_instant_answer_is_a_fault(self):
        assert read_traffic(Answer(result_type="vector"), [BLUE], [GREEN], MESH).fault == reasons.WRONG_TYPE


class TestBinomial:
    @pytest.mark.parametrize("n", [1, 7, 200, 15_000, 1_000_000])
    @pytest.mark.parametrize("p", [0.0, 0.001, 0.05, 0.5, 0.99, 1.0])
    def test_the_tails_are_scipys(self, n, p):
        from scipy import stats

        for k in {0, n // 20, round(n * p), min(n, round(n * p) + round(3 * math.sqrt(n * p * (1 - p))) + 1), n}:
            less, more = tails(k, n, p)
            assert less == pytest.approx(stats.binom.cdf(k, n, p), rel=1e-6, abs=1e-12)
            assert more == pytest.approx(stats.binom.sf(k - 1, n, p), rel=1e-6, abs=1e-12)

    def test_a_count_beyond_the_trials_is_an_error(self):
        with pytest.raises(ValueError, match="5 of 4"):
            tails(5, 4, 0.5)


class TestSettled:
    def test_the_granted_split_is_settled(self):
        verdict = settled(steady(95, 5), Split(since=60, percent=5))

        assert (verdict.settled, verdict.at) == (True, 285)
        assert verdict.observed_percent == pytest.approx(5)
        assert verdict.why == "observed 5.0 %, granted 5 % (n = 200)"

    @pytest.mark.parametrize("green", [0, 20, 40, 60, 100])
    def test_another_split_is_not(self, green):
        assert not settled(steady(100 - green, green), Split(since=60, percent=5)).settled

    def test_fewer_requests_than_the_minimum_are_not_enough(self):
        verdict = settled(steady(9, 1, scrapes=6), Split(since=15, percent=10))

        assert not verdict.settled
        assert "200 requests needed" in verdict.why
        assert verdict.too_few

    def test_both_colours_must_be_seen_where_both_have_weight(self):
        """200 requests without green are within the interval of 1 %, yet nobody has seen green."""
        verdict = settled(steady(100, 0), Split(since=60, percent=1))

        assert not verdict.settled
        assert "no request of green" in verdict.why

    def test_requests_from_before_the_change_do_not_keep_a_busy_route_unsettled(self):
        blue = [0, 15000, 30000, 45000, 45000 + 7500, 60000]
        green = [0, 0, 0, 0, 7500, 15000]

        assert settled(read(series("blue", blue), series("green", green)), Split(since=44, percent=50)).settled

    def test_a_sample_interval_that_spans_the_change_is_not_looked_at(self):
        traffic = read(series("blue", [0, 1000]), series("green", [0, 1000]))

        assert not settled(traffic, Split(since=7, percent=50)).settled

    def test_at_a_hundred_percent_blue_need_not_be_seen(self):
        assert settled(read(series("green", [0, 300, 600, 900])), Split(since=10, percent=100)).settled

    def test_at_a_hundred_percent_a_late_proxy_that_still_sends_to_blue_is_seen(self):
        traffic = read(series("green", [0, 300, 600, 900]), series("blue", [0, 100, 200, 300], pod="late"))

        assert not settled(traffic, Split(since=10, percent=100)).settled

    def test_every_proxy_is_in_the_newest_scrape_that_is_looked_at(self):
        """The late proxy was scraped a little earlier than the fast one; both count."""
        fast = [series("blue", [0, 500, 1000, 1500], start=14), series("green", [0, 500, 1000, 1500], start=14)]
        late = [series("blue", [0, 1000, 2000, 3000], pod="late")]

        assert not settled(read(*fast, *late), Split(since=10, percent=50)).settled

    def test_bypass_routes_make_the_test_one_sided_and_it_says_so(self):
        more, less = steady(90, 10), steady(99, 1, scrapes=100)

        assert settled(more, Split(since=60, percent=5, bypass=True)).settled
        assert "one-sided" in settled(more, Split(since=60, percent=5, bypass=True)).why
        assert not settled(less, Split(since=60, percent=5, bypass=True, min_requests=5000)).settled

    def test_rules_that_stay_on_blue_make_it_one_sided_the_other_way(self):
        less, more = steady(99, 1), steady(50, 50)
        split = Split(since=60, percent=20, beside=True)

        assert settled(less, split).settled
        assert settled(steady(80, 20), Split(since=60, percent=100, beside=True)).settled
        assert settled(less, split).why.endswith("one-sided, because rules that are not moved send to blue)")
        assert not settled(more, split).settled
        assert not settled(steady(100, 0), split).settled

    def test_another_split_names_the_callers_the_furthest_from_the_granted_first(self):
        """A proxy that has not heard of the change is found by its name."""
        shop = [series("blue", range(0, 2000, 100), source_workload="shop", source_workload_namespace="eu")]
        web = [series(c, [n * i for i in range(20)], source_workload="web") for c, n in (("blue", 75), ("green", 25))]

        assert settled(read(*shop, *web), Split(since=60, percent=25, reporter="destination")).why == (
            "observed 12.5 %, granted 25 % (n = 400; reporter destination: eu/shop 0.0 % of 200, web 25.0 % of 200)"
        )

    def test_of_many_callers_the_three_furthest_are_named(self):
        every = [series("blue", range(0, 2000, 100), pod=f"p{i}", source_workload=f"w{i}") for i in range(5)]

        assert settled(read(*every), Split(since=60, percent=50)).why.endswith(
            "reporter source: w0 0.0 % of 200, w1 0.0 % of 200, w2 0.0 % of 200, 2 more)"
        )

    def test_without_a_sample_since_the_change_there_is_no_data(self):
        assert settled(steady(95, 5), Split(since=285, percent=5)).no_data
        assert settled(Traffic(), Split(since=0, percent=5)).no_data

    def test_a_correct_split_is_refused_at_most_once_in_a_hundred(self):
        from scipy import stats

        refused = sum(weight for k in range(201) if min(tails(k, 200, 0.05)) < 0.005 for weight in [stats.binom.pmf(k, 200, 0.05)])

        assert refused <= 0.01


def advanced(window, traffic, **options):
    return advance_window(window, traffic, scrape_interval=15, **options)


class TestWindow:
    OPEN = WindowStatus(opened_at=30, last_sample=30)

    def test_it_runs_on_sample_timestamps(self):
        window = advanced(self.OPEN, steady(95, 5))

        assert (window.last_sample, window.ran, window.n_green, window.n_blue) == (285, 255, 85, 1615)

    def test_the_same_answer_twice_changes_nothing(self):
        traffic = steady(95, 5)
        once = advanced(self.OPEN, traffic)

        assert advanced(once, traffic) is once

    def test_many_small_steps_equal_one_large_one(self):
        window = self.OPEN
        for scrapes in range(2, 21):
            window = advanced(window, steady(95, 5, scrapes=scrapes))

        assert window == advanced(self.OPEN, steady(95, 5))

    def test_before_it_opens_nothing_counts(self):
        assert advanced(WindowStatus(opened_at=1000, last_sample=1000), steady(95, 5)).ran == 0

    def test_it_goes_only_as_far_as_both_colours_have_samples(self):
        traffic = read(series("blue", [0, 100, 200, 300, 400]), series("green", [0, 5, 10, 15], pod="b"))

        assert advanced(self.OPEN, traffic).last_sample == 45

    def test_without_any_sample_of_green_it_stands_still(self):
        assert advanced(self.OPEN, read(series("blue", [0, 100, 200, 300]))) is self.OPEN

    def test_at_a_hundred_percent_blue_is_not_waited_for(self):
        assert advanced(self.OPEN, read(series("green", [0, 5, 10, 15])), needs_blue=False).ran == 15

    def test_a_short_gap_counts_and_a_long_one_lengthens_the_window(self):
        short = [0, 5, 10, None, None, 25, 30]
        long = [0, 5, 10, None, None, None, 30]

        assert advanced(self.OPEN, read(series("green", short)), needs_blue=False).ran == 60
        assert advanced(self.OPEN, read(series("green", long)), needs_blue=False).ran == 0

    def test_samples_that_each_follow_a_gap_are_told_from_one_outage(self):
        """A Prometheus that scrapes once a minute never lets a window of 15 s scrapes run on: that is no silence."""
        window = WindowStatus()
        for minutes in (2, 3, 4):
            window = advanced(window, read(*(series(colour, [10 * t for t in range(minutes)], step=60) for colour in ("green", "blue"))))

        assert (window.last_sample, window.ran, window.apart) == (180, 0, 3)
        assert advanced(window, steady(95, 5)).apart is None

    def test_gaps_of_both_colours_that_overlap_are_left_out_once(self):
        green = [*range(5), *[None] * 5, *range(10, 20)]
        blue = [*range(7), *[None] * 5, *range(12, 20)]

        window = advanced(WindowStatus(), read(series("blue", blue, pod="a"), series("green", green, pod="b")))

        # Green lacks (60, 150], blue (90, 180]; together (60, 180].
        assert window.ran == 285 - 120

    def test_an_outage_longer_than_the_answer_reaches_back_is_a_gap(self):
        window = WindowStatus(opened_at=30, last_sample=60, ran=30)

        later = advanced(window, read(series("green", [100, 105, 110], start=3600), series("blue", [0, 95, 190], start=3600)))

        assert (later.last_sample, later.ran) == (3630, 60)

    def test_requests_from_before_the_opening_are_not_counted(self):
        traffic = read(series("blue", [0, 0, 0, 0]), series("green", [0, 100, 200, 300]))

        assert advanced(WindowStatus(opened_at=20, last_sample=20), traffic).n_green == 100

    @pytest.mark.parametrize("fault", list(AnswerFault))
    def test_an_outage_changes_nothing(self, fault):
        traffic = read_traffic(Answer(fault=fault), [BLUE], [GREEN], MESH)

        assert advanced(self.OPEN, traffic) is self.OPEN


class TestQuiet:
    def silent(self, traffic, since=60):
        return quiet(traffic, since=since, drain=30, scrape_interval=15)

    def test_no_request_over_the_drain_is_quiet(self):
        assert self.silent(read(series("blue", range(0, 900, 100)), series("green", [0, 50, 80, 90, 95, 96, 96, 96, 96]))).quiet

    def test_a_green_that_was_never_seen_beside_a_blue_that_is_seen_is_quiet(self):
        assert self.silent(read(series("blue", range(0, 900, 100)))).quiet

    def test_a_late_request_is_traffic(self):
        answer = self.silent(read(series("blue", range(0, 900, 100)), series("green", [0, 50, 80, 90, 95, 96, 96, 96, 97])))

        assert (answer.quiet, answer.known) == (False, True)
        assert "1 request in" in answer.why

    @pytest.mark.parametrize(
        "traffic",
        [
            Traffic(),
            Traffic(fault=reasons.PROMETHEUS_TIMEOUT),
            read(series("blue", [0, 1, 2])),
            read(series("blue", [0, 1, 2, 3, None, None, None, None, 9])),
        ],
    )
    def test_missing_samples_never_show_that_it_is_quiet(self, traffic):
        assert not self.silent(traffic).quiet
        assert not self.silent(traffic).known
