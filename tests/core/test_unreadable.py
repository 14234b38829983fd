"""What the controller may not read is not missing: such a release waits, alone, and its way back stays open."""

from dataclasses import replace

import pytest

from controller.api.release import Phase, Verb
from controller.core import reasons
from controller.core.commands import RemoveGreen
from controller.core.decide import decide
from tests.core.releases import NOW, a_release, names

REFUSED = "read the workloads: deployments.apps is forbidden"


def decided(release, *, routes=True):
    """The decision of a look to which the workloads, or the routes as well, were refused."""
    w = release.world()
    found = w.observed.routes if routes else tuple(replace(route, found=False, green_weight=0) for route in w.observed.routes)
    return decide(w.subject, replace(w.observed, members=(), green_made=False, unreadable=REFUSED, routes=found), w.measured, w.now)


@pytest.mark.parametrize("phase", [Phase.SHIFTING, Phase.MEASURING, Phase.BAKING])
@pytest.mark.parametrize("routes", [True, False])
def test_a_stage_holds_where_it_stands_and_says_which_right_is_missing(phase, routes):
    decision = decided(a_release().at_stage(4 if phase is Phase.BAKING else 2, phase), routes=routes)

    assert (decision.status.phase, decision.status.reason) == (Phase.HOLDING, reasons.RIGHTS_MISSING)
    assert REFUSED in decision.status.message
    assert names(decision) == []


@pytest.mark.parametrize("routes", [True, False])
def test_the_hold_goes_on_holding_and_does_not_count_what_is_not_read_as_gone(routes):
    held = a_release().at_stage(2).passed().holding(reasons.RIGHTS_MISSING, until=NOW + 100)

    assert decided(held, routes=routes).status.phase is Phase.HOLDING


def test_at_its_deadline_the_hold_goes_back():
    held = a_release().at_stage(2).holding(reasons.RIGHTS_MISSING, until=NOW - 1)

    assert (decided(held).status.phase, decided(held).status.rollback.reason) == (Phase.ROLLING_BACK, reasons.HOLD_DEADLINE)


def test_a_person_is_obeyed():
    assert decided(a_release().at_stage(2).asked(Verb.ROLLBACK)).status.phase is Phase.ROLLING_BACK


def test_green_is_not_taken_down_while_nobody_can_see_whether_blue_is_there():
    back = (
        a_release()
        .at_stage(2)
        .rolling_back(Phase.TEARING_DOWN, traffic_at=NOW - 40, ready_at=NOW - 40, healthy_at=NOW - 40, drained_at=NOW - 5)
    )

    assert (names(decided(back)), decided(back).status.reason) == ([], reasons.RIGHTS_MISSING)
    assert any(isinstance(command, RemoveGreen) for command in back.decided().commands)


def test_a_teardown_that_cannot_look_asks_a_person_in_the_end():
    back = (
        a_release()
        .at_stage(2)
        .rolling_back(Phase.TEARING_DOWN, traffic_at=NOW - 900, ready_at=NOW - 900, healthy_at=NOW - 900, drained_at=NOW - 700)
    )

    assert decided(back).status.phase is Phase.HALTED


def test_a_finished_release_neither_removes_nor_forgets_what_it_cannot_see():
    assert names(decided(a_release().succeeded(until=NOW - 1))) == []


def test_a_preparation_waits_and_goes_back_at_its_deadline():
    preparing = a_release().in_phase(Phase.PREPARING)

    assert decided(preparing).status.reason == reasons.RIGHTS_MISSING
    late = replace(preparing, now=NOW + 100_000)
    assert decided(late).status.rollback.reason == reasons.PREPARATION_DEADLINE


