"""Room is bounded: in the cluster, in memory, in the history of a plan. Decisions never go missing."""

import base64
import pickle
import zlib
from dataclasses import replace

import orjson
import pytest

from controller.adapters import evidence
from controller.adapters.pruning import read_finished
from controller.adapters.records import read_subject
from controller.api.release import EvidenceStatus, Phase
from controller.core.commands import Decision
from controller.core.world import Measured, Measurement, Observed
from controller.evidence import journal as journals
from controller.evidence.journal import Journal, Seen, Segment
from controller.evidence.reading import lines_of, looks_of
from controller.evidence.replay import replay, tally
from controller.evidence.thinning import steps_only, thinned
from controller.ports import CONFIG_MAP, RELEASE, Answer
from tests.core.releases import a_release
from tests.evidence.recorded import FIRST, HWAYO, SEQUENTIAL, bundle_from, kube_of, parts, recorded, releases, simulated


def segments_of(bundle):
    bodies = [zlib.compress(b"\n".join(map(orjson.dumps, lines)) + b"\n") for lines in bundle.segments]
    return [Segment(body, sum(line["k"] == "look" for line in lines)) for body, lines in zip(bodies, bundle.segments, strict=True)]


def with_segments(bundle, segments):
    return replace(bundle, segments=tuple(tuple(lines_of(segment.body)) for segment in segments))


def decisions(bundle):
    return [look.out for look in bundle.looks if look.out]


class TestSizes:
    @pytest.mark.parametrize(("folder", "name"), [(HWAYO, "healthy"), (SEQUENTIAL, "sequential-healthy")], ids=["many", "sequential"])
    def test_a_release_of_over_an_hour_stays_far_below_a_megabyte(self, folder, name):
        sim = simulated(folder, name)
        size = sum(len(base64.b64decode(value)) for part in parts(sim) for value in part["binaryData"].values())

        assert size < 500_000
        assert releases(sim)[0]["status"]["evidence"] == {"parts": len(parts(sim)), "bytes": size, "thinned": False}

    def test_the_size_of_evidence_counts_in_the_history_of_a_plan(self):
        sim = simulated(FIRST, "fails-at-5")
        release = releases(sim)[0]
        size = sum(len(orjson.dumps(part.get(field) or {})) for part in parts(sim) for field in ("data", "binaryData"))

        found = read_finished(kube_of(sim), read_subject(release))

        assert found[0].size > size

    def test_evidence_goes_with_its_release(self):
        sim = simulated(FIRST, "fails-at-5")
        meta = releases(sim)[0]["metadata"]
        kube_of(sim).delete(RELEASE, meta["namespace"], meta["name"], uid=meta["uid"])
        sim.run_until(sim.clock.time + 60, lambda: False)

        assert parts(sim) == []


class TestThinning:
    def test_a_thinned_segment_has_every_decision_and_is_smaller(self):
        bundle = recorded(HWAYO, "slow-at-25")
        less = [thinned(segment) for segment in segments_of(bundle)]

        assert decisions(with_segments(bundle, less)) == decisions(bundle)
        assert sum(len(one.body) for one in less) < 0.8 * sum(len(one.body) for one in segments_of(bundle))

    def test_decisions_of_a_thinned_record_are_still_decided_again(self):
        bundle = recorded(HWAYO, "slow-at-25")
        found = tally(replay(with_segments(bundle, [thinned(segment) for segment in segments_of(bundle)]).looks))

        assert found.difference is None
        assert found.decisions == len(decisions(bundle))
        assert found.thinned > 200

    def test_a_look_that_only_waited_keeps_one_value_a_question(self):
        segment = thinned(segments_of(recorded(FIRST, "fails-at-25"))[-2])
        values = [look.values for look in looks_of(lines_of(segment.body), recorded(FIRST, "fails-at-25").specs) if look.values]

        assert any("trigger/errors/candidate" in one for one in values)

    def test_without_any_room_only_steps_are_left(self):
        bundle = recorded(FIRST, "fails-at-25")
        bare = with_segments(bundle, [steps_only(thinned(segment)) for segment in segments_of(bundle)])

        assert decisions(bare) == decisions(bundle)
        assert len(bare.looks) < len(bundle.looks)
        assert tally(replay(bare.looks)).difference is None

    def test_the_oldest_are_thinned_first_and_only_as_far_as_it_must_be(self):
        whole = segments_of(recorded(HWAYO, "slow-at-25"))
        room = sum(len(segment.body) for segment in whole) - 100

        fit = evidence.fitting(whole, room)

        assert sum(len(segment.body) for segment in fit) <= room
        assert fit[-1] == whole[-1]

    def test_a_part_is_stored_however_little_room_is_left(self):
        """Decisions never go missing: what stays is larger than the room."""
        whole = segments_of(recorded(FIRST, "fails-at-25"))

        bundle = recorded(FIRST, "fails-at-25")
        assert decisions(with_segments(bundle, evidence.fitting(whole, 0))) == decisions(bundle)

    def test_a_release_near_its_bound_says_that_it_was_thinned(self, monkeypatch):
        monkeypatch.setattr(evidence, "RELEASE_BYTES", 20_000)
        sim = simulated(FIRST, "healthy")
        bundle = bundle_from(sim)

        assert releases(sim)[0]["status"]["evidence"]["thinned"] is True
        assert any(part["thinned"] for part in bundle.parts)
        assert tally(replay(bundle.looks)).difference is None


