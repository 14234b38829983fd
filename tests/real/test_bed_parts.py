"""The parts of the bed that need no process: how requests are spread, routed, counted and written; how missing parts are told."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.bed import binaries
from tests.bed.cluster import minor_version
from tests.bed.metrics import Apportion, Registry, labels_of
from tests.bed.nodes import Behaviour, State, next_state
from tests.bed.processes import PortLease, Program, ProgramError, scratch_folder
from tests.bed.traffic import Flow, UnsupportedRouteError, World, full_host, targets
from tests.conftest import closing_lines, group_of

ROOT = Path(__file__).resolve().parents[2]


def a_deployment(name, ready=2, **labels):
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"template": {"metadata": {"labels": labels}}},
        "status": {"readyReplicas": ready},
    }


def a_service(name, **selector):
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"selector": selector}}


def a_virtual_service(name, *rules, namespace="shop", **spec):
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {**spec, "http": list(rules)}}


def a_world(*rules):
    """Services blue, green (one Deployment each) and web (both), and a VirtualService `web` with these http rules."""
    return World(
        virtual_services={("shop", "web"): a_virtual_service("web", *rules, hosts=["web"])},
        services={
            ("shop", "web"): a_service("web", app="web"),
            ("shop", "blue"): a_service("blue", version="blue"),
            ("shop", "green"): a_service("green", version="green"),
        },
        deployments={
            ("shop", "web-blue"): a_deployment("web-blue", ready=3, app="web", version="blue"),
            ("shop", "web-green"): a_deployment("web-green", ready=1, app="web", version="green"),
        },
    )


def to(host, weight=None):
    destination = {"destination": {"host": host}}
    return destination if weight is None else destination | {"weight": weight}


def shares(world, **flow):
    return told(targets(a_flow(**flow), world))


def a_flow(host="web", **flow):
    return Flow(full_host(host, "shop"), 1, **flow)


def told(found):
    return {(target.workload, target.flags): share for target, share in found}


class TestRouting:
    def test_weights_are_shares_of_their_sum(self):
        world = a_world({"route": [to("blue", 60), to("green", 30)]})

        assert shares(world) == {("web-blue", ""): pytest.approx(2 / 3), ("web-green", ""): pytest.approx(1 / 3)}

    def test_a_single_destination_without_weight_has_everything(self):
        assert shares(a_world({"route": [to("green")]})) == {("web-green", ""): 1.0}

    def test_one_of_several_without_weight_has_nothing(self):
        assert shares(a_world({"route": [to("blue"), to("green", 10)]})) == {("web-green", ""): 1.0}

    def test_a_header_rule_comes_before_the_weights(self):
        rule = {"match": [{"headers": {"canary": {"exact": "true"}}}], "route": [to("green")]}
        world = a_world(rule, {"route": [to("blue", 100), to("green", 0)]})

        assert shares(world, headers={"canary": "true"}) == {("web-green", ""): 1.0}
        assert shares(world) == {("web-blue", ""): 1.0}

    def test_without_a_virtual_service_all_pods_of_the_host_answer(self):
        world = a_world()
        world.virtual_services.clear()

        assert shares(world) == {("web-blue", ""): 0.75, ("web-green", ""): 0.25}
        assert shares(world, host="nobodys") == {}

    def test_all_weights_zero_is_as_if_there_were_no_virtual_service(self):
        world = a_world({"route": [to("blue", 0), to("green", 0)]})

        assert shares(world) == {("web-blue", ""): 0.75, ("web-green", ""): 0.25}

    def test_a_missing_host_is_no_cluster_and_a_missing_pod_no_upstream(self):
        world = a_world({"route": [to("blue", 50), to("nowhere", 50)]})
        world.deployments["shop", "web-blue"]["status"]["readyReplicas"] = 0

        assert shares(world) == {("unknown", "UH"): 0.5, ("unknown", "NC"): 0.5}

    def test_a_request_that_no_rule_takes_is_told_apart(self):
        world = a_world({"match": [{"uri": {"prefix": "/api"}}], "route": [to("blue")]})

        assert shares(world, path="/other") == {("unknown", "NR"): 1.0}

    @pytest.mark.parametrize("rule", [{"redirect": {}}, {"fault": {}, "route": []}, {"match": [{"port": 80}], "route": []}])
    def test_what_is_not_modelled_is_named(self, rule):
        with pytest.raises(UnsupportedRouteError, match=r"redirect|fault|port"):
            shares(a_world(rule))


class TestCounting:
    @pytest.mark.parametrize("share", [0.001, 0.05, 1 / 3, 0.5, 0.9])
    def test_every_part_stays_within_three_requests_of_its_due(self, share):
        spread, total, given = Apportion(), 0, 0
        for count in [1, 7, 20, 100, 3, 1000] * 10:
            total += count
            given += spread.split(count, {"green": share, "blue": 1 - share}).get("green", 0)
            assert abs(given - total * share) <= 3

    def test_nothing_is_lost_and_equal_calls_give_equal_answers(self):
        first, second = ([Apportion().split(997, {"a": 1, "b": 2, "c": 0})] for _ in range(2))

        assert first == second
        assert sum(first[0].values()) == 997
        assert "c" not in first[0]

    def test_the_text_format_is_prometheuss(self):
        registry = Registry()
        registry.add("hits_total", labels_of({"path": 'a"b\\c\n'}), 3)
        registry.set("load", (), math.nan)
        registry.observe("ms", labels_of({"x": "y"}), (1, 2.5), 2.5, 2)
        registry.observe("ms", labels_of({"x": "y"}), (1, 2.5), 9, 1)

        assert registry.text().splitlines() == [
            "# TYPE hits_total counter",
            'hits_total{path="a\\"b\\\\c\\n"} 3',
            "# TYPE load gauge",
            "load NaN",
            "# TYPE ms histogram",
            'ms_bucket{x="y",le="1"} 0',
            'ms_bucket{x="y",le="2.5"} 2',
            'ms_bucket{x="y",le="+Inf"} 3',
            'ms_sum{x="y"} 14',
            'ms_count{x="y"} 3',
        ]

    def test_a_forgotten_series_starts_again_from_zero(self):
        registry = Registry()
        registry.add("hits_total", labels_of({"pod": "a"}), 5)
        registry.add("hits_total", labels_of({"pod": "b"}), 2)

        assert registry.forget(pod="a") == 1
        registry.add("hits_total", labels_of({"pod": "a"}), 1)

        assert registry.value("hits_total") == 3


class TestPodStates:
    def test_a_pod_gets_ready_after_its_delay(self):
        behaviour = Behaviour(ready_after_seconds=5)

        assert next_state(State.PENDING, behaviour, 4.9) == (State.PENDING, 5)
        assert next_state(State.PENDING, behaviour, 5) == (State.READY, None)

    def test_a_crashing_pod_goes_round(self):
        behaviour = Behaviour(crash_after_seconds=3, crash_pause_seconds=2)

        assert next_state(State.READY, behaviour, 2.9) == (State.READY, 3)
        assert next_state(State.READY, behaviour, 3) == (State.CRASHED, 2)
        assert next_state(State.CRASHED, behaviour, 2) == (State.READY, 3)

    def test_a_missing_image_hurts_only_pods_that_have_not_started(self):
        assert next_state(State.PENDING, Behaviour(image_missing=True), 99) == (State.IMAGE_MISSING, None)
        assert next_state(State.READY, Behaviour(image_missing=True), 99) == (State.READY, None)


class TestProcesses:
    def test_a_program_that_ends_early_is_told_with_its_last_words(self, tmp_path):
        program = Program("teller", ["sh", "-c", "echo out of luck; exit 3"], tmp_path / "log").start()

        with pytest.raises(ProgramError, match=r"teller ended with 3:\nout of luck"):
            program.wait_until(lambda: False, 10)

    def test_folders_of_dead_test_runs_are_swept_and_those_of_living_ones_kept(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        mine = scratch_folder("bed")
        # One more than the greatest process id that Linux can give.
        (tmp_path / "penstock-bed-4194305-x").mkdir()

        second = scratch_folder("bed")

        assert sorted(tmp_path.iterdir()) == sorted([mine, second])

    def test_two_leases_never_share_a_port(self):
        first, second = PortLease(), PortLease()
        ports = [lease.take() for lease in (first, second) for _ in range(5)]
        first.release()
        second.release()

        assert len(set(ports)) == 10


class TestMissingParts:
    def run_without_go(self, tmp_path, **env):
        """A pytest of its own, with neither Go nor a cache: nothing of this process can leak into its answer."""
        command = [sys.executable, "-m", "pytest", "tests/real/test_bed.py", "-k", "TestUsers", "-p", "no:randomly"]
        clean = {"HOME": str(tmp_path), "PATH": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path), **env}
        return subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)

    @pytest.mark.long
    def test_the_closing_lines_say_what_was_skipped_and_how_to_get_it(self, tmp_path):
        done = self.run_without_go(tmp_path)

        assert done.returncode == 0
        assert "Skipped 2 tests on the real API server, because" in done.stdout
        assert "run `python -m tests.bed.binaries`" in done.stdout

    @pytest.mark.long
    def test_on_continuous_integration_a_missing_part_is_a_failure(self, tmp_path):
        done = self.run_without_go(tmp_path, CI="true")

        assert done.returncode == 1
        assert "nothing may skip where CI is set" in done.stdout

    def test_the_builder_answers_in_one_sentence_without_go(self, tmp_path):
        env = {"HOME": str(tmp_path), "PATH": str(tmp_path)}
        done = subprocess.run([sys.executable, binaries.__file__], env=env, capture_output=True, text=True, check=False)

        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.startswith("The bed cannot start: the real API server is not built and there is no Go toolchain")
        assert done.stderr.count("\n") == 1

    def test_assets_are_taken_before_the_cache(self, tmp_path, monkeypatch):
        for name in (*binaries.PROGRAMS, binaries.CRDS_FILE):
            (tmp_path / name).touch()
        monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))

        assert binaries.find().apiserver == tmp_path / "kube-apiserver"

    def test_each_missing_part_has_one_closing_line(self):
        reasons = ["needs the real Prometheus: x", "needs the real API server: y", "needs the real API server: y", "another matter"]

        assert closing_lines(iter(reasons)) == [
            "Skipped 2 tests on the real API server, because y.",
            "Skipped 1 test on the real Prometheus, because x.",
        ]


class TestVersions:
    @pytest.mark.parametrize(("said", "minor"), [("Kubernetes v1.28.15", 28), ("Kubernetes v1.36.3", 36)])
    def test_a_program_says_which_kubernetes_it_is_of(self, tmp_path, said, minor):
        assert minor_version(a_program(tmp_path, said)) == minor

    def test_what_is_no_program_of_kubernetes_is_an_error_with_what_it_said(self, tmp_path):
        with pytest.raises(ProgramError, match="teapot"):
            minor_version(a_program(tmp_path, "teapot"))


def a_program(folder, said):
    path = folder / "program"
    path.write_text(f"#!/bin/sh\necho {said}\n")
    path.chmod(0o755)
    return path


class TestTheOrderOfFiles:
    @pytest.mark.long
    def test_the_longest_begin_first(self):
        words = ("-m", "bed or prometheus", "--collect-only", "tests/real")
        argv = [sys.executable, "-m", "pytest", *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=ROOT, timeout=120)
        files = list(dict.fromkeys(line.partition("::")[0].rpartition("/")[2] for line in done.stdout.splitlines() if "::" in line))

        assert files[:3] == ["test_chaos.py", "test_hwayo.py", "test_release.py"]

    def test_tests_that_share_what_they_simulate_are_run_by_one_worker(self):
        told_of = "scenarios/test_scenarios.py::test_x[home-in-a-row]"
        looked_at = ("evidence/test_room.py::test_x", "examples/test_examples.py::test_x", told_of)
        bundles = {group_of(f"tests/{test}") for test in looked_at}
        story = {group_of(f"tests/{file}::test_x[home]") for file in ("scenarios/test_scenarios.py", "cli/test_cli_sequential.py")}
        others = {group_of(f"tests/{file}::test_x") for file in ("core/test_a.py", "core/test_b.py")}

        assert [len(one) for one in (bundles, story, others)] == [1, 1, 2]
