"""Plays scheduler and kubelet: binds Pods to one node, makes them ready, crash or hang, and removes terminating ones.

Nothing runs behind a pod address: readiness is only written. What a pod does is set by rules that may change at any time:

    nodes.set(Behaviour(crash_after_seconds=5), namespace=ns, labels={"version": "green"})
"""

from __future__ import annotations

import datetime as dt
import heapq
import queue
import threading
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

import httpx

from tests.bed.api import Api, ApiError, JsonObject
from tests.bed.watching import Key, Mirror

if TYPE_CHECKING:
    from collections.abc import Mapping

NODE = "bed-node"
RETRY_SECONDS = 0.2
CONFLICT, NOT_FOUND = 409, 404


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the containers of a pod do.

    Attributes:
        ready_after_seconds: from first sight to ready.
        never_ready: it runs and its readiness probe never passes; set later, it stops passing.
        image_missing: it waits with ImagePullBackOff; has no effect on a pod that runs already.
        crash_after_seconds: it crashes this long after it got ready (None: never), again and again.
        crash_pause_seconds: the CrashLoopBackOff between two tries.
        terminate_after_seconds: from deletion to gone; it is terminating, and still ready, in between.
    """

    ready_after_seconds: float = 0.1
    never_ready: bool = False
    image_missing: bool = False
    crash_after_seconds: float | None = None
    crash_pause_seconds: float = 1.0
    terminate_after_seconds: float = 0.1


class State(StrEnum):
    """What was last written to a pod's status."""

    PENDING = "pending"
    IMAGE_MISSING = "image missing"
    UNREADY = "unready"
    READY = "ready"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Rule:
    """Whose behaviour it is: every given part must match; the last matching rule counts."""

    behaviour: Behaviour
    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None

    def matches(self, pod: JsonObject) -> bool:
        """Whether the pod lies in the namespace, carries all labels and uses the image (a part of its name is enough)."""
        labels = pod["metadata"].get("labels", {})
        images = [container["image"] for container in pod["spec"]["containers"]]
        return (
            self.namespace in (None, pod["metadata"]["namespace"])
            and self.labels.items() <= labels.items()
            and (self.image is None or any(self.image in image for image in images))
        )


@dataclass(slots=True)
class _Pod:
    """One pod as the simulator knows it; times are monotonic seconds."""

    obj: JsonObject
    ip: str
    since: float
    bound: bool = False
    state: State = State.PENDING
    restarts: int = 0
    deleted_at: float | None = None

    @property
    def started(self) -> bool:
        return self.state in (State.READY, State.UNREADY, State.CRASHED)


def next_state(pod_state: State, behaviour: Behaviour, age: float) -> tuple[State, float | None]:
    """Say what a pod is at `age` seconds since its last change of state or rule, and the age to look again (None: never)."""
    started = pod_state in (State.READY, State.UNREADY, State.CRASHED)
    if behaviour.image_missing and not started:
        return State.IMAGE_MISSING, None
    if not started and age < behaviour.ready_after_seconds:
        return State.PENDING, behaviour.ready_after_seconds
    if behaviour.never_ready:
        return State.UNREADY, None
    if pod_state is State.CRASHED:
        again = age >= behaviour.crash_pause_seconds
        return (State.READY, behaviour.crash_after_seconds) if again else (State.CRASHED, behaviour.crash_pause_seconds)
    lifetime = behaviour.crash_after_seconds
    crashes = pod_state is State.READY and lifetime is not None and age >= lifetime
    return (State.CRASHED, behaviour.crash_pause_seconds) if crashes else (State.READY, lifetime)


