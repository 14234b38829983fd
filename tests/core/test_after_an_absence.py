"""What a controller decides that comes back after nobody looked for a while; both were shown by kills on a real API server."""

from dataclasses import replace

import pytest

from analysis.model import Outcome
from controller.api.release import Phase, RollbackStatus
from controller.core import reasons
from controller.core.commands import RecordKind
from tests.core.releases import GREEN, NOW, a_release

LATE = 10 * 3600.0


def by_clock(**spec):
    """A plan whose windows need no answers, so that the next look may end one."""
    return {"traffic": {"virtualService": "shop", "metrics": "none"}, "checks": [], "triggers": [], **spec}


class TestAHoldForData:
    def test_a_verdict_that_ends_it_has_its_record(self):
        stages = [{"weight": 50, "window": "95s"}, {"weight": 100}]
        held = a_release().with_plan(**by_clock(stages=stages)).at_stage(1).holding(reasons.NO_DATA, until=NOW + 100)

        decision = held.decided()

        assert decision.status.stages[-1].verdict is Outcome.PASS
        assert [entry.kind for entry in decision.records] == [RecordKind.VERDICT]

    def test_one_whose_deadline_passed_while_nobody_looked_goes_on_where_there_are_data(self):
        stages = [{"weight": 50, "window": "20m"}, {"weight": 100}]
        held = a_release().with_plan(**by_clock(stages=stages)).at_stage(1).holding(reasons.NO_DATA, until=NOW - 100)

        assert held.decided().status.phase is Phase.MEASURING

    def test_and_goes_back_where_there_are_none(self):
        held = a_release().at_stage(1).holding(reasons.NO_DATA, until=NOW - 100)

        assert (held.decided().status.phase, held.decided().status.rollback.reason) == (Phase.ROLLING_BACK, reasons.NO_DATA_DEADLINE)


class TestThePreparationsDeadline:
    def test_a_green_that_got_ready_meanwhile_goes_on(self):
        decision = a_release().in_phase(Phase.PREPARING, phase_since=NOW - LATE, ready_at=NOW - LATE).decided()

        assert (decision.status.phase, decision.status.grant) == (Phase.SHIFTING, 5)

    def test_a_green_that_did_not_is_rolled_back(self):
        late = replace(a_release().in_phase(Phase.PREPARING, phase_since=NOW - LATE), green=replace(GREEN, available=0))

        assert late.decided().status.reason == reasons.PREPARATION_DEADLINE

    @pytest.mark.parametrize(("weight", "phase"), [(0, Phase.TEARING_DOWN), (5, Phase.ROLLING_BACK)])
    def test_only_a_blue_that_takes_something_back_is_waited_for(self, weight, phase):
        """Where green never had a request nobody was moved, and nothing is said of a blue that had nothing to take."""
        late = a_release().in_phase(Phase.PREPARING, phase_since=NOW - LATE, max_weight=weight).rolling_back(traffic_at=NOW - 1)
        late = replace(late, status=late.status.model_copy(update={"max_weight": weight}), blue=replace(late.blue, ready=0, available=0))

        status = late.decided().status

        assert (status.phase, status.rollback.blue_unhealthy, status.rollback.overruns) == (phase, False, [])

    def test_routes_that_another_release_keeps_are_not_waited_for_beyond_it(self):
        late = a_release().in_phase(Phase.PREPARING, phase_since=NOW - LATE)

        decision = replace(late, route=replace(late.route, owner="another")).decided()

        assert decision.status.reason == reasons.PREPARATION_DEADLINE


class TestARouteThatWasDeletedInARollback:
    def test_once_it_is_back_the_rollback_goes_on_for_its_own_reason_and_since_its_own_time(self):
        owed = RollbackStatus(reason=reasons.ROLLBACK_REQUESTED, message="Rollback asked by bob.", decided_at=NOW - 40)
        halted = a_release().at_stage(2).in_phase(Phase.HALTED, rollback=owed, weight=0)

        decision = halted.decided()

        assert (decision.status.phase, decision.status.message) == (Phase.ROLLING_BACK, "Rollback asked by bob.")
        assert decision.status.rollback == owed


class TestAHalt:
    def test_keeps_its_sentence_at_the_next_look(self):
        """Told without its detail, as the first version did, it left an empty line where the person looks for the reason."""
        halted = a_release().at_stage(2).in_phase(Phase.HALTED, reason=reasons.BLUE_GONE, message="Deployment shop/shop (blue) is gone")

        decision = halted.decided()

        assert decision.status.message == "Deployment shop/shop (blue) is gone"
        assert decision.wake_at is not None
