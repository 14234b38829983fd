"""A version that has traffic and no pod that could answer: what happens then, and what waits until the proxies know better."""

from dataclasses import replace

import pytest

from analysis.model import Outcome
from controller.api.release import Phase, StageStatus, Verb
from controller.core import reasons
from controller.core.commands import RecordKind
from controller.core.decide import decide
from controller.core.outage import CHECK, GRACE_SECONDS
from controller.core.rhythm import free_after
from controller.reconcile import takes_step
from tests.core.releases import NOW, UID, a_release, names

WATCHED = [Phase.SHIFTING, Phase.MEASURING]


def emptied(release, *, since=0.0, blue=False, **changes):
    """No pod of green is ready, and the controller has known that since then; of blue likewise, where asked."""
    status = release.status.model_copy(update={"empty_since": since, **changes})
    there = replace(release, status=status, green=replace(release.green, ready=0, available=0, empty=True))
    return replace(there, blue=replace(there.blue, ready=0, available=0, empty=True)) if blue else there


def lost(seconds, **more):
    return emptied(a_release().at_stage(2), since=NOW - seconds, **more)


def spent(release, seconds):
    """The stage has seen so many seconds without pods before."""
    stages = [*release.status.stages[:-1], release.status.stages[-1].model_copy(update={"empty_seconds": seconds})]
    return replace(release, status=release.status.model_copy(update={"stages": stages}))


class TestGreenWithoutPods:
    def test_the_moment_is_written_down_first(self):
        decision = emptied(a_release().at_stage(2)).decided()

        assert (decision.status.phase, decision.status.empty_since, decision.store) == (Phase.MEASURING, NOW, True)

    def test_nothing_happens_within_the_grace_but_a_look_at_its_end(self):
        decision = lost(GRACE_SECONDS - 1).decided()

        assert decision.status.phase is Phase.MEASURING
        assert decision.wake_at <= NOW + 1

    @pytest.mark.parametrize("phase", WATCHED)
    def test_after_it_everybody_goes_back(self, phase):
        release = emptied(a_release().at_stage(2, phase), since=NOW - GRACE_SECONDS)

        decision = release.decided()

        rollback = decision.status.rollback
        assert (decision.status.phase, rollback.reason, rollback.check) == (Phase.ROLLING_BACK, reasons.PODS_GONE, CHECK)
        assert (rollback.value, rollback.limit, rollback.failed_at) == (0.0, 1.0, NOW - GRACE_SECONDS)
        assert "shop/shop-green had no ready pod for 15 s (limit 15 s) while 25 %" in rollback.message
        assert names(decision) == ["RollBackRoutes"]

    def test_a_cache_alone_sends_nobody_back(self):
        release = lost(GRACE_SECONDS)

        assert takes_step(release.world().subject, release.decided())

    @pytest.mark.parametrize("held", [{"reason": reasons.PAUSED, "waits_for": "operator"}, {"reason": reasons.NO_DATA, "until": NOW + 600}])
    def test_a_hold_protects_nobody_from_it(self, held):
        release = lost(GRACE_SECONDS)

        assert release.holding(held.pop("reason"), **held).decided().status.phase is Phase.ROLLING_BACK

    def test_a_halted_release_goes_back_too(self):
        assert emptied(a_release().at_stage(2, Phase.HALTED), since=NOW - 60).decided().status.phase is Phase.ROLLING_BACK

    def test_without_traffic_it_is_nobodys_problem(self):
        release = emptied(a_release().at_stage(1, Phase.SHIFTING), since=0.0, weight=0)

        assert replace(release, route=replace(release.route, green_weight=0)).decided().status.empty_since == 0.0

    def test_absences_of_one_stage_add_up(self):
        release = lost(5)

        assert release.decided().status.phase is Phase.MEASURING
        assert spent(release, 10).decided().status.phase is Phase.ROLLING_BACK

    def test_one_that_ends_in_time_is_noted_and_counted(self):
        release = lost(9)

        decision = replace(release, green=a_release().green).decided()

        assert (decision.status.phase, decision.status.empty_since) == (Phase.MEASURING, 0.0)
        assert decision.status.stages[-1].empty_seconds == 9
        assert [entry.reason for entry in decision.records] == [reasons.PODS_BACK]

    def test_a_release_that_switches_at_once_was_asked_to(self):
        release = emptied(a_release().at_stage(4, Phase.BAKING).reverse(now=True), since=NOW - 60)

        assert release.decided().status.phase is Phase.BAKING

    def test_a_subset_that_is_gone_counts_like_its_pods(self):
        release = a_release().at_stage(2)
        status = release.status.model_copy(update={"empty_since": NOW - GRACE_SECONDS})
        w = replace(release, status=status).world()

        decision = decide(w.subject, replace(w.observed, cluster_ready=False, cluster_gone=True), w.measured, w.now)

        assert (decision.status.phase, decision.status.reason) == (Phase.ROLLING_BACK, reasons.CLUSTER_GONE)


