"""Kayenta's judge against its own published cases, and what it must refuse."""

import json
import math
import random
from pathlib import Path
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.kayenta import (
    Classified,
    Grade,
    Label,
    Values,
    backfill,
    classify,
    classify_by_means,
    judge,
    outcome,
    prepare,
    score,
    summary,
    without_nan,
)
from analysis.kayenta_config import JUDGE, Direction, KayentaError, MetricConfig, read_config
from analysis.mannwhitney import (
    common_language,
    mean_ratio,
    mid_ranks,
    outside_fences,
    outside_sigma,
    percentile,
    root,
    shift_interval,
    shift_statistic,
)
from analysis.model import Outcome

CASES = json.loads((Path(__file__).parents[1] / "data" / "kayenta-cases.json").read_text())["cases"]


def of_kind(kind):
    found = [case for case in CASES if case["kind"] == kind]
    assert found
    return pytest.mark.parametrize("case", found, ids=[case["id"] for case in found])


def numbers(values):
    return [math.nan if value == "NaN" else value for value in values]


def outliers(detector, values):
    if detector["type"] == "ksigma":
        return outside_sigma(values, detector["k"])
    return outside_fences(values, detector["factor"], wide=detector["reduce_sensitivity"])


class TestPublishedCases:
    def test_all_38_are_run_below(self):
        assert len(CASES) == 38
        assert {case["kind"] for case in CASES} == {
            "classify_metric",
            "wilcoxon_diff",
            "norm_ppf",
            "mann_whitney_ci",
            "mann_whitney_intermediate",
            "score",
            "detect_outliers",
            "transform",
            "summary",
            "percentile_r7",
            "effect_size",
            "mixer_backfill",
            "distributional_end_to_end",
            "distributional_end_to_end_muted",
        }

    @of_kind("classify_metric")
    def test_a_metric_is_classified(self, case):
        given_, args = case["config"] or {}, case["args"]
        config = MetricConfig(
            direction=Direction(args["direction"]),
            replace_nan=args["nan_strategy"] == "replace",
            critical=args["critical"],
            must_have_data=args["must_have_data"],
            cles=given_.get("effect_size_measure") == "cles",
            tolerance=given_.get("tolerance", 0.25),
            confidence=given_.get("conf_level", 0.98),
            **{
                key: given_[key]
                for key in ("allowed_decrease", "allowed_increase", "critical_decrease", "critical_increase")
                if key in given_
            },
        )
        classifier = classify_by_means if case["classifier"] == "mean_inequality" else classify

        found = classifier(case["control"], case["experiment"], config)

        assert found.label == case["expected"]["classification"]
        assert found.critical == case["expected"].get("critical", found.critical)
        if "deviation" in case["expected"]:
            assert found.deviation == pytest.approx(float(case["expected"]["deviation"]), nan_ok=True)

    @of_kind("wilcoxon_diff")
    def test_the_shift_statistic(self, case):
        found = shift_statistic(case["args"]["mu"], case["args"]["quantile"], case["x"], case["y"])

        assert found == pytest.approx(case["expected"], abs=case["tol"])

    @of_kind("norm_ppf")
    def test_the_normal_quantile(self, case):
        assert NormalDist().inv_cdf(case["args"]["p"]) == pytest.approx(case["expected"], abs=case["tol"])

    @of_kind("mann_whitney_ci")
    def test_the_interval_of_the_shift(self, case):
        found = shift_interval(case["x"], case["y"], case["args"]["conf_level"])

        for value, name in ((found.low, "ci_low"), (found.high, "ci_high"), (found.estimate, "estimate")):
            assert value == pytest.approx(case["expected"][name]["value"], abs=case["expected"][name]["tol"])

    @of_kind("mann_whitney_intermediate")
    def test_the_steps_on_the_way_to_the_interval(self, case):
        x, y, expected, tol = case["x"], case["y"], case["expected"], case["tol"]
        least, most = min(x) - max(y), max(x) - min(y)
        z = -NormalDist().inv_cdf((1 - case["args"]["conf_level"]) / 2)
        found = {
            "rMumin": least,
            "rMumax": most,
            "rZqLower": z,
            "rZqUpper": -z,
            "rFlower1": shift_statistic(least, z, x, y),
            "rFupper1": shift_statistic(most, z, x, y),
            "rFlower2": shift_statistic(least, -z, x, y),
            "rFupper2": shift_statistic(most, -z, x, y),
            "rCil": root(lambda shift: shift_statistic(shift, z, x, y), least, most),
            "rCiu": root(lambda shift: shift_statistic(shift, -z, x, y), least, most),
            "rEst": root(lambda shift: shift_statistic(shift, 0, x, y), least, most),
        }

        assert found == pytest.approx(expected, abs=tol)

    @of_kind("score")
    def test_the_score(self, case):
        metrics = [(one["groups"], Classified(Label(one["classification"]), critical=one["critical"])) for one in case["metrics"]]

        points, groups, _ = score(metrics, case["group_weights"])

        assert points == case["expected"]["summary_score"]
        if "group_scores_sorted" in case["expected"]:
            assert sorted(groups.values()) == case["expected"]["group_scores_sorted"]

    @of_kind("detect_outliers")
    def test_outliers(self, case):
        assert outliers(case["detector"], case["data"]) == case["expected"]

    @of_kind("transform")
    def test_transforms(self, case):
        data = numbers(case["data"])
        if case["op"] == "remove_nan":
            assert without_nan(data) == case["expected"]
        else:
            outside = outliers(case["detector"], data)
            assert [value for value, out in zip(data, outside, strict=True) if not out] == case["expected"]

    @of_kind("summary")
    def test_the_summary(self, case):
        found = summary(case["data"])

        assert {key: found[key] for key in case["expected"]} == case["expected"]

    @of_kind("percentile_r7")
    def test_the_percentile(self, case):
        assert percentile(case["data"], case["p"]) == pytest.approx(case["expected"], abs=case["tol"])

    @of_kind("effect_size")
    def test_the_effect(self, case):
        measure = common_language if case["measure"] == "cles" else mean_ratio

        assert measure(case["control"], case["experiment"]) == pytest.approx(case["expected"], abs=case["tol"])

    @of_kind("mixer_backfill")
    def test_an_arm_without_values_is_filled_with_nan(self, case):
        found = backfill(case["control"], case["experiment"], (case["end_ms"] - case["start_ms"]) // case["step_ms"])

        for arm in ("control", "experiment"):
            assert getattr(found, arm) == pytest.approx(numbers(case["expected"][arm]), nan_ok=True)

    @of_kind("distributional_end_to_end")
    @pytest.mark.parametrize("seed", range(10))
    def test_a_healthy_gauge_passes(self, case, seed):
        rng = random.Random(seed)
        metric = {"name": "gauge", "groups": ["all"], "analysisConfigurations": {"canary": case["metric_config"]}}
        values = Values(
            tuple(rng.uniform(*case["control_gauge_uniform"]) for _ in range(60)),
            tuple(rng.uniform(*case["experiment_gauge_uniform"]) for _ in range(60)),
        )
        limits = case["score_thresholds"]["marginal"], case["score_thresholds"]["pass_"]

        found = judge(read_config(json.dumps(config(metric))), {"gauge": values}, limits)

        assert (found.metrics["gauge"].label, found.score) == (case["expected"]["classification"], case["expected"]["score"])
        assert (found.grade is Grade.PASS) is case["expected"]["did_pass"]

    @of_kind("distributional_end_to_end_muted")
    @pytest.mark.parametrize("seed", range(10))
    def test_a_muted_metric_fails_without_failing_the_analysis(self, case, seed):
        rng = random.Random(seed)
        metrics, values = [], {}
        for one in case["metrics"]:
            canary = {key: one[key] for key in ("critical", "muted", "direction")}
            metrics.append({"name": one["name"], "groups": ["all"], "analysisConfigurations": {"canary": canary}})
            drawn = [tuple(rng.uniform(*one[f"{arm}_uniform"]) for _ in range(60)) for arm in ("control", "experiment")]
            values[one["name"]] = Values(*drawn)
        limits = case["score_thresholds"]["marginal"], case["score_thresholds"]["pass_"]

        found = judge(read_config(json.dumps(config(*metrics))), values, limits)

        assert {one["name"]: one["expected"] for one in case["metrics"]} == {name: answer.label for name, answer in found.metrics.items()}
        assert (found.grade is Grade.PASS) is case["expected"]["did_pass"]


def config(*metrics, **more):
    return {"name": "mine", "judge": {"name": JUDGE, "judgeConfigurations": {}}, "metrics": list(metrics), "classifier": {}, **more}


def metric(name="errors", **canary):
    return {"name": name, "groups": ["all"], "scopeName": "default", "analysisConfigurations": {"canary": canary}}


HIGH = Values((1.0, 2.0, 3.0, 4.0, 5.0) * 4, (11.0, 12.0, 13.0, 14.0, 15.0) * 4)
SAME = Values((1.0, 2.0, 3.0, 4.0, 5.0) * 4, (1.1, 2.1, 2.9, 3.9, 4.9) * 4)
NOTHING = Values((1.0, 2.0), (math.nan, math.nan))
LIMITS = (50.0, 75.0)


class TestReading:
    def test_a_configuration_is_read_as_it_is(self):
        canary = {
            "direction": "increase",
            "nanStrategy": "replace",
            "critical": True,
            "mustHaveData": "true",
            "outliers": {"strategy": "remove", "outlierFactor": "1.5"},
            "effectSize": {"measure": "cles", "allowedIncrease": 0.7, "criticalIncrease": 0.9},
        }
        weights = {"groupWeights": {"all": 100}, "scoreThresholds": {"pass": 95, "marginal": 75}}

        found = read_config(json.dumps(config(metric(**canary), classifier=weights)))

        assert found.thresholds == (75, 95)
        assert found.group_weights == {"all": 100}
        assert found.metrics == (
            MetricConfig(
                name="errors",
                groups=("all",),
                direction=Direction.INCREASE,
                replace_nan=True,
                remove_outliers=True,
                outlier_factor=1.5,
                critical=True,
                must_have_data=True,
                cles=True,
                allowed_decrease=0.5,
                allowed_increase=0.7,
                critical_decrease=0.5,
                critical_increase=0.9,
            ),
        )

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("name: mine\nmetrics: []\n", "YAML must be converted"),
            (" \n", "the file is empty, expected a canaryConfig in JSON"),
            ('{"name": "mine", "metrics": [', "cut or no JSON: line 1, column 30: Expecting value"),
            ("[]", "is a JSON object"),
            ("{}", "has no metrics"),
            ('{"canaryConfig": {"metrics": [{"name": "a"}]}, "executionRequest": {}}', "take out what stands under canaryConfig"),
            ('{"type": "kayentaCanary", "canaryConfig": {"canaryConfigId": "0c9c"}}', "Kayenta's GET /canaryConfig/0c9c has it"),
            ('{"canaryConfig": null}', "has no metrics"),
            (json.dumps(config(metric(), judge={"name": "dredd-v1.0"})), 'judge "dredd-v1.0" is not known'),
            (json.dumps(config({"groups": []})), "metric 1 of the canaryConfig has no name"),
            (json.dumps(config({**metric(), "scopeName": "staging"})), 'the metric errors has the scope "staging"'),
            (json.dumps(config({**metric(), "groups": "all"})), "not a list of names"),
            (json.dumps(config(metric(), metric())), "several metrics of the name errors"),
            (json.dumps(config(metric(critical="perhaps"))), "neither true nor false"),
            (json.dumps(config(metric(effectSize={"allowedIncrease": "much"}))), "allowedIncrease of the metric errors is no number"),
            (json.dumps(config(metric(), classifier={"groupWeights": {"all": None}})), "groupWeights.all is no number"),
            (json.dumps(config(metric(), classifier={"groupWeights": [1]})), "not an object of numbers"),
        ],
    )
    def test_what_cannot_be_answered_for_is_named_in_one_sentence(self, text, words):
        with pytest.raises(KayentaError) as refused:
            read_config(text)

        assert words in str(refused.value)
        assert "\n" not in str(refused.value)


