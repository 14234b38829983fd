"""The objects that the simulated controllers write, as pure functions of what they saw."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controller.ports import Obj

SERVICE_NAME = "kubernetes.io/service-name"
TEMPLATE_HASH = "pod-template-hash"
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def template_hash(template: Obj) -> str:
    """Ten characters that name a pod template."""
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:10])


def owner(kind: str, api_version: str, obj: Obj) -> dict[str, Any]:
    """The controlling ownerReference to an object."""
    meta = obj["metadata"]
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_owned(obj: Obj, uid: str) -> bool:
    """Whether an object names this owner."""
    return any(ref["uid"] == uid for ref in obj["metadata"].get("ownerReferences") or ())


def replica_set(deployment: Obj, digest: str, replicas: int) -> dict[str, Any]:
    """The ReplicaSet of a Deployment's present template."""
    meta, spec = deployment["metadata"], deployment["spec"]
    template = spec["template"]
    labels = {**(template.get("metadata", {}).get("labels") or {}), TEMPLATE_HASH: digest}
    selector = {**spec["selector"], "matchLabels": {**(spec["selector"].get("matchLabels") or {}), TEMPLATE_HASH: digest}}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{meta['name']}-{digest}",
            "namespace": meta["namespace"],
            "labels": labels,
            "ownerReferences": [owner("Deployment", "apps/v1", deployment)],
        },
        "spec": {
            "replicas": replicas,
            "selector": selector,
            "template": {**template, "metadata": {**template.get("metadata", {}), "labels": labels}},
        },
    }


def pod(owner_set: Obj, name: str) -> dict[str, Any]:
    """One pod of a ReplicaSet."""
    template = owner_set["spec"]["template"]
    meta = {
        "name": name,
        "namespace": owner_set["metadata"]["namespace"],
        "labels": template["metadata"]["labels"],
        "ownerReferences": [owner("ReplicaSet", "apps/v1", owner_set)],
    }
    if template["metadata"].get("annotations"):
        meta["annotations"] = template["metadata"]["annotations"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"nodeName": "node-1", **template.get("spec", {})}}


def pod_status(found: Obj, *, ready: bool, restarts: int, waiting: str, address: str, time: str) -> dict[str, Any]:
    """A pod's status; `waiting` is the reason why its containers do not run, "" where they do."""
    containers = (found.get("spec") or {}).get("containers") or ({"name": "app", "image": ""},)
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {"startedAt": time}}
    truth = "True" if ready else "False"
    return {
        "phase": "Pending" if waiting in ("ImagePullBackOff", "ContainerCreating") else "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "hostIP": "10.0.0.1",
        "startTime": found["metadata"].get("creationTimestamp", time),
        "conditions": [
            {"type": kind, "status": status, "lastTransitionTime": time}
            for kind, status in (("PodScheduled", "True"), ("Initialized", "True"), ("ContainersReady", truth), ("Ready", truth))
        ],
        "containerStatuses": [
            {
                "name": container.get("name", ""),
                "image": container.get("image", ""),
                "imageID": "",
                "ready": ready,
                "started": not waiting,
                "restartCount": restarts,
                "state": state,
            }
            for container in containers
        ],
    }


def deployment_status(deployment: Obj, pods: Mapping[str, int], time: str, *, quota: str) -> dict[str, Any]:
    """A Deployment's status; `pods` counts total, updated and ready ones."""
    wanted = deployment["spec"].get("replicas", 1)
    available = "True" if pods["ready"] >= wanted else "False"
    complete = pods["ready"] >= wanted and pods["updated"] == pods["total"]
    conditions = [
        {
            "type": "Available",
            "status": available,
            "reason": "MinimumReplicasAvailable" if available == "True" else "MinimumReplicasUnavailable",
        },
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" if complete else "ReplicaSetUpdated"},
    ]
    if quota:
        conditions.append({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": quota})
    before = {c.get("type"): c for c in (deployment.get("status") or {}).get("conditions") or ()}
    for condition in conditions:
        same = before.get(condition["type"])
        unchanged = same is not None and same.get("status") == condition["status"]
        condition["lastTransitionTime"] = same["lastTransitionTime"] if same is not None and unchanged else time
        condition["lastUpdateTime"] = condition["lastTransitionTime"]
    return {
        "observedGeneration": deployment["metadata"].get("generation", 1),
        "replicas": pods["total"],
        "updatedReplicas": pods["updated"],
        "readyReplicas": pods["ready"],
        "availableReplicas": pods["ready"],
        "unavailableReplicas": max(0, wanted - pods["ready"]),
        "conditions": conditions,
    }


def target_port(port: Obj, containers: Iterable[Obj]) -> int:
    """The number behind a Service port, by name where it names a container's port."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    named = (entry for container in containers for entry in container.get("ports") or ())
    return next((int(entry["containerPort"]) for entry in named if entry.get("name") == target), int(port["port"]))


def endpoint_slice(service: Obj, endpoints: Sequence[Mapping[str, Any]], containers: Sequence[Obj]) -> dict[str, Any]:
    """The EndpointSlice of a Service."""
    meta = service["metadata"]
    ports = []
    for port in service["spec"].get("ports") or ():
        entry = {"name": port.get("name", ""), "port": target_port(port, containers), "protocol": port.get("protocol", "TCP")}
        ports.append({**entry, **({"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {})})
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{meta['name']}-slice",
            "namespace": meta["namespace"],
            "labels": {SERVICE_NAME: meta["name"], "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
            "ownerReferences": [owner("Service", "v1", service)],
        },
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": list(endpoints),
    }


def endpoint(found: Obj, address: str, *, ready: bool) -> dict[str, Any]:
    """One endpoint of a pod."""
    meta = found["metadata"]
    ending = "deletionTimestamp" in meta
    target = {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}
    conditions = {"ready": ready and not ending, "serving": ready, "terminating": ending}
    return {"addresses": [address], "conditions": conditions, "targetRef": target}
