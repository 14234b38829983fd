"""What a look at the routes says, and what it refuses."""

import pytest
from istio_bed import BLUE, PLAN, Bed, host_bed, rule, subject, to

from controller.adapters.marks import STAMP
from controller.core import reasons
from controller.ports import RELEASE, VIRTUAL_SERVICE, RefusedError

BYPASS = {
    "workload": "api",
    "traffic": {"virtualServices": [{"name": "web", "bypass": [{"route": "canary"}]}]},
}
CANARY = [{"headers": {"canary": {"exact": "true"}}}]


def refused(bed, plan=None):
    """Reasons of a first look."""
    return {problem.reason for problem in bed.look(subject(plan), first=True).problems}


def words(bed, plan=None):
    """Sentences of a first look."""
    return " / ".join(problem.detail for problem in bed.look(subject(plan), first=True).problems)


class TestWhoIsBlue:
    def test_the_host_at_100_is_blue(self):
        view = host_bed().look(subject(), first=True)
        assert (view.blue_slot, view.mode, view.problems) == (0, "host", ())

    def test_after_a_swap_the_second_slot_is_blue(self):
        view = host_bed(rule(to("api", 0), to("api-green", 100))).look(subject(), first=True)
        assert view.blue_slot == 1
        assert view.problems == ()

    def test_a_single_destination_without_weight_has_everything(self):
        view = host_bed(rule(to("api"))).look(subject(), first=True)
        assert (view.blue_slot, view.problems) == (0, ())
        assert (view.routes[0].green_weight, view.routes[0].has_green, view.routes[0].blue_only) == (0, False, True)

    def test_a_short_name_with_a_dot_is_taken_as_complete(self):
        assert reasons.ROUTE_UNSUITABLE in refused(host_bed(rule(to("api.shop"))))

    def test_a_split_that_is_under_way_names_no_blue(self):
        assert refused(host_bed(rule(to("api", 60), to("api-green", 40)))) == {reasons.BLUE_UNKNOWN}

    def test_rules_that_disagree_name_no_blue(self):
        bed = host_bed(
            rule(to("api", 100), to("api-green", 0), match=[{"uri": {"prefix": "/a"}}]), rule(to("api", 0), to("api-green", 100))
        )
        assert refused(bed) == {reasons.BLUE_UNKNOWN}

    def test_the_status_is_trusted_once_it_knows(self):
        view = host_bed(rule(to("api", 0), to("api-green", 100))).look(subject(blue_slot=0, mode="host"))
        assert (view.blue_slot, view.routes[0].green_weight, view.routes[0].blue_only) == (0, 100, False)

    def test_hosts_of_two_namespaces(self):
        bed = Bed()
        bed.namespace("shop-green")
        bed.service()
        bed.service("api", "shop-green")
        bed.route(rule(to(BLUE, 100), to("api.shop-green.svc.cluster.local", 0)))
        plan = {**PLAN, "slots": [{"name": "blue"}, {"name": "green", "namespace": "shop-green"}]}
        view = bed.look(subject(plan), first=True)
        assert (view.blue_slot, view.problems, view.cluster_ready) == (0, (), True)


NAMED = {**PLAN, "workload": "api", "slots": [{"name": "v1", "suffix": "-v1"}, {"name": "v2", "suffix": "-v2"}]}


