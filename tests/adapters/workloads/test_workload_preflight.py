"""What is refused, and what is said, before anything is touched."""

from dataclasses import replace

import pytest
from workload_world import TWO_PLACES, World, a_release

from controller.adapters.workloads.overlap import live_overlap
from controller.adapters.workloads.places import Split
from controller.adapters.workloads.preflight import Preflight, preflight
from controller.adapters.workloads.writes import make_green
from controller.core import reasons
from controller.ports import (
    AUTHORIZATION_POLICY,
    CONFIG_MAP,
    DEPLOYMENT,
    HPA,
    NAMESPACE,
    PVC,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    RefusedError,
)

SUBSETS = Split("subset", {"version": "v1"}, {"penstock.dev/revision": "r2"})


def found(world, release=None, split=None, **more):
    return preflight(world.kube, release or a_release(), 0, split, **more)


def refusals(world, release=None, split=None, **more):
    return [problem.reason for problem in found(world, release, split, **more).problems]


def said(world, release=None, split=None):
    return [warning.reason for warning in found(world, release, split).warnings]


class Forbids:
    """The default Role: some kinds may not be read."""

    def __init__(self, kube, *kinds):
        self.kube, self.kinds = kube, kinds

    def get(self, kind, namespace, name):
        if kind in self.kinds:
            raise RefusedError(403, "Forbidden", "no")
        return self.kube.get(kind, namespace, name)

    def list(self, kind, namespace="", *, labels=""):
        if kind in self.kinds:
            raise RefusedError(403, "Forbidden", "no")
        return self.kube.list(kind, namespace, labels=labels)


