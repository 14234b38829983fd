"""A question that cannot be put is no answer that is waited for: its check is inconclusive, and the release holds with a deadline."""

from dataclasses import replace

from controller.api.release import Phase
from tests.core.releases import NOW, a_release

MINE = {"name": "mine", "query": 'sum(jobs{revision="$revision"})', "limit": {"max": 1}}


def at_the_window_s_end(revision):
    """A release of this revision, whose window is over and whose one check was not asked yet."""
    there = a_release().with_plan(checks=[MINE], triggers=[], traffic={"virtualService": "shop", "metrics": "none"}).at_stage(1)
    window = there.status.stages[0].window.model_copy(update={"ran": 300.0, "last_sample": NOW - 1})
    stage = there.status.stages[0].model_copy(update={"window": window})
    spec = there.spec.model_copy(update={"revision": revision})
    return replace(there, spec=spec, status=there.status.model_copy(update={"stages": [stage]}))


def test_what_can_be_asked_is_waited_for():
    decision = at_the_window_s_end("v2").decided()

    assert (decision.status.phase, decision.wake_at) == (Phase.MEASURING, NOW)


def test_what_cannot_be_asked_holds_with_a_deadline():
    decision = at_the_window_s_end("").decided()

    assert decision.status.phase is Phase.HOLDING
    assert decision.status.hold.until > NOW