class TestTwoNamesWithASuffix:
    """`api-v1` and `api-v2`, behind one Service `api` or one each."""

    @staticmethod
    def bed(*targets):
        bed = Bed()
        for name in ("v1", "v2"):
            bed.deployment(f"api-{name}", {"app": "api", "version": name})
            bed.service(f"api-{name}", selector={"app": "api", "version": name})
        bed.service("api", selector={"app": "api"})
        bed.destination_rule(*({"name": name, "labels": {"version": name}} for name in ("v1", "v2")))
        bed.route(rule(*targets))
        return bed

    @pytest.mark.parametrize(("subset", "slot"), [("v1", 0), ("v2", 1)])
    def test_subsets_of_the_service_that_both_stand_behind(self, subset, slot):
        view = self.bed(to("api", subset=subset)).look(subject({**NAMED, "preparation": {"green": "adopt"}}), first=True)

        assert (view.mode, view.blue_slot, view.blue_subset, view.problems) == ("subset", slot, subset, ())
        assert ("shop", "api") in view.routed

    def test_a_service_each(self):
        view = self.bed(to("api-v1", 0), to("api-v2", 100)).look(subject(NAMED), first=True)

        assert (view.mode, view.blue_slot, view.problems) == ("host", 1, ())

    def test_the_service_that_both_stand_behind_names_no_version_without_a_subset(self):
        bed = self.bed(to("api", 100))

        assert refused(bed, NAMED) == {reasons.ROUTE_UNSUITABLE}
        assert "no http rule sends to one of api-v1.shop.svc.cluster.local, api-v2.shop.svc.cluster.local" in words(bed, NAMED)
        assert "name the subset of the version that serves" in words(bed, NAMED)


class TestShares:
    KNOWN = subject(blue_slot=0, mode="host")

    @pytest.mark.parametrize(
        ("targets", "percent"),
        [
            ((to("api", 60), to("api-green", 30)), 34),
            ((to("api", 150), to("api-green", 50)), 25),
            ((to("api"), to("api-green", 10)), 100),
            ((to("api", 10), to("api-green")), 0),
            ((to("api-green", 3),), 100),
            ((to("api", 0), to("api-green", 0)), 100),
            ((to("api"), to("api-green")), 100),
            ((to("api", "50"), to("api-green", 50)), 100),
            ((to("api", 199), to("api-green", 1)), 1),
        ],
    )
    def test_the_share_is_what_istio_would_make_of_the_weights(self, targets, percent):
        """Weight over sum, rounded up; an absent one among several is 0; weights that mean nothing count as everything."""
        route = host_bed(rule(*targets)).look(self.KNOWN).routes[0]
        assert route.green_weight == percent
        assert route.blue_only == (percent == 0)

    def test_the_highest_share_of_all_managed_rules_counts(self):
        bed = host_bed(rule(to("api", 95), to("api-green", 5), match=[{"uri": {"prefix": "/a"}}]), rule(to("api", 75), to("api-green", 25)))
        assert bed.look(self.KNOWN).routes[0].green_weight == 25

    def test_a_rule_behind_a_catch_all_does_not_count(self):
        bed = host_bed(rule(to("api", 100), to("api-green", 0)), rule(to("api-green", 100)))
        assert bed.look(self.KNOWN).routes[0].green_weight == 0

    def test_one_that_names_both_versions_counts_and_is_said_since_it_was_opened_in_front_of_it(self):
        """Its weights count again as soon as somebody puts it back in its place."""
        catch_all = rule(to("api", 80), to("api-green", 20))
        behind = rule(to("api", 50), to("api-green", 50), match=[{"uri": {"prefix": "/a"}}])
        route = host_bed(catch_all, behind).look(self.KNOWN).routes[0]
        assert (route.green_weight, [problem.detail for problem in route.problems]) == (
            50,
            ["http rule 1 of VirtualService shop/web stands behind a catch-all, so Istio drops it"],
        )

    def test_the_marks_are_read(self):
        bed = host_bed(meta={"annotations": {"penstock.dev/owner": "u9", STAMP: "u9/3", "penstock.dev/epoch": "12"}})
        route = bed.look(self.KNOWN).routes[0]
        assert (route.owner, route.stamp, route.epoch, route.resource_version) == (
            "u9",
            "u9/3",
            12,
            bed.web()["metadata"]["resourceVersion"],
        )

    def test_a_deleted_virtual_service_is_not_found(self):
        bed = host_bed()
        bed.user.delete(VIRTUAL_SERVICE, "shop", "web", uid=bed.web()["metadata"]["uid"])
        route = bed.look(self.KNOWN).routes[0]
        assert (route.found, route.problems[0].reason) == (False, reasons.ROUTE_MISSING)

    def test_the_last_foreign_writer_of_the_rules_is_named(self):
        fields = {"f:spec": {"f:http": {}}}
        bed = host_bed()
        web = {
            **bed.web(),
            "metadata": {
                **bed.web()["metadata"],
                "managedFields": [
                    {"manager": "penstock", "time": "2026-01-01T00:00:00Z", "fieldsV1": fields},
                    {"manager": "argocd", "time": "2026-01-01T00:00:05Z", "fieldsV1": fields},
                    {"manager": "kubectl", "time": "2026-01-01T00:00:09Z", "fieldsV1": {"f:metadata": {}}},
                ],
            },
        }
        bed.kube.get = lambda kind, *at: web if kind == VIRTUAL_SERVICE else bed.kube.kube.get(kind, *at)
        assert bed.look(self.KNOWN).routes[0].foreign == "argocd"