class TestANamespaceThatIsBeingDeleted:
    @pytest.mark.parametrize("deleted", [True, False])
    def test_lets_go_of_the_release_at_once_for_nothing_is_left_to_protect(self, deleted):
        release = replace(a_release().at_stage(2), deleted=deleted).seeing(namespace_going=True)

        assert (names(release.decided()), release.decided().records) == (["DropFinalizer"], ())

    def test_the_finalizer_is_not_put_on_again(self):
        release = replace(a_release().at_stage(2), finalizer=False).seeing(namespace_going=True)

        assert names(release.decided()) == []

    def test_a_route_in_another_namespace_is_put_back_first(self):
        release = a_release().at_stage(2).seeing(namespace_going=True)
        elsewhere = replace(release, route=replace(release.route, namespace="routes"))
        back = replace(elsewhere, route=replace(elsewhere.route, green_weight=0, blue_only=True))

        assert names(elsewhere.decided()) == ["RollBackRoutes"]
        assert names(back.decided()) == ["DropFinalizer"]


class TestAnOlderSchema:
    OLD = "The installed Release is older than this controller."

    @pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.PREPARING])
    def test_a_release_that_has_no_traffic_yet_says_that_it_waits_for_the_schema(self, phase):
        """Else it stands there without a reason, and only the controller's readiness knows one."""
        release = a_release().in_phase(phase).seeing(schema_problem=self.OLD)

        said = release.decided()

        assert (said.status.phase, said.status.reason, said.store, said.commands) == (phase, reasons.SCHEMA_OLD, True, ())
        assert self.OLD in said.status.message
        assert not replace(release, status=said.status).decided().store


class TestARouteInANamespaceThatCannotBeReadAnyMore:
    BACK = a_release().at_stage(2).rolling_back()
    ENDED = a_release().at_stage(2).seeing(lock="")

    def test_is_not_taken_for_gone_on_the_way_back_which_is_tried_every_second(self):
        owed = replace(self.BACK, status=self.BACK.status.model_copy(update={"weight": 25}))
        decision = decided(owed, routes=False)

        assert (decision.status.phase, decision.status.reason) == (Phase.ROLLING_BACK, reasons.ROLLBACK_REFUSED)
        assert (decision.status.weight, decision.wake_at) == (25, NOW + 1)
        assert REFUSED in decision.status.message

    def test_is_gone_where_everything_can_be_read(self):
        gone = replace(self.BACK, route=replace(self.BACK.route, found=False))

        assert (gone.decided().status.phase, gone.decided().status.reason) == (Phase.HALTED, reasons.ROUTE_GONE)

    @pytest.mark.parametrize(("ago", "kept"), [(300, True), (601, False)])
    def test_keeps_a_deleted_release_that_has_ended_for_ten_minutes(self, ago, kept):
        ended = self.ENDED.in_phase(Phase.ROLLED_BACK, finished_at=NOW - ago, weight=0)
        decision = decided(replace(ended, deleted=True), routes=False)

        assert names(decision) == ([] if kept else ["DropFinalizer"])
        assert [entry.reason for entry in decision.records] == ([] if kept else [reasons.LEFT_UNSEEN])

    def test_keeps_one_that_is_not_deleted_for_ever(self):
        assert names(decided(self.ENDED.in_phase(Phase.ROLLED_BACK, finished_at=NOW - 9000, weight=0), routes=False)) == []

    def test_a_deleted_one_whose_teardown_cannot_look_ends_and_names_what_it_leaves(self):
        since = NOW - 700
        back = (
            a_release().at_stage(2).rolling_back(Phase.TEARING_DOWN, traffic_at=since, ready_at=since, healthy_at=since, drained_at=since)
        )
        decision = decided(replace(back, deleted=True), routes=False)

        assert decision.status.phase is Phase.TEARING_DOWN
        assert REFUSED in decision.status.rollback.left

    @pytest.mark.parametrize(("traffic_at", "phase"), [(NOW - 700, Phase.TEARING_DOWN), (0.0, Phase.HALTED)])
    def test_one_that_was_halted_and_is_deleted_ends_only_where_everybody_was_put_on_blue(self, traffic_at, phase):
        halted = a_release().at_stage(2).rolling_back(traffic_at=traffic_at)
        halted = replace(halted, status=halted.status.model_copy(update={"phase": Phase.HALTED}), deleted=True)

        assert decided(halted, routes=False).status.phase is phase