class TestNeitherVersionHasPods:
    def test_nobody_is_sent_where_nobody_answers(self):
        decision = lost(GRACE_SECONDS, blue=True).decided()

        assert (decision.status.phase, decision.status.reason, names(decision)) == (Phase.HOLDING, reasons.NO_PODS_ANYWHERE, [])
        assert (decision.status.hold.phase, decision.status.hold.then, decision.status.hold.until) == (Phase.SHIFTING, "halt", NOW + 900)

    def test_the_hold_lasts_as_long_as_that(self):
        held = lost(60, blue=True, ready_at=0.0, checkpoint_at=NOW - 5).holding(reasons.NO_PODS_ANYWHERE, until=NOW + 100)

        assert (held.decided().status.phase, held.decided().store) == (Phase.HOLDING, False)

    def test_then_a_person_is_asked(self):
        held = lost(900, blue=True).holding(reasons.NO_PODS_ANYWHERE, until=NOW, then="halt")

        assert (held.decided().status.phase, held.decided().status.reason) == (Phase.HALTED, reasons.NO_PODS_ANYWHERE)

    def test_once_blue_has_pods_everybody_goes_back(self):
        held = lost(60).holding(reasons.NO_PODS_ANYWHERE, until=NOW + 100, then="halt")

        assert held.decided().status.phase is Phase.ROLLING_BACK

    def test_once_green_has_pods_the_window_begins_anew(self):
        held = replace(lost(60, blue=True).holding(reasons.NO_PODS_ANYWHERE, until=NOW + 100), green=a_release().green)

        stage = held.decided().status.stages[-1]

        assert (held.decided().status.phase, held.decided().status.hold.phase) == (Phase.HOLDING, Phase.SHIFTING)
        assert (stage.window, stage.verdict, stage.shifted_at, stage.empty_seconds) == (None, None, NOW, 0.0)

    def test_a_person_who_is_waited_for_is_still_waited_for(self):
        paused = lost(60, blue=True).holding(reasons.PAUSED, waits_for="operator")

        assert paused.decided().status.hold.reason == reasons.PAUSED


class TestTheReturnHome:
    def returned(self, since, *, weight):
        """The original has all requests again and no pod; the route says what the clone has."""
        home = StageStatus(weight=100, shifted_at=NOW - 60)
        plan = {"finish": {"mode": "home"}}
        status = {"returned_at": NOW - 60, "returning": home, "weight": 0, "empty_since": since}
        release = a_release().with_plan(**plan).at_stage(4, Phase.RETURNING)
        there = replace(release, status=release.status.model_copy(update=status))
        route = replace(there.route, green_weight=weight, blue_only=not weight)
        return replace(there, blue=replace(there.blue, image="shop:2", updated_by=UID, ready=0, available=0, empty=True), route=route)

    def test_an_original_without_pods_gives_the_traffic_back_to_the_clone(self):
        decision = self.returned(NOW - GRACE_SECONDS, weight=0).decided()

        assert [(c.weight) for c in decision.commands] == [100]

    def test_then_a_person_is_asked(self):
        status = self.returned(NOW - GRACE_SECONDS, weight=100).decided().status

        assert (status.phase, status.reason, status.returned_at, status.empty_since) == (Phase.HOLDING, reasons.RETURN_FAILED, 0.0, 0.0)


