"""Reading the pages: fenced blocks, the commands in them with what they print, headings and links."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<words>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A command of a page and the lines below it."""

    page: str
    line: str
    output: tuple[str, ...]

    @property
    def parts(self) -> list[list[str]]:
        """Its words, a list for each part of a pipe or chain."""
        found: list[list[str]] = [[]]
        for word in shlex.split(self.line, comments=True):
            if word in ("|", "&&", "&"):
                found.append([])
            else:
                found[-1].append(word)
        return [words for words in found if words]

    def __str__(self) -> str:
        return f"{self.page}: {self.line}"


def pages(pattern="docs/*.md"):
    return [ROOT / "README.md", *sorted(ROOT.glob(pattern))]


def blocks(page: Path, kind: str) -> list[str]:
    return [found["text"] for found in FENCE.finditer(page.read_text(encoding="utf-8")) if found["kind"] == kind]


def commands(page: Path) -> list[Command]:
    """Of `console` blocks, where a prompt stands before each, and of `sh` blocks, where each line is one."""
    name, found = str(page.relative_to(ROOT)), []
    for text in blocks(page, "console"):
        for entry in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            line, *output = entry.rstrip("\n").split("\n")
            found.append(Command(name, line, tuple(output)))
    for text in blocks(page, "sh"):
        joined = text.replace("\\\n", " ")
        found += [Command(name, line.strip(), ()) for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return found


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", found["words"].lower()).replace(" ", "-") for found in HEADING.finditer(text)}


def links(page: Path) -> list[str]:
    return [found["target"] for found in LINK.finditer(FENCE.sub("", page.read_text(encoding="utf-8")))]


def agrees(expected: tuple[str, ...], printed: list[str]) -> bool:
    """Whether the printed lines are the expected ones; a line of three dots stands for any number of lines."""
    if not expected:
        return not printed
    if expected[0] == "...":
        return any(agrees(expected[1:], printed[start:]) for start in range(len(printed) + 1))
    return bool(printed) and _sizeless(expected[0]) == _sizeless(printed[0].rstrip()) and agrees(expected[1:], printed[1:])


def _sizeless(line: str) -> str:
    """A line without the sizes of files: they differ by a kilobyte between versions of Python."""
    return re.sub(r"\d+ KB", "KB", line)
