"""A bundle: one file with everything that a release's decisions rested on. Lines of JSON, packed with gzip.

    {"k": "bundle", ...}      what it is, its format, the version that wrote it
    {"k": "object", ...}      the Release as it stood
    {"k": "frozen", ...}      each frozen plan, by its hash
    {"k": "history", ...}     each record
    {"k": "evidence", ...}    each part of the evidence, followed by the lines of its segments
    {"k": "end", ...}         number of lines and the SHA-256 of all that stand before

Formats are read for ever: a newer version of Penstock reads every bundle that an older one wrote.
"""

import gzip
import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, BinaryIO

import orjson
from pydantic import ValidationError

from controller.api.plan import PlanSpec
from controller.evidence.reading import Look, check_format, in_order, looks_of
from controller.evidence.samples import Line
from controller.evidence.worlds import UnreadableError

FORMAT = 1

MOST_PACKED = 50_000_000
MOST_BYTES = 100_000_000
MOST_LINE = 8_000_000
"""A bundle of a release is below two megabytes, packed: what is so large is not ours, or a bomb. It is read line by line."""

_PIECE = 1 << 20

KEPT = ("name", "namespace", "uid", "creationTimestamp", "generation", "labels")
"""What of the Release's metadata is in a bundle: no annotations, which may hold anything."""


class BundleError(ValueError):
    """The file is no bundle, or not whole; the sentence names the place."""


@dataclass(frozen=True)
class Bundle:
    """Everything about one release.

    Attributes:
        version: of the Penstock that wrote it.
        release: the Release object, metadata as in `KEPT`.
        plans: frozen plans as JSON, by hash.
        history: records, oldest first.
        parts: what each part says about itself, oldest first.
        segments: the lines of each segment, in the order of the parts.
    """

    version: str
    release: Mapping[str, Any]
    plans: Mapping[str, Any]
    history: tuple[Mapping[str, Any], ...] = ()
    parts: tuple[Mapping[str, Any], ...] = ()
    segments: tuple[tuple[Line, ...], ...] = field(default=(), repr=False)

    @property
    def title(self) -> str:
        """`namespace/name`."""
        meta = self.release["metadata"]
        return f"{meta.get('namespace', '')}/{meta['name']}"

    @property
    def status(self) -> Mapping[str, Any]:
        """The Release's status as JSON."""
        status: Mapping[str, Any] = self.release.get("status") or {}
        return status

    @cached_property
    def specs(self) -> dict[str, PlanSpec]:
        """The frozen plans. Raises `BundleError`."""
        try:
            return {hash_: PlanSpec.model_validate(spec) for hash_, spec in self.plans.items()}
        except ValidationError as error:
            raise BundleError(f"{self.title}: a frozen plan cannot be read: {error.errors()[0]['msg']}") from error

    @cached_property
    def looks(self) -> list[Look]:
        """Every look of the record, in order. Raises `BundleError`."""
        found: list[Look] = []
        for number, lines in enumerate(self.segments, start=1):
            try:
                found += looks_of(lines, self.specs)
            except UnreadableError as error:
                raise BundleError(f"{self.title}: segment {number} of {len(self.segments)}: {error}") from error
        return in_order(found)


def trimmed(release: Mapping[str, Any]) -> dict[str, Any]:
    """A Release as it stands in a bundle."""
    meta = release["metadata"]
    return {
        "apiVersion": release.get("apiVersion"),
        "kind": release.get("kind"),
        "metadata": {key: meta[key] for key in KEPT if key in meta},
        "spec": release.get("spec") or {},
        "status": release.get("status") or {},
    }


def write(bundle: Bundle, file: BinaryIO) -> None:
    """Write a bundle. The same content gives the same bytes."""
    digest, count = hashlib.sha256(), 0
    with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=9, mtime=0) as packed:
        for line in _lines(bundle):
            text = orjson.dumps(line) + b"\n"
            digest.update(text)
            count += 1
            packed.write(text)
        packed.write(orjson.dumps({"k": "end", "lines": count, "sha256": digest.hexdigest()}) + b"\n")


def _lines(bundle: Bundle) -> Iterator[Line]:
    yield {"k": "bundle", "format": FORMAT, "penstock": bundle.version, "release": bundle.title}
    yield {"k": "object", "is": bundle.release}
    for hash_, spec in sorted(bundle.plans.items()):
        yield {"k": "frozen", "hash": hash_, "is": spec}
    for entry in bundle.history:
        yield {"k": "history", "is": entry}
    segments = iter(bundle.segments)
    for about in bundle.parts:
        yield {"k": "evidence", "is": about}
        for _ in range(int(about["segments"])):
            yield from next(segments)


