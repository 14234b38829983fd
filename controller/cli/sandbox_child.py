"""The controller as a child process: the production command line, which ends when its parent does.

The parent holds the other end of this process's standard input and never writes to it. Whatever ends the parent,
`kill -9` included, closes that end; so no controller is ever left behind, on any operating system.
"""

import os
import sys
import threading

from controller.cli.main import run


def end_with_parent() -> None:
    """Wait for the end of standard input, and end at once: without its cluster the controller has nothing to put in order."""
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    sys.exit(run(sys.argv[1:]))
