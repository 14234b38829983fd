"""The writes of the routes: forward conditional, back repeated, and never a field that is not ours."""

import copy
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from istio_bed import EPOCH, GREEN, host_bed, rule, subject, to

from controller.adapters.istio.rollback import roll_back_routes
from controller.adapters.istio.writes import claim_routes, close_routes, open_routes, set_weight
from controller.adapters.marks import ADDED, BECAUSE, OWNER, STAMP, Deposed
from controller.core.commands import RollBackRoutes
from controller.ports import RELEASE, VIRTUAL_SERVICE, ConflictError, NotFoundError, RefusedError, UnavailableError
from tests.sizes import size

STATUS = {"blue_slot": 0, "mode": "host"}
RUNNING = subject(**STATUS)
CANARY = [{"headers": {"canary": {"exact": "true"}}}]
LISTED = {"workload": "api", "traffic": {"virtualServices": [{"name": "web", "bypass": [{"route": "canary"}]}]}}
MADE = {"workload": "api", "traffic": {"virtualServices": [{"name": "web", "bypass": [{"route": "canary", "header": "x-canary"}]}]}}
TWO = {"workload": "api", "traffic": {"virtualServices": [{"name": "web"}, {"name": "edge"}]}}


def claim(bed, release=RUNNING, epoch=EPOCH):
    claim_routes(bed.kube, release, bed.look(release), epoch)


def give(bed, weight, release=RUNNING, stamp="", epoch=EPOCH):
    set_weight(bed.kube, release, bed.look(release), epoch, weight=weight, stamp=stamp)


def back(bed, release=RUNNING, still_ours=lambda: True, epoch=EPOCH, waited=None):
    waited = [] if waited is None else waited
    return roll_back_routes(bed.kube, release, bed.look(release), epoch, RollBackRoutes("u1/4"), still_ours=still_ours, sleep=waited.append)


def annotations(bed, name="web"):
    return bed.web(name)["metadata"].get("annotations", {})


class TestClaim:
    def test_writes_owner_and_epoch_and_nothing_else(self):
        bed = host_bed()
        before = bed.web()["spec"]
        claim(bed)
        assert annotations(bed) == {OWNER: "u1", "penstock.dev/owner-name": "shop/r1", "penstock.dev/epoch": "7"}
        assert bed.web()["spec"] == before

    def test_a_second_claim_writes_nothing(self):
        bed = host_bed()
        claim(bed)
        claim(bed)
        assert bed.kube.patched == ["web"]

    def test_a_live_owner_is_a_conflict(self):
        bed = host_bed()
        other = bed.put(RELEASE, "other", {})
        bed.annotate(**{OWNER: other["metadata"]["uid"], "penstock.dev/owner-name": "shop/other"})
        with pytest.raises(ConflictError, match="release shop/other owns"):
            claim(bed)

    def test_a_deleted_owner_is_taken_over(self):
        bed = host_bed(meta={"annotations": {OWNER: "gone", "penstock.dev/owner-name": "shop/gone"}})
        claim(bed)
        assert annotations(bed)[OWNER] == "u1"


