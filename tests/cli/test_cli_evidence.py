"""`penstock bundle`, `replay` and `report` as a person meets them."""

import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
import yaml

from controller.cli.bundles import open_bundle
from controller.cli.host import Host
from controller.cli.main import run
from controller.cli.replay import Policy
from controller.evidence.bundle import write
from controller.ports import DEPLOYMENT, RELEASE, RELEASE_PLAN, VIRTUAL_SERVICE, NotFoundError
from controller.simulator.apiserver.client import InMemoryKube
from tests.cli.cli_bed import a_terminal, refusing
from tests.evidence.recorded import FIRST, HWAYO, ROOT, SEQUENTIAL, bundle_from, played, recorded
from tests.sizes import most_telling

PLAN = FIRST.parent / "plan.yaml"


@dataclass(frozen=True)
class Told:
    code: int
    out: str
    err: str
    body: bytes = b""


def penstock(*words, host=None):
    raw, err = io.BytesIO(), io.StringIO()
    out = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    with redirect_stdout(out), redirect_stderr(err):
        code = run([str(word) for word in words], host)
    out.flush()
    body = raw.getvalue()
    return Told(code, body.decode("utf-8", "replace"), err.getvalue(), body)


def saved(folder, name, bundle):
    path = folder / f"{name}.penstock"
    with path.open("wb") as file:
        write(bundle, file)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("bundles")
    for place, name in ((FIRST, "fails-at-25"), (FIRST, "healthy"), (SEQUENTIAL, "sequential-errors"), (HWAYO, "slow-at-25")):
        saved(found, name, recorded(place, name))
    return found


@pytest.fixture(scope="module")
def ended():
    terminal = a_terminal("fails-at-25")
    terminal.until_phase("RolledBack")
    return terminal


class TestBundle:
    @pytest.mark.long
    def test_a_bundle_of_the_cluster_is_replayed_as_it_was(self, ended, tmp_path):
        told = penstock("bundle", "shop-v2", host=ended.host())
        (tmp_path / "a.penstock").write_bytes(told.body)
        again = penstock("replay", tmp_path / "a.penstock")

        assert told.code == 0
        assert told.err.startswith("shop/shop-v2: ")
        assert (again.code, again.out.endswith("all as recorded.\n")) == (0, True)

    def test_it_can_be_written_to_a_file(self, ended, tmp_path):
        told = penstock("bundle", "shop-v2", "--file", tmp_path / "b.penstock", host=ended.host())

        assert (told.code, told.out) == (0, "")
        assert (tmp_path / "b.penstock").read_bytes()[:2] == b"\x1f\x8b"

    def test_a_terminal_gets_a_sentence_instead_of_bytes(self, ended):
        told = penstock("bundle", "shop-v2", host=Host(connect=ended.host().connect, out_is_terminal=True))

        assert told.code == 2
        assert told.err == "A bundle is no text: write it into a file, as in `penstock bundle shop-v2 > shop-v2.penstock`.\n"

    @pytest.mark.long
    def test_a_running_release_has_what_was_decided_so_far(self, tmp_path):
        terminal = a_terminal("healthy")
        terminal.until(500)
        penstock("bundle", "shop-v2", "--file", tmp_path / "c.penstock", host=terminal.host())

        assert penstock("replay", tmp_path / "c.penstock").code == 0

    def test_a_release_that_was_just_made_has_nothing(self, tmp_path):
        terminal = a_terminal("healthy")
        told = penstock("bundle", "shop-v2", "--file", tmp_path / "d.penstock", host=terminal.host())

        assert told.err == "shop/shop-v2: nothing has been decided yet, so it has no evidence.\n"
        assert "has no evidence: nothing was decided, or it was not kept." in penstock("replay", tmp_path / "d.penstock").err

    def test_an_unknown_release_is_named(self, ended):
        assert penstock("bundle", "nothing", host=ended.host()).code == 3

    def test_a_cluster_without_penstock_is_explained(self, ended):
        missing = NotFoundError(404, "NoSuchKind", "could not find the requested resource")

        assert penstock("bundle", "shop-v2", host=refusing(ended, missing)).code == 6

    def test_nothing_that_people_keep_in_objects_is_in_it(self):
        """`kubectl apply` keeps whole objects in an annotation; people keep anything in others, and in environments."""
        terminal = a_terminal("fails-at-25")
        kube = InMemoryKube(terminal.sim.server, user="somebody")
        secret = {"metadata": {"annotations": {"example.org/token": "SECRET-IN-AN-ANNOTATION"}}}
        terminal.until(30)
        for kind, name in ((RELEASE, "shop-v2"), (VIRTUAL_SERVICE, "shop"), (DEPLOYMENT, "shop"), (RELEASE_PLAN, "shop")):
            kube.patch(kind, "shop", name, secret)
        (container,) = kube.get(DEPLOYMENT, "shop", "shop")["spec"]["template"]["spec"]["containers"]
        with_secret = {**container, "env": [{"name": "PASSWORD", "value": "SECRET-IN-THE-ENVIRONMENT"}]}
        pods = {**secret, "spec": {"containers": [with_secret]}}
        kube.patch(DEPLOYMENT, "shop", "shop", {"spec": {"template": pods}})
        terminal.until_phase("RolledBack")

        assert b"SECRET" not in gzip.decompress(penstock("bundle", "shop-v2", host=terminal.host()).body)


