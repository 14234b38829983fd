"""What stands in a status is brought up to the moment at which it is read, and nothing is said twice."""

from types import SimpleNamespace

import pytest

from controller.cli.leading import nobody_acts
from controller.cli.living import sentence_now, unconfirmed, without
from controller.cli.view import view_of
from controller.core import reasons
from controller.core.vocabulary import REASONS
from controller.ports import LEASE, LOCAL_ACCESS_REVIEW, NAMESPACE, RefusedError
from controller.runtime.lease import micro_time
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.scenario import START
from controller.times import rfc3339
from tests.cli.cli_bed import a_terminal
from tests.sizes import most_telling

WINDOW = {"window": {"openedAt": 1000.0, "lastSample": 1030.0, "ran": 30.0}}


class TestTheSentence:
    def test_a_window_that_runs_is_as_far_as_it_is_now(self):
        said = sentence_now("Judges the window: 30 of 300 s", reasons.MEASURING, WINDOW, 300.0, 1045.0)

        assert said == "Judges the window: 45 of 300 s"

    def test_it_never_says_more_than_the_window_has(self):
        said = sentence_now("All requests go to green, blue is kept ready: 30 of 300 s", reasons.BAKING, WINDOW, 300.0, 9999.0)

        assert said == "All requests go to green, blue is kept ready: 300 of 300 s"

    @pytest.mark.parametrize(("now", "said"), [(990.0, "Warms up; the window opens in 10 s."), (1010.0, "Judges the window: 0 of 300 s")])
    def test_a_warm_up_counts_down_until_the_window_opens(self, now, said):
        assert sentence_now("Warms up; the window opens in 30 s.", reasons.WARMING_UP, WINDOW, 300.0, now) == said

    @pytest.mark.parametrize("stage", [{}, {"window": "nonsense"}, {"window": {"openedAt": "soon"}}], ids=str)
    def test_without_figures_it_stays_as_it_was_written(self, stage):
        assert sentence_now("Judges the window: 30 of 300 s", reasons.MEASURING, stage, 300.0, 1045.0) == "Judges the window: 30 of 300 s"

    def test_numbers_of_another_reason_are_left_alone(self):
        assert sentence_now("No data: 30 of 300 s judged", reasons.NO_DATA, WINDOW, 300.0, 1045.0) == "No data: 30 of 300 s judged"

    def test_the_table_says_it_too_without_the_plan(self):
        terminal = a_terminal()
        terminal.until(150)

        assert terminal.penstock("get", "-o", "wide").out.rstrip().endswith("Judges the window: 75 of 300 s")

    def test_get_and_why_agree_with_the_stage_below(self):
        terminal = a_terminal()
        terminal.until(150)

        got, why = terminal.penstock("get", "shop-v2").out, terminal.penstock("why", "shop-v2").out

        assert "1m15s of 5m" in got
        assert "Judges the window: 75 of 300 s" in got
        assert "Judges the window: 75 of 300 s" in why


class TestWhatCanBeDone:
    """A step less the command that stands below it, or that the reader has just typed."""

    @pytest.mark.parametrize(
        ("reason", "verb", "left"),
        [
            (reasons.EVIDENCE_AGAINST, "why", ""),
            (reasons.SCORE_FAILED, "why", ""),
            (reasons.ROLLED_BACK, "why", "penstock retry."),
            (reasons.DRIFT_TO_BLUE, "rollback", "penstock resume goes on from there."),
            (reasons.WORSE_UNPROVEN, "rollback", "green's failures; penstock resume measures anew."),
            (reasons.DRAIN_UNKNOWN, "resume", "(take a mirror off)."),
            (reasons.PLAN_LOST, "rollback", reasons.next_step(reasons.PLAN_LOST)),
        ],
    )
    def test_it_loses_a_whole_clause_or_nothing(self, reason, verb, left):
        found = without(reasons.next_step(reason), verb)

        assert found.endswith(left) if left else found == ""

    @pytest.mark.parametrize("verb", ["why", "rollback", "resume", "retry", "advance", "promote"])
    def test_whatever_it_loses_what_is_left_begins_as_a_sentence_or_as_a_command(self, verb):
        """`why` once ended in "Can: the requests and the e-value."."""
        left = {word: without(known.next_step, verb) for word, known in REASONS.items()}

        assert [word for word, step in left.items() if step and not (step[0].isupper() or step.startswith("penstock "))] == []
        assert [word for word, step in left.items() if f"penstock {verb} " in step] == []