class TestWorkloads:
    def test_a_plain_blue_has_nothing_against_it_and_nothing_is_written(self):
        world = World().with_blue()

        assert found(world) == Preflight()
        assert world.writes == []

    @pytest.mark.parametrize(
        ("container", "image", "expected"),
        [
            (None, "web:2", True),
            ("app", "web:2", False),
            (None, "proxy:2", False),
            (None, "new/web:2", True),
            (None, "new/other:2", False),
            (None, "new/proxy:2", False),
            (None, "web@sha256:1", True),
        ],
    )
    def test_an_image_that_would_replace_a_sidecar_is_refused_with_the_container_that_is_meant(self, container, image, expected):
        world = World().with_blue(pod={"containers": [{"name": "proxy", "image": "proxy:1"}, {"name": "app", "image": "web:1"}]})
        member = {"name": "web", "workload": "web", **({"container": container} if container else {})}
        plan = {"members": [member], "traffic": {"virtualService": "web"}}

        details = [problem.detail for problem in found(world, a_release(plan=plan, images={"web": image})).problems]

        assert len(details) == expected
        assert all("would go to container proxy of Deployment shop/web" in one and "(members, container: app)" in one for one in details)

    def test_a_missing_blue_is_named(self):
        problems = found(World()).problems

        assert [problem.reason for problem in problems] == [reasons.WORKLOAD_MISSING]
        assert "shop/web" in problems[0].detail

    def test_a_blue_without_replicas_is_refused(self):
        assert refusals(World().with_blue(replicas=0)) == [reasons.WORKLOAD_UNSUITABLE]

    def test_a_blue_that_is_not_fully_ready_is_said(self):
        world = World(quotas={"shop": 1}).with_blue()

        assert (refusals(world), said(world)) == ([], [reasons.WORKLOAD_UNSUITABLE])

    def test_a_blue_in_the_middle_of_a_rollout_is_said(self):
        world = World().with_blue()
        world.edit(DEPLOYMENT, "web", {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}})
        world.pass_time(0.5)

        assert (refusals(world), said(world)) == ([], [reasons.WORKLOAD_UNSUITABLE])
        assert "compared with two versions" in found(world).warnings[0].detail

    @pytest.mark.parametrize(("mode", "expected"), [("home", [reasons.WORKLOAD_UNSUITABLE]), ("swap", [])])
    def test_a_paused_original_could_never_take_the_new_image(self, mode, expected):
        world = World().with_blue()
        world.edit(DEPLOYMENT, "web", {"spec": {"paused": True}})

        assert refusals(world, a_release(finish={"mode": mode})) == expected

    def test_an_image_of_an_unknown_member_is_refused(self):
        assert refusals(World().with_blue(), a_release(images={"api": "x:1"})) == [reasons.RELEASE_INVALID]

    def test_a_container_that_is_not_there_is_refused(self):
        plan = {"members": [{"name": "web", "workload": "web", "container": "nope"}], "traffic": {"virtualService": "web"}}

        assert refusals(World().with_blue(), a_release(plan=plan)) == [reasons.WORKLOAD_UNSUITABLE]

    def test_a_version_that_runs_in_greens_place_is_refused(self):
        world = World().with_blue()
        world.deploy("web-green", labels={"app": "web", "slot": "b"})

        assert refusals(world) == [reasons.WORKLOAD_UNSUITABLE]

    def test_an_idle_version_in_greens_place_is_welcome(self):
        world = World().with_blue()
        world.deploy("web-green", replicas=0, labels={"app": "web", "slot": "b"})

        assert refusals(world) == []

    def test_an_idle_version_of_another_plan_is_refused(self):
        world = World().with_blue()
        world.deploy("web-green", replicas=0, labels={"app": "web", "slot": "b"})
        world.edit(DEPLOYMENT, "web-green", {"metadata": {"labels": {"penstock.dev/plan": "other"}}})

        assert refusals(world) == [reasons.WORKLOAD_UNSUITABLE]

    def test_what_this_release_made_itself_is_no_obstacle(self):
        world = World().with_blue()
        world.do(make_green, a_release())

        assert refusals(world.pass_time()) == []

    def test_an_adopted_green_must_exist(self):
        assert refusals(World().with_blue(), a_release(images={}, preparation={"green": "adopt"})) == [reasons.WORKLOAD_MISSING]

    def test_an_adopted_green_must_run_the_image_that_is_named(self):
        world = World().with_blue()
        world.deploy("web-green", image="web:other", labels={"app": "web", "version": "v2"})

        assert refusals(world, a_release(preparation={"green": "adopt"})) == [reasons.WORKLOAD_UNSUITABLE]

    def test_the_version_before_must_be_there_for_a_reverse(self):
        assert refusals(World().with_blue(), a_release(images={}, kind="reverse")) == [reasons.MIXED_REVERSE]


