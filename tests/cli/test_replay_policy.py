"""Another policy over the record of an earlier version, whose questions had other words."""

from dataclasses import replace
from itertools import takewhile

import pytest

from analysis.model import Sample, Series
from controller.cli.replay_memory import Memory
from controller.cli.replay_policy import what_if
from controller.core.world import Measured, Measurement
from controller.ports import Answer
from tests.evidence.recorded import HWAYO, recorded


def as_asked_before(look):
    """The look of a version that asked triggers in other words, and tried no query beforehand."""
    if look.measured is None:
        return look
    kept = {key: one for key, one in look.measured.answers.items() if not key.startswith("trial/")}
    asked = {key: replace(one, query=f"0 + {one.query}") for key, one in kept.items() if key.startswith("trigger/")}
    return replace(look, measured=Measured({**kept, **asked}))


def test_what_both_policies_ask_has_the_answer_of_the_record_whatever_the_words_were():
    """Else a team that tunes its policy on its own history loses that history with every upgrade."""
    bundle = recorded(HWAYO, "reports-fail")
    looks = [as_asked_before(look) for look in bundle.looks]
    (plan,) = bundle.specs.values()
    stricter = plan.model_copy(update={"analysis": plan.analysis.model_copy(update={"alpha": 0.001})})
    asked = {key for look in bundle.looks if look.measured for key in look.measured.answers}

    found = what_if(looks, stricter)

    assert {"trial", "trigger"} <= {"".join(takewhile(str.isalpha, key)) for key in asked}
    assert (found.parted, found.unknown, found.end.back) == (False, (), True)


def test_what_the_other_policy_alone_asks_is_not_in_the_record():
    bundle = recorded(HWAYO, "reports-fail")
    (plan,) = bundle.specs.values()
    asked = next(one for one in plan.triggers if one.query)
    changed = [one.model_copy(update={"query": f"1 * ({one.query})"}) if one is asked else one for one in plan.triggers]

    assert f"trigger/{asked.name}/candidate" in what_if(bundle.looks, plan.model_copy(update={"triggers": changed})).unknown


ANSWERED = 'reporter="source",destination_workload=~"shop|shop-green",destination_workload_namespace="shop"'


@pytest.mark.parametrize(
    ("selector", "known"),
    [
        (ANSWERED, True),
        ('destination_workload="shop-green",reporter="source",destination_workload_namespace="shop",response_code="503"', True),
        ('destination_workload=~"shop-green|shop",reporter="source",destination_workload_namespace="shop"', True),
        ('destination_workload="shop|shop-green",reporter="source",destination_workload_namespace="shop"', False),
        ('destination_workload="shop",reporter="destination",destination_workload_namespace="shop"', False),
        ('destination_workload="shop",destination_workload_namespace="shop"', False),
        ('destination_workload="cart",reporter="source",destination_workload_namespace="shop"', False),
        ('destination_workload=~"shop.*",reporter="source",destination_workload_namespace="shop"', False),
    ],
)
def test_series_that_nobody_asked_for_are_not_in_the_record(selector, known):
    """They may well have been there: an empty answer would hold, or pass, where the release would not have."""
    labels = (("__name__", "istio_requests_total"), ("destination_workload", "shop"))
    one = (Sample(0.0, 1.0),)
    computed = f"sum(rate(istio_requests_total{{{selector}}}[1m]))"
    sums = Measurement(Answer((Series((("pod", "a"),), one),), "matrix"), query=f"{computed}[1h:1m]")
    raw = Measurement(Answer((Series(labels, one),), "matrix"), query=f"istio_requests_total{{{ANSWERED}}}[45s]")
    look = replace(recorded(HWAYO, "reports-fail").looks[0], measured=Measured({"traffic": raw, "dispersion/errors": sums}))

    assert Memory.of([look]).knows(computed) is known
