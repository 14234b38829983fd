"""What the documents show is what the engine gives."""

import contextlib
import io
import json
import math
import re
from pathlib import Path

import pytest
import typer

from analysis.combine import Weighted, release_evidence
from analysis.model import Tick
from analysis.planning import requests_to_detect
from analysis.rate import RateTest, start, step
from controller.cli.main import app, run
from tests.docs.pages import ROOT, agrees, commands, pages

DOCS = Path(__file__).parents[2] / "docs" / "analysis"


def test_the_table_of_the_method_is_the_engines_own_output():
    rows = re.findall(r"^\| +(\d+) \| +([\d.]+) \| +([\d.]+) \| (\S+) +\|$", (DOCS / "method.md").read_text(), re.MULTILINE)
    test, found = RateTest(p_hist=0.005), {}
    state = start(test)
    for index in range(44):
        bad = (1 if index % 8 else 0) if index < 30 else (4 if index % 3 else 3)
        state = step(test, state, Tick(10.0 * index, 10.0 * index + 10, 125, bad, 375, 2 - (index % 8 == 7)), "25")
        release = release_evidence([Weighted("errors", 0.5, state.ln_e), Weighted("others", 0.5)])
        said = "**yes**" if release.reached else "no"
        found[str(10 * index + 10)] = (f"{math.exp(state.ln_e):.2f}", f"{math.exp(release.ln_e):.2f}", said)

    assert len(rows) == 5
    assert {row[0]: row[1:] for row in rows} == {row[0]: found[row[0]] for row in rows}


def test_the_worked_example_prints_what_stands_below_it():
    text = (DOCS / "statistician.md").read_text()
    (code, shown) = re.search(r"```python\n(.*?)```\n\n    (.*?)\n", text, re.DOTALL).groups()
    out = io.StringIO()

    with contextlib.redirect_stdout(out):
        exec(code, {})

    assert out.getvalue().strip() == shown


ANALYSIS = [command for page in pages("docs/analysis/*.md") if page.parent == DOCS for command in commands(page)]


@pytest.mark.parametrize("command", ANALYSIS, ids=str)
def test_a_command_of_a_page_is_one_that_there_is_and_an_import_prints_what_is_shown(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    (words,) = command.parts
    group = typer.main.get_command(app)
    parent = group.make_context("penstock", [], resilient_parsing=True)
    group.get_command(parent, words[1]).make_context(words[1], words[2:], parent=parent)
    if words[1] == "import":
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            assert run(words[1:]) == 0
        assert agrees(command.output, (out.getvalue() + err.getvalue()).splitlines())


def test_the_table_of_alpha_is_the_planners_own():
    rows = re.findall(r"^\| ([\d.]+) % \| ([\d,]+) \| ([\d,]+) \|$", (DOCS / "choosing.md").read_text(), re.MULTILINE)
    effects = ((0.005, 0.05), (0.001, 0.01))

    assert len(rows) == 3
    for alpha, *shown in rows:
        found = [
            requests_to_detect(RateTest(p_hist=blue), effect, alpha=float(alpha) / 100, weight=0.5, share=0.25) for blue, effect in effects
        ]
        assert shown == [f"{requests:,.0f}" for requests in found]


def test_the_figures_are_written_from_the_committed_results():
    """Every chunk of every cell is there. (Whether the engine is still theirs, the benchmark itself knows.)"""
    from bench.analysis import CHUNK, README, RELEASES, known
    from bench.analysis_tables import document, with_summary
    from bench.analysis_worlds import worlds

    cells = worlds()
    kept = known(cells, any_engine=True)
    results = {cell.name: [kept[cell.name, index] for index in range(cell.runs // CHUNK)] for cell in cells}
    releases = [json.loads(line) for line in RELEASES.read_text().splitlines()]

    assert document(cells, results, releases) == (DOCS / "figures.md").read_text()
    assert with_summary(README.read_text(), cells, results) == README.read_text()


@pytest.mark.long
def test_the_pictures_are_the_engines_own_output():
    from bench.analysis_pictures import PICTURES

    assert {name for name, draw in PICTURES.items() if (DOCS / name).read_text() == draw().svg()} == set(PICTURES)
