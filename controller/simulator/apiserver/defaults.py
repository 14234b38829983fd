"""What the server fills in for built-in kinds, as far as clients rely on it (`kubectl describe` reads it unchecked)."""

from collections.abc import Callable
from typing import Any

from controller.ports import Obj
from controller.simulator.apiserver.resources import Resource

_CONTAINER = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "imagePullPolicy": "IfNotPresent",
    "resources": {},
}
_POD = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "securityContext": {},
    "schedulerName": "default-scheduler",
}
_DEPLOYMENT = {
    "replicas": 1,
    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}},
    "revisionHistoryLimit": 10,
    "progressDeadlineSeconds": 600,
}


def with_defaults(resource: Resource, body: Obj) -> Obj:
    """The object with its defaults filled in; the same object where its kind has none or nothing was missing."""
    fill = _FILLERS.get((resource.kind.group, resource.kind.plural))
    return body if fill is None else fill(body)


def _filled(holder: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    missing = {key: value for key, value in defaults.items() if key not in holder}
    return {**holder, **missing} if missing else holder


def _port(port: Any) -> Any:
    return _filled(port, {"protocol": "TCP"})


def _container(container: Any) -> Any:
    filled = _filled(container, _CONTAINER)
    ports = filled.get("ports")
    if not ports or all("protocol" in port for port in ports):
        return filled
    return {**filled, "ports": [_port(port) for port in ports]}


def _pod_spec(spec: Any) -> Any:
    filled = _filled(spec, _POD)
    for key in ("containers", "initContainers"):
        before = filled.get(key) or []
        after = [_container(container) for container in before]
        if any(new is not old for new, old in zip(after, before, strict=True)):
            filled = {**filled, key: after}
    return filled


def _templated(defaults: dict[str, Any]) -> Callable[[Obj], Obj]:
    def fill(body: Obj) -> Obj:
        spec = body.get("spec") or {}
        filled = _filled(spec, defaults)
        template = filled.get("template")
        if isinstance(template, dict) and "spec" in template:
            pod = _pod_spec(template["spec"])
            if pod is not template["spec"]:
                filled = {**filled, "template": {**template, "spec": pod}}
        return body if filled is spec else {**body, "spec": filled}

    return fill


def _pod(body: Obj) -> Obj:
    spec = body.get("spec") or {}
    filled = _pod_spec(_filled(spec, {"enableServiceLinks": True}))
    status = body.get("status") or {"phase": "Pending"}
    return body if filled is spec and "status" in body else {**body, "spec": filled, "status": status}


def _service(body: Obj) -> Obj:
    spec = body.get("spec") or {}
    filled = _filled(spec, {"type": "ClusterIP", "sessionAffinity": "None"})
    ports = [_filled(_port(port), {"targetPort": port["port"]}) for port in filled.get("ports") or []]
    if ports and ports != filled["ports"]:
        filled = {**filled, "ports": ports}
    return body if filled is spec else {**body, "spec": filled}


def _namespace(body: Obj) -> Obj:
    name = body["metadata"]["name"]
    labels = body["metadata"].get("labels") or {}
    if "kubernetes.io/metadata.name" not in labels:
        body = {**body, "metadata": {**body["metadata"], "labels": {**labels, "kubernetes.io/metadata.name": name}}}
    return {**body, "spec": body.get("spec") or {"finalizers": ["kubernetes"]}, "status": body.get("status") or {"phase": "Active"}}


_FILLERS: dict[tuple[str, str], Callable[[Obj], Obj]] = {
    ("apps", "deployments"): _templated(_DEPLOYMENT),
    ("apps", "replicasets"): _templated({"replicas": 1}),
    ("", "pods"): _pod,
    ("", "services"): _service,
    ("", "namespaces"): _namespace,
    ("", "secrets"): lambda body: _filled(body, {"type": "Opaque"}),
    ("autoscaling", "horizontalpodautoscalers"): lambda body: (
        body if "minReplicas" in (body.get("spec") or {}) else {**body, "spec": {**(body.get("spec") or {}), "minReplicas": 1}}
    ),
}
