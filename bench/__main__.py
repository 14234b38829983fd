"""`python -m bench [--quick] [--sequential] [ROW...]`: all figures as one table, with the machine and the versions.

    simulate  commands                                     in this process, or on loopback
    reaction  interval  restart                            one release on a real API server
    cpu requests memory start five all late history        400 and 1,000 releases on a real API server

Without a test bed the last two lines say so.
"""

import argparse
import os
import platform
import sys
from collections.abc import Callable, Collection, Iterator
from importlib.metadata import version

from bench import commands, crowd, simulate, single
from tests.bed.binaries import versions, why_unavailable

Row = tuple[str, str, str]
OFFLINE: dict[str, Callable[..., list[Row]]] = {"simulate": simulate.rows, "commands": commands.rows}
ON_THE_BED = (single, crowd)
NAMES = (*OFFLINE, *(name for module in ON_THE_BED for name in module.ROWS))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer runs, 40 and 100 releases instead of 400 and 1,000")
    parser.add_argument(
        "--sequential", action="store_true", help="releases on the API server are judged as a plan of ten lines is, not by a threshold"
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(NAMES)}; all if absent")
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.rows) - set(NAMES))
    if unknown:
        parser.error(f"found {', '.join(unknown)}, expected some of {', '.join(NAMES)}")
    print(machine())
    print("\n| what | measured | aim |\n|---|---|---|")
    for what, measured, aim in rows(chosen.rows or NAMES, quick=chosen.quick, sequential=chosen.sequential):
        print(f"| {what} | {measured} | {aim} |", flush=True)


def machine() -> str:
    """One line: what it was measured on."""
    load = os.getloadavg()[0]
    api = versions()["kubernetes"] if why_unavailable() is None else "none"
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}, "
        f"API server {api}, client kubernetes {version('kubernetes')}, pydantic {version('pydantic')}"
    )


def rows(wanted: Collection[str], *, quick: bool, sequential: bool) -> Iterator[Row]:
    """Every wanted row, as soon as it is measured."""
    for name, measure in OFFLINE.items():
        if name in wanted:
            print(f"... {name}", file=sys.stderr)
            yield from measure(quick=quick)
    missing = why_unavailable()
    for module in ON_THE_BED:
        mine = [name for name in module.ROWS if name in wanted]
        if mine and missing is not None:
            print(missing, file=sys.stderr)
            yield from ((module.ROWS[name], "not measured: needs the test bed", "") for name in mine)
        elif mine:
            print(f"... {module.__name__}: {', '.join(mine)}", file=sys.stderr)
            yield from module.rows(quick=quick, wanted=mine, sequential=sequential)


if __name__ == "__main__":
    main()
