"""`penstock judge --plan`: everything that a release of the plan would have judged, over a past window, from every source."""

import html
import json
import math
import shlex
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from analysis.model import Arm
from controller.api.plan import PlanSpec
from controller.cli import judge_prometheus
from controller.cli.judge_places import SAID, places_of
from controller.cli.judge_selectors import arm_of
from controller.cli.main import run
from tests.cli.test_judge import (
    ARMS,
    BEGIN,
    HISTORY,
    LOOKS,
    STEP,
    WINDOW,
    as_dump,
    as_json,
    as_openmetrics,
    edges,
    judged,
    release,
    simulated,
)
from tests.docs.pages import ROOT
from tests.sizes import most_telling

HEAP = 'avg(heap_bytes{app="$workload"})'
FAILED = 'sum(rate(paid_total{app="$workload",result="error"}[$window]))'
PAID = {"total": 'paid_total{app="$workload"}', "bad": 'paid_total{app="$workload",result="error"}'}
KEPT = {"total": 'paid_total{app="$workload"}', "good": 'paid_total{app="$workload",result="ok"}'}
SEQUENTIAL = [{"name": name, "builtin": name, "method": "sequential"} for name in ("error-rate", "latency")]


def kayenta(**more):
    return {"step": "1m", "metrics": [{"name": "heap", "query": HEAP, "groups": ["memory"], "direction": "increase"}], **more}


CHECKS = {
    "error-rate": SEQUENTIAL[0],
    "paid": {"name": "paid", "counters": PAID},
    "kept": {"name": "kept", "counters": KEPT},
    "heap": {"name": "heap", "query": HEAP, "method": "sequential", "limit": {"maxRatio": 1.2}, "unit": "B"},
    "unmeasured": {"name": "unmeasured", "query": HEAP, "method": "sequential", "limit": {"maxRatio": 1.2}},
    "p90": {"name": "p90", "builtin": "latency", "quantile": 0.9, "limit": {"maxRatio": 1.1}},
    "queried": {"name": "queried", "query": FAILED, "limit": {"maxDifference": 0.5}},
    "scored": {"name": "scored", "method": "kayenta", "kayenta": kayenta()},
}  # fmt: skip
"""One check of every kind; each with the same name as its key."""

TRIGGERS = {
    "rate": {"name": "rate", "builtin": "error-rate", "limit": {"maxDifference": 2}, "repeat": {"consecutive": 2}},
    "asked": {"name": "asked", "query": HEAP, "limit": {"maxRatio": 1.4}, "range": "30s"},
}


def world(*, paid=0.01, heap=1.0, green_errors=0.005, pods=2):
    """The requests of `release`, and beside them a heap and payments of each pod."""
    rng = np.random.default_rng(7)
    found = release(green_errors)
    looks = range(-HISTORY, LOOKS + 1)
    for app, factor, errors in (("shop", 1.0, 0.01), ("shop-green", heap, paid)):
        for pod in range(pods):
            noise = np.exp(0.02 * rng.standard_normal(len(looks)))
            common = (("app", app), ("pod", f"{app}-{pod}"))
            heaps = [(BEGIN + STEP * look, round(1e6 * factor * one)) for look, one in zip(looks, noise, strict=True)]
            found[("__name__", "heap_bytes"), *common] = heaps
            n = [500 * (look + HISTORY) for look in looks]
            for result, counts in (("error", [int(count * errors) for count in n]), ("ok", [count - int(count * errors) for count in n])):
                labels = tuple(sorted((*common, ("__name__", "paid_total"), ("result", result))))
                found[labels] = [(BEGIN + STEP * look, count) for look, count in zip(looks, counts, strict=True)]
    return {tuple(sorted(labels)): samples for labels, samples in found.items()}


SHOP_AND_CART = [{"name": name, "workload": name} for name in ("shop", "cart")]


def cart(green_errors, part=1.0):
    """The requests of `release` at another member: this part of as many."""
    found = {}
    for labels, samples in release(green_errors).items():
        held = dict(labels)
        app = held.pop("destination_workload").replace("shop", "cart")
        held |= {"destination_service": f"{app}.prod.svc.cluster.local", "destination_workload": app}
        found[tuple(sorted(held.items()))] = [(time, int(value * part)) for time, value in samples]
    return found


