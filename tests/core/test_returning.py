"""`finish: home`: the return is judged like a stage, the clone is the safe side, and a rollback brings the old version up first."""

from dataclasses import replace

import pytest

from analysis.model import Arm, Outcome, Sample, Series
from controller.api.release import CheckStatus, ManagedObject, Phase, StageStatus, Verb, WindowStatus
from controller.core import reasons
from controller.core.asking import gate_key
from controller.core.commands import SetWeight, UpdateHome
from controller.core.decide import decide
from controller.core.forward import unsettled
from controller.core.needs import asks
from controller.core.settling import SplitVerdict
from controller.core.trouble import refused
from controller.core.world import Measured, Measurement
from controller.ports import Answer
from tests.core.releases import NOW, UID, Builder, a_release, names

CHECK = {"name": "errors", "query": 'x{c="$colour"}', "limit": {"maxDifference": 1}, "unit": "%"}
PLAN = {"finish": {"mode": "home"}, "checks": [CHECK], "triggers": [], "stages": [{"weight": 50, "window": "90s"}, {"weight": 100}]}


def home_bound(*, image: str = "shop:2", weight: int = 100, **plan) -> Builder:
    """In Returning: the stage of 100 % has passed with 0.5 % errors; the original's pods have this image."""
    there = a_release().with_plan(**PLAN | plan).at_stage(2, Phase.RETURNING).passed()
    stages = list(there.status.stages)
    stages[1] = stages[1].model_copy(update={"checks": [CheckStatus(name="errors", outcome=Outcome.PASS, value=0.5, unit="%")]})
    update = {"returning": StageStatus(weight=100, entered_at=NOW - 60), "images_before": {"shop": "shop:1"}, "stages": stages}
    route = replace(there.route, green_weight=weight, blue_only=not weight)
    blue = replace(there.blue, image=image, updated_by=UID if image == "shop:2" else "")
    return replace(there, status=there.status.model_copy(update=update), blue=blue, route=route)


def returned(*, ran: float = 90, **plan) -> Builder:
    """The traffic is back at the original, and its window has run for so long."""
    there = home_bound(weight=0, **plan)
    window = WindowStatus(opened_at=NOW - 80, last_sample=NOW - 5, ran=ran, n_green=5_000)
    home = StageStatus(weight=100, shifted_at=NOW - 120, settled_at=NOW - 100, window=window)
    return replace(there, status=there.status.model_copy(update={"returning": home, "returned_at": NOW - 120, "weight": 0}))


def judged(builder: Builder, value: float):
    """The decision once the check of the original has this answer."""
    at, answer = NOW - 5, Answer(series=(Series((), (Sample(NOW - 5, value),)),), result_type="vector", server_time=NOW)
    assert at == builder.status.returning.window.last_sample
    w = builder.world()
    return decide(w.subject, w.observed, Measured({gate_key("errors", Arm.CANDIDATE): Measurement(answer)}), NOW)


