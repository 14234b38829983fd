"""Subset mode from the first look to the last write, and the trafficPolicy of green's host in host mode."""

import pytest
from istio_bed import EPOCH, PLAN, Bed, host_bed, rule, subject, to

from controller.adapters.istio.rollback import roll_back_routes
from controller.adapters.istio.subsets import ensure_subset, remove_subset
from controller.adapters.istio.writes import claim_routes, close_routes, open_routes, set_weight
from controller.adapters.marks import ADDED, MADE, Deposed
from controller.core import reasons
from controller.core.commands import RollBackRoutes
from controller.ports import DEPLOYMENT, DESTINATION_RULE, ConflictError, NotFoundError, RefusedError

V1 = {"name": "v1", "labels": {"version": "v1"}, "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 9}}}}
ADOPT = {**PLAN, "preparation": {"green": "adopt"}}
GREEN_V2 = {"name": "v2", "labels": {"penstock.dev/revision": "v2"}, "trafficPolicy": V1["trafficPolicy"]}


def subset_bed(*targets, subsets=(V1,), green=None, **meta):
    bed = Bed()
    bed.service()
    bed.deployment("api", {"app": "api", "version": "v1"})
    if green:
        bed.deployment("api-green", green)
    bed.destination_rule(*subsets, meta=meta)
    bed.route(rule(*(targets or (to("api", subset="v1"),))))
    return bed


def known(bed, plan=None, **more):
    """The release with what a first look found in its status."""
    view = bed.look(subject(plan, **more), first=True)
    assert view.problems == ()
    return subject(plan, blue_slot=view.blue_slot, mode=view.mode, blue_subset=view.blue_subset, green_subset=view.green_subset, **more)


def subsets(bed):
    return bed.user.get(DESTINATION_RULE, "shop", "api")["spec"].get("subsets")


def refused(bed, plan=None):
    return {problem.reason for problem in bed.look(subject(plan), first=True).problems}


def run(bed, release, weight):
    """From claim to a weight."""
    ensure_subset(bed.kube, release, bed.look(release), EPOCH)
    claim_routes(bed.kube, release, bed.look(release), EPOCH)
    open_routes(bed.kube, release, bed.look(release), EPOCH)
    set_weight(bed.kube, release, bed.look(release), EPOCH, weight=weight)


def end(bed, release, serving):
    """The idle subset goes, then the routes are given back."""
    view = bed.look(release)
    remove_subset(bed.kube, release, view, EPOCH, serving=serving)
    close_routes(bed.kube, release, view, EPOCH, serving=serving)


class TestWhoIsBlue:
    def test_blue_is_the_slot_whose_pods_its_subset_selects(self):
        view = subset_bed().look(subject(), first=True)
        assert (view.mode, view.blue_slot, view.blue_subset, view.green_subset, view.problems) == ("subset", 0, "v1", "v2", ())
        assert (view.blue_labels, view.green_labels) == ({"version": "v1"}, {"penstock.dev/revision": "v2"})
        assert not view.cluster_ready

    def test_after_a_swap_it_is_the_second_slot(self):
        both = (V1, {"name": "w", "labels": {"version": "w"}})
        bed = subset_bed(to("api", 0, subset="v1"), to("api", 100, subset="w"), subsets=both, green={"app": "api", "version": "w"})
        view = bed.look(subject(), first=True)
        assert (view.blue_slot, view.blue_subset) == (1, "w")

    def test_a_subset_that_selects_both_slots_is_refused(self):
        bed = subset_bed(green={"app": "api", "version": "v1"})
        assert refused(bed) == {reasons.SELECTOR_OVERLAP}

    def test_a_subset_that_selects_nobody_is_refused(self):
        assert refused(subset_bed(subsets=({"name": "v1", "labels": {"version": "other"}},))) == {reasons.BLUE_UNKNOWN}

    def test_a_subset_that_no_destination_rule_defines_is_refused(self):
        assert refused(subset_bed(to("api", subset="gone"))) == {reasons.ROUTE_MISSING}

    def test_nor_is_one_in_the_gateways_own_namespace_looked_at_and_the_sentence_says_where_it_was_looked_for(self):
        bed = subset_bed(to("api", subset="gone"))
        bed.namespace("edge")
        bed.destination_rule({"name": "gone", "labels": {"version": "v1"}}, host="api.shop.svc.cluster.local", namespace="edge")

        (problem,) = bed.look(subject(), first=True).problems

        assert "a DestinationRule for api.shop.svc.cluster.local in namespace shop that defines it was not found" in problem.detail

    def test_some_destinations_with_a_subset_and_some_without_are_refused(self):
        assert reasons.ROUTE_UNSUITABLE in refused(subset_bed(to("api", 100, subset="v1"), to("api", 0)))

    def test_slots_in_two_namespaces_cannot_be_subsets(self):
        plan = {**PLAN, "slots": [{"name": "blue"}, {"name": "green", "namespace": "elsewhere"}]}
        assert refused(subset_bed(), plan) == {reasons.ROUTE_UNSUITABLE}

    def test_a_destination_rule_of_argo_cd_that_is_only_read_is_fine(self):
        both = (V1, {"name": "next", "labels": {"version": "n"}})
        bed = subset_bed(subsets=both, green={"app": "api", "version": "n"}, labels={"argocd.argoproj.io/instance": "shop"})
        assert refused(bed, ADOPT) == set()

    def test_a_destination_rule_of_argo_cd_is_refused(self):
        assert refused(subset_bed(labels={"argocd.argoproj.io/instance": "shop"})) == {reasons.GITOPS_OWNED}


V3 = {"name": "v3", "labels": {"version": "v3"}}
V4 = {"name": "v4", "labels": {"version": "v4"}}


class TestOtherSubsets:
    """A DestinationRule with a subset for each of three versions, as a well-known sample has it; one user's requests go to the third."""

    def others(self, **more):
        bed = subset_bed(subsets=(V1, V3, V4))
        tester = rule(to("api", subset="v3"), match=[{"headers": {"end-user": {"exact": "jason"}}}])
        bed.edit(lambda spec: spec.update(more or {"http": [tester, *spec["http"]]}))
        return bed.look(subject(), first=True).others

    def test_those_that_a_rule_sends_to_are_known_with_their_labels(self):
        assert self.others() == ((("shop", "api"), "v3", {"version": "v3"}),)

    def test_so_are_those_that_one_mirrors_to(self):
        mirrored = rule(to("api", subset="v1"), mirror={"host": "api", "subset": "v4"})

        assert self.others(http=[mirrored]) == ((("shop", "api"), "v4", {"version": "v4"}),)

    def test_those_that_nobody_names_are_not(self):
        assert self.others(http=[rule(to("api", subset="v1"))]) == ()

    def test_nor_those_that_have_no_weight_such_as_the_old_version_after_a_success(self):
        assert self.others(http=[rule(to("api", 0, subset="v3"), to("api", 100, subset="v1"))]) == ()

    def test_those_of_a_virtual_service_beside_the_plan_are(self):
        bed = subset_bed(subsets=(V1, V3, V4))
        bed.route(rule(to("api", subset="v4")), name="beside", hosts=("api.example.com",))

        assert [name for _, name, _ in bed.look(subject(), first=True).others] == ["v4"]


class TestGreensName:
    def test_a_name_that_is_taken_gets_the_plan_before_it(self):
        bed = subset_bed(subsets=(V1, {"name": "v2", "labels": {"version": "old"}}))
        assert bed.look(subject(), first=True).green_subset == "api-v2"

    def test_an_adopted_green_takes_the_subset_that_selects_exactly_it(self):
        bed = subset_bed(subsets=(V1, {"name": "next", "labels": {"version": "n"}}), green={"app": "api", "version": "n"})
        view = bed.look(subject(ADOPT), first=True)
        assert (view.green_subset, view.green_labels, view.cluster_ready, view.problems) == ("next", {"version": "n"}, True, ())

    def test_an_adopted_green_without_a_subset_is_told_by_its_version_label(self):
        bed = subset_bed(green={"app": "api", "version": "n"})
        release = known(bed, ADOPT)
        ensure_subset(bed.kube, release, bed.look(release), EPOCH)
        assert subsets(bed)[1] == {"name": "v2", "labels": {"version": "n"}, "trafficPolicy": V1["trafficPolicy"]}

    def test_an_adopted_green_that_looks_like_blue_is_refused(self):
        plan = {**ADOPT, "members": [], "slots": [{"name": "home"}, {"name": "away", "suffix": "-green"}]}
        bed = subset_bed(subsets=({"name": "v1", "labels": {"track": "stable"}},), green={"app": "api", "version": "v1"})
        bed.user.delete(DEPLOYMENT, "shop", "api", uid=bed.user.get(DEPLOYMENT, "shop", "api")["metadata"]["uid"])
        bed.deployment("api", {"app": "api", "version": "v1", "track": "stable"})
        assert refused(bed, plan) == {reasons.SELECTOR_OVERLAP}


class TestWithoutASubset:
    """Such a destination is all pods of the host: users and copies of requests reach green before its first weight."""

    ASIDE = ({"uri": {"prefix": "/a"}},)

    def test_a_rule_of_the_plans_virtual_service_is_refused(self):
        bed = subset_bed()
        bed.edit(lambda spec: spec["http"].insert(0, rule(to("api"), match=list(self.ASIDE), name="aside")))
        assert refused(bed) == {reasons.BYPASS_UNLISTED}
        assert "name subset v1 there" in bed.look(subject(), first=True).problems[0].detail

    def test_a_mirror_is_refused(self):
        bed = subset_bed()
        bed.edit(lambda spec: spec["http"][0].update(mirror={"host": "api"}))
        assert refused(bed) == {reasons.BYPASS_UNLISTED}

    def test_a_rule_of_another_virtual_service_is_refused(self):
        bed = subset_bed()
        bed.route(rule(to("api.shop.svc.cluster.local")), name="public", hosts=("shop.example.com",), gateways=["edge"])
        assert refused(bed) == {reasons.BYPASS_UNLISTED}

    def test_one_that_comes_in_mid_release_is_named(self):
        bed = subset_bed()
        release = known(bed)
        bed.edit(lambda spec: spec["http"].insert(0, rule(to("api"), match=list(self.ASIDE))))
        assert [problem.reason for problem in bed.look(release).routes[0].problems] == [reasons.BYPASS_UNLISTED]


class TestSubset:
    def test_it_is_put_beside_blues_with_its_traffic_policy_and_remembered(self):
        bed = subset_bed()
        release = known(bed)
        ensure_subset(bed.kube, release, bed.look(release), EPOCH)
        assert subsets(bed) == [V1, GREEN_V2]
        meta = bed.user.get(DESTINATION_RULE, "shop", "api")["metadata"]
        assert meta["annotations"] == {ADDED: '{"subsets":["v2"]}', "penstock.dev/epoch": "7"}
        assert bed.look(release).cluster_ready

    def test_what_stands_is_not_written_again(self):
        bed = subset_bed()
        release = known(bed)
        for _ in range(2):
            ensure_subset(bed.kube, release, bed.look(release), EPOCH)
        assert bed.kube.patched == ["api"]

    def test_ours_is_put_right_where_somebody_changed_it(self):
        bed = subset_bed()
        release = known(bed)
        ensure_subset(bed.kube, release, bed.look(release), EPOCH)
        bed.edit(lambda spec: spec["subsets"][1].update(labels={"version": "v1"}), "api", DESTINATION_RULE)
        assert not bed.look(release).cluster_ready
        ensure_subset(bed.kube, release, bed.look(release), EPOCH)
        assert subsets(bed) == [V1, GREEN_V2]

    def test_a_write_in_between_is_a_conflict(self):
        bed = subset_bed()
        release = known(bed)
        view = bed.look(release)
        bed.annotate("api", DESTINATION_RULE, note="x")
        with pytest.raises(ConflictError):
            ensure_subset(bed.kube, release, view, EPOCH)

    def test_a_write_between_read_and_patch_is_a_conflict(self):
        bed = subset_bed()
        release = known(bed)
        bed.kube.before = lambda *_: bed.edit(lambda spec: spec["subsets"].clear(), "api", DESTINATION_RULE)
        with pytest.raises(ConflictError):
            ensure_subset(bed.kube, release, bed.look(release), EPOCH)

    def test_a_higher_epoch_deposes_us(self):
        bed = subset_bed(annotations={"penstock.dev/epoch": "8"})
        release = known(bed)
        with pytest.raises(Deposed):
            ensure_subset(bed.kube, release, bed.look(release), EPOCH)

    def test_it_is_not_removed_while_a_route_sends_to_it(self):
        bed = subset_bed()
        release = known(bed)
        run(bed, release, 5)
        with pytest.raises(RefusedError, match="so its cluster stays"):
            remove_subset(bed.kube, release, bed.look(release), EPOCH, serving="blue")


class TestWholeWay:
    def test_after_a_rollback_everything_is_as_it_was(self):
        bed = subset_bed()
        web, rules = bed.web()["spec"], subsets(bed)
        release = known(bed)
        run(bed, release, 25)
        assert bed.weights() == [[("v1", 75), ("v2", 25)]]
        roll_back_routes(bed.kube, release, bed.look(release), EPOCH, RollBackRoutes("u1/2"), still_ours=lambda: True, sleep=lambda _: None)
        end(bed, release, "blue")
        assert (bed.weights(), subsets(bed)) == ([[("v1", 100)]], rules)
        assert bed.web()["spec"]["http"][0]["route"][0]["destination"] == web["http"][0]["route"][0]["destination"]
        assert ADDED not in bed.user.get(DESTINATION_RULE, "shop", "api")["metadata"]["annotations"]

    def test_three_successes_in_a_row_leave_one_subset_of_ours(self):
        bed = subset_bed()
        for revision, slot in (("r1", 1), ("r2", 0), ("r3", 1)):
            release = known(bed, revision=revision, uid=revision)
            name = "api-green" if slot else "api"
            if revision != "r1":  # the first slot holds v1 until r2 comes, the second one r1 until r3 comes
                bed.user.delete(DEPLOYMENT, "shop", name, uid=bed.user.get(DEPLOYMENT, "shop", name)["metadata"]["uid"])
            bed.deployment(name, {"app": "api", "version": revision, "penstock.dev/revision": revision})
            assert release.status.green_subset == revision
            run(bed, release, 100)
            assert bed.look(release).routes[0].green_weight == 100
            end(bed, release, "green")
        assert [entry["name"] for entry in subsets(bed)] == ["v1", "r3"]
        assert bed.weights() == [[("r3", 100)]]

    def test_an_end_that_was_interrupted_goes_on(self):
        ours = {"name": "w", "labels": {"version": "v1"}}
        bed = subset_bed(to("api", subset="w"), subsets=(ours,), annotations={ADDED: '{"subsets":["w"]}'})
        release = known(bed)
        run(bed, release, 100)
        remove_subset(bed.kube, release, bed.look(release), EPOCH, serving="green")
        assert [entry["name"] for entry in subsets(bed)] == ["v2"]
        assert bed.look(release).problems == ()
        end(bed, release, "green")
        assert "penstock.dev/owner" not in bed.web()["metadata"]["annotations"]

    def test_an_idle_subset_of_the_user_lends_its_place_and_gets_it_back(self):
        v0 = {"name": "v0", "labels": {"version": "v0"}}
        bed = subset_bed(to("api", 100, subset="v1"), to("api", 0, subset="v0"), subsets=(V1, v0))
        start = bed.web()["spec"]
        release = known(bed)
        run(bed, release, 5)
        assert bed.weights() == [[("v1", 95), ("v2", 5)]]
        roll_back_routes(bed.kube, release, bed.look(release), EPOCH, RollBackRoutes("u1/2"), still_ours=lambda: True, sleep=lambda _: None)
        end(bed, release, "blue")
        assert (bed.web()["spec"], subsets(bed)) == (start, [V1, v0])


POLICY = {"outlierDetection": {"consecutive5xxErrors": 5}}


class TestHostMode:
    def test_without_a_rule_for_blue_the_service_alone_counts(self):
        assert host_bed().look(subject(), first=True).cluster_ready

    def test_without_greens_service_there_is_no_cluster(self):
        bed = Bed()
        bed.service()
        bed.route(rule(to("api", 100), to("api-green", 0)))
        view = bed.look(subject(), first=True)
        assert (view.cluster_ready, view.problems) == (False, ())

    def test_green_gets_blues_traffic_policy_and_loses_it_at_the_end(self):
        bed = host_bed()
        bed.destination_rule(policy=POLICY)
        release = known(bed)
        assert not bed.look(release).cluster_ready
        ensure_subset(bed.kube, release, bed.look(release), EPOCH)
        made = bed.user.get(DESTINATION_RULE, "shop", "penstock-api-green")
        assert made["spec"] == {"host": "api-green.shop.svc.cluster.local", "trafficPolicy": POLICY}
        assert made["metadata"]["annotations"][MADE] == "true"
        assert bed.look(release).cluster_ready
        remove_subset(bed.kube, release, bed.look(release), EPOCH, serving="blue")
        with pytest.raises(NotFoundError):
            bed.user.get(DESTINATION_RULE, "shop", "penstock-api-green")

    def test_ours_follows_a_change_of_blues(self):
        bed = host_bed()
        bed.destination_rule(policy=POLICY)
        release = known(bed)
        ensure_subset(bed.kube, release, bed.look(release), EPOCH)
        bed.edit(lambda spec: spec.update(trafficPolicy={"tls": {"mode": "ISTIO_MUTUAL"}}), "api", DESTINATION_RULE)
        ensure_subset(bed.kube, release, bed.look(release), EPOCH)
        assert bed.user.get(DESTINATION_RULE, "shop", "penstock-api-green")["spec"]["trafficPolicy"] == {"tls": {"mode": "ISTIO_MUTUAL"}}

    def test_a_rule_that_the_user_wrote_for_green_is_left_alone_and_said(self):
        bed = host_bed()
        bed.destination_rule(policy=POLICY)
        bed.destination_rule(name="mine", host="api-green", policy={})
        release = known(bed)
        view = bed.look(release)
        assert (view.cluster_ready, len(view.warnings)) == (True, 1)
        ensure_subset(bed.kube, release, view, EPOCH)
        remove_subset(bed.kube, release, bed.look(release), EPOCH, serving="blue")
        assert bed.kube.patched == []
