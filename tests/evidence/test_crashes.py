"""Whatever fails while a release runs, its evidence can be decided again, and no record is without it."""

from functools import partial

import pytest

from controller.simulator.crashes import CrashingKube, Mode, Point, hand_over
from tests.evidence.recorded import FIRST, bundle_from, replayed, simulated
from tests.sizes import most_telling, size

MODES = [Mode.CRASH_BEFORE, Mode.CRASH_AFTER, Mode.LOST, Mode.LATE_3, Mode.CONFLICT, Mode.ERROR, Mode.PAUSED]

STEP = size(4, 1)
"""Of the writes around evidence each mode strikes every so many, each mode others."""


def disturbed(point):
    """fails-at-5 with one write failing; the client tells what was written."""
    clients = []

    def prepare(sim):
        client = CrashingKube(sim.kube, point)
        sim.kube = sim.cache = client
        client.pause = partial(hand_over, sim, client.inner)
        clients.append(client)

    return simulated(FIRST, "fails-at-5", prepare), clients[0]


@pytest.fixture(scope="module")
def writes():
    return disturbed(None)[1].writes


def numbers_around_evidence(writes):
    """Each part of the evidence, and the write after it: there a record or a status rests on it."""
    found = [write.number for write in writes if write.name.startswith("penstock-evidence-")]
    return sorted({number for one in found for number in (one, one + 1, one + 2)})


@pytest.mark.parametrize("mode", most_telling(Mode.CRASH_BEFORE, of=MODES))
def test_a_failing_write_around_evidence_leaves_a_record_that_can_be_decided_again(writes, mode):
    chosen = numbers_around_evidence(writes)[MODES.index(mode) % STEP :: STEP]
    assert chosen
    for number in chosen:
        sim, _ = disturbed(Point(number, mode))
        bundle = bundle_from(sim)
        told = {(entry["kind"], entry["reason"]) for look in bundle.looks if look.out for entry in look.out.get("records", ())}
        written = {(entry["kind"], entry["reason"]) for entry in bundle.history}

        assert replayed(bundle).difference is None, (number, mode)
        assert written <= told, (number, mode)
