"""What is said about a query before it runs: where it is wrong, and what it really asks for."""

import random

import pytest
from promql_reference import queries

from controller.api.promql import AdviceKind, ProblemKind, advice, check_query, facts
from controller.api.promql_filled import filled_up, with_failures_filled
from controller.api.promql_syntax import MAX_LENGTH, MAX_NESTING, MAX_OPERATORS

HWAYO_ERRORS = 'rate(http_requests_total{status=~"5.."}[5m]) / rate(http_requests_total[5m]) * 100'
HWAYO_LATENCY = "histogram_quantile(0.95, rate(http_request_duration_seconds_bucket[5m]))"
HWAYO_MEMORY = "avg(container_memory_usage_bytes / container_spec_memory_limit_bytes) * 100"
HWAYO_LOGIN = "rate(user_login_success_total[5m]) / rate(user_login_attempts_total[5m]) * 100"
GOOD = 'sum(rate(x{namespace="green",code=~"5.."}[15m])) / sum(rate(x{namespace="green"}[15m]))'


@pytest.mark.parametrize(
    ("query", "line", "column", "words"),
    [
        ("sum(x", 1, 4, "unclosed left parenthesis"),
        ("x)", 1, 2, "unexpected ')'"),
        ("sum(x) by by (a)", 1, 11, "unexpected 'by'"),
        ("rate(x[5m)", 1, 10, "unexpected ')'"),
        ("x{a=b}", 1, 5, "unexpected 'b'"),
        ('x{a="b', 1, 5, "unterminated string"),
        ('x{a="\\q"}', 1, 5, "unknown escape"),
        ('x{a=~"("}', 1, 6, "illegal regex"),
        ("1 +", 1, 4, "unexpected end of the query"),
        ("", 1, 1, "no expression found"),
        ("a\n  + sum(rate(x[5m])", 2, 8, "unclosed left parenthesis"),
        ("sum(irrate(x[5m]))", 1, 5, "unknown function with name 'irrate'"),
        ("sum(x) + rate(y)", 1, 10, "expected type matrix in call to function 'rate', got vector"),
        ("2 * sum(3)", 1, 5, "expected type vector"),
        ('x{ns="$n"}[$window]', 1, 12, "unexpected '$'"),
        ("x[5m1h]", 1, 3, "not a valid duration"),
        ("x[1e400]", 1, 3, "'1e400' is not a duration"),
        ("x[5m:99999999y]", 1, 5, "'99999999y' is not a duration"),
        ("x offset -99999999999999999999s", 1, 11, "is not a duration"),
        ("x offset Inf", 1, 10, "'Inf' is not a duration"),
        ("x @ 1e300", 1, 5, "'1e300' is not a duration or time"),
        ("x @ -5", 1, 5, "before 1970"),
        ('x{a="1" or b="2"}', 1, 9, "unexpected 'or'"),
        ("x # a comment (\n y", 2, 2, "unexpected 'y'"),
    ],
)
def test_a_syntax_error_has_its_place(query, line, column, words):
    (problem,) = check_query(query)

    assert (problem.kind, problem.line, problem.column) == (ProblemKind.SYNTAX, line, column)
    assert words in problem.message
    assert problem.hint.split("\n")[1] == " " * (column - 1) + "^"


def test_a_good_query_has_no_problem():
    assert check_query(GOOD) == []


def test_a_label_may_be_called_or():
    assert check_query('x{or="1",a="2"}') == []


@pytest.mark.parametrize("query", ["sum(mad_over_time(x[5m]))", "sum(holt_winters(x[5m], 0.1, 0.2))"])
def test_a_function_that_only_the_simulator_lacks_is_named_as_such(query):
    (problem,) = check_query(query)

    assert (problem.kind, problem.column) == (ProblemKind.UNSUPPORTED, 5)
    assert "the simulator does not know the function" in problem.message


