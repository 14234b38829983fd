"""The simulated mesh: a control plane that waits for quiet, and proxies that each learn in their own time.

It stands behind the API server: every commit is handed to `apply`, time passes with `advance`. No clock, no
threads; the same seed gives the same trace in every process. Figures were measured on a real istiod:
100 ms of quiet before a push, at most 10 s under churn, 1 to 12 ms from the push to the proxy.
"""

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import count
from typing import Any

from controller.adapters.istio.routing_model import Proxy, Route, World
from controller.adapters.istio.routing_parse import UNSUPPORTED, changed, unsupported
from controller.ports import Kind, Obj
from controller.simulator.mesh.answers import Applied, ClusterState, Outcome, Request, answer, cluster_states, mirrored


class UnsupportedKindError(Exception):
    """The scenario holds something of Istio that the simulated mesh does not do; the message names it and why."""


class Part(StrEnum):
    """What a proxy is sent, each over its own stream."""

    CLUSTERS = "clusters"
    ROUTES = "routes"
    ENDPOINTS = "endpoints"


EVERYTHING = (Part.CLUSTERS, Part.ROUTES, Part.ENDPOINTS)
PUSHED: dict[str, tuple[Part, ...]] = {
    "VirtualService": (Part.ROUTES,),
    "Gateway": (Part.ROUTES,),
    "DestinationRule": (Part.CLUSTERS, Part.ENDPOINTS),
    "Service": EVERYTHING,
    "ServiceEntry": EVERYTHING,
    "Sidecar": EVERYTHING,
    "EndpointSlice": (Part.ENDPOINTS,),
    "Pod": (Part.ENDPOINTS,),
}
"""Which streams a change of a kind concerns."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds between a push and its effect, drawn evenly between both."""

    low: float = 0.001
    high: float = 0.012


@dataclass(frozen=True, slots=True)
class ProxySpec:
    """A proxy and how late it is, separately for what it is sent: one delay for all hides missing settle times."""

    proxy: Proxy
    clusters: Delay = Delay()
    routes: Delay = Delay()
    endpoints: Delay = Delay()


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """What the control plane is like.

    Attributes:
        quiet_seconds: how long it must be quiet before a push.
        longest_seconds: after this long it pushes under churn too.
        restart_seconds: from the start of a control plane that was down to its first push.
    """

    seed: int = 0
    quiet_seconds: float = 0.1
    longest_seconds: float = 10.0
    restart_seconds: float = 3.0
    root_namespace: str = "istio-system"
    cluster_domain: str = "cluster.local"


class ProxyState:
    """One proxy with what it has applied so far.

    Attributes:
        applied: the worlds of its last clusters, routes and endpoints.
        version: rises with every update.
    """

    def __init__(self, spec: ProxySpec, world: World, seed: int) -> None:
        self.spec, self.proxy = spec, spec.proxy
        self.applied = Applied(world, world, world)
        self.version = 0
        self.due = dict.fromkeys(EVERYTHING, 0.0)
        self._random = {part: random.Random(f"{seed}/{spec.proxy.name}/{part}") for part in EVERYTHING}  # noqa: S311 - a simulation

    def effect_time(self, part: Part, push: float) -> float:
        """When a push takes effect here; never before an earlier one of the same stream."""
        delay: Delay = getattr(self.spec, part.value)
        seconds = delay.low if delay.low >= delay.high else self._random[part].uniform(delay.low, delay.high)
        self.due[part] = max(self.due[part], push + seconds)
        return self.due[part]

    def update(self, part: Part, world: World) -> None:
        """Apply one stream's update."""
        now = self.applied
        match part:
            case Part.CLUSTERS:
                self.applied = Applied(world, now.routes, now.endpoints)
            case Part.ROUTES:
                self.applied = Applied(now.clusters, world, now.endpoints)
            case Part.ENDPOINTS:
                self.applied = Applied(now.clusters, now.routes, world)
        self.version += 1

    def answer(self, request: Request) -> tuple[Outcome, ...]:
        """Where requests of this sort end now."""
        return answer(self.applied, self.proxy, request)

    def mirrored(self, request: Request) -> tuple[Outcome, ...]:
        """Where copies of such requests go."""
        return mirrored(self.applied, self.proxy, request)

    def routes(self, host: str, port: int = 80) -> tuple[tuple[Route, tuple[ClusterState, ...]], ...]:
        """The applied routes of a host, each with weight, knowledge and ready endpoints of its clusters."""
        return cluster_states(self.applied, self.proxy, host, port)


ProxyCallback = Callable[[ProxyState, float], None]


@dataclass(order=True, slots=True)
class _Update:
    time: float
    number: int
    state: ProxyState = field(compare=False)
    part: Part = field(compare=False)
    world: World = field(compare=False)


