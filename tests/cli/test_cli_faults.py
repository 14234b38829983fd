"""Whatever is wrong with the way to the cluster is one sentence with its exit code, never a traceback."""

import io
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from controller.adapters.kube_errors import error_of, not_kubernetes
from controller.cli.exits import MEANINGS
from controller.cli.host import Host
from controller.cli.main import COMMANDS, app, run
from controller.core.reasons import REASONS
from controller.ports import UnavailableError
from tests.cli.cli_bed import LOST, a_terminal, refusing
from tests.sizes import most_telling

SERVER = "https://api"
PLAN = "examples/first-release/plan.yaml"
STATUS = b'{"kind":"Status","message":"no","reason":"%s"}'


def penstock(host, *words):
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(list(words), host)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def terminal():
    return a_terminal()


FAULTS = [
    (LOST, 7),
    (UnavailableError(0, "Timeout", f"The API server at {SERVER} did not answer in time."), 7),
    (error_of(401, {}, STATUS % b"Unauthorized", SERVER), 7),
    (error_of(403, {}, STATUS % b"Forbidden", SERVER), 6),
    (error_of(429, {}, b"Too many requests", SERVER), 7),
    (error_of(500, {}, STATUS % b"InternalError", SERVER), 7),
    (not_kubernetes(200, {"Content-Type": "text/html"}, b"<html>Log in</html>", SERVER), 7),
    (error_of(404, {}, b"404 page not found\n", SERVER), 6),
]


@pytest.mark.parametrize(("error", "code"), FAULTS, ids=["down", "slow", "401", "403", "429", "500", "html", "no CRD"])
@pytest.mark.parametrize(
    "words",
    [["get"], ["get", "shop-v2"], ["wait", "shop-v2"], ["start", "shop", "--image", "x:1"], ["rollback", "shop-v2"], ["watch", "shop-v2"]],
    ids=" ".join,
)
def test_a_fault_of_the_api_server_is_one_sentence(terminal, words, error, code):
    found, out, err = penstock(refusing(terminal, error), *words)

    assert (found, out) == (code, "")
    assert "Traceback" not in err
    assert 1 <= len(err.splitlines()) <= 2  # a rollback says besides that it tries again


def test_missing_definitions_name_the_command_that_brings_them(terminal):
    _, _, err = penstock(refusing(terminal, FAULTS[-1][0]), "get")

    assert err == "This cluster does not know Penstock's resources: run `penstock install` first.\n"


@pytest.mark.parametrize(
    ("content", "words", "said"),
    [
        (None, [], "There is no kubeconfig at"),
        ("a: [", [], "is not valid YAML"),
        ("{}", ["--context", "prod"], "has no context 'prod'"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_2(tmp_path, content, words, said):
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content, encoding="utf-8")

    code, out, err = penstock(Host(), "get", "--kubeconfig", str(path), *words)

    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


def test_a_defect_of_ours_is_1_and_says_where_the_details_are(terminal, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    broken = replace(terminal.host(), connect=lambda *_: 1 / 0)

    code, _, err = penstock(broken, "get")

    kept = list(tmp_path.glob("penstock-defect-*"))
    assert code == 1
    assert str(kept[0]) in err
    assert "ZeroDivisionError: division by zero" in kept[0].read_text(encoding="utf-8")
    assert "Traceback" not in err


@pytest.mark.parametrize("word", ["wibble", "--wibble"])
def test_an_unknown_word_is_2(word):
    assert penstock(None, word)[0] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("sandbox", "--speed", "0"), "found '0', expected a number from 1 to 1,000"),
        (("sandbox", "--speed", "fast"), "found 'fast', expected a number from 1 to 1,000"),
        (("replay", "x", "--jobs", "two"), "found 'two', expected a whole number from 0 to 1,000"),
        (("simulate", "x", "--seed", "-1"), "found '-1', expected a whole number of at least 0"),
        (("import", "spinnaker", "x"), "'spinnaker' is not one of 'kayenta', 'flagger', 'argo'."),
    ],
)
def test_an_option_that_cannot_be_is_told_in_our_words(words, said, capsys):
    """And not in those of the library that checks them: `Input should be ...`, `Value error, ...`."""
    assert run(list(words)) == 2
    assert re.search(rf"Error: Invalid value for '[^']+': {re.escape(said)}\n$", capsys.readouterr().err)