class TestOverlap:
    def shared(self, selector=None):
        world = World()
        world.deploy()
        world.serve(selector=selector or {"app": "web"})
        return world.pass_time()

    def test_a_service_of_blue_that_would_select_the_clone_is_refused_by_name(self):
        problems = found(self.shared()).problems

        assert [problem.reason for problem in problems] == [reasons.SELECTOR_OVERLAP]
        assert "shop/web (app=web)" in problems[0].detail

    def test_any_other_service_that_reaches_both_is_refused_too(self):
        world = World().with_blue()
        world.serve("web-internal", selector={"app": "web"})

        assert refusals(world) == [reasons.SELECTOR_OVERLAP]

    def test_a_service_whose_host_the_route_serves_may_select_both(self):
        world = World().with_blue()
        world.serve("web-all", selector={"app": "web"})

        assert refusals(world, split=Split(routed=frozenset({("shop", "web-all")}))) == []

    def test_blues_own_service_may_not_though_it_is_routed(self):
        assert refusals(self.shared(), split=Split(routed=frozenset({("shop", "web")}))) == [reasons.SELECTOR_OVERLAP]

    def test_a_label_that_blues_pods_have_already_is_offered(self):
        assert "Blue's pods have version=v1, which it could select by." in found(self.shared()).problems[0].detail

    def test_a_load_balancers_service_that_selects_blue_alone_is_said_before_its_users_lose_everybody(self):
        """As a sample shop has it: one Service for the mesh and one for the world, both by the label that tells the versions apart."""
        world = World().with_blue()
        world.serve("web-external", type="LoadBalancer")

        assert refusals(world) == []
        assert "Service shop/web-external (app=web,version=v1) selects blue alone" in found(world).warnings[0].detail
        assert "reaches nobody once blue is taken down after a success" in found(world).warnings[0].detail
        assert said(world, split=SUBSETS) == [reasons.WORKLOAD_UNSUITABLE]
        assert said(world, a_release(slots=TWO_PLACES)) == [reasons.WORKLOAD_UNSUITABLE]

    @pytest.mark.parametrize("finish", [{"mode": "home"}, {"then": "keep"}])
    def test_where_blue_stays_nothing_is_said_of_it(self, finish):
        world = World().with_blue()
        world.serve("web-external", type="LoadBalancer")

        assert found(world, a_release(finish=finish)) == Preflight()

    def test_and_of_one_that_would_select_the_new_version_in_the_old_place_that_its_users_reach_it_unsplit(self):
        """The release after a swap: what comes back into the first place has the labels that it had there."""
        world = World()
        world.deploy(labels={"app": "web", "version": "v2"})
        world.serve(selector={"app": "web", "version": "v2"})
        world.deploy("web-green", replicas=0, labels={"app": "web", "version": "v1"})
        world.serve("web-external", selector={"app": "web", "version": "v1"})

        assert refusals(world.pass_time()) == []
        assert "selects green alone: who asks it past the routes reaches green whatever the weights say" in found(world).warnings[0].detail

    @pytest.mark.parametrize("revision", ["v3", "v4"])
    def test_a_subset_that_another_rule_sends_to_may_not_select_green(self, revision):
        """A sample with a subset for each of three versions, by their label version: the new one is named as one of them is."""
        others = ((("shop", "web"), "v3", {"version": "v3"}), (("shop", "elsewhere"), "all", {"app": "web"}))
        answer = found(self.shared(), a_release(revision=revision), Split("subset", {"version": "v1"}, {"x": "y"}, others=others))

        assert [one.reason for one in answer.problems] == ([reasons.SELECTOR_OVERLAP] if revision == "v3" else [])
        assert all("Subset v3 (version=v3), to which a rule sends" in one.detail for one in answer.problems)

    def test_two_namespaces_cannot_overlap(self):
        assert refusals(self.shared(), a_release(slots=TWO_PLACES)) == []

    def test_an_adopted_green_is_judged_by_its_own_labels(self):
        world = self.shared()
        world.deploy("web-green", image="web:2", labels={"app": "web", "version": "v2"})

        assert refusals(world, a_release(preparation={"green": "adopt"})) == [reasons.SELECTOR_OVERLAP]

    def test_subsets_share_a_service_and_need_labels_of_their_own(self):
        assert refusals(self.shared(), split=SUBSETS) == []

    @pytest.mark.parametrize(("routed", "expected"), [(True, [reasons.WORKLOAD_UNSUITABLE]), (False, [])])
    def test_a_service_of_subsets_that_would_never_select_green_is_refused(self, routed, expected):
        """Green would get no ready endpoint, and the release would go back at the preparation deadline."""
        split = replace(SUBSETS, routed=frozenset({("shop", "web")} if routed else ()))
        world = self.shared({"app": "web", "version": "v1"})

        assert refusals(world, split=split) == expected
        assert all(
            "Service shop/web selects by version=v1, which green's pods will not have" in one.detail
            for one in found(world, split=split).problems
        )

    def test_a_blue_subset_that_would_select_green_is_refused(self):
        assert refusals(self.shared(), split=Split("subset", {"app": "web"})) == [reasons.SELECTOR_OVERLAP]

    def test_a_green_subset_that_selects_blue_is_refused(self):
        assert refusals(self.shared(), split=Split("subset", {"version": "v1"}, {"app": "web"})) == [reasons.SELECTOR_OVERLAP]

    def test_another_service_over_both_subsets_is_said(self):
        world = self.shared()
        world.serve("web-internal", selector={"app": "web"})

        assert (refusals(world, split=SUBSETS), said(world, split=SUBSETS)) == ([], [reasons.SELECTOR_OVERLAP])

    def test_contradicting_selectors_in_greens_place_are_refused(self):
        world = World().with_blue()
        world.deploy("web-green", replicas=0, labels={"app": "web", "slot": "b"})
        world.serve("web-green", selector={"app": "web", "slot": "c"})

        assert reasons.WORKLOAD_UNSUITABLE in refusals(world)

    def test_before_the_first_weight_the_endpoints_themselves_are_looked_at(self):
        world = World().with_blue()
        world.do(make_green, a_release())
        assert live_overlap(world.pass_time().kube, a_release(), 0, Split()) == ()

        world.edit(SERVICE, "web", {"spec": {"selector": {"version": None}}})

        problems = live_overlap(world.pass_time().kube, a_release(), 0, Split())
        assert [problem.reason for problem in problems] == [reasons.SELECTOR_OVERLAP]
        assert "2 ready endpoints of green" in problems[0].detail


