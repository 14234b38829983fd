"""Every command of the pages is run, or where it needs a cluster of its own, read by the parser that would read it."""

import io
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout

import pytest
import typer

from controller.cli.main import app, run
from controller.core import reasons
from tests.cli.cli_bed import a_terminal
from tests.docs.pages import ROOT, agrees, commands, pages
from tests.sizes import most_telling

EVERY = [command for page in pages() for command in commands(page)]
OFFLINE = {"validate", "plan", "simulate", "version", "help"}
LIVE = {"start", "wait", "get", "watch", "why", "history", "pause", "resume", "advance", "promote", "rollback", "retry"}
KUBECTL = {"get", "describe", "wait", "edit", "delete", "patch", "apply", "explain", "auth", "scale", "logs", "create"}
OTHERS = {"docker", "export", "apt-get", "pip", "git", "curl"}


def penstock_words(command):
    return [words[1:] for words in command.parts if words[0] == "penstock"]


def is_offline(words):
    return words[0] in OFFLINE or (words[0] == "install" and "--dry-run" in words)


OFFLINE_COMMANDS = [c for c in EVERY if len(c.parts) == 1 and any(is_offline(words) for words in penstock_words(c))]


QUICK = [command for command in OFFLINE_COMMANDS if penstock_words(command)[0][0] != "simulate" or command.page == "README.md"]
"""What simulates whole releases is run for the README alone in every run."""


@pytest.mark.parametrize("command", most_telling(*QUICK, of=OFFLINE_COMMANDS), ids=str)
def test_a_command_that_needs_no_cluster_prints_what_the_page_shows(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(penstock_words(command)[0])

    assert code == 0, err.getvalue()
    if command.output:
        printed = (out.getvalue() + err.getvalue()).splitlines()
        assert agrees(command.output, printed), "\n".join(printed)


def test_the_first_release_of_the_readme_goes_as_it_says():
    """The commands one after the other, against a simulated cluster; time passes while they wait."""
    terminal = a_terminal("healthy", started=False)
    live = [c for c in commands(ROOT / "README.md") if penstock_words(c) and penstock_words(c)[0][0] in LIVE]

    assert {penstock_words(c)[0][0] for c in live} >= {"start", "wait", "get", "rollback", "history"}
    for command in live:
        result = terminal.penstock(*penstock_words(command)[0])
        printed = (result.out + result.err).splitlines()
        assert result.code == 0, f"{command}: {result.err}"
        assert agrees(command.output or ("...",), printed), f"{command}\n" + "\n".join(printed)


BUNDLED = {"simulate", "replay", "report"}


@pytest.mark.parametrize("page", most_telling("reading.md", of=["replaying.md", "reading.md"]))
def test_the_commands_about_bundles_go_one_after_the_other_as_the_page_says(page, tmp_path, monkeypatch):
    """Each needs what one before it has written; the pages say /tmp, and the test has a folder of its own."""
    monkeypatch.chdir(ROOT)
    shown = commands(ROOT / "docs" / "analysis" / page)

    assert {penstock_words(command)[0][0] for command in shown} <= BUNDLED
    assert len(shown) > 1
    for command in shown:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run([word.replace("/tmp/", f"{tmp_path}/") for word in penstock_words(command)[0]])
        printed = (out.getvalue() + err.getvalue()).replace(f"{tmp_path}/", "/tmp/").splitlines()
        assert code == 0, f"{command}: {err.getvalue()}"
        assert agrees(command.output, printed), f"{command}\n" + "\n".join(printed)


@pytest.mark.parametrize("command", EVERY, ids=str)
def test_a_command_is_one_that_there_is(command):
    targets = set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1].split())
    for words in command.parts:
        match words[0]:
            case "make":
                assert set(words[1:]) <= targets
            case "penstock":
                understood(words[1:])
            case "kubectl":
                assert words[1] in KUBECTL
            case ".venv/bin/python":
                assert words[1] == "-m"
                assert all((ROOT / word).exists() for word in words[3:] if not word.startswith("-"))
            case other:
                assert other in OTHERS


def understood(words):
    """Parse the words as the command line does. Raises typer's usage error where it would say one."""
    group = typer.main.get_command(app)
    parent = group.make_context("penstock", [], resilient_parsing=True)
    command = group.get_command(parent, words[0])
    assert command is not None, f"there is no command {words[0]}"
    command.make_context(words[0], list(words[1:]), parent=parent)


INLINE = re.compile(r"`(penstock [^`…]+)`")
PROSE = [*pages("docs/**/*.md"), *sorted(ROOT.glob("examples/*/README.md"))]
SPOKEN = sorted({found for page in PROSE for found in INLINE.findall(page.read_text(encoding="utf-8"))})


@pytest.mark.parametrize("text", SPOKEN)
def test_a_command_within_a_sentence_has_a_name_and_options_that_there_are(text):
    """`penstock start PLAN --wait` in a sentence may lack what is obvious there, but names nothing that does not exist."""
    from controller.cli.main import COMMANDS

    words = shlex.split(text)[1:]
    name = next((word for word in words if not word.startswith("-")), "help")
    options = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
    group = typer.main.get_command(app)
    parent = group.make_context("penstock", [], resilient_parsing=True)
    known = {option for parameter in group.params for option in parameter.opts} | {"--install-completion", "--help", "-h"}
    if name != "COMMAND":
        assert name in COMMANDS
        known |= {option for parameter in group.get_command(parent, name).params for option in parameter.opts}

    assert options <= known


@pytest.mark.parametrize("reason", list(reasons.REASONS.values()), ids=lambda one: one.word)
def test_the_next_step_of_a_reason_names_commands_that_there_are(reason):
    from controller.cli.main import COMMANDS

    assert set(re.findall(r"\bpenstock ([a-z]+)", f"{reason.sentence} {reason.next_step}")) <= set(COMMANDS)


MADE = re.compile(r"`make ([a-z-]+)")


@pytest.mark.parametrize("page", PROSE, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_make_target_within_a_sentence_is_one_that_there_is(page):
    targets = set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1].split())

    assert set(MADE.findall(page.read_text(encoding="utf-8"))) <= targets