class TestAStatusThatNobodyConfirms:
    """No leader, or one that may not write there: the stored sentence still says how well it goes."""

    @pytest.mark.parametrize(("phase", "now", "said"), [("Measuring", 1299, False), ("Measuring", 1420, True), ("Halted", 9000, False)])
    def test_a_running_window_of_which_nothing_was_written_for_long_is_said(self, phase, now, said):
        note = unconfirmed({"phase": phase, "stages": [WINDOW]}, 1000.0, now)

        assert bool(note) is said
        assert "for 7m" in note or not said

    def test_it_stands_among_the_notes_of_every_view(self):
        terminal = a_terminal()
        terminal.until(150)
        release, now = terminal.release(), terminal.host().now()

        assert [any("Nothing was written" in note for note in view_of(release, now=at).notes) for at in (now, now + 600)] == [False, True]


@pytest.mark.parametrize(
    ("step", "left"),
    [
        ("penstock resume goes on, penstock rollback goes back.", "penstock resume goes on."),
        ("It goes on by itself; penstock rollback puts everybody back.", "It goes on by itself."),
        ("penstock rollback still works.", ""),
        ("Look at green's pods and events, then penstock retry.", "Look at green's pods and events, then penstock retry."),
        ("", ""),
    ],
)
def test_a_step_loses_only_what_the_command_beside_it_says(step, left):
    assert without(step, "rollback") == left


@pytest.mark.parametrize("scenario", most_telling("fails-at-25", of=["healthy", "fails-at-25"]))
def test_no_answer_names_the_same_verb_twice(scenario):
    terminal = a_terminal(scenario)
    for seconds in (5, 30, 60, 150, 3600):
        terminal.until(seconds)
        ending = terminal.penstock("why", "shop-v2").out.partition("\nCan:")[2]

        assert ending.count("penstock rollback") + ending.count("penstock retry") <= 1
        assert "penstock why" not in ending


def leased(terminal, seconds_ago, holder="penstock-7c-x"):
    """The Lease as a controller renewed it so long ago; virtual time has none of its own."""
    renewed = micro_time(terminal.sim.clock.time - seconds_ago)
    spec = {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 10}
    kube = InMemoryKube(terminal.sim.server, user="system")
    kube.create(NAMESPACE, "", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "penstock-system"}})
    body = {
        "apiVersion": LEASE.api_version,
        "kind": "Lease",
        "metadata": {"name": "penstock", "namespace": "penstock-system"},
        "spec": spec,
    }
    kube.create(LEASE, "penstock-system", body)


