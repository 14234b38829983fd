"""What one look decides: transitions, gates, requests, drift, holds, the end, the queue."""

from dataclasses import replace
from itertools import product

import pytest

from analysis.model import Sample, Series
from controller.api.release import CheckStatus, DriftStatus, Phase, Verb
from controller.core import asking, backward, gates, needs, phases, reasons
from controller.core.commands import Direction, RollBackRoutes, SetWeight
from controller.core.decide import decide
from controller.core.phases import FINAL, TRANSITIONS, IllegalTransitionError
from controller.core.steps import moved
from controller.core.world import Measured, Measurement, Rival
from controller.ports import Answer
from tests.core.releases import NOW, UID, a_release, names

ILLEGAL = [(before, after) for before, after in product(Phase, Phase) if after not in TRANSITIONS[before]]
BEFORE_THE_END = [p for p in Phase if p not in FINAL]


class TestTransitions:
    @pytest.mark.parametrize(("before", "after"), ILLEGAL, ids=[f"{a}-{b}" for a, b in ILLEGAL])
    def test_an_illegal_transition_is_refused_and_changes_nothing(self, before, after):
        w = a_release().in_phase(before).world()
        untouched = w.status.model_copy(deep=True)

        with pytest.raises(IllegalTransitionError):
            moved(w, after, reasons.MEASURING)

        assert w.status == untouched

    def test_every_phase_has_a_row(self):
        assert set(TRANSITIONS) == set(Phase)

    @pytest.mark.parametrize("phase", sorted(FINAL))
    def test_nothing_leads_out_of_a_final_phase(self, phase):
        assert not TRANSITIONS[phase]

    @pytest.mark.parametrize("phase", BEFORE_THE_END)
    def test_an_end_can_be_reached_from_everywhere(self, phase):
        reached, todo = set(), [phase]
        while todo:
            reached.add(one := todo.pop())
            todo += [after for after in TRANSITIONS[one] if after not in reached]
        assert Phase.ROLLED_BACK in reached

    def test_each_move_counts_and_ends_a_hold(self):
        w = a_release().at_stage(1).holding(reasons.PAUSED, waits_for="operator").world()

        status = moved(w, Phase.SHIFTING, reasons.GRANTED, "5")

        assert (status.phase_counter, status.hold, status.phase_since) == (6, None, NOW)


class TestAnOldVersionThatIsStillEnding:
    """The old version is scaled to nothing at the next start, and green is made of it: its last pods are no obstacle, only a moment."""

    @pytest.mark.parametrize("ending", [{"empty": False, "current": True}, {"empty": True, "current": False}])
    def test_is_waited_for_and_called_so(self, ending):
        there = a_release().in_phase(Phase.PREPARING)
        there = replace(there, green=replace(there.green, replicas=0, revision="v1", **ending))

        decision = there.decided()

        assert names(decision) == []
        assert "Deployment shop/shop-green in green's place, the version before, is still ending" in decision.status.message
        assert decision.wake_at == NOW + 1

    def test_is_only_sized_by_a_reverse_release(self):
        there = a_release().in_phase(Phase.PREPARING)
        back = there.spec.model_copy(update={"kind": "reverse"})
        there = replace(there, spec=back, green=replace(there.green, replicas=0, revision="v1", empty=False))

        assert "still ending" not in there.decided().status.message


class TestGates:
    def test_evidence_comes_before_people_and_people_before_capacity(self):
        assert [gate.__name__ for gate in gates.GATES] == ["verdict", "manual_hold", "green_capacity"]

    def test_a_stage_that_is_not_judged_is_closed(self):
        assert gates.first_closed(a_release().at_stage(2).world()).reason == reasons.MEASURING

    @pytest.mark.parametrize("key", ["v1/hash/1", "v2/other/1", "v2/hash/0"])
    def test_a_verdict_on_another_revision_plan_or_stage_opens_nothing(self, key):
        assert not gates.first_closed(a_release().at_stage(2).passed(key).world()).open

    def test_a_plan_that_asks_for_a_person_waits_for_one_after_the_verdict(self):
        held = a_release().with_plan(stages=[{"weight": 5, "hold": True}, {"weight": 100}]).at_stage(1).passed()

        gate = gates.first_closed(held.world())

        assert (gate.reason, gate.waits_for) == (reasons.MANUAL_HOLD, "operator")

    def test_missing_pods_of_green_are_named_with_both_numbers(self):
        few = a_release().at_stage(1).passed()
        gate = gates.first_closed(replace(few, green=replace(few.green, available=2)).world())

        assert (gate.reason, gate.detail) == (reasons.CAPACITY_MISSING, "shop/shop-green has 2 of 3")

    def test_a_passed_stage_leads_to_the_next_grant_and_not_yet_to_its_weight(self):
        decision = a_release().at_stage(1).passed().decided()

        assert (decision.status.stage, decision.status.grant, decision.status.weight) == (1, 25, 5)
        assert decision.commands == ()
        assert decision.direction is Direction.FORWARD


def answered(before, status):
    """What the answer to a request says that made this status of a release."""
    return replace(before, status=status).asked(Verb.RESUME).decided().commands[0].message