class TestTheWindowOfTheReturn:
    def test_asks_for_the_original_as_green_and_remembers_the_clone(self):
        """The original is the candidate; what the clone had in its bake is the baseline, so only one query is sent."""
        gates = [ask for ask in asks(returned().world()) if ask.key.startswith("gate/")]

        assert [(ask.key, ask.query) for ask in gates] == [("gate/errors/candidate", 'x{c="green"}')]

    def test_is_as_long_as_the_first_stages_window(self):
        assert not [ask for ask in asks(returned(ran=89).world()) if ask.key.startswith("gate/")]

    def test_that_gets_no_samples_misses_those_of_the_original_alone(self):
        """Nobody is at the clone while the original is judged."""
        decision = replace(returned(ran=30), now=NOW + 300).decided()

        assert decision.status.phase is Phase.HOLDING
        assert decision.status.message.startswith("No data to judge by: no sample of the original since 305 s")

    @pytest.mark.parametrize(("verdict", "said"), [(None, [reasons.CONFIG_CHANGED]), (Outcome.PASS, [])])
    def test_that_has_passed_says_nothing_of_the_copies_that_go_with_the_clone(self, verdict, said):
        """A controller that was killed among them would leave a warning of a change that nobody made."""
        there = returned(ran=30)
        home = there.status.returning.model_copy(update={"verdict": verdict, "verdict_key": "uid-1"})
        status = there.status.model_copy(update={"returning": home, "configs_ready": {"shop-green/settings": "1"}})
        decision = replace(there, status=status).seeing(configs={"shop-green/settings": ""}).decided()

        assert [entry.reason for entry in decision.records if entry.reason == reasons.CONFIG_CHANGED] == said

    def test_that_passes_is_written_down_before_the_clone_goes(self):
        decision = judged(returned(), 1.4)

        assert decision.status.returning.verdict is Outcome.PASS
        assert (names(decision), [r.reason for r in decision.records]) == ([], [reasons.RETURN_PASSED])

    def test_that_fails_is_written_down_before_the_traffic_moves(self):
        decision = judged(returned(), 1.6)

        assert decision.status.returning.verdict is Outcome.FAIL
        assert (names(decision), [r.reason for r in decision.records]) == ([], [reasons.RETURN_FAILED])
        assert "1.6 % vs 0.5 %" in decision.records[0].message

    def test_that_has_failed_puts_everybody_back_on_the_clone_and_then_asks_a_person(self):
        failed = replace(returned(), status=judged(returned(), 1.6).status)
        moving = failed.decided()
        there = replace(failed, route=replace(failed.route, green_weight=100, blue_only=False)).decided()

        assert moving.commands == (SetWeight(100),)
        assert (there.status.phase, there.status.weight, there.status.hold.waits_for) == (Phase.HOLDING, 100, "operator")
        assert not there.status.returned_at

    def test_that_has_passed_lets_the_clone_go_and_then_succeeds(self):
        passed = replace(returned(), status=judged(returned(), 1.4).status)

        assert names(passed.with_plan(**PLAN, traffic={"virtualService": "shop", "metrics": "none"}).decided()) == ["RemoveClone"]
        assert names(passed.decided()) == [], "nobody has said yet that no request reaches it"
        assert passed.seeing(green_gone=True).decided().status.phase is Phase.SUCCEEDED

    def test_cannot_end_before_the_clone_has_drained(self):
        passed = replace(returned(rollback={"drain": "10m"}), status=judged(returned(), 1.4).status)

        assert names(passed.decided()) == []

    def test_of_another_revision_counts_for_nothing(self):
        status = judged(returned(), 1.4).status
        old = status.returning.model_copy(update={"verdict_key": "v1/hash/1/home"})
        stale = replace(returned(), status=status.model_copy(update={"returning": old}))

        assert names(stale.decided()) == []

    def test_without_an_answer_holds_and_at_the_deadline_the_clone_serves_again(self):
        nan = judged(returned(), float("nan")).status
        late = replace(returned(), status=nan, now=nan.hold.until + 1)

        assert (nan.phase, nan.hold.phase, nan.hold.then) == (Phase.HOLDING, Phase.RETURNING, "rollback")
        assert late.decided().commands == (SetWeight(100),)

    def test_that_stands_in_the_status_goes_on_after_a_restart(self):
        decision = returned(ran=30, traffic={"virtualService": "shop", "metrics": "none"}).decided()

        assert decision.status.returning.window.opened_at == NOW - 80
        assert decision.status.returning.window.ran == 35


