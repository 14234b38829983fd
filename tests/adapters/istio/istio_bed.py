"""A namespace `shop` on the in-memory API server, with the objects that a route needs, and builders for releases."""

import copy

from controller.adapters.istio.view import observe_traffic
from controller.api.plan import PlanSpec
from controller.api.release import ReleaseSpec, ReleaseStatus
from controller.core.commands import Subject
from controller.ports import CRD, DEPLOYMENT, DESTINATION_RULE, NAMESPACE, RELEASE, SERVICE, VIRTUAL_SERVICE, Patch
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.store import ApiServer

BLUE = "api.shop.svc.cluster.local"
GREEN = "api-green.shop.svc.cluster.local"
EPOCH = 7
PLAN = {"workload": "api", "traffic": {"virtualService": "web"}}


def subject(plan=None, *, uid="u1", name="r1", revision="v2", **status):
    """A release of the plan `api`."""
    spec = ReleaseSpec(plan="api", revision=revision, images={"api": "registry/api:2"})
    parsed = PlanSpec.model_validate(plan or PLAN)
    return Subject("shop", name, uid, "1", 1, 0.0, False, True, spec, ReleaseStatus(**status), parsed)


def to(host, weight=None, *, port=80, subset=None, **more):
    """A destination of a rule."""
    destination = {"host": host, **({"port": {"number": port}} if port else {}), **({"subset": subset} if subset else {})}
    return {"destination": destination, **({} if weight is None else {"weight": weight}), **more}


def rule(*targets, name=None, match=None, **more):
    """One http rule."""
    return {**({"name": name} if name else {}), **({"match": match} if match else {}), "route": list(targets), **more}


class Bed:
    """The API server in memory, our client, and another person's."""

    def __init__(self):
        self.time = 1_767_225_600.0
        self.server = ApiServer(lambda: self.time)
        self.user = InMemoryKube(self.server, "jane", "kubectl-edit")
        for kind in (VIRTUAL_SERVICE, DESTINATION_RULE, RELEASE):
            self.user.create(CRD, "", _crd(kind))
        self.namespace("shop")
        self.kube = Spy(InMemoryKube(self.server))

    def namespace(self, name):
        self.user.create(NAMESPACE, "", {"metadata": {"name": name}})

    def put(self, kind, name, spec, namespace="shop", **meta):
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name, "namespace": namespace, **meta}, "spec": spec}
        return self.user.create(kind, namespace, body)

    def route(self, *rules, name="web", namespace="shop", hosts=("api",), meta=None, **spec):
        return self.put(VIRTUAL_SERVICE, name, {"hosts": list(hosts), "http": list(rules), **spec}, namespace, **(meta or {}))

    def service(self, name="api", namespace="shop", selector=None, ports=(80,)):
        return self.put(
            SERVICE, name, {"selector": selector or {"app": "api"}, "ports": [{"name": f"http-{p}", "port": p} for p in ports]}, namespace
        )

    def deployment(self, name="api", labels=None, namespace="shop"):
        labels = labels or {"app": "api"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "registry/api:1"}]}}
        return self.put(DEPLOYMENT, name, {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}, namespace)

    def destination_rule(self, *subsets, name="api", host="api", policy=None, meta=None, namespace="shop"):
        spec = {"host": host, **({"subsets": list(subsets)} if subsets else {}), **({"trafficPolicy": policy} if policy else {})}
        return self.put(DESTINATION_RULE, name, spec, namespace, **(meta or {}))

    def edit(self, change, name="web", kind=VIRTUAL_SERVICE, namespace="shop"):
        """Another person's edit: `change` gets a copy of the spec and alters it."""
        spec = copy.deepcopy(self.user.get(kind, namespace, name)["spec"])
        change(spec)
        return self.user.patch(kind, namespace, name, [{"op": "replace", "path": "/spec", "value": spec}], Patch.JSON)

    def annotate(self, name="web", kind=VIRTUAL_SERVICE, namespace="shop", **annotations):
        return self.user.patch(kind, namespace, name, {"metadata": {"annotations": annotations}})

    def web(self, name="web", namespace="shop"):
        return self.user.get(VIRTUAL_SERVICE, namespace, name)

    def weights(self, name="web", namespace="shop"):
        """Host (first word) or subset and weight of every destination of every rule."""
        rules = self.web(name, namespace)["spec"]["http"]
        return [
            [(t["destination"].get("subset") or t["destination"]["host"].split(".")[0], t.get("weight")) for t in r["route"]] for r in rules
        ]

    def look(self, release, *, first=False):
        return observe_traffic(self.kube, release, first=first)


def host_bed(*rules, **route):
    """Blue and green by host; without rules everything goes to blue and green is named."""
    bed = Bed()
    bed.route(*(rules or (rule(to("api", 100), to("api-green", 0)),)), **route)
    bed.service()
    bed.service("api-green")
    return bed


class Spy:
    """Our client, with a place to do something just before a patch, and a count of patches."""

    def __init__(self, kube):
        self.kube = kube
        self.before = lambda *_: None
        self.patched = []

    def __getattr__(self, name):
        return getattr(self.kube, name)

    def patch(self, kind, namespace, name, body, how=Patch.MERGE, *, subresource=""):
        self.before(kind, name)
        answer = self.kube.patch(kind, namespace, name, body, how, subresource=subresource)
        self.patched.append(name)
        return answer


def _crd(kind):
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    names = {"kind": kind.kind, "listKind": f"{kind.kind}List", "plural": kind.plural, "singular": kind.kind.lower()}
    version = {"name": kind.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "metadata": {"name": f"{kind.plural}.{kind.group}"},
        "spec": {"group": kind.group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