class TestRequests:
    def test_a_rollback_is_taken_in_every_phase_that_is_not_over(self):
        for phase in (Phase.PREPARING, Phase.SHIFTING, Phase.MEASURING, Phase.BAKING):
            builder = a_release().at_stage(1, phase) if phase is not Phase.PREPARING else a_release().in_phase(phase)
            decision = builder.asked(Verb.ROLLBACK).decided()
            assert (decision.status.phase, decision.direction) == (Phase.ROLLING_BACK, Direction.BACK)
            assert decision.status.requests == ["req-1"]

    def test_a_reason_of_several_lines_is_told_in_one(self):
        """History, Events and `penstock wait` are a line each; a reason may come from a form or a hook with lines."""
        decision = a_release().at_stage(1, Phase.MEASURING).asked(Verb.ROLLBACK, reason="checkout odd\n\n  see ticket 7\n").decided()

        assert decision.status.rollback.message == "Rollback asked by alice: checkout odd see ticket 7."

    def test_a_queued_release_is_rolled_back_without_touching_anything(self):
        decision = a_release().asked(Verb.ROLLBACK).decided()

        assert (decision.status.phase, decision.commands) == (Phase.ROLLED_BACK, ())

    @pytest.mark.parametrize("phase", sorted(FINAL))
    @pytest.mark.parametrize("verb", list(Verb))
    def test_a_request_for_something_finished_is_an_answered_no_op(self, phase, verb):
        ended = a_release().in_phase(phase).asked(verb)

        decision = replace(ended, route=replace(ended.route, green_weight=100 if phase is Phase.SUCCEEDED else 0)).decided()

        assert names(decision) == ["AnswerRequest"]
        asked_back = reasons.TAKE_BACK if phase is Phase.SUCCEEDED else reasons.ALREADY_BACK
        assert decision.commands[0].reason == (asked_back if verb is Verb.ROLLBACK else reasons.ALREADY_FINISHED)
        assert decision.commands[0].accepted is (decision.commands[0].reason == reasons.ALREADY_BACK)
        assert decision.status == ended.status

    def test_a_request_that_was_acted_on_is_only_answered(self):
        builder = a_release().at_stage(1).in_phase(Phase.MEASURING, requests=["req-1"]).asked(Verb.PAUSE)

        decision = builder.decided()

        assert names(decision) == ["AnswerRequest"]
        assert decision.status.phase is Phase.MEASURING

    @pytest.mark.parametrize("phase", [Phase.SHIFTING, Phase.MEASURING, Phase.BAKING])
    def test_a_pause_holds_for_a_person_and_keeps_the_weight(self, phase):
        decision = a_release().at_stage(2, phase).asked(Verb.PAUSE).decided()

        assert (decision.status.phase, decision.status.weight) == (Phase.HOLDING, 25)
        assert (decision.status.hold.waits_for, decision.status.hold.phase) == ("operator", phase)

    def test_a_resume_goes_on_from_the_stage_that_is_seen(self):
        held = a_release().at_stage(3).holding(reasons.PAUSED, waits_for="operator")
        held = replace(held, route=replace(held.route, green_weight=30), status=held.status.model_copy(update={"weight": 30}))

        decision = held.asked(Verb.RESUME).decided()

        assert (decision.status.stage, decision.status.phase) == (1, Phase.SHIFTING)
        assert decision.status.stages[decision.status.stage].window is None

    @pytest.mark.parametrize("reason", [reasons.TOO_FEW_REQUESTS, reasons.NO_DATA])
    @pytest.mark.parametrize(("stage", "goes_on"), [(2, Phase.MEASURING), (4, Phase.BAKING)])
    @pytest.mark.parametrize("halted", [True, False])
    def test_a_resume_after_too_few_requests_counts_on_from_what_was_counted(self, reason, stage, goes_on, halted):
        """Nothing was changed meanwhile; whoever asks at night must not be worse off than if nobody had asked."""
        held = a_release().at_stage(stage, goes_on).holding(reason, until=NOW + 60)
        if halted:
            held = replace(held, status=held.status.model_copy(update={"phase": Phase.HALTED, "hold": None}))
        resumed = held.asked(Verb.RESUME).decided().status

        assert resumed.phase is goes_on
        assert resumed.stages[-1].window == held.status.stages[-1].window
        assert answered(held, resumed) == "Done: resume; the window goes on with what was counted"

    def test_a_resume_of_the_plans_own_hold_says_that_the_next_stage_begins(self):
        held = a_release().with_plan(stages=[{"weight": 25, "hold": True}, {"weight": 100}]).at_stage(1).passed()
        held = held.holding(reasons.MANUAL_HOLD, waits_for="operator").asked(Verb.RESUME)

        assert answered(held, held.decided().status) == "Done: resume; the stage of 100 % begins"

    @pytest.mark.parametrize(
        ("reason", "seen"), [(reasons.PAUSED, 25), (reasons.DRIFT_TO_BLUE, 25), (reasons.FIGHTER, 25), (reasons.TOO_FEW_REQUESTS, 5)]
    )
    def test_a_resume_after_anything_else_counts_from_zero_and_says_so(self, reason, seen):
        held = a_release().at_stage(2).holding(reason, waits_for="operator")
        held = replace(held, route=replace(held.route, green_weight=seen), status=held.status.model_copy(update={"weight": seen}))
        resumed = held.asked(Verb.RESUME).decided().status

        assert (resumed.phase, resumed.stages[-1].window) == (Phase.SHIFTING, None)
        assert answered(held, resumed) == (
            f"Done: resume; the stage of {seen} % begins anew and counts from zero, because the stop may have changed what was counted"
        )

    def test_a_resume_that_waits_for_the_split_keeps_what_was_seen_of_it(self):
        held = a_release().at_stage(2, Phase.SHIFTING)
        stages = [*held.status.stages[:-1], held.status.stages[-1].model_copy(update={"window": None, "settled_at": 0.0})]
        held = replace(held, status=held.status.model_copy(update={"stages": stages})).holding(reasons.SPLIT_UNSEEN, until=NOW + 60)
        resumed = held.asked(Verb.RESUME).decided().status

        assert (resumed.phase, resumed.stages[-1].shifted_at) == (Phase.SHIFTING, stages[-1].shifted_at)
        assert answered(held, resumed) == "Done: resume; what was seen of the split counts on"

    def test_an_advance_of_a_halted_release_is_told_what_comes_first(self):
        halted = a_release().at_stage(4, Phase.BAKING).in_phase(Phase.HALTED, reason=reasons.TOO_FEW_REQUESTS)

        assert halted.asked(Verb.ADVANCE).decided().commands[0].message == (
            "This cannot be done now: it is Halted: penstock resume first, then penstock advance"
        )

    @pytest.mark.parametrize("phase", [Phase.MEASURING, Phase.PREPARING])
    def test_a_resume_of_what_runs_is_refused(self, phase):
        builder = a_release().at_stage(1, phase) if phase is Phase.MEASURING else a_release().in_phase(phase)
        assert builder.asked(Verb.RESUME).decided().commands[0].reason == reasons.NOT_PAUSED

    @pytest.mark.parametrize("verb", [Verb.ADVANCE, Verb.PROMOTE])
    def test_skipping_a_gate_needs_a_reason(self, verb):
        assert a_release().at_stage(1).asked(verb, reason=" ").decided().commands[0].reason == reasons.REASON_NEEDED

    @pytest.mark.parametrize("verb", [Verb.ADVANCE, Verb.PROMOTE])
    def test_skipping_a_gate_keeps_the_capacity_gate(self, verb):
        few = a_release().at_stage(1)
        few = replace(few, green=replace(few.green, available=0))
        assert few.asked(verb).decided().commands[0].reason == reasons.CAPACITY_MISSING

    @pytest.mark.parametrize(("verb", "stage", "grant"), [(Verb.ADVANCE, 1, 25), (Verb.PROMOTE, 3, 100)])
    def test_skipping_a_gate_leaves_its_request_in_the_stage(self, verb, stage, grant):
        decision = a_release().at_stage(1).asked(verb).decided()

        assert (decision.status.stage, decision.status.grant, decision.status.stages[0].skipped) == (stage, grant, "req-1")

    @pytest.mark.parametrize(
        ("expected", "said"),
        [
            ({"stage": 0}, "expect.stage is 0 (stage 1), and it stands at 1 (stage 2)"),
            ({"phase": Phase.SHIFTING}, "phase is Measuring, expected Shifting"),
            ({"revision": "v1"}, "revision is v2, expected v1"),
        ],
    )
    def test_an_expectation_that_no_longer_holds_refuses_the_way_to_green(self, expected, said):
        decision = a_release().at_stage(2).asked(Verb.PROMOTE, **expected).decided()

        assert decision.commands[0].reason == reasons.EXPECTATION
        assert said in decision.commands[0].message

    def test_an_expectation_never_stands_in_the_way_of_a_rollback(self):
        assert a_release().at_stage(2).asked(Verb.ROLLBACK, stage=0).decided().status.phase is Phase.ROLLING_BACK

    def test_nothing_is_measured_before_a_rollback_that_somebody_asked_for(self):
        measuring = a_release().at_stage(2)

        assert needs.asks(measuring.world())
        assert needs.asks(measuring.asked(Verb.ROLLBACK).world()) == ()

    def test_a_rollback_overtakes_older_requests(self):
        decision = a_release().at_stage(2).asked(Verb.PAUSE).asked(Verb.ROLLBACK, uid="req-2").decided()

        assert decision.status.requests == ["req-2"]

    @pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.RESUME, Verb.ADVANCE, Verb.PROMOTE])
    def test_nothing_turns_a_rollback_round(self, verb):
        decision = a_release().at_stage(2).rolling_back().asked(verb).decided()

        assert decision.commands[0].accepted is False

    @pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.ADVANCE, Verb.PROMOTE, Verb.ROLLBACK])
    def test_every_request_that_acts_has_one_record_of_its_own(self, verb):
        records = a_release().at_stage(1).asked(verb).decided().records

        assert [record.data["uid"] for record in records if record.kind == "request"] == ["req-1"]