class TestTheSwitchToTheOriginal:
    def test_waits_until_its_pods_are_ready(self):
        rising = home_bound()

        assert names(replace(rising, blue=replace(rising.blue, available=2)).decided()) == []
        assert home_bound().decided().commands == (SetWeight(0),)

    def test_does_not_charge_the_original_with_the_clones_failures(self):
        """One failure of two in a row, counted at the clone, is none of the original's."""
        there = home_bound(weight=0, triggers=[{"name": "t", "query": "y", "limit": {"maxDifference": 1}, "repeat": {"consecutive": 2}}])
        streak = [CheckStatus(name="t", outcome=Outcome.FAIL, recent="pf", value=9.0, limit=2.0, baseline=1.0)]
        decision = replace(there, status=there.status.model_copy(update={"triggers": streak})).decided()

        assert decision.status.returned_at == NOW
        assert [(t.recent, t.baseline) for t in decision.status.triggers] == [("", 1.0)]

    def test_that_a_person_takes_back_by_hand_is_obeyed(self):
        by_hand = replace(returned(), route=replace(returned().route, green_weight=100, blue_only=False))
        decision = by_hand.decided()

        assert (decision.status.phase, decision.status.reason) == (Phase.HOLDING, reasons.RETURN_DRIFT)


class TestAfterAFailedReturn:
    def held(self) -> Builder:
        there = home_bound()
        return there.holding(reasons.RETURN_FAILED, until=NOW + 600, then="halt", waits_for="operator")

    def test_resume_returns_once_more_with_a_new_window(self):
        decision = self.held().asked(Verb.RESUME).decided()

        assert decision.status.phase is Phase.RETURNING

    def test_a_halted_one_can_be_resumed_too(self):
        halted = self.held()
        halted = replace(halted, status=halted.status.model_copy(update={"phase": Phase.HALTED, "hold": None}))

        assert halted.asked(Verb.RESUME).decided().status.phase is Phase.RETURNING

    @pytest.mark.parametrize(("reason", "anew"), [(reasons.CHECK_ASKS, True), (reasons.NO_DATA, False), (reasons.TOO_FEW_REQUESTS, False)])
    def test_resume_while_the_original_serves_begins_a_new_window_unless_only_requests_were_wanting(self, reason, anew):
        waiting = returned().holding(reason, until=NOW + 600)
        decision = waiting.asked(Verb.RESUME).decided()

        assert (decision.status.returning.window is None) == anew
        assert decision.status.returned_at


class TestARollbackInTheReturn:
    """The old version runs nowhere once the original has the new image."""

    def test_brings_the_old_version_up_before_it_gets_the_traffic(self):
        decision = home_bound().asked(Verb.ROLLBACK).decided()

        assert decision.status.phase is Phase.ROLLING_BACK
        assert decision.commands == (UpdateHome(back=True),)

    def going_back(self, **blue) -> Builder:
        there = home_bound(image="shop:1")
        asked = there.asked(Verb.ROLLBACK).decided().status
        return replace(there, status=asked, blue=replace(there.blue, image="shop:1", **blue))

    def test_moves_the_traffic_when_the_old_version_is_up(self):
        assert names(self.going_back().decided()) == ["RollBackRoutes"]

    def test_waits_for_it_while_the_clone_serves(self):
        assert names(self.going_back(current=False).decided()) == []

    def test_waits_no_longer_than_the_plan_allows_blue_to_get_ready(self):
        late = replace(self.going_back(available=0), now=NOW + 120)

        assert names(late.decided()) == ["RollBackRoutes"]

    def test_another_environment_of_the_same_image_is_put_back_too(self):
        same = home_bound()
        same = replace(same, status=same.status.model_copy(update={"images_before": {"shop": "shop:2"}}))

        assert same.asked(Verb.ROLLBACK).decided().commands == (UpdateHome(back=True),)

    def test_acts_at_once_while_the_original_still_has_the_old_image(self):
        assert names(home_bound(image="shop:1").asked(Verb.ROLLBACK).decided()) == ["RollBackRoutes"]


@pytest.mark.parametrize("at_home", [True, False])
def test_a_trigger_acts_on_whoever_serves(at_home):
    """On the original: back to the clone. On the clone: the version is bad, so that the release is rolled back."""
    trigger = {"name": "t", "query": "y", "limit": {"max": 1}}
    builder = (returned if at_home else home_bound)(triggers=[trigger])
    failing = [CheckStatus(name="t", outcome=Outcome.FAIL, recent="f", value=9.0, limit=1.0, line="max", polled_at=NOW)]
    decision = replace(builder, status=builder.status.model_copy(update={"triggers": failing})).decided()

    assert decision.commands == ((SetWeight(100),) if at_home else (UpdateHome(back=True),))


