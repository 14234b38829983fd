"""What the store keeps, and when a series is gone."""

import math

import pytest

from controller.simulator.promql.engine import Engine
from controller.simulator.promql.gomath import STALE, is_stale
from controller.simulator.promql.storage import OutOfOrderError, Store, Target

UP = {"__name__": "up", "job": "api"}
REQUESTS = {"__name__": "requests_total"}


def rows(store, query, time):
    return [value for _, value in Engine(store).query(query, time).rows]


def test_the_same_labels_in_any_order_are_the_same_series():
    store = Store()

    assert store.series(UP) is store.series((("job", "api"), ("__name__", "up"), ("empty", "")))


def test_a_sample_that_is_not_newer_is_refused_and_nothing_changes():
    store = Store()
    series = store.series(UP)
    store.append(series, 10, 1)

    for time in (10, 9.999):
        with pytest.raises(OutOfOrderError, match="not newer"):
            store.append(series, time, 2)

    assert list(series.values) == [1]


def test_a_sample_answers_for_five_minutes():
    store = Store()
    store.append(store.series(UP), 1000, 1)

    assert rows(store, "up", 1300) == [1]
    assert rows(store, "up", 1300.001) == []


def test_with_left_open_ranges_the_oldest_millisecond_is_out():
    store = Store()
    for time in (1000, 1060, 1120):
        store.append(store.series(UP), time, 1)
    engine = Engine(store, third=True)

    assert engine.query("count_over_time(up[2m])", 1120).rows == [((("job", "api"),), 2.0)]
    assert engine.query("count_over_time(up[2m:1m])", 1200).rows == [((("job", "api"),), 2.0)]
    assert engine.query("up", 1120 + 300).rows == []
    assert Engine(store).query("count_over_time(up[2m])", 1120).rows == [((("job", "api"),), 3.0)]


def test_a_series_that_vanishes_from_a_scrape_is_stale_at_once():
    store = Store()
    target, up, requests = Target(store), store.series(UP), store.series(REQUESTS)
    target.ingest(1000, [up, requests], [1, 5])
    target.ingest(1015, [up], [1])

    assert rows(store, "requests_total", 1014.999) == [5]
    assert rows(store, "requests_total", 1015) == []
    assert rows(store, "up", 1015) == [1]
    assert rows(store, "sum_over_time(requests_total[1m])", 1020) == [5]


def test_a_stale_series_that_comes_back_is_there_again():
    store = Store()
    target, up = Target(store), store.series(UP)
    for time, series in ((1000, [up]), (1015, []), (1030, [up])):
        target.ingest(time, series, [1] * len(series))

    assert [len(rows(store, "up", time)) for time in (1000, 1015, 1029, 1030)] == [1, 0, 0, 1]


def test_the_stale_value_marks_and_an_ordinary_nan_does_not():
    store = Store()
    series = store.series(UP)
    store.append(series, 1000, math.nan)
    store.append(series, 1015, STALE)

    assert math.isnan(rows(store, "up", 1000)[0])
    assert rows(store, "up", 1015) == []
    assert is_stale(STALE)
    assert not is_stale(math.nan)


def test_samples_older_than_the_retention_go_and_the_answers_within_it_stay():
    store = Store(retention_seconds=600)
    target, series = Target(store), [store.series(REQUESTS)]
    engine = Engine(store)
    for index in range(400):
        target.ingest(1000 + 15 * index, series, [float(index % 50)])
    untrimmed = Store()
    for index in range(400):
        untrimmed.append(untrimmed.series(REQUESTS), 1000 + 15 * index, float(index % 50))

    assert len(series[0].times) < 50
    for query in ("increase(requests_total[5m])", "resets(requests_total[9m])", "requests_total[2m]"):
        assert str(view(engine, query)) == str(view(Engine(untrimmed), query))


def view(engine, query):
    result = engine.query(query, 1000 + 15 * 399)
    return [(row[0], result.samples(*row[1:]) if len(row) == 4 else row[1]) for row in result.rows]


def test_series_that_appear_after_a_query_was_compiled_are_found():
    store = Store()
    engine = Engine(store)
    assert engine.query('sum by (job) ({__name__=~"up|down"})', 1000).rows == []

    store.append(store.series(UP), 1000, 1)
    store.append(store.series({"__name__": "down", "job": "db"}), 1000, 2)

    assert engine.query('sum by (job) ({__name__=~"up|down"})', 1000).rows == [((("job", "db"),), 2.0), ((("job", "api"),), 1.0)]
