"""`start`: what is created, found again, and refused before anything is created."""

import pytest

from controller.ports import RELEASE_PLAN, Patch
from tests.cli.cli_bed import a_terminal

IMAGE = "registry.example/shop:2.0"


def idle(**changes):
    return a_terminal(started=False, **changes)


def supersede(terminal):
    terminal.kube.patch(RELEASE_PLAN, "shop", "shop", {"spec": {"concurrency": "supersede"}}, Patch.MERGE)


class TestStart:
    def test_the_revision_is_the_tag_and_the_name_is_the_only_data(self):
        terminal = idle(environ={"GITHUB_SHA": "abc123", "GITHUB_RUN_ID": "7", "GITHUB_REPOSITORY": "shop/shop"})

        result = terminal.penstock("start", "shop", "--image", IMAGE)

        spec = terminal.release("shop-2-0")["spec"]
        assert (result.code, result.out) == (0, "shop-2-0\n")
        assert (spec["revision"], spec["images"]) == ("2-0", {"shop": IMAGE})
        assert spec["origin"] == {"actor": "alice", "commit": "abc123", "run": "https://github.com/shop/shop/actions/runs/7"}

    @pytest.mark.long
    def test_waiting_for_it_ends_with_its_success(self):
        result = idle().penstock("start", "shop", "--image", f"shop={IMAGE}", "--wait")

        assert result.code == 0
        assert result.out.splitlines()[0] == "shop-2-0"

    def test_the_same_id_finds_the_same_release(self):
        terminal = idle()
        words = ("start", "shop", "--image", IMAGE, "--id", "run 7")

        first, second = terminal.penstock(*words), terminal.penstock(*words)

        assert (first.code, second.code) == (0, 0)
        assert first.out == second.out
        assert len(terminal.releases()) == 1

    def test_the_same_id_with_another_image_is_refused(self):
        terminal = idle()
        terminal.penstock("start", "shop", "--image", IMAGE, "--id", "run 7")

        assert terminal.penstock("start", "shop", "--image", "registry.example/shop:3.0", "--id", "run 7").code == 6

    def test_a_lost_answer_does_not_start_it_twice(self):
        terminal = idle()
        terminal.kube.lose = 1

        assert terminal.penstock("start", "shop", "--image", IMAGE).code == 0
        assert len(terminal.releases()) == 1

    def test_the_same_revision_while_it_runs_is_refused(self):
        terminal = idle()
        terminal.penstock("start", "shop", "--image", IMAGE)
        terminal.until(60)

        assert terminal.penstock("start", "shop", "--image", IMAGE).code == 6

    def test_another_revision_while_one_runs_waits_for_it_and_says_so(self):
        terminal = idle()
        terminal.penstock("start", "shop", "--image", IMAGE)
        terminal.until(60)

        result = terminal.penstock("start", "shop", "--image", "registry.example/shop:3.0")

        assert result.code == 0
        assert "It waits for release shop-2-0" in result.err

    def test_where_the_plan_supersedes_it_says_that_the_running_one_goes_back(self):
        """And not that it waits, with an option that would change nothing."""
        terminal = idle()
        supersede(terminal)
        terminal.penstock("start", "shop", "--image", IMAGE)
        terminal.until(60)

        second = terminal.penstock("start", "shop", "--image", "registry.example/shop:3.0")

        assert "It takes the place of release shop-2-0, which is rolled back first." in second.err
        assert "--supersede" not in second.err

    def test_a_release_whose_frozen_plan_queues_is_waited_for_after_the_plan_was_edited(self):
        terminal = idle()
        terminal.penstock("start", "shop", "--image", IMAGE)
        terminal.until(60)
        supersede(terminal)

        assert "It waits for release shop-2-0" in terminal.penstock("start", "shop", "--image", "registry.example/shop:3.0").err

    def test_after_a_finished_one_of_that_name_the_name_gets_a_number(self):
        terminal = a_terminal("fails-at-25")
        terminal.until_phase("RolledBack")

        assert terminal.penstock("start", "shop", "--image", IMAGE, "--revision", "v2").out == "shop-v2-2\n"

    @pytest.mark.parametrize(
        ("words", "code", "said"),
        [
            (["shop"], 2, "Which image? Write --image shop=REGISTRY/NAME:TAG."),
            (["shop", "--image", "registry.example:5000/shop"], 2, "neither a tag nor a digest"),
            (["shop", "--image", "registry.example/shop:"], 2, "write registry.example/shop:TAG."),
            (["shop", "--image", "cart=x:1"], 2, "The plan has no member 'cart'; it has shop."),
            (["shp", "--image", IMAGE], 3, "There is no plan shp in namespace shop. There are: shop."),
            (["shop", "--image", IMAGE, "--supersede", "nope"], 3, "There is no release nope"),
            (["shop", "--image", IMAGE, "--revision", "Not Good"], 2, "The revision 'Not Good' cannot be used: expected at most 40"),
            (["shop", "--image", "registry.example/shop:2.0 "], 2, "The image 'registry.example/shop:2.0 ' has a space in it"),
            (["shop", "--image", IMAGE, "--id", "x" * 129], 2, "The id has 129 characters, expected at most 128"),
        ],
    )
    def test_bad_input_is_one_sentence_and_creates_nothing(self, words, code, said):
        terminal = idle()

        result = terminal.penstock("start", *words)

        assert result.code == code
        assert said in result.err
        assert terminal.releases() == {}


class TestSupersede:
    def started(self, terminal, number, *words):
        terminal.sleep(5)
        return terminal.penstock("start", "shop", "--image", f"registry.example/shop:{number}.0", *words)

    @pytest.mark.long
    def test_the_new_release_takes_the_place_before_those_that_were_queued(self):
        terminal = a_terminal()
        terminal.until_phase("Measuring")
        self.started(terminal, 3)

        result = self.started(terminal, 4, "--supersede", "shop-v2")
        terminal.until_phase("Preparing", "Shifting", name="shop-4-0")

        assert "It takes the place of release shop-v2, which is rolled back first." in result.err
        assert "--supersede" not in result.err
        assert [terminal.phase(name) for name in ("shop-v2", "shop-3-0")] == ["RolledBack", "Queued"]
        assert terminal.release("shop-3-0")["status"]["message"] == "Waits for release shop-4-0 of the same plan."

    @pytest.mark.long
    def test_the_place_of_a_queued_one_is_taken_too(self):
        terminal = a_terminal()
        terminal.until_phase("Measuring")
        for number in (3, 4, 5):
            self.started(terminal, number)

        self.started(terminal, 6, "--supersede", "shop-4-0")
        self.started(terminal, 7, "--supersede", "shop-6-0")
        terminal.penstock("rollback", "shop-v2")
        terminal.until_phase("Measuring", name="shop-3-0")
        terminal.penstock("rollback", "shop-3-0")
        terminal.until_phase("Preparing", "Shifting", name="shop-7-0")

        assert [terminal.phase(f"shop-{number}-0") for number in (3, 4, 5, 6)] == ["RolledBack", "RolledBack", "Queued", "RolledBack"]

    def test_a_release_that_had_ended_before_leaves_no_place(self):
        terminal = a_terminal()
        terminal.until_phase("Measuring")
        terminal.penstock("rollback", "shop-v2")
        terminal.until_phase("RolledBack")
        for number in (3, 4):
            self.started(terminal, number)

        self.started(terminal, 5, "--supersede", "shop-v2")
        terminal.penstock("rollback", "shop-3-0")
        terminal.until_phase("Preparing", "Shifting", name="shop-4-0")

        assert terminal.phase("shop-5-0") == "Queued"