POD = {
    "serviceAccountName": "runner",
    "imagePullSecrets": [{"name": "registry"}],
    "volumes": [
        {"name": "a", "configMap": {"name": "files"}},
        {"name": "b", "projected": {"sources": [{"secret": {"name": "certs"}}]}},
        {"name": "c", "persistentVolumeClaim": {"claimName": "disk"}},
        {"name": "d", "configMap": {"name": "maybe", "optional": True}},
    ],
    "containers": [
        {
            "name": "app",
            "image": "web:1",
            "envFrom": [{"configMapRef": {"name": "env"}}],
            "env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}}],
        }
    ],
}


class TestReferences:
    def test_everything_that_is_missing_is_named_at_once(self):
        details = " ".join(problem.detail for problem in found(World().with_blue(pod=POD)).problems)

        for name in ("shop/files", "shop/certs", "shop/disk", "shop/env", "shop/key", "shop/registry", "ServiceAccount shop/runner"):
            assert name in details
        assert "maybe" not in details

    def test_where_all_is_there_nothing_is_refused(self):
        world = World()
        for kind, names in ((CONFIG_MAP, ("files", "env")), (SECRET, ("certs", "key", "registry")), (SERVICE_ACCOUNT, ("runner",))):
            for name in names:
                world.user.create(kind, "shop", {"metadata": {"name": name}})
        world.user.create(PVC, "shop", {"metadata": {"name": "disk"}, "spec": {"accessModes": ["ReadWriteMany"]}})

        assert refusals(world.with_blue(pod=POD)) == []

    def test_a_secret_that_may_not_be_read_is_a_warning(self):
        world = World()
        world.with_blue(pod={"imagePullSecrets": [{"name": "registry"}]})

        answer = preflight(Forbids(world.kube, SECRET), a_release(), 0)

        assert answer.problems == ()
        assert [warning.reason for warning in answer.warnings] == [reasons.RIGHTS_MISSING]
        assert "Secret shop/registry" in answer.warnings[0].detail

    def test_a_volume_for_one_node_cannot_be_shared(self):
        world = World()
        world.user.create(PVC, "shop", {"metadata": {"name": "disk"}, "spec": {"accessModes": ["ReadWriteOnce"]}})
        world.with_blue(pod={"volumes": [{"name": "c", "persistentVolumeClaim": {"claimName": "disk"}}]})

        assert refusals(world) == [reasons.WORKLOAD_UNSUITABLE]

    def test_in_another_namespace_it_is_looked_for_there(self):
        world = World()
        world.user.create(SERVICE_ACCOUNT, "shop", {"metadata": {"name": "runner"}})
        world.with_blue(pod={"serviceAccountName": "runner"})

        problems = found(world, a_release(slots=TWO_PLACES)).problems

        assert ["shop-green/runner" in problem.detail for problem in problems] == [True]

    def test_what_is_brought_along_must_exist_beside_blue_only(self):
        world = World()
        world.user.create(CONFIG_MAP, "shop", {"metadata": {"name": "env"}})
        world.with_blue(pod={"volumes": [{"name": "e", "configMap": {"name": "env"}}]})
        member = {"name": "web", "workload": "web", "configMaps": ["env"]}
        release = a_release(plan={"members": [member], "traffic": {"virtualService": "web"}, "slots": TWO_PLACES})
        assert refusals(world, release) == []

        world.user.delete(CONFIG_MAP, "shop", "env", uid=world.find(CONFIG_MAP, "env")["metadata"]["uid"])
        assert refusals(world, release) == [reasons.REFERENCE_MISSING]