def test_an_original_that_has_the_image_but_not_the_versions_environment_gets_it():
    there = home_bound()

    assert names(replace(there, blue=replace(there.blue, updated_by="")).decided()) == ["UpdateHome"]


class TestAHandOnTheRoutes:
    def early(self, seen: int, **status) -> Builder:
        """The original is being brought up, and somebody gave it requests already."""
        there = home_bound(image="shop:1", weight=seen)
        return replace(there, status=there.status.model_copy(update={"ready_at": 0.0, **status}))

    @pytest.mark.parametrize("weight", [0, 40])
    def test_requests_that_the_original_is_given_before_the_switch_stay_there(self, weight):
        decision = self.early(weight).decided()

        assert (decision.status.phase, decision.status.reason, names(decision)) == (Phase.HOLDING, reasons.DRIFT_TO_BLUE, [])
        assert (decision.status.hold.phase, decision.status.weight) == (Phase.RETURNING, weight)

    def test_the_return_goes_on_when_a_person_says_so(self):
        held = self.early(40, weight=40).holding(reasons.DRIFT_TO_BLUE, waits_for="operator").asked(Verb.RESUME)

        assert held.decided().status.phase is Phase.RETURNING
        assert names(self.early(40, weight=40).decided()) == ["UpdateHome"]

    def test_the_clone_may_have_its_requests_back_meanwhile(self):
        assert names(self.early(100, weight=40).holding(reasons.DRIFT_TO_BLUE, waits_for="operator").decided()) == []

    def test_a_switch_of_several_routes_that_was_cut_off_is_our_own(self):
        there = self.early(100, ready_at=NOW - 60)
        there = replace(there, blue=replace(there.blue, image="shop:2", updated_by=UID))
        half = there.seeing(routes=(there.route, replace(there.route, name="other", green_weight=0, blue_only=True)))

        assert half.decided().commands == (SetWeight(0),)

    def test_requests_that_the_clone_is_given_while_the_return_is_held_stay_there(self):
        there = returned()
        held = replace(there, route=replace(there.route, green_weight=30, blue_only=False)).holding(reasons.NO_DATA, until=NOW + 600)

        assert held.decided().commands == (SetWeight(100),)

    def test_an_original_that_was_deleted_leaves_everybody_on_the_clone(self):
        there = home_bound()

        decision = replace(there, blue=replace(there.blue, found=False)).decided()

        assert (decision.status.phase, decision.status.reason, names(decision)) == (Phase.HOLDING, reasons.HOME_GONE, [])

    def test_nobody_is_put_back_on_a_clone_without_pods(self):
        there = returned()
        failed = there.status.returning.model_copy(update={"verdict": Outcome.FAIL})
        there = replace(there, status=there.status.model_copy(update={"returning": failed}), green=replace(there.green, empty=True))

        decision = there.decided()

        assert (decision.status.phase, decision.status.reason, names(decision)) == (Phase.HALTED, reasons.RETURN_FAILED, [])


