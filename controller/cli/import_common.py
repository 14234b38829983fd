"""What the importers share: the notes of a translation, reading documents, durations, and parts of a plan.

A translation gives a plan as plain data, ready for YAML, and says about each thing that it found whether it was
translated, changed for the better, or has no counterpart. Nothing is dropped in silence.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from controller.api.base import API_VERSION, format_duration, shown
from controller.api.plan import PlanSpec
from controller.api.validate import MAX_BYTES
from controller.api.validate_yaml import LOADER, not_yaml
from controller.cli.exits import CommandError, ExitCode, file_fault

Data = Mapping[str, Any]

LEAST_WINDOW = 120.0
"""Six scrapes of 15 s and one to spare: a shorter window is never judged."""

MOST_STAGES = 32
DEFAULT_CHECKS = "the default checks judge: at every scrape errors and slow requests against blue, and a trigger on errors"
DEFAULT_TRIGGER = "the default trigger watches: green's error rate 5 points above blue's at two looks in a row"
NO_ENVELOPE = ("apiVersion", "kind", "metadata", "spec", "status")
"""What every object has; only the parts of `spec` are translated."""

_DEFAULTS = PlanSpec.model_validate({"workload": "w", "traffic": {"virtualService": "v"}})
_GO_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|us|µs|ns|s|m|h|d)")
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NO_NAME = re.compile(r"[^a-z0-9]+")


class Fate(StrEnum):
    """What became of a thing."""

    TRANSLATED = "translated"
    BETTER = "changed for the better"
    MISSING = "no counterpart"


@dataclass(frozen=True, slots=True)
class Note:
    """One thing of the file: what it is, and what became of it or what to do instead."""

    fate: Fate
    what: str
    became: str


@dataclass(slots=True)
class Notes:
    """The list of a translation, in the order of the file."""

    found: list[Note] = field(default_factory=list)

    def translated(self, what: str, became: str) -> None:
        """It is in the plan, with the same meaning."""
        self.found.append(Note(Fate.TRANSLATED, what, became))

    def better(self, what: str, became: str) -> None:
        """It is in the plan, and means something better there; the sentence says what differs."""
        self.found.append(Note(Fate.BETTER, what, became))

    def missing(self, what: str, instead: str) -> None:
        """It is not in the plan."""
        self.found.append(Note(Fate.MISSING, what, instead))

    def selector(self, service: str) -> None:
        """What no file of the other tools shows, and what the first release would be refused for."""
        instead = (
            "it must have a label that tells versions apart, such as version: v1, or a DestinationRule subsets; else a release is refused"
        )
        self.missing(f"the selector of the Service {service}", instead)

    def deadline(self, deadline: float) -> None:
        """A progressDeadlineSeconds, which Kubernetes counts from the newest pod that came up."""
        given = format_duration(deadline)
        self.translated(
            f"progressDeadlineSeconds {deadline:g}", f"preparation.deadline {given}, of all pods together: it does not begin anew with each"
        )

    def irate(self, what: str) -> None:
        """A query was asked by `irate`."""
        self.better(f"{what}: irate", "rate: of a whole window irate would see the last two samples only")

    def filled(self, what: str) -> None:
        """A share was filled up as a whole where there is no data."""
        self.better(f"{what}: or vector()", "0 stands for what is divided alone: without requests there is no number, and never a pass")

    def counted(self, what: str) -> None:
        """A query counts what happened within its range."""
        became = "it stays, for its limit belongs to it; for the whole window ask rate(), with a limit a second"
        self.translated(f"{what}: its range", became)

    def forget(self, since: int) -> None:
        """What was said behind the first so many notes, about a thing that could not be translated after all."""
        del self.found[since:]

    def rest(self, holder: Data, known: Iterable[str], where: str, sentences: Mapping[str, str]) -> None:
        """Name every field that the translation has not read; what is empty or switched off says nothing."""
        for name in holder:
            # A zero is a setting: `consecutiveErrorLimit: 0` says something else than nothing.
            if name not in set(known) and holder[name] is not False and holder[name] not in (None, [], {}, ""):
                self.missing(f"{where}{name}", sentences.get(name, "not known here"))


@dataclass(frozen=True, slots=True)
class Imported:
    """One plan as plain data, and what became of the file's things."""

    plan: dict[str, Any]
    notes: tuple[Note, ...]


