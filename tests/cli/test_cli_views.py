"""What people see: golden pictures of a release's life, and statuses that somebody has edited to nonsense."""

import os
import re
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest

from controller.cli.read import with_defaults
from controller.cli.render import fitted, render
from controller.cli.view import tightness_of, view_of
from controller.cli.why import culprits_of, way_back
from controller.ports import CONFIG_MAP, RELEASE, RELEASE_PLAN, VIRTUAL_SERVICE, Listing, Patch
from controller.simulator.apiserver.client import InMemoryKube
from controller.simulator.scenario import START
from tests.cli.cli_bed import a_terminal

GOLDEN = Path(__file__).parent / "golden"

MOMENTS = [
    ("healthy", 5), ("healthy", 30), ("healthy", 200), ("healthy", 1300), ("healthy", 1500),
    ("fails-at-25", 430), ("fails-at-25", 900),
]  # fmt: skip


@cache
def moments(scenario):
    """What a view is drawn from, at each moment of a scenario: one run of it for all who only look."""
    terminal, found = a_terminal(scenario), {}
    for seconds in sorted(at for name, at in MOMENTS if name == scenario):
        terminal.until(seconds)
        found[seconds] = seen(terminal)
    return found


def seen(terminal):
    """The release, its plan and the time."""
    plan = InMemoryKube(terminal.sim.server).get(RELEASE_PLAN, "shop", "shop")
    return deepcopy((terminal.release(), with_defaults(plan["spec"]), terminal.sim.clock.time))


def picture(what, width, *, colour=False):
    release, plan, now = what
    return render(view_of(release, plan, now=now), width, now, colour=colour)


@pytest.mark.parametrize("width", [60, 110])
@pytest.mark.parametrize(("scenario", "seconds"), MOMENTS)
def test_the_live_view_is_as_it_was_looked_at(scenario, seconds, width):
    """PENSTOCK_GOLDEN=write draws the pictures again; look at the difference before committing it."""
    drawn = "\n".join(picture(moments(scenario)[seconds], width)) + "\n"
    file = GOLDEN / f"{scenario}-{seconds}-{width}.txt"
    if os.environ.get("PENSTOCK_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        file.write_text(drawn, encoding="utf-8")

    assert file.read_text(encoding="utf-8") == drawn


@pytest.mark.parametrize("height", [1, 3, 6, 9, 12, 18, 23, 40])
@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_short_terminal_loses_the_middle_and_not_the_command_that_stops_it(width, height):
    """Phase and traffic, and what a person can do, are what a screen is for; what is cut between them is said."""
    release, plan, now = moments("healthy")[200]
    view = view_of(release, plan, now=now)
    whole, short = render(view, width, now), fitted(view, width, height, now)

    assert len(short) <= height
    assert short[-1] == whole[-1]
    if height >= 8:
        assert short[:3] == whole[:3]
        assert any(line.startswith("Stop  penstock rollback shop-v2") for line in short)
    lost = [line for line in whole if line and line not in short]
    assert not lost or height <= 6 or f"… {len(lost)} more line" in "\n".join(short)


@pytest.mark.parametrize("width", [1, 20, 37, 80])
def test_no_line_is_wider_than_the_terminal(width):
    assert max(map(len, picture(moments("fails-at-25")[430], width))) <= max(width, 20)


def test_a_command_that_ends_a_release_before_its_end_is_one_that_stops_it():
    """In the queue, too: whoever does not want it any more looks for that word."""
    queued = view_of({"metadata": {"name": "shop-v2"}, "spec": {}, "status": {"phase": "Queued"}}, now=40.0)

    assert "Stop  penstock rollback shop-v2 (takes it out of the queue)" in render(queued, 80, 40.0)


def test_colours_add_nothing_but_colours():
    what = moments("healthy")[200]
    coloured = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in picture(what, 100, colour=True)]
    assert coloured == picture(what, 100)


