"""A bundle that is damaged, cut, foreign or too new is refused with the place, in one sentence."""

import gzip
import io
import tarfile
import tracemalloc
import zipfile

import orjson
import pytest

from controller.evidence import bundle as bundles
from controller.evidence.bundle import BundleError, read
from tests.evidence.recorded import FIRST, packed, recorded, unpacked


@pytest.fixture(scope="module")
def whole() -> bytes:
    return packed(recorded(FIRST, "fails-at-5"))


def lines_of(body):
    return gzip.decompress(body).splitlines(keepends=True)


def refusal(body):
    with pytest.raises(BundleError) as raised:
        unpacked(body).looks  # noqa: B018 - reading is what is tested
    return str(raised.value)


def test_a_whole_one_is_read_as_it_was_written(whole):
    found = unpacked(whole)

    assert found == recorded(FIRST, "fails-at-5")
    assert packed(found) == whole


def test_one_that_was_cut_says_after_which_line(whole):
    assert refusal(whole[: len(whole) // 2]).startswith("a-file: cut off after line ")


def test_one_that_was_cut_between_two_lines_says_so(whole):
    short = gzip.compress(b"".join(lines_of(whole)[:-1]))

    assert refusal(short) == f"a-file: cut off in line {len(lines_of(whole)) - 1}: the line that ends a bundle is missing."


def test_a_damaged_byte_is_found(whole):
    spoilt = bytearray(whole)
    spoilt[len(spoilt) // 2] ^= 0xFF

    assert refusal(bytes(spoilt)).startswith("a-file: ")


def test_a_changed_line_is_found_by_the_digest(whole):
    lines = [line.replace(b'"weight":5', b'"weight":6') for line in lines_of(whole)]

    assert refusal(gzip.compress(b"".join(lines))) == (
        f"a-file: changed or damaged: its {len(lines) - 1} lines do not have the digest that line {len(lines)} names."
    )


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.penstock", "b")
    return file.getvalue()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.penstock"))
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "a-file: this is no bundle: it does not begin as a gzip file does."),
        (b"apiVersion: v1\n", "a-file: this is no bundle: it does not begin as a gzip file does."),
        (gzip.compress(b""), "a-file: cut off in line 1: the line that ends a bundle is missing."),
        (gzip.compress(b'{"k":"other"}\n'), "a-file: this is no bundle: its first line does not say so."),
        (gzip.compress(b'{"k":"other"}\n{"k":"end"}\n'), "a-file: this is no bundle: its first line does not say so."),
        (zipped(), "a-file: this is no bundle: it does not begin as a gzip file does."),
        (tarred(), "a-file: this is no bundle: its first line does not say so."),
        (b'{"k":"bundle"}\n', "a-file: this is no bundle: it does not begin as a gzip file does."),
        (gzip.compress(b"\x00\x01\x02" * 100), "a-file: this is no bundle: its first line does not say so."),
    ],
    ids=["empty", "yaml", "packed nothing", "one foreign line", "foreign lines", "zip", "packed tar", "json", "packed bytes"],
)
def test_a_foreign_file_is_refused(body, sentence):
    assert refusal(body) == sentence


def test_one_of_a_newer_version_names_its_format(whole):
    lines = lines_of(whole)
    head = orjson.loads(lines[0]) | {"format": 99}

    assert refusal(sealed([orjson.dumps(head) + b"\n", *lines[1:-1]])) == (
        "a-file: line 1: found format 99, this version reads up to 1: use a newer Penstock."
    )


def test_a_line_that_no_journal_writes_is_named(whole):
    lines = lines_of(whole)[:-1]
    number = [i for i, line in enumerate(lines) if line.startswith(b'{"k":"look"')][1]
    spoilt = [*lines[:number], b'{"k":"look","n":0}\n', *lines[number + 1 :]]

    assert "segment 1 of " in refusal(sealed(spoilt))
    assert "is not one of ours (KeyError" in refusal(sealed(spoilt))


def test_a_bundle_without_its_frozen_plan_says_which_one(whole):
    lines = [line for line in lines_of(whole)[:-1] if not line.startswith(b'{"k":"frozen"')]

    assert "the frozen plan" in refusal(sealed(lines))
    assert "is missing" in refusal(sealed(lines))


def test_two_hundred_megabytes_are_refused_before_they_are_read():
    class Large(io.BytesIO):
        def seek(self, offset, whence=0):
            return 200_000_000 if whence == io.SEEK_END else super().seek(offset, whence)

    with pytest.raises(BundleError, match="found 200 MB, expected at most 50 MB"):
        read(Large(b"\x1f\x8b"), "a-file")


def test_a_bomb_is_left_unpacked(monkeypatch):
    monkeypatch.setattr(bundles, "MOST_BYTES", 1_000_000)
    bomb = gzip.compress(b'{"k":"bundle","format":1,"penstock":"1"}\n' + b'{"k":"history","is":{"of":[1,2,3]}}\n' * 500_000)
    tracemalloc.start()

    assert refusal(bomb) == "a-file: unpacked it has more than 1 MB; that is no bundle."
    assert tracemalloc.get_traced_memory()[1] < 10_000_000, "no line of it is kept before it is known how many there are"
    tracemalloc.stop()


def test_a_line_without_end_is_not_read_to_it():
    """A few kilobytes that unpack to one line of gigabytes cost no more memory than the longest line of a bundle may."""
    bomb = gzip.compress(b'{"k":"bundle"' + b" " * 60_000_000, compresslevel=1)
    tracemalloc.start()

    assert refusal(bomb) == "a-file: line 1 has more than 8 MB; that is no bundle."
    assert tracemalloc.get_traced_memory()[1] < 40_000_000
    tracemalloc.stop()


def test_a_flipped_bit_is_found_wherever_it_is(whole):
    """But for the ten bytes of the packed file's own head, which hold its time and its system."""
    for position in (*range(10, len(whole), 211), *range(len(whole) - 8, len(whole))):
        spoilt = bytearray(whole)
        spoilt[position] ^= 0x41

        assert refusal(bytes(spoilt)).startswith("a-file: "), position


def test_what_follows_a_bundle_is_not_passed_over(whole):
    assert refusal(whole + b"more").startswith("a-file: damaged after line ")
    assert "do not have the digest" in refusal(whole + whole)


def sealed(lines):
    """The lines as a bundle whose digest is right."""
    import hashlib

    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    return gzip.compress(b"".join(lines) + orjson.dumps({"k": "end", "lines": len(lines), "sha256": digest}) + b"\n")
