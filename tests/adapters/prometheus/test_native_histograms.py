"""Native histograms of range answers as the buckets that everything else counts."""

import json
import math
from random import Random

import pytest

from analysis import latency, reasons
from analysis.counters import Cursor, Scrapes, difference
from analysis.model import Arm, Counted
from analysis.sequential import Kind, Mark, Setting, advance, begin, both, ln_e
from controller.adapters.native_histograms import GRID
from controller.adapters.prometheus_decode import decode
from controller.ports import AnswerFault

HEADERS = {"Date": "Sat, 21 Nov 2026 12:00:00 GMT", "Content-Type": "application/json"}
NAME = "istio_request_duration_milliseconds"


def native(values, *, schema=3, zero=1e-128):
    """A histogram as the query API writes it: filled buckets only, counts as text."""
    base = 2 ** (2**-schema)
    counts = {}
    for value in values:
        index = math.ceil(math.log(value) / math.log(base) - 1e-12) if value > zero else None
        counts[index] = counts.get(index, 0) + 1
    rows = [[3, repr(-zero), repr(zero), str(counts.pop(None))]] if None in counts else []
    rows += [[0, repr(2 ** ((i - 1) / 2**schema)), repr(2 ** (i / 2**schema)), str(n)] for i, n in sorted(counts.items())]
    return {"count": str(len(values)), "sum": repr(math.fsum(values)), "buckets": rows}


def custom(edges, counts):
    """Classic buckets that were stored as a native histogram with custom boundaries."""
    rows = [[0, str(low), str(high), str(n)] for low, high, n in zip(["-Inf", *edges], [*edges, "+Inf"], counts, strict=True) if n]
    return {"count": str(sum(counts)), "sum": "1", "buckets": rows}


def item(pairs, name=NAME, **labels):
    return {"metric": {"__name__": name, "pod": "a", **labels}, "histograms": [[time, histogram] for time, histogram in pairs]}


def classic(edge, pairs, **labels):
    return {"metric": {"__name__": f"{NAME}_bucket", "pod": "a", "le": edge, **labels}, "values": [[time, str(n)] for time, n in pairs]}


def answer(*items, kind="matrix"):
    body = {"status": "success", "data": {"resultType": kind, "result": list(items)}}
    return decode(200, HEADERS, json.dumps(body).encode())


def counts(found, **labels):
    """Edge to samples of the series with these labels."""
    every = [(dict(series.labels), series) for series in found.series]
    return {held["le"]: [sample.value for sample in series.samples] for held, series in every if labels.items() <= held.items()}


def lognormal(count, median, seed=1):
    random = Random(seed)
    return [random.lognormvariate(math.log(median), 0.65) for _ in range(count)]


class TestDecoding:
    @pytest.mark.parametrize("schema", range(9))
    def test_every_resolution_gives_the_same_counts_at_the_same_edges(self, schema):
        values = lognormal(2000, 40)

        found = counts(answer(item([(100, native(values, schema=schema))])))

        assert set(found) == {*(f"{edge:.20f}".rstrip("0").rstrip(".") if edge < 1 else str(int(edge)) for edge in GRID), "+Inf"}
        assert found["64"] == [sum(value <= 64 for value in values)]
        assert found["+Inf"] == [2000]

    def test_a_resolution_coarser_than_a_doubling_keeps_the_edges_that_it_has(self):
        values = lognormal(500, 40)

        found = counts(answer(item([(100, native(values, schema=-1))])))

        assert found["64"] == [sum(value <= 64 for value in values)]
        assert "32" not in found

    def test_the_series_are_named_and_labelled_as_classic_buckets(self):
        (series, *_) = answer(item([(100, native([3.0]))], reporter="source")).series

        assert dict(series.labels) | {"le": ""} == {"__name__": f"{NAME}_bucket", "le": "", "pod": "a", "reporter": "source"}

    def test_an_edge_within_the_zero_bucket_has_no_count(self):
        found = counts(answer(item([(100, native([0.001, 0.002, 3.0], zero=0.01))])))

        assert found["0.015625"] == [2]
        assert "0.0078125" not in found

    def test_an_edge_that_one_sample_of_the_range_does_not_have_is_left_out_of_all(self):
        """A client that runs out of buckets halves its resolution, twice here, to doublings of four."""
        fine, coarse = native(lognormal(100, 40)), native(lognormal(200, 40), schema=-1)

        found = counts(answer(item([(100, fine), (115, coarse)])))

        assert "32" not in found
        assert len(found["64"]) == len(found["+Inf"]) == 2

    def test_custom_boundaries_are_read_at_themselves(self):
        found = counts(answer(item([(100, custom(["5", "10", "25"], [1, 0, 2, 3]))])))

        assert found == {"5": [1], "10": [1], "25": [3], "+Inf": [6]}

    def test_a_histogram_without_observations_counts_nothing(self):
        found = counts(answer(item([(100, {"count": "0", "sum": "0"})])))

        assert set(map(tuple, found.values())) == {(0,)}

    def test_observations_that_are_no_number_count_among_all(self):
        one = native([3.0])

        assert counts(answer(item([(100, one | {"count": "2"})])))["+Inf"] == [2]

    @pytest.mark.parametrize(
        "broken", [{}, {"count": "many"}, {"count": "1", "buckets": [[0, "1", "2"]]}, {"count": "1", "buckets": 3}, None]
    )
    def test_a_histogram_of_another_shape_is_unreadable(self, broken):
        assert answer(item([(100, broken)])).fault is AnswerFault.UNREADABLE

    def test_a_check_that_gets_a_histogram_for_a_number_says_what_to_write(self):
        one = {"metric": {}, "histogram": [100, native([3.0])]}

        found = answer(one, kind="vector")

        assert (found.fault, "use histogram_quantile()" in found.message) == (AnswerFault.UNREADABLE, True)


