"""Commands on a live simulated release: answers, exit codes, and what is never done."""

import json
from functools import cache

import pytest
import yaml

from controller.adapters.records import read_requests
from controller.ports import CONFIG_MAP, DEPLOYMENT, RELEASE, RELEASE_PLAN, RELEASE_REQUEST, VIRTUAL_SERVICE
from controller.reconcile import Memo, reconcile
from controller.simulator import people
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.errors import ApiError
from controller.simulator.faults_api import OURS
from controller.simulator.scenario import START
from tests.cli.cli_bed import a_terminal
from tests.sizes import most_telling


def requests_of(terminal):
    return InMemoryKube(terminal.sim.server).list(RELEASE_REQUEST, "shop").items


class TestWithoutAnyPlan:
    def test_a_rollback_says_what_it_waits_for_instead_of_that_nobody_answers(self):
        """The frozen plan and the live one were deleted, and a new controller cannot tell the routes: the request waits for the plan."""
        terminal = a_terminal()
        terminal.until(100)
        kube = InMemoryKube(terminal.sim.server)
        for kind in (CONFIG_MAP, RELEASE_PLAN):
            for item in kube.list(kind, "shop").items:
                kube.delete(kind, "shop", item["metadata"]["name"], uid=item["metadata"]["uid"])
        terminal.sim.restart_controller()
        terminal.until(102)

        result = terminal.penstock("rollback", "shop-v2")

        assert result.code == 5
        assert "there is no ReleasePlan shop that can be used. Apply the ReleasePlan again" in result.err
        assert "the request stays until one does" in result.err


class TestPauseAndResume:
    def test_a_pause_prints_the_controllers_answer_and_holds(self):
        terminal = a_terminal()
        terminal.until(100)

        result = terminal.penstock("pause", "shop-v2", "--reason", "lunch")

        assert (result.code, result.out) == (0, "accepted: pause\n")
        assert terminal.phase() == "Holding"

    def test_resume_of_what_is_not_paused_is_refused_with_exit_code_6(self):
        terminal = a_terminal()
        terminal.until(100)

        result = terminal.penstock("resume", "shop-v2")

        assert result.code == 6
        assert result.out == "refused: The release is not held: it is Measuring\n"

    def test_without_a_controller_the_request_stays_and_the_exit_code_is_5(self):
        terminal = a_terminal()
        terminal.until(100)
        terminal.controller_runs = False

        result = terminal.penstock("pause", "shop-v2", "--timeout", "3s")

        assert result.code == 5
        assert "No controller has answered within 3 s" in result.err
        assert len(requests_of(terminal)) == 1


class TestWithoutPrometheus:
    @pytest.mark.parametrize(("verb", "weight"), [("advance", 5), ("promote", 100)])
    def test_a_person_may_give_green_its_first_request_although_nobody_could_see_it_fail(self, verb, weight):
        terminal = a_terminal()
        terminal.sim.prometheus.fault = "prometheus-down"
        terminal.until(25)
        before = terminal.releases()["shop-v2"]["status"]

        result = terminal.penstock(verb, "shop-v2", "--yes", "--reason", "an urgent fix")

        assert (before["hold"]["reason"], before.get("weight", 0)) == ("NoData", 0)
        assert result.code == 0
        assert f"Nobody could see green fail now; it gets {weight} % next all the same." in result.err
        assert terminal.releases()["shop-v2"]["status"]["grant"] == weight


class StandsStill(InMemoryKube):
    """A cache that has heard nothing since the last `listen`."""

    def listen(self):
        self.heard = InMemoryKube.list(self, RELEASE_REQUEST, "shop")

    def list(self, kind, *where, **selected):
        return self.heard if kind is RELEASE_REQUEST else super().list(kind, *where, **selected)


def asks(terminal, release, seen_by=None, **spec):
    """A request that somebody applies without the command; its answer."""
    body = {"apiVersion": RELEASE_REQUEST.api_version, "kind": "ReleaseRequest", "metadata": {"name": "by-hand"}}
    kube = InMemoryKube(terminal.sim.server, user="bob", field_manager="kubectl")
    kube.create(RELEASE_REQUEST, "shop", {**body, "spec": {"release": release, "verb": "rollback", **spec}})
    if seen_by is not None:
        seen_by.listen()
    terminal.sleep(5)
    return kube.get(RELEASE_REQUEST, "shop", "by-hand")["status"]