class TestDrift:
    def test_more_for_green_by_another_hand_is_taken_back_at_once(self):
        builder = a_release().at_stage(1)
        decision = replace(builder, route=replace(builder.route, green_weight=50)).decided()

        assert decision.commands == (SetWeight(5, stamp=f"{UID}/5"),)
        assert decision.status.drift.count == 1

    @pytest.mark.parametrize("phase", [Phase.MEASURING, Phase.BAKING])
    def test_a_window_that_saw_another_split_is_measured_anew(self, phase):
        builder = a_release().at_stage(2 if phase is Phase.MEASURING else 4, phase)
        decision = replace(builder, route=replace(builder.route, green_weight=50, void=phase is Phase.BAKING)).decided()

        assert (decision.status.phase, decision.status.reason) == (Phase.SHIFTING, reasons.DRIFT_CORRECTED)
        assert decision.status.stages[decision.status.stage].window is None

    def test_before_the_first_grant_green_gets_nothing_by_another_hand_either(self):
        preparing = a_release().in_phase(Phase.PREPARING)
        early = replace(preparing, route=replace(preparing.route, green_weight=50, blue_only=False)).decided()

        assert [command.weight for command in early.commands] == [0]
        assert (early.direction, early.status.phase) == (Direction.BACK, Phase.PREPARING)

    def test_a_route_that_is_not_claimed_yet_is_nobodys_drift(self):
        preparing = a_release().in_phase(Phase.PREPARING)
        unclaimed = replace(preparing, route=replace(preparing.route, owner="", green_weight=50, blue_only=False)).decided()

        assert names(unclaimed) == ["ClaimRoutes"]

    def test_less_for_green_while_it_is_halted_is_obeyed_and_it_stays_halted(self):
        builder = a_release().at_stage(2, Phase.HALTED)
        decision = replace(builder, route=replace(builder.route, green_weight=10)).decided()

        assert (decision.status.phase, decision.status.weight, decision.commands, decision.store) == (Phase.HALTED, 10, (), True)
        assert [entry.reason for entry in decision.records] == [reasons.DRIFT_TO_BLUE]

    def test_less_for_green_by_another_hand_is_obeyed(self):
        builder = a_release().at_stage(2)
        decision = replace(builder, route=replace(builder.route, green_weight=10)).decided()

        assert (decision.status.phase, decision.status.weight, decision.commands) == (Phase.HOLDING, 10, ())

    def test_a_weight_that_is_under_way_is_not_drift(self):
        builder = a_release().at_stage(2, Phase.SHIFTING)
        decision = replace(
            builder, route=replace(builder.route, green_weight=5), status=builder.status.model_copy(update={"weight": 5})
        ).decided()

        assert decision.commands == (SetWeight(25),)

    def test_the_third_correction_in_a_minute_holds_and_names_the_field(self):
        builder = a_release().at_stage(1)
        drifted = builder.status.drift.model_copy(update={"count": 2, "since": NOW - 20})
        builder = replace(
            builder, status=builder.status.model_copy(update={"drift": drifted}), route=replace(builder.route, green_weight=60)
        )

        decision = builder.decided()

        assert decision.status.hold.reason == reasons.FIGHTER
        assert "/spec/http/*/route/*/weight" in decision.status.message

    def test_a_correction_that_could_not_be_recorded_still_costs_the_window(self):
        builder = a_release().at_stage(1)
        decision = replace(builder, route=replace(builder.route, stamp=f"{UID}/{builder.status.phase_counter}")).decided()

        assert (decision.status.phase, decision.status.reason) == (Phase.SHIFTING, reasons.DRIFT_CORRECTED)
        assert decision.status.stages[decision.status.stage].window is None
        assert decision.status.drift.count == 1

    def test_a_rollback_stamp_of_a_leader_that_died_is_carried_on(self):
        builder = a_release().at_stage(2)
        decision = replace(builder, route=replace(builder.route, green_weight=0, blue_only=True, stamp=f"{UID}/6")).decided()

        assert (decision.status.phase, decision.status.reason) == (Phase.ROLLING_BACK, reasons.ROLLBACK_FOUND)

    @pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.RETURNING])
    def test_it_is_carried_on_before_the_first_stage_and_in_the_return_too(self, phase):
        release = a_release().with_plan(finish={"mode": "home"})
        there = release.in_phase(phase) if phase is Phase.PREPARING else release.at_stage(4, phase)
        stamped = replace(there, route=replace(there.route, green_weight=0, blue_only=True, stamp=f"{UID}/6"))

        assert stamped.decided().status.phase is Phase.ROLLING_BACK

    def test_a_route_that_vanishes_during_the_return_sends_everybody_back(self):
        returning = a_release().with_plan(finish={"mode": "home"}).at_stage(4, Phase.RETURNING)

        assert replace(returning, route=replace(returning.route, found=False)).decided().status.reason == reasons.TARGET_GONE

    def test_the_reason_of_a_leader_that_died_is_not_lost(self):
        builder = a_release().at_stage(2)
        began = backward.roll_back(builder.world(), reasons.CHECK_FAILED, "error-rate is too high")
        command = began.commands[0]
        route = replace(builder.route, green_weight=0, blue_only=True, stamp=command.stamp, because=command.because)

        decision = replace(builder, route=route).decided()

        assert decision.status.rollback == began.status.rollback
        assert (decision.status.reason, decision.status.message) == (reasons.CHECK_FAILED, began.status.message)