class TestMemory:
    def test_a_release_that_waits_for_days_costs_a_bounded_journal(self, monkeypatch):
        monkeypatch.setattr(journals, "MEMORY_BYTES", 20_000)
        monkeypatch.setattr(journals, "SEGMENT_LOOKS", 50)
        journal, world = Journal(), a_release().in_phase(Phase.MEASURING)
        subject, observed = world.world().subject, Observed(live=True)
        for number in range(5_000):
            status = subject.status.model_copy(update={"checkpoint_at": float(number)})
            measured = Measured({"trigger/errors/candidate": Measurement(Answer(message=f"{number * 7919 % 104729}" * 8), query="up")})
            journal.note(Seen(subject, observed, measured, float(number), Decision(status), step=False), epoch=1, divisor=1.0)
            subject = replace(subject, status=status)

        assert sum(len(segment.body) for segment in journal.closed) < 2 * journals.MEMORY_BYTES
        assert journal.lost > 0
        looks = [look for segment in journal.closed for look in looks_of(lines_of(segment.body), {"hash": subject.plan})]
        assert tally(replay(looks)).difference is None
        assert sum(1 + look.left for look in looks) == looks[-1].number + 1

    def test_a_release_that_runs_costs_less_than_twenty_kilobytes(self):
        """What only the journal holds: lines, blocks, and what was named; half a thousand releases run at once."""
        sizes = []

        def prepare(sim):
            def weigh():
                parts = [one._open for one in sim.memo.journals.values() if one._open is not None]
                sizes.extend(len(pickle.dumps((one.lines, one.blocks, one.parts, one.writer))) for one in parts)

            for minute in range(2, 27):
                sim.at(sim.clock.time + 60 * minute, weigh)

        simulated(FIRST, "healthy", prepare)

        assert len(sizes) > 15
        assert max(sizes) < 20_000

    def test_a_look_that_found_and_changed_nothing_leaves_no_line(self):
        journal, world = Journal(), a_release().in_phase(Phase.MEASURING)
        subject, observed = world.world().subject, Observed(live=True)
        for number in range(100):
            journal.note(Seen(subject, observed, Measured(), float(number), Decision(subject.status), step=False), epoch=1, divisor=1.0)
        journal.close()

        assert journal.closed[0].looks == 1


class TestLostAnswers:
    def test_a_part_whose_answer_was_lost_is_found_under_its_name(self):
        """The same journal stored again is the same part; it is no conflict."""
        sim = simulated(FIRST, "fails-at-5")
        release = releases(sim)[0]
        subject = read_subject(release)
        journal = Journal(closed=segments_of(recorded(FIRST, "fails-at-5")))
        again = Journal(closed=list(journal.closed))

        first = evidence.store(kube_of(sim), subject, journal, EvidenceStatus(parts=90), 1)
        second = evidence.store(kube_of(sim), subject, again, EvidenceStatus(parts=90), 1)

        assert first == second
        assert journal.closed == again.closed == []
        assert sum("-091-" in o["metadata"]["name"] for o in kube_of(sim).list(CONFIG_MAP).items) == 1
