"""The bed's own routing, the second opinion beside the product's: against the recordings of a real istiod and Envoy, and by hand."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest

from tests.bed.traffic import Flow, World, copies, targets

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "istiod-routes.json").read_text())
PODS = {pod["ip"]: pod for pod in RECORDED["world"]["pods"]}
FIELDS = {"VirtualService": "virtual_services", "DestinationRule": "destination_rules", "Gateway": "gateways"}
NOT_UNDERSTOOD = {
    "dr-export-dot": "exportTo of a DestinationRule",
    "dr-wildcard-and-specific": "DestinationRules for a wildcard",
    "fault-delay-abort": "fault",
    "redirect-direct": "redirect",
    "method-query-scheme": "match on method",
    "source-labels-other": "match on sourceLabels",
    "match-port": "match on port",
    "port-absent-multi-to-single": "ports",
    "port-single-inferred": "match on port",
    "sidecar-hides-service": "Sidecar",
    "sidecar-imports-namespace": "Sidecar",
    "service-entry-weights": "ServiceEntry",
    "tcp-default": "tcp",
    "tcp-weights-0-100": "tcp",
    "tcp-match-port": "tcp",
}
"""The recorded cases that the bed does not model, each with what it lacks."""
VIEWS = [
    pytest.param(case, asked, seen, id=f"{case['name']}-{asked['proxy']}-{asked.get('host')}")
    for case in RECORDED["cases"]
    for asked, seen in zip(case["views"], case["result"]["views"], strict=True)
    if case["name"] not in NOT_UNDERSTOOD
]


def colour(pod):
    return f"{pod['namespace']}/{pod['labels'].get('version', pod['labels'].get('app', ''))}"


def a_world(*objects):
    """The recording's Services and pods, one Deployment for each version, with these objects in the order of their creation."""
    world = World()
    for service in RECORDED["world"]["services"]:
        meta = {"name": service["name"], "namespace": service["namespace"]}
        world.services[meta["namespace"], meta["name"]] = {"metadata": meta, "spec": {"selector": service["selector"]}}
    for pod in PODS.values():
        key = (pod["namespace"], colour(pod))
        meta = {"name": colour(pod), "namespace": pod["namespace"]}
        made = {"metadata": meta, "spec": {"template": {"metadata": {"labels": pod["labels"]}}}, "status": {"readyReplicas": 0}}
        world.deployments.setdefault(key, made)["status"]["readyReplicas"] += 1
    now = 0.0
    for raw in objects:
        now = float(int(now) + 1) if raw.get("_at_second_start") else now + raw.get("_after_s", 0.05)
        meta = raw["metadata"] | {"creationTimestamp": f"{int(now):04}"}
        getattr(world, FIELDS[raw["kind"]])[meta["namespace"], meta["name"]] = raw | {"metadata": meta}
    return world


def probes(seen, asked):
    """Requests that tell the recorded routes apart: every path and every value of a header that they ask for, and others."""
    matches = [route["match"] for route in seen["routes"]]
    paths = {"/", "/else"} | {path + end for match in matches for path in path_of(match) for end in ("", "/x")} | {"/c/42"}
    values = {name: {None, "other", *map(str, rule.values())} for match in matches for name, rule in match.get("headers", ())}
    chosen = [dict(zip(values, mix, strict=True)) for mix in itertools.product(*values.values())]
    proxy = RECORDED["world"]["proxies"][asked["proxy"]]
    gateway = "istio-system/edge" if proxy["type"] == "router" else ""
    for path in sorted(paths):
        for headers in chosen:
            given = {name: value for name, value in headers.items() if value is not None}
            yield Flow(asked["host"], 1, gateway, source_namespace=proxy["namespace"], headers=given, path=path)


def path_of(match):
    return [match[kind] for kind in ("prefix", "exact") if kind in match]


def taken(match, flow):
    """Whether a route of the recording takes a request, in Envoy's words."""
    path = {
        "prefix": flow.path.startswith,
        "exact": lambda text: flow.path == text,
        "regex": lambda text: re.fullmatch(text, flow.path) is not None,
    }
    (kind,) = match.keys() & path.keys()
    return path[kind](match[kind]) and all(header_fits(rule, flow.headers.get(name)) for name, rule in match.get("headers", ()))


def header_fits(rule, value):
    ((kind, wanted),) = rule.items()
    return value is not None and {"exact": value == wanted, "present": True}[kind]


def ends(seen, to):
    """Where one cluster of the recording leads, with its parts."""
    if to in seen["missing_clusters"]:
        return {"NC": 1.0}
    pods = [colour(PODS[address.partition(":")[0]]) for address in seen["endpoints"][to]]
    return {one: pods.count(one) / len(pods) for one in pods} if pods else {"UH": 1.0}


def summed(parts):
    found = {}
    for name, share in parts:
        found[name] = found.get(name, 0.0) + share
    return {name: pytest.approx(share) for name, share in found.items()}


