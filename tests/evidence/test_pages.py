"""The commands of the two pages, one after the other, print what the pages show, but for the numbers of a simulated release."""

import io
import re
from contextlib import redirect_stderr, redirect_stdout

import pytest

from controller.cli.main import run
from tests.docs.pages import ROOT, agrees, commands

NUMBER = re.compile(r"\d[\d.,:]*")


def unnumbered(lines):
    return tuple(" ".join(NUMBER.sub("#", line).split()) for line in lines)


@pytest.mark.parametrize("page", ["replaying.md", "reading.md"])
def test_the_commands_of_a_page_go_as_it_says(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for command in commands(ROOT / "docs" / "analysis" / page):
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run(command.parts[0][1:])
        printed = unnumbered((out.getvalue() + err.getvalue()).splitlines())

        assert code == 0, err.getvalue()
        assert agrees(unnumbered(command.output), list(printed)), f"{command}\n" + "\n".join(printed)
