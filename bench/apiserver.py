"""What one request to the in-memory API server costs, in microseconds: `python bench/apiserver.py`."""

import http.client
import json
import platform
import sys
import timeit

from controller.ports import CONFIG_MAP, CRD, Kind, Patch
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.http import HttpFront
from controller.simulator.apiserver.store import ApiServer

WIDGET = Kind("bench.penstock.dev", "v1", "Widget", "widgets")
RULES = [
    {"rule": "!has(self.status) || !has(self.status.weight) || self.status.weight <= self.status.grant", "message": "above the grant"},
    {"rule": "!has(self.status) || self.status.epoch >= 0"},
]
SCHEMA = {
    "type": "object",
    "x-kubernetes-validations": RULES,
    "properties": {
        "spec": {
            "type": "object",
            "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "immutable"}],
            "properties": {"plan": {"type": "string"}, "images": {"type": "array", "items": {"type": "string"}}},
        },
        "status": {
            "type": "object",
            "x-kubernetes-validations": [{"rule": "self.epoch >= oldSelf.epoch"}],
            "properties": {
                **{name: {"type": "integer"} for name in ("weight", "grant", "epoch", "stage")},
                "phase": {"type": "string", "enum": ["Queued", "Shifting", "Measuring"]},
                "conditions": {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            },
        },
    },
}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.bench.penstock.dev"},
    "spec": {
        "group": WIDGET.group,
        "scope": "Namespaced",
        "names": {"kind": WIDGET.kind, "plural": WIDGET.plural},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": SCHEMA}}
        ],
    },
}


def prepared() -> InMemoryKube:
    """A server with one widget in the shape of a Release and one ConfigMap."""
    server = ApiServer(lambda: 1_700_000_000.0)
    kube = InMemoryKube(server)
    kube.create(CRD, "", DEFINITION)
    named = {"apiVersion": WIDGET.api_version, "kind": WIDGET.kind}
    kube.create(WIDGET, "default", {**named, "metadata": {"name": "w"}, "spec": {"plan": "p", "images": ["a", "b"]}})
    kube.patch(WIDGET, "default", "w", {"status": {"weight": 0, "grant": 100, "epoch": 1, "phase": "Queued"}}, subresource="status")
    kube.create(CONFIG_MAP, "default", {"metadata": {"name": "c"}, "data": {"0": "x"}})
    route = {"route": [{"weight": 100, "destination": {"host": "blue"}}, {"weight": 0, "destination": {"host": "green"}}]}
    kube.create(CONFIG_MAP, "default", {"metadata": {"name": "routes"}, "spec": {"http": [route, route]}})
    return kube


def over_http(kube: InMemoryKube) -> float:
    """Microseconds of one GET through the HTTP front, client included."""
    with HttpFront(kube.server) as front:
        connection = http.client.HTTPConnection(front.url.removeprefix("http://"))

        def get() -> None:
            connection.request("GET", "/apis/bench.penstock.dev/v1/namespaces/default/widgets/w")
            connection.getresponse().read()

        figure = min(timeit.repeat(get, number=500, repeat=3)) / 500 * 1e6
        connection.close()
    return figure


def main() -> None:
    """Print the table, or one JSON line with `--json`."""
    kube = prepared()
    counter = iter(range(10**9))

    def json_patch() -> None:
        weight = next(counter) % 100
        operations = [
            {"op": "test", "path": "/spec/http/0/route/1/destination/host", "value": "green"},
            {"op": "add", "path": "/spec/http/0/route/0/weight", "value": 100 - weight},
            {"op": "add", "path": "/spec/http/0/route/1/weight", "value": weight},
        ]
        kube.patch(CONFIG_MAP, "default", "routes", operations, Patch.JSON)

    def status_patch() -> None:
        kube.patch(WIDGET, "default", "w", {"status": {"weight": next(counter) % 100}}, subresource="status")

    cases = {
        "get": lambda: kube.get(WIDGET, "default", "w"),
        "list of 3": lambda: kube.list(CONFIG_MAP, "default"),
        "merge patch, ConfigMap": lambda: kube.patch(CONFIG_MAP, "default", "c", {"data": {"0": str(next(counter))}}),
        "merge patch, status with schema and 3 CEL rules": status_patch,
        "merge patch that changes nothing": lambda: kube.patch(CONFIG_MAP, "default", "c", {"metadata": {"labels": None}}),
        "JSON patch, two weights with a test": json_patch,
        "status patch and a watcher's drain": lambda: (status_patch(), feed.drain()),
    }
    figures = {}
    for name, run in cases.items():
        feed = kube.subscribe(WIDGET)
        rounds = 5000
        figures[name] = min(timeit.repeat(run, number=rounds, repeat=3)) / rounds * 1e6
    figures["GET over HTTP, one connection"] = over_http(kube)
    if "--json" in sys.argv:
        print(json.dumps(figures))
        return
    print(f"Python {platform.python_version()}, {platform.machine()}")
    for name, figure in figures.items():
        print(f"{name:<50} {figure:8.1f} us")


if __name__ == "__main__":
    main()