def test_a_limit_that_nobody_has_asked_yet_is_shown_as_such():
    """In the first stage of a plan with limits there would be nothing but triggers to see for a quarter of an hour."""
    release, plan, now = moments("healthy")[200]
    limits = [{"name": name, "builtin": "cpu", "limit": {"max": 80}, "stages": stages} for name, stages in (("cpu", []), ("late", [50]))]
    plan = with_defaults({**plan, "checks": [*plan["checks"], *limits]})

    checks = {check.name: (check.word, check.words) for check in view_of(release, plan, now=now).checks}

    assert checks["cpu"] == ("not yet", "asked at the end of the window")
    assert "late" not in checks
    assert checks["error-rate"][0] == "so far"


NONSENSE = [
    {"phase": "Dancing", "reason": "Whim"},
    {"stages": "none", "triggers": 7, "hold": [], "rollback": "yes", "stage": "three", "weight": None},
    {"phase": "Measuring", "stage": 99, "stages": [None, {"window": "x", "checks": [{"name": 1, "value": "a"}]}]},
    {"phase": "Holding", "hold": {"until": "tomorrow"}, "phaseSince": 1e300},
    {"phase": "Succeeded", "retention": {"until": 1e300}, "conditions": {}},
    {"rollback": {"overruns": 5, "decidedAt": 1e300}, "phase": "RolledBack"},
]


@pytest.mark.parametrize("status", NONSENSE)
@pytest.mark.parametrize("words", [["get", "shop-v2"], ["get"], ["why", "shop-v2"], ["history", "shop-v2"]], ids=" ".join)
def test_a_status_that_was_edited_to_nonsense_is_still_shown(status, words):
    terminal = a_terminal(started=False)
    body = {
        "metadata": {"name": "shop-v2", "namespace": "shop", "uid": "u", "creationTimestamp": "2025-06-15T15:06:40Z"},
        "spec": {"plan": "shop", "revision": "v2"},
        "status": status,
        "apiVersion": RELEASE.api_version,
        "kind": "Release",
    }
    inner = terminal.kube.inner

    class Edited:
        def get(self, kind, namespace, name):
            return body if kind == RELEASE else inner.get(kind, namespace, name)

        def list(self, kind, namespace="", *, labels=""):
            return Listing([body], "1") if kind == RELEASE else inner.list(kind, namespace, labels=labels)

    terminal.kube = Edited()

    assert terminal.penstock(*words).code == 0


@cache
def measuring():
    """A terminal in front of a release in its first window, for all who only look."""
    terminal = a_terminal()
    terminal.until(100)
    return terminal


@cache
def rolled_back():
    """A terminal in front of a release that went back, for all who only look."""
    terminal = a_terminal("fails-at-25")
    terminal.until_phase("RolledBack")
    return terminal


class TestTables:
    def test_a_table_is_aligned_and_tells_the_story(self):
        assert measuring().penstock("get").out == (
            "NAME      PLAN   REVISION   PHASE       GREEN   REASON      AGE\n"
            "shop-v2   shop   v2         Measuring   5 %     Measuring   1m40s\n"
        )

    @pytest.mark.parametrize(
        ("words", "begins"),
        [
            (["-A"], "NAMESPACE   NAME"), (["-o", "name"], "release.penstock.dev/shop-v2"),
            (["-o", "json"], '{\n  "apiVersion": "v1"'), (["shop-v2", "-o", "yaml"], ""), (["plans"], "NAME   ACTIVE"),
            (["plan", "shop", "-o", "name"], "releaseplan.penstock.dev/shop"),
        ],
    )  # fmt: skip
    def test_every_format_is_data_on_stdout_alone(self, words, begins):
        result = measuring().penstock("get", *words)

        assert (result.code, result.err) == (0, "")
        if words[-1] == "yaml":
            assert "kind: Release" in result.out
        else:
            assert result.out.startswith(begins)

    def test_nothing_there_is_no_error_and_no_data(self):
        result = a_terminal(started=False).penstock("get")

        assert (result.code, result.out, result.err) == (0, "", "There are no releases in namespace shop.\n")

    @pytest.mark.parametrize("words", [["a", "b"], ["shop-v2", "-A"], ["-o", "xml"]])
    def test_what_cannot_be_meant_is_2(self, words):
        assert a_terminal().penstock("get", *words).code == 2