@pytest.mark.parametrize(
    "query", ["(" * (MAX_NESTING + 1) + "1" + ")" * (MAX_NESTING + 1), "1" + "+1" * (MAX_OPERATORS + 1), "x" * (MAX_LENGTH + 1)]
)
def test_a_query_too_large_for_a_recursive_parser_is_refused_with_a_sentence(query):
    (problem,) = check_query(query)

    assert "more than" in problem.message


def test_the_largest_queries_that_are_accepted_can_be_read_and_described():
    assert facts("(" * MAX_NESTING + "1" + ")" * MAX_NESTING).result_type == "scalar"
    assert facts("x" + " + x" * MAX_OPERATORS).result_type == "vector"


def damaged_queries():
    """Each query of the list with a few characters changed, always the same ones."""
    dice = random.Random(7)
    for query in queries():
        at = dice.randrange(len(query))
        yield query[:at] + dice.choice(["", "(", "}", "$", " by ", "[", '"', "@", "5m", "é"]) + query[at + dice.randrange(3) :]


def test_damaged_queries_never_end_in_anything_but_a_sentence_with_a_place_in_the_text():
    places = {query: problem for query in damaged_queries() for problem in check_query(query)}

    assert len(places) > 200
    assert [query for query, one in places.items() if not one.message or not 1 <= one.column <= len(query) + 1] == []


def test_facts_name_metrics_matchers_ranges_and_functions():
    found = facts(HWAYO_ERRORS)

    assert found.metrics == ("http_requests_total",)
    assert [(one.name, one.op, one.value) for one in found.selectors[0].matchers] == [("status", "=~", "5..")]
    assert (found.ranges, found.functions, found.result_type) == ((300.0,), ("rate",), "vector")


@pytest.mark.parametrize(
    ("query", "one"),
    [
        ("x", False),
        ("sum(x)", True),
        ("sum by (a) (x)", False),
        ("sum without (a) (x)", False),
        ("sum by () (x)", True),
        ("-abs(sum(x))", True),
        ("histogram_quantile(0.9, sum by (le) (rate(x[5m])))", True),
        ("histogram_quantile(0.9, sum by (le, pod) (rate(x[5m])))", False),
        ("sum(x) / sum(y) * 100", True),
        ("x / on() sum(y)", True),
        ("x / on(a) group_left y", False),
        ("x / on() group_left sum(y)", False),
        ("sum(y) / on() group_right x", False),
        ("sum(x) and y", True),
        ("y and sum(x)", False),
        ("sum(x) or vector(0)", True),
        ("histogram_quantile(0.9, sum by (le) (rate(x[5m]))) or vector(0)", True),
        ("sum by (a) (x) or on() vector(0)", False),
        ("topk(1, x) or on() vector(0)", True),
        ("topk(1, x) or vector(0)", False),
        ("sum(x) or y", False),
        ("topk(1, x)", True),
        ("topk(2, x)", False),
        ("count_values('v', x)", False),
        ("max_over_time(sum(x)[5m:1m])", True),
        ("x[5m]", False),
        ("absent(x)", True),
        ("vector(1)", True),
        ("scalar(x) * 2", True),
        ("scalar(x) * y", False),
        ("time()", True),
        ("label_replace(sum(x), 'a', 'b', '', '')", True),
    ],
)
def test_whether_an_answer_has_at_most_one_series(query, one):
    assert facts(query).one_series is one


def kinds(query, **options):
    return [one.kind for one in advice(query, **options)]


def test_the_error_rate_as_hwayo_wrote_it_is_explained():
    first, *others = advice(HWAYO_ERRORS, green={"hwayo-production-green"}, window_seconds=900)

    assert first.kind is AdviceKind.LABEL_BY_LABEL
    assert "divides two vectors label by label (status differs between the sides)" in first.sentence
    assert "all others give no result" in first.sentence
    assert [one.kind for one in others] == [AdviceKind.MANY_SERIES, AdviceKind.NO_SELECTOR, AdviceKind.SHORT_RANGE]
    assert "has no selector for green" in others[1].sentence
    assert "67 % of the window is never judged" in others[2].sentence


