"""The simulated controller manager and node, in virtual time.

`apply` takes each commit of the API server and only notes what is due; `advance` acts. So a commit never causes a
write in the middle of another one, and whoever drives the simulation decides about the order.
"""

import heapq
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

from controller.ports import DEPLOYMENT, ENDPOINT_SLICE, HPA, POD, REPLICA_SET, ConflictError, Kind, Kube, NotFoundError, Obj, RefusedError
from controller.simulator.workloads import manifests
from controller.simulator.workloads.behaviour import PodBehaviour, WorkloadSettings
from controller.simulator.workloads.garbage import Garbage
from controller.simulator.workloads.nodes import Life, Nodes

Key = tuple[str, str]
KINDS = ("Deployment", "ReplicaSet", "Pod", "Service", "EndpointSlice", "HorizontalPodAutoscaler", "Namespace")
NAMESPACE_RETRY_SECONDS = 1.0
GRACE_SECONDS = 1.0
"""How long a pod that was deleted gracefully takes to end."""


class Workloads:
    """Deployments, ReplicaSets, pods, endpoints, autoscalers, garbage and namespaces of one simulated cluster.

    Args:
        kube: a client with the rights of the controller manager; `finalize` must be among its subresources.
        settings: pace, limits and what goes wrong.
    """

    def __init__(self, kube: Kube, settings: WorkloadSettings | None = None) -> None:
        self.settings = settings or WorkloadSettings()
        self._kube = kube
        self._seen: dict[str, dict[Key, Obj]] = {kind: {} for kind in KINDS}
        self._garbage = Garbage(kube)
        self._nodes = Nodes(self.settings)
        self._due: list[tuple[float, int, tuple[object, ...], Callable[[float], None]]] = []
        self._planned: set[tuple[object, ...]] = set()
        self._numbers = count()

    def apply(self, kind: Kind, old: Obj | None, new: Obj | None, now: float) -> None:
        """Take one commit: old is None for a creation, new for a deletion."""
        some = new if new is not None else old
        if some is None:
            return
        meta = some["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        gone, suspects = self._garbage.note(kind, old, new)
        for uid in gone:
            self._plan(now + self.settings.collection_seconds, ("collect", uid), lambda _, uid=uid: self._garbage.collect(uid))  # type: ignore[misc]
        for place in suspects:
            self._plan(now + self.settings.foreign_owner_seconds, ("check", place), lambda _, place=place: self._garbage.check(place))  # type: ignore[misc]
        seen = self._seen.get(kind.kind)
        if seen is None:
            return
        if new is None:
            seen.pop(key, None)
        else:
            seen[key] = new
        self._react(kind.kind, key, old, new, now)

    def next_event_time(self) -> float | None:
        """When something is due next, or None."""
        return self._due[0][0] if self._due else None

    def advance(self, now: float) -> None:
        """Do everything that is due until `now`, in order of time."""
        while self._due and self._due[0][0] <= now:
            time, _, what, action = heapq.heappop(self._due)
            self._planned.discard(what)
            action(time)

    def settle(self, now: float) -> None:
        """Make everything that is due within the next minutes true at once: how a scenario begins.

        Pods that start within ten minutes are ready afterwards; crash loops and schedules keep their times.
        """
        self._nodes.instant = True
        soon = now + self.settings.reaction_seconds * 100
        while self._due and self._due[0][0] <= soon:
            self.advance(self._due[0][0])
        self._nodes.instant = False

    def evict(self, namespace: str, name: str) -> None:
        """A pod is evicted; its ReplicaSet makes another one. One that is gone already is no trouble."""
        pod = self._seen["Pod"].get((namespace, name))
        if pod is not None:
            self._kube.delete(POD, namespace, name, uid=pod["metadata"]["uid"])

    def change_behaviour(self, behaviour: PodBehaviour, now: float) -> None:
        """From now on the pods that it covers behave like this, the living ones too; it comes before all others."""
        self.settings = replace(self.settings, behaviours=(behaviour, *self.settings.behaviours))
        for deployment in self._seen["Deployment"].values():
            if not behaviour.covers(deployment):
                continue
            uid = deployment["metadata"]["uid"]
            for owner_set in [s for s in self._seen["ReplicaSet"].values() if manifests.is_owned(s, uid)]:
                for pod in self._pods_of(owner_set):
                    life = self._nodes.life(_key(pod))
                    if life is not None:
                        life.change(behaviour, now)
                        self._planned.discard(("pod", _key(pod)))
                        self._live(_key(pod), life)

    def change_pod(self, namespace: str, name: str, behaviour: PodBehaviour, now: float) -> None:
        """From now on this one pod behaves like this; one that is gone is no trouble."""
        life = self._nodes.life((namespace, name))
        if life is not None:
            life.change(behaviour, now)
            self._planned.discard(("pod", (namespace, name)))
            self._live((namespace, name), life)

    def change_quota(self, namespace: str, pods: int | None, now: float) -> None:
        """Set or lift the quota of a namespace; Deployments there look again."""
        quotas = {name: limit for name, limit in self.settings.quotas.items() if name != namespace}
        self.settings = replace(self.settings, quotas=quotas if pods is None else {**quotas, namespace: pods})
        for key in [key for key in self._seen["Deployment"] if key[0] == namespace]:
            self._plan(now + self.settings.reaction_seconds, ("deployment", key), lambda time, key=key: self._sync(key, time))  # type: ignore[misc]

    def _plan(self, time: float, what: tuple[object, ...], action: Callable[[float], None]) -> None:
        if what not in self._planned:
            self._planned.add(what)
            heapq.heappush(self._due, (time, next(self._numbers), what, action))

    def _react(self, kind: str, key: Key, old: Obj | None, new: Obj | None, now: float) -> None:
        soon = now + self.settings.reaction_seconds
        match kind:
            case "Deployment" if new is not None and _spec_changed(old, new):
                self._plan(soon, ("deployment", key), lambda time: self._sync(key, time))
            case "ReplicaSet" if new is None and old is not None:
                self._plan_owner(old, "Deployment", soon)
            case "Pod":
                self._pod_changed(key, old, new, now)
            case "Service" if new is not None and _spec_changed(old, new):
                self._plan(soon, ("service", key), lambda _: self._sync_service(key))
            case "EndpointSlice" if new is None and old is not None:
                service = (key[0], (old["metadata"].get("labels") or {}).get(manifests.SERVICE_NAME, ""))
                self._plan(soon, ("service", service), lambda _: self._sync_service(service))
            case "HorizontalPodAutoscaler" if new is not None:
                self._plan(soon, ("hpa", key), lambda _: self._scale(key))
            case "Namespace" if new is not None and new["metadata"].get("deletionTimestamp"):
                self._plan(soon, ("namespace", key), lambda time: self._empty(key, time))

    def _pod_changed(self, key: Key, old: Obj | None, new: Obj | None, now: float) -> None:
        soon = now + self.settings.reaction_seconds
        if new is None and old is not None:
            self._nodes.forget(key)
            self._plan_owner(old, "ReplicaSet", soon)
        if old is None or new is None or _selectable(old) != _selectable(new):
            self._plan_services(key[0], soon)
        if new is not None and new["metadata"].get("deletionTimestamp"):
            self._plan(now + GRACE_SECONDS, ("kill", key), lambda _: self.evict(*key))

    def _plan_owner(self, child: Obj, kind: str, time: float) -> None:
        """Have the Deployment above a vanished ReplicaSet or pod look at what it has."""
        meta = child["metadata"]
        name = next((ref["name"] for ref in meta.get("ownerReferences") or () if ref.get("kind") == kind), None)
        if name is None:
            return
        if kind == "ReplicaSet":
            above = self._seen["ReplicaSet"].get((meta["namespace"], name))
            if above is not None:
                self._plan_owner(above, "Deployment", time)
            return
        key = (meta["namespace"], name)
        self._plan(time, ("deployment", key), lambda at: self._sync(key, at))

    def _plan_services(self, namespace: str, time: float) -> None:
        for key in self._seen["Service"]:
            if key[0] == namespace:
                self._plan(time, ("service", key), lambda _, key=key: self._sync_service(key))  # type: ignore[misc]

    def _empty(self, key: Key, now: float) -> None:
        if not self._garbage.empty_namespace(key[1]):
            self._plan(now + NAMESPACE_RETRY_SECONDS, ("namespace", key), lambda time: self._empty(key, time))

    def _scale(self, key: Key) -> None:
        """A very simple autoscaler: it keeps its target between minimum and maximum."""
        hpa = self._seen["HorizontalPodAutoscaler"].get(key)
        if hpa is None:
            return
        spec = hpa["spec"]
        target = (key[0], spec["scaleTargetRef"]["name"])
        deployment = self._seen["Deployment"].get(target)
        if deployment is None or spec["scaleTargetRef"].get("kind") != "Deployment":
            return
        now = deployment["spec"].get("replicas", 1)
        wanted = min(max(now, spec.get("minReplicas", 1)), spec["maxReplicas"])
        # Zero replicas switch an autoscaler off, as in the real one.
        if now and wanted != now:
            self._kube.patch(DEPLOYMENT, *target, {"spec": {"replicas": wanted}}, subresource="scale")
        shown = {"currentReplicas": wanted, "desiredReplicas": wanted}
        if any((hpa.get("status") or {}).get(name) != value for name, value in shown.items()):
            self._kube.patch(HPA, *key, {"status": shown}, subresource="status")

    def _sync(self, key: Key, now: float) -> None:
        """Bring ReplicaSets and pods to what a Deployment says, then say so in its status."""
        deployment = self._seen["Deployment"].get(key)
        if deployment is None or deployment["metadata"].get("deletionTimestamp"):
            return
        for hpa_key, hpa in self._seen["HorizontalPodAutoscaler"].items():
            if hpa_key[0] == key[0] and hpa["spec"]["scaleTargetRef"].get("name") == key[1]:
                self._plan(now + self.settings.reaction_seconds, ("hpa", hpa_key), lambda _, hpa_key=hpa_key: self._scale(hpa_key))  # type: ignore[misc]
        try:
            self._roll(key, deployment, now)
        except (ConflictError, RefusedError, NotFoundError):
            # Somebody was faster, or the namespace is ending; a later commit or the next look decides.
            if (self._seen["Namespace"].get(("", key[0])) or {}).get("metadata", {}).get("deletionTimestamp") is None:
                self._plan(now + 1.0, ("deployment", key), lambda time: self._sync(key, time))

    def _roll(self, key: Key, deployment: Obj, now: float) -> None:
        wanted = deployment["spec"].get("replicas", 1)
        digest = manifests.template_hash(deployment["spec"]["template"])
        uid = deployment["metadata"]["uid"]
        sets = [
            s for s in self._seen["ReplicaSet"].values() if any(ref["uid"] == uid for ref in s["metadata"].get("ownerReferences") or ())
        ]
        current = next((s for s in sets if s["metadata"]["labels"].get(manifests.TEMPLATE_HASH) == digest), None)
        if current is None:
            current = self._kube.create(REPLICA_SET, key[0], manifests.replica_set(deployment, digest, wanted))
        elif current["spec"].get("replicas") != wanted:
            current = self._kube.patch(REPLICA_SET, *_key(current), {"spec": {"replicas": wanted}})
        quota = self._fill(current, deployment, wanted, now)
        ready = self._ready(current)
        total = self._size(current)
        for old in sets:
            if _key(old) == _key(current) or not self._pods_of(old):
                continue
            # The old pods stay until the new ones can take over, as a rolling update without surge limit does.
            if ready >= wanted:
                self._kube.patch(REPLICA_SET, *_key(old), {"spec": {"replicas": 0}})
                self._shrink(old, 0)
            else:
                total += self._size(old)
                ready += self._ready(old)
        if self.settings.pods_per_replica_set is None:
            self._report_set(current, wanted)
        self._report(key, {"total": total, "updated": self._size(current), "ready": ready}, quota, now)

    def _pods_of(self, owner_set: Obj) -> list[Obj]:
        uid = owner_set["metadata"]["uid"]
        pods = (pod for pod in self._seen["Pod"].values() if manifests.is_owned(pod, uid))
        return sorted(pods, key=lambda pod: (not self._nodes.is_ready(_key(pod)), pod["metadata"]["name"]))

    def _size(self, owner_set: Obj) -> int:
        return sum(self._nodes.stands_for(_key(pod)) for pod in self._pods_of(owner_set))

    def _ready(self, owner_set: Obj) -> int:
        return sum(self._nodes.stands_for(_key(pod)) for pod in self._pods_of(owner_set) if self._nodes.is_ready(_key(pod)))

    def _fill(self, owner_set: Obj, deployment: Obj, wanted: int, now: float) -> str:
        """Create missing and delete surplus pods; the sentence of a quota that forbids one, or ""."""
        limit = self.settings.pods_per_replica_set
        objects = wanted if limit is None else min(wanted, limit)
        self._shrink(owner_set, objects)
        have = self._pods_of(owner_set)
        refused = ""
        for _ in range(objects - len(have)):
            quota = self.settings.quotas.get(owner_set["metadata"]["namespace"])
            used = sum(1 for key in self._seen["Pod"] if key[0] == owner_set["metadata"]["namespace"])
            if quota is not None and used >= quota:
                name = f"{owner_set['metadata']['name']}-"
                refused = f'pods "{name}" is forbidden: exceeded quota: pods, requested: pods=1, used: pods={used}, limited: pods={quota}'
                break
            self._start_pod(owner_set, self.settings.behaviour_of(deployment), now)
        self._nodes.share(wanted, [_key(pod) for pod in self._pods_of(owner_set)])
        return refused

    def _start_pod(self, owner_set: Obj, behaviour: PodBehaviour, now: float) -> None:
        name = f"{owner_set['metadata']['name']}-{self._nodes.suffix()}"
        made = self._kube.create(POD, owner_set["metadata"]["namespace"], manifests.pod(owner_set, name))
        # The commit may reach us later than the next line needs it.
        self._seen["Pod"].setdefault(_key(made), made)
        self._live(_key(made), self._nodes.start(_key(made), behaviour, now))

    def _shrink(self, owner_set: Obj, objects: int) -> None:
        for surplus in self._pods_of(owner_set)[objects:]:
            self._seen["Pod"].pop(_key(surplus), None)
            self._kube.delete(POD, *_key(surplus), uid=surplus["metadata"]["uid"])

    def _live(self, key: Key, life: Life) -> None:
        """Plan a pod's next change."""
        if life.next_change is not None:
            self._plan(life.next_change, ("pod", key), lambda time: self._change(key, time))

    def _change(self, key: Key, now: float) -> None:
        pod, life = self._seen["Pod"].get(key), self._nodes.life(key)
        if pod is None or life is None:
            return
        life.step(now, self.settings.restart_seconds)
        status = manifests.pod_status(
            pod, ready=life.ready, restarts=life.restarts, waiting=life.waiting, address=life.address, time=_stamp(now)
        )
        self._seen["Pod"][key] = self._kube.patch(POD, *key, {"status": status}, subresource="status")
        self._live(key, life)
        self._plan_services(key[0], now)
        self._plan_owner(pod, "ReplicaSet", now)

    def _report_set(self, owner_set: Obj, wanted: int) -> None:
        """What `kubectl get replicasets` shows; left out where few writes matter more."""
        ready = self._ready(owner_set)
        status = {"replicas": self._size(owner_set), "fullyLabeledReplicas": wanted, "readyReplicas": ready, "availableReplicas": ready}
        if any((owner_set.get("status") or {}).get(name) != value for name, value in status.items()):
            self._kube.patch(REPLICA_SET, *_key(owner_set), {"status": status}, subresource="status")

    def _report(self, key: Key, pods: dict[str, int], quota: str, now: float) -> None:
        deployment = self._seen["Deployment"].get(key)
        if deployment is None:
            return
        status = manifests.deployment_status(deployment, pods, _stamp(now), quota=quota)
        if deployment.get("status") != status:
            self._seen["Deployment"][key] = self._kube.patch(DEPLOYMENT, *key, {"status": status}, subresource="status")

    def _sync_service(self, key: Key) -> None:
        """Bring a Service's EndpointSlice to the pods that it selects."""
        service = self._seen["Service"].get(key)
        selector = (service or {}).get("spec", {}).get("selector")
        if service is None or not selector or service["metadata"].get("deletionTimestamp"):
            return
        chosen = [
            p for k, p in self._seen["Pod"].items() if k[0] == key[0] and selector.items() <= (p["metadata"].get("labels") or {}).items()
        ]
        endpoints: list[dict[str, Any]] = []
        containers: list[Obj] = []
        for pod in sorted(chosen, key=lambda pod: str(pod["metadata"]["name"])):
            containers.extend((pod.get("spec") or {}).get("containers") or ())
            endpoints.extend(manifests.endpoint(pod, address, ready=ready) for address, ready in self._nodes.addresses(_key(pod), pod))
        wanted = manifests.endpoint_slice(service, endpoints, containers)
        place = (key[0], wanted["metadata"]["name"])
        found = self._seen["EndpointSlice"].get(place)
        try:
            if found is None:
                self._seen["EndpointSlice"][place] = self._kube.create(ENDPOINT_SLICE, key[0], wanted)
            elif found.get("endpoints") != wanted["endpoints"] or found.get("ports") != wanted["ports"]:
                body = {"endpoints": wanted["endpoints"], "ports": wanted["ports"]}
                self._seen["EndpointSlice"][place] = self._kube.patch(ENDPOINT_SLICE, *place, body)
        except (NotFoundError, RefusedError, ConflictError):
            return  # The namespace or the slice is on its way out; its deletion comes as a commit.


def _key(obj: Obj) -> Key:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def _spec_changed(old: Obj | None, new: Obj) -> bool:
    """Or its generation: a Deployment's rises with its annotations too, and has to be observed."""
    return old is None or bool(old.get("spec") != new.get("spec") or old["metadata"].get("generation") != new["metadata"].get("generation"))


def _selectable(pod: Obj) -> tuple[Any, bool]:
    """What decides whether a pod is behind a Service, besides its readiness."""
    return pod["metadata"].get("labels"), "deletionTimestamp" in pod["metadata"]


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
