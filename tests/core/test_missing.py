"""Workloads that vanish or shrink in mid-release, and steps that find the world changed since they were granted."""

from dataclasses import replace

import pytest

from analysis.model import Outcome
from controller.api.release import CheckStatus, ManagedObject, Phase, Verb
from controller.core import reasons
from controller.core.commands import SetWeight
from tests.core.releases import NOW, a_release, names

EXPOSED = [Phase.SHIFTING, Phase.MEASURING]


def gone(view):
    return replace(view, found=False, replicas=0, ready=0, available=0, endpoints=0)


def granted(weight=5):
    """The grant of 25 % is stored, its weight not yet written."""
    release = a_release().at_stage(2, Phase.SHIFTING)
    first, second = release.status.stages
    second = second.model_copy(update={"shifted_at": 0.0, "settled_at": 0.0, "window": None})
    status = release.status.model_copy(update={"weight": weight, "stages": [first, second]})
    return replace(release, status=status, route=replace(release.route, green_weight=weight))


class TestADeletedWorkload:
    @pytest.mark.parametrize("phase", EXPOSED)
    def test_without_green_everybody_goes_back_at_once(self, phase):
        release = a_release().at_stage(2, phase)

        decision = replace(release, green=gone(release.green)).decided()

        assert (decision.status.phase, decision.status.reason) == (Phase.ROLLING_BACK, reasons.TARGET_GONE)
        assert names(decision) == ["RollBackRoutes"]

    def test_green_that_is_being_deleted_counts_as_gone(self):
        release = a_release().at_stage(2)

        assert replace(release, green=replace(release.green, terminating=True)).decided().status.phase is Phase.ROLLING_BACK

    @pytest.mark.parametrize(("uid", "phase"), [("g", Phase.MEASURING), ("another", Phase.ROLLING_BACK)])
    def test_a_namesake_of_green_was_never_judged(self, uid, phase):
        release = a_release().at_stage(2)
        written = ManagedObject(kind="Deployment", namespace="shop", name="shop-green", uid="g", made=True)
        status = release.status.model_copy(update={"objects": [written]})

        assert replace(release, status=status, green=replace(release.green, uid=uid)).decided().status.phase is phase

    @pytest.mark.parametrize("phase", EXPOSED)
    def test_without_blue_it_stops_where_it_stands(self, phase):
        release = a_release().at_stage(2, phase)

        decision = replace(release, blue=gone(release.blue)).decided()

        assert (decision.status.phase, decision.status.reason, decision.status.weight) == (Phase.HALTED, reasons.BLUE_GONE, 25)
        assert names(decision) == []

    @pytest.mark.parametrize(("blue_is_there", "phase"), [(True, Phase.TEARING_DOWN), (False, Phase.HALTED)])
    def test_green_is_not_taken_down_while_it_is_all_that_is_left(self, blue_is_there, phase):
        release = a_release().at_stage(2).rolling_back(Phase.TEARING_DOWN, traffic_at=NOW - 100, drained_at=NOW - 1)
        release = release if blue_is_there else replace(release, blue=gone(release.blue))

        decision = release.decided()

        assert decision.status.phase is phase
        assert names(decision) == (["RemoveGreen"] if blue_is_there else [])

    def test_after_blue_is_back_resume_takes_green_down(self):
        release = a_release().at_stage(2).rolling_back(Phase.HALTED, traffic_at=NOW - 100, drained_at=NOW - 1)

        assert release.asked(Verb.RESUME).decided().status.phase is Phase.TEARING_DOWN

    def test_resume_does_not_take_green_down_while_a_route_is_missing(self):
        release = a_release().at_stage(2).rolling_back(Phase.HALTED)
        release = replace(release, route=replace(release.route, found=False))

        assert release.asked(Verb.RESUME).decided().status.phase is Phase.HALTED

    def test_a_trigger_does_not_send_everybody_to_nothing(self):
        release = a_release().with_plan(triggers=[{"name": "errors", "builtin": "error-rate", "limit": {"max": 1}}]).at_stage(2)
        failing = CheckStatus(name="errors", outcome=Outcome.FAIL, value=9, limit=1, recent="f", polled_at=NOW)
        release = replace(release, status=release.status.model_copy(update={"triggers": [failing]}))

        assert release.decided().status.phase is Phase.ROLLING_BACK
        assert replace(release, blue=gone(release.blue)).decided().status.phase is Phase.HALTED

    def test_without_blue_a_rollback_is_obeyed_all_the_same(self):
        release = a_release().at_stage(2, Phase.HALTED).asked(Verb.ROLLBACK)

        assert names(replace(release, blue=gone(release.blue)).decided()) == ["RollBackRoutes"]

    def without_blue(self, number=2, phase=Phase.HALTED, **status):
        """Blue is deleted; the release has stopped for that, or went on without it."""
        release = a_release().at_stage(number, phase)
        status = {"reason": reasons.BLUE_GONE, **status} if phase is Phase.HALTED else status
        return replace(release, status=release.status.model_copy(update=status), blue=gone(release.blue))

    @pytest.mark.parametrize("number", [2, 4])
    def test_a_person_may_go_on_without_it(self, number):
        """Also where green has everything: then it bakes anew."""
        decision = self.without_blue(number).asked(Verb.PROMOTE).decided()

        assert (decision.status.phase, decision.status.stage, decision.status.grant) == (Phase.SHIFTING, 3, 100)
        assert decision.status.without_blue == "req-1"
        assert decision.status.stages[-1].verdict is None

    def test_nobody_goes_on_without_it_without_green(self):
        release = self.without_blue()

        (answer,) = replace(release, green=replace(release.green, available=2)).asked(Verb.PROMOTE).decided().commands

        assert (answer.accepted, answer.reason) == (False, reasons.CAPACITY_MISSING)

    def test_a_release_that_stopped_for_something_else_is_not_promoted(self):
        (answer,) = self.without_blue(reason=reasons.HALTED).asked(Verb.PROMOTE).decided().commands

        assert (answer.accepted, answer.reason) == (False, reasons.NOT_NOW)

    def test_a_stage_without_blue_goes_on(self):
        assert self.without_blue(4, Phase.BAKING, without_blue="req-1").decided().status.phase is Phase.BAKING

    def test_what_speaks_against_green_stops_it_where_nobody_can_be_put_back(self):
        held = self.without_blue(4, Phase.BAKING, without_blue="req-1").holding(reasons.NO_DATA, until=NOW)

        decision = held.decided()

        assert (decision.status.phase, decision.status.reason, decision.status.weight) == (Phase.HALTED, reasons.BLUE_GONE, 100)
        assert (names(decision), decision.status.rollback, decision.status.without_blue) == ([], None, "")

    def test_a_trigger_stops_it_likewise(self):
        release = self.without_blue(4, Phase.BAKING, without_blue="req-1")
        plan = a_release().with_plan(triggers=[{"name": "errors", "builtin": "error-rate", "limit": {"max": 1}}]).plan
        failing = CheckStatus(name="errors", outcome=Outcome.FAIL, value=9, limit=1, recent="f", polled_at=NOW)
        release = replace(release, plan=plan, status=release.status.model_copy(update={"triggers": [failing]}))

        decision = release.decided()

        assert (decision.status.phase, decision.status.reason, names(decision)) == (Phase.HALTED, reasons.BLUE_GONE, [])
        assert "errors" in decision.status.message

    def test_with_blue_back_it_rolls_back_as_ever(self):
        held = self.without_blue(4, Phase.BAKING, without_blue="req-1").holding(reasons.NO_DATA, until=NOW)

        assert replace(held, blue=a_release().blue).decided().status.phase is Phase.ROLLING_BACK

    def test_with_green_gone_as_well_a_person_is_asked(self):
        release = self.without_blue(4, Phase.BAKING, without_blue="req-1")

        assert replace(release, green=gone(release.green)).decided().status.phase is Phase.HALTED

    def test_with_blue_back_a_resume_goes_on(self):
        assert a_release().at_stage(2, Phase.HALTED).asked(Verb.RESUME).decided().status.phase is Phase.SHIFTING

    def test_a_reverse_release_does_not_need_the_version_that_it_leaves(self):
        release = a_release().at_stage(4, Phase.BAKING).reverse()

        assert replace(release, blue=gone(release.blue)).decided().status.phase is Phase.BAKING