class TestForward:
    def test_a_weight_is_written_to_both_sides(self):
        bed = host_bed()
        give(bed, 25)
        assert bed.weights() == [[("api", 75), ("api-green", 25)]]

    def test_open_names_green_like_blue_at_weight_0(self):
        bed = host_bed(rule(to("api", headers={"request": {"set": {"x": "1"}}})))
        open_routes(bed.kube, RUNNING, bed.look(RUNNING), EPOCH)
        assert bed.web()["spec"]["http"][0]["route"] == [
            {**to("api", 100), "headers": {"request": {"set": {"x": "1"}}}},
            {**to(GREEN, 0), "headers": {"request": {"set": {"x": "1"}}}},
        ]

    def test_open_writes_the_weights_that_were_absent(self):
        bed = host_bed(rule(to("api", 100), to("api-green")))
        open_routes(bed.kube, RUNNING, bed.look(RUNNING), EPOCH)
        assert bed.weights() == [[("api", 100), ("api-green", 0)]]

    def test_a_weight_adds_green_where_only_blue_stands(self):
        bed = host_bed(rule(to("api")))
        give(bed, 5)
        assert bed.weights() == [[("api", 95), ("api-green", 5)]]

    def test_all_managed_rules_move_in_one_patch(self):
        split = (to("api", 100), to("api-green", 0))
        bed = host_bed(rule(*split, match=[{"uri": {"prefix": "/a"}}]), rule(to("other"), match=[{"uri": {"prefix": "/b"}}]), rule(*split))
        give(bed, 50)
        assert bed.weights() == [[("api", 50), ("api-green", 50)], [("other", None)], [("api", 50), ("api-green", 50)]]
        assert bed.kube.patched == ["web"]

    def test_what_stands_is_not_written_again(self):
        bed = host_bed()
        give(bed, 25)
        give(bed, 25)
        assert bed.kube.patched == ["web"]

    def test_a_stamp_goes_with_a_lowered_weight(self):
        bed = host_bed()
        give(bed, 25)
        give(bed, 5, stamp="u1/3")
        assert (bed.weights()[0][1], annotations(bed)[STAMP]) == (("api-green", 5), "u1/3")

    def test_a_write_between_the_look_and_us_is_a_conflict(self):
        bed = host_bed()
        view = bed.look(RUNNING)
        bed.annotate(note="hello")
        with pytest.raises(ConflictError):
            set_weight(bed.kube, RUNNING, view, EPOCH, weight=25)
        assert bed.weights() == [[("api", 100), ("api-green", 0)]]

    @pytest.mark.parametrize(
        "change", [lambda spec: spec["http"].reverse(), lambda spec: spec["http"][0]["route"].reverse(), lambda spec: spec["http"].clear()]
    )
    def test_a_write_between_our_read_and_our_patch_is_a_conflict(self, change):
        """Even where a `test` fails first, which the API server answers with 422."""
        bed = host_bed(rule(to("api", 100), to("api-green", 0), match=[{"uri": {"prefix": "/a"}}]), rule(to("other")))
        bed.kube.before = lambda *_: bed.edit(change)
        with pytest.raises(ConflictError):
            give(bed, 25)
        assert bed.kube.patched == []

    def test_a_refusal_of_an_unchanged_object_stays_a_refusal(self):
        bed = host_bed()

        def deny(*_):
            raise RefusedError(403, "Forbidden", "denied by policy")

        bed.kube.before = deny
        with pytest.raises(RefusedError, match="denied by policy"):
            give(bed, 25)

    def test_a_higher_epoch_deposes_us(self):
        bed = host_bed(meta={"annotations": {"penstock.dev/epoch": "8"}})
        with pytest.raises(Deposed):
            give(bed, 25)

    def test_the_epoch_is_written(self):
        bed = host_bed(meta={"annotations": {"penstock.dev/epoch": "3"}})
        give(bed, 25)
        assert annotations(bed)["penstock.dev/epoch"] == "7"

    def test_a_route_of_another_release_is_a_conflict(self):
        bed = host_bed(meta={"annotations": {OWNER: "u9"}})
        with pytest.raises(ConflictError):
            give(bed, 25)

    def test_a_missing_virtual_service_is_said_so(self):
        bed = host_bed()
        bed.user.delete(VIRTUAL_SERVICE, "shop", "web", uid=bed.web()["metadata"]["uid"])
        with pytest.raises(NotFoundError):
            give(bed, 25)

    def test_a_third_destination_that_somebody_added_gets_nothing(self):
        bed = host_bed(rule(to("api", 60), to("api-green", 20), to("other", 20)))
        give(bed, 10)
        assert bed.weights() == [[("api", 90), ("api-green", 10), ("other", 0)]]


