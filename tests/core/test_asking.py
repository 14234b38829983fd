"""Which questions one look asks."""

from dataclasses import replace

import promql_parser
import pytest

from analysis.model import Window
from controller.api.plan import PlanSpec
from controller.api.release import CheckStatus, ReleaseSpec, ReleaseStatus, StageStatus
from controller.core.asking import Metrics, Wanted, asks_for
from controller.core.commands import Subject
from controller.core.polls import due_triggers, next_poll
from controller.core.world import MemberView, Observed, WorkloadView

PLAN = {
    "members": [
        {"name": "web", "workload": "web", "probe": {"path": "/ready", "port": 8080}},
        {"name": "api", "workload": "api"},
    ],
    "slots": [{"name": "a"}, {"name": "b", "namespace": "prod-green"}],
    "traffic": {"virtualService": "shop", "scrapeInterval": "10s"},
    "stages": [{"weight": 5}, {"weight": 100}],
    "checks": [
        {"name": "p99", "builtin": "latency", "limit": {"maxRatio": 1.2}},
        {"name": "cpu", "builtin": "cpu", "limit": {"max": 80}, "member": "api"},
        {"name": "late", "query": 'x{v="$revision"}[$window]', "limit": {"maxRatio": 2}, "stages": [100]},
    ],
    "triggers": [
        {"name": "errors", "builtin": "error-rate", "limit": {"max": 5}, "interval": "10s"},
        {"name": "health", "probe": {"path": "/health", "timeout": "2s"}, "interval": "30s"},
    ],
}


def subject(plan=PLAN, kind="forward", **status):
    fields = {"blue_slot": 0, "mode": "host", "stage": 0, "weight": 5} | status
    return Subject(
        namespace="prod", name="r1", uid="u", resource_version="1", generation=1, created=0, deleted=False, finalizer=True,
        spec=ReleaseSpec(plan="shop", revision="v2", kind=kind), status=ReleaseStatus(**fields), plan=PlanSpec.model_validate(plan),
    )  # fmt: skip


def view(revision):
    return Observed(members=(MemberView("web", WorkloadView("prod", "web", revision=revision), WorkloadView("prod-green", "web")),))


def asked(wanted, of=None, observed=None, now=1000.0, **options):
    return {ask.key: ask for ask in asks_for(of or subject(), observed or Observed(), now, wanted, Metrics(**options))}


class TestTraffic:
    def test_raw_samples_of_both_colours_since_the_change_and_three_scrapes_more(self):
        ask = asked(Wanted(traffic_since=940))["traffic"]

        assert ask.query.endswith("[90s]")
        assert 'reporter="source"' in ask.query
        assert "web[.]prod-green[.]svc[.]cluster[.]local" in ask.query
        promql_parser.parse(ask.query)

    def test_only_members_in_the_routes_are_counted(self):
        assert "web" not in asked(Wanted(traffic_since=940), routed=("api",))["traffic"].query

    def test_after_a_long_outage_it_asks_for_fifteen_minutes_only(self):
        assert asked(Wanted(traffic_since=0), now=90_000.0)["traffic"].query.endswith("[900s]")

    def test_a_clock_that_was_set_back_still_asks_for_something(self):
        assert asked(Wanted(traffic_since=5000))["traffic"].query.endswith("[30s]")


def gates(asks):
    return {key: ask for key, ask in asks.items() if key.startswith("gate/")}


