"""What a run left behind, so that two runs can be compared: the end state, and who made it with how many writes.

Whatever happened to a write, the end must be the same, made by the same number of creates, effective updates and
deletes: a crash may cost time, never a second effect (S11, S15).
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from controller.adapters import marks
from controller.adapters.evidence import is_part
from controller.evidence.worlds import first_difference
from controller.ports import Obj
from controller.simulator.apiserver.storage import Commit
from controller.simulator.scenario import Scenario
from controller.simulator.simulation import Simulation

OURS = "penstock"
"""Field manager of the controller."""


@dataclass(slots=True)
class Footprint:
    """What a run left behind, without epochs, times and uids.

    Attributes:
        objects: end state by `Kind namespace/name`.
        creates, updates, deletes: how often the controller did so, by object; updates that only stamp are in `stamps`.
    """

    objects: dict[str, Any] = field(default_factory=dict)
    creates: Counter[str] = field(default_factory=Counter)
    updates: Counter[str] = field(default_factory=Counter)
    stamps: Counter[str] = field(default_factory=Counter)
    deletes: Counter[str] = field(default_factory=Counter)


EXEMPT = frozenset({"Event", "Lease"})
DERIVED = frozenset({"Pod", "ReplicaSet", "EndpointSlice", "CustomResourceDefinition"})
"""Written by others in answer to what we do; their names and times differ from run to run."""

RELEASE_FACTS = (
    "phase",
    "reason",
    "phaseCounter",
    "planHash",
    "blueSlot",
    "mode",
    "blueSubset",
    "greenSubset",
    "stage",
    "weight",
    "grant",
    "maxWeight",
    "imagesBefore",
    "requests",
)
"""Fields of a Release's status that no delay may change."""


class Recorder:
    """Listens to the commits of a run and keeps its footprint.

    Attributes:
        deeds: when the controller changed anything, virtual Unix seconds, in order.
    """

    def __init__(self, sim: Simulation) -> None:
        self.print = Footprint()
        self.deeds: list[float] = []
        self._server = sim.server
        self._effects: dict[str, tuple[str, str]] = {}
        sim.server.on_commit(self.commit)

    def commit(self, commit: Commit) -> None:
        """One change of the store."""
        kind = commit.kind.kind
        if kind in EXEMPT or kind in DERIVED or is_part(commit.last):
            return  # parts of evidence say how often something was tried, and when: a crash may change both
        place = title(kind, commit.last)
        if commit.field_manager != OURS:
            return
        if commit.old is None:
            count = self.print.creates
        elif commit.new is None:
            count = self.print.deletes
        elif self._effect(place, kind, commit.old) != self._effect(place, kind, commit.new):
            count = self.print.updates
        elif stamp_of(commit.old) != stamp_of(commit.new):
            count = self.print.stamps
        else:
            return
        count[place] += 1
        self.deeds.append(commit.time)

    def _effect(self, place: str, kind: str, obj: Obj) -> str:
        """The effect of an object, worked out once for what is new in one commit and old in the next."""
        version = obj["metadata"]["resourceVersion"]
        known = self._effects.get(place)
        if known is None or known[0] != version:
            known = self._effects[place] = (version, effect(kind, obj))
        return known[1]

    def seen(self) -> Footprint:
        """The footprint so far, with the present state."""
        mine = self.print
        found = Footprint({}, Counter(mine.creates), Counter(mine.updates), Counter(mine.stamps), Counter(mine.deletes))
        for shelf in self._server.registry.shelves():
            if shelf.kind.kind in EXEMPT or shelf.kind.kind in DERIVED:
                continue
            for obj in shelf.all(""):
                if not is_part(obj):
                    found.objects[title(shelf.kind.kind, obj)] = essence(shelf.kind.kind, obj)
        return found


UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
HISTORY = re.compile(r"(penstock-history-.*)-[0-9a-f]{8}$")
OF_REQUEST = re.compile(r"(.*-request-.*)-[0-9a-f]{8}$")
"""A record's key ends in the uid of the request: uids are numbered, so that one Event less makes another one."""
GENERATED = re.compile(r"-[a-z0-9]{5}$")


def title(kind: str, obj: Obj) -> str:
    """`Kind namespace/name`, without the uid that a history's name ends in, and without the letters that the server drew."""
    meta = obj["metadata"]
    name = HISTORY.sub(r"\1", meta["name"])
    if meta.get("generateName"):
        name = GENERATED.sub("-", name)
    return f"{kind} {meta.get('namespace', '')}/{name}"


def stamp_of(obj: Obj) -> str:
    """The rollback stamp."""
    return marks.annotation(obj, marks.STAMP)


OF_ONE_WRITE = frozenset({marks.EPOCH, marks.STAMP, marks.BECAUSE, marks.ARRIVED})
"""Annotations that tell which write it was, not what it wrote."""


def essence(kind: str, obj: Obj) -> Any:
    """What of an object two runs must agree on."""
    return orjson.loads(canonical(kept_of(kind, obj)))


def kept_of(kind: str, obj: Obj) -> dict[str, Any]:
    """The parts of an object that two runs must agree on, uids included."""
    meta = obj["metadata"]
    annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if key not in OF_ONE_WRITE}
    kept: dict[str, Any] = {
        "labels": meta.get("labels") or {},
        "annotations": annotations,
        "finalizers": meta.get("finalizers") or [],
        "spec": obj.get("spec"),
        "deleted": "deletionTimestamp" in meta,
    }
    match kind:
        case "Release":
            kept["status"] = release_facts(obj.get("status") or {})
        case "ReleasePlan" | "ReleaseRequest":
            kept["status"] = {k: v for k, v in (obj.get("status") or {}).items() if k not in ("epoch", "answeredAt")}
        case "ConfigMap":
            kept["data"] = {OF_REQUEST.sub(r"\1", key): history_words(value) for key, value in (obj.get("data") or {}).items()}
        case _:
            pass
    return kept


