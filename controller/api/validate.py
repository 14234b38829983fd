"""Every error of a file at once: path with line number, what was found, what was expected, what to do.

`penstock validate` prints the findings; the controller refuses a plan with the same sentences
(`plan_findings`). Nothing here reads a cluster.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import yaml
from pydantic import BaseModel, ValidationError

from controller.api.base import API_VERSION, GROUP, NAME_LENGTH, shown
from controller.api.plan import PlanSpec
from controller.api.release import ReleaseSpec, RequestSpec
from controller.api.validate_kayenta import kayenta_notes
from controller.api.validate_plan import rules
from controller.api.validate_queries import notes, provider_notes
from controller.api.validate_words import translate
from controller.api.validate_yaml import Document, Finding, documents
from controller.api.validate_yaml import Path as Path_

__all__ = ["MAX_BYTES", "Finding", "Scenarios", "has_ours", "plan_findings", "validate_file", "validate_text"]

MAX_BYTES = 1_000_000
"""A larger object would not fit into the API server's store (1.5 MB with its bookkeeping)."""

SPECS: dict[str, type[BaseModel]] = {"ReleasePlan": PlanSpec, "Release": ReleaseSpec, "ReleaseRequest": RequestSpec}
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?\Z")
_LABEL = re.compile(rf"(?=.{{1,{NAME_LENGTH}}}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_TOP = ("apiVersion", "kind", "metadata", "spec", "status")


@dataclass(frozen=True, slots=True)
class Scenarios:
    """What the simulator knows of its own files; it is handed in, because nothing here imports the simulator.

    Attributes:
        model: of one scenario.
        with_base: puts a document on top of its base. May raise OSError, yaml's errors, or ValueError.
        notes: what does not fit between a scenario (with its base, and its own part alone) and the files of its folder, as
            (path, found, expected, hint).
    """

    model: type[BaseModel]
    with_base: Callable[[Any, Path], Any]
    notes: Callable[[Any, Any, Path], Iterable[tuple[Path_, str, str, str]]]


def validate_file(path: Path, *, scenarios: Scenarios | None = None, providers: frozenset[str] | None = None) -> list[Finding]:
    """All findings of a file, in the order of its lines. Raises OSError where it cannot be read.

    Args:
        path: of the file.
        scenarios: what a scenario is; None where nobody asks.
        providers: names of the Prometheus providers; None where they are not known.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        return [_too_large(f"a file of {size:,} bytes")]
    with path.open("rb") as file:
        return validate_stream(file, folder=path.parent, scenarios=scenarios, providers=providers)


def validate_stream(
    file: BinaryIO, *, folder: Path | None = None, scenarios: Scenarios | None = None, providers: frozenset[str] | None = None
) -> list[Finding]:
    """As `validate_file`, of what can be read once; what a scenario names lies in `folder`."""
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        return [_too_large(f"more than {MAX_BYTES:,} bytes")]
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return [Finding("error", "", 1, f"a byte that is no text at position {error.start}", "UTF-8", "save the file as UTF-8")]
    return validate_text(text, folder=folder, scenarios=scenarios, providers=providers)


def _too_large(found: str) -> Finding:
    return Finding("error", "", 1, found, f"at most {MAX_BYTES:,}", "split the plan, or move its comments elsewhere")


def validate_text(
    text: str, *, folder: Path | None = None, scenarios: Scenarios | None = None, providers: frozenset[str] | None = None
) -> list[Finding]:
    """As `validate_file`, of a text."""
    found, problems = documents(text)
    known = 0
    for document in found:
        data = document.data
        if scenarios is not None and isinstance(data, dict) and "kind" not in data and "apiVersion" not in data:
            known += 1
            is_one = looks_like_scenario(data, scenarios)
            problems += _scenario(document, scenarios, folder or Path()) if is_one else [_neither(document)]
        elif not isinstance(data, dict) or "kind" not in data or is_ours(data):
            known += 1
            problems += _object(document, providers)
    problems += _named_twice(found)
    if not known and not problems:
        expected, hint = f"a document of kind {', '.join(SPECS)}, or a scenario", "name another file"
        problems.append(Finding("error", "", 1, "nothing of Penstock's", expected, hint))
    return sorted(set(problems), key=lambda one: (one.line, one.severity, one.path, one.found))


def _named_twice(found: Iterable[Document]) -> list[Finding]:
    """Objects of ours that a file has twice: whoever applies it keeps the last one and hears nothing."""
    problems, known = [], set[tuple[str, ...]]()
    for document in found:
        meta = document.data.get("metadata") if isinstance(document.data, dict) and is_ours(document.data) else None
        if not isinstance(meta, dict) or not meta.get("name"):
            continue
        key = (str(document.data.get("kind")), str(meta.get("namespace", "")), str(meta["name"]))
        if key in known:
            what, hint = f"{key[0]} {shown(key[2])} a second time", "remove or rename one: applied, the first would be lost silently"
            problems.append(_error(document, ("metadata", "name"), what, "each object once", hint))
        known.add(key)
    return problems


def has_ours(path: Path, scenarios: Scenarios) -> bool:
    """Whether a file has an object or a scenario of ours in it, as far as it can be read; what cannot be read may have one."""
    try:
        found, problems = documents(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return True
    return bool(problems) or any(
        is_ours(one.data) if "apiVersion" in one.data or "kind" in one.data else looks_like_scenario(one.data, scenarios)
        for one in found
        if isinstance(one.data, dict)
    )


def is_ours(data: Mapping[str, Any]) -> bool:
    """Whether an object is of our group, or names no group at all."""
    version = str(data.get("apiVersion", GROUP))
    return version == GROUP or version.startswith(f"{GROUP}/")


def looks_like_scenario(data: Mapping[str, Any], scenarios: Scenarios) -> bool:
    """Whether a mapping is meant as a scenario: it says what must come out, builds on a base, or has two of a scenario's words."""
    words = [field.alias or name for name, field in scenarios.model.model_fields.items()]
    return "expect" in data or "base" in data or sum(word in data for word in words) > 1


def plan_findings(obj: dict[str, Any], *, providers: frozenset[str] | None = None) -> list[Finding]:
    """The findings of a ReleasePlan as the API server has it, without lines."""
    found, _ = documents(orjson.dumps({k: obj[k] for k in _TOP if k in obj}, default=str).decode())
    return [Finding(f.severity, f.path, 0, f.found, f.expected, f.hint, 0) for f in _object(found[0], providers)]


def _object(document: Document, providers: frozenset[str] | None) -> list[Finding]:
    """One of our objects, its envelope first."""
    data = document.data
    if not isinstance(data, dict):
        return [_error(document, (), shown(data), "fields with values", "begin with apiVersion, kind, metadata and spec")]
    problems = _envelope(document, data)
    model = SPECS.get(str(data.get("kind")))
    if model is None or data.get("apiVersion") not in (API_VERSION, None):
        return problems
    spec = data.get("spec")
    if not isinstance(spec, dict):
        return [*problems, _error(document, ("spec",), shown(spec), "fields with values", "what is asked for stands under spec")]
    problems += _modelled(document, model, spec, ("spec",))
    if model is PlanSpec:
        namespace = str((data.get("metadata") or {}).get("namespace") or "default") if isinstance(data.get("metadata"), dict) else "default"
        every = [*rules(spec), *kayenta_notes(spec), *notes(spec, namespace), *provider_notes(spec, providers)]
        for severity, path, what, expected, hint in every:
            place = ("spec", *path)
            problems.append(Finding(severity, document.place(place), document.line(place), what, expected, hint, document.number))
    if model is ReleaseSpec:
        problems += _images(document, spec.get("images"))
    return problems


def _neither(document: Document) -> Finding:
    """A mapping that is no object and no scenario; one sentence instead of one for each field."""
    found = f"the fields {', '.join(map(str, list(document.data)[:5]))}" if document.data else "an empty mapping"
    expected = f"an object (apiVersion: {API_VERSION}, and kind) or a scenario (name, expect)"
    return _error(document, (), found, expected, "begin as one of the two, or name another file")


def _envelope(document: Document, data: dict[str, Any]) -> list[Finding]:
    """apiVersion, kind and metadata."""
    hint = "move it under spec, or remove it"
    unknown = [key for key in data if key not in _TOP]
    problems = [_error(document, (str(key),), f"the unknown field {shown(key)}", f"one of {', '.join(_TOP)}", hint) for key in unknown]
    version, kind = data.get("apiVersion"), data.get("kind")
    if version != API_VERSION:
        newer = isinstance(version, str) and version.startswith(f"{GROUP}/")
        hint = "this Penstock does not know that version: use a newer one" if newer else f"begin with apiVersion: {API_VERSION}"
        problems.append(_error(document, ("apiVersion",), shown(version), API_VERSION, hint))
    if not isinstance(kind, str) or kind not in SPECS:
        problems.append(_error(document, ("kind",), shown(kind), f"one of {', '.join(SPECS)}", "correct the kind"))
    metadata = data.get("metadata")
    if not isinstance(metadata, dict):
        problems.append(_error(document, ("metadata",), shown(metadata), "fields with values", "give it a name: metadata: {name: my-plan}"))
    elif not metadata.get("name") and not metadata.get("generateName"):
        problems.append(_error(document, ("metadata", "name"), "nothing", "a name", "plans are started by name"))
    else:
        problems += _names(document, kind, metadata)
    return problems


def _names(document: Document, kind: Any, metadata: Mapping[str, Any]) -> Iterator[Finding]:
    """Name and namespace; a plan's name stands in each of its releases, and in their labels."""
    for field in ("name", "namespace"):
        value = metadata.get(field)
        if value is not None and not (isinstance(value, str) and _NAME.match(value)):
            expected = "a name of lower-case letters, digits and hyphens"
            yield _error(document, ("metadata", field), shown(value), expected, "the API server takes no other")
        elif field == "name" and value and kind == "ReleasePlan" and not _LABEL.match(value):
            expected = f"at most {NAME_LENGTH} lower-case letters, digits and hyphens"
            yield _error(document, ("metadata", field), shown(value), expected, "no release could name this plan")


def _modelled(document: Document, model: type[BaseModel], data: Any, top: tuple[str, ...]) -> list[Finding]:
    """What the model says, strictly: as the API server, which converts nothing and knows no other names than those on the wire."""
    try:
        model.model_validate_json(as_sent(data), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        return [translate(one, model, document, top) for one in error.errors(include_url=False)]
    except TypeError:
        return [_error(document, top, "values that JSON cannot carry", "texts, numbers, lists and fields", "quote dates and huge numbers")]
    return []


def _images(document: Document, images: Any) -> list[Finding]:
    problems = []
    for member, image in images.items() if isinstance(images, dict) else ():
        if isinstance(image, str) and "@" not in image and ":" not in image.rpartition("/")[2]:
            path = ("spec", "images", str(member))
            hint = "without one the node decides which version runs, and it may differ from pod to pod"
            line, expected = document.line(path), "an image with a tag or digest"
            problems.append(Finding("warning", document.place(path), line, shown(image), expected, hint, document.number))
    return problems


def _scenario(document: Document, scenarios: Scenarios, folder: Path) -> list[Finding]:
    """A scenario, on top of its base; a base alone is no scenario and is checked with those that use it."""
    try:
        data = scenarios.with_base(document.data, folder)
    except OSError as error:
        found = f"{shown(document.data['base'])} ({error.strerror})"
        return [_error(document, ("base",), found, "a file that exists", "it is relative to this file")]
    except (yaml.YAMLError, ValueError):
        found = f"{shown(document.data['base'])}, which is no YAML with fields"
        return [_error(document, ("base",), found, "a file of a scenario's words")]
    problems = _modelled(document, scenarios.model, data, ())
    for word, default in (("plan", "plan.yaml"), ("world", "world.yaml")):
        name = data.get(word, default)
        if isinstance(name, str) and not there(folder / name):
            problems.append(_error(document, (word,), shown(name), "a file that exists", "it is relative to this file"))
    if not problems:  # names are held against each other only where every field is what it should be
        problems += [_error(document, *note) for note in scenarios.notes(data, document.data, folder)]
    return problems


def as_sent(data: Any) -> bytes:
    """YAML's values as they are sent to an API server: a date without quotes is a text. Raises TypeError for what JSON cannot carry."""
    return orjson.dumps(data, default=str, option=orjson.OPT_NON_STR_KEYS)


def there(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _error(document: Document, path: tuple[str | int, ...], found: str, expected: str, hint: str = "") -> Finding:
    return Finding("error", document.place(path), document.line(path), found, expected, hint, document.number)
