"""What is legal but should be said is said once, where people look."""

from controller.api.release import Phase
from controller.cli.view import notes_of
from controller.core import reasons
from controller.core.world import Problem
from tests.core.releases import a_release

HELM = Problem(reasons.HELM_MARKED, "Deployment shop/shop was installed by Helm.")
DENIED = Problem(reasons.AUTHORIZATION_DENIES, "AuthorizationPolicy shop/allow does not let green in.")


def begun(*warnings):
    unknown = a_release().in_phase(Phase.PREPARING, blue_slot=-1).seeing(warnings=warnings)
    return unknown.decided()


def test_every_warning_of_the_start_has_its_own_record():
    decision = begun(HELM, DENIED)

    assert [entry.reason for entry in decision.records] == [HELM.reason, DENIED.reason]
    assert len({entry.key for entry in decision.records}) == 2


def test_the_status_keeps_them_for_get_and_why():
    status = begun(HELM, DENIED).status.model_dump(mode="json", by_alias=True)

    assert notes_of(status) == (HELM.detail, DENIED.detail)


def test_a_flood_of_them_does_not_fill_the_status():
    kept = begun(*[Problem(reasons.HELM_MARKED, f"{number} " + "x" * 5_000) for number in range(50)]).status.warnings

    assert sum(map(len, kept)) <= 3_000


def test_without_any_nothing_is_said():
    decision = begun()

    assert (decision.records, decision.status.warnings) == ((), [])
