"""Releases under the shipped Roles: applications, plans, and the production controller in this process as the ServiceAccount."""

from controller.adapters.http import HttpProber
from controller.adapters.kube import Limits
from controller.adapters.kube_config import connect
from controller.api.base import GROUP, VERSION
from controller.api.crd import definitions
from controller.compose import Loop, WallClock
from controller.reconcile import Memo
from controller.runtime.app import Controller
from controller.runtime.config import load_config
from controller.runtime.contracts import Parts
from controller.runtime.informer import Pace
from controller.runtime.schema import ServedSchema
from tests.bed.waiting import eventually

API = f"/apis/{GROUP}/{VERSION}"
QUICK = {
    "traffic": {"virtualService": "shop", "metrics": "none", "scrapeInterval": "20ms"},
    "preparation": {"routeDelay": "100ms", "deadline": "10m"},
    "settle": {"time": "100ms"},
    "stages": [
        {"weight": 50, "window": "1s", "warmUp": "0s", "minRequests": 0},
        {"weight": 100, "window": "1s", "warmUp": "0s", "minRequests": 0},
    ],
    "checks": [],
    "triggers": [],
    "rollback": {"drain": "100ms", "traffic": "20s"},
    "finish": {"retention": "100ms"},
    "history": {"releases": 1},
}
LONG = {"stages": [{"weight": 50, "window": "10m", "warmUp": "0s", "minRequests": 0}, {"weight": 100, "window": "1s"}]}
"""For a release that somebody does something to while green has half of the traffic: a second is soon over."""


class NoProviders:
    def provider(self, _name):
        return None


class Running:
    """The production loop and runtime, connected as the shipped ServiceAccount."""

    def __init__(self, bed, namespaces):
        kube = connect(str(bed.kubeconfig("penstock", namespace="penstock-system")), limits=Limits(read=20.0)).kube
        config = load_config(namespaces=namespaces, listen="127.0.0.1:0", lease_duration="2s", lease_renew="500ms", workers=2)
        schemas = {crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in definitions().values()}
        served = ServedSchema(f"{GROUP}/{VERSION}", schemas)
        parts = Parts(Loop(Memo()), NoProviders(), HttpProber(), WallClock(), served.refusal)
        self.controller = Controller(config, kube, parts, home="penstock-system", pace=Pace(watch=30.0))

    def __enter__(self):
        self.controller.start()
        return self

    def __exit__(self, *_exc):
        self.controller.stop()


def app(namespace, *, subsets=True, routes=""):
    """The application of `examples/first-release` with what a clone may refer to, and an autoscaler; its route where `routes` says."""
    labels = {"app": "shop", "version": "v1"}
    pod = {
        "serviceAccountName": "shop",
        "containers": [{"name": "shop", "image": "registry.example/shop:1.0", "envFrom": [{"configMapRef": {"name": "shop"}}]}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "shop"}}],
    }
    selector = {"app": "shop"} if subsets else labels
    destination = {"host": f"shop.{namespace}.svc.cluster.local", **({"subset": "v1"} if subsets else {})}
    http = [{"route": [{"destination": destination}], "retries": {"attempts": 2}}]
    spec = {"hosts": [f"shop.{namespace}.svc.cluster.local"], "http": http}
    told_apart = {"subsets": [{"name": "v1", "labels": {"version": "v1"}}]}
    rule = {"host": "shop", **(told_apart if subsets else {"trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}})}
    return [
        obj("v1", "ServiceAccount", "shop", namespace),
        obj("v1", "ConfigMap", "shop", namespace, data={"colour": "blue"}),
        claim(namespace),
        obj("apps/v1", "Deployment", "shop", namespace, spec={
            "replicas": 2, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod},
        }),
        obj("v1", "Service", "shop", namespace, spec={"selector": selector, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}),
        obj("autoscaling/v2", "HorizontalPodAutoscaler", "shop", namespace, spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}, "minReplicas": 1, "maxReplicas": 5,
        }),
        obj("networking.istio.io/v1", "DestinationRule", "shop", namespace, spec=rule),
        obj("networking.istio.io/v1", "VirtualService", "shop", routes or namespace, spec=spec),
    ]  # fmt: skip


def claim(namespace):
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
    return obj("v1", "PersistentVolumeClaim", "shop", namespace, spec=spec)


def obj(api_version, kind, name, namespace, **rest):
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **rest}


def plan(namespace, **changes):
    moved = {} if "members" in changes else {"workload": "shop"}
    return obj(f"{GROUP}/{VERSION}", "ReleasePlan", "shop", namespace, spec={**moved, **QUICK, **changes})


def in_places(home, away, **changes):
    """A plan whose slots lie in these namespaces; the ConfigMap is brought along."""
    slots = [{"name": "home", "namespace": home}, {"name": "away", "namespace": away, **({"suffix": "-green"} if home == away else {})}]
    return {"members": [{"name": "shop", "workload": "shop", "configMaps": ["shop"]}], "slots": slots, **changes}


def release(namespace, name, image, **spec):
    body = {"plan": "shop", "revision": name, "images": {"shop": image}, "origin": {"actor": "test"}, **spec}
    return obj(f"{GROUP}/{VERSION}", "Release", name, namespace, spec=body)


def request(namespace, name, verb):
    return obj(f"{GROUP}/{VERSION}", "ReleaseRequest", f"{name}-{verb}", namespace, spec={"release": name, "verb": verb, "actor": "test"})


def status(bed, namespace, name):
    return bed.admin.get(f"{API}/namespaces/{namespace}/releases/{name}").get("status") or {}


def ended(bed, namespace, name, seconds=60.0):
    """The status once the release has ended and given everything back."""

    def asked():
        found = bed.admin.get(f"{API}/namespaces/{namespace}/releases/{name}")
        final = (found.get("status") or {}).get("phase") in ("Succeeded", "RolledBack", "Refused")
        return found["status"] if final and not found["metadata"].get("finalizers") else None

    try:
        return eventually(asked, seconds, f"the end of {namespace}/{name}")
    except AssertionError as error:
        raise AssertionError(f"{error}; it stands so: {status(bed, namespace, name)}") from error


def with_weight(bed, namespace, name):
    """Once green has traffic."""
    eventually(lambda: status(bed, namespace, name).get("observedWeight"), 60, f"the first weight of {namespace}/{name}")
