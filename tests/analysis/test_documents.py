"""What the documents show is what the engine gives."""

import contextlib
import io
import math
import re
from pathlib import Path

from analysis.combine import Weighted, release_evidence
from analysis.model import Tick
from analysis.rate import RateTest, start, step

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
