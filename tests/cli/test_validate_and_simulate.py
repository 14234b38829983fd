"""`penstock validate`, `plan` and `simulate`, as a shell sees them: output, talk and exit codes."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from controller.cli.main import run
from controller.simulator.scenario_names import known_names

ROOT = Path(__file__).resolve().parents[2]
HWAYO, FIRST = ROOT / "examples/hwayo", ROOT / "examples/first-release"
THRESHOLDS = ROOT / "tests/defects/thresholds.yaml"


class TestValidate:
    def test_a_good_file_ends_with_0(self, capsys):
        assert run(["validate", str(HWAYO / "plan.yaml")]) == 0
        assert capsys.readouterr().err == "1 file: 0 errors, 0 warnings.\n"

    def test_warnings_alone_end_with_0_and_stand_on_stdout(self, capsys):
        assert run(["validate", str(HWAYO / "as-written.yaml")]) == 0
        assert "as-written.yaml:20: warning: spec.checks[0].query: " in capsys.readouterr().out

    def test_an_error_ends_with_3_and_has_its_line(self, tmp_path, capsys):
        path = tmp_path / "plan.yaml"
        path.write_text((FIRST / "plan.yaml").read_text() + "  stages: [{weight: 5}]\n")

        assert run(["validate", str(path)]) == 3
        captured = capsys.readouterr()
        assert f"{path}:10: error: spec.stages[0].weight: found 5 at the last stage, expected 100" in captured.out
        assert captured.err == "1 file: 1 error, 0 warnings.\n"

    def test_what_another_program_renders_is_read_from_standard_input_and_from_a_pipe(self, tmp_path, monkeypatch, capsys):
        wrong = (FIRST / "plan.yaml").read_bytes() + b"  stages: [{weight: 5}]\n"
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(wrong)))
        pipe = tmp_path / "rendered"
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(wrong,))
        writer.start()

        assert run(["validate", "-", str(pipe)]) == 3
        writer.join()
        assert [line.partition(": found")[0] for line in capsys.readouterr().out.splitlines()] == [
            "standard input:10: error: spec.stages[0].weight",
            f"{pipe}:10: error: spec.stages[0].weight",
        ]

    def test_a_pipe_that_never_ends_is_not_read_to_its_end(self, monkeypatch, capsys):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"#" * 3_000_000)))

        assert run(["validate", "-"]) == 3
        assert "standard input:1: error: the file: found more than 1,0" in capsys.readouterr().out

    def test_json_is_a_list_of_findings(self, capsys):
        assert run(["validate", str(HWAYO / "as-written.yaml"), "-o", "json"]) == 0
        assert json.loads(capsys.readouterr().out)[0]["line"] == 20

    @pytest.mark.parametrize("arguments", [["nowhere.yaml"], ["x", "-o", "xml"]])
    def test_wrong_usage_ends_with_2(self, arguments):
        assert run(["validate", *arguments]) == 2


class TestPlan:
    def test_it_shows_the_timetable_and_the_queries(self, capsys):
        assert run(["plan", str(HWAYO / "plan.yaml")]) == 0
        out = capsys.readouterr().out
        assert "success at 1h28m12s" in out
        assert "200 requests" in out, "what the p95 check needs, not only what the stage asks for"
        assert 'user_login_success_total{namespace="hwayo-production-green",workload="auth-service"}[1800s]' in out
        assert "VirtualService hwayo-production/hwayo-canary: the weights of weighted" in out

    def test_the_difference_of_two_percentages_is_in_points(self, capsys):
        """5 % above blue would be a ratio to most readers."""
        assert run(["plan", str(FIRST / "plan.yaml"), "--mode", "subset"]) == 0
        assert "errors (trigger): at most 5 points above blue;" in capsys.readouterr().out

    def test_a_revision_that_no_release_can_have_is_a_usage_error(self, capsys):
        assert run(["plan", str(FIRST / "plan.yaml"), "--mode", "subset", "--revision", "2.0"]) == 2
        assert (
            capsys.readouterr().err
            == "The revision '2.0' cannot be used: expected at most 40 lower-case letters, digits and dashes, such as 2-0.\n"
        )

    def test_relative_limits_show_blues_query_too(self, capsys):
        assert run(["plan", str(THRESHOLDS), "-o", "json"]) == 0
        questions = {one["name"]: one for one in json.loads(capsys.readouterr().out)["questions"]}
        assert "shop-green" in questions["latency-p99"]["green"]
        assert "shop-green" not in questions["latency-p99"]["blue"]

    def test_a_date_without_quotes_is_a_text_as_an_api_server_has_it(self, tmp_path, capsys):
        path = tmp_path / "plan.yaml"
        path.write_text((FIRST / "plan.yaml").read_text().replace("virtualService: shop", "virtualService: 2026-01-01"))

        assert [run([command, str(path)]) for command in ("validate", "plan")] == [0, 0]
        assert "2026-01-01" in capsys.readouterr().out

    def test_an_invalid_plan_ends_with_3(self, tmp_path, capsys):
        path = tmp_path / "plan.yaml"
        path.write_text((FIRST / "plan.yaml").read_text() + "  nope: 1\n")

        assert run(["plan", str(path)]) == 3
        assert "the unknown field 'nope'" in capsys.readouterr().err


class TestSimulate:
    def test_a_run_as_expected_ends_with_0_and_tells_its_story(self, capsys):
        assert run(["simulate", str(FIRST), "--scenario", "fails-at-5"]) == 0
        assert "=> as expected: RolledBack, green had at most 5 %" in capsys.readouterr().out

    @pytest.mark.long
    def test_a_run_otherwise_than_expected_ends_with_3_and_names_the_command_that_repeats_it(self, tmp_path, capsys):
        for name in ("plan.yaml", "world.yaml"):
            (tmp_path / name).write_text((FIRST / name).read_text())
        path = tmp_path / "wrong.yaml"
        text = (FIRST / "scenarios/healthy.yaml").read_text().replace("../", "").replace("Succeeded", "RolledBack")
        path.write_text(text)

        assert run(["simulate", str(path), "--seed", "7"]) == 3
        captured = capsys.readouterr()
        assert "OTHERWISE THAN EXPECTED: phase: found Succeeded, expected RolledBack" in captured.out
        assert f"penstock simulate {path} --scenario healthy --seed 7 --trace" in captured.out

    @pytest.mark.parametrize(
        ("deed", "expect", "told"),
        [
            (
                "people: [{at: 2m, verb: delete}]",
                "phase: RolledBack, maxWeight: 5",
                "as expected: RolledBack, green had at most 5 %, and was",
            ),
            (
                "people: [{at: 2m, verb: delete}]",
                "phase: Succeeded",
                "OTHERWISE THAN EXPECTED: phase: found RolledBack, expected Succeeded",
            ),
            ("faults: [{kind: delete, at: 2m, target: Release shop/shop-v2}]", "phase: RolledBack", "=> as expected: RolledBack"),
        ],
    )
    def test_a_release_that_is_deleted_is_judged_by_how_it_went(self, tmp_path, capsys, deed, expect, told):
        for name in ("plan.yaml", "world.yaml", "scenarios/healthy.yaml"):
            (tmp_path / Path(name).name).write_text((FIRST / name).read_text(encoding="utf-8").replace("../", ""), encoding="utf-8")
        file = tmp_path / "healthy.yaml"
        text, _, _ = file.read_text(encoding="utf-8").partition("expect:")
        file.write_text(f"{text}{deed}\nexpect: {{{expect}}}\n", encoding="utf-8")

        assert run(["simulate", str(file)]) == (3 if "OTHERWISE" in told else 0)
        assert told in capsys.readouterr().out

    def test_a_release_that_is_refused_says_what_helps(self, tmp_path, capsys):
        """Most first worlds have one Service for everything, and no label that names the version."""
        for name in ("plan.yaml", "world.yaml", "scenarios/healthy.yaml"):
            text = (FIRST / name).read_text(encoding="utf-8")
            (tmp_path / Path(name).name).write_text(
                text.replace("../", "").replace("subset: v1", "").replace("{host: shop, }", "{host: shop}")
            )

        assert run(["simulate", str(tmp_path / "healthy.yaml")]) == 3
        told = capsys.readouterr().out
        assert "Service shop/shop (app=shop) would select both colours" in told
        assert "what helps: Give blue's pods a label that names their version" in told

    def test_a_release_that_the_api_server_does_not_take_is_named_with_its_file(self, tmp_path, capsys):
        for name in ("plan.yaml", "world.yaml", "scenarios/healthy.yaml"):
            text = (FIRST / name).read_text(encoding="utf-8").replace("../", "")
            (tmp_path / Path(name).name).write_text(text.replace("name: shop\n  namespace", f"name: {'s' * 62}\n  namespace"))

        assert run(["simulate", str(tmp_path / "healthy.yaml")]) == 3
        assert "scenario 'healthy' cannot be run: the API server refuses its release" in capsys.readouterr().err

    def test_the_trace_has_every_write(self, capsys):
        assert run(["simulate", str(FIRST), "--scenario", "fails-at-5", "--trace"]) == 0
        assert "penstock changes VirtualService shop/shop" in capsys.readouterr().out

    @pytest.mark.long
    def test_several_runs_rise_their_seeds(self, capsys):
        assert run(["simulate", str(FIRST), "--scenario", "fails-at-5", "--runs", "2", "-o", "json"]) == 0
        assert '"seed": 1' in capsys.readouterr().out

    def test_an_unknown_scenario_names_those_there_are(self, capsys):
        assert run(["simulate", str(FIRST), "--scenario", "nope"]) == 2
        assert "known: " in capsys.readouterr().err

    def test_a_plan_is_no_scenario_which_is_a_sentence(self, capsys):
        assert run(["simulate", str(FIRST / "plan.yaml")]) == 2
        assert "plan.yaml has no scenario; known: none." in capsys.readouterr().err

    def test_an_invalid_scenario_ends_with_3(self, tmp_path, capsys):
        path = tmp_path / "one.yaml"
        path.write_text("name: one\nexpect: {phase: Done}\n")

        assert run(["simulate", str(path)]) == 3
        assert "expect.phase" in capsys.readouterr().err

    @pytest.mark.long
    def test_ctrl_c_ends_with_130_and_says_how_far_it_was(self):
        code = "import sys; from controller.cli.main import run; sys.exit(run(sys.argv[1:]))"
        command = [sys.executable, "-c", code, "simulate", str(FIRST), "--scenario", "fails-at-5", "--runs", "100000", "-o", "json"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline()
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            assert "Interrupted in run" in process.stderr.read().splitlines()[-1]

            assert process.wait(timeout=30) == 130


class TestNamesOfSlots:
    def test_what_a_release_makes_beside_a_first_version_that_has_a_suffix_may_be_named(self):
        """`reviews-v1` is cloned as `reviews-v2`: a story may say how that one behaves, and nothing is called `reviews-v1-v2`."""
        plan = {"kind": "ReleasePlan", "metadata": {"name": "reviews", "namespace": "shop"}}
        slots = [{"name": "v1", "suffix": "-v1"}, {"name": "v2", "suffix": "-v2"}]
        plan["spec"] = {"workload": "reviews", "traffic": {"virtualService": "reviews"}, "slots": slots}
        there = [{"kind": kind, "metadata": {"name": "reviews-v1", "namespace": "shop"}} for kind in ("Deployment", "Service")]
        shared = {"kind": "Service", "metadata": {"name": "reviews", "namespace": "shop"}}

        known = known_names({}, [plan, *there, shared])

        assert known.workloads == {"reviews-v1", "reviews-v2"}
        assert known.objects["Service"] == {"shop/reviews-v1", "shop/reviews-v2", "shop/reviews"}


class TestFolders:
    def test_what_is_not_ours_is_passed_over(self, tmp_path, capsys):
        (tmp_path / "plan.yaml").write_text((FIRST / "plan.yaml").read_text())
        (tmp_path / "values.yaml").write_text("name: shop\nreplicas: 3\n")
        (tmp_path / "crd.yaml").write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, labels: {penstock.dev/a: y}}\n")

        assert run(["validate", str(tmp_path)]) == 0
        assert capsys.readouterr().err == "1 file: 0 errors, 0 warnings.\n"

    def test_our_own_manifests_have_nothing_to_validate(self, capsys):
        assert run(["validate", str(ROOT / "manifests")]) == 2
        assert "found no plan and no scenario" in capsys.readouterr().err

    def test_a_scenario_is_found_whatever_its_first_field_is(self, tmp_path, capsys):
        """A story that is passed over without a word would be one that nobody tells."""
        for name in ("plan.yaml", "world.yaml"):
            (tmp_path / name).write_text((FIRST / name).read_text())
        (tmp_path / "mine.yaml").write_text("expect: {phase: Succeeded}\nname: mine\nlimit: 1m\n")
        (tmp_path / "chart.yaml").write_text("base: {{ .Values.base }\n")

        assert run(["simulate", str(tmp_path)]) == 3
        assert "mine\n" in capsys.readouterr().out

    @pytest.mark.parametrize("command", ["validate", "simulate"])
    def test_a_file_that_cannot_be_read_is_named(self, tmp_path, capsys, monkeypatch, command):
        path = tmp_path / "plan.yaml"
        path.write_text("")
        real = Path.read_text

        def refusing(self, *arguments, **options):
            if self == path:
                raise PermissionError(13, "Permission denied")
            return real(self, *arguments, **options)

        monkeypatch.setattr(Path, "read_text", refusing)

        assert run([command, str(tmp_path)]) == 2
        assert capsys.readouterr().err == f"{path}: cannot be read (Permission denied).\n"

    def test_both_endings_are_looked_at(self, tmp_path, capsys):
        (tmp_path / "plan.yml").write_text((FIRST / "plan.yaml").read_text())

        assert run(["validate", str(tmp_path)]) == 0
        assert capsys.readouterr().err == "1 file: 0 errors, 0 warnings.\n"