def numeric_options():
    """Every option of every command that takes a number, with values that it cannot take."""
    group = typer.main.get_command(app)
    context = group.make_context("penstock", [], resilient_parsing=True)
    for name in group.list_commands(context):
        for option in group.get_command(context, name).params:
            if option.param_type_name != "option" or option.type_descriptor.annotation not in (int, float):
                continue
            bad = ["x", "nan"] if option.type_descriptor.annotation is float else ["x", "1.5"]
            bad += [f"{option.min - 1:g}"] if option.min is not None else []
            bad += [f"{option.max + 1}"] if option.max is not None else []
            yield from (pytest.param(name, option.opts[0], value, id=f"{name} {option.opts[0]} {value}") for value in bad)


WITH = {"judge": ["--baseline", "a", "--candidate", "b", "--from", "-1h", "--file", "x"]}
"""What a command must have before it looks at options of its own."""


@pytest.mark.parametrize(("command", "option", "value"), [*numeric_options()])
def test_every_number_that_an_option_cannot_take_is_told_with_what_was_expected(command, option, value, capsys):
    code = run([command, *WITH.get(command, []), option, value])
    said = capsys.readouterr().err.splitlines()[-1]

    assert code == 2
    assert re.search(rf"{option}'?: found '?{re.escape(value)}'?, expected (a (whole )?number|percent)\b", said)
    if value != "x":
        assert re.search(r"of at least \d|from [\d.]+ to \d|between \d+ and \d+", said)


def test_every_number_is_an_option_with_bounds_or_one_that_says_its_own():
    """A number without bounds would let infinity through."""
    group = typer.main.get_command(app)
    context = group.make_context("penstock", [], resilient_parsing=True)
    params = [one for name in group.list_commands(context) for one in group.get_command(context, name).params]
    floats = {one.opts[0] for one in params if one.type_descriptor.annotation is float and one.max is None}

    assert floats == {"--alpha", "--limit"}


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["get", "-n", "Bad_Name"], "'--namespace' / '-n'"),
        (["install", "-n", "Bad_Name"], "--namespace"),
        (["install", "--green-namespace", "Bad_Name"], "--green-namespace"),
        (["install", "--controller-namespace", "Bad_Name"], "--controller-namespace"),
        (["wait", "Bad_Name"], "'NAME'"),
    ],
    ids=" ".join,
)
def test_a_name_that_cannot_be_is_told_with_its_option(words, option, capsys):
    assert run(words) == 2
    expected = f"Error: Invalid value for {option}: found 'Bad_Name', expected a name of lower-case letters, digits and dashes\n"
    assert capsys.readouterr().err.endswith(expected)


@pytest.mark.parametrize("value", ["0", "-1", "soon"])
def test_a_time_that_cannot_be_is_told_with_its_option(value, capsys):
    assert run(["wait", "shop-v2", "--timeout", value]) == 2
    assert capsys.readouterr().err.endswith(
        f"Error: Invalid value for --timeout: found '{value}', expected a duration with its unit, such as 30s, 5m, 1h30m\n"
    )


def test_every_exit_code_is_explained():
    code, out, _ = penstock(None, "help", "exit-codes")

    assert code == 0
    assert [int(line.split()[0]) for line in out.splitlines()] == [int(code) for code in MEANINGS] == [0, 1, 2, 3, 4, 5, 6, 7, 130]


