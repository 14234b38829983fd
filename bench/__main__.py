"""`python -m bench [--quick]`: all figures as one table, with the machine and the versions."""

import argparse
import os
import platform
import sys
from importlib.metadata import version

from bench import commands, simulate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    quick = parser.parse_args().quick
    load = os.getloadavg()[0]
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}, "
        f"kubernetes {version('kubernetes')}, pydantic {version('pydantic')}"
    )
    print("| what | measured | aim |\n|---|---|---|")
    for module in (simulate, commands):
        print(f"... {module.__name__}", file=sys.stderr)
        for what, measured, aim in module.rows(quick=quick):
            print(f"| {what} | {measured} | {aim} |", flush=True)


if __name__ == "__main__":
    main()