class TestBluesSize:
    @pytest.mark.parametrize("phase", [*EXPOSED, Phase.BAKING])
    def test_a_blue_that_somebody_shrank_is_put_back(self, phase):
        release = a_release().at_stage(2, phase)

        assert names(replace(release, blue=replace(release.blue, replicas=1)).decided())[0] == "KeepCapacity"

    def test_a_larger_blue_is_left_alone(self):
        release = a_release().at_stage(2)

        assert names(replace(release, blue=replace(release.blue, replicas=9)).decided()) == []

    def test_a_blue_that_grew_with_its_load_is_held_at_that_size_before_green_takes_more_of_it(self):
        release = a_release().at_stage(2).passed()
        larger = replace(release, blue=replace(release.blue, replicas=9), green=replace(release.green, replicas=9, available=9))

        kept = larger.decided()

        assert (names(kept), kept.status.capacity[0].replicas, kept.status.phase) == (["KeepCapacity"], 9, Phase.MEASURING)
        assert kept.store
        assert replace(larger, status=kept.status).decided().status.stage == 2

    def test_a_rollback_brings_the_pods_up_that_it_needs(self):
        release = a_release().at_stage(2).rolling_back(traffic_at=NOW - 5)

        assert names(replace(release, blue=replace(release.blue, replicas=1, available=1)).decided()) == ["KeepCapacity"]