class TestReplay:
    @pytest.mark.long
    def test_many_are_a_table(self, folder):
        told = penstock("replay", folder, "--jobs", "1")

        assert told.code == 0
        assert told.out.count("as recorded") == 4
        assert told.err.splitlines()[-1] == "4 of 4 bundles."

    def test_a_file_that_cannot_be_read_does_not_hide_the_others(self, tmp_path):
        saved(tmp_path, "good", recorded(FIRST, "fails-at-25"))
        (tmp_path / "bad.penstock").write_bytes(b"nonsense")
        told = penstock("replay", tmp_path, "--jobs", "1")

        assert told.code == 3
        assert "as recorded" in told.out
        assert "bad.penstock: this is no bundle" in told.err

    def test_a_folder_without_bundles_is_a_usage_error(self, tmp_path):
        assert penstock("replay", tmp_path).err == f"{tmp_path}: found no file whose name ends in .penstock.\n"

    def test_a_file_that_is_not_there_is_a_usage_error(self, tmp_path):
        told = penstock("replay", tmp_path / "nothing.penstock")

        assert (told.code, told.err) == (2, f"{tmp_path / 'nothing.penstock'}: there is no such file.\n")

    def test_a_record_that_differs_ends_with_3_and_names_the_field(self, tmp_path):
        bundle = recorded(FIRST, "fails-at-25")
        lines = [[json.loads(json.dumps(line)) for line in segment] for segment in bundle.segments]
        decided = [line["out"].get("status", {}) for segment in lines for line in segment if "out" in line]
        grants = [status for status in decided if status.get("grant") == 25]
        grants[0]["grant"] = 99
        path = saved(tmp_path, "edited", replace(bundle, segments=tuple(map(tuple, lines))))
        told = penstock("replay", path)

        assert told.code == 3
        assert "the decision differs in status.grant" in told.out
        assert "recorded: 99" in told.out
        assert "now:      25" in told.out

    def test_a_record_without_the_end_that_its_release_came_to_says_so(self, tmp_path):
        """Nothing in it differs: somebody may have cut it, or the evidence of the way back could not be kept."""
        bundle = recorded(FIRST, "fails-at-25")
        path = saved(tmp_path, "cut", replace(bundle, parts=bundle.parts[:3], segments=bundle.segments[:3]))
        told, found = penstock("replay", path), json.loads(penstock("replay", path, "-o", "json").out)
        page = penstock("report", path, "-o", "markdown").out

        assert "all as recorded; the record ends in " in told.out
        assert ", the Release in RolledBack: how it came to that is not in the record." in told.out
        assert (told.code, found["same"], found["endMissing"]) == (0, True, True)
        assert "- Note: The record ends in " in page

    def test_it_can_be_walked_decision_by_decision(self, folder):
        told = penstock("replay", folder / "fails-at-25.penstock", "--step")

        assert told.code == 0
        assert "record   grant: Green may have 25 %." in told.out
        assert "command  RollBackRoutes" in told.out

    def test_a_person_may_stop_the_walk(self, folder):
        told = penstock("replay", folder / "fails-at-25.penstock", "--step", host=Host(asks=True, confirm=lambda _question: False))

        assert told.out.startswith("1. ")
        assert "\n2. " not in told.out

    def test_json_is_for_machines(self, folder):
        found = json.loads(penstock("replay", folder / "healthy.penstock", "-o", "json").out)

        assert (found["same"], found["endMissing"]) == (True, False)
        assert found["difference"] is None
        assert found["decisions"] > 20


