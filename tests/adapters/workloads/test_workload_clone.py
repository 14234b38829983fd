"""How green is built out of blue."""

import copy

import pytest
from workload_world import a_release

from controller.adapters import marks
from controller.adapters.workloads.clone import (
    clone_autoscaler,
    clone_config_map,
    clone_deployment,
    clone_service,
    green_labels,
    green_template,
    recipe,
)
from controller.adapters.workloads.in_place import update_in_place
from controller.adapters.workloads.references import references
from controller.adapters.workloads.selectors import covers, query, selects

BLUE = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "uid": "u",
        "resourceVersion": "5",
        "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{}],
        "ownerReferences": [{"kind": "App", "name": "a", "uid": "x", "apiVersion": "v1"}],
        "finalizers": ["example.org/x"],
        "labels": {
            "team": "shop",
            "app.kubernetes.io/managed-by": "Helm",
            "app.kubernetes.io/instance": "web",
            "argocd.argoproj.io/instance": "web",
            "kustomize.toolkit.fluxcd.io/name": "web",
        },
        "annotations": {
            "note": "kept",
            "deployment.kubernetes.io/revision": "7",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "meta.helm.sh/release-name": "web",
            "argocd.argoproj.io/tracking-id": "web:apps/Deployment:shop/web",
            "penstock.dev/epoch": "3",
        },
    },
    "spec": {
        "replicas": 4,
        "paused": True,
        "minReadySeconds": 5,
        "strategy": {"type": "RollingUpdate"},
        "selector": {"matchLabels": {"app": "web", "version": "v1"}},
        "template": {
            "metadata": {"labels": {"app": "web", "version": "v1", "tier": "front"}, "annotations": {"sidecar.istio.io/inject": "true"}},
            "spec": {
                "serviceAccountName": "web",
                "containers": [
                    {
                        "name": "app",
                        "image": "web:1",
                        "env": [
                            {"name": "DB", "value": "postgres.shop.svc.cluster.local"},
                            {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
                        ],
                    },
                    {"name": "log", "image": "log:9"},
                ],
            },
        },
    },
    "status": {"readyReplicas": 4},
}

SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "uid": "s",
        "annotations": {
            "networking.istio.io/exportTo": "*",
            "external-dns.alpha.kubernetes.io/hostname": "shop.example",
            "cloud.google.com/neg": '{"exposed_ports": {"80": {"name": "web"}}}',
            "metallb.universe.tf/loadBalancerIPs": "192.0.2.7",
        },
    },
    "spec": {
        "type": "NodePort",
        "clusterIP": "10.0.0.7",
        "clusterIPs": ["10.0.0.7"],
        "healthCheckNodePort": 30000,
        "selector": {"app": "web", "version": "v1"},
        "ports": [{"name": "grpc-api", "port": 80, "targetPort": "api", "protocol": "TCP", "appProtocol": "grpc", "nodePort": 31000}],
    },
}


def how(member=None, epoch=7, **sections):
    if member is not None:
        sections["plan"] = {"members": [{"name": "web", "workload": "web", **member}], "traffic": {"virtualService": "web"}}
    subject = a_release(**sections)
    return recipe(subject, subject.plan.all_members[0], 0, epoch)


def cloned(**changes):
    return clone_deployment(BLUE, how(**changes), replicas=4)


