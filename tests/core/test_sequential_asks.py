"""Checks that hold for a person, counters of one's own, the return home, and where a person begins a new bet."""

import math
from dataclasses import replace

import pytest

from analysis.model import Arm, Sample, Series
from controller.api.release import Phase, SequentialStatus, StageStatus, Verb
from controller.core import asking, bets, needs, reasons, sequential
from controller.core.decide import decide
from controller.core.world import Measured, Measurement
from controller.ports import Answer, AnswerFault
from tests.core.releases import NOW, UID, a_release
from tests.core.test_sequential_checks import BAD, ERRORS, counted, decided, released, rows

OBJECTIVE = {"name": "slo", "builtin": "error-rate", "method": "sequential", "limit": {"max": 1}}
BOUND = math.log(100)
BOTH_BAD = counted(blue=(760.0, 240.0), green=(38.0, 12.0))


class TestObjective:
    def test_an_incident_of_both_versions_holds_for_a_person_and_says_both_e_values(self):
        decision, _ = decided(released(checks=[OBJECTIVE]), BOTH_BAD)
        held = decision.status.hold

        assert (decision.status.phase, held.reason, held.check) == (Phase.HOLDING, reasons.CHECK_ASKS, "slo")
        assert (held.waits_for, held.until, held.phase) == ("operator", None, Phase.MEASURING)
        assert held.detail.startswith("slo: 24 % vs 24 % (limit 1 %, n = 900, e-value ")
        assert "beyond the limit whatever blue does 10^" in held.detail

    def test_a_green_that_breaks_it_alone_goes_back(self):
        decision, _ = decided(released(checks=[OBJECTIVE]), counted(blue=(999.0, 1.0), green=(38.0, 12.0)))

        assert (decision.status.phase, decision.status.rollback.check) == (Phase.ROLLING_BACK, "slo")

    def test_it_asks_nobody_where_it_only_observes(self):
        assert decided(released(checks=[OBJECTIVE | {"observe": True}]), BOTH_BAD)[0].status.phase is Phase.MEASURING

    @pytest.mark.parametrize("phase", [Phase.SHIFTING, Phase.BAKING])
    def test_it_asks_wherever_a_stage_is_under_way(self, phase):
        assert decided(released(phase=phase, checks=[OBJECTIVE]), BOTH_BAD)[0].status.hold.phase is phase

    def test_who_is_asked_already_is_not_asked_again(self):
        held = released(checks=[OBJECTIVE]).holding(reasons.PAUSED, waits_for="operator")

        assert decided(held, BOTH_BAD)[0].status.hold.reason == reasons.PAUSED

    def test_a_hold_for_data_becomes_one_for_a_person(self):
        held = released(checks=[OBJECTIVE]).holding(reasons.NO_DATA, until=NOW + 100)

        assert decided(held, BOTH_BAD)[0].status.hold.reason == reasons.CHECK_ASKS

    def test_its_share_of_alpha_is_a_fifth_beside_the_built_in_ones(self):
        plan = released(checks=[ERRORS, {"name": "slow", "builtin": "latency"}, OBJECTIVE]).plan

        assert sequential.shares(plan) == pytest.approx({"errors": 0.5, "slow": 0.3, "slo": 0.2})

    def test_beside_the_limit_blues_share_is_not_added_to(self):
        plan = released(checks=[OBJECTIVE]).plan
        setting = sequential.setting_of(plan, plan.checks[0])

        assert (setting.rho, setting.delta, setting.objective) == (1.0, 0.0, 0.01)


