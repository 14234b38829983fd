"""The order of writes, searched exhaustively; each rule is needed."""

from dataclasses import fields, replace

import pytest

from tests.protocol.model import Rules, search


def test_the_product_s_rules_leave_no_breach():
    """No interleaving of two controllers, a crash and a late write breaks S2, S3, S7 or S8."""
    assert search(Rules()) == ""


@pytest.mark.parametrize("rule", [field.name for field in fields(Rules)])
def test_taking_one_rule_out_makes_the_search_find_a_breach(rule):
    """A rule whose absence nobody notices would be worth nothing."""
    assert search(replace(Rules(), **{rule: False})) != ""