class TestWhatOthersDidToTheClone:
    def test_a_namesake_of_the_clone_is_left_alone_and_nobody_is_moved_for_it(self):
        """The original has passed and serves: that another Deployment stands in the clone's place says nothing against it."""
        passed = returned()
        home = passed.status.returning.model_copy(update={"verdict": Outcome.PASS, "verdict_key": "v2/hash/1/home"})
        written = [ManagedObject(kind="Deployment", namespace="shop", name="shop-green", uid="g", made=True)]
        status = passed.status.model_copy(update={"returning": home, "objects": written})

        decision = replace(passed, status=status, green=replace(passed.green, uid="another")).decided()

        held = decision.status.hold
        assert (held.reason, held.waits_for, held.until) == (reasons.GREEN_STAYS, "operator", None)
        assert "somebody else's" in held.message
        assert names(decision) == []

    @pytest.mark.parametrize(("late", "held"), [(False, False), (True, True)])
    def test_an_original_that_never_takes_the_clones_image_is_not_written_for_ever(self, late, held):
        there = home_bound(image="shop:by-hand")
        since = NOW - there.plan.preparation.deadline - 1 if late else NOW - 10
        decision = replace(there, status=there.status.model_copy(update={"phase_since": since})).decided()

        assert (decision.status.phase is Phase.HOLDING) is held
        assert names(decision) == ([] if held else ["UpdateHome"])

    def test_a_rollback_does_not_wait_for_ever_for_the_old_image(self):
        there = home_bound(image="shop:by-hand")
        asked = there.asked(Verb.ROLLBACK).decided().status

        assert names(replace(there, status=asked).decided()) == ["UpdateHome"]
        assert names(replace(there, status=asked, now=NOW + 121).decided()) == ["RollBackRoutes"]

    def test_a_refused_step_of_the_return_moves_nobody_at_its_deadline(self):
        held = refused(home_bound().world(), 409, "somebody else's").status.hold

        assert (held.then, held.phase) == ("halt", Phase.RETURNING)


class TestWhatIsSaidOfAReturnThatEndsOnTheClone:
    """The reason is the one that is true of the original: not judged, gone, not ready, or taken back by hand; not "does badly"."""

    def moved_back(self, builder: Builder, status) -> str:
        """The words of the hold, once everybody is on the clone again."""
        there = replace(builder, status=status, route=replace(builder.route, green_weight=100, blue_only=False))
        return there.decided().status.message

    def test_one_that_nobody_could_judge_was_not_judged(self):
        nan = judged(returned(), float("nan")).status
        late = replace(returned(), status=nan, now=nan.hold.until + 1)

        words = self.moved_back(late, late.decided().status)

        assert words.startswith("Nobody could judge the original in time, the clone serves again: ")

    def test_one_that_was_deleted_is_gone(self):
        there = returned()
        empty = there.status.model_copy(update={"empty_since": NOW - 20})
        there = replace(there, status=empty, blue=replace(there.blue, found=False))

        assert there.decided().commands == (SetWeight(100),)
        assert self.moved_back(there, there.decided().status) == "The original is gone, the clone serves everybody: Deployment shop/shop"

    def test_one_that_never_gets_ready_is_not_called_green(self):
        there = home_bound()
        since = NOW - there.plan.preparation.deadline - 1
        status = there.status.model_copy(update={"phase_since": since})
        decision = replace(there, status=status, blue=replace(there.blue, available=1)).decided()

        assert (decision.status.phase, decision.status.hold.waits_for) == (Phase.HOLDING, "operator")
        words = "The original does not get ready with the new image, the clone serves everybody: shop/shop has 1 of 3 pods available"
        assert decision.status.message == words

    @pytest.mark.parametrize(("given", "words"), [(50, "it was given 50 % by hand"), (100, "all requests go there")])
    @pytest.mark.parametrize("held", [False, True])
    def test_a_hand_is_told_by_what_it_wrote_and_not_by_our_own_correction(self, given, words, held):
        there = returned().holding(reasons.NO_DATA, until=NOW + 600) if held else returned()
        by_hand = replace(there, route=replace(there.route, green_weight=given, blue_only=False))
        first = by_hand.decided()

        assert first.store
        assert self.moved_back(by_hand, first.status) == f"Somebody gave the clone its traffic back, it serves again: {words}"


def test_too_few_requests_to_see_the_split_after_the_switch_move_nobody():
    """The original serves, and nothing speaks against it: at the deadline a person decides."""
    few = SplitVerdict(settled=False, why="n = 21", too_few=True)

    held = unsettled(returned().world(), few, few.why, Phase.RETURNING).status.hold

    assert (held.reason, held.then, held.phase) == (reasons.SPLIT_UNSEEN, "halt", Phase.RETURNING)