class TestNamespaces:
    def release(self):
        return a_release(slots=[{"name": "home"}, {"name": "away", "namespace": "nowhere"}])

    def test_a_missing_one_is_refused_with_the_way_out(self):
        problems = found(World().with_blue(), self.release()).problems

        assert [problem.reason for problem in problems] == [reasons.REFERENCE_MISSING]
        assert "penstock install --green-namespace nowhere" in problems[0].detail

    def test_a_missing_one_may_be_made_where_that_is_installed(self):
        assert refusals(World().with_blue(), self.release(), may_make_namespaces=True) == []

    def test_a_terminating_one_is_refused(self):
        world = World().with_blue()
        world.user.create(NAMESPACE, "", {"metadata": {"name": "nowhere", "finalizers": ["example.org/stay"]}})
        world.user.delete(NAMESPACE, "", "nowhere", uid=world.find(NAMESPACE, "nowhere", "")["metadata"]["uid"])

        assert refusals(world, self.release()) == [reasons.WORKLOAD_UNSUITABLE]

    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            ({"istio-injection": "enabled"}, []),
            ({}, ["no istio-injection"]),
            ({"istio.io/rev": "canary"}, ["no istio-inj", "istio.io/rev=canary"]),
        ],
    )
    def test_one_whose_pods_get_another_proxy_or_none_is_said(self, labels, expected):
        """A namespace that somebody made by `kubectl create namespace`, beside one that the mesh knows."""
        world = World().with_blue()
        world.user.patch(NAMESPACE, "", "shop", {"metadata": {"labels": {"istio-injection": "enabled"}}})
        world.user.create(NAMESPACE, "", {"metadata": {"name": "nowhere", "labels": labels}})

        answer = found(world, self.release())

        assert answer.problems == ()
        assert [f"and nowhere has {words}" in one.detail for words, one in zip(expected, answer.warnings, strict=True)] == [True] * len(
            expected
        )

    def test_one_that_may_not_be_read_is_a_warning(self):
        world = World().with_blue()

        answer = preflight(Forbids(world.kube, NAMESPACE), a_release(slots=TWO_PLACES), 0)

        assert (answer.problems, [warning.reason for warning in answer.warnings]) == ((), [reasons.RIGHTS_MISSING])


class TestAutoscalers:
    """Kubernetes scales by no autoscaler any more whose selector finds a pod that another one's finds too."""

    SPLIT = Split("subset", {"version": "v1"}, {"penstock.dev/revision": "r2"}, frozenset({("shop", "web")}))

    def world(self, selector):
        world = World()
        world.deploy(selector=selector)
        world.serve(selector={"app": "web"})
        world.autoscale(minimum=2)
        return world.pass_time()

    def test_a_selector_that_finds_the_clones_pods_too_is_refused_with_the_ways_out(self):
        world = self.world({"app": "web"})

        assert refusals(world, split=self.SPLIT) == [reasons.SELECTOR_OVERLAP]
        assert "(app=web) finds the pods of shop/web-green too" in found(world, split=self.SPLIT).problems[0].detail
        assert refusals(world, a_release(finish={"mode": "home"}), self.SPLIT) == []
        assert refusals(world, a_release(slots=TWO_PLACES)) == []

    def test_so_is_that_of_an_old_version_that_would_find_blues_pods(self):
        world = self.world({"app": "web", "version": "v1"})
        world.deploy("web-green", replicas=0, selector={"app": "web"}, labels={"app": "web", "version": "v0"})

        assert refusals(world, split=self.SPLIT) == [reasons.SELECTOR_OVERLAP]

    def test_selectors_that_tell_the_versions_apart_are_fine(self):
        assert refusals(self.world({"app": "web", "version": "v1"}), split=self.SPLIT) == []