class TestBypass:
    def test_a_listed_rule_goes_to_green_with_the_first_weight_and_home_on_the_way_back(self):
        release = subject(LISTED, **STATUS)
        bed = host_bed(rule(to("api"), match=CANARY, name="canary"), rule(to("api", 100), to("api-green", 0)))
        give(bed, 5, release)
        assert bed.weights() == [[("api-green", None)], [("api", 95), ("api-green", 5)]]
        back(bed, release)
        assert bed.weights() == [[("api", None)], [("api", 100), ("api-green", 0)]]
        assert bed.kube.patched == ["web", "web"]

    def test_an_unnamed_rule_of_the_listed_header_is_used_and_none_is_made(self):
        release = subject(MADE, **STATUS)
        match = [{"headers": {"x-canary": {"exact": "true"}}}]
        bed = host_bed(rule(to("api-green"), match=match), rule(to("api", 100), to("api-green", 0)))
        give(bed, 5, release)
        assert bed.weights() == [[("api-green", None)], [("api", 95), ("api-green", 5)]]
        back(bed, release)
        close_routes(bed.kube, release, bed.look(release), EPOCH, serving="blue")
        assert bed.weights() == [[("api", None)], [("api", 100), ("api-green", 0)]]

    def test_a_rule_that_is_missing_is_made_in_front_and_removed_at_the_end(self):
        release = subject(MADE, **STATUS)
        bed = host_bed(rule(to("other"), match=[{"uri": {"prefix": "/o"}}]), rule(to("api", 100), to("api-green", 0), timeout="3s"))
        start = bed.web()["spec"]
        claim(bed, release)
        give(bed, 5, release)
        assert bed.web()["spec"]["http"][1] == {
            "name": "canary",
            "match": [{"headers": {"x-canary": {"exact": "true"}}}],
            "timeout": "3s",
            "route": [to(GREEN, 100)],
        }
        back(bed, release)
        assert bed.weights()[1] == [("api", 100)]
        close_routes(bed.kube, release, bed.look(release), EPOCH, serving="blue")
        assert bed.web()["spec"] == start
        assert ADDED not in annotations(bed)

    @pytest.mark.parametrize(
        ("sent", "taken"),
        [("canary=1", True), ("a=b; canary=1; c=d", True), ("canary=10", False), ("xcanary=1", False), ("canary=2", False)],
    )
    def test_a_rule_for_a_cookie_finds_it_among_others_and_no_other(self, sent, taken):
        ref = {"name": "web", "bypass": [{"route": "canary", "cookie": "canary", "value": "1"}]}
        release = subject({"workload": "api", "traffic": {"virtualServices": [ref]}}, **STATUS)
        bed = host_bed(rule(to("api", 100), to("api-green", 0)))
        give(bed, 5, release)

        (match,) = bed.web()["spec"]["http"][0]["match"]
        assert bool(re.fullmatch(match["headers"]["cookie"]["regex"], sent)) is taken

    def test_every_managed_rule_gets_one_in_front_of_it(self):
        release = subject(MADE, **STATUS)
        split = (to("api", 100), to("api-green", 0))
        bed = host_bed(rule(*split, match=[{"uri": {"prefix": "/a"}}]), rule(to("other"), match=[{"uri": {"prefix": "/b"}}]), rule(*split))
        give(bed, 5, release)
        http = bed.web()["spec"]["http"]
        assert [(entry.get("name", ""), len(entry["route"])) for entry in http] == [("canary", 1), ("", 2), ("", 1), ("canary", 1), ("", 2)]
        assert http[3]["match"] == [{"headers": {"x-canary": {"exact": "true"}}}]

    def test_a_made_rule_keeps_the_match_of_the_rule_it_stands_before(self):
        release = subject(MADE, **STATUS)
        bed = host_bed(rule(to("api", 100), to("api-green", 0), match=[{"uri": {"prefix": "/a"}}]))
        give(bed, 5, release)
        assert bed.web()["spec"]["http"][0]["match"] == [{"uri": {"prefix": "/a"}, "headers": {"x-canary": {"exact": "true"}}}]

    def test_objects_with_bypass_rules_only_come_first_on_the_way_back(self):
        targets = [{"name": "web"}, {"name": "edge", "bypass": [{"route": "canary"}]}]
        release = subject({"workload": "api", "traffic": {"virtualServices": targets}}, **STATUS)
        bed = host_bed(rule(to("api", 95), to("api-green", 5)))
        bed.route(rule(to("api-green"), match=CANARY, name="canary"), name="edge", hosts=["edge"])
        assert back(bed, release).written == ("shop/edge", "shop/web")
        assert bed.weights("edge") == [[("api", None)]]