class NodeSimulator:
    """Runs while its `with` block does; one thread watches, one acts. Its API requests are made as `api`'s user."""

    def __init__(self, api: Api, default: Behaviour | None = None) -> None:
        self._api = api
        self._rules: tuple[Rule, ...] = (Rule(default or Behaviour()),)
        self._pods: dict[Key, _Pod] = {}
        self._inbox: queue.SimpleQueue[tuple[Key, JsonObject | None] | None] = queue.SimpleQueue()
        self._due: list[tuple[float, Key]] = []
        self._addresses = 0
        self._stopping = False
        self._mirror = Mirror(api, "/api/v1/pods", lambda key, item: self._inbox.put((key, item)))
        self._thread = threading.Thread(target=self._run, name="node simulator", daemon=True)

    def __enter__(self) -> Self:
        self._api.apply([_node()])
        self._api.patch(f"/api/v1/nodes/{NODE}/status", {"status": {"conditions": [_condition("Ready", met=True)]}})
        self._thread.start()
        self._mirror.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._mirror.stop()
        self._inbox.put(None)
        self._thread.join(10)

    def set(
        self, behaviour: Behaviour, namespace: str | None = None, labels: Mapping[str, str] | None = None, image: str | None = None
    ) -> None:
        """Add a rule; pods that exist already follow it too, counted from now."""
        self._rules = (*self._rules, Rule(behaviour, namespace, dict(labels or {}), image))
        self._inbox.put(None)

    def _behaviour(self, pod: JsonObject) -> Behaviour:
        return next(rule.behaviour for rule in reversed(self._rules) if rule.matches(pod))

    def _run(self) -> None:
        rules = self._rules
        while not self._stopping:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else None
            try:
                message = self._inbox.get(timeout=wait)
                if message is not None:
                    self._note(*message)
            except queue.Empty:
                pass
            if rules is not self._rules:
                rules = self._rules
                self._restart_clocks()
            while self._due and self._due[0][0] <= time.monotonic():
                self._visit(heapq.heappop(self._due)[1])

    def _note(self, key: Key, obj: JsonObject | None) -> None:
        """Take in one change; only a new pod, a new uid or a deletion is news."""
        if obj is None:
            self._pods.pop(key, None)
            return
        known = self._pods.get(key)
        now = time.monotonic()
        if known is None or known.obj["metadata"]["uid"] != obj["metadata"]["uid"]:
            self._addresses = self._addresses % 65000 + 1
            ip = f"10.244.{self._addresses // 250}.{self._addresses % 250 + 1}"
            known = self._pods[key] = _Pod(obj, ip, since=now, bound=bool(obj["spec"].get("nodeName")))
            self._look_again(key, now)
        known.obj = obj
        if "deletionTimestamp" in obj["metadata"] and known.deleted_at is None:
            known.deleted_at = now
            self._look_again(key, now + self._behaviour(obj).terminate_after_seconds)

    def _restart_clocks(self) -> None:
        now = time.monotonic()
        for key, pod in self._pods.items():
            pod.since = now
            self._look_again(key, now)

    def _look_again(self, key: Key, when: float) -> None:
        heapq.heappush(self._due, (when, key))

    def _visit(self, key: Key) -> None:
        """Bring one pod to where it should be; errors are tried again a little later."""
        pod = self._pods.get(key)
        if pod is None:
            return
        try:
            if pod.deleted_at is None:
                self._advance(key, pod)
            else:
                self._terminate(key, pod)
        except ApiError as error:
            if error.status != NOT_FOUND:
                self._look_again(key, time.monotonic() + RETRY_SECONDS)
        except (httpx.HTTPError, RuntimeError):
            self._look_again(key, time.monotonic() + RETRY_SECONDS)

    def _advance(self, key: Key, pod: _Pod) -> None:
        behaviour = self._behaviour(pod.obj)
        now = time.monotonic()
        state, later = next_state(pod.state, behaviour, now - pod.since)
        if not pod.bound:
            self._bind(key)
            pod.bound = True
        if state is not pod.state:
            restarts = pod.restarts + (state is State.CRASHED)
            self._api.patch(f"{_path(key)}/status", {"status": _status(pod, state, restarts)})
            pod.state, pod.restarts, pod.since = state, restarts, now
        if later is not None:
            self._look_again(key, pod.since + later)

    def _bind(self, key: Key) -> None:
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": key[1]}, "target": target}
        answer = self._api.request("POST", f"{_path(key)}/binding", body)
        if answer.is_error and answer.status_code != CONFLICT:
            # A conflict says that the pod is bound already: the answer to an earlier try was lost.
            raise ApiError(answer)

    def _terminate(self, key: Key, pod: _Pod) -> None:
        due = (pod.deleted_at or 0.0) + self._behaviour(pod.obj).terminate_after_seconds
        if time.monotonic() < due:
            self._look_again(key, due)
            return
        self._api.delete(_path(key), gracePeriodSeconds=0, preconditions={"uid": pod.obj["metadata"]["uid"]})


def _path(key: Key) -> str:
    return f"/api/v1/namespaces/{key[0]}/pods/{key[1]}"


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _condition(kind: str, *, met: bool, reason: str = "Bed") -> JsonObject:
    return {"type": kind, "status": "True" if met else "False", "lastTransitionTime": _now(), "reason": reason}


def _node() -> JsonObject:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE}}}


def _status(pod: _Pod, state: State, restarts: int) -> JsonObject:
    """Make the status that a kubelet would write for this state."""
    ready = state is State.READY
    waiting = state is State.IMAGE_MISSING
    status: JsonObject = {
        "phase": "Pending" if waiting else "Running",
        "conditions": [
            _condition("PodScheduled", met=True),
            _condition("Initialized", met=True),
            _condition("ContainersReady", met=ready, reason="Bed" if ready else "ContainersNotReady"),
            _condition("Ready", met=ready, reason="Bed" if ready else "ContainersNotReady"),
        ],
        "containerStatuses": [_container(container, state, restarts) for container in pod.obj["spec"]["containers"]],
        "startTime": pod.obj["metadata"]["creationTimestamp"],
    }
    if not waiting:
        status |= {"podIP": pod.ip, "podIPs": [{"ip": pod.ip}], "hostIP": "10.0.0.1"}
    return status


def _container(container: Mapping[str, Any], state: State, restarts: int) -> JsonObject:
    reasons = {State.IMAGE_MISSING: "ImagePullBackOff", State.CRASHED: "CrashLoopBackOff"}
    status: JsonObject = {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": state is State.READY,
        "started": state in (State.READY, State.UNREADY),
        "restartCount": restarts,
        "state": {"waiting": {"reason": reasons[state]}} if state in reasons else {"running": {"startedAt": _now()}},
    }
    if restarts:
        status["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": _now()}}
    return status