class TestOthersBehindTheService:
    OTHER = Split("subset", {"version": "v1"}, {"penstock.dev/revision": "r2"}, frozenset({("shop", "web")}))

    def world(self, replicas=1):
        world = World()
        world.deploy()
        world.serve(selector={"app": "web"})
        world.deploy("web-legacy", labels={"app": "web", "version": "v1", "track": "legacy"}, replicas=replicas)
        return world.pass_time()

    def test_by_subset_nobody_could_see_the_split(self):
        problems = found(self.world(), split=self.OTHER).problems

        assert [problem.reason for problem in problems] == [reasons.SELECTOR_OVERLAP]
        assert "Deployment shop/web-legacy, which is no member of the plan" in problems[0].detail
        assert found(self.world(replicas=0), split=self.OTHER) == Preflight()

    def test_by_host_green_takes_their_requests_over_which_is_said(self):
        world = self.world()

        assert refusals(world, a_release(slots=TWO_PLACES)) == []
        assert "sized to shop/web alone" in found(world, a_release(slots=TWO_PLACES)).warnings[0].detail


class TestOtherTools:
    @pytest.mark.parametrize(
        ("labels", "annotations", "words"),
        [
            ({}, {"argocd.argoproj.io/tracking-id": "web:apps/Deployment:shop/web"}, "ignoreDifferences"),
            ({"argocd.argoproj.io/instance": "web"}, {}, "/spec/replicas"),
            ({"kustomize.toolkit.fluxcd.io/name": "web"}, {}, "reconcile: disabled"),
            ({"helm.toolkit.fluxcd.io/name": "web"}, {}, "driftDetection"),
        ],
    )
    def test_a_workload_that_a_gitops_tool_reconciles_is_refused_with_the_text_to_ignore_it(self, labels, annotations, words):
        world = World().with_blue()
        world.edit(DEPLOYMENT, "web", {"metadata": {"labels": labels, "annotations": annotations}})

        problems = found(world).problems

        assert [problem.reason for problem in problems] == [reasons.GITOPS_OWNED]
        assert words in problems[0].detail

    def test_it_is_let_through_where_the_plan_says_that_the_tool_ignores_it(self):
        world = World().with_blue()
        world.edit(DEPLOYMENT, "web", {"metadata": {"labels": {"argocd.argoproj.io/instance": "web"}}})

        assert refusals(world, a_release(traffic={"virtualService": "web", "gitops": "ignored"})) == []

    def test_the_way_home_names_the_image_too(self):
        world = World().with_blue()
        world.edit(DEPLOYMENT, "web", {"metadata": {"labels": {"argocd.argoproj.io/instance": "web"}}})

        assert "/spec/template/spec/containers" in found(world, a_release(finish={"mode": "home"})).problems[0].detail

    def test_helm_marks_are_said(self):
        world = World().with_blue()
        world.edit(DEPLOYMENT, "web", {"metadata": {"annotations": {"meta.helm.sh/release-name": "shop"}}})

        assert (refusals(world), said(world)) == ([], [reasons.HELM_MARKED])

    def test_a_controller_that_owns_the_workload_is_said(self):
        owner = {"apiVersion": "apps.example.com/v1", "kind": "WebApp", "name": "web", "uid": "o", "controller": True}
        world = World().with_blue()
        world.edit(DEPLOYMENT, "web", {"metadata": {"ownerReferences": [owner]}})

        assert (refusals(world), said(world)) == ([], [reasons.WORKLOAD_UNSUITABLE])
        assert "belongs to WebApp web" in found(world).warnings[0].detail

    def test_a_keda_autoscaler_is_refused_with_the_way_out(self):
        world = World().with_blue()
        owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "web-scaler", "uid": "k"}
        spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 5}
        world.user.create(HPA, "shop", {"metadata": {"name": "keda-hpa-web", "ownerReferences": [owner]}, "spec": spec})

        problems = found(world).problems

        assert [problem.reason for problem in problems] == [reasons.HPA_FOREIGN]
        assert "web-scaler" in problems[0].detail
        assert "autoscaling.keda.sh/paused" in problems[0].detail