class TestRefusals:
    def test_weights_that_do_not_sum_to_100(self):
        bed = host_bed(rule(to("api", 60), to("api-green", 0)))
        assert refused(bed) == {reasons.ROUTE_UNSUITABLE}
        assert "sum to 60, expected 100" in words(bed)

    def test_one_of_several_without_a_weight(self):
        bed = host_bed(rule(to("api"), to("api-green", 10)))
        assert reasons.ROUTE_UNSUITABLE in refused(bed)

    def test_a_third_destination(self):
        bed = host_bed(rule(to("api", 90), to("api-green", 0), to("other", 10)))
        assert refused(bed) == {reasons.BLUE_UNKNOWN}
        assert "sends 90 % to" in words(bed)
        assert "and 10 to other.shop.svc.cluster.local, which is neither blue nor green" in words(bed)

    def test_weights_of_both_versions_that_do_not_sum_to_100_are_said_with_their_sum(self):
        assert "(its weights sum to 90, expected 100)" in words(host_bed(rule(to("api", 60), to("api-green", 30))))

    def test_a_third_destination_that_gets_a_weight_in_mid_release(self):
        bed = host_bed(rule(to("api", 90), to("api-green", 0), to("other", 10)))
        view = bed.look(subject(blue_slot=0, mode="host"))
        assert "a further destination beside blue and green" in view.routes[0].problems[0].detail

    @pytest.mark.parametrize("weight", [0, None])
    def test_a_third_destination_without_weight_is_nobodys_affair(self, weight):
        assert refused(host_bed(rule(to("api", 100), to("api-green", 0), to("legacy", weight)))) == set()

    def test_a_rule_before_the_managed_one_that_sends_to_green(self):
        bed = host_bed(rule(to("api-green"), match=CANARY), rule(to("api", 100), to("api-green", 0)))
        assert refused(bed) == {reasons.BYPASS_UNLISTED}

    def test_the_same_rule_is_fine_where_the_plan_lists_it(self):
        bed = host_bed(rule(to("api-green"), match=CANARY, name="canary"), rule(to("api", 100), to("api-green", 0)))
        view = bed.look(subject(BYPASS), first=True)
        assert view.problems == ()
        assert (view.routes[0].bypass_green, view.routes[0].blue_only, view.routes[0].green_weight) == (True, False, 0)

    def test_a_rule_without_a_name_is_listed_by_its_header(self):
        plan = {"workload": "api", "traffic": {"virtualServices": [{"name": "web", "bypass": [{"route": "canary", "header": "canary"}]}]}}
        bed = host_bed(rule(to("api-green"), match=CANARY), rule(to("api", 100), to("api-green", 0)))
        view = bed.look(subject(plan), first=True)
        assert (view.problems, view.routes[0].bypass_green) == ((), True)

    def test_a_rule_without_a_name_and_with_another_header_is_not_listed(self):
        plan = {"workload": "api", "traffic": {"virtualServices": [{"name": "web", "bypass": [{"route": "canary", "header": "canary"}]}]}}
        match = [*CANARY, {"headers": {"beta": {"exact": "true"}}}]
        bed = host_bed(rule(to("api-green"), match=match), rule(to("api", 100), to("api-green", 0)))
        assert refused(bed, plan) == {reasons.BYPASS_UNLISTED}

    def test_an_unlisted_rule_beside_named_ones(self):
        plan = {"workload": "api", "traffic": {"virtualServices": [{"name": "web", "routes": ["main"]}]}}
        bed = host_bed(rule(to("api-green"), match=CANARY), rule(to("api", 100), to("api-green", 0), name="main"))
        assert refused(bed, plan) == {reasons.BYPASS_UNLISTED}

    def test_a_named_rule_that_is_not_there(self):
        plan = {"workload": "api", "traffic": {"virtualServices": [{"name": "web", "routes": ["main", "gone"]}]}}
        bed = host_bed(rule(to("api", 100), to("api-green", 0), name="main"))
        assert refused(bed, plan) == {reasons.ROUTE_MISSING}

    def test_a_named_rule_behind_a_catch_all(self):
        plan = {"workload": "api", "traffic": {"virtualServices": [{"name": "web", "routes": ["main"]}]}}
        bed = host_bed(rule(to("other")), rule(to("api", 100), to("api-green", 0), name="main"))
        assert refused(bed, plan) == {reasons.ROUTE_UNSUITABLE}

    def test_a_virtual_service_that_some_clients_do_not_see_is_a_warning(self):
        view = host_bed(exportTo=["."]).look(subject(), first=True)
        assert (view.problems, ["exported to shop only" in warning.detail for warning in view.warnings]) == ((), [True])

    def test_what_stays_on_blue_because_the_plan_does_not_name_it_is_said(self):
        plan = {"workload": "api", "traffic": {"virtualServices": [{"name": "web", "routes": ["main"]}]}}
        bed = host_bed(rule(to("api"), match=CANARY, name="old"), rule(to("api", 100), to("api-green", 0), name="main"))
        bed.route(rule(to("api.shop.svc.cluster.local")), name="public", hosts=("shop.example.com",), gateways=["edge"])
        bed.route(rule(to("other")), name="others", hosts=("other.example.com",), gateways=["edge"])
        view = bed.look(subject(plan), first=True)
        assert (view.problems, [warning.detail for warning in view.warnings]) == (
            (),
            [
                'rule "old" of VirtualService shop/web sends to blue too, and stays there: the plan does not name it',
                "VirtualService shop/public sends to blue too, and stays there: the plan does not name it",
            ],
        )

    def test_a_listed_bypass_that_is_not_there_and_cannot_be_made(self):
        assert refused(host_bed(), BYPASS) == {reasons.ROUTE_MISSING}

    def test_a_mirror_to_green(self):
        bed = host_bed(rule(to("api", 100), to("api-green", 0), mirror={"host": "api-green"}))
        assert refused(bed) == {reasons.BYPASS_UNLISTED}

    @pytest.mark.parametrize(
        ("others", "expected"),
        [
            (rule(to("api-green")), {reasons.BYPASS_UNLISTED}),
            (rule(to("other", 99), to("api-green", 1)), {reasons.BYPASS_UNLISTED}),
            (rule(to("other"), mirror={"host": "api-green"}), {reasons.BYPASS_UNLISTED}),
            (rule(to("other", 100), to("api-green", 0)), set()),
            (rule(to("other"), mirror={"host": "api-green"}, mirrorPercentage={"value": 0}), set()),
        ],
    )
    def test_a_virtual_service_beside_the_plan_that_reaches_green(self, others, expected):
        """A preview's users would get green before it is ready, and nobody after a rollback."""
        bed = host_bed()
        bed.route(others, name="preview", hosts=("preview.example.com",), gateways=["edge"])

        assert refused(bed) == expected
        told = words(bed)
        assert ("VirtualService shop/preview (hosts preview.example.com) " in told) == bool(expected)
        assert (" to api-green.shop.svc.cluster.local, whatever the weights say, and api.shop.svc.cluster.local is what" in told) == bool(
            expected
        )

    def test_one_that_the_plan_lists_is_pointed_at_green_with_the_weights(self):
        plan = {
            "workload": "api",
            "traffic": {"virtualServices": [{"name": "web"}, {"name": "preview", "bypass": [{"route": "preview"}]}]},
        }
        bed = host_bed()
        bed.route(rule(to("api-green"), name="preview"), name="preview", hosts=("preview.example.com",), gateways=["edge"])

        assert refused(bed, plan) == set()

    def test_rules_for_who_asks_green_by_its_own_name_change_nothing(self):
        bed = host_bed()
        bed.route(rule(to("api-green"), timeout="3s"), name="own", hosts=("api-green",))

        assert refused(bed) == set()

    @pytest.mark.parametrize("protocol", ["tcp", "tls"])
    def test_tcp_and_tls_routes_of_the_host(self, protocol):
        bed = host_bed(**{protocol: [{"route": [to("api")]}]})
        assert refused(bed) == {reasons.ROUTE_UNSUITABLE}

    def test_a_host_that_an_older_virtual_service_wins(self):
        bed = Bed()
        bed.route(rule(to("api")), name="older")
        bed.time += 5
        bed.route(rule(to("api", 100), to("api-green", 0)))
        assert reasons.ROUTE_SHADOWED in refused(bed)
        assert "won by VirtualService shop/older" in words(bed)

    def test_a_younger_rival_changes_nothing(self):
        bed = host_bed()
        bed.time += 5
        bed.route(rule(to("api")), name="younger")
        assert refused(bed) == set()

    def test_a_virtual_service_of_a_gateway_does_not_shadow(self):
        bed = Bed()
        bed.service()
        bed.route(rule(to("api")), name="older", gateways=["edge"])
        bed.time += 5
        bed.route(rule(to("api", 100), to("api-green", 0)))
        assert refused(bed) == set()

    def test_a_delegate_that_delegates_again(self):
        bed = host_bed(rule(to("api", 100), to("api-green", 0), match=[{"uri": {"prefix": "/a"}}]), {"delegate": {"name": "deep"}})
        bed.put(VIRTUAL_SERVICE, "deep", {"http": [{"delegate": {"name": "deeper"}}]})
        assert reasons.ROUTE_UNSUITABLE in refused(bed)
        assert "delegates again" in words(bed)

    def test_a_delegate_is_managed_through_its_root(self):
        bed = host_bed(hosts=())
        bed.put(VIRTUAL_SERVICE, "root", {"hosts": ["api"], "http": [{"delegate": {"name": "web"}}]})
        assert refused(bed) == set()

    def test_a_delegate_without_a_root_that_can_be_seen_is_a_warning(self):
        """Roots stand with their gateways, in namespaces that no plan names."""
        view = host_bed(hosts=()).look(subject(), first=True)
        assert (view.problems, ["only one elsewhere" in warning.detail for warning in view.warnings]) == ((), [True])

    def test_a_destination_without_port_where_the_service_has_two(self):
        bed = Bed()
        bed.service(ports=(80, 8080))
        bed.route(rule(to("api", port=None)))
        assert refused(bed) == {reasons.ROUTE_UNSUITABLE}
        assert "names no port" in words(bed)

    def test_a_missing_virtual_service(self):
        assert refused(Bed()) == {reasons.ROUTE_MISSING}

    def test_no_rule_of_ours(self):
        """A workload with its version in its name, behind a Service without: the first plan of most people names no Service."""
        bed = host_bed(rule(to("other")))

        assert reasons.ROUTE_UNSUITABLE in refused(bed)
        assert "they send to other.shop.svc.cluster.local: if that is the Service of member api" in words(bed)
        assert "(members, service: other)" in words(bed)

    @pytest.mark.parametrize(("finish", "expected"), [({}, 1), ({"mode": "home"}, 0)])
    def test_a_mirror_of_blue_that_stays_where_it_is_is_said(self, finish, expected):
        bed = host_bed(rule(to("api", 100), to("api-green", 0), mirror={"host": "api"}))
        view = bed.look(subject({**PLAN, "finish": finish}), first=True)

        assert view.problems == ()
        assert sum("mirrors requests to blue, and goes on so when green serves" in warning.detail for warning in view.warnings) == expected

    def test_rules_that_send_out_of_the_namespace_are_named(self):
        assert "they send to api.elsewhere.svc.cluster.local: name the Service of each member" in words(
            host_bed(rule(to("api.elsewhere.svc.cluster.local")))
        )

    def test_a_rule_that_is_named_and_not_there(self):
        plan = {"workload": "api", "traffic": {"virtualServices": [{"name": "web", "routes": ["primry"]}]}}

        assert 'there is no http rule "primry"' in words(host_bed(rule(to("api"))), plan)

    @pytest.mark.parametrize(
        "spec", ["text", None, 5, {"hosts": ["api"], "http": "text"}, {"hosts": ["api"], "http": [5, None, {"route": 7}]}]
    )
    def test_garbage_is_a_problem_and_no_exception(self, spec):
        bed = Bed()
        web = {"kind": "VirtualService", "metadata": {"name": "web", "namespace": "shop", "uid": "x", "resourceVersion": "5"}, "spec": spec}
        bed.kube.get = lambda kind, *at: web if kind == VIRTUAL_SERVICE else bed.kube.kube.get(kind, *at)
        assert reasons.ROUTE_UNSUITABLE in refused(bed)
        assert bed.look(subject(blue_slot=0, mode="host")).routes[0].problems

    def test_a_weight_that_is_a_text(self):
        bed = host_bed(rule(to("api", "100"), to("api-green", 0)))
        assert "has the weight '100', expected a whole number" in words(bed)

    def test_a_namespace_that_may_not_be_listed_is_a_warning(self):
        bed = host_bed()
        listed = bed.kube.kube.list

        def deny(kind, namespace="", *, labels=""):
            if kind == VIRTUAL_SERVICE:
                raise RefusedError(403, "Forbidden", "no list of virtualservices")
            return listed(kind, namespace, labels=labels)

        bed.kube.list = deny
        view = bed.look(subject(), first=True)
        assert view.problems == ()
        assert [warning.reason for warning in view.warnings] == [reasons.RIGHTS_MISSING]

    def test_a_virtual_service_that_may_not_be_read_is_a_problem(self):
        bed = host_bed()

        def deny(*_):
            raise RefusedError(403, "Forbidden", "no")

        bed.kube.get = deny
        assert refused(bed) == {reasons.RIGHTS_MISSING}


