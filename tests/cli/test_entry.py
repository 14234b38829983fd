"""The entry point of the installed command, before anything of it is loaded."""

import signal
import subprocess
import sys

import pytest

from controller.cli.entry import INTERRUPTED
from controller.cli.exits import ExitCode

LOADING = """
import signal, sys
from controller.cli import entry

class Slow:
    @staticmethod
    def find_spec(name, *_):
        if name == "typer":
            print("loads", flush=True)
            signal.pause()

sys.meta_path.insert(0, Slow)
entry.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_command_is_loaded_is_130_without_a_traceback(number):
    with subprocess.Popen([sys.executable, "-c", LOADING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "loads\n"
        process.send_signal(number)
        said = process.communicate(timeout=30)

    assert (process.returncode, said) == (130, ("", ""))


def test_its_exit_code_is_the_one_of_the_table():
    assert INTERRUPTED == ExitCode.INTERRUPTED


def test_what_is_to_be_ignored_stays_so():
    """A command in the background of a script hears no Ctrl-C, which is meant for what runs in front of it."""
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); from controller.cli import entry, main; import sys\n"
    code += "main.run = lambda *_, **__: print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN) or 0\nentry.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "True\n")