class TestNewBets:
    def after(self, builder, answer, verb=Verb.RESUME):
        """The decision when somebody goes on in a release that had come to hold, or not, by this answer."""
        first, w = decided(builder, answer)
        held = replace(builder, status=first.status).asked(verb)
        return decide(held.world().subject, held.world().observed, Measured({asking.TRAFFIC: Measurement(answer)}), w.now)

    def state(self, decision, builder, name):
        w = replace(builder, status=decision.status).world()
        check = next(one for one in w.plan.checks if one.name == name)
        return sequential.tested(w, check), sequential.stored(w, check)

    @pytest.mark.parametrize("verb", [Verb.RESUME, Verb.ADVANCE, Verb.PROMOTE])
    def test_who_goes_on_although_a_check_asks_begins_a_new_bet_against_its_limit(self, verb):
        builder = released(checks=[ERRORS, OBJECTIVE])
        decision = self.after(builder, BOTH_BAD, verb)
        _, state = self.state(decision, builder, "slo")

        assert decision.status.phase is Phase.SHIFTING
        assert state.lines[0].objective.ln_e == pytest.approx(0)
        assert state.cursor.until == NOW - 10
        assert state.lines[0].relative.ln_e != 0

    def test_evidence_that_has_not_reached_the_bound_goes_on_however_often_somebody_pauses(self):
        builder = released(checks=[ERRORS])
        before, _ = decided(builder, counted(green=(48.8, 1.2)))
        paused = replace(builder, status=before.status).holding(reasons.PAUSED, waits_for="operator")
        decision = self.after(paused, counted(green=(48.8, 1.2)))

        assert decision.status.sequential == before.status.sequential
        assert 0 < before.status.stages[0].checks[0].ln_e < BOUND

    def test_who_goes_on_without_blue_against_the_evidence_begins_a_new_bet(self):
        builder = released(checks=[ERRORS])
        halted = replace(builder, blue=replace(builder.blue, found=False)).in_phase(Phase.HALTED, reason=reasons.BLUE_GONE)
        decision = self.after(halted, BAD, Verb.PROMOTE)
        setting, state = self.state(decision, halted, "errors")

        assert decision.status.phase is Phase.SHIFTING
        assert sequential.library.ln_e(setting, state) == pytest.approx(0)


OWN = {"name": "pay", "counters": {"total": 'pay_total{app="$workload"}', "bad": 'pay_bad_total{app="$workload"}'}}


def own(blue, green, *, total="200"):
    """Answers to the four questions of `OWN`: requests and bad ones at each scrape."""
    found = {}
    for arm, (n, bad), workload in ((Arm.BASELINE, blue, "shop"), (Arm.CANDIDATE, green, "shop-green")):
        late = arm is Arm.CANDIDATE
        for part, code, count in zip(asking.COUNTER_PARTS, (total, "bad"), (n, bad), strict=True):
            one = rows(workload, code, count, 0.0 if late else 1_000.0, green=late)
            found[asking.counter_key("pay", arm, part)] = Measurement(Answer(series=(one,), result_type="matrix"))
    return Measured(found)


class TestOwnCounters:
    def decision(self, measured, **more):
        w = released(checks=[OWN | more]).world()
        return decide(w.subject, w.observed, measured, w.now)

    def test_each_colour_is_asked_for_both_counters_with_its_own_names(self):
        world = released(checks=[OWN], analysis={"dispersion": 2}).world()
        asks = {ask.key: ask.query for ask in needs.asks(world) if ask.key.startswith("ticks/")}

        assert set(asks.values()) == {f'pay{which}_total{{app="{app}"}}[240s]' for which in ("", "_bad") for app in ("shop", "shop-green")}

    def test_a_green_that_loses_more_of_them_goes_back_with_both_rates(self):
        status = self.decision(own((1000.0, 10.0), (50.0, 11.0))).status

        assert (status.phase, status.rollback.reason, status.rollback.check) == (Phase.ROLLING_BACK, reasons.EVIDENCE_AGAINST, "pay")
        assert status.rollback.message.startswith("pay: 22 % vs 1 %")

    def test_one_that_loses_as_many_goes_on(self):
        assert self.decision(own((1000.0, 10.0), (50.0, 0.5))).status.phase is Phase.MEASURING

    def test_an_objective_may_stand_beside_them(self):
        assert self.decision(own((1000.0, 240.0), (50.0, 12.0)), limit={"max": 1}).status.hold.reason == reasons.CHECK_ASKS

    def test_one_question_without_an_answer_counts_nothing(self):
        measured = own((1000.0, 10.0), (50.0, 11.0))
        measured.answers.pop(asking.counter_key("pay", Arm.CANDIDATE, "part"))

        assert self.decision(measured).status.sequential == []

    def test_a_refused_query_counts_nothing_and_is_named(self):
        measured = own((1000.0, 10.0), (50.0, 11.0))
        refused = Measurement(Answer(fault=AnswerFault.BAD_QUERY, message="no such thing"))
        measured.answers[asking.counter_key("pay", Arm.CANDIDATE, "total")] = refused
        w = replace(released(checks=[OWN]).world(), measured=measured)

        assert sequential.counted(w).checks[0].fault == reasons.QUERY_REFUSED

    def test_counters_that_do_not_tell_the_versions_apart_are_named(self):
        same = Series((("app", "all"),), tuple(Sample(NOW - 100 + 10 * k, 100.0 * k) for k in range(10)))
        answers = {key: Measurement(Answer(series=(same,), result_type="matrix")) for key in own((1.0, 1.0), (1.0, 1.0)).answers}
        w = replace(released(checks=[OWN]).world(), measured=Measured(answers))

        assert sequential.counted(w).checks[0].fault == reasons.SAME_SERIES


