"""What the Dockerfile does, done here without a container engine: its sources into a folder, a wheel, a fresh environment, the command."""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def copied() -> Iterator[tuple[str, str]]:
    """Source and target of every COPY from the build's context."""
    for line in DOCKERFILE.splitlines():
        if line.startswith("COPY") and "--from" not in line:
            *sources, target = line.split()[1:]
            yield from ((source, target) for source in sources)


def run(*argv: object, cwd: Path) -> str:
    """What a command prints; where it fails, its complaint."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run([str(part) for part in argv], check=False, capture_output=True, text=True, cwd=cwd, env=env, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Image:
    """`source` is what the build saw, `wheel` what it made, `bin` the folder of commands of the environment it is installed in."""

    source: Path
    wheel: Path
    bin: Path


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Without the network: the dependencies are those of this environment, seen by path."""
    folder = tmp_path_factory.mktemp("image")
    source = folder / "src"
    source.mkdir()
    for name, target in copied():
        there = ROOT / name
        if there.is_dir():
            shutil.copytree(there, source / target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy(there, source / target)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "wheels", ".", cwd=source)
    (wheel,) = (folder / "wheels").iterdir()
    run(sys.executable, "-m", "venv", "--without-pip", folder / "opt", cwd=folder)
    python = folder / "opt" / "bin" / "python"
    run(*pip, "--python", python, "install", "--no-index", "--no-deps", wheel, cwd=folder)
    (own,) = (folder / "opt" / "lib").glob("python*/site-packages")
    # A path is only searched: the .pth files in it, of which one leads to this checkout, are not read.
    (own / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return Image(source, wheel, python.parent)


def test_every_source_exists_and_is_not_kept_from_the_build() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sources = [source for source, _ in copied()]

    assert {"pyproject.toml", "analysis", "controller"} <= set(sources)
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert "*" in ignored
    assert [source for source in sources if f"!{source}" not in ignored] == []


@pytest.mark.long
def test_the_wheel_has_every_file_of_the_packages(image: Image) -> None:
    packed = {name for name in zipfile.ZipFile(image.wheel).namelist() if ".dist-info/" not in name}
    there = {str(path.relative_to(image.source)) for name in ("analysis", "controller") for path in (image.source / name).rglob("*.*")}

    assert packed == {name for name in there if (image.source / name).is_file()}


@pytest.mark.long
def test_the_entrypoint_is_installed_and_runs_from_there(image: Image, tmp_path: Path) -> None:
    (entrypoint,) = re.findall(r'^ENTRYPOINT \["/opt/penstock/bin/(\w+)"\]', DOCKERFILE, re.MULTILINE)
    where = run(image.bin / "python", "-c", "import controller; print(controller.__file__)", cwd=tmp_path)

    assert where.startswith(str(image.bin.parent))
    assert run(image.bin / entrypoint, "--version", cwd=tmp_path).startswith("penstock ")


@pytest.mark.long
def test_its_command_is_one_and_has_what_the_deployment_asks_for(image: Image, tmp_path: Path) -> None:
    (command,) = re.findall(r'^CMD \["(\w+)"\]', DOCKERFILE, re.MULTILINE)

    assert "--config" in run(image.bin / "penstock", command, "--help", cwd=tmp_path)


@pytest.mark.long
def test_bytecode_is_compiled_by_the_line_that_stands_there(image: Image, tmp_path: Path) -> None:
    (line,) = re.findall(r"/opt/penstock/bin/(python -m compileall [^&]*)", DOCKERFILE)
    run(*line.replace("python", str(image.bin / "python"), 1).replace("/opt/penstock", str(image.bin.parent)).split(), cwd=tmp_path)

    assert list((image.bin.parent / "lib").rglob("controller/__pycache__/reconcile.*.pyc"))


def test_nothing_of_it_runs_as_root() -> None:
    users = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE.rpartition("\nFROM")[2], re.MULTILINE)

    assert users
    assert all(int(user) and int(group) for user, group in users)
