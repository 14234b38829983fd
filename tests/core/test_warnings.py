"""What is legal but should be said is said once, where people look."""

from dataclasses import replace

import pytest

from controller.api.release import Phase
from controller.cli.view import notes_of
from controller.core import reasons
from controller.core.commands import RecordKind
from controller.core.world import Problem
from tests.core.releases import NOW, a_release

HELM = Problem(reasons.HELM_MARKED, "Deployment shop/shop was installed by Helm.")
DENIED = Problem(reasons.AUTHORIZATION_DENIES, "AuthorizationPolicy shop/allow does not let green in.")


def begun(*warnings):
    unknown = a_release().with_plan(analysis={"dispersion": 3}).in_phase(Phase.PREPARING, blue_slot=-1).seeing(warnings=warnings)
    return unknown.decided()


def test_every_warning_of_the_start_has_its_own_record():
    decision = begun(HELM, DENIED)

    assert [entry.reason for entry in decision.records] == [HELM.reason, DENIED.reason]
    assert len({entry.key for entry in decision.records}) == 2


def test_the_status_keeps_them_for_get_and_why():
    status = begun(HELM, DENIED).status.model_dump(mode="json", by_alias=True)

    assert notes_of(status, 0.0) == (HELM.detail, DENIED.detail)


def test_a_flood_of_them_does_not_fill_the_status():
    kept = begun(*[Problem(reasons.HELM_MARKED, f"{number} " + "x" * 5_000) for number in range(50)]).status.warnings

    assert sum(map(len, kept)) <= 3_000


def test_without_any_nothing_is_said():
    decision = begun()

    assert (decision.records, decision.status.warnings) == ((), [])


SEQUENTIAL = {"name": "errors", "builtin": "error-rate", "method": "sequential"}
LINE = {"share": 0.5, "bursts": 1.2, "widest": 1.4}


def measured(days_ago):
    checks = [{"builtin": "error-rate", "workload": "shop", "lines": [LINE]}]
    return {"measured": {"until": NOW - days_ago * 86_400, "hours": 24.0, "checks": checks}}


def said(**spec):
    unknown = a_release().with_plan(**spec).in_phase(Phase.PREPARING, blue_slot=-1)
    return [entry.reason for entry in unknown.decided().records]


def test_a_dispersion_that_is_only_assumed_is_said_at_the_start():
    assert said(checks=[SEQUENTIAL]) == [reasons.DISPERSION_ASSUMED]
    assert "errors" in a_release().with_plan(checks=[SEQUENTIAL]).in_phase(Phase.PREPARING, blue_slot=-1).decided().status.warnings[0]


def test_a_measured_one_or_one_that_the_plan_names_is_not():
    assert said(checks=[SEQUENTIAL], analysis=measured(1)) == []
    assert said(checks=[SEQUENTIAL], analysis={"dispersion": 3}) == []


def test_what_was_measured_long_ago_or_for_another_check_is_said():
    latency = {"name": "slow", "builtin": "latency", "method": "sequential"}

    assert said(checks=[SEQUENTIAL], analysis=measured(45)) == [reasons.MEASURED_LONG_AGO]
    assert said(checks=[SEQUENTIAL, latency], analysis=measured(1)) == [reasons.DISPERSION_ASSUMED]


LIMIT = {"name": "errors", "builtin": "error-rate", "limit": {"max": 1}}
TWO = [{"name": "web", "workload": "web"}, {"name": "api", "workload": "api"}]


@pytest.mark.parametrize(
    ("checks", "triggers", "routed", "unwatched"),
    [
        ([LIMIT], [], ("web", "api"), True),
        ([LIMIT], [], ("web",), False),
        ([LIMIT, LIMIT | {"name": "api", "member": "api"}], [], ("web", "api"), False),
        ([LIMIT], [LIMIT | {"name": "api", "member": "api"}], ("web", "api"), False),
        ([LIMIT, LIMIT | {"name": "api", "member": "api", "observe": True}], [], ("web", "api"), True),
        ([LIMIT, {"name": "own", "query": "sum(failed)", "limit": {"max": 1}}], [], ("web", "api"), False),
        ([], [], ("api",), True),
        ([LIMIT | {"member": "api", "observe": True}], [], ("api",), True),
    ],
    ids=["first member's", "not in the routes", "a check", "a trigger", "only observed", "an author's query", "nothing", "none acts"],
)
def test_requests_that_nothing_looks_at_are_said_at_the_start(checks, triggers, routed, unwatched):
    plan = {"workload": None, "members": TWO, "checks": checks, "triggers": triggers}
    release = a_release().with_plan(**plan).in_phase(Phase.PREPARING, blue_slot=-1).seeing(routed=routed)

    records = release.decided().records
    assert [(entry.reason, "1 member api" in entry.message) for entry in records] == [(reasons.MEMBER_UNWATCHED, True)] * unwatched


def test_what_blue_runs_instead_is_said_at_once_and_stays_in_view():
    release = a_release().at_stage(1)
    known = release.status.model_copy(update={"images_before": {"shop": "shop:1"}})
    decision = replace(release, status=known, blue=replace(release.blue, image="shop:1-hotfix")).decided()

    (entry,) = decision.records
    assert (decision.store, entry.kind, entry.reason) == (True, RecordKind.WARNING, reasons.BLUE_CHANGED)
    (note,) = notes_of(decision.status.model_dump(mode="json", by_alias=True), NOW)
    assert note == "Blue was changed, and nobody has judged what it runs: Deployment shop/shop runs shop:1-hotfix, and had shop:1."
