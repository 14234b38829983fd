"""The production controller as a process of its own takes releases through the embedded cluster, over HTTP."""

import os
import shlex
import signal
import subprocess
import sys

import pytest
import yaml
from sandbox_bed import penstock

from controller.cli.demo_words import next_commands
from controller.cli.sandbox_world import EXAMPLES, SandboxWorld, find_story, story_of
from controller.ports import RELEASE
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.scenario import Step

FINAL = ("Succeeded", "RolledBack", "Refused", "Halted")


def ended(story, folder, speed):
    """The status of the story's release at its end; started and awaited by the command line."""
    with SandboxWorld(story, folder, speed=speed) as world:
        scenario = story.scenario.release
        spec = {"plan": story.plan, "revision": scenario.revision, "images": scenario.images, "origin": {"actor": "ci"}}
        body = {"apiVersion": RELEASE.api_version, "kind": "Release", "metadata": {"name": world.release_name}, "spec": spec}
        kube = InMemoryKube(world.cluster.server, user="ci", field_manager="penstock-cli")
        kube.create(RELEASE, story.namespace, body)
        waited = penstock("wait", world.release_name, "--for", "ended", "--timeout", "90s", "--kubeconfig", str(world.kubeconfig))
        status = kube.get(RELEASE, story.namespace, world.release_name)["status"]
        assert status["phase"] in FINAL, waited.stdout
        assert world.cluster.defect is None
        assert world.restarts == 0
        return status


@pytest.mark.long
@pytest.mark.parametrize(("rate", "phase"), [(0.09, "RolledBack"), (0.001, "Succeeded")])
def test_the_failing_green_of_the_demo_succeeds_with_an_error_rate_of_a_thousandth(tmp_path, rate, phase):
    """Its errors are told to nobody: they pass through proxies, counters, PromQL and the judge."""
    story = find_story(EXAMPLES / "hwayo", "fails-at-25")
    failing, *others = story.scenario.versions
    assert failing.errors[0].value == 0.09
    changed = failing.model_copy(update={"errors": [Step(value=rate)]})
    story = story_of(story.scenario.model_copy(update={"versions": [changed, *others]}), story.folder)

    status = ended(story, tmp_path, 300)

    assert status["phase"] == phase, status["message"]


def test_the_demo_says_what_happened_and_where_the_records_lie(tmp_path):
    """With the ten-line plan, which is sooner over: a success and a way back."""
    command = [sys.executable, "-m", "controller.cli.demo", "--example", "first-release", "--speed", "300", "--folder", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Times are divided by 300: 15 minutes last 3s" in " ".join(done.stderr.split())
    assert "1. shop-v2 Succeeded" in done.stdout
    assert "2. shop-v2 RolledBack" in done.stdout
    assert str(tmp_path / "2-rolls-back") in done.stdout
    assert yaml.safe_load((tmp_path / "2-rolls-back" / "release.yaml").read_text())["status"]["phase"] == "RolledBack"
    assert (tmp_path / "1-succeeds" / "history.json").stat().st_size > 1000


@pytest.mark.long
def test_the_three_next_commands_work_as_they_are_typed():
    look, offline, play = next_commands(EXAMPLES / "first-release")
    timetable = subprocess.run(shlex.split(look), check=False, capture_output=True, text=True, timeout=60)
    story = subprocess.run(shlex.split(offline), check=False, capture_output=True, text=True, timeout=60)

    assert timetable.returncode == 0, timetable.stderr
    assert "Timetable" in timetable.stdout
    assert story.returncode == 0, story.stderr
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
    with subprocess.Popen(shlex.split(play), **piped) as sandbox:
        for line in sandbox.stdout:
            if "Ctrl-C ends everything." in line:
                break
        os.killpg(sandbox.pid, signal.SIGINT)
        sandbox.stdout.read()
    assert sandbox.returncode == 0
