"""What a real API server committed, in the order of its revisions, for the checker of invariants.

    watches of ten kinds --> commits by revision, each with its author --> controller.simulator.invariants_store.History
                                                                       --> controller.simulator.invariants_liveness.Liveness
    the Lease, and what a test takes away --> Beside -----------------------^

The author of a change is read off `managedFields`: whose entry changed. Their times have whole seconds, so two like writes of
one manager within a second leave them unchanged; such a change is the controller's where anything but a status differs, since
nobody else writes these objects silently.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import httpx

from controller.api.plan import PlanSpec
from controller.api.scale import divided
from controller.cli.install_objects import NAME
from controller.simulator.invariants_liveness import Liveness
from controller.simulator.invariants_store import History
from tests.bed.api import Api, ApiError, JsonObject
from tests.bed.waiting import eventually
from tests.real.beside import Beside, Disturbance
from tests.real.pulse import Pulse, is_beat

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from controller.simulator.invariants_book import Breach

OURS = "penstock"
OTHERS = "others"
KINDS = {
    "Release": "/apis/penstock.dev/v1alpha1/releases",
    "ReleasePlan": "/apis/penstock.dev/v1alpha1/releaseplans",
    "ReleaseRequest": "/apis/penstock.dev/v1alpha1/releaserequests",
    "VirtualService": "/apis/networking.istio.io/v1/virtualservices",
    "DestinationRule": "/apis/networking.istio.io/v1/destinationrules",
    "Deployment": "/apis/apps/v1/deployments",
    "Service": "/api/v1/services",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/horizontalpodautoscalers",
    "ConfigMap": "/api/v1/configmaps",
    "Lease": "/apis/coordination.k8s.io/v1/leases",
}
CATCH_UP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Commit:
    """One change: `old` is None for a creation, `new` for a deletion; `at` is wall time, as `dated`."""

    revision: int
    at: float
    kind: str
    old: JsonObject | None
    new: JsonObject | None
    manager: str


class Recorder:
    """Records from `__enter__` on; what was there before is its first commits."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._commits: list[Commit] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._newest: dict[tuple[str, str, str], JsonObject] = {}
        self._routes_written = threading.Event()
        self._begun = time.time()
        self._disturbances: list[Disturbance] = []
        self._gone: list[tuple[str, JsonObject]] = []
        self._pulse = Pulse(api)

    def newest(self, kind: str, namespace: str, name: str) -> JsonObject:
        """An object as it was last seen; empty where there is none."""
        with self._lock:
            return self._newest.get((kind, namespace, name), {})

    @contextmanager
    def disturbance(self, *, alone: bool = False) -> Iterator[None]:
        """Something is taken away meanwhile, so that a rollback or an answer may take longer; `alone`: nobody is there to take over."""
        begin = time.time()
        try:
            yield
        finally:
            self._disturbances.append(Disturbance(begin, time.time(), alone))

    def wait_for_a_route(self, seconds: float) -> bool:
        """Wait for the controller's next write of any VirtualService."""
        self._routes_written.clear()
        return self._routes_written.wait(seconds)

    def __enter__(self) -> Self:
        for kind, path in KINDS.items():
            listing = self._api.get(path)
            known = {_key(item): {**item, "kind": kind} for item in listing["items"]}
            for item in known.values():
                self._note(Commit(int(item["metadata"]["resourceVersion"]), time.time(), kind, None, _slim(item), OTHERS))
            begin = (kind, path, listing["metadata"]["resourceVersion"], known)
            threading.Thread(target=self._follow, args=begin, name=f"record {kind}", daemon=True).start()
        self._pulse.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._pulse.stop()

    def commits(self, namespaces: Collection[str]) -> list[Commit]:
        """All changes in these namespaces up to now, in the order of revisions: none of an earlier revision is still under way."""
        until = min(self._caught_up(kind, namespaces) for kind in KINDS)
        with self._lock:
            found = [
                one for one in self._commits if one.revision <= until and _is_asked_for(one.kind, one.new or one.old or {}, namespaces)
            ]
        return sorted(found, key=lambda commit: commit.revision)

    def _caught_up(self, kind: str, namespaces: Collection[str]) -> int:
        """The present revision, once the watch of this kind has brought everything that is stored at it."""
        listing = self._api.get(KINDS[kind])
        stored = [item["metadata"] for item in listing["items"] if item["metadata"].get("namespace", "") in namespaces]

        def brought() -> bool:
            with self._lock:
                seen = [self._newest.get((kind, meta.get("namespace", ""), meta["name"])) for meta in stored]
            # An empty one was deleted since.
            return all(
                obj is not None and (not obj or int(obj["metadata"]["resourceVersion"]) >= int(meta["resourceVersion"]))
                for obj, meta in zip(seen, stored, strict=True)
            )

        eventually(brought, CATCH_UP_SECONDS, f"the watch of {kind}")
        return int(listing["metadata"]["resourceVersion"])

    def breaches(self, namespaces: Collection[str], divisor: float, lease: float, ours: Collection[str] = (OURS,)) -> list[str]:
        """Every breach of an invariant in these namespaces, in sentences; plans are divided as the controller divided them.

        `ours` with `OTHERS` in it asks what would be found if people's edits had been the controller's.
        """
        asked_at = time.time()
        quiet = max((one.end for one in self._disturbances), default=self._begun)
        world = Beside(lease, quiet, self._disturbances, beats=self._pulse.beats())
        return [*map(str, checked(self.commits(namespaces), world, divisor, asked_at, ours)), *self._gaps(namespaces)]

    def _gaps(self, namespaces: Collection[str]) -> list[str]:
        gone = [(kind, *_key(obj)) for kind, obj in self._gone if _is_asked_for(kind, obj, namespaces)]
        return [f"The record has a gap: {kind} {namespace}/{name} went while nobody watched." for kind, namespace, name in gone]

    def summary(self) -> str:
        """How much was recorded, in a sentence."""
        with self._lock:
            checked = [commit.manager for commit in self._commits if commit.kind != "Lease"]
            return f"Commits checked: {len(checked)}, of them {checked.count(OURS)} by the controller."

    def _note(self, commit: Commit) -> None:
        with self._lock:
            self._commits.append(commit)
            meta = (commit.new or commit.old or {})["metadata"]
            self._newest[commit.kind, meta.get("namespace", ""), meta["name"]] = commit.new or {}
        if commit.kind == "VirtualService" and commit.manager == OURS:
            self._routes_written.set()

    def _follow(self, kind: str, path: str, version: str, known: dict[tuple[str, str], JsonObject]) -> None:
        """Watch on from the last revision that was seen, also across restarts of the API server."""
        while not self._stopping.is_set():
            try:
                for event in self._api.watch(path, version):
                    if event["type"] == "ERROR":
                        version = self._again(kind, path, known)
                        break
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._event(kind, event, known)
            except (httpx.HTTPError, ApiError, RuntimeError):
                self._stopping.wait(0.2)

    def _again(self, kind: str, path: str, known: dict[tuple[str, str], JsonObject]) -> str:
        """List once more, and return its revision: an API server that was started again has forgotten what it sent before.

        While none ran nobody wrote, so that an object has at most the one change that was committed as the server was killed. An
        object that is gone without a word is a gap, where anybody asks for it.
        """
        listing = self._api.get(path)
        fresh = {_key(item): item for item in listing["items"]}
        changed = [item for key, item in fresh.items() if _version(item) != _version(known.get(key))]
        for item in changed:
            self._event(kind, {"type": "MODIFIED", "object": item}, known)
        for key in known.keys() - fresh.keys():
            self._gone.append((kind, known.pop(key)))
        return str(listing["metadata"]["resourceVersion"])

    def _event(self, kind: str, event: JsonObject, known: dict[tuple[str, str], JsonObject]) -> None:
        obj = {**event["object"], "kind": kind}
        if is_beat(kind, obj["metadata"]["name"]):
            self._pulse.heard(obj)
            return
        revision, key = int(obj["metadata"]["resourceVersion"]), _key(obj)
        old = known.get(key)
        if event["type"] == "DELETED":
            known.pop(key, None)
            # Nobody says who deleted something; objects of a release are deleted by the controller, until its namespace goes.
            self._note(Commit(revision, time.time(), kind, _slim(old or obj), None, OURS))
            return
        known[key] = obj
        self._note(Commit(revision, dated(old, obj, time.time()), kind, _slim(old) if old else None, _slim(obj), author(old, obj)))


