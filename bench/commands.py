"""How long commands take as whole processes, beside an interpreter that does nothing."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from controller.simulator.apiserver.http import HttpFront
from controller.simulator.apiserver.store import ApiServer
from controller.simulator.definitions import all_definitions

PENSTOCK = str(Path(sys.executable).parent / "penstock")


def median_seconds(command: list[str], environment: dict[str, str], runs: int) -> float:
    """Median wall seconds after one warm-up."""
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        subprocess.run(command, env=environment, capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    return sorted(times[1:])[runs // 2]


def rows(*, quick: bool) -> list[tuple[str, str, str]]:
    """(what, measured, aim)."""
    runs = 3 if quick else 9
    server = ApiServer(time.time)
    server.load(all_definitions())
    with HttpFront(server) as front, tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.write_text(json.dumps(front.kubeconfig()))
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "NO_COLOR": "1"}
        nothing = median_seconds([sys.executable, "-c", "pass"], environment, runs)
        help_ = median_seconds([PENSTOCK, "--help"], environment, runs)
        get = median_seconds([PENSTOCK, "get"], environment, runs)
    return [
        ("`penstock --help`", f"{help_ * 1000:.0f} ms ({help_ / nothing:.1f} times an interpreter that does nothing)", "<= 150 ms"),
        ("`penstock get`, API server on loopback", f"{get * 1000:.0f} ms ({get / nothing:.1f} times)", "<= 400 ms"),
    ]
