"""`make soak`: a hundred kills and twenty long pauses under twenty releases at the same time, on a real API server.

    python -m tests.real.soak [--kills N] [--pauses N] [--releases N] [--seed N] [--log FILE]

The last lines say what was found; the exit code is 0 where that is nothing.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path
from typing import TextIO

from tests.bed import binaries, prometheus
from tests.bed.cluster import Bed
from tests.bed.nodes import NodeSimulator
from tests.real.chaos import LEASE_SECONDS, Chaos
from tests.real.harness import CRDS, Scene


class Log:
    """Prints lines with the time since the start, and keeps them in a file."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._begun = file, time.monotonic()

    def __call__(self, line: str) -> None:
        """Say one line."""
        seconds = time.monotonic() - self._begun
        text = f"{int(seconds // 60):3d}:{seconds % 60:04.1f}  {line}"
        print(text, flush=True)  # noqa: T201 - a command's own output
        print(text, file=self._file, flush=True)


def main() -> int:
    """Run it; 0 where nothing was found."""
    parser = argparse.ArgumentParser(description="Kills and pauses of the production controller on a real API server.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--pauses", type=int, default=20)
    parser.add_argument("--releases", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--log", type=Path, default=Path("docs/soak.log"))
    asked = parser.parse_args()
    for why in (binaries.why_unavailable(), prometheus.why_unavailable()):
        if why:
            sys.stderr.write(f"The soak cannot run: {why}.\n")
            return 1
    with asked.log.open("w", encoding="utf-8") as file:
        return soak(asked, Log(file))


def soak(asked: argparse.Namespace, say: Log) -> int:
    """All of it, in sentences."""
    say(f"python -m tests.real.soak --kills {asked.kills} --pauses {asked.pauses} --releases {asked.releases} --seed {asked.seed}")
    versions = f"Kubernetes {binaries.versions()['kubernetes']}, Python {platform.python_version()}"
    say(f"{versions}, {platform.platform()}, lease {LEASE_SECONDS:g} s")
    with Bed(crds=CRDS) as bed, NodeSimulator(bed.admin), Scene(bed, lease_seconds=LEASE_SECONDS, cluster_wide=True) as scene:
        chaos = Chaos(scene, asked.seed, say)
        chaos.shops(asked.releases)
        chaos.kills(asked.kills)
        chaos.pauses(asked.pauses)
        chaos.end()
        found = [*scene.faults(), *chaos.surprises]
        terms = len(scene.controllers.leaders())
        say(f"Releases: {chaos.summary()}. Terms of leadership: {terms}. {scene.recorder.summary()}")
    for sentence in found:
        say(sentence)
    say(f"{len(found)} breaches, defects and surprises.")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
