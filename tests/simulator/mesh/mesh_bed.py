"""The recorded world as a simulated mesh, and what its requests get."""

from istiod_cases import START, colour, fixed_objects, proxy_named

from controller.ports import Kind
from controller.simulator.mesh.answers import Request
from controller.simulator.mesh.mesh import Mesh, MeshSettings, ProxySpec

HOST = "shop.shop.svc.cluster.local"
PROXIES = ("app", "other", "gw")


def kind_of(obj):
    return Kind("", "v1", obj["kind"], obj["kind"].lower() + "s")


def a_mesh(*objects, delays=None, names=PROXIES, **settings):
    mesh = Mesh([ProxySpec(proxy_named(name), **(delays or {})) for name in names], MeshSettings(**settings))
    for obj in (*fixed_objects(), *objects):
        mesh.apply(kind_of(obj), None, obj, START)
    mesh.settle(START)
    return mesh


def virtual_service(blue, green, **more):
    route = [{"destination": {"host": "shop-blue"}, "weight": blue}, {"destination": {"host": "shop-green"}, "weight": green}]
    meta = {"name": "shop", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z", **more}
    return {"kind": "VirtualService", "metadata": meta, "spec": {"hosts": ["shop"], "http": [{"route": route}]}}


def destination_rule(*subsets):
    spec = {"host": "shop", "subsets": [{"name": name, "labels": {"version": name}} for name in subsets]}
    return {
        "kind": "DestinationRule",
        "metadata": {"name": "shop", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": spec,
    }


def kinds(mesh, proxy="app", host=HOST, port=80, **request):
    """Parts of 1 by answering colour or status code."""
    found = {}
    for outcome in mesh.proxies[proxy].answer(Request(host, port, **request)):
        name = str(outcome.code) if outcome.code else colour({"labels": outcome.pod.labels}) or "red"
        found[name] = round(found.get(name, 0.0) + outcome.fraction, 6)
    return found


def mesh_slice(service):
    return next(o for o in fixed_objects() if o["kind"] == "EndpointSlice" and o["metadata"]["name"] == service["name"] + "-1")
