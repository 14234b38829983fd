"""Files that a command writes: whole, or not at all, whoever stops it or fills the disk meanwhile."""

import os
from pathlib import Path

from controller.cli.exits import file_fault


def put(path: Path, content: bytes) -> None:
    """Write a file in place of the one that is there, if any. Raises `CommandError`.

    What is no plain file, such as a pipe or a terminal, is written as it is.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return
        place = path.resolve()  # a link goes on pointing to the same name
        part = place.with_name(f".penstock-{os.getpid()}")
        try:
            part.write_bytes(content)
            if place.exists():
                part.chmod(place.stat().st_mode)
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise file_fault(path, error, "written") from error
