"""`wait`, `watch` and `start --wait`: every end has its exit code, and nothing is ever aborted."""

import json

import pytest

from controller.ports import DEPLOYMENT, RELEASE
from tests.cli.cli_bed import LOST, a_terminal

FORMATTED = [["wait", "shop-v2"], ["start", "shop", "--image", "r.example/shop:3.0", "--wait"]]


class TestWait:
    def test_success_is_0_with_a_line_a_change(self):
        terminal = a_terminal()

        result = terminal.penstock("wait", "shop-v2")

        assert result.code == 0
        assert result.err == "Release shop-v2 is Succeeded.\n"
        assert "00:00:17  ▶ Shifting       5 %" in result.out
        assert result.out.splitlines()[-1].split()[2:5] == ["Succeeded", "100", "%"]

    def test_a_rollback_is_3_and_the_sentence_has_both_numbers(self):
        terminal = a_terminal("fails-at-25")

        result = terminal.penstock("wait", "shop-v2")

        assert result.code == 3
        assert "7.06 % vs 0.1 % (+6.96 points, limit +5 points, n = 1,017)" in result.err
        later = terminal.penstock("wait", "shop-v2", "--for", "stage=3")
        assert (later.code, "ended as RolledBack, which is not stage 3: " in later.err) == (3, True)

    @pytest.mark.parametrize("words", [("wait", "shop-v2", "-o", "json"), ("watch", "shop-v2")])
    def test_what_was_reached_counts_also_where_the_api_server_is_lost_in_that_moment(self, words):
        terminal = a_terminal("fails-at-25")
        get = terminal.kube.get

        def last_answer(kind, namespace, name):
            if terminal.phase() == "RolledBack" and kind == RELEASE:
                terminal.kube.get = lost
            return get(kind, namespace, name)

        def lost(*_):
            raise LOST

        terminal.kube.get = last_answer

        result = terminal.penstock(*words)

        assert (result.code, "cannot be reached" in result.err) == (3, False)
        assert words[0] == "watch" or json.loads(result.out)["status"]["phase"] == "RolledBack"

    def test_an_api_server_that_is_away_when_the_wait_begins_is_ridden_out_too(self):
        terminal = a_terminal()
        get, back = terminal.kube.get, terminal.sim.clock.now() + 20

        def away(*words):
            if terminal.sim.clock.now() < back:
                raise LOST
            return get(*words)

        terminal.kube.get = away

        result = terminal.penstock("wait", "shop-v2", "--for", "stage=1")

        assert result.code == 0
        assert result.err.count("cannot be reached") == 1
        assert result.err.startswith(f"{LOST} Tries again for 30 s.")

    @pytest.mark.long
    def test_a_rollback_that_is_waited_for_is_0(self):
        assert a_terminal("fails-at-25").penstock("wait", "shop-v2", "--for", "rolledback").code == 0

    def test_held_for_a_person_is_4(self):
        terminal = a_terminal()
        terminal.until(100)
        terminal.penstock("pause", "shop-v2")

        assert terminal.penstock("wait", "shop-v2").code == 4
        assert terminal.penstock("wait", "shop-v2", "--for", "held").code == 0

    @pytest.mark.long
    def test_a_time_out_is_5_and_the_release_goes_on(self):
        terminal = a_terminal()

        result = terminal.penstock("wait", "shop-v2", "--timeout", "1m")

        assert result.code == 5
        terminal.until_phase("Succeeded")
        assert terminal.phase() == "Succeeded"

    def test_a_stage_counts_from_1(self):
        terminal = a_terminal()

        result = terminal.penstock("wait", "shop-v2", "--for", "stage=2")

        assert (result.code, terminal.release()["status"]["grant"]) == (0, 25)

    def test_a_stage_that_the_plan_does_not_have_is_refused_at_once_with_2(self):
        result = a_terminal().penstock("wait", "shop-v2", "--for", "stage=9")

        assert result.code == 2
        assert result.err == "Release shop-v2 has 4 stages (5, 25, 50, 100 %), so it never reaches stage 9.\n"

    @pytest.mark.long
    def test_ended_is_0_whatever_the_end(self):
        assert a_terminal("fails-at-25").penstock("wait", "shop-v2", "--for", "ended").code == 0

    def test_ended_is_0_for_a_halted_release_too_and_the_last_line_names_it(self):
        terminal = a_terminal()
        terminal.until(100)
        terminal.kube.delete(DEPLOYMENT, "shop", "shop", uid=terminal.kube.get(DEPLOYMENT, "shop", "shop")["metadata"]["uid"])

        result = terminal.penstock("wait", "shop-v2", "--for", "ended")

        assert (result.code, result.err) == (0, "Release shop-v2 is Halted.\n")
        assert terminal.penstock("wait", "shop-v2").code == 4

    @pytest.mark.long
    @pytest.mark.parametrize("words", FORMATTED, ids=" ".join)
    def test_with_a_format_stdout_is_that_object_alone(self, words):
        terminal = a_terminal(started=words[0] == "wait")

        result = terminal.penstock(*words, "-o", "json")

        assert json.loads(result.out)["kind"] == "Release"
        assert "Measuring" in result.err

    def test_a_release_that_is_not_there_is_3_and_names_those_there_are(self):
        result = a_terminal().penstock("wait", "nope")

        assert (result.code, result.err) == (3, "There is no release nope in namespace shop. There are: shop-v2.\n")

    @pytest.mark.parametrize("words", [["--for", "done"], ["--for", "stage=0"], ["--timeout", "45"], ["-o", "xml"]])
    def test_what_cannot_be_understood_is_2(self, words):
        assert a_terminal().penstock("wait", "shop-v2", *words).code == 2

    @pytest.mark.long
    def test_a_loss_of_the_api_server_is_said_once_and_ridden_out(self):
        terminal = a_terminal()
        start = terminal.sim.clock.time
        terminal.sim.at(start + 60, lambda: setattr(terminal.kube, "down", True))
        terminal.sim.at(start + 120, lambda: setattr(terminal.kube, "down", False))

        result = terminal.penstock("wait", "shop-v2")

        assert result.code == 0
        assert result.err.count("cannot be reached") == 1
        assert result.err.count("answers again") == 1

    def test_an_api_server_that_is_gone_at_the_time_out_is_7(self):
        terminal = a_terminal()
        terminal.sim.at(terminal.sim.clock.time + 60, lambda: setattr(terminal.kube, "down", True))

        assert terminal.penstock("wait", "shop-v2", "--timeout", "5m").code == 7

    def test_a_deleted_release_ends_the_wait_with_3(self):
        terminal = a_terminal()
        terminal.until(100)
        uid = terminal.release()["metadata"]["uid"]
        terminal.sim.at(terminal.sim.clock.time + 5, lambda: terminal.kube.inner.delete(RELEASE, "shop", "shop-v2", uid=uid))

        result = terminal.penstock("wait", "shop-v2")

        assert result.code == 3

    def test_ctrl_c_is_130_and_aborts_nothing(self):
        terminal = a_terminal()

        def interrupt():
            raise KeyboardInterrupt

        terminal.sim.at(terminal.sim.clock.time + 60, interrupt)

        assert terminal.penstock("wait", "shop-v2").code == 130
        assert terminal.phase() != "RolledBack"


class TestWatch:
    @pytest.mark.long
    def test_without_a_terminal_it_prints_plain_lines_and_ends_with_the_release(self):
        result = a_terminal("fails-at-25").penstock("watch", "shop-v2")

        assert result.code == 3
        assert "\x1b" not in result.out

    @pytest.mark.long
    def test_on_a_terminal_that_cannot_draw_it_prints_plain_lines_too(self):
        result = a_terminal("fails-at-25", is_terminal=True, environ={"TERM": "dumb"}).penstock("watch", "shop-v2")

        assert result.code == 3
        assert "\x1b" not in result.out

    @pytest.mark.long
    def test_on_a_terminal_it_draws_until_the_release_ends_and_leaves_the_last_view(self):
        result = a_terminal("fails-at-25", is_terminal=True, environ={"NO_COLOR": "1"}).penstock("watch", "shop-v2")

        last = result.out.rpartition("\x1b[?1049l")[2]
        assert result.code == 3
        assert "✖ RolledBack" in last
        assert "\x1b[3" not in result.out
