"""Each place where the checker may find a breach in a history does so in one that breaks it; one that is sound breaks nothing.

The same checker reads the watch history of a real API server, where nobody can put a defect in.
"""

import ast
import copy
import inspect
import json
import sys

import pytest

from controller.api.plan import PlanSpec
from controller.simulator import (
    invariants_clusters,
    invariants_liveness,
    invariants_records,
    invariants_release,
    invariants_routes,
    invariants_workloads,
    invariants_writes,
)
from controller.simulator.invariants_book import Book
from controller.simulator.invariants_liveness import Liveness
from controller.simulator.invariants_store import History

PARTS = (
    invariants_clusters,
    invariants_liveness,
    invariants_records,
    invariants_release,
    invariants_routes,
    invariants_workloads,
    invariants_writes,
)
DAY = 86400.0
WEIGHTS = (5, 25, 50, 100)
BYPASS = {"virtualServices": [{"name": "shop", "bypass": [{"route": "canary"}]}]}


class Peace:
    """A world without faults, in which somebody leads."""

    clock_offset = 0.0
    quiet_since = 1000.0
    leaderless_since = None

    def disturbed(self, _since, _now):
        return False

    def cut_off(self, _since, _now):
        return False

    def late(self, _since, _now):
        return 0.0


class Story:
    """A history of the ten-line example: a release at 5 %, its window open; then whatever a test lets happen."""

    def __init__(self, **plan):
        self.history, self.now, self.stored, self.commits, self.world = History(), 1000.0, {}, [], Peace()
        self.liveness = Liveness(self.history.book, self.world)
        spec = PlanSpec.model_validate({"workload": "shop", "traffic": {"virtualService": "shop"}, **plan})
        self.write("ConfigMap", "penstock-plan-h", by="setup", data={"plan.json": spec.model_dump_json(by_alias=True)})
        for name, size in (("shop", 3), ("shop-green", 0)):
            self.deployment(name, size, by="setup")
        self.route(100, 0, by="setup")
        self.write("Release", "a", by="kubectl", spec={"plan": "shop", "revision": "v2"})
        self.status(phase="Preparing", objects=self.listed(), capacity=[{"member": "shop", "replicas": 3}])
        self.deployment("shop-green", 3)
        self.record("0001-grant")
        stages = [{"weight": weight} for weight in WEIGHTS]
        self.status(phase="Shifting", stage=0, grant=5, stages=stages)
        self.route(95, 5)
        self.status(phase="Measuring", weight=5, exposedSince=self.now)
        self.window(0)

    def listed(self):
        kinds = [("VirtualService", "shop"), ("Deployment", "shop")]
        return [{"kind": kind, "namespace": "shop", "name": name, "uid": f"{kind}-{name}"} for kind, name in kinds]

    def write(self, kind, name, *, by="penstock", at=1.0, marks=None, **parts):
        """One commit of an object: what is given replaces what is stored."""
        self.now += at
        old = self.stored.get((kind, name))
        meta = copy.deepcopy(old["metadata"]) if old else {"namespace": "shop", "name": name, "uid": f"{kind}-{name}"}
        given = {"penstock.dev/epoch": "1", **(marks or {})}
        meta["annotations"] = {k: v for k, v in {**meta.get("annotations", {}), **given}.items() if v is not None}
        if kind == "ConfigMap" and name.startswith("penstock-history-"):
            meta["ownerReferences"] = [{"uid": "Release-a"}]
        new = {**(copy.deepcopy(old) if old else {"kind": kind}), "metadata": meta, **copy.deepcopy(parts)}
        self.stored[kind, name] = new
        self.commit(kind, old, new, by)

    def commit(self, kind, old, new, by, **more):
        self.commits.append((self.now, kind, old, new, by))
        self.liveness.time(self.now)
        self.history.commit(self.now, kind, old, new, by, **more)
        self.liveness.commit(kind, new)

    def ends(self, *, after):
        self.now += after
        self.liveness.finish(self.now)

    def delete(self, kind, name, *, by="penstock", named=("u", "1")):
        self.now += 1
        self.commit(kind, self.stored.pop((kind, name)), None, by, named=named)

    def status(self, *, by="penstock", at=1.0, **fields):
        before = self.stored["Release", "a"].get("status", {})
        base = {"epoch": 1, "phaseCounter": 1, "planHash": "h", "blueSlot": 0, "mode": "host", "stage": -1, "grant": 0, "weight": 0}
        self.write("Release", "a", by=by, at=at, status={**base, **before, **fields})

    def stage(self, number, **fields):
        """The stages with one of them changed."""
        stages = copy.deepcopy(self.stored["Release", "a"]["status"]["stages"])
        stages[number] |= fields
        return stages

    def window(self, number, ran=300.0, n=1000.0):
        opened = {"openedAt": self.now, "ran": ran, "nGreen": n, "nBlue": n}
        self.status(stages=self.stage(number, window=opened), at=DAY)

    def passes(self, number, *, counter=1, key=None, **check):
        """A verdict, recorded and then stored."""
        self.record(f"{counter:04d}-verdict")
        checks = [{"name": "errors", "outcome": "pass", "value": 0.1, **check}]
        self.status(stages=self.stage(number, verdict="pass", verdictKey=key or f"v2/h/{number}", checks=checks))

    def raise_to(self, number, **fields):
        self.record("0001-grant", kind="grant", number=number)
        self.status(phase="Shifting", stage=number, grant=WEIGHTS[number], phaseCounter=1, **fields)

    def record(self, key, kind=None, number=0, **data):
        name = "penstock-history-a"
        known = self.stored.get(("ConfigMap", name), {}).get("data", {})
        entry = json.dumps({"kind": kind or key.partition("-")[2], "data": data, "n": number})
        self.write("ConfigMap", name, data={**known, key: entry})

    def deployment(self, name, replicas, *, available=None, by="penstock", at=1.0, **more):
        """Its size by whoever is named, then its pods by Kubernetes."""
        made = {"penstock.dev/made": "true"} if name == "shop-green" else {}
        self.write("Deployment", name, by=by, at=at, marks=made, spec={"replicas": replicas, "template": {"image": "1"}, **more})
        self.write("Deployment", name, by="kubernetes", status={"availableReplicas": replicas if available is None else available})

    def route(self, blue, green, *, by="penstock", marks=None, rules=(), **rule):
        sides = [("shop", blue), ("shop-green", green)]
        split = [{"destination": {"host": host}, "weight": weight} for host, weight in sides]
        marks = {"penstock.dev/owner": "Release-a", **(marks or {})}
        self.write("VirtualService", "shop", by=by, marks=marks, spec={"hosts": ["shop"], "http": [*rules, {"route": split, **rule}]})

    def answer(self, state, reason):
        self.write("ReleaseRequest", "q", status={"state": state, "reason": reason, "epoch": 1})

    def subsets(self, *names, by="penstock", **more):
        subsets = [{"name": name, "labels": {"version": name}} for name in names]
        self.write("DestinationRule", "shop", by=by, spec={"host": "shop", "subsets": subsets, **more})

    def rolls_back(self):
        """Down to nothing, as it should be."""
        self.record("0001-rollback")
        rollback = {"reason": "CheckFailed", "decidedAt": self.now}
        self.route(100, 0, marks={"penstock.dev/stamp": "Release-a/1"})
        self.status(phase="RollingBack", rollback={**rollback, "trafficAt": self.now})
        self.status(phase="TearingDown", at=DAY)

    def succeeds(self):
        """Stage after stage to the end, as it should be; the old version has yet to drain."""
        for number in range(4):
            if number:
                self.record(f"{number + 1:04d}-grant")
                before = self.stored["Release", "a"]["status"]["phaseCounter"]
                assert before == number
                self.status(phaseCounter=number + 1)
                self.status(phase="Shifting", stage=number, grant=WEIGHTS[number])
                self.route(100 - WEIGHTS[number], WEIGHTS[number])
                self.status(phase="Measuring", weight=WEIGHTS[number])
                self.window(number)
            self.passes(number, counter=number + 1)
        self.status(phase="Succeeded")

    @property
    def said(self):
        return [breach.name for breach in self.history.breaches]