class TestWhyAndHistory:
    def test_why_has_the_numbers_the_query_and_the_way_on(self):
        out = rolled_back().penstock("why", "shop-v2").out

        assert "errors: 7.06 % vs 0.1 % (+6.96 points, limit +5 points, n = 1,017)" in out
        assert 'Query: both: istio_requests_total{reporter="source",destination_workload=~"shop|shop-green"' in out
        assert "Green: at most 25 % of the traffic, for 6m47s." in out
        assert "penstock retry shop-v2 -n shop tries the same version again." in out

    @pytest.mark.long
    def test_why_of_a_rollback_that_a_person_asked_for_blames_no_check(self):
        terminal = a_terminal()
        terminal.until(500)
        terminal.penstock("rollback", "shop-v2", "--reason", "the checkout looks odd")
        terminal.until_phase("RolledBack")

        out = terminal.penstock("why", "shop-v2").out

        assert "the checkout looks odd" in out
        assert "failing sample" not in out
        assert "Query" not in out
        assert out.count("penstock retry") == 1

    def test_why_of_a_rollback_that_missing_pods_caused_shows_no_check_that_is_well(self):
        terminal = rolled_back()
        status = terminal.release()["status"]
        well = [{**check, "outcome": "pass"} for check in status["triggers"]]
        gone = {**status["rollback"], "reason": "NoReadyPods", "check": "ready-pods"}
        stages = [{**stage, "checks": [{**check, "outcome": "pass"} for check in stage.get("checks", ())]} for stage in status["stages"]]
        release = {**terminal.release(), "status": {**status, "rollback": gone, "triggers": well, "stages": stages}}
        view = view_of(release, None, now=START)

        assert list(culprits_of(view, gone, {})) == []

    def test_a_release_that_lost_its_route_says_what_helps_until_it_is_back(self):
        terminal = a_terminal()
        terminal.until(500)
        kube = InMemoryKube(terminal.sim.server, user="bob")
        kube.delete(VIRTUAL_SERVICE, "shop", "shop", uid=kube.get(VIRTUAL_SERVICE, "shop", "shop")["metadata"]["uid"])
        terminal.until_phase("Halted")
        out = terminal.penstock("why", "shop-v2").out

        assert "VirtualService shop/shop is gone: Istio now sends to all pods of its hosts" in out
        assert "Put the VirtualService back" in out
        assert "kubectl scale" in out
        assert "penstock rollback" not in out

    def test_history_has_every_decision_and_the_evidence_before_what_rests_on_it(self):
        kinds = [line.split()[1] for line in rolled_back().penstock("history", "shop-v2").out.splitlines() if line.startswith("20")]

        assert kinds == ["started", "warning", "grant", "verdict", "grant", "rollback", "finished"]

    def test_a_record_that_cannot_be_read_does_not_hide_the_others(self):
        terminal = a_terminal("fails-at-25")
        terminal.until_phase("RolledBack")
        kube = InMemoryKube(terminal.sim.server, user="vandal")
        name = next(o["metadata"]["name"] for o in kube.list(CONFIG_MAP, "shop").items if "history" in o["metadata"]["name"])
        kube.patch(CONFIG_MAP, "shop", name, {"data": {"0001-grant-1--1": "{"}}, Patch.MERGE)

        out = terminal.penstock("history", "shop-v2").out

        assert "the record 0001-grant-1--1 cannot be read" in out
        assert "finished" in out


