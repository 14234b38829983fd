"""A release is recorded by the loop itself and decided again from the record: the same, to the last decision."""

import base64
from dataclasses import replace

import orjson
import pytest

from controller.adapters import evidence
from controller.api.release import Phase
from controller.cli.bundles import bundle_of
from controller.core.commands import Decision, Direction
from controller.core.world import Measured, Measurement, Observed
from controller.evidence import worlds
from controller.evidence.journal import Seen
from controller.evidence.reading import lines_of, looks_of
from controller.evidence.replay import Place, replay, tally
from controller.ports import CONFIG_MAP, RELEASE, Answer, Ports, RefusedError, UnavailableError
from controller.reconcile import Memo, note
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.people import start
from controller.simulator.scenario import ReleaseModel
from tests.core.releases import a_release
from tests.evidence.recorded import (
    BY_LIMITS,
    FIRST,
    HWAYO,
    KAYENTA,
    SEQUENTIAL,
    bundle_from,
    kube_of,
    parts,
    played,
    recorded,
    releases,
    replayed,
    simulated,
)
from tests.scenarios.newer import newer_definition
from tests.sizes import most_telling

RELEASES = [
    (FIRST, "healthy"), (FIRST, "fails-at-25"), (FIRST, "fails-at-100"), (FIRST, "prometheus-outage"), (FIRST, "drift-to-blue"),
    (FIRST, "drift-to-green"), (FIRST, "fighter"), (FIRST, "never-ready"), (HWAYO, "slow-at-25"), (HWAYO, "health-probe-fails"),
    (SEQUENTIAL, "sequential-errors"), (SEQUENTIAL, "sequential-latency"),
    (SEQUENTIAL, "sequential-objective-incident"), (SEQUENTIAL, "sequential-own-broken"), (SEQUENTIAL, "sequential-gauge-leaks"),
    (SEQUENTIAL, "sequential-home-worse"), (KAYENTA, "kayenta-errors"), (KAYENTA, "kayenta-healthy"),
]  # fmt: skip
TELLING = [
    (FIRST, "healthy"), (FIRST, "fails-at-25"), (HWAYO, "slow-at-25"), (SEQUENTIAL, "sequential-errors"), (KAYENTA, "kayenta-errors"),
]  # fmt: skip


class TestReplay:
    @pytest.mark.parametrize(("folder", "name"), most_telling(*TELLING, of=RELEASES), ids=[name for _, name in RELEASES])
    def test_every_look_is_decided_as_it_was(self, folder, name):
        found = replayed(recorded(folder, name))

        assert found.difference is None
        assert found.looks > (25 if name == "never-ready" else 30)  # one that waits for pods finds nothing new at most looks
        assert found.decisions > 10

    @pytest.mark.long
    def test_a_controller_that_is_killed_again_and_again_leaves_a_record_that_goes_on(self):
        found = replayed(recorded(FIRST, "restart"))

        assert found.difference is None
        assert found.gaps

    @pytest.mark.long
    def test_every_release_of_a_story_has_evidence_of_its_own(self):
        sim = played(FIRST, "three-in-a-row")

        for number in range(len(releases(sim))):
            assert replayed(bundle_from(sim, number)).difference is None

    def test_the_record_has_every_decision_of_the_history(self):
        bundle = recorded(FIRST, "fails-at-25")

        written = {(entry["kind"], entry["message"]) for entry in bundle.history}
        told = {(r["kind"], r["message"]) for look in bundle.looks if look.out for r in look.out.get("records", ())}

        assert written == told
        assert {"grant", "verdict", "rollback", "finished"} <= {kind for kind, _ in written}

    def test_what_a_step_rests_on_stands_before_the_step_of_the_same_moment(self):
        kinds = [entry["kind"] for entry in recorded(FIRST, "fails-at-25").history]

        assert kinds == ["started", "warning", "grant", "verdict", "grant", "rollback", "finished"]

    def test_a_release_says_where_its_evidence_stands(self):
        status = recorded(FIRST, "healthy").status["evidence"]

        assert status["parts"] == len(recorded(FIRST, "healthy").parts)
        assert 0 < status["bytes"] < 90_000
        assert not status["thinned"]

    def test_a_release_whose_spec_could_not_be_read_is_decided_again(self):
        """A newer version's CRD lets pass a word that this one does not know: the record says so, and what followed."""

        def prepare(sim):
            newer_definition(InMemoryKube(sim.server, user="admin"), "releases.penstock.dev", "kind", "canary")
            start(sim, "shop", "shop", ReleaseModel(revision="v9"), name="shop-v9", more={"kind": "canary"})

        kube = kube_of(simulated(FIRST, "fails-at-5", prepare))
        bundle = bundle_of(kube, kube.get(RELEASE, "shop", "shop-v9"))

        assert bundle.status["phase"] == "Refused"
        assert "kind:" in bundle.looks[-1].subject.unread
        assert replayed(bundle).difference is None

    def test_a_field_that_an_older_version_did_not_write_has_its_default(self):
        line = orjson.loads(worlds.subject_json(a_release().world().subject))
        del line["unread"]

        assert worlds.read_subject(line).unread == ""