class TestOwners:
    def owned(self, phase, uid="u9"):
        bed = host_bed(meta={"annotations": {"penstock.dev/owner": uid, "penstock.dev/owner-name": "shop/other"}})
        made = bed.put(RELEASE, "other", {})
        bed.user.patch(RELEASE, "shop", "other", {"status": {"phase": phase}})
        bed.annotate(**{"penstock.dev/owner": made["metadata"]["uid"] if uid == "u9" else uid})
        return bed

    def test_a_route_of_another_live_release_is_refused_by_its_name(self):
        bed = self.owned("Measuring")
        assert refused(bed) == {reasons.ROUTE_OWNED}
        assert "release shop/other moves the traffic" in words(bed)

    def test_what_that_release_made_of_the_weights_is_nothing_to_put_right(self):
        """A command that gives everything to one version would end the other release."""
        bed = self.owned("Measuring")
        http = [rule(to("api", 80), to("api-green", 20))]
        bed.user.patch(VIRTUAL_SERVICE, "shop", "web", {"spec": {"http": http}})

        assert refused(bed) == {reasons.ROUTE_OWNED}
        assert "kubectl" not in words(bed)

    @pytest.mark.parametrize("phase", ["Succeeded", "RolledBack", "Refused"])
    def test_a_finished_release_owns_nothing(self, phase):
        assert refused(self.owned(phase)) == set()

    def test_a_halted_release_still_owns_its_route(self):
        assert refused(self.owned("Halted")) == {reasons.ROUTE_OWNED}

    def test_a_release_that_was_made_again_is_not_the_owner(self):
        assert refused(self.owned("Measuring", uid="of-the-deleted-one")) == set()

    def test_our_own_mark_is_no_obstacle(self):
        assert refused(host_bed(meta={"annotations": {"penstock.dev/owner": "u1"}})) == set()