class Mesh:
    """Control plane and proxies.

    Args:
        proxies: the proxies that carry the scenario's traffic.
        settings: seed and figures of the control plane.
    """

    def __init__(self, proxies: Sequence[ProxySpec], settings: MeshSettings | None = None) -> None:
        self.settings = settings or MeshSettings()
        self.world = World(root_namespace=self.settings.root_namespace, cluster_domain=self.settings.cluster_domain)
        self.proxies = {spec.proxy.name: ProxyState(spec, self.world, self.settings.seed) for spec in proxies}
        self._dirty: set[Part] = set()
        self._first_event = self._last_event = 0.0
        self._waiting = False
        self._down = False
        self._updates: list[_Update] = []
        self._numbers = count()
        self._before: list[ProxyCallback] = []
        self._after: list[ProxyCallback] = []

    def on_proxy_update(self, callback: ProxyCallback) -> None:
        """Have `callback(state, time)` called after every update of a proxy."""
        self._after.append(callback)

    def before_proxy_update(self, callback: ProxyCallback) -> None:
        """Have `callback(state, time)` called before every update and every end of a pod, while the old state still holds."""
        self._before.append(callback)

    def apply(self, kind: Kind, old: Obj | None, new: Obj | None, now: float) -> None:
        """Take one commit of the API server: old is None for a creation, new for a deletion.

        Raises:
            UnsupportedKindError: the object is of a sort that `UNSUPPORTED` names.
        """
        if new is not None:
            refused = unsupported(kind.kind, new)
            if refused is not None:
                raise UnsupportedKindError(f"The simulated mesh does not support {refused}: {UNSUPPORTED[refused]}.")
        parts = PUSHED.get(kind.kind)
        if parts is None or not _matters(kind.kind, old, new):
            return
        if kind.kind == "Pod" and new is None:
            for state in self.proxies.values():
                self._tell(self._before, state, now)
        self.world = changed(self.world, kind.kind, old, new)
        if kind.kind == "Pod" and (old is None or new is None):
            return  # A pod without endpoints concerns nobody; its EndpointSlice makes the push.
        if self.world.sidecars.items:
            parts = EVERYTHING
        self._noticed(parts, now)

    def disturb(self, now: float) -> None:
        """Something unrelated was written: nothing changes, but the debounce waits again."""
        self._noticed((Part.ROUTES,), now)

    def stop_control_plane(self) -> None:
        """The control plane is gone: proxies go on with what they have."""
        self._down = True

    def start_control_plane(self, now: float) -> None:
        """It is back, and pushes everything that was written meanwhile after its start."""
        self._down = self._waiting = False
        self._noticed(EVERYTHING, now + self.settings.restart_seconds)

    def change_delays(self, proxy: str, part: Part, delay: Delay) -> None:
        """From the next push on a proxy is as late as this in one part."""
        state = self.proxies[proxy]
        changed_delay: dict[str, Any] = {part.value: delay}
        state.spec = replace(state.spec, **changed_delay)

    def next_event_time(self) -> float | None:
        """When something happens by itself next, or None."""
        push = self._push_time()
        if not self._updates:
            return push
        return self._updates[0].time if push is None else min(push, self._updates[0].time)

    def advance(self, now: float) -> None:
        """Let everything happen that is due until `now`, in order of time."""
        while True:
            push = self._push_time()
            if push is not None and push <= now and (not self._updates or push <= self._updates[0].time):
                self._push(push)
            elif self._updates and self._updates[0].time <= now:
                self._update(heapq.heappop(self._updates))
            else:
                return

    def settle(self, now: float) -> None:
        """Bring every proxy to the present world at once: how a scenario begins."""
        self._waiting = False
        self._dirty.clear()
        self._updates.clear()
        for state in self.proxies.values():
            for part in EVERYTHING:
                self._update(_Update(now, next(self._numbers), state, part, self.world))

    def _noticed(self, parts: Sequence[Part], now: float) -> None:
        self._dirty.update(parts)
        if not self._waiting:
            self._waiting, self._first_event = True, now
        self._last_event = now

    def _push_time(self) -> float | None:
        if not self._waiting or self._down:
            return None
        return min(self._last_event + self.settings.quiet_seconds, self._first_event + self.settings.longest_seconds)

    def _push(self, now: float) -> None:
        self._waiting = False
        for state in self.proxies.values():
            for part in EVERYTHING:
                if part in self._dirty:
                    update = _Update(state.effect_time(part, now), next(self._numbers), state, part, self.world)
                    heapq.heappush(self._updates, update)
        self._dirty.clear()

    def _update(self, update: _Update) -> None:
        self._tell(self._before, update.state, update.time)
        update.state.update(update.part, update.world)
        self._tell(self._after, update.state, update.time)

    @staticmethod
    def _tell(callbacks: Sequence[ProxyCallback], state: ProxyState, time: float) -> None:
        for callback in callbacks:
            callback(state, time)


def _matters(kind: str, old: Obj | None, new: Obj | None) -> bool:
    """Whether a write is pushed at all: annotations, status and labels of no concern to Istio are not."""
    if old is None or new is None:
        return True
    match kind:
        case "EndpointSlice":
            return bool(old.get("endpoints") != new.get("endpoints") or old.get("ports") != new.get("ports"))
        case "Pod":
            return bool(_meta(old, "labels") != _meta(new, "labels"))
        case "Service":
            exported = "networking.istio.io/exportTo"
            same = _meta(old, "annotations").get(exported) == _meta(new, "annotations").get(exported)
            return bool(not same or old.get("spec") != new.get("spec"))
        case _:
            return bool(old.get("spec") != new.get("spec") or _istio_labels(old) != _istio_labels(new))


def _meta(obj: Obj, field_name: str) -> dict[str, Any]:
    return obj["metadata"].get(field_name) or {}


def _istio_labels(obj: Obj) -> dict[str, Any]:
    return {key: value for key, value in _meta(obj, "labels").items() if "istio.io" in key}