def skips_without_a_record(story):
    story.record("0001-grant", number=1)
    story.status(stage=2, grant=50, stages=story.stage(0, skipped="q1"))


def raised_in_a_rollback(story):
    story.rolls_back()
    story.route(50, 50)


def shrinks_with_a_bypass(story):
    canary = {"name": "canary", "match": [{}], "route": [{"destination": {"host": "shop-green"}}]}
    story.route(95, 5, rules=[canary], by="kubectl")
    story.record("0001-rollback")
    story.route(100, 0, rules=[canary], marks={"penstock.dev/stamp": "Release-a/1"})
    story.status(phase="RollingBack", rollback={"reason": "CheckFailed"})
    story.status(phase="TearingDown", at=DAY)
    story.deployment("shop-green", 0)


def shrinks_while_it_has_weight(story):
    story.rolls_back()
    story.route(95, 5, by="kubectl")
    story.deployment("shop-green", 0)


def shrinks_before_the_drain(story):
    story.record("0001-rollback")
    story.route(100, 0, marks={"penstock.dev/stamp": "Release-a/1"})
    story.status(phase="TearingDown", rollback={"reason": "CheckFailed"})
    story.deployment("shop-green", 0)


def rolled_back_with_green(story):
    story.rolls_back()
    story.status(phase="RolledBack")