class TestRequestsByHand:
    def test_one_for_a_release_that_does_not_exist_is_refused_and_says_so(self):
        terminal = a_terminal()
        terminal.until_phase("Measuring")
        answer = asks(terminal, "shop-v9")

        assert (answer["state"], answer["reason"]) == ("refused", "ReleaseMissing")
        assert answer["message"] == "There is no release shop-v9, nothing was done."
        assert terminal.phase() == "Measuring"

    def test_a_cache_that_still_shows_it_unanswered_keeps_no_worker_busy(self):
        """Seed 50640 of the swarm: the second answer met a conflict, which was tried again at once, as often as a second has room for."""
        terminal = a_terminal()
        terminal.until(10)
        late = StandsStill(terminal.sim.server)
        asks(terminal, "shop-v9", seen_by=late)
        outcome = reconcile(("shop", "shop-v9"), terminal.sim.ports, Memo(), cache=late)

        assert [view.name for view in read_requests(late, "shop", "shop-v9")] == ["by-hand"]
        assert (outcome.again, outcome.wake_at, outcome.error) == (False, None, "")

    def test_an_expected_stage_is_named_as_it_is_written_and_as_people_count(self):
        terminal = a_terminal()
        terminal.until_phase("Measuring")
        answer = asks(terminal, "shop-v2", verb="advance", reason="because", expect={"stage": 7})

        assert "expect.stage is 7 (stage 8), and it stands at 0 (stage 1)" in answer["message"]

    def test_a_release_with_dots_in_its_name_takes_them_too(self):
        terminal = a_terminal(started=False)
        people.start(terminal.sim, "shop", "shop", terminal.sim.scenario.release, name="shop.v2.1")
        terminal.until_phase("Measuring", name="shop.v2.1")

        assert terminal.penstock("pause", "shop.v2.1").code == 0
        assert terminal.penstock("rollback", "shop.v2.1").code == 0
        terminal.until_phase("RolledBack", name="shop.v2.1")
        assert terminal.phase("shop.v2.1") == "RolledBack"


class TestTowardGreen:
    @pytest.mark.parametrize("verb", ["advance", "promote"])
    def test_a_reason_is_needed(self, verb):
        terminal = a_terminal()
        terminal.until(100)

        assert terminal.penstock(verb, "shop-v2", "--yes").code == 2
        assert requests_of(terminal) == []

    def test_without_a_terminal_yes_is_needed_and_what_is_skipped_is_said(self):
        terminal = a_terminal()
        terminal.until(100)

        result = terminal.penstock("promote", "shop-v2", "--reason", "hurry")

        assert result.code == 2
        assert "its window of 5m unjudged and the stages of 25 %, 50 %; green gets 100 % next" in result.err
        assert requests_of(terminal) == []

    def test_on_a_terminal_a_no_leaves_everything_as_it_is(self):
        terminal = a_terminal(asks=True, says_yes=False)
        terminal.until(100)

        assert terminal.penstock("advance", "shop-v2", "--reason", "x").code == 6
        assert terminal.questions == ["Advance shop-v2?"]
        assert requests_of(terminal) == []

    @pytest.mark.parametrize("verb", ["advance", "promote"])
    def test_of_a_release_that_has_ended_nobody_is_asked_anything(self, verb):
        """Nothing would be skipped: the answer is the controller's, as of every other verb."""
        terminal = a_terminal("fails-at-25", asks=True)
        terminal.until_phase("RolledBack")

        result = terminal.penstock(verb, "shop-v2", "--reason", "x")

        assert result.code == 6
        assert result.out.startswith("refused: The release has ended, nothing was done")
        assert terminal.questions == []
        assert "Skips" not in result.err

    def test_one_stage_that_is_skipped_is_one(self):
        terminal = a_terminal()
        terminal.until(100)
        terminal.penstock("advance", "shop-v2", "--reason", "x", "--yes")

        assert "unjudged and the stage of 50 %; green gets 100 % next" in terminal.penstock("promote", "shop-v2", "--reason", "x").err

    def test_an_advance_carries_the_stage_and_revision_that_were_seen(self):
        terminal = a_terminal()
        terminal.until(100)

        assert terminal.penstock("advance", "shop-v2", "--reason", "x", "--yes").code == 0
        assert requests_of(terminal)[0]["spec"]["expect"] == {"stage": 0, "revision": "v2"}
        assert terminal.release()["status"]["weight"] == 25