@pytest.mark.parametrize("topic", ["reasons", "words", "start", ""])
def test_help_explains_it(topic):
    code, out, _ = penstock(None, "help", *([topic] if topic else []))

    assert code == 0
    assert len(out.splitlines()) > 5


IMPORTS = "import sys; from controller.cli.main import run; run(sys.argv[1:]); print(*sorted(sys.modules), file=sys.stderr)"


def modules_after(*words):
    done = subprocess.run([sys.executable, "-c", IMPORTS, *words], capture_output=True, text=True, check=False)
    return set(done.stderr.splitlines()[-1].split())


LIGHT = [["version"], ["help", "exit-codes"], ["get", "--kubeconfig", "/none"]]


def test_help_imports_neither_client_nor_models():
    """Start-up is counted in modules here, because time is not the same everywhere."""
    loaded = modules_after("--help")

    assert not loaded & {"kubernetes", "pydantic", "yaml", "httpx", "requests", "rich", "controller.ports", "controller.cli.get"}
    assert len(loaded) < 320


@pytest.mark.parametrize("words", most_telling(LIGHT[-1], of=LIGHT), ids=" ".join)
def test_a_light_command_imports_neither_client_nor_plans(words):
    """typer itself brings pydantic where a command has parameters; our models are what counts."""
    loaded = modules_after(*words)

    assert not loaded & {"kubernetes", "httpx", "requests", "rich", "controller.api.plan", "controller.api.release", "controller.simulator"}


def test_every_command_of_the_table_that_is_installed_has_its_own_help():
    listed = penstock(None, "--help")[1]
    for name in COMMANDS:
        if f"  {name} " in listed:
            code, out, _ = penstock(None, name, "--help")
            assert code == 0, name
            assert "Usage:" in out


@pytest.mark.long
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_offers_commands(shell):
    env = {"_PENSTOCK_COMPLETE": f"complete_{shell}", "COMP_WORDS": "penstock ro", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "penstock ro"}
    env |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run([sys.executable, "-m", "controller.cli.main"], env=env, capture_output=True, text=True, check=False)

    assert "rollback" in done.stdout


@pytest.mark.parametrize("words", most_telling(["help", "words"], of=[["help", "reasons"], ["help", "words"]]), ids=" ".join)
def test_a_reader_that_has_gone_ends_it_quietly_and_never_with_0(words):
    """`penstock wait ... | head -1` must not tell a pipeline that the release has got there."""
    code = "import sys, time; from controller.cli.main import run; sys.stdin.read(); sys.exit(run(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-c", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        process.stdin.close()
        said = process.stderr.read()

    assert (process.returncode, said) == (130, "")


PRINTED = [["version"], ["--help"], ["help", "reasons"], ["plan", PLAN, "--mode", "subset"]]


@pytest.mark.parametrize("words", most_telling(["version"], of=PRINTED), ids=" ".join)
def test_a_full_disk_is_one_sentence_and_1(words):
    """Whoever reads the file believes that it is all of it."""
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "controller.cli.main", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)

    assert (done.returncode, done.stderr) == (1, "Penstock could not write the output: no space left on device.\n")


def steps():
    """Every command that a reason tells people to run: the reason, the command, and the options behind it."""
    for reason in REASONS.values():
        for name, rest in re.findall(r"penstock ([a-z-]+)([^.,;)]*)", f"{reason.sentence}. {reason.next_step}"):
            yield reason.word, name, tuple(re.findall(r"(?<!\S)--?[a-z-]+", rest))


@pytest.mark.parametrize(("word", "name", "options"), list(dict.fromkeys(steps())), ids=str)
def test_what_a_reason_tells_people_to_run_is_a_command_that_has_those_options(word, name, options):
    """A next step that is itself an error costs minutes at three in the morning."""
    assert name in COMMANDS, f"{word} names {name}"
    known = {option for parameter in typer.main.get_command(app).get_command(None, name).params for option in parameter.opts}

    assert set(options) <= known
