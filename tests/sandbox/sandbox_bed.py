"""A sandbox as a process of its own, as a person starts it."""

import io
import os
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import yaml

from controller.adapters.kube_config import connect
from controller.cli.main import run

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Told:
    """What a command said, in the words of a finished process."""

    returncode: int
    stdout: str
    stderr: str


def penstock(*arguments: str) -> Told:
    """A command in this process, which spares the start of another one."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(list(arguments))
    return Told(code, out.getvalue(), err.getvalue())


class Sandbox:
    """`penstock sandbox` in a child process; `run` is a penstock command against it, and `typed` one in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.kubeconfig = folder / "sandbox.kubeconfig"
        self.log = folder / "sandbox.log"
        command = [sys.executable, "-m", "controller.cli.main", "sandbox", "--kubeconfig", str(self.kubeconfig), *arguments]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self.until(lambda: "Ctrl-C ends everything." in self.text)

    @property
    def text(self) -> str:
        return self.log.read_text()

    def until(self, reached, seconds=30.0, *, dead=False):
        """Wait for a state; the log is shown where it does not come. `dead`: it may, because we killed it, come after the end."""
        end = time.monotonic() + seconds
        while not reached():
            assert dead or self.process.poll() is None or reached(), self.text
            assert time.monotonic() < end, self.text
            time.sleep(0.05)

    def run(self, *arguments: str) -> Told:
        return penstock(*arguments, "--kubeconfig", str(self.kubeconfig))

    def typed(self, *arguments: str) -> subprocess.CompletedProcess:
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "NO_COLOR": "1"}
        command = [sys.executable, "-m", "controller.cli.main", *arguments]
        return subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=60)

    def kube(self):
        """A client of its API server."""
        return connect(str(self.kubeconfig), "").kube

    def plan(self):
        """The ten-line plan, in its namespace."""
        return yaml.safe_load((ROOT / "examples/first-release/plan.yaml").read_text())

    def start_and_wait(self, revision):
        """Start a release of the ten-line plan and wait until it has traffic or has ended."""
        self.run("start", "shop", "--image", f"registry.example/shop:{revision}", "--revision", revision)
        return self.run("wait", f"shop-{revision}", "--for", "stage=1", "--timeout", "30s")

    def children(self) -> set[int]:
        """Processes whose parent is the sandbox."""
        found = set()
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid:
                found.add(int(stat.parent.name))
        return found

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(20)


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