class Policies:
    """AuthorizationPolicies beside a cluster that does not serve that kind."""

    def __init__(self, kube, *policies):
        self.kube = kube
        self.policies = [
            {
                "metadata": {"name": name, "namespace": namespace},
                "spec": {**({"selector": {"matchLabels": labels}} if labels else {}), **spec},
            }
            for name, namespace, labels, spec in policies
        ]

    def get(self, kind, namespace, name):
        return self.kube.get(kind, namespace, name)

    def list(self, kind, namespace="", *, labels=""):
        if kind is not AUTHORIZATION_POLICY:
            return self.kube.list(kind, namespace, labels=labels)
        listing = self.kube.list(DEPLOYMENT, namespace)
        return type(listing)([policy for policy in self.policies if policy["metadata"]["namespace"] == namespace], listing.resource_version)


ALLOW = {"action": "ALLOW", "rules": [{"from": [{"source": {"namespaces": ["edge"]}}]}]}


class TestAuthorization:
    def said(self, *policies, **sections):
        world = World().with_blue()
        answer = preflight(Policies(world.kube, *policies), a_release(**sections), 0)
        assert answer.problems == ()
        assert {warning.reason for warning in answer.warnings} <= {reasons.AUTHORIZATION_DENIES}
        return " ".join(warning.detail for warning in answer.warnings)

    def test_a_policy_over_both_says_nothing(self):
        assert self.said(("all", "shop", {"app": "web"}, ALLOW)) == ""

    def test_an_allowance_by_a_label_that_green_lacks_denies_it(self):
        words = self.said(("v1", "shop", {"version": "v1"}, ALLOW), ("nothing", "shop", {}, {}))

        assert "shop/v1 allows requests to blue, and none allows the same to green" in words

    def test_a_guard_that_does_not_select_green_is_said(self):
        assert "open to everybody" in self.said(("v1", "shop", {"version": "v1"}, ALLOW))

    def test_a_denial_in_greens_namespace_is_said(self):
        assert "shop-green/no (DENY) applies to green" in self.said(
            ("no", "shop-green", {}, {"action": "DENY", "rules": [{}]}), slots=TWO_PLACES
        )

    def test_the_same_policies_in_both_namespaces_say_nothing(self):
        assert self.said(("all", "shop", {}, ALLOW), ("all", "shop-green", {}, ALLOW), slots=TWO_PLACES) == ""

    def test_an_allowance_in_greens_namespace_alone_is_said(self):
        assert "restricts green" in self.said(("all", "shop-green", {}, ALLOW), slots=TWO_PLACES)

    def test_a_neighbour_that_lets_blue_in_by_its_namespace_does_not_know_green(self):
        by_name = {"action": "ALLOW", "rules": [{"from": [{"source": {"namespaces": ["shop"]}}]}]}

        assert "lets blue call by its identity" in self.said(("db", "shop", {"app": "db"}, by_name), slots=TWO_PLACES)

    def test_a_cluster_without_the_kind_says_nothing_and_one_without_the_right_says_that(self):
        world = World().with_blue()

        answer = preflight(Forbids(world.kube, AUTHORIZATION_POLICY), a_release(), 0)

        assert [warning.reason for warning in answer.warnings] == [reasons.RIGHTS_MISSING]