class TestHolds:
    @pytest.mark.parametrize(("then", "phase"), [("rollback", Phase.ROLLING_BACK), ("halt", Phase.HALTED), ("wait", Phase.HOLDING)])
    def test_a_deadline_does_what_the_plan_said(self, then, phase):
        decision = a_release().at_stage(1).holding(reasons.NO_DATA, until=NOW - 1, then=then).decided()

        assert decision.status.phase is phase

    def test_a_hold_for_a_person_has_no_deadline_of_its_own(self):
        decision = a_release().at_stage(1).holding(reasons.MANUAL_HOLD, waits_for="operator").decided()

        assert decision.status.phase is Phase.HOLDING

    def test_a_deleted_release_rolls_back_from_its_hold(self):
        builder = a_release().at_stage(1).holding(reasons.PAUSED, waits_for="operator")

        assert replace(builder, deleted=True).decided().status.rollback.reason == reasons.RELEASE_DELETED


class TestTheWayBack:
    def test_routes_come_before_the_record(self):
        decision = a_release().at_stage(2).asked(Verb.ROLLBACK).decided()

        assert decision.direction is Direction.BACK
        assert [command.stamp for command in decision.commands if isinstance(command, RollBackRoutes)] == [f"{UID}/6"]

    def test_green_stays_until_the_drain_is_over(self):
        waiting = a_release().at_stage(2).rolling_back(Phase.TEARING_DOWN, traffic_at=NOW - 10, ready_at=NOW - 9, healthy_at=NOW - 9)

        assert names(waiting.decided()) == []
        assert waiting.decided().wake_at == NOW + 20

    @pytest.mark.parametrize(("reached", "asks"), [({}, True), ({"drained_at": NOW - 5}, False), ({"gone_at": NOW - 5}, False)], ids=str)
    def test_prometheus_is_asked_until_green_has_drained_and_not_after_that(self, reached, asks):
        """One that hangs would hold up each look of the teardown."""
        builder = a_release().at_stage(2).rolling_back(Phase.TEARING_DOWN, traffic_at=NOW - 100, **reached)

        assert (needs.traffic_since(builder.world()) is not None) is asks

    def test_green_with_traffic_is_never_taken_down(self):
        builder = a_release().at_stage(2).rolling_back(Phase.TEARING_DOWN, traffic_at=NOW - 100, drained_at=NOW - 60)
        decision = replace(builder, route=replace(builder.route, green_weight=10, blue_only=False)).decided()

        assert (decision.status.phase, names(decision)) == (Phase.ROLLING_BACK, ["RollBackRoutes"])


