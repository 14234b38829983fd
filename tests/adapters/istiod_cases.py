"""The recorded cases of a real istiod as worlds, and our routes in the words of the recording."""

import json
from datetime import UTC, datetime
from pathlib import Path

from controller.adapters.istio.routing import (
    matched_domain,
    route_host,
    tcp_clusters,
)
from controller.adapters.istio.routing_clusters import clusters_of, endpoints_of, find_cluster
from controller.adapters.istio.routing_model import PASSTHROUGH, ClusterId, Proxy, ProxyType, Route, World
from controller.adapters.istio.routing_parse import world_of

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "istiod-routes.json").read_text())
CASES = {case["name"]: case for case in RECORDED["cases"]}
START = 1_767_225_600.0


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def colour(pod: dict) -> str:
    return {"v1": "blue", "v2": "green", "v3": "red"}.get(pod["labels"].get("version", ""), "")


def fixed_objects() -> list[dict]:
    """The world that every case stands in: Services, their EndpointSlices and the Pods."""
    objects = []
    pods = RECORDED["world"]["pods"]
    for pod in pods:
        meta = {"name": pod["name"], "namespace": pod["namespace"], "labels": pod["labels"], "uid": pod["ip"]}
        objects += [{"kind": "Pod", "metadata": meta}]
    for service in RECORDED["world"]["services"]:
        meta = {"name": service["name"], "namespace": service["namespace"]}
        objects.append({"kind": "Service", "metadata": meta, "spec": {"ports": service["ports"], "selector": service["selector"]}})
        behind = [
            pod
            for pod in pods
            if pod["namespace"] == service["namespace"]
            and all(pod["labels"].get(key) == value for key, value in service["selector"].items())
            and service["only_pods_of"] in (None, colour(pod))
        ]
        objects.append(slice_of(service, behind))
    return objects


def slice_of(service: dict, pods: list[dict]) -> dict:
    return {
        "kind": "EndpointSlice",
        "metadata": {
            "name": service["name"] + "-1",
            "namespace": service["namespace"],
            "labels": {"kubernetes.io/service-name": service["name"]},
        },
        "ports": [{"name": port["name"], "port": port["targetPort"]} for port in service["ports"]],
        "endpoints": [
            {
                "addresses": [p["ip"]],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "namespace": p["namespace"], "name": p["name"]},
            }
            for p in pods
        ],
    }


def case_objects(case: dict) -> list[dict]:
    """The objects of a case with the creation times that its recording had."""
    now, objects = START, []
    for raw in case["objects"]:
        now += raw.get("_after_s", 0.05)
        if raw.get("_at_second_start"):
            now = float(int(now) + 1)
        metadata = {**raw["metadata"], "creationTimestamp": stamp(now)}
        objects.append({**{k: v for k, v in raw.items() if not k.startswith("_")}, "metadata": metadata})
    return objects


def world_of_case(case: dict) -> World:
    return world_of([*fixed_objects(), *case_objects(case)])


def proxy_named(name: str) -> Proxy:
    raw = RECORDED["world"]["proxies"][name]
    return Proxy(name, raw["namespace"], raw["labels"], ProxyType(raw["type"]))


def listener_port(rds: str | None) -> int:
    return int((rds or "80").rsplit(".", 1)[-1])


def rendered_route(route: Route) -> dict:
    found: dict = {"match": {route.match.path[0]: route.match.path[1]}}
    if route.match.headers:
        found["match"]["headers"] = [[name, dict(value)] for name, value in route.match.headers]
    if route.match.query:
        found["match"]["query"] = [[name, dict(value)] for name, value in route.match.query]
    if route.name:
        found["name"] = route.name
    if route.to:
        found["to"] = [[cluster.short(), weight] for cluster, weight in route.to]
        found["kind"] = "weighted" if route.weighted else "cluster"
    if route.mirrors:
        found["mirror"] = [[cluster.short(), percent] for cluster, percent in route.mirrors]
    if route.retried:
        found["retry"] = "default"
    found.update(rendered_options(route.options))
    return found


def percentage(value: float) -> dict:
    return {"numerator": int(value * 10_000), "denominator": "MILLION"}


def rendered_options(options: dict) -> dict:
    found: dict = {}
    if fault := options.get("fault"):
        found["fault"] = {
            "delay": {"fixed_delay": fault["delay"]["fixedDelay"], "percentage": percentage(fault["delay"]["percentage"]["value"])},
            "abort": {"http_status": fault["abort"]["httpStatus"], "percentage": percentage(fault["abort"]["percentage"]["value"])},
        }
    if redirect := options.get("redirect"):
        found["redirect"] = {"path_redirect": redirect["uri"], "response_code": {302: "FOUND"}[redirect["redirectCode"]]}
    if direct := options.get("directResponse"):
        found["direct_response"] = {"status": direct["status"], "body": direct["body"]["string"]}
    if cors := options.get("corsPolicy"):
        found["cors"] = {
            "allow_origin_string_match": cors["allowOrigins"],
            "allow_methods": ",".join(cors["allowMethods"]),
            "max_age": str(int(cors["maxAge"].removesuffix("h")) * 3600),
            "filter_enabled": {"default_value": {"numerator": 100}},
            "forward_not_matching_preflights": True,
        }
    return found


def addresses(world: World, proxy: Proxy, cluster_id: ClusterId) -> list[str]:
    cluster = find_cluster(world, proxy, cluster_id)
    return [f"{e.address}:{e.ports[cluster.port.name]}" for e in endpoints_of(world, cluster)] if cluster else []


def rendered_view(world: World, asked: dict, *, list_clusters: bool) -> dict:
    proxy = proxy_named(asked["proxy"])
    if "listener" in asked:
        to = tcp_clusters(world, proxy, "raw.shop.svc.cluster.local", 8000)
        missing = [cluster.short() for cluster, _ in to if find_cluster(world, proxy, cluster) is None]
        return {
            **asked,
            "chains": [{"match": {}, "to": [[cluster.short(), weight] for cluster, weight in to], "missing_clusters": missing}],
        }
    host = route_host(world, proxy, asked["host"], listener_port(asked.get("rds")))
    known = clusters_of(world, proxy)
    subsets = [cluster.id for cluster in known if cluster.id.subset]
    routed = [cluster for route in host.routes for cluster, _ in (*route.to, *route.mirrors)]
    missing = [cluster for cluster in routed if cluster != PASSTHROUGH and find_cluster(world, proxy, cluster) is None]
    found = {
        "proxy": asked["proxy"],
        "rds": asked.get("rds", "80"),
        "host": asked["host"],
        "virtual_host": host.name,
        "matched_domain": matched_domain(host, asked["host"]),
        "routes": [rendered_route(route) for route in host.routes],
        "subset_clusters": [cluster.short() for cluster in subsets],
        "missing_clusters": sorted({cluster.short() for cluster in missing}),
        "endpoints": {cluster.short(): addresses(world, proxy, cluster) for cluster in (*routed, *subsets) if cluster not in missing},
    }
    if list_clusters:
        found["clusters"] = [cluster.id.short() for cluster in known if not cluster.id.subset]
    return found
