"""Deployments become pods become endpoints; owners take their dependents along; all of it in virtual time."""

import pytest

from controller.ports import CONFIG_MAP, DEPLOYMENT, ENDPOINT_SLICE, HPA, NAMESPACE, POD, REPLICA_SET, SERVICE, NotFoundError
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.apiserver.options import Deletion
from controller.simulator.apiserver.store import ApiServer
from controller.simulator.workloads.behaviour import PodBehaviour, WorkloadSettings
from controller.simulator.workloads.client import ManagerKube
from controller.simulator.workloads.workloads import Workloads

START = 1_767_225_600.0


class Cluster:
    """An API server with the simulated controllers behind it, on a clock that is moved by hand."""

    def __init__(self, **settings):
        self.time = START
        self.server = ApiServer(lambda: self.time)
        self.workloads = Workloads(ManagerKube(self.server), WorkloadSettings(**settings))
        self.writes = []
        self.server.on_commit(self.heard)
        self.kube = InMemoryKube(self.server, "user")
        self.create(NAMESPACE, "", {"metadata": {"name": "shop"}})

    def create(self, kind, namespace, body):
        return self.kube.create(kind, namespace, {"apiVersion": kind.api_version, "kind": kind.kind, **body})

    def heard(self, commit):
        if commit.user != "user":
            self.writes.append((commit.verb, commit.kind.kind, commit.last["metadata"]["name"]))
        self.workloads.apply(commit.kind, commit.old, commit.new, commit.time)

    def until(self, seconds):
        end = START + seconds
        while (due := self.workloads.next_event_time()) is not None and due <= end:
            self.time = max(self.time, due)
            self.workloads.advance(self.time)
        self.time = end
        return self

    def pods(self, namespace="shop"):
        return self.kube.list(POD, namespace).items

    def deploy(self, name="web", replicas=2, image="web:1", **spec):
        body = {
            "metadata": {"name": name},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "app", "image": image}]}},
                **spec,
            },
        }
        return self.create(DEPLOYMENT, "shop", body)

    def service(self, name="web"):
        return self.create(
            SERVICE, "shop", {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]}}
        )

    def ready_endpoints(self, name="web"):
        return sum(e["conditions"]["ready"] for e in self.kube.get(ENDPOINT_SLICE, "shop", f"{name}-slice")["endpoints"])

    def status(self, name="web"):
        return self.kube.get(DEPLOYMENT, "shop", name).get("status", {})