def refused(sentence: str) -> CommandError:
    """A file that cannot be translated: an invalid file, exit code 3."""
    return CommandError(ExitCode.NO, sentence)


def read_text(path: Path) -> str:
    """The text of a file. Raises `CommandError`."""
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except OSError as error:
        raise file_fault(path, error) from error
    if content is None:
        raise refused(f"{path}: a file of more than {MAX_BYTES:,} bytes, expected fewer: name the files one by one.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refused(f"{path}: a byte that is no text at position {error.start}, expected UTF-8.") from error


def read_documents(path: Path) -> list[dict[str, Any]]:
    """All objects of a YAML or JSON file, `List`s opened. Raises `CommandError` naming the line."""
    import yaml

    text = read_text(path)
    try:
        found = list(yaml.load_all(text, Loader=LOADER))
    except yaml.MarkedYAMLError as error:
        fault = not_yaml(error, text)
        raise refused(f"{path}:{fault.line}: {fault.sentence}.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise refused(f"{path}: this is no YAML: {' '.join(str(error).split())[:200]}.") from error
    objects: list[dict[str, Any]] = []
    for one in found:
        objects += [item for item in listed(one.get("items")) if isinstance(item, dict)] if _is_list(one) else []
        objects += [one] if isinstance(one, dict) and not _is_list(one) else []
        if one is not None and not isinstance(one, dict):
            raise refused(f"{path}: found {shown(one)}, expected objects with apiVersion and kind.")
    return objects


def _is_list(found: Any) -> bool:
    return isinstance(found, dict) and str(found.get("kind", "")).endswith("List") and "items" in found


def part(holder: Any, *names: str) -> dict[str, Any]:
    """A mapping below; empty where there is none."""
    for name in names:
        holder = holder.get(name) if isinstance(holder, Mapping) else None
    return dict(holder) if isinstance(holder, Mapping) else {}


def listed(found: Any) -> list[Any]:
    """A list; empty where it is none."""
    return list(found) if isinstance(found, list) else []


def mappings(holder: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The mappings of a list below; empty where there is none. Raises `CommandError` where it is something else: nothing is dropped."""
    found = holder.get(name) or []
    for one in found if isinstance(found, list) else [found]:
        if not isinstance(found, list) or not isinstance(one, dict):
            raise refused(f"{name}: found {shown(one)}, expected a list of mappings.")
    return list(found)


def title(found: Data) -> str:
    """`Kind namespace/name` of an object."""
    meta = part(found, "metadata")
    name = "/".join(str(meta[key]) for key in ("namespace", "name") if meta.get(key))
    return f"{found.get('kind') or 'an object without kind'} {name}".strip()


def kind_of(found: Data, group: str) -> str:
    """Its kind where it is of that API group, "" elsewhere."""
    return str(found.get("kind")) if str(found.get("apiVersion", "")).startswith(f"{group}/") else ""


def all_of(objects: Sequence[Data], kind: str, group: str) -> list[Data]:
    """The objects of a kind. Raises `CommandError`, naming what is there instead, where there is none."""
    chosen = [one for one in objects if kind_of(one, group) == kind]
    if not chosen:
        seen = ", ".join(sorted({title(one) for one in objects})[:5]) or "nothing"
        raise refused(f"There is no {kind} of {group} in it; found {seen}.")
    return chosen


def number(found: Any, what: str) -> float:
    """A number, given as one or as text. Raises `CommandError`."""
    try:
        value = math.nan if isinstance(found, bool) else float(found)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise refused(f"{what}: found {found!r}, expected a number.")
    return value


def seconds(found: Any, what: str) -> float:
    """A duration as Go writes it (`1m30s`), or a number of seconds. Raises `CommandError`."""
    text = str(found).strip()
    if isinstance(found, int | float) and not isinstance(found, bool):
        return number(found, what)
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text)
    if not re.fullmatch(f"({_GO_PART.pattern})+", text):
        raise refused(f"{what}: found {found!r}, expected a duration such as 30s, 5m or 1h30m.")
    return sum(float(amount) * _GO_UNITS[unit] for amount, unit in _GO_PART.findall(text))


def name_of(text: str) -> str:
    """A name that Kubernetes accepts, made of any text."""
    return _NO_NAME.sub("-", text.lower()).strip("-")[:63].strip("-") or "check"


def unique(name: str, taken: Iterable[str]) -> str:
    """The name, with a number where it is taken."""
    used, found, count = set(taken), name_of(name), 1
    while found in used:
        count += 1
        found = f"{name_of(name)[:58]}-{count}"
    return found


def plain(value: float) -> float | int:
    """A number as people write it: 99 and not 99.0."""
    return int(value) if value == int(value) else value


def plan_of(name: str, namespace: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """A ReleasePlan as plain data; empty parts are left out, so that the defaults hold."""
    metadata = {"name": name_of(name)} | ({"namespace": namespace} if namespace else {})
    kept = {key: value for key, value in spec.items() if value not in (None, [], {})}
    return {"apiVersion": API_VERSION, "kind": "ReleasePlan", "metadata": metadata, "spec": kept}


def member_part(workload: str, service: str) -> dict[str, Any]:
    """The workload that moves: the short form where its Service has its name."""
    if not service or service == workload:
        return {"workload": workload}
    return {"members": [{"name": workload, "workload": workload, "service": service}]}


@dataclass(slots=True)
class Step:
    """A stage on the way: weight, seconds that it lasts there, and whether a person lets it go on."""

    weight: int
    window: float = 0.0
    hold: bool = False


def stages_part(steps: Sequence[Step], notes: Notes) -> list[dict[str, Any]]:
    """The stages: strictly rising, at least two minutes each, ended by 100 %."""
    kept: list[Step] = []
    for step in steps:
        if not 1 <= step.weight <= 100 or (kept and step.weight <= kept[-1].weight):  # noqa: PLR2004 - percent
            waits = ", with the person who was waited for there" if step.hold else ""
            notes.missing(f"weight {step.weight}", f"weights rise from stage to stage, between 1 and 100; it was left out{waits}")
        else:
            kept.append(step)
    if len(kept) >= MOST_STAGES:
        every = -(-len(kept) // (MOST_STAGES - 1))
        notes.better(f"{len(kept)} weights", f"each {every}. is a stage: a plan has at most {MOST_STAGES}")
        kept = _thinned(kept, every)
    if not kept or kept[-1].weight != 100:  # noqa: PLR2004 - percent
        notes.better("the step to 100 %", "green has all traffic and is judged there, while blue is kept ready")
        kept.append(Step(100, _DEFAULTS.stages[-1].window))
    short = [step for step in kept if step.window < LEAST_WINDOW]
    if short:
        which = ", ".join(f"{step.weight} %" for step in short)
        least = format_duration(LEAST_WINDOW)
        notes.better(f"the time at {which}", f"{least} instead of less: a window needs six scrapes and 100 requests")
    return [
        {"weight": step.weight, "window": format_duration(max(step.window, LEAST_WINDOW))} | ({"hold": True} if step.hold else {})
        for step in kept
    ]


def _thinned(steps: Sequence[Step], every: int) -> list[Step]:
    """Each so many-th step and the last one; who was waited for at one that is left out is waited for at the next."""
    kept, hold = [], False
    for index, step in enumerate(steps):
        hold = hold or step.hold
        if index % every == every - 1 or index == len(steps) - 1:
            kept.append(Step(step.weight, step.window, hold=hold))
            hold = False
    return kept


def said(limit: Mapping[str, float]) -> str:
    """A limit as the list has it, with all digits."""
    return ", ".join(f"{key} {value}" for key, value in limit.items())


def repeat_part(failures: int, of: int) -> dict[str, Any]:
    """So many failures among the last `of` measurements; nothing where one is enough."""
    if failures <= 1:
        return {}
    most = min(failures, 100)
    return {"repeat": {"failures": most, "of": min(max(of, most), 100)}}
