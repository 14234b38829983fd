"""The production controller as a process of its own, started from a file of settings: `python -m tests.real.process SETTINGS`."""

from __future__ import annotations

import sys

from controller.compose import run
from controller.runtime.config import load_config
from controller.runtime.logs import log_to


def main() -> int:
    """Run in the foreground; the controller's own exit code."""
    config = load_config(sys.argv[1])
    log_to(level=config.log_level)
    return run(config)


if __name__ == "__main__":
    raise SystemExit(main())