class TestTheClone:
    def test_nothing_that_the_cluster_owns_is_copied(self):
        body = cloned()

        assert set(body) == {"apiVersion", "kind", "metadata", "spec"}
        assert set(body["metadata"]) == {"name", "namespace", "labels", "annotations"}

    def test_marks_of_helm_argo_cd_and_flux_are_not_copied_and_the_users_own_are(self):
        meta = cloned()["metadata"]

        assert meta["labels"] == {"team": "shop", marks.PLAN_LABEL: "web", marks.RELEASE_LABEL: "web-2"}
        assert meta["annotations"] == {"note": "kept", marks.EPOCH: "7", marks.MADE: "true", marks.REVISION: "r2", marks.OWNER: "uid-2"}

    def test_it_is_not_paused_and_keeps_how_it_rolls_out(self):
        spec = cloned()["spec"]

        assert "paused" not in spec
        assert (spec["replicas"], spec["minReadySeconds"], spec["strategy"]) == (4, 5, {"type": "RollingUpdate"})

    def test_the_first_container_gets_the_image_and_the_others_keep_theirs(self):
        assert [c["image"] for c in cloned()["spec"]["template"]["spec"]["containers"]] == ["web:2", "log:9"]

    def test_containers_that_run_the_very_same_image_move_with_it(self):
        """A chart's own pod: what migrates the database before the start is the same program; an older one would migrate nothing."""
        template = copy.deepcopy(BLUE["spec"]["template"])
        template["spec"]["containers"].append({"name": "worker", "image": "web:1"})
        template["spec"]["initContainers"] = [{"name": "migrate", "image": "web:1"}, {"name": "proxy", "image": "proxy:3"}]
        blue = {**BLUE, "spec": {**BLUE["spec"], "template": template}}

        spec = clone_deployment(blue, how(member={"environment": {"NEW": "1"}}), replicas=4)["spec"]["template"]["spec"]

        assert [c["image"] for c in spec["initContainers"]] == ["web:2", "proxy:3"]
        assert [c["image"] for c in spec["containers"]] == ["web:2", "log:9", "web:2"]
        assert [len(c.get("env", ())) for c in spec["containers"]] == [3, 0, 0]

    def test_the_deployment_says_the_version_that_its_pods_say(self):
        """As charts label both: app.kubernetes.io/version stands on the Deployment and on its pods."""
        label = "app.kubernetes.io/version"
        template = copy.deepcopy(BLUE["spec"]["template"])
        template["metadata"]["labels"][label] = "1.16.0"
        blue = {**BLUE, "metadata": {**BLUE["metadata"], "labels": {label: "1.16.0"}}, "spec": {**BLUE["spec"], "template": template}}

        body = clone_deployment(blue, how(), replicas=4)

        assert (body["metadata"]["labels"][label], body["spec"]["template"]["metadata"]["labels"][label]) == ("r2", "r2")

    def test_a_named_container_gets_the_image(self):
        containers = cloned(member={"container": "log"})["spec"]["template"]["spec"]["containers"]

        assert [c["image"] for c in containers] == ["web:1", "web:2"]

    def test_environment_is_replaced_in_place_or_added(self):
        env = cloned(member={"environment": {"MODE": "green", "NEW": "1"}})["spec"]["template"]["spec"]["containers"][0]["env"]

        assert env == [
            {"name": "DB", "value": "postgres.shop.svc.cluster.local"},
            {"name": "MODE", "value": "green"},
            {"name": "NEW", "value": "1"},
        ]

    def test_it_refers_to_other_config_maps_and_secrets_where_the_plan_asks_for_that(self):
        spec = {
            "imagePullSecrets": [{"name": "old"}, {"name": "pull"}],
            "volumes": [
                {"name": "old", "configMap": {"name": "old"}},
                {"name": "b", "secret": {"secretName": "old"}},
                {"name": "c", "projected": {"sources": [{"configMap": {"name": "old"}}, {"secret": {"name": "other"}}]}},
            ],
            "initContainers": [{"name": "old", "envFrom": [{"configMapRef": {"name": "old"}}, {"secretRef": {"name": "old"}}]}],
            "containers": [
                {
                    "name": "app",
                    "image": "web:1",
                    "env": [
                        {"name": "old", "valueFrom": {"configMapKeyRef": {"name": "old", "key": "old"}}},
                        {"name": "A", "value": "old"},
                    ],
                }
            ],
        }
        blue = {**BLUE, "spec": {**BLUE["spec"], "template": {"metadata": {"labels": {"app": "web"}}, "spec": spec}}}
        recipe = how(member={"references": {"old": "new"}})

        made = green_template(blue, recipe, {})["spec"]

        assert [one["name"] for one in made["imagePullSecrets"]] == ["new", "pull"]
        assert [reference.name for reference in references({"spec": made})] == ["new", "new", "other", "pull"]
        assert (made["volumes"][0]["name"], made["initContainers"][0]["name"]) == ("old", "old")
        assert made["containers"][0]["env"] == [
            {"name": "old", "valueFrom": {"configMapKeyRef": {"name": "new", "key": "old"}}},
            {"name": "A", "value": "old"},
        ]

    def test_references_into_blues_namespace_are_left_as_they_are(self):
        slots = [{"name": "home"}, {"name": "away", "namespace": "shop-green"}]
        body = cloned(slots=slots)

        assert body["metadata"]["namespace"] == "shop-green"
        assert body["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] == "postgres.shop.svc.cluster.local"

    def test_no_owner_reference_ties_what_carries_traffic_to_a_release(self):
        assert "ownerReferences" not in cloned()["metadata"]


class TestLabels:
    def test_pods_carry_revision_slot_and_plan_and_a_version_of_their_own(self):
        assert green_labels(BLUE, how()) == {
            "app": "web", "tier": "front", "version": "r2", marks.REVISION_LABEL: "r2", marks.SLOT_LABEL: "away", marks.PLAN_LABEL: "web",
        }  # fmt: skip

    @pytest.mark.parametrize("key", ["app.kubernetes.io/version", "service.istio.io/canonical-revision"])
    def test_whatever_label_names_blues_version_names_greens(self, key):
        blue = {"spec": {"template": {"metadata": {"labels": {"app": "web", key: "1.0"}}}}}

        assert green_labels(blue, how())[key] == "r2"

    def test_a_version_label_is_not_invented(self):
        blue = {"spec": {"template": {"metadata": {"labels": {"app": "web"}}}}}

        assert not [key for key in green_labels(blue, how()) if key.endswith("version")]

    def test_the_selector_holds_the_slot_and_never_the_revision(self):
        assert cloned()["spec"]["selector"] == {"matchLabels": {"app": "web", marks.SLOT_LABEL: "away", marks.PLAN_LABEL: "web"}}

    def test_the_selector_selects_the_clone_and_not_blue(self):
        body = cloned()

        assert selects(body["spec"]["selector"], body["spec"]["template"]["metadata"]["labels"])
        assert not selects(body["spec"]["selector"], BLUE["spec"]["template"]["metadata"]["labels"])

    def test_the_selector_of_a_service_that_green_already_has_is_met(self):
        service = {"spec": {"selector": {"app": "web-green"}}}

        assert green_labels(BLUE, how(), service=service)["app"] == "web-green"

    def test_the_selector_of_an_idle_deployment_is_met_before_all(self):
        idle = {"spec": {"selector": {"matchLabels": {"app": "web", "version": "v0"}}}}

        assert green_labels(BLUE, how(), idle=idle)["version"] == "v0"

    def test_members_whose_own_labels_all_changed_are_told_apart_by_name(self):
        blue = {**BLUE, "spec": {**BLUE["spec"], "selector": {"matchLabels": {"version": "v1"}}}}

        assert clone_deployment(blue, how(), replicas=1)["spec"]["selector"]["matchLabels"]["penstock.dev/member"] == "web"


class TestTheService:
    def made(self, service=SERVICE):
        blue = BLUE["spec"]["template"]["metadata"]["labels"]
        return clone_service(service, how(), blue, green_labels(BLUE, how()))

    def test_ports_keep_names_targets_and_protocols_and_lose_node_ports(self):
        assert self.made()["spec"]["ports"] == [
            {"name": "grpc-api", "protocol": "TCP", "appProtocol": "grpc", "port": 80, "targetPort": "api"}
        ]

    def test_addresses_and_doors_of_the_cluster_are_not_copied(self):
        spec = self.made()["spec"]

        assert spec["type"] == "ClusterIP"
        assert not {"clusterIP", "clusterIPs", "healthCheckNodePort"} & set(spec)

    def test_a_headless_service_stays_headless(self):
        headless = {**SERVICE, "spec": {**SERVICE["spec"], "type": "ClusterIP", "clusterIP": "None"}}

        assert self.made(headless)["spec"]["clusterIP"] == "None"

    def test_a_dns_name_or_an_address_is_not_given_to_two_services(self):
        theirs = set(SERVICE["metadata"]["annotations"])

        assert theirs & set(self.made()["metadata"]["annotations"]) == {"networking.istio.io/exportTo"}

    def test_it_selects_green_and_not_blue(self):
        selector = self.made()["spec"]["selector"]

        assert selector == {"app": "web", marks.SLOT_LABEL: "away"}
        assert covers(selector, green_labels(BLUE, how()))
        assert not covers(selector, BLUE["spec"]["template"]["metadata"]["labels"])

    def test_where_all_that_it_selected_by_has_changed_the_common_labels_take_the_place(self):
        by_version = {**SERVICE, "spec": {**SERVICE["spec"], "selector": {"version": "v1"}}}

        assert self.made(by_version)["spec"]["selector"] == {"app": "web", "tier": "front", marks.SLOT_LABEL: "away"}


class TestOtherBodies:
    def test_a_config_map_keeps_its_name_and_data(self):
        source = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop", "uid": "u"}, "data": {"a": "1"}}
        body = clone_config_map(source, how(slots=[{"name": "home"}, {"name": "away", "namespace": "shop-green"}]))

        assert (body["metadata"]["name"], body["metadata"]["namespace"], body["data"]) == ("c", "shop-green", {"a": "1"})
        assert marks.is_made(body, plan="web")

    def test_an_autoscaler_is_aimed_at_green_with_its_owners_minimum(self):
        source = {
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 9},
        }
        body = clone_autoscaler(source, how(), "web-green", 2)

        assert body["spec"] == {"scaleTargetRef": {"kind": "Deployment", "name": "web-green"}, "maxReplicas": 9, "minReplicas": 2}

    def test_an_image_in_place_changes_image_and_environment_and_nothing_else_of_the_template(self):
        operations = update_in_place(BLUE, how(member={"environment": {"NEW": "1"}}), replicas=4)

        assert [op["path"] for op in operations if "template" in op["path"]] == [
            "/spec/template/spec/containers/0/image",
            "/spec/template/spec/containers/0/env",
        ]
        assert operations[0] == {"op": "replace", "path": "/metadata/resourceVersion", "value": "5"}