def rolled_back_without_blue(story):
    story.rolls_back()
    story.deployment("shop-green", 0)
    story.deployment("shop", 0, by="kubectl")
    story.status(phase="RolledBack")


def blue_goes_after_a_success_that_was_meddled_with(story):
    story.succeeds()
    story.route(50, 50, by="kubectl")
    story.deployment("shop", 0, at=DAY)


def blue_goes_before_its_drain(story):
    story.succeeds()
    for weights in ((50, 50), (0, 100)):
        story.route(*weights, by="kubectl")
    story.deployment("shop", 0)


def late_rollback(story):
    story.succeeds()
    story.route(100, 0, marks={"penstock.dev/stamp": "Release-a/7"})


def ghost(story):
    story.route(100, 0)
    story.delete("Release", "a")
    story.route(95, 5)


def acted_and_refused(story):
    story.record("0001-request", uid="ReleaseRequest-q")
    story.answer("refused", "TooLate")


def applied_twice(story):
    story.record("0001-request", uid="ReleaseRequest-q")
    story.record("0002-request", uid="ReleaseRequest-q")


def waits_and_writes(story):
    hold = {"reason": "NoData", "waitsFor": "whoever looks after shop"}
    for seconds in (100.0, 100.0, 20.0):
        story.status(phase="Holding", hold=hold, message=f"{story.now}", at=seconds)


def another_plan(story):
    story.write("VirtualService", "other", by="setup", marks={"penstock.dev/owner": "Release-a"}, spec={})
    story.write("VirtualService", "other", spec={"http": []})


def namesake(story):
    story.deployment("shop", 4, by="kubectl")
    story.stored["Deployment", "shop"]["metadata"]["uid"] = "another"
    story.deployment("shop", 5)


def stamps_late(story):
    story.record("0001-rollback")
    story.route(100, 0)
    story.status(phase="RollingBack", rollback={"reason": "CheckFailed", "trafficAt": story.now})


def loses_seconds(story):
    window = story.stored["Release", "a"]["status"]["stages"][0]["window"]
    story.status(stages=story.stage(0, window={**window, "ran": 10.0}))


def takes_its_time(story):
    decided = story.now
    story.record("0001-rollback")
    story.deployment("shop", 3, by="kubectl")
    story.route(100, 0, marks={"penstock.dev/stamp": "Release-a/1"})
    story.status(phase="RollingBack", rollback={"reason": "CheckFailed", "decidedAt": decided, "trafficAt": story.now})


def is_left_alone(story):
    story.world.leaderless_since = story.now
    story.deployment("shop", 3, by="kubectl", at=20.0)


def window_before_its_weights(story):
    story.status(stages=story.stage(0, window={"openedAt": 1.0, "ran": 300.0, "nGreen": 1000.0}))
    story.passes(0)
    story.raise_to(1)


def window_that_ran(ran, n):
    def tell(story):
        story.status(stages=story.stage(0, window={"openedAt": story.now, "ran": ran, "nGreen": n}))
        story.passes(0)
        story.raise_to(1)

    return tell


