"""The Hwayo example on real components: its world and plan in namespaces of their own, and what its services report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from tests.bed.traffic import Flow
from tests.real.harness import ROOT, Running, Scene

if TYPE_CHECKING:
    from tests.bed.api import JsonObject
    from tests.bed.exporter import Exporter

EXAMPLE = ROOT / "examples" / "hwayo"
NAMESPACE = "hwayo-production"
DIVISOR = 90
"""Makes windows of 10, 20, 20 and 6.7 s."""
MEMBERS = ("api-gateway", "web-app", "auth-service", "workflow-engine", "notification-service", "report-generator")
# What the example's own scenarios report when all is well: events a second by counter, and who counts them.
COUNTERS = {
    "user_login_attempts_total": ("auth-service", 10.0),
    "user_login_success_total": ("auth-service", 9.9),
    "data_submission_attempts_total": ("workflow-engine", 5.0),
    "data_submission_success_total": ("workflow-engine", 4.96),
    "report_generation_attempts_total": ("report-generator", 2.0),
    "report_generation_success_total": ("report-generator", 1.995),
}
CONTAINER_GAUGES = {
    "container_spec_cpu_quota": 100_000.0,
    "container_spec_cpu_period": 100_000.0,
    "container_memory_working_set_bytes": 600e6,
    "container_spec_memory_limit_bytes": 1024.0**3,
}


@dataclass(slots=True)
class Hwayo(Running):
    """One Hwayo; green is whichever of the two namespaces does not serve."""

    @property
    def namespaces(self) -> tuple[str, str]:
        """Of the two slots."""
        return self.namespace, f"{self.namespace}-green"

    def idle(self) -> tuple[str, str]:
        """Namespace and name of the gateway that does not serve: the next green."""
        serving = max(self.weights().items(), key=lambda item: item[1])[0]
        first, second = self.namespaces
        return (first if f".{second}." in serving else second), "api-gateway"

    def bypass(self) -> str:
        """Host that the header rule leads to."""
        service = self.api.get(f"/apis/networking.istio.io/v1/namespaces/{self.namespace}/virtualservices/{self.route}")
        host: str = service["spec"]["http"][0]["route"][0]["destination"]["host"]
        return host

    def workloads(self) -> dict[str, dict[str, int]]:
        """Wanted replicas by namespace and Deployment."""
        return {
            place: {
                item["metadata"]["name"]: item["spec"]["replicas"]
                for item in self.api.get(f"/apis/apps/v1/namespaces/{place}/deployments")["items"]
            }
            for place in self.namespaces
        }


def hwayo(scene: Scene) -> Hwayo:
    """The example's world, renamed, with its plan's scrape interval and the range of its triggers made fit for the divided times."""
    name = scene.namespace("hwayo")
    for item in _documents("world.yaml", name):
        if item["kind"] == "Namespace" and item["metadata"]["name"] != name:
            scene.adopt(item["metadata"]["name"], green=True)
        scene.api.apply([item])
    plan = _documents("plan.yaml", name)[0]
    _fit(plan["spec"])
    scene.api.apply([plan])
    made = Hwayo(scene.api, scene.exporter, name, "hwayo", "hwayo-canary", MEMBERS)
    for place in made.namespaces:
        made.heals((place, "api-gateway"))
        _report(scene.exporter, place)
    gateway = f"{name}/hwayo-gateway"
    scene.exporter.flow(f"{name} customers", Flow(f"{name}.hwayo.com", per_second=300.0, gateway=gateway))
    scene.exporter.flow(f"{name} testers", Flow(f"{name}.hwayo.com", per_second=0.2, gateway=gateway, headers={"canary": "true"}))
    return made


def whole(seconds: float) -> str:
    """A time that is not divided after all."""
    return f"{seconds * DIVISOR:g}s"


def _fit(spec: JsonObject) -> None:
    """Keep undivided what the machine sets and not the plan: scrapes, time limits of probes, deadlines, budgets of a rollback.

    The last two are long enough for a machine with eighteen pods to a release and hardly any time for them.
    """
    spec["traffic"]["scrapeInterval"] = whole(1)
    spec["preparation"]["deadline"] = whole(600)
    spec["settle"] = {"deadline": whole(600)}
    spec["rollback"] = {name: whole(300) for name in spec["rollback"]} | {"drain": whole(1), "drainDeadline": whole(600)}
    for check in spec["checks"]:
        check["noData"] = {"deadline": whole(600)}
    for trigger in spec["triggers"]:
        trigger["interval"] = whole(1)
        if "probe" in trigger:
            trigger["probe"]["timeout"] = whole(20)
        else:
            trigger["range"] = whole(4)
    for member in spec["members"]:
        member["probe"]["timeout"] = whole(20)


def _documents(file: str, name: str) -> list[JsonObject]:
    text = (EXAMPLE / file).read_text(encoding="utf-8").replace(NAMESPACE, name).replace("hwayo.com]", f"{name}.hwayo.com]")
    return [item for item in yaml.load_all(text, Loader=yaml.CSafeLoader) if item]


def _report(exporter: Exporter, namespace: str) -> None:
    for counter, (workload, per_second) in COUNTERS.items():
        exporter.rate(counter, per_second, namespace=namespace, workload=workload)
    for workload in MEMBERS:
        labels = {"namespace": namespace, "pod": f"{workload}-5d9f8c7b6-x2x4z"}
        exporter.gauge("up", 1.0, **labels)
        exporter.rate("container_cpu_usage_seconds_total", 0.35, container="app", **labels)
        for gauge, value in CONTAINER_GAUGES.items():
            exporter.gauge(gauge, value, container="app", **labels)