def read(file: BinaryIO, name: str) -> Bundle:
    """Read a bundle; `name` is for the sentences. Raises `BundleError`."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size > MOST_PACKED:
        raise BundleError(f"{name}: found {size / 1e6:,.0f} MB, expected at most {MOST_PACKED / 1e6:,.0f} MB.")
    if file.read(2) != b"\x1f\x8b":
        raise BundleError(f"{name}: this is no bundle: it does not begin as a gzip file does.")
    _refuse_bomb(file, name)
    return _assemble(_checked(file, name), name)


def _refuse_bomb(file: BinaryIO, name: str) -> None:
    """A small file may unpack to any size: it is measured piece by piece before a line of it is kept. Raises `BundleError`."""
    file.seek(0)
    size = 0
    with suppress(EOFError, zlib.error, gzip.BadGzipFile), gzip.GzipFile(fileobj=file, mode="rb") as packed:  # reading names the line
        while piece := packed.read(_PIECE):
            size += len(piece)
            if size > MOST_BYTES:
                raise BundleError(f"{name}: unpacked it has more than {MOST_BYTES / 1e6:,.0f} MB; that is no bundle.")
    file.seek(0)


def _checked(file: BinaryIO, name: str) -> Iterator[tuple[int, Line]]:
    """Every line with its number, the last one checked against all before it and left out."""
    digest, held, number = hashlib.sha256(), b"", 0
    for number, text in enumerate(_unpacked(file, name), start=1):
        if number == 1 and not text.startswith(b'{"k":"bundle"'):
            raise BundleError(f"{name}: this is no bundle: its first line does not say so.")
        if held:
            digest.update(held)
            yield number - 1, _parsed(held, name, number - 1)
        held = text
    end = _parsed(held, name, number) if held.endswith(b"\n") else {}
    if end.get("k") != "end":
        raise BundleError(f"{name}: cut off in line {max(1, number)}: the line that ends a bundle is missing.")
    if end.get("lines") != number - 1 or end.get("sha256") != digest.hexdigest():
        raise BundleError(f"{name}: changed or damaged: its {number - 1} lines do not have the digest that line {number} names.")


def _unpacked(file: BinaryIO, name: str) -> Iterator[bytes]:
    lines = 0
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as packed:
            while text := packed.readline(MOST_LINE + 1):
                lines += 1
                if len(text) > MOST_LINE:
                    raise BundleError(f"{name}: line {lines} has more than {MOST_LINE / 1e6:,.0f} MB; that is no bundle.")
                yield text
    except EOFError as error:
        raise BundleError(f"{name}: cut off after line {lines}: the packed file ends too early.") from error
    except (zlib.error, gzip.BadGzipFile) as error:
        raise BundleError(f"{name}: damaged after line {lines} ({error}).") from error


def _parsed(text: bytes, name: str, number: int) -> Line:
    try:
        line = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BundleError(f"{name}: line {number} is no JSON.") from error
    if not isinstance(line, dict) or not isinstance(line.get("k"), str):
        raise BundleError(f"{name}: line {number} is not one of a bundle's.")
    return line


def _assemble(numbered: Iterable[tuple[int, Line]], name: str) -> Bundle:
    found = _Found()
    for number, line in numbered:
        try:
            found.take(line)
        except UnreadableError as error:
            raise BundleError(f"{name}: line {number}: {error}.") from error
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise BundleError(f"{name}: line {number} is not one of a bundle's ({type(error).__name__}).") from error
    release = found.release
    if not isinstance(release.get("metadata"), dict) or "name" not in release["metadata"]:
        raise BundleError(f"{name}: it has no Release.")
    return Bundle(found.version, release, found.plans, tuple(found.history), tuple(found.parts), tuple(map(tuple, found.segments)))


@dataclass(slots=True)
class _Found:
    """What the lines so far have brought."""

    version: str = ""
    release: dict[str, Any] = field(default_factory=dict)
    plans: dict[str, Any] = field(default_factory=dict)
    history: list[Mapping[str, Any]] = field(default_factory=list)
    parts: list[Mapping[str, Any]] = field(default_factory=list)
    segments: list[list[Line]] = field(default_factory=list)

    def take(self, line: Line) -> None:
        """One line."""
        match line["k"]:
            case "bundle":
                check_format(line["format"])
                self.version = str(line["penstock"])
            case "object":
                self.release |= line["is"]
            case "frozen":
                self.plans[str(line["hash"])] = line["is"]
            case "history":
                self.history.append(line["is"])
            case "evidence":
                self.parts.append(line["is"])
            case "segment":
                self.segments.append([line])
            case _:
                self.segments[-1].append(line)