class TestGates:
    WANTED = Wanted(gate=Window(600, 960))

    def test_a_relative_check_is_asked_of_both_colours_at_the_windows_end(self):
        asks = asked(self.WANTED)

        assert set(gates(asks)) == {"gate/p99/candidate", "gate/p99/baseline", "gate/cpu/candidate"}
        assert {ask.time for ask in asks.values()} == {960}
        assert all("[360s]" in ask.query for ask in gates(asks).values())

    def test_behind_a_number_it_is_asked_of_the_same_versions_whether_their_counters_can_be_counted(self):
        asks = asked(self.WANTED)

        assert asks.keys() - gates(asks) == {"standing/p99/candidate", "standing/p99/baseline", "standing/cpu/candidate"}

    def test_at_a_hundred_percent_blue_is_not_asked_where_its_numbers_were_judged_before(self):
        known = [CheckStatus(name=name, baseline=200.0) for name in ("p99", "late")]

        asks = asked(self.WANTED, subject(stage=1, weight=100, baseline=known))

        assert set(gates(asks)) == {"gate/p99/candidate", "gate/cpu/candidate", "gate/late/candidate"}

    def test_after_an_instant_switch_blue_is_asked_as_of_just_before_it(self):
        """A single stage of 100 %, or a promotion: blue's numbers were never judged, so its last window before the switch counts."""
        stages = [StageStatus(weight=5), StageStatus(weight=100, shifted_at=500.0)]

        asks = asked(self.WANTED, subject(stage=1, weight=100, stages=stages))

        assert asks["gate/p99/baseline"].time == 500.0
        assert asks["gate/p99/candidate"].time == 960

    def test_a_reverse_release_is_judged_by_the_checks_of_the_last_stage(self):
        assert "gate/late/candidate" in asked(self.WANTED, subject(kind="reverse"))

    def test_a_blue_without_a_named_revision_is_not_asked_by_revision(self):
        plan = PLAN | {"checks": [PLAN["checks"][2] | {"stages": []}]}

        assert set(asked(self.WANTED, subject(plan))) == {"gate/late/candidate"}
        assert asked(self.WANTED, subject(plan), view("v1"))["gate/late/baseline"].query == 'x{v="v1"}[360s]'


class TestTriggers:
    def test_a_probe_is_asked_of_both_colours_by_their_services(self):
        asks = asked(Wanted(triggers=tuple(subject().plan.triggers)))

        assert asks["trigger/health/candidate"].url == "http://web.prod-green.svc.cluster.local:80/health"
        assert asks["trigger/health/baseline"].url == "http://web.prod.svc.cluster.local:80/health"
        assert asks["trigger/health/candidate"].timeout == 2

    def test_a_probe_is_held_to_the_status_that_the_plan_names(self):
        health = subject().plan.triggers[-1]
        strict = health.model_copy(update={"probe": health.probe.model_copy(update={"status": 200})})

        assert [ask.status for ask in asked(Wanted(triggers=(strict,))).values()] == [200, 200]
        assert [ask.status for ask in asked(Wanted(triggers=(health,))).values()] == [None, None]

    @pytest.mark.parametrize(("polled_at", "due"), [(0, True), (986.8, True), (994, False), (1000, False), (4600, True)])
    def test_a_trigger_is_due_when_its_next_poll_has_come_or_the_clock_was_set_back(self, polled_at, due):
        found = subject(triggers=[CheckStatus(name="errors", polled_at=polled_at), CheckStatus(name="health", polled_at=999)])

        assert bool(due_triggers(found.plan, found.status, found.uid, 1000.0)) is due

    def test_the_next_poll_is_the_earliest_one(self):
        found = subject(triggers=[CheckStatus(name="errors", polled_at=996.894), CheckStatus(name="health", polled_at=999)])

        assert next_poll(found.plan, found.status, found.uid, 1000.0) == pytest.approx(1006.894, abs=1e-3)
        assert next_poll(found.plan.model_copy(update={"triggers": []}), found.status, found.uid, 1000.0) is None


class TestProbes:
    def test_members_with_a_probe_are_asked_for_the_wanted_colours(self):
        asks = asked(Wanted(probes=("green", "blue")))

        assert {key: ask.url for key, ask in asks.items()} == {
            "probe/web/green": "http://web.prod-green.svc.cluster.local:8080/ready",
            "probe/web/blue": "http://web.prod.svc.cluster.local:8080/ready",
        }


def test_without_a_plan_nothing_is_asked():
    found = subject()

    assert asks_for(replace(found, plan=None), Observed(), 1000.0, Wanted(traffic_since=0, triggers=tuple(found.plan.triggers))) == ()