def test_the_other_queries_as_hwayo_wrote_them_are_warned_about():
    assert kinds(HWAYO_LATENCY) == [AdviceKind.MANY_SERIES]
    assert kinds(HWAYO_LOGIN) == [AdviceKind.LABEL_BY_LABEL, AdviceKind.MANY_SERIES]
    assert kinds(HWAYO_MEMORY) == []
    assert kinds(HWAYO_MEMORY, green={"green"}) == [AdviceKind.NO_SELECTOR, AdviceKind.NO_SELECTOR]


def test_a_query_of_sums_over_green_and_the_window_needs_no_advice():
    assert advice(GOOD, green={"green"}, window_seconds=900) == []


def test_a_range_longer_than_the_window_reaches_back_before_it():
    (one,) = advice(GOOD, window_seconds=300)

    assert one.kind is AdviceKind.LONG_RANGE


def test_a_regular_expression_around_greens_name_selects_green():
    assert facts('x{pod=~"api-green-.*"}').selectors[0].mentions({"api-green"})
    assert not facts('x{pod!="api-green"}').selectors[0].mentions({"api-green"})


def test_matching_on_purpose_is_not_taken_for_a_mistake():
    assert facts("x / ignoring(code) y").pairings == ()
    assert facts("sum(x) / sum(y)").pairings == ()
    assert facts("x and y").pairings == ()


@pytest.mark.parametrize(
    ("query", "counters"),
    [
        ("sum(x_total)", ("x_total",)),
        ("avg_over_time((avg(x_total))[5m:1m])", ("x_total",)),
        ("max_over_time(x_sum[5m]) - sum(rate(x_total[5m]))", ("x_sum",)),
        ("sum(rate(x_total[5m]))", ()),
        ("sum(increase(x_total[5m]) or vector(0))", ()),
        ("sum(x_total) / sum(y_total)", ()),
        ("sum(x_total) / 60", ("x_total",)),
        ("count(x_total)", ()),
        ("histogram_quantile(0.9, sum by (le) (x_bucket))", ()),
        ("avg(heap_bytes)", ()),
    ],
)
def test_a_counter_that_is_read_as_it_stands_is_seen(query, counters):
    assert facts(query).standing == counters


@pytest.mark.parametrize(
    ("query", "larger"),
    [
        ("sum(rate(x_total[5m]))", True),
        ("avg(rate(cpu_seconds_total[5m]))", True),
        ("100 * (sum(increase(x_total[5m])) or vector(0)) / 60", True),
        ("sum(rate(x_total[5m])) / count(up)", True),
        ("max_over_time(sum(rate(x_total[1m]))[5m:1m])", True),
        ("sum(rate(x_total[5m])) / sum(rate(y_total[5m]))", False),
        ("1 - sum(rate(x_total[5m])) / sum(rate(y_total[5m]))", False),
        ("histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))", False),
        ("avg(heap_bytes)", False),
        ("count(rate(x_total[5m]) > 0)", False),
    ],
)
def test_what_more_requests_make_larger_is_told_from_a_share_of_them(query, larger):
    assert facts(query).by_traffic is larger


@pytest.mark.parametrize(
    ("query", "larger"),
    [
        ("sum(increase(x_total[5m]))", True),
        ("(sum(increase(x_total[5m])) or vector(0)) / 300", True),
        ("sum(count_over_time(up[5m]))", True),
        ("sum(increase(x_total[5m])) / sum(increase(y_total[5m]))", False),
        ("sum_over_time(x[5m]) / count_over_time(x[5m])", False),
        ("sum(rate(x_total[5m]))", False),
        ("histogram_quantile(0.9, sum by (le) (increase(x_bucket[5m])))", False),
    ],
)
def test_what_a_longer_range_makes_larger_is_told_from_a_rate(query, larger):
    assert facts(query).by_range is larger


def test_a_fixed_range_of_a_count_is_not_to_become_the_window():
    (one,) = advice('sum(increase(x_total{a="green"}[1m]))', green={"green"}, window_seconds=300)

    assert one.kind is AdviceKind.COUNTED_RANGE