NOTHING_BACK = [
    ({}, "it does not name the release that it takes back (spec.reverseOf)."),
    ({"reverseOf": "nope"}, "the plan has no release nope."),
    ({"reverseOf": "shop-v2"}, "only a success is taken back."),
]
STEERED = [["pause"], ["resume"], ["advance", "--reason", "x", "--yes"]]


class TestRollback:
    def test_it_never_asks_and_needs_no_reason(self):
        terminal = a_terminal(asks=True)
        terminal.until(100)

        result = terminal.penstock("rollback", "shop-v2")

        assert (result.code, terminal.questions) == (0, [])
        assert terminal.release()["status"]["observedWeight"] == 0

    def test_where_the_cluster_does_not_take_the_write_it_says_what_is_in_the_way_and_what_to_do(self):
        def frozen(attempt):
            if attempt.user == OURS and attempt.kind == VIRTUAL_SERVICE:
                raise ApiError(403, "admission webhook denied the request: a freeze is on")
            return attempt.new

        terminal = a_terminal()
        terminal.until(200, lambda: terminal.phase() == "Measuring")
        terminal.sim.server.admission = frozen
        result = terminal.penstock("rollback", "shop-v2", "--reason", "callers complain")
        why = terminal.penstock("why", "shop-v2").out

        assert result.code == 0
        assert result.out.startswith(
            "accepted: rollback. Goes back to blue, and the cluster does not take the write: Rollback asked by alice"
        )
        assert "a freeze is on" in result.out
        assert "put the weights to 100 and 0 by hand" in result.out
        assert "Cause: Rollback asked by alice: callers complain." in why
        assert "Next:  The write is tried again every second" in why

    def test_of_a_rolled_back_one_there_is_nothing_to_do(self):
        """The wish holds already: accepted, recorded, and nothing is written but the answer."""
        terminal = a_terminal("fails-at-25")
        terminal.until_phase("RolledBack")

        result = terminal.penstock("rollback", "shop-v2")

        assert (result.code, result.out) == (0, "accepted: Nothing to do: everybody is on blue, the release is RolledBack\n")
        assert requests_of(terminal)[0]["status"]["state"] == "accepted"

    @pytest.mark.long
    def test_of_a_rolled_back_one_whose_route_was_moved_since_is_refused_and_says_where_it_is(self):
        """Somebody gave its green's place traffic after the end: "everybody is on blue" would be a lie."""
        terminal = a_terminal("fails-at-25")
        terminal.until_phase("RolledBack")
        terminal.until(terminal.sim.clock.time - START + 600)
        kube = InMemoryKube(terminal.sim.server, user="bob")
        http = kube.get(VIRTUAL_SERVICE, "shop", "shop")["spec"]["http"]
        green = {"destination": {"host": "shop", "subset": terminal.release()["status"]["greenSubset"]}, "weight": 40}
        http[0]["route"] = [http[0]["route"][0] | {"weight": 60}, green]
        kube.patch(VIRTUAL_SERVICE, "shop", "shop", {"spec": {"http": http}})

        result = terminal.penstock("rollback", "shop-v2")

        assert result.code == 6
        assert "VirtualService shop/shop has 40 % where its green was" in result.out

    @pytest.mark.parametrize("words", most_telling(STEERED[0], of=STEERED), ids=" ".join)
    def test_what_has_ended_can_be_neither_paused_nor_resumed_nor_advanced(self, words):
        terminal = a_terminal("fails-at-25")
        terminal.until_phase("RolledBack")

        result = terminal.penstock(words[0], "shop-v2", *words[1:])

        assert result.code == 6
        assert result.out == f"refused: The release has ended, nothing was done: it is RolledBack, there is nothing to {words[0]}\n"
        assert requests_of(terminal)[0]["status"]["state"] == "refused"

    @pytest.mark.long
    def test_of_one_whose_route_leads_elsewhere_since_it_says_so(self):
        terminal = a_terminal("fails-at-25")
        terminal.until_phase("RolledBack")
        elsewhere = [{"route": [{"destination": {"host": "somewhere-else"}}]}]
        InMemoryKube(terminal.sim.server, user="bob").patch(VIRTUAL_SERVICE, "shop", "shop", {"spec": {"http": elsewhere}})

        result = terminal.penstock("rollback", "shop-v2")

        assert result.code == 6
        assert "VirtualService shop/shop sends requests elsewhere than to the versions of the plan" in result.out

    def test_of_a_success_it_starts_one_reverse_release_with_the_images_before(self):
        terminal = a_terminal()
        terminal.until_phase("Succeeded")

        first = terminal.penstock("rollback", "shop-v2", "--now")
        second = terminal.penstock("rollback", "shop-v2")

        assert (first.code, first.out, second.code, second.out) == (0, "shop-v2-back\n", 0, "shop-v2-back\n")
        spec = terminal.release("shop-v2-back")["spec"]
        assert (spec["kind"], spec["reverseOf"], spec["now"]) == ("reverse", "shop-v2", True)
        assert spec["images"] == {"shop": "registry.example/shop:1.0"}

    @pytest.mark.long
    def test_of_a_success_whose_old_version_is_gone_nothing_is_offered_and_nothing_made(self):
        """The reverse release's old version is the clone, which is deleted at the end of its retention."""
        terminal = a_terminal()
        terminal.until_phase("Succeeded")
        terminal.penstock("rollback", "shop-v2")
        terminal.until_phase("Succeeded", name="shop-v2-back")
        kept = [" ".join(terminal.penstock(verb, "shop-v2-back").out.split()) for verb in ("get", "why")]
        terminal.until(14_000, lambda: terminal.release("shop-v2-back")["status"]["retention"].get("done"))
        gone = (
            "There is no version to go back to: Deployment shop/shop-green is gone. A release brings the old version back: "
            "penstock start shop --image shop=registry.example/shop:2.0 -n shop"
        )

        told = [" ".join(terminal.penstock(verb, "shop-v2-back").out.split()) for verb in ("get", "why")]
        result = terminal.penstock("rollback", "shop-v2-back")

        assert all("penstock rollback shop-v2-back" in one for one in kept)
        assert all(gone in one and "penstock rollback" not in one for one in told)
        assert (result.code, result.out, result.err) == (6, "", f"{gone}\n")
        assert set(terminal.releases()) == {"shop-v2", "shop-v2-back"}

    @pytest.mark.long
    def test_a_success_that_was_taken_back_says_so_and_offers_no_second_time(self):
        terminal = a_terminal()
        terminal.until_phase("Succeeded")
        terminal.penstock("rollback", "shop-v2")
        terminal.until(14_000, lambda: terminal.release("shop-v2-back")["status"].get("retention", {}).get("done"))

        told = terminal.penstock("why", "shop-v2").out

        assert "Release shop-v2-back has succeeded after shop-v2, so shop-v2 no longer serves" in told
        assert "brings the old version back" not in told

    @pytest.mark.long
    def test_a_success_is_taken_back_after_its_plan_was_deleted(self):
        """By the plan that it went by, which is kept: the routes and workloads are the same."""
        terminal = a_terminal()
        terminal.until_phase("Succeeded")
        kube = InMemoryKube(terminal.sim.server, user="git")
        kube.delete(RELEASE_PLAN, "shop", "shop", uid=kube.get(RELEASE_PLAN, "shop", "shop")["metadata"]["uid"])

        result = terminal.penstock("rollback", "shop-v2")
        terminal.until_phase("Succeeded", "Refused", name="shop-v2-back")

        assert (result.code, result.out) == (0, "shop-v2-back\n")
        assert terminal.phase("shop-v2-back") == "Succeeded"
        assert terminal.release("shop-v2-back")["status"]["planHash"] == terminal.release()["status"]["planHash"]

    @pytest.mark.long
    def test_and_after_its_plan_was_given_other_routes(self):
        terminal = a_terminal()
        terminal.until_phase("Succeeded")
        terminal.plan_patch(traffic={"virtualService": "elsewhere"})

        result = terminal.penstock("rollback", "shop-v2")
        terminal.until_phase("Succeeded", "Refused", name="shop-v2-back")

        assert (result.code, terminal.phase("shop-v2-back")) == (0, "Succeeded")

    @pytest.mark.long
    def test_where_the_controller_refuses_it_the_command_says_so(self):
        """The route has been taken away since: nothing would be put back, whatever the release's object says."""
        terminal = a_terminal()
        terminal.until_phase("Succeeded")
        kube = InMemoryKube(terminal.sim.server, user="git")
        kube.delete(VIRTUAL_SERVICE, "shop", "shop", uid=kube.get(VIRTUAL_SERVICE, "shop", "shop")["metadata"]["uid"])

        result = terminal.penstock("rollback", "shop-v2", "--now")

        assert (result.code, result.out, terminal.phase("shop-v2-back")) == (6, "", "Refused")
        assert "Release shop-v2-back was refused, nothing was changed:" in result.err

    @pytest.mark.parametrize(("named", "why"), most_telling(NOTHING_BACK[-1], of=NOTHING_BACK))
    def test_a_reverse_release_that_takes_nothing_back_is_refused_before_anybody_gives_way(self, named, why):
        terminal = a_terminal()
        terminal.until_phase("Measuring")
        spec = {"plan": "shop", "revision": "v1", "images": {"shop": "registry.example/shop:1.0"}, "kind": "reverse", **named}
        body = {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": {"name": "back"}, "spec": spec}
        InMemoryKube(terminal.sim.server, user="bob").create(RELEASE, "shop", body)

        terminal.until_phase("Refused", name="back")
        terminal.sleep(30)

        assert terminal.release("back")["status"]["message"].startswith("There is no version to go back to: ")
        assert terminal.release("back")["status"]["message"].endswith(why)
        assert terminal.release()["status"]["phase"] not in ("RollingBack", "TearingDown", "RolledBack")

    @pytest.mark.long
    @pytest.mark.parametrize("by_hand", [True, False])
    def test_a_success_whose_old_version_has_made_room_for_a_later_release_is_not_taken_back_to_that_one(self, by_hand):
        """Nobody gives way to it: the later release is brought up where the old version was, which runs nowhere any more."""
        terminal = a_terminal()
        terminal.until_phase("Succeeded")
        terminal.penstock("start", "shop", "--image", "registry.example/shop:3.0", "--revision", "v3")
        terminal.until_phase("Measuring", name="shop-v3")
        if by_hand:
            spec = {"plan": "shop", "revision": "v1", "kind": "reverse", "reverseOf": "shop-v2"}
            body = {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": {"name": "back"}, "spec": spec}
            InMemoryKube(terminal.sim.server, user="bob").create(RELEASE, "shop", body)
            terminal.until_phase("Refused", name="back")
            said = terminal.release("back")["status"]["message"]
        else:
            result = terminal.penstock("rollback", "shop-v2")
            said = result.err
            assert (result.code, len(terminal.releases())) == (6, 2)
        terminal.sleep(30)

        assert "Deployment shop/shop runs registry.example/shop:3.0 by now, and had registry.example/shop:1.0." in said
        assert terminal.phase("shop-v3") not in ("RollingBack", "TearingDown", "RolledBack")

    @pytest.mark.long
    def test_a_success_whose_old_version_was_deleted_is_refused_before_anybody_gives_way(self):
        terminal = a_terminal()
        terminal.until_phase("Succeeded")
        terminal.penstock("start", "shop", "--image", "registry.example/shop:3.0", "--revision", "v3")
        terminal.until_phase("Preparing", name="shop-v3")
        kube = InMemoryKube(terminal.sim.server, user="bob")
        kube.delete(DEPLOYMENT, "shop", "shop", uid=kube.get(DEPLOYMENT, "shop", "shop")["metadata"]["uid"])
        spec = {"plan": "shop", "revision": "v1", "kind": "reverse", "reverseOf": "shop-v2"}
        kube.create(RELEASE, "shop", {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": {"name": "back"}, "spec": spec})
        terminal.until_phase("Refused", name="back")

        message = terminal.release("back")["status"]["message"]
        assert "There is no version to go back to: Deployment shop/shop" in message
        assert terminal.release("shop-v3")["status"].get("rollback", {}).get("reason") != "Superseded"

    def test_it_is_sent_again_while_the_api_server_does_not_answer(self):
        terminal = a_terminal()
        terminal.until(100)
        terminal.kube.lose = 1

        result = terminal.penstock("rollback", "shop-v2")

        assert result.code == 0
        assert len(requests_of(terminal)) == 1


class TestRetry:
    def test_a_rolled_back_release_is_tried_again_under_a_new_revision(self):
        terminal = a_terminal("fails-at-25")
        terminal.until_phase("RolledBack")

        result = terminal.penstock("retry", "shop-v2")

        spec = terminal.release("shop-v2-r2")["spec"]
        assert (result.code, result.out) == (0, "shop-v2-r2\n")
        assert (spec["retryOf"], spec["revision"], spec["images"]) == ("shop-v2", "v2-r2", {"shop": "registry.example/shop:2.0"})

    @pytest.mark.long
    def test_a_second_retry_while_the_first_runs_is_refused(self):
        terminal = a_terminal("fails-at-25")
        terminal.until_phase("RolledBack")
        terminal.penstock("retry", "shop-v2")

        assert terminal.penstock("retry", "shop-v2").code == 6

    @pytest.mark.long
    def test_of_a_success_it_is_refused(self):
        terminal = a_terminal()
        terminal.until_phase("Succeeded")

        result = terminal.penstock("retry", "shop-v2")

        assert (result.code, result.err) == (6, "Release shop-v2 has succeeded, there is nothing to try again.\n")

    def test_of_a_running_one_it_is_refused(self):
        terminal = a_terminal()
        terminal.until(100)

        assert terminal.penstock("retry", "shop-v2").code == 6


@cache
def unasked():
    """A terminal for commands that end before they ask anybody."""
    return a_terminal(started=False)


class TestNamesThatCannotBe:
    """A variable of a pipeline that was never set is an empty name; asked for, the API server would answer with the list."""

    @pytest.mark.parametrize("name", ["", "a/../b", "A B", "shop-"])
    @pytest.mark.parametrize("verb", ["get", "why", "history", "wait", "watch", "pause", "resume", "rollback", "retry", "start"])
    def test_are_a_usage_error_before_anything_is_asked(self, verb, name):
        result = unasked().penstock(verb, name)

        assert result.code == 2
        assert f"found {name!r}, expected a name of lower-case letters, digits and dashes" in " ".join(result.err.split())

    def test_nor_can_such_a_namespace(self):
        assert a_terminal().penstock("get", "-n", "a/../b").code == 2


@pytest.mark.long
def test_promote_at_the_last_stage_does_not_say_that_it_skips_the_bake():
    terminal = a_terminal()
    terminal.until_phase("Baking")

    result = terminal.penstock("promote", "shop-v2", "--reason", "hurry", "--yes")

    assert result.code == 6
    assert "Green has all the traffic already: there is no stage to skip." in result.err


@pytest.mark.long
def test_promote_goes_on_without_a_deleted_blue_and_says_what_that_means():
    terminal = a_terminal()
    terminal.until(100)
    kube = InMemoryKube(terminal.sim.server, user="alice")
    kube.delete(DEPLOYMENT, "shop", "shop", uid=kube.get(DEPLOYMENT, "shop", "shop")["metadata"]["uid"])
    terminal.until_phase("Halted")

    result = terminal.penstock("promote", "shop-v2", "--reason", "the old version is not wanted", "--yes")

    assert (result.code, result.out) == (0, "accepted: promote\n")
    assert "Goes on without blue, so that nobody can be put back: green gets 100 % next, and bakes." in result.err
    terminal.until_phase("Succeeded")


def test_what_is_skipped_is_said_in_the_times_of_the_sandbox():
    terminal = a_terminal(environ={"PENSTOCK_TIME_DIVISOR": "30"})
    terminal.until(100)

    assert "its window of 10s unjudged" in terminal.penstock("advance", "shop-v2", "--reason", "we know", "--yes").err


@pytest.mark.parametrize("command", [("get", "release", "shop-v2"), ("why", "shop-v2"), ("history", "shop-v2")])
def test_a_reason_that_turns_the_direction_of_writing_or_colours_the_terminal_is_written_out(command):
    terminal = a_terminal("healthy")
    terminal.until(100)
    terminal.penstock("rollback", "shop-v2", "--reason", "because \u202egnp.exe \x1b[2J")
    terminal.until_phase("RolledBack")
    told = terminal.penstock(*command)

    assert not {"\u202e", "\x1b"} & set(told.out + told.err)
    assert "\\u202egnp.exe" in told.out


def test_an_object_is_printed_with_the_very_characters_that_it_has():
    terminal = a_terminal("healthy")
    terminal.until(100)
    terminal.penstock("rollback", "shop-v2", "--reason", "because \u202egnp")
    terminal.until_phase("RolledBack")
    found = {form: terminal.penstock("get", "release", "shop-v2", "-o", form).out for form in ("json", "yaml")}

    assert "\u202egnp" in json.loads(found["json"])["status"]["message"]
    assert "\u202egnp" in yaml.safe_load(found["yaml"])["status"]["message"]
