"""What a plan may say about Kayenta's judge, and what is said about it."""

import pytest

from controller.api.validate import validate_text

PLAN = (
    "apiVersion: penstock.dev/v1alpha1\nkind: ReleasePlan\nmetadata: {name: shop, namespace: shop}\nspec:\n"
    "  workload: shop\n  traffic: {virtualService: shop}\n  stages: [{weight: 5}, {weight: 50, window: 60m}, {weight: 100}]\n"
)
QUERY = "'sum(errors{workload=\"$workload\"})'"
METRIC = f"{{name: a, query: {QUERY}, groups: [all], direction: increase}}"


def said(asked=f"{{metrics: [{METRIC}]}}", check="method: kayenta, stages: [50]"):
    """Severity and text of every finding of a plan with this check."""
    found = validate_text(f"{PLAN}  checks:\n    - {{name: canary, {check}, kayenta: {asked}}}\n")
    return [(one.severity, f"{one.found}; {one.expected}; {one.hint}") for one in found]


def test_a_metric_with_a_query_and_a_group_is_enough():
    assert said() == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("{metrics: []}", "at least 1"),
        (f"{{metrics: [{METRIC}, {METRIC}]}}", "the metric a a second time"),
        (f"{{metrics: [{{name: a, query: {QUERY}}}]}}", "no metric with groups"),
        (f"{{metrics: [{{name: a, query: {QUERY}, groups: [all], muted: true}}]}}", "no metric with groups"),
        (f"{{metrics: [{METRIC}], groupWeights: {{other: 10}}}}", "a weight of other"),
        (f"{{metrics: [{METRIC}, {{name: b, query: {QUERY}, groups: [b]}}], groupWeights: {{all: 60, b: 60}}}}", "120 % together"),
        (f"{{metrics: [{METRIC}], scoreThresholds: {{pass: 50, marginal: 60}}}}", "marginal 60 above pass 50"),
        (f"{{metrics: [{METRIC}], step: 0s}}", "a step of 0 s"),
        (f"{{metrics: [{METRIC}], step: 15m}}", "4 values in the window of 50 %"),
        (f"{{metrics: [{METRIC}], judge: other}}", "judge"),
        ("{metrics: [{name: a, query: 'sum(', groups: [all]}]}", "PromQL"),
        ("{metrics: [{name: a, query: 'sum(x{a=\"$nothing\"})', groups: [all]}]}", "unknown parameter $nothing"),
        (f"{{metrics: [{{name: a, query: {QUERY}, groups: [all], direction: up}}]}}", "up"),
    ],
)
def test_a_mistake_is_an_error_that_says_what_was_expected(asked, words):
    errors = [text for severity, text in said(asked) if severity == "error"]

    assert any(words in text for text in errors), errors


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("method: sequential, stages: [50]", "one of method: kayenta and kayenta alone"),
        ("stages: [50]", "one of method: kayenta and kayenta alone"),
        ("method: kayenta, stages: [50], limit: {max: 1}", "a limit or repeat with method: kayenta"),
        ("method: kayenta, stages: [50], repeat: {consecutive: 2}", "a limit or repeat with method: kayenta"),
        ("method: kayenta, stages: [50], builtin: latency", "builtin and kayenta"),
    ],
)
def test_it_goes_with_its_name_and_alone(check, words):
    errors = [text for severity, text in said(check=check) if severity == "error"]

    assert any(words in text for text in errors), errors


def test_asking_it_often_is_a_warning_with_the_chance():
    """Two metrics, one of them judged both ways, at two stages: six chances of one in a hundred."""
    both = f"{{metrics: [{METRIC}, {{name: b, query: {QUERY}, groups: [all]}}], step: 6s}}"

    ((severity, text),) = [one for one in said(both, "method: kayenta, stages: [5, 50]") if "stages" in one[1]]

    assert severity == "warning"
    assert "Kayenta's judge at 2 stages: in up to 6 % of healthy releases some metric fails by chance" in text


def test_a_range_that_is_not_the_step_is_no_mistake():
    assert said("{metrics: [{name: a, query: 'sum(rate(errors{workload=\"$workload\"}[2m]))', groups: [all]}]}") == []
    assert said("{metrics: [{name: a, query: 'sum(rate(errors{workload=\"$workload\"}[$window]))', groups: [all]}]}") == []


def test_few_values_are_a_warning():
    ((severity, text),) = said(f"{{metrics: [{METRIC}], step: 2m}}")

    assert (severity, text.startswith("30 values in the window of 50 %; 50 or more")) == ("warning", True)


def test_what_more_requests_make_larger_is_named_where_the_versions_have_different_numbers_of_them():
    asked = "{metrics: [{name: a, query: 'sum(rate(errors_total{workload=\"$workload\"}[1m]))', groups: [all]}]}"

    assert said(asked) == []
    assert any("more requests make larger, compared with blue's at 5 and 100 %" in text for _, text in said(asked, "method: kayenta"))