@pytest.mark.parametrize(
    ("check", "used"),
    [
        ({"value": 6.0, "baseline": 1.0, "limit": 11.0, "line": "max_difference"}, 0.5),
        ({"value": 300.0, "baseline": 200.0, "limit": 240.0, "line": "max_ratio"}, 2.5),
        ({"value": 50.0, "limit": 100.0, "line": "max"}, 0.5),
        ({"value": 99.0, "limit": 98.01, "line": "min"}, 0.99),
        ({"value": 100.0, "limit": 99.0, "line": "min", "unit": "%"}, 0.0),
        ({"value": 99.5, "limit": 99.0, "line": "min", "unit": "%"}, 0.5),
        ({"value": 101.0, "limit": 99.0, "line": "min", "unit": "%"}, 99 / 101),
        ({"value": None, "limit": 1.0, "line": "max"}, None),
    ],
)
def test_tightness_is_the_used_part_of_the_room(check, used):
    assert tightness_of(check) == (None if used is None else pytest.approx(used))


@pytest.mark.long
def test_the_return_to_the_original_stands_below_the_stages():
    """`finish: home`: the return is judged like a stage, and is shown like one."""
    terminal = a_terminal()
    terminal.plan_patch(finish={"mode": "home"})
    terminal.until_phase("Returning")
    rising = picture(seen(terminal), 100)
    terminal.until(terminal.sim.clock.time - START + 200)
    judging = picture(seen(terminal), 100)
    terminal.until_phase("Succeeded")

    assert next(line for line in rising if line.startswith("  home")).split()[2:] == ["comes", "up"]
    assert "judging" in next(line for line in judging if line.startswith("  home"))
    assert "passed" in next(line for line in picture(seen(terminal), 100) if line.startswith("  home"))


def test_a_success_that_went_home_does_not_look_like_a_green_without_traffic():
    terminal = a_terminal()
    terminal.plan_patch(finish={"mode": "home"})
    terminal.until_phase("Succeeded")

    assert "home, on the new image" in "\n".join(picture(seen(terminal), 100))
    assert terminal.penstock("get").out.splitlines()[1].split()[3:5] == ["Succeeded", "home"]
    assert terminal.penstock("why", "shop-v2").out.startswith("shop/shop-v2 is Succeeded at home, on the new image")
    assert " home  Green serves everybody" in terminal.penstock("wait", "shop-v2").out


@pytest.mark.parametrize(
    ("then", "returned", "words"),
    [
        ("rollback", 0, "everybody goes back to blue"),
        ("rollback", 50.0, "everybody goes back to the clone"),
        ("wait", 0, "it waits for a person"),
        ("halt", 0, "it stops for a person"),
    ],
)
def test_what_happens_at_the_deadline_of_a_hold_is_said_as_it_is_going_to_happen(then, returned, words):
    status = {"phase": "Holding", "returnedAt": returned, "hold": {"reason": "NoData", "since": 1.0, "until": 100.0, "then": then}}

    assert view_of({"metadata": {}, "spec": {}, "status": status}, now=40.0).next.endswith(f"(in 1m) {words}.")


def test_a_green_that_never_had_traffic_is_not_told_in_percents():
    """It is the first thing that people ask after a rollback in the preparation."""
    assert list(way_back({"message": "x", "maxWeight": 0}))[:2] == ["Cause: x", "Green: never had traffic."]
    assert "Green: at most 5 % of the traffic, for 40s." in list(way_back({"maxWeight": 5, "exposedSeconds": 40}))


def test_a_success_whose_requests_somebody_took_away_says_what_green_has_now():
    """Whoever applied the old manifest must not read `Succeeded at 100 % green`."""
    status = {"phase": "Succeeded", "reason": "OldVersionServes", "message": "The old version serves.", "weight": 100, "observedWeight": 0}

    assert view_of({"metadata": {}, "spec": {}, "status": status}, now=40.0).share == "0 % green"
    assert view_of({"metadata": {}, "spec": {}, "status": {**status, "reason": "Succeeded"}}, now=40.0).share == "100 % green"
