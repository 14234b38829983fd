"""Names for the TAB key: from the cluster, and never a word or a wait where that does not answer."""

import io
import os
import threading
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from unittest import mock

import pytest

from controller.adapters.kube_errors import ConfigError
from controller.cli import complete
from controller.cli.main import run
from controller.simulator.scenario import START
from tests.cli.cli_bed import LOST, a_terminal, refusing


def tab(host, line):
    """What the shell gets for this line, of which the last word is not finished."""
    words = line.split(" ")
    env = {"_PENSTOCK_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    out, err = io.StringIO(), io.StringIO()
    with mock.patch.dict(os.environ, env), redirect_stdout(out), redirect_stderr(err):
        run([], host)
    assert err.getvalue() == ""
    return out.getvalue().split()


@pytest.fixture(scope="module")
def terminal():
    """In front of a release that runs and one that has ended; nobody changes them."""
    terminal = a_terminal("fails-at-25")
    terminal.until_phase("RolledBack")
    terminal.penstock("start", "shop", "--image", "registry.example/shop:3.0", "--revision", "v3")
    terminal.until(terminal.sim.clock.time - START + 60)
    return terminal


@pytest.mark.parametrize("command", ["wait", "watch", "why", "history", "pause", "resume", "advance", "promote", "rollback", "retry"])
def test_a_release_is_offered_wherever_one_is_meant_and_what_runs_comes_first(terminal, command):
    assert tab(terminal.host(), f"penstock {command} ") == ["shop-v3", "shop-v2"]


def test_only_what_begins_so_is_offered(terminal):
    assert tab(terminal.host(), "penstock wait shop-v2") == ["shop-v2"]
    assert tab(terminal.host(), "penstock wait other") == []


def test_start_offers_plans_and_supersede_releases(terminal):
    assert tab(terminal.host(), "penstock start ") == ["shop"]
    assert tab(terminal.host(), "penstock start shop --supersede ") == ["shop-v3", "shop-v2"]


def test_get_offers_nouns_and_then_their_names(terminal):
    assert tab(terminal.host(), "penstock get ") == ["releases", "plans", "requests", "shop-v3", "shop-v2"]
    assert tab(terminal.host(), "penstock get plans ") == ["shop"]


def test_an_option_of_few_words_offers_those_that_it_takes(terminal):
    assert tab(terminal.host(), "penstock why shop-v2 -o ") == ["json", "yaml"]
    assert tab(terminal.host(), "penstock rollback shop-v2 -o ") == ["json", "yaml", "name"]
    assert tab(terminal.host(), "penstock get -o w") == ["wide"]
    assert tab(terminal.host(), "penstock wait shop-v2 --for ") == ["succeeded", "rolledback", "held", "ended", "stage="]
    assert tab(terminal.host(), "penstock help ")[:4] == ["exit-codes", "reasons", "words", "start"]
    assert tab(terminal.host(), "penstock report x -o ") == ["html", "markdown", "json", "junit"]
    assert tab(terminal.host(), "penstock sandbox --example h") == ["hwayo"]


@pytest.mark.parametrize("command", ["plan", "validate", "simulate", "replay", "judge", "preflight", "import"])
def test_every_format_is_offered(terminal, command):
    assert "json" in tab(terminal.host(), f"penstock {command} -o ")


def test_the_namespace_that_was_given_is_meant(terminal):
    assert tab(terminal.host(), "penstock wait -n elsewhere ") == []


def unusable(*_):
    raise ConfigError("There is no kubeconfig.")


def test_without_a_cluster_nothing_is_offered_and_nothing_is_said(terminal):
    assert tab(refusing(terminal, LOST), "penstock wait ") == []
    assert tab(replace(terminal.host(), connect=unusable), "penstock wait ") == []


def test_a_cluster_that_does_not_answer_is_given_up_soon(terminal, monkeypatch):
    monkeypatch.setattr(complete, "PATIENCE_SECONDS", 0.05)
    began = time.monotonic()

    assert tab(replace(terminal.host(), connect=lambda *_: threading.Event().wait(30)), "penstock wait ") == []
    assert time.monotonic() - began < 30 / 2