def effect(kind: str, obj: Obj) -> str:
    """What of an object makes an update one that counts, as text: the word of a release that waits a moment longer does not.

    Until its plan is frozen a release only says what it waits for: whether it had to say so depends on who came first.
    """
    kept = kept_of(kind, obj)
    if kind == "Release":
        del kept["status"]["reason"]
        if not kept["status"]["planHash"]:
            del kept["status"]
    return canonical(kept)


def canonical(value: Any) -> str:
    """JSON with sorted keys and without uids."""
    return UID.sub("uid", orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS).decode())


def release_facts(status: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a status that are not times or measurements."""
    facts = {key: status.get(key) for key in RELEASE_FACTS}
    facts["stages"] = [(stage.get("weight"), stage.get("verdict"), bool(stage.get("skipped"))) for stage in status.get("stages", ())]
    facts["rollback"] = {k: (status.get("rollback") or {}).get(k) for k in ("reason", "check", "target", "maxWeight")}
    facts["reached"] = sorted(k for k, v in (status.get("rollback") or {}).items() if k.endswith("At") and v)
    facts["hold"] = {k: (status.get("hold") or {}).get(k) for k in ("reason", "then", "waitsFor", "phase")}
    facts["retention"] = {k: (status.get("retention") or {}).get(k) for k in ("shrunk", "done")}
    facts["objects"] = sorted(f"{o.get('kind')} {o.get('namespace')}/{o.get('name')} {o.get('made')}" for o in status.get("objects", ()))
    facts["capacity"] = status.get("capacity")
    return facts


def history_words(value: str) -> Any:
    """A record without its times and numbers; other data as they are."""
    try:
        entry = json.loads(value)
    except ValueError:
        return value
    return (entry["kind"], entry["reason"]) if isinstance(entry, dict) and "reason" in entry and "at" in entry else value


def differences(clean: Footprint, other: Footprint, *, fought: frozenset[str] = frozenset()) -> list[str]:
    """How a disturbed run differs from the undisturbed one, as sentences.

    Objects in `fought` have another writer who comes again and again: how often he is answered depends on the delay.
    """
    found: list[str] = []
    elsewhere = gone_back_elsewhere(clean, other)
    fought |= elsewhere.keys()
    for place in sorted(clean.objects.keys() | other.objects.keys()):
        before, after = clean.objects.get(place), other.objects.get(place)
        if place in elsewhere:
            before, after = elsewhere[place](before), elsewhere[place](after)
        if before != after:
            path, mine, theirs = first_difference(before, after) or ("", before, after)
            found.append(f"{place} ended otherwise: {path or 'object'} is {json.dumps(theirs)[:200]}, undisturbed {json.dumps(mine)[:200]}")
    for what in ("creates", "updates", "deletes"):
        mine, theirs = getattr(clean, what), getattr(other, what)
        found += [
            f"{place}: {theirs[place]} {what}, undisturbed {mine[place]}"
            for place in sorted(mine.keys() | theirs.keys())
            if mine[place] != theirs[place] and place not in fought
        ]
    for place in sorted(other.stamps):
        if other.stamps[place] > clean.stamps[place] + 1 and place not in fought:
            found.append(f"{place}: {other.stamps[place]} writes that only stamp, undisturbed {clean.stamps[place]}, one more is allowed")
    return found


def gone_back_elsewhere(clean: Footprint, other: Footprint) -> dict[str, Callable[[Any], Any]]:
    """Objects of releases that a trigger put back in another phase than undisturbed, and what of these is compared.

    Triggers have their own clock: a delay of a second, or a successor that asks again at once, moves their polls against
    the scrapes. Which phase a failure falls into is chance then; why the release goes back, and everything else, is not.
    """
    found: dict[str, Callable[[Any], Any]] = {}
    for place in (place for place in clean.objects if place.startswith("Release ")):
        both = [print_.objects.get(place, {}).get("status", {}) for print_ in (clean, other)]
        causes = [((status.get("rollback") or {}).get("reason"), (status.get("rollback") or {}).get("check")) for status in both]
        counters = [status.get("phaseCounter") for status in both]
        if causes[0] == causes[1] and "Trigger" in str(causes[0][0]) and counters[0] != counters[1]:
            found[place] = _how_it_ended
            namespace, _, name = place.removeprefix("Release ").partition("/")
            found[f"ConfigMap {namespace}/penstock-history-{name}"] = _last_words
    return found


def _how_it_ended(release: Any) -> Any:
    kept = ("phase", "reason", "stage", "weight", "grant", "maxWeight", "rollback", "reached", "objects", "capacity")
    return {**release, "status": {key: release["status"].get(key) for key in kept}}


def _last_words(history: Any) -> Any:
    return sorted(str(words) for words in history["data"].values() if words[0] in ("rollback", "finished"))


def fought_over(scenario: Scenario) -> frozenset[str]:
    """Objects that another writer writes again and again."""
    return frozenset(fault.target for fault in scenario.faults if fault.kind == "drift" and fault.every)
