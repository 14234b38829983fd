"""Room is bounded: in the cluster, in memory, in the history of a plan. Decisions never go missing."""

import base64
import math
import pickle
import zlib
from dataclasses import replace
from functools import cache
from itertools import pairwise

import orjson
import pytest

from analysis.model import Sample, Series
from controller.adapters import evidence
from controller.adapters.pruning import read_finished
from controller.adapters.records import read_subject
from controller.api.release import EvidenceStatus, Phase
from controller.core import asking
from controller.core.commands import Decision
from controller.core.sentences import explain
from controller.core.world import Measured, Measurement, Observed
from controller.evidence import journal as journals
from controller.evidence import thinning
from controller.evidence.journal import Journal, Seen, Segment
from controller.evidence.raw import RawSamples, counted_of
from controller.evidence.reading import lines_of, looks_of
from controller.evidence.replay import replay, tally
from controller.evidence.thinning import counted, merged, steps_only
from controller.ports import CONFIG_MAP, RELEASE, Answer
from controller.simulator.run import run_scenario
from controller.simulator.scenario import Fault
from tests import sizes
from tests.core.releases import a_release
from tests.evidence.recorded import FIRST, HWAYO, SEQUENTIAL, bundle_from, kube_of, parts, played, recorded, releases, simulated
from tests.memory import kept_bytes
from tests.stories import scenario_of


def segments_of(bundle):
    bodies = [zlib.compress(b"\n".join(map(orjson.dumps, lines)) + b"\n") for lines in bundle.segments]
    return [Segment(body, sum(line["k"] == "look" for line in lines)) for body, lines in zip(bodies, bundle.segments, strict=True)]


def with_segments(bundle, segments):
    return replace(bundle, segments=tuple(tuple(lines_of(segment.body)) for segment in segments))


def decisions(bundle):
    return [look.out for look in bundle.looks if look.out]


LARGE = [(HWAYO, "healthy"), (SEQUENTIAL, "sequential-healthy")]


class TestSizes:
    @pytest.mark.parametrize(("folder", "name"), sizes.most_telling(LARGE[0], of=LARGE), ids=["many", "sequential"])
    def test_a_release_of_over_an_hour_stays_far_below_a_megabyte(self, folder, name):
        sim = played(folder, name)
        size = sum(len(base64.b64decode(value)) for part in parts(sim) for value in part["binaryData"].values())

        assert size < 500_000
        assert releases(sim)[0]["status"]["evidence"] == {"parts": len(parts(sim)), "bytes": size, "thinned": False}

    def test_the_size_of_evidence_counts_in_the_history_of_a_plan(self):
        sim = played(FIRST, "fails-at-5")
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


def verdicts(step):
    """All that was judged and decided in a look, in the words in which people read it."""
    status = step.decision.status
    checks = [check for stage in status.stages for check in stage.checks]
    stages = [(stage.verdict, stage.window and (stage.window.n_green, stage.window.ran)) for stage in status.stages]
    told = [(one.name, one.outcome, explain(one)) for one in (*checks, *status.triggers)]
    return status.phase, status.message, status.grant, step.decision.commands, stages, told