HOST = {"topologyKey": "kubernetes.io/hostname"}
MINE = {"labelSelector": {"matchLabels": {"app": "web", "version": "v1"}}}
GREEN = {"labelSelector": {"matchLabels": {"app": "web", "version": "r2"}}}
WORDS = {"labelSelector": {"matchExpressions": [{"key": "version", "operator": "In", "values": ["v1", "v0"]}]}}
GREEN_WORDS = {"labelSelector": {"matchExpressions": [{"key": "version", "operator": "In", "values": ["r2", "v0"]}]}}
BOTH = {"labelSelector": {"matchLabels": {"app": "web"}}}
OTHERS = {"labelSelector": {"matchLabels": {"app": "cache", "version": "v1"}}}


class TestSpreading:
    """Pods that stay away from their own kind, by the label that names the version, must stay away from green's in green."""

    def of_green(self, **spec):
        pod = {**BLUE["spec"]["template"], "spec": {**BLUE["spec"]["template"]["spec"], **spec}}
        return clone_deployment({**BLUE, "spec": {**BLUE["spec"], "template": pod}}, how(), replicas=4)["spec"]["template"]["spec"]

    def test_over_zones(self):
        kept = {"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "topologyKey": "zone"}

        spec = self.of_green(topologySpreadConstraints=[{**kept, **MINE}, {**kept, **BOTH}, kept])

        assert spec["topologySpreadConstraints"] == [{**kept, **GREEN}, {**kept, **BOTH}, kept]

    def test_over_nodes_required_and_preferred(self):
        required, preferred = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
        nodes = {required: {"nodeSelectorTerms": []}}

        def affinity(mine, words):
            near = {required: [{**HOST, **OTHERS}]}
            away = {required: [{**HOST, **mine}], preferred: [{"weight": 9, "podAffinityTerm": {**HOST, **words}}]}
            return {"nodeAffinity": nodes, "podAffinity": near, "podAntiAffinity": away}

        assert self.of_green(affinity=affinity(MINE, WORDS))["affinity"] == affinity(GREEN, GREEN_WORDS)


class TestSelectors:
    def test_expressions_are_read_as_kubernetes_reads_them(self):
        terms = [
            {"key": "a", "operator": "In", "values": ["1", "2"]},
            {"key": "b", "operator": "NotIn", "values": ["1"]},
            {"key": "c", "operator": "Exists"},
            {"key": "d", "operator": "DoesNotExist"},
        ]

        assert selects({"matchExpressions": terms}, {"a": "2", "c": ""})
        assert not selects({"matchExpressions": terms}, {"a": "2"})
        assert not selects({"matchExpressions": terms}, {"a": "2", "b": "1", "c": ""})
        assert query({"matchLabels": {"x": "y"}, "matchExpressions": terms}) == "x=y,a in (1,2),b notin (1),c,!d"

    def test_an_operator_of_a_newer_version_is_no_match(self):
        assert not selects({"matchExpressions": [{"key": "a", "operator": "Near", "values": ["1"]}]}, {"a": "1"})

    def test_a_service_without_a_selector_selects_nothing(self):
        assert not covers({}, {"app": "web"})