def checked(commits: Iterable[Commit], world: Beside, divisor: float, until: float, ours: Collection[str] = (OURS,)) -> list[Breach]:
    """What is wrong with a history that goes on until a time without a further commit."""
    history = History(ours=ours)
    liveness = Liveness(history.book, world, lease=world.lease)
    for commit in commits:
        liveness.time(commit.at)
        if commit.kind == "Lease":
            world.led(commit.at, commit.new)
            continue
        new = _divided_plan(commit.new, divisor, world.dated_late) if commit.kind == "ConfigMap" and commit.new else commit.new
        history.commit(commit.at, commit.kind, commit.old, new, commit.manager)
        liveness.commit(commit.kind, new)
    liveness.finish(until)
    return history.breaches


def _is_asked_for(kind: str, obj: JsonObject, namespaces: Collection[str]) -> bool:
    """Whether it is in one of these namespaces, or the controller's Lease: an API server that starts deletes its own and makes it anew."""
    namespace, name = _key(obj)
    return name == NAME if kind == "Lease" else namespace in namespaces


def author(old: JsonObject | None, new: JsonObject) -> str:
    """`penstock` or `others`."""
    before, after = _entries(old or {}), _entries(new)
    changed = {key[0] for key in after if _wrote(before.get(key), after[key])}
    if changed:
        return OURS if OURS in changed else OTHERS
    return OURS if old is not None and _substance(old) != _substance(new) else OTHERS