SIGNALS = [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.killpg), (signal.SIGTERM, os.kill)]


class TestOtherPolicy:
    def test_a_tighter_trigger_would_have_gone_back_sooner(self, folder):
        told = penstock("replay", folder / "fails-at-25.penstock", "--set", "triggers.errors.limit.maxDifference=2", "-o", "json")
        found = json.loads(told.out)

        assert found["with"]["back"]
        assert found["with"]["at"] < found["recordEnd"]["at"]
        assert found["with"]["weight"] == 25
        assert not found["beyondTheRecord"]

    def test_the_requests_that_it_would_have_spared_are_those_of_the_seconds_between_whenever_the_scrapes_were(self, folder):
        """A quarter of 100 requests a second, of which 8 % failed, for 20 s."""
        told = penstock("replay", folder / "fails-at-25.penstock", "--set", "triggers.errors.limit.maxDifference=2", "-o", "json")

        assert json.loads(told.out)["spared"] == {"requests": pytest.approx(500, rel=0.05), "failed": pytest.approx(40, rel=0.05)}

    def test_a_looser_one_would_have_gone_on_and_the_record_ends_there(self, folder):
        told = penstock("replay", folder / "fails-at-25.penstock", "--set", "triggers.errors.limit.maxDifference=50")

        assert told.code == 0
        assert "not back on blue then; the record ends there: for how long more were hurt nobody has seen" in told.out
        assert re.search(r"in the minute before, green had 1,\d{3} requests, \d\d of which failed", told.out)

    @pytest.mark.parametrize("name", most_telling("fails-at-25", of=["fails-at-25", "healthy", "sequential-errors", "slow-at-25"]))
    def test_the_same_policy_gives_the_same_release(self, folder, name):
        plan = next(iter(recorded({"slow-at-25": HWAYO, "sequential-errors": SEQUENTIAL}.get(name, FIRST), name).plans.values()))
        weight = plan["stages"][0]["weight"]
        told = penstock("replay", folder / f"{name}.penstock", "--set", f"stages.{weight}.weight={weight}")

        assert "the same weights at the same times" in told.out

    @pytest.mark.long
    def test_a_smaller_alpha_needs_more_evidence(self, folder):
        found = json.loads(penstock("replay", folder / "sequential-errors.penstock", "--set", "alpha=0.0001", "-o", "json").out)

        assert found["parted"]
        assert not found["with"]["back"]
        assert found["beyondTheRecord"]

    @pytest.mark.long
    def test_a_larger_alpha_would_have_gone_back_sooner_and_spared_users(self, folder):
        found = json.loads(penstock("replay", folder / "sequential-errors.penstock", "--set", "alpha=0.2", "-o", "json").out)

        assert found["with"]["back"]
        assert found["with"]["at"] < found["recordEnd"]["at"]
        assert found["spared"]["requests"] > 0

    def test_another_plan_is_read_from_its_file(self, folder, tmp_path):
        plan = yaml.safe_load(PLAN.read_text())
        plan["spec"]["triggers"] = [{"name": "errors", "builtin": "error-rate", "limit": {"max": 0.5}}]
        path = tmp_path / "strict.yaml"
        path.write_text(yaml.safe_dump(plan))
        told = penstock("replay", folder / "fails-at-25.penstock", "--with", path)

        assert told.code == 0, told.err
        assert "back to blue from 25 %" in told.out

    @pytest.mark.long
    def test_a_policy_that_asks_for_more_would_have_waited_and_the_weights_are_named(self, folder):
        told = penstock("replay", folder / "healthy.penstock", "--set", "stages.5.window=20m")

        assert "users     at most 5 % on green from there on, instead of 25 %; for this policy the record ends there" in told.out

    def test_what_was_measured_on_blue_stays_that_of_the_record_with_a_plan_from_a_file(self, tmp_path):
        """A plan's file says nothing of it, and would be judged by thresholds: the release was not."""
        plan = yaml.safe_load(PLAN.read_text())
        line = {"share": 0.1, "bursts": 1.0, "widest": 1.2}
        measured = {"until": 1.7e9, "hours": 24, "checks": [{"builtin": "error-rate", "workload": "shop", "lines": [line]}]}
        bundle = recorded(FIRST, "fails-at-25")
        frozen = {key: {**spec, "analysis": {**spec["analysis"], "measured": measured}} for key, spec in bundle.plans.items()}
        path = tmp_path / "same.yaml"
        path.write_text(yaml.safe_dump(plan))

        found = Policy.of(path, ["alpha=0.02"]).plan_for(replace(bundle, plans=frozen))

        assert found.analysis.alpha == 0.02
        assert found.analysis.measured.hours == 24
        assert any(check.sequential for check in found.checks)

    @pytest.mark.long
    def test_what_the_record_cannot_answer_is_named(self, folder):
        """The latency of a threshold check was answered with a number; for another quantile nobody asked."""
        told = penstock("replay", folder / "slow-at-25.penstock", "--set", "checks.latency-p95.quantile=0.5")

        assert re.search(r"not in the record, so without an answer from \d\d:\d\d:\d\d on: gate/latency-p95/candidate", told.out)

    @pytest.mark.long
    def test_what_is_the_same_only_as_far_as_known_says_so(self, folder):
        """After a minute nobody asked for the latency, and from the recorded question on both ask the same."""
        told = penstock("replay", folder / "slow-at-25.penstock", "--set", "stages.5.window=1m")

        assert "so        no other weight, as far as the record has answers" in told.out

    @pytest.mark.long
    def test_a_controller_that_was_killed_is_no_difference_between_two_policies(self, tmp_path):
        """What it lost between two records, it lost for both."""
        told = penstock("replay", saved(tmp_path, "restarted", recorded(FIRST, "restart")), "--set", "stages.5.weight=5")

        assert "the same weights at the same times" in told.out
        assert re.search(r"the record goes on (\d times|once) from what was stored", told.out)

    @pytest.mark.long
    def test_an_error_rate_over_another_range_is_evaluated_from_the_raw_samples(self, folder):
        told = penstock("replay", folder / "fails-at-25.penstock", "--set", "triggers.errors.range=2m")

        assert told.code == 0
        assert "not in the record" not in told.out

    @pytest.mark.long
    def test_many_are_a_table_with_what_it_would_have_spared(self, folder):
        told = penstock("replay", folder, "--set", "triggers.errors.limit.maxDifference=2", "--jobs", "2")

        assert told.code == 0
        assert told.out.splitlines()[0].split() == ["file", "release", "recorded", "with", "it", "when", "failed", "requests"]
        assert re.search(r" -\d+s +[1-9]\d* of [1-9]\d* less", told.out)
        assert "the same" in told.out

    @pytest.mark.long
    def test_what_would_have_parted_at_the_very_end_has_no_time_between(self, tmp_path):
        saved(tmp_path, "first", recorded(FIRST, "fails-at-25"))
        saved(tmp_path, "second", recorded(FIRST, "fails-at-25"))
        told = penstock("replay", tmp_path, "--set", "triggers.errors.limit.maxDifference=50", "--jobs", "1")

        assert told.out.count(" more a minute") == 2
        assert "-0s" not in told.out

    @pytest.mark.parametrize(
        ("setting", "sentence"),
        [
            ("alpha", "--set found 'alpha', expected FIELD=VALUE, such as alpha=0.001 or checks.error-rate.limit.maxRatio=1.5.\n"),
            ("checks.nothing.limit.max=1", "found no 'nothing', expected one of error-rate, latency.\n"),
            ("triggers.errors.quantile=7", "--set: triggers[0].quantile: found 7, expected a number below 1.\n"),
            ("alpha=often", "--set: analysis.alpha: found 'often', expected a number.\n"),
            ("alpha=2", "--set: analysis.alpha: found 2, expected a number of at most 0.5.\n"),
            ("stages.5.weight=40", ", expected strictly rising weights; sort the stages, and remove doubles.\n"),
            ("checks[0].effect=1", "found 'checks[0]', expected the element's name, weight or place, such as checks.#1.\n"),
            ("stages[5]=1", "found 'stages[5]', expected the element's name, weight or place, such as stages.#1.\n"),
        ],
        ids=["no value", "no such check", "too large", "no number", "out of range", "fields that do not fit", "bracket", "bracket last"],
    )
    def test_a_setting_that_is_none_is_a_usage_error(self, folder, setting, sentence):
        told = penstock("replay", folder / "healthy.penstock", "--set", setting)

        assert told.code == 2
        assert told.err.endswith(sentence)

    @pytest.mark.parametrize(("number", "send"), most_telling(SIGNALS[0], of=SIGNALS))
    def test_ctrl_c_and_sigterm_among_many_bundles_are_one_sentence(self, number, send, folder, tmp_path):
        """They go to every process of the group, whose helpers would each print a traceback, or to us alone, and would leave them behind.

        Nobody waits for what they have begun.
        """
        for bundle in range(60):
            (tmp_path / f"{bundle}.penstock").write_bytes((folder / "fails-at-25.penstock").read_bytes())
        words = [sys.executable, "-m", "controller.cli.main", "replay", str(tmp_path), "--jobs", "2"]
        with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True) as ours:
            children = Path(f"/proc/{ours.pid}/task/{ours.pid}/children")
            while len(children.read_text().split()) < 2 and ours.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    ours.wait(0.01)
            helpers = [int(pid) for pid in children.read_text().split()]
            for pid in helpers:
                os.kill(pid, signal.SIGSTOP)  # their bundles take for ever now
            send(ours.pid, number)
            try:
                _, said = ours.communicate(timeout=20)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(ours.pid, signal.SIGKILL)

        counted, last = said.splitlines()
        assert (ours.returncode, last) == (130, "Interrupted; nothing was aborted, releases go on.")
        assert re.fullmatch(r"\d+ of 60 bundles had been decided again\.", counted)
        assert helpers
        assert not [pid for pid in helpers if Path(f"/proc/{pid}").exists()]

    def test_a_walk_is_through_the_record_and_through_no_other_policy(self, folder):
        """Said, because the walk would look like the answer to the question of the other policy."""
        told = penstock("replay", folder / "healthy.penstock", "--step", "--set", "alpha=0.1")

        assert told.code == 2
        assert told.err == "--step walks through the record as it is: leave out --with, --set and -o.\n"