def written(folder, checks, *, triggers=(), analysis=None, **more):
    """A plan of these checks whose check `heap` has a known history."""
    spec = {"workload": "shop", "traffic": {"virtualService": "shop"}, "slots": [{"name": "a"}, {"name": "b", "suffix": "-green"}]}
    spec |= {"checks": list(checks), "triggers": list(triggers), "analysis": analysis or {}, **more}
    for check in PlanSpec.model_validate(spec).checks:
        if check.name == "heap":
            gauge = {"check": "heap", "asked": check.asked_of("shop"), "variance": 0.05}
            elsewhere = {"builtin": "error-rate", "workload": "elsewhere", "lines": [{"share": 1, "bursts": 1, "widest": 1}]}
            spec["analysis"] = {"measured": {"until": BEGIN, "hours": 24, "checks": [elsewhere], "gauges": [gauge]}} | spec["analysis"]
    body = {"apiVersion": "penstock.dev/v1alpha1", "kind": "ReleasePlan", "metadata": {"name": "shop", "namespace": "prod"}, "spec": spec}
    (folder / "plan.yaml").write_text(json.dumps(body))
    return str(folder / "plan.yaml")


def asked_of(folder, series, checks, **more):
    """The arguments of a judgement of these series by a plan of these checks."""
    (folder / "samples").write_text(as_dump(series))
    return [*ARMS, *WINDOW, "--file", str(folder / "samples"), "--plan", written(folder, checks, **more)]


def answers(found):
    return {one["check"].split()[0]: one["outcome"] for one in [*found["checks"], *found["beside"]]}


