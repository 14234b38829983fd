"""A cluster in memory with one blue, and releases of it, for the tests of the workloads."""

from controller.adapters.workloads.places import Split
from controller.adapters.workloads.view import Look, observe_members
from controller.api.plan import PlanSpec
from controller.api.release import CapacityStatus, ManagedObject, ReleaseSpec, ReleaseStatus
from controller.core.commands import Subject
from controller.ports import DEPLOYMENT, HPA, NAMESPACE, SERVICE, NotFoundError
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.store import ApiServer
from controller.simulator.workloads.behaviour import WorkloadSettings
from controller.simulator.workloads.client import ManagerKube
from controller.simulator.workloads.workloads import Workloads

START = 1_767_225_600.0
ALL = Look(endpoints=True, pods=True, autoscalers=True, brought=True, remains=True)
TWO_PLACES = [{"name": "home"}, {"name": "away", "namespace": "shop-green"}]


class World:
    """An API server with the simulated controllers; namespaces `shop` and `shop-green`; blue is `web` in `shop`."""

    def __init__(self, **settings):
        self.time = START
        self.server = ApiServer(lambda: self.time)
        self.workloads = Workloads(ManagerKube(self.server), WorkloadSettings(**settings))
        self.writes = []
        self.server.on_commit(self.heard)
        self.kube = InMemoryKube(self.server, "penstock")
        self.user = InMemoryKube(self.server, "user")
        for name in ("shop", "shop-green"):
            self.user.create(NAMESPACE, "", {"metadata": {"name": name}})

    def heard(self, commit):
        if commit.user == "penstock":
            self.writes.append((commit.verb, commit.kind.kind, commit.last["metadata"]["name"]))
        self.workloads.apply(commit.kind, commit.old, commit.new, commit.time)

    def pass_time(self, seconds=30.0):
        end = self.time + seconds
        while (due := self.workloads.next_event_time()) is not None and due <= end:
            self.time = max(self.time, due)
            self.workloads.advance(self.time)
        self.time = end
        return self

    def deploy(self, name="web", namespace="shop", *, replicas=2, image="web:1", labels=None, pod=None, selector=None, **meta):
        labels = labels or {"app": "web", "version": "v1"}
        body = {
            "metadata": {"name": name, **meta},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": selector or labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}], **(pod or {})}},
            },
        }
        return self.user.create(DEPLOYMENT, namespace, body)

    def serve(self, name="web", namespace="shop", *, selector=None, **spec):
        ports = [{"name": "http", "port": 80, "targetPort": 8080, "appProtocol": "http"}]
        body = {"metadata": {"name": name}, "spec": {"selector": selector or {"app": "web", "version": "v1"}, "ports": ports, **spec}}
        return self.user.create(SERVICE, namespace, body)

    def autoscale(self, name="web", namespace="shop", *, target="web", minimum=1, maximum=10, **meta):
        spec = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": minimum,
            "maxReplicas": maximum,
        }
        return self.user.create(HPA, namespace, {"metadata": {"name": name, **meta}, "spec": spec})

    def with_blue(self, **changes):
        self.deploy(**changes)
        self.serve()
        return self.pass_time()

    def find(self, kind, name, namespace="shop"):
        try:
            return self.user.get(kind, namespace, name)
        except NotFoundError:
            return None

    def deployment(self, name="web-green", namespace="shop"):
        return self.find(DEPLOYMENT, name, namespace)

    def replicas(self, name="web-green", namespace="shop"):
        found = self.deployment(name, namespace)
        return None if found is None else found["spec"]["replicas"]

    def minimum(self, name="web", namespace="shop"):
        return self.user.get(HPA, namespace, name)["spec"]["minReplicas"]

    def edit(self, kind, name, body, namespace="shop"):
        return self.user.patch(kind, namespace, name, body)

    def look(self, subject, blue_slot=0, split=None, look=ALL):
        return observe_members(self.kube, subject, blue_slot, split or Split(), look)

    def do(self, write, subject, *, blue_slot=0, split=None, epoch=7, **more):
        """Carry a command out on a fresh look."""
        return write(self.kube, subject, self.look(subject, blue_slot, split), epoch, **more)


def a_release(*, images=None, name="web-2", uid="uid-2", revision="r2", status=None, kind="forward", plan=None, **sections):
    """A release of `web` to image web:2; `sections` are sections of its plan, in the plan's own words."""
    body = plan or {"workload": "web", "traffic": {"virtualService": "web"}, **sections}
    spec = ReleaseSpec(plan="web", revision=revision, images={"web": "web:2"} if images is None else images, kind=kind)
    return Subject(
        namespace="shop",
        name=name,
        uid=uid,
        resource_version="1",
        generation=1,
        created=START,
        deleted=False,
        finalizer=True,
        spec=spec,
        status=status or ReleaseStatus(blue_slot=0),
        plan=PlanSpec.model_validate(body),
    )


def started(world, subject, *, blue_slot=0, split=None, **status):
    """The same release as after its first look: blue's size, images and everything that was found are recorded."""
    view = world.look(subject, blue_slot, split)
    recorded = ReleaseStatus(
        blue_slot=blue_slot,
        objects=[ManagedObject(**entry.model_dump()) for entry in view.objects],
        capacity=[CapacityStatus(member=m.name, replicas=m.blue.replicas, hpa=m.blue.hpa, hpa_min=m.blue.hpa_min) for m in view.members],
        images_before={m.name: m.blue.image for m in view.members},
        **status,
    )
    return Subject(**{field: getattr(subject, field) for field in Subject.__slots__} | {"status": recorded})