class TestPodsThatAreBack:
    def test_that_green_is_not_complete_any_more_is_written_down(self):
        release = a_release().at_stage(2)

        decision = replace(release, green=replace(release.green, ready=2, available=2)).decided()

        assert (decision.status.phase, decision.status.ready_at, decision.store) == (Phase.MEASURING, 0.0, True)

    def test_and_since_when_it_is_again(self):
        release = a_release().at_stage(2)

        assert replace(release, status=release.status.model_copy(update={"ready_at": 0.0})).decided().status.ready_at == NOW

    @pytest.mark.parametrize(("seconds", "phase"), [(0, Phase.HOLDING), (11, Phase.HOLDING), (12, Phase.SHIFTING)])
    def test_green_gets_more_only_when_proxies_can_know_them(self, seconds, phase):
        release = a_release().at_stage(2).passed()

        decision = replace(release, status=release.status.model_copy(update={"ready_at": NOW - seconds})).decided()

        assert decision.status.phase is phase
        assert decision.status.stage == (2 if phase is Phase.SHIFTING else 1)

    def test_a_weight_that_was_granted_before_waits_as_well(self):
        release = a_release().at_stage(2, Phase.SHIFTING)
        status = release.status.model_copy(update={"weight": 5, "ready_at": NOW - 3})
        granted = replace(release, status=status, route=replace(release.route, green_weight=5))

        assert (granted.decided().status.reason, names(granted.decided())) == (reasons.CAPACITY_MISSING, [])

    def test_a_promotion_is_refused_until_then(self):
        release = a_release().at_stage(2)
        release = replace(release, status=release.status.model_copy(update={"ready_at": NOW - 3}))

        (answer,) = release.asked(Verb.PROMOTE).decided().commands

        assert (answer.accepted, answer.reason) == (False, reasons.CAPACITY_MISSING)
        assert "complete since 3 s, proxies get 12 s" in answer.message

    def test_while_a_person_is_waited_for_pods_that_come_and_go_are_not_worth_a_write(self):
        release = a_release().at_stage(2)
        paused = replace(release, green=replace(release.green, available=2)).holding(reasons.PAUSED, waits_for="operator")
        paused = replace(paused, status=paused.status.model_copy(update={"checkpoint_at": NOW - 5}))

        assert (paused.decided().status.ready_at, paused.decided().store) == (0.0, False)

    def test_the_original_gets_its_traffic_when_proxies_can_know_its_new_pods(self):
        home = {"returning": StageStatus(weight=100), "ready_at": NOW - 3}
        release = a_release().with_plan(finish={"mode": "home"}).at_stage(4, Phase.RETURNING)
        release = replace(
            release, status=release.status.model_copy(update=home), blue=replace(release.blue, image="shop:2", updated_by=UID)
        )

        assert names(release.decided()) == []
        later = replace(release, status=release.status.model_copy(update={"ready_at": NOW - 12}))
        assert [c.weight for c in later.decided().commands] == [0]


class TestTheDrain:
    @pytest.mark.parametrize(("seconds", "drained"), [(59, False), (60, True)])
    def test_green_keeps_its_cluster_until_the_last_proxy_in_time_has_heard_of_the_rollback(self, seconds, drained):
        traffic = {"virtualService": "shop", "metrics": "none"}
        plan = {"preparation": {"routeDelay": "60s"}, "rollback": {"drain": "10s"}, "traffic": traffic}
        release = a_release().with_plan(**plan).at_stage(2)
        release = release.rolling_back(Phase.TEARING_DOWN, traffic_at=NOW - seconds, ready_at=NOW - seconds, healthy_at=NOW - seconds)

        assert bool(release.decided().status.rollback.drained_at) is drained


def test_a_window_that_nobody_could_have_answered_is_no_verdict():
    """Both versions were away for a minute in a stage that had passed: it is judged again."""
    release = replace(lost(60, blue=True), green=a_release().green).passed()

    decision = release.decided()

    assert (decision.status.phase, decision.status.stages[-1].verdict) == (Phase.SHIFTING, None)
    assert release.status.stages[-1].verdict is Outcome.PASS


def bare(release, **changes):
    """No pod of blue is ready, all of green's are."""
    status = release.status.model_copy(update=changes)
    return replace(release, status=status, blue=replace(release.blue, ready=0, available=0, empty=True))


def smaller(release, **changes):
    """Somebody scaled green to one of three pods."""
    status = release.status.model_copy(update=changes)
    return replace(release, status=status, green=replace(release.green, replicas=1, ready=1, available=1))


WANTS = "Deployment shop/shop-green wants 1 of 3 pods"


class TestGreenMadeSmaller:
    @pytest.mark.parametrize(("stage", "phase"), [(2, Phase.MEASURING), (4, Phase.BAKING)])
    def test_it_is_said_at_once_and_the_release_goes_on(self, stage, phase):
        decision = smaller(a_release().at_stage(stage, phase)).decided()

        assert (decision.status.green_shrunk, decision.store, decision.status.phase) == (WANTS, True, phase)
        assert [(entry.kind, entry.reason) for entry in decision.records] == [(RecordKind.WARNING, reasons.GREEN_SHRUNK)]
        assert WANTS in decision.records[0].message

    def test_it_is_said_once_and_by_how_much_is_progress(self):
        before = {
            "green_shrunk": "Deployment shop/shop-green wants 2 of 3 pods",
            "ready_at": 0.0,
            "reason": reasons.BAKING,
            "checkpoint_at": NOW,
        }
        told = smaller(a_release().at_stage(4, Phase.BAKING), **before).decided()

        assert (told.records, told.store, told.status.green_shrunk) == ((), False, WANTS)

    def test_that_it_has_its_size_again_is_said_too(self):
        release = a_release().at_stage(4, Phase.BAKING)

        decision = replace(release, status=release.status.model_copy(update={"green_shrunk": WANTS})).decided()

        assert (decision.status.green_shrunk, [entry.reason for entry in decision.records]) == ("", [reasons.GREEN_WHOLE])

    def test_nothing_is_said_where_the_plan_leaves_the_size_to_others(self):
        assert smaller(a_release().with_plan(preparation={"size": "own"}).at_stage(4, Phase.BAKING)).decided().status.green_shrunk == ""