class TestBack:
    def test_everybody_goes_to_blue_stamped(self):
        bed = host_bed(rule(to("api", 75), to("api-green", 25)))
        assert back(bed).written == ("shop/web",)
        assert (bed.weights(), annotations(bed)[STAMP]) == ([[("api", 100), ("api-green", 0)]], "u1/4")

    def test_an_unchanged_route_is_written_all_the_same(self):
        bed = host_bed()
        before = bed.web()["metadata"]["resourceVersion"]
        assert back(bed).written == ("shop/web",)
        assert bed.web()["metadata"]["resourceVersion"] != before

    def test_the_same_stamp_on_a_right_route_is_done(self):
        bed = host_bed()
        back(bed)
        assert back(bed).standing == ("shop/web",)
        assert bed.kube.patched == ["web"]

    def test_the_same_stamp_on_a_wrong_route_is_not(self):
        bed = host_bed()
        back(bed)
        bed.edit(lambda spec: spec["http"][0]["route"][1].update(weight=30))
        assert back(bed).written == ("shop/web",)
        assert bed.weights() == [[("api", 100), ("api-green", 0)]]

    def test_the_stamped_write_makes_a_late_forward_write_a_conflict(self):
        bed = host_bed()
        view = bed.look(RUNNING)
        back(bed)
        with pytest.raises(ConflictError):
            set_weight(bed.kube, RUNNING, view, EPOCH, weight=25)

    @pytest.mark.parametrize(
        ("targets", "after"),
        [
            ((to("api"),), [("api", None)]),
            ((to("api"), to("api-green", 10)), [("api", 100), ("api-green", 0)]),
            ((to("api"), to("api-green")), [("api", 100), ("api-green", 0)]),
            ((to("api", 0), to("api-green", 0)), [("api", 100), ("api-green", 0)]),
            ((to("api-green"),), [("api-green", 0), ("api", 100)]),
            ((to("api", -100), to("api-green", 200)), [("api", 100), ("api-green", 0)]),
            ((to("api", 40), to("api-green", 40), to("other", 20)), [("api", 100), ("api-green", 0), ("other", 0)]),
            ((to("api", 40), to("api", 40), to("api-green", 20)), [("api", 100), ("api", 0), ("api-green", 0)]),
        ],
    )
    def test_whatever_stood_there_blue_has_everything_afterwards(self, targets, after):
        bed = host_bed(rule(*targets))
        back(bed)
        assert bed.weights() == [after]
        assert bed.look(RUNNING).routes[0].blue_only

    def test_another_writer_at_every_try_but_the_last_is_outlasted(self):
        bed = host_bed(rule(to("api", 75), to("api-green", 25)))
        meddled, waited = iter(range(4)), []
        bed.kube.before = lambda *_: (n := next(meddled, None)) is not None and bed.annotate(note=str(n))
        assert back(bed, waited=waited).written == ("shop/web",)
        assert bed.weights() == [[("api", 100), ("api-green", 0)]]
        assert waited[0] == 0
        assert max(waited) <= 1

    def test_another_writer_at_every_try_ends_in_a_conflict_for_the_caller(self):
        bed = host_bed(rule(to("api", 75), to("api-green", 25)))
        count = iter(range(99))
        bed.kube.before = lambda *_: bed.annotate(note=str(next(count)))
        with pytest.raises(ConflictError):
            back(bed)

    def test_a_server_that_is_down_for_a_moment_is_asked_again(self):
        bed = host_bed(rule(to("api", 75), to("api-green", 25)))
        answers, waited = iter([UnavailableError(503, "Down", "down", retry_after=30.0)]), []

        def fall(*_):
            if error := next(answers, None):
                raise error

        bed.kube.before = fall
        assert back(bed, waited=waited).written == ("shop/web",)
        assert waited == [1.0]

    def test_an_object_that_is_refused_does_not_delay_the_others(self):
        release = subject(TWO, **STATUS)
        bed = host_bed(rule(to("api", 75), to("api-green", 25)))
        bed.route(rule(to("api", 75), to("api-green", 25)), name="edge", hosts=["edge"])

        def deny(_, name):
            if name == "web":
                raise RefusedError(403, "Forbidden", "denied by policy")

        bed.kube.before = deny
        with pytest.raises(RefusedError, match="denied by policy"):
            back(bed, release)
        assert (bed.weights(), bed.weights("edge")) == ([[("api", 75), ("api-green", 25)]], [[("api", 100), ("api-green", 0)]])

    def test_a_fighter_on_one_object_does_not_delay_the_others(self):
        release = subject(TWO, **STATUS)
        bed = host_bed(rule(to("api", 75), to("api-green", 25)))
        bed.route(rule(to("api", 75), to("api-green", 25)), name="edge", hosts=["edge"])
        count = iter(range(99))
        bed.kube.before = lambda _, name: name == "web" and bed.annotate(note=str(next(count)))
        waited = []
        sleep = lambda seconds: waited.append((seconds, bed.weights("edge")[0][1]))  # noqa: E731
        with pytest.raises(ConflictError):
            roll_back_routes(bed.kube, release, bed.look(release), EPOCH, RollBackRoutes("u1/4"), still_ours=lambda: True, sleep=sleep)
        assert waited[0][1] == ("api-green", 0)

    def test_a_missing_object_is_reported_and_the_others_are_done(self):
        release = subject(TWO, **STATUS)
        bed = host_bed(rule(to("api", 75), to("api-green", 25)))
        result = back(bed, release)
        assert (result.written, result.missing) == (("shop/web",), ("shop/edge",))

    def test_it_is_dropped_where_the_release_has_finished(self):
        bed = host_bed(rule(to("api", 0), to("api-green", 100)))
        assert back(bed, still_ours=lambda: False).dropped == ("shop/web",)
        assert bed.kube.patched == []

    def test_a_success_between_two_tries_drops_it(self):
        bed = host_bed(rule(to("api", 75), to("api-green", 25)))
        ours = [True]

        def succeed(*_):
            bed.edit(lambda spec: [t.update(weight=w) for t, w in zip(spec["http"][0]["route"], (0, 100), strict=True)])
            ours[0] = False

        bed.kube.before = succeed
        assert back(bed, still_ours=lambda: ours[0]).dropped == ("shop/web",)
        assert bed.weights() == [[("api", 0), ("api-green", 100)]]

    def test_it_is_dropped_where_another_release_owns_the_route(self):
        bed = host_bed(rule(to("api", 0), to("api-green", 100)), meta={"annotations": {OWNER: "u9"}})
        assert back(bed).dropped == ("shop/web",)

    def test_a_higher_epoch_deposes_us(self):
        bed = host_bed(meta={"annotations": {"penstock.dev/epoch": "8"}})
        with pytest.raises(Deposed):
            back(bed)

    def test_a_rule_that_left_only_green_gets_blue_again(self):
        bed = host_bed(rule(to("api-green", port=8080)))
        back(bed)
        assert bed.web()["spec"]["http"][0]["route"][1] == to("api.shop.svc.cluster.local", 100, port=8080)


