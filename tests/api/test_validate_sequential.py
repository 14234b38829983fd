"""What a plan may say about sequential checks, and what is said about it."""

import pytest

from controller.api.plan_checks import Check
from controller.api.validate import validate_text

GOOD = (
    "apiVersion: penstock.dev/v1alpha1\nkind: ReleasePlan\nmetadata: {name: shop, namespace: shop}\nspec:\n"
    "  workload: shop\n  traffic: {virtualService: shop}\n"
)


def said(check, more=""):
    """Severity and text of every finding of a plan with this check."""
    found = validate_text(f"{GOOD}{more}  checks:\n    - {{name: errors, {check}}}\n")
    return [(one.severity, f"{one.found}; {one.expected}; {one.hint}") for one in found]


def test_the_two_builtins_need_nothing_but_the_word():
    assert said("builtin: error-rate, method: sequential") == []
    assert said("builtin: latency, method: sequential") == []


def test_without_a_limit_and_a_method_they_are_judged_sequentially():
    """The words of a sequential check are then no words of the other method."""
    assert said("builtin: error-rate, tolerance: {difference: 0.2}") == []
    assert said("builtin: latency, effect: 10") == []


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("builtin: cpu", "no limit"),
        ("builtin: error-rate, method: threshold", "no limit"),
        ("builtin: latency, method: sequential, limit: {max: 1}", "expected tolerance instead"),
        ("builtin: error-rate, method: sequential, limit: {max: 0}", "max alone"),
        ("builtin: error-rate, method: sequential, limit: {max: 1, below: 2}", "max alone"),
        ("builtin: error-rate, method: sequential, limit: {maxRatio: 2}", "max alone"),
        ("builtin: error-rate, method: sequential, limit: {max: 1}, tolerance: {ratio: 2}", "a tolerance beside a limit"),
        ("builtin: up, method: sequential", "builtin: up with method: sequential"),
        ("builtin: cpu, method: sequential", "no limit of a sequential gauge"),
        ("query: up, method: sequential", "no limit of a sequential gauge"),
        ("builtin: cpu, method: sequential, limit: {max: 90}", "another limit of a sequential gauge"),
        ("builtin: cpu, method: sequential, limit: {maxRatio: 0.5}", "another limit of a sequential gauge"),
        ("counters: {total: a}", "neither bad nor good"),
        ("counters: {total: a, bad: b, good: c}", "bad and good"),
        ("counters: {total: a, bad: b}, method: threshold", "counters with method: threshold"),
        ("counters: {total: a, bad: b}, query: up", "exactly one of"),
        ("builtin: error-rate, method: sequential, repeat: {consecutive: 2}", "found repeat"),
        ("builtin: error-rate, method: sequential, tolerance: {ratio: 0.5}", "0.5"),
        ("builtin: error-rate, method: sequential, tolerance: {ratio: .inf}", "inf"),
        ("builtin: error-rate, method: sequential, tolerance: {difference: .nan}", "nan"),
        ("builtin: error-rate, method: sequential, tolerance: {difference: 1e400}", ""),
        ("builtin: error-rate, method: sequential, effect: .inf", ""),
        ("builtin: error-rate, method: sequential, weight: 0", "0"),
        ("builtin: error-rate, method: bayesian", "bayesian"),
    ],
)
def test_what_has_no_meaning_is_an_error(check, words):
    found = said(check)

    assert "error" in {severity for severity, _ in found}
    assert any(words.removeprefix("found ").replace("expected ", "") in text for _, text in found), found


@pytest.mark.parametrize("alpha", ["0", "0.9", "-1", "1"])
def test_alpha_is_a_small_probability(alpha):
    assert [severity for severity, _ in said("builtin: error-rate, method: sequential", f"  analysis: {{alpha: {alpha}}}\n")] == ["error"]


def test_a_tolerance_that_accepts_every_regression_is_a_warning_with_the_number():
    ((severity, text),) = said("builtin: error-rate, method: sequential, tolerance: {ratio: 3, difference: 6}")

    assert severity == "warning"
    assert "up to 7.5 % bad requests where blue has 0.5 %" in text


LATENCY = "builtin: latency, method: sequential, tolerance: "
EDGES = "lines: [{edge: 100, share: 20, bursts: 1, widest: 1}, {edge: 500, share: 0.2, bursts: 1, widest: 1}]"
MEASURED = f"  analysis: {{measured: {{until: 1, hours: 24, checks: [{{builtin: latency, workload: shop, {EDGES}}}]}}}}\n"


def test_a_tolerance_of_latency_that_accepts_every_regression_is_a_warning_with_the_number():
    ((severity, text),) = said(f"{LATENCY}{{difference: 60}}")

    assert severity == "warning"
    assert "up to 65.5 % slow requests where blue has 5 %" in text
    assert said(f"{LATENCY}{{ratio: 2}}") == []


def test_what_was_measured_is_what_a_tolerance_is_held_against():
    assert said(f"{LATENCY}{{ratio: 6}}", MEASURED) == []  # at 500 ms it still finds something
    assert "up to 90.2 % slow requests where blue has 0.2 %" in said(f"{LATENCY}{{difference: 90}}", MEASURED)[0][1]


def test_an_alpha_that_rolls_back_many_healthy_releases_is_a_warning_with_the_number():
    ((severity, text),) = said("builtin: error-rate, method: sequential", "  analysis: {alpha: 0.25}\n")

    assert (severity, "one healthy release in 4 may go back" in text) == ("warning", True)
    assert said("builtin: error-rate, method: sequential", "  analysis: {alpha: 0.05}\n") == []


