"""`penstock sandbox` as a process: the commands work against it, and nothing of it stays."""

import os
import signal
from pathlib import Path

import pytest
from sandbox_bed import alive

from controller.cli.main import run
from controller.cli.sandbox_world import EXAMPLES, SandboxWorld, find_story
from controller.ports import DEPLOYMENT, RELEASE_PLAN, VIRTUAL_SERVICE, Patch


@pytest.mark.long
def test_every_command_of_a_release_works_against_it_and_ctrl_c_ends_it(sandbox):
    it = sandbox("--example", "first-release", "--speed", "40")
    children = it.children()

    started = it.typed("start", "shop", "--image", "registry.example/shop:2.0", "--revision", "v2")
    reached = it.typed("wait", "shop-v2", "--for", "stage=1", "--timeout", "30s")
    table = it.typed("get")
    undone = it.typed("rollback", "shop-v2")
    back = it.typed("wait", "shop-v2", "--for", "rolledback", "--timeout", "30s")
    os.killpg(it.process.pid, signal.SIGINT)

    assert started.stdout == "shop-v2\n"
    assert reached.returncode == 0, reached.stderr
    assert "shop-v2" in table.stdout
    assert undone.returncode == 0, undone.stderr
    assert back.returncode == 0, back.stderr
    assert it.process.wait(20) == 0
    assert len(children) == 1
    assert not any(map(alive, children))


@pytest.mark.long
def test_it_is_uninstalled_in_mid_stage_installed_again_and_goes_on(sandbox):
    """`uninstall` takes the controller's process away, `install` brings it back: the Deployment stands for it."""
    it = sandbox("--example", "first-release", "--speed", "40")
    it.run("start", "shop", "--image", "registry.example/shop:2.0", "--revision", "v2")
    it.run("wait", "shop-v2", "--for", "stage=1", "--timeout", "30s")

    gone = it.run("uninstall", "--yes")
    it.until(lambda: not it.children())
    nobody = it.run("get")
    back = it.run("install", "--namespace", "shop")
    it.until(lambda: "is installed again" in it.text)

    assert gone.returncode == 0, gone.stderr
    assert "shop/shop-v2 (" in gone.stderr
    assert "Left: VirtualService shop/shop: 100 % to shop v1.\n" in gone.stderr
    assert "Left: Deployment" not in gone.stderr
    assert (nobody.returncode, back.returncode) == (6, 0), nobody.stderr + back.stderr
    assert len(it.children()) == 1


@pytest.mark.long
def test_what_was_left_in_mid_stage_is_told_and_the_way_on_is_the_one_of_the_page(sandbox):
    """docs/operating.md: one version at 100 %, the other scaled to zero, install, start."""
    it = sandbox("--example", "first-release", "--speed", "40")
    it.run("start", "shop", "--image", "registry.example/shop:2.0", "--revision", "v2")
    it.run("wait", "shop-v2", "--for", "stage=1", "--timeout", "30s")
    left = it.run("uninstall", "--leave", "--yes")
    it.run("install", "--namespace", "shop", "--prometheus", "http://127.0.0.1:9")
    kube = it.kube()
    kube.create(RELEASE_PLAN, "shop", it.plan())
    split = it.start_and_wait("v3")
    kube.patch(VIRTUAL_SERVICE, "shop", "shop", weights(kube, 100, 0), Patch.JSON)
    both = it.start_and_wait("v4")
    kube.patch(DEPLOYMENT, "shop", "shop-green", {"spec": {"replicas": 0}})
    goes_on = it.start_and_wait("v5")

    assert left.returncode == 0, left.stderr
    assert "Left: VirtualService shop/shop: 95 % to shop v1, 5 % to shop v2.\n" in left.stderr
    assert "Left: Deployment shop/shop-green, made by Penstock, 3 replicas.\n" in left.stderr
    assert "Left: DestinationRule shop/shop, with subsets that Penstock added.\n" in left.stderr
    assert "It cannot be told which version serves" in split.stderr
    assert "scale it to zero or delete it" in both.stderr
    assert goes_on.returncode == 0, goes_on.stderr


def weights(kube, *shares):
    """A JSON patch that writes the weights of the only rule."""
    assert len(kube.get(VIRTUAL_SERVICE, "shop", "shop")["spec"]["http"][0]["route"]) == len(shares)
    return [{"op": "add", "path": f"/spec/http/0/route/{index}/weight", "value": share} for index, share in enumerate(shares)]


@pytest.mark.long
def test_a_killed_controller_is_started_again_and_kill_9_of_the_sandbox_leaves_none_behind(sandbox):
    it = sandbox("--speed", "40")
    (first,) = it.children()
    os.kill(first, signal.SIGKILL)
    it.until(lambda: "started again" in it.text)

    (second,) = it.children()
    assert second != first

    it.process.kill()
    it.until(lambda: not alive(second), dead=True)


def test_an_unknown_scenario_is_a_sentence_that_names_those_there_are(capsys):
    code = run(["sandbox", "--example", "first-release", "--scenario", "nonsense"])

    assert code == 2
    assert "There is no scenario 'nonsense'" in capsys.readouterr().err


def test_a_folder_of_ones_own_needs_no_folder_named_scenarios_and_no_scenario_named_healthy(tmp_path, capsys):
    """What `penstock simulate` runs is what the sandbox serves."""
    for name in ("plan.yaml", "world.yaml", "scenarios/fails-at-25.yaml"):
        (tmp_path / Path(name).name).write_text((EXAMPLES / "first-release" / name).read_text(encoding="utf-8").replace("../", ""))

    assert find_story(tmp_path).scenario.name == "fails-at-25"

    (tmp_path / "fails-at-25.yaml").unlink()
    assert run(["sandbox", "--dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"There are no scenarios in {tmp_path}.\n"


def test_an_unknown_example_is_a_sentence_that_names_those_there_are(capsys):
    code = run(["sandbox", "--example", "nonsense"])

    assert code == 2
    assert "first-release" in capsys.readouterr().err


@pytest.mark.long
def test_a_kubeconfig_that_cannot_be_written_is_a_sentence(capsys, tmp_path):
    code = run(["sandbox", "--kubeconfig", str(tmp_path / "none" / "file")])

    assert code == 2
    assert "cannot be written: No such file or directory." in capsys.readouterr().err


def test_python_files_of_the_folder_that_it_is_started_in_are_none_of_its_business(tmp_path, monkeypatch):
    """People start it in their own repositories, where a `yaml.py` or a package `controller` may lie."""
    (tmp_path / "yaml.py").write_text("raise SystemExit('somebody else wrote this')\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    with SandboxWorld(find_story(EXAMPLES / "first-release"), tmp_path / "box", speed=60) as world:
        assert world.controller_pid
