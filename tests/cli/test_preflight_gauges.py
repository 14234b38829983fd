"""Gauges of blue, half against half: what a sequential check of one needs before a release."""

import json

import numpy as np
import pytest

from controller.api.plan import PlanSpec
from controller.cli import preflight
from controller.cli.main import run
from controller.cli.preflight_gauges import of_pods
from controller.core.tested import gauge_test
from tests.cli.test_judge import simulated
from tests.cli.test_preflight import BEGIN, STEP, WINDOW, day, plan, write
from tests.sizes import most_telling

HOURS = 6.5
NOISE = 0.1
HEAP = 'avg(heap_bytes{namespace="$namespace",pod=~"$workload-.*"})'


def heaps(pods):
    """Each pod's heap, with a noise of its own at every scrape."""
    rng, looks = np.random.default_rng(5), int(HOURS * 3600 / STEP)
    found = {}
    for number in range(pods):
        labels = (("__name__", "heap_bytes"), ("namespace", "shop"), ("pod", f"shop-{number}"))
        values = 1e8 * np.exp(NOISE * rng.standard_normal(looks))
        found[labels] = [(BEGIN + STEP * look, float(value)) for look, value in enumerate(values, start=1)]
    return found


def flown(tmp_path, monkeypatch, capsys, *, query=HEAP, pods=3, file=False):
    series = day(HOURS, pods=pods) | heaps(pods)
    monkeypatch.setattr(preflight, "connected", lambda _url: simulated(series))
    checks = [
        {"name": "errors", "builtin": "error-rate"},
        {"name": "heap", "query": query, "method": "sequential", "limit": {"maxRatio": 1.2}},
    ]
    if file:
        write(tmp_path / "samples", series)
    source = ["--file", str(tmp_path / "samples")] if file else ["--prometheus", "http://p:9090"]
    written = plan(tmp_path / "plan.yaml", checks=checks)
    run(["preflight", written, *source, *WINDOW, str(BEGIN + HOURS * 3600), "--dry-run", "-o", "json"])
    found = json.loads(capsys.readouterr().out)
    return PlanSpec.model_validate({"workload": "shop", "traffic": {"virtualService": "shop"}, "checks": checks}), found


def test_the_variance_between_halves_of_blue_is_what_the_check_is_tested_by(tmp_path, monkeypatch, capsys):
    spec, found = flown(tmp_path, monkeypatch, capsys)
    (gauge,) = found["measured"]["gauges"]
    measured = spec.analysis.model_copy(update={"measured": PlanSpec.model_validate(
        {"workload": "shop", "traffic": {"virtualService": "shop"}, "analysis": {"measured": found["measured"]}}
    ).analysis.measured})  # fmt: skip
    test = gauge_test(spec.model_copy(update={"analysis": measured}), spec.checks[1])
    alone = NOISE**2 * (1 + 1 / 2) * STEP

    assert (gauge["check"], found["unmeasuredGauges"]) == ("heap", {})
    assert alone * 0.8 < gauge["variance"] < alone * 3
    assert test.variance == gauge["variance"]


@pytest.mark.long
def test_a_file_of_the_same_samples_gives_the_same_variance(tmp_path, monkeypatch, capsys):
    asked = [flown(tmp_path, monkeypatch, capsys, file=file)[1] for file in (False, True)]

    assert asked[1]["unmeasuredGauges"] == {}
    assert asked[1]["measured"]["gauges"] == asked[0]["measured"]["gauges"]


NO_HALVES = [
    ({"query": 'sum(heap_bytes) / sum(up{workload="$workload"})'}, "a selector of the query has no braces"),
    ({"query": 'heap_bytes{pod=~"$workload-.*"}'}, "the query gives"),
    ({"query": 'avg(nothing{pod=~"$workload-.*"})'}, "its query has no numbers above 0 of both halves"),
    ({"file": True, "query": 'avg(heap_bytes{pod=~"$workload-.*"}) * histogram_count(x{})'}, "the query cannot be evaluated over a file: "),
]


@pytest.mark.parametrize(("more", "why"), most_telling(NO_HALVES[0], of=NO_HALVES))
def test_a_gauge_that_cannot_be_halved_says_why_and_keeps_its_threshold(more, why, tmp_path, monkeypatch, capsys):
    _, found = flown(tmp_path, monkeypatch, capsys, **more)

    assert found["measured"]["gauges"] == []
    assert found["unmeasuredGauges"]["heap"].startswith(why)


class TestHalving:
    def test_every_selector_gets_the_pods_and_texts_in_quotes_none(self):
        assert of_pods('sum(a{x="{"}) / sum(b{})', ["p-1", "p.2"]) == 'sum(a{pod=~"p-1|p[.]2",x="{"}) / sum(b{pod=~"p-1|p[.]2",})'

    @pytest.mark.parametrize("query", ["sum(a) / sum(b{})", "a", "sum("])
    def test_a_query_that_cannot_be_asked_of_some_pods_is_refused(self, query):
        with pytest.raises(ValueError, match="some pods alone"):
            of_pods(query, ["p-1"])