class TestDifferences:
    """What was changed in the record is found, and named."""

    @staticmethod
    def with_look(change, wanted):
        looks = recorded(FIRST, "fails-at-25").looks
        number = next(i for i, look in enumerate(looks) if wanted(look))
        return tally(replay([*looks[:number], change(looks[number]), *looks[number + 1 :]]))

    def test_a_grant_that_was_higher_than_the_core_would_give_is_named(self):
        def change(look):
            return replace(look, out={**look.out, "status": {**look.out["status"], "grant": 50}})

        found = self.with_look(change, lambda look: look.out and (look.out.get("status") or {}).get("grant") == 25)

        assert found.difference.place is Place.DECISION
        assert (found.difference.path, found.difference.recorded, found.difference.now) == ("status.grant", 50, 25)

    @pytest.mark.parametrize(("build", "off", "same"), [("other", 1e-12, True), ("other", 1e-6, False), (worlds.BUILD, 1e-12, False)])
    def test_the_last_digits_of_a_number_may_differ_where_another_build_added_it_up(self, build, off, same):
        """Python 3.12 and later round sums otherwise than the controller's Python, perhaps, that recorded them."""

        def change(look):
            trigger = look.found.triggers[0]
            return replace(
                look, found=look.found.model_copy(update={"triggers": [trigger.model_copy(update={"n": trigger.n * (1 + off)})]})
            )

        looks = [replace(look, build=build) for look in recorded(FIRST, "fails-at-25").looks]
        number = next(
            i for i, look in enumerate(looks) if look.found and not look.read and look.found.triggers and look.found.triggers[0].n
        )
        found = tally(replay([*looks[:number], change(looks[number]), *looks[number + 1 :]])).difference

        assert (found is None) is same

    def test_samples_that_were_changed_in_a_look_that_only_waited_show_in_the_next_decision(self):
        def change(look):
            return replace(look, measured=replace(look.measured, answers={}))

        def shows_green(look):
            traffic = look.measured.answers.get("traffic") if look.measured else None
            return traffic is not None and "shop-green" in str(traffic.series)

        found = self.with_look(change, lambda look: look.out is None and shows_green(look))

        assert found.difference is not None

    def test_a_decision_that_was_taken_out_is_missed(self):
        looks = recorded(FIRST, "healthy").looks
        number = next(i for i, look in enumerate(looks) if look.out and (look.out.get("status") or {}).get("grant") == 25)

        found = tally(replay([*looks[:number], *looks[number + 1 :]]))

        assert found.difference.place is Place.RECORD
        assert found.difference.number == number + 1

    def test_a_status_that_was_edited_in_between_is_named(self):
        def change(look):
            return replace(look, found=look.found.model_copy(update={"max_weight": 99}))

        found = self.with_look(change, lambda look: look.found and look.found.stage == 1 and not look.read)

        assert (found.difference.place, found.difference.path) == (Place.STATUS, "maxWeight")


class TestOrderOfWrites:
    def test_the_evidence_of_a_grant_is_stored_before_the_grant(self):
        seen = []

        def listen(commit):
            if commit.kind == CONFIG_MAP and evidence.is_part(commit.last):
                body = evidence.bodies(commit.last)
                lines = [line for segment in body for line in lines_of(segment)]
                grants = [line["out"]["status"].get("grant") for line in lines if line.get("out", {}).get("status")]
                seen.append(("evidence", max((g for g in grants if g is not None), default=None)))
            elif commit.kind.kind == "Release" and commit.new is not None:
                seen.append(("status", (commit.new.get("status") or {}).get("grant", 0)))

        simulated(FIRST, "healthy", lambda sim: sim.server.on_commit(listen))

        for weight in (5, 25, 50, 100):
            assert seen.index(("evidence", weight)) < seen.index(("status", weight))

    def test_a_release_that_only_waits_writes_no_evidence(self):
        """Parts are written with records only: about two a stage, however many looks there were."""
        sim = played(FIRST, "healthy")

        assert len(parts(sim)) <= 12
        assert len(bundle_from(sim).looks) > 150

    def test_parts_belong_to_the_release_and_never_change(self):
        sim = played(FIRST, "fails-at-5")
        release = releases(sim)[0]

        for part in parts(sim):
            assert part["immutable"] is True
            assert part["metadata"]["ownerReferences"][0]["uid"] == release["metadata"]["uid"]
            assert part["metadata"]["annotations"]["penstock.dev/epoch"] == "1"