@cache
def as_counts(folder, name):
    """Counts in every segment, also where they save nothing and the samples would stay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thinning, "_smaller", lambda segment, lines, level: replace(segment, body=thinning._packed(lines), kept=level))
        return with_segments(recorded(folder, name), [counted(segment) for segment in segments_of(recorded(folder, name))])


LOOKS = sizes.size(120, None)
"""How many looks of a release are decided again from counts; None is all of them."""


COUNTED = ("errors", "latency", "healthy", "gauge-leaks", "own-broken", "home-worse")
THINNED = [(HWAYO, "slow-at-25"), *((SEQUENTIAL, f"sequential-{one}") for one in COUNTED)]

TELLING = [(SEQUENTIAL, f"sequential-{one}") for one in ("errors",)]


class TestThinning:
    @pytest.mark.parametrize(("folder", "name"), sizes.most_telling(*TELLING, of=THINNED), ids=[name for _, name in THINNED])
    def test_every_verdict_follows_from_counts_as_from_raw_samples(self, folder, name):
        """Each look is decided again, and every status, window, poll and e-value on the way is the recorded one."""
        bundle, less = recorded(folder, name), as_counts(folder, name)
        before, after = list(replay(bundle.looks[:LOOKS])), list(replay(less.looks[:LOOKS]))

        assert list(map(verdicts, after)) == list(map(verdicts, before))
        assert tally(after).difference is None
        assert not tally(after).thinned

    def test_every_decision_keeps_what_it_saw(self):
        bundle = recorded(HWAYO, "slow-at-25")
        less = as_counts(HWAYO, "slow-at-25")

        assert decisions(less) == decisions(bundle)
        assert [look.measured for look in less.looks if look.out] == [look.measured for look in bundle.looks if look.out]

    @pytest.mark.long
    def test_counts_are_much_smaller_where_many_series_are_asked(self, monkeypatch):
        """As earlier versions did, which asked for all buckets."""
        monkeypatch.setattr(asking, "bucket_labels", lambda _edges: "")
        name, looks = sizes.size(("sequential-errors", 100), ("sequential-healthy", 400))
        bundle = bundle_from(simulated(SEQUENTIAL, name))
        segments = segments_of(bundle)
        less = [counted(segment) for segment in segments]

        assert sum(look.thinned for look in with_segments(bundle, less).looks) > looks
        assert sum(len(one.body) for one in less) < 0.6 * sum(len(one.body) for one in segments)

    def test_the_requests_of_the_release_are_counted_as_before(self):
        bundles = (recorded(SEQUENTIAL, "sequential-errors"), as_counts(SEQUENTIAL, "sequential-errors"))
        whole, less = (counted_of(one.looks, RawSamples.of(one.looks)) for one in bundles)

        assert less.between(0, 9e9) == whole.between(0, 9e9)

    def test_without_any_room_only_steps_are_left(self):
        bundle = recorded(FIRST, "fails-at-25")
        bare = with_segments(bundle, [steps_only(counted(segment)) for segment in segments_of(bundle)])
        found = tally(replay(bare.looks))

        assert decisions(bare) == decisions(bundle)
        assert len(bare.looks) < len(bundle.looks)
        assert found.difference is None
        assert found.looks - found.decisions + found.thinned > 20

    def test_a_record_of_an_older_version_with_values_instead_of_samples_is_read(self):
        """Format 1 once kept one value a question where room was short."""
        bundle = recorded(FIRST, "fails-at-25")
        lines = [[dict(line) for line in segment] for segment in bundle.segments]
        for line in (line for segment in lines for line in segment if line["k"] == "look" and "out" not in line and "a" in line):
            line["v"] = dict.fromkeys(line.pop("a"), 1.5)
        old = replace(bundle, segments=tuple(map(tuple, lines)))

        assert any(look.values for look in old.looks)
        assert tally(replay(old.looks)).thinned > 20

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

    @pytest.mark.long
    def test_a_release_near_its_bound_says_that_it_was_thinned(self, monkeypatch):
        monkeypatch.setattr(evidence, "RELEASE_BYTES", 20_000)
        sim = simulated(FIRST, "healthy")
        bundle = bundle_from(sim)

        assert releases(sim)[0]["status"]["evidence"]["thinned"] is True
        assert any(part["thinned"] for part in bundle.parts)
        assert tally(replay(bundle.looks)).difference is None


def series(values, *, start=0.0, **labels):
    given = {"__name__": "istio_requests_total", "pod": "a", "destination_workload": "shop", "response_code": "200", **labels}
    samples = tuple(Sample(start + 5.0 * number, float(value)) for number, value in enumerate(values) if value is not None)
    return Series(tuple(sorted(given.items())), samples)


def grown(every):
    """The growth of each merged series, sample by sample, by pod and code."""
    found = {}
    for one in every:
        labels = dict(one.labels)
        values = [sample.value for sample in one.samples]
        found[labels["pod"], labels["response_code"]] = [after - before for before, after in pairwise(values)]
    return found


class TestCounts:
    def test_callers_and_codes_are_summed_up_and_failures_stay_apart(self):
        every = (series([1, 4, 6]), series([10, 10, 15], response_code="404"), series([0, 1, 1], response_code="503"))

        assert grown(merged(every)) == {("a", "200"): [3, 7], ("a", "500"): [1, 0]}

    def test_pods_stay_apart(self):
        assert grown(merged((series([1, 2]), series([5, 9], pod="b")))) == {("a", "200"): [1], ("b", "200"): [4]}

    def test_a_series_that_appears_later_counts_from_nothing(self):
        assert grown(merged((series([1, 2, 3]), series([None, 7, 9], response_code="201")))) == {("a", "200"): [8, 3]}

    def test_one_that_ends_stays_where_it_was(self):
        assert grown(merged((series([1, 2, 3]), series([7, None, None], response_code="201")))) == {("a", "200"): [1, 1]}

    def test_a_reset_counts_what_came_after_it_and_is_one_in_the_sum_too(self):
        (one,) = merged((series([100, 150, 20]), series([40, 41, 1], response_code="201")))

        assert [sample.value for sample in one.samples] == [140, 191, 21]

    def test_buckets_of_one_histogram_are_reset_together(self):
        name = "istio_request_duration_milliseconds_bucket"
        every = (series([10, 12], __name__=name, le="100"), series([20, 15], __name__=name, le="+Inf"))

        assert [[sample.value for sample in one.samples] for one in merged(every)] == [[10, 22], [20, 35]]

    def test_a_histogram_that_contradicts_itself_stays_as_it_was_since_a_sum_would_hide_it(self):
        name = "istio_request_duration_milliseconds_bucket"
        wrong = (series([1, 9], __name__=name, le="100"), series([2, 5], __name__=name, le="+Inf"))
        sound = (
            series([5, 6], __name__=name, le="100", response_code="404"),
            series([50, 60], __name__=name, le="+Inf", response_code="404"),
        )

        assert merged((*wrong, *sound)) == (*wrong, *sound)
        assert len(merged(sound)) == 2

    def test_of_a_histogram_only_the_tested_edges_are_kept(self):
        name = "istio_request_duration_milliseconds_bucket"
        every = tuple(series([1, 2], __name__=name, le=edge) for edge in ("5", "25.0", "100", "+Inf"))

        assert [dict(one.labels)["le"] for one in merged(every, frozenset([25.0, math.inf]))] == ["25.0", "+Inf"]

    @pytest.mark.parametrize(
        "odd",
        [series([1, math.nan]), series([1, -2]), series([1, 2.0**53 + 2]), series([1, 2], __name__="others_total")],
        ids=["nan", "negative", "too large", "another metric"],
    )
    def test_what_is_no_plain_counter_of_istio_stays_as_it_is(self, odd):
        every = (series([1, 2]), odd)

        assert merged(every) is every


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

    @pytest.mark.long
    def test_a_cluster_that_takes_no_record_for_hours_costs_a_bounded_journal_too(self, monkeypatch):
        """Each try decides the same again; the newest ones stay."""
        monkeypatch.setattr(journals, "MEMORY_BYTES", 20_000)
        monkeypatch.setattr(journals, "SEGMENT_LOOKS", 50)
        journal, world = Journal(), a_release().in_phase(Phase.MEASURING)
        subject = world.world().subject
        for number in range(2_000):
            decision = Decision(subject.status.model_copy(update={"message": f"{number * 7919 % 104729}" * 8}))
            journal.note(Seen(subject, Observed(live=True), Measured(), float(number), decision, step=True), epoch=1, divisor=1.0)

        looks = [look for segment in journal.segments() for look in looks_of(lines_of(segment.body), {"hash": subject.plan})]
        assert sum(len(segment.body) for segment in journal.segments()) < 2 * journals.MEMORY_BYTES
        assert looks[-1].number == 1_999
        assert looks[-1].out is not None
        assert sum(1 + look.left for look in looks) == 2_000

    @pytest.mark.long
    def test_a_release_that_runs_costs_less_than_forty_kilobytes(self):
        """What only the journal holds: lines, blocks, what was named, the last status; half a thousand releases run at once."""
        sizes = []

        def prepare(sim):
            def weigh():
                parts = [one._open for one in sim.memo.journals.values() if one._open is not None]
                sizes.extend(len(pickle.dumps((one.text, one.recorded, one.blocks, one.parts, one.writer))) for one in parts)

            for minute in range(2, 27):
                sim.at(sim.clock.time + 60 * minute, weigh)

        simulated(FIRST, "healthy", prepare)

        assert len(sizes) > 15
        assert max(sizes) < 40_000

    def test_lines_take_the_memory_that_they_need_and_no_room_beside_it(self):
        """orjson leaves every text that it writes at least four kilobytes, whatever it says: 80 a release, if lines were kept so."""
        subject, observed = a_release().in_phase(Phase.MEASURING).world().subject, Observed(live=True)
        measured = Measured({"trigger/errors/candidate": Measurement(Answer(message="no data"), query="up")})

        def twenty_looks():
            journal = Journal()
            for number in range(20):
                journal.note(Seen(subject, observed, measured, float(number), Decision(subject.status), step=False), epoch=1, divisor=1.0)
            return journal

        assert kept_bytes(twenty_looks) < 20_000

    def test_a_look_that_found_and_changed_nothing_leaves_no_line(self):
        journal, world = Journal(), a_release().in_phase(Phase.MEASURING)
        subject, observed = world.world().subject, Observed(live=True)
        for number in range(100):
            journal.note(Seen(subject, observed, Measured(), float(number), Decision(subject.status), step=False), epoch=1, divisor=1.0)
        journal.close()

        assert journal.closed[0].looks == 1


class TestFailingWrites:
    @pytest.mark.long
    def test_a_step_that_nobody_stores_for_minutes_is_taken_when_it_can_be(self):
        """Every try is in the evidence; all together must still fit into what an API server takes, else the step would never be taken."""
        conflicts = Fault(kind="api-conflict", at=300.0, lasts=200.0, every=1.0)
        scenario = scenario_of(FIRST, "healthy")

        result = run_scenario(scenario.model_copy(update={"faults": [conflicts]}), FIRST)

        assert result.problems == []


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
