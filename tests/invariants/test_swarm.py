"""A seed in every run of the suite, eight in the thorough one; more with `python -m tests.invariants.swarm --seeds 0 1000`."""

import os
import subprocess
import sys

import pytest

from tests.invariants.swarm import WORLDS, another_hash_seed, run
from tests.sizes import size

SEEDS = range(int(os.environ.get("PENSTOCK_SWARM_SEEDS", size(1, 8))))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_invariant_breaks_under_random_faults(seed):
    found, _, _ = run(seed)

    if found:
        pytest.fail(f"python -m tests.invariants.swarm --seed {seed}: {found[:4]}", pytrace=False)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(max(1, len(SEEDS) // 4)))
@pytest.mark.parametrize("world", ["host", "home"])
def test_nor_in_two_namespaces_or_on_the_way_home(world, seed):
    found, _, _ = run(seed, WORLDS[world])

    if found:
        pytest.fail(f"python -m tests.invariants.swarm --world {world} --seed {seed}: {found[:4]}", pytrace=False)


@pytest.mark.long
def test_the_same_seed_gives_the_same_trace_in_another_process_with_another_hash_seed():
    command = [sys.executable, "-m", "tests.invariants.swarm", "--seed", "3", "--digest"]
    environment = {**os.environ, "PYTHONHASHSEED": another_hash_seed()}
    elsewhere = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert elsewhere == f"{run(3)[2]}\n"
