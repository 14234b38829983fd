"""What `docs/simulator.md` says of determinism: another process with another hash seed makes the same writes at the same times."""

import os
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT


def told(hash_seed, *options):
    words = ["simulate", "examples/first-release/scenarios/fails-at-25.yaml", "--trace", "-o", "json", *options]
    environ = os.environ | {"PYTHONHASHSEED": hash_seed}
    run = subprocess.run(
        [sys.executable, "-m", "controller.cli.main", *words], cwd=ROOT, env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    return run.stdout


@pytest.mark.parametrize("options", [(), ("--seed", "7")], ids=["seed 0", "seed 7"])
def test_the_same_seed_gives_the_same_writes_in_another_process(options):
    first = told("1", *options)

    assert first == told("2", *options)
    assert first.count("changes VirtualService") >= 4
