"""YAML with its places: documents as plain data, the line of every field, and what YAML itself lets through silently.

A key that stands twice is legal for most parsers, and the second one wins without a word.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from controller.api.base import shown

Path = tuple[str | int, ...]
"""Keys and indices from the top of a document."""

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MOST_VALUES = 1_000_000
"""Of a document with its aliases written out: a few lines of aliases of aliases stand for more than any machine can read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or unwise.

    Attributes:
        severity: "error" or "warning".
        path: the field, such as `spec.stages[1].weight`.
        line: in the file, from 1; 0 where there is no file.
        found, expected: what stands there, and what should.
        hint: what to do.
        document: number of the YAML document in the file, from 1.
    """

    severity: str
    path: str
    line: int
    found: str
    expected: str
    hint: str = ""
    document: int = 1

    @property
    def sentence(self) -> str:
        """Without its place."""
        return f"found {self.found}, expected {self.expected}{f'; {self.hint}' if self.hint else ''}"

    def __str__(self) -> str:
        """The path, then the sentence."""
        return f"{self.path or 'the file'}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a file: its data, its nodes, the number of its YAML document from 1, and where in that it stands."""

    number: int
    data: Any
    node: yaml.Node
    top: Path = ()

    def place(self, path: Path) -> str:
        """A field's path in the YAML document: `spec.stages[1].weight`, or `items[2].spec.stages[1].weight` in a list."""
        return dotted((*self.top, *path))

    def line(self, path: Path) -> int:
        """The line of a field, or of the nearest thing above it that exists."""
        node, line = self.node, self.node.start_mark.line + 1
        for part in path:
            found = _below(node, part)
            if found is None:
                break
            node, line = found
        return line


def dotted(path: Path) -> str:
    """`spec.stages[1].weight`."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f"{'.' if out else ''}{part}"
    return out


def documents(text: str) -> tuple[list[Document], list[Finding]]:
    """All objects of a file, those in lists by themselves, and what is wrong with it as YAML."""
    found: list[Document] = []
    problems: list[Finding] = []
    try:
        for number, node in enumerate((n for n in yaml.compose_all(text, Loader=LOADER) if n is not None), start=1):
            if _unfolded(node, {}) > MOST_VALUES:
                problems.append(_too_many(node, number))
                continue
            problems += [_twice(path, key, number) for path, key in _duplicates(node)]
            data = yaml.SafeLoader("").construct_document(node)
            document = Document(number, data, node)
            problems += [_infinite(document, path, value) for path, value in _odd_numbers(data)]
            found += opened(document)
    except yaml.MarkedYAMLError as error:
        problems.append(not_yaml(error, text))
    except RecursionError:
        problems.append(Finding("error", "", 1, "brackets in brackets, deeper than can be read", "YAML"))
    except (yaml.YAMLError, ValueError) as error:
        hint = "save the file as UTF-8" if "\0" in text else ""
        problems.append(Finding("error", "", 1, f"text that is not YAML ({str(error).splitlines()[0]})", "YAML", hint))
    return found, problems


def is_list(data: Any) -> bool:
    """Whether it is a list of objects, as `kubectl get -o yaml` writes one of several."""
    return isinstance(data, dict) and str(data.get("kind", "")).endswith("List") and isinstance(data.get("items"), list)


def opened(document: Document) -> list[Document]:
    """The objects of a list, each with its own place in the file; else the document itself."""
    if not is_list(document.data):
        return [document]
    items, found = _below(document.node, "items"), []
    for index, data in enumerate(document.data["items"]):
        below = _below(items[0], index) if items else None
        found.append(Document(document.number, data, below[0] if below else document.node, (*document.top, "items", index)))
    return found


_OF_A_CHART = re.compile(r"\{\{-?\s*(\.[A-Z]|include\b|template\b|if\b|range\b|with\b|toYaml\b|\$)")
"""What Helm fills; the variables of Flagger's and Argo's own queries do not look so."""


def not_yaml(error: yaml.MarkedYAMLError, text: str) -> Finding:
    """What the parser stumbled over, where it has a name that people know: a chart's template, a tab."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    there = [*text.splitlines(), ""][min(line - 1, text.count("\n"))]
    if "{{" in there or _OF_A_CHART.search(text):
        hint = "render it first, as helm template does"
        return Finding("error", "", line, "a template, `{{`, that was not rendered", "YAML", hint)
    if "\t" in there[: len(there) - len(there.lstrip())]:
        return Finding("error", "", line, "a tab in front of the first word", "spaces", "YAML is indented with spaces only")
    hint = "quote a text that contains `: ` or `#`, indent with spaces, close every bracket"
    return Finding("error", "", line, f"text that is not YAML at column {column}: {error.problem or error}", "YAML", hint)


def _unfolded(node: yaml.Node, known: dict[int, float]) -> float:
    """How many values stand below a node with its aliases written out; infinite where one contains itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        below = node.value if isinstance(node, yaml.SequenceNode) else ()
        if isinstance(node, yaml.MappingNode):
            below = [child for _, child in node.value]
        known[id(node)] = 1 + sum(_unfolded(child, known) for child in below)
    return known[id(node)]


def _too_many(node: yaml.Node, number: int) -> Finding:
    found = f"aliases that stand for more than {MOST_VALUES:,} values, or for themselves"
    return Finding("error", "", node.start_mark.line + 1, found, "a document that can be written out", "write it without aliases", number)


def _twice(path: Path, key: yaml.Node, number: int) -> Finding:
    return Finding(
        "error",
        dotted(path),
        key.start_mark.line + 1,
        f"the key {shown(key.value)} a second time",
        "each key once",
        "remove one of the two: the first would be lost silently",
        number,
    )


def _infinite(document: Document, path: Path, value: float) -> Finding:
    return Finding("error", document.place(path), document.line(path), shown(value), "a finite number", "", document.number)


def _below(node: yaml.Node, part: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line + 1
    return None


def _duplicates(root: yaml.Node) -> Iterator[tuple[Path, yaml.Node]]:
    """Keys that stand twice in their mapping, anchors looked at once."""
    waiting: list[tuple[Path, yaml.Node]] = [((), root)]
    seen: set[int] = set()
    while waiting:
        path, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [((*path, i), child) for i, child in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            names: set[Any] = set()
            for key, child in node.value:
                name = key.value if isinstance(key, yaml.ScalarNode) else str(key.value)
                if name in names and name != "<<":
                    yield (*path, name), key
                names.add(name)
                waiting.append(((*path, name), child))


def _odd_numbers(data: Any, path: Path = ()) -> Iterator[tuple[Path, float]]:
    """NaN and infinities, which no JSON can carry."""
    if isinstance(data, float) and not math.isfinite(data):
        yield path, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _odd_numbers(value, (*path, str(key)))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _odd_numbers(value, (*path, index))