ARGO = {"annotations": {"argocd.argoproj.io/tracking-id": "shop-app:networking.istio.io/VirtualService:shop/web"}}


class TestOtherTools:
    def test_argo_cd_is_refused_with_the_text_that_silences_it(self):
        bed = host_bed(meta=ARGO)
        assert refused(bed) == {reasons.GITOPS_OWNED}
        said = words(bed)
        assert "application shop-app" in said
        assert "jqPathExpressions: ['.spec.http[].route[].weight'" in said
        assert "RespectIgnoreDifferences=true" in said

    @pytest.mark.parametrize(("manager", "expected"), [("argocd-controller", {reasons.GITOPS_OWNED}), ("helm", set())])
    def test_argo_cd_that_tracks_by_the_label_of_charts_is_known_by_its_own_writes(self, manager, expected):
        bed = host_bed(meta={"labels": {"app.kubernetes.io/instance": "shop-app"}})
        web = {**bed.web(), "metadata": {**bed.web()["metadata"], "managedFields": [{"manager": manager, "operation": "Update"}]}}
        bed.kube.get = lambda kind, *at: web if kind == VIRTUAL_SERVICE else bed.kube.kube.get(kind, *at)
        assert refused(bed) == expected
        assert ("application shop-app" in words(bed)) == bool(expected)

    def test_flux_is_refused_with_its_own_words(self):
        bed = host_bed(meta={"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}})
        assert refused(bed) == {reasons.GITOPS_OWNED}
        assert "kustomize.toolkit.fluxcd.io/ssa: IfNotPresent" in words(bed)

    def test_the_helm_controller_of_flux(self):
        bed = host_bed(meta={"labels": {"helm.toolkit.fluxcd.io/name": "apps"}})
        assert "spec.driftDetection.ignore: [{paths: [/spec/http]" in words(bed)

    def test_flux_that_was_told_on_the_object_is_fine(self):
        meta = {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}, "annotations": {"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}}
        assert refused(host_bed(meta=meta)) == set()

    def test_the_plan_may_say_that_the_tool_was_told(self):
        assert refused(host_bed(meta=ARGO), {"workload": "api", "traffic": {"virtualService": "web", "gitops": "ignored"}}) == set()

    def test_helm_is_only_a_warning(self):
        view = host_bed(meta={"labels": {"app.kubernetes.io/managed-by": "Helm"}}).look(subject(), first=True)
        assert (view.problems, [warning.reason for warning in view.warnings]) == ((), [reasons.HELM_MARKED])


class TestWhatIsAbsent:
    def test_a_misspelled_workload_is_named_before_the_routes_that_do_not_send_to_it(self):
        bed = Bed()
        bed.route(rule(to("other", 100)))

        problems = bed.look(subject(), first=True).problems

        assert problems[0].reason == reasons.WORKLOAD_MISSING
        assert "Deployment shop/api of member api was not found" in problems[0].detail

    def test_a_host_without_its_service_leads_nowhere(self):
        bed = Bed()
        bed.route(rule(to("api", 100), to("api-green", 0)))
        bed.service("api-green")

        assert [p.detail for p in bed.look(subject(), first=True).problems if p.reason == reasons.WORKLOAD_MISSING] == [
            "Service shop/api was not found, so host api.shop.svc.cluster.local leads nowhere"
        ]
