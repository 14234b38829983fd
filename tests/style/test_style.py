"""The house's rules that a linter does not know: sizes, one loop, one vocabulary, no waiting in tests."""

import ast
import inspect
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = sorted(p for folder in ("analysis", "controller") for p in (ROOT / folder).rglob("*.py"))
LONGEST_FUNCTION = 70
LONGEST_MODULE = 520
TABLES = {"controller/core/reasons.py": 600}
"""A module that is one table, an entry a word, is looked things up in; it may be longer."""

REAL_TIME = {"bed", "real", "sandbox"}
"""Folders of tests whose subjects are processes of their own."""


@cache
def functions(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", PRODUCT, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_and_functions_fit_the_reader(path):
    """A function fits a screen; a module can be read in one sitting."""
    lines = path.read_text(encoding="utf-8").count("\n")
    long = [f"{f.name}: {f.end_lineno - f.lineno} lines" for f in functions(path) if f.end_lineno - f.lineno >= LONGEST_FUNCTION]

    assert long == []
    assert lines <= TABLES.get(str(path.relative_to(ROOT)), LONGEST_MODULE)


def test_there_is_one_loop_body():
    """Production, the sandbox, the demo and the simulator run the very same function over the very same adapters."""
    from controller import compose, reconcile
    from controller.simulator import simulation

    assert compose.reconcile is reconcile.reconcile is simulation.reconcile
    others = [p for p in PRODUCT for f in functions(p) if f.name == "reconcile" and p != Path(inspect.getfile(reconcile))]
    assert others == []


def test_the_simulator_brings_ports_and_no_adapters_of_its_own():
    """What the loop acts through is imported from `controller.adapters` alone."""
    acting = {p.name: p.read_text(encoding="utf-8") for p in PRODUCT if p.parent == ROOT / "controller"}

    assert not [name for name in ("reconcile.py", "act.py", "observe.py") if "simulator" in acting[name].split('"""', 2)[2]]


def test_only_the_composition_reads_the_wall_clock_for_the_core():
    """The core, the adapters it acts through and the loop take `now` as an argument."""
    pure = [p for p in PRODUCT if "core" in p.parts or "analysis" in p.parts or p.name in ("reconcile.py", "act.py", "observe.py")]
    forbidden = ("import time", "datetime.now", "import random")
    reading = [str(p) for p in pure if any(word in p.read_text(encoding="utf-8") for word in forbidden)]

    assert reading == []


TWO_VOCABULARIES = ("arms.py", "asking.py", "judging.py", "kayenta.py", "gauges.py", "seen.py", "sentences.py")
"""Where blue and green become baseline and candidate."""


def test_the_core_speaks_of_blue_and_green():
    """One word for a thing: canary and stable are other people's words, baseline and candidate are the library's."""
    spoken = {
        f"{p.name}: {word}"
        for p in (ROOT / "controller" / "core").glob("*.py")
        for word in ("canary", "candidate", "stable version")
        if word in p.read_text(encoding="utf-8").lower() and p.name not in TWO_VOCABULARIES
    }

    assert spoken == set()


def test_no_test_sleeps():
    """Offline tests wait for nothing. Tests on real processes poll for a state, with a deadline, in real time."""
    sleeping = [
        str(p.relative_to(ROOT))
        for p in sorted((ROOT / "tests").rglob("*.py"))
        if "time.sleep(" in p.read_text(encoding="utf-8")
        and not (REAL_TIME & set(p.parts) or p.name.endswith("_real_server.py"))
        and p != Path(__file__)
    ]

    assert sleeping == []


def test_every_reason_has_a_sentence_and_a_next_step():
    """The CLI, the Events, the conditions and the records print it from one place."""
    from controller.core.reasons import REASONS

    assert [r.word for r in REASONS.values() if not r.sentence or not r.next_step] == []