def expected(seen, flow):
    """Shares of a request and of its copies, by the routes that Envoy had."""
    route = next((one for one in seen["routes"] if taken(one["match"], flow)), None)
    if route is None:
        return {"NR": pytest.approx(1.0)}, {}
    total = sum(weight for _, weight in route["to"])
    sent = summed((end, weight / total * part) for to, weight in route["to"] for end, part in ends(seen, to).items())
    mirrored = [(end, percent / 100 * part) for to, percent in route.get("mirror", ()) for end, part in ends(seen, to).items()]
    return sent, summed(mirrored)


def told(found):
    parts = {}
    for target, share in found:
        name = target.flags or target.workload
        parts[name] = parts.get(name, 0.0) + share
    return parts


@pytest.mark.parametrize(("case", "asked", "seen"), VIEWS)
def test_every_recorded_proxy_sends_and_copies_as_the_bed_says(case, asked, seen):
    world = a_world(*case["objects"])

    for flow in probes(seen, asked):
        assert (told(targets(flow, world)), told(copies(flow, world))) == expected(seen, flow), flow


def test_the_cases_that_are_left_out_are_recorded_ones():
    assert NOT_UNDERSTOOD.keys() < {case["name"] for case in RECORDED["cases"]}
    assert len(VIEWS) >= 60


def virtual_service(name, *hosts, http=None, namespace="shop", **spec):
    rules = http or [{"route": [{"destination": {"host": "shop-blue"}}]}]
    return {"kind": "VirtualService", "metadata": {"name": name, "namespace": namespace}, "spec": {"hosts": hosts, "http": rules, **spec}}


def gateway(name, *hosts, selector="ingressgateway"):
    spec = {"selector": {"istio": selector}, "servers": [{"port": {"number": 80}, "hosts": hosts}]}
    return {"kind": "Gateway", "metadata": {"name": name, "namespace": "edge"}, "spec": spec}


GREEN = [{"route": [{"destination": {"host": "shop-green"}}]}]


def through(name, host, *objects):
    """Which versions answer a request for a host that comes through a Gateway."""
    return set(told(targets(Flow(host, 1, f"edge/{name}"), a_world(*objects))))


class TestGateways:
    """Beyond the recording, by the manual: https://istio.io/latest/docs/reference/config/networking/gateway/#Server."""

    def test_a_wildcard_lets_in_what_ends_so_and_nothing_else(self):
        world = gateway("wide", "*.example.com"), virtual_service("shop", "*.example.com", gateways=["edge/wide"])

        assert through("wide", "shop.example.com", *world) == {"shop/v1"}
        assert through("wide", "example.org", *world) == {"NR"}

    def test_the_more_specific_host_of_two_wins(self):
        wide = virtual_service("wide", "*.example.com", gateways=["edge/wide"])
        narrow = virtual_service("narrow", "shop.example.com", gateways=["edge/wide"], http=GREEN)

        assert through("wide", "shop.example.com", gateway("wide", "*"), wide, narrow) == {"shop/v2"}
        assert through("wide", "else.example.com", gateway("wide", "*"), wide, narrow) == {"shop/v1"}

    def test_gateways_of_the_same_proxies_are_one_and_others_are_not(self):
        shop = virtual_service("shop", "shop.example.com", gateways=["edge/second"])

        assert through("first", "shop.example.com", gateway("first", "*"), gateway("second", "*.example.com"), shop) == {"shop/v1"}
        assert through("first", "shop.example.com", gateway("first", "*"), gateway("second", "*", selector="inner"), shop) == {"NR"}

    def test_a_server_may_name_the_namespace_that_it_lets_in(self):
        shop = virtual_service("shop", "shop.example.com", gateways=["edge/own"])

        assert through("own", "shop.example.com", gateway("own", "shop/*"), shop) == {"shop/v1"}
        assert through("own", "shop.example.com", gateway("own", "./*"), shop) == {"NR"}


def test_a_delegate_in_another_namespace_resolves_its_hosts_there_and_is_mirrored_as_its_root_says():
    root = virtual_service("root", "shop.shop.svc.cluster.local", namespace="app")
    root["spec"]["http"] = [{"delegate": {"name": "part", "namespace": "shop"}, "mirror": {"host": "shop-red.shop.svc.cluster.local"}}]
    part = virtual_service("part", http=GREEN)
    world = a_world(root, part)
    flow = Flow("shop.shop.svc.cluster.local", 1)

    assert (told(targets(flow, world)), told(copies(flow, world))) == ({"shop/v2": 1.0}, {"shop/v3": 1.0})


def test_a_copy_that_reaches_nobody_is_nobodys():
    shop = virtual_service("shop", "shop", http=[{"route": [{"destination": {"host": "shop-blue"}}], "mirror": {"host": "nowhere"}}])

    assert copies(Flow("shop.shop.svc.cluster.local", 1), a_world(shop)) == []
