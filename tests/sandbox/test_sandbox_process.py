"""`penstock sandbox` as a process: the commands work against it, and nothing of it stays."""

import os
import signal

from sandbox_bed import alive

from controller.cli.main import run


def test_every_command_of_a_release_works_against_it_and_ctrl_c_ends_it(sandbox):
    it = sandbox("--example", "first-release", "--speed", "40")
    children = it.children()

    started = it.run("start", "shop", "--image", "registry.example/shop:2.0", "--revision", "v2")
    reached = it.run("wait", "shop-v2", "--for", "stage=1", "--timeout", "30s")
    table = it.run("get")
    undone = it.run("rollback", "shop-v2")
    back = it.run("wait", "shop-v2", "--for", "rolledback", "--timeout", "30s")
    os.killpg(it.process.pid, signal.SIGINT)

    assert started.stdout == "shop-v2\n"
    assert reached.returncode == 0, reached.stderr
    assert "shop-v2" in table.stdout
    assert undone.returncode == 0, undone.stderr
    assert back.returncode == 0, back.stderr
    assert it.process.wait(20) == 0
    assert len(children) == 1
    assert not any(map(alive, children))


def test_kill_9_leaves_no_controller_behind(sandbox):
    it = sandbox("--speed", "40")
    children = it.children()
    it.process.kill()

    assert children
    it.until(lambda: not any(map(alive, children)))


def test_a_killed_controller_is_started_again(sandbox):
    it = sandbox("--speed", "40")
    (first,) = it.children()
    os.kill(first, signal.SIGKILL)
    it.until(lambda: "started again" in it.text)

    (second,) = it.children()
    assert second != first


def test_an_unknown_scenario_is_a_sentence_that_names_those_there_are(capsys):
    code = run(["sandbox", "--example", "first-release", "--scenario", "nonsense"])

    assert code == 2
    assert "There is no scenario 'nonsense'" in capsys.readouterr().err


def test_an_unknown_example_is_a_sentence_that_names_those_there_are(capsys):
    code = run(["sandbox", "--example", "nonsense"])

    assert code == 2
    assert "first-release" in capsys.readouterr().err


def test_a_kubeconfig_that_cannot_be_written_is_a_sentence(capsys, tmp_path):
    code = run(["sandbox", "--kubeconfig", str(tmp_path / "none" / "file")])

    assert code == 2
    assert "cannot be written: No such file or directory." in capsys.readouterr().err