def test_an_effect_that_the_tolerance_allows_could_never_pass():
    check = "builtin: error-rate, method: sequential, tolerance: {ratio: 2, difference: 1}, effect: 2"

    assert [severity for severity, _ in said(check)] == ["warning"]
    assert [severity for severity, _ in said(check, "  analysis: {errorRate: 1}\n")] == ["error"]


def test_words_of_the_other_method_are_named():
    assert [severity for severity, _ in said("builtin: latency, method: sequential, quantile: 0.9")] == ["warning"]
    assert [severity for severity, _ in said("builtin: latency, limit: {maxRatio: 1.2}, effect: 5")] == ["warning"]


def test_a_return_home_is_judged_so_too():
    assert said("builtin: error-rate, method: sequential", "  finish: {mode: home}\n") == []


def test_an_objective_stands_beside_the_baseline():
    assert said("builtin: error-rate, method: sequential, limit: {max: 1}") == []


SOON = "  stages: [{weight: 10, window: 5m, earlyAfter: 1m}, {weight: 100}]\n"


def test_a_stage_that_may_pass_early_needs_nothing_else():
    assert said("builtin: error-rate", SOON) == []


@pytest.mark.parametrize(
    ("check", "more", "severity", "words"),
    [
        ("builtin: error-rate", SOON.replace("{weight: 100}", "{weight: 100, earlyAfter: 1m}"), "error", "no blue to compare with"),
        ("builtin: error-rate", SOON.replace("earlyAfter: 1m", "earlyAfter: 6m"), "warning", "the window has ended by then"),
        ("builtin: error-rate, limit: {max: 1}", SOON, "warning", "earlyAfter with errors against a limit"),
        ("builtin: error-rate", f"{SOON}  analysis: {{beta: 0.25}}\n", "warning", "one release in 4 that is beyond the margin"),
        ("builtin: error-rate, margin: {difference: 60}", SOON, "warning", "a margin of up to 60.8 % bad requests where blue has 0.5 %"),
    ],
)
def test_what_keeps_a_stage_from_passing_early_or_lets_any_green_pass_is_named(check, more, severity, words):
    ((found, text),) = said(check, more)

    assert found == severity
    assert words in text


COUNTERS = "counters: {total: 'pay{app=\"$workload\"}', bad: 'lost{app=\"$workload\"}'}"


def test_counters_of_ones_own_need_nothing_else():
    assert said(COUNTERS) == []
    assert said(COUNTERS + ", limit: {max: 2}, weight: 0.2") == []


@pytest.mark.parametrize(
    ("check", "severity", "words"),
    [
        ("counters: {total: 'sum(pay)', bad: 'lost{app=\"$workload\"}'}", "error", "a query that computes something"),
        ("counters: {total: 'rate(pay[1m])', bad: 'lost{app=\"$workload\"}'}", "error", "a query that computes something"),
        ("counters: {total: 'pay{', bad: 'lost{app=\"$workload\"}'}", "error", "a plain selector"),
        ("counters: {total: 'pay{app=\"$thing\"}', bad: 'lost{app=\"$workload\"}'}", "error", "unknown parameter $thing"),
        ("counters: {total: 'pay{app=\"$workload\"}', good: paid}", "error", "the same selector for both versions"),
        ('counters: {total: \'pay{a="b",c="$workload"}\', good: \'pay{c="$workload",a="b"}\'}', "error", "no request ever fails"),
        ("counters: {total: 'pay{app=\"$workload\"}', bad: 'pay{app=\"$workload\"}'}", "error", "every request fails, on both versions"),
        ("builtin: error-rate, method: sequential, limit: {max: 60}", "warning", "an objective of 60 % bad requests"),
        ("builtin: memory, method: sequential, limit: {maxRatio: 1.2}", "warning", "whose history is not known"),
    ],
)
def test_what_counters_objectives_and_gauges_cannot_mean_is_named(check, severity, words):
    found = said(check)

    assert [one for one, _ in found] == [severity]
    assert words in found[0][1]


GAUGE = "builtin: memory, method: sequential, "
ASKED = Check(name="errors", builtin="memory", method="sequential", limit={"max_ratio": 1.2}).asked_of("shop")


def known(variance):
    """An analysis that knows the gauge `errors`."""
    lines = "checks: [{builtin: error-rate, workload: shop, lines: [{share: 1, bursts: 1, widest: 1}]}]"
    gauge = f"gauges: [{{check: errors, asked: {ASKED}, variance: {variance}}}]"
    return f"  analysis: {{measured: {{until: 1, hours: 24, {lines}, {gauge}}}}}\n"


def test_a_gauge_whose_history_is_known_needs_a_limit_that_its_window_can_show():
    assert said(GAUGE + "limit: {maxRatio: 1.2}", known(0.5)) == []
    slow = said(GAUGE + "limit: {maxRatio: 1.2}", known(50))
    assert [severity for severity, _ in slow] == ["warning"] * 3
    assert any("50 % worse than blue, which takes 14,072 s of pairs, in a window of 300 s at 5 %" in text for _, text in slow)
    assert "is within its limit" in said(GAUGE + "limit: {maxRatio: 1.2}, effect: 10", known(0.5))[0][1]


def test_a_limit_of_a_gauge_that_accepts_everything_is_a_warning_with_the_number():
    for limit in ("{maxRatio: 20}", "{minRatio: 0.05}"):
        assert any("that may be 20 times as bad as blue's" in text for _, text in said(f"{GAUGE}limit: {limit}", known(0.1)))


def test_words_that_a_gauge_does_not_have_are_named():
    assert [text for _, text in said(GAUGE + "limit: {maxRatio: 1.2}, weight: 0.3", known(0.5)) if "weight of a gauge" in text]