HOME = {"finish": {"mode": "home"}, "stages": [{"weight": 5, "window": "5m"}, {"weight": 100}]}


class TestTheReturnHome:
    """The clone is at 100 %, the original has the new image and is about to get everybody back."""

    def returning(self, *, shifted=0.0):
        baked = released(2, Phase.BAKING, checks=[ERRORS], **HOME)
        state = decided(baked, counted(blue=(0.0, 0.0), green=(950.0, 5.0)))[0].status.sequential
        home = StageStatus(weight=100, entered_at=NOW - 300, shifted_at=shifted)
        there = baked.in_phase(Phase.RETURNING, sequential=state, ready_at=NOW - 60, returning=home, returned_at=shifted)
        return replace(
            there, blue=replace(there.blue, image="shop:2", updated_by=UID), route=replace(there.route, green_weight=0 if shifted else 100)
        )

    def test_at_the_switch_the_clones_last_counts_become_what_the_original_is_held_against(self):
        builder = self.returning()
        builder = replace(builder, route=replace(builder.route, green_weight=0))
        w = builder.world()
        after = decide(w.subject, w.observed, Measured(), w.now).status
        state = sequential.stored(replace(builder, status=after).world(), w.plan.checks[0])

        assert after.returned_at == NOW
        assert state.cursor.until == NOW
        assert state.lines[0].before == pytest.approx((18 * 955, 18 * 5), rel=0.2)

    def at_home(self, green):
        """Ten scrapes after the switch: the original's counters grow, and the clone's no more."""
        switched = NOW - 100
        builder = self.returning()
        w = replace(builder, now=switched).world()
        states = bets.at_new_place(replace(w, now=switched))
        status = self.returning(shifted=switched).status.model_copy(update={"sequential": states})
        steps = [(NOW - 150 + 10 * k, max(0, k - 5)) for k in range(15)]
        series = tuple(
            Series(
                tuple(sorted({"destination_workload": "shop", "destination_workload_namespace": "shop", "response_code": code}.items())),
                tuple(Sample(at, 1000.0 + rate * k) for at, k in steps),
            )
            for code, rate in (("200", green[0]), ("500", green[1]))
        )
        return decided(replace(self.returning(shifted=switched), status=status), Answer(series=series, result_type="matrix"))[0]

    def test_an_original_that_does_worse_hands_everybody_to_the_clone_again(self):
        decision = self.at_home((900.0, 100.0))

        assert [type(command).__name__ for command in decision.commands] == ["SetWeight"]
        assert decision.commands[0].weight == 100

    def test_one_that_does_as_well_goes_on_with_its_numbers_in_the_status(self):
        decision = self.at_home((995.0, 5.0))
        (check,) = decision.status.returning.checks

        assert decision.commands == ()
        assert check.remembered
        assert check.n == pytest.approx(9_000, rel=0.2)
        assert check.ln_e < check.ln_bound

    def test_after_a_failed_return_nothing_is_counted_until_the_next_one(self):
        """The states are those of the original, and the clone serves."""
        builder = self.returning(shifted=NOW - 100)
        failed = builder.status.model_copy(update={"phase": Phase.HALTED, "returned_at": 0.0, "weight": 100})

        assert sequential.watched(replace(builder, status=failed).world()) == ()

    def test_a_state_that_was_lost_begins_with_what_the_clones_counters_show(self):
        lost = self.returning(shifted=NOW - 100)
        lost = replace(lost, status=lost.status.model_copy(update={"sequential": [SequentialStatus(name="errors", state="{")]}))
        clone = rows("shop-green", "200", 100.0, 5_000.0)
        original = rows("shop", "200", 100.0)
        answer = Answer(series=(clone, original), result_type="matrix")
        w = replace(lost.world(), measured=Measured({asking.TRAFFIC: Measurement(answer)}))

        assert sequential.counted(w.at_home).checks[0].state.lines[0].before[0] > 5_000


def test_a_reverse_release_is_not_judged_so():
    """It has no stage in which both versions have requests, and an incident of both is why people ask for it."""
    reverse = released(1, Phase.BAKING, checks=[ERRORS, OBJECTIVE]).reverse()

    assert sequential.watched(reverse.world()) == ()
    assert decided(reverse, BAD)[0].status.phase is not Phase.ROLLING_BACK
    assert a_release().status.sequential == []