def dated(old: JsonObject | None, new: JsonObject, heard: float) -> float:
    """When a change was committed: when it was heard of, but within the whole second that the API server wrote beside its author."""
    before, after = _entries(old or {}), _entries(new)
    written = [entry["time"] for key, entry in after.items() if "time" in entry and _wrote(before.get(key), entry)]
    if not written:
        return heard
    second = dt.datetime.fromisoformat(max(written)).timestamp()
    return max(second, min(heard, second + 1))


def _entries(obj: JsonObject) -> dict[tuple[str, str], Any]:
    return {(e["manager"], e.get("subresource", "")): e for e in obj.get("metadata", {}).get("managedFields", ())}


def _wrote(before: JsonObject | None, after: JsonObject) -> bool:
    """Whether this entry's manager has written: one that merely lost a field to another keeps its time, and has less."""
    return before is None or before.get("time") != after.get("time") or len(str(after["fieldsV1"])) > len(str(before["fieldsV1"]))


def _substance(obj: JsonObject) -> Any:
    """All that only the controller writes without leaving a trace."""
    meta = obj["metadata"]
    marks = {key: value for key, value in meta.get("annotations", {}).items() if key.startswith("penstock.dev/")}
    ours = obj.get("apiVersion", "").startswith("penstock.dev/") or obj.get("kind", "").startswith("Release")
    return [obj.get("spec"), marks, meta.get("finalizers"), obj.get("data"), obj.get("status") if ours else None]


def _slim(obj: JsonObject) -> JsonObject:
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"}}


def _version(item: JsonObject | None) -> str:
    return str(item["metadata"]["resourceVersion"]) if item else ""


def _key(item: JsonObject) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _divided_plan(config_map: JsonObject, divisor: float, late: float) -> JsonObject:
    """A frozen plan in the times that its controller went by; its drain a little shorter, as commits are dated late."""
    text = config_map.get("data", {}).get("plan.json")
    if not text:
        return config_map
    plan = divided(PlanSpec.model_validate(json.loads(text)), divisor)
    drain = max(0.0, plan.rollback.drain - late)
    plan = plan.model_copy(update={"rollback": plan.rollback.model_copy(update={"drain": drain})})
    return {**config_map, "data": {"plan.json": plan.model_dump_json(by_alias=True)}}
