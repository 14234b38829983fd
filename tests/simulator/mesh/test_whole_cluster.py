"""API server, controllers, mesh and users together: a hand-made release from its first pod to its last weight."""

import pytest

from controller.adapters.istio.routing_model import Proxy, ProxyType
from controller.ports import CRD, DEPLOYMENT, ENDPOINT_SLICE, NAMESPACE, SERVICE, VIRTUAL_SERVICE, Patch
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.store import ApiServer
from controller.simulator.mesh.answers import Request
from controller.simulator.mesh.behaviour import Behaviour, Selector, steady
from controller.simulator.mesh.mesh import Delay, Mesh, ProxySpec
from controller.simulator.mesh.traffic import Source, Traffic, TrafficSettings
from controller.simulator.promql.storage import Store
from controller.simulator.workloads.behaviour import PodBehaviour, WorkloadSettings
from controller.simulator.workloads.client import ManagerKube
from controller.simulator.workloads.workloads import Workloads

START = 1_767_225_600.0
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
VERSION = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": OPEN}}
NAMES = {"kind": "VirtualService", "plural": "virtualservices", "singular": "virtualservice", "listKind": "VirtualServiceList"}


class Bed:
    def __init__(self, settings=None, delays=None):
        self.time, self.store, self.ready_seen = START, Store(), []
        self.server = ApiServer(lambda: self.time)
        self.workloads = Workloads(ManagerKube(self.server), settings or WorkloadSettings())
        gateway = Proxy("gateway-1", "istio-system", {"istio": "ingressgateway"}, ProxyType.SIDECAR)
        self.mesh = Mesh([ProxySpec(gateway, **(delays or {}))])
        self.server.on_commit(self.heard)
        self.kube = InMemoryKube(self.server, "user")
        spec = {"group": "networking.istio.io", "scope": "Namespaced", "names": NAMES, "versions": [VERSION]}
        self.create(CRD, "", {"metadata": {"name": "virtualservices.networking.istio.io"}, "spec": spec})
        self.create(NAMESPACE, "", {"metadata": {"name": "shop"}})
        for colour in ("blue", "green"):
            body = {"spec": {"selector": {"version": colour}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}
            self.create(SERVICE, "shop", {"metadata": {"name": colour}, **body})
        self.deploy("blue")
        route = [{"destination": {"host": colour}, "weight": weight} for colour, weight in (("blue", 100), ("green", 0))]
        self.create(
            VIRTUAL_SERVICE, "shop", {"metadata": {"name": "shop"}, "spec": {"hosts": ["shop.example"], "http": [{"route": route}]}}
        )
        self.workloads.settle(self.time)
        self.mesh.settle(self.time)
        source = Source("users", "gateway-1", Request("shop.example"), steady(50.0))
        broken = Behaviour(of=Selector(image="*:bad"), error_rate=steady(0.2))
        self.traffic = Traffic(self.mesh, [source], self.store, behaviours=[broken], settings=TrafficSettings(start=START))

    def create(self, kind, namespace, body):
        return self.kube.create(kind, namespace, {"apiVersion": kind.api_version, "kind": kind.kind, **body})

    def heard(self, commit):
        self.workloads.apply(commit.kind, commit.old, commit.new, commit.time)
        self.mesh.apply(commit.kind, commit.old, commit.new, commit.time)

    def deploy(self, colour, image="shop:1"):
        labels = {"app": "shop", "version": colour}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}}
        spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
        return self.create(DEPLOYMENT, "shop", {"metadata": {"name": colour}, "spec": spec})

    def shift(self, green):
        base = "/spec/http/0/route"
        body = [{"op": "add", "path": f"{base}/{i}/weight", "value": weight} for i, weight in enumerate((100 - green, green))]
        self.kube.patch(VIRTUAL_SERVICE, "shop", "shop", body, Patch.JSON)

    def until(self, seconds):
        end = START + seconds
        while True:
            due = [time for time in (self.workloads.next_event_time(), self.mesh.next_event_time()) if time is not None and time <= end]
            if not due:
                break
            self.time = max(self.time, min(due))
            self.workloads.advance(self.time)
            self.mesh.advance(self.time)
        self.time = end
        self.traffic.scrape(end)
        return self

    def requests(self, **labels):
        wanted = {"reporter": "source", **labels}.items()
        return sum(s.values[-1] for s in self.store.pool("istio_requests_total") if wanted <= dict(s.labels).items())


def test_green_gets_its_part_and_its_errors_reach_the_counters():
    bed = Bed()
    bed.deploy("green", "shop:bad")
    bed.until(30)
    bed.shift(10)
    bed.until(30.2)
    blue, green, bad = (
        bed.requests(destination_workload="blue"),
        bed.requests(destination_workload="green"),
        bed.requests(destination_workload="green", response_code="500"),
    )
    bed.until(130.2)

    assert bed.requests(destination_workload="blue") - blue == pytest.approx(4500)
    assert bed.requests(destination_workload="green") - green == pytest.approx(500)
    assert bed.requests(destination_workload="green", response_code="500") - bad == pytest.approx(100)


def test_a_weight_for_a_green_that_never_becomes_ready_is_503_for_its_part():
    bed = Bed(WorkloadSettings(behaviours=[PodBehaviour(workload="green", ready_seconds=None)]))
    bed.deploy("green")
    bed.until(30)
    bed.shift(10)
    bed.until(31)
    before = bed.requests(response_flags="UH")
    bed.until(131)

    assert bed.requests(response_flags="UH", response_code="503") - before == pytest.approx(500)


def test_taking_green_down_while_a_late_proxy_still_routes_to_it_is_seen_by_the_hook():
    bed = Bed(delays={"routes": Delay(60, 60)})
    made = bed.deploy("green")
    bed.until(30)
    bed.shift(50)
    bed.until(100)
    breaches = []

    def look(state, time):
        for _, clusters in state.routes("shop.example"):
            breaches.extend((cluster.cluster.short(), round(time - START)) for cluster in clusters if not (cluster.known and cluster.ready))

    bed.mesh.on_proxy_update(look)
    bed.shift(0)
    bed.kube.delete(DEPLOYMENT, "shop", "green", uid=made["metadata"]["uid"])
    bed.until(200)

    assert breaches == [("green.shop:80", 101)]
    assert bed.requests(response_flags="UH") > 0
    assert bed.kube.get(ENDPOINT_SLICE, "shop", "green-slice")["endpoints"] == []