class TestClose:
    def test_the_reason_of_a_rollback_stands_beside_its_stamp_until_the_end(self):
        """Its record comes after the traffic: whoever takes over between the two reads here what the way back is for."""
        bed = host_bed()
        give(bed, 25)
        why = '{"reason": "TriggerFired"}'
        command = RollBackRoutes("u1/4", because=why)

        roll_back_routes(bed.kube, RUNNING, bed.look(RUNNING), EPOCH, command, still_ours=lambda: True, sleep=lambda _: None)
        assert [(route.stamp, route.because) for route in bed.look(RUNNING).routes] == [("u1/4", why)]

        close_routes(bed.kube, RUNNING, bed.look(RUNNING), EPOCH, serving="blue")
        assert not {STAMP, BECAUSE} & annotations(bed).keys()

    def test_our_destination_goes_after_a_rollback(self):
        bed = host_bed(rule(to("api", 100), timeout="3s"))
        start = bed.web()["spec"]
        claim(bed)
        open_routes(bed.kube, RUNNING, bed.look(RUNNING), EPOCH)
        give(bed, 25)
        back(bed)
        close_routes(bed.kube, RUNNING, bed.look(RUNNING), EPOCH, serving="blue")
        assert bed.web()["spec"] == start
        assert set(annotations(bed)) == {"penstock.dev/epoch"}

    def test_a_destination_of_the_user_stays(self):
        bed = host_bed()
        claim(bed)
        give(bed, 25)
        back(bed)
        close_routes(bed.kube, RUNNING, bed.look(RUNNING), EPOCH, serving="blue")
        assert bed.weights() == [[("api", 100), ("api-green", 0)]]

    def test_the_next_release_takes_away_what_an_earlier_one_added(self):
        bed = host_bed(rule(to("api", 100)))
        for slot, serving in ((0, [("api", 0), ("api-green", 100)]), (1, [("api", 100)])):
            release = subject(uid=f"u{slot}", blue_slot=slot, mode="host")
            assert bed.look(subject(), first=True).blue_slot == slot
            claim(bed, release)
            give(bed, 100, release)
            close_routes(bed.kube, release, bed.look(release), EPOCH, serving="green")
            assert bed.weights() == [serving]

    def test_a_side_that_still_has_traffic_is_not_closed(self):
        bed = host_bed()
        give(bed, 25)
        with pytest.raises(RefusedError, match="still sends to green"):
            close_routes(bed.kube, RUNNING, bed.look(RUNNING), EPOCH, serving="blue")

    def test_a_closed_route_is_not_written_again(self):
        bed = host_bed()
        claim(bed)
        close_routes(bed.kube, RUNNING, bed.look(RUNNING), EPOCH, serving="blue")
        close_routes(bed.kube, RUNNING, bed.look(RUNNING), EPOCH, serving="blue")
        assert bed.kube.patched == ["web", "web"]

    def test_a_route_of_another_release_is_left_alone(self):
        bed = host_bed(meta={"annotations": {OWNER: "u9"}})
        close_routes(bed.kube, RUNNING, bed.look(RUNNING), EPOCH, serving="blue")
        assert bed.kube.patched == []