def split_between(*hosts):
    return [{"destination": {"host": host}, "weight": weight} for host, weight in zip(hosts, (95, 5), strict=True)]


def in_subsets(story):
    """The same release where subsets tell the versions apart."""
    story.subsets("v1", "v2", "old", by="kubectl")
    listed = [*story.listed(), {"kind": "DestinationRule", "namespace": "shop", "name": "shop", "uid": "DestinationRule-shop"}]
    story.status(objects=listed)
    sides = [{"destination": {"host": "shop", "subset": subset}, "weight": weight} for subset, weight in (("v1", 95), ("v2", 5))]
    story.route(95, 5, by="kubectl", route=sides)
    story.status(mode="subset", blueSubset="v1", greenSubset="v2", by="kubectl")


def after(*steps):
    def tell(story):
        for step in steps:
            step(story)

    return tell


def do(name, *args, **more):
    return lambda story: getattr(story, name)(*args, **more)


PASSED = do("passes", 0)
BREACHES = {
    "weights that are not 100": ("S1", do("route", 90, 5)),
    "a third destination": ("S1", do("route", 95, 5, route=split_between("shop", "other"))),
    "more weight than granted": ("S2", do("route", 75, 25)),
    "a grant that falls before the weight": ("S2", do("status", grant=0)),
    "a raise for a release that is gone": ("S2", ghost),
    "a first grant of a later stage": ("S3", after(do("status", stage=-1, grant=0, by="kubectl"), do("status", stage=2, grant=50))),
    "a skip that nobody recorded": ("S3", skips_without_a_record),
    "a jump over a stage": ("S3", after(PASSED, do("raise_to", 2))),
    "a grant without a verdict": ("S3", do("raise_to", 1)),
    "a pass of a window that is too short": ("S3", window_that_ran(100.0, 1000.0)),
    "a window that opened before its weights": ("S3", window_before_its_weights),
    "a pass with too few requests": ("S3", window_that_ran(300.0, 3.0)),
    "a raise to pods that are not there": (
        "S4",
        after(PASSED, do("raise_to", 1), do("deployment", "shop-green", 3, available=1, by="others"), do("route", 75, 25)),
    ),
    "blue is brought down in mid-release": ("S5", do("deployment", "shop", 1)),
    "blue is brought down while it has weight": ("S5", blue_goes_after_a_success_that_was_meddled_with),
    "blue is brought down before its drain": ("S5", blue_goes_before_its_drain),
    "a subset that goes while it has weight": ("S4", after(in_subsets, do("subsets", "v1", "old"))),
    "green is brought down in mid-release": ("S6", do("deployment", "shop-green", 0)),
    "green is brought down while it has weight": ("S6", shrinks_while_it_has_weight),
    "green is brought down before its drain": ("S6", shrinks_before_the_drain),
    "green is brought down while a header leads there": ("S6", shrinks_with_a_bypass),
    "an end that is left": ("S7", after(do("succeeds"), do("status", phase="Measuring"))),
    "a success without all weight": ("S7", do("status", phase="Succeeded")),
    "a rollback that leaves green": ("S7", rolled_back_with_green),
    "a rollback that leaves no blue": ("S7", rolled_back_without_blue),
    "a late rollback of what has ended": ("S7", late_rollback),
    "a way forward after a rollback": ("S8", after(do("rolls_back"), do("status", phase="Measuring"))),
    "a grant after a rollback": ("S8", after(do("rolls_back"), do("status", grant=25))),
    "a weight after a rollback": ("S8", raised_in_a_rollback),
    "a rollback without a stamp": ("S8", stamps_late),
    "an epoch that falls": ("S9", after(do("status", epoch=2, by="another"), do("status", epoch=1))),
    "a write without an epoch": ("S9", do("route", 95, 5, marks={"penstock.dev/epoch": None})),
    "a deletion without a uid": ("S9", do("delete", "Deployment", "shop-green", named=("", "1"))),
    "a phase counter that falls": ("S9", do("status", phaseCounter=0)),
    "a release that is born in a stage": ("S10", do("write", "Release", "b", by="kubectl", spec={}, status={"stage": 1})),
    "a verdict of another revision": ("S10", after(do("passes", 0, key="v1/h/0"), do("raise_to", 1))),
    "a request that was acted on and refused": ("S11", acted_and_refused),
    "a request that was applied twice": ("S11", applied_twice),
    "a request that is acted on twice": ("S11", do("status", requests=["q", "q"])),
    "two answers to one request": ("S11", after(do("answer", "refused", "TooLate"), do("answer", "accepted", "AlreadyDone"))),
    "a route that loses its timeout": ("S12", after(do("route", 95, 5, timeout="5s", by="kubectl"), do("route", 95, 5))),
    "blue's template is changed": ("S12", do("deployment", "shop", 3, template={"image": "2"})),
    "a subset of others that goes": ("S12", after(in_subsets, do("subsets", "v1", "v2"))),
    "a cluster's policy that changes": ("S12", after(in_subsets, do("subsets", "v1", "v2", "old", trafficPolicy={}))),
    "a pass without a number": ("S13", do("passes", 0, value=None)),
    "a route of another plan": ("S14", another_plan),
    "something made without saying so": ("S14", do("write", "Service", "new", spec={})),
    "something that nobody lists": ("S14", after(do("write", "Service", "old", by="kubectl"), do("write", "Service", "old", spec={}))),
    "a namesake of what is listed": ("S14", namesake),
    "a record that goes": ("S15", do("write", "ConfigMap", "penstock-history-a", data={})),
    "a record that becomes another": ("S15", do("record", "0001-grant", kind="rollback")),
    "an accepted request without a record": ("S15", do("answer", "accepted", "Accepted")),
    "a grant without a record": ("S15", after(PASSED, do("status", phaseCounter=2), do("status", stage=1, grant=25))),
    "two writes a minute while a person is waited for": ("S16", waits_and_writes),
    "a release that goes while green has weight": ("S17", do("delete", "Release", "a")),
    "a window that loses what it ran": ("L1", loses_seconds),
    "a release that does not end": ("L1", do("ends", after=DAY)),
    "a rollback that takes some seconds": ("L2", takes_its_time),
    "a rollback that is written down before the weight": ("L2", do("status", phase="RollingBack", rollback={"decidedAt": 1.0})),
    "a weight by another hand that stays": (
        "L4",
        after(do("route", 50, 50, by="kubectl"), do("deployment", "shop", 3, at=9.0, by="kubectl")),
    ),
    "a queue in which nobody runs": ("L6", after(do("status", phase="Queued", by="kubectl"), do("ends", after=120.0))),
    "a green that nobody watches": ("L7", is_left_alone),
    "a hold for nobody": ("L6", do("status", phase="Holding", hold={"reason": "NoData"})),
}


