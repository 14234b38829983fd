"""Where `penstock` begins: Ctrl-C or SIGTERM while the command is still being loaded is an exit code and no traceback."""

import os
import signal
from types import FrameType

INTERRUPTED = 130
"""As `exits.ExitCode.INTERRUPTED`, which is not loaded yet."""


def main() -> None:
    """The entry point of `penstock` and of `kubectl-penstock`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    from controller.cli.main import main as command

    command()


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
