"""What the cluster refuses is tried again under one sentence: no alternating words, no hold that begins anew at each try."""

from dataclasses import replace

import pytest

from controller.api.release import Phase
from controller.core import reasons
from controller.core.decide import concluded_refusal, next_step
from controller.core.trouble import OUR_DEFECT, refused
from tests.core.releases import NOW, a_release, names

FORBIDDEN, INVALID = 403, 422


def too_small(release):
    """Green has one pod of the three that the next stage needs, and may not be scaled."""
    return replace(release, green=replace(release.green, replicas=1, available=1))


@pytest.mark.parametrize(("code", "word"), [(FORBIDDEN, reasons.RIGHTS_MISSING), (INVALID, reasons.ACTION_REFUSED)])
def test_a_hold_over_a_refused_command_is_tried_again_and_not_left(code, word):
    known = {"ready_at": 0.0, "green_shrunk": "Deployment shop/shop-green wants 1 of 3 pods"}
    release = too_small(a_release().at_stage(1).in_phase(Phase.MEASURING, checkpoint_at=NOW, **known).passed())
    held = refused(release.world(), code, "scaling deployments in shop").status
    later = replace(release, status=held, now=NOW + 5)
    tried = later.decided()
    again = refused(later.world(), code, "scaling deployments in shop")

    assert (held.phase, held.reason) == (Phase.HOLDING, word)
    assert (names(tried), tried.store, tried.status.hold) == (["SizeGreen"], False, held.hold)
    assert (again.store, again.status) == (False, held)


def test_it_reaches_its_deadline_and_goes_back():
    release = too_small(a_release().at_stage(1).passed())
    held = refused(release.world(), FORBIDDEN, "scaling deployments in shop").status

    assert replace(release, status=held, now=held.hold.until).decided().status.phase is Phase.ROLLING_BACK


def test_green_that_may_not_be_made_says_so_all_the_time():
    world = a_release().in_phase(Phase.PREPARING, ready_at=0.0).world()
    world = replace(world, observed=replace(world.observed, green_made=False))
    said = refused(world, FORBIDDEN, "creating deployments in shop").status
    tried = next_step(world.with_status(said))

    assert said.reason == reasons.RIGHTS_MISSING
    assert (names(tried), tried.store, tried.status) == (["MakeGreen"], False, said)


def test_looks_that_keep_breaking_come_to_the_deadline_all_the_same():
    """Nobody judges green meanwhile: after the deadline everybody is on blue, though no look ends well."""
    release = a_release().at_stage(1)
    held = concluded_refusal(release.world(), OUR_DEFECT, "ZeroDivisionError: division by zero", 1).status
    waiting = concluded_refusal(replace(release, status=held, now=NOW + 5).world(), OUR_DEFECT, "ZeroDivisionError: division by zero", 1)
    late = concluded_refusal(
        replace(release, status=held, now=held.hold.until).world(), OUR_DEFECT, "ZeroDivisionError: division by zero", 1
    )

    assert (held.phase, held.reason) == (Phase.HOLDING, reasons.DEFECT)
    assert (waiting.status.hold, waiting.store) == (held.hold, False)
    assert (late.status.phase, late.store, late.commands) == (Phase.ROLLING_BACK, True, ())


def test_a_halted_release_keeps_its_own_reason_when_a_look_at_it_breaks():
    halted = a_release().at_stage(1).in_phase(Phase.HALTED, reason=reasons.BREACH, message="a rule")
    after = refused(halted.world(), OUR_DEFECT, "ZeroDivisionError: division by zero")

    assert (after.status, after.store) == (halted.status, False)