class TestReport:
    def test_a_report_of_a_release_in_the_cluster(self, ended):
        told = penstock("report", "shop-v2", host=ended.host())

        assert told.code == 0
        assert told.out.startswith("<!doctype html>")
        assert "✖ Rolled back" in told.out

    def test_a_status_that_cannot_be_read_is_named(self, folder, tmp_path):
        """Somebody's edited bundle, or another version's: no defect of ours."""
        whole = open_bundle(folder / "fails-at-25.penstock")
        edited = replace(whole, release={**whole.release, "status": {**whole.status, "epoch": "many"}})
        told = penstock("report", saved(tmp_path, "edited", edited))

        assert told.code == 3
        assert told.err.endswith("edited.penstock: the release's status cannot be read (epoch: found 'many', expected a whole number).\n")

    @pytest.mark.long
    def test_a_report_of_a_running_release(self):
        terminal = a_terminal("healthy")
        terminal.until(400)

        assert "… Under way" in penstock("report", "shop-v2", host=terminal.host()).out

    @pytest.mark.parametrize(("output", "begins"), [("markdown", "# shop/shop-v2: Rolled back"), ("json", "{"), ("junit", "<?xml")])
    def test_other_formats(self, folder, output, begins):
        assert penstock("report", folder / "fails-at-25.penstock", "-o", output).out.startswith(begins)

    def test_an_unknown_format_is_a_usage_error(self, folder):
        told = penstock("report", folder / "fails-at-25.penstock", "-o", "pdf")

        assert told.code == 2
        assert "expected one of html, markdown, json, junit" in told.err

    def test_it_says_where_it_was_written(self, folder, tmp_path):
        told = penstock("report", folder / "fails-at-25.penstock", "-f", tmp_path / "r.html")

        assert told.err.startswith(f"The report of shop/shop-v2 is in {tmp_path / 'r.html'} (")

    @pytest.mark.long
    @pytest.mark.parametrize("way", ["home", "back"])
    def test_releases_that_go_home_or_back_have_bundles_and_reports_like_any_other(self, tmp_path, way):
        """A return to the original, and a rollback after a success, are decided again, and told."""
        if way == "home":
            bundle = recorded(ROOT / "tests" / "scenarios" / "home", "home-in-a-row")
        else:
            three = map(partial(bundle_from, played(FIRST, "three-in-a-row")), range(4))
            bundle = next(one for one in three if one.release["spec"].get("kind") == "reverse")
        path = saved(tmp_path, way, bundle)
        steps = penstock("replay", path, "--step")

        assert penstock("replay", path).out.endswith("all as recorded.\n")
        assert (steps.code, "Returning" in steps.out) == (0, way == "home")
        assert "the same weights" in penstock("replay", path, "--set", "stages.5.weight=5").out
        assert "✔ Succeeded" in penstock("report", path).out

    def test_a_damaged_bundle_is_refused(self, tmp_path):
        (tmp_path / "x.penstock").write_bytes(b"\x1f\x8bnonsense")

        assert penstock("report", tmp_path / "x.penstock").code == 3


class TestSimulate:
    def test_a_simulated_release_gives_the_same_bundle(self, tmp_path):
        path = tmp_path / "s.penstock"
        told = penstock("simulate", ROOT / "examples/first-release", "--scenario", "fails-at-5", "--bundle", path)

        assert told.code == 0
        assert penstock("replay", path).code == 0

    @pytest.mark.long
    def test_later_releases_of_a_story_lie_beside_it(self, tmp_path):
        penstock("simulate", ROOT / "examples/first-release", "--scenario", "three-in-a-row", "--bundle", tmp_path / "s.penstock")

        assert len(list(tmp_path.glob("*.penstock"))) == 4

    def test_a_bundle_is_of_one_run(self, tmp_path):
        told = penstock("simulate", ROOT / "examples/first-release", "--bundle", tmp_path / "s.penstock")

        assert told.code == 2
        assert "--bundle is for one run" in told.err
