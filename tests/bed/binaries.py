"""Where the bed's programs come from: an assets folder, a cache keyed by their versions, or `go build` from go.mod.

Run as `python -m tests.bed.binaries` (or as a script) it builds what is missing and prints the folder on stdout;
progress goes to stderr. `KUBEBUILDER_ASSETS` is honoured for the programs it holds; `PENSTOCK_BED_CACHE` moves the cache.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = Path(__file__).resolve().parent
BUILD_COMMAND = "python -m tests.bed.binaries"
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
CRDS_FILE = "istio-crds.json"
# `go build -o folder tool` names a program after the last part of its import path.
BUILT_AS = {"etcd": "server"}
# What releases touch, and what refuses or bypasses them; the other nine kinds only cost start-up time.
CRD_KINDS = frozenset(
    {"VirtualService", "DestinationRule", "Gateway", "ServiceEntry", "Sidecar", "AuthorizationPolicy", "PeerAuthentication"}
)
PROGRESS_SECONDS = 5.0


class BedUnavailableError(Exception):
    """The bed cannot run here; the message is one sentence that says how to change that."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Paths of the programs and of Istio's CRDs (a JSON list of objects)."""

    etcd: Path
    apiserver: Path
    controller_manager: Path
    kubectl: Path
    istio_crds: Path


def versions(go_mod: Path = MODULE / "go.mod") -> dict[str, str]:
    """Read the pinned versions of the three modules that decide what the bed is."""
    text = go_mod.read_text(encoding="utf-8")
    modules = {"kubernetes": "k8s.io/kubernetes", "etcd": "go.etcd.io/etcd/server/v3", "istio": "istio.io/api"}
    found = {}
    for name, module in modules.items():
        match = re.search(rf"^(?:require\s+|\t){re.escape(module)} (v\S+)", text, re.MULTILINE)
        if match is None:
            raise BedUnavailableError(f"{go_mod} requires no {module}.")
        found[name] = match.group(1)
    return found


def cache_folder() -> Path:
    """Say where built programs lie: one folder for each set of versions and platform."""
    root = Path(os.environ.get("PENSTOCK_BED_CACHE") or Path.home() / ".cache" / "penstock-bed")
    pinned = "_".join(f"{name}-{version}" for name, version in versions().items())
    return root / f"{pinned}_{platform.system().lower()}-{platform.machine()}"


def find() -> Binaries | None:
    """Return the programs when all of them exist already, else None. Builds nothing."""
    places = [cache_folder()]
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        places.insert(0, Path(assets))
    found: dict[str, Path] = {}
    for name in (*PROGRAMS, CRDS_FILE):
        path = next((place / name for place in places if (place / name).is_file()), None)
        if path is None:
            return None
        found[name] = path
    return Binaries(
        etcd=found["etcd"],
        apiserver=found["kube-apiserver"],
        controller_manager=found["kube-controller-manager"],
        kubectl=found["kubectl"],
        istio_crds=found[CRDS_FILE],
    )


def why_unavailable() -> str | None:
    """Say in one sentence why the bed cannot run here and how to get it; None where it can (perhaps after a build)."""
    if find() is not None or shutil.which("go"):
        return None
    return (
        "the real API server is not built and there is no Go toolchain: install Go 1.26 or later (https://go.dev/dl), "
        f"then run `{BUILD_COMMAND}`, or set KUBEBUILDER_ASSETS to a folder with {', '.join(PROGRAMS)} and {CRDS_FILE}"
    )


def ensure() -> Binaries:
    """Return the programs, building them first when they are missing (about four minutes on two cores).

    Raises:
        BedUnavailableError: there is no Go toolchain, or the build failed; the message says what to do.
    """
    found = find()
    if found is not None:
        return found
    reason = why_unavailable()
    if reason is not None:
        raise BedUnavailableError(f"The bed cannot start: {reason}.")
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / ".lock"):
        # Another process may have built them while this one waited for the lock.
        if find() is None:
            _build(folder)
    found = find()
    if found is None:
        raise BedUnavailableError(f"The build left {folder} incomplete; remove the folder and run `{BUILD_COMMAND}` again.")
    return found


def _build(folder: Path) -> None:
    """Build into a folder beside the target, then move file by file: a killed build leaves nothing half written."""
    _say(f"Building the test bed into {folder}: once, about four minutes on two cores.")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".build-") as scratch:
        _go_build(Path(scratch))
        for name in PROGRAMS:
            (Path(scratch) / BUILT_AS.get(name, name)).replace(folder / name)
        crds = Path(scratch) / CRDS_FILE
        crds.write_text(json.dumps(_istio_crds()), encoding="utf-8")
        crds.replace(folder / CRDS_FILE)
    _say("The test bed is built.")


def _go_build(output: Path) -> None:
    """Run `go build` on the module's tools; the compiled packages are counted as progress."""
    total = len(_go("list", "-deps", "tool").split())
    started = reported = time.monotonic()
    command = ["go", "build", "-v", "-trimpath", "-ldflags", _ldflags(), "-o", f"{output}/", "tool"]
    with subprocess.Popen(command, cwd=MODULE, stderr=subprocess.PIPE, text=True) as build:
        tail: list[str] = []
        for count, line in enumerate(build.stderr or (), start=1):
            tail = [*tail[-9:], line.rstrip()]
            if time.monotonic() - reported >= PROGRESS_SECONDS:
                reported = time.monotonic()
                _say(f"  {count} of at most {total} packages, {reported - started:.0f} s")
    if build.returncode != 0:
        raise BedUnavailableError("go build failed: " + " | ".join(tail))


def _ldflags() -> str:
    """Give the server the version that clients expect; no date and no commit, so that a build is repeatable."""
    version = versions()["kubernetes"]
    major, minor, _ = version.removeprefix("v").split(".", 2)
    package = "k8s.io/component-base/version"
    values = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "0" * 40,
        "buildDate": "1970-01-01T00:00:00Z",
    }
    return "-s -w " + " ".join(f"-X {package}.{name}={value}" for name, value in values.items())


def _istio_crds() -> list[dict[str, Any]]:
    """Read Istio's CRDs out of the module cache; go.sum has checked the module's content."""
    _go("mod", "download", "istio.io/api")
    folder = Path(_go("list", "-m", "-f", "{{.Dir}}", "istio.io/api").strip())
    text = (folder / "kubernetes" / "customresourcedefinitions.gen.yaml").read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    objects = yaml.load_all(text, Loader=loader)
    return [crd for crd in objects if crd and crd["spec"]["names"]["kind"] in CRD_KINDS]


def _go(*arguments: str) -> str:
    """Run the go command in the bed's module and return its stdout."""
    done = subprocess.run(["go", *arguments], cwd=MODULE, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BedUnavailableError(f"`go {' '.join(arguments)}` failed: {done.stderr.strip()[-500:]}")
    return done.stdout


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock: parallel test workers build once."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()


def main() -> int:
    """Build what is missing and print the folder of the API server; 1 with one sentence where that is impossible."""
    try:
        binaries = ensure()
    except BedUnavailableError as error:
        _say(str(error))
        return 1
    sys.stdout.write(f"{binaries.apiserver.parent}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