NAMES = st.sampled_from(["a", "b", "c/d", "e~f", "x.y"])
KEYS = st.sampled_from(["a", "b", "c/d", "x.y"])
"""Of annotations: the API server takes no other characters."""

SCALARS = st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=4)
VALUES = st.recursive(SCALARS, lambda inner: st.dictionaries(NAMES, inner, max_size=2), max_leaves=4)
SET = st.fixed_dictionaries({"set": st.dictionaries(NAMES, st.text(max_size=4), max_size=2)})
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "retries": st.fixed_dictionaries({"attempts": st.integers(0, 5), "perTryTimeout": st.just("2s")}),
        "timeout": st.sampled_from(["1s", "30s"]),
        "headers": st.fixed_dictionaries({"request": SET}),
        "mirror": st.just({"host": "shadow", "subset": "s"}),
        "mirrorPercentage": st.just({"value": 12.5}),
        "fault": st.dictionaries(NAMES, VALUES, max_size=2),
        "corsPolicy": VALUES,
        "unknownOfANewerVersion": VALUES,
    },
)
MATCH = st.sampled_from([None, [{"uri": {"prefix": "/a"}}], [{"headers": {"h": {"exact": "v"}}}, {"uri": {"prefix": "/"}}]])
SPLITS = st.sampled_from(
    [
        (("api", 100), ("api-green", 0)),
        (("api", None), ("api-green", 10)),
        (("api", None),),
        (("api", 75), ("api-green", 25)),
        (("other", 30), ("more", 70)),
        (("api-green", 5), ("api", 95)),
    ]
)


@st.composite
def rules(draw):
    """A rule with any options and destinations with any further fields."""
    targets = [to(host, weight, **draw(st.fixed_dictionaries({}, optional={"headers": VALUES}))) for host, weight in draw(SPLITS)]
    return rule(*targets, match=draw(MATCH), **draw(OPTIONS))


def without_ours(obj):
    """The object without the fields that we own: weights, green's destination, our annotations, what the server writes."""
    bare = copy.deepcopy(dict(obj))
    meta = bare["metadata"]
    for key in ("resourceVersion", "generation"):
        meta.pop(key, None)
    meta["annotations"] = {key: value for key, value in meta.get("annotations", {}).items() if not key.startswith("penstock.dev/")}
    for http in bare["spec"]["http"]:
        names = {target["destination"]["host"].split(".")[0] for target in http["route"]}
        if not names <= {"api", "api-green"}:
            continue
        blue = [target for target in http["route"] if not target["destination"]["host"].startswith("api-green")]
        http["route"] = [{key: value for key, value in target.items() if key != "weight"} for target in blue]
    return bare


class TestOwnedFields:
    @settings(max_examples=size(8, 60))
    @given(st.lists(rules(), min_size=1, max_size=4), st.dictionaries(KEYS, st.text(max_size=4), max_size=2), st.integers(0, 100))
    def test_no_write_changes_a_field_that_is_not_ours(self, http, foreign, weight):
        bed = host_bed(*copy.deepcopy(http), meta={"annotations": foreign}, gateways=["mesh", "edge"], exportTo=["*"])
        before = without_ours(bed.web())
        claim(bed)
        open_routes(bed.kube, RUNNING, bed.look(RUNNING), EPOCH)
        assert without_ours(bed.web()) == before
        give(bed, weight)
        assert without_ours(bed.web()) == before
        route = bed.look(RUNNING).routes[0]
        assert route.green_weight in (0, weight)
        back(bed)
        assert without_ours(bed.web()) == before
        route = bed.look(RUNNING).routes[0]
        assert (route.green_weight, route.blue_only) == (0, True)
        expected = ("no http rule that sends to blue or green", "stands behind a catch-all")
        assert all(any(words in problem.detail for words in expected) for problem in route.problems)
        close_routes(bed.kube, RUNNING, bed.look(RUNNING), EPOCH, serving="blue")
        assert without_ours(bed.web()) == before