class TestBothKinds:
    def test_where_a_target_has_both_the_classic_ones_count(self):
        """Prometheus can keep both; the same requests must not count twice."""
        found = answer(classic("50", [(100, 5)]), classic("+Inf", [(100, 9)]), item([(100, native([3.0] * 9))]))

        assert counts(found) == {"50": [5], "+Inf": [9]}

    def test_a_target_that_changes_its_kind_goes_on_at_the_edges_of_both(self):
        before = [classic("50", [(100, 5)]), classic("64", [(100, 6)]), classic("+Inf", [(100, 9)])]

        found = answer(*before, item([(115, native([50.0] * 12))]))

        assert counts(found) == {"64": [6, 12], "+Inf": [9, 12]}

    def test_the_other_pods_keep_theirs(self):
        found = answer(classic("64", [(100, 6)], pod="b"), classic("+Inf", [(100, 9)], pod="b"), item([(100, native([3.0] * 12))]))

        assert counts(found, pod="b") == {"64": [6], "+Inf": [9]}
        assert counts(found, pod="a")["64"] == [12]


class TestLatencyTails:
    SCRAPES = Scrapes(interval=15, every=15, patience=45)

    def arms(self, blue, green):
        both = answer(blue, green)
        by = {"blue": [], "green": []}
        for series in both.series:
            by[dict(series.labels)["pod"]].append(series)
        return latency.read_buckets({Arm.BASELINE: by["blue"], Arm.CANDIDATE: by["green"]})

    def test_resolutions_that_differ_have_common_edges_and_exact_tails(self):
        blue, green = lognormal(3000, 40), lognormal(3000, 60, seed=2)
        read = self.arms(
            item([(100, native(blue[:1000])), (115, native(blue))], pod="blue"),
            item([(100, native(green[:1000], schema=0)), (115, native(green, schema=0))], pod="green"),
        )

        (part,) = difference(read.counters, Cursor(100), self.SCRAPES).slices

        assert read.edges == GRID
        assert part.counts[Arm.BASELINE, 128.0] == sum(value <= 128 for value in blue[1000:])
        assert part.counts[Arm.CANDIDATE, 128.0] == sum(value <= 128 for value in green[1000:])

    def test_a_reset_is_counted_from_0(self):
        blue = item([(100, native([40.0] * 50)), (115, native([40.0] * 60))], pod="blue")
        green = item([(100, native([40.0] * 50)), (115, native([40.0] * 7))], pod="green")
        read = self.arms(blue, green)

        (part,) = difference(read.counters, Cursor(100), self.SCRAPES).slices

        assert part.counts[Arm.CANDIDATE, math.inf] == 7
        assert part.counts[Arm.BASELINE, math.inf] == 10

    @pytest.mark.long
    @pytest.mark.parametrize(("median", "found"), [(40, False), (60, True)])
    def test_a_sequential_check_finds_the_slower_version_by_them_and_not_its_equal(self, median, found):
        setting = Setting(Kind.LATENCY, delta=0.001)
        blue, green = lognormal(40_000, 40), lognormal(40_000, median, seed=2)
        times = range(100, 100 + 15 * 40, 15)
        read = answer(
            item([(at, native(blue[: 1000 * (place + 1)])) for place, at in enumerate(times)], pod="blue"),
            item([(at, native(green[: 1000 * (place + 1)], schema=1)) for place, at in enumerate(times)], pod="green"),
        )
        counted = (Counted(buckets=tuple(one for one in read.series if dict(one.labels)["pod"] == pod)) for pod in ("blue", "green"))
        arms = both(*counted)

        begun = begin(setting, arms, 100).state
        after = advance(setting, begun, arms, [Mark(since=100, name="1")], self.SCRAPES).state

        assert {line.edge for line in after.lines} <= set(GRID)
        assert (ln_e(setting, after) > math.log(100)) is found

    def test_kinds_without_a_common_edge_are_inconclusive_by_name(self):
        blue = [classic("50", [(100, 5)], pod="blue"), classic("+Inf", [(100, 9)], pod="blue")]
        both = answer(*blue, item([(100, native([40.0]))], pod="green"))
        by = {pod: [series for series in both.series if dict(series.labels)["pod"] == pod] for pod in ("blue", "green")}

        assert latency.read_buckets({Arm.BASELINE: by["blue"], Arm.CANDIDATE: by["green"]}).fault == reasons.NO_COMMON_EDGE