class TestAGrantThatIsOlderThanItsWeight:
    def test_all_pods_of_green_are_ready_then_the_weight_follows(self):
        assert names(granted().decided()) == ["SetWeight"]

    def test_pods_that_green_has_lost_since_come_first(self):
        release = granted()

        decision = replace(release, green=replace(release.green, available=1)).decided()

        assert (decision.status.phase, decision.status.reason, names(decision)) == (Phase.HOLDING, reasons.CAPACITY_MISSING, [])

    def test_a_green_that_somebody_shrank_is_sized_first(self):
        release = granted()

        assert names(replace(release, green=replace(release.green, replicas=1, available=1)).decided()) == ["SizeGreen"]

    def test_a_lower_weight_waits_for_no_pods(self):
        release = granted()
        above = replace(release.route, green_weight=40)

        assert names(replace(release, route=above, green=replace(release.green, available=0)).decided()) == ["SetWeight"]


class TestAStepThatWasRefused:
    def test_what_the_hold_has_written_itself_is_not_taken_for_drift(self):
        held = granted().holding(reasons.RIGHTS_MISSING, until=NOW + 800)
        assert held.decided().commands == (SetWeight(25),)

        after = replace(held, route=replace(held.route, green_weight=25)).decided()

        assert (after.status.phase, after.commands) == (Phase.SHIFTING, ())

    def test_while_a_person_is_waited_for_nothing_above_the_written_weight_stands(self):
        paused = granted().holding(reasons.PAUSED, waits_for="operator")

        decision = replace(paused, route=replace(paused.route, green_weight=25)).decided()

        assert [command.weight for command in decision.commands] == [5]


class TestTheLastStage:
    def test_a_resume_after_its_manual_hold_ends_the_release(self):
        plan = [{"weight": 5}, {"weight": 100, "hold": True}]
        held = a_release().with_plan(stages=plan).at_stage(2, Phase.BAKING).passed().holding(reasons.MANUAL_HOLD, waits_for="operator")

        assert held.asked(Verb.RESUME).decided().status.phase is Phase.SUCCEEDED


class TestTrafficDuringTheTeardown:
    @pytest.mark.parametrize("phase", [Phase.TEARING_DOWN, Phase.HALTED])
    def test_blue_drain_and_teardown_begin_anew(self, phase):
        done = {"traffic_at": NOW - 40, "ready_at": NOW - 39, "healthy_at": NOW - 38, "drained_at": NOW - 5}
        release = a_release().at_stage(2).rolling_back(phase, **done)

        decision = replace(release, route=replace(release.route, green_weight=25, blue_only=False)).decided()

        rollback = decision.status.rollback
        assert decision.status.phase is Phase.ROLLING_BACK
        assert names(decision) == ["RollBackRoutes"]
        assert (rollback.traffic_at, rollback.ready_at, rollback.healthy_at, rollback.drained_at) == (0.0, 0.0, 0.0, 0.0)


def test_what_is_replaced_by_force_again_and_again_is_listed_once_by_its_newest_uid():
    """A GitOps tool that replaces instead of patching does so every few minutes, for as long as the release lasts."""
    listed = [
        ManagedObject(kind="VirtualService", namespace="shop", name="shop", uid="old"),
        ManagedObject(kind="Deployment", namespace="shop", name="d"),
    ]
    again = ManagedObject(kind="VirtualService", namespace="shop", name="shop", uid="new")
    builder = a_release().at_stage(2)
    there = replace(builder, status=builder.status.model_copy(update={"objects": listed})).seeing(objects=(again,))

    decision = there.decided()

    assert (decision.store, decision.commands) == (True, ())
    assert decision.status.objects == [listed[1], again]
    assert there.seeing(live=False).decided().status.objects == listed