@pytest.mark.parametrize("query", ["sum(x) > 5", "(sum(rate(x[5m])) / sum(rate(y[5m])) >= 0.05)", "-(sum(x) == 0)", "sum(x) < sum(y)"])
def test_an_alerts_expression_has_no_result_while_all_is_well(query):
    """What people paste from an alerting rule: its comparison keeps the bad values and drops the others."""
    (one,) = advice(query)

    assert one.kind is AdviceKind.FILTERED
    assert "no result at all" in one.sentence


@pytest.mark.parametrize("query", ["sum(x) > bool 5", "sum(x) / (sum(y) > 0)", "sum(x > 5)", "1 > bool 2", "sum(x)"])
def test_a_comparison_that_leaves_a_result_is_no_mistake(query):
    assert advice(query) == []


@pytest.mark.parametrize(
    ("query", "filled"),
    [
        ("sum(rate(e[5m])) or vector(0)", True),
        ("sum(rate(e[5m])) / sum(rate(r[5m])) or on() vector(1)", True),
        ("100 * max(sum(e) or vector(0))", True),
        ("clamp_min(sum(e) or vector(0), 0)", True),
        ("(sum(rate(e[5m])) or vector(0)) / sum(rate(r[5m]))", False),
        ("(sum(e) or vector(0)) / (sum(r) > 0)", False),
        ("sum(e) or sum(r)", False),
        ("absent(up)", False),
        ("max(absent(up) or vector(0))", False),
        ("(sum(a) or vector(0)) > bool 5", True),
        ("max_over_time((sum(rate(a[1m])) or vector(0))[10m:1m])", True),
        ('sum(label_replace(vector(0), "a", "b", "", "") or a)', True),
        ("scalar(sum(e)) + 1", False),
        ("vector(1)", False),
    ],
)
def test_a_number_that_missing_data_has_too_is_told(query, filled):
    """It would pass, or fail, of nothing."""
    assert filled_up(query) is filled
    assert [one.kind for one in advice(query)] == [AdviceKind.FILLED_UP] * filled


@pytest.mark.parametrize(
    ("query", "instead"),
    [
        ("sum(rate(e[$window])) / sum(rate(r[$window])) or vector(0)", "(sum(rate(e[$window])) or vector(0)) / sum(rate(r[$window]))"),
        ("(100 * (sum(e) / sum(r))) or on() vector(0)", "100 * ((sum(e) or vector(0)) / sum(r))"),
        ("1 - sum(e) / sum(r) or (vector(1))", "1 - (sum(e) or vector(0)) / sum(r)"),
        (
            r"""sum(e{a=~"5..|\d",b='"0"'}) / sum(r{w="$workload"}) or vector(0)""",
            r"""(sum(e{a=~"5..|\d",b='"0"'}) or vector(0)) / sum(r{w="$workload"})""",
        ),
    ],
)
def test_a_share_is_filled_up_in_its_numerator_alone(query, instead):
    assert with_failures_filled(query) == instead


@pytest.mark.parametrize(
    "query",
    [
        "sum(e) or vector(0)", "sum(e) / sum(r)", "(sum(e) or vector(0)) / sum(r)", "sum by (le) (e) / sum(r) or vector(0)",
        "sum(e) - sum(r) or vector(0)", "sum(e) / sum(r) or sum(e) / sum(s) or vector(0)", "sum(e) / sum(r) or sum(s)",
    ],
)  # fmt: skip
def test_what_is_no_share_or_has_labels_stays(query):
    assert with_failures_filled(query) == query


def test_within_backticks_nothing_is_escaped():
    """So people write patterns; a plan with one was refused as no PromQL."""
    query = r"""sum(rate(x_total{path=~`/a\d+"/.*`,b="\\d`"}[5m]))"""

    (one,) = facts(query).selectors

    assert check_query(query) == []
    assert [matcher.value for matcher in one.matchers] == [r'/a\d+"/.*', r"\d`"]