class TestEveryKind:
    @pytest.mark.parametrize("source", most_telling("prometheus", of=["openmetrics", "range query", "prometheus"]))
    def test_every_source_gives_the_same_answer_about_every_kind(self, source, capsys, tmp_path, monkeypatch):
        series = world()
        asked = asked_of(tmp_path, series, CHECKS.values(), triggers=TRIGGERS.values())
        first = judged(capsys, *asked)
        if source == "prometheus":
            monkeypatch.setattr(judge_prometheus, "connected", lambda _url: simulated(series))
            again = [word for word in asked if word not in ("--file", str(tmp_path / "samples"))]
            again = [*again, "--prometheus", "http://prometheus:9090"]
        else:
            (tmp_path / "samples").write_text((as_openmetrics if source == "openmetrics" else as_json)(series))
            again = asked

        assert (first[0], first[1]["outcome"]) == (0, "pass")
        assert answers(first[1]) == dict.fromkeys([*CHECKS, *TRIGGERS], "pass")
        assert judged(capsys, *again) == first

    @pytest.mark.parametrize(
        ("change", "name", "answer"),
        [
            ({"green_errors": 0.03}, "error-rate", (3, "EvidenceAgainst")),
            ({"paid": 0.05}, "paid", (3, "EvidenceAgainst")),
            ({"paid": 0.05}, "kept", (3, "EvidenceAgainst")),
            ({"paid": 0.05}, "queried", (3, "BeyondLimit")),
            ({"heap": 1.6}, "heap", (4, "CheckAsks")),
            ({"heap": 1.6}, "unmeasured", (3, "BeyondLimit")),
            ({"heap": 1.6}, "scored", (3, "ScoreFailed")),
        ],
    )
    def test_each_kind_sees_what_a_release_would_have_seen(self, change, name, answer, capsys, tmp_path):
        ended, found = judged(capsys, *asked_of(tmp_path, world(**change), [CHECKS[name]]))
        (one,) = [*found["checks"], *found["beside"]]

        assert (ended, one["reason"]) == answer
        assert found["sentence"].endswith(one["sentence"])
        assert one["sentence"].startswith(("A check asks for a person: heap: ", f"{name}: "))

    def test_a_gauge_that_is_worse_stops_the_release_at_its_moment_with_its_numbers(self, capsys, tmp_path):
        _, found = judged(capsys, *asked_of(tmp_path, world(heap=1.6), [CHECKS["heap"]]))
        (heap,) = found["beside"]

        assert BEGIN < found["stoppedAt"] == heap["actedAt"] < BEGIN + 400
        assert found["rolledBackAt"] is None
        assert heap["candidate"] / heap["baseline"] == pytest.approx(1.6, rel=0.1)
        assert heap["queries"] == {"green": 'avg(heap_bytes{app="shop-green"})', "blue": 'avg(heap_bytes{app="shop"})'}

    def test_a_limit_on_latency_says_what_is_wrong_with_the_histogram_behind_it(self, capsys, tmp_path):
        swapped = edges(lambda le: {"100": "250", "250": "100"}.get(le, le))(world())
        code, found = judged(capsys, *asked_of(tmp_path, swapped, [CHECKS["p90"]]))
        (limit,) = [one for one in found["beside"] if one["check"] == "p90"]

        assert (code, limit["outcome"], limit["reason"]) == (4, "inconclusive", "FallingBuckets")
        assert "counts less below a larger edge" in limit["sentence"]

    def test_a_limit_on_a_query_of_its_own_says_which_counter_behind_it_is_none(self, capsys, tmp_path):
        series = world(paid=0.05)
        for labels, samples in series.items():
            if ("result", "error") in labels and ("app", "shop-green") in labels:
                samples[-1] = (samples[-1][0], -1)
        code, found = judged(capsys, *asked_of(tmp_path, series, [CHECKS["queried"]]))
        (limit,) = found["beside"]

        assert (code, limit["outcome"], limit["reason"]) == (4, "inconclusive", "UnusableCounter")
        assert "is -1" in limit["sentence"]

    @pytest.mark.parametrize(("change", "name"), [({"green_errors": 0.05}, "rate"), ({"heap": 1.6}, "asked")])
    def test_a_trigger_goes_back_at_its_poll(self, change, name, capsys, tmp_path):
        quiet = [{**CHECKS["unmeasured"], "limit": {"maxRatio": 3}}]
        code, found = judged(capsys, *asked_of(tmp_path, world(**change), quiet, triggers=TRIGGERS.values()))
        told = {one["check"]: one for one in found["beside"]}

        assert (code, told[name]["outcome"]) == (3, "fail")
        assert told[name]["sentence"].startswith(f"{name}: ")
        assert BEGIN < found["rolledBackAt"] == told[name]["actedAt"] <= BEGIN + 120

    def test_a_restart_of_a_caller_that_only_some_of_its_counters_show_fires_no_trigger(self, capsys, tmp_path):
        """Of a caller that began again the failed requests count from 0, while the good ones have passed their old value unseen."""
        series = release()
        for labels, samples in series.items():
            held = dict(labels)
            if (held["__name__"], held["destination_workload"], held["pod"]) == ("istio_requests_total", "shop-green", "a"):
                began = 45 if held["response_code"] == "503" else samples[40][1] - 100
                samples[41:] = [(time, value - samples[40][1] + began) for time, value in samples[41:]]
        trigger = {"name": "rate", "builtin": "error-rate", "limit": {"maxDifference": 2}}
        quiet = [{**CHECKS["p90"], "limit": {"max": 1e6}}]
        code, found = judged(capsys, *asked_of(tmp_path, series, quiet, triggers=[trigger]))

        assert (code, found["outcome"]) == (0, "pass")
        assert answers(found)["rate"] == "pass"

    def test_triggers_of_a_group_go_back_together_alone(self, capsys, tmp_path):
        group = {"groups": [{"name": "both", "failing": 2}]}
        pair = [
            {**TRIGGERS["asked"], "together": "both"},
            {**TRIGGERS["asked"], "name": "other", "together": "both", "limit": {"maxRatio": 9}},
        ]
        quiet = [{**CHECKS["unmeasured"], "limit": {"maxRatio": 3}}]
        one = judged(capsys, *asked_of(tmp_path, world(heap=1.6), quiet, triggers=pair, **group))
        pair[1]["limit"] = {"maxRatio": 1.1}
        both = judged(capsys, *asked_of(tmp_path, world(heap=1.6), quiet, triggers=pair, **group))

        assert (one[0], one[1]["rolledBackAt"], answers(one[1])["asked"]) == (0, None, "pass")
        assert one[1]["beside"][1]["sentence"].startswith("asked: its group both never failed with it; 1,")
        assert (both[0], answers(both[1])) == (3, {"unmeasured": "pass", "asked": "fail", "other": "fail"})
        assert both[1]["sentence"].startswith("both, 2 failing (limit 2): asked: ")

    def test_what_only_observes_is_shown_and_decides_nothing(self, capsys, tmp_path):
        checks = [CHECKS["p90"], {**CHECKS["unmeasured"], "observe": True}, {**CHECKS["paid"], "observe": True}]
        code, found = judged(capsys, *asked_of(tmp_path, world(heap=1.6, paid=0.05), checks))

        assert (code, answers(found)) == (0, {"p90": "pass", "unmeasured": "fail", "paid": "fail"})

    def test_a_misspelt_counter_of_what_went_well_is_no_pass(self, capsys, tmp_path):
        checks = [{**CHECKS["kept"], "counters": {**KEPT, "good": 'payed_total{app="$workload"}'}}]
        code, found = judged(capsys, *asked_of(tmp_path, world(), checks))

        assert (code, found["checks"][0]["reason"]) == (4, "NoSeries")
        assert any("payed_total" in note for note in found["missing"])

    def test_an_objective_that_both_versions_break_is_for_a_person(self, capsys, tmp_path):
        objective = [{"name": "slo", "builtin": "error-rate", "method": "sequential", "limit": {"max": 0.1}}]
        code, found = judged(capsys, *asked_of(tmp_path, world(), objective))

        assert (code, found["rolledBackAt"]) == (4, None)
        assert BEGIN < found["stoppedAt"] == found["checks"][0]["alertedAt"]
        assert found["sentence"].startswith("slo: the limit is broken beyond doubt, whatever the baseline does: 0.5 % vs 0.5 % (")

    @pytest.mark.long
    @pytest.mark.parametrize("green_errors", [0.005, 0.004])
    def test_the_row_and_the_report_of_such_an_objective_say_what_the_headline_says(self, green_errors, capsys, tmp_path):
        objective = [{"name": "slo", "builtin": "error-rate", "method": "sequential", "limit": {"max": 0.1}}]
        asked = asked_of(tmp_path, world(green_errors=green_errors), objective)
        code, found = judged(capsys, *asked)
        (row,) = found["checks"]
        assert (code, row["outcome"], row["sentence"]) == (4, found["outcome"], found["sentence"])

        assert run(["judge", *asked]) == 4
        printed = capsys.readouterr().out
        assert printed.startswith(f"inconclusive: {row['sentence']}\n")
        assert "\nslo    inconclusive  " in printed

        assert run(["judge", *asked, "-o", "junit"]) == 4
        suite = ET.fromstring(capsys.readouterr().out)
        assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")

    def test_people_read_a_line_for_each(self, capsys, tmp_path):
        assert run(["judge", *asked_of(tmp_path, world(heap=1.6), [CHECKS["heap"], CHECKS["scored"], CHECKS["paid"]])]) == 3
        told = capsys.readouterr()

        assert told.out.startswith("fail: scored: heap high: a mean of 1,6")
        assert "A release would have stopped for a person at 2023-11-14 22:1" in told.out
        assert "\ninconclusive: A check asks for a person: heap: 1,593,275 B vs " in told.out
        assert "\npaid   pass" in told.out
        assert "Parameters of the plan's queries, baseline: namespace=prod workload=shop service=shop " in told.err


