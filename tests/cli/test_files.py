"""Files that commands write: the whole of them, or what was there before."""

import os
import stat
import threading

import pytest

from controller.cli.exits import CommandError
from controller.cli.files import put


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path):
    path = tmp_path / "report.html"
    path.write_bytes(b"before")
    path.chmod(0o640)
    put(path, b"after")

    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"after", 0o640)
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_a_new_file_has_the_mode_that_the_shell_gives(tmp_path):
    (tmp_path / "by-hand").write_bytes(b"")
    put(tmp_path / "new", b"x")

    assert (tmp_path / "new").stat().st_mode == (tmp_path / "by-hand").stat().st_mode


def test_where_it_cannot_be_written_what_was_there_stays_and_nothing_else_is_left(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_bytes(b"before")
    monkeypatch.setattr(type(path), "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        put(path, b"after")

    assert path.read_bytes() == b"before"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def stopped(*_):
    raise KeyboardInterrupt


def test_a_link_goes_on_pointing_to_its_file(tmp_path):
    (tmp_path / "real").write_bytes(b"before")
    (tmp_path / "link").symlink_to("real")
    put(tmp_path / "link", b"after")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"after"


def test_a_pipe_is_written_as_it_is(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    put(pipe, b"content")
    reader.join()

    assert read == [b"content"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("place", ["missing/report.html", "."])
def test_a_place_that_cannot_be_written_is_one_sentence(place, tmp_path):
    with pytest.raises(CommandError, match=r"cannot be written \("):
        put(tmp_path / place, b"x")
