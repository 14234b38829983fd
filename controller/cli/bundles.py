"""Bundles as files: read with sentences for what is wrong, written from a cluster or a simulated one."""

import io
from collections.abc import Iterator
from pathlib import Path

from controller.cli.exits import CommandError, ExitCode, file_fault
from controller.cli.files import put
from controller.cli.info import own_version
from controller.evidence.bundle import Bundle, BundleError, read, write
from controller.ports import Kube, Obj

SUFFIX = ".penstock"
"""How the files of a folder are told from others."""


def open_bundle(path: Path) -> Bundle:
    """Read a file. Raises `CommandError`."""
    try:
        with path.open("rb") as file:
            return read(file, str(path))
    except BundleError as error:
        raise CommandError(ExitCode.NO, str(error)) from error
    except OSError as error:
        raise file_fault(path, error) from error


def files_of(places: list[Path]) -> Iterator[Path]:
    """The bundles that are meant: files as they are, folders by their `.penstock` files. Raises `CommandError`."""
    for place in places:
        if not place.is_dir():
            yield place
            continue
        found = sorted(place.rglob(f"*{SUFFIX}"))
        if not found:
            raise CommandError(ExitCode.USAGE, f"{place}: found no file whose name ends in {SUFFIX}.")
        yield from found


def save(bundle: Bundle, path: Path) -> None:
    """Write a file. Raises `CommandError`."""
    put(path, packed(bundle))


def packed(bundle: Bundle) -> bytes:
    """The content of its file."""
    file = io.BytesIO()
    write(bundle, file)
    return file.getvalue()


def bundle_of(kube: Kube, release: Obj) -> Bundle:
    """The bundle of a Release. Raises `KubeError`s and `CommandError`."""
    from controller.adapters.evidence import gather

    try:
        return gather(kube, release, own_version())
    except BundleError as error:
        raise CommandError(ExitCode.NO, str(error)) from error