UNCOUNTED = a_release().with_plan(traffic={"virtualService": "shop", "metrics": "none"})
"""No traffic metrics: the drain time must do."""


class TestTheEnd:
    def test_the_old_version_is_kept_for_its_retention(self):
        decision = a_release().succeeded(until=NOW + 100).decided()

        assert (names(decision), decision.wake_at) == ([], NOW + 100)

    def test_then_it_is_retired(self):
        assert names(UNCOUNTED.succeeded(until=NOW - 1).decided()) == ["RetireOld"]

    def test_that_the_old_version_drains_before_it_is_made_smaller_changes_nothing_of_what_is_said(self):
        """The sentence of the success lost its revision and its seconds."""
        done = a_release().with_plan(finish={"size": 1}).succeeded(until=NOW + 100)
        words = {"reason": reasons.SUCCEEDED, "message": "Green serves everybody: revision v2, 440 s after its start"}
        status = done.status.model_copy(update={"phase_since": NOW - 5, **words})

        decision = replace(done, status=status).decided()

        assert (decision.status, decision.wake_at, names(decision)) == (status, NOW + 25, [])

    def test_a_clone_gets_blues_autoscaler_at_once_and_not_only_when_the_old_version_goes(self):
        """A load that doubles in the retention finds a version that grows."""
        scaled = a_release().succeeded(until=NOW + 100)
        scaled = replace(scaled, blue=replace(scaled.blue, hpa="shop", hpa_min=2))
        followed = replace(scaled, green=replace(scaled.green, hpa="shop-green", hpa_min=2))

        assert [names(one.decided()) for one in (scaled, followed)] == [["FollowAutoscaler"], []]

    @pytest.mark.parametrize("plan", [{"finish": {"mode": "home"}}, {"preparation": {"green": "adopt"}}])
    def test_an_adopted_green_and_a_clone_that_was_left_get_none(self, plan):
        scaled = a_release().with_plan(**plan).succeeded(until=NOW + 100)
        scaled = replace(scaled, blue=replace(scaled.blue, hpa="shop", hpa_min=2))

        assert names(scaled.decided()) == []

    def test_while_nobody_can_say_that_it_is_idle_it_is_kept_for_a_while(self):
        decision = a_release().succeeded(until=NOW - 1).decided()

        assert decision.status.retention.kept == "nobody can say whether it still gets requests"
        assert names(decision) == []
        long_over = a_release().succeeded(until=NOW - 901)
        ended = long_over.status.model_copy(update={"phase_since": NOW - 2_000})
        assert names(replace(long_over, status=ended).decided()) == ["RetireOld"]

    def test_it_drains_first_however_soon_the_next_one_starts(self):
        young = UNCOUNTED.succeeded(until=NOW + 100).with_rival(Phase.QUEUED, created=9_000)
        just_now = replace(young, status=young.status.model_copy(update={"phase_since": NOW - 5}))

        assert just_now.decided().status.retention.kept == "it drains"
        assert names(just_now.decided()) == []

    @pytest.mark.parametrize(("over", "does"), [(20, []), (90, ["RetireOld"])], ids=["not long over", "beyond its deadline"])
    def test_samples_that_end_within_the_drain_keep_it_as_long_as_none_would(self, over, does):
        """Who called both is gone: nothing that is scraped will ever tell."""
        there = a_release().with_plan(rollback={"drainDeadline": "60s"}).succeeded(until=NOW - over)
        w = replace(there, status=there.status.model_copy(update={"phase_since": NOW - 500})).world()
        labels = {"destination_workload": "shop", "destination_workload_namespace": "shop", "response_code": "200", "pod": "client"}
        last = Series(tuple(sorted(labels.items())), (Sample(NOW - 505, 10.0), Sample(NOW - 490, 20.0)))
        answer = Answer(series=(last,), result_type="matrix", server_time=NOW)

        decision = decide(w.subject, w.observed, Measured({asking.TRAFFIC: Measurement(answer)}), w.now)

        assert names(decision) == does

    def test_it_is_kept_while_another_manager_is_the_last_writer_of_the_route(self):
        done = UNCOUNTED.succeeded(until=NOW - 1)
        theirs = replace(done, route=replace(done.route, foreign="argocd-controller"))

        assert theirs.decided().status.retention.kept == "argocd-controller has written the route since"
        assert names(theirs.with_rival(Phase.QUEUED, created=9_000).decided()) == ["RetireOld"]

    def test_it_is_kept_where_another_writer_changed_the_weights_during_the_release(self):
        done = UNCOUNTED.succeeded(until=NOW - 1)
        fought = replace(done, status=done.status.model_copy(update={"drift": DriftStatus(count=1, since=NOW - 900)}))

        assert names(fought.decided()) == []

    def test_one_that_nobody_waits_for_is_looked_at_every_five_minutes(self):
        done = UNCOUNTED.succeeded(until=NOW - 901)
        used = replace(done, route=replace(done.route, green_weight=90))
        used = replace(used, status=used.status.model_copy(update={"phase_since": NOW - 2_000}))
        alone = replace(used, status=used.decided().status)

        assert alone.decided().wake_at == NOW + 300
        assert alone.with_rival(Phase.QUEUED, created=9_000).decided().wake_at == NOW + 30

    def test_one_that_is_used_says_by_which_command_that_ends(self):
        """Nobody else ends it, however long the next release waits."""
        done = UNCOUNTED.succeeded(until=NOW - 901)
        used = replace(done, route=replace(done.route, green_weight=90)).decided().status.retention.kept

        assert used == "it has traffic again; give it all to the new one by `kubectl edit virtualservice shop -n shop`"

    def test_one_that_serves_again_is_the_first_thing_that_is_said_until_it_does_not(self):
        """Whoever applies the old manifest must not read that green serves everybody."""
        done = UNCOUNTED.succeeded(until=NOW + 900)
        used = replace(done, route=replace(done.route, green_weight=10)).decided().status
        over = replace(done, status=used.model_copy(update={"started_at": NOW - 500, "finished_at": NOW - 60})).decided().status

        assert (used.phase, used.reason) == (Phase.SUCCEEDED, reasons.OLD_VERSION_SERVES)
        assert used.message == "Green had everybody, and the old version has requests again: VirtualService shop/shop sends it 90 %"
        assert (over.reason, over.message) == (reasons.SUCCEEDED, "Green serves everybody: revision v2, 440 s after its start")

    def test_how_much_it_has_is_said_anew_when_somebody_changes_it(self):
        """Also where an earlier version of the controller, which said nothing of it, has noted that it has traffic."""
        done = UNCOUNTED.succeeded(until=NOW + 900)
        used = replace(done, status=replace(done, route=replace(done.route, green_weight=90)).decided().status)
        more = replace(used, route=replace(done.route, green_weight=10))
        unsaid = replace(more, status=more.status.model_copy(update={"reason": done.status.reason, "message": done.status.message}))

        assert [one.decided().status.message.rpartition(" sends it ")[2] for one in (more, unsaid)] == ["90 %", "90 %"]
        assert more.decided().store
        assert not replace(more, status=more.decided().status).decided().store

    @pytest.mark.parametrize("led", [{"green_weight": 90}, {"aside": True}])
    def test_a_route_that_leads_to_it_before_it_was_given_back_is_said_and_does_not_keep_the_plan(self, led):
        """Else the next release would wait for this one without a word."""
        done = UNCOUNTED.succeeded(until=NOW - 901).seeing(lock=UID)
        told = done.status.model_copy(update={"reason": reasons.END_UNTRUE})
        used = replace(done, status=told, route=replace(done.route, owner=UID, **led))

        assert names(used.decided()) == ["UnlockPlan"]
        assert used.seeing(lock="").decided().status.retention.kept.startswith("it has traffic again")

    def test_why_it_is_kept_is_written_once(self):
        kept = a_release().succeeded(until=NOW - 1).decided()

        again = replace(a_release().succeeded(until=NOW - 1), status=kept.status).decided()

        assert not again.store

    def test_it_is_not_retired_while_somebody_sends_to_it(self):
        builder = a_release().succeeded(until=NOW - 1)
        decision = replace(builder, route=replace(builder.route, green_weight=90)).decided()

        assert names(decision) == []

    def test_the_next_start_cuts_the_retention_short(self):
        assert names(UNCOUNTED.succeeded(until=NOW + 100).with_rival(Phase.QUEUED, created=9_000).decided()) == ["RetireOld"]

    def test_a_release_that_takes_it_back_finds_the_old_version_alive(self):
        decision = a_release().succeeded(until=NOW + 100).with_rival(Phase.QUEUED, created=9_000, supersedes="shop-v2").decided()

        assert decision.status.retention.done
        assert names(decision) == []

    def test_a_plan_that_goes_home_returns_before_it_succeeds(self):
        decision = a_release().with_plan(finish={"mode": "home"}).at_stage(4, Phase.BAKING).passed().decided()

        assert decision.status.phase is Phase.RETURNING

    def test_a_reverse_release_succeeds_where_it_stands(self):
        builder = a_release().with_plan(finish={"mode": "home"}).at_stage(1, Phase.BAKING)
        back = builder.spec.model_copy(update={"kind": "reverse", "reverse_of": "shop-v3"})
        full = replace(builder, spec=back, route=replace(builder.route, green_weight=100)).passed()
        at_100 = replace(full, status=full.status.model_copy(update={"weight": 100, "grant": 100}))

        assert at_100.decided().status.phase is Phase.SUCCEEDED

    def test_the_retention_begins_with_the_success_and_not_with_the_release(self):
        """A release may have taken longer than the whole retention."""
        decision = a_release().with_plan(finish={"retention": "10m"}).at_stage(4, Phase.BAKING).passed().decided()

        assert (decision.status.phase, decision.status.retention.until) == (Phase.SUCCEEDED, NOW + 600)


