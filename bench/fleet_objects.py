"""The objects of a fleet: many small applications, each with its plan and its release. No I/O.

    namespace fleet-3: Deployment, Service, DestinationRule, VirtualService and ReleasePlan of app-60 to app-79

They are as small as they can be: one pod, one route; judged by one query, or as a plan of ten lines is.
"""

from typing import Any

Object = dict[str, Any]

PER_NAMESPACE = 20
"""Applications of one namespace."""


def name_of(number: int) -> str:
    """Of one application; its Deployment, Service, routes and plan have it too."""
    return f"app-{number}"


def namespace_of(number: int) -> str:
    """Where it lives."""
    return f"fleet-{number // PER_NAMESPACE}"


def green_of(name: str) -> str:
    """Its second Deployment."""
    return f"{name}-green"


def application(number: int, interval: str, drain: str, *, sequential: bool = False) -> list[Object]:
    """Everything but the release, in the order of creation."""
    name, meta = name_of(number), {"name": name_of(number), "namespace": namespace_of(number)}
    labels = {"app": name, "version": "v1"}
    judged = BY_DEFAULT if sequential else by_limits(interval)
    container = {"name": name, "image": f"registry.example/{name}:v1", "ports": [{"containerPort": 8080}]}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        },
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": meta,
            "spec": {"host": name, "subsets": [{"name": "v1", "labels": {"version": "v1"}}]},
        },
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": meta,
            "spec": {"hosts": [name], "http": [{"route": [{"destination": {"host": name, "subset": "v1"}}]}]},
        },
        {"apiVersion": "penstock.dev/v1alpha1", "kind": "ReleasePlan", "metadata": meta, "spec": plan(name, drain, judged)},
    ]


BY_DEFAULT: Object = {"traffic": {}}
"""As a plan of ten lines is judged: by the raw counters of both versions, which the split, the checks and the trigger share."""


def by_limits(interval: str) -> Object:
    """One threshold at a stage's end, and one trigger of one query that one failure satisfies: the smallest thresholds."""
    errors = {"name": "errors", "builtin": "error-rate", "limit": {"max": 5}, "unit": "%"}
    return {"traffic": {"metrics": "none"}, "settle": {"time": "0s"}, "checks": [errors], "triggers": [{**errors, "interval": interval}]}


def plan(name: str, drain: str, judged: Object) -> Object:
    """A stage that lasts all day."""
    return {
        **judged,
        "workload": name,
        "traffic": {"virtualService": name, **judged["traffic"]},
        "preparation": {"routeDelay": "0s", "deadline": "6h"},
        "stages": [{"weight": weight, "window": "24h", "warmUp": "0s"} for weight in (50, 100)],
        "rollback": {"drain": drain},
    }


def release(number: int, revision: str) -> Object:
    """A release of the application."""
    name = name_of(number)
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "Release",
        "metadata": {"name": f"{name}-{revision}", "namespace": namespace_of(number)},
        "spec": {"plan": name, "revision": revision, "images": {name: f"registry.example/{name}:{revision}"}},
    }


def copied(finished: Object, number: int, index: int) -> tuple[Object, Object]:
    """One more finished release, of the application of that number: the object, and the status that a controller wrote for another."""
    body = release(number, f"past-{index}")
    return body, finished["status"]