class TestNobodyLeads:
    """The status is written by a controller: without one it says for ever that it goes on by itself."""

    @pytest.fixture
    def terminal(self):
        terminal = a_terminal()
        terminal.until_phase("Measuring")
        terminal.controller_runs = False
        return terminal

    @pytest.mark.parametrize(
        "words", [("get", "shop-v2"), ("why", "shop-v2"), ("wait", "shop-v2", "--timeout", "1s"), ("pause", "shop-v2")]
    )
    def test_is_said_instead_of_that_it_goes_on_by_itself(self, terminal, words):
        leased(terminal, 90)
        result = terminal.penstock(*words)
        said = " ".join((result.out + result.err).replace("!", "").split())

        assert "No controller leads: the Lease penstock-system/penstock, which penstock-7c-x held, was not renewed for 1m" in said
        assert "It goes on by itself" not in said

    def test_get_and_why_say_what_to_do(self, terminal):
        leased(terminal, 90, holder="")

        assert "Next: Nothing, until a controller can act on it" in " ".join(terminal.penstock("why", "shop-v2").out.split())
        assert "which nobody holds" in terminal.penstock("why", "shop-v2").out

    @pytest.mark.parametrize("seconds_ago", [0, 15, -60])
    def test_a_lease_that_is_renewed_is_no_news(self, terminal, seconds_ago):
        leased(terminal, seconds_ago)

        assert "leads" not in terminal.penstock("get", "shop-v2").out

    @pytest.mark.parametrize(("renewed", "written", "led"), [(-600, -1, True), (600, -90, False)])
    def test_a_holder_whose_clock_goes_otherwise_is_known_by_the_api_servers(self, renewed, written, led):
        """Ten minutes behind it leads all the same; ten minutes ahead it is missed as soon as any other."""
        noted = [{"manager": "penstock", "time": rfc3339(START + written)}, {"manager": "kubectl", "time": rfc3339(START - 3600)}]
        spec = {"holderIdentity": "penstock-7c-x", "renewTime": micro_time(START + renewed), "leaseDurationSeconds": 10}
        lease = {"metadata": {"managedFields": noted}, "spec": spec}
        session = SimpleNamespace(now=START, kube=SimpleNamespace(get=lambda *_: lease))

        assert (nobody_acts(session, "shop", silent=0.0) == "") is led

    def test_without_a_lease_or_the_right_to_read_it_nothing_is_said(self, terminal):
        assert "leads" not in terminal.penstock("get", "shop-v2").out

    def test_wait_says_when_one_leads_again(self, terminal):
        leased(terminal, 90)
        kube = InMemoryKube(terminal.sim.server, user="system")
        back = {"spec": {"renewTime": micro_time(terminal.sim.clock.time + 5)}}
        terminal.sim.at(terminal.sim.clock.time + 3, lambda: kube.patch(LEASE, "penstock-system", "penstock", back))
        terminal.controller_runs = True
        said = terminal.penstock("wait", "shop-v2", "--timeout", "8s").err

        assert said.index("No controller leads") < said.index("A controller acts on it again.")


class TestNobodyMayAct:
    """The namespace took the controller's rights back in mid-release: it can neither move anybody nor write that down."""

    WORDS = (("get", "shop-v2"), ("why", "shop-v2"), ("wait", "shop-v2", "--timeout", "1s"), ("rollback", "shop-v2"))

    @staticmethod
    def terminal(allowed, *, silent=120.0):
        terminal = a_terminal()
        terminal.until_phase("Measuring")
        terminal.controller_runs = False
        terminal.sim.clock.time += silent
        leased(terminal, 0)
        create, asked = terminal.kube.create, []

        def review(kind, namespace, body):
            if kind != LOCAL_ACCESS_REVIEW:
                return create(kind, namespace, body)
            asked.append(body["spec"])
            if allowed is None:
                raise RefusedError(403, "Forbidden", "alice cannot create localsubjectaccessreviews")
            return {**body, "status": {"allowed": allowed}}

        terminal.kube.create = review
        return terminal, asked

    @pytest.mark.parametrize("words", WORDS, ids=lambda words: words[0])
    def test_is_said_instead_of_that_it_goes_on_by_itself(self, words):
        terminal, asked = self.terminal(False)
        result = terminal.penstock(*words)
        said = " ".join((result.out + result.err).replace("!", "").split())

        assert "The controller has no rights in namespace shop any more" in said
        assert "penstock install --namespace shop" in said
        assert "It goes on by itself" not in said
        assert asked[0]["user"] == "system:serviceaccount:penstock-system:penstock"
        assert asked[0]["resourceAttributes"]["namespace"] == "shop"

    @pytest.mark.parametrize("allowed", [True, None], ids=["it has them", "nobody may ask"])
    def test_who_has_its_rights_or_cannot_be_asked_about_is_no_news(self, allowed):
        assert "rights" not in self.terminal(allowed)[0].penstock("get", "shop-v2").out

    def test_who_wrote_a_moment_ago_is_not_asked_about(self):
        terminal, asked = self.terminal(False, silent=0.0)

        assert "rights" not in terminal.penstock("get", "shop-v2").out
        assert asked == []