class TestARequestThatCannotBeRead:
    """A verb of a newer version, for example."""

    @pytest.mark.parametrize("release", [a_release().at_stage(2), a_release().succeeded(until=NOW + 100)], ids=["running", "ended"])
    def test_it_is_answered_and_nothing_is_done(self, release):
        (request,) = release.asked(Verb.PAUSE).observed.requests

        (answer,) = release.seeing(requests=(replace(request, problem="verb: found approve"),)).decided().commands

        assert (answer.accepted, answer.reason) == (False, reasons.REQUEST_INVALID)
        assert "verb: found approve" in answer.message


class TestTheQueue:
    @pytest.mark.parametrize("uid", ["00-uid", "ff-uid"])
    def test_of_two_that_were_made_in_the_same_second_the_one_that_the_server_took_first_goes_first(self, uid):
        """A script that starts two releases one after the other expects the second one to serve in the end."""
        other = Rival("other", uid, Phase.QUEUED, 5_000.0, arrived=70)
        mine = a_release().seeing(lock="", rivals=(other,))

        assert replace(mine, arrived=71).decided().status.message == "Waits for release other of the same plan."
        assert names(replace(mine, arrived=69).decided()) == ["LockPlan"]

    @pytest.mark.parametrize("uid", ["00-uid", "ff-uid"])
    def test_and_where_the_plan_supersedes_the_one_that_came_last_takes_the_place_of_the_other(self, uid):
        other = Rival("other", uid, Phase.QUEUED, 5_000.0, arrived=70)
        running = a_release().with_plan(concurrency="supersede").at_stage(2).seeing(rivals=(other,))

        assert replace(running, arrived=69).decided().status.rollback.reason == reasons.SUPERSEDED
        assert replace(running, arrived=71).decided().status.rollback is None

    def test_of_two_that_were_made_in_the_same_second_the_one_that_has_the_lock_goes_on_and_the_other_waits(self):
        """The earlier one took the lock before there was the other, whose uid comes first."""
        ahead = Rival("other", "00-uid", Phase.QUEUED, 5_000.0)
        holder = a_release().seeing(rivals=(ahead,), frozen="")
        other = a_release().seeing(lock="theirs", lock_name="other")

        assert (holder.decided().status.plan_hash, holder.decided().status.reason) == ("hash", "")
        assert holder.seeing(lock="").decided().status.reason == reasons.WAITING_FOR_PLAN
        assert (other.decided().status.reason, other.decided().commands) == (reasons.WAITING_FOR_PLAN, ())

    def test_an_older_release_goes_first(self):
        decision = a_release().with_rival(Phase.QUEUED, created=1_000).seeing(lock="").decided()

        assert (decision.status.reason, decision.commands) == (reasons.WAITING_FOR_PLAN, ())

    def test_a_younger_one_waits(self):
        assert names(a_release().with_rival(Phase.QUEUED, created=9_000).seeing(lock="").decided()) == ["LockPlan"]

    def test_a_running_one_is_waited_for_however_young(self):
        assert a_release().with_rival(Phase.MEASURING, created=9_000).decided().status.reason == reasons.WAITING_FOR_PLAN

    def test_one_that_holds_the_plan_is_named_as_people_know_it(self):
        """It has ended, or began later: not one to queue behind, but its lock is still there."""
        decision = a_release().seeing(lock="other-uid", lock_name="shop-v1").decided()

        assert decision.status.message == "Waits for release shop-v1 of the same plan."

    def test_it_says_so_where_only_the_old_version_of_the_one_before_is_in_the_way(self):
        """Nothing that still gets requests is taken down, however long it takes: a person must see what to stop."""
        waiting = a_release().seeing(rivals=(Rival("shop-v1", "r", Phase.SUCCEEDED, 1.0, kept="it still gets requests"),))

        decision = waiting.decided()

        assert (decision.status.reason, decision.status.phase, decision.store) == (reasons.WAITING_FOR_OLD, Phase.QUEUED, True)
        assert "kept for release shop-v1: it still gets requests" in decision.status.message
        assert (decision.status.hold.waits_for, decision.status.hold.until) == ("operator", None)
        assert not replace(waiting, status=decision.status).decided().store

    @pytest.mark.parametrize("kept", ["it drains", "nobody can say whether it still gets requests", ""])
    def test_it_names_nobody_while_the_wait_has_an_end_of_its_own(self, kept):
        used = a_release().seeing(rivals=(Rival("shop-v1", "r", Phase.SUCCEEDED, 1.0, kept="it has traffic again; see there"),)).decided()
        later = replace(a_release(), status=used.status).seeing(rivals=(Rival("shop-v1", "r", Phase.SUCCEEDED, 1.0, kept=kept),)).decided()

        assert (used.status.hold.waits_for, later.status.hold) == ("operator", None)

    def test_nor_when_that_release_has_given_the_old_version_up_and_only_the_lock_is_waited_for(self):
        used = a_release().seeing(rivals=(Rival("shop-v1", "r", Phase.SUCCEEDED, 1.0, kept="it has traffic again; see there"),)).decided()
        later = replace(a_release(), status=used.status).seeing(lock="r", lock_name="shop-v1").decided()

        assert (later.status.reason, later.status.hold, later.store) == (reasons.WAITING_FOR_PLAN, None, True)

    def test_a_queued_release_ends_when_a_newer_one_supersedes_it(self):
        decision = a_release().with_rival(Phase.QUEUED, created=9_000, supersedes="shop-v2").decided()

        assert (decision.status.phase, decision.status.reason) == (Phase.ROLLED_BACK, reasons.SUPERSEDED)

    def test_a_running_release_rolls_back_for_the_one_that_supersedes_it(self):
        decision = a_release().at_stage(2).with_rival(Phase.QUEUED, created=9_000, supersedes="shop-v2").decided()

        assert decision.status.rollback.reason == reasons.SUPERSEDED

    def test_by_a_plan_that_supersedes_it_says_so_only_once_the_other_one_goes_back(self):
        """The plan may have been edited while the other one runs, by whose frozen plan a newer release waits."""
        newer = a_release().with_plan(concurrency="supersede")

        def word(phase):
            return newer.with_rival(phase, created=1_000).decided().status.reason

        assert (word(Phase.MEASURING), word(Phase.ROLLING_BACK)) == (reasons.WAITING_FOR_PLAN, reasons.SUPERSEDING)

    def test_a_release_that_takes_the_place_of_a_success_says_what_keeps_that_ones_old_version(self):
        newer = replace(a_release(), spec=a_release().spec.model_copy(update={"supersedes": "other"}))
        used = Rival("other", "r", Phase.SUCCEEDED, 1.0, kept="it still gets requests")

        assert newer.seeing(rivals=(used,)).decided().status.reason == reasons.WAITING_FOR_OLD
        assert newer.with_rival(Phase.MEASURING, created=1.0).decided().status.reason == reasons.SUPERSEDING

    def test_a_plan_that_supersedes_does_so_for_every_newer_release(self):
        builder = a_release().with_plan(concurrency="supersede").at_stage(2)

        assert builder.with_rival(Phase.QUEUED, created=9_000).decided().status.rollback.reason == reasons.SUPERSEDED
        assert builder.with_rival(Phase.QUEUED, created=1_000).decided().status.rollback is None

    def test_a_running_release_rolls_back_for_one_that_takes_a_success_back(self):
        back = Rival("shop-back", "b", Phase.QUEUED, 9_000, "shop-v1", reverse=True)

        assert a_release().at_stage(2).seeing(rivals=(back,)).decided().status.rollback.reason == reasons.SUPERSEDED
        assert a_release().at_stage(2).seeing(rivals=(replace(back, created=1.0),)).decided().status.rollback is None

    def test_a_queued_release_keeps_its_place_behind_one_that_takes_a_success_back(self):
        back = Rival("shop-back", "b", Phase.BAKING, 9_000, "shop-v1", reverse=True)

        assert a_release().seeing(rivals=(back,)).decided().status.phase is Phase.QUEUED

    def test_one_that_takes_a_success_back_is_not_sent_back_for_another(self):
        back = Rival("shop-back", "b", Phase.QUEUED, 9_000, "shop-v1", reverse=True)

        assert a_release().at_stage(4).reverse().seeing(rivals=(back,)).decided().status.rollback is None

    def test_the_table_and_the_watched_phases_agree(self):
        assert phases.BACKWARD.isdisjoint(phases.WATCHED)


def test_of_triggers_that_fired_together_the_time_to_detect_counts_from_when_the_last_of_them_began_to_fail():
    """One that failed alone for an hour was not enough by the plan: nothing was late."""
    last, first = CheckStatus(name="a", failing_since=NOW - 5), CheckStatus(name="b", failing_since=NOW - 3_600)

    for cause, beside in ((last, first), (first, last)):
        back = backward.roll_back(a_release().at_stage(2).world(), reasons.TOGETHER_FIRED, cause=cause, beside=(beside,))
        assert (back.status.rollback.failed_at, back.status.rollback.decided_at) == (NOW - 5, NOW)