class TestNeverAPass:
    @pytest.mark.parametrize(
        ("check", "sentence"),
        [
            ({"query": 'sum(up{version="$revision"})', "limit": {"min": 1}}, "Not measured. $revision has no value for green"),
            ({"query": 'sum(heap_bytes{app="$workload"}) or histogram_count(x)', "limit": {"min": 1}}, "Prometheus refused the query: "),
            ({"query": 'heap_bytes{app="$workload"}', "limit": {"min": 1}}, "The answer has more than one series: 2 series"),
            ({"query": 'sum(nothing{app="$workload"})', "limit": {"min": 1}}, "The query has no result."),
            ({"counters": {"total": 'a{v="$revision"}', "bad": 'b{v="$revision"}'}}, "Not measured. $revision has no value for blue"),
            ({"counters": {"total": 'a{w="$workload"}', "bad": 'b{w="$workload"}'}}, "cannot be judged: the answer had no series."),
            ({"query": HEAP, "limit": {"max": 5e6}, "minRequests": 10**9}, "Too few requests to judge by: 40,000 of 1,000,000,000"),
            (
                {"method": "kayenta", "kayenta": kayenta(metrics=[{"name": "h", "query": 'up{a="$workload"}', "groups": ["a"]}])},
                "Kayenta's judge cannot compare the two versions: h has 0 of 5 values of green and 0 of 5 values of blue",
            ),
            (
                {"method": "kayenta", "kayenta": kayenta(metrics=[{"name": "h", "query": 'up{v="$revision"}', "groups": ["a"]}])},
                "Not measured. $revision has no value for blue",
            ),
        ],
    )
    def test_what_a_file_cannot_answer_is_named_with_its_reason(self, check, sentence, capsys, tmp_path):
        code, found = judged(capsys, *asked_of(tmp_path, world(), [CHECKS["p90"], {"name": "own", **check}]))
        told = {one["check"]: one["sentence"] for one in [*found["checks"], *found["beside"]]}

        assert (code, found["outcome"], answers(found)) == (4, "inconclusive", {"p90": "pass", "own": "inconclusive"})
        assert told["own"] == found["sentence"]
        assert sentence in told["own"]

    def test_a_query_that_prometheus_does_not_answer_is_its_reason(self, capsys, tmp_path, monkeypatch):
        monkeypatch.setattr(judge_prometheus, "connected", lambda _url: simulated(world()))
        plan = written(tmp_path, [{"name": "own", "query": "sum(holt_winters(up[5m], 0.5, 0.5))", "limit": {"min": 1}}])
        code, found = judged(capsys, *ARMS, *WINDOW, "--prometheus", "http://prometheus:9090", "--plan", plan)

        assert (code, found["beside"][0]["reason"]) == (4, "QueryRefused")
        assert found["beside"][0]["queries"] == {"green": "sum(holt_winters(up[5m], 0.5, 0.5))"}

    @pytest.mark.parametrize("name", ["heap", "unmeasured", "scored", "asked"])
    def test_two_selectors_that_give_a_query_the_same_names_compare_nothing(self, name, capsys, tmp_path):
        """Two versions of one workload: `$workload` is the same for both."""
        arms = [*ARMS[:3], '{destination_workload="shop",version="v2"}']
        triggers = [TRIGGERS[name]] if name in TRIGGERS else []
        asked = asked_of(tmp_path, world(), [CHECKS[name]] if name in CHECKS else [{**CHECKS["p90"], "observe": True}], triggers=triggers)
        code, found = judged(capsys, *arms, *asked[len(ARMS) :])
        told = {one["check"]: one for one in found["beside"]}[name]

        assert (code, told["outcome"]) == (4, "inconclusive")
        assert told["reason"] in ("SameSeries", "TooFewRequests")
        if name in ("heap", "asked"):
            assert told["sentence"].endswith('Both are asked avg(heap_bytes{app="shop"}).')

    def test_a_gauge_without_any_pair_is_stale(self, capsys, tmp_path):
        code, found = judged(capsys, *asked_of(tmp_path, release(), [CHECKS["heap"]]))

        assert (code, found["beside"][0]["reason"]) == (4, "NoSeries")

    def test_a_gauge_that_ends_before_the_window_does_has_no_answer(self, capsys, tmp_path):
        series = {
            labels: samples[: -LOOKS // 2] if ("__name__", "heap_bytes") in labels else samples for labels, samples in world().items()
        }
        code, found = judged(capsys, *asked_of(tmp_path, series, [CHECKS["heap"]]))

        assert (code, found["beside"][0]["reason"]) == (4, "StaleSample")

    @pytest.mark.parametrize(
        ("trigger", "reason"),
        [
            ({"query": 'sum(up{version="$revision"})', "limit": {"min": 1}}, "NotMeasured"),
            ({"query": "sum(nothing)", "limit": {"min": 1}}, "NoSeries"),
            ({"query": HEAP, "limit": {"max": 1}, "repeat": {"consecutive": 100}, "interval": "1m"}, "NotConfirmed"),
        ],
    )
    def test_a_trigger_that_nobody_can_poll_any_more_is_no_pass(self, trigger, reason, capsys, tmp_path):
        code, found = judged(capsys, *asked_of(tmp_path, world(), [CHECKS["p90"]], triggers=[{"name": "own", **trigger}]))

        assert (code, [(one["check"], one["reason"]) for one in found["beside"]]) == (4, [("p90", "WithinLimit"), ("own", reason)])

    def test_what_nobody_can_answer_any_more_can_be_left_out_by_name(self, capsys, tmp_path):
        asked = asked_of(tmp_path, world(), [CHECKS["p90"], CHECKS["scored"]], triggers=[TRIGGERS["asked"]])
        code, found = judged(capsys, *asked, "--without", "asked", "--without", "scored")

        assert (code, answers(found)) == (0, {"p90": "pass"})
        assert run(["judge", *asked, "--without", "asked", "--without", "scored", "-o", "html"]) == 0
        assert "--without asked --without scored" in capsys.readouterr().out

    def test_a_health_probe_is_left_out_by_itself_and_named(self, capsys, tmp_path):
        asked = asked_of(tmp_path, world(), [CHECKS["p90"]], triggers=[{"name": "health", "probe": {"path": "/health"}}])
        code, found = judged(capsys, *asked)

        assert (code, answers(found), found["leftOut"]) == (0, {"p90": "pass"}, ["health"])
        assert run(["judge", *asked]) == 0
        assert "Left out: health. Nobody has kept what health endpoints answered.\n" in capsys.readouterr().err
        assert run(["judge", *asked, "-o", "markdown"]) == 0
        assert "Left out: health." in capsys.readouterr().out

    def test_a_plan_of_nothing_but_health_probes_passes_nothing(self, capsys, tmp_path):
        probe = {"name": "health", "probe": {"path": "/health"}}
        asked = asked_of(tmp_path, world(), [{**CHECKS["p90"], "observe": True}], triggers=[probe])

        assert judged(capsys, *asked)[1]["sentence"] == "Nothing of the plan acts, so that nothing passes."

    @pytest.mark.parametrize(
        ("planned", "sentence"),
        [
            (True, "--without: found helth, expected a check or trigger of the plan: p90, health.\n"),
            (False, "--without: found helth, expected it beside --plan FILE, of which it leaves something out.\n"),
        ],
    )
    def test_a_name_that_nothing_has_cannot_be_left_out(self, planned, sentence, capsys, tmp_path):
        asked = asked_of(tmp_path, world(), [CHECKS["p90"]], triggers=[{"name": "health", "probe": {"path": "/health"}}])

        assert run(["judge", *(asked if planned else asked[:-2]), "--without", "helth"]) == 2
        assert capsys.readouterr().err.endswith(sentence)

    def test_a_plan_in_which_nothing_acts_passes_nothing(self, capsys, tmp_path):
        code, found = judged(capsys, *asked_of(tmp_path, world(), [{**CHECKS["p90"], "observe": True}]))

        assert (code, found["sentence"]) == (4, "Nothing of the plan acts, so that nothing passes.")

    def test_a_selector_of_a_histogram_has_no_requests_for_an_error_rate(self, capsys, tmp_path):
        arms = [word.replace("{", "istio_request_duration_milliseconds_bucket{") for word in ARMS]
        asked = asked_of(tmp_path, world(), [CHECKS["error-rate"], CHECKS["p90"]])
        code, found = judged(capsys, *arms, *asked[len(ARMS) :])

        assert (code, answers(found)) == (4, {"error-rate": "inconclusive", "p90": "pass"})


class TestSequential:
    def of(self, capsys, tmp_path, series, *, analysis=None, checks=SEQUENTIAL, more=()):
        return judged(capsys, *asked_of(tmp_path, series, checks, analysis=analysis), *more)[1]

    @pytest.mark.long
    def test_its_alpha_tolerance_and_weights_are_those_of_a_release(self, capsys, tmp_path):
        bad = release(0.03)
        usual = self.of(capsys, tmp_path, bad)
        strict = self.of(capsys, tmp_path, bad, analysis={"alpha": 0.0001})
        lax = self.of(capsys, tmp_path, bad, checks=[{**SEQUENTIAL[0], "tolerance": {"ratio": 10}}, SEQUENTIAL[1]])
        alone = self.of(capsys, tmp_path, bad, checks=SEQUENTIAL[:1])

        assert strict["lnBound"] > usual["lnBound"]
        assert usual["rolledBackAt"] <= strict["rolledBackAt"]
        assert (lax["rolledBackAt"], lax["checks"][0]["reason"]) == (None, "TooFewRequests")
        assert [(one["check"], one["detail"]["weight"]) for one in alone["checks"]] == [("error-rate", 1)]

    def test_the_command_line_comes_before_the_plans_alpha_and_adds_an_objective(self, capsys, tmp_path):
        found = self.of(capsys, tmp_path, release(0.03), analysis={"alpha": 0.0001}, more=["--alpha", "0.05", "--limit", "1"])

        assert found["lnBound"] == pytest.approx(math.log(20))
        assert {one["check"].split()[0] for one in found["checks"]} == {"error-rate", "latency", "slo"}

    def test_an_objective_is_tested_beside_the_baseline(self, capsys, tmp_path):
        objective = [{"name": "slo", "builtin": "error-rate", "method": "sequential", "limit": {"max": 1}}]
        broken, kept = (self.of(capsys, tmp_path, release(errors), checks=objective) for errors in (0.03, 0.005))

        assert [(one["checks"][0]["check"], one["outcome"], one["checks"][0]["limit"]) for one in (broken, kept)] == [
            ("slo", "fail", 1), ("slo", "pass", 1),
        ]  # fmt: skip

    @pytest.mark.parametrize("dispersion", [None, 3])
    def test_what_was_measured_or_written_comes_before_the_history(self, capsys, tmp_path, dispersion):
        lines = [{"share": 0.5, "bursts": 4, "widest": 5}], [{"edge": 250, "share": 3, "bursts": 6, "widest": 7}]
        of = [{"builtin": name, "workload": "shop", "lines": one} for name, one in zip(("error-rate", "latency"), lines, strict=True)]
        analysis = {"measured": {"until": BEGIN, "hours": 24, "checks": of}} | ({"dispersion": dispersion} if dispersion else {})
        found = self.of(capsys, tmp_path, release(), analysis=analysis)
        known = {one["check"].split()[0]: one["known"] for one in found["checks"]}

        assert {one["seconds"] for one in known.values()} == {24 * 3600}
        assert [(line["edge"], line["bursts"]) for line in known["error-rate"]["lines"]] == [(None, dispersion or 4)]
        assert [(line["edge"], line["bursts"]) for line in known["latency"]["lines"]] == [(250, dispersion or 6)]

    def test_two_checks_of_a_kind_are_both_judged(self, capsys, tmp_path):
        lax = {**SEQUENTIAL[0], "name": "lax", "tolerance": {"ratio": 2}}
        found = self.of(capsys, tmp_path, release(), checks=[SEQUENTIAL[0], lax])

        assert answers(found) == {"error-rate": "pass", "lax": "pass"}
        assert found["checks"][0]["limit"] < found["checks"][1]["limit"]

    def test_counters_of_ones_own_have_a_history_of_their_own(self, capsys, tmp_path):
        found = self.of(capsys, tmp_path, world(), checks=[CHECKS["kept"]])
        (line,) = found["checks"][0]["known"]["lines"]

        assert (found["checks"][0]["known"]["seconds"], round(line["share"], 1)) == (HISTORY * STEP, 1.0)

    def test_checks_of_another_member_count_what_the_plan_calls_it(self, capsys, tmp_path):
        """The selectors are about the shop; its cart is found by the names that the plan has for it, in the same slots."""
        checks = [*SEQUENTIAL[:1], {**SEQUENTIAL[0], "name": "cart-errors", "member": "cart"}]
        asked = asked_of(tmp_path, release() | cart(0.03), checks, workload=None, members=SHOP_AND_CART)
        _, found = judged(capsys, *asked)

        assert found["checks"][0]["check"] == "cart-errors"
        assert [round(one["candidate"]) for one in found["checks"]] == [3, 0]

    @pytest.mark.long
    def test_a_trigger_about_another_member_counts_that_members_failed_requests(self, capsys, tmp_path):
        """A tenth of the shop's requests: its 12 % are fewer failed ones than it needs, those of the shop would be enough."""
        trigger = {**TRIGGERS["rate"], "member": "cart", "minFailed": 2_000}
        asked = asked_of(tmp_path, release() | cart(0.12, 0.1), SEQUENTIAL[:1], triggers=[trigger], workload=None, members=SHOP_AND_CART)
        _, found = judged(capsys, *asked)
        (rate,) = found["beside"]

        assert (rate["outcome"], rate["reason"], rate["n"]) == ("inconclusive", "TooFewFailedRequests", pytest.approx(200, rel=0.01))


class TestFiles:
    def test_a_query_may_look_far_back(self, capsys, tmp_path):
        back = {"name": "back", "query": 'avg(heap_bytes{app="$workload"} offset 50m) + sum(delta(heap_bytes{app="$workload"}[5m]))'}
        code, found = judged(capsys, *asked_of(tmp_path, world(), [{**back, "limit": {"min": 1}}]), "--history", "0")

        assert (code, found["beside"][0]["reason"]) == (0, "WithinLimit")

    def test_a_series_that_was_marked_as_ended_is_gone_at_once(self, capsys, tmp_path):
        """`promtool tsdb dump` prints the mark as NaN; the lookback of five minutes must not keep the pod alive."""
        series = world(pods=3)
        for labels, samples in series.items():
            if ("pod", "shop-green-2") in labels and ("__name__", "heap_bytes") in labels:
                series[labels] = [(time, value if time < BEGIN + 900 else "NaN") for time, value in samples if time <= BEGIN + 915]
        counted = {"name": "pods", "query": 'count(heap_bytes{app="$workload"})', "limit": {"max": 2}}

        assert judged(capsys, *asked_of(tmp_path, series, [counted]))[0] == 0

    @pytest.mark.long
    def test_two_files_with_the_same_samples_are_one(self, capsys, tmp_path):
        asked = asked_of(tmp_path, world(), [CHECKS["scored"], CHECKS["queried"]])

        assert judged(capsys, *asked, "--file", str(tmp_path / "samples")) == judged(capsys, *asked)


class TestReport:
    @pytest.mark.long
    def test_the_page_has_every_check_its_query_and_the_command_that_does_it_again(self, capsys, tmp_path):
        asked = asked_of(tmp_path, world(heap=1.6), CHECKS.values(), triggers=[TRIGGERS["rate"]])
        assert run(["judge", *asked, "-o", "html"]) == 3
        page = capsys.readouterr().out
        again = html.unescape(page.rpartition("<pre><code>")[2].partition("</code>")[0])

        assert all(f"<strong>{name}" in page for name in (*CHECKS, "rate"))
        assert "heap_bytes{app=&quot;shop-green&quot;}" in page
        assert "scored: heap, both versions" in page
        assert "<h4>Query, green total</h4>" in page
        assert "A release would have stopped for a person at" in page
        assert run([*shlex.split(again)[1:], "-o", "html"]) == 3
        assert capsys.readouterr().out == page

    def test_one_check_is_the_cause_and_that_is_what_came_first(self, capsys, tmp_path):
        asked = asked_of(tmp_path, world(heap=1.6, paid=0.05), [CHECKS["paid"]], triggers=[TRIGGERS["asked"]])
        assert run(["judge", *asked, "-o", "html"]) == 3
        page = capsys.readouterr().out

        assert page.count(" - the cause of the rollback") == 1
        assert "<strong>asked</strong> (trigger, watched all the time) - the cause of the rollback" in page

    def test_markdown_junit_and_json_have_them_by_kind(self, capsys, tmp_path):
        asked = asked_of(tmp_path, world(), CHECKS.values(), triggers=TRIGGERS.values())
        outputs = {}
        for output in ("markdown", "junit"):
            assert run(["judge", *asked, "-o", output]) == 0
            outputs[output] = capsys.readouterr().out
        _verdict, *judged_by = ET.fromstring(outputs["junit"])
        cases = {case.get("name").split(" ")[1]: case.get("name").split(" ")[0] for case in judged_by}

        assert "| scored (gate) | pass | scored: score 100, passes from 95" in outputs["markdown"]
        assert cases == {
            "error-rate": "sequential", "paid": "sequential", "kept": "sequential", "heap": "sequential", "unmeasured": "gate",
            "p90": "gate", "queried": "gate", "scored": "gate", "rate": "trigger", "asked": "trigger",
        }  # fmt: skip


def places(baseline, candidate, *, namespace="prod", **spec):
    body = {"workload": "shop", "traffic": {"virtualService": "shop"}, "slots": [{"name": "a"}, {"name": "b", "suffix": "-green"}], **spec}
    plan = PlanSpec.model_validate(body)
    found = places_of(plan, namespace, "shop", {Arm.BASELINE: arm_of(baseline, "x"), Arm.CANDIDATE: arm_of(candidate, "x")})
    return found, [found.of(None, arm) for arm in Arm]


class TestParameters:
    """Whose names `$workload` and the others are."""

    def test_what_no_selector_says_is_the_plans_first_slot_and_the_other_one(self):
        _, (blue, green) = places('up{job="a"}', 'up{job="b"}')

        assert (blue.workload, blue.namespace, blue.host, blue.colour) == ("shop", "prod", "shop.prod.svc.cluster.local", "blue")
        assert (green.workload, green.service, green.colour, green.revision) == ("shop-green", "shop-green", "green", "")

    def test_a_selector_that_names_the_second_slot_turns_the_colours_round(self):
        """After `finish: swap` the clone is the version that serves."""
        _, (blue, green) = places('destination_workload="shop-green"', 'destination_version="v3"')

        assert (blue.workload, blue.host) == ("shop-green", "shop-green.prod.svc.cluster.local")
        assert (green.workload, green.revision) == ("shop", "v3")

    def test_what_a_selector_says_comes_before_the_plan(self):
        said = 'destination_workload="other",destination_workload_namespace="ns",destination_service="h",destination_service_name="s"'
        _, (blue, _) = places(said, 'version="v2"')

        assert (blue.workload, blue.namespace, blue.host, blue.service) == ("other", "ns", "h", "s")

    def test_patterns_say_nothing(self):
        _, (blue, _) = places('destination_workload=~"other",namespace!="ns"', 'version="v2"')

        assert (blue.workload, blue.namespace) == ("shop", "prod")

    def test_where_both_slots_have_the_same_names_the_namespace_tells_them_apart(self):
        slots = [{"name": "a", "namespace": "one"}, {"name": "b", "namespace": "two"}]
        _, (blue, green) = places('workload="shop",namespace="two"', 'workload="shop",namespace="one"', slots=slots)

        assert (blue.namespace, green.namespace) == ("two", "one")
        assert (blue.host, green.host) == ("shop.two.svc.cluster.local", "shop.one.svc.cluster.local")

    def test_selectors_speak_of_one_member_and_the_others_are_in_the_same_slots(self):
        members = [{"name": name, "workload": name} for name in ("shop", "cart")]
        found, (shop, _) = places('workload="cart-green",namespace="ns"', 'version="v3"', workload=None, members=members)

        assert (found.spoken, found.of("cart", Arm.BASELINE).namespace, found.of("cart", Arm.CANDIDATE).workload) == ("cart", "ns", "cart")
        assert (shop.workload, shop.namespace, found.of("shop", Arm.CANDIDATE).revision) == ("shop-green", "prod", "v3")

    def test_the_page_has_every_label_that_says_one(self):
        page = (ROOT / "docs" / "analysis" / "judging.md").read_text()

        assert all(f"| `${name}` | {', '.join(f'`{label}`' for label in labels)} |" in page for name, labels in SAID.items())

    def test_the_sentence_has_both(self):
        found, _ = places('workload="shop"', 'version="v3"')

        assert found.words == (
            "Parameters of the plan's queries, baseline: namespace=prod workload=shop service=shop host=shop.prod.svc.cluster.local; "
            "candidate: namespace=prod workload=shop-green service=shop-green host=shop-green.prod.svc.cluster.local revision=v3."
        )
