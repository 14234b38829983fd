"""Another policy over the record of an earlier version, whose questions had other words."""

from dataclasses import replace
from itertools import takewhile

from controller.cli.replay_policy import what_if
from controller.core.world import Measured
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