class TestLife:
    def test_a_deployment_becomes_ready_pods_and_endpoints(self):
        cluster = Cluster()
        cluster.service()
        cluster.deploy(replicas=3)

        before = cluster.until(4).status()
        after = cluster.until(6).status()

        assert (before["readyReplicas"], after["readyReplicas"], after["observedGeneration"]) == (0, 3, 1)
        assert cluster.ready_endpoints() == 3
        assert all(pod["metadata"]["labels"]["pod-template-hash"] in pod["metadata"]["name"] for pod in cluster.pods())

    def test_a_plain_start_takes_a_handful_of_writes_where_pods_are_sampled(self):
        cluster = Cluster(pods_per_replica_set=1)
        cluster.service()
        cluster.deploy(replicas=10)
        cluster.until(60)

        assert (cluster.status()["readyReplicas"], cluster.ready_endpoints(), len(cluster.writes)) == (10, 10, 7)

    def test_nothing_is_written_while_nothing_happens(self):
        cluster = Cluster()
        cluster.service()
        cluster.deploy()
        cluster.until(60)
        before = len(cluster.writes)

        cluster.until(3600)

        assert len(cluster.writes) == before

    def test_a_scale_down_removes_pods_and_their_endpoints(self):
        cluster = Cluster()
        cluster.service()
        cluster.deploy(replicas=3)
        cluster.until(10)
        cluster.kube.patch(DEPLOYMENT, "shop", "web", {"spec": {"replicas": 1}}, subresource="scale")
        cluster.until(12)

        assert (len(cluster.pods()), cluster.ready_endpoints(), cluster.status()["readyReplicas"]) == (1, 1, 1)

    def test_a_new_image_takes_over_when_its_pods_are_ready(self):
        cluster = Cluster()
        cluster.service()
        cluster.deploy()
        cluster.until(10)
        body = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "web:2"}]}}}}
        cluster.kube.patch(DEPLOYMENT, "shop", "web", body)

        images = [{pod["spec"]["containers"][0]["image"] for pod in cluster.until(second).pods()} for second in (12, 20)]

        assert images == [{"web:1", "web:2"}, {"web:2"}]
        assert cluster.ready_endpoints() == 2

    def test_an_evicted_pod_is_replaced(self):
        cluster = Cluster()
        cluster.deploy()
        before = {pod["metadata"]["name"] for pod in cluster.until(10).pods()}
        cluster.workloads.evict("shop", min(before))

        after = {pod["metadata"]["name"] for pod in cluster.until(20).pods()}

        assert (len(after), len(after & before), cluster.status()["readyReplicas"]) == (2, 1, 2)

    def test_a_pod_that_ends_gracefully_leaves_its_endpoints_first(self):
        cluster = Cluster()
        cluster.service()
        cluster.deploy()
        name = cluster.until(10).pods()[0]["metadata"]["name"]
        cluster.server.delete(POD, "shop", name, Deletion(grace_seconds=30))

        assert [(cluster.until(second).ready_endpoints(), len(cluster.pods())) for second in (10.5, 20)] == [(1, 2), (2, 2)]

    def test_a_scenario_begins_with_what_is_there_ready(self):
        cluster = Cluster()
        cluster.service()
        cluster.deploy()
        cluster.workloads.settle(cluster.time)

        assert (cluster.status()["readyReplicas"], cluster.ready_endpoints()) == (2, 2)

    def test_an_autoscaler_raises_a_deployment_to_its_minimum(self):
        cluster = Cluster()
        cluster.deploy(replicas=1)
        spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 4, "maxReplicas": 9}
        cluster.create(HPA, "shop", {"metadata": {"name": "web"}, "spec": spec})

        assert cluster.until(10).status()["readyReplicas"] == 4


class TestFaults:
    def test_pods_that_never_become_ready_stay_unready(self):
        cluster = Cluster(behaviours=[PodBehaviour(ready_seconds=None)])
        cluster.deploy()

        assert cluster.until(3600).status()["readyReplicas"] == 0

    def test_a_missing_image_is_said_by_its_pods(self):
        cluster = Cluster(behaviours=[PodBehaviour(image="*:2", image_missing=True)])
        cluster.deploy("old")
        cluster.deploy("new", image="web:2")
        cluster.until(60)
        waiting = [pod["status"]["containerStatuses"][0]["state"].get("waiting", {}).get("reason") for pod in cluster.pods()]

        assert sorted(waiting, key=str) == ["ImagePullBackOff"] * 2 + [None] * 2

    def test_a_crash_loop_counts_restarts_with_growing_pauses(self):
        cluster = Cluster(behaviours=[PodBehaviour(crash_after_seconds=100.0)])
        cluster.deploy(replicas=1)

        restarts = [
            cluster.until(second).pods()[0]["status"]["containerStatuses"][0]["restartCount"] for second in (100, 110, 120, 145, 200)
        ]

        assert restarts == [0, 1, 2, 3, 4]

    def test_pods_can_be_unready_for_a_while(self):
        cluster = Cluster(behaviours=[PodBehaviour(unready_between=((START + 100, START + 160),))])
        cluster.service()
        cluster.deploy()

        assert [cluster.until(second).ready_endpoints() for second in (99, 101, 161)] == [2, 0, 2]

    def test_pods_can_begin_to_crash_at_a_moment_that_nobody_knew_before(self):
        cluster = Cluster()
        cluster.service()
        cluster.deploy()
        cluster.until(60)
        cluster.workloads.change_behaviour(PodBehaviour(crash_after_seconds=0.0), cluster.time)

        assert [cluster.until(second).ready_endpoints() for second in (61, 71, 75)] == [0, 2, 0]

    def test_a_lifted_quota_lets_the_missing_pods_start(self):
        cluster = Cluster(quotas={"shop": 3})
        cluster.deploy(replicas=5)
        cluster.until(60)
        cluster.workloads.change_quota("shop", None, cluster.time)

        assert cluster.until(70).status()["readyReplicas"] == 5

    def test_a_quota_forbids_further_pods_and_the_deployment_says_so(self):
        cluster = Cluster(quotas={"shop": 3})
        cluster.deploy(replicas=5)
        conditions = {c["type"]: c for c in cluster.until(60).status()["conditions"]}

        assert len(cluster.pods()) == 3
        assert "exceeded quota" in conditions["ReplicaFailure"]["message"]