CONFIGS = {"shop/settings": "1", "shop-green/settings": "1"}


def reading(seen, **known):
    release = a_release().at_stage(2)
    status = release.status.model_copy(update={"configs_ready": CONFIGS, **known})
    return replace(release, status=status).seeing(configs=seen)


class TestWhatTheVersionsRead:
    def test_that_it_was_changed_is_said_though_another_cannot_be_read(self):
        decision = reading({"shop/settings": "2"}).decided()

        assert decision.status.configs_changed == "ConfigMap shop/settings"
        assert [entry.reason for entry in decision.records] == [reasons.CONFIG_CHANGED]

    @pytest.mark.parametrize("seen", [{}, {"shop-green/settings": "1"}], ids=["not live", "rights lost in one namespace"])
    def test_that_it_is_as_before_is_said_only_where_it_was_read(self, seen):
        decision = reading(seen, configs_changed="ConfigMap shop/settings").decided()

        assert (decision.status.configs_changed, decision.records) == ("ConfigMap shop/settings", ())

    def test_a_person_who_has_green_judged_as_it_is_now_takes_what_it_reads_now_too(self):
        held = reading({**CONFIGS, "shop/settings": "2"}, configs_changed="ConfigMap shop/settings").holding(reasons.GREEN_CHANGED)
        decision = held.asked(Verb.RESUME).decided()

        assert (decision.status.configs_ready["shop/settings"], decision.status.configs_changed) == ("2", "")
        assert reasons.CONFIG_AS_BEFORE not in {entry.reason for entry in decision.records}


class TestBlueWithoutPods:
    @pytest.mark.parametrize("phase", WATCHED)
    def test_it_is_said_at_once_that_nobody_could_be_put_back(self, phase):
        decision = bare(a_release().at_stage(1, phase)).decided()

        entry, *_ = decision.records
        assert (decision.status.blue_empty_since, decision.store) == (NOW, True)
        assert (entry.kind, entry.reason) == (RecordKind.WARNING, reasons.BLUE_EMPTY)
        assert "shop/shop" in entry.message

    def test_it_is_said_once(self):
        assert bare(a_release().at_stage(1), blue_empty_since=NOW - 30).decided().records == ()

    def test_a_green_that_was_judged_still_gets_more(self):
        release = bare(a_release().at_stage(1).passed(), blue_empty_since=NOW - 30)

        decision = release.decided()

        assert (decision.status.phase, decision.status.stage) == (Phase.SHIFTING, release.status.stage + 1)

    def test_that_its_pods_are_back_is_said_too(self):
        release = a_release().at_stage(1)
        back = replace(release, status=release.status.model_copy(update={"blue_empty_since": NOW - 30}))

        decision = back.decided()

        (entry,) = decision.records
        assert (decision.status.blue_empty_since, entry.reason) == (0.0, reasons.BLUE_REFILLED)
        assert "for 30 s" in entry.message

    def test_while_a_person_is_waited_for_it_waits_for_the_checkpoint(self):
        held = a_release().at_stage(2).holding(reasons.PAUSED, waits_for="operator")

        fresh = bare(held, checkpoint_at=NOW - 5).decided()
        due = free_after(held.world().subject.uid, last := NOW - 75, 60)
        late = bare(replace(held, now=due), checkpoint_at=last).decided()

        assert (fresh.store, fresh.records, fresh.status.blue_empty_since) == (False, (), 0.0)
        assert (late.store, [entry.reason for entry in late.records]) == (True, [reasons.BLUE_EMPTY])

    def test_a_deleted_blue_is_another_matter(self):
        release = a_release().at_stage(1)

        gone = replace(release, blue=replace(release.blue, found=False, empty=True))

        assert gone.decided().status.reason == reasons.BLUE_GONE