class RefusesEvidence:
    """An API server that takes everything but evidence."""

    def __init__(self, inner, error):
        self.inner, self.error = inner, error

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def create(self, kind, namespace, body):
        if kind == CONFIG_MAP and evidence.is_part(body):
            raise self.error
        return self.inner.create(kind, namespace, body)


REFUSED = RefusedError(403, "Forbidden", "no")


class TestRefusedEvidence:
    @staticmethod
    def from_second(sim, second, error):
        """From this second of the release on no evidence can be written."""

        def refuse():
            sim.kube = sim.cache = RefusesEvidence(sim.kube, error)

        sim.at(1_750_000_000.0 + second, refuse)

    @pytest.mark.parametrize("error", most_telling(REFUSED, of=[REFUSED, UnavailableError(503, "Down", "no")]), ids=["refused", "down"])
    def test_a_way_back_does_not_wait_for_it(self, error):
        """fails-at-25 goes back at 40 s of the second stage, whether or not that can be recorded."""
        sim = simulated(FIRST, "fails-at-25", lambda sim: self.from_second(sim, 405, error))
        status = releases(sim)[0]["status"]

        assert status["phase"] == "RolledBack"
        assert status["rollback"]["trafficAt"] - status["rollback"]["decidedAt"] < 1.0

    @pytest.mark.long
    def test_without_it_green_gets_nothing_more_and_the_release_says_what_is_in_the_way(self):
        error = RefusedError(403, "Forbidden", "configmaps is forbidden")
        sims = []

        def prepare(sim):
            sims.append(sim)
            self.from_second(sim, 60, error)

        with pytest.raises(AssertionError):
            simulated(FIRST, "healthy", prepare, plan=BY_LIMITS)  # it does not succeed, as the scenario expects
        bundle = bundle_from(sims[0])

        assert bundle.status["phase"] == "RolledBack"
        assert bundle.status["maxWeight"] == 5
        assert any("configmaps is forbidden" in entry["message"] for entry in bundle.history if entry["kind"] == "hold")


class TestWhatCannotBeWritten:
    """Half a letter is no UTF-8: JSON cannot hold it. Nothing sends it; if something did, it must not hold users on green."""

    @staticmethod
    def noted(direction, phase):
        world = a_release().in_phase(phase).world()
        measured = Measured({"trigger/errors/candidate": Measurement(Answer(message="\ud800"), query="up")})
        memo = Memo()
        ports = Ports(kube=None, prometheus=None, prober=None, clock=None, epoch=1)
        note(Seen(world.subject, Observed(), measured, 5.0, Decision(world.status, direction=direction), step=True), ports, memo)
        return memo

    def test_a_way_back_goes_on(self):
        assert self.noted(Direction.BACK, Phase.ROLLING_BACK).journals == {}

    def test_a_step_toward_green_does_not(self):
        with pytest.raises(TypeError):
            self.noted(Direction.FORWARD, Phase.MEASURING)


def test_the_lines_of_a_part_can_be_read_with_nothing_but_python():
    """Format 1: zlib over lines of JSON, in base64; it is read for ever."""
    import json
    import zlib

    sim = played(FIRST, "fails-at-5")
    body = base64.b64decode(parts(sim)[0]["binaryData"]["0000"])
    head = json.loads(zlib.decompressobj().decompress(body).splitlines()[0])

    assert (head["k"], head["format"]) == ("segment", 1)


def test_a_part_that_is_stored_twice_counts_once():
    bundle = recorded(FIRST, "fails-at-5")
    twice = replace(bundle, segments=(*bundle.segments, *bundle.segments))

    assert len(twice.looks) == len(bundle.looks)


def test_evidence_is_listed_for_its_own_release_alone():
    sim = played(FIRST, "three-in-a-row")
    kube = kube_of(sim)

    for release in releases(sim):
        meta = release["metadata"]
        mine = evidence.parts_of(kube, meta["namespace"], meta["name"], meta["uid"])
        assert len(mine) == release["status"]["evidence"]["parts"]


def test_looks_of_one_segment_need_no_other():
    bundle = recorded(FIRST, "healthy")

    for lines in bundle.segments:
        assert list(looks_of(lines, bundle.specs))
