"""A limit that no number of a built-in check keeps is an error; one that every number keeps is a warning."""

import pytest

from controller.api.validate import plan_findings, validate_text

GOOD = """\
apiVersion: penstock.dev/v1alpha1
kind: ReleasePlan
metadata: {name: shop, namespace: shop}
spec:
  workload: shop
  traffic: {virtualService: shop}
"""


def said(check: str) -> list:
    return [(one.severity, one.path, one.sentence) for one in validate_text(f"{GOOD}  checks: [{{name: a, {check}}}]\n")]


@pytest.mark.parametrize(
    ("check", "found"),
    [
        ("builtin: error-rate, limit: {max: -5}", "max -5 for error-rate, expected a number of at least 0 and at most 100"),
        ("builtin: error-rate, limit: {below: 0}", "below 0 for error-rate, expected a number above 0 and at most 100"),
        ("builtin: success-rate, limit: {min: 101}", "min 101 for success-rate, expected a number of at least 0 and at most 100"),
        ("builtin: latency, limit: {maxRatio: -1}", "maxRatio -1 for latency, expected a number of at least 0"),
        ("builtin: error-rate, limit: {maxDifference: -101}", "maxDifference -101 for error-rate, expected a number of at least -100"),
        ("builtin: up, limit: {min: 2}", "min 2 for up, expected a number of at least 0 and at most 1"),
    ],
    ids=str,
)
def test_a_limit_that_can_never_be_kept_is_an_error(check, found):
    [(severity, path, sentence)] = said(check)

    assert (severity, path) == ("error", "spec.checks[0].limit")
    assert sentence.startswith(f"found {found}")
    assert sentence.endswith("such a check can never pass")


@pytest.mark.parametrize(
    "check", ["builtin: error-rate, limit: {max: 100}", "builtin: latency, limit: {min: 0}", "builtin: memory, limit: {minRatio: 0}"]
)
def test_a_limit_that_can_never_be_crossed_is_a_warning(check):
    [(severity, _, sentence)] = said(check)

    assert severity == "warning"
    assert sentence.endswith("such a limit never fails")


@pytest.mark.parametrize(
    "check",
    [
        "builtin: error-rate, limit: {max: 0}",
        "builtin: latency, limit: {maxDifference: -20}",
        "builtin: error-rate, observe: true, limit: {max: 100}",
        "builtin: success-rate, limit: {min: 100}",
        'query: "sum(temperature{namespace=\\"$namespace\\",workload=\\"$workload\\"})", limit: {max: -5}',
    ],
    ids=str,
)
def test_a_limit_that_means_something_has_nothing_to_say(check):
    assert said(check) == []


def test_the_controller_refuses_such_a_plan_too():
    spec = {"workload": "shop", "traffic": {"virtualService": "shop"}, "checks": [{"name": "a", "builtin": "cpu", "limit": {"max": -1}}]}
    plan = {"apiVersion": "penstock.dev/v1alpha1", "kind": "ReleasePlan", "metadata": {"name": "shop"}, "spec": spec}

    assert [one.severity for one in plan_findings(plan)] == ["error"]
