"""Raw samples from files: OpenMetrics or Prometheus text with timestamps, JSON of a query, `promtool tsdb dump`.

Files are read line by line, and only what the selectors and the time ask for is kept, so that a dump of a whole server
can be named. What a file is, is seen in its first characters.
"""

import codecs
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import orjson

from analysis.model import Labels, Sample, Series
from controller.adapters.prometheus_decode import decode
from controller.cli.exits import CommandError, ExitCode, file_fault
from controller.cli.host import say
from controller.cli.judge_selectors import Selector

MOST_SAMPLES = 5_000_000
"""Samples that are kept; judging them takes some 1.5 GB of memory and three minutes."""

_SAY_EVERY = 2_000_000
"""Lines between two words of progress; some ten seconds."""

MOST_JSON_BYTES = 200_000_000
_WORDS = 3
"""Of a line of text: a series, a value and a timestamp."""

_MILLISECONDS_FROM = 1e11
"""A timestamp from here on is in milliseconds (Prometheus's text and promtool), below it in seconds (OpenMetrics)."""

_GZIP = b"\x1f\x8b"
_LINE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*(\{.*\})?\s+(\S+)\s+(\S+?)\s*$")
_LABEL = re.compile(r'\s*(?:([a-zA-Z_][a-zA-Z0-9_]*)|"((?:[^"\\]|\\.)*)")\s*=\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_BARE = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}


def read_files(
    paths: Sequence[Path], selectors: Sequence[Selector], since: float, until: float, *, most: int = MOST_SAMPLES
) -> tuple[list[tuple[Series, ...]], bool]:
    """The samples of all files that each selector asks for, oldest first, and whether a warning was kept with any of them.

    Raises `CommandError` with file and line.
    """
    warnings: list[str] = []
    kept: list[dict[Labels, list[Sample]]] = [{} for _ in selectors]
    asked: dict[Labels, tuple[list[Sample], ...]] = {}
    count = 0
    for path in paths:
        for labels, sample in _samples(path, selectors, warnings):
            if not since <= sample.time <= until:
                continue
            into = asked.get(labels)
            if into is None:
                matching = [held for selector, held in zip(selectors, kept, strict=True) if selector.matches(labels)]
                into = asked[labels] = tuple(held.setdefault(labels, []) for held in matching)
            for samples in into:
                samples.append(sample)
            count += len(into)
            if count > most:
                raise CommandError(ExitCode.USAGE, f"{path}: more than {most:,} samples are asked for; narrow the selectors or the time.")
    found = [tuple(Series(labels, tuple(sorted(held[labels], key=lambda one: one.time))) for labels in sorted(held)) for held in kept]
    return found, bool(warnings)


def _samples(path: Path, selectors: Sequence[Selector], warnings: list[str]) -> Iterator[tuple[Labels, Sample]]:
    """Of one file; every one of JSON, and of text at least those of the selectors' metrics. Raises `CommandError`."""
    try:
        with path.open("rb") as file:
            beginning = file.read(4096).removeprefix(codecs.BOM_UTF8).lstrip()
            if beginning[:2] == _GZIP:
                raise CommandError(ExitCode.USAGE, f"{path}: found a file that gzip has packed, expected text or JSON: unpack it first.")
            if beginning[:1] == b"[" or (beginning[:1] == b"{" and not _is_dump(beginning)):
                yield from _json(path, warnings)
                return
        with path.open(encoding="utf-8-sig", newline="\n") as text:
            yield from _text(path, text, {one.metric for asked in selectors for one in (asked, asked.native) if one is not None})
    except OSError as error:
        raise file_fault(path, error) from error
    except UnicodeDecodeError as error:
        raise CommandError(ExitCode.USAGE, f"{path}: a byte that is no text at position {error.start}, expected UTF-8.") from error


def _is_dump(beginning: bytes) -> bool:
    """`{__name__="up", ...} 1 1700000000000` begins as JSON does, too."""
    return re.match(rb'\{\s*(__name__|"?[a-zA-Z_][a-zA-Z0-9_]*"?)\s*=', beginning) is not None


def _no_error(path: Path, found: object) -> None:
    """Raises `CommandError` where the server answered an error, which somebody kept."""
    if isinstance(found, dict) and found.get("status") == "error":
        said = f"{found.get('errorType', 'without a kind')}: {found.get('error', 'without a message')}"
        raise CommandError(ExitCode.USAGE, f"{path}: found an error that Prometheus answered ({said}), expected samples: ask it again.")


def _json(path: Path, warnings: list[str]) -> Iterator[tuple[Labels, Sample]]:
    """An answer of the query API, its `data`, or its list of results; what the server warned of is added to the warnings."""
    size = path.stat().st_size
    if size > MOST_JSON_BYTES:
        raise CommandError(ExitCode.USAGE, f"{path}: JSON of {size:,} bytes, expected at most {MOST_JSON_BYTES:,}; a dump has no limit.")
    body = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise CommandError(ExitCode.USAGE, f"{path}: the JSON is cut or wrong: {error}.") from error
    if isinstance(found, list):
        found = {"resultType": "matrix", "result": found}
    if isinstance(found, dict) and "result" in found:
        found = {"status": "success", "data": found}
    _no_error(path, found)
    answer = decode(200, {}, orjson.dumps(found))
    if answer.fault is not None or answer.result_type not in ("matrix", "vector"):
        said = answer.message or f"a result of type {answer.result_type}"
        raise CommandError(ExitCode.USAGE, f"{path}: {said}; expected the answer of a range query.")
    if not any(series.samples for series in answer.series):
        raise _empty(path)
    for warning in answer.warnings:
        say(f"{path}: Prometheus warned: {warning}")
        warnings.append(warning)
    for series in answer.series:
        for sample in series.samples:
            yield series.labels, sample


def _text(path: Path, lines: Iterator[str], metrics: set[str]) -> Iterator[tuple[Labels, Sample]]:
    known: dict[str, Labels] = {}
    quick = tuple(metrics) if "" not in metrics else ()
    held, line, number, natives = False, "", 0, 0
    for number, line in enumerate(lines, start=1):
        if not number % _SAY_EVERY:
            say(f"{path}: {number:,} lines are read.")
        if line.startswith("#") or not line.strip():
            continue
        # Most lines are one more sample of a series that was read before: what stands before the last two words says which.
        if (sample := _again(known, line)) is not None:
            yield sample
            continue
        # The first line shows what the file is: one of another kind must not look like a file without these series.
        first, held = not held, True
        if quick and not first and not any(name in line for name in quick):
            continue
        if (sample := _parsed(known, line, f"{path}:{number}")) is not None:
            yield sample
        else:
            natives += 1
    if natives:
        say(f"{path}: {natives:,} samples of native histograms are left out: of text only numbers are read, of JSON and a Prometheus both.")
    if not held:
        raise _empty(path)
    _refuse_cut(line, f"{path}:{number}")


def _again(known: Mapping[str, Labels], line: str) -> tuple[Labels, Sample] | None:
    """A line whose series is known; None for any other one."""
    words = line.rsplit(None, 2)
    labels = known.get(words[0])
    if labels is None or len(words) != _WORDS or (sample := _sample(words[1], words[2])) is None:
        return None
    return labels, sample


def _parsed(known: dict[str, Labels], line: str, where: str) -> tuple[Labels, Sample] | None:
    """Any line; None for a native histogram. Its series is known from then on. Raises `CommandError`."""
    # An exemplar stands behind the sample; a native histogram in place of its value.
    found = _LINE.match(line.partition(" # ")[0])
    if found is None:
        if "} {" in line:
            return None
        raise CommandError(ExitCode.USAGE, f"{where}: found {_short(line)}, expected a series, a value and a timestamp.")
    sample = _sample(found[3], found[4])
    if sample is None:
        raise CommandError(ExitCode.USAGE, f"{where}: found {_short(line)}, expected numbers for value and timestamp.")
    series = line[: found.start(3)].rstrip()
    if series not in known:
        known[series] = _labels(found[1] or "", found[2] or "", where)
    return known[series], sample


def _refuse_cut(last: str, where: str) -> None:
    """A last line without its end: what was cut off behind it may be the very series that count failures."""
    if not last.endswith("\n") and last.strip() != "# EOF":
        expected = "expected a line feed behind it: the file may be cut, so fetch it again, or end the line if nothing is missing"
        raise CommandError(ExitCode.USAGE, f"{where}: found a last line {_short(last)}, {expected}.")


def _empty(path: Path) -> CommandError:
    """A file in which there is nothing to judge, whatever is asked for."""
    expected = "OpenMetrics text, JSON of a range query, or a `promtool tsdb dump`"
    return CommandError(ExitCode.USAGE, f"{path}: found no sample, expected {expected}.")


def _labels(name: str, braces: str, where: str) -> Labels:
    inner, labels = braces.strip()[1:-1].strip() if braces else "", {"__name__": name} if name else {}
    position = 0
    while position < len(inner):
        found = _LABEL.match(inner, position)
        bare = None if found else _BARE.match(inner, position)
        if found is None and bare is None:
            raise CommandError(ExitCode.USAGE, f'{where}: found {_short(inner[position:])}, expected label="value".')
        if found is not None:
            labels[found[1] or _plain(found[2])] = _plain(found[3])
            position = found.end()
        elif bare is not None:
            # A metric's name between quotes, as OpenMetrics writes names with other characters.
            labels["__name__"] = _plain(bare[1])
            position = bare.end()
    return tuple(sorted((key, value) for key, value in labels.items() if value))


def _plain(text: str) -> str:
    return re.sub(r'\\[n"\\]', lambda found: _ESCAPES[found[0]], text)


def _sample(value: str, time: str) -> Sample | None:
    """Of two numbers; None where they are none."""
    try:
        at, held = float(time), float(value)
    except ValueError:
        return None
    return Sample(at / 1000 if abs(at) >= _MILLISECONDS_FROM else at, held) if math.isfinite(at) else None


def _short(text: str) -> str:
    return repr(" ".join(text.split())[:60])