def answer(values, *, limits=LIMITS, **canary):
    return judge(read_config(json.dumps(config(metric(**canary)))), {"errors": values}, limits)


class TestJudging:
    def test_a_critical_failure_scores_0(self):
        found = answer(HIGH, direction="increase", critical=True)

        assert (found.grade, found.score) == (Grade.FAIL, 0.0)
        assert "errors was classified as High (Critical)" in found.reason

    def test_the_other_direction_passes(self):
        assert answer(HIGH, direction="decrease").grade is Grade.PASS

    def test_a_score_between_the_thresholds_is_marginal(self):
        both = read_config(json.dumps(config(metric("a"), metric("b"))))

        found = judge(both, {"a": HIGH, "b": SAME}, LIMITS)

        assert (found.grade, found.score) == (Grade.MARGINAL, 50.0)

    def test_half_of_the_metrics_without_data_fail(self):
        found = answer(NOTHING, nanStrategy="remove")

        assert (found.grade, found.metrics["errors"].label) == (Grade.FAIL, Label.NODATA)

    def test_required_data_that_is_missing_fails_the_metric(self):
        assert answer(NOTHING, nanStrategy="remove", mustHaveData=True).metrics["errors"].label is Label.NODATA_FAIL

    def test_a_pass_without_data_is_listed_and_inconclusive(self):
        found = answer(Values((math.nan,) * 5, (math.nan,) * 5), nanStrategy="replace")

        assert (found.grade, found.unjudged, outcome(found)) == (Grade.PASS, ("errors",), Outcome.INCONCLUSIVE)

    @pytest.mark.parametrize(("values", "expected"), [(HIGH, Outcome.FAIL), (SAME, Outcome.PASS)])
    def test_a_grade_is_an_outcome(self, values, expected):
        assert outcome(answer(values)) is expected

    def test_what_fails_only_because_values_are_missing_is_inconclusive(self):
        found = answer(NOTHING, nanStrategy="remove", critical=True)

        assert (found.grade, found.at_best, outcome(found)) == (Grade.FAIL, Grade.PASS, Outcome.INCONCLUSIVE)

    def test_what_fails_whatever_the_missing_values_were_fails(self):
        both = read_config(json.dumps(config(metric("a"), metric("b", critical=True, direction="increase"))))

        found = judge(both, {"a": NOTHING, "b": HIGH}, LIMITS)

        assert (found.unjudged, outcome(found)) == (("a",), Outcome.FAIL)

    def test_fewer_values_than_asked_for_are_no_comparison(self):
        few = Values(HIGH.control[:4], HIGH.experiment)
        one = read_config(json.dumps(config(metric("errors", direction="increase"))))

        assert judge(one, {"errors": few}, LIMITS).unjudged == ()
        assert judge(one, {"errors": few}, LIMITS, least=5).unjudged == ("errors",)

    def test_two_constants_that_differ_are_told_apart_the_same_way_every_time(self):
        constants = Values((1.0,) * 20, (2.0,) * 20)

        assert answer(constants).metrics["errors"].label is Label.HIGH
        assert answer(constants) == answer(constants)

    def test_infinite_values_are_an_error_and_no_pass(self):
        found = answer(Values((1.0, math.inf, 2.0), (1.0, 2.0, 3.0)))

        assert (found.metrics["errors"].label, outcome(found)) == (Label.ERROR, Outcome.INCONCLUSIVE)

    def test_one_value_in_each_arm_is_an_error(self):
        assert answer(Values((1.0,), (0.0,))).metrics["errors"].label is Label.ERROR

    @pytest.mark.parametrize(
        ("data", "words"), [({}, "no values for errors"), ({"errors": SAME, "else": SAME}, "no configuration for else")]
    )
    def test_metrics_that_do_not_fit_the_data_are_named(self, data, words):
        with pytest.raises(KayentaError, match=words):
            judge(read_config(json.dumps(config(metric()))), data, LIMITS)

    def test_without_thresholds_there_is_no_answer(self):
        with pytest.raises(KayentaError, match="no scoreThresholds"):
            answer(SAME, limits=None)

    def test_outliers_are_removed_before_the_test(self):
        values = [1.0, 2.0, 3.0, 2.0, 1.0]

        assert prepare([*values, math.nan, 500.0], MetricConfig(remove_outliers=True)) == values
        assert prepare([*values, 500.0], MetricConfig()) == [*values, 500.0]


SAMPLES = st.lists(st.integers(0, 12).map(float), min_size=2, max_size=30)


class TestAgainstScipy:
    @given(SAMPLES)
    @settings(max_examples=60)
    def test_ranks(self, values):
        from scipy.stats import rankdata

        assert mid_ranks(values) == pytest.approx(list(rankdata(values)))

    @given(SAMPLES, SAMPLES)
    @settings(max_examples=60)
    def test_the_statistic_gives_scipys_p_value(self, x, y):
        from scipy.stats import mannwhitneyu

        if len(set(x + y)) == 1:
            return
        statistic = shift_statistic(0, 0, x, y)

        p = mannwhitneyu(x, y, method="asymptotic", use_continuity=True).pvalue
        assert 2 * NormalDist().cdf(-abs(statistic)) == pytest.approx(min(p, 1.0), rel=1e-6, abs=1e-9)
