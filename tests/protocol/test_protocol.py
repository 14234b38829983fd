"""The order of writes, searched exhaustively; each rule is needed."""

from dataclasses import fields, replace

import pytest

from tests.protocol.model import Bounds, Rules, search
from tests.sizes import most_telling

UNTAKEN = Bounds(versions=6, crashes=0, refusals=1, by_hand=1)
"""The cluster refuses one write of a rollback, and somebody puts the route on blue by hand."""


def test_the_product_s_rules_leave_no_breach():
    """No interleaving of two controllers, a crash and a late write breaks S2, S3, S7 or S8."""
    assert search(Rules()) == ""


RULES = [field.name for field in fields(Rules)]


TELLING = ("targets_first", "grant_before_weight", "verdict_before_grant", "late_rollback_looks_again")


@pytest.mark.parametrize("rule", most_telling(*TELLING, of=RULES))
def test_taking_one_rule_out_makes_the_search_find_a_breach(rule):
    """A rule whose absence nobody notices would be worth nothing."""
    bounds = UNTAKEN if rule == "stamp_before_end" else None
    assert search(replace(Rules(), **{rule: False}), bounds) != ""


@pytest.mark.long
def test_a_rollback_that_is_written_down_after_its_write_was_refused_leaves_no_breach():
    """The record then goes before the traffic; it ends only with our own stamp on the route, whoever put the weights on blue."""
    assert search(Rules(), UNTAKEN) == ""
