"""What `docs/simulator.md` says of determinism: another process with another hash seed makes the same writes at the same times."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stdout

import pytest

from controller.cli.main import run
from tests.docs.pages import ROOT
from tests.invariants.swarm import another_hash_seed


def words(*options):
    return ["simulate", str(ROOT / "examples/first-release/scenarios/fails-at-25.yaml"), "--trace", "-o", "json", *options]


def here(*options):
    out = io.StringIO()
    with redirect_stdout(out):
        assert run(words(*options)) == 0
    return out.getvalue()


def elsewhere(*options):
    environ = os.environ | {"PYTHONHASHSEED": another_hash_seed()}
    command = [sys.executable, "-m", "controller.cli.main", *words(*options)]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.long
@pytest.mark.parametrize("options", [(), ("--seed", "7")], ids=["seed 0", "seed 7"])
def test_the_same_seed_gives_the_same_writes_in_another_process(options):
    first = here(*options)

    assert first == elsewhere(*options)
    assert first.count("changes VirtualService") >= 4
