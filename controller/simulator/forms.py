"""A scenario's people, pods and metrics in the forms of the mesh and of the workloads."""

from collections.abc import Iterable, Sequence
from typing import Any

from controller.adapters.istio.routing_model import Proxy, ProxyType
from controller.ports import Obj
from controller.simulator.mesh.answers import Request
from controller.simulator.mesh.app_metrics import AppMetric
from controller.simulator.mesh.behaviour import Behaviour, Latency, Selector, Steps
from controller.simulator.mesh.mesh import Delay, ProxySpec
from controller.simulator.mesh.traffic import Source
from controller.simulator.scenario import START, AppMetricModel, Pods, Step, Users, Version
from controller.simulator.workloads.behaviour import PodBehaviour


def with_namespaces(objects: Iterable[Obj]) -> list[Obj]:
    """The objects, with a Namespace in front for each that they use and do not bring."""
    listed = list(objects)
    brought = {o["metadata"]["name"] for o in listed if o["kind"] == "Namespace"} | {"default"}
    used = dict.fromkeys(o["metadata"].get("namespace", "default") for o in listed if o["kind"] != "Namespace")
    made: list[Obj] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in used if name not in brought]
    return made + sorted(listed, key=lambda o: o["kind"] != "Namespace")


def steps(points: Sequence[Step]) -> Steps[float]:
    """Scenario steps in the mesh's form."""
    return Steps(tuple((point.after, point.value) for point in points))


def proxy_of(users: Users) -> ProxySpec:
    """The proxy that takes these users' requests."""
    late = Delay(0.001, users.delay) if users.delay else Delay()
    if users.gateway:
        proxy = Proxy(users.name, users.gateway.partition("/")[0], ingress_labels(users.gateway), ProxyType.ROUTER)
    else:
        proxy = Proxy(users.name, users.namespace)
    return ProxySpec(proxy, late, late, late)


def ingress_labels(gateway: str) -> dict[str, str]:
    """Labels of an ingress proxy, which Gateways select it by."""
    return {"istio": gateway.partition("/")[2]}


def source_of(users: Users) -> Source:
    """The users themselves."""
    request = Request(users.host, users.port, path=users.path, headers=users.headers)
    return Source(users.name, users.name, request, steps(users.rps), grpc=users.grpc)


def behaviour_of(version: Version) -> Behaviour:
    """How a version behaves, in the mesh's form."""
    return Behaviour(
        of=Selector(version.namespace, version.workload, "*", version.image),
        error_rate=steps(version.errors),
        error_code=version.error_code,
        latency=Steps(tuple((point.after, Latency.between(point.value.p50, point.value.p99)) for point in version.latency)),
        since_first_request=version.since_first_request,
        min_share=version.min_share,
    )


def pod_behaviour(pods: Pods) -> PodBehaviour:
    """How pods come up, in the workloads' form."""
    return PodBehaviour(
        workload=pods.workload,
        image=pods.image,
        ready_seconds=pods.ready_after,
        crash_after_seconds=pods.crash_after,
        image_missing=pods.image_missing,
        unready_between=tuple((START + span.after, START + span.until) for span in pods.unready),
    )


def metric_of(metric: AppMetricModel) -> AppMetric:
    """A metric of the applications, in the mesh's form."""
    of = Selector(metric.namespace, metric.workload, "*", metric.image)
    value = steps(metric.value)
    first = metric.value[0].value
    kinds: dict[str, dict[str, Any]] = {
        "good": {"per_success": first},
        "bad": {"per_error": first},
        "all": {"per_request": first},
        "gauge": {"gauge": value},
        "rate": {"per_second": value},
        "histogram": {"edges": tuple(metric.buckets)},
    }
    return AppMetric(metric.name, of, metric.labels, **kinds[metric.kind])