PLANS = {"green is brought down while a header leads there": {"traffic": BYPASS}}


@pytest.fixture
def places(monkeypatch):
    """Where in the checker a breach was found, by module and line."""
    found, real = [], Book.breach

    def noted(self, name, sentence):
        caller = sys._getframe(1)
        found.append((caller.f_code.co_filename, caller.f_lineno, name))
        real(self, name, sentence)

    monkeypatch.setattr(Book, "breach", noted)
    return found


@pytest.mark.parametrize("title", BREACHES)
def test_a_history_with_a_breach_is_told_apart(title):
    name, tell = BREACHES[title]
    story = Story(**PLANS.get(title, {}))
    assert story.said == []
    tell(story)

    assert name in story.said


def test_a_sound_history_breaks_nothing():
    forward, back = Story(), Story()
    forward.succeeds()
    forward.deployment("shop", 0, at=DAY)
    back.rolls_back()
    back.deployment("shop-green", 0)
    back.status(phase="RolledBack")

    assert (forward.said, back.said) == ([], [])


def test_every_place_of_the_checker_has_its_history(places):
    for title, (_, tell) in BREACHES.items():
        tell(Story(**PLANS.get(title, {})))
    asked = [
        (inspect.getfile(module), call.lineno, call.args[0].value)
        for module in PARTS
        for call in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "breach"
    ]

    assert len(asked) > 40
    assert [place for place in asked if place not in places] == []
