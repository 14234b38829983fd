"""Child processes that never outlive the tests, and ports that parallel test runs do not steal from each other.

A child dies with its parent even when the parent gets `kill -9` (the kernel's parent-death signal), so start programs
in a thread that lives as long as they should: the signal follows the *thread*.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
# Below Linux's ephemeral range (32768), so that no outgoing connection takes a port between choice and bind.
_FIRST_PORT, _LAST_PORT = 21000, 31999
POLL_SECONDS = 0.02


class ProgramError(Exception):
    """A program ended or did not get ready; the message carries the end of its log."""


class Program:
    """One child process in its own group, its output in a log file, restartable with the same arguments."""

    def __init__(self, name: str, argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.argv = [str(part) for part in argv]
        self.log = log
        self._env = dict(env) if env is not None else None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running or last process; an error before the first start."""
        if self._process is None:
            raise ProgramError(f"{self.name} was never started.")
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        """Whether the process exists and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Program:
        """Start it (again); its log is appended to."""
        if self.running:
            raise ProgramError(f"{self.name} runs already.")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - only two system calls run between fork and exec
            )
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group; nothing when it has ended."""
        if self.running:
            os.killpg(self.pid, number)

    def pause(self, seconds: float = 10.0) -> None:
        """Freeze it (SIGSTOP): its sockets stay open and silent. Returns when all its threads stand still.

        Raises:
            ProgramError: it still runs after `seconds`.
        """
        self.signal(signal.SIGSTOP)
        self.wait_until(lambda: _stands_still(self.pid), seconds)

    def resume(self) -> None:
        """Let a frozen program go on (SIGCONT)."""
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once (SIGKILL) and reap it."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self, seconds: float = 10.0) -> int | None:
        """Ask it to end (SIGTERM), kill it after `seconds`; return its exit code."""
        self.signal(signal.SIGTERM)
        if self._process is not None:
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.returncode

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Poll `ready` until it is true.

        Raises:
            ProgramError: the program ended, or `seconds` passed; with the last lines of its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise ProgramError(f"{self.name} ended with {self.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ProgramError(f"{self.name} was not ready within {seconds:g} s:\n{self.tail()}")
            time.sleep(POLL_SECONDS)

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of the log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _stands_still(pid: int) -> bool:
    """Whether the kernel has stopped every thread of a process."""
    states = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            states.append((thread / "stat").read_text().rpartition(")")[2].split()[0])
    return all(state in "TtZX" for state in states)


def _die_with(parent: int) -> Callable[[], None]:
    """Make what a child does before exec: ask for SIGKILL when its parent dies, and end if that has happened already."""

    def arrange() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return arrange


def scratch_folder(kind: str) -> Path:
    """Make a temporary folder for one component, and remove those of test runs that were killed before they could."""
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"penstock-{kind}-[0-9]*-*"):
        owner = int(left.name.split("-")[2])
        if not Path(f"/proc/{owner}").exists():
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"penstock-{kind}-{os.getpid()}-"))


class PortLease:
    """Free loopback ports, held by file locks that every bed on this machine respects, until `release`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.gettempdir()) / f"penstock-bed-ports-{os.getuid()}"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._held: list[TextIO] = []

    def take(self) -> int:
        """Return a port that nothing listens on and no other bed has taken."""
        span = _LAST_PORT - _FIRST_PORT + 1
        # Beds that start together begin their search at different places; the locks decide, this only saves tries.
        offset = (os.getpid() * 37) % span
        for step in range(span):
            port = _FIRST_PORT + (offset + step) % span
            handle = (self._folder / str(port)).open("w")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                handle.close()
                continue
            if _bindable(port):
                self._held.append(handle)
                return port
            handle.close()
        raise ProgramError(f"No free port between {_FIRST_PORT} and {_LAST_PORT}.")

    def release(self) -> None:
        """Give all ports back."""
        for handle in self._held:
            handle.close()
        self._held.clear()


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