class TestGarbage:
    def test_a_deleted_deployment_takes_its_pods_along(self):
        cluster = Cluster()
        made = cluster.deploy()
        cluster.until(10)
        cluster.kube.delete(DEPLOYMENT, "shop", "web", uid=made["metadata"]["uid"])
        cluster.until(12)

        assert (list(cluster.pods()), list(cluster.kube.list(REPLICA_SET, "shop").items)) == ([], [])

    @pytest.mark.parametrize(("namespace", "kept"), [("shop", True), ("other", False)])
    def test_a_dependent_goes_within_four_seconds_where_its_owner_is_in_another_namespace(self, namespace, kept):
        cluster = Cluster()
        cluster.create(NAMESPACE, "", {"metadata": {"name": "other"}})
        owner = cluster.create(CONFIG_MAP, "shop", {"metadata": {"name": "owner"}})
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
        cluster.create(CONFIG_MAP, namespace, {"metadata": {"name": "dependent", "ownerReferences": [reference]}})
        cluster.until(4)

        assert [o["metadata"]["name"] for o in cluster.kube.list(CONFIG_MAP, namespace).items if o["metadata"]["name"] == "dependent"] == [
            "dependent"
        ] * kept

    def test_an_orphaning_deletion_leaves_the_pods_running(self):
        cluster = Cluster()
        cluster.deploy()
        cluster.until(10)
        cluster.server.delete(DEPLOYMENT, "shop", "web", Deletion(propagation="Orphan"))
        cluster.until(20)

        assert (len(cluster.pods()), list(cluster.kube.list(DEPLOYMENT, "shop").items)) == (2, [])

    def test_a_foreground_deletion_takes_the_dependents_first(self):
        cluster = Cluster()
        cluster.deploy()
        cluster.until(10)
        cluster.server.delete(DEPLOYMENT, "shop", "web", Deletion(propagation="Foreground"))
        cluster.until(20)

        assert (list(cluster.pods()), list(cluster.kube.list(DEPLOYMENT, "shop").items)) == ([], [])

    def test_a_deleted_namespace_goes_with_everything_in_it(self):
        cluster = Cluster()
        cluster.service()
        cluster.deploy()
        cluster.until(10)
        uid = cluster.kube.get(NAMESPACE, "", "shop")["metadata"]["uid"]
        cluster.kube.delete(NAMESPACE, "", "shop", uid=uid)
        cluster.until(30)

        with pytest.raises(NotFoundError):
            cluster.kube.get(NAMESPACE, "", "shop")

    def test_a_finalizer_keeps_its_namespace_terminating(self):
        cluster = Cluster()
        cluster.create(CONFIG_MAP, "shop", {"metadata": {"name": "kept", "finalizers": ["example.com/kept"]}})
        uid = cluster.kube.get(NAMESPACE, "", "shop")["metadata"]["uid"]
        cluster.kube.delete(NAMESPACE, "", "shop", uid=uid)
        before = cluster.until(30).kube.get(NAMESPACE, "", "shop")["status"]["phase"]
        cluster.kube.patch(CONFIG_MAP, "shop", "kept", {"metadata": {"finalizers": None}})
        cluster.until(33)

        assert before == "Terminating"
        with pytest.raises(NotFoundError):
            cluster.kube.get(NAMESPACE, "", "shop")
